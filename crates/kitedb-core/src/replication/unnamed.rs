//! The source of a replica that nobody has named one for: every request says so.

use super::{
    registry::Progress,
    source::{At, Fencing, Pulled, Snapshot, Source},
    upstream::{Asking, SourceFault},
};
use crate::{
    db::Signal,
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    log::{Moved, PageLimits, WriterId},
};
use std::time::Duration;

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub struct Unnamed {
    woken: Signal,
}

/// The error of a replica without a source.
pub fn not_configured() -> Error {
    Error::new(
        ErrorCode::InvalidOption,
        "source db path of a replica is not configured: give replication_source_db_path (--source-db) once, it is \
         remembered",
    )
}

impl Source for Unnamed {
    fn head(&self) -> Result<LogIndex> {
        Err(not_configured())
    }

    fn page(&self, _: &At, _: PageLimits) -> Result<Pulled> {
        Err(not_configured())
    }

    fn page_unattributed(&self, _: &At, _: PageLimits) -> Result<Pulled> {
        Err(not_configured())
    }

    fn writer_at(&self, _: LogIndex) -> Result<Option<(Epoch, WriterId)>> {
        Err(not_configured())
    }

    fn snapshot(&self, _: bool) -> Result<Box<dyn Snapshot>> {
        Err(not_configured())
    }

    fn report(&self, _: &Progress) -> Result<()> {
        Err(not_configured())
    }

    fn require_fenceable(&self) -> Result<()> {
        Err(not_configured())
    }

    fn forget(&self, _: &str) -> Result<()> {
        Err(not_configured())
    }

    fn fence(&self, _: WriterId, _: LogIndex) -> Result<Box<dyn Fencing>> {
        Err(not_configured())
    }

    fn reserve(&self, _: &Progress) -> Result<()> {
        Err(not_configured())
    }

    fn moved(&self) -> Result<Option<Moved>> {
        Err(not_configured())
    }

    fn fault(&self, _: &Asking<'_>) -> Option<SourceFault> {
        Some(SourceFault::Unnamed)
    }

    fn wait(&self, _: LogIndex, timeout: Duration) {
        self.woken.sleep(timeout);
    }

    fn wake(&self) {
        self.woken.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn who_waits_for_a_source_that_nobody_has_named_is_woken() {
        let source = Unnamed::default();
        let (sender, ended) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                source.wait(LogIndex(0), Duration::from_secs(1 << 20));
                sender.send(()).unwrap();
            });
            // As a follower is stopped: again and again, because the other one may have been about to sleep.
            while ended.try_recv().is_err() {
                source.wake();
                crate::lock::yield_now();
            }
        });
    }
}
