//! Waiting for a token on a replica: reached, timed out, epoch changed, needs reseed.

use crate::support_replication::{
    Graph, Machine, catch_up,
    folder::{Folder, commit_item, commit_items},
    replica_status,
};
use kitedb_core::{
    Epoch, ErrorCode, FollowerOptions, LogIndex, ReplicationRole, SyncMode, Token, TokenWait,
    io::sim::{Crash, Loss},
};
use std::{thread, time::Duration};

fn token(epoch: u64, index: u64) -> Token {
    Token::new(Epoch(epoch), LogIndex(index))
}

#[test]
fn it_never_pulls_by_itself() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let (primary, mut graph) = (a.primary(), Graph::new(1));
    let replica = b.replica_of(&a);
    let last = graph.grow(&primary, 3);
    assert_eq!(replica.wait_for_token_outcome(last, 0).unwrap(), TokenWait::TimedOut);
    assert_eq!(replica.wait_for_token_outcome(last, 20).unwrap(), TokenWait::TimedOut);
    assert!(!replica.wait_for_token(last, 1).unwrap());
    replica.replica_catch_up_once(2).unwrap();
    assert!(replica.wait_for_token(token(1, 2), 0).unwrap());
    assert!(!replica.wait_for_token(last, 0).unwrap());
    catch_up(&replica);
    for index in 0..=3 {
        assert_eq!(replica.wait_for_token_outcome(token(1, index), 0).unwrap(), TokenWait::Reached);
    }
    assert!(!replica.wait_for_token(token(1, 4), 0).unwrap());
}

#[test]
fn it_is_woken_by_what_it_waits_for_and_holds_no_view() {
    let folder = Folder::new();
    let primary = folder.primary("primary", SyncMode::Off);
    let replica = folder.replica("replica", "primary", SyncMode::Off);
    thread::scope(|scope| {
        let waiting: Vec<_> = (1..=20)
            .map(|n| {
                let replica = &replica;
                scope.spawn(move || replica.wait_for_token_outcome(token(1, n), 60_000).unwrap())
            })
            .collect();
        thread::sleep(Duration::from_millis(10));
        assert_eq!(replica.stats().unwrap().oldest_pin_ms, None);
        replica.start_follower(FollowerOptions::default()).unwrap();
        for n in 1..=20 {
            commit_item(&primary, "w", n).unwrap();
        }
        for waiter in waiting {
            assert_eq!(waiter.join().unwrap(), TokenWait::Reached);
        }
    });
}

#[test]
fn a_bootstrap_reaches_tokens_too() {
    let folder = Folder::new();
    let primary = folder.primary("primary", SyncMode::Off);
    let replica = folder.replica("replica", "primary", SyncMode::Off);
    let last = commit_items(&primary, "w", 20);
    primary.checkpoint().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| replica.wait_for_token_outcome(last, 60_000).unwrap());
        thread::sleep(Duration::from_millis(10));
        replica.replica_bootstrap_from_snapshot().unwrap();
        assert_eq!(waiting.join().unwrap(), TokenWait::Reached);
    });
    // Also those of before the snapshot.
    assert!(replica.wait_for_token(token(1, 3), 0).unwrap());
    assert!(!replica.wait_for_token(token(1, 21), 0).unwrap());
}

#[test]
fn tokens_of_another_epoch_are_told_apart() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let (primary, mut graph) = (a.primary(), Graph::new(2));
    let replica = b.replica_of(&a);
    graph.grow(&primary, 3);
    primary.primary_promote_to_next_epoch().unwrap();
    let last = graph.grow(&primary, 2);
    assert_eq!(last, token(2, 5));
    catch_up(&replica);
    for (asked, expected) in [
        (token(1, 3), TokenWait::Reached),
        (token(2, 4), TokenWait::Reached),
        (token(2, 5), TokenWait::Reached),
        // What epoch 1 would have called its fourth commit is not on this history.
        (token(1, 4), TokenWait::EpochChanged),
        (token(1, 5), TokenWait::EpochChanged),
        (token(1, 6), TokenWait::EpochChanged),
        (token(2, 3), TokenWait::EpochChanged),
        (token(2, 6), TokenWait::TimedOut),
        (token(3, 6), TokenWait::TimedOut),
    ] {
        assert_eq!(replica.wait_for_token_outcome(asked, 0).unwrap(), expected, "{asked}");
        assert_eq!(replica.wait_for_token(asked, 0).unwrap(), expected == TokenWait::Reached);
        assert_eq!(primary.wait_for_token_outcome(asked, 0).unwrap(), expected, "{asked} on the primary");
    }
}

/// Someone waits for a commit that the primary's machine then loses.
#[test]
fn a_wait_ends_when_the_epoch_changes_under_it() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Off), Machine::new("replica", 2, SyncMode::Off));
    let (primary, mut graph) = (a.primary(), Graph::new(3));
    graph.grow(&primary, 3);
    primary.sync().unwrap();
    let kept = graph.head();
    let replica = b.replica_of(&a);
    catch_up(&replica);
    let lost = graph.grow(&primary, 3);
    let a = a.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
    drop(primary);
    replica.close().unwrap();
    let primary = a.primary();
    let after = primary.last_commit_token().unwrap().log_index.0;
    assert!(after >= kept && after < lost.log_index.0);
    graph.cut(after);
    let replica = b.replica_of(&a);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| replica.wait_for_token_outcome(lost, 60_000).unwrap());
        graph.grow(&primary, 5);
        thread::sleep(Duration::from_millis(10));
        catch_up(&replica);
        assert_eq!(waiting.join().unwrap(), TokenWait::EpochChanged);
    });
    graph.expect_all(&replica);
}

#[test]
fn a_wait_ends_when_a_reseed_is_needed() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let options = a.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
    let (primary, mut graph) = (a.open(options.replication_retention_min_entries(0)).unwrap(), Graph::new(4));
    let last = graph.grow(&primary, 5);
    primary.primary_run_retention().unwrap();
    let replica = b.replica_of(&a);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| replica.wait_for_token_outcome(last, 60_000).unwrap());
        thread::sleep(Duration::from_millis(10));
        replica.replica_catch_up_once(1).unwrap_err();
        assert_eq!(waiting.join().unwrap(), TokenWait::NeedsReseed);
    });
    assert!(!replica.wait_for_token(last, 60_000).unwrap(), "at once");
    replica.replica_reseed_from_snapshot().unwrap();
    assert!(replica.wait_for_token(last, 0).unwrap());
    assert!(!replica_status(&replica).needs_reseed);
}

#[test]
fn a_wait_ends_with_the_database() {
    let folder = Folder::new();
    let _primary = folder.primary("primary", SyncMode::Off);
    let replica = folder.replica("replica", "primary", SyncMode::Off);
    let other = replica.clone();
    thread::scope(|scope| {
        let waiting = scope.spawn(move || other.wait_for_token_outcome(token(1, 1), 3_600_000));
        thread::sleep(Duration::from_millis(10));
        replica.close().unwrap();
        assert_eq!(waiting.join().unwrap().unwrap_err().code(), ErrorCode::Closed);
    });
}
