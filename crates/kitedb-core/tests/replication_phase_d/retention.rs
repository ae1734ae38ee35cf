//! Retention: what keeps frames, what lets them go, and that the floor never claims more than was pruned.

use crate::support_replication::{
    Graph, Machine, catch_up, expect_error, expect_following, expect_needs_reseed, primary_status, replica_status,
};
use kitedb_core::{
    Database, ErrorCode, HoldState, OpenOptions, ReplicationRole, SyncMode,
    io::sim::{Crash, FaultOn, FaultPlan, Loss},
};
use std::io;

fn machine() -> Machine {
    Machine::new("primary", 1, SyncMode::Full)
}

/// One frame in each segment.
fn options(machine: &Machine, min_entries: u64) -> OpenOptions {
    machine
        .options(ReplicationRole::Primary)
        .replication_segment_max_bytes(1)
        .replication_retention_min_entries(min_entries)
}

fn hold_of(primary: &Database, id: &str) -> HoldState {
    let lags = primary_status(primary).replica_lags;
    lags.into_iter().find(|lag| lag.replica_id == id).expect("it has reported").hold
}

/// The example of the specification.
#[test]
fn six_commits_a_window_of_two_and_a_replica_at_two() {
    let a = machine();
    let (primary, mut graph) = (a.open(options(&a, 2)).unwrap(), Graph::new(1));
    graph.grow(&primary, 6);
    primary.primary_report_replica_progress("replica-a", 1, 2).unwrap();
    let outcome = primary.primary_run_retention().unwrap();
    assert_eq!((outcome.pruned_segments, outcome.retained_floor), (2, 3));
    let status = primary_status(&primary);
    assert_eq!((status.retained_floor, status.head_log_index), (3, 6));
    assert_eq!(hold_of(&primary, "replica-a"), HoldState::Held);

    // Nothing more to do: it says the same again.
    let outcome = primary.primary_run_retention().unwrap();
    assert_eq!((outcome.pruned_segments, outcome.retained_floor), (0, 3));
    graph.expect_all(&primary);

    // A replica that stands there is served: it got so far, and goes on.
    let b = Machine::new("b", 2, SyncMode::Full);
    expect_error(b.replica_of(&a).replica_catch_up_once(1), ErrorCode::NeedsReseed, "below retained floor");
}

#[test]
fn the_window_of_entries_is_kept_without_any_replica() {
    for (entries, floor) in [(0, 6), (1, 5), (2, 4), (5, 0), (1000, 0)] {
        let a = machine();
        let (primary, mut graph) = (a.open(options(&a, entries)).unwrap(), Graph::new(2));
        graph.grow(&primary, 6);
        let outcome = primary.primary_run_retention().unwrap();
        assert_eq!(outcome.retained_floor, floor, "{entries} entries");
        assert_eq!(outcome.pruned_segments, floor.saturating_sub(1), "{entries} entries");
    }
}

/// Segments go as a whole, and the one that is being written stays, whatever the floor could be.
#[test]
fn the_floor_never_claims_more_than_was_pruned() {
    for segment_bytes in [600, 2_000, 1 << 20] {
        let a = machine();
        let options = options(&a, 0).replication_segment_max_bytes(segment_bytes);
        let (primary, mut graph) = (a.open(options).unwrap(), Graph::new(3));
        let mut pruned = 0;
        for _ in 0..10 {
            graph.grow(&primary, 3);
            let outcome = primary.primary_run_retention().unwrap();
            pruned += outcome.pruned_segments;
            let status = primary_status(&primary);
            assert_eq!(status.retained_floor, outcome.retained_floor);
            assert_eq!(status.segments, a.segments().len() as u64);
            // Whoever stands right before the floor is served; and the floor is 0 until something went.
            assert_eq!(outcome.retained_floor == 0, pruned == 0, "{outcome:?}");
            let replica = Machine::new("replica", 9, SyncMode::Off).replica_of(&a);
            if pruned == 0 {
                catch_up(&replica);
                graph.expect_all(&replica);
            } else {
                expect_error(replica.replica_catch_up_once(1), ErrorCode::NeedsReseed, "below retained floor");
            }
            assert!(primary.primary_remove_replica(&replica_status(&replica).replica_id).unwrap());
        }
        assert_eq!(pruned == 0, segment_bytes == 1 << 20);
        graph.expect_all(&primary);
    }
}

