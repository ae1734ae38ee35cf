//! A database is its file, by whatever name it is reached; and what lies beside it is touched only if it is its own.

use super::{
    coming::accepting_hard_links,
    stage::{
        Stage, add, add_many, contents, copy, disabled, expect_its_own, has, names, nothing_said, open_and_add,
        primary, refusal, refused, remove_database, rename_database, replica_of, short_log,
    },
    support_process::{Child, child_args, copy_as_after_a_crash, hear, log_folder, tell},
    support_replication::{catch_up, folder::sidecar_of, replica_status},
};
use kitedb_core::{Database, GraphRead, ReplicationRole};
use std::{fs, os::unix::fs::symlink, path::Path};

/// A link to a fenced primary is no way around the fence, whatever role is said.
#[test]
fn a_fence_holds_through_a_symbolic_link() {
    let stage = Stage::new();
    let (old, _) = stage.fenced("old.kitedb", "new.kitedb");
    let link = stage.folder("links").join("current.kitedb");
    symlink(&old, &link).unwrap();
    for options in [primary(), nothing_said()] {
        assert_eq!(refused(&link, options), "STALE_PRIMARY");
    }
    assert_eq!(names(link.parent().unwrap()), ["current.kitedb"]);
}

#[test]
fn a_fence_holds_through_a_linked_folder() {
    let stage = Stage::new();
    let home = stage.folder("home");
    let (old, _) = stage.fenced("home/old.kitedb", "new.kitedb");
    symlink(&home, stage.path("linked")).unwrap();
    let by_link = stage.path("linked").join(old.file_name().unwrap());
    for options in [primary(), nothing_said()] {
        assert_eq!(refused(&by_link, options), "STALE_PRIMARY");
    }
}

#[test]
fn a_fence_holds_through_a_hard_link() {
    let stage = Stage::new();
    let (old, _) = stage.fenced("old.kitedb", "new.kitedb");
    let link = stage.folder("links").join("current.kitedb");
    fs::hard_link(&old, &link).unwrap();
    for options in [primary(), nothing_said()] {
        let code = refused(&link, options);
        assert!(["HARD_LINKED", "STALE_PRIMARY"].contains(&code), "{code}");
    }
    assert_eq!(names(link.parent().unwrap()), ["current.kitedb"]);
}

#[test]
fn a_fence_holds_under_a_new_name() {
    for with_its_log in [false, true] {
        let stage = Stage::new();
        let (old, _) = stage.fenced("old.kitedb", "new.kitedb");
        let renamed = stage.path("renamed.kitedb");
        if with_its_log {
            rename_database(&old, &renamed);
        } else {
            fs::rename(&old, &renamed).unwrap();
        }
        for options in [primary(), nothing_said()] {
            assert_eq!(refused(&renamed, options), "STALE_PRIMARY", "with its log: {with_its_log}");
        }
    }
}

#[test]
fn a_fence_holds_beside_another_sidecar() {
    let stage = Stage::new();
    let (old, _) = stage.fenced("old.kitedb", "new.kitedb");
    let elsewhere = stage.path("elsewhere");
    let code = refused(&old, primary().replication_sidecar_path(&elsewhere));
    assert!(["STALE_PRIMARY", "LOG_MISMATCH"].contains(&code), "{code}");
    assert!(!elsewhere.exists(), "an empty log was made for a file that had one");
}

/// The sidecar of a fenced primary is thrown away: the file knows of its fence all the same.
#[test]
fn a_fence_holds_without_the_sidecar() {
    let stage = Stage::new();
    let (old, _) = stage.fenced("old.kitedb", "new.kitedb");
    // The file learns of the fence by an open and a clean close.
    Database::open(&old, primary()).unwrap().close().unwrap();
    fs::remove_dir_all(sidecar_of(&old)).unwrap();
    for options in [primary(), nothing_said()] {
        let code = refused(&old, options);
        assert!(["STALE_PRIMARY", "LOG_MISMATCH"].contains(&code), "{code}");
    }
}

#[test]
fn commits_of_a_primary_through_a_symbolic_link_reach_its_replicas() {
    let stage = Stage::new();
    let real = stage.folder("real").join("p.kitedb");
    stage.leading("real/p.kitedb");
    let replica = stage.replica("r.kitedb", &real);
    let link = stage.folder("links").join("p.kitedb");
    symlink("../real/p.kitedb", &link).unwrap();
    for (options, key) in [(primary(), "c"), (nothing_said(), "d")] {
        open_and_add(&link, options, key).unwrap();
        let db = Database::open(&replica, replica_of(&real)).unwrap();
        assert_eq!(catch_up(&db), 1);
        assert!(has(&db, key));
    }
    assert_eq!(names(link.parent().unwrap()), ["p.kitedb"]);
}

