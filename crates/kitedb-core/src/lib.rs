//! KiteDB's engine: an embedded property graph in one file, with a log that can be replicated.
//!
//! A database is a log of committed transactions plus a cached fold of that log. The folders of this crate are
//! the floors of that design, and a lower one never uses a higher one:
//!
//! | floor | module | owns |
//! |---|---|---|
//! | 1 | [`io`] | files, mappings, locks, time and chance, real and simulated |
//! | 1 | [`graph`] | the model: ids, values, names, records, mutations, the digest |
//! | 1 | `pool` | the threads of a process, which its databases share |
//! | 2 | `log` | frames, segments, sync marks, group sync, recovery of the tail |
//! | 2 | `store` | the `.kitedb` file: header slots, runs, merging, checksums |
//! | 3 | `state` | the delta in memory over the runs, and how a state is read |
//! | 4 | `db` | [`Transaction`], [`View`], commits, checkpoints, recovery |
//! | 5 | [`query`] | traversals, paths, components, ranking |
//! | 5 | `replication` | what primaries and replicas do: pages, bootstrap, retention, promotion |
//! | 6 | `database` | [`Database`], the handle |
//! | 7 | `metrics` | [`Metrics`] and [`HealthCheck`]: figures for operators |
//! | 7 | [`source`] | what a replica follows, for who writes a source of his own |
//! | 7 | [`temporal`], [`json`] | values as text: ISO 8601 and zones, JSON |
//! | 8 | [`compat`] | the names of kitedb 0.2 |

pub mod compat;
pub mod error;
pub mod graph;
pub mod io;
pub mod json;
pub mod query;
pub mod source;
pub mod temporal;

mod database;
mod db;
mod level;
mod lock;
mod log;
mod metrics;
mod pool;
mod printable;
mod replication;
mod shell;
mod state;
mod store;
#[doc(hidden)]
pub mod testing;
mod watch;

pub use database::{
    BulkLoader, ConfirmedMove, Database, WeakDatabase, compare, compare_deep, compare_deep_with, compare_with,
};
pub use db::{
    AllTypes, CheckReport, Detached, Difference, EdgeCursor, EdgeRef, Edges, Element, Graph, GraphRead, Index, IndexOn,
    IndexSpec, Latency, LatencyBucket, LeftFollower, NameId, NameRef, Neighbors, NewNode, NodeCursor, NodeEdges,
    NodeRef, Nodes, OpenOptions, Page, Pending, PinInfo, PinKind, Repair, RepairOptions, ReplicationRole, SortedEdges,
    Stats, StillRegistered, SyncMode, Transaction, TransactionHandle, TrySubmitError, TypeFilter, View, ViewHandle,
    require_outside_logs,
};
pub use error::{Error, ErrorCode, ErrorKind, Result};
pub use graph::{
    Date, DateTime, DateTimeRef, Digest, Direction, Duration, DurationRef, EdgeKey, EdgeTypeId, Epoch, IndexId,
    IndexState, LabelId, ListRef, LocalDateTime, LocalTime, LogIndex, MAX_RANK, MapRef, NodeId, PropKeyId, Time, Token,
    Value, ValueRef, VectorRef, WriterTag,
};
pub use level::FEATURE_LEVEL;
pub use metrics::{
    CacheLayerMetrics, CacheMetrics, Check, DataMetrics, EngineMetrics, HealthCheck, MemoryMetrics, Metrics,
    MvccMetrics, PrimaryMetrics, ReplicaLagMetrics, ReplicaMetrics, ReplicationMetrics,
};
pub use printable::printable;
pub use replication::{
    ComparedState, Comparison, Copied, Cursor, ExportedFrame, ExportedPage, ExportedSnapshot, FenceStatus,
    FollowerOptions, Hold, HoldReason, HoldState, LeftBehind, LeftBehindBy, LogGap, LogGapReason, LogWatch,
    MIN_ID_DIGITS, Parting, PrimaryReplicationStatus, Promotion, ReplicaLag, ReplicaReplicationStatus, ReplicaState,
    RetentionOutcome, RetentionWindows, Rival, SamePath, SourceFault, TokenWait, short_id,
};
pub use shell::{Command, ShellWord, command, shell_word};
pub use watch::{Asleep, Phase, Progress, Unit, Watch};

#[doc(hidden)]
pub use compat::{
    SingleFileDB, SingleFileOpenOptions, close_single_file, collect_metrics_single_file, health_check_single_file,
    open_single_file,
};

/// The code in the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
