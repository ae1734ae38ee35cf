//! Folders of a simulated disk that a process holds by a handle.

use std::{
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::{
    tree::{Inode, ROOT},
    walk::Start,
};

/// Paths without their leading `/`, and the folders that are reached by them whatever bears their names.
#[derive(Debug, Clone, Default)]
pub(super) struct Anchors(Arc<[(PathBuf, Inode)]>);

impl Anchors {
    /// These and one more.
    pub(super) fn with(&self, path: &Path, inode: Inode) -> Self {
        let path = relative(path);
        let others = self.0.iter().filter(|(anchor, _)| anchor != path).cloned();
        Self(others.chain([(path.to_owned(), inode)]).collect())
    }

    /// Where a path begins.
    pub(super) fn start<'a>(&self, path: &'a Path) -> io::Result<Start<'a>> {
        let under = |(anchor, inode): &(PathBuf, Inode)| {
            let rest = relative(path).strip_prefix(anchor).ok()?;
            Some((anchor.components().count(), Start { at: *inode, path: rest }))
        };
        let Some((_, start)) = self.0.iter().filter_map(under).max_by_key(|(depth, _)| *depth) else {
            return Ok(Start { at: ROOT, path });
        };
        if start.path.components().any(|part| part == Component::ParentDir) {
            let text = format!("{} has `..` in it: it must be resolved first", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(start)
    }

    /// These without the one at `path`; `None` if that is no anchor.
    pub(super) fn without(&self, path: &Path) -> Option<Self> {
        let path = relative(path);
        let others: Arc<[_]> = self.0.iter().filter(|(anchor, _)| anchor != path).cloned().collect();
        (others.len() < self.0.len()).then_some(Self(others))
    }

    /// Whether a path lies under an anchor.
    pub(super) fn hold(&self, path: &Path) -> bool {
        self.0.iter().any(|(anchor, _)| relative(path).starts_with(anchor))
    }

    /// The longest start of an absolute path that is an anchor; the root where none is.
    pub(super) fn longest<'a>(&self, path: &'a Path) -> &'a Path {
        let held = |start: &&Path| self.0.iter().any(|(anchor, _)| anchor == relative(start));
        path.ancestors().find(held).or_else(|| path.ancestors().last()).unwrap_or(path)
    }
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}
