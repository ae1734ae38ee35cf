//! Paths of the least weight.

use super::{
    budget::{Budget, Limits},
    path::Path,
    steps::{Steps, Walker},
};
use crate::{
    db::{EdgeRef, Graph, GraphRead},
    error::{Error, Result},
    graph::{EdgeKey, NodeId, ValueRef},
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::{cmp::Ordering, collections::BinaryHeap, fmt, sync::Arc};

type OfEdge<'f> = dyn Fn(&EdgeRef<'_>) -> Result<f64> + Send + Sync + 'f;
type OfNode<'f> = dyn Fn(NodeId) -> Result<f64> + Send + Sync + 'f;

/// What an edge weighs: a number that is not negative.
#[derive(Clone)]
pub enum Weight<'f> {
    /// 1.
    Hops,
    /// A property that is a number. An edge without it weighs `missing`; without that, such an edge is an error.
    Property {
        /// The property's name.
        name: String,
        /// What an edge weighs that does not have it.
        missing: Option<f64>,
    },
    /// What a function says. Infinity: the edge is not followed.
    Function(Arc<OfEdge<'f>>),
}

impl fmt::Debug for Weight<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hops => f.write_str("Hops"),
            Self::Property { name, missing } => {
                f.debug_struct("Property").field("name", name).field("missing", missing).finish()
            }
            Self::Function(_) => f.write_str("Function"),
        }
    }
}

impl<'f> Weight<'f> {
    /// That property of an edge, which each has to have.
    pub fn property(name: impl Into<String>) -> Self {
        Self::Property { name: name.into(), missing: None }
    }

    /// What `of` says of an edge.
    pub fn function(of: impl Fn(&EdgeRef<'_>) -> Result<f64> + Send + Sync + 'f) -> Self {
        Self::Function(Arc::new(of))
    }

    pub(super) fn of(&self, edge: &EdgeRef<'_>) -> Result<f64> {
        let weight = match self {
            Self::Hops => return Ok(1.0),
            Self::Function(of) => of(edge)?,
            Self::Property { name, missing } => match (edge.prop(name.as_str())?, missing) {
                (Some(ValueRef::I64(number)), _) => number as f64,
                (Some(ValueRef::F64(number)), _) => number,
                (None, Some(missing)) => *missing,
                (found, _) => {
                    let is = if found.is_some() { "is no number" } else { "is not there" };
                    return Err(Error::invalid(format_args!(
                        "the weight of {}, its property '{name}', {is}: follow other edges, or say what an edge without it weighs",
                        named(edge.key())
                    )));
                }
            },
        };
        if weight >= 0.0 {
            return Ok(weight);
        }
        Err(Error::invalid(format_args!(
            "the weight of {} is {weight}: a path of the least weight needs weights that are not negative",
            named(edge.key())
        )))
    }
}

fn named(edge: EdgeKey) -> String {
    format!("the edge from node {} to node {}", edge.src, edge.dst)
}

/// Of which nodes nothing is to be done, and which edges are not to be followed: see [`super::yen`].
#[derive(Debug, Default)]
pub(super) struct Banned {
    pub nodes: FxHashSet<NodeId>,
    pub edges: FxHashSet<EdgeKey>,
}

/// A node to go on from: the least of what a path through it weighs at least comes first.
#[derive(Debug, PartialEq)]
struct Due {
    at_least: f64,
    weight: f64,
    node: NodeId,
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The greatest of a heap comes first. Of equal ones that of the lesser id, so that an answer is the same each time.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at_least.total_cmp(&self.at_least).then(other.node.cmp(&self.node))
    }
}

/// How a node was met: what a path there weighs, and the last step of it.
#[derive(Debug, Clone, Copy)]
struct Met {
    weight: f64,
    step: Option<(NodeId, EdgeKey)>,
}

/// Bytes that one node costs, in the map and in the heap.
const NODE: usize = 2 * (size_of::<(NodeId, Met)>() + size_of::<Due>());

/// A search for the lightest path from one node to any of several.
pub(super) struct Search<'s, 'a, 'f> {
    pub walker: &'s Walker<'a, 'f>,
    pub weight: &'s Weight<'f>,
    pub estimate: Option<&'s OfNode<'f>>,
    pub banned: &'s Banned,
    /// What the way to its start weighs already.
    pub begin: f64,
}

