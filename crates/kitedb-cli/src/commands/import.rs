//! `kitedb import`: from a file into a database, batch by batch.

use super::{require_options_of_role, require_takes_writes, write_json};
use crate::{
    cli::{Format, ImportArgs},
    failure::{EXIT_FAULT, EXIT_USAGE, Failure, Outcome},
    import::{
        Item, csv, edgelist,
        envelope::{self, Envelope},
        jsonl,
        progress::{self, Metered},
        sink::{Counts, RENAMED, Sink, Unwritten},
    },
    piped::{PipedInput, interruption},
    render::{
        number::{count, counted, duration, rate},
        style::{BAD, DIM, Styled, TITLE, clean},
        table::{Left, Right, Table},
    },
    watched::Watched,
};
use indicatif::ProgressBar;
use kitedb_core::{Database, Digest, Error, ErrorCode, Token, Watch, graph::RESERVED_PROPERTY};
use serde_json::json;
use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    os::fd::AsFd,
    path::Path,
    time::{Duration, Instant},
};

/// So many bad lines are shown; the rest is only counted.
const SHOWN: usize = 10;

/// How much log an import lets grow before it goes into the file: what is only in the log takes up some fifteen
/// times as much memory.
const LOG_BYTES: u64 = 16 << 20;

/// The type of edges that name none, where no other one is said.
const EDGE_TYPE: &str = "LINK";

#[derive(Default)]
struct Report {
    /// What was committed.
    counts: Counts,
    skipped: u64,
    bad_lines: Vec<(u64, String)>,
    last_line: u64,
    /// What the file says of itself, if it is an export.
    export: Option<Envelope>,
    /// Why the graph is not the one that was exported.
    lack: Option<String>,
    time: Duration,
}

pub fn run(args: &ImportArgs, out: &mut dyn Write) -> Outcome {
    let format = args.format.or_else(|| guess(&args.file)).ok_or_else(|| {
        Failure::usage(format_args!("cannot tell the format of {} by its name", args.file.display()))
            .hint("pass --format edgelist, csv or jsonl")
    })?;
    require_options_of(args, format)?;
    let mut report = Report::default();
    let imported = run_import(args, format, &mut report);
    match (imported, args.common.json) {
        (Ok(()), true) => show_json(args, format, &report, None, out)?,
        (Ok(()), false) => show(args, &report, out)?,
        // Nothing was tried.
        (Err(failure), _) if failure.exit_code() == EXIT_USAGE => return Err(failure),
        (Err(failure), true) => {
            show_json(args, format, &report, Some(&failure), out)?;
            out.flush()?;
            return Err(failure);
        }
        (Err(failure), false) => return Err(failure),
    }
    let Some(lack) = &report.lack else { return Ok(()) };
    out.flush()?;
    Err(Failure::new(format_args!("{} is not the whole of an export: {lack}", source(args)))
        .exit(EXIT_FAULT)
        .hint("what is there of it is imported; export the graph again, and import that into a new database"))
}

/// Imports the file, and leaves the database closed.
fn run_import(args: &ImportArgs, format: Format, report: &mut Report) -> Outcome {
    let watched = Watched::begin(|| {})?;
    let (input, bar) = open(args, format, &watched)?;
    let database = open_database(args)?;
    let imported = import(args, format, input, (&bar, watched.watch()), &database, report);
    let imported = match imported {
        Ok(()) => database.close().map_err(|e| not_closed(e, report)),
        Err(failure) => {
            // A database that was made for what could not be imported is not left behind.
            match database.abandon() {
                Ok(()) => Err(failure),
                Err(e) => Err(failure.although(format_args!("closing it failed, too ({e}): {}", what_is_left(&e)))),
            }
        }
    };
    bar.finish_and_clear();
    imported
}

/// Fails if an option is given that is of another format than that of the file.
fn require_options_of(args: &ImportArgs, format: Format) -> Outcome {
    let (option, of) = match format {
        Format::Edgelist | Format::Jsonl if args.delimiter.is_some() => ("--delimiter", "csv"),
        Format::Csv | Format::Jsonl if args.weighted => ("--weighted", "edgelist"),
        _ => return Ok(()),
    };
    let what =
        format_args!("{option} is an option of the format {of}, and {} is read as {}", source(args), name_of(format));
    Err(Failure::usage(what).hint(format_args!("leave {option} out, or pass --format {of}")))
}

