//! A primary and two replicas, each a process of its own: lag, death, promotion, fencing, a lost replica, and the same
//! graph everywhere in the end.

use super::{
    process::{PATIENCE, Process, ask, run},
    writer::{Acknowledged, Writer, check, find},
};
use crate::{
    cli::DatabaseArgs,
    commands::primary,
    failure::{Failure, Outcome},
    render::{
        number::{count, counted, duration},
        style::{ACCENT, BAD, DIM, GOOD, PLAIN, Styled, clean},
        table::{Left, Right, Table},
    },
};
use kitedb_core::{Database, GraphRead, OpenOptions, ReplicaLag, Token, View, compare};
use serde_json::{Value as Json, json};
use std::{
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// So many commits of the new primary pass by the replica that is to be lost: several segments of its log.
const PASSED_BY: u64 = 1_000;

/// A database, and how it is called on the screen.
struct Member {
    file: PathBuf,
    name: String,
}

/// The story: three databases, of which the first one leads at the beginning and the second one in the end.
pub struct Cluster {
    old: Member,
    new: Member,
    other: Member,
    facts: Vec<(&'static str, Json)>,
}

/// Where the replicas of the demo's database are.
pub fn replicas(file: &Path) -> [PathBuf; 2] {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    ["a", "b"].map(|letter| file.with_file_name(format!("{stem}-{letter}.kitedb")))
}

impl Member {
    fn new(file: PathBuf) -> Self {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { name, file }
    }

    fn path(&self) -> &OsStr {
        self.file.as_os_str()
    }

    /// `kitedb replica ACTION` for this one, with a source.
    fn replica(&self, action: &str, source: &Self) -> Outcome<Json> {
        let [source_db, json] = ["--source-db", "--json"].map(OsStr::new);
        ask(&["replica".as_ref(), action.as_ref(), self.path(), source_db, source.path(), json])
    }

    /// Starts to follow `source`, in a process of its own.
    fn follow(&self, source: &Self) -> Outcome<Process> {
        let [source_db, json] = ["--source-db", "--json"].map(OsStr::new);
        Process::start(&["replica".as_ref(), "follow".as_ref(), self.path(), source_db, source.path(), json])
    }

    fn look(&self) -> Outcome<Database> {
        Ok(Database::open(&self.file, OpenOptions::new().read_only(true))?)
    }

    fn view(&self) -> Outcome<View> {
        Ok(self.look()?.snapshot()?)
    }

    fn args(&self) -> DatabaseArgs {
        DatabaseArgs { database: self.file.clone(), sidecar: None, json: true }
    }

    /// What the primary that this is knows of `replica`.
    fn lag_of(&self, replica: &Self) -> Outcome<ReplicaLag> {
        let (status, _) = primary::look(&self.args())?;
        let own = |lag: &ReplicaLag| lag.path.as_ref().is_some_and(|path| path.ends_with(&replica.name));
        let found = status.replica_lags.into_iter().find(own);
        found.ok_or_else(|| Failure::new(format_args!("{} has not reported to {}", replica.name, self.name)))
    }
}

/// Waits until a follower says that it is in a state; returns the line.
fn hear(follower: &Process, state: &str) -> Outcome<Json> {
    let parsed = |line: &str| serde_json::from_str::<Json>(line).unwrap_or_default();
    let lines = follower.hear(&format!("that it is {state}"), |line| parsed(line)["state"] == state)?;
    Ok(lines.last().map(|line| parsed(line)).unwrap_or_default())
}

/// Ends a follower the way an operator does.
fn stop(follower: Process, exit: i32) -> Outcome {
    let ended = follower.stop()?;
    match ended.status.code() {
        Some(code) if code == exit => Ok(()),
        _ => Err(Failure::new(format_args!("a follower ended with {}, not with exit code {exit}", ended.status))),
    }
}

fn text<'a>(document: &'a Json, field: &str) -> &'a str {
    document[field].as_str().unwrap_or_default()
}

/// A token as people read it.
fn short(token: &str) -> String {
    token.parse().map_or_else(|_| token.to_owned(), |token: Token| token.to_string())
}

