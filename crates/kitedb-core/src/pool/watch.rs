//! Tasks that wait for news in a log's control file, which another process may store there: a thread waits for the words of
//! many of them at once. Where the kernel cannot do that (Linux before 5.16), each such task has a thread that waits for it.

use super::{Pool, plan::TaskId};
use crate::io::{MOST_WORDS, SharedWords, WatchedWord, Woken, wait_for_any};
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Of the words that a thread waits for one is its own, by which it is told that there are others.
const MOST_TASKS: usize = MOST_WORDS - 1;

/// Whether the kernel was found not to know how to wait for several words.
static ONE_EACH: AtomicBool = AtomicBool::new(false);

/// The threads that wait for words, and for whom.
#[derive(Default)]
pub(super) struct Watchers {
    watchers: Vec<Watcher>,
    /// Which of them waits for a task's word.
    of: HashMap<TaskId, u64>,
    last: u64,
}

struct Watcher {
    number: u64,
    /// Raised and woken when its tasks change.
    bell: SharedWords,
    tasks: Vec<(TaskId, WatchedWord)>,
}

impl Watcher {
    fn ring(&self) {
        if let Some(bell) = self.bell.first() {
            bell.fetch_add(1, Ordering::SeqCst);
        }
        self.bell.wake(0);
        if ONE_EACH.load(Ordering::Relaxed) {
            self.tasks.iter().for_each(|(_, word)| word.wake());
        }
    }
}

impl Watchers {
    /// Lets somebody wait for `word` on behalf of a task, in place of what was waited for before.
    pub(super) fn watch(&mut self, pool: &Arc<Pool>, task: TaskId, word: WatchedWord) -> io::Result<()> {
        if let Some(number) = self.of.get(&task).copied()
            && let Some(watcher) = self.watchers.iter_mut().find(|watcher| watcher.number == number)
            && let Some(at) = watcher.tasks.iter().position(|(of, _)| *of == task)
        {
            watcher.ring();
            watcher.tasks[at].1 = word;
            return Ok(());
        }
        let most = if ONE_EACH.load(Ordering::Relaxed) { 1 } else { MOST_TASKS };
        let number = match self.watchers.iter_mut().find(|watcher| watcher.tasks.len() < most) {
            Some(watcher) => {
                watcher.tasks.push((task, word));
                watcher.ring();
                watcher.number
            }
            None => {
                let number = self.last + 1;
                let other = pool.clone();
                thread::Builder::new().name("kitedb-watch".to_owned()).spawn(move || other.watch(number))?;
                self.last = number;
                let bell = SharedWords::zeroed(1);
                self.watchers.push(Watcher { number, bell, tasks: vec![(task, word)] });
                number
            }
        };
        self.of.insert(task, number);
        Ok(())
    }

    /// Nobody waits for a task's word any more.
    pub(super) fn forget(&mut self, task: TaskId) {
        let Some(number) = self.of.remove(&task) else { return };
        if let Some(watcher) = self.watchers.iter_mut().find(|watcher| watcher.number == number) {
            // What is waited for is let go of: a word of a file, which may be removed.
            watcher.ring();
            watcher.tasks.retain(|(of, _)| *of != task);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// What a watcher waits for, its bell first; `None`: nothing any more, and it ends.
    fn words(&mut self, number: u64) -> Option<(Vec<WatchedWord>, Vec<TaskId>)> {
        let at = self.watchers.iter().position(|watcher| watcher.number == number)?;
        let watcher = &self.watchers[at];
        if watcher.tasks.is_empty() {
            self.watchers.swap_remove(at);
            return None;
        }
        // As it is now: what is said from here on is heard.
        let words = [WatchedWord::of(&watcher.bell, 0)];
        let tasks = watcher.tasks.iter();
        Some((
            words.into_iter().chain(tasks.clone().map(|(_, word)| word.clone())).collect(),
            tasks.map(|(task, _)| *task).collect(),
        ))
    }
}

impl Pool {
    /// A watcher: asks for the tasks whose words were changed, each once.
    fn watch(self: &Arc<Self>, number: u64) {
        loop {
            // Not at all under the lock: what is let go of there is unmapped.
            let found = self.state.lock().watchers.words(number);
            let Some((words, tasks)) = found else { return };
            let found = match tasks.as_slice() {
                [_] if ONE_EACH.load(Ordering::Relaxed) => {
                    // A thread that sleeps in vain is told by a wake of the word itself.
                    words.iter().skip(1).for_each(|word| word.wait(None));
                    None
                }
                _ => match wait_for_any(&words) {
                    Woken::These(found) => Some(found),
                    // Each of them gets a watcher of its own, once it says that it has nothing to do.
                    Woken::Unsupported => {
                        ONE_EACH.store(true, Ordering::Relaxed);
                        None
                    }
                },
            };
            drop(words);
            match found {
                Some(found) => {
                    let tasks = found.into_iter().filter_map(|at| tasks.get(at.checked_sub(1)?));
                    self.ask_for(tasks);
                }
                None => self.ask_for(tasks.iter()),
            }
        }
    }

    /// Asks for tasks whose words were changed.
    fn ask_for<'a>(self: &Arc<Self>, tasks: impl Iterator<Item = &'a TaskId>) {
        let mut state = self.state.lock();
        for task in tasks {
            state.watchers.forget(*task);
            if let Err(e) = self.ask(&mut state, *task, Duration::ZERO) {
                tracing::warn!("cannot start a thread for what another process asks of a database: {e}");
            }
        }
    }
}
