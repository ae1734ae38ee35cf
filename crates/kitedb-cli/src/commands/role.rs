//! `kitedb role`: what part a database plays in replication, and what an operator says of a copy.

use super::{clean, exit_without_log, fault_if, look_at, rivals::rival_document, whole, write_json};
use crate::{
    cli::{RoleArgs, RoleCommand},
    failure::{Failure, Outcome},
    render::style::{BAD, DIM, GOOD, Styled, word},
};
use kitedb_core::{Database, LeftFollower, OpenOptions, PrimaryReplicationStatus, Token, io::Env, short_id};
use serde_json::{Value as Json, json};
use std::{io::Write, path::Path};

pub fn run(args: &RoleArgs, out: &mut dyn Write) -> Outcome {
    match &args.command {
        None => show(args, out),
        Some(RoleCommand::Detach { overwrite }) => detach(args, *overwrite, out),
        Some(RoleCommand::Primary { moved: true, force }) => confirm_moved(args, *force, out),
        Some(RoleCommand::Primary { moved: false, .. }) => Err(Failure::usage(
            "a database becomes a primary when it is opened as one, for example by `kitedb import DB FILE --role primary`",
        )
        .hint("`--moved` says that a copied or restored primary leads in place of the one it was copied from")),
    }
}

fn options(args: &RoleArgs) -> OpenOptions {
    let options = args.common.options().create_if_missing(false);
    options.accept_hard_links(args.accept_hard_links).accept_copy(args.accept_copy)
}

fn show(args: &RoleArgs, out: &mut dyn Write) -> Outcome {
    if args.accept_hard_links || args.accept_copy {
        return Err(Failure::usage(
            "--accept-hard-links and --accept-copy say how `detach` and `primary` write; nothing is written \
             without one of them",
        ));
    }
    let database = look_at(&args.common, options(args))?;
    let role = database.replication_role().as_str();
    let moved = database.is_copied();
    let status = database.primary_replication_status()?;
    let led_by = status.as_ref().and_then(|status| status.led_by.clone());
    let status = status.filter(|status| status.fenced);
    let fenced = status.is_some();
    let fence = status.as_ref().and_then(|status| status.fence.as_ref());
    let (assumed, unfinished) = fence.map_or((false, false), |fence| (fence.assumed, fence.ended.is_none()));
    let unfinished = unfinished || status.as_ref().is_some_and(|status| status.begun_by.is_some());
    let why = status.as_ref().filter(|_| unfinished && !assumed).and_then(PrimaryReplicationStatus::fault);
    let fault = database.replication_log_fault();
    // As its status ends: what is shown here is one of its faults.
    let end = |out: &mut dyn Write| {
        let shown = match &fault {
            Some(_) if !moved && !fenced => Err(Failure::shown(exit_without_log(&database))),
            _ => fault_if(moved || fenced || led_by.is_some(), out),
        };
        out.flush()?;
        whole(&database, shown, out)
    };
    let name = clean(&args.common.database.display().to_string());
    if args.common.json {
        let document = json!({
            "role": role, "fenced": fenced, "copied": moved, "log_fault": fault,
            "led_by": led_by.as_ref().map(rival_document),
        });
        write_json(out, &document)?;
        return end(out);
    }
    let stale = match fenced {
        true if assumed => {
            ", fenced: its control file was repaired or an older one put back, and what it knew of other nodes is lost"
        }
        true => match &why {
            Some(why) => &format!(", fenced: {}", clean(why)),
            None => ", fenced: another node took over",
        },
        false => "",
    };
    // What a copy lacks that was taken in use is given up by name only.
    let given_up = if database.damage().is_some() { " --overwrite" } else { "" };
    let copied = match &fault {
        _ if moved => {
            format!(
                ", copied or restored: `kitedb role {word} primary --moved` or `kitedb role {word} detach{given_up}` says what it is; \
                 `kitedb replica reseed {word} --source-db NODE --overwrite` makes it a replica of the node that leads",
                word = word(&args.common.database)
            )
        }
        Some(fault) => format!(", {}", clean(fault)),
        None => String::new(),
    };
    writeln!(out, "{name}{}", Styled(DIM, format!("  {role}{stale}{copied}")))?;
    if let Some(rival) = led_by.as_ref().filter(|_| !fenced) {
        let status = format!("`kitedb primary status {}` says what to do", word(&args.common.database));
        writeln!(out, "  {}", Styled(BAD, clean(&format!("two leaders: {rival}: {status}"))))?;
    }
    end(out)
}

