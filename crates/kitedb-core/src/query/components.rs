//! Which nodes hang together.

use super::{
    budget::{Budget, Limits},
    projection::{Projection, in_threads},
};
use crate::{error::Result, graph::NodeId};
use std::sync::atomic::{AtomicU32, Ordering};

/// Nodes that a thread looks at, at least.
const PIECE: usize = 1 << 14;
/// No number yet.
const NONE: u32 = u32::MAX;

/// Which component each node is in. Components are numbered from 0 on, by their least node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Components {
    ids: Vec<NodeId>,
    numbers: Vec<u32>,
    sizes: Vec<usize>,
}

impl Components {
    /// `roots`: for each node the place of any one that stands for its component.
    fn of(ids: &[NodeId], roots: impl Fn(usize) -> usize) -> Self {
        let mut number_of = vec![NONE; ids.len()];
        let (mut numbers, mut sizes) = (Vec::with_capacity(ids.len()), Vec::new());
        for at in 0..ids.len() {
            let number = &mut number_of[roots(at)];
            if *number == NONE {
                *number = sizes.len() as u32;
                sizes.push(0);
            }
            sizes[*number as usize] += 1;
            numbers.push(*number);
        }
        Self { ids: ids.to_vec(), numbers, sizes }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sizes.len()
    }

    /// How many nodes each has, by its number.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The number of the one that a node is in; `None` if the projection does not have that node.
    pub fn component_of(&self, node: NodeId) -> Option<u32> {
        self.ids.binary_search(&node).ok().map(|at| self.numbers[at])
    }

    /// Every node with the number of its component, ascending by node.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (NodeId, u32)> + '_ {
        self.ids.iter().copied().zip(self.numbers.iter().copied())
    }
}

impl Projection {
    /// Which nodes hang together, whichever way steps lead: the weakly connected components.
    ///
    /// Union-find in several threads, by compare-and-swap (R. J. Anderson, H. Woll, "Wait-free Parallel Algorithms for the Union-Find
    /// Problem", 1991).
    ///
    /// # Errors
    /// Those of [`Limits`].
    pub fn weak_components(&self, limits: &Limits) -> Result<Components> {
        let count = self.node_count();
        let mut budget = Budget::of(limits)?;
        budget.hold(count * (size_of::<NodeId>() + 3 * size_of::<u32>()))?;
        let parents: Vec<AtomicU32> = (0..count as u32).map(AtomicU32::new).collect();
        in_threads(count, limits.thread_count(), PIECE, |nodes| {
            let mut budget = budget.share();
            for at in nodes {
                budget.step(self.row(at).len() + 1)?;
                for &other in self.row(at) {
                    join(&parents, at as u32, other);
                }
            }
            Ok(())
        })?;
        Ok(Components::of(self.nodes(), |at| root(&parents, at as u32) as usize))
    }

    /// Which nodes lead to each other: the strongly connected components.
    ///
    /// Tarjan's algorithm (R. Tarjan, "Depth-First Search and Linear Graph Algorithms", 1972), without recursion.
    ///
    /// # Errors
    /// Those of [`Limits`].
    pub fn strong_components(&self, limits: &Limits) -> Result<Components> {
        let count = self.node_count();
        let mut budget = Budget::of(limits)?;
        budget.hold(count * (size_of::<NodeId>() + size_of::<[u32; 8]>()))?;
        // In which order nodes were met, and the earliest that is known to be reached; which ones are in no component yet.
        let (mut order, mut low, mut roots) = (vec![NONE; count], vec![0; count], vec![NONE; count]);
        let (mut met, mut open, mut path): (u32, Vec<u32>, Vec<(u32, usize)>) = (0, Vec::new(), Vec::new());
        for start in 0..count as u32 {
            if order[start as usize] != NONE {
                continue;
            }
            path.push((start, 0));
            while let Some((node, next)) = path.last_mut() {
                let (at, row) = (*node as usize, self.row(*node as usize));
                if *next == 0 && order[at] == NONE {
                    budget.step(row.len() + 1)?;
                    (order[at], low[at]) = (met, met);
                    met += 1;
                    open.push(*node);
                }
                if let Some(&other) = row.get(*next) {
                    *next += 1;
                    let other_at = other as usize;
                    if order[other_at] == NONE {
                        path.push((other, 0));
                    } else if roots[other_at] == NONE {
                        low[at] = low[at].min(order[other_at]);
                    }
                    continue;
                }
                let node = *node;
                path.pop();
                if let Some((before, _)) = path.last() {
                    low[*before as usize] = low[*before as usize].min(low[at]);
                }
                if low[at] == order[at] {
                    while let Some(member) = open.pop() {
                        roots[member as usize] = node;
                        if member == node {
                            break;
                        }
                    }
                }
            }
        }
        Ok(Components::of(self.nodes(), |at| roots[at] as usize))
    }
}

/// What stands for the component of a node: the least of it, as far as it is known.
fn root(parents: &[AtomicU32], mut node: u32) -> u32 {
    loop {
        let parent = parents[node as usize].load(Ordering::Relaxed);
        if parent == node {
            return node;
        }
        let above = parents[parent as usize].load(Ordering::Relaxed);
        if above != parent {
            // The way is made shorter for who comes next; where somebody was quicker, it is shorter already.
            let _ = parents[node as usize].compare_exchange(parent, above, Ordering::Relaxed, Ordering::Relaxed);
        }
        node = above;
    }
}

/// Two nodes are of one component. A root only ever gets a lesser one above it, so that there is no circle.
fn join(parents: &[AtomicU32], one: u32, other: u32) {
    let (mut one, mut other) = (one, other);
    loop {
        (one, other) = (root(parents, one), root(parents, other));
        if one == other {
            return;
        }
        let (least, greatest) = (one.min(other), one.max(other));
        let put = parents[greatest as usize].compare_exchange(greatest, least, Ordering::Relaxed, Ordering::Relaxed);
        if put.is_ok() {
            return;
        }
    }
}
