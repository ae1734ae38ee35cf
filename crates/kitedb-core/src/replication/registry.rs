//! What the replicas of a log have reported: a mapped file of fixed slots in its sidecar, so that a report is a few
//! stores, and reading all of them takes no lock. Nothing in it is synced: after a loss of power a slot may show an
//! earlier report, which only keeps more of the log.
//!
//! A slot is 64 words: state (0 free, 1 in use), the id's length and CRC-32, the id, and from word 48 on: sequence
//! (odd while a report is written), epoch, applied index, durable index, time of the report.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    io::{DiskFile, Env, LockKind, OpenMode, SharedWords},
};
use parking_lot::Mutex;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

const NAME: &str = "replicas";
const MAGIC: u64 = u64::from_le_bytes(*b"KITEREP\x01");
const SLOT: usize = 64;
const SLOTS: usize = 127;
const WORDS: usize = (SLOTS + 1) * SLOT;
const ID_HEAD: usize = 1;
const ID: usize = 2;
/// The longest id, in bytes.
pub const MAX_ID: usize = (SEQUENCE - ID) * 8;
const SEQUENCE: usize = 48;
const EPOCH: usize = 49;
const APPLIED: usize = 50;
const DURABLE: usize = 51;
const REPORTED: usize = 52;
/// The byte whose lock is held while a slot is taken or freed.
const LOCK: u64 = 1 << 62;

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Whose it is.
    pub replica_id: String,
    /// The epoch of the last applied frame.
    pub epoch: Epoch,
    /// The last applied frame.
    pub applied: LogIndex,
    /// The last frame that is durable there.
    pub durable: LogIndex,
    /// When it came, ms since 1970.
    pub reported_at_ms: u64,
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Registry {
    words: SharedWords,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    claiming: Mutex<()>,
}

impl Registry {
    /// Opens the registry in the sidecar `dir`, making it if need be. Only the log's writer makes it.
    pub fn create(env: &Env, dir: &Path) -> Result<Self> {
        if let Some(found) = Self::open(env, dir)? {
            return Ok(found);
        }
        let path = dir.join(NAME);
        let io = |e| Error::io("create replica registry", &path, e);
        // What does not verify is made anew: replicas report again.
        let _ = env.disk.remove(&path);
        let file = env.disk.open(&path, OpenMode::CreateNew).map_err(io)?;
        let mut bytes = vec![0; WORDS * 8];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        file.write_at(&bytes, 0).map_err(io)?;
        let words = file.map_words(WORDS).map_err(io)?;
        Ok(Self { words, file, path, claiming: Mutex::new(()) })
    }

