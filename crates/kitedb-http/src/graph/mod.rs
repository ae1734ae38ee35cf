//! `/api/graph`: the graph for programs in other languages.
//!
//! | module | owns |
//! |---|---|
//! | `node`, `nodes`, `neighbors`, `edge`, `stats` | what is read |
//! | `path`, `reach`, `question` | questions of several hops |
//! | `batch` | what is written: all of it or nothing, once for each idempotency key |
//! | `wait`, `waits` | answers that are of no earlier state than a token's |
//! | `element`, `value` | nodes, edges and their values as JSON |
//! | `cursor`, `params` | where a page goes on, and how a query is read |

pub mod batch;
mod cursor;
pub mod edge;
pub mod element;
pub mod neighbors;
pub mod node;
pub mod nodes;
mod params;
pub mod path;
mod question;
pub mod reach;
pub mod stats;
pub mod value;
mod wait;
mod waits;

use crate::{
    auth::Scope,
    error::Failure,
    routes::{App, guard},
};
use axum::{
    Json, Router,
    http::{HeaderName, HeaderValue},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use kitedb_core::Token;
use serde::Serialize;
use std::sync::Arc;
use waits::TokenWaits;

/// The token of the state that was read, or of the commit that was made.
const TOKEN: HeaderName = HeaderName::from_static("kite-token");

/// What every route of the graph has at hand.
#[derive(Debug, Clone)]
pub struct Graph {
    app: App,
    waits: Arc<TokenWaits>,
}

/// All routes of the graph.
pub fn routes(app: &App) -> Router<App> {
    let reads = Router::new()
        .route("/node", get(node::node))
        .route("/nodes", get(nodes::nodes))
        .route("/neighbors", get(neighbors::neighbors))
        .route("/edge", get(edge::edge))
        .route("/path", get(path::path))
        .route("/reach", get(reach::reach))
        .route("/stats", get(stats::stats));
    let writes = Router::new().route("/batch", post(batch::batch));
    guard::requires(app, Scope::Read, reads)
        .merge(guard::requires(app, Scope::Write, writes))
        .with_state(Graph { app: app.clone(), waits: Arc::default() })
}

/// An answer about a state, which its token names. That something is not there is one, too.
fn tokened(token: Token, answer: Result<impl Serialize, Failure>) -> Response {
    let mut response = match answer {
        Ok(body) => Json(body).into_response(),
        Err(failure) => failure.into_response(),
    };
    if let Ok(token) = HeaderValue::try_from(token.full()) {
        response.headers_mut().insert(TOKEN, token);
    }
    response
}
