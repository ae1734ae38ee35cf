//! A handle that reads a file which another process may write, kept between requests, and brought up to what is published by each of them.

use kitedb_core::{Database, Error};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{runtime::Handle, task::spawn_blocking, time::sleep};

/// So long it is kept without a request: what a writer may not reuse meanwhile, as it could be read here, is not much.
const IDLE: Duration = Duration::from_secs(1);

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub(crate) struct Kept {
    state: Mutex<State>,
    /// Held by who opens it anew: those who come meanwhile take what he opened.
    opening: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    database: Option<Database>,
    /// How often it was asked for.
    asked: u64,
    /// Whether somebody looks whether it is asked for.
    watched: bool,
}

impl Kept {
    /// A handle that shows all that was published when it was asked for: the one that is kept, or what `open` opens.
    pub fn newest(self: &Arc<Self>, open: impl FnOnce() -> Result<Database, Error>) -> Result<Database, Error> {
        if let Some(database) = self.current() {
            return Ok(database);
        }
        let _opening = locked(&self.opening);
        // What came since is read, and no more. What cannot be read so is opened anew, which tells why.
        let kept = locked(&self.state).database.clone();
        if let Some(database) = kept.filter(|database| database.refresh().unwrap_or(false)) {
            return Ok(database);
        }
        let opened = open();
        let mut state = locked(&self.state);
        let _past = std::mem::replace(&mut state.database, opened.as_ref().ok().cloned());
        if opened.is_ok() && !std::mem::replace(&mut state.watched, true) {
            Handle::current().spawn(let_go_once_idle(Arc::downgrade(self)));
        }
        drop(state);
        opened
    }

    /// The one that is kept, if it shows all that is published.
    pub fn current(&self) -> Option<Database> {
        let mut state = locked(&self.state);
        state.asked += 1;
        let database = state.database.clone();
        drop(state);
        // What cannot be looked at is opened anew, which tells why.
        database.filter(|database| database.is_current().unwrap_or(false))
    }
}

async fn let_go_once_idle(kept: Weak<Kept>) {
    let mut seen = None;
    loop {
        sleep(IDLE).await;
        let Some(kept) = kept.upgrade() else { return };
        let mut state = locked(&kept.state);
        if seen.replace(state.asked) == Some(state.asked) {
            state.watched = false;
            let database = state.database.take();
            drop(state);
            // Its end unmaps what may be large.
            drop(spawn_blocking(move || drop(database)));
            return;
        }
    }
}

/// Nothing that is done under a lock here leaves it half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
