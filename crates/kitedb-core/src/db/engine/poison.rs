//! Why nothing is written any more: a log that failed, a thread that panicked.

use crate::error::{Error, ErrorCode};
use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub struct Poison {
    /// Whether the log is known to have failed. What counts is what the log says, under the commit lock.
    log_failed: AtomicBool,
    /// Why nothing is written any more, be it that the log is sound.
    panicked: OnceLock<Error>,
}

impl Poison {
    /// Why nothing is written any more, if a thread panicked.
    #[inline]
    pub fn panicked(&self) -> Option<&Error> {
        self.panicked.get()
    }

    /// From now on nothing is written, for that reason: the first one counts. Returns whether this is the first one.
    pub fn set_panicked(&self, why: Error) -> bool {
        let first = self.panicked.set(why).is_ok();
        self.log_failed.store(true, Ordering::Release);
        first
    }

    /// Whether the log is known to have failed.
    pub fn log_failed(&self) -> bool {
        self.log_failed.load(Ordering::Acquire)
    }

    /// Takes note of an error that means that the log failed. The log itself can be asked under the commit lock only.
    pub fn note_log_failure(&self, error: &Error) {
        if matches!(error.code(), ErrorCode::Poisoned | ErrorCode::SyncFailed | ErrorCode::OutcomeUnknown) {
            self.log_failed.store(true, Ordering::Release);
        }
    }

    /// Another log took the place of the one that failed.
    pub fn forget_log_failure(&self) {
        self.log_failed.store(false, Ordering::Release);
    }
}
