//! A hash table from keys to slot numbers with one writer and any number of readers that never wait.
//!
//! It only grows: entries are added, never changed or removed, and a larger table replaces a full one while
//! readers may go on in the old one. That is enough because what it points to carries versions: whatever a
//! reader's view may see was in the table before the view was taken.

use crate::{graph::EdgeKey, io::SharedWords};
use std::sync::{
    OnceLock,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

const FIRST_LOG2: u32 = 6;

/// Hash to slot number; open addressing. An entry is 32 bits of hash and the slot number plus one.
#[derive(Debug, Default)]
pub struct SlotTable {
    /// Table number `n` has 2^(n + FIRST_LOG2) entries.
    tables: [OnceLock<SharedWords>; 27],
    current: AtomicU32,
    len: AtomicU32,
}

impl SlotTable {
    /// The slot whose hash is `hash` and for which `is` says yes.
    #[inline]
    pub fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let current = self.current.load(Ordering::Acquire);
        let table = self.tables.get(current as usize)?.get()?;
        let tag = hash >> 32;
        let mask = table.len() - 1;
        let mut at = (tag >> (32 - FIRST_LOG2 - current)) as usize;
        loop {
            let entry = table.get(at & mask)?.load(Ordering::Acquire);
            if entry == 0 {
                return None;
            }
            if entry >> 32 == tag {
                let slot = (entry as u32).wrapping_sub(1);
                if is(slot) {
                    return Some(slot);
                }
            }
            at += 1;
        }
    }

    /// The slot at the place where `hash` would be looked for first, whosever it is.
    #[inline]
    pub fn peek(&self, hash: u64) -> Option<u32> {
        let current = self.current.load(Ordering::Acquire);
        let table = self.tables.get(current as usize)?.get()?;
        let at = (hash >> (64 - FIRST_LOG2 - current)) as usize;
        (table.get(at & (table.len() - 1))?.load(Ordering::Relaxed) as u32).checked_sub(1)
    }

    /// Adds a slot that [`SlotTable::find`] does not find. Only one thread at a time may call this.
    pub fn insert(&self, hash: u64, slot: u32) {
        let len = self.len.load(Ordering::Relaxed);
        let mut current = self.current.load(Ordering::Relaxed);
        let mut table = self.table(current);
        // At most five entries in eight: probes stay short.
        if (len as usize + 1) * 8 > table.len() * 5 {
            let larger = self.table(current + 1);
            for entry in table.iter().map(|e| e.load(Ordering::Relaxed)).filter(|&e| e != 0) {
                Self::place(larger, current + 1, entry);
            }
            current += 1;
            table = larger;
            Self::place(table, current, (hash >> 32) << 32 | u64::from(slot + 1));
            self.current.store(current, Ordering::Release);
        } else {
            Self::place(table, current, (hash >> 32) << 32 | u64::from(slot + 1));
        }
        self.len.store(len + 1, Ordering::Relaxed);
    }

    fn table(&self, number: u32) -> &[AtomicU64] {
        self.tables[number as usize].get_or_init(|| SharedWords::zeroed(1 << (number + FIRST_LOG2)))
    }

    fn place(table: &[AtomicU64], number: u32, entry: u64) {
        let mask = table.len() - 1;
        let mut at = (entry >> 32 >> (32 - FIRST_LOG2 - number)) as usize;
        while table[at & mask].load(Ordering::Relaxed) != 0 {
            at += 1;
        }
        table[at & mask].store(entry, Ordering::Release);
    }
}

/// Spreads one number over 64 bits.
#[inline]
pub fn hash_id(id: u64) -> u64 {
    let wide = u128::from(id ^ 0x9E37_79B9_7F4A_7C15) * u128::from(0x9FB2_1C65_1E98_DF25_u64);
    (wide >> 64) as u64 ^ wide as u64
}

/// Spreads what names an edge over 64 bits.
#[inline]
pub fn hash_edge_key(edge: EdgeKey) -> u64 {
    match (hash_edge(edge.src.0, edge.ty.0, edge.dst.0), edge.rank) {
        (hash, 0) => hash,
        (hash, rank) => hash_id(hash ^ rank),
    }
}

/// Spreads an edge's three numbers over 64 bits.
#[inline]
pub fn hash_edge(src: u64, ty: u32, dst: u64) -> u64 {
    hash_id(hash_id(src).wrapping_add(u64::from(ty).wrapping_mul(0xD6E8_FEB8_6659_FD93)) ^ dst.rotate_left(17))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_inserted_slot_is_found_and_no_other() {
        let table = SlotTable::default();
        assert_eq!(table.find(hash_id(1), |_| true), None);
        for id in 0..10_000u32 {
            table.insert(hash_id(id.into()), id);
        }
        for id in 0..20_000u32 {
            assert_eq!(table.find(hash_id(id.into()), |slot| slot == id), (id < 10_000).then_some(id));
        }
    }

    #[test]
    fn readers_find_what_was_there_while_the_table_grows() {
        let table = SlotTable::default();
        let seen = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for id in 0..50_000u32 {
                    table.insert(hash_id(id.into()), id);
                    seen.store(id + 1, Ordering::Release);
                }
            });
            for _ in 0..200 {
                let n = seen.load(Ordering::Acquire);
                for id in (0..n).step_by(97) {
                    assert_eq!(table.find(hash_id(id.into()), |slot| slot == id), Some(id));
                }
            }
        });
    }
}
