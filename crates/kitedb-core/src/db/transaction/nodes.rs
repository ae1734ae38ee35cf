//! What a transaction writes of nodes, their labels and their properties.

use super::{NewNode, Transaction};
use crate::{
    db::{name::NameRef, read::GraphRead},
    error::{Error, ErrorCode, ErrorKind, Result, bounded},
    graph::{LabelId, Mutation, NodeId, PropKeyId, Value, codec::put_varint},
    state::Reading,
};

impl Transaction {
    /// Creates a node, with a key that no other node has, or without one.
    pub fn create_node(&mut self, key: Option<&str>) -> Result<NodeId> {
        self.create_node_with(NewNode::new().maybe_key(key))
    }

    /// Creates a node with labels and properties.
    pub fn create_node_with(&mut self, node: NewNode<'_>) -> Result<NodeId> {
        let id = self.attempt(|tx| tx.try_create(node))?;
        self.keep_clear_of(node.id);
        Ok(id)
    }

    /// No automatic id is one that a caller chose.
    pub(super) fn keep_clear_of(&self, chosen: Option<NodeId>) {
        if let Some(id) = chosen {
            self.engine.ids.skip_nodes(id);
        }
    }

    pub(super) fn try_create(&mut self, node: NewNode<'_>) -> Result<NodeId> {
        if node.key.is_some_and(str::is_empty) {
            return Err(Error::invalid("an empty key is no key: give at least one character, or leave it out"));
        }
        self.try_create_anew(node).map_err(|e| of_node(e, node.key))
    }

    fn try_create_anew(&mut self, node: NewNode<'_>) -> Result<NodeId> {
        let mut labels = Vec::new();
        if !node.labels.is_empty() {
            let mut ids = node.labels.to_vec();
            ids.sort_unstable();
            ids.dedup();
            for label in ids {
                self.name(label)?;
                put_varint(&mut labels, label.0.into());
            }
        }
        let props = self.encode_props(node.props)?;
        let mutation = |id| Mutation::CreateNode { id, key: node.key, labels: &labels, props: props.as_list() };
        if let Some(id) = node.id {
            self.apply(&mutation(id))?;
            return Ok(id);
        }
        let id = self.free_node_id()?;
        mutation(id).encode(&mut self.buffer);
        self.check_size()?;
        let base = Reading::new(&self.levels, self.snapshot, None);
        self.overlay.create_node(&base, id, node.key, &labels, props.as_list())?;
        Ok(id)
    }

    /// An id that no node has.
    #[inline]
    fn free_node_id(&self) -> Result<NodeId> {
        while let Some(id) = self.engine.ids.next_node() {
            // One that a batch chose is not known to the engine before the batch succeeds.
            if id.0 > self.overlay.greatest_id || self.overlay.node(id).is_none() {
                return Ok(id);
            }
        }
        loop {
            let id = self.engine.ids.spare_node(&*self.engine.env.host);
            if !self.node_exists(id)? {
                return Ok(id);
            }
        }
    }

    /// Creates many nodes: all of them, or none.
    pub fn create_nodes_batch(&mut self, nodes: &[NewNode<'_>]) -> Result<Vec<NodeId>> {
        self.overlay.reserve(nodes.len(), 0);
        let (mark, mut created) = (self.overlay.mark(), Vec::with_capacity(nodes.len()));
        let done = self.attempt(|tx| {
            for node in nodes {
                created.push(tx.try_create(*node)?);
            }
            Ok(())
        });
        if let Err(e) = done {
            self.overlay.uncreate_nodes(mark, &created);
            return Err(e);
        }
        self.keep_clear_of(nodes.iter().filter_map(|node| node.id).max());
        Ok(created)
    }

    /// Deletes a node and, with it, its edges, properties, labels and vectors.
    pub fn delete_node(&mut self, id: NodeId) -> Result<()> {
        self.attempt(|tx| tx.apply(&Mutation::DeleteNode { id }))
    }

    /// Adds a label to a node. Returns whether the node did not have it.
    pub fn add_node_label<'n>(&mut self, id: NodeId, label: impl Into<NameRef<'n, LabelId>>) -> Result<bool> {
        self.attempt(|tx| {
            let label = tx.name(label)?;
            let new = !tx.node_has_label(id, label)?;
            if new {
                tx.apply(&Mutation::AddLabel { id, label })?;
            }
            Ok(new)
        })
    }

    /// Takes a label off a node. Returns whether the node had it.
    pub fn remove_node_label<'n>(&mut self, id: NodeId, label: impl Into<NameRef<'n, LabelId>>) -> Result<bool> {
        let label = self.lookup(label);
        self.attempt(|tx| {
            let Some(label) = label else { return tx.require_node(id).map(|()| false) };
            if !tx.node_has_label(id, label)? {
                return tx.require_node(id).map(|()| false);
            }
            tx.apply(&Mutation::RemoveLabel { id, label })?;
            Ok(true)
        })
    }

    /// Sets a node's property.
    pub fn set_node_prop<'n>(
        &mut self,
        id: NodeId,
        key: impl Into<NameRef<'n, PropKeyId>>,
        value: impl Into<Value>,
    ) -> Result<()> {
        let value = value.into();
        self.attempt(|tx| {
            tx.require_node(id)?;
            let key = tx.name(key)?;
            let bytes = tx.encode_value(key, &value)?;
            tx.apply(&Mutation::SetNodeProp { id, key, value: &bytes })
        })
    }

    /// Removes a node's property. Returns whether it was there.
    pub fn delete_node_prop<'n>(&mut self, id: NodeId, key: impl Into<NameRef<'n, PropKeyId>>) -> Result<bool> {
        let key = self.lookup(key);
        self.attempt(|tx| {
            tx.require_node(id)?;
            let Some(key) = key else { return Ok(false) };
            if tx.node_prop_ref(id, key)?.is_none() {
                return Ok(false);
            }
            tx.apply(&Mutation::RemoveNodeProp { id, key })?;
            Ok(true)
        })
    }
}

/// The error of what was to be written to the node with a key, which says whose it is if it does not do so already.
#[cold]
pub(super) fn of_node(e: Error, key: Option<&str>) -> Error {
    let named = matches!(e.code(), ErrorCode::DuplicateKey | ErrorCode::NodeExists | ErrorCode::TransactionTooLarge);
    match key.filter(|_| e.kind() == ErrorKind::Input && !named) {
        Some(key) => e.and(format_args!("this was for node '{}'", bounded(key))),
        None => e,
    }
}
