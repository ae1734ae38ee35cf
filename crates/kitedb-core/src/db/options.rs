//! How a database is opened.

use crate::{
    error::{Error, ErrorCode, Result},
    store::DEFAULT_MAX_RUNS,
};
use std::path::{Path, PathBuf};

/// When a commit is on the disk. In every mode it survives the death of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SyncMode {
    /// Before `commit` returns: it survives the death of the machine. Committers that wait share a sync.
    #[default]
    Full,
    /// Within [`OpenOptions::sync_interval_ms`], by a background sync.
    Normal,
    /// At the next checkpoint, and at close.
    Off,
}

/// The largest limit of a segment, in bytes.
const MAX_SEGMENT: u64 = 1 << 30;

/// The longest name of a replica, in bytes.
pub(crate) const MAX_NAME: usize = 64;

/// What part a database plays in replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ReplicationRole {
    /// None: the log is kept only as long as recovery needs it.
    #[default]
    Disabled,
    /// It takes writes and keeps its log in a sidecar, from which replicas pull.
    Primary,
    /// It takes writes only from its source's log. It keeps that log in a sidecar of its own.
    Replica,
}

impl ReplicationRole {
    /// The text form used in status, metrics and every language: `disabled`, `primary` or `replica`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Primary => "primary",
            Self::Replica => "replica",
        }
    }
}

impl std::str::FromStr for ReplicationRole {
    type Err = Error;

    /// Reads the text form, exactly.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "disabled" => Ok(Self::Disabled),
            "primary" => Ok(Self::Primary),
            "replica" => Ok(Self::Replica),
            other => {
                let what = format_args!("Invalid replication_role '{other}': give disabled, primary or replica");
                Err(Error::new(ErrorCode::InvalidOption, what))
            }
        }
    }
}

/// What a primary (and a replica, for the replicas that follow it) keeps of its log beyond what recovery needs. A
/// segment goes only as a whole, and only if nothing here asks for a frame in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetentionOptions {
    pub min_entries: u64,
    pub min_ms: Option<u64>,
    pub max_bytes: Option<u64>,
    pub max_lag_ms: Option<u64>,
    pub interval_ms: Option<u64>,
}

