//! What a checkpoint gathered from a delta, in the order in which a run wants it. Each table takes from it what it holds.

use super::row::EntryKind;
use crate::graph::{EdgeKey, LabelId, NameKind, NodeId, PropKeyId};
use std::sync::Arc;

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub struct Changes<'a> {
    /// Names: kind, id, dimension of the vectors stored under it (0: none), text. Ascending.
    pub names: Vec<(NameKind, u32, u32, Arc<str>)>,
    /// Nodes with their canonical records, live or dead. Ascending.
    pub nodes: Vec<(NodeId, &'a [u8])>,
    /// Edges with the canonical bytes of their properties (none for [`EntryKind::Remove`]). Ascending.
    pub edges: Vec<(EdgeKey, EntryKind, &'a [u8])>,
    /// Nodes that got a label, or lost it. Ascending.
    pub members: Vec<(LabelId, NodeId, EntryKind)>,
    /// Vectors, floats in little-endian bytes; `None`: removed. Ascending.
    pub vectors: Vec<(NodeId, PropKeyId, Option<&'a [u8]>)>,
}
