//! Why a mutation is not applied, or a transaction not committed.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::{EdgeKey, NodeId},
};

#[cold]
pub(super) fn no_node(id: NodeId) -> Error {
    Error::new(ErrorCode::NodeNotFound, format_args!("node {id} does not exist"))
}

#[cold]
pub(super) fn no_edge(edge: EdgeKey) -> Error {
    let EdgeKey { src, ty, dst, .. } = edge;
    let what = format_args!("no edge of type {ty}{} leads from node {src} to node {dst}", and_rank(edge));
    Error::new(ErrorCode::EdgeNotFound, what)
}

/// The error of an edge that is there already.
#[cold]
pub fn edge_exists(edge: EdgeKey) -> Error {
    let EdgeKey { src, ty, dst, .. } = edge;
    let what = format_args!("an edge of type {ty}{} leads from node {src} to node {dst} already", and_rank(edge));
    Error::new(ErrorCode::EdgeExists, what)
}

fn and_rank(edge: EdgeKey) -> String {
    if edge.rank == 0 { String::new() } else { format!(" and rank {}", edge.rank) }
}

#[cold]
pub fn conflict(what: std::fmt::Arguments<'_>) -> Result<()> {
    let what = format_args!("{what} was changed by a transaction that committed first");
    Err(Error::new(ErrorCode::Conflict, what))
}
