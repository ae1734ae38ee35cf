//! A log is gone, in part or as a whole, or another one is in its place: check tells it, and a repair says what is left.

use super::{
    stage::{Stage, add, copy, copy_database, has, nothing_said, open_and_add, primary, replica_of},
    support_replication::{Graph, Machine, catch_up, digest, folder::sidecar_of, write},
};
use kitedb_core::{
    CheckReport, Database, ErrorCode, Repair, RepairOptions, ReplicationRole, SyncMode,
    io::{Disk, Env, sim::Crash},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn dry_run(path: &Path) -> Repair {
    Database::repair(path, RepairOptions::new().dry_run(true)).unwrap()
}

fn check(path: &Path) -> CheckReport {
    Database::open(path, nothing_said().read_only(true)).unwrap().check().unwrap()
}

/// The segments of a log, oldest first.
fn segments(log: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|kind| kind == "klog"));
    all.sort();
    all
}

/// A bootstrap leaves a replica without a segment: nothing is missing. Once it has one, that is missed.
#[test]
fn a_replica_that_was_just_bootstrapped_needs_no_repair() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let replica = stage.replica("r.kitedb", &source);
    assert!(segments(&sidecar_of(&replica)).is_empty());
    assert!(dry_run(&replica).is_clean() && check(&replica).is_clean());
    assert!(Database::repair(&replica, RepairOptions::new()).unwrap().is_clean());

    open_and_add(&source, primary(), "more").unwrap();
    let db = Database::open(&replica, replica_of(&source)).unwrap();
    while db.replica_catch_up_once(100).unwrap() > 0 {}
    db.close().unwrap();
    assert!(dry_run(&replica).is_clean() && check(&replica).is_clean());
    segments(&sidecar_of(&replica)).iter().for_each(|path| fs::remove_file(path).unwrap());
    let (found, checked) = (dry_run(&replica), check(&replica));
    assert_eq!((&found.found, found.only_log_is_lost), (&checked.damage, true), "{found:?}");
    assert!(found.found[0].contains("the segments of the log are gone"), "{found:?}");
    // Nothing is begun beside what may be put back; what is given up by name is not missed any more.
    open_and_add(&source, primary(), "later").unwrap();
    let db = Database::open(&replica, replica_of(&source)).unwrap();
    assert_eq!(db.replica_catch_up_once(100).unwrap_err().code(), ErrorCode::NeedsReseed);
    db.close().unwrap();
    assert!(segments(&sidecar_of(&replica)).is_empty());
    Database::repair(&replica, RepairOptions::new().cut_at(found.asks_for.unwrap())).unwrap();
    let db = Database::open(&replica, replica_of(&source)).unwrap();
    assert_eq!((db.replica_catch_up_once(100).unwrap(), has(&db, "later")), (1, true));
    db.close().unwrap();
    assert!(dry_run(&replica).is_clean() && check(&replica).is_clean());
}

