//! What the replicas of a log have reported: a mapped file in its sidecar, of fixed slots, so that a report is a few
//! stores, and reading all of them takes no lock.
//!
//! The file is parts of 64 words. The first one is its head: a magic number; what part the node plays (0 not said, 1
//! it leads, 2 it follows); and the windows of its last writer: a word of bits that say which are given (1 entries, 2
//! ms, 4 bytes, 8 lag), then one word for each. Each other part is a [slot](slot). The file begins with 127 slots and
//! doubles, up to [`LIMIT`]; it never shrinks.
//!
//! A slot that is taken is synced once; the reports in it are not: after a loss of power it may show an earlier
//! report, which only keeps more of the log.
//!
//! The control file of the log remembers who is registered ([`Roll`](crate::log::Roll)). Where that is not who the file holds, replicas were
//! lost with it ([`loss`]). While a slot is taken or freed, the roll says nothing.
//!
//! Locks: the byte `2^62` while slots are taken or freed, the file grows, or the log is let go of; byte `2^62 + n`
//! while slot n is written. So reports of different replicas do not wait for each other, nor for the log to be cut.

pub(super) mod choose_replica;
mod head;
mod loss;
mod registration;
mod slot;
mod slots;

pub use registration::{Labels, Progress, Registration};
pub use slot::MAX_ID;

use crate::{
    error::{Error, ErrorCode, Result},
    io::{DiskFile, Env, FileLock, FileWords, LockKind, OpenMode, clear_name, words_of_text},
    lock::{Mutex, RwLock},
    log::Control,
};
use slot::Slot;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

const NAME: &str = "replicas";
/// The last byte is the version of its form.
const MAGIC: u64 = u64::from_le_bytes(*b"KITEREP\x02");
/// How many replicas can be registered.
pub const LIMIT: usize = 4095;
/// Parts of a new file.
const FIRST_PARTS: usize = 128;
/// How long it is then.
const FIRST_LEN: usize = FIRST_PARTS * slot::WORDS * 8;
/// The first lock: see the [module documentation](self).
const LOCK: u64 = 1 << 62;

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Registry {
    words: RwLock<FileWords>,
    /// Whether the words are the file's, or what it held when it was looked at.
    mapped: bool,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// Of the log.
    control: Arc<Control>,
    /// The slots of those that report through this, as far as known. Held by whoever holds a lock on the file: its
    /// locks do not keep threads apart.
    here: Mutex<HashMap<String, usize>>,
}

/// Whether the file at `path`, which holds `words`, is a registry: what is none, or of an earlier version, is made anew. An
/// error if a newer build made it.
fn is_sound(words: &FileWords, path: &Path) -> Result<bool> {
    let magic = words.load(0);
    let [version, known] = [magic, MAGIC].map(|magic| magic >> 56);
    if magic << 8 == MAGIC << 8 && version > known {
        let what = format_args!(
            "the replica registry {} is of form {version}, and this build reads form {known}: a newer KiteDB wrote it. Nothing is \
             damaged; use a newer KiteDB",
            path.display()
        );
        return Err(Error::new(ErrorCode::TooNew, what).with_path(path).with_expected(known).with_found(version));
    }
    Ok(magic == MAGIC)
}

impl Registry {
    /// Opens the registry in the sidecar `dir`, making it if need be. Only the log's writer makes it.
    pub fn create(env: &Env, dir: &Path, control: Arc<Control>) -> Result<Self> {
        let registry = match Self::open(env, dir, control.clone())? {
            Some(found) => found,
            None => {
                Self::note_loss(env, dir, &control)?;
                Self::make(env, dir, control)?
            }
        };
        if let Err(e) = registry.begin_roll() {
            // The next open notes it.
            tracing::warn!("who is registered was not noted in the control file: {e}");
        }
        Ok(registry)
    }

    fn make(env: &Env, dir: &Path, control: Arc<Control>) -> Result<Self> {
        let path = dir.join(NAME);
        let io = |e| Error::own_file("create replica registry", &path, e);
        // What does not verify is made anew: replicas report again.
        clear_name(&*env.disk, &path, |bytes| bytes.starts_with(&MAGIC.to_le_bytes())).map_err(io)?;
        let file = env.disk.open(&path, OpenMode::CreateNew).map_err(io)?;
        let mut bytes = vec![0; FIRST_LEN];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        file.write_at(&bytes, 0).map_err(io)?;
        file.sync_data().map_err(io)?;
        env.disk.sync_dir(dir).map_err(io)?;
        let words = file.clone().map_words(FIRST_PARTS * slot::WORDS).map_err(io)?;
        Ok(Self::of(words, true, (file, path), control))
    }

