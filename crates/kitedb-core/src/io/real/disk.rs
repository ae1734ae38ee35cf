//! Files of the operating system.
#![allow(unsafe_code)]

use std::{
    env,
    fs::{self, File, OpenOptions},
    io,
    ops::Range,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use memmap2::MmapOptions;
use rustix::fs::CWD;

use super::{
    access,
    anchored::{AnchoredDisk, rename_new},
    in_place, lock, stamp,
};
use crate::io::{
    Access, Disk, DiskFile, FileIdentity, FileWords, LockKind, Mapping, OpenMode, SharedWords, Stamp,
    resolve::{EntryKind, Ground, resolve},
};

/// The file systems of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

/// A file of this machine.
#[derive(Debug)]
pub(super) struct RealFile {
    file: File,
    writable: bool,
}

impl RealFile {
    pub(super) fn new(file: File, mode: OpenMode) -> Self {
        Self { file, writable: mode != OpenMode::Read }
    }

    /// As [`RealFile::new`], of what must be a file: a pipe, say, has no contents that could be looked at.
    pub(super) fn regular(file: File, mode: OpenMode, path: &Path) -> io::Result<Self> {
        let kind = file.metadata()?.file_type();
        if kind.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, format!("{} is a folder", path.display())));
        }
        if !kind.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no file", path.display())));
        }
        Ok(Self::new(beyond_standard(file.into())?.into(), mode))
    }

    /// Fails where a range reaches past the end: touching a page mapped there would kill the process (`SIGBUS`).
    fn must_hold(&self, offset: u64, len: usize) -> io::Result<()> {
        let end = offset.checked_add(len as u64).ok_or(io::ErrorKind::InvalidInput)?;
        if end > self.len()? {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the mapped range reaches past the end of the file",
            ));
        }
        Ok(())
    }
}

/// A process that was started without standard input, output or error gets their numbers for the files that it opens, and what it, or
/// a library in it, tells on standard error would be written over the database: no file keeps one of these numbers.
pub(super) fn beyond_standard(file: OwnedFd) -> io::Result<OwnedFd> {
    match file.as_raw_fd() {
        0..=2 => Ok(rustix::io::fcntl_dupfd_cloexec(&file, 3)?),
        _ => Ok(file),
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buf, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn map(&self, offset: u64, len: usize) -> io::Result<Mapping> {
        self.must_hold(offset, len)?;
        if len == 0 {
            return Ok(Mapping::of_bytes(&[]));
        }
        // SAFETY: the caller promises (see the trait) that nobody changes or cuts the range while the mapping lives.
        let mapping = unsafe { MmapOptions::new().offset(offset).len(len).map(&self.file)? };
        Ok(Mapping::of_file(mapping))
    }

    fn map_words(self: Arc<Self>, words: usize) -> io::Result<FileWords> {
        let len = words.checked_mul(size_of::<u64>()).ok_or(io::ErrorKind::InvalidInput)?;
        self.must_hold(0, len)?;
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut options = MmapOptions::new();
        options.len(len);
        if in_place::make_sure(&self.file, len as u64)? {
            return Ok(FileWords::in_place(SharedWords::mapped(options.map_raw(&self.file)?, words)?));
        }
        let mapped = SharedWords::mapped(options.map_raw_read_only(&self.file)?, words)?;
        Ok(FileWords::written(mapped, self))
    }

    fn try_lock(&self, range: Range<u64>, kind: LockKind) -> io::Result<bool> {
        lock::try_lock(&self.file, range, kind)
    }

    fn unlock(&self, range: Range<u64>) -> io::Result<()> {
        lock::unlock(&self.file, range)
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(identity_of(&self.file.metadata()?))
    }

    fn stamp(&self) -> io::Result<Stamp> {
        stamp::of(&self.file)
    }

    fn links(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.nlink())
    }

    fn access(&self) -> io::Result<Access> {
        access::of(&self.file)
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        match mode {
            // A pipe would be waited for; of a file that says nothing.
            OpenMode::Read => options.read(true).custom_flags(libc::O_NONBLOCK),
            OpenMode::ReadWrite => options.read(true).write(true),
            OpenMode::CreateNew => options.read(true).write(true).create_new(true),
        };
        Ok(Arc::new(RealFile::regular(options.open(path)?, mode, path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        rename_new(CWD, from, CWD, to)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            done => done,
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        sync_folder(&File::open(folder(path))?)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder(path))? {
            // A name that is not UTF-8 is none that this crate made.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        Ok(identity_of(&fs::metadata(folder(path))?))
    }

    fn is_dir(&self, path: &Path) -> bool {
        folder(path).is_dir()
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        resolve(self, &absolute(path)?)
    }

    fn anchor(&self, folder: &Path, like: Option<Access>) -> io::Result<Arc<dyn Disk>> {
        Ok(Arc::new(AnchoredDisk::default().with(folder, like)?))
    }
}

impl Ground for RealDisk {
    fn look(&self, place: &Path) -> io::Result<EntryKind> {
        let kind = match fs::symlink_metadata(place) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(EntryKind::Nothing),
            found => found?.file_type(),
        };
        Ok(if kind.is_symlink() {
            EntryKind::Link(fs::read_link(place)?)
        } else if kind.is_dir() {
            EntryKind::Folder
        } else {
            EntryKind::File
        })
    }
}

/// A path from the root on; a relative one starts at the working folder of this moment.
pub(super) fn absolute(path: &Path) -> io::Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty path names no file"));
    }
    if path.is_absolute() { Ok(path.to_owned()) } else { Ok(env::current_dir()?.join(path)) }
}

