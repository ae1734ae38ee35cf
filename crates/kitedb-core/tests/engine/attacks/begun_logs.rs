//! A replica whose machine or process ends while it begins its first log: those that follow it are told nothing that is not so.

use super::support_replication::{CRASHES, Graph, Machine, catch_up, replica_status};
use kitedb_core::{ErrorCode, SyncMode, io::sim::Crash};
use std::path::PathBuf;

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
