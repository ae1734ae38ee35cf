//! Parallel edges in a delta: those of other ranks than 0, found by their ends and type, so that to look at them costs as
//! much as there are between these two nodes. Where no rank was given out, it is empty, and nobody looks into it.

use super::{
    delta::{Delta, EdgeProps},
    elements::EdgeSlot,
    slots::{SlotTable, hash_edge},
};
use crate::graph::{EdgeKey, EdgeTypeId, NodeId};
use std::sync::atomic::{AtomicU32, Ordering};

/// Two nodes with parallel edges of one type.
#[derive(Debug)]
pub struct Pair {
    src: NodeId,
    ty: EdgeTypeId,
    dst: NodeId,
    /// The number, plus one, of the edge that was touched last; each leads to the one before.
    first: AtomicU32,
}

impl Pair {
    /// The number, plus one, of the edge that was touched last; 0 = none.
    pub fn first(&self) -> u32 {
        self.first.load(Ordering::Acquire)
    }

    /// Takes note of an edge that leads to those before. Only under the commit lock.
    pub fn set_first(&self, number: u32) {
        self.first.store(number, Ordering::Release);
    }

    fn is_of(&self, edge: EdgeKey) -> bool {
        (self.src, self.ty, self.dst) == (edge.src, edge.ty, edge.dst)
    }
}

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub struct Parallels {
    pairs: boxcar::Vec<Pair>,
    table: SlotTable,
}

impl Parallels {
    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    fn find(&self, edge: EdgeKey) -> Option<&Pair> {
        let mut found = None;
        self.table.find(hash_edge(edge.src.0, edge.ty.0, edge.dst.0), |slot| {
            found = self.pairs.get(slot as usize).filter(|pair| pair.is_of(edge));
            found.is_some()
        })?;
        found
    }

    /// The two nodes of `edge` with its type, whatever its rank; noted if they are not yet. Only under the commit lock.
    pub fn pair_of(&self, edge: EdgeKey) -> &Pair {
        if let Some(pair) = self.find(edge) {
            return pair;
        }
        let EdgeKey { src, ty, dst, .. } = edge;
        let at = self.pairs.push(Pair { src, ty, dst, first: AtomicU32::new(0) });
        self.table.insert(hash_edge(src.0, ty.0, dst.0), at as u32);
        &self.pairs[at]
    }
}

impl Delta {
    /// Whether it touched an edge of another rank than 0.
    #[inline]
    pub fn has_ranks(&self) -> bool {
        !self.parallels.is_empty()
    }

    /// The edges of other ranks than 0 with the ends and type of `edge` that this delta touched, as of `at`, in no order:
    /// those that it leaves undecided are not among them.
    pub fn parallels_of(&self, edge: EdgeKey, at: u64) -> impl Iterator<Item = (EdgeKey, EdgeProps<'_>)> {
        let mut next = self.parallels.find(edge).map_or(0, Pair::first);
        std::iter::from_fn(move || {
            let slot = EdgeSlot(self.edges.get(next.checked_sub(1)?)?);
            next = slot.next_parallel();
            Some(slot)
        })
        .filter_map(move |slot| Some((slot.edge(), self.edge_at(slot, at)?)))
    }
}
