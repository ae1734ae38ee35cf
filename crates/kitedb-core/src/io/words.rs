//! Memory of 64-bit words that several owners change at once: that of this process, a mapped file (then only
//! [`FileWords`](super::FileWords) uses it), or the stand-in of one on a simulated disk.
#![allow(unsafe_code)]

use std::{
    fmt, io,
    ops::Deref,
    ptr::NonNull,
    slice,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering, fence},
    },
    time::Duration,
};

use memmap2::{MmapMut, MmapRaw};

const PAGE_WORDS: usize = 512;
/// How long a wait lasts at most where the kernel does not know how to wait.
const POLL: Duration = Duration::from_millis(100);

/// Atomic words shared with whoever else maps them, page-aligned. A clone is another handle to the same words.
#[derive(Clone)]
pub struct SharedWords {
    // Where the words lie in `owner`, kept here so that an access costs no look at which kind of owner it is.
    first: NonNull<AtomicU64>,
    len: usize,
    owner: Owner,
}

#[derive(Clone)]
enum Owner {
    Mapping(Arc<MmapRaw>),
    Memory(Arc<[AtomicU64]>),
}

// SAFETY: the pointer leads into memory that `owner` (itself Send + Sync) keeps alive and in place, and is only
// ever read as `[AtomicU64]`, which is Sync.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// The first words of a shared, writable mapping.
    pub(super) fn mapped(mapping: MmapRaw, words: usize) -> io::Result<Self> {
        let first = NonNull::new(mapping.as_mut_ptr().cast::<AtomicU64>());
        match first {
            Some(first) if first.is_aligned() && words <= mapping.len() / size_of::<AtomicU64>() => {
                Ok(Self { first, len: words, owner: Owner::Mapping(Arc::new(mapping)) })
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the mapping does not hold that many words")),
        }
    }

    /// Private words, all zero, that no file stands behind.
    pub(super) fn anonymous(words: usize) -> io::Result<Self> {
        Self::mapped(MmapMut::map_anon((words * size_of::<AtomicU64>()).max(1))?.into(), words)
    }

    /// Private words, all zero, for data structures in memory. Large ones lie in huge pages where the system has
    /// them: random accesses then cost no walk of the page tables.
    pub fn zeroed(words: usize) -> Self {
        const LARGE: usize = (2 << 20) / size_of::<AtomicU64>();
        if words < LARGE {
            return Self::in_memory(words);
        }
        let mapped = MmapMut::map_anon(words * size_of::<AtomicU64>()).and_then(|map| {
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            Self::mapped(map.into(), words)
        });
        mapped.unwrap_or_else(|_| Self::in_memory(words))
    }

    /// Words on the heap, all zero: what simulated files are mapped to.
    pub(crate) fn in_memory(words: usize) -> Self {
        let memory: Arc<[AtomicU64]> = (0..words + PAGE_WORDS).map(|_| AtomicU64::new(0)).collect();
        let offset = memory.as_ptr().align_offset(PAGE_WORDS * size_of::<AtomicU64>()).min(PAGE_WORDS);
        // SAFETY: `offset` is at most the spare page, so the pointer stays inside the slice and `words` words follow it.
        let first = unsafe { NonNull::new_unchecked(memory.as_ptr().cast_mut().add(offset)) };
        Self { first, len: words, owner: Owner::Memory(memory) }
    }

    /// Another handle, to the first `words` of these words (or to all, if there are fewer).
    pub(super) fn prefix(&self, words: usize) -> Self {
        Self { len: words.min(self.len), ..self.clone() }
    }

    /// Sleeps until word `at` is woken ([`SharedWords::wake`]) or `timeout` has passed; not at all if the word does not
    /// hold `seen`. May return early, so call it in a loop that looks at the word again.
    ///
    /// Whoever changes the word must wake it afterwards. Between the last look at the word and the sleep only its low
    /// 32 bits are compared: a change of the high bits alone can be missed there, and is met when the timeout ends.
    pub fn wait(&self, at: usize, seen: u64, timeout: Option<Duration>) {
        let Some(word) = self.get(at) else { return };
        // What is mapped for reading only takes relaxed loads.
        if word.load(Ordering::Relaxed) != seen {
            fence(Ordering::Acquire);
            return;
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if sleep::on(word, seen, timeout) {
            return;
        }
        poll(word, seen, timeout);
    }

    /// Wakes all who wait on word `at`, in every process that maps it.
    pub fn wake(&self, at: usize) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(word) = self.get(at) {
            sleep::end(word);
        }
        // Elsewhere those who wait look again by themselves.
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = at;
    }

    /// Whether another handle to the same words lives.
    pub(super) fn is_shared(&self) -> bool {
        match &self.owner {
            Owner::Mapping(mapping) => Arc::strong_count(mapping) > 1,
            Owner::Memory(memory) => Arc::strong_count(memory) > 1,
        }
    }
}

/// Looks at `word` again and again, for `timeout` or some tenths of a second.
fn poll(word: &AtomicU64, seen: u64, timeout: Option<Duration>) {
    // Not for ever: a wake that comes without a change of the word is met by returning early.
    let mut left = timeout.unwrap_or(POLL).min(POLL);
    let mut step = Duration::from_millis(1);
    while word.load(Ordering::Relaxed) == seen && !left.is_zero() {
        let nap = step.min(left);
        std::thread::sleep(nap);
        left -= nap;
        step = (step * 2).min(Duration::from_millis(10));
    }
    fence(Ordering::Acquire);
}

