//! The engine's work in the background.

use super::{
    engine::Engine,
    jobs::{Job, Jobs, Worker},
    options::SyncMode,
};
use crate::{error::Result, watch::Watch};
use std::{any::Any, sync::Arc, task::Waker, time::Duration};

impl Engine {
    /// Lets the threads of an open database do their work from now on.
    pub(super) fn start_jobs(self: &Arc<Self>) {
        // Half the interval: a commit waits for its sync at most one whole one.
        let tick = || Duration::from_millis(self.options.sync_interval_ms.div_ceil(2));
        let worker: Arc<dyn Worker> = self.clone();
        let sync_tick = (self.options.sync_mode == SyncMode::Normal).then(tick);
        let sweep_tick = self.publication.held.sweep_ms().map(Duration::from_millis);
        self.maintenance.jobs.attach(&worker, sync_tick, sweep_tick);
    }
}

impl Worker for Engine {
    fn jobs(&self) -> &Jobs {
        &self.maintenance.jobs
    }

    fn work(&self, job: Job, is_stopped: &dyn Fn() -> bool) -> Result<Vec<Waker>> {
        match job {
            Job::Checkpoint => self.checkpoint()?,
            Job::Compact => while self.compact_once(&Watch::nobody())? && !is_stopped() {},
            Job::Sync => self.sync()?,
            Job::Submitted => return Ok(self.end_submitted_for_task()),
            Job::Sweep => {
                if self.sweep_pins() {
                    self.maintenance.jobs.ask_for_sweep();
                }
            }
        }
        Ok(Vec::new())
    }

    fn note_panic(&self, what: &str, panic: &(dyn Any + Send)) {
        Engine::note_panic(self, what, panic);
    }

    fn has_panicked(&self) -> bool {
        self.panicked().is_some()
    }
}
