//! Ordered scans. Each merges the candidates of every level, ascending, and asks the reading whether a candidate
//! counts: the newest level decides there as everywhere. Nothing is built whole except the orders of what a delta or
//! a transaction touched, which are kept (`orders`).

use super::{entry::EntryAt, members::StoredMembers, order::Sorted, ordered::Ordered, orders::seen, reading::Reading};
use crate::{
    error::{Error, Result},
    graph::{Direction, EdgeKey, LabelId, NodeId, NodeRecord},
};
use std::collections::BinaryHeap;

type Ids<'a> = Box<dyn Iterator<Item = Result<NodeId>> + Send + 'a>;

/// Ascending ids from several ascending sources, each id once.
struct Merge<'a> {
    sources: Vec<Ids<'a>>,
    /// The next id of each source, least first.
    heads: BinaryHeap<std::cmp::Reverse<(NodeId, usize)>>,
    failed: Option<Error>,
    last: Option<NodeId>,
}

impl std::fmt::Debug for Merge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merge").field("sources", &self.sources.len()).field("last", &self.last).finish()
    }
}

impl<'a> Merge<'a> {
    fn new(sources: Vec<Ids<'a>>) -> Self {
        let mut merge = Self { heads: BinaryHeap::with_capacity(sources.len()), sources, failed: None, last: None };
        // One source needs no heads.
        if merge.sources.len() > 1 {
            (0..merge.sources.len()).for_each(|source| merge.pull(source));
        }
        merge
    }

    /// No ids, but an error.
    fn failed(e: Error) -> Self {
        Self { sources: Vec::new(), heads: BinaryHeap::new(), failed: Some(e), last: None }
    }

    fn pull(&mut self, source: usize) {
        match self.sources[source].next() {
            Some(Ok(id)) => self.heads.push(std::cmp::Reverse((id, source))),
            Some(Err(e)) => self.failed = Some(e),
            None => {}
        }
    }

    #[cold]
    fn end(&mut self, e: Error) -> Option<Result<NodeId>> {
        self.sources.clear();
        Some(Err(e))
    }

    #[inline]
    fn next(&mut self) -> Option<Result<NodeId>> {
        if let [only] = &mut self.sources[..] {
            // Whose ids ascend, each once.
            let next = only.next();
            return if let Some(Err(e)) = next { self.end(e) } else { next };
        }
        loop {
            if let Some(e) = self.failed.take() {
                self.heads.clear();
                return Some(Err(e));
            }
            let std::cmp::Reverse((id, source)) = self.heads.pop()?;
            self.pull(source);
            if self.last != Some(id) {
                self.last = Some(id);
                return Some(Ok(id));
            }
        }
    }
}

/// Ids as a source of a merge.
fn ids<'a>(sorted: Vec<Sorted<u64>>) -> impl Iterator<Item = Ids<'a>> {
    sorted.into_iter().map(|ids| -> Ids<'a> { Box::new(ids.map(|id| Ok(NodeId(id)))) })
}

/// Nodes, ascending.
#[derive(Debug)]
pub struct NodeScan<'a> {
    reading: Reading<'a>,
    nodes: Nodes<'a>,
}

/// Where the nodes of a scan come from.
enum Nodes<'a> {
    /// One run, which has no tombstones: its records are the nodes.
    Run(Box<dyn Iterator<Item = Result<NodeRecord<'a>>> + Send + 'a>),
    /// Several levels: the newest that has a node decides.
    Levels(Merge<'a>),
}

impl std::fmt::Debug for Nodes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Run(_) => "Run",
            Self::Levels(_) => "Levels",
        })
    }
}

impl<'a> NodeScan<'a> {
    fn new(reading: Reading<'a>, from: NodeId) -> Self {
        if let ([run], None, None) = (&reading.levels.runs[..], reading.overlay, reading.levels.deltas().next()) {
            return Self { reading, nodes: Nodes::Run(Box::new(run.nodes_from(from))) };
        }
        let mut sources: Vec<Ids<'a>> =
            reading.levels.deltas().flat_map(|delta| ids(delta.touched_from(from))).collect();
        sources.extend(reading.overlay.into_iter().flat_map(|overlay| ids(overlay.touched_from(from))));
        for run in reading.levels.runs.iter() {
            sources.push(Box::new(run.nodes_from(from).map(|item| item.map(|record| record.id()))));
        }
        Self { reading, nodes: Nodes::Levels(Merge::new(sources)) }
    }

    /// A scan that only says why there is none.
    fn failed(reading: Reading<'a>, e: Error) -> Self {
        Self { reading, nodes: Nodes::Levels(Merge::failed(e)) }
    }

    /// The next node's record.
    #[inline]
    pub fn next_record(&mut self) -> Option<Result<NodeRecord<'a>>> {
        match &mut self.nodes {
            Nodes::Run(records) => records.next(),
            Nodes::Levels(merge) => loop {
                match merge.next()?.and_then(|id| self.reading.node(id)) {
                    Ok(Some(record)) => return Some(Ok(record)),
                    Ok(None) => {}
                    Err(e) => return Some(Err(e)),
                }
            },
        }
    }
}

impl Iterator for NodeScan<'_> {
    type Item = Result<NodeId>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.nodes {
            Nodes::Run(records) => Some(records.next()?.map(|record| record.id())),
            Nodes::Levels(merge) => loop {
                let id = match merge.next()? {
                    Ok(id) => id,
                    Err(e) => return Some(Err(e)),
                };
                match self.reading.node_exists(id) {
                    Ok(true) => return Some(Ok(id)),
                    Ok(false) => {}
                    Err(e) => return Some(Err(e)),
                }
            },
        }
    }
}

