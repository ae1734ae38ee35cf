//! The functions of the contract: one push each, with everything that it needs. Who pushes often makes an
//! [`OtlpPusher`], which keeps its connections.
//!
//! All of them wait until the push is done, `timeout_ms` at most, and fail as [`OtlpPusher::new`] and
//! [`OtlpPusher::push`] or [`OtlpPusher::push_payload`] do.

use super::{OtlpHttpExportResult, OtlpPusher, payload::Payload};
use crate::{
    error::Result,
    options::{OtlpHttpPushOptions, OtlpTransport},
    settings::Settings,
};
use kitedb_core::Database;

macro_rules! functions {
    ($transport:ident, $of:literal, $payload:ty, $($name:ident)*) => { functions!(@ $transport, $of, $payload, $($name),*); };
    (@ $transport:ident, $of:literal, $payload:ty, $short:ident, $full:ident, $payload_short:ident, $payload_full:ident) => {
        #[doc = concat!("Pushes the replication metrics of `db` as ", $of, ".")]
        ///
        /// # Errors
        /// As [`OtlpPusher::new`] and [`OtlpPusher::push`].
        pub fn $short(
            db: &Database,
            endpoint: &str,
            timeout_ms: u64,
            bearer_token: Option<&str>,
        ) -> Result<OtlpHttpExportResult> {
            $full(db, endpoint, &short(timeout_ms, bearer_token))
        }

        #[doc = concat!("Pushes the replication metrics of `db` as ", $of, ".")]
        ///
        /// # Errors
        /// As [`OtlpPusher::new`] and [`OtlpPusher::push`].
        pub fn $full(db: &Database, endpoint: &str, options: &OtlpHttpPushOptions) -> Result<OtlpHttpExportResult> {
            OtlpPusher::with(once(OtlpTransport::$transport, endpoint, options)?)?.push(db)
        }

        #[doc = concat!("Pushes metrics that were rendered beforehand as ", $of, ".")]
        ///
        /// # Errors
        /// As [`OtlpPusher::new`] and [`OtlpPusher::push_payload`].
        pub fn $payload_short(
            payload: $payload,
            endpoint: &str,
            timeout_ms: u64,
            bearer_token: Option<&str>,
        ) -> Result<OtlpHttpExportResult> {
            $payload_full(payload, endpoint, &short(timeout_ms, bearer_token))
        }

        #[doc = concat!("Pushes metrics that were rendered beforehand as ", $of, ".")]
        ///
        /// # Errors
        /// As [`OtlpPusher::new`] and [`OtlpPusher::push_payload`].
        pub fn $payload_full(
            payload: $payload,
            endpoint: &str,
            options: &OtlpHttpPushOptions,
        ) -> Result<OtlpHttpExportResult> {
            push_payload(OtlpTransport::$transport, payload.as_ref(), endpoint, options)
        }
    };
}

functions!(HttpJson, "OTLP in JSON over HTTP", &str,
    push_replication_metrics_otel_json_single_file
    push_replication_metrics_otel_json_single_file_with_options
    push_replication_metrics_otel_json_payload
    push_replication_metrics_otel_json_payload_with_options);

functions!(HttpProtobuf, "OTLP in protobuf over HTTP", &[u8],
    push_replication_metrics_otel_protobuf_single_file
    push_replication_metrics_otel_protobuf_single_file_with_options
    push_replication_metrics_otel_protobuf_payload
    push_replication_metrics_otel_protobuf_payload_with_options);

functions!(Grpc, "OTLP over gRPC", &[u8],
    push_replication_metrics_otel_grpc_single_file
    push_replication_metrics_otel_grpc_single_file_with_options
    push_replication_metrics_otel_grpc_payload
    push_replication_metrics_otel_grpc_payload_with_options);

fn short(timeout_ms: u64, bearer_token: Option<&str>) -> OtlpHttpPushOptions {
    OtlpHttpPushOptions { timeout_ms, bearer_token: bearer_token.map(str::to_owned), ..OtlpHttpPushOptions::default() }
}

/// Nobody will use the connection again: each attempt has one of its own.
fn once(transport: OtlpTransport, endpoint: &str, options: &OtlpHttpPushOptions) -> Result<Settings> {
    Ok(Settings { keep_connections: false, ..Settings::check(transport, endpoint, options)? })
}

/// A payload that cannot be sent is refused before TLS files are looked at.
fn push_payload(
    transport: OtlpTransport,
    payload: &[u8],
    endpoint: &str,
    options: &OtlpHttpPushOptions,
) -> Result<OtlpHttpExportResult> {
    let settings = once(transport, endpoint, options)?;
    let payload = Payload::new(&settings, payload)?;
    OtlpPusher::with(settings)?.send(payload)
}