/// Sleeping in the kernel, on the address of a word's low half. The futex is not a private one: the kernel tells it by
/// the file and the place in it, so that it is the same one in every process and mapping.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod sleep {
    use super::{AtomicU64, Duration};
    use rustix::{
        io::Errno,
        thread::futex::{Flags, Timespec, wait, wake},
    };
    use std::{ptr::from_ref, sync::atomic::AtomicU32};

    fn low_half(word: &AtomicU64) -> &AtomicU32 {
        // SAFETY: the first 4 of a word's 8 bytes are its low half (the crate is built for little-endian machines only)
        // and more than aligned for an `AtomicU32`; they live as long as `word`. This program only takes their
        // address: the one access of that size is the kernel's, an atomic load.
        unsafe { &*from_ref(word).cast::<AtomicU32>() }
    }

    /// Whether the kernel could do it.
    pub(super) fn on(word: &AtomicU64, seen: u64, timeout: Option<Duration>) -> bool {
        // What exceeds the kernel's seconds is as good as no end.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let slept = wait(low_half(word), Flags::empty(), seen as u32, timeout.as_ref());
        matches!(slept, Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT))
    }

    pub(super) fn end(word: &AtomicU64) {
        // Where the kernel cannot do it, nobody sleeps there.
        let _ = wake(low_half(word), Flags::empty(), i32::MAX as u32);
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the constructors checked alignment and length, `owner` keeps the memory in place while `self`
        // lives, any bit pattern is a valid word, and whoever else writes to it does so through atomics or the kernel.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl fmt::Debug for SharedWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWords").field("words", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, thread};

    use super::*;

    #[test]
    fn words_are_page_aligned_and_shared_by_clones() {
        for words in [SharedWords::in_memory(3), SharedWords::anonymous(3).unwrap()] {
            assert_eq!(words.as_ptr().addr() % 4096, 0);
            assert_eq!(words.len(), 3);
            assert!(!words.is_shared());
            let other = words.prefix(2);
            other[1].store(7, Ordering::Release);
            assert_eq!(words[1].load(Ordering::Acquire), 7);
            assert_eq!(other.len(), 2);
            assert!(words.is_shared());
        }
    }

    #[test]
    fn more_words_than_the_mapping_holds_are_refused() {
        let mapping = MmapMut::map_anon(4096).unwrap();
        assert!(SharedWords::mapped(mapping.into(), 513).is_err());
    }

    fn file_of_words() -> (tempfile::TempDir, impl Fn() -> SharedWords) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        std::fs::write(&path, [0; 4096]).unwrap();
        (dir, move || {
            let file = File::options().read(true).write(true).open(&path).unwrap();
            SharedWords::mapped(memmap2::MmapOptions::new().len(4096).map_raw(&file).unwrap(), 512).unwrap()
        })
    }

    /// Counts word 3 up together with another thread, each of which waits for its turn. A lost wake would hang it.
    fn take_turns(mine: &SharedWords, theirs: &SharedWords) {
        const TURNS: u64 = 2000;
        let count = |words: &SharedWords, parity: u64| {
            for turn in (0..TURNS).filter(|turn| turn % 2 == parity) {
                loop {
                    let now = words[3].load(Ordering::Acquire);
                    if now == turn {
                        break;
                    }
                    words.wait(3, now, None);
                }
                words[3].store(turn + 1, Ordering::Release);
                words.wake(3);
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| count(theirs, 1));
            count(mine, 0);
        });
        assert_eq!(mine[3].load(Ordering::Acquire), TURNS);
    }

    #[test]
    fn threads_wake_each_other_over_words_in_memory_and_in_mappings() {
        for words in [SharedWords::in_memory(4), SharedWords::anonymous(4).unwrap(), file_of_words().1()] {
            take_turns(&words, &words.clone());
        }
    }

    #[test]
    fn a_wake_reaches_those_who_wait_in_another_mapping_of_the_file() {
        let (_dir, map) = file_of_words();
        let (a, b) = (map(), map());
        assert_ne!(a.as_ptr(), b.as_ptr());
        take_turns(&a, &b);
    }

    #[test]
    fn one_wake_ends_every_wait() {
        let words = SharedWords::in_memory(1);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while words[0].load(Ordering::Acquire) == 0 {
                        words.wait(0, 0, None);
                    }
                });
            }
            thread::sleep(Duration::from_millis(10));
            words[0].store(1, Ordering::Release);
            words.wake(0);
        });
    }

    #[test]
    fn a_wait_ends_at_once_where_the_word_has_changed_and_else_with_its_timeout() {
        let words = SharedWords::in_memory(2);
        words[0].store(1 << 32, Ordering::Release);
        // Also if the low halves are equal, and where there is no such word.
        words.wait(0, 0, None);
        words.wait(2, 0, None);
        words.wake(2);
        words.wait(1, 0, Some(Duration::from_millis(1)));
        words.wait(1, 0, Some(Duration::ZERO));
    }

    #[test]
    fn polling_sees_a_change_and_ends() {
        let word = AtomicU64::new(0);
        poll(&word, 1, None);
        poll(&word, 0, Some(Duration::from_millis(3)));
        poll(&word, 0, None);
        thread::scope(|scope| {
            scope.spawn(|| word.store(1, Ordering::Release));
            while word.load(Ordering::Acquire) == 0 {
                poll(&word, 0, None);
            }
        });
    }
}
