//! The commands about primaries and replicas: what they do, print and refuse, beside living processes.

use crate::support::{Folder, Run};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use std::{
    fs,
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn edges(from: u64, to: u64) -> String {
    (from..=to).map(|n| format!("n{n} n{} NEXT\n", n + 1)).collect()
}

/// Writes edges to a primary, a commit each, in small segments.
fn write(folder: &Folder, db: &str, from: u64, to: u64) -> Run {
    let args = ["import", db, "-", "--format", "edgelist", "--role", "primary", "--batch", "1", "--json"];
    folder
        .run_with_input(&[&args[..], &["--segment-max-bytes", "1024", "--sync-mode", "off"]].concat(), &edges(from, to))
}

fn replica(folder: &Folder, action: &str, db: &str, source: &str) -> Run {
    folder.run(&["replica", action, db, "--source-db", source, "--json"])
}

fn catch_up(folder: &Folder, db: &str, source: &str) -> Run {
    folder.run(&["replica", "follow", db, "--source-db", source, "--json", "--once"])
}

/// A primary `a` with ten commits, and `b`, a replica of it.
fn pair() -> Folder {
    let folder = Folder::new();
    write(&folder, "a.kitedb", 1, 10).ok();
    replica(&folder, "bootstrap", "b.kitedb", "a.kitedb").ok();
    folder
}

/// A process that is waited for line by line, and ended with the test.
struct Background {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Background {
    fn start(folder: &Folder, args: &[&str]) -> Self {
        let mut command = folder.command(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, said }
    }

    fn follow(folder: &Folder, db: &str, source: &str) -> Self {
        Self::start(folder, &["replica", "follow", db, "--source-db", source, "--json"])
    }

    /// The next line, a JSON document.
    fn next(&mut self) -> Json {
        serde_json::from_str(&self.said.next().unwrap().unwrap()).unwrap()
    }

    fn id(&self) -> u64 {
        self.child.id().into()
    }

    fn input(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Waits until it has ended; its exit code, what it had still to say, and its errors.
    fn end(mut self) -> (Option<i32>, Vec<String>, String) {
        let rest = self.said.by_ref().map(Result::unwrap).collect();
        let mut errors = String::new();
        std::io::Read::read_to_string(self.child.stderr.as_mut().unwrap(), &mut errors).unwrap();
        (self.child.wait().unwrap().code(), rest, errors)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again until what is asked for is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "never {what}");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_primary_tells_what_it_is_and_who_follows() {
    let folder = pair();
    write(&folder, "a.kitedb", 11, 13).ok();
    let status = folder.run(&["primary", "status", "a.kitedb", "--json"]).json();
    let digest = folder.run(&["stats", "a.kitedb", "--json"]).json()["digest"].clone();
    for (field, want) in [
        ("role", json!("primary")),
        ("epoch", json!(1)),
        ("head_log_index", json!(13)),
        ("last_token", json!("1:13")),
        ("durable_log_index", json!(13)),
        ("retained_floor", json!(0)),
        (
            "sidecar_path",
            json!(folder.path().canonicalize().unwrap().join("a.kitedb.replication").display().to_string()),
        ),
        ("digest", digest),
        ("fenced", json!(false)),
        ("fence", json!(null)),
        ("process_id", json!(null)),
        ("damage", json!(null)),
    ] {
        assert_eq!(status[field], want, "{field}: {status}");
    }
    assert!(status["segments"].as_u64() > Some(1) && status["log_bytes"].as_u64() > Some(1000), "{status}");
    let lag = &status["replica_lags"][0];
    let id = lag["replica_id"].as_str().unwrap();
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{lag}");
    assert!(lag["path"].as_str().unwrap().ends_with("/b.kitedb") && lag["name"].is_null(), "{lag}");
    assert_eq!(status["holds"][0]["reason"], "window_entries", "{status}");
    for (field, want) in [("epoch", 1), ("applied_log_index", 10), ("durable_log_index", 10), ("lag_frames", 3)] {
        assert_eq!(lag[field], want, "{lag}");
    }
    assert_eq!(lag["hold"], "held");
    assert!(lag["lag_bytes"].as_u64() > Some(0) && lag["reported_at_ms"].as_u64() > Some(1_700_000_000_000), "{lag}");
    let shown = folder.run(&["primary", "status", "a.kitedb"]).ok().out;
    for part in ["primary, epoch 1", "1:13", "held", "/b.kitedb", &id[..8], "the window of entries"] {
        assert!(shown.contains(part) && !shown.contains('\x1b'), "{shown}");
    }
}

#[test]
fn a_primary_is_looked_at_and_left_alone_beside_its_process() {
    let folder = pair();
    let mut primary = Background::start(&folder, &["import", "a.kitedb", "-", "--format", "edgelist", "--batch", "1"]);
    let mut input = primary.input();
    input.write_all(b"x y\n").unwrap();
    let status = || folder.run(&["primary", "status", "a.kitedb", "--json"]).json();
    until("the commit is seen", || status()["head_log_index"] == 11);
    assert_eq!(status()["process_id"], primary.id());

    let id = format!("process id {}", primary.id());
    let run = folder.run(&["primary", "promote", "a.kitedb"]);
    assert_eq!(run.code, 1, "{run:?}");
    for part in ["primary sidecar lock is held by another process", &id, "hint: stop that process first"] {
        assert!(run.err.contains(part), "{run:?}");
    }
    // Replicas need nothing from whoever operates it.
    replica(&folder, "bootstrap", "c.kitedb", "a.kitedb").ok();
    assert_eq!(catch_up(&folder, "b.kitedb", "a.kitedb").json()["applied_log_index"], 11);
    drop(input);
    assert_eq!(primary.end().0, Some(0));
}

#[test]
fn an_import_goes_on_in_the_role_that_a_database_has() {
    let folder = pair();
    folder.file("more.txt", "x y\n");
    assert_eq!(folder.run(&["import", "a.kitedb", "more.txt", "--json"]).json()["token"], "1:11");
    assert_eq!(catch_up(&folder, "b.kitedb", "a.kitedb").json()["applied_log_index"], 11);

    let run = folder.run(&["import", "b.kitedb", "more.txt"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("is a replica and takes writes only from its source"), "{run:?}");
    assert!(run.err.contains("hint: write to its primary"), "{run:?}");

    folder.run(&["import", "plain.kitedb", "more.txt"]).ok();
    assert!(!folder.path().join("plain.kitedb.replication").exists());
}

#[test]
fn a_bootstrap_and_a_reseed_say_what_they_brought() {
    let folder = pair();
    write(&folder, "a.kitedb", 11, 12).ok();
    for action in ["bootstrap", "reseed"] {
        let copy = replica(&folder, action, "b.kitedb", "a.kitedb").json();
        for (field, want) in [
            ("token", json!("1:12")),
            ("nodes", json!(13)),
            ("edges", json!(12)),
            ("needs_reseed", json!(false)),
            ("last_error", json!(null)),
        ] {
            assert_eq!(copy[field], want, "{action}: {copy}");
        }
        assert_eq!(copy["digest"], folder.run(&["stats", "a.kitedb", "--json"]).json()["digest"]);
    }
    let run = folder.run(&["replica", "bootstrap", "c.kitedb", "--source-db", "a.kitedb"]).ok();
    assert!(run.out.contains("c.kitedb holds a.kitedb as of 1:12"), "{run:?}");
    // A reseed and a follower never make a replica.
    for action in ["reseed", "follow"] {
        let run = folder.run(&["replica", action, "nowhere.kitedb", "--source-db", "a.kitedb"]);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(!folder.path().join("nowhere.kitedb").exists());
    }
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let folder = pair();
    fs::create_dir(folder.path().join("dir")).unwrap();
    for (args, code, phrase) in [
        (&["replica", "bootstrap", "c.kitedb"][..], 1, "--source-db"),
        (&["replica", "bootstrap", "c.kitedb", "--source-db", "nowhere.kitedb"], 1, "source db path does not exist"),
        (&["replica", "bootstrap", "c.kitedb", "--source-db", "dir"], 1, "source db path must be a file"),
        (&["replica", "follow", "b.kitedb", "--source-db", "b.kitedb"], 1, "source db path must differ"),
        (
            &["replica", "follow", "b.kitedb", "--source-db", "a.kitedb", "--source-sidecar", "b.kitedb.replication"],
            1,
            "source sidecar path must differ",
        ),
        (&["replica", "follow", "b.kitedb", "--source-db", "a.kitedb", "--max-frames", "0"], 2, "--max-frames"),
        (&["replica", "status", "a.kitedb"], 1, "a.kitedb is a primary, not a replica"),
        (&["replica", "follow", "a.kitedb", "--source-db", "b.kitedb"], 1, "a.kitedb is a primary that leads epoch 1"),
        (&["replica", "bootstrap", "a.kitedb", "--source-db", "b.kitedb"], 1, "--overwrite"),
        (&["primary", "status", "b.kitedb"], 1, "b.kitedb is a replica, not a primary"),
        (&["primary", "promote", "b.kitedb"], 1, "b.kitedb is a replica, not a primary"),
        (&["primary", "status", "nowhere.kitedb"], 1, "nowhere.kitedb"),
        (&["primary", "remove", "a.kitedb", "nobody"], 1, "no replica is registered as nobody"),
        (&["primary", "paint", "a.kitedb"], 2, "error: "),
        (&["verify", "a.kitedb"], 2, "error: "),
        (&["verify", "a.kitedb", "nowhere.kitedb"], 1, "nowhere.kitedb"),
    ] {
        let run = folder.run(args);
        assert_eq!(run.code, code, "{args:?}: {run:?}");
        assert!(run.err.contains(phrase), "{args:?}: {run:?}");
    }
    // What was never opened as either is none, and does not become one.
    folder.file("g.txt", "a b\n");
    folder.run(&["import", "plain.kitedb", "g.txt"]).ok();
    for args in [["primary", "status"], ["primary", "promote"], ["primary", "retention"], ["replica", "status"]] {
        let run = folder.run(&[&args[..], &["plain.kitedb"]].concat());
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.err.contains("has no replication log"), "{run:?}");
    }
    assert!(!folder.path().join("plain.kitedb.replication").exists());
}

#[test]
fn a_follower_says_how_it_goes_until_it_is_asked_to_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = pair();
        write(&folder, "a.kitedb", 11, 15).ok();
        let mut follower = Background::follow(&folder, "b.kitedb", "a.kitedb");
        let line = follower.next();
        assert_eq!((&line["state"], &line["applied_log_index"]), (&json!("following"), &json!(15)), "{line}");
        assert_eq!(line["process_id"], follower.id());
        write(&folder, "a.kitedb", 16, 20).ok();
        let status = || folder.run(&["replica", "status", "b.kitedb", "--source-db", "a.kitedb", "--json"]).json();
        until("it has caught up", || status()["applied_log_index"] == 20);
        let seen = status();
        let at = |name: &str| folder.path().canonicalize().unwrap().join(name).display().to_string();
        for (field, want) in [
            ("role", json!("replica")),
            ("state", json!("following")),
            ("source_db_path", json!(at("a.kitedb"))),
            ("source_sidecar_path", json!(at("a.kitedb.replication"))),
            ("applied_epoch", json!(1)),
            ("durable_log_index", json!(20)),
            ("source_head_log_index", json!(20)),
            ("lag_frames", json!(0)),
            ("last_error", json!(null)),
            ("needs_reseed", json!(false)),
            ("sidecar_path", json!(at("b.kitedb.replication"))),
            ("process_id", json!(follower.id())),
            ("damage", json!(null)),
        ] {
            assert_eq!(seen[field], want, "{field}: {seen}");
        }
        let run = replica(&folder, "reseed", "b.kitedb", "a.kitedb");
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.err.contains(&format!("process id {}", follower.id())), "{run:?}");
        assert!(run.err.contains("stop that process first"), "{run:?}");

        follower.signal(signal);
        let (code, rest, errors) = follower.end();
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        let last: Json = serde_json::from_str(rest.last().unwrap()).unwrap();
        assert_eq!((&last["state"], &last["applied_log_index"]), (&json!("closed"), &json!(20)));

        // It remembers what it followed.
        let seen = folder.run(&["replica", "status", "b.kitedb", "--json"]).json();
        assert_eq!(seen["state"], "closed");
        for (field, want) in [
            ("source_db_path", json!(at("a.kitedb"))),
            ("source_head_log_index", json!(20)),
            ("lag_frames", json!(0)),
            ("process_id", json!(null)),
        ] {
            assert_eq!(seen[field], want, "{field}: {seen}");
        }
        // A follower that was stopped can be looked at by people, too.
        let shown = folder.run(&["replica", "status", "b.kitedb", "--source-db", "a.kitedb"]).ok().out;
        assert!(shown.contains("replica, closed") && shown.contains("all that its source has"), "{shown}");
    }
}

#[test]
fn a_follower_that_is_killed_goes_on_where_it_was() {
    let folder = pair();
    let mut follower = Background::follow(&folder, "b.kitedb", "a.kitedb");
    assert_eq!(follower.next()["state"], "following");
    write(&folder, "a.kitedb", 11, 40).ok();
    follower.signal(Signal::KILL);
    assert_eq!(follower.end().0, None);
    assert_eq!(catch_up(&folder, "b.kitedb", "a.kitedb").json()["applied_log_index"], 40);
    assert_eq!(folder.run(&["verify", "a.kitedb", "b.kitedb", "--json"]).json()["lead"], 0);
    assert_eq!(folder.run(&["check", "b.kitedb", "--json"]).json()["clean"], true);
}

#[test]
fn retention_leaves_what_replicas_need_and_a_replica_can_be_removed() {
    let folder = pair();
    write(&folder, "a.kitedb", 11, 60).ok();
    let retain = |rest: &[&str]| {
        folder
            .run(&[&["primary", "retention", "a.kitedb", "--retention-min-entries", "0", "--json"], rest].concat())
            .json()
    };
    let outcome = retain(&[]);
    assert!(outcome["retained_floor"].as_u64() <= Some(11), "{outcome}");
    let id = folder.run(&["primary", "status", "a.kitedb", "--json"]).json()["replica_lags"][0]["replica_id"].clone();
    let removed = folder.run(&["primary", "remove", "a.kitedb", id.as_str().unwrap(), "--json"]);
    assert_eq!(removed.json(), json!({ "removed": true, "replica_id": id }));
    let outcome = retain(&[]);
    assert!(outcome["pruned_segments"].as_u64() > Some(2), "{outcome}");
    assert!(outcome["retained_floor"].as_u64() > Some(11), "{outcome}");
    assert_eq!(retain(&[])["pruned_segments"], 0);
    let shown = folder.run(&["primary", "retention", "a.kitedb"]).ok().out;
    assert!(shown.contains("0 segments let go, the log begins with log index "), "{shown}");
}

/// The process that writes is asked for it, and a replica's as well.
#[test]
fn logs_are_cut_and_replicas_removed_beside_the_processes_that_have_them_open() {
    let folder = pair();
    let bootstrap = ["replica", "bootstrap", "c.kitedb", "--source-db", "b.kitedb", "--name", "far away", "--json"];
    folder.run(&bootstrap).ok();
    let small = ["--segment-max-bytes", "1024"];
    let import = ["import", "a.kitedb", "-", "--format", "edgelist", "--batch", "1"];
    let mut primary = Background::start(&folder, &[&import[..], &small[..]].concat());
    let mut input = primary.input();
    let follower = Background::start(
        &folder,
        &[&["replica", "follow", "b.kitedb", "--source-db", "a.kitedb", "--json"], &small[..]].concat(),
    );
    input.write_all(edges(11, 60).as_bytes()).unwrap();
    let lags = |status: &[&str]| folder.run(status).json()["replica_lags"].clone();
    let (of_a, of_b) = (["primary", "status", "a.kitedb", "--json"], ["replica", "status", "b.kitedb", "--json"]);
    until("the replica has it all", || lags(&of_a)[0]["durable_log_index"] == 60);
    let retain = |db: &str| {
        folder.run(&["primary", "retention", db, "--retention-min-entries", "0", "--json"]).json()["retained_floor"]
            .clone()
    };
    // What the window of the process keeps goes where a flag says so.
    assert!(retain("a.kitedb").as_u64() > Some(50));
    assert!(retain("b.kitedb").as_u64() <= Some(11), "the chained replica holds it");
    let chained = lags(&of_b)[0].clone();
    assert_eq!(chained["name"], "far away");
    let shown = folder.run(&["replica", "status", "b.kitedb"]).ok().out;
    let id = chained["replica_id"].as_str().unwrap();
    for part in ["far away", &id[..8], "kept for", "replicas"] {
        assert!(shown.contains(part), "{shown}");
    }
    let removed = folder.run(&["primary", "remove", "b.kitedb", &id[..8]]).ok().out;
    assert_eq!(removed, format!("{} is forgotten: the log is no longer kept for it\n", &id[..8]));
    assert!(retain("b.kitedb").as_u64() > Some(50));
    let id = lags(&of_a)[0]["replica_id"].clone();
    let removed = folder.run(&["primary", "remove", "a.kitedb", id.as_str().unwrap(), "--json"]).json();
    assert_eq!(removed, json!({ "removed": true, "replica_id": id }));
    let none = folder.run(&["primary", "remove", "a.kitedb", "nobody"]);
    assert_eq!(none.code, 1);
    assert!(none.err.contains("no replica is registered as nobody"), "{none:?}");
    drop(input);
    assert_eq!(primary.end().0, Some(0));
    // It was removed under its feet, and is not registered before its next look.
    assert_eq!(folder.run(&of_b).code, 3);
    follower.signal(Signal::TERM);
    // It ends as a status of it does then: closed, it is none whom a source would have to keep its log for.
    let code = follower.end().0;
    assert_eq!((code, folder.run(&of_b).code), (Some(0), 0));
}

/// As one that may read, but not write, its source's folder.
#[test]
fn a_replica_that_cannot_register_is_not_well_until_that_is_meant() {
    let folder = pair();
    let registry = folder.path().join("a.kitedb.replication/replicas");
    fs::remove_file(&registry).unwrap();
    fs::create_dir(&registry).unwrap();
    let run = folder.run(&["replica", "bootstrap", "n.kitedb", "--source-db", "a.kitedb"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("--unregistered"), "{run:?}");
    let run = catch_up(&folder, "b.kitedb", "a.kitedb");
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.out.contains("unregistered"), "{run:?}");
    let run = folder.run(&["replica", "status", "b.kitedb", "--source-db", "a.kitedb"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.out.contains("not registered with its source"), "{run:?}");

    folder.run(&["replica", "bootstrap", "n.kitedb", "--source-db", "a.kitedb", "--unregistered"]).ok();
    let follow = ["replica", "follow", "n.kitedb", "--source-db", "a.kitedb", "--once", "--unregistered", "--json"];
    let status = folder.run(&follow).json();
    assert_eq!((&status["state"], &status["registered"]), (&json!("following"), &json!(false)));
    assert_eq!(folder.run(&["replica", "status", "n.kitedb"]).code, 0);

    fs::remove_dir(&registry).unwrap();
    write(&folder, "a.kitedb", 11, 12).ok();
    assert_eq!(catch_up(&folder, "b.kitedb", "a.kitedb").json()["registered"], true);
    assert_eq!(folder.run(&["replica", "status", "b.kitedb"]).code, 0);
}

#[test]
fn a_replica_that_is_followed_once_now_and_then_cuts_its_log() {
    let folder = pair();
    for round in 1..=3 {
        write(&folder, "a.kitedb", 20 * round, 20 * round + 19).ok();
        let windows = ["--segment-max-bytes", "1024", "--retention-min-entries", "5"];
        let follow = ["replica", "follow", "b.kitedb", "--source-db", "a.kitedb", "--once"];
        folder.run(&[&follow[..], &windows[..]].concat()).ok();
        let segments = folder.run(&["replica", "status", "b.kitedb", "--json"]).json()["segments"].clone();
        assert!(segments.as_u64() <= Some(4), "round {round}: {segments}");
    }
}

#[test]
fn a_lost_replica_says_so_until_it_is_reseeded() {
    let folder = pair();
    write(&folder, "a.kitedb", 11, 60).ok();
    let caps = ["--retention-min-entries", "0", "--retention-max-bytes", "1"];
    folder.run(&[&["primary", "retention", "a.kitedb"], &caps[..]].concat()).ok();
    let told = folder.run(&["primary", "status", "a.kitedb", "--json"]);
    let found: Json = serde_json::from_str(&told.out).unwrap();
    assert_eq!((told.code, &found["replica_lags"][0]["hold"]), (3, &json!("lost")), "{told:?}");

    let run = catch_up(&folder, "b.kitedb", "a.kitedb");
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("needs reseed") && run.err.contains("below retained floor"), "{run:?}");
    let error: Json = serde_json::from_str(&run.err).unwrap();
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.starts_with("`kitedb replica reseed b.kitedb --source-db a.kitedb`"), "{run:?}");
    let status = folder.run(&["replica", "status", "b.kitedb", "--json"]);
    assert_eq!(status.code, 3, "{status:?}");
    let status: Json = serde_json::from_str(&status.out).unwrap();
    assert_eq!((&status["state"], &status["needs_reseed"]), (&json!("needs_reseed"), &json!(true)));
    assert!(status["last_error"].as_str().unwrap().contains("needs reseed"), "{status}");

    let mut follower = Background::follow(&folder, "b.kitedb", "a.kitedb");
    assert_eq!(follower.next()["state"], "needs_reseed");
    follower.signal(Signal::TERM);
    assert_eq!(follower.end().0, Some(3));

    replica(&folder, "reseed", "b.kitedb", "a.kitedb").ok();
    let status = folder.run(&["replica", "status", "b.kitedb", "--source-db", "a.kitedb", "--json"]).json();
    assert_eq!((&status["needs_reseed"], &status["last_error"]), (&json!(false), &json!(null)));
    assert_eq!(status["lag_frames"], 0);
}