/// Makes the names in an open folder durable.
pub(super) fn sync_folder(folder: &File) -> io::Result<()> {
    match folder.sync_all() {
        // What file systems answer that cannot sync a folder (some network and FUSE ones): they keep entries
        // durable in their own way or not at all, and refusing to run on them helps nobody.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        done => done,
    }
}

/// The parent of a bare file name is the empty path, by which the system knows no folder.
fn folder(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn identity_of(metadata: &fs::Metadata) -> FileIdentity {
    FileIdentity { device: metadata.dev(), inode: metadata.ino() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        (dir, path)
    }

    #[test]
    fn bytes_written_are_read_back() {
        let (dir, path) = scratch();
        let file = RealDisk.open(&path, OpenMode::CreateNew).unwrap();
        file.write_at(b"hello", 3).unwrap();
        assert_eq!(file.len().unwrap(), 8);
        let mut buf = [9; 8];
        file.read_exact_at(&mut buf, 0).unwrap();
        assert_eq!(&buf, b"\0\0\0hello");
        assert_eq!(file.read_at(&mut buf, 8).unwrap(), 0);
        assert_eq!(file.read_exact_at(&mut buf, 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        file.sync_data().unwrap();
        RealDisk.sync_dir(dir.path()).unwrap();
        assert_eq!(RealDisk.list(dir.path()).unwrap(), ["file"]);
        assert_eq!(RealDisk.open(&path, OpenMode::CreateNew).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn an_existing_folder_is_accepted_and_a_file_in_its_place_is_not() {
        let (dir, path) = scratch();
        let folder = dir.path().join("folder");
        RealDisk.create_dir(&folder).unwrap();
        RealDisk.create_dir(&folder).unwrap();
        assert!(RealDisk.is_dir(&folder));
        fs::write(&path, b"").unwrap();
        assert!(RealDisk.create_dir(&path).is_err());
        RealDisk.remove_dir(&folder).unwrap();
        assert!(!RealDisk.is_dir(&folder));
    }

    #[test]
    fn one_file_has_one_identity_whatever_path_leads_to_it() {
        let (dir, path) = scratch();
        let file = RealDisk.open(&path, OpenMode::CreateNew).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(RealDisk.identity(&link).unwrap(), file.identity().unwrap());
        assert_eq!(RealDisk.identity(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_opened_for_reading_can_be_mapped_but_not_beyond_its_end() {
        let (_dir, path) = scratch();
        fs::write(&path, vec![5u8; 5000]).unwrap();
        let file = RealDisk.open(&path, OpenMode::Read).unwrap();
        assert_eq!(&file.map(4096, 904).unwrap()[..], &[5; 904]);
        assert!(file.map(5000, 0).unwrap().is_empty());
        assert_eq!(file.map(4096, 905).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(file.clone().map_words(1).is_err());
        assert!(file.write_at(b"x", 0).is_err());
    }

    #[test]
    fn two_maps_of_one_file_share_its_words() {
        let (_dir, path) = scratch();
        let file = RealDisk.open(&path, OpenMode::CreateNew).unwrap();
        assert_eq!(file.clone().map_words(4).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        file.write_at(&[1; 4096], 0).unwrap();
        let words = file.clone().map_words(4).unwrap();
        let other = RealDisk.open(&path, OpenMode::ReadWrite).unwrap().map_words(512).unwrap();
        assert_eq!(other.load(3), 0x0101_0101_0101_0101);
        words.store(3, 42).unwrap();
        assert_eq!(other.load(3), 42);
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, 24).unwrap();
        assert_eq!(u64::from_ne_bytes(bytes), 42);
    }

    #[test]
    fn two_opens_of_one_file_exclude_each_other() {
        let (_dir, path) = scratch();
        let a = RealDisk.open(&path, OpenMode::CreateNew).unwrap();
        let b = RealDisk.open(&path, OpenMode::ReadWrite).unwrap();
        assert!(a.try_lock(0..1, LockKind::Exclusive).unwrap());
        assert!(a.try_lock(0..1, LockKind::Exclusive).unwrap());
        assert!(!b.try_lock(0..1, LockKind::Shared).unwrap());
        assert!(b.try_lock(1..9, LockKind::Exclusive).unwrap());
        assert!(!a.try_lock(4..5, LockKind::Shared).unwrap());
        a.unlock(0..1).unwrap();
        assert!(b.try_lock(0..1, LockKind::Shared).unwrap());
        assert!(a.try_lock(0..1, LockKind::Shared).unwrap());
        assert!(!a.try_lock(0..1, LockKind::Exclusive).unwrap());
        drop(b);
        // A process that another test is starting holds a copy of it for a while.
        let taken = (0..1_000_000).any(|_| {
            crate::lock::yield_now();
            a.try_lock(0..u64::MAX, LockKind::Exclusive).unwrap()
        });
        assert!(taken);
        assert!(a.try_lock(3..3, LockKind::Shared).is_err());
    }
}
