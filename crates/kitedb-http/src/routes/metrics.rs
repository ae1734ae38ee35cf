//! `GET /metrics` and `GET /api/replication/metrics`: Prometheus text, or OpenMetrics where that is asked for.

use super::App;
use crate::error::Failure;
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
};
use kitedb_core::Metrics;
use kitedb_telemetry::{PrometheusFormat, PrometheusOptions, render_replication_metrics_prometheus_of_all};

pub async fn prometheus(State(app): State<App>, headers: HeaderMap) -> Result<impl IntoResponse, Failure> {
    text_of(&[collected(&app).await?], app.authorizer.is_enabled(), &headers)
}

/// Those of several databases, each family once. All or nothing: a database that is left out would look as if it were not watched,
/// and whoever scrapes is told by a failure.
pub async fn of_all(State(apps): State<Vec<App>>, headers: HeaderMap) -> Result<impl IntoResponse, Failure> {
    let mut all = Vec::with_capacity(apps.len());
    for app in &apps {
        all.push(collected(app).await?);
    }
    text_of(&all, apps.iter().any(|app| app.authorizer.is_enabled()), &headers)
}

async fn collected(app: &App) -> Result<Metrics, Failure> {
    app.node.read(|database| Ok(database.collect_metrics()?)).await
}

fn text_of(all: &[Metrics], auth_enabled: bool, asked: &HeaderMap) -> Result<impl IntoResponse + use<>, Failure> {
    let accepted = asked.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = match accepted.contains("application/openmetrics-text") {
        true => PrometheusFormat::OpenMetrics,
        false => PrometheusFormat::Text,
    };
    let options = PrometheusOptions::new().format(format).auth_enabled(auth_enabled);
    let text = render_replication_metrics_prometheus_of_all(&all.iter().collect::<Vec<_>>(), &options);
    Ok(([(header::CONTENT_TYPE, format.content_type())], text))
}
