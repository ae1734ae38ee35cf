//! One stack of state: deltas over runs. A view holds the stack that was current when it was taken, so nothing
//! in it goes away under a reader.

use super::{
    delta::{CommitInfo, Delta},
    names::Names,
};
use crate::lock::Mutex;
use crate::{graph::LogIndex, store::Runs};
use rustc_hash::FxHashSet;
use std::sync::{Arc, Weak};

/// Deltas over runs.
#[derive(Debug)]
pub struct Levels {
    /// Where commits go.
    pub active: Arc<Delta>,
    /// What a running checkpoint writes out.
    pub frozen: Option<Arc<Delta>>,
    /// The file's runs, oldest first.
    pub runs: Arc<Runs>,
    /// The names in use: the same from one stack to the next, until a replica is reseeded.
    pub names: Arc<Names>,
}

impl Levels {
    /// Runs with nothing above them, and an active delta.
    pub fn new(active: Arc<Delta>, runs: Arc<Runs>, names: Arc<Names>) -> Self {
        Self { active, frozen: None, runs, names }
    }

    /// The same stack once more.
    pub fn same(&self) -> Self {
        Self { frozen: self.frozen.clone(), ..Self::new(self.active.clone(), self.runs.clone(), self.names.clone()) }
    }

    /// The commit that the runs end with: a view of this stack shows no earlier one.
    #[inline]
    pub fn base(&self) -> LogIndex {
        self.frozen.as_ref().unwrap_or(&self.active).base()
    }

    /// The deltas, newest first.
    #[inline]
    pub fn deltas(&self) -> impl Iterator<Item = &Delta> + use<'_> {
        [Some(&*self.active), self.frozen.as_deref()].into_iter().flatten().filter(|d| !d.is_empty())
    }

    fn shared_deltas(&self) -> impl Iterator<Item = &Arc<Delta>> {
        [Some(&self.active), self.frozen.as_ref()].into_iter().flatten()
    }

    /// What the commit with log index `at` left behind.
    pub fn info(&self, at: LogIndex) -> &CommitInfo {
        self.delta_of(at).info(at)
    }

    /// The delta whose counts hold at `at`.
    pub fn delta_of(&self, at: LogIndex) -> &Delta {
        match &self.frozen {
            Some(frozen) if at < self.active.base() => frozen,
            _ => &self.active,
        }
    }
}

/// Who still holds stacks that are no longer current: each keeps runs, and with them space in the file, and deltas, which
/// take memory.
#[derive(Debug, Default)]
pub struct Pins(Mutex<Vec<Pin>>);

#[derive(Debug, Clone)]
struct Pin {
    /// When the stack stopped being current, ms since 1970.
    since: u64,
    levels: Weak<Levels>,
}

/// What is held only by readers of states that are no longer current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PinFigures {
    /// Since when the oldest stack that someone holds has not been current, ms since 1970.
    pub since: Option<u64>,
    /// Memory of deltas, in bytes, roughly.
    pub delta_bytes: u64,
    /// Bytes of runs: space of the file.
    pub run_bytes: u64,
}

impl Pins {
    /// Notes that `levels` stopped being current at `now_ms`.
    pub fn supersede(&self, levels: &Arc<Levels>, now_ms: u64) {
        let mut pins = self.0.lock();
        pins.retain(|pin| pin.levels.strong_count() > 0);
        pins.push(Pin { since: now_ms, levels: Arc::downgrade(levels) });
    }

    /// Whether someone holds a stack that is not current.
    pub fn any(&self) -> bool {
        self.0.lock().iter().any(|pin| pin.levels.strong_count() > 0)
    }

    /// What is pinned besides what `current` holds.
    pub fn figures(&self, current: &Levels) -> PinFigures {
        // Not under the lock, which is taken under the commit lock: the last holder of a stack may give it up meanwhile.
        let pins: Vec<Pin> = self.0.lock().clone();
        let held: Vec<(u64, Arc<Levels>)> =
            pins.iter().filter_map(|pin| Some((pin.since, pin.levels.upgrade()?))).collect();
        let mut deltas: FxHashSet<_> = current.shared_deltas().map(Arc::as_ptr).collect();
        let mut runs: FxHashSet<_> = current.runs.iter().map(Arc::as_ptr).collect();
        let mut figures = PinFigures { since: held.iter().map(|(since, _)| *since).min(), ..PinFigures::default() };
        for (_, levels) in &held {
            let more = levels.shared_deltas().filter(|delta| deltas.insert(Arc::as_ptr(delta)));
            figures.delta_bytes += more.map(|delta| delta.memory_bytes()).sum::<u64>();
            let more = levels.runs.iter().filter(|run| runs.insert(Arc::as_ptr(run)));
            figures.run_bytes += more.map(|run| run.bytes()).sum::<u64>();
        }
        figures
    }
}
