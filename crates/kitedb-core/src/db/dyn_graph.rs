//! What [`View`](super::View) and [`Transaction`](super::Transaction) have in common, as one type that is not generic.

use super::name::{NameId, NameRef, TypeFilter};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{EdgeTypeId, NameKind},
    state::Reading,
};

pub(crate) mod sealed {
    use super::{Graph, NameKind, Reading, Result, expired};

    /// What a reader brings. Not for use outside.
    pub trait ReadState: std::fmt::Debug + Send + Sync {
        /// The state, however old it is.
        fn reading(&self) -> Reading<'_>;

        /// Whether it was held for longer than the options of the open allow.
        fn is_expired(&self) -> bool;

        /// The state, unless it was held for longer than the options of the open allow.
        #[inline(always)]
        fn fresh(&self) -> Result<Reading<'_>> {
            if self.is_expired() { Err(expired()) } else { Ok(self.reading()) }
        }

        fn find_name(&self, kind: NameKind, name: &str) -> Option<u32>;
        fn name_of(&self, kind: NameKind, id: u32) -> Option<std::sync::Arc<str>>;
        fn list_names(&self, kind: NameKind) -> Vec<(u32, std::sync::Arc<str>)>;
        fn as_dyn(&self) -> &dyn Graph;
    }
}

/// A graph that can be read: a [`View`](crate::View) or a [`Transaction`](crate::Transaction). Where code is not to be
/// generic over which, it takes `&dyn Graph`; everything that can be read is in [`GraphRead`](crate::GraphRead), which
/// `dyn Graph` has, too.
///
/// ```
/// use kitedb_core::{AllTypes, Database, Graph, GraphRead, OpenOptions, Result};
///
/// fn lonely(graph: &dyn Graph) -> Result<usize> {
///     let mut found = 0;
///     for node in graph.nodes() {
///         let id = node?.id();
///         found += usize::from(graph.out_degree(id, AllTypes)? + graph.in_degree(id, AllTypes)? == 0);
///     }
///     Ok(found)
/// }
///
/// # fn main() -> Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
/// let mut tx = db.begin()?;
/// tx.create_node(Some("ada"))?;
/// assert_eq!((lonely(&tx)?, lonely(&db.snapshot()?)?), (1, 0));
/// # Ok(())
/// # }
/// ```
pub trait Graph: sealed::ReadState {}

/// The id of a name in one state, if it is in use there; an id is what it is.
#[inline]
pub(super) fn resolve<'n, S: sealed::ReadState + ?Sized, I: NameId>(
    source: &S,
    name: impl Into<NameRef<'n, I>>,
) -> Option<I> {
    match name.into() {
        NameRef::Id(id) => Some(id),
        NameRef::Name(name) => source.find_name(I::KIND, name).map(I::from_number),
    }
}

/// What a filter means in one state.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    All,
    Only(EdgeTypeId),
    Nothing,
}

impl Wanted {
    #[inline]
    pub fn of<'n, S: sealed::ReadState + ?Sized>(source: &S, filter: impl Into<TypeFilter<'n>>) -> Self {
        match filter.into() {
            TypeFilter::All => Self::All,
            TypeFilter::Type(name) => resolve(source, name).map_or(Self::Nothing, Self::Only),
        }
    }

    /// The one type that is wanted, if one is; the outer `None`: nothing is.
    #[inline]
    pub fn only(self) -> Option<Option<EdgeTypeId>> {
        match self {
            Self::All => Some(None),
            Self::Only(ty) => Some(Some(ty)),
            Self::Nothing => None,
        }
    }
}

#[cold]
pub(super) fn expired() -> Error {
    Error::new(
        ErrorCode::SnapshotExpired,
        "this view or transaction was held for longer than max_pin_ms allows: drop it, so that what it pins is given back, \
         and begin anew",
    )
}
