//! Write transactions: optimistic, snapshot isolation, read-your-own-writes, first committer wins.

use super::{
    engine::Engine,
    name::{NameId, NameRef},
    options::ReplicationRole,
    read::{GraphRead, sealed},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{
        EdgeKey, EdgeTypeId, LabelId, LogIndex, Mutation, NameKind, NodeId, PropKeyId, PropListBuf, Token, Value,
        VectorRef, codec::put_varint,
    },
    log::{FRAME_PREFIX, MAX_PAYLOAD},
    state::{self, Hold, Holder, Levels, Names, Overlay, Reading},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

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

/// An edge to be added, with its properties.
type NewEdge<'a> = (EdgeKey, &'a [(PropKeyId, Value)]);

/// Changes that become visible and durable together, at [`Transaction::commit`]; dropped, it leaves no trace.
///
/// It reads the state as of its beginning under its own writes, may be sent between threads, and costs others
/// nothing while it is open. A write to something absent is an error and changes nothing.
#[derive(Debug)]
pub struct Transaction {
    pub(super) engine: Arc<Engine>,
    pub(super) levels: Arc<Levels>,
    pub(super) snapshot: LogIndex,
    pub(super) overlay: Overlay,
    /// The frame to be: room for its head, then the mutations.
    pub(super) buffer: Vec<u8>,
    /// The epoch that the handle leads for which this writes.
    pub(super) lease: Arc<AtomicU64>,
    /// Names that need no definition from this transaction (any more): by kind and id.
    known: [Vec<bool>; 3],
    _hold: Hold,
}

impl Transaction {
    pub(crate) fn new(engine: Arc<Engine>, lease: Arc<AtomicU64>) -> Self {
        let (levels, snapshot) = engine.current();
        let _hold = engine.held.hold(snapshot, Holder::Transaction);
        let mut buffer = Vec::with_capacity(FRAME_PREFIX + 160);
        buffer.resize(FRAME_PREFIX, 0);
        Self { engine, levels, snapshot, overlay: Overlay::default(), buffer, lease, known: Default::default(), _hold }
    }

    fn apply(&mut self, mutation: &Mutation<'_>) -> Result<()> {
        self.check_size()?;
        let base = Reading::new(&self.levels, self.snapshot, None);
        self.overlay.apply(&base, mutation)?;
        mutation.encode(&mut self.buffer);
        Ok(())
    }

    /// The bytes of its frame so far.
    pub(crate) fn log_bytes(&self) -> usize {
        self.buffer.len()
    }

    fn check_size(&self) -> Result<()> {
        if self.buffer.len() <= FRAME_PREFIX + MAX_PAYLOAD {
            return Ok(());
        }
        let what = "frame payload too large: this transaction exceeds 64 MiB of log; split it, or use a bulk loader";
        Err(Error::new(ErrorCode::TransactionTooLarge, what))
    }

    // ---- names ---------------------------------------------------------------------------------------------

