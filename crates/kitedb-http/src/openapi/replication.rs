//! The routes of replication, described. Their bodies are the contract's, made where they are answered; a test compares these types
//! with what is answered.
#![allow(dead_code, reason = "nothing is made of these types but the description")]

use super::Problems;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

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
    responses((status = 200, body = SnapshotAnswer, description = "The copy"), Problems)
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
    responses((status = 200, body = LogAnswer, description = "The page"), Problems)
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
    params(LogQuestion),
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

/// A primary began the next epoch.
#[derive(Serialize, ToSchema)]
struct PromoteAnswer {
    success: bool,
    epoch: u64,
    role: String,
    #[schema(value_type = Option<PrimaryStatus>, required = true)]
    primary: Option<PrimaryStatus>,
}

#[utoipa::path(
    post,
    path = "/api/replication/promote",
    tag = "replication",
    summary = "A primary begins the next epoch",
    responses((status = 200, body = PromoteAnswer, description = "It did"), Problems)
)]
fn promote() {}
