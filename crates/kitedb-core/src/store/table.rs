//! The one shape that all contents of a run share: ascending 64-bit keys, each with a row, which is a range
//! of a payload.
//!
//! *Dense*: offsets for every key from the first to the last; a key without a row has an empty range.
//! *Sparse*: the keys, and an index that splits them by their high bits into buckets of a few keys.

use super::{
    column::Column,
    meta::{Part, SectionId, TableMeta},
    section::Section,
    tables::TableKind,
};
use crate::error::{Error, Result};

/// The directory of a table.
#[derive(Debug)]
pub(super) struct Table {
    first: u64,
    /// Last key minus first.
    span: u64,
    directory: Directory,
    offsets: Column,
    meta: TableMeta,
}

#[derive(Debug)]
enum Directory {
    Dense,
    Sparse(Box<Sparse>),
}

#[derive(Debug)]
struct Sparse {
    keys: Column,
    buckets: Column,
    /// What keys are relative to.
    base: u64,
    /// How many low bits the keys of one bucket differ in.
    shift: u32,
}

/// The sections of a run that no table has taken yet.
pub(super) struct Pool(pub Vec<Section>);

impl Pool {
    pub fn take(&mut self, table: TableKind, part: Part) -> Option<Section> {
        let at = self.0.iter().position(|section| section.meta().id == SectionId { table, part })?;
        Some(self.0.swap_remove(at))
    }

    pub fn need(&mut self, table: TableKind, part: Part) -> Result<Section> {
        self.take(table, part)
            .ok_or_else(|| Error::corrupt(format_args!("the manifest lacks {} of a run", SectionId { table, part })))
    }
}

impl Table {
    pub fn open(meta: &TableMeta, pool: &mut Pool) -> Result<Self> {
        let offsets = Column::new(pool.need(meta.kind, Part::Offsets)?)?;
        let span = meta.last - meta.first;
        let (directory, entries) = match meta.sparse {
            None => (Directory::Dense, span + 1),
            Some((base, shift)) => {
                let keys = Column::new(pool.need(meta.kind, Part::Keys)?)?;
                let buckets = Column::new(pool.need(meta.kind, Part::Buckets)?)?;
                // Lookups rely on this: they compute places in these columns from keys.
                if keys.len() != meta.rows || buckets.len() < ((meta.last - base) >> shift).saturating_add(2) {
                    return Err(keys.section().inconsistent("its length contradicts the manifest"));
                }
                (Directory::Sparse(Box::new(Sparse { keys, buckets, base, shift })), meta.rows)
            }
        };
        if entries.checked_add(1) != Some(offsets.len()) {
            return Err(offsets.section().inconsistent("its length contradicts the manifest"));
        }
        Ok(Self { first: meta.first, span, directory, offsets, meta: meta.clone() })
    }

    pub fn meta(&self) -> &TableMeta {
        &self.meta
    }

    /// The range of the payload that is the row of `key`.
    #[inline(always)]
    pub fn find(&self, key: u64) -> Result<Option<(u64, u64)>> {
        let at = key.wrapping_sub(self.first);
        if at > self.span {
            return Ok(None);
        }
        let (start, end) = match self.directory {
            Directory::Dense => self.offsets.pair(at)?,
            Directory::Sparse(_) => match self.find_sparse(key)? {
                Some(row) => self.offsets.pair(row)?,
                None => return Ok(None),
            },
        };
        Ok((start != end).then_some((start, end)))
    }

