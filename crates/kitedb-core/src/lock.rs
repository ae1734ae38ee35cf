//! Locks and condition variables, named in one place: where the schedule of threads is tested (`tests/schedules.rs`, by
//! [shuttle](https://docs.rs/shuttle)), each use of one is a point at which another thread may go on.

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

/// What `shuttle_parking_lot` does not have.
#[cfg(feature = "shuttle")]
mod scheduled {
    use super::MutexGuard;
    use std::time::{Duration, Instant};

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

        pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _deadline: Instant) -> WaitTimeoutResult {
            self.wait_for(guard, Duration::ZERO)
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