    fn of(words: FileWords, mapped: bool, (file, path): (Arc<dyn DiskFile>, PathBuf), control: Arc<Control>) -> Self {
        Self { words: RwLock::new(words), mapped, file, path, control, here: Mutex::default() }
    }

    /// Opens the registry in the sidecar `dir`; `None` if there is none.
    pub fn open(env: &Env, dir: &Path, control: Arc<Control>) -> Result<Option<Self>> {
        let path = dir.join(NAME);
        let io = |e| Error::io("open replica registry", &path, e);
        let Some((file, words)) = found(env, &path, OpenMode::ReadWrite).map_err(io)? else { return Ok(None) };
        let words = file.clone().map_words(words).map_err(io)?;
        let sound = is_sound(&words, &path)?;
        Ok(sound.then(|| Self::of(words, true, (file, path), control)))
    }

    /// What the registry in the sidecar `dir` holds now, for who only reads; `None` if there is none.
    pub fn look(env: &Env, dir: &Path, control: Arc<Control>) -> Result<Option<Self>> {
        let path = dir.join(NAME);
        let io = |e| Error::io("read replica registry", &path, e);
        let Some((file, count)) = found(env, &path, OpenMode::Read).map_err(io)? else { return Ok(None) };
        let mut bytes = vec![0; count * 8];
        file.read_exact_at(&mut bytes, 0).map_err(io)?;
        let words = FileWords::seen(&words_of_text(&bytes));
        let sound = is_sound(&words, &path)?;
        Ok(sound.then(|| Self::of(words, false, (file, path), control)))
    }

    /// Whether the registry in the sidecar `dir` holds the replica `id`, for who only reads; an error if there is none that it
    /// could be put into. `None`: it cannot be looked at.
    pub fn lists(env: &Env, dir: &Path, id: &str) -> Option<Result<bool>> {
        let read = || {
            let Some((file, count)) = found(env, &dir.join(NAME), OpenMode::Read)? else { return Ok(None) };
            let mut bytes = vec![0; count * 8];
            file.read_exact_at(&mut bytes, 0)?;
            Ok::<_, std::io::Error>(Some(FileWords::seen(&words_of_text(&bytes))))
        };
        let words = read().ok()?.filter(|words| words.load(0) == MAGIC);
        Some(words.map_or_else(|| Err(none_in(dir)), |words| Ok(find(&words, id).is_some())))
    }

    /// Whether the registry at its path is still this one.
    pub fn is_current(&self, env: &Env) -> bool {
        match (env.disk.identity(&self.path), self.file.identity()) {
            (Ok(there), Ok(here)) => there == here,
            _ => false,
        }
    }

    /// The words of the file, also those that another process added.
    fn words(&self) -> FileWords {
        let words = self.words.read().clone();
        let Some(len) = self.file.len().ok().filter(|_| self.mapped) else { return words };
        let whole = words_of(len);
        if whole <= words.count() {
            return words;
        }
        match self.file.clone().map_words(whole) {
            Ok(grown) => {
                *self.words.write() = grown.clone();
                grown
            }
            // What could be mapped before is shown.
            Err(_) => words,
        }
    }

    fn not_written(&self, e: std::io::Error) -> Error {
        Error::io("write to the replica registry", &self.path, e)
    }

