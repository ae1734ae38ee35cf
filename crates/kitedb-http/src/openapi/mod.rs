//! `GET /openapi.json`: what is served, for programs. It is made of the types that are read and answered, and lies in
//! `docs/openapi.json`, too, where a test compares it.

mod named;
mod replication;

use crate::graph;
use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use named::Mutations;
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
    /// 400 what was asked cannot be read (`INVALID_ARGUMENT`, `INVALID_CURSOR`); 401 and 403 who asks, and 429 whoever guesses; 404 what is not there; 409 what
    /// would be done in another state (`LOCKED` with the `pid` of who has the file open, `STALE_PRIMARY`, `REPLICA_READ_ONLY`, …); 408
    /// what is sent too slowly, and 413 more than may be sent; 421 a `Host` that is not this server's; 422 a body that cannot be read, and a question that costs too much (`TIME_LIMIT`, `MEMORY_LIMIT`)
    #[response(status = "4XX")]
    Asked(Problem),
    /// 500 damage, or a defect; 503 what may be done later (`Retry-After`); 507 a full disk
    #[response(status = "5XX")]
    Here(Problem),
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
        graph::path::path,
        graph::reach::reach,
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
        replication::promote,
        replication::alive,
        replication::ready
    ),
    components(schemas(Problem, graph::neighbors::Seen)),
    tags(
        (name = "graph", description = "The graph for other programs"),
        (name = "replication", description = "Replication for operators: sections 7 and 8 of the runbook")
    ),
    modifiers(&Bearer, &Mutations)
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
