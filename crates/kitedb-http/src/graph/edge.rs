//! `GET /api/graph/edge`: one edge, by its ends, its type and perhaps its rank.

use super::{
    Graph,
    element::{EdgeBody, Shown, node_meant},
    params::Params,
    value::Id,
    wait::Wait,
};
use crate::{error::Failure, openapi::Problems};
use axum::{extract::State, response::Response};
use kitedb_core::{EdgeKey, Error, ErrorCode, GraphRead, View};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EdgeQuestion {
    /// The id of the node where it starts; else `srcKey`.
    src: Option<Id>,
    /// The key of the node where it starts; else `src`.
    src_key: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    ty: String,
    /// The id of the node where it ends; else `dstKey`.
    dst: Option<Id>,
    /// The key of the node where it ends; else `dst`.
    dst_key: Option<String>,
    /// Which of parallel edges. Default: the one of the lowest rank.
    rank: Option<Id>,
}

/// One edge.
#[derive(Debug, Serialize, ToSchema)]
pub struct EdgeAnswer {
    /// true
    success: bool,
    edge: EdgeBody,
}

#[utoipa::path(
    get,
    path = "/api/graph/edge",
    tag = "graph",
    summary = "One edge, by its ends, its type and perhaps its rank",
    params(EdgeQuestion, ("Kite-Wait-Token" = Option<String>, Header, description = super::wait::ABOUT)),
    responses(
        (status = 200, body = EdgeAnswer, description = "The edge", headers(("Kite-Token" = String))),
        Problems
    )
)]
pub async fn edge(
    State(graph): State<Graph>,
    wait: Wait,
    Params(asked): Params<EdgeQuestion>,
) -> Result<Response, Failure> {
    graph.read_one(wait, move |view| found(view, &asked)).await
}

fn found(view: &View, asked: &EdgeQuestion) -> Result<EdgeAnswer, Failure> {
    let src = node_meant(view, ("srcKey", asked.src_key.as_deref()), ("src", asked.src))?.id();
    let dst = node_meant(view, ("dstKey", asked.dst_key.as_deref()), ("dst", asked.dst))?.id();
    let exactly = |rank: Id| view.etype_id(&asked.ty).map(|ty| EdgeKey::new(src, ty, dst).with_rank(rank.0));
    let meant = match asked.rank {
        Some(rank) => exactly(rank),
        None => view.edge_between(src, &asked.ty, dst)?,
    };
    let edge = meant.map(|edge| view.edge(edge)).transpose()?.flatten();
    let missing = || {
        let rank = asked.rank.map_or_else(String::new, |rank| format!(" and rank {}", rank.0));
        let what = format_args!("no edge of type '{:.64}'{rank} leads from node {src} to node {dst}", asked.ty);
        Error::new(ErrorCode::EdgeNotFound, what)
    };
    let edge = edge.ok_or_else(missing)?;
    Ok(EdgeAnswer { success: true, edge: Shown::of(view, false, false).edge(&edge, true)? })
}
