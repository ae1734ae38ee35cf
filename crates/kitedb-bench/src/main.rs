//! `kitedb-bench`: KiteDB against the physical floors and against its peers, in one run.

// A benchmark prints, and reads the clock itself.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

mod bench;
mod engines;
mod floors;
mod harness;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

/// What can go wrong in a benchmark is only shown.
type Res<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(
    name = "kitedb-bench",
    about = "KiteDB against the physical floors and its peers; build with --features peers for the latter"
)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Args)]
struct Args {
    /// Fewer rounds, and a tenth of graph (b)
    #[arg(long)]
    quick: bool,
    /// Write figures and targets to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the databases are made [default: a temporary folder on a disk]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(clap::Args)]
struct RoundArgs {
    #[command(flatten)]
    args: Args,
    /// How many rounds [default: as many as the benchmark needs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
}

#[derive(Subcommand)]
enum What {
    /// One keyed node per transaction; batches; with a reader beside
    Commit(Args),
    /// Synced commits from several threads
    GroupCommit(Args),
    /// Commits that one thread submits, beside threads that wait for each
    Submit(Args),
    /// Lookups and traversals of graphs (a) and (b)
    Read(Args),
    /// Opening after a clean close and after a crash; size on disk
    Open(Args),
    /// Bytes written by checkpoints and compactions, and commits beside them
    Checkpoint(Args),
    /// Loading graph (b) in batches
    Load(Args),
    /// Resident memory after opening graph (b)
    Memory(Args),
    /// The same commits on a primary and on a database that plays no part in replication
    ReplicationOverhead(RoundArgs),
    /// A replica that catches up, beside the rate of its own primary
    Catchup(RoundArgs),
    /// A replica that copies a primary under full load, beside a plain copy
    Bootstrap(Args),
    /// Pages from the start and from the end of a long log
    LogPaging(Args),
    /// One primary and five replicas through lag, promotions, cuts of the log and reseeds
    Soak(RoundArgs),
    /// Collecting and rendering metrics, and commits beside that
    Telemetry(RoundArgs),
    /// What is served over HTTP, beside a bare handler, a writer that is not served, and a file
    Http(Args),
    /// What can be reached in graph (b), beside the same search over arrays
    Traverse(Args),
    /// Shortest paths, components and PageRank of graph (b), beside the same algorithms over arrays
    Path(Args),
    /// Run by the benchmarks in a process of its own
    #[command(hide = true)]
    Child {
        task: String,
        engine: String,
        path: PathBuf,
        #[arg(long)]
        count: u64,
    },
}

fn main() -> std::process::ExitCode {
    match dispatch(Cli::parse().what) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn dispatch(what: What) -> Res<()> {
    match what {
        What::Commit(args) => bench::run("commit", bench::commit::run, &args),
        What::GroupCommit(args) => bench::run("group-commit", bench::group_commit::run, &args),
        What::Submit(args) => bench::run("submit", bench::submit::run, &args),
        What::Read(args) => bench::run("read", bench::read::run, &args),
        What::Open(args) => bench::run("open", bench::open::run, &args),
        What::Checkpoint(args) => bench::run("checkpoint", bench::checkpoint::run, &args),
        What::Load(args) => bench::run("load", bench::load::run, &args),
        What::Memory(args) => bench::run("memory", bench::memory::run, &args),
        What::ReplicationOverhead(RoundArgs { args, rounds }) => bench::run(
            "replication-overhead",
            |report, dir| bench::replication_overhead::run(report, dir, rounds.map(|n| n as usize)),
            &args,
        ),
        What::Catchup(RoundArgs { args, rounds }) => {
            bench::run("catchup", |report, dir| bench::catchup::run(report, dir, rounds.map(|n| n as usize)), &args)
        }
        What::Bootstrap(args) => bench::run("bootstrap", bench::bootstrap::run, &args),
        What::LogPaging(args) => bench::run("log-paging", bench::log_paging::run, &args),
        What::Soak(RoundArgs { args, rounds }) => {
            bench::run("soak", |report, dir| bench::soak::run(report, dir, rounds.map(|n| n as usize)), &args)
        }
        What::Telemetry(RoundArgs { args, rounds }) => {
            bench::run("telemetry", |report, dir| bench::telemetry::run(report, dir, rounds.map(|n| n as usize)), &args)
        }
        What::Http(args) => bench::run("http", bench::http::run, &args),
        What::Traverse(args) => bench::run("traverse", bench::traverse::run, &args),
        What::Path(args) => bench::run("path", bench::path::run, &args),
        What::Child { task, engine, path, count } => child(&task, &engine, &path, count),
    }
}

fn child(task: &str, engine: &str, path: &Path, count: u64) -> Res<()> {
    match task {
        "resident" => bench::memory::child(engine, path, count),
        _ if task.starts_with("http-") => bench::http::child(task, path),
        "commit" => engines::store(engine)?.commit_and_die(path, count),
        _ => Err(format!("no task {task}").into()),
    }
}
