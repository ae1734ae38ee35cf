//! The edges at one node: row by row from the runs, then what the deltas and the overlay add.
//!
//! An entry of a level says `Add` exactly if the edge is not visible below it, so no edge is met twice. An edge
//! is passed over if a newer level removes it; whether any may do so is found out once, before the first edge.

use super::reading::Reading;
use crate::{
    error::Result,
    graph::{Direction, EdgeKey, EdgeTypeId, NodeId},
    store::{EntryKind, Ints, Row},
};
use std::ops::Range;

/// The edges at one node: type and other end of each, in no particular order.
#[derive(Debug, Clone)]
pub struct Neighbors<'a> {
    row: Row<'a>,
    range: Range<usize>,
    reading: Reading<'a>,
    node: NodeId,
    ty: Option<EdgeTypeId>,
    direction: Direction,
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
    pub(super) fn new(
        reading: Reading<'a>,
        node: NodeId,
        direction: Direction,
        ty: Option<EdgeTypeId>,
    ) -> Result<Self> {
        let levels = reading.levels;
        let mut found = Self {
            row: Row::EMPTY,
            range: 0..0,
            reading,
            node,
            ty,
            direction,
            hiding: false,
            run: 0,
            rows: 0,
            touched: [0; 2],
            own: &[],
        };
        if let Some(run) = levels.runs.first() {
            found.row = run.row(direction, node)?;
            found.range = within(&found.row, ty);
        }
        for (at, run) in levels.runs.iter().enumerate().skip(1) {
            let row = run.row(direction, node)?;
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
        // Verified when this iterator was made, so it cannot fail now.
        self.row = match self.reading.levels.runs.get(self.run as usize) {
            Some(run) => run.row(self.direction, self.node).unwrap_or(Row::EMPTY),
            None => Row::EMPTY,
        };
        self.range = within(&self.row, self.ty);
        true
    }

    fn edge(&self, ty: EdgeTypeId, other: NodeId) -> EdgeKey {
        match self.direction {
            Direction::Out => EdgeKey::new(self.node, ty, other),
            Direction::In => EdgeKey::new(other, ty, self.node),
        }
    }

    /// Whether a level newer than run `run` removes the edge.
    fn hidden_over_run(&self, run: u32, ty: EdgeTypeId, other: NodeId) -> bool {
        let newer = self.reading.levels.runs.get(run as usize + 1..).unwrap_or_default();
        let by_run = newer.iter().filter(|r| r.has_removals()).any(|r| {
            // Verified as above.
            let row = r.row(self.direction, self.node).unwrap_or(Row::EMPTY);
            row.find(ty, other).is_some_and(|at| row.kind(at) == Some(EntryKind::Remove))
        });
        by_run || self.hidden_by_delta(0, self.edge(ty, other))
    }

    /// Whether the delta number `from` (0 = frozen, 1 = active) or a newer level removes the edge.
    fn hidden_by_delta(&self, from: usize, edge: EdgeKey) -> bool {
        let levels = self.reading.levels;
        let deltas = [levels.frozen.as_deref(), Some(&*levels.active)];
        deltas[from.min(2)..]
            .iter()
            .flatten()
            .any(|delta| delta.edge(edge, self.reading.at).is_some_and(|props| props.is_none()))
            || self.reading.overlay.and_then(|o| o.edge(edge)).is_some_and(|change| change.props.is_none())
    }

    fn wanted(&self, ty: EdgeTypeId) -> bool {
        self.ty.is_none_or(|wanted| wanted == ty)
    }

    /// The next edge that a delta or the overlay adds.
    #[inline]
    fn next_added(&mut self) -> Option<(EdgeTypeId, NodeId)> {
        let levels = self.reading.levels;
        for (number, delta) in [levels.frozen.as_deref(), Some(&*levels.active)].into_iter().enumerate() {
            let Some(delta) = delta else { continue };
            while self.touched[number] != 0 {
                let (edge, state, next) = delta.edge_of(self.touched[number], self.direction, self.reading.at)?;
                self.touched[number] = next;
                let Some((props, below)) = state else { continue };
                if !below
                    && props.is_some()
                    && self.wanted(edge.ty)
                    && !(self.hiding && self.hidden_by_delta(number + 1, edge))
                {
                    return Some((edge.ty, edge.ends(self.direction).1));
                }
            }
        }
        while let Some((&at, rest)) = self.own.split_first() {
            self.own = rest;
            let change = self.reading.overlay.and_then(|o| o.edge_at(at))?;
            if !change.existed && change.props.is_some() && self.wanted(change.edge.ty) {
                return Some((change.edge.ty, change.edge.ends(self.direction).1));
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

    #[inline]
    fn visible(&self, i: usize) -> Option<(EdgeTypeId, NodeId)> {
        let entry = self.row.get(i)?;
        let there =
            entry.kind == EntryKind::Add && !(self.hiding && self.hidden_over_run(self.run, entry.ty, entry.other));
        there.then_some((entry.ty, entry.other))
    }

    /// Up to `limit` edges after `after` in the order (type, other end).
    pub fn page(mut self, after: Option<(EdgeTypeId, NodeId)>, limit: usize) -> Vec<(EdgeTypeId, NodeId)> {
        let mut found: Vec<(EdgeTypeId, NodeId)> = Vec::new();
        loop {
            // Rows are sorted: seek the cursor, then take no more than the page can hold.
            let start = match after {
                None => self.range.start,
                Some(after) => {
                    let (mut low, mut high) = (self.range.start, self.range.end);
                    while low < high {
                        let mid = low + (high - low) / 2;
                        let passed = self.row.get(mid).is_some_and(|e| (e.ty, e.other) <= after);
                        if passed { low = mid + 1 } else { high = mid }
                    }
                    low
                }
            };
            found.extend((start..self.range.end).filter_map(|i| self.visible(i)).take(limit));
            if !self.next_row() {
                break;
            }
        }
        while let Some(edge) = self.next_added() {
            if after.is_none_or(|after| edge > after) {
                found.push(edge);
                if found.len() > limit.saturating_mul(4).saturating_add(1024) {
                    keep_smallest(&mut found, limit);
                }
            }
        }
        keep_smallest(&mut found, limit);
        found.sort_unstable();
        found
    }
}

fn keep_smallest<T: Ord>(items: &mut Vec<T>, limit: usize) {
    if items.len() > limit {
        items.select_nth_unstable(limit);
        items.truncate(limit);
    }
}

#[inline]
fn within(row: &Row<'_>, ty: Option<EdgeTypeId>) -> Range<usize> {
    match ty {
        None => 0..row.len(),
        Some(ty) => row.type_range(ty),
    }
}

impl Iterator for Neighbors<'_> {
    type Item = (EdgeTypeId, NodeId);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some(i) = self.range.next() {
                if let Some(edge) = self.visible(i) {
                    return Some(edge);
                }
            }
            if !self.next_row() {
                return self.next_added();
            }
        }
    }
}

/// Calls `f` with the other end of each edge at `node`, in no particular order: what [`Neighbors`] gives, without
/// an iterator's state, for the traversals that are counted in nanoseconds.
#[inline]
pub(super) fn visit(
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
        Neighbors::new(reading, node, direction, ty)?.for_each(|(_, other)| f(other));
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
