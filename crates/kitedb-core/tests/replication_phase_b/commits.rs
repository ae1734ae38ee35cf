//! Each commit is one frame, named by a token: dense and ascending, whatever the role and the sync mode.

use crate::{
    commit,
    support::for_seeds,
    support_process::code,
    support_replication::{Graph, MODES, Machine, catch_up, primary_status},
    token,
};
use kitedb_core::{ErrorCode, ReplicationRole, SyncMode, TokenWait};

#[test]
fn tokens_are_dense_and_ascending_in_every_role_and_mode() {
    for mode in MODES {
        for role in [ReplicationRole::Disabled, ReplicationRole::Primary] {
            let machine = Machine::new("alone", 1, mode);
            let (mut db, mut graph) = (machine.open(machine.options(role)).unwrap(), Graph::new(1));
            assert_eq!(db.last_commit_token(), None);
            for index in 1..=30 {
                let committed = graph.commit(&db);
                assert_eq!(committed, token(1, index));
                assert_eq!(db.last_commit_token(), Some(committed));
                assert_eq!(db.snapshot().unwrap().token(), committed);
                match index % 10 {
                    3 => db.checkpoint().unwrap(),
                    6 => {
                        db.close().unwrap();
                        db = machine.open(machine.options(role)).unwrap();
                        // What was committed before counts as committed.
                        assert_eq!(db.last_commit_token(), Some(committed));
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn only_a_primary_hands_out_tokens_to_wait_for() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("alone", 2, SyncMode::Full));
    let primary = a.primary();
    let alone = b.open(b.options(ReplicationRole::Disabled)).unwrap();
    for (db, expected) in [(&primary, Some(token(1, 1))), (&alone, None)] {
        let mut tx = db.begin().unwrap();
        tx.create_node(Some("a")).unwrap();
        assert_eq!(tx.commit_with_token().unwrap(), expected);
        // Both commit, though.
        assert_eq!(db.last_commit_token(), Some(token(1, 1)));
    }
    assert_eq!(alone.primary_replication_status().unwrap(), None);
}

/// No frame, and so no token of its own.
#[test]
fn a_transaction_without_changes_is_no_commit() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let db = machine.primary();
    assert_eq!(db.begin().unwrap().commit_with_token().unwrap(), Some(token(1, 0)));
    assert_eq!(primary_status(&db).head_log_index, 0);
    commit(&db).unwrap();
    assert_eq!(db.begin().unwrap().commit_with_token().unwrap(), Some(token(1, 1)));
    // Neither is one that is given up, or that fails.
    let mut tx = db.begin().unwrap();
    tx.create_node(Some("k")).unwrap();
    tx.rollback();
    assert!(
        db.transaction(|tx| {
            tx.create_node(Some("k"))?;
            tx.create_node(Some("k"))
        })
        .is_err()
    );
    assert_eq!(commit(&db).unwrap(), token(1, 2));
    assert_eq!((primary_status(&db).append_attempts, primary_status(&db).append_successes), (2, 2));
}

#[test]
fn a_commit_that_loses_against_another_takes_no_place_in_the_log() {
    let machine = Machine::new("primary", 1, SyncMode::Normal);
    let db = machine.primary();
    let (mut first, mut second) = (db.begin().unwrap(), db.begin().unwrap());
    first.create_node(Some("k")).unwrap();
    second.create_node(Some("k")).unwrap();
    assert_eq!(first.commit().unwrap(), token(1, 1));
    assert_eq!(code(second.commit()), ErrorCode::Conflict);
    let status = primary_status(&db);
    assert_eq!((status.head_log_index, status.append_attempts, status.append_failures), (1, 1, 0));
    assert_eq!(commit(&db).unwrap(), token(1, 2));
}

#[test]
fn a_promotion_raises_the_epoch_and_not_the_index() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(1));
    assert_eq!(graph.grow(&db, 3), token(1, 3));
    assert_eq!(db.primary_promote_to_next_epoch().unwrap(), 2);
    assert_eq!(db.primary_promote_to_next_epoch().unwrap(), 3);
    assert_eq!(graph.commit(&db), token(3, 4));
    assert!(token(3, 4) > token(1, 100));
    // What was committed before is on the history, and stays known.
    assert_eq!(db.wait_for_token_outcome(token(1, 3), 0).unwrap(), TokenWait::Reached);
    db.close().unwrap();
    let db = machine.primary();
    assert_eq!((primary_status(&db).epoch, db.last_commit_token()), (3, Some(token(3, 4))));
    assert_eq!(graph.commit(&db), token(3, 5));
}

#[test]
fn the_status_is_that_of_the_log() {
    for_seeds("replication_phase_b", "commits::the_status_is_that_of_the_log", 6, |seed| {
        let (a, b) =
            (Machine::new("primary", seed, MODES[seed as usize % 3]), Machine::new("replica", 9, SyncMode::Full));
        let (db, mut graph) = (a.primary(), Graph::new(seed));
        let empty = primary_status(&db);
        assert_eq!((empty.role, empty.epoch, empty.head_log_index), (ReplicationRole::Primary, 1, 0));
        assert_eq!((empty.retained_floor, empty.last_token, empty.replica_lags.len()), (0, None, 0));
        assert_eq!(empty.sidecar_path, a.sidecar());
        let replica = b.replica_of(&a);
        for round in 1..=4 {
            let last = graph.grow(&db, 5);
            let status = primary_status(&db);
            assert_eq!((status.epoch, status.head_log_index, status.last_token), (1, 5 * round, Some(last)));
            assert_eq!(
                (status.append_attempts, status.append_failures, status.append_successes),
                (5 * round, 0, 5 * round)
            );
            assert_eq!(status.digest, graph.digests[5 * round as usize]);
            assert_eq!((status.retained_floor, status.fenced), (0, false));
            assert_eq!(status.segments, a.segments().len() as u64);
            assert!(status.durable_log_index <= status.head_log_index);
            if a.mode == SyncMode::Full {
                assert_eq!(status.durable_log_index, status.head_log_index);
            }
            db.sync().unwrap();
            assert_eq!(primary_status(&db).durable_log_index, status.head_log_index);
            // A replica shows as soon as it has pulled.
            if round > 1 {
                let lag = &status.replica_lags[0];
                assert_eq!((lag.applied_log_index, lag.lag_frames), (5 * (round - 1), 5));
            }
            catch_up(&replica);
            let lags = primary_status(&db).replica_lags;
            assert_eq!(
                (lags.len(), lags[0].epoch, lags[0].applied_log_index, lags[0].lag_frames),
                (1, 1, 5 * round, 0)
            );
        }
        // Counters are those of this open.
        db.close().unwrap();
        let status = primary_status(&a.primary());
        assert_eq!((status.head_log_index, status.append_attempts, status.append_successes), (20, 0, 0));
    });
}
