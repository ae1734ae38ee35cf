//! Catching up: pages of frames, in every sync mode, across segments, restarts and crashes of either side.

use crate::{
    support::{asked_seed, cases, replayable},
    support_replication::{
        CRASHES, Graph, MODES, Machine, catch_up, expect_error, expect_following, expect_needs_reseed, primary_status,
        replica_status,
    },
};
use kitedb_core::{
    ErrorCode, ReplicaState, ReplicationRole, SyncMode,
    io::sim::{Crash, FaultOn, FaultPlan, Loss},
};
use std::io::ErrorKind;

fn machines(mode: SyncMode) -> (Machine, Machine) {
    (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode))
}

#[test]
fn a_commit_is_visible_with_the_next_poll_in_every_sync_mode() {
    for (of_primary, of_replica) in MODES.into_iter().flat_map(|p| MODES.map(|r| (p, r))) {
        let (a, b) = (Machine::new("primary", 1, of_primary), Machine::new("replica", 2, of_replica));
        let (primary, mut graph) = (a.primary(), Graph::new(1));
        let replica = b.replica_of(&a);
        assert_eq!(replica.replica_catch_up_once(10).unwrap(), 0);
        for _ in 0..20 {
            graph.commit(&primary);
            assert_eq!(replica.replica_catch_up_once(10).unwrap(), 1);
            graph.expect_all(&replica);
            expect_following(&replica, &primary);
        }
    }
}

#[test]
fn no_more_frames_come_than_were_asked_for() {
    let (a, b) = machines(SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(2));
    let replica = b.replica_of(&a);
    graph.grow(&primary, 20);
    // 0 counts as 1.
    let mut shown = 0;
    for (asked, expected) in [(0, 1), (1, 1), (5, 5), (12, 12), (100, 1), (100, 0), (0, 0)] {
        assert_eq!(replica.replica_catch_up_once(asked).unwrap(), expected, "{asked} asked for");
        shown += expected as u64;
        assert_eq!(graph.expect(&replica), shown);
        let status = replica_status(&replica);
        assert_eq!((status.applied_epoch, status.applied_log_index), (1, shown));
        assert_eq!((status.source_head_log_index, status.lag_frames), (20, 20 - shown));
    }
}

#[test]
fn any_size_of_segments_will_do() {
    for (of_primary, of_replica) in [(1, 1), (1, 1 << 20), (1 << 20, 1), (700, 3000), (0, 0)] {
        let (a, b) = machines(SyncMode::Normal);
        let options = a.options(ReplicationRole::Primary).replication_segment_max_bytes(of_primary);
        let (primary, mut graph) = (a.open(options).unwrap(), Graph::new(3));
        let options = b.following(&a).replication_segment_max_bytes(of_replica);
        let replica = b.open_replica_of(&a, options.clone()).unwrap();
        graph.grow(&primary, 30);
        assert_eq!(replica.replica_catch_up_once(7).unwrap(), 7);
        assert_eq!(catch_up(&replica), 23);
        graph.expect_all(&replica);
        expect_following(&replica, &primary);
        drop(replica);
        let replica = b.open_replica_of(&a, options).unwrap();
        graph.expect_all(&replica);
        assert_eq!(catch_up(&replica), 0);
    }
}

/// The durable cursor is the tail of the replica's own log.
#[test]
fn the_cursor_survives_a_reopen_and_a_crash() {
    for mode in MODES {
        for crash in CRASHES {
            let (a, b) = machines(mode);
            let (primary, mut graph) = (a.primary(), Graph::new(4));
            graph.grow(&primary, 12);
            let replica = b.replica_of(&a);
            assert_eq!(replica.replica_catch_up_once(8).unwrap(), 8);
            let b = b.restart(crash);
            drop(replica);
            let replica = b.replica_of(&a);
            let kept = graph.expect(&replica);
            assert_eq!(replica_status(&replica).applied_log_index, kept);
            if mode == SyncMode::Full || crash == Crash::Kill {
                assert_eq!(kept, 8, "{mode:?} {crash:?}");
            }
            assert_eq!(catch_up(&replica) as u64, 12 - kept);
            graph.expect_all(&replica);
            expect_following(&replica, &primary);
        }
    }
}

#[test]
fn checkpoints_of_either_side_change_nothing() {
    let (a, b) = machines(SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(5));
    let replica = b.replica_of(&a);
    for round in 0..8 {
        graph.grow(&primary, 6);
        if round % 2 == 0 {
            primary.checkpoint().unwrap();
        }
        assert_eq!(replica.replica_catch_up_once(5).unwrap(), 5);
        if round % 3 == 0 {
            replica.checkpoint().unwrap();
            replica.compact().unwrap();
        }
        graph.expect(&replica);
    }
    catch_up(&replica);
    graph.expect_all(&replica);
    replica.close().unwrap();
    graph.expect_all(&b.replica_of(&a));
}

