//! `kitedb import`: from files into a database, batch by batch.

mod formats;
mod input;
mod report;
mod skipped;

use super::{require_options_of_role, require_takes_writes};
use crate::{
    cli::{Format, ImportArgs, OnDuplicate},
    failure::{EXIT_FAULT, EXIT_USAGE, Failure, Outcome},
    import::{
        Item,
        columns::{Columns, Rows},
        csv, edgelist, jsonl,
        notes::Notes,
        progress::Metered,
        sink::{Sink, Unwritten},
        tally::Counts,
        write::{self, Choices},
    },
    render::{
        number::{count, counted},
        style::clean,
    },
    watched::Watched,
};
use formats::{Wanted, delimiter, format_of};
use indicatif::ProgressBar;
use input::{Input, source, unread};
use kitedb_core::{Database, Digest, Error, ErrorCode, Watch};
use report::{FileReport, Report};
use skipped::Skipped;
use std::{
    cell::Cell,
    io::{self, Write},
    path::Path,
    time::Instant,
};

/// How much log an import lets grow before it goes into the file: what is only in the log takes up some fifteen
/// times as much memory.
const LOG_BYTES: u64 = 16 << 20;

/// The type of edges that name none, where no other one is said.
const EDGE_TYPE: &str = "LINK";

pub fn run(args: &ImportArgs, out: &mut dyn Write) -> Outcome {
    let files = args.files.iter().map(|path| Ok(Wanted { path, format: format_of(args, path)? }));
    let files: Vec<_> = files.collect::<Outcome<_>>()?;
    require_options_of(args, &files)?;
    let mut report = Report::default();
    let imported = run_import(args, &files, &mut report);
    match (imported, args.common.json) {
        (Ok(()), true) => report.show_json(args, &files, None, out)?,
        (Ok(()), false) => report.show(args, out)?,
        // Nothing was tried.
        (Err(failure), _) if failure.exit_code() == EXIT_USAGE && report.committed().is_none() => return Err(failure),
        (Err(failure), true) => {
            report.show_json(args, &files, Some(&failure), out)?;
            out.flush()?;
            return Err(failure);
        }
        (Err(failure), false) => return Err(failure),
    }
    let Some(failure) = not_all(&report) else { return Ok(()) };
    out.flush()?;
    Err(failure)
}

/// Why not all is imported of files that were read to their end.
fn not_all(report: &Report) -> Option<Failure> {
    let cut = report.files.iter().find_map(|file| Some((&file.name, file.lack.as_ref()?)));
    if let Some((name, lack)) = cut {
        let failure = Failure::new(format_args!("{name} is not the whole of an export: {lack}"));
        let hint = "what is there of it is imported; export the graph again, and import that into a new database";
        return Some(failure.exit(EXIT_FAULT).hint(hint));
    }
    let list = report.skipped_list.as_ref()?;
    let skipped = counted(report.skipped(), "bad line is left out", "bad lines are left out");
    let hint =
        format_args!("{} lists what is wrong with each; all else is imported", clean(&list.display().to_string()));
    Some(Failure::new(skipped).exit(EXIT_FAULT).literal_hint(hint))
}

