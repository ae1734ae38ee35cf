//! The file as the store writes it: every sync of it goes through one place, because a sync that fails may
//! have been another thread's only warning.

use crate::{
    error::{Error, ErrorCode, Result},
    io::DiskFile,
    level::Levels,
    lock::Mutex,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The file, its name for messages, and the count of its failed syncs.
#[derive(Debug)]
pub(super) struct Device {
    pub file: Arc<dyn DiskFile>,
    pub path: PathBuf,
    /// What of the format this process reads, and what that which it writes needs.
    pub levels: Levels,
    failed_syncs: Mutex<u64>,
}

/// The number of failed syncs when a piece of work began.
#[derive(Debug, Clone, Copy)]
pub(super) struct SyncMark(u64);

impl Device {
    pub fn new(file: Arc<dyn DiskFile>, path: &Path, levels: Levels) -> Self {
        Self { file, path: path.to_owned(), levels, failed_syncs: Mutex::new(0) }
    }

    /// Call before the first write of what a later [`Device::sync`] is to make durable.
    pub fn mark(&self) -> SyncMark {
        SyncMark(*self.failed_syncs.lock())
    }

    /// Makes everything written since `mark` durable. The kernel reports a failed write-back once per open
    /// file and then forgets the pages: a failure that another thread saw since `mark` counts here too.
    pub fn sync(&self, mark: SyncMark) -> Result<()> {
        let mut failed = self.failed_syncs.lock();
        if let Err(error) = self.file.sync_data() {
            *failed += 1;
            return Err(self.error("sync", error));
        }
        if *failed == mark.0 {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::SyncFailed,
            format_args!("a sync of {} failed while this was being written to it", self.path.display()),
        ))
    }

    /// Reads exactly `buf.len()` bytes.
    pub fn read(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buf, offset).map_err(|error| self.error("read", error))
    }

    pub fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_at(bytes, offset).map_err(|error| self.error("write to", error))
    }

    pub fn len(&self) -> Result<u64> {
        self.file.len().map_err(|error| self.error("read the length of", error))
    }

    pub fn error(&self, action: &str, error: std::io::Error) -> Error {
        Error::io(action, &self.path, error)
    }
}
