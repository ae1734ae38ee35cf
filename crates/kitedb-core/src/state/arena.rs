//! Records of a fixed number of atomic words, appended by one writer and read by any number of readers that never
//! wait. A record is found by its number, never moves, and fills whole cache lines; large arenas lie in huge pages.

use crate::io::SharedWords;
use std::sync::{
    OnceLock,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

const FIRST_LOG2: u32 = 6;

/// Records of `W` words.
#[derive(Debug, Default)]
pub struct WordArena<const W: usize> {
    /// Chunk number `n` holds 2^(n + FIRST_LOG2) records.
    chunks: [OnceLock<SharedWords>; 26],
    len: AtomicU32,
}

impl<const W: usize> WordArena<W> {
    /// How many records there are.
    pub fn len(&self) -> u32 {
        self.len.load(Ordering::Acquire)
    }

    /// The record with a number. The number must have been published by the writer, in a way that orders its
    /// stores before the reader's loads.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&[AtomicU64; W]> {
        let (chunk, at) = Self::place(number);
        self.chunks.get(chunk)?.get()?.get(at * W..)?.first_chunk()
    }

    #[inline]
    fn place(number: u32) -> (usize, usize) {
        let from = u64::from(number) + (1 << FIRST_LOG2);
        let log2 = from.ilog2();
        ((log2 - FIRST_LOG2) as usize, (from - (1 << log2)) as usize)
    }

    /// Appends a record with these words. Only one thread at a time may call this.
    pub fn push(&self, words: [u64; W]) -> (u32, &[AtomicU64; W]) {
        let number = self.len.load(Ordering::Relaxed);
        let (chunk, at) = Self::place(number);
        let chunk = self.chunks[chunk].get_or_init(|| SharedWords::zeroed(W << (chunk as u32 + FIRST_LOG2)));
        let Some(record) = chunk[at * W..].first_chunk() else { unreachable!("a chunk ends with a whole record") };
        for (slot, word) in record.iter().zip(words) {
            slot.store(word, Ordering::Relaxed);
        }
        self.len.store(number + 1, Ordering::Release);
        (number, record)
    }

    /// Every record.
    pub fn iter(&self) -> impl Iterator<Item = &[AtomicU64; W]> {
        (0..self.len()).map_while(|number| self.get(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_numbers_and_words() {
        let arena = WordArena::<3>::default();
        for n in 0..10_000 {
            assert_eq!(u64::from(arena.push([n, n * 2, n * 3]).0), n);
        }
        for n in 0..10_000u32 {
            let words = arena.get(n).unwrap().each_ref().map(|w| w.load(Ordering::Relaxed));
            assert_eq!(words, [1, 2, 3].map(|k| k * u64::from(n)));
        }
        assert_eq!(arena.iter().count(), 10_000);
    }
}
