//! What each role may do, what a replica refuses, and what it tells its source.

use crate::{
    support_process::{code, dump},
    support_replication::{Graph, Machine, catch_up, expect_error, primary_status, replica_status},
};
use kitedb_core::{
    Database, ErrorCode, ErrorKind, FollowerOptions, HoldState, ReplicaState, ReplicationRole, Result, SyncMode, Token,
};

fn machines() -> (Machine, Machine) {
    (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full))
}

type Call = fn(&Database) -> Result<()>;

const OF_A_PRIMARY: [(&str, Call); 3] = [
    ("report", |db| db.primary_report_replica_progress("x", 1, 0)),
    ("promote", |db| db.primary_promote_to_next_epoch().map(drop)),
    ("report again", |db| db.primary_report_replica_progress("", 7, 9)),
];

/// Others may follow a replica, too.
const OF_EITHER: [(&str, Call); 2] = [
    ("remove", |db| db.primary_remove_replica("x").map(drop)),
    ("retention", |db| db.primary_run_retention().map(drop)),
];

const OF_A_REPLICA: [(&str, Call); 6] = [
    ("bootstrap", |db| db.replica_bootstrap_from_snapshot()),
    ("reseed", |db| db.replica_reseed_from_snapshot()),
    ("catch up", |db| db.replica_catch_up_once(1).map(drop)),
    ("promote", |db| db.replica_promote(true).map(drop)),
    ("repoint", |db| db.replica_repoint("/elsewhere.kitedb", None)),
    ("follow", |db| db.start_follower(FollowerOptions::default())),
];

#[test]
fn what_is_for_a_primary_fails_elsewhere_and_says_why() {
    let (a, b) = machines();
    let (_primary, replica) = (a.primary(), b.replica_of(&a));
    let alone = Machine::new("alone", 3, SyncMode::Full);
    let disabled = alone.open(alone.options(ReplicationRole::Disabled)).unwrap();
    for db in [&replica, &disabled] {
        for (what, call) in OF_A_PRIMARY {
            let error = expect_error(call(db), ErrorCode::NotPrimary, "not opened in primary role");
            assert_eq!(error.kind(), ErrorKind::Input, "{what}");
        }
        assert!(db.primary_replication_status().unwrap().is_none());
    }
    for (what, call) in OF_EITHER {
        call(&replica).expect(what);
        expect_error(call(&disabled), ErrorCode::NotPrimary, "not opened in primary role");
    }
}

#[test]
fn what_is_for_a_replica_fails_elsewhere_and_says_why() {
    let (a, _) = machines();
    let primary = a.primary();
    let alone = Machine::new("alone", 3, SyncMode::Full);
    let disabled = alone.open(alone.options(ReplicationRole::Disabled)).unwrap();
    for db in [&primary, &disabled] {
        for (what, call) in OF_A_REPLICA {
            let error = expect_error(call(db), ErrorCode::NotReplica, "not opened in replica role");
            assert_eq!(error.kind(), ErrorKind::Input, "{what}");
        }
        assert!(db.replica_replication_status().unwrap().is_none());
        db.stop_follower().unwrap();
    }
    assert_eq!(primary.replication_role(), ReplicationRole::Primary);
    assert_eq!(disabled.replication_role(), ReplicationRole::Disabled);
}

#[test]
fn without_a_role_there_is_no_sidecar_and_no_token_for_others() {
    let alone = Machine::new("alone", 3, SyncMode::Full);
    let (db, mut graph) = (alone.open(alone.options(ReplicationRole::Disabled)).unwrap(), Graph::new(1));
    graph.grow(&db, 3);
    let mut tx = db.begin().unwrap();
    tx.create_node(None).unwrap();
    assert_eq!(tx.commit_with_token().unwrap(), None);
    assert!(!alone.disk.paths().iter().any(|path| path.starts_with(alone.sidecar())));
    assert!(db.wait_for_token(db.last_commit_token().unwrap(), 0).unwrap());
}

