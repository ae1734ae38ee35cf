//! Write transactions: optimistic, snapshot isolation, read-your-own-writes, first committer wins.

mod attempt;
mod names;
mod upsert;

use super::{
    engine::Engine,
    lease::Lease,
    name::NameRef,
    options::ReplicationRole,
    read::{GraphRead, sealed},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{
        EdgeKey, EdgeTypeId, LabelId, LogIndex, Mutation, NameKind, NodeId, PropKeyId, Token, Value, VectorRef,
        codec::put_varint,
    },
    log::{FRAME_PREFIX, MAX_PAYLOAD},
    state::{self, Claims, Hold, Holder, Indexed, Levels, Overlay, Reading},
};
use names::UsedName;
use std::sync::{Arc, atomic::Ordering};

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
/// nothing while it is open. A write that fails changes nothing, not even a name; the transaction can go on. Only where it
/// failed for another reason than its input (of kind [`ErrorKind::Input`](crate::ErrorKind::Input)), as by a damaged block,
/// the transaction does not commit any more.
#[derive(Debug)]
pub struct Transaction {
    pub(super) engine: Arc<Engine>,
    pub(super) levels: Arc<Levels>,
    pub(super) snapshot: LogIndex,
    pub(super) overlay: Overlay,
    /// The frame to be: room for its head, then the mutations.
    pub(super) buffer: Vec<u8>,
    /// That of the handle for which this writes.
    pub(super) lease: Arc<Lease>,
    /// Names that need no definition from this transaction (any more).
    used: Indexed<UsedName>,
    /// Keeps the ids of those that it defines.
    claims: Claims,
    /// Why it can be of no more use.
    pub(super) failed: Option<Error>,
    _hold: Hold,
}

impl Transaction {
    pub(crate) fn new(engine: Arc<Engine>, lease: Arc<Lease>) -> Self {
        let (levels, snapshot) = engine.current();
        let _hold = engine.held.hold(snapshot, Holder::Transaction);
        let mut buffer = Vec::with_capacity(FRAME_PREFIX + 160);
        buffer.resize(FRAME_PREFIX, 0);
        Self {
            engine,
            levels,
            snapshot,
            overlay: Overlay::default(),
            buffer,
            lease,
            used: Indexed::default(),
            claims: Claims::default(),
            failed: None,
            _hold,
        }
    }

