//! Which edges a question follows, and through which nodes.

use super::budget::Budget;
use crate::{
    db::{AllTypes, EdgeRef, Graph, GraphRead, NameRef, NodeRef, TypeFilter},
    error::{Error, ErrorCode, Result},
    graph::{Direction, EdgeKey, EdgeTypeId, NodeId},
};
use std::{fmt, sync::Arc};

type EdgeTest<'f> = dyn Fn(&EdgeRef<'_>) -> Result<bool> + Send + Sync + 'f;
type NodeTest<'f> = dyn Fn(&NodeRef<'_>) -> Result<bool> + Send + Sync + 'f;

/// In which direction edges are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// From their source to their destination.
    Out,
    /// From their destination to their source.
    In,
    /// Either way.
    Both,
}

impl Way {
    /// The other way.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Out => Self::In,
            Self::In => Self::Out,
            Self::Both => Self::Both,
        }
    }

    fn directions(self) -> &'static [Direction] {
        match self {
            Self::Out => &[Direction::Out],
            Self::In => &[Direction::In],
            Self::Both => &[Direction::Out, Direction::In],
        }
    }
}

#[derive(Debug, Clone)]
enum Name {
    Id(EdgeTypeId),
    Name(String),
}

/// Which edges a question follows, and through which nodes: a direction, types, and tests that see properties. By default edges of
/// every type, and all nodes.
///
/// A name of a type that is not in use is none, so that nothing is followed. A test of nodes is asked of each node that a question
/// would go through or end at, and not of where it starts. What a test fails with, the question fails with. A question may ask of one
/// node or edge more than once, and from several threads.
///
/// ```
/// use kitedb_core::{ValueRef, query::Steps};
/// let steps = Steps::both()
///     .of_type("KNOWS")
///     .of_type("LIKES")
///     .edges(|edge| Ok(edge.prop("since")?.is_some()))
///     .nodes(|node| Ok(node.prop("age")?.is_some_and(|age| matches!(age, ValueRef::I64(age) if age > 30))));
/// ```
#[derive(Clone)]
pub struct Steps<'f> {
    way: Way,
    types: Option<Vec<Name>>,
    edge: Option<Arc<EdgeTest<'f>>>,
    node: Option<Arc<NodeTest<'f>>>,
}

impl fmt::Debug for Steps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { way, types, .. } = self;
        f.debug_struct("Steps").field("way", way).field("types", types).finish_non_exhaustive()
    }
}

impl<'f> Steps<'f> {
    /// Edges are followed that way.
    pub fn new(way: Way) -> Self {
        Self { way, types: None, edge: None, node: None }
    }

    /// From source to destination.
    pub fn out() -> Self {
        Self::new(Way::Out)
    }

    /// From destination to source.
    pub fn incoming() -> Self {
        Self::new(Way::In)
    }

    /// Either way.
    pub fn both() -> Self {
        Self::new(Way::Both)
    }

    /// Edges of that type, and of those that were named before: of no other one.
    #[must_use]
    pub fn of_type<'n>(mut self, ty: impl Into<NameRef<'n, EdgeTypeId>>) -> Self {
        let name = match ty.into() {
            NameRef::Id(id) => Name::Id(id),
            NameRef::Name(name) => Name::Name(name.to_owned()),
        };
        self.types.get_or_insert_default().push(name);
        self
    }

    /// Only edges that this says yes to.
    #[must_use]
    pub fn edges(self, test: impl Fn(&EdgeRef<'_>) -> Result<bool> + Send + Sync + 'f) -> Self {
        Self { edge: Some(Arc::new(test)), ..self }
    }

    /// Only nodes that this says yes to.
    #[must_use]
    pub fn nodes(self, test: impl Fn(&NodeRef<'_>) -> Result<bool> + Send + Sync + 'f) -> Self {
        Self { node: Some(Arc::new(test)), ..self }
    }

    /// What they are in a graph.
    pub(super) fn within<'a>(&self, graph: &'a dyn Graph) -> Walker<'a, 'f> {
        let types = match &self.types {
            None => vec![None],
            Some(names) => {
                let mut ids: Vec<EdgeTypeId> = names
                    .iter()
                    .filter_map(|name| match name {
                        Name::Id(id) => Some(*id),
                        Name::Name(name) => graph.etype_id(name),
                    })
                    .collect();
                ids.sort_unstable();
                ids.dedup();
                ids.into_iter().map(Some).collect()
            }
        };
        Walker { graph, way: self.way, types, edge: self.edge.clone(), node: self.node.clone() }
    }
}

