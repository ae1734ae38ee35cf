//! Merges adjacent runs into one. Newer wins; what cancels out disappears. Streaming, in bounded memory.
//!
//! What runs say must fit together: an entry what older runs have of its edge (I18), the outgoing edges the incoming ones, an
//! edge and a vector their nodes, a key one node (I22). Where it does not, something was damaged under a good checksum, and
//! no choice is made: that is `CORRUPT`, and the runs stay as they are.

use super::{
    bounds::RunBounds,
    file::Store,
    row::{EntryKind, Row, RowEntry},
    run::Run,
    run_writer::RunWriter,
    section::Section,
    section_writer::Pace,
};
use crate::{
    error::{Error, Result},
    graph::{Direction, EdgeKey, NodeId},
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    iter::Peekable,
    sync::Arc,
};

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
    merge_names(runs, &mut writer)?;
    merge_nodes(runs, oldest, &mut writer)?;
    writer.end_nodes()?;
    let outgoing = merge_edges(runs, Direction::Out, oldest, nodes, &mut writer)?;
    let incoming = merge_edges(runs, Direction::In, oldest, nodes, &mut writer)?;
    if outgoing != incoming {
        return Err(contradiction("the edges at their sources are not those at their destinations"));
    }
    merge_labels(runs, oldest, &mut writer)?;
    merge_vectors(runs, oldest, nodes, &mut writer)?;
    require_sound(runs)?;
    writer.finish()
}

/// What runs say does not fit together, though each of them verifies.
#[cold]
fn contradiction(what: impl std::fmt::Display) -> Error {
    Error::corrupt(format_args!(
        "the runs of the database file contradict each other: {what}; they are not merged. Reseed it from another node, or \
         restore it from a copy"
    ))
}

impl Nodes {
    /// Fails if `id` is known not to be there, and `what` needs it.
    #[inline]
    fn require(self, id: NodeId, what: &str, writer: &RunWriter<'_>) -> Result<()> {
        let there = match self {
            Self::AllHere => writer.has_node(id)?,
            Self::DeadHere => !writer.is_dead(id)?,
            #[cfg(test)]
            Self::Unknown => true,
        };
        if there { Ok(()) } else { Err(contradiction(format_args!("{what} node {id}, which does not exist"))) }
    }
}

/// Edges in any order, as a number: equal sums are taken to be equal sets.
#[derive(Debug, Default, PartialEq, Eq)]
struct EdgeSum {
    count: u64,
    sum: u64,
}

impl EdgeSum {
    #[inline]
    fn add(&mut self, edge: EdgeKey, kind: EntryKind) {
        const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
        let ends = (edge.src.0.wrapping_mul(FACTOR) ^ edge.dst.0.rotate_left(32)).wrapping_mul(FACTOR);
        let hash = (ends ^ ends >> 29 ^ u64::from(edge.ty.0) << 2 ^ kind as u64).wrapping_mul(FACTOR);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hash ^ hash >> 32);
    }
}

/// Fails if what was copied does not verify. A block is verified when it is first touched, perhaps long before a merge: what
/// became of it since would get a good checksum. Asked after the copy, so that nothing of it escapes.
fn require_sound(runs: &[Arc<Run>]) -> Result<()> {
    runs.iter().flat_map(|run| run.sections()).try_for_each(Section::require_sound)
}

fn merge_names(runs: &[Arc<Run>], writer: &mut RunWriter<'_>) -> Result<()> {
    let mut names = BTreeMap::new();
    for run in runs {
        for (kind, id, dimension, name) in run.names()? {
            match names.entry((kind, id)) {
                Entry::Vacant(entry) => drop(entry.insert((dimension, name))),
                Entry::Occupied(entry) if entry.get().1 != name => {
                    let (was, kind) = (&entry.get().1, kind.noun());
                    return Err(contradiction(format_args!("{kind} {id} is '{was}' and '{name}'")));
                }
                // The length of vectors may be fixed later than the name.
                Entry::Occupied(mut entry) => entry.get_mut().0 = dimension,
            }
        }
    }
    names.into_iter().try_for_each(|((kind, id), (dimension, name))| writer.name(kind, id, dimension, &name))
}

fn merge_nodes(runs: &[Arc<Run>], oldest: bool, writer: &mut RunWriter<'_>) -> Result<()> {
    let scans = runs.iter().map(|run| run.nodes_from(NodeId(0)).map(|item| item.map(|record| (record.id(), record))));
    for_each_key(scans, |_, found| match found.last() {
        Some((_, record)) if !(oldest && record.is_dead()) => writer.node(record.as_bytes()),
        _ => Ok(()),
    })
}

