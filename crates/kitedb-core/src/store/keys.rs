//! From a node's key to the node: open addressing with linear probing. A key's home is its hash scaled to the capacity, so
//! homes ascend with hashes. Probing does not wrap round: slots past the capacity take what the last homes overflow with.
//! A slot of zeros is empty. The width of the section tells which slots there are:
//!
//! - 8 bytes: (offset of the record's row in the node blob + 1) << 24 | the low 24 bits of the key's hash. The record
//!   tells the rest.
//! - 16 bytes: where the key is short (up to 12 bytes, the last of them not 0) and the node's id below 2^30 - 1: id + 1 in
//!   30 bits, a bit that the record is dead, a bit of 0, and the key's bytes with zeros behind them. The record is not
//!   needed. Else 31 bits of 0, a bit of 1, then as in a slot of 8 bytes, and the key's first 4 bytes.
//!
//! Slots of 8 bytes are written: those of 16 are a cache miss faster, and cost more bytes than that is worth.

use super::{
    meta::{Part, RunMeta, SectionId},
    parts::Blob,
    section::Section,
    section_writer::{SectionWriter, Sink},
    table::Pool,
    table_kind::TableKind,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{NodeId, NodeRecord, RecordHead, codec::Reader, key_hash},
};

const TAG_BITS: u32 = 24;
const TAG: u64 = (1 << TAG_BITS) - 1;
/// Slots that are filled in memory at once: 64 MiB of them, or twice as much. Tests see many windows.
const WINDOW: u64 = if cfg!(test) { 32 } else { 8 << 20 };
const ID: SectionId = SectionId { table: TableKind::Nodes, part: Part::Hash };

/// Which slots an index has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeySlots {
    /// Of 8 bytes.
    #[default]
    Eight,
    /// Of 16 bytes, in which short keys stand themselves.
    Sixteen,
}

/// Who has a key, or had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyOwner {
    /// The node.
    pub id: NodeId,
    /// It was deleted, and released the key.
    pub dead: bool,
}

/// The hash index of a run's node keys.
#[derive(Debug)]
pub(super) struct KeyIndex {
    pub slots: Section,
    pub capacity: u64,
    kind: KeySlots,
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
        let kind = match slots.meta().width {
            8 => KeySlots::Eight,
            16 => KeySlots::Sixteen,
            _ => return Err(slots.inconsistent("its slots are not of 8 or 16 bytes")),
        };
        if meta.key_capacity == 0 || slots.len() as u64 / u64::from(slots.meta().width) < meta.key_capacity {
            return Err(slots.inconsistent("its length contradicts the manifest"));
        }
        Ok(Some(Self { slots, capacity: meta.key_capacity, kind }))
    }

    /// The live node with that key, else a dead one.
    #[inline]
    pub fn find(&self, nodes: &Blob, hash: u64, key: &str) -> Result<Option<KeyOwner>> {
        match self.kind {
            KeySlots::Eight => self.find_slot::<u64>(nodes, hash, key),
            KeySlots::Sixteen => self.find_wide(nodes, hash, key),
        }
    }

    /// Apart, so that what is asked of most runs stays small.
    #[cold]
    #[inline(never)]
    fn find_wide(&self, nodes: &Blob, hash: u64, key: &str) -> Result<Option<KeyOwner>> {
        self.find_slot::<u128>(nodes, hash, key)
    }

    #[inline(always)]
    fn find_slot<S: Slot>(&self, nodes: &Blob, hash: u64, key: &str) -> Result<Option<KeyOwner>> {
        let wanted = S::wanted(hash, key);
        let mut at = home(hash, self.capacity) as usize * size_of::<S>();
        let mut dead = None;
        while at < self.slots.len() {
            let slot = S::read(&self.slots, at)?;
            if slot == S::default() {
                break;
            }
            if let Some(holder) = slot.holder_of(&wanted, nodes, key)? {
                if !holder.dead {
                    return Ok(Some(holder));
                }
                dead = Some(holder);
            }
            at += size_of::<S>();
        }
        Ok(dead)
    }

    /// Indexes the records of `nodes`, `keyed` of which have a key. Reads them once for each window of slots.
    pub fn build(sink: &mut Sink<'_>, nodes: &Blob, keyed: u64, kind: KeySlots) -> Result<Option<Self>> {
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
        let slots = match kind {
            KeySlots::Eight => write_slots::<u64>(sink, nodes, keyed, capacity),
            KeySlots::Sixteen => write_slots::<u128>(sink, nodes, keyed, capacity),
        };
        Ok(slots?.map(|slots| Self { slots, capacity, kind }))
    }
}

