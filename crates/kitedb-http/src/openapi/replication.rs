//! The routes of replication, described. Their bodies are the contract's, made where they are answered; a test compares these types
//! with what is answered.
#![allow(dead_code, reason = "nothing is made of these types but the description")]

use super::Problems;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Bytes, as they are.
#[derive(Serialize, ToSchema)]
#[schema(value_type = String, format = Binary)]
struct Octets(Vec<u8>);

/// What a node says of itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StatusAnswer {
    connected: bool,
    /// Whether anything is asked of who asks.
    auth_enabled: bool,
    /// `primary`, `replica` or `disabled`.
    role: String,
    /// The status of a primary, or null. Who is not admitted is shown positions only.
    #[schema(value_type = Option<PrimaryStatus>, required = true)]
    primary: Option<PrimaryStatus>,
    /// The status of a replica, or null. Who is not admitted is shown positions only.
    #[schema(value_type = Option<ReplicaStatus>, required = true)]
    replica: Option<ReplicaStatus>,
}

/// The status of a primary: these members for everybody, many more for whom it admits.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PrimaryStatus {
    role: String,
    epoch: u64,
    head_log_index: u64,
    retained_floor: u64,
    #[schema(required = true)]
    last_token: Option<String>,
    fenced: bool,
}

/// The status of a replica: these members for everybody, many more for whom it admits.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReplicaStatus {
    role: String,
    applied_epoch: u64,
    applied_log_index: u64,
    needs_reseed: bool,
    state: String,
    #[schema(required = true)]
    source_head_log_index: Option<u64>,
    #[schema(required = true)]
    lag_frames: Option<u64>,
}

#[utoipa::path(
    get,
    path = "/api/replication/status",
    tag = "replication",
    summary = "What a node says of itself: open to everybody",
    responses((status = 200, body = StatusAnswer, description = "The status"), Problems)
)]
fn status() {}

#[utoipa::path(
    get,
    path = "/api/replication/metrics",
    tag = "replication",
    summary = "Metrics: Prometheus text, or OpenMetrics for whom asks for it",
    responses((status = 200, body = String, content_type = "text/plain", description = "The metrics"), Problems)
)]
fn metrics() {}

#[utoipa::path(
    get,
    path = "/metrics",
    tag = "replication",
    summary = "The same",
    responses((status = 200, body = String, content_type = "text/plain", description = "The metrics"), Problems)
)]
fn scraped() {}

#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct SnapshotQuestion {
    /// Whether the bytes are in the answer, as base64: at most 32 MiB. Default false.
    include_data: Option<bool>,
}

/// A copy of a primary's file.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SnapshotAnswer {
    success: bool,
    role: String,
    epoch: u64,
    head_log_index: u64,
    snapshot: Snapshot,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Snapshot {
    /// `single-file-db-copy`
    format: String,
    db_path: String,
    byte_length: u64,
    sha256: String,
    /// ISO 8601.
    generated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/replication/snapshot/latest",
    tag = "replication",
    summary = "A copy of the primary's file",
    params(SnapshotQuestion),
    responses(
        (
            status = 200,
            description = "The copy: told of, or its bytes",
            content((SnapshotAnswer = "application/json"), (Octets = "application/octet-stream"))
        ),
        (status = 206, body = Octets, content_type = "application/octet-stream", description = "The part that `Range` names"),
        (status = 304, description = "It is the one that `If-None-Match` names"),
        Problems
    )
)]
fn snapshot() {}

#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct LogQuestion {
    /// What `nextCursor` held of the page before.
    cursor: Option<String>,
    /// Default 256, at most 10,000.
    max_frames: Option<u64>,
    /// Default 1 MiB, at most 32 MiB.
    max_bytes: Option<u64>,
    /// Default true.
    include_payload: Option<bool>,
    /// How long a page without a frame is kept back, in ms, unless there is one before: at most 30,000. Default 0.
    wait_ms: Option<u64>,
}

/// A page of the log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LogAnswer {
    success: bool,
    role: String,
    epoch: u64,
    head_log_index: u64,
    retained_floor: u64,
    #[schema(required = true)]
    cursor: Option<String>,
    #[schema(required = true)]
    next_cursor: Option<String>,
    eof: bool,
    /// Why frames that should come next will not.
    #[schema(value_type = Option<Gap>, required = true)]
    gap: Option<Gap>,
    frame_count: u64,
    total_bytes: u64,
    frames: Vec<Frame>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Gap {
    reason: String,
    first_missing: u64,
    last_missing: u64,
}

/// A frame. Its numbers are decimal digits.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Frame {
    epoch: String,
    log_index: String,
    segment_id: String,
    segment_offset: String,
    payload_base64: String,
    bytes: u64,
}

#[utoipa::path(
    get,
    path = "/api/replication/log",
    tag = "replication",
    summary = "A page of the log",
    params(LogQuestion),
    responses(
        (
            status = 200,
            description = "The page: as JSON, or its frames, each after its length (4 bytes, little-endian)",
            content((LogAnswer = "application/json"), (Octets = "application/octet-stream"))
        ),
        (status = 206, body = Octets, content_type = "application/octet-stream", description = "The part that `Range` names"),
        (status = 304, description = "It is the one that `If-None-Match` names"),
        Problems
    )
)]
fn log() {}

