//! The names that a transaction uses: each once looked up, and defined by it if no frame has.

use super::{Transaction, sealed, used_name::UsedName};
use crate::{
    db::name::{NameId, NameRef},
    error::{Error, Result},
    graph::{EdgeTypeId, Fault, LabelId, Mutation, NameKind, PropKeyId, PropListBuf, Value},
    state::{Called, Hashed},
};
use std::sync::Arc;

impl Transaction {
    /// The id of a label, defined with this transaction's commit if it is not in use yet.
    ///
    /// The id is this transaction's until that has committed: other transactions that use it before, or after this one was
    /// given up, are refused with [`ErrorCode::UnknownName`](crate::ErrorCode::UnknownName), unless another one defined the same name.
    /// While the database is open it is given to no other name; keep it for longer than the transaction only once that has committed.
    pub fn label_id_or_create(&mut self, name: &str) -> Result<LabelId> {
        self.attempt(|tx| tx.name(name))
    }

    /// The id of an edge type, defined with this transaction's commit if it is not in use yet. See
    /// [`Transaction::label_id_or_create`].
    pub fn etype_id_or_create(&mut self, name: &str) -> Result<EdgeTypeId> {
        self.attempt(|tx| tx.name(name))
    }

    /// The id of a property key, defined with this transaction's commit if it is not in use yet. See
    /// [`Transaction::label_id_or_create`].
    pub fn propkey_id_or_create(&mut self, name: &str) -> Result<PropKeyId> {
        self.attempt(|tx| tx.name(name))
    }

    /// Gives `name` an id of the caller's choice, for a graph that is to be equal to another one, the ids of its names
    /// included. A name that has this id already keeps it.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) if the name has another id, the id another name, or
    /// the id is not between 1 and 2^24.
    pub fn define_name(&mut self, kind: NameKind, id: u32, name: &str) -> Result<()> {
        self.attempt(|tx| {
            let new = tx.levels.names.claim_as(kind, id, name, &mut tx.claims)?;
            if new || !tx.uses(kind, id) {
                tx.use_name(kind, id, new.then_some(name))?;
            }
            Ok(())
        })
    }

    /// The id of a name that the transaction is going to use. Part of an attempt, which takes it back if it fails.
    pub(in super::super) fn name<'n, I: NameId>(&mut self, name: impl Into<NameRef<'n, I>>) -> Result<I> {
        let kind = I::KIND;
        match name.into() {
            NameRef::Id(id) => {
                if !self.uses(kind, id.number()) {
                    self.levels.names.require_defined(kind, id.number())?;
                    self.use_name(kind, id.number(), None)?;
                }
                Ok(id)
            }
            NameRef::Name(name) => {
                let (id, new) = match self.levels.names.find(kind, name) {
                    Some((id, _)) if self.uses(kind, id) => return Ok(I::from_number(id)),
                    Some((id, true)) => (id, false),
                    _ => self.levels.names.claim(kind, name, &mut self.claims)?,
                };
                self.use_name(kind, id, new.then_some(name))?;
                Ok(I::from_number(id))
            }
        }
    }

    /// Takes note of a name that is used, and defines it if it is `new`.
    fn use_name(&mut self, kind: NameKind, id: u32, new: Option<&str>) -> Result<()> {
        self.used.push(UsedName { kind, id });
        match new {
            Some(name) => self.apply(&Mutation::DefineName { kind, id, name }),
            None => Ok(()),
        }
    }

    /// Whether the transaction has used a name.
    #[inline]
    pub(super) fn uses(&self, kind: NameKind, id: u32) -> bool {
        let name = UsedName { kind, id };
        self.used.find(name.hash(), |used| *used == name).is_some()
    }

    /// Properties in encoded form, under keys that are used from now on.
    pub(super) fn encode_props(&mut self, props: &[(PropKeyId, Value)]) -> Result<PropListBuf> {
        for (key, _) in props {
            self.name(*key)?;
        }
        PropListBuf::from_pairs(props).map_err(|(key, fault)| self.refused(key, fault))
    }

    /// A value in encoded form, under a key that is used already.
    pub(super) fn encode_value(&self, key: PropKeyId, value: &Value) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        value.encode_into(&mut bytes).map_err(|fault| self.refused(key, fault))?;
        Ok(bytes)
    }

    /// What a caller is told of a value under `key` that cannot be stored: its path begins with the property's name.
    #[cold]
    fn refused(&self, key: PropKeyId, fault: Fault) -> Error {
        let name = self.levels.names.any_name(NameKind::PropKey, key.0);
        let error = fault.of(name.as_deref().unwrap_or("the value"));
        match name {
            Some(name) => error.with_key(name),
            None => error.with_key(key),
        }
    }

    /// How an error calls what its caller means: as the caller does.
    #[cold]
    pub(super) fn called<I: NameId>(&self, name: NameRef<'_, I>) -> Called {
        match name {
            NameRef::Name(name) => Called::named(name),
            NameRef::Id(id) => Called::by(&self.levels.names, I::KIND, id.number()),
        }
    }

    /// The id of a name that is in use.
    pub(super) fn lookup<'n, I: NameId>(&self, name: impl Into<NameRef<'n, I>>) -> Option<I> {
        match name.into() {
            NameRef::Id(id) => Some(id),
            NameRef::Name(name) => sealed::ReadState::find_name(self, I::KIND, name).map(I::from_number),
        }
    }

    pub(super) fn visible_name(&self, kind: NameKind, name: &str) -> Option<u32> {
        // A name that it uses, the transaction sees, even if another one defined it after the snapshot.
        let own = || self.levels.names.find(kind, name).map(|(id, _)| id).filter(|id| self.uses(kind, *id));
        self.levels.names.id(kind, name, self.snapshot).or_else(own)
    }

    pub(super) fn visible_names(&self, kind: NameKind) -> Vec<(u32, Arc<str>)> {
        let mut names = self.levels.names.list(kind, self.snapshot);
        for used in self.used.items().iter().filter(|used| used.kind == kind) {
            if let (Err(at), Some(name)) =
                (names.binary_search_by_key(&used.id, |named| named.0), self.levels.names.any_name(kind, used.id))
            {
                names.insert(at, (used.id, name));
            }
        }
        names
    }
}
