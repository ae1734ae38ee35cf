//! The whole of the metrics, and how they are collected.

use super::{
    health::{HealthCheck, judge},
    replication::ReplicationMetrics,
};
use crate::{
    Database,
    db::{Figures, Latency, PinInfo},
    error::Result,
    graph::Digest,
};

/// Figures of a database, of about one moment. Bytes and counts are whole numbers; times say their unit.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Metrics {
    /// The database file as it was opened.
    pub path: String,
    /// Always true: a database is one file.
    pub is_single_file: bool,
    /// Whether it was opened read-only.
    pub read_only: bool,
    /// What it holds.
    pub data: DataMetrics,
    /// There is no cache.
    pub cache: CacheMetrics,
    /// Who holds which version. Always there: every database keeps versions.
    pub mvcc: Option<MvccMetrics>,
    /// What part it plays in replication.
    pub replication: ReplicationMetrics,
    /// What it takes.
    pub memory: MemoryMetrics,
    /// What it has done.
    pub engine: EngineMetrics,
    /// When the engine was opened, ms since 1970: what counts from the open on counts from then.
    pub opened_at_ms: u64,
    /// When this was collected, ms since 1970.
    pub collected_at_ms: u64,
}

/// What a database holds. *Delta* is what no checkpoint has written to the file yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DataMetrics {
    /// Nodes.
    pub node_count: u64,
    /// Edges.
    pub edge_count: u64,
    /// Nodes that the delta adds. One that is added and deleted between two checkpoints counts as neither.
    pub delta_nodes_created: u64,
    /// Nodes of the file that the delta deletes.
    pub delta_nodes_deleted: u64,
    /// Edges that the delta adds.
    pub delta_edges_added: u64,
    /// Edges of the file that the delta removes, also those that went with a node.
    pub delta_edges_deleted: u64,
    /// The file's generation: it grows with every change of its header.
    pub snapshot_generation: u64,
    /// The greatest node id in use, in the file or the delta; that of a deleted node may count for a while. 0: none.
    pub max_node_id: u64,
    /// Labels that are defined.
    pub schema_labels: u64,
    /// Edge types that are defined.
    pub schema_etypes: u64,
    /// Property keys that are defined.
    pub schema_prop_keys: u64,
}

/// Metrics of caches. This engine maps its file and has none, so `enabled` is false and the rest is 0.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct CacheMetrics {
    /// Whether there are caches.
    pub enabled: bool,
    /// Of properties.
    pub property_cache: CacheLayerMetrics,
    /// Of traversals.
    pub traversal_cache: CacheLayerMetrics,
    /// Of queries.
    pub query_cache: CacheLayerMetrics,
}

/// Metrics of one cache.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct CacheLayerMetrics {
    /// Lookups that found something.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// The part of lookups that found something, 0 to 1.
    pub hit_rate: f64,
    /// Entries.
    pub size: u64,
    /// Entries at most.
    pub max_size: u64,
    /// How full it is, 0 to 100.
    pub utilization_percent: f64,
}

/// Who holds which version. A time stamp is a log index here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MvccMetrics {
    /// Always true.
    pub enabled: bool,
    /// Write transactions that are open.
    pub active_transactions: u64,
    /// Views that are open.
    pub active_views: u64,
    /// Versions of nodes, edges and vectors that were let go since the open. They go with checkpoints, all of a delta
    /// at once.
    pub versions_pruned: u64,
    /// How often that was: checkpoints since the open.
    pub gc_runs: u64,
    /// The lowest log index that an open transaction or view shows; without one, the index of the next commit.
    pub min_active_timestamp: u64,
    /// Elements (nodes, edges, vectors, keys) written since the last checkpoint: commits are validated against these.
    pub committed_writes_size: u64,
    /// How many of those were let go since the open, with checkpoints.
    pub committed_writes_pruned: u64,
    /// For how many ms the oldest state that an open transaction or view holds has not been current: since a checkpoint
    /// or a merge took its place. `None`: nobody holds one.
    pub oldest_pin_ms: Option<u64>,
    /// The open view or transaction that is held for longest, whatever state it holds. `None`: there is none.
    pub oldest_pin: Option<PinInfo>,
}

/// What a database takes, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MemoryMetrics {
    /// Memory of the delta: counted as it grows, without what the allocator adds.
    pub delta_estimate_bytes: u64,
    /// 0: there is no cache.
    pub cache_estimate_bytes: u64,
    /// The runs of the file, exactly. They are mapped: the machine keeps in memory what is read of them, as far as it
    /// has room.
    pub snapshot_bytes: u64,
    /// Memory of deltas that only transactions and views of earlier states hold, counted as that of the delta.
    pub pinned_delta_bytes: u64,
    /// Runs that only they hold, exactly: space of the file that cannot be used again meanwhile.
    pub pinned_run_bytes: u64,
    /// The sum of these.
    pub total_estimate_bytes: u64,
}

/// What the engine has done since the open, and where it is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EngineMetrics {
    /// The last published commit; 0 before the first.
    pub head_log_index: u64,
    /// The epoch of that commit.
    pub epoch: u64,
    /// The state digest at that commit.
    pub digest: Digest,
    /// The last commit that is in the file's runs.
    pub checkpoint_log_index: u64,
    /// Runs of the file.
    pub runs: u64,
    /// Appends to the log that were tried.
    pub append_attempts: u64,
    /// Appends that failed.
    pub append_failures: u64,
    /// Appends that were done: the difference of the two.
    pub append_successes: u64,
    /// Checkpoints.
    pub checkpoints: u64,
    /// Merges of runs.
    pub compactions: u64,
    /// Bytes of runs written by checkpoints.
    pub bytes_checkpointed: u64,
    /// Bytes of runs written by merges.
    pub bytes_compacted: u64,
    /// How long commits took that succeeded and changed something, waiting for their turn and for the disk
    /// included. Where a commit does not wait for the disk (not [`SyncMode::Full`](crate::SyncMode::Full)), one in
    /// 16 is measured.
    pub commit_latency: Latency,
    /// How long the disk took for each sync of the log that succeeded. Commits that wait at the same time share one.
    pub sync_latency: Latency,
    /// Whether the log failed, or a thread panicked, so that no commit succeeds until the database is reopened.
    pub log_failed: bool,
    /// Why the last work in the background failed, until it succeeds, or what panicked.
    pub background_error: Option<String>,
}

