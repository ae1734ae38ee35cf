//! Which commits are measured.

use super::{engine::Engine, options::SyncMode};
use crate::graph::LogIndex;

/// Where nothing waits for the disk a commit takes one or two µs, and reading the clock twice would be several
/// percent of that: only one of so many is measured.
const ONE_IN: u64 = 16;

impl Engine {
    /// Of how many commits one is measured.
    pub(super) fn commits_measured_one_in(&self) -> u64 {
        if self.options.sync_mode == SyncMode::Full { 1 } else { ONE_IN }
    }

    /// Whether a commit over `snapshot` is measured. Spread so that no pattern of a caller's falls in step with it.
    #[inline]
    pub(super) fn is_measured(&self, snapshot: LogIndex) -> bool {
        snapshot.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) <= u64::MAX / self.commits_measured_one_in()
    }
}