#[test]
fn a_primary_may_be_closed_reopened_or_killed_in_between() {
    for mode in MODES {
        let (mut a, b) = machines(mode);
        let (mut primary, mut graph) = (a.primary(), Graph::new(6));
        let mut replica = b.replica_of(&a);
        for round in 0..6 {
            graph.grow(&primary, 4);
            assert_eq!(replica.replica_catch_up_once(3).unwrap(), 3);
            if round % 2 == 0 {
                primary.close().unwrap();
            } else {
                a = a.restart(Crash::Kill);
                drop(primary);
            }
            // Nobody writes there now; what it has published can be read all the same.
            if round % 2 == 0 {
                catch_up(&replica);
                graph.expect_all(&replica);
            }
            primary = a.primary();
            assert_eq!(primary_status(&primary).epoch, 1, "the same machine is still up");
            assert_eq!(primary_status(&primary).head_log_index, graph.head());
            replica.close().unwrap();
            replica = b.replica_of(&a);
            catch_up(&replica);
            graph.expect_all(&replica);
            expect_following(&replica, &primary);
        }
    }
}

/// A loss of power takes what was not synced from a primary; its replica is told, and never merges the two.
#[test]
fn a_replica_that_holds_what_its_primary_lost_needs_a_reseed() {
    for goes_on in [0, 1, 2, 5] {
        let (a, b) = machines(SyncMode::Off);
        let (primary, mut graph) = (a.primary(), Graph::new(7));
        graph.grow(&primary, 5);
        primary.sync().unwrap();
        let durable = graph.head();
        graph.grow(&primary, 2);
        let replica = b.replica_of(&a);
        catch_up(&replica);
        replica.close().unwrap();
        let a = a.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
        drop(primary);
        let primary = a.primary();
        let kept = primary_status(&primary).head_log_index;
        assert!((durable..graph.head()).contains(&kept), "{kept}");
        assert_eq!(primary_status(&primary).epoch, 2, "numbers that someone has seen do not come again");
        let mut after = graph.clone();
        after.cut(kept);
        if goes_on > 0 {
            after.grow(&primary, goes_on);
        }
        let replica = b.replica_of(&a);
        graph.expect_all(&replica);
        expect_error(replica.replica_catch_up_once(10), ErrorCode::NeedsReseed, "needs reseed");
        expect_needs_reseed(&replica);
        graph.expect_all(&replica);

        // What the primary lost, nobody gave up: this is the last copy.
        expect_error(replica.replica_reseed_from_snapshot(), ErrorCode::WouldOverwrite, "would be given up");
        graph.expect_all(&replica);
        replica.close().unwrap();
        let replica = b.overwritten_by(&a);
        replica.replica_reseed_from_snapshot().unwrap();
        after.expect_all(&replica);
        expect_following(&replica, &primary);
        after.grow(&primary, 3);
        assert_eq!(catch_up(&replica), 3);
        after.expect_all(&replica);
    }
}

/// What the source had lost was not yet here: there is nothing to part over.
#[test]
fn a_replica_that_is_behind_what_its_primary_lost_goes_on() {
    let (a, b) = machines(SyncMode::Off);
    let (primary, mut graph) = (a.primary(), Graph::new(8));
    graph.grow(&primary, 5);
    primary.sync().unwrap();
    let replica = b.replica_of(&a);
    assert_eq!(replica.replica_catch_up_once(4).unwrap(), 4);
    graph.grow(&primary, 3);
    replica.close().unwrap();
    let a = a.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
    drop(primary);
    let primary = a.primary();
    graph.cut(primary_status(&primary).head_log_index);
    graph.grow(&primary, 4);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
    assert_eq!(replica_status(&replica).applied_epoch, 2);
}