fn write_slots<S: Slot>(sink: &mut Sink<'_>, nodes: &Blob, keyed: u64, capacity: u64) -> Result<Option<Section>> {
    let width = size_of::<S>() as u8;
    let mut writer = SectionWriter::new(sink, ID, width, (capacity + keyed) * u64::from(width))?;
    let mut overflow = Vec::new();
    let mut start = 0;
    while start < capacity {
        let mut window = vec![S::default(); WINDOW.min(capacity - start) as usize];
        for slot in std::mem::take(&mut overflow) {
            place(&mut window, 0, slot, &mut overflow, |met| require_two_keys(nodes, met, slot))?;
        }
        let homes = start..start + window.len() as u64;
        for row in nodes.scan(0) {
            let (_, offset, row) = row?;
            let record = entry_record(row)?;
            let Some(key) = record.key() else { continue };
            let hash = key_hash(key);
            let home = home(hash, capacity);
            if homes.contains(&home) {
                let slot = S::of(&record, key, hash, offset);
                let at = (home - start) as usize;
                place(&mut window, at, slot, &mut overflow, |met| require_two_keys(nodes, met, slot))?;
            }
        }
        writer.push(sink, bytemuck::cast_slice(&window))?;
        start = homes.end;
    }
    writer.push(sink, bytemuck::cast_slice(&overflow))?;
    writer.finish(sink)
}

/// A slot of either width. The default is an empty one.
trait Slot: bytemuck::Pod + Default + PartialEq {
    /// What a slot of a key is compared with.
    type Wanted;

    /// Reads the slot at `at`.
    fn read(slots: &Section, at: usize) -> Result<Self>;

    /// The slot of a record with `key`, whose row begins at `offset`.
    fn of(record: &NodeRecord<'_>, key: &str, hash: u64, offset: u64) -> Self;

    /// Whether both may be of one key. They are not if this says so.
    fn may_be_like(self, other: Self) -> bool;

    /// Where the row of the record begins, if the slot needs it; else what the slot says.
    fn target(self) -> Target;

    /// What a slot of `key` is compared with.
    fn wanted(hash: u64, key: &str) -> Self::Wanted;

    /// Who has `key`, if it is the key of this slot.
    fn holder_of(self, wanted: &Self::Wanted, nodes: &Blob, key: &str) -> Result<Option<KeyOwner>>;
}

/// What a slot leads to.
enum Target {
    /// A row that begins there.
    Record(usize),
    /// Whom a short key belongs to.
    Holder(KeyOwner),
}

/// Who has `key`, if the record of the row at `offset` has it.
#[inline(always)]
fn holder_at(nodes: &Blob, offset: usize, key: &str) -> Result<Option<KeyOwner>> {
    let head = RecordHead::parse(&mut Reader::new(row_at(nodes, offset)?))?;
    Ok((head.key == Some(key.as_bytes())).then_some(KeyOwner { id: head.id, dead: head.dead }))
}

impl Slot for u64 {
    type Wanted = u64;

    #[inline(always)]
    fn read(slots: &Section, at: usize) -> Result<Self> {
        slots.array(at).map(|bytes| Self::from_le_bytes(*bytes))
    }

    fn of(_: &NodeRecord<'_>, _: &str, hash: u64, offset: u64) -> Self {
        (offset + 1) << TAG_BITS | hash & TAG
    }

    fn may_be_like(self, other: Self) -> bool {
        (self ^ other) & TAG == 0
    }

    #[inline(always)]
    fn target(self) -> Target {
        Target::Record(((self >> TAG_BITS) as usize).wrapping_sub(1))
    }

    #[inline(always)]
    fn wanted(hash: u64, _: &str) -> u64 {
        hash & TAG
    }

    #[inline(always)]
    fn holder_of(self, wanted: &u64, nodes: &Blob, key: &str) -> Result<Option<KeyOwner>> {
        if self & TAG != *wanted {
            return Ok(None);
        }
        holder_at(nodes, ((self >> TAG_BITS) as usize).wrapping_sub(1), key)
    }
}

/// In a slot of 16 bytes: that the record is dead, that the key is not short, and where the key's bytes begin.
const DEAD: u128 = 1 << 30;
const LONG: u128 = 1 << 31;
const KEY: u32 = 32;
/// The longest key that such a slot holds.
const SHORT: usize = 12;

/// The key's bytes as one number, if it is short. Zeros behind it are not part of it.
#[inline(always)]
fn short(key: &str) -> Option<u128> {
    let key = key.as_bytes();
    if key.len() > SHORT || key.last() == Some(&0) {
        return None;
    }
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Some(u128::from_le_bytes(bytes))
}

/// The tag and the first bytes of a key that is not short, in their place.
#[inline(always)]
fn long_mark(hash: u64, key: &str) -> u128 {
    let mut first = [0; 4];
    first.iter_mut().zip(key.as_bytes()).for_each(|(to, from)| *to = *from);
    u128::from(hash & TAG) << KEY | u128::from(u32::from_le_bytes(first)) << 96
}

/// All but the offset of a slot whose key is not short.
const MARK: u128 = (TAG as u128) << KEY | (u32::MAX as u128) << 96 | LONG;

impl Slot for u128 {
    type Wanted = (Option<u128>, u128);

