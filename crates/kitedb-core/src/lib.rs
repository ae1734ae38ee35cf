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
//! | 4 | `db` | [`Database`], [`Transaction`], [`View`], commits, checkpoints, recovery |

pub mod error;
pub mod graph;
pub mod io;

mod db;
mod log;
mod state;
mod store;

pub use db::{
    BulkLoader, CheckReport, Database, GraphRead, NameId, NameRef, NewNode, OpenOptions, Page, Stats, SyncMode,
    Transaction, View,
};
pub use error::{Error, ErrorCode, ErrorKind, Result};
pub use graph::{
    Digest, Direction, EdgeKey, EdgeTypeId, Epoch, LabelId, LogIndex, NodeId, PropKeyId, Token, Value, ValueRef,
    VectorRef,
};

/// The code in the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
