//! What is known of a table before it is written: it decides its layout and reserves its space.

use super::{
    meta::{Part, RunMeta},
    tables::TableKind,
};

/// Bounds of one table. Every number may be greater than what comes, never less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableBounds {
    /// Keys with a row.
    pub rows: u64,
    /// The sum over all rows: bytes of records, properties or vectors; entries of adjacency and labels.
    pub items: u64,
    /// The least key.
    pub first: u64,
    /// The greatest key.
    pub last: u64,
}

impl Default for TableBounds {
    fn default() -> Self {
        Self { rows: 0, items: 0, first: u64::MAX, last: 0 }
    }
}

impl TableBounds {
    /// What a vector entry takes beside its floats, at most.
    pub const VECTOR_ENTRY: u64 = 15;

    /// Those of the table of `kind` as a run has it.
    pub(super) fn of(run: &RunMeta, kind: TableKind) -> Self {
        match run.table(kind) {
            Some(table) => Self { rows: table.rows, items: table.items, first: table.first, last: table.last },
            None if kind == TableKind::Names => {
                let bytes = run.section(kind, Part::Payload).map_or(0, |section| section.len);
                Self { rows: run.names, items: bytes, ..Self::default() }
            }
            None => Self::default(),
        }
    }

    /// Takes one more row into account.
    #[inline]
    pub fn add(&mut self, key: u64, items: u64) {
        self.rows += 1;
        self.items += items;
        self.first = self.first.min(key);
        self.last = self.last.max(key);
    }

    /// Takes one more item of the row of `key` into account. Rows are counted as if each item had its own where the order
    /// does not tell: more is allowed.
    pub(super) fn add_item(&mut self, key: u64) {
        if self.rows > 0 && self.last == key {
            self.items += 1;
        } else {
            self.add(key, 1);
        }
    }

    pub(super) fn join(&mut self, other: Self) {
        self.rows += other.rows;
        self.items += other.items;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}