#[test]
fn a_promoted_replica_leads_and_its_source_is_fenced() {
    let folder = pair();
    write(&folder, "a.kitedb", 11, 12).ok();
    // What it has not pulled yet is taken over.
    let promotion = replica(&folder, "promote", "b.kitedb", "a.kitedb").json();
    assert_eq!(
        promotion,
        json!({ "role": "primary", "epoch": 2, "last_kept": "1:12", "source_fenced": true, "fence_synced": true, "source_found": true, "rival_epoch": null, "rivals": [] })
    );
    assert_eq!(write(&folder, "b.kitedb", 13, 13).json()["token"], "2:13");

    let refused = write(&folder, "a.kitedb", 13, 13);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.err.contains("stale primary") && refused.err.contains("follow the new primary as a replica"),
        "{refused:?}"
    );
    let status = folder.run(&["primary", "status", "a.kitedb", "--json"]);
    assert_eq!(status.code, 3, "{status:?}");
    let status: Json = serde_json::from_str(&status.out).unwrap();
    assert_eq!((&status["fenced"], &status["epoch"]), (&json!(true), &json!(1)));
    let shown = folder.run(&["primary", "status", "a.kitedb"]);
    assert!(shown.code == 3 && shown.out.contains("fenced:"), "{shown:?}");

    assert_eq!(catch_up(&folder, "a.kitedb", "b.kitedb").json()["applied_epoch"], 2);
    assert_eq!(folder.run(&["verify", "a.kitedb", "b.kitedb", "--json"]).json()["equal"], true);
    // Called again, it has nothing left to do.
    let again = replica(&folder, "promote", "b.kitedb", "a.kitedb").json();
    assert!(again["already"] == true && again["epoch"] == 2, "{again}");
}

