//! How many edges of each type there are, and how many nodes with each label: as of any commit of a delta.

use crate::state::versions::{Arena, Head};
use std::sync::atomic::AtomicU64;

#[derive(Debug, Default)]
struct Counter {
    start: u64,
    head: AtomicU64,
}

/// Counts by id.
#[derive(Debug)]
pub struct Counts {
    counters: boxcar::Vec<Counter>,
    versions: Arena<u64>,
}

impl Counts {
    /// Those below the delta, by id.
    pub fn new(starts: &[u64]) -> Self {
        let counter = |&start: &u64| Counter { start, head: AtomicU64::new(0) };
        Self { counters: starts.iter().map(counter).collect(), versions: Arena::new() }
    }

    /// The count of `id` as of `at`.
    pub fn at(&self, id: u32, at: u64) -> u64 {
        let count = |c: &Counter| Head(&c.head).at(&self.versions, at).copied().unwrap_or(c.start);
        self.counters.get(id as usize).map_or(0, count)
    }

    /// All counts as of `at`, by id.
    pub fn all(&self, at: u64) -> Vec<u64> {
        (0..self.counters.count() as u32).map(|id| self.at(id, at)).collect()
    }

    /// Changes the count of `id`. Only under the commit lock.
    pub fn add(&self, id: u32, version: u64, change: i64) {
        while self.counters.count() <= id as usize {
            self.counters.push(Counter::default());
        }
        let now = self.at(id, u64::MAX).wrapping_add_signed(change);
        Head(&self.counters[id as usize].head).push(&self.versions, version, now);
    }
}
