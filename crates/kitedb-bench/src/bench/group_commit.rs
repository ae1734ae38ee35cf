//! Commits that must be on the disk, from 1, 2, 4 and 8 threads: how well they share a sync.

use std::path::Path;

use crate::Res;
use crate::engines::ours::{Ours, commit_node};
use crate::engines::{Commit, Sync};
use crate::floors::write::Append;
use crate::harness::json::Report;
use crate::harness::stats::{median, seconds};
use crate::harness::table::{Table, number};

const THREADS: [u64; 4] = [1, 2, 4, 8];

/// The subcommand.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    let (rounds, commits) = if report.quick() { (3, 200) } else { (9, 2_000) };
    let ours = Ours::create(dir, Sync::Full)?;
    let mut floor = Append::filled(dir, true)?;
    let mut floors = Vec::new();
    let mut rates: [Vec<f64>; THREADS.len()] = Default::default();
    let mut next = 0;
    for round in 0..rounds {
        let (took, written) = seconds(|| (0..commits).try_for_each(|i| floor.commit(i)));
        written?;
        floors.push(commits as f64 / took);
        for turn in 0..THREADS.len() {
            // To and fro, since the disk drifts.
            let n = if round % 2 == 0 { turn } else { THREADS.len() - 1 - turn };
            let (took, committed) = seconds(|| together(&ours, THREADS[n], commits / THREADS[n], next));
            committed?;
            rates[n].push(commits as f64 / took);
            next += commits;
        }
    }
    let mut table = Table::new(&["Full", "commits/s"]);
    table.row(vec!["floor: write + fdatasync, 1 thread".into(), number(median(&floors))]);
    report.figure("floor: write + fdatasync, 1 thread", median(&floors), "commits/s");
    for (threads, rates) in THREADS.iter().zip(&rates) {
        table.row(vec![format!("ours, {threads} threads"), number(median(rates))]);
        report.figure(format!("ours, {threads} threads"), median(rates), "commits/s");
    }
    table.print(&format!("group commit: medians of {rounds} rounds of {commits} commits"));
    let gain: Vec<f64> = rates[3].iter().zip(&rates[0]).map(|(eight, one)| eight / one).collect();
    report.target("Full commits/s: 8 threads / 1 thread", median(&gain))
}

/// Each of `threads` commits `each` nodes, numbered from `base` on.
pub fn together(ours: &Ours, threads: u64, each: u64, base: u64) -> Res<()> {
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|t| {
                let db = ours.db.clone();
                scope.spawn(move || {
                    let from = base + t * each;
                    (from..from + each).try_for_each(|i| commit_node(&db, i)).map_err(|e| e.to_string())
                })
            })
            .collect();
        for worker in workers {
            worker.join().map_err(|_| "a committer died")??;
        }
        Ok(())
    })
}