#[test]
fn of_two_promotions_at_once_one_succeeds() {
    let folder = pair();
    replica(&folder, "bootstrap", "c.kitedb", "a.kitedb").ok();
    let start = |db| Background::start(&folder, &["replica", "promote", db, "--source-db", "a.kitedb", "--json"]);
    let ended: Vec<_> = [start("b.kitedb"), start("c.kitedb")].into_iter().map(Background::end).collect();
    let won = ended.iter().filter(|(code, ..)| *code == Some(0)).count();
    assert_eq!(won, 1, "{ended:?}");
    let loser = ended.iter().find(|(code, ..)| *code != Some(0)).unwrap();
    assert!(loser.2.contains("stale primary"), "{loser:?}");
}

#[test]
fn a_promotion_without_its_source_is_forced_or_none() {
    let folder = pair();
    fs::remove_file(folder.path().join("a.kitedb")).unwrap();
    fs::remove_dir_all(folder.path().join("a.kitedb.replication")).unwrap();
    let run = replica(&folder, "promote", "b.kitedb", "a.kitedb");
    assert_eq!(run.code, 1, "{run:?}");
    let run = folder.run(&["replica", "promote", "b.kitedb", "--force", "--json"]);
    let want = json!({ "role": "primary", "epoch": 2, "last_kept": "1:10", "source_fenced": false, "fence_synced": false, "source_found": false, "rival_epoch": null, "rivals": [] });
    assert_eq!(run.json(), want);
    assert_eq!(write(&folder, "b.kitedb", 11, 11).json()["token"], "2:11");
}

