//! Statuses, metrics and other reports as plain data.

use kitedb_core::{
    CacheLayerMetrics, CacheMetrics, Check, CheckReport, ComparedState, Comparison, ConfirmedMove, Copied, DataMetrics,
    Detached, Difference, Digest, Element, EngineMetrics, FenceStatus, HealthCheck, Hold, HoldReason, HoldState, Index,
    IndexOn, IndexState, Latency, LatencyBucket, LeftBehind, LeftBehindBy, LeftFollower, LogIndex, MemoryMetrics,
    Metrics, MvccMetrics, Parting, PinInfo, PinKind, PrimaryMetrics, PrimaryReplicationStatus, Promotion, Repair,
    ReplicaLag, ReplicaLagMetrics, ReplicaMetrics, ReplicaReplicationStatus, ReplicaState, ReplicationMetrics,
    ReplicationRole, RetentionOutcome, Rival, SamePath, SourceFault, Stats, StillRegistered, SyncMode, Token,
};
use kitedb_telemetry::{ExporterMetrics, ExporterState, OtlpHttpExportResult};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Plain data. Every language has all of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// What is not there.
    Nothing,
    /// Yes or no.
    Bool(bool),
    /// A count, an id, a time.
    Unsigned(u64),
    /// A number that may be negative.
    Signed(i64),
    /// A number that need not be whole.
    Float(f64),
    /// A text.
    Text(String),
    /// Some of one kind.
    List(Vec<Told>),
    /// Fields by their names in Rust, of a type with that name.
    Object(&'static str, Vec<(&'static str, Told)>),
}

/// What is told as plain data.
pub trait Report {
    /// All that it holds.
    fn told(&self) -> Told;
}

impl Report for () {
    fn told(&self) -> Told {
        Told::Nothing
    }
}

impl Report for bool {
    fn told(&self) -> Told {
        Told::Bool(*self)
    }
}

impl Report for u16 {
    fn told(&self) -> Told {
        Told::Unsigned((*self).into())
    }
}

impl Report for u32 {
    fn told(&self) -> Told {
        Told::Unsigned((*self).into())
    }
}

impl Report for u64 {
    fn told(&self) -> Told {
        Told::Unsigned(*self)
    }
}

impl Report for i64 {
    fn told(&self) -> Told {
        Told::Signed(*self)
    }
}

impl Report for f64 {
    fn told(&self) -> Told {
        Told::Float(*self)
    }
}

impl Report for str {
    fn told(&self) -> Told {
        Told::Text(self.to_owned())
    }
}

impl Report for String {
    fn told(&self) -> Told {
        self.as_str().told()
    }
}

impl Report for Arc<str> {
    fn told(&self) -> Told {
        str::told(self)
    }
}

impl Report for Path {
    fn told(&self) -> Told {
        self.to_string_lossy().as_ref().told()
    }
}

impl Report for PathBuf {
    fn told(&self) -> Told {
        self.as_path().told()
    }
}

impl<T: Report + ?Sized> Report for &T {
    fn told(&self) -> Told {
        T::told(self)
    }
}

impl<T: Report> Report for Option<T> {
    fn told(&self) -> Told {
        self.as_ref().map_or(Told::Nothing, T::told)
    }
}

impl<T: Report> Report for Vec<T> {
    fn told(&self) -> Told {
        Told::List(self.iter().map(T::told).collect())
    }
}

/// How many of what there is.
impl Report for (String, u64) {
    fn told(&self) -> Told {
        Told::Object("NamedCount", vec![("name", self.0.told()), ("count", self.1.told())])
    }
}

/// What has one text form.
macro_rules! as_text {
    ($($ty:ident: $text:expr;)*) => {
        $(impl Report for $ty {
            fn told(&self) -> Told {
                let text: fn(&$ty) -> _ = $text;
                text(self).told()
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

/// The word for it that an open takes.
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

/// The word for it.
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
            fn told(&self) -> Told {
                Told::Object(stringify!($ty), vec![
                    $((stringify!($field), self.$field.told()),)*
                    $($((stringify!($made), {
                        let make: fn(&$ty) -> _ = $make;
                        make(self).told()
                    }),)+)?
                ])
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

/// The last bucket has no end.
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
    fn told(&self) -> Told {
        let (index, exact) = match self {
            Self::At(index) => (index.0, true),
            Self::AtOrBefore(index) => (index.0, false),
            _ => (0, false),
        };
        Told::Object("Parting", vec![("log_index", index.told()), ("exact", exact.told())])
    }
}

impl Report for Element {
    fn told(&self) -> Told {
        let (class, kind, fields) = match self {
            Self::Name { kind, id, name } => {
                ("NameElement", "name", vec![("of", kind.told()), ("id", id.told()), ("name", name.told())])
            }
            Self::Node { id, key } => ("NodeElement", "node", vec![("id", id.0.told()), ("key", key.told())]),
            Self::Edge { edge, edge_type } => {
                let (src, dst, rank) = (edge.src.0.told(), edge.dst.0.told(), edge.rank.told());
                ("EdgeElement", "edge", vec![("src", src), ("type", edge_type.told()), ("dst", dst), ("rank", rank)])
            }
            Self::Vector { node, property } => {
                ("VectorElement", "vector", vec![("node", node.0.told()), ("property", property.told())])
            }
            Self::Index { id, name } => ("IndexElement", "index", vec![("id", id.told()), ("name", name.told())]),
            _ => ("OtherElement", "other", Vec::new()),
        };
        Told::Object(class, [("kind", kind.told())].into_iter().chain(fields).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kitedb_core::{Database, OpenOptions};

    fn field<'t>(told: &'t Told, path: &str) -> &'t Told {
        path.split('.').fold(told, |told, name| match told {
            Told::Object(class, fields) => {
                let found = fields.iter().find(|(field, _)| *field == name);
                &found.unwrap_or_else(|| panic!("{class} has no {name}")).1
            }
            other => panic!("{other:?} has no {name}"),
        })
    }

    #[test]
    fn metrics_and_statuses_are_told_with_all_they_hold() {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions::new().replication_role(ReplicationRole::Primary);
        let db = Database::open(dir.path().join("p.kitedb"), options).unwrap();
        db.transaction(|tx| tx.create_node(Some("ada"))).unwrap();
        let metrics = db.collect_metrics().unwrap().told();
        assert_eq!(field(&metrics, "data.node_count"), &Told::Unsigned(1));
        assert_eq!(field(&metrics, "replication.role"), &Told::Text("primary".to_owned()));
        assert_eq!(field(&metrics, "replication.replica"), &Told::Nothing);
        assert_eq!(field(&metrics, "replication.primary.head_log_index"), &Told::Unsigned(1));
        let Told::List(holds) = field(&metrics, "replication.primary.holds") else { panic!("{metrics:?}") };
        assert!(
            holds.iter().any(|hold| field(hold, "reason") == &Told::Text("newest_segment".to_owned())),
            "{holds:?}"
        );
        let status = db.primary_replication_status().unwrap().told();
        assert_eq!(field(&status, "last_token"), &Told::Text(db.last_commit_token().unwrap().to_string()));
        assert!(matches!(status, Told::Object("PrimaryReplicationStatus", _)));
    }
}
