//! A writer is killed while it writes; nothing that it acknowledged may be lost.

use super::writer::{Writer, check, find};
use crate::{
    failure::Outcome,
    render::{
        number::{count, counted, duration},
        style::{DIM, GOOD, PLAIN, Styled},
        table::{Left, Right, Table},
    },
};
use indicatif::{ProgressBar, ProgressStyle};
use kitedb_core::{Database, OpenOptions, Token};
use serde_json::{Value as Json, json};
use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, Instant, SystemTime},
};

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
    let mut writer = Writer::start(file, "disabled")?;
    let started = Instant::now();
    let end = moment();
    let counter = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("  {spinner:.cyan} {msg}") {
        counter.set_style(style);
    }
    writer.listen(|said| {
        counter.set_message(counted(said.count, "commit acknowledged", "commits acknowledged"));
        counter.tick();
        started.elapsed() >= end
    })?;
    let acknowledged = writer.kill()?;
    let lived = started.elapsed();
    counter.finish_and_clear();

    let reopening = Instant::now();
    let database = Database::open(file, OpenOptions::new().create_if_missing(false))?;
    let reopened_in = reopening.elapsed();
    let view = database.snapshot()?;
    let unacknowledged = find(&view, &acknowledged)?;
    let digest = check(&database, &view)?;
    let reopened_at = view.token();
    drop(view);
    database.close()?;
    let (acknowledged, last) = (acknowledged.count, acknowledged.token);
    Ok(Crash { lived, acknowledged, last, reopened_in, reopened_at, unacknowledged, digest })
}

/// Some moment between 0.4 and 1.4 seconds from now, another one each time.
fn moment() -> Duration {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    Duration::from_millis(400 + u64::from(nanos / 1_000) % 1_000)
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
            "last_acknowledged": self.last.full(),
            "reopened_at": self.reopened_at.full(),
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