impl Database {
    /// Figures of everything. Takes no lock that a commit takes: call it as often as you like.
    ///
    /// ```
    /// # use kitedb_core::{Database, OpenOptions};
    /// # fn main() -> kitedb_core::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
    /// db.transaction(|tx| tx.create_node(Some("alice")))?;
    /// let metrics = db.collect_metrics()?;
    /// assert_eq!((metrics.data.node_count, metrics.data.delta_nodes_created), (1, 1));
    /// assert_eq!(metrics.replication.role, "disabled");
    /// let slowest = metrics.engine.commit_latency.quantile_ns(1.0);
    /// # assert!(slowest > 0);
    /// # db.close()
    /// # }
    /// ```
    ///
    /// # Errors
    /// `CLOSED` and `FORKED`, as of any use of the handle; of a primary, `IO` if its log cannot be looked at.
    pub fn collect_metrics(&self) -> Result<Metrics> {
        Ok(metrics(self.engine()?.figures(), self.replication_metrics()?))
    }

    /// Whether the database is well, and what is wrong if it is not. As cheap as [`Database::collect_metrics`].
    ///
    /// # Errors
    /// `CLOSED` and `FORKED`, as of any use of the handle. A database that is not well is no error.
    pub fn health_check(&self) -> Result<HealthCheck> {
        Ok(judge(&self.engine()?.figures(), self.replication_metrics().as_ref()))
    }

    fn replication_metrics(&self) -> Result<ReplicationMetrics> {
        let (primary, replica) = (self.primary_replication_status()?, self.replica_replication_status()?);
        Ok(match self.replication_log_fault() {
            Some(fault) if primary.is_none() && replica.is_none() => {
                ReplicationMetrics::without_log(self.replication_role(), fault)
            }
            _ => ReplicationMetrics::new(primary.as_ref(), replica.as_ref()),
        })
    }
}

fn metrics(figures: Figures, replication: ReplicationMetrics) -> Metrics {
    Metrics {
        data: data(&figures),
        cache: CacheMetrics::default(),
        mvcc: Some(mvcc(&figures)),
        replication,
        memory: memory(&figures),
        opened_at_ms: figures.opened_at_ms,
        collected_at_ms: figures.now_ms,
        is_single_file: true,
        read_only: figures.read_only,
        path: figures.path.clone(),
        engine: engine(figures),
    }
}

fn data(figures: &Figures) -> DataMetrics {
    DataMetrics {
        node_count: figures.totals.nodes,
        edge_count: figures.totals.edges,
        delta_nodes_created: figures.delta.nodes_created,
        delta_nodes_deleted: figures.delta.nodes_deleted,
        delta_edges_added: figures.delta.edges_added,
        delta_edges_deleted: figures.delta.edges_deleted,
        snapshot_generation: figures.generation,
        max_node_id: figures.greatest_node,
        schema_labels: figures.names.labels,
        schema_etypes: figures.names.edge_types,
        schema_prop_keys: figures.names.property_keys,
    }
}

fn mvcc(figures: &Figures) -> MvccMetrics {
    let next = figures.head.log_index.0 + 1;
    MvccMetrics {
        enabled: true,
        active_transactions: figures.held.transactions,
        active_views: figures.held.views,
        versions_pruned: figures.work.versions_pruned,
        gc_runs: figures.work.checkpoints,
        min_active_timestamp: figures.held.oldest.map_or(next, |oldest| oldest.0),
        committed_writes_size: figures.delta.elements,
        committed_writes_pruned: figures.work.elements_pruned,
        oldest_pin_ms: figures.oldest_pin_ms(),
        oldest_pin: figures.oldest_pin.clone(),
    }
}

fn memory(figures: &Figures) -> MemoryMetrics {
    let (delta, snapshot, pins) = (figures.delta.bytes, figures.run_bytes(), figures.pins);
    MemoryMetrics {
        delta_estimate_bytes: delta,
        cache_estimate_bytes: 0,
        snapshot_bytes: snapshot,
        pinned_delta_bytes: pins.delta_bytes,
        pinned_run_bytes: pins.run_bytes,
        total_estimate_bytes: delta + snapshot + pins.delta_bytes + pins.run_bytes,
    }
}

fn engine(figures: Figures) -> EngineMetrics {
    let work = figures.work;
    EngineMetrics {
        head_log_index: figures.head.log_index.0,
        epoch: figures.head.epoch.0,
        digest: figures.digest,
        checkpoint_log_index: figures.checkpoint.0,
        runs: figures.runs.len() as u64,
        append_attempts: work.append_attempts,
        append_failures: work.append_failures,
        append_successes: work.append_attempts.saturating_sub(work.append_failures),
        checkpoints: work.checkpoints,
        compactions: work.compactions,
        bytes_checkpointed: work.bytes_checkpointed,
        bytes_compacted: work.bytes_compacted,
        commit_latency: figures.commit_latency,
        sync_latency: figures.sync_latency,
        log_failed: figures.log_failed,
        background_error: figures.background_error,
    }
}
