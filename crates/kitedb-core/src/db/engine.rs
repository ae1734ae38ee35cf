//! What all handles to one file share.

use super::{jobs::Jobs, open::Place, options::OpenOptions, view::View};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex, MAX_NODE_ID, NodeId},
    io::Env,
    log::{Appender, WriterId},
    state::{Levels, Names, Pins},
    store::{HistoryEntry, LogKind, LogLink, Store, WRITER_LOCK},
};
use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use std::{
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// The engine of one open file.
///
/// Locks are taken in this order: `place`, `opens`; `checkpointing`, `compacting`, `publishing`, `commit`. A
/// committer holds only `commit`; a reader holds none.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(super) env: Env,
    pub(super) path: PathBuf,
    /// Where the private log lies while the database is open and written.
    pub(super) wal_dir: PathBuf,
    pub(super) options: OpenOptions,
    pub(super) store: Store,
    pub(super) names: Arc<Names>,
    pub(super) next_node: AtomicU64,
    /// The commit lock, and what only its holder may touch.
    pub(super) commit: Mutex<Commit>,
    pub(super) levels: ArcSwap<Levels>,
    pub(super) pins: Pins,
    /// The last log index that readers may see.
    pub(super) published: AtomicU64,
    /// Held while a checkpoint is made.
    pub(super) checkpointing: Mutex<()>,
    /// Held while runs are merged.
    pub(super) compacting: Mutex<()>,
    /// Held while the file's header and the levels are exchanged together.
    pub(super) publishing: Mutex<()>,
    /// Signalled when a checkpoint has ended: committers may wait for room.
    pub(super) checkpointed: Condvar,
    pub(super) jobs: Jobs,
    pub(super) closed: AtomicBool,
    /// How many opens share this engine.
    pub(super) opens: Mutex<usize>,
    /// Where other opens in this process find it.
    pub(super) place: Place,
    /// What a read-only open could not read.
    pub(super) damage: Option<Error>,
    pub(super) counters: Counters,
}

/// What is counted for [`super::Stats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub checkpoints: AtomicU64,
    pub compactions: AtomicU64,
    pub bytes_checkpointed: AtomicU64,
    pub bytes_compacted: AtomicU64,
    pub append_failures: AtomicU64,
}

/// What the commit lock guards.
#[derive(Debug)]
pub(super) struct Commit {
    /// The log, once something was committed since the open, or recovered.
    pub appender: Option<Appender>,
    /// The last applied commit.
    pub last: LogIndex,
    pub digest: Digest,
    pub epoch: Epoch,
    pub writer_id: WriterId,
    /// Every epoch up to now, ascending.
    pub history: Vec<HistoryEntry>,
    /// Log bytes at the last freeze: what came since counts towards the next checkpoint.
    pub frozen_at_bytes: u64,
}

impl Engine {
    /// Fails where the handle is of no use: after a fork, or closed.
    #[inline]
    pub(super) fn check_usable(&self) -> Result<()> {
        if self.env.host.forked() {
            return Err(Error::new(
                ErrorCode::Forked,
                "this database was opened before a fork: open it again in the child process",
            ));
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorCode::Closed, "Database is closed"));
        }
        Ok(())
    }

    pub(super) fn require_writable(&self) -> Result<()> {
        if self.options.read_only {
            return Err(Error::new(ErrorCode::ReadOnly, "Database is read-only: open it without read_only to write"));
        }
        Ok(())
    }

    /// The current levels and the last published index. The levels come first: what they rest on is published.
    /// A checkpoint and a commit may come in between; then these levels end before what is published by now.
    #[inline]
    pub(super) fn current(&self) -> (Arc<Levels>, LogIndex) {
        let levels = self.levels.load_full();
        let published = LogIndex(self.published.load(Ordering::Acquire));
        let index = published.min(levels.active.last());
        (levels, index)
    }

    pub(super) fn view(&self) -> View {
        let (levels, index) = self.current();
        View { levels, index, names: self.names.clone() }
    }

    /// Lets readers see commits up to `index`.
    #[inline]
    pub(super) fn publish(&self, index: LogIndex) {
        self.published.fetch_max(index.0, Ordering::AcqRel);
    }

    /// Puts `levels` in place of the current ones.
    pub(super) fn exchange_levels(&self, levels: Levels) {
        let old = self.levels.swap(Arc::new(levels));
        self.pins.supersede(&old, self.env.host.now_ms());
    }

    #[inline]
    pub(super) fn allocate_node_id(&self) -> Result<NodeId> {
        let id = self.next_node.fetch_add(1, Ordering::Relaxed);
        if id > MAX_NODE_ID {
            self.next_node.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::invalid("no node id is left above the greatest one in use: choose one yourself"));
        }
        Ok(NodeId(id))
    }

    /// What the header should say of the log while it is open.
    pub(super) fn open_link(&self, log_id: [u8; 16]) -> LogLink {
        LogLink {
            id: log_id,
            kind: LogKind::Private,
            open: true,
            boot_id: self.env.host.boot_id().unwrap_or_default(),
            clean_tail: None,
        }
    }

    /// Makes every commit so far durable.
    pub(super) fn sync(&self) -> Result<()> {
        let (last, sync) = {
            let commit = self.commit.lock();
            let Some(appender) = &commit.appender else { return Ok(()) };
            (appender.last(), appender.group_sync().clone())
        };
        self.sync_through(&sync, last)
    }

    /// Ends one open; the last one closes the engine.
    pub(super) fn release(engine: &Arc<Self>) -> Result<()> {
        if engine.env.host.forked() {
            // The parent goes on with the log and the locks: touch nothing.
            return Ok(());
        }
        let mut place = engine.place.lock();
        let mut opens = engine.opens.lock();
        *opens = opens.saturating_sub(1);
        if *opens > 0 {
            return Ok(());
        }
        drop(opens);
        engine.closed.store(true, Ordering::Release);
        *place = Weak::new();
        engine.jobs.stop();
        let result = if engine.options.read_only { Ok(()) } else { engine.close_log() };
        if engine.is_viewed() {
            engine.store.pin_for_views();
        }
        let _ = engine.store.file().unlock(WRITER_LOCK..WRITER_LOCK + 1);
        result
    }

    /// Whether someone still holds a view or a transaction.
    fn is_viewed(&self) -> bool {
        // One reference is the engine's, one is this function's.
        Arc::strong_count(&self.levels.load_full()) > 2 || self.pins.oldest().is_some()
    }
}
