//! Reading one state: a stack of levels as of one log index, under a transaction's own changes if there are
//! any. The newest level that says something decides.

use super::{delta::Delta, indexes::IndexSet, levels::Levels, members::StoredMembers, overlay::Overlay};
use crate::{
    error::Result,
    graph::{
        Direction, EdgeKey, EdgeTypeId, LabelId, LogIndex, NodeId, NodeRecord, PropKeyId, PropList, VectorRef, key_hash,
    },
    store::EntryKind,
};
use std::sync::Arc;

/// See the [module documentation](self).
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    pub(super) levels: &'a Levels,
    pub(super) at: u64,
    pub(super) overlay: Option<&'a Overlay>,
}

impl<'a> Reading<'a> {
    /// Reads `levels` as of `at`.
    #[inline]
    pub fn new(levels: &'a Levels, at: LogIndex, overlay: Option<&'a Overlay>) -> Self {
        Self { levels, at: at.0, overlay }
    }

    /// The length that vectors under `key` have, once one was stored.
    pub fn dimension(&self, key: PropKeyId) -> Option<u32> {
        let own = self.overlay.and_then(|o| o.dimensions.iter().find(|(k, _)| *k == key).map(|(_, d)| *d));
        own.or_else(|| self.levels.names.dimension(key))
    }