impl Search<'_, '_, '_> {
    /// Dijkstra's algorithm (E. W. Dijkstra, 1959), with an estimate A* (P. Hart, N. Nilsson, B. Raphael, 1968), that takes up a node
    /// again where a lighter way to it is found later: so an estimate need not be consistent.
    pub fn lightest(&self, from: NodeId, to: &FxHashSet<NodeId>, budget: &mut Budget) -> Result<Option<Path>> {
        let before = budget.held();
        let found = self.search(from, to, budget);
        budget.let_go_to(before);
        found
    }

    fn search(&self, from: NodeId, to: &FxHashSet<NodeId>, budget: &mut Budget) -> Result<Option<Path>> {
        let mut met: FxHashMap<NodeId, Met> = FxHashMap::default();
        let mut due = BinaryHeap::new();
        met.insert(from, Met { weight: self.begin, step: None });
        due.push(Due { at_least: self.begin + self.estimated(from)?, weight: self.begin, node: from });
        while let Some(Due { weight, node, .. }) = due.pop() {
            // A lighter way was found since.
            if met.get(&node).is_none_or(|met| met.weight < weight) {
                continue;
            }
            if to.contains(&node) {
                return Ok(Some(path_to(node, &met)));
            }
            for (edge, other) in self.walker.edges(node, budget)? {
                if self.banned.nodes.contains(&other) || self.banned.edges.contains(&edge.key()) {
                    continue;
                }
                let weight = weight + self.weight.of(&edge)?;
                let known = met.get(&other).map(|met| met.weight);
                if weight == f64::INFINITY || known.is_some_and(|known| known <= weight) {
                    continue;
                }
                if known.is_none() {
                    if !self.walker.passes(other)? {
                        continue;
                    }
                    budget.hold(NODE)?;
                }
                let estimate = self.estimated(other)?;
                if estimate == f64::INFINITY {
                    continue;
                }
                met.insert(other, Met { weight, step: Some((node, edge.key())) });
                due.push(Due { at_least: weight + estimate, weight, node: other });
            }
        }
        Ok(None)
    }

    fn estimated(&self, node: NodeId) -> Result<f64> {
        let Some(of) = self.estimate else { return Ok(0.0) };
        let estimate = of(node)?;
        if estimate >= 0.0 {
            return Ok(estimate);
        }
        Err(Error::invalid(format_args!("the estimate of node {node} is {estimate}: give one that is not negative")))
    }
}

fn path_to(end: NodeId, met: &FxHashMap<NodeId, Met>) -> Path {
    let (mut nodes, mut edges, mut last) = (vec![end], Vec::new(), end);
    while let Some((node, edge)) = met.get(&last).and_then(|met| met.step) {
        nodes.push(node);
        edges.push(edge);
        last = node;
    }
    nodes.reverse();
    edges.reverse();
    Path::new(nodes, edges, met.get(&end).map_or(0.0, |met| met.weight))
}

/// A path of the least weight from one node to the nearest of several; `None` if none leads to any. Of several paths of that weight,
/// which one is not said, and is the same each time.
///
/// ```
/// use kitedb_core::{Database, NodeId, OpenOptions, query::{Limits, Steps, Weight, lightest_path}};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = Database::open(dir.path().join("roads.kitedb"), OpenOptions::new())?;
/// # let all = db.transaction(|tx| {
/// #     let all = [tx.create_node(Some("a"))?, tx.create_node(Some("b"))?, tx.create_node(Some("c"))?];
/// #     for (from, to, km) in [(0, 1, 2.5), (1, 2, 3.0), (0, 2, 9.0)] {
/// #         tx.add_edge(all[from], "ROAD", all[to])?;
/// #         tx.set_edge_prop(all[from], "ROAD", all[to], "km", km)?;
/// #     }
/// #     Ok(all)
/// # })?;
/// let view = db.snapshot()?;
/// let path = lightest_path(&view, all[0], [all[2]], &Steps::both(), &Weight::property("km"), &Limits::new())?.unwrap();
/// assert_eq!((path.weight(), path.nodes()), (5.5, &all[..]));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ErrorCode::NodeNotFound`](crate::ErrorCode::NodeNotFound): one of the nodes does not exist;
/// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument): a weight is negative, or is not there; those of [`Limits`].
pub fn lightest_path(
    graph: &(impl Graph + ?Sized),
    from: NodeId,
    to: impl IntoIterator<Item = NodeId>,
    steps: &Steps<'_>,
    weight: &Weight<'_>,
    limits: &Limits,
) -> Result<Option<Path>> {
    found(graph, from, to, steps, weight, None, limits)
}

/// As [`lightest_path`], with an estimate of what is left from a node to the nearest of `to`, which is never more than that is: then less
/// of the graph is looked at (A*). With one that is too high another path may be found. Infinity: no path leads on from there.
///
/// # Errors
/// As [`lightest_path`]; [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument): an estimate is negative.
pub fn lightest_path_by_estimate<'f>(
    graph: &(impl Graph + ?Sized),
    from: NodeId,
    to: impl IntoIterator<Item = NodeId>,
    steps: &Steps<'f>,
    weight: &Weight<'f>,
    estimate: impl Fn(NodeId) -> Result<f64> + Send + Sync + 'f,
    limits: &Limits,
) -> Result<Option<Path>> {
    found(graph, from, to, steps, weight, Some(&estimate), limits)
}

fn found<'f>(
    graph: &(impl Graph + ?Sized),
    from: NodeId,
    to: impl IntoIterator<Item = NodeId>,
    steps: &Steps<'f>,
    weight: &Weight<'f>,
    estimate: Option<&OfNode<'f>>,
    limits: &Limits,
) -> Result<Option<Path>> {
    let (walker, mut budget) = (steps.within(graph.as_graph()), Budget::of(limits)?);
    walker.require(from)?;
    let mut ends = FxHashSet::default();
    for to in to {
        walker.require(to)?;
        budget.hold(size_of::<NodeId>() * 2)?;
        ends.insert(to);
    }
    let search = Search { walker: &walker, weight, estimate, banned: &Banned::default(), begin: 0.0 };
    search.lightest(from, &ends, &mut budget)
}
