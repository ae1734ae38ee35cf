//! Where a replica is made: beside what is left of another one, over somebody's file, from a source that leads nowhere; and
//! what of a bootstrap is left that was killed at once. Every command that is told is run.

use super::{stage::*, support::Folder};
use serde_json::Value as Json;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    process::{Command, Stdio},
};

fn is_replica_of(folder: &Folder, db: &str, key: &str) {
    assert!(knows(folder, db, key), "{db}");
    assert_eq!(folder.run(&["replica", "status", db]).ok().code, 0);
}

/// The file of a replica is gone, with and without segments in its log, and its source is named or not.
#[test]
fn beside_the_log_of_a_replica_that_is_gone_each_way_in_tells_the_one_that_works() {
    let asks: [&[&str]; 8] = [
        &["replica", "bootstrap", "r.kitedb", "--overwrite"],
        &["replica", "bootstrap", "r.kitedb", "--source-db", "p.kitedb"],
        &["replica", "bootstrap", "r.kitedb"],
        &["replica", "reseed", "r.kitedb", "--source-db", "p.kitedb"],
        &["replica", "reseed", "r.kitedb", "--overwrite"],
        &["replica", "follow", "r.kitedb", "--once"],
        &["replica", "status", "r.kitedb"],
        &["replica", "promote", "r.kitedb", "--force"],
    ];
    for ask in asks {
        for segments in [true, false] {
            let folder = pair();
            if segments {
                import(&folder, "p.kitedb", "c d K\n", &[]).ok();
                catch_up(&folder, "r.kitedb", "p.kitedb").ok();
            }
            fs::remove_file(folder.path().join("r.kitedb")).unwrap();
            let run = folder.run(ask);
            let commands = changes_in(&run.err);
            assert!(run.code == 1 && run.err.contains("put the file back"), "{ask:?}: {run:?}");
            assert!(commands.len() == 1 && commands[0].contains("--overwrite"), "{ask:?}: {run:?}");
            paste(&folder, &commands[0]).ok();
            is_replica_of(&folder, "r.kitedb", "a");
            // Its log was given up by name, and its place at the source with it.
            assert_eq!(registered(&folder, "p.kitedb").len(), 1, "{ask:?}");
        }
    }
}

/// Nothing of it may pass for the new one, nor be removed, as long as nobody says so.
#[test]
fn an_import_beside_the_log_of_a_replica_that_is_gone_is_refused() {
    let folder = pair();
    fs::remove_file(folder.path().join("r.kitedb")).unwrap();
    let before = contents(&folder.path().join("r.kitedb.replication"));
    for role in [&[][..], &["--role", "primary"]] {
        let run = import(&folder, "r.kitedb", "x y K\n", role);
        assert!(run.code == 1 && run.err.contains("put the file back"), "{run:?}");
    }
    assert_eq!(contents(&folder.path().join("r.kitedb.replication")), before);
    assert!(!folder.path().join("r.kitedb").exists());
}

/// It was renamed, and has its log where that was; or a copy of it lies beside its place.
#[test]
fn the_log_of_a_replica_that_was_renamed_is_not_given_up() {
    let folder = pair();
    copy(&folder.path().join("r.kitedb"), &folder.path().join("r.bak"));
    fs::rename(folder.path().join("r.kitedb"), folder.path().join("new.kitedb")).unwrap();
    let bootstrap = ["replica", "bootstrap", "r.kitedb", "--source-db", "p.kitedb", "--overwrite"];
    let run = folder.run(&bootstrap);
    assert!(run.code == 1 && run.err.contains("new.kitedb"), "{run:?}");
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    folder.run(&["replica", "follow", "new.kitedb", "--once"]).ok();
    is_replica_of(&folder, "new.kitedb", "c");
    fs::remove_file(folder.path().join("new.kitedb")).unwrap();
    folder.run(&bootstrap).ok();
    is_replica_of(&folder, "r.kitedb", "c");
}

