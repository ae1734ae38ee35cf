//! Files that are damaged, gone or put back, and the way that errors show out of it.

use super::{
    stage::*,
    support::{Folder, collector},
};
use serde_json::{Value as Json, json};
use std::{fs, path::Path, process::Stdio};

/// Who was registered is not known any more: `check` and the status say so, and retention keeps the log until its operator
/// says who there is.
#[test]
fn a_lost_registry_does_not_cost_a_replica_its_log() {
    let folder = pair();
    fs::write(folder.path().join("p.kitedb.replication/replicas"), vec![0; 65536]).unwrap();
    import(&folder, "p.kitedb", &lines("n", 60), &["--segment-max-bytes", "1024"]).ok();
    let status = folder.run(&["primary", "status", "p.kitedb", "--json"]);
    assert_eq!(status.code, 3, "{status:?}");
    let fault = serde_json::from_str::<Json>(&status.out).unwrap()["log_fault"].as_str().unwrap().to_owned();
    let check = folder.run(&["check", "p.kitedb"]);
    assert!(check.code != 0 && check.out.contains("registry of replicas"), "{check:?}");
    let retention = &["primary", "retention", "p.kitedb", "--retention-min-entries", "0"];
    let run = folder.run(retention);
    assert!(
        run.code != 0 && run.err.contains("--replicas-complete") && fault.contains("--replicas-complete"),
        "{run:?}"
    );
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    folder.run(&["check", "p.kitedb"]).ok();
    assert!(folder.run(&[&retention[..], &["--json"]].concat()).json()["pruned_segments"].as_u64() > Some(5));

    replica(&folder, "bootstrap", "s.kitedb", "p.kitedb").ok();
    fs::remove_file(folder.path().join("p.kitedb.replication/replicas")).unwrap();
    catch_up(&folder, "r.kitedb", "p.kitedb");
    assert_ne!(folder.run(retention).code, 0);
    folder.run(&[&retention[..], &["--replicas-complete"]].concat()).ok();
    folder.run(&["primary", "status", "p.kitedb"]).ok();
}

/// Segments that were kept for a replica, and that the primary itself does not need.
#[test]
fn segments_that_are_deleted_by_hand_are_told() {
    let folder = pair();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    let log = folder.path().join("p.kitedb.replication");
    for name in names(&log).iter().filter(|name| name.starts_with("segment-")) {
        fs::remove_file(log.join(name)).unwrap();
    }
    for command in [&["primary", "status", "p.kitedb"][..], &["check", "p.kitedb"]] {
        let run = folder.run(command);
        assert!(run.code != 0 && run.out.contains("segments of the log are gone"), "{run:?}");
    }
}

/// The control file of a primary is deleted, emptied, wiped out or flipped: every command says what to do, a repair gives all
/// of it back, and it leads when it is told to.
#[test]
fn a_lost_control_file_is_repaired() {
    for lose in [
        |_| None,
        |_| Some(vec![]),
        |bytes: Vec<u8>| Some(vec![0; bytes.len()]),
        |mut bytes: Vec<u8>| {
            bytes[20] ^= 1;
            Some(bytes)
        },
    ] {
        let folder = pair();
        import(&folder, "p.kitedb", &lines("n", 5), &[]).ok();
        let control = folder.path().join("p.kitedb.replication/control");
        match lose(fs::read(&control).unwrap()) {
            Some(bytes) => fs::write(&control, bytes).unwrap(),
            None => fs::remove_file(&control).unwrap(),
        }
        let run = folder.run(&["check", "p.kitedb"]);
        assert!(run.code == 3 && run.out.contains("kitedb repair"), "{run:?}");
        let run = import(&folder, "p.kitedb", "x y K\n", &[]);
        assert!(run.code == 1 && run.err.contains("kitedb repair"), "{run:?}");
        let run = folder.run(&["repair", "p.kitedb", "--dry-run"]);
        assert!(run.code == 3 && run.out.contains("p.kitedb can be repaired, as of 1:6"), "{run:?}");
        let done = folder.run(&["repair", "p.kitedb", "--json"]).json();
        assert_eq!((&done["done"], &done["fenced"], &done["last_token"]), (&json!(true), &json!(true), &json!("1:6")));
        let run = folder.run(&["repair", "p.kitedb"]).ok();
        assert!(run.out.contains("nothing that a repair would mend"), "{run:?}");

        folder.run(&["check", "p.kitedb"]).ok();
        let run = import(&folder, "p.kitedb", "x y K\n", &[]);
        assert!(run.code == 1 && run.err.contains("stale primary") && !knows(&folder, "p.kitedb", "x"), "{run:?}");
        let run = folder.run(&["primary", "promote", "p.kitedb"]);
        assert!(run.code == 1 && run.err.contains("repaired"), "{run:?}");
        assert!(folder.run(&["role", "p.kitedb"]).out.contains("repaired"));
        folder.run(&["primary", "promote", "p.kitedb", "--force"]).ok();
        assert_eq!(import(&folder, "p.kitedb", "x y K\n", &[]).json()["token"], "3:7");
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        assert_eq!(folder.run(&["verify", "p.kitedb", "r.kitedb", "--json"]).json()["equal"], true);
    }
}

