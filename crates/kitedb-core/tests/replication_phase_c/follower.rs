//! The background follower: woken by its source, backing off where that fails, ended by close, never silent.

use crate::{
    support_process::dump,
    support_replication::{
        MODES, expect_error, expect_following,
        folder::{Folder, commit_item, eventually, primary_options, replica_options, sidecar_of},
        replica_status,
    },
};
use kitedb_core::{Database, ErrorCode, FollowerOptions, ReplicaState, SyncMode};
use std::{fs, sync::mpsc, thread, time::Duration};

/// A follower that is only ever woken: by itself it would look again after an hour.
fn only_woken() -> FollowerOptions {
    FollowerOptions::new().poll_ms(3_600_000)
}

fn expect_equal(replica: &Database, primary: &Database) {
    assert_eq!(dump(&replica.snapshot().unwrap()), dump(&primary.snapshot().unwrap()));
}

#[test]
fn each_commit_wakes_it() {
    for mode in MODES {
        let folder = Folder::new();
        let primary = folder.primary("primary", mode);
        let replica = folder.replica("replica", "primary", mode);
        assert!(!replica_status(&replica).follower_running);
        replica.start_follower(only_woken()).unwrap();
        for n in 1..=50 {
            let token = commit_item(&primary, "w", n).unwrap();
            assert!(replica.wait_for_token(token, 30_000).unwrap(), "commit {n} never came");
        }
        eventually("it says that it follows", || replica_status(&replica).state == ReplicaState::Following);
        assert!(replica_status(&replica).follower_running);
        expect_equal(&replica, &primary);
        eventually("it has settled", || replica_status(&replica).lag_frames == 0);
        expect_following(&replica, &primary);
    }
}

#[test]
fn a_chain_of_followers_passes_each_commit_on() {
    let folder = Folder::new();
    let primary = folder.primary("primary", SyncMode::Off);
    let middle = folder.replica("middle", "primary", SyncMode::Off);
    let last = folder.replica("last", "middle", SyncMode::Off);
    middle.start_follower(only_woken()).unwrap();
    last.start_follower(only_woken()).unwrap();
    for n in 1..=50 {
        let token = commit_item(&primary, "w", n).unwrap();
        assert!(last.wait_for_token(token, 30_000).unwrap(), "commit {n} never came");
    }
    expect_equal(&last, &primary);
}

#[test]
fn where_its_source_is_gone_it_says_so_and_goes_on_when_it_is_back() {
    let folder = Folder::new();
    let primary = folder.primary("primary", SyncMode::Full);
    let replica = folder.replica("replica", "primary", SyncMode::Full);
    let quick = FollowerOptions::new().poll_ms(5).backoff_ms(1).backoff_max_ms(20);
    replica.start_follower(quick).unwrap();
    let token = commit_item(&primary, "w", 1).unwrap();
    assert!(replica.wait_for_token(token, 30_000).unwrap());
    replica.stop_follower().unwrap();
    primary.close().unwrap();

    let (sidecar, away) = (sidecar_of(&folder.path("primary")), folder.path("away"));
    replica.close().unwrap();
    fs::rename(&sidecar, &away).unwrap();
    let replica = folder.replica("replica", "primary", SyncMode::Full);
    replica.start_follower(quick).unwrap();
    eventually("it stalls", || replica_status(&replica).state == ReplicaState::Stalled);
    let status = replica_status(&replica);
    assert!(status.last_error.is_some() && !status.needs_reseed && status.follower_running, "{status:?}");
    assert!(status.state_since_ms > 0);

    fs::rename(&away, &sidecar).unwrap();
    let primary = folder.primary("primary", SyncMode::Full);
    let token = commit_item(&primary, "w", 2).unwrap();
    assert!(replica.wait_for_token(token, 30_000).unwrap());
    eventually("it has recovered", || replica_status(&replica).state == ReplicaState::Following);
    assert_eq!(replica_status(&replica).last_error, None);
    expect_equal(&replica, &primary);
}

/// It does not end when a reseed is needed: it goes on after one.
#[test]
fn after_a_reseed_it_goes_on_by_itself() {
    let folder = Folder::new();
    let options = primary_options(SyncMode::Full).replication_segment_max_bytes(1).replication_retention_min_entries(0);
    let primary = Database::open(folder.path("primary"), options).unwrap();
    for n in 1..=6 {
        commit_item(&primary, "w", n).unwrap();
    }
    primary.primary_run_retention().unwrap();
    let replica = folder.replica("replica", "primary", SyncMode::Full);
    replica.start_follower(only_woken().backoff_ms(1).backoff_max_ms(10)).unwrap();
    eventually("it needs a reseed", || replica_status(&replica).needs_reseed);
    let status = replica_status(&replica);
    assert_eq!(status.state, ReplicaState::NeedsReseed);
    assert!(status.follower_running);
    assert!(status.last_error.is_some_and(|e| e.contains("needs reseed")));

    replica.replica_reseed_from_snapshot().unwrap();
    let token = commit_item(&primary, "w", 7).unwrap();
    assert!(replica.wait_for_token(token, 30_000).unwrap());
    eventually("it follows", || replica_status(&replica).state == ReplicaState::Following);
    assert!(replica_status(&replica).follower_running);
    expect_equal(&replica, &primary);
}

