//! Tables 7 and 8: the ranks of edges, by the number of their entry in `out`, and in `into`. A row is a rank, a varint; an
//! entry of rank 0 has none. Where all are 0, as mostly, neither table is there, and a run costs what it cost without them.
//! `out` and `into` write and merge them along with their entries.

use super::Tables;
use crate::{
    error::{Error, Result},
    graph::{
        Direction, EdgeKey, MAX_RANK, NodeId,
        codec::{Reader, put_varint},
    },
    store::{
        bounds::TableBounds,
        parts::{Blob, BlobWriter},
        row::Row,
        run::Run,
        run_writer::out_of_order,
        section_writer::Sink,
        table_kind::TableKind,
    },
};
use std::{cmp::Ordering, ops::Range};

/// The ranks of one row's entries, verified, so that looking one up cannot fail.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ranks<'a>(Option<&'a Blob>);

impl Ranks<'_> {
    /// Of a row whose ranks are all 0.
    pub const NONE: Ranks<'static> = Ranks(None);

    /// The rank of the entry at `at` of `row`.
    #[inline]
    pub fn of(&self, row: &Row<'_>, at: usize) -> u64 {
        match self.0 {
            None => 0,
            // What a row says that is no rank, a check and a merge tell.
            Some(ranks) => stored(ranks, row.ordinal(at)).unwrap_or_default(),
        }
    }
}

/// The rank of entry number `ordinal`.
fn stored(ranks: &Blob, ordinal: u64) -> Result<u64> {
    let Some(bytes) = ranks.get(ordinal)? else { return Ok(0) };
    let mut reader = Reader::new(bytes);
    match reader.varint() {
        Ok(rank) if reader.is_empty() && (1..=MAX_RANK).contains(&rank) => Ok(rank),
        _ => Err(Error::corrupt(format_args!("the rank of entry {ordinal} of a run is none"))),
    }
}

impl Run {
    #[inline(always)]
    fn ranks_table(&self, direction: Direction) -> Option<&Blob> {
        match direction {
            Direction::Out => self.tables.out_ranks.as_ref(),
            Direction::In => self.tables.in_ranks.as_ref(),
        }
    }

    /// Whether an edge of this run has another rank than 0.
    #[inline]
    pub fn has_ranks(&self) -> bool {
        self.ranks_table(Direction::Out).is_some()
    }

