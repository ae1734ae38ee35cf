//! The background follower: one thread that pulls whenever its source has more, backs off where it fails, and says so.

use crate::{
    error::{Error, ErrorCode, Result},
    lock::{Condvar, Mutex},
    replication::{
        replica::Replica,
        status::{FollowerOptions, ReplicaState},
    },
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Follower {
    replica: Arc<Replica>,
    options: FollowerOptions,
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Starts following.
    pub fn start(replica: &Arc<Replica>, options: FollowerOptions) -> Result<Self> {
        if options.max_frames == 0 || options.poll_ms == 0 || options.backoff_ms == 0 {
            let what = "max_frames, poll_ms and backoff_ms of a follower are at least 1";
            return Err(Error::new(ErrorCode::InvalidOption, what));
        }
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (worker, stopped) = (replica.clone(), stop.clone());
        // Before its thread runs: who has started it sees that it is there.
        replica.following.store(true, Ordering::Release);
        let spawned = std::thread::Builder::new().name("kitedb-follower".to_owned()).spawn(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| follow(&worker, options, &stopped))) {
                worker.note_panic(&*panic);
            }
            worker.following.store(false, Ordering::Release);
            worker.note_news();
        });
        let thread = spawned.map_err(|e| {
            replica.following.store(false, Ordering::Release);
            Error::new(ErrorCode::Io, format_args!("cannot start a follower thread: {e}"))
        })?;
        Ok(Self { replica: replica.clone(), options, stop, thread: Some(thread) })
    }

    /// How it works.
    pub fn options(&self) -> FollowerOptions {
        self.options
    }

    /// Ends the thread, after what it is doing.
    pub fn stop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        self.replica.source().wake();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop();
    }
}

fn follow(replica: &Replica, options: FollowerOptions, (stop, wake): &(Mutex<bool>, Condvar)) {
    let mut failures = 0u32;
    let pause = |ms: u64| {
        let mut stopped = stop.lock();
        if !*stopped {
            wake.wait_for(&mut stopped, Duration::from_millis(ms));
        }
    };
    while !*stop.lock() {
        match replica.catch_up_once(options.max_frames) {
            Ok(0) => {
                failures = 0;
                let (source, seen) = (replica.source(), replica.engine().published());
                // A source that is left wakes who waits for it, too.
                let still = || !*stop.lock() && Arc::ptr_eq(&source, &replica.source());
                source.wait(seen, Duration::from_millis(replica.poll_ms(options.poll_ms)), &still);
            }
            Ok(_) => failures = 0,
            // It goes on with whatever ends that state: a reseed, or another source.
            Err(e) if matches!(e.code(), ErrorCode::Closed | ErrorCode::Forked | ErrorCode::NotReplica) => return,
            // Of another thread: nothing is pulled any more.
            Err(_) if replica.engine().panicked().is_some() => return,
            Err(_) => {
                let wait = options.backoff_ms.saturating_mul(1 << failures.min(20)).min(options.backoff_max_ms);
                failures = failures.saturating_add(1);
                let seen = replica.state();
                pause(wait.max(1));
                if seen == ReplicaState::NeedsReseed && replica.state() != seen {
                    failures = 0;
                }
            }
        }
    }
}
