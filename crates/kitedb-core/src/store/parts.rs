//! The two kinds of table contents: bytes, and lists of ids with codes.

use super::{
    bounds::TableBounds,
    meta::{Part, RunMeta, SectionId, TableMeta},
    row::{MAX_TYPE, Row, RowLayout, code_width, impossible},
    section::Section,
    section_writer::{SectionWriter, Sink},
    table::{Pool, Table, TableScan},
    table_writer::TableWriter,
    tables::{Shape, TableKind},
};
use crate::error::{Error, Result};

/// A table whose rows are bytes.
#[derive(Debug)]
pub(super) struct Blob {
    pub table: Table,
    pub payload: Section,
}

impl Shape for Blob {
    fn open(meta: &RunMeta, kind: TableKind, pool: &mut Pool) -> Result<Option<Self>> {
        let Some(table) = meta.table(kind) else { return Ok(None) };
        Ok(Some(Self { table: Table::open(table, pool)?, payload: pool.need(kind, Part::Payload)? }))
    }

    fn meta(&self) -> Option<&TableMeta> {
        Some(self.table.meta())
    }

    fn sections(&self) -> Vec<&Section> {
        self.table.sections().chain([&self.payload]).collect()
    }
}

impl Blob {
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

    /// As [`BlobWriter::finish`], where there may be none.
    pub fn finish_any(writer: Option<Self>, sink: &mut Sink<'_>) -> Result<Option<Blob>> {
        writer.map_or(Ok(None), |writer| writer.finish(sink))
    }

    /// Ends the last row. `None` if there is none.
    pub fn finish(self, sink: &mut Sink<'_>) -> Result<Option<Blob>> {
        let len = self.payload.len();
        let table = self.table.finish(sink, len, (len, 0))?;
        let payload = self.payload.finish(sink)?;
        Ok(table.zip(payload).map(|(table, payload)| Blob { table, payload }))
    }
}

/// A table whose rows are ids, each with a code. A row is its ids, then its codes, then zeros up to a whole
/// number of ids: mostly one line of cache. Offsets count in ids; a row's length follows from its size, since
/// what is added to make it whole is less than an id with its code.
#[derive(Debug)]
pub(super) struct Lists {
    pub table: Table,
    payload: Section,
    layout: RowLayout,
}

impl Shape for Lists {
    fn open(meta: &RunMeta, kind: TableKind, pool: &mut Pool) -> Result<Option<Self>> {
        let Some(table) = meta.table(kind) else { return Ok(None) };
        let (table, payload) = (Table::open(table, pool)?, pool.need(kind, Part::Payload)?);
        Self::new(table, payload).map(Some)
    }

    fn meta(&self) -> Option<&TableMeta> {
        Some(self.table.meta())
    }

    fn sections(&self) -> Vec<&Section> {
        self.table.sections().chain([&self.payload]).collect()
    }
}

impl Lists {
    fn new(table: Table, payload: Section) -> Result<Self> {
        match RowLayout::new(payload.meta().width, table.meta().code_width) {
            Some(layout) => Ok(Self { table, payload, layout }),
            None => Err(payload.inconsistent("its ids or codes have an impossible width")),
        }
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
        let shift = self.layout.id_shift();
        // A damaged number may wrap round here; what comes out is checked against the section all the same.
        let bytes = self.payload.slice((start as usize) << shift, (end as usize) << shift)?;
        match self.layout.row(bytes, start) {
            Some(row) => Ok(row),
            None => Err(self.payload.inconsistent("a row is not aligned")),
        }
    }

    pub fn scan(&self, key: u64) -> ListScan<'_> {
        ListScan { lists: self, rows: self.table.scan(key) }
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
    payload: SectionWriter,
    wide: bool,
    code_width: u8,
    max_type: u32,
    /// Key, type, other end and rank of the last entry.
    last: Option<(u64, u32, u64, u64)>,
    /// The number of the first entry of the row.
    first: u64,
    /// The codes of the row: all that a row needs memory for.
    codes: Vec<u8>,
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
            return Err(Error::invalid(format_args!("edge type id {max_type} exceeds {MAX_TYPE}")));
        }
        let wide = max_other > u32::MAX.into();
        let id_width = if wide { 8 } else { 4 };
        let units = Self::units(bounds, max_type);
        let id = SectionId { table: kind, part: Part::Payload };
        Ok(Some(Self {
            table: TableWriter::new(sink, kind, bounds, units)?,
            payload: SectionWriter::new(sink, id, id_width, units.saturating_mul(id_width.into()))?,
            wide,
            code_width: code_width(max_type),
            max_type,
            last: None,
            first: 0,
            codes: Vec::new(),
            items: 0,
        }))
    }

    /// The number of the last entry at most: rows count in ids, codes included.
    pub fn units(bounds: TableBounds, max_type: u32) -> u64 {
        bounds.items + (bounds.items * u64::from(code_width(max_type))).div_ceil(4) + bounds.rows
    }

    /// Adds an entry: its code, made by [`super::row::code`], its other end, and its rank, which is only looked at.
    /// Returns its number.
    #[inline]
    pub fn push(&mut self, sink: &mut Sink<'_>, key: u64, (code, other, rank): (u32, u64, u64)) -> Result<u64> {
        let ty = code >> 2;
        let entry = (key, ty, other, rank);
        match self.last {
            Some(last) if last.0 == key && last < entry => {}
            Some(last) if last.0 == key => {
                return Err(impossible(format_args!("entry {entry:?} of a run follows {last:?}")));
            }
            _ => {
                self.end_row(sink)?;
                self.table.begin(sink, key, self.first)?;
            }
        }
        if ty > self.max_type || (!self.wide && other > u32::MAX.into()) {
            return Err(impossible(format_args!("entry {entry:?} exceeds the bounds of its run")));
        }
        if self.wide {
            self.payload.push(sink, &other.to_le_bytes())?;
        } else {
            self.payload.push(sink, &(other as u32).to_le_bytes())?;
        }
        let at = (self.codes.len() / usize::from(self.code_width)) as u64;
        match self.code_width {
            1 => self.codes.push(code as u8),
            2 => self.codes.extend_from_slice(&(code as u16).to_le_bytes()),
            _ => self.codes.extend_from_slice(&code.to_le_bytes()),
        }
        self.last = Some(entry);
        self.items += 1;
        Ok(self.first + at)
    }

    fn end_row(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        let id_width = if self.wide { 8 } else { 4 };
        self.codes.resize(self.codes.len().next_multiple_of(id_width), 0);
        self.payload.push(sink, &self.codes)?;
        self.codes.clear();
        self.first = self.payload.len() / id_width as u64;
        Ok(())
    }

    /// As [`ListWriter::finish`], where there may be none.
    pub fn finish_any(writer: Option<Self>, sink: &mut Sink<'_>) -> Result<Option<Lists>> {
        writer.map_or(Ok(None), |writer| writer.finish(sink))
    }

    /// Ends the last row. `None` if there is none.
    pub fn finish(mut self, sink: &mut Sink<'_>) -> Result<Option<Lists>> {
        self.end_row(sink)?;
        let shape = (self.items, self.code_width);
        let table = self.table.finish(sink, self.first, shape)?;
        let payload = self.payload.finish(sink)?;
        table.zip(payload).map(|(table, payload)| Lists::new(table, payload)).transpose()
    }
}
