//! Statuses, metrics and other reports as the classes of `kitedb._reports`: the fields that Rust has, under the same names.

use crate::errors::Outcome;
use kitedb::{
    CacheLayerMetrics, CacheMetrics, Check, CheckReport, ComparedState, Comparison, ConfirmedMove, Copied, DataMetrics,
    Detached, Difference, Digest, Element, EngineMetrics, FenceStatus, HealthCheck, Hold, HoldReason, HoldState, Index,
    IndexOn, IndexState, Latency, LatencyBucket, LeftBehind, LeftBehindBy, LeftFollower, LogIndex, MemoryMetrics,
    Metrics, MvccMetrics, Parting, PinInfo, PinKind, PrimaryMetrics, PrimaryReplicationStatus, Promotion, Repair,
    ReplicaLag, ReplicaLagMetrics, ReplicaMetrics, ReplicaReplicationStatus, ReplicaState, ReplicationMetrics,
    ReplicationRole, RetentionOutcome, Rival, SamePath, SourceFault, Stats, StillRegistered, SyncMode, Token,
    telemetry::{ExporterMetrics, ExporterState, OtlpHttpExportResult},
};
use pyo3::{
    IntoPyObjectExt,
    prelude::*,
    types::{PyDict, PyList},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A class of the Python side.
pub fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("kitedb._reports")?.getattr(name)
}

/// What Python is told.
pub trait Report {
    fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>>;
}

/// What Python has as it is.
macro_rules! plain {
    ($($ty:ty)*) => {
        $(impl Report for $ty {
            fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
                Ok(self.into_bound_py_any(py)?)
            }
        })*
    };
}

plain!(bool u16 u32 u64 i64 f64 str String);

/// Nothing, which is a result too.
impl Report for () {
    fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        Ok(py.None().into_bound(py))
    }
}

impl Report for Arc<str> {
    fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        str::report(self, py)
    }
}

impl Report for Path {
    fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        self.to_string_lossy().as_ref().report(py)
    }
}

impl Report for PathBuf {
    fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        self.as_path().report(py)
    }
}

impl<T: Report + ?Sized> Report for &T {
    fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        T::report(self, py)
    }
}

impl<T: Report> Report for Option<T> {
    fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        match self {
            Some(value) => value.report(py),
            None => ().report(py),
        }
    }
}

impl<T: Report> Report for Vec<T> {
    fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        let list = PyList::empty(py);
        for item in self {
            list.append(item.report(py)?)?;
        }
        Ok(list.into_any())
    }
}

/// How many of what there is.
impl Report for (String, u64) {
    fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        made(py, "NamedCount", &[("name", &self.0), ("count", &self.1)])
    }
}

/// An object of a class of the Python side.
fn made<'py>(py: Python<'py>, name: &str, fields: &[(&str, &dyn Report)]) -> Outcome<Bound<'py, PyAny>> {
    let given = PyDict::new(py);
    for (name, value) in fields {
        given.set_item(name, value.report(py)?)?;
    }
    Ok(class(py, name)?.call((), Some(&given))?)
}

/// What has one text form.
macro_rules! as_text {
    ($($ty:ident: $text:expr;)*) => {
        $(impl Report for $ty {
            fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
                let text: fn(&$ty) -> _ = $text;
                text(self).report(py)
            }
        })*
    };
}

as_text! {
    Token: |token| token.full();
    Digest: Digest::to_string;
    LogIndex: |index| index.0;
    SourceFault: SourceFault::to_string;
    HoldReason: HoldReason::to_string;
    HoldState: |state| state.as_str().to_owned();
    ReplicaState: |state| state.as_str().to_owned();
    ReplicationRole: |role| role.as_str().to_owned();
    PinKind: |kind| kind.as_str().to_owned();
    SyncMode: |mode| sync_mode(*mode).to_owned();
    LeftBehindBy: |why| left_behind_by(*why).to_owned();
    ExporterState: |state| exporter_state(*state).to_owned();
}

pub fn sync_mode(mode: SyncMode) -> &'static str {
    match mode {
        SyncMode::Normal => "normal",
        SyncMode::Off => "off",
        _ => "full",
    }
}

