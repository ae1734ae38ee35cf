//! The folders of a simulated disk: names, what they lead to, and which of that is durable.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{
    Loss,
    contents::Contents,
    rng::Rng,
    walk::{Entry, Start},
};
use crate::io::byte_locks::Locks;

pub(super) type Inode = u64;
pub(super) const ROOT: Inode = 1;

/// Files and folders by number, with the root folder at [`ROOT`].
#[derive(Debug)]
pub(super) struct Tree {
    inodes: BTreeMap<Inode, InodeState>,
    next: Inode,
}

#[derive(Debug)]
struct InodeState {
    /// How many names lead here, as a reader sees it.
    links: u32,
    /// How many open files there are of it.
    opens: u32,
    /// How many changes of names that are not durable yet speak of it: undoing one of them brings it back.
    pins: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    File {
        contents: Contents,
        locks: Locks,
    },
    Folder(Folder),
    /// A symbolic link, and what it says.
    Link(PathBuf),
}

#[derive(Debug, Clone, Default)]
struct Folder {
    names: BTreeMap<String, Inode>,
    /// Changes since the last sync, in order. Each is durable whole or not at all.
    pending: Vec<Vec<Edit>>,
}

#[derive(Debug, Clone)]
struct Edit {
    name: String,
    old: Option<Inode>,
    new: Option<Inode>,
}

impl Tree {
    pub(super) fn new() -> Self {
        let root = InodeState { links: 1, opens: 0, pins: 0, kind: Kind::Folder(Folder::default()) };
        Self { inodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }

    pub(super) fn contents(&mut self, inode: Inode) -> io::Result<&mut Contents> {
        match self.inodes.get_mut(&inode).map(|state| &mut state.kind) {
            Some(Kind::File { contents, .. }) => Ok(contents),
            Some(Kind::Folder(_)) => Err(io::ErrorKind::IsADirectory.into()),
            Some(Kind::Link(_)) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a symbolic link")),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn locks(&mut self, inode: Inode) -> io::Result<&mut Locks> {
        match self.inodes.get_mut(&inode).map(|state| &mut state.kind) {
            Some(Kind::File { locks, .. }) => Ok(locks),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// What bears a name in a folder.
    pub(super) fn name(&self, folder: Inode, name: &str) -> io::Result<Option<Inode>> {
        Ok(self.folder(folder)?.names.get(name).copied())
    }

    /// What a symbolic link says; `None` for anything else.
    pub(super) fn target(&self, inode: Inode) -> Option<&Path> {
        match &self.inodes.get(&inode)?.kind {
            Kind::Link(target) => Some(target),
            Kind::File { .. } | Kind::Folder(_) => None,
        }
    }

    /// The folder that a folder lies in; the root for the root itself.
    pub(super) fn parent(&self, inode: Inode) -> Inode {
        let holds = |state: &InodeState| match &state.kind {
            Kind::Folder(folder) => folder.names.values().any(|child| *child == inode),
            Kind::File { .. } | Kind::Link(_) => false,
        };
        self.inodes.iter().find(|(_, state)| holds(state)).map_or(ROOT, |(parent, _)| *parent)
    }

    /// How many names lead to a file.
    pub(super) fn links(&self, inode: Inode) -> u64 {
        self.inodes.get(&inode).map_or(0, |state| u64::from(state.links))
    }

    pub(super) fn is_folder(&self, inode: Inode) -> bool {
        self.folder(inode).is_ok()
    }

    pub(super) fn names(&self, folder: Inode) -> io::Result<Vec<String>> {
        Ok(self.folder(folder)?.names.keys().cloned().collect())
    }

    /// Creates an empty file or folder. The name must be free.
    pub(super) fn create<'a>(&mut self, path: impl Into<Start<'a>>, folder: bool) -> io::Result<Inode> {
        let entry = self.free(path)?;
        self.put(
            entry,
            if folder {
                Kind::Folder(Folder::default())
            } else {
                Kind::File { contents: Contents::default(), locks: Locks::default() }
            },
        )
    }

    /// Creates a symbolic link. The name must be free.
    pub(super) fn symlink(&mut self, target: &Path, at: &Path) -> io::Result<()> {
        let entry = self.free(at)?;
        self.put(entry, Kind::Link(target.to_owned())).map(drop)
    }

    /// Gives a file one more name. The name must be free.
    pub(super) fn hard_link(&mut self, inode: Inode, at: &Path) -> io::Result<()> {
        let (parent, name) = self.free(at)?;
        if self.is_folder(inode) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "a folder has one name"));
        }
        self.edit(parent, vec![(name, Some(inode))])
    }