/// What the engine exports for hosts that carry it elsewhere, as it is.
#[derive(Serialize, ToSchema)]
struct TransportSnapshotAnswer {
    success: bool,
    snapshot: Value,
}

#[utoipa::path(
    get,
    path = "/api/replication/transport/snapshot",
    tag = "replication",
    summary = "A copy, as the engine exports it for hosts",
    params(SnapshotQuestion),
    responses((status = 200, body = TransportSnapshotAnswer, description = "The copy"), Problems)
)]
fn transport_snapshot() {}

#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct TransportLogQuestion {
    /// What `next_cursor` held of the page before.
    cursor: Option<String>,
    /// Default 256, at most 10,000.
    max_frames: Option<u64>,
    /// Default 1 MiB, at most 32 MiB.
    max_bytes: Option<u64>,
    /// Default true.
    include_payload: Option<bool>,
    /// How long a page without a frame is kept back, in ms, unless there is one before: at most 30,000. Default 0.
    wait_ms: Option<u64>,
}

/// What the engine exports for hosts that carry it elsewhere, as it is.
#[derive(Serialize, ToSchema)]
struct TransportLogAnswer {
    success: bool,
    frame_count: u64,
    frames: Vec<Value>,
}

#[utoipa::path(
    get,
    path = "/api/replication/transport/log",
    tag = "replication",
    summary = "A page of the log, as the engine exports it for hosts",
    params(TransportLogQuestion),
    responses((status = 200, body = TransportLogAnswer, description = "The page"), Problems)
)]
fn transport_log() {}

/// How much is pulled.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PullQuestion {
    /// Default 256, at most 10,000.
    #[schema(required = false)]
    max_frames: f64,
}

/// A replica caught up.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PullAnswer {
    success: bool,
    applied_frames: u64,
    role: String,
    #[schema(value_type = Option<ReplicaStatus>, required = true)]
    replica: Option<ReplicaStatus>,
}

#[utoipa::path(
    post,
    path = "/api/replication/pull",
    tag = "replication",
    summary = "A replica catches up",
    request_body = Option<PullQuestion>,
    responses((status = 200, body = PullAnswer, description = "It did"), Problems)
)]
fn pull() {}

/// A replica copied its source anew.
#[derive(Serialize, ToSchema)]
struct ReseedAnswer {
    success: bool,
    role: String,
    #[schema(value_type = Option<ReplicaStatus>, required = true)]
    replica: Option<ReplicaStatus>,
}

#[utoipa::path(
    post,
    path = "/api/replication/reseed",
    tag = "replication",
    summary = "A replica copies its source anew",
    responses((status = 200, body = ReseedAnswer, description = "It did"), Problems)
)]
fn reseed() {}

/// How a replica takes over, and a primary begins its next epoch.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PromoteQuestion {
    /// Of a replica: also where its source cannot be fenced, and what that one has beyond it is lost. Of a primary: also where another
    /// node took over from it. Default false.
    #[schema(required = false)]
    force: bool,
    /// Of a replica: not where it is more frames behind its source, as that was seen last.
    #[schema(required = false)]
    max_lag: u64,
}

/// A primary began the next epoch, or a replica took over: of that one there are the members that `kitedb replica promote --json` has.
#[derive(Serialize, ToSchema)]
struct PromoteAnswer {
    success: bool,
    epoch: u64,
    role: String,
    #[schema(value_type = Option<PrimaryStatus>, required = true)]
    primary: Option<PrimaryStatus>,
    /// The last commit that was kept of the epoch before.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_kept: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_fenced: Option<bool>,
    /// Whether the source's disk has the fence.
    #[serde(skip_serializing_if = "Option::is_none")]
    fence_synced: Option<bool>,
    /// Whether the source's file was there, and not only its log.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_found: Option<bool>,
    /// The epoch that another node may lead beside this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    rival_epoch: Option<u64>,
    /// Who else may lead, or has more: by force they are passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    rivals: Option<Vec<PassedOver>>,
}

/// A node that may lead, or has more.
#[derive(Serialize, ToSchema)]
struct PassedOver {
    db: String,
    #[schema(required = true)]
    leads: Option<u64>,
    last_token: String,
    #[schema(required = true)]
    knows_epoch: Option<u64>,
}

#[utoipa::path(
    post,
    path = "/api/replication/promote",
    tag = "replication",
    summary = "A primary begins the next epoch, a replica takes over from its source",
    request_body = Option<PromoteQuestion>,
    responses((status = 200, body = PromoteAnswer, description = "It did"), Problems)
)]
fn promote() {}

/// It answers.
#[derive(Serialize, ToSchema)]
struct AliveAnswer {
    alive: bool,
}

#[utoipa::path(
    get,
    path = "/healthz",
    tag = "replication",
    summary = "Whether the process answers: open to everybody",
    responses((status = 200, body = AliveAnswer, description = "It does"))
)]
fn alive() {}

/// Whether the database can be worked with.
#[derive(Serialize, ToSchema)]
struct ReadyAnswer {
    ready: bool,
    #[schema(required = true)]
    role: Option<String>,
    /// Why not.
    #[schema(required = true)]
    reason: Option<String>,
}

#[utoipa::path(
    get,
    path = "/readyz",
    tag = "replication",
    summary = "Whether the database can be worked with: open to everybody",
    responses(
        (status = 200, body = ReadyAnswer, description = "It can"),
        (status = 503, body = ReadyAnswer, description = "It cannot")
    )
)]
fn ready() {}
