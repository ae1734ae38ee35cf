//! Who is woken when a submitted commit ends: several at once, and wakers that do what they like.

use super::{LOG, add, block_on, has, options, poll, submit, within_reason};
use crate::support::gate::{At, Gate};
use kitedb_core::Database;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Poll, Wake, Waker},
    thread,
    time::Duration,
};

/// Runs a closure when it is woken.
struct Act(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Act {
    fn waker(act: impl FnOnce() + Send + 'static) -> Waker {
        Waker::from(Arc::new(Self(Mutex::new(Some(Box::new(act))))))
    }
}

impl Wake for Act {
    fn wake(self: Arc<Self>) {
        let act = self.0.lock().unwrap().take();
        act.into_iter().for_each(|act| act());
    }
}

#[test]
fn several_wait_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let db = Database::open_in(gate.env(), dir.path().join("one.kitedb"), options(true)).unwrap();
    add(&db, "first").unwrap();
    gate.shut(At::Sync, LOG);
    let pending = submit(&db, "a").unwrap();
    gate.wait_for_someone();
    // One that gave up, one that moved to another task, and some that wait in two ways.
    let counts: [Arc<AtomicUsize>; 3] = Default::default();
    let counting = |at: usize| {
        let count = counts[at].clone();
        Act::waker(move || {
            count.fetch_add(1, Ordering::SeqCst);
        })
    };
    let (mut gone, mut moved) = (pending.clone(), pending.clone());
    assert!(poll(&mut gone, &counting(0)).is_pending());
    drop(gone);
    assert!(poll(&mut moved, &counting(1)).is_pending());
    assert!(poll(&mut moved, &counting(2)).is_pending());
    let threads: Vec<_> = (0..6)
        .map(|n| {
            let pending = pending.clone();
            thread::spawn(move || if n % 2 == 0 { pending.wait() } else { block_on(pending) })
        })
        .collect();
    gate.open();
    for thread in threads {
        assert_eq!(thread.join().unwrap().unwrap(), pending.token());
    }
    db.close().unwrap();
    assert_eq!(counts.map(|count| count.load(Ordering::SeqCst)), [0, 0, 1]);
}

/// An executor may run a task right where it is woken.
#[test]
fn a_waker_may_use_the_database_and_close_it_and_may_panic() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let db = Database::open_in(gate.env(), dir.path().join("one.kitedb"), options(true)).unwrap();
    add(&db, "first").unwrap();
    gate.shut(At::Sync, LOG);
    let pending = submit(&db, "a").unwrap();
    gate.wait_for_someone();
    let (using, (done, heard)) = (db.clone(), mpsc::channel());
    let mut handles = [pending.clone(), pending.clone(), pending.clone()];
    let panics = Act::waker(|| panic!("a defect of an executor"));
    assert!(poll(&mut handles[0], &panics).is_pending());
    let uses = Act::waker(move || {
        submit(&using, "b").unwrap().wait().unwrap();
        add(&using, "c").unwrap();
        using.close().unwrap();
        done.send(()).unwrap();
    });
    assert!(poll(&mut handles[1], &uses).is_pending());
    gate.open();
    heard.recv_timeout(Duration::from_secs(60)).expect("it hangs");
    assert!(matches!(poll(&mut handles[2], Waker::noop()), Poll::Ready(Ok(_))), "of a closed database");
    drop(db);
    let db = Database::open(dir.path().join("one.kitedb"), options(true)).unwrap();
    assert!(["a", "b", "c"].iter().all(|key| has(&db, key)));
}

/// A task that drops its waker may hold other handles to the same commit.
#[test]
fn a_waker_that_is_replaced_may_hold_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let db = Database::open_in(gate.env(), dir.path().join("one.kitedb"), options(true)).unwrap();
    add(&db, "first").unwrap();
    gate.shut(At::Sync, LOG);
    let mut pending = submit(&db, "a").unwrap();
    gate.wait_for_someone();
    let mut held = pending.clone();
    assert!(poll(&mut held, Waker::noop()).is_pending());
    let holds = Act::waker(move || drop(held));
    assert!(poll(&mut pending, &holds).is_pending());
    drop(holds);
    within_reason("a waker that drops what it waits for", move || {
        assert!(poll(&mut pending, Waker::noop()).is_pending());
    });
    gate.open();
    db.close().unwrap();
}