fn detach(args: &RoleArgs, overwrite: bool, out: &mut dyn Write) -> Outcome {
    let options = options(args).replication_overwrite(overwrite);
    let detached = Database::detach_in(Env::real(), &args.common.database, options)?;
    let last = detached.last_token;
    let former = detached.former_sidecar.map(|dir| dir.display().to_string());
    // Where those that followed it find another source.
    let still_known = detached.still_registered.as_ref().and_then(|still| still.source_db_path.as_ref());
    let upstream = detached.left_source.as_ref().or(still_known).cloned();
    let left = detached.left_source.map(|source| source.display().to_string());
    if args.common.json {
        let followers: Vec<_> = detached.followers.iter().map(follower_document).collect();
        let still = detached.still_registered.map(|still| {
            let source = still.source_db_path.map(|source| source.display().to_string());
            json!({ "source_db_path": source, "replica_id": still.replica_id, "error": still.why })
        });
        return write_json(
            out,
            &json!({
                "followers": followers,
                "role": "disabled", "last_token": last.map(Token::full), "missing": detached.missing, "left_source": left,
                "still_registered": still, "former_sidecar": former,
            }),
        );
    }
    let name = clean(&args.common.database.display().to_string());
    let holds = last.map_or_else(|| "without a commit".to_owned(), |token| format!("as of {token}"));
    writeln!(out, "{}", Styled(GOOD, format!("{name} is a database of its own, {holds}")))?;
    if let Some(missing) = detached.missing {
        writeln!(out, "  what was only in a log is not in it: {}", clean(&missing))?;
    }
    if let Some(left) = left {
        writeln!(out, "{}", Styled(DIM, format!("  {} no longer keeps its log for it", clean(&left))))?;
    }
    if let Some(still) = detached.still_registered {
        let named = still.source_db_path.as_deref().unwrap_or(Path::new("SOURCE"));
        let source =
            still.source_db_path.as_ref().map_or("its source".into(), |source| clean(&source.display().to_string()));
        let (why, remove) =
            (clean(&still.why), format!("`kitedb primary remove {} {}`", word(named), still.replica_id));
        let what = format!("  {source} still keeps its log for it: end that with {remove} once it is there ({why})");
        writeln!(out, "{}", Styled(BAD, what))?;
    }
    for follower in &detached.followers {
        writeln!(out, "  {}", Styled(BAD, clean(&told_of(follower, upstream.as_deref()))))?;
    }
    if let Some(former) = former {
        writeln!(out, "{}", Styled(DIM, format!("  the log of what it was stays in {}", clean(&former))))?;
    }
    Ok(())
}

fn follower_document(follower: &LeftFollower) -> Json {
    json!({
        "replica_id": follower.replica_id,
        "name": follower.name,
        "path": follower.path,
        "last_token": follower.last.full(),
    })
}

/// What becomes of a replica that followed a node which is a database of its own now, and followed `upstream` itself, if it did.
fn told_of(follower: &LeftFollower, upstream: Option<&Path>) -> String {
    let id = short_id(&follower.replica_id);
    let label = follower.name.as_ref().or(follower.path.as_ref());
    format!(
        "the replica {} followed it, up to {}, and is not told: `kitedb replica follow {} --source-db {}` lets it follow another node",
        label.map_or_else(|| id.to_owned(), |label| format!("{label} ({id})")),
        follower.last,
        word(follower.path.as_deref().map_or(Path::new("REPLICA"), Path::new)),
        word(upstream.unwrap_or(Path::new("NODE")))
    )
}

fn confirm_moved(args: &RoleArgs, force: bool, out: &mut dyn Write) -> Outcome {
    let options = options(args).replication_overwrite(force);
    let confirmed = Database::confirm_moved_in(Env::real(), &args.common.database, options)?;
    let (epoch, not_seen) = (confirmed.epoch, confirmed.not_seen);
    if args.common.json {
        return write_json(out, &json!({ "role": "primary", "epoch": epoch, "not_seen": not_seen }));
    }
    let name = clean(&args.common.database.display().to_string());
    writeln!(out, "{}", Styled(GOOD, format!("{name} leads epoch {epoch}")))?;
    writeln!(out, "{}", Styled(DIM, "  the one that it was copied from must not write again"))?;
    for unseen in &not_seen {
        let what = format!("not looked at: {}; if it leads, or has more, there are two histories", clean(unseen));
        writeln!(out, "  {}", Styled(BAD, what))?;
    }
    Ok(())
}
