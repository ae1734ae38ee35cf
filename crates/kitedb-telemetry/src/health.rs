//! What became of pushes: counters that outlive each push, kept for each database, and shown among its metrics.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

/// Why points were given up. Each has a counter of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The circuit breaker kept the push back.
    CircuitOpen,
    /// The collector refused, for good or at every attempt.
    Rejected,
    /// No usable answer came.
    Transport,
    /// The push was not done in time.
    Deadline,
    /// Too large to be sent.
    TooLarge,
    /// A newer point took its place before it was sent.
    Superseded,
    /// The exporter was closed before it was sent.
    Closed,
}

impl DropReason {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 7] = [
        Self::CircuitOpen,
        Self::Rejected,
        Self::Transport,
        Self::Deadline,
        Self::TooLarge,
        Self::Superseded,
        Self::Closed,
    ];

    /// The value of the label `reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit_open",
            Self::Rejected => "rejected",
            Self::Transport => "transport",
            Self::Deadline => "deadline",
            Self::TooLarge => "too_large",
            Self::Superseded => "superseded",
            Self::Closed => "closed",
        }
    }
}

/// What the breaker did with the last push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
#[non_exhaustive]
pub enum BreakerPhase {
    /// Pushes pass. So it is, too, where there is no breaker.
    #[default]
    Closed = 0,
    /// One push at a time passes.
    HalfOpen = 1,
    /// No push passes.
    Open = 2,
}

impl BreakerPhase {
    /// The value of the label `state`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }

    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];
}

/// Counters of the pushes of one database in this process. Take one with [`ExporterHealth::of`].
#[derive(Debug, Default)]
pub struct ExporterHealth {
    exported: AtomicU64,
    rejected: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
    pushes: AtomicU64,
    retries: AtomicU64,
    store_errors: AtomicU64,
    breaker: AtomicU8,
    last_success_ms: AtomicU64,
    /// How many points the last collection had: as many are lost when the breaker keeps one from being made.
    points_of_last: AtomicU64,
    started_ms: OnceLock<u64>,
}

/// What [`ExporterHealth`] showed at one moment. Counters are since the first push of this process for that database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExporterMetrics {
    /// Data points that the collector took.
    pub exported_points: u64,
    /// Data points that it refused as a part of a push that it took (partial success).
    pub rejected_points: u64,
    /// Data points that were given up, by reason.
    pub dropped_points: Vec<(DropReason, u64)>,
    /// Pushes that were begun, those included that the breaker kept back.
    pub pushes: u64,
    /// Attempts after the first one of a push.
    pub retries: u64,
    /// Calls of the breaker's store that failed.
    pub store_errors: u64,
    /// The breaker at the last push.
    pub breaker: BreakerPhase,
    /// When a push succeeded last, ms since 1970.
    pub last_success_ms: Option<u64>,
    /// When counting began, ms since 1970; `None`: nothing was pushed yet.
    pub started_ms: Option<u64>,
}

impl ExporterHealth {
    /// The counters for the database at `path`; pushes of payloads that were rendered beforehand count under ``.
    pub fn of(path: &str) -> Arc<Self> {
        static ALL: OnceLock<Mutex<HashMap<String, Arc<ExporterHealth>>>> = OnceLock::new();
        ALL.get_or_init(Mutex::default).lock().entry(path.to_owned()).or_default().clone()
    }

    /// Reads them.
    pub fn read(&self) -> ExporterMetrics {
        let last = self.last_success_ms.load(Ordering::Relaxed);
        ExporterMetrics {
            exported_points: self.exported.load(Ordering::Relaxed),
            rejected_points: self.rejected.load(Ordering::Relaxed),
            dropped_points: DropReason::ALL
                .iter()
                .map(|reason| (*reason, self.dropped[*reason as usize].load(Ordering::Relaxed)))
                .collect(),
            pushes: self.pushes.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            store_errors: self.store_errors.load(Ordering::Relaxed),
            breaker: match self.breaker.load(Ordering::Relaxed) {
                0 => BreakerPhase::Closed,
                1 => BreakerPhase::HalfOpen,
                _ => BreakerPhase::Open,
            },
            last_success_ms: (last != 0).then_some(last),
            started_ms: self.started_ms.get().copied(),
        }
    }

    pub(crate) fn begin_push(&self, now_ms: u64) {
        self.started_ms.get_or_init(|| now_ms);
        self.pushes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_exported(&self, points: u64, rejected: u64, now_ms: u64) {
        self.exported.fetch_add(points.saturating_sub(rejected), Ordering::Relaxed);
        self.rejected.fetch_add(rejected, Ordering::Relaxed);
        self.last_success_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(crate) fn count_dropped(&self, reason: DropReason, points: u64) {
        self.dropped[reason as usize].fetch_add(points, Ordering::Relaxed);
    }

    /// A push was kept back before its points were collected: they are as many as last time, and one at least.
    pub(crate) fn count_kept_back(&self, reason: DropReason) {
        self.count_dropped(reason, self.points_of_last.load(Ordering::Relaxed).max(1));
    }

    /// So many pushes were due while an earlier one was under way, and were never begun.
    pub(crate) fn count_superseded(&self, pushes: u64) {
        let points = pushes.saturating_mul(self.points_of_last.load(Ordering::Relaxed));
        self.count_dropped(DropReason::Superseded, points);
    }

    pub(crate) fn note_points(&self, points: u64) {
        self.points_of_last.store(points, Ordering::Relaxed);
    }

    pub(crate) fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_store_error(&self) {
        self.store_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_breaker(&self, phase: BreakerPhase) {
        self.breaker.store(phase as u8, Ordering::Relaxed);
    }
}