#[test]
fn a_primary_gives_tokens_that_its_replica_reaches() {
    let (a, b) = machines();
    let (primary, replica) = (a.primary(), b.replica_of(&a));
    let mut tokens = Vec::new();
    for _ in 0..5 {
        let mut tx = primary.begin().unwrap();
        tx.create_node(None).unwrap();
        tokens.push(tx.commit_with_token().unwrap().expect("a token"));
    }
    assert!(tokens.is_sorted() && tokens[0].to_string() == "1:1");
    catch_up(&replica);
    for token in tokens {
        assert!(replica.wait_for_token(token, 0).unwrap());
        assert!(primary.wait_for_token(token, 0).unwrap());
    }
}

#[test]
fn a_replica_takes_no_writes() {
    let (a, b) = machines();
    let (primary, mut graph) = (a.primary(), Graph::new(2));
    graph.grow(&primary, 5);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    let error = expect_error(replica.begin(), ErrorCode::ReplicaReadOnly, "replica");
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(code(replica.transaction(|tx| tx.create_node(None))), ErrorCode::ReplicaReadOnly);
    assert_eq!(code(replica.transaction_with_retry(3, |tx| tx.create_node(None))), ErrorCode::ReplicaReadOnly);
    assert_eq!(code(replica.begin_bulk(10)), ErrorCode::ReplicaReadOnly);
    graph.expect_all(&replica);
    // What it does for itself it still may.
    replica.checkpoint().unwrap();
    replica.compact().unwrap();
    replica.sync().unwrap();
    graph.expect_all(&replica);
}

#[test]
fn a_read_only_open_of_a_replica_shows_its_graph_and_pulls_nothing() {
    let (a, b) = machines();
    let (primary, mut graph) = (a.primary(), Graph::new(3));
    graph.grow(&primary, 5);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    let reader = b.open_replica_of(&a, b.following(&a).read_only(true)).unwrap();
    graph.expect_all(&reader);
    graph.grow(&primary, 5);
    for (what, call) in OF_A_REPLICA {
        let error = call(&reader).expect_err(what);
        assert_eq!(error.code(), ErrorCode::ReadOnly, "{what}: {error:?}");
        assert!(error.to_string().contains("Database is read-only"), "{error}");
    }
    assert_eq!(code(reader.begin()), ErrorCode::ReadOnly);
    assert_eq!(graph.expect(&reader), 5);
    // It is in nobody's way.
    assert_eq!(catch_up(&replica), 5);
    graph.expect_all(&replica);
    assert_eq!(graph.expect(&reader), 5);
    drop(replica);
    let reader = b.open_replica_of(&a, b.following(&a).read_only(true)).unwrap();
    graph.expect_all(&reader);
}

#[test]
fn a_replica_reports_under_one_stable_id() {
    let (a, b) = machines();
    let (primary, mut graph) = (a.primary(), Graph::new(4));
    graph.grow(&primary, 6);
    assert!(primary_status(&primary).replica_lags.is_empty());
    let replica = b.replica_of(&a);
    assert_eq!(replica.replica_catch_up_once(4).unwrap(), 4);
    let id = replica_status(&replica).replica_id;
    let lags = primary_status(&primary).replica_lags;
    assert_eq!(lags.len(), 1);
    assert_eq!((&lags[0].replica_id, lags[0].epoch, lags[0].applied_log_index), (&id, 1, 4));
    assert_eq!((lags[0].lag_frames, lags[0].hold), (2, HoldState::Held));
    assert!(lags[0].lag_bytes > 0 && lags[0].reported_at_ms > 0);
    catch_up(&replica);
    replica.close().unwrap();

    let replica = b.replica_of(&a);
    assert_eq!(replica_status(&replica).replica_id, id);
    replica.replica_reseed_from_snapshot().unwrap();
    graph.grow(&primary, 1);
    catch_up(&replica);
    let lags = primary_status(&primary).replica_lags;
    assert_eq!(lags.len(), 1);
    assert_eq!((lags[0].applied_log_index, lags[0].lag_frames, lags[0].lag_ms), (7, 0, 0));
}

