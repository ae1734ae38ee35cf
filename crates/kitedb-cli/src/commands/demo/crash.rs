//! A writer is killed while it writes; nothing that it acknowledged may be lost.

use super::writer::{NEXT, NUMBER, WRITE, key};
use crate::{
    failure::{Failure, Outcome},
    render::{
        number::{count, counted, duration},
        style::{DIM, GOOD, PLAIN, Styled},
        table::{Left, Right, Table},
    },
};
use indicatif::{ProgressBar, ProgressStyle};
use kitedb_core::{Database, GraphRead, OpenOptions, Result, Token, Value, View};
use serde_json::{Value as Json, json};
use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// How long a writer may take to its first commit.
const PATIENCE: Duration = Duration::from_secs(20);

/// One crash and what was found after it.
pub struct Crash {
    lived: Duration,
    acknowledged: u64,
    last: Token,
    reopened_in: Duration,
    reopened_at: Token,
    /// Transactions that were whole in the log but not acknowledged yet.
    unacknowledged: u64,
    digest: String,
}

/// Lets a writer write, kills it at some moment, opens the file again and looks for everything acknowledged.
pub fn survive(file: &Path) -> Outcome<Crash> {
    let first = 1 + written(file)?;
    let mut child = spawn(file, first)?;
    let started = Instant::now();
    let said = listen(&mut child)?;
    let heard = hear(&said, started + moment());
    // SIGKILL: no handler runs, nothing is flushed.
    let killed = child.kill();
    let lived = started.elapsed();
    let status = child.wait().map_err(|e| Failure::new(format_args!("cannot wait for the writer: {e}")))?;
    killed.map_err(|e| Failure::new(format_args!("cannot kill the writer: {e}")))?;
    let mut acknowledged = heard?;
    // What it had printed before it died counts, too.
    acknowledged.extend(said);
    let last = last_acknowledged(&acknowledged, first, status)?;

    let reopening = Instant::now();
    let database = Database::open(file, OpenOptions::new().create_if_missing(false))?;
    let reopened_in = reopening.elapsed();
    let view = database.snapshot()?;
    let acknowledged = acknowledged.len() as u64;
    let unacknowledged = find(&view, first + acknowledged - 1, last)?;
    let digest = check(&database, &view)?;
    let reopened_at = view.token();
    drop(view);
    database.close()?;
    Ok(Crash { lived, acknowledged, last, reopened_in, reopened_at, unacknowledged, digest })
}

/// How many of the writer's transactions the file holds.
fn written(file: &Path) -> Result<u64> {
    let database = Database::open(file, OpenOptions::new().read_only(true))?;
    Ok(database.snapshot()?.count_nodes_by_label(WRITE))
}

fn spawn(file: &Path, first: u64) -> Outcome<Child> {
    let spawned = env::current_exe().and_then(|itself| {
        let mut command = Command::new(itself);
        command.arg("demo-writer").arg(file).arg("--from").arg(first.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
    });
    spawned.map_err(|e| Failure::new(format_args!("cannot start the writer: {e}")))
}

/// The lines the child prints, as they come; the channel ends with the child.
fn listen(child: &mut Child) -> Outcome<Receiver<String>> {
    let output: ChildStdout = child.stdout.take().ok_or_else(|| Failure::new("the writer has no output"))?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // A line without an end was cut off by the kill: it acknowledges nothing.
        let mut output = BufReader::new(output);
        let mut line = String::new();
        while output.read_line(&mut line).is_ok_and(|_| line.ends_with('\n')) && sender.send(line.clone()).is_ok() {
            line.clear();
        }
    });
    Ok(receiver)
}

