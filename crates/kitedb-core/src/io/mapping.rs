//! Bytes of a file, mapped for reading.
#![allow(unsafe_code)]

use std::{
    fmt,
    ops::Deref,
    ptr::NonNull,
    slice,
    sync::{Arc, Weak},
};

use memmap2::Mmap;

/// Read-only bytes of a file that nobody changes while this lives. They start at a multiple of 8 in memory, so
/// that a part that starts at a multiple of 4 or 8 can be cast to a slice of integers. A clone is another handle
/// to the same bytes.
#[derive(Clone)]
pub struct Mapping {
    // Where the bytes lie in `owner`, kept here so that a read costs no look at which kind of owner it is.
    first: NonNull<u8>,
    len: usize,
    owner: Owner,
}

#[derive(Clone)]
enum Owner {
    File { _mapping: Arc<Mmap> },
    // Held as words, not bytes, for the alignment.
    Memory { words: Arc<Vec<u64>> },
}

// SAFETY: the pointer leads into memory that `owner` (itself Send + Sync) keeps alive, in place and unchanged.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// A mapped range of a file. The mapping must be page-aligned, which the kernel sees to.
    pub(super) fn of_file(mapping: Mmap) -> Self {
        let first = NonNull::from(&*mapping).cast();
        Self { first, len: mapping.len(), owner: Owner::File { _mapping: Arc::new(mapping) } }
    }

    /// `bytes`, copied into memory of its own.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        let mut words = vec![0u64; bytes.len().div_ceil(size_of::<u64>())];
        bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
        let first = NonNull::from(words.as_slice()).cast();
        Self { first, len: bytes.len(), owner: Owner::Memory { words: Arc::new(words) } }
    }

    /// The first `len` bytes of `words`, or all of them, shared.
    pub(super) fn of_words(words: Arc<Vec<u64>>, len: usize) -> Self {
        let len = len.min(size_of_val(words.as_slice()));
        Self { first: NonNull::from(words.as_slice()).cast(), len, owner: Owner::Memory { words } }
    }

    /// A token by which the maker of a mapping in memory can tell whether it still lives.
    pub(super) fn lifetime(&self) -> Weak<Vec<u64>> {
        match &self.owner {
            Owner::File { .. } => Weak::new(),
            Owner::Memory { words } => Arc::downgrade(words),
        }
    }
}

impl Deref for Mapping {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `first` and `len` describe memory inside `owner`, which stays in place while `self` lives and is
        // never written through it; that no one changes the mapped range of the file is the promise under which
        // `DiskFile::map` is called.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_memory_can_be_read_as_integers() {
        let mapping = Mapping::of_bytes(&[1, 0, 0, 0, 2, 0, 0, 0, 9]);
        assert_eq!(mapping.len(), 9);
        assert_eq!(bytemuck::cast_slice::<u8, u32>(&mapping[..8]), [1u32.to_le(), 2u32.to_le()]);
        assert!(Mapping::of_bytes(&[]).is_empty());
    }

    #[test]
    fn lifetime_ends_with_the_last_handle() {
        let mapping = Mapping::of_bytes(b"abc");
        let other = mapping.clone();
        let lifetime = mapping.lifetime();
        drop(mapping);
        assert_eq!(lifetime.strong_count(), 1);
        assert_eq!(&other[..], b"abc");
        drop(other);
        assert_eq!(lifetime.strong_count(), 0);
    }
}