/// The control file and the end of the log are gone, and a replica has reported what was there: that it is missing is told,
/// and who has it, and it is given up by name only.
#[test]
fn what_a_replica_reported_and_the_log_lacks_is_missed_by_a_repair() {
    let (source, node) = (Machine::new("source", 1, SyncMode::Full), Machine::new("node", 2, SyncMode::Full));
    let (db, mut graph) = (source.primary(), Graph::new(1));
    graph.grow(&db, 20);
    let replica = node.open_replica_of(&source, node.following(&source).replication_name("north")).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    graph.grow(&db, 40);
    while replica.replica_catch_up_once(100).unwrap() > 0 {}
    let lost_control = |source: &Machine| source.disk.remove(&source.sidecar().join("control")).unwrap();
    for (control_too, last) in [(true, 1), (true, 2), (false, 1)] {
        let source = source.restart(Crash::Kill);
        source.segments().iter().rev().take(last).for_each(|path| source.disk.remove(path).unwrap());
        if control_too {
            lost_control(&source);
        }
        let repair = |options: RepairOptions| Database::repair_in(source.env(), source.db(), options);
        let found = repair(RepairOptions::new().dry_run(true)).unwrap();
        let holder = found.found.iter().find(|what| what.contains("north"));
        assert!(holder.is_some_and(|what| what.contains("reported 60 as durable")), "{found:?}");
        let end = found.asks_for.unwrap();
        assert!(end.log_index.0 < 60, "{found:?}");
        let refused = repair(RepairOptions::new()).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Corrupt);
        assert!(refused.to_string().contains("north"), "{refused}");
        let done = repair(RepairOptions::new().cut_at(end)).unwrap();
        assert!(done.done && done.fenced == control_too && done.remains.is_empty(), "{done:?}");
        // It was given up: nobody is told again.
        assert!(repair(RepairOptions::new().dry_run(true)).unwrap().is_clean());
        let db = source.primary();
        db.primary_promote_to_next_epoch().unwrap();
        write(&db).unwrap();
        db.close().unwrap();
        assert!(repair(RepairOptions::new().dry_run(true)).unwrap().is_clean());
    }
    // Where nothing is missing, nothing is said, with a control file or without.
    let source = source.restart(Crash::Kill);
    for lose in [false, true] {
        if lose {
            lost_control(&source);
        }
        let found = Database::repair_in(source.env(), source.db(), RepairOptions::new().dry_run(true)).unwrap();
        assert_eq!((found.found.len(), found.asks_for), (usize::from(lose), None), "{found:?}");
    }
}

/// Somebody puts the control file of another database among the segments of a primary: it is told, and put aside unharmed.
#[test]
fn the_control_file_of_another_database_is_told_and_put_aside() {
    let stage = Stage::new();
    let (path, other) = (stage.leading("p.kitedb"), stage.leading("other.kitedb"));
    let (control, foreign) = (sidecar_of(&path).join("control"), sidecar_of(&other).join("control"));
    fs::copy(&foreign, &control).unwrap();
    let error = open_and_add(&path, primary(), "c").unwrap_err();
    assert!(error.to_string().contains("that of another database"), "{error}");
    assert!(check(&path).damage[0].contains("that of another database"));
    let done = Database::repair(&path, RepairOptions::new()).unwrap();
    assert!(done.done && done.fenced && done.found[0].contains("that of another database"), "{done:?}");
    assert_eq!(fs::read(&done.put_aside[0]).unwrap(), fs::read(&foreign).unwrap());
    let db = Database::open(&path, primary()).unwrap();
    db.primary_promote_to_next_epoch().unwrap();
    add(&db, "c").unwrap();
    assert!(has(&db, "a") && has(&db, "b"));
}

/// A folder with the log of another database is put in the place of a replica's, or its control file among its segments, and a
/// bit of that file is flipped: it does not verify, and still is not the replica's to remove.
#[test]
fn a_damaged_control_file_of_another_database_is_not_removed() {
    for among_its_own in [false, true] {
        let stage = Stage::new();
        let (source, other) = (stage.leading("p.kitedb"), stage.leading("other.kitedb"));
        let path = stage.replica("r.kitedb", &source);
        open_and_add(&source, primary(), "c").unwrap();
        assert_eq!(catch_up(&Database::open(&path, replica_of(&source)).unwrap()), 1);
        let (sidecar, foreign) = (sidecar_of(&path), sidecar_of(&other));
        let mut damaged = fs::read(foreign.join("control")).unwrap();
        damaged[50] ^= 1;
        if !among_its_own {
            fs::remove_dir_all(&sidecar).unwrap();
            copy(&foreign, &sidecar);
        }
        fs::write(sidecar.join("control"), &damaged).unwrap();
        let opened = Database::open(&path, replica_of(&source));
        let kept = if among_its_own { "control.damaged" } else { "control" };
        assert!(fs::read(sidecar.join(kept)).ok() == Some(damaged), "{among_its_own}: {opened:?}");
        match (opened, among_its_own) {
            (Ok(db), true) => db.replica_reseed_from_snapshot().unwrap(),
            (opened, _) => assert_eq!(opened.unwrap_err().code(), ErrorCode::LogMismatch),
        }
    }
}

