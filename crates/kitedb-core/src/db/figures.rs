//! What the engine can say of itself without waiting and without making anyone wait. The locks taken here are those of
//! `damage` and `pins`, which nobody holds for longer than a look; all else is atomics, published by whoever commits or
//! checkpoints.

use super::{
    engine::{Engine, Work},
    histogram::Latency,
    pins::PinInfo,
};
use crate::{
    graph::{Digest, LogIndex, NameKind, Token},
    state::{DeltaFigures, Levels, PinFigures, Readers, Totals},
};

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
    /// Which of these is held for longest.
    pub oldest_pin: Option<PinInfo>,
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
    /// What befell the file since it was opened.
    pub out_of_place: Option<String>,
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

impl Engine {
    /// Looks around. Cheap enough for once a second, and for much more.
    pub(crate) fn figures(&self) -> Figures {
        self.sweep_pins();
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
            opened_at_ms: self.measures.opened_at_ms(),
            read_only: self.options.read_only,
            head: info.token(index),
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
            held: self.publication.held.summary(),
            oldest_pin: self.oldest_pins(1).pop(),
            pins: self.publication.pinned(levels),
            work: self.measures.work(),
            commit_latency: self.measures.commit_latency.read(self.commits_measured_one_in()),
            sync_latency: self.measures.sync_latency.read(1),
            log_failed: self.has_log_failed(),
            background_error: self.background_error(),
            panicked: self.panicked().is_some(),
            damage: self.damage().map(|damage| damage.to_string()),
            out_of_place: self.store.require_in_place().err().map(|gone| gone.to_string()),
        }
    }

    pub(super) fn has_log_failed(&self) -> bool {
        self.sidecar.as_ref().is_some_and(|control| control.sync_failed()) || self.poison.log_failed()
    }

    /// Why the last work in the background failed, until it succeeds, or what panicked.
    pub(super) fn background_error(&self) -> Option<String> {
        self.panicked().map(ToString::to_string).or_else(|| self.maintenance.jobs.last_error())
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
