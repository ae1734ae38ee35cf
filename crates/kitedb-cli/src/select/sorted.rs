//! Elements in the order of a value: all of them, or the first ones alone, which are all that is held then.

use crate::import::size_of_value;
use kitedb_core::{Error, ErrorCode, Result, Value};
use std::{cmp::Ordering, collections::BinaryHeap};

/// An element and where it stands: by its value, what has none last, and then by itself.
#[derive(Debug)]
struct Entry<T> {
    value: Option<Value>,
    descending: bool,
    element: T,
}

impl<T: Ord> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_value = match (&self.value, &other.value) {
            (Some(a), Some(b)) if self.descending => b.total_cmp(a),
            (Some(a), Some(b)) => a.total_cmp(b),
            (a, b) => a.is_none().cmp(&b.is_none()),
        };
        by_value.then_with(|| self.element.cmp(&other.element))
    }
}

impl<T: Ord> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for Entry<T> {}

/// What is put in comes out in order.
pub struct Sorted<T> {
    descending: bool,
    most: usize,
    /// The last one on top.
    entries: BinaryHeap<Entry<T>>,
    /// Whether there were more than are held.
    more: bool,
    held: usize,
    memory: usize,
}

impl<T: Ord> Sorted<T> {
    /// Holds at most `limit` elements, and `memory` bytes.
    pub fn new(descending: bool, limit: Option<u64>, memory: usize) -> Self {
        let most = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Self { descending, most, entries: BinaryHeap::new(), more: false, held: 0, memory }
    }

    pub fn put(&mut self, value: Option<Value>, element: T) -> Result<()> {
        self.held += size_of_entry::<T>(value.as_ref());
        self.entries.push(Entry { value, descending: self.descending, element });
        if self.entries.len() > self.most {
            self.more = true;
            let last = self.entries.pop().and_then(|last| last.value);
            self.held -= size_of_entry::<T>(last.as_ref());
        }
        if self.held <= self.memory {
            return Ok(());
        }
        let what = format_args!(
            "to sort takes more than the {} bytes of memory that the question may hold: ask for the first ones alone (a limit), or for less \
             (conditions), or give it more memory",
            self.memory
        );
        Err(Error::new(ErrorCode::MemoryLimit, what))
    }

    /// The elements with their values, in order, and whether there were more.
    pub fn into_order(self) -> (Vec<(Option<Value>, T)>, bool) {
        let entries = self.entries.into_sorted_vec();
        (entries.into_iter().map(|entry| (entry.value, entry.element)).collect(), self.more)
    }
}

fn size_of_entry<T>(value: Option<&Value>) -> usize {
    size_of::<Entry<T>>() + value.map_or(0, size_of_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(descending: bool, limit: Option<u64>) -> (Vec<u32>, bool) {
        let mut sorted = Sorted::new(descending, limit, 1 << 20);
        let values = [Some(3.into()), None, Some(1.into()), Some(2.5.into()), Some(3.into()), None, Some("a".into())];
        for (at, value) in values.into_iter().enumerate() {
            sorted.put(value, at as u32).unwrap();
        }
        let (order, more) = sorted.into_order();
        (order.into_iter().map(|(_, at)| at).collect(), more)
    }

    #[test]
    fn what_has_no_value_comes_last_and_equals_in_their_own_order() {
        assert_eq!(sorted(false, None), (vec![6, 2, 3, 0, 4, 1, 5], false));
        assert_eq!(sorted(true, None), (vec![0, 4, 3, 2, 6, 1, 5], false));
        for most in 1..7_u32 {
            let first = |all: (Vec<u32>, bool)| all.0.into_iter().take(most as usize).collect::<Vec<_>>();
            assert_eq!(sorted(false, Some(most.into())), (first(sorted(false, None)), true));
            assert_eq!(sorted(true, Some(most.into())), (first(sorted(true, None)), true));
        }
        assert_eq!(sorted(false, Some(7)), sorted(false, None));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut all = Sorted::new(false, None, 10_000);
        let error = (0..1_000_u32).find_map(|at| all.put(Some(Value::I64(1)), at).err()).unwrap();
        assert_eq!(error.code(), ErrorCode::MemoryLimit);
        let mut few = Sorted::new(false, Some(3), 10_000);
        for at in 0..1_000_u32 {
            few.put(Some("a text of some length".into()), at).unwrap();
        }
        assert_eq!(few.into_order().0.len(), 3);
    }
}
