//! Copies and restored backups: known where the file system tells, found at first contact where it does not.

use super::{
    coming::{confirm_moved, confirm_moved_beside_its_original, detach},
    stage::{
        Stage, add, add_many, contents, copy, copy_database, disabled, expect_its_own, has, nothing_said, open_and_add,
        primary, refused, refused_open, remove_database, rename_database, replica_of, short_log,
    },
    support_process::{copy_as_after_a_crash, log_folder},
    support_replication::{
        Graph, Machine, catch_up, expect_needs_reseed, folder::sidecar_of, primary_status, replica_status, write,
    },
};
use kitedb_core::{
    Database, ErrorCode, ReplicaState, ReplicationRole, SyncMode,
    io::{
        Env,
        sim::{Crash, Loss},
    },
};
use std::{fs, path::Path};

#[test]
fn a_copied_primary_reads_and_does_not_write_before_the_operator_says_so() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let copied = stage.path("copied.kitedb");
    copy_database(&path, &copied);
    for options in [primary(), nothing_said()] {
        assert_eq!(refused(&copied, options.clone()), "FILES_MOVED");
        let db = Database::open(&copied, options).unwrap();
        expect_its_own(&db);
        db.close().unwrap();
    }
    // The original has noticed nothing.
    assert_eq!(open_and_add(&path, primary(), "c").unwrap().to_string(), "1:3");
    confirm_moved_beside_its_original(&copied);
    assert_eq!(open_and_add(&copied, primary(), "d").unwrap().to_string(), "2:3");
    // A replica that goes from one to the other is on another history.
    let replica = stage.replica("r.kitedb", &path);
    let db = Database::open(&replica, replica_of(&copied)).unwrap();
    assert_eq!(db.replica_catch_up_once(10).unwrap_err().code().as_str(), "NEEDS_RESEED");
}

/// A database is copied while it is written to: the log's end is older in the copy than its control file.
#[test]
fn a_copy_that_was_taken_in_use_says_what_it_lacks_and_is_written_to_only_if_told() {
    let stage = Stage::new();
    let live = Database::open(stage.path("live.kitedb"), short_log(disabled())).unwrap();
    add_many(&live, "early", 20);
    let copied = stage.folder("copied").join("live.kitedb");
    copy_as_after_a_crash(live.path(), &copied);
    add_many(&live, "late", 20);
    copy(&log_folder(live.path()).join("control"), &log_folder(&copied).join("control"));

    let reader = Database::open(&copied, disabled().read_only(true)).unwrap();
    assert!(has(&reader, "early 19") && !has(&reader, "late 0"));
    let damage = reader.damage().unwrap();
    assert_eq!(damage.code().as_str(), "FILES_MOVED");
    for phrase in ["ends at log index 20", "had 40", "accept_copy"] {
        assert!(damage.to_string().contains(phrase), "{damage}");
    }
    assert_eq!(refused_open(&copied, disabled().read_only(true).require_complete(true)).code(), damage.code());
    assert_eq!(refused(&copied, disabled()), "FILES_MOVED");
    let db = Database::open(&copied, disabled().accept_copy(true)).unwrap();
    add(&db, "own").unwrap();
    // Said once: it is a database of its own from then on, also after a crash.
    let again = stage.folder("again").join("live.kitedb");
    copy_as_after_a_crash(&copied, &again);
    for db in [Database::open(&again, disabled()).unwrap(), db] {
        assert!(db.damage().is_none() && has(&db, "own") && !has(&db, "late 0"));
        assert!(db.check().unwrap().is_clean());
    }
    assert!(live.check().unwrap().is_clean());
}

