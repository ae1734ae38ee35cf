//! The endpoints of the runbook.

pub(crate) mod guard;
mod log;
mod metrics;
mod promote;
mod pull;
mod reseed;
mod snapshot;
mod status;
mod transport;

use crate::{auth::Authorizer, error::Failure, graph, node::Node, openapi};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, header},
    middleware::{from_fn, from_fn_with_state},
    response::Response,
    routing::{get, post},
};
use std::sync::Arc;

/// Bytes of a body at most.
const MAX_BODY: usize = 2 << 20;

/// What every route has at hand.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub node: Node,
    pub authorizer: Arc<Authorizer>,
}

/// All routes.
pub(crate) fn routes(app: App) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics::prometheus))
        .route("/snapshot/latest", get(snapshot::latest))
        .route("/log", get(log::page))
        .route("/transport/snapshot", get(transport::snapshot))
        .route("/transport/log", get(transport::log))
        .route("/pull", post(pull::pull))
        .route("/reseed", post(reseed::reseed))
        .route("/promote", post(promote::promote))
        .layer(from_fn_with_state(app.clone(), guard::admit));
    let replication = Router::new().route("/status", get(status::status)).merge(guarded);
    let scraped =
        Router::new().route("/metrics", get(metrics::prometheus)).layer(from_fn_with_state(app.clone(), guard::admit));
    Router::new()
        .nest("/api/replication", replication)
        .nest("/api/graph", graph::routes(&app))
        .merge(scraped)
        .route("/openapi.json", get(openapi::document))
        .fallback(async || Failure::no_such_route())
        .method_not_allowed_fallback(async || Failure::no_such_method())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(guard::refuse_pages))
        .layer(axum::middleware::map_response(unstored))
        .with_state(app)
}

/// What is answered is of this moment, and for whoever asked.
async fn unstored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    response
}
