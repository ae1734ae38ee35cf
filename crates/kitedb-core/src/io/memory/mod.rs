//! A disk in the memory of this process, which no other process sees, and which is gone with its last handle.

mod contents;

use super::{
    Access, Disk, DiskFile, Env, FileIdentity, FileWords, LockKind, Mapping, OpenMode, Stamp, SystemHost,
    byte_locks::Locks,
};
use crate::lock::{Mutex, RwLock};
use contents::Contents;
use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// A disk in memory: files and folders without links, which nothing makes durable. A clone is another handle to it.
///
/// Bytes that are mapped are not held twice. A system without more memory is a full disk, as far as it says so.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    device: u64,
    /// Numbers of files, folders and open files.
    numbers: AtomicU64,
    /// By path, without the root, which is there always.
    entries: Mutex<BTreeMap<PathBuf, Entry>>,
}

#[derive(Debug, Clone)]
enum Entry {
    Folder(u64),
    File(Arc<Inode>),
}

#[derive(Debug)]
struct Inode {
    number: u64,
    contents: RwLock<Contents>,
    locks: Mutex<Locks>,
    /// The names that lead to it: one, or none once it was removed.
    names: AtomicU64,
}

#[derive(Debug)]
struct MemoryFile {
    disk: Arc<Shared>,
    inode: Arc<Inode>,
    /// What its locks are held by.
    holder: u64,
    writable: bool,
}

impl Default for Shared {
    /// An empty disk, another device than every other one of this process, and than those of the machine.
    fn default() -> Self {
        static DEVICES: AtomicU64 = AtomicU64::new(0);
        let device = 0x4d45_4d00_0000_0000 | DEVICES.fetch_add(1, Ordering::Relaxed);
        Self { device, numbers: AtomicU64::new(1), entries: Mutex::default() }
    }
}

impl Shared {
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn identity(&self, inode: u64) -> FileIdentity {
        FileIdentity { device: self.device, inode }
    }
}

impl Env {
    /// A disk of its own in memory, on this machine.
    pub fn in_memory() -> Self {
        Self { disk: Arc::new(MemoryDisk::default()), host: SystemHost::shared() }
    }
}

/// Where a path leads, from the root on; the root is the empty path.
fn place(path: &Path) -> PathBuf {
    let mut place = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => place.push(name),
            Component::ParentDir => drop(place.pop()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    place
}

fn is_a_folder(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::IsADirectory, format!("{} is a folder", path.display()))
}

impl MemoryDisk {
    fn entry(&self, path: &Path) -> io::Result<Entry> {
        let place = place(path);
        if place.as_os_str().is_empty() {
            return Ok(Entry::Folder(0));
        }
        self.shared.entries.lock().get(&place).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&self, inode: Arc<Inode>, mode: OpenMode) -> Arc<dyn DiskFile> {
        let (disk, holder) = (self.shared.clone(), self.shared.number());
        Arc::new(MemoryFile { disk, inode, holder, writable: mode != OpenMode::Read })
    }

