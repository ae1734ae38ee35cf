//! What a node is created with.

use crate::graph::{LabelId, NodeId, PropKeyId, Value};

/// A node to be created: `NewNode::new().key("ada").labels(&[person])`. What is not said is not there, but for the id, which
/// is then the next free one.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
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

impl<'a> NewNode<'a> {
    /// A node with the next free id, without a key, labels and properties.
    pub fn new() -> Self {
        NewNode::default()
    }

    /// With this id, which must not be taken.
    #[must_use]
    pub fn id(self, id: NodeId) -> Self {
        self.maybe_id(Some(id))
    }

    /// With this id, or with the next free one.
    #[must_use]
    pub fn maybe_id(mut self, id: Option<NodeId>) -> Self {
        self.id = id;
        self
    }

    /// With this unique key.
    #[must_use]
    pub fn key(self, key: &'a str) -> Self {
        self.maybe_key(Some(key))
    }

    /// With this unique key, or with none.
    #[must_use]
    pub fn maybe_key(mut self, key: Option<&'a str>) -> Self {
        self.key = key;
        self
    }

    /// With these labels, in place of those said before.
    #[must_use]
    pub fn labels(mut self, labels: &'a [LabelId]) -> Self {
        self.labels = labels;
        self
    }

    /// With these properties, in place of those said before.
    #[must_use]
    pub fn props(mut self, props: &'a [(PropKeyId, Value)]) -> Self {
        self.props = props;
        self
    }
}
