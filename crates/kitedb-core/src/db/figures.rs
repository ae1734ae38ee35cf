//! What the engine can say of itself without waiting and without making anyone wait. The locks taken here are those of
//! `damage` and `pins`, which nobody holds for longer than a look; all else is atomics, published by whoever commits or
//! checkpoints.

use super::{engine::Engine, histogram::Latency};
use crate::{
    error::{Error, ErrorCode},
    graph::{Digest, LogIndex, NameKind, Token},
    state::{Delta, DeltaFigures, Levels, PinFigures, Readers, Totals},
};
use std::sync::atomic::{AtomicU64, Ordering};

/// Figures of about one moment. [`Stats`](super::Stats), metrics and health checks are all made from these.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub path: String,
    pub now_ms: u64,
    pub opened_at_ms: u64,
    pub read_only: bool,
    /// The last published commit.
    pub head: Token,
    pub digest: Digest,
    pub totals: Totals,
    /// The last commit that is in the file's runs.
    pub checkpoint: LogIndex,
    pub generation: u64,
    /// The bytes of each run of the file, oldest first.
    pub runs: Vec<u64>,
    pub greatest_node: u64,
    /// What no checkpoint has written yet.
    pub delta: DeltaFigures,
    pub names: Names,
    pub held: Readers,
    pub pins: PinFigures,
    pub work: Work,
    pub commit_latency: Latency,
    pub sync_latency: Latency,
    /// Whether the log failed in a way that only a reopen can mend.
    pub log_failed: bool,
    /// Why the last work in the background failed, until it succeeds, or what panicked.
    pub background_error: Option<String>,
    /// Whether a thread panicked: that is not tried again.
    pub panicked: bool,
    /// What could not be read.
    pub damage: Option<String>,
}

impl Figures {
    /// The bytes of all runs of the file.
    pub fn run_bytes(&self) -> u64 {
        self.runs.iter().sum()
    }

    /// For how many ms the oldest state that a view or a transaction holds has not been current; `None`: nobody holds one.
    pub fn oldest_pin_ms(&self) -> Option<u64> {
        self.pins.since.map(|since| self.now_ms.saturating_sub(since))
    }
}

/// How many names are defined.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Names {
    pub labels: u64,
    pub edge_types: u64,
    pub property_keys: u64,
}

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

impl Engine {
    /// Looks around. Cheap enough for once a second, and for much more.
    pub(crate) fn figures(&self) -> Figures {
        let (levels, index) = self.current();
        self.figures_of(&levels, index)
    }

    /// As [`Engine::figures`], of the state as of `index` in `levels`.
    pub(super) fn figures_of(&self, levels: &Levels, index: LogIndex) -> Figures {
        let info = levels.info(index);
        let delta = levels.deltas().map(|delta| delta.figures()).fold(DeltaFigures::default(), add);
        let names = |kind| levels.names.count(kind);
        Figures {
            path: self.path.to_string_lossy().into_owned(),
            now_ms: self.env.host.now_ms(),
            opened_at_ms: self.opened_at_ms,
            read_only: self.options.read_only,
            head: Token { epoch: info.epoch, log_index: index },
            digest: info.digest,
            totals: info.totals,
            checkpoint: levels.base(),
            generation: self.store.generation(),
            runs: levels.runs.iter().map(|run| run.bytes()).collect(),
            greatest_node: levels.runs.iter().map(|r| r.meta().max_node_id).fold(delta.greatest_node, u64::max),
            delta,
            names: Names {
                labels: names(NameKind::Label),
                edge_types: names(NameKind::EdgeType),
                property_keys: names(NameKind::PropKey),
            },
            held: self.held.summary(),
            pins: self.pins.figures(levels),
            work: self.work(),
            commit_latency: self.latencies.commit.read(self.commits_measured_one_in()),
            sync_latency: self.latencies.sync.read(1),
            log_failed: self.has_log_failed(),
            background_error: self.background_error(),
            panicked: self.panicked().is_some(),
            damage: self.damage.lock().as_ref().map(ToString::to_string),
        }
    }

    /// Takes note that a checkpoint wrote `delta` to the file, so that it is let go.
    pub(super) fn note_checkpoint(&self, delta: &Delta) {
        let DeltaFigures { elements, versions, .. } = delta.figures();
        let counters = &self.counters;
        counters.elements_pruned.fetch_add(elements, Ordering::Relaxed);
        counters.versions_pruned.fetch_add(versions, Ordering::Relaxed);
        counters.checkpoints.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes note of an error that means that the log failed. The log itself can be asked under the commit lock only.
    pub(super) fn note_log_failure(&self, error: &Error) {
        if matches!(error.code(), ErrorCode::Poisoned | ErrorCode::SyncFailed | ErrorCode::OutcomeUnknown) {
            self.log_failed.store(true, Ordering::Release);
        }
    }

    pub(super) fn has_log_failed(&self) -> bool {
        self.sidecar.as_ref().is_some_and(|control| control.sync_failed()) || self.log_failed.load(Ordering::Acquire)
    }

    /// Why the last work in the background failed, until it succeeds, or what panicked.
    pub(super) fn background_error(&self) -> Option<String> {
        self.panicked().map(ToString::to_string).or_else(|| self.jobs.last_error())
    }

    fn work(&self) -> Work {
        let count = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        let counters = &self.counters;
        // Failures first: an append that fails in between must not count as one that did without having been tried.
        let append_failures = count(&counters.append_failures);
        Work {
            checkpoints: count(&counters.checkpoints),
            compactions: count(&counters.compactions),
            bytes_checkpointed: count(&counters.bytes_checkpointed),
            bytes_compacted: count(&counters.bytes_compacted),
            append_attempts: count(&counters.append_attempts),
            append_failures,
            versions_pruned: count(&counters.versions_pruned),
            elements_pruned: count(&counters.elements_pruned),
        }
    }
}

fn add(a: DeltaFigures, b: DeltaFigures) -> DeltaFigures {
    DeltaFigures {
        nodes_created: a.nodes_created + b.nodes_created,
        nodes_deleted: a.nodes_deleted + b.nodes_deleted,
        edges_added: a.edges_added + b.edges_added,
        edges_deleted: a.edges_deleted + b.edges_deleted,
        greatest_node: a.greatest_node.max(b.greatest_node),
        elements: a.elements + b.elements,
        versions: a.versions + b.versions,
        bytes: a.bytes + b.bytes,
    }
}