/// Imports the files, and leaves the database closed.
fn run_import(args: &ImportArgs, files: &[Wanted<'_>], report: &mut Report) -> Outcome {
    let watched = Watched::begin(|| {})?;
    files.iter().try_for_each(|file| input::require_whole(file.path, file.format, args.skip_bad))?;
    let mut inputs = files.iter().map(|file| input::open(file.path, &watched).map(|input| (file, input)));
    // Before the database is made: who waits for a named pipe waits without one.
    let first = inputs.next().transpose().map_err(|failure| failure.although(report.kept()))?;
    let database = open_database(args)?;
    let mut skipped = Skipped::beside(&args.common.database);
    let imported = first.into_iter().map(Ok).chain(inputs).try_for_each(|input| {
        let (file, (input, bar)) = input.map_err(|failure| failure.although(report.kept()))?;
        let imported = import(args, file, input, (&bar, watched.watch()), &database, report, &mut skipped);
        bar.finish_and_clear();
        imported
    });
    report.skipped_list = skipped.path();
    let listed = |failure: Failure| match skipped.path() {
        Some(path) => {
            failure.although(format_args!("{} lists the bad lines before", clean(&path.display().to_string())))
        }
        None => failure,
    };
    match imported.map_err(listed).and_then(|()| skipped.finish()) {
        Ok(()) => database.close().map_err(|e| not_closed(e, report)),
        Err(failure) => {
            // A database that was made for what could not be imported is not left behind.
            match database.abandon() {
                Ok(()) => Err(failure),
                Err(e) => Err(failure.although(format_args!("closing it failed, too ({e}): {}", what_is_left(&e)))),
            }
        }
    }
}

/// Fails if an option is given that is of another format than that of any file.
fn require_options_of(args: &ImportArgs, files: &[Wanted<'_>]) -> Outcome {
    use Format::{Csv, Edgelist};
    let given: [(bool, &str, &[Format]); 6] = [
        (args.delimiter.is_some(), "--delimiter", &[Csv]),
        (args.no_header, "--no-header", &[Csv]),
        (args.nodes, "--nodes", &[Csv]),
        (args.edges, "--edges", &[Csv]),
        (args.columns.is_some(), "--columns", &[Csv, Edgelist]),
        (args.weighted, "--weighted", &[Edgelist]),
    ];
    for (_, option, of) in given.into_iter().filter(|(is_given, ..)| *is_given) {
        let Some(other) = files.first().filter(|_| files.iter().all(|file| !of.contains(&file.format))) else {
            continue;
        };
        let name = |format: &Format| formats::name(*format);
        let of = of.iter().map(name).collect::<Vec<_>>().join(" or ");
        let (file, format) = (source(other.path), formats::name(other.format));
        let what = format_args!("{option} is an option of the format {of}, and {file} is read as {format}");
        return Err(Failure::usage(what).hint(format_args!("leave {option} out, or pass --format {of}")));
    }
    let piped = files.iter().filter(|file| file.path == Path::new("-")).count();
    if piped > 1 {
        return Err(Failure::usage("standard input is given twice, and can be read once").hint("give - once"));
    }
    Ok(())
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
    let committed = report.committed().unwrap_or_else(|| "nothing was to be committed".to_owned());
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

/// Imports what is read of one file, and reports what of it was committed.
fn import(
    args: &ImportArgs,
    file: &Wanted<'_>,
    input: Input,
    shown: (&ProgressBar, &Watch),
    database: &Database,
    report: &mut Report,
    skipped: &mut Skipped,
) -> Outcome {
    let started = Instant::now();
    let was_empty = database.snapshot()?.digest() == Digest::default();
    let choices = Choices {
        edge_type: args.edge_type.as_deref().unwrap_or(EDGE_TYPE),
        label: args.label.as_deref(),
        on_duplicate: match args.on_duplicate {
            None => write::OnDuplicate::RefuseOther,
            Some(OnDuplicate::Error) => write::OnDuplicate::Refuse,
            Some(OnDuplicate::Keep) => write::OnDuplicate::Keep,
            Some(OnDuplicate::Update) => write::OnDuplicate::Update,
            Some(OnDuplicate::Parallel) => write::OnDuplicate::Parallel,
        },
    };
    let mut sink = Sink::new(database, args.batch as usize, choices)?;
    if args.skip_bad {
        sink = sink.going_on();
    }
    let mut done = FileReport { name: source(file.path), ..FileReport::default() };
    let before = report.counts();
    let read = read(args, file, input, shown, &mut sink, &mut done, (before, skipped)).and_then(|()| {
        let kept = before.and(sink.committed());
        sink.finish().map_err(|e| failed_after(e, &kept))
    });
    done.counts = sink.committed();
    done.there = sink.tally().named(done.counts).to_vec();
    done.warnings.extend(report::merged(&done.counts, sink.tally().first_merged()));
    // What was left out, or added, is told by who asked for it.
    let is_as_exported = was_empty && args.label.is_none() && args.key_prefix.is_none() && done.skipped == 0;
    let graph = if read.is_ok() && is_as_exported { Some(database.snapshot()?.digest()) } else { None };
    if read.is_ok() {
        done.lack = done.export.as_ref().and_then(|export| export.lack().or_else(|| export.other_than(graph)));
    }
    report.time += started.elapsed();
    report.files.push(done);
    read
}

/// A failure of the engine after so much was committed.
fn failed_after(error: Error, counts: &Counts) -> Failure {
    let failure = Failure::from(error);
    match report::committed(counts) {
        Some(committed) => failure.although(committed),
        None => failure,
    }
}

fn read(
    args: &ImportArgs,
    file: &Wanted<'_>,
    input: Input,
    (bar, watch): (&ProgressBar, &Watch),
    sink: &mut Sink<'_>,
    report: &mut FileReport,
    (before, skipped): (Counts, &mut Skipped),
) -> Outcome {
    let mut notes = Notes::default();
    // A failure that says for itself what is kept.
    let told = Cell::new(false);
    let mut visit = |item: Item<'_>| {
        report.last_line = item.to;
        watch.require_uncancelled()?;
        let what = match item.element {
            Ok(mut element) => {
                if file.format != Format::Jsonl {
                    notes.look(&element, item.line);
                }
                if let Some(prefix) = &args.key_prefix {
                    element = element.with_prefix(prefix);
                }
                match sink.put(element, item.line) {
                    Ok(false) => return Ok(()),
                    Ok(true) => {
                        bar.set_message(counted(sink.tally().counts.elements(), "element", "elements"));
                        return Ok(());
                    }
                    // What the engine will not take is as bad as what cannot be read.
                    Err(Unwritten::Refused(error)) => error.to_string(),
                    Err(Unwritten::Failed(error)) => {
                        told.set(true);
                        return Err(failed_after(error, &before.and(sink.committed())));
                    }
                }
            }
            Err(what) => what,
        };
        if !args.skip_bad {
            bar.finish_and_clear();
            told.set(true);
            return Err(bad_line(file, item.line, &what, sink.kept_to(), &before));
        }
        skipped.add(&source(file.path), (item.line, item.to), &what).inspect_err(|_| told.set(true))?;
        report.bad_lines((item.line, item.to), what);
        Ok(())
    };
    let failed = |error: &io::Error| unread(file.path, error);
    let mut reader = input::decoded(Metered::new(input, bar.clone())).map_err(|e| failed(&e));
    let read = reader.as_mut().map_err(|_| ()).map(|reader| match file.format {
        Format::Edgelist => {
            let names = args.columns.as_ref().map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
            let columns = names.map(|names| Columns::named(&names, Rows::Edges)).transpose();
            let columns = columns.map_err(|what| Failure::usage(format_args!("--columns: {what}")))?;
            edgelist::read(reader, args.weighted, columns.as_ref(), failed, &mut visit).map(|warnings| (None, warnings))
        }
        Format::Jsonl => jsonl::read(reader, failed, || accept_export(args, file.path), &mut visit)
            .map(|export| (export, Vec::new())),
        Format::Csv => {
            let rows = match (args.nodes, args.edges) {
                (true, _) => Rows::Nodes,
                (_, true) => Rows::Edges,
                _ => Rows::AsNamed,
            };
            let (delimiter, columns) = (delimiter(args, file.path), args.columns.clone());
            let table = csv::Table { delimiter, rows, columns, no_header: args.no_header };
            csv::read(reader, &table, failed, |columns| accept(args, columns), &mut visit).map(|notes| (None, notes))
        }
    });
    let read = match read {
        Ok(read) => read,
        Err(()) => Err(reader.err().unwrap_or_else(|| Failure::new("the input cannot be read"))),
    };
    let (export, warnings) = read.map_err(|failure| match failure.exit_code() {
        EXIT_USAGE if before.token.is_none() => failure,
        _ if told.get() => failure,
        // A signal, or an input that cannot be read on.
        _ => failure.although(kept(&before.and(sink.committed()), sink.kept_to())),
    })?;
    report.export = export;
    report.warnings = warnings.into_iter().chain(notes.told()).collect();
    Ok(())
}

/// What of an import is kept that ended before the end of a file.
fn kept(counts: &Counts, to: u64) -> String {
    let lines = if to > 0 { format!(", up to line {}", count(to)) } else { String::new() };
    report::committed(counts)
        .map_or_else(|| "nothing was imported".to_owned(), |committed| format!("{committed}{lines}"))
}

/// Fails if an option is given that has no effect on such a table.
fn accept(args: &ImportArgs, columns: &Columns) -> Outcome {
    match (&args.edge_type, args.files.as_slice()) {
        (Some(_), [path]) if columns.are_nodes() => {
            let what = format_args!("--type is the type of edges, and {} is a table of nodes", source(path));
            Err(Failure::usage(what).hint("leave --type out; --label is a label for every node"))
        }
        _ => Ok(()),
    }
}

/// Fails if every edge of an export would be added beside itself.
fn accept_export(args: &ImportArgs, path: &Path) -> Outcome {
    if args.on_duplicate != Some(OnDuplicate::Parallel) {
        return Ok(());
    }
    let what = format_args!("{} is an export, which has every edge once", source(path));
    Err(Failure::usage(what).hint("leave --on-duplicate parallel out"))
}

fn bad_line(file: &Wanted<'_>, line: u64, what: &str, kept_to: u64, before: &Counts) -> Failure {
    let kept = match (kept_to, report::committed(before)) {
        (0, None) => "nothing was imported".to_owned(),
        (0, Some(_)) => "the files before this one are imported, and nothing of it".to_owned(),
        (line, _) => format!("everything up to line {} is imported, nothing after it", count(line)),
    };
    Failure::new(format_args!("{}, line {line}: {}", source(file.path), clean(what)))
        .hint(format_args!("{kept}; correct the line and run the import again, or pass --skip-bad"))
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