    fn name<'n, I: NameId>(&mut self, name: impl Into<NameRef<'n, I>>) -> Result<I> {
        let kind = I::KIND;
        let slot = kind as usize - 1;
        let (number, defined) = match name.into() {
            NameRef::Id(id) => {
                if self.known[slot].get(id.number() as usize) == Some(&true) {
                    return Ok(id);
                }
                (id.number(), self.levels.names.is_defined(kind, id.number())?)
            }
            NameRef::Name(name) => self.levels.names.id_or_create(kind, name)?,
        };
        let known = &mut self.known[slot];
        if known.len() <= number as usize {
            known.resize(number as usize + 1, false);
        }
        if !known[number as usize] {
            known[number as usize] = true;
            if !defined {
                let name = self.levels.names.name(kind, number).unwrap_or_default();
                self.apply(&Mutation::DefineName { kind, id: number, name: &name })?;
            }
        }
        Ok(I::from_number(number))
    }

    /// The id of a label, defined with this transaction's commit if it is not in use yet.
    pub fn label_id_or_create(&mut self, name: &str) -> Result<LabelId> {
        self.name(name)
    }

    /// The id of an edge type, defined with this transaction's commit if it is not in use yet.
    pub fn etype_id_or_create(&mut self, name: &str) -> Result<EdgeTypeId> {
        self.name(name)
    }

    /// The id of a property key, defined with this transaction's commit if it is not in use yet.
    pub fn propkey_id_or_create(&mut self, name: &str) -> Result<PropKeyId> {
        self.name(name)
    }

    fn encode_props(&mut self, props: &[(PropKeyId, Value)]) -> Result<PropListBuf> {
        for (key, _) in props {
            self.name(*key)?;
        }
        Ok(PropListBuf::from_pairs(props))
    }

    // ---- nodes ---------------------------------------------------------------------------------------------

    /// Creates a node, with a key that no other node has, or without one.
    pub fn create_node(&mut self, key: Option<&str>) -> Result<NodeId> {
        self.create_node_with(NewNode { key, ..NewNode::default() })
    }

    /// Creates a node with labels and properties.
    pub fn create_node_with(&mut self, node: NewNode<'_>) -> Result<NodeId> {
        if let Some(key) = node.key
            && key.is_empty()
        {
            return Err(Error::invalid("an empty key is no key: give at least one character, or None"));
        }
        let mut labels = Vec::new();
        if !node.labels.is_empty() {
            let mut ids = node.labels.to_vec();
            ids.sort_unstable();
            ids.dedup();
            for label in ids {
                self.name(label)?;
                put_varint(&mut labels, label.0.into());
            }
        }
        let props = self.encode_props(node.props)?;
        let mutation = |id| Mutation::CreateNode { id, key: node.key, labels: &labels, props: props.as_list() };
        if let Some(id) = node.id {
            self.apply(&mutation(id))?;
            self.engine.next_node.fetch_max(id.0.saturating_add(1), Ordering::Relaxed);
            return Ok(id);
        }
        let id = self.engine.allocate_node_id()?;
        self.check_size()?;
        let base = Reading::new(&self.levels, self.snapshot, None);
        self.overlay.create_node(&base, id, node.key, &labels, props.as_list())?;
        mutation(id).encode(&mut self.buffer);
        Ok(id)
    }

    /// Creates many nodes: all of them, or none.
    pub fn create_nodes_batch(&mut self, nodes: &[NewNode<'_>]) -> Result<Vec<NodeId>> {
        let mut created = Vec::with_capacity(nodes.len());
        self.overlay.reserve(nodes.len(), 0);
        for node in nodes {
            match self.create_node_with(*node) {
                Ok(id) => created.push(id),
                Err(e) => {
                    created.into_iter().try_for_each(|id| self.delete_node(id))?;
                    return Err(e);
                }
            }
        }
        Ok(created)
    }

    /// Sets properties of the node with `key` (`None` removes one), creating the node if there is none. Returns
    /// its id and whether it was created.
    pub fn upsert_node(&mut self, key: &str, props: &[(PropKeyId, Option<Value>)]) -> Result<(NodeId, bool)> {
        if let Some(id) = self.node_by_key(key)? {
            self.set_node_props(id, props)?;
            return Ok((id, false));
        }
        let props = present(props);
        Ok((self.create_node_with(NewNode { key: Some(key), props: &props, ..NewNode::default() })?, true))
    }

    /// Sets properties of the node `id` (`None` removes one), creating the node without a key if there is none.
    /// Returns whether it was created.
    pub fn upsert_node_by_id(&mut self, id: NodeId, props: &[(PropKeyId, Option<Value>)]) -> Result<bool> {
        if self.node_exists(id)? {
            self.set_node_props(id, props)?;
            return Ok(false);
        }
        let props = present(props);
        self.create_node_with(NewNode { id: Some(id), props: &props, ..NewNode::default() })?;
        Ok(true)
    }

    fn set_node_props(&mut self, id: NodeId, props: &[(PropKeyId, Option<Value>)]) -> Result<()> {
        for (key, value) in props {
            match value {
                Some(value) => self.set_node_prop_value(id, *key, value)?,
                None => drop(self.delete_node_prop(id, *key)?),
            }
        }
        Ok(())
    }

    /// Deletes a node and, with it, its edges, properties, labels and vectors.
    pub fn delete_node(&mut self, id: NodeId) -> Result<()> {
        self.apply(&Mutation::DeleteNode { id })
    }

    /// Adds a label to a node. Returns whether the node did not have it.
    pub fn add_node_label<'n>(&mut self, id: NodeId, label: impl Into<NameRef<'n, LabelId>>) -> Result<bool> {
        let label = self.name(label)?;
        let new = !self.node_has_label(id, label)?;
        if new {
            self.apply(&Mutation::AddLabel { id, label })?;
        }
        Ok(new)
    }

    /// Takes a label off a node. Returns whether the node had it.
    pub fn remove_node_label<'n>(&mut self, id: NodeId, label: impl Into<NameRef<'n, LabelId>>) -> Result<bool> {
        let Some(label) = self.lookup(label) else { return self.require_node(id).map(|()| false) };
        if !self.node_has_label(id, label)? {
            return self.require_node(id).map(|()| false);
        }
        self.apply(&Mutation::RemoveLabel { id, label })?;
        Ok(true)
    }

    /// Sets a node's property.
    pub fn set_node_prop<'n>(
        &mut self,
        id: NodeId,
        key: impl Into<NameRef<'n, PropKeyId>>,
        value: impl Into<Value>,
    ) -> Result<()> {
        self.require_node(id)?;
        let key = self.name(key)?;
        self.set_node_prop_value(id, key, &value.into())
    }

    fn set_node_prop_value(&mut self, id: NodeId, key: PropKeyId, value: &Value) -> Result<()> {
        self.name(key)?;
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        self.apply(&Mutation::SetNodeProp { id, key, value: &bytes })
    }

    /// Removes a node's property. Returns whether it was there.
    pub fn delete_node_prop<'n>(&mut self, id: NodeId, key: impl Into<NameRef<'n, PropKeyId>>) -> Result<bool> {
        self.require_node(id)?;
        let Some(key) = self.lookup(key) else { return Ok(false) };
        if self.node_prop_ref(id, key)?.is_none() {
            return Ok(false);
        }
        self.apply(&Mutation::RemoveNodeProp { id, key })?;
        Ok(true)
    }

    // ---- edges ---------------------------------------------------------------------------------------------

    /// Adds an edge between nodes that exist.
    pub fn add_edge<'n>(&mut self, src: NodeId, ty: impl Into<NameRef<'n, EdgeTypeId>>, dst: NodeId) -> Result<()> {
        self.add_edge_with_props(src, ty, dst, &[])
    }

    /// Adds an edge with properties.
    pub fn add_edge_with_props<'n>(
        &mut self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
        props: &[(PropKeyId, Value)],
    ) -> Result<()> {
        let ty = self.name(ty)?;
        let props = self.encode_props(props)?;
        self.apply(&Mutation::AddEdge { edge: EdgeKey { src, ty, dst }, props: props.as_list() })
    }

    /// Adds many edges: all of them, or none.
    pub fn add_edges_batch(&mut self, edges: &[EdgeKey]) -> Result<()> {
        self.add_all(edges, |edge| (*edge, &[]))
    }

    /// Adds many edges with properties: all of them, or none.
    pub fn add_edges_with_props_batch(&mut self, edges: &[(EdgeKey, &[(PropKeyId, Value)])]) -> Result<()> {
        self.add_all(edges, |edge| *edge)
    }

    fn add_all<'e, E>(&mut self, edges: &'e [E], parts: fn(&'e E) -> NewEdge<'e>) -> Result<()> {
        self.overlay.reserve(0, edges.len());
        for (nth, chunk) in edges.chunks(state::WARM).enumerate() {
            let keys: Vec<EdgeKey> = chunk.iter().map(|edge| parts(edge).0).collect();
            Reading::new(&self.levels, self.snapshot, None).warm(&keys);
            for (at, (edge, props)) in chunk.iter().map(parts).enumerate() {
                if let Err(e) = self.add_edge_with_props(edge.src, edge.ty, edge.dst, props) {
                    let mut added = edges[..nth * state::WARM + at].iter().map(|edge| parts(edge).0);
                    added.try_for_each(|edge| self.apply(&Mutation::RemoveEdge { edge }))?;
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    /// Sets properties of an edge (`None` removes one), adding the edge if it is not there. Returns whether it
    /// was added.
    pub fn upsert_edge_with_props<'n>(
        &mut self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
        props: &[(PropKeyId, Option<Value>)],
    ) -> Result<bool> {
        let ty = self.name(ty)?;
        if !self.edge_exists(src, ty, dst)? {
            self.add_edge_with_props(src, ty, dst, &present(props))?;
            return Ok(true);
        }
        for (key, value) in props {
            match value {
                Some(value) => self.set_edge_prop(src, ty, dst, *key, value.clone())?,
                None => drop(self.delete_edge_prop(src, ty, dst, *key)?),
            }
        }
        Ok(false)
    }

    /// Removes an edge and its properties.
    pub fn delete_edge<'n>(&mut self, src: NodeId, ty: impl Into<NameRef<'n, EdgeTypeId>>, dst: NodeId) -> Result<()> {
        let ty = self.existing_type(ty, src, dst)?;
        self.apply(&Mutation::RemoveEdge { edge: EdgeKey { src, ty, dst } })
    }

    /// Sets an edge's property.
    pub fn set_edge_prop<'n, 'k>(
        &mut self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
        key: impl Into<NameRef<'k, PropKeyId>>,
        value: impl Into<Value>,
    ) -> Result<()> {
        let ty = self.existing_type(ty, src, dst)?;
        let key = self.name(key)?;
        let mut bytes = Vec::new();
        value.into().encode(&mut bytes);
        self.apply(&Mutation::SetEdgeProp { edge: EdgeKey { src, ty, dst }, key, value: &bytes })
    }

    /// Removes an edge's property. Returns whether it was there.
    pub fn delete_edge_prop<'n, 'k>(
        &mut self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
        key: impl Into<NameRef<'k, PropKeyId>>,
    ) -> Result<bool> {
        let ty = self.existing_type(ty, src, dst)?;
        let edge = EdgeKey { src, ty, dst };
        let found = sealed::Source::reading(self).edge(edge)?;
        let props = found.ok_or_else(|| missing_edge(src, dst))?;
        let Some(key) = self.lookup(key) else { return Ok(false) };
        if props.get(key)?.is_none() {
            return Ok(false);
        }
        self.apply(&Mutation::RemoveEdgeProp { edge, key })?;
        Ok(true)
    }

    // ---- vectors -------------------------------------------------------------------------------------------

    /// Stores a vector. The first one under a property key fixes the length of all others there. A vector that
    /// is empty, all zero or not finite is refused.
    pub fn set_node_vector<'n>(
        &mut self,
        id: NodeId,
        key: impl Into<NameRef<'n, PropKeyId>>,
        vector: &[f32],
    ) -> Result<()> {
        self.require_node(id)?;
        if !vector.iter().all(|v| v.is_finite()) {
            return Err(Error::invalid("a vector holds NaN or infinity: every component must be finite"));
        }
        if vector.iter().all(|v| *v == 0.0) {
            return Err(Error::invalid("a vector is empty or all zero: it has no direction to compare"));
        }
        let key = self.name(key)?;
        let own = self.overlay.dimensions.iter().find(|(k, _)| *k == key).map(|(_, d)| *d);
        match own.or_else(|| self.levels.names.dimension(key)) {
            Some(dimension) if dimension as usize != vector.len() => {
                let name = self.propkey_name(key).unwrap_or_default();
                let what = format_args!(
                    "vectors under '{name}' have {dimension} components (fixed by the first one); this one has {}",
                    vector.len()
                );
                return Err(Error::new(ErrorCode::VectorDimension, what));
            }
            Some(_) => {}
            None => self.apply(&Mutation::DefineVector { key, dimension: vector.len() as u32 })?,
        }
        let bytes: Vec<u8> = vector.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.apply(&Mutation::SetVector { node: id, key, vector: VectorRef::from_bytes(&bytes) })
    }

    /// Removes a vector. Returns whether it was there.
    pub fn delete_node_vector<'n>(&mut self, id: NodeId, key: impl Into<NameRef<'n, PropKeyId>>) -> Result<bool> {
        self.require_node(id)?;
        let Some(key) = self.lookup(key) else { return Ok(false) };
        if sealed::Source::reading(self).vector(id, key)?.is_none() {
            return Ok(false);
        }
        self.apply(&Mutation::RemoveVector { node: id, key })?;
        Ok(true)
    }

    // ---- end -----------------------------------------------------------------------------------------------

    /// Makes the changes visible and, by the sync mode, durable. Returns the token that names them. A transaction
    /// without changes commits nothing and returns the token of the last commit that it saw.
    ///
    /// # Errors
    /// [`ErrorCode::Conflict`] if something it writes was changed by a transaction that committed first: nothing
    /// has happened, run it again. [`ErrorCode::OutcomeUnknown`]: a sync failed, or the promotion of another node has not
    /// said yet which commits it keeps; whether this one counts is unknown, so look before you run it again.
    /// [`ErrorCode::StalePrimary`]: it does not count, another node leads.
    pub fn commit(self) -> Result<Token> {
        let engine = self.engine.clone();
        engine.measured_commit(self)
    }

    /// As [`Transaction::commit`]; the token is `None` unless this database is a primary.
    pub fn commit_with_token(self) -> Result<Option<Token>> {
        let primary = self.engine.role() == ReplicationRole::Primary;
        self.commit().map(|token| primary.then_some(token))
    }

    /// Gives the changes up, as dropping does.
    pub fn rollback(self) {}

    // ---- helpers -------------------------------------------------------------------------------------------

    /// Whether a commit would change nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.overlay.is_empty() && self.overlay.names.is_empty()
    }

    /// Whether the transaction has used a name, so that its commit leaves it defined.
    fn uses(&self, kind: NameKind, id: u32) -> bool {
        self.known[kind as usize - 1].get(id as usize) == Some(&true)
    }

    fn lookup<'n, I: NameId>(&self, name: impl Into<NameRef<'n, I>>) -> Option<I> {
        match name.into() {
            NameRef::Id(id) => Some(id),
            NameRef::Name(name) => sealed::Source::find_name(self, I::KIND, name).map(I::from_number),
        }
    }

    fn existing_type<'n>(
        &self,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        src: NodeId,
        dst: NodeId,
    ) -> Result<EdgeTypeId> {
        self.lookup(ty).ok_or_else(|| missing_edge(src, dst))
    }

    fn require_node(&self, id: NodeId) -> Result<()> {
        if self.node_exists(id)? {
            return Ok(());
        }
        Err(Error::new(ErrorCode::NodeNotFound, format_args!("node {id} does not exist")))
    }
}

