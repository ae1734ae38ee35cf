//! What the manifest says of a run: its tables and sections, and what bounds a merge needs.

use super::{section::BLOCK, space::ALIGN, tables::TableKind};
use crate::{
    error::{Error, Result},
    graph::codec::{Reader, put_varint},
};
use std::fmt;

/// What part of a table a section is. Stored numbers: never change one, only add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Part {
    /// The keys of a sparse table.
    Keys = 0,
    /// The first row of each bucket of keys of a sparse table.
    Buckets = 1,
    /// Where each row begins.
    Offsets = 2,
    /// Rows: bytes, or ids with codes.
    Payload = 3,
    /// Hash slots that lead from node keys to records.
    Hash = 4,
    /// Which columns there are.
    Directory = 5,
    /// Which ids have a value in a column.
    Presence = 6,
}

/// A section's place in its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SectionId {
    /// The table it belongs to.
    pub table: TableKind,
    /// Which part of it.
    pub part: Part,
}

impl fmt::Display for SectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "section {:?}.{:?}", self.table, self.part)
    }
}

/// A section as the manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionMeta {
    /// Its place in its run.
    pub id: SectionId,
    /// Bytes of one element.
    pub width: u8,
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes of data.
    pub len: u64,
    /// The CRC-32 of its table of CRC-32s.
    pub crc: u32,
}

/// No offset or length in a file can be greater; sums of a few stay far from overflow.
const LIMIT: u64 = 1 << 56;

impl SectionMeta {
    /// Bytes of data and padding.
    pub fn padded(&self) -> u64 {
        self.len.next_multiple_of(8)
    }

    /// How many blocks have a checksum.
    pub fn blocks(&self) -> u64 {
        self.padded().div_ceil(BLOCK as u64)
    }

    /// Bytes of data, padding and checksums.
    pub fn stored_len(&self) -> u64 {
        self.padded() + 4 * self.blocks()
    }
}

/// A table as the manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMeta {
    /// What it holds.
    pub kind: TableKind,
    /// Its least key.
    pub first: u64,
    /// Its greatest key.
    pub last: u64,
    /// How many keys have a row.
    pub rows: u64,
    /// The sum over all rows: bytes, or entries.
    pub items: u64,
    /// Bytes of an entry's code; 0 where rows are bytes.
    pub code_width: u8,
    /// For a sparse table, what its stored keys are relative to, and how many low bits keys of one bucket
    /// differ in.
    pub sparse: Option<(u64, u32)>,
}

/// A run as the manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunMeta {
    /// Its tables.
    pub tables: Vec<TableMeta>,
    /// Its sections.
    pub sections: Vec<SectionMeta>,
    /// Whether an entry of its adjacency removes an edge of an older run.
    pub removals: bool,
    /// Whether an entry of its adjacency replaces an edge of an older run.
    pub replaces: bool,
    /// The greatest node id in it.
    pub max_node_id: u64,
    /// The greatest edge type id in it.
    pub max_type_id: u32,
    /// How many of its records have a key.
    pub keyed: u64,
    /// Hash slots that keys have their home in.
    pub key_capacity: u64,
    /// How many names there are.
    pub names: u64,
}

impl RunMeta {
    /// The table of `kind`.
    pub fn table(&self, kind: TableKind) -> Option<&TableMeta> {
        self.tables.iter().find(|table| table.kind == kind)
    }

    /// A section.
    pub fn section(&self, table: TableKind, part: Part) -> Option<&SectionMeta> {
        self.sections.iter().find(|section| section.id == SectionId { table, part })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let numbers = [self.max_node_id, self.max_type_id.into(), self.keyed, self.key_capacity, self.names];
        out.push(u8::from(self.removals) | u8::from(self.replaces) << 1);
        numbers.into_iter().for_each(|number| put_varint(out, number));
        put_varint(out, self.tables.len() as u64);
        for table in &self.tables {
            out.push(table.kind as u8);
            [table.first, table.last, table.rows, table.items].into_iter().for_each(|number| put_varint(out, number));
            out.push(table.code_width);
            out.push(table.sparse.map_or(u8::MAX, |(_, shift)| shift as u8));
            put_varint(out, table.sparse.map_or(0, |(base, _)| base));
        }
        put_varint(out, self.sections.len() as u64);
        for section in &self.sections {
            out.extend_from_slice(&[section.id.table as u8, section.id.part as u8, section.width]);
            put_varint(out, section.offset);
            put_varint(out, section.len);
            out.extend_from_slice(&section.crc.to_le_bytes());
        }
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let flags = r.u8()?;
        let mut meta = Self {
            removals: flags & 1 != 0,
            replaces: flags & 2 != 0,
            max_node_id: r.varint()?,
            max_type_id: r.varint32()?,
            keyed: r.varint()?,
            key_capacity: r.varint()?,
            names: r.varint()?,
            ..Self::default()
        };
        if meta.keyed > LIMIT || meta.key_capacity > LIMIT {
            return Err(Error::corrupt("a run has an impossible number of keys"));
        }
        for _ in 0..r.varint()? {
            meta.tables.push(decode_table(r)?);
        }
        for _ in 0..r.varint()? {
            meta.sections.push(decode_section(r)?);
        }
        Ok(meta)
    }
}

