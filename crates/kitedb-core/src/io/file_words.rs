//! The first words of a file, as every process that has them mapped sees and changes them.
//!
//! Loads go through the mapping. A store goes through it only where it cannot fail: where a file system must find a new
//! block for a page that is stored to (it copies on write, or the page is a hole), and has none, the kernel kills the
//! process (`SIGBUS`). There each store is a write of 8 bytes to the file, which fails as writes do, and the mapping is
//! one for reading.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering, fence},
    },
    time::Duration,
};

use crate::lock::Mutex;

use super::{DiskFile, LockKind, SharedWords, WatchedWord};

/// The first words of a file, as every process that has them mapped sees and changes them. A clone is another handle to the
/// same words.
#[derive(Clone)]
pub struct FileWords {
    words: SharedWords,
    /// By what stores are made; `None`: through the mapping.
    writes: Option<Arc<Writes>>,
}

struct Writes {
    file: Arc<dyn DiskFile>,
    /// Held while a word is looked at and changed.
    changing: Mutex<()>,
}

impl FileWords {
    /// Words that are stored to through their mapping: no store needs a block.
    pub(super) fn in_place(words: SharedWords) -> Self {
        Self { words, writes: None }
    }

    /// Words that are stored to by writes to `file`, which `words` shows at once.
    pub(super) fn written(words: SharedWords, file: Arc<dyn DiskFile>) -> Self {
        Self { words, writes: Some(Arc::new(Writes { file, changing: Mutex::new(()) })) }
    }

    /// A copy of words, which no file stands behind: what a reader without permission to write saw.
    pub fn seen(words: &[u64]) -> Self {
        let copy = SharedWords::zeroed(words.len());
        copy.iter().zip(words).for_each(|(copy, word)| copy.store(*word, Ordering::Relaxed));
        Self::in_place(copy)
    }

    /// How many words there are.
    pub fn count(&self) -> usize {
        self.words.len()
    }

    /// Whether stores are writes to the file, and can fail.
    pub fn are_written(&self) -> bool {
        self.writes.is_some()
    }

    /// What word `at` holds (0 beyond the last one).
    #[inline]
    pub fn load(&self, at: usize) -> u64 {
        let Some(word) = self.words.get(at) else { return 0 };
        if self.writes.is_none() {
            return word.load(Ordering::SeqCst);
        }
        // Memory that is mapped for reading takes relaxed loads only.
        let value = word.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        value
    }

    /// Stores to word `at`. Seen by all when it returns; on error nothing has changed. Upholds I41.
    pub fn store(&self, at: usize, value: u64) -> io::Result<()> {
        match &self.writes {
            None => self.word(at)?.store(value, Ordering::SeqCst),
            Some(writes) => self.write(writes, at, &[value])?,
        }
        Ok(())
    }

    /// Stores to the words from `at` on, in their order. Where stores are writes, it is one.
    pub fn store_all(&self, at: usize, values: &[u64]) -> io::Result<()> {
        if at + values.len() > self.count() {
            return Err(beyond());
        }
        match &self.writes {
            Some(writes) => self.write(writes, at, values),
            None => (at..).zip(values).try_for_each(|(at, value)| self.store(at, *value)),
        }
    }

    /// Makes word `at` what `change` makes of it, and returns what it was. Threads do not get in each other's way; nor do
    /// processes where stores go through the mapping. Where they are [written](Self::are_written), the caller keeps other
    /// processes from changing the word meanwhile.
    pub fn update(&self, at: usize, change: impl Fn(u64) -> u64) -> io::Result<u64> {
        let Some(writes) = &self.writes else {
            let update = self.word(at)?.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |was| Some(change(was)));
            return Ok(update.unwrap_or_else(|was| was));
        };
        let _changing = writes.changing.lock();
        let was = self.load(at);
        self.write(writes, at, &[change(was)])?;
        Ok(was)
    }

    /// As [`FileWords::update`], and no process gets in another's way: where stores are writes, each holds the lock on byte
    /// `lock` of the file meanwhile, which it looks for `looks` times, a ms apart.
    pub fn update_locked(&self, at: usize, lock: u64, looks: u32, change: impl Fn(u64) -> u64) -> io::Result<u64> {
        let Some(writes) = &self.writes else { return self.update(at, change) };
        let _changing = writes.changing.lock();
        let byte = lock..lock + 1;
        let mut looked = 0;
        while !writes.file.try_lock(byte.clone(), LockKind::Exclusive)? {
            looked += 1;
            if looked >= looks {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "another process holds the lock of a word"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let was = self.load(at);
        let written = self.write(writes, at, &[change(was)]);
        let _ = writes.file.unlock(byte);
        written.map(|()| was)
    }

    /// Raises word `at` to `value`, if it is less. As [`FileWords::update`].
    pub fn raise(&self, at: usize, value: u64) -> io::Result<()> {
        let Some(writes) = &self.writes else {
            self.word(at)?.fetch_max(value, Ordering::SeqCst);
            return Ok(());
        };
        let _changing = writes.changing.lock();
        if self.load(at) < value { self.write(writes, at, &[value]) } else { Ok(()) }
    }

    fn write(&self, writes: &Writes, at: usize, values: &[u64]) -> io::Result<()> {
        self.word(at)?;
        // Stores before it are seen before it, and loads after it come after it, as with a store of memory.
        fence(Ordering::SeqCst);
        writes.file.write_at(bytemuck::cast_slice(values), at as u64 * size_of::<u64>() as u64)?;
        fence(Ordering::SeqCst);
        Ok(())
    }

    fn word(&self, at: usize) -> io::Result<&AtomicU64> {
        self.words.get(at).ok_or_else(beyond)
    }

    /// Sleeps until word `at` is woken, or `timeout` has passed: see [`SharedWords::wait`].
    pub fn wait(&self, at: usize, seen: u64, timeout: Option<Duration>) {
        self.words.wait(at, seen, timeout);
    }

    /// Word `at`, for who waits for it among others. `seen` is what it held when its reader last looked.
    pub(crate) fn watched(&self, at: usize, seen: u64) -> WatchedWord {
        WatchedWord::new(&self.words, at, seen)
    }

    /// Wakes all who wait on word `at`, in every process that maps it.
    pub fn wake(&self, at: usize) {
        self.words.wake(at);
    }
}

fn beyond() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "there are not that many words")
}