#[test]
fn nobody_promotes_through_a_copied_primary() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let replica = stage.replica("r.kitedb", &path);
    let copied = stage.path("copied.kitedb");
    copy_database(&path, &copied);
    let before = contents(&sidecar_of(&copied));
    let db = Database::open(&replica, replica_of(&copied)).unwrap();
    let error = db.replica_promote(false).unwrap_err();
    assert_eq!(error.code().as_str(), "FILES_MOVED", "{error:?}");
    let copy = Database::open(&copied, primary()).unwrap();
    assert_eq!(copy.primary_promote_to_next_epoch().unwrap_err().code().as_str(), "FILES_MOVED");
    copy.close().unwrap();
    assert!(contents(&sidecar_of(&copied)) == before);
    assert_eq!(open_and_add(&path, primary(), "c").unwrap().to_string(), "1:3");
}

/// The backup of a primary is put back in its place: its old commits can be read, and it does not lead by itself.
#[test]
fn a_restored_primary_reads_and_does_not_write_before_the_operator_says_so() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let saved = stage.folder("saved").join("p.kitedb");
    copy_database(&path, &saved);
    open_and_add(&path, primary(), "c").unwrap();
    remove_database(&path);
    copy_database(&saved, &path);
    assert_eq!(refused(&path, primary()), "FILES_MOVED");
    confirm_moved(&path).unwrap();
    assert_eq!(open_and_add(&path, primary(), "d").unwrap().to_string(), "2:3");
}

/// A rename and a move within the file system are no copies.
#[test]
fn a_moved_primary_is_no_copy() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let moved = stage.folder("moved").join("q.kitedb");
    rename_database(&path, &moved);
    assert_eq!(open_and_add(&moved, primary(), "c").unwrap().to_string(), "1:3");
    assert_eq!(primary_status(&Database::open(&moved, primary()).unwrap()).epoch, 1);
}

fn a_replica_ahead_of_a_restored_primary(while_open: bool) {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let saved = stage.folder("saved").join("p.kitedb");
    copy_database(&path, &saved);
    open_and_add(&path, primary(), "c").unwrap();
    let replica = stage.replica("r.kitedb", &path);
    remove_database(&path);
    copy_database(&saved, &path);
    let restored = while_open.then(|| Database::open(&path, primary()).unwrap());
    let db = Database::open(&replica, replica_of(&path)).unwrap();
    let error = db.replica_catch_up_once(10).expect_err("ahead of its source");
    assert_eq!(error.code().as_str(), "NEEDS_RESEED", "{error:?}");
    expect_needs_reseed(&db);
    assert!(has(&db, "c"), "what only the replica has stays until it is reseeded");
    drop(restored);
    // The promotion that would lose nothing is not refused for ever: the replica has more, and can take over by force.
    db.replica_promote(true).unwrap();
    assert!(has(&db, "c"));
}

#[test]
fn a_replica_ahead_of_a_restored_primary_is_found_while_it_is_open() {
    a_replica_ahead_of_a_restored_primary(true);
}

#[test]
fn a_replica_ahead_of_a_restored_primary_is_found_while_nobody_has_it_open() {
    a_replica_ahead_of_a_restored_primary(false);
}

/// Only the file of a primary is put back: what its log holds beyond it is not lost in silence.
#[test]
fn a_primary_whose_file_alone_was_put_back_loses_nothing_in_silence() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let saved = fs::read(&path).unwrap();
    open_and_add(&path, primary(), "c").unwrap();
    fs::write(&path, saved).unwrap();
    match Database::open(&path, primary()) {
        Ok(db) if has(&db, "c") => expect_its_own(&db),
        Ok(db) => drop(add(&db, "d").expect_err("a commit under a number that was given out")),
        Err(e) => assert!(["LOG_MISMATCH", "CORRUPT", "FILES_MOVED"].contains(&e.code().as_str()), "{e:?}"),
    }
}

