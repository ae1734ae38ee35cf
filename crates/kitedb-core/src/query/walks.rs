//! Every way of so many steps.

use super::{
    budget::{Budget, Limits},
    path::Path,
    steps::{Steps, Walker},
};
use crate::{
    db::{Graph, GraphRead},
    error::{Error, Result},
    graph::{EdgeKey, NodeId},
};
use rustc_hash::FxHashSet;
use std::{ops::RangeInclusive, vec};

/// What a path of [`Walks`] may have more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Unique {
    /// No node twice: a simple path.
    Nodes,
    /// No edge twice: a trail, as openCypher matches.
    #[default]
    Edges,
    /// Nodes and edges as often as it likes: a walk.
    Nothing,
}

/// Every path from some nodes of so many steps, depth first, each found as it is asked for; parallel edges make paths of their own. After
/// an error it ends.
///
/// There may be very many: with a degree of d, some d^n of n steps. It holds the path that it is on, and the steps at its nodes that were
/// not taken yet.
#[derive(Debug)]
pub struct Walks<'a, 'f> {
    walker: Walker<'a, 'f>,
    budget: Budget,
    depths: RangeInclusive<usize>,
    unique: Unique,
    starts: vec::IntoIter<NodeId>,
    /// The path that it is on, each node with the steps from it that were not taken yet.
    nodes: Vec<(NodeId, vec::IntoIter<(EdgeKey, NodeId)>)>,
    edges: Vec<EdgeKey>,
    nodes_on: FxHashSet<NodeId>,
    edges_on: FxHashSet<EdgeKey>,
    failed: bool,
}

impl<'a, 'f> Walks<'a, 'f> {
    /// From those nodes on, along these steps, as many as `depths` says: `1..=3` gives paths of one, two and three edges, and one that
    /// begins with 0 gives each start by itself, too.
    ///
    /// # Errors
    /// [`ErrorCode::NodeNotFound`](crate::ErrorCode::NodeNotFound): a start does not exist;
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument): no depth is asked for; those of [`Limits`].
    pub fn from(
        graph: &'a (impl Graph + ?Sized),
        starts: impl IntoIterator<Item = NodeId>,
        depths: RangeInclusive<usize>,
        steps: &Steps<'f>,
        limits: &Limits,
    ) -> Result<Self> {
        let (walker, budget) = (steps.within(graph.as_graph()), Budget::of(limits)?);
        if depths.is_empty() {
            let (least, most) = (depths.start(), depths.end());
            return Err(Error::invalid(format_args!(
                "paths of at least {least} and at most {most} steps: there are none"
            )));
        }
        let starts: Vec<NodeId> = starts.into_iter().collect();
        starts.iter().try_for_each(|start| walker.require(*start))?;
        Ok(Self {
            walker,
            budget,
            depths,
            unique: Unique::default(),
            starts: starts.into_iter(),
            nodes: Vec::new(),
            edges: Vec::new(),
            nodes_on: FxHashSet::default(),
            edges_on: FxHashSet::default(),
            failed: false,
        })
    }

    /// What a path may not have twice; by default an edge.
    #[must_use]
    pub fn unique(self, unique: Unique) -> Self {
        Self { unique, ..self }
    }

    /// The path goes on to a node. Returns whether it is one that is asked for.
    fn enter(&mut self, node: NodeId) -> Result<bool> {
        let left = match self.edges.len() < *self.depths.end() {
            true => {
                let steps = self.walker.edges(node, &mut self.budget)?;
                steps.into_iter().map(|(edge, other)| (edge.key(), other)).collect()
            }
            false => Vec::new(),
        };
        self.budget.hold(left.len() * size_of::<(EdgeKey, NodeId)>())?;
        self.nodes.push((node, left.into_iter()));
        if self.unique == Unique::Nodes {
            self.nodes_on.insert(node);
        }
        Ok(self.depths.contains(&self.edges.len()))
    }

    fn leave(&mut self) {
        let Some((node, left)) = self.nodes.pop() else { return };
        self.budget.let_go(left.len() * size_of::<(EdgeKey, NodeId)>());
        if self.unique == Unique::Nodes {
            self.nodes_on.remove(&node);
        }
        if let Some(edge) = self.edges.pop()
            && self.unique == Unique::Edges
        {
            self.edges_on.remove(&edge);
        }
    }

    fn advance(&mut self) -> Result<Option<Path>> {
        loop {
            let Some((_, left)) = self.nodes.last_mut() else {
                let Some(start) = self.starts.next() else { return Ok(None) };
                if self.enter(start)? {
                    return Ok(Some(self.path()));
                }
                continue;
            };
            let Some((edge, node)) = left.next() else {
                self.leave();
                continue;
            };
            self.budget.let_go(size_of::<(EdgeKey, NodeId)>());
            self.budget.step(1)?;
            let again = match self.unique {
                Unique::Nodes => self.nodes_on.contains(&node),
                Unique::Edges => self.edges_on.contains(&edge),
                Unique::Nothing => false,
            };
            if again || !self.walker.passes(node)? {
                continue;
            }
            self.edges.push(edge);
            if self.unique == Unique::Edges {
                self.edges_on.insert(edge);
            }
            if self.enter(node)? {
                return Ok(Some(self.path()));
            }
        }
    }

    fn path(&self) -> Path {
        Path::unweighted(self.nodes.iter().map(|(node, _)| *node).collect(), self.edges.clone())
    }
}

ends_with_its_error!(Walks gives Path);
