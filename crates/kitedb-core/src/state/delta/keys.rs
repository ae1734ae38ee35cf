//! The keys of nodes that a delta touched, and who holds each.

use super::memory::Memory;
use crate::{
    graph::{NodeId, NodeRecord},
    state::{
        slots::SlotTable,
        versions::{Arena, Cell},
    },
};
use std::sync::Arc;

#[derive(Debug)]
struct KeySlot {
    /// A record that has the key.
    record: Arc<[u8]>,
    /// The node that holds the key; 0 = released.
    holder: Cell<u64>,
}

/// Whether a record's key is `key`.
pub fn record_has_key(record: &[u8], key: &str) -> bool {
    NodeRecord::parse(record).is_ok_and(|record| record.has_key(key))
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Keys {
    slots: boxcar::Vec<KeySlot>,
    table: SlotTable,
    holders: Arena<u64>,
}

impl Default for Keys {
    fn default() -> Self {
        Self { slots: boxcar::Vec::new(), table: SlotTable::default(), holders: Arena::new() }
    }
}

impl Keys {
    /// How many were touched.
    pub fn count(&self) -> usize {
        self.slots.count()
    }

    #[inline]
    fn slot(&self, hash: u64, key: &str) -> Option<&KeySlot> {
        let mut found = None;
        self.table.find(hash, |slot| {
            found = self.slots.get(slot as usize).filter(|s| record_has_key(&s.record, key));
            found.is_some()
        })?;
        found
    }

    /// Who holds `key` as of `at`: `None` if it was not touched by then, `Some(0)` if nobody does any more.
    #[inline]
    pub fn at(&self, hash: u64, key: &str, at: u64) -> Option<u64> {
        self.slot(hash, key)?.holder.at(&self.holders, at).copied()
    }

    /// Whether the key that `record` has was claimed or released after `snapshot`.
    pub fn written_after(&self, hash: u64, record: &[u8], snapshot: u64) -> bool {
        let key = NodeRecord::parse(record).ok().and_then(|record| record.key());
        let slot = key.and_then(|key| self.slot(hash, key));
        slot.is_some_and(|s| s.holder.newest_version(&self.holders) > snapshot)
    }

    /// Claims the key that `record` has for a node, or releases it. Only under the commit lock.
    pub fn put(&self, memory: &Memory, hash: u64, record: Arc<[u8]>, version: u64, holder: Option<NodeId>) {
        let holder = holder.map_or(0, |id| id.0);
        let key = NodeRecord::parse(&record).ok().and_then(|record| record.key());
        if let Some(slot) = key.and_then(|key| self.slot(hash, key)) {
            slot.holder.push(&self.holders, version, holder);
            return;
        }
        memory.grow_by(72);
        let slot = self.slots.push(KeySlot { record, holder: Cell::new(version, holder) });
        self.table.insert(hash, slot as u32);
    }
}