fn missing_edge(src: NodeId, dst: NodeId) -> Error {
    let what = format_args!("no edge of that type leads from node {src} to node {dst}");
    Error::new(ErrorCode::EdgeNotFound, what)
}

fn present(props: &[(PropKeyId, Option<Value>)]) -> Vec<(PropKeyId, Value)> {
    props.iter().filter_map(|(key, value)| Some((*key, value.clone()?))).collect()
}

impl sealed::Source for Transaction {
    #[inline]
    fn reading(&self) -> Reading<'_> {
        Reading::new(&self.levels, self.snapshot, Some(&self.overlay))
    }

    fn names(&self) -> &Names {
        &self.levels.names
    }

    fn find_name(&self, kind: NameKind, name: &str) -> Option<u32> {
        // A name that it uses, the transaction sees, even if another one defined it after the snapshot.
        let own = || self.levels.names.any_id(kind, name).filter(|id| self.uses(kind, *id));
        self.levels.names.id(kind, name, self.snapshot).or_else(own)
    }

    fn list_names(&self, kind: NameKind) -> Vec<(u32, Arc<str>)> {
        let mut names = self.levels.names.list(kind, self.snapshot);
        for id in (0..self.known[kind as usize - 1].len() as u32).filter(|id| self.uses(kind, *id)) {
            if let (Err(at), Some(name)) =
                (names.binary_search_by_key(&id, |named| named.0), self.levels.names.name(kind, id))
            {
                names.insert(at, (id, name));
            }
        }
        names
    }
}
