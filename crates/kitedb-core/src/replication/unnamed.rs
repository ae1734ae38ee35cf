//! The source of a replica that nobody has named one for: every request says so.

use super::{
    registry::Progress,
    source::{At, Fencing, Pulled, Snapshot, Source},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    log::{Moved, PageLimits, WriterId},
};
use std::time::Duration;

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Unnamed;

/// The error of a replica without a source.
pub fn not_configured() -> Error {
    Error::new(
        ErrorCode::InvalidOption,
        "source db path of a replica is not configured: give replication_source_db_path (--source-db) once, it is \
         remembered",
    )
}

impl Source for Unnamed {
    fn head(&self) -> Result<LogIndex> {
        Err(not_configured())
    }

    fn page(&self, _: &At, _: PageLimits) -> Result<Pulled> {
        Err(not_configured())
    }

    fn page_unattributed(&self, _: &At, _: PageLimits) -> Result<Pulled> {
        Err(not_configured())
    }

    fn writer_at(&self, _: LogIndex) -> Result<Option<(Epoch, WriterId)>> {
        Err(not_configured())
    }

    fn snapshot(&self, _: bool) -> Result<Box<dyn Snapshot>> {
        Err(not_configured())
    }

    fn report(&self, _: &Progress) -> Result<()> {
        Err(not_configured())
    }

    fn require_fenceable(&self) -> Result<()> {
        Err(not_configured())
    }

    fn forget(&self, _: &str) -> Result<()> {
        Err(not_configured())
    }

    fn fence(&self, _: WriterId, _: LogIndex) -> Result<Box<dyn Fencing>> {
        Err(not_configured())
    }

    fn reserve(&self, _: &Progress) -> Result<()> {
        Err(not_configured())
    }

    fn moved(&self) -> Result<Option<Moved>> {
        Err(not_configured())
    }

    fn wait(&self, _: LogIndex, timeout: Duration) {
        std::thread::sleep(timeout);
    }

    fn wake(&self) {}
}
