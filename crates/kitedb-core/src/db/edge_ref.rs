//! An edge that was come upon.

use super::{
    dyn_graph::{Graph, resolve},
    name::NameRef,
    node_ref::{NodeRef, with_names},
};
use crate::{
    error::{Error, Result},
    graph::{Direction, EdgeKey, EdgeTypeId, NameKind, NodeId, PropKeyId, PropList, ValueRef},
    state::EntryAt,
};
use std::{cell::OnceCell, fmt, sync::Arc};

/// An edge of one state, as scans and the edges at a node yield it: its ends, type and rank are at hand; its properties are
/// read where it was come upon when they are first asked for, and kept. What it returns is borrowed from the state, not
/// copied.
///
/// ```
/// use kitedb_core::{AllTypes, Database, GraphRead, OpenOptions, ValueRef};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
/// let mut tx = db.begin()?;
/// let (ada, mary) = (tx.create_node(Some("ada"))?, tx.create_node(Some("mary"))?);
/// tx.add_edge(ada, "KNOWS", mary)?;
/// tx.set_edge_prop(ada, "KNOWS", mary, "since", 1833)?;
/// for edge in tx.in_edges(mary, AllTypes)? {
///     assert_eq!(edge.prop("since")?, Some(ValueRef::I64(1833)));
///     assert_eq!(edge.other_node().key()?, Some("ada"));
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Its methods fail as reads of the state do: [`ErrorCode::SnapshotExpired`](crate::ErrorCode::SnapshotExpired),
/// [`ErrorCode::Corrupt`](crate::ErrorCode::Corrupt).
#[derive(Clone)]
pub struct EdgeRef<'a> {
    graph: &'a dyn Graph,
    key: EdgeKey,
    /// Which of its ends it was come upon at.
    seen_from: Direction,
    entry: Option<EntryAt>,
    props: OnceCell<PropList<'a>>,
}

impl<'a> EdgeRef<'a> {
    /// An edge that exists in `graph`, as seen from one of its ends, with what shows it.
    #[inline]
    pub(super) fn new(graph: &'a dyn Graph, seen_from: Direction, (key, entry): (EdgeKey, Option<EntryAt>)) -> Self {
        Self { graph, key, seen_from, entry, props: OnceCell::new() }
    }

    /// An edge whose properties are at hand.
    pub(super) fn of(graph: &'a dyn Graph, key: EdgeKey, props: PropList<'a>) -> Self {
        Self { graph, key, seen_from: Direction::Out, entry: None, props: OnceCell::from(props) }
    }

    fn list(&self) -> Result<PropList<'a>> {
        match self.props.get() {
            Some(props) => Ok(*props),
            None => {
                let reading = self.graph.fresh()?;
                let found = match self.entry {
                    Some(entry) => reading.edge_shown_by(self.key, entry)?,
                    None => reading.edge(self.key)?,
                };
                let found = found.ok_or_else(|| lost(self.key))?;
                Ok(*self.props.get_or_init(|| found))
            }
        }
    }

    /// What names it: its ends, its type, its rank.
    #[inline]
    pub fn key(&self) -> EdgeKey {
        self.key
    }

    /// Where it starts.
    #[inline]
    pub fn src(&self) -> NodeId {
        self.key.src
    }

    /// Where it ends.
    #[inline]
    pub fn dst(&self) -> NodeId {
        self.key.dst
    }

    /// The end that is not the node whose edges were asked for; of a scan, where it ends. A loop has the same node there.
    #[inline]
    pub fn other(&self) -> NodeId {
        self.key.ends(self.seen_from).1
    }

    /// Its type.
    #[inline]
    pub fn ty(&self) -> EdgeTypeId {
        self.key.ty
    }

    /// The name of its type.
    pub fn type_name(&self) -> Result<Arc<str>> {
        let ty = self.key.ty;
        let unnamed = || Error::corrupt(format_args!("the graph uses edge type {ty}, which has no name"));
        self.graph.name_of(NameKind::EdgeType, ty.0).ok_or_else(unnamed)
    }

    /// Which of parallel edges it is.
    #[inline]
    pub fn rank(&self) -> u64 {
        self.key.rank
    }

    /// The state that it is of, to read on from here.
    pub fn graph(&self) -> &'a dyn Graph {
        self.graph
    }

    /// The node where it starts.
    pub fn src_node(&self) -> NodeRef<'a> {
        NodeRef::new(self.graph, self.key.src)
    }

    /// The node where it ends.
    pub fn dst_node(&self) -> NodeRef<'a> {
        NodeRef::new(self.graph, self.key.dst)
    }

    /// The node at [`EdgeRef::other`].
    #[inline]
    pub fn other_node(&self) -> NodeRef<'a> {
        NodeRef::new(self.graph, self.other())
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

    /// All properties with the names of their keys, in the order of [`EdgeRef::props`].
    pub fn named_props(&self) -> Result<impl Iterator<Item = Result<(Arc<str>, ValueRef<'a>)>> + use<'a>> {
        Ok(with_names(self.graph, self.list()?))
    }
}

impl fmt::Debug for EdgeRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeRef").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cold]
fn lost(edge: EdgeKey) -> Error {
    let EdgeKey { src, ty, dst, rank } = edge;
    let what =
        format_args!("an edge of type {ty} and rank {rank} from node {src} to node {dst} is listed and not there");
    Error::corrupt(what)
}
