//! Taking back the part of a batch that was applied before one of its elements failed: as if it had never been tried.

use super::{Overlay, parallels, unlink};
use crate::graph::{EdgeKey, NodeId, NodeRecord, key_hash};

/// How far an overlay was: see [`Overlay::mark`].
#[derive(Debug, Clone, Copy)]
pub struct OverlayMark {
    nodes: usize,
    keys: usize,
    edges: usize,
    greatest_id: u64,
    greatest_rank: u64,
}

impl Overlay {
    /// How far it is now.
    pub fn mark(&self) -> OverlayMark {
        OverlayMark {
            nodes: self.nodes.items().len(),
            keys: self.keys.items().len(),
            edges: self.edges.items().len(),
            greatest_id: self.greatest_id,
            greatest_rank: self.greatest_rank,
        }
    }

    /// Takes back these nodes: all that was done since `mark` is that they were created.
    pub fn uncreate_nodes(&mut self, mark: OverlayMark, created: &[NodeId]) {
        for id in created {
            let Some(at) = self.find_node(*id) else { continue };
            let record = self.nodes.items()[at].record.clone();
            let Ok(node) = NodeRecord::parse(&record) else { continue };
            for label in node.labels() {
                *self.label_counts.entry(label.0).or_default() -= 1;
            }
            if let Some(key) = node.key() {
                // Nobody held it when it was claimed.
                self.put_key(key_hash(key), key, &record, None);
            }
            if let Some(tombstone) = &self.nodes.items()[at].tombstone {
                // The transaction had deleted a node of this id before.
                let tombstone = tombstone.clone();
                let change = self.nodes.item_mut(at);
                (change.record, change.dead) = (tombstone, true);
            }
            self.totals[0] -= 1;
        }
        self.nodes.truncate(mark.nodes);
        self.keys.truncate(mark.keys);
        self.greatest_id = mark.greatest_id;
        // A scan runs before a batch or after it, so no order that is kept holds what is taken off here.
        debug_assert!(self.orders_are_within());
    }

    /// Takes back these edges: all that was done since `mark` is that they were added.
    pub fn unadd_edges(&mut self, mark: OverlayMark, added: impl Iterator<Item = EdgeKey>) {
        for edge in added {
            if let Some(at) = self.find_edge(edge) {
                self.edges.item_mut(at).props = None;
                self.count_edge(edge, -1);
            }
        }
        if let Some(adjacency) = self.adjacency.get_mut() {
            for change in self.edges.items().iter().skip(mark.edges).rev() {
                unlink(adjacency, change.edge);
            }
        }
        if let Some(index) = self.parallels.get_mut() {
            for change in self.edges.items().iter().skip(mark.edges).rev() {
                parallels::unlink(index, change.edge);
            }
        }
        self.greatest_rank = mark.greatest_rank;
        self.edges.truncate(mark.edges);
        debug_assert!(self.orders_are_within());
    }
}
