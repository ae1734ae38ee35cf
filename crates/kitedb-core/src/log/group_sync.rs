//! Group sync: committers that wait for durability share one `fdatasync` without being asked to. The first to
//! come leads; who comes while it syncs waits for the next one, which covers all of them.
//!
//! Every sync of a log goes through [`GroupSync`], under one lock: that of a leader, of a rotation, of an append that is
//! undone. Linux tells of a failed write-back once per open file, and drops the pages: who is told records that before it
//! gives the lock up, and whoever takes the lock looks at it. Before a sync begins, the control file says that one is under
//! way, because a process may be killed in it and take the kernel's only warning with it: then recovery trusts none of what
//! it was to make durable (see [`crate::log::recover`]).

use super::Control;
use crate::{
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    io::{DiskFile, Host},
    lock::{Condvar, Mutex},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Shared by the appender, which says what is written, and by all who wait for it to be durable.
#[derive(Debug)]
pub struct GroupSync {
    host: Arc<dyn Host>,
    control: Arc<Control>,
    /// The file that holds what is not durable yet: rotation syncs a segment before it leaves it. Locked while it is synced.
    file: Mutex<(Arc<dyn DiskFile>, Arc<Path>)>,
    written: AtomicU64,
    durable: AtomicU64,
    failed: AtomicBool,
    /// How long the last sync took.
    last_sync_ns: AtomicU64,
    state: Mutex<State>,
    synced: Condvar,
}

/// Who leads a sync. It is forgotten when that has ended; dropped, it ends a sync that panicked as one that failed, so
/// that nobody waits for it for ever. Upholds I39.
struct Leading<'a>(&'a GroupSync);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.0.fail();
        let mut state = self.0.state.lock();
        state.leading = false;
        state.waiting -= 1;
        self.0.synced.notify_all();
    }
}

/// Nobody syncs the log while this lives: it leads in place of whoever would. Dropped, others lead again.
#[derive(Debug)]
pub struct Quiet<'a>(&'a GroupSync);

impl Quiet<'_> {
    /// The log goes, and what it held with it: nobody syncs it any more, and nothing is said of it.
    pub fn retire(self) {
        self.0.state.lock().retired = true;
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.0.state.lock().leading = false;
        self.0.synced.notify_all();
    }
}

#[derive(Debug, Default)]
struct State {
    leading: bool,
    /// Another log has taken the place of this one.
    retired: bool,
    /// How many committers wait, the leader included.
    waiting: u64,
    /// How many frames the last sync covered: what the next leader may expect.
    last_batch: u64,
}

impl GroupSync {
    /// For a log whose frames up to `durable` are durable and whose next ones go to `file`.
    pub fn new(
        host: Arc<dyn Host>,
        control: Arc<Control>,
        file: Arc<dyn DiskFile>,
        path: &Path,
        durable: LogIndex,
    ) -> Self {
        Self {
            host,
            control,
            file: Mutex::new((file, path.into())),
            written: AtomicU64::new(durable.0),
            durable: AtomicU64::new(durable.0),
            failed: AtomicBool::new(false),
            last_sync_ns: AtomicU64::new(0),
            state: Mutex::default(),
            synced: Condvar::new(),
        }
    }

    /// How far the log is durable.
    pub fn durable(&self) -> LogIndex {
        LogIndex(self.durable.load(Ordering::Acquire))
    }

    /// How far the log is written.
    pub fn written(&self) -> LogIndex {
        LogIndex(self.written.load(Ordering::Acquire))
    }

    /// How long the last sync took, in ns. Of use to `on_durable` of [`GroupSync::sync_through`].
    pub fn last_sync_ns(&self) -> u64 {
        self.last_sync_ns.load(Ordering::Relaxed)
    }

