//! A replica copies a primary that goes on committing at full rate, against a plain copy of the same bytes with a sync
//! at its end, beside the same commits.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use kitedb_core::{Database, ReplicationRole};

use super::checkpoint::commits_while;
use crate::Res;
use crate::engines::ours::{self, load_edges, load_nodes, open_replica, options};
use crate::engines::{Pair, Sync, pairs};
use crate::harness::graph::{Graph, key};
use crate::harness::json::Report;
use crate::harness::os;
use crate::harness::stats::{Samples, median, seconds};
use crate::harness::table::{Table, number};

/// The subcommand.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    beside_commits(report, dir)?;
    quiet(report, dir)
}

/// What went on beside the commits.
#[derive(Clone, Copy)]
enum Beside {
    Bootstrap,
    PlainCopy,
}

const BESIDE: [(Beside, &str); 2] =
    [(Beside::Bootstrap, "a replica's bootstrap"), (Beside::PlainCopy, "a plain copy of the same bytes")];

/// One measurement: how long it took, and the commits meanwhile.
struct Measured {
    took: f64,
    p50: f64,
    p95: f64,
    commits: f64,
}

fn beside_commits(report: &mut Report, dir: &Path) -> Res<()> {
    let graph = Graph::b(report.quick());
    let rounds = if report.quick() { 2 } else { 7 };
    println!("(b): {} nodes, {} edges; loading", graph.nodes, graph.edges.len());
    let base = dir.join("base.kitedb");
    load_compacted(&base, &graph)?;
    // A replica's file holds what a bootstrap copies and nothing else; its source has free places between.
    let plain = dir.join("plain.kitedb");
    let primary = Database::open(&base, options(Sync::Normal).replication_role(ReplicationRole::Primary))?;
    let replica = open_replica(&plain, &base, options(Sync::Normal))?;
    replica.replica_bootstrap_from_snapshot()?;
    replica.close()?;
    primary.close()?;
    // Each round copies the file alone, and makes another primary of it.
    Database::detach(&base)?;
    let bytes = std::fs::metadata(&plain)?.len() as f64;
    let mut all: [Vec<Measured>; 2] = Default::default();
    for n in 0..rounds {
        for turn in 0..2 {
            let side = if n % 2 == 0 { turn } else { 1 - turn };
            let path = dir.join("round");
            std::fs::create_dir(&path)?;
            all[side].push(one(&path, &base, &plain, graph.nodes, BESIDE[side].0)?);
            os::remove(&path)?;
        }
    }
    let mut table = Table::new(&["beside commits in Normal", "MB/s", "s", "commit p50 µs", "commit p95 µs", "commits"]);
    for ((_, name), measured) in BESIDE.iter().zip(&all) {
        let of = |f: &dyn Fn(&Measured) -> f64| median(&measured.iter().map(f).collect::<Vec<_>>());
        let rate = of(&|m| bytes / 1e6 / m.took);
        table.row(vec![
            (*name).into(),
            number(rate),
            number(of(&|m| m.took)),
            number(of(&|m| m.p50)),
            number(of(&|m| m.p95)),
            number(of(&|m| m.commits)),
        ]);
        report.figure(format!("{name}: rate"), rate, "MB/s");
        report.figure(format!("{name}: commit p95 meanwhile"), of(&|m| m.p95), "us");
    }
    table.print(&format!("{} MB of graph (b), {rounds} rounds", number(bytes / 1e6)));
    let [bootstraps, copies] = &all;
    let ratio = |f: &dyn Fn(&Measured, &Measured) -> f64| {
        median(&bootstraps.iter().zip(copies).map(|(b, c)| f(b, c)).collect::<Vec<_>>())
    };
    report.target(
        "bootstrap while the primary writes: rate / plain copy with a final sync",
        ratio(&|b, c| c.took / b.took),
    )?;
    report.target("commit p95: during a bootstrap / beside the plain copy", ratio(&|b, c| b.p95 / c.p95))
}

/// Loads a graph into a file with one run.
fn load_compacted(path: &Path, graph: &Graph) -> Res<()> {
    let db = Database::open(path, options(Sync::Normal))?;
    let ids: Vec<u32> = (1..=graph.nodes).collect();
    load_nodes(&db, &ids, 10_000, i64::from)?;
    load_edges(&db, &graph.edges, 10_000, |_| Ok(()))?;
    db.checkpoint()?;
    db.compact()?;
    Ok(db.close()?)
}

/// A new primary with the graph, committing while the other thing is done.
fn one(dir: &Path, base: &Path, plain: &Path, nodes: u32, beside: Beside) -> Res<Measured> {
    let path = dir.join("primary.kitedb");
    copy(base, &path)?;
    let primary =
        Database::open(&path, options(Sync::Normal).auto_checkpoint(false).replication_role(ReplicationRole::Primary))?;
    let mut next = u64::from(nodes) + 1;
    // The first commit makes the log.
    ours::commit_node(&primary, next)?;
    next += 1;
    let replica = match beside {
        Beside::Bootstrap => {
            Some(open_replica(&dir.join("replica.kitedb"), &path, options(Sync::Normal).auto_checkpoint(false))?)
        }
        Beside::PlainCopy => None,
    };
    let mut samples = Samples::default();
    let (took, _) = commits_while(&primary, &mut next, &mut samples, || match &replica {
        Some(replica) => Ok(replica.replica_bootstrap_from_snapshot()?),
        None => copy(plain, &dir.join("copy")),
    })?;
    if let Some(replica) = &replica {
        while replica.replica_catch_up_once(usize::MAX)? > 0 {}
        ours::equal(&primary, replica)?;
    }
    let summary = samples.summary();
    Ok(Measured { took, p50: summary.p50, p95: summary.p95, commits: samples.len() as f64 })
}

/// Copies a file as one would by hand, and syncs the copy.
fn copy(from: &Path, to: &Path) -> Res<()> {
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    let mut piece = vec![0; 1 << 20];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(to.sync_all()?),
            n => to.write_all(&piece[..n])?,
        }
    }
}

/// Graph (a) while nobody writes: that is how kitedb 0.2.18 has to be copied.
fn quiet(report: &mut Report, dir: &Path) -> Res<()> {
    let graph = Graph::a();
    let rounds = if report.quick() { 2 } else { 7 };
    let mut table = Table::new(&["bootstrap of graph (a), nobody writing", "ms"]);
    for (name, new) in pairs() {
        let mut took = Vec::new();
        for _ in 0..rounds {
            let path = dir.join("quiet");
            std::fs::create_dir(&path)?;
            let mut pair = new(&path, Sync::Normal)?;
            load(&mut *pair, &graph)?;
            let (seconds, copied) = seconds(|| pair.bootstrap());
            copied?;
            pair.compare()?;
            took.push(seconds * 1e3);
            drop(pair);
            os::remove(&path)?;
        }
        report.figure(format!("bootstrap of graph (a), nobody writing: {name}"), median(&took), "ms");
        table.row(vec![name.into(), number(median(&took))]);
    }
    table.print(&format!("bootstrap, medians of {rounds} rounds"));
    Ok(())
}

fn load(pair: &mut dyn Pair, graph: &Graph) -> Res<()> {
    let primary = pair.primary();
    let ids: Vec<u32> = (1..=graph.nodes).collect();
    for chunk in ids.chunks(1_000) {
        let keys: Vec<String> = chunk.iter().map(|&id| key(id)).collect();
        primary.nodes(&keys)?;
    }
    graph.edges.chunks(1_000).try_for_each(|chunk| primary.edges(chunk, &[]))
}
