//! `kitedb stats`: what a database holds and what it takes up.

use super::{damage_of, open_to_read, whole, write_json};
use crate::{
    cli::DatabaseArgs,
    failure::{Failure, Outcome},
    render::{
        number::{bytes, count, counted, duration},
        style::{BAD, DIM, PLAIN, Styled, TITLE, clean},
        table::{Left, Right, Table},
    },
};
use kitedb_core::{PinInfo, Stats};
use serde_json::{Map, Value as Json, json};
use std::{
    io::{self, Write},
    time::Duration,
};

/// So many labels, types and property keys are shown to people; JSON has them all.
const SHOWN: usize = 20;

pub fn run(args: &DatabaseArgs, out: &mut dyn Write) -> Outcome {
    let database = open_to_read(args)?;
    let mut stats = database.stats()?;
    stats.damage = damage_of(&database);
    let shown =
        if args.json { write_json(out, &document(&stats)) } else { show(args, &stats, out).map_err(Failure::from) };
    whole(&database, shown, out)
}

fn document(stats: &Stats) -> Json {
    let counts = |names: &[(String, u64)]| -> Map<String, Json> {
        names.iter().map(|(name, number)| (name.clone(), json!(number))).collect()
    };
    json!({
        "nodes": stats.nodes,
        "edges": stats.edges,
        "vectors": stats.vectors,
        "labels": counts(&stats.labels),
        "edge_types": counts(&stats.edge_types),
        "property_keys": stats.property_keys,
        "token": stats.token.full(),
        "digest": stats.digest.to_string(),
        "checkpoint_index": stats.checkpoint_index.0,
        "generation": stats.generation,
        "runs": stats.runs,
        "file_bytes": stats.file_bytes,
        "free_bytes": stats.free_bytes,
        "log_bytes": stats.log_bytes,
        "delta_bytes": stats.delta_bytes,
        "pins": stats.pins.iter().map(pin).collect::<Vec<_>>(),
        "oldest_pin_ms": stats.oldest_pin_ms,
        "pinned_delta_bytes": stats.pinned_delta_bytes,
        "pinned_run_bytes": stats.pinned_run_bytes,
        "pinned_elsewhere": stats.pinned_elsewhere,
        "damage": stats.damage,
    })
}

/// A view or transaction that is open, of this process: those of others are known there.
fn pin(pin: &PinInfo) -> Json {
    json!({
        "kind": pin.kind.as_str(),
        "origin": pin.origin,
        "age_ms": pin.age_ms,
        "log_index": pin.log_index.0,
        "expired": pin.expired,
    })
}

fn show(args: &DatabaseArgs, stats: &Stats, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", Styled(TITLE, clean(&args.database.display().to_string())))?;
    if let Some(damage) = &stats.damage {
        writeln!(out, "  {} {}", Styled(BAD, "damaged:"), clean(damage))?;
    }
    let mut table = Table::new(2, [("", Left, DIM), ("", Right, PLAIN), ("", Left, DIM)]);
    let mut row = |name: &str, number: u64, more: String| {
        table.row([name.to_owned(), count(number), more]);
    };
    row("nodes", stats.nodes, String::new());
    row("edges", stats.edges, String::new());
    if stats.vectors > 0 {
        row("vectors", stats.vectors, String::new());
    }
    let pending = stats.token.log_index.0.saturating_sub(stats.checkpoint_index.0);
    let pending = if pending > 0 { format!("{} of them only in the log", count(pending)) } else { String::new() };
    row("commits", stats.token.log_index.0, pending);
    table.row(["file".into(), bytes(stats.file_bytes), parts(stats)]);
    if stats.log_bytes > 0 {
        table.row(["log".into(), bytes(stats.log_bytes), String::new()]);
    }
    table.write(out)?;
    writeln!(out, "  {} {}", Styled(DIM, "digest"), stats.digest)?;
    for pin in &stats.pins {
        let held =
            format!("held for {}, as of log index {}", duration(Duration::from_millis(pin.age_ms)), pin.log_index);
        writeln!(out, "  {} {}: {}", pin.kind.as_str(), clean(&pin.origin), Styled(DIM, held))?;
    }

    show_counts("labels", &stats.labels, out)?;
    show_counts("edge types", &stats.edge_types, out)?;
    if !stats.property_keys.is_empty() {
        writeln!(out, "\n{}", Styled(TITLE, "property keys"))?;
        let keys: Vec<_> = stats.property_keys.iter().take(SHOWN).map(|key| clean(key)).collect();
        writeln!(out, "  {}{}", keys.join(", "), Styled(DIM, more(stats.property_keys.len())))?;
    }
    Ok(())
}

fn parts(stats: &Stats) -> String {
    let runs = counted(stats.runs.len() as u64, "run", "runs");
    if stats.free_bytes == 0 { runs } else { format!("{runs}, {} free", bytes(stats.free_bytes)) }
}

fn show_counts(title: &str, names: &[(String, u64)], out: &mut dyn Write) -> io::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", Styled(TITLE, title))?;
    let mut names: Vec<_> = names.iter().collect();
    names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut table = Table::new(2, [("", Left, PLAIN), ("", Right, PLAIN)]);
    for (name, number) in names.iter().take(SHOWN) {
        table.row([clean(name), count(*number)]);
    }
    table.write(out)?;
    let more = more(names.len());
    if more.is_empty() { Ok(()) } else { writeln!(out, " {}", Styled(DIM, more)) }
}

fn more(number: usize) -> String {
    if number > SHOWN { format!(" and {} more", count((number - SHOWN) as u64)) } else { String::new() }
}
