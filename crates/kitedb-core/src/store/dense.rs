//! Columns: values of one width, under one property key, of many nodes, one after the other by node id. A scan reads them as
//! one array, without the records of the nodes.
//!
//! A table of columns is three sections. *Directory*: for each column 8 numbers of 8 bytes, ascending by property key, then
//! kind:
//!
//! 1. property key | kind << 32 | whole << 40 (1: no node of the run has a value of another kind under that key);
//! 2. bytes of a value;
//! 3. the least and 4. the greatest node id that has a value;
//! 5. how many values there are;
//! 6. where they begin in the payload, a multiple of 64;
//! 7. where their lines begin in *presence*, a multiple of 64 (0 where each id from least to greatest has a value: such a
//!    column has no lines);
//! 8. what stored integers are relative to.
//!
//! *Payload*: the values. *Presence*: lines of 64 bytes, each for 448 ids: how many values lie before the line, and a bit
//! for each id that has a value. So a value is found with one look at a line of cache and one at the value, and ids without
//! a value take an eighth of a byte.

use super::{
    meta::{Part, RunMeta, TableMeta},
    section::Section,
    table::Pool,
    tables::{Shape, TableKind},
};
use crate::{
    error::{Error, Result},
    graph::PropKeyId,
};

/// Bytes of one column in the directory, of one line of presence, and what values begin at a multiple of.
pub(super) const LINE: usize = 64;
/// Ids that one line of presence speaks of.
pub(super) const LINE_IDS: u64 = 448;

/// What the values of a column are. Stored numbers, those of the values' tags: never change one, only add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ColumnKind {
    /// True or false: a byte of 1 or 0.
    Bool = 2,
    /// Integers: 1, 2, 4 or 8 bytes, without sign, to be added to the column's base.
    I64 = 3,
    /// 64-bit floats.
    F64 = 4,
    /// Vectors: 32-bit floats.
    Vector = 7,
    /// Dates: their days, as integers are.
    Date = 10,
    /// Local times: their nanoseconds, as integers are.
    LocalTime = 11,
}

impl ColumnKind {
    fn from_number(number: u8) -> Result<Self> {
        [Self::Bool, Self::I64, Self::F64, Self::Vector, Self::Date, Self::LocalTime]
            .into_iter()
            .find(|kind| *kind as u8 == number)
            .ok_or_else(|| Error::corrupt(format_args!("unknown kind of column {number}")))
    }
}

/// A column as the directory describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ColumnMeta {
    pub key: PropKeyId,
    pub kind: ColumnKind,
    /// No node of the run has a value of another kind under the key.
    pub whole: bool,
    /// Bytes of a value.
    pub width: u64,
    /// The least node id that has a value, and the greatest.
    pub first: u64,
    pub last: u64,
    /// How many values there are.
    pub count: u64,
    /// Where the values begin, and their lines.
    pub values: u64,
    pub lines: u64,
    /// What integers are relative to.
    pub base: i64,
}

impl ColumnMeta {
    /// Whether each id from least to greatest has a value.
    pub fn is_full(&self) -> bool {
        self.count == self.last - self.first + 1
    }

    /// How many lines of presence it has.
    pub fn line_count(&self) -> u64 {
        if self.is_full() { 0 } else { (self.last - self.first) / LINE_IDS + 1 }
    }

    /// Bytes of its values and lines.
    pub fn held(&self) -> u64 {
        self.count.saturating_mul(self.width).saturating_add(self.line_count() * LINE as u64)
    }

    pub fn encode(&self) -> [u8; LINE] {
        let head = u64::from(self.key.0) | u64::from(self.kind as u8) << 32 | u64::from(self.whole) << 40;
        let Self { width, first, last, count, values, lines, base, .. } = *self;
        bytemuck::cast([head, width, first, last, count, values, lines, base as u64])
    }

