//! The control file of a log: created once, never renamed, replaced or truncated, and mapped by every process
//! concerned. It holds what must be seen at once across handles and processes: the fence word and the tails.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    io::{Disk, DiskFile, OpenMode, SharedWords},
    log::{LogIdentity, Salt},
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The name of the control file in a log's folder.
pub const CONTROL_NAME: &str = "control";
const MAGIC: u64 = u64::from_le_bytes(*b"KITECTL\x01");
const WORDS: usize = 512;

// Words 0 to 7 are written once and covered by the CRC in word 8.
const FENCE: usize = 16;
const PUBLISHED: usize = 17;
const DURABLE: usize = 18;
const FLAGS: usize = 19;
const WRITER_PID: usize = 20;

const SYNC_FAILED: u64 = 1;

/// The words: shared, or for a reader without permission to write, as they were when it looked.
#[derive(Debug)]
enum Words {
    Shared(SharedWords),
    Seen(Vec<AtomicU64>),
}

/// The mapped control file.
#[derive(Debug)]
pub struct Control {
    words: Words,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    identity: LogIdentity,
    salt: Salt,
}

impl Control {
    /// Creates the control file of a new log. Durable only once the folder is synced.
    pub fn create(disk: &dyn Disk, dir: &Path, identity: LogIdentity, salt: Salt, epoch: Epoch) -> Result<Self> {
        let path = dir.join(CONTROL_NAME);
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend_from_slice(&1u64.to_le_bytes());
        bytes.extend_from_slice(&identity.log_id);
        bytes.extend_from_slice(&identity.file_id);
        bytes.extend_from_slice(&salt);
        let crc = u64::from(crc32fast::hash(&bytes));
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.resize(FENCE * 8, 0);
        bytes.extend_from_slice(&epoch.0.to_le_bytes());
        bytes.resize(WORDS * 8, 0);
        let io = |e| Error::io("create log control file", &path, e);
        let file = disk.open(&path, OpenMode::CreateNew).map_err(io)?;
        file.write_at(&bytes, 0).map_err(io)?;
        file.sync_data().map_err(io)?;
        let words = Words::Shared(file.map_words(WORDS).map_err(io)?);
        Ok(Self { words, file, path, identity, salt })
    }

    /// Maps the control file of an existing log (for [`OpenMode::Read`], reads it once); `None` if it is not there.
    pub fn open(disk: &dyn Disk, dir: &Path, mode: OpenMode) -> Result<Option<Self>> {
        let path = dir.join(CONTROL_NAME);
        let io = |e| Error::io("open log control file", &path, e);
        let file = match disk.open(&path, mode) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io(e)),
        };
        let mut head = [0u8; WORDS * 8];
        file.read_exact_at(&mut head, 0).map_err(io)?;
        let (fixed, crc) = head[..72].split_at(64);
        if fixed[..8] != MAGIC.to_le_bytes() || crc != u64::from(crc32fast::hash(fixed)).to_le_bytes() {
            return Err(Error::corrupt(format_args!("the log control file {} does not verify", path.display())));
        }
        let part = |at: usize| -> [u8; 16] { std::array::from_fn(|i| fixed[at + i]) };
        let (identity, salt) = (LogIdentity { log_id: part(16), file_id: part(32) }, part(48));
        let words = match mode {
            OpenMode::Read => {
                let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| head[at * 8 + i]));
                Words::Seen((0..WORDS).map(|at| AtomicU64::new(word(at))).collect())
            }
            _ => Words::Shared(file.map_words(WORDS).map_err(io)?),
        };
        Ok(Some(Self { words, file, path, identity, salt }))
    }

    /// Which log this is, and of which database.
    pub fn identity(&self) -> LogIdentity {
        self.identity
    }

    /// What this log's sync marks carry.
    pub fn salt(&self) -> Salt {
        self.salt
    }

    #[inline]
    fn word(&self, at: usize) -> &AtomicU64 {
        match &self.words {
            Words::Shared(words) => &words[at],
            Words::Seen(words) => &words[at],
        }
    }

    /// The epoch that may write; a writer of an older one is fenced.
    #[inline]
    pub fn fence(&self) -> Epoch {
        Epoch(self.word(FENCE).load(Ordering::SeqCst))
    }

    /// Moves the fence to the epoch that this writer begins.
    pub fn set_fence(&self, epoch: Epoch) -> Result<()> {
        self.word(FENCE).store(epoch.0, Ordering::SeqCst);
        self.sync()
    }

    /// How far frames may be read while a writer lives.
    pub fn published(&self) -> LogIndex {
        LogIndex(self.word(PUBLISHED).load(Ordering::Acquire))
    }

    /// Announces that frames up to `index` may be read.
    #[inline]
    pub fn set_published(&self, index: LogIndex) {
        self.word(PUBLISHED).fetch_max(index.0, Ordering::Release);
    }

    /// Announces that frames up to `index` are durable here.
    pub fn set_durable(&self, index: LogIndex) {
        self.word(DURABLE).fetch_max(index.0, Ordering::Release);
    }

    /// Records a new session's writer and tail.
    pub fn begin_session(&self, process_id: u32, tail: LogIndex) {
        self.word(WRITER_PID).store(process_id.into(), Ordering::Release);
        self.word(PUBLISHED).store(tail.0, Ordering::Release);
        self.word(DURABLE).store(tail.0, Ordering::Release);
    }

    /// Whether a sync of this log failed and the log has not been repaired since.
    pub fn sync_failed(&self) -> bool {
        self.word(FLAGS).load(Ordering::Acquire) & SYNC_FAILED != 0
    }

    /// Remembers, beyond this process, that a sync failed (or that the log was repaired after one).
    pub fn set_sync_failed(&self, failed: bool) {
        if failed {
            self.word(FLAGS).fetch_or(SYNC_FAILED, Ordering::AcqRel);
        } else {
            self.word(FLAGS).fetch_and(!SYNC_FAILED, Ordering::AcqRel);
        }
    }

    /// Makes the words durable.
    pub fn sync(&self) -> Result<()> {
        // Words written through the mapping are dirty pages of the file like any other.
        self.file.sync_data().map_err(|e| Error::io("sync", &self.path, e))
    }

    /// Fails unless this is the log that the database names.
    pub fn expect(&self, identity: LogIdentity) -> Result<()> {
        if self.identity == identity {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::LogMismatch,
            format_args!(
                "the log in {} belongs to another database or copy",
                self.path.parent().unwrap_or(&self.path).display()
            ),
        ))
    }
}
