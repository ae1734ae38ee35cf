//! `kitedb replica`: a node that follows another one.

mod below;
mod follow;
mod status;

use super::{
    fault_if, look_at, open_node, open_replica,
    rivals::{rival_document, show_rivals},
    write_json,
};
use crate::{
    cli::{CopyArgs, ReplicaCommand, ReplicaPromoteArgs},
    failure::{Failure, Outcome, named},
    render::{
        number::{counted, duration},
        style::{BAD, DIM, GOOD, Styled, clean, word},
        table::Table,
    },
    watched::Watched,
};
use kitedb_core::{
    Database, Error, ErrorCode, GraphRead, LeftBehind, LeftBehindBy, ReplicaReplicationStatus, SourceFault,
};
use serde_json::json;
use status::{next_step, require_replica};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Instant,
};

pub fn run(command: &ReplicaCommand, out: &mut dyn Write) -> Outcome {
    match command {
        ReplicaCommand::Bootstrap(args) => copy(args, true, out),
        ReplicaCommand::Reseed(args) => copy(args, false, out),
        ReplicaCommand::Follow(args) => follow::run(args, out),
        ReplicaCommand::Status(args) => status::run(args, out),
        ReplicaCommand::Promote(args) => promote(args, out),
    }
}

/// Bootstraps, or reseeds what is there.
fn copy(args: &CopyArgs, create: bool, out: &mut dyn Write) -> Outcome {
    let started = Instant::now();
    let common = &args.node.common;
    let below = below::of(args);
    if !args.overwrite {
        below.require_none_behind(&common.database)?;
    }
    let database = open_replica(common, args.options().create_if_missing(create))?;
    let watched = Watched::begin(|| {})?;
    let copied = database.replica_copy_source_with(watched.watch());
    watched.end();
    let copied = copied.map_err(|error| match error.code() {
        ErrorCode::Cancelled => Failure::from(error).literal_hint(
            "the graph is as it was, or that of the source; run the same command again: it goes on with what is copied",
        ),
        // A copy is what was asked for: what is wrong is with what it is taken from, unless it names what is here.
        ErrorCode::NeedsReseed | ErrorCode::Corrupt if !error.names_a_command() && !names(&error, &common.database) => {
            Failure::from(error).literal_hint(of_damaged_source(args, &database))
        }
        _ => error.into(),
    })?;
    let status = require_replica(&database)?;
    let view = database.snapshot()?;
    let (token, nodes, edges, digest) = (view.token(), view.count_nodes(), view.count_edges(), view.digest());
    drop(view);
    database.close()?;
    let time = started.elapsed();
    // The copy is whole, and of a graph that another node may have more of, or write beside.
    let ahead =
        copied.ahead_of_source.iter().map(|ahead| format!("{ahead}, and the source does not: {WAS_TAKEN_OVER}"));
    let ahead: Vec<String> = ahead.collect();
    let fault = status.fault();
    let is_well = fault.is_none() && ahead.is_empty();
    if common.json {
        let (left, id) = (copied.left_behind.iter(), |left: &LeftBehind| left.replica_id.clone());
        let document = json!({
                "ahead_of_source": copied.ahead_of_source.iter().map(rival_document).collect::<Vec<_>>(),
                "token": token.full(),
                "nodes": nodes,
                "edges": edges,
                "digest": digest.to_string(),
                "needs_reseed": status.needs_reseed,
                "last_error": status.last_error,
                "source_fault": status.source_fault.as_ref().map(SourceFault::kind),
                "fault": fault.or_else(|| (!ahead.is_empty()).then(|| ahead.join("; "))),
                "gave_up_lead": copied.gave_up_lead,
                "put_aside": copied.put_aside.as_ref().map(|aside| aside.display().to_string()),
                "replicas_to_reseed": left.clone().filter(|left| left.why != LeftBehindBy::NoPrimary).map(id).collect::<Vec<_>>(),
                "replicas_to_repoint": left.filter(|left| left.why == LeftBehindBy::NoPrimary).map(id).collect::<Vec<_>>(),
                "registered_before": copied.same_path.iter().map(|other| &other.replica_id).collect::<Vec<_>>(),
                "seconds": time.as_secs_f64(),
        });
        write_json(out, &document)?;
        return fault_if(!is_well, out);
    }
    let what = [counted(nodes, "node", "nodes"), counted(edges, "edge", "edges")].join(" and ");
    let (name, source) = (common.database.display(), source_name(args.node.source.source_db.as_ref(), &status));
    writeln!(out, "{}", clean(&format!("{name} holds {source} as of {token}")))?;
    let mut table = Table::fields(2);
    table.field("graph", what).field("digest", digest).field("time", duration(time));
    table.write(out)?;
    let source = status.source_db_path.as_deref();
    for left in &copied.left_behind {
        writeln!(out, "  {}", Styled(BAD, clean(&below::told(left, &common.database, source))))?;
    }
    for other in &copied.same_path {
        let what = below::told_of_same_path(other, source.unwrap_or(Path::new("SOURCE")));
        writeln!(out, "  {}", Styled(DIM, clean(&what)))?;
    }
    if let Some(aside) = &copied.put_aside {
        let what = format!("what was there is no database, and is {} now", aside.display());
        writeln!(out, "  {}", Styled(DIM, clean(&what)))?;
    }
    for ahead in &ahead {
        writeln!(out, "  {}", Styled(BAD, clean(ahead)))?;
    }
    if let Some(epoch) = copied.gave_up_lead {
        let nobody = match (&status.source_fault, source) {
            (Some(SourceFault::Fenced { .. }), Some(source)) => format!(
                ", and its source does not lead: unless another node does, `kitedb primary promote {} --force` lets that one lead",
                word(source)
            ),
            _ => String::new(),
        };
        writeln!(
            out,
            "  {}",
            Styled(BAD, clean(&format!("it led epoch {epoch} until now, and follows since{nobody}")))
        )?;
    }
    if let Some(fault) = &fault {
        // The copy is whole; what its source is, or that nothing will come from there, a status tells in the same words.
        writeln!(out, "  {} {}", Styled(BAD, "fault:"), clean(fault))?;
        if let Some(next) = next_step(&status, false) {
            writeln!(out, "  {}", Styled(DIM, named(next, &common.database, None)))?;
        }
    }
    fault_if(!is_well, out)
}