    fn decode(bytes: &[u8; LINE]) -> Result<Self> {
        let [head, width, first, last, count, values, lines, base]: [u64; 8] = bytemuck::pod_read_unaligned(bytes);
        let kind = ColumnKind::from_number((head >> 32) as u8)?;
        let fits = match kind {
            ColumnKind::Bool => width == 1,
            ColumnKind::I64 | ColumnKind::Date | ColumnKind::LocalTime => matches!(width, 1 | 2 | 4 | 8),
            ColumnKind::F64 => width == 8,
            ColumnKind::Vector => width > 0 && width.is_multiple_of(4),
        };
        let aligned = (values | lines).is_multiple_of(LINE as u64);
        if !fits || !aligned || first > last || last == u64::MAX || count == 0 || count > last - first + 1 {
            return Err(Error::corrupt(format_args!("the column of property key {} is impossible", head as u32)));
        }
        let (key, whole) = (PropKeyId(head as u32), head >> 40 & 1 != 0);
        Ok(Self { key, kind, whole, width, first, last, count, values, lines, base: base as i64 })
    }
}

/// A table of columns.
#[derive(Debug)]
pub(super) struct Dense {
    meta: TableMeta,
    directory: Section,
    payload: Section,
    presence: Option<Section>,
}

impl Shape for Dense {
    fn open(meta: &RunMeta, kind: TableKind, pool: &mut Pool) -> Result<Option<Self>> {
        let Some(table) = meta.table(kind) else { return Ok(None) };
        let (directory, payload) = (pool.need(kind, Part::Directory)?, pool.need(kind, Part::Payload)?);
        Self::new(table.clone(), directory, payload, pool.take(kind, Part::Presence)).map(Some)
    }

    fn meta(&self) -> Option<&TableMeta> {
        Some(&self.meta)
    }

    fn sections(&self) -> Vec<&Section> {
        [&self.directory, &self.payload].into_iter().chain(&self.presence).collect()
    }
}

impl Dense {
    pub fn new(meta: TableMeta, directory: Section, payload: Section, presence: Option<Section>) -> Result<Self> {
        if !directory.len().is_multiple_of(LINE) {
            return Err(directory.inconsistent("it is no number of columns"));
        }
        Ok(Self { meta, directory, payload, presence })
    }

    /// The column at `number`, if there are so many.
    #[inline]
    pub fn column_at(&self, number: usize) -> Result<Option<DenseColumn<'_>>> {
        let at = number.saturating_mul(LINE);
        if at >= self.directory.len() {
            return Ok(None);
        }
        let meta = ColumnMeta::decode(self.directory.array(at)?)?;
        Ok(Some(DenseColumn { dense: self, meta }))
    }

    /// The columns, ascending by key, then kind. Nothing follows an error.
    #[inline]
    pub fn columns(&self) -> impl Iterator<Item = Result<DenseColumn<'_>>> {
        let mut number = 0;
        std::iter::from_fn(move || {
            let column = self.column_at(number).transpose()?;
            number = if column.is_ok() { number + 1 } else { usize::MAX };
            Some(column)
        })
    }

    /// The column of `key` and `kind`.
    #[inline]
    pub fn column(&self, key: PropKeyId, kind: ColumnKind) -> Result<Option<DenseColumn<'_>>> {
        for column in self.columns() {
            let column = column?;
            if (column.meta.key, column.meta.kind) == (key, kind) {
                return Ok(Some(column));
            }
        }
        Ok(None)
    }

    /// Fails where what it says of itself does not fit together: counts, the order of columns, and bits past the last id.
    pub fn check(&self) -> Result<()> {
        let mut last = None;
        let (mut values, mut bytes) = (0u64, 0u64);
        for column in self.columns() {
            let column = column?;
            let meta = column.meta;
            if last.replace((meta.key, meta.kind)).is_some_and(|last| last >= (meta.key, meta.kind)) {
                return Err(self.directory.inconsistent("its columns are out of order"));
            }
            // First: there are no more values than bytes to look at.
            column.value(meta.count - 1)?;
            let (mut found, mut id) = (0, meta.first);
            while let Some((next, place)) = column.next_from(id)? {
                if place != found || next > meta.last {
                    return Err(column.contradiction("places of values do not ascend one by one"));
                }
                found += 1;
                id = next + 1;
            }
            let ends = column.place(meta.first)?.is_some() && column.place(meta.last)?.is_some();
            if found != meta.count || !ends {
                return Err(column.contradiction("it has another number of values, or other ends, than it says"));
            }
            values += meta.count;
            bytes = bytes.saturating_add(meta.count.saturating_mul(meta.width));
        }
        if (values, bytes) != (self.meta.rows, self.meta.items) {
            return Err(self.directory.inconsistent("it has another number of values than the manifest says"));
        }
        Ok(())
    }
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub(super) struct DenseColumn<'a> {
    dense: &'a Dense,
    pub meta: ColumnMeta,
}

