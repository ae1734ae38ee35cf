//! The delta: what the log holds beyond the last checkpoint, in memory.
//!
//! Append-only slots and version chains, found through hash tables that readers never wait for. One thread
//! writes at a time (under the commit lock); a reader ignores versions above its view's index. Memory grows
//! with the log since the checkpoint and is let go as a whole, so nothing is ever collected piecemeal.
//!
//! Each kind of element has a file of this folder.

use super::{
    elements::NodeSlot,
    figures::{DeltaFigures, Tally},
    indexes::{IndexSet, Indexes},
    orders::Orders,
};
use crate::graph::{Direction, EdgeKey, LabelId, LogIndex, NodeId, PropKeyId};
use std::sync::{Arc, OnceLock, Weak, atomic::Ordering};

mod commits;
mod counts;
mod edges;
mod in_order;
mod keys;
mod memory;
mod nodes;
mod vectors;

pub use commits::{CommitInfo, Totals};
pub use edges::{EdgeProps, Props, TouchedEdge};
pub use keys::record_has_key;
pub use nodes::NodeState;
pub use vectors::VectorState;

use commits::Commits;
use counts::Counts;
use edges::Edges;
use keys::Keys;
use memory::Memory;
use nodes::Nodes;
use vectors::Vectors;

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Delta {
    commits: Commits,
    nodes: Nodes,
    edges: Edges,
    keys: Keys,
    vectors: Vectors,
    type_counts: Counts,
    label_counts: Counts,
    /// The definitions of indexes.
    pub indexes: Indexes,
    orders: Orders,
    memory: Memory,
    tally: Tally,
    /// The delta that follows, once this one is frozen: transactions that began before check against both, as long as
    /// both are there. Who holds this one does not hold the next.
    next: OnceLock<Weak<Delta>>,
}

/// What follows a delta.
#[derive(Debug)]
pub enum Next {
    /// Nothing: it is the one that commits go to.
    Nothing,
    /// The next one.
    There(Arc<Delta>),
    /// The next one was written to the file, and nobody held it.
    Gone,
}

impl Delta {
    /// An empty delta over a state with log index `base`.
    pub fn new(
        base: LogIndex,
        start: CommitInfo,
        type_counts: &[u64],
        label_counts: &[u64],
        indexes: Arc<IndexSet>,
    ) -> Self {
        Self {
            commits: Commits::new(base, start),
            nodes: Nodes::default(),
            edges: Edges::default(),
            keys: Keys::default(),
            vectors: Vectors::default(),
            type_counts: Counts::new(type_counts),
            label_counts: Counts::new(label_counts),
            indexes: Indexes::new(indexes),
            orders: Orders::default(),
            memory: Memory::default(),
            tally: Tally::default(),
            next: OnceLock::new(),
        }
    }

    /// The log index below this delta.
    #[inline]
    pub fn base(&self) -> LogIndex {
        self.commits.base()
    }

    /// The log index of the last commit in it.
    #[inline]
    pub fn last(&self) -> LogIndex {
        self.commits.last()
    }

    /// Whether nothing was committed into it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    /// What the commit with log index `at` left behind; for the base, what was there before.
    #[inline]
    pub fn info(&self, at: LogIndex) -> &CommitInfo {
        self.commits.info(at)
    }

