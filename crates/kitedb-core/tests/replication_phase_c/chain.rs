//! Replicas that follow a replica.

use crate::support_replication::{Graph, MODES, Machine, catch_up, expect_error, expect_needs_reseed, replica_status};
use kitedb_core::{
    ErrorCode, ReplicaState, ReplicationRole, SyncMode,
    io::sim::{Crash, Loss},
};

fn machines(mode: SyncMode) -> [Machine; 3] {
    [Machine::new("primary", 1, mode), Machine::new("middle", 2, mode), Machine::new("last", 3, mode)]
}

#[test]
fn a_replica_of_a_replica_gets_every_commit() {
    for mode in MODES {
        let [a, b, c] = machines(mode);
        let (primary, mut graph) = (a.primary(), Graph::new(1));
        graph.grow(&primary, 10);
        primary.checkpoint().unwrap();
        graph.grow(&primary, 5);
        let middle = b.replica_of(&a);
        middle.replica_bootstrap_from_snapshot().unwrap();
        let last = c.replica_of(&b);
        last.replica_bootstrap_from_snapshot().unwrap();
        graph.expect_all(&last);
        for _ in 0..3 {
            graph.grow(&primary, 4);
            // It sees what the middle one has, and no more.
            assert_eq!(catch_up(&last), 0);
            assert_eq!(replica_status(&last).state, ReplicaState::Following);
            assert_eq!(catch_up(&middle), 4);
            assert_eq!(catch_up(&last), 4);
            graph.expect_all(&last);
            assert_eq!(replica_status(&last).digest, replica_status(&middle).digest);
        }
        // Epochs travel along.
        primary.primary_promote_to_next_epoch().unwrap();
        graph.grow(&primary, 2);
        catch_up(&middle);
        catch_up(&last);
        graph.expect_all(&last);
        assert_eq!(replica_status(&last).applied_epoch, 2);
        drop((middle, last));
        let last = c.replica_of(&b);
        graph.expect_all(&last);
        b.replica_of(&a);
        assert_eq!(catch_up(&last), 0);
    }
}

#[test]
fn one_can_be_chained_without_a_bootstrap() {
    let [a, b, c] = machines(SyncMode::Off);
    let (primary, mut graph) = (a.primary(), Graph::new(2));
    graph.grow(&primary, 20);
    let (middle, last) = (b.replica_of(&a), c.replica_of(&b));
    catch_up(&middle);
    assert_eq!(catch_up(&last), 20);
    graph.expect_all(&last);
}

#[test]
fn it_can_be_repointed_past_the_middle_and_back() {
    let [a, ..] = machines(SyncMode::Full);
    // On one machine, so that all paths can be reached.
    let near = |name| Machine { name, ..a.clone() };
    let (b2, c2) = (near("middle"), near("last"));
    let (primary, mut graph) = (a.primary(), Graph::new(3));
    graph.grow(&primary, 10);
    let (middle, last) = (b2.replica_of(&a), c2.replica_of(&b2));
    catch_up(&middle);
    assert_eq!(last.replica_catch_up_once(7).unwrap(), 7);
    last.replica_repoint(a.db(), None).unwrap();
    assert_eq!(replica_status(&last).source_db_path, Some(a.db()));
    graph.grow(&primary, 2);
    assert_eq!(catch_up(&last), 5);
    graph.expect_all(&last);

    // Ahead of another replica: it waits.
    last.replica_repoint(b2.db(), Some(b2.sidecar())).unwrap();
    assert_eq!(catch_up(&last), 0);
    assert!(!replica_status(&last).needs_reseed);
    graph.grow(&primary, 1);
    catch_up(&middle);
    assert_eq!(catch_up(&last), 1);
    graph.expect_all(&last);
}

