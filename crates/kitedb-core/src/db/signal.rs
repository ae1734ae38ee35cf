//! Waiting, within a process, for something to be published.

use crate::lock::{Condvar, Mutex};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// An event that costs who raises it one load while nobody waits.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    waiting: AtomicUsize,
    /// How often it was raised while somebody waited.
    raised: Mutex<u64>,
    wake: Condvar,
}

impl Signal {
    /// Wakes all who wait, after what they wait for was stored.
    #[inline]
    pub fn notify(&self) {
        if self.waiting.load(Ordering::SeqCst) != 0 {
            self.notify_all();
        }
    }

    /// As [`Signal::notify`], whether or not somebody is known to wait.
    #[cold]
    pub fn notify_all(&self) {
        *self.raised.lock() += 1;
        self.wake.notify_all();
    }

    /// Returns once the event is raised, or `timeout` has passed.
    pub fn sleep(&self, timeout: Duration) {
        let mut asked = false;
        // Asked for the first time at once, and then only if the event was raised.
        self.wait_until(timeout, || std::mem::replace(&mut asked, true));
    }

    /// Returns once `done` holds, or `timeout` has passed. `done` is asked at first and whenever the event is raised,
    /// with no lock held, so it may take those under which the event is raised.
    pub fn wait_until(&self, timeout: Duration, mut done: impl FnMut() -> bool) -> bool {
        #[expect(clippy::disallowed_methods, reason = "a thread sleeps by the clock of the real machine")]
        let deadline = Instant::now().checked_add(timeout);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let reached = loop {
            let before = *self.raised.lock();
            if done() {
                break true;
            }
            let mut raised = self.raised.lock();
            let mut timed_out = false;
            while *raised == before && !timed_out {
                match deadline {
                    Some(deadline) => timed_out = self.wake.wait_until(&mut raised, deadline).timed_out(),
                    None => self.wake.wait(&mut raised),
                }
            }
            let missed = *raised == before;
            drop(raised);
            if missed {
                break done();
            }
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        reached
    }
}
