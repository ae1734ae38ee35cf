//! A transaction's private changes: the records as they will be, over the state that it reads. The same code
//! serves a caller's transaction and a frame read back from a log, so that both leave the same state.

use super::{
    delta::{CommitInfo, Delta, NodeState, Totals},
    indexed::Indexed,
    orders::Orders,
    reading::Reading,
    slots::{hash_edge_key, hash_id},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{
        Digest, Direction, EdgeKey, EdgeTypeId, LabelId, LogIndex, MAX_NODE_ID, MAX_RANK, Mutation, NameKind, NodeId,
        NodeRecord, NodeRecordBuf, PropKeyId, PropList, PropListBuf, codec::Reader, key_hash,
    },
};
use rustc_hash::FxHashMap;
use std::{cell::OnceCell, mem::take, sync::Arc};

mod changes;
mod indexes;
mod net;
mod parallels;
mod undo;

pub use changes::{EdgeChange, NodeChange};
pub use indexes::IndexChanges;

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
    adjacency: OnceCell<[FxHashMap<NodeId, Vec<u32>>; 2]>,
    /// The same, of those of other ranks than 0, by ends and type.
    parallels: OnceCell<parallels::Index>,
    /// Whether there are any of other ranks than 0.
    ranked: bool,
    /// What it touched, in order, once a scan asks for it.
    pub(super) orders: OnceCell<Box<Orders>>,
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

#[cold]
fn no_node(id: NodeId) -> Error {
    Error::new(ErrorCode::NodeNotFound, format_args!("node {id} does not exist"))
}

#[cold]
fn no_edge(edge: EdgeKey) -> Error {
    let EdgeKey { src, ty, dst, .. } = edge;
    let what = format_args!("no edge of type {ty}{} leads from node {src} to node {dst}", and_rank(edge));
    Error::new(ErrorCode::EdgeNotFound, what)
}

/// The error of an edge that is there already.
#[cold]
pub fn edge_exists(edge: EdgeKey) -> Error {
    let EdgeKey { src, ty, dst, .. } = edge;
    let what = format_args!("an edge of type {ty}{} leads from node {src} to node {dst} already", and_rank(edge));
    Error::new(ErrorCode::EdgeExists, what)
}

fn and_rank(edge: EdgeKey) -> String {
    if edge.rank == 0 { String::new() } else { format!(" and rank {}", edge.rank) }
}