    /// Does a mutation. What it leaves in the buffer if it fails, its caller's [`Transaction::attempt`] takes away.
    pub(super) fn apply(&mut self, mutation: &Mutation<'_>) -> Result<()> {
        mutation.encode(&mut self.buffer);
        self.check_size()?;
        let base = Reading::new(&self.levels, self.snapshot, None);
        self.overlay.apply(&base, mutation)
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

    // ---- nodes ---------------------------------------------------------------------------------------------

    /// Creates a node, with a key that no other node has, or without one.
    pub fn create_node(&mut self, key: Option<&str>) -> Result<NodeId> {
        self.create_node_with(NewNode { key, ..NewNode::default() })
    }

    /// Creates a node with labels and properties.
    pub fn create_node_with(&mut self, node: NewNode<'_>) -> Result<NodeId> {
        let id = self.attempt(|tx| tx.try_create(node))?;
        self.keep_clear_of(node.id);
        Ok(id)
    }

    /// No automatic id is one that a caller chose.
    fn keep_clear_of(&self, chosen: Option<NodeId>) {
        if let Some(id) = chosen {
            self.engine.next_node.fetch_max(id.0.saturating_add(1), Ordering::Relaxed);
        }
    }

    fn try_create(&mut self, node: NewNode<'_>) -> Result<NodeId> {
        if node.key.is_some_and(str::is_empty) {
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
            return Ok(id);
        }
        let id = self.free_node_id()?;
        mutation(id).encode(&mut self.buffer);
        self.check_size()?;
        let base = Reading::new(&self.levels, self.snapshot, None);
        self.overlay.create_node(&base, id, node.key, &labels, props.as_list())?;
        Ok(id)
    }

    /// An id that no node has.
    #[inline]
    fn free_node_id(&self) -> Result<NodeId> {
        while let Some(id) = self.engine.next_node_id() {
            // One that a batch chose is not known to the engine before the batch succeeds.
            if id.0 > self.overlay.greatest_id || self.overlay.node(id).is_none() {
                return Ok(id);
            }
        }
        loop {
            let id = self.engine.spare_node_id();
            if !self.node_exists(id)? {
                return Ok(id);
            }
        }
    }

    /// Creates many nodes: all of them, or none.
    pub fn create_nodes_batch(&mut self, nodes: &[NewNode<'_>]) -> Result<Vec<NodeId>> {
        self.overlay.reserve(nodes.len(), 0);
        let (mark, mut created) = (self.overlay.mark(), Vec::with_capacity(nodes.len()));
        let done = self.attempt(|tx| {
            for node in nodes {
                created.push(tx.try_create(*node)?);
            }
            Ok(())
        });
        if let Err(e) = done {
            self.overlay.uncreate_nodes(mark, &created);
            return Err(e);
        }
        self.keep_clear_of(nodes.iter().filter_map(|node| node.id).max());
        Ok(created)
    }

    /// Deletes a node and, with it, its edges, properties, labels and vectors.
    pub fn delete_node(&mut self, id: NodeId) -> Result<()> {
        self.attempt(|tx| tx.apply(&Mutation::DeleteNode { id }))
    }

    /// Adds a label to a node. Returns whether the node did not have it.
    pub fn add_node_label<'n>(&mut self, id: NodeId, label: impl Into<NameRef<'n, LabelId>>) -> Result<bool> {
        self.attempt(|tx| {
            let label = tx.name(label)?;
            let new = !tx.node_has_label(id, label)?;
            if new {
                tx.apply(&Mutation::AddLabel { id, label })?;
            }
            Ok(new)
        })
    }

    /// Takes a label off a node. Returns whether the node had it.
    pub fn remove_node_label<'n>(&mut self, id: NodeId, label: impl Into<NameRef<'n, LabelId>>) -> Result<bool> {
        let label = self.lookup(label);
        self.attempt(|tx| {
            let Some(label) = label else { return tx.require_node(id).map(|()| false) };
            if !tx.node_has_label(id, label)? {
                return tx.require_node(id).map(|()| false);
            }
            tx.apply(&Mutation::RemoveLabel { id, label })?;
            Ok(true)
        })
    }