fn name_of(format: Format) -> &'static str {
    match format {
        Format::Edgelist => "edgelist",
        Format::Csv => "csv",
        Format::Jsonl => "jsonl",
    }
}

/// All that could be read is committed; what failed is the close.
fn not_closed(error: Error, report: &Report) -> Failure {
    let hint = match error.code() {
        ErrorCode::DiskFull => "free some space",
        _ => "see to the disk",
    };
    let survives = what_survives(&error, report);
    Failure::from(error.context("the file was not brought up to date")).hint(format_args!("{survives}; {hint}"))
}

/// What is there of an import that failed, after a close that failed so.
fn what_is_left(error: &Error) -> &'static str {
    if is_unproved(error) {
        "whether all that was committed survives is unknown, because a sync failed; open the database and look"
    } else {
        "what was committed is in the log, and the next checkpoint brings it into the file"
    }
}

/// Whether what was committed since the last sync that succeeded may be gone with the machine.
fn is_unproved(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::SyncFailed | ErrorCode::OutcomeUnknown | ErrorCode::Poisoned)
}

/// What of an import is there after a close that failed so.
fn what_survives(error: &Error, report: &Report) -> String {
    let committed = committed(&report.counts).unwrap_or_else(|| "nothing was to be committed".to_owned());
    match is_unproved(error) {
        true => format!(
            "{committed}: whether all of it survives is unknown, because a sync failed; open the database, look which commit \
             is its last (`kitedb stats DB`), and import what is missing"
        ),
        false => format!(
            "{committed}: all of it counts, and is in the log; nothing needs to be imported again, and the next checkpoint \
             brings it into the file"
        ),
    }
}

/// What of an import is committed, whatever came after.
fn committed(counts: &Counts) -> Option<String> {
    let token = counts.token?;
    Some(format!("{} committed, the last is {token}", counted(counts.batches, "batch is", "batches are")))
}

/// Imports what is read, and reports what of it was committed.
fn import(
    args: &ImportArgs,
    format: Format,
    input: Input,
    shown: (&ProgressBar, &Watch),
    database: &Database,
    report: &mut Report,
) -> Outcome {
    let started = Instant::now();
    let was_empty = database.snapshot()?.digest() == Digest::default();
    let edge_type = args.edge_type.as_deref().unwrap_or(EDGE_TYPE);
    let mut sink = Sink::new(database, args.batch as usize, edge_type, args.label.as_deref())?;
    if args.skip_bad {
        sink = sink.going_on();
    }
    let read = read(args, format, input, shown, &mut sink, report).and_then(|()| {
        let kept = sink.committed();
        sink.finish().map_err(|e| failed_after(e, &kept))
    });
    report.counts = sink.committed();
    report.time = started.elapsed();
    read?;
    // What was left out, or added, is told by who asked for it.
    let is_as_exported = was_empty && args.label.is_none() && report.skipped == 0;
    let graph = if is_as_exported { Some(database.snapshot()?.digest()) } else { None };
    report.lack = report.export.as_ref().and_then(|export| export.lack().or_else(|| export.other_than(graph)));
    Ok(())
}

/// A failure of the engine after so much was committed.
fn failed_after(error: Error, counts: &Counts) -> Failure {
    let failure = Failure::from(error);
    match committed(counts) {
        Some(committed) => failure.although(committed),
        None => failure,
    }
}

fn read(
    args: &ImportArgs,
    format: Format,
    input: Input,
    (bar, watch): (&ProgressBar, &Watch),
    sink: &mut Sink<'_>,
    report: &mut Report,
) -> Outcome {
    let mut visit = |item: Item<'_>| {
        report.last_line = item.line;
        watch.require_uncancelled()?;
        let what = match item.element {
            Ok(element) => match sink.put(element, item.line) {
                Ok(false) => return Ok(()),
                Ok(true) => {
                    bar.set_message(counted(sink.counts().elements(), "element", "elements"));
                    return Ok(());
                }
                // What the engine will not take is as bad as what cannot be read.
                Err(Unwritten::Refused(error)) => error.to_string(),
                Err(Unwritten::Failed(error)) => return Err(failed_after(error, &sink.committed())),
            },
            Err(what) => what,
        };
        if !args.skip_bad {
            bar.finish_and_clear();
            return Err(bad_line(args, item.line, &what, sink.kept_to()));
        }
        report.skipped += 1;
        if report.bad_lines.len() < SHOWN {
            report.bad_lines.push((item.line, what));
        }
        Ok(())
    };
    let failed = |error: &io::Error| unread(args, error);
    let input = Metered::new(input, bar.clone());
    let read = match format {
        Format::Edgelist => edgelist::read(buffered(input), args.weighted, failed, &mut visit).map(|()| None),
        Format::Jsonl => jsonl::read(buffered(input), failed, &mut visit),
        Format::Csv => csv::read(buffered(input), delimiter(args), failed, |columns| accept(args, columns), &mut visit)
            .map(|()| None),
    };
    report.export = read.map_err(|failure| match failure.code() {
        Some(ErrorCode::Cancelled) => ended(failure, &sink.committed()),
        _ => failure,
    })?;
    Ok(())
}