/// What the child says until `deadline`, but at least once.
fn hear(said: &Receiver<String>, deadline: Instant) -> Outcome<Vec<String>> {
    let counter = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("  {spinner:.cyan} {msg}") {
        counter.set_style(style);
    }
    let first = said.recv_timeout(PATIENCE).map_err(|_| Failure::new("the writer has not committed anything"))?;
    let mut heard = vec![first];
    loop {
        counter.set_message(counted(heard.len() as u64, "commit acknowledged", "commits acknowledged"));
        match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                heard.push(line);
                counter.tick();
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    counter.finish_and_clear();
    Ok(heard)
}

/// Some moment between 0.4 and 1.4 seconds from now, another one each time.
fn moment() -> Duration {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    Duration::from_millis(400 + u64::from(nanos / 1_000) % 1_000)
}

/// The token of the last line, if the lines are the transactions from `first` on.
fn last_acknowledged(lines: &[String], first: u64, status: ExitStatus) -> Outcome<Token> {
    let mut last = Token::default();
    for (number, line) in (first..).zip(lines) {
        let token = line.trim_end().split_once(' ').filter(|(said, _)| *said == number.to_string());
        let token = token.and_then(|(_, token)| token.parse().ok());
        last = token.ok_or_else(|| Failure::new(format_args!("the writer ({status}) said `{}`", line.trim_end())))?;
    }
    if status.code().is_some() {
        return Err(Failure::new(format_args!("the writer ended by itself ({status}) before it was killed")));
    }
    Ok(last)
}

/// Looks for every transaction from the first ever to `last`, whole; returns how many there are beyond.
fn find(view: &View, last: u64, token: Token) -> Outcome<u64> {
    if view.token() < token {
        return Err(lost(format_args!("the file ends at {}, before {token}", view.token())));
    }
    let mut before = None;
    for number in 1..=last {
        let node = view.node_by_key(&key(number))?.ok_or_else(|| lost(format_args!("write {number} is not there")))?;
        let whole = view.node_prop(node, NUMBER)? == Some(Value::I64(number.cast_signed()))
            && view.node_has_label(node, WRITE)?
            && before.map_or(Ok(true), |before| view.edge_exists(before, NEXT, node))?;
        if !whole {
            return Err(lost(format_args!("write {number} is there in part only")));
        }
        before = Some(node);
    }
    match view.count_nodes_by_label(WRITE).checked_sub(last) {
        // The writer waits for each commit: at most one is on its way.
        Some(beyond @ 0..=1) => Ok(beyond),
        _ => Err(lost(format_args!("{} writes instead of {last}", view.count_nodes_by_label(WRITE)))),
    }
}

fn lost(what: impl std::fmt::Display) -> Failure {
    Failure::new(format_args!("after the crash, {what}"))
}

/// Checks everything; returns the digest if the recomputed one is equal to it.
fn check(database: &Database, view: &View) -> Outcome<String> {
    let report = database.check()?;
    if let Some(fault) = report.damage.iter().chain(&report.errors).next() {
        return Err(lost(format_args!("check says: {fault}")));
    }
    match report.digest == view.digest() {
        true => Ok(report.digest.to_string()),
        false => Err(lost(format_args!("the digest is {}, recomputed {}", view.digest(), report.digest))),
    }
}

/// What is about to happen, and the table that [`Crash::show`] fills.
pub fn explain(out: &mut dyn Write) -> io::Result<Table> {
    for line in [
        "Another process commits, each commit synced to disk, and prints every token it is given.",
        "It is killed with kill -9; the file is opened again and searched for all that was acknowledged.",
    ] {
        writeln!(out, "  {}", Styled(DIM, line))?;
    }
    writeln!(out)?;
    Ok(Table::new(
        2,
        [
            ("killed after", Right, PLAIN),
            ("acknowledged", Right, PLAIN),
            ("found", Right, PLAIN),
            ("lost", Right, GOOD),
            ("reopened in", Right, PLAIN),
            ("check", Left, GOOD),
            ("digest, recomputed", Left, PLAIN),
            ("", Left, GOOD),
        ],
    ))
}

impl Crash {
    pub fn show(&self, table: &mut Table, out: &mut dyn Write) -> io::Result<()> {
        table.row([
            duration(self.lived),
            count(self.acknowledged),
            count(self.acknowledged + self.unacknowledged),
            "0".to_owned(),
            duration(self.reopened_in),
            "clean".to_owned(),
            self.digest.clone(),
            "equal".to_owned(),
        ]);
        table.write(out)
    }

    pub fn json(&self) -> Json {
        json!({
            "killed_after_ms": self.lived.as_millis() as u64,
            "acknowledged": self.acknowledged,
            "last_acknowledged": self.last.to_string(),
            "reopened_at": self.reopened_at.to_string(),
            "reopened_in_ms": self.reopened_in.as_secs_f64() * 1000.0,
            "unacknowledged": self.unacknowledged,
            "lost": 0,
            "digest": self.digest,
        })
    }
}

pub fn conclude(crashes: &[Crash], out: &mut dyn Write) -> io::Result<()> {
    let commits = crashes.iter().map(|crash| crash.acknowledged).sum();
    let all = format!("{} acknowledged, none lost.", counted(commits, "commit", "commits"));
    let beyond = match crashes.iter().map(|crash| crash.unacknowledged).sum() {
        0 => String::new(),
        1 => " One more, killed before it was acknowledged, was found whole.".to_owned(),
        beyond => format!(" {} more, killed before they were acknowledged, were found whole.", count(beyond)),
    };
    writeln!(out, "\n  {}{}", Styled(GOOD, all), Styled(DIM, beyond))
}
