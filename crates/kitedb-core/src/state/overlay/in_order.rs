//! What a transaction touched, in order.

use super::Overlay;
use crate::{
    graph::{Direction, NodeId},
    state::{
        order::{FEW, Order, Sorted},
        orders::{Edge, Kept, TouchedAt, seen},
    },
};

impl Overlay {
    /// What `all` holds from `from` on: sorted anew while it is little, else in the order that `pick` chooses.
    fn ordered<I, T: Ord + Copy>(
        &self,
        all: &[I],
        item: impl Fn(&I) -> T,
        from: T,
        pick: impl FnOnce(&mut Kept) -> &mut Order<T>,
    ) -> Vec<Sorted<T>> {
        if all.is_empty() {
            return Vec::new();
        }
        if all.len() <= FEW {
            return vec![Sorted::of(all.iter().map(item).collect(), from)];
        }
        let more = |through: u32| all.get(through as usize..).unwrap_or_default().iter().map(item).collect();
        self.orders.get_or_init(Box::default).get(pick, all.len() as u32, more, from)
    }

    /// Whether no order that is kept reaches beyond what the transaction touched.
    pub fn orders_are_within(&self) -> bool {
        let Some(orders) = self.orders.get() else { return true };
        let kept = orders.kept.lock();
        kept.nodes.through() as usize <= self.nodes.items().len()
            && kept.sources.through() as usize <= self.edges.items().len()
            && kept
                .edges
                .iter()
                .all(|(&(node, direction), order)| order.through() as usize <= self.edges_of(node, direction).len())
    }

    /// The ids of all nodes that the transaction wrote, from `from` on.
    pub fn touched_from(&self, from: NodeId) -> Vec<Sorted<u64>> {
        self.ordered(self.nodes.items(), |node| node.id.0, from.0, |kept| &mut kept.nodes)
    }

    /// The sources of all edges that it touched, from `from` on.
    pub fn sources_from(&self, from: NodeId) -> Vec<Sorted<u64>> {
        self.ordered(self.edges.items(), |edge| edge.edge.src.0, from.0, |kept| &mut kept.sources)
    }

    /// The edges at a node that it touched, as [`Delta::edges_from`](crate::state::delta::Delta::edges_from) gives those of a delta.
    pub fn edges_from(
        &self,
        (node, direction): (NodeId, Direction),
        from: Edge,
        wanted: impl Fn(&Edge) -> bool,
        added: &mut Vec<Edge>,
    ) -> Vec<Sorted<TouchedAt>> {
        let touched = self.edges_of(node, direction);
        if touched.len() <= FEW {
            let changes = touched.iter().filter_map(|at| self.edge_at(*at)).filter(|change| change.is_added());
            added.extend(changes.map(|change| seen(change.edge, direction)).filter(wanted));
            return Vec::new();
        }
        let item = |at: &u32| {
            let edge = self.edge_at(*at).map(|change| seen(change.edge, direction));
            (edge.unwrap_or_default(), at + 1)
        };
        self.ordered(touched, item, (from, 0), |kept| kept.edges_at(node, direction))
    }
}
