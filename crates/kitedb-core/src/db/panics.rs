//! What becomes of a database in which a thread panics, be it one of its own or a caller's: what that thread was changing
//! may be half changed, so nothing is written any more. Whoever waits is woken and told; readers go on with what was
//! published; and the log, which is as it was, is recovered by the next open.

use super::engine::{Commit, Engine};
use crate::error::{Error, ErrorCode, Result};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

impl Engine {
    /// Why nothing is written any more, if a thread panicked.
    pub(crate) fn panicked(&self) -> Option<&Error> {
        self.poison.panicked()
    }

    /// Fails once a thread has panicked. Upholds I39.
    #[inline]
    pub(crate) fn require_no_panic(&self) -> Result<()> {
        self.panicked().map_or(Ok(()), |panicked| Err(panicked.clone()))
    }

    /// Does `work`, called `what` in errors, and takes note of it if that panics. The panic goes on. Upholds I39.
    pub(crate) fn guarded<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            self.note_panic(what, &*panic);
            resume_unwind(panic)
        })
    }

    /// As [`Engine::guarded`], for work that appends. Nobody may take a frame that was appended, and perhaps not applied,
    /// for a commit: those who wait for their sync are told that the outcome is unknown. Upholds I39.
    pub(super) fn guarded_append<T>(&self, what: &str, commit: &mut Commit, work: impl FnOnce(&mut Commit) -> T) -> T {
        catch_unwind(AssertUnwindSafe(|| work(commit))).unwrap_or_else(|panic| {
            commit.appender.iter().for_each(|appender| appender.poison());
            self.note_panic(what, &*panic);
            resume_unwind(panic)
        })
    }

    /// Takes note that `what` panicked. The first panic counts.
    #[cold]
    pub(crate) fn note_panic(&self, what: &str, panic: &(dyn Any + Send)) {
        let thread = std::thread::current();
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
        let error = Error::new(
            ErrorCode::Poisoned,
            format_args!(
                "{what} of this database panicked in the thread {} ({}), so nothing more is written: open the database \
                 again, and report this as a defect of KiteDB",
                thread.name().unwrap_or("without a name"),
                said.unwrap_or("it did not say why")
            ),
        );
        self.refuse_writes(error);
    }

    /// From now on nothing is written, for that reason. The first one counts.
    #[cold]
    pub(super) fn refuse_writes(&self, why: Error) {
        let text = why.to_string();
        if self.poison.set_panicked(why) {
            tracing::error!(path = %self.path.display(), "nothing more is written before a reopen: {text}");
        }
        self.maintenance.wake_committers();
        self.signal().notify_all();
    }
}
