//! `GET /api/graph/stats`: what there is, by numbers.

use super::{Graph, params::Params, wait::Wait};
use crate::{error::Failure, openapi::Problems};
use axum::{extract::State, response::Response};
use kitedb_core::{GraphRead, View};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatsQuestion {}

/// How many of what there is.
#[derive(Debug, Serialize, ToSchema)]
pub struct NamedCount {
    name: String,
    count: u64,
}

/// What there is, by numbers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatsAnswer {
    /// true
    success: bool,
    nodes: u64,
    edges: u64,
    vectors: u64,
    /// Labels in use, and how many nodes carry each.
    labels: Vec<NamedCount>,
    /// Edge types in use, and how many edges each has.
    edge_types: Vec<NamedCount>,
    /// Property keys in use.
    property_keys: Vec<String>,
}

#[utoipa::path(
    get,
    path = "/api/graph/stats",
    tag = "graph",
    summary = "How many nodes and edges there are, and which names are in use",
    params(("Kite-Wait-Token" = Option<String>, Header, description = super::wait::ABOUT)),
    responses(
        (status = 200, body = StatsAnswer, description = "The numbers", headers(("Kite-Token" = String))),
        Problems
    )
)]
pub async fn stats(
    State(graph): State<Graph>,
    wait: Wait,
    Params(StatsQuestion {}): Params<StatsQuestion>,
) -> Result<Response, Failure> {
    graph.read(wait, |view| Ok(counted(view))).await
}

fn counted(view: &View) -> StatsAnswer {
    let labels = view.labels().into_iter();
    let types = view.etypes().into_iter();
    StatsAnswer {
        success: true,
        nodes: view.count_nodes(),
        edges: view.count_edges(),
        vectors: view.count_vectors(),
        labels: labels.map(|(id, name)| NamedCount { name, count: view.count_nodes_by_label(id) }).collect(),
        edge_types: types.map(|(id, name)| NamedCount { name, count: view.count_edges_by_type(id) }).collect(),
        property_keys: view.propkeys().into_iter().map(|(_, name)| name).collect(),
    }
}
