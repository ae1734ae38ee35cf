//! Following a path to the place that it names, link by link. The walk is the same on every disk: a disk only says
//! what stands at a place.

use std::{
    ffi::OsString,
    io,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

/// As many links as Linux follows.
const MAX_LINKS: usize = 40;

/// What stands at a place whose folder has no link in its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EntryKind {
    Nothing,
    File,
    Folder,
    /// A symbolic link, and what it says.
    Link(PathBuf),
}

/// What a walk asks of a disk.
pub(super) trait Ground {
    /// What stands at a place.
    fn look(&self, place: &Path) -> io::Result<EntryKind>;
    /// The longest start of an absolute path that is known to be resolved. Nothing above it is looked at.
    fn known<'a>(&self, path: &'a Path) -> &'a Path {
        path.ancestors().last().unwrap_or(path)
    }
}

enum Step {
    Up,
    Name(OsString),
}

/// The place that an absolute path names, every link followed. There may be nothing yet, but its folder exists.
pub(super) fn resolve(ground: &impl Ground, path: &Path) -> io::Result<PathBuf> {
    let mut walk = Resolver { ground, at: PathBuf::new(), steps: Vec::new(), to_folder: false };
    walk.enter(path);
    match walk.run() {
        Err(e) if walk.to_folder && matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            let text = format!("{} ends like the name of a folder, but there is no such folder", path.display());
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
        done => done.map(|()| walk.at),
    }
}

struct Resolver<'a, G> {
    ground: &'a G,
    /// Where the walk is: a folder, or at the end perhaps something else.
    at: PathBuf,
    /// What is left to do, the next step last.
    steps: Vec<Step>,
    /// Whether the path ends in a way in which only the name of a folder can.
    to_folder: bool,
}

impl<G: Ground> Resolver<'_, G> {
    /// Puts a path before the steps that are left.
    fn enter(&mut self, path: &Path) {
        if self.steps.is_empty() {
            let text = path.as_os_str().as_bytes();
            self.to_folder |=
                [&b"/"[..], b"/.", b"/.."].iter().any(|end| text.ends_with(end)) || text == b"." || text == b"..";
        }
        let known = if path.is_absolute() { self.ground.known(path) } else { Path::new("") };
        if path.is_absolute() {
            self.at = known.to_owned();
        }
        let rest = path.strip_prefix(known).unwrap_or(path);
        self.steps.extend(rest.components().rev().filter_map(|part| match part {
            Component::Normal(name) => Some(Step::Name(name.to_owned())),
            Component::ParentDir => Some(Step::Up),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
        }));
    }

    fn run(&mut self) -> io::Result<()> {
        let mut links = 0;
        while let Some(step) = self.steps.pop() {
            let place = match step {
                // No link leads here, so that the folder above is the one in the path.
                Step::Up => {
                    self.at.pop();
                    continue;
                }
                Step::Name(name) => self.at.join(name),
            };
            let last = self.steps.is_empty();
            match self.ground.look(&place)? {
                EntryKind::Link(_) if links == MAX_LINKS => {
                    let text = format!("too many symbolic links, or a loop of them, at {}", place.display());
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
                }
                EntryKind::Link(target) => {
                    links += 1;
                    self.enter(&target);
                }
                EntryKind::Folder => self.at = place,
                EntryKind::File if last && !self.to_folder => self.at = place,
                EntryKind::Nothing if last && !self.to_folder => self.at = place,
                EntryKind::File => {
                    let text = format!("{} is no folder", place.display());
                    return Err(io::Error::new(io::ErrorKind::NotADirectory, text));
                }
                EntryKind::Nothing => {
                    let text = format!("there is no folder {}", place.display());
                    return Err(io::Error::new(io::ErrorKind::NotFound, text));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Places by path; what is not in the table is nothing.
    struct Table(BTreeMap<&'static str, EntryKind>);

    impl Ground for Table {
        fn look(&self, place: &Path) -> io::Result<EntryKind> {
            Ok(self.0.get(place.to_str().unwrap()).cloned().unwrap_or(EntryKind::Nothing))
        }
    }

    fn ground() -> Table {
        let link = |to: &str| EntryKind::Link(to.into());
        Table(BTreeMap::from([
            ("/a", EntryKind::Folder),
            ("/a/b", EntryKind::Folder),
            ("/a/f", EntryKind::File),
            ("/a/b/up", link("../f")),
            ("/a/b/chain", link("up")),
            ("/a/b/new", link("../new")),
            ("/a/b/far", link("/none/new")),
            ("/a/b/slashed", link("/a/new/")),
            ("/to-b", link("a/b")),
            ("/to-b-slash", link("/a/b/")),
            ("/loop", link("loop")),
            ("/x", link("/y")),
            ("/y", link("x")),
        ]))
    }

    #[test]
    fn a_path_leads_to_one_place() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/f", "/a/f"),
            ("/a/new", "/a/new"),
            ("//a/./b/../f", "/a/f"),
            ("/../a", "/a"),
            ("/a/b/", "/a/b"),
            ("/a/b/.", "/a/b"),
            ("/a/b/..", "/a"),
            ("/to-b/up", "/a/f"),
            ("/to-b/chain", "/a/f"),
            ("/to-b/new", "/a/new"),
            ("/to-b/../f", "/a/f"),
            ("/to-b/", "/a/b"),
            ("/to-b-slash", "/a/b"),
            ("/to-b-slash/g", "/a/b/g"),
        ] {
            assert_eq!(resolve(&ground(), Path::new(path)).unwrap(), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_says_why() {
        use io::ErrorKind::{InvalidInput, NotADirectory, NotFound};
        for (path, kind, text) in [
            ("/none/f", NotFound, "no folder /none"),
            ("/to-b/none/f", NotFound, "no folder /a/b/none"),
            ("/a/b/far", NotFound, "no folder /none"),
            ("/a/f/g", NotADirectory, "/a/f is no folder"),
            ("/a/f/", InvalidInput, "no such folder"),
            ("/a/new/", InvalidInput, "no such folder"),
            ("/a/new/.", InvalidInput, "no such folder"),
            ("/none/..", InvalidInput, "no such folder"),
            ("/a/b/slashed", InvalidInput, "no such folder"),
            ("/loop", InvalidInput, "loop"),
            ("/x/f", InvalidInput, "loop"),
        ] {
            let error = resolve(&ground(), Path::new(path)).unwrap_err();
            assert_eq!(error.kind(), kind, "{path}: {error}");
            assert!(error.to_string().contains(text), "{path}: {error}");
        }
    }
}
