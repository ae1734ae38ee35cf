//! Many databases in one process: they share their threads, and none waits for another.

use super::{
    stage::add,
    support::gate::{At, Gate},
    support_process::{Child, child_args, tell},
    support_replication::folder::{Folder, eventually, primary_options},
};
use kitedb_core::{Database, ErrorCode, FollowerOptions, OpenOptions, SyncMode};
use std::{
    fs,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

/// How many threads of the engine this process has.
#[cfg(target_os = "linux")]
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).filter(|name| name.starts_with("kitedb-")).collect()
}

/// Not a test of its own: a thousand databases, three hundred of which others may follow, each of which committed something.
#[test]
#[cfg(target_os = "linux")]
fn a_thousand_rest() {
    if child_args().is_none() {
        return;
    }
    let folder = Folder::new();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let count = limit.maximum.map_or(1000, |files| (files / 12).min(1000));
    let dbs: Vec<Database> = (0..count)
        .map(|n| {
            let options = match n % 10 < 3 {
                true => primary_options(SyncMode::Normal),
                false => OpenOptions::new().sync_mode(SyncMode::Normal),
            };
            let db = Database::open(folder.path(&format!("{n}")), options.sync_interval_ms(50)).unwrap();
            add(&db, "one").unwrap();
            db
        })
        .collect();
    eventually("they share a few threads", || threads().len() <= 8);
    tell(format_args!("{count} {:?}", threads()));
    // Each of them goes on.
    dbs.iter().for_each(|db| assert!(add(db, "two").is_ok()));
    eventually("they do so again", || threads().len() <= 8);
    tell("and on");
    drop(dbs);
    eventually("nobody waits for what is closed", || threads().iter().all(|name| name != "kitedb-watch"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_thousand_idle_databases_have_eight_threads() {
    let mut child = Child::spawn("attacks::many::a_thousand_rest", &[""]);
    let line = child.line().unwrap();
    assert!(!line.starts_with("0 "), "{line}");
    child.expect("and on");
    child.finish();
}

/// Three databases' disks hang in a sync; another one is synced all the same, and closed.
#[test]
fn a_database_whose_disk_hangs_keeps_no_other_waiting() {
    let folder = Folder::new();
    let options = || OpenOptions::new().sync_mode(SyncMode::Normal).sync_interval_ms(1);
    let stuck = ["one", "two", "three"].map(|name| {
        let gate = Arc::new(Gate::default());
        let db = Database::open_in(gate.env(), folder.path(name), options()).unwrap();
        add(&db, "a").unwrap();
        gate.shut(At::Sync, ".klog");
        add(&db, "b").unwrap();
        (gate, db)
    });
    // All three at a time: each has a thread of its own.
    stuck.iter().for_each(|(gate, _)| gate.wait_for_someone());
    let (closes, closed) = mpsc::channel();
    let path = folder.path("free");
    thread::spawn(move || {
        let db = Database::open(path, options()).unwrap();
        add(&db, "a").unwrap();
        db.checkpoint().unwrap();
        db.close().unwrap();
        closes.send(()).unwrap();
    });
    closed.recv_timeout(Duration::from_secs(60)).expect("it waits for a disk that is not its own");
    for (gate, db) in stuck {
        gate.open();
        db.close().unwrap();
    }
}

/// Whether all that was committed to a primary is durable, in a while: somebody synced it in the background.
fn becomes_durable(db: &Database) -> bool {
    (0..6000).any(|_| {
        let status = db.primary_replication_status().unwrap().unwrap();
        let durable = status.durable_log_index == status.head_log_index && status.head_log_index > 0;
        if !durable {
            thread::sleep(Duration::from_millis(10));
        }
        durable
    })
}

/// Not a test of its own: forks, in a process of its own, with threads at work and at rest.
#[test]
#[allow(unsafe_code)]
fn forks() {
    if child_args().is_none() {
        return;
    }
    let (folder, mode) = (Folder::new(), SyncMode::Normal);
    let (primary, replica) = (folder.primary("primary", mode), folder.replica("replica", "primary", mode));
    replica.start_follower(FollowerOptions::default()).unwrap();
    for n in 0..5 {
        let token = add(&primary, &format!("{n}")).unwrap();
        assert!(replica.wait_for_token(token, 60_000).unwrap());
        let (childs, path) = ((primary.clone(), replica.clone()), folder.path(&format!("of child {n}")));
        // SAFETY: the child only calls into this library, allocates, and ends by `_exit`.
        match unsafe { libc::fork() } {
            0 => {
                let (of_parent, following) = childs;
                let refused = add(&of_parent, "child").is_err_and(|e| e.code() == ErrorCode::Forked);
                let stopped = following.stop_follower().is_err();
                drop((of_parent, following));
                let own = Database::open(path, primary_options(mode)).unwrap();
                let synced = add(&own, "a").is_ok() && becomes_durable(&own);
                let closed = own.close().is_ok();
                // SAFETY: ends the process without running what belongs to the parent.
                unsafe { libc::_exit(i32::from(!(refused && stopped && synced && closed))) }
            }
            pid => {
                let mut status = 0;
                // SAFETY: waits for the child that was just made.
                assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
                assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the forked child failed: {status}");
            }
        }
    }
    // The parent goes on as if nothing had been.
    let token = add(&primary, "last").unwrap();
    assert!(replica.wait_for_token(token, 60_000).unwrap() && becomes_durable(&primary));
    replica.close().unwrap();
    primary.close().unwrap();
    tell("closed");
}

#[test]
fn a_forked_child_has_threads_of_its_own() {
    let mut child = Child::spawn("attacks::many::forks", &[""]);
    child.expect("closed");
    child.finish();
}
