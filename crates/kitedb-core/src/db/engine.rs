//! What all handles to one file share.

mod ids;
mod in_flight;
mod maintenance;
mod measures;
mod open_report;
mod poison;
mod publication;
mod replication_state;

use super::{
    jobs::Jobs,
    options::{OpenOptions, ReplicationRole, SyncMode},
    read_on::ReadOn,
    signal::Signal,
    stored::levels_of,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex},
    io::Env,
    lock::Mutex,
    log::{Appender, Control, WriterId},
    state::Names,
    store::{HistoryEntry, LogKind, LogLink, Manifest, Store},
};
use ids::IdAllocator;
use in_flight::InFlight;
use maintenance::Maintenance;
use measures::Measures;
use poison::Poison;
use publication::Publication;
use replication_state::ReplicationState;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

pub(super) use ids::NextIds;
pub(super) use in_flight::Submitted;
pub(super) use maintenance::{CheckpointGuard, MergeGuard};
pub(crate) use measures::Work;
pub(super) use open_report::OpenReport;

/// The engine of one open file: what it is made of, and the parts that own what they guard.
///
/// Locks are taken in this order: that of `read_on`, or that of checkpoints, that of merges, that of publishing (all three in [`Maintenance`], whose
/// guards are what takes the later one), `commit`. Under `commit` come those that nobody holds for longer than a look: of the
/// pins, of the waiters, of the commits in flight, of the jobs, of what an open reported. A committer holds only `commit`; a reader holds none.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) env: Env,
    pub(crate) path: PathBuf,
    /// Where the log lies: in the private folder while the database is open and written, or in the sidecar.
    pub(crate) log_dir: PathBuf,
    pub(crate) options: OpenOptions,
    pub(crate) store: Store,
    /// The control file of the sidecar; `None` without one.
    pub(crate) sidecar: Option<Arc<Control>>,
    /// What part it plays in replication.
    pub(super) replication: ReplicationState,
    /// What its open found and made.
    pub(crate) opened: OpenReport,
    /// The ids that it gives out.
    pub(super) ids: IdAllocator,
    /// The commit lock, and what only its holder may touch.
    pub(super) commit: Mutex<Commit>,
    /// What readers see.
    pub(super) publication: Publication,
    /// Commits that were submitted and have not ended.
    pub(super) in_flight: InFlight,
    /// Checkpoints and merges.
    pub(super) maintenance: Maintenance,
    /// What is counted and measured.
    pub(super) measures: Measures,
    /// Where one that only reads goes on in its log, once it has; who holds the lock is the only one that applies frames.
    pub(super) read_on: Mutex<ReadOn>,
    /// Why nothing is written any more.
    pub(super) poison: Poison,
    closed: AtomicBool,
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
    /// An engine that shows the checkpoint of the file `store`, and nothing beyond.
    pub(super) fn at_checkpoint(
        env: Env,
        path: PathBuf,
        options: OpenOptions,
        store: Store,
        role: ReplicationRole,
        log_dir: PathBuf,
        opened: OpenReport,
    ) -> Result<Self> {
        let (manifest, runs) = store.snapshot();
        let levels = levels_of(&manifest, runs)?;
        let commit = Commit::at_checkpoint(&manifest, || env.host.random());
        Ok(Self {
            replication: ReplicationState::new(role, commit.epoch),
            ids: IdAllocator::new(NextIds::of(&manifest)),
            publication: Publication::new(levels, commit.last, env.host.clone(), options.max_pin_ms),
            commit: Mutex::new(commit),
            in_flight: InFlight::default(),
            maintenance: Maintenance::new(Jobs::new(options.background && !options.read_only)),
            measures: Measures::new(env.host.now_ms()),
            read_on: Mutex::default(),
            poison: Poison::default(),
            closed: AtomicBool::new(false),
            sidecar: None,
            env,
            path,
            log_dir,
            options,
            store,
            opened,
        })
    }

    /// Fails in a child process after a fork.
    #[inline]
    pub(super) fn require_not_forked(&self) -> Result<()> {
        if self.env.host.forked() {
            return Err(Error::new(
                ErrorCode::Forked,
                "this database was opened before a fork: open it again in the child process",
            ));
        }
        Ok(())
    }

    /// Fails where the handle is of no use: after a fork, or closed.
    #[inline]
    pub(crate) fn check_usable(&self) -> Result<()> {
        self.require_not_forked()?;
        if self.is_closed() {
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
        self.opened.copied()
    }

    pub(crate) fn require_writable(&self) -> Result<()> {
        if let Some(refused) = self.opened.refused() {
            return Err(refused.clone());
        }
        if self.options.read_only {
            let what = "Database is read-only: open it without read_only to write";
            return Err(Error::new(ErrorCode::ReadOnly, what).with_path(&self.path));
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
            )
            .with_path(&self.path));
        }
        Ok(())
    }

    /// What part the database plays now.
    #[inline]
    pub(crate) fn role(&self) -> ReplicationRole {
        self.replication.role()
    }

    /// It plays that part from now on.
    pub(crate) fn set_role(&self, role: ReplicationRole) {
        self.replication.set_role(role);
    }

    /// The epoch in which commits are made.
    pub(crate) fn epoch(&self) -> Epoch {
        self.replication.epoch()
    }

    /// Wakes who waits for something to be published.
    pub(crate) fn signal(&self) -> &Signal {
        self.publication.signal()
    }

    /// The names in use now.
    pub(crate) fn names(&self) -> Arc<Names> {
        self.publication.levels().names.clone()
    }

    /// Whether it was closed: no handle uses it any more.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// No handle uses it any more.
    pub(super) fn set_closed(&self) {
        self.closed.store(true, Ordering::Release);
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
        let syncs =
            self.options.sync_mode == SyncMode::Normal && self.maintenance.jobs.running() && !self.has_log_failed();
        syncs.then_some(self.options.sync_interval_ms)
    }
}

impl Commit {
    /// Where a file's checkpoint is, with no log yet; a file without a history begins one, under an id from `writer_id`.
    fn at_checkpoint(manifest: &Manifest, writer_id: impl FnOnce() -> WriterId) -> Self {
        let last = manifest.history.last();
        Self {
            appender: None,
            last: manifest.checkpoint.log_index,
            digest: manifest.checkpoint.digest,
            epoch: last.map_or(Epoch(1), |h| h.epoch),
            writer_id: last.map_or_else(writer_id, |h| h.writer_id),
            history: manifest.history.clone(),
            frozen_at_bytes: 0,
        }
    }

    /// Takes note that frames from the next one on are of this epoch and writer.
    pub(super) fn note_epoch(&mut self, epoch: Epoch, writer_id: WriterId) {
        (self.epoch, self.writer_id) = (epoch, writer_id);
        if self.history.last().is_none_or(|last| (last.epoch, last.writer_id) != (epoch, writer_id)) {
            self.history.push(HistoryEntry { epoch, writer_id, first: LogIndex(self.last.0 + 1) });
        }
    }
}