    #[inline(always)]
    fn read(slots: &Section, at: usize) -> Result<Self> {
        slots.array(at).map(|bytes| Self::from_le_bytes(*bytes))
    }

    fn of(record: &NodeRecord<'_>, key: &str, hash: u64, offset: u64) -> Self {
        let id = u128::from(record.id().0) + 1;
        match short(key) {
            Some(bytes) if id < DEAD => bytes << KEY | if record.is_dead() { DEAD } else { 0 } | id,
            _ => long_mark(hash, key) | LONG | u128::from(offset + 1) << (KEY + TAG_BITS),
        }
    }

    fn may_be_like(self, other: Self) -> bool {
        // A short key may stand in either form.
        (self & LONG) != (other & LONG) || (self ^ other) & if self & LONG == 0 { u128::MAX << KEY } else { MARK } == 0
    }

    #[inline(always)]
    fn target(self) -> Target {
        if self & LONG != 0 {
            let offset = (self >> (KEY + TAG_BITS)) as u64 & ((1 << 40) - 1);
            return Target::Record((offset as usize).wrapping_sub(1));
        }
        let id = NodeId(((self & (DEAD - 1)) as u64).wrapping_sub(1));
        Target::Holder(KeyOwner { id, dead: self & DEAD != 0 })
    }

    #[inline(always)]
    fn wanted(hash: u64, key: &str) -> Self::Wanted {
        (short(key), long_mark(hash, key) | LONG)
    }

    #[inline(always)]
    fn holder_of(self, wanted: &Self::Wanted, nodes: &Blob, key: &str) -> Result<Option<KeyOwner>> {
        let like = if self & LONG == 0 { Some(self >> KEY) == wanted.0 } else { self & MARK == wanted.1 };
        if !like {
            return Ok(None);
        }
        match self.target() {
            Target::Holder(holder) => Ok(Some(holder)),
            Target::Record(offset) => holder_at(nodes, offset, key),
        }
    }
}

/// Puts `slot` into the first empty place from `at` on; past the end it is the next window's. `met` is asked about each
/// slot on the way that may be of the same key: equal keys have one home, so that the later one meets the earlier.
fn place<S: Slot>(
    window: &mut [S],
    at: usize,
    slot: S,
    overflow: &mut Vec<S>,
    mut met: impl FnMut(S) -> Result<()>,
) -> Result<()> {
    for place in window.get_mut(at..).unwrap_or_default() {
        if *place == S::default() {
            *place = slot;
            return Ok(());
        }
        if place.may_be_like(slot) {
            met(*place)?;
        }
    }
    overflow.iter().filter(|earlier| earlier.may_be_like(slot)).try_for_each(|earlier| met(*earlier))?;
    overflow.push(slot);
    Ok(())
}

/// Fails if two live records have one key (I22). One of two may be dead, and release it.
#[cold]
fn require_two_keys<S: Slot>(nodes: &Blob, a: S, b: S) -> Result<()> {
    let record = |slot: S| match slot.target() {
        Target::Record(offset) => record_at(nodes, offset).map(Some),
        Target::Holder(holder) => nodes.get(holder.id.0)?.map(entry_record).transpose(),
    };
    match (record(a)?, record(b)?) {
        (Some(a), Some(b)) if !a.is_dead() && !b.is_dead() && a.key().is_some_and(|key| b.has_key(key)) => {
            let key = a.key().unwrap_or_default();
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

fn record_at(nodes: &Blob, offset: usize) -> Result<NodeRecord<'_>> {
    NodeRecord::parse(row_at(nodes, offset)?)
}

/// The record's bytes in the row that begins at `offset`.
#[inline(always)]
fn row_at(nodes: &Blob, offset: usize) -> Result<&[u8]> {
    let payload = &nodes.payload;
    let [first] = *payload.array(offset)?;
    if first < 0x80 {
        return payload.slice(offset + 1, offset + 1 + usize::from(first));
    }
    long_row_at(payload, offset)
}

#[inline(never)]
fn long_row_at(payload: &Section, offset: usize) -> Result<&[u8]> {
    let head = payload.slice(offset, payload.len().min(offset + 10))?;
    let mut reader = Reader::new(head);
    let len = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
    let start = offset + head.len() - reader.rest().len();
    payload.slice(start, start.saturating_add(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overflows_a_window_keeps_every_slot_between_home_and_place_filled() {
        let (mut window, mut overflow) = (vec![0u64; 4], Vec::new());
        for (at, slot) in [(2, 10), (2, 11), (3, 12), (0, 13)] {
            place(&mut window, at, slot, &mut overflow, |_| Ok(())).unwrap();
        }
        assert_eq!((window.as_slice(), overflow.as_slice()), ([13, 0, 10, 11].as_slice(), [12].as_slice()));
    }
}
