//! `kitedb replica status`: what a replica's files say, beside the process that follows or without one.

use crate::{
    cli::ReplicaStatusArgs,
    commands::{
        damage_of, fault_if,
        followers::{holds_document, lags_document, show_replicas, shown_holds, shown_log},
        look_at,
        primary::fence_document,
        whole, without_log, write_json,
    },
    failure::{Failure, Outcome, RESEED, named},
    render::{
        number::{count, counted},
        style::{BAD, DIM, GOOD, Styled, TITLE, clean, word},
        table::Table,
    },
};
use kitedb_core::{Database, ReplicaReplicationStatus, ReplicaState, ReplicationRole, Rival, SourceFault, short_id};
use serde_json::{Value as Json, json};
use std::{
    io::{self, Write},
    path::Path,
};

pub fn run(args: &ReplicaStatusArgs, out: &mut dyn Write) -> Outcome {
    let database = look_at(&args.common, args.options())?;
    if database.replication_role() == ReplicationRole::Replica && database.replica_replication_status()?.is_none() {
        return without_log::show(&args.common, &database, out);
    }
    let status = require_replica(&database)?;
    let damage = damage_of(&database);
    if args.common.json {
        let mut document = document(&status);
        document["damage"] = json!(damage);
        write_json(out, &document)?;
    } else {
        // Where its source leads nowhere, who does is named, if it can be reached.
        let leader = status
            .source_fault
            .is_some()
            .then(|| leader_elsewhere(&database, status.source_db_path.as_deref()))
            .flatten();
        show(args, &status, (damage.as_deref(), leader.as_ref()), out)?;
    }
    whole(&database, fault_if(status.fault().or(status.lost_replicas()).is_some(), out), out)
}

/// The status of a database that was opened, or looked at, as a replica; a failure if it is none.
pub fn require_replica(database: &Database) -> Outcome<ReplicaReplicationStatus> {
    let shown = clean(&database.path().display().to_string());
    if let Some(status) = database.replica_replication_status()? {
        return Ok(status);
    }
    Err(match database.primary_replication_status()? {
        Some(_) => Failure::new(format_args!("{shown} is a primary, not a replica"))
            .literal_hint(format_args!("`kitedb primary status {}` shows it", word(database.path()))),
        None if database.replication_role() == ReplicationRole::Replica => without_log::failure(database, "replica"),
        None if database.replication_role() == ReplicationRole::Primary => without_log::failure(database, "primary"),
        None => Failure::new(format_args!(
            "{shown} has no replication log: it is a database of its own, and follows no other one"
        ))
        .literal_hint(format_args!(
            "`kitedb role {}` shows what it is; `kitedb replica bootstrap REPLICA --source-db PRIMARY` makes a replica",
            word(database.path())
        )),
    })
}

/// What is known of the source: its head, and how many frames the replica misses of it.
fn lag(status: &ReplicaReplicationStatus) -> Option<(u64, u64)> {
    (status.source_head_log_index > 0).then_some((status.source_head_log_index, status.lag_frames))
}

pub fn document(status: &ReplicaReplicationStatus) -> Json {
    let lag = lag(status);
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    json!({
        "role": status.role.as_str(),
        "state": status.state.as_str(),
        "source_db_path": path(&status.source_db_path),
        "source_sidecar_path": path(&status.source_sidecar_path),
        "source_follows": status.source_follows,
        "applied_epoch": status.applied_epoch,
        "applied_log_index": status.applied_log_index,
        "durable_log_index": status.durable_log_index,
        "source_head_log_index": lag.map(|(head, _)| head),
        "lag_frames": lag.map(|(_, frames)| frames),
        "last_error": status.last_error,
        "needs_reseed": status.needs_reseed,
        "source_fault": status.source_fault.as_ref().map(SourceFault::kind),
        "source_unseen": status.source_unseen,
        "log_fault": status.log_fault,
        "fault": status.fault().or(status.lost_replicas()),
        "promotion": fence_document(status.promotion.as_ref()),
        "replica_id": status.replica_id,
        "name": status.name,
        "registered": status.registered,
        "registration_fault": status.registration_fault,
        "retained_floor": status.retained_floor,
        "log_bytes": status.log_bytes,
        "segments": status.segments,
        "holds": holds_document(&status.holds),
        "replica_lags": lags_document(&status.replica_lags),
        "registration_limit": status.registration_limit,
        "sidecar_path": status.sidecar_path.display().to_string(),
        "digest": status.digest.to_string(),
        "process_id": status.process_id,
    })
}

