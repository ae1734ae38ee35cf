//! Waiting, within a process, for something to be published.

use crate::lock::long_wait::{Condvar, Mutex};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering, fence},
    },
    time::{Duration, Instant},
};

/// Above every index: nobody waits for one, or what is waited for is something else.
const NONE: u64 = u64::MAX;

/// An event that costs who raises it one load where it concerns nobody. Whoever waits says which index must be
/// published, and is not woken by a lower one. It is a count of events for each waiter, so that none is missed which comes
/// between a look and the sleep after it.
#[derive(Debug)]
pub(crate) struct Signal {
    /// The least index that is waited for by somebody who was not woken yet.
    lowest: AtomicU64,
    waiters: Mutex<Vec<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    wake: Arc<Condvar>,
    index: u64,
    /// Whether what it waits for may have come since it last looked.
    woken: bool,
}

impl Default for Signal {
    fn default() -> Self {
        Self { lowest: AtomicU64::new(NONE), waiters: Mutex::default() }
    }
}

impl Signal {
    /// Wakes those who wait for `index` or one below it, after it was published.
    #[inline]
    pub fn reach(&self, index: u64) {
        if index >= self.lowest.load(Ordering::SeqCst) {
            self.wake(|waiter| waiter.index <= index);
        }
    }

    /// Wakes all who wait, after something else was stored that concerns them.
    pub fn notify_all(&self) {
        self.wake(|_| true);
    }

    /// Wakes those who wait for something else than an index.
    pub fn notify_unindexed(&self) {
        self.wake(|waiter| waiter.index == NONE);
    }

    #[cold]
    fn wake(&self, concerns: impl Fn(&Waiter) -> bool) {
        let mut waiters = self.waiters.lock();
        for waiter in waiters.iter_mut().filter(|waiter| concerns(waiter)) {
            waiter.woken = true;
            waiter.wake.notify_one();
        }
        self.note_lowest(&waiters);
    }

    fn note_lowest(&self, waiters: &[Waiter]) {
        let lowest = waiters.iter().filter(|waiter| !waiter.woken).map(|waiter| waiter.index).min();
        self.lowest.store(lowest.unwrap_or(NONE), Ordering::SeqCst);
    }

    /// Returns once `done` holds, or `timeout` has passed. `done` is asked at first, and whenever `index` is reached
    /// (`None`: it concerns no index) or everybody is woken; with no lock held, so it may take those under which the event
    /// is raised.
    pub fn wait_until(&self, index: Option<u64>, timeout: Duration, mut done: impl FnMut() -> bool) -> bool {
        #[expect(clippy::disallowed_methods, reason = "a thread sleeps by the clock of the real machine")]
        let deadline = Instant::now().checked_add(timeout);
        let waiting = Waiting::begin(self, index.unwrap_or(NONE));
        loop {
            waiting.about_to_look();
            if done() {
                return true;
            }
            if !waiting.sleep(deadline) {
                return done();
            }
        }
    }
}

/// The place of one who waits, for as long as this lives.
struct Waiting<'a> {
    signal: &'a Signal,
    wake: Arc<Condvar>,
}

impl<'a> Waiting<'a> {
    fn begin(signal: &'a Signal, index: u64) -> Self {
        let wake = Arc::new(Condvar::new());
        signal.waiters.lock().push(Waiter { wake: wake.clone(), index, woken: true });
        Self { signal, wake }
    }

