//! A node that was come upon.

use super::{
    dyn_graph::{Graph, resolve},
    name::NameRef,
};
use crate::{
    error::{Error, Result},
    graph::{LabelId, NameKind, NodeId, NodeRecord, PropKeyId, PropList, ValueRef, VectorRef},
};
use std::{cell::OnceCell, fmt, sync::Arc};

/// A node of one state, as scans, label scans and neighbours yield it: its key, labels and properties without a search for
/// each. A scan has its record at hand; of a neighbour it is looked up when something other than the id is first asked for,
/// and kept. What it returns is borrowed from the state, not copied.
///
/// ```
/// use kitedb_core::{Database, GraphRead, OpenOptions, ValueRef};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
/// let mut tx = db.begin()?;
/// let (ada, mary) = (tx.create_node(Some("ada"))?, tx.create_node(Some("mary"))?);
/// tx.add_node_label(mary, "Person")?;
/// tx.set_node_prop(mary, "born", 1797)?;
/// tx.add_edge(ada, "KNOWS", mary)?;
/// for friend in tx.out_neighbors(ada, "KNOWS")? {
///     assert_eq!(friend.key()?, Some("mary"));
///     assert!(friend.has_label("Person")?);
///     assert_eq!(friend.prop("born")?, Some(ValueRef::I64(1797)));
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Its methods fail as reads of the state do: [`ErrorCode::SnapshotExpired`](crate::ErrorCode::SnapshotExpired),
/// [`ErrorCode::Corrupt`](crate::ErrorCode::Corrupt).
#[derive(Clone)]
pub struct NodeRef<'a> {
    graph: &'a dyn Graph,
    id: NodeId,
    record: OnceCell<NodeRecord<'a>>,
}

impl<'a> NodeRef<'a> {
    /// A node that exists in `graph`.
    #[inline]
    pub(super) fn new(graph: &'a dyn Graph, id: NodeId) -> Self {
        Self { graph, id, record: OnceCell::new() }
    }

    /// A node whose record is at hand.
    #[inline]
    pub(super) fn of(graph: &'a dyn Graph, record: NodeRecord<'a>) -> Self {
        Self { graph, id: record.id(), record: OnceCell::from(record) }
    }

    #[inline]
    fn record(&self) -> Result<NodeRecord<'a>> {
        match self.record.get() {
            Some(record) => Ok(*record),
            None => {
                let found = self.graph.fresh()?.node(self.id)?.ok_or_else(|| lost(self.id))?;
                Ok(*self.record.get_or_init(|| found))
            }
        }
    }

    fn list(&self) -> Result<PropList<'a>> {
        self.record()?.props()
    }

    /// Its id: at hand, always.
    #[inline]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The state that it is of, to read on from here.
    pub fn graph(&self) -> &'a dyn Graph {
        self.graph
    }

    /// Its key, if it has one.
    pub fn key(&self) -> Result<Option<&'a str>> {
        Ok(self.record()?.key())
    }

    /// Its labels, ascending by id.
    pub fn labels(&self) -> Result<impl Iterator<Item = LabelId> + use<'a>> {
        Ok(self.record()?.labels())
    }

    /// Whether it carries a label, given by id or name.
    pub fn has_label<'n>(&self, label: impl Into<NameRef<'n, LabelId>>) -> Result<bool> {
        let Some(label) = resolve(self.graph, label) else { return Ok(false) };
        Ok(self.record()?.has_label(label))
    }

    /// The names of its labels, in the order of [`NodeRef::labels`].
    pub fn label_names(&self) -> Result<Vec<Arc<str>>> {
        self.labels()?.map(|label| name_of(self.graph, NameKind::Label, label.0)).collect()
    }

    /// One property, by the id or name of its key; `None` if it has none under it.
    pub fn prop<'n>(&self, key: impl Into<NameRef<'n, PropKeyId>>) -> Result<Option<ValueRef<'a>>> {
        let Some(key) = resolve(self.graph, key) else { return Ok(None) };
        self.list()?.get(key)
    }

    /// All properties, ascending by the id of their keys.
    pub fn props(&self) -> Result<impl Iterator<Item = Result<(PropKeyId, ValueRef<'a>)>> + use<'a>> {
        Ok(self.list()?.iter())
    }

    /// All properties with the names of their keys, in the order of [`NodeRef::props`].
    pub fn named_props(&self) -> Result<impl Iterator<Item = Result<(Arc<str>, ValueRef<'a>)>> + use<'a>> {
        Ok(with_names(self.graph, self.list()?))
    }

    /// Its vector under a property key, given by id or name. Vectors are no part of the record: each is looked up.
    pub fn vector<'n>(&self, key: impl Into<NameRef<'n, PropKeyId>>) -> Result<Option<VectorRef<'a>>> {
        let Some(key) = resolve(self.graph, key) else { return Ok(None) };
        self.graph.fresh()?.vector(self.id, key)
    }
}

impl fmt::Debug for NodeRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeRef").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The properties of a list with the names of their keys.
pub(super) fn with_names<'a>(
    graph: &'a dyn Graph,
    list: PropList<'a>,
) -> impl Iterator<Item = Result<(Arc<str>, ValueRef<'a>)>> + use<'a> {
    list.iter().map(|prop| {
        let (key, value) = prop?;
        Ok((name_of(graph, NameKind::PropKey, key.0)?, value))
    })
}

/// The name of an id that stands in the graph.
fn name_of(graph: &dyn Graph, kind: NameKind, id: u32) -> Result<Arc<str>> {
    let unnamed = || Error::corrupt(format_args!("the graph uses {} {id}, which has no name", kind.noun()));
    graph.name_of(kind, id).ok_or_else(unnamed)
}

#[cold]
fn lost(id: NodeId) -> Error {
    Error::corrupt(format_args!("node {id} is at the end of an edge or listed under a label, and has no record"))
}
