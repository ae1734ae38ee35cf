//! What is told of files that nobody has open: of logs in which something is strange or missing, of logs that lie apart from
//! their files; and options that mean nothing there.

use super::{
    stage::*,
    support::{Folder, parsed, shortened},
};
use kitedb_core::Token;
use serde_json::{Value as Json, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

const SHORT: [&str; 2] = ["--segment-max-bytes", "1024"];

/// A primary `p` and its replica `r`, each with a log of many segments.
fn long_pair() -> Folder {
    let folder = pair();
    import(&folder, "p.kitedb", &lines("n", 40), &SHORT).ok();
    folder.run(&[&["replica", "follow", "r.kitedb", "--once"][..], &SHORT].concat()).ok();
    folder
}

fn log_of(folder: &Folder, db: &str) -> PathBuf {
    folder.path().join(format!("{db}.replication"))
}

fn segment_names(log: &Path) -> Vec<String> {
    names(log).into_iter().filter(|name| name.starts_with("segment-")).collect()
}

fn status_of(folder: &Folder, db: &str) -> (i32, Json) {
    let role = if db.starts_with('r') { "replica" } else { "primary" };
    let run = folder.run(&[role, "status", db, "--json"]);
    let document = serde_json::from_str(&run.out).map(shortened);
    assert!(document.is_ok(), "{run:?}");
    (run.code, document.unwrap())
}

/// `check` and the status end with the code of a fault, and say `phrase`.
#[track_caller]
fn expect_told(folder: &Folder, db: &str, phrase: &str) {
    let run = folder.run(&["check", db]);
    assert!(run.code == 3 && run.out.contains(phrase), "{run:?}");
    let (code, status) = status_of(folder, db);
    assert!(code == 3 && status["log_fault"].as_str().is_some_and(|fault| fault.contains(phrase)), "{status}");
}

/// Somebody puts a segment of another database among those of a log, in place of one or beside them, or copies one of its own
/// to a later number. Nobody has to write to learn of it, and who writes removes nothing.
#[test]
fn a_segment_in_a_place_that_is_not_its_own_is_told_before_the_next_write() {
    type Put = fn(own: &Path, other: &Path) -> std::io::Result<u64>;
    const LATE: &str = "segment-00000000000000000099.klog";
    let third = |log: &Path| log.join(&segment_names(log)[2]);
    let puts: [(&str, Put); 3] = [
        ("belongs to another database", |own, other| fs::copy(other, own.with_file_name(LATE))),
        ("belongs to another database", |own, other| fs::copy(other, own)),
        ("are out of order", |own, _| fs::copy(own, own.with_file_name(LATE))),
    ];
    for (phrase, put) in puts {
        let folder = long_pair();
        import(&folder, "other.kitedb", &lines("o", 40), &[&["--role", "primary"][..], &SHORT].concat()).ok();
        for db in ["p.kitedb", "r.kitedb"] {
            folder.run(&["check", db]).ok();
            put(&third(&log_of(&folder, db)), &third(&log_of(&folder, "other.kitedb"))).unwrap();
            expect_told(&folder, db, phrase);
        }
        let before = segment_names(&log_of(&folder, "p.kitedb"));
        let run = import(&folder, "p.kitedb", "x y K\n", &[]);
        assert!(run.code == 1 && run.err.contains(phrase), "{run:?}");
        assert_eq!(segment_names(&log_of(&folder, "p.kitedb")), before);
    }
    // Beside a file that has no log at rest.
    let folder = long_pair();
    import(&folder, "s.kitedb", "a b K\n", &[]).ok();
    let log = folder.path().join("s.kitedb-wal");
    fs::create_dir(&log).unwrap();
    fs::copy(third(&log_of(&folder, "p.kitedb")), log.join(LATE)).unwrap();
    let run = folder.run(&["check", "s.kitedb"]);
    assert!(run.code == 3 && run.out.contains("belongs to another database"), "{run:?}");
    let run = import(&folder, "s.kitedb", "x y K\n", &[]);
    assert!(run.code == 1 && run.err.contains("belongs to another database"), "{run:?}");
}

/// Segments are deleted by hand, between others or at the end: the status says so as `check` does, of a replica as of a
/// primary, and who follows it and needs them is lost.
#[test]
fn segments_that_are_gone_from_a_log_at_rest_are_told_by_the_status() {
    for db in ["p.kitedb", "r.kitedb"] {
        for at_end in [false, true] {
            let folder = long_pair();
            assert_eq!(status_of(&folder, db), (0, status_of(&folder, db).1));
            let log = log_of(&folder, db);
            let segments = segment_names(&log);
            let gone = if at_end { &segments[segments.len() - 2..] } else { &segments[2..4] };
            gone.iter().for_each(|name| fs::remove_file(log.join(name)).unwrap());
            let (code, status) = status_of(&folder, db);
            let fault = status["log_fault"].as_str().unwrap_or_default();
            assert!(code == 3 && fault.contains("segments are gone"), "{db}, at the end {at_end}: {status}");
            assert_eq!(folder.run(&["check", db]).code, 3);
        }
    }
    // One that follows a replica whose oldest segments are gone.
    let folder = pair();
    import(&folder, "p.kitedb", &lines("m", 40), &SHORT).ok();
    replica(&folder, "bootstrap", "s.kitedb", "r.kitedb").ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    let log = log_of(&folder, "r.kitedb");
    assert_eq!(status_of(&folder, "r.kitedb").1["replica_lags"][0]["hold"], "held");
    segment_names(&log).iter().for_each(|name| fs::remove_file(log.join(name)).unwrap());
    let (code, status) = status_of(&folder, "r.kitedb");
    assert_eq!((code, &status["replica_lags"][0]["hold"]), (3, &json!("lost")), "{status}");
}

/// The end of a log is deleted, cut or damaged after a clean close: nothing is written beside what is left of it, and nothing of
/// that is removed. What is put back goes on; else the log is given up by name, and the database goes on without it.
#[test]
fn a_log_that_lost_its_end_after_a_clean_close_is_given_up_by_name_only() {
    type Lose = fn(&Path, &[PathBuf]) -> std::io::Result<()>;
    fn flip(path: &Path, at: usize) -> std::io::Result<()> {
        let mut bytes = fs::read(path)?;
        bytes[at..at + 8].iter_mut().for_each(|byte| *byte ^= 0xA5);
        fs::write(path, bytes)
    }
    /// Where each frame begins.
    fn frames(bytes: &[u8]) -> Vec<usize> {
        let (mut all, mut at) = (Vec::new(), 512);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        while at + 56 <= bytes.len() && word(at) != 0 {
            let len = word(at + 4);
            if len != u32::MAX {
                all.push(at);
            }
            at += if len == u32::MAX { 32 } else { (56 + len as usize).next_multiple_of(8) };
        }
        all
    }
    let losses: [(&str, Lose); 6] = [
        ("deleted", |last, _| fs::remove_file(last)),
        ("cut", |last, _| fs::OpenOptions::new().write(true).open(last)?.set_len(600)),
        ("emptied", |last, _| fs::write(last, [])),
        ("its header", |last, _| flip(last, 8)),
        ("its last frame", |last, _| flip(last, frames(&fs::read(last)?).pop().unwrap())),
        ("all deleted", |_, all| all.iter().try_for_each(fs::remove_file)),
    ];
    for db in ["p.kitedb", "r.kitedb"] {
        for (loss, lose) in losses {
            let what = format!("{db}, {loss}");
            let folder = long_pair();
            if db == "r.kitedb" {
                import(&folder, "p.kitedb", "more there K\n", &[]).ok();
            }
            let log = log_of(&folder, db);
            let all: Vec<_> = segment_names(&log).iter().map(|name| log.join(name)).collect();
            let last = all.last().unwrap();
            let whole: Vec<_> = all.iter().map(|path| fs::read(path).unwrap()).collect();
            lose(last, &all).unwrap();
            let write = || match db {
                "p.kitedb" => import(&folder, db, "new node K\n", &[]),
                _ => folder.run(&["replica", "follow", db, "--once"]),
            };
            let left = contents(&log).into_iter().filter(|(name, _)| name.starts_with("segment-"));
            let left: Vec<_> = left.collect();
            for _ in 0..2 {
                let run = write();
                let code = if db == "p.kitedb" { 1 } else { 3 };
                let command = format!("kitedb repair {}", folder.path().canonicalize().unwrap().join(db).display());
                assert!(run.code == code && run.err.contains(&command), "{what}: {run:?}");
                for (name, bytes) in &left {
                    assert!(fs::read(log.join(name)).unwrap() == *bytes, "{what}: {name}");
                }
                assert_eq!(segment_names(&log).len(), left.len(), "{what}");
                // Nothing that was committed is missing to a reader, and the log is, to who looks at it.
                folder.run(&["get", db, "n40"]).ok();
                assert_eq!((folder.run(&["check", db]).code, status_of(&folder, db).0), (3, 3), "{what}");
            }
            // What is put back is gone on with.
            all.iter().zip(&whole).for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
            write().ok();
            folder.run(&["check", db]).ok();

            let folder = long_pair();
            let log = log_of(&folder, db);
            let all: Vec<_> = segment_names(&log).iter().map(|name| log.join(name)).collect();
            lose(all.last().unwrap(), &all).unwrap();
            if db == "r.kitedb" {
                import(&folder, "p.kitedb", "more there K\n", &[]).ok();
            }
            let before = contents(&log);
            let run = folder.run(&["repair", db, "--dry-run"]);
            assert!(run.code == 3 && run.out.contains("no commit is missing"), "{what}: {run:?}");
            let run = folder.run(&["repair", db]);
            assert!(run.code == 1 && run.err.contains("--cut-at 1:41"), "{what}: {run:?}");
            assert!(contents(&log) == before, "{what}");
            folder.run(&["repair", db, "--cut-at", "1:41"]).ok();
            folder.run(&["check", db]).ok();
            assert_eq!(status_of(&folder, db).0, 0, "{what}");
            if db == "p.kitedb" {
                import(&folder, db, "new node K\n", &[]).ok();
            }
            folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
            folder.run(&["verify", "p.kitedb", "r.kitedb"]).ok();
        }
    }
    // What is damaged before the last commit, the log goes on after: as where that happens to a node that runs.
    let folder = long_pair();
    import(&folder, "p.kitedb", &lines("m", 3), &[]).ok();
    folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
    let log = log_of(&folder, "p.kitedb");
    let last = log.join(segment_names(&log).last().unwrap());
    let all = frames(&fs::read(&last).unwrap());
    assert!(all.len() > 1);
    flip(&last, all[0]).unwrap();
    import(&folder, "p.kitedb", "new node K\n", &[]).ok();
    assert_eq!(folder.run(&["check", "p.kitedb"]).code, 3);
    folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
}

/// Without its control file the file still says what it is and what it holds.
#[test]
fn the_status_of_a_node_without_its_control_file_is_a_document_with_its_fault() {
    for (db, role) in [("p.kitedb", "primary"), ("r.kitedb", "replica")] {
        let folder = long_pair();
        fs::remove_file(log_of(&folder, db).join("control")).unwrap();
        let (code, status) = status_of(&folder, db);
        assert_eq!((code, &status["role"], &status["last_token"]), (3, &json!(role), &json!("1:41")), "{status}");
        for key in ["fault", "log_fault"] {
            assert!(status[key].as_str().is_some_and(|fault| fault.contains("kitedb repair")), "{status}");
        }
        let run = folder.run(&[role, "status", db]);
        assert!(run.code == 3 && run.out.contains("its log: ") && run.out.contains("1:41"), "{run:?}");
        let run = folder.run(&["role", db, "--json"]);
        assert!(run.code == 3 && run.out.contains("kitedb repair"), "{run:?}");
    }
}

/// Somebody moves a file without its log, or the log without its file: where the other one lies is told, and the database goes
/// on once it is said, or put back.
#[test]
fn a_log_that_lies_apart_from_its_file_is_named() {
    let apart = |folder: &Folder, db: &str, place: &Path| {
        let phrase = format!("but in {}", place.display());
        let run = folder.run(&["check", db]);
        assert!(run.code == 3 && run.out.contains(&phrase), "{run:?}");
        let (code, status) = status_of(folder, db);
        assert!(code == 3 && status["fault"].as_str().unwrap().contains(&phrase), "{status}");
    };
    for db in ["p.kitedb", "r.kitedb"] {
        let folder = pair();
        let (far, root) = (Folder::new(), folder.path().canonicalize().unwrap());
        let moved = far.path().join(db);
        fs::rename(folder.path().join(db), &moved).unwrap();
        apart(&far, db, &root.join(format!("{db}.replication")));
        fs::rename(&moved, folder.path().join(db)).unwrap();
        assert_eq!(status_of(&folder, db).0, 0);

        let name = format!("{db}.old");
        fs::rename(log_of(&folder, db), folder.path().join(&name)).unwrap();
        apart(&folder, db, &root.join(&name));
        if db == "p.kitedb" {
            let run = import(&folder, db, "x y K\n", &[]);
            assert!(run.code == 1 && run.err.contains("but in "), "{run:?}");
            import(&folder, db, "x y K\n", &["--sidecar", &name]).ok();
            assert_eq!(status_of(&folder, db).0, 0);
        }
    }
    // The log of what a file is a copy of is not its own.
    let folder = pair();
    let far = Folder::new();
    fs::copy(folder.path().join("p.kitedb"), far.path().join("p.kitedb")).unwrap();
    let run = far.run(&["check", "p.kitedb"]);
    assert!(run.code == 3 && !run.out.contains("but in"), "{run:?}");
}

/// Who gives an option that the file contradicts, or that means nothing there, is told, and nothing is done.
#[test]
fn an_option_that_means_nothing_there_is_refused() {
    let folder = pair();
    import(&folder, "s.kitedb", "a b K\n", &[]).ok();
    import(&folder, "q.kitedb", "a b K\n", &["--role", "primary"]).ok();
    fs::create_dir(folder.path().join("empty")).unwrap();
    folder.file("e.csv", "src,dst\nv,w\n");
    folder.file("e.txt", "v w\n");
    for wrong in ["nowhere", "empty", "q.kitedb.replication", "e.txt"] {
        for db in ["p.kitedb", "r.kitedb", "s.kitedb"] {
            let commands: [&[&str]; 10] = [
                &["check", db],
                &["stats", db],
                &["get", db, "a"],
                &["neighbors", db, "a"],
                &["primary", "status", db],
                &["replica", "status", db],
                &["role", db],
                &["metrics", db],
                &["repair", db, "--dry-run"],
                &["import", db, "e.txt"],
            ];
            for command in commands {
                let run = folder.run(&[command, &["--sidecar", wrong]].concat());
                assert!(run.code == 1 && run.err.contains(wrong) && run.out.is_empty(), "{command:?}: {run:?}");
            }
        }
        let run = folder.run(&["verify", "p.kitedb", "r.kitedb", "--sidecar-b", wrong]);
        assert!(run.code == 1 && run.err.contains(wrong), "{run:?}");
        let run = folder.run(&["import", "new.kitedb", "e.txt", "--sidecar", wrong]);
        assert!(run.code == 1 && run.err.contains(wrong) && !folder.path().join("new.kitedb").exists(), "{run:?}");
    }
    let meaningless: [&[&str]; 8] = [
        &["import", "s.kitedb", "e.csv", "--weighted"],
        &["import", "s.kitedb", "e.txt", "--delimiter", ";"],
        &["role", "p.kitedb", "--accept-copy"],
        &["role", "p.kitedb", "--accept-hard-links"],
        &["metrics", "p.kitedb", "--source-db", "q.kitedb"],
        &["metrics", "p.kitedb", "--format", "otlp-json", "--names", "linted"],
        &["replica", "follow", "r.kitedb", "--once", "--poll-ms", "5"],
        &["push", "p.kitedb", "--adaptive-retry-ewma-alpha", "0.5"],
    ];
    for command in meaningless {
        let run = folder.run(command);
        assert_eq!(run.code, 2, "{command:?}: {run:?}");
    }
    assert!(!knows(&folder, "s.kitedb", "v"));
}

/// A primary is to be a replica of its own replica, or a replica that of one which follows it.
#[test]
fn a_reseed_that_would_close_a_circle_is_refused_before_anything_is_replaced() {
    let folder = pair();
    replica(&folder, "bootstrap", "s.kitedb", "r.kitedb").ok();
    import(&folder, "p.kitedb", "only there K\n", &[]).ok();
    for (db, source) in [("r.kitedb", "s.kitedb"), ("p.kitedb", "s.kitedb"), ("p.kitedb", "r.kitedb")] {
        let before = fs::read(folder.path().join(db)).unwrap();
        for action in ["reseed", "bootstrap"] {
            let run = folder.run(&["replica", action, db, "--source-db", source, "--overwrite"]);
            assert!(run.code == 1 && run.err.contains("leads back"), "{run:?}");
        }
        assert!(fs::read(folder.path().join(db)).unwrap() == before, "{db}");
    }
    // The primary leads on, and those that follow it do.
    assert!(knows(&folder, "p.kitedb", "only"));
    import(&folder, "p.kitedb", "more there K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    catch_up(&folder, "s.kitedb", "r.kitedb").ok();
    assert!(knows(&folder, "s.kitedb", "more"));
}

/// A limit on the length of files (`ulimit -f`) is an error that says so, and no signal; what was acknowledged is there.
#[test]
fn a_file_that_may_not_grow_is_a_full_disk_and_no_signal() {
    let folder = pair();
    folder.file("big.txt", lines("big", 5000));
    for (db, blocks) in [("p.kitedb", "600"), ("s.kitedb", "600"), ("new.kitedb", "2")] {
        if db == "s.kitedb" {
            import(&folder, db, "a b K\n", &[]).ok();
        }
        let line = format!("ulimit -f {blocks}; kitedb import {db} big.txt --format edgelist --batch 10 --json");
        let run = paste(&folder, &line);
        assert!(run.code == 1 && run.err.contains("ulimit -f"), "{db}: {run:?}");
        let said = run.out.lines().next().map(parsed);
        assert!(said.as_ref().is_none_or(|said| said["error"]["code"] == "DISK_FULL"), "{run:?}");
        if db != "new.kitedb" {
            folder.run(&["check", db]).ok();
            let index_of = |token: &str| token.parse::<Token>().unwrap().log_index.0;
            let acknowledged = said.unwrap()["token"].as_str().map_or(1, index_of);
            let stats = folder.run(&["stats", db, "--json"]).json();
            let there = index_of(stats["token"].as_str().unwrap());
            assert!(there >= acknowledged, "{stats}");
        }
        let run = folder.run(&["import", db, "big.txt", "--format", "edgelist", "--json"]);
        run.ok();
        assert!(knows(&folder, db, "big5000"));
    }
}

/// A copy of before a database led is put over its file: what it committed since is in the log that it does not name, and stays there.
#[test]
fn a_file_of_before_it_led_takes_nothing_from_the_log_that_it_led_with() {
    let folder = Folder::new();
    import(&folder, "s.kitedb", "a b K\n", &[]).ok();
    let path = folder.path().join("s.kitedb");
    let before = fs::read(&path).unwrap();
    import(&folder, "s.kitedb", &lines("n", 20), &[&["--role", "primary"][..], &SHORT].concat()).ok();
    let (led, log) = (fs::read(&path).unwrap(), log_of(&folder, "s.kitedb"));
    let segments = || contents(&log).into_iter().filter(|(name, _)| name.starts_with("segment-")).collect::<Vec<_>>();
    let held = segments();
    fs::write(&path, before).unwrap();
    for command in [&["check", "s.kitedb"][..], &["role", "s.kitedb", "detach"]] {
        let run = folder.run(command);
        let told = format!("{}{}", run.out, run.err);
        assert!(run.code != 0 && told.contains("Put the newer file back"), "{run:?}");
    }
    let run = import(&folder, "s.kitedb", "x y K\n", &["--role", "primary"]);
    assert!(run.code == 1 && run.err.contains("Put the newer file back"), "{run:?}");
    assert!(segments() == held);
    fs::write(&path, led).unwrap();
    import(&folder, "s.kitedb", "x y K\n", &[]).ok();
    folder.run(&["check", "s.kitedb"]).ok();
    assert!(knows(&folder, "s.kitedb", "n20") && knows(&folder, "s.kitedb", "x"));
}