    /// A rough count of the bytes of memory that it holds.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.bytes() + self.nodes.labelled().bytes() + self.orders.bytes()
    }

    /// What it holds, and how much. Cheap; while a commit is being applied, the figures may be those of a part of it.
    pub fn figures(&self) -> DeltaFigures {
        let touched = [self.nodes.count(), self.edges.count()].map(u64::from);
        let also_touched = [self.vectors.count(), self.keys.count()].map(|count| count as u64);
        let versions = [self.nodes.versions(), self.edges.versions(), self.vectors.versions()];
        DeltaFigures {
            elements: touched.iter().chain(&also_touched).sum(),
            versions: versions.iter().map(|count| *count as u64).sum(),
            bytes: self.memory_bytes(),
            ..self.tally.figures()
        }
    }

    /// What follows this delta.
    pub fn next(&self) -> Next {
        match self.next.get() {
            None => Next::Nothing,
            Some(next) => next.upgrade().map_or(Next::Gone, Next::There),
        }
    }

    /// Ends this delta: later commits go to `next`. Only under the commit lock, once.
    pub fn freeze(&self, next: &Arc<Delta>) {
        let _ = self.next.set(Arc::downgrade(next));
    }

    // ---- reading -------------------------------------------------------------------------------------------

    /// The node's record as of `at`: `None` if this delta does not decide.
    #[inline]
    pub fn node(&self, id: NodeId, at: u64) -> Option<&NodeState> {
        self.nodes.at(id, at)
    }

    /// Whether the node exists as of `at`: `None` if this delta does not decide.
    #[inline]
    pub fn node_exists(&self, id: NodeId, at: u64) -> Option<bool> {
        self.nodes.exists(id, at)
    }

    /// Who holds `key` as of `at`: `None` if this delta does not decide, `Some(0)` if nobody does any more.
    #[inline]
    pub fn key(&self, hash: u64, key: &str, at: u64) -> Option<u64> {
        self.keys.at(hash, key, at)
    }

    /// The edge as of `at`: `None` if this delta does not decide.
    #[inline]
    pub fn edge(&self, edge: EdgeKey, at: u64) -> Option<EdgeProps<'_>> {
        self.edges.at(edge, at)
    }

    /// The first of the touched edges of `node`, for [`Delta::edge_of`] (0 = none), and whether edges of it below
    /// this delta may be hidden.
    #[inline]
    pub fn first_edge_of(&self, node: NodeId, direction: Direction) -> (u32, bool) {
        self.nodes.slot(node).map_or((0, false), |slot| {
            (slot.first_edge(direction).load(Ordering::Acquire) as u32, slot.hides(direction))
        })
    }

    /// A touched edge as of `at`, and the next one of the same node.
    #[inline]
    pub fn edge_of(&self, number: u32, direction: Direction, at: u64) -> Option<TouchedEdge<'_>> {
        self.edges.of_chain(number, direction, at)
    }

    /// Whether it touched an edge of another rank than 0.
    #[inline]
    pub fn has_ranks(&self) -> bool {
        self.edges.has_ranks()
    }

    /// The edges of other ranks than 0 with the ends and type of `edge` that this delta touched, as of `at`, in no order:
    /// those that it leaves undecided are not among them.
    pub fn parallels_of(&self, edge: EdgeKey, at: u64) -> impl Iterator<Item = (EdgeKey, EdgeProps<'_>)> {
        self.edges.parallels_of(edge, at)
    }

    /// See [`super::Reading::warm`].
    pub fn warm(&self, edges: &[EdgeKey]) {
        let mut slots = Vec::with_capacity(edges.len() * 2);
        for edge in edges {
            slots.extend([edge.src, edge.dst].map(|id| self.nodes.peek(id)));
            std::hint::black_box(self.edges.peek(*edge));
        }
        for slot in slots.into_iter().flatten() {
            std::hint::black_box(self.nodes.numbered(slot).map(NodeSlot::id));
        }
    }

    /// The vector as of `at`: `None` if this delta does not decide.
    pub fn vector(&self, node: NodeId, key: PropKeyId, at: u64) -> Option<&VectorState> {
        self.vectors.at(node, key, at)
    }

    /// The property keys under which this delta says something of a vector of `node`.
    pub fn vector_keys_of(&self, node: NodeId) -> Vec<PropKeyId> {
        let first = self.nodes.slot(node).map_or(0, |slot| slot.first_vector().load(Ordering::Acquire) as u32);
        self.vectors.keys_from(first)
    }

    /// How many edges of a type there are as of `at`.
    pub fn count_type(&self, ty: u32, at: u64) -> u64 {
        self.type_counts.at(ty, at)
    }

    /// How many nodes carry a label as of `at`.
    pub fn count_label(&self, label: u32, at: u64) -> u64 {
        self.label_counts.at(label, at)
    }

    /// The counts of every type and of every label as of `at`, by id.
    pub fn all_counts(&self, at: u64) -> [Vec<u64>; 2] {
        [&self.type_counts, &self.label_counts].map(|counts| counts.all(at))
    }

    /// Every node with every label that it got at some time, in no order.
    pub fn all_labelled(&self) -> impl Iterator<Item = (LabelId, NodeId)> {
        self.nodes.labelled().all()
    }

    // ---- what a checkpoint reads ---------------------------------------------------------------------------

    /// Every node with a record as of `at`, in no order; the flag says whether the node was there below.
    pub fn changed_nodes(&self, at: u64) -> impl Iterator<Item = (NodeId, &NodeState, bool)> {
        self.nodes.changed(at)
    }

    /// Every touched edge as of `at`, in no order; the flag says whether it was there below.
    pub fn changed_edges(&self, at: u64) -> impl Iterator<Item = (EdgeKey, EdgeProps<'_>, bool)> {
        self.edges.changed(at)
    }

    /// Every touched vector as of `at`, in no order.
    pub fn changed_vectors(&self, at: u64) -> impl Iterator<Item = (NodeId, PropKeyId, &VectorState)> {
        self.vectors.changed(at)
    }

    // ---- validation: what was committed after a snapshot ---------------------------------------------------

    /// Whether the node's record was written after `snapshot`.
    #[inline]
    pub fn node_written_after(&self, id: NodeId, snapshot: u64) -> bool {
        self.nodes.written_after(id, snapshot)
    }

    /// Whether the node was deleted after `snapshot`, even if it was created anew since.
    #[inline]
    pub fn node_deleted_after(&self, id: NodeId, snapshot: u64) -> bool {
        self.nodes.deleted_after(id, snapshot)
    }

    /// Whether something that relies on the node being there was committed after `snapshot`.
    #[inline]
    pub fn node_relied_on_after(&self, id: NodeId, snapshot: u64) -> bool {
        self.nodes.relied_on_after(id, snapshot)
    }

    /// Whether the key that `record` has was claimed or released after `snapshot`.
    #[inline]
    pub fn key_written_after(&self, hash: u64, record: &[u8], snapshot: u64) -> bool {
        self.keys.written_after(hash, record, snapshot)
    }

    /// Whether the edge was written after `snapshot`.
    #[inline]
    pub fn edge_written_after(&self, edge: EdgeKey, snapshot: u64) -> bool {
        self.edges.written_after(edge, snapshot)
    }

    /// Whether the vector was written after `snapshot`.
    #[inline]
    pub fn vector_written_after(&self, node: NodeId, key: PropKeyId, snapshot: u64) -> bool {
        self.vectors.written_after(node, key, snapshot)
    }

    // ---- writing, under the commit lock --------------------------------------------------------------------

    /// Writes a node's record.
    #[inline]
    pub fn put_node(&self, id: NodeId, version: u64, state: NodeState) {
        self.nodes.put(&self.memory, &self.tally, id, version, state);
    }

    /// Notes that a commit relies on the node being there.
    #[inline]
    pub fn guard_node(&self, id: NodeId, version: u64) {
        self.nodes.guard(&self.memory, id, version);
    }

    /// Claims the key that `record` has for a node, or releases it.
    #[inline]
    pub fn put_key(&self, hash: u64, record: Arc<[u8]>, version: u64, holder: Option<NodeId>) {
        self.keys.put(&self.memory, hash, record, version, holder);
    }

    /// Writes an edge: `props` as it is now (`None`: it is not there), `existed` before this commit. An edge that is
    /// added relies on both its ends.
    #[inline]
    pub fn put_edge(&self, edge: EdgeKey, version: u64, props: Option<Props>, existed: bool) {
        self.edges.put((&self.memory, &self.tally, &self.nodes), edge, version, props, existed);
    }

    /// Writes a vector and relies on its node.
    pub fn put_vector(&self, node: NodeId, key: PropKeyId, version: u64, state: VectorState) {
        self.memory.grow_by(72 + state.as_ref().map_or(0, |s| s.len()));
        if state.is_some() {
            self.guard_node(node, version);
        }
        if let Err(state) = self.vectors.put_again(node, key, version, state) {
            let end = self.nodes.touch(&self.memory, node);
            let next = end.first_vector().load(Ordering::Relaxed) as u32;
            let number = self.vectors.put_first(node, key, version, state, next);
            end.first_vector().store(u64::from(number) + 1, Ordering::Release);
        }
    }

    /// Changes the count of a type's edges.
    pub fn add_to_type(&self, ty: u32, version: u64, change: i64) {
        self.type_counts.add(ty, version, change);
    }

    /// Changes the count of a label's nodes.
    pub fn add_to_label(&self, label: u32, version: u64, change: i64) {
        self.label_counts.add(label, version, change);
    }

    /// Ends a commit.
    pub fn push_commit(&self, info: CommitInfo) {
        self.commits.push(info);
        self.memory.grow_by(64);
    }
}
