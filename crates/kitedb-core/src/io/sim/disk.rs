//! The simulated disk as tests hold it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::lock::Mutex;

use super::{
    Crash, FaultPlan, Refusals, SimHost, anchors::Anchors, contents::Contents, file::SimFile, links, state::State,
};
use crate::io::{
    Access, Disk, DiskFile, Env, FileIdentity, OpenMode,
    resolve::{EntryKind, Ground, resolve},
};

/// A file system in memory that loses, tears and refuses what a real one may. See the [module](super).
///
/// A clone is another handle to the same disk. Everything that happens follows from the seed and the order of calls.
#[derive(Debug, Clone)]
pub struct SimDisk {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) process: Arc<Process>,
    /// The folders that this handle reaches through what they were when it was made.
    pub(super) anchors: Anchors,
}

#[derive(Debug)]
pub(super) struct Process {
    id: u64,
    dead: AtomicBool,
}

impl Process {
    fn new(id: u64) -> Arc<Self> {
        Arc::new(Self { id, dead: AtomicBool::new(false) })
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
}

impl SimDisk {
    /// An empty disk with one folder, `/`. Relative paths start there too.
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed))), process: Process::new(0), anchors: Anchors::default() }
    }

    /// This disk and a host, as the engine takes them.
    pub fn env(&self, host: &SimHost) -> Env {
        Env { disk: Arc::new(self.clone()), host: Arc::new(host.clone()) }
    }

    /// How many operations that change something (writes, lengths, syncs, names) were called since the start, or
    /// since the restart that made this disk.
    pub fn ops(&self) -> u64 {
        self.state.lock().ops
    }

    /// Begins to record operations.
    pub fn start_trace(&self) {
        self.state.lock().trace.get_or_insert_default();
    }

    /// The operations recorded, one line each. Empty without [`SimDisk::start_trace`].
    pub fn trace(&self) -> Vec<String> {
        self.state.lock().trace.clone().unwrap_or_default()
    }

    /// Lets the machine crash in the midst of operation number `op`: the next one is number `ops() + 1`. That
    /// operation is done in part, and it and all calls after it fail.
    pub fn crash_at(&self, op: u64) {
        self.state.lock().crash_at = Some(op);
    }

    /// Whether the machine crashed.
    pub fn crashed(&self) -> bool {
        self.state.lock().dead
    }

    /// The disk as it is found after a crash, which happens now if it did not yet. Handles and files opened before
    /// stay dead. Operations are counted from 0 again; faults and a crash ordered but not reached are forgotten. May be
    /// called again, for another outcome of the same crash.
    #[must_use]
    pub fn restart(&self, crash: Crash) -> Self {
        let state = self.state.lock().restarted(crash);
        Self { state: Arc::new(Mutex::new(state)), process: Process::new(0), anchors: Anchors::default() }
    }

    /// A handle for another process on the same machine, which [`SimDisk::kill`] ends alone.
    #[must_use]
    pub fn process(&self) -> Self {
        let mut state = self.state.lock();
        let id = state.next_process;
        state.next_process += 1;
        drop(state);
        Self { state: Arc::clone(&self.state), process: Process::new(id), anchors: Anchors::default() }
    }

    /// Kills the process of this handle and its clones: its locks are gone, its calls fail; the others go on. (Its
    /// threads can still store to words they mapped: stop them first.)
    pub fn kill(&self) {
        let mut state = self.state.lock();
        self.process.dead.store(true, Ordering::Relaxed);
        let id = self.process.id;
        let held: Vec<u64> = state.open.iter().filter(|(_, open)| open.1 == id).map(|(holder, _)| *holder).collect();
        for holder in held {
            state.closed(holder);
        }
    }

    /// Orders a failure.
    pub fn fail(&self, plan: FaultPlan) {
        self.state.lock().faults.push(plan);
    }

    /// Whether a failure that was ordered has yet to come, or comes again.
    pub fn awaits_faults(&self) -> bool {
        !self.state.lock().faults.is_empty()
    }

    /// How many syncs have failed because the system could not write back what was written before.
    pub fn late_failures(&self) -> u64 {
        self.state.lock().refusals.late
    }

    /// How often it refused something.
    pub fn refusals(&self) -> Refusals {
        self.state.lock().refusals
    }

    /// From now on nobody is told of a failed write-back of before: as if everybody had synced meanwhile.
    pub fn forget_late_failures(&self) {
        self.state.lock().tree.each_file(Contents::forget_failures);
    }

    /// Takes back all failures ordered.
    pub fn clear_faults(&self) {
        self.state.lock().faults.clear();
    }

    /// Lets the disk copy on write, as btrfs does, and xfs where files share blocks: what changes a page needs another
    /// block for it, also where the file does not grow, and gives the old one back at the file's next sync. A store to a
    /// mapped page for which there is no block would kill the process; here it is a [violation](SimDisk::violations).
    pub fn copy_on_write(&self) {
        self.state.lock().copy_on_write = true;
    }

    /// Whether it copies on write.
    pub fn copies_on_write(&self) -> bool {
        self.state.lock().copy_on_write
    }

    /// Limits the bytes that all files together may hold. Beyond it writes (perhaps done in part) and lengths fail
    /// with `StorageFull`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        let mut state = self.state.lock();
        state.notice_stores();
        state.capacity = bytes;
    }

    /// The bytes that all files together take.
    pub fn used(&self) -> u64 {
        let tree = &self.state.lock().tree;
        tree.used() + tree.copies()
    }

    /// Every change that touched a range which was mapped at that time, and every store to a mapped page for which a full
    /// disk had no block: what no engine may do.
    pub fn violations(&self) -> Vec<String> {
        let mut state = self.state.lock();
        state.notice_stores();
        state.violations.clone()
    }

    /// Flips the bits `xor` of one byte, durable and cached; mappings made before do not show it.
    pub fn corrupt(&self, path: impl AsRef<Path>, offset: u64, xor: u8) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = state.tree.find(path.as_ref())?;
        let flipped = state.tree.contents(inode)?.corrupt(usize::try_from(offset).unwrap_or(usize::MAX), xor);
        if flipped { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// A file's bytes as readers see them (after a crash: saw them last). No operation of the engine.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let mut state = self.state.lock();
        let inode = state.tree.find(path.as_ref())?;
        Ok(state.tree.contents(inode)?.bytes().to_vec())
    }

    /// Puts a new, durable file with these bytes at a path, in place of any other, with the folders it needs. Makes
    /// the other names in those folders durable too. No operation of the engine.
    pub fn write(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let path = path.as_ref();
        let tree = &mut self.state.lock().tree;
        links::make_folders(tree, path)?;
        if tree.find_itself(path).is_ok() {
            tree.remove(path, false)?;
        }
        let inode = tree.create(path, false)?;
        let contents = tree.contents(inode)?;
        contents.write(0, bytes);
        contents.sync();
        links::settle(tree, path)
    }

    /// The paths of all files (not of symbolic links), sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        let state = self.state.lock();
        let (mut files, mut open) = (Vec::new(), vec![PathBuf::from("/")]);
        while let Some(path) = open.pop() {
            let Ok(inode) = state.tree.find_itself(path.as_path()) else { continue };
            match state.tree.names(inode) {
                Ok(names) => open.extend(names.iter().map(|name| path.join(name))),
                Err(_) if state.tree.target(inode).is_some() => {}
                Err(_) => files.push(path),
            }
        }
        files.sort();
        files
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let start = self.anchors.start(path)?;
        let mut state = self.live()?;
        let inode = if mode == OpenMode::CreateNew {
            state.change_names(path, || format!("create {}", path.display()), |tree| tree.create(start, false))?
        } else if self.anchors.hold(path) {
            state.tree.find_itself(start)?
        } else {
            state.tree.find(start)?
        };
        let told = AtomicU64::new(state.tree.contents(inode)?.write_back().known_at_open());
        let holder = state.opened(inode, self.process.id);
        drop(state);
        Ok(Arc::new(SimFile { disk: self.clone(), inode, holder, path: path.to_owned(), mode, told }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let start = self.anchors.start(path)?;
        self.live()?.change_names(path, || format!("remove {}", path.display()), |tree| tree.remove(start, false))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (source, target) = (self.anchors.start(from)?, self.anchors.start(to)?);
        let what = || format!("rename {} to {}", from.display(), to.display());
        self.live()?.change_names(to, what, |tree| tree.rename(source, target))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (source, target) = (self.anchors.start(from)?, self.anchors.start(to)?);
        let what = || format!("rename {} to {}", from.display(), to.display());
        self.live()?.change_names(to, what, |tree| {
            if tree.find_itself(target).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            tree.rename(source, target)
        })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let start = self.anchors.start(path)?;
        self.live()?.change_names(
            path,
            || format!("create_dir {}", path.display()),
            |tree| match tree.find(start) {
                Ok(there) if tree.is_folder(there) => Ok(()),
                _ => tree.create(start, true).map(drop),
            },
        )
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut start = self.anchors.start(path)?;
        // A folder cannot be removed through itself: by its name, if that leads to it still.
        let others = self.anchors.without(path);
        if let Some(others) = &others {
            let held = start.at;
            start = others.start(path)?;
            if self.live()?.tree.find(start)? != held {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
        self.live()?.change_names(path, || format!("remove_dir {}", path.display()), |tree| tree.remove(start, true))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let start = self.anchors.start(path)?;
        let mut state = self.live()?;
        let folder = state.tree.find(start)?;
        state.sync_dir(folder, path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let start = self.anchors.start(path)?;
        let state = self.live()?;
        state.tree.names(state.tree.find(start)?)
    }

    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        let start = self.anchors.start(path)?;
        let state = self.live()?;
        Ok(state.identity(state.tree.find(start)?))
    }

    fn is_dir(&self, path: &Path) -> bool {
        let Ok(start) = self.anchors.start(path) else { return false };
        self.live().is_ok_and(|state| state.tree.find(start).is_ok_and(|inode| state.tree.is_folder(inode)))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        if path.as_os_str().is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty path names no file"));
        }
        resolve(self, &Path::new("/").join(path))
    }

    fn anchor(&self, folder: &Path, _like: Option<Access>) -> io::Result<Arc<dyn Disk>> {
        Ok(Arc::new(self.anchored(folder)?))
    }
}

impl Ground for SimDisk {
    fn look(&self, place: &Path) -> io::Result<EntryKind> {
        let start = self.anchors.start(place)?;
        let state = self.live()?;
        let inode = match state.tree.find_itself(start) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(EntryKind::Nothing),
            found => found?,
        };
        Ok(match state.tree.target(inode) {
            Some(target) => EntryKind::Link(target.to_owned()),
            None if state.tree.is_folder(inode) => EntryKind::Folder,
            None => EntryKind::File,
        })
    }

    fn known<'a>(&self, path: &'a Path) -> &'a Path {
        self.anchors.longest(path)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
