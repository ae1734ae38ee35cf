//! The edges at one node: row by row from the runs, then what the deltas and the overlay add.
//!
//! An entry of a level says `Add` exactly if the edge is not visible below it, so no edge is met twice. An edge
//! is passed over if a newer level removes it; whether any may do so is found out once, before the first edge.

use super::{entry::EntryAt, orders::Edge, reading::Reading};
use crate::{
    error::Result,
    graph::{Direction, EdgeKey, EdgeTypeId, NodeId},
    store::{EntryKind, Ints, Ranks, Row},
};
use std::ops::Range;

/// The edges at a node, seen from it, in one state: tells which of them a newer level hides.
#[derive(Debug, Clone, Copy)]
pub(super) struct EdgesAt<'a> {
    pub reading: Reading<'a>,
    pub node: NodeId,
    pub direction: Direction,
}

impl<'a> EdgesAt<'a> {
    /// The edge that looks like this from the node.
    #[inline]
    pub fn edge(&self, (ty, other, rank): Edge) -> EdgeKey {
        EdgeKey::seen_from(self.node, self.direction, ty, other, rank)
    }

    /// The row of the node in run number `run`, and the ranks of its entries: verified, both.
    #[inline]
    pub fn row(&self, run: usize) -> Result<(Row<'a>, Ranks<'a>)> {
        let Some(run) = self.reading.levels.runs.get(run) else { return Ok((Row::EMPTY, Ranks::NONE)) };
        let row = run.row(self.direction, self.node)?;
        Ok((row, run.ranks(self.direction, &row)?))
    }

    /// As [`EdgesAt::row`], once it was verified that it can be read.
    pub fn verified_row(&self, run: u32) -> (Row<'a>, Ranks<'a>) {
        self.row(run as usize).unwrap_or((Row::EMPTY, Ranks::NONE))
    }

    /// Whether a level newer than run `run` removes the edge.
    pub fn hidden_over_run(&self, run: u32, edge: EdgeKey) -> bool {
        let newer = self.reading.levels.runs.get(run as usize + 1..).unwrap_or_default();
        let by_run = newer.iter().filter(|r| r.has_removals()).any(|r| {
            // Verified when the iterator was made.
            let row = r.row(self.direction, self.node).unwrap_or(Row::EMPTY);
            let found = r.find(self.direction, &row, edge).ok().flatten();
            found.is_some_and(|at| row.kind(at) == Some(EntryKind::Remove))
        });
        by_run || self.hidden_by_delta(0, edge)
    }

    /// Whether the delta number `from` (0 = frozen, 1 = active) or a newer level removes the edge.
    pub fn hidden_by_delta(&self, from: usize, edge: EdgeKey) -> bool {
        let levels = self.reading.levels;
        let deltas = [levels.frozen.as_deref(), Some(&*levels.active)];
        deltas[from.min(2)..]
            .iter()
            .flatten()
            .any(|delta| delta.edge(edge, self.reading.at).is_some_and(|props| props.is_none()))
            || self.reading.overlay.and_then(|o| o.edge(edge)).is_some_and(|change| change.props.is_none())
    }

    /// The edge that the entry at `at` of the row of run `run` shows.
    #[inline]
    pub fn shown(&self, run: u32, row: &Row<'_>, ranks: &Ranks<'_>, at: usize, hiding: bool) -> Option<Edge> {
        let entry = row.get(at).filter(|entry| entry.kind == EntryKind::Add)?;
        let edge = (entry.ty, entry.other, ranks.of(row, at));
        (!(hiding && self.hidden_over_run(run, self.edge(edge)))).then_some(edge)
    }
}

/// The edges at one node, in no particular order.
#[derive(Debug, Clone)]
pub struct Neighbors<'a> {
    row: Row<'a>,
    ranks: Ranks<'a>,
    range: Range<usize>,
    at: EdgesAt<'a>,
    ty: Option<EdgeTypeId>,
    /// Whether some level may remove edges of this node from those below it.
    hiding: bool,
    /// The run that `row` is of.
    run: u32,
    /// Runs after it that have edges of this node: bit n = run n.
    rows: u64,
    /// The next edge touched by the frozen and by the active delta.
    touched: [u32; 2],
    own: &'a [u32],
}

