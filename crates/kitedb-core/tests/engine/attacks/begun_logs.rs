//! A replica whose machine or process ends while it begins its first log: those that follow it are told nothing that is not so.

use super::support_replication::{CRASHES, Graph, Machine, catch_up, replica_status};
use kitedb_core::{
    ErrorCode, SyncMode,
    io::sim::{Crash, FaultOn, FaultPlan, Loss},
};
use std::{io, path::PathBuf};

/// A primary, a replica that was just copied from it, and one that was copied from that; the one in the middle pulls its first
/// frames, and is ended at an operation of that. Returns whether it was.
fn ended_at(op: u64, crash: Crash) -> bool {
    let seed = 7;
    let primary = Machine::new("primary", seed, SyncMode::Full);
    let middle = Machine::new("middle", seed + 1, SyncMode::Full);
    let last = Machine::new("last", seed + 2, SyncMode::Full);
    let (source, mut graph) = (primary.primary(), Graph::new(seed));
    graph.grow(&source, 3);
    // So that a copy has all of it, and no log yet.
    source.checkpoint().unwrap();
    for (replica, of) in [(&middle, &primary), (&last, &middle)] {
        let db = replica.replica_of(of);
        db.replica_bootstrap_from_snapshot().unwrap();
        db.close().unwrap();
    }
    graph.grow(&source, 2);
    let db = middle.replica_of(&primary);
    assert_eq!(middle.segments(), Vec::<PathBuf>::new());
    middle.disk.crash_at(middle.disk.ops() + op);
    let pulled = db.replica_catch_up_once(100);
    if !middle.disk.crashed() {
        assert_eq!(pulled.unwrap(), 2);
        return false;
    }
    drop(db);
    let middle = middle.restart(crash);
    let below = last.replica_of(&middle);
    let error = below.replica_catch_up_once(100).err().map(|e| e.to_string());
    let status = replica_status(&below);
    let told = format!("{error:?} {:?} {:?}", status.fault(), status.last_error);
    assert!(!told.contains("gave its graph up"), "operation {op}, {crash:?}: {told}");
    if crash == Crash::Kill {
        assert_eq!(error, None, "operation {op}");
    }
    assert!(!status.needs_reseed, "operation {op}, {crash:?}: {status:?}");
    // Once it goes on, so do they.
    let db = middle.replica_of(&primary);
    catch_up(&db);
    catch_up(&below);
    graph.expect_all(&below);
    true
}

#[test]
fn who_follows_a_replica_that_ended_as_it_began_its_first_log_is_not_told_of_a_copy() {
    for crash in CRASHES {
        let mut op = 1;
        while ended_at(op, crash) {
            op += 1;
        }
        assert!(op > 5, "a first pull has only {op} operations");
    }
}

/// An empty replica that another one is registered with is closed, which takes its log away again, and ends at an operation of
/// that. Returns whether it did.
fn closed_at(op: u64, crash: Crash) -> bool {
    let seed = 7;
    let primary = Machine::new("primary", seed, SyncMode::Full);
    let first = Machine::new("first", seed + 1, SyncMode::Full);
    let empty = Machine::new("empty", seed + 2, SyncMode::Full);
    let below = Machine::new("below", seed + 3, SyncMode::Full);
    let (source, mut graph) = (primary.primary(), Graph::new(seed));
    let above = first.replica_of(&primary);
    let (db, last) = (empty.replica_of(&first), below.replica_of(&empty));
    // What its file was made for fails: it goes again.
    assert_eq!(db.replica_bootstrap_from_snapshot().unwrap_err().code(), ErrorCode::SourceUnavailable);
    assert_eq!(last.replica_catch_up_once(10).unwrap_err().code(), ErrorCode::SourceUnavailable);
    assert_eq!(db.replica_replication_status().unwrap().unwrap().replica_lags.len(), 1);
    empty.disk.crash_at(empty.disk.ops() + op);
    let _ = db.close();
    if !empty.disk.crashed() {
        return false;
    }
    drop((db, last));
    let empty = empty.restart(crash);
    let (db, last) = (empty.replica_of(&first), below.replica_of(&empty));
    let report = db.check().unwrap();
    assert!(report.is_clean(), "operation {op}, {crash:?}: {report:#?}");
    graph.grow(&source, 2);
    for db in [&above, &db, &last] {
        catch_up(db);
    }
    graph.expect_all(&last);
    true
}

