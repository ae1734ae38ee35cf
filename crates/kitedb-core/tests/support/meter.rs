//! A meter of what is read of some files, which can let reads fail after so many bytes.

use super::observed::{Observer, Operation, observed};
use kitedb_core::io::Env;
use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// How much was read, and when reading ends.
#[derive(Debug)]
pub struct Meter {
    part: &'static str,
    read: AtomicU64,
    limit: AtomicU64,
}

impl Meter {
    /// Counts what is read of files whose path ends with `part`.
    pub fn new(part: &'static str) -> Arc<Self> {
        Arc::new(Self { part, read: AtomicU64::new(0), limit: AtomicU64::new(u64::MAX) })
    }

    /// The same disk and host, metered.
    pub fn env(self: &Arc<Self>, env: &Env) -> Env {
        observed(env, self.clone())
    }

    /// Begins anew, and lets reads fail after `limit` bytes.
    pub fn restart(&self, limit: u64) {
        self.read.store(0, Ordering::SeqCst);
        self.limit.store(limit, Ordering::SeqCst);
    }

    /// Bytes read since the start.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::SeqCst)
    }

    /// Bytes read since the start, or since this was asked last.
    pub fn take(&self) -> u64 {
        self.read.swap(0, Ordering::SeqCst)
    }
}

impl Observer for Meter {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let Operation::Read(bytes) = operation else { return Ok(()) };
        if !path.to_string_lossy().ends_with(self.part) {
            return Ok(());
        }
        let before = self.read.fetch_add(bytes as u64, Ordering::SeqCst);
        if before + bytes as u64 > self.limit.load(Ordering::SeqCst) {
            Err(io::ErrorKind::Other.into())
        } else {
            Ok(())
        }
    }
}
