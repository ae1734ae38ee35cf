//! The delta: what the log holds beyond the last checkpoint, in memory.
//!
//! Append-only slots and version chains, found through hash tables that readers never wait for. One thread
//! writes at a time (under the commit lock); a reader ignores versions above its view's index. Memory grows
//! with the log since the checkpoint and is let go as a whole, so nothing is ever collected piecemeal.

use super::{
    arena::WordArena,
    elements::{EdgeSlot, NodeSlot, Touched, WORDS},
    figures::{DeltaFigures, Tally},
    indexes::{IndexSet, Indexes},
    labels::Labelled,
    orders::Orders,
    parallels::Parallels,
    slots::{SlotTable, hash_edge, hash_edge_key, hash_id},
    versions::{Arena, Cell, Head, numbered},
};
use crate::graph::{Digest, Direction, EdgeKey, Epoch, LogIndex, NodeId, NodeRecord, PropKeyId};
use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicU64, Ordering},
};

/// Totals after a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Nodes.
    pub nodes: u64,
    /// Edges.
    pub edges: u64,
    /// Vectors.
    pub vectors: u64,
}

/// What a commit left behind beside its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its epoch.
    pub epoch: Epoch,
    /// When it was committed, ms since 1970.
    pub commit_ms: u64,
    /// The digest after it.
    pub digest: Digest,
    /// The totals after it.
    pub totals: Totals,
}

/// A node's record as a version holds it.
#[derive(Debug, Clone)]
pub struct NodeState {
    /// The record: live, or a tombstone.
    pub record: Arc<[u8]>,
    /// Whether it is a tombstone.
    pub dead: bool,
    /// Whether the node existed before the commit that wrote this version.
    pub existed: bool,
    /// Whether that commit deleted it, be it that it created it anew.
    pub deleted: bool,
}

/// An edge's properties as read: `None` if the edge does not exist, empty if it has none.
pub type EdgeProps<'a> = Option<&'a [u8]>;

/// An edge's properties; most edges have none, and then nothing is allocated.
pub type Props = Option<Arc<[u8]>>;

/// A vector's little-endian bytes; `None` if it was removed.
pub type VectorState = Option<Arc<[u8]>>;

#[derive(Debug)]
struct KeySlot {
    /// A record that has the key.
    record: Arc<[u8]>,
    /// The node that holds the key; 0 = released.
    holder: Cell<u64>,
}

/// Whether a record's key is `key`.
pub fn record_has_key(record: &[u8], key: &str) -> bool {
    NodeRecord::parse(record).is_ok_and(|record| record.has_key(key))
}

#[derive(Debug)]
pub(super) struct VectorSlot {
    pub(super) node: NodeId,
    pub(super) key: PropKeyId,
    next: u32,
    state: Cell<VectorState>,
}

#[derive(Debug, Default)]
struct Counter {
    start: u64,
    head: AtomicU64,
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Delta {
    base: LogIndex,
    start: CommitInfo,
    pub(super) nodes: WordArena<WORDS>,
    node_table: SlotTable,
    records: Arena<NodeState>,
    pub(super) edges: WordArena<WORDS>,
    edge_table: SlotTable,
    pub(super) parallels: Parallels,
    /// Later versions of edges: most have none.
    edge_states: Arena<Option<Props>>,
    edge_props: boxcar::Vec<Arc<[u8]>>,
    keys: boxcar::Vec<KeySlot>,
    key_table: SlotTable,
    key_holders: Arena<u64>,
    vectors: boxcar::Vec<VectorSlot>,
    vector_table: SlotTable,
    vector_states: Arena<VectorState>,
    pub(super) labelled: Labelled,
    type_counts: boxcar::Vec<Counter>,
    label_counts: boxcar::Vec<Counter>,
    counts: Arena<u64>,
    commits: boxcar::Vec<CommitInfo>,
    /// The definitions of indexes.
    pub indexes: Indexes,
    pub(super) orders: Orders,
    bytes: AtomicU64,
    tally: Tally,
    /// The delta that follows, once this one is frozen: transactions that began before check against both, as long as
    /// both are there. Who holds this one does not hold the next.
    next: OnceLock<Weak<Delta>>,
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
        let counters = |starts: &[u64]| -> boxcar::Vec<Counter> {
            starts.iter().map(|&start| Counter { start, head: AtomicU64::new(0) }).collect()
        };
        Self {
            base,
            start,
            nodes: WordArena::default(),
            node_table: SlotTable::default(),
            records: Arena::new(),
            edges: WordArena::default(),
            edge_table: SlotTable::default(),
            parallels: Parallels::default(),
            edge_states: Arena::new(),
            edge_props: boxcar::Vec::new(),
            keys: boxcar::Vec::new(),
            key_table: SlotTable::default(),
            key_holders: Arena::new(),
            vectors: boxcar::Vec::new(),
            vector_table: SlotTable::default(),
            vector_states: Arena::new(),
            labelled: Labelled::default(),
            type_counts: counters(type_counts),
            label_counts: counters(label_counts),
            counts: Arena::new(),
            commits: boxcar::Vec::new(),
            indexes: Indexes::new(indexes),
            orders: Orders::default(),
            bytes: AtomicU64::new(0),
            tally: Tally::default(),
            next: OnceLock::new(),
        }
    }

