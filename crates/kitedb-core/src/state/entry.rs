//! Where an edge was come upon, so that its properties need not be searched for again.

use super::reading::Reading;
use crate::{
    error::Result,
    graph::{Direction, EdgeKey, PropList},
    store::Row,
};

/// The entry that shows an edge: of run number `run`, the one of that number among those of its outgoing rows. Newer levels
/// may say other properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryAt {
    run: u32,
    number: u64,
}

impl EntryAt {
    /// The entry at `at` of a row of run number `run`. Properties stand by outgoing entries: an incoming row does not tell
    /// where.
    #[inline]
    pub(super) fn of(direction: Direction, run: u32, row: &Row<'_>, at: usize) -> Option<Self> {
        match direction {
            Direction::Out => Some(Self { run, number: row.ordinal(at) }),
            Direction::In => None,
        }
    }
}

impl<'a> Reading<'a> {
    /// As [`Reading::edge`], of an edge that `entry` shows: only what is newer than that is searched.
    pub fn edge_shown_by(&self, edge: EdgeKey, entry: EntryAt) -> Result<Option<PropList<'a>>> {
        let Some(own) = self.levels.runs.get(entry.run as usize) else { return self.edge(edge) };
        if let Some(decided) = self.edge_over_runs(edge) {
            return Ok(decided);
        }
        if let Some(decided) = self.edge_in_runs(edge, entry.run as usize + 1)? {
            return Ok(decided);
        }
        own.numbered_edge_props(entry.number).map(Some)
    }
}
