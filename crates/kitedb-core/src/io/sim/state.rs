//! The one state behind every handle to a simulated disk, and the path that each operation takes through it.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    Crash, FaultOn, FaultPlan, Refusals, faults,
    rng::Rng,
    tree::{Inode, Tree},
};
use crate::io::FileIdentity;

/// What a system writes back of a mapping, and a disk that copies on write copies.
pub(super) const PAGE: usize = 4096;

/// No simulated file grows beyond this: a wrong length is an error, not the end of the machine's memory.
const MAX_LEN: u64 = 1 << 34;

#[derive(Debug)]
pub(super) struct State {
    pub(super) tree: Tree,
    pub(super) rng: Rng,
    pub(super) ops: u64,
    pub(super) crash_at: Option<u64>,
    pub(super) dead: bool,
    pub(super) trace: Option<Vec<String>>,
    pub(super) faults: Vec<FaultPlan>,
    pub(super) capacity: Option<u64>,
    /// Whether a page that is changed is kept in another block from then on.
    pub(super) copy_on_write: bool,
    pub(super) violations: Vec<String>,
    pub(super) refusals: Refusals,
    pub(super) stable_stamps: bool,
    /// What the disk was made from: files of two disks are born at different times.
    pub(super) seed: u64,
    /// Every open file: its number, what it is a file of, and the process that opened it.
    pub(super) open: BTreeMap<u64, (Inode, u64)>,
    next_open: u64,
    pub(super) next_process: u64,
    device: u64,
}

