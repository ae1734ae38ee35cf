//! The endpoints of the runbook.

mod body;
pub(crate) mod guard;
pub(crate) mod health;
mod log;
pub(crate) mod metrics;
mod promote;
mod pull;
mod reseed;
mod snapshot;
mod status;
mod transport;

use crate::{
    auth::{Authorizer, Scope},
    error::Failure,
    graph,
    node::Node,
    openapi,
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
use tokio::sync::watch;

/// Bytes of a body at most.
const MAX_BODY: usize = 2 << 20;

/// What every route has at hand.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub node: Node,
    pub authorizer: Arc<Authorizer>,
    /// A replica that is more frames behind its source is not ready.
    pub ready_lag: u64,
    /// Whether the server is to end; `None`: nobody says so.
    pub stopping: Option<watch::Receiver<bool>>,
}

impl App {
    /// A replica of whose source so many frames more are known is ready still.
    pub const READY_LAG: u64 = 10_000;

    /// Whether nobody is to be kept waiting any more.
    pub fn stops(&self) -> bool {
        self.stopping.as_ref().is_some_and(|stopping| *stopping.borrow())
    }

    /// Waits for `what`. `None`: the server is to end.
    pub async fn unless_stopped<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        let Some(mut stopping) = self.stopping.clone() else { return Some(what.await) };
        tokio::select! {
            came = what => Some(came),
            _ = stopping.wait_for(|stops| *stops) => None,
        }
    }
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
        .nest("/api/graph", graph::routes(&app))
        .merge(scraped)
        .fallback(async || Failure::no_such_route())
        .layer(from_fn_with_state(app.clone(), guard::identify))
        // They are everybody's: nobody is asked who he is, so that nobody is refused for a credential that does not do.
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/openapi.json", get(openapi::document))
        .method_not_allowed_fallback(async || Failure::no_such_method())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(guard::refuse_pages))
        .layer(axum::middleware::map_response(unstored))
        .with_state(app)
}

/// What is answered is of this moment, and for whoever asked.
pub(crate) async fn unstored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    response
}