#[cold]
pub(super) fn conflict(what: std::fmt::Arguments<'_>) -> Result<()> {
    let what = format_args!("{what} was changed by a transaction that committed first");
    Err(Error::new(ErrorCode::Conflict, what))
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

    /// Claims a key that nobody holds, or releases one.
    fn put_key(&mut self, hash: u64, key: &str, record: &Arc<[u8]>, holder: Option<NodeId>) {
        match self.keys.find(hash, |change| change.is(hash, key)) {
            Some(at) => self.keys.item_mut(at).holder = holder,
            None => {
                let was_held = holder.is_none();
                self.keys.push(KeyChange { hash, record: record.clone(), was_held, holder });
            }
        }
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
            let mut adjacency = <[FxHashMap<NodeId, Vec<u32>>; 2]>::default();
            for (at, change) in self.edges.items().iter().enumerate() {
                link(&mut adjacency, change.edge, at as u32);
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

    // ---- applying ------------------------------------------------------------------------------------------

    /// Applies one mutation over `base`, the state that the transaction reads (without this overlay). On error
    /// nothing has changed. Upholds I21: commits and replays go through it.
    pub fn apply(&mut self, base: &Reading<'_>, mutation: &Mutation<'_>) -> Result<()> {
        match *mutation {
            Mutation::DefineName { kind, id, name } => self.names.push((kind, id, name.into())),
            Mutation::DefineVector { key, dimension } => self.dimensions.push((key, dimension)),
            Mutation::CreateNode { id, key, labels, props } => {
                if id.0 == 0 || id.0 > MAX_NODE_ID {
                    return Err(Error::invalid(format_args!("node id {id} is not between 1 and {MAX_NODE_ID}")));
                }
                if base.over(self).node_exists(id)? {
                    return Err(Error::new(ErrorCode::NodeExists, format_args!("node {id} exists already")));
                }
                self.create_node(base, id, key, labels, props)?;
            }
            Mutation::DeleteNode { id } => self.delete_node(base, id)?,
            Mutation::SetNodeProp { id, key, value } => self.change_props(base, id, [(key, Some(value))])?,
            Mutation::RemoveNodeProp { id, key } => self.change_props(base, id, [(key, None)])?,
            Mutation::AddLabel { id, label } => self.change_label(base, id, label, true)?,
            Mutation::RemoveLabel { id, label } => self.change_label(base, id, label, false)?,
            Mutation::AddEdge { edge, props } => {
                if edge.rank > MAX_RANK {
                    return Err(Error::invalid(format_args!("rank {} is not between 0 and {MAX_RANK}", edge.rank)));
                }
                self.add_edge(base, edge, props, false)?;
            }
            Mutation::RemoveEdge { edge } => self.remove_edge(base, edge)?,
            Mutation::SetEdgeProp { edge, key, value } => self.change_edge_props(base, edge, [(key, Some(value))])?,
            Mutation::RemoveEdgeProp { edge, key } => self.change_edge_props(base, edge, [(key, None)])?,
            Mutation::SetVector { node, key, vector } => {
                if base.over(self).node(node)?.is_none() {
                    return Err(no_node(node));
                }
                self.put_vector(base, node, key, Some(vector.as_bytes().into()))?;
            }
            Mutation::RemoveVector { node, key } => {
                if base.over(self).vector(node, key)?.is_none() {
                    let what = format_args!("node {node} has no vector under property key {key}");
                    return Err(Error::new(ErrorCode::InvalidArgument, what));
                }
                self.put_vector(base, node, key, None)?;
            }
            Mutation::DefineIndex { .. } | Mutation::SetIndexState { .. } | Mutation::DropIndex { .. } => {
                self.change_index(base, mutation)?;
            }
        }
        Ok(())
    }

    /// Creates a node whose id nobody has. Upholds I22.
    pub fn create_node(
        &mut self,
        base: &Reading<'_>,
        id: NodeId,
        key: Option<&str>,
        labels: &[u8],
        props: PropList<'_>,
    ) -> Result<()> {
        let hash = key.map_or(0, key_hash);
        if let Some(key) = key
            && let Some(holder) = base.over(self).node_by_hashed_key(hash, key)?
        {
            let what = format_args!("key '{key}' belongs to node {holder} already: keys are unique");
            return Err(Error::new(ErrorCode::DuplicateKey, what));
        }
        let mut label_ids = Vec::new();
        let mut reader = Reader::new(labels);
        while !reader.is_empty() {
            label_ids.push(LabelId(reader.varint32()?));
        }
        for label in &label_ids {
            *self.label_counts.entry(label.0).or_default() += 1;
        }
        let record: Arc<[u8]> = self.scratch.live(id, key, &label_ids, props).into();
        if let Some(key) = key {
            self.put_key(hash, key, &record, Some(id));
        }
        match self.find_node(id) {
            Some(at) => {
                let change = self.nodes.item_mut(at);
                let tombstone = std::mem::replace(&mut change.record, record);
                change.tombstone.get_or_insert(tombstone);
                change.dead = false;
            }
            None => drop(self.nodes.push(NodeChange {
                id,
                existed: false,
                before: Digest::default(),
                record,
                dead: false,
                cascaded: false,
                tombstone: None,
            })),
        }
        self.totals[0] += 1;
        self.greatest_id = self.greatest_id.max(id.0);
        Ok(())
    }

    /// Puts a node's record in place of the one it has.
    fn replace_record(&mut self, old: &NodeRecord<'_>, record: Arc<[u8]>, dead: bool) {
        let id = old.id();
        match self.find_node(id) {
            Some(at) => {
                let change = self.nodes.item_mut(at);
                (change.record, change.dead) = (record, dead);
                change.cascaded |= dead;
            }
            None => {
                let before = Digest::of_node(old.as_bytes());
                self.nodes.push(NodeChange {
                    id,
                    existed: true,
                    before,
                    record,
                    dead,
                    cascaded: dead,
                    tombstone: None,
                });
            }
        }
    }

    fn held(&self, id: NodeId) -> Option<Arc<[u8]>> {
        self.node(id).map(|change| change.record.clone())
    }

    /// Puts encoded values under property keys of a node; `None` removes one.
    pub fn change_props<'v>(
        &mut self,
        base: &Reading<'_>,
        id: NodeId,
        changes: impl IntoIterator<Item = (PropKeyId, Option<&'v [u8]>)>,
    ) -> Result<()> {
        let held = self.held(id);
        let old = base.record(held.as_deref(), id)?.ok_or_else(|| no_node(id))?;
        let mut props = PropListBuf::from_list(old.props()?);
        for (key, value) in changes {
            props.replace(key, value)?;
        }
        let labels: Vec<LabelId> = old.labels().collect();
        let record = self.scratch.live(id, old.key(), &labels, props.as_list()).into();
        self.replace_record(&old, record, false);
        Ok(())
    }

    fn change_label(&mut self, base: &Reading<'_>, id: NodeId, label: LabelId, add: bool) -> Result<()> {
        let held = self.held(id);
        let old = base.record(held.as_deref(), id)?.ok_or_else(|| no_node(id))?;
        let mut labels: Vec<LabelId> = old.labels().collect();
        match (labels.binary_search(&label), add) {
            (Err(at), true) => labels.insert(at, label),
            (Ok(at), false) => drop(labels.remove(at)),
            _ => return Ok(()),
        }
        let record = self.scratch.live(id, old.key(), &labels, old.props()?).into();
        self.replace_record(&old, record, false);
        *self.label_counts.entry(label.0).or_default() += if add { 1 } else { -1 };
        Ok(())
    }

    /// Deletes a node, and with it its edges and vectors. Upholds I22.
    fn delete_node(&mut self, base: &Reading<'_>, id: NodeId) -> Result<()> {
        let held = self.held(id);
        let old = base.record(held.as_deref(), id)?.ok_or_else(|| no_node(id))?;
        self.cancelled |= self.node(id).is_some_and(NodeChange::is_created);
        let mut edges: Vec<EdgeKey> = Vec::new();
        let over = base.over(self);
        edges.extend(over.edges_at(id, Direction::Out, None)?);
        edges.extend(over.edges_at(id, Direction::In, None)?.filter(|e| e.src != id));
        let vectors = over.vector_keys(id)?;
        for edge in edges {
            self.remove_edge(base, edge)?;
        }
        for key in vectors {
            self.put_vector(base, id, key, None)?;
        }
        for label in old.labels() {
            *self.label_counts.entry(label.0).or_default() -= 1;
        }
        let record = match self.node(id).and_then(|change| change.tombstone.clone()) {
            Some(tombstone) => tombstone,
            None => self.scratch.dead(id, old.key()).into(),
        };
        if let Some(key) = old.key() {
            self.put_key(key_hash(key), key, &record, None);
        }
        self.replace_record(&old, record, true);
        self.totals[0] -= 1;
        Ok(())
    }

    /// Adds an edge between nodes that are there, and notes whether it existed; `new`: it has a rank that nothing had before,
    /// so that it is not looked for. Upholds I18 and I22.
    pub fn add_edge(&mut self, base: &Reading<'_>, edge: EdgeKey, props: PropList<'_>, new: bool) -> Result<()> {
        for end in [edge.src, edge.dst] {
            if !base.over(self).node_exists(end)? {
                return Err(no_node(end));
            }
        }
        let props = (!props.is_empty()).then(|| props.as_bytes().into());
        let touched = if new { None } else { self.find_edge(edge) };
        let there = match touched {
            Some(at) => self.edges.items()[at].props.is_some(),
            None => !new && base.edge_exists(edge)?,
        };
        if there {
            return Err(edge_exists(edge));
        }
        match touched {
            Some(at) => self.edges.item_mut(at).props = Some(props),
            None => {
                self.push_edge(EdgeChange { edge, existed: false, before: Digest::default(), props: Some(props) });
            }
        }
        self.greatest_rank = self.greatest_rank.max(edge.rank);
        self.count_edge(edge, 1);
        Ok(())
    }

    fn count_edge(&mut self, edge: EdgeKey, change: i64) {
        self.totals[1] += change;
        *self.type_counts.entry(edge.ty.0).or_default() += change;
    }

    fn push_edge(&mut self, change: EdgeChange) -> usize {
        let edge = change.edge;
        let at = self.edges.push(change);
        if let Some(adjacency) = self.adjacency.get_mut() {
            link(adjacency, edge, at as u32);
        }
        self.ranked |= edge.rank != 0;
        if let Some(index) = self.parallels.get_mut() {
            parallels::link(index, edge, at as u32);
        }
        at
    }

    /// The position of an edge that is there, taking note of it first if need be.
    fn present_edge(&mut self, base: &Reading<'_>, edge: EdgeKey) -> Result<usize> {
        if let Some(at) = self.find_edge(edge) {
            let present = self.edges.items()[at].props.is_some();
            return if present { Ok(at) } else { Err(no_edge(edge)) };
        }
        let props = base.edge(edge)?.ok_or_else(|| no_edge(edge))?.as_bytes();
        let before = Digest::of_edge(edge, props);
        let props = Some((!props.is_empty()).then(|| props.into()));
        Ok(self.push_edge(EdgeChange { edge, existed: true, before, props }))
    }

    fn remove_edge(&mut self, base: &Reading<'_>, edge: EdgeKey) -> Result<()> {
        let at = self.present_edge(base, edge)?;
        let change = self.edges.item_mut(at);
        change.props = None;
        self.cancelled |= !change.existed;
        self.count_edge(edge, -1);
        Ok(())
    }

    /// Puts encoded values under property keys of an edge; `None` removes one.
    pub fn change_edge_props<'v>(
        &mut self,
        base: &Reading<'_>,
        edge: EdgeKey,
        changes: impl IntoIterator<Item = (PropKeyId, Option<&'v [u8]>)>,
    ) -> Result<()> {
        let at = self.present_edge(base, edge)?;
        let held = self.edges.items()[at].props.as_ref().and_then(Option::as_deref).unwrap_or_default();
        let mut props = PropListBuf::from_list(PropList::from_bytes(held));
        for (key, value) in changes {
            props.replace(key, value)?;
        }
        let bytes = props.as_list().as_bytes();
        self.edges.item_mut(at).props = Some((!bytes.is_empty()).then(|| bytes.into()));
        Ok(())
    }

    fn put_vector(&mut self, base: &Reading<'_>, node: NodeId, key: PropKeyId, bytes: Option<Arc<[u8]>>) -> Result<()> {
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

    // ---- committing ----------------------------------------------------------------------------------------

    /// What the transaction adds to the digest, names apart. Upholds I20.
    pub fn digest_change(&self) -> Digest {
        let mut sum = Digest::default();
        for change in self.nodes.items() {
            sum -= change.before;
            if !change.dead {
                sum += Digest::of_node(&change.record);
            }
        }
        for change in self.edges.items() {
            sum -= change.before;
            if let Some(props) = &change.props {
                sum += Digest::of_edge(change.edge, props.as_deref().unwrap_or_default());
            }
        }
        for (&(node, key), change) in &self.vectors {
            sum -= change.before.unwrap_or_default();
            if let Some(bytes) = &change.bytes {
                sum += Digest::of_vector(node, key, bytes);
            }
        }
        sum + self.index_digest()
    }

    /// Fails with a conflict if something that the transaction writes or relies on was committed to `delta`
    /// after `snapshot`. Upholds I22 and I23.
    pub fn validate(&self, delta: &Delta, snapshot: u64) -> Result<()> {
        for change in self.nodes.items() {
            let id = change.id;
            if delta.node_written_after(id, snapshot) {
                return conflict(format_args!("node {id}"));
            }
            if change.cascaded && delta.node_relied_on_after(id, snapshot) {
                return conflict(format_args!("node {id}, or what is attached to it,"));
            }
        }
        for change in self.keys.items() {
            if delta.key_written_after(change.hash, &change.record, snapshot) {
                return conflict(format_args!("a key"));
            }
        }
        for change in self.edges.items() {
            let EdgeKey { src, dst, .. } = change.edge;
            if delta.edge_written_after(change.edge, snapshot) {
                return conflict(format_args!("an edge from node {src} to node {dst}"));
            }
            if change.props.is_some()
                && (delta.node_deleted_after(src, snapshot) || delta.node_deleted_after(dst, snapshot))
            {
                return conflict(format_args!("an end of an edge from node {src} to node {dst}"));
            }
        }
        for (&(node, key), change) in &self.vectors {
            if delta.vector_written_after(node, key, snapshot)
                || change.bytes.is_some() && delta.node_deleted_after(node, snapshot)
            {
                return conflict(format_args!("a vector of node {node}"));
            }
        }
        Ok(())
    }

    /// Moves the changes into `delta`, as the commit with log index `version`. Only under the commit lock.
    pub fn install(&mut self, delta: &Delta, version: u64, info: CommitInfo) {
        for NodeChange { id, existed, record, dead, cascaded, .. } in take(&mut self.nodes).into_items() {
            if existed || !dead {
                delta.put_node(id, version, NodeState { record, dead, existed, deleted: existed && cascaded });
            }
        }
        for KeyChange { hash, record, holder, .. } in take(&mut self.keys).into_items() {
            delta.put_key(hash, record, version, holder);
        }
        let keys: Vec<EdgeKey> = self.edges.items().iter().map(|change| change.edge).collect();
        for (at, change) in take(&mut self.edges).into_items().into_iter().enumerate() {
            if at % WARM == 0 && keys.len() > WARM / 4 {
                delta.warm(&keys[at..keys.len().min(at + WARM)]);
            }
            if change.existed || change.props.is_some() {
                delta.put_edge(change.edge, version, change.props, change.existed);
            }
        }
        for ((node, key), change) in self.vectors.drain() {
            if change.before.is_some() || change.bytes.is_some() {
                delta.put_vector(node, key, version, change.bytes);
            }
        }
        for (ty, change) in self.type_counts.drain().filter(|(_, change)| *change != 0) {
            delta.add_to_type(ty, version, change);
        }
        for (label, change) in self.label_counts.drain().filter(|(_, change)| *change != 0) {
            delta.add_to_label(label, version, change);
        }
        if !self.indexes.is_empty() {
            let set = self.indexes_over(delta.indexes.at(LogIndex(u64::MAX)));
            self.indexes.clear();
            delta.indexes.put(version, (*set).clone());
        }
        delta.push_commit(info);
    }

    /// The totals after the transaction, from those before it.
    pub fn totals_after(&self, before: Totals) -> Totals {
        Totals {
            nodes: before.nodes.wrapping_add_signed(self.totals[0]),
            edges: before.edges.wrapping_add_signed(self.totals[1]),
            vectors: before.vectors.wrapping_add_signed(self.totals[2]),
        }
    }
}

fn link(adjacency: &mut [FxHashMap<NodeId, Vec<u32>>; 2], edge: EdgeKey, at: u32) {
    adjacency[Direction::Out as usize].entry(edge.src).or_default().push(at);
    adjacency[Direction::In as usize].entry(edge.dst).or_default().push(at);
}

/// Takes back what [`link`] did last at the ends of `edge`.
fn unlink(adjacency: &mut [FxHashMap<NodeId, Vec<u32>>; 2], edge: EdgeKey) {
    for (positions, end) in adjacency.iter_mut().zip([edge.src, edge.dst]) {
        positions.get_mut(&end).and_then(Vec::pop);
    }
}
