//! What the tests of pushes share: payloads, and pushes that cannot hang the tests.

use kitedb_telemetry::{OtlpHttpExportResult, OtlpHttpPushOptions, OtlpPusher, OtlpTransport, Result};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point::Value,
    },
};
use prost::Message as _;
use std::{sync::mpsc, thread, time::Duration};

pub const TRANSPORTS: [OtlpTransport; 3] = [OtlpTransport::HttpJson, OtlpTransport::HttpProtobuf, OtlpTransport::Grpc];

/// How many points [`request`] has.
pub const POINTS: u64 = 3;

pub const JSON: &str = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","gauge":{"dataPoints":[{"asInt":"1"},{"asInt":"2"},{"asInt":"3"}]}}]}]}]}"#;

pub fn request() -> ExportMetricsServiceRequest {
    let point = |value| NumberDataPoint { value: Some(Value::AsInt(value)), ..NumberDataPoint::default() };
    let gauge = Gauge { data_points: (1..=POINTS as i64).map(point).collect() };
    let metric = Metric { name: "a".into(), data: Some(Data::Gauge(gauge)), ..Metric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() }],
    }
}

/// The bytes to push over `transport`.
pub fn payload(transport: OtlpTransport) -> Vec<u8> {
    match transport {
        OtlpTransport::HttpJson => JSON.into(),
        _ => request().encode_to_vec(),
    }
}

/// Long enough for any machine: only what must end by itself has less.
pub fn patient() -> OtlpHttpPushOptions {
    OtlpHttpPushOptions::new().timeout_ms(60_000)
}

/// So many attempts, one right after the other.
pub fn attempts(retry_max_attempts: u32) -> OtlpHttpPushOptions {
    patient().retry_max_attempts(retry_max_attempts).retry_backoff_ms(0).retry_backoff_max_ms(0)
}

pub fn push(transport: OtlpTransport, endpoint: &str, options: &OtlpHttpPushOptions) -> Result<OtlpHttpExportResult> {
    OtlpPusher::new(transport, endpoint, options)?.push_payload(&payload(transport))
}

/// Runs what must end by itself. Only a test that hangs sees the two minutes.
pub fn guarded<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, told) = mpsc::channel();
    let thread = thread::spawn(move || done.send(run()));
    match told.recv_timeout(Duration::from_secs(120)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => std::panic::resume_unwind(thread.join().unwrap_err()),
        Ok(result) => result,
    }
}
