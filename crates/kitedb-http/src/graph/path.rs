//! `GET /api/graph/path`: ways from one node to another.

use super::{
    Graph,
    element::{EdgeName, NodeBody, Shown, edge_name, node_meant},
    neighbors::Seen,
    params::{Params, invalid},
    question::{Asked, steps},
    value::Id,
    wait::Wait,
};
use crate::{error::Failure, openapi::Problems};
use axum::{extract::State, response::Response};
use kitedb_core::{
    GraphRead, View,
    query::{LightestPaths, Limits, Path, Weight, lightest_path, shortest_path},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Paths at most.
const MOST: usize = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PathQuestion {
    /// The key of the node where it starts; else `fromId`.
    from_key: Option<String>,
    /// The id of the node where it starts; else `fromKey`.
    from_id: Option<Id>,
    /// The key of the node where it ends; else `toId`.
    to_key: Option<String>,
    /// The id of the node where it ends; else `toKey`.
    to_id: Option<Id>,
    /// `out`: edges are followed from source to destination; `in`: the other way round; `both`: either way. Default `out`.
    direction: Option<Seen>,
    /// The type of the edges. Default: every type. One that is not in use finds nothing.
    #[serde(rename = "type")]
    ty: Option<String>,
    /// The property of edges of which the sum is to be the least. Default: the fewest edges.
    weight: Option<String>,
    /// What an edge weighs that does not have that property. Without it such an edge is an error.
    missing: Option<f64>,
    /// So many paths without a repeated node, the best first; at most 100. Default: one.
    k: Option<usize>,
    /// Whether the properties of the nodes are shown. Default false.
    node_props: Option<bool>,
    /// How many ms it may take: at most 30,000. Default 10,000. Beyond that: 422 `TIME_LIMIT`.
    timeout_ms: Option<u64>,
}

/// A way from one node to another.
#[derive(Debug, Serialize, ToSchema)]
pub struct PathBody {
    /// One more than there are edges.
    nodes: Vec<NodeBody>,
    /// The one at `i` joins the nodes at `i` and `i + 1`, in whichever direction.
    edges: Vec<EdgeName>,
    /// How many edges it has.
    hops: usize,
    /// The sum of their weights, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<f64>,
}

/// The paths that were found, the best first: none where no edge leads on.
#[derive(Debug, Serialize, ToSchema)]
pub struct PathAnswer {
    /// true
    success: bool,
    paths: Vec<PathBody>,
}

#[utoipa::path(
    get,
    path = "/api/graph/path",
    tag = "graph",
    summary = "A path of the fewest edges or of the least weight, or the best ones",
    params(PathQuestion, ("Kite-Wait-Token" = Option<String>, Header, description = super::wait::ABOUT)),
    responses(
        (status = 200, body = PathAnswer, description = "Paths", headers(("Kite-Token" = String))),
        Problems
    )
)]
pub async fn path(
    State(graph): State<Graph>,
    wait: Wait,
    Params(asked): Params<PathQuestion>,
) -> Result<Response, Failure> {
    let question = Asked::new();
    let limits = question.limits(asked.timeout_ms);
    graph.read(wait, move |view| answer(view, &asked, &limits)).await
}

fn answer(view: &View, asked: &PathQuestion, limits: &Limits) -> Result<PathAnswer, Failure> {
    let from = node_meant(view, ("fromKey", asked.from_key.as_deref()), ("fromId", asked.from_id))?.id();
    let to = node_meant(view, ("toKey", asked.to_key.as_deref()), ("toId", asked.to_id))?.id();
    if asked.missing.is_some() && asked.weight.is_none() {
        return Err(invalid("`missing` says what an edge without the property `weight` weighs: give that, too"));
    }
    let steps = steps(asked.direction, asked.ty.as_deref());
    let weight = match &asked.weight {
        Some(name) => Weight::Property { name: name.clone(), missing: asked.missing },
        None => Weight::Hops,
    };
    let found: Vec<Path> = match (asked.k, &asked.weight) {
        (Some(0), _) => return Err(invalid("k is 0: ask for one path or more")),
        (Some(k), _) => LightestPaths::between(view, from, to, &steps, &weight, limits)?
            .take(k.min(MOST))
            .collect::<Result<_, _>>()?,
        (None, Some(_)) => lightest_path(view, from, [to], &steps, &weight, limits)?.into_iter().collect(),
        (None, None) => shortest_path(view, from, to, &steps, limits)?.into_iter().collect(),
    };
    let mut shown = Shown::of(view, asked.node_props.unwrap_or(false), false);
    let mut paths = Vec::with_capacity(found.len());
    for path in &found {
        let mut nodes = Vec::with_capacity(path.nodes().len());
        for id in path.nodes() {
            if shown.is_enough() {
                return Err(invalid("the properties of the nodes are too much for one answer: ask without nodeProps"));
            }
            nodes.extend(view.node(*id)?.map(|node| shown.node(&node)).transpose()?);
        }
        let name = |ty| view.etype_name(ty).unwrap_or_default();
        paths.push(PathBody {
            nodes,
            edges: path.edges().iter().map(|edge| edge_name(*edge, name(edge.ty))).collect(),
            hops: path.hops(),
            weight: asked.weight.as_ref().map(|_| path.weight()),
        });
    }
    Ok(PathAnswer { success: true, paths })
}