#[test]
fn an_empty_replica_that_ended_as_it_gave_its_log_up_has_lost_no_registry() {
    for crash in CRASHES {
        let mut op = 1;
        while closed_at(op, crash) {
            op += 1;
        }
        assert!(op > 5, "a close has only {op} operations");
    }
}

/// A forced promotion of a replica of an empty primary ends at an operation of it. A bit of the header of the segment that it left,
/// if it left one, is flipped, the replica is copied anew, and loses its power. Returns whether there was such a segment, and `None`
/// where the promotion came to its end.
fn left_by_a_promotion(op: u64) -> Option<bool> {
    let primary = Machine::new("primary", 7, SyncMode::Full);
    let empty = Machine::new("empty", 8, SyncMode::Full);
    let (source, mut graph) = (primary.primary(), Graph::new(7));
    let db = empty.replica_of(&primary);
    db.replica_bootstrap_from_snapshot().unwrap();
    empty.disk.crash_at(empty.disk.ops() + op);
    let _ = db.replica_promote(true);
    if !empty.disk.crashed() {
        return None;
    }
    drop(db);
    let empty = empty.restart(Crash::PowerLoss(Loss::KeepAll));
    let mut left = empty.segments();
    left.retain(|segment| empty.disk.read(segment).unwrap().iter().any(|byte| *byte != 0));
    left.iter().for_each(|segment| empty.damage(segment, 64));
    let Ok(db) = empty.try_replica_of(&primary) else { return Some(false) };
    db.replica_bootstrap_from_snapshot().unwrap();
    drop(db);
    let empty = empty.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
    let db = empty.replica_of(&primary);
    let report = db.check().unwrap();
    assert!(report.is_clean(), "operation {op}: {report:#?}");
    db.replica_promote(false).unwrap();
    drop(source);
    graph.grow(&db, 3);
    db.close().unwrap();
    graph.expect_all(&empty.primary());
    Some(left.iter().any(|segment| empty.disk.read(segment).is_ok()))
}

#[test]
fn what_a_promotion_left_and_a_reseed_removed_does_not_come_back_as_the_log() {
    let mut op = 1;
    let mut left = 0;
    while let Some(segment) = left_by_a_promotion(op) {
        left += u64::from(segment);
        op += 1;
    }
    assert!(left > 0, "no promotion of {op} operations left a segment");
}

