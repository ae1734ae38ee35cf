//! A page of a long log, from its start and from its end: as JSON for a network, and as a replica pulls it.

use std::path::Path;

use kitedb_core::{Database, NodeId, ReplicationRole};
use kitedb_transport::TransportJson;

use crate::Res;
use crate::engines::Sync;
use crate::engines::ours::{commit_node, equal, open_replica, options};
use crate::harness::graph::PROPERTY;
use crate::harness::json::Report;
use crate::harness::stats::Samples;
use crate::harness::table::{Table, number};

/// Frames of a page.
const PAGE: usize = 256;
const PAGE_BYTES: usize = 1 << 20;

/// Nodes that the log's commits change over and over: the graph does not grow, so that applying a page costs the same
/// everywhere.
const NODES: u64 = 1_000;

/// The subcommand.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    let (frames, pages, opens) = if report.quick() { (100_000, 50, 5) } else { (1_000_000, 400, 20) };
    let path = dir.join("primary.kitedb");
    let primary = open_primary(&path)?;
    write_log(&primary, frames)?;
    let mut table = Table::new(&["", "start µs", "middle µs", "end µs", "end / start"]);
    let times = at_three_places(frames, pages, |cursor| export(&primary, cursor))?;
    let ratio = row(report, &mut table, "ours: exported as JSON", times);
    report.target("page exported as JSON: end / start of the log", ratio)?;
    primary.close()?;
    let times = first_after_open(&path, frames, opens)?;
    row(report, &mut table, "ours: exported as JSON, the first one after an open", times);
    let primary = open_primary(&path)?;
    let times = pulled(&primary, dir, frames, pages)?;
    let ratio = row(report, &mut table, "ours: pulled and applied by a replica", times);
    report.target("page pulled by a replica: end / start of the log", ratio)?;
    #[cfg(feature = "peers")]
    peer(report, dir, &mut table)?;
    table.print(&format!("a page of {PAGE} frames of a log of {frames}: medians"));
    Ok(())
}

fn open_primary(path: &Path) -> Res<Database> {
    let options = options(Sync::Normal).auto_checkpoint(false).replication_role(ReplicationRole::Primary);
    Ok(Database::open(path, options)?)
}

/// Makes a log of so many frames.
fn write_log(db: &Database, frames: u64) -> Res<()> {
    for i in 0..NODES {
        commit_node(db, i)?;
    }
    let value = "0123456789".repeat(8);
    for i in NODES..frames {
        let mut tx = db.begin()?;
        tx.set_node_prop(NodeId(i % NODES + 1), PROPERTY, value.as_str())?;
        tx.commit()?;
    }
    Ok(())
}

fn export(db: &Database, cursor: &str) -> Res<()> {
    let page = db.primary_export_log_transport_json(Some(cursor), PAGE, PAGE_BYTES, true)?;
    if page.contains(&format!("\"frame_count\":{PAGE},")) { Ok(()) } else { Err("a page is not full".into()) }
}

/// Median µs of one page exported by a primary that was just opened: from the start, the middle and the end.
fn first_after_open(path: &Path, frames: u64, opens: usize) -> Res<[f64; 3]> {
    let mut samples = [Samples::default(), Samples::default(), Samples::default()];
    let last = frames - PAGE as u64;
    for n in 0..opens {
        for turn in 0..3 {
            let place = if n.is_multiple_of(2) { turn } else { 2 - turn };
            let primary = open_primary(path)?;
            let cursor = format!("1:0:0:{}", [1, last / 2, last][place]);
            samples[place].time(|| export(&primary, &cursor))?;
            primary.close()?;
        }
    }
    Ok(samples.map(|s| s.summary().p50))
}

/// Median µs of `export` after cursors of the first, the middle and the last twentieth of the log, in turn; no two calls
/// after the same.
fn at_three_places(frames: u64, pages: u64, export: impl Fn(&str) -> Res<()>) -> Res<[f64; 3]> {
    let (last, step) = (frames - PAGE as u64, frames / 20 / pages);
    let mut samples = [Samples::default(), Samples::default(), Samples::default()];
    for n in 0..pages {
        for turn in 0..3 {
            let place = if n.is_multiple_of(2) { turn } else { 2 - turn };
            let first = [1 + n * step, last / 2 + n * step, last - n * step][place];
            samples[place].time(|| export(&format!("1:0:0:{first}")))?;
        }
    }
    Ok(samples.map(|s| s.summary().p50))
}

/// Median µs of a pull of a page, applied, by three replicas in turn: one follows from the log's first frame on, one
/// from its middle, one to its last frame.
fn pulled(primary: &Database, dir: &Path, frames: u64, pages: u64) -> Res<[f64; 3]> {
    let page = PAGE as u64;
    let stretch = pages.min(frames / page / 4) * page;
    let mut replicas = Vec::new();
    for begin in [0, (frames - stretch) / 2, frames - stretch] {
        let path = dir.join(format!("replica-{begin}.kitedb"));
        let open = || open_replica(&path, primary.path(), options(Sync::Normal));
        let replica = open()?;
        let mut at = 0;
        while at < begin {
            at += replica.replica_catch_up_once((begin - at) as usize)? as u64;
        }
        // Closed and opened, all of them begin without anything held in memory.
        replica.close()?;
        replicas.push(open()?);
    }
    let mut samples = [Samples::default(), Samples::default(), Samples::default()];
    for n in 0..stretch / page {
        for turn in 0..3 {
            let place = if n.is_multiple_of(2) { turn } else { 2 - turn };
            let applied = samples[place].time(|| replicas[place].replica_catch_up_once(PAGE))?;
            if applied != PAGE {
                return Err(format!("a replica applied {applied} of {PAGE} frames").into());
            }
        }
    }
    equal(primary, &replicas[2])?;
    Ok(samples.map(|s| s.summary().p50))
}

/// Adds a row. Returns end / start.
fn row(report: &mut Report, table: &mut Table, name: &str, [start, middle, end]: [f64; 3]) -> f64 {
    for (place, value) in [("start", start), ("middle", middle), ("end", end)] {
        report.figure(format!("{name}: {place}"), value, "us");
    }
    table.row(vec![name.into(), number(start), number(middle), number(end), number(end / start)]);
    end / start
}

/// kitedb 0.2.18 with a shorter log: it reads it from the first byte for each page.
#[cfg(feature = "peers")]
fn peer(report: &mut Report, dir: &Path, table: &mut Table) -> Res<()> {
    use crate::engines::kitedb_0_2::Kitedb;
    use crate::engines::{Commit, Primary, Role};
    const FRAMES: u64 = 50_000;
    let mut peer = Kitedb::create_as(dir, Sync::Normal, Role::Primary)?;
    for i in 0..FRAMES {
        peer.commit(i)?;
    }
    let times = at_three_places(FRAMES, 10, |cursor| peer.export(cursor, PAGE, PAGE_BYTES))?;
    row(report, table, &format!("kitedb 0.2.18, {FRAMES} frames: exported as JSON"), times);
    Ok(())
}
