//! The edges at one node in the order (type, other end, rank), from any edge on: for pages and scans. Each level gives what it
//! has in this order, and what is taken is merged; so a page costs what it returns, wherever in the edges of a node it
//! begins.

use super::{
    delta::Delta,
    entry::EntryAt,
    neighbors::{EdgesAt, within},
    order::Sorted,
    orders::{Edge, TouchedAt},
    reading::Reading,
};
use crate::{
    error::Result,
    graph::{Direction, EdgeTypeId, NodeId},
    store::{EntryKind, Ranks, Row},
};
use std::{cmp::Reverse, collections::BinaryHeap, ops::Range};

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Ordered<'a> {
    at: EdgesAt<'a>,
    /// The only type that is wanted, if one is.
    ty: Option<EdgeTypeId>,
    /// Whether some level may remove edges of this node from those below it.
    hiding: bool,
    /// The one source, where there is one: as mostly.
    only: Option<Input<'a>>,
    /// All of them where there are several.
    several: Vec<Input<'a>>,
    /// The next edge of each of several, the least first.
    heads: BinaryHeap<Reverse<Head>>,
}

/// An edge, which of several sources has it, and where it stands, if an outgoing row of a run has it.
type Head = (Edge, usize, Option<EntryAt>);

#[derive(Debug)]
enum Input<'a> {
    /// Entries of run number `run`.
    Row { run: u32, row: Row<'a>, ranks: Ranks<'a>, range: Range<usize> },
    /// What deltas and the transaction add, where that is little.
    Added { edges: std::vec::IntoIter<Edge> },
    /// What delta number `number` (0 = frozen, 1 = active) touched.
    Delta { number: usize, delta: &'a Delta, edges: Sorted<TouchedAt> },
    /// What the transaction itself touched.
    Own { edges: Sorted<TouchedAt> },
}

impl<'a> Ordered<'a> {
    /// The edges after `after`. Who takes no more than about `limit` of them says so: then the node's rows are not read
    /// to their ends in order to find out whether they hide anything.
    #[inline]
    fn new(
        reading: Reading<'a>,
        node: NodeId,
        direction: Direction,
        ty: Option<EdgeTypeId>,
        after: Option<Edge>,
        limit: usize,
    ) -> Result<Self> {
        let at = EdgesAt { reading, node, direction };
        let mut found = Self { at, ty, hiding: false, only: None, several: Vec::new(), heads: BinaryHeap::new() };
        for (number, run) in reading.levels.runs.iter().enumerate() {
            let (row, ranks) = at.row(number)?;
            let range = rest(&row, &ranks, ty, after);
            if number > 0 && run.has_removals() && !row.is_empty() {
                found.hiding |= row.len() > limit.max(64) || row.iter().any(|entry| entry.kind == EntryKind::Remove);
            }
            if !range.is_empty() {
                found.add(Input::Row { run: number as u32, row, ranks, range });
            }
        }
        if reading.overlay.is_some() || reading.levels.deltas().next().is_some() {
            found.add_touched(after);
        }
        if !found.several.is_empty() {
            (0..found.several.len()).for_each(|source| found.pull(source));
        }
        Ok(found)
    }

    /// The first `limit` edges, and whether there are more.
    #[inline]
    pub fn page(mut self, limit: usize) -> (Vec<Edge>, bool) {
        // Where one level has all of them, as mostly, they need not be put together.
        match self.only.take() {
            Some(Input::Added { edges }) => {
                let mut found: Vec<Edge> = edges.collect();
                let more = found.len() > limit;
                found.truncate(limit);
                return (found, more);
            }
            Some(Input::Row { row, ranks, range, .. }) if !self.hiding => {
                let mut found = Vec::with_capacity(range.len().min(limit));
                let mut rest =
                    range.filter_map(|i| row.get(i).filter(|entry| entry.kind == EntryKind::Add).zip(Some(i)));
                found.extend(rest.by_ref().take(limit).map(|(entry, i)| (entry.ty, entry.other, ranks.of(&row, i))));
                return (found, rest.next().is_some());
            }
            only => self.only = only,
        }
        let found = self.by_ref().take(limit).collect();
        (found, self.next().is_some())
    }

    #[inline]
    fn add(&mut self, source: Input<'a>) {
        if self.only.is_none() && self.several.is_empty() {
            self.only = Some(source);
        } else {
            self.several.extend(self.only.take());
            self.several.push(source);
        }
    }

