//! How threads of any process sleep until something happens to a log, and are told of all of it: event counts in the control
//! file. Word 12 counts what followers of the log look for (a commit, a new session of its writer, a moved fence) as far as
//! one of them is asleep, which word 25 says; word 13 what the log's writer is asked for.
//!
//! Whoever sleeps reads the count first, then says that it is about to, then looks whether there is anything to do, and
//! sleeps only as long as the count is what it was. Whoever raises the event has stored what it is about before, and
//! counts before it wakes: so one of both sees what the other did. A sleeper that died costs one wake. A waker that
//! dies between the two costs those who slept the rest of their time, which is `poll_ms` at most.

use super::{
    Control, LOOK,
    layout::{NEWS, PUBLISHED, REQUESTS, SLEEPERS},
    locks::COUNT_LOCK,
};
use crate::{error::Result, graph::LogIndex, io::WatchedWord};
use std::time::Duration;

/// How often, a ms apart, who counts what happened looks for the lock of the word that says so.
pub(super) const COUNT: u32 = 5;

impl Control {
    /// Wakes those who wait in [`Control::wait_published`], if there is one, once more is published.
    #[inline]
    pub(super) fn wake_sleepers(&self) {
        if self.load(SLEEPERS) != 0 {
            self.wake_followers();
        }
    }

    /// Wakes all who wait in [`Control::wait_published`], in every process.
    #[cold]
    pub fn wake_followers(&self) {
        // Who still waits says so again, and finds another count than before it said so. A store that fails costs wakes.
        let _ = self.words.store(SLEEPERS, 0);
        self.count_and_wake(NEWS);
    }

    /// Sleeps until more than `seen` is published, something else happens to the log, or `timeout` has passed; not at all
    /// unless `still` holds, which is asked when whoever wakes is heard already. May return early.
    pub fn wait_published(&self, seen: LogIndex, timeout: Duration, still: &dyn Fn() -> bool) {
        let count = self.load(NEWS);
        // Where that cannot be said nobody knows of this one, which looks again before long.
        let known = self.words.store(SLEEPERS, 1).is_ok();
        if self.load(PUBLISHED) <= seen.0 && still() {
            self.wait_word(NEWS, count, Some(if known { timeout } else { timeout.min(LOOK) }));
        }
    }

    /// What is changed once more checkpoints than `seen` have been asked for, or retention (`seen` being `None`: once it is
    /// woken, whatever has been asked for); `None` if that is so already, or `still` does not hold, which is asked when whoever
    /// wakes is heard already, or nobody can wake this process.
    pub fn request(&self, seen: Option<u64>, still: &dyn Fn() -> bool) -> Option<WatchedWord> {
        let count = self.load(REQUESTS);
        let nothing = |seen| self.checkpoints_asked() == seen && !self.retention_is_asked();
        (self.shared && seen.is_none_or(nothing) && still()).then(|| self.words.watched(REQUESTS, count))
    }

    /// Sleeps until that is changed, or `timeout` has passed. May return early.
    #[cfg(test)]
    pub fn wait_for_request(&self, seen: Option<u64>, timeout: Option<Duration>, still: &dyn Fn() -> bool) {
        if let Some(word) = self.request(seen, still) {
            word.wait(timeout);
        }
    }

    /// What is changed once more than `seen` is published, or something else happens to the log; `None` if that is so already,
    /// or `still` does not hold, which is asked when whoever wakes is heard already. Fails where its writer cannot be told that
    /// somebody waits.
    pub fn news(&self, seen: LogIndex, still: &dyn Fn() -> bool) -> Result<Option<WatchedWord>> {
        self.require_mapped()?;
        let count = self.load(NEWS);
        self.store(SLEEPERS, 1)?;
        Ok((self.load(PUBLISHED) <= seen.0 && still()).then(|| self.words.watched(NEWS, count)))
    }

    /// Wakes who waits in [`Control::request`], once what it is to see was stored.
    pub fn wake_writer(&self) {
        self.count_and_wake(REQUESTS);
    }

