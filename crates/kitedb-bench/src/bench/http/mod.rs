//! The server: point reads beside a bare handler of the same bytes, commits of a process that it is attached to, and the bytes of a log
//! beside those of a file. Servers are processes of their own, and whoever asks them is this one, or `curl`.

mod client;
mod server;

pub use server::child;

use std::fs::{File, create_dir};
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use kitedb_core::{Database, NodeId, ReplicationRole};

use crate::Res;
use crate::engines::Sync;
use crate::engines::ours::{commit_node, options};
use crate::harness::graph::{PROPERTY, key};
use crate::harness::json::Report;
use crate::harness::stats::{Samples, Summary, median, seconds};
use crate::harness::table::{Table, number};
use client::{Client, curl};
use server::Server;

/// How many connections ask at once.
const CLIENTS: usize = 8;
/// How often the server beside a writer is scraped: more often than a Prometheus does.
const EVERY: Duration = Duration::from_millis(250);
/// How long one side is measured before the other one is.
const BLOCK: Duration = Duration::from_millis(500);
/// What a page of the log may have, which is the most that may be asked for.
const PAGE: u64 = 32 << 20;

/// The subcommand. Ratios are medians of those of the rounds, in each of which both sides are measured.
pub fn run(report: &mut Report, dir: &Path) -> Res<()> {
    let rounds = if report.quick() { 2 } else { 9 };
    point_reads(report, dir, rounds)?;
    commits(report, dir, rounds)?;
    log_bytes(report, dir, rounds)
}

fn primary(path: &Path, sync: Sync) -> Res<Database> {
    Ok(Database::open(path, options(sync).replication_role(ReplicationRole::Primary))?)
}

fn point_reads(report: &mut Report, dir: &Path, rounds: usize) -> Res<()> {
    let path = dir.join("read.kitedb");
    let db = primary(&path, Sync::Normal)?;
    for i in 0..1_000 {
        commit_node(&db, i)?;
    }
    db.checkpoint()?;
    let route = format!("/api/graph/node?key={}", key(500));
    // Beside this process, which has the database open for writing, and commits nothing meanwhile.
    let beside = Server::start("http-beside", &path)?;
    let body = Client::connect(&beside)?.get(&route)?;
    let reply = dir.join("reply");
    File::create(&reply)?.write_all(&body)?;
    let bare = Server::start("http-bare", &reply)?;
    let of = |server: &Server| asked(server, &route, &body);
    let mut rows = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..rounds {
        rows[0].push(of(&bare)?);
        rows[1].push(of(&beside)?);
    }
    drop(beside);
    db.close()?;
    let held = Server::start("http-held", &path)?;
    let mut held_ratios = Vec::new();
    for _ in 0..rounds {
        let bare = of(&bare)?;
        let held = of(&held)?;
        held_ratios.push(held.0 / bare.0);
        rows[2].push(held);
    }
    let ratios: Vec<_> = rows[1].iter().zip(&rows[0]).map(|(ours, bare)| ours.0 / bare.0).collect();
    let ratios = [1.0, median(&ratios), median(&held_ratios)];
    let mut table = Table::new(&["", "reads/s", "p50 µs", "p99 µs", "ours / bare"]);
    for ((name, row), ratio) in
        ["bare axum", "ours, beside a writer", "ours, which has it open"].iter().zip(&rows).zip(ratios)
    {
        let of = |f: fn(&(f64, Summary)) -> f64| median(&row.iter().map(f).collect::<Vec<_>>());
        let [rate, p50, p99] = [of(|r| r.0), of(|r| r.1.p50), of(|r| r.1.p99)];
        report.figure(format!("point reads, {name}: rate"), rate, "reads/s");
        report.figure(format!("point reads, {name}: p99"), p99, "µs");
        table.row(vec![(*name).into(), number(rate), number(p50), number(p99), format!("{ratio:.2}")]);
    }
    report.target("point reads/s over HTTP: ours, beside a writer / bare axum", ratios[1])?;
    report.target("point reads/s over HTTP: ours, which has it open / bare axum", ratios[2])?;
    table.print(&format!("GET {route} by {CLIENTS} connections: medians of {rounds} rounds"));
    Ok(())
}

/// The answers a second that all connections got together for a while, and how long each took.
fn asked(server: &Server, route: &str, expected: &[u8]) -> Res<(f64, Summary)> {
    let ask = || -> Res<Samples> {
        let mut client = Client::connect(server)?;
        let mut samples = Samples::with_capacity(1 << 16);
        let begin = Instant::now();
        while begin.elapsed() < BLOCK {
            let body = samples.time(|| client.get(route))?;
            if body != expected {
                return Err("another answer".into());
            }
        }
        Ok(samples)
    };
    let all: Result<Vec<Samples>, String> = thread::scope(|scope| {
        let asking: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| ask().map_err(|e| e.to_string()))).collect();
        asking.into_iter().map(|one| one.join().map_err(|_| "a client panicked".to_owned())?).collect()
    });
    let mut together = Samples::default();
    all?.iter().for_each(|samples| together.extend(samples));
    let summary = together.summary();
    Ok((together.len() as f64 / BLOCK.as_secs_f64(), summary))
}

