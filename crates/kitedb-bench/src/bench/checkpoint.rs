//! What checkpoints and compactions write, and what a commit costs beside them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use kitedb_core::{Database, NodeId, Value};

use crate::Res;
use crate::engines::Sync;
use crate::engines::ours::{commit_node, load_edges, load_nodes, options};
use crate::floors::write::paced;
use crate::harness::graph::{Graph, PROPERTY};
use crate::harness::json::Report;
use crate::harness::os;
use crate::harness::rng::Rng;
use crate::harness::stats::{Samples, seconds};
use crate::harness::table::{Table, number};

/// The subcommand.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    of_changed_nodes(report, dir)?;
    amplification(report, dir)?;
    beside_commits(report, dir)
}

/// Bytes written by a checkpoint of 10,000 changed nodes in databases of three sizes.
fn of_changed_nodes(report: &mut Report, dir: &Path) -> Res<()> {
    let mut table = Table::new(&["nodes in the database", "bytes of the checkpoint"]);
    let sizes: &[u32] = if report.quick() { &[10_000, 30_000, 100_000] } else { &[10_000, 100_000, 1_000_000] };
    let mut written = Vec::new();
    for &nodes in sizes {
        let graph = Graph::uniform("changed", nodes, nodes as usize * 2);
        let path = dir.join(format!("changed-{nodes}.kitedb"));
        let db = Database::open(path, options(Sync::Off).auto_checkpoint(false).auto_compaction(false))?;
        load(&db, &graph)?;
        db.checkpoint()?;
        change(&db, nodes, 10_000, 3)?;
        let before = os::written()?;
        db.checkpoint()?;
        let bytes = (os::written()? - before) as f64;
        table.row(vec![number(f64::from(nodes)), number(bytes)]);
        report.figure(format!("checkpoint of 10,000 changed nodes of {nodes}"), bytes, "bytes");
        written.push(bytes);
    }
    table.print("checkpoint of 10,000 changed nodes, no compaction");
    let largest = written.iter().copied().fold(f64::MIN, f64::max);
    let smallest = written.iter().copied().fold(f64::MAX, f64::min);
    report
        .target("bytes of a checkpoint of 10,000 changed nodes: largest / smallest of three sizes", largest / smallest)
}

fn load(db: &Database, graph: &Graph) -> Res<()> {
    let ids: Vec<u32> = (1..=graph.nodes).collect();
    load_nodes(db, &ids, 10_000, i64::from)?;
    load_edges(db, &graph.edges, 10_000, |_| Ok(()))
}

/// Gives `count` distinct random nodes another property.
fn change(db: &Database, nodes: u32, count: usize, seed: u64) -> Res<()> {
    let mut ids: Vec<u32> = (1..=nodes).collect();
    let mut rng = Rng::new(seed);
    rng.shuffle(&mut ids);
    for chunk in ids[..count.min(ids.len())].chunks(1_000) {
        let mut tx = db.begin()?;
        for &id in chunk {
            tx.set_node_prop(NodeId(id.into()), PROPERTY, Value::I64(rng.below(1 << 40) as i64))?;
        }
        tx.commit()?;
    }
    Ok(())
}

/// Elements in a small commit.
const SMALL: usize = 10;
/// Small commits between two looks at the statistics.
const LOOK: usize = 500;

/// Loads (b) by small commits with everything automatic; bytes written against bytes of frames, and the most runs seen.
fn amplification(report: &mut Report, dir: &Path) -> Res<()> {
    let graph = Graph::b(report.quick());
    let path = dir.join("frames.kitedb");
    let db = Database::open(&path, options(Sync::Normal).auto_checkpoint(false))?;
    small_commits(&db, &graph, || Ok(()))?;
    let frames = os::written_part(&dir.join("frames.kitedb-wal"))? as f64;
    db.close()?;

    // In --quick the log is a tenth too, so that there are as many checkpoints.
    let log = if report.quick() { (64 << 20) / 10 } else { 64 << 20 };
    let db = Database::open(dir.join("small.kitedb"), options(Sync::Normal).checkpoint_log_bytes(log))?;
    let mut runs = 0;
    let before = os::written()?;
    let (took, loaded) = seconds(|| {
        small_commits(&db, &graph, || {
            runs = runs.max(db.stats()?.runs.len());
            Ok(())
        })
    });
    loaded?;
    db.close()?;
    let written = (os::written()? - before) as f64;
    let mut table = Table::new(&["loading (b) by commits of 10", ""]);
    for (name, value, unit) in [
        ("bytes of frames", frames, "bytes"),
        ("bytes written", written, "bytes"),
        ("bytes written / bytes of frames", written / frames, "ratio"),
        ("most runs seen", runs as f64, "runs"),
        ("edges/s", graph.edges.len() as f64 / took, "edges/s"),
    ] {
        table.row(vec![name.into(), number(value)]);
        report.figure(format!("loading (b) by small commits: {name}"), value, unit);
    }
    table.print("write amplification");
    report.target("loading (b) by small commits: bytes written / bytes of frames", written / frames)?;
    report.target("loading (b) by small commits: most runs a read saw", runs as f64)
}

