//! `kitedb demo`: a real graph, a few questions to it, crashes, and the life of a primary with its replicas.

mod cluster;
mod crash;
mod lockfile;
mod process;
mod tour;
pub mod writer;

use super::write_json;
use crate::{
    cli::DemoArgs,
    failure::{Failure, Outcome},
    import::{
        sink::{Sink, Unwritten},
        write::{Choices, OnDuplicate},
    },
    render::{
        number::{counted, duration},
        style::{ACCENT, DIM, Styled, TITLE, clean},
    },
};
use kitedb_core::{Database, OpenOptions};
use lockfile::LockFile;
use serde_json::json;
use std::{
    env, fs, io,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How often the writer is killed.
const CRASHES: u32 = 3;

pub fn run(args: &DemoArgs, out: &mut dyn Write) -> Outcome {
    let file = new_file(args.dir.as_deref())?;
    let mut sink = io::sink();
    // For JSON the same tour is taken in silence.
    let show: &mut dyn Write = if args.json { &mut sink } else { &mut *out };

    let lock = lockfile::find(&env::current_dir().unwrap_or_default())?;
    let database = Database::open(&file, OpenOptions::new())?;
    let time = import(&database, &lock)?;
    section(show, "A real graph in one file")?;
    writeln!(show, "  {} {}", Styled(DIM, "from"), clean(&lock.origin))?;
    writeln!(show, "  {}   {}", Styled(DIM, "to"), clean(&file.display().to_string()))?;
    let (crates, dependencies) = (lock.crates.len() as u64, lock.dependencies() as u64);
    let what = [counted(crates, "crate", "crates"), counted(dependencies, "dependency", "dependencies")].join(" and ");
    writeln!(show, "       {what} in {}", duration(time))?;

    let tour = tour::read(&database.snapshot()?, &database.stats()?)?;
    database.close()?;
    section(show, "What it holds")?;
    tour.show_counts(show)?;
    section(show, "The most depended-on crates")?;
    tour.show_ranking(show)?;
    section(show, "A neighbourhood")?;
    tour.show_neighborhood(show)?;

    section(show, &format!("A crash, {CRASHES} times"))?;
    let mut table = crash::explain(show)?;
    let mut crashes = Vec::new();
    for _ in 0..CRASHES {
        show.flush()?;
        let crash = crash::survive(&file)?;
        crash.show(&mut table, show)?;
        crashes.push(crash);
    }
    crash::conclude(&crashes, show)?;
    let cluster = cluster::Cluster::play(&file, show)?;

    section(show, "Look around")?;
    let shell = file.display().to_string();
    for command in ["stats", "check", "neighbors"] {
        let rest = if command == "neighbors" { format!(" '{}' --in", tour.favourite()) } else { String::new() };
        writeln!(show, "  {}", Styled(ACCENT, format!("kitedb {command} {shell}{rest}")))?;
    }
    let leader = cluster::replicas(&file)[0].display().to_string();
    for command in [format!("primary status {leader}"), format!("verify {leader} {shell}")] {
        writeln!(show, "  {}", Styled(ACCENT, format!("kitedb {command}")))?;
    }
    if args.json {
        let crashes: Vec<_> = crashes.iter().map(crash::Crash::json).collect();
        write_json(
            out,
            &json!({
                "database": shell,
                "source": lock.origin,
                "graph": tour.json(),
                "crashes": crashes,
                "replication": cluster.json(),
                "ok": true,
            }),
        )?;
    }
    Ok(())
}

/// Imports the crates the way `kitedb import` would.
fn import(database: &Database, lock: &LockFile) -> Outcome<Duration> {
    let started = Instant::now();
    let (edge_type, label) = (lockfile::DEPENDS_ON, Some(lockfile::CRATE));
    let choices = Choices { edge_type, label, on_duplicate: OnDuplicate::Update };
    let mut sink = Sink::new(database, 5_000, choices)?;
    for element in lock.elements() {
        sink.put(element, 0).map_err(Unwritten::into_error)?;
    }
    sink.finish()?;
    Ok(started.elapsed())
}

fn section(out: &mut dyn Write, title: &str) -> io::Result<()> {
    writeln!(out, "\n{}", Styled(TITLE, title))?;
    out.flush()
}

/// The first name in the folder that is not taken: a demo never writes over anything.
fn new_file(dir: Option<&Path>) -> Outcome<PathBuf> {
    let own = env::temp_dir().join(format!("kitedb-demo-{}", std::process::id()));
    let dir = dir.unwrap_or(&own);
    fs::create_dir_all(dir)
        .map_err(|e| Failure::new(format_args!("cannot create the folder {}: {e}", dir.display())))?;
    let names = std::iter::once("demo.kitedb".to_owned()).chain((2..).map(|n| format!("demo-{n}.kitedb")));
    let taken = |path: &PathBuf| path.exists() || cluster::replicas(path).iter().any(|replica| replica.exists());
    let free = names.map(|name| dir.join(name)).find(|path| !taken(path));
    free.ok_or_else(|| Failure::new(format_args!("no name is free in {}", dir.display())))
}