/// More runs than this are merged before anything else is done.
pub const MAX_READABLE_RUNS: usize = 63;

impl<'a> Neighbors<'a> {
    #[inline]
    fn none(at: EdgesAt<'a>) -> Self {
        Self {
            row: Row::EMPTY,
            ranks: Ranks::NONE,
            range: 0..0,
            at,
            ty: None,
            hiding: false,
            run: 0,
            rows: 0,
            touched: [0; 2],
            own: &[],
        }
    }

    #[inline]
    pub(super) fn new(
        reading: Reading<'a>,
        node: NodeId,
        direction: Direction,
        ty: Option<EdgeTypeId>,
    ) -> Result<Self> {
        let levels = reading.levels;
        let mut found = Self { ty, ..Self::none(EdgesAt { reading, node, direction }) };
        if !levels.runs.is_empty() {
            (found.row, found.ranks) = found.at.row(0)?;
            found.range = within(&found.row, ty);
        }
        for (at, run) in levels.runs.iter().enumerate().skip(1) {
            let (row, _) = found.at.row(at)?;
            if !row.is_empty() {
                found.rows |= 1 << at;
                found.hiding |= run.has_removals() && row.iter().any(|e| e.kind == EntryKind::Remove);
            }
        }
        for (at, delta) in [levels.frozen.as_ref(), Some(&levels.active)].into_iter().enumerate() {
            if let Some(delta) = delta
                && !delta.is_empty()
            {
                let (first, removals) = delta.first_edge_of(node, direction);
                found.touched[at] = first;
                found.hiding |= removals;
            }
        }
        if let Some(overlay) = reading.overlay {
            found.own = overlay.edges_of(node, direction);
            found.hiding |= !found.own.is_empty();
        }
        Ok(found)
    }

    /// Goes on with the next run that has edges of this node.
    fn next_row(&mut self) -> bool {
        if self.rows == 0 {
            return false;
        }
        self.run = self.rows.trailing_zeros();
        self.rows &= self.rows - 1;
        (self.row, self.ranks) = self.at.verified_row(self.run);
        self.range = within(&self.row, self.ty);
        true
    }

    fn wanted(&self, ty: EdgeTypeId) -> bool {
        self.ty.is_none_or(|wanted| wanted == ty)
    }

    /// The next edge that a delta or the overlay adds.
    #[inline]
    fn next_added(&mut self) -> Option<EdgeKey> {
        let levels = self.at.reading.levels;
        for (number, delta) in [levels.frozen.as_deref(), Some(&*levels.active)].into_iter().enumerate() {
            let Some(delta) = delta else { continue };
            while self.touched[number] != 0 {
                let (edge, state, next) = delta.edge_of(self.touched[number], self.at.direction, self.at.reading.at)?;
                self.touched[number] = next;
                let Some((props, below)) = state else { continue };
                if !below
                    && props.is_some()
                    && self.wanted(edge.ty)
                    && !(self.hiding && self.at.hidden_by_delta(number + 1, edge))
                {
                    return Some(edge);
                }
            }
        }
        while let Some((&at, rest)) = self.own.split_first() {
            self.own = rest;
            let change = self.at.reading.overlay.and_then(|o| o.edge_at(at))?;
            if change.is_added() && self.wanted(change.edge.ty) {
                return Some(change.edge);
            }
        }
        None
    }

    /// Whether every entry of the current row's range counts, without a look at each.
    fn plain(&self) -> bool {
        self.run == 0 && !self.hiding
    }

    /// How many edges are left.
    pub fn degree(mut self) -> u64 {
        let mut count = 0;
        loop {
            if self.plain() {
                count += self.range.len() as u64;
            } else {
                count += self.range.clone().filter(|&i| self.visible(i).is_some()).count() as u64;
            }
            if !self.next_row() {
                break;
            }
        }
        while self.next_added().is_some() {
            count += 1;
        }
        count
    }

    /// The next edge, and where it stands, if an outgoing row of a run has it.
    #[inline]
    pub fn next_found(&mut self) -> Option<(EdgeKey, Option<EntryAt>)> {
        loop {
            while let Some(i) = self.range.next() {
                if let Some(edge) = self.visible(i) {
                    return Some((edge, EntryAt::of(self.at.direction, self.run, &self.row, i)));
                }
            }
            if !self.next_row() {
                return self.next_added().map(|edge| (edge, None));
            }
        }
    }

