//! Reads of both graphs: the floor, ours in three states and the peers, alternating, with one loop for all of them.

use std::path::Path;

use crate::Res;
use crate::engines::states::{State, prepare};
use crate::engines::{Reads, ours};
use crate::floors::csr::Csr;
use crate::harness::graph::{Edge, Graph, TYPES, key};
use crate::harness::json::Report;
use crate::harness::rng::Rng;
use crate::harness::stats::{median, seconds};
use crate::harness::table::{Table, number};

/// The operations of the targets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    ByKey,
    Property,
    Hop,
    HopType,
    Exists,
    TwoHop,
    Bfs,
}

const OPS: [(Op, &str); 7] = [
    (Op::ByKey, "node by key"),
    (Op::Property, "node property"),
    (Op::Hop, "1-hop sum"),
    (Op::HopType, "1-hop one type"),
    (Op::Exists, "edge exists"),
    (Op::TwoHop, "2-hop distinct"),
    (Op::Bfs, "BFS depth 3"),
];
const DEPTH: u32 = 3;
/// Where ours, compacted, stands among the engines: after the floor.
const OURS: usize = 1;

/// The operations of one round, the same for every engine.
struct Work {
    keys: Vec<String>,
    ids: Vec<u64>,
    /// Half of them exist.
    probes: Vec<Edge>,
    sources: Vec<u64>,
}

impl Work {
    fn new(graph: &Graph, ops: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let nodes = u64::from(graph.nodes);
        let ids: Vec<u64> = (0..ops).map(|_| rng.below(nodes) + 1).collect();
        let keys = ids.iter().map(|&id| key(id as u32)).collect();
        let probes = (0..ops).map(|n| {
            let edge = graph.edges[rng.below(graph.edges.len() as u64) as usize];
            // A random other end is an edge in one case of a hundred thousand at most: hubs are few.
            if n % 2 == 0 { edge } else { Edge { dst: rng.below(nodes) as u32 + 1, ..edge } }
        });
        let probes = probes.collect();
        let sources = (0..1_000.min(ops)).map(|_| rng.below(nodes) + 1).collect();
        Self { keys, ids, probes, sources }
    }
}

/// What traversals reuse from call to call: the nodes already met, and the nodes to go on from.
struct Scratch {
    met: Vec<u32>,
    now: u32,
    queue: Vec<u64>,
}

impl Scratch {
    fn start(&mut self) {
        self.now += 1;
        self.queue.clear();
    }
}

/// Whether a node is met for the first time since the traversal's start.
fn first(met: &mut [u32], now: u32, id: u64) -> bool {
    std::mem::replace(&mut met[id as usize], now) != now
}

/// An engine in the race, whatever its type.
trait Racer {
    /// A checksum that must be the same for all, and how many operations (BFS: edges followed) that was.
    fn run(&self, op: Op, work: &Work, scratch: &mut Scratch) -> Res<(u64, u64)>;
}

impl<R: Reads> Racer for R {
    fn run(&self, op: Op, work: &Work, scratch: &mut Scratch) -> Res<(u64, u64)> {
        let mut sum = 0u64;
        let mut count = work.ids.len() as u64;
        match op {
            Op::ByKey => {
                for key in &work.keys {
                    sum += self.by_key(key)?;
                }
            }
            Op::Property => {
                for &id in &work.ids {
                    sum = sum.wrapping_add(self.property(id)? as u64);
                }
            }
            Op::Hop => {
                for &id in &work.ids {
                    self.hop(id, |other| sum += other)?;
                }
            }
            Op::HopType => {
                for &id in &work.ids {
                    self.hop_type(id, (id % TYPES.len() as u64) as u8, |other| sum += other)?;
                }
            }
            Op::Exists => {
                for e in &work.probes {
                    sum += u64::from(self.exists(e.src.into(), e.ty, e.dst.into())?);
                }
            }
            Op::TwoHop => {
                for &id in &work.ids {
                    sum += two_hop(self, id, scratch)?;
                }
            }
            Op::Bfs => {
                count = 0;
                for &id in &work.sources {
                    let (met, followed) = bfs(self, id, scratch)?;
                    sum += met;
                    count += followed;
                }
            }
        }
        Ok((sum, count))
    }
}

/// How many distinct nodes are two hops away.
fn two_hop(graph: &impl Reads, id: u64, scratch: &mut Scratch) -> Res<u64> {
    scratch.start();
    let Scratch { met, now, queue } = scratch;
    graph.hop(id, |middle| queue.push(middle))?;
    let mut distinct = 0;
    for &middle in &*queue {
        graph.hop(middle, |other| distinct += u64::from(first(met, *now, other)))?;
    }
    Ok(distinct)
}

/// How many nodes a breadth-first search meets, and how many edges it follows.
fn bfs(graph: &impl Reads, source: u64, scratch: &mut Scratch) -> Res<(u64, u64)> {
    scratch.start();
    let Scratch { met, now, queue } = scratch;
    first(met, *now, source);
    queue.push(source);
    let (mut followed, mut from) = (0, 0);
    for _ in 0..DEPTH {
        let to = queue.len();
        for at in from..to {
            graph.hop(queue[at], |other| {
                followed += 1;
                if first(met, *now, other) {
                    queue.push(other);
                }
            })?;
        }
        from = to;
    }
    Ok((queue.len() as u64, followed))
}

