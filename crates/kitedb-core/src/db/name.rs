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

/// A label, edge type or property key, by id or by name. There will be no third way.
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

/// Edges of every type. It is always said: no filter that is left out, and no name that is misspelt, means it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AllTypes;

/// Which edges a call is about: those of one type, by its id or its name, or [`AllTypes`]. A name that is not in use finds
/// nothing.
///
/// ```
/// use kitedb_core::{AllTypes, Database, GraphRead, OpenOptions};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
/// let mut tx = db.begin()?;
/// let (ada, mary) = (tx.create_node(Some("ada"))?, tx.create_node(Some("mary"))?);
/// tx.add_edge(ada, "KNOWS", mary)?;
/// assert_eq!(tx.out_degree(ada, "KNOWS")?, 1);
/// assert_eq!(tx.out_degree(ada, "KNOW")?, 0, "no edge has such a type");
/// assert_eq!(tx.out_degree(ada, AllTypes)?, 1);
/// # Ok(())
/// # }
/// ```
///
/// What a look-up of a name gives is no filter, so that a name which is not there cannot become all of them:
///
/// ```compile_fail
/// # use kitedb_core::{GraphRead, NodeId, View};
/// fn degree(view: &View, node: NodeId) -> kitedb_core::Result<u64> {
///     view.out_degree(node, view.etype_id("KNOW"))
/// }
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum TypeFilter<'a> {
    /// Edges of every type.
    All,
    /// Edges of one type.
    Type(NameRef<'a, EdgeTypeId>),
}

impl From<AllTypes> for TypeFilter<'_> {
    fn from(AllTypes: AllTypes) -> Self {
        Self::All
    }
}

impl From<EdgeTypeId> for TypeFilter<'_> {
    fn from(id: EdgeTypeId) -> Self {
        Self::Type(NameRef::Id(id))
    }
}

impl<'a> From<&'a str> for TypeFilter<'a> {
    fn from(name: &'a str) -> Self {
        Self::Type(NameRef::Name(name))
    }
}

impl<'a> From<&'a String> for TypeFilter<'a> {
    fn from(name: &'a String) -> Self {
        Self::Type(NameRef::Name(name))
    }
}

impl<'a> From<NameRef<'a, EdgeTypeId>> for TypeFilter<'a> {
    fn from(name: NameRef<'a, EdgeTypeId>) -> Self {
        Self::Type(name)
    }
}
