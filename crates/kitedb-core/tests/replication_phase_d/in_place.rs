//! A primary that promotes itself to the next epoch: it goes on, and every other handle is fenced.

use crate::{
    support_process::code,
    support_replication::{
        Graph, MODES, Machine, catch_up, expect_error, expect_following, primary_status, replica_status, write,
    },
};
use kitedb_core::{ErrorCode, ErrorKind, ReplicationRole, SyncMode, io::sim::Crash};

fn machines(mode: SyncMode) -> (Machine, Machine) {
    (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode))
}

#[test]
fn the_next_epoch_goes_on_with_the_next_index() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (primary, mut graph) = (a.primary(), Graph::new(1));
        let replica = b.replica_of(&a);
        graph.grow(&primary, 5);
        assert_eq!(primary_status(&primary).epoch, 1);
        assert_eq!(primary.primary_promote_to_next_epoch().unwrap(), 2);
        let status = primary_status(&primary);
        assert_eq!((status.epoch, status.head_log_index, status.fenced), (2, 5, false));
        assert_eq!(graph.commit(&primary).to_string(), "2:6");
        assert_eq!(primary.primary_promote_to_next_epoch().unwrap(), 3);
        assert_eq!(graph.commit(&primary).to_string(), "3:7");
        graph.expect_all(&primary);

        assert_eq!(catch_up(&replica), 7);
        graph.expect_all(&replica);
        assert_eq!(replica_status(&replica).applied_epoch, 3);
        expect_following(&replica, &primary);
    }
}

#[test]
fn a_replica_that_follows_meanwhile_does_not_notice_but_for_the_number() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (primary, mut graph) = (a.primary(), Graph::new(2));
        let replica = b.replica_of(&a);
        let mut epoch = 1;
        for round in 0..10 {
            graph.grow(&primary, 1 + round % 3);
            if round % 2 == 0 {
                catch_up(&replica);
                graph.expect_all(&replica);
            }
            epoch = primary.primary_promote_to_next_epoch().unwrap();
            assert_eq!(catch_up(&replica) as u64, if round % 2 == 0 { 0 } else { 1 + round % 3 });
        }
        graph.grow(&primary, 1);
        catch_up(&replica);
        graph.expect_all(&replica);
        assert_eq!(replica_status(&replica).applied_epoch, epoch);
        drop((primary, replica));
        let (primary, replica) = (a.primary(), b.replica_of(&a));
        assert_eq!(primary_status(&primary).epoch, epoch);
        graph.grow(&primary, 1);
        catch_up(&replica);
        graph.expect_all(&replica);
        expect_following(&replica, &primary);
    }
}

#[test]
fn another_handle_is_fenced_until_it_is_opened_again() {
    for mode in MODES {
        let (a, _) = machines(mode);
        let (old, new, mut graph) = (a.primary(), a.primary(), Graph::new(3));
        graph.grow(&old, 3);
        graph.grow(&new, 2);
        let begun_before = old.begin().unwrap();
        assert_eq!(new.primary_promote_to_next_epoch().unwrap(), 2);

        let error = expect_error(write(&old), ErrorCode::StalePrimary, "stale primary");
        assert_eq!(error.kind(), ErrorKind::Fenced);
        assert!(error.to_string().contains("fenced for writes"), "{error}");
        let mut tx = begun_before;
        tx.create_node(None).unwrap();
        expect_error(tx.commit(), ErrorCode::StalePrimary, "stale primary");
        expect_error(old.primary_run_retention(), ErrorCode::StalePrimary, "stale primary");
        expect_error(old.primary_report_replica_progress("x", 1, 1), ErrorCode::StalePrimary, "stale primary");
        expect_error(old.primary_promote_to_next_epoch(), ErrorCode::StalePrimary, "stale primary");
        let status = primary_status(&old);
        assert!(status.fenced);
        assert_eq!(status.epoch, 1);
        // It may still be read.
        graph.expect_all(&old);

        assert_eq!(graph.commit(&new).to_string(), "2:6");
        let again = a.primary();
        assert_eq!(graph.commit(&again).to_string(), "2:7");
        assert!(!primary_status(&again).fenced);
        old.close().unwrap();
        new.close().unwrap();
        graph.expect_all(&again);
        again.close().unwrap();
        let again = a.primary();
        graph.expect_all(&again);
        assert_eq!(graph.commit(&again).to_string(), "2:8");
    }
}