/// A state, in the colour that it deserves.
pub fn shown(state: ReplicaState) -> Styled<&'static str> {
    let style = match state {
        ReplicaState::Following => GOOD,
        ReplicaState::Stalled
        | ReplicaState::Denied
        | ReplicaState::TooNew
        | ReplicaState::Unregistered
        | ReplicaState::Orphaned
        | ReplicaState::NeedsReseed => BAD,
        _ => DIM,
    };
    Styled(style, state.as_str())
}

/// For a replica whose source was a replica, and is gone.
pub const FOLLOW_PRIMARY: &str = "what it followed was a replica itself: `kitedb replica follow DB --source-db PRIMARY` follows the \
    primary that leads, or another replica of it";

/// For a replica whose source has all that it lacks in its file, and not in its log.
pub const COPIES_WHAT_IS_MISSING: &str = "unless what is missing is put back, `kitedb replica reseed DB SOURCE` copies all of it from the \
    source's file";

/// A node that leads, other than the `source`, as far as it can be reached from the replica.
pub fn leader_elsewhere(replica: &Database, source: Option<&Path>) -> Option<Rival> {
    let leads = |rival: &Rival| rival.can_be_followed() && source != Some(&rival.db);
    replica.replica_rivals().unwrap_or_default().into_iter().find(leads)
}

/// How the replica at `database` follows the node that leads.
pub fn follow_it(database: &Path, leader: &Rival) -> String {
    let (name, source) = (word(database), word(&leader.db));
    format!("{}: `kitedb replica follow {name} --source-db {source}` follows it", clean(&leader.to_string()))
}

/// The command that mends what is wrong, as far as one does.
pub fn next_step(status: &ReplicaReplicationStatus, source_is_given: bool) -> Option<&'static str> {
    let told = status.last_error.as_deref().unwrap_or_default();
    match &status.source_fault {
        // It names the source that it was asked of, in full: who named one here may mean that one.
        _ if source_is_given
            && told.contains("`kitedb replica reseed")
            && !told.contains("`kitedb replica promote") =>
        {
            Some(RESEED)
        }
        // The error names the commands between which its operator has to choose.
        _ if told.contains("`kitedb replica ") => None,
        // A reseed gives nothing up unasked, and says then what that would be.
        Some(SourceFault::Another { followed: true, .. }) => Some(
            "`kitedb replica reseed DB SOURCE` says what this replica has and its source lacks; `kitedb replica promote DB --force` \
             lets it lead with that; `kitedb replica follow DB --source-db NEW` follows a node that has it",
        ),
        Some(SourceFault::Hole { copied: true, .. }) => Some(COPIES_WHAT_IS_MISSING),
        _ if status.needs_reseed => Some(RESEED),
        None if status.state == ReplicaState::Bootstrapping && status.process_id.is_none() => {
            Some("`kitedb replica bootstrap DB SOURCE` begins its first copy, or goes on with it")
        }
        Some(SourceFault::Fenced { fence, .. }) if fence.ended.is_none() => None,
        Some(SourceFault::Beyond { .. } | SourceFault::Halted { .. }) => Some(
            "mend what that replica follows, or let this one follow another source: `kitedb replica follow DB --source-db NEW`",
        ),
        // Who is told to lead beside that one makes two histories.
        Some(SourceFault::StandAlone { .. } | SourceFault::Missing { .. }) if status.source_follows => {
            Some(FOLLOW_PRIMARY)
        }
        Some(SourceFault::StandAlone { .. }) => Some(
            "`kitedb replica follow DB --source-db NEW` follows another source; `kitedb replica promote DB --force` lets it lead",
        ),
        Some(SourceFault::Missing { .. }) => Some(
            "`kitedb replica follow DB --source-db NEW` follows another source; `kitedb replica promote DB --force` lets it \
             lead, with all that the source's log holds, or, where that is not there either, without what this replica has not \
             pulled: the source's file must not be written to again, wherever it is",
        ),
        Some(_) => Some("`kitedb replica follow DB --source-db NEW` follows another source"),
        None => None,
    }
}

