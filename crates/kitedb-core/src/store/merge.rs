//! Merges adjacent runs into one. Newer wins; what cancels out disappears. Streaming, in bounded memory.
//!
//! What runs say must fit together: an entry what older runs have of its edge (I18), the outgoing edges the incoming ones, an
//! edge and a vector their nodes, a key one node (I22). Where it does not, something was damaged under a good checksum, and
//! no choice is made: that is `CORRUPT`, and the runs stay as they are.
//!
//! Here is what all tables have in common; what a merge does with one table stands with it, in [`super::tables`].

use super::{
    file::Store,
    row::{EntryKind, Row, RowEntry},
    run::Run,
    run_writer::RunWriter,
    section::Section,
    section_writer::Pace,
    tables::{EdgeSum, RunBounds, VectorPlan},
};
use crate::{
    error::{Error, Result},
    graph::NodeId,
};
use std::{iter::Peekable, sync::Arc};

/// Merges `runs`, adjacent and oldest first, into one run that is written and synced, but not published.
/// `oldest`: no older run remains, so that tombstones have nothing left to hide.
pub fn merge<'a>(store: &Store, runs: &[Arc<Run>], oldest: bool, pace: &'a mut Pace<'a>) -> Result<Arc<Run>> {
    let nodes = if oldest { Nodes::AllHere } else { Nodes::DeadHere };
    merge_with(store, runs, oldest, nodes, pace)
}

/// What a merge knows of the nodes that edges and vectors need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nodes {
    /// No older run has any: each is in the merged run.
    AllHere,
    /// Older runs may have them; those that the merged runs delete are not there.
    DeadHere,
    /// Nothing: for runs that are no graph's.
    #[cfg(test)]
    Unknown,
}

/// As [`merge`], with what is known of nodes.
pub(super) fn merge_with<'a>(
    store: &Store,
    runs: &[Arc<Run>],
    oldest: bool,
    nodes: Nodes,
    pace: &'a mut Pace<'a>,
) -> Result<Arc<Run>> {
    // What the disk cannot read is an error here, and a signal once it is copied from the mapping.
    require_sound(runs)?;
    let bounds = RunBounds::of_merge(runs.iter().map(|run| run.meta()));
    let mut writer = store.begin_run(&bounds, pace)?;
    Merge { runs, oldest, nodes, outgoing: EdgeSum::default(), vectors: VectorPlan::default() }
        .write_to(&mut writer)?;
    require_sound(runs)?;
    writer.finish()
}

/// A merge under way.
pub(super) struct Merge<'a> {
    /// Adjacent runs, oldest first.
    pub runs: &'a [Arc<Run>],
    /// No older run remains.
    pub oldest: bool,
    /// What is known of nodes.
    pub nodes: Nodes,
    /// The edges that were written by their source.
    pub outgoing: EdgeSum,
    /// Which vectors will lie where.
    pub vectors: VectorPlan,
}

/// What runs say does not fit together, though each of them verifies.
#[cold]
pub(super) fn contradiction(what: impl std::fmt::Display) -> Error {
    Error::corrupt(format_args!(
        "the runs of the database file contradict each other: {what}; they are not merged. Reseed it from another node, or \
         restore it from a copy"
    ))
}

impl Nodes {
    /// Fails if `id` is known not to be there, and `what` needs it.
    #[inline]
    pub fn require(self, id: NodeId, what: &str, writer: &RunWriter<'_>) -> Result<()> {
        let there = match self {
            Self::AllHere => writer.has_node(id)?,
            Self::DeadHere => !writer.is_dead(id)?,
            #[cfg(test)]
            Self::Unknown => true,
        };
        if there { Ok(()) } else { Err(contradiction(format_args!("{what} node {id}, which does not exist"))) }
    }
}

/// Fails if what was copied does not verify. A block is verified when it is first touched, perhaps long before a merge: what
/// became of it since would get a good checksum. Asked after the copy, so that nothing of it escapes.
fn require_sound(runs: &[Arc<Run>]) -> Result<()> {
    runs.iter().flat_map(|run| run.sections()).try_for_each(Section::require_sound)
}