#[test]
fn the_slowest_replica_holds_the_log_until_it_is_removed() {
    let a = machine();
    let [fast, slow] = [Machine::new("fast", 2, SyncMode::Full), Machine::new("slow", 3, SyncMode::Full)];
    let (primary, mut graph) = (a.open(options(&a, 0)).unwrap(), Graph::new(4));
    let (fast, slow) = (fast.replica_of(&a), slow.replica_of(&a));
    graph.grow(&primary, 8);
    catch_up(&fast);
    assert_eq!(slow.replica_catch_up_once(3).unwrap(), 3);
    assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 4);
    assert_eq!(slow.replica_catch_up_once(1).unwrap(), 1);
    assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 5);
    let id = replica_status(&slow).replica_id;
    assert_eq!(hold_of(&primary, &id), HoldState::Held);

    assert!(primary.primary_remove_replica(&id).unwrap());
    assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 8);
    expect_error(slow.replica_catch_up_once(1), ErrorCode::NeedsReseed, "below retained floor");
    expect_needs_reseed(&slow);
    // It keeps its place in the list, as one that is lost.
    let lags = primary_status(&primary).replica_lags;
    assert_eq!(lags.len(), 2);
    assert_eq!(hold_of(&primary, &id), HoldState::Lost);
    // One that is lost holds nothing.
    graph.grow(&primary, 3);
    catch_up(&fast);
    assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 11);

    slow.replica_reseed_from_snapshot().unwrap();
    graph.expect_all(&slow);
    expect_following(&slow, &primary);
    assert_eq!(hold_of(&primary, &id), HoldState::Held);
}

/// What counts is what is durable at the replica: it may lose the rest, and come back for it.
#[test]
fn what_a_replica_may_still_lose_is_kept_for_it() {
    let a = machine();
    let b = Machine::new("replica", 2, SyncMode::Off);
    let (primary, mut graph) = (a.open(options(&a, 0)).unwrap(), Graph::new(5));
    let replica = b.replica_of(&a);
    graph.grow(&primary, 4);
    catch_up(&replica);
    replica.sync().unwrap();
    graph.grow(&primary, 5);
    catch_up(&replica);
    primary.primary_run_retention().unwrap();
    let b = b.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
    drop(replica);
    let replica = b.replica_of(&a);
    assert!(replica_status(&replica).applied_log_index < 9);
    catch_up(&replica);
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
}

#[test]
fn the_window_of_time_is_kept() {
    let a = machine();
    let (primary, mut graph) = (a.open(options(&a, 0).replication_retention_min_ms(1_000)).unwrap(), Graph::new(6));
    graph.grow(&primary, 3);
    a.host.advance_ms(600);
    graph.grow(&primary, 3);
    assert_eq!(primary.primary_run_retention().unwrap().pruned_segments, 0);
    a.host.advance_ms(500);
    // The first three are older than a second; a segment's age is that of the last frame that it can hold.
    let outcome = primary.primary_run_retention().unwrap();
    assert!((2..=3).contains(&outcome.pruned_segments), "{outcome:?}");
    assert_eq!(outcome.retained_floor, outcome.pruned_segments + 1);
    a.host.advance_ms(5_000);
    assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 6);
    // A clock that goes back only keeps more.
    graph.grow(&primary, 3);
    a.host.set_now_ms(5);
    assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 6);
}

#[test]
fn beyond_the_cap_in_bytes_the_slowest_is_let_go() {
    let a = machine();
    let b = Machine::new("replica", 2, SyncMode::Full);
    // Some three segments' worth, with what they are filled ahead.
    let cap = {
        let probe = Machine::new("probe", 3, SyncMode::Full);
        let (primary, mut graph) = (probe.open(options(&probe, 0)).unwrap(), Graph::new(7));
        graph.grow(&primary, 3);
        primary_status(&primary).log_bytes
    };
    let options = options(&a, 1000).replication_retention_max_bytes(cap);
    let (primary, mut graph) = (a.open(options).unwrap(), Graph::new(7));
    let replica = b.replica_of(&a);
    graph.grow(&primary, 2);
    assert_eq!(replica.replica_catch_up_once(1).unwrap(), 1);
    let id = replica_status(&replica).replica_id;
    assert_eq!(primary.primary_run_retention().unwrap().pruned_segments, 0);
    assert_eq!(hold_of(&primary, &id), HoldState::Held);

    graph.grow(&primary, 10);
    // Nothing holds it any more, though it is still there.
    assert!(primary_status(&primary).log_bytes > cap);
    assert_eq!(hold_of(&primary, &id), HoldState::AtRisk);
    primary.primary_run_retention().unwrap();
    assert!(primary_status(&primary).log_bytes <= cap);
    assert_eq!(hold_of(&primary, &id), HoldState::Lost);
    expect_error(replica.replica_catch_up_once(1), ErrorCode::NeedsReseed, "below retained floor");
    replica.replica_reseed_from_snapshot().unwrap();
    graph.expect_all(&replica);
}

