//! How much memory a delta takes, roughly.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count of bytes that one thread raises, under the commit lock, and any reads.
#[derive(Debug, Default)]
pub struct Memory(AtomicU64);

impl Memory {
    /// So many bytes more.
    #[inline]
    pub fn grow_by(&self, bytes: usize) {
        self.0.store(self.bytes() + bytes as u64, Ordering::Relaxed);
    }

    /// The bytes so far.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
