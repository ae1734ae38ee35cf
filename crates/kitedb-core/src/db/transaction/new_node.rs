//! What a node is created with.

use crate::graph::{LabelId, NodeId, PropKeyId, Value};

/// A node to be created.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewNode<'a> {
    /// Its id; by default the next free one.
    pub id: Option<NodeId>,
    /// Its unique key, if it is to have one.
    pub key: Option<&'a str>,
    /// Its labels.
    pub labels: &'a [LabelId],
    /// Its properties.
    pub props: &'a [(PropKeyId, Value)],
}
