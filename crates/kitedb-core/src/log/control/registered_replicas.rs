//! Which replicas are registered with the log (word 9), so that a registry that is gone from the log's folder is missed.
//! Zeros: that was never noted, because no registry was whole yet. 2: it is being changed.

use super::{Control, layout::ROLL};
use crate::error::Result;
use std::num::NonZeroU64;
use xxhash_rust::xxh3::xxh3_64;

/// Which replicas are registered: a sum over their ids, in whatever order. With nobody it is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roll(NonZeroU64);

impl Roll {
    /// Of these ids.
    pub fn of<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        ids.into_iter().fold(Self(NonZeroU64::MIN), Self::with)
    }

    /// That of replicas which nobody knows any more: no set of ids has it.
    pub fn lost() -> Self {
        Self(NonZeroU64::MAX)
    }

    /// How it is noted.
    pub(super) fn word(roll: Option<Self>) -> u64 {
        roll.map_or(0, |roll| roll.0.get())
    }

    fn with(self, id: &str) -> Self {
        Self(NonZeroU64::MIN | self.0.get().wrapping_add(term(id)))
    }
}

/// Even, so that a sum is odd and never zero.
fn term(id: &str) -> u64 {
    xxh3_64(id.as_bytes()) & !1
}

/// The word while it is being changed. Every roll is odd.
const CHANGING: u64 = 2;

impl Control {
    /// The replicas that are registered with this log; `None`: that is not noted, or is being changed.
    pub fn roll(&self) -> Option<Roll> {
        self.look_again();
        NonZeroU64::new(self.load(ROLL)).filter(|word| word.get() != CHANGING).map(Roll)
    }

    /// Whether that was noted ever, also if it is being changed.
    pub fn had_a_roll(&self) -> bool {
        self.look_again();
        self.load(ROLL) != 0
    }

    /// Notes which replicas are registered, or for `None` that they are being changed, durably.
    pub fn set_roll(&self, roll: Option<Roll>) -> Result<()> {
        self.require_mapped()?;
        self.store(ROLL, roll.map_or(CHANGING, |roll| roll.0.get()))?;
        self.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roll_is_that_of_its_ids_in_any_order() {
        let both = Roll::of(["a", "b"]);
        assert_eq!(both, Roll::of(["b", "a"]));
        for other in [Roll::of([]), Roll::of(["a"]), Roll::of(["a", "c"]), Roll::of(["a", "b", "c"])] {
            assert_ne!(both, other);
        }
    }
}
