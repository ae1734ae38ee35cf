//! From a node's key to its record: open addressing with linear probing, 8 bytes a slot.
//!
//! A slot is (offset of the record's row in the node blob + 1) << 24 | the low 24 bits of the key's hash; 0 is
//! an empty slot. A key's home is its hash scaled to the capacity, so homes ascend with hashes. Probing does
//! not wrap round: slots past the capacity take what the last homes overflow with.

use super::{
    meta::{Part, RunMeta, SectionId},
    parts::Blob,
    section::Section,
    section_writer::{SectionWriter, Sink},
    table::Pool,
    tables::TableKind,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{NodeRecord, codec::Reader, key_hash},
};

const TAG_BITS: u32 = 24;
const TAG: u64 = (1 << TAG_BITS) - 1;
/// Slots that are filled in memory at once: 64 MiB of them. Tests see many windows.
const WINDOW: u64 = if cfg!(test) { 32 } else { 8 << 20 };
const ID: SectionId = SectionId { table: TableKind::Nodes, part: Part::Hash };

/// The hash index of a run's node keys.
#[derive(Debug)]
pub(super) struct KeyIndex {
    pub slots: Section,
    pub capacity: u64,
}

#[inline(always)]
fn home(hash: u64, capacity: u64) -> u64 {
    ((u128::from(hash) * u128::from(capacity)) >> 64) as u64
}

impl KeyIndex {
    pub fn open(meta: &RunMeta, pool: &mut Pool) -> Result<Option<Self>> {
        if meta.keyed == 0 {
            return Ok(None);
        }
        let slots = pool.need(ID.table, ID.part)?;
        if meta.key_capacity == 0 || (slots.len() as u64) / 8 < meta.key_capacity {
            return Err(slots.inconsistent("its length contradicts the manifest"));
        }
        Ok(Some(Self { slots, capacity: meta.key_capacity }))
    }

    /// The live record with that key, else a dead one.
    #[inline]
    pub fn find<'a>(&self, nodes: &'a Blob, hash: u64, key: &str) -> Result<Option<NodeRecord<'a>>> {
        let mut at = home(hash, self.capacity) as usize * 8;
        let mut dead = None;
        while at < self.slots.len() {
            let slot = u64::from_le_bytes(*self.slots.array(at)?);
            if slot == 0 {
                break;
            }
            if slot & TAG == hash & TAG {
                let record = record_at(nodes, ((slot >> TAG_BITS) as usize).wrapping_sub(1))?;
                if record.has_key(key) {
                    if !record.is_dead() {
                        return Ok(Some(record));
                    }
                    dead = Some(record);
                }
            }
            at += 8;
        }
        Ok(dead)
    }

    /// Indexes the records of `nodes`, `keyed` of which have a key. Reads them once for each window of slots.
    pub fn build(sink: &mut Sink<'_>, nodes: &Blob, keyed: u64) -> Result<Option<Self>> {
        if keyed == 0 {
            return Ok(None);
        }
        if nodes.payload.len() as u64 >= 1 << (64 - TAG_BITS) {
            return Err(Error::new(
                ErrorCode::Internal,
                format_args!("{} bytes of node records are more than one run can index", nodes.payload.len()),
            ));
        }
        let capacity = keyed * 5 / 3 + 1;
        let mut writer = SectionWriter::new(sink, ID, 8, (capacity + keyed) * 8)?;
        let mut overflow = Vec::new();
        let mut start = 0;
        while start < capacity {
            let mut window = vec![0; WINDOW.min(capacity - start) as usize];
            for slot in std::mem::take(&mut overflow) {
                place(&mut window, 0, slot, &mut overflow, |met| require_two_keys(nodes, met, slot))?;
            }
            let homes = start..start + window.len() as u64;
            for row in nodes.scan(0) {
                let (_, offset, row) = row?;
                let Some(key) = entry_record(row)?.key() else { continue };
                let hash = key_hash(key);
                let home = home(hash, capacity);
                if homes.contains(&home) {
                    let slot = (offset + 1) << TAG_BITS | hash & TAG;
                    let at = (home - start) as usize;
                    place(&mut window, at, slot, &mut overflow, |met| require_two_keys(nodes, met, slot))?;
                }
            }
            writer.push(sink, bytemuck::cast_slice(&window))?;
            start = homes.end;
        }
        writer.push(sink, bytemuck::cast_slice(&overflow))?;
        Ok(writer.finish(sink)?.map(|slots| Self { slots, capacity }))
    }
}

/// Puts `slot` into the first empty place from `at` on; past the end it is the next window's. `met` is asked about each
/// slot on the way whose key has the same fingerprint: equal keys have one home, so that the later one meets the earlier.
fn place(
    window: &mut [u64],
    at: usize,
    slot: u64,
    overflow: &mut Vec<u64>,
    mut met: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    for place in window.get_mut(at..).unwrap_or_default() {
        if *place == 0 {
            *place = slot;
            return Ok(());
        }
        if (*place ^ slot) & TAG == 0 {
            met(*place)?;
        }
    }
    overflow.iter().filter(|earlier| (**earlier ^ slot) & TAG == 0).try_for_each(|earlier| met(*earlier))?;
    overflow.push(slot);
    Ok(())
}

/// Fails if two live records have one key (I22). One of two may be dead, and release it.
#[cold]
fn require_two_keys(nodes: &Blob, a: u64, b: u64) -> Result<()> {
    let [a, b] = [a, b].map(|slot| record_at(nodes, ((slot >> TAG_BITS) as usize).wrapping_sub(1)));
    let (a, b) = (a?, b?);
    match a.key() {
        Some(key) if b.has_key(key) && !a.is_dead() && !b.is_dead() => {
            let what = format_args!("nodes {} and {} of one state have the key '{key}'", a.id(), b.id());
            Err(Error::corrupt(what))
        }
        _ => Ok(()),
    }
}

/// The record in a row of the node blob: length (varint), bytes. The length is there for readers that come
/// through the hash index and do not know where the row ends.
#[inline(always)]
pub(super) fn entry_record(row: &[u8]) -> Result<NodeRecord<'_>> {
    NodeRecord::parse(Reader::new(row).bytes()?)
}

#[inline]
fn record_at(nodes: &Blob, offset: usize) -> Result<NodeRecord<'_>> {
    let payload = &nodes.payload;
    let [first] = *payload.array(offset)?;
    if first < 0x80 {
        return NodeRecord::parse(payload.slice(offset + 1, offset + 1 + usize::from(first))?);
    }
    let head = payload.slice(offset, payload.len().min(offset + 10))?;
    let mut reader = Reader::new(head);
    let len = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
    let start = offset + head.len() - reader.rest().len();
    NodeRecord::parse(payload.slice(start, start.saturating_add(len))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overflows_a_window_keeps_every_slot_between_home_and_place_filled() {
        let (mut window, mut overflow) = (vec![0; 4], Vec::new());
        for (at, slot) in [(2, 10), (2, 11), (3, 12), (0, 13)] {
            place(&mut window, at, slot, &mut overflow, |_| Ok(())).unwrap();
        }
        assert_eq!((window.as_slice(), overflow.as_slice()), ([13, 0, 10, 11].as_slice(), [12].as_slice()));
    }
}
