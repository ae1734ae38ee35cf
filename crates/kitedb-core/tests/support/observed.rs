//! A disk that tells somebody of every read, write and sync, and of what is done with names, who may stop it or let it fail.

use kitedb_core::io::{Access, Disk, DiskFile, Env, FileIdentity, FileWords, LockKind, Mapping, OpenMode, Stamp};
use std::{
    fmt::Debug,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What is done with a file or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// So many bytes were read.
    Read(usize),
    /// Something is about to be written.
    Write,
    /// It is about to be synced.
    Sync,
    /// It is about to be opened.
    Open,
    /// What is in it is about to be listed.
    List,
    /// It is about to be removed.
    Remove,
}

/// Who is told.
pub trait Observer: Debug + Send + Sync + 'static {
    /// An error becomes that of the operation.
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()>;
}

/// The same disk and host, with an observer.
pub fn observed(env: &Env, observer: Arc<dyn Observer>) -> Env {
    Env { disk: Arc::new(ObservedDisk(env.disk.clone(), observer)), host: env.host.clone() }
}

#[derive(Debug)]
struct ObservedDisk(Arc<dyn Disk>, Arc<dyn Observer>);

#[derive(Debug)]
struct ObservedFile(Arc<dyn DiskFile>, Arc<dyn Observer>, PathBuf);

impl DiskFile for ObservedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.0.read_at(buf, offset)?;
        self.1.see(Operation::Read(read), &self.2)?;
        Ok(read)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.1.see(Operation::Write, &self.2)?;
        self.0.write_at(buf, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.see(Operation::Sync, &self.2)?;
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
    fn map_words(self: Arc<Self>, words: usize) -> io::Result<FileWords> {
        self.0.clone().map_words(words)
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
    fn stamp(&self) -> io::Result<Stamp> {
        self.0.stamp()
    }
    fn links(&self) -> io::Result<u64> {
        self.0.links()
    }
    fn access(&self) -> io::Result<Access> {
        self.0.access()
    }
}

impl Disk for ObservedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.1.see(Operation::Open, path)?;
        let file = self.0.open(path, mode)?;
        Ok(Arc::new(ObservedFile(file, self.1.clone(), path.to_owned())))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.1.see(Operation::Remove, path)?;
        self.0.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename_new(from, to)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.1.see(Operation::Remove, path)?;
        self.0.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.1.see(Operation::List, path)?;
        self.0.list(path)
    }
    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        self.0.identity(path)
    }
    fn is_dir(&self, path: &Path) -> bool {
        self.0.is_dir(path)
    }
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.resolve(path)
    }
    fn anchor(&self, folder: &Path, like: Option<Access>) -> io::Result<Arc<dyn Disk>> {
        Ok(Arc::new(Self(self.0.anchor(folder, like)?, self.1.clone())))
    }
}
