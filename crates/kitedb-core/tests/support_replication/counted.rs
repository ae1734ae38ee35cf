//! A disk that counts the bytes that are read of some files, and can fail reads after so many.

use kitedb_core::io::{Disk, DiskFile, Env, FileIdentity, LockKind, Mapping, OpenMode, SharedWords};
use std::{
    io,
    ops::Range,
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
        Env { disk: Arc::new(Metered(env.disk.clone(), self.clone())), host: env.host.clone() }
    }

    /// Begins anew, and lets reads fail after `limit` bytes.
    pub fn restart(&self, limit: u64) {
        self.read.store(0, Ordering::SeqCst);
        self.limit.store(limit, Ordering::SeqCst);
    }

    pub fn read(&self) -> u64 {
        self.read.load(Ordering::SeqCst)
    }

    fn count(&self, bytes: usize) -> io::Result<()> {
        let before = self.read.fetch_add(bytes as u64, Ordering::SeqCst);
        if before + bytes as u64 > self.limit.load(Ordering::SeqCst) {
            Err(io::ErrorKind::Other.into())
        } else {
            Ok(())
        }
    }
}

#[derive(Debug)]
struct Metered(Arc<dyn Disk>, Arc<Meter>);

#[derive(Debug)]
struct MeteredFile(Arc<dyn DiskFile>, Arc<Meter>);

impl Disk for Metered {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.0.open(path, mode)?;
        let metered = path.to_string_lossy().ends_with(self.1.part);
        Ok(if metered { Arc::new(MeteredFile(file, self.1.clone())) } else { file })
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

impl DiskFile for MeteredFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.0.read_at(buf, offset)?;
        self.1.count(read)?;
        Ok(read)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
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
