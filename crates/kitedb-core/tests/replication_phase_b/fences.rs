//! Handles to one log: the one that promotes goes on, every other one is fenced until it is opened again.

use crate::{
    commit,
    support_replication::{Graph, MODES, Machine, expect_error, folder::Folder, primary_status},
    token,
};
use kitedb_core::{Database, ErrorCode, ErrorKind, SyncMode};
use std::sync::Barrier;

#[track_caller]
fn expect_fenced(db: &Database) {
    let stale = |error: kitedb_core::Error| {
        assert_eq!((error.code(), error.kind()), (ErrorCode::StalePrimary, ErrorKind::Fenced), "{error:?}");
        assert!(error.to_string().contains("stale primary"), "{error}");
    };
    stale(commit(db).unwrap_err());
    stale(db.primary_report_replica_progress("r", 1, 0).unwrap_err());
    stale(db.primary_run_retention().unwrap_err());
    stale(db.primary_promote_to_next_epoch().unwrap_err());
    assert!(primary_status(db).fenced);
}

#[test]
fn a_handle_that_another_one_promoted_past_is_fenced_in_every_mode() {
    for mode in MODES {
        let machine = Machine::new("primary", 1, mode);
        let (first, mut graph) = (machine.primary(), Graph::new(1));
        let second = machine.primary();
        graph.grow(&first, 2);
        graph.grow(&second, 2);
        let begun = first.begin().unwrap();
        assert_eq!(second.primary_promote_to_next_epoch().unwrap(), 2);
        // Also a transaction that was begun before.
        let mut begun = begun;
        begun.create_node(None).unwrap();
        expect_error(begun.commit(), ErrorCode::StalePrimary, "fenced for writes");
        expect_fenced(&first);
        assert_eq!(graph.commit(&second), token(2, 5));
        expect_fenced(&first);
        // It reads on.
        graph.expect_all(&first);
        let status = primary_status(&first);
        assert_eq!((status.epoch, status.head_log_index), (1, 5));
        assert_eq!(primary_status(&second).epoch, 2);
        assert!(!primary_status(&second).fenced);
        // Opened again it leads too.
        first.close().unwrap();
        let first = machine.primary();
        assert_eq!(graph.commit(&first), token(2, 6));
        assert_eq!(graph.commit(&second), token(2, 7));
    }
}

#[test]
fn a_report_must_be_of_the_epoch_and_not_beyond_the_head() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(1));
    graph.grow(&db, 3);
    db.primary_report_replica_progress("b", 1, 2).unwrap();
    db.primary_report_replica_progress("a", 1, 3).unwrap();
    expect_error(db.primary_report_replica_progress("a", 2, 1), ErrorCode::EpochMismatch, "epoch mismatch");
    expect_error(db.primary_report_replica_progress("a", 1, 4), ErrorCode::InvalidArgument, "last commit is 3");
    let lags: Vec<_> = primary_status(&db)
        .replica_lags
        .into_iter()
        .map(|lag| (lag.replica_id, lag.epoch, lag.applied_log_index))
        .collect();
    assert_eq!(lags, [("a".to_owned(), 1, 3), ("b".to_owned(), 1, 2)]);
    assert!(db.primary_remove_replica("b").unwrap());
    assert!(!db.primary_remove_replica("b").unwrap());
    db.primary_promote_to_next_epoch().unwrap();
    expect_error(db.primary_report_replica_progress("a", 1, 3), ErrorCode::EpochMismatch, "epoch mismatch");
    db.primary_report_replica_progress("a", 2, 3).unwrap();
    db.close().unwrap();
    // Reports outlive the process.
    assert_eq!(primary_status(&machine.primary()).replica_lags.len(), 1);
}

/// Each round, several handles commit while one of them promotes: what was acknowledged is in the log, in order, and
/// nobody but the promoter is acknowledged after it.
#[test]
fn commits_and_a_promotion_by_handles_of_one_process_do_not_mix() {
    for mode in MODES {
        let folder = Folder::new();
        for round in 1..=8u64 {
            let handles: Vec<Database> = (0..4).map(|_| folder.primary("primary", mode)).collect();
            let start = Barrier::new(handles.len());
            let mut acknowledged: Vec<_> = std::thread::scope(|scope| {
                let running: Vec<_> = (0..)
                    .zip(&handles)
                    .map(|(nth, db)| {
                        let start = &start;
                        scope.spawn(move || {
                            start.wait();
                            let mut mine = Vec::new();
                            for n in 0..40 {
                                if nth == 0 && n == 20 {
                                    assert_eq!(db.primary_promote_to_next_epoch().unwrap(), round + 1);
                                }
                                match commit(db) {
                                    Ok(token) => mine.push(token),
                                    Err(e) if e.code() == ErrorCode::StalePrimary && nth > 0 => break,
                                    Err(e) => panic!("{e:?}"),
                                }
                            }
                            assert!(mine.is_sorted());
                            assert!(nth == 0 || mine.iter().all(|token| token.epoch.0 == round));
                            mine
                        })
                    })
                    .collect();
                running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            acknowledged.sort_unstable();
            // By epoch and index, and no index twice.
            assert!(acknowledged.windows(2).all(|pair| pair[0].log_index < pair[1].log_index));
            let last = handles[0].last_commit_token().unwrap();
            assert_eq!(acknowledged.last(), Some(&last));
            drop(handles);
        }
    }
}
