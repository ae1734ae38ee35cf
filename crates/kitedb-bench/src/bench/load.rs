//! Loading graph (b) in batches of 10,000, the final checkpoint and close included.

use std::path::Path;

use crate::Res;
use crate::engines::{GraphStore, stores};
use crate::harness::graph::Graph;
use crate::harness::json::Report;
use crate::harness::os;
use crate::harness::stats::{median, seconds};
use crate::harness::table::{Table, number};

const BATCH: usize = 10_000;
/// Ours is loaded this often, each peer once in between: they take minutes.
const ROUNDS: usize = 3;

/// Rates of one engine, in edges per second.
struct Rates {
    name: &'static str,
    whole: Vec<f64>,
    edges_only: Vec<f64>,
}

/// The subcommand.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    let graph = Graph::b(report.quick());
    println!("(b): {} nodes, {} edges", graph.nodes, graph.edges.len());
    let stores = stores();
    let mut rates: Vec<Rates> =
        stores.iter().map(|s| Rates { name: s.name(), whole: Vec::new(), edges_only: Vec::new() }).collect();
    let mut copies = Vec::new();
    for round in 0..ROUNDS {
        copies.push(load_once(stores[0].as_ref(), &mut rates[0], &graph, dir)?);
        if let Some(peer) = stores.get(round + 1) {
            load_once(peer.as_ref(), &mut rates[round + 1], &graph, dir)?;
        }
    }
    let mut table = Table::new(&["engine", "edges/s, with nodes", "edges/s, edges alone"]);
    for r in &rates {
        table.row(vec![r.name.into(), number(median(&r.whole)), number(median(&r.edges_only))]);
        report.figure(format!("{}: with nodes and final checkpoint", r.name), median(&r.whole), "edges/s");
        report.figure(format!("{}: edges and final checkpoint", r.name), median(&r.edges_only), "edges/s");
    }
    let floor = graph.edges.len() as f64 / median(&copies);
    table.row(vec!["floor: our file's bytes, written and synced".into(), number(floor), String::new()]);
    report.figure("floor: our file's bytes, written and synced", floor, "edges/s");
    table.print("load (b) in batches of 10,000");
    report.target("load (b) in batches of 10,000: edges/s with nodes and final checkpoint", median(&rates[0].whole))
}

/// Loads into a fresh file and removes it; returns the seconds of a plain write of as many bytes.
fn load_once(store: &dyn GraphStore, rates: &mut Rates, graph: &Graph, dir: &Path) -> Res<f64> {
    let path = dir.join("load.kitedb");
    let (took, nodes) = seconds(|| store.load(&path, graph, BATCH));
    let edges = graph.edges.len() as f64;
    rates.whole.push(edges / took);
    rates.edges_only.push(edges / (took - nodes?));
    let (bytes, _) = os::size_on_disk(&path)?;
    os::remove(&path)?;
    let scratch = dir.join("copy");
    let (took, written) = seconds(|| crate::floors::write::paced(&scratch, bytes, 0.0));
    written?;
    os::remove(&scratch)?;
    Ok(took)
}
