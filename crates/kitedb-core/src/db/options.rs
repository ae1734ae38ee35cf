//! How a database is opened.

use crate::{
    error::{Error, ErrorCode, Result},
    store::DEFAULT_MAX_RUNS,
};

/// When a commit is on the disk. In every mode it survives the death of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncMode {
    /// Before `commit` returns: it survives the death of the machine. Committers that wait share a sync.
    #[default]
    Full,
    /// Within [`OpenOptions::sync_interval_ms`], by a background sync.
    Normal,
    /// At the next checkpoint, and at close.
    Off,
}

/// Options of [`Database::open`](crate::Database::open), built by value.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    pub(crate) read_only: bool,
    pub(crate) create_if_missing: bool,
    pub(crate) sync_mode: SyncMode,
    pub(crate) sync_interval_ms: u64,
    pub(crate) checkpoint_log_bytes: u64,
    pub(crate) auto_checkpoint: bool,
    pub(crate) auto_compaction: bool,
    pub(crate) max_runs: usize,
    pub(crate) background: bool,
    pub(crate) segment_max_bytes: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            read_only: false,
            create_if_missing: true,
            sync_mode: SyncMode::Full,
            sync_interval_ms: 1000,
            checkpoint_log_bytes: 64 << 20,
            auto_checkpoint: true,
            auto_compaction: true,
            max_runs: DEFAULT_MAX_RUNS,
            background: true,
            segment_max_bytes: 64 << 20,
        }
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $ty:ty,)*) => {
        $($(#[$doc])* #[must_use] pub fn $name(mut self, value: $ty) -> Self { self.$name = value; self })*
    };
}

impl OpenOptions {
    /// The defaults: created if missing, read and written, synced at every commit.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Reads only: needs no permission to write, and works beside a process that writes. Shows the state as
        /// of the open.
        read_only: bool,
        /// Makes the file if there is none (default true).
        create_if_missing: bool,
        /// When a commit is on the disk (default [`SyncMode::Full`]).
        sync_mode: SyncMode,
        /// In [`SyncMode::Normal`], the longest time in ms that a commit waits for its background sync (default 1000).
        sync_interval_ms: u64,
        /// Bytes of log after which a checkpoint begins in the background (default 64 MiB).
        checkpoint_log_bytes: u64,
        /// Whether checkpoints begin by themselves (default true). Closing makes one in any case.
        auto_checkpoint: bool,
        /// Whether runs are merged by themselves (default true).
        auto_compaction: bool,
        /// The most runs that a read may have to look into once compaction has caught up (default 7, 2 to 32).
        max_runs: usize,
        /// Whether threads do the background work (default true). Without them checkpoints, merges and the
        /// syncs of [`SyncMode::Normal`] happen only when called for, and at close.
        background: bool,
        /// Bytes beyond which a log segment is left for a new one (default 64 MiB; at least 4 KiB).
        segment_max_bytes: u64,
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let check = |ok: bool, what: &str| if ok { Ok(()) } else { Err(Error::new(ErrorCode::InvalidOption, what)) };
        check((2..=32).contains(&self.max_runs), "max_runs is not between 2 and 32")?;
        check(self.sync_interval_ms > 0, "sync_interval_ms is 0: give at least 1 ms, or choose SyncMode::Full")?;
        check(self.segment_max_bytes >= 4096, "segment_max_bytes is below 4096")?;
        check(self.checkpoint_log_bytes >= 4096, "checkpoint_log_bytes is below 4096")
    }
}
