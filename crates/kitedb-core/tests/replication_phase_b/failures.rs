//! Appends that fail: the commit's error says so, nothing else has happened, and the next commit takes its place.

use crate::{
    commit,
    support_process::{assert_clean, code},
    support_replication::{Graph, MODES, Machine, catch_up, expect_error, primary_status},
    token,
};
use kitedb_core::{
    ErrorCode, ErrorKind, GraphRead, ReplicationRole, SyncMode,
    io::sim::{Crash, FaultOn, FaultPlan, Loss},
};
use std::io;

#[test]
fn an_append_that_is_made_to_fail_leaves_everything_as_it_was() {
    for mode in MODES {
        for allowed in [0, 1, 5] {
            let machine = Machine::new("primary", 1, mode);
            let options = machine.options(ReplicationRole::Primary);
            let db = machine.open(options.replication_fail_after_append_for_testing(allowed)).unwrap();
            let mut graph = Graph::new(allowed);
            for index in 1..=allowed {
                assert_eq!(graph.commit(&db), token(1, index));
            }
            let before = graph.clone();
            for failure in 1..=3 {
                let error = expect_error(graph.try_commit(&db), ErrorCode::Io, "replication append");
                assert_eq!(error.kind(), ErrorKind::RetryLater);
                graph = before.clone();
                let status = primary_status(&db);
                assert_eq!((status.head_log_index, status.append_failures), (allowed, failure));
                assert_eq!((status.append_attempts, status.append_successes), (allowed + failure, allowed));
                assert_eq!(status.last_token, (allowed > 0).then(|| token(1, allowed)));
                graph.expect_all(&db);
            }
            db.close().unwrap();
            let db = machine.primary();
            graph.expect_all(&db);
            assert_eq!(graph.commit(&db), token(1, allowed + 1));
        }
    }
}

#[test]
fn the_order_to_fail_is_for_primaries() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let (primary, mut graph) = (a.primary(), Graph::new(1));
    graph.grow(&primary, 3);
    let replica = b.open_replica_of(&a, b.following(&a).replication_fail_after_append_for_testing(0)).unwrap();
    assert_eq!(catch_up(&replica), 3);
    let alone = Machine::new("alone", 3, SyncMode::Full);
    let options = alone.options(ReplicationRole::Disabled).replication_fail_after_append_for_testing(0);
    commit(&alone.open(options).unwrap()).unwrap();
}

/// The write fails, perhaps half done, and so may what undoes it. Whatever was acknowledged stays, and nothing else
/// comes back, to readers, to replicas and after a crash.
#[test]
fn a_write_that_fails_takes_no_index_and_never_comes_back() {
    for mode in MODES {
        for nth in 1..40 {
            let (a, b) = (Machine::new("primary", nth, mode), Machine::new("replica", 99, mode));
            let (db, mut graph) = (a.primary(), Graph::new(nth));
            let replica = b.replica_of(&a);
            a.disk.fail(FaultPlan::new(FaultOn::Write, nth, io::ErrorKind::StorageFull).on_path("segment"));
            let mut failures = 0;
            for _ in 0..30 {
                let before = graph.clone();
                match graph.try_commit(&db) {
                    Ok(_) => {}
                    Err(e) => {
                        assert_eq!(e.code(), ErrorCode::DiskFull, "{e:?}");
                        failures += 1;
                        graph = before;
                        assert_eq!(graph.expect(&db), graph.head());
                    }
                }
            }
            let status = primary_status(&db);
            assert_eq!((status.append_failures, status.head_log_index), (failures, 30 - failures));
            catch_up(&replica);
            graph.expect_all(&replica);
            for crash in [Crash::Kill, Crash::PowerLoss(Loss::Random)] {
                let after = a.restart(crash);
                let db = after.primary();
                let shown = graph.expect(&db);
                assert!(shown == graph.head() || (crash != Crash::Kill && mode != SyncMode::Full));
                assert_clean(&db);
            }
        }
    }
}

/// A disk that is full for a while.
#[test]
fn a_primary_goes_on_once_there_is_room_again() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(1));
    graph.grow(&db, 10);
    machine.disk.set_capacity(Some(machine.disk.used()));
    let before = graph.clone();
    let failed = (0..50).find_map(|_| graph.try_commit(&db).err());
    assert_eq!(failed.expect("the disk is full").code(), ErrorCode::DiskFull);
    graph.cut(primary_status(&db).head_log_index);
    assert!(graph.head() >= before.head());
    graph.expect_all(&db);
    machine.disk.set_capacity(None);
    graph.grow(&db, 10);
    graph.expect_all(&db);
    assert!(primary_status(&db).append_failures > 0);
}

/// What a frame would have taken that found no room is nothing that the next ones must write over.
#[test]
fn a_commit_that_is_too_long_for_a_full_disk_leaves_the_room_to_short_ones() {
    let machine = Machine::new("primary", 1, SyncMode::Normal);
    let options = machine.options(ReplicationRole::Primary).replication_segment_max_bytes(64 << 10);
    let (db, mut graph) = (machine.open(options).unwrap(), Graph::new(1));
    graph.grow(&db, 1);
    machine.disk.set_capacity(Some(machine.disk.used() + (128 << 10)));
    let long = db.transaction(|tx| {
        let node = tx.create_node(None)?;
        tx.set_node_prop(node, "long", vec![7_u8; 4 << 20])
    });
    assert_eq!(code(long), ErrorCode::DiskFull);
    graph.grow(&db, 20);
    graph.expect_all(&db);
    let db = machine.restart(Crash::Kill).primary();
    graph.expect_all(&db);
}

/// After a failed sync nobody knows what is on the disk: the log is of no more use until it is opened again.
#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_the_database_is_opened_again() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let (db, mut graph) = (a.primary(), Graph::new(1));
    let replica = b.replica_of(&a);
    graph.grow(&db, 4);
    a.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).on_path("segment"));
    let kept = graph.clone();
    expect_error(graph.try_commit(&db), ErrorCode::OutcomeUnknown, "whether this commit survives is unknown: reopen");
    graph = kept;
    assert_eq!(graph.expect(&db), 4);
    assert_eq!(code(commit(&db)), ErrorCode::Poisoned);
    assert_eq!(primary_status(&db).head_log_index, 4);
    // What is not durable is not served.
    catch_up(&replica);
    assert_eq!(graph.expect(&replica), 4);
    assert_eq!(code(db.close()), ErrorCode::Poisoned);
    let db = a.primary();
    let head = primary_status(&db).head_log_index;
    assert!((4..=5).contains(&head), "{head}");
    assert_eq!(primary_status(&db).epoch, 2, "a sync failed, so another epoch began");
    assert_eq!(commit(&db).unwrap(), token(2, head + 1));
    catch_up(&replica);
    assert_eq!(replica.snapshot().unwrap().digest(), db.snapshot().unwrap().digest());
    assert_eq!(replica.snapshot().unwrap().count_nodes(), db.snapshot().unwrap().count_nodes());
}

/// Loaded once more because it was said to be lost, it would be there twice.
#[test]
fn a_bulk_load_whose_last_batch_may_count_does_not_say_that_it_is_lost() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let db = machine.primary();
    let mut bulk = db.begin_bulk(1).unwrap();
    bulk.create_node(None).unwrap();
    bulk.step().unwrap();
    machine.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).on_path("segment"));
    bulk.create_node(None).unwrap();
    assert_eq!(code(bulk.step()), ErrorCode::OutcomeUnknown);
    let error = bulk.step().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Finished);
    assert!(error.to_string().contains("look whether it is there") && !error.to_string().contains("lost"), "{error}");
}
