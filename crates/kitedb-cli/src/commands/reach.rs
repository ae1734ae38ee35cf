//! `kitedb reach`: the nodes that can be reached from a node.

use super::{find_node, label_names, limits_of, node_name, open_to_read, steps_of, whole};
use crate::{
    cli::ReachArgs,
    failure::Outcome,
    render::{
        number::counted,
        style::{ACCENT, DIM, Styled, clean},
        table::{Left, Right, Table},
    },
    watched::Watched,
};
use kitedb_core::{
    Database, GraphRead, NodeId, View,
    query::{Reach, Reached},
};
use serde_json::json;
use std::io::Write;

/// Rows that are lined up with each other.
const PAGE: usize = 1_000;

pub fn run(args: &ReachArgs, out: &mut dyn Write) -> Outcome {
    let database = open_to_read(&args.node.common)?;
    let shown = find(args, &database, out);
    whole(&database, shown, out)
}

fn find(args: &ReachArgs, database: &Database, out: &mut dyn Write) -> Outcome {
    let view = database.snapshot()?;
    let start = find_node(&view, &args.node)?;
    let watched = Watched::begin(|| {})?;
    let limits = limits_of(&args.steps, watched.watch());
    let reach = Reach::from(&view, [start], &steps_of(&args.steps), &limits)?.depth(args.depth.unwrap_or(u32::MAX));
    // Where it starts is no answer.
    let mut reach = reach.skip(1);
    let most = args.limit.unwrap_or(u64::MAX);
    let mut shown = 0;
    let mut more = false;
    let mut next = || -> Outcome<Option<Reached>> {
        let Some(found) = reach.next().transpose()? else { return Ok(None) };
        more = shown == most;
        shown += u64::from(!more);
        Ok((!more).then_some(found))
    };
    match args.node.common.json {
        true => show_json(&view, start, &mut next, out)?,
        false => show(&view, &mut next, out)?,
    }
    match args.node.common.json {
        true => writeln!(out, "],\"count\":{shown},\"more\":{more}}}")?,
        false => {
            let more = if more { " shown, there are more" } else { "" };
            writeln!(out, "{}", Styled(DIM, format!("{}{more}", counted(shown, "node", "nodes"))))?;
        }
    }
    Ok(())
}

type Next<'n> = dyn FnMut() -> Outcome<Option<Reached>> + 'n;

fn show(view: &View, next: &mut Next<'_>, out: &mut dyn Write) -> Outcome {
    let mut table = Table::new(0, [("", Right, DIM), ("", Left, ACCENT), ("", Left, DIM)]);
    let mut rows = 0;
    while let Some(Reached { node, depth, .. }) = next()? {
        let labels = label_names(view, node)?.iter().map(|label| format!(":{}", clean(label))).collect::<Vec<_>>();
        table.row([depth.to_string(), node_name(view.node_key(node)?.as_deref(), node), labels.join(" ")]);
        rows += 1;
        if rows % PAGE == 0 {
            table.write(out)?;
        }
    }
    Ok(table.write(out)?)
}

/// The beginning of one document, written as nodes are found: each on a line of its own.
fn show_json(view: &View, start: NodeId, next: &mut Next<'_>, out: &mut dyn Write) -> Outcome {
    write!(out, "{{\"from\":{},\"nodes\":[", json!({ "id": start.0, "key": view.node_key(start)? }))?;
    let mut before = "\n";
    while let Some(Reached { node, depth, .. }) = next()? {
        let told =
            json!({ "id": node.0, "key": view.node_key(node)?, "labels": label_names(view, node)?, "depth": depth });
        write!(out, "{before}{told}")?;
        before = ",\n";
    }
    Ok(())
}
