//! What all handles to one file share.

use super::{
    jobs::Jobs,
    latency::Latencies,
    options::{OpenOptions, ReplicationRole, SyncMode},
    publish::{PublishedLog, keep},
    signal::Signal,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex, MAX_NODE_ID, MAX_RANK, NodeId},
    io::Env,
    lock::{Condvar, Mutex},
    log::{Appender, Control, Keep, Proven, WriterId},
    state::{Held, Levels, Pins},
    store::{HistoryEntry, LogKind, LogLink, Store, WRITER_LOCK},
};
use arc_swap::ArcSwap;
use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
};

/// The engine of one open file.
///
/// Locks are taken in this order: `checkpointing`, `compacting`, `publishing`, `commit`. A
/// committer holds only `commit`; a reader holds none.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) env: Env,
    pub(crate) path: PathBuf,
    /// Where the log lies: in the private folder while the database is open and written, or in the sidecar.
    pub(crate) log_dir: PathBuf,
    pub(crate) options: OpenOptions,
    pub(crate) store: Store,
    /// A [`ReplicationRole`], as a number: a promoted replica becomes a primary.
    pub(super) role: AtomicU8,
    /// The control file of the sidecar; `None` without one.
    pub(crate) sidecar: Option<Arc<Control>>,
    /// Of a sidecar that this open made: what stays if it is taken back.
    pub(super) made_sidecar: Option<Keep>,
    /// Whether this replica got another id to register under with this open, and has not registered since.
    pub(crate) registers_anew: AtomicBool,
    /// Why a file that is opened as a replica, and is none, does not follow.
    pub(super) foreign: Mutex<Option<Error>>,
    /// Whether it is a primary that was fenced, opened as a replica, and not known to be on its source's history yet.
    pub(super) on_trial: AtomicBool,
    /// Whether this open made the file.
    pub(crate) made_file: AtomicBool,
    /// Whether a bootstrap failed for which the file was made: what is empty still goes when it is closed.
    pub(crate) unwanted: AtomicBool,
    /// What its log holds beyond its file, which is an older copy.
    pub(crate) beyond: Mutex<Option<Proven>>,
    /// Why this open only reads, although its caller asked for more.
    pub(crate) refused: Option<Error>,
    /// What is wrong with the place of the replication log, for a reader: the files of a primary are copies, or the log is
    /// not there.
    pub(crate) log_fault: Option<Error>,
    /// The epoch in which commits are made: a handle of another one is fenced.
    pub(super) epoch: AtomicU64,
    /// Whether commits wait for a promotion: another node took over, or this one was its replica.
    pub(super) fenced: AtomicBool,
    /// The next id of a node, above every one that was committed or given out. Upholds I24.
    pub(super) next_node: AtomicU64,
    /// The next index id to give out.
    pub(super) next_index: AtomicU32,
    /// The next rank to give a parallel edge. Upholds I43.
    pub(super) next_rank: AtomicU64,
    /// See [`Engine::spare_node_id`].
    pub(super) spare_node: OnceLock<AtomicU64>,
    /// The commit lock, and what only its holder may touch.
    pub(super) commit: Mutex<Commit>,
    pub(crate) levels: ArcSwap<Levels>,
    pub(super) pins: Pins,
    /// The last log index that readers may see.
    pub(super) published: AtomicU64,
    /// Wakes who waits for something to be published.
    pub(crate) signal: Signal,
    /// Held while a checkpoint is made.
    pub(super) checkpointing: Mutex<()>,
    /// Held while runs are merged.
    pub(super) compacting: Mutex<()>,
    /// Held while the file's header and the levels are exchanged together.
    pub(super) publishing: Mutex<()>,
    /// Signalled when a checkpoint has ended: committers may wait for room.
    pub(super) checkpointed: Condvar,
    pub(super) jobs: Jobs,
    pub(crate) closed: AtomicBool,
    /// What could not be read, by a read-only open or of a replica's log.
    pub(crate) damage: Mutex<Option<Error>>,
    /// When it was opened, ms since 1970: counters and latencies are since then.
    pub(super) opened_at_ms: u64,
    pub(super) counters: Counters,
    pub(super) latencies: Latencies,
    /// Which states views and transactions hold.
    pub(super) held: Arc<Held>,
    /// Whether the log is known to have failed. What counts is what the log says, under the commit lock.
    pub(super) log_failed: AtomicBool,
    /// See [`Engine::panicked`].
    pub(super) panicked: OnceLock<Error>,
}

