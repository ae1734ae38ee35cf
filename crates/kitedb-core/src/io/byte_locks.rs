//! Byte locks of one file that is not the system's, with the rules of open file description locks.

use std::ops::Range;

use crate::io::LockKind;

#[derive(Debug, Default)]
pub(super) struct Locks(Vec<Lock>);

#[derive(Debug)]
struct Lock {
    holder: u64,
    range: Range<u64>,
    kind: LockKind,
}

impl Locks {
    /// Takes the lock for an open file, in place of what it held of the range; `false` if another excludes it.
    pub(super) fn try_lock(&mut self, holder: u64, range: Range<u64>, kind: LockKind) -> bool {
        let excluded = self.0.iter().any(|lock| {
            lock.holder != holder
                && lock.range.start < range.end
                && range.start < lock.range.end
                && (kind == LockKind::Exclusive || lock.kind == LockKind::Exclusive)
        });
        if !excluded {
            self.unlock(holder, range.clone());
            self.0.push(Lock { holder, range, kind });
        }
        !excluded
    }

    /// Releases what an open file holds of the range; of a lock that reaches beyond it, the rest stays.
    pub(super) fn unlock(&mut self, holder: u64, range: Range<u64>) {
        let held = std::mem::take(&mut self.0);
        for Lock { holder: owner, range: held, kind } in held {
            let rest = if owner == holder {
                [held.start..held.end.min(range.start), held.start.max(range.end)..held.end]
            } else {
                [held, 0..0]
            };
            self.0.extend(rest.into_iter().filter(|r| !r.is_empty()).map(|range| Lock { holder: owner, range, kind }));
        }
    }

    /// Releases all that an open file holds.
    pub(super) fn release(&mut self, holder: u64) {
        self.0.retain(|lock| lock.holder != holder);
    }
}

#[cfg(test)]
mod tests {
    use super::{LockKind::*, *};

    #[test]
    fn an_unlocked_middle_leaves_both_ends_locked() {
        let mut locks = Locks::default();
        assert!(locks.try_lock(1, 0..10, Exclusive));
        locks.unlock(1, 4..6);
        assert!(locks.try_lock(2, 4..6, Exclusive));
        assert!(!locks.try_lock(2, 3..4, Shared));
        assert!(!locks.try_lock(2, 6..7, Shared));
        locks.release(1);
        assert!(locks.try_lock(2, 0..10, Exclusive));
    }

    #[test]
    fn shared_locks_stand_together_and_are_upgraded_alone() {
        let mut locks = Locks::default();
        assert!(locks.try_lock(1, 0..1, Shared) && locks.try_lock(2, 0..1, Shared));
        assert!(!locks.try_lock(1, 0..1, Exclusive));
        locks.unlock(2, 0..1);
        assert!(locks.try_lock(1, 0..1, Exclusive));
        assert!(locks.try_lock(1, 0..1, Shared) && locks.try_lock(2, 0..1, Shared));
    }
}
