//! Full and failing disks on either side.

use crate::support_replication::{
    Graph, MODES, Machine, catch_up, expect_error, expect_following, primary_status, replica_status, write,
};
use kitedb_core::{
    Database, ErrorCode, ErrorKind, ReplicaState, ReplicationRole, SourceFault, SyncMode,
    io::{
        Disk,
        sim::{Crash, FaultOn, FaultPlan, Loss},
    },
};
use std::io;

fn machines(mode: SyncMode) -> (Machine, Machine) {
    (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode))
}

/// Commits until that fails; returns the failure. What failed is not there.
#[track_caller]
fn commit_until_it_fails(graph: &mut Graph, db: &Database) -> kitedb_core::Error {
    for _ in 0..10_000 {
        if let Err(e) = graph.try_commit(db) {
            return e;
        }
    }
    panic!("it never failed");
}

#[test]
fn a_primary_with_a_full_disk_fails_commits_and_goes_on_when_there_is_room() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (primary, mut graph) = (a.primary(), Graph::new(1));
        let replica = b.replica_of(&a);
        graph.grow(&primary, 5);
        a.disk.set_capacity(Some(a.disk.used()));
        let error = commit_until_it_fails(&mut graph, &primary);
        assert_eq!((error.code(), error.kind()), (ErrorCode::DiskFull, ErrorKind::RetryLater), "{error:?}");
        let status = primary_status(&primary);
        assert_eq!(status.head_log_index, graph.head());
        assert!(status.append_failures > 0);
        assert_eq!(status.append_attempts, status.append_failures + status.append_successes);
        graph.expect_all(&primary);
        // Replicas go on with what there is.
        catch_up(&replica);
        graph.expect_all(&replica);

        a.disk.set_capacity(None);
        graph.grow(&primary, 5);
        catch_up(&replica);
        graph.expect_all(&replica);
        expect_following(&replica, &primary);
        let a = a.restart(Crash::Kill);
        drop(primary);
        graph.expect_all(&a.primary());
    }
}

/// The cursor of a replica is the tail of its own log.
#[test]
fn a_replica_whose_own_log_cannot_be_written_or_synced_says_that_its_cursor_does_not_persist() {
    for on in [FaultOn::Write, FaultOn::Sync] {
        let (a, b) = machines(SyncMode::Full);
        let (primary, mut graph) = (a.primary(), Graph::new(1));
        let replica = b.replica_of(&a);
        graph.grow(&primary, 3);
        catch_up(&replica);
        graph.grow(&primary, 3);
        b.disk.fail(FaultPlan::new(on, 1, io::ErrorKind::Other).forever().on_path("segment"));
        let error = replica.replica_catch_up_once(10).unwrap_err();
        assert!(error.to_string().contains("cursor persist failed"), "{on:?}: {error:?}");
        let status = replica_status(&replica);
        assert!(status.last_error.unwrap().contains("cursor persist failed"));
        // It did not advance.
        assert_eq!(status.applied_log_index, 3);
        assert_eq!(graph.expect(&replica), 3);
        b.disk.clear_faults();
        let b = b.restart(Crash::Kill);
        drop(replica);
        let replica = b.replica_of(&a);
        catch_up(&replica);
        graph.expect_all(&replica);
    }
}

#[test]
fn a_replica_with_a_full_disk_says_so_and_goes_on_when_there_is_room() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (primary, mut graph) = (a.primary(), Graph::new(2));
        let replica = b.replica_of(&a);
        graph.grow(&primary, 3);
        catch_up(&replica);
        graph.grow(&primary, 40);
        b.disk.set_capacity(Some(b.disk.used()));
        let mut result = Ok(1);
        while let Ok(1..) = result {
            result = replica.replica_catch_up_once(2);
        }
        expect_error(result, ErrorCode::DiskFull, "");
        let status = replica_status(&replica);
        assert_eq!((status.state, status.needs_reseed), (ReplicaState::Stalled, false));
        assert!(status.last_error.is_some());
        let shown = graph.expect(&replica);
        assert!((3..graph.head()).contains(&shown));

        b.disk.set_capacity(None);
        catch_up(&replica);
        graph.expect_all(&replica);
        expect_following(&replica, &primary);
        let b = b.restart(Crash::Kill);
        drop(replica);
        let replica = b.replica_of(&a);
        graph.expect_all(&replica);
    }
}

