//! `GET /openapi.json`: what is served, for programs. It is made of the types that are read and answered, and lies in
//! `docs/openapi.json`, too, where a test compares it.

mod replication;

use crate::graph;
use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::sync::LazyLock;
use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::{
        SecurityRequirement,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// What is answered where something is not done. Errors of the engine that know more have it beside these members (`pid`, `path`,
/// `epoch`, …).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// false
    success: bool,
    /// What was wrong, and what to do.
    error: String,
    /// A stable word for it.
    code: String,
    /// What to do: `retry_transaction`, `retry_later`, `reopen`, `reseed`, `fenced`, `input`, `cancelled`, `bug`.
    kind: String,
}

/// What every route may answer.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "the answers are made by `Failure`")]
pub enum Problems {
    /// What was asked cannot be read: `INVALID_ARGUMENT`, `INVALID_CURSOR`
    #[response(status = 400)]
    BadRequest(Problem),
    /// Who asked is not known
    #[response(status = 401)]
    Unauthorized(Problem),
    /// Who asked may not
    #[response(status = 403)]
    Forbidden(Problem),
    /// What was asked for is not there
    #[response(status = 404)]
    NotFound(Problem),
    /// In another state it would be done: `LOCKED` with the `pid` of who has the file open, `STALE_PRIMARY`, `REPLICA_READ_ONLY`, …
    #[response(status = 409)]
    Conflict(Problem),
    /// More than may be sent
    #[response(status = 413)]
    TooLarge(Problem),
    /// The name in `Host` is not this server's
    #[response(status = 421)]
    Misdirected(Problem),
    /// A body that cannot be read
    #[response(status = 422)]
    Unprocessable(Problem),
    /// Damage, or a defect
    #[response(status = 500)]
    Internal(Problem),
    /// Later it may be done: `Retry-After` says when
    #[response(status = 503)]
    Later(Problem),
    /// The disk is full
    #[response(status = 507)]
    Full(Problem),
}

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "KiteDB",
        description = "An embedded property-graph database that replicates, over HTTP: its replication for operators, its graph for other programs",
        license(name = "MIT", identifier = "MIT")
    ),
    paths(
        graph::node::node,
        graph::nodes::nodes,
        graph::neighbors::neighbors,
        graph::edge::edge,
        graph::stats::stats,
        graph::batch::batch,
        replication::status,
        replication::metrics,
        replication::scraped,
        replication::snapshot,
        replication::log,
        replication::transport_snapshot,
        replication::transport_log,
        replication::pull,
        replication::reseed,
        replication::promote
    ),
    tags(
        (name = "graph", description = "The graph for other programs"),
        (name = "replication", description = "Replication for operators: sections 7 and 8 of the runbook")
    ),
    modifiers(&Bearer)
)]
struct Document;

/// A bearer token, where the server asks for one.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
        document.security =
            Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>("bearer", []), SecurityRequirement::default()]);
    }
}

/// The document as text.
fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let text = Document::openapi().to_pretty_json();
        text.map_or_else(|e| format!("{{\"error\":\"{e}\"}}"), |text| text + "\n")
    });
    &TEXT
}

pub async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text()).into_response()
}