fn say(show: &mut dyn Write, lines: &[&str]) -> Outcome {
    for line in lines {
        writeln!(show, "  {}", Styled(DIM, line))?;
    }
    Ok(writeln!(show)?)
}

impl Cluster {
    /// Tells the story of the database in `file`, which is in no process's hands.
    pub fn play(file: &Path, show: &mut dyn Write) -> Outcome<Self> {
        let [a, b] = replicas(file).map(Member::new);
        let mut cluster = Self { old: Member::new(file.to_owned()), new: a, other: b, facts: Vec::new() };
        super::section(show, "A primary and two replicas")?;
        let writer = cluster.bootstrap(show)?;
        let follower = cluster.new.follow(&cluster.old)?;
        let other = cluster.other.follow(&cluster.old)?;
        hear(&follower, "following")?;
        hear(&other, "following")?;

        super::section(show, "A replica falls behind, and catches up")?;
        let (writer, other) = cluster.lag(writer, other, show)?;

        super::section(show, "The primary dies, a replica takes over")?;
        let acknowledged = writer.kill()?;
        stop(follower, 0)?;
        cluster.take_over(&acknowledged, show)?;

        super::section(show, "The old primary comes back")?;
        cluster.fenced(show)?;
        // What it followed leads no more.
        stop(other, 3)?;
        let (writer, old, other) = cluster.repoint(show)?;

        super::section(show, "A replica is lost, and reseeded")?;
        let (writer, other) = cluster.lose(writer, other, show)?;

        super::section(show, "The same graph everywhere")?;
        writer.kill()?;
        cluster.settle([old, other])?;
        cluster.compare(show)?;
        Ok(cluster)
    }

    fn bootstrap(&mut self, show: &mut dyn Write) -> Outcome<Writer> {
        say(
            show,
            &[
                "Each one is a process of its own. The primary commits, each commit synced to disk, and goes on while",
                "the replicas copy it.",
            ],
        )?;
        let mut writer = Writer::start(&self.old.file, "primary")?;
        let mut table = Table::new(
            2,
            [("replica", Left, PLAIN), ("copied as of", Right, PLAIN), ("in", Right, PLAIN), ("meanwhile", Right, DIM)],
        );
        let mut copies = Vec::new();
        for replica in [&self.new, &self.other] {
            let (before, started) = (writer.said()?.count, Instant::now());
            let copy = replica.replica("bootstrap", &self.old)?;
            let time = started.elapsed();
            let meanwhile = writer.said()?.count - before;
            table.row([
                replica.name.clone(),
                short(text(&copy, "token")),
                duration(time),
                format!("{} acknowledged", counted(meanwhile, "commit", "commits")),
            ]);
            copies.push(json!({ "database": replica.name, "token": copy["token"], "seconds": copy["seconds"] }));
        }
        table.write(show)?;
        show.flush()?;
        self.facts.push(("bootstraps", json!(copies)));
        Ok(writer)
    }

    fn lag(&mut self, mut writer: Writer, other: Process, show: &mut dyn Write) -> Outcome<(Writer, Process)> {
        say(show, &["The process that follows for the second replica is killed with kill -9, and started again."])?;
        other.kill()?;
        let away = Instant::now();
        writer.listen(|_| away.elapsed() > Duration::from_millis(600))?;
        let mut table = Table::new(
            2,
            [
                ("replica", Left, PLAIN),
                ("applied", Right, PLAIN),
                ("behind", Right, PLAIN),
                ("for", Right, PLAIN),
                ("its log is", Left, PLAIN),
            ],
        );
        let mut behind = 0;
        for replica in [&self.new, &self.other] {
            let lag = self.old.lag_of(replica)?;
            behind = lag.lag_frames;
            table.row([
                replica.name.clone(),
                format!("{}:{}", lag.epoch, lag.applied_log_index),
                counted(lag.lag_frames, "commit", "commits"),
                duration(Duration::from_millis(lag.lag_ms)),
                lag.hold.as_str().to_owned(),
            ]);
        }
        table.write(show)?;
        if behind == 0 {
            return Err(Failure::new("a replica without a process is not behind"));
        }
        let started = Instant::now();
        let other = self.other.follow(&self.old)?;
        let line = hear(&other, "following")?;
        let time = started.elapsed();
        let at = format!("{}:{}", line["applied_epoch"], line["applied_log_index"]);
        let caught_up = format!("{} has caught up, {} after its start, at {at}", self.other.name, duration(time));
        writeln!(show, "\n  {}", Styled(GOOD, caught_up))?;
        show.flush()?;
        self.facts.push(("lag", json!({ "frames": behind, "caught_up_ms": time.as_secs_f64() * 1000.0 })));
        Ok((writer, other))
    }

