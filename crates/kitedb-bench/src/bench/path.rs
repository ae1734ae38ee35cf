//! Shortest paths, components and PageRank: `query`, beside the same algorithms over compressed sparse rows, which are there already; ours
//! reads the graph for each question, or makes its projection.

use std::path::Path;

use kitedb_core::query::{Limits, Projection, Steps, shortest_path};
use kitedb_core::{NodeId, View};

use crate::Res;
use crate::engines::states::{State, prepare};
use crate::floors::csr::Csr;
use crate::harness::graph::Graph;
use crate::harness::json::Report;
use crate::harness::rng::Rng;
use crate::harness::stats::{median, seconds};
use crate::harness::table::{Table, number};

const DAMPING: f64 = 0.85;
/// Rounds of PageRank.
const ROUNDS: usize = 20;

/// The subcommand: medians of rounds in which both answer the same questions, in turn.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    let graph = Graph::b(report.quick());
    let db = prepare(&dir.join("b.kitedb"), &graph, State::Compacted)?;
    let (csr, back) = (Csr::build(&graph), Csr::build(&graph.reversed()));
    let view = db.snapshot()?;
    paths(report, &view, (&csr, &back))?;
    whole(report, &view, (&csr, &back))
}

fn paths(report: &mut Report, view: &View, (csr, back): (&Csr, &Csr)) -> Res<()> {
    let (rounds, questions) = if report.quick() { (5, 200) } else { (9, 500) };
    let mut floor = [Side::new(csr.nodes()), Side::new(csr.nodes())];
    let (steps, limits) = (Steps::out(), Limits::new());
    let (mut ratios, mut took) = (Vec::new(), [Vec::new(), Vec::new()]);
    for round in 0..rounds {
        let mut rng = Rng::new(round + 1);
        let mut pick = || rng.below(u64::from(csr.nodes())) as u32 + 1;
        let pairs: Vec<(u32, u32)> = (0..questions).map(|_| (pick(), pick())).collect();
        let (theirs, expected) = seconds(|| -> Vec<Option<u32>> {
            pairs.iter().map(|(from, to)| hops(&mut floor, (csr, back), *from, *to)).collect()
        });
        let (ours, found) = seconds(|| -> Res<Vec<Option<u32>>> {
            let ask = |(from, to): &(u32, u32)| {
                let [from, to] = [*from, *to].map(|id| NodeId(u64::from(id)));
                Ok(shortest_path(view, from, to, &steps, &limits)?.map(|path| path.hops() as u32))
            };
            pairs.iter().map(ask).collect()
        });
        if found? != expected {
            return Err("the two found paths of different lengths".into());
        }
        ratios.push(ours / theirs);
        took[0].push(theirs / questions as f64 * 1e6);
        took[1].push(ours / questions as f64 * 1e6);
    }
    let ratio = median(&ratios);
    let [theirs, ours] = [median(&took[0]), median(&took[1])];
    report.figure("(b) shortest path of a random pair: CSR", theirs, "µs");
    report.figure("(b) shortest path of a random pair: ours", ours, "µs");
    report.target("shortest path of a random pair (b): ours / CSR", ratio)?;
    let mut table = Table::new(&["", "CSR µs", "ours µs", "ours / CSR"]);
    table.row(vec!["shortest path, bidirectional".into(), number(theirs), number(ours), format!("{ratio:.2}")]);
    table.print(&format!("random pairs of graph (b): medians of {rounds} rounds"));
    Ok(())
}

/// One of two searches over arrays.
struct Side {
    met: Vec<u32>,
    now: u32,
    queue: Vec<u32>,
    from: usize,
}

impl Side {
    fn new(nodes: u32) -> Self {
        Self { met: vec![0; nodes as usize + 1], now: 0, queue: Vec::new(), from: 0 }
    }

    fn begin(&mut self, root: u32) {
        self.now += 1;
        self.queue.clear();
        self.queue.push(root);
        self.from = 0;
        self.met[root as usize] = self.now;
    }

    /// Goes on one level. Returns whether it met what `other` has met.
    fn go_on(&mut self, csr: &Csr, other: &Self) -> bool {
        let to = self.queue.len();
        for at in self.from..to {
            for &node in csr.targets(self.queue[at]) {
                if std::mem::replace(&mut self.met[node as usize], self.now) != self.now {
                    if other.met[node as usize] == other.now {
                        return true;
                    }
                    self.queue.push(node);
                }
            }
        }
        self.from = to;
        false
    }

    fn left(&self) -> usize {
        self.queue.len() - self.from
    }
}