/// Bytes as words that hold them in their order; zeros fill the last one.
pub fn words_of_text(bytes: &[u8]) -> Vec<u64> {
    let word = |part: &[u8]| {
        let mut word = [0; size_of::<u64>()];
        word[..part.len()].copy_from_slice(part);
        u64::from_le_bytes(word)
    };
    bytes.chunks(size_of::<u64>()).map(word).collect()
}

impl fmt::Debug for FileWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWords").field("words", &self.count()).field("written", &self.are_written()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;
    use crate::io::{Disk, OpenMode, RealDisk};

    /// Written words of a file of this machine, and another process's, as far as a test can be one.
    fn written() -> (tempfile::TempDir, [FileWords; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        fs::write(&path, [0; 4096]).unwrap();
        let words = || {
            let file = fs::File::options().read(true).write(true).open(&path).unwrap();
            let mapping = memmap2::MmapOptions::new().len(4096).map_raw_read_only(&file).unwrap();
            let mapped = SharedWords::mapped(mapping, 512).unwrap();
            FileWords::written(mapped, RealDisk.open(&path, OpenMode::ReadWrite).unwrap())
        };
        let both = [words(), words()];
        (dir, both)
    }

    #[test]
    fn what_is_written_is_seen_by_all_who_have_the_words_mapped() {
        let (dir, [a, b]) = written();
        a.store(3, 7).unwrap();
        assert_eq!((a.load(3), b.load(3)), (7, 7));
        b.store_all(510, &[1, 2]).unwrap();
        assert_eq!((a.load(510), a.load(511), a.load(512)), (1, 2, 0));
        assert_eq!(a.update(3, |was| was * 3).unwrap(), 7);
        b.raise(3, 20).unwrap();
        a.raise(4, 9).unwrap();
        assert_eq!([3, 4].map(|at| b.load(at)), [21, 9]);
        assert!(a.store(512, 1).is_err() && a.update(512, |was| was).is_err() && a.store_all(511, &[1, 2]).is_err());
        let bytes = fs::read(dir.path().join("words")).unwrap();
        assert_eq!((bytes.len(), bytes[24]), (4096, 21));
    }

    #[test]
    fn who_counts_a_word_up_under_its_lock_misses_nobody() {
        const TIMES: u64 = 300;
        let (_dir, both) = written();
        thread::scope(|scope| {
            for words in both.iter().chain(&both) {
                scope.spawn(|| {
                    for _ in 0..TIMES {
                        words.update_locked(5, 1 << 62, 10_000, |was| was + 1).unwrap();
                    }
                });
            }
        });
        assert_eq!(both[0].load(5), 4 * TIMES);
    }

    /// Words that are written are mapped for reading: sleeping on them, and waking, works all the same.
    #[test]
    fn who_sleeps_on_a_word_that_is_written_is_woken() {
        const TURNS: u64 = 500;
        let (_dir, [mine, theirs]) = written();
        let count = |words: &FileWords, parity: u64| {
            for turn in (0..TURNS).filter(|turn| turn % 2 == parity) {
                while words.load(3) != turn {
                    let seen = words.load(3);
                    if seen != turn {
                        words.wait(3, seen, None);
                    }
                }
                words.store(3, turn + 1).unwrap();
                words.wake(3);
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| count(&theirs, 1));
            count(&mine, 0);
        });
        assert_eq!(mine.load(3), TURNS);
    }

    /// What is assumed of the kernel: a word is written whole, as those see it who have it mapped.
    #[test]
    fn nobody_sees_half_a_word() {
        let (_dir, [a, b]) = written();
        let words = [0, u64::MAX, 0x0123_4567_89AB_CDEF];
        let done = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let seen = b.load(100);
                    assert!(words.contains(&seen), "{seen:x}");
                }
            });
            (0..100_000).for_each(|turn| a.store(100, words[turn % 3]).unwrap());
            done.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn what_was_seen_is_a_copy() {
        let words = FileWords::seen(&[1, 2]);
        words.store(1, 3).unwrap();
        assert_eq!((words.count(), words.are_written(), words.load(0), words.load(1)), (2, false, 1, 3));
        assert_eq!(words_of_text(b"12345678a"), [u64::from_le_bytes(*b"12345678"), 97]);
    }
}