/// A replica takes its source's graph anew, which is that of an earlier checkpoint, and its disk fails the `nth` operation of that and
/// all after it. Returns whether it was no source then, as its log's control file did not know what its file held.
fn fails_at(nth: u64) -> Option<bool> {
    let primary = Machine::new("primary", 7, SyncMode::Full);
    let middle = Machine::copying("middle", 8, SyncMode::Full);
    let last = Machine::new("last", 9, SyncMode::Full);
    let (source, mut graph) = (primary.primary(), Graph::new(7));
    let (db, below) = (middle.replica_of(&primary), last.replica_of(&middle));
    catch_up(&db);
    graph.grow(&source, 3);
    for replica in [&db, &below] {
        catch_up(replica);
    }
    db.close().unwrap();
    // Nobody makes a new checkpoint of the source: its last one, of before all commits, is copied.
    primary.disk.kill();
    drop(source);
    let primary = primary.restart(Crash::Kill);
    let db = middle.replica_of(&primary);
    middle.disk.fail(FaultPlan::new(FaultOn::Any, nth, io::ErrorKind::Other).forever());
    let copied = db.replica_bootstrap_from_snapshot();
    middle.disk.clear_faults();
    copied.err()?;
    // Nothing is missing for good: it is told to come again, by a copy, by a pull, and by a status.
    let copied = below.replica_bootstrap_from_snapshot().err();
    // Where it is whole, and has not caught up, the other one has commits that it lacks.
    let whole = copied.as_ref().is_some_and(|e| e.code() == ErrorCode::WouldOverwrite);
    let told = [copied.clone().filter(|_| !whole), below.replica_catch_up_once(9).err()];
    for e in told.into_iter().flatten() {
        assert_eq!(e.code(), ErrorCode::SourceUnavailable, "operation {nth}: {e}");
    }
    let status = replica_status(&below);
    assert!(!status.needs_reseed, "operation {nth}: {status:?}");
    let untold = |told: &str| told.contains("does not say so yet");
    let refused = copied.is_some_and(|e| untold(&e.to_string()));
    if refused {
        assert!(status.fault().is_some_and(|fault| untold(&fault)), "operation {nth}: {status:?}");
    }
    let db = if db.replica_catch_up_once(9).is_ok() {
        db
    } else {
        drop(db);
        middle.replica_of(&primary)
    };
    catch_up(&db);
    below.replica_bootstrap_from_snapshot().unwrap();
    catch_up(&below);
    for replica in [&db, &below] {
        graph.expect_all(replica);
    }
    Some(refused)
}

#[test]
fn a_replica_whose_copy_failed_half_way_is_no_source_until_its_files_tell_what_it_holds() {
    let mut nth = 1;
    let mut refused = 0;
    while let Some(is) = fails_at(nth) {
        refused += u64::from(is);
        nth += 1;
    }
    assert!(refused > 0, "no copy of {nth} operations failed with its graph in place");
}

/// A replica that holds nothing fails to pull, with the `first` sync of its disk, and again with the `second` operation. Returns whether
/// both did.
fn fails_twice(first: u64, second: u64) -> (bool, bool) {
    let primary = Machine::new("primary", 7, SyncMode::Full);
    let empty = Machine::new("empty", 8, SyncMode::Full);
    let (source, mut graph) = (primary.primary(), Graph::new(7));
    let db = empty.replica_of(&primary);
    db.replica_bootstrap_from_snapshot().unwrap();
    graph.grow(&source, 2);
    let failed = [(FaultOn::Sync, first), (FaultOn::Any, second)].map(|(on, nth)| {
        empty.disk.fail(FaultPlan::new(on, nth, io::ErrorKind::Other));
        let failed = db.replica_catch_up_once(100).is_err();
        empty.disk.clear_faults();
        failed
    });
    let status = replica_status(&db);
    assert_eq!(status.log_fault, None, "sync {first} and operation {second}");
    // What a failed sync may have lost only a new open tells.
    let db = if db.replica_catch_up_once(100).is_ok() {
        db
    } else {
        drop(db);
        let empty = empty.restart(Crash::Kill);
        let db = empty.replica_of(&primary);
        catch_up(&db);
        db
    };
    graph.expect_all(&db);
    let report = db.check().unwrap();
    assert!(report.is_clean(), "sync {first} and operation {second}: {report:#?}");
    db.replica_promote(false).unwrap();
    (failed[0], failed[1])
}

#[test]
fn segments_of_a_log_that_was_never_made_whole_are_not_missed() {
    let (mut first, mut both) = (1, 0);
    loop {
        let (mut second, mut failed) = (1, (true, true));
        while failed.0 && failed.1 {
            failed = fails_twice(first, second);
            both += u64::from(failed == (true, true));
            second += 1;
        }
        if !failed.0 {
            break;
        }
        first += 1;
    }
    assert!(both > 50, "two pulls failed {both} times");
}