    #[inline]
    fn visible(&self, i: usize) -> Option<EdgeKey> {
        self.at.shown(self.run, &self.row, &self.ranks, i, self.hiding).map(|edge| self.at.edge(edge))
    }
}

#[inline]
pub(super) fn within(row: &Row<'_>, ty: Option<EdgeTypeId>) -> Range<usize> {
    match ty {
        None => 0..row.len(),
        Some(ty) => row.type_range(ty),
    }
}

impl Iterator for Neighbors<'_> {
    type Item = EdgeKey;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.next_found().map(|(edge, _)| edge)
    }
}

/// Calls `f` with the other end of each edge at `node`, in no particular order: what [`Neighbors`] gives, without
/// an iterator's state, for the traversals that are counted in nanoseconds.
#[inline]
fn visit(
    reading: Reading<'_>,
    node: NodeId,
    direction: Direction,
    ty: Option<EdgeTypeId>,
    mut f: impl FnMut(NodeId),
) -> Result<()> {
    let levels = reading.levels;
    let mut touched = [0; 2];
    let mut hiding = reading.overlay.is_some_and(|o| !o.edges_of(node, direction).is_empty());
    if !levels.active.is_empty() {
        (touched[1], hiding) = with(levels.active.first_edge_of(node, direction), hiding);
    }
    if let Some(frozen) = &levels.frozen {
        (touched[0], hiding) = with(frozen.first_edge_of(node, direction), hiding);
    }
    for run in levels.runs.get(1..).unwrap_or_default().iter().filter(|run| run.has_removals()) {
        hiding |= run.row(direction, node)?.iter().any(|entry| entry.kind == EntryKind::Remove);
    }
    if hiding {
        Neighbors::new(reading, node, direction, ty)?.for_each(|edge| f(edge.ends(direction).1));
        return Ok(());
    }
    for run in levels.runs.iter() {
        let row = run.row(direction, node)?;
        if row.is_empty() {
            continue;
        }
        let range = within(&row, ty);
        if run.has_replacements() {
            range.filter_map(|at| row.get(at)).filter(|e| e.kind == EntryKind::Add).for_each(|e| f(e.other));
            continue;
        }
        match row.others() {
            Ints::U32(all) => all.get(range).unwrap_or_default().iter().for_each(|&id| f(NodeId(id.into()))),
            Ints::U64(all) => all.get(range).unwrap_or_default().iter().for_each(|&id| f(NodeId(id))),
        }
    }
    for (at, delta) in [levels.frozen.as_deref(), Some(&*levels.active)].into_iter().enumerate() {
        let Some(delta) = delta else { continue };
        while touched[at] != 0 {
            let Some((edge, state, next)) = delta.edge_of(touched[at], direction, reading.at) else { break };
            touched[at] = next;
            if state.is_some_and(|(props, below)| !below && props.is_some()) && ty.is_none_or(|t| t == edge.ty) {
                f(edge.ends(direction).1);
            }
        }
    }
    Ok(())
}

#[inline]
fn with((first, removals): (u32, bool), hiding: bool) -> (u32, bool) {
    (first, hiding || removals)
}

impl<'a> Reading<'a> {
    /// None of the edges at a node.
    pub fn none_at(&self, id: NodeId, direction: Direction) -> Neighbors<'a> {
        Neighbors::none(EdgesAt { reading: *self, node: id, direction })
    }

    /// The edges at a node, seen from `direction`, in no particular order.
    #[inline]
    pub fn edges_at(&self, id: NodeId, direction: Direction, ty: Option<EdgeTypeId>) -> Result<Neighbors<'a>> {
        Neighbors::new(*self, id, direction, ty)
    }

    /// Calls `f` with the other end of each edge at a node, seen from `direction`, in no particular order.
    #[inline]
    pub fn visit_neighbors(
        &self,
        id: NodeId,
        direction: Direction,
        ty: Option<EdgeTypeId>,
        f: impl FnMut(NodeId),
    ) -> Result<()> {
        visit(*self, id, direction, ty, f)
    }
}