/// Why the input cannot be read on.
fn unread(args: &ImportArgs, error: &io::Error) -> Failure {
    interruption(error).map_or_else(|| Failure::reading(&args.file, error), Failure::from)
}

/// The failure of an import that a signal ended, with what it did.
fn ended(failure: Failure, counts: &Counts) -> Failure {
    failure.although(committed(counts).unwrap_or_else(|| "nothing was imported".to_owned()))
}

/// Fails if an option is given that has no effect on such a table.
fn accept(args: &ImportArgs, columns: &csv::Columns) -> Outcome {
    match &args.edge_type {
        Some(_) if columns.are_nodes() => {
            let what = format_args!("--type is the type of edges, and {} is a table of nodes", source(args));
            Err(Failure::usage(what).hint("leave --type out; --label is a label for every node"))
        }
        _ => Ok(()),
    }
}

fn bad_line(args: &ImportArgs, line: u64, what: &str, kept_to: u64) -> Failure {
    let kept = match kept_to {
        0 => "nothing was imported".to_owned(),
        line => format!("everything up to line {} is imported, nothing after it", count(line)),
    };
    Failure::new(format_args!("{}, line {line}: {}", source(args), clean(what)))
        .hint(format_args!("{kept}; correct the line and run the import again, or pass --skip-bad"))
}

/// How the input is called.
fn source(args: &ImportArgs) -> String {
    if args.file == Path::new("-") { "standard input".to_owned() } else { clean(&args.file.display().to_string()) }
}

/// Opens the database in the role that it has, unless one is asked for.
fn open_database(args: &ImportArgs) -> Outcome<Database> {
    let mut options = args.log.apply(args.common.options()).create_if_missing(true);
    if let Some(role) = args.role {
        options = options.replication_role(role.into());
    }
    let database = Database::open(&args.common.database, options.checkpoint_log_bytes(LOG_BYTES))?;
    let options = require_options_of_role(&args.log, &args.common.database, &database, ", or pass --role primary");
    if let Err(failure) = options {
        // One that was made is not left behind.
        database.abandon()?;
        return Err(failure);
    }
    // Before anything is read: whoever may not write learns it now, not after the first batch.
    require_takes_writes(&database, &args.common.database)?;
    Ok(database)
}

type Input = Box<dyn Read>;

fn open(args: &ImportArgs, format: Format, watched: &Watched) -> Outcome<(Input, ProgressBar)> {
    let path = args.file.as_path();
    let failed = |error: io::Error| match unread(args, &error) {
        failure if failure.code() == Some(ErrorCode::Cancelled) => ended(failure, &Counts::default()),
        failure => failure,
    };
    let piped = |input: io::Result<PipedInput>| -> Outcome<(Input, ProgressBar)> {
        Ok((Box::new(input.map_err(failed)?), progress::bar(None)))
    };
    if path == Path::new("-") {
        let input = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        return piped(PipedInput::open(move || Ok(input.into()), watched));
    }
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::new(format_args!("cannot read {}: it is a folder", path.display())));
    }
    if !metadata.is_file() {
        let path = path.to_owned();
        return piped(PipedInput::open(move || File::open(path), watched));
    }
    let mut file = File::open(path).map_err(failed)?;
    // What can be looked at before anything is written.
    if format == Format::Jsonl && !args.skip_bad && envelope::is_cut(&mut file).map_err(failed)? {
        let what = format_args!(
            "{} is cut: it begins as an export does, and its last line is not the one with which an export ends",
            source(args)
        );
        return Err(Failure::new(what).exit(EXIT_FAULT).hint(
            "nothing is imported; export the graph again, or import what is there with --skip-bad, which ends with 3, too",
        ));
    }
    Ok((Box::new(file), progress::bar(Some(metadata.len()))))
}

