//! `kitedb check`: is every byte and every invariant in order?

use super::write_json;
use crate::{
    cli::DatabaseArgs,
    failure::{DOES_NOT_OPEN, EXIT_FAULT, Failure, Outcome, not_opened},
    render::{
        number::{count, duration},
        style::{BAD, DIM, GOOD, Styled, clean},
        table::Table,
    },
    watched::Watched,
};
use kitedb_core::{CheckReport, Database, Error, ErrorCode, ErrorKind};
use serde_json::json;
use std::{
    io::{self, Write},
    time::Instant,
};

pub fn run(args: &DatabaseArgs, out: &mut dyn Write) -> Outcome {
    let started = Instant::now();
    let failed = |error| not_opened(error, &args.database, args.sidecar.as_ref());
    let watched = Watched::begin(|| {})?;
    let examined = examine(args, &watched);
    watched.end();
    match examined {
        Ok(report) => {
            if args.json {
                write_json(out, &document(&report))?;
            } else {
                show(&report, started, out)?;
            }
            out.flush()?;
            if report.is_clean() { Ok(()) } else { Err(Failure::shown(EXIT_FAULT)) }
        }
        Err(error) if error.code() == ErrorCode::Cancelled => {
            Err(Failure::from(error).literal_hint("nothing is known of what was not read; a check changes nothing"))
        }
        // What was given is wrong, and not what was looked at.
        Err(error) if args.sidecar.is_some() && error.code() == ErrorCode::LogMismatch => Err(failed(error)),
        // Damage so great that the database does not open is still damage found.
        Err(error) if error.kind() == ErrorKind::Reseed => {
            if args.json {
                write_json(out, &json!({ "clean": false, "damage": [error.to_string()] }))?;
                out.flush()?;
            }
            Err(failed(error).hint(format_args!(
                "the database does not open: `kitedb repair DB --dry-run` says whether its log can be mended; else {DOES_NOT_OPEN}"
            )))
        }
        Err(error) => Err(failed(error)),
    }
}

fn examine(args: &DatabaseArgs, watched: &Watched) -> Result<CheckReport, Error> {
    Database::open(&args.database, args.options().read_only(true))?.check_with(watched.watch())
}

pub fn document(report: &CheckReport) -> serde_json::Value {
    json!({
        "clean": report.is_clean(),
        "nodes": report.nodes,
        "edges": report.edges,
        "vectors": report.vectors,
        "log_index": report.log_index.0,
        "digest": report.digest.to_string(),
        "damage": report.damage,
        "errors": report.errors,
        "error_count": report.error_count,
    })
}

/// What is not in order, a line for each.
pub fn show_faults(report: &CheckReport, out: &mut dyn Write) -> io::Result<()> {
    for line in report.damage.iter().chain(&report.errors) {
        writeln!(out, "  {}", clean(line))?;
    }
    match report.error_count - report.errors.len() as u64 {
        0 => Ok(()),
        unseen => writeln!(out, "  {}", Styled(DIM, format!("and {} more", count(unseen)))),
    }
}

fn show(report: &CheckReport, started: Instant, out: &mut dyn Write) -> Outcome {
    let faults = report.damage.len() as u64 + report.error_count;
    if report.is_clean() {
        writeln!(out, "{} in {}", Styled(GOOD, "clean"), duration(started.elapsed()))?;
    } else {
        writeln!(out, "{}", Styled(BAD, format!("damaged: {} found", count(faults))))?;
    }
    show_faults(report, out)?;
    let mut table = Table::fields(2);
    if report.is_clean() {
        table.field("nodes", count(report.nodes)).field("edges", count(report.edges)).field("digest", report.digest);
    } else {
        // Reading ends where it cannot go on: these are no totals.
        table.field("nodes read", count(report.nodes)).field("edges read", count(report.edges));
    }
    Ok(table.write(out)?)
}