fn commits(report: &mut Report, dir: &Path, rounds: usize) -> Res<()> {
    let mut table = Table::new(&["", "p50 µs", "p95 µs", "served / not"]);
    for sync in [Sync::Normal, Sync::Full] {
        let mut p95 = [Vec::new(), Vec::new()];
        let mut p50 = [Vec::new(), Vec::new()];
        let mut ratios = Vec::new();
        for n in 0..rounds {
            let place = dir.join("commits");
            create_dir(&place)?;
            let path = place.join("p.kitedb");
            let db = primary(&path, sync)?;
            let mut next = 0;
            // What is warm after the first block is warm for both.
            block(&db, &mut next)?;
            let mut sides = [Samples::default(), Samples::default()];
            for turn in 0..4 {
                let served = (turn + n) % 2 == 1;
                let server = if served { Some(Server::start("http-beside", &path)?) } else { None };
                let samples = match &server {
                    Some(server) => scraped(server, || block(&db, &mut next))?,
                    None => block(&db, &mut next)?,
                };
                sides[usize::from(served)].extend(&samples);
            }
            let of = sides.map(|samples| samples.summary());
            for side in 0..2 {
                p50[side].push(of[side].p50);
                p95[side].push(of[side].p95);
            }
            ratios.push(of[1].p95 / of[0].p95);
            db.close()?;
            crate::harness::os::remove(&place)?;
        }
        let ratio = median(&ratios);
        for (side, name) in ["alone", "served and scraped"].iter().enumerate() {
            let shown = if side == 1 { format!("{ratio:.3}") } else { String::new() };
            let [p50, p95] = [median(&p50[side]), median(&p95[side])];
            report.figure(format!("commits, {sync}, {name}: p95"), p95, "µs");
            table.row(vec![format!("{sync}, {name}"), number(p50), number(p95), shown]);
        }
        report.target(&format!("one-node commits, {sync}, p95: served and scraped / alone"), ratio)?;
    }
    table.print(&format!(
        "one-node commits of a process: medians of {rounds} rounds; metrics scraped each {} ms",
        EVERY.as_millis()
    ));
    Ok(())
}

/// Commits for a while.
fn block(db: &Database, next: &mut u64) -> Res<Samples> {
    let mut samples = Samples::with_capacity(1 << 16);
    let begin = Instant::now();
    while begin.elapsed() < BLOCK {
        samples.time(|| commit_node(db, *next))?;
        *next += 1;
    }
    Ok(samples)
}

/// Does that beside a thread that asks for the metrics again and again.
fn scraped<T>(server: &Server, work: impl FnOnce() -> Res<T>) -> Res<T> {
    let (stop, stopped) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let scraper = scope.spawn(move || -> Result<(), String> {
            let mut client = Client::connect(server).map_err(|e| e.to_string())?;
            loop {
                client.get("/metrics").map_err(|e| e.to_string())?;
                match stopped.recv_timeout(EVERY) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => return Ok(()),
                }
            }
        });
        let done = work();
        drop(stop);
        scraper.join().map_err(|_| "the scraper panicked")??;
        done
    })
}

fn log_bytes(report: &mut Report, dir: &Path, rounds: usize) -> Res<()> {
    let path = dir.join("log.kitedb");
    let db = primary(&path, Sync::Off)?;
    // Frames of 4 KiB: as many as a page takes fill one.
    let value = "0123456789abcdef".repeat(256);
    let pages = if report.quick() { 1 } else { 4 };
    commit_node(&db, 0)?;
    for _ in 0..pages * PAGE / 4096 {
        let mut tx = db.begin()?;
        tx.set_node_prop(NodeId(1), PROPERTY, value.as_str())?;
        tx.commit()?;
    }
    db.sync()?;
    let server = Server::start("http-beside", &path)?;
    let (mut ours, mut files) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (took, lengths) = seconds(|| fetched(&server));
        let lengths = lengths?;
        let total = lengths.iter().sum::<u64>() as f64;
        ours.push(total / took);
        // The same requests, for files of the same lengths.
        let mut of = Vec::new();
        for (n, length) in lengths.iter().enumerate() {
            let file = dir.join(format!("page-{n}"));
            File::create(&file)?.set_len(*length)?;
            of.push(Server::start("http-file", &file)?);
        }
        let (took, got) = seconds(|| of.iter().map(|server| curl(&server.url("/"), &[])).collect::<Res<Vec<_>>>());
        if got?.iter().map(|page| page.length).ne(lengths.iter().copied()) {
            return Err("a file came otherwise than it is".into());
        }
        files.push(total / took);
    }
    let ratio = median(&ours.iter().zip(&files).map(|(ours, files)| ours / files).collect::<Vec<_>>());
    let [ours, files] = [median(&ours) / 1e6, median(&files) / 1e6];
    report.figure("log by curl", ours, "MB/s");
    report.figure("file by curl", files, "MB/s");
    report.target("bytes/s by curl: the log / a file of the same size", ratio)?;
    let mut table = Table::new(&["", "MB/s", "log / file"]);
    table.row(vec!["log, in pages of 32 MiB".into(), number(ours), format!("{ratio:.2}")]);
    table.row(vec!["files of those lengths".into(), number(files), String::new()]);
    table.print(&format!("fetched by curl: medians of {rounds} rounds"));
    drop(server);
    db.close()?;
    Ok(())
}

/// Fetches the log from its start to its end; returns the lengths of its pages.
fn fetched(server: &Server) -> Res<Vec<u64>> {
    let (mut lengths, mut cursor) = (Vec::new(), String::new());
    loop {
        let url = server.url(&format!("/api/replication/log?maxFrames=10000&maxBytes={PAGE}{cursor}"));
        let page = curl(&url, &["accept: application/octet-stream"])?;
        let header = |name: &str| page.header(name).ok_or_else(|| format!("a page without {name}"));
        lengths.push(page.length);
        if header("kite-eof")? == "true" {
            return Ok(lengths);
        }
        cursor = format!("&cursor={}", header("kite-next-cursor")?);
    }
}