    /// The folder that it is in.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io("sync replica registry", &self.path, e))
    }

    /// Every registration, by id.
    pub fn registrations(&self) -> Vec<Registration> {
        let words = self.words();
        let mut all: Vec<Registration> = all_slots(&words).filter_map(|(_, slot)| slot.read()).collect();
        all.sort_by(|a, b| a.replica_id.cmp(&b.replica_id));
        all
    }

    /// Who else than the replica `id` is registered from a path of that name.
    pub fn others_at(&self, id: &str, path: &str) -> Vec<Registration> {
        let mut others = self.registrations();
        others.retain(|found| found.replica_id != id && found.labels.path.as_deref() == Some(path));
        others
    }

    /// Runs `change` while nobody else, in any process, takes or frees a slot, reserves, or lets go of the log.
    pub fn locked<T>(&self, change: impl FnOnce() -> T) -> Result<T> {
        let _here = self.here.lock();
        let _claiming = self.hold(0)?;
        Ok(change())
    }

    /// Takes the lock of a slot, or for 0 that of them all.
    fn hold(&self, at: usize) -> Result<FileLock> {
        self.hold_as(at, LockKind::Exclusive)
    }

    fn hold_as(&self, at: usize, kind: LockKind) -> Result<FileLock> {
        let byte = LOCK + at as u64;
        for _ in 0..10_000 {
            let held = FileLock::try_take(&self.file, byte..byte + 1, kind);
            if let Some(held) = held.map_err(|e| Error::io("lock", &self.path, e))? {
                return Ok(held);
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let what = format_args!("{} stays locked by another process", self.path.display());
        Err(Error::new(ErrorCode::Locked, what).with_path(&self.path))
    }
}

/// Why nobody is registered with a source whose log is in `dir`.
pub fn none_in(dir: &Path) -> Error {
    let what = format_args!(
        "the source has no registry of replicas in {}, or a damaged one: opening the source makes it anew",
        dir.display()
    );
    Error::new(ErrorCode::SourceUnavailable, what)
}

/// The file, and how many of its words count; `None` if there is none, or it is too short for one.
fn found(env: &Env, path: &Path, mode: OpenMode) -> std::io::Result<Option<(Arc<dyn DiskFile>, usize)>> {
    let file = match env.disk.open(path, mode) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let words = words_of(file.len()?);
    Ok((words >= FIRST_PARTS * slot::WORDS).then_some((file, words)))
}

/// The words of the whole parts of a file of so many bytes.
fn words_of(len: u64) -> usize {
    let parts = usize::try_from(len / (slot::WORDS as u64 * 8)).unwrap_or(usize::MAX);
    parts.min(LIMIT + 1) * slot::WORDS
}

fn all_slots(words: &FileWords) -> impl Iterator<Item = (usize, Slot<'_>)> {
    (1..words.count() / slot::WORDS).filter_map(|at| Some((at, Slot::of(words, at)?)))
}

fn find(words: &FileWords, id: &str) -> Option<usize> {
    all_slots(words).find(|(_, slot)| slot.is_of(id)).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        db::RetentionOptions,
        graph::{Epoch, LogIndex},
        io::sim::{SimDisk, SimHost},
        log::LogIdentity,
        replication::retention::Part,
    };

    fn env() -> Env {
        let env = Env { disk: Arc::new(SimDisk::new(1)), host: Arc::new(SimHost::new(1)) };
        env.disk.create_dir(Path::new("/log")).unwrap();
        env
    }

    pub(super) fn control(env: &Env) -> Arc<Control> {
        let dir = Path::new("/log");
        let found = Control::open(&*env.disk, dir, OpenMode::ReadWrite).unwrap();
        let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
        Arc::new(found.unwrap_or_else(|| Control::create(&*env.disk, dir, log, [3; 16], Epoch(1)).unwrap()))
    }

    fn at(id: &str, applied: u64) -> Progress {
        let (applied, durable) = (LogIndex(applied), LogIndex(applied));
        Progress {
            replica_id: id.to_owned(),
            labels: None,
            epoch: Epoch(1),
            applied,
            durable,
            reserved: None,
            reported_at_ms: 1,
        }
    }

    fn ids(registry: &Registry) -> Vec<String> {
        registry.registrations().into_iter().map(|found| found.replica_id).collect()
    }

    #[test]
    fn one_of_a_later_version_is_no_lost_one() {
        let (env, dir) = (env(), Path::new("/log"));
        drop(Registry::create(&env, dir, control(&env)).unwrap());
        let file = env.disk.open(&dir.join(NAME), OpenMode::ReadWrite).unwrap();
        file.write_at(b"KITEREP\x03", 0).unwrap();
        for opened in
            [Registry::create(&env, dir, control(&env)).map(drop), Registry::look(&env, dir, control(&env)).map(drop)]
        {
            assert_eq!(opened.unwrap_err().code(), ErrorCode::TooNew);
        }
        // Of before: who was registered reports again.
        file.write_at(b"KITEREP\x01", 0).unwrap();
        assert!(ids(&Registry::create(&env, dir, control(&env)).unwrap()).is_empty());
    }

    /// Two opens of the file are as two processes: what one adds to it, the other one finds.
    #[test]
    fn it_grows_up_to_its_limit_and_says_what_to_do_then() {
        let (env, dir) = (env(), Path::new("/log"));
        let writer = Registry::create(&env, dir, control(&env)).unwrap();
        let reporter = Registry::open(&env, dir, control(&env)).unwrap().unwrap();
        for n in 0..LIMIT {
            reporter.report(&at(&format!("replica {n}"), n as u64)).unwrap();
        }
        assert_eq!(writer.registrations().len(), LIMIT);
        assert_eq!(Registry::look(&env, dir, control(&env)).unwrap().unwrap().registrations().len(), LIMIT);
        let error = writer.report(&at("one more", 1)).unwrap_err();
        assert!(error.to_string().contains("4095") && error.to_string().contains("kitedb primary remove"), "{error}");
        writer.report(&at("replica 4000", 9999)).unwrap();
        assert!(reporter.remove("replica 200").unwrap());
        writer.report(&at("one more", 1)).unwrap();
        assert_eq!(Registry::open(&env, dir, control(&env)).unwrap().unwrap().registrations().len(), LIMIT);
    }

    /// One process remembers a slot; another one removes the replica, and a third one takes the slot.
    #[test]
    fn a_report_never_lands_in_the_slot_of_another_replica() {
        let (env, dir) = (env(), Path::new("/log"));
        let (a, b) = (
            Registry::create(&env, dir, control(&env)).unwrap(),
            Registry::open(&env, dir, control(&env)).unwrap().unwrap(),
        );
        a.report(&at("first", 1)).unwrap();
        assert!(b.remove("first").unwrap());
        b.report(&at("second", 2)).unwrap();
        a.report(&at("first", 3)).unwrap();
        let found: Vec<_> = b.registrations().into_iter().map(|found| (found.replica_id, found.applied.0)).collect();
        assert_eq!(found, [("first".to_owned(), 3), ("second".to_owned(), 2)]);
    }

    /// However often it is removed meanwhile, a report is taken in, and it is of that replica.
    #[test]
    fn a_report_is_taken_in_beside_removals() {
        let (env, dir) = (env(), Path::new("/log"));
        let reporter = Registry::create(&env, dir, control(&env)).unwrap();
        let remover = Registry::open(&env, dir, control(&env)).unwrap().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..2000).for_each(|n| reporter.report(&at("a", n)).unwrap()));
            scope.spawn(|| {
                for n in 0..2000 {
                    remover.remove("a").unwrap();
                    remover.report(&at("b", n)).unwrap();
                    remover.remove("b").unwrap();
                }
            });
        });
        reporter.report(&at("a", 3000)).unwrap();
        let found: Vec<_> =
            remover.registrations().into_iter().map(|found| (found.replica_id, found.applied.0)).collect();
        assert_eq!(found, [("a".to_owned(), 3000)]);
    }

    #[test]
    fn a_report_does_not_wait_for_the_log_to_be_cut() {
        let (env, dir) = (env(), Path::new("/log"));
        let (writer, reporter) = (
            Registry::create(&env, dir, control(&env)).unwrap(),
            Registry::open(&env, dir, control(&env)).unwrap().unwrap(),
        );
        reporter.report(&at("a", 1)).unwrap();
        writer.locked(|| reporter.report(&at("a", 2))).unwrap().unwrap();
        assert_eq!(writer.registrations()[0].applied, LogIndex(2));
    }

    #[test]
    fn a_node_that_led_and_follows_forgets_who_followed_it() {
        let (env, dir) = (env(), Path::new("/log"));
        let registry = Registry::create(&env, dir, control(&env)).unwrap();
        registry.take_part(Part::Leads).unwrap();
        registry.report(&at("a", 1)).unwrap();
        registry.take_part(Part::Leads).unwrap();
        assert_eq!(ids(&registry), ["a"]);
        registry.take_part(Part::Follows).unwrap();
        assert!(ids(&registry).is_empty());
        registry.report(&at("a", 2)).unwrap();
        registry.take_part(Part::Follows).unwrap();
        registry.take_part(Part::Leads).unwrap();
        assert_eq!(ids(&registry), ["a"]);
    }

    #[test]
    fn the_windows_of_the_writer_are_read_by_who_looks() {
        let (env, dir) = (env(), Path::new("/log"));
        let registry = Registry::create(&env, dir, control(&env)).unwrap();
        assert_eq!(registry.windows(), None);
        let windows = RetentionOptions { min_entries: 0, max_bytes: Some(7), ..Default::default() };
        registry.set_windows(&windows).unwrap();
        assert_eq!(Registry::look(&env, dir, control(&env)).unwrap().unwrap().windows(), Some(windows));
    }
}
