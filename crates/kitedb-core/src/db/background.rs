//! The engine's work in the background.

use super::{
    engine::Engine,
    jobs::{Job, Jobs, Worker},
    options::SyncMode,
};
use crate::error::Result;
use std::{any::Any, sync::Arc, time::Duration};

impl Engine {
    /// Lets the threads of an open database do their work from now on.
    pub(super) fn start_jobs(self: &Arc<Self>) {
        // Half the interval: a commit waits for its sync at most one whole one.
        let tick = || Duration::from_millis(self.options.sync_interval_ms.div_ceil(2));
        let worker: Arc<dyn Worker> = self.clone();
        self.maintenance.jobs.attach(&worker, (self.options.sync_mode == SyncMode::Normal).then(tick));
    }
}

impl Worker for Engine {
    fn jobs(&self) -> &Jobs {
        &self.maintenance.jobs
    }

    fn work(&self, job: Job, is_stopped: &dyn Fn() -> bool) -> Result<()> {
        match job {
            Job::Checkpoint => self.checkpoint(),
            Job::Compact => {
                while self.compact_once()? && !is_stopped() {}
                Ok(())
            }
            Job::Sync => self.sync(),
            Job::Submitted => {
                self.end_submitted();
                Ok(())
            }
        }
    }

    fn note_panic(&self, what: &str, panic: &(dyn Any + Send)) {
        Engine::note_panic(self, what, panic);
    }

    fn has_panicked(&self) -> bool {
        self.panicked().is_some()
    }
}