/// Nodes with one label, ascending: those that a delta or the overlay wrote, whose records tell, and those that the runs
/// list and nothing newer wrote.
#[derive(Debug)]
pub struct LabelScan<'a> {
    reading: Reading<'a>,
    label: LabelId,
    written: Merge<'a>,
    next_written: Option<NodeId>,
    stored: StoredMembers<'a>,
    next_stored: Option<NodeId>,
}

impl<'a> LabelScan<'a> {
    fn new(reading: Reading<'a>, label: LabelId, from: NodeId) -> Result<Self> {
        let mut sources: Vec<Ids<'a>> =
            reading.levels.deltas().flat_map(|delta| ids(delta.labelled_from(label, from))).collect();
        sources.extend(reading.overlay.into_iter().flat_map(|overlay| ids(overlay.touched_from(from))));
        let (mut written, mut stored) = (Merge::new(sources), StoredMembers::new(reading.levels, label, from)?);
        let (next_written, next_stored) = (written.next().transpose()?, stored.next());
        Ok(Self { reading, label, written, next_written, stored, next_stored })
    }

    /// The next node, and its record if that had to be looked at.
    fn advance(&mut self) -> Result<Option<(NodeId, Option<NodeRecord<'a>>)>> {
        loop {
            let candidates = [self.next_written, self.next_stored];
            let Some(id) = candidates.into_iter().flatten().min() else { return Ok(None) };
            let is_stored = self.next_stored == Some(id);
            if self.next_written == Some(id) {
                self.next_written = self.written.next().transpose()?;
            }
            if is_stored {
                self.next_stored = self.stored.next();
            }
            let written = self.reading.written_node(id)?;
            let there = match &written {
                Some(record) => record.has_label(self.label),
                None => is_stored,
            };
            if there {
                return Ok(Some((id, written)));
            }
        }
    }

    /// The next node, and its record if that had to be looked at.
    #[inline]
    pub fn next_found(&mut self) -> Option<Result<(NodeId, Option<NodeRecord<'a>>)>> {
        self.advance().transpose()
    }
}

impl Iterator for LabelScan<'_> {
    type Item = Result<NodeId>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_found()?.map(|(id, _)| id))
    }
}

/// Edges, ascending by source, type, destination and rank.
#[derive(Debug)]
pub struct EdgeScan<'a> {
    reading: Reading<'a>,
    sources: Merge<'a>,
    source: NodeId,
    /// The edge after which the scan begins.
    after: Option<EdgeKey>,
    /// How many edges are wanted, about.
    limit: usize,
    /// The edges of `source` that are left.
    edges: Option<Ordered<'a>>,
}

impl<'a> EdgeScan<'a> {
    fn new(reading: Reading<'a>, after: Option<EdgeKey>, limit: usize) -> Self {
        let from = after.map_or(NodeId(0), |edge| edge.src);
        let mut sources: Vec<Ids<'a>> =
            reading.levels.deltas().flat_map(|delta| ids(delta.sources_from(from))).collect();
        sources.extend(reading.overlay.into_iter().flat_map(|overlay| ids(overlay.sources_from(from))));
        for run in reading.levels.runs.iter() {
            sources.push(Box::new(run.rows_from(Direction::Out, from).map(|item| item.map(|(id, _)| id))));
        }
        Self { reading, sources: Merge::new(sources), source: from, after, limit, edges: None }
    }

    /// A scan that only says why there is none.
    fn failed(reading: Reading<'a>, e: Error) -> Self {
        let sources = Merge::failed(e);
        Self { reading, sources, source: NodeId(0), after: None, limit: 0, edges: None }
    }

    /// Goes on with the next source; `false` at the end.
    fn advance(&mut self) -> Result<bool> {
        self.edges = None;
        let Some(source) = self.sources.next().transpose()? else { return Ok(false) };
        let after = self.after.take().filter(|after| after.src == source).map(|after| seen(after, Direction::Out));
        self.source = source;
        self.edges = Some(self.reading.edges_in_order(source, Direction::Out, None, after, self.limit)?);
        Ok(true)
    }
}

impl EdgeScan<'_> {
    /// The next edge, and where it stands, if a run has it.
    #[inline]
    pub fn next_found(&mut self) -> Option<Result<(EdgeKey, Option<EntryAt>)>> {
        loop {
            if let Some(((ty, other, rank), entry)) = self.edges.as_mut().and_then(Ordered::next_found) {
                return Some(Ok((EdgeKey::new(self.source, ty, other).with_rank(rank), entry)));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(e) => return Some(Err(e)),
            }
        }
    }
}

impl Iterator for EdgeScan<'_> {
    type Item = Result<EdgeKey>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_found()?.map(|(edge, _)| edge))
    }
}

impl<'a> Reading<'a> {
    /// The nodes from `from` on, ascending.
    pub fn nodes(&self, from: NodeId) -> NodeScan<'a> {
        NodeScan::new(*self, from)
    }

    /// In place of [`Reading::nodes`]: why they are not told.
    pub fn no_nodes(&self, e: Error) -> NodeScan<'a> {
        NodeScan::failed(*self, e)
    }

    /// In place of [`Reading::edges`]: why they are not told.
    pub fn no_edges(&self, e: Error) -> EdgeScan<'a> {
        EdgeScan::failed(*self, e)
    }

    /// The nodes with `label` from `from` on, ascending.
    pub fn label(&self, label: LabelId, from: NodeId) -> Result<LabelScan<'a>> {
        LabelScan::new(*self, label, from)
    }

    /// The edges after `after`, ascending by source, type, destination and rank; about `limit` of them are wanted.
    pub fn edges(&self, after: Option<EdgeKey>, limit: usize) -> EdgeScan<'a> {
        EdgeScan::new(*self, after, limit)
    }
}
