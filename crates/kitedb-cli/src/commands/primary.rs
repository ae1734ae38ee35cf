//! `kitedb primary`: a node whose log replicas follow.

use super::{
    damage_of, fault_if,
    followers::{holds_document, lags_document, show_replicas, shown_holds, shown_log},
    open_node, open_to_read,
    rivals::{rival_document, show_rivals},
    whole, without_log, write_json,
};
use crate::{
    cli::{DatabaseArgs, PrimaryArgs, PrimaryCommand, PromoteArgs, RemoveArgs, RetentionArgs},
    failure::{Failure, Outcome},
    render::{
        number::{count, counted},
        style::{BAD, DIM, Styled, TITLE, clean},
        table::Table,
    },
};
use kitedb_core::{
    Database, Error, ErrorCode, FenceStatus, MIN_ID_DIGITS, OpenOptions, PrimaryReplicationStatus, ReplicationRole,
    Token, short_id,
};
use serde_json::{Value as Json, json};
use std::io::{self, Write};

pub fn run(command: &PrimaryCommand, out: &mut dyn Write) -> Outcome {
    match command {
        PrimaryCommand::Status(args) => status(args, out),
        PrimaryCommand::Retention(args) => retention(args, out),
        PrimaryCommand::Promote(args) => promote(args, out),
        PrimaryCommand::Remove(args) => remove(args, out),
    }
}

/// What the primary's files say, whoever has them open.
pub fn look(args: &DatabaseArgs) -> Outcome<(PrimaryReplicationStatus, Database)> {
    match seen(args)? {
        (Some(status), database) => Ok((status, database)),
        (None, database) => Err(without_log::failure(&database, "primary")),
    }
}

/// As [`look`]; `None` of a primary whose log cannot be looked at.
fn seen(args: &DatabaseArgs) -> Outcome<(Option<PrimaryReplicationStatus>, Database)> {
    let database = open_to_read(args)?;
    let shown = args.database.display();
    match (database.primary_replication_status()?, database.replication_role()) {
        (None, ReplicationRole::Replica) => Err(Failure::new(format_args!("{shown} is a replica, not a primary"))
            .hint("`kitedb replica status DB` shows it; `kitedb replica promote DB` makes it a primary")),
        (status, ReplicationRole::Primary) => Ok((status, database)),
        _ => Err(Failure::new(format_args!(
            "{shown} has no replication log: it is a database of its own, and nobody follows it"
        ))
        .hint("`kitedb import DB FILE --role primary` makes it one")),
    }
}

fn status(args: &DatabaseArgs, out: &mut dyn Write) -> Outcome {
    let (status, database) = match seen(args)? {
        (Some(status), database) => (status, database),
        (None, database) => return without_log::show(args, &database, out),
    };
    let damage = damage_of(&database);
    if args.json {
        let mut document = document(&status);
        document["damage"] = json!(damage);
        write_json(out, &document)?;
    } else {
        show(args, &status, damage.as_deref(), out)?;
    }
    whole(
        &database,
        fault_if(status.fault().or(status.log_fault.clone()).or(status.lost_replicas()).is_some(), out),
        out,
    )
}

fn document(status: &PrimaryReplicationStatus) -> Json {
    json!({
        "role": status.role.as_str(),
        "epoch": status.epoch,
        "head_log_index": status.head_log_index,
        "retained_floor": status.retained_floor,
        "replica_lags": lags_document(&status.replica_lags),
        "registration_limit": status.registration_limit,
        "holds": holds_document(&status.holds),
        "sidecar_path": status.sidecar_path.display().to_string(),
        "last_token": status.last_token.map(Token::full),
        "digest": status.digest.to_string(),
        "durable_log_index": status.durable_log_index,
        "log_bytes": status.log_bytes,
        "segments": status.segments,
        "fenced": status.fenced,
        "fence": fence_document(status.fence.as_ref()),
        "log_fault": status.log_fault,
        "copied": status.copied.is_some(),
        "led_by": status.led_by.as_ref().map(rival_document),
        "fault": status.fault().or(status.lost_replicas()),
        "process_id": status.process_id,
    })
}

/// The promotion that moved a fence.
pub fn fence_document(fence: Option<&FenceStatus>) -> Json {
    fence.map_or(Json::Null, |fence| {
        json!({ "epoch": fence.epoch, "promoter": fence.promoter, "ended": fence.ended, "assumed": fence.assumed })
    })
}

fn show(
    args: &DatabaseArgs,
    status: &PrimaryReplicationStatus,
    damage: Option<&str>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let name = clean(&args.database.display().to_string());
    writeln!(out, "{}{}", Styled(TITLE, name), Styled(DIM, format!("  primary, epoch {}", status.epoch)))?;
    if let Some(damage) = damage {
        writeln!(out, "  {} {}", Styled(BAD, "damaged:"), clean(damage))?;
    }
    if let Some(fault) = status.fault() {
        let what = match status {
            _ if status.fenced => "fenced:",
            PrimaryReplicationStatus { copied: None, led_by: Some(_), .. } => "two leaders:",
            _ => "copied:",
        };
        writeln!(out, "  {} {}", Styled(BAD, what), clean(&fault))?;
    }
    if let Some(fault) = &status.log_fault {
        writeln!(out, "  {} {}", Styled(BAD, "log:"), clean(fault))?;
    }
    if let Some(lost) = status.lost_replicas() {
        writeln!(out, "  {} {}", Styled(BAD, "replicas:"), clean(&lost))?;
    }
    let mut table = Table::fields(2);
    let head = status.last_token.map_or_else(|| "no commit yet".to_owned(), |token| token.to_string());
    let pending = status.head_log_index.saturating_sub(status.durable_log_index);
    let pending = if pending > 0 { format!(", {} not synced yet", count(pending)) } else { String::new() };
    table.field("head", head + &pending);
    table.field("digest", status.digest);
    if let Some(FenceStatus { epoch, promoter, ended, assumed: false, .. }) = &status.fence {
        let ended = ended.map_or_else(String::new, |last| format!(", after commit {}", count(last)));
        table.field("fence", format!("epoch {epoch}, by promotion {promoter}{ended}"));
    }
    table.field("log", shown_log(status.segments, status.log_bytes, status.retained_floor));
    table.field("kept for", shown_holds(&status.holds, &status.replica_lags));
    table.field("process", status.process_id.map_or_else(|| "none".to_owned(), |id| id.to_string()));
    table.write(out)?;
    show_replicas(&args.database, &status.replica_lags, true, out)
}