/// Steps in one state of one graph.
#[derive(Clone)]
pub(super) struct Walker<'a, 'f> {
    pub graph: &'a dyn Graph,
    way: Way,
    /// `None`: of every type.
    types: Vec<Option<EdgeTypeId>>,
    edge: Option<Arc<EdgeTest<'f>>>,
    node: Option<Arc<NodeTest<'f>>>,
}

impl fmt::Debug for Walker<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walker").field("way", &self.way).field("types", &self.types).finish_non_exhaustive()
    }
}

fn filter(ty: Option<EdgeTypeId>) -> TypeFilter<'static> {
    ty.map_or_else(|| AllTypes.into(), Into::into)
}

impl<'a> Walker<'a, '_> {
    /// The same steps the other way round.
    pub fn reversed(&self) -> Self {
        Self { way: self.way.reversed(), ..self.clone() }
    }

    /// Whether a node may be gone through.
    pub fn passes(&self, id: NodeId) -> Result<bool> {
        let Some(test) = &self.node else { return Ok(true) };
        match self.graph.node(id)? {
            Some(node) => test(&node),
            None => Ok(false),
        }
    }

    /// Fails where that node does not exist.
    pub fn require(&self, id: NodeId) -> Result<()> {
        if self.graph.node_exists(id)? {
            return Ok(());
        }
        let what = format_args!("node {id} does not exist");
        Err(Error::new(ErrorCode::NodeNotFound, what).with_key(id))
    }

    /// The nodes that steps from `from` lead to, put behind what is in `into`: each as often as edges lead there. No node is tested.
    pub fn neighbors(&self, from: NodeId, into: &mut Vec<NodeId>, budget: &mut Budget) -> Result<()> {
        let before = into.len();
        for &direction in self.way.directions() {
            // A loop is one step, whichever way.
            let twice = self.way == Way::Both && direction == Direction::In;
            for ty in &self.types {
                match &self.edge {
                    None => self.graph.for_each_neighbor(from, direction, filter(*ty), |other| {
                        if !(twice && other == from) {
                            into.push(other);
                        }
                    })?,
                    Some(test) => {
                        for edge in self.edges_at(from, direction, *ty)? {
                            if !(twice && edge.other() == from) && test(&edge)? {
                                into.push(edge.other());
                            }
                        }
                    }
                }
            }
        }
        budget.step(into.len() - before + 1)
    }

    /// The steps from `from`, as edges with where they lead, in the order of their keys within each direction. No node is tested.
    pub fn edges(&self, from: NodeId, budget: &mut Budget) -> Result<Vec<(EdgeRef<'a>, NodeId)>> {
        let mut found = Vec::new();
        for &direction in self.way.directions() {
            let twice = self.way == Way::Both && direction == Direction::In;
            for ty in &self.types {
                for edge in self.graph.sorted_edges(from, direction, filter(*ty))? {
                    let other = edge.other();
                    if twice && other == from {
                        continue;
                    }
                    if self.edge.as_ref().map_or(Ok(true), |test| test(&edge))? {
                        found.push((edge, other));
                    }
                }
            }
        }
        budget.step(found.len() + 1)?;
        Ok(found)
    }

    fn edges_at(&self, from: NodeId, direction: Direction, ty: Option<EdgeTypeId>) -> Result<crate::db::NodeEdges<'a>> {
        match direction {
            Direction::Out => self.graph.out_edges(from, filter(ty)),
            Direction::In => self.graph.in_edges(from, filter(ty)),
        }
    }

    /// The step from one node to another: the first of them.
    pub fn edge_to(&self, from: NodeId, to: NodeId, budget: &mut Budget) -> Result<EdgeKey> {
        let found = self.edges(from, budget)?.into_iter().find(|(_, other)| *other == to);
        // The state does not change; a test may.
        let lost = || Error::invalid("a test of edges said yes to an edge, and then no");
        found.map(|(edge, _)| edge.key()).ok_or_else(lost)
    }
}
