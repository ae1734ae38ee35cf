//! The edges at one node in the order (type, other end), from any edge on: for pages and scans. Each level gives what it
//! has in this order, and what is taken is merged; so a page costs what it returns, wherever in the edges of a node it
//! begins.

use super::{
    delta::Delta,
    neighbors::{EdgesAt, within},
    order::Sorted,
    orders::TouchedAt,
    reading::Reading,
};
use crate::{
    error::Result,
    graph::{Direction, EdgeTypeId, NodeId},
    store::{EntryKind, Row},
};
use std::{cmp::Reverse, collections::BinaryHeap, ops::Range};

/// Type and other end of an edge.
type Edge = (EdgeTypeId, NodeId);

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Ordered<'a> {
    at: EdgesAt<'a>,
    /// The only type that is wanted, if one is.
    ty: Option<EdgeTypeId>,
    /// Whether some level may remove edges of this node from those below it.
    hiding: bool,
    sources: Vec<Source<'a>>,
    /// The next edge of each source, the least first, where there are several sources.
    heads: BinaryHeap<Reverse<(Edge, usize)>>,
}

#[derive(Debug)]
enum Source<'a> {
    /// Entries of run number `run`.
    Row { run: u32, row: Row<'a>, range: Range<usize> },
    /// What delta number `number` (0 = frozen, 1 = active) touched.
    Delta { number: usize, delta: &'a Delta, edges: Sorted<TouchedAt> },
    /// What the transaction itself touched.
    Own { edges: Sorted<TouchedAt> },
}

impl<'a> Ordered<'a> {
    /// The edges after `after`. Who takes no more than about `limit` of them says so: then the node's rows are not read
    /// to their ends in order to find out whether they hide anything.
    pub(super) fn new(
        reading: Reading<'a>,
        node: NodeId,
        direction: Direction,
        ty: Option<EdgeTypeId>,
        after: Option<Edge>,
        limit: usize,
    ) -> Result<Self> {
        let at = EdgesAt { reading, node, direction };
        let mut found = Self { at, ty, hiding: false, sources: Vec::new(), heads: BinaryHeap::new() };
        for (number, run) in reading.levels.runs.iter().enumerate() {
            let row = run.row(direction, node)?;
            let range = rest(&row, ty, after);
            if number > 0 && run.has_removals() && !row.is_empty() {
                found.hiding |= row.len() > limit.max(64) || row.iter().any(|entry| entry.kind == EntryKind::Remove);
            }
            if !range.is_empty() {
                found.sources.push(Source::Row { run: number as u32, row, range });
            }
        }
        let first = (ty.unwrap_or_default(), NodeId(0));
        // Other ends of edges are nodes, and those have ids far below the greatest number.
        let from = after.map_or(first, |(ty, other)| (ty, NodeId(other.0.saturating_add(1)))).max(first);
        let levels = reading.levels;
        for (number, delta) in [levels.frozen.as_deref(), Some(&*levels.active)].into_iter().enumerate() {
            let Some(delta) = delta.filter(|delta| !delta.is_empty()) else { continue };
            let (edges, removals) = delta.edges_from(node, direction, from);
            found.hiding |= removals;
            found.sources.extend(edges.into_iter().map(|edges| Source::Delta { number, delta, edges }));
        }
        if let Some(overlay) = reading.overlay {
            found.hiding |= !overlay.edges_of(node, direction).is_empty();
            let edges = overlay.edges_from(node, direction, from);
            found.sources.extend(edges.into_iter().map(|edges| Source::Own { edges }));
        }
        if found.sources.len() > 1 {
            (0..found.sources.len()).for_each(|source| found.pull(source));
        }
        Ok(found)
    }

    /// Puts the next edge of a source among the heads.
    fn pull(&mut self, source: usize) {
        let (at, ty, hiding) = (self.at, self.ty, self.hiding);
        if let Some(edge) = self.sources.get_mut(source).and_then(|source| source.next(at, ty, hiding)) {
            self.heads.push(Reverse((edge, source)));
        }
    }
}

impl Source<'_> {
    fn next(&mut self, at: EdgesAt<'_>, ty: Option<EdgeTypeId>, hiding: bool) -> Option<Edge> {
        let wanted = |edge: &TouchedAt| ty.is_none_or(|ty| ty == edge.0);
        match self {
            Self::Row { run, row, range } => range.find_map(|i| at.shown(*run, row.get(i)?, hiding)),
            // Of one type they stand together.
            Self::Delta { number, delta, edges } => edges.take_while(wanted).find_map(|(ty, other, touched)| {
                let (edge, state, _) = delta.edge_of(touched, at.direction, at.reading.at)?;
                let (props, below) = state?;
                let there = !below && props.is_some() && !(hiding && at.hidden_by_delta(*number + 1, edge));
                there.then_some((ty, other))
            }),
            Self::Own { edges } => edges.take_while(wanted).find_map(|(ty, other, touched)| {
                let change = at.reading.overlay.and_then(|overlay| overlay.edge_at(touched - 1))?;
                (!change.existed && change.props.is_some()).then_some((ty, other))
            }),
        }
    }
}

/// Where the entries of a row stand that are wanted and come after `after`.
fn rest(row: &Row<'_>, ty: Option<EdgeTypeId>, after: Option<Edge>) -> Range<usize> {
    let range = within(row, ty);
    let Some(after) = after else { return range };
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let mid = low + (high - low) / 2;
        let passed = row.get(mid).is_some_and(|entry| (entry.ty, entry.other) <= after);
        if passed { low = mid + 1 } else { high = mid }
    }
    low..range.end
}

impl Iterator for Ordered<'_> {
    type Item = Edge;

    fn next(&mut self) -> Option<Edge> {
        let (at, ty, hiding) = (self.at, self.ty, self.hiding);
        if let [only] = &mut self.sources[..] {
            return only.next(at, ty, hiding);
        }
        let Reverse((edge, source)) = self.heads.pop()?;
        self.pull(source);
        Some(edge)
    }
}
