//! Figures for operators: what a database holds, does and waits for, and whether it is well.
//!
//! Both calls are for every second and more: they take no lock that a commit takes, so neither makes the other
//! wait. Their figures are of about one moment, not of exactly one commit.

mod collect;
mod health;
mod replication;

pub use collect::{CacheLayerMetrics, CacheMetrics, DataMetrics, EngineMetrics, MemoryMetrics, Metrics, MvccMetrics};
pub use health::{Check, HealthCheck};
pub use replication::{PrimaryMetrics, ReplicaLagMetrics, ReplicaMetrics, ReplicationMetrics};