/// What failed is told, survives a reopen, and ends with the first success.
#[test]
fn a_failure_is_remembered_over_a_reopen() {
    let (a, b) = machines(SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(3));
    let replica = b.replica_of(&a);
    graph.grow(&primary, 3);
    b.disk.fail(FaultPlan::new(FaultOn::Write, 1, io::ErrorKind::Other).forever());
    replica.replica_catch_up_once(10).unwrap_err();
    let error = replica_status(&replica).last_error.expect("an error");
    b.disk.clear_faults();
    replica.close().unwrap();
    let replica = b.replica_of(&a);
    let status = replica_status(&replica);
    assert_eq!((status.last_error, status.needs_reseed), (Some(error), false));
    assert_eq!(status.state, ReplicaState::Stalled);
    catch_up(&replica);
    expect_following(&replica, &primary);
    replica.close().unwrap();
    assert_eq!(replica_status(&b.replica_of(&a)).last_error, None);
}

/// A sync of the primary's log fails: the outcome is unknown, the handle is of no more use, and after a reopen
/// primary and replica agree, whatever became of it.
#[test]
fn a_sync_that_fails_on_the_primary_parts_nobody() {
    for crash in
        [None, Some(Crash::Kill), Some(Crash::PowerLoss(Loss::LoseAllUnsynced)), Some(Crash::PowerLoss(Loss::Random))]
    {
        for pulled_before_the_reopen in [false, true] {
            let (mut a, b) = machines(SyncMode::Full);
            let (primary, mut graph) = (a.primary(), Graph::new(4));
            let mut replica = b.replica_of(&a);
            graph.grow(&primary, 5);
            catch_up(&replica);
            a.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).on_path("segment-"));
            let before = graph.head();
            let error = write(&primary).unwrap_err();
            assert_eq!((error.code(), error.kind()), (ErrorCode::OutcomeUnknown, ErrorKind::Reopen), "{error:?}");
            assert_eq!(write(&primary).unwrap_err().kind(), ErrorKind::Reopen);
            // What was not acknowledged is not served.
            if pulled_before_the_reopen {
                replica.replica_catch_up_once(10).unwrap();
                assert_eq!(graph.expect(&replica), before);
            }
            if let Some(crash) = crash {
                a = a.restart(crash);
                replica.close().unwrap();
                drop(primary);
                replica = b.replica_of(&a);
            } else {
                drop(primary);
            }
            let primary = a.primary();
            let status = primary_status(&primary);
            assert!(status.epoch >= 2, "numbers that someone may have seen do not come again");
            assert!(status.head_log_index == before || status.head_log_index == before + 1);
            write(&primary).unwrap();
            catch_up(&replica);
            expect_following(&replica, &primary);
            assert_eq!(replica.check().unwrap().digest, primary.check().unwrap().digest);
        }
    }
}

#[test]
fn a_sync_that_fails_on_the_replica_is_told_and_mended_by_a_reopen() {
    for crash in [Crash::Kill, Crash::PowerLoss(Loss::LoseAllUnsynced), Crash::PowerLoss(Loss::Random)] {
        let (a, b) = machines(SyncMode::Full);
        let (primary, mut graph) = (a.primary(), Graph::new(5));
        let replica = b.replica_of(&a);
        graph.grow(&primary, 5);
        assert_eq!(replica.replica_catch_up_once(3).unwrap(), 3);
        b.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).on_path("segment-"));
        let error = replica.replica_catch_up_once(10).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Reopen, "{error:?}");
        assert!(replica_status(&replica).last_error.is_some());
        assert_eq!(graph.expect(&replica), 3, "what is not durable is not shown");
        assert_eq!(replica.replica_catch_up_once(10).unwrap_err().kind(), ErrorKind::Reopen);
        let b = b.restart(crash);
        drop(replica);
        let replica = b.replica_of(&a);
        assert!(!replica_status(&replica).needs_reseed);
        assert!(graph.expect(&replica) >= 3);
        catch_up(&replica);
        graph.expect_all(&replica);
        expect_following(&replica, &primary);
    }
}

/// A reseed mends it, too, without a reopen or after one.
#[test]
fn a_full_disk_does_not_keep_a_replica_from_its_promotion_for_ever() {
    let (a, b) = machines(SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(6));
    let replica = b.replica_of(&a);
    graph.grow(&primary, 30);
    assert_eq!(replica.replica_catch_up_once(3).unwrap(), 3);
    b.disk.set_capacity(Some(b.disk.used()));
    let error = replica.replica_promote(false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RetryLater, "{error:?}");
    assert_eq!(replica.replication_role(), ReplicationRole::Replica);
    b.disk.set_capacity(None);
    let goes_on = graph.try_commit(&primary).is_ok();
    let promotion = replica.replica_promote(false).unwrap();
    assert_eq!(promotion.last_kept.log_index.0, 30 + u64::from(goes_on));
    graph.grow(&replica, 1);
    graph.expect_all(&replica);
}

