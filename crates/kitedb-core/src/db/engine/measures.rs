//! What is counted and measured since the open.

use crate::{db::histogram::Histogram, state::DeltaFigures};
use std::sync::atomic::{AtomicU64, Ordering};

/// What was done since the open.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Work {
    pub checkpoints: u64,
    pub compactions: u64,
    pub bytes_checkpointed: u64,
    pub bytes_compacted: u64,
    pub append_attempts: u64,
    pub append_failures: u64,
    pub versions_pruned: u64,
    pub elements_pruned: u64,
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Measures {
    /// When the database was opened, ms since 1970: all else is since then.
    opened_at_ms: u64,
    /// How long commits took.
    pub commit_latency: Histogram,
    /// How long syncs took.
    pub sync_latency: Histogram,
    checkpoints: AtomicU64,
    compactions: AtomicU64,
    bytes_checkpointed: AtomicU64,
    bytes_compacted: AtomicU64,
    append_attempts: AtomicU64,
    append_failures: AtomicU64,
    /// Versions and elements of deltas that went with checkpoints.
    versions_pruned: AtomicU64,
    elements_pruned: AtomicU64,
    appends_for_testing: AtomicU64,
}

impl Measures {
    /// Nothing was done yet; the database was opened at `opened_at_ms`.
    pub fn new(opened_at_ms: u64) -> Self {
        Self {
            opened_at_ms,
            commit_latency: Histogram::default(),
            sync_latency: Histogram::default(),
            checkpoints: AtomicU64::new(0),
            compactions: AtomicU64::new(0),
            bytes_checkpointed: AtomicU64::new(0),
            bytes_compacted: AtomicU64::new(0),
            append_attempts: AtomicU64::new(0),
            append_failures: AtomicU64::new(0),
            versions_pruned: AtomicU64::new(0),
            elements_pruned: AtomicU64::new(0),
            appends_for_testing: AtomicU64::new(0),
        }
    }

    /// When the database was opened, ms since 1970.
    pub fn opened_at_ms(&self) -> u64 {
        self.opened_at_ms
    }

    /// An append begins.
    #[inline]
    pub fn count_append(&self) {
        self.append_attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// An append that began failed.
    pub fn count_failed_append(&self) {
        self.append_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Appends so far, of those that a test lets fail after some. Counts this one.
    pub fn count_append_for_testing(&self) -> u64 {
        self.appends_for_testing.fetch_add(1, Ordering::Relaxed)
    }

    /// A checkpoint wrote a run of `bytes`.
    pub fn count_run(&self, bytes: u64) {
        self.bytes_checkpointed.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A checkpoint ended, and what it wrote of a delta is let go.
    pub fn count_checkpoint(&self, DeltaFigures { elements, versions, .. }: DeltaFigures) {
        self.elements_pruned.fetch_add(elements, Ordering::Relaxed);
        self.versions_pruned.fetch_add(versions, Ordering::Relaxed);
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
    }

    /// A merge wrote a run of `bytes`.
    pub fn count_merged_run(&self, bytes: u64) {
        self.bytes_compacted.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A merge ended.
    pub fn count_merge(&self) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
    }

    /// What was done since the open.
    pub fn work(&self) -> Work {
        let count = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        // Failures first: an append that fails in between must not count as one that did without having been tried.
        let append_failures = count(&self.append_failures);
        Work {
            checkpoints: count(&self.checkpoints),
            compactions: count(&self.compactions),
            bytes_checkpointed: count(&self.bytes_checkpointed),
            bytes_compacted: count(&self.bytes_compacted),
            append_attempts: count(&self.append_attempts),
            append_failures,
            versions_pruned: count(&self.versions_pruned),
            elements_pruned: count(&self.elements_pruned),
        }
    }
}
