//! A crash at every single operation of a mixed workload, in every sync mode and with many outcomes: what is found
//! afterwards is a prefix of what was committed, with everything in it that was promised.

use crate::support::{
    asked_seed, cases, replayable,
    script::{Run, open, run},
};
use kitedb_core::{
    SyncMode,
    io::sim::{Crash, Loss},
};

const CRASHES: [Crash; 6] = [
    Crash::Kill,
    Crash::PowerLoss(Loss::LoseAllUnsynced),
    Crash::PowerLoss(Loss::KeepAll),
    Crash::PowerLoss(Loss::Random),
    Crash::PowerLoss(Loss::Random),
    Crash::PowerLoss(Loss::Random),
];

/// Runs `test` at every `step`th operation of the workload, with each seed.
fn sweep(name: &str, mode: SyncMode, step: usize, test: impl Fn(u64, u64)) {
    let seeds = asked_seed().map_or(0..cases(1), |seed| seed..seed + 1);
    let asked_op = std::env::var("KITEDB_OP").ok().and_then(|op| op.parse().ok());
    for seed in seeds {
        let whole = run(seed, mode, None);
        assert_eq!(whole.acknowledged + 1, whole.states.len());
        assert!(whole.disk.ops() > 200, "the workload has only {} operations", whole.disk.ops());
        let ops = asked_op.map_or(1..=whole.disk.ops(), |op| op..=op);
        for op in ops.step_by(step) {
            replayable("crash_sweep", name, &format!("KITEDB_SEED={seed} KITEDB_OP={op}"), || test(seed, op));
        }
    }
}

/// Recovers from one outcome of a crash, again from a crash right after that, and then goes on.
fn recover(run: &Run, crash: Crash) {
    let (disk, host) = (run.disk.restart(crash), run.host.restart(crash));
    let db = open(&disk, &host, run.mode).unwrap_or_else(|e| panic!("{crash:?}: {e:?}"));
    let shown = run.expect_prefix(&db, run.least(crash));
    let digest = db.snapshot().unwrap().digest();

    // What a recovery has shown is durable: recovering again, even after a loss of power, shows the same.
    let again = Crash::PowerLoss(Loss::LoseAllUnsynced);
    let (disk, host) = (disk.restart(again), host.restart(again));
    drop(db);
    let db = open(&disk, &host, run.mode).unwrap_or_else(|e| panic!("{crash:?}, then {again:?}: {e:?}"));
    assert_eq!(run.expect_prefix(&db, shown), shown, "{crash:?}, then {again:?}");
    assert_eq!(db.snapshot().unwrap().digest(), digest);

    // New commits work, and survive.
    let mut tx = db.begin().unwrap();
    let id = tx.create_node(Some("after the crash")).unwrap();
    tx.set_node_prop(id, "name", "new").unwrap();
    assert_eq!(tx.commit().unwrap().log_index.0 as usize, shown + 1);
    let digest = db.snapshot().unwrap().digest();
    let end = if run.mode == SyncMode::Full { again } else { Crash::Kill };
    let (disk, host) = (disk.restart(end), host.restart(end));
    drop(db);
    let db = open(&disk, &host, run.mode).unwrap_or_else(|e| panic!("{crash:?}, a commit, {end:?}: {e:?}"));
    assert_eq!(db.snapshot().unwrap().digest(), digest, "{crash:?}, a commit, {end:?}");
    assert!(db.check().unwrap().is_clean());
    db.close().unwrap();
    assert_eq!(disk.violations(), Vec::<String>::new());
    assert_eq!(disk.paths(), [std::path::Path::new(crate::support::script::PATH)], "at rest, the database is one file");
}

fn crash_everywhere(name: &str, mode: SyncMode) {
    sweep(name, mode, 1, |seed, op| {
        let run = run(seed, mode, Some(op));
        assert!(run.disk.crashed());
        assert_eq!(run.disk.violations(), Vec::<String>::new());
        for crash in CRASHES {
            recover(&run, crash);
        }
    });
}

#[test]
fn a_crash_anywhere_in_full_mode_loses_nothing_acknowledged() {
    crash_everywhere("a_crash_anywhere_in_full_mode_loses_nothing_acknowledged", SyncMode::Full);
}

#[test]
fn a_crash_anywhere_in_normal_mode_loses_nothing_synced() {
    crash_everywhere("a_crash_anywhere_in_normal_mode_loses_nothing_synced", SyncMode::Normal);
}

#[test]
fn a_crash_anywhere_in_off_mode_loses_nothing_synced() {
    crash_everywhere("a_crash_anywhere_in_off_mode_loses_nothing_synced", SyncMode::Off);
}

/// Crashes at every operation of the recovery from some crashes.
fn crash_in_recovery(name: &str, mode: SyncMode) {
    sweep(name, mode, 9, |seed, op| {
        for first in [Crash::Kill, Crash::PowerLoss(Loss::Random)] {
            for second in [Crash::Kill, Crash::PowerLoss(Loss::Random), Crash::PowerLoss(Loss::LoseAllUnsynced)] {
                for within in 1.. {
                    // From the start each time, so that the first recovery finds the same disk.
                    let run = run(seed, mode, Some(op));
                    let (disk, host) = (run.disk.restart(first), run.host.restart(first));
                    disk.crash_at(within);
                    let opened = open(&disk, &host, mode);
                    if !disk.crashed() {
                        assert!(opened.is_ok(), "{first:?}: {opened:?}");
                        break;
                    }
                    let (disk, host) = (disk.restart(second), host.restart(second));
                    drop(opened);
                    let what = || format!("{first:?}, then {second:?} at operation {within} of the recovery");
                    let db = open(&disk, &host, mode).unwrap_or_else(|e| panic!("{}: {e:?}", what()));
                    let least = run.least(first).min(run.least(second));
                    let shown = run.expect_prefix(&db, least);
                    let again = Crash::PowerLoss(Loss::LoseAllUnsynced);
                    let (disk, host) = (disk.restart(again), host.restart(again));
                    drop(db);
                    let db = open(&disk, &host, mode).unwrap_or_else(|e| panic!("{}: {e:?}", what()));
                    assert_eq!(run.expect_prefix(&db, shown), shown, "{}", what());
                }
            }
        }
    });
}

#[test]
fn a_crash_within_a_recovery_changes_nothing_in_full_mode() {
    crash_in_recovery("a_crash_within_a_recovery_changes_nothing_in_full_mode", SyncMode::Full);
}

#[test]
fn a_crash_within_a_recovery_changes_nothing_in_normal_mode() {
    crash_in_recovery("a_crash_within_a_recovery_changes_nothing_in_normal_mode", SyncMode::Normal);
}
