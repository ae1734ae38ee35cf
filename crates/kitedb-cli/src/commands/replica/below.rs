//! The replicas that follow a replica which is copied anew. Its log goes with its graph, and begins again where the copy ends:
//! who had not got so far must be copied anew, too.

use crate::{
    cli::CopyArgs,
    failure::{Failure, Outcome},
    render::style::word,
};
use kitedb_core::{Database, HoldState, ReplicaLag, ReplicaReplicationStatus, ReplicaState, short_id};
use std::path::Path;

/// Those that are registered with a replica, and that its log still serves.
pub struct Below {
    held: Vec<ReplicaLag>,
    /// Who has less than this commit may need what the log has, or would get.
    needed: u64,
}

/// The replicas that follow the one that is to be copied anew; none of what cannot be looked at, or is no replica.
pub fn of(args: &CopyArgs) -> Below {
    let database = &args.node.common.database;
    let status = Database::open(database, args.node.look_options()).and_then(|look| look.replica_replication_status());
    let Ok(Some(status)) = status else { return Below { held: Vec::new(), needed: 0 } };
    // One that needs a reseed gets nothing more that it could hand on.
    let stopped = status.needs_reseed || status.state == ReplicaState::NeedsReseed;
    let gets = if stopped { 0 } else { status.source_head_log_index };
    let held = status.replica_lags.into_iter().filter(|lag| lag.hold != HoldState::Lost).collect();
    Below { held, needed: gets.max(status.applied_log_index) }
}

impl Below {
    /// Fails where the log of the replica at `database` serves one of them, and would not afterwards.
    pub fn require_none_behind(&self, database: &Path) -> Outcome {
        let behind = self.held.iter().filter(|lag| lag.durable_log_index < self.needed);
        let behind: Vec<_> = behind.map(called).collect();
        if behind.is_empty() {
            return Ok(());
        }
        let what = format_args!(
            "{} is followed by {}: what they need next goes with its log, which begins anew, so that they would have to be \
             reseeded after it",
            database.display(),
            behind.join(", ")
        );
        Err(Failure::new(what).hint(
            "let them follow another node first (`kitedb replica follow REPLICA --source-db NODE`), or pass --overwrite, and \
             reseed them then",
        ))
    }

    /// Those of them that the log of the replica, whose status is `now`, does not serve any more.
    pub fn lost<'a>(&self, now: &'a ReplicaReplicationStatus) -> Vec<&'a ReplicaLag> {
        let was_held = |lag: &&ReplicaLag| self.held.iter().any(|held| held.replica_id == lag.replica_id);
        now.replica_lags.iter().filter(|lag| lag.hold == HoldState::Lost).filter(was_held).collect()
    }
}

/// What a replica is called by people.
pub fn called(lag: &ReplicaLag) -> String {
    let id = short_id(&lag.replica_id);
    lag.name.as_ref().or(lag.path.as_ref()).map_or_else(|| id.to_owned(), |name| format!("{name} ({id})"))
}

/// The command that copies it anew from the node at `database`.
pub fn reseed_of(lag: &ReplicaLag, database: &Path) -> String {
    let replica = lag.path.as_deref().map_or(Path::new("REPLICA"), Path::new);
    format!("`kitedb replica reseed {} --source-db {}`", word(replica), word(database))
}
