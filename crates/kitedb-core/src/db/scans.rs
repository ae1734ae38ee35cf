//! Nodes and edges in turn: all of them, those with a label, those at a node. Each borrows the state that it reads.

use super::{
    dyn_graph::{Graph, Wanted},
    edge_ref::EdgeRef,
    node_ref::NodeRef,
};
use crate::{
    error::Result,
    graph::{Direction, EdgeKey, LabelId, NodeId},
    state::{EdgeScan, LabelScan, NodeScan, Ordered},
};
use std::fmt;

/// Each shows what it reads, and never what it finds there.
macro_rules! shown_by_name {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("graph", &self.graph).finish_non_exhaustive()
            }
        }
    )*};
}

shown_by_name!(Nodes Edges NodeEdges SortedEdges);

/// Nodes, ascending by id. After an error it goes on with later ones, where these can be read.
pub struct Nodes<'a> {
    graph: &'a dyn Graph,
    scan: Scan<'a>,
}

enum Scan<'a> {
    All(NodeScan<'a>),
    Labelled(LabelScan<'a>),
    Nothing,
}

impl<'a> Nodes<'a> {
    /// Every node after `after`.
    pub(super) fn all(graph: &'a dyn Graph, after: Option<NodeId>) -> Self {
        let from = following(after);
        let scan = graph.fresh().map_or_else(|e| graph.reading().no_nodes(e), |reading| reading.nodes(from));
        Self { graph, scan: Scan::All(scan) }
    }

    /// Every node with that label after `after`; without a label, none.
    pub(super) fn labelled(graph: &'a dyn Graph, label: Option<LabelId>, after: Option<NodeId>) -> Result<Self> {
        let reading = graph.fresh()?;
        let scan = match label {
            Some(label) => Scan::Labelled(reading.label(label, following(after))?),
            None => Scan::Nothing,
        };
        Ok(Self { graph, scan })
    }
}

impl<'a> Iterator for Nodes<'a> {
    type Item = Result<NodeRef<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let graph = self.graph;
        match &mut self.scan {
            Scan::All(scan) => Some(scan.next_record()?.map(|record| NodeRef::of(graph, record))),
            Scan::Labelled(scan) => Some(scan.next_found()?.map(|(id, record)| match record {
                Some(record) => NodeRef::of(graph, record),
                None => NodeRef::new(graph, id),
            })),
            Scan::Nothing => None,
        }
    }
}

/// Every edge, ascending by source, type, destination and rank. After an error it goes on with later ones, where these can
/// be read.
pub struct Edges<'a> {
    graph: &'a dyn Graph,
    scan: EdgeScan<'a>,
}

impl<'a> Edges<'a> {
    /// Every edge after `after`; about `limit` of them are wanted.
    pub(super) fn all(graph: &'a dyn Graph, after: Option<EdgeKey>, limit: usize) -> Self {
        let fresh = graph.fresh();
        let scan = fresh.map_or_else(|e| graph.reading().no_edges(e), |reading| reading.edges(after, limit));
        Self { graph, scan }
    }
}

impl<'a> Iterator for Edges<'a> {
    type Item = Result<EdgeRef<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.scan.next_found()?;
        Some(found.map(|found| EdgeRef::new(self.graph, Direction::Out, found)))
    }
}

/// The edges at a node, in no particular order.
#[derive(Clone)]
pub struct NodeEdges<'a> {
    graph: &'a dyn Graph,
    direction: Direction,
    edges: crate::state::Neighbors<'a>,
}

impl<'a> NodeEdges<'a> {
    #[inline]
    pub(super) fn new(graph: &'a dyn Graph, id: NodeId, direction: Direction, wanted: Wanted) -> Result<Self> {
        let reading = graph.fresh()?;
        let edges = match wanted.only() {
            Some(ty) => reading.edges_at(id, direction, ty)?,
            None => reading.none_at(id, direction),
        };
        Ok(Self { graph, direction, edges })
    }
}

impl<'a> Iterator for NodeEdges<'a> {
    type Item = EdgeRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.edges.next_found().map(|found| EdgeRef::new(self.graph, self.direction, found))
    }
}

/// The nodes at the other ends of a node's edges, in no particular order: each once for every edge that leads there.
#[derive(Debug, Clone)]
pub struct Neighbors<'a>(pub(super) NodeEdges<'a>);

impl<'a> Iterator for Neighbors<'a> {
    type Item = NodeRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let at = &mut self.0;
        at.edges.next().map(|edge| NodeRef::new(at.graph, edge.ends(at.direction).1))
    }
}

/// The edges at a node, ascending by type, other end and rank.
pub struct SortedEdges<'a> {
    graph: &'a dyn Graph,
    node: NodeId,
    direction: Direction,
    edges: Option<Ordered<'a>>,
}

impl<'a> SortedEdges<'a> {
    /// Those after `after`, which is one of them; about `limit` of them are wanted.
    pub(super) fn new(
        graph: &'a dyn Graph,
        (node, direction): (NodeId, Direction),
        wanted: Wanted,
        after: Option<EdgeKey>,
        limit: usize,
    ) -> Result<Self> {
        let reading = graph.fresh()?;
        let after = after.map(|after| (after.ty, after.ends(direction).1, after.rank));
        let in_order = |ty| reading.edges_in_order(node, direction, ty, after, limit);
        Ok(Self { graph, node, direction, edges: wanted.only().map(in_order).transpose()? })
    }
}

impl<'a> Iterator for SortedEdges<'a> {
    type Item = EdgeRef<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let ((ty, other, rank), entry) = self.edges.as_mut()?.next_found()?;
        let key = EdgeKey::seen_from(self.node, self.direction, ty, other, rank);
        Some(EdgeRef::new(self.graph, self.direction, (key, entry)))
    }
}

/// Where those after `after` begin.
pub(super) fn following(after: Option<NodeId>) -> NodeId {
    NodeId(after.map_or(0, |id| id.0.saturating_add(1)))
}
