//! What a delta touched, in order.

use super::Delta;
use crate::{
    graph::{Direction, LabelId, NodeId},
    state::{
        order::{FEW, Sorted},
        orders::{Edge, TouchedAt, few, seen},
    },
};
use std::sync::atomic::Ordering;

impl Delta {
    /// The ids of all touched nodes (also those of which only edges were touched) from `from` on.
    pub fn touched_from(&self, from: NodeId) -> Vec<Sorted<u64>> {
        let count = self.nodes.count();
        let more = |through| (through..count).filter_map(|at| Some(self.nodes.numbered(at)?.id())).collect();
        self.orders.get(|kept| &mut kept.nodes, count, more, from.0)
    }

    /// The ids of all nodes of which an outgoing edge was touched, from `from` on.
    pub fn sources_from(&self, from: NodeId) -> Vec<Sorted<u64>> {
        let count = self.edges.count();
        let more = |through| {
            let mut ids: Vec<u64> =
                (through..count).filter_map(|at| Some(self.edges.numbered(at)?.edge().src.0)).collect();
            ids.dedup();
            ids
        };
        self.orders.get(|kept| &mut kept.sources, count, more, from.0)
    }

    /// The nodes that got `label` in this delta at some time, from `from` on.
    pub fn labelled_from(&self, label: LabelId, from: NodeId) -> Vec<Sorted<u64>> {
        let head = self.nodes.labelled().head(label);
        let chain = |until| self.nodes.labelled().chain(head, until).map(|node| node.0);
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
        let Some(slot) = self.nodes.slot(node) else { return (Vec::new(), false) };
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
                let slot = self.edges.numbered(number - 1)?;
                next = slot.next(direction);
                Some((seen(slot.edge(), direction), number))
            });
            chain.collect()
        };
        let sorted = self.orders.get(|kept| kept.edges_at(node, direction), head, more, (from, 0));
        (sorted, slot.hides(direction))
    }
}
