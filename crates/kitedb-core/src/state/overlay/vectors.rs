//! What a transaction does to vectors.

use super::{Overlay, changes::VectorChange};
use crate::{
    error::Result,
    graph::{Digest, NodeId, PropKeyId},
    state::reading::Reading,
};
use std::sync::Arc;

impl Overlay {
    pub(super) fn put_vector(
        &mut self,
        base: &Reading<'_>,
        node: NodeId,
        key: PropKeyId,
        bytes: Option<Arc<[u8]>>,
    ) -> Result<()> {
        let was = base.over(self).vector(node, key)?.is_some();
        self.totals[2] += i64::from(bytes.is_some()) - i64::from(was);
        if let Some(change) = self.vectors.get_mut(&(node, key)) {
            self.cancelled |= bytes.is_none() && change.before.is_none();
            change.bytes = bytes;
            return Ok(());
        }
        let before = base.vector(node, key)?.map(|v| Digest::of_vector(node, key, v.as_bytes()));
        self.vectors.insert((node, key), VectorChange { before, bytes });
        Ok(())
    }
}