/// The middle one lost what it had not synced; it gets it again from the primary, so the last one only waits.
#[test]
fn one_that_is_ahead_of_a_replica_waits_for_it() {
    let [a, b, c] = machines(SyncMode::Off);
    let (primary, mut graph) = (a.primary(), Graph::new(4));
    graph.grow(&primary, 5);
    let (middle, last) = (b.replica_of(&a), c.replica_of(&b));
    catch_up(&middle);
    middle.sync().unwrap();
    graph.grow(&primary, 4);
    catch_up(&middle);
    catch_up(&last);
    graph.expect_all(&last);
    last.close().unwrap();
    let b = b.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
    drop(middle);
    let middle = b.replica_of(&a);
    assert!(graph.expect(&middle) < graph.head());

    let last = c.replica_of(&b);
    assert_eq!(last.replica_catch_up_once(10).unwrap(), 0);
    assert!(!replica_status(&last).needs_reseed);
    graph.expect_all(&last);
    catch_up(&middle);
    assert_eq!(last.replica_catch_up_once(10).unwrap(), 0);
    graph.grow(&primary, 3);
    catch_up(&middle);
    assert_eq!(catch_up(&last), 3);
    graph.expect_all(&last);
}

/// The middle one takes over another history; the last one is told, and does not mix the two.
#[test]
fn a_middle_one_that_is_reseeded_takes_its_replicas_along_or_tells_them() {
    let [a, b, c] = machines(SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(5));
    graph.grow(&primary, 10);
    let (middle, last) = (b.replica_of(&a), c.replica_of(&b));
    catch_up(&middle);
    catch_up(&last);

    // From the same history: the log behind the snapshot is gone, but the last one had everything before it.
    middle.replica_reseed_from_snapshot().unwrap();
    graph.grow(&primary, 3);
    catch_up(&middle);
    match last.replica_catch_up_once(10) {
        Ok(3) => graph.expect_all(&last),
        other => {
            expect_error(other, ErrorCode::NeedsReseed, "needs reseed");
            last.replica_reseed_from_snapshot().unwrap();
            graph.expect_all(&last);
        }
    }

    // From another primary altogether.
    let other = Machine::new("other", 9, SyncMode::Full);
    let (stranger, mut strange) = (other.primary(), Graph::new(6));
    strange.grow(&stranger, 30);
    middle.close().unwrap();
    let middle = b.overwritten_by(&other);
    middle.replica_reseed_from_snapshot().unwrap();
    strange.expect_all(&middle);
    strange.grow(&stranger, 2);
    catch_up(&middle);
    expect_error(last.replica_catch_up_once(10), ErrorCode::NeedsReseed, "needs reseed");
    expect_needs_reseed(&last);
    graph.expect_all(&last);
    last.close().unwrap();
    let last = c.overwritten_by(&b);
    last.replica_reseed_from_snapshot().unwrap();
    strange.expect_all(&last);
}

/// A replica's own log is kept for those that follow it, and cut behind them.
#[test]
fn a_replica_keeps_its_log_for_those_that_follow_it() {
    let [a, b, c] = machines(SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(7));
    let options = b.following(&a).replication_segment_max_bytes(1).replication_retention_min_entries(0);
    let middle = b.open_replica_of(&a, options).unwrap();
    let last = c.replica_of(&b);
    graph.grow(&primary, 10);
    catch_up(&middle);
    assert_eq!(last.replica_catch_up_once(4).unwrap(), 4);
    for _ in 0..3 {
        graph.grow(&primary, 5);
        middle.checkpoint().unwrap();
        catch_up(&middle);
    }
    // What the last one has went; what it needs did not.
    assert!(b.segments().len() <= 22, "{:?}", b.segments());
    assert_eq!(catch_up(&last), 21);
    graph.expect_all(&last);
    assert_eq!(middle.replication_role(), ReplicationRole::Replica);
    graph.grow(&primary, 1);
    middle.checkpoint().unwrap();
    catch_up(&middle);
    assert!(b.segments().len() <= 3, "{:?}", b.segments());
}
