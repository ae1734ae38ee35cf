//! What the tests ask of a folder, and how they fill it.

use super::support::{Folder, Run, shortened};
use serde_json::Value as Json;
use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

pub const PATIENCE: Duration = Duration::from_secs(60);

/// An account that nobody works under.
pub const NOBODY: u32 = 65534;

/// Asks again until what is asked for is so.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "never {what}");
        sleep(Duration::from_millis(10));
    }
}

/// Imports edges, a commit each; `more` are further arguments.
pub fn import(folder: &Folder, db: &str, edges: &str, more: &[&str]) -> Run {
    // From a file: a command that refuses does not wait for its input.
    folder.file("edges.txt", edges);
    let args = ["import", db, "edges.txt", "--format", "edgelist", "--batch", "1", "--json"];
    folder.run(&[&args[..], more].concat())
}

pub fn replica(folder: &Folder, action: &str, db: &str, source: &str) -> Run {
    folder.run(&["replica", action, db, "--source-db", source, "--json"])
}

pub fn catch_up(folder: &Folder, db: &str, source: &str) -> Run {
    folder.run(&["replica", "follow", db, "--source-db", source, "--once", "--json"])
}

pub fn knows(folder: &Folder, db: &str, key: &str) -> bool {
    folder.run(&["get", db, key]).code == 0
}

/// A primary `p` with one commit, and its replica `r`.
pub fn pair() -> Folder {
    let folder = Folder::new();
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok();
    folder
}

/// A primary `p` that is fenced, and `r`, which took over.
pub fn failed_over() -> Folder {
    let folder = pair();
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    import(&folder, "r.kitedb", "new primary K\n", &[]).ok();
    folder
}

/// A process that imports what it is fed, a commit for each line.
pub struct Feed {
    process: Child,
    input: Option<ChildStdin>,
}

impl Feed {
    pub fn start(folder: &Folder, db: &str, more: &[&str]) -> Self {
        let args = ["import", db, "-", "--format", "edgelist", "--batch", "1"];
        let mut process = folder
            .command(&[&args[..], more].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        Self { process, input }
    }

    /// Feeds lines, and waits until the database shows its log index.
    pub fn feed(&mut self, folder: &Folder, db: &str, edges: &str, token: &str) {
        self.input.as_mut().unwrap().write_all(edges.as_bytes()).unwrap();
        until("the commits are there", || {
            let stats = folder.run(&["stats", db, "--json"]).out;
            serde_json::from_str::<Json>(&stats).is_ok_and(|stats| shortened(stats)["token"] == token)
        });
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL.
    pub fn kill_nine(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// No more input comes, so that it ends in an orderly way.
    pub fn end(mut self) -> Option<i32> {
        drop(self.input.take());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let _ = (self.process.kill(), self.process.wait());
    }
}

pub fn lines(prefix: &str, count: u32) -> String {
    (1..=count).map(|n| format!("{prefix}{n} {prefix}to{n} K\n")).collect()
}

/// As `cp -a`.
pub fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// The files in `folder`, by name, with their bytes.
pub fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    all.sort();
    all
}

pub fn names(folder: &Path) -> Vec<String> {
    let mut all: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

pub fn segments(folder: &Folder, db: &str) -> usize {
    let log = folder.path().join(format!("{db}.replication"));
    names(&log).iter().filter(|name| name.starts_with("segment-")).count()
}

/// The commands between backticks in a text, as arguments.
pub fn commands_in(text: &str) -> Vec<Vec<&str>> {
    text.split('`').skip(1).step_by(2).map(|command| command.split(' ').skip(1).collect()).collect()
}

pub fn registered(folder: &Folder, db: &str) -> Vec<String> {
    let status = folder.run(&["primary", "status", db, "--json"]).json();
    let lags = status["replica_lags"].as_array().unwrap();
    lags.iter().map(|lag| lag["replica_id"].as_str().unwrap().to_owned()).collect()
}

pub const SMALL: [&str; 4] = ["--segment-max-bytes", "4096", "--retention-min-entries", "5"];

/// A folder in which another account can work, with a copy of the command; `None`, said aloud, if this is not root.
pub fn shared_folder() -> Option<Folder> {
    let folder = Folder::new();
    if fs::metadata(folder.path()).unwrap().uid() != 0 {
        println!("skipped: only root can work as somebody else");
        return None;
    }
    if Command::new("su").arg("--version").output().is_err() {
        println!("skipped: there is no su");
        return None;
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let command = folder.path().join("kb");
    fs::copy(env!("CARGO_BIN_EXE_kitedb"), &command).unwrap();
    fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
    Some(folder)
}

pub fn as_nobody(folder: &Folder, line: &str) -> Run {
    let mut command = Command::new("su");
    command.args(["nobody", "-s", "/bin/sh", "-c", line]).current_dir(folder.path());
    Run::of(command.output().unwrap())
}

/// What the `kitedb` commands in a text are that change something, as a shell is given them.
pub fn changes_in(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for command in text.split('`').filter(|command| command.starts_with("kitedb ")) {
        let looks = [" status ", " check ", " stats ", " get ", " follow "].iter().any(|look| command.contains(look));
        if !looks && !all.iter().any(|known| known == command) {
            all.push(command.to_owned());
        }
    }
    all
}

/// Runs a command as it was shown.
pub fn paste(folder: &Folder, line: &str) -> Run {
    let bin = Path::new(env!("CARGO_BIN_EXE_kitedb")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    Run::of(command.args(["-c", line]).env("PATH", path).current_dir(folder.path()).output().unwrap())
}
