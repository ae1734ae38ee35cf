//! How far the log of a database has come, for whoever waits for more of it: one thread waits for all of them, while there are any.

use kitedb_core::{LogWatch, OpenOptions, Watch};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::{sync::watch, time::timeout};

/// See the [module documentation](self).
#[derive(Debug)]
pub(crate) struct Growth {
    path: PathBuf,
    options: Box<OpenOptions>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    running: Option<Run>,
}

/// A thread that waits, and what it has seen. Its channel closes where it cannot tell any more.
#[derive(Debug)]
struct Run {
    ended_by: Watch,
    head: watch::Receiver<u64>,
}

impl Growth {
    pub fn new(path: PathBuf, options: Box<OpenOptions>) -> Arc<Self> {
        Arc::new(Self { path, options, state: Mutex::default() })
    }

    /// Waits until a frame after `seen` is published, for at most so long; less long where that cannot be told. It holds no thread of
    /// its own, and nothing of the database.
    pub async fn beyond(self: &Arc<Self>, seen: u64, at_most: Duration) {
        let Some(mut place) = self.enter() else { return };
        let _ = timeout(at_most, place.head.wait_for(|head| *head > seen)).await;
    }

    fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state();
        let lives = state.running.as_ref().filter(|run| run.head.has_changed().is_ok());
        let head = match lives {
            Some(run) => run.head.clone(),
            None => {
                let run = self.run()?;
                state.running.insert(run).head.clone()
            }
        };
        state.waiting += 1;
        drop(state);
        Some(Place { of: self.clone(), head })
    }

    fn run(&self) -> Option<Run> {
        let (sender, head) = watch::channel(0);
        let ended_by = Watch::silent();
        let (log, watch) = (LogWatch::new(&self.path, &self.options), ended_by.clone());
        let work = move || {
            let mut seen = log.head();
            while let Ok(head) = seen {
                sender.send_replace(head);
                seen = log.wait(head, u64::MAX, &watch);
            }
        };
        match thread::Builder::new().name("kitedb-growth".to_owned()).spawn(work) {
            Ok(_) => Some(Run { ended_by, head }),
            Err(e) => {
                tracing::warn!("there is no thread that waits for a log to grow: {e}");
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under it leaves it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits.
struct Place {
    of: Arc<Growth>,
    head: watch::Receiver<u64>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.of.state();
        state.waiting -= 1;
        if state.waiting == 0
            && let Some(run) = state.running.take()
        {
            run.ended_by.cancel();
        }
    }
}