    /// Sets a node's property.
    pub fn set_node_prop<'n>(
        &mut self,
        id: NodeId,
        key: impl Into<NameRef<'n, PropKeyId>>,
        value: impl Into<Value>,
    ) -> Result<()> {
        let value = value.into();
        self.attempt(|tx| {
            tx.require_node(id)?;
            let key = tx.name(key)?;
            let bytes = tx.encode_value(key, &value)?;
            tx.apply(&Mutation::SetNodeProp { id, key, value: &bytes })
        })
    }

    /// Removes a node's property. Returns whether it was there.
    pub fn delete_node_prop<'n>(&mut self, id: NodeId, key: impl Into<NameRef<'n, PropKeyId>>) -> Result<bool> {
        let key = self.lookup(key);
        self.attempt(|tx| {
            tx.require_node(id)?;
            let Some(key) = key else { return Ok(false) };
            if tx.node_prop_ref(id, key)?.is_none() {
                return Ok(false);
            }
            tx.apply(&Mutation::RemoveNodeProp { id, key })?;
            Ok(true)
        })
    }

    // ---- edges ---------------------------------------------------------------------------------------------

    /// Adds an edge between nodes that exist, where none of that type leads from `src` to `dst` yet: it gets rank 0.
    ///
    /// # Errors
    /// [`ErrorCode::EdgeExists`] if one does, whatever its rank: [`Transaction::add_parallel_edge`] makes another one;
    /// [`ErrorCode::NodeNotFound`].
    pub fn add_edge<'n>(&mut self, src: NodeId, ty: impl Into<NameRef<'n, EdgeTypeId>>, dst: NodeId) -> Result<()> {
        self.add_edge_with_props(src, ty, dst, &[])
    }

    /// Adds an edge with properties, as [`Transaction::add_edge`] does.
    pub fn add_edge_with_props<'n>(
        &mut self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
        props: &[(PropKeyId, Value)],
    ) -> Result<()> {
        self.attempt(|tx| {
            let ty = tx.name(ty)?;
            tx.try_add(EdgeKey::new(src, ty, dst), props)
        })
    }

    /// Adds an edge, whether or not there are others of that type from `src` to `dst`, and returns what names it. Its rank
    /// was given to no edge before and will be given to none after it, so that transactions which do this do not conflict.
    ///
    /// ```
    /// # use kitedb_core::{Database, GraphRead, OpenOptions};
    /// # fn main() -> kitedb_core::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = Database::open(dir.path().join("bank.kitedb"), OpenOptions::new())?;
    /// let (a, b, second) = db.transaction(|tx| {
    ///     let (a, b) = (tx.create_node(Some("a"))?, tx.create_node(Some("b"))?);
    ///     tx.add_edge(a, "PAID", b)?;
    ///     let second = tx.add_parallel_edge(a, "PAID", b, &[])?;
    ///     tx.set_edge_prop_by_key(second, "amount", 20)?;
    ///     Ok((a, b, second))
    /// })?;
    /// let view = db.snapshot()?;
    /// assert_eq!(view.out_degree(a, None)?, 2);
    /// assert_eq!(view.edges_between(a, "PAID", b)?[1], second);
    /// # db.close()
    /// # }
    /// ```
    pub fn add_parallel_edge<'n>(
        &mut self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
        props: &[(PropKeyId, Value)],
    ) -> Result<EdgeKey> {
        self.attempt(|tx| {
            let ty = tx.name(ty)?;
            let props = tx.encode_props(props)?;
            let edge = tx.with_free_rank(EdgeKey::new(src, ty, dst))?;
            let props = props.as_list();
            Mutation::AddEdge { edge, props }.encode(&mut tx.buffer);
            tx.check_size()?;
            let base = Reading::new(&tx.levels, tx.snapshot, None);
            tx.overlay.add_edge(&base, edge, props, true).map(|()| edge)
        })
    }

    /// Adds exactly that edge, its rank included, whether or not there are others: what reads back an edge that was written
    /// out.
    ///
    /// # Errors
    /// [`ErrorCode::EdgeExists`] if there is one of that rank; [`ErrorCode::InvalidArgument`] for a rank above
    /// [`MAX_RANK`](crate::MAX_RANK); [`ErrorCode::NodeNotFound`].
    pub fn add_edge_by_key(&mut self, edge: EdgeKey, props: &[(PropKeyId, Value)]) -> Result<()> {
        self.attempt(|tx| {
            tx.name(edge.ty)?;
            tx.try_add_exactly(edge, props)
        })?;
        self.keep_clear_of_rank(edge.rank);
        Ok(())
    }

    /// A rank that no edge between these two nodes has.
    fn with_free_rank(&self, edge: EdgeKey) -> Result<EdgeKey> {
        if let Some(rank) = self.engine.next_rank() {
            return Ok(edge.with_rank(rank));
        }
        loop {
            let edge = edge.with_rank(self.engine.spare_rank());
            if !self.edge_exists_by_key(edge)? {
                return Ok(edge);
            }
        }
    }

    /// No automatic rank is one that a caller chose.
    fn keep_clear_of_rank(&self, chosen: u64) {
        if chosen > 0 {
            self.engine.next_rank.fetch_max(chosen.saturating_add(1), Ordering::Relaxed);
        }
    }

    /// Adds an edge whose type has been used already.
    /// Rank 0 is asked for by who wants an edge where there is none.
    fn try_add(&mut self, edge: EdgeKey, props: &[(PropKeyId, Value)]) -> Result<()> {
        if edge.rank == 0
            && let Some(there) = sealed::Source::reading(self).lowest_parallel(edge)?
        {
            return Err(state::edge_exists(there));
        }
        self.try_add_exactly(edge, props)
    }

    fn try_add_exactly(&mut self, edge: EdgeKey, props: &[(PropKeyId, Value)]) -> Result<()> {
        let props = self.encode_props(props)?;
        self.apply(&Mutation::AddEdge { edge, props: props.as_list() })
    }

    /// Adds many edges, each of rank 0 as [`Transaction::add_edge`] does, others as [`Transaction::add_edge_by_key`] does: all
    /// of them, or none.
    pub fn add_edges_batch(&mut self, edges: &[EdgeKey]) -> Result<()> {
        self.add_all(edges, |edge| (*edge, &[]))
    }

    /// Adds many edges with properties, as [`Transaction::add_edges_batch`] does.
    pub fn add_edges_with_props_batch(&mut self, edges: &[(EdgeKey, &[(PropKeyId, Value)])]) -> Result<()> {
        self.add_all(edges, |edge| *edge)
    }

    fn add_all<'e, E>(&mut self, edges: &'e [E], parts: fn(&'e E) -> NewEdge<'e>) -> Result<()> {
        self.overlay.reserve(0, edges.len());
        let (mark, mut added, mut used) = (self.overlay.mark(), 0, None);
        let done = self.attempt(|tx| {
            for chunk in edges.chunks(state::WARM) {
                let keys: Vec<EdgeKey> = chunk.iter().map(|edge| parts(edge).0).collect();
                Reading::new(&tx.levels, tx.snapshot, None).warm(&keys);
                for (edge, props) in chunk.iter().map(parts) {
                    if used != Some(edge.ty) {
                        used = Some(tx.name(edge.ty)?);
                    }
                    tx.try_add(edge, props)?;
                    added += 1;
                }
            }
            Ok(())
        });
        done.inspect_err(|_| self.overlay.unadd_edges(mark, edges[..added].iter().map(|edge| parts(edge).0)))?;
        self.keep_clear_of_rank(edges.iter().map(|edge| parts(edge).0.rank).max().unwrap_or_default());
        Ok(())
    }

    /// The edge that a call by source, type and destination means.
    fn meant(&self, src: NodeId, ty: EdgeTypeId, dst: NodeId) -> Result<EdgeKey> {
        sealed::Source::reading(self).meant(EdgeKey::new(src, ty, dst))
    }

    /// Removes an edge and its properties: of several parallel ones, that of the lowest rank.
    pub fn delete_edge<'n>(&mut self, src: NodeId, ty: impl Into<NameRef<'n, EdgeTypeId>>, dst: NodeId) -> Result<()> {
        let ty = self.existing_type(ty, src, dst)?;
        self.attempt(|tx| tx.apply(&Mutation::RemoveEdge { edge: tx.meant(src, ty, dst)? }))
    }

    /// Removes exactly that edge and its properties.
    pub fn delete_edge_by_key(&mut self, edge: EdgeKey) -> Result<()> {
        self.attempt(|tx| tx.apply(&Mutation::RemoveEdge { edge }))
    }

    /// Removes every edge of a type that leads from `src` to `dst`. Returns how many there were.
    pub fn delete_edges_between<'n>(
        &mut self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
    ) -> Result<u64> {
        let Some(ty) = self.lookup(ty) else { return Ok(0) };
        self.attempt(|tx| {
            let edges = sealed::Source::reading(tx).edges_between(EdgeKey::new(src, ty, dst))?;
            // Encoded before the first one is removed: what exceeds a frame changes nothing.
            edges.iter().for_each(|edge| Mutation::RemoveEdge { edge: *edge }.encode(&mut tx.buffer));
            tx.check_size()?;
            let base = Reading::new(&tx.levels, tx.snapshot, None);
            edges.iter().try_for_each(|edge| tx.overlay.apply(&base, &Mutation::RemoveEdge { edge: *edge }))?;
            Ok(edges.len() as u64)
        })
    }

    /// Sets an edge's property: of several parallel ones, that of the lowest rank.
    pub fn set_edge_prop<'n, 'k>(
        &mut self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
        key: impl Into<NameRef<'k, PropKeyId>>,
        value: impl Into<Value>,
    ) -> Result<()> {
        let ty = self.existing_type(ty, src, dst)?;
        let edge = self.meant(src, ty, dst)?;
        self.set_edge_prop_by_key(edge, key, value)
    }

    /// Sets a property of exactly that edge.
    pub fn set_edge_prop_by_key<'k>(
        &mut self,
        edge: EdgeKey,
        key: impl Into<NameRef<'k, PropKeyId>>,
        value: impl Into<Value>,
    ) -> Result<()> {
        let value = value.into();
        self.attempt(|tx| {
            let key = tx.name(key)?;
            let bytes = tx.encode_value(key, &value)?;
            tx.apply(&Mutation::SetEdgeProp { edge, key, value: &bytes })
        })
    }

    /// Removes an edge's property: of several parallel ones, from that of the lowest rank. Returns whether it was there.
    pub fn delete_edge_prop<'n, 'k>(
        &mut self,
        src: NodeId,
        ty: impl Into<NameRef<'n, EdgeTypeId>>,
        dst: NodeId,
        key: impl Into<NameRef<'k, PropKeyId>>,
    ) -> Result<bool> {
        let ty = self.existing_type(ty, src, dst)?;
        let edge = self.meant(src, ty, dst)?;
        self.delete_edge_prop_by_key(edge, key)
    }

    /// Removes a property of exactly that edge. Returns whether it was there.
    pub fn delete_edge_prop_by_key<'k>(
        &mut self,
        edge: EdgeKey,
        key: impl Into<NameRef<'k, PropKeyId>>,
    ) -> Result<bool> {
        let key = self.lookup(key);
        self.attempt(|tx| {
            let found = sealed::Source::reading(tx).edge(edge)?;
            let props = found.ok_or_else(|| missing_edge(edge.src, edge.dst))?;
            let Some(key) = key else { return Ok(false) };
            if props.get(key)?.is_none() {
                return Ok(false);
            }
            tx.apply(&Mutation::RemoveEdgeProp { edge, key })?;
            Ok(true)
        })
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
        self.attempt(|tx| tx.try_set_vector(id, key.into(), vector))
    }

    fn try_set_vector(&mut self, id: NodeId, key: NameRef<'_, PropKeyId>, vector: &[f32]) -> Result<()> {
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
        let key = self.lookup(key);
        self.attempt(|tx| {
            tx.require_node(id)?;
            let Some(key) = key else { return Ok(false) };
            if sealed::Source::reading(tx).vector(id, key)?.is_none() {
                return Ok(false);
            }
            tx.apply(&Mutation::RemoveVector { node: id, key })?;
            Ok(true)
        })
    }

    // ---- end -----------------------------------------------------------------------------------------------

    /// Makes the changes visible and, by the sync mode, durable. Returns the token that names them. A transaction
    /// without changes commits nothing and returns the token of the last commit that it saw.
    ///
    /// # Errors
    /// [`ErrorCode::Conflict`] if something it writes was changed by a transaction that committed first: nothing
    /// has happened, run it again. [`ErrorCode::OutcomeUnknown`]: a sync failed, or the promotion of another node has not
    /// said yet which commits it keeps; whether this one counts is unknown, so look before you run it again.
    /// [`ErrorCode::StalePrimary`]: it does not count, another node leads. [`ErrorCode::Closed`]: the handle that began it
    /// was closed. If an operation of it failed for another reason than its input, that one's error.
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

impl sealed::Source for Transaction {
    #[inline]
    fn reading(&self) -> Reading<'_> {
        Reading::new(&self.levels, self.snapshot, Some(&self.overlay))
    }

    fn find_name(&self, kind: NameKind, name: &str) -> Option<u32> {
        self.visible_name(kind, name)
    }

    fn name_of(&self, kind: NameKind, id: u32) -> Option<Arc<str>> {
        let own = || self.levels.names.any_name(kind, id).filter(|_| self.uses(kind, id));
        self.levels.names.name(kind, id, self.snapshot).or_else(own)
    }

    fn list_names(&self, kind: NameKind) -> Vec<(u32, Arc<str>)> {
        self.visible_names(kind)
    }
}