/// A replica's file is damaged behind a good header, and an earlier one was put aside.
#[test]
fn a_damaged_replica_is_reseeded_in_place() {
    for action in ["reseed", "bootstrap"] {
        let folder = pair();
        let path = folder.path().join("r.kitedb");
        let mut bytes = fs::read(&path).unwrap();
        let len = bytes.len();
        // All but the header and the manifest, wherever that is.
        bytes[8192..len].iter_mut().filter(|byte| **byte == b'K').for_each(|byte| *byte = b'L');
        fs::write(&path, &bytes).unwrap();
        folder.file("r.kitedb.damaged", "evidence");
        replica(&folder, action, "r.kitedb", "p.kitedb").ok();
        assert_eq!(fs::read_to_string(folder.path().join("r.kitedb.damaged")).unwrap(), "evidence");
        assert!(fs::read(folder.path().join("r.kitedb.damaged.2")).unwrap() == bytes);
        folder.run(&["check", "r.kitedb"]).ok();
        assert!(knows(&folder, "r.kitedb", "a"));
    }
}

/// The last segment of a log is deleted after a kill: every command that shows less than was committed says so, and how much.
#[test]
fn a_log_that_ends_too_early_is_told_by_every_command() {
    let folder = Folder::new();
    let options = ["--role", "primary", "--segment-max-bytes", "4096"];
    let mut feed = Feed::start(&folder, "p.kitedb", &options);
    feed.feed(&folder, "p.kitedb", "a b K\n", "1:1");
    replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok();
    let follow = ["replica", "follow", "r.kitedb", "--segment-max-bytes", "4096"];
    let mut follower = folder.command(&follow).stdout(Stdio::null()).spawn().unwrap();
    feed.feed(&folder, "p.kitedb", &lines("x", 60), "1:61");
    let position = || folder.run(&["replica", "status", "r.kitedb", "--json"]).json()["applied_log_index"].clone();
    until("the replica has it all", || position() == 61);
    follower.kill().unwrap();
    follower.wait().unwrap();
    feed.kill_nine();
    copy(&folder.path().join("p.kitedb"), &folder.path().join("whole.kitedb"));
    copy(&folder.path().join("p.kitedb.replication"), &folder.path().join("whole.kitedb.replication"));
    for db in ["p.kitedb", "r.kitedb"] {
        let log = folder.path().join(format!("{db}.replication"));
        let last = names(&log).into_iter().rfind(|name| name.starts_with("segment-")).unwrap();
        fs::remove_file(log.join(last)).unwrap();
    }

    let endpoint = collector();
    for (db, role) in [("p.kitedb", "primary"), ("r.kitedb", "replica")] {
        for command in [
            &["stats", db][..],
            &["get", db, "x1"],
            &["neighbors", db, "x1"],
            &["nodes", db, "--limit", "1"],
            &["edges", db, "--csv"],
            &["count", db],
            &["top", db, "--by", "degree"],
            &["reach", db, "x1"],
            &["set", db, "x1", "a=1", "--dry-run"],
            &[role, "status", db],
            &["verify", db, "whole.kitedb"],
            &["verify", "whole.kitedb", db],
            &["metrics", db],
            &["push", db, "--endpoint", &endpoint],
            // Not there: that, too, may be for want of what is missing.
            &["get", db, "x60"],
        ] {
            let run = folder.run(command);
            assert_eq!(run.code, 3, "{command:?}: {run:?}");
            let said = run.err.lines().find(|line| line.contains("less than was committed is shown"));
            let says = |what: &str| said.is_some_and(|line| line.contains(what));
            assert!(says("61") && says(&format!("{db}.replication")), "{command:?}: {run:?}");
        }
        // What it is asked for is what it shows.
        let run = folder.run(&["check", db]);
        assert!(run.code == 3 && run.out.contains("61"), "{run:?}");
    }
    let run = folder.run(&["push", "p.kitedb", "--endpoint", &endpoint]);
    assert!(run.out.contains(" took "), "{run:?}");
    let run = import(&folder, "p.kitedb", "q r K\n", &options);
    assert_eq!(run.code, 1, "{run:?}");
}

