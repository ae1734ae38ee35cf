//! The parallel edges that a transaction touched: those of other ranks than 0, found by their ends and type.

use super::Overlay;
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

impl Overlay {
    /// Whether it touched an edge of another rank than 0.
    #[inline]
    pub fn has_ranks(&self) -> bool {
        self.ranked
    }

    /// The edges of other ranks than 0 with the ends and type of `edge` that the transaction touched, in no order.
    pub fn parallels_of(&self, edge: EdgeKey) -> impl Iterator<Item = EdgeKey> {
        let positions: &[u32] = if self.ranked {
            let index = self.parallels.get_or_init(|| {
                let mut index = Index::default();
                self.edges.items().iter().enumerate().for_each(|(at, change)| link(&mut index, change.edge, at as u32));
                index
            });
            index.get(&(edge.src, edge.ty, edge.dst)).map_or(&[], Vec::as_slice)
        } else {
            &[]
        };
        positions.iter().filter_map(|at| self.edge_at(*at)).map(|change| change.edge)
    }
}