/// The file of a replica is put back, and its log is newer and begins later: no state says "stalled" for ever.
#[test]
fn a_replica_whose_own_file_was_put_back_is_found() {
    for pruned in [false, true] {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let replica = stage.replica("r.kitedb", &source);
        let saved = fs::read(&replica).unwrap();
        let options = || short_log(replica_of(&source));
        for n in 0..6 {
            open_and_add(&source, primary(), &format!("more {n}")).unwrap();
            let db = Database::open(&replica, options()).unwrap();
            catch_up(&db);
            if pruned {
                db.checkpoint().unwrap();
            }
            db.close().unwrap();
        }
        fs::write(&replica, saved).unwrap();
        let db = Database::open(&replica, options()).unwrap();
        let _ = db.replica_catch_up_once(100);
        let status = replica_status(&db);
        match status.state {
            ReplicaState::Following => {
                assert!(has(&db, "more 5") && !status.needs_reseed, "pruned: {pruned}, {status:?}");
            }
            state => {
                assert_eq!(state, ReplicaState::NeedsReseed, "pruned: {pruned}, {status:?}");
                db.replica_reseed_from_snapshot().unwrap();
                assert!(has(&db, "more 5"));
            }
        }
        expect_its_own(&db);
    }
}

/// A copy for analysis: independent of what it was copied from, whatever that was.
#[test]
fn a_detached_database_is_one_of_its_own() {
    let stage = Stage::new();
    let (old, new) = stage.fenced("old.kitedb", "new.kitedb");
    let source = stage.leading("p.kitedb");
    let replica = stage.replica("r.kitedb", &source);
    let copied = stage.path("copied.kitedb");
    copy_database(&source, &copied);
    for path in [old, replica, copied] {
        detach(&path).unwrap();
        let db = Database::open(&path, nothing_said()).unwrap();
        assert_eq!(db.replication_role(), ReplicationRole::Disabled);
        expect_its_own(&db);
        add(&db, "own").unwrap();
        db.close().unwrap();
        open_and_add(&path, disabled(), "more").unwrap();
        assert!(!sidecar_of(&path).exists(), "a detached database keeps no log beside it");
        // It can lead anew, and nobody takes it for what it was copied from.
        open_and_add(&path, primary(), "led").unwrap();
        let other = stage.replica(&format!("of {}", path.file_name().unwrap().display()), &source);
        let db = Database::open(&other, replica_of(&path)).unwrap();
        assert_eq!(db.replica_catch_up_once(10).unwrap_err().code().as_str(), "NEEDS_RESEED");
    }
    // Those that it was copied from go on.
    assert_eq!(open_and_add(&source, primary(), "c").unwrap().to_string(), "1:3");
    assert_eq!(open_and_add(&new, primary(), "c").unwrap().to_string(), "2:4");
}

/// What the copy commits first follows on exactly where the replica is.
#[test]
fn a_replica_does_not_follow_a_detached_copy_of_its_primary() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let replica = stage.replica("r.kitedb", &source);
    let copied = stage.path("copied.kitedb");
    copy_database(&source, &copied);
    detach(&copied).unwrap();
    open_and_add(&copied, primary(), "analysis").unwrap();
    let db = Database::open(&replica, replica_of(&copied)).unwrap();
    let error = db.replica_catch_up_once(10).unwrap_err();
    assert_eq!(error.code().as_str(), "NEEDS_RESEED", "{error:?}");
    assert!(error.to_string().contains("another history"), "{error}");
    db.close().unwrap();
    let db = Database::open(&replica, replica_of(&source)).unwrap();
    assert_eq!(db.replica_catch_up_once(10).unwrap(), 0);
}

#[test]
fn a_file_with_two_hard_links_is_detached_only_if_told() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let other = stage.path("other.kitedb");
    fs::hard_link(&source, &other).unwrap();
    assert_eq!(detach(&other).unwrap_err().code().as_str(), "HARD_LINKED");
    fs::remove_file(&other).unwrap();
    assert_eq!(open_and_add(&source, nothing_said(), "c").unwrap().to_string(), "1:3");
}

