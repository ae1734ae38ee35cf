//! The state in a file that processes of one machine share.
//!
//! A change takes the lock (a file beside it, with `.lock` after the name, which stays), reads, applies, writes to
//! another file (`.tmp`) and renames that over it: so who reads needs no lock and never sees half a file, and no key of
//! another process is lost. A file that cannot be understood is reported and left as it is.

use super::{BreakerState, StoreError, document::Document};
use std::{
    fmt::Display,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// No file of states is longer.
const MAX_BYTES: u64 = 4 << 20;

/// How long to wait between two tries to take the lock.
const PAUSE: Duration = Duration::from_millis(5);

/// A change of a state.
pub type Change<'a> = &'a mut (dyn FnMut(&mut BreakerState) + Send);

/// A file of breaker states.
#[derive(Debug, Clone)]
pub struct FileStore {
    path: PathBuf,
}

impl FileStore {
    /// A file that may not exist yet; its folder must.
    pub fn new(path: &Path) -> Self {
        Self { path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state of `key`. `None`: there is none. It takes `budget` at most.
    ///
    /// # Errors
    /// The file, or what it has for `key`, cannot be read.
    pub async fn read(&self, key: &str, budget: Duration) -> Result<Option<BreakerState>, StoreError> {
        let document = self.look(budget).await?;
        Ok(document.entry(key).map_err(|e| self.failed(e))?.map(|entry| entry.state))
    }

    /// Reads the state of `key`, applies `change`, and writes it if that changed it; `memory` takes the place of an
    /// absent entry. `change` may be applied more than once: only the last time counts. It takes `budget` at most.
    ///
    /// # Errors
    /// The file cannot be read, understood, locked or written. It is what it was before.
    pub async fn update(
        &self,
        key: &str,
        memory: Option<&BreakerState>,
        change: Change<'_>,
        budget: Duration,
    ) -> Result<BreakerState, StoreError> {
        // Most pushes change nothing, and nothing needs no lock.
        let mut document = self.look(budget).await?;
        let (state, changed) = self.apply(&mut document, key, memory, change)?;
        if !changed {
            return Ok(state);
        }
        let store = self.clone();
        let (locked, mut document) = self
            .within(budget, move || {
                let locked = store.lock(budget)?;
                let document = locked.read()?;
                Ok((locked, document))
            })
            .await?;
        let (state, changed) = self.apply(&mut document, key, memory, change)?;
        if changed {
            // The lock goes along: should nobody wait any more, it is held until the write is done.
            self.within(budget, move || locked.write(&document)).await?;
        }
        Ok(state)
    }

    /// The same in the place where it is called, which it blocks for `patience` and a write at most.
    ///
    /// # Errors
    /// The file cannot be read, understood, locked or written. It is what it was before.
    pub fn update_now(&self, key: &str, change: Change<'_>, patience: Duration) -> Result<BreakerState, StoreError> {
        let locked = self.lock(patience)?;
        let mut document = locked.read()?;
        let (state, changed) = self.apply(&mut document, key, None, change)?;
        if changed {
            locked.write(&document)?;
        }
        Ok(state)
    }

    /// Reads without the lock.
    async fn look(&self, budget: Duration) -> Result<Document, StoreError> {
        let store = self.clone();
        self.within(budget, move || read(&store.path).map_err(|e| store.failed(e))).await
    }

    /// Applies a change to what a document has; gives the state, and whether the document is another one now.
    fn apply(
        &self,
        document: &mut Document,
        key: &str,
        memory: Option<&BreakerState>,
        change: Change<'_>,
    ) -> Result<(BreakerState, bool), StoreError> {
        let entry = document.entry(key).map_err(|e| self.failed(e))?;
        let mut state = entry.as_ref().map(|entry| &entry.state).or(memory).cloned().unwrap_or_default();
        change(&mut state);
        let mut entry = entry.unwrap_or_default();
        let changed = entry.state != state;
        if changed {
            entry.state = state.clone();
            document.set(key, entry.render().map_err(|e| self.failed(e))?);
        }
        Ok((state, changed))
    }

    fn lock(&self, patience: Duration) -> Result<LockedFile, StoreError> {
        // A link's lock and temporary file belong beside what it leads to: other links may lead there, too.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        kitedb_core::require_outside_logs(&path).map_err(|e| self.failed(e))?;
        let _lock = lock(&beside(&path, ".lock"), mode_of(&path), patience)
            .map_err(|e| self.failed(format_args!("its lock cannot be taken: {e}")))?;
        Ok(LockedFile { path, _lock })
    }

    /// Runs `work` on a thread that may block.
    async fn within<T: Send + 'static>(
        &self,
        budget: Duration,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(budget, tokio::task::spawn_blocking(work)).await {
            Ok(Ok(done)) => done,
            Ok(Err(gone)) => Err(self.failed(gone)),
            Err(_) => Err(self.failed(format_args!("it was not done within {} ms", budget.as_millis()))),
        }
    }

    fn failed(&self, what: impl Display) -> StoreError {
        failed(&self.path, what)
    }
}

/// A file of states that nobody else changes.
#[derive(Debug)]
struct LockedFile {
    path: PathBuf,
    _lock: File,
}

impl LockedFile {
    fn read(&self) -> Result<Document, StoreError> {
        read(&self.path).map_err(|e| failed(&self.path, e))
    }

    fn write(&self, document: &Document) -> Result<(), StoreError> {
        let text = document.render().map_err(|e| failed(&self.path, e))?;
        let temporary = beside(&self.path, ".tmp");
        let written = write(&temporary, mode_of(&self.path).unwrap_or(0o600), text.as_bytes())
            .and_then(|()| fs::rename(&temporary, &self.path))
            .and_then(|()| self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()));
        written.map_err(|e| {
            // Nobody misses it; if it cannot be removed, the next write does that.
            let _ = fs::remove_file(&temporary);
            failed(&self.path, e)
        })
    }
}

fn failed(path: &Path, what: impl Display) -> StoreError {
    StoreError::new(format_args!("circuit breaker state file {}: {what}", path.display()))
}

/// Reads a file. No file has no states.
fn read(path: &Path) -> Result<Document, String> {
    let metadata = match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Document::default()),
        metadata => metadata.map_err(|e| e.to_string())?,
    };
    if !metadata.is_file() {
        return Err("not a file".to_owned());
    }
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text)).map_err(|e| e.to_string())?;
    if text.len() as u64 > MAX_BYTES {
        return Err("longer than 4 MiB".to_owned());
    }
    Ok(Document::parse(&text)?.unwrap_or_default())
}

/// Writes a new file, down to the disk.
fn write(path: &Path, mode: u32, text: &[u8]) -> io::Result<()> {
    // What a process left that was killed in here. The lock says that nobody is at it.
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The mode above is only what the process's mask leaves of it.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text)?;
    file.sync_all()
}

/// Takes the lock file at `path`, with the mode of what it guards, within `patience`.
fn lock(path: &Path, mode: Option<u32>, patience: Duration) -> io::Result<File> {
    let mut waited = Duration::ZERO;
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(mode.unwrap_or(0o600))
            .open(path)?;
        match file.try_lock() {
            // Somebody may have removed it in between; then others lock another file.
            Ok(()) if is_at(&file, path)? => return Ok(file),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(e),
        }
        if waited >= patience {
            let text = format!("another process has held {} for {} ms", path.display(), patience.as_millis());
            return Err(io::Error::new(ErrorKind::WouldBlock, text));
        }
        std::thread::sleep(PAUSE);
        waited += PAUSE;
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let locked = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (locked.dev(), locked.ino())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// The permissions of a file that exists.
fn mode_of(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|metadata| metadata.mode() & 0o777)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests;
