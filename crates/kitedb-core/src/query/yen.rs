//! The lightest paths, one after another.

use super::{
    budget::{Budget, Limits},
    path::Path,
    steps::{Steps, Walker},
    weighted::{Banned, Search, Weight},
};
use crate::{
    db::{Graph, GraphRead},
    error::Result,
    graph::{EdgeKey, NodeId},
};
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;

/// The paths without a repeated node from one node to another, lightest first, each found as it is asked for: `take(k)` of them are the k
/// lightest. Parallel edges make paths of their own. Of equal weight
/// they come in no order that is said, and in the same one each time. After an error it ends.
///
/// Yen's algorithm (J. Y. Yen, "Finding the K Shortest Loopless Paths in a Network", 1971), with Lawler's rule (1972) that a path is left
/// at no earlier node than where it left the one before.
#[derive(Debug)]
pub struct LightestPaths<'a, 'f> {
    walker: Walker<'a, 'f>,
    weight: Weight<'f>,
    budget: Budget,
    from: NodeId,
    to: NodeId,
    /// Those that were given.
    given: Vec<Found>,
    /// Those that were found and not given yet.
    due: BTreeMap<Rank, Found>,
    begun: bool,
    failed: bool,
}

#[derive(Debug, Clone)]
struct Found {
    path: Path,
    /// Up to which node it is as an earlier one.
    left_at: usize,
}

/// What tells paths apart, the lightest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// The bits of what it weighs, which order as the number does where it is not negative.
    weight: u64,
    hops: usize,
    edges: Vec<EdgeKey>,
    nodes: Vec<NodeId>,
}

impl Rank {
    fn of(path: &Path) -> Self {
        // A negative zero is none.
        let weight = (path.weight() + 0.0).to_bits();
        Self { weight, hops: path.hops(), edges: path.edges().to_vec(), nodes: path.nodes().to_vec() }
    }
}

/// Bytes of a path that is kept, with its rank.
fn bytes_of(path: &Path) -> usize {
    2 * (path.nodes().len() * (size_of::<NodeId>() + size_of::<EdgeKey>())) + size_of::<(Rank, Found)>()
}

impl<'a, 'f> LightestPaths<'a, 'f> {
    /// Between those nodes, along these steps.
    ///
    /// # Errors
    /// [`ErrorCode::NodeNotFound`](crate::ErrorCode::NodeNotFound): one of the two does not exist; those of [`Limits`]. Its items may
    /// fail with [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument): a weight is negative, or is not there.
    pub fn between(
        graph: &'a (impl Graph + ?Sized),
        from: NodeId,
        to: NodeId,
        steps: &Steps<'f>,
        weight: &Weight<'f>,
        limits: &Limits,
    ) -> Result<Self> {
        let (walker, budget) = (steps.within(graph.as_graph()), Budget::of(limits)?);
        walker.require(from)?;
        walker.require(to)?;
        Ok(Self {
            walker,
            weight: weight.clone(),
            budget,
            from,
            to,
            given: Vec::new(),
            due: BTreeMap::new(),
            begun: false,
            failed: false,
        })
    }

    fn lightest(&mut self, from: NodeId, begin: f64, banned: &Banned) -> Result<Option<Path>> {
        let ends = FxHashSet::from_iter([self.to]);
        let search = Search { walker: &self.walker, weight: &self.weight, estimate: None, banned, begin };
        search.lightest(from, &ends, &mut self.budget)
    }

    fn keep(&mut self, path: Path, left_at: usize) -> Result<()> {
        let bytes = bytes_of(&path);
        let rank = Rank::of(&path);
        if !self.due.contains_key(&rank) {
            self.budget.hold(bytes)?;
            self.due.insert(rank, Found { path, left_at });
        }
        Ok(())
    }

    /// Finds the paths that leave the last one that was given.
    fn leave_last(&mut self) -> Result<()> {
        let Some(last) = self.given.last().cloned() else { return Ok(()) };
        let (nodes, edges) = (last.path.nodes(), last.path.edges());
        let so_far = self.weights_along(&last.path)?;
        for at in last.left_at..edges.len() {
            self.budget.step(1)?;
            let root = &edges[..at];
            let as_far = self
                .given
                .iter()
                .filter(|found| found.path.edges().starts_with(root) && found.path.nodes()[..=at] == nodes[..=at]);
            let mut banned = Banned { nodes: nodes[..at].iter().copied().collect(), ..Banned::default() };
            banned.edges.extend(as_far.filter_map(|found| found.path.edges().get(at).copied()));
            // Weights are added in the order of the path, so that a path that is found twice weighs the same.
            if let Some(rest) = self.lightest(nodes[at], so_far[at], &banned)? {
                let weight = rest.weight();
                let nodes = nodes[..at].iter().chain(rest.nodes()).copied().collect();
                let edges = root.iter().chain(rest.edges()).copied().collect();
                self.keep(Path::new(nodes, edges, weight), at)?;
            }
        }
        Ok(())
    }

    /// What the way to each node of a path weighs.
    fn weights_along(&mut self, path: &Path) -> Result<Vec<f64>> {
        let mut sums = vec![0.0];
        for (from, edge) in path.nodes().iter().zip(path.edges()) {
            let steps = self.walker.edges(*from, &mut self.budget)?;
            let step = steps.iter().find(|(step, _)| step.key() == *edge);
            let weight = step.map_or(Ok(0.0), |(step, _)| self.weight.of(step))?;
            sums.push(sums.last().copied().unwrap_or(0.0) + weight);
        }
        Ok(sums)
    }

    fn advance(&mut self) -> Result<Option<Path>> {
        if std::mem::replace(&mut self.begun, true) {
            self.leave_last()?;
        } else if let Some(first) = self.lightest(self.from, 0.0, &Banned::default())? {
            self.keep(first, 0)?;
        }
        let Some((_, found)) = self.due.pop_first() else { return Ok(None) };
        let path = found.path.clone();
        self.given.push(found);
        Ok(Some(path))
    }
}

ends_with_its_error!(LightestPaths gives Path);
