//! The exporter's thread.

use super::{ExporterState, Shared, cadence::Cadence, database_closed};
use crate::{
    clock,
    error::{Result, TelemetryError},
    health::DropReason,
    push::OtlpHttpExportResult,
};
use kitedb_core::{ErrorCode, WeakDatabase};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What the thread is to do next.
enum Task {
    /// Push; so many flushes asked for it.
    Push { asked: u64 },
    /// Push once more, until then, and end.
    Last { asked: u64, deadline: Instant },
}

/// What the thread has.
pub(super) struct Worker {
    database: WeakDatabase,
    shared: Arc<Shared>,
    cadence: Cadence,
}

impl Worker {
    pub(super) fn new(database: WeakDatabase, shared: Arc<Shared>, interval: Duration) -> Self {
        Self { database, shared, cadence: Cadence::new(clock::now(), interval) }
    }

    pub(super) fn run(mut self) {
        // Whoever waits learns of the end, also of one by a panic.
        let _ending = Ending(self.shared.clone());
        loop {
            match self.next() {
                Task::Push { asked } => {
                    let outcome = self.push(None);
                    let closed = outcome.as_ref().is_err_and(is_closed);
                    self.answer(asked, outcome);
                    if closed {
                        tracing::info!(endpoint = self.shared.endpoint, "the exporter ends: its database was closed");
                        self.shared.state.lock().ended = Some(ExporterState::DatabaseClosed);
                        return;
                    }
                }
                Task::Last { asked, deadline } => {
                    let outcome = self.push(Some(deadline));
                    if matches!(outcome, Err(TelemetryError::Closed(_) | TelemetryError::Database(_))) {
                        self.shared.health.count_kept_back(DropReason::Closed);
                    }
                    return self.answer(asked, outcome);
                }
            }
        }
    }

    /// Sleeps until there is something to do.
    fn next(&mut self) -> Task {
        let mut state = self.shared.state.lock();
        loop {
            let asked = state.asked;
            if let Some(deadline) = state.closing {
                return Task::Last { asked, deadline };
            }
            let due = self.cadence.take(clock::now());
            // All but the newest: the last push took so long that they never began.
            self.shared.health.count_superseded(due.saturating_sub(1));
            if due > 0 || asked > state.answered {
                return Task::Push { asked };
            }
            match self.cadence.due() {
                Some(due) => drop(self.shared.asked.wait_until(&mut state, due)),
                None => self.shared.asked.wait(&mut state),
            }
        }
    }

    fn push(&self, deadline: Option<Instant>) -> Result<OtlpHttpExportResult> {
        if self.database.upgrade().is_none() {
            return Err(database_closed());
        }
        let bound = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(clock::now()));
        self.shared.pusher.push_weak(&self.database, &self.shared.health, bound)
    }

    fn answer(&self, asked: u64, outcome: Result<OtlpHttpExportResult>) {
        let mut state = self.shared.state.lock();
        state.answered = asked;
        state.last = Some(outcome);
        self.shared.answered.notify_all();
    }
}

fn is_closed(error: &TelemetryError) -> bool {
    matches!(error, TelemetryError::Database(e) if e.code() == ErrorCode::Closed)
}

/// Says that the thread is at its end.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.state.lock().ended.get_or_insert(ExporterState::Closed);
        self.0.answered.notify_all();
    }
}
