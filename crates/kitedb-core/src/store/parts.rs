//! The two kinds of table contents: bytes, and lists of ids with codes.

use super::{
    bounds::TableBounds,
    column::Column,
    meta::{Part, RunMeta, SectionId, TableKind},
    row::{CodeColumn, MAX_TYPE, Row, impossible},
    section::Section,
    section_writer::{SectionWriter, Sink},
    table::{Pool, Table, TableScan},
    table_writer::{ColumnWriter, TableWriter},
};
use crate::error::Result;

/// A table whose rows are bytes.
#[derive(Debug)]
pub(super) struct Blob {
    pub table: Table,
    pub payload: Section,
}

impl Blob {
    pub fn open(meta: &RunMeta, kind: TableKind, pool: &mut Pool) -> Result<Option<Self>> {
        let Some(table) = meta.table(kind) else { return Ok(None) };
        Ok(Some(Self { table: Table::open(table, pool)?, payload: pool.need(kind, Part::Payload)? }))
    }

    #[inline(always)]
    pub fn get(&self, key: u64) -> Result<Option<&[u8]>> {
        match self.table.find(key)? {
            Some((start, end)) => self.payload.slice(start as usize, end as usize).map(Some),
            None => Ok(None),
        }
    }

    pub fn scan(&self, key: u64) -> BlobScan<'_> {
        BlobScan { blob: self, rows: self.table.scan(key) }
    }

    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        self.table.sections().chain([&self.payload])
    }
}

/// Rows in ascending order of their keys, each with where it begins.
#[derive(Debug)]
pub(super) struct BlobScan<'a> {
    blob: &'a Blob,
    rows: TableScan<'a>,
}

impl<'a> Iterator for BlobScan<'a> {
    type Item = Result<(u64, u64, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        Some(row.and_then(|(key, start, end)| Ok((key, start, self.blob.payload.slice(start as usize, end as usize)?))))
    }
}

/// A [`Blob`] being written.
pub(super) struct BlobWriter {
    table: TableWriter,
    payload: SectionWriter,
}

impl BlobWriter {
    /// `None` if the bounds say that nothing will come.
    pub fn new(sink: &Sink<'_>, kind: TableKind, bounds: TableBounds) -> Result<Option<Self>> {
        if bounds.rows == 0 {
            return Ok(None);
        }
        let table = TableWriter::new(sink, kind, bounds, bounds.items)?;
        let payload = SectionWriter::new(sink, SectionId { table: kind, part: Part::Payload }, 1, bounds.items)?;
        Ok(Some(Self { table, payload }))
    }

    pub fn begin(&mut self, sink: &mut Sink<'_>, key: u64) -> Result<()> {
        self.table.begin(sink, key, self.payload.len())
    }

    pub fn push(&mut self, sink: &mut Sink<'_>, bytes: &[u8]) -> Result<()> {
        self.payload.push(sink, bytes)
    }

    pub fn finish(self, sink: &mut Sink<'_>) -> Result<Option<Blob>> {
        let table = self.table.finish(sink, self.payload.len())?;
        let payload = self.payload.finish(sink)?;
        Ok(table.zip(payload).map(|(table, payload)| Blob { table, payload }))
    }
}

/// A table whose rows are ids, each with a code beside it.
#[derive(Debug)]
pub(super) struct Lists {
    pub table: Table,
    others: Column,
    codes: CodeColumn,
}

impl Lists {
    pub fn open(meta: &RunMeta, kind: TableKind, pool: &mut Pool) -> Result<Option<Self>> {
        let Some(table) = meta.table(kind) else { return Ok(None) };
        let table = Table::open(table, pool)?;
        let others = Column::new(pool.need(kind, Part::Payload)?)?;
        let codes = CodeColumn::new(pool.need(kind, Part::Codes)?)?;
        Ok(Some(Self { table, others, codes }))
    }

