//! The nodes that a delta touched: their records, and which label each got.

use super::memory::Memory;
use crate::{
    graph::{NodeId, NodeRecord},
    state::{
        arena::WordArena,
        elements::{NodeSlot, WORDS},
        figures::Tally,
        labels::Labelled,
        slots::{SlotTable, hash_id},
        versions::{Arena, numbered},
    },
};
use std::sync::{Arc, atomic::Ordering};

/// A node's record as a version holds it.
#[derive(Debug, Clone)]
pub struct NodeState {
    /// The record: live, or a tombstone.
    pub record: Arc<[u8]>,
    /// Whether it is a tombstone.
    pub dead: bool,
    /// Whether the node existed before the commit that wrote this version.
    pub existed: bool,
    /// Whether that commit deleted it, be it that it created it anew.
    pub deleted: bool,
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Nodes {
    slots: WordArena<WORDS>,
    table: SlotTable,
    records: Arena<NodeState>,
    labelled: Labelled,
}

impl Default for Nodes {
    fn default() -> Self {
        let (slots, table) = (WordArena::default(), SlotTable::default());
        Self { slots, table, records: Arena::new(), labelled: Labelled::default() }
    }
}

impl Nodes {
    /// How many were touched.
    #[inline]
    pub fn count(&self) -> u32 {
        self.slots.len()
    }

    /// How many records there are of them.
    pub fn versions(&self) -> usize {
        self.records.count()
    }

    /// Which label each got.
    #[inline]
    pub fn labelled(&self) -> &Labelled {
        &self.labelled
    }

    /// The one that was touched as number `number`.
    #[inline]
    pub fn numbered(&self, number: u32) -> Option<NodeSlot<'_>> {
        self.slots.get(number).map(NodeSlot)
    }

    /// The number of the one that may have this id: its table alone is looked at.
    #[inline]
    pub fn peek(&self, id: NodeId) -> Option<u32> {
        self.table.peek(hash_id(id.0))
    }

    #[inline]
    pub fn slot(&self, id: NodeId) -> Option<NodeSlot<'_>> {
        let mut found = None;
        self.table.find(hash_id(id.0), |slot| {
            found = self.slots.get(slot).map(NodeSlot).filter(|s| s.id() == id.0);
            found.is_some()
        })?;
        found
    }

    /// The node's record as of `at`: `None` if it was not written by then.
    #[inline]
    pub fn at(&self, id: NodeId, at: u64) -> Option<&NodeState> {
        self.slot(id)?.record().at(&self.records, at)
    }

    /// Whether the node exists as of `at`: `None` if its record was not written by then.
    #[inline]
    pub fn exists(&self, id: NodeId, at: u64) -> Option<bool> {
        let slot = self.slot(id)?;
        match slot.live_since().load(Ordering::Acquire) {
            NodeSlot::UNWRITTEN => None,
            since if since != 0 && since <= at => Some(true),
            _ => slot.record().at(&self.records, at).map(|state| !state.dead),
        }
    }

    /// Every node with a record as of `at`, in no order; the flag says whether the node was there below.
    pub fn changed(&self, at: u64) -> impl Iterator<Item = (NodeId, &NodeState, bool)> {
        self.slots.iter().map(NodeSlot).filter_map(move |slot| {
            let state = slot.record().at(&self.records, at)?;
            let below = slot.record().oldest(&self.records)?.existed;
            Some((NodeId(slot.id()), state, below))
        })
    }

    /// Whether the node's record was written after `snapshot`.
    pub fn written_after(&self, id: NodeId, snapshot: u64) -> bool {
        self.slot(id).and_then(|s| s.record().newest(&self.records)).is_some_and(|(version, _)| version > snapshot)
    }

    /// Whether the node was deleted after `snapshot`, even if it was created anew since.
    pub fn deleted_after(&self, id: NodeId, snapshot: u64) -> bool {
        self.slot(id).is_some_and(|s| s.record().any_after(&self.records, snapshot, |state| state.deleted))
    }

    /// Whether something that relies on the node being there was committed after `snapshot`.
    pub fn relied_on_after(&self, id: NodeId, snapshot: u64) -> bool {
        self.slot(id).is_some_and(|s| s.guard().load(Ordering::Acquire) > snapshot)
    }

    /// The slot of a node, which is touched from now on. Only under the commit lock, as all that follows.
    #[inline]
    pub fn touch(&self, memory: &Memory, id: NodeId) -> NodeSlot<'_> {
        if let Some(found) = self.slot(id) {
            return found;
        }
        let (number, words) = self.slots.push(NodeSlot::fresh(id));
        self.table.insert(hash_id(id.0), number);
        memory.grow_by(80);
        NodeSlot(words)
    }

    /// Writes a node's record.
    pub fn put(&self, memory: &Memory, tally: &Tally, id: NodeId, version: u64, state: NodeState) {
        memory.grow_by(64 + state.record.len());
        let slot = self.touch(memory, id);
        let is_first = slot.record().is_empty();
        let has_labels = self.note_labels(id, slot, &state);
        if state.existed && is_first {
            slot.set_below();
        }
        tally.node(id.0, slot.below(), state.existed, !state.dead);
        let since = slot.live_since().load(Ordering::Relaxed);
        let since = if state.dead { 0 } else { since.min(version) };
        let number = slot.record().push(&self.records, version, state);
        if is_first && has_labels {
            slot.set_first_record(number);
        }
        slot.live_since().store(since, Ordering::Release);
    }

    /// Takes note of the labels of a node's new record, before it is written. Returns whether it has any.
    fn note_labels(&self, id: NodeId, slot: NodeSlot<'_>, state: &NodeState) -> bool {
        let Some(record) = NodeRecord::parse(&state.record).ok().filter(NodeRecord::has_labels) else { return false };
        match slot.record().newest(&self.records) {
            None => self.labelled.note_first(id, &record),
            Some((_, newest)) => {
                let newest = NodeRecord::parse(&newest.record).ok();
                if !newest.is_some_and(|newest| newest.labels().eq(record.labels())) {
                    let first = numbered(&self.records, slot.first_record());
                    let first = first.and_then(|first| NodeRecord::parse(&first.record).ok());
                    self.labelled.note_later(id, &record, [first, newest]);
                }
            }
        }
        true
    }

    /// Notes that a commit relies on the node being there.
    pub fn guard(&self, memory: &Memory, id: NodeId, version: u64) {
        self.touch(memory, id).guard().store(version, Ordering::Release);
    }
}