/// A primary that was killed has a log that is damaged or gone. Who does what the errors say, and what the answers to that
/// say, comes to a primary that takes commits.
#[test]
fn the_hints_of_a_killed_primary_with_a_damaged_log_lead_on_until_it_takes_commits() {
    type Lose = fn(&Path);
    fn all(log: &Path) -> Vec<std::path::PathBuf> {
        names(log).iter().filter(|name| name.starts_with("segment-")).map(|name| log.join(name)).collect()
    }
    fn damage(path: &Path, at: usize) {
        let mut bytes = fs::read(path).unwrap();
        bytes[at..at + 8].iter_mut().for_each(|byte| *byte ^= 0xA5);
        fs::write(path, bytes).unwrap();
    }
    let losses: [(&str, Lose); 9] = [
        ("the first segments", |log| all(log)[..2].iter().for_each(|path| fs::remove_file(path).unwrap())),
        ("all segments", |log| all(log).iter().for_each(|path| fs::remove_file(path).unwrap())),
        ("the last segments", |log| all(log)[1..].iter().for_each(|path| fs::remove_file(path).unwrap())),
        ("a header", |log| damage(&all(log)[1], 8)),
        ("the first header", |log| damage(&all(log)[0], 8)),
        ("a frame", |log| damage(&all(log)[1], 600)),
        ("the control file", |log| fs::remove_file(log.join("control")).unwrap()),
        ("all but the registry", |log| {
            all(log).iter().chain([&log.join("control")]).for_each(|path| fs::remove_file(path).unwrap());
        }),
        ("the folder", |log| fs::remove_dir_all(log).unwrap()),
    ];
    for (loss, lose) in losses {
        let folder = Folder::new();
        fs::create_dir(folder.path().join("my data")).unwrap();
        let (db, log) = ("my data/p.kitedb", folder.path().join("my data/p.kitedb.replication"));
        let mut feed = Feed::start(&folder, db, &["--role", "primary", "--segment-max-bytes", "1024"]);
        feed.feed(&folder, db, &lines("n", 30), "1:30");
        feed.kill_nine();
        lose(&log);
        let mut refused = import(&folder, db, "new node K\n", &[]);
        assert_ne!(refused.code, 0, "{loss}: {refused:?}");
        let (mut done, mut trail) = (Vec::new(), Vec::new());
        while refused.code != 0 {
            // The first one that is named and was not tried; what that answers is read before the rest.
            let mut texts = vec![format!("{}{}", refused.out, refused.err)];
            let mut went_on = false;
            while let Some(text) = texts.pop() {
                for command in changes_in(&text) {
                    if done.contains(&command) {
                        continue;
                    }
                    let run = paste(&folder, &command);
                    trail.push(format!("{command} => {}", run.code));
                    done.push(command);
                    texts.push(format!("{}{}", run.out, run.err));
                    went_on = true;
                    break;
                }
            }
            assert!(went_on, "{loss}: {refused:?} after {trail:#?}");
            refused = import(&folder, db, "new node K\n", &[]);
        }
        assert!(trail.len() <= 4, "{loss}: {trail:#?}");
        assert!(knows(&folder, db, "new"), "{loss}");
        // Nothing is left to be done but by the operator's word for the replicas that were there.
        let after = paste(&folder, "kitedb repair 'my data/p.kitedb'");
        assert!(!after.out.contains("found:"), "{loss}: {after:?}");
    }
}

/// Without its figures, a node whose log is gone would look to a monitor like a database that does not replicate.
#[test]
fn the_metrics_of_a_node_without_its_log_end_with_the_code_of_a_fault() {
    let endpoint = collector();
    for db in ["p.kitedb", "r.kitedb"] {
        let folder = pair();
        assert_eq!(folder.run(&["metrics", db]).code, 0);
        fs::remove_file(folder.path().join(format!("{db}.replication/control"))).unwrap();
        for (command, shown) in
            [(&["metrics", db][..], "kitedb_replication_enabled"), (&["push", db, "--endpoint", &endpoint], " took ")]
        {
            let run = folder.run(command);
            assert_eq!(run.code, 3, "{run:?}");
            assert!(run.out.contains(shown) && run.err.contains("no figures of its replication"), "{run:?}");
        }
    }
}

