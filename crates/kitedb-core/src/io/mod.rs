//! Floor 1: every file operation, mapping, lock and shared atomic, and every source of time and chance,
//! behind two small traits, so that the engine above runs unchanged on a real disk ([`RealDisk`]) and on a
//! simulated one ([`sim`]) that loses unsynced writes, tears them, runs full and fails. A third one is in memory
//! ([`MemoryDisk`]), for databases that end with their process.

mod byte_locks;
mod file_lock;
mod file_words;
mod mapping;
mod memory;
mod names;
mod real;
mod resolve;
pub mod sim;
mod stamp;
mod watched;
mod words;

use crate::level::{BASE_LEVEL, FEATURE_LEVEL};
use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

pub(crate) use file_lock::FileLock;
pub use file_words::{FileWords, words_of_text};
pub use mapping::Mapping;
pub use memory::MemoryDisk;
pub(crate) use names::{
    begin_draft, clear_name, copy_aside, in_the_way, is_known, is_other_kind, no_folder, put_aside,
};
pub use real::{RealDisk, SystemHost};
pub use stamp::{Access, Stamp};
pub use watched::WatchedWord;
pub(crate) use watched::{MOST_WORDS, Woken, wait_for_any};
pub use words::SharedWords;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading only. Needs no permission to write.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// A file that must not exist yet, for reading and writing.
    CreateNew,
}

/// The strength of a byte lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Held together with other shared locks.
    Shared,
    /// Held alone. Needs a file opened for writing.
    Exclusive,
}

/// What tells one file from another, whatever path leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileIdentity {
    /// The device (on a simulated disk: that disk).
    pub device: u64,
    /// The file's number on its device.
    pub inode: u64,
}

/// A file of a [`Disk`].
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads up to `buf.len()` bytes at `offset`; 0 at or past the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `buf` at `offset`, growing the file where needed. After an error any part of it may have been written.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the file's bytes and its length durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file holds no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends (with zeros) the file to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Maps `len` bytes at `offset` (a multiple of 4096), all of them within the file, for reading. The caller
    /// promises that nobody changes or cuts that range while the mapping lives.
    fn map(&self, offset: u64, len: usize) -> io::Result<Mapping>;
    /// Maps the first `words` 64-bit words of the file, shared with every process that maps them too. The file
    /// must hold them already (and never be cut below them), and be opened for writing. Fills the file's holes there.
    fn map_words(self: Arc<Self>, words: usize) -> io::Result<FileWords>;
    /// Takes a lock on a range of bytes (which need not exist) without waiting; `false` if another open file
    /// holds part of it in a way that excludes this one. An empty range is an error. Locks belong to this open
    /// file (Linux: open file description locks): they end with [`DiskFile::unlock`], with its last reference, or with the process.
    fn try_lock(&self, range: Range<u64>, kind: LockKind) -> io::Result<bool>;
    /// Releases what this open file holds of a range.
    fn unlock(&self, range: Range<u64>) -> io::Result<()>;
    /// Which file this is.
    fn identity(&self) -> io::Result<FileIdentity>;
    /// What tells this file from a copy of it.
    fn stamp(&self) -> io::Result<Stamp>;
    /// How many names lead to this file (its hard links); 0 where it was removed.
    fn links(&self) -> io::Result<u64>;
    /// Who may use this file.
    fn access(&self) -> io::Result<Access>;

    /// Reads exactly `buf.len()` bytes at `offset`, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(&mut buf[done..], offset + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => done += n,
            }
        }
        Ok(())
    }
}

/// A file system, real or simulated.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens a file. What is none (a folder, a pipe) is an error (`IsADirectory`, `InvalidInput`).
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Moves a file onto `to`, replacing what was there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Moves a file to a name that must be free: `AlreadyExists` where anything bears it, be it a folder or a link that
    /// leads nowhere.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Creates a folder; its parent must exist, and so may it.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, removals and renames directly in this folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The names of what a folder holds, in any order.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Which file a path leads to; `NotFound` where it leads to none.
    fn identity(&self, path: &Path) -> io::Result<FileIdentity>;
    /// Whether the path leads to a folder (`false` too where it leads to nothing).
    fn is_dir(&self, path: &Path) -> bool;
    /// `path` made absolute with every symbolic link followed, also one that leads to nothing yet (then: where its
    /// target would be). The path need not exist, but its folder must (`NotFound` otherwise). A loop of links is an
    /// error. So is (`InvalidInput`) a path that ends in `/`, `.` or `..` and leads to no folder.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;
    /// This disk, but `folder` (absolute, resolved, existing) and all that lies under it are reached through a handle
    /// to what that folder is now, whatever takes its place or name later, and wherever the process's working folder
    /// goes. Anchors add up: the one with the longest path counts, and the same folder anchored again keeps its handle.
    /// A file under an anchor is never opened through a symbolic link.
    ///
    /// What is created through it under `folder` gets the permissions and, made by root, the owner of `like` (a folder
    /// with x where there is r).
    fn anchor(&self, folder: &Path, like: Option<Access>) -> io::Result<Arc<dyn Disk>>;
}

/// What a process gets from its machine beside files.
pub trait Host: Send + Sync + fmt::Debug {
    /// Milliseconds since 1970 (UTC).
    fn now_ms(&self) -> u64;
    /// Nanoseconds on a clock that never goes back; only differences mean something.
    fn monotonic_ns(&self) -> u64;
    /// Milliseconds on a clock that never goes back, which may lag by a few: for what is asked at every transaction. Only
    /// differences mean something.
    fn coarse_ms(&self) -> u64 {
        self.monotonic_ns() / 1_000_000
    }
    /// 16 random bytes.
    fn random(&self) -> [u8; 16];
    /// What names this boot of this machine; `None` where it cannot be told.
    fn boot_id(&self) -> Option<[u8; 16]>;
    /// This process's id.
    fn process_id(&self) -> u32;
    /// Whether it is known that there is no process with that id, as this process sees them.
    fn is_gone(&self, _pid: u64) -> bool {
        false
    }
    /// Whether this process is a child forked since the host was made (such a child gets a host of its own from
    /// [`SystemHost::shared`]). Cheap: asked at every transaction.
    fn forked(&self) -> bool;
    /// The greatest feature level that this process reads: that of its build. Only simulated processes say otherwise.
    fn known_level(&self) -> u16 {
        FEATURE_LEVEL
    }
    /// The feature level that what this process writes needs. Only simulated processes write more than that needs.
    fn written_level(&self) -> u16 {
        BASE_LEVEL
    }
}

/// A disk and a host: all that the engine knows of the world outside.
#[derive(Debug, Clone)]
pub struct Env {
    /// Where files live.
    pub disk: Arc<dyn Disk>,
    /// Time, chance and identity of the process.
    pub host: Arc<dyn Host>,
}

impl Env {
    /// This machine.
    pub fn real() -> Self {
        Self { disk: Arc::new(RealDisk), host: SystemHost::shared() }
    }

    /// How a message names who holds a lock, by the id under which he said so.
    pub(crate) fn holder(&self, pid: u64) -> String {
        match self.host.is_gone(pid) {
            // A child holds what its parent locked; a process of another container has another number here.
            true => {
                format!("process id {pid}, which is gone: one that it started, or one in another container, holds it")
            }
            false => format!("process id {pid}"),
        }
    }
}