/// Under a name that leads to something else than a file.
#[test]
fn what_is_no_file_is_not_replaced_by_a_bootstrap() {
    let folder = pair();
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe.kitedb")).status().unwrap().success());
    fs::create_dir(folder.path().join("dir.kitedb")).unwrap();
    for name in ["pipe.kitedb", "dir.kitedb"] {
        let before = fs::symlink_metadata(folder.path().join(name)).unwrap().ino();
        let run = folder.run(&["replica", "bootstrap", name, "--source-db", "p.kitedb", "--overwrite"]);
        assert_eq!(run.code, 1, "{run:?}");
        assert_eq!(fs::symlink_metadata(folder.path().join(name)).unwrap().ino(), before);
    }
}

/// A process has the deleted file open still.
#[test]
fn the_log_of_a_replica_that_is_open_is_not_given_up() {
    let folder = pair();
    let follow = ["replica", "follow", "r.kitedb"];
    let mut follower = folder.command(&follow).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it follows", || folder.run(&["replica", "status", "r.kitedb", "--json"]).out.contains("\"following\""));
    fs::remove_file(folder.path().join("r.kitedb")).unwrap();
    let run = folder.run(&["replica", "bootstrap", "r.kitedb", "--source-db", "p.kitedb", "--overwrite"]);
    assert!(run.code == 1 && run.err.contains(&follower.id().to_string()), "{run:?}");
    follower.kill().unwrap();
    follower.wait().unwrap();
    folder.run(&["replica", "bootstrap", "r.kitedb", "--source-db", "p.kitedb", "--overwrite"]).ok();
    is_replica_of(&folder, "r.kitedb", "a");
}

#[test]
fn an_empty_file_is_replaced_by_a_bootstrap() {
    let folder = pair();
    folder.file("e.kitedb", "");
    replica(&folder, "bootstrap", "e.kitedb", "p.kitedb").ok();
    is_replica_of(&folder, "e.kitedb", "a");
    // One that is refused changes nothing.
    folder.file("f.kitedb", "");
    for (source, why) in [(&["--source-db", "nowhere.kitedb"][..], "does not exist"), (&[], "is not configured")] {
        let run = folder.run(&[&["replica", "bootstrap", "f.kitedb"], source].concat());
        assert!(run.code == 1 && run.err.contains(why), "{run:?}");
        assert_eq!(fs::read(folder.path().join("f.kitedb")).unwrap(), b"");
    }
    // An empty file in the place of a primary's, whose log is there, is none.
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    folder.file("p.kitedb", "");
    let run = replica(&folder, "bootstrap", "p.kitedb", "e.kitedb");
    assert!(run.code == 1 && run.err.contains("put the file back"), "{run:?}");
}

#[test]
fn a_file_that_is_no_database_is_replaced_by_name_and_kept_aside() {
    let folder = pair();
    folder.file("notes.kitedb", "what I must not lose\n");
    let run = replica(&folder, "bootstrap", "notes.kitedb", "p.kitedb");
    let commands = changes_in(&run.err);
    assert!(run.code == 1 && run.err.contains("is no KiteDB database, but a file of 21 bytes"), "{run:?}");
    assert!(commands.len() == 1 && fs::read(folder.path().join("notes.kitedb")).unwrap().len() == 21, "{run:?}");
    // What is refused for another reason puts nothing aside.
    folder.file("none.kitedb", "no database either\n");
    for source in ["nowhere.kitedb", "none.kitedb"] {
        let lost = folder.run(&["replica", "bootstrap", "notes.kitedb", "--source-db", source, "--overwrite"]);
        assert!(lost.code == 1 && fs::read(folder.path().join("notes.kitedb")).unwrap().len() == 21, "{lost:?}");
        assert!(!folder.path().join("notes.kitedb.damaged").exists(), "{source}");
    }
    let run = paste(&folder, &commands[0]).ok();
    assert!(run.out.contains("notes.kitedb.damaged"), "{run:?}");
    assert_eq!(fs::read_to_string(folder.path().join("notes.kitedb.damaged")).unwrap(), "what I must not lose\n");
    is_replica_of(&folder, "notes.kitedb", "a");
}