/// The file of a primary does not open any more: what its commands say leads out of it.
#[test]
fn the_hints_for_a_primary_whose_file_does_not_open_lead_out() {
    let folder = pair();
    let file = fs::OpenOptions::new().write(true).open(folder.path().join("p.kitedb")).unwrap();
    file.set_len(5000).unwrap();
    for command in [
        &["check", "p.kitedb"][..],
        &["repair", "p.kitedb", "--dry-run"],
        &["replica", "reseed", "p.kitedb", "--source-db", "r.kitedb", "--overwrite"],
        &["replica", "bootstrap", "p.kitedb", "--source-db", "r.kitedb", "--overwrite"],
    ] {
        let run = folder.run(command);
        assert_ne!(run.code, 0, "{command:?}: {run:?}");
        let out =
            ["`kitedb replica promote REPLICA`", "away", "`kitedb replica bootstrap p.kitedb --source-db REPLICA`"];
        assert!(out.iter().all(|step| run.err.contains(step)), "{command:?}: {run:?}");
        assert!(command[0] == "check" || !run.err.contains("--dry-run"), "{command:?}: {run:?}");
        // What was refused is not told again.
        assert!(command[0] != "replica" || !run.err.contains("replica reseed"), "{command:?}: {run:?}");
    }
    // As it says.
    folder.run(&["replica", "promote", "r.kitedb"]).ok();
    fs::create_dir(folder.path().join("away")).unwrap();
    for name in ["p.kitedb", "p.kitedb.replication"] {
        fs::rename(folder.path().join(name), folder.path().join("away").join(name)).unwrap();
    }
    folder.run(&["replica", "bootstrap", "p.kitedb", "--source-db", "r.kitedb"]).ok();
    folder.run(&["verify", "p.kitedb", "r.kitedb"]).ok();
}

/// A block of the source is damaged, and a new replica copies it: it is the source that is to be looked at.
#[test]
fn damage_that_a_bootstrap_meets_is_told_of_the_source() {
    let folder = Folder::new();
    import(&folder, "p.kitedb", "person30 b K\n", &["--role", "primary"]).ok();
    let path = folder.path().join("p.kitedb");
    let mut bytes = fs::read(&path).unwrap();
    let found: Vec<usize> =
        bytes.windows(8).enumerate().filter(|(_, part)| *part == b"person30").map(|(at, _)| at).collect();
    assert!(!found.is_empty());
    found.into_iter().for_each(|at| bytes[at] = b'X');
    fs::write(&path, bytes).unwrap();
    let run = replica(&folder, "bootstrap", "r.kitedb", "p.kitedb");
    assert!(run.code == 1 && run.err.contains("p.kitedb is damaged"), "{run:?}");
    assert!(run.err.contains("p.kitedb`") && !run.err.contains("r.kitedb"), "{run:?}");
}

/// A monitor needs no more than the exit code: a file that does not open is damage to each command that looks at it, whatever became
/// of it; one that never was a database, or is not there, is a mistake of who asks.
#[test]
fn a_file_that_does_not_open_is_damage_to_every_command_that_looks() {
    let looks: [&[&str]; 7] = [
        &["check", "FILE"],
        &["primary", "status", "FILE"],
        &["replica", "status", "FILE"],
        &["role", "FILE"],
        &["stats", "FILE"],
        &["get", "FILE", "a"],
        &["neighbors", "FILE", "a"],
    ];
    let cut = |path: &Path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(5000).unwrap();
    let zeros = |path: &Path| fs::write(path, vec![0; 100_000]).unwrap();
    let header = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[..8192].iter_mut().for_each(|byte| *byte ^= 0xA5);
        fs::write(path, bytes).unwrap();
    };
    for (db, harm) in
        [("p.kitedb", &cut as &dyn Fn(&Path)), ("p.kitedb", &zeros), ("p.kitedb", &header), ("r.kitedb", &zeros)]
    {
        let folder = pair();
        harm(&folder.path().join(db));
        for look in looks {
            let args: Vec<_> = look.iter().map(|arg| if *arg == "FILE" { db } else { *arg }).collect();
            let run = folder.run(&args);
            assert_eq!(run.code, 3, "{args:?}: {run:?}");
            assert!(run.err.contains(if db == "r.kitedb" { "replica reseed" } else { "hint: " }), "{args:?}: {run:?}");
        }
        for args in [&["primary", "promote", db][..], &["primary", "retention", db]] {
            let run = folder.run(args);
            assert!(run.code == 3 || run.code == 1, "{args:?}: {run:?}");
            assert!(!run.err.contains("the first argument"), "{args:?}: {run:?}");
        }
    }
    let folder = Folder::new();
    folder.file("other", "no database");
    for (look, db) in looks.into_iter().flat_map(|look| [(look, "other"), (look, "absent")]) {
        let args: Vec<_> = look.iter().map(|arg| if *arg == "FILE" { db } else { *arg }).collect();
        assert_eq!(folder.run(&args).code, 1, "{args:?}");
    }
}
