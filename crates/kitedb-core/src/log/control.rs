//! The control file of a log: created once, from then on never renamed, replaced or truncated, and mapped by every process
//! concerned. It holds what must be seen at once across handles and processes: the fence word and the tails.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    io::{
        Disk, DiskFile, FileLock, Host, LockKind, OpenMode, SharedWords, begin_draft, clear_name, in_the_way, is_known,
    },
    log::{Fence, LogIdentity, Salt, WriterId, fence, names_in_damage},
};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The name of the control file in a log's folder.
pub const CONTROL_NAME: &str = "control";
/// Its name while it is being made.
pub const CONTROL_DRAFT: &str = "control.creating";
const MAGIC: u64 = u64::from_le_bytes(*b"KITECTL\x01");
const WORDS: usize = 512;

// Words 0 to 7 are written once and covered by the CRC in word 8. Words 16 and 36 to 47 are the fence's: see `fence`.
// Words 12, 13 and 25 are for sleeping: see `events`. Words 21 to 24, 33 and 35, and bit 1 of word 19, were, before it had two copies.
pub(super) const PUBLISHED: usize = 17;
const DURABLE: usize = 18;
const FLAGS: usize = 19;
const WRITER_PID: usize = 20;
pub(super) const CHECKPOINT_ASKED: usize = 26;
const CHECKPOINT_DONE: usize = 27;
const ERROR_HEAD: usize = 28;
const CURRENT_LOG: usize = 29;
const PROMOTION: usize = 31;
const SESSION: usize = 34;
const ERROR_TEXT: usize = 64;

const SYNC_FAILED: u64 = 1;
const NEEDS_RESEED: u64 = 4;
const REGISTERED: u64 = 8;
const UNREGISTERED: u64 = 16;
const SYNCING: u64 = 32;
const FENCE_ASSUMED: u64 = 64;

/// How long who cannot be woken sleeps before it looks again.
const LOOK: Duration = Duration::from_millis(10);

/// The byte of the control file whose lock is held by the one writer of the log.
const WRITER_LOCK: u64 = 1 << 62;
/// The byte whose lock is held while the fence is moved.
const FENCE_LOCK: u64 = WRITER_LOCK + 1;
/// The byte whose lock is held by whoever asks the writer for something and waits for the answer.
const ASK_LOCK: u64 = WRITER_LOCK + 2;

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

/// Whether a file that is one, or is to be one, begins with these bytes. It need not verify.
fn is_control(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC.to_le_bytes()) && bytes.len() <= WORDS * 8
}

/// Whether the file at `path` is a control file whose making was cut short.
pub(super) fn is_draft(disk: &dyn Disk, path: &Path) -> std::io::Result<bool> {
    is_known(disk, path, is_control).or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(false) } else { Err(e) })
}

/// Whether the control file in `dir`, which does not verify, names the database `file_id` all the same.
pub(super) fn names(disk: &dyn Disk, dir: &Path, file_id: [u8; 16]) -> std::io::Result<bool> {
    is_known(disk, &dir.join(CONTROL_NAME), |bytes| names_in_damage(bytes, &MAGIC.to_le_bytes(), 32, file_id))
}

impl Control {
    /// Creates the control file of a new log, where none is. Durable only once the folder is synced.
    pub fn create(disk: &dyn Disk, dir: &Path, identity: LogIdentity, salt: Salt, epoch: Epoch) -> Result<Self> {
        Self::create_with(disk, dir, identity, salt, &Fence::new(epoch))
    }

