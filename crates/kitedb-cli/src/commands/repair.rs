//! `kitedb repair`: a log whose control file is damaged or gone, or that ends in damage, is mended by what its frames prove.

use super::write_json;
use crate::{
    cli::RepairArgs,
    failure::{DOES_NOT_OPEN, EXIT_FAULT, Failure, Outcome},
    render::style::{BAD, DIM, GOOD, Styled, clean, word},
    watched::Watched,
};
use kitedb_core::{Database, ErrorCode, ErrorKind, Repair, RepairOptions, Token};
use serde_json::json;
use std::{io, io::Write};

pub fn run(args: &RepairArgs, out: &mut dyn Write) -> Outcome {
    let watched = Watched::begin(|| {})?;
    let mut options = RepairOptions::new()
        .watched_by(watched.watch())
        .dry_run(args.dry_run)
        .accept_hard_links(args.accept_hard_links);
    if let Some(dir) = &args.common.sidecar {
        options = options.replication_sidecar_path(dir);
    }
    if let Some(last) = args.cut_at {
        options = options.cut_at(last);
    }
    let repaired = Database::repair(&args.common.database, options);
    watched.end();
    let repair = repaired.map_err(|error| match error.kind() {
        ErrorKind::Cancelled => Failure::from(error).literal_hint("nothing was changed"),
        // Its message names what is given up, and how, where the log is what is damaged.
        ErrorKind::Reseed if error.names_a_command() => {
            Failure::from(error).hint(
                "where none of that can be done, `kitedb replica reseed DB --source-db NODE --overwrite` makes it a replica of a \
                 node that leads; without one, restore it from a copy",
            )
        }
        // What is wrong is a place that was given, or what lies there, as its message says.
        ErrorKind::Reseed if error.code() == ErrorCode::LogMismatch => error.into(),
        ErrorKind::Reseed => Failure::from(error).hint(DOES_NOT_OPEN),
        _ => error.into(),
    })?;
    if args.common.json {
        write_json(out, &document(&repair))?;
    } else {
        show(args, &repair, out)?;
    }
    out.flush()?;
    let mended = repair.remains.is_empty() && (repair.done || repair.found.is_empty());
    if mended { Ok(()) } else { Err(Failure::shown(EXIT_FAULT)) }
}

fn document(repair: &Repair) -> serde_json::Value {
    let token = |token: Option<Token>| token.map(Token::full);
    json!({
        "found": repair.found,
        "steps": repair.steps,
        "remains": repair.remains,
        "put_aside": repair.put_aside.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        "last_token": token(repair.last_token),
        "asks_for_cut_at": token(repair.asks_for),
        "only_log_is_lost": repair.only_log_is_lost,
        "fenced": repair.fenced,
        "done": repair.done,
    })
}

fn show(args: &RepairArgs, repair: &Repair, out: &mut dyn Write) -> io::Result<()> {
    let name = clean(&args.common.database.display().to_string());
    let ends = repair.last_token.map_or_else(|| "without a commit".to_owned(), |last| format!("as of {last}"));
    match (repair.done, repair.found.is_empty()) {
        (true, _) => writeln!(out, "{}", Styled(GOOD, format!("{name} is repaired, {ends}")))?,
        (false, true) => writeln!(out, "{name} has nothing that a repair would mend, {ends}")?,
        (false, false) => writeln!(out, "{}", Styled(BAD, format!("{name} can be repaired, {ends}")))?,
    }
    let lines = |out: &mut dyn Write, head: &str, lines: &[String]| -> io::Result<()> {
        lines.iter().try_for_each(|line| writeln!(out, "  {} {}", Styled(DIM, head), clean(line)))
    };
    lines(out, "found:", &repair.found)?;
    // First: nothing else is done before that is said.
    if let Some(last) = repair.asks_for {
        let word = word(&args.common.database);
        let what = match repair.only_log_is_lost {
            true => {
                "no commit is missing. Put back what the log has lost; where nothing has it, give the log up by name, and reseed \
                 the replicas that need it"
                    .to_owned()
            }
            false => format!(
                "what came after {last} cannot be read. Where no other node and no copy has it, give it up by name"
            ),
        };
        writeln!(out, "  {what}: `kitedb repair {word} --cut-at {last}`")?;
    }
    let head = match (repair.done, repair.asks_for) {
        (true, _) => "did:".to_owned(),
        // Without that word it does none of them.
        (false, Some(last)) => format!("would, with --cut-at {last}:"),
        (false, None) => "would:".to_owned(),
    };
    lines(out, &head, &repair.steps)?;
    for path in &repair.put_aside {
        writeln!(out, "  {} {}", Styled(DIM, "kept:"), clean(&path.display().to_string()))?;
    }
    lines(out, "remains:", &repair.remains)?;
    Ok(())
}