    /// The ranks of the entries of `row`, a row of this run in that direction.
    #[inline]
    pub fn ranks(&self, direction: Direction, row: &Row<'_>) -> Result<Ranks<'_>> {
        match self.ranks_table(direction) {
            Some(ranks) if !row.is_empty() => ranks_of(ranks, row),
            _ => Ok(Ranks::NONE),
        }
    }

    /// The rank of the entry at `at` of `row`, a row of this run in that direction.
    pub fn rank(&self, direction: Direction, row: &Row<'_>, at: usize) -> Result<u64> {
        self.ranks_table(direction).map_or(Ok(0), |ranks| stored(ranks, row.ordinal(at)))
    }

    /// Where exactly that edge stands in `row`, the row of one of its ends in that direction.
    #[inline(always)]
    pub fn find(&self, direction: Direction, row: &Row<'_>, edge: EdgeKey) -> Result<Option<usize>> {
        let other = edge.ends(direction).1;
        match self.ranks_table(direction) {
            None if edge.rank == 0 => Ok(row.find(edge.ty, other)),
            None => Ok(None),
            Some(ranks) => find(ranks, row, edge, other),
        }
    }
}

#[cold]
fn ranks_of<'a>(ranks: &'a Blob, row: &Row<'_>) -> Result<Ranks<'a>> {
    let first = row.ordinal(0);
    let (start, end) = ranks.table.within(first, first + row.len() as u64)?;
    ranks.payload.slice(start as usize, end as usize)?;
    Ok(Ranks((start != end).then_some(ranks)))
}

/// Of parallel edges, whose ranks ascend. Apart, so that looking for an edge where there are none stays small.
#[cold]
#[inline(never)]
fn find(ranks: &Blob, row: &Row<'_>, edge: EdgeKey, other: NodeId) -> Result<Option<usize>> {
    let Range { start: mut low, end: mut high } = row.find_all(edge.ty, other);
    while low < high {
        let mid = low + (high - low) / 2;
        match stored(ranks, row.ordinal(mid))?.cmp(&edge.rank) {
            Ordering::Less => low = mid + 1,
            Ordering::Equal => return Ok(Some(mid)),
            Ordering::Greater => high = mid,
        }
    }
    Ok(None)
}

/// Takes a rank into account that will be written.
pub(super) fn measure(rank: u64, bounds: &mut TableBounds) {
    if rank != 0 {
        bounds.add(0, u64::from(rank.ilog2() / 7 + 1));
    }
}

/// Begins a table of ranks of entries with numbers below `entries`. `None` if the bounds say that all are 0.
pub(super) fn begin(sink: &Sink<'_>, kind: TableKind, bounds: TableBounds, entries: u64) -> Result<Option<BlobWriter>> {
    BlobWriter::new(sink, kind, TableBounds { first: 0, last: entries.saturating_sub(1), ..bounds })
}

/// Writes the rank of an entry, which is not 0.
#[cold]
pub(super) fn write(table: &mut Option<BlobWriter>, sink: &mut Sink<'_>, number: u64, rank: u64) -> Result<()> {
    let Some(table) = table else { return Err(out_of_order("rank")) };
    let mut bytes = Vec::with_capacity(10);
    put_varint(&mut bytes, rank);
    table.begin(sink, number)?;
    table.push(sink, &bytes)
}

/// Fails if a run has ranks in one direction, and in the other one none, or not as many.
pub(in crate::store) fn require_both(tables: &Tables) -> Result<()> {
    let ranked = |table: &Option<Blob>| table.as_ref().map_or(0, |ranks| ranks.table.meta().rows);
    let (out, into) = (ranked(&tables.out_ranks), ranked(&tables.in_ranks));
    if out == into {
        return Ok(());
    }
    Err(Error::corrupt(format_args!("a run has {out} ranks of edges by their source, and {into} by their destination")))
}

/// Fails if edges of a run are not in order, as where ranks are missing, or if a rank is that of no entry.
pub(super) fn check(run: &Run, direction: Direction) -> Result<()> {
    let (mut ranked, mut last) = (0, None);
    for row in run.rows_from(direction, NodeId(0)) {
        let (node, row) = row?;
        for (at, entry) in row.iter().enumerate() {
            let rank = run.rank(direction, &row, at)?;
            let here = Some((node, entry.ty, entry.other, rank));
            if last >= here {
                return Err(Error::corrupt(format_args!("the edges at node {node} in a run are not in order")));
            }
            last = here;
            ranked += u64::from(rank != 0);
        }
    }
    match run.ranks_table(direction) {
        Some(ranks) if ranks.table.meta().rows != ranked => Err(ranks.payload.inconsistent("ranks of no edge")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::ErrorCode,
        graph::EdgeTypeId,
        io::sim::SimDisk,
        store::{
            row::{EntryKind, code},
            run_bounds::RunBounds,
            tables::out,
            tests,
        },
    };

    /// Writes two edges of the same ends, of the ranks 0 and 5, with what `ranks` says of their numbers in place of the
    /// second one's rank; `incoming`: also by their destination.
    fn code_of(ranks: &[(u64, &[u8])], incoming: bool) -> Result<(), ErrorCode> {
        let store = tests::create(&SimDisk::new(1));
        let mut bounds = RunBounds { max_node_id: 2, ..RunBounds::default() };
        bounds.out.add(1, 2);
        bounds.into.add(2, 2);
        [&mut bounds.out_ranks, &mut bounds.in_ranks].into_iter().for_each(|ranks| ranks.add(0, 30));
        bounds.out_ranks.add(0, 30);
        let edge = EdgeKey::new(NodeId(1), EdgeTypeId(0), NodeId(2));
        let mut pace = |_| Ok(());
        let mut writer = store.begin_run(&bounds, &mut pace).unwrap();
        writer.out_edge(edge, EntryKind::Add, &[]).unwrap();
        let (stage, sink, _) = writer.at::<out::Writer>().unwrap();
        let edges = stage.edges.as_mut().unwrap();
        edges.push(sink, 1, (code(0, EntryKind::Add), 2, 5)).unwrap();
        let table = stage.ranks.as_mut().unwrap();
        for (number, bytes) in ranks {
            table.begin(sink, *number).unwrap();
            table.push(sink, bytes).unwrap();
        }
        if incoming {
            writer.in_edge(edge, EntryKind::Add).unwrap();
            writer.in_edge(edge.with_rank(5), EntryKind::Add).unwrap();
        }
        let run = writer.finish().unwrap();
        require_both(&run.tables).and_then(|()| run.check()).map_err(|e| e.code())
    }

    #[test]
    fn ranks_that_are_missing_or_those_of_no_edge_are_found_by_a_check() {
        assert_eq!(code_of(&[(1, &[5])], true), Ok(()));
        // Another one verifies by itself: the digest, and the other direction, tell.
        assert_eq!(code_of(&[(1, &[6])], true), Ok(()));
        for (ranks, incoming) in [
            (&[][..], true),
            (&[(0, &[5][..])], true),
            (&[(1, &[0])], true),
            (&[(1, &[5, 5])], true),
            (&[(1, &[0x80])], true),
            (&[(1, &[5]), (3, &[5])], true),
            (&[(1, &[5])], false),
        ] {
            assert_eq!(code_of(ranks, incoming), Err(ErrorCode::Corrupt), "{ranks:?}");
        }
    }
}
