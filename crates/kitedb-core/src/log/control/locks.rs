//! The locks of a log, each of one byte of the control file far beyond its end: whoever dies gives them back.

use super::Control;
use crate::{
    error::{Error, Result},
    io::{FileLock, LockKind},
};

/// The byte of the control file whose lock is held by the one writer of the log.
const WRITER_LOCK: u64 = 1 << 62;
/// The byte whose lock is held while the fence is moved.
const FENCE_LOCK: u64 = WRITER_LOCK + 1;
/// The byte whose lock is held by whoever asks the writer for something and waits for the answer.
const ASK_LOCK: u64 = WRITER_LOCK + 2;
/// The byte whose lock is held while the checkpoints asked for are counted up, where stores are writes.
pub(super) const COUNT_LOCK: u64 = WRITER_LOCK + 3;

impl Control {
    /// Takes the lock of the log's one writer, until [`Control::unlock_writer`]: `false` if another open of the control
    /// file holds it.
    pub fn lock_writer(&self) -> Result<bool> {
        let byte = WRITER_LOCK..WRITER_LOCK + 1;
        self.file.try_lock(byte, LockKind::Exclusive).map_err(|e| Error::io("lock", &self.path, e))
    }

    /// As [`Control::lock_writer`], until the guard is dropped: for who changes something beside the log, and does not
    /// write it.
    pub fn lock_out_writers(&self) -> Result<Option<FileLock>> {
        self.try_lock(WRITER_LOCK, LockKind::Exclusive)
    }

    /// Gives the writer's lock back.
    pub fn unlock_writer(&self) {
        let _ = self.file.unlock(WRITER_LOCK..WRITER_LOCK + 1);
    }

    /// Whether another open of the control file holds the writer's lock.
    pub fn writer_lives(&self) -> Result<bool> {
        Ok(self.try_lock(WRITER_LOCK, LockKind::Shared)?.is_none())
    }

    /// Takes the lock under which the fence is moved; `None` if someone else holds it.
    pub fn lock_fence(&self) -> Result<Option<FileLock>> {
        self.try_lock(FENCE_LOCK, LockKind::Exclusive)
    }

    /// Takes the lock of who asks the log's writer for something; `None` if someone else holds it.
    pub fn lock_asking(&self) -> Result<Option<FileLock>> {
        self.try_lock(ASK_LOCK, LockKind::Exclusive)
    }

    fn try_lock(&self, byte: u64, kind: LockKind) -> Result<Option<FileLock>> {
        FileLock::try_take(&self.file, byte..byte + 1, kind).map_err(|e| Error::io("lock", &self.path, e))
    }
}
