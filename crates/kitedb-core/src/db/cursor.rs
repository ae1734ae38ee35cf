//! Scans that belong to nobody: they hold their state, go on where they were, and may be kept, sent and dropped anywhere.

use super::{
    dyn_graph::{Graph, Wanted, expired, resolve},
    edge_ref::EdgeRef,
    name::{NameRef, TypeFilter},
    node_ref::NodeRef,
    page::positive,
    scans::{Edges, Nodes, SortedEdges},
    view::View,
};
use crate::{
    error::Result,
    graph::{Direction, EdgeKey, LabelId, NodeId},
    state::Site,
};
use std::fmt;

/// The state of a cursor, until it was held for too long.
struct Kept(Option<View>);

impl Kept {
    fn new(view: &View, site: Site) -> Self {
        Self(Some(view.for_cursor(site)))
    }

    /// The state, if it is not held for longer than it may be. Else it is let go of.
    fn fresh(&mut self) -> Result<&View> {
        self.0.take_if(|view| view.is_expired());
        self.get()
    }

    fn get(&self) -> Result<&View> {
        self.0.as_ref().ok_or_else(expired)
    }
}

/// Nodes of one state, ascending, some at a time: [`View::node_cursor`], [`View::label_cursor`].
///
/// It holds the state as a view does, until it is dropped; so it is `'static` and [`Send`], and neither commits nor the close
/// of the database end it. A batch costs what it holds, wherever it begins. Where a state may be held only for so long
/// ([`OpenOptions::max_pin_ms`](crate::OpenOptions::max_pin_ms)), counted from when the view was taken, the first batch after
/// that fails and frees it; [`NodeCursor::position`] says from where to go on in another one. Who cannot say when he is done
/// reads pages of a [`ViewHandle`](crate::ViewHandle) instead.
///
/// ```
/// use kitedb_core::{Database, OpenOptions};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
/// db.transaction(|tx| (0..5).try_for_each(|_| tx.create_node(None).map(drop)))?;
/// let mut cursor = db.snapshot()?.node_cursor();
/// let counted = std::thread::spawn(move || -> kitedb_core::Result<Vec<usize>> {
///     let mut batches = Vec::new();
///     loop {
///         let batch = cursor.next_batch(2)?;
///         if batch.is_empty() {
///             return Ok(batches);
///         }
///         batches.push(batch.len());
///     }
/// });
/// assert_eq!(counted.join().unwrap()?, [2, 2, 1]);
/// # Ok(())
/// # }
/// ```
pub struct NodeCursor {
    view: Kept,
    of: NodesOf,
    after: Option<NodeId>,
    ended: bool,
}

#[derive(Debug, Clone, Copy)]
enum NodesOf {
    Graph,
    /// `None`: a name that is not in use.
    Label(Option<LabelId>),
}

impl fmt::Debug for NodeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.view.get().ok();
        f.debug_struct("NodeCursor").field("view", &view).field("of", &self.of).field("after", &self.after).finish()
    }
}

impl NodeCursor {
    fn new(view: &View, of: NodesOf, site: Site) -> Self {
        Self { view: Kept::new(view, site), of, after: None, ended: false }
    }

    /// The next nodes, `limit` of them or all that are left; none at the end, and from then on.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument) if `limit` is 0; those of a read, and after
    /// [`ErrorCode::SnapshotExpired`](crate::ErrorCode::SnapshotExpired) never anything else. After another error it stands
    /// where it stood: the next call tries the same nodes.
    pub fn next_batch(&mut self, limit: usize) -> Result<Vec<NodeRef<'_>>> {
        positive(limit)?;
        let graph: &dyn Graph = self.view.fresh()?;
        if self.ended {
            return Ok(Vec::new());
        }
        let nodes = match self.of {
            NodesOf::Graph => Nodes::all(graph, self.after),
            NodesOf::Label(label) => Nodes::labelled(graph, label, self.after)?,
        };
        let batch: Vec<_> = nodes.take(limit).collect::<Result<_>>()?;
        self.ended = batch.len() < limit;
        self.after = batch.last().map(NodeRef::id).or(self.after);
        Ok(batch)
    }

    /// The last node of the last batch: what [`GraphRead::nodes_page`](crate::GraphRead::nodes_page) goes on after, in this
    /// state or another.
    pub fn position(&self) -> Option<NodeId> {
        self.after
    }

    /// The state that it reads.
    ///
    /// # Errors
    /// [`ErrorCode::SnapshotExpired`](crate::ErrorCode::SnapshotExpired): a batch found that it was held for too long.
    pub fn view(&self) -> Result<&View> {
        self.view.get()
    }
}