impl Default for RetentionOptions {
    fn default() -> Self {
        Self { min_entries: 1024, min_ms: None, max_bytes: None, max_lag_ms: None, interval_ms: None }
    }
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
    pub(crate) max_pin_ms: u64,
    pub(crate) segment_max_bytes: u64,
    pub(crate) replication_segment_max_bytes: Option<u64>,
    /// `None`: the part that the file has.
    pub(crate) role: Option<ReplicationRole>,
    pub(crate) sidecar_path: Option<PathBuf>,
    pub(crate) source_db_path: Option<PathBuf>,
    pub(crate) source_sidecar_path: Option<PathBuf>,
    pub(crate) overwrite: bool,
    pub(crate) hard_links: bool,
    pub(crate) accept_copy: bool,
    pub(crate) require_complete: bool,
    pub(crate) retention: RetentionOptions,
    pub(crate) replication_name: Option<String>,
    pub(crate) replication_unregistered: bool,
    pub(crate) fail_after_append: Option<u64>,
    pub(crate) fence_wait_ms: u64,
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
            max_pin_ms: 0,
            segment_max_bytes: 64 << 20,
            replication_segment_max_bytes: None,
            role: None,
            sidecar_path: None,
            source_db_path: None,
            source_sidecar_path: None,
            overwrite: false,
            hard_links: false,
            accept_copy: false,
            require_complete: false,
            retention: RetentionOptions::default(),
            replication_name: None,
            replication_unregistered: false,
            fail_after_append: None,
            fence_wait_ms: 5000,
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
        /// of the open; in a replication role, the replication status as of the open, too.
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
        /// For how many ms a view or a transaction may be held (default 0: for as long as it likes). From then on, what reads
        /// from it fails with [`ErrorCode::SnapshotExpired`], and a transaction does not commit; a read that has begun goes
        /// on. What a [`ViewHandle`](crate::ViewHandle) or a [`TransactionHandle`](crate::TransactionHandle) holds is freed
        /// then; else it is freed when the view or transaction is dropped. It is looked at within a quarter of that time, by a
        /// thread, or without [`OpenOptions::background`] when something begins, ends in a checkpoint, or asks for statistics;
        /// a commit and a handle look for themselves.
        max_pin_ms: u64,
        /// Bytes beyond which a log segment is left for a new one (default 64 MiB; at least 4 KiB, at most 1 GiB,
        /// for an open reads the last one whole).
        segment_max_bytes: u64,
    }

    /// What part the database is to play in replication (default: the one that its file has; none for a new one). A role
    /// cannot contradict the file: see [`crate::ErrorCode::RoleMismatch`].
    #[must_use]
    pub fn replication_role(mut self, role: ReplicationRole) -> Self {
        self.role = Some(role);
        self
    }

    /// The folder of this database's own replication log (default: where it was last; for a new one
    /// `<file name>.replication` beside the file). Of a database that has a log already, the folder is where that log is; of
    /// one without a part in replication it means nothing, and is an error.
    #[must_use]
    pub fn replication_sidecar_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.sidecar_path = Some(path.into());
        self
    }

    /// The database file that a replica follows (default: the one that it followed last).
    #[must_use]
    pub fn replication_source_db_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.source_db_path = Some(path.into());
        self
    }

    /// Where to look for the source's replication log (default: where the source's file says, then `<file name>.replication`
    /// beside it).
    #[must_use]
    pub fn replication_source_sidecar_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.source_sidecar_path = Some(path.into());
        self
    }

    /// Lets a bootstrap or a reseed replace a graph that is no replica's: that of a stand-alone database, or of a primary
    /// that leads; [`crate::Database::confirm_moved_in`] lead although another node took over (default false).
    #[must_use]
    pub fn replication_overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Opens a file for writing though it has more than one hard link (default false). Under each of its names another
    /// log would be looked for.
    #[must_use]
    pub fn accept_hard_links(mut self, accept: bool) -> Self {
        self.hard_links = accept;
        self
    }

    /// Fails to open, with the damage as the error, where less than was committed would be shown (default false: what is there
    /// is shown, and [`crate::Database::damage`] says what is missing).
    #[must_use]
    pub fn require_complete(mut self, require: bool) -> Self {
        self.require_complete = require;
        self
    }

    /// Opens for writing what was copied while its original was written to, although it has less than that one had: what
    /// is missing is given up (default false). A replica needs no such word.
    #[must_use]
    pub fn accept_copy(mut self, accept: bool) -> Self {
        self.accept_copy = accept;
        self
    }

    /// Bytes beyond which a segment of the replication log is left for a new one (default: as
    /// [`OpenOptions::segment_max_bytes`], at most 1 GiB; 0 counts as 1, and with 1 every frame has a segment of its own).
    #[must_use]
    pub fn replication_segment_max_bytes(mut self, bytes: u64) -> Self {
        self.replication_segment_max_bytes = Some(bytes.max(1));
        self
    }

    /// How many of the newest frames the log keeps (default 1024).
    #[must_use]
    pub fn replication_retention_min_entries(mut self, frames: u64) -> Self {
        self.retention.min_entries = frames;
        self
    }

    /// For how long the log keeps a frame, in ms since its commit (default: no such rule).
    #[must_use]
    pub fn replication_retention_min_ms(mut self, ms: u64) -> Self {
        self.retention.min_ms = Some(ms);
        self
    }

    /// The most bytes that the log may take for the sake of replicas and windows; beyond them the slowest replica
    /// is let go. What recovery needs is kept all the same (default: no limit).
    #[must_use]
    pub fn replication_retention_max_bytes(mut self, bytes: u64) -> Self {
        self.retention.max_bytes = Some(bytes);
        self
    }

    /// A replica whose next frame is older than this many ms no longer holds the log (default: no limit).
    #[must_use]
    pub fn replication_retention_max_lag_ms(mut self, ms: u64) -> Self {
        self.retention.max_lag_ms = Some(ms);
        self
    }

    /// Runs retention by itself every so many ms (default: only when called for; a replica also does so after each
    /// of its checkpoints).
    #[must_use]
    pub fn replication_retention_interval_ms(mut self, ms: u64) -> Self {
        self.retention.interval_ms = Some(ms);
        self
    }

    /// What a replica is called, beside its id, where those who follow are listed: 1 to 64 bytes (default: no name).
    #[must_use]
    pub fn replication_name(mut self, name: impl Into<String>) -> Self {
        self.replication_name = Some(name.into());
        self
    }

    /// Whether a replica follows without being registered with its source (default false): it needs no permission to
    /// write there then, and the source may let go of what the replica needs next, which makes a reseed necessary.
    #[must_use]
    pub fn replication_unregistered(mut self, unregistered: bool) -> Self {
        self.replication_unregistered = unregistered;
        self
    }

    /// Lets every append to the log fail once so many have succeeded (0: the first one fails), for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn replication_fail_after_append_for_testing(mut self, appends: u64) -> Self {
        self.fail_after_append = Some(appends);
        self
    }

    /// For how many ms a commit waits that a promotion of another node met, until that has said which commits it keeps
    /// (default 5000, at least 1). After that the commit fails with
    /// [`ErrorCode::OutcomeUnknown`](crate::ErrorCode::OutcomeUnknown).
    #[must_use]
    pub fn fence_wait_ms(mut self, ms: u64) -> Self {
        self.fence_wait_ms = ms;
        self
    }

    /// The first option, by its name, that means nothing for a database in memory, which is new, and which nobody follows.
    pub(crate) fn not_in_memory(&self) -> Option<&'static str> {
        let given = [
            (self.read_only, "read_only"),
            (!self.create_if_missing, "create_if_missing(false)"),
            (self.role.is_some_and(|role| role != ReplicationRole::Disabled), "replication_role"),
            (self.sidecar_path.is_some(), "replication_sidecar_path"),
            (self.source_db_path.is_some(), "replication_source_db_path"),
            (self.source_sidecar_path.is_some(), "replication_source_sidecar_path"),
            (self.overwrite, "replication_overwrite"),
            (self.replication_segment_max_bytes.is_some(), "replication_segment_max_bytes"),
            (self.retention != RetentionOptions::default(), "a replication_retention option"),
            (self.replication_name.is_some(), "replication_name"),
            (self.replication_unregistered, "replication_unregistered"),
            (self.fail_after_append.is_some(), "replication_fail_after_append_for_testing"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, name)| name)
    }

    /// The first option, by its name, that says how a replica is known where it follows.
    fn of_a_registration(&self) -> Option<&'static str> {
        let given = [
            (self.replication_name.is_some(), "replication_name"),
            (self.replication_unregistered, "replication_unregistered"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, name)| name)
    }

    /// Fails if something is said of a replica and no role, of a database without a part in replication: the role was forgotten. One
    /// that leads was perhaps promoted since, and is opened with the options that it always had. Where a role is said, the paths of a
    /// source mean nothing to another one, as ever.
    pub(crate) fn require_nothing_of_a_replica(&self, path: &Path) -> Result<()> {
        let given = [
            (self.source_db_path.is_some(), "replication_source_db_path"),
            (self.source_sidecar_path.is_some(), "replication_source_sidecar_path"),
        ];
        let source = given.into_iter().find(|(given, _)| *given && self.role.is_none()).map(|(_, name)| name);
        let Some(option) = source.or_else(|| self.of_a_registration()) else { return Ok(()) };
        let what = format_args!(
            "{option} says something of a replica, and {} has no part in replication: give replication_role replica, too, or leave \
             {option} out",
            path.display()
        );
        Err(Error::new(ErrorCode::InvalidOption, what).with_path(path))
    }

    /// The limit of the segments of a log of that role.
    pub(crate) fn segment_limit(&self, role: ReplicationRole) -> u64 {
        match role {
            ReplicationRole::Disabled => self.segment_max_bytes,
            _ => self.replication_segment_max_bytes.unwrap_or(self.segment_max_bytes),
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let check = |ok: bool, what: &str| if ok { Ok(()) } else { Err(Error::new(ErrorCode::InvalidOption, what)) };
        check((2..=32).contains(&self.max_runs), "max_runs is not between 2 and 32")?;
        check(self.sync_interval_ms > 0, "sync_interval_ms is 0: give at least 1 ms, or choose the sync_mode full")?;
        check(self.segment_max_bytes >= 4096, "segment_max_bytes is below 4096")?;
        let segment = self.segment_max_bytes.max(self.replication_segment_max_bytes.unwrap_or(0));
        check(
            segment <= MAX_SEGMENT,
            "replication_segment_max_bytes or segment_max_bytes is over 1 GiB: an open reads a whole segment into memory",
        )?;
        check(self.retention.interval_ms != Some(0), "replication_retention_interval_ms is 0: give at least 1 ms")?;
        check(self.fence_wait_ms > 0, "fence_wait_ms is 0: give at least 1 ms")?;
        check(
            self.replication_name.as_ref().is_none_or(|name| (1..=MAX_NAME).contains(&name.len())),
            "replication_name has not 1 to 64 bytes",
        )?;
        check(
            self.replication_name.is_none() || !self.replication_unregistered,
            "replication_name (--name) is what a replica is listed as where it is registered, and replication_unregistered \
             (--unregistered) is that it is not: leave one of them out",
        )?;
        if let Some(role) = self.role.filter(|role| *role != ReplicationRole::Replica)
            && let Some(option) = self.of_a_registration()
        {
            let what = format_args!(
                "{option} says something of a replica, and replication_role is {}: leave one of them out, or give replication_role \
                 replica",
                role.as_str()
            );
            return Err(Error::new(ErrorCode::InvalidOption, what));
        }
        check(self.checkpoint_log_bytes >= 4096, "checkpoint_log_bytes is below 4096")
    }

    /// The first option, by its name, of those that every open of a file in a process shares, that says something else here than
    /// `shared` does. What is as it is by default is not said.
    pub(crate) fn contradicts(&self, shared: &Self) -> Option<&'static str> {
        fn differs<T: PartialEq>(here: &T, shared: &T, by_default: &T) -> bool {
            here != by_default && here != shared
        }
        let by_default = Self::default();
        macro_rules! said {
            ($($name:literal: $($field:ident).+),* $(,)?) => {
                [$(($name, differs(&self.$($field).+, &shared.$($field).+, &by_default.$($field).+))),*]
            };
        }
        let all = said! {
            "sync_interval_ms": sync_interval_ms,
            "checkpoint_log_bytes": checkpoint_log_bytes,
            "auto_checkpoint": auto_checkpoint,
            "auto_compaction": auto_compaction,
            "max_runs": max_runs,
            "background": background,
            "max_pin_ms": max_pin_ms,
            "segment_max_bytes": segment_max_bytes,
            "replication_segment_max_bytes": replication_segment_max_bytes,
            "replication_retention_min_entries": retention.min_entries,
            "replication_retention_min_ms": retention.min_ms,
            "replication_retention_max_bytes": retention.max_bytes,
            "replication_retention_max_lag_ms": retention.max_lag_ms,
            "replication_retention_interval_ms": retention.interval_ms,
            "replication_name": replication_name,
            "replication_unregistered": replication_unregistered,
            "fence_wait_ms": fence_wait_ms,
        };
        all.into_iter().find(|(_, differs)| *differs).map(|(name, _)| name)
    }
}
