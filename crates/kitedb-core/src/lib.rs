//! KiteDB's engine: an embedded property graph in one file, with a log that can be replicated.
//!
//! A database is a log of committed transactions plus a cached fold of that log. The folders of this crate are
//! the floors of that design, and a lower one never uses a higher one:
//!
//! | floor | module | owns |
//! |---|---|---|
//! | 1 | [`io`] | files, mappings, locks, time and chance, real and simulated |
//! | 1 | [`graph`] | the model: ids, values, names, records, mutations, the digest |
//! | 2 | `log` | frames, segments, sync marks, group sync, recovery of the tail |
//! | 2 | `store` | the `.kitedb` file: header slots, runs, merging, checksums |
//! | 3 | `state` | the delta in memory over the runs, and how a state is read |
//! | 4 | `db` | [`Transaction`], [`View`], commits, checkpoints, recovery |
//! | 5 | `replication` | what primaries and replicas do: pages, bootstrap, retention, promotion |
//! | 6 | `database` | [`Database`], the handle |
//! | 7 | `metrics` | [`Metrics`] and [`HealthCheck`]: figures for operators |
//! | 7 | [`temporal`], [`json`] | values as text: ISO 8601 and zones, JSON |

pub mod error;
pub mod graph;
pub mod io;
pub mod json;
pub mod temporal;

mod database;
mod db;
mod level;
mod lock;
mod log;
mod metrics;
mod replication;
mod shell;
mod state;
mod store;

pub use database::{BulkLoader, ConfirmedMove, Database, WeakDatabase, compare, compare_deep};
pub use db::{
    CheckReport, Detached, Difference, Element, GraphRead, Index, IndexOn, IndexSpec, Latency, LatencyBucket, NameId,
    NameRef, NewNode, OpenOptions, Page, Pending, Repair, RepairOptions, ReplicationRole, Stats, StillRegistered,
    SyncMode, Transaction, TrySubmitError, View,
};
pub use error::{Error, ErrorCode, ErrorKind, Result};
pub use graph::{
    Date, DateTime, DateTimeRef, Digest, Direction, Duration, DurationRef, EdgeKey, EdgeTypeId, Epoch, IndexId,
    IndexState, LabelId, ListRef, LocalDateTime, LocalTime, LogIndex, MAX_RANK, MapRef, NodeId, PropKeyId, Time, Token,
    Value, ValueRef, VectorRef,
};
pub use level::FEATURE_LEVEL;
pub use metrics::{
    CacheLayerMetrics, CacheMetrics, Check, DataMetrics, EngineMetrics, HealthCheck, MemoryMetrics, Metrics,
    MvccMetrics, PrimaryMetrics, ReplicaLagMetrics, ReplicaMetrics, ReplicationMetrics, collect_metrics_single_file,
    health_check_single_file,
};
pub use replication::{
    ComparedState, Comparison, Cursor, FenceStatus, FollowerOptions, Hold, HoldReason, HoldState, MIN_ID_DIGITS,
    Parting, PrimaryReplicationStatus, Promotion, ReplicaLag, ReplicaReplicationStatus, ReplicaState, RetentionOutcome,
    RetentionWindows, Rival, SourceFault, TokenWait, short_id,
};
pub use shell::{Command, ShellWord, command, shell_word};

/// [`OpenOptions`], under the name that earlier versions gave it.
pub type SingleFileOpenOptions = OpenOptions;
/// [`Database`], under the name that earlier versions gave it.
pub type SingleFileDB = Database;

/// [`Database::open`], under the name that earlier versions gave it.
pub fn open_single_file(path: impl AsRef<std::path::Path>, options: SingleFileOpenOptions) -> Result<SingleFileDB> {
    Database::open(path, options)
}

/// [`Database::close`], under the name that earlier versions gave it.
pub fn close_single_file(db: SingleFileDB) -> Result<()> {
    db.close()
}

#[doc(hidden)]
pub use db::definitions_for_testing as index_definitions_for_testing;

/// The code in the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
