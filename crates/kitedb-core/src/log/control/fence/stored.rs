//! How the fence is read from the control file and stored there: see [`fence`](super).

use super::{
    Fence,
    encoding::{EPOCH_MASK, FenceWords, RECORD, encode, hot},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::Epoch,
    log::control::{
        Control,
        layout::{
            FENCE, FENCE_CHANGED, FENCE_COPY, FENCE_RECORD, FLAGS, OLD_END, OLD_END_CHECK, OLD_OWNED, OLD_OWNER,
            flags::FENCE_ASSUMED,
        },
    },
    shell::command_by_log,
};
use std::{
    sync::atomic::{Ordering, fence as memory_fence},
    time::Duration,
};

/// A fence that all processes see now, and what came of making it durable.
#[derive(Debug)]
#[must_use]
pub struct Stored(Result<()>);

impl Stored {
    /// Fails unless it is durable.
    pub fn durable(self) -> Result<()> {
        self.0
    }

    /// Whether it is durable; if not, says so in the log.
    pub fn is_durable(&self) -> bool {
        if let Err(e) = &self.0 {
            tracing::warn!("a fence is in force, and may not survive a loss of power: {e}");
        }
        self.0.is_ok()
    }
}

impl Control {
    /// Whether this log's own writer may commit in `epoch`: one load and one comparison.
    #[inline]
    pub fn allows(&self, epoch: Epoch) -> bool {
        self.load(FENCE) == hot(epoch)
    }

    /// The fence, verified.
    ///
    /// # Errors
    /// [`ErrorCode::Corrupt`] if its words are damaged beyond what their second copy can mend.
    pub fn fence(&self) -> Result<Fence> {
        self.look_again();
        let mut words = self.fence_words();
        loop {
            if let Some(fence) = words.decode() {
                return Ok(fence);
            }
            // It may have been changed between two loads. What two looks find alike was so at one moment.
            let now = self.fence_words();
            if now == words {
                return Err(self.damaged_fence());
            }
            words = now;
        }
    }

    #[cold]
    fn damaged_fence(&self) -> Error {
        Error::corrupt(format_args!(
            "the fence in the log control file {} does not verify, so nobody can tell who may write to this log: repair it \
             ({}, Database::repair); then it follows the node that leads, or, if none does, leads once it is promoted by \
             force",
            self.path().display(),
            command_by_log("repair", self.dir(), "")
        ))
    }

    pub(super) fn fence_words(&self) -> FenceWords {
        let load = |at: usize| self.load(at);
        let record = |from: usize| std::array::from_fn(|i| load(from + i));
        FenceWords {
            hot: load(FENCE),
            first: record(FENCE_RECORD),
            second: record(FENCE_COPY),
            old: [FLAGS, OLD_OWNER, OLD_OWNER + 1, OLD_END, OLD_END + 1, OLD_END_CHECK, OLD_OWNED].map(load),
        }
    }

    /// Stores `fence` in place of what is there, in the order that the module's documentation gives. The caller holds the
    /// fence's lock, unless nobody else can know this log or it is a replica's. On error no committer was told, and the
    /// transition has not happened, or was cut short. Upholds I36.
    pub fn put_fence(&self, fence: &Fence) -> Result<Stored> {
        let moves = self.require_mapped().is_ok() && !self.fence_words().say(fence);
        let stored = self.put(fence)?;
        if moves {
            // Whoever moves it knows it. Once it is moved: an assumed fence that is not said to be one is taken back without
            // force, and one that is said to be assumed and leads costs nobody anything.
            self.note_fence_assumed(false);
        }
        Ok(stored)
    }

    fn put(&self, fence: &Fence) -> Result<Stored> {
        self.require_mapped()?;
        if fence.epoch.0 > EPOCH_MASK {
            let what = format_args!("epoch {} is beyond the last one that there can be ({EPOCH_MASK})", fence.epoch);
            return Err(Error::new(ErrorCode::Internal, what));
        }
        if self.fence_words().say(fence) {
            return Ok(Stored(self.confirm_fence()));
        }
        let (before, record) = (self.fence_words().first, encode(fence));
        self.store_all(FENCE_RECORD, &record)?;
        // If this fails, the next sync writes the page again, because it is stored to until then.
        let _ = self.sync();
        if let Err(e) = self.store(FENCE, hot(fence.epoch)) {
            // No committer was told. What is not taken back is as if the transition had been cut short.
            let _ = self.store_all(FENCE_RECORD, &before);
            return Err(e);
        }
        // Before the log is read for its end: a committer looks at the fence after it has appended. Upholds I27.
        memory_fence(Ordering::SeqCst);
        let stored = self.store_all(FENCE_COPY, &record);
        let synced = self.sync();
        self.wake_word(FENCE_CHANGED);
        self.wake_followers();
        Ok(Stored(stored.and(synced)))
    }