/// What becomes of an operation.
enum Verdict {
    Do,
    Fail(io::ErrorKind),
    Crash,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            tree: Tree::new(),
            rng: Rng::new(seed),
            ops: 0,
            crash_at: None,
            dead: false,
            trace: None,
            faults: Vec::new(),
            capacity: None,
            copy_on_write: false,
            violations: Vec::new(),
            refusals: Refusals::default(),
            stable_stamps: true,
            seed,
            open: BTreeMap::new(),
            next_open: 0,
            next_process: 1,
            device: next_device(),
        }
    }

    /// Ends this state, and makes the one that a restart finds.
    pub(super) fn restarted(&mut self, crash: Crash) -> Self {
        self.die();
        let mut rng = self.rng.split();
        let tree = match crash {
            Crash::Kill => self.tree.killed(),
            Crash::PowerLoss(loss) => self.tree.powered_off(loss, &mut rng),
        };
        Self {
            tree,
            rng,
            capacity: self.capacity,
            copy_on_write: self.copy_on_write,
            violations: self.violations.clone(),
            refusals: self.refusals,
            stable_stamps: self.stable_stamps,
            seed: self.seed,
            trace: self.trace.as_ref().map(|_| Vec::new()),
            ..Self::new(0)
        }
    }

    pub(super) fn die(&mut self) {
        if !self.dead {
            self.dead = true;
            // Now, not at the restart: threads of the dead may go on storing to mapped words.
            self.tree.each_file(super::contents::Contents::freeze);
        }
    }

    pub(super) fn identity(&self, inode: Inode) -> FileIdentity {
        FileIdentity { device: self.device, inode }
    }

    /// Notes one more open file, and says its number.
    pub(super) fn opened(&mut self, inode: Inode, process: u64) -> u64 {
        self.next_open += 1;
        self.tree.opened(inode);
        self.open.insert(self.next_open, (inode, process));
        self.next_open
    }

    pub(super) fn closed(&mut self, holder: u64) {
        if let Some((inode, _)) = self.open.remove(&holder) {
            self.tree.closed(inode, holder);
        }
    }

    pub(super) fn read_fault(&mut self, path: &Path) -> io::Result<()> {
        self.hit(FaultOn::Read, path).map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// The kind of error that was ordered for an operation, which counts as refused then.
    fn hit(&mut self, on: FaultOn, path: &Path) -> Option<io::ErrorKind> {
        let kind = faults::hit(&mut self.faults, on, path)?;
        self.refusals.count(on);
        Some(kind)
    }

    pub(super) fn write(&mut self, inode: Inode, path: &Path, data: &[u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= MAX_LEN);
        let (at, end) = (offset as usize, end.ok_or(io::ErrorKind::FileTooLarge)? as usize);
        let what = || format!("write {} {offset}+{}", path.display(), data.len());
        let verdict = self.begin(FaultOn::Write, path, what)?;
        self.check_mapped(inode, at..end, "write", path)?;
        match verdict {
            Verdict::Do => match self.shortage(inode, at..end)? {
                0 => {
                    let contents = self.tree.contents(inode)?;
                    if self.copy_on_write {
                        contents.copied(at..end);
                    }
                    contents.write(at, data);
                    if let Some(kind) = self.hit(FaultOn::WriteBack, path) {
                        self.tree.contents(inode)?.write_back_failed(kind, false, &mut self.rng);
                    }
                }
                missing => {
                    let fits = match self.copy_on_write {
                        true => self.whole_pages(inode, at..end)?,
                        false => data.len().saturating_sub(missing),
                    };
                    if fits > 0 && self.rng.coin() {
                        let contents = self.tree.contents(inode)?;
                        if self.copy_on_write {
                            contents.copied(at..at + fits);
                        }
                        contents.write(at, &data[..fits]);
                    }
                    return Err(self.full());
                }
            },
            Verdict::Fail(kind) => {
                if self.rng.coin() {
                    self.tree.contents(inode)?.write_torn(at, data, &mut self.rng);
                }
                return Err(kind.into());
            }
            Verdict::Crash => {
                self.tree.contents(inode)?.write_torn(at, data, &mut self.rng);
                self.die();
                return Err(crashed());
            }
        }
        Ok(())
    }

    pub(super) fn set_len(&mut self, inode: Inode, path: &Path, len: u64) -> io::Result<()> {
        if len > MAX_LEN {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let verdict = self.begin(FaultOn::Write, path, || format!("set_len {} {len}", path.display()))?;
        let len = len as usize;
        let old = self.tree.contents(inode)?.len();
        self.check_mapped(inode, len..old.max(len), "set_len", path)?;
        if self.tree.contents(inode)?.words_cut_by(len) {
            self.violations.push(format!("set_len {} to {len} cuts mapped words", path.display()));
        }
        match verdict {
            Verdict::Do if self.shortage(inode, old..len)? > 0 => Err(self.full()),
            Verdict::Do => {
                self.tree.contents(inode)?.set_len(len);
                Ok(())
            }
            Verdict::Fail(kind) => Err(kind.into()),
            Verdict::Crash => {
                if self.rng.coin() {
                    self.tree.contents(inode)?.set_len(len);
                }
                self.die();
                Err(crashed())
            }
        }
    }

    /// `told`: of how many failures to write the file back the open file knows that is synced.
    pub(super) fn sync(&mut self, inode: Inode, path: &Path, told: &AtomicU64) -> io::Result<()> {
        let verdict = self.begin(FaultOn::Sync, path, || format!("sync {}", path.display()))?;
        let contents = self.tree.contents(inode)?;
        match verdict {
            Verdict::Do => {
                contents.sync();
                let (known, result) = contents.tell(told.load(Ordering::Relaxed));
                told.store(known, Ordering::Relaxed);
                self.refusals.late += u64::from(result.is_err());
                result
            }
            Verdict::Fail(kind) => {
                told.store(contents.write_back_failed(kind, true, &mut self.rng), Ordering::Relaxed);
                Err(kind.into())
            }
            Verdict::Crash => {
                contents.sync_interrupted(&mut self.rng);
                self.die();
                Err(crashed())
            }
        }
    }

    pub(super) fn sync_dir(&mut self, folder: Inode, path: &Path) -> io::Result<()> {
        let pending = self.tree.pending(folder)?;
        let verdict = self.begin(FaultOn::Sync, path, || format!("sync_dir {}", path.display()))?;
        match verdict {
            Verdict::Do => self.tree.sync(folder, pending),
            Verdict::Fail(kind) => {
                let kept = self.rng.below(pending + 1);
                self.tree.sync(folder, kept)?;
                Err(kind.into())
            }
            Verdict::Crash => {
                let kept = self.rng.below(pending + 1);
                self.tree.sync(folder, kept)?;
                self.die();
                Err(crashed())
            }
        }
    }

    /// An operation on names: done whole or not at all, also where it crashes.
    pub(super) fn change_names<T>(
        &mut self,
        path: &Path,
        what: impl FnOnce() -> String,
        change: impl FnOnce(&mut Tree) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.begin(FaultOn::Name, path, what)? {
            Verdict::Do => change(&mut self.tree),
            Verdict::Fail(kind) => Err(kind.into()),
            Verdict::Crash => {
                if self.rng.coin() {
                    let _done_or_not = change(&mut self.tree);
                }
                self.die();
                Err(crashed())
            }
        }
    }

    /// Counts an operation and decides what becomes of it.
    fn begin(&mut self, on: FaultOn, path: &Path, what: impl FnOnce() -> String) -> io::Result<Verdict> {
        if self.dead {
            return Err(crashed());
        }
        self.ops += 1;
        self.notice_stores();
        let verdict = if self.crash_at == Some(self.ops) {
            Verdict::Crash
        } else {
            self.hit(on, path).map_or(Verdict::Do, Verdict::Fail)
        };
        if let Some(trace) = &mut self.trace {
            let fate = match &verdict {
                Verdict::Do => String::new(),
                Verdict::Fail(kind) => format!(" fails: {kind}"),
                Verdict::Crash => " crashes".into(),
            };
            trace.push(format!("{} {}{fate}", self.ops, what()));
        }
        Ok(verdict)
    }

    /// How many bytes the disk lacks for `range` of a file to be written.
    fn shortage(&mut self, inode: Inode, range: Range<usize>) -> io::Result<usize> {
        if self.capacity.is_none() {
            return Ok(0);
        }
        let copying = self.copy_on_write;
        let contents = self.tree.contents(inode)?;
        let growth = range.end.saturating_sub(contents.len());
        let copies = if copying { contents.to_be_copied(range) * PAGE } else { 0 };
        Ok((growth + copies).saturating_sub(self.room()))
    }

    /// The error of what there is no room for.
    fn full(&mut self) -> io::Error {
        self.refusals.full += 1;
        io::ErrorKind::StorageFull.into()
    }

    /// How many bytes of `range` a disk without room for all of it takes: those of its first pages.
    fn whole_pages(&mut self, inode: Inode, range: Range<usize>) -> io::Result<usize> {
        let mut end = range.start;
        loop {
            let next = (end / PAGE + 1) * PAGE;
            if next >= range.end || self.shortage(inode, range.start..next)? > 0 {
                return Ok(end - range.start);
            }
            end = next;
        }
    }

    /// How many bytes more the disk holds.
    fn room(&self) -> usize {
        let Some(capacity) = self.capacity else { return usize::MAX };
        let taken = self.tree.used() + self.tree.copies();
        usize::try_from(capacity.saturating_sub(taken)).unwrap_or(usize::MAX)
    }

    /// Looks for stores to mapped words that would have killed their process: they needed a block, and there was none.
    pub(super) fn notice_stores(&mut self) {
        if !self.copy_on_write || self.dead {
            return;
        }
        let room = self.room();
        let mut copied = 0;
        self.tree.each_file(|contents| copied += contents.copied_by_stores());
        if copied * PAGE > room {
            self.violations.push(format!("SIGBUS: {copied} mapped pages are stored to, with room for {room} bytes"));
        }
    }

    fn check_mapped(&mut self, inode: Inode, range: Range<usize>, verb: &str, path: &Path) -> io::Result<()> {
        if let Some(mapped) = self.tree.contents(inode)?.mapped_in(range.clone()) {
            let path = path.display();
            self.violations.push(format!("{verb} {path} changes {range:?} while {mapped:?} is mapped"));
        }
        Ok(())
    }
}

pub(super) fn crashed() -> io::Error {
    io::Error::other("simulated crash")
}

/// Every disk, and every restart of one, is another device, so that tables keyed by file identity never take a file
/// of one test, or of a dead process, for one of another. The numbers decide nothing that a seed should decide.
fn next_device() -> u64 {
    static DEVICES: AtomicU64 = AtomicU64::new(1 << 63);
    DEVICES.fetch_add(1, Ordering::Relaxed)
}
