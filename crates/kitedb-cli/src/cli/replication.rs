//! Arguments of the commands about primaries and replicas. The flags have the names of the open options.

use super::DatabaseArgs;
use clap::{Args, Subcommand, ValueEnum};
use kitedb_core::{OpenOptions, ReplicationRole, RetentionWindows, SyncMode};
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub enum PrimaryCommand {
    /// Show a primary: epoch, head, log, and how far each replica is; works beside the process that writes
    Status(DatabaseArgs),
    /// Let go of the segments of the log that neither windows, nor replicas, nor recovery ask for; the process that
    /// has the database open is asked to do so. Works on a replica's log, too
    Retention(RetentionArgs),
    /// Begin the next epoch: whoever else has this log open is fenced
    Promote(PromoteArgs),
    /// Forget a replica, so that the log is no longer kept for it; works beside the process that writes, and for those
    /// that follow a replica
    Remove(RemoveArgs),
}

#[derive(Subcommand)]
pub enum ReplicaCommand {
    /// Copy the source's graph into a new replica and catch up; the source goes on meanwhile
    Bootstrap(CopyArgs),
    /// Follow the source until SIGINT or SIGTERM, printing a line whenever the state changes
    Follow(FollowArgs),
    /// Show a replica: where it is, what it does, what went wrong; works beside the process that follows
    Status(ReplicaStatusArgs),
    /// Copy the source's graph anew: for a replica that needs a reseed
    Reseed(CopyArgs),
    /// Make this replica the primary of the next epoch, after fencing its source and taking all that it acknowledged
    Promote(ReplicaPromoteArgs),
}

impl PrimaryCommand {
    pub fn database(&self) -> &Path {
        match self {
            Self::Status(args) => &args.database,
            Self::Retention(args) => &args.node.common.database,
            Self::Promote(args) => &args.node.common.database,
            Self::Remove(args) => &args.node.common.database,
        }
    }
}

impl ReplicaCommand {
    /// The source that it was given.
    pub fn source(&self) -> Option<&Path> {
        match self {
            Self::Bootstrap(args) | Self::Reseed(args) => args.node.source.source_db.as_deref(),
            Self::Follow(args) => args.node.source.source_db.as_deref(),
            Self::Status(args) => args.source_db.as_deref(),
            Self::Promote(args) => args.source_db.as_deref(),
        }
    }

    pub fn database(&self) -> &Path {
        match self {
            Self::Bootstrap(args) | Self::Reseed(args) => &args.node.common.database,
            Self::Follow(args) => &args.node.common.database,
            Self::Status(args) => &args.common.database,
            Self::Promote(args) => &args.common.database,
        }
    }
}

/// A database that is opened for writing in a replication role.
#[derive(Args)]
pub struct PrimaryArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Args)]
pub struct RetentionArgs {
    #[command(flatten)]
    pub node: PrimaryArgs,
    /// After the registry of replicas was lost: the replicas that `kitedb primary status` lists are all that there are
    #[arg(long)]
    pub replicas_complete: bool,
    #[command(flatten)]
    pub windows: WindowArgs,
}

#[derive(Args)]
pub struct PromoteArgs {
    #[command(flatten)]
    pub node: PrimaryArgs,
    /// Lead again although another node took over: what was committed there is lost, or makes a second history
    #[arg(long)]
    pub force: bool,
}

#[derive(Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    pub node: PrimaryArgs,
    /// The replica's id as the status shows it, the first digits of it, its name or the path of its file
    pub replica: String,
}

#[derive(Args)]
pub struct ReplicaArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub windows: WindowArgs,
    /// What this replica is called, beside its id, where those who follow are listed
    #[arg(long, value_name = "NAME", conflicts_with = "unregistered")]
    pub name: Option<String>,
    /// Do not register with the source: it need not be written to, and may let go of what this replica needs next
    #[arg(long)]
    pub unregistered: bool,
}

#[derive(Args)]
pub struct CopyArgs {
    #[command(flatten)]
    pub node: ReplicaArgs,
    /// Replace what DB holds, although it is no replica, has commits that the source lacks, or is followed by replicas which need
    /// its log: that is lost
    #[arg(long)]
    pub overwrite: bool,
}

