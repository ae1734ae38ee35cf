//! What a transaction writes of vectors.

use super::{Transaction, sealed};
use crate::{
    db::name::NameRef,
    error::{Error, ErrorCode, Result},
    graph::{Mutation, NameKind, NodeId, PropKeyId, VectorRef},
    state::Called,
};

impl Transaction {
    /// Stores a vector. The first one under a property key fixes the length of all others there. A vector that
    /// is empty, all zero or not finite is refused. It is no property: a [`Value::Vector`](crate::Value::Vector) under the
    /// same key is kept beside it, and neither is read as the other.
    pub fn set_node_vector<'n>(
        &mut self,
        id: NodeId,
        key: impl Into<NameRef<'n, PropKeyId>>,
        vector: &[f32],
    ) -> Result<()> {
        let key = key.into();
        self.attempt(|tx| {
            tx.require_vector(id, key, vector)?;
            let key = tx.vector_key(key, vector.len())?;
            tx.require_dimension(key, vector)?;
            tx.put_vector(id, key, vector)
        })
    }

    /// Stores the vectors of many nodes under one property key: all of them, or none. See [`Transaction::set_node_vector`].
    pub fn set_node_vectors_batch<'n>(
        &mut self,
        key: impl Into<NameRef<'n, PropKeyId>>,
        vectors: &[(NodeId, &[f32])],
    ) -> Result<()> {
        let Some((_, first)) = vectors.first() else { return Ok(()) };
        let key = key.into();
        self.attempt(|tx| {
            // What is wrong with one of them is found before the first is written.
            for (id, vector) in vectors {
                tx.require_vector(*id, key, vector)?;
            }
            let key = tx.vector_key(key, first.len())?;
            for (_, vector) in vectors {
                tx.require_dimension(key, vector)?;
            }
            vectors.iter().try_for_each(|(id, vector)| tx.put_vector(*id, key, vector))
        })
    }

    /// What a vector must be, whatever else is there.
    fn require_vector(&self, id: NodeId, key: NameRef<'_, PropKeyId>, vector: &[f32]) -> Result<()> {
        self.require_node(id)?;
        if !vector.iter().all(|v| v.is_finite()) {
            return Err(self.refused_vector(id, key, "a vector holds NaN or infinity: every component must be finite"));
        }
        if vector.iter().all(|v| *v == 0.0) {
            return Err(self.refused_vector(id, key, "a vector is empty or all zero: it has no direction to compare"));
        }
        Ok(())
    }

    /// A key that is used for vectors, and how many components those have: `first` where there are none yet.
    fn vector_key(&mut self, key: NameRef<'_, PropKeyId>, first: usize) -> Result<(PropKeyId, u32)> {
        let key = self.name(key)?;
        let own = self.overlay.dimensions.iter().find(|(k, _)| *k == key).map(|(_, d)| *d);
        Ok((key, own.or_else(|| self.levels.names.dimension(key)).unwrap_or(first as u32)))
    }

    fn require_dimension(&self, (key, dimension): (PropKeyId, u32), vector: &[f32]) -> Result<()> {
        if dimension as usize == vector.len() {
            return Ok(());
        }
        let name = Called::by(&self.levels.names, NameKind::PropKey, key.0);
        let what = format_args!(
            "vectors under {name} have {dimension} components (fixed by the first one); this one has {}",
            vector.len()
        );
        let error = Error::new(ErrorCode::VectorDimension, what).with_key(name.text());
        Err(error.with_expected(dimension).with_found(vector.len()))
    }

    /// Writes a vector that was looked at.
    fn put_vector(&mut self, id: NodeId, (key, dimension): (PropKeyId, u32), vector: &[f32]) -> Result<()> {
        let is_known = self.overlay.dimensions.iter().any(|(k, _)| *k == key);
        if !is_known && self.levels.names.dimension(key).is_none() {
            self.apply(&Mutation::DefineVector { key, dimension })?;
        }
        let bytes: Vec<u8> = vector.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.apply(&Mutation::SetVector { node: id, key, vector: VectorRef::from_bytes(&bytes) })
    }

    #[cold]
    fn refused_vector(&self, id: NodeId, key: NameRef<'_, PropKeyId>, what: &str) -> Error {
        let key = self.called(key);
        Error::invalid(format_args!("{key} of node {id}: {what}")).with_key(key.text())
    }

    /// Removes a vector. Returns whether it was there.
    pub fn delete_node_vector<'n>(&mut self, id: NodeId, key: impl Into<NameRef<'n, PropKeyId>>) -> Result<bool> {
        let key = self.lookup(key);
        self.attempt(|tx| {
            tx.require_node(id)?;
            let Some(key) = key else { return Ok(false) };
            if sealed::ReadState::reading(tx).vector(id, key)?.is_none() {
                return Ok(false);
            }
            tx.apply(&Mutation::RemoveVector { node: id, key })?;
            Ok(true)
        })
    }
}
