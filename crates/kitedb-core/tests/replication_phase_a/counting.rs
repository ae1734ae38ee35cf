//! A disk that counts what is read of segments.

use kitedb_core::io::{
    Disk, DiskFile, Env, FileIdentity, LockKind, Mapping, OpenMode, SharedWords,
    sim::{SimDisk, SimHost},
};
use std::{
    io,
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

#[derive(Debug)]
pub struct Counting {
    disk: SimDisk,
    read: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CountedFile(Arc<dyn DiskFile>, Arc<AtomicU64>);

impl Counting {
    pub fn new(disk: &SimDisk) -> Self {
        Self { disk: disk.clone(), read: Arc::default() }
    }

    pub fn env(&self, host: &SimHost) -> Env {
        let disk = Self { disk: self.disk.clone(), read: self.read.clone() };
        Env { disk: Arc::new(disk), host: Arc::new(host.clone()) }
    }

    /// Bytes of segments read since this was asked last.
    pub fn take(&self) -> u64 {
        self.read.swap(0, Ordering::Relaxed)
    }
}

impl DiskFile for CountedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.0.read_at(buf, offset)?;
        self.1.fetch_add(read as u64, Ordering::Relaxed);
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

impl Disk for Counting {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, mode)?;
        let segment = path.extension().is_some_and(|extension| extension == "klog");
        Ok(if segment { Arc::new(CountedFile(file, self.read.clone())) } else { file })
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }
    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        self.disk.identity(path)
    }
    fn is_dir(&self, path: &Path) -> bool {
        self.disk.is_dir(path)
    }
}
