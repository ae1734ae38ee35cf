//! A thread panics in the midst of its work: nobody waits for ever, nothing is acknowledged that may not be there, and
//! what a user looks at says so.

use super::{
    stage::{add, has, segments},
    support::observed::{Observer, Operation, observed},
    support_replication::{
        expect_error,
        folder::{Folder, eventually, primary_options, replica_options, sidecar_of},
        primary_status, replica_status,
    },
};
use kitedb_core::{
    Database, Error, ErrorCode, FollowerOptions, LogIndex, OpenOptions, ReplicaState, SyncMode, Token, io::Env,
};
use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// A defect of KiteDB, or of what it stands on: one thread panics where it reads, writes or syncs next.
#[derive(Debug, Default)]
struct Defect(Mutex<Option<(&'static str, bool)>>);

impl Defect {
    fn env(self: &Arc<Self>) -> Env {
        observed(&Env::real(), self.clone())
    }

    /// Lets the thread of that name panic, at whatever it does with a file, or only where it changes one.
    fn arm(&self, thread: &'static str, reads_too: bool) {
        *self.0.lock().unwrap() = Some((thread, reads_too));
    }
}

impl Observer for Defect {
    fn see(&self, operation: Operation, _: &Path) -> io::Result<()> {
        let armed = *self.0.lock().unwrap();
        let reads = matches!(operation, Operation::Read(_));
        match armed.filter(|(name, reads_too)| thread::current().name() == Some(name) && (*reads_too || !reads)) {
            Some(_) => panic!("a defect was planted here"),
            None => Ok(()),
        }
    }
}

/// What `work` returns; fails where that takes for ever.
#[track_caller]
fn within_reason<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, heard) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    heard.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("it hangs: {what}"))
}

/// Commits until that fails, and the failure says why. Returns how many were acknowledged, and the error.
fn commit_until_refused(db: &Database) -> (u64, Error) {
    let db = db.clone();
    within_reason("a commit", move || {
        let (acknowledged, mut error) =
            (0..).find_map(|n| add(&db, &format!("{n}")).err().map(|error| (n, error))).unwrap();
        // While the panic is on its way up, what it left behind tells first that something failed.
        while error.code() == ErrorCode::Poisoned && !error.to_string().contains("panicked") {
            thread::yield_now();
            error = add(&db, "refused").unwrap_err();
        }
        (acknowledged, error)
    })
}

