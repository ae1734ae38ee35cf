//! What a delta, or a transaction, touched, in order: kept once someone asks for it, so that the next page or scan costs
//! what it returns. It goes with the delta, or the transaction.

use super::order::{FEW, Order, Sorted};
use crate::graph::{Direction, EdgeKey, EdgeTypeId, LabelId, NodeId};
use crate::lock::Mutex;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// An edge as seen from one of its ends: its type, its other end, its rank.
pub type Edge = (EdgeTypeId, NodeId, u64);

/// A touched edge as seen from one of its ends, and its number for [`Delta::edge_of`](super::delta::Delta::edge_of), or its position plus one for
/// [`Overlay::edge_at`](super::overlay::Overlay::edge_at).
pub type TouchedAt = (Edge, u32);

/// How an edge looks from one of its ends.
pub fn seen(edge: EdgeKey, direction: Direction) -> Edge {
    (edge.ty, edge.ends(direction).1, edge.rank)
}

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub struct Orders {
    pub kept: Mutex<Kept>,
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
pub struct Kept {
    pub nodes: Order<u64>,
    pub sources: Order<u64>,
    pub labels: FxHashMap<LabelId, Order<u64>>,
    /// Of nodes with many touched edges.
    pub edges: FxHashMap<(NodeId, Direction), Order<TouchedAt>>,
}

impl Kept {
    pub fn edges_at(&mut self, node: NodeId, direction: Direction) -> &mut Order<TouchedAt> {
        self.edges.entry((node, direction)).or_default()
    }
}

impl Orders {
    /// The bytes of memory that they take.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What the order that `pick` chooses holds from `from` on, once it reaches `now`: `more` gives what lies beyond
    /// where it reached before.
    pub fn get<T: Ord + Copy>(
        &self,
        pick: impl FnOnce(&mut Kept) -> &mut Order<T>,
        now: u32,
        more: impl FnOnce(u32) -> Vec<T>,
        from: T,
    ) -> Vec<Sorted<T>> {
        let mut kept = self.kept.lock();
        let order = pick(&mut kept);
        if order.through() < now {
            let before = order.bytes();
            order.extend(more(order.through()), now);
            self.bytes.fetch_add(order.bytes().wrapping_sub(before), Ordering::Relaxed);
        }
        order.from(from)
    }
}

/// All of them, if they are few.
pub fn few<T>(items: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let found: Vec<T> = items.take(FEW + 1).collect();
    (found.len() <= FEW).then_some(found)
}
