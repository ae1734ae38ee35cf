//! Who holds which state: every open view and transaction, by the log index that it shows. Taking and giving back
//! a place waits for nobody and touches a cache line of the thread's own; looking at all of them is for whoever
//! asks how things are.

use crate::graph::LogIndex;
use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The fewest places that are added at once.
const MORE: usize = 15;

thread_local! {
    /// Where this thread last took or gave back a place: the first one that it tries.
    static HINT: Cell<usize> = const { Cell::new(0) };
}

/// Who holds a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderKind {
    /// A view.
    View = 1,
    /// A transaction.
    Transaction = 2,
}

/// One place: 0 = free, else the log index times 4 plus the [`ReaderKind`]. A cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct SlotWord(AtomicU64);

/// See the [module documentation](self). There are as many places as were ever taken at once, or a few more.
#[derive(Debug, Default)]
pub struct ReaderTable {
    places: boxcar::Vec<SlotWord>,
}

/// All that is held at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readers {
    /// Open views.
    pub views: u64,
    /// Open transactions.
    pub transactions: u64,
    /// The lowest log index that one of them shows.
    pub oldest: Option<LogIndex>,
}

impl ReaderTable {
    /// Notes that the state as of `index` is held, until the result is dropped.
    #[inline]
    pub fn hold(self: &Arc<Self>, index: LogIndex, holder: ReaderKind) -> ReaderSlot {
        let word = index.0 << 2 | holder as u64;
        let mut at = HINT.get();
        let count = self.places.count();
        for _ in 0..count {
            at = if at < count { at } else { 0 };
            if self.places.get(at).is_some_and(|place| place.take(word)) {
                HINT.set(at);
                return ReaderSlot { held: self.clone(), place: at };
            }
            at += 1;
        }
        self.hold_in_more(word, count)
    }

    /// All places are taken: adds as many again, so that looking for one stays cheap on the whole.
    #[cold]
    fn hold_in_more(self: &Arc<Self>, word: u64, count: usize) -> ReaderSlot {
        let place = self.places.push(SlotWord(AtomicU64::new(word)));
        for _ in 0..count.max(MORE) {
            self.places.push(SlotWord::default());
        }
        HINT.set(place);
        ReaderSlot { held: self.clone(), place }
    }

    /// Looks at all places. What is taken or given back meanwhile may or may not count.
    pub fn summary(&self) -> Readers {
        let mut summary = Readers::default();
        for (_, place) in &self.places {
            let word = place.0.load(Ordering::Acquire);
            if word == 0 {
                continue;
            }
            let of = if word & 3 == ReaderKind::View as u64 { &mut summary.views } else { &mut summary.transactions };
            *of += 1;
            let index = LogIndex(word >> 2);
            summary.oldest = Some(summary.oldest.map_or(index, |oldest| oldest.min(index)));
        }
        summary
    }
}

impl SlotWord {
    #[inline]
    fn take(&self, word: u64) -> bool {
        self.0.load(Ordering::Relaxed) == 0
            && self.0.compare_exchange(0, word, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// A place that is taken.
#[derive(Debug)]
pub struct ReaderSlot {
    held: Arc<ReaderTable>,
    place: usize,
}

impl Clone for ReaderSlot {
    fn clone(&self) -> Self {
        let word = self.held.places.get(self.place).map_or(0, |place| place.0.load(Ordering::Relaxed));
        let holder = if word & 3 == ReaderKind::View as u64 { ReaderKind::View } else { ReaderKind::Transaction };
        self.held.hold(LogIndex(word >> 2), holder)
    }
}

impl Drop for ReaderSlot {
    #[inline]
    fn drop(&mut self) {
        if let Some(place) = self.held.places.get(self.place) {
            place.0.store(0, Ordering::Release);
        }
        HINT.set(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a list of what is held: counts and the oldest index, and places are used again.
        #[test]
        fn summary_is_what_a_list_says(steps in prop::collection::vec((0u8..5, 0u64..50, 0usize..40), 0..300)) {
            let held = Arc::new(ReaderTable::default());
            let mut model: Vec<(u64, ReaderKind, ReaderSlot)> = Vec::new();
            let mut most = 0;
            for (step, index, nth) in steps {
                match step {
                    0 | 1 => {
                        let holder = if step == 0 { ReaderKind::View } else { ReaderKind::Transaction };
                        model.push((index, holder, held.hold(LogIndex(index), holder)));
                    }
                    2 if !model.is_empty() => {
                        let (index, holder, hold) = &model[nth % model.len()];
                        model.push((*index, *holder, hold.clone()));
                    }
                    _ if !model.is_empty() => drop(model.swap_remove(nth % model.len())),
                    _ => {}
                }
                most = most.max(model.len());
                let count = |which| model.iter().filter(|(_, holder, _)| *holder == which).count() as u64;
                prop_assert_eq!(held.summary(), Readers {
                    views: count(ReaderKind::View),
                    transactions: count(ReaderKind::Transaction),
                    oldest: model.iter().map(|(index, ..)| LogIndex(*index)).min(),
                });
                prop_assert!(held.places.count() <= 2 * most + MORE + 1);
            }
        }
    }

    /// Every thread finds its own place, also where places are given back by other threads.
    #[test]
    fn threads_never_share_a_place() {
        let held = Arc::new(ReaderTable::default());
        let (send, receive) = std::sync::mpsc::channel::<ReaderSlot>();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (held, send) = (&held, send.clone());
                scope.spawn(move || {
                    for round in 0..2000 {
                        let holds =
                            [0, 1, 2].map(|n| held.hold(LogIndex(thread * 10_000 + round + n), ReaderKind::View));
                        for (n, hold) in holds.iter().enumerate() {
                            let word = held.places.get(hold.place).unwrap().0.load(Ordering::Acquire);
                            assert_eq!(word >> 2, thread * 10_000 + round + n as u64);
                        }
                        let [first, ..] = holds;
                        let _ = send.send(first);
                    }
                });
            }
            drop(send);
            scope.spawn(move || receive.into_iter().for_each(drop));
        });
        assert_eq!(held.summary(), Readers::default());
    }
}
