//! Background work: what can also be called step by step, done by the threads that the databases of a process share
//! ([`crate::pool`]) when it is asked for. Work that panics is not done again, and with it ends what the database writes (see
//! [`super::panics`]).

use crate::{
    error::{ErrorCode, Result},
    pool::{Lane, Next, Task},
};
use arc_swap::ArcSwapOption;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};

/// After a failed checkpoint or merge, the wait before the next try.
const RETRY: Duration = Duration::from_secs(1);

/// See the [module documentation](self).
#[derive(Debug)]
pub(super) struct Jobs {
    enabled: bool,
    stopping: AtomicBool,
    /// Each kind of work, once it is known whose it is.
    tasks: OnceLock<[Task; 5]>,
    /// Within how long a sync begins that was asked for.
    sync_tick: OnceLock<Duration>,
    /// After how long a sweep begins that was asked for.
    sweep_tick: OnceLock<Duration>,
    checkpoint_asked: AtomicBool,
    /// Whether something was committed that no background sync has begun after; true, too, where none is ever made.
    sync_asked: AtomicBool,
    /// Whether it is to be looked who has held a state for too long; true, too, where nobody ever looks.
    sweep_asked: AtomicBool,
    /// Whether something was submitted, and nobody was asked to end it yet.
    submitted_asked: AtomicBool,
    failing: AtomicBool,
    /// What the last background failure was, until the work succeeds.
    last_error: ArcSwapOption<String>,
    /// Bytes written by a merge since it last gave way.
    burst: AtomicU64,
}

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Checkpoint,
    Compact,
    Sync,
    Sweep,
    /// Ending commits that were submitted.
    Submitted,
}

impl Job {
    /// All of them, in the order of their numbers.
    const ALL: [Self; 5] = [Self::Checkpoint, Self::Compact, Self::Sync, Self::Sweep, Self::Submitted];

    /// The threads that do it.
    fn lane(self) -> Lane {
        match self {
            Self::Checkpoint => Lane::Checkpoint,
            Self::Compact => Lane::Compact,
            Self::Sync | Self::Submitted => Lane::Sync,
            Self::Sweep => Lane::Keep,
        }
    }
}

/// Whose work it is.
pub(super) trait Worker: std::fmt::Debug + Send + Sync {
    /// The jobs that are attached to it.
    fn jobs(&self) -> &Jobs;

    /// Does a piece of work, until there is no more of that kind or `is_stopped` says so. Returns who is to be woken when others
    /// may stop it.
    fn work(&self, job: Job, is_stopped: &dyn Fn() -> bool) -> Result<Vec<Waker>>;

    /// Takes note that work panicked: nothing more is written.
    fn note_panic(&self, what: &str, panic: &(dyn Any + Send));

    /// Whether nothing more is written.
    fn has_panicked(&self) -> bool;
}

impl Jobs {
    pub fn new(enabled: bool) -> Self {
        Self {
            enabled,
            stopping: AtomicBool::new(false),
            tasks: OnceLock::new(),
            sync_tick: OnceLock::new(),
            sweep_tick: OnceLock::new(),
            checkpoint_asked: AtomicBool::new(false),
            sync_asked: AtomicBool::new(true),
            sweep_asked: AtomicBool::new(true),
            submitted_asked: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            last_error: ArcSwapOption::empty(),
            burst: AtomicU64::new(0),
        }
    }

    /// Tells the jobs whose work they do, within how long a sync that is asked for begins, and after how long a sweep does;
    /// `None`: nobody asks.
    pub fn attach(&self, worker: &Arc<dyn Worker>, sync_tick: Option<Duration>, sweep_tick: Option<Duration>) {
        if !self.enabled {
            return;
        }
        let _ = self.tasks.set(Job::ALL.map(|job| task_of(worker, job)));
        let ticks = [(&self.sync_tick, sync_tick, &self.sync_asked), (&self.sweep_tick, sweep_tick, &self.sweep_asked)];
        for (place, tick, asked) in ticks {
            if tick.is_some_and(|tick| place.set(tick).is_ok()) {
                asked.store(false, Ordering::Release);
            }
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
            self.ask(Job::Checkpoint, Duration::ZERO);
        }
    }

    /// Asks for merges soon.
    pub fn ask_for_compaction(&self) {
        if self.enabled {
            self.ask(Job::Compact, Duration::ZERO);
        }
    }

    /// Asks for a sync of what was appended before, within the sync interval. Costs a load if one was asked for already.
    #[inline]
    pub fn ask_for_sync(&self) {
        if !self.sync_asked.load(Ordering::Acquire) && !self.sync_asked.swap(true, Ordering::AcqRel) {
            // What is committed meanwhile shares the sync.
            self.ask(Job::Sync, self.sync_tick.get().copied().unwrap_or_default());
        }
    }

