//! What a transaction wrote, element by element.

use crate::{
    graph::{Digest, EdgeKey, NodeId},
    state::{
        delta::{Props, record_has_key},
        indexed::Hashed,
        slots::{hash_edge_key, hash_id},
    },
};
use std::sync::Arc;

/// A node that the transaction wrote.
#[derive(Debug, Clone)]
pub struct NodeChange {
    /// Which node.
    pub id: NodeId,
    /// Whether it was there before the transaction.
    pub existed: bool,
    pub(super) before: Digest,
    /// Its record now.
    pub record: Arc<[u8]>,
    /// Whether it is deleted now.
    pub dead: bool,
    /// Whether the transaction deleted it, and what was attached to it, even if it created it anew since.
    pub(super) cascaded: bool,
    /// Its first tombstone, once it was created anew: with the key that others know it by.
    pub(super) tombstone: Option<Arc<[u8]>>,
}

/// An edge that the transaction wrote.
#[derive(Debug, Clone)]
pub struct EdgeChange {
    /// Which edge.
    pub edge: EdgeKey,
    /// Whether it was there before the transaction.
    pub existed: bool,
    pub(super) before: Digest,
    /// Its properties now; `None` if it is not there now.
    pub props: Option<Props>,
}

impl EdgeChange {
    /// Whether it is there now and was not before the transaction.
    pub fn is_added(&self) -> bool {
        !self.existed && self.props.is_some()
    }
}

/// A key that the transaction claimed or released.
#[derive(Debug)]
pub struct KeyChange {
    pub hash: u64,
    /// A record that has the key.
    pub record: Arc<[u8]>,
    /// Whether a node held it before the transaction.
    pub(super) was_held: bool,
    /// Who holds the key now.
    pub(super) holder: Option<NodeId>,
}

impl NodeChange {
    /// Whether the transaction created the node that is there now.
    pub(super) fn is_created(&self) -> bool {
        !self.dead && (!self.existed || self.cascaded)
    }

    /// Whether the transaction deleted the node that was there before it, even if it created it anew since.
    pub fn is_deleted(&self) -> bool {
        self.existed && self.cascaded
    }
}

impl KeyChange {
    pub(super) fn is(&self, hash: u64, key: &str) -> bool {
        self.hash == hash && record_has_key(&self.record, key)
    }
}

impl Hashed for NodeChange {
    fn hash(&self) -> u64 {
        hash_id(self.id.0)
    }
}

impl Hashed for EdgeChange {
    fn hash(&self) -> u64 {
        hash_edge_key(self.edge)
    }
}

impl Hashed for KeyChange {
    fn hash(&self) -> u64 {
        self.hash
    }
}

#[derive(Debug, Clone)]
pub struct VectorChange {
    pub(super) before: Option<Digest>,
    pub bytes: Option<Arc<[u8]>>,
}