/// Loads a graph ten elements to a commit, with a look now and then.
fn small_commits(db: &Database, graph: &Graph, mut look: impl FnMut() -> Res<()>) -> Res<()> {
    let ids: Vec<u32> = (1..=graph.nodes).collect();
    for chunk in ids.chunks(SMALL * LOOK) {
        load_nodes(db, chunk, SMALL, i64::from)?;
        look()?;
    }
    load_edges(db, &graph.edges, SMALL, |done| if done % (SMALL * LOOK) == 0 { look() } else { Ok(()) })?;
    look()
}

/// Background work, done by hand.
type Job = fn(&Database) -> kitedb_core::Result<()>;

/// The p99 of commits while a checkpoint, then a compaction runs, against commits beside a plain writer of the same bytes at the same rate.
fn beside_commits(report: &mut Report, dir: &Path) -> Res<()> {
    let nodes: u32 = if report.quick() { 100_000 } else { 1_000_000 };
    let rounds = if report.quick() { 2 } else { 5 };
    let db =
        Database::open(dir.join("beside.kitedb"), options(Sync::Normal).auto_checkpoint(false).auto_compaction(false))?;
    load(&db, &Graph::uniform("beside", nodes, nodes as usize * 2))?;
    db.checkpoint()?;
    let scratch = dir.join("plain");
    let mut next = u64::from(nodes) + 1;
    let jobs: [(&str, Job); 2] = [("checkpoint", Database::checkpoint), ("compaction", Database::compact)];
    let mut samples = [[Samples::default(), Samples::default()], [Samples::default(), Samples::default()]];
    let mut volume = [0u64; 2];
    for round in 0..rounds {
        change(&db, nodes, nodes as usize / 5, round)?;
        for (n, (_, job)) in jobs.iter().enumerate() {
            let [during, beside] = &mut samples[n];
            let (took, bytes) = commits_while(&db, &mut next, during, || Ok(job(&db)?))?;
            commits_while(&db, &mut next, beside, || paced(&scratch, bytes, took))?;
            volume[n] += bytes;
        }
    }
    let mut table = Table::new(&["commits in Normal", "p50 µs", "p99 µs", "commits", "MB written beside"]);
    for ((job, _), ([during, beside], bytes)) in jobs.iter().zip(samples.iter().zip(volume)) {
        let (during_p, beside_p) = (during.summary(), beside.summary());
        for (name, s, len) in [
            (format!("during a {job}"), during_p, during.len()),
            (format!("beside a plain writer ({job})"), beside_p, beside.len()),
        ] {
            table.row(vec![name.clone(), number(s.p50), number(s.p99), number(len as f64), number(bytes as f64 / 1e6)]);
            report.figure(format!("commit p99 {name}"), s.p99, "us");
        }
        report.target(&format!("commit p99: during a {job} / beside a plain writer"), during_p.p99 / beside_p.p99)?;
    }
    table.print(&format!("commits beside background work, {nodes} nodes, {rounds} rounds"));
    Ok(())
}

/// Commits one node after the other while `job` runs in a thread; the seconds it ran, and the bytes written that were not the commits' own.
pub(super) fn commits_while(
    db: &Database,
    next: &mut u64,
    samples: &mut Samples,
    job: impl FnOnce() -> Res<()> + Send,
) -> Res<(f64, u64)> {
    let done = AtomicBool::new(false);
    let before = os::written()?;
    let own_before = os::written_by_this_thread()?;
    let took = std::thread::scope(|scope| -> Res<f64> {
        let job = scope.spawn(|| {
            let (took, out) = seconds(job);
            done.store(true, Ordering::Release);
            out.map(|()| took).map_err(|e| e.to_string())
        });
        while !done.load(Ordering::Acquire) {
            samples.time(|| commit_node(db, *next))?;
            *next += 1;
        }
        Ok(job.join().map_err(|_| "the job died")??)
    })?;
    let own = os::written_by_this_thread()? - own_before;
    Ok((took, (os::written()? - before).saturating_sub(own)))
}