    /// Asks for a look, in a while, at who has held a state for too long. Costs a load if one was asked for already.
    #[inline]
    pub fn ask_for_sweep(&self) {
        if !self.sweep_asked.load(Ordering::Acquire) && !self.sweep_asked.swap(true, Ordering::AcqRel) {
            self.ask(Job::Sweep, self.sweep_tick.get().copied().unwrap_or_default());
        }
    }

    /// Asks for the end of what was submitted before, at once. Costs a swap if that was asked for already. `false`: no thread
    /// does it, so that who wants to know how it ends has to do it, whatever was said to those who asked just before.
    pub fn ask_to_end_submitted(&self) -> bool {
        if self.tasks.get().is_none() {
            return false;
        }
        self.submitted_asked.swap(true, Ordering::AcqRel) || self.ask(Job::Submitted, Duration::ZERO)
    }

    /// What says that a job was asked for, and not begun yet. Of merges nothing does.
    fn asked(&self, job: Job) -> Option<&AtomicBool> {
        match job {
            Job::Checkpoint => Some(&self.checkpoint_asked),
            Job::Compact => None,
            Job::Sync => Some(&self.sync_asked),
            Job::Sweep => Some(&self.sweep_asked),
            Job::Submitted => Some(&self.submitted_asked),
        }
    }

    /// Returns whether a thread comes to it.
    fn ask(&self, job: Job, after: Duration) -> bool {
        let Some(task) = self.tasks.get().and_then(|tasks| tasks.get(job as usize)) else { return false };
        let Err(e) = task.ask(after) else { return true };
        self.last_error.store(Some(Arc::new(format!("cannot start a background thread: {e}"))));
        // The next one who wants it asks again.
        self.asked(job).into_iter().for_each(|asked| asked.store(false, Ordering::SeqCst));
        false
    }

    /// Ends all jobs, after what they are doing. Jobs of other databases are not waited for.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.tasks.get().into_iter().flatten().for_each(Task::stop);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
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

    /// Notes how a job ended. After a failure it is done again in a while.
    fn note(&self, job: Job, result: Result<Vec<Waker>>) -> Next {
        match result {
            // They say nothing of what else is done; each commit says itself how it ended.
            Ok(wakers) if matches!(job, Job::Sweep | Job::Submitted) => Next::Woken(wakers),
            Ok(_) => {
                self.failing.store(false, Ordering::Release);
                self.last_error.store(None);
                Next::Asked
            }
            Err(e) => {
                tracing::warn!("background work of a database failed and will be tried again: {e}");
                self.failing.store(true, Ordering::Release);
                self.last_error.store(Some(Arc::new(e.to_string())));
                // A log that failed is synced by nobody before it is recovered.
                if job == Job::Sync && e.code() == ErrorCode::SyncFailed {
                    return Next::Asked;
                }
                self.asked(job).into_iter().for_each(|asked| asked.store(true, Ordering::Release));
                Next::In(RETRY)
            }
        }
    }
}

/// A job of `worker`, which it does not keep alive.
fn task_of(worker: &Arc<dyn Worker>, job: Job) -> Task {
    let (weak, panicked) = (Arc::downgrade(worker), AtomicBool::new(false));
    Task::new(job.lane(), move || match weak.upgrade() {
        Some(worker) if !panicked.load(Ordering::Acquire) => {
            let next = do_job(&worker, job);
            panicked.store(next.is_none(), Ordering::Release);
            next.unwrap_or(Next::Asked)
        }
        _ => Next::Asked,
    })
}

/// Does a job once. `None`: it panicked.
fn do_job(worker: &Arc<dyn Worker>, job: Job) -> Option<Next> {
    let jobs = worker.jobs();
    // Once nothing more is written, what is in the log is still synced, and ends, and who reads is still told that he has done so
    // for long.
    let goes_on = matches!(job, Job::Sync | Job::Sweep | Job::Submitted);
    if jobs.is_stopping() || (worker.has_panicked() && !goes_on) {
        return Some(Next::Asked);
    }
    // Before the work: what comes after this asks again.
    jobs.asked(job).into_iter().for_each(|asked| asked.store(false, Ordering::SeqCst));
    match catch_unwind(AssertUnwindSafe(|| worker.work(job, &|| jobs.is_stopping()))) {
        Ok(result) => Some(jobs.note(job, result)),
        Err(panic) => {
            worker.note_panic("work in the background", &*panic);
            None
        }
    }
}
