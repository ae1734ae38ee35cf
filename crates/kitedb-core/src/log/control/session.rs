//! The sessions of a log's writer: who writes, since which tail, and whether a sync of the log failed or is under way.

use super::{
    Control,
    layout::{
        DURABLE, PUBLISHED, SESSION, WRITER_PID,
        flags::{SYNC_FAILED, SYNCING},
    },
};
use crate::{error::Result, graph::LogIndex, io::Host};

impl Control {
    /// Records a new session's writer and tail.
    pub fn begin_session(&self, host: &dyn Host, tail: LogIndex) -> Result<()> {
        self.begin_session_in_damage(host, tail)?;
        self.store(DURABLE, tail.0)
    }

    /// As [`Control::begin_session`]; what its log had durable stays said: not all of it is there. Upholds I38.
    pub fn begin_session_in_damage(&self, host: &dyn Host, tail: LogIndex) -> Result<()> {
        self.owed.forget();
        self.store(WRITER_PID, host.process_id().into())?;
        let [session, _] = bytemuck::must_cast::<[u8; 16], [u64; 2]>(host.random());
        self.store(SESSION, session)?;
        self.store(PUBLISHED, tail.0)?;
        self.wake_followers();
        Ok(())
    }

    /// The log is closed, and all of it is durable: no sync is under way.
    pub fn end_session(&self) -> Result<()> {
        self.pay()?;
        self.end_syncing()
    }

    /// Names the session of the log's writer: with another one, the end of the log may be another one as well.
    pub fn session(&self) -> u64 {
        self.load(SESSION)
    }

    /// The process that took the writer's lock last.
    pub fn writer_pid(&self) -> u64 {
        self.load(WRITER_PID)
    }

    /// Whether a sync of this log failed and the log has not been repaired since.
    pub fn sync_failed(&self) -> bool {
        self.flag(SYNC_FAILED)
    }

    /// Whether a sync of this log failed, or began and did not come to its end: of use where nobody writes the log.
    pub fn sync_unknown(&self) -> bool {
        self.flag(SYNC_FAILED | SYNCING)
    }

    /// Remembers, beyond this process, that a sync failed (or that the log was repaired after one). Upholds I6.
    pub fn set_sync_failed(&self, failed: bool) -> Result<()> {
        if failed { self.set_flag(SYNC_FAILED, true) } else { self.set_flag(SYNC_FAILED | SYNCING, false) }
    }

    /// Remembers, beyond this process, that a sync of this log is under way. Where a store can fail it does so before the
    /// first frame of a session, and once: no sync may wait for room, nor a frame for its sync.
    pub fn set_syncing(&self) -> Result<()> {
        if self.words.are_written() && self.flag(SYNCING) { Ok(()) } else { self.set_flag(SYNCING, true) }
    }

    /// Before the first frame of a session: see [`Control::set_syncing`].
    pub fn expect_syncs(&self) -> Result<()> {
        if self.words.are_written() { self.set_syncing() } else { Ok(()) }
    }

    /// No sync is under way that anybody need doubt: what it was to make durable is so.
    pub fn end_syncing(&self) -> Result<()> {
        if self.flag(SYNCING) { self.set_flag(SYNCING, false) } else { Ok(()) }
    }

    /// A sync that failed is past: the epoch is made known that begins for it.
    pub fn forget_failed_sync(&self) -> Result<()> {
        if self.flag(SYNC_FAILED) { self.set_flag(SYNC_FAILED, false) } else { Ok(()) }
    }

    /// Remembers that the sync that was under way succeeded; see [`Control::end_session`], too.
    pub fn set_synced(&self) -> Result<()> {
        if self.words.are_written() { Ok(()) } else { self.set_flag(SYNCING, false) }
    }
}