    /// Opens the registry in the sidecar `dir`; `None` if there is none.
    pub fn open(env: &Env, dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(NAME);
        let io = |e| Error::io("open replica registry", &path, e);
        let file = match env.disk.open(&path, OpenMode::ReadWrite) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(io)?,
        };
        if file.len().map_err(io)? < WORDS as u64 * 8 {
            return Ok(None);
        }
        let words = file.map_words(WORDS).map_err(io)?;
        if words[0].load(Ordering::Acquire) != MAGIC {
            return Ok(None);
        }
        Ok(Some(Self { words, file, path, claiming: Mutex::new(()) }))
    }

    /// What the registry in the sidecar `dir` holds now, for who only reads; `None` if there is none.
    pub fn look(env: &Env, dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(NAME);
        let io = |e| Error::io("read replica registry", &path, e);
        let file = match env.disk.open(&path, OpenMode::Read) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(io)?,
        };
        if file.len().map_err(io)? < WORDS as u64 * 8 {
            return Ok(None);
        }
        let mut bytes = vec![0; WORDS * 8];
        file.read_exact_at(&mut bytes, 0).map_err(io)?;
        let words = SharedWords::zeroed(WORDS);
        for (word, bytes) in words.iter().zip(bytes.as_chunks().0) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        let sound = words[0].load(Ordering::Relaxed) == MAGIC;
        Ok(sound.then(|| Self { words, file, path, claiming: Mutex::new(()) }))
    }

    /// Whether the registry at its path is still this one.
    pub fn is_current(&self, env: &Env) -> bool {
        match (env.disk.identity(&self.path), self.file.identity()) {
            (Ok(there), Ok(here)) => there == here,
            _ => false,
        }
    }

    /// Takes a report in, in place of the last one of the same replica.
    pub fn report(&self, progress: &Progress) -> Result<()> {
        let slot = self.slot_of(&progress.replica_id)?;
        let _one_at_a_time = self.claiming.lock();
        self.write(slot, progress);
        Ok(())
    }

    /// As [`Registry::report`], and whoever was letting go of the log by earlier reports has ended: what is there
    /// afterwards is kept.
    pub fn reserve(&self, progress: &Progress) -> Result<()> {
        let slot = self.slot_of(&progress.replica_id)?;
        self.locked(|| self.write(slot, progress))
    }

    fn slot_of(&self, id: &str) -> Result<usize> {
        if id.is_empty() || id.len() > MAX_ID {
            let what = format_args!("a replica id has 1 to {MAX_ID} bytes; this one has {}", id.len());
            return Err(Error::invalid(what));
        }
        match self.find(id) {
            Some(slot) => Ok(slot),
            None => self.claim(id),
        }
    }

    fn write(&self, slot: usize, progress: &Progress) {
        let word = |at: usize| &self.words[slot * SLOT + at];
        word(SEQUENCE).fetch_or(1, Ordering::SeqCst);
        word(EPOCH).store(progress.epoch.0, Ordering::SeqCst);
        word(APPLIED).store(progress.applied.0, Ordering::SeqCst);
        word(DURABLE).store(progress.durable.0, Ordering::SeqCst);
        word(REPORTED).store(progress.reported_at_ms, Ordering::SeqCst);
        word(SEQUENCE).fetch_add(1, Ordering::SeqCst);
    }

    /// Forgets a replica: the log is no longer kept for it. Returns whether it was known.
    pub fn remove(&self, id: &str) -> Result<bool> {
        let Some(slot) = self.find(id) else { return Ok(false) };
        self.locked(|| self.words[slot * SLOT].store(0, Ordering::SeqCst))?;
        Ok(true)
    }

    /// Every report, by id.
    pub fn reports(&self) -> Vec<Progress> {
        let mut all: Vec<Progress> = (1..=SLOTS).filter_map(|slot| self.read(slot)).collect();
        all.sort_by(|a, b| a.replica_id.cmp(&b.replica_id));
        all
    }

    fn read(&self, slot: usize) -> Option<Progress> {
        let replica_id = self.id(slot)?;
        let word = |at: usize| self.words[slot * SLOT + at].load(Ordering::SeqCst);
        let read = || (word(EPOCH), word(APPLIED), word(DURABLE), word(REPORTED));
        let mut found = read();
        // A reporter that died in the midst leaves an odd sequence for ever: then any values it left will do.
        for _ in 0..1000 {
            let before = word(SEQUENCE);
            found = read();
            if before % 2 == 0 && word(SEQUENCE) == before {
                break;
            }
            std::hint::spin_loop();
        }
        let (epoch, applied, durable, reported_at_ms) = found;
        let (applied, durable) = (LogIndex(applied), LogIndex(durable.min(applied)));
        Some(Progress { replica_id, epoch: Epoch(epoch), applied, durable, reported_at_ms })
    }

    fn find(&self, id: &str) -> Option<usize> {
        (1..=SLOTS).find(|slot| self.id(*slot).as_deref() == Some(id))
    }

    fn id(&self, slot: usize) -> Option<String> {
        let word = |at: usize| self.words[slot * SLOT + at].load(Ordering::SeqCst);
        if word(0) != 1 {
            return None;
        }
        let (len, crc) = ((word(ID_HEAD) & 0xFFFF_FFFF) as usize, (word(ID_HEAD) >> 32) as u32);
        if len > MAX_ID {
            return None;
        }
        let mut id: Vec<u8> = (ID..ID + len.div_ceil(8)).flat_map(|at| word(at).to_le_bytes()).collect();
        id.truncate(len);
        (crc32fast::hash(&id) == crc).then(|| String::from_utf8(id).ok()).flatten()
    }

    fn claim(&self, id: &str) -> Result<usize> {
        self.locked(|| {
            if let Some(slot) = self.find(id) {
                return Ok(slot);
            }
            // A slot whose id does not verify was torn by a loss of power.
            let free = (1..=SLOTS).find(|slot| self.id(*slot).is_none()).ok_or_else(|| {
                let what = format_args!("{SLOTS} replicas have reported already: remove those that are gone");
                Error::new(ErrorCode::InvalidArgument, what)
            })?;
            let word = |at: usize| &self.words[free * SLOT + at];
            (0..SLOT).for_each(|at| word(at).store(0, Ordering::SeqCst));
            for (at, bytes) in id.as_bytes().chunks(8).enumerate() {
                let mut part = [0; 8];
                part[..bytes.len()].copy_from_slice(bytes);
                word(ID + at).store(u64::from_le_bytes(part), Ordering::SeqCst);
            }
            let head = id.len() as u64 | u64::from(crc32fast::hash(id.as_bytes())) << 32;
            word(ID_HEAD).store(head, Ordering::SeqCst);
            word(0).store(1, Ordering::SeqCst);
            Ok(free)
        })?
    }

    /// Runs `change` while nobody else, in any process, takes or frees a slot, reserves, or lets go of the log.
    pub fn locked<T>(&self, change: impl FnOnce() -> T) -> Result<T> {
        let io = |e| Error::io("lock", &self.path, e);
        let _in_this_process = self.claiming.lock();
        for _ in 0..10_000 {
            if self.file.try_lock(LOCK..LOCK + 1, LockKind::Exclusive).map_err(io)? {
                let changed = change();
                self.file.unlock(LOCK..LOCK + 1).map_err(io)?;
                return Ok(changed);
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Err(Error::new(ErrorCode::Locked, format_args!("{} stays locked by another process", self.path.display())))
    }
}