    /// As [`Control::create`], with that fence.
    pub fn create_with(disk: &dyn Disk, dir: &Path, identity: LogIdentity, salt: Salt, fence: &Fence) -> Result<Self> {
        let path = dir.join(CONTROL_NAME);
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend_from_slice(&1u64.to_le_bytes());
        bytes.extend_from_slice(&identity.log_id);
        bytes.extend_from_slice(&identity.file_id);
        bytes.extend_from_slice(&salt);
        let crc = u64::from(crc32fast::hash(&bytes));
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.resize(WORDS * 8, 0);
        for (at, word) in fence::words_of(fence) {
            bytes[at * 8..][..8].copy_from_slice(&word.to_le_bytes());
        }
        let io = |e| Error::io("create log control file", &path, e);
        // Under another name until it is whole: one whose making was cut short would be there for good.
        let draft = dir.join(CONTROL_DRAFT);
        let file = begin_draft(disk, &draft, is_control).map_err(io)?;
        let made = file.write_at(&bytes, 0).and_then(|()| file.sync_data()).and_then(|()| {
            disk.rename_new(&draft, &path).map_err(|e| match e.kind() {
                ErrorKind::AlreadyExists => in_the_way(&path),
                _ => e,
            })
        });
        if let Err(e) = made {
            // Best effort: what matters is the error that led here.
            let _ = disk.remove(&draft);
            return Err(io(e));
        }
        let words = Words::Shared(file.map_words(WORDS).map_err(io)?);
        let control = Self { words, file, path, identity, salt };
        control.set_current_log(identity.log_id);
        Ok(control)
    }

    /// Makes the name of the control file in `dir` free. What does not even begin as one is put aside.
    pub fn clear(disk: &dyn Disk, dir: &Path) -> Result<()> {
        let path = dir.join(CONTROL_NAME);
        clear_name(disk, &path, is_control).map(drop).map_err(|e| Error::io("remove log control file", &path, e))
    }