    fn take_over(&mut self, acknowledged: &Acknowledged, show: &mut dyn Write) -> Outcome {
        say(
            show,
            &[
                "kill -9 hits the primary in the midst of its commits. The first replica fences what it left, takes all",
                "of it that counts, and leads the next epoch on its own files.",
            ],
        )?;
        let started = Instant::now();
        let promotion = self.new.replica("promote", &self.old)?;
        let time = started.elapsed();
        let kept: Token = text(&promotion, "last_kept").parse()?;
        if promotion["source_fenced"] != true || kept < acknowledged.token {
            return Err(Failure::new(format_args!("{} was acknowledged, and {promotion} kept", acknowledged.token)));
        }
        let database = self.new.look()?;
        let view = database.snapshot()?;
        find(&view, acknowledged)?;
        check(&database, &view)?;
        let mut table = Table::fields(2);
        table.field(
            "acknowledged",
            format!("{}, the last is {}", counted(acknowledged.count, "commit", "commits"), acknowledged.token),
        );
        table.field("promoted", format!("{} in {}, after {kept}", self.new.name, duration(time)));
        table.field("leads", format!("epoch {}", promotion["epoch"]));
        table.write(show)?;
        writeln!(show, "\n  {}", Styled(GOOD, "Every acknowledged commit is there, and check is clean."))?;
        show.flush()?;
        self.facts.push((
            "promotion",
            json!({
                "acknowledged": acknowledged.count,
                "last_acknowledged": acknowledged.token.full(),
                "last_kept": promotion["last_kept"],
                "epoch": promotion["epoch"],
                "lost": 0,
            }),
        ));
        Ok(())
    }

    fn fenced(&mut self, show: &mut dyn Write) -> Outcome {
        say(show, &["It is started again, and knows nothing of what has happened."])?;
        let [role, primary, commits, one] = ["--role", "primary", "--commits", "1"].map(OsStr::new);
        let output = run(&["demo-writer".as_ref(), self.old.path(), role, primary, commits, one])?;
        let said = String::from_utf8_lossy(&output.stderr);
        let error = said.lines().find(|line| line.contains("stale primary")).unwrap_or_default();
        if output.status.success() || error.is_empty() || !output.stdout.is_empty() {
            return Err(Failure::new(format_args!("the old primary was to be fenced ({}): {said}", output.status)));
        }
        let error = error.trim_start_matches("error: ").split("; ").next().unwrap_or_default();
        writeln!(show, "  {}  {}", self.old.name, Styled(BAD, clean(error)))?;
        self.facts.push(("fenced", json!(error)));
        Ok(())
    }

    /// The new primary writes; the other two follow it.
    fn repoint(&mut self, show: &mut dyn Write) -> Outcome<(Writer, Process, Process)> {
        let writer = Writer::start(&self.new.file, "primary")?;
        let (old, other) = (self.old.follow(&self.new)?, self.other.follow(&self.new)?);
        for follower in [&old, &other] {
            hear(follower, "following")?;
        }
        let names = format!("{} and {} follow {}", self.old.name, self.other.name, self.new.name);
        writeln!(show, "\n  {}{}", Styled(GOOD, names), Styled(DIM, ", from where they were: nothing is copied anew"))?;
        show.flush()?;
        Ok((writer, old, other))
    }