#[test]
fn a_primary_begins_an_epoch_in_place() {
    let folder = pair();
    let promoted = folder.run(&["primary", "promote", "a.kitedb", "--json"]).json();
    assert_eq!(promoted, json!({ "role": "primary", "epoch": 2, "last_token": "1:10", "rivals": [] }));
    assert_eq!(write(&folder, "a.kitedb", 11, 11).json()["token"], "2:11");
    assert_eq!(catch_up(&folder, "b.kitedb", "a.kitedb").json()["applied_epoch"], 2);
    let run = folder.run(&["primary", "promote", "a.kitedb"]).ok();
    assert!(run.out.contains("a.kitedb leads epoch 3, after 2:11"), "{run:?}");
}

#[test]
fn verify_tells_equal_ahead_different_and_unknown_apart() {
    let folder = pair();
    let verify = |a: &str, b: &str| folder.run(&["verify", a, b, "--json"]);
    let found = verify("a.kitedb", "b.kitedb").json();
    assert_eq!(found["equal"], true);
    assert_eq!((&found["log_index"], &found["lead"]), (&json!(10), &json!(0)));
    assert_eq!((&found["differences"], &found["difference_count"]), (&json!([]), &json!(0)));
    assert_eq!((&found["a"]["path"], &found["a"]["token"]), (&json!("a.kitedb"), &json!("1:10")));
    assert_eq!(
        (&found["b"]["nodes"], &found["b"]["edges"], &found["b"]["vectors"]),
        (&json!(11), &json!(10), &json!(0))
    );
    assert_eq!(found["a"]["digest"], found["b"]["digest"]);

    write(&folder, "a.kitedb", 11, 15).ok();
    let found = verify("b.kitedb", "a.kitedb").json();
    assert_eq!((&found["equal"], &found["lead"], &found["log_index"]), (&json!(true), &json!(-5), &json!(10)));
    assert_eq!(found["b"]["digest_at_log_index"], found["a"]["digest"]);
    let shown = folder.run(&["verify", "b.kitedb", "a.kitedb"]).ok().out;
    assert!(shown.contains("equal at log index 10; a.kitedb is 5 commits ahead"), "{shown}");

    // Two that were written apart: the source is out of reach while its replica is promoted by force.
    let away = |from: &str, to: &str| {
        for suffix in ["", ".replication"] {
            let path = |name: &str| folder.path().join(format!("{name}{suffix}"));
            fs::rename(path(from), path(to)).unwrap();
        }
    };
    away("a.kitedb", "away.kitedb");
    folder.run(&["replica", "promote", "b.kitedb", "--force"]).ok();
    away("away.kitedb", "a.kitedb");
    folder.file("other.txt", "p q OTHER\n");
    folder.run(&["import", "b.kitedb", "other.txt"]).ok();
    let run = verify("a.kitedb", "b.kitedb");
    assert_eq!(run.code, 3, "{run:?}");
    let found: Json = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&found["equal"], &found["log_index"], &found["parted_at"]), (&json!(false), &json!(11), &json!(11)));
    let differences = found["differences"].as_array().unwrap();
    assert_eq!(found["difference_count"], differences.len());
    let has = |want: Json| differences.contains(&want);
    assert!(
        has(
            json!({ "element": "name", "kind": "edge type", "id": 2, "name": "OTHER", "in_a": false, "in_b": true, "parts": [] })
        ),
        "{found}"
    );
    assert!(
        has(json!({ "element": "node", "id": 12, "key": "n12", "in_a": true, "in_b": true, "parts": ["key"] })),
        "{found}"
    );
    assert!(
        has(
            json!({ "element": "edge", "src": 12, "type": "OTHER", "dst": 13, "in_a": false, "in_b": true, "parts": [] })
        ),
        "{found}"
    );
    let shown = folder.run(&["verify", "a.kitedb", "b.kitedb"]);
    assert!(shown.code == 3 && shown.out.contains("they part with the commit at log index 11"), "{shown:?}");
    assert!(shown.out.contains("only in b.kitedb"), "{shown:?}");

    // Nothing to compare with.
    folder.file("g.txt", "a b\nb c\n");
    folder.run(&["import", "plain.kitedb", "g.txt", "--batch", "1"]).ok();
    folder.run(&["import", "shorter.kitedb", "other.txt"]).ok();
    let run = verify("plain.kitedb", "shorter.kitedb");
    assert_eq!(run.code, 3, "{run:?}");
    let found: Json = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&found["equal"], &found["parted_at"]), (&Json::Null, &Json::Null));
    let shown = folder.run(&["verify", "plain.kitedb", "shorter.kitedb"]);
    assert!(shown.out.contains("not comparable at log index 1"), "{shown:?}");
}

