//! A page of a long log, from its start and from its end: as JSON for a network, and as a replica pulls it.

use std::path::Path;

use kitedb_core::{Database, NodeId, ReplicationRole};

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
    let ratio = row(report, &mut table, "ours: exported as JSON, the first one after an open", times);
    report.target("page exported as JSON, the first one after an open: end / start of the log", ratio)?;
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

/// Median µs of `export` after a cursor near the start, the middle and the end, in turn; no two calls after the same.
fn at_three_places(frames: u64, pages: u64, export: impl Fn(&str) -> Res<()>) -> Res<[f64; 3]> {
    let last = frames - PAGE as u64 - pages;
    let mut samples = [Samples::default(), Samples::default(), Samples::default()];
    for n in 0..pages {
        for turn in 0..3 {
            let place = if n.is_multiple_of(2) { turn } else { 2 - turn };
            let first = [1, last / 2, last][place] + n;
            samples[place].time(|| export(&format!("1:0:0:{first}")))?;
        }
    }
    Ok(samples.map(|s| s.summary().p50))
}

/// Median µs of a pull of a page, applied, by a replica that follows the log from its first frame to its last: near the
/// start, the middle and the end. The first pull of each stretch is that of a replica that was just opened.
fn pulled(primary: &Database, dir: &Path, frames: u64, pages: u64) -> Res<[f64; 3]> {
    let page = PAGE as u64;
    let stretch = pages.min(frames / page / 4) * page;
    let open = || open_replica(&dir.join("replica.kitedb"), primary.path(), options(Sync::Normal));
    let mut medians = [0.0; 3];
    for (median, begin) in medians.iter_mut().zip([0, (frames - stretch) / 2, frames - stretch]) {
        let replica = open()?;
        let mut at = replica.snapshot()?.token().log_index.0;
        while at < begin {
            at += replica.replica_catch_up_once((begin - at) as usize)? as u64;
        }
        // A checkpoint empties the delta, so that every stretch begins with one of the same size.
        replica.checkpoint()?;
        replica.close()?;
        let replica = open()?;
        let mut samples = Samples::default();
        for _ in 0..stretch / page {
            samples.time(|| replica.replica_catch_up_once(PAGE))?;
        }
        *median = samples.summary().p50;
        if begin + stretch == frames {
            equal(primary, &replica)?;
        }
        replica.close()?;
    }
    Ok(medians)
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
