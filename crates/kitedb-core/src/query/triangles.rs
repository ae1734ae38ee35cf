//! Three nodes that are all joined.

use super::{
    budget::{Budget, Limits},
    projection::{Projection, in_threads},
};
use crate::error::Result;

/// Nodes that a thread looks at, at least.
const PIECE: usize = 1 << 12;

impl Projection {
    /// How many sets of three nodes are joined by steps, whichever way these lead: parallel edges and loops count for nothing.
    ///
    /// Each set is found at the one of its nodes that has the fewest neighbours, so that a hub is looked at from the others (N. Chiba, T.
    /// Nishizeki, "Arboricity and Subgraph Listing Algorithms", 1985).
    ///
    /// # Errors
    /// Those of [`Limits`].
    pub fn triangles(&self, limits: &Limits) -> Result<u64> {
        let count = self.node_count();
        let mut budget = Budget::of(limits)?;
        let back = self.reversed(&mut budget)?;
        budget.hold(2 * (self.step_count() * size_of::<u32>() + count * size_of::<Vec<u32>>()))?;
        // Each node's neighbours, each once.
        let mut all: Vec<Vec<u32>> = Vec::with_capacity(count);
        for at in 0..count {
            budget.step(self.row(at).len() + back.row(at).len() + 1)?;
            let mut around: Vec<u32> = self.row(at).iter().chain(back.row(at)).copied().collect();
            around.sort_unstable();
            around.dedup();
            around.retain(|other| *other as usize != at);
            all.push(around);
        }
        drop(back);
        // Only those of more neighbours are kept, so that each edge stands at one of its ends.
        let rank = |at: u32, degrees: &[usize]| (degrees[at as usize], at);
        let degrees: Vec<usize> = all.iter().map(Vec::len).collect();
        for (at, around) in all.iter_mut().enumerate() {
            around.retain(|other| rank(*other, &degrees) > rank(at as u32, &degrees));
        }
        let found = in_threads(count, limits.thread_count(), PIECE, |nodes| {
            let (mut budget, mut found) = (budget.share(), 0);
            for at in nodes {
                for &other in &all[at] {
                    let (one, two) = (&all[at], &all[other as usize]);
                    budget.step(one.len() + two.len())?;
                    found += in_both(one, two);
                }
            }
            Ok(found)
        })?;
        Ok(found.into_iter().sum())
    }
}

/// How many numbers are in both of two ascending lists.
fn in_both(one: &[u32], other: &[u32]) -> u64 {
    let (mut one, mut other, mut found) = (one, other, 0);
    while let ([a, rest @ ..], [b, others @ ..]) = (one, other) {
        match a.cmp(b) {
            std::cmp::Ordering::Less => one = rest,
            std::cmp::Ordering::Greater => other = others,
            std::cmp::Ordering::Equal => {
                found += 1;
                (one, other) = (rest, others);
            }
        }
    }
    found
}