/// A copy by export and import, or the same graph that was made in other steps.
#[test]
fn verify_tells_that_graphs_of_other_histories_are_equal() {
    let folder = Folder::new();
    folder.file("g.txt", "a b\nb c\nc d\n");
    folder.run(&["import", "plain.kitedb", "g.txt", "--batch", "1"]).ok();
    folder.run(&["import", "primary.kitedb", "g.txt", "--batch", "1", "--role", "primary"]).ok();
    for from in ["plain.kitedb", "primary.kitedb"] {
        let (file, to) = (format!("{from}.jsonl"), format!("{from}.copy"));
        folder.run(&["export", from, "-o", &file]).ok();
        folder.run(&["import", &to, &file]).ok();
        for more in [&[][..], &["--deep"]] {
            for (a, b) in [(from, &*to), (&*to, from)] {
                let found = folder.run(&[&["verify", a, b, "--json"], more].concat()).json();
                assert_eq!((&found["equal"], &found["compared"]), (&json!(true), &json!("graphs")), "{found}");
                assert_eq!((&found["elements_compared"], &found["difference_count"]), (&json!(true), &json!(0)));
                let shown = folder.run(&[&["verify", a, b], more].concat()).ok().out;
                assert!(shown.contains("equal graphs: their last commits are 1:") && shown.contains("1:1"), "{shown}");
            }
        }
        // One more edge in one of them.
        folder.file("more.txt", "d e\n");
        folder.run(&["import", &to, "more.txt"]).ok();
        let run = folder.run(&["verify", from, &to]);
        assert!(run.code == 3 && !run.out.contains("equal graphs"), "{run:?}");
    }
}

