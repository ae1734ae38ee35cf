//! Waits for tokens: however many there are, one thread for each database that has any looks after all of them.

use crate::fault::{self, Outcome};
use kitedb::{Database, Error, ErrorCode, Token, TokenWait, Watch};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// So many waits for tokens may be under way in a process: each commit that some of them wait for has all looked at.
const MOST_WAITS: usize = 10_000;
/// So many other calls may be on threads of their own.
const MOST_THREADS: usize = 256;

static WAITS: AtomicUsize = AtomicUsize::new(0);
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// A place among those that a process has, until it is dropped.
pub struct Place(&'static AtomicUsize);

impl Place {
    /// One for a thread.
    ///
    /// # Errors
    /// [`ErrorCode::WouldBlock`]: all are taken.
    pub fn of_thread() -> kitedb::Result<Self> {
        Self::among(&THREADS, MOST_THREADS, "calls that may wait for ever")
    }

    fn of_wait() -> kitedb::Result<Self> {
        Self::among(&WAITS, MOST_WAITS, "waits for tokens")
    }

    fn among(taken: &'static AtomicUsize, most: usize, what: &str) -> kitedb::Result<Self> {
        let more = |count| (count < most).then_some(count + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map(|_| Self(taken)).map_err(|_| {
            Error::new(
                ErrorCode::WouldBlock,
                format_args!(
                    "{most} {what} are under way in this process, which is all that it takes: try again once some have ended"
                ),
            )
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does something on a thread of its own; the error if there is none to be had, and then it is not done.
pub fn apart(run: impl FnOnce() + Send + 'static) -> kitedb::Result<()> {
    let thread = thread::Builder::new().name("kitedb-wait".to_owned()).spawn(run);
    thread.map(drop).map_err(|e| {
        Error::new(
            ErrorCode::Io,
            format_args!("the machine has no thread left to wait on ({e}): try again once others have ended"),
        )
    })
}

/// What is waited for, and how long.
pub struct Asked {
    /// The number under which JavaScript holds the database.
    pub of: u64,
    pub db: Database,
    pub token: Token,
    pub timeout_ms: u64,
}

/// Is told what came of a wait, on any thread.
pub type End = Box<dyn FnOnce(Outcome<TokenWait>) + Send>;

struct Wait {
    token: Token,
    /// `None`: as long as it takes.
    deadline: Option<Instant>,
    /// Whether anybody looked for it yet: one that has no time to wait is looked for all the same.
    looked: bool,
    watch: Watch,
    end: End,
    _place: Place,
}

/// Those who wait for tokens of one database.
struct Waiting {
    waits: FxHashMap<u64, Wait>,
    /// Wakes the thread that looks after them, once there are others.
    changed: Watch,
}

/// The waits of a thread of JavaScript, by its numbers for databases, and for jobs.
#[derive(Default)]
pub struct Waits(Mutex<FxHashMap<u64, Waiting>>);

#[expect(clippy::disallowed_methods, reason = "a thread sleeps by the clock of the real machine")]
fn now() -> Instant {
    Instant::now()
}

impl Waits {
    /// Begins a wait under the number of a job. `end` is called once, perhaps before this returns.
    pub fn begin(self: &Arc<Self>, number: u64, asked: Asked, watch: Watch, end: End) {
        let place = match Place::of_wait() {
            Ok(place) => place,
            Err(e) => return end(Err(e.into())),
        };
        let Asked { of, db, token, timeout_ms } = asked;
        let deadline = now().checked_add(Duration::from_millis(timeout_ms));
        let wait = Wait { token, deadline, looked: false, watch, end, _place: place };
        let mut all = self.0.lock();
        if let Some(waiting) = all.get_mut(&of) {
            waiting.waits.insert(number, wait);
            let changed = waiting.changed.clone();
            drop(all);
            return changed.cancel();
        }
        let own = self.clone();
        // It comes to them once the lock is free.
        match apart(move || own.look_after(of, &db)) {
            Ok(()) => {
                let waits = FxHashMap::from_iter([(number, wait)]);
                all.insert(of, Waiting { waits, changed: Watch::silent() });
            }
            Err(e) => {
                drop(all);
                (wait.end)(Err(e.into()));
            }
        }
    }

    /// The watch of the job with that number was cancelled.
    pub fn look_again(&self, number: u64) {
        let all = self.0.lock();
        let changed = all.values().find(|waiting| waiting.waits.contains_key(&number)).map(|of| of.changed.clone());
        drop(all);
        if let Some(changed) = changed {
            changed.cancel();
        }
    }

    /// Those of all jobs were.
    pub fn look_again_at_all(&self) {
        let changed: Vec<_> = self.0.lock().values().map(|waiting| waiting.changed.clone()).collect();
        changed.iter().for_each(Watch::cancel);
    }

    /// Until nobody waits for a token of that database.
    fn look_after(&self, of: u64, db: &Database) {
        while let Some(next) = self.next(of) {
            let look = || db.wait_for_any_token_with(&next.tokens, next.ms, &next.changed);
            let outcomes = catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|_| Err(fault::panicked()));
            self.tell(of, &next.numbers, outcomes);
        }
    }

    /// Ends those whose time is up or whose caller ended them, and says who else waits; `None`: nobody does.
    fn next(&self, of: u64) -> Option<Next> {
        let now = now();
        let mut all = self.0.lock();
        let waiting = all.get_mut(&of)?;
        let is_over = |_: &u64, wait: &mut Wait| {
            wait.watch.is_cancelled() || (wait.looked && wait.deadline.is_some_and(|at| at <= now))
        };
        let over: Vec<Wait> = waiting.waits.extract_if(is_over).map(|(_, wait)| wait).collect();
        let next = if waiting.waits.is_empty() {
            all.remove(&of);
            None
        } else {
            waiting.changed = Watch::silent();
            let first = waiting.waits.values().filter_map(|wait| wait.deadline).min();
            // A millisecond that has begun is waited for, so that a look comes after the time and not again and again before it.
            let left = first.map(|at| at.saturating_duration_since(now).as_micros().div_ceil(1000));
            Some(Next {
                numbers: waiting.waits.keys().copied().collect(),
                tokens: waiting.waits.values().map(|wait| wait.token).collect(),
                ms: left.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(u64::MAX),
                changed: waiting.changed.clone(),
            })
        };
        drop(all);
        for wait in over {
            (wait.end)(wait.watch.require_uncancelled().map(|()| TokenWait::TimedOut).map_err(Into::into));
        }
        next
    }

    /// Ends those of which something can be said by now; all of them, if nothing can be any more.
    fn tell(&self, of: u64, numbers: &[u64], outcomes: kitedb::Result<Vec<Option<TokenWait>>>) {
        let outcome_at = |at: usize| match &outcomes {
            Ok(outcomes) => outcomes.get(at).copied().flatten().map(Ok),
            // Others have come, or some were ended.
            Err(e) if e.code() == ErrorCode::Cancelled => None,
            Err(e) => Some(Err(e.clone())),
        };
        let mut ended = Vec::new();
        {
            let mut all = self.0.lock();
            let Some(waiting) = all.get_mut(&of) else { return };
            for (at, number) in numbers.iter().enumerate() {
                match outcome_at(at) {
                    Some(outcome) => ended.extend(waiting.waits.remove(number).map(|wait| (wait, outcome))),
                    None => {
                        if let Some(wait) = waiting.waits.get_mut(number) {
                            wait.looked = true;
                        }
                    }
                }
            }
        }
        for (wait, outcome) in ended {
            (wait.end)(outcome.map_err(Into::into));
        }
    }
}

/// What the thread waits for next.
struct Next {
    numbers: Vec<u64>,
    tokens: Vec<Token>,
    ms: u64,
    changed: Watch,
}
