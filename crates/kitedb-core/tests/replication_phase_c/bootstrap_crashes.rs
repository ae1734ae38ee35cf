//! A crash at every operation of a bootstrap leaves the old graph or the new one, and the next one completes it.

use crate::{
    support::{asked_seed, cases, replayable},
    support_replication::{CRASHES, Graph, Machine, catch_up, digest, replica_status},
};
use kitedb_core::{
    Database, ReplicationRole, SyncMode,
    io::sim::{Crash, FaultOn, FaultPlan},
};
use std::io::ErrorKind;

/// What a replica holds before it is bootstrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// An earlier state of the same history.
    Behind,
    /// Another graph altogether.
    Strange,
}

struct Scene {
    primary: Machine,
    strange: Machine,
    replica: Machine,
    /// Kept open.
    sources: Vec<Database>,
    db: Database,
    graph: Graph,
    old: Graph,
    before: Before,
}

impl Scene {
    /// A replica with an old graph, ready to be bootstrapped from a primary that has everything in three runs and a log.
    fn new(seed: u64, mode: SyncMode, before: Before) -> Self {
        let primary = Machine::new("primary", seed, mode);
        let strange = Machine::new("strange", seed + 1000, mode);
        let replica = Machine::new("replica", seed + 2000, mode);
        let (source, mut graph) = (primary.primary(), Graph::new(seed));
        graph.grow(&source, 6);
        let mut old = Graph::new(seed + 1);
        let mut sources = Vec::new();
        let db = match before {
            Before::Nothing => replica.replica_of(&primary),
            Before::Behind => {
                let db = replica.replica_of(&primary);
                catch_up(&db);
                old = graph.clone();
                db
            }
            Before::Strange => {
                let other = strange.primary();
                old.grow(&other, 14);
                let db = replica.replica_of(&strange);
                db.replica_bootstrap_from_snapshot().unwrap();
                db.close().unwrap();
                sources.push(other);
                replica.overwritten_by(&primary)
            }
        };
        for _ in 0..2 {
            source.checkpoint().unwrap();
            graph.grow(&source, 5);
        }
        sources.push(source);
        Self { primary, strange, replica, sources, db, graph, old, before }
    }

    /// The replica after a crash: what it shows is the old graph or the new one, and it ends with the new one.
    fn recover(&self, crash: Crash) {
        let replica = self.replica.restart(crash);
        let options = replica.following(&self.primary).replication_overwrite(self.before == Before::Strange);
        let db = replica.open_replica_of(&self.primary, options).unwrap_or_else(|e| panic!("{crash:?}: {e:?}"));
        let shown = db.snapshot().unwrap().token().log_index.0;
        let old = match self.before {
            Before::Nothing => 0,
            Before::Behind => 6,
            Before::Strange => 14,
        };
        // The snapshot is of index 11; what follows is caught up frame by frame.
        let kept = shown == old || (shown < old && self.replica.mode == SyncMode::Off);
        let is_old = kept && self.old.digests[shown as usize] == digest(&db);
        if !is_old {
            assert!((11..=self.graph.head()).contains(&shown), "{crash:?}: {shown} is shown");
            self.graph.expect(&db);
        }
        assert!(db.check().unwrap().is_clean(), "{crash:?}");
        if !is_old || self.before != Before::Strange {
            // It goes on from there, whichever it is.
            catch_up(&db);
            self.graph.expect_all(&db);
        }
        db.replica_bootstrap_from_snapshot().unwrap_or_else(|e| panic!("{crash:?}, and again: {e:?}"));
        self.graph.expect_all(&db);
        let status = replica_status(&db);
        assert_eq!((status.needs_reseed, status.last_error), (false, None), "{crash:?}");
        db.close().unwrap();
        self.graph.expect_all(&replica.replica_of(&self.primary));
        replica.expect_no_violations();
    }
}

fn sweep(name: &str, mode: SyncMode, before: Before) {
    let seeds = asked_seed().map_or(0..cases(1), |seed| seed..seed + 1);
    let asked_op: Option<u64> = std::env::var("KITEDB_OP").ok().and_then(|op| op.parse().ok());
    for seed in seeds {
        for op in asked_op.map_or(1..=u64::MAX, |op| op..=op) {
            let mut ended = false;
            let variables = format!("KITEDB_SEED={seed} KITEDB_OP={op}");
            replayable("replication_phase_c", name, &variables, || {
                let scene = Scene::new(seed, mode, before);
                let start = scene.replica.disk.ops();
                scene.replica.disk.crash_at(start + op);
                let done = scene.db.replica_bootstrap_from_snapshot();
                ended = !scene.replica.disk.crashed();
                if ended {
                    done.unwrap();
                    assert!(op > 15, "a bootstrap has only {op} operations");
                } else {
                    CRASHES.iter().for_each(|crash| scene.recover(*crash));
                }
                scene.primary.expect_no_violations();
                assert_eq!(scene.sources.len(), 1 + usize::from(before == Before::Strange));
                let _ = &scene.strange;
            });
            if ended {
                break;
            }
        }
    }
}

#[test]
fn a_crash_anywhere_in_the_first_bootstrap() {
    sweep("bootstrap_crashes::a_crash_anywhere_in_the_first_bootstrap", SyncMode::Full, Before::Nothing);
}