#[track_caller]
fn expect_told(error: &Error, what: &str) {
    let text = error.to_string();
    assert_eq!(error.code(), ErrorCode::Poisoned, "{error:?}");
    for part in [what, "panicked", "a defect was planted here", "open the database again"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// What a user sees of a database in which `what` panicked, where that is not a replica.
#[track_caller]
fn expect_seen(db: Database, what: &str) {
    let stats = db.stats().unwrap();
    expect_told(&Error::new(ErrorCode::Poisoned, stats.background_error.unwrap()), what);
    let metrics = db.collect_metrics().unwrap();
    assert!(metrics.engine.log_failed && metrics.engine.background_error.is_some_and(|e| e.contains("panicked")));
    let health = db.health_check().unwrap();
    assert!(!health.healthy);
    let background = health.check("background").unwrap();
    assert!(!background.passed && background.message.contains("panicked"), "{background:?}");
    assert!(!background.message.contains("tried again"), "{background:?}");
    expect_told(&db.begin().unwrap_err(), what);
    expect_told(&db.checkpoint().unwrap_err(), what);
    let last = db.last_commit_token().unwrap();
    let token = Token::new(last.epoch, LogIndex(last.log_index.0 + 1000));
    let waiting = db.clone();
    let waited = within_reason("waiting for a commit", move || waiting.wait_for_token(token, u64::MAX));
    expect_told(&waited.unwrap_err(), what);
    expect_told(&within_reason("close", move || db.close()).unwrap_err(), what);
}

/// Every thread that works in the background of a database that stands alone.
#[test]
fn a_background_thread_that_panics_keeps_nobody_waiting_and_is_told() {
    for thread in ["kitedb-checkpoint", "kitedb-compact", "kitedb-sync"] {
        let (folder, defect) = (Folder::new(), Arc::new(Defect::default()));
        let path = folder.path("one");
        let options =
            OpenOptions::new().sync_mode(SyncMode::Normal).sync_interval_ms(10).checkpoint_log_bytes(64 << 10);
        let db = Database::open_in(defect.env(), &path, options.clone()).unwrap();
        defect.arm(thread, false);
        let (acknowledged, error) = commit_until_refused(&db);
        if thread != "kitedb-sync" {
            expect_told(&error, thread);
        }
        expect_seen(db, thread);
        let db = within_reason("open", move || Database::open(&path, options)).unwrap();
        assert!((0..acknowledged).all(|n| has(&db, &format!("{n}"))), "{thread}: something acknowledged is gone");
        assert!(db.check().unwrap().is_clean());
        add(&db, "and on").unwrap();
        db.close().unwrap();
    }
}

/// The thread that leads a sync panics in it, once so many others have written their commits and wait for that sync.
#[derive(Debug)]
struct BadLead {
    armed: AtomicBool,
    leads: AtomicBool,
    others: AtomicI32,
}

impl Observer for BadLead {
    fn see(&self, operation: Operation, _: &Path) -> io::Result<()> {
        let leads = thread::current().name() == Some("leader");
        match operation {
            Operation::Sync if leads && self.armed.load(Ordering::SeqCst) => {
                self.leads.store(true, Ordering::SeqCst);
                while self.others.load(Ordering::SeqCst) > 0 {
                    thread::yield_now();
                }
                panic!("a defect was planted here");
            }
            Operation::Write if !leads && self.armed.load(Ordering::SeqCst) => {
                self.others.fetch_sub(1, Ordering::SeqCst);
            }
            _ => {}
        }
        Ok(())
    }
}

/// One of several committers leads the sync for all of them, and panics in it.
#[test]
fn a_committer_that_panics_in_a_sync_keeps_no_other_waiting() {
    const OTHERS: i32 = 4;
    let (folder, no) = (Folder::new(), || AtomicBool::new(false));
    let bad = Arc::new(BadLead { armed: no(), leads: no(), others: AtomicI32::new(OTHERS) });
    let path = folder.path("one");
    let db = Database::open_in(observed(&Env::real(), bad.clone()), &path, OpenOptions::new()).unwrap();
    add(&db, "before").unwrap();
    bad.armed.store(true, Ordering::SeqCst);
    let leads = db.clone();
    let leader = thread::Builder::new().name("leader".to_owned()).spawn(move || add(&leads, "led")).unwrap();
    while !bad.leads.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    let others: Vec<_> = (0..OTHERS)
        .map(|n| {
            let db = db.clone();
            thread::spawn(move || add(&db, &format!("{n}")))
        })
        .collect();
    let answers = within_reason("the other committers", move || {
        others.into_iter().map(|other| other.join().unwrap()).collect::<Vec<_>>()
    });
    leader.join().unwrap_err();
    // Their frames are in the log, and whether they are on the disk nobody knows.
    let codes: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap_err().code()).collect();
    assert!(codes.contains(&ErrorCode::OutcomeUnknown), "{codes:?}");
    add(&db, "after").unwrap_err();
    expect_seen(db, "leader");
    let db = Database::open(&path, OpenOptions::new()).unwrap();
    assert!(has(&db, "before") && db.check().unwrap().is_clean());
}

/// The thread that answers what other processes ask of a primary, and runs retention.
#[test]
fn a_keeper_of_a_primary_that_panics_is_told() {
    let (folder, defect) = (Folder::new(), Arc::new(Defect::default()));
    let path = folder.path("primary");
    let options = || {
        let short =
            primary_options(SyncMode::Full).replication_segment_max_bytes(1).replication_retention_min_entries(0);
        short.replication_retention_interval_ms(5)
    };
    let db = Database::open_in(defect.env(), &path, options()).unwrap();
    defect.arm("kitedb-keeper", true);
    let (_, error) = commit_until_refused(&db);
    expect_told(&error, "kitedb-keeper");
    let status = primary_status(&db);
    assert!(status.panicked.as_deref().is_some_and(|told| told.contains("panicked")), "{status:?}");
    assert_eq!(status.fault(), status.panicked);
    assert!(db.collect_metrics().unwrap().replication.fault.is_some_and(|fault| fault.contains("panicked")));
    assert!(!db.health_check().unwrap().check("replication").unwrap().passed);
    expect_seen(db, "kitedb-keeper");
    assert!(segments(&sidecar_of(&path)) > 0);
    Database::open(&path, options()).unwrap().close().unwrap();
}

#[test]
fn a_follower_that_panics_is_told_and_keeps_nobody_waiting() {
    let (folder, defect) = (Folder::new(), Arc::new(Defect::default()));
    let primary = folder.primary("primary", SyncMode::Full);
    let first = add(&primary, "first").map(|_| primary.last_commit_token().unwrap()).unwrap();
    let (path, options) = (folder.path("replica"), replica_options(SyncMode::Full, &folder.path("primary")));
    let replica = Database::open_in(defect.env(), &path, options.clone()).unwrap();
    replica.start_follower(FollowerOptions::default()).unwrap();
    assert!(replica.wait_for_token(first, 60_000).unwrap());
    eventually("it follows", || replica_status(&replica).state == ReplicaState::Following);

    defect.arm("kitedb-follower", true);
    add(&primary, "second").unwrap();
    let (second, waiting) = (primary.last_commit_token().unwrap(), replica.clone());
    let waited = within_reason("waiting for a commit", move || waiting.wait_for_token(second, u64::MAX));
    expect_told(&waited.unwrap_err(), "kitedb-follower");
    eventually("it ends", || !replica_status(&replica).follower_running);
    let status = replica_status(&replica);
    assert_eq!(status.state, ReplicaState::Stalled);
    assert!(status.panicked.is_some() && status.last_error == status.panicked, "{status:?}");
    let fault = status.fault().unwrap();
    assert!(fault.contains("panicked") && !fault.contains("tried again"), "{fault}");
    let metrics = replica.collect_metrics().unwrap().replication;
    assert!(metrics.fault.is_some_and(|fault| fault.contains("panicked")));
    assert!(metrics.replica.is_some_and(|of| !of.follower_running && of.state == ReplicaState::Stalled));
    assert!(!replica.health_check().unwrap().healthy);
    expect_error(replica.replica_catch_up_once(1), ErrorCode::Poisoned, "panicked");
    // From outside, too.
    let look = Database::open(&path, options.clone().read_only(true)).unwrap();
    assert!(replica_status(&look).last_error.is_some_and(|error| error.contains("panicked")));
    drop(look);
    within_reason("stop", {
        let replica = replica.clone();
        move || replica.stop_follower()
    })
    .unwrap();
    let _ = within_reason("close", move || replica.close());

    let replica = Database::open(&path, options).unwrap();
    replica.start_follower(FollowerOptions::default()).unwrap();
    assert!(replica.wait_for_token(second, 60_000).unwrap());
    eventually("it says that it follows", || replica_status(&replica).fault().is_none());
    replica.close().unwrap();
    primary.close().unwrap();
}