    fn find<'w>(&self, waiters: &'w mut [Waiter]) -> Option<&'w mut Waiter> {
        waiters.iter_mut().find(|waiter| Arc::ptr_eq(&waiter.wake, &self.wake))
    }

    /// What comes from here on wakes.
    fn about_to_look(&self) {
        let mut waiters = self.signal.waiters.lock();
        if let Some(me) = self.find(&mut waiters) {
            me.woken = false;
        }
        self.signal.note_lowest(&waiters);
        // Who publishes stores first and then looks here: one of both sees what the other did.
        fence(Ordering::SeqCst);
    }

    /// Returns once it is woken: `true`; or at the deadline.
    fn sleep(&self, deadline: Option<Instant>) -> bool {
        let mut waiters = self.signal.waiters.lock();
        let mut timed_out = false;
        loop {
            if self.find(&mut waiters).is_none_or(|me| me.woken) {
                return true;
            }
            if timed_out {
                return false;
            }
            match deadline {
                Some(deadline) => (waiters, timed_out) = self.wake.wait_until(waiters, deadline),
                None => waiters = self.wake.wait(waiters),
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiters = self.signal.waiters.lock();
        waiters.retain(|waiter| !Arc::ptr_eq(&waiter.wake, &self.wake));
        self.signal.note_lowest(&waiters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{atomic::AtomicUsize, mpsc},
        thread,
    };

    const LONG: Duration = Duration::from_secs(1 << 20);

    /// Until so many are asleep, or about to be.
    fn until_asleep(signal: &Signal, count: usize) {
        while signal.waiters.lock().iter().filter(|waiter| !waiter.woken).count() < count {
            thread::yield_now();
        }
    }

    #[test]
    fn a_commit_wakes_only_those_whose_index_it_reaches() {
        let (signal, published) = (Signal::default(), AtomicU64::new(0));
        let looks: [AtomicUsize; 3] = Default::default();
        thread::scope(|scope| {
            for (at, looks) in (1..).zip(&looks) {
                let (signal, published) = (&signal, &published);
                scope.spawn(move || {
                    signal.wait_until(Some(at * 100), LONG, || {
                        looks.fetch_add(1, Ordering::SeqCst);
                        published.load(Ordering::SeqCst) >= at * 100
                    })
                });
            }
            until_asleep(&signal, 3);
            // Each looked once, before it slept; a hundred commits of no concern to them have nobody look again.
            for index in 1..100 {
                published.store(index, Ordering::SeqCst);
                signal.reach(index);
            }
            until_asleep(&signal, 3);
            signal.notify_unindexed();
            until_asleep(&signal, 3);
            assert!(looks.iter().all(|looks| looks.load(Ordering::SeqCst) == 1), "{looks:?}");
            for index in [100, 200, 300] {
                published.store(index, Ordering::SeqCst);
                signal.reach(index);
            }
        });
        assert!(looks.iter().all(|looks| looks.load(Ordering::SeqCst) == 2), "{looks:?}");
        assert_eq!(signal.lowest.load(Ordering::SeqCst), NONE);
    }

    #[test]
    fn what_comes_between_the_look_and_the_sleep_is_not_missed() {
        let signal = Signal::default();
        let mut looks = 0;
        assert!(signal.wait_until(Some(1), LONG, || {
            looks += 1;
            if looks == 1 {
                signal.reach(1);
            }
            looks == 2
        }));
        assert!(signal.wait_until(None, LONG, || {
            looks += 1;
            if looks == 3 {
                signal.notify_unindexed();
            }
            looks == 4
        }));
    }

    #[test]
    fn everybody_is_woken_by_what_concerns_everybody() {
        let (signal, ended) = (Signal::default(), AtomicU64::new(0));
        let (sender, woken) = mpsc::channel();
        thread::scope(|scope| {
            for index in [None, Some(0), Some(7)] {
                let (signal, ended, sender) = (&signal, &ended, sender.clone());
                scope.spawn(move || {
                    signal.wait_until(index, LONG, || ended.load(Ordering::SeqCst) == 1);
                    sender.send(()).unwrap();
                });
            }
            until_asleep(&signal, 3);
            ended.store(1, Ordering::SeqCst);
            signal.notify_all();
        });
        assert_eq!(woken.try_iter().count(), 3);
    }

    #[test]
    fn a_wait_ends_with_its_timeout() {
        let signal = Signal::default();
        assert!(!signal.wait_until(Some(1), Duration::ZERO, || false));
        let mut looks = 0;
        assert!(signal.wait_until(None, Duration::from_millis(1), || {
            looks += 1;
            looks == 2
        }));
        assert!(signal.waiters.lock().is_empty());
    }
}