/// Each operation of each side fails once, at each point of a small story: errors are typed, and it ends well.
#[test]
fn one_failure_anywhere_does_no_harm() {
    for of_primary in [true, false] {
        for nth in 1.. {
            let (a, b) = machines(SyncMode::Full);
            let (mut primary, mut graph) = (a.primary(), Graph::new(7));
            let mut replica = b.replica_of(&a);
            let disk = if of_primary { &a.disk } else { &b.disk };
            let start = disk.ops();
            disk.fail(FaultPlan::new(FaultOn::Any, nth, io::ErrorKind::Other));
            for step in 0..12 {
                let what = format!("{nth} of the primary: {of_primary}, step {step}");
                let before = graph.head();
                if let Err(e) = graph.try_commit(&primary) {
                    assert!(matches!(e.kind(), ErrorKind::RetryLater | ErrorKind::Reopen), "{what}: {e:?}");
                    if e.kind() == ErrorKind::Reopen {
                        drop(primary);
                        primary = a.primary();
                        let now = primary_status(&primary).head_log_index;
                        if now > before {
                            // It had come through: the model does not know what it did, so begin again from there.
                            replica.replica_catch_up_once(100).unwrap();
                            return_if_equal(&replica, &primary);
                            graph.cut(0);
                            break;
                        }
                    }
                }
                if let Err(e) = replica.replica_catch_up_once(2) {
                    assert!(matches!(e.kind(), ErrorKind::RetryLater | ErrorKind::Reopen), "{what}: {e:?}");
                    assert!(replica_status(&replica).last_error.is_some(), "{what}");
                    if e.kind() == ErrorKind::Reopen {
                        drop(replica);
                        replica = b.replica_of(&a);
                    }
                }
                graph.expect(&replica);
                let _ = match step {
                    3 | 8 => primary.checkpoint(),
                    5 => replica.checkpoint(),
                    7 => replica.replica_reseed_from_snapshot(),
                    _ => Ok(()),
                };
            }
            if graph.head() > 0 {
                a.disk.clear_faults();
                b.disk.clear_faults();
                catch_up(&replica);
                graph.expect_all(&replica);
                expect_following(&replica, &primary);
            }
            if disk.ops() - start < nth {
                break;
            }
        }
    }
}

#[track_caller]
fn return_if_equal(replica: &Database, primary: &Database) {
    let (here, there) = (replica.snapshot().unwrap(), primary.snapshot().unwrap());
    assert_eq!((here.token(), here.digest()), (there.token(), there.digest()));
}

/// The source is another replica of the same graph than the one that was followed: what is in the log tells that it is on
/// the history. Where the log cannot be read, nobody is told that the source has another history.
#[test]
fn a_source_that_cannot_be_read_is_not_told_as_another_one() {
    let (a, mut graph) = (Machine::new("primary", 1, SyncMode::Full), Graph::new(3));
    let (middle, b) = (Machine::new("middle", 2, SyncMode::Full), Machine::new("replica", 3, SyncMode::Full));
    let primary = a.primary();
    graph.grow(&primary, 6);
    let through = middle.replica_of(&a);
    catch_up(&through);
    let replica = b.replica_of(&middle);
    catch_up(&replica);
    replica.close().unwrap();
    let replica = b.replica_of(&middle);
    // A new file at the same path, with the same log.
    through.close().unwrap();
    for path in middle.disk.paths() {
        middle.disk.remove(&path).unwrap();
    }
    middle.disk.remove_dir(&middle.sidecar()).unwrap();
    let through = middle.replica_of(&a);
    catch_up(&through);
    assert_eq!(replica_status(&replica).source_fault, None);

    middle.disk.fail(FaultPlan::new(FaultOn::Read, 1, io::ErrorKind::Other).forever().on_path("segment-"));
    let status = replica_status(&replica);
    assert!(!matches!(status.source_fault, Some(SourceFault::Another { .. })), "{status:?}");
    middle.disk.clear_faults();
    graph.grow(&primary, 1);
    catch_up(&through);
    catch_up(&replica);
    graph.expect_all(&replica);
}
