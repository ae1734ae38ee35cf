//! The replicas that follow a node which is copied anew. Its log goes with its graph, and begins again where the copy ends:
//! who had not got so far must be copied anew, too. And who is registered beside it.

use crate::{
    cli::CopyArgs,
    commands::followers::WHERE_GONE,
    failure::{Failure, Outcome},
    render::style::word,
};
use kitedb_core::{Database, HoldState, LeftBehind, LeftBehindBy, ReplicaLag, ReplicaState, SamePath, short_id};
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
        let called = |lag: &ReplicaLag| called(&lag.replica_id, lag.name.as_ref(), lag.path.as_ref());
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
}

/// What a replica is called by people.
fn called(id: &str, name: Option<&String>, path: Option<&String>) -> String {
    let id = short_id(id);
    name.or(path).map_or_else(|| id.to_owned(), |name| format!("{name} ({id})"))
}

/// What became of a replica that followed the node at `database`, which was copied anew from `source`, and what to do with it.
pub fn told(left: &LeftBehind, database: &Path, source: Option<&Path>) -> String {
    let who = called(&left.replica_id, left.name.as_ref(), left.path.as_ref());
    let path = word(left.path.as_deref().map_or(Path::new("REPLICA"), Path::new)).to_string();
    let database = word(database);
    match left.why {
        LeftBehindBy::OtherHistory => format!(
            "the replica {who} followed it up to {}, which is not on the history that is here now: `kitedb replica promote {path} \
             --force` lets it lead with what it has, `kitedb replica reseed {path} --source-db {database} --overwrite` gives that up",
            left.last
        ),
        LeftBehindBy::NoPrimary => format!(
            "the replica {who} followed it, and nothing is kept for it here any more: `kitedb replica follow {path} --source-db \
             {}` lets it follow another node",
            word(source.unwrap_or(Path::new("NEW")))
        ),
        _ => format!(
            "the replica {who} lost what it needs next with the log that was here: `kitedb replica reseed {path} --source-db \
             {database}`"
        ),
    }
}

/// Of a replica that is registered with `source` from the same path as the one that was copied.
pub fn told_of_same_path(other: &SamePath, source: &Path) -> String {
    let id = short_id(&other.replica_id);
    format!(
        "{} was registered at this path before, and {} keeps its log for that one, too: {WHERE_GONE}, `kitedb primary remove {} \
         {id}` ends that",
        other.name.as_ref().map_or_else(|| id.to_owned(), |name| format!("{name} ({id})")),
        source.display(),
        word(source)
    )
}
