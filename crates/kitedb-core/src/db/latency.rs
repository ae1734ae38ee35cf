//! Which commits and syncs are measured, and where that is kept.

use super::{engine::Engine, histogram::Histogram, options::SyncMode, transaction::Transaction};
use crate::{
    error::Result,
    graph::{LogIndex, Token},
};

/// Where nothing waits for the disk a commit takes one or two µs, and reading the clock twice would be several
/// percent of that: only one of so many is measured.
const ONE_IN: u64 = 16;

/// How long commits and syncs took.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    pub commit: Histogram,
    pub sync: Histogram,
}

impl Engine {
    /// Commits a transaction, and measures how long that takes.
    #[inline]
    pub(super) fn measured_commit(&self, tx: Transaction) -> Result<Token> {
        let measured = self.is_measured(tx.snapshot) && !tx.is_empty();
        let started = if measured { self.env.host.monotonic_ns() } else { 0 };
        let token = self.commit(tx).inspect_err(|error| self.note_log_failure(error))?;
        if measured {
            self.latencies.commit.record(self.env.host.monotonic_ns().saturating_sub(started));
        }
        Ok(token)
    }

    /// Of how many commits one is measured.
    pub(super) fn commits_measured_one_in(&self) -> u64 {
        if self.options.sync_mode == SyncMode::Full { 1 } else { ONE_IN }
    }

    /// Whether a commit over `snapshot` is measured. Spread so that no pattern of a caller's falls in step with it.
    #[inline]
    fn is_measured(&self, snapshot: LogIndex) -> bool {
        snapshot.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) <= u64::MAX / self.commits_measured_one_in()
    }
}
