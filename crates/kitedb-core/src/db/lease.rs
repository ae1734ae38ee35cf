//! What a handle shares with its transactions.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::Epoch,
};
use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// By what right a handle and its transactions write: the epoch that it leads, as long as it is open.
#[derive(Debug)]
pub(crate) struct Lease {
    epoch: AtomicU64,
    closed: AtomicBool,
    path: PathBuf,
}

impl Lease {
    pub fn new(epoch: Epoch, path: &Path) -> Self {
        Self { epoch: AtomicU64::new(epoch.0), closed: AtomicBool::new(false), path: path.to_owned() }
    }

    /// The epoch that the handle leads: another handle's promotion fences it.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// The handle leads `epoch` from now on.
    pub fn lead(&self, epoch: Epoch) {
        self.epoch.store(epoch.0, Ordering::Release);
    }

    /// Ends it. Returns whether it had ended before.
    pub fn close(&self) -> bool {
        self.closed.swap(true, Ordering::SeqCst)
    }

    /// Whether the handle was closed.
    #[inline]
    pub fn is_closed(&self) -> bool {
        // In one order with the places of readers: see `Engine::end`.
        self.closed.load(Ordering::SeqCst)
    }

    /// Fails once the handle is closed.
    #[inline]
    pub fn require_open(&self) -> Result<()> {
        if self.is_closed() { Err(self.closed()) } else { Ok(()) }
    }

    #[cold]
    fn closed(&self) -> Error {
        Error::new(ErrorCode::Closed, "Database is closed").with_path(&self.path)
    }
}
