//! Child processes of a test binary: a test runs itself again in another role, and both talk by lines.
#![allow(dead_code, reason = "each test binary uses a part")]

use kitedb_core::{AllTypes, Database, Error, ErrorCode, GraphRead, OpenOptions, Result, SyncMode, View};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{ChildStdin, ChildStdout, Command, Stdio},
};

const ARGS: &str = "KITEDB_TEST_CHILD_ARGS";
const MARK: &str = "@ ";

/// In a child process, what it was started with; `None` in the test itself.
pub fn child_args() -> Option<Vec<String>> {
    std::env::var(ARGS).ok().map(|args| args.split('\n').map(str::to_owned).collect())
}

/// Says a line to the parent.
pub fn tell(line: impl std::fmt::Display) {
    println!("{MARK}{line}");
}

/// Waits for a line of the parent; ends the process if the parent is gone.
pub fn hear() -> String {
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line).unwrap_or(0) == 0 {
        std::process::exit(3);
    }
    line.trim_end().to_owned()
}

/// A process that runs the test `role` of this binary as a child.
pub struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    pub fn spawn(role: &str, args: &[&str]) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([role, "--exact", "--nocapture", "--test-threads=1"])
            .env(ARGS, args.join("\n"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, input, output }
    }

    /// The next line that the child says; `None` once it has ended.
    pub fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // A line that death cut short was not said.
            if let (Some(at), true) = (line.find(MARK), line.ends_with('\n')) {
                return Some(line[at + MARK.len()..].trim_end().to_owned());
            }
        }
    }

    /// Waits until the child says `expected`.
    pub fn expect(&mut self, expected: &str) {
        assert_eq!(self.line().as_deref(), Some(expected), "what the child says");
    }

    pub fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
    }

    /// SIGKILL. Returns what the child had said and nobody had read yet.
    pub fn kill_nine(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        let rest = std::iter::from_fn(|| self.line()).collect();
        self.process.wait().unwrap();
        rest
    }

    /// Waits for the child's end, which must be a success.
    pub fn finish(mut self) {
        drop(self.input.take());
        while self.line().is_some() {}
        let status = self.process.wait().unwrap();
        assert!(status.success(), "the child ended with {status}");
    }
}

/// A small generator of numbers, from a seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// From `KITEDB_SEED`, or by chance; printed, so that a failure can be run again.
    pub fn from_environment() -> Self {
        let seed = match std::env::var("KITEDB_SEED") {
            Ok(seed) => seed.parse().expect("KITEDB_SEED is a number"),
            Err(_) => getrandom::u64().unwrap(),
        };
        println!("KITEDB_SEED={seed}");
        Self::new(seed)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

pub fn mode_of(name: &str) -> SyncMode {
    match name {
        "full" => SyncMode::Full,
        "normal" => SyncMode::Normal,
        _ => SyncMode::Off,
    }
}

/// Options for tests that want neither threads nor syncs in their way.
pub fn quiet() -> OpenOptions {
    OpenOptions::new().sync_mode(SyncMode::Off).background(false)
}

/// The code of an error that must be one.
#[track_caller]
pub fn code<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    let error: Error = result.expect_err("must fail");
    assert!(!error.to_string().is_empty());
    error.code()
}

/// Checks every invariant, and the digest recomputed from nothing.
#[track_caller]
pub fn assert_clean(db: &Database) {
    let report = db.check().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// All that a snapshot shows, as text in a fixed order.
pub fn dump(view: &View) -> Vec<String> {
    let mut lines = vec![
        format!("{} {}", view.token(), view.digest()),
        format!("counts {} {} {}", view.count_nodes(), view.count_edges(), view.count_vectors()),
    ];
    for (id, name) in view.labels() {
        let members: Vec<u64> = view.nodes_with_label(id).unwrap().map(|n| n.unwrap().id().0).collect();
        lines.push(format!("label {name} {} {members:?}", view.count_nodes_by_label(id)));
    }
    for (id, name) in view.etypes() {
        lines.push(format!("type {name} {}", view.count_edges_by_type(id)));
    }
    let keys = view.propkeys();
    for node in view.nodes() {
        let id = node.unwrap().id();
        let key = view.node_key(id).unwrap();
        let found = key.as_ref().map(|k| view.node_by_key(k).unwrap());
        let props = view.node_props(id).unwrap();
        let labels = view.node_labels(id).unwrap();
        let mut out: Vec<_> = view.out_edges(id, AllTypes).unwrap().map(|edge| edge.key()).collect();
        let mut incoming: Vec<_> = view.in_edges(id, AllTypes).unwrap().map(|edge| edge.key()).collect();
        out.sort_unstable();
        incoming.sort_unstable();
        let vectors: Vec<_> = keys.iter().filter_map(|(k, _)| view.node_vector(id, *k).unwrap()).collect();
        lines.push(format!("node {id} {key:?} {found:?} {props:?} {labels:?} {out:?} {incoming:?} {vectors:?}"));
    }
    for edge in view.edges() {
        let edge = edge.unwrap().key();
        lines.push(format!("edge {edge:?} {:?}", view.edge_props_by_key(edge).unwrap()));
    }
    lines
}

/// Copies a database with its log as they are: what a crash of the process at this moment leaves.
pub fn copy_as_after_a_crash(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    let (log, copy) = (log_folder(from), log_folder(to));
    if log.exists() {
        copy_folder(&log, &copy);
    }
}

pub fn copy_folder(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The folder of a database's private log.
pub fn log_folder(path: &Path) -> std::path::PathBuf {
    let mut name = path.file_name().unwrap().to_owned();
    name.push("-wal");
    path.with_file_name(name)
}