#[test]
fn a_crash_anywhere_in_the_bootstrap_of_one_that_is_behind() {
    let name = "bootstrap_crashes::a_crash_anywhere_in_the_bootstrap_of_one_that_is_behind";
    sweep(name, SyncMode::Full, Before::Behind);
}

#[test]
fn a_crash_anywhere_in_the_bootstrap_of_one_with_another_graph() {
    let name = "bootstrap_crashes::a_crash_anywhere_in_the_bootstrap_of_one_with_another_graph";
    sweep(name, SyncMode::Full, Before::Strange);
}

#[test]
fn a_crash_anywhere_in_a_bootstrap_without_syncs_at_commits() {
    let name = "bootstrap_crashes::a_crash_anywhere_in_a_bootstrap_without_syncs_at_commits";
    sweep(name, SyncMode::Off, Before::Behind);
}

/// An operation that fails, on either side, ends the attempt with an error and nothing else; the next one succeeds,
/// without a reopen.
#[test]
fn a_failure_anywhere_in_a_bootstrap_is_an_error_and_can_be_tried_again() {
    for (of_source, on) in [(false, FaultOn::Any), (true, FaultOn::Read), (false, FaultOn::Read)] {
        for nth in 1.. {
            let scene = Scene::new(1, SyncMode::Full, Before::Behind);
            let disk = if of_source { &scene.primary.disk } else { &scene.replica.disk };
            disk.fail(FaultPlan::new(on, nth, ErrorKind::Other));
            let result = scene.db.replica_bootstrap_from_snapshot();
            let what = format!("{on:?} {nth}, of the source: {of_source}");
            scene.graph.expect(&scene.db);
            if let Err(e) = &result {
                assert!(replica_status(&scene.db).last_error.is_some(), "{what}: {e}");
            }
            let failed = result.is_err();
            scene.primary.disk.clear_faults();
            scene.replica.disk.clear_faults();
            let db = scene.db;
            let db = match db.replica_bootstrap_from_snapshot() {
                Ok(()) => db,
                // A log that failed is mended by a reopen, and says so.
                Err(e) => {
                    assert_eq!(e.kind(), kitedb_core::ErrorKind::Reopen, "{what}: {e:?}");
                    drop(db);
                    let db = scene.replica.replica_of(&scene.primary);
                    db.replica_bootstrap_from_snapshot().unwrap_or_else(|e| panic!("{what}: {e:?}"));
                    db
                }
            };
            scene.graph.expect_all(&db);
            assert_eq!(replica_status(&db).last_error, None, "{what}");
            if !failed && nth > 60 {
                break;
            }
        }
    }
}

/// Once a file holds the copy, nothing of the graph that it gave up is given to who follows it, also before it is opened again.
#[test]
fn who_follows_one_whose_bootstrap_was_cut_short_is_given_nothing_of_what_that_one_gave_up() {
    for op in 1.. {
        let [primary, led, follower] =
            [("primary", 1), ("led", 2), ("follower", 3)].map(|(name, seed)| Machine::new(name, seed, SyncMode::Full));
        let (source, mut graph) = (primary.primary(), Graph::new(1));
        graph.grow(&source, 6);
        source.checkpoint().unwrap();
        // It led a graph of its own, of which its follower has a part.
        let (db, mut old) = (led.primary(), Graph::new(2));
        old.grow(&db, 10);
        let following = follower.replica_of(&led);
        catch_up(&following);
        following.close().unwrap();
        old.grow(&db, 4);
        db.close().unwrap();
        let db = led.overwritten_by(&primary);
        led.disk.crash_at(led.disk.ops() + op);
        let done = db.replica_bootstrap_from_snapshot();
        if !led.disk.crashed() {
            done.unwrap();
            assert!(op > 15, "a bootstrap has only {op} operations");
            break;
        }
        for crash in CRASHES {
            let led = led.restart(crash);
            let following = follower.restart(Crash::Kill).replica_of(&led);
            let pulled = following.replica_catch_up_once(100);
            let given = following.snapshot().unwrap().token().log_index.0;
            following.close().unwrap();
            let db = led.overwritten_by(&primary);
            let is_old = digest(&db) == old.digests[14];
            assert!(
                is_old || given == 10,
                "operation {op}, {crash:?}: {pulled:?}, up to {given}, of a graph that is gone"
            );
        }
    }
}

/// A source whose machine loses power meanwhile costs an error, never the graph that was there.
#[test]
fn the_source_may_crash_meanwhile() {
    for nth in [1, 3, 9, 27] {
        let scene = Scene::new(2, SyncMode::Full, Before::Behind);
        scene.primary.disk.fail(FaultPlan::new(FaultOn::Read, nth, ErrorKind::Other).forever());
        let result = scene.db.replica_bootstrap_from_snapshot();
        scene.graph.expect(&scene.db);
        assert!(scene.db.check().unwrap().is_clean());
        if result.is_ok() {
            continue;
        }
        let primary = scene.primary.restart(CRASHES[3]);
        let source = primary.open(primary.options(ReplicationRole::Primary)).unwrap();
        scene.db.close().unwrap();
        let db = scene.replica.replica_of(&primary);
        db.replica_bootstrap_from_snapshot().unwrap();
        scene.graph.expect_all(&db);
        drop(source);
    }
}