#[test]
fn a_replica_beyond_the_lag_objective_no_longer_holds_the_log() {
    let a = machine();
    let b = Machine::new("replica", 2, SyncMode::Full);
    let options = options(&a, 0).replication_retention_max_lag_ms(10_000);
    let (primary, mut graph) = (a.open(options).unwrap(), Graph::new(8));
    let replica = b.replica_of(&a);
    let id = replica_status(&replica).replica_id;
    graph.grow(&primary, 6);
    assert_eq!(replica.replica_catch_up_once(2).unwrap(), 2);
    a.host.advance_ms(9_000);
    assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 3);
    let lag = primary_status(&primary).replica_lags.remove(0);
    assert_eq!((lag.hold, lag.lag_frames), (HoldState::Held, 4));
    assert!((9_000..10_000).contains(&lag.lag_ms), "{lag:?}");

    a.host.advance_ms(2_000);
    assert_eq!(hold_of(&primary, &id), HoldState::AtRisk);
    // It may still make it.
    assert_eq!(replica.replica_catch_up_once(1).unwrap(), 1);
    assert_eq!(hold_of(&primary, &id), HoldState::AtRisk);
    assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 6);
    assert_eq!(hold_of(&primary, &id), HoldState::Lost);
    expect_error(replica.replica_catch_up_once(1), ErrorCode::NeedsReseed, "needs reseed");

    replica.replica_reseed_from_snapshot().unwrap();
    assert_eq!(hold_of(&primary, &id), HoldState::Held);
    // One that misses nothing lags by nothing, however long ago that was.
    a.host.advance_ms(1_000_000);
    assert_eq!(hold_of(&primary, &id), HoldState::Held);
    assert_eq!(primary_status(&primary).replica_lags[0].lag_ms, 0);
}

/// No segment goes that recovery still needs: a checkpoint comes first.
#[test]
fn where_recovery_holds_the_log_a_checkpoint_is_made_first() {
    for crash in crate::support_replication::CRASHES {
        let a = machine();
        let (primary, mut graph) = (a.open(options(&a, 0)).unwrap(), Graph::new(9));
        graph.grow(&primary, 6);
        let before = primary.stats().unwrap();
        let outcome = primary.primary_run_retention().unwrap();
        assert_eq!(outcome.retained_floor, 6);
        assert!(primary.stats().unwrap().checkpoints > before.checkpoints);
        graph.grow(&primary, 2);
        let a = a.restart(crash);
        drop(primary);
        let primary = a.open(options(&a, 0)).unwrap();
        graph.expect_all(&primary);
        assert_eq!(primary_status(&primary).retained_floor, 6);
        graph.grow(&primary, 1);
        graph.expect_all(&primary);
    }
}

/// Where nothing is to go, none is made.
#[test]
fn where_nothing_goes_nothing_is_written() {
    let a = machine();
    let (primary, mut graph) = (a.open(options(&a, 100)).unwrap(), Graph::new(10));
    graph.grow(&primary, 6);
    let ops = a.disk.ops();
    assert_eq!(primary.primary_run_retention().unwrap().pruned_segments, 0);
    assert_eq!(a.disk.ops(), ops);
}

#[test]
fn the_floor_survives_closing_and_reopening() {
    let a = machine();
    let b = Machine::new("replica", 2, SyncMode::Full);
    let (primary, mut graph) = (a.open(options(&a, 2)).unwrap(), Graph::new(11));
    graph.grow(&primary, 10);
    assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 8);
    primary.close().unwrap();
    let primary = a.open(options(&a, 2)).unwrap();
    assert_eq!(primary_status(&primary).retained_floor, 8);
    graph.grow(&primary, 2);
    assert_eq!(primary_status(&primary).retained_floor, 8);
    assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 10);
    let replica = b.replica_of(&a);
    replica.replica_bootstrap_from_snapshot().unwrap();
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
}