fn buffered(input: Metered<Input>) -> BufReader<Metered<Input>> {
    BufReader::with_capacity(256 << 10, input)
}

/// The format that a file's name stands for.
fn guess(path: &Path) -> Option<Format> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "csv" | "tsv" => Some(Format::Csv),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "txt" | "el" | "edges" | "edgelist" => Some(Format::Edgelist),
        _ if path.file_stem().is_some_and(|stem| stem == "out") => Some(Format::Edgelist),
        _ => None,
    }
}

fn delimiter(args: &ImportArgs) -> u8 {
    let tabs = args.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
    args.delimiter.unwrap_or(if tabs { b'\t' } else { b',' })
}

fn show_json(
    args: &ImportArgs,
    format: Format,
    report: &Report,
    failure: Option<&Failure>,
    out: &mut dyn Write,
) -> Outcome {
    let error = failure.map(Failure::document);
    let counts = &report.counts;
    let bad: Vec<_> = report.bad_lines.iter().map(|(line, what)| json!({ "line": line, "error": what })).collect();
    write_json(
        out,
        &json!({
            "database": args.common.database.display().to_string(),
            "file": args.file.display().to_string(),
            "format": name_of(format),
            "lines": report.last_line,
            "nodes_created": counts.nodes_created,
            "nodes_updated": counts.nodes_updated,
            "edges_created": counts.edges_created,
            "edges_existing": counts.edges_existing,
            "skipped": report.skipped,
            "bad_lines": bad,
            "warnings": warning(counts).as_slice(),
            "export": report.export.is_some().then_some(if report.lack.is_some() { "incomplete" } else { "whole" }),
            "export_lack": report.lack,
            "batches": counts.batches,
            "committed": counts.token.is_some(),
            "error": error,
            "token": counts.token.map(Token::full),
            "seconds": report.time.as_secs_f64(),
        }),
    )
}

/// What is not as the file says, once for the whole of it.
fn warning(counts: &Counts) -> Option<String> {
    let renamed = match counts.renamed {
        0 => return None,
        number => counted(number, "property called", "properties called"),
    };
    Some(format!(
        "{renamed} `{RESERVED_PROPERTY}` came in as `{RENAMED}`: no property has that name, under which queries read the key \
         of a node"
    ))
}

fn show(args: &ImportArgs, report: &Report, out: &mut dyn Write) -> Outcome {
    let counts = &report.counts;
    let (file, database) = (source(args), clean(&args.common.database.display().to_string()));
    let per_second = counted(rate(counts.elements(), report.time), "element", "elements");
    let title = Styled(TITLE, format!("{file} → {database}"));
    let time = Styled(DIM, format!("{}, {per_second}/s", duration(report.time)));
    writeln!(out, "{title}  {time}")?;
    let mut table = Table::new(2, [("", Left, DIM), ("", Right, crate::render::style::PLAIN), ("", Left, DIM)]);
    let already =
        |number: u64| if number == 0 { String::new() } else { format!("and {} there already", count(number)) };
    table.row(["nodes".into(), count(counts.nodes_created), already(counts.nodes_updated)]);
    table.row(["edges".into(), count(counts.edges_created), already(counts.edges_existing)]);
    let token = counts.token.map(|token| format!("the last is {token}")).unwrap_or_default();
    table.row(["commits".into(), count(counts.batches), token]);
    if report.skipped > 0 {
        table.row(["bad lines".into(), count(report.skipped), "skipped".into()]);
    }
    table.write(out)?;
    if let Some(warning) = warning(counts) {
        writeln!(out, "  {} {warning}", Styled(BAD, "warning:"))?;
    }
    for (line, what) in &report.bad_lines {
        writeln!(out, "  {} {}", Styled(DIM, format!("line {line}:")), clean(what))?;
    }
    let unseen = report.skipped - report.bad_lines.len() as u64;
    if unseen > 0 {
        writeln!(out, "  {}", Styled(DIM, format!("and {} more", count(unseen))))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_format() {
        for (name, want) in [
            ("people.csv", Some(Format::Csv)),
            ("a/b.TSV", Some(Format::Csv)),
            ("graph.jsonl", Some(Format::Jsonl)),
            ("graph.ndjson", Some(Format::Jsonl)),
            ("soc-Epinions1.txt", Some(Format::Edgelist)),
            ("out.ego-facebook", Some(Format::Edgelist)),
            ("graph", None),
            ("-", None),
        ] {
            assert_eq!(guess(Path::new(name)), want, "{name}");
        }
    }
}
