//! How fast a replica catches up, beside the rate at which its own primary made the frames, and beside the peer's.

use std::path::Path;

use crate::Res;
use crate::engines::{NewPair, Pair, Sync, pairs};
use crate::harness::graph::key;
use crate::harness::json::Report;
use crate::harness::os;
use crate::harness::stats::{median, seconds};
use crate::harness::table::{Table, number};

/// Frames pulled at once.
const PAGE: usize = 256;
/// Commits before anything is timed: before the bootstrap, and after it to warm up.
const SEED: u64 = 1_000;
/// Nodes in a large frame.
const LARGE: u64 = 100;

/// What is caught up with.
struct Backlog {
    name: &'static str,
    /// Nodes in a frame.
    nodes: u64,
    frames: u64,
}

const BACKLOGS: [Backlog; 2] = [
    Backlog { name: "one-node frames", nodes: 1, frames: 5_000 },
    Backlog { name: "100-node frames", nodes: LARGE, frames: 500 },
];

/// What one engine did in one round.
#[derive(Clone, Copy)]
struct Rates {
    committed: f64,
    caught_up: f64,
    missed: u64,
}

/// The subcommand. Ratios are medians of those of the rounds; each round has new databases, engines in turn.
pub fn run(report: &mut Report, dir: &Path, rounds: Option<usize>) -> Res<()> {
    for backlog in &BACKLOGS {
        let heads = ["", "commits/s", "frames/s caught up", "caught up / committed", "frames missed"];
        let mut table = Table::new(&heads);
        for sync in [Sync::Off, Sync::Normal, Sync::Full] {
            let default = match (report.quick(), sync) {
                (true, _) => 3,
                (false, Sync::Full) => 7,
                (false, _) => 21,
            };
            let engines = rates(dir, backlog, sync, rounds.unwrap_or(default))?;
            for (name, rates) in &engines {
                row(report, &mut table, format!("{}: {name}, {sync}", backlog.name), rates);
            }
            targets(report, backlog, sync, &engines)?;
        }
        table.print(&format!("catching up with {} {}, pages of {PAGE}", backlog.frames, backlog.name));
    }
    Ok(())
}

fn rates(dir: &Path, backlog: &Backlog, sync: Sync, rounds: usize) -> Res<Vec<(&'static str, Vec<Rates>)>> {
    let pairs = pairs();
    let mut all: Vec<(&'static str, Vec<Rates>)> = pairs.iter().map(|(name, _)| (*name, Vec::new())).collect();
    for n in 0..rounds {
        for turn in 0..pairs.len() {
            let at = if n.is_multiple_of(2) { turn } else { pairs.len() - 1 - turn };
            let path = dir.join("round");
            std::fs::create_dir(&path)?;
            all[at].1.push(round(&path, backlog, sync, pairs[at].1)?);
            os::remove(&path)?;
        }
    }
    Ok(all)
}

fn round(dir: &Path, backlog: &Backlog, sync: Sync, new: NewPair) -> Res<Rates> {
    let mut pair = new(dir, sync)?;
    let mut next = 0;
    let seed = SEED / backlog.nodes;
    commit(&mut *pair, backlog, &mut next, seed)?;
    pair.bootstrap()?;
    commit(&mut *pair, backlog, &mut next, seed)?;
    pull(&mut *pair)?;
    let (committing, committed) = seconds(|| commit(&mut *pair, backlog, &mut next, backlog.frames));
    committed?;
    let (pulling, applied) = seconds(|| pull(&mut *pair));
    let applied = applied?;
    pair.compare()?;
    Ok(Rates {
        committed: backlog.frames as f64 / committing,
        caught_up: applied as f64 / pulling,
        missed: backlog.frames.saturating_sub(applied),
    })
}

/// Commits frames one after the other.
fn commit(pair: &mut dyn Pair, backlog: &Backlog, next: &mut u64, frames: u64) -> Res<()> {
    let primary = pair.primary();
    for _ in 0..frames {
        if backlog.nodes == 1 {
            primary.commit(*next)?;
        } else {
            let keys: Vec<String> = (*next..*next + backlog.nodes).map(|n| key(n as u32)).collect();
            primary.nodes(&keys)?;
        }
        *next += backlog.nodes;
    }
    Ok(())
}

/// Pulls until there is nothing new. Returns how many frames were applied.
fn pull(pair: &mut dyn Pair) -> Res<u64> {
    let mut applied = 0;
    loop {
        match pair.pull(PAGE)? {
            0 => return Ok(applied),
            n => applied += n as u64,
        }
    }
}

fn row(report: &mut Report, table: &mut Table, name: String, rates: &[Rates]) {
    let of = |f: &dyn Fn(&Rates) -> f64| median(&rates.iter().map(f).collect::<Vec<_>>());
    let (committed, caught_up) = (of(&|r| r.committed), of(&|r| r.caught_up));
    let ratio = of(&|r| r.caught_up / r.committed);
    let missed = rates.iter().map(|r| r.missed).max().unwrap_or_default();
    report.figure(format!("{name}: commits"), committed, "commits/s");
    report.figure(format!("{name}: caught up"), caught_up, "frames/s");
    report.figure(format!("{name}: caught up / committed"), ratio, "ratio");
    report.figure(format!("{name}: missed"), missed as f64, "frames");
    table.row(vec![name, number(committed), number(caught_up), number(ratio), number(missed as f64)]);
}

fn targets(report: &mut Report, backlog: &Backlog, sync: Sync, engines: &[(&'static str, Vec<Rates>)]) -> Res<()> {
    let Some((_, ours)) = engines.first() else { return Ok(()) };
    let judged = backlog.nodes == 1;
    if judged && sync == Sync::Normal {
        let own: Vec<f64> = ours.iter().map(|r| r.caught_up / r.committed).collect();
        report.target("catch-up rate, Normal: ours / own primary's commit rate", median(&own))?;
    }
    let Some((name, peer)) = engines.get(1) else { return Ok(()) };
    let beside: Vec<f64> = ours.iter().zip(peer).map(|(ours, peer)| ours.caught_up / peer.caught_up).collect();
    let ratio = median(&beside);
    report.figure(format!("{}, {sync}: ours / {name}", backlog.name), ratio, "ratio");
    let target = match sync {
        Sync::Normal if judged => "catch-up of 5,000 one-node frames, Normal: ours / kitedb 0.2.18",
        Sync::Full if judged => "catch-up of 5,000 one-node frames, Full on both sides: ours / kitedb 0.2.18",
        _ => return Ok(()),
    };
    report.target(target, ratio)
}
