//! One keyed node per transaction, single thread: floors, ours and peers in turn, commit by commit.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kitedb_core::GraphRead;

use crate::Res;
use crate::engines::ours::Ours;
use crate::engines::{Batch, Commit, Primary, Role, Sync};
use crate::floors::write::Append;
use crate::harness::graph::{Edge, key};
use crate::harness::json::Report;
use crate::harness::stats::{Samples, Summary};
use crate::harness::table::{Table, number};

type Side = Box<dyn Commit>;

/// The subcommand.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    let (fast, synced) = if report.quick() { (10_000, 400) } else { (100_000, 4_000) };
    let sub = |name: &str| -> Res<_> {
        let path = dir.join(name);
        std::fs::create_dir(&path)?;
        Ok(path)
    };

    // Only the floor and ours, so that neither finds its caches emptied by an engine that does more.
    let at = sub("near")?;
    let near = race(
        vec![
            Box::new(Append::filled(&at, false)?),
            Box::new(Append::growing(&at, false)?),
            Box::new(Ours::create_as(&at, Sync::Off, Role::Primary)?),
            Box::new(Ours::create_as(&at, Sync::Normal, Role::Primary)?),
        ],
        fast,
    )?;
    show(report, "off and normal, beside the floor", &near);
    report.target("Normal p50: ours (primary) / floor write", near[3].1.p50 / near[0].1.p50)?;
    let at = sub("near-full")?;
    let near = race(
        vec![
            Box::new(Append::filled(&at, true)?),
            Box::new(Append::growing(&at, true)?),
            Box::new(Ours::create_as(&at, Sync::Full, Role::Primary)?),
        ],
        synced,
    )?;
    show(report, "full, beside the floor", &near);
    report.target("Full p50: ours (primary) / floor fdatasync", near[2].1.p50 / near[0].1.p50)?;

    #[cfg(feature = "peers")]
    {
        let all = race(everyone(&sub("all")?, false)?, fast)?;
        show(report, "off and normal, all in turn", &all);
        let name = "Normal p50, all engines in turn: ours (primary) / floor write";
        report.target(name, p50(&all, "ours, normal") / all[0].1.p50)?;
        let all = race(everyone(&sub("all-full")?, true)?, synced)?;
        show(report, "full, all in turn", &all);
        let name = "Full p50, all engines in turn: ours (primary) / floor fdatasync";
        report.target(name, p50(&all, "ours, full") / all[0].1.p50)?;
    }
    with_reader(report, &sub("reader")?, fast)?;
    batches(report, &sub("batch")?)
}

#[cfg(feature = "peers")]
fn everyone(dir: &Path, full: bool) -> Res<Vec<Side>> {
    use crate::engines::{fjall::Fjall, kitedb_0_2::Kitedb, overgraph::Overgraph, redb::Redb, sqlite::Sqlite};
    let mut sides: Vec<Side> = vec![Box::new(Append::filled(dir, full)?), Box::new(Append::growing(dir, full)?)];
    for sync in if full { &[Sync::Full][..] } else { &[Sync::Off, Sync::Normal] } {
        sides.push(Box::new(Ours::create_as(dir, *sync, Role::Primary)?));
        sides.push(Box::new(Kitedb::create(dir, *sync)?));
    }
    let sync = if full { Sync::Full } else { Sync::Normal };
    sides.push(Box::new(Sqlite::create(dir, sync)?));
    sides.push(Box::new(Redb::create(dir, sync)?));
    sides.push(Box::new(Fjall::create(dir, sync)?));
    sides.push(Box::new(Overgraph::open(&dir.join("overgraph"), sync)?));
    Ok(sides)
}

/// The median of the side of this name; NaN if there is none, which meets no target.
#[cfg(feature = "peers")]
fn p50(sides: &[(String, Summary)], name: &str) -> f64 {
    sides.iter().find(|(n, _)| n == name).map_or(f64::NAN, |(_, s)| s.p50)
}

/// Times `n` commits of each side in turn, to and fro, so that each comes after each neighbour.
fn race(mut sides: Vec<Side>, n: u64) -> Res<Vec<(String, Summary)>> {
    let warm = n / 20;
    let mut samples = vec![Samples::with_capacity((n + warm) as usize); sides.len()];
    for i in 0..n + warm {
        if i == warm {
            samples.iter_mut().for_each(|s| *s = Samples::with_capacity(n as usize));
        }
        for turn in 0..sides.len() {
            let side = if i % 2 == 0 { turn } else { sides.len() - 1 - turn };
            samples[side].time(|| sides[side].commit(i))?;
        }
    }
    Ok(sides.iter().zip(&samples).map(|(side, s)| (side.name(), s.summary())).collect())
}

