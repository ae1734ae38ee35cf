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

use crate::{
    auth::{Authorizer, Scope},
    error::Failure,
    node::Node,
};
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
    let scraped = guard::requires(Scope::Metrics, Router::new().route("/metrics", get(metrics::prometheus)));
    let followed = Router::new()
        .route("/snapshot/latest", get(snapshot::latest))
        .route("/log", get(log::page))
        .route("/transport/snapshot", get(transport::snapshot))
        .route("/transport/log", get(transport::log));
    let administered = Router::new()
        .route("/pull", post(pull::pull))
        .route("/reseed", post(reseed::reseed))
        .route("/promote", post(promote::promote));
    let replication = Router::new()
        .route("/status", get(status::status))
        .merge(scraped.clone())
        .merge(guard::requires(Scope::Follow, followed))
        .merge(guard::requires(Scope::Admin, administered));
    Router::new()
        .nest("/api/replication", replication)
        .merge(scraped)
        .fallback(async || Failure::no_such_route())
        .method_not_allowed_fallback(async || Failure::no_such_method())
        .layer(from_fn_with_state(app.clone(), guard::identify))
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