    /// Adds what deltas and the overlay touched.
    fn add_touched(&mut self, after: Option<Edge>) {
        let (at, ty, reading) = (self.at, self.ty, self.at.reading);
        let first = (ty.unwrap_or_default(), NodeId(0), 0);
        // No edge has a rank anywhere near the greatest number.
        let from = after.map_or(first, |(ty, other, rank)| (ty, other, rank.saturating_add(1))).max(first);
        let wanted = |edge: &Edge| *edge >= from && ty.is_none_or(|ty| ty == edge.0);
        let seen = (at.node, at.direction);
        let mut added = Vec::with_capacity(8);
        // Where in `added` what the frozen delta, and then the active one adds, ends.
        let mut ends = [0; 2];
        let levels = reading.levels;
        for (number, delta) in [levels.frozen.as_deref(), Some(&*levels.active)].into_iter().enumerate() {
            if let Some(delta) = delta.filter(|delta| !delta.is_empty()) {
                let (edges, removals) = delta.edges_from(seen, reading.at, from, wanted, &mut added);
                self.hiding |= removals;
                edges.into_iter().for_each(|edges| self.add(Input::Delta { number, delta, edges }));
            }
            ends[number] = added.len();
        }
        if let Some(overlay) = reading.overlay {
            self.hiding |= !overlay.edges_of(at.node, at.direction).is_empty();
            let edges = overlay.edges_from(seen, from, wanted, &mut added);
            edges.into_iter().for_each(|edges| self.add(Input::Own { edges }));
        }
        if added.is_empty() {
            return;
        }
        if self.hiding {
            let mut place = 0;
            added.retain(|edge| {
                let newer = ends.iter().filter(|end| **end <= place).count() + 1;
                place += 1;
                newer > 2 || !at.hidden_by_delta(newer, at.edge(*edge))
            });
        }
        added.sort_unstable();
        self.add(Input::Added { edges: added.into_iter() });
    }

    /// Puts the next edge of one of several sources among the heads.
    fn pull(&mut self, source: usize) {
        let (at, ty, hiding) = (self.at, self.ty, self.hiding);
        if let Some((edge, entry)) = self.several.get_mut(source).and_then(|source| source.next(at, ty, hiding)) {
            self.heads.push(Reverse((edge, source, entry)));
        }
    }
}

impl Input<'_> {
    #[inline]
    fn next(&mut self, at: EdgesAt<'_>, ty: Option<EdgeTypeId>, hiding: bool) -> Option<(Edge, Option<EntryAt>)> {
        let wanted = |(edge, _): &TouchedAt| ty.is_none_or(|ty| ty == edge.0);
        match self {
            Self::Row { run, row, ranks, range } => range.find_map(|i| {
                let edge = at.shown(*run, row, ranks, i, hiding)?;
                Some((edge, EntryAt::of(at.direction, *run, row, i)))
            }),
            Self::Added { edges } => edges.next().map(|edge| (edge, None)),
            // Of one type they stand together.
            Self::Delta { number, delta, edges } => edges.take_while(wanted).find_map(|(seen, touched)| {
                let (edge, state, _) = delta.edge_of(touched, at.direction, at.reading.at)?;
                let (props, below) = state?;
                let there = !below && props.is_some() && !(hiding && at.hidden_by_delta(*number + 1, edge));
                there.then_some((seen, None))
            }),
            Self::Own { edges } => edges.take_while(wanted).find_map(|(seen, touched)| {
                let change = at.reading.overlay.and_then(|overlay| overlay.edge_at(touched - 1))?;
                change.is_added().then_some((seen, None))
            }),
        }
    }
}

/// Where the entries of a row stand that are wanted and come after `after`.
fn rest(row: &Row<'_>, ranks: &Ranks<'_>, ty: Option<EdgeTypeId>, after: Option<Edge>) -> Range<usize> {
    let range = within(row, ty);
    let Some(after) = after else { return range };
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let mid = low + (high - low) / 2;
        let passed = row.get(mid).is_some_and(|entry| (entry.ty, entry.other, ranks.of(row, mid)) <= after);
        if passed { low = mid + 1 } else { high = mid }
    }
    low..range.end
}

impl Ordered<'_> {
    /// The next edge, and where it stands, if an outgoing row of a run has it.
    #[inline]
    pub fn next_found(&mut self) -> Option<(Edge, Option<EntryAt>)> {
        let (at, ty, hiding) = (self.at, self.ty, self.hiding);
        if let Some(only) = &mut self.only {
            return only.next(at, ty, hiding);
        }
        let Reverse((edge, source, entry)) = self.heads.pop()?;
        self.pull(source);
        Some((edge, entry))
    }
}

impl Iterator for Ordered<'_> {
    type Item = Edge;

    #[inline]
    fn next(&mut self) -> Option<Edge> {
        self.next_found().map(|(edge, _)| edge)
    }
}

impl<'a> Reading<'a> {
    /// The edges at a node after `after`, in the order (type, other end, rank); about `limit` of them are wanted.
    #[inline]
    pub fn edges_in_order(
        &self,
        id: NodeId,
        direction: Direction,
        ty: Option<EdgeTypeId>,
        after: Option<Edge>,
        limit: usize,
    ) -> Result<Ordered<'a>> {
        Ordered::new(*self, id, direction, ty, after, limit)
    }
}
