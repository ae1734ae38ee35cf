//! `GET /metrics` and `GET /api/replication/metrics`: Prometheus text, or OpenMetrics where that is asked for.

use super::App;
use crate::error::Failure;
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
};
use kitedb_telemetry::{PrometheusFormat, PrometheusOptions, render_replication_metrics_prometheus_with_options};

pub async fn prometheus(State(app): State<App>, headers: HeaderMap) -> Result<impl IntoResponse, Failure> {
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let (format, content_type) = match accepted.contains("application/openmetrics-text") {
        true => (PrometheusFormat::OpenMetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        false => (PrometheusFormat::Text, "text/plain; version=0.0.4; charset=utf-8"),
    };
    let auth_enabled = app.authorizer.is_enabled();
    let text = app
        .node
        .read(move |database| {
            let options = PrometheusOptions::new().format(format).auth_enabled(auth_enabled);
            Ok(render_replication_metrics_prometheus_with_options(&database.collect_metrics()?, &options))
        })
        .await?;
    Ok(([(header::CONTENT_TYPE, content_type)], text))
}
