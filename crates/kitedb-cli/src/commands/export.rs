//! `kitedb export`: from a database into a file that `import` reads.

use super::{is_denied, write_json};
use crate::{
    cli::ExportArgs,
    export::{self, Counts, Failed},
    failure::{EXIT_FAILED, EXIT_FAULT, Failure, Outcome, not_opened},
    piped::PipedOutput,
    render::{
        number::{bytes, count, counted, duration},
        style::{DIM, Styled, TITLE, clean},
        table::{Left, Right, Table},
    },
    watched::Watched,
};
use kitedb_core::{Database, View, Watch};
use serde_json::json;
use std::{
    io::{self, BufWriter, Write},
    os::fd::AsFd,
    path::Path,
    time::{Duration, Instant},
};

/// What comes of an export of what does not open.
const NOTHING: &str = "nothing is exported";

pub fn run(args: &ExportArgs, out: &mut dyn Write) -> Outcome {
    let output = args.output.as_deref().filter(|path| *path != Path::new("-"));
    if output.is_none() && args.common.json {
        let what = "--json prints a report, and the export itself goes to standard output";
        return Err(Failure::usage(what).hint("pass --output FILE, or leave --json out: an export is JSON in any case"));
    }
    let started = Instant::now();
    let database = Database::open(&args.common.database, args.common.options().read_only(true));
    let database = database
        .map_err(|error| not_opened(error.context(NOTHING), &args.common.database, args.common.sidecar.as_ref()))?;
    require_whole(&database)?;
    let view = database.snapshot()?;
    // The definitions of indexes are in the digest, and not in the export.
    let has_indexes = !database.indexes()?.is_empty();
    let digest = (!has_indexes).then(|| view.digest().to_string());
    let write = |watch: &Watch, out: &mut dyn Write| {
        export::write_graph(&view, digest, || require_whole(&database), watch, out)
    };
    let Some(path) = output else {
        out.flush()?;
        return to_standard_output(write);
    };
    let watched = Watched::begin(export::remove_draft)?;
    let counts = export::write_file(path, |out| write(watched.watch(), out))?;
    watched.end();
    match args.common.json {
        true => show_json(args, path, &view, &counts, started.elapsed(), out),
        false => show(args, path, &view, &counts, started.elapsed(), out),
    }
}

/// What is exported is no text for a terminal, from which codes of colours would be taken out.
fn to_standard_output(write: impl FnOnce(&Watch, &mut dyn Write) -> Result<Counts, Failed>) -> Outcome {
    let watched = Watched::begin(|| {})?;
    let failed = |failed: Failed| match failed.interruption() {
        // What went there cannot be taken back.
        Some(error) => Failure::from(error).literal_hint(
            "what was exported to standard output is not the whole graph, and lacks its last line: an import tells",
        ),
        None => failed.into_failure("the export to standard output"),
    };
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    let output = PipedOutput::begin(output.into(), &watched)?;
    let mut output = BufWriter::with_capacity(256 << 10, output);
    write(watched.watch(), &mut output).map_err(failed)?;
    output.flush().map_err(|error| failed(error.into()))
}

/// An export of less than was committed would pass for the whole.
fn require_whole(database: &Database) -> Outcome {
    let Some(damage) = database.damage() else { return Ok(()) };
    let exit = if is_denied(database) { EXIT_FAILED } else { EXIT_FAULT };
    Err(Failure::new(format_args!("nothing is exported, because less than was committed can be read: {damage}"))
        .exit(exit))
}

fn show_json(
    args: &ExportArgs,
    path: &Path,
    view: &View,
    counts: &Counts,
    time: Duration,
    out: &mut dyn Write,
) -> Outcome {
    write_json(
        out,
        &json!({
            "database": args.common.database.display().to_string(),
            "file": path.display().to_string(),
            "names": counts.names,
            "nodes": counts.nodes,
            "edges": counts.edges,
            "vectors": counts.vectors,
            "lines": counts.lines,
            "bytes": counts.bytes,
            "token": view.token().full(),
            "digest": view.digest().to_string(),
            "seconds": time.as_secs_f64(),
        }),
    )
}

fn show(args: &ExportArgs, path: &Path, view: &View, counts: &Counts, time: Duration, out: &mut dyn Write) -> Outcome {
    let (database, file) = (clean(&args.common.database.display().to_string()), clean(&path.display().to_string()));
    let size = format!("{} in {}", bytes(counts.bytes), duration(time));
    writeln!(out, "{}  {}", Styled(TITLE, format!("{database} → {file}")), Styled(DIM, size))?;
    let mut table = Table::new(2, [("", Left, DIM), ("", Right, crate::render::style::PLAIN), ("", Left, DIM)]);
    table.row(["nodes".into(), count(counts.nodes), counted(counts.vectors, "vector", "vectors")]);
    table.row(["edges".into(), count(counts.edges), String::new()]);
    table.row(["lines".into(), count(counts.lines), format!("as of {}", view.token())]);
    Ok(table.write(out)?)
}