/// Digests are what commits left. A block that is damaged under them is met by who reads it.
#[test]
fn a_deep_verify_reads_what_a_digest_only_speaks_of() {
    let folder = pair();
    let deep = |a: &str, b: &str| folder.run(&["verify", a, b, "--deep", "--json"]);
    let found = deep("a.kitedb", "b.kitedb").json();
    assert_eq!((&found["equal"], &found["elements_compared"]), (&json!(true), &json!(true)));
    assert_eq!((&found["a"]["check"]["clean"], &found["b"]["check"]["nodes"]), (&json!(true), &json!(11)));
    let shown = folder.run(&["verify", "a.kitedb", "b.kitedb", "--deep"]).ok().out;
    assert!(shown.contains("every element was read and compared"), "{shown}");

    write(&folder, "a.kitedb", 11, 12).ok();
    let found = deep("a.kitedb", "b.kitedb").json();
    assert_eq!(
        (&found["equal"], &found["elements_compared"], &found["lead"]),
        (&json!(true), &json!(false), &json!(2))
    );
    folder.run(&["replica", "follow", "b.kitedb", "--source-db", "a.kitedb", "--once"]).ok();

    let path = folder.path().join("b.kitedb");
    let mut bytes = fs::read(&path).unwrap();
    let key = bytes.windows(3).rposition(|bytes| bytes == b"n12").unwrap();
    bytes[key] = b'm';
    fs::write(&path, bytes).unwrap();
    assert_eq!(folder.run(&["verify", "a.kitedb", "b.kitedb", "--json"]).json()["equal"], true);
    let run = deep("a.kitedb", "b.kitedb");
    assert_eq!(run.code, 3, "{run:?}");
    let found: Json = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&found["a"]["check"]["clean"], &found["b"]["check"]["clean"]), (&json!(true), &json!(false)));
    let shown = folder.run(&["verify", "a.kitedb", "b.kitedb", "--deep"]);
    assert!(shown.code == 3 && shown.out.contains("b.kitedb is damaged"), "{shown:?}");
}

