//! Memory of 64-bit words that several owners change at once: the mapped control file of a log, or its
//! stand-in on a simulated disk.
#![allow(unsafe_code)]

use std::{
    fmt, io,
    ops::Deref,
    ptr::NonNull,
    slice,
    sync::{Arc, atomic::AtomicU64},
};

use memmap2::{MmapMut, MmapRaw};

const PAGE_WORDS: usize = 512;

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
    pub(super) fn in_memory(words: usize) -> Self {
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

    /// Whether another handle to the same words lives.
    pub(super) fn is_shared(&self) -> bool {
        match &self.owner {
            Owner::Mapping(mapping) => Arc::strong_count(mapping) > 1,
            Owner::Memory(memory) => Arc::strong_count(memory) > 1,
        }
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
    use std::sync::atomic::Ordering;

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
}
