//! A vector whose items are found by hash once there are many, and by looking at each while there are few: most
//! transactions touch a handful of things, and for those an index costs more than it saves.

use hashbrown::HashTable;

/// Up to so many items are looked through.
const FEW: usize = 8;

/// What has a hash of what it is found by.
pub trait Hashed {
    /// The hash.
    fn hash(&self) -> u64;
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Indexed<T> {
    items: Vec<T>,
    index: HashTable<u32>,
}

impl<T> Default for Indexed<T> {
    fn default() -> Self {
        Self { items: Vec::new(), index: HashTable::new() }
    }
}

impl<T: Hashed> Indexed<T> {
    /// Where the item with `hash` is for which `is` says yes.
    #[inline]
    pub fn find(&self, hash: u64, is: impl Fn(&T) -> bool) -> Option<usize> {
        if self.items.len() <= FEW {
            return self.items.iter().position(is);
        }
        self.index.find(hash, |&at| is(&self.items[at as usize])).map(|&at| at as usize)
    }

    /// Adds an item that is not there yet, and returns where it is.
    pub fn push(&mut self, item: T) -> usize {
        let at = self.items.len();
        self.items.push(item);
        if at >= FEW {
            let Self { items, index } = self;
            let from = if at == FEW { 0 } else { at };
            for new in from..=at {
                index.insert_unique(items[new].hash(), new as u32, |&at| items[at as usize].hash());
            }
        }
        at
    }

    /// Takes the last items off, down to `len` of them.
    pub fn truncate(&mut self, len: usize) {
        if self.items.len() > FEW {
            let Self { items, index } = self;
            for (at, item) in items.iter().enumerate().skip(if len <= FEW { 0 } else { len }) {
                if let Ok(entry) = index.find_entry(item.hash(), |&found| found as usize == at) {
                    entry.remove();
                }
            }
        }
        self.items.truncate(len);
    }

    /// Keeps the items for which `keep` says yes, in their order.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.items.retain(keep);
        let Self { items, index } = self;
        index.clear();
        if items.len() > FEW {
            for (at, item) in items.iter().enumerate() {
                index.insert_unique(item.hash(), at as u32, |&at| items[at as usize].hash());
            }
        }
    }

    /// Makes room for so many more.
    pub fn reserve(&mut self, more: usize) {
        self.items.reserve(more);
        if self.items.len() + more > FEW {
            let Self { items, index } = self;
            index.reserve(more, |&at| items[at as usize].hash());
        }
    }

    /// Every item, in the order in which they were added.
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// The item at `at`, to be changed in what it is not found by.
    pub fn item_mut(&mut self, at: usize) -> &mut T {
        &mut self.items[at]
    }

    /// The items.
    pub fn into_items(self) -> Vec<T> {
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Hashed for u64 {
        fn hash(&self) -> u64 {
            self.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        }
    }

    #[test]
    fn few_and_many_items_are_found_alike() {
        let mut indexed = Indexed::default();
        for n in 0..100u64 {
            assert_eq!(indexed.find(n.hash(), |i| *i == n), None);
            assert_eq!(indexed.push(n), n as usize);
            for m in 0..=n {
                assert_eq!(indexed.find(m.hash(), |i| *i == m), Some(m as usize));
            }
        }
    }

    #[test]
    fn what_is_taken_off_is_not_found_and_the_rest_is() {
        for (from, to) in [(6, 3), (30, 20), (30, 8), (30, 7), (9, 8), (30, 0)] {
            let mut indexed = Indexed::default();
            for n in 0..from {
                indexed.push(n);
            }
            indexed.truncate(to as usize);
            let even = |n: &u64| n.is_multiple_of(2);
            for round in 0..3 {
                for n in 0..40 {
                    let there = n < to && (round < 2 || even(&n));
                    assert_eq!(indexed.find(n.hash(), |i| *i == n).is_some(), there, "{n} of {to}, round {round}");
                }
                match round {
                    0 => {
                        assert!((to..40).all(|n| indexed.push(n) == n as usize));
                        assert!((0..40).all(|n| indexed.find(n.hash(), |i| *i == n) == Some(n as usize)));
                        indexed.truncate(to as usize);
                    }
                    _ => indexed.retain(even),
                }
            }
        }
    }
}
