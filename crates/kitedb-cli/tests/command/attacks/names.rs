//! Other names: links, copies, restored files, folders elsewhere, a pipe.

use super::{stage::*, support::Folder};
use serde_json::json;
use std::{fs, os::unix::fs::symlink, process::Command};

#[test]
fn a_replica_ahead_of_a_restored_primary_says_so() {
    let folder = pair();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("saved")).unwrap();
    for name in ["p.kitedb", "p.kitedb.replication"] {
        copy(&at(name), &at("saved").join(name));
    }
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    fs::remove_file(at("p.kitedb")).unwrap();
    fs::remove_dir_all(at("p.kitedb.replication")).unwrap();
    for name in ["p.kitedb", "p.kitedb.replication"] {
        copy(&at("saved").join(name), &at(name));
    }
    // No process has it open.
    let run = catch_up(&folder, "r.kitedb", "p.kitedb");
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("needs reseed"), "{run:?}");
    let status = folder.run(&["replica", "status", "r.kitedb", "--source-db", "p.kitedb", "--json"]);
    assert_eq!(status.code, 3, "{status:?}");
    // And the restored primary does not lead by itself.
    let run = import(&folder, "p.kitedb", "other d K\n", &[]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("`kitedb role ") && run.err.contains("p.kitedb primary --moved`"), "{run:?}");
    let run = folder.run(&["role", "p.kitedb", "primary", "--moved"]);
    assert!(run.code == 1 && run.err.contains("r.kitedb holds the commits up to 1:2"), "{run:?}");
    folder.run(&["role", "p.kitedb", "primary", "--moved", "--force"]).ok();
    assert_eq!(import(&folder, "p.kitedb", "other d K\n", &[]).json()["token"], "2:2");
}

#[test]
fn a_file_with_two_names_takes_an_import_only_if_told() {
    let folder = pair();
    fs::hard_link(folder.path().join("p.kitedb"), folder.path().join("other.kitedb")).unwrap();
    let run = import(&folder, "p.kitedb", "c d K\n", &[]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("hard links") && run.err.contains("--accept-hard-links"), "{run:?}");
    assert_eq!(import(&folder, "p.kitedb", "c d K\n", &["--accept-hard-links"]).json()["token"], "1:2");
}

/// Nobody writes to it.
#[test]
fn a_pipe_is_not_waited_for() {
    let folder = pair();
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    for args in
        [&["role", "pipe"][..], &["stats", "pipe"], &["replica", "bootstrap", "n.kitedb", "--source-db", "pipe"]]
    {
        let run = folder.run(args);
        assert_eq!(run.code, 1, "{args:?}: {run:?}");
        assert!(run.err.contains("pipe"), "{args:?}: {run:?}");
    }
}

/// A copy for analysis.
#[test]
fn a_copy_is_made_a_database_of_its_own() {
    let folder = pair();
    let at = |name: &str| folder.path().join(name);
    for suffix in ["", ".replication"] {
        copy(&at(&format!("r.kitedb{suffix}")), &at(&format!("copied.kitedb{suffix}")));
    }
    assert_eq!(import(&folder, "copied.kitedb", "c d K\n", &[]).code, 1);
    folder.run(&["role", "copied.kitedb", "detach"]).ok();
    import(&folder, "copied.kitedb", "c d K\n", &[]).ok();
    assert!(knows(&folder, "copied.kitedb", "c") && !at("copied.kitedb.replication").exists());
    assert!(folder.run(&["role", "copied.kitedb"]).ok().out.contains("disabled"));
    assert!(folder.run(&["role", "p.kitedb"]).ok().out.contains("primary"));
    assert!(folder.run(&["role", "r.kitedb"]).ok().out.contains("replica"));
}

#[test]
fn a_sidecar_elsewhere_is_said_once() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("side")).unwrap();
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary", "--sidecar", "side/p"]).ok();
    replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok();
    assert_eq!(import(&folder, "p.kitedb", "x y K\n", &[]).json()["token"], "1:2");
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    assert!(knows(&folder, "r.kitedb", "x"));
    assert_eq!(folder.run(&["verify", "p.kitedb", "r.kitedb", "--json"]).json()["equal"], true);
    assert!(!folder.path().join("p.kitedb.replication").exists());
}

#[test]
fn an_import_through_a_link_reaches_the_replicas() {
    let folder = pair();
    fs::create_dir(folder.path().join("links")).unwrap();
    symlink("../p.kitedb", folder.path().join("links/p.kitedb")).unwrap();
    assert_eq!(import(&folder, "links/p.kitedb", "x y K\n", &[]).json()["token"], "1:2");
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    assert!(knows(&folder, "r.kitedb", "x"));
    assert_eq!(names(&folder.path().join("links")), ["p.kitedb"]);
}

#[test]
fn what_was_imported_through_a_link_is_found_after_a_kill() {
    let folder = Folder::new();
    import(&folder, "d.kitedb", "a b K\n", &[]).ok();
    fs::create_dir(folder.path().join("links")).unwrap();
    symlink("../d.kitedb", folder.path().join("links/l.kitedb")).unwrap();
    let mut feed = Feed::start(&folder, "links/l.kitedb", &[]);
    feed.feed(&folder, "links/l.kitedb", "c d K\nd e K\n", "1:3");
    feed.kill_nine();
    assert!(knows(&folder, "d.kitedb", "e"));
    assert_eq!(import(&folder, "d.kitedb", "q r K\n", &[]).json()["token"], "1:4");
}

/// A primary that an operator takes for a copy is a replica: the way on is named that a replica has.
#[test]
fn a_replica_that_is_told_to_lead_as_a_copy_is_told_how_a_replica_leads() {
    let folder = pair();
    let run = folder.run(&["role", "r.kitedb", "primary", "--moved"]);
    assert!(run.code == 1 && run.err.contains("kitedb replica promote"), "{run:?}");
    assert!(!run.err.contains("primary promote"), "{run:?}");
}

/// A database of its own is opened as a primary, and nothing is committed: it is one, and can be followed.
#[test]
fn a_database_that_is_opened_as_a_primary_is_one_before_its_first_commit() {
    let folder = Folder::new();
    import(&folder, "s.kitedb", "a b K\n", &[]).ok();
    let again = import(&folder, "s.kitedb", "a b K\n", &["--role", "primary"]).json();
    assert_eq!((&again["committed"], &again["batches"]), (&json!(false), &json!(0)), "{again}");
    assert_eq!(folder.run(&["role", "s.kitedb", "--json"]).json()["role"], "primary");
    folder.run(&["primary", "status", "s.kitedb"]).ok();
    replica(&folder, "bootstrap", "r.kitedb", "s.kitedb").ok();
    folder.run(&["replica", "status", "r.kitedb"]).ok();
    import(&folder, "s.kitedb", "c d K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "s.kitedb").ok();
    folder.run(&["verify", "s.kitedb", "r.kitedb"]).ok();
    for db in ["s.kitedb", "r.kitedb"] {
        folder.run(&["check", db]).ok();
    }
}
