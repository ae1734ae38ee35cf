//! Waiting for many words at once, each of which another process may change and wake.

use super::SharedWords;
use std::{
    fmt,
    sync::atomic::{Ordering, fence},
    time::Duration,
};

/// A word that holds `seen`, as far as is known: whoever changes it wakes who waits for it ([`SharedWords::wake`]).
#[derive(Clone)]
pub struct WatchedWord {
    words: SharedWords,
    at: usize,
    seen: u64,
}

/// What came of waiting for words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Those with these numbers were changed or woken; perhaps none.
    These(Vec<usize>),
    /// The kernel does not know how to wait for several words.
    Unsupported,
}

impl WatchedWord {
    pub(super) fn new(words: &SharedWords, at: usize, seen: u64) -> Self {
        Self { words: words.clone(), at, seen }
    }

    /// Word `at` of words that no file stands behind, as it is now.
    pub(crate) fn of(words: &SharedWords, at: usize) -> Self {
        let seen = words.get(at).map_or(0, |word| word.load(Ordering::SeqCst));
        Self::new(words, at, seen)
    }

    /// Sleeps until it is changed or woken, or `timeout` has passed: see [`SharedWords::wait`]. May return early.
    pub fn wait(&self, timeout: Option<Duration>) {
        self.words.wait(self.at, self.seen, timeout);
    }

    /// Whether it holds another value by now.
    pub fn is_changed(&self) -> bool {
        // What is mapped for reading only takes relaxed loads.
        let changed = self.words.get(self.at).is_none_or(|word| word.load(Ordering::Relaxed) != self.seen);
        fence(Ordering::Acquire);
        changed
    }

    /// Wakes all who wait for it.
    pub fn wake(&self) {
        self.words.wake(self.at);
    }
}

impl fmt::Debug for WatchedWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedWord").field("at", &self.at).field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// The most words that are waited for at once.
pub(crate) const MOST_WORDS: usize = 128;

/// Sleeps until one of `words`, [`MOST_WORDS`] at most, is changed or woken. May return early. A word of a mapping whose file
/// was cut is passed over: nobody can change it.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn wait_for_any(words: &[WatchedWord]) -> Woken {
    use kernel::Answer;
    match kernel::wait(words, true) {
        Answer::Woken(at) => Woken::These(vec![at]),
        Answer::Unsupported => Woken::Unsupported,
        // One of them holds another value, or is not there any more. Which one the kernel does not say, and a look at a page
        // that is gone would be the end of the process.
        Answer::Changed | Answer::Gone => {
            let look = |at: usize| kernel::wait(&words[at..=at], false);
            let (changed, whole): (Vec<_>, Vec<_>) = (0..words.len())
                .map(|at| (at, look(at)))
                .filter(|(_, answer)| *answer != Answer::Gone)
                .partition(|(_, answer)| matches!(answer, Answer::Changed | Answer::Woken(_)));
            if !changed.is_empty() || whole.is_empty() || whole.len() == words.len() {
                return Woken::These(changed.into_iter().map(|(at, _)| at).collect());
            }
            let rest: Vec<_> = whole.iter().map(|(at, _)| words[*at].clone()).collect();
            match kernel::wait(&rest, true) {
                Answer::Woken(at) => Woken::These(whole.get(at).map(|(at, _)| *at).into_iter().collect()),
                _ => Woken::These(Vec::new()),
            }
        }
        Answer::Early => Woken::These(Vec::new()),
    }
}

/// Nowhere else can that be done.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn wait_for_any(_: &[WatchedWord]) -> Woken {
    Woken::Unsupported
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod kernel {
    use super::WatchedWord;
    use rustix::{
        io::Errno,
        thread::{
            ClockId,
            futex::{Timespec, Wait, WaitFlags, WaitPtr, WaitvFlags, waitv},
        },
    };
    use std::ptr::from_ref;

    #[derive(Debug, PartialEq, Eq)]
    pub(super) enum Answer {
        Woken(usize),
        Changed,
        Gone,
        Early,
        Unsupported,
    }

    /// Waits for any of `words`, or, not `sleeping`, looks whether one holds another value.
    pub(super) fn wait(words: &[WatchedWord], sleeping: bool) -> Answer {
        // The low half of each, as a wake of one word has it.
        let waits: Vec<Wait> = words
            .iter()
            .map(|word| {
                let mut wait = Wait::new();
                wait.val = u64::from(word.seen as u32);
                wait.uaddr = word
                    .words
                    .get(word.at)
                    .map_or_else(WaitPtr::default, |word| WaitPtr::new(from_ref(word).cast_mut().cast()));
                wait.flags = WaitFlags::SIZE_U32;
                wait
            })
            .collect();
        // A moment that is over already.
        let over = Timespec { tv_sec: 0, tv_nsec: 0 };
        match waitv(&waits, WaitvFlags::empty(), (!sleeping).then_some(&over), ClockId::Monotonic) {
            Ok(at) => Answer::Woken(at),
            Err(Errno::AGAIN) => Answer::Changed,
            Err(Errno::FAULT) => Answer::Gone,
            Err(Errno::INTR | Errno::TIMEDOUT) => Answer::Early,
            Err(_) => Answer::Unsupported,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Disk, OpenMode, RealDisk};
    use std::thread;

    fn watched(words: &SharedWords) -> Vec<WatchedWord> {
        (0..words.len()).map(|at| WatchedWord::of(words, at)).collect()
    }

    #[test]
    fn a_word_that_was_changed_before_is_found_among_many() {
        let words = SharedWords::in_memory(MOST_WORDS);
        let all = watched(&words);
        words[77].store(1, Ordering::SeqCst);
        words[3].store(1, Ordering::SeqCst);
        match wait_for_any(&all) {
            Woken::Unsupported => {}
            woken => assert_eq!(woken, Woken::These(vec![3, 77])),
        }
    }

    /// Nobody can change it, and who waits for others is neither kept from that nor ended by it.
    #[test]
    fn a_word_whose_file_was_cut_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        std::fs::write(&path, [0; 4096]).unwrap();
        let file = RealDisk.open(&path, OpenMode::ReadWrite).unwrap();
        let cut = file.clone().map_words(512).unwrap().watched(7, 0);
        file.set_len(0).unwrap();
        let words = SharedWords::in_memory(1);
        let all = [cut, WatchedWord::of(&words, 0)];
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                loop {
                    match wait_for_any(&all) {
                        Woken::These(found) if found.is_empty() => {}
                        woken => return woken,
                    }
                }
            });
            words[0].store(9, Ordering::SeqCst);
            words.wake(0);
            let woken = sleeper.join().unwrap();
            assert!(woken == Woken::Unsupported || woken == Woken::These(vec![1]), "{woken:?}");
        });
    }

    #[test]
    fn whoever_wakes_one_of_many_words_is_heard() {
        let words = SharedWords::in_memory(MOST_WORDS);
        let all = watched(&words);
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                loop {
                    match wait_for_any(&all) {
                        Woken::These(found) if found.is_empty() => {}
                        woken => return woken,
                    }
                }
            });
            words[100].store(9, Ordering::SeqCst);
            words.wake(100);
            let woken = sleeper.join().unwrap();
            assert!(woken == Woken::Unsupported || woken == Woken::These(vec![100]), "{woken:?}");
        });
    }
}
