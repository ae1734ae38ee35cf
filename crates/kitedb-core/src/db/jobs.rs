//! Background work: threads that merely run what can also be called step by step. Each sleeps until there is something for
//! it to do; one that panics ends, and with it what the database writes (see [`super::panics`]).

use crate::{
    error::{ErrorCode, Result},
    lock::{Condvar, Mutex},
};
use arc_swap::ArcSwapOption;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
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
    /// Of each kind of work, so that nobody is woken for that of another.
    wake: [Condvar; 4],
    checkpoint_asked: AtomicBool,
    /// Whether something was committed that no background sync has begun after; true, too, where none is ever made.
    sync_asked: AtomicBool,
    /// Whether something was submitted that nobody was asked to end yet.
    submitted_asked: AtomicBool,
    /// Whether a thread ends what is submitted: from the first such commit on.
    ends_submitted: AtomicBool,
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
    worker: Option<Weak<dyn Worker>>,
    threads: Vec<JoinHandle<()>>,
}

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Checkpoint,
    Compact,
    Sync,
    /// Ending commits that were submitted.
    Submitted,
}

impl Job {
    /// The name of its thread.
    fn thread(self) -> &'static str {
        match self {
            Self::Checkpoint => "kitedb-checkpoint",
            Self::Compact => "kitedb-compact",
            Self::Sync => "kitedb-sync",
            Self::Submitted => "kitedb-submit",
        }
    }
}

/// Whose work it is.
pub(super) trait Worker: std::fmt::Debug + Send + Sync {
    /// The jobs that are attached to it.
    fn jobs(&self) -> &Jobs;

    /// Does a piece of work, until there is no more of that kind or `is_stopped` says so.
    fn work(&self, job: Job, is_stopped: &dyn Fn() -> bool) -> Result<()>;

    /// Takes note that work panicked: nothing more is written.
    fn note_panic(&self, what: &str, panic: &(dyn Any + Send));

    /// Whether nothing more is written.
    fn has_panicked(&self) -> bool;
}

impl Jobs {
    pub fn new(enabled: bool) -> Self {
        Self {
            enabled,
            state: Mutex::default(),
            wake: Default::default(),
            checkpoint_asked: AtomicBool::new(false),
            sync_asked: AtomicBool::new(true),
            submitted_asked: AtomicBool::new(false),
            ends_submitted: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            last_error: ArcSwapOption::empty(),
            burst: AtomicU64::new(0),
        }
    }

    /// Tells the jobs whose work they do, and within how long a sync that is asked for begins; `None`: nobody asks. Threads
    /// start with the first work.
    pub fn attach(&self, worker: &Arc<dyn Worker>, sync_tick: Option<Duration>) {
        let mut state = self.state.lock();
        state.worker = Some(Arc::downgrade(worker));
        if let Some(tick) = sync_tick.filter(|_| self.enabled) {
            self.sync_asked.store(false, Ordering::Release);
            start(&mut state, worker, Job::Sync, tick);
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
            self.wake_up(Job::Checkpoint, |_| {});
        }
    }

    /// Asks for merges soon.
    pub fn ask_for_compaction(&self) {
        if self.enabled {
            self.wake_up(Job::Compact, |state| state.compaction_due = true);
        }
    }

    /// Asks for a sync of what was appended before, within the sync interval. Costs a load if one was asked for already.
    #[inline]
    pub fn ask_for_sync(&self) {
        if !self.sync_asked.load(Ordering::Acquire) && !self.sync_asked.swap(true, Ordering::AcqRel) {
            // Under the lock: whoever is about to sleep has looked, or will see it.
            let _state = self.state.lock();
            self.notify(Job::Sync);
        }
    }