/// Its log lies on a disk that is not mounted.
#[test]
fn a_database_is_not_detached_from_commits_that_only_its_log_has() {
    let stage = Stage::new();
    let (file, away) = (stage.leading("p.kitedb"), stage.path("away"));
    let (crashed, log) = (stage.path("crashed.kitedb"), sidecar_of(&file));
    let db = Database::open(&file, primary()).unwrap();
    add(&db, "acknowledged").unwrap();
    fs::copy(&file, &crashed).unwrap();
    copy(&log, &away);
    drop(db);
    let error = detach(&crashed).unwrap_err();
    assert_eq!(error.code().as_str(), "LOG_MISMATCH", "{error:?}");
    assert!(error.to_string().contains("detach --overwrite"), "{error}");
    let given_up = nothing_said().replication_overwrite(true);
    // With its log it goes on, and without it where that was asked for.
    fs::rename(&away, sidecar_of(&crashed)).unwrap();
    detach(&crashed).unwrap();
    assert!(has(&Database::open(&crashed, nothing_said()).unwrap(), "acknowledged"));
    let other = stage.path("other.kitedb");
    let db = Database::open(&file, primary()).unwrap();
    add(&db, "given up").unwrap();
    fs::copy(&file, &other).unwrap();
    drop(db);
    let detached = Database::detach_in(Env::real(), &other, given_up).unwrap();
    assert!(detached.missing.is_some(), "{detached:?}");
    assert!(!has(&Database::open(&other, nothing_said()).unwrap(), "given up"));
}

/// Whoever looks at a copy is told, by the status, the metrics and the health, beside whatever has it open.
#[test]
fn a_copied_primary_does_not_look_healthy() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let copied = stage.path("copied.kitedb");
    copy_database(&path, &copied);
    for options in [primary(), nothing_said(), nothing_said().read_only(true)] {
        let db = Database::open(&copied, options).unwrap();
        let status = primary_status(&db);
        let what = status.copied.clone().expect("a copy");
        assert!(what.contains("copied.kitedb primary --moved") && what.contains("copied.kitedb detach"), "{what}");
        assert_eq!(status.fault(), Some(what));
        let metrics = db.collect_metrics().unwrap().replication;
        assert_eq!((metrics.fault, metrics.primary.unwrap().copied), (status.fault(), true));
        assert!(!db.health_check().unwrap().check("replication").unwrap().passed);
    }
    let original = Database::open(&path, primary()).unwrap();
    assert_eq!((primary_status(&original).fault(), original.health_check().unwrap().healthy), (None, true));
    confirm_moved_beside_its_original(&copied);
    let db = Database::open(&copied, nothing_said()).unwrap();
    assert_eq!((primary_status(&db).fault(), db.health_check().unwrap().healthy), (None, true));
}

/// Only the file of a primary, or of a replica, was copied: where its log is to be seen that it is a copy is said, and
/// where not, that the log is not there.
#[test]
fn a_file_without_its_log_does_not_look_healthy() {
    let stage = Stage::new();
    let path = stage.leading("p.kitedb");
    let replica = stage.replica("r.kitedb", &path);
    let (beside, far) = (stage.path("beside.kitedb"), stage.folder("far").join("p.kitedb"));
    let far_replica = stage.path("far/r.kitedb");
    fs::copy(&path, &beside).unwrap();
    fs::copy(&path, &far).unwrap();
    fs::copy(&replica, &far_replica).unwrap();
    for (file, is_copy, role, phrase) in [
        (&beside, true, "primary", "it is a copy of another file"),
        (&far, false, "primary", "far/p.kitedb.replication, and it is not there"),
        (&far_replica, false, "replica", "far/r.kitedb.replication, and is not there"),
    ] {
        let db = Database::open(file, nothing_said().read_only(true)).unwrap();
        assert!(has(&db, "a") && has(&db, "b"));
        // A copy of a file alone is whole; a log that should be there is missed.
        let report = db.check().unwrap();
        assert_eq!((report.is_clean(), report.error_count), (is_copy, 0), "{report:?}");
        assert!(is_copy || report.damage[0].contains(phrase), "{report:?}");
        assert_eq!(db.is_copied(), is_copy, "{}", file.display());
        let metrics = db.collect_metrics().unwrap().replication;
        let what = metrics.fault.unwrap();
        assert_eq!((metrics.enabled, &*metrics.role), (true, role), "{what}");
        assert!(what.contains(phrase), "{what}");
        let health = db.health_check().unwrap();
        assert_eq!(health.check("replication").unwrap().message, what);
        assert!(!health.healthy);
    }
}