fn decode_table(r: &mut Reader<'_>) -> Result<TableMeta> {
    let kind = known(TableKind::from_number(r.u8()?))?;
    let (first, last, rows, items) = (r.varint()?, r.varint()?, r.varint()?, r.varint()?);
    let (code_width, shift, base) = (r.u8()?, r.u8()?, r.varint()?);
    let sparse = (shift != u8::MAX).then_some((base, u32::from(shift)));
    if first > last
        || last == u64::MAX
        || rows > LIMIT
        || sparse.is_some_and(|(base, shift)| base > first || shift > 63)
    {
        return Err(Error::corrupt(format_args!("table {kind:?} has impossible bounds")));
    }
    Ok(TableMeta { kind, first, last, rows, items, code_width, sparse })
}

fn decode_section(r: &mut Reader<'_>) -> Result<SectionMeta> {
    let id = SectionId { table: known(TableKind::from_number(r.u8()?))?, part: known(Part::from_number(r.u8()?))? };
    let meta = SectionMeta { id, width: r.u8()?, offset: r.varint()?, len: r.varint()?, crc: r.u32()? };
    let fits = meta.offset <= LIMIT && meta.len <= LIMIT && meta.len > 0 && meta.offset.is_multiple_of(ALIGN);
    if !fits || !matches!(meta.width, 1 | 2 | 4 | 8 | 16) || !meta.len.is_multiple_of(meta.width.into()) {
        return Err(Error::corrupt(format_args!("{id} has an impossible place or length")));
    }
    Ok(meta)
}

impl Part {
    /// The part with that stored number.
    fn from_number(number: u8) -> Result<Self, UnknownNumber> {
        use Part::{Buckets, Directory, Hash, Keys, Offsets, Payload, Presence};
        [Keys, Buckets, Offsets, Payload, Hash, Directory, Presence]
            .into_iter()
            .find(|part| *part as u8 == number)
            .ok_or(UnknownNumber { what: "part of a table", number })
    }
}

/// A stored number that this build gives no meaning to: of a newer build, or damaged under a good checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownNumber {
    /// What the number is one of.
    pub what: &'static str,
    /// The number.
    pub number: u8,
}

/// What a number stands for, or the error of a manifest that has it.
fn known<T>(found: Result<T, UnknownNumber>) -> Result<T> {
    found.map_err(|UnknownNumber { what, number }| {
        Error::corrupt(format_args!(
            "the manifest of the database file has {what} {number}, which this build does not know"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn a_table_or_part_of_a_newer_build_is_refused_with_its_number() {
        let table =
            TableMeta { kind: TableKind::Nodes, first: 1, last: 1, rows: 1, items: 1, code_width: 0, sparse: None };
        let id = SectionId { table: TableKind::Nodes, part: Part::Payload };
        let section = SectionMeta { id, width: 1, offset: ALIGN, len: 1, crc: 0 };
        let meta = RunMeta { tables: vec![table], sections: vec![section], ..RunMeta::default() };
        let mut bytes = Vec::new();
        meta.encode(&mut bytes);
        assert_eq!(RunMeta::decode(&mut Reader::new(&bytes)).unwrap(), meta);
        // Six bytes of the run's own, how many tables, the table of eight bytes, how many sections, the section.
        for (at, what) in [(7, "table 200"), (16, "table 200"), (17, "part of a table 200")] {
            let mut newer = bytes.clone();
            newer[at] = 200;
            let error = RunMeta::decode(&mut Reader::new(&newer)).unwrap_err();
            assert!(error.code() == ErrorCode::Corrupt && error.to_string().contains(what), "{at}: {error:?}");
        }
    }
}
