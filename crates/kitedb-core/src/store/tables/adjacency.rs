//! What `out` and `into` share: the rows of a node in one direction. A row is entries, other ends with codes (see
//! [`crate::store::row`]), ascending by type, then other end, then rank: that stands beside them ([`super::ranks`]), where one is not 0.

use super::{RunBounds, TableKind};
use crate::{
    error::{Error, Result},
    graph::{Direction, EdgeKey, NodeId},
    store::{
        bounds::TableBounds,
        merge::{Merge, for_each_entry, for_each_key, settled},
        meta::RunMeta,
        parts::{ListScan, ListWriter, Lists},
        row::{EntryKind, MAX_TYPE, Row},
        run::Run,
        run_writer::RunWriter,
        section_writer::Sink,
    },
};

impl Run {
    #[inline(always)]
    fn lists(&self, direction: Direction) -> Option<&Lists> {
        match direction {
            Direction::Out => self.tables.out.as_ref(),
            Direction::In => self.tables.into.as_ref(),
        }
    }

    /// The entries of a node in one direction.
    #[inline]
    pub fn row(&self, direction: Direction, id: NodeId) -> Result<Row<'_>> {
        match self.lists(direction) {
            Some(lists) => lists.get(id.0),
            None => Ok(Row::EMPTY),
        }
    }

    /// Rows from `id` on, ascending by node.
    pub fn rows_from(&self, direction: Direction, id: NodeId) -> RowScan<'_> {
        RowScan(self.lists(direction).map(|lists| lists.scan(id.0)))
    }

    /// Whether an entry of its adjacency is a [`EntryKind::Remove`].
    #[inline]
    pub fn has_removals(&self) -> bool {
        self.meta.removals
    }

    /// Whether an entry of its adjacency is a [`EntryKind::Replace`].
    #[inline]
    pub fn has_replacements(&self) -> bool {
        self.meta.replaces
    }
}

/// Rows of adjacency, ascending by node. Nothing follows an error.
#[derive(Debug)]
pub struct RowScan<'a>(Option<ListScan<'a>>);

impl<'a> Iterator for RowScan<'a> {
    type Item = Result<(NodeId, Row<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.as_mut()?.next()?.map(|(id, row)| (NodeId(id), row)))
    }
}

/// Begins the adjacency of `kind` with `edges` entries.
pub(super) fn begin(
    sink: &Sink<'_>,
    kind: TableKind,
    edges: TableBounds,
    bounds: &RunBounds,
) -> Result<Option<ListWriter>> {
    ListWriter::new(sink, kind, edges, bounds.max_node_id, bounds.max_type_id)
}

/// Takes note in `meta` of an edge that is written.
#[inline]
pub(super) fn note_edge(meta: &mut RunMeta, edge: EdgeKey, kind: EntryKind) -> Result<()> {
    if edge.ty.0 > MAX_TYPE {
        return Err(Error::invalid(format_args!("edge type id {} exceeds {MAX_TYPE}", edge.ty)));
    }
    meta.removals |= kind == EntryKind::Remove;
    meta.replaces |= kind == EntryKind::Replace;
    meta.max_type_id = meta.max_type_id.max(edge.ty.0);
    meta.max_node_id = meta.max_node_id.max(edge.src.0).max(edge.dst.0);
    Ok(())
}

/// Edges in any order, as a number: equal sums are taken to be equal sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EdgeSum {
    count: u64,
    sum: u64,
}

impl EdgeSum {
    #[inline]
    fn add(&mut self, edge: EdgeKey, kind: EntryKind) {
        const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
        let ends = edge.src.0.wrapping_mul(FACTOR) ^ edge.dst.0.rotate_left(32);
        let ends = (ends ^ edge.rank.wrapping_mul(FACTOR).rotate_left(13)).wrapping_mul(FACTOR);
        let hash = (ends ^ ends >> 29 ^ u64::from(edge.ty.0) << 2 ^ kind as u64).wrapping_mul(FACTOR);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hash ^ hash >> 32);
    }
}

/// Calls `write` with each edge that remains, its kind, its run (an index; for [`EntryKind::Remove`] no property of it
/// counts), and its row and place in that. Returns what was written.
pub(super) fn merge_edges(
    merge: &Merge<'_>,
    direction: Direction,
    writer: &mut RunWriter<'_>,
    mut write: impl FnMut(&mut RunWriter<'_>, EdgeKey, EntryKind, (usize, Row<'_>), usize) -> Result<()>,
) -> Result<EdgeSum> {
    let scans = merge.runs.iter().map(|run| run.rows_from(direction, NodeId(0)));
    let mut written = EdgeSum::default();
    for_each_key(scans, |node, rows| {
        let mut known = false;
        let rank = |(run, row): &(usize, Row<'_>), at: usize| match merge.runs.get(*run) {
            Some(run) => run.rank(direction, row, at),
            None => Ok(0),
        };
        for_each_entry(rows, rank, |(entry, rank), kind, newest, at| {
            let kind = if merge.oldest { settled(kind)? } else { kind };
            if !known && kind != EntryKind::Remove {
                // Both ends: each row is looked at in both directions.
                merge.nodes.require(node, "there is an edge at", writer)?;
                known = true;
            }
            let edge = EdgeKey::seen_from(node, direction, entry.ty, entry.other, rank);
            written.add(edge, kind);
            write(writer, edge, kind, newest, at)
        })
    })?;
    Ok(written)
}