    /// Where the count finds no room, or a process was stopped while it counted, who is about to sleep may miss the wake, and
    /// looks when its time has passed. A committer does not wait for either.
    fn count_and_wake(&self, at: usize) {
        let _ = self.words.update_locked(at, COUNT_LOCK, COUNT, |count| count.wrapping_add(1));
        self.wake_word(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::Epoch,
        io::{
            Disk, OpenMode,
            sim::{SimDisk, SimHost},
        },
        log::{Fence, LogIdentity},
    };
    use std::{
        path::Path,
        sync::atomic::{AtomicBool, AtomicU64, Ordering},
        thread,
    };

    const LONG: Duration = Duration::from_secs(1 << 20);

    fn shared() -> (SimDisk, Control) {
        let (disk, dir) = (SimDisk::new(1), Path::new("/log"));
        disk.create_dir(dir).unwrap();
        let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
        let control = Control::create(&disk, dir, log, [3; 16], Epoch(1)).unwrap();
        (disk, control)
    }

    /// Who says that it sleeps just when somebody else is being woken was not told of the next commit.
    #[test]
    fn each_of_many_followers_is_told_of_every_commit() {
        const COMMITS: u64 = 2000;
        let (disk, writer) = shared();
        let reached: [AtomicU64; 3] = Default::default();
        thread::scope(|scope| {
            for reached in &reached {
                let control = Control::open(&disk, Path::new("/log"), OpenMode::ReadWrite).unwrap().unwrap();
                scope.spawn(move || {
                    let mut seen = LogIndex(0);
                    while seen.0 < COMMITS {
                        control.wait_published(seen, LONG, &|| true);
                        seen = control.published();
                        reached.store(seen.0, Ordering::SeqCst);
                    }
                });
            }
            for index in 1..=COMMITS {
                writer.set_published(LogIndex(index));
                // One commit after the other, each of which the last of them waits for.
                while index % 2 == 0 && reached.iter().any(|reached| reached.load(Ordering::SeqCst) < index) {
                    thread::yield_now();
                }
            }
        });
    }

    /// One wake is enough, whenever it comes.
    #[test]
    fn who_is_about_to_sleep_hears_of_its_end() {
        let (_disk, control) = shared();
        for _ in 0..200 {
            let stopped = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    while !stopped.load(Ordering::SeqCst) {
                        control.wait_published(LogIndex(7), LONG, &|| !stopped.load(Ordering::SeqCst));
                    }
                });
                scope.spawn(|| {
                    while !stopped.load(Ordering::SeqCst) {
                        control.wait_for_request(Some(0), None, &|| !stopped.load(Ordering::SeqCst));
                    }
                });
                stopped.store(true, Ordering::SeqCst);
                control.wake_followers();
                control.wake_writer();
            });
        }
    }

    /// `still` is asked right before the sleep.
    #[test]
    fn what_comes_between_the_look_and_the_sleep_is_not_missed() {
        let (disk, control) = shared();
        let writer = Control::open(&disk, Path::new("/log"), OpenMode::ReadWrite).unwrap().unwrap();
        let during = |event: &dyn Fn()| {
            control.wait_published(LogIndex(9), LONG, &|| {
                event();
                true
            });
        };
        during(&|| writer.set_published(LogIndex(1)));
        during(&|| writer.wake_followers());
        during(&|| drop(writer.put_fence(&Fence::new(Epoch(1)).raised([5; 16]))));
        during(&|| writer.begin_session(&SimHost::new(1), LogIndex(1)).unwrap());
        let asked = |event: &dyn Fn()| {
            control.wait_for_request(Some(control.checkpoints_asked()), None, &|| {
                event();
                true
            });
        };
        asked(&|| writer.wake_writer());
        asked(&|| assert_eq!(writer.ask_for_checkpoint().unwrap(), 1));
        asked(&|| writer.ask_for_retention([None; 4]).unwrap());
    }

    #[test]
    fn a_request_ends_the_wait_of_the_writer() {
        let (_disk, control) = shared();
        for seen in 0..200 {
            thread::scope(|scope| {
                scope.spawn(|| {
                    while control.checkpoints_asked() == seen {
                        control.wait_for_request(Some(seen), None, &|| true);
                    }
                });
                control.ask_for_checkpoint().unwrap();
            });
        }
        // What is asked for already is not waited for.
        control.ask_for_retention([None; 4]).unwrap();
        control.wait_for_request(Some(200), None, &|| true);
        control.wait_published(LogIndex(0), LONG, &|| false);
    }
}
