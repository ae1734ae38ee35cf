//! The threads that work in the background, for every database of this process.
//!
//! A [`Task`] is work that comes again and again: the checkpoints of a database, its merges, its syncs. Whoever wants it done
//! asks for it; a task is never done by two threads at a time. Each kind of work, a [`Lane`], has its threads. The first ones
//! start when there is work; another one starts where work is due that none of them came to for [`PATIENCE`], because they
//! are all at something long. So work waits for other work that short at most, whatever that does, and may itself wait
//! for work of its own lane. A thread beyond the first ones of its lane ends when nothing is due; the first ones when nothing was
//! for [`LINGER`]. One more thread keeps the time, as long as something is to be done later. So a process whose databases
//! are idle has seven threads at most, however many there are, and after a while none; nobody wakes up to look.
//!
//! A child that was forked has none of these threads: it makes a pool of its own, and whatever it has of the pool of its
//! parent does nothing there.

mod plan;
#[cfg(test)]
mod tests;
mod watch;

pub use plan::Lane;

use crate::{
    io::{Host, SystemHost, WatchedWord},
    lock::long_wait::{Condvar, Mutex, MutexGuard},
};
use arc_swap::ArcSwapOption;
use plan::{Moment, Plan, TaskId};
use std::{
    collections::HashMap,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Waker,
    thread::{self, ThreadId},
    time::Duration,
};
use watch::Watchers;

/// For how long work is due before another thread starts for it.
const PATIENCE: Duration = Duration::from_millis(10);
/// How long a thread waits for work before it ends.
const LINGER: Duration = Duration::from_secs(10);
/// When it is tried again to start a thread where that failed.
const RETRY: Duration = Duration::from_secs(1);

/// How many threads of a lane start without [`PATIENCE`], and stay for a while.
const fn first_threads(lane: Lane) -> usize {
    match lane {
        // Two databases that are written to sync beside each other.
        Lane::Sync => 2,
        _ => 1,
    }
}

/// When a task is due again that was done.
#[derive(Debug, Clone)]
pub enum Next {
    /// When it is asked for.
    Asked,
    /// After so long, or when it is asked for before.
    In(Duration),
    /// When that word is changed or woken, or after so long, or when it is asked for before.
    Changed(WatchedWord, Option<Duration>),
    /// When it is asked for. These are woken first, when the task counts as done: what runs then is code of callers, which may
    /// stop this task or another one, and keeps nobody waiting who stops it or asks for it.
    Woken(Vec<Waker>),
}

/// Wakes all of them: one that panics keeps no other from it.
pub fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        // A defect of an executor is none of a database.
        if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
            tracing::warn!("the waker of a submitted commit panicked");
        }
    }
}

type Work = dyn Fn() -> Next + Send + Sync;

/// Work that comes again and again. Dropped, it is [stopped](Task::stop).
pub struct Task {
    pool: Arc<Pool>,
    id: TaskId,
}

impl Task {
    /// A task of that kind. Nobody does it before it is asked for. `work` is to tell of its own panics: one that gets here only
    /// ends this one time.
    pub fn new(lane: Lane, work: impl Fn() -> Next + Send + Sync + 'static) -> Self {
        Self::new_in(Pool::shared(), lane, work)
    }

    fn new_in(pool: Arc<Pool>, lane: Lane, work: impl Fn() -> Next + Send + Sync + 'static) -> Self {
        let id = {
            let mut state = pool.state.lock();
            let id = state.plan.add(lane);
            state.works.insert(id, Arc::new(work));
            id
        };
        Self { pool, id }
    }

    /// Lets it be done `after` so long, or before if it was asked for already. If it is being done, it is done once more.
    ///
    /// # Errors
    /// Where no thread can be started, and there is none: it is done once somebody asks for work and one can be.
    pub fn ask(&self, after: Duration) -> io::Result<()> {
        if self.pool.host.forked() {
            return Ok(());
        }
        let mut state = self.pool.state.lock();
        self.pool.ask(&mut state, self.id, after)
    }

    /// Lets nobody begin it any more, and waits for whoever does it: unless that is who calls.
    pub fn stop(&self) {
        if self.pool.host.forked() {
            // Its threads are in another process, and so may be whoever holds the lock.
            return;
        }
        let mut state = self.pool.state.lock();
        let mut gone = state.plan.remove(self.id);
        let me = thread::current().id();
        while !gone && state.runners.get(&self.id) != Some(&me) {
            state = self.pool.ended.wait(state);
            gone = !state.plan.has(self.id);
        }
        let work = state.works.remove(&self.id);
        state.watchers.forget(self.id);
        drop(state);
        // What it holds may stop a task.
        drop(work);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.id).finish()
    }
}

