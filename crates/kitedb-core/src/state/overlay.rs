//! A transaction's private changes: the records as they will be, over the state that it reads. The same code
//! serves a caller's transaction and a frame read back from a log, so that both leave the same state.

use super::{
    delta::{CommitInfo, Delta, EdgeState, NodeState, Props, Totals},
    reading::Reading,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{
        Digest, Direction, EdgeKey, EdgeTypeId, LabelId, MAX_NODE_ID, Mutation, NameKind, NodeId, NodeRecord,
        NodeRecordBuf, PropKeyId, PropList, PropListBuf, codec::Reader,
    },
};
use rustc_hash::FxHashMap;
use std::{cell::OnceCell, sync::Arc};

/// A node that the transaction wrote.
#[derive(Debug, Clone)]
pub struct NodeChange {
    /// Whether it was there before the transaction.
    pub existed: bool,
    before: Digest,
    /// Its record now.
    pub record: Arc<[u8]>,
    /// Whether it is deleted now.
    pub dead: bool,
}

/// An edge that the transaction wrote.
#[derive(Debug, Clone)]
pub struct EdgeChange {
    /// Which edge.
    pub edge: EdgeKey,
    /// Whether it was there before the transaction.
    pub existed: bool,
    before: Digest,
    /// Its properties now; `None` if it is not there now.
    pub props: Option<Props>,
}

#[derive(Debug, Clone)]
struct VectorChange {
    before: Option<Digest>,
    bytes: Option<Arc<[u8]>>,
}

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub struct Overlay {
    nodes: FxHashMap<NodeId, NodeChange>,
    edges: Vec<EdgeChange>,
    edge_index: FxHashMap<EdgeKey, u32>,
    /// Positions in `edges` by the node at either end; made when first asked for, kept up to date from then on.
    adjacency: OnceCell<[FxHashMap<NodeId, Vec<u32>>; 2]>,
    keys: FxHashMap<Box<str>, Option<NodeId>>,
    vectors: FxHashMap<(NodeId, PropKeyId), VectorChange>,
    label_counts: FxHashMap<u32, i64>,
    type_counts: FxHashMap<u32, i64>,
    totals: [i64; 3],
    /// Names that the transaction defines.
    pub names: Vec<(NameKind, u32, Box<str>)>,
    /// Vector lengths that the transaction fixes.
    pub dimensions: Vec<(PropKeyId, u32)>,
    /// The greatest node id that the transaction created.
    pub greatest_id: u64,
}

#[cold]
fn no_node(id: NodeId) -> Error {
    Error::new(ErrorCode::NodeNotFound, format_args!("node {id} does not exist"))
}

#[cold]
fn no_edge(edge: EdgeKey) -> Error {
    let EdgeKey { src, ty, dst } = edge;
    Error::new(ErrorCode::EdgeNotFound, format_args!("no edge of type {ty} leads from node {src} to node {dst}"))
}