    /// A replica is away for so long that what it needs is gone.
    fn lose(&mut self, mut writer: Writer, other: Process, show: &mut dyn Write) -> Outcome<(Writer, Process)> {
        say(
            show,
            &[
                "The second replica's process is killed once more. The new primary goes on, and then lets go of all of",
                "its log but the end.",
            ],
        )?;
        other.kill()?;
        // Counted from where the replica is: what the writer said before may be heard late.
        let passed = self.other.view()?.token().log_index.0 + PASSED_BY;
        writer.listen(|said| said.token.log_index.0 >= passed)?;
        writer.kill()?;
        // The byte cap asks for no replica: only the one that is to be lost may lack anything.
        self.await_all_at(&[&self.old])?;
        let [entries, none, bytes, one, json] =
            ["--retention-min-entries", "0", "--retention-max-bytes", "1", "--json"].map(OsStr::new);
        let retention =
            ask(&["primary".as_ref(), "retention".as_ref(), self.new.path(), entries, none, bytes, one, json])?;
        let writer = Writer::start(&self.new.file, "primary")?;
        let follower = self.other.follow(&self.new)?;
        let lost = hear(&follower, "needs_reseed")?;
        stop(follower, 3)?;
        let copy = self.other.replica("reseed", &self.new)?;
        let follower = self.other.follow(&self.new)?;
        let line = hear(&follower, "following")?;
        let mut table = Table::fields(2);
        let floor = retention["retained_floor"].as_u64().unwrap_or_default();
        let segments = retention["pruned_segments"].as_u64().unwrap_or_default();
        let gone = counted(segments, "segment", "segments");
        table.field("let go", format!("{gone}: the log begins with {}", count(floor)));
        table.field("the replica says", Styled(BAD, clean(text(&lost, "last_error"))));
        table.field("reseeded", format!("as of {}", short(text(&copy, "token"))));
        table.field("following", format!("at {}:{}", line["applied_epoch"], line["applied_log_index"]));
        table.write(show)?;
        show.flush()?;
        self.facts.push(("reseed", json!({ "error": lost["last_error"], "token": copy["token"] })));
        Ok((writer, follower))
    }

    /// Waits until these replicas have all that the new primary has, whose writer was killed.
    fn await_all_at(&self, replicas: &[&Member]) -> Outcome {
        // What it left is made the log's end by whoever opens it next.
        let options = self.new.args().options();
        let database = Database::open(&self.new.file, options)?;
        let last = database.last_commit_token();
        database.close()?;
        let deadline = Instant::now() + PATIENCE;
        for replica in replicas {
            while Some(replica.view()?.token()) < last {
                if Instant::now() > deadline {
                    return Err(Failure::new(format_args!("{} does not catch up", replica.name)));
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Lets the followers take in the last commits, and ends them.
    fn settle(&self, followers: [Process; 2]) -> Outcome {
        self.await_all_at(&[&self.old, &self.other])?;
        followers.into_iter().try_for_each(|follower| stop(follower, 0))
    }

    fn compare(&mut self, show: &mut dyn Write) -> Outcome {
        let mut table = Table::new(
            2,
            [
                ("database", Left, PLAIN),
                ("", Left, DIM),
                ("last commit", Right, PLAIN),
                ("nodes", Right, PLAIN),
                ("edges", Right, PLAIN),
                ("check", Left, GOOD),
                ("digest, recomputed", Left, ACCENT),
            ],
        );
        let leader = self.new.look()?;
        let mut members = Vec::new();
        for (member, role) in [(&self.new, "primary"), (&self.old, "replica"), (&self.other, "replica")] {
            let database = member.look()?;
            let found = compare(&leader, &database)?;
            if found.equal != Some(true) || found.lead() != 0 {
                return Err(Failure::new(format_args!("{} differs from {}", member.name, self.new.name)));
            }
            let view = database.snapshot()?;
            let digest = check(&database, &view)?;
            table.row([
                member.name.clone(),
                role.to_owned(),
                view.token().to_string(),
                count(view.count_nodes()),
                count(view.count_edges()),
                "clean".to_owned(),
                digest.clone(),
            ]);
            members.push(json!({
                "database": member.file.display().to_string(),
                "role": role,
                "token": view.token().full(),
                "digest": digest,
            }));
        }
        table.write(show)?;
        self.facts.push(("members", json!(members)));
        Ok(())
    }

    pub fn json(self) -> Json {
        self.facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<serde_json::Map<_, _>>().into()
    }
}
