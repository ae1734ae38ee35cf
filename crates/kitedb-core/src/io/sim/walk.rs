//! How paths lead through the folders of a simulated disk, by names and symbolic links.

use std::{
    io,
    path::{Component, Path},
};

use super::tree::{Inode, ROOT, Tree};

/// As many links as Linux follows.
const MAX_LINKS: usize = 40;

/// Where a path begins: at the root, or at a folder that is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start<'a> {
    pub(super) at: Inode,
    pub(super) path: &'a Path,
}

impl<'a> From<&'a Path> for Start<'a> {
    fn from(path: &'a Path) -> Self {
        Self { at: ROOT, path }
    }
}

/// The folder and the name in it that a path ends with.
pub(super) type Entry = (Inode, String);

/// Where a path ended.
struct End {
    /// `None` where the path ends with the folder that it began with, or with `..`.
    entry: Option<Entry>,
    /// `None` where the name is free.
    inode: Option<Inode>,
}

enum Step {
    Up,
    Name(String),
}

impl Tree {
    /// What a path leads to, every link followed.
    pub(super) fn find<'a>(&self, path: impl Into<Start<'a>>) -> io::Result<Inode> {
        self.walk(path.into(), true)?.inode.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// What bears a path's last name, which can be a link.
    pub(super) fn find_itself<'a>(&self, path: impl Into<Start<'a>>) -> io::Result<Inode> {
        self.walk(path.into(), false)?.inode.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The folder that a path's last name is in, and that name, which may be free.
    pub(super) fn locate<'a>(&self, path: impl Into<Start<'a>>) -> io::Result<Entry> {
        let (folder, name) = self.walk(path.into(), false)?.entry.ok_or(io::ErrorKind::InvalidInput)?;
        // Nothing can be made in a folder that was removed, though somebody holds it.
        if self.links(folder) == 0 { Err(io::ErrorKind::NotFound.into()) } else { Ok((folder, name)) }
    }

    /// Whether a folder is another or lies in it.
    pub(super) fn lies_in(&self, mut folder: Inode, other: Inode) -> bool {
        while folder != other && folder != ROOT {
            folder = self.parent(folder);
        }
        folder == other
    }

    fn walk(&self, start: Start<'_>, follow_last: bool) -> io::Result<End> {
        let mut end = End { entry: None, inode: Some(start.at) };
        let (mut at, mut links) = (start.at, 0);
        let mut steps = steps(start.path);
        while let Some(step) = steps.pop() {
            let name = match step {
                Step::Up => {
                    at = self.parent(at);
                    end = End { entry: None, inode: Some(at) };
                    continue;
                }
                Step::Name(name) => name,
            };
            let last = steps.is_empty();
            let inode = match self.name(at, &name)? {
                None if last => return Ok(End { entry: Some((at, name)), inode: None }),
                None => return Err(io::ErrorKind::NotFound.into()),
                Some(inode) => inode,
            };
            match self.target(inode) {
                Some(_) if links == MAX_LINKS => {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many symbolic links"));
                }
                Some(target) if follow_last || !last => {
                    links += 1;
                    if target.is_absolute() {
                        at = ROOT;
                    }
                    end = End { entry: None, inode: Some(at) };
                    steps.extend(self::steps(target));
                }
                _ => {
                    end = End { entry: Some((at, name)), inode: Some(inode) };
                    at = inode;
                }
            }
        }
        Ok(end)
    }
}

/// A path's steps, the first one last. There is no working folder: a relative path starts at the root too.
fn steps(path: &Path) -> Vec<Step> {
    let step = |part: Component<'_>| match part {
        Component::Normal(name) => Some(Step::Name(name.to_string_lossy().into_owned())),
        Component::ParentDir => Some(Step::Up),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().rev().filter_map(step).collect()
}
