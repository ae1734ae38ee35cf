//! What is known of a run before it is written: it decides layouts and reserves space.

use super::meta::{Part, RunMeta, TableKind};

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
    /// Takes one more row into account.
    #[inline]
    pub fn add(&mut self, key: u64, items: u64) {
        self.rows += 1;
        self.items += items;
        self.first = self.first.min(key);
        self.last = self.last.max(key);
    }

    fn join(&mut self, other: Self) {
        self.rows += other.rows;
        self.items += other.items;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// Bounds of a run: exact for a checkpoint, sums for a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunBounds {
    /// How many names, and the bytes of their texts.
    pub names: u64,
    /// Bytes of the texts of all names.
    pub name_bytes: u64,
    /// Node records, dead ones too; items are bytes of records.
    pub nodes: TableBounds,
    /// Sources; items are entries.
    pub out_edges: TableBounds,
    /// Destinations; items are entries.
    pub in_edges: TableBounds,
    /// Edges with properties; items are bytes of property lists. `first` and `last` do not count.
    pub edge_props: TableBounds,
    /// Labels; items are entries.
    pub labels: TableBounds,
    /// Nodes with vector entries; items are bytes of [`TableBounds::VECTOR_ENTRY`] and floats for each entry.
    pub vectors: TableBounds,
    /// The greatest node id, other ends of edges included.
    pub max_node_id: u64,
    /// The greatest edge type id.
    pub max_type_id: u32,
}

impl TableBounds {
    /// What a vector entry takes beside its floats, at most.
    pub const VECTOR_ENTRY: u64 = 15;
}

impl RunBounds {
    /// The bounds of what a merge of these runs gives.
    pub fn of_merge<'a>(runs: impl IntoIterator<Item = &'a RunMeta>) -> Self {
        let mut sum = Self::default();
        for run in runs {
            let table = |kind| {
                run.table(kind).map_or_else(TableBounds::default, |table| TableBounds {
                    rows: table.rows,
                    items: table.items,
                    first: table.first,
                    last: table.last,
                })
            };
            sum.names += run.names;
            sum.name_bytes += run.section(TableKind::Names, Part::Payload).map_or(0, |section| section.len);
            sum.nodes.join(table(TableKind::Nodes));
            sum.out_edges.join(table(TableKind::Out));
            sum.in_edges.join(table(TableKind::In));
            sum.edge_props.join(table(TableKind::EdgeProps));
            sum.labels.join(table(TableKind::Labels));
            sum.vectors.join(table(TableKind::Vectors));
            sum.max_node_id = sum.max_node_id.max(run.max_node_id);
            sum.max_type_id = sum.max_type_id.max(run.max_type_id);
        }
        sum
    }
}