/// Returns what it wrote.
fn merge_edges(
    runs: &[Arc<Run>],
    direction: Direction,
    oldest: bool,
    nodes: Nodes,
    writer: &mut RunWriter<'_>,
) -> Result<EdgeSum> {
    let scans = runs.iter().map(|run| run.rows_from(direction, NodeId(0)));
    let mut written = EdgeSum::default();
    for_each_key(scans, |node, rows| {
        let mut known = false;
        for_each_entry(rows, |entry, kind, newest, at| {
            let kind = if oldest { settled(kind)? } else { kind };
            if !known && kind != EntryKind::Remove {
                // Both ends: each row is looked at in both directions.
                nodes.require(node, "there is an edge at", writer)?;
                known = true;
            }
            let other = entry.other;
            let (src, dst) = if direction == Direction::Out { (node, other) } else { (other, node) };
            let edge = EdgeKey { src, ty: entry.ty, dst };
            written.add(edge, kind);
            match (direction, runs.get(newest.0)) {
                (Direction::Out, Some(run)) if kind != EntryKind::Remove => {
                    writer.out_edge(edge, kind, run.edge_props(&newest.1, at)?.as_bytes())
                }
                (Direction::Out, _) => writer.out_edge(edge, kind, &[]),
                (Direction::In, _) => writer.in_edge(edge, kind),
            }
        })
    })?;
    Ok(written)
}

fn merge_labels(runs: &[Arc<Run>], oldest: bool, writer: &mut RunWriter<'_>) -> Result<()> {
    let scans = runs.iter().map(|run| run.labels().map(|item| item.map(|(label, members)| (label, members.0))));
    for_each_key(scans, |label, rows| {
        for_each_entry(rows, |entry, kind, _, _| match kind {
            kind if oldest => writer.label_member(label, entry.other, settled(kind)?),
            // Removed and added again: a member as older runs have it.
            EntryKind::Replace => Ok(()),
            kind => writer.label_member(label, entry.other, kind),
        })
    })
}

fn merge_vectors(runs: &[Arc<Run>], oldest: bool, nodes: Nodes, writer: &mut RunWriter<'_>) -> Result<()> {
    let scans = runs.iter().map(|run| run.vectors_from(NodeId(0)));
    for_each_key(scans, |node, found| {
        let mut newest = BTreeMap::new();
        for (_, entries) in found {
            for entry in entries.clone() {
                let (key, vector) = entry?;
                newest.insert(key, vector);
            }
        }
        if newest.values().any(Option::is_some) {
            nodes.require(node, "there is a vector of", writer)?;
        }
        for (key, vector) in newest {
            if vector.is_some() || !oldest {
                writer.vector(node, key, vector.as_ref().map(|vector| vector.as_bytes()))?;
            }
        }
        Ok(())
    })
}

/// Walks ascending sources together: `each` gets a key and, oldest first, the number of each source that has
/// it and what it has.
fn for_each_key<K: Ord + Copy, T, I: Iterator<Item = Result<(K, T)>>>(
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

/// Walks rows of one key together, oldest first: `each` gets each entry that remains, with its kind towards
/// what is older than all of them, and the newest row that has it (with its number) and the place in it.
fn for_each_entry<'r>(
    rows: &[(usize, Row<'r>)],
    mut each: impl FnMut(RowEntry, EntryKind, (usize, Row<'r>), usize) -> Result<()>,
) -> Result<()> {
    if let [one] = rows {
        return one.1.iter().enumerate().try_for_each(|(at, entry)| each(entry, entry.kind, *one, at));
    }
    let mut heads: Vec<_> = rows.iter().map(|row| (row, 0, row.1.get(0))).collect();
    loop {
        let Some(least) = heads.iter().filter_map(|head| head.2).map(|e| (e.ty, e.other)).min() else { return Ok(()) };
        let mut folded = None;
        let mut newest = None;
        for (row, at, entry) in &mut heads {
            let Some(here) = entry.filter(|e| (e.ty, e.other) == least) else { continue };
            folded = match folded {
                None => Some(here.kind),
                Some(older) => fold(older, here)?,
            };
            newest = Some((here, **row, *at));
            *at += 1;
            *entry = row.1.get(*at);
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
fn settled(kind: EntryKind) -> Result<EntryKind> {
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