    fn require_folder(&self, path: &Path) -> io::Result<PathBuf> {
        match self.entry(path)? {
            Entry::Folder(_) => Ok(place(path)),
            Entry::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Puts a new entry at a path whose folder is there.
    fn add(&self, path: &Path, entry: Entry) -> io::Result<()> {
        let place = place(path);
        self.require_folder(place.parent().unwrap_or(Path::new("")))?;
        let mut entries = self.shared.entries.lock();
        if place.as_os_str().is_empty() || entries.contains_key(&place) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        entries.insert(place, entry);
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if mode == OpenMode::CreateNew {
            let inode = Arc::new(Inode {
                number: self.shared.number(),
                contents: RwLock::new(Contents::default()),
                locks: Mutex::default(),
                names: AtomicU64::new(1),
            });
            self.add(path, Entry::File(inode.clone()))?;
            return Ok(self.file(inode, mode));
        }
        match self.entry(path)? {
            Entry::File(inode) => Ok(self.file(inode, mode)),
            Entry::Folder(_) => Err(is_a_folder(path)),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let place = place(path);
        let mut entries = self.shared.entries.lock();
        match entries.get(&place) {
            Some(Entry::File(inode)) => inode.names.store(0, Ordering::SeqCst),
            Some(Entry::Folder(_)) => return Err(is_a_folder(path)),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        entries.remove(&place);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (place(from), place(to));
        self.require_folder(to.parent().unwrap_or(Path::new("")))?;
        let mut entries = self.shared.entries.lock();
        match (entries.get(&from), entries.get(&to)) {
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
            (Some(Entry::Folder(_)), _) => return Err(is_a_folder(&from)),
            (_, Some(Entry::Folder(_))) => return Err(is_a_folder(&to)),
            (_, Some(Entry::File(there))) if from != to => there.names.store(0, Ordering::SeqCst),
            _ => {}
        }
        if let Some(entry) = entries.remove(&from) {
            entries.insert(to, entry);
        }
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.entry(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename(from, to)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match self.entry(path) {
            Ok(Entry::Folder(_)) => Ok(()),
            _ => self.add(path, Entry::Folder(self.shared.number())),
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let place = self.require_folder(path)?;
        let mut entries = self.shared.entries.lock();
        if place.as_os_str().is_empty() || entries.keys().any(|entry| entry.parent() == Some(&*place)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        entries.remove(&place);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.require_folder(path).map(drop)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let place = self.require_folder(path)?;
        let entries = self.shared.entries.lock();
        let within = entries.keys().filter(|entry| entry.parent() == Some(&*place));
        Ok(within.filter_map(|entry| entry.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        Ok(self.shared.identity(match self.entry(path)? {
            Entry::Folder(number) => number,
            Entry::File(inode) => inode.number,
        }))
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.require_folder(path).is_ok()
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let place = place(path);
        if place.as_os_str().is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
        }
        self.require_folder(place.parent().unwrap_or(Path::new("")))?;
        Ok(place)
    }

    fn anchor(&self, folder: &Path, _like: Option<Access>) -> io::Result<Arc<dyn Disk>> {
        // No folder is ever moved here, and nobody else makes any.
        self.require_folder(folder)?;
        Ok(Arc::new(self.clone()))
    }
}

impl MemoryFile {
    fn require_writable(&self) -> io::Result<()> {
        match self.writable {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file was opened for reading only")),
        }
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        self.inode.locks.lock().release(self.holder);
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(self.inode.contents.read().read(buf, offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.require_writable()?;
        self.inode.contents.write().write(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.inode.contents.read().len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.require_writable()?;
        self.inode.contents.write().set_len(len)
    }

    fn map(&self, offset: u64, len: usize) -> io::Result<Mapping> {
        if !offset.is_multiple_of(4096) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a mapping starts at a multiple of 4096"));
        }
        let end = offset.checked_add(len as u64).ok_or(io::ErrorKind::InvalidInput)?;
        self.inode.contents.write().map(offset..end)?.ok_or_else(past_the_end)
    }

    fn map_words(self: Arc<Self>, words: usize) -> io::Result<FileWords> {
        self.require_writable()?;
        let words = self.inode.contents.write().map_words(words).ok_or_else(past_the_end)?;
        Ok(FileWords::in_place(words))
    }

    fn try_lock(&self, range: Range<u64>, kind: LockKind) -> io::Result<bool> {
        if kind == LockKind::Exclusive {
            self.require_writable()?;
        }
        if range.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty range cannot be locked"));
        }
        Ok(self.inode.locks.lock().try_lock(self.holder, range, kind))
    }

    fn unlock(&self, range: Range<u64>) -> io::Result<()> {
        self.inode.locks.lock().unlock(self.holder, range);
        Ok(())
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(self.disk.identity(self.inode.number))
    }

    fn stamp(&self) -> io::Result<Stamp> {
        // Numbers are never given twice on one disk, and no file comes here from another one.
        let number = self.inode.number;
        Ok(Stamp { inode: number, birth_ns: Some(self.disk.device), generation: Some(number), stable: true })
    }

    fn links(&self) -> io::Result<u64> {
        Ok(self.inode.names.load(Ordering::SeqCst))
    }

    fn access(&self) -> io::Result<Access> {
        Ok(Access { mode: 0o600, uid: 0, gid: 0 })
    }
}

fn past_the_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the mapped range reaches past the end of the file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_files_until_they_are_removed() {
        let disk = MemoryDisk::default();
        let (a, b, folder) = (Path::new("/a"), Path::new("b"), Path::new("folder"));
        let file = disk.open(a, OpenMode::CreateNew).unwrap();
        file.write_at(b"hello", 3).unwrap();
        assert_eq!(disk.open(a, OpenMode::CreateNew).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        disk.create_dir(folder).unwrap();
        disk.create_dir(folder).unwrap();
        assert!(disk.create_dir(a).is_err() && disk.open(folder, OpenMode::Read).is_err());
        disk.rename_new(a, &folder.join("b")).unwrap();
        disk.rename(Path::new("/folder/b"), b).unwrap();
        assert_eq!(disk.identity(b).unwrap(), file.identity().unwrap());
        assert_eq!(disk.entry(a).unwrap_err().kind(), io::ErrorKind::NotFound);
        let mut names = disk.list(Path::new("/")).unwrap();
        names.sort();
        assert_eq!(names, ["b", "folder"]);
        let other = disk.open(a, OpenMode::CreateNew).unwrap();
        disk.rename(a, b).unwrap();
        assert_eq!((file.links().unwrap(), other.links().unwrap()), (0, 1));
        let mut bytes = [9; 8];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"\0\0\0hello", "what was removed is read by who has it open");
        assert_eq!(disk.remove_dir(Path::new("/")).unwrap_err().kind(), io::ErrorKind::DirectoryNotEmpty);
        disk.remove(b).unwrap();
        disk.remove_dir(folder).unwrap();
        assert!(disk.list(Path::new("")).unwrap().is_empty());
        assert_eq!(disk.open(&folder.join("x"), OpenMode::CreateNew).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn two_opens_of_one_file_exclude_each_other_and_share_its_words() {
        let (disk, path) = (MemoryDisk::default(), Path::new("file"));
        let a = disk.open(path, OpenMode::CreateNew).unwrap();
        let b = disk.open(path, OpenMode::ReadWrite).unwrap();
        assert!(a.try_lock(0..1, LockKind::Exclusive).unwrap() && !b.try_lock(0..1, LockKind::Shared).unwrap());
        assert_eq!(a.clone().map_words(4).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        a.write_at(&[1; 64], 0).unwrap();
        let (one, two) = (a.clone().map_words(8).unwrap(), b.clone().map_words(4).unwrap());
        one.store(3, 42).unwrap();
        assert_eq!(two.load(3), 42);
        let mut bytes = [0; 8];
        b.read_exact_at(&mut bytes, 24).unwrap();
        assert_eq!(u64::from_ne_bytes(bytes), 42);
        drop(a);
        assert!(b.try_lock(0..1, LockKind::Exclusive).unwrap());
        assert!(disk.open(path, OpenMode::Read).unwrap().write_at(b"x", 0).is_err());
    }

    #[test]
    fn no_two_disks_are_one_device() {
        let identity = |disk: &MemoryDisk| disk.open(Path::new("a"), OpenMode::CreateNew).unwrap().identity().unwrap();
        assert_ne!(identity(&MemoryDisk::default()), identity(&MemoryDisk::default()));
    }
}