/// The control file of a primary is that of a copy of it: who leads, another file's log tells.
#[test]
fn a_repair_of_a_copied_primary_says_that_it_is_one() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let copied = stage.folder("far").join("p.kitedb");
    copy_database(&path, &copied);
    let found = dry_run(&copied);
    assert!(found.found.is_empty() && found.remains[0].contains("was copied or restored"), "{found:?}");
    let led = |options| Database::confirm_moved_in(Env::real(), &copied, options);
    // The one that it was copied from leads.
    assert_eq!(led(nothing_said()).unwrap_err().code(), ErrorCode::StalePrimary);
    led(nothing_said().replication_overwrite(true)).unwrap();
    assert!(dry_run(&copied).is_clean());
    assert!(dry_run(&path).is_clean());
}

/// A node of a cluster was closed, and its log is gone, or another one is in its place: it reads, and check tells it.
#[test]
fn the_log_of_a_closed_node_is_missed_by_a_check() {
    for foreign in [false, true] {
        let stage = Stage::new();
        let (path, other) = (stage.leading("p.kitedb"), stage.leading("other.kitedb"));
        let replica = stage.replica("r.kitedb", &path);
        for node in [&path, &replica] {
            assert!(check(node).is_clean());
            fs::remove_dir_all(sidecar_of(node)).unwrap();
            if foreign {
                copy(&sidecar_of(&other), &sidecar_of(node));
            }
            let report = check(node);
            assert_eq!((report.damage.len(), report.error_count), (1, 0), "{report:?}");
            let phrase = if foreign { "belongs to another database" } else { "there" };
            assert!(report.damage[0].contains(phrase), "{report:?}");
            let db = Database::open(node, nothing_said().read_only(true)).unwrap();
            assert!(has(&db, "a") && has(&db, "b") && db.damage().is_none());
        }
        let alone = stage.stand_alone("one.kitedb");
        assert!(check(&alone).is_clean());
    }
}

