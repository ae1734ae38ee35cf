//! What metrics cost: one collection, each form of rendering, and the commits that go on beside a collector.

use std::hint::black_box;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use kitedb_core::{Database, Metrics};
use kitedb_telemetry::{
    PrometheusFormat, PrometheusOptions, render_replication_metrics_otel_json,
    render_replication_metrics_otel_protobuf, render_replication_metrics_prometheus,
    render_replication_metrics_prometheus_with_options,
};

use crate::Res;
use crate::engines::ours::Ours;
use crate::engines::{Commit, Primary, Role, Sync};
use crate::harness::json::Report;
use crate::harness::os;
use crate::harness::stats::{Samples, median};
use crate::harness::table::{Table, number};

/// How often the metrics are collected beside commits.
const EVERY: Duration = Duration::from_millis(100);

/// How long one side commits before the other one does.
const BLOCK: Duration = Duration::from_millis(400);

/// A primary that is not observed, then one that is.
const SIDES: [&str; 2] = ["not observed", "collected and rendered each 100 ms"];

/// The subcommand. Ratios are medians of those of the rounds; each round has two new primaries.
pub fn run(report: &mut Report, dir: &Path, rounds: Option<usize>) -> Res<()> {
    single(report, dir)?;
    let rounds = rounds.unwrap_or(if report.quick() { 3 } else { 11 });
    let mut table = Table::new(&["", "commits/s", "observed / not"]);
    for sync in [Sync::Off, Sync::Normal] {
        let ratio = beside_commits(report, dir, sync, rounds, &mut table)?;
        report.target(&format!("one-node commits/s, {sync}: observed each 100 ms / not"), ratio)?;
    }
    table.print(&format!("one-node commits on a primary: medians of {rounds} rounds"));
    Ok(())
}

/// A primary that knows of a replica.
fn primary(dir: &Path, sync: Sync) -> Res<Ours> {
    let ours = Ours::create_as(dir, sync, Role::Primary)?;
    let status = ours.db.primary_replication_status()?.ok_or("a primary has a status")?;
    ours.db.primary_report_replica_progress("replica", status.epoch, 0)?;
    Ok(ours)
}