    /// The same state under `overlay`.
    pub fn over<'b>(&self, overlay: &'b Overlay) -> Reading<'b>
    where
        'a: 'b,
    {
        Reading { levels: self.levels, at: self.at, overlay: Some(overlay) }
    }

    /// The definitions of indexes.
    pub fn indexes(&self) -> Arc<IndexSet> {
        let at = LogIndex(self.at);
        let base = self.levels.delta_of(at).indexes.at(at);
        self.overlay.map_or_else(|| base.clone(), |overlay| overlay.indexes_over(base.clone()))
    }

    /// The record of a node that exists.
    #[inline]
    pub fn node(&self, id: NodeId) -> Result<Option<NodeRecord<'a>>> {
        if let Some(change) = self.overlay.and_then(|o| o.node(id)) {
            return if change.dead { Ok(None) } else { NodeRecord::parse(&change.record).map(Some) };
        }
        for delta in self.levels.deltas() {
            if let Some(state) = delta.node(id, self.at) {
                return if state.dead { Ok(None) } else { NodeRecord::parse(&state.record).map(Some) };
            }
        }
        for run in self.levels.runs.iter().rev() {
            if let Some(record) = run.node(id)? {
                return Ok((!record.is_dead()).then_some(record));
            }
        }
        Ok(None)
    }

    /// A node's record, a tombstone included, if a delta or the overlay wrote the node: else the runs tell.
    pub fn written_node(&self, id: NodeId) -> Result<Option<NodeRecord<'a>>> {
        if let Some(change) = self.overlay.and_then(|o| o.node(id)) {
            return NodeRecord::parse(&change.record).map(Some);
        }
        let state = self.levels.deltas().find_map(|delta| delta.node(id, self.at));
        state.map(|state| NodeRecord::parse(&state.record)).transpose()
    }

    /// As [`Reading::node`], where a newer record may be at hand.
    pub fn record<'b>(&self, held: Option<&'b [u8]>, id: NodeId) -> Result<Option<NodeRecord<'b>>>
    where
        'a: 'b,
    {
        match held {
            Some(bytes) => Ok(Some(NodeRecord::parse(bytes)?).filter(|r| !r.is_dead())),
            None => self.node(id),
        }
    }

    /// Whether a node exists.
    #[inline]
    pub fn node_exists(&self, id: NodeId) -> Result<bool> {
        if let Some(change) = self.overlay.and_then(|o| o.node(id)) {
            return Ok(!change.dead);
        }
        for delta in self.levels.deltas() {
            if let Some(exists) = delta.node_exists(id, self.at) {
                return Ok(exists);
            }
        }
        let Some((oldest, newer)) = self.levels.runs.split_first() else { return Ok(false) };
        for run in newer.iter().rev() {
            if let Some(record) = run.node(id)? {
                return Ok(!record.is_dead());
            }
        }
        // The oldest run has no tombstones: that there is a record is enough.
        oldest.has_record(id)
    }

    /// The node that holds `key`.
    #[inline]
    pub fn node_by_key(&self, key: &str) -> Result<Option<NodeId>> {
        self.node_by_hashed_key(key_hash(key), key)
    }

    /// As [`Reading::node_by_key`], the key's hash being known.
    #[inline]
    pub fn node_by_hashed_key(&self, hash: u64, key: &str) -> Result<Option<NodeId>> {
        if let Some(holder) = self.overlay.and_then(|o| o.key(hash, key)) {
            return Ok(holder);
        }
        for delta in self.levels.deltas() {
            if let Some(holder) = delta.key(hash, key, self.at) {
                return Ok((holder != 0).then_some(NodeId(holder)));
            }
        }
        for (at, run) in self.levels.runs.iter().enumerate().rev() {
            let Some(holder) = run.key(hash, key)? else { continue };
            if holder.dead {
                return Ok(None);
            }
            // A node that was created anew under its old id released the key without a tombstone: a newer run
            // that has the node, but not under this key, says so.
            for newer in self.levels.runs.get(at + 1..).unwrap_or_default() {
                if newer.has_record(holder.id)? {
                    return Ok(None);
                }
            }
            return Ok(Some(holder.id));
        }
        Ok(None)
    }

    /// The properties of an edge that exists.
    pub fn edge(&self, edge: EdgeKey) -> Result<Option<PropList<'a>>> {
        match self.edge_over_runs(edge) {
            Some(decided) => Ok(decided),
            None => Ok(self.edge_in_runs(edge, 0)?.flatten()),
        }
    }

    /// What the levels over the runs say of an edge: its properties, or that it is not there; `None`: nothing.
    #[inline]
    pub(super) fn edge_over_runs(&self, edge: EdgeKey) -> Option<Option<PropList<'a>>> {
        if let Some(change) = self.overlay.and_then(|o| o.edge(edge)) {
            return Some(change.props.as_ref().map(|p| PropList::from_bytes(p.as_deref().unwrap_or_default())));
        }
        self.levels.deltas().find_map(|delta| delta.edge(edge, self.at)).map(|props| props.map(PropList::from_bytes))
    }

    /// What the runs from number `from` on say of an edge: its properties, or that it is not there; `None`: nothing.
    #[inline]
    pub(super) fn edge_in_runs(&self, edge: EdgeKey, from: usize) -> Result<Option<Option<PropList<'a>>>> {
        for run in self.levels.runs.get(from..).unwrap_or_default().iter().rev() {
            let row = run.row(Direction::Out, edge.src)?;
            if let Some(at) = run.find(Direction::Out, &row, edge)? {
                return match row.kind(at) {
                    Some(EntryKind::Remove) => Ok(Some(None)),
                    _ => run.edge_props(&row, at).map(|props| Some(Some(props))),
                };
            }
        }
        Ok(None)
    }

    /// Whether an edge exists.
    #[inline]
    pub fn edge_exists(&self, edge: EdgeKey) -> Result<bool> {
        if let Some(change) = self.overlay.and_then(|o| o.edge(edge)) {
            return Ok(change.props.is_some());
        }
        for delta in self.levels.deltas() {
            if let Some(props) = delta.edge(edge, self.at) {
                return Ok(props.is_some());
            }
        }
        if self.levels.runs.has_ranks() {
            return self.ranked_edge_exists(edge);
        }
        if edge.rank != 0 {
            return Ok(false);
        }
        self.edge_exists_in_unranked_runs(edge)
    }

    /// Whether an edge of rank 0 exists in the runs, where none has ranks.
    #[inline]
    fn edge_exists_in_unranked_runs(&self, edge: EdgeKey) -> Result<bool> {
        for run in self.levels.runs.iter().rev() {
            let row = run.row(Direction::Out, edge.src)?;
            if let Some(at) = row.find(edge.ty, edge.dst) {
                return Ok(row.kind(at) != Some(EntryKind::Remove));
            }
        }
        Ok(false)
    }

    /// Whether an edge exists in the runs, where some have ranks.
    #[cold]
    #[inline(never)]
    fn ranked_edge_exists(&self, edge: EdgeKey) -> Result<bool> {
        for run in self.levels.runs.iter().rev() {
            let row = run.row(Direction::Out, edge.src)?;
            if let Some(at) = run.find(Direction::Out, &row, edge)? {
                return Ok(row.kind(at) != Some(EntryKind::Remove));
            }
        }
        Ok(false)
    }

    /// Whether a level may have an edge of another rank than 0.
    #[inline]
    fn has_ranks(&self) -> bool {
        self.levels.runs.has_ranks()
            || self.overlay.is_some_and(Overlay::has_ranks)
            || self.levels.deltas().any(Delta::has_ranks)
    }

    /// The edge that calls by source, type and destination mean: of those with the ends and type of `edge`, the one of the
    /// lowest rank. Where no rank was given out, looking for rank 0 is all that it costs.
    #[inline]
    pub fn lowest(&self, edge: EdgeKey) -> Result<Option<EdgeKey>> {
        let edge = edge.with_rank(0);
        if self.edge_exists(edge)? { Ok(Some(edge)) } else { self.lowest_parallel(edge) }
    }

    /// As [`Reading::lowest`], for who finds out for himself that there is none: where no rank was given out, nothing is
    /// looked up.
    pub fn meant(&self, edge: EdgeKey) -> Result<EdgeKey> {
        if self.has_ranks() { Ok(self.lowest(edge)?.unwrap_or(edge)) } else { Ok(edge) }
    }

    /// As [`Reading::lowest`], with its properties.
    pub fn lowest_props(&self, edge: EdgeKey) -> Result<Option<(EdgeKey, PropList<'a>)>> {
        let edge = edge.with_rank(0);
        if let Some(props) = self.edge(edge)? {
            return Ok(Some((edge, props)));
        }
        match self.lowest_parallel(edge)? {
            Some(edge) => Ok(self.edge(edge)?.map(|props| (edge, props))),
            None => Ok(None),
        }
    }

    /// As [`Reading::lowest`], among those of other ranks than 0.
    #[inline]
    pub fn lowest_parallel(&self, edge: EdgeKey) -> Result<Option<EdgeKey>> {
        if self.has_ranks() { self.lowest_of_other_ranks(edge) } else { Ok(None) }
    }

    #[cold]
    fn lowest_of_other_ranks(&self, edge: EdgeKey) -> Result<Option<EdgeKey>> {
        for rank in self.touched_ranks(edge)? {
            if self.edge_exists(edge.with_rank(rank))? {
                return Ok(Some(edge.with_rank(rank)));
            }
        }
        Ok(None)
    }

    /// Whether [`Reading::lowest`] finds one.
    #[inline]
    pub fn any_edge_exists(&self, edge: EdgeKey) -> Result<bool> {
        // Most graphs have no ranks, and most views nothing over their runs: that is looked at once, not before and after.
        if self.overlay.is_none() && !self.levels.runs.has_ranks() && self.levels.deltas().next().is_none() {
            return self.edge_exists_in_unranked_runs(edge);
        }
        Ok(self.edge_exists(edge.with_rank(0))? || self.lowest_parallel(edge)?.is_some())
    }

    /// Every edge with the ends and type of `edge`, by rank.
    pub fn edges_between(&self, edge: EdgeKey) -> Result<Vec<EdgeKey>> {
        let mut found = Vec::new();
        let others = if self.has_ranks() { self.touched_ranks(edge)? } else { Vec::new() };
        for rank in std::iter::once(0).chain(others) {
            if self.edge_exists(edge.with_rank(rank))? {
                found.push(edge.with_rank(rank));
            }
        }
        Ok(found)
    }

    /// The ranks, 0 apart, that any level has or had between the ends of `edge`, ascending.
    #[cold]
    fn touched_ranks(&self, edge: EdgeKey) -> Result<Vec<u64>> {
        let mut ranks: Vec<u64> = Vec::new();
        ranks.extend(self.overlay.into_iter().flat_map(|overlay| overlay.parallels_of(edge)).map(|edge| edge.rank));
        for delta in self.levels.deltas().filter(|delta| delta.has_ranks()) {
            ranks.extend(delta.parallels_of(edge, self.at).map(|(edge, _)| edge.rank));
        }
        for run in self.levels.runs.iter().filter(|run| run.has_ranks()) {
            let row = run.row(Direction::Out, edge.src)?;
            for at in row.find_all(edge.ty, edge.dst) {
                ranks.push(run.rank(Direction::Out, &row, at)?);
            }
        }
        ranks.sort_unstable();
        ranks.dedup();
        ranks.retain(|rank| *rank != 0);
        Ok(ranks)
    }

    /// Brings what adding these edges will look at into the processor's caches: tight loops of independent loads
    /// overlap, where the same loads one edge after the other would each be waited for.
    pub fn warm(&self, edges: &[EdgeKey]) {
        for delta in self.levels.deltas() {
            delta.warm(edges);
        }
        for run in self.levels.runs.iter() {
            for edge in edges {
                let _ = std::hint::black_box((run.has_record(edge.src), run.has_record(edge.dst)));
            }
            for edge in edges {
                let _ = std::hint::black_box(run.row(Direction::Out, edge.src).map(|row| row.kind(0)));
            }
        }
    }

    /// A vector.
    pub fn vector(&self, node: NodeId, key: PropKeyId) -> Result<Option<VectorRef<'a>>> {
        if let Some(bytes) = self.overlay.and_then(|o| o.vector(node, key)) {
            return Ok(bytes.map(|b| VectorRef::from_bytes(b)));
        }
        for delta in self.levels.deltas() {
            if let Some(state) = delta.vector(node, key, self.at) {
                return Ok(state.as_deref().map(VectorRef::from_bytes));
            }
        }
        for run in self.levels.runs.iter().rev() {
            if let Some(vector) = run.vector(node, key)? {
                return Ok(vector);
            }
        }
        Ok(None)
    }

    /// The property keys under which a node has a vector, ascending.
    pub fn vector_keys(&self, node: NodeId) -> Result<Vec<PropKeyId>> {
        let mut keys: Vec<PropKeyId> = self.overlay.iter().flat_map(|o| o.vector_keys_of(node)).collect();
        for delta in self.levels.deltas() {
            keys.extend(delta.vector_keys_of(node));
        }
        for run in self.levels.runs.iter() {
            for item in run.vectors_of(node)? {
                keys.push(item?.0);
            }
        }
        keys.sort_unstable();
        keys.dedup();
        let mut present = Vec::with_capacity(keys.len());
        for key in keys {
            if self.vector(node, key)?.is_some() {
                present.push(key);
            }
        }
        Ok(present)
    }

    /// The nodes that the runs alone list under `label`, ascending.
    pub fn stored_members(&self, label: LabelId) -> Result<StoredMembers<'a>> {
        StoredMembers::new(self.levels, label, NodeId(0))
    }

    /// The nodes that a delta wrote with a label at some time, with that label: in no order, perhaps more than once.
    pub fn labelled_in_deltas(&self) -> impl Iterator<Item = (LabelId, NodeId)> + use<'a> {
        self.levels.deltas().flat_map(Delta::all_labelled)
    }

    /// How many nodes, edges and vectors there are.
    pub fn totals(&self) -> [u64; 3] {
        let totals = self.levels.info(LogIndex(self.at)).totals;
        let change = self.overlay.map_or([0; 3], Overlay::totals);
        [(totals.nodes, change[0]), (totals.edges, change[1]), (totals.vectors, change[2])]
            .map(|(total, change)| total.wrapping_add_signed(change))
    }

    /// How many edges of a type there are.
    pub fn count_type(&self, ty: EdgeTypeId) -> u64 {
        let stored = self.levels.delta_of(LogIndex(self.at)).count_type(ty.0, self.at);
        stored.wrapping_add_signed(self.overlay.map_or(0, |o| o.type_count(ty)))
    }

    /// How many nodes carry a label.
    pub fn count_label(&self, label: LabelId) -> u64 {
        let stored = self.levels.delta_of(LogIndex(self.at)).count_label(label.0, self.at);
        stored.wrapping_add_signed(self.overlay.map_or(0, |o| o.label_count(label)))
    }
}
