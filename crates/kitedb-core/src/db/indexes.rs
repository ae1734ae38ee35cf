//! Definitions of indexes, by the names that people know.

use crate::{
    graph::{IndexDef, IndexId, IndexState, IndexTarget, NameKind},
    state::IndexSet,
};
use std::sync::Arc;

/// Which elements an index is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
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

/// The definitions that a state has, in the order in which they came, with the names of that state; where there is none, which
/// a check tells, the id.
pub(super) fn indexes_of(defs: &IndexSet, name_of: impl Fn(NameKind, u32) -> Option<Arc<str>>) -> Vec<Index> {
    let name = |kind, id: u32| name_of(kind, id).map_or_else(|| id.to_string(), |name| name.to_string());
    let index = |def: &IndexDef| {
        let on = match def.on {
            IndexTarget::Label(label) => IndexOn::Label(name(NameKind::Label, label.0)),
            IndexTarget::EdgeType(ty) => IndexOn::EdgeType(name(NameKind::EdgeType, ty.0)),
        };
        let spec = IndexSpec { on, property: name(NameKind::PropKey, def.property.0), unique: def.unique };
        Index { id: def.id, name: def.name.to_string(), spec, state: def.state }
    };
    defs.iter().map(index).collect()
}
