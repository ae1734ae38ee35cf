//! Work beside commits: checkpoints and merges, who may do which at a time, and who waits for it.

use crate::{
    db::jobs::Jobs,
    lock::{Condvar, Mutex, MutexGuard},
};
use std::time::Duration;

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Maintenance {
    /// The threads that do it.
    pub jobs: Jobs,
    checkpointing: Mutex<()>,
    compacting: Mutex<()>,
    publishing: Mutex<()>,
    /// Signalled when a checkpoint has ended: committers may wait for room.
    checkpointed: Condvar,
}

/// Held while a checkpoint is made. The first lock in their order.
pub struct CheckpointGuard<'a>(#[expect(dead_code, reason = "held, not looked at")] MutexGuard<'a, ()>);

/// Held while runs are merged. A checkpoint may wait for merges; a merge never waits for a checkpoint.
pub struct MergeGuard<'a>(#[expect(dead_code, reason = "held, not looked at")] MutexGuard<'a, ()>);

/// Held while the file's header and the levels are exchanged together. The commit lock is taken under it, never before it.
pub struct PublishingGuard<'a>(#[expect(dead_code, reason = "held, not looked at")] MutexGuard<'a, ()>);

/// What makes new runs, and so may publish them: holding it comes before the lock under which they are published.
pub trait MakesRuns {}

impl MakesRuns for CheckpointGuard<'_> {}
impl MakesRuns for MergeGuard<'_> {}

impl Maintenance {
    pub fn new(jobs: Jobs) -> Self {
        Self {
            jobs,
            checkpointing: Mutex::new(()),
            compacting: Mutex::new(()),
            publishing: Mutex::new(()),
            checkpointed: Condvar::new(),
        }
    }

    /// Nobody else makes a checkpoint as long as the result lives.
    pub fn begin_checkpoint(&self) -> CheckpointGuard<'_> {
        CheckpointGuard(self.checkpointing.lock())
    }

    /// Nobody else merges runs as long as the result lives.
    pub fn begin_merge(&self) -> MergeGuard<'_> {
        MergeGuard(self.compacting.lock())
    }

    /// Nobody else exchanges the file's header and the levels as long as the result lives.
    pub fn begin_publishing(&self, _: &impl MakesRuns) -> PublishingGuard<'_> {
        PublishingGuard(self.publishing.lock())
    }

    /// Wakes the committers that wait for room: a checkpoint ended, or nothing more is written.
    pub fn wake_committers(&self) {
        self.checkpointed.notify_all();
    }

    /// Waits until a checkpoint ends, for `longest` at most; `commit`, which its caller holds, is given up meanwhile.
    pub fn wait_for_checkpoint<T>(&self, commit: &mut MutexGuard<'_, T>, longest: Duration) {
        self.checkpointed.wait_for(commit, longest);
    }
}