#[test]
fn sidecars_may_lie_elsewhere() {
    let folder = Folder::new();
    folder.file("g.txt", edges(1, 5));
    folder.run(&["import", "a.kitedb", "g.txt", "--role", "primary", "--sidecar", "log-a"]).ok();
    let source = ["--source-db", "a.kitedb", "--source-sidecar", "log-a"];
    folder.run(&[&["replica", "bootstrap", "b.kitedb", "--sidecar", "log-b"], &source[..]].concat()).ok();
    folder.file("h.txt", edges(6, 7));
    folder.run(&["import", "a.kitedb", "h.txt", "--sidecar", "log-a"]).ok();
    let caught_up =
        folder.run(&[&["replica", "follow", "b.kitedb", "--sidecar", "log-b", "--once"], &source[..]].concat());
    assert!(caught_up.ok().out.contains("following at 1:2"));
    let status = folder.run(&["primary", "status", "a.kitedb", "--sidecar", "log-a", "--json"]).json();
    assert!(status["sidecar_path"].as_str().unwrap().ends_with("/log-a") && status["head_log_index"] == 2, "{status}");
    let status =
        folder.run(&[&["replica", "status", "b.kitedb", "--sidecar", "log-b", "--json"], &source[..]].concat()).json();
    assert!(
        status["source_sidecar_path"].as_str().unwrap().ends_with("/log-a") && status["lag_frames"] == 0,
        "{status}"
    );
    let sidecars = ["--sidecar-a", "log-a", "--sidecar-b", "log-b"];
    folder.run(&[&["verify", "a.kitedb", "b.kitedb"], &sidecars[..]].concat()).ok();
    folder.run(&["check", "b.kitedb", "--sidecar", "log-b"]).ok();
    assert!(!folder.path().join("a.kitedb.replication").exists());
}

