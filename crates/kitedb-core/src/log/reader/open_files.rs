//! The files of a log's segments, for a reader: a log may have more segments than a process may have files open, so only
//! those that were read last are held.

use crate::io::{Disk, DiskFile, FileIdentity, OpenMode};
use crate::lock::Mutex;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// So many are held.
const HELD: usize = 4;

/// The files that a reader holds open, the one that was used last at the end.
#[derive(Debug)]
pub(in crate::log) struct OpenFiles {
    disk: Arc<dyn Disk>,
    held: Mutex<Vec<(FileIdentity, Arc<dyn DiskFile>)>>,
}

impl OpenFiles {
    pub fn new(disk: Arc<dyn Disk>) -> Arc<Self> {
        Arc::new(Self { disk, held: Mutex::default() })
    }

    /// Opens the file at `path`.
    pub fn open(self: &Arc<Self>, path: &Path) -> io::Result<SegmentFile> {
        let file = self.disk.open(path, OpenMode::Read)?;
        let identity = file.identity()?;
        self.hold(identity, &file);
        Ok(SegmentFile { files: self.clone(), path: path.to_owned(), identity })
    }

    fn hold(&self, identity: FileIdentity, file: &Arc<dyn DiskFile>) {
        let mut held = self.held.lock();
        if held.len() >= HELD {
            held.remove(0);
        }
        held.push((identity, file.clone()));
    }
}

/// A file that is opened again where it must.
#[derive(Debug)]
pub(in crate::log) struct SegmentFile {
    files: Arc<OpenFiles>,
    path: PathBuf,
    identity: FileIdentity,
}

impl SegmentFile {
    /// Which file it was when it was opened first.
    pub fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// The file; `NotFound` if it is gone, or another one is in its place.
    pub fn get(&self) -> io::Result<Arc<dyn DiskFile>> {
        {
            let mut held = self.files.held.lock();
            if let Some(at) = held.iter().position(|(identity, _)| *identity == self.identity) {
                let found = held.remove(at);
                held.push(found.clone());
                return Ok(found.1);
            }
        }
        let file = self.files.disk.open(&self.path, OpenMode::Read)?;
        if file.identity()? != self.identity {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.files.hold(self.identity, &file);
        Ok(file)
    }

    /// Its length in bytes.
    pub fn len(&self) -> io::Result<u64> {
        self.get()?.len()
    }
}