#[derive(Args)]
pub struct FollowArgs {
    #[command(flatten)]
    pub node: ReplicaArgs,
    /// Catch up with what the source has now, and end
    #[arg(long, conflicts_with = "poll_ms")]
    pub once: bool,
    /// How many frames are pulled at once
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_frames: u32,
    /// The longest time between two looks at a source that does not wake this process, as where its log was replaced from outside
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub poll_ms: u64,
}

#[derive(Args)]
pub struct ReplicaStatusArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    /// The database file that it follows [default: the one that it followed last]
    #[arg(long, value_name = "DB")]
    pub source_db: Option<PathBuf>,
    /// Where to look first for the source's log [default: where the source's file says]
    #[arg(long, value_name = "DIR", requires = "source_db")]
    pub source_sidecar: Option<PathBuf>,
}

#[derive(Args)]
pub struct ReplicaPromoteArgs {
    #[command(flatten)]
    pub common: DatabaseArgs,
    /// The database file that it follows [default: the one that it followed last]
    #[arg(long, value_name = "DB")]
    pub source_db: Option<PathBuf>,
    /// Where to look first for the source's log [default: where the source's file says]
    #[arg(long, value_name = "DIR", requires = "source_db")]
    pub source_sidecar: Option<PathBuf>,
    /// Take over even if the source cannot be fenced or read to its end, or is gone: what only the source has is lost, and if
    /// it, or a node that took over from it, writes on, there are two histories
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub log: LogArgs,
}

/// Where a replica gets its frames from.
#[derive(Args)]
pub struct SourceArgs {
    /// The database file to follow [default: the one that it followed last]
    #[arg(long, value_name = "DB")]
    pub source_db: Option<PathBuf>,
    /// Where to look first for the source's log [default: where the source's file says]
    #[arg(long, value_name = "DIR", requires = "source_db")]
    pub source_sidecar: Option<PathBuf>,
}

/// How a node writes its own log.
#[derive(Args)]
pub struct LogArgs {
    /// When a commit, or a frame that was pulled, is on the disk
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Sync::Full)]
    pub sync_mode: Sync,
    /// Bytes beyond which a segment of the log is left for a new one [default: 64 MiB]
    #[arg(long, value_name = "BYTES")]
    pub segment_max_bytes: Option<u64>,
    /// How long a commit waits that a promotion of another node met, until that says which commits count [default: 5000]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub fence_wait_ms: Option<u64>,
    /// Write to the file though it has more than one hard link; changes nothing for one that has not, or is made now
    #[arg(long)]
    pub accept_hard_links: bool,
    /// Write to a copy that was taken in use, although its original had more: what is missing is given up; changes nothing for
    /// what is no such copy, or is made now
    #[arg(long)]
    pub accept_copy: bool,
}

/// What a log keeps beyond what recovery and replicas need.
#[derive(Args)]
pub struct WindowArgs {
    /// Keep this many of the newest frames [default: 1024]
    #[arg(long, value_name = "FRAMES")]
    pub retention_min_entries: Option<u64>,
    /// Keep each frame for this long [default: no such rule]
    #[arg(long, value_name = "MS")]
    pub retention_min_ms: Option<u64>,
    /// Let go of the slowest replica beyond this many bytes of log [default: never]
    #[arg(long, value_name = "BYTES")]
    pub retention_max_bytes: Option<u64>,
    /// Keep nothing for a replica whose next frame is older than this [default: no limit]
    #[arg(long, value_name = "MS")]
    pub retention_max_lag_ms: Option<u64>,
}

/// See [`SyncMode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sync {
    /// At once: it survives the death of the machine
    Full,
    /// Within a second
    Normal,
    /// At the next checkpoint
    Off,
}

/// What part a database is to play that is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Replicas can follow it
    Primary,
    /// Nobody follows it
    Disabled,
}

impl From<Role> for ReplicationRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Primary => Self::Primary,
            Role::Disabled => Self::Disabled,
        }
    }
}

