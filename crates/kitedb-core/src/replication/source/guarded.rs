//! A source of an application's own, as its replica asks it: what it does there it cannot wait for itself with, and what
//! panics in it is a failure of that source, not of the database.

use super::{Asking, Fencing, Lineage, News, Progress, Pulled, Registration, Seen, Snapshot, Source, Upstream};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex},
    log::{PageLimits, WriterId},
    replication::source::At,
};
use std::{
    any::Any,
    cell::RefCell,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

thread_local! {
    /// The sources that this thread is in, by their addresses.
    static ASKED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// See the [module documentation](self).
pub struct Guarded(Arc<dyn Source>);

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Guarded {
    /// `source`, as its replica asks it.
    pub fn around(source: Arc<dyn Source>) -> Arc<dyn Source> {
        Arc::new(Self(source))
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).cast::<()>() as usize
    }

    /// Asks it. `Err`: what it panicked with, for people.
    fn ask<T>(&self, ask: impl FnOnce(&dyn Source) -> T) -> Result<T, String> {
        ASKED.with_borrow_mut(|asked| asked.push(self.address()));
        let said = catch_unwind(AssertUnwindSafe(|| ask(&*self.0)));
        ASKED.with_borrow_mut(Vec::pop);
        said.map_err(|panic| said_by(&*panic))
    }

    fn answer<T>(&self, what: &str, ask: impl FnOnce(&dyn Source) -> Result<T>) -> Result<T> {
        self.ask(ask).unwrap_or_else(|said| {
            let what = format_args!(
                "the source that the application gave panicked when it was asked {what} ({said}): mend that source; it is \
                 asked again later"
            );
            Err(Error::new(ErrorCode::SourceUnavailable, what))
        })
    }
}

fn said_by(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    said.unwrap_or("it did not say why").to_owned()
}

impl Source for Guarded {
    fn head(&self) -> Result<LogIndex> {
        self.answer("for its head", |source| source.head())
    }

    fn page(&self, at: &At, limits: PageLimits) -> Result<Pulled> {
        self.answer("for frames", |source| source.page(at, limits))
    }

    fn page_unattributed(&self, at: &At, limits: PageLimits) -> Result<Pulled> {
        self.answer("for frames", |source| source.page_unattributed(at, limits))
    }

    fn writer_at(&self, index: LogIndex) -> Result<Option<(Epoch, WriterId)>> {
        self.answer("who wrote a frame", |source| source.writer_at(index))
    }

    fn digest_at(&self, index: LogIndex) -> Result<Option<Digest>> {
        self.answer("for a digest", |source| source.digest_at(index))
    }

    fn lineage(&self) -> Result<Lineage> {
        self.answer("for its history", |source| source.lineage())
    }

    fn snapshot(&self, fresh: bool) -> Result<Box<dyn Snapshot>> {
        self.answer("for a snapshot", |source| source.snapshot(fresh))
    }

    fn report(&self, progress: &Progress) -> Result<()> {
        self.answer("to take in progress", |source| source.report(progress))
    }

    fn forget(&self, replica_id: &str) -> Result<bool> {
        self.answer("to forget a replica", |source| source.forget(replica_id))
    }

    fn supersede(&self, replica_id: &str, path: &str) -> Result<()> {
        self.answer("to forget who was before a replica", |source| source.supersede(replica_id, path))
    }

    fn others_at(&self, replica_id: &str, path: &str) -> Result<Vec<Registration>> {
        self.answer("who else is registered", |source| source.others_at(replica_id, path))
    }

    fn require_fenceable(&self, told: bool) -> Result<bool> {
        self.answer("whether it can be fenced", |source| source.require_fenceable(told))
    }

    fn fence(&self, owner: WriterId, held: LogIndex) -> Result<Box<dyn Fencing>> {
        self.answer("to be fenced", |source| source.fence(owner, held))
    }

    fn reserve(&self, progress: &Progress) -> Result<()> {
        self.answer("to keep its log", |source| source.reserve(progress))
    }

    fn seen(&self) -> Result<Seen> {
        self.answer("for its fence", |source| source.seen())
    }

    fn upstream(&self, asking: &Asking<'_>) -> Upstream {
        self.ask(|source| source.upstream(asking)).unwrap_or_else(|said| {
            tracing::warn!("the source that the application gave panicked when it was asked whom it follows ({said})");
            Upstream::default()
        })
    }

    fn wait(&self, seen: LogIndex, timeout: Duration, still: &dyn Fn() -> bool) {
        if let Err(said) = self.ask(|source| source.wait(seen, timeout, still)) {
            tracing::warn!("the source that the application gave panicked while it was waited for ({said})");
        }
    }

    fn news(&self, seen: LogIndex, still: &dyn Fn() -> bool) -> Option<News> {
        self.ask(|source| source.news(seen, still)).unwrap_or_else(|said| {
            tracing::warn!("the source that the application gave panicked when it was asked for news ({said})");
            None
        })
    }

    fn wake(&self) {
        if let Err(said) = self.ask(|source| source.wake()) {
            tracing::warn!("the source that the application gave panicked when it was woken ({said})");
        }
    }

    fn is_asked_here(&self) -> bool {
        ASKED.with_borrow(|asked| asked.contains(&self.address()))
    }

    fn stands_for(&self, own: &Arc<dyn Source>) -> bool {
        Arc::ptr_eq(&self.0, own)
    }
}