#[test]
fn a_file_with_two_hard_links_is_written_to_only_if_told() {
    let stage = Stage::new();
    for (name, options) in [("one.kitedb", disabled()), ("p.kitedb", primary())] {
        let path = stage.closed(name, options, &["a", "b"]);
        let other = stage.path("other.kitedb");
        fs::hard_link(&path, &other).unwrap();
        for name in [&path, &other] {
            assert_eq!(refused(name, nothing_said()), "HARD_LINKED");
        }
        open_and_add(&path, accepting_hard_links(nothing_said()).unwrap(), "c").unwrap();
        fs::remove_file(&other).unwrap();
        open_and_add(&path, nothing_said(), "d").unwrap();
    }
}

/// What a writer acknowledged through a link is what a reader by the real path sees, also before the writer closes.
#[test]
fn acknowledged_commits_are_found_by_the_real_path() {
    let stage = Stage::new();
    let real = stage.folder("real").join("one.kitedb");
    stage.stand_alone("real/one.kitedb");
    let link = stage.folder("links").join("one.kitedb");
    symlink("../real/one.kitedb", &link).unwrap();
    let writer = Database::open(&link, nothing_said()).unwrap();
    add(&writer, "c").unwrap();
    let reader = Database::open(&real, nothing_said().read_only(true)).unwrap();
    assert!(has(&reader, "c"), "{:?}", reader.stats().unwrap().damage);
    assert_eq!(names(link.parent().unwrap()), ["one.kitedb"]);
    // The same after a crash.
    let crashed = stage.folder("crashed").join("one.kitedb");
    copy_as_after_a_crash(&real, &crashed);
    let after = Database::open(&crashed, nothing_said()).unwrap();
    assert!(has(&after, "c"));
}

/// A link to nothing: its target is made, or the error is clear; the link stays what it is.
#[test]
fn a_dangling_link_is_followed_or_refused() {
    let stage = Stage::new();
    let (target, link) = (stage.folder("real").join("one.kitedb"), stage.folder("links").join("one.kitedb"));
    symlink("../real/one.kitedb", &link).unwrap();
    match open_and_add(&link, nothing_said(), "a") {
        Ok(_) => assert!(has(&Database::open(&target, nothing_said()).unwrap(), "a")),
        Err(e) => assert!(e.to_string().contains("one.kitedb") && e.to_string().contains("link"), "{e:?}"),
    }
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(names(link.parent().unwrap()), ["one.kitedb"]);
}

#[test]
fn a_link_to_itself_is_an_error() {
    let stage = Stage::new();
    let link = stage.path("loop.kitedb");
    symlink(&link, &link).unwrap();
    for options in [nothing_said(), primary(), replica_of(&link)] {
        let error = Database::open(&link, options).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("loop.kitedb"), "{error:?}");
    }
    assert_eq!(names(stage.path("").as_path()), ["loop.kitedb"]);
}

/// A source that is named by a link has its log beside the file, not beside the link.
#[test]
fn a_source_is_followed_through_a_link() {
    let stage = Stage::new();
    let real = stage.folder("real").join("p.kitedb");
    stage.leading("real/p.kitedb");
    let link = stage.folder("links").join("p.kitedb");
    symlink("../real/p.kitedb", &link).unwrap();
    let db = Database::open(stage.path("r.kitedb"), replica_of(&link)).unwrap();
    db.replica_bootstrap_from_snapshot().unwrap();
    open_and_add(&real, primary(), "c").unwrap();
    assert_eq!(catch_up(&db), 1);
    db.replica_promote(false).unwrap();
    assert_eq!(refused(&real, primary()), "STALE_PRIMARY");
}

#[test]
fn a_source_whose_log_lies_elsewhere_is_followed_by_its_file() {
    let stage = Stage::new();
    let place = stage.path("side");
    let source = stage.closed("p.kitedb", primary().replication_sidecar_path(&place), &["a", "b"]);
    let db = Database::open(stage.path("r.kitedb"), replica_of(&source)).unwrap();
    db.replica_bootstrap_from_snapshot().unwrap();
    open_and_add(&source, primary().replication_sidecar_path(&place), "c").unwrap();
    assert_eq!(catch_up(&db), 1);
    db.replica_promote(false).unwrap();
    assert_eq!(refused(&source, primary().replication_sidecar_path(&place)), "STALE_PRIMARY");
}