#[test]
fn it_can_be_stopped_and_started_again() {
    let folder = Folder::new();
    let primary = folder.primary("primary", SyncMode::Off);
    let replica = folder.replica("replica", "primary", SyncMode::Off);
    for n in 1..=3 {
        replica.start_follower(only_woken()).unwrap();
        replica.start_follower(only_woken()).unwrap();
        let token = commit_item(&primary, "w", 2 * n - 1).unwrap();
        assert!(replica.wait_for_token(token, 30_000).unwrap());
        replica.stop_follower().unwrap();
        replica.stop_follower().unwrap();
        assert!(!replica_status(&replica).follower_running);
        let token = commit_item(&primary, "w", 2 * n).unwrap();
        assert!(!replica.wait_for_token(token, 0).unwrap());
        assert_eq!(replica.replica_catch_up_once(10).unwrap(), 1);
    }
}

/// Whatever it is doing, a close does not wait for its source.
#[test]
fn close_ends_it() {
    for stalled in [false, true] {
        let folder = Folder::new();
        let primary = folder.primary("primary", SyncMode::Off);
        commit_item(&primary, "w", 1).unwrap();
        let replica = folder.replica("replica", "primary", SyncMode::Off);
        if stalled {
            primary.clone().close().unwrap();
            fs::remove_dir_all(sidecar_of(&folder.path("primary"))).unwrap();
        }
        let long = only_woken().backoff_ms(3_600_000).backoff_max_ms(3_600_000);
        replica.start_follower(long).unwrap();
        if stalled {
            eventually("it stalls", || replica_status(&replica).state == ReplicaState::Stalled);
        } else {
            eventually("it follows", || replica_status(&replica).state == ReplicaState::Following);
        }
        let other = replica.clone();
        let (closed, heard) = mpsc::channel();
        let closing = thread::spawn(move || {
            replica.close().unwrap();
            closed.send(()).unwrap();
        });
        heard.recv_timeout(Duration::from_secs(60)).expect("close must not wait for the source");
        closing.join().unwrap();
        expect_error(other.replica_catch_up_once(1), ErrorCode::Closed, "closed");
        expect_error(other.start_follower(only_woken()), ErrorCode::Closed, "closed");
        drop(other);
        // Nothing of it is left: the file can be opened otherwise.
        let options = primary_options(SyncMode::Full);
        Database::open(folder.path("replica"), options).unwrap();
    }
}

#[test]
fn dropping_the_last_handle_ends_it() {
    let folder = Folder::new();
    let primary = folder.primary("primary", SyncMode::Off);
    commit_item(&primary, "w", 1).unwrap();
    let replica = folder.replica("replica", "primary", SyncMode::Off);
    replica.start_follower(only_woken()).unwrap();
    let second =
        Database::open(folder.path("replica"), replica_options(SyncMode::Off, &folder.path("primary"))).unwrap();
    drop(replica);
    // Another handle of the same process still follows.
    let token = commit_item(&primary, "w", 2).unwrap();
    assert!(second.wait_for_token(token, 30_000).unwrap());
    drop(second);
    let options = primary_options(SyncMode::Full);
    Database::open(folder.path("replica"), options).unwrap();
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let folder = Folder::new();
    let primary = folder.primary("primary", SyncMode::Off);
    let replica = folder.replica("replica", "primary", SyncMode::Off);
    let good = FollowerOptions::default();
    for bad in [good.max_frames(0), good.poll_ms(0), good.backoff_ms(0)] {
        expect_error(replica.start_follower(bad), ErrorCode::InvalidOption, "at least 1");
    }
    expect_error(primary.start_follower(good), ErrorCode::NotReplica, "not opened in replica role");
}

/// Frames come in pages, so that a long backlog does not keep a stop waiting.
#[test]
fn a_long_backlog_is_worked_off_in_pages() {
    let folder = Folder::new();
    let primary = folder.primary("primary", SyncMode::Off);
    for n in 1..=200 {
        commit_item(&primary, "w", n).unwrap();
    }
    let replica = folder.replica("replica", "primary", SyncMode::Off);
    replica.start_follower(only_woken().max_frames(1)).unwrap();
    let token = primary.last_commit_token().unwrap();
    assert!(replica.wait_for_token(token, 60_000).unwrap());
    expect_equal(&replica, &primary);
}
