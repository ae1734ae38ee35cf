//! Writes the directory of a table while its rows stream by. The layout is chosen from bounds, beforehand.

use super::{
    bounds::TableBounds,
    meta::{Part, SectionId, TableMeta},
    row::impossible,
    section::Section,
    section_writer::{SectionWriter, Sink},
    table::{Pool, Table},
    tables::TableKind,
};
use crate::error::{Error, ErrorCode, Result};

/// Keys that a bucket holds on average, at most, if they are spread evenly.
const BUCKET: u64 = 8;

/// Numbers in the width that a bound allows.
pub(super) struct ColumnWriter {
    section: SectionWriter,
    wide: bool,
}

impl ColumnWriter {
    /// A column of at most `len` numbers up to `max`.
    pub fn new(sink: &Sink<'_>, id: SectionId, len: u64, max: u64) -> Result<Self> {
        let wide = max > u32::MAX.into();
        let width = if wide { 8 } else { 4 };
        let section = SectionWriter::new(sink, id, width, len.saturating_mul(width.into()))?;
        Ok(Self { section, wide })
    }

    #[inline]
    pub fn push(&mut self, sink: &mut Sink<'_>, value: u64) -> Result<()> {
        if self.wide {
            return self.section.push(sink, &value.to_le_bytes());
        }
        match u32::try_from(value) {
            Ok(value) => self.section.push(sink, &value.to_le_bytes()),
            Err(_) => Err(impossible(format_args!("{value} exceeds the bound announced for a run's column"))),
        }
    }

    pub fn finish(self, sink: &mut Sink<'_>) -> Result<Option<Section>> {
        self.section.finish(sink)
    }
}

/// The directory of a table being written.
pub(super) struct TableWriter {
    kind: TableKind,
    bounds: TableBounds,
    rows: u64,
    /// First and last key so far.
    keys: Option<(u64, u64)>,
    offsets: ColumnWriter,
    sparse: Option<SparseWriter>,
}

struct SparseWriter {
    keys: ColumnWriter,
    buckets: ColumnWriter,
    shift: u32,
    /// Buckets whose first row is written.
    begun: u64,
}

impl TableWriter {
    /// A table within `bounds` (which are not empty), whose payload's offsets go up to `payload`.
    pub fn new(sink: &Sink<'_>, kind: TableKind, bounds: TableBounds, payload: u64) -> Result<Self> {
        let id = |part| SectionId { table: kind, part };
        let TableBounds { rows, first, last, .. } = bounds;
        if first > last || last == u64::MAX {
            return Err(impossible(format_args!("the bounds of table {kind:?} contradict each other: {bounds:?}")));
        }
        let span = last - first;
        // 2.5 offsets a row against a key and an offset a row and what makes up for the slower lookup.
        let dense = span < rows.saturating_mul(5) / 2 + 8;
        let entries = if dense { span + 2 } else { rows + 1 };
        let sparse = if dense {
            None
        } else {
            let buckets = (rows / BUCKET).max(1);
            let bits = |number: u64| 64 - number.leading_zeros();
            let shift = bits(span).saturating_sub(bits(buckets));
            Some(SparseWriter {
                keys: ColumnWriter::new(sink, id(Part::Keys), rows, span)?,
                buckets: ColumnWriter::new(sink, id(Part::Buckets), (span >> shift) + 2, rows)?,
                shift,
                begun: 0,
            })
        };
        let offsets = ColumnWriter::new(sink, id(Part::Offsets), entries, payload)?;
        Ok(Self { kind, bounds, rows: 0, keys: None, offsets, sparse })
    }

    /// Begins the row of `key` at `position` of the payload. The row before ends there.
    #[inline]
    pub fn begin(&mut self, sink: &mut Sink<'_>, key: u64, position: u64) -> Result<()> {
        let TableBounds { first, last, rows, .. } = self.bounds;
        let before = self.keys.map(|(_, before)| before);
        if key < first || key > last || self.rows >= rows || before.is_some_and(|before| key <= before) {
            return Err(self.refused(key));
        }
        if let Some(sparse) = &mut self.sparse {
            let relative = key - first;
            sparse.keys.push(sink, relative)?;
            while sparse.begun <= relative >> sparse.shift {
                sparse.buckets.push(sink, self.rows)?;
                sparse.begun += 1;
            }
            self.offsets.push(sink, position)?;
        } else {
            // Keys without a row begin and end where this row begins.
            for _ in 0..before.map_or(1, |before| key - before) {
                self.offsets.push(sink, position)?;
            }
        }
        self.rows += 1;
        self.keys = Some((self.keys.map_or(key, |(first, _)| first), key));
        Ok(())
    }

    #[cold]
    fn refused(&self, key: u64) -> Error {
        Error::new(
            ErrorCode::Internal,
            format_args!(
                "table {:?}: key {key} is out of order or bounds ({:?}, {:?})",
                self.kind, self.keys, self.bounds
            ),
        )
    }

    /// Ends the last row at `position`; `shape`: how many items there are, and the width of their codes. `None`
    /// if no row was written.
    pub fn finish(mut self, sink: &mut Sink<'_>, position: u64, shape: (u64, u8)) -> Result<Option<Table>> {
        let Some((first, last)) = self.keys else { return Ok(None) };
        self.offsets.push(sink, position)?;
        let mut pool = Pool(Vec::new());
        pool.0.extend(self.offsets.finish(sink)?);
        let sparse = match self.sparse {
            None => None,
            Some(mut sparse) => {
                sparse.buckets.push(sink, self.rows)?;
                pool.0.extend(sparse.keys.finish(sink)?);
                pool.0.extend(sparse.buckets.finish(sink)?);
                Some((self.bounds.first, sparse.shift))
            }
        };
        let (items, code_width) = shape;
        let meta = TableMeta { kind: self.kind, first, last, rows: self.rows, items, code_width, sparse };
        Table::open(&meta, &mut pool).map(Some)
    }
}