    /// The log index below this delta.
    pub fn base(&self) -> LogIndex {
        self.base
    }

    /// The log index of the last commit in it.
    pub fn last(&self) -> LogIndex {
        LogIndex(self.base.0 + self.commits.count() as u64)
    }

    /// Whether nothing was committed into it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    /// A rough count of the bytes of memory that it holds.
    pub fn memory_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed) + self.labelled.bytes() + self.orders.bytes()
    }

    /// What it holds, and how much. Cheap; while a commit is being applied, the figures may be those of a part of it.
    pub fn figures(&self) -> DeltaFigures {
        let touched = [self.nodes.len(), self.edges.len()].map(u64::from);
        let also_touched = [self.vectors.count(), self.keys.count()].map(|count| count as u64);
        let versions =
            [self.records.count(), self.edge_states.count(), self.vectors.count(), self.vector_states.count()];
        DeltaFigures {
            elements: touched.iter().chain(&also_touched).sum(),
            versions: versions.iter().map(|count| *count as u64).sum::<u64>() + u64::from(self.edges.len()),
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

    /// What the commit with log index `at` left behind; for the base, what was there before.
    pub fn info(&self, at: LogIndex) -> &CommitInfo {
        let Some(nth) = at.0.checked_sub(self.base.0 + 1) else { return &self.start };
        self.commits.get(nth as usize).unwrap_or(&self.start)
    }

    // ---- reading -------------------------------------------------------------------------------------------

    #[inline]
    pub(super) fn node_slot(&self, id: NodeId) -> Option<(u32, NodeSlot<'_>)> {
        let mut found = None;
        let slot = self.node_table.find(hash_id(id.0), |slot| {
            found = self.nodes.get(slot).map(NodeSlot).filter(|s| s.id() == id.0);
            found.is_some()
        })?;
        Some((slot, found?))
    }

    /// The node's record as of `at`: `None` if this delta does not decide.
    #[inline]
    pub fn node(&self, id: NodeId, at: u64) -> Option<&NodeState> {
        self.node_slot(id)?.1.record().at(&self.records, at)
    }

    /// Whether the node exists as of `at`: `None` if this delta does not decide.
    #[inline]
    pub fn node_exists(&self, id: NodeId, at: u64) -> Option<bool> {
        let (_, slot) = self.node_slot(id)?;
        match slot.live_since().load(Ordering::Acquire) {
            NodeSlot::UNWRITTEN => None,
            since if since != 0 && since <= at => Some(true),
            _ => slot.record().at(&self.records, at).map(|state| !state.dead),
        }
    }

    /// Who holds `key` as of `at`: `None` if this delta does not decide, `Some(0)` if nobody does any more.
    #[inline]
    pub fn key(&self, hash: u64, key: &str, at: u64) -> Option<u64> {
        self.key_slot(hash, key)?.holder.at(&self.key_holders, at).copied()
    }

    #[inline]
    fn key_slot(&self, hash: u64, key: &str) -> Option<&KeySlot> {
        let mut found = None;
        self.key_table.find(hash, |slot| {
            found = self.keys.get(slot as usize).filter(|s| record_has_key(&s.record, key));
            found.is_some()
        })?;
        found
    }

    #[inline]
    fn edge_slot(&self, edge: EdgeKey) -> Option<EdgeSlot<'_>> {
        let mut found = None;
        self.edge_table.find(hash_edge_key(edge), |slot| {
            found = self.edges.get(slot).map(EdgeSlot).filter(|s| s.edge() == edge);
            found.is_some()
        })?;
        found
    }

    /// The edge as of `at`: `None` if this delta does not decide.
    #[inline]
    pub fn edge(&self, edge: EdgeKey, at: u64) -> Option<EdgeProps<'_>> {
        self.edge_at(self.edge_slot(edge)?, at)
    }

    #[inline]
    pub(super) fn edge_at<'a>(&'a self, slot: EdgeSlot<'a>, at: u64) -> Option<EdgeProps<'a>> {
        if let Some(later) = slot.later().at(&self.edge_states, at) {
            return Some(later.as_ref().map(|props| props.as_deref().unwrap_or_default()));
        }
        if slot.version() > at {
            return None;
        }
        let props = || match (slot.props() as usize).checked_sub(1).and_then(|number| self.edge_props.get(number)) {
            Some(props) => &props[..],
            None => &[],
        };
        Some(slot.exists().then(props))
    }

    /// The first of the touched edges of `node`, for [`Delta::edge_of`] (0 = none), and whether edges of it below
    /// this delta may be hidden.
    #[inline]
    pub fn first_edge_of(&self, node: NodeId, direction: Direction) -> (u32, bool) {
        self.node_slot(node).map_or((0, false), |(_, slot)| {
            (slot.first_edge(direction).load(Ordering::Acquire) as u32, slot.hides(direction))
        })
    }

    /// A touched edge, its properties as of `at` with whether it was visible below this delta (`None` if it was
    /// touched only later), and the next one of the same node.
    #[inline]
    pub fn edge_of(&self, number: u32, direction: Direction, at: u64) -> Option<TouchedEdge<'_>> {
        let slot = EdgeSlot(self.edges.get(number.checked_sub(1)?)?);
        let state = self.edge_at(slot, at).map(|props| (props, slot.below()));
        Some((slot.edge(), state, slot.next(direction)))
    }

    /// See [`super::Reading::warm`].
    pub fn warm(&self, edges: &[EdgeKey]) {
        let mut slots = Vec::with_capacity(edges.len() * 2);
        for edge in edges {
            slots.extend([edge.src, edge.dst].map(|id| self.node_table.peek(hash_id(id.0))));
            std::hint::black_box(self.edge_table.peek(hash_edge_key(*edge)));
        }
        for slot in slots.into_iter().flatten() {
            std::hint::black_box(self.nodes.get(slot).map(|slot| NodeSlot(slot).id()));
        }
    }

    /// The vector as of `at`: `None` if this delta does not decide.
    pub fn vector(&self, node: NodeId, key: PropKeyId, at: u64) -> Option<&VectorState> {
        self.vector_slot(node, key)?.state.at(&self.vector_states, at)
    }

    fn vector_slot(&self, node: NodeId, key: PropKeyId) -> Option<&VectorSlot> {
        let mut found = None;
        self.vector_table.find(hash_edge(node.0, key.0, 0), |slot| {
            found = self.vectors.get(slot as usize).filter(|s| s.node == node && s.key == key);
            found.is_some()
        })?;
        found
    }

    /// The property keys under which this delta says something of a vector of `node`.
    pub fn vector_keys_of(&self, node: NodeId) -> Vec<PropKeyId> {
        let mut next = self.node_slot(node).map_or(0, |(_, s)| s.first_vector().load(Ordering::Acquire) as u32);
        let mut keys = Vec::new();
        while let Some(slot) = (next as usize).checked_sub(1).and_then(|i| self.vectors.get(i)) {
            keys.push(slot.key);
            next = slot.next;
        }
        keys
    }

    /// How many edges of a type there are as of `at`.
    pub fn count_type(&self, ty: u32, at: u64) -> u64 {
        self.count(&self.type_counts, ty, at)
    }

    /// How many nodes carry a label as of `at`.
    pub fn count_label(&self, label: u32, at: u64) -> u64 {
        self.count(&self.label_counts, label, at)
    }

    fn count(&self, counters: &boxcar::Vec<Counter>, id: u32, at: u64) -> u64 {
        counters.get(id as usize).map_or(0, |c| Head(&c.head).at(&self.counts, at).copied().unwrap_or(c.start))
    }

    /// The counts of every type and of every label as of `at`, by id.
    pub fn all_counts(&self, at: u64) -> [Vec<u64>; 2] {
        [&self.type_counts, &self.label_counts]
            .map(|counters| (0..counters.count() as u32).map(|id| self.count(counters, id, at)).collect())
    }

    // ---- what a checkpoint reads ---------------------------------------------------------------------------

    /// Every node with a record as of `at`, in no order; the flag says whether the node was there below.
    pub fn changed_nodes(&self, at: u64) -> impl Iterator<Item = (NodeId, &NodeState, bool)> {
        self.nodes.iter().map(NodeSlot).filter_map(move |slot| {
            let state = slot.record().at(&self.records, at)?;
            let below = slot.record().oldest(&self.records)?.existed;
            Some((NodeId(slot.id()), state, below))
        })
    }

    /// Every touched edge as of `at`, in no order; the flag says whether it was there below.
    pub fn changed_edges(&self, at: u64) -> impl Iterator<Item = (EdgeKey, EdgeProps<'_>, bool)> {
        self.edges
            .iter()
            .map(EdgeSlot)
            .filter_map(move |slot| Some((slot.edge(), self.edge_at(slot, at)?, slot.below())))
    }

    /// Every touched vector as of `at`, in no order.
    pub fn changed_vectors(&self, at: u64) -> impl Iterator<Item = (NodeId, PropKeyId, &VectorState)> {
        self.vectors.iter().filter_map(move |(_, s)| Some((s.node, s.key, s.state.at(&self.vector_states, at)?)))
    }

    // ---- validation: what was committed after a snapshot ---------------------------------------------------

    /// Whether the node's record was written after `snapshot`.
    pub fn node_written_after(&self, id: NodeId, snapshot: u64) -> bool {
        self.node_slot(id)
            .and_then(|(_, s)| s.record().newest(&self.records))
            .is_some_and(|(version, _)| version > snapshot)
    }

    /// Whether the node was deleted after `snapshot`, even if it was created anew since.
    pub fn node_deleted_after(&self, id: NodeId, snapshot: u64) -> bool {
        self.node_slot(id).is_some_and(|(_, s)| s.record().any_after(&self.records, snapshot, |state| state.deleted))
    }

    /// Whether something that relies on the node being there was committed after `snapshot`.
    pub fn node_relied_on_after(&self, id: NodeId, snapshot: u64) -> bool {
        self.node_slot(id).is_some_and(|(_, s)| s.guard().load(Ordering::Acquire) > snapshot)
    }

    /// Whether the key that `record` has was claimed or released after `snapshot`.
    pub fn key_written_after(&self, hash: u64, record: &[u8], snapshot: u64) -> bool {
        let key = NodeRecord::parse(record).ok().and_then(|record| record.key());
        let slot = key.and_then(|key| self.key_slot(hash, key));
        slot.is_some_and(|s| s.holder.newest_version(&self.key_holders) > snapshot)
    }

    /// Whether the edge was written after `snapshot`.
    pub fn edge_written_after(&self, edge: EdgeKey, snapshot: u64) -> bool {
        self.edge_slot(edge)
            .is_some_and(|s| s.later().newest(&self.edge_states).map_or(s.version(), |(version, _)| version) > snapshot)
    }

    /// Whether the vector was written after `snapshot`.
    pub fn vector_written_after(&self, node: NodeId, key: PropKeyId, snapshot: u64) -> bool {
        self.vector_slot(node, key).is_some_and(|s| s.state.newest_version(&self.vector_states) > snapshot)
    }

    // ---- writing, under the commit lock --------------------------------------------------------------------

    fn touch_node(&self, id: NodeId) -> (u32, NodeSlot<'_>) {
        if let Some(found) = self.node_slot(id) {
            return found;
        }
        let (number, words) = self.nodes.push(NodeSlot::fresh(id));
        self.node_table.insert(hash_id(id.0), number);
        self.grow_by(80);
        (number, NodeSlot(words))
    }

    fn grow_by(&self, bytes: usize) {
        self.bytes.store(self.bytes.load(Ordering::Relaxed) + bytes as u64, Ordering::Relaxed);
    }

    /// Writes a node's record.
    pub fn put_node(&self, id: NodeId, version: u64, state: NodeState) {
        self.grow_by(64 + state.record.len());
        let (_, slot) = self.touch_node(id);
        let is_first = slot.record().is_empty();
        let has_labels = self.note_labels(id, slot, &state);
        if state.existed && is_first {
            slot.set_below();
        }
        self.tally.node(id.0, slot.below(), state.existed, !state.dead);
        let since = slot.live_since().load(Ordering::Relaxed);
        let since = if state.dead { 0 } else { since.min(version) };
        let number = slot.record().push(&self.records, version, state);
        if is_first && has_labels {
            slot.set_first_record(number);
        }
        slot.live_since().store(since, Ordering::Release);
    }

    /// Takes note of the labels of a node's new record, before it is written. Returns whether it has any.
    fn note_labels(&self, id: NodeId, slot: NodeSlot<'_>, state: &NodeState) -> bool {
        let Some(record) = NodeRecord::parse(&state.record).ok().filter(NodeRecord::has_labels) else { return false };
        match slot.record().newest(&self.records) {
            None => self.labelled.note_first(id, &record),
            Some((_, newest)) => {
                let newest = NodeRecord::parse(&newest.record).ok();
                if !newest.is_some_and(|newest| newest.labels().eq(record.labels())) {
                    let first = numbered(&self.records, slot.first_record());
                    let first = first.and_then(|first| NodeRecord::parse(&first.record).ok());
                    self.labelled.note_later(id, &record, [first, newest]);
                }
            }
        }
        true
    }

    /// Notes that a commit relies on the node being there.
    pub fn guard_node(&self, id: NodeId, version: u64) {
        self.touch_node(id).1.guard().store(version, Ordering::Release);
    }

    /// Claims the key that `record` has for a node, or releases it.
    pub fn put_key(&self, hash: u64, record: Arc<[u8]>, version: u64, holder: Option<NodeId>) {
        let holder = holder.map_or(0, |id| id.0);
        let key = NodeRecord::parse(&record).ok().and_then(|record| record.key());
        if let Some(slot) = key.and_then(|key| self.key_slot(hash, key)) {
            slot.holder.push(&self.key_holders, version, holder);
            return;
        }
        self.grow_by(72);
        let slot = self.keys.push(KeySlot { record, holder: Cell::new(version, holder) });
        self.key_table.insert(hash, slot as u32);
    }

    /// Writes an edge: `props` as it is now (`None`: it is not there), `existed` before this commit. An edge that is
    /// added relies on both its ends.
    pub fn put_edge(&self, edge: EdgeKey, version: u64, props: Option<Props>, existed: bool) {
        self.grow_by(props.iter().flatten().map(|props| props.len() + 32).sum());
        let exists = props.is_some();
        let ends = [(edge.src, Direction::Out), (edge.dst, Direction::In)]
            .map(|(id, direction)| (self.touch_node(id).1, direction));
        let below = match self.edge_slot(edge) {
            Some(slot) => {
                slot.later().push(&self.edge_states, version, props);
                slot.below()
            }
            None => {
                let next = ends.map(|(end, direction)| end.first_edge(direction).load(Ordering::Relaxed) as u32);
                let props = props.flatten().map_or(0, |props| self.edge_props.push(props) as u32 + 1);
                let pair = (edge.rank != 0).then(|| self.parallels.pair_of(edge));
                let parallel = pair.map_or(0, |pair| pair.first());
                let touched = Touched { next, parallel, exists, below: existed, props };
                let (number, _) = self.edges.push(EdgeSlot::fresh(edge, version, touched));
                self.edge_table.insert(hash_edge_key(edge), number);
                self.grow_by(80);
                if let Some(pair) = pair {
                    pair.set_first(number + 1);
                    self.grow_by(16);
                }
                for (end, direction) in ends {
                    end.first_edge(direction).store(u64::from(number) + 1, Ordering::Release);
                }
                existed
            }
        };
        self.tally.edge(below, existed, exists);
        for (end, direction) in ends {
            if exists && !existed {
                end.guard().store(version, Ordering::Release);
            }
            if !exists && below {
                end.set_hides(direction);
            }
        }
    }

    /// Writes a vector and relies on its node.
    pub fn put_vector(&self, node: NodeId, key: PropKeyId, version: u64, state: VectorState) {
        self.grow_by(72 + state.as_ref().map_or(0, |s| s.len()));
        if state.is_some() {
            self.guard_node(node, version);
        }
        if let Some(slot) = self.vector_slot(node, key) {
            slot.state.push(&self.vector_states, version, state);
            return;
        }
        let (_, end) = self.touch_node(node);
        let next = end.first_vector().load(Ordering::Relaxed) as u32;
        let slot = self.vectors.push(VectorSlot { node, key, next, state: Cell::new(version, state) });
        self.vector_table.insert(hash_edge(node.0, key.0, 0), slot as u32);
        end.first_vector().store(slot as u64 + 1, Ordering::Release);
    }

    /// Changes the count of a type's edges.
    pub fn add_to_type(&self, ty: u32, version: u64, change: i64) {
        self.add_to(&self.type_counts, ty, version, change);
    }

    /// Changes the count of a label's nodes.
    pub fn add_to_label(&self, label: u32, version: u64, change: i64) {
        self.add_to(&self.label_counts, label, version, change);
    }

    fn add_to(&self, counters: &boxcar::Vec<Counter>, id: u32, version: u64, change: i64) {
        while counters.count() <= id as usize {
            counters.push(Counter::default());
        }
        let now = self.count(counters, id, u64::MAX).wrapping_add_signed(change);
        Head(&counters[id as usize].head).push(&self.counts, version, now);
    }

    /// Ends a commit.
    pub fn push_commit(&self, info: CommitInfo) {
        self.commits.push(info);
        self.grow_by(64);
    }
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

/// See [`Delta::edge_of`].
pub type TouchedEdge<'a> = (EdgeKey, Option<(EdgeProps<'a>, bool)>, u32);