/// Crashes the replica at every operation of catching up, across segments and a checkpoint.
fn crash_everywhere(name: &str, mode: SyncMode) {
    let seeds = asked_seed().map_or(0..cases(1), |seed| seed..seed + 1);
    for seed in seeds {
        for op in 1.. {
            let (a, b) = machines(mode);
            let (primary, mut graph) = (a.primary(), Graph::new(seed));
            let replica = b.replica_of(&a);
            graph.grow(&primary, 20);
            primary.primary_promote_to_next_epoch().unwrap();
            graph.grow(&primary, 5);
            let start = b.disk.ops();
            b.disk.crash_at(start + op);
            let work = || -> kitedb_core::Result<()> {
                while replica.replica_catch_up_once(3)? > 0 {
                    if replica.snapshot()?.token().log_index.0 == 9 {
                        replica.checkpoint()?;
                    }
                }
                Ok(())
            };
            let done = work();
            if !b.disk.crashed() {
                done.unwrap();
                assert!(op > 20);
                break;
            }
            let acknowledged = replica_status(&replica).applied_log_index;
            drop(replica);
            replayable("replication_phase_c", name, &format!("KITEDB_SEED={seed} # operation {op}"), || {
                for crash in CRASHES {
                    let b = b.restart(crash);
                    let replica = b.try_replica_of(&a).unwrap_or_else(|e| panic!("{op}, {crash:?}: {e:?}"));
                    let status = replica_status(&replica);
                    assert!(!status.needs_reseed, "{op}, {crash:?}: {status:?}");
                    let shown = graph.expect(&replica);
                    if mode == SyncMode::Full || crash == Crash::Kill {
                        assert!(shown >= acknowledged, "{op}, {crash:?}: {shown}, {acknowledged} was shown before");
                    }
                    catch_up(&replica);
                    graph.expect_all(&replica);
                    expect_following(&replica, &primary);
                    b.expect_no_violations();
                }
            });
        }
    }
}

#[test]
fn a_crash_anywhere_leaves_a_prefix_in_full_mode() {
    crash_everywhere("catch_up::a_crash_anywhere_leaves_a_prefix_in_full_mode", SyncMode::Full);
}

#[test]
fn a_crash_anywhere_leaves_a_prefix_in_off_mode() {
    crash_everywhere("catch_up::a_crash_anywhere_leaves_a_prefix_in_off_mode", SyncMode::Off);
}

/// What was applied before a failure stays, the failure is shown, and the next attempt goes on.
#[test]
fn a_source_that_cannot_be_read_is_a_failure_that_passes() {
    let (a, b) = machines(SyncMode::Full);
    let (primary, mut graph) = (a.primary(), Graph::new(9));
    let replica = b.replica_of(&a);
    graph.grow(&primary, 4);
    catch_up(&replica);
    graph.grow(&primary, 4);
    a.disk.fail(FaultPlan::new(FaultOn::Read, 1, ErrorKind::Other).forever());
    expect_error(replica.replica_catch_up_once(10), ErrorCode::Io, "cannot");
    let status = replica_status(&replica);
    assert_eq!((status.state, status.needs_reseed), (ReplicaState::Stalled, false));
    assert!(status.last_error.is_some());
    assert_eq!(graph.expect(&replica), 4);
    a.disk.clear_faults();
    assert_eq!(catch_up(&replica), 4);
    expect_following(&replica, &primary);
    graph.expect_all(&replica);
}

/// There is no log yet: it has not been opened as a primary.
#[test]
fn a_source_without_a_sidecar_is_unavailable_until_it_has_one() {
    let (a, b) = machines(SyncMode::Full);
    a.open(a.options(ReplicationRole::Disabled)).unwrap().close().unwrap();
    let replica = b.replica_of(&a);
    expect_error(replica.replica_catch_up_once(10), ErrorCode::SourceUnavailable, "primary");
    expect_error(replica.replica_bootstrap_from_snapshot(), ErrorCode::SourceUnavailable, "primary");
    assert_eq!(replica_status(&replica).state, ReplicaState::Stalled);
    assert!(!replica_status(&replica).needs_reseed);

    let (primary, mut graph) = (a.primary(), Graph::new(10));
    graph.grow(&primary, 3);
    assert_eq!(catch_up(&replica), 3);
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
}

/// A frame far larger than a page, and many small ones in one page.
#[test]
fn frames_of_any_size_come_through() {
    let (a, b) = machines(SyncMode::Normal);
    let options = a.options(ReplicationRole::Primary).replication_segment_max_bytes(1 << 20);
    let primary = a.open(options).unwrap();
    let replica = b.replica_of(&a);
    for len in [0usize, 1, 100, 60_000, 300_000, 5 << 20, 12 << 20] {
        primary
            .transaction(|tx| {
                let node = tx.create_node(None)?;
                tx.set_node_prop(node, "blob", vec![7u8; len])
            })
            .unwrap();
    }
    assert_eq!(catch_up(&replica), 7);
    expect_following(&replica, &primary);
    assert_eq!(
        crate::support_process::dump(&replica.snapshot().unwrap()),
        crate::support_process::dump(&primary.snapshot().unwrap())
    );
}