#[test]
fn a_source_that_comes_later_is_waited_for() {
    let folder = pair();
    let (file, away) = (folder.path().join("a.kitedb.replication"), folder.path().join("away"));
    fs::rename(&file, &away).unwrap();
    let mut follower = Background::follow(&folder, "b.kitedb", "a.kitedb");
    let line = follower.next();
    assert_eq!(line["state"], "stalled");
    assert!(line["last_error"].as_str().unwrap().contains("a.kitedb.replication"), "{line}");
    let status = folder.run(&["replica", "status", "b.kitedb"]);
    assert_eq!(status.code, 3, "{status:?}");
    assert!(status.out.contains("last error:"), "{status:?}");
    fs::rename(&away, &file).unwrap();
    while follower.next()["state"] != "following" {}
    folder.run(&["replica", "status", "b.kitedb"]).ok();
}

/// It ends because it was asked to, with the exit code that a status of it has.
#[test]
fn a_follower_that_is_asked_to_end_ends_as_its_status_does() {
    let folder = pair();
    replica(&folder, "bootstrap", "c.kitedb", "a.kitedb").ok();
    replica(&folder, "promote", "b.kitedb", "a.kitedb").ok();
    for (source, state, code) in [("a.kitedb", "orphaned", 3), ("b.kitedb", "following", 0)] {
        let mut follower = Background::follow(&folder, "c.kitedb", source);
        while follower.next()["state"] != state {}
        follower.signal(Signal::TERM);
        assert_eq!(follower.end().0, Some(code));
        assert_eq!(folder.run(&["replica", "status", "c.kitedb"]).code, code);
    }
}
