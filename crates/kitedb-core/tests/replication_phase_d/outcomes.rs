//! What a commit that meets a promotion is told: that it counts, that it does not, or that nobody here knows.

use crate::{
    support::gate::{At, Gate},
    support_replication::{
        expect_error,
        folder::{Folder, commit_item, last_item, primary_options, replica_options},
        primary_status,
    },
};
use kitedb_core::{Database, Error, ErrorCode, ErrorKind, SyncMode};
use std::{sync::Arc, thread};

/// A primary and its replica, each behind a gate.
struct Scene {
    _folder: Folder,
    old: Arc<Gate>,
    new: Arc<Gate>,
    primary: Database,
    replica: Database,
}

/// Opens gates at the end of a scope, so that what fails in it does not wait for ever for who stands before one.
struct Opens<'g>([&'g Gate; 2]);

impl Drop for Opens<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|gate| gate.open());
    }
}

fn scene(mode: SyncMode, fence_wait_ms: u64) -> Scene {
    let folder = Folder::new();
    let (old, new) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
    let options = primary_options(mode).background(false).fence_wait_ms(fence_wait_ms);
    let primary = Database::open_in(old.env(), folder.path("old"), options).unwrap();
    commit_item(&primary, "w", 1).unwrap();
    let options = replica_options(mode, &folder.path("old")).background(false);
    let replica = Database::open_in(new.env(), folder.path("new"), options).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    Scene { _folder: folder, old, new, primary, replica }
}

#[track_caller]
fn expect_unknown(error: Error) {
    assert_eq!((error.code(), error.kind()), (ErrorCode::OutcomeUnknown, ErrorKind::Reopen), "{error:?}");
    for phrase in ["stale primary", "is unknown", "whether the node that leads now has it"] {
        assert!(error.to_string().contains(phrase), "{error}");
    }
    assert!(!error.to_string().contains("does not count"), "{error}");
}

/// A commit that was in the log before the fence was moved counts. It used to be told that it does not, where the
/// promotion took its time.
#[test]
fn a_commit_under_a_slow_promotion_counts_or_is_said_to_be_unknown() {
    for (patience, known) in [(20, false), (600_000, true)] {
        let Scene { _folder, old, new, primary, replica } = scene(SyncMode::Full, patience);
        thread::scope(|scope| {
            let _gates = Opens([&old, &new]);
            // In the log, and not yet durable.
            old.shut(At::Sync, ".klog");
            let commit = scope.spawn(|| commit_item(&primary, "w", 2));
            old.wait_for_someone();
            // The fence is moved, and the replica writes what it lacks to a slow disk.
            new.shut(At::Write, ".klog");
            let promotion = scope.spawn(|| replica.replica_promote(false));
            new.wait_for_someone();
            assert_eq!(primary_status(&primary).fence.unwrap().ended, None);
            old.open();
            if !known {
                expect_unknown(commit.join().unwrap().unwrap_err());
                // Who comes later was not tried.
                let late = expect_error(commit_item(&primary, "w", 3), ErrorCode::StalePrimary, "stale primary");
                assert!(!late.to_string().contains("unknown"), "{late}");
                new.open();
                promotion.join().unwrap().unwrap();
            } else {
                new.open();
                let promotion = promotion.join().unwrap().unwrap();
                assert_eq!(commit.join().unwrap().unwrap(), promotion.last_kept);
            }
            assert_eq!(last_item(&replica, "w"), 2);
        });
    }
}

/// A commit that came to the log after the promotion had read its end. Nobody who asks how things are waits with it.
#[test]
fn a_commit_that_came_too_late_does_not_count_and_status_answers_meanwhile() {
    for mode in [SyncMode::Full, SyncMode::Normal, SyncMode::Off] {
        for patience in [20, 600_000] {
            let Scene { _folder, old, new, primary, replica } = scene(mode, patience);
            thread::scope(|scope| {
                let _gates = Opens([&old, &new]);
                old.shut(At::Write, ".klog");
                let mut commit = Some(scope.spawn(|| commit_item(&primary, "w", 2)));
                old.wait_for_someone();
                new.shut(At::Write, ".klog");
                let promotion = scope.spawn(|| replica.replica_promote(false));
                new.wait_for_someone();
                old.open();
                if patience < 1000 {
                    expect_unknown(commit.take().unwrap().join().unwrap().unwrap_err());
                }
                assert!(primary_status(&primary).fence.is_some());
                primary.collect_metrics().unwrap();
                assert_eq!(last_item(&primary, "w"), 1);
                expect_error(commit_item(&primary, "x", 1), ErrorCode::StalePrimary, "stale primary");
                new.open();
                promotion.join().unwrap().unwrap();
                if let Some(commit) = commit {
                    expect_error(commit.join().unwrap(), ErrorCode::StalePrimary, "does not count");
                }
            });
            assert_eq!((last_item(&replica, "w"), last_item(&primary, "w")), (1, 1));
            commit_item(&replica, "w", 2).unwrap();
        }
    }
}

/// The promoter ends between the fence and the end. The source takes the lead back, and what was unknown counts.
#[test]
fn a_commit_of_unknown_outcome_counts_where_the_lead_is_taken_back() {
    for mode in [SyncMode::Full, SyncMode::Normal] {
        let Scene { _folder, old, new, primary, replica } = scene(mode, 20);
        thread::scope(|scope| {
            let _gates = Opens([&old, &new]);
            old.shut(At::Write, ".klog");
            let commit = scope.spawn(|| commit_item(&primary, "w", 2));
            old.wait_for_someone();
            new.shut(At::Write, ".klog");
            let promotion = scope.spawn(|| replica.replica_promote(false));
            new.wait_for_someone();
            old.open();
            expect_unknown(commit.join().unwrap().unwrap_err());
            new.fail();
            promotion.join().unwrap().unwrap_err();
        });
        assert_eq!(primary_status(&primary).fence.unwrap().ended, None);
        assert_eq!(last_item(&primary, "w"), 1);
        assert_eq!(primary.primary_promote_to_next_epoch().unwrap(), 3);
        assert_eq!(last_item(&primary, "w"), 2);
        assert_eq!(commit_item(&primary, "w", 3).unwrap().to_string(), "3:3");
        new.open();
        while replica.replica_catch_up_once(10).unwrap() > 0 {}
        assert_eq!(last_item(&replica, "w"), 3);
    }
}

#[test]
fn fence_wait_ms_is_at_least_one() {
    let folder = Folder::new();
    let options = primary_options(SyncMode::Full).fence_wait_ms(0);
    expect_error(Database::open(folder.path("x"), options), ErrorCode::InvalidOption, "fence_wait_ms");
}

/// A sync that is asked for says that it failed; a commit that waited for one, that nobody knows.
#[test]
fn a_failed_sync_is_told_from_a_commit_of_unknown_outcome() {
    for mode in [SyncMode::Full, SyncMode::Normal] {
        let Scene { _folder, old, primary, .. } = scene(mode, 20);
        let commit = match mode {
            SyncMode::Full => {
                old.shut(At::Sync, ".klog");
                old.fail();
                commit_item(&primary, "w", 2)
            }
            _ => {
                commit_item(&primary, "w", 2).unwrap();
                old.shut(At::Sync, ".klog");
                old.fail();
                expect_error(primary.sync(), ErrorCode::SyncFailed, "reopen the database and look");
                continue;
            }
        };
        let error = expect_error(commit, ErrorCode::OutcomeUnknown, "whether this commit survives is unknown");
        assert_eq!(error.kind(), ErrorKind::Reopen);
    }
}