/// What is counted for [`super::Stats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub checkpoints: AtomicU64,
    pub compactions: AtomicU64,
    pub bytes_checkpointed: AtomicU64,
    pub bytes_compacted: AtomicU64,
    pub append_attempts: AtomicU64,
    pub append_failures: AtomicU64,
    /// Versions and elements of deltas that went with checkpoints.
    pub versions_pruned: AtomicU64,
    pub elements_pruned: AtomicU64,
    pub appends_for_testing: AtomicU64,
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
    pub(crate) fn check_usable(&self) -> Result<()> {
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

    /// What names this database for good, whatever path leads to it: its file's id, as 32 hexadecimal digits. A replica
    /// reports to its source under it.
    pub(crate) fn registration_id(&self) -> String {
        self.reporting_id().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The same id, as bytes.
    pub(crate) fn reporting_id(&self) -> [u8; 16] {
        let copied = self.sidecar.as_ref().and_then(|control| control.registration());
        copied.unwrap_or(self.store.file_id())
    }

    /// How the files differ of a primary that was copied or restored since its log was written.
    pub(crate) fn copied(&self) -> Option<&Error> {
        self.refused.as_ref().or(self.log_fault.as_ref()).filter(|fault| fault.code() == ErrorCode::FilesMoved)
    }

    pub(crate) fn require_writable(&self) -> Result<()> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        if self.options.read_only {
            return Err(Error::new(ErrorCode::ReadOnly, "Database is read-only: open it without read_only to write"));
        }
        self.require_no_panic()
    }

    /// Fails where a user's transaction may not write.
    pub(crate) fn require_writer(&self) -> Result<()> {
        self.require_writable()?;
        if self.role() == ReplicationRole::Replica {
            return Err(Error::new(
                ErrorCode::ReplicaReadOnly,
                "this database is a replica and takes writes only from its source: write to the primary, or promote \
                 this replica",
            ));
        }
        Ok(())
    }

    /// What part the database plays now.
    #[inline]
    pub(crate) fn role(&self) -> ReplicationRole {
        match self.role.load(Ordering::Acquire) {
            0 => ReplicationRole::Disabled,
            1 => ReplicationRole::Primary,
            _ => ReplicationRole::Replica,
        }
    }

    pub(crate) fn set_role(&self, role: ReplicationRole) {
        self.role.store(role as u8, Ordering::Release);
    }

    /// The epoch in which commits are made.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// An id above every one that was given out; `None` once the greatest there is was.
    #[inline]
    pub(super) fn next_node_id(&self) -> Option<NodeId> {
        let id = self.next_node.fetch_add(1, Ordering::Relaxed);
        if id > MAX_NODE_ID {
            self.next_node.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(NodeId(id))
    }

    /// A rank above every one that was given out; `None` once the greatest there is was.
    #[inline]
    pub(super) fn next_rank(&self) -> Option<u64> {
        let rank = self.next_rank.fetch_add(1, Ordering::Relaxed);
        if rank > MAX_RANK {
            self.next_rank.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(rank)
    }

    /// A rank that may be in use, though hardly is: where automatic ones go on once a caller chose the greatest one.
    #[cold]
    pub(super) fn spare_rank(&self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.env.host.random();
        u64::from_le_bytes([a, b, c, d, e, f, g, h]) % (MAX_RANK / 2) + 1
    }

    /// An id that may be in use, though hardly is: where automatic ids go on once a caller chose the greatest one. They
    /// begin anywhere in the lower half, anew with each open.
    #[cold]
    pub(super) fn spare_node_id(&self) -> NodeId {
        let begin = || {
            let [.., a, b, c, d, e, f, g, h] = self.env.host.random();
            AtomicU64::new(u64::from_le_bytes([a, b, c, d, e, f, g, h]) % (MAX_NODE_ID / 2) + 1)
        };
        NodeId(self.spare_node.get_or_init(begin).fetch_add(1, Ordering::Relaxed))
    }

    /// What the header should say of the log while it is open.
    pub(super) fn open_link(&self, epoch: Epoch, log_id: [u8; 16]) -> LogLink {
        LogLink {
            id: log_id,
            kind: if self.sidecar.is_some() { LogKind::Sidecar } else { LogKind::Private },
            open: true,
            boot_id: self.env.host.boot_id().unwrap_or_default(),
            clean_tail: None,
            part: self.part(epoch),
            hint: self.hint(),
        }
    }

    /// The last commit that is known to be durable.
    pub(crate) fn durable(&self) -> LogIndex {
        let in_file = self.store.manifest().checkpoint.log_index;
        self.sidecar.as_ref().map_or(in_file, |control| control.durable().max(in_file))
    }

    /// Within how many ms what is written now is synced in the background; `None`: it is durable already, or nobody does.
    pub(crate) fn next_sync_ms(&self) -> Option<u64> {
        let syncs = self.options.sync_mode == SyncMode::Normal && self.jobs.running() && !self.has_log_failed();
        syncs.then_some(self.options.sync_interval_ms)
    }

    /// Makes every commit so far durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let (last, kept) = {
            let commit = self.commit.lock();
            let Some(appender) = &commit.appender else { return Ok(()) };
            (appender.last(), keep(appender))
        };
        self.sync_and_publish(PublishedLog::kept(&kept), last, self.epoch())
    }

    /// Closes the engine: no handle uses it any more.
    pub(crate) fn close(&self) -> Result<()> {
        self.end(false)
    }

    /// As [`Engine::close`]. `unmake`: what this open made of a sidecar goes. While the locks are held, so that it is nobody
    /// else's yet.
    fn end(&self, unmake: bool) -> Result<()> {
        if self.env.host.forked() {
            // The parent goes on with the log and the locks: touch nothing.
            return Ok(());
        }
        self.closed.store(true, Ordering::Release);
        self.signal.notify_all();
        self.jobs.stop();
        let result = if self.options.read_only { Ok(()) } else { self.close_log() };
        if unmake || self.is_foreign() {
            self.unmake_sidecar();
        }
        // One that was promoted meanwhile leads.
        let as_made = self.role() == self.options.role.unwrap_or_default();
        let empty = as_made && self.published() == LogIndex(0) && self.made_file.load(Ordering::Acquire);
        if empty && self.unwanted.load(Ordering::Acquire) {
            self.unmake_file();
        }
        if self.is_viewed() {
            self.store.pin_for_views();
        }
        self.unlock();
        result
    }

    /// Closes what could not be opened as a whole. What the open made for a part that the file does not have goes.
    pub(crate) fn give_up(&self) {
        let unused = self.published() == LogIndex(0) && !self.options.read_only;
        if let Err(e) = self.end(unused) {
            tracing::warn!("closing what could not be opened failed: {e}");
        }
    }

    /// Gives the writer's locks back.
    pub(super) fn unlock(&self) {
        if let Some(control) = self.sidecar.as_ref().filter(|_| !self.options.read_only) {
            control.unlock_writer();
        }
        let _ = self.store.file().unlock(WRITER_LOCK..WRITER_LOCK + 1);
    }

    /// Whether someone still holds a view or a transaction.
    fn is_viewed(&self) -> bool {
        // One reference is the engine's, one is this function's.
        Arc::strong_count(&self.levels.load_full()) > 2 || self.pins.any()
    }
}