fn left_behind_by(why: LeftBehindBy) -> &'static str {
    match why {
        LeftBehindBy::OtherHistory => "other_history",
        LeftBehindBy::NoPrimary => "no_primary",
        _ => "log_gone",
    }
}

pub fn exporter_state(state: ExporterState) -> &'static str {
    match state {
        ExporterState::Running => "running",
        ExporterState::DatabaseClosed => "database_closed",
        _ => "closed",
    }
}

/// Objects of the fields that a struct has, and of what it says of itself.
macro_rules! objects {
    ($($ty:ident { $($field:ident)* $(; $($made:ident: $make:expr),+)? })*) => {
        $(impl Report for $ty {
            fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
                let given = PyDict::new(py);
                $(given.set_item(stringify!($field), self.$field.report(py)?)?;)*
                $($(
                    let make: fn(&$ty) -> _ = $make;
                    given.set_item(stringify!($made), make(self).report(py)?)?;
                )+)?
                Ok(class(py, stringify!($ty))?.call((), Some(&given))?)
            }
        })*
    };
}

objects! {
    Hold { reason from_log_index }
    ReplicaLag {
        replica_id name path epoch applied_log_index durable_log_index lag_frames lag_bytes lag_ms hold reserved_log_index
        reported_at_ms
    }
    FenceStatus { epoch promoter ended assumed }
    PrimaryReplicationStatus {
        role epoch head_log_index retained_floor replica_lags sidecar_path append_attempts append_failures
        append_successes digest durable_log_index log_bytes segments holds log_fault registration_limit fenced fence begun_by
        led_by copied process_id panicked;
        last_token: |status| status.last_token.map(|token| token.to_string()),
        fault: Self::fault,
        lost_replicas: Self::lost_replicas
    }
    ReplicaReplicationStatus {
        role source_db_path source_sidecar_path source_follows applied_epoch applied_log_index last_error needs_reseed
        source_fault source_unseen state state_since_ms promotion sidecar_path replica_id name registered
        registration_fault source_head_log_index lag_frames durable_log_index digest follower_running process_id
        retained_floor log_bytes segments holds replica_lags log_fault registration_limit panicked;
        fault: Self::fault,
        lost_replicas: Self::lost_replicas
    }
    Rival { db leads last_token knows_epoch by_log; message: |rival| rival.to_string() }
    Promotion { epoch last_kept source_fenced fence_synced source_found rival_epoch }
    Copied { left_behind same_path ahead_of_source put_aside gave_up_lead }
    LeftBehind { replica_id name path last why }
    SamePath { replica_id name durable_log_index }
    RetentionOutcome { pruned_segments retained_floor }
    ConfirmedMove { epoch not_seen }
    Detached { last_token missing left_source still_registered former_sidecar followers }
    StillRegistered { source_db_path replica_id why }
    LeftFollower { replica_id name path last }
    Repair { found steps remains put_aside last_token asks_for only_log_is_lost fenced done; clean: Self::is_clean }
    Comparison {
        a b log_index equal parted differences difference_count elements_compared;
        lead: Self::lead
    }
    ComparedState { token digest digest_at_index nodes edges vectors }
    Difference { element in_a in_b parts }
    CheckReport { damage errors error_count nodes edges vectors digest log_index; clean: Self::is_clean }
    Stats {
        nodes edges vectors labels edge_types property_keys token digest checkpoint_index generation runs file_bytes
        free_bytes log_bytes delta_bytes bytes_logged bytes_checkpointed bytes_compacted checkpoints compactions
        append_failures pins oldest_pin_ms pinned_delta_bytes pinned_run_bytes pinned_elsewhere background_error damage
    }
    PinInfo { kind origin age_ms log_index expired }
    HealthCheck { healthy checks }
    Check { name passed message }
    Metrics {
        path is_single_file read_only data cache mvcc replication memory engine opened_at_ms;
        collected_at: |metrics| metrics.collected_at_ms
    }
    DataMetrics {
        node_count edge_count delta_nodes_created delta_nodes_deleted delta_edges_added delta_edges_deleted
        snapshot_generation max_node_id schema_labels schema_etypes schema_prop_keys
    }
    CacheMetrics { enabled property_cache traversal_cache query_cache }
    CacheLayerMetrics { hits misses hit_rate size max_size utilization_percent }
    MvccMetrics {
        enabled active_transactions active_views versions_pruned gc_runs min_active_timestamp committed_writes_size
        committed_writes_pruned oldest_pin_ms oldest_pin
    }
    MemoryMetrics {
        delta_estimate_bytes cache_estimate_bytes snapshot_bytes pinned_delta_bytes pinned_run_bytes total_estimate_bytes
    }
    EngineMetrics {
        head_log_index epoch digest checkpoint_log_index runs append_attempts append_failures append_successes
        checkpoints compactions bytes_checkpointed bytes_compacted commit_latency sync_latency log_failed background_error
    }
    Latency { count one_in sum_ns buckets; mean_ns: Self::mean_ns }
    LatencyBucket { count; up_to_ns: |bucket| bucket_end(bucket.up_to_ns) }
    ReplicationMetrics { enabled role primary replica fault }
    PrimaryMetrics {
        epoch head_log_index retained_floor replica_count stale_epoch_replica_count max_replica_lag
        min_replica_applied_log_index sidecar_path last_token append_attempts append_failures append_successes
        durable_log_index log_bytes segments holds registration_limit fenced copied digest replicas
    }
    ReplicaLagMetrics {
        replica_id name epoch applied_log_index durable_log_index lag_frames lag_bytes lag_ms hold reported_at_ms
    }
    ReplicaMetrics {
        applied_epoch applied_log_index needs_reseed last_error state state_since_ms source_head_log_index lag_frames
        durable_log_index digest follower_running replica_id source_db_path sidecar_path registered retained_floor log_bytes
        segments holds registration_limit replicas
    }
    ExporterMetrics {
        exported_points rejected_points pushes retries store_errors last_success_ms started_ms;
        dropped_points: |metrics| {
            metrics.dropped_points.iter().map(|(why, count)| (why.as_str().to_owned(), *count)).collect::<Vec<_>>()
        },
        breaker: |metrics| metrics.breaker.as_str().to_owned()
    }
    OtlpHttpExportResult { status_code response_body rejected_data_points partial_error attempts }
    Index {
        name;
        id: |index| index.id.0,
        label: |index| match &index.spec.on {
            IndexOn::Label(label) => Some(label.clone()),
            _ => None,
        },
        edge_type: |index| match &index.spec.on {
            IndexOn::EdgeType(ty) => Some(ty.clone()),
            _ => None,
        },
        property: |index| index.spec.property.clone(),
        unique: |index| index.spec.unique,
        state: |index| index_state(index.state).to_owned()
    }
}

