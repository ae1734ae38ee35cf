//! What a control file remembers beside its log, so that what is gone from the log's folder is missed: which replicas are
//! registered (word 9), and which log has a segment (words 10 and 11). Zeros: not said.

use super::Control;
use crate::error::Result;
use std::num::NonZeroU64;
use xxhash_rust::xxh3::xxh3_64;

pub(super) const ROLL: usize = 9;
pub(super) const BEGUN: usize = 10;

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

impl Control {
    /// The replicas that are registered with this log; `None`: that is not noted, or is being changed.
    pub fn roll(&self) -> Option<Roll> {
        self.look_again();
        NonZeroU64::new(self.load(ROLL)).map(Roll)
    }

    /// Notes which replicas are registered, or for `None` that they are being changed, durably.
    pub fn set_roll(&self, roll: Option<Roll>) -> Result<()> {
        self.require_mapped()?;
        self.store(ROLL, Roll::word(roll))?;
        self.sync()
    }

    /// Whether the log of that id is known to have a segment: its newest one is never let go of.
    pub fn has_begun(&self, log_id: [u8; 16]) -> bool {
        log_id != [0; 16] && self.load_id(BEGUN) == log_id
    }

    /// Whether the log of that id is known to have none: another one had, which came before it.
    pub fn has_not_begun(&self, log_id: [u8; 16]) -> bool {
        let begun = self.load_id(BEGUN);
        begun != [0; 16] && begun != log_id
    }

    /// Notes that the log of that id has a segment.
    pub fn set_begun(&self, log_id: [u8; 16]) -> Result<()> {
        if self.load_id(BEGUN) == log_id { Ok(()) } else { self.store_id(BEGUN, log_id) }
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