/// On overlay and FUSE file systems stamps tell no copy from its original. A file is copied alone, beside it: its log is the
/// original's, which is there.
#[test]
fn a_copy_beside_its_original_takes_no_log_from_it_where_stamps_tell_nothing() {
    for role in [ReplicationRole::Disabled, ReplicationRole::Primary] {
        let machine = Machine::new("original", 1, SyncMode::Full);
        machine.disk.set_stable_stamps(false);
        let options = || machine.options(role);
        let db = machine.open(options()).unwrap();
        let mut graph = Graph::new(1);
        graph.grow(&db, 2);
        let copied = "/copy.kitedb";
        machine.disk.write(copied, &machine.disk.read(machine.db()).unwrap()).unwrap();
        // What replicates opens for reading.
        let opened = Database::open_in(machine.env(), copied, options());
        let error = opened.and_then(|db| db.transaction(|tx| tx.create_node(None))).unwrap_err();
        assert!(matches!(error.code(), ErrorCode::LogMismatch | ErrorCode::FilesMoved), "{error:?}");
        graph.grow(&db, 2);
        db.close().unwrap();
        let db = machine.open(options()).unwrap();
        graph.expect_all(&db);
        assert!(db.check().unwrap().is_clean());
    }
}

/// A copy-up of an overlay, or a remount of FUSE, gives each file another inode: that is told where it proves a copy only.
#[test]
fn where_stamps_tell_nothing_a_primary_whose_files_have_other_inodes_goes_on() {
    for stable in [true, false] {
        let machine = Machine::new("a", 1, SyncMode::Full);
        machine.disk.set_stable_stamps(stable);
        let (db, mut graph) = (machine.primary(), Graph::new(1));
        graph.grow(&db, 3);
        db.close().unwrap();
        let control = machine.sidecar().join("control");
        for path in machine.segments().into_iter().chain([machine.db(), control]) {
            let bytes = machine.disk.read(&path).unwrap();
            kitedb_core::io::Disk::remove(&machine.disk, &path).unwrap();
            machine.disk.write(&path, &bytes).unwrap();
        }
        if stable {
            machine.expect_moved();
            continue;
        }
        let db = machine.primary();
        graph.grow(&db, 3);
        graph.expect_all(&db);
        assert!(db.check().unwrap().is_clean());
    }
}

