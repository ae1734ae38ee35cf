//! Statuses, metrics and other reports as plain objects: the fields that Rust has, in JavaScript's spelling.

use crate::wire::Writer;
use kitedb::{
    CacheLayerMetrics, CacheMetrics, Check, CheckReport, ComparedState, Comparison, ConfirmedMove, Copied, DataMetrics,
    Detached, Difference, Digest, Element, EngineMetrics, FenceStatus, HealthCheck, Hold, HoldReason, HoldState, Index,
    IndexOn, IndexState, Latency, LatencyBucket, LeftBehind, LeftBehindBy, LeftFollower, LogIndex, MemoryMetrics,
    Metrics, MvccMetrics, Parting, PinInfo, PinKind, PrimaryMetrics, PrimaryReplicationStatus, Promotion, Repair,
    ReplicaLag, ReplicaLagMetrics, ReplicaMetrics, ReplicaReplicationStatus, ReplicaState, ReplicationMetrics,
    ReplicationRole, RetentionOutcome, Rival, SamePath, SourceFault, Stats, StillRegistered, SyncMode, Token, ValueRef,
    telemetry::{ExporterMetrics, ExporterState, OtlpHttpExportResult},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What is written as a plain value.
pub trait Report {
    fn put(&self, w: &mut Writer<'_>);
}

impl Report for bool {
    fn put(&self, w: &mut Writer<'_>) {
        w.value(ValueRef::Bool(*self));
    }
}

impl Report for u64 {
    fn put(&self, w: &mut Writer<'_>) {
        w.number(*self);
    }
}

impl Report for u32 {
    fn put(&self, w: &mut Writer<'_>) {
        w.number((*self).into());
    }
}

impl Report for i64 {
    fn put(&self, w: &mut Writer<'_>) {
        w.value(ValueRef::I64(*self));
    }
}

impl Report for f64 {
    fn put(&self, w: &mut Writer<'_>) {
        w.value(ValueRef::F64(*self));
    }
}

impl Report for str {
    fn put(&self, w: &mut Writer<'_>) {
        w.value(ValueRef::String(self));
    }
}

impl Report for String {
    fn put(&self, w: &mut Writer<'_>) {
        self.as_str().put(w);
    }
}

impl Report for Arc<str> {
    fn put(&self, w: &mut Writer<'_>) {
        str::put(self, w);
    }
}

impl Report for Path {
    fn put(&self, w: &mut Writer<'_>) {
        self.to_string_lossy().as_ref().put(w);
    }
}

impl Report for PathBuf {
    fn put(&self, w: &mut Writer<'_>) {
        self.as_path().put(w);
    }
}

impl<T: Report + ?Sized> Report for &T {
    fn put(&self, w: &mut Writer<'_>) {
        T::put(self, w);
    }
}

impl<T: Report> Report for Option<T> {
    fn put(&self, w: &mut Writer<'_>) {
        match self {
            Some(value) => value.put(w),
            None => w.null(),
        }
    }
}

impl<T: Report> Report for Vec<T> {
    fn put(&self, w: &mut Writer<'_>) {
        w.list(self.len());
        self.iter().for_each(|item| item.put(w));
    }
}

/// How many of what there is.
impl Report for (String, u64) {
    fn put(&self, w: &mut Writer<'_>) {
        w.object(2);
        w.field("name");
        self.0.put(w);
        w.field("count");
        self.1.put(w);
    }
}

/// What has one text form.
macro_rules! as_text {
    ($($ty:ident: $text:expr;)*) => {
        $(impl Report for $ty {
            fn put(&self, w: &mut Writer<'_>) {
                let text: fn(&$ty) -> _ = $text;
                text(self).put(w);
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

fn sync_mode(mode: SyncMode) -> &'static str {
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

fn exporter_state(state: ExporterState) -> &'static str {
    match state {
        ExporterState::Running => "running",
        ExporterState::DatabaseClosed => "database_closed",
        _ => "closed",
    }
}

macro_rules! count {
    () => { 0 };
    ($first:ident $($rest:ident)*) => { 1 + count!($($rest)*) };
}

/// Objects of the fields that a struct has, and of what it says of itself, both in JavaScript's spelling.
macro_rules! objects {
    ($($ty:ident { $($field:ident)* $(; $($made:ident: $make:expr),+)? })*) => {
        $(impl Report for $ty {
            fn put(&self, w: &mut Writer<'_>) {
                w.object(count!($($field)*) $(+ count!($($made)+))?);
                $(w.field(stringify!($field));
                self.$field.put(w);)*
                $($(w.field(stringify!($made));
                let make: fn(&$ty) -> _ = $make;
                make(self).put(w);)+)?
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

/// The last bucket has no end, which is no number that JavaScript has.
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
    fn put(&self, w: &mut Writer<'_>) {
        let (index, exact) = match self {
            Self::At(index) => (index.0, true),
            Self::AtOrBefore(index) => (index.0, false),
            _ => (0, false),
        };
        w.object(2);
        w.field("log_index");
        index.put(w);
        w.field("exact");
        exact.put(w);
    }
}

impl Report for Element {
    fn put(&self, w: &mut Writer<'_>) {
        let fields: (&str, Vec<(&str, &dyn Report)>) = match self {
            Self::Name { kind, id, name } => ("name", vec![("of", kind), ("id", id), ("name", name)]),
            Self::Node { id, key } => ("node", vec![("id", &id.0), ("key", key)]),
            Self::Edge { edge, edge_type } => {
                ("edge", vec![("src", &edge.src.0), ("type", edge_type), ("dst", &edge.dst.0), ("rank", &edge.rank)])
            }
            Self::Vector { node, property } => ("vector", vec![("node", &node.0), ("property", property)]),
            Self::Index { id, name } => ("index", vec![("id", id), ("name", name)]),
            _ => ("other", Vec::new()),
        };
        w.object(fields.1.len() + 1);
        w.field("kind");
        fields.0.put(w);
        for (name, value) in fields.1 {
            w.field(name);
            value.put(w);
        }
    }
}
