//! Which metrics there are, and their forms: one catalogue of families, and three renderers over it.
//!
//! | form | content type |
//! |---|---|
//! | Prometheus text, OpenMetrics | [`PrometheusFormat::content_type`] |
//! | OTLP in JSON | `application/json` |
//! | OTLP in protobuf | `application/x-protobuf` |

mod catalogue;
mod json;
mod label;
mod otlp;
mod prometheus;
mod resource;
#[cfg(test)]
mod tests;

pub use label::DatabaseLabel;
pub use prometheus::{PrometheusFormat, PrometheusNames, PrometheusOptions};
pub use resource::OtlpResource;

pub(crate) use json::encode as encode_json;
pub(crate) use otlp::{data_points, request};

use crate::error::Result;
use kitedb_core::{Database, Metrics};
use prost::Message;

/// The metrics as Prometheus text, with the file's name as the label `database`.
///
/// ```
/// # use kitedb_core::{Database, OpenOptions};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
/// let text = kitedb_telemetry::render_replication_metrics_prometheus(&db.collect_metrics()?);
/// assert!(text.contains(r#"kitedb_replication_enabled{role="disabled",database="social.kitedb"} 0"#));
/// # db.close()
/// # }
/// ```
pub fn render_replication_metrics_prometheus(metrics: &Metrics) -> String {
    render_replication_metrics_prometheus_with_options(metrics, &PrometheusOptions::default())
}

/// The metrics as Prometheus text or OpenMetrics.
pub fn render_replication_metrics_prometheus_with_options(metrics: &Metrics, options: &PrometheusOptions) -> String {
    prometheus::render(&[metrics], options)
}

/// The metrics of several databases as one text. (Texts of single databases one after another are not valid: a family
/// may begin only once.) Where their labels `database` would be the same, they have more of their paths in it: see
/// [`DatabaseLabel`]. Of the same database the last one is shown.
pub fn render_replication_metrics_prometheus_of_all(all: &[&Metrics], options: &PrometheusOptions) -> String {
    prometheus::render(all, options)
}

/// The metrics as OTLP in JSON.
pub fn render_replication_metrics_otel_json(metrics: &Metrics) -> String {
    render_replication_metrics_otel_json_with_resource(metrics, &OtlpResource::default())
}

/// The metrics as OTLP in JSON, from `resource`.
pub fn render_replication_metrics_otel_json_with_resource(metrics: &Metrics, resource: &OtlpResource) -> String {
    json::encode(&request(metrics, resource))
}

/// The metrics as OTLP in protobuf: an `ExportMetricsServiceRequest`.
pub fn render_replication_metrics_otel_protobuf(metrics: &Metrics) -> Vec<u8> {
    render_replication_metrics_otel_protobuf_with_resource(metrics, &OtlpResource::default())
}

/// The metrics as OTLP in protobuf, from `resource`.
pub fn render_replication_metrics_otel_protobuf_with_resource(metrics: &Metrics, resource: &OtlpResource) -> Vec<u8> {
    request(metrics, resource).encode_to_vec()
}

/// Collects the metrics and renders them: see [`render_replication_metrics_prometheus`].
///
/// # Errors
/// As [`Database::collect_metrics`].
pub fn collect_replication_metrics_prometheus_single_file(db: &Database) -> Result<String> {
    Ok(render_replication_metrics_prometheus(&db.collect_metrics()?))
}

/// Collects the metrics and renders them: see [`render_replication_metrics_otel_json`].
///
/// # Errors
/// As [`Database::collect_metrics`].
pub fn collect_replication_metrics_otel_json_single_file(db: &Database) -> Result<String> {
    Ok(render_replication_metrics_otel_json(&db.collect_metrics()?))
}

/// Collects the metrics and renders them: see [`render_replication_metrics_otel_protobuf`].
///
/// # Errors
/// As [`Database::collect_metrics`].
pub fn collect_replication_metrics_otel_protobuf_single_file(db: &Database) -> Result<Vec<u8>> {
    Ok(render_replication_metrics_otel_protobuf(&db.collect_metrics()?))
}