impl LogArgs {
    pub fn apply(&self, mut options: OpenOptions) -> OpenOptions {
        options = options.sync_mode(match self.sync_mode {
            Sync::Full => SyncMode::Full,
            Sync::Normal => SyncMode::Normal,
            Sync::Off => SyncMode::Off,
        });
        if let Some(bytes) = self.segment_max_bytes {
            options = options.replication_segment_max_bytes(bytes);
        }
        if let Some(ms) = self.fence_wait_ms {
            options = options.fence_wait_ms(ms);
        }
        options.accept_hard_links(self.accept_hard_links).accept_copy(self.accept_copy)
    }
}

impl WindowArgs {
    /// Those that are given.
    pub fn given(&self) -> RetentionWindows {
        let mut windows = RetentionWindows::new();
        if let Some(frames) = self.retention_min_entries {
            windows = windows.min_entries(frames);
        }
        if let Some(ms) = self.retention_min_ms {
            windows = windows.min_ms(ms);
        }
        if let Some(bytes) = self.retention_max_bytes {
            windows = windows.max_bytes(bytes);
        }
        if let Some(ms) = self.retention_max_lag_ms {
            windows = windows.max_lag_ms(ms);
        }
        windows
    }

    pub fn apply(&self, mut options: OpenOptions) -> OpenOptions {
        if let Some(frames) = self.retention_min_entries {
            options = options.replication_retention_min_entries(frames);
        }
        if let Some(ms) = self.retention_min_ms {
            options = options.replication_retention_min_ms(ms);
        }
        if let Some(bytes) = self.retention_max_bytes {
            options = options.replication_retention_max_bytes(bytes);
        }
        if let Some(ms) = self.retention_max_lag_ms {
            options = options.replication_retention_max_lag_ms(ms);
        }
        options
    }
}

impl DatabaseArgs {
    /// Options that open it as what it is, with its log where it says, or where the arguments do.
    pub fn options(&self) -> OpenOptions {
        let options = OpenOptions::new().create_if_missing(false);
        match &self.sidecar {
            Some(dir) => options.replication_sidecar_path(dir),
            None => options,
        }
    }
}

impl PrimaryArgs {
    pub fn options(&self) -> OpenOptions {
        self.log.apply(self.common.options().replication_role(ReplicationRole::Primary))
    }
}

impl ReplicaArgs {
    /// To look at the replica as a status of it does.
    pub fn look_options(&self) -> OpenOptions {
        let SourceArgs { source_db, source_sidecar } = &self.source;
        following(self.common.options().read_only(true), source_db.as_ref(), source_sidecar.as_ref())
    }

    pub fn options(&self) -> OpenOptions {
        let options = self.common.options().replication_role(ReplicationRole::Replica);
        let options = following(options, self.source.source_db.as_ref(), self.source.source_sidecar.as_ref());
        let options = self.windows.apply(self.log.apply(options)).replication_unregistered(self.unregistered);
        match &self.name {
            Some(name) => options.replication_name(name),
            None => options,
        }
    }
}

impl CopyArgs {
    pub fn options(&self) -> OpenOptions {
        self.node.options().replication_overwrite(self.overwrite)
    }
}

impl ReplicaPromoteArgs {
    /// As the replica that it is.
    pub fn options(&self) -> OpenOptions {
        let options = self.log.apply(self.common.options());
        following(options, self.source_db.as_ref(), self.source_sidecar.as_ref())
    }
}

impl ReplicaStatusArgs {
    pub fn options(&self) -> OpenOptions {
        let options = self.common.options().read_only(true);
        following(options, self.source_db.as_ref(), self.source_sidecar.as_ref())
    }
}

pub(super) fn following(mut options: OpenOptions, db: Option<&PathBuf>, sidecar: Option<&PathBuf>) -> OpenOptions {
    if let Some(db) = db {
        options = options.replication_source_db_path(db);
    }
    match sidecar {
        Some(dir) => options.replication_source_sidecar_path(dir),
        None => options,
    }
}