    /// Whether a sync failed: then nothing more may be written or acknowledged.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Waits for the sync that is under way and for what its caller says of it, and lets no other begin.
    pub fn quiet(&self) -> Quiet<'_> {
        let mut state = self.state.lock();
        while state.leading {
            self.synced.wait(&mut state);
        }
        state.leading = true;
        Quiet(self)
    }

    /// Called by the appender after a write.
    pub(super) fn set_written(&self, index: LogIndex) {
        self.written.store(index.0, Ordering::Release);
    }

    /// Called by the appender when it has left a segment, which it has synced, for another one.
    pub(super) fn rotate(&self, file: Arc<dyn DiskFile>, path: &Path, durable: LogIndex) {
        *self.file.lock() = (file, path.into());
        self.durable.fetch_max(durable.0, Ordering::AcqRel);
    }

    /// Syncs the file that is written now, for the appender: on success all that was written is durable. Fails, too, if
    /// anybody else's sync has failed: that may have been the only warning.
    pub(super) fn sync_file(&self) -> Result<()> {
        self.sync_locked(&self.file.lock())
    }

    /// Syncs, if no sync has failed: that is looked at, and noted, under the lock. Upholds I6.
    fn sync_locked(&self, (file, path): &(Arc<dyn DiskFile>, Arc<Path>)) -> Result<()> {
        if self.has_failed() {
            return Err(Self::failure(None));
        }
        if let Err(e) = self.control.set_syncing() {
            // Before the first frame of the session it could: this cannot be for want of room.
            self.fail();
            return Err(Self::failure(Some(e)));
        }
        if let Err(e) = file.sync_data() {
            self.fail();
            return Err(Self::failure(Some(Error::io("sync", path, e))));
        }
        if let Err(e) = self.control.set_synced() {
            tracing::warn!("recovery will take this sync for one that was cut short: {e}");
        }
        Ok(())
    }

    /// From now on nothing is written or acknowledged, in this process and before the log is recovered. Upholds I6.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        if let Err(e) = self.control.set_sync_failed(true) {
            // It says that a sync is under way, which recovery trusts no more.
            tracing::warn!("that a sync failed was not noted in the log's control file: {e}");
        }
    }

    /// Returns once everything up to `index` is durable, or the log is gone with it ([`Quiet::retire`]). `on_durable` is called
    /// by whoever synced, with the new durable index, before any waiter returns.
    pub fn sync_through(&self, index: LogIndex, on_durable: &dyn Fn(LogIndex)) -> Result<()> {
        let mut state = self.state.lock();
        state.waiting += 1;
        let result = loop {
            if self.durable() >= index || state.retired {
                break Ok(());
            }
            if self.has_failed() {
                break Err(Self::failure(None));
            }
            if state.leading {
                self.synced.wait(&mut state);
                continue;
            }
            state.leading = true;
            let (expected, patience) = (state.last_batch.max(state.waiting), self.last_sync_ns() / 4);
            drop(state);
            let leading = Leading(self);
            self.gather(expected, patience);
            let before = self.durable();
            let synced = self.sync_once(on_durable);
            std::mem::forget(leading);
            state = self.state.lock();
            state.leading = false;
            if let Ok(now) = synced {
                state.last_batch = now.0 - before.0;
            }
            self.synced.notify_all();
            if let Err(e) = synced {
                break Err(e);
            }
        };
        state.waiting -= 1;
        result
    }

    /// Gives committers that shared the last sync a moment to join this one: up to a quarter of a sync.
    fn gather(&self, expected: u64, patience_ns: u64) {
        if expected <= 1 {
            return;
        }
        let start = self.host.monotonic_ns();
        let goal = self.durable().0 + expected;
        while self.written().0 < goal && self.host.monotonic_ns() - start < patience_ns {
            crate::lock::yield_now();
        }
    }

    fn sync_once(&self, on_durable: &dyn Fn(LogIndex)) -> Result<LogIndex> {
        let file = self.file.lock();
        // What was written before is in this file, or was synced by a rotation.
        let target = self.written();
        let started = self.host.monotonic_ns();
        self.sync_locked(&file)?;
        drop(file);
        self.last_sync_ns.store(self.host.monotonic_ns() - started, Ordering::Relaxed);
        self.durable.fetch_max(target.0, Ordering::AcqRel);
        on_durable(target);
        Ok(target)
    }

    pub(super) fn failure(cause: Option<Error>) -> Error {
        let cause = cause.unwrap_or_else(|| Error::new(ErrorCode::SyncFailed, "an earlier sync of the log failed"));
        let cause = cause.recoded(ErrorCode::SyncFailed);
        cause.and("whether this commit survives is unknown: reopen the database and look")
    }
}
