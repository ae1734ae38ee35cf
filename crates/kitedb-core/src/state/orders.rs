//! What a delta, or a transaction, touched, in order: kept once someone asks for it, so that the next page or scan costs
//! what it returns. It goes with the delta, or the transaction.

use super::{
    delta::Delta,
    elements::{EdgeSlot, NodeSlot},
    order::{FEW, Order, Sorted},
    overlay::Overlay,
};
use crate::graph::{Direction, EdgeKey, EdgeTypeId, LabelId, NodeId};
use crate::lock::Mutex;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// An edge as seen from one of its ends: its type, its other end, its rank.
pub type Edge = (EdgeTypeId, NodeId, u64);

/// A touched edge as seen from one of its ends, and its number for [`Delta::edge_of`], or its position plus one for
/// [`Overlay::edge_at`].
pub type TouchedAt = (Edge, u32);

/// How an edge looks from one of its ends.
pub fn seen(edge: EdgeKey, direction: Direction) -> Edge {
    (edge.ty, edge.ends(direction).1, edge.rank)
}

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub struct Orders {
    kept: Mutex<Kept>,
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    nodes: Order<u64>,
    sources: Order<u64>,
    labels: FxHashMap<LabelId, Order<u64>>,
    /// Of nodes with many touched edges.
    edges: FxHashMap<(NodeId, Direction), Order<TouchedAt>>,
}

impl Kept {
    fn edges_at(&mut self, node: NodeId, direction: Direction) -> &mut Order<TouchedAt> {
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
    fn get<T: Ord + Copy>(
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
fn few<T>(items: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let found: Vec<T> = items.take(FEW + 1).collect();
    (found.len() <= FEW).then_some(found)
}

impl Delta {
    /// The ids of all touched nodes (also those of which only edges were touched) from `from` on.
    pub fn touched_from(&self, from: NodeId) -> Vec<Sorted<u64>> {
        let count = self.nodes.len();
        let more = |through| (through..count).filter_map(|at| Some(NodeSlot(self.nodes.get(at)?).id())).collect();
        self.orders.get(|kept| &mut kept.nodes, count, more, from.0)
    }

    /// The ids of all nodes of which an outgoing edge was touched, from `from` on.
    pub fn sources_from(&self, from: NodeId) -> Vec<Sorted<u64>> {
        let count = self.edges.len();
        let more = |through| {
            let mut ids: Vec<u64> =
                (through..count).filter_map(|at| Some(EdgeSlot(self.edges.get(at)?).edge().src.0)).collect();
            ids.dedup();
            ids
        };
        self.orders.get(|kept| &mut kept.sources, count, more, from.0)
    }

    /// The nodes that got `label` in this delta at some time, from `from` on.
    pub fn labelled_from(&self, label: LabelId, from: NodeId) -> Vec<Sorted<u64>> {
        let head = self.labelled.head(label);
        let chain = |until| self.labelled.chain(head, until).map(|node| node.0);
        match few(chain(0)) {
            Some(ids) if ids.is_empty() => Vec::new(),
            Some(ids) => vec![Sorted::of(ids, from.0)],
            None => self.orders.get(
                |kept| kept.labels.entry(label).or_default(),
                head,
                |through| chain(through).collect(),
                from.0,
            ),
        }
    }

    /// The edges at a node that this delta touched, and whether edges of it below this delta may be hidden. Of few, those
    /// that it adds as of `at` and that are `wanted` are put into `added`; many are returned from `from` on.
    pub fn edges_from(
        &self,
        (node, direction): (NodeId, Direction),
        at: u64,
        from: Edge,
        wanted: impl Fn(&Edge) -> bool,
        added: &mut Vec<Edge>,
    ) -> (Vec<Sorted<TouchedAt>>, bool) {
        let Some((_, slot)) = self.node_slot(node) else { return (Vec::new(), false) };
        let head = slot.first_edge(direction).load(Ordering::Acquire) as u32;
        if !slot.is_ordered(direction) {
            let (mut next, before) = (head, added.len());
            for _ in 0..FEW {
                let Some((edge, state, older)) = self.edge_of(next, direction, at) else { break };
                next = older;
                let there = state.is_some_and(|(props, below)| !below && props.is_some());
                added.extend(Some(seen(edge, direction)).filter(|edge| there && wanted(edge)));
            }
            if next == 0 {
                return (Vec::new(), slot.hides(direction));
            }
            added.truncate(before);
            slot.set_ordered(direction);
        }
        let more = |through| {
            let mut next = head;
            let chain = std::iter::from_fn(|| {
                let number = Some(next).filter(|next| *next > through)?;
                let slot = EdgeSlot(self.edges.get(number - 1)?);
                next = slot.next(direction);
                Some((seen(slot.edge(), direction), number))
            });
            chain.collect()
        };
        let sorted = self.orders.get(|kept| kept.edges_at(node, direction), head, more, (from, 0));
        (sorted, slot.hides(direction))
    }
}

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

    /// The edges at a node that it touched, as [`Delta::edges_from`] gives those of a delta.
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
