//! Paths of the fewest edges.

use super::{
    budget::{Budget, Limits},
    path::Path,
    steps::{Steps, Walker},
    table::NodeTable,
};
use crate::{
    db::{Graph, GraphRead},
    error::Result,
    graph::{EdgeKey, NodeId},
};

/// One of the two searches of [`shortest_path`].
struct Side<'a, 'f> {
    walker: Walker<'a, 'f>,
    /// From which node each one was met; of its root, itself.
    before: NodeTable<u64>,
    /// Nodes that were met last.
    now: Vec<NodeId>,
}

/// Ids from 1 on; 0 in a table is none.
fn noted(before: &NodeTable<u64>, node: NodeId) -> Option<NodeId> {
    Some(before.get(node)).filter(|id| *id != 0).map(|id| NodeId(id - 1))
}

impl<'a, 'f> Side<'a, 'f> {
    fn new(walker: Walker<'a, 'f>, root: NodeId, budget: &mut Budget) -> Result<Self> {
        let mut before = NodeTable::default();
        *before.entry(root, budget)? = root.0 + 1;
        Ok(Self { walker, before, now: vec![root] })
    }

    /// Goes on from all nodes that were met last. Returns one that `other` has met, if there is one: no shorter path leads there.
    fn go_on(&mut self, other: &Self, root_of_other: NodeId, budget: &mut Budget) -> Result<Option<NodeId>> {
        let mut next = Vec::new();
        let mut around = Vec::new();
        for &from in &self.now {
            around.clear();
            self.walker.neighbors(from, &mut around, budget)?;
            for &node in &around {
                if self.before.get(node) != 0 || (node != root_of_other && !self.walker.passes(node)?) {
                    continue;
                }
                *self.before.entry(node, budget)? = from.0 + 1;
                if other.before.get(node) != 0 {
                    return Ok(Some(node));
                }
                budget.hold(size_of::<NodeId>())?;
                next.push(node);
            }
        }
        budget.let_go(self.now.len() * size_of::<NodeId>());
        self.now = next;
        Ok(None)
    }

    /// The nodes from `node` back to the root.
    fn back(&self, node: NodeId) -> Vec<NodeId> {
        let mut nodes = vec![node];
        let mut last = node;
        while let Some(earlier) = noted(&self.before, last).filter(|earlier| *earlier != last) {
            nodes.push(earlier);
            last = earlier;
        }
        nodes
    }
}

/// A path of the fewest edges from one node to another; `None` if none leads there. Of several, which one is not said, and is the same
/// each time.
///
/// Breadth-first search from both ends, which goes on at the side that has fewer nodes to go on from (I. Pohl, "Bi-directional
/// Search", 1971).
///
/// # Errors
/// [`ErrorCode::NodeNotFound`](crate::ErrorCode::NodeNotFound): one of the two does not exist; those of [`Limits`].
pub fn shortest_path(
    graph: &(impl Graph + ?Sized),
    from: NodeId,
    to: NodeId,
    steps: &Steps<'_>,
    limits: &Limits,
) -> Result<Option<Path>> {
    let (walker, mut budget) = (steps.within(graph.as_graph()), Budget::of(limits)?);
    let budget = &mut budget;
    walker.require(from)?;
    walker.require(to)?;
    if from == to {
        return Ok(Some(Path::unweighted(vec![from], Vec::new())));
    }
    if !walker.passes(to)? {
        return Ok(None);
    }
    let mut forth = Side::new(walker.clone(), from, budget)?;
    let mut back = Side::new(walker.reversed(), to, budget)?;
    let middle = loop {
        let met = match forth.now.len() <= back.now.len() {
            true => forth.go_on(&back, to, budget)?,
            false => back.go_on(&forth, from, budget)?,
        };
        if let Some(middle) = met {
            break middle;
        }
        if forth.now.is_empty() || back.now.is_empty() {
            return Ok(None);
        }
    };
    let mut nodes = forth.back(middle);
    nodes.reverse();
    nodes.extend(back.back(middle).into_iter().skip(1));
    budget.hold(nodes.len() * (size_of::<NodeId>() + size_of::<EdgeKey>()))?;
    let edges = nodes.windows(2).map(|pair| walker.edge_to(pair[0], pair[1], budget)).collect::<Result<Vec<_>>>()?;
    Ok(Some(Path::unweighted(nodes, edges)))
}

