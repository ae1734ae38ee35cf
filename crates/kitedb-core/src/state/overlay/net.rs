//! The net change: what a transaction changed, whatever it did and took back on the way there.

use super::{EdgeChange, NodeChange, Overlay};
use crate::{
    error::{Error, Result},
    graph::{Digest, EdgeKey, Mutation, NodeId, NodeRecord, PropList, VectorRef, codec::put_varint},
    state::reading::Reading,
};

impl Overlay {
    /// Whether a mutation took back what an earlier one did. Otherwise the mutations in their order are the net change:
    /// validation covers each of them, so that none can fail to apply.
    pub fn has_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Lets go of what came and went within the transaction, so that what is left is its net change: nothing else is
    /// validated, logged and applied. Upholds I21.
    pub fn settle(&mut self) {
        // That an id was given out outlives its node: no later one gets it.
        let greatest = self.greatest_id;
        self.nodes.retain(|change| change.existed || !change.dead || change.id.0 == greatest);
        self.edges.retain(|change| change.existed || change.props.is_some());
        // Positions are others from here on.
        self.adjacency.take();
        self.parallels.take();
        self.orders.take();
        self.keys.retain(|change| change.was_held || change.holder.is_some());
        self.vectors.retain(|_, change| change.before.is_some() || change.bytes.is_some());
        self.indexes.retain(|_, change| !change.is_none());
        let Self { dimensions, vectors, .. } = self;
        dimensions.retain(|(key, _)| vectors.iter().any(|(at, change)| at.1 == *key && change.bytes.is_some()));
        self.cancelled = false;
    }

    /// Appends the net change over `base`, as mutations that lead there.
    pub fn encode(&self, base: &Reading<'_>, out: &mut Vec<u8>) -> Result<()> {
        for (kind, id, name) in &self.names {
            Mutation::DefineName { kind: *kind, id: *id, name }.encode(out);
        }
        for &(key, dimension) in &self.dimensions {
            Mutation::DefineVector { key, dimension }.encode(out);
        }
        for change in self.nodes.items().iter().filter(|change| change.is_deleted()) {
            Mutation::DeleteNode { id: change.id }.encode(out);
        }
        for change in self.nodes.items() {
            self.encode_node(base, change, out)?;
        }
        for change in self.edges.items() {
            self.encode_edge(base, change, out)?;
        }
        let mut vectors: Vec<_> = self.vectors.iter().collect();
        vectors.sort_unstable_by_key(|(at, _)| **at);
        for (&(node, key), change) in vectors {
            match &change.bytes {
                Some(bytes) => Mutation::SetVector { node, key, vector: VectorRef::from_bytes(bytes) }.encode(out),
                None if change.before.is_none() || self.deletes(node) => {}
                None => Mutation::RemoveVector { node, key }.encode(out),
            }
        }
        self.encode_indexes(out);
        Ok(())
    }

    /// Whether what was attached to `node` goes with it.
    fn deletes(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(NodeChange::is_deleted)
    }

    fn encode_node(&self, base: &Reading<'_>, change: &NodeChange, out: &mut Vec<u8>) -> Result<()> {
        let id = change.id;
        if change.dead {
            if !change.existed {
                Mutation::CreateNode { id, key: None, labels: &[], props: PropList::default() }.encode(out);
                Mutation::DeleteNode { id }.encode(out);
            }
            return Ok(());
        }
        let record = NodeRecord::parse(&change.record)?;
        if change.is_created() {
            let mut labels = Vec::new();
            record.labels().for_each(|label| put_varint(&mut labels, label.0.into()));
            Mutation::CreateNode { id, key: record.key(), labels: &labels, props: record.props()? }.encode(out);
            return Ok(());
        }
        let old = base.node(id)?.ok_or_else(|| Error::corrupt(format_args!("node {id} is changed and not there")))?;
        for label in old.labels().filter(|label| !record.has_label(*label)) {
            Mutation::RemoveLabel { id, label }.encode(out);
        }
        for label in record.labels().filter(|label| !old.has_label(*label)) {
            Mutation::AddLabel { id, label }.encode(out);
        }
        record.props()?.changes_since(old.props()?, |key, value| match value {
            Some(value) => Mutation::SetNodeProp { id, key, value }.encode(out),
            None => Mutation::RemoveNodeProp { id, key }.encode(out),
        })
    }

    fn encode_edge(&self, base: &Reading<'_>, change: &EdgeChange, out: &mut Vec<u8>) -> Result<()> {
        let edge @ EdgeKey { src, dst, .. } = change.edge;
        let is_there_below = change.existed && !self.deletes(src) && !self.deletes(dst);
        let Some(props) = &change.props else {
            if is_there_below {
                Mutation::RemoveEdge { edge }.encode(out);
            }
            return Ok(());
        };
        let props = PropList::from_bytes(props.as_deref().unwrap_or_default());
        if !is_there_below {
            Mutation::AddEdge { edge, props }.encode(out);
            return Ok(());
        }
        if change.before == Digest::of_edge(edge, props.as_bytes()) {
            return Ok(());
        }
        let old = base.edge(edge)?.ok_or_else(|| Error::corrupt(format_args!("{edge:?} is changed and not there")))?;
        props.changes_since(old, |key, value| match value {
            Some(value) => Mutation::SetEdgeProp { edge, key, value }.encode(out),
            None => Mutation::RemoveEdgeProp { edge, key }.encode(out),
        })
    }
}
