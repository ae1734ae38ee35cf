//! Commits that are submitted, with what else there is: limits of how long a state is held, handles, threads that databases
//! share, callbacks that do what they like.

use super::{
    stage::{Stage, add, disabled, has},
    support::gate::{At, Gate},
};
use kitedb_core::{
    Database, Error, ErrorCode, GraphRead, OpenOptions, Pending, PinKind, Result, Token, Value,
    io::sim::{FaultOn, FaultPlan, SimDisk, SimHost},
};
use std::{
    future::Future,
    io::ErrorKind,
    pin::Pin,
    sync::{Arc, Barrier, Mutex, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

const LIMIT: u64 = 1000;

/// A database on a disk and a clock that the test moves. Nothing happens by itself.
fn limited() -> (SimDisk, SimHost, Database) {
    let (disk, host) = (SimDisk::new(1), SimHost::new(1));
    let options = OpenOptions::new().background(false).auto_checkpoint(false).max_pin_ms(LIMIT);
    let db = Database::open_in(disk.env(&host), "/one.kitedb", options).unwrap();
    add(&db, "first").unwrap();
    (disk, host, db)
}

fn submit(db: &Database, key: &str) -> Result<Pending> {
    let mut tx = db.begin()?;
    tx.create_node(Some(key))?;
    tx.submit()
}

/// What `work` returns; fails where that takes for ever.
#[track_caller]
fn within_reason<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, heard) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    heard.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("it hangs: {what}"))
}

