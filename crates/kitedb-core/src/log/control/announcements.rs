//! What the writer of a log announces to other processes: how far frames may be read (word 17), and how far they are durable
//! (word 18). Where there is no room for that, it is *owed*: what was committed counts, and nothing more is committed before
//! others are told of it ([`Control::pay`]).

use super::{
    Control,
    layout::{DURABLE, PUBLISHED},
};
use crate::{error::Result, graph::LogIndex, lock::Mutex};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What is to be announced to other processes, and could not be stored for want of room.
#[derive(Debug, Default)]
pub(super) struct Owed {
    any: AtomicBool,
    published: AtomicU64,
    durable: AtomicU64,
    /// Held by who pays: until it is paid, it is owed to everybody else.
    paying: Mutex<()>,
}

impl Owed {
    pub(super) fn forget(&self) {
        let _paying = self.paying.lock();
        self.any.store(false, Ordering::SeqCst);
        self.published.store(0, Ordering::SeqCst);
        self.durable.store(0, Ordering::SeqCst);
    }
}

impl Control {
    /// How far frames may be read while a writer lives.
    pub fn published(&self) -> LogIndex {
        self.look_again();
        LogIndex(self.load(PUBLISHED))
    }

    /// Announces that frames up to `index` may be read, and wakes who waits for that in any process. Where there is no
    /// room for that, it is [owed](Control::pay).
    #[inline]
    pub fn set_published(&self, index: LogIndex) {
        if let Err(e) = self.words.raise(PUBLISHED, index.0) {
            return self.owe(&self.owed.published, index, &e);
        }
        self.wake_sleepers();
    }

    /// How far frames are durable here.
    pub fn durable(&self) -> LogIndex {
        LogIndex(self.load(DURABLE))
    }

    /// Announces that frames up to `index` are durable here. Where there is no room for that, it is
    /// [owed](Control::pay).
    pub fn set_durable(&self, index: LogIndex) {
        if let Err(e) = self.words.raise(DURABLE, index.0) {
            self.owe(&self.owed.durable, index, &e);
        }
    }

    /// Takes back, durably, what is said to be durable beyond `index`: before frames there are cut off. Upholds I38.
    pub fn lower_durable(&self, index: LogIndex) -> Result<()> {
        if self.durable() <= index && !self.is_unsynced() {
            return Ok(());
        }
        self.store(DURABLE, index.0.min(self.durable().0))?;
        self.sync()
    }

    #[cold]
    fn owe(&self, what: &AtomicU64, index: LogIndex, e: &std::io::Error) {
        what.fetch_max(index.0, Ordering::SeqCst);
        if !self.owed.any.swap(true, Ordering::SeqCst) {
            tracing::warn!(
                path = %self.path().display(),
                "what was committed cannot be announced to other processes: {e}; they see it, and more is committed, once \
                 there is room"
            );
        }
        // Whoever looks after requests looks after that, too.
        self.wake_writer();
    }

    /// Whether something is to be announced, and could not be stored yet.
    #[inline]
    pub fn owes(&self) -> bool {
        self.owed.any.load(Ordering::SeqCst)
    }

    /// Whether a store to the words can fail, so that something may come to be owed.
    pub fn may_owe(&self) -> bool {
        self.words.are_written()
    }

    /// Announces what could not be announced before. As long as that fails nothing more is committed: what other
    /// processes see stays behind by what was committed at once, and nothing that was acknowledged is hidden for long.
    #[inline]
    pub fn pay(&self) -> Result<()> {
        if self.owes() { self.pay_now() } else { Ok(()) }
    }

    #[cold]
    fn pay_now(&self) -> Result<()> {
        let Owed { any, published, durable, paying } = &self.owed;
        let _paying = paying.lock();
        while any.load(Ordering::SeqCst) {
            let [to_publish, to_keep] = [published, durable].map(|word| word.load(Ordering::SeqCst));
            let stored = self.words.raise(DURABLE, to_keep).and_then(|()| self.words.raise(PUBLISHED, to_publish));
            if let Err(e) = stored {
                let e = self.not_stored(e);
                return Err(e.context("what was committed before could not be announced to other processes yet"));
            }
            any.store(false, Ordering::SeqCst);
            // Who came to owe more meanwhile may have said so before it was taken back.
            if published.load(Ordering::SeqCst) != to_publish || durable.load(Ordering::SeqCst) != to_keep {
                any.store(true, Ordering::SeqCst);
            }
        }
        self.wake_followers();
        Ok(())
    }
}