    /// Stores a fence that stands in place of one that was lost: nobody leads by it before he is told to.
    pub fn put_assumed_fence(&self, fence: &Fence) -> Result<()> {
        // First, and durable: of a fence that is moved and not said to be assumed, the lead is taken back without force.
        self.set_fence_assumed(true)?;
        self.sync()?;
        self.put(fence)?.durable()
    }

    /// Writes the fence's words once more, as they are. A sync of them may have failed, and the next one succeed without
    /// having written them.
    fn confirm_fence(&self) -> Result<()> {
        // By writing to the file: that counts as a change even where the bytes are the same.
        for range in [FENCE..FENCE + 1, FENCE_RECORD..FENCE_COPY + RECORD] {
            let bytes: Vec<u8> = range.clone().flat_map(|at| self.load(at).to_le_bytes()).collect();
            self.write_words(range.start, &bytes)?;
        }
        self.sync()
    }

    /// Writes all words of the fence as it is read: mends what a flipped bit or a transition that was cut short left of
    /// them, and brings a control file of before the records to this format. The caller holds the fence's lock.
    pub fn settle_fence(&self) -> Result<Fence> {
        let (fence, words) = (self.fence()?, self.fence_words());
        if !words.say(&fence) {
            if words.second != [0; RECORD] {
                tracing::warn!(path = %self.path().display(), "the words of a fence differed: they are mended");
            }
            self.put(&fence)?.durable()?;
        }
        Ok(fence)
    }

    /// Lets this log's own writer lead `epoch`, or a replica's log remember it as the last one that it knows. Durable
    /// also where nothing changes.
    pub fn set_fence(&self, epoch: Epoch) -> Result<()> {
        let fence = self.fence()?;
        let next = Fence { epoch, moved_by: None, ..fence };
        if fence == next { self.sync() } else { self.put_fence(&next)?.durable() }
    }

    /// Whether this log is a replica's. Also where the fence is damaged: then nobody leads by this log.
    pub fn is_replica(&self) -> bool {
        self.fence().map_or(true, |fence| fence.follows)
    }

    /// Says whose log this is. Who took over from a node that follows does not matter any more. Cut short: it is the one's
    /// or the other's.
    pub fn set_replica(&self, follows: bool) -> Result<()> {
        let fence = self.fence()?;
        let next = Fence { follows, moved_by: fence.moved_by.filter(|_| !follows), ..fence };
        match fence == next {
            true if self.is_unsynced() => self.sync(),
            true => Ok(()),
            false => self.put_fence(&next)?.durable(),
        }
    }

    /// Forgets an end that was set: this log follows a history now in which that epoch is another one, or has none. Cut
    /// short: it is still there.
    pub fn clear_end(&self) -> Result<()> {
        let fence = self.fence()?;
        if fence.ended.is_none() && !self.is_unsynced() {
            Ok(())
        } else {
            self.put_fence(&Fence { ended: None, ..fence })?.durable()
        }
    }

    /// What [`Control::wait_fence`] sleeps on. Looked at before the fence.
    pub fn fence_mark(&self) -> u64 {
        self.load(FENCE_CHANGED)
    }

    /// Sleeps until the fence has changed since `mark` was seen, or `timeout` has passed. May return early.
    pub fn wait_fence(&self, mark: u64, timeout: Duration) {
        self.wait_word(FENCE_CHANGED, mark, Some(timeout));
    }

    /// Whether nobody knows who moved the fence, or whether it was moved at all: what knew it is lost, and this log was
    /// repaired as one that another node may have taken over from.
    pub fn fence_is_assumed(&self) -> bool {
        self.flag(FENCE_ASSUMED)
    }

    /// As [`Control::set_fence_assumed`], where it matters little if it fails.
    fn note_fence_assumed(&self, assumed: bool) {
        self.note_flag(FENCE_ASSUMED, assumed);
    }

    /// Remembers, beyond this process, whether the fence is assumed.
    fn set_fence_assumed(&self, assumed: bool) -> Result<()> {
        if self.flag(FENCE_ASSUMED) == assumed { Ok(()) } else { self.set_flag(FENCE_ASSUMED, assumed) }
    }
}
