//! Ordered scans. Each merges the candidates of every level, ascending, and asks the reading whether a candidate
//! counts: the newest level decides there as everywhere. Nothing is built whole except the sorted ids of a
//! delta, which is bounded by the log.

use super::reading::Reading;
use crate::{
    error::Result,
    graph::{Direction, EdgeKey, EdgeTypeId, LabelId, NodeId},
};
use std::{collections::BinaryHeap, sync::Arc};

type Ids<'a> = Box<dyn Iterator<Item = Result<NodeId>> + Send + 'a>;

/// Ascending ids from several ascending sources, each id once.
struct Merge<'a> {
    sources: Vec<Ids<'a>>,
    /// The next id of each source, least first.
    heads: BinaryHeap<std::cmp::Reverse<(NodeId, usize)>>,
    failed: Option<crate::error::Error>,
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
        for source in 0..merge.sources.len() {
            merge.pull(source);
        }
        merge
    }

    fn pull(&mut self, source: usize) {
        match self.sources[source].next() {
            Some(Ok(id)) => self.heads.push(std::cmp::Reverse((id, source))),
            Some(Err(e)) => self.failed = Some(e),
            None => {}
        }
    }

    fn next(&mut self) -> Option<Result<NodeId>> {
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

/// The ids in `ids` from `from` on.
fn from_sorted<'a>(ids: Arc<Vec<u64>>, from: NodeId) -> Ids<'a> {
    let start = ids.partition_point(|&id| id < from.0);
    Box::new((start..ids.len()).map(move |i| Ok(NodeId(ids[i]))))
}

fn sorted<'a>(ids: impl Iterator<Item = NodeId>, from: NodeId) -> Ids<'a> {
    let mut ids: Vec<u64> = ids.filter(|id| *id >= from).map(|id| id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    from_sorted(Arc::new(ids), from)
}

/// What deltas and overlay may add to a scan over nodes.
fn touched<'a>(reading: Reading<'a>, from: NodeId) -> Vec<Ids<'a>> {
    let mut sources: Vec<Ids<'a>> =
        reading.levels.deltas().map(|delta| from_sorted(delta.sorted_nodes(), from)).collect();
    if let Some(overlay) = reading.overlay {
        sources.push(sorted(overlay.touched_nodes(), from));
    }
    sources
}

/// Nodes, ascending.
#[derive(Debug)]
pub struct NodeScan<'a> {
    reading: Reading<'a>,
    merge: Merge<'a>,
}

impl<'a> NodeScan<'a> {
    pub(super) fn new(reading: Reading<'a>, from: NodeId) -> Self {
        let mut sources = touched(reading, from);
        for run in reading.levels.runs.iter() {
            sources.push(Box::new(run.nodes_from(from).map(|item| item.map(|record| record.id()))));
        }
        Self { reading, merge: Merge::new(sources) }
    }
}

impl Iterator for NodeScan<'_> {
    type Item = Result<NodeId>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let id = match self.merge.next()? {
                Ok(id) => id,
                Err(e) => return Some(Err(e)),
            };
            match self.reading.node_exists(id) {
                Ok(true) => return Some(Ok(id)),
                Ok(false) => {}
                Err(e) => return Some(Err(e)),
            }
        }
    }
}

/// Nodes with one label, ascending.
#[derive(Debug)]
pub struct LabelScan<'a> {
    reading: Reading<'a>,
    label: LabelId,
    merge: Merge<'a>,
}

impl<'a> LabelScan<'a> {
    pub(super) fn new(reading: Reading<'a>, label: LabelId, from: NodeId) -> Result<Self> {
        let mut sources: Vec<Ids<'a>> =
            reading.levels.deltas().map(|delta| sorted(delta.label_candidates(label), from)).collect();
        if let Some(overlay) = reading.overlay {
            sources.push(sorted(overlay.touched_nodes(), from));
        }
        for run in reading.levels.runs.iter() {
            let members = run.label_members(label)?;
            let start = members.seek(from);
            sources.push(Box::new((start..members.len()).filter_map(move |i| members.get(i)).map(|(id, _)| Ok(id))));
        }
        Ok(Self { reading, label, merge: Merge::new(sources) })
    }
}

impl Iterator for LabelScan<'_> {
    type Item = Result<NodeId>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let id = match self.merge.next()? {
                Ok(id) => id,
                Err(e) => return Some(Err(e)),
            };
            match self.reading.node(id) {
                Ok(record) if record.is_some_and(|r| r.has_label(self.label)) => return Some(Ok(id)),
                Ok(_) => {}
                Err(e) => return Some(Err(e)),
            }
        }
    }
}

/// Edges, ascending by source, type and destination.
#[derive(Debug)]
pub struct EdgeScan<'a> {
    reading: Reading<'a>,
    sources: Merge<'a>,
    source: NodeId,
    after: Option<(EdgeTypeId, NodeId)>,
    page: std::vec::IntoIter<(EdgeTypeId, NodeId)>,
    /// Whether `source` has no edges beyond `page`.
    exhausted: bool,
}

/// How many edges of one source are sorted at a time.
const CHUNK: usize = 1024;

impl<'a> EdgeScan<'a> {
    pub(super) fn new(reading: Reading<'a>, after: Option<EdgeKey>) -> Self {
        let from = after.map_or(NodeId(0), |edge| edge.src);
        let mut sources = touched(reading, from);
        for run in reading.levels.runs.iter() {
            sources.push(Box::new(run.rows_from(Direction::Out, from).map(|item| item.map(|(id, _)| id))));
        }
        Self {
            reading,
            sources: Merge::new(sources),
            source: from,
            after: after.map(|edge| (edge.ty, edge.dst)),
            page: Vec::new().into_iter(),
            exhausted: true,
        }
    }

    /// Fetches the next edges into `page`; `false` at the end.
    fn advance(&mut self) -> Result<bool> {
        if self.exhausted {
            let Some(source) = self.sources.next().transpose()? else { return Ok(false) };
            if source != self.source {
                self.after = None;
            }
            self.source = source;
        }
        let page = self.reading.edges_at(self.source, Direction::Out, None)?.page(self.after, CHUNK);
        self.exhausted = page.len() < CHUNK;
        self.after = page.last().copied();
        self.page = page.into_iter();
        Ok(true)
    }
}

impl Iterator for EdgeScan<'_> {
    type Item = Result<EdgeKey>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((ty, other)) = self.page.next() {
                return Some(Ok(EdgeKey::new(self.source, ty, other)));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(e) => return Some(Err(e)),
            }
        }
    }
}
