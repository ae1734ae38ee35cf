//! Promotions that a crash cuts short at any operation: one leader at most, nothing acknowledged lost, and the next
//! promotion completes it.

use crate::{
    support::{asked_seed, cases, replayable},
    support_replication::{
        CRASHES, Graph, MODES, Machine, catch_up, expect_error, expect_fenced, primary_status, replica_status, write,
    },
};
use kitedb_core::{Database, ErrorCode, Result, SyncMode, io::sim::Crash};

/// Runs `test` with a crash ordered at each operation in turn, until it says that none came.
fn sweep(name: &str, test: impl Fn(u64, u64) -> bool) {
    let seeds = asked_seed().map_or(0..cases(1), |seed| seed..seed + 1);
    let asked_op: Option<u64> = std::env::var("KITEDB_OP").ok().and_then(|op| op.parse().ok());
    for seed in seeds {
        for op in asked_op.map_or(1..=u64::MAX, |op| op..=op) {
            let mut crashed = true;
            let variables = format!("KITEDB_SEED={seed} KITEDB_OP={op}");
            replayable("replication_phase_d", name, &variables, || crashed = test(seed, op));
            if !crashed {
                assert!(op > 2 || asked_op.is_some(), "it has only {op} operations");
                break;
            }
        }
    }
}

/// Whether every acknowledged commit must be there after `crash`.
fn keeps_all(mode: SyncMode, crash: Crash) -> bool {
    mode == SyncMode::Full || crash == Crash::Kill
}

fn in_place(name: &str, mode: SyncMode) {
    sweep(name, |seed, op| {
        let (a, b) = (Machine::new("primary", seed, mode), Machine::new("replica", seed + 9, mode));
        let (primary, mut graph) = (a.primary(), Graph::new(seed));
        graph.grow(&primary, 4);
        primary.checkpoint().unwrap();
        graph.grow(&primary, 3);
        let replica = b.replica_of(&a);
        catch_up(&replica);
        replica.close().unwrap();
        a.disk.crash_at(a.disk.ops() + op);
        let promoted = primary.primary_promote_to_next_epoch();
        if !a.disk.crashed() {
            promoted.unwrap();
            return false;
        }
        for crash in CRASHES {
            let a = a.restart(crash);
            let mut graph = graph.clone();
            let primary = a.try_primary().unwrap_or_else(|e| panic!("{crash:?}: {e:?}"));
            let shown = graph.expect(&primary);
            if keeps_all(mode, crash) || promoted.is_ok() {
                assert_eq!(shown, 7, "{crash:?}");
            }
            graph.cut(shown);
            let status = primary_status(&primary);
            assert!(!status.fenced, "{crash:?}");
            let token = graph.commit(&primary);
            assert_eq!((token.epoch.0, token.log_index.0), (status.epoch, shown + 1), "{crash:?}");
            assert!(promoted.is_err() || token.epoch.0 >= 2);
            let next = primary.primary_promote_to_next_epoch().unwrap();
            assert!(next > token.epoch.0);
            assert_eq!(graph.commit(&primary).epoch.0, next);

            let b = b.restart(Crash::Kill);
            let mut replica = b.replica_of(&a);
            if shown == 7 {
                catch_up(&replica);
            } else {
                assert_eq!(replica.replica_catch_up_once(9).unwrap_err().code(), ErrorCode::NeedsReseed, "{crash:?}");
                // What the primary lost with the power, nobody gave up.
                expect_error(replica.replica_reseed_from_snapshot(), ErrorCode::WouldOverwrite, "would be given up");
                replica.close().unwrap();
                replica = b.overwritten_by(&a);
                replica.replica_reseed_from_snapshot().unwrap();
            }
            graph.expect_all(&replica);
        }
        true
    });
}

#[test]
fn a_primary_in_full_mode() {
    in_place("cut_short::a_primary_in_full_mode", SyncMode::Full);
}

#[test]
fn a_primary_in_off_mode() {
    in_place("cut_short::a_primary_in_off_mode", SyncMode::Off);
}

/// A primary with seven commits, of which its replica has four.
fn pair(seed: u64, mode: SyncMode) -> (Machine, Machine, Database, Database, Graph) {
    let (a, b) = (Machine::new("primary", seed, mode), Machine::new("replica", seed + 9, mode));
    let (old, mut graph) = (a.primary(), Graph::new(seed));
    graph.grow(&old, 4);
    old.checkpoint().unwrap();
    let new = b.replica_of(&a);
    catch_up(&new);
    graph.grow(&old, 3);
    (a, b, old, new, graph)
}