    /// Asks for the end of what was submitted before, at once. Costs a load and a swap if that was asked for already. `false`: no
    /// thread does it, so that who wants to know how it ends has to do it.
    pub fn ask_to_end_submitted(&self) -> bool {
        if !self.enabled {
            return false;
        }
        let starts = !self.ends_submitted.load(Ordering::Acquire);
        if self.submitted_asked.swap(true, Ordering::AcqRel) && !starts {
            return true;
        }
        // Under the lock: whoever is about to sleep has looked, or will see it.
        let mut state = self.state.lock();
        if starts && !self.ends_submitted.load(Ordering::Acquire) {
            let Some(worker) = state.worker.as_ref().and_then(Weak::upgrade).filter(|_| !state.stop) else {
                return false;
            };
            let before = state.threads.len();
            start(&mut state, &worker, Job::Submitted, Duration::ZERO);
            if state.threads.len() == before {
                return false;
            }
            self.ends_submitted.store(true, Ordering::Release);
        }
        self.notify(Job::Submitted);
        true
    }

    fn notify(&self, job: Job) {
        self.wake[job as usize].notify_one();
    }

    fn wake_up(&self, job: Job, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        if let Some(worker) = state.worker.as_ref().and_then(Weak::upgrade)
            && !state.stop
            && !state.threads.iter().any(|t| t.thread().name() == Some(Job::Checkpoint.thread()))
        {
            start(&mut state, &worker, Job::Checkpoint, Duration::ZERO);
            start(&mut state, &worker, Job::Compact, Duration::ZERO);
        }
        self.notify(job);
    }

    /// Ends all threads, after what they are doing.
    pub fn stop(&self) {
        let threads = {
            let mut state = self.state.lock();
            state.stop = true;
            for job in [Job::Checkpoint, Job::Compact, Job::Sync, Job::Submitted] {
                self.notify(job);
            }
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
                Job::Submitted if self.submitted_asked.swap(false, Ordering::AcqRel) => return true,
                Job::Sync if self.sync_asked.load(Ordering::Acquire) => {
                    // What is committed meanwhile shares the sync.
                    if self.wake[job as usize].wait_for(&mut state, interval).timed_out() {
                        // Before the sync: what is appended after this asks again.
                        self.sync_asked.store(false, Ordering::SeqCst);
                        return !state.stop;
                    }
                }
                _ => self.wake[job as usize].wait(&mut state),
            }
        }
    }

    /// Notes how a job ended. After a failure it waits a while and asks for the job again.
    fn note(&self, job: Job, result: Result<()>) {
        if job == Job::Submitted {
            // Each commit says itself how it ended.
            return;
        }
        let mut state = self.state.lock();
        match result {
            Ok(()) => {
                self.failing.store(false, Ordering::Release);
                self.last_error.store(None);
            }
            Err(e) => {
                tracing::warn!("background work of a database failed and will be tried again: {e}");
                self.failing.store(true, Ordering::Release);
                self.last_error.store(Some(Arc::new(e.to_string())));
                if !state.stop {
                    self.wake[job as usize].wait_for(&mut state, RETRY);
                }
                match job {
                    Job::Checkpoint => self.checkpoint_asked.store(true, Ordering::Release),
                    Job::Compact => state.compaction_due = true,
                    // A log that failed is synced by nobody before it is recovered.
                    Job::Sync => self.sync_asked.store(e.code() != ErrorCode::SyncFailed, Ordering::Release),
                    Job::Submitted => {}
                }
            }
        }
    }
}

/// Starts the thread of a job. A sync begins at most `tick` after it was asked for.
fn start(state: &mut State, worker: &Arc<dyn Worker>, job: Job, tick: Duration) {
    let weak = Arc::downgrade(worker);
    let spawned = std::thread::Builder::new().name(job.thread().to_owned()).spawn(move || {
        while let Some(worker) = weak.upgrade() {
            let jobs = worker.jobs();
            if !jobs.wait(job, tick) {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| worker.work(job, &|| jobs.state.lock().stop))) {
                Ok(result) => jobs.note(job, result),
                Err(panic) => return worker.note_panic("work in the background", &*panic),
            }
            if worker.has_panicked() && !matches!(job, Job::Sync | Job::Submitted) {
                // Nothing more is written; what is in the log is still synced, and ends.
                return;
            }
        }
    });
    match spawned {
        Ok(thread) => state.threads.push(thread),
        Err(e) => {
            let what = format!("cannot start a background thread: {e}");
            worker.jobs().last_error.store(Some(Arc::new(what)));
        }
    }
}