/// Whether an error names that database, or what lies beside it.
fn names(error: &Error, db: &Path) -> bool {
    let whole = resolved(db).unwrap_or_else(|| db.to_owned());
    error.to_string().contains(&whole.display().to_string())
}

/// What to do where the source of a copy cannot be read to its end.
fn of_damaged_source(args: &CopyArgs, database: &Database) -> String {
    let status = database.replica_replication_status().ok().flatten();
    let known = status.and_then(|status| status.source_db_path);
    let source = args.node.source.source_db.clone().or(known).unwrap_or_else(|| "SOURCE".into());
    let source = word(&source);
    format!(
        "nothing can be copied from what is damaged: put back the log of the source from a copy; or `kitedb repair {source} --dry-run` says \
         what of it can be kept; or let the replica that has most of it lead (`kitedb replica promote REPLICA --force`) and copy that one"
    )
}

/// Why others have what the source of a copy lacks.
const WAS_TAKEN_OVER: &str = "the source was taken over from, or an older copy of it is in its place";

/// How the source is called: as the caller named it, else where the replica remembers it.
fn source_name(given: Option<&PathBuf>, status: &ReplicaReplicationStatus) -> String {
    let path = given.or(status.source_db_path.as_ref());
    path.map_or_else(|| "its source".to_owned(), |path| path.display().to_string())
}

fn promote(args: &ReplicaPromoteArgs, out: &mut dyn Write) -> Outcome {
    let look = look_at(&args.common, args.common.options())?;
    if let Some(status) = look.primary_replication_status()?.filter(|status| !status.fenced) {
        return match &status.copied {
            Some(copied) => Err(Error::new(ErrorCode::FilesMoved, copied).into()),
            None => already_leads(args, &look, status.epoch, out),
        };
    }
    // A command that promotes a replica does not make one.
    let status = require_replica(&look)?;
    let source = source_name(args.source_db.as_ref(), &status);
    drop(look);
    let database = open_node(&args.common, args.options())?;
    // By force: whoever else may lead, or has more, is told, whatever source was named.
    let mut rivals = if args.force { database.replica_rivals()? } else { Vec::new() };
    let named = args.source_db.as_ref().or(status.source_db_path.as_ref());
    let named = named.and_then(|db| resolved(db));
    rivals.retain(|rival| named.as_ref() != Some(&rival.db));
    if !args.common.json {
        // Before the epoch begins: who sees them can still end this.
        show_rivals(&rivals, out)?;
        out.flush()?;
    }
    let promotion = database.replica_promote(args.force);
    let promotion = promotion.map_err(|e| refused(args, e, (&database, &status, named.as_deref())))?;
    database.close()?;
    let (epoch, kept) = (promotion.epoch, promotion.last_kept);
    let (fenced, synced) = (promotion.source_fenced, promotion.fence_synced);
    if args.common.json {
        return write_json(
            out,
            &json!({
                "role": "primary", "epoch": epoch, "last_kept": kept.full(), "source_fenced": fenced,
                "fence_synced": synced, "source_found": promotion.source_found, "rival_epoch": promotion.rival_epoch,
                "rivals": rivals.iter().map(rival_document).collect::<Vec<_>>(),
            }),
        );
    }
    let name = args.common.database.display();
    writeln!(out, "{}", Styled(GOOD, clean(&format!("{name} leads epoch {epoch}, after {kept}"))))?;
    let (style, what) = match fenced {
        // Else who that is, is told below.
        _ if promotion.rival_epoch.is_some() && rivals.is_empty() => {
            let rival = promotion.rival_epoch.unwrap_or_default();
            let what = "keep clients away from that one, and reseed it from this one";
            (BAD, format!("another node took over from {source} before, and may lead epoch {rival}: {what}"))
        }
        true if !promotion.source_found => {
            let what = "is not there: its log was taken to its end, and fenced. If that file goes on with another log, let it not \
                        write again; what it acknowledged there is lost";
            (BAD, format!("{source} {what}"))
        }
        true if synced => (DIM, format!("{source} is fenced; nothing that it acknowledged is lost")),
        true => {
            let what =
                "its disk may forget that after a loss of power: keep its machine off until it follows this node";
            (BAD, format!("{source} is fenced, nothing that it acknowledged is lost, but {what}"))
        }
        false => {
            (BAD, format!("{source} was not fenced: let it not write again; what it acknowledged after {kept} is lost"))
        }
    };
    Ok(writeln!(out, "  {}", Styled(style, clean(&what)))?)
}