/// The pool of this process. Swapped without a lock, and never freed: a forked child finds it in whatever state another thread
/// had it.
static SHARED: ArcSwapOption<Pool> = ArcSwapOption::const_empty();

struct Pool {
    host: Arc<dyn Host>,
    state: Mutex<State>,
    /// Of each lane: something is due.
    wake: [Condvar; Lane::ALL.len()],
    /// Something is due sooner than it was.
    timer: Condvar,
    /// A task that somebody waits for is gone.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    plan: Plan,
    works: HashMap<TaskId, Arc<Work>>,
    /// Who does what.
    runners: HashMap<TaskId, ThreadId>,
    threads: [Threads; Lane::ALL.len()],
    /// Whether there is a thread that keeps the time.
    timer_runs: bool,
    /// Until when it sleeps.
    timer_until: Option<Moment>,
    /// When a thread could not be started.
    failed_at: Option<Moment>,
    watchers: Watchers,
}

/// The threads of a lane.
#[derive(Default, Clone, Copy)]
struct Threads {
    all: usize,
    /// Of these, those that do nothing.
    idle: usize,
    /// Of these, those that were started, and have not looked yet.
    coming: usize,
}

impl Threads {
    /// How many come to what is due, each to one task, without being waited for.
    fn free(self) -> usize {
        self.idle + self.coming
    }
}

impl Pool {
    fn shared() -> Arc<Self> {
        loop {
            let found = SHARED.load_full();
            if let Some(pool) = found.as_ref().filter(|pool| !pool.host.forked()) {
                return pool.clone();
            }
            let pool = Arc::new(Self::new());
            let before = SHARED.compare_and_swap(&found, Some(pool));
            // Of a parent: what it holds may be half changed.
            std::mem::forget((found, arc_swap::Guard::into_inner(before)));
        }
    }

    fn new() -> Self {
        Self {
            host: SystemHost::shared(),
            state: Mutex::default(),
            wake: Default::default(),
            timer: Condvar::new(),
            ended: Condvar::new(),
        }
    }

    fn now(&self) -> Moment {
        self.host.monotonic_ns()
    }

    /// See [`Task::ask`].
    fn ask(self: &Arc<Self>, state: &mut State, id: TaskId, after: Duration) -> io::Result<()> {
        let now = self.now();
        match state.plan.ask(id, now.saturating_add(nanos(after)), now) {
            Some(lane) => self.provide(state, lane),
            None => self.tell_timer(state),
        }
    }

    /// Sees to it that a thread of that lane comes to what is due: one that does nothing, a new one, or, after a while, one
    /// that the timer starts.
    fn provide(self: &Arc<Self>, state: &mut State, lane: Lane) -> io::Result<()> {
        let threads = state.threads[lane as usize];
        if threads.free() >= state.plan.waiting(lane) {
            self.wake[lane as usize].notify_one();
            return Ok(());
        }
        if threads.all < first_threads(lane) {
            match self.start(state, lane) {
                Err(e) if threads.all == 0 => return Err(e),
                _ => {}
            }
        }
        // Those that are at work may be so for long.
        self.tell_timer(state)
    }

    /// Starts a thread of that lane.
    fn start(self: &Arc<Self>, state: &mut State, lane: Lane) -> io::Result<()> {
        let pool = self.clone();
        let spawned = thread::Builder::new().name(lane.thread().to_owned()).spawn(move || pool.serve(lane));
        match spawned {
            Ok(_) => {
                state.threads[lane as usize].all += 1;
                state.threads[lane as usize].coming += 1;
                state.failed_at = None;
                Ok(())
            }
            Err(e) => {
                state.failed_at = Some(self.now());
                Err(e)
            }
        }
    }

    /// When the timer has to look next.
    fn due_for_timer(state: &State) -> Option<Moment> {
        let late = Lane::ALL.into_iter().filter_map(|lane| {
            let since = state.plan.waits_since(lane, state.threads[lane as usize].free())?;
            let patient = since.saturating_add(nanos(PATIENCE));
            Some(state.failed_at.map_or(patient, |failed| patient.max(failed.saturating_add(nanos(RETRY)))))
        });
        late.chain(state.plan.next()).min()
    }

