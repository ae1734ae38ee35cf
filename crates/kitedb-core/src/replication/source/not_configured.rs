//! The source of a replica that nobody has named one for: every request says so.

use crate::{
    db::Signal,
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex},
    log::{PageLimits, WriterId},
    replication::{
        registry::{Progress, Registration},
        source::{
            At, Fencing, Lineage, Pulled, Seen, Snapshot, Source,
            source_fault::SourceFault,
            upstream::{Asking, Upstream},
        },
    },
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

    fn digest_at(&self, _: LogIndex) -> Result<Option<Digest>> {
        Err(not_configured())
    }

    fn lineage(&self) -> Result<Lineage> {
        Err(not_configured())
    }

    fn snapshot(&self, _: bool) -> Result<Box<dyn Snapshot>> {
        Err(not_configured())
    }

    fn report(&self, _: &Progress) -> Result<()> {
        Err(not_configured())
    }

    fn require_fenceable(&self, _: bool) -> Result<bool> {
        Err(not_configured())
    }

    fn forget(&self, _: &str) -> Result<bool> {
        Err(not_configured())
    }

    fn supersede(&self, _: &str, _: &str) -> Result<()> {
        Err(not_configured())
    }

    fn others_at(&self, _: &str, _: &str) -> Result<Vec<Registration>> {
        Err(not_configured())
    }

    fn fence(&self, _: WriterId, _: LogIndex) -> Result<Box<dyn Fencing>> {
        Err(not_configured())
    }

    fn reserve(&self, _: &Progress) -> Result<()> {
        Err(not_configured())
    }

    fn seen(&self) -> Result<Seen> {
        Err(not_configured())
    }

    fn upstream(&self, _: &Asking<'_>) -> Upstream {
        Upstream { fault: Some(SourceFault::Unnamed), ..Upstream::default() }
    }

    fn wait(&self, _: LogIndex, timeout: Duration, still: &dyn Fn() -> bool) {
        self.woken.wait_until(None, timeout, || !still());
    }

    fn wake(&self) {
        self.woken.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// As a follower is stopped: once, whether or not it sleeps yet.
    #[test]
    fn who_waits_for_a_source_that_nobody_has_named_is_woken() {
        let source = Unnamed::default();
        for _ in 0..200 {
            let stopped = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let still = || !stopped.load(Ordering::SeqCst);
                scope.spawn(|| {
                    source.wait(LogIndex(0), Duration::from_secs(1 << 20), &|| !stopped.load(Ordering::SeqCst))
                });
                assert!(still());
                stopped.store(true, Ordering::SeqCst);
                source.wake();
            });
        }
    }
}
