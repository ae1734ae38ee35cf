//! First committer wins (I23): whether what a transaction writes or relies on was changed after its snapshot.
//!
//! Deltas tell, as long as all since the snapshot are there: each leads to the next. Nobody keeps them for the sake of a
//! transaction that may commit some day, so those between may be gone. Then those that are there tell, and besides them the
//! two states, the one that the transaction read and the one that it would change: if what it touches is the same in both,
//! it does not matter what was there in between.

use super::{
    delta::Next,
    levels::Levels,
    overlay::{
        EdgeChange, NodeChange, OR_ATTACHED, Overlay, edge_conflict, key_conflict, node_conflict, vector_conflict,
    },
    reading::Reading,
};
use crate::{
    error::Result,
    graph::{Direction, EdgeKey, LogIndex, NodeId, NodeRecord},
};

impl Levels {
    /// Fails with a conflict if something that `overlay` writes or relies on was changed between `snapshot`, which it
    /// read in these levels, and `last`, the last commit in `current`. Only under the commit lock.
    pub fn validate(&self, overlay: &Overlay, snapshot: LogIndex, current: &Levels, last: LogIndex) -> Result<()> {
        if let Some(frozen) = &self.frozen {
            overlay.validate(&self.names, frozen, snapshot.0)?;
        }
        let mut later = None;
        loop {
            let delta = later.as_deref().unwrap_or(&*self.active);
            if delta.last() > snapshot {
                overlay.validate(&self.names, delta, snapshot.0)?;
            }
            match delta.next() {
                Next::Nothing => return Ok(()),
                Next::There(next) => later = Some(next),
                Next::Gone => break,
            }
        }
        for delta in current.deltas() {
            overlay.validate(&self.names, delta, snapshot.0)?;
        }
        overlay.compare(&Reading::new(self, snapshot, None), &Reading::new(current, last, None))
    }
}

impl Overlay {
    /// Fails with a conflict if what it writes or relies on is not the same in `now` as in `before`.
    fn compare(&self, before: &Reading<'_>, now: &Reading<'_>) -> Result<()> {
        let names = &*before.levels.names;
        for change in self.nodes.items() {
            self.compare_node(change, before, now)?;
        }
        for change in self.keys.items() {
            let Some(key) = NodeRecord::parse(&change.record)?.key() else { continue };
            if before.node_by_hashed_key(change.hash, key)? != now.node_by_hashed_key(change.hash, key)? {
                return key_conflict(&change.record);
            }
        }
        for EdgeChange { edge, props, .. } in self.edges.items() {
            let EdgeKey { src, dst, .. } = *edge;
            let props_in =
                |reading: &Reading<'_>| reading.edge(*edge).map(|props| props.map(|p| p.as_bytes().to_vec()));
            if props_in(before)? != props_in(now)? {
                return edge_conflict(names, *edge, false);
            }
            if props.is_some() && !(self.stands(src, before, now)? && self.stands(dst, before, now)?) {
                return edge_conflict(names, *edge, true);
            }
        }
        for (&(node, key), change) in &self.vectors {
            let stays = change.bytes.is_some();
            let bytes_in = |reading: &Reading<'_>| reading.vector(node, key).map(|v| v.map(|v| v.as_bytes().to_vec()));
            if bytes_in(before)? != bytes_in(now)? || stays && !self.stands(node, before, now)? {
                return vector_conflict(names, node, key);
            }
        }
        Ok(())
    }

    fn compare_node(&self, change: &NodeChange, before: &Reading<'_>, now: &Reading<'_>) -> Result<()> {
        let id = change.id;
        let record_in = |reading: &Reading<'_>| reading.node(id).map(|record| record.map(|r| r.as_bytes().to_vec()));
        if record_in(before)? != record_in(now)? {
            return node_conflict(id, &change.record, "");
        }
        if !change.is_deleted() {
            return Ok(());
        }
        // What is attached to it now, the transaction has removed.
        let attached = || node_conflict(id, &change.record, OR_ATTACHED);
        for direction in [Direction::Out, Direction::In] {
            if now.edges_at(id, direction, None)?.any(|edge| self.edge(edge).is_none()) {
                return attached();
            }
        }
        match now.vector_keys(id)?.into_iter().find(|key| self.vector(id, *key).is_none()) {
            Some(_) => attached(),
            None => Ok(()),
        }
    }

    /// Whether a node is there and is the one that it was: what was created anew under its id is, if it has its key. One
    /// that the transaction wrote is compared by its record.
    fn stands(&self, node: NodeId, before: &Reading<'_>, now: &Reading<'_>) -> Result<bool> {
        if self.node(node).is_some() {
            return Ok(true);
        }
        let Some(there) = now.node(node)? else { return Ok(false) };
        Ok(before.node(node)?.is_some_and(|was| was.key() == there.key()))
    }
}
