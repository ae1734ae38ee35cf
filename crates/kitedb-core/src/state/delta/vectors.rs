//! The vectors that a delta touched, those of a node in a chain.

use crate::{
    graph::{NodeId, PropKeyId},
    state::{
        slots::{SlotTable, hash_edge},
        versions::{Arena, Cell},
    },
};
use std::sync::Arc;

/// A vector's little-endian bytes; `None` if it was removed.
pub type VectorState = Option<Arc<[u8]>>;

#[derive(Debug)]
struct VectorSlot {
    node: NodeId,
    key: PropKeyId,
    /// The number, plus one, of the one of the same node that was touched before it; 0 = none.
    next: u32,
    state: Cell<VectorState>,
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Vectors {
    slots: boxcar::Vec<VectorSlot>,
    table: SlotTable,
    states: Arena<VectorState>,
}

impl Default for Vectors {
    fn default() -> Self {
        Self { slots: boxcar::Vec::new(), table: SlotTable::default(), states: Arena::new() }
    }
}

impl Vectors {
    /// How many were touched.
    pub fn count(&self) -> usize {
        self.slots.count()
    }

    /// How many versions there are of them.
    pub fn versions(&self) -> usize {
        self.slots.count() + self.states.count()
    }

    fn slot(&self, node: NodeId, key: PropKeyId) -> Option<&VectorSlot> {
        let mut found = None;
        self.table.find(hash_edge(node.0, key.0, 0), |slot| {
            found = self.slots.get(slot as usize).filter(|s| s.node == node && s.key == key);
            found.is_some()
        })?;
        found
    }

    /// The vector as of `at`: `None` if it was not touched by then.
    pub fn at(&self, node: NodeId, key: PropKeyId, at: u64) -> Option<&VectorState> {
        self.slot(node, key)?.state.at(&self.states, at)
    }

    /// The property keys of the chain that begins with number `first` minus one.
    pub fn keys_from(&self, first: u32) -> Vec<PropKeyId> {
        let (mut next, mut keys) = (first, Vec::new());
        while let Some(slot) = (next as usize).checked_sub(1).and_then(|i| self.slots.get(i)) {
            keys.push(slot.key);
            next = slot.next;
        }
        keys
    }

    /// Every one as of `at`, in no order.
    pub fn changed(&self, at: u64) -> impl Iterator<Item = (NodeId, PropKeyId, &VectorState)> {
        self.slots.iter().filter_map(move |(_, s)| Some((s.node, s.key, s.state.at(&self.states, at)?)))
    }

    /// Whether the vector was written after `snapshot`.
    pub fn written_after(&self, node: NodeId, key: PropKeyId, snapshot: u64) -> bool {
        self.slot(node, key).is_some_and(|s| s.state.newest_version(&self.states) > snapshot)
    }

    /// Writes another version of one that was touched before; else gives `state` back. Only under the commit lock.
    pub fn put_again(&self, node: NodeId, key: PropKeyId, version: u64, state: VectorState) -> Result<(), VectorState> {
        let Some(slot) = self.slot(node, key) else { return Err(state) };
        slot.state.push(&self.states, version, state);
        Ok(())
    }

    /// Writes one that was not touched before, in front of the chain of its node, which begins with number `next` minus one.
    /// Returns its own number. Only under the commit lock.
    pub fn put_first(&self, node: NodeId, key: PropKeyId, version: u64, state: VectorState, next: u32) -> u32 {
        let slot = self.slots.push(VectorSlot { node, key, next, state: Cell::new(version, state) }) as u32;
        self.table.insert(hash_edge(node.0, key.0, 0), slot);
        slot
    }
}
