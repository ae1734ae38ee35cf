//! Files that may change while they are in force.

use crate::ConfigError;
use arc_swap::ArcSwap;
use std::{
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// So long what was seen last counts as what is.
const FRESH: Duration = Duration::from_secs(1);

/// What is made of files, and made anew when they change. Nothing wakes up for it: whoever needs it asks for a look, and one is taken
/// where the last was long enough ago. Files that are broken after a change leave in force what they said before.
pub(crate) struct Watched<T>(Arc<Inner<T>>);

struct Inner<T> {
    files: Vec<PathBuf>,
    read: Box<dyn Fn() -> Result<T, ConfigError> + Send + Sync>,
    current: ArcSwap<T>,
    began: Instant,
    /// When the next look is due, in milliseconds after the beginning.
    next_look: AtomicU64,
    /// One looks, and others wait for what he sees: nobody is admitted by what has been taken back for long.
    turn: tokio::sync::Mutex<()>,
    seen: Mutex<Vec<Option<Stamp>>>,
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    written: (i64, i64),
    /// Moves with the mode and the owner, too.
    changed: (i64, i64),
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("files", &self.0.files).finish_non_exhaustive()
    }
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// Of `read`.
    pub fn new(
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, ConfigError> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let seen = stamps_of(&files);
        let current = ArcSwap::from_pointee(read()?);
        let (read, began, next_look) = (Box::new(read), Instant::now(), AtomicU64::new(millis(FRESH)));
        let (turn, seen) = (tokio::sync::Mutex::new(()), Mutex::new(seen));
        Ok(Self(Arc::new(Inner { files, read, current, began, next_look, turn, seen })))
    }

    /// What the files said when they were last seen whole.
    pub fn current(&self) -> Arc<T> {
        self.0.current.load_full()
    }

    /// Looks at the files where the last look was more than a second ago.
    pub async fn look(&self) {
        if !self.0.is_due() {
            return;
        }
        let _turn = self.0.turn.lock().await;
        if self.0.is_due() {
            let inner = self.0.clone();
            if let Err(e) = tokio::task::spawn_blocking(move || inner.look()).await {
                tracing::error!("files were not looked at: {e}");
            }
        }
    }
}

impl<T> Inner<T> {
    fn is_due(&self) -> bool {
        millis(self.began.elapsed()) >= self.next_look.load(Relaxed)
    }

    fn look(&self) {
        let at = self.began.elapsed();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps_of(&self.files);
        if *seen != stamps {
            let read = (self.read)();
            // What is being written just then is looked at the next time.
            if stamps == stamps_of(&self.files) {
                *seen = stamps;
                self.put_in_force(read);
            }
        }
        self.next_look.store(millis(at + FRESH), Relaxed);
    }

    fn put_in_force(&self, read: Result<T, ConfigError>) {
        let files = self.files.iter().map(|file| file.to_string_lossy()).collect::<Vec<_>>().join(", ");
        match read {
            Ok(value) => {
                self.current.store(Arc::new(value));
                tracing::info!(files, "files that changed are in force");
            }
            Err(e) => tracing::error!(
                files,
                "files that changed cannot be used, and what they said before stays in force: {e}"
            ),
        }
    }
}

/// `None`: of a file that cannot be looked at.
fn stamps_of(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|file| stamp_of(file)).collect()
}

fn stamp_of(file: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(file).ok()?;
    Some(Stamp {
        file: (metadata.dev(), metadata.ino()),
        size: metadata.size(),
        written: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