/// All paths of the fewest edges from one node to another, each found as it is asked for: parallel edges make paths of their own. After
/// an error it ends.
#[derive(Debug)]
pub struct ShortestPaths<'a, 'f> {
    walker: Walker<'a, 'f>,
    budget: Budget,
    from: NodeId,
    /// How many steps each node is from the start, and 1; 0: it was not met.
    depths: NodeTable<u32>,
    /// The path so far, from its end: a node, and the steps to it that were not taken yet. Empty: there is no path, or all were given.
    open: Vec<Open>,
    /// The path of one node, which has no step.
    alone: Option<NodeId>,
    failed: bool,
}

#[derive(Debug)]
struct Open {
    node: NodeId,
    /// The edge by which the path goes on from here.
    edge: Option<EdgeKey>,
    left: Vec<(EdgeKey, NodeId)>,
}

impl<'a, 'f> ShortestPaths<'a, 'f> {
    /// Between those nodes, along these steps.
    ///
    /// # Errors
    /// [`ErrorCode::NodeNotFound`](crate::ErrorCode::NodeNotFound): one of the two does not exist; those of [`Limits`].
    pub fn between(
        graph: &'a (impl Graph + ?Sized),
        from: NodeId,
        to: NodeId,
        steps: &Steps<'f>,
        limits: &Limits,
    ) -> Result<Self> {
        let (walker, budget) = (steps.within(graph.as_graph()), Budget::of(limits)?);
        walker.require(from)?;
        walker.require(to)?;
        let alone = (from == to).then_some(from);
        let (depths, open) = (NodeTable::default(), Vec::new());
        let mut paths = Self { walker, budget, from, depths, open, alone, failed: false };
        if paths.alone.is_none() && paths.walker.passes(to)? && paths.measure(to)? {
            let left = paths.steps_to(to)?;
            paths.open.push(Open { node: to, edge: None, left });
        }
        Ok(paths)
    }

    /// Notes how far each node is, up to the level of `to`. Returns whether that is met.
    fn measure(&mut self, to: NodeId) -> Result<bool> {
        let Self { walker, budget, depths, from, .. } = self;
        *depths.entry(*from, budget)? = 1;
        let (mut now, mut depth, mut around) = (vec![*from], 1, Vec::new());
        while !now.is_empty() && depths.get(to) == 0 {
            depth += 1;
            let mut next = Vec::new();
            for &node in &now {
                around.clear();
                walker.neighbors(node, &mut around, budget)?;
                for &other in &around {
                    if depths.get(other) == 0 && (other == to || walker.passes(other)?) {
                        *depths.entry(other, budget)? = depth;
                        budget.hold(size_of::<NodeId>())?;
                        next.push(other);
                    }
                }
            }
            budget.let_go(now.len() * size_of::<NodeId>());
            now = next;
        }
        Ok(depths.get(to) != 0)
    }

    /// The steps that end a shortest path to `node`, each with the node that it comes from.
    fn steps_to(&mut self, node: NodeId) -> Result<Vec<(EdgeKey, NodeId)>> {
        let depth = self.depths.get(node);
        let mut found: Vec<_> = self
            .walker
            .reversed()
            .edges(node, &mut self.budget)?
            .into_iter()
            .map(|(edge, other)| (edge.key(), other))
            .filter(|(_, other)| depth > 1 && self.depths.get(*other) == depth - 1)
            .collect();
        self.budget.hold(found.len() * size_of::<(EdgeKey, NodeId)>())?;
        // The last one is taken first.
        found.reverse();
        Ok(found)
    }

    fn advance(&mut self) -> Result<Option<Path>> {
        if let Some(node) = self.alone.take() {
            return Ok(Some(Path::unweighted(vec![node], Vec::new())));
        }
        while let Some(open) = self.open.last_mut() {
            let Some((edge, node)) = open.left.pop() else {
                self.open.pop();
                continue;
            };
            self.budget.let_go(size_of::<(EdgeKey, NodeId)>());
            open.edge = Some(edge);
            if node == self.from {
                let rest = self.open.iter().rev();
                let edges = rest.clone().filter_map(|open| open.edge).collect();
                let nodes = std::iter::once(node).chain(rest.map(|open| open.node)).collect();
                return Ok(Some(Path::unweighted(nodes, edges)));
            }
            let left = self.steps_to(node)?;
            self.open.push(Open { node, edge: None, left });
        }
        Ok(None)
    }
}

ends_with_its_error!(ShortestPaths gives Path);
