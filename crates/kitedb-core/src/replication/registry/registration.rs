//! A replica that is registered, and what it reports.

use crate::graph::{Epoch, LogIndex};

/// What a person knows a replica by, beside its id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Labels {
    /// The name that it was given.
    pub name: Option<String>,
    /// Where its file was when it reported last.
    pub path: Option<String>,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Whose it is.
    pub replica_id: String,
    /// What else it is known by; `None`: as before.
    pub labels: Option<Labels>,
    /// The epoch of the last applied frame.
    pub epoch: Epoch,
    /// The last applied frame.
    pub applied: LogIndex,
    /// The last frame that is durable there.
    pub durable: LogIndex,
    /// The snapshot that it copies, if it does: what comes after it is kept, too, until the next report.
    pub reserved: Option<LogIndex>,
    /// When it came, ms since 1970.
    pub reported_at_ms: u64,
}

/// A replica that is registered, and what it reported last.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registration {
    /// Its id.
    pub replica_id: String,
    /// What else it is known by.
    pub labels: Labels,
    /// The epoch of the last applied frame.
    pub epoch: Epoch,
    /// The last applied frame.
    pub applied: LogIndex,
    /// The last frame that is durable there.
    pub durable: LogIndex,
    /// The snapshot that it copies, if it does: what comes after it is kept, too, until the next report.
    pub reserved: Option<LogIndex>,
    /// When it reported, ms since 1970.
    pub reported_at_ms: u64,
}