impl<'a> DenseColumn<'a> {
    /// The value of a node.
    #[inline]
    pub fn get(&self, id: u64) -> Result<Option<&'a [u8]>> {
        match self.place(id)? {
            Some(place) => self.value(place).map(Some),
            None => Ok(None),
        }
    }

    /// The value at `place`.
    #[inline]
    pub fn value(&self, place: u64) -> Result<&'a [u8]> {
        // Saturating: a damaged number must meet the bounds check, not wrap round it.
        let start = self.meta.values.saturating_add(place.saturating_mul(self.meta.width));
        self.dense.payload.slice(start as usize, start.saturating_add(self.meta.width) as usize)
    }

    /// The first node from `id` on that has a value, and the place of that.
    #[inline]
    pub fn next_from(&self, id: u64) -> Result<Option<(u64, u64)>> {
        let at = id.saturating_sub(self.meta.first);
        let span = self.meta.last - self.meta.first;
        if at > span {
            return Ok(None);
        }
        if self.meta.is_full() {
            return Ok(Some((self.meta.first + at, at)));
        }
        let mut skip = at % LINE_IDS;
        for number in at / LINE_IDS..=span / LINE_IDS {
            let line = self.line(number)?;
            if let Some(bit) = line.next_from(skip) {
                let (id, place) = (self.meta.first + number * LINE_IDS + bit, line.before(bit));
                return Ok((id <= self.meta.last).then_some((id, place)));
            }
            skip = 0;
        }
        Ok(None)
    }

    /// Where the value of a node lies among the values.
    #[inline]
    pub fn place(&self, id: u64) -> Result<Option<u64>> {
        let at = id.wrapping_sub(self.meta.first);
        if at > self.meta.last - self.meta.first {
            return Ok(None);
        }
        if self.meta.is_full() {
            return Ok(Some(at));
        }
        let line = self.line(at / LINE_IDS)?;
        let bit = at % LINE_IDS;
        Ok(line.has(bit).then(|| line.before(bit)))
    }

    #[inline]
    fn line(&self, number: u64) -> Result<Line> {
        let Some(presence) = &self.dense.presence else {
            return Err(self.contradiction("it has no lines of presence"));
        };
        let start = self.meta.lines.saturating_add(number.saturating_mul(LINE as u64));
        Ok(Line(bytemuck::pod_read_unaligned(presence.array::<LINE>(start as usize)?)))
    }

    /// What is stored contradicts itself, or the nodes that it is of.
    #[cold]
    pub fn contradiction(&self, what: &str) -> Error {
        self.dense.directory.inconsistent(&format!("the column of property key {}: {what}", self.meta.key))
    }
}

/// A line of presence: how many values lie before it, and 448 bits.
struct Line([u64; 8]);

impl Line {
    #[inline]
    fn has(&self, bit: u64) -> bool {
        let [_, words @ ..] = &self.0;
        words.get((bit / 64) as usize).is_some_and(|word| word >> (bit % 64) & 1 != 0)
    }

    /// How many values lie before that of `bit`.
    #[inline]
    fn before(&self, bit: u64) -> u64 {
        let [before, words @ ..] = &self.0;
        let (whole, rest) = ((bit / 64) as usize, bit % 64);
        let ones = |words: &[u64]| words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        let part = words.get(whole).map_or(0, |word| word & ((1 << rest) - 1));
        before.saturating_add(ones(words.get(..whole).unwrap_or_default()) + u64::from(part.count_ones()))
    }

    /// The first bit from `bit` on that is set.
    #[inline]
    fn next_from(&self, bit: u64) -> Option<u64> {
        let [_, words @ ..] = &self.0;
        let mut mask = u64::MAX << (bit % 64);
        for (number, word) in words.iter().enumerate().skip((bit / 64) as usize) {
            let found = word & mask;
            if found != 0 {
                return Some(number as u64 * 64 + u64::from(found.trailing_zeros()));
            }
            mask = u64::MAX;
        }
        None
    }
}
