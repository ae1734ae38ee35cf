//! A process that has nothing to do does nothing: it lets the machine sleep.

use super::{
    stage::add,
    support_process::{Child, child_args, mode_of, tell},
    support_replication::{
        MODES,
        folder::{Folder, eventually, mode_name, primary_options, replica_options, sidecar_of},
        primary_status, replica_status,
    },
};
use kitedb_core::{Database, FollowerOptions, RepairOptions, ReplicaState, SyncMode};
use std::{collections::BTreeMap, fs, os::unix::fs::FileExt, thread, time::Duration};

/// How often each thread of the engine in this process has gone to sleep and was woken.
fn wakes() -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        if field("Name:").starts_with("kitedb-") {
            *found.entry(field("Name:")).or_default() += field("voluntary_ctxt_switches:").parse::<u64>().unwrap();
        }
    }
    found
}

/// Not a test of its own: a primary and a replica that follows it, which have done what there is to do.
#[test]
fn rests() {
    let Some(args) = child_args() else { return };
    let (mode, folder) = (mode_of(&args[0]), Folder::new());
    let primary = Database::open(folder.path("primary"), primary_options(mode)).unwrap();
    let replica = Database::open(folder.path("replica"), replica_options(mode, &folder.path("primary"))).unwrap();
    replica.start_follower(FollowerOptions::default()).unwrap();
    for n in 0..20 {
        add(&primary, &format!("{n}")).unwrap();
    }
    let last = primary.last_commit_token().unwrap();
    assert!(replica.wait_for_token(last, 60_000).unwrap());
    eventually("all is synced, and the primary knows", || {
        let status = primary_status(&primary);
        let lag = status.replica_lags.iter().find(|lag| lag.applied_log_index == last.log_index.0);
        let durable = |index: u64| mode == SyncMode::Off || index == last.log_index.0;
        lag.is_some_and(|lag| durable(lag.durable_log_index)) && durable(status.durable_log_index)
    });
    // What has just told the primary that goes to sleep.
    thread::sleep(Duration::from_millis(500));
    let before = wakes();
    // So long that who looks once a second, or twice, is seen.
    thread::sleep(Duration::from_secs(4));
    let after = wakes();
    let woken: u64 = after.values().sum::<u64>() - before.values().sum::<u64>();
    tell(format_args!("{woken} of {} threads: {before:?} {after:?}", after.len()));
    replica.close().unwrap();
    primary.close().unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn a_primary_and_its_follower_that_have_nothing_to_do_sleep() {
    for mode in MODES {
        let mut child = Child::spawn("attacks::idle::rests", &[mode_name(mode)]);
        let line = child.line().unwrap();
        let (woken, threads) = line.split_once(" of ").unwrap();
        assert!(threads.contains("kitedb-follower") && threads.contains("kitedb-keeper"), "{line}");
        assert!(woken.parse::<u64>().unwrap() <= 1, "{mode:?}: they were woken {line}");
        child.finish();
    }
}

/// However its source is at that moment, a follower is ended by one word.
#[test]
fn a_follower_is_stopped_whatever_it_is_about_to_do() {
    let folder = Folder::new();
    let primary = folder.primary("primary", SyncMode::Off);
    let replica = folder.replica("replica", "primary", SyncMode::Off);
    let hour = FollowerOptions::new().poll_ms(3_600_000);
    for n in 0..300 {
        replica.start_follower(hour).unwrap();
        if n % 3 == 0 {
            add(&primary, &format!("{n}")).unwrap();
        }
        for _ in 0..n % 7 * 20 {
            thread::yield_now();
        }
        replica.stop_follower().unwrap();
    }
    replica.start_follower(hour).unwrap();
    assert!(replica.wait_for_token(primary.last_commit_token().unwrap(), 60_000).unwrap());
}

/// A source's control file is exchanged while its replica's follower sleeps, which looks by itself once in an hour: by a
/// repair, whatever was damaged of it; by a replica that is followed and lost its own.
#[test]
fn a_follower_hears_that_the_control_file_of_its_source_was_exchanged() {
    let sleepy = FollowerOptions::new().poll_ms(3_600_000);
    // Of a file that does not even begin as a control file nothing is changed, and who sleeps on it is woken all the same.
    for (chained, damaged) in [(false, 20), (false, 0), (true, 20)] {
        let folder = Folder::new();
        let primary = folder.primary("primary", SyncMode::Full);
        add(&primary, "a").unwrap();
        let middle = folder.replica("middle", "primary", SyncMode::Full);
        middle.replica_bootstrap_from_snapshot().unwrap();
        let source = if chained { "middle" } else { "primary" };
        let replica = folder.replica("replica", source, SyncMode::Full);
        replica.replica_bootstrap_from_snapshot().unwrap();
        replica.start_follower(sleepy).unwrap();
        eventually("it follows", || replica_status(&replica).state == ReplicaState::Following);
        let mut dbs = [primary, middle].map(Some);
        dbs.iter_mut().for_each(|db| db.take().unwrap().close().unwrap());
        let control = sidecar_of(&folder.path(source)).join("control");
        let file = fs::OpenOptions::new().read(true).write(true).open(&control).unwrap();
        // Word 25 says that it sleeps (docs/design.md).
        eventually("it sleeps", || {
            let mut word = [0; 8];
            file.read_exact_at(&mut word, 25 * 8).unwrap();
            word != [0; 8]
        });
        let mut byte = [0];
        file.read_exact_at(&mut byte, damaged).unwrap();
        file.write_all_at(&[byte[0] ^ 1], damaged).unwrap();
        let seen = replica.replica_wait_for_news(0, 0).unwrap();
        if chained {
            let middle = folder.replica("middle", "primary", SyncMode::Full);
            assert!(replica.replica_wait_for_news(seen, 60_000).unwrap() > seen, "it sleeps on");
            middle.replica_reseed_from_snapshot().unwrap();
            continue;
        }
        assert!(Database::repair(folder.path("primary"), RepairOptions::new()).unwrap().done);
        let primary = folder.primary("primary", SyncMode::Full);
        primary.primary_promote_to_next_epoch().unwrap();
        let token = add(&primary, "b").unwrap();
        assert!(replica.wait_for_token(token, 60_000).unwrap(), "it sleeps on: byte {damaged}");
    }
}