/// Where a path leads, also where nothing is there any more.
fn resolved(db: &Path) -> Option<PathBuf> {
    let folder = || db.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let gone = || Some(folder().canonicalize().ok()?.join(db.file_name()?));
    db.canonicalize().ok().or_else(gone)
}

/// Whether this process, or the machine, has as many files open as it may: no fault of any node.
fn is_out_of_files(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    matches!(cause.and_then(io::Error::raw_os_error), Some(libc::EMFILE | libc::ENFILE))
}

/// A promotion that failed, with what to do: it is followed who leads; by force it leads only where nobody is known to.
fn refused(
    args: &ReplicaPromoteArgs,
    error: Error,
    (replica, status, source): (&Database, &ReplicaReplicationStatus, Option<&Path>),
) -> Failure {
    use ErrorCode::{
        Corrupt, FilesMoved, Io, LogMismatch, NeedsReseed, NotADatabase, NotFound, SourceUnavailable, StalePrimary,
    };
    let about_source = matches!(
        error.code(),
        Corrupt
            | FilesMoved
            | Io
            | LogMismatch
            | NeedsReseed
            | NotADatabase
            | NotFound
            | SourceUnavailable
            | StalePrimary
    );
    let taken_over = error.code() == StalePrimary;
    // Its message says what to do about that.
    let out_of_files = is_out_of_files(&error);
    let lacks = matches!(error.code(), NeedsReseed | SourceUnavailable) && !status.source_follows;
    let failure = Failure::from(error);
    if args.force || !about_source || out_of_files {
        return failure;
    }
    if let Some(leader) = status::leader_elsewhere(replica, source) {
        let follow = status::follow_it(&args.common.database, &leader);
        return failure.literal_hint(format_args!("{follow}, and a promotion takes over from it then"));
    }
    // What it lacks is to be had: by force it would be given up.
    if lacks && matches!(status.source_fault, Some(SourceFault::Lost { .. } | SourceFault::Hole { copied: true, .. })) {
        return failure.hint(
            "`kitedb replica reseed DB SOURCE` copies what this replica lacks from the source's file, and \
             `kitedb replica promote DB SOURCE` takes over then without a loss",
        );
    }
    if taken_over {
        return failure.hint("`kitedb replica follow DB --source-db NEW` follows the node that took over");
    }
    if status.source_follows {
        return failure.hint(status::FOLLOW_PRIMARY);
    }
    let mut command = format!("kitedb replica promote {}", word(&args.common.database));
    for (option, given) in [("--source-db", &args.source_db), ("--source-sidecar", &args.source_sidecar)] {
        if let Some(given) = given {
            command = format!("{command} {option} {}", word(given));
        }
    }
    failure.literal_hint(format_args!(
        "only if none of these leads or comes back: the source, the primary that it follows itself, a node that took over from \
         it: `{command} --force` lets this replica lead without them. What only they have is lost, and if one of them writes \
         on, there are two histories"
    ))
}

/// A promotion that is called again after it was cut short in its very end has nothing left to do. What leads, and did not
/// take over from that source, was not promoted.
fn already_leads(args: &ReplicaPromoteArgs, database: &Database, epoch: u64, out: &mut dyn Write) -> Outcome {
    let name = args.common.database.display();
    let same =
        |a: &Path, b: &Path| a == b || a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b);
    let former = database.took_over_from()?;
    let Some(former) = former.filter(|former| args.source_db.as_ref().is_none_or(|given| same(given, former))) else {
        let given = args.source_db.as_ref().map_or("another node".into(), |given| given.display().to_string());
        let what = format_args!("{name} is a primary that leads epoch {epoch}, and did not take over from {given}");
        let failure = Failure::new(clean(&what.to_string()));
        return Err(match &args.source_db {
            Some(given) if same(given, &args.common.database) => failure
                .literal_hint("a database does not take over from itself: name the replica first, and then its source"),
            Some(given) => failure.literal_hint(format_args!(
                "were the arguments exchanged? `kitedb replica promote {} --source-db {}` lets that one take over",
                word(given),
                word(&args.common.database)
            )),
            None => failure.hint("`kitedb primary promote DB` begins another epoch in place"),
        });
    };
    let former = former.display().to_string();
    if args.common.json {
        let document = json!({ "role": "primary", "epoch": epoch, "already": true, "took_over_from": former });
        return write_json(out, &document);
    }
    let what = format!("{name} leads epoch {epoch} already, since it took over from {former}: nothing was changed");
    Ok(writeln!(out, "{}", clean(&what))?)
}