/// A way to make something of metrics, and of how many bytes that is.
type Form = (&'static str, fn(&Metrics) -> usize);

const FORMS: [Form; 4] = [
    ("Prometheus text", |metrics| black_box(render_replication_metrics_prometheus(metrics)).len()),
    ("OpenMetrics", |metrics| {
        let options = PrometheusOptions::new().format(PrometheusFormat::OpenMetrics);
        black_box(render_replication_metrics_prometheus_with_options(metrics, &options)).len()
    }),
    ("OTLP in JSON", |metrics| black_box(render_replication_metrics_otel_json(metrics)).len()),
    ("OTLP in protobuf", |metrics| black_box(render_replication_metrics_otel_protobuf(metrics)).len()),
];

/// One collection and one rendering, one after the other, of a quiet primary with a lagging replica.
fn single(report: &mut Report, dir: &Path) -> Res<()> {
    let path = dir.join("single");
    std::fs::create_dir(&path)?;
    let mut ours = primary(&path, Sync::Off)?;
    for i in 0..if report.quick() { 10_000 } else { 100_000 } {
        ours.commit(i)?;
    }
    let times = if report.quick() { 2000 } else { 20_000 };
    let mut table = Table::new(&["", "p50 ns", "p99 ns", "bytes"]);
    let mut row = |report: &mut Report, name: &str, samples: &Samples, bytes: Option<usize>| {
        let summary = samples.summary();
        report.figure(format!("{name}: p50"), summary.p50 * 1e3, "ns");
        report.figure(format!("{name}: p99"), summary.p99 * 1e3, "ns");
        if let Some(bytes) = bytes {
            report.figure(format!("{name}: bytes"), bytes as f64, "bytes");
        }
        let bytes = bytes.map_or_else(String::new, |bytes| number(bytes as f64));
        table.row(vec![name.into(), number(summary.p50 * 1e3), number(summary.p99 * 1e3), bytes]);
    };
    let mut samples = Samples::with_capacity(times);
    for _ in 0..times {
        black_box(samples.time(|| ours.db.collect_metrics())?);
    }
    row(report, "collect_metrics", &samples, None);
    let metrics = ours.db.collect_metrics()?;
    for (name, form) in FORMS {
        let mut samples = Samples::with_capacity(times);
        let mut bytes = 0;
        for _ in 0..times {
            bytes = samples.time(|| form(&metrics));
        }
        row(report, name, &samples, Some(bytes));
    }
    table.print("once");
    drop(ours);
    os::remove(&path)
}

/// Adds the two rows and returns the ratio of the rates, observed / not.
fn beside_commits(report: &mut Report, dir: &Path, sync: Sync, rounds: usize, table: &mut Table) -> Res<f64> {
    let blocks = if report.quick() { 2 } else { 4 };
    let mut all = Vec::with_capacity(rounds);
    for n in 0..rounds {
        let path = dir.join("round");
        std::fs::create_dir(&path)?;
        all.push(round(&path, sync, blocks, n)?);
        os::remove(&path)?;
    }
    let of = |f: &dyn Fn(&[f64; 2]) -> f64| median(&all.iter().map(f).collect::<Vec<_>>());
    let ratio = of(&|[not, observed]| observed / not);
    report.figure(format!("{sync}: rate observed / not"), ratio, "ratio");
    for (side, name) in SIDES.into_iter().enumerate() {
        let rate = of(&|rates| rates[side]);
        report.figure(format!("{sync}, {name}: rate"), rate, "commits/s");
        let shown = if side == 1 { format!("{ratio:.3}") } else { String::new() };
        table.row(vec![format!("{sync}, {name}"), number(rate), shown]);
    }
    Ok(ratio)
}

/// Commits on both primaries in turn, in blocks of time, to and fro. Returns the commits a second of each.
fn round(dir: &Path, sync: Sync, blocks: usize, n: usize) -> Res<[f64; 2]> {
    let mut made = [None, None];
    // Who is made first changes from round to round: where files and tables lie favours nobody.
    for side in if n.is_multiple_of(2) { [0, 1] } else { [1, 0] } {
        let path = dir.join(["not", "observed"][side]);
        std::fs::create_dir(&path)?;
        made[side] = Some(primary(&path, sync)?);
    }
    let [Some(not), Some(observed)] = made else { return Err("a side is missing".into()) };
    let mut sides = [not, observed].map(|ours| Side { ours, next: 0, commits: 0, took: Duration::ZERO });
    for block in 0..=blocks {
        for turn in 0..2 {
            let side = if (block + n).is_multiple_of(2) { turn } else { 1 - turn };
            sides[side].block(side == 1, block > 0)?;
        }
    }
    Ok(sides.map(|side| side.commits as f64 / side.took.as_secs_f64()))
}

/// One of the two primaries.
struct Side {
    ours: Ours,
    /// The number of the next node.
    next: u64,
    /// What is counted: not the first block, in which everything gets warm.
    commits: u64,
    took: Duration,
}

impl Side {
    /// Commits for a while, beside a thread that collects if it is `observed`.
    fn block(&mut self, observed: bool, counts: bool) -> Res<()> {
        let (stop, stopped) = mpsc::channel::<()>();
        let observer = self.ours.db.clone();
        let observer = observed.then(|| thread::spawn(move || observe(&observer, &stopped)));
        let (begin, first) = (Instant::now(), self.next);
        while begin.elapsed() < BLOCK {
            for _ in 0..64 {
                self.ours.commit(self.next)?;
                self.next += 1;
            }
        }
        let took = begin.elapsed();
        drop(stop);
        if let Some(observer) = observer {
            observer.join().map_err(|_| "the observer panicked")??;
        }
        if counts {
            self.commits += self.next - first;
            self.took += took;
        }
        Ok(())
    }
}

/// Collects and renders until it is told to stop.
fn observe(db: &Database, stopped: &mpsc::Receiver<()>) -> kitedb_core::Result<()> {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
        black_box(render_replication_metrics_prometheus(&db.collect_metrics()?));
    }
    Ok(())
}
