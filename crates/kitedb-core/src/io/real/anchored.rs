//! Folders that are held by a handle: what lies in them is reached whatever happens to their names.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags},
    io::{Errno, retry_on_intr},
};

use super::{
    RealDisk, access,
    disk::{RealFile, absolute, beyond_standard, sync_folder},
};
use crate::io::{
    Access, Disk, DiskFile, FileIdentity, OpenMode,
    resolve::{EntryKind, Ground, resolve},
};

/// A handle that serves for reaching what is in a folder needs no permission to list it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const HOLD: OFlags = OFlags::PATH;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const HOLD: OFlags = OFlags::RDONLY;
const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The file systems of this machine, some folders of which are held by a handle.
#[derive(Debug, Clone, Default)]
pub(super) struct AnchoredDisk {
    anchors: Vec<Anchor>,
}

#[derive(Debug, Clone)]
struct Anchor {
    folder: PathBuf,
    handle: Arc<OwnedFd>,
    /// Whose permissions the files get that are made here.
    like: Option<Access>,
}

/// A path as the system is told it: a handle, and a path from there.
struct Spot<'a> {
    anchor: &'a Anchor,
    path: &'a Path,
}

impl AsFd for Spot<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.anchor.handle.as_fd()
    }
}

impl AnchoredDisk {
    /// This disk with one more anchor.
    pub(super) fn with(&self, folder: &Path, like: Option<Access>) -> io::Result<Self> {
        let handle = match self.spot(folder)? {
            Some(spot) if spot.is_anchor() => Arc::clone(&spot.anchor.handle),
            Some(spot) => Arc::new(hold(&spot, spot.path)?),
            None if folder.is_absolute() => Arc::new(hold(CWD, folder)?),
            None => {
                let text = format!("{} is not absolute: only a resolved folder can be held", folder.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        };
        let mut anchors = self.anchors.clone();
        anchors.retain(|anchor| anchor.folder != folder);
        anchors.push(Anchor { folder: folder.to_owned(), handle, like });
        Ok(Self { anchors })
    }

    /// Where the system finds a path that lies under an anchor; `None` for another.
    fn spot<'a>(&'a self, path: &'a Path) -> io::Result<Option<Spot<'a>>> {
        let under = |anchor: &'a Anchor| path.strip_prefix(&anchor.folder).ok().map(|rest| (anchor, rest));
        let Some((anchor, rest)) =
            self.anchors.iter().filter_map(under).max_by_key(|(anchor, _)| anchor.folder.components().count())
        else {
            return Ok(None);
        };
        // The system would leave the held folder by it, for one that nobody asked for.
        if rest.components().any(|part| part == std::path::Component::ParentDir) {
            let text = format!("{} has `..` in it: it must be resolved first", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        // To the system the empty path is none.
        let path = if rest.as_os_str().is_empty() { Path::new(".") } else { rest };
        Ok(Some(Spot { anchor, path }))
    }

    /// As [`AnchoredDisk::spot`], for calls that take both sorts of paths.
    fn handle_and_path<'a>(&'a self, path: &'a Path) -> io::Result<(BorrowedFd<'a>, &'a Path)> {
        Ok(self.spot(path)?.map_or((CWD, path), |spot| (spot.anchor.handle.as_fd(), spot.path)))
    }
}

impl Spot<'_> {
    fn is_anchor(&self) -> bool {
        self.path == Path::new(".")
    }

    fn open(&self, flags: OFlags, mode: Mode) -> io::Result<File> {
        let opened = retry_on_intr(|| fs::openat(self, self.path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, mode));
        match opened {
            Err(Errno::LOOP) => {
                let place = self.anchor.folder.join(self.path);
                let text = format!("{} is a symbolic link, where a file itself is wanted", place.display());
                Err(io::Error::new(io::ErrorKind::InvalidInput, text))
            }
            done => Ok(File::from(done?)),
        }
    }

    /// An open folder that can be listed and synced.
    fn folder(&self) -> io::Result<File> {
        Ok(File::from(retry_on_intr(|| fs::openat(self, self.path, LIST, Mode::empty()))?))
    }

    fn create(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let Some(like) = self.anchor.like else { return self.open(flags, Mode::from_raw_mode(0o666)) };
        // For the maker alone until it has its owner: nobody opens it meanwhile and keeps it.
        let file = self.open(flags, Mode::from_raw_mode(0o600))?;
        if let Err(e) = access::give(&file, like, like.file_mode()) {
            // Best effort: what matters is the error that led here.
            let _ = fs::unlinkat(self, self.path, AtFlags::empty());
            return Err(e);
        }
        Ok(file)
    }

    fn create_dir(&self) -> io::Result<()> {
        let mode = Mode::from_raw_mode(if self.anchor.like.is_some() { 0o700 } else { 0o777 });
        match fs::mkdirat(self, self.path, mode) {
            Err(Errno::EXIST) if self.is_dir() => return Ok(()),
            done => done?,
        }
        let Some(like) = self.anchor.like else { return Ok(()) };
        let given = self.open(OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
        if let Err(e) = given.and_then(|folder| access::give(&folder, like, like.folder_mode())) {
            // Best effort: what matters is the error that led here.
            let _ = fs::unlinkat(self, self.path, AtFlags::REMOVEDIR);
            return Err(e);
        }
        Ok(())
    }

    fn is_dir(&self) -> bool {
        fs::statat(self, self.path, AtFlags::empty())
            .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
    }
}

fn hold(at: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    let flags = HOLD | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    beyond_standard(retry_on_intr(|| fs::openat(&at, path, flags, Mode::empty()))?)
}

/// Renames to a name that is free. Where the system cannot see to that itself, it is looked at before.
pub(super) fn rename_new(source: impl AsFd, from: &Path, target: impl AsFd, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    match fs::renameat_with(&source, from, &target, to, fs::RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
        done => return Ok(done?),
    }
    match fs::statat(&target, to, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(fs::renameat(source, from, target, to)?),
        Err(e) => Err(e.into()),
        Ok(_) => Err(Errno::EXIST.into()),
    }
}

impl Disk for AnchoredDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let Some(spot) = self.spot(path)? else { return RealDisk.open(path, mode) };
        let file = match mode {
            OpenMode::Read => spot.open(OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?,
            OpenMode::ReadWrite => spot.open(OFlags::RDWR, Mode::empty())?,
            OpenMode::CreateNew => spot.create()?,
        };
        Ok(Arc::new(RealFile::regular(file, mode, path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match self.spot(path)? {
            Some(spot) => Ok(fs::unlinkat(&spot, spot.path, AtFlags::empty())?),
            None => RealDisk.remove(path),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (source, from) = self.handle_and_path(from)?;
        let (target, to) = self.handle_and_path(to)?;
        Ok(fs::renameat(source, from, target, to)?)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (source, from) = self.handle_and_path(from)?;
        let (target, to) = self.handle_and_path(to)?;
        rename_new(source, from, target, to)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.spot(path)?.map_or_else(|| RealDisk.create_dir(path), |spot| spot.create_dir())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        match self.spot(path)? {
            // A folder cannot be removed through itself: by its name, if that leads to it still.
            Some(spot) if spot.is_anchor() => {
                let others = Self { anchors: self.anchors.iter().filter(|a| a.folder != path).cloned().collect() };
                if others.identity(path)? != self.identity(path)? {
                    return Err(io::ErrorKind::NotFound.into());
                }
                others.remove_dir(path)
            }
            Some(spot) => Ok(fs::unlinkat(&spot, spot.path, AtFlags::REMOVEDIR)?),
            None => RealDisk.remove_dir(path),
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.spot(path)?.map_or_else(|| RealDisk.sync_dir(path), |spot| sync_folder(&spot.folder()?))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let Some(spot) = self.spot(path)? else { return RealDisk.list(path) };
        let mut names = Vec::new();
        for entry in Dir::new(spot.folder()?)? {
            // A name that is not UTF-8 is none that this crate made.
            match entry?.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        let Some(spot) = self.spot(path)? else { return RealDisk.identity(path) };
        let found = fs::statat(&spot, spot.path, AtFlags::empty())?;
        #[allow(clippy::unnecessary_cast, reason = "the fields are narrower on some machines")]
        Ok(FileIdentity { device: found.st_dev as u64, inode: found.st_ino as u64 })
    }

    fn is_dir(&self, path: &Path) -> bool {
        match self.spot(path) {
            Ok(Some(spot)) => spot.is_dir(),
            Ok(None) => RealDisk.is_dir(path),
            Err(_) => false,
        }
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        resolve(self, &absolute(path)?)
    }

    fn anchor(&self, folder: &Path, like: Option<Access>) -> io::Result<Arc<dyn Disk>> {
        Ok(Arc::new(self.with(folder, like)?))
    }
}

impl Ground for AnchoredDisk {
    fn look(&self, place: &Path) -> io::Result<EntryKind> {
        let Some(spot) = self.spot(place)? else { return RealDisk.look(place) };
        let found = match fs::statat(&spot, spot.path, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(EntryKind::Nothing),
            found => found?,
        };
        Ok(match FileType::from_raw_mode(found.st_mode) {
            FileType::Symlink => {
                use std::os::unix::ffi::OsStringExt;
                let target = fs::readlinkat(&spot, spot.path, Vec::new())?;
                EntryKind::Link(std::ffi::OsString::from_vec(target.into_bytes()).into())
            }
            FileType::Directory => EntryKind::Folder,
            _ => EntryKind::File,
        })
    }

    fn known<'a>(&self, path: &'a Path) -> &'a Path {
        let held = |start: &&Path| self.anchors.iter().any(|anchor| anchor.folder == **start);
        path.ancestors().find(held).or_else(|| path.ancestors().last()).unwrap_or(path)
    }
}