/// Opens what must be a primary already: a command that looks after one never makes one.
fn open(args: &PrimaryArgs, options: OpenOptions) -> Outcome<Database> {
    look(&args.common)?;
    open_node(&args.common, options)
}

/// Fails unless it has a log that replicas can follow.
fn require_log(args: &DatabaseArgs) -> Outcome {
    let database = open_to_read(args)?;
    match database.replication_role() {
        ReplicationRole::Replica => Ok(()),
        _ => look(args).map(drop),
    }
}

fn retention(args: &RetentionArgs, out: &mut dyn Write) -> Outcome {
    let common = &args.node.common;
    require_log(common)?;
    if args.replicas_complete {
        Database::confirm_replicas_at(&common.database, &args.node.options())?;
    }
    let outcome = Database::run_retention_at(&common.database, &args.node.options(), &args.windows.given())?;
    let (pruned, floor) = (outcome.pruned_segments, outcome.retained_floor);
    if common.json {
        return write_json(out, &json!({ "pruned_segments": pruned, "retained_floor": floor }));
    }
    let floor = if floor == 0 { "the first commit".to_owned() } else { format!("log index {}", count(floor)) };
    Ok(writeln!(out, "{} let go, the log begins with {floor}", counted(pruned, "segment", "segments"))?)
}

/// Fails if another node leads since: a promotion here would make a second history.
fn require_not_taken_over(args: &PrimaryArgs, database: &Database) -> Outcome {
    let status = database.primary_replication_status()?;
    if let Some(copied) = status.as_ref().and_then(|status| status.copied.as_ref()) {
        // No word of this command lets it lead.
        return Err(Error::new(ErrorCode::FilesMoved, copied).into());
    }
    let status = status.filter(|status| status.fenced);
    let Some(FenceStatus { epoch, promoter, ended, assumed, .. }) = status.and_then(|status| status.fence) else {
        return Ok(());
    };
    let shown = args.common.database.display();
    if assumed {
        let what = format_args!(
            "stale primary: the control file of {shown} was repaired, or an older one was put back, and what it knew of other \
             nodes is lost, so that it does not lead"
        );
        return Err(Failure::new(what).hint(
            "if another node took over, follow that one (`kitedb replica follow DB --source-db NEW`); --force only if none \
             did, or it is gone for good: what was committed there is lost",
        ));
    }
    // One that has not said where this epoch ends died: the lead is taken back.
    let Some(last) = ended else { return Ok(()) };
    let what = format_args!(
        "stale primary: promotion {promoter} took over from {shown} with epoch {epoch}, after commit {last}"
    );
    Err(Failure::new(what).hint(
        "follow the new primary (`kitedb replica follow DB --source-db NEW`); --force only if that one is gone for good: what was committed \
         there is lost, and whoever follows it has another history",
    ))
}

fn promote(args: &PromoteArgs, out: &mut dyn Write) -> Outcome {
    let (force, args) = (args.force, &args.node);
    let database = open(args, args.options())?;
    if !force {
        require_not_taken_over(args, &database)?;
    }
    let last: Option<Token> = database.last_commit_token();
    // By force: whoever else leads, or has more, is told.
    let rivals = if force { database.primary_rivals()? } else { Vec::new() };
    if !args.common.json {
        // Before the epoch begins: who sees them can still end this.
        show_rivals(&rivals, out)?;
        out.flush()?;
    }
    let epoch = if force { database.primary_promote_by_force()? } else { database.primary_promote_to_next_epoch()? };
    database.close()?;
    if args.common.json {
        let document = json!({
            "role": "primary", "epoch": epoch, "last_token": last.map(Token::full),
            "rivals": rivals.iter().map(rival_document).collect::<Vec<_>>(),
        });
        return write_json(out, &document);
    }
    let after = last.map(|token| format!(", after {token}")).unwrap_or_default();
    let name = clean(&args.common.database.display().to_string());
    writeln!(out, "{name} leads epoch {epoch}{after}; every other handle to its log is fenced")?;
    Ok(())
}

fn remove(args: &RemoveArgs, out: &mut dyn Write) -> Outcome {
    let common = &args.node.common;
    require_log(common)?;
    let removed = Database::remove_replica_at(&common.database, &args.node.options(), &args.replica)?;
    if let (true, Some(id)) = (common.json, &removed) {
        return write_json(out, &json!({ "removed": true, "replica_id": id }));
    }
    let name = clean(&args.replica);
    let Some(id) = removed else {
        return Err(Failure::new(format_args!("no replica is registered as {name}")).hint(format_args!(
            "`kitedb primary status DB`, or of a replica `kitedb replica status DB`, lists those that are; of an id the first \
             {MIN_ID_DIGITS} digits are needed at least"
        )));
    };
    let id = clean(short_id(&id));
    let who = if args.replica.starts_with(&id) { id } else { format!("{name} ({id})") };
    Ok(writeln!(out, "{who} is forgotten: the log is no longer kept for it")?)
}
