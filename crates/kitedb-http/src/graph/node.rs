//! `GET /api/graph/node`: one node, by its key or its id.

use super::{
    Graph,
    element::{NodeBody, Shown, node_meant},
    params::Params,
    value::Id,
    wait::Wait,
};
use crate::{error::Failure, openapi::Problems};
use axum::{extract::State, response::Response};
use kitedb_core::{AllTypes, GraphRead};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NodeQuestion {
    /// Its key; else `id`.
    key: Option<String>,
    /// Its id; else `key`.
    id: Option<Id>,
    /// Whether its vectors are shown. Default false.
    vectors: Option<bool>,
}

/// One node.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeAnswer {
    /// true
    success: bool,
    node: NodeBody,
    /// How many edges lead from it.
    out_degree: u64,
    /// How many edges lead to it.
    in_degree: u64,
}

#[utoipa::path(
    get,
    path = "/api/graph/node",
    tag = "graph",
    summary = "One node, by its key or its id",
    params(NodeQuestion, ("Kite-Wait-Token" = Option<String>, Header, description = super::wait::ABOUT)),
    responses(
        (status = 200, body = NodeAnswer, description = "The node", headers(("Kite-Token" = String))),
        Problems
    )
)]
pub async fn node(
    State(graph): State<Graph>,
    wait: Wait,
    Params(asked): Params<NodeQuestion>,
) -> Result<Response, Failure> {
    let read = move |view: &_| {
        let node = node_meant(view, ("key", asked.key.as_deref()), ("id", asked.id))?;
        let id = node.id();
        Ok(NodeAnswer {
            success: true,
            node: Shown::of(view, true, asked.vectors.unwrap_or(false)).node(&node)?,
            out_degree: view.out_degree(id, AllTypes)?,
            in_degree: view.in_degree(id, AllTypes)?,
        })
    };
    graph.read_one(wait, read).await
}
