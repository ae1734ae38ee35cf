//! A transaction's private changes: the records as they will be, over the state that it reads. The same code
//! serves a caller's transaction and a frame read back from a log, so that both leave the same state.
//!
//! Here is what was touched, and how it is found. What changes it, and what becomes of it, has files of its own in this
//! folder.

use super::{
    indexed::Indexed,
    orders::Orders,
    slots::{hash_edge_key, hash_id},
};
use crate::graph::{Direction, EdgeKey, EdgeTypeId, LabelId, NameKind, NodeId, NodeRecordBuf, PropKeyId};
use rustc_hash::FxHashMap;
use std::sync::{Arc, OnceLock};

mod adjacency;
mod apply;
mod changes;
mod commit;
mod edges;
mod faults;
mod in_order;
mod indexes;
mod net;
mod nodes;
mod parallels;
mod undo;
mod vectors;

pub use changes::{EdgeChange, IndexChanges, NodeChange};
pub use faults::{
    Called, OR_ATTACHED, edge_conflict, edge_exists, key_conflict, no_edge, node_conflict, vector_conflict,
};

use changes::{KeyChange, VectorChange};

/// How many edges are looked up ahead: few enough that what they touch stays in the first cache levels and in the
/// translation buffer.
pub const WARM: usize = 64;

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub struct Overlay {
    pub(super) nodes: Indexed<NodeChange>,
    pub(super) edges: Indexed<EdgeChange>,
    /// Positions in `edges` by the node at either end; made when first asked for, kept up to date from then on.
    adjacency: OnceLock<adjacency::Index>,
    /// The same, of those of other ranks than 0, by ends and type.
    parallels: OnceLock<parallels::Index>,
    /// Whether there are any of other ranks than 0.
    ranked: bool,
    /// What it touched, in order, once a scan asks for it.
    pub(super) orders: OnceLock<Box<Orders>>,
    pub(super) keys: Indexed<KeyChange>,
    pub(super) vectors: FxHashMap<(NodeId, PropKeyId), VectorChange>,
    label_counts: FxHashMap<u32, i64>,
    type_counts: FxHashMap<u32, i64>,
    totals: [i64; 3],
    /// Names that the transaction defines.
    pub names: Vec<(NameKind, u32, Box<str>)>,
    /// Vector lengths that the transaction fixes.
    pub dimensions: Vec<(PropKeyId, u32)>,
    /// What became of the definitions of indexes.
    pub indexes: IndexChanges,
    /// The greatest node id that the transaction created.
    pub greatest_id: u64,
    /// The greatest rank that it gave an edge.
    pub greatest_rank: u64,
    /// Whether a mutation took back what an earlier one of the transaction did: see [`Overlay::settle`].
    cancelled: bool,
    /// Where records are put together.
    scratch: NodeRecordBuf,
}

impl Overlay {
    /// Whether nothing was changed (names apart).
    pub fn is_empty(&self) -> bool {
        self.nodes.items().is_empty()
            && self.edges.items().is_empty()
            && self.vectors.is_empty()
            && self.indexes.is_empty()
    }

    #[inline]
    fn find_node(&self, id: NodeId) -> Option<usize> {
        self.nodes.find(hash_id(id.0), |change| change.id == id)
    }

    #[inline]
    fn find_edge(&self, edge: EdgeKey) -> Option<usize> {
        self.edges.find(hash_edge_key(edge), |change| change.edge == edge)
    }

    /// The node as the transaction left it: `None` if it did not touch it.
    #[inline]
    pub fn node(&self, id: NodeId) -> Option<&NodeChange> {
        self.nodes.items().get(self.find_node(id)?)
    }

    /// Who holds `key` for the transaction: `None` if it did not touch the key.
    pub fn key(&self, hash: u64, key: &str) -> Option<Option<NodeId>> {
        let at = self.keys.find(hash, |change| change.is(hash, key))?;
        Some(self.keys.items().get(at)?.holder)
    }

    /// Makes room for so many more nodes and edges.
    pub fn reserve(&mut self, nodes: usize, edges: usize) {
        self.nodes.reserve(nodes);
        self.keys.reserve(nodes);
        self.edges.reserve(edges);
    }

    /// The edge as the transaction left it: `None` if it did not touch it.
    #[inline]
    pub fn edge(&self, edge: EdgeKey) -> Option<&EdgeChange> {
        self.edges.items().get(self.find_edge(edge)?)
    }

    /// The vector as the transaction left it: `None` if it did not touch it.
    pub fn vector(&self, node: NodeId, key: PropKeyId) -> Option<Option<&Arc<[u8]>>> {
        self.vectors.get(&(node, key)).map(|v| v.bytes.as_ref())
    }

    /// The property keys under which the transaction touched a vector of `node`.
    pub fn vector_keys_of(&self, node: NodeId) -> impl Iterator<Item = PropKeyId> {
        self.vectors.keys().filter(move |(n, _)| *n == node).map(|(_, key)| *key)
    }

    /// The positions of touched edges at `node`, for [`Overlay::edge_at`].
    pub fn edges_of(&self, node: NodeId, direction: Direction) -> &[u32] {
        if self.edges.items().is_empty() {
            return &[];
        }
        let adjacency = self.adjacency.get_or_init(|| {
            let mut adjacency = adjacency::Index::default();
            for (at, change) in self.edges.items().iter().enumerate() {
                adjacency::link(&mut adjacency, change.edge, at as u32);
            }
            adjacency
        });
        adjacency[direction as usize].get(&node).map_or(&[], Vec::as_slice)
    }

    /// The touched edge at a position.
    pub fn edge_at(&self, at: u32) -> Option<&EdgeChange> {
        self.edges.items().get(at as usize)
    }

    /// The change of the number of nodes, edges and vectors.
    pub fn totals(&self) -> [i64; 3] {
        self.totals
    }

    /// The change of the number of edges of a type.
    pub fn type_count(&self, ty: EdgeTypeId) -> i64 {
        self.type_counts.get(&ty.0).copied().unwrap_or(0)
    }

    /// The change of the number of nodes with a label.
    pub fn label_count(&self, label: LabelId) -> i64 {
        self.label_counts.get(&label.0).copied().unwrap_or(0)
    }

    /// Whether it touched an edge of another rank than 0.
    #[inline]
    pub fn has_ranks(&self) -> bool {
        self.ranked
    }

    /// The edges of other ranks than 0 with the ends and type of `edge` that the transaction touched, in no order.
    pub fn parallels_of(&self, edge: EdgeKey) -> impl Iterator<Item = EdgeKey> {
        let positions: &[u32] = if self.ranked {
            let index = self.parallels.get_or_init(|| {
                let mut index = parallels::Index::default();
                self.edges
                    .items()
                    .iter()
                    .enumerate()
                    .for_each(|(at, change)| parallels::link(&mut index, change.edge, at as u32));
                index
            });
            index.get(&(edge.src, edge.ty, edge.dst)).map_or(&[], Vec::as_slice)
        } else {
            &[]
        };
        positions.iter().filter_map(|at| self.edge_at(*at)).map(|change| change.edge)
    }
}
