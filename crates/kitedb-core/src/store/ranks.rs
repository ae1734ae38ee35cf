//! Ranks of a run's entries: a table for each direction, from the number of an entry to its rank, with a row for each entry
//! whose rank is not 0. Where all are 0, as mostly, neither is there, and a run costs what it cost without them.

use super::{parts::Blob, row::Row, run::Run};
use crate::{
    error::{Error, Result},
    graph::{Direction, EdgeKey, MAX_RANK, codec::Reader},
};

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
    #[inline]
    pub fn find(&self, direction: Direction, row: &Row<'_>, edge: EdgeKey) -> Result<Option<usize>> {
        let other = edge.ends(direction).1;
        match self.ranks_table(direction) {
            None if edge.rank == 0 => Ok(row.find(edge.ty, other)),
            None => Ok(None),
            Some(ranks) => find(ranks, row, edge, row.find_all(edge.ty, other)),
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

/// Of parallel edges, whose ranks ascend.
fn find(ranks: &Blob, row: &Row<'_>, edge: EdgeKey, range: std::ops::Range<usize>) -> Result<Option<usize>> {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let mid = low + (high - low) / 2;
        match stored(ranks, row.ordinal(mid))?.cmp(&edge.rank) {
            std::cmp::Ordering::Less => low = mid + 1,
            std::cmp::Ordering::Equal => return Ok(Some(mid)),
            std::cmp::Ordering::Greater => high = mid,
        }
    }
    Ok(None)
}

// TABLES
impl Run {
    #[inline(always)]
    fn ranks_table(&self, _direction: Direction) -> Option<&Blob> {
        None
    }
}
