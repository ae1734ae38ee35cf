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
    routing::{get, post},
};
use std::{ops::Deref, sync::Arc};
use tokio::sync::watch;

/// Bytes of a body at most.
const MAX_BODY: usize = 2 << 20;

/// What every route has at hand. It is cloned for each request, more than once.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Parts>);

/// What an [`App`] is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub node: Node,
    pub authorizer: Arc<Authorizer>,
    /// A replica that is more frames behind its source is not ready.
    pub ready_lag: u64,
    /// Whether the server is to end; `None`: nobody says so.
    pub stopping: Option<watch::Receiver<bool>>,
}

impl From<Parts> for App {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
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

/// All routes; [`guard::front`] is to stand before them.
pub(crate) fn routes(app: App) -> Router {
    let scraped = guard::requires(&app, Scope::Metrics, Router::new().route("/metrics", get(metrics::prometheus)));
    let followed = Router::new()
        .route("/snapshot/latest", get(snapshot::latest))
        .route("/log", get(log::page))
        .route("/transport/snapshot", get(transport::snapshot))
        .route("/transport/log", get(transport::log));
    let administered = Router::new()
        .route("/pull", post(pull::pull))
        .route("/reseed", post(reseed::reseed))
        .route("/promote", post(promote::promote));
    let replication = guard::identifies(&app, Router::new().route("/status", get(status::status)))
        .merge(scraped.clone())
        .merge(guard::requires(&app, Scope::Follow, followed))
        .merge(guard::requires(&app, Scope::Admin, administered));
    Router::new()
        .nest("/api/replication", replication)
        .nest("/api/graph", graph::routes(&app))
        .merge(scraped)
        .merge(guard::identifies(&app, Router::new().fallback(async || Failure::no_such_route())))
        // They are everybody's: nobody is asked who he is, so that nobody is refused for a credential that does not do.
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/openapi.json", get(openapi::document))
        .method_not_allowed_fallback(async || Failure::no_such_method())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(app)
}
