//! Pushes on a cadence, from a thread of its own.
//!
//! The thread sleeps until a push is due or someone asks for one. Between pushes nothing is kept that could be stale:
//! each push collects when it begins, so of several that became due meanwhile only the newest one is made.

mod cadence;
mod worker;

use crate::setters::setters;
use crate::{
    clock, endpoint,
    error::{Result, TelemetryError},
    health::{ExporterHealth, ExporterMetrics},
    options::{OtlpHttpPushOptions, OtlpTransport},
    push::{OtlpHttpExportResult, OtlpPusher},
};
use kitedb_core::{Asleep, Database, Error, ErrorCode, Watch};
use parking_lot::{Condvar, Mutex};
use std::{
    fmt, process,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// What an exporter does. Printed without secrets.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ExporterOptions {
    /// Where to. May hold credentials.
    pub endpoint: String,
    /// How.
    pub transport: OtlpTransport,
    /// The time from one push to the next, ms. The first one comes after as much. Default 60 000.
    pub interval_ms: u64,
    /// How long closing it may take, its last push included, ms. Default 5000.
    pub close_timeout_ms: u64,
    /// Options of each push.
    pub push: OtlpHttpPushOptions,
}

setters!(ExporterOptions {
    endpoint: String,
    transport: OtlpTransport,
    interval_ms: u64,
    close_timeout_ms: u64,
    push: OtlpHttpPushOptions,
});

impl ExporterOptions {
    /// Pushes to `endpoint` over `transport` each minute, with default options.
    pub fn new(transport: OtlpTransport, endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            transport,
            interval_ms: 60_000,
            close_timeout_ms: 5000,
            push: OtlpHttpPushOptions::default(),
        }
    }
}

impl fmt::Debug for ExporterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExporterOptions")
            .field("endpoint", &endpoint::show(&self.endpoint))
            .field("transport", &self.transport)
            .field("interval_ms", &self.interval_ms)
            .field("close_timeout_ms", &self.close_timeout_ms)
            .field("push", &self.push)
            .finish()
    }
}

/// Whether an exporter is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExporterState {
    /// It pushes when it is due.
    Running,
    /// It ended because its database was closed.
    DatabaseClosed,
    /// It was closed.
    Closed,
}

/// Pushes the metrics of one database on a cadence until it is closed or dropped. Made by [`start_exporter`].
///
/// It keeps neither the database open nor its files: when the owner closes the database, or drops his last handle, the
/// exporter ends. Close the exporter first where the last metrics matter.
///
/// ```no_run
/// use kitedb_core::{Database, OpenOptions};
/// use kitedb_telemetry::{ExporterOptions, OtlpTransport, start_exporter};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let db = Database::open("social.kitedb", OpenOptions::new())?;
/// let mut options = ExporterOptions::new(OtlpTransport::Grpc, "http://localhost:4317");
/// options.interval_ms = 10_000;
/// let exporter = start_exporter(&db, options)?;
/// // ... the application does its work ...
/// exporter.close()?; // pushes once more
/// db.close()?;
/// # Ok(())
/// # }
/// ```
pub struct Exporter {
    shared: Arc<Shared>,
    close_timeout: Duration,
    /// `None`: closed.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the exporter's thread and its owner share.
struct Shared {
    state: Mutex<State>,
    /// The thread sleeps on it.
    asked: Condvar,
    /// Those who wait for a push sleep on it.
    answered: Condvar,
    pusher: OtlpPusher,
    health: Arc<ExporterHealth>,
    /// Bounds a push, ms.
    timeout_ms: u64,
    endpoint: String,
    /// The process that the thread is in.
    process: u32,
}

#[derive(Default)]
struct State {
    /// How often a push was asked for.
    asked: u64,
    /// How many of these a push has answered that began later.
    answered: u64,
    /// What became of the last push.
    last: Option<Result<OtlpHttpExportResult>>,
    /// Until when the last push must be done.
    closing: Option<Instant>,
    /// Set when the thread is about to end.
    ended: Option<ExporterState>,
}

/// Begins to push the metrics of `db` on a cadence, from one thread. Options are checked here; whether the collector can
/// be reached shows with the first push, in [`Exporter::last_error`] and [`Exporter::metrics`].
///
/// # Errors
/// [`TelemetryError::InvalidOption`]; [`TelemetryError::Database`] if the database is closed;
/// [`TelemetryError::Resources`] if there is no thread to be had.
pub fn start_exporter(db: &Database, options: ExporterOptions) -> Result<Exporter> {
    let positive = |name: &str, ms: u64| match ms {
        0 => Err(TelemetryError::InvalidOption(format!("{name} must be > 0"))),
        _ => Ok(Duration::from_millis(ms)),
    };
    let interval = positive("interval_ms", options.interval_ms)?;
    let close_timeout = positive("close_timeout_ms", options.close_timeout_ms)?;
    let pusher = OtlpPusher::new(options.transport, &options.endpoint, &options.push)?;
    let weak = db.downgrade();
    if weak.upgrade().is_none() {
        return Err(database_closed());
    }
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        asked: Condvar::new(),
        answered: Condvar::new(),
        endpoint: pusher.shown().to_owned(),
        pusher,
        health: ExporterHealth::of(&db.path().to_string_lossy()),
        timeout_ms: options.push.timeout_ms,
        process: process::id(),
    });
    let worker = worker::Worker::new(weak, shared.clone(), interval);
    let thread = thread::Builder::new()
        .name("kitedb-exporter".to_owned())
        .spawn(move || worker.run())
        .map_err(|e| TelemetryError::Resources(format!("cannot start the exporter's thread: {e}")))?;
    Ok(Exporter { shared, close_timeout, thread: Mutex::new(Some(thread)) })
}

