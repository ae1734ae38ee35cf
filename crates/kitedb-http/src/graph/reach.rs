//! `GET /api/graph/reach`: the nodes that can be reached from a node.

use super::{
    Graph,
    element::{NodeBody, Shown, node_meant},
    neighbors::Seen,
    params::{Params, bounded},
    question::{Asked, steps},
    value::Id,
    wait::Wait,
};
use crate::{error::Failure, openapi::Problems};
use axum::{extract::State, response::Response};
use kitedb_core::{
    GraphRead, View,
    query::{Limits, Reach},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReachQuestion {
    /// The key of the node where it starts; else `id`.
    key: Option<String>,
    /// The id of the node where it starts; else `key`.
    id: Option<Id>,
    /// `out`: edges are followed from source to destination; `in`: the other way round; `both`: either way. Default `out`.
    direction: Option<Seen>,
    /// The type of the edges. Default: every type. One that is not in use finds nothing.
    #[serde(rename = "type")]
    ty: Option<String>,
    /// At most so many edges away. Default: however many.
    depth: Option<u32>,
    /// How many nodes at most, brought within 1 and 10,000. Default 100.
    limit: Option<usize>,
    /// Whether the properties of the nodes are shown. Default false.
    node_props: Option<bool>,
    /// How many ms it may take: at most 30,000. Default 10,000. Beyond that: 422 `TIME_LIMIT`.
    timeout_ms: Option<u64>,
}

/// A node that can be reached.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReachedBody {
    /// How many edges it is away: 1 or more.
    depth: u32,
    node: NodeBody,
}

/// The nodes that can be reached, nearest first, without the one that it starts from.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReachAnswer {
    /// true
    success: bool,
    nodes: Vec<ReachedBody>,
    /// Whether there are more: an answer that is large in bytes may end before it holds as many as were asked for, too.
    more: bool,
}

#[utoipa::path(
    get,
    path = "/api/graph/reach",
    tag = "graph",
    summary = "The nodes that can be reached from a node, nearest first",
    params(ReachQuestion, ("Kite-Wait-Token" = Option<String>, Header, description = super::wait::ABOUT)),
    responses(
        (status = 200, body = ReachAnswer, description = "Nodes", headers(("Kite-Token" = String))),
        Problems
    )
)]
pub async fn reach(
    State(graph): State<Graph>,
    wait: Wait,
    Params(asked): Params<ReachQuestion>,
) -> Result<Response, Failure> {
    let question = Asked::new();
    let limits = question.limits(asked.timeout_ms);
    graph.read(wait, move |view| answer(view, &asked, &limits)).await
}

fn answer(view: &View, asked: &ReachQuestion, limits: &Limits) -> Result<ReachAnswer, Failure> {
    let start = node_meant(view, ("key", asked.key.as_deref()), ("id", asked.id))?.id();
    let steps = steps(asked.direction, asked.ty.as_deref());
    let found = Reach::from(view, [start], &steps, limits)?.depth(asked.depth.unwrap_or(u32::MAX));
    let mut shown = Shown::of(view, asked.node_props.unwrap_or(false), false);
    let (limit, mut nodes, mut more) = (bounded(asked.limit), Vec::new(), false);
    for reached in found.skip(1) {
        let reached = reached?;
        more = nodes.len() == limit || shown.is_enough();
        if more {
            break;
        }
        let Some(node) = view.node(reached.node)? else { continue };
        nodes.push(ReachedBody { depth: reached.depth, node: shown.node(&node)? });
    }
    Ok(ReachAnswer { success: true, nodes, more })
}
