//! Which nodes many steps lead to, from nodes that many lead to.

use super::{
    budget::{Budget, Limits},
    projection::{Projection, in_threads},
};
use crate::{
    error::{Error, Result},
    graph::NodeId,
};

/// Nodes that a thread ranks, at least.
const PIECE: usize = 1 << 14;

/// The rank of each node; all of them together are 1.
#[derive(Debug, Clone, PartialEq)]
pub struct PageRank {
    ids: Vec<NodeId>,
    ranks: Vec<f64>,
    rounds: usize,
    change: f64,
}

impl PageRank {
    /// Every node with its rank, ascending by node.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (NodeId, f64)> + '_ {
        self.ids.iter().copied().zip(self.ranks.iter().copied())
    }

    /// The rank of a node; `None` if the projection does not have it.
    pub fn rank_of(&self, node: NodeId) -> Option<f64> {
        self.ids.binary_search(&node).ok().map(|at| self.ranks[at])
    }

    /// How many rounds it took.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// By how much all ranks together changed in the last round: more than was asked for if that was the last one that was allowed.
    pub fn change(&self) -> f64 {
        self.change
    }
}

impl Projection {
    /// PageRank (S. Brin, L. Page, 1998): `damping` is the chance that one goes on by a step (0.85 is usual), and not to any node; from
    /// a node without a step one goes to any. It ends after `most` rounds, or once all ranks together change by no more than `tolerance`
    /// times the number of nodes, as networkx has it (100 and 1e-6 there). Each of parallel edges is a step.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument): `damping` is not from 0 to 1, or `tolerance` is negative;
    /// those of [`Limits`].
    pub fn page_rank(&self, damping: f64, most: usize, tolerance: f64, limits: &Limits) -> Result<PageRank> {
        if !(0.0..=1.0).contains(&damping) {
            return Err(Error::invalid(format_args!("the damping is {damping}: give a number from 0 to 1")));
        }
        if tolerance.is_nan() || tolerance < 0.0 {
            return Err(Error::invalid(format_args!("the tolerance is {tolerance}: give one that is not negative")));
        }
        let count = self.node_count();
        let mut budget = Budget::of(limits)?;
        budget.hold(count * (size_of::<NodeId>() + 3 * size_of::<f64>()))?;
        let sources = self.reversed(&mut budget)?;
        let all = count as f64;
        let (mut ranks, mut rounds, mut change) = (vec![1.0 / all; count], 0, 0.0);
        let mut given = vec![0.0; count];
        while rounds < most && count > 0 {
            // What each node gives along each of its steps, and what those without one give to all.
            let mut loose = 0.0;
            for at in 0..count {
                match self.row(at).len() {
                    0 => loose += ranks[at],
                    degree => given[at] = ranks[at] / degree as f64,
                }
            }
            budget.step(count)?;
            let base = (1.0 - damping + damping * loose) / all;
            let next = in_threads(count, limits.thread_count(), PIECE, |nodes| {
                let mut budget = budget.share();
                let mut next = Vec::with_capacity(nodes.len());
                let mut change = 0.0;
                for at in nodes {
                    let row = sources.row(at);
                    budget.step(row.len() + 1)?;
                    let sum: f64 = row.iter().map(|source| given[*source as usize]).sum();
                    let rank = base + damping * sum;
                    change += f64::abs(rank - ranks[at]);
                    next.push(rank);
                }
                Ok((next, change))
            })?;
            change = next.iter().map(|(_, change)| change).sum();
            ranks = next.into_iter().flat_map(|(next, _)| next).collect();
            rounds += 1;
            if change <= tolerance * all {
                break;
            }
        }
        Ok(PageRank { ids: self.nodes().to_vec(), ranks, rounds, change })
    }
}
