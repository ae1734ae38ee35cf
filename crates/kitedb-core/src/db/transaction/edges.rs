//! What a transaction writes of edges and their properties.

use super::{Transaction, sealed};
use crate::{
    db::{name::NameRef, read::GraphRead},
    error::{Error, ErrorCode, Result},
    graph::{EdgeKey, EdgeTypeId, Mutation, NodeId, PropKeyId, Value},
    state::{self, Reading},
};

/// An edge to be added, with its properties.
type NewEdge<'a> = (EdgeKey, &'a [(PropKeyId, Value)]);

impl Transaction {
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
    /// # use kitedb_core::{AllTypes, Database, GraphRead, OpenOptions};
    /// # fn main() -> kitedb_core::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = Database::open(dir.path().join("bank.kitedb"), OpenOptions::new())?;
    /// let (a, b, second) = db.transaction(|tx| -> kitedb_core::Result<_> {
    ///     let (a, b) = (tx.create_node(Some("a"))?, tx.create_node(Some("b"))?);
    ///     tx.add_edge(a, "PAID", b)?;
    ///     let second = tx.add_parallel_edge(a, "PAID", b, &[])?;
    ///     tx.set_edge_prop_by_key(second, "amount", 20)?;
    ///     Ok((a, b, second))
    /// })?;
    /// let view = db.snapshot()?;
    /// assert_eq!(view.out_degree(a, AllTypes)?, 2);
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
        // No automatic rank is one that a caller chose.
        self.engine.ids.skip_ranks(edge.rank);
        Ok(())
    }

    /// A rank that no edge between these two nodes has.
    fn with_free_rank(&self, edge: EdgeKey) -> Result<EdgeKey> {
        if let Some(rank) = self.engine.ids.next_rank() {
            return Ok(edge.with_rank(rank));
        }
        loop {
            let edge = edge.with_rank(self.engine.ids.spare_rank(&*self.engine.env.host));
            if !self.edge_exists_by_key(edge)? {
                return Ok(edge);
            }
        }
    }

    /// Adds an edge whose type has been used already.
    /// Rank 0 is asked for by who wants an edge where there is none.
    pub(super) fn try_add(&mut self, edge: EdgeKey, props: &[(PropKeyId, Value)]) -> Result<()> {
        if edge.rank == 0
            && let Some(there) = sealed::ReadState::reading(self).lowest_parallel(edge)?
        {
            return Err(state::edge_exists(&self.levels.names, there));
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
        self.engine.ids.skip_ranks(edges.iter().map(|edge| parts(edge).0.rank).max().unwrap_or_default());
        Ok(())
    }

    /// The edge that a call by source, type and destination means.
    fn meant(&self, src: NodeId, ty: EdgeTypeId, dst: NodeId) -> Result<EdgeKey> {
        sealed::ReadState::reading(self).meant(EdgeKey::new(src, ty, dst))
    }

    /// Removes an edge and its properties: of several parallel ones, that of the lowest rank.
    pub fn delete_edge<'n>(&mut self, src: NodeId, ty: impl Into<NameRef<'n, EdgeTypeId>>, dst: NodeId) -> Result<()> {
        let ty = self.existing_type(ty.into(), src, dst)?;
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
            let edges = sealed::ReadState::reading(tx).edges_between(EdgeKey::new(src, ty, dst))?;
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
        let ty = self.existing_type(ty.into(), src, dst)?;
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
        let ty = self.existing_type(ty.into(), src, dst)?;
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
            let found = sealed::ReadState::reading(tx).edge(edge)?;
            let props = found.ok_or_else(|| state::no_edge(&tx.levels.names, edge))?;
            let Some(key) = key else { return Ok(false) };
            if props.get(key)?.is_none() {
                return Ok(false);
            }
            tx.apply(&Mutation::RemoveEdgeProp { edge, key })?;
            Ok(true)
        })
    }

    fn existing_type(&self, ty: NameRef<'_, EdgeTypeId>, src: NodeId, dst: NodeId) -> Result<EdgeTypeId> {
        self.lookup(ty).ok_or_else(|| {
            let ty = self.called(ty);
            let what = format_args!("no edge of type {ty} leads from node {src} to node {dst}");
            Error::new(ErrorCode::EdgeNotFound, what).with_key(ty.text())
        })
    }
}
