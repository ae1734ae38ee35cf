//! Upserts: what a list of properties says of each key, its last word, holds afterwards, whether or not the node or edge was
//! there before.

use super::{NewNode, Transaction, nodes::of_node, sealed};
use crate::{
    db::name::NameRef,
    db::read::GraphRead,
    error::Result,
    graph::{EdgeKey, EdgeTypeId, Mutation, NodeId, PropKeyId, PropList, Value},
    state::Reading,
};

/// What to do with a property: its value in encoded form, or none to remove it.
type Change = (PropKeyId, Option<Vec<u8>>);

impl Transaction {
    /// Sets properties of the node with `key` (`None` removes one), creating the node if there is none. Where a property
    /// stands twice, the last one counts. Returns its id and whether it was created.
    pub fn upsert_node(&mut self, key: &str, props: &[(PropKeyId, Option<Value>)]) -> Result<(NodeId, bool)> {
        self.attempt(|tx| match tx.node_by_key(key)? {
            Some(id) => tx.try_change(id, props).map(|()| (id, false)).map_err(|e| of_node(e, Some(key))),
            None => {
                let props = present(props);
                Ok((tx.try_create(NewNode::new().key(key).props(&props))?, true))
            }
        })
    }

    /// Sets properties of the node `id` (`None` removes one), creating the node without a key if there is none. Where a
    /// property stands twice, the last one counts. Returns whether it was created.
    pub fn upsert_node_by_id(&mut self, id: NodeId, props: &[(PropKeyId, Option<Value>)]) -> Result<bool> {
        self.attempt(|tx| {
            let created = !tx.node_exists(id)?;
            if created {
                let props = present(props);
                tx.try_create(NewNode::new().id(id).props(&props))?;
                tx.keep_clear_of(Some(id));
            } else {
                tx.try_change(id, props)?;
            }
            Ok(created)
        })
    }

    /// Sets properties of an edge (`None` removes one), adding the edge if none leads there; of several parallel ones, that
    /// of the lowest rank is changed. Where a property stands twice, the last one counts. Returns whether it was added.
    pub fn upsert_edge_with_props<'n>(
        &mut self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
        props: &[(PropKeyId, Option<Value>)],
    ) -> Result<bool> {
        self.attempt(|tx| {
            let edge = EdgeKey::new(src, tx.name(ty)?, dst);
            let there = tx.edge_between(src, edge.ty, dst)?;
            match there {
                None => tx.try_add(edge, &present(props))?,
                Some(edge) => tx.try_change_edge(edge, props)?,
            }
            Ok(there.is_none())
        })
    }

    /// Changes properties of a node that is there, all of them at once.
    fn try_change(&mut self, id: NodeId, props: &[(PropKeyId, Option<Value>)]) -> Result<()> {
        let mut changes = self.changes(props)?;
        let held = sealed::ReadState::reading(self).node(id)?.map(|node| node.props()).transpose()?;
        retain_effective(&mut changes, held.unwrap_or_default())?;
        for (key, value) in &changes {
            match value {
                Some(value) => Mutation::SetNodeProp { id, key: *key, value },
                None => Mutation::RemoveNodeProp { id, key: *key },
            }
            .encode(&mut self.buffer);
        }
        self.check_size()?;
        if changes.is_empty() {
            return Ok(());
        }
        let base = Reading::new(&self.levels, self.snapshot, None);
        self.overlay.change_props(&base, id, borrowed(&changes))
    }

    fn try_change_edge(&mut self, edge: EdgeKey, props: &[(PropKeyId, Option<Value>)]) -> Result<()> {
        let mut changes = self.changes(props)?;
        let held = sealed::ReadState::reading(self).edge(edge)?;
        retain_effective(&mut changes, held.unwrap_or_default())?;
        for (key, value) in &changes {
            match value {
                Some(value) => Mutation::SetEdgeProp { edge, key: *key, value },
                None => Mutation::RemoveEdgeProp { edge, key: *key },
            }
            .encode(&mut self.buffer);
        }
        self.check_size()?;
        if changes.is_empty() {
            return Ok(());
        }
        let base = Reading::new(&self.levels, self.snapshot, None);
        self.overlay.change_edge_props(&base, edge, borrowed(&changes))
    }

    /// The changes that a list asks for, under keys that are used from now on.
    fn changes(&mut self, props: &[(PropKeyId, Option<Value>)]) -> Result<Vec<Change>> {
        let mut changes = Vec::with_capacity(props.len());
        for (key, value) in last_words(props) {
            let value = match value {
                Some(value) => {
                    self.name(key)?;
                    Some(self.encode_value(key, value)?)
                }
                None => None,
            };
            changes.push((key, value));
        }
        Ok(changes)
    }
}

/// What a list says last of each key, keys ascending.
fn last_words(props: &[(PropKeyId, Option<Value>)]) -> impl Iterator<Item = (PropKeyId, Option<&Value>)> {
    let mut words: Vec<_> = props.iter().map(|(key, value)| (*key, value.as_ref())).collect();
    // Stable: of equal keys, the one given last is the last one.
    words.sort_by_key(|(key, _)| *key);
    let next: Vec<_> = words.iter().skip(1).map(|(key, _)| Some(*key)).chain([None]).collect();
    words.into_iter().zip(next).filter(|((key, _), next)| Some(*key) != *next).map(|(word, _)| word)
}

fn present(props: &[(PropKeyId, Option<Value>)]) -> Vec<(PropKeyId, Value)> {
    last_words(props).filter_map(|(key, value)| Some((key, value?.clone()))).collect()
}

/// Leaves out the removal of what is not there.
fn retain_effective(changes: &mut Vec<Change>, held: PropList<'_>) -> Result<()> {
    let mut error = None;
    changes.retain(|(key, value)| {
        value.is_some()
            || match held.get(*key) {
                Ok(found) => found.is_some(),
                Err(e) => {
                    error = Some(e);
                    true
                }
            }
    });
    error.map_or(Ok(()), Err)
}

fn borrowed(changes: &[Change]) -> impl Iterator<Item = (PropKeyId, Option<&[u8]>)> {
    changes.iter().map(|(key, value)| (*key, value.as_deref()))
}