    /// Maps the control file of an existing log (for [`OpenMode::Read`], reads it once); `None` if it is not there.
    pub fn open(disk: &dyn Disk, dir: &Path, mode: OpenMode) -> Result<Option<Self>> {
        let path = dir.join(CONTROL_NAME);
        let io = |e| Error::io("open log control file", &path, e);
        let file = match disk.open(&path, mode) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io(e)),
        };
        let mut head = [0u8; WORDS * 8];
        let short = match file.read_exact_at(&mut head, 0) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => true,
            read => read.map(|()| false).map_err(io)?,
        };
        let (fixed, crc) = head[..72].split_at(64);
        if short || fixed[..8] != MAGIC.to_le_bytes() || crc != u64::from(crc32fast::hash(fixed)).to_le_bytes() {
            return Err(Error::corrupt(format_args!(
                "the log control file {} does not verify: a repair makes it anew (`kitedb repair`, Database::repair)",
                path.display()
            )));
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

    /// The log whose segments count now: a database that is reseeded begins another one beside the same control file.
    pub fn current_log(&self) -> LogIdentity {
        LogIdentity { log_id: self.load_id(CURRENT_LOG), ..self.identity }
    }

    /// Says whose segments count from now on.
    pub fn set_current_log(&self, log_id: [u8; 16]) {
        self.store_id(CURRENT_LOG, log_id);
    }

    /// What this log's sync marks carry.
    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// The file itself.
    pub(super) fn file(&self) -> &dyn DiskFile {
        &*self.file
    }

    /// The folder of the log.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Of which log, and of which database file, it was made.
    pub fn identity(&self) -> LogIdentity {
        self.identity
    }

    #[inline]
    pub(super) fn word(&self, at: usize) -> &AtomicU64 {
        match &self.words {
            Words::Shared(words) => &words[at],
            Words::Seen(words) => &words[at],
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if the words are not mapped, because this may not write to them.
    pub fn require_mapped(&self) -> Result<()> {
        match &self.words {
            Words::Shared(_) => Ok(()),
            Words::Seen(_) => {
                let denied = std::io::Error::from(ErrorKind::PermissionDenied);
                Err(Error::io("write to the log control file", &self.path, denied))
            }
        }
    }

    /// Writes bytes from word `at` on to the file.
    pub(super) fn write_words(&self, at: usize, bytes: &[u8]) -> Result<()> {
        self.file.write_at(bytes, at as u64 * 8).map_err(|e| Error::io("write log control file", &self.path, e))
    }

    /// Wakes who sleeps on a word, in every process.
    pub(super) fn wake_word(&self, at: usize) {
        if let Words::Shared(words) = &self.words {
            words.wake(at);
        }
    }

    /// Sleeps until a word is woken or `timeout` has passed; not at all if it does not hold `seen`. May return early.
    pub(super) fn wait_word(&self, at: usize, seen: u64, timeout: Option<Duration>) {
        match &self.words {
            Words::Shared(words) => words.wait(at, seen, timeout),
            Words::Seen(_) => std::thread::sleep(timeout.unwrap_or(LOOK).min(LOOK)),
        }
    }

    /// Whether the control file at its path is still this one.
    pub fn is_current(&self, disk: &dyn Disk) -> bool {
        match (disk.identity(&self.path), self.file.identity()) {
            (Ok(there), Ok(here)) => there == here,
            _ => false,
        }
    }

    /// The promotion that the replica whose log this is has begun; zeros: none.
    pub fn promotion(&self) -> WriterId {
        self.load_id(PROMOTION)
    }

    /// Remembers the promotion that this replica begins, so that it can complete it after a crash.
    pub fn set_promotion(&self, id: WriterId) {
        self.store_id(PROMOTION, id);
    }

    pub(super) fn store_id(&self, at: usize, id: [u8; 16]) {
        let id = u128::from_le_bytes(id);
        self.word(at).store(id as u64, Ordering::SeqCst);
        self.word(at + 1).store((id >> 64) as u64, Ordering::SeqCst);
    }

    pub(super) fn load_id(&self, at: usize) -> [u8; 16] {
        let (low, high) = (self.word(at).load(Ordering::SeqCst), self.word(at + 1).load(Ordering::SeqCst));
        (u128::from(low) | u128::from(high) << 64).to_le_bytes()
    }

    /// Takes the lock of the log's one writer, until [`Control::unlock_writer`]: `false` if another open of the control
    /// file holds it.
    pub fn lock_writer(&self) -> Result<bool> {
        let byte = WRITER_LOCK..WRITER_LOCK + 1;
        self.file.try_lock(byte, LockKind::Exclusive).map_err(|e| Error::io("lock", &self.path, e))
    }

    /// As [`Control::lock_writer`], until the guard is dropped: for who changes something beside the log, and does not
    /// write it.
    pub fn lock_out_writers(&self) -> Result<Option<FileLock>> {
        self.try_lock(WRITER_LOCK, LockKind::Exclusive)
    }

    /// Gives the writer's lock back.
    pub fn unlock_writer(&self) {
        let _ = self.file.unlock(WRITER_LOCK..WRITER_LOCK + 1);
    }

    /// Whether another open of the control file holds the writer's lock.
    pub fn writer_lives(&self) -> Result<bool> {
        Ok(self.try_lock(WRITER_LOCK, LockKind::Shared)?.is_none())
    }

    /// The process that took the writer's lock last.
    pub fn writer_pid(&self) -> u64 {
        self.word(WRITER_PID).load(Ordering::Acquire)
    }

    /// Takes the lock under which the fence is moved; `None` if someone else holds it.
    pub fn lock_fence(&self) -> Result<Option<FileLock>> {
        self.try_lock(FENCE_LOCK, LockKind::Exclusive)
    }

    fn try_lock(&self, byte: u64, kind: LockKind) -> Result<Option<FileLock>> {
        FileLock::try_take(&self.file, byte..byte + 1, kind).map_err(|e| Error::io("lock", &self.path, e))
    }

    /// Where the words are not mapped, because this may not write to them: reads them anew, as far as that goes.
    pub(super) fn look_again(&self) {
        let Words::Seen(words) = &self.words else { return };
        let mut bytes = [0; WORDS * 8];
        if self.file.read_exact_at(&mut bytes, 0).is_ok() {
            for (word, bytes) in words.iter().zip(bytes.as_chunks::<8>().0) {
                word.store(u64::from_le_bytes(*bytes), Ordering::Release);
            }
        }
    }

    /// How far frames may be read while a writer lives.
    pub fn published(&self) -> LogIndex {
        self.look_again();
        LogIndex(self.word(PUBLISHED).load(Ordering::SeqCst))
    }

    /// How far frames are durable here.
    pub fn durable(&self) -> LogIndex {
        LogIndex(self.word(DURABLE).load(Ordering::Acquire))
    }

    /// Announces that frames up to `index` are durable here.
    pub fn set_durable(&self, index: LogIndex) {
        self.word(DURABLE).fetch_max(index.0, Ordering::Release);
    }

    /// Takes back, durably, what is said to be durable beyond `index`: before frames there are cut off.
    pub fn lower_durable(&self, index: LogIndex) -> Result<()> {
        if self.durable() <= index {
            return Ok(());
        }
        self.word(DURABLE).store(index.0, Ordering::Release);
        self.sync()
    }

    /// Records a new session's writer and tail.
    pub fn begin_session(&self, host: &dyn Host, tail: LogIndex) {
        self.begin_session_in_damage(host, tail);
        self.word(DURABLE).store(tail.0, Ordering::Release);
    }

    /// As [`Control::begin_session`]; what its log had durable stays said: not all of it is there.
    pub fn begin_session_in_damage(&self, host: &dyn Host, tail: LogIndex) {
        self.word(WRITER_PID).store(host.process_id().into(), Ordering::Release);
        let [session, _] = bytemuck::must_cast::<[u8; 16], [u64; 2]>(host.random());
        self.word(SESSION).store(session, Ordering::Release);
        self.word(PUBLISHED).store(tail.0, Ordering::Release);
        self.wake_followers();
    }

    /// Names the session of the log's writer: with another one, the end of the log may be another one as well.
    pub fn session(&self) -> u64 {
        self.word(SESSION).load(Ordering::Acquire)
    }

    /// Whether a sync of this log failed and the log has not been repaired since.
    pub fn sync_failed(&self) -> bool {
        self.flag(SYNC_FAILED)
    }

    /// Whether a sync of this log failed, or began and did not come to its end: of use where nobody writes the log.
    pub fn sync_unknown(&self) -> bool {
        self.flag(SYNC_FAILED | SYNCING)
    }

    /// Remembers, beyond this process, that a sync failed (or that the log was repaired after one).
    pub fn set_sync_failed(&self, failed: bool) {
        if failed {
            self.set_flag(SYNC_FAILED, true);
        } else {
            self.set_flag(SYNC_FAILED | SYNCING, false);
        }
    }

    /// Remembers, beyond this process, that a sync of this log is under way (or that it succeeded).
    pub fn set_syncing(&self, under_way: bool) {
        self.set_flag(SYNCING, under_way);
    }

    /// Whether nobody knows who moved the fence, or whether it was moved at all: what knew it is lost, and this log was
    /// repaired as one that another node may have taken over from.
    pub fn fence_is_assumed(&self) -> bool {
        self.flag(FENCE_ASSUMED)
    }

    /// Remembers, beyond this process, whether the fence is assumed.
    pub(super) fn set_fence_assumed(&self, assumed: bool) {
        if self.flag(FENCE_ASSUMED) != assumed {
            self.set_flag(FENCE_ASSUMED, assumed);
        }
    }

    /// Whether the replica whose log this is must be reseeded.
    pub fn needs_reseed(&self) -> bool {
        self.flag(NEEDS_RESEED)
    }

    /// Remembers, beyond this process, whether this replica must be reseeded.
    pub fn set_needs_reseed(&self, needed: bool) {
        self.set_flag(NEEDS_RESEED, needed);
    }

    /// Whether the source of the replica whose log this is keeps its log for it, as far as the last report tells.
    pub fn is_registered(&self) -> bool {
        self.flag(REGISTERED)
    }

    /// Whether this replica pulls although it could not register.
    pub fn is_unregistered(&self) -> bool {
        self.flag(UNREGISTERED)
    }

    /// Remembers, beyond this process, whether this replica is registered, and whether it pulls though it could not be.
    pub fn set_registered(&self, registered: bool, failed: bool) {
        if self.flag(REGISTERED) != registered {
            self.set_flag(REGISTERED, registered);
        }
        if self.flag(UNREGISTERED) != failed {
            self.set_flag(UNREGISTERED, failed);
        }
    }

    /// Takes the lock of who asks the log's writer for something; `None` if someone else holds it.
    pub fn lock_asking(&self) -> Result<Option<FileLock>> {
        self.try_lock(ASK_LOCK, LockKind::Exclusive)
    }

    fn flag(&self, flag: u64) -> bool {
        self.word(FLAGS).load(Ordering::Acquire) & flag != 0
    }

    fn set_flag(&self, flag: u64, on: bool) {
        if on {
            self.word(FLAGS).fetch_or(flag, Ordering::AcqRel);
        } else {
            self.word(FLAGS).fetch_and(!flag, Ordering::AcqRel);
        }
    }

    /// What the replica whose log this is met last, if that was a failure.
    pub fn last_error(&self) -> Option<String> {
        let head = self.word(ERROR_HEAD).load(Ordering::Acquire);
        let (len, crc) = ((head & 0xFFFF_FFFF) as usize, (head >> 32) as u32);
        let words = (ERROR_TEXT..WORDS).take(len.div_ceil(8));
        let mut text: Vec<u8> = words.flat_map(|at| self.word(at).load(Ordering::Acquire).to_le_bytes()).collect();
        text.truncate(len);
        // A text that is being written, or was torn, does not verify.
        if len == 0 || crc32fast::hash(&text) != crc {
            return None;
        }
        String::from_utf8(text).ok()
    }

    /// Remembers, beyond this process, what a replica met last. Long texts are cut.
    pub fn set_last_error(&self, text: Option<&str>) {
        let Some(text) = text else { return self.word(ERROR_HEAD).store(0, Ordering::Release) };
        let text = &text[..text.floor_char_boundary((WORDS - ERROR_TEXT) * 8)];
        for (at, bytes) in text.as_bytes().chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            self.word(ERROR_TEXT + at).store(u64::from_le_bytes(word), Ordering::Release);
        }
        let head = text.len() as u64 | u64::from(crc32fast::hash(text.as_bytes())) << 32;
        self.word(ERROR_HEAD).store(head, Ordering::Release);
    }

    /// How many checkpoints have been asked for.
    pub fn checkpoints_asked(&self) -> u64 {
        self.word(CHECKPOINT_ASKED).load(Ordering::SeqCst)
    }

    /// How many of the checkpoints asked for have been made.
    pub fn checkpoints_done(&self) -> u64 {
        self.word(CHECKPOINT_DONE).load(Ordering::SeqCst)
    }

    /// Says that the first `asked` checkpoints asked for have been made.
    pub fn set_checkpoints_done(&self, asked: u64) {
        self.word(CHECKPOINT_DONE).fetch_max(asked, Ordering::SeqCst);
    }

    /// Makes the words durable.
    pub fn sync(&self) -> Result<()> {
        // Words written through the mapping are dirty pages of the file like any other.
        self.file.sync_data().map_err(|e| Error::io("sync", &self.path, e))
    }

    /// Fails unless this is a log of the database `file_id`.
    pub fn expect(&self, file_id: [u8; 16]) -> Result<()> {
        if self.identity.file_id == file_id {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::LogMismatch,
            format_args!(
                "the log in {} belongs to another database or copy: give another place, or move that folder away",
                self.path.parent().unwrap_or(&self.path).display()
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::SimDisk;

    /// As a replica sees its source's log on a disk that it may not write to.
    #[test]
    fn who_may_only_read_sees_what_changes() {
        let (disk, dir) = (SimDisk::new(1), Path::new("/log"));
        disk.create_dir(dir).unwrap();
        let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
        let writer = Control::create(&disk, dir, log, [3; 16], Epoch(1)).unwrap();
        let reader = Control::open(&disk, dir, OpenMode::Read).unwrap().unwrap();
        writer.set_current_log([4; 16]);
        let fence = Fence::new(Epoch(1)).raised([5; 16]).completed(LogIndex(7));
        writer.put_fence(&fence).unwrap().durable().unwrap();
        writer.set_published(LogIndex(7));
        assert_eq!(reader.published(), LogIndex(7));
        assert_eq!(reader.current_log().log_id, [4; 16]);
        assert_eq!(reader.fence().unwrap(), fence);
        assert_eq!(reader.put_fence(&fence).unwrap_err().code(), ErrorCode::Io);
    }
}
