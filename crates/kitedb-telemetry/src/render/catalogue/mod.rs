//! Which families of metrics there are: one table, from which every form is made and which `docs/telemetry.md` repeats.
//!
//! The names of the first fifteen are a contract with dashboards and alerts that exist. A family is there if it has
//! points: those of another role are left out, not zero.

mod contract;
mod engine;
mod exporter;
mod latency;
mod replication;

use crate::health::ExporterMetrics;
use kitedb_core::Metrics;

pub(crate) use latency::{BOUNDS, Histogram};

/// One family. Its name in OTLP becomes, by the rules by which Prometheus takes OTLP in, its name in Prometheus.
pub(crate) struct Family {
    /// In Prometheus; a counter's ends in `_total`.
    pub name: &'static str,
    /// The name that `promtool check metrics` has nothing against, where it has something against `name`.
    pub linted: Option<&'static str>,
    /// In OTLP.
    pub otlp: &'static str,
    pub unit: Unit,
    pub kind: Kind,
    pub help: &'static str,
    /// Whether it is known in the process that has the database open for writing, and there alone. So is all that counts
    /// since the open.
    pub writer_only: bool,
    /// Its points, or none. See [`Family::points_of`].
    pub points: fn(&Source<'_>) -> Vec<Point>,
}

impl Family {
    /// Its points. What only the process that writes knows is left out where a database was opened read-only beside it:
    /// 0 would say that nothing was done and nothing failed.
    pub fn points_of(&self, source: &Source<'_>) -> Vec<Point> {
        let since_open = matches!(self.kind, Kind::Counter(Since::Open) | Kind::Histogram(Since::Open));
        if (self.writer_only || since_open) && source.metrics.read_only { Vec::new() } else { (self.points)(source) }
    }
}

/// A type of metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    /// Grows only, and begins at 0 when counting began.
    Counter(Since),
    Histogram(Since),
}

/// Since when something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// The database was opened.
    Open,
    /// The first push.
    FirstPush,
}

/// What is counted or measured. Numbers without a dimension have a word in braces, not `1`: receivers take a gauge of
/// unit `1` for a ratio, and name it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Append,
    Attempt,
    Bytes,
    Call,
    Checkpoint,
    Compaction,
    Digest,
    Epoch,
    Flag,
    Frame,
    Index,
    Point,
    Push,
    Replica,
    Seconds,
    Segment,
}

impl Unit {
    /// As UCUM has it.
    pub fn ucum(self) -> &'static str {
        match self {
            Self::Append => "{append}",
            Self::Attempt => "{attempt}",
            Self::Bytes => "By",
            Self::Call => "{call}",
            Self::Checkpoint => "{checkpoint}",
            Self::Compaction => "{compaction}",
            Self::Digest => "{digest}",
            Self::Epoch => "{epoch}",
            Self::Flag => "{flag}",
            Self::Frame => "{frame}",
            Self::Index => "{index}",
            Self::Point => "{point}",
            Self::Push => "{push}",
            Self::Replica => "{replica}",
            Self::Seconds => "s",
            Self::Segment => "{segment}",
        }
    }

    /// The word at the end of a name in Prometheus, for units that have one.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Bytes => Some("bytes"),
            Self::Seconds => Some("seconds"),
            _ => None,
        }
    }
}

/// What points are made of.
pub(crate) struct Source<'a> {
    pub metrics: &'a Metrics,
    pub exporter: &'a ExporterMetrics,
    /// Whether whoever serves the metrics asks for authorization.
    pub auth_enabled: bool,
    /// Whether paths of this machine may be told.
    pub paths: bool,
}

/// One value, with the labels that tell it from others of its family.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub labels: Vec<(&'static str, String)>,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Int(u64),
    /// In seconds.
    Float(f64),
    Histogram(Histogram),
}

/// Every family, in the order in which they are told.
pub(crate) fn families() -> impl Iterator<Item = &'static Family> {
    [contract::FAMILIES, replication::FAMILIES, engine::FAMILIES, exporter::FAMILIES].into_iter().flatten()
}

impl From<u64> for Point {
    fn from(value: u64) -> Self {
        Self { labels: Vec::new(), value: Value::Int(value) }
    }
}

impl From<bool> for Point {
    fn from(flag: bool) -> Self {
        u64::from(flag).into()
    }
}

impl Point {
    /// Of ms, told in seconds.
    fn of_ms(ms: u64) -> Self {
        Self { labels: Vec::new(), value: Value::Float(ms as f64 / 1000.0) }
    }

    fn labelled(mut self, label: &'static str, value: &str) -> Self {
        self.labels.push((label, value.to_owned()));
        self
    }
}

/// The one point of a family that is there if `value` is.
fn one(value: Option<impl Into<Point>>) -> Vec<Point> {
    value.map(Into::into).into_iter().collect()
}

/// A set of states, of which one is: a point of 1 for that one and of 0 for each other, so that every series goes on.
fn states(all: &[&str], current: &str) -> Vec<Point> {
    all.iter().map(|state| Point::from(*state == current).labelled("state", state)).collect()
}
