//! The edges that a transaction touched, by the node at either end.

use crate::graph::{Direction, EdgeKey, NodeId};
use rustc_hash::FxHashMap;

/// Positions of touched edges, by direction and node.
pub(super) type Index = [FxHashMap<NodeId, Vec<u32>>; 2];

pub(super) fn link(adjacency: &mut Index, edge: EdgeKey, at: u32) {
    adjacency[Direction::Out as usize].entry(edge.src).or_default().push(at);
    adjacency[Direction::In as usize].entry(edge.dst).or_default().push(at);
}

/// Takes back what [`link`] did last at the ends of `edge`.
pub(super) fn unlink(adjacency: &mut Index, edge: EdgeKey) {
    for (positions, end) in adjacency.iter_mut().zip([edge.src, edge.dst]) {
        positions.get_mut(&end).and_then(Vec::pop);
    }
}
