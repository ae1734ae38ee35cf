//! The background follower: pulls whenever its source has more, backs off where it fails, and says so. A thread of the
//! pool ([`crate::pool`]) does that while there is something to pull; one whose source has nothing new has none of its own.

use crate::{
    error::{Error, ErrorCode, Result},
    lock::Mutex,
    pool::{Lane, Next, Task},
    replication::{replica::Replica, source::News, status::ReplicaState},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How long its thread waits for the next commit before it does something else: who writes all the time is followed at once.
const BRIEF: Duration = Duration::from_millis(50);

/// So often, one after the other, a source may return early from a wait without having anything.
const EARLY: u32 = 4;

/// How a background follower works.
///
/// ```
/// use kitedb_core::FollowerOptions;
///
/// let eager = FollowerOptions::new().poll_ms(1000).backoff_max_ms(2000);
/// assert_ne!(eager, FollowerOptions::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerOptions {
    pub(crate) max_frames: usize,
    pub(crate) poll_ms: u64,
    pub(crate) backoff_ms: u64,
    pub(crate) backoff_max_ms: u64,
}

impl FollowerOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The most frames pulled at once (default 4096, at least 1).
    #[must_use]
    pub fn max_frames(mut self, frames: usize) -> Self {
        self.max_frames = frames;
        self
    }

    /// The longest time in ms between two looks at the source of which it does not wake the follower (default 30,000, at least
    /// 1). Commits wake it, and whatever else happens to a log, also that a repair or an open makes another control file; a
    /// log that is put in the place of the source's from outside, by a restore for example, is found by a look. A source's
    /// log that this process may not write to is looked at after 10 ms, and ever less often, down to once a second.
    #[must_use]
    pub fn poll_ms(mut self, ms: u64) -> Self {
        self.poll_ms = ms;
        self
    }

    /// After a failure, the first wait in ms; it doubles with every further one (default 50, at least 1).
    #[must_use]
    pub fn backoff_ms(mut self, ms: u64) -> Self {
        self.backoff_ms = ms;
        self
    }

    /// The longest wait in ms after a failure (default 5000).
    #[must_use]
    pub fn backoff_max_ms(mut self, ms: u64) -> Self {
        self.backoff_max_ms = ms;
        self
    }
}