/// An operator may report for a replica that reports itself: it is the same one.
#[test]
fn an_operators_report_under_that_id_does_not_count_it_twice() {
    let (a, b) = machines();
    let (primary, mut graph) = (a.primary(), Graph::new(5));
    graph.grow(&primary, 6);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    let status = replica_status(&replica);
    primary.primary_report_replica_progress(&status.replica_id, 1, status.applied_log_index).unwrap();
    let lags = primary_status(&primary).replica_lags;
    assert_eq!(lags.len(), 1);
    assert_eq!((&lags[0].replica_id, lags[0].applied_log_index), (&status.replica_id, 6));

    primary.primary_report_replica_progress("elsewhere", 1, 3).unwrap();
    let ids: Vec<String> = primary_status(&primary).replica_lags.into_iter().map(|l| l.replica_id).collect();
    let mut sorted = ids.clone();
    sorted.sort();
    assert_eq!(ids, sorted);
    assert_eq!(ids.len(), 2);

    assert!(primary.primary_remove_replica("elsewhere").unwrap());
    assert!(!primary.primary_remove_replica("elsewhere").unwrap());
    assert!(primary.primary_remove_replica(&status.replica_id).unwrap());
    assert!(primary_status(&primary).replica_lags.is_empty());
    // It comes back with its next report.
    catch_up(&replica);
    assert_eq!(primary_status(&primary).replica_lags.len(), 1);
}

#[test]
fn a_report_that_cannot_be_right_is_refused() {
    let (a, _) = machines();
    let (primary, mut graph) = (a.primary(), Graph::new(6));
    graph.grow(&primary, 6);
    let report = |epoch, index| primary.primary_report_replica_progress("x", epoch, index);
    expect_error(report(2, 3), ErrorCode::EpochMismatch, "epoch mismatch");
    expect_error(report(0, 3), ErrorCode::EpochMismatch, "epoch mismatch");
    expect_error(report(1, 7), ErrorCode::InvalidArgument, "7");
    assert_eq!(code(primary.primary_report_replica_progress("", 1, 3)), ErrorCode::InvalidArgument);
    assert_eq!(code(primary.primary_report_replica_progress(&"x".repeat(5000), 1, 3)), ErrorCode::InvalidArgument);
    assert!(primary_status(&primary).replica_lags.is_empty());
    report(1, 6).unwrap();
    // Also backwards: a replica may have been reseeded from an older state.
    report(1, 2).unwrap();
    assert_eq!(primary_status(&primary).replica_lags[0].applied_log_index, 2);
}

#[test]
fn handles_of_one_file_share_one_replica() {
    let (a, b) = machines();
    let (primary, mut graph) = (a.primary(), Graph::new(7));
    graph.grow(&primary, 6);
    let (one, two) = (b.replica_of(&a), b.replica_of(&a));
    assert_eq!(one.replica_catch_up_once(4).unwrap(), 4);
    assert_eq!(two.replica_catch_up_once(10).unwrap(), 2);
    graph.expect_all(&one);
    assert_eq!(dump(&one.snapshot().unwrap()), dump(&two.snapshot().unwrap()));
    let error = b.open(b.options(ReplicationRole::Primary)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidOption);
    one.close().unwrap();
    assert_eq!(replica_status(&two).state, ReplicaState::Following);
}

#[test]
fn a_closed_replica_says_so() {
    let (a, b) = machines();
    let (_primary, replica) = (a.primary(), b.replica_of(&a));
    let other = replica.clone();
    replica.close().unwrap();
    for (what, call) in OF_A_REPLICA {
        assert_eq!(code(call(&other)), ErrorCode::Closed, "{what}");
    }
    assert_eq!(code(other.replica_replication_status()), ErrorCode::Closed);
    assert_eq!(code(other.wait_for_token("1:1".parse::<Token>().unwrap(), 0)), ErrorCode::Closed);
}
