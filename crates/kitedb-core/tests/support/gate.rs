//! A disk that stops whoever comes to a place, until it is let go.

use kitedb_core::io::{
    Disk, DiskFile, Env, FileIdentity, LockKind, Mapping, OpenMode, RealDisk, SharedWords, SystemHost,
};
use parking_lot::{Condvar, Mutex};
use std::{io, ops::Range, path::Path, sync::Arc};

/// Stops whoever comes to it while it is shut.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<GateState>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    shut: Option<(At, &'static str)>,
    waiting: bool,
}

/// What a gate stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Write,
    Sync,
}

impl Gate {
    /// The real disk and host, behind this gate.
    pub fn env(self: &Arc<Self>) -> Env {
        Env { disk: Arc::new(GatedDisk(RealDisk, self.clone())), host: SystemHost::shared() }
    }

    /// Stops the next operations of a sort on files whose path ends with `part`.
    pub fn shut(&self, at: At, part: &'static str) {
        *self.state.lock() = GateState { shut: Some((at, part)), waiting: false };
    }

    /// Lets everyone go.
    pub fn open(&self) {
        *self.state.lock() = GateState::default();
        self.moved.notify_all();
    }

    fn pass(&self, at: At, path: &str) {
        let mut state = self.state.lock();
        while state.shut.is_some_and(|(shut, part)| shut == at && path.ends_with(part)) {
            state.waiting = true;
            self.moved.notify_all();
            self.moved.wait(&mut state);
        }
    }

    /// Returns once someone is stopped.
    pub fn wait_for_someone(&self) {
        let mut state = self.state.lock();
        while !state.waiting {
            self.moved.wait(&mut state);
        }
    }
}

/// The real disk behind a gate.
#[derive(Debug)]
struct GatedDisk(RealDisk, Arc<Gate>);

#[derive(Debug)]
struct GatedFile(Arc<dyn DiskFile>, Arc<Gate>, String);

impl DiskFile for GatedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.1.pass(At::Write, &self.2);
        self.0.write_at(buf, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.pass(At::Sync, &self.2);
        self.0.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn map(&self, offset: u64, len: usize) -> io::Result<Mapping> {
        self.0.map(offset, len)
    }
    fn map_words(&self, words: usize) -> io::Result<SharedWords> {
        self.0.map_words(words)
    }
    fn try_lock(&self, range: Range<u64>, kind: LockKind) -> io::Result<bool> {
        self.0.try_lock(range, kind)
    }
    fn unlock(&self, range: Range<u64>) -> io::Result<()> {
        self.0.unlock(range)
    }
    fn identity(&self) -> io::Result<FileIdentity> {
        self.0.identity()
    }
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.0.open(path, mode)?;
        Ok(Arc::new(GatedFile(file, self.1.clone(), path.to_string_lossy().into_owned())))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.0.list(path)
    }
    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        self.0.identity(path)
    }
    fn is_dir(&self, path: &Path) -> bool {
        self.0.is_dir(path)
    }
}