/// The subcommand.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    let (ops, rounds) = if report.quick() { (20_000, 7) } else { (100_000, 7) };
    for graph in [Graph::a(), Graph::b(report.quick())] {
        println!("({}): {} nodes, {} edges; loading", graph.name, graph.nodes, graph.edges.len());
        let mut racers: Vec<(&str, Box<dyn Racer>)> = vec![("floor: CSR", Box::new(Csr::build(&graph)))];
        let mut open = Vec::new();
        for (n, (state, name)) in State::ALL.into_iter().enumerate() {
            let db = prepare(&dir.join(format!("{}-{n}.kitedb", graph.name)), &graph, state)?;
            racers.push((name, Box::new(ours::Reader::new(&db)?)));
            open.push(db);
        }
        #[cfg(feature = "peers")]
        peers(&mut racers, dir, &graph)?;
        race(report, &graph, &racers, ops, rounds)?;
    }
    Ok(())
}

#[cfg(feature = "peers")]
fn peers(racers: &mut Vec<(&str, Box<dyn Racer>)>, dir: &Path, graph: &Graph) -> Res<()> {
    use crate::engines::{GraphStore, Sync, kitedb_0_2, overgraph};
    let path = dir.join(format!("{}-old.kitedb", graph.name));
    kitedb_0_2::Store.load(&path, graph, 10_000)?;
    racers.push(("kitedb 0.2.18", Box::new(kitedb_0_2::Reader::open(&path)?)));
    let path = dir.join(format!("{}-overgraph", graph.name));
    overgraph::Store.load(&path, graph, 10_000)?;
    racers.push(("overgraph 0.18", Box::new(overgraph::Overgraph::open(&path, Sync::Normal)?)));
    Ok(())
}

/// Times every operation in every engine, round by round, and reports medians.
fn race(report: &mut Report, graph: &Graph, racers: &[(&str, Box<dyn Racer>)], ops: usize, rounds: u64) -> Res<()> {
    let mut scratch = Scratch { met: vec![0; graph.nodes as usize + 1], now: 0, queue: Vec::new() };
    let mut heads = vec!["ns per operation"];
    heads.extend(racers.iter().map(|(name, _)| *name));
    let mut table = Table::new(&heads);
    // The worst operation of the second and third state, against ours compacted.
    let mut worst = [(0.0f64, ""); 2];
    for (op, op_name) in OPS {
        let mut cost = vec![Vec::new(); racers.len()];
        for round in 0..rounds {
            let (warm, work) = (Work::new(graph, ops, round * 2 + 1), Work::new(graph, ops, round * 2 + 2));
            let mut expected = None;
            for turn in 0..racers.len() {
                // Another engine begins each round.
                let n = (turn + round as usize) % racers.len();
                let (name, racer) = &racers[n];
                racer.run(op, &warm, &mut scratch)?;
                let (took, out) = seconds(|| racer.run(op, &work, &mut scratch));
                let (sum, count) = out?;
                if *expected.get_or_insert(sum) != sum {
                    return Err(format!("{name} answers {op_name} with {sum}, another with {expected:?}").into());
                }
                cost[n].push(took * 1e9 / count as f64);
            }
        }
        let medians: Vec<f64> = cost.iter().map(|c| median(c)).collect();
        let against = |n: usize, base: usize| -> f64 {
            median(&cost[n].iter().zip(&cost[base]).map(|(a, b)| a / b).collect::<Vec<_>>())
        };
        let rate = op == Op::Bfs;
        let (unit, shown) = if rate { ("million edges/s", " (million edges/s)") } else { ("ns", "") };
        let show = |ns: f64| if rate { 1e3 / ns } else { ns };
        let mut cells = vec![format!("{op_name}{shown}")];
        for ((name, _), &ns) in racers.iter().zip(&medians) {
            cells.push(number(show(ns)));
            report.figure(format!("({}) {op_name}: {name}", graph.name), show(ns), unit);
        }
        table.row(cells);
        let name = format!("{op_name} ({})", graph.name);
        match op {
            Op::Property => report.target(&format!("{name}: ours, ns"), medians[OURS])?,
            Op::Bfs => report.target(&format!("{name}: rate of ours / CSR"), 1.0 / against(OURS, 0))?,
            _ => report.target(&format!("{name}: ours / CSR"), against(OURS, 0))?,
        }
        for (n, state) in worst.iter_mut().enumerate() {
            let ratio = against(OURS + 1 + n, OURS);
            report.figure(
                format!("({}) {op_name}: {} / compacted", graph.name, racers[OURS + 1 + n].0),
                ratio,
                "ratio",
            );
            if ratio > state.0 {
                *state = (ratio, op_name);
            }
        }
    }
    table.print(&format!(
        "({}) {} nodes, {} edges: medians of {rounds} rounds of {ops}",
        graph.name,
        graph.nodes,
        graph.edges.len()
    ));
    for ((ratio, op_name), state) in worst.into_iter().zip(["10 % delta", "4 runs"]) {
        println!("\n{state}: worst in {op_name:?}, {} x compacted", number(ratio));
        report.target(&format!("{state} ({}): worst operation / compacted", graph.name), ratio)?;
    }
    Ok(())
}
