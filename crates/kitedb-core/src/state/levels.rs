//! One stack of state: deltas over runs. A view holds the stack that was current when it was taken, so nothing
//! in it goes away under a reader.

use super::{
    delta::{CommitInfo, Delta},
    names::Names,
};
use crate::{graph::LogIndex, store::Run};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// Deltas over runs.
#[derive(Debug)]
pub struct Levels {
    /// Where commits go.
    pub active: Arc<Delta>,
    /// What a running checkpoint writes out.
    pub frozen: Option<Arc<Delta>>,
    /// The file's runs, oldest first.
    pub runs: Arc<Vec<Arc<Run>>>,
    /// The names in use: the same from one stack to the next, until a replica is reseeded.
    pub names: Arc<Names>,
}

impl Levels {
    /// The same stack once more.
    pub fn same(&self) -> Self {
        Self {
            active: self.active.clone(),
            frozen: self.frozen.clone(),
            runs: self.runs.clone(),
            names: self.names.clone(),
        }
    }

    /// The deltas, newest first.
    #[inline]
    pub fn deltas(&self) -> impl Iterator<Item = &Delta> + use<'_> {
        [Some(&*self.active), self.frozen.as_deref()].into_iter().flatten().filter(|d| !d.is_empty())
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

/// Who still holds stacks that are no longer current: each keeps runs, and with them space in the file.
#[derive(Debug, Default)]
pub struct Pins(Mutex<Vec<(u64, Weak<Levels>)>>);

impl Pins {
    /// Notes that `levels` stopped being current at `now_ms`.
    pub fn supersede(&self, levels: &Arc<Levels>, now_ms: u64) {
        let mut pins = self.0.lock();
        pins.retain(|(_, weak)| weak.strong_count() > 0);
        pins.push((now_ms, Arc::downgrade(levels)));
    }

    /// Since when the oldest stack that someone still holds has not been current, ms since 1970.
    pub fn oldest(&self) -> Option<u64> {
        let mut pins = self.0.lock();
        pins.retain(|(_, weak)| weak.strong_count() > 0);
        pins.first().map(|(since, _)| *since)
    }
}
