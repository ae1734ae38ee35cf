//! What an operator does to the files of a simulated disk from outside: links, copies, moves. None of it is an operation
//! of the engine, so that none is counted or fails; it goes by paths, past all anchors.

use std::{collections::BTreeMap, io, path::Path};

use super::{
    SimDisk,
    tree::{Inode, Tree},
};

impl SimDisk {
    /// Puts a durable symbolic link at `at`, which must be free. `target` need not exist; a relative one starts at the
    /// folder of the link.
    pub fn symlink(&self, target: impl AsRef<Path>, at: impl AsRef<Path>) -> io::Result<()> {
        let tree = &mut self.state.lock().tree;
        tree.symlink(target.as_ref(), at.as_ref())?;
        settle(tree, at.as_ref())
    }

    /// Gives a file a second, durable name, which must be free.
    pub fn hard_link(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let tree = &mut self.state.lock().tree;
        let inode = tree.find(from.as_ref())?;
        tree.hard_link(inode, to.as_ref())?;
        settle(tree, to.as_ref())
    }

    /// Copies a file, or a folder with all that is in it, as `cp -a` does: the same bytes, names and links in new,
    /// durable files. A file takes the place of another; for a folder the name must be free.
    pub fn copy(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let tree = &mut self.state.lock().tree;
        make_folders(tree, to)?;
        let inode = tree.find_itself(from)?;
        match tree.find_itself(to) {
            Ok(there) if there == inode => return Ok(()),
            Ok(there) if !tree.is_folder(there) && !tree.is_folder(inode) => tree.remove(to, false)?,
            _ => {}
        }
        if tree.is_folder(inode) && tree.lies_in(tree.locate(to)?.0, inode) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a folder cannot be copied into itself"));
        }
        copy(tree, inode, to, &mut BTreeMap::new())?;
        settle(tree, to)
    }

    /// Moves a folder to a free name, as `mv` does: a later sync of the folders concerned makes it durable.
    pub fn rename_folder(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let tree = &mut self.state.lock().tree;
        if !tree.is_folder(tree.find_itself(from.as_ref())?) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        tree.rename(from.as_ref(), to.as_ref())
    }

    /// Puts bytes into a file that is there, durable, as a block copy or `rsync --inplace` puts an older state back: the
    /// file keeps its stamp.
    pub fn overwrite(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let tree = &mut self.state.lock().tree;
        let inode = tree.find(path.as_ref())?;
        let contents = tree.contents(inode)?;
        contents.set_len(bytes.len());
        contents.write(0, bytes);
        contents.sync();
        Ok(())
    }

    /// Says whether stamps are those of a file system that keeps them ([`Stamp::stable`](crate::io::Stamp::stable)); at
    /// first they are.
    pub fn set_stable_stamps(&self, stable: bool) {
        self.state.lock().stable_stamps = stable;
    }

    /// This handle, but a folder and all in it is reached through what it is now, as [`Disk::anchor`](crate::io::Disk::anchor)
    /// says. Permissions are not simulated.
    pub fn anchored(&self, folder: impl AsRef<Path>) -> io::Result<Self> {
        let folder = folder.as_ref();
        let start = self.anchors.start(folder)?;
        let tree = &self.live()?.tree;
        let inode = tree.find_itself(start)?;
        if !tree.is_folder(inode) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        if !folder.is_absolute() {
            let text = format!("{} is not absolute: only a resolved folder can be held", folder.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Self { anchors: self.anchors.with(folder, inode), ..self.clone() })
    }

    /// This handle with the anchors of another, as a network file system keeps its handles when a connection, or the
    /// machine at its other end, comes back.
    #[must_use]
    pub fn with_anchors_of(&self, other: &Self) -> Self {
        Self { anchors: other.anchors.clone(), ..self.clone() }
    }
}

/// Copies what an inode stands for to a path. `copies` holds what became of the files met so far: two names of one file
/// become two names of one copy.
fn copy(tree: &mut Tree, inode: Inode, to: &Path, copies: &mut BTreeMap<Inode, Inode>) -> io::Result<()> {
    if let Some(made) = copies.get(&inode) {
        return tree.hard_link(*made, to);
    }
    if let Some(target) = tree.target(inode).map(Path::to_owned) {
        return tree.symlink(&target, to);
    }
    if !tree.is_folder(inode) {
        let bytes = tree.contents(inode)?.bytes().to_vec();
        let made = tree.create(to, false)?;
        let contents = tree.contents(made)?;
        contents.write(0, &bytes);
        contents.sync();
        copies.insert(inode, made);
        return Ok(());
    }
    let made = tree.create(to, true)?;
    for name in tree.names(inode)? {
        if let Some(child) = tree.name(inode, &name)? {
            copy(tree, child, &to.join(name), copies)?;
        }
    }
    tree.sync(made, usize::MAX)
}

