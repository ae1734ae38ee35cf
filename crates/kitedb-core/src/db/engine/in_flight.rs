//! Commits that were submitted and have not ended: in the log, applied, and not yet durable as their mode asks, or not yet
//! known to count.

use crate::{
    db::{lease::Lease, published_log::KeptLog},
    error::Result,
    graph::{LogIndex, Token},
    lock::Mutex,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

/// See the [module documentation](self). In the order of the log: they are added under the commit lock.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<VecDeque<Arc<Submitted>>>);

impl InFlight {
    /// Takes note of one, the last of the log.
    pub fn add(&self, commit: Arc<Submitted>) {
        self.0.lock().push_back(commit);
    }

    /// The last one.
    pub fn last(&self) -> Option<Arc<Submitted>> {
        self.0.lock().back().cloned()
    }

    /// Those up to `index`, in the order of the log.
    pub fn through(&self, index: LogIndex) -> Vec<Arc<Submitted>> {
        self.0.lock().iter().take_while(|commit| commit.token.log_index <= index).cloned().collect()
    }

    /// Whether none was submitted by the handle of that lease after `index`.
    pub fn has_none_of(&self, lease: &Arc<Lease>, index: LogIndex) -> bool {
        !self.0.lock().iter().any(|commit| commit.is_of(lease) && commit.token.log_index > index)
    }

    /// The one with that log index.
    pub fn at(&self, index: LogIndex) -> Option<Arc<Submitted>> {
        self.0.lock().iter().find(|commit| commit.token.log_index == index).cloned()
    }

    /// Those that a thread is to end.
    pub fn not_on_demand(&self) -> Vec<Arc<Submitted>> {
        // All before one that no thread ends were left to who asks when that one was.
        self.0.lock().iter().rev().take_while(|commit| !commit.is_on_demand()).cloned().collect()
    }

    /// Lets go of those that have ended.
    pub fn forget_ended(&self) {
        self.0.lock().retain(|commit| commit.outcome().is_none());
    }
}

/// A commit that was appended and applied: how it ends, and who is told.
#[derive(Debug)]
pub struct Submitted {
    /// What names it.
    pub token: Token,
    /// The log that it is in; `None` for one that had ended when it was made.
    pub log: Option<KeptLog>,
    /// When it began, in ns of the host's clock, if it is measured.
    pub began_ns: Option<u64>,
    /// That of the handle that submitted it.
    lease: Arc<Lease>,
    /// Whether no thread ends it: whoever asks does.
    on_demand: AtomicBool,
    outcome: OnceLock<Result<()>>,
    waiting: Mutex<Waiting>,
}

/// Who is woken once it has ended.
#[derive(Debug, Default)]
struct Waiting {
    /// How many places were given out.
    places: u64,
    wakers: Vec<(u64, Waker)>,
}

impl Submitted {
    /// One that is in `log`.
    pub fn new(token: Token, log: KeptLog, lease: Arc<Lease>, began_ns: Option<u64>) -> Self {
        Self { log: Some(log), began_ns, ..Self::ended(token, lease) }.unended()
    }

    /// One that has ended well.
    pub fn ended(token: Token, lease: Arc<Lease>) -> Self {
        Self {
            token,
            log: None,
            began_ns: None,
            lease,
            on_demand: AtomicBool::new(false),
            outcome: OnceLock::from(Ok(())),
            waiting: Mutex::default(),
        }
    }

    fn unended(self) -> Self {
        Self { outcome: OnceLock::new(), ..self }
    }

    /// How it ended. `None`: it has not.
    pub fn outcome(&self) -> Option<&Result<()>> {
        self.outcome.get()
    }

    /// Whether the handle of that lease submitted it.
    pub fn is_of(&self, lease: &Arc<Lease>) -> bool {
        Arc::ptr_eq(&self.lease, lease)
    }

    /// Whether no thread ends it: whoever asks does.
    pub fn is_on_demand(&self) -> bool {
        self.on_demand.load(Ordering::Acquire)
    }

    /// No thread ends it. Returns who is to be woken for that.
    #[must_use]
    pub fn set_on_demand(&self) -> Vec<Waker> {
        self.on_demand.store(true, Ordering::Release);
        self.take_wakers()
    }

    /// It has ended, so; what was said first counts. Returns whether this was the first word, and who is to be woken: that runs
    /// code of theirs, and so is done without a lock.
    #[must_use]
    pub fn end(&self, outcome: Result<()>) -> (bool, Vec<Waker>) {
        let first = self.outcome.set(outcome).is_ok();
        (first, self.take_wakers())
    }

    fn take_wakers(&self) -> Vec<Waker> {
        // Who comes after this look finds what was said before it.
        std::mem::take(&mut self.waiting.lock().wakers).into_iter().map(|(_, waker)| waker).collect()
    }

    /// Wakes `waker` once it has ended, in place of the one that has this `place`. The caller looks at the outcome afterwards.
    pub fn wake_at_end(&self, place: &mut Option<u64>, waker: &Waker) {
        // That of another task, in whose place this one comes, may take what that one holds with it: other handles to this.
        let _before = {
            let waker = waker.clone();
            let mut waiting = self.waiting.lock();
            let place = *place.get_or_insert_with(|| {
                waiting.places += 1;
                waiting.places
            });
            match waiting.wakers.iter_mut().find(|(at, _)| *at == place) {
                Some((_, there)) => Some(std::mem::replace(there, waker)),
                None => {
                    waiting.wakers.push((place, waker));
                    None
                }
            }
        };
    }

    /// Whoever has this place waits no more.
    pub fn forget(&self, place: u64) {
        let gone = {
            let mut waiting = self.waiting.lock();
            let at = waiting.wakers.iter().position(|(at, _)| *at == place);
            at.map(|at| waiting.wakers.swap_remove(at))
        };
        // Its drop is code of the caller's, as its wake is.
        drop(gone);
    }
}