#[test]
fn a_clone_of_the_handle_that_promotes_is_that_handle() {
    let (a, _) = machines(SyncMode::Full);
    let (one, mut graph) = (a.primary(), Graph::new(4));
    let two = one.clone();
    graph.grow(&one, 2);
    one.primary_promote_to_next_epoch().unwrap();
    assert_eq!(graph.commit(&two).to_string(), "2:3");
}

/// What replicas reported in the old epoch still counts: they do not lose what is kept for them.
#[test]
fn what_is_kept_for_replicas_is_kept_on() {
    let (a, b) = machines(SyncMode::Full);
    let options = a.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
    let (primary, mut graph) = (a.open(options.replication_retention_min_entries(0)).unwrap(), Graph::new(5));
    graph.grow(&primary, 6);
    let replica = b.replica_of(&a);
    assert_eq!(replica.replica_catch_up_once(3).unwrap(), 3);
    primary.primary_promote_to_next_epoch().unwrap();
    graph.grow(&primary, 6);
    primary.primary_run_retention().unwrap();
    assert_eq!(catch_up(&replica), 9);
    graph.expect_all(&replica);
    // A report names the epoch that the primary leads.
    expect_error(primary.primary_report_replica_progress("x", 1, 3), ErrorCode::EpochMismatch, "epoch mismatch");
    primary.primary_report_replica_progress("x", 2, 3).unwrap();
}

#[test]
fn an_empty_primary_can_be_promoted() {
    let (a, b) = machines(SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(6));
    assert_eq!(primary.primary_promote_to_next_epoch().unwrap(), 2);
    let replica = b.replica_of(&a);
    assert_eq!(replica.replica_catch_up_once(10).unwrap(), 0);
    assert_eq!(graph.commit(&primary).to_string(), "2:1");
    assert_eq!(catch_up(&replica), 1);
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
}

#[test]
fn a_promotion_of_a_closed_or_read_only_database_is_refused() {
    let (a, _) = machines(SyncMode::Full);
    let primary = a.primary();
    let reader = a.open(a.options(ReplicationRole::Primary).read_only(true)).unwrap();
    let other = primary.clone();
    primary.close().unwrap();
    assert_eq!(code(other.primary_promote_to_next_epoch()), ErrorCode::Closed);
    assert_eq!(code(reader.primary_promote_to_next_epoch()), ErrorCode::ReadOnly);
}

#[test]
fn after_a_kill_the_epoch_goes_on() {
    for mode in MODES {
        let (a, b) = machines(mode);
        let (primary, mut graph) = (a.primary(), Graph::new(7));
        graph.grow(&primary, 3);
        primary.primary_promote_to_next_epoch().unwrap();
        let a = a.restart(Crash::Kill);
        drop(primary);
        let primary = a.primary();
        assert_eq!(primary_status(&primary).epoch, 2);
        assert_eq!(graph.commit(&primary).to_string(), "2:4");
        let a = a.restart(Crash::Kill);
        drop(primary);
        let primary = a.primary();
        assert_eq!(graph.commit(&primary).to_string(), "2:5");
        let replica = b.replica_of(&a);
        assert_eq!(catch_up(&replica), 5);
        graph.expect_all(&replica);
    }
}

/// Everything that the old epoch had acknowledged is durable once a promotion has returned.
#[test]
fn a_promotion_loses_nothing_to_a_loss_of_power() {
    for mode in MODES {
        for crash in crate::support_replication::CRASHES {
            let (a, _) = machines(mode);
            let (primary, mut graph) = (a.primary(), Graph::new(8));
            graph.grow(&primary, 7);
            primary.primary_promote_to_next_epoch().unwrap();
            let a = a.restart(crash);
            drop(primary);
            let primary = a.primary();
            graph.expect_all(&primary);
            let epoch = primary_status(&primary).epoch;
            assert!(epoch >= 2);
            assert_eq!(graph.commit(&primary).to_string(), format!("{epoch}:8"));
        }
    }
}