/// Edges of one state in order, some at a time: [`View::edge_cursor`], [`View::neighbor_cursor`]. See [`NodeCursor`] for what
/// it holds.
pub struct EdgeCursor {
    view: Kept,
    of: EdgesOf,
    after: Option<EdgeKey>,
    ended: bool,
}

#[derive(Debug, Clone, Copy)]
enum EdgesOf {
    Graph,
    Node(NodeId, Direction, Wanted),
}

impl fmt::Debug for EdgeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.view.get().ok();
        f.debug_struct("EdgeCursor").field("view", &view).field("of", &self.of).field("after", &self.after).finish()
    }
}

impl EdgeCursor {
    fn new(view: &View, of: EdgesOf, site: Site) -> Self {
        Self { view: Kept::new(view, site), of, after: None, ended: false }
    }

    /// The next edges, `limit` of them or all that are left; none at the end, and from then on.
    ///
    /// # Errors
    /// As [`NodeCursor::next_batch`].
    pub fn next_batch(&mut self, limit: usize) -> Result<Vec<EdgeRef<'_>>> {
        positive(limit)?;
        let graph: &dyn Graph = self.view.fresh()?;
        if self.ended {
            return Ok(Vec::new());
        }
        let batch: Vec<_> = match self.of {
            EdgesOf::Graph => Edges::all(graph, self.after, limit).take(limit).collect::<Result<_>>()?,
            EdgesOf::Node(node, direction, wanted) => {
                SortedEdges::new(graph, (node, direction), wanted, self.after, limit)?.take(limit).collect()
            }
        };
        self.ended = batch.len() < limit;
        self.after = batch.last().map(EdgeRef::key).or(self.after);
        Ok(batch)
    }

    /// The last edge of the last batch: what [`GraphRead::edges_page`](crate::GraphRead::edges_page) or
    /// [`GraphRead::neighbors_page`](crate::GraphRead::neighbors_page) goes on after, in this state or another.
    pub fn position(&self) -> Option<EdgeKey> {
        self.after
    }

    /// The state that it reads.
    ///
    /// # Errors
    /// [`ErrorCode::SnapshotExpired`](crate::ErrorCode::SnapshotExpired): a batch found that it was held for too long.
    pub fn view(&self) -> Result<&View> {
        self.view.get()
    }
}

impl View {
    /// Every node, ascending, some at a time.
    #[track_caller]
    pub fn node_cursor(&self) -> NodeCursor {
        NodeCursor::new(self, NodesOf::Graph, Site::caller())
    }

    /// Every node with a label, given by id or name, ascending, some at a time.
    #[track_caller]
    pub fn label_cursor<'n>(&self, label: impl Into<NameRef<'n, LabelId>>) -> NodeCursor {
        NodeCursor::new(self, NodesOf::Label(resolve(self, label)), Site::caller())
    }

    /// Every edge, ascending by source, type, destination and rank, some at a time.
    #[track_caller]
    pub fn edge_cursor(&self) -> EdgeCursor {
        EdgeCursor::new(self, EdgesOf::Graph, Site::caller())
    }

    /// The edges at a node, ascending by type, other end and rank, some at a time.
    #[track_caller]
    pub fn neighbor_cursor<'n>(
        &self,
        id: NodeId,
        direction: Direction,
        types: impl Into<TypeFilter<'n>>,
    ) -> EdgeCursor {
        EdgeCursor::new(self, EdgesOf::Node(id, direction, Wanted::of(self, types)), Site::caller())
    }
}