    /// Sees to it that somebody looks when the next task is due, or has waited for a thread too long.
    fn tell_timer(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let Some(due) = Self::due_for_timer(state) else { return Ok(()) };
        if state.timer_runs {
            if state.timer_until.is_none_or(|until| due < until) {
                self.timer.notify_one();
            }
            return Ok(());
        }
        let pool = self.clone();
        thread::Builder::new().name("kitedb-timer".to_owned()).spawn(move || pool.keep_time())?;
        state.timer_runs = true;
        Ok(())
    }

    /// The timer: lets tasks be due when their moment has come, and starts threads for those that waited too long.
    fn keep_time(self: &Arc<Self>) {
        let mut state = self.state.lock();
        loop {
            let now = self.now();
            state.plan.pass(now);
            for lane in Lane::ALL {
                self.come_to(&mut state, lane, now);
            }
            state.timer_until = Self::due_for_timer(&state);
            match state.timer_until {
                Some(until) => {
                    let nap = Duration::from_nanos(until.saturating_sub(self.now()));
                    (state, _) = self.timer.wait_for(state, nap);
                }
                None => {
                    let quiet;
                    (state, quiet) = self.timer.wait_for(state, LINGER);
                    if quiet && Self::due_for_timer(&state).is_none() {
                        state.timer_runs = false;
                        return;
                    }
                }
            }
        }
    }

    /// Wakes or starts as many threads of a lane as its due work needs.
    fn come_to(self: &Arc<Self>, state: &mut State, lane: Lane, now: Moment) {
        let idle = state.threads[lane as usize].idle;
        (0..idle.min(state.plan.waiting(lane))).for_each(|_| {
            self.wake[lane as usize].notify_one();
        });
        let late = |since: Moment| since.saturating_add(nanos(PATIENCE)) <= now;
        while let Some(since) = state.plan.waits_since(lane, state.threads[lane as usize].free())
            && (late(since) || state.threads[lane as usize].all < first_threads(lane))
        {
            if let Err(e) = self.start(state, lane) {
                tracing::warn!("cannot start a thread for background work of databases, which waits for another: {e}");
                return;
            }
        }
    }

    /// A thread of a lane.
    fn serve(self: &Arc<Self>, lane: Lane) {
        let at = lane as usize;
        let mut state = self.state.lock();
        state.threads[at].coming -= 1;
        loop {
            if let Some(id) = state.plan.take(lane) {
                state = self.do_it(state, id, lane);
                continue;
            }
            if state.threads[at].all > first_threads(lane) {
                break;
            }
            state.threads[at].idle += 1;
            let quiet;
            (state, quiet) = self.wake[at].wait_for(state, LINGER);
            state.threads[at].idle -= 1;
            if quiet && state.plan.waiting(lane) == 0 {
                break;
            }
        }
        state.threads[at].all -= 1;
    }

    /// Does a task of that lane, with the lock given up meanwhile.
    fn do_it<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        id: TaskId,
        lane: Lane,
    ) -> MutexGuard<'a, State> {
        let work = state.works.get(&id).cloned();
        state.runners.insert(id, thread::current().id());
        drop(state);
        // It is gone before it counts as done: what it holds is nobody's then.
        let done = work.and_then(|work| catch_unwind(AssertUnwindSafe(|| work())).ok());
        let mut state = self.state.lock();
        state.runners.remove(&id);
        let (after, word, wakers) = match done {
            Some(Next::In(after)) => (Some(after), None, Vec::new()),
            Some(Next::Changed(word, after)) => (after, Some(word), Vec::new()),
            Some(Next::Woken(wakers)) => (None, None, wakers),
            Some(Next::Asked) | None => (None, None, Vec::new()),
        };
        let now = self.now();
        if state.plan.done(id, after.map(|after| now.saturating_add(nanos(after))), now) {
            self.ended.notify_all();
            return self.woken(state, wakers);
        }
        if let Some(word) = word
            && let Err(e) = state.watchers.watch(self, id, word)
        {
            tracing::warn!("cannot start a thread that waits for what other processes ask: {e}");
            let _ = self.ask(&mut state, id, RETRY);
        }
        // It may be due again. Who does nothing, this thread among them, comes to it.
        let _ = self.tell_timer(&mut state);
        if !wakers.is_empty() && state.plan.waiting(lane) > 0 {
            // For this thread nobody can tell when it comes.
            let _ = self.provide(&mut state, lane);
        }
        self.woken(state, wakers)
    }

    /// Wakes those, with the lock given up meanwhile.
    fn woken<'a>(&'a self, state: MutexGuard<'a, State>, wakers: Vec<Waker>) -> MutexGuard<'a, State> {
        if wakers.is_empty() {
            return state;
        }
        drop(state);
        wake_all(wakers);
        self.state.lock()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