/// As a status of it: the copy is whole, and nothing will come.
#[test]
fn a_bootstrap_from_a_source_that_does_not_lead_says_so() {
    let folder = failed_over();
    for end in ["", ".replication"] {
        copy(&folder.path().join(format!("r.kitedb{end}")), &folder.path().join(format!("c.kitedb{end}")));
    }
    for (source, fault) in [("p.kitedb", "fenced"), ("c.kitedb", "copied")] {
        for json in [false, true] {
            let db = format!("{fault}{json}.kitedb");
            let args = ["replica", "bootstrap", &db, "--source-db", source];
            let run = folder.run(&[&args[..], if json { &["--json"] } else { &[] }].concat());
            let status = folder.run(&["replica", "status", &db]);
            assert_eq!((run.code, status.code), (3, 3), "{run:?}");
            assert!(knows(&folder, &db, "a"));
            if json {
                let document: Json = serde_json::from_str(&run.out).unwrap();
                assert_eq!((&document["source_fault"], document["fault"].is_string()), (&fault.into(), true));
            } else {
                assert!(run.out.contains("fault:") && run.out.contains(source), "{run:?}");
            }
        }
    }
    // From one that leads nothing is said.
    let run = folder.run(&["replica", "bootstrap", "well.kitedb", "--source-db", "r.kitedb"]).ok();
    assert!(!run.out.contains("fault:"), "{run:?}");
}

/// Written into the files that are there: nothing tells that they are copies, but a replica has more.
#[test]
fn a_bootstrap_from_an_older_copy_names_who_has_more() {
    let folder = pair();
    fs::create_dir(folder.path().join("old")).unwrap();
    for name in ["p.kitedb", "p.kitedb.replication"] {
        copy(&folder.path().join(name), &folder.path().join("old"));
    }
    import(&folder, "p.kitedb", "only there K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    let run = paste(&folder, "cp old/p.kitedb . && cp old/p.kitedb.replication/* p.kitedb.replication/");
    assert_eq!(run.code, 0, "{run:?}");
    let run = folder.run(&["replica", "bootstrap", "s.kitedb", "--source-db", "p.kitedb"]);
    let told = run.out.contains("r.kitedb holds the commits up to 1:2") && run.out.contains("older copy");
    assert!(run.code == 3 && told, "{run:?}");
    let run = replica(&folder, "bootstrap", "t.kitedb", "p.kitedb");
    assert_eq!(run.code, 3, "{run:?}");
    let run: Json = serde_json::from_str(&run.out).unwrap();
    assert!(run["ahead_of_source"][0]["db"].as_str().unwrap().ends_with("r.kitedb"), "{run}");
}

/// As the process leaves it that is killed once it has made the file, and no log yet.
#[test]
fn what_a_bootstrap_leaves_that_is_killed_at_once_says_what_it_is() {
    let folder = Folder::new();
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    let (file, log) = (folder.path().join("r.kitedb"), folder.path().join("r.kitedb.replication"));
    let mut found = false;
    for _ in 0..500 {
        let args = ["replica", "bootstrap", "r.kitedb", "--source-db", "p.kitedb"];
        let mut process = folder.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !file.exists() && process.try_wait().unwrap().is_none() {}
        process.kill().unwrap();
        process.wait().unwrap();
        found = file.exists() && !log.join("control").exists();
        if found {
            break;
        }
        let _ = (fs::remove_file(&file), fs::remove_dir_all(&log));
    }
    assert!(found, "it was never killed in time");
    let status = folder.run(&["replica", "status", "r.kitedb"]);
    let commands = changes_in(&status.out);
    assert!(status.code == 3 && status.out.contains("holds nothing yet"), "{status:?}");
    assert!(commands.len() == 1 && commands[0].contains("--source-db SOURCE"), "{status:?}");
    let check = folder.run(&["check", "r.kitedb"]);
    assert!(check.code == 3 && check.out.contains("holds nothing yet"), "{check:?}");
    assert_eq!(import(&folder, "r.kitedb", "x y K\n", &[]).code, 1);
    paste(&folder, &commands[0].replace("SOURCE", "p.kitedb")).ok();
    is_replica_of(&folder, "r.kitedb", "a");
    assert_eq!(folder.run(&["check", "r.kitedb"]).code, 0);
}

#[test]
fn a_replica_that_was_detached_is_told_as_what_it_is() {
    let folder = pair();
    folder.run(&["role", "r.kitedb", "detach"]).ok();
    let run = folder.run(&["replica", "status", "r.kitedb"]);
    assert!(run.code == 1 && run.err.contains("is a database of its own") && !run.err.contains("never"), "{run:?}");
}