fn show(
    args: &ReplicaStatusArgs,
    status: &ReplicaReplicationStatus,
    (damage, leader): (Option<&str>, Option<&Rival>),
    out: &mut dyn Write,
) -> io::Result<()> {
    let name = clean(&args.common.database.display().to_string());
    writeln!(out, "{}{}{}", Styled(TITLE, &name), Styled(DIM, "  replica, "), shown(status.state))?;
    let said = status.last_error.as_deref().unwrap_or_default();
    let source_fault = status.source_fault.as_ref().map(ToString::to_string).filter(|fault| !said.contains(fault));
    let unregistered = status.registration_fault.as_deref().filter(|fault| !said.contains(fault));
    let lost = status.lost_replicas();
    let faults = [
        ("damaged:", damage),
        ("last error:", status.last_error.as_deref()),
        ("its source:", source_fault.as_deref()),
        ("unregistered:", unregistered),
        ("its log:", status.log_fault.as_deref()),
        ("its replicas:", lost.as_deref()),
    ];
    for (what, error) in faults {
        if let Some(error) = error {
            writeln!(out, "  {} {}", Styled(BAD, what), clean(error))?;
        }
    }
    let next = next_step(status, args.source_db.is_some());
    // What names another command than to follow, or to lead, stays.
    let follows = |next: &&str| next.contains("replica follow");
    let next = match leader.filter(|_| next.as_ref().is_some_and(follows)) {
        Some(leader) => Some(follow_it(&args.common.database, leader)),
        None => next.map(|next| named(next, &args.common.database, args.source_db.as_deref())),
    };
    if let Some(next) = next {
        writeln!(out, "  {}", Styled(DIM, next))?;
    }
    if let Some(unseen) = &status.source_unseen {
        let what = format!("whether a primary leads there is not known: {}", clean(unseen));
        writeln!(out, "  {} {}", Styled(DIM, "its source:"), Styled(DIM, what))?;
    }
    if let Some(promotion) = &status.promotion {
        let what = format!(
            "{} was begun and not completed: `kitedb replica promote {}` goes on with it",
            promotion.promoter,
            word(&args.common.database)
        );
        writeln!(out, "  {} {what}", Styled(BAD, "promotion:"))?;
    }
    let mut table = Table::fields(2);
    let behind = lag(status).map(|(head, frames)| match frames {
        // Of another history, or of nothing: that says no good of it.
        0 if status.needs_reseed || status.source_fault.is_some() => String::new(),
        0 => ", all that its source has".to_owned(),
        _ => format!(", {} behind its source, which is at {}", counted(frames, "commit", "commits"), count(head)),
    });
    let applied = format!("{}:{}", status.applied_epoch, status.applied_log_index);
    table.field("applied", applied + &behind.unwrap_or_default());
    table.field("digest", status.digest);
    if let Some(source) = &status.source_db_path {
        table.field("source", clean(&source.display().to_string()));
    }
    let id = clean(short_id(&status.replica_id));
    let reports = if status.registered { id } else { format!("{id}, not registered with its source") };
    table.field("reports as", reports);
    table.field("log", shown_log(status.segments, status.log_bytes, status.retained_floor));
    table.field("kept for", shown_holds(&status.holds, &status.replica_lags));
    table.field("process", status.process_id.map_or_else(|| "none".to_owned(), |id| id.to_string()));
    table.write(out)?;
    show_replicas(&args.common.database, &status.replica_lags, false, out)
}