    /// Where a path ends, if nothing bears that name.
    fn free<'a>(&self, path: impl Into<Start<'a>>) -> io::Result<Entry> {
        let (parent, name) = self.locate(path)?;
        match self.name(parent, &name)? {
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => Ok((parent, name)),
        }
    }

    fn put(&mut self, (parent, name): Entry, kind: Kind) -> io::Result<Inode> {
        let inode = self.next;
        self.next += 1;
        self.inodes.insert(inode, InodeState { links: 0, opens: 0, pins: 0, kind });
        self.edit(parent, vec![(name, Some(inode))])?;
        Ok(inode)
    }

    /// Removes a file or a link, or an empty folder.
    pub(super) fn remove<'a>(&mut self, path: impl Into<Start<'a>>, folder: bool) -> io::Result<()> {
        let (parent, name) = self.locate(path)?;
        let inode = *self.folder(parent)?.names.get(&name).ok_or(io::ErrorKind::NotFound)?;
        match (self.folder(inode), folder) {
            (Ok(found), true) if !found.names.is_empty() => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            (Ok(_), false) => Err(io::ErrorKind::IsADirectory.into()),
            (Err(_), true) => Err(io::ErrorKind::NotADirectory.into()),
            _ => self.edit(parent, vec![(name, None)]),
        }
    }

    /// Moves a file or a folder onto another name. Within one folder that is one change; between two folders it is one
    /// change in each, durable by itself, the new name first.
    pub(super) fn rename<'a, 'b>(&mut self, from: impl Into<Start<'a>>, to: impl Into<Start<'b>>) -> io::Result<()> {
        let (source, old_name) = self.locate(from)?;
        let (target, new_name) = self.locate(to)?;
        let inode = *self.folder(source)?.names.get(&old_name).ok_or(io::ErrorKind::NotFound)?;
        let replaced = self.folder(target)?.names.get(&new_name).copied();
        if replaced == Some(inode) {
            return Ok(());
        }
        if replaced.is_some_and(|there| self.is_folder(there) || self.is_folder(inode)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if self.is_folder(inode) && self.lies_in(target, inode) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if source == target {
            self.edit(source, vec![(old_name, None), (new_name, Some(inode))])
        } else {
            self.edit(target, vec![(new_name, Some(inode))])?;
            self.edit(source, vec![(old_name, None)])
        }
    }

    /// Makes the first `keep` changes of a folder durable (all, if there are fewer).
    pub(super) fn sync(&mut self, folder: Inode, keep: usize) -> io::Result<()> {
        let pending = &mut self.folder_mut(folder)?.pending;
        let settled: Vec<Vec<Edit>> = pending.drain(..keep.min(pending.len())).collect();
        for inode in settled.iter().flatten().flat_map(|edit| [edit.old, edit.new]).flatten() {
            self.adjust(inode, |state| state.pins -= 1);
        }
        Ok(())
    }

    /// How many changes of a folder are not durable.
    pub(super) fn pending(&self, folder: Inode) -> io::Result<usize> {
        Ok(self.folder(folder)?.pending.len())
    }

    pub(super) fn opened(&mut self, inode: Inode) {
        self.adjust(inode, |state| state.opens += 1);
    }

    pub(super) fn closed(&mut self, inode: Inode, holder: u64) {
        if let Ok(locks) = self.locks(inode) {
            locks.release(holder);
        }
        self.adjust(inode, |state| state.opens = state.opens.saturating_sub(1));
    }

    /// The bytes in files that have a name or are open.
    pub(super) fn used(&self) -> u64 {
        let live = self.inodes.values().filter(|state| state.links + state.opens > 0);
        live.map(|state| match &state.kind {
            Kind::File { contents, .. } => contents.len() as u64,
            Kind::Folder(_) | Kind::Link(_) => 0,
        })
        .sum()
    }

    /// The bytes of blocks that syncs of the files will give back.
    pub(super) fn copies(&self) -> u64 {
        let copies = self.inodes.values().map(|state| match &state.kind {
            Kind::File { contents, .. } => contents.copies() as u64,
            Kind::Folder(_) | Kind::Link(_) => 0,
        });
        copies.sum()
    }

    pub(super) fn each_file(&mut self, mut visit: impl FnMut(&mut Contents)) {
        for state in self.inodes.values_mut() {
            if let Kind::File { contents, .. } = &mut state.kind {
                visit(contents);
            }
        }
    }

    /// The tree after the process died: nothing is open or locked, all else is as it was.
    pub(super) fn killed(&self) -> Self {
        let inodes = self.inodes.iter().filter(|(_, state)| state.links + state.pins > 0).map(|(inode, state)| {
            let kind = match &state.kind {
                Kind::File { contents, .. } => {
                    Kind::File { contents: contents.clone().killed(), locks: Locks::default() }
                }
                Kind::Folder(folder) => Kind::Folder(folder.clone()),
                Kind::Link(target) => Kind::Link(target.clone()),
            };
            (*inode, InodeState { links: state.links, opens: 0, pins: state.pins, kind })
        });
        Self { inodes: inodes.collect(), next: self.next }
    }

    /// The tree after a power loss: of each folder a prefix of its changes, of each file what luck leaves.
    pub(super) fn powered_off(&self, loss: Loss, rng: &mut Rng) -> Self {
        let mut left = Self { inodes: BTreeMap::new(), next: self.next };
        let mut open = vec![(ROOT, String::new(), ROOT)];
        while let Some((parent, name, inode)) = open.pop() {
            // A cross-folder rename whose two halves differ in luck can leave two names of one file. A folder has one.
            if left.is_folder(inode) {
                left.folder_mut(parent).ok().and_then(|parent| parent.names.remove(&name));
                continue;
            }
            if let Some(again) = left.inodes.get_mut(&inode) {
                again.links += 1;
                continue;
            }
            let kind = match self.inodes.get(&inode).map(|state| &state.kind) {
                Some(Kind::Folder(folder)) => {
                    let names = folder.powered_off(loss, rng);
                    open.extend(names.iter().map(|(name, child)| (inode, name.clone(), *child)));
                    Kind::Folder(Folder { names, pending: Vec::new() })
                }
                Some(Kind::Link(target)) => Kind::Link(target.clone()),
                Some(Kind::File { contents, .. }) => {
                    Kind::File { contents: contents.clone().powered_off(loss, rng), locks: Locks::default() }
                }
                None => continue,
            };
            left.inodes.insert(inode, InodeState { links: 1, opens: 0, pins: 0, kind });
        }
        left
    }

    fn folder(&self, inode: Inode) -> io::Result<&Folder> {
        match self.inodes.get(&inode).map(|state| &state.kind) {
            Some(Kind::Folder(folder)) => Ok(folder),
            Some(Kind::File { .. } | Kind::Link(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn folder_mut(&mut self, inode: Inode) -> io::Result<&mut Folder> {
        match self.inodes.get_mut(&inode).map(|state| &mut state.kind) {
            Some(Kind::Folder(folder)) => Ok(folder),
            Some(Kind::File { .. } | Kind::Link(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Changes names of a folder, as one step.
    fn edit(&mut self, folder: Inode, changes: Vec<(String, Option<Inode>)>) -> io::Result<()> {
        let names = &mut self.folder_mut(folder)?.names;
        let mut edits = Vec::new();
        for (name, new) in changes {
            let old = match new {
                Some(inode) => names.insert(name.clone(), inode),
                None => names.remove(&name),
            };
            edits.push(Edit { name, old, new });
        }
        for edit in &edits {
            if let Some(inode) = edit.new {
                self.adjust(inode, |state| (state.links, state.pins) = (state.links + 1, state.pins + 1));
            }
        }
        for edit in &edits {
            if let Some(inode) = edit.old {
                self.adjust(inode, |state| (state.links, state.pins) = (state.links - 1, state.pins + 1));
            }
        }
        self.folder_mut(folder)?.pending.push(edits);
        Ok(())
    }

    /// Changes what keeps a file or folder alive, and forgets it when nothing does.
    fn adjust(&mut self, inode: Inode, change: impl FnOnce(&mut InodeState)) {
        if let Some(state) = self.inodes.get_mut(&inode) {
            change(state);
            if state.links + state.opens + state.pins == 0 {
                self.inodes.remove(&inode);
            }
        }
    }
}

impl Folder {
    fn powered_off(&self, loss: Loss, rng: &mut Rng) -> BTreeMap<String, Inode> {
        let kept = match loss {
            Loss::Random => rng.below(self.pending.len() + 1),
            Loss::LoseAllUnsynced => 0,
            Loss::KeepAll => self.pending.len(),
        };
        let mut names = self.names.clone();
        for edit in self.pending[kept..].iter().rev().flat_map(|edits| edits.iter().rev()) {
            match edit.old {
                Some(inode) => names.insert(edit.name.clone(), inode),
                None => names.remove(&edit.name),
            };
        }
        names
    }
}