#[test]
fn a_sidecar_elsewhere_is_remembered() {
    let stage = Stage::new();
    let place = stage.folder("side").join("log");
    let path = stage.closed("p.kitedb", primary().replication_sidecar_path(&place), &["a", "b"]);
    for (options, key) in [(nothing_said(), "c"), (primary(), "d")] {
        let db = Database::open(&path, options).unwrap();
        assert_eq!(db.primary_replication_status().unwrap().unwrap().sidecar_path.file_name(), place.file_name());
        add(&db, key).unwrap();
        db.close().unwrap();
    }
    assert!(!sidecar_of(&path).exists(), "a second log was made");
    let last = open_and_add(&path, primary().replication_sidecar_path(&place), "e").unwrap();
    assert_eq!(last.log_index.0, 5);
}

/// The log was moved and nobody said so: no second one is begun. A place that is said and fits is remembered.
#[test]
fn a_log_that_is_not_where_it_was_is_asked_for() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let place = stage.folder("moved").join("log");
    fs::rename(sidecar_of(&path), &place).unwrap();
    for options in [primary(), nothing_said()] {
        assert_eq!(refused(&path, options), "LOG_MISMATCH");
        assert!(!sidecar_of(&path).exists(), "an empty log was made for a file that had one");
    }
    open_and_add(&path, primary().replication_sidecar_path(&place), "c").unwrap();
    assert_eq!(open_and_add(&path, nothing_said(), "d").unwrap().to_string(), "1:4");
    assert!(!sidecar_of(&path).exists());
}

#[test]
fn an_empty_place_is_not_made_the_log_of_a_primary_that_has_one() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let absent = stage.path("elsewhere");
    let empty = stage.folder("empty");
    for place in [&absent, &empty] {
        match open_and_add(&path, primary().replication_sidecar_path(place), "c") {
            // The log that fits was found all the same.
            Ok(_) => assert!(names(&sidecar_of(&path)).contains(&"control".to_owned())),
            Err(e) => assert_eq!(e.code().as_str(), "LOG_MISMATCH", "{e:?}"),
        }
        assert!(!place.exists() || names(place).is_empty(), "{}", place.display());
    }
}

#[test]
fn two_places_with_the_same_log_are_an_error_that_names_both() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let twin = stage.folder("twin").join("log");
    copy(&sidecar_of(&path), &twin);
    let said = refusal(&path, primary().replication_sidecar_path(&twin), "c");
    assert_eq!(said.code().as_str(), "LOG_MISMATCH", "{said:?}");
    for place in [sidecar_of(&path), twin] {
        assert!(said.to_string().contains(place.to_str().unwrap()), "{said:?} does not name {}", place.display());
    }
}

/// A folder of another database's log is not written to, cut or removed, whoever names it.
#[test]
fn the_log_of_another_database_is_left_alone() {
    let stage = Stage::new();
    let (path, other) = (stage.leading("p.kitedb"), stage.leading("other.kitedb"));
    let before = contents(&sidecar_of(&other));
    for options in [primary(), nothing_said()] {
        let _ = open_and_add(&path, short_log(options.replication_sidecar_path(sidecar_of(&other))), "c");
    }
    assert!(contents(&sidecar_of(&other)) == before);
    assert_eq!(open_and_add(&other, primary(), "c").unwrap().to_string(), "1:3");
}

/// Only the file is renamed after a crash, its log stays: it is found where it was, or it is said where it should be.
#[test]
fn a_private_log_is_found_after_the_file_was_renamed() {
    let stage = Stage::new();
    let path = stage.stand_alone("one.kitedb");
    let live = Database::open(&path, nothing_said()).unwrap();
    add(&live, "c").unwrap();
    let crashed = stage.folder("crashed").join("one.kitedb");
    copy_as_after_a_crash(&path, &crashed);
    let renamed = crashed.with_file_name("renamed.kitedb");
    fs::rename(&crashed, &renamed).unwrap();
    let db = Database::open(&renamed, nothing_said()).unwrap();
    assert!(has(&db, "c"));
    add(&db, "d").unwrap();
    db.close().unwrap();
    let db = Database::open(&renamed, nothing_said()).unwrap();
    assert!(has(&db, "c") && has(&db, "d"));
    assert_eq!(names(renamed.parent().unwrap()), ["renamed.kitedb"]);
}

