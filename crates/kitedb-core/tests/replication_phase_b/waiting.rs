//! Waiting for a token on a node that writes itself.

use crate::{
    commit,
    support_process::code,
    support_replication::{Graph, Machine, folder::Folder},
    token,
};
use kitedb_core::{ErrorCode, ReplicationRole, SyncMode, TokenWait};
use std::{sync::mpsc, thread, time::Duration};

#[test]
fn what_was_committed_is_reached_also_after_a_reopen_and_a_promotion() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (mut db, mut graph) = (machine.primary(), Graph::new(1));
    graph.grow(&db, 3);
    for round in 0..3 {
        for index in 0..=3 {
            assert_eq!(db.wait_for_token_outcome(token(1, index), 0).unwrap(), TokenWait::Reached, "round {round}");
            assert!(db.wait_for_token(token(1, index), 0).unwrap());
        }
        match round {
            0 => drop(db.primary_promote_to_next_epoch().unwrap()),
            1 => {
                db.close().unwrap();
                db = machine.primary();
            }
            _ => {}
        }
    }
}

#[test]
fn what_was_not_committed_times_out_or_never_will_be() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(1));
    graph.grow(&db, 3);
    for timeout in [0, 1, 20] {
        assert_eq!(db.wait_for_token_outcome(token(1, 4), timeout).unwrap(), TokenWait::TimedOut);
        assert!(!db.wait_for_token(token(1, 4), timeout).unwrap());
        // Of an epoch to come.
        assert_eq!(db.wait_for_token_outcome(token(2, 4), timeout).unwrap(), TokenWait::TimedOut);
    }
    // A token of an epoch that has not come is none that was acknowledged here.
    assert_eq!(db.wait_for_token_outcome(token(2, 2), 0).unwrap(), TokenWait::EpochChanged);
    db.primary_promote_to_next_epoch().unwrap();
    assert_eq!(db.wait_for_token_outcome(token(1, 4), 60_000).unwrap(), TokenWait::EpochChanged);
    assert!(!db.wait_for_token(token(1, 4), 60_000).unwrap());
    graph.commit(&db);
    assert_eq!(db.wait_for_token_outcome(token(1, 4), 60_000).unwrap(), TokenWait::EpochChanged);
    assert_eq!(db.wait_for_token_outcome(token(2, 4), 0).unwrap(), TokenWait::Reached);
}

#[test]
fn without_a_role_tokens_can_be_waited_for_all_the_same() {
    let machine = Machine::new("alone", 1, SyncMode::Off);
    let db = machine.open(machine.options(ReplicationRole::Disabled)).unwrap();
    commit(&db).unwrap();
    assert!(db.wait_for_token(token(1, 1), 0).unwrap());
    assert!(!db.wait_for_token(token(1, 2), 0).unwrap());
}

#[test]
fn waiters_are_woken_by_what_they_wait_for() {
    let folder = Folder::new();
    for mode in [SyncMode::Full, SyncMode::Off] {
        let db = folder.primary("primary", mode);
        let first = db.last_commit_token().map_or(0, |token| token.log_index.0);
        thread::scope(|scope| {
            let waiting: Vec<_> = (1..=20)
                .map(|n| {
                    let db = &db;
                    scope.spawn(move || db.wait_for_token_outcome(token(1, first + n), 120_000).unwrap())
                })
                .collect();
            for _ in 0..20 {
                commit(&db).unwrap();
                thread::yield_now();
            }
            for waiter in waiting {
                assert_eq!(waiter.join().unwrap(), TokenWait::Reached);
            }
        });
        db.close().unwrap();
    }
}

#[test]
fn waiters_learn_of_a_new_epoch_and_of_a_close() {
    let folder = Folder::new();
    let db = folder.primary("primary", SyncMode::Normal);
    commit(&db).unwrap();
    let waits = |token| {
        let (db, (started, begun)) = (db.clone(), mpsc::channel());
        let waiting = thread::spawn(move || {
            started.send(()).unwrap();
            db.wait_for_token_outcome(token, 120_000)
        });
        begun.recv().unwrap();
        thread::sleep(Duration::from_millis(10));
        waiting
    };
    let waiting = waits(token(1, 2));
    db.primary_promote_to_next_epoch().unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), TokenWait::EpochChanged);
    let waiting = waits(token(2, 2));
    db.clone().close().unwrap();
    assert_eq!(code(waiting.join().unwrap()), ErrorCode::Closed);
    assert_eq!(code(db.wait_for_token(token(2, 1), 0)), ErrorCode::Closed);
}