/// What the old primary says after a promotion that may or may not have fenced it: it goes on, or is fenced for good.
fn try_old(old: &Database, graph: &mut Graph) -> bool {
    match graph.try_commit(old) {
        Ok(_) => true,
        Err(e) => {
            assert_eq!(e.code(), ErrorCode::StalePrimary, "{e:?}");
            false
        }
    }
}

/// The replica's machine crashes; it is opened as a replica again, and the promotion is called again. Where it was done,
/// the node leads.
fn the_replica_crashes(name: &str, mode: SyncMode) {
    sweep(name, |seed, op| {
        for crash in CRASHES {
            let (a, b, old, new, mut graph) = pair(seed, mode);
            b.disk.crash_at(b.disk.ops() + op);
            let promoted = new.replica_promote(false);
            if !b.disk.crashed() {
                promoted.unwrap();
                return false;
            }
            let goes_on = try_old(&old, &mut graph);
            assert!(!goes_on || promoted.is_err(), "both lead");
            let b = b.restart(crash);
            drop(new);
            let (new, epoch) = match b.try_replica_still(&a).unwrap_or_else(|e| panic!("{crash:?}: {e:?}")) {
                Some(new) => {
                    // The fence of its own log may be lost with the machine: then it is promoted again.
                    assert!(promoted.is_err() || crash != Crash::Kill, "it had been told that it leads");
                    graph.expect(&new);
                    let again = new.replica_promote(false).unwrap_or_else(|e| panic!("{crash:?}: {e:?}"));
                    assert!(again.source_fenced && again.epoch >= 2);
                    assert_eq!(again.last_kept.log_index.0, graph.head(), "{crash:?}");
                    (new, again.epoch)
                }
                None => {
                    assert!(!goes_on, "{crash:?}: both lead");
                    let new = b.as_it_is().unwrap_or_else(|e| panic!("{crash:?}: {e:?}"));
                    let status = primary_status(&new);
                    assert!(!status.fenced && status.epoch >= 2, "{crash:?}: {status:?}");
                    (new, status.epoch)
                }
            };
            expect_fenced(&old);
            graph.expect_all(&new);
            let token = graph.commit(&new);
            assert_eq!(token.epoch.0, epoch);
            graph.expect_all(&new);
            // And the old one follows.
            old.close().unwrap();
            let old = a.replica_of(&b);
            catch_up(&old);
            graph.expect_all(&old);
            assert!(!replica_status(&old).needs_reseed);
        }
        true
    });
}

#[test]
fn a_replica_in_full_mode() {
    the_replica_crashes("cut_short::a_replica_in_full_mode", SyncMode::Full);
}

#[test]
fn a_replica_in_normal_mode() {
    the_replica_crashes("cut_short::a_replica_in_normal_mode", SyncMode::Normal);
}

#[test]
fn a_replica_in_off_mode() {
    the_replica_crashes("cut_short::a_replica_in_off_mode", SyncMode::Off);
}

/// It is opened as a primary instead: it leads if the promotion was complete, and else it is fenced. In no case do
/// both lead.
#[test]
fn a_replica_that_is_opened_as_a_primary() {
    sweep("cut_short::a_replica_that_is_opened_as_a_primary", |seed, op| {
        for crash in CRASHES {
            let (_a, b, old, new, mut graph) = pair(seed, SyncMode::Full);
            b.disk.crash_at(b.disk.ops() + op);
            let promoted = new.replica_promote(false);
            if !b.disk.crashed() {
                promoted.unwrap();
                return false;
            }
            let b = b.restart(crash);
            drop(new);
            let new = b.try_primary().unwrap_or_else(|e| panic!("{crash:?}: {e:?}"));
            let leads = !primary_status(&new).fenced;
            let old_leads = try_old(&old, &mut graph);
            assert!(!(leads && old_leads), "{crash:?}: both lead");
            // The fence of its own log may be lost with the machine: then it is promoted again.
            assert!(promoted.is_err() || leads || crash != Crash::Kill, "{crash:?}: it had been told that it leads");
            if leads {
                graph.expect_all(&new);
                write(&new).unwrap();
            } else {
                expect_fenced(&new);
            }
        }
        true
    });
}