/// Walks ascending sources together: `each` gets a key and, oldest first, the number of each source that has
/// it and what it has.
pub(super) fn for_each_key<K: Ord + Copy, T, I: Iterator<Item = Result<(K, T)>>>(
    sources: impl Iterator<Item = I>,
    mut each: impl FnMut(K, &[(usize, T)]) -> Result<()>,
) -> Result<()> {
    let mut sources: Vec<Peekable<I>> = sources.map(Iterator::peekable).collect();
    let mut found = Vec::with_capacity(sources.len());
    loop {
        // A source that failed hands out its error below.
        let next =
            sources.iter_mut().filter_map(|source| source.peek()).map(|item| item.as_ref().ok().map(|(k, _)| *k));
        let Some(least) = next.min() else { return Ok(()) };
        found.clear();
        for (number, source) in sources.iter_mut().enumerate() {
            let due = |item: &Result<(K, T)>| item.as_ref().map_or(true, |(key, _)| Some(*key) == least);
            if let Some(item) = source.next_if(due) {
                found.push((number, item?.1));
            }
        }
        if let Some(key) = least {
            each(key, &found)?;
        }
    }
}

/// Walks rows of one key together, oldest first: `each` gets each entry that remains and its rank, with its kind towards
/// what is older than all of them, and the newest row that has it (with its number) and the place in it. `rank` tells the
/// rank of an entry of one of these rows.
pub(super) fn for_each_entry<'r>(
    rows: &[(usize, Row<'r>)],
    rank: impl Fn(&(usize, Row<'r>), usize) -> Result<u64>,
    mut each: impl FnMut((RowEntry, u64), EntryKind, (usize, Row<'r>), usize) -> Result<()>,
) -> Result<()> {
    if let [one] = rows {
        return one
            .1
            .iter()
            .enumerate()
            .try_for_each(|(at, entry)| each((entry, rank(one, at)?), entry.kind, *one, at));
    }
    let entry_at = |row: &(usize, Row<'r>), at| row.1.get(at).map(|entry| Ok((entry, rank(row, at)?))).transpose();
    let mut heads = Vec::with_capacity(rows.len());
    for row in rows {
        heads.push((row, 0, entry_at(row, 0)?));
    }
    let place = |(entry, rank): (RowEntry, u64)| (entry.ty, entry.other, rank);
    loop {
        let Some(least) = heads.iter().filter_map(|head| head.2).map(place).min() else { return Ok(()) };
        let mut folded = None;
        let mut newest = None;
        for (row, at, entry) in &mut heads {
            let Some(here) = entry.filter(|entry| place(*entry) == least) else { continue };
            folded = match folded {
                None => Some(here.0.kind),
                Some(older) => fold(older, here.0)?,
            };
            newest = Some((here, **row, *at));
            *at += 1;
            *entry = entry_at(row, *at)?;
        }
        if let (Some(kind), Some((entry, row, at))) = (folded, newest) {
            each(entry, kind, row, at)?;
        }
    }
}

/// What `older` and then `newer` are together towards what is older than both. Upholds I18.
fn fold(older: EntryKind, newer: RowEntry) -> Result<Option<EntryKind>> {
    use EntryKind::{Add, Remove, Replace};
    Ok(match (older, newer.kind) {
        (Add, Remove) => None,
        (Add, Replace) => Some(Add),
        (Remove, Add) | (Replace, Replace) => Some(Replace),
        (Replace, Remove) => Some(Remove),
        (Add | Replace, Add) | (Remove, Remove | Replace) => {
            return Err(contradiction(format_args!("{newer:?} of a run comes after {older:?} of an older one")));
        }
    })
}

/// The kind that an entry has once nothing older remains. Upholds I19.
pub(super) fn settled(kind: EntryKind) -> Result<EntryKind> {
    match kind {
        EntryKind::Add => Ok(kind),
        _ => Err(contradiction(format_args!("the oldest ones {kind:?} what they do not have"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::ErrorCode, graph::EdgeTypeId};

    #[test]
    fn two_kinds_fold_into_one_or_cancel_out_or_are_impossible() {
        use EntryKind::{Add, Remove, Replace};
        let cases = [
            (Add, Remove, Some(None)),
            (Add, Replace, Some(Some(Add))),
            (Remove, Add, Some(Some(Replace))),
            (Replace, Remove, Some(Some(Remove))),
            (Replace, Replace, Some(Some(Replace))),
            (Add, Add, None),
            (Replace, Add, None),
            (Remove, Remove, None),
            (Remove, Replace, None),
        ];
        for (older, kind, expected) in cases {
            let newer = RowEntry { ty: EdgeTypeId(1), kind, other: NodeId(1) };
            assert_eq!(
                fold(older, newer).map_err(|e| assert_eq!(e.code(), ErrorCode::Corrupt)).ok(),
                expected,
                "{older:?} {kind:?}"
            );
        }
    }
}
