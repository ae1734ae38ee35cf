//! A way through the graph.

use crate::graph::{EdgeKey, NodeId};

/// Nodes, each joined to the next one by an edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    nodes: Vec<NodeId>,
    edges: Vec<EdgeKey>,
    weight: f64,
}

impl Path {
    /// `edges[i]` joins `nodes[i]` and `nodes[i + 1]`.
    pub(super) fn new(nodes: Vec<NodeId>, edges: Vec<EdgeKey>, weight: f64) -> Self {
        debug_assert_eq!(nodes.len(), edges.len() + 1, "a path has a node more than edges");
        Self { nodes, edges, weight }
    }

    /// The same, its weight being the number of its edges.
    pub(super) fn unweighted(nodes: Vec<NodeId>, edges: Vec<EdgeKey>) -> Self {
        let weight = edges.len() as f64;
        Self::new(nodes, edges, weight)
    }

    /// Its nodes, from its start to its end: one more than it has edges.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// Its edges, in order: the one at `i` joins the nodes at `i` and `i + 1`, and leads from the second to the first where edges
    /// were followed against their direction.
    pub fn edges(&self) -> &[EdgeKey] {
        &self.edges
    }

    /// How many edges it has.
    pub fn hops(&self) -> usize {
        self.edges.len()
    }

    /// The sum of the weights of its edges; how many it has, where none were asked for.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// Where it starts.
    pub fn start(&self) -> NodeId {
        self.nodes[0]
    }

    /// Where it ends.
    pub fn end(&self) -> NodeId {
        self.nodes[self.nodes.len() - 1]
    }
}