fn show(report: &mut Report, title: &str, sides: &[(String, Summary)]) {
    let mut table = Table::new(&["engine", "p50 µs", "p95 µs", "p99 µs", "commits/s"]);
    for (name, s) in sides {
        table.row(vec![name.clone(), number(s.p50), number(s.p95), number(s.p99), number(s.rate)]);
        for (figure, value, unit) in [("p50", s.p50, "us"), ("p95", s.p95, "us"), ("rate", s.rate, "commits/s")] {
            report.figure(format!("{title}: {name}: {figure}"), value, unit);
        }
    }
    table.print(title);
}

/// Ours in Normal, in turn with and without a reader that takes a new view each millisecond and holds it until the next.
fn with_reader(report: &mut Report, dir: &Path, n: u64) -> Res<()> {
    const BLOCKS: u64 = 50;
    let mut ours = Ours::create(dir, Sync::Normal)?;
    let db = ours.db.clone();
    let (reading, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut samples = [Samples::default(), Samples::default()];
    let timed = std::thread::scope(|scope| {
        let reader = scope.spawn(|| -> kitedb_core::Result<u64> {
            let mut views = 0;
            let mut held = None;
            while !stop.load(Ordering::Relaxed) {
                if reading.load(Ordering::Relaxed) {
                    let view = db.snapshot()?;
                    view.node_by_key(&key(views as u32))?;
                    held = Some(view);
                    views += 1;
                } else {
                    held = None;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            drop(held);
            Ok(views)
        });
        let mut commit_all = || -> Res<()> {
            for block in 0..BLOCKS * 2 {
                let side = (block % 2) as usize;
                reading.store(side == 1, Ordering::Relaxed);
                // Until the reader has seen it.
                std::thread::sleep(Duration::from_millis(3));
                for i in block * n / BLOCKS..(block + 1) * n / BLOCKS {
                    samples[side].time(|| ours.commit(i))?;
                }
            }
            Ok(())
        };
        let committed = commit_all();
        stop.store(true, Ordering::Relaxed);
        let views = reader.join().map_err(|_| "the reader died")??;
        println!("\nthe reader took {views} views");
        committed
    });
    timed?;
    let sides = [
        ("ours, normal, quiet".to_string(), samples[0].summary()),
        ("ours, normal, a view each ms".to_string(), samples[1].summary()),
    ];
    show(report, "with a reader", &sides);
    report.target("Normal p50: with a reader taking a view each ms / quiet", sides[1].1.p50 / sides[0].1.p50)
}

/// Batches of 100 nodes and of 100 edges with 10 properties, ours and kitedb 0.2.18 in turn.
fn batches(report: &mut Report, dir: &Path) -> Res<()> {
    const SIZE: u64 = 100;
    let rounds: u64 = if report.quick() { 100 } else { 2_000 };
    let mut sides: Vec<(&str, Box<dyn Batch>)> = vec![("ours", Box::new(Ours::create(dir, Sync::Normal)?))];
    #[cfg(feature = "peers")]
    sides.push(("kitedb 0.2.18", Box::new(crate::engines::kitedb_0_2::Kitedb::create(dir, Sync::Normal)?)));
    let properties: Vec<String> = (0..10).map(|n| format!("property{n}")).collect();
    let mut samples = vec![[Samples::default(), Samples::default()]; sides.len()];
    let nodes = rounds * SIZE;
    for round in 0..rounds {
        let keys: Vec<String> = (0..SIZE).map(|n| key((round * SIZE + n) as u32)).collect();
        for ((_, side), s) in sides.iter_mut().zip(&mut samples) {
            s[0].time(|| side.nodes(&keys))?;
        }
    }
    for round in 0..rounds {
        // Each edge once: the i-th leaves node i and enters one that depends on i alone.
        let edge = |n: u64| {
            let i = round * SIZE + n;
            Edge { src: i as u32 + 1, ty: (i % 3) as u8, dst: ((i * 7_919 + 13) % nodes) as u32 + 1 }
        };
        let edges: Vec<Edge> = (0..SIZE).map(edge).collect();
        for ((_, side), s) in sides.iter_mut().zip(&mut samples) {
            s[1].time(|| side.edges(&edges, &properties))?;
        }
    }
    for (kind, title) in
        ["batch of 100 keyed nodes, Normal", "batch of 100 edges with 10 properties, Normal"].into_iter().enumerate()
    {
        let rows: Vec<_> =
            sides.iter().zip(&samples).map(|((name, _), s)| ((*name).to_string(), s[kind].summary())).collect();
        show(report, title, &rows);
        if let [ours, peer] = &rows[..] {
            report.target(&format!("{title} p50: ours / kitedb 0.2.18"), ours.1.p50 / peer.1.p50)?;
        }
    }
    Ok(())
}
