//! What a replica's follower and those who watch it wait for.

use super::Replica;
use crate::{error::Result, watch::Watch};
use std::{any::Any, sync::atomic::Ordering, time::Duration};

impl Replica {
    /// For how long, in ms, its follower may sleep if nothing happens, of at most `poll_ms`: what became durable since the
    /// last report, by a sync in the background, is reported once that is done.
    pub fn poll_ms(&self, poll_ms: u64) -> u64 {
        match self.engine.next_sync_ms() {
            Some(ms) if self.reported.load(Ordering::Acquire) < self.engine.published().0 => poll_ms.min(ms),
            _ => poll_ms,
        }
    }

    /// Returns once a try to pull has ended, or the state has changed, more than `seen` times, or `timeout` has passed.
    /// Returns how often that was by then.
    pub fn wait_for_news(&self, seen: u64, timeout: Duration, watch: &Watch) -> Result<u64> {
        let news = || self.news.load(Ordering::Acquire);
        let done = || news() > seen || self.engine.check_usable().is_err() || watch.is_cancelled();
        let woken = self.engine.clone();
        let _asleep = watch.while_asleep(move || woken.signal().notify_unindexed());
        self.engine.signal().wait_until(None, timeout, done);
        self.engine.check_usable()?;
        if news() <= seen {
            watch.require_uncancelled()?;
        }
        Ok(news())
    }

    /// Takes note that a try to pull has ended, or that none will be made in the background any more.
    pub fn note_news(&self) {
        self.news.fetch_add(1, Ordering::AcqRel);
        self.engine.signal().notify_unindexed();
    }

    /// Takes note that the thread that follows panicked: what it was at may be half done.
    pub fn note_panic(&self, panic: &(dyn Any + Send)) {
        self.engine.note_panic("the follower", panic);
        if let Some(panicked) = self.engine.panicked() {
            self.note_failure(panicked);
        }
    }
}