impl Exporter {
    /// Pushes now and waits for it, beside the cadence. Calls that come while a push is under way share the next one.
    ///
    /// # Errors
    /// Those of the push. [`TelemetryError::DeadlineExceeded`] if it was not made within twice `timeout_ms`: the one
    /// under way, and this one.
    pub fn flush(&self) -> Result<OtlpHttpExportResult> {
        self.flush_until(&Watch::default())
    }

    /// As [`Exporter::flush`], for as long as `watch` is not cancelled: the push goes on after that, and nobody waits for it.
    ///
    /// # Errors
    /// Those of a flush, and [`ErrorCode::Cancelled`].
    pub fn flush_until(&self, watch: &Watch) -> Result<OtlpHttpExportResult> {
        self.shared.require_own_process()?;
        let _asleep = self.shared.woken_by(watch);
        let deadline = clock::now().checked_add(Duration::from_millis(self.shared.timeout_ms).saturating_mul(2));
        let mut state = self.shared.state.lock();
        state.asked += 1;
        let mine = state.asked;
        self.shared.asked.notify_one();
        while state.answered < mine && state.ended.is_none() {
            watch.require_uncancelled()?;
            if self.shared.wait_answer(&mut state, deadline) {
                return Err(self.shared.too_late("it waited for its turn"));
            }
        }
        match (&state.last, state.ended) {
            (Some(last), _) if state.answered >= mine => last.clone(),
            (_, Some(ExporterState::DatabaseClosed)) => Err(database_closed()),
            _ => Err(TelemetryError::Closed("the exporter was closed".to_owned())),
        }
    }

    /// Pushes once more and ends the exporter, within `close_timeout_ms`: a push under way that takes longer is given
    /// up. Dropping does the same, and logs what this returns.
    ///
    /// # Errors
    /// Those of the last push. [`TelemetryError::Database`] if the database was closed before: then nothing was pushed.
    pub fn close(self) -> Result<()> {
        self.close_until(&Watch::default())
    }

    /// As [`Exporter::close`], for who shares it: flushes that wait in other threads fail with [`TelemetryError::Closed`], and nothing
    /// happens the second time. Once `watch` is cancelled it ends at once, and gives the push up.
    ///
    /// # Errors
    /// Those of a close; [`ErrorCode::Cancelled`] where the last push was given up for that.
    pub fn close_until(&self, watch: &Watch) -> Result<()> {
        match self.end(watch) {
            Err(TelemetryError::Closed(what)) => {
                watch.require_uncancelled()?;
                Err(TelemetryError::Closed(what))
            }
            ended => ended,
        }
    }

    /// Whether it is at work.
    pub fn state(&self) -> ExporterState {
        self.shared.state.lock().ended.unwrap_or(ExporterState::Running)
    }

    /// Why the last push failed; `None` if it succeeded, or there was none.
    pub fn last_error(&self) -> Option<String> {
        match &self.shared.state.lock().last {
            Some(Err(e)) => Some(e.to_string()),
            _ => None,
        }
    }

    /// What became of all pushes of this database from this process.
    pub fn metrics(&self) -> ExporterMetrics {
        self.shared.health.read()
    }

    fn end(&self, watch: &Watch) -> Result<()> {
        let Some(thread) = self.thread.lock().take() else { return Ok(()) };
        if let Err(forked) = self.shared.require_own_process() {
            // The thread is the parent's.
            std::mem::forget(thread);
            return Err(forked);
        }
        let _asleep = self.shared.woken_by(watch);
        let deadline = clock::now().checked_add(self.close_timeout);
        let mut state = self.shared.state.lock();
        state.closing = Some(deadline.unwrap_or_else(clock::now));
        self.shared.asked.notify_one();
        while state.ended.is_none() {
            if watch.is_cancelled() || self.shared.wait_answer(&mut state, deadline) {
                self.shared.pusher.cancel();
                break;
            }
        }
        drop(state);
        let _ = thread.join();
        let state = self.shared.state.lock();
        match (state.ended, &state.last) {
            (Some(ExporterState::DatabaseClosed), _) => Err(database_closed()),
            (_, Some(Err(e))) => Err(e.clone()),
            _ => Ok(()),
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Err(e) = self.end(&Watch::default()) {
            tracing::warn!(endpoint = self.shared.endpoint, "the last push of a dropped exporter failed: {e}");
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter")
            .field("endpoint", &self.shared.endpoint)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Lets the end of `watch` wake whoever waits for an answer.
    fn woken_by<'w>(self: &Arc<Self>, watch: &'w Watch) -> Asleep<'w> {
        let shared = self.clone();
        watch.while_asleep(move || {
            // Not between a look at the watch and the sleep after it.
            let _state = shared.state.lock();
            shared.answered.notify_all();
        })
    }

    /// Waits for news; true if there will be none in time.
    fn wait_answer(&self, state: &mut parking_lot::MutexGuard<'_, State>, deadline: Option<Instant>) -> bool {
        match deadline {
            Some(deadline) => self.answered.wait_until(state, deadline).timed_out(),
            None => {
                self.answered.wait(state);
                false
            }
        }
    }

    fn require_own_process(&self) -> Result<()> {
        match self.process == process::id() {
            true => Ok(()),
            false => {
                Err(TelemetryError::Closed("the exporter belongs to the process that this one was forked from".into()))
            }
        }
    }

    fn too_late(&self, cause: &str) -> TelemetryError {
        TelemetryError::DeadlineExceeded {
            endpoint: self.endpoint.clone(),
            timeout_ms: self.timeout_ms,
            attempts: 0,
            cause: cause.to_owned(),
        }
    }
}

fn database_closed() -> TelemetryError {
    Error::new(ErrorCode::Closed, "Database is closed").into()
}