    /// The range of the payload that the rows of keys from `first` up to `end` (exclusive) take, all of what looking any of
    /// these keys up reads being verified.
    pub fn within(&self, first: u64, end: u64) -> Result<(u64, u64)> {
        let (from, to) = (first.max(self.first), end.min((self.first + self.span).saturating_add(1)));
        if from >= to {
            return Ok((0, 0));
        }
        let (row, last) = match &self.directory {
            Directory::Dense => (from - self.first, to - 1 - self.first),
            Directory::Sparse(sparse) => {
                let Sparse { keys, buckets, base, shift } = &**sparse;
                let [from, last] = [from, to - 1].map(|key| key - base);
                let bounds = buckets.slice(from >> shift, (last >> shift) + 2)?;
                let (start, end) = (bounds.get(0), bounds.get(bounds.len().wrapping_sub(1)));
                let found = keys.slice(start.unwrap_or_default(), end.unwrap_or_default())?;
                let [row, end] = [from, last + 1].map(|key| start.unwrap_or_default() + found.lower_bound(key) as u64);
                if row >= end {
                    return Ok((0, 0));
                }
                (row, end - 1)
            }
        };
        let offsets = self.offsets.slice(row, last + 2)?;
        let (start, end) = (offsets.get(0), offsets.get(offsets.len().wrapping_sub(1)));
        Ok((start.unwrap_or_default(), end.unwrap_or_default()))
    }

    fn find_sparse(&self, key: u64) -> Result<Option<u64>> {
        let row = self.row_from(key)?;
        Ok(row.filter(|(_, found)| *found == key).map(|(row, _)| row))
    }

    /// In a sparse table, the first row whose key is not less than `key` if that lies in the same bucket,
    /// else the first row of the next bucket. Only for `key` between first and last.
    fn row_from(&self, key: u64) -> Result<Option<(u64, u64)>> {
        let Directory::Sparse(sparse) = &self.directory else { return Ok(None) };
        let Sparse { keys, buckets, base, shift } = &**sparse;
        let relative = key - base;
        let (start, end) = buckets.pair(relative >> shift)?;
        let found = keys.slice(start, end)?;
        let at = found.lower_bound(relative);
        Ok(Some((start + at as u64, found.get(at).map_or(u64::MAX, |relative| relative.saturating_add(*base)))))
    }

    /// Rows from `key` on.
    pub fn scan(&self, key: u64) -> TableScan<'_> {
        let row = match (&self.directory, key.checked_sub(self.first)) {
            (_, None) => Ok(0),
            (_, Some(at)) if at > self.span => Ok(u64::MAX),
            (Directory::Dense, Some(at)) => Ok(at),
            (Directory::Sparse(_), Some(_)) => self.row_from(key).map(|found| found.map_or(0, |(row, _)| row)),
        };
        match row {
            Ok(row) => TableScan { table: self, row, failed: None },
            Err(error) => TableScan { table: self, row: u64::MAX, failed: Some(error) },
        }
    }

    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        let more = match &self.directory {
            Directory::Dense => None,
            Directory::Sparse(sparse) => Some([sparse.keys.section(), sparse.buckets.section()]),
        };
        std::iter::once(self.offsets.section()).chain(more.into_iter().flatten())
    }
}

/// Rows in ascending order of their keys: key, start and end in the payload.
#[derive(Debug)]
pub(super) struct TableScan<'a> {
    table: &'a Table,
    row: u64,
    failed: Option<Error>,
}

impl TableScan<'_> {
    fn step(&mut self) -> Result<Option<(u64, u64, u64)>> {
        let table = self.table;
        loop {
            let row = self.row;
            let key = match &table.directory {
                Directory::Dense if row > table.span => return Ok(None),
                Directory::Dense => table.first + row,
                Directory::Sparse(sparse) => {
                    if row >= table.meta.rows {
                        return Ok(None);
                    }
                    sparse.keys.slice(row, row + 1)?.get(0).unwrap_or_default().saturating_add(sparse.base)
                }
            };
            let (start, end) = table.offsets.pair(row)?;
            self.row += 1;
            if start != end {
                return Ok(Some((key, start, end)));
            }
        }
    }
}

impl Iterator for TableScan<'_> {
    type Item = Result<(u64, u64, u64)>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        match self.step() {
            Ok(row) => row.map(Ok),
            Err(error) => {
                self.row = u64::MAX;
                Some(Err(error))
            }
        }
    }
}