/// A primary or a replica whose whole folder was moved goes on as if nothing had happened.
#[test]
fn a_moved_folder_goes_on() {
    let stage = Stage::new();
    stage.folder("site");
    let source = stage.leading("site/p.kitedb");
    stage.replica("site/r.kitedb", &source);
    let site = stage.path("elsewhere");
    fs::rename(stage.path("site"), &site).unwrap();
    assert_eq!(open_and_add(&site.join("p.kitedb"), nothing_said(), "c").unwrap().to_string(), "1:3");
    let replica = Database::open(site.join("r.kitedb"), nothing_said()).unwrap();
    assert_eq!(catch_up(&replica), 1);
    assert!(has(&replica, "c") && !stage.path("site").exists());
}

#[test]
fn a_primary_that_is_renamed_with_its_log_goes_on() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let renamed = stage.path("renamed.kitedb");
    rename_database(&path, &renamed);
    assert_eq!(open_and_add(&renamed, primary(), "c").unwrap().to_string(), "1:3");
}

/// In a process of its own, because a folder is changed.
#[test]
fn goes_to_another_folder() {
    let Some(args) = child_args() else { return };
    let [role, from, to] = args.as_slice() else { panic!("{args:?}") };
    std::env::set_current_dir(from).unwrap();
    let options = match role.as_str() {
        "primary" => short_log(primary()),
        "replica" => replica_of(Path::new("p.kitedb")),
        _ => disabled().segment_max_bytes(4096),
    };
    let name = if role == "replica" { "r.kitedb" } else { "p.kitedb" };
    let db = Database::open(name, options.clone()).unwrap();
    if role == "replica" {
        db.replica_bootstrap_from_snapshot().unwrap();
        tell("bootstrapped");
        hear();
        std::env::set_current_dir(to).unwrap();
        tell(catch_up(&db));
    } else {
        add(&db, "before").unwrap();
        std::env::set_current_dir(to).unwrap();
        let done = (0..50).filter(|n| add(&db, &format!("after {n}")).is_ok()).count();
        db.checkpoint().unwrap();
        if role == "primary" {
            db.primary_run_retention().unwrap();
        }
        for n in 50..60 {
            add(&db, &format!("after {n}")).unwrap();
        }
        tell(done);
        // The same file, by another spelling.
        let twice = Database::open(Path::new(from).join(name), options).unwrap();
        tell(twice.snapshot().unwrap().count_nodes());
    }
    db.close().unwrap();
    tell("closed");
}

fn in_another_folder(role: &str, from: &Path, to: &Path) -> Child {
    let args = [role, from.to_str().unwrap(), to.to_str().unwrap()];
    Child::spawn("attacks::identity::goes_to_another_folder", &args)
}

#[test]
fn a_process_that_changes_its_folder_keeps_its_database() {
    for role in ["primary", "disabled"] {
        let stage = Stage::new();
        let (data, elsewhere) = (stage.folder("data"), stage.folder("elsewhere"));
        let mut child = in_another_folder(role, &data, &elsewhere);
        for said in ["50", "61", "closed"] {
            child.expect(said);
        }
        child.finish();
        assert_eq!(names(&elsewhere), Vec::<String>::new(), "{role}");
        let db = Database::open(data.join("p.kitedb"), nothing_said()).unwrap();
        assert_eq!(db.snapshot().unwrap().count_nodes(), 61, "{role}");
        assert!(db.check().unwrap().is_clean());
    }
}

#[test]
fn the_database_of_the_same_name_in_another_folder_is_left_alone() {
    for role in ["primary", "disabled"] {
        let stage = Stage::new();
        let (one, two) = (stage.folder("one"), stage.folder("two"));
        let options = || match role {
            "primary" => short_log(primary()),
            _ => disabled().segment_max_bytes(4096),
        };
        // As a process left it that was killed: only its log has its commits.
        let live = Database::open(stage.folder("live").join("p.kitedb"), options()).unwrap();
        add_many(&live, "two", 60);
        for name in names(&stage.path("live")) {
            copy(&stage.path("live").join(&name), &two.join(&name));
        }
        let before = contents(&two);
        let mut child = in_another_folder(role, &one, &two);
        while child.line().is_some() {}
        assert!(contents(&two) == before, "{role}: the other database was touched");
        child.finish();
        let db = Database::open(one.join("p.kitedb"), nothing_said()).unwrap();
        assert_eq!(db.snapshot().unwrap().count_nodes(), 61, "{role}");
    }
}

