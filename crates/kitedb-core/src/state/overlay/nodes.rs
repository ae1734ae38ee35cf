//! What a transaction does to nodes, their keys, labels and properties.

use super::{
    Overlay,
    changes::{KeyChange, NodeChange},
    faults::{duplicate_key, no_node},
};
use crate::{
    error::Result,
    graph::{
        Digest, Direction, EdgeKey, LabelId, NodeId, NodeRecord, PropKeyId, PropList, PropListBuf, codec::Reader,
        key_hash,
    },
    state::reading::Reading,
};
use std::sync::Arc;

impl Overlay {
    /// Claims a key that nobody holds, or releases one.
    pub(super) fn put_key(&mut self, hash: u64, key: &str, record: &Arc<[u8]>, holder: Option<NodeId>) {
        match self.keys.find(hash, |change| change.is(hash, key)) {
            Some(at) => self.keys.item_mut(at).holder = holder,
            None => {
                let was_held = holder.is_none();
                self.keys.push(KeyChange { hash, record: record.clone(), was_held, holder });
            }
        }
    }

    /// Creates a node whose id nobody has. Upholds I22.
    pub fn create_node(
        &mut self,
        base: &Reading<'_>,
        id: NodeId,
        key: Option<&str>,
        labels: &[u8],
        props: PropList<'_>,
    ) -> Result<()> {
        let hash = key.map_or(0, key_hash);
        if let Some(key) = key
            && let Some(holder) = base.over(self).node_by_hashed_key(hash, key)?
        {
            return Err(duplicate_key(key, holder));
        }
        let mut label_ids = Vec::new();
        let mut reader = Reader::new(labels);
        while !reader.is_empty() {
            label_ids.push(LabelId(reader.varint32()?));
        }
        for label in &label_ids {
            *self.label_counts.entry(label.0).or_default() += 1;
        }
        let record: Arc<[u8]> = self.scratch.live(id, key, &label_ids, props).into();
        if let Some(key) = key {
            self.put_key(hash, key, &record, Some(id));
        }
        match self.find_node(id) {
            Some(at) => {
                let change = self.nodes.item_mut(at);
                let tombstone = std::mem::replace(&mut change.record, record);
                change.tombstone.get_or_insert(tombstone);
                change.dead = false;
            }
            None => drop(self.nodes.push(NodeChange {
                id,
                existed: false,
                before: Digest::default(),
                record,
                dead: false,
                cascaded: false,
                tombstone: None,
            })),
        }
        self.totals[0] += 1;
        self.greatest_id = self.greatest_id.max(id.0);
        Ok(())
    }

    /// Puts a node's record in place of the one it has.
    fn replace_record(&mut self, old: &NodeRecord<'_>, record: Arc<[u8]>, dead: bool) {
        let id = old.id();
        match self.find_node(id) {
            Some(at) => {
                let change = self.nodes.item_mut(at);
                (change.record, change.dead) = (record, dead);
                change.cascaded |= dead;
            }
            None => {
                let before = Digest::of_node(old.as_bytes());
                self.nodes.push(NodeChange {
                    id,
                    existed: true,
                    before,
                    record,
                    dead,
                    cascaded: dead,
                    tombstone: None,
                });
            }
        }
    }

    fn held(&self, id: NodeId) -> Option<Arc<[u8]>> {
        self.node(id).map(|change| change.record.clone())
    }

    /// Puts encoded values under property keys of a node; `None` removes one.
    pub fn change_props<'v>(
        &mut self,
        base: &Reading<'_>,
        id: NodeId,
        changes: impl IntoIterator<Item = (PropKeyId, Option<&'v [u8]>)>,
    ) -> Result<()> {
        let held = self.held(id);
        let old = base.record(held.as_deref(), id)?.ok_or_else(|| no_node(id))?;
        let mut props = PropListBuf::from_list(old.props()?);
        for (key, value) in changes {
            props.replace(key, value)?;
        }
        let labels: Vec<LabelId> = old.labels().collect();
        let record = self.scratch.live(id, old.key(), &labels, props.as_list()).into();
        self.replace_record(&old, record, false);
        Ok(())
    }

    pub(super) fn change_label(&mut self, base: &Reading<'_>, id: NodeId, label: LabelId, add: bool) -> Result<()> {
        let held = self.held(id);
        let old = base.record(held.as_deref(), id)?.ok_or_else(|| no_node(id))?;
        let mut labels: Vec<LabelId> = old.labels().collect();
        match (labels.binary_search(&label), add) {
            (Err(at), true) => labels.insert(at, label),
            (Ok(at), false) => drop(labels.remove(at)),
            _ => return Ok(()),
        }
        let record = self.scratch.live(id, old.key(), &labels, old.props()?).into();
        self.replace_record(&old, record, false);
        *self.label_counts.entry(label.0).or_default() += if add { 1 } else { -1 };
        Ok(())
    }

    /// Deletes a node, and with it its edges and vectors. Upholds I22.
    pub(super) fn delete_node(&mut self, base: &Reading<'_>, id: NodeId) -> Result<()> {
        let held = self.held(id);
        let old = base.record(held.as_deref(), id)?.ok_or_else(|| no_node(id))?;
        self.cancelled |= self.node(id).is_some_and(NodeChange::is_created);
        let mut edges: Vec<EdgeKey> = Vec::new();
        let over = base.over(self);
        edges.extend(over.edges_at(id, Direction::Out, None)?);
        edges.extend(over.edges_at(id, Direction::In, None)?.filter(|e| e.src != id));
        let vectors = over.vector_keys(id)?;
        for edge in edges {
            self.remove_edge(base, edge)?;
        }
        for key in vectors {
            self.put_vector(base, id, key, None)?;
        }
        for label in old.labels() {
            *self.label_counts.entry(label.0).or_default() -= 1;
        }
        let record = match self.node(id).and_then(|change| change.tombstone.clone()) {
            Some(tombstone) => tombstone,
            None => self.scratch.dead(id, old.key()).into(),
        };
        if let Some(key) = old.key() {
            self.put_key(key_hash(key), key, &record, None);
        }
        self.replace_record(&old, record, true);
        self.totals[0] -= 1;
        Ok(())
    }
}