fn hops([forth, back]: &mut [Side; 2], (csr, reversed): (&Csr, &Csr), from: u32, to: u32) -> Option<u32> {
    if from == to {
        return Some(0);
    }
    forth.begin(from);
    back.begin(to);
    for hops in 1.. {
        let met = match forth.left() <= back.left() {
            true => forth.go_on(csr, back),
            false => back.go_on(reversed, forth),
        };
        if met {
            return Some(hops);
        }
        if forth.left() == 0 || back.left() == 0 {
            break;
        }
    }
    None
}

fn whole(report: &mut Report, view: &View, (csr, back): (&Csr, &Csr)) -> Res<()> {
    let rounds = if report.quick() { 3 } else { 5 };
    let mut table = Table::new(&["", "CSR ms", "ours, 1 thread", "ours, 2 threads", "ours / CSR", "1 thread / 2"]);
    let project = |limits: &Limits| Projection::of(view, &Steps::out(), limits);
    for (name, what) in [("components", 0), ("PageRank", 1)] {
        let ask = |threads: usize| -> Res<f64> {
            let limits = Limits::new().threads(threads);
            let projection = project(&limits)?;
            Ok(match what {
                0 => projection.weak_components(&limits)?.count() as f64,
                _ => projection.page_rank(DAMPING, ROUNDS, 0.0, &limits)?.iter().map(|(_, rank)| rank * rank).sum(),
            })
        };
        let (mut ratios, mut speed_ups, mut took) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
        for _ in 0..rounds {
            let (theirs, expected) = seconds(|| match what {
                0 => f64::from(components(csr)),
                _ => page_rank(csr, back).iter().map(|rank| rank * rank).sum(),
            });
            let (one, found) = seconds(|| ask(1));
            let (two, found_by_two) = seconds(|| ask(2));
            for found in [found?, found_by_two?] {
                if (found - expected).abs() > expected.abs() * 1e-9 {
                    return Err(format!("{name}: {found} is not {expected}").into());
                }
            }
            ratios.push(one / theirs);
            speed_ups.push(one / two);
            [theirs, one, two].iter().zip(&mut took).for_each(|(seconds, all)| all.push(seconds * 1e3));
        }
        let (ratio, speed_up) = (median(&ratios), median(&speed_ups));
        let medians = took.map(|all| median(&all));
        for (side, ms) in ["CSR", "ours, one thread", "ours, two threads"].iter().zip(medians) {
            report.figure(format!("(b) {name}: {side}"), ms, "ms");
        }
        report.target(&format!("{name} (b), one thread, with the projection: ours / CSR"), ratio)?;
        report.target(&format!("{name} (b), with the projection: one thread / two"), speed_up)?;
        let [theirs, one, two] = medians.map(number);
        table.row(vec![name.into(), theirs, one, two, format!("{ratio:.2}"), format!("{speed_up:.2}")]);
    }
    table.print(&format!("all of graph (b), {} nodes: medians of {rounds} rounds", csr.nodes()));
    Ok(())
}

/// How many weakly connected components there are: union-find with path halving.
fn components(csr: &Csr) -> u32 {
    let mut parents: Vec<u32> = (0..=csr.nodes()).collect();
    fn root(parents: &mut [u32], mut node: u32) -> u32 {
        while parents[node as usize] != node {
            let above = parents[parents[node as usize] as usize];
            parents[node as usize] = above;
            node = above;
        }
        node
    }
    let mut count = csr.nodes();
    for node in 1..=csr.nodes() {
        for &other in csr.targets(node) {
            let (a, b) = (root(&mut parents, node), root(&mut parents, other));
            if a != b {
                parents[a.max(b) as usize] = a.min(b);
                count -= 1;
            }
        }
    }
    count
}

fn page_rank(csr: &Csr, back: &Csr) -> Vec<f64> {
    let all = f64::from(csr.nodes());
    let mut ranks = vec![1.0 / all; csr.nodes() as usize + 1];
    let mut given = vec![0.0; ranks.len()];
    ranks[0] = 0.0;
    for _ in 0..ROUNDS {
        let mut loose = 0.0;
        for node in 1..=csr.nodes() {
            match csr.targets(node).len() {
                0 => loose += ranks[node as usize],
                degree => given[node as usize] = ranks[node as usize] / degree as f64,
            }
        }
        let base = (1.0 - DAMPING + DAMPING * loose) / all;
        for node in 1..=csr.nodes() {
            let sum: f64 = back.targets(node).iter().map(|source| given[*source as usize]).sum();
            ranks[node as usize] = base + DAMPING * sum;
        }
    }
    ranks
}