/// The last bucket has no end, told as None.
fn bucket_end(ns: u64) -> Option<u64> {
    Some(ns).filter(|ns| *ns != u64::MAX)
}

fn index_state(state: IndexState) -> &'static str {
    match state {
        IndexState::Building => "building",
        IndexState::Ready => "ready",
        _ => "failed",
    }
}

/// Where two logs part: the frame, and whether it may be an earlier one.
impl Report for Parting {
    fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        let (index, exact) = match self {
            Self::At(index) => (index.0, true),
            Self::AtOrBefore(index) => (index.0, false),
            _ => (0, false),
        };
        made(py, "Parting", &[("log_index", &index), ("exact", &exact)])
    }
}

impl Report for Element {
    fn report<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        match self {
            Self::Name { kind, id, name } => made(py, "NameElement", &[("of", kind), ("id", id), ("name", name)]),
            Self::Node { id, key } => made(py, "NodeElement", &[("id", &id.0), ("key", key)]),
            Self::Edge { edge, edge_type } => {
                let (src, dst) = (edge.src.0, edge.dst.0);
                made(py, "EdgeElement", &[("src", &src), ("type", edge_type), ("dst", &dst), ("rank", &edge.rank)])
            }
            Self::Vector { node, property } => made(py, "VectorElement", &[("node", &node.0), ("property", property)]),
            Self::Index { id, name } => made(py, "IndexElement", &[("id", id), ("name", name)]),
            _ => made(py, "OtherElement", &[]),
        }
    }
}