/// Makes the folders above a path that do not exist.
pub(super) fn make_folders(tree: &mut Tree, path: &Path) -> io::Result<()> {
    let mut folders: Vec<&Path> = path.ancestors().skip(1).collect();
    folders.reverse();
    for folder in folders {
        if tree.find(folder).is_err() {
            tree.create(folder, true)?;
        }
    }
    Ok(())
}

/// Makes the names in all folders above a path durable.
pub(super) fn settle(tree: &mut Tree, path: &Path) -> io::Result<()> {
    for folder in path.ancestors().skip(1) {
        let inode = tree.find(folder)?;
        tree.sync(inode, usize::MAX)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::io::{
        Disk, DiskFile, OpenMode,
        sim::{Crash, Loss},
    };

    const LOST: Crash = Crash::PowerLoss(Loss::LoseAllUnsynced);

    fn path(name: &str) -> &Path {
        Path::new(name)
    }

    fn open(disk: &dyn Disk, name: &str, mode: OpenMode) -> std::sync::Arc<dyn DiskFile> {
        disk.open(path(name), mode).unwrap()
    }

    fn read(disk: &dyn Disk, name: &str) -> io::Result<Vec<u8>> {
        let file = disk.open(path(name), OpenMode::Read)?;
        let mut bytes = vec![0; file.len()? as usize];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Folders, and links of every sort between them.
    fn linked() -> SimDisk {
        let disk = SimDisk::new(1);
        disk.write("/a/b/f", b"f").unwrap();
        for (target, at) in [
            ("/a/b", "/to-b"),
            ("to-b/f", "/to-f"),
            ("b/f", "/a/relative"),
            ("../to-f", "/a/up"),
            ("/a/relative", "/chain"),
            ("to-b/new", "/dangling"),
            ("none/new", "/lost"),
            ("loop", "/loop"),
        ] {
            disk.symlink(target, at).unwrap();
        }
        disk
    }

    #[test]
    fn links_lead_to_files_and_folders() {
        let disk = linked();
        for name in ["/a/b/f", "/to-b/f", "/to-f", "/a/relative", "/a/up", "/chain", "to-b/../b/f"] {
            assert_eq!(read(&disk, name).unwrap(), b"f", "{name}");
            assert_eq!(disk.resolve(path(name)).unwrap(), path("/a/b/f"), "{name}");
            assert_eq!(disk.identity(path(name)).unwrap(), disk.identity(path("/a/b/f")).unwrap());
        }
        assert_eq!(disk.list(path("/to-b")).unwrap(), ["f"]);
        assert!(disk.is_dir(path("/to-b")) && !disk.is_dir(path("/dangling")));
        assert_eq!(disk.resolve(path("/dangling")).unwrap(), path("/a/b/new"));
        assert_eq!(disk.resolve(path("/to-b/")).unwrap(), path("/a/b"));
        assert_eq!(disk.resolve(path("")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        for (name, kind) in [
            ("/lost", io::ErrorKind::NotFound),
            ("/loop", io::ErrorKind::InvalidInput),
            ("/chain/new", io::ErrorKind::NotADirectory),
            ("/dangling/", io::ErrorKind::InvalidInput),
        ] {
            assert_eq!(disk.resolve(path(name)).unwrap_err().kind(), kind, "{name}");
            assert!(disk.open(path(name), OpenMode::Read).is_err(), "{name}");
        }
        // A name that is to be free is, also for a link that leads nowhere, not free.
        let taken = disk.open(path("/dangling"), OpenMode::CreateNew).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        open(&disk, "/to-b/new", OpenMode::CreateNew);
        assert_eq!(read(&disk, "/dangling").unwrap(), b"");
        assert_eq!(disk.paths(), [path("/a/b/f"), path("/a/b/new")], "links are no files");
    }

    #[test]
    fn removals_and_renames_concern_the_link_itself() {
        let disk = linked();
        disk.rename(path("/to-f"), path("/moved")).unwrap();
        assert_eq!(read(&disk, "/moved").unwrap(), b"f");
        disk.remove(path("/moved")).unwrap();
        assert_eq!(disk.remove_dir(path("/to-b")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        disk.remove(path("/to-b")).unwrap();
        assert_eq!(disk.read("/a/b/f").unwrap(), b"f");
        let found = disk.restart(LOST);
        assert_eq!(read(&found, "/to-f").unwrap(), b"f", "the folder was not synced");
        assert_eq!(read(&disk.restart(Crash::Kill), "/chain").unwrap(), b"f");
    }

    #[test]
    fn hard_links_are_names_of_one_file() {
        let disk = SimDisk::new(1);
        disk.write("/a/f", b"f").unwrap();
        let file = open(&disk, "/a/f", OpenMode::ReadWrite);
        assert_eq!(file.links().unwrap(), 1);
        disk.hard_link("/a/f", "/g").unwrap();
        assert_eq!(file.links().unwrap(), 2);
        assert_eq!(disk.hard_link("/a/f", "/g").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.hard_link("/a", "/b").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        file.write_at(b"g", 0).unwrap();
        file.sync_data().unwrap();
        assert_eq!(open(&disk, "/g", OpenMode::ReadWrite).stamp().unwrap(), file.stamp().unwrap());
        disk.remove(path("/a/f")).unwrap();
        assert_eq!(file.links().unwrap(), 1);
        let found = disk.restart(LOST);
        assert_eq!((found.read("/a/f").unwrap(), found.read("/g").unwrap()), (b"g".to_vec(), b"g".to_vec()));
        assert_eq!(open(&found, "/g", OpenMode::Read).links().unwrap(), 2);
    }

    #[test]
    fn a_copied_folder_has_the_same_bytes_in_other_files() {
        let disk = linked();
        disk.hard_link("/a/b/f", "/a/g").unwrap();
        let cached = open(&disk, "/a/b/cached", OpenMode::CreateNew);
        cached.write_at(b"c", 0).unwrap();
        disk.copy("/a", "/x/copy").unwrap();
        assert_eq!(disk.copy("/a", "/x/copy").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.copy("/a", "/a/b/in").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let stamp = |disk: &SimDisk, name| open(disk, name, OpenMode::ReadWrite).stamp().unwrap();
        let (old, new) = (stamp(&disk, "/a/b/f"), stamp(&disk, "/x/copy/b/f"));
        assert!(!old.fits(&new) && old.stable);
        assert_eq!(stamp(&disk, "/x/copy/g"), new, "two names of one file stay so");
        assert_eq!(disk.resolve(path("/x/copy/relative")).unwrap(), path("/x/copy/b/f"));
        open(&disk, "/a/b/f", OpenMode::ReadWrite).write_at(b"o", 0).unwrap();
        let found = disk.restart(LOST);
        for (name, bytes) in [("/x/copy/b/f", b"f"), ("/x/copy/b/cached", b"c"), ("/x/copy/g", b"f")] {
            assert_eq!(found.read(name).unwrap(), bytes, "{name}");
        }
        assert_eq!(stamp(&found, "/a/b/f"), old, "a restart changes no stamp");
    }

    #[test]
    fn a_file_that_was_replaced_has_another_stamp_and_one_that_was_renamed_has_not() {
        let disk = SimDisk::new(1);
        disk.write("/f", b"1").unwrap();
        let writable = open(&disk, "/f", OpenMode::ReadWrite).stamp().unwrap();
        let read = open(&disk, "/f", OpenMode::Read).stamp().unwrap();
        assert_eq!(read, writable);
        disk.rename(path("/f"), path("/g")).unwrap();
        disk.write("/f", b"1").unwrap();
        assert_eq!(open(&disk, "/g", OpenMode::ReadWrite).stamp().unwrap(), writable);
        assert!(!open(&disk, "/f", OpenMode::ReadWrite).stamp().unwrap().fits(&writable));
    }

    #[test]
    fn a_file_that_is_put_back_in_place_keeps_its_stamp() {
        let disk = SimDisk::new(1);
        disk.write("/f", b"older").unwrap();
        let file = open(&disk, "/f", OpenMode::ReadWrite);
        let before = file.stamp().unwrap();
        file.write_at(b"newer state", 0).unwrap();
        disk.overwrite("/f", b"older").unwrap();
        assert_eq!(file.stamp().unwrap(), before);
        assert_eq!(disk.overwrite("/g", b"").unwrap_err().kind(), io::ErrorKind::NotFound);
        disk.set_stable_stamps(false);
        let found = disk.restart(LOST);
        assert_eq!(found.read("/f").unwrap(), b"older");
        assert!(!open(&found, "/f", OpenMode::ReadWrite).stamp().unwrap().stable);
    }

    #[test]
    fn an_anchor_holds_its_folder_when_another_takes_its_place() {
        let disk = SimDisk::new(1);
        for name in ["data", "other"] {
            disk.write(format!("/{name}/wal/segment"), name.as_bytes()).unwrap();
        }
        let held = disk.anchor(path("/data"), None).unwrap();
        disk.rename_folder("/data", "/data.old").unwrap();
        disk.rename_folder("/other", "/data").unwrap();
        assert_eq!(read(&*held, "/data/wal/segment").unwrap(), b"data");
        held.create_dir(path("/data/new")).unwrap();
        open(&*held, "/data/new/file", OpenMode::CreateNew);
        held.rename(path("/data/new/file"), path("/data/file")).unwrap();
        held.sync_dir(path("/data")).unwrap();
        held.remove_dir(path("/data/new")).unwrap();
        held.remove(path("/data/wal/segment")).unwrap();
        assert_eq!(held.list(path("/data")).unwrap(), ["file", "wal"]);
        assert_eq!(disk.list(path("/data.old")).unwrap(), ["file", "wal"]);
        assert_eq!(disk.read("/data/wal/segment").unwrap(), b"other");
        // Anchored again it is the same folder; outside, and for others, paths are what they are now.
        let again = held.anchor(path("/data"), None).unwrap();
        assert_eq!(again.list(path("/data")).unwrap(), ["file", "wal"]);
        assert_eq!(again.list(path("/data.old")).unwrap(), ["file", "wal"]);
        disk.rename_folder("/data", "/gone").unwrap();
        assert_eq!(held.resolve(path("/data/wal/../file")).unwrap(), path("/data/file"));
        assert!(disk.resolve(path("/data/file")).is_err());
        assert_eq!(held.remove(path("/data/../gone/wal")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(disk.restart(Crash::Kill).paths(), [path("/data.old/file"), path("/gone/wal/segment")]);
    }

    #[test]
    fn only_a_resolved_folder_is_anchored_and_no_file_in_it_is_opened_through_a_link() {
        let disk = linked();
        for name in ["/none", "/a/b/f", "/to-b", "a"] {
            assert!(disk.anchor(path(name), None).is_err(), "{name}");
        }
        let held = disk.anchor(path("/a"), None).unwrap().anchor(path("/a/b"), None).unwrap();
        assert!(held.open(path("/a/relative"), OpenMode::Read).unwrap_err().to_string().contains("symbolic link"));
        assert_eq!(read(&*held, "/chain").unwrap(), b"f", "outside links are followed");
        disk.rename_folder("/a/b", "/a/c").unwrap();
        assert_eq!(read(&*held, "/a/b/f").unwrap(), b"f");
        assert_eq!(read(&*held, "/a/c/f").unwrap(), b"f");
        // Nothing can be made in a held folder that was removed.
        disk.remove(path("/a/c/f")).unwrap();
        disk.remove_dir(path("/a/c")).unwrap();
        assert_eq!(held.open(path("/a/b/g"), OpenMode::CreateNew).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(held.list(path("/a/b")).unwrap_or_default().is_empty());
    }

    #[test]
    fn anchors_can_be_taken_over_to_another_route_and_a_restarted_machine() {
        let disk = SimDisk::new(1);
        disk.write("/a/f", b"f").unwrap();
        let held = disk.process().anchored("/a").unwrap();
        disk.rename_folder("/a", "/b").unwrap();
        disk.sync_dir(path("/")).unwrap();
        held.kill();
        assert!(read(&held, "/a/f").is_err());
        assert_eq!(read(&disk.process().with_anchors_of(&held), "/a/f").unwrap(), b"f");
        let found = disk.restart(LOST);
        assert_eq!(read(&found.with_anchors_of(&held), "/a/f").unwrap(), b"f");
        assert!(read(&found, "/a/f").is_err());
    }

    #[test]
    fn a_moved_folder_is_found_whole_under_one_of_its_names() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..60 {
            let disk = SimDisk::new(seed);
            disk.write("/a/data/f", b"f").unwrap();
            disk.write("/b/g", b"g").unwrap();
            // Within a folder at once, to another folder in two steps of which the first can be lost alone.
            if seed % 2 == 0 {
                disk.rename_folder("/a/data", "/a/moved").unwrap();
            } else {
                disk.rename_folder("/a/data", "/b/moved").unwrap();
                disk.sync_dir(path("/b")).unwrap();
            }
            let found = disk.restart(Crash::PowerLoss(Loss::Random));
            let paths: Vec<PathBuf> = found.paths().into_iter().filter(|at| at.ends_with("f")).collect();
            assert_eq!(paths.len(), 1, "{paths:?}");
            assert_eq!(found.read(&paths[0]).unwrap(), b"f");
            seen.extend(paths);
        }
        let expected = ["/a/data/f", "/a/moved/f", "/b/moved/f"].map(PathBuf::from);
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
        let disk = SimDisk::new(1);
        disk.write("/a/f", b"").unwrap();
        assert_eq!(disk.rename_folder("/a", "/a/b").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(disk.rename_folder("/a/f", "/b").unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }
}
