//! Commits that are submitted by one thread, up to 1,000 in flight, beside threads that wait for each.

use std::collections::VecDeque;
use std::path::Path;

use kitedb_core::{Database, Pending};

use super::group_commit::together;
use crate::Res;
use crate::engines::Sync;
use crate::engines::ours::{Ours, create_node};
use crate::harness::json::Report;
use crate::harness::stats::{median, seconds};
use crate::harness::table::{Table, number};

const IN_FLIGHT: usize = 1_000;
const THREADS: u64 = 8;

/// The subcommand.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    let rounds = if report.quick() { 3 } else { 9 };
    let mut table = Table::new(&["", "commits/s"]);
    for (sync, threads, commits, name) in [
        (Sync::Full, THREADS, 4_000, "Full commits/s: 1,000 in flight on one thread / 8 blocking threads"),
        (Sync::Normal, 1, 40_000, "Normal commits/s: 1,000 in flight on one thread / one blocking thread"),
    ] {
        let commits = if report.quick() { commits / 4 } else { commits };
        let ours = Ours::create(dir, sync)?;
        let (mut blocking, mut in_flight, mut next) = (Vec::new(), Vec::new(), 0);
        for round in 0..rounds {
            for turn in 0..2 {
                // To and fro, since the disk drifts.
                let submits = (round + turn) % 2 == 0;
                let (took, done) = seconds(|| match submits {
                    true => submit_all(&ours.db, next, commits),
                    false => together(&ours, threads, commits / threads, next),
                });
                done?;
                if submits { &mut in_flight } else { &mut blocking }.push(commits as f64 / took);
                next += commits;
            }
        }
        for (what, rates) in [(format!("{threads} blocking"), &blocking), ("1,000 in flight".to_owned(), &in_flight)] {
            table.row(vec![format!("{sync}, {what}"), number(median(rates))]);
            report.figure(format!("{sync}, {what}"), median(rates), "commits/s");
        }
        let gain: Vec<f64> = in_flight.iter().zip(&blocking).map(|(submitted, waited)| submitted / waited).collect();
        report.target(name, median(&gain))?;
    }
    table.print(&format!("submitted commits: medians of {rounds} rounds"));
    Ok(())
}

/// Submits `count` nodes, numbered from `base` on; waits for the oldest where too many are in flight, and for all at the end.
fn submit_all(db: &Database, base: u64, count: u64) -> Res<()> {
    let mut in_flight = VecDeque::<Pending>::with_capacity(IN_FLIGHT);
    for i in base..base + count {
        if in_flight.len() == IN_FLIGHT
            && let Some(oldest) = in_flight.pop_front()
        {
            oldest.wait()?;
        }
        let mut tx = db.begin()?;
        create_node(&mut tx, i)?;
        in_flight.push_back(tx.submit()?);
    }
    in_flight.iter().try_for_each(|pending| pending.wait().map(drop))?;
    Ok(())
}
