//! Watching a log grow from beside: in the process that writes it, or in another one.

use super::{LocalSource, Source, SourcePaths};
use crate::{db::OpenOptions, error::Result, graph::LogIndex, io::Env, watch::Watch};
use std::{path::Path, sync::Arc, time::Duration};

/// What tells that the log of a database has grown, whoever commits there: this process, or another one that has the file open. It
/// opens no database, takes no lock and keeps nothing from being reclaimed.
///
/// ```
/// use kitedb_core::{Database, LogWatch, OpenOptions, ReplicationRole, Watch};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("p.kitedb");
/// let db = Database::open(&path, OpenOptions::new().replication_role(ReplicationRole::Primary))?;
/// db.transaction(|tx| tx.create_node(Some("ada")))?;
/// let log = LogWatch::new(&path, &OpenOptions::new());
/// assert_eq!(log.head()?, 1);
/// let waits = std::thread::spawn(move || log.wait(1, u64::MAX, &Watch::silent()));
/// db.transaction(|tx| tx.create_node(Some("charles")))?;
/// assert_eq!(waits.join().unwrap()?, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LogWatch {
    log: Arc<LocalSource>,
    env: Env,
}

impl LogWatch {
    /// Watches the log of the database at `path`, whose sidecar is where `options` say, or else where its file does. It is looked for
    /// with the first call.
    pub fn new(path: impl AsRef<Path>, options: &OpenOptions) -> Self {
        let paths = SourcePaths { db: path.as_ref().to_owned(), sidecar: options.sidecar_path.clone() };
        let env = Env::real();
        Self { log: Arc::new(LocalSource::new(env.clone(), paths, Arc::new(|_: &Path| None))), env }
    }

    /// The last frame that is published; 0 before the first.
    ///
    /// # Errors
    /// [`ErrorCode::SourceUnavailable`](crate::ErrorCode::SourceUnavailable): there is no log; those of reading its files.
    pub fn head(&self) -> Result<u64> {
        Ok(self.log.head()?.0)
    }

    /// Waits until a frame after `seen` is published, for at most `timeout_ms`; returns the last one by then. A wait takes no time of
    /// the processor, but where the log's control file may not be written to: then it looks again and again, less often the longer
    /// nothing comes (1 s at last).
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`](crate::ErrorCode::Cancelled) once `watch` ends it; those of [`LogWatch::head`], also where the log goes meanwhile.
    pub fn wait(&self, seen: u64, timeout_ms: u64, watch: &Watch) -> Result<u64> {
        let woken = Arc::downgrade(&self.log);
        let _asleep = watch.while_asleep(move || {
            if let Some(source) = woken.upgrade() {
                source.wake();
            }
        });
        let now = || Duration::from_nanos(self.env.host.monotonic_ns());
        let end = now().saturating_add(Duration::from_millis(timeout_ms));
        loop {
            watch.require_uncancelled()?;
            let head = self.head()?;
            let left = end.saturating_sub(now());
            if head > seen || left.is_zero() {
                return Ok(head);
            }
            self.log.wait(LogIndex(seen), left, &|| !watch.is_cancelled());
        }
    }
}
