//! A transaction's changes at its commit: what they add to the digest, whether others are in their way, and how they get into
//! the delta.

use super::{
    Overlay, WARM,
    changes::{KeyChange, NodeChange},
    faults::{OR_ATTACHED, edge_conflict, key_conflict, node_conflict, vector_conflict},
};
use crate::{
    error::Result,
    graph::{Digest, EdgeKey, LogIndex},
    state::{
        delta::{CommitInfo, Delta, NodeState, Totals},
        names::Names,
    },
};
use std::mem::take;

impl Overlay {
    /// What the transaction adds to the digest, names apart. Upholds I20.
    pub fn digest_change(&self) -> Digest {
        let mut sum = Digest::default();
        for change in self.nodes.items() {
            sum -= change.before;
            if !change.dead {
                sum += Digest::of_node(&change.record);
            }
        }
        for change in self.edges.items() {
            sum -= change.before;
            if let Some(props) = &change.props {
                sum += Digest::of_edge(change.edge, props.as_deref().unwrap_or_default());
            }
        }
        for (&(node, key), change) in &self.vectors {
            sum -= change.before.unwrap_or_default();
            if let Some(bytes) = &change.bytes {
                sum += Digest::of_vector(node, key, bytes);
            }
        }
        sum + self.index_digest()
    }

    /// Fails with a conflict if something that the transaction writes or relies on was committed to `delta`
    /// after `snapshot`; the error calls it by its name. Upholds I22 and I23.
    pub fn validate(&self, names: &Names, delta: &Delta, snapshot: u64) -> Result<()> {
        for change in self.nodes.items() {
            let id = change.id;
            if delta.node_written_after(id, snapshot) {
                return node_conflict(id, &change.record, "");
            }
            if change.cascaded && delta.node_relied_on_after(id, snapshot) {
                return node_conflict(id, &change.record, OR_ATTACHED);
            }
        }
        for change in self.keys.items() {
            if delta.key_written_after(change.hash, &change.record, snapshot) {
                return key_conflict(&change.record);
            }
        }
        for change in self.edges.items() {
            let EdgeKey { src, dst, .. } = change.edge;
            if delta.edge_written_after(change.edge, snapshot) {
                return edge_conflict(names, change.edge, false);
            }
            if change.props.is_some()
                && (delta.node_deleted_after(src, snapshot) || delta.node_deleted_after(dst, snapshot))
            {
                return edge_conflict(names, change.edge, true);
            }
        }
        for (&(node, key), change) in &self.vectors {
            if delta.vector_written_after(node, key, snapshot)
                || change.bytes.is_some() && delta.node_deleted_after(node, snapshot)
            {
                return vector_conflict(names, node, key);
            }
        }
        Ok(())
    }

    /// Moves the changes into `delta`, as the commit with log index `version`. Only under the commit lock.
    pub fn install(&mut self, delta: &Delta, version: u64, info: CommitInfo) {
        for NodeChange { id, existed, record, dead, cascaded, .. } in take(&mut self.nodes).into_items() {
            if existed || !dead {
                delta.put_node(id, version, NodeState { record, dead, existed, deleted: existed && cascaded });
            }
        }
        for KeyChange { hash, record, holder, .. } in take(&mut self.keys).into_items() {
            delta.put_key(hash, record, version, holder);
        }
        let keys: Vec<EdgeKey> = self.edges.items().iter().map(|change| change.edge).collect();
        for (at, change) in take(&mut self.edges).into_items().into_iter().enumerate() {
            if at % WARM == 0 && keys.len() > WARM / 4 {
                delta.warm(&keys[at..keys.len().min(at + WARM)]);
            }
            if change.existed || change.props.is_some() {
                delta.put_edge(change.edge, version, change.props, change.existed);
            }
        }
        for ((node, key), change) in self.vectors.drain() {
            if change.before.is_some() || change.bytes.is_some() {
                delta.put_vector(node, key, version, change.bytes);
            }
        }
        for (ty, change) in self.type_counts.drain().filter(|(_, change)| *change != 0) {
            delta.add_to_type(ty, version, change);
        }
        for (label, change) in self.label_counts.drain().filter(|(_, change)| *change != 0) {
            delta.add_to_label(label, version, change);
        }
        if !self.indexes.is_empty() {
            let set = self.indexes_over(delta.indexes.at(LogIndex(u64::MAX)));
            self.indexes.clear();
            delta.indexes.put(version, (*set).clone());
        }
        delta.push_commit(info);
    }

    /// The totals after the transaction, from those before it.
    pub fn totals_after(&self, before: Totals) -> Totals {
        Totals {
            nodes: before.nodes.wrapping_add_signed(self.totals[0]),
            edges: before.edges.wrapping_add_signed(self.totals[1]),
            vectors: before.vectors.wrapping_add_signed(self.totals[2]),
        }
    }
}
