//! `GET /api/graph/neighbors`: the edges at a node and what they lead to, by pages.

use super::{
    Graph, cursor,
    element::{EdgeBody, NodeBody, Shown, node_meant},
    params::{Params, bounded, invalid},
    value::Id,
    wait::Wait,
};
use crate::{error::Failure, openapi::Problems};
use axum::{extract::State, response::Response};
use kitedb_core::{Direction, EdgeKey, EdgeTypeId, GraphRead, NodeId, TypeFilter, View};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NeighborsQuestion {
    /// The key of the node; else `id`.
    key: Option<String>,
    /// The id of the node; else `key`.
    id: Option<Id>,
    /// `out`: edges that lead from it; `in`: edges that lead to it; `both`: the former, then the latter. Default `out`.
    direction: Option<Seen>,
    /// The type of the edges. Default: every type. One that is not in use finds nothing.
    #[serde(rename = "type")]
    ty: Option<String>,
    /// What `next` held of the page before, for the same node, direction and type.
    after: Option<String>,
    /// How many at most, brought within 1 and 10,000. Default 100.
    limit: Option<usize>,
    /// Whether the properties of the edges are shown. Default false.
    edge_props: Option<bool>,
    /// Whether the properties of the nodes are shown. Default false.
    node_props: Option<bool>,
}

/// From which end edges are seen.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    Out,
    In,
    Both,
}

/// An edge at the node, and the node at its other end.
#[derive(Debug, Serialize, ToSchema)]
pub struct Neighbor {
    /// `out` or `in`. A loop is both, and listed twice where both are asked for.
    direction: &'static str,
    edge: EdgeBody,
    node: NodeBody,
}

/// A page of neighbours: those at edges out of the node before those at edges into it, each ascending by type, other end and rank.
#[derive(Debug, Serialize, ToSchema)]
pub struct NeighborsAnswer {
    /// true
    success: bool,
    /// The id of the node.
    id: Id,
    neighbors: Vec<Neighbor>,
    /// Where it goes on; null at the end. A page that is large in bytes may end before it holds as many as were asked for.
    next: Option<String>,
}

#[utoipa::path(
    get,
    path = "/api/graph/neighbors",
    tag = "graph",
    summary = "The edges at a node and the nodes at their other ends, by pages",
    params(NeighborsQuestion, ("Kite-Wait-Token" = Option<String>, Header, description = super::wait::ABOUT)),
    responses(
        (status = 200, body = NeighborsAnswer, description = "A page", headers(("Kite-Token" = String))),
        Problems
    )
)]
pub async fn neighbors(
    State(graph): State<Graph>,
    wait: Wait,
    Params(asked): Params<NeighborsQuestion>,
) -> Result<Response, Failure> {
    graph.read(wait, move |view| page(view, &asked)).await
}

fn page(view: &View, asked: &NeighborsQuestion) -> Result<NeighborsAnswer, Failure> {
    let id = node_meant(view, ("key", asked.key.as_deref()), ("id", asked.id))?.id();
    let (name, directions): (_, &[Direction]) = match asked.direction.unwrap_or(Seen::Out) {
        Seen::Out => ("out", &[Direction::Out]),
        Seen::In => ("in", &[Direction::In]),
        Seen::Both => ("both", &[Direction::Out, Direction::In]),
    };
    let of = id.to_string();
    let mut question = vec!["neighbors", &of, name];
    question.extend(asked.ty.as_deref());
    let after = asked.after.as_deref().map(|after| cursor::read(&question, after)).transpose()?;
    let after = after.map(|place| read_place(id, place)).transpose()?;
    let types = asked.ty.as_deref().map_or(TypeFilter::All, TypeFilter::from);

    let mut shown = Shown::of(view, asked.node_props.unwrap_or(false), false);
    let (limit, mut found, mut next) = (bounded(asked.limit), Vec::new(), None);
    // Those of the direction in which the page before ended, after its last one, and those that come after them.
    let reached =
        |direction: &Direction| after.as_ref().is_none_or(|(ended, _)| rank_of(*direction) >= rank_of(*ended));
    'all: for direction in directions.iter().copied().filter(reached) {
        let from = after.filter(|(ended, _)| *ended == direction).map(|(_, edge)| edge);
        // One more than fits, so that it is known whether the page is the last one.
        let page = view.neighbors_page(id, direction, types, from, limit - found.len() + 1)?;
        for edge in page.items {
            if found.len() == limit || shown.is_enough() {
                next = found.last().map(|(direction, edge, _)| place_of(*direction, *edge));
                break 'all;
            }
            let Some(edge) = view.edge(edge)? else { continue };
            let key = edge.key();
            let other = view.node(key.ends(direction).1)?.map(|node| shown.node(&node)).transpose()?;
            let Some(node) = other else { continue };
            let edge = shown.edge(&edge, asked.edge_props.unwrap_or(false))?;
            found.push((direction, key, Neighbor { direction: name_of(direction), edge, node }));
        }
    }
    let neighbors = found.into_iter().map(|(_, _, neighbor)| neighbor).collect();
    let next = next.map(|place| cursor::written(&question, place));
    Ok(NeighborsAnswer { success: true, id: Id(id.0), neighbors, next })
}

fn rank_of(direction: Direction) -> u8 {
    match direction {
        Direction::Out => 0,
        Direction::In => 1,
    }
}

fn name_of(direction: Direction) -> &'static str {
    match direction {
        Direction::Out => "out",
        Direction::In => "in",
    }
}

/// Direction, type, other end and rank of an edge at the node that is asked about.
fn place_of(direction: Direction, edge: EdgeKey) -> [u8; 21] {
    let mut place = [0; 21];
    place[0] = rank_of(direction);
    place[1..5].copy_from_slice(&edge.ty.0.to_be_bytes());
    place[5..13].copy_from_slice(&edge.ends(direction).1.0.to_be_bytes());
    place[13..].copy_from_slice(&edge.rank.to_be_bytes());
    place
}

fn read_place(node: NodeId, place: [u8; 21]) -> Result<(Direction, EdgeKey), Failure> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    let direction = match place[0] {
        0 => Direction::Out,
        1 => Direction::In,
        _ => return Err(invalid("after is no cursor")),
    };
    let (ty, other, rank) = (number(&place[1..5]), number(&place[5..13]), number(&place[13..]));
    let ty = EdgeTypeId(u32::try_from(ty).unwrap_or(u32::MAX));
    Ok((direction, EdgeKey::seen_from(node, direction, ty, NodeId(other), rank)))
}
