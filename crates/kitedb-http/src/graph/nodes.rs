//! `GET /api/graph/nodes`: nodes by pages, all of them or those with a label.

use super::{
    Graph, cursor,
    element::{NodeBody, Shown},
    params::{Params, bounded},
    wait::Wait,
};
use crate::{error::Failure, openapi::Problems};
use axum::{extract::State, response::Response};
use kitedb_core::{GraphRead, NodeId, View};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NodesQuestion {
    /// The label that they carry. Default: whatever they carry. One that is not in use finds nothing.
    label: Option<String>,
    /// What `next` held of the page before, for the same label.
    after: Option<String>,
    /// How many at most, brought within 1 and 10,000. Default 100.
    limit: Option<usize>,
    /// Whether their properties are shown. Default true.
    props: Option<bool>,
    /// Whether their vectors are shown. Default false.
    vectors: Option<bool>,
}

/// A page of nodes, ascending by id.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodesAnswer {
    /// true
    success: bool,
    nodes: Vec<NodeBody>,
    /// Where it goes on; null at the end. A page that is large in bytes may end before it holds as many as were asked for.
    next: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/graph/nodes",
    tag = "graph",
    summary = "Nodes by pages, all of them or those with a label",
    params(NodesQuestion, ("Kite-Wait-Token" = Option<String>, Header, description = super::wait::ABOUT)),
    responses(
        (status = 200, body = NodesAnswer, description = "A page", headers(("Kite-Token" = String))),
        Problems
    )
)]
pub async fn nodes(
    State(graph): State<Graph>,
    wait: Wait,
    Params(asked): Params<NodesQuestion>,
) -> Result<Response, Failure> {
    graph.read(wait, move |view| page(view, &asked)).await
}

fn page(view: &View, asked: &NodesQuestion) -> Result<NodesAnswer, Failure> {
    let question: &[&str] = match &asked.label {
        Some(label) => &["nodes", label],
        None => &["nodes"],
    };
    let after = asked.after.as_deref().map(|after| cursor::read(question, after)).transpose()?;
    let after = after.map(|id| NodeId(u64::from_be_bytes(id)));
    let limit = bounded(asked.limit);
    let ids = match &asked.label {
        Some(label) => view.label_page(label, after, limit)?,
        None => view.nodes_page(after, limit)?,
    };
    let (mut shown, mut nodes) =
        (Shown::of(view, asked.props.unwrap_or(true), asked.vectors.unwrap_or(false)), Vec::new());
    let mut next = ids.next;
    for (at, id) in ids.items.iter().enumerate() {
        if let Some(node) = view.node(*id)? {
            nodes.push(shown.node(&node)?);
        }
        if shown.is_enough() && at + 1 < ids.items.len() {
            next = Some(*id);
            break;
        }
    }
    Ok(NodesAnswer { success: true, nodes, next: next.map(|id| cursor::written(question, id.0.to_be_bytes())) })
}
