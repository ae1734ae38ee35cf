//! How callers say which label, edge type or property key they mean: by its id or by its name.

use crate::graph::{EdgeTypeId, LabelId, NameKind, PropKeyId};

/// A typed id of a name.
pub trait NameId: Copy {
    /// What it names.
    const KIND: NameKind;
    /// From its number.
    fn from_number(number: u32) -> Self;
    /// Its number.
    fn number(self) -> u32;
}

macro_rules! name_ids {
    ($($id:ident => $kind:ident),*) => {
        $(impl NameId for $id {
            const KIND: NameKind = NameKind::$kind;
            fn from_number(number: u32) -> Self {
                Self(number)
            }
            fn number(self) -> u32 {
                self.0
            }
        }

        impl From<$id> for NameRef<'_, $id> {
            fn from(id: $id) -> Self {
                Self::Id(id)
            }
        })*
    };
}

/// A label, edge type or property key, by id or by name.
#[derive(Debug, Clone, Copy)]
pub enum NameRef<'a, I> {
    /// By id.
    Id(I),
    /// By name. A write makes a name that is not in use yet; a read finds nothing under it.
    Name(&'a str),
}

impl<'a, I> From<&'a str> for NameRef<'a, I> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl<'a, I> From<&'a String> for NameRef<'a, I> {
    fn from(name: &'a String) -> Self {
        Self::Name(name)
    }
}

name_ids!(LabelId => Label, EdgeTypeId => EdgeType, PropKeyId => PropKey);
