//! The parallel edges that a transaction touched: those of other ranks than 0, found by their ends and type.

use crate::graph::{EdgeKey, EdgeTypeId, NodeId};
use rustc_hash::FxHashMap;

/// Positions of touched edges, by their ends and type.
pub(super) type Index = FxHashMap<(NodeId, EdgeTypeId, NodeId), Vec<u32>>;

pub(super) fn link(index: &mut Index, edge: EdgeKey, at: u32) {
    if edge.rank != 0 {
        index.entry((edge.src, edge.ty, edge.dst)).or_default().push(at);
    }
}

/// Takes back what [`link`] did last between the ends of `edge`.
pub(super) fn unlink(index: &mut Index, edge: EdgeKey) {
    if edge.rank != 0 {
        index.get_mut(&(edge.src, edge.ty, edge.dst)).and_then(Vec::pop);
    }
}
