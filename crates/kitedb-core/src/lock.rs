//! Locks and condition variables, named in one place: where the schedule of threads is tested (`tests/schedules.rs`, by
//! [shuttle](https://docs.rs/shuttle)), each use of one is a point at which another thread may go on.
//!
//! `parking_lot` keeps who waits in one table for all its locks. A fork copies that table as it is, with threads that the child
//! does not have, and a thread of the child that waits may meet one of them. So threads that sleep until there is work, or until
//! something comes, do so by [`long_wait`].

#[cfg(not(feature = "shuttle"))]
pub use {
    parking_lot::{Condvar, Mutex, MutexGuard, RwLock},
    std::thread::yield_now,
};
#[cfg(feature = "shuttle")]
pub use {
    scheduled::Condvar,
    shuttle::thread::yield_now,
    shuttle_parking_lot::{Mutex, MutexGuard, RwLock},
};

/// Locks whose waiters no other lock knows of: those of the standard library, without its poisoning, as `parking_lot` has
/// none. Whoever gives up a lock here may be the next to take it again, however long another one waits: they are for what is
/// held shortly and seldom.
#[cfg(not(feature = "shuttle"))]
pub mod long_wait {
    pub use std::sync::MutexGuard;
    use std::{
        sync::PoisonError,
        time::{Duration, Instant},
    };

    #[derive(Debug, Default)]
    pub struct Mutex<T>(std::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    #[derive(Debug, Default)]
    pub struct Condvar(std::sync::Condvar);

    impl Condvar {
        pub fn new() -> Self {
            Self::default()
        }

        pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
        }

        /// Beside the lock: whether the wait ended because its time had passed.
        pub fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, timeout: Duration) -> (MutexGuard<'a, T>, bool) {
            let (guard, result) = self.0.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner);
            (guard, result.timed_out())
        }

        /// As [`wait_for`](Self::wait_for).
        #[expect(clippy::disallowed_methods, reason = "a thread sleeps by the clock of the real machine")]
        pub fn wait_until<'a, T>(&self, guard: MutexGuard<'a, T>, deadline: Instant) -> (MutexGuard<'a, T>, bool) {
            self.wait_for(guard, deadline.saturating_duration_since(Instant::now()))
        }

        pub fn notify_one(&self) {
            self.0.notify_one();
        }

        pub fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

/// The same under the scheduler.
#[cfg(feature = "shuttle")]
pub mod long_wait {
    pub use super::{Mutex, MutexGuard};
    use std::time::{Duration, Instant};

    #[derive(Debug, Default)]
    pub struct Condvar(super::Condvar);

    impl Condvar {
        pub fn new() -> Self {
            Self::default()
        }

        pub fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.0.wait(&mut guard);
            guard
        }

        pub fn wait_for<'a, T>(&self, mut guard: MutexGuard<'a, T>, timeout: Duration) -> (MutexGuard<'a, T>, bool) {
            let result = self.0.wait_for(&mut guard, timeout);
            (guard, result.timed_out())
        }

        pub fn wait_until<'a, T>(&self, guard: MutexGuard<'a, T>, _deadline: Instant) -> (MutexGuard<'a, T>, bool) {
            self.wait_for(guard, Duration::ZERO)
        }

        pub fn notify_one(&self) {
            self.0.notify_one();
        }

        pub fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

/// What `shuttle_parking_lot` does not have.
#[cfg(feature = "shuttle")]
mod scheduled {
    use super::MutexGuard;
    use std::time::Duration;

    /// As that of `parking_lot`: a count of the wakes, under a lock that a waiter takes before it gives up its own.
    #[derive(Debug, Default)]
    pub struct Condvar {
        wakes: shuttle::sync::Mutex<u64>,
        woken: shuttle::sync::Condvar,
    }

    /// Whether a wait ended because its time had passed.
    #[derive(Debug, Clone, Copy)]
    pub struct WaitTimeoutResult(());

    impl WaitTimeoutResult {
        /// Always: a scheduler has no clock, and any wait may be as long as its timeout.
        pub fn timed_out(self) -> bool {
            true
        }
    }

    impl Condvar {
        pub fn new() -> Self {
            Self::default()
        }

        #[expect(clippy::unwrap_used, reason = "a panic ends the schedule")]
        pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let mut wakes = self.wakes.lock().unwrap();
            let seen = *wakes;
            MutexGuard::unlocked(guard, || {
                while *wakes == seen {
                    wakes = self.woken.wait(wakes).unwrap();
                }
                drop(wakes);
            });
        }

        pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) -> WaitTimeoutResult {
            MutexGuard::unlocked(guard, shuttle::thread::yield_now);
            WaitTimeoutResult(())
        }

        #[expect(clippy::unwrap_used, reason = "a panic ends the schedule")]
        pub fn notify_all(&self) {
            *self.wakes.lock().unwrap() += 1;
            self.woken.notify_all();
        }

        pub fn notify_one(&self) {
            self.notify_all();
        }
    }
}