#[test]
fn a_follower_that_changes_its_folder_keeps_its_source() {
    let stage = Stage::new();
    let (data, elsewhere) = (stage.folder("data"), stage.folder("elsewhere"));
    let source = stage.leading("data/p.kitedb");
    // A source of the same name, where the process goes.
    stage.leading("elsewhere/p.kitedb");
    let before = contents(&elsewhere);
    let mut child = in_another_folder("replica", &data, &elsewhere);
    child.expect("bootstrapped");
    open_and_add(&source, primary(), "c").unwrap();
    child.say("go");
    child.expect("1");
    child.expect("closed");
    child.finish();
    assert!(contents(&elsewhere) == before);
}

/// The folder is exchanged under a running process, as a restore does it: the process ends on its own files.
#[test]
fn a_folder_that_is_exchanged_under_a_process_is_not_touched_by_it() {
    for (role, with_commits) in [("disabled", true), ("disabled", false), ("primary", true), ("primary", false)] {
        let stage = Stage::new();
        let options = || if role == "primary" { short_log(primary()) } else { disabled() };
        // A restored database whose commits are only in its log.
        let live = Database::open(stage.folder("live").join("p.kitedb"), options()).unwrap();
        add_many(&live, "other", 20);
        let other = stage.folder("other");
        for name in names(&stage.path("live")) {
            copy(&stage.path("live").join(&name), &other.join(&name));
        }
        let before: Vec<Vec<u8>> = contents(&other).into_values().collect();

        let running = Database::open(stage.folder("data").join("p.kitedb"), options()).unwrap();
        add(&running, "a").unwrap();
        fs::rename(stage.path("data"), stage.path("data.old")).unwrap();
        fs::rename(&other, stage.path("data")).unwrap();
        if with_commits {
            let _ = (add(&running, "b"), running.checkpoint());
            if role == "primary" {
                let _ = running.primary_run_retention();
            }
        }
        let _ = running.close();

        let after: Vec<Vec<u8>> = contents(&stage.path("data")).into_values().collect();
        assert!(after == before, "{role}, {with_commits}: the other database was touched");
        let old = Database::open(stage.path("data.old").join("p.kitedb"), nothing_said()).unwrap();
        assert!(has(&old, "a"), "{role}, {with_commits}");
    }
}

/// The log's folder alone is exchanged for that of another database.
#[test]
fn a_log_that_is_exchanged_under_a_process_is_not_touched_by_it() {
    let stage = Stage::new();
    let other = Database::open(stage.path("other.kitedb"), disabled()).unwrap();
    add_many(&other, "other", 20);
    let running = Database::open(stage.path("one.kitedb"), disabled()).unwrap();
    add(&running, "a").unwrap();
    let log = log_folder(running.path());
    fs::rename(&log, stage.path("aside")).unwrap();
    copy(&log_folder(other.path()), &log);
    let before = contents(&log);
    let _ = running.close();
    assert!(log.exists() && contents(&log) == before, "the log of the other database was touched");
}

/// A process follows; the source is taken away and another database put under its path.
#[test]
fn another_database_under_the_path_of_a_source_is_not_followed() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let replica = stage.replica("r.kitedb", &source);
    remove_database(&source);
    stage.closed("p.kitedb", primary(), &["x", "y", "z"]);
    let before = contents(&sidecar_of(&source));
    let db = Database::open(&replica, replica_of(&source)).unwrap();
    assert_eq!(db.replica_catch_up_once(10).unwrap_err().code().as_str(), "NEEDS_RESEED");
    assert!(db.replica_promote(false).is_err());
    assert_eq!(replica_status(&db).applied_log_index, 2);
    expect_its_own(&db);
    assert_eq!(db.replication_role(), ReplicationRole::Replica);
    // What is no source of this replica is not fenced by it.
    let fence = |files: &std::collections::BTreeMap<_, Vec<u8>>| {
        // Words 16 and 36 to 47. That it reported changes another one.
        let control = &files[&sidecar_of(&source).join("control")];
        [&control[16 * 8..17 * 8], &control[36 * 8..48 * 8]].concat()
    };
    assert!(fence(&contents(&sidecar_of(&source))) == fence(&before));
}
