//! A bootstrap while the primary commits at full rate: nothing is quiesced, nothing is missed, nothing fails.

use crate::{
    support_process::{assert_clean, dump},
    support_replication::{
        MODES, catch_up, expect_following,
        folder::{Folder, commit_item, eventually, last_item, primary_options},
        replica_status,
    },
};
use kitedb_core::{Database, FollowerOptions, SyncMode};
use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    thread,
};

const WRITERS: [&str; 2] = ["north", "south"];

/// Runs `while_writing` while every writer commits as fast as it can; returns how many each has committed.
fn under_load(primary: &Database, while_writing: impl FnOnce(&[AtomicI64; 2])) -> [i64; 2] {
    let done = [AtomicI64::new(0), AtomicI64::new(0)];
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for (writer, done) in WRITERS.iter().zip(&done) {
            let stop = &stop;
            scope.spawn(move || {
                let first = last_item(primary, writer) + 1;
                for n in first.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    commit_item(primary, writer, n).unwrap();
                    done.store(n, Ordering::Relaxed);
                }
            });
        }
        // Also where an assertion fails: the writers end, so that it is seen.
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _end = End(&stop);
        while_writing(&done);
    });
    done.map(|n| n.load(Ordering::Relaxed))
}

fn expect_equal(replica: &Database, primary: &Database, written: [i64; 2]) {
    for (writer, written) in WRITERS.iter().zip(written) {
        assert_eq!(last_item(replica, writer), written);
    }
    assert_eq!(dump(&replica.snapshot().unwrap()), dump(&primary.snapshot().unwrap()));
    expect_following(replica, primary);
    assert_clean(replica);
}

#[test]
fn the_primary_goes_on_at_full_rate_and_the_replica_has_every_commit() {
    for mode in MODES {
        let folder = Folder::new();
        let options = primary_options(mode).checkpoint_log_bytes(64 << 10).replication_segment_max_bytes(64 << 10);
        let primary = Database::open(folder.path("primary"), options).unwrap();
        let replicas = ["a", "b"].map(|name| folder.replica(name, "primary", mode));
        let written = under_load(&primary, |done| {
            for round in 0..3 {
                for replica in &replicas {
                    let before = [&done[0], &done[1]].map(|n| n.load(Ordering::Relaxed));
                    let head = primary.last_commit_token();
                    replica.replica_bootstrap_from_snapshot().unwrap();
                    let status = replica_status(replica);
                    // Everything that was there when it began.
                    assert!(Some(status.applied_log_index) >= head.map(|t| t.log_index.0));
                    for (writer, before) in WRITERS.iter().zip(before) {
                        assert!(last_item(replica, writer) >= before);
                    }
                    assert_eq!((status.needs_reseed, status.last_error), (false, None));
                    // It goes on while it is copied.
                    eventually("the writers go on", || done[0].load(Ordering::Relaxed) > before[0] + 3 * (round + 1));
                }
            }
        });
        for replica in &replicas {
            catch_up(replica);
            expect_equal(replica, &primary, written);
        }
        assert_clean(&primary);
    }
}

#[test]
fn retention_checkpoints_and_merges_do_not_get_in_its_way() {
    let folder = Folder::new();
    let options = primary_options(SyncMode::Off)
        .checkpoint_log_bytes(16 << 10)
        .replication_segment_max_bytes(8 << 10)
        .replication_retention_min_entries(10)
        .replication_retention_interval_ms(1)
        .max_runs(2);
    let primary = Database::open(folder.path("primary"), options).unwrap();
    let replica = folder.replica("replica", "primary", SyncMode::Off);
    let written = under_load(&primary, |done| {
        for _ in 0..8 {
            let before = done[0].load(Ordering::Relaxed);
            eventually("the writers go on", || done[0].load(Ordering::Relaxed) > before + 200);
            // It was left behind by retention or not: a reseed serves in any case, and holds the log from there on.
            replica.replica_reseed_from_snapshot().unwrap();
            replica.replica_catch_up_once(1000).unwrap();
        }
    });
    catch_up(&replica);
    expect_equal(&replica, &primary, written);
}

#[test]
fn a_follower_keeps_up_from_a_bootstrap_on() {
    let folder = Folder::new();
    let primary = folder.primary("primary", SyncMode::Normal);
    let replica = folder.replica("replica", "primary", SyncMode::Normal);
    let written = under_load(&primary, |done| {
        eventually("there is something to copy", || done[1].load(Ordering::Relaxed) > 50);
        replica.replica_bootstrap_from_snapshot().unwrap();
        replica.start_follower(FollowerOptions::default()).unwrap();
        let before = done[1].load(Ordering::Relaxed);
        eventually("the writers go on", || done[1].load(Ordering::Relaxed) > before + 500);
    });
    let token = primary.last_commit_token().unwrap();
    assert!(replica.wait_for_token(token, 60_000).unwrap());
    eventually("it says so", || replica_status(&replica).lag_frames == 0);
    expect_equal(&replica, &primary, written);
}