/// The source's machine crashes while it is being fenced.
fn the_source_crashes(name: &str, mode: SyncMode) {
    sweep(name, |seed, op| {
        for crash in CRASHES.into_iter().filter(|crash| keeps_all(mode, *crash)) {
            let (a, b, old, new, mut graph) = pair(seed, mode);
            a.disk.crash_at(a.disk.ops() + op);
            let promoted = new.replica_promote(false);
            if !a.disk.crashed() {
                promoted.unwrap();
                return false;
            }
            let a = a.restart(crash);
            drop(old);
            if let Ok(promotion) = promoted {
                // It needed nothing more of it.
                assert_eq!(promotion.last_kept.log_index.0, 7);
                graph.expect_all(&new);
                write(&new).unwrap();
                let old = a.try_primary().unwrap_or_else(|e| panic!("{crash:?}: {e:?}"));
                expect_fenced(&old);
                continue;
            }
            assert_eq!(write(&new).unwrap_err().code(), ErrorCode::ReplicaReadOnly);
            new.close().unwrap();
            let old = a.try_primary().unwrap_or_else(|e| panic!("{crash:?}: {e:?}"));
            graph.expect_all(&old);
            try_old(&old, &mut graph);
            let new = b.replica_of(&a);
            let promotion = new.replica_promote(false).unwrap_or_else(|e| panic!("{crash:?}: {e:?}"));
            assert_eq!(promotion.last_kept.log_index.0, graph.head(), "{crash:?}");
            expect_fenced(&old);
            graph.expect_all(&new);
            graph.commit(&new);
            graph.expect_all(&new);
            old.close().unwrap();
            let old = a.replica_of(&b);
            catch_up(&old);
            graph.expect_all(&old);
        }
        true
    });
}

#[test]
fn a_source_in_full_mode() {
    the_source_crashes("cut_short::a_source_in_full_mode", SyncMode::Full);
}

#[test]
fn a_source_in_off_mode() {
    the_source_crashes("cut_short::a_source_in_off_mode", SyncMode::Off);
}

/// The one that began it is gone for good: another replica takes over, forced where the first may have led.
#[test]
fn another_replica_completes_it() {
    for mode in MODES {
        let name = "cut_short::another_replica_completes_it";
        sweep(name, |seed, op| {
            let (a, b, old, new, mut graph) = pair(seed, mode);
            let c = Machine::new("third", seed + 20, mode);
            let third = c.replica_of(&a);
            third.replica_catch_up_once(2).unwrap();
            b.disk.crash_at(b.disk.ops() + op);
            let promoted = new.replica_promote(false);
            if !b.disk.crashed() {
                promoted.unwrap();
                return false;
            }
            drop(new);
            let goes_on = try_old(&old, &mut graph);
            let promotion = match third.replica_promote(false) {
                Ok(promotion) => promotion,
                Err(e) => {
                    assert_eq!(e.code(), ErrorCode::StalePrimary, "{e:?}");
                    assert!(!goes_on, "it is not fenced");
                    third.replica_promote(true).unwrap()
                }
            };
            // Everything can still be read: nothing is lost, forced or not.
            assert_eq!(promotion.last_kept.log_index.0, graph.head());
            graph.expect_all(&third);
            graph.commit(&third);
            graph.expect_all(&third);
            expect_fenced(&old);
            true
        });
    }
}

/// Promotes the replica on `b` again, unless its promotion was done: then it leads.
fn lead_or_promote(a: &Machine, b: &Machine) -> Result<Database> {
    let Some(new) = b.try_replica_still(a)? else { return b.as_it_is() };
    new.replica_promote(false).map(|_| new)
}

/// A crash within the opening, or the promotion, after a crash within a promotion.
#[test]
fn a_crash_in_the_recovery_from_a_crash() {
    let name = "cut_short::a_crash_in_the_recovery_from_a_crash";
    sweep(name, |seed, op| {
        for within in 1.. {
            let (a, b, old, new, mut graph) = pair(seed, SyncMode::Full);
            b.disk.crash_at(b.disk.ops() + op);
            let promoted = new.replica_promote(false);
            if !b.disk.crashed() {
                promoted.unwrap();
                return false;
            }
            drop(new);
            let b = b.restart(Crash::Kill);
            b.disk.crash_at(within);
            let again = lead_or_promote(&a, &b);
            if !b.disk.crashed() {
                again.unwrap();
                break;
            }
            let b = b.restart(CRASHES[(within % 4) as usize]);
            drop(again);
            try_old(&old, &mut graph);
            let new = lead_or_promote(&a, &b).unwrap_or_else(|e| panic!("then at operation {within}: {e:?}"));
            graph.expect_all(&new);
            expect_fenced(&old);
            graph.commit(&new);
            graph.expect_all(&new);
        }
        true
    });
}
