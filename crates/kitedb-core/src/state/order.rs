//! What an append-only structure holds, in order: sorted when someone asks for it, and brought up to date at the cost of
//! what is new when someone asks again.
//!
//! Items lie in sorted chunks, each at least twice as long as the next, so that an item is moved a logarithmic number of
//! times and a reader merges few chunks. A chunk never changes, so a reader goes on in those that it has.

use std::sync::Arc;

/// Up to so many items are looked at one by one for each reader, before an order of them is kept.
pub const FEW: usize = 256;

/// See the [module documentation](self). An item that is added again is there once in what a reader merges at most per
/// chunk: who merges passes over it.
#[derive(Debug, Clone)]
pub struct Order<T> {
    chunks: Vec<Arc<Vec<T>>>,
    through: u32,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), through: 0 }
    }
}

impl<T: Ord + Copy> Order<T> {
    /// How far the structure was read: a number whose meaning is the caller's.
    pub fn through(&self) -> u32 {
        self.through
    }

    /// Adds what the structure holds beyond [`Order::through`], and notes how far that goes.
    pub fn extend(&mut self, mut more: Vec<T>, through: u32) {
        self.through = through;
        more.sort_unstable();
        more.dedup();
        if more.is_empty() {
            return;
        }
        while let Some(last) = self.chunks.pop_if(|last| last.len() < 2 * more.len()) {
            // The standard sort finds both sorted parts and merges them.
            more.extend_from_slice(&last);
            more.sort();
            more.dedup();
        }
        self.chunks.push(Arc::new(more));
    }

    /// Every item that is not less than `from`, as few sorted sequences.
    pub fn from(&self, from: T) -> Vec<Sorted<T>> {
        self.chunks
            .iter()
            .map(|chunk| Sorted::new(chunk.clone(), from))
            .filter(|items| items.peek().is_some())
            .collect()
    }

    /// The bytes of memory that it takes.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| (chunk.capacity() * size_of::<T>()) as u64).sum()
    }
}

/// Items, ascending.
#[derive(Debug, Clone)]
pub struct Sorted<T> {
    items: Arc<Vec<T>>,
    at: usize,
}

impl<T: Ord + Copy> Sorted<T> {
    fn new(items: Arc<Vec<T>>, from: T) -> Self {
        let at = items.partition_point(|item| *item < from);
        Self { items, at }
    }

    /// The items, in any order, that are not less than `from`.
    pub fn of(mut items: Vec<T>, from: T) -> Self {
        items.retain(|item| *item >= from);
        items.sort_unstable();
        items.dedup();
        Self { items: Arc::new(items), at: 0 }
    }

    fn peek(&self) -> Option<T> {
        self.items.get(self.at).copied()
    }
}

impl<T: Copy> Iterator for Sorted<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let item = self.items.get(self.at).copied()?;
        self.at += 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Against a set, whatever is added in whatever pieces.
        #[test]
        fn an_order_holds_what_a_set_holds(pieces in prop::collection::vec(prop::collection::vec(0u64..500, 0..60), 0..60), from in 0u64..500) {
            let (mut order, mut set) = (Order::default(), BTreeSet::new());
            for (nth, piece) in pieces.into_iter().enumerate() {
                set.extend(piece.iter().copied());
                order.extend(piece, nth as u32 + 1);
                prop_assert_eq!(order.through(), nth as u32 + 1);
                prop_assert!(order.chunks.windows(2).all(|pair| pair[0].len() >= 2 * pair[1].len()));
                let sequences = order.from(from);
                prop_assert!(sequences.iter().all(|items| items.clone().is_sorted()));
                let found: BTreeSet<u64> = sequences.into_iter().flatten().collect();
                prop_assert_eq!(found, set.range(from..).copied().collect::<BTreeSet<u64>>());
            }
        }
    }

    /// One item at a time is the dearest way: each is still moved a logarithmic number of times.
    #[test]
    fn few_items_at_a_time_cost_little() {
        let (mut order, mut moved) = (Order::default(), 0);
        for item in 0..10_000u64 {
            order.extend(vec![item], item as u32);
            moved += order.chunks.last().unwrap().len();
        }
        assert!(moved < 10_000 * 15, "{moved} moves");
        assert!(order.chunks.len() < 15);
    }
}
