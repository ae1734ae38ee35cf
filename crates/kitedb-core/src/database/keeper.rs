//! The keeper of a log's mailbox: makes the checkpoints that other processes ask for, and runs retention, when that is asked
//! for or by itself every so often. Nobody asks: no thread of it is there (see [`crate::pool`]).

use crate::{
    db::{Engine, ReplicationRole},
    error::{ErrorCode, Result},
    lock::Mutex,
    log::{Control, RetentionAnswer},
    pool::{Lane, Next, Task},
    replication::{FollowedLog, RetentionOutcome, RetentionWindows},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How often a full disk is tried again where other processes are to be told something.
const FULL: Duration = Duration::from_secs(1);
/// How often it is looked whether a disk got full, where it matters and nobody came to say it.
const ROOM: Duration = Duration::from_secs(30);

/// See the [module documentation](self). Dropped, it ends.
#[derive(Debug)]
pub(super) struct Keeper {
    task: Task,
    stopping: Arc<AtomicBool>,
}

impl Keeper {
    /// Begins to keep the mailbox of that engine's log; `None` where it has none, or nothing is to be done in the background.
    pub fn start(engine: &Arc<Engine>, followed_log: Option<&Arc<FollowedLog>>) -> Option<Self> {
        let control =
            engine.sidecar.clone().filter(|control| engine.options.background && control.require_mapped().is_ok())?;
        let stopping = Arc::new(AtomicBool::new(false));
        let keeping = Keeping {
            of: Arc::downgrade(followed_log?),
            control,
            interval: engine.options.retention.interval_ms.map(Duration::from_millis),
            stopping: stopping.clone(),
            so_far: Mutex::default(),
        };
        let keeper = Self { task: Task::new(Lane::Keep, move || keeping.turn()), stopping };
        if let Err(e) = keeper.task.ask(Duration::ZERO) {
            tracing::warn!("cannot start a thread for retention and requests of replicas: {e}");
        }
        Some(keeper)
    }

    /// Ends, after what it is doing.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.task.stop();
    }
}

struct Keeping {
    /// It, and its engine.
    of: Weak<FollowedLog>,
    control: Arc<Control>,
    /// How often retention runs by itself.
    interval: Option<Duration>,
    stopping: Arc<AtomicBool>,
    so_far: Mutex<SoFar>,
}

/// What it has done.
#[derive(Default)]
struct SoFar {
    /// The checkpoints that it has made of those that were asked for; `None` before it began.
    done: Option<u64>,
    /// Whether there was no room to say something: nobody tells when there is.
    full: bool,
}

impl Keeping {
    fn still(&self) -> bool {
        !self.stopping.load(Ordering::Acquire)
    }

    /// Does what was asked for, and says what it waits for then.
    fn turn(&self) -> Next {
        let mut so_far = self.so_far.lock();
        let Some(log) = self.of.upgrade().filter(|_| self.still()) else { return Next::Asked };
        let control = &self.control;
        let done = match so_far.done {
            Some(done) => self.keep(&log, &mut so_far, done),
            None => {
                let done = control.checkpoints_done();
                if control.retention_is_asked() {
                    // Asked of the process before this one: who asked does so again if it still wants it.
                    so_far.full = !said(control.answer_retention(RetentionAnswer::Dropped));
                }
                done
            }
        };
        so_far.done = Some(done);
        so_far.full |= control.pay().is_err();
        let look = if so_far.full { Some(FULL) } else { control.may_owe().then_some(ROOM) };
        let within = [self.interval, look].into_iter().flatten().min();
        // Who waits for room does not do again at once what it has no room for.
        match control.request((!so_far.full).then_some(done), &|| self.still()) {
            Some(word) => Next::Changed(word, within),
            None => Next::In(Duration::ZERO),
        }
    }

    /// Does what was asked for. Returns how many checkpoints that were asked for are done.
    fn keep(&self, log: &FollowedLog, so_far: &mut SoFar, mut done: u64) -> u64 {
        let (control, retain) = (&self.control, self.interval.is_some() && !so_far.full);
        so_far.full = match catch_unwind(AssertUnwindSafe(|| keep(log, control, &mut done, retain))) {
            Ok(was_said) => !was_said,
            Err(panic) => {
                log.engine.note_panic("retention, or the answer to a request,", &*panic);
                // Who asked learns of it. It goes on: who asks next is told, too.
                done = control.checkpoints_asked();
                let failed = RetentionAnswer::Failed(Some(ErrorCode::Poisoned));
                control.retention_is_asked() && !said(control.answer_retention(failed))
            }
        };
        done
    }
}

/// Does what was asked for. Returns whether that could be said.
fn keep(log: &FollowedLog, control: &Control, done: &mut u64, retain: bool) -> bool {
    if let Some([min_entries, min_ms, max_bytes, max_lag_ms]) = control.asked_retention() {
        let windows = RetentionWindows { min_entries, min_ms, max_bytes, max_lag_ms };
        let answer = match run_retention(log, &log.engine, &windows) {
            Ok(done) => RetentionAnswer::Ran(done.pruned_segments, done.retained_floor),
            Err(e) => {
                tracing::warn!("retention that another process asked for failed: {e}");
                RetentionAnswer::Failed(Some(e.code()))
            }
        };
        return said(control.answer_retention(answer));
    }
    let asked = control.checkpoints_asked();
    if asked != *done {
        match log.engine.checkpoint_to_be_copied() {
            Ok(()) if !said(control.set_checkpoints_done(asked)) => return false,
            Ok(()) => {}
            Err(e) => tracing::warn!("a checkpoint that a replica asked for failed: {e}"),
        }
        *done = asked;
    } else if retain && let Err(e) = log.run_retention(&log.engine.options.retention) {
        tracing::warn!("retention failed: {e}");
    }
    true
}

/// Whether who asked is told. If not, for want of room, he is told later.
fn said(stored: Result<()>) -> bool {
    if let Err(e) = &stored {
        tracing::warn!("what another process asked for was not answered: {e}");
    }
    stored.is_ok()
}

/// Runs retention on behalf of who is no handle to the file.
pub(super) fn run_retention(
    followed_log: &FollowedLog,
    engine: &Engine,
    windows: &RetentionWindows,
) -> Result<RetentionOutcome> {
    if engine.role() == ReplicationRole::Primary {
        engine.require_leading(engine.epoch())?;
    }
    let mut retention = engine.options.retention;
    retention.min_entries = windows.min_entries.unwrap_or(retention.min_entries);
    retention.min_ms = windows.min_ms.or(retention.min_ms);
    retention.max_bytes = windows.max_bytes.or(retention.max_bytes);
    retention.max_lag_ms = windows.max_lag_ms.or(retention.max_lag_ms);
    followed_log.run_retention(&retention)
}
