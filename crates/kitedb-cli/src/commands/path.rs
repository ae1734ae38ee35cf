//! `kitedb path`: ways from one node to another.

use super::{limits_of, node_name, node_named, open_to_read, steps_of, whole};
use crate::{
    cli::PathArgs,
    failure::Outcome,
    render::{
        number::counted,
        style::{ACCENT, DIM, Styled, clean},
    },
    watched::Watched,
};
use kitedb_core::{
    Database, GraphRead, NodeId, Result, View,
    query::{LightestPaths, Path, ShortestPaths, Weight, lightest_path, shortest_path},
};
use serde_json::{Value as Json, json};
use std::io::Write;

pub fn run(args: &PathArgs, out: &mut dyn Write) -> Outcome {
    let database = open_to_read(&args.common)?;
    let shown = find(args, &database, out);
    whole(&database, shown, out)
}

fn find(args: &PathArgs, database: &Database, out: &mut dyn Write) -> Outcome {
    let view = database.snapshot()?;
    let [from, to] = [&args.from, &args.to].map(|key| node_named(&view, key, args.id));
    let (from, to) = (from?, to?);
    let watched = Watched::begin(|| {})?;
    let mut found = paths(args, &view, (from, to), &watched)?;
    match args.common.json {
        true => show_json(args, &view, (from, to), &mut found, out),
        false => show(args, &view, &mut found, out),
    }
}

type Paths<'a> = Box<dyn Iterator<Item = Result<Path>> + 'a>;

/// What is asked for, each path found as it is shown.
fn paths<'a>(args: &PathArgs, view: &'a View, (from, to): (NodeId, NodeId), watched: &Watched) -> Result<Paths<'a>> {
    let (steps, limits) = (steps_of(&args.steps), limits_of(&args.steps.cost, watched.watch()));
    let weight = match &args.weight {
        Some(name) => Weight::Property { name: name.clone(), missing: args.missing },
        None => Weight::Hops,
    };
    Ok(match args.k {
        Some(k) => {
            let k = usize::try_from(k).unwrap_or(usize::MAX);
            Box::new(LightestPaths::between(view, from, to, &steps, &weight, &limits)?.take(k))
        }
        None if args.all => Box::new(ShortestPaths::between(view, from, to, &steps, &limits)?),
        None if args.weight.is_some() => {
            Box::new(lightest_path(view, from, [to], &steps, &weight, &limits)?.into_iter().map(Ok))
        }
        None => Box::new(shortest_path(view, from, to, &steps, &limits)?.into_iter().map(Ok)),
    })
}

fn show(args: &PathArgs, view: &View, found: &mut Paths<'_>, out: &mut dyn Write) -> Outcome {
    let mut any = false;
    for path in found {
        let path = path?;
        any = true;
        let name = |node: NodeId| -> Result<String> { Ok(node_name(view.node_key(node)?.as_deref(), node)) };
        write!(out, "{}", Styled(ACCENT, name(path.start())?))?;
        for (edge, pair) in path.edges().iter().zip(path.nodes().windows(2)) {
            let ty = clean(&view.etype_name(edge.ty).unwrap_or_default());
            let step = if edge.src == pair[0] { format!("-{ty}→") } else { format!("←{ty}-") };
            write!(out, " {} {}", Styled(DIM, step), Styled(ACCENT, name(pair[1])?))?;
        }
        let hops = counted(path.hops() as u64, "edge", "edges");
        let weight = match &args.weight {
            Some(property) => format!(", {} {}", clean(property), path.weight()),
            None => String::new(),
        };
        writeln!(out, "  {}", Styled(DIM, format!("{hops}{weight}")))?;
    }
    if !any {
        writeln!(out, "{}", Styled(DIM, "no path"))?;
    }
    Ok(())
}

/// One document, written as paths are found: each on a line of its own.
fn show_json(
    args: &PathArgs,
    view: &View,
    (from, to): (NodeId, NodeId),
    found: &mut Paths<'_>,
    out: &mut dyn Write,
) -> Outcome {
    let node = |node: NodeId| -> Result<Json> { Ok(json!({ "id": node.0, "key": view.node_key(node)? })) };
    write!(out, "{{\"from\":{},\"to\":{},\"paths\":[", node(from)?, node(to)?)?;
    let (mut before, mut count) = ("\n", 0);
    for path in found {
        let path = path?;
        let nodes = path.nodes().iter().map(|id| node(*id)).collect::<Result<Vec<_>>>()?;
        let edges: Vec<Json> = path
            .edges()
            .iter()
            .map(|edge| {
                let ty = view.etype_name(edge.ty);
                let mut edge_told = json!({ "type": ty, "src": edge.src.0, "dst": edge.dst.0 });
                if edge.rank != 0 {
                    edge_told["rank"] = edge.rank.into();
                }
                edge_told
            })
            .collect();
        let mut told = json!({ "nodes": nodes, "edges": edges, "hops": path.hops() });
        if args.weight.is_some() {
            told["weight"] = path.weight().into();
        }
        write!(out, "{before}{told}")?;
        (before, count) = (",\n", count + 1);
    }
    Ok(writeln!(out, "],\"count\":{count}}}")?)
}