impl Overlay {
    /// Whether nothing was changed (names apart).
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.edges.is_empty() && self.vectors.is_empty()
    }

    /// The node as the transaction left it: `None` if it did not touch it.
    #[inline]
    pub fn node(&self, id: NodeId) -> Option<&NodeChange> {
        if self.nodes.is_empty() { None } else { self.nodes.get(&id) }
    }

    /// Who holds `key` for the transaction: `None` if it did not touch the key.
    pub fn key(&self, key: &str) -> Option<Option<NodeId>> {
        if self.keys.is_empty() { None } else { self.keys.get(key).copied() }
    }

    /// The edge as the transaction left it: `None` if it did not touch it.
    #[inline]
    pub fn edge(&self, edge: EdgeKey) -> Option<&EdgeChange> {
        if self.edges.is_empty() {
            return None;
        }
        self.edges.get(*self.edge_index.get(&edge)? as usize)
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
        if self.edges.is_empty() {
            return &[];
        }
        let adjacency = self.adjacency.get_or_init(|| {
            let mut adjacency = <[FxHashMap<NodeId, Vec<u32>>; 2]>::default();
            for (at, change) in self.edges.iter().enumerate() {
                link(&mut adjacency, change.edge, at as u32);
            }
            adjacency
        });
        adjacency[direction as usize].get(&node).map_or(&[], Vec::as_slice)
    }

    /// The touched edge at a position.
    pub fn edge_at(&self, at: u32) -> Option<&EdgeChange> {
        self.edges.get(at as usize)
    }

    /// Every node touched, and every source of a touched edge, in no order, perhaps more than once.
    pub fn touched_nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.keys().copied().chain(self.edges.iter().map(|e| e.edge.src))
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
    /// nothing has changed.
    pub fn apply(&mut self, base: &Reading<'_>, mutation: &Mutation<'_>) -> Result<()> {
        match *mutation {
            Mutation::DefineName { kind, id, name } => self.names.push((kind, id, name.into())),
            Mutation::DefineVector { key, dimension } => self.dimensions.push((key, dimension)),
            Mutation::CreateNode { id, key, labels, props } => self.create_node(base, id, key, labels, props)?,
            Mutation::DeleteNode { id } => self.delete_node(base, id)?,
            Mutation::SetNodeProp { id, key, value } => self.change_prop(base, id, key, Some(value))?,
            Mutation::RemoveNodeProp { id, key } => self.change_prop(base, id, key, None)?,
            Mutation::AddLabel { id, label } => self.change_label(base, id, label, true)?,
            Mutation::RemoveLabel { id, label } => self.change_label(base, id, label, false)?,
            Mutation::AddEdge { edge, props } => self.add_edge(base, edge, props)?,
            Mutation::RemoveEdge { edge } => self.remove_edge(base, edge)?,
            Mutation::SetEdgeProp { edge, key, value } => self.change_edge_prop(base, edge, key, Some(value))?,
            Mutation::RemoveEdgeProp { edge, key } => self.change_edge_prop(base, edge, key, None)?,
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
        }
        Ok(())
    }

    fn create_node(
        &mut self,
        base: &Reading<'_>,
        id: NodeId,
        key: Option<&str>,
        labels: &[u8],
        props: PropList<'_>,
    ) -> Result<()> {
        if id.0 == 0 || id.0 > MAX_NODE_ID {
            return Err(Error::invalid(format_args!("node id {id} is not between 1 and {MAX_NODE_ID}")));
        }
        if base.over(self).node(id)?.is_some() {
            return Err(Error::new(ErrorCode::NodeExists, format_args!("node {id} exists already")));
        }
        if let Some(key) = key
            && let Some(holder) = base.over(self).node_by_key(key)?
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
        let record = NodeRecordBuf::live(id, key, &label_ids, props).into_bytes().into();
        let (existed, before) = self.nodes.get(&id).map_or((false, Digest::default()), |c| (c.existed, c.before));
        self.nodes.insert(id, NodeChange { existed, before, record, dead: false });
        if let Some(key) = key {
            self.keys.insert(key.into(), Some(id));
        }
        self.totals[0] += 1;
        self.greatest_id = self.greatest_id.max(id.0);
        Ok(())
    }

    /// Puts a node's record in place of the one it has.
    fn replace_record(&mut self, old: &NodeRecord<'_>, new: NodeRecordBuf, dead: bool) {
        let id = old.id();
        let record: Arc<[u8]> = new.into_bytes().into();
        match self.nodes.get_mut(&id) {
            Some(change) => (change.record, change.dead) = (record, dead),
            None => {
                let before = Digest::of_node(old.as_bytes());
                self.nodes.insert(id, NodeChange { existed: true, before, record, dead });
            }
        }
    }

    fn change_prop(&mut self, base: &Reading<'_>, id: NodeId, key: PropKeyId, value: Option<&[u8]>) -> Result<()> {
        let held = self.nodes.get(&id).map(|c| c.record.clone());
        let old = base.record(held.as_deref(), id)?.ok_or_else(|| no_node(id))?;
        let mut props = PropListBuf::from_list(old.props()?);
        props.replace(key, value)?;
        let labels: Vec<LabelId> = old.labels().collect();
        self.replace_record(&old, NodeRecordBuf::live(id, old.key(), &labels, props.as_list()), false);
        Ok(())
    }

    fn change_label(&mut self, base: &Reading<'_>, id: NodeId, label: LabelId, add: bool) -> Result<()> {
        let held = self.nodes.get(&id).map(|c| c.record.clone());
        let old = base.record(held.as_deref(), id)?.ok_or_else(|| no_node(id))?;
        let mut labels: Vec<LabelId> = old.labels().collect();
        match (labels.binary_search(&label), add) {
            (Err(at), true) => labels.insert(at, label),
            (Ok(at), false) => drop(labels.remove(at)),
            _ => return Ok(()),
        }
        let new = NodeRecordBuf::live(id, old.key(), &labels, old.props()?);
        self.replace_record(&old, new, false);
        *self.label_counts.entry(label.0).or_default() += if add { 1 } else { -1 };
        Ok(())
    }

    fn delete_node(&mut self, base: &Reading<'_>, id: NodeId) -> Result<()> {
        let held = self.nodes.get(&id).map(|c| c.record.clone());
        let old = base.record(held.as_deref(), id)?.ok_or_else(|| no_node(id))?;
        let mut edges: Vec<EdgeKey> = Vec::new();
        let over = base.over(self);
        edges.extend(over.edges_at(id, Direction::Out, None)?.map(|(ty, dst)| EdgeKey::new(id, ty, dst)));
        let incoming = over.edges_at(id, Direction::In, None)?.map(|(ty, src)| EdgeKey::new(src, ty, id));
        edges.extend(incoming.filter(|e| e.src != id));
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
        if let Some(key) = old.key() {
            self.keys.insert(key.into(), None);
        }
        self.replace_record(&old, NodeRecordBuf::dead(id, old.key()), true);
        self.totals[0] -= 1;
        Ok(())
    }

    fn add_edge(&mut self, base: &Reading<'_>, edge: EdgeKey, props: PropList<'_>) -> Result<()> {
        for end in [edge.src, edge.dst] {
            if !base.over(self).node_exists(end)? {
                return Err(no_node(end));
            }
        }
        let props = (!props.is_empty()).then(|| props.as_bytes().into());
        let touched = self.edge_index.get(&edge).copied();
        let there = match touched {
            Some(at) => self.edges[at as usize].props.is_some(),
            None => base.edge_exists(edge)?,
        };
        if there {
            let EdgeKey { src, ty, dst } = edge;
            let what = format_args!("an edge of type {ty} leads from node {src} to node {dst} already");
            return Err(Error::new(ErrorCode::EdgeExists, what));
        }
        match touched {
            Some(at) => self.edges[at as usize].props = Some(props),
            None => self.push_edge(EdgeChange { edge, existed: false, before: Digest::default(), props: Some(props) }),
        }
        self.count_edge(edge, 1);
        Ok(())
    }

    fn count_edge(&mut self, edge: EdgeKey, change: i64) {
        self.totals[1] += change;
        *self.type_counts.entry(edge.ty.0).or_default() += change;
    }

    fn push_edge(&mut self, change: EdgeChange) {
        let at = self.edges.len() as u32;
        self.edge_index.insert(change.edge, at);
        if let Some(adjacency) = self.adjacency.get_mut() {
            link(adjacency, change.edge, at);
        }
        self.edges.push(change);
    }

    /// The position of an edge that is there, taking note of it first if need be.
    fn present_edge(&mut self, base: &Reading<'_>, edge: EdgeKey) -> Result<usize> {
        if let Some(&at) = self.edge_index.get(&edge) {
            let present = self.edges[at as usize].props.is_some();
            return if present { Ok(at as usize) } else { Err(no_edge(edge)) };
        }
        let props = base.edge(edge)?.ok_or_else(|| no_edge(edge))?.as_bytes();
        let before = Digest::of_edge(edge, props);
        let props = Some((!props.is_empty()).then(|| props.into()));
        self.push_edge(EdgeChange { edge, existed: true, before, props });
        Ok(self.edges.len() - 1)
    }

    fn remove_edge(&mut self, base: &Reading<'_>, edge: EdgeKey) -> Result<()> {
        let at = self.present_edge(base, edge)?;
        self.edges[at].props = None;
        self.count_edge(edge, -1);
        Ok(())
    }

    fn change_edge_prop(
        &mut self,
        base: &Reading<'_>,
        edge: EdgeKey,
        key: PropKeyId,
        value: Option<&[u8]>,
    ) -> Result<()> {
        let at = self.present_edge(base, edge)?;
        let held = self.edges[at].props.as_ref().and_then(Option::as_deref).unwrap_or_default();
        let mut props = PropListBuf::from_list(PropList::from_bytes(held));
        props.replace(key, value)?;
        let bytes = props.as_list().as_bytes();
        self.edges[at].props = Some((!bytes.is_empty()).then(|| bytes.into()));
        Ok(())
    }

    fn put_vector(&mut self, base: &Reading<'_>, node: NodeId, key: PropKeyId, bytes: Option<Arc<[u8]>>) -> Result<()> {
        let was = base.over(self).vector(node, key)?.is_some();
        self.totals[2] += i64::from(bytes.is_some()) - i64::from(was);
        if let Some(change) = self.vectors.get_mut(&(node, key)) {
            change.bytes = bytes;
            return Ok(());
        }
        let before = base.vector(node, key)?.map(|v| Digest::of_vector(node, key, v.as_bytes()));
        self.vectors.insert((node, key), VectorChange { before, bytes });
        Ok(())
    }

    // ---- committing ----------------------------------------------------------------------------------------

    /// What the transaction adds to the digest, names apart.
    pub fn digest_change(&self) -> Digest {
        let mut sum = Digest::default();
        for change in self.nodes.values() {
            sum -= change.before;
            if !change.dead {
                sum += Digest::of_node(&change.record);
            }
        }
        for change in &self.edges {
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
        sum
    }

    /// Fails with a conflict if something that the transaction writes or relies on was committed to `delta`
    /// after `snapshot`.
    pub fn validate(&self, delta: &Delta, snapshot: u64) -> Result<()> {
        let conflict = |what: std::fmt::Arguments<'_>| {
            Err(Error::new(ErrorCode::Conflict, format_args!("{what} was changed by a transaction that committed first")))
        };
        for (&id, change) in &self.nodes {
            if delta.node_written_after(id, snapshot) {
                return conflict(format_args!("node {id}"));
            }
            if change.dead && delta.node_relied_on_after(id, snapshot) {
                return conflict(format_args!("node {id}, or what is attached to it,"));
            }
        }
        for key in self.keys.keys() {
            if delta.key_written_after(key, snapshot) {
                return conflict(format_args!("key '{key}'"));
            }
        }
        for change in &self.edges {
            let EdgeKey { src, dst, .. } = change.edge;
            if delta.edge_written_after(change.edge, snapshot) {
                return conflict(format_args!("an edge from node {src} to node {dst}"));
            }
            if change.props.is_some() && (delta.node_deleted_after(src, snapshot) || delta.node_deleted_after(dst, snapshot)) {
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

    /// Writes the changes into `delta` as the commit with log index `version`. Only under the commit lock.
    pub fn install(self, delta: &Delta, version: u64, info: CommitInfo) {
        for (id, change) in self.nodes {
            if change.dead && !change.existed {
                continue;
            }
            let state = NodeState { record: change.record.clone(), dead: change.dead, existed: change.existed };
            match NodeRecord::parse(&change.record) {
                Ok(record) => delta.put_node(id, version, state, record.labels()),
                Err(_) => delta.put_node(id, version, state, std::iter::empty()),
            }
        }
        for (key, holder) in self.keys {
            delta.put_key(key, version, holder);
        }
        for change in self.edges {
            if change.existed || change.props.is_some() {
                let state = EdgeState { props: change.props, existed: change.existed };
                delta.put_edge(change.edge, version, state);
            }
        }
        for ((node, key), change) in self.vectors {
            if change.before.is_some() || change.bytes.is_some() {
                delta.put_vector(node, key, version, change.bytes);
            }
        }
        for (ty, change) in self.type_counts {
            delta.add_to_type(ty, version, change);
        }
        for (label, change) in self.label_counts {
            delta.add_to_label(label, version, change);
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
