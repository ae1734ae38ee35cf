//! Background work: threads that merely run what can also be called step by step.

use super::{engine::Engine, options::SyncMode};
use crate::error::Result;
use crate::lock::{Condvar, Mutex};
use arc_swap::ArcSwapOption;
use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// After a failed checkpoint or merge, the wait before the next try.
const RETRY: Duration = Duration::from_secs(1);

/// See the [module documentation](self).
#[derive(Debug)]
pub(super) struct Jobs {
    enabled: bool,
    state: Mutex<State>,
    wake: Condvar,
    checkpoint_asked: AtomicBool,
    failing: AtomicBool,
    /// What the last background failure was, until the work succeeds.
    last_error: ArcSwapOption<String>,
    /// Bytes written by a merge since it last gave way.
    burst: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    compaction_due: bool,
    engine: Weak<Engine>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Clone, Copy)]
enum Job {
    Checkpoint,
    Compact,
    Sync,
}

impl Jobs {
    pub fn new(enabled: bool) -> Self {
        Self {
            enabled,
            state: Mutex::default(),
            wake: Condvar::new(),
            checkpoint_asked: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            last_error: ArcSwapOption::empty(),
            burst: AtomicU64::new(0),
        }
    }

    /// Tells the jobs whose work they do. Threads start with the first work.
    pub fn attach(&self, engine: &Arc<Engine>) {
        let mut state = self.state.lock();
        state.engine = Arc::downgrade(engine);
        if self.enabled && engine.options.sync_mode == SyncMode::Normal {
            start(&mut state, engine, Job::Sync, "kitedb-sync");
        }
    }

    /// Whether threads do background work.
    pub fn running(&self) -> bool {
        self.enabled
    }

    /// Whether the last checkpoint or merge in the background failed.
    pub fn failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// What the last background failure was, until the work succeeds. Takes no lock.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.load().as_deref().cloned()
    }

    /// Asks for a checkpoint soon. Cheap if one was asked for already.
    pub fn ask_for_checkpoint(&self) {
        if self.enabled && !self.checkpoint_asked.swap(true, Ordering::AcqRel) {
            self.wake_up(|_| {});
        }
    }

    /// Asks for merges soon.
    pub fn ask_for_compaction(&self) {
        if self.enabled {
            self.wake_up(|state| state.compaction_due = true);
        }
    }

    fn wake_up(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        if let Some(engine) = state.engine.upgrade()
            && !state.stop
            && !state.threads.iter().any(|t| t.thread().name() == Some("kitedb-checkpoint"))
        {
            start(&mut state, &engine, Job::Checkpoint, "kitedb-checkpoint");
            start(&mut state, &engine, Job::Compact, "kitedb-compact");
        }
        self.wake.notify_all();
    }

    /// Ends all threads, after what they are doing.
    pub fn stop(&self) {
        let threads = {
            let mut state = self.state.lock();
            state.stop = true;
            self.wake.notify_all();
            std::mem::take(&mut state.threads)
        };
        for thread in threads {
            // A job's thread may itself drop the last handle; it must not wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }

    /// Called by a merge after each piece it wrote: gives way to committers and readers on the same disk.
    pub fn pace(&self, bytes: u64) -> Result<()> {
        const PIECE: u64 = 4 << 20;
        if self.enabled && self.burst.fetch_add(bytes, Ordering::Relaxed) + bytes >= PIECE {
            self.burst.store(0, Ordering::Relaxed);
            crate::lock::yield_now();
        }
        Ok(())
    }

    /// Waits for work of a kind. `false`: stop.
    fn wait(&self, job: Job, interval: Duration) -> bool {
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return false;
            }
            match job {
                Job::Checkpoint if self.checkpoint_asked.swap(false, Ordering::AcqRel) => return true,
                Job::Compact if std::mem::take(&mut state.compaction_due) => return true,
                Job::Sync => {
                    let timed_out = self.wake.wait_for(&mut state, interval).timed_out();
                    if timed_out {
                        return !state.stop;
                    }
                }
                _ => self.wake.wait(&mut state),
            }
        }
    }

    /// Notes how a job ended. After a failure it waits a while and asks for the job again.
    fn note(&self, job: Job, result: Result<bool>) {
        let mut state = self.state.lock();
        match result {
            Ok(_) => {
                self.failing.store(false, Ordering::Release);
                self.last_error.store(None);
            }
            Err(e) => {
                tracing::warn!("background work of a database failed and will be tried again: {e}");
                self.failing.store(true, Ordering::Release);
                self.last_error.store(Some(Arc::new(e.to_string())));
                if !state.stop {
                    self.wake.wait_for(&mut state, RETRY);
                }
                match job {
                    Job::Checkpoint => self.checkpoint_asked.store(true, Ordering::Release),
                    Job::Compact => state.compaction_due = true,
                    Job::Sync => {}
                }
            }
        }
    }
}

fn start(state: &mut State, engine: &Arc<Engine>, job: Job, name: &str) {
    let weak = Arc::downgrade(engine);
    // A tick of half the interval: a commit waits for its sync at most one whole one.
    let interval = Duration::from_millis(engine.options.sync_interval_ms.div_ceil(2));
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        while let Some(engine) = weak.upgrade() {
            if !engine.jobs.wait(job, interval) {
                return;
            }
            let result = match job {
                Job::Checkpoint => engine.checkpoint().map(|()| true),
                Job::Compact => compact(&engine),
                Job::Sync => engine.sync().map(|()| true),
            };
            engine.jobs.note(job, result);
        }
    });
    match spawned {
        Ok(thread) => state.threads.push(thread),
        Err(e) => {
            let what = format!("cannot start a background thread: {e}");
            engine.jobs.last_error.store(Some(Arc::new(what)));
        }
    }
}

fn compact(engine: &Engine) -> Result<bool> {
    while engine.compact_once()? {
        if engine.jobs.state.lock().stop {
            break;
        }
    }
    Ok(true)
}