impl Default for FollowerOptions {
    fn default() -> Self {
        Self { max_frames: 4096, poll_ms: 30_000, backoff_ms: 50, backoff_max_ms: 5000 }
    }
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Follower {
    replica: Arc<Replica>,
    options: FollowerOptions,
    stopping: Arc<AtomicBool>,
    task: Task,
}

impl Follower {
    /// Starts following.
    pub fn start(replica: &Arc<Replica>, options: FollowerOptions) -> Result<Self> {
        if options.max_frames == 0 || options.poll_ms == 0 || options.backoff_ms == 0 {
            let what = "max_frames, poll_ms and backoff_ms of a follower are at least 1";
            return Err(Error::new(ErrorCode::InvalidOption, what));
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let following =
            Following { replica: replica.clone(), options, stopping: stopping.clone(), so_far: Mutex::default() };
        let task = Task::new(Lane::Follow, move || following.turn());
        // Before it is done: who has started it sees that it is there.
        replica.following.store(true, Ordering::Release);
        task.ask(Duration::ZERO).map_err(|e| {
            replica.following.store(false, Ordering::Release);
            Error::new(ErrorCode::Io, format_args!("cannot start a follower thread: {e}"))
        })?;
        Ok(Self { replica: replica.clone(), options, stopping, task })
    }

    /// How it works.
    pub fn options(&self) -> FollowerOptions {
        self.options
    }

    /// Ends it, after what it is doing.
    pub fn stop(&mut self) {
        // A forked child has nothing to end, and whoever waits is in its parent.
        if self.stopping.swap(true, Ordering::SeqCst) || self.replica.engine().env.host.forked() {
            return;
        }
        self.replica.source().wake();
        self.task.stop();
        self.replica.ends_following();
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Replica {
    /// Takes note that nobody pulls in the background any more.
    fn ends_following(&self) {
        if self.following.swap(false, Ordering::AcqRel) {
            self.note_news();
        }
    }
}

struct Following {
    replica: Arc<Replica>,
    options: FollowerOptions,
    stopping: Arc<AtomicBool>,
    so_far: Mutex<SoFar>,
}

/// What it was at when it did something last.
#[derive(Default)]
struct SoFar {
    /// How many tries failed, one after the other.
    failures: u32,
    /// The state in which the last one left the replica.
    failed_in: Option<ReplicaState>,
    /// How often its source returned early from a wait, and had nothing, one after the other.
    early: u32,
    /// Nothing is pulled any more.
    over: bool,
}

impl Following {
    fn still(&self) -> bool {
        !self.stopping.load(Ordering::SeqCst)
    }

    /// Pulls as long as there is something, and says what it waits for then.
    fn turn(&self) -> Next {
        let mut so_far = self.so_far.lock();
        if so_far.over || !self.still() {
            return Next::Asked;
        }
        let next = catch_unwind(AssertUnwindSafe(|| self.follow(&mut so_far))).unwrap_or_else(|panic| {
            self.replica.note_panic(&*panic);
            None
        });
        next.unwrap_or_else(|| {
            so_far.over = true;
            self.replica.ends_following();
            Next::Asked
        })
    }

    /// As [`Following::turn`]; `None`: nothing is pulled any more.
    fn follow(&self, so_far: &mut SoFar) -> Option<Next> {
        let (replica, options) = (&self.replica, &self.options);
        if let Some(failed_in) = so_far.failed_in.take()
            && failed_in == ReplicaState::NeedsReseed
            && replica.state() != failed_in
        {
            so_far.failures = 0;
        }
        while self.still() {
            match replica.catch_up_once(options.max_frames) {
                Ok(0) => {
                    so_far.failures = 0;
                    if let Some(next) = self.wait(so_far) {
                        return Some(next);
                    }
                }
                Ok(_) => (so_far.failures, so_far.early) = (0, 0),
                // It goes on with whatever ends that state: a reseed, or another source.
                Err(e) if matches!(e.code(), ErrorCode::Closed | ErrorCode::Forked | ErrorCode::NotReplica) => {
                    return None;
                }
                // Of another thread: nothing is pulled any more.
                Err(_) if replica.engine().panicked().is_some() => return None,
                Err(_) => {
                    let wait = options.backoff_ms.saturating_mul(1 << so_far.failures.min(20));
                    so_far.failures = so_far.failures.saturating_add(1);
                    so_far.failed_in = Some(replica.state());
                    return Some(Next::In(Duration::from_millis(wait.min(options.backoff_max_ms).max(1))));
                }
            }
        }
        Some(Next::Asked)
    }

    /// Waits for more at the source: for a moment here, and then as it says. `None`: there may be more.
    fn wait(&self, so_far: &mut SoFar) -> Option<Next> {
        let replica = &self.replica;
        let (source, seen) = (replica.source(), replica.engine().published());
        let poll = Duration::from_millis(replica.poll_ms(self.options.poll_ms));
        // A source that is left wakes who waits for it, too.
        let still = || self.still() && Arc::ptr_eq(&source, &replica.source());
        let news = || source.news(seen, &still);
        match news() {
            Some(News::Here) => None,
            Some(News::Changes(word)) => {
                word.wait(Some(BRIEF.min(poll)));
                let rest = poll.checked_sub(BRIEF).filter(|rest| !rest.is_zero())?;
                // It may have been woken for what does not change the word. What changes the word from here on is heard.
                match news() {
                    Some(News::Changes(now)) if !word.is_changed() => Some(Next::Changed(now, Some(rest))),
                    _ => None,
                }
            }
            None => {
                let host = &replica.engine().env.host;
                let began = host.coarse_ms();
                source.wait(seen, poll, &still);
                let waited = Duration::from_millis(host.coarse_ms().saturating_sub(began));
                so_far.early = if waited < poll / 2 { so_far.early.saturating_add(1) } else { 0 };
                // One that never waits is asked less and less often, up to once in a poll.
                let pause = Duration::from_millis(1 << so_far.early.saturating_sub(EARLY).min(20)).min(poll);
                (so_far.early > EARLY).then_some(Next::In(pause))
            }
        }
    }
}