/// The floor is what is there, also if a file could not be removed.
#[test]
fn a_segment_that_cannot_be_removed_stays_and_counts() {
    let a = machine();
    let (primary, mut graph) = (a.open(options(&a, 0)).unwrap(), Graph::new(12));
    graph.grow(&primary, 8);
    primary.checkpoint().unwrap();
    a.disk.fail(FaultPlan::new(FaultOn::Name, 3, io::ErrorKind::PermissionDenied).on_path("segment-"));
    expect_error(primary.primary_run_retention(), ErrorCode::PermissionDenied, "remove log segment");
    let floor = primary_status(&primary).retained_floor;
    let replica = Machine::new("replica", 2, SyncMode::Full).replica_of(&a);
    expect_error(replica.replica_catch_up_once(1), ErrorCode::NeedsReseed, "needs reseed");
    assert_eq!(floor, 3);
    // The next run takes the rest.
    assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 8);
    graph.grow(&primary, 2);
    let a = a.restart(Crash::Kill);
    drop(primary);
    graph.expect_all(&a.open(options(&a, 0)).unwrap());
}

/// A crash at every operation of a retention run: what the primary knows is never lost, and the floor is right.
#[test]
fn a_crash_anywhere_in_a_retention_run() {
    for op in 1.. {
        let a = machine();
        let (primary, mut graph) = (a.open(options(&a, 2)).unwrap(), Graph::new(13));
        graph.grow(&primary, 8);
        a.disk.crash_at(a.disk.ops() + op);
        let done = primary.primary_run_retention();
        if !a.disk.crashed() {
            done.unwrap();
            assert!(op > 5, "{op} operations");
            break;
        }
        for crash in crate::support_replication::CRASHES {
            let a = a.restart(crash);
            let primary = a.open(options(&a, 2)).unwrap_or_else(|e| panic!("{op}, {crash:?}: {e:?}"));
            graph.expect_all(&primary);
            let floor = primary_status(&primary).retained_floor;
            assert!(floor <= 6, "{op}, {crash:?}: {floor}");
            let replica = Machine::new("replica", 2, SyncMode::Off).replica_of(&a);
            if floor <= 1 {
                catch_up(&replica);
            } else {
                expect_error(replica.replica_catch_up_once(1), ErrorCode::NeedsReseed, "needs reseed");
                replica.replica_reseed_from_snapshot().unwrap();
            }
            graph.expect_all(&replica);
            primary.primary_remove_replica(&replica_status(&replica).replica_id).unwrap();
            assert_eq!(primary.primary_run_retention().unwrap().retained_floor, 6, "{op}, {crash:?}");
            let mut graph = graph.clone();
            graph.grow(&primary, 1);
            graph.expect_all(&primary);
        }
    }
}

#[test]
fn it_runs_by_itself_if_asked_to() {
    use crate::support_replication::folder::{Folder, commit_item, eventually, primary_options};
    let folder = Folder::new();
    let options = primary_options(SyncMode::Off)
        .replication_segment_max_bytes(1)
        .replication_retention_min_entries(3)
        .replication_retention_interval_ms(1);
    let primary = Database::open(folder.path("primary"), options).unwrap();
    for n in 1..=20 {
        commit_item(&primary, "w", n).unwrap();
    }
    eventually("the log is cut", || primary_status(&primary).retained_floor == 17);
    primary.close().unwrap();
}

/// The age window, the entries window and the slowest replica all hold: the one that asks for most wins.
#[test]
fn what_asks_for_most_wins() {
    for (entries, replica, ms, floor) in [
        (2, Some(8), None, 8),
        (6, Some(8), None, 4),
        (6, Some(1), None, 2),
        (0, Some(10), Some(1_000_000), 0),
        (0, Some(10), None, 10),
        (0, Some(0), None, 0),
    ] {
        let a = machine();
        let options = options(&a, entries);
        let options = match ms {
            Some(ms) => options.replication_retention_min_ms(ms),
            None => options,
        };
        let (primary, mut graph) = (a.open(options).unwrap(), Graph::new(14));
        graph.grow(&primary, 10);
        if let Some(at) = replica {
            primary.primary_report_replica_progress("r", 1, at).unwrap();
        }
        a.host.advance_ms(60_000);
        let outcome = primary.primary_run_retention().unwrap();
        assert_eq!(outcome.retained_floor, floor, "{entries} entries, {replica:?}, {ms:?}");
    }
}
