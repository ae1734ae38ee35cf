//! Definitions of indexes, by the names that people know.

use super::{read::GraphRead, read::sealed::Source, transaction::Transaction};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{EdgeTypeId, IndexDef, IndexId, IndexState, IndexTarget, LabelId, Mutation, PropKeyId},
};
use std::sync::atomic::Ordering;

/// Which elements an index is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IndexOn {
    /// Nodes with this label.
    Label(String),
    /// Edges of this type.
    EdgeType(String),
}

/// What an index holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct IndexSpec {
    /// Which elements it is about.
    pub on: IndexOn,
    /// The property whose values it holds.
    pub property: String,
    /// Whether no two of these elements may have the same value.
    pub unique: bool,
}

impl IndexSpec {
    /// An index of `property`, not unique.
    pub fn new(on: IndexOn, property: impl Into<String>) -> Self {
        Self { on, property: property.into(), unique: false }
    }

    /// Whether no two elements may have the same value.
    #[must_use]
    pub fn unique(self, unique: bool) -> Self {
        Self { unique, ..self }
    }
}

/// An index, as it is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Index {
    /// What names it in the log: never given out again.
    pub id: IndexId,
    /// Its name, which no other index has.
    pub name: String,
    /// What it holds.
    pub spec: IndexSpec,
    /// How far it has come.
    pub state: IndexState,
}

/// The definitions that a state has, in the order in which they came.
pub(super) fn indexes_of(source: &(impl Source + ?Sized)) -> Vec<Index> {
    source.reading().indexes().iter().map(|def| index_of(source, def)).collect()
}

/// A definition with its names; where there is none, which a check tells, the id.
fn index_of(source: &(impl Source + ?Sized), def: &IndexDef) -> Index {
    use crate::graph::NameKind::{EdgeType, Label, PropKey};
    let name = |kind, id: u32| source.name_of(kind, id).map_or_else(|| id.to_string(), |name| name.to_string());
    let on = match def.on {
        IndexTarget::Label(label) => IndexOn::Label(name(Label, label.0)),
        IndexTarget::EdgeType(ty) => IndexOn::EdgeType(name(EdgeType, ty.0)),
    };
    let spec = IndexSpec { on, property: name(PropKey, def.property.0), unique: def.unique };
    Index { id: def.id, name: def.name.to_string(), spec, state: def.state }
}

/// The calls that change definitions, for tests of the format: nothing builds what they define, so that it would never be
/// ready. They are no part of the interface.
pub mod definitions_for_testing {
    use super::*;

    /// See the [module documentation](self).
    pub trait DefineIndexes {
        /// Defines an index, or finds the one that is defined so already.
        fn define_index(&mut self, name: &str, spec: &IndexSpec) -> Result<()>;
        /// Says how far an index has come.
        fn set_index_state(&mut self, name: &str, state: IndexState) -> Result<()>;
        /// Drops an index.
        fn drop_index(&mut self, name: &str) -> Result<()>;
    }

    impl DefineIndexes for Transaction {
        fn define_index(&mut self, name: &str, spec: &IndexSpec) -> Result<()> {
            if name.is_empty() || name.len() > 4096 {
                let what = format_args!("a name of an index has 1 to 4096 bytes; this one has {}", name.len());
                return Err(Error::invalid(what));
            }
            if let Some(there) = self.indexes().into_iter().find(|index| index.name == name) {
                if there.spec == *spec {
                    return Ok(());
                }
                let what =
                    format_args!("index '{name}' is defined already, in another way: drop it, or take another name");
                return Err(Error::invalid(what));
            }
            let id = IndexId(self.engine.next_index.fetch_add(1, Ordering::Relaxed));
            self.attempt(|tx| {
                let on = match &spec.on {
                    IndexOn::Label(label) => IndexTarget::Label(tx.name::<LabelId>(label.as_str())?),
                    IndexOn::EdgeType(ty) => IndexTarget::EdgeType(tx.name::<EdgeTypeId>(ty.as_str())?),
                };
                let property = tx.name::<PropKeyId>(spec.property.as_str())?;
                tx.apply(&Mutation::DefineIndex { id, on, property, unique: spec.unique, name })
            })
        }

        fn set_index_state(&mut self, name: &str, state: IndexState) -> Result<()> {
            let id = existing(self, name)?;
            self.attempt(|tx| tx.apply(&Mutation::SetIndexState { id, state }))
        }

        fn drop_index(&mut self, name: &str) -> Result<()> {
            let id = existing(self, name)?;
            self.attempt(|tx| tx.apply(&Mutation::DropIndex { id }))
        }
    }

    fn existing(tx: &Transaction, name: &str) -> Result<IndexId> {
        let found = tx.reading().indexes().named(name).map(|def| def.id);
        found.ok_or_else(|| Error::new(ErrorCode::InvalidArgument, format_args!("there is no index '{name}'")))
    }
}