/// Runs a closure on the thread that wakes it, as some executors do.
struct Act(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Wake for Act {
    fn wake(self: Arc<Self>) {
        let act = self.0.lock().unwrap().take();
        act.into_iter().for_each(|act| act());
    }
}

/// Runs `act` where `pending` ends.
fn at_end(pending: &mut Pending, act: impl FnOnce() + Send + 'static) -> Poll<Result<Token>> {
    let waker = Waker::from(Arc::new(Act(Mutex::new(Some(Box::new(act))))));
    Pin::new(pending).poll(&mut Context::from_waker(&waker))
}

#[test]
fn what_was_held_for_too_long_is_not_submitted() {
    let (_, host, db) = limited();
    let expired = |e: &Error| assert_eq!(e.code(), ErrorCode::SnapshotExpired, "{e:?}");
    let begin = |key: &str| {
        let mut tx = db.begin().unwrap();
        tx.create_node(Some(key)).unwrap();
        tx
    };
    let (late, tried, empty) = (begin("late"), begin("tried"), db.begin().unwrap());
    host.advance_ms(LIMIT + 1);
    expired(&late.submit().unwrap_err());
    let refused = tried.try_submit().unwrap_err();
    assert!(!refused.is_would_block(), "waiting does not mend it");
    expired(refused.error());
    expired(&empty.submit().unwrap_err());
    assert_eq!(db.snapshot().unwrap().count_nodes(), 1);
    // What begins after a commit in flight is held as anything is, and is told so.
    let pending = submit(&db, "in flight").unwrap();
    let mut after = db.begin_after(&pending).unwrap();
    after.create_node(Some("after")).unwrap();
    let pin = db.stats().unwrap().pins.pop().unwrap();
    assert_eq!((pin.kind, pin.log_index), (PinKind::Transaction, pending.token().log_index));
    assert!(pin.origin.contains("submitted.rs"), "{pin:?}");
    host.advance_ms(LIMIT + 1);
    assert!(after.is_expired());
    expired(&after.submit().unwrap_err());
    // A commit in flight is held by nobody, and ends however long that takes.
    assert_eq!(pending.wait().unwrap(), pending.token());
    assert!(has(&db, "in flight") && !has(&db, "after"));
}

#[test]
fn a_handle_submits_once_and_keeps_what_would_have_waited() {
    let stage = Stage::new();
    let db = Database::open(stage.path("one.kitedb"), disabled()).unwrap();
    let begin = |key: &str| {
        let mut tx = db.begin().unwrap();
        tx.create_node(Some(key)).unwrap();
        tx.into_handle()
    };
    // The first commit after an open makes the log.
    let handle = begin("a");
    assert_eq!(handle.try_submit().unwrap_err().code(), ErrorCode::WouldBlock);
    handle.with(|tx| tx.create_node(Some("b")).map(drop)).unwrap();
    let pending = handle.submit().unwrap();
    assert_eq!(handle.submit().unwrap_err().code(), ErrorCode::Finished);
    assert_eq!(handle.try_submit().unwrap_err().code(), ErrorCode::Finished);
    assert_eq!(pending.wait().unwrap(), pending.token());
    assert!(has(&db, "a") && has(&db, "b"));
    let handle = begin("c");
    handle.try_submit().unwrap().wait().unwrap();
    assert_eq!(handle.commit().unwrap_err().code(), ErrorCode::Finished);
    assert!(has(&db, "c"));
    // What cannot be committed at all is not kept.
    let (one, other) = (begin("d"), begin("d"));
    one.submit().unwrap().wait().unwrap();
    assert_eq!(other.try_submit().unwrap_err().code(), ErrorCode::Conflict);
    assert_eq!(other.with(|_| Ok(())).unwrap_err().code(), ErrorCode::Finished);
    db.close().unwrap();
}

/// Programs look at fields, not at words.
#[test]
fn errors_of_what_was_submitted_name_the_commit() {
    let (disk, _, db) = limited();
    let first = db.snapshot().unwrap().node_by_key("first").unwrap().unwrap();
    let set = |age: i64| {
        let mut tx = db.begin().unwrap();
        tx.set_node_prop(first, "age", age).unwrap();
        tx
    };
    let pending = set(1).submit().unwrap();
    let conflict = set(2).submit().unwrap_err();
    assert_eq!((conflict.code(), conflict.key()), (ErrorCode::ConflictUnpublished, Some("first")));
    assert_eq!(conflict.token().map(Token::full), Some(pending.token().full()));
    pending.wait().unwrap();
    disk.fail(FaultPlan::new(FaultOn::Sync, 1, ErrorKind::Other));
    let pending = [submit(&db, "a").unwrap(), submit(&db, "b").unwrap()];
    for pending in pending {
        let unknown = pending.wait().unwrap_err();
        assert_eq!(unknown.code(), ErrorCode::OutcomeUnknown);
        assert_eq!(unknown.token().map(Token::full), Some(pending.token().full()), "each says which one it is");
        assert!(unknown.path().is_some(), "{unknown:?}");
    }
    assert_eq!(db.snapshot().unwrap().node_prop(first, "age").unwrap(), Some(Value::I64(1)));
}

/// Three databases' disks hang in the sync of what was submitted; that of another one ends all the same.
#[test]
fn a_disk_that_hangs_keeps_no_other_databases_commits_from_ending() {
    let stage = Stage::new();
    let stuck = ["one", "two", "three"].map(|name| {
        let gate = Arc::new(Gate::default());
        let db = Database::open_in(gate.env(), stage.path(name), disabled()).unwrap();
        add(&db, "a").unwrap();
        gate.shut(At::Sync, ".klog");
        let pending = submit(&db, "b").unwrap();
        (gate, db, pending)
    });
    stuck.iter().for_each(|(gate, ..)| gate.wait_for_someone());
    let free = Database::open(stage.path("free"), disabled()).unwrap();
    let mut pending = submit(&free, "a").unwrap();
    let (ends, ended) = mpsc::channel();
    if at_end(&mut pending, move || ends.send(()).unwrap()).is_pending() {
        ended.recv_timeout(Duration::from_secs(60)).expect("it waits for a disk that is not its own");
    }
    pending.wait().unwrap();
    for (gate, db, pending) in stuck {
        assert!(pending.result().is_none());
        gate.open();
        db.close().unwrap();
        assert_eq!(pending.wait().unwrap(), pending.token());
    }
}

/// Held up in its sync, with a commit in flight.
fn held_up(stage: &Stage, name: &str) -> (Arc<Gate>, Database, Pending) {
    let gate = Arc::new(Gate::default());
    let db = Database::open_in(gate.env(), stage.path(name), disabled()).unwrap();
    add(&db, "a").unwrap();
    gate.shut(At::Sync, ".klog");
    let pending = submit(&db, "b").unwrap();
    gate.wait_for_someone();
    (gate, db, pending)
}

/// Two tasks, each run by the thread that ends a commit of one database, close the other database.
#[test]
fn two_wakers_may_close_each_others_database() {
    let stage = Stage::new();
    let both = ["one", "two"].map(|name| held_up(&stage, name));
    let meet = Arc::new(Barrier::new(2));
    let (closes, closed) = mpsc::channel();
    let dbs = [both[1].1.clone(), both[0].1.clone()];
    let mut gates = Vec::new();
    for ((gate, db, mut pending), other) in both.into_iter().zip(dbs) {
        let (meet, closes) = (meet.clone(), closes.clone());
        let act = move || {
            meet.wait();
            closes.send(other.close()).unwrap();
        };
        assert!(at_end(&mut pending, act).is_pending());
        gates.push((gate, db, pending));
    }
    gates.iter().for_each(|(gate, ..)| gate.open());
    for _ in 0..2 {
        closed.recv_timeout(Duration::from_secs(60)).expect("each waits for the other").unwrap();
    }
}

/// A task, run by the thread that ends a commit, opens the database again that somebody closes meanwhile.
#[test]
fn a_waker_may_open_again_what_is_being_closed() {
    let stage = Stage::new();
    let (gate, db, mut pending) = held_up(&stage, "one");
    let (closing, path) = (db.clone(), stage.path("one"));
    let (opens, opened) = mpsc::channel();
    let act = move || {
        // Somebody closes it.
        while closing.begin().is_ok() {
            thread::yield_now();
        }
        opens.send(Database::open(path, disabled()).map(|db| has(&db, "b"))).unwrap();
    };
    assert!(at_end(&mut pending, act).is_pending());
    gate.open();
    within_reason("a close", move || db.close()).unwrap();
    let found = opened.recv_timeout(Duration::from_secs(60)).expect("an open waits for the close that waits for it");
    assert!(found.unwrap());
}

/// A task that takes long where it is woken: what else was submitted ends meanwhile.
#[test]
fn a_waker_that_takes_long_keeps_no_commit_from_ending() {
    let stage = Stage::new();
    let (gate, db, mut pending) = held_up(&stage, "one");
    let (lets_go, let_go) = mpsc::channel::<()>();
    let (begins, began) = mpsc::channel();
    let act = move || {
        begins.send(()).unwrap();
        let _ = let_go.recv();
    };
    assert!(at_end(&mut pending, act).is_pending());
    gate.open();
    began.recv_timeout(Duration::from_secs(60)).unwrap();
    for n in 0..10 {
        let mut pending = submit(&db, &format!("{n}")).unwrap();
        let (ends, ended) = mpsc::channel();
        if at_end(&mut pending, move || ends.send(()).unwrap()).is_pending() {
            ended.recv_timeout(Duration::from_secs(60)).expect("it waits for a task of the caller's");
        }
    }
    within_reason("a close", move || db.close()).unwrap();
    lets_go.send(()).unwrap();
}
