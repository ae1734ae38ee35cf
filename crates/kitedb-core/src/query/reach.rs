//! Which nodes can be reached: breadth first, each node once.

use super::{
    budget::{Budget, Limits},
    steps::{Steps, Walker},
    table::NodeTable,
};
use crate::{
    db::{Graph, GraphRead},
    error::Result,
    graph::NodeId,
};

/// A node that can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reached {
    /// The node.
    pub node: NodeId,
    /// How many steps it is away: 0 for a start.
    pub depth: u32,
}

/// The nodes that can be reached from some, nearest first, the starts among them: each once, found as it is asked for. After an
/// error it ends.
///
/// Breadth-first search (E. F. Moore, "The shortest path through a maze", 1959). It holds 1 byte for each node around those that it met
/// (in pages of 512 ids), and those that it has yet to go on from.
#[derive(Debug)]
pub struct Reach<'a, 'f> {
    walker: Walker<'a, 'f>,
    budget: Budget,
    met: NodeTable<bool>,
    /// Nodes that were met at `depth`, those before `at` being gone on from; then those beyond.
    now: Vec<NodeId>,
    at: usize,
    next: Vec<NodeId>,
    depth: u32,
    most: u32,
    /// What was met and not given yet.
    given: usize,
    around: Vec<NodeId>,
    failed: bool,
}

impl<'a, 'f> Reach<'a, 'f> {
    /// From those nodes on, along these steps.
    ///
    /// # Errors
    /// [`ErrorCode::NodeNotFound`](crate::ErrorCode::NodeNotFound): a start does not exist; those of [`Limits`].
    pub fn from(
        graph: &'a (impl Graph + ?Sized),
        starts: impl IntoIterator<Item = NodeId>,
        steps: &Steps<'f>,
        limits: &Limits,
    ) -> Result<Self> {
        let (walker, mut budget) = (steps.within(graph.as_graph()), Budget::of(limits)?);
        let (mut met, mut now) = (NodeTable::default(), Vec::new());
        for start in starts {
            walker.require(start)?;
            if !std::mem::replace(met.entry(start, &mut budget)?, true) {
                budget.hold(size_of::<NodeId>())?;
                now.push(start);
            }
        }
        let (next, around) = (Vec::new(), Vec::new());
        Ok(Self { walker, budget, met, now, at: 0, next, depth: 0, most: u32::MAX, given: 0, around, failed: false })
    }

    /// At most so many steps.
    #[must_use]
    pub fn depth(self, most: u32) -> Self {
        Self { most, ..self }
    }

    /// Goes on from the next node. Returns whether there was one.
    fn go_on(&mut self) -> Result<bool> {
        let Some(&from) = self.now.get(self.at) else { return Ok(false) };
        self.at += 1;
        self.around.clear();
        self.walker.neighbors(from, &mut self.around, &mut self.budget)?;
        for &other in &self.around {
            let met = self.met.entry(other, &mut self.budget)?;
            if *met || !self.walker.passes(other)? {
                continue;
            }
            *met = true;
            self.budget.hold(size_of::<NodeId>())?;
            self.next.push(other);
        }
        Ok(true)
    }

    /// The next node that was not given yet.
    fn advance(&mut self) -> Result<Option<Reached>> {
        loop {
            if let Some(&node) = self.now.get(self.given) {
                self.given += 1;
                return Ok(Some(Reached { node, depth: self.depth }));
            }
            if self.depth >= self.most {
                return Ok(None);
            }
            while self.go_on()? {}
            self.budget.let_go(self.now.len() * size_of::<NodeId>());
            self.now = std::mem::take(&mut self.next);
            (self.at, self.given) = (0, 0);
            self.depth += 1;
            if self.now.is_empty() {
                self.most = self.depth;
                return Ok(None);
            }
        }
    }
}

ends_with_its_error!(Reach gives Reached);