    #[inline(always)]
    pub fn get(&self, key: u64) -> Result<Row<'_>> {
        match self.table.find(key)? {
            Some((start, end)) => self.row(start, end),
            None => Ok(Row::EMPTY),
        }
    }

    #[inline(always)]
    fn row(&self, start: u64, end: u64) -> Result<Row<'_>> {
        self.codes.row(self.others.slice(start, end)?, start)
    }

    pub fn scan(&self, key: u64) -> ListScan<'_> {
        ListScan { lists: self, rows: self.table.scan(key) }
    }

    /// How many entries there are in all rows.
    pub fn items(&self) -> u64 {
        self.others.len()
    }

    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        self.table.sections().chain([self.others.section(), self.codes.section()])
    }
}

/// Rows in ascending order of their keys.
#[derive(Debug)]
pub(super) struct ListScan<'a> {
    lists: &'a Lists,
    rows: TableScan<'a>,
}

impl<'a> Iterator for ListScan<'a> {
    type Item = Result<(u64, Row<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        Some(row.and_then(|(key, start, end)| Ok((key, self.lists.row(start, end)?))))
    }
}

/// [`Lists`] being written.
pub(super) struct ListWriter {
    table: TableWriter,
    others: ColumnWriter,
    codes: SectionWriter,
    width: u8,
    max_type: u32,
    /// Key, type and other end of the last entry.
    last: Option<(u64, u32, u64)>,
    items: u64,
}

impl ListWriter {
    /// `None` if the bounds say that nothing will come.
    pub fn new(
        sink: &Sink<'_>,
        kind: TableKind,
        bounds: TableBounds,
        max_other: u64,
        max_type: u32,
    ) -> Result<Option<Self>> {
        if bounds.rows == 0 {
            return Ok(None);
        }
        if max_type > MAX_TYPE {
            return Err(crate::error::Error::invalid(format_args!("edge type id {max_type} exceeds {MAX_TYPE}")));
        }
        let width = match max_type {
            0..=0x3f => 1,
            0x40..=0x3fff => 2,
            _ => 4,
        };
        let id = |part| SectionId { table: kind, part };
        Ok(Some(Self {
            table: TableWriter::new(sink, kind, bounds, bounds.items)?,
            others: ColumnWriter::new(sink, id(Part::Payload), bounds.items, max_other)?,
            codes: SectionWriter::new(sink, id(Part::Codes), width, bounds.items.saturating_mul(width.into()))?,
            width,
            max_type,
            last: None,
            items: 0,
        }))
    }

    /// Adds an entry; returns its number. `code` is made by [`super::row::code`].
    #[inline]
    pub fn push(&mut self, sink: &mut Sink<'_>, key: u64, code: u32, other: u64) -> Result<u64> {
        let ty = code >> 2;
        let entry = (key, ty, other);
        match self.last {
            Some(last) if last.0 == key && last < entry => {}
            Some(last) if last.0 == key => {
                return Err(impossible(format_args!("entry {entry:?} of a run follows {last:?}")));
            }
            _ => self.table.begin(sink, key, self.items)?,
        }
        if ty > self.max_type {
            return Err(impossible(format_args!("edge type {ty} exceeds the bound {}", self.max_type)));
        }
        self.others.push(sink, other)?;
        match self.width {
            1 => self.codes.push(sink, &[code as u8])?,
            2 => self.codes.push(sink, &(code as u16).to_le_bytes())?,
            _ => self.codes.push(sink, &code.to_le_bytes())?,
        }
        self.last = Some(entry);
        self.items += 1;
        Ok(self.items - 1)
    }

    pub fn finish(self, sink: &mut Sink<'_>) -> Result<Option<Lists>> {
        let table = self.table.finish(sink, self.items)?;
        let (others, codes) = (self.others.finish(sink)?, self.codes.finish(sink)?);
        let (Some(table), Some(others), Some(codes)) = (table, others, codes) else { return Ok(None) };
        Ok(Some(Lists { table, others: Column::new(others)?, codes: CodeColumn::new(codes)? }))
    }
}
