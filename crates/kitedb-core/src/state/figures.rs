//! How much a delta holds, and what of it is new.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a delta adds to and takes from what lies below it. Something that was added and removed again in the same
/// delta counts as neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeltaFigures {
    /// Nodes that are not there below.
    pub nodes_created: u64,
    /// Nodes below that are gone.
    pub nodes_deleted: u64,
    /// Edges that are not there below.
    pub edges_added: u64,
    /// Edges below that are gone.
    pub edges_deleted: u64,
    /// The greatest id of a node whose record it holds, be it a tombstone.
    pub greatest_node: u64,
    /// Elements (nodes, edges, vectors, keys) that it touched.
    pub elements: u64,
    /// Versions that it holds of nodes, edges and vectors.
    pub versions: u64,
    /// A rough count of the bytes of memory that it holds.
    pub bytes: u64,
}

/// The first five of [`DeltaFigures`], as the writer keeps them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    nodes: Change,
    edges: Change,
    greatest_node: AtomicU64,
}

/// Elements of a kind that are not there below, and elements below that are gone.
#[derive(Debug, Default)]
struct Change {
    added: AtomicU64,
    removed: AtomicU64,
}

impl Change {
    /// An element `was` there before a commit and `is` there after it; `below`: it is there below the delta.
    #[inline]
    fn count(&self, below: bool, was: bool, is: bool) {
        let (count, more) = if below { (&self.removed, was) } else { (&self.added, is) };
        if was != is {
            let now = count.load(Ordering::Relaxed);
            count.store(if more { now + 1 } else { now.saturating_sub(1) }, Ordering::Relaxed);
        }
    }
}

impl Tally {
    /// Tells what came of a node.
    #[inline]
    pub fn node(&self, id: u64, below: bool, was: bool, is: bool) {
        self.nodes.count(below, was, is);
        self.greatest_node.store(self.greatest_node.load(Ordering::Relaxed).max(id), Ordering::Relaxed);
    }

    /// Tells what came of an edge.
    #[inline]
    pub fn edge(&self, below: bool, was: bool, is: bool) {
        self.edges.count(below, was, is);
    }

    /// The figures that it keeps; the others are 0.
    pub fn figures(&self) -> DeltaFigures {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DeltaFigures {
            nodes_created: count(&self.nodes.added),
            nodes_deleted: count(&self.nodes.removed),
            edges_added: count(&self.edges.added),
            edges_deleted: count(&self.edges.removed),
            greatest_node: count(&self.greatest_node),
            ..DeltaFigures::default()
        }
    }
}