/// A process was killed, and its log is gone since, as a whole, or all of its segments, or the first ones: the error names
/// the way, which ends with a database that takes commits, with what its file holds.
#[test]
fn a_log_that_is_gone_after_a_kill_is_given_up_by_name() {
    let log_of = |machine: &Machine, role| match role {
        ReplicationRole::Disabled => PathBuf::from("/node.kitedb-wal"),
        _ => machine.sidecar(),
    };
    for role in [ReplicationRole::Primary, ReplicationRole::Disabled] {
        for (how, control_too) in [("first", false), ("all", false), ("all", true)] {
            let what = format!("{role:?}, {how}, control too: {control_too}");
            let machine = Machine::new("node", 1, SyncMode::Full);
            let (db, mut graph) = (machine.open(machine.options(role)).unwrap(), Graph::new(1));
            graph.grow(&db, 10);
            db.checkpoint().unwrap();
            graph.grow(&db, 200);
            let machine = machine.restart(Crash::Kill);
            drop(db);
            let log = log_of(&machine, role);
            let mut there: Vec<PathBuf> = machine.disk.paths();
            there.retain(|path| path.starts_with(&log) && *path != log);
            there.retain(|path| control_too || path.extension().is_some_and(|kind| kind == "klog"));
            there.sort();
            let lost = if how == "first" { there.len() - 1 } else { there.len() };
            there[..lost].iter().for_each(|path| machine.disk.remove(path).unwrap());

            let options = || machine.options(role);
            let error = machine.open(options()).and_then(|db| write(&db)).expect_err(&what);
            assert_eq!(error.code(), ErrorCode::LogMismatch, "{what}: {error:?}");
            assert!(error.to_string().contains("`kitedb repair /node.kitedb --dry-run`"), "{what}: {error}");
            let repair = |options: RepairOptions| Database::repair_in(machine.env(), machine.db(), options);
            let found = repair(RepairOptions::new().dry_run(true)).unwrap();
            let end = found.asks_for.expect(&what);
            assert_eq!(end.log_index.0, 10, "{what}: {found:?}");
            let refused = repair(RepairOptions::new()).expect_err(&what);
            assert!(refused.to_string().contains(&format!("--cut-at {end}")), "{what}: {refused}");
            let done = repair(RepairOptions::new().cut_at(end)).unwrap();
            let kept = if how == "first" { there.len() - lost } else { 0 };
            assert_eq!((done.done, done.last_token, done.put_aside.len()), (true, Some(end), kept), "{what}: {done:?}");
            let leads = role == ReplicationRole::Disabled || !control_too;
            assert_eq!(done.fenced, !leads, "{what}");
            assert!(repair(RepairOptions::new()).unwrap().found.is_empty(), "{what}");

            let db = machine.open(options()).unwrap();
            assert_eq!((db.last_commit_token(), digest(&db)), (Some(end), graph.digests[10]), "{what}");
            if !leads {
                assert_eq!(write(&db).unwrap_err().code(), ErrorCode::StalePrimary, "{what}");
                db.primary_promote_to_next_epoch().unwrap();
            }
            // The number was given out before, and comes again as another one.
            let token = write(&db).unwrap();
            assert_eq!(token.log_index.0, 11, "{what}");
            assert!(token.epoch > end.epoch, "{what}: {token}");
            db.close().unwrap();
            let db = machine.open(options()).unwrap();
            write(&db).unwrap();
            let report = db.check().unwrap();
            let registry_lost = control_too && role == ReplicationRole::Primary;
            assert!(registry_lost || report.is_clean(), "{what}: {report:?}");
            drop(db);
            machine.expect_no_violations();
        }
    }
}

/// What is to be done about the log of a replica is another thing than about that of a primary.
#[test]
fn the_errors_of_a_replica_name_what_mends_a_replica() {
    let (source, node) = (Machine::new("source", 1, SyncMode::Full), Machine::new("node", 2, SyncMode::Full));
    let (db, mut graph) = (source.primary(), Graph::new(1));
    let replica = node.replica_of(&source);
    replica.replica_bootstrap_from_snapshot().unwrap();
    graph.grow(&db, 60);
    while replica.replica_catch_up_once(100).unwrap() > 0 {}
    let losses: [fn(&Machine); 3] = [
        |node| node.disk.remove(&node.segments()[0]).unwrap(),
        |node| node.damage(&node.segments()[1], 2000),
        |node| {
            node.segments().iter().for_each(|path| node.disk.remove(path).unwrap());
            node.disk.list(&node.sidecar()).unwrap().iter().for_each(|name| {
                node.disk.remove(&node.sidecar().join(name)).unwrap();
            });
        },
    ];
    for (nth, lose) in losses.into_iter().enumerate() {
        let node = node.restart(Crash::Kill);
        lose(&node);
        let damage = node.open(node.options(ReplicationRole::Replica).read_only(true)).unwrap().damage().unwrap();
        let told = damage.to_string();
        assert!(told.contains("`kitedb replica reseed /node.kitedb"), "loss {nth}: {told}");
        assert!(!told.contains("--moved") && !told.contains("repair"), "loss {nth}: {told}");
        let db = node.replica_of(&source);
        let error = db.replica_catch_up_once(1).unwrap_err().to_string();
        assert!(!error.contains("--moved"), "loss {nth}: {error}");
        db.replica_reseed_from_snapshot().unwrap();
        graph.expect_all(&db);
        assert!(db.check().unwrap().is_clean(), "loss {nth}");
    }
}
