//! A page of a long log, from its start and from its end: as JSON for a network, and as a replica pulls it.

use std::path::Path;

use kitedb_core::Database;

use crate::Res;
use crate::engines::ours::{Ours, equal, open_replica, options};
use crate::engines::{Commit, Primary, Role, Sync};
use crate::harness::json::Report;
use crate::harness::stats::Samples;
use crate::harness::table::{Table, number};

/// Frames of a page.
const PAGE: usize = 256;
const PAGE_BYTES: usize = 1 << 20;

/// The subcommand.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    let (frames, pages) = if report.quick() { (100_000, 50) } else { (1_000_000, 400) };
    let mut ours = Ours::create_as(dir, Sync::Normal, Role::Primary)?;
    for i in 0..frames {
        ours.commit(i)?;
    }
    let mut table = Table::new(&["", "start µs", "middle µs", "end µs", "end / start"]);
    let title = format!("a page of {PAGE} frames of a log of {frames}: medians of {pages}");
    let export = |cursor: &str| {
        let page = ours.db.primary_export_log_transport_json(Some(cursor), PAGE, PAGE_BYTES, true)?;
        if page.contains(&format!("\"frame_count\":{PAGE},")) { Ok(()) } else { Err("a page is not full".into()) }
    };
    let times = at_three_places(frames, pages, export)?;
    let ratio = row(report, &mut table, "ours: exported as JSON", times);
    report.target("page exported as JSON: end / start of the log", ratio)?;
    let times = pulled(&ours.db, dir, frames, pages)?;
    let ratio = row(report, &mut table, "ours: pulled and applied by a replica", times);
    report.target("page pulled by a replica: end / start of the log", ratio)?;
    #[cfg(feature = "peers")]
    peer(report, dir, &mut table)?;
    table.print(&title);
    Ok(())
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
    const FRAMES: u64 = 50_000;
    let mut peer = Kitedb::create_as(dir, Sync::Normal, Role::Primary)?;
    for i in 0..FRAMES {
        peer.commit(i)?;
    }
    let times = at_three_places(FRAMES, 10, |cursor| peer.export(cursor, PAGE, PAGE_BYTES))?;
    row(report, table, &format!("kitedb 0.2.18, {FRAMES} frames: exported as JSON"), times);
    Ok(())
}
