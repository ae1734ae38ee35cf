//! An open file of a simulated disk.

use std::{
    io,
    ops::Range,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use crate::lock::MutexGuard;

use super::{
    disk::SimDisk,
    state::{State, crashed},
    tree::Inode,
};
use crate::io::{Access, DiskFile, FileIdentity, FileWords, LockKind, Mapping, OpenMode, Stamp};

#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) inode: Inode,
    /// What its locks are held by.
    pub(super) holder: u64,
    /// The path it was opened by, for traces and faults.
    pub(super) path: PathBuf,
    pub(super) mode: OpenMode,
    /// Of how many failures to write the file back it knows.
    pub(super) told: AtomicU64,
}

impl SimFile {
    fn writable(&self) -> io::Result<MutexGuard<'_, State>> {
        if self.mode == OpenMode::Read {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file was opened for reading only"));
        }
        self.disk.live()
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.state.lock().closed(self.holder);
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.live()?;
        state.read_fault(&self.path)?;
        let bytes = state.tree.contents(self.inode)?.bytes();
        let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.writable()?.write(self.inode, &self.path, buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.live()?.sync(self.inode, &self.path, &self.told)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.live()?.tree.contents(self.inode)?.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writable()?.set_len(self.inode, &self.path, len)
    }

    fn map(&self, offset: u64, len: usize) -> io::Result<Mapping> {
        let mut state = self.disk.live()?;
        state.read_fault(&self.path)?;
        if !offset.is_multiple_of(4096) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a mapping starts at a multiple of 4096"));
        }
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let end = start.checked_add(len).ok_or(io::ErrorKind::InvalidInput)?;
        state.tree.contents(self.inode)?.map(start..end).ok_or_else(past_the_end)
    }

    fn map_words(self: Arc<Self>, words: usize) -> io::Result<FileWords> {
        let mut state = self.writable()?;
        let words = state.tree.contents(self.inode)?.map_words(words).ok_or_else(past_the_end)?;
        let copying = state.copy_on_write;
        drop(state);
        Ok(if copying { FileWords::written(words, self) } else { FileWords::in_place(words) })
    }

    fn try_lock(&self, range: Range<u64>, kind: LockKind) -> io::Result<bool> {
        let mut state = if kind == LockKind::Exclusive { self.writable()? } else { self.disk.live()? };
        if range.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty range cannot be locked"));
        }
        Ok(state.tree.locks(self.inode)?.try_lock(self.holder, range, kind))
    }

    fn unlock(&self, range: Range<u64>) -> io::Result<()> {
        self.disk.live()?.tree.locks(self.inode)?.unlock(self.holder, range);
        Ok(())
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(self.disk.live()?.identity(self.inode))
    }

    fn stamp(&self) -> io::Result<Stamp> {
        let state = self.disk.live()?;
        let stable = state.stable_stamps;
        // Numbers are never given twice on one disk, and so can stand for times and generations.
        let birth_ns = Some(self.inode ^ state.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Ok(Stamp { inode: self.inode, birth_ns, generation: Some(self.inode), stable })
    }

    fn links(&self) -> io::Result<u64> {
        Ok(self.disk.live()?.tree.links(self.inode))
    }

    fn access(&self) -> io::Result<Access> {
        drop(self.disk.live()?);
        Ok(Access { mode: 0o644, uid: 0, gid: 0 })
    }
}

fn past_the_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the mapped range reaches past the end of the file")
}

impl SimDisk {
    /// The state, if the machine and the process of this handle live.
    pub(super) fn live(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock();
        if state.dead || self.process.is_dead() { Err(crashed()) } else { Ok(state) }
    }
}