/// Whatever a kill left of it: the same call once more ends it, a look says so until then, and its source keeps nothing.
#[test]
fn a_detach_that_is_cut_short_is_ended_by_the_next_one() {
    for crash in [Crash::Kill, Crash::PowerLoss(Loss::LoseAllUnsynced)] {
        let mut told = 0;
        for op in 1.. {
            let machine = Machine::new("replica", 1, SyncMode::Full);
            let source = Machine { name: "source", ..machine.clone() };
            let db = source.primary();
            write(&db).unwrap();
            let replica = machine.open(machine.following(&source)).unwrap();
            replica.replica_bootstrap_from_snapshot().unwrap();
            write(&db).unwrap();
            replica.replica_catch_up_once(10).unwrap();
            replica.close().unwrap();
            db.close().unwrap();

            machine.disk.crash_at(machine.disk.ops() + op);
            let detached = Database::detach_in(machine.env(), machine.db(), nothing_said());
            let machine = machine.restart(crash);
            let source = Machine { name: "source", ..machine.clone() };
            let db = machine.open(nothing_said().read_only(true)).unwrap();
            let (role, fault) = (db.replication_role(), db.replication_log_fault());
            drop(db);
            let left = machine.disk.paths().iter().any(|path| path.starts_with(machine.sidecar()));
            if role == ReplicationRole::Disabled && left {
                let fault = fault.unwrap_or_else(|| panic!("{crash:?}, operation {op}: nothing is told"));
                assert!(fault.contains("cut short") && fault.contains("detach"), "{fault}");
                told += 1;
            }
            Database::detach_in(machine.env(), machine.db(), nothing_said()).unwrap();
            let left: Vec<_> =
                machine.disk.paths().into_iter().filter(|path| path.starts_with(machine.sidecar())).collect();
            assert_eq!(left, <[&Path; 0]>::default(), "{crash:?}, operation {op}");
            let db = machine.open(nothing_said()).unwrap();
            assert_eq!((db.replication_role(), db.replication_log_fault()), (ReplicationRole::Disabled, None));
            assert_eq!(db.last_commit_token().unwrap().log_index.0, 2);
            write(&db).unwrap();
            drop(db);
            let status = primary_status(&source.primary());
            assert!(status.replica_lags.is_empty(), "{crash:?}, operation {op}: {status:?}");
            if detached.is_ok() {
                break;
            }
        }
        assert!(told > 0, "{crash:?}");
    }
}

/// Whoever writes to it next ends it: its first commit takes the place of what the header says of it. Where the source cannot be
/// told, it is not opened for writing, and a detach says what is registered still.
#[test]
fn a_detach_that_is_cut_short_is_ended_by_whoever_writes_to_the_file_next() {
    let mut ended = 0;
    for op in 1.. {
        let machine = Machine::new("replica", 1, SyncMode::Full);
        let source = Machine { name: "source", ..machine.clone() };
        let db = source.primary();
        write(&db).unwrap();
        let replica = machine.open(machine.following(&source)).unwrap();
        replica.replica_bootstrap_from_snapshot().unwrap();
        replica.close().unwrap();
        db.close().unwrap();

        machine.disk.crash_at(machine.disk.ops() + op);
        let detached = Database::detach_in(machine.env(), machine.db(), nothing_said());
        let machine = machine.restart(Crash::Kill);
        let source = Machine { name: "source", ..machine.clone() };
        let look = machine.open(nothing_said().read_only(true)).unwrap();
        let cut_short = look.replication_log_fault().is_some_and(|fault| fault.contains("cut short"));
        drop(look);
        if cut_short {
            let registered = !primary_status(&source.primary()).replica_lags.is_empty();
            let away = Path::new("/away");
            kitedb_core::io::Disk::rename(&machine.disk, &source.sidecar(), away).unwrap();
            let refused = machine.open(nothing_said()).map(drop);
            // Its log may be gone, and with it what it knew of its source.
            if registered {
                let refused = refused.unwrap_err().to_string();
                assert!(refused.contains("cannot be told") && refused.contains("detach"), "operation {op}: {refused}");
            }
            kitedb_core::io::Disk::rename(&machine.disk, away, &source.sidecar()).unwrap();

            let db = machine.open(nothing_said()).unwrap();
            assert_eq!(db.replication_role(), ReplicationRole::Disabled);
            write(&db).unwrap();
            db.close().unwrap();
            let left: Vec<_> =
                machine.disk.paths().into_iter().filter(|path| path.starts_with(machine.sidecar())).collect();
            assert_eq!(left, <[&Path; 0]>::default(), "operation {op}");
            let status = primary_status(&source.primary());
            assert!(status.replica_lags.is_empty(), "operation {op}: {status:?}");
            ended += 1;
        }
        if detached.is_ok() {
            break;
        }
    }
    assert!(ended > 0);
}
