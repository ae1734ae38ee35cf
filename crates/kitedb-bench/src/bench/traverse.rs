//! What can be reached: `query::Reach`, beside the same breadth-first search over compressed sparse rows, which marks nodes in an array
//! that it has already.

use std::path::Path;

use kitedb_core::NodeId;
use kitedb_core::query::{Limits, Reach, Steps};

use crate::Res;
use crate::engines::states::{State, prepare};
use crate::floors::csr::Csr;
use crate::harness::graph::Graph;
use crate::harness::json::Report;
use crate::harness::rng::Rng;
use crate::harness::stats::{median, seconds};
use crate::harness::table::{Table, number};

/// The subcommand: medians of rounds in which both answer the same questions, in turn.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    let rounds = if report.quick() { 5 } else { 9 };
    let graph = Graph::b(report.quick());
    let db = prepare(&dir.join("b.kitedb"), &graph, State::Compacted)?;
    let (view, csr) = (db.snapshot()?, Csr::build(&graph));
    let mut floor = Search { met: vec![0; graph.nodes as usize + 1], now: 0, queue: Vec::new() };
    let mut table = Table::new(&["", "CSR µs", "ours µs", "ours / CSR"]);
    for (name, depth, questions) in [("nodes within 2 hops", 2, 2_000), ("BFS to depth 3", 3, 300)] {
        let (mut ratios, mut took) = (Vec::new(), [Vec::new(), Vec::new()]);
        for round in 0..rounds {
            let mut rng = Rng::new(round + 1);
            let sources: Vec<u32> = (0..questions).map(|_| rng.below(u64::from(graph.nodes)) as u32 + 1).collect();
            let theirs = || seconds(|| sources.iter().map(|source| floor.reach(&csr, *source, depth)).sum::<u64>());
            let ours = || seconds(|| sources.iter().map(|source| reached(&view, *source, depth)).sum::<Res<u64>>());
            // Another one begins each round.
            let ((floor_took, expected), (our_took, found)) = match round % 2 {
                0 => {
                    let theirs = { theirs }();
                    (theirs, ours())
                }
                _ => {
                    let ours = ours();
                    ({ theirs }(), ours)
                }
            };
            if found? != expected {
                return Err(format!("{name}: the two found different nodes").into());
            }
            ratios.push(our_took / floor_took);
            took[0].push(floor_took / questions as f64 * 1e6);
            took[1].push(our_took / questions as f64 * 1e6);
        }
        let ratio = median(&ratios);
        let [csr, ours] = [median(&took[0]), median(&took[1])];
        report.figure(format!("(b) {name}: CSR"), csr, "µs");
        report.figure(format!("(b) {name}: ours"), ours, "µs");
        report.target(&format!("{name} (b): ours / CSR"), ratio)?;
        table.row(vec![name.into(), number(csr), number(ours), format!("{ratio:.2}")]);
    }
    table.print(&format!("a question over graph (b), {} nodes: medians of {rounds} rounds", graph.nodes));
    Ok(())
}

/// How many nodes are within so many hops.
fn reached(view: &kitedb_core::View, source: u32, depth: u32) -> Res<u64> {
    let mut count = 0;
    for found in Reach::from(view, [NodeId(u64::from(source))], &Steps::out(), &Limits::new())?.depth(depth) {
        found?;
        count += 1;
    }
    Ok(count)
}

/// What the floor reuses from question to question.
struct Search {
    met: Vec<u32>,
    now: u32,
    queue: Vec<u32>,
}

impl Search {
    fn reach(&mut self, csr: &Csr, source: u32, depth: u32) -> u64 {
        self.now += 1;
        self.queue.clear();
        self.met[source as usize] = self.now;
        self.queue.push(source);
        let mut from = 0;
        for _ in 0..depth {
            let to = self.queue.len();
            for at in from..to {
                for &other in csr.targets(self.queue[at]) {
                    if std::mem::replace(&mut self.met[other as usize], self.now) != self.now {
                        self.queue.push(other);
                    }
                }
            }
            from = to;
        }
        self.queue.len() as u64
    }
}
