//! The control file of a log: created once, from then on never renamed, replaced or truncated, and mapped by every process
//! concerned. Only where it is lost another one is made in its place, and who maps the old one is told: see
//! [`Replaced`](super::Replaced). It holds what must be seen at once across handles and processes: the fence word and the tails.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    io::{Disk, DiskFile, FileLock, FileWords, Host, LockKind, OpenMode, is_known, words_of_text},
    log::{
        LogIdentity, Salt, WriterId,
        announced::{DURABLE, Owed, PUBLISHED},
        names_in_damage,
    },
    shell::command_by_log,
};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The name of the control file in a log's folder.
pub const CONTROL_NAME: &str = "control";
/// Its name while it is being made.
pub(super) const CONTROL_DRAFT: &str = "control.creating";
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"KITECTL\x01");
/// The number of its form, in word 1.
pub(super) const NUMBER: u64 = 2;
pub(super) const WORDS: usize = 512;

// Words 0 to 7 are written once and covered by the CRC in word 8. Words 16 and 36 to 47 are the fence's: see `fence`.
// Words 12, 13 and 25 are for sleeping: see `events`. Word 15 is an epoch: see `seen`. Words 17 and 18 are announcements: see `announced`.
// Words 21 to 24, 33 and 35, and bit 1 of word 19, were, before it had two copies.
/// Odd: see [`Control::is_unsynced`].
const UNSYNCED: usize = 14;
pub(super) const FLAGS: usize = 19;
const WRITER_PID: usize = 20;
pub(super) const CHECKPOINT_ASKED: usize = 26;
const CHECKPOINT_DONE: usize = 27;
const ERROR_HEAD: usize = 28;
pub(super) const CURRENT_LOG: usize = 29;
const PROMOTION: usize = 31;
const SESSION: usize = 34;
const ERROR_TEXT: usize = 64;

pub(super) const SYNC_FAILED: u64 = 1;
const NEEDS_RESEED: u64 = 4;
pub(super) const REGISTERED: u64 = 8;
const UNREGISTERED: u64 = 16;
const SYNCING: u64 = 32;
pub(super) const FENCE_ASSUMED: u64 = 64;
const DENIED: u64 = 128;
const TOO_NEW: u64 = 512;

/// How long who cannot be woken sleeps before it looks again.
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// The byte of the control file whose lock is held by the one writer of the log.
const WRITER_LOCK: u64 = 1 << 62;
/// The byte whose lock is held while the fence is moved.
const FENCE_LOCK: u64 = WRITER_LOCK + 1;
/// The byte whose lock is held by whoever asks the writer for something and waits for the answer.
const ASK_LOCK: u64 = WRITER_LOCK + 2;
/// The byte whose lock is held while the checkpoints asked for are counted up, where stores are writes.
pub(super) const COUNT_LOCK: u64 = WRITER_LOCK + 3;

/// The mapped control file.
#[derive(Debug)]
pub struct Control {
    pub(super) words: FileWords,
    /// Whether the words are shared, and not, for a reader without permission to write, as they were when it looked.
    pub(super) shared: bool,
    /// What is to be announced, and could not be stored yet.
    pub(super) owed: Owed,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    identity: LogIdentity,
    salt: Salt,
}

fn other_number(path: &Path, number: u64) -> Error {
    let path = path.display();
    match number > NUMBER {
        true => Error::new(
            ErrorCode::TooNew,
            format_args!(
                "the log control file {path} is of form {number}, and this build reads form {NUMBER}: a newer KiteDB wrote it. \
                 Nothing is damaged; use a newer KiteDB"
            ),
        ),
        false => Error::new(
            ErrorCode::OldFormat,
            format_args!(
                "the log control file {path} is of form {number}, which no released version wrote, and this one reads form \
                 {NUMBER}: import the source data again, into another file, and move this log away"
            ),
        ),
    }
}

fn words_in(bytes: &[u8; WORDS * 8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

/// Whether a file that is one, or is to be one, begins with these bytes. It need not verify.
pub(super) fn is_control(bytes: &[u8]) -> bool {
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

/// Whether the control file in `dir`, which does not verify, names another database than `file_id` as far as it can be read.
pub fn names_another(disk: &dyn Disk, dir: &Path, file_id: [u8; 16]) -> bool {
    let is_one = is_known(disk, &dir.join(CONTROL_NAME), |bytes| bytes.len() >= 72 && is_control(bytes));
    is_one.is_ok_and(|is_one| is_one) && names(disk, dir, file_id).is_ok_and(|names_it| !names_it)
}

impl Control {
    /// The control file that was just made.
    pub(super) fn made(
        words: FileWords,
        file: Arc<dyn DiskFile>,
        path: PathBuf,
        identity: LogIdentity,
        salt: Salt,
    ) -> Self {
        Self { words, shared: true, owed: Owed::default(), file, path, identity, salt }
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
                "the log control file {} does not verify: a repair makes it anew ({}, Database::repair)",
                path.display(),
                command_by_log("repair", dir, "")
            )));
        }
        let number = u64::from_le_bytes(std::array::from_fn(|i| fixed[8 + i]));
        if number != NUMBER {
            return Err(other_number(&path, number));
        }
        let part = |at: usize| -> [u8; 16] { std::array::from_fn(|i| fixed[at + i]) };
        let (identity, salt) = (LogIdentity { log_id: part(16), file_id: part(32) }, part(48));
        let shared = mode != OpenMode::Read;
        let words = match shared {
            true => file.clone().map_words(WORDS).map_err(io)?,
            false => FileWords::seen(&words_in(&head)),
        };
        Ok(Some(Self { words, shared, owed: Owed::default(), file, path, identity, salt }))
    }

    /// The log whose segments count now: a database that is reseeded begins another one beside the same control file.
    pub fn current_log(&self) -> LogIdentity {
        LogIdentity { log_id: self.load_id(CURRENT_LOG), ..self.identity }
    }

    /// Says whose segments count from now on.
    pub fn set_current_log(&self, log_id: [u8; 16]) -> Result<()> {
        self.store_id(CURRENT_LOG, log_id)
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
    pub(super) fn load(&self, at: usize) -> u64 {
        self.words.load(at)
    }

    /// Stores to a word. Fails, where that takes a block, on a full disk; then nothing has changed.
    pub(super) fn store(&self, at: usize, value: u64) -> Result<()> {
        self.words.store(at, value).map_err(|e| self.not_stored(e))
    }

    /// As [`Control::store`], to words from `at` on.
    pub(super) fn store_all(&self, at: usize, values: &[u64]) -> Result<()> {
        self.words.store_all(at, values).map_err(|e| self.not_stored(e))
    }

    pub(super) fn not_stored(&self, e: std::io::Error) -> Error {
        Error::io("write log control file", &self.path, e)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if the words are not mapped, because this may not write to them.
    pub fn require_mapped(&self) -> Result<()> {
        if self.shared {
            return Ok(());
        }
        let denied = std::io::Error::from(ErrorKind::PermissionDenied);
        Err(Error::io("write to the log control file", &self.path, denied))
    }

    /// Writes bytes from word `at` on to the file.
    pub(super) fn write_words(&self, at: usize, bytes: &[u8]) -> Result<()> {
        self.file.write_at(bytes, at as u64 * 8).map_err(|e| self.not_stored(e))
    }

    /// Wakes who sleeps on a word, in every process.
    pub(super) fn wake_word(&self, at: usize) {
        if self.shared {
            self.words.wake(at);
        }
    }

    /// Sleeps until a word is woken or `timeout` has passed; not at all if it does not hold `seen`. May return early.
    pub(super) fn wait_word(&self, at: usize, seen: u64, timeout: Option<Duration>) {
        match self.shared {
            true => self.words.wait(at, seen, timeout),
            false => std::thread::sleep(timeout.unwrap_or(LOOK).min(LOOK)),
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
    pub fn set_promotion(&self, id: WriterId) -> Result<()> {
        self.store_id(PROMOTION, id)
    }

    pub(super) fn store_id(&self, at: usize, id: [u8; 16]) -> Result<()> {
        let id = u128::from_le_bytes(id);
        self.store_all(at, &[id as u64, (id >> 64) as u64])
    }

    pub(super) fn load_id(&self, at: usize) -> [u8; 16] {
        let (low, high) = (self.load(at), self.load(at + 1));
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
        self.load(WRITER_PID)
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
        if self.shared {
            return;
        }
        let mut bytes = [0; WORDS * 8];
        if self.file.read_exact_at(&mut bytes, 0).is_ok() {
            // A copy takes every store.
            let _ = self.words.store_all(0, &words_in(&bytes));
        }
    }

    /// Takes back, durably, what is said to be durable beyond `index`: before frames there are cut off. Upholds I38.
    pub fn lower_durable(&self, index: LogIndex) -> Result<()> {
        if self.durable() <= index && !self.is_unsynced() {
            return Ok(());
        }
        self.store(DURABLE, index.0.min(self.durable().0))?;
        self.sync()
    }

    /// Records a new session's writer and tail.
    pub fn begin_session(&self, host: &dyn Host, tail: LogIndex) -> Result<()> {
        self.begin_session_in_damage(host, tail)?;
        self.store(DURABLE, tail.0)
    }

    /// As [`Control::begin_session`]; what its log had durable stays said: not all of it is there. Upholds I38.
    pub fn begin_session_in_damage(&self, host: &dyn Host, tail: LogIndex) -> Result<()> {
        self.owed.forget();
        self.store(WRITER_PID, host.process_id().into())?;
        let [session, _] = bytemuck::must_cast::<[u8; 16], [u64; 2]>(host.random());
        self.store(SESSION, session)?;
        self.store(PUBLISHED, tail.0)?;
        self.wake_followers();
        Ok(())
    }

    /// Names the session of the log's writer: with another one, the end of the log may be another one as well.
    pub fn session(&self) -> u64 {
        self.load(SESSION)
    }

    /// Whether a sync of this log failed and the log has not been repaired since.
    pub fn sync_failed(&self) -> bool {
        self.flag(SYNC_FAILED)
    }

    /// Whether a sync of this log failed, or began and did not come to its end: of use where nobody writes the log.
    pub fn sync_unknown(&self) -> bool {
        self.flag(SYNC_FAILED | SYNCING)
    }

    /// Remembers, beyond this process, that a sync failed (or that the log was repaired after one). Upholds I6.
    pub fn set_sync_failed(&self, failed: bool) -> Result<()> {
        if failed { self.set_flag(SYNC_FAILED, true) } else { self.set_flag(SYNC_FAILED | SYNCING, false) }
    }

    /// Remembers, beyond this process, that a sync of this log is under way. Where a store can fail it does so before the
    /// first frame of a session, and once: no sync may wait for room, nor a frame for its sync.
    pub fn set_syncing(&self) -> Result<()> {
        if self.words.are_written() && self.flag(SYNCING) { Ok(()) } else { self.set_flag(SYNCING, true) }
    }

    /// Before the first frame of a session: see [`Control::set_syncing`].
    pub fn expect_syncs(&self) -> Result<()> {
        if self.words.are_written() { self.set_syncing() } else { Ok(()) }
    }

    /// No sync is under way that anybody need doubt: what it was to make durable is so.
    pub fn end_syncing(&self) -> Result<()> {
        if self.flag(SYNCING) { self.set_flag(SYNCING, false) } else { Ok(()) }
    }

    /// A sync that failed is past: the epoch is made known that begins for it.
    pub fn forget_failed_sync(&self) -> Result<()> {
        if self.flag(SYNC_FAILED) { self.set_flag(SYNC_FAILED, false) } else { Ok(()) }
    }

    /// Remembers that the sync that was under way succeeded; see [`Control::end_session`], too.
    pub fn set_synced(&self) -> Result<()> {
        if self.words.are_written() { Ok(()) } else { self.set_flag(SYNCING, false) }
    }

    /// The log is closed, and all of it is durable: no sync is under way.
    pub fn end_session(&self) -> Result<()> {
        self.pay()?;
        self.end_syncing()
    }

    /// Whether nobody knows who moved the fence, or whether it was moved at all: what knew it is lost, and this log was
    /// repaired as one that another node may have taken over from.
    pub fn fence_is_assumed(&self) -> bool {
        self.flag(FENCE_ASSUMED)
    }

    /// As [`Control::set_fence_assumed`], where it matters little if it fails.
    pub(super) fn note_fence_assumed(&self, assumed: bool) {
        self.note_flag(FENCE_ASSUMED, assumed);
    }

    /// Remembers, beyond this process, whether the fence is assumed.
    pub(super) fn set_fence_assumed(&self, assumed: bool) -> Result<()> {
        if self.flag(FENCE_ASSUMED) == assumed { Ok(()) } else { self.set_flag(FENCE_ASSUMED, assumed) }
    }

    /// Whether the replica whose log this is must be reseeded.
    pub fn needs_reseed(&self) -> bool {
        self.flag(NEEDS_RESEED)
    }

    /// Remembers, beyond this process, whether this replica must be reseeded.
    pub fn set_needs_reseed(&self, needed: bool) {
        self.note_flag(NEEDS_RESEED, needed);
    }

    /// Whether the source of the replica whose log this is keeps its log for it, as far as the last report tells.
    pub fn is_registered(&self) -> bool {
        self.flag(REGISTERED)
    }

    /// Whether this replica pulls although it could not register.
    pub fn is_unregistered(&self) -> bool {
        self.flag(UNREGISTERED)
    }

    /// Whether the last attempt of this replica failed because its process lacks a permission.
    pub fn is_denied(&self) -> bool {
        self.flag(DENIED)
    }

    /// Remembers, beyond this process, whether its last attempt failed for want of a permission.
    pub fn set_denied(&self, denied: bool) {
        self.note_flag(DENIED, denied);
    }

    /// Whether the last attempt of the replica failed because a newer build wrote what comes next.
    pub fn is_too_new(&self) -> bool {
        self.flag(TOO_NEW)
    }

    /// Says whether it did.
    pub fn set_too_new(&self, too_new: bool) {
        self.note_flag(TOO_NEW, too_new);
    }

    /// Remembers, beyond this process, whether this replica is registered, and whether it pulls though it could not be.
    pub fn set_registered(&self, registered: bool, failed: bool) {
        self.note_flag(REGISTERED, registered);
        self.note_flag(UNREGISTERED, failed);
    }

    /// Takes the lock of who asks the log's writer for something; `None` if someone else holds it.
    pub fn lock_asking(&self) -> Result<Option<FileLock>> {
        self.try_lock(ASK_LOCK, LockKind::Exclusive)
    }

    pub(super) fn flag(&self, flag: u64) -> bool {
        self.load(FLAGS) & flag != 0
    }

    fn set_flag(&self, flag: u64, on: bool) -> Result<()> {
        let changed = self.words.update(FLAGS, |flags| if on { flags | flag } else { flags & !flag });
        changed.map(drop).map_err(|e| self.not_stored(e))
    }

    /// Sets a flag that only tells others what this process knows by itself, and finds again if it must.
    pub(super) fn note_flag(&self, flag: u64, on: bool) {
        if self.flag(flag) != on {
            self.noted(self.set_flag(flag, on));
        }
    }

    fn noted(&self, stored: Result<()>) {
        if let Err(e) = stored {
            tracing::warn!(path = %self.path.display(), "what others are to know of this node was not noted: {e}");
        }
    }

    /// What the replica whose log this is met last, if that was a failure.
    pub fn last_error(&self) -> Option<String> {
        let head = self.load(ERROR_HEAD);
        let (len, crc) = ((head & 0xFFFF_FFFF) as usize, (head >> 32) as u32);
        let words = (ERROR_TEXT..WORDS).take(len.div_ceil(8));
        let mut text: Vec<u8> = words.flat_map(|at| self.load(at).to_le_bytes()).collect();
        text.truncate(len);
        // A text that is being written, or was torn, does not verify.
        if len == 0 || crc32fast::hash(&text) != crc {
            return None;
        }
        String::from_utf8(text).ok()
    }

    /// Remembers, beyond this process, what a replica met last. Long texts are cut.
    pub fn set_last_error(&self, text: Option<&str>) {
        if self.last_error().as_deref() == text {
            return;
        }
        let text = text.unwrap_or_default();
        let text = &text[..text.floor_char_boundary((WORDS - ERROR_TEXT) * 8)];
        let head = match text.len() {
            0 => 0,
            len => len as u64 | u64::from(crc32fast::hash(text.as_bytes())) << 32,
        };
        self.noted(self.store_error(text, head));
    }

    fn store_error(&self, text: &str, head: u64) -> Result<()> {
        self.store_all(ERROR_TEXT, &words_of_text(text.as_bytes()))?;
        self.store(ERROR_HEAD, head)
    }

    /// How many checkpoints have been asked for.
    pub fn checkpoints_asked(&self) -> u64 {
        self.load(CHECKPOINT_ASKED)
    }

    /// How many of the checkpoints asked for have been made.
    pub fn checkpoints_done(&self) -> u64 {
        self.load(CHECKPOINT_DONE)
    }

    /// Says that the first `asked` checkpoints asked for have been made.
    pub fn set_checkpoints_done(&self, asked: u64) -> Result<()> {
        self.words.raise(CHECKPOINT_DONE, asked).map_err(|e| self.not_stored(e))
    }

    /// Makes the words durable, also those that an earlier sync failed to: the kernel counts them as written since.
    pub fn sync(&self) -> Result<()> {
        let before = self.load(UNSYNCED);
        // Before the sync: a failure may be told to a process that is killed, and to nobody else.
        let begun = before.wrapping_add(if before & 1 == 1 { 2 } else { 1 });
        let said = self.store(UNSYNCED, begun);
        if before & 1 == 1 {
            // Without a store their page is not written again.
            said?;
        }
        // Words written through the mapping are dirty pages of the file like any other.
        self.file.sync_data().map_err(|e| Error::io("sync", &self.path, e))?;
        if self.load(UNSYNCED) == begun {
            // If not, another process's sync is under way. Left unsaid, it costs the next one a store.
            self.noted(self.store(UNSYNCED, begun.wrapping_add(1)));
        }
        Ok(())
    }

    /// Whether a sync of the words failed, or did not come to its end, in whatever process, and none has succeeded since:
    /// what a word says may not be durable, though it was to be.
    pub(super) fn is_unsynced(&self) -> bool {
        self.load(UNSYNCED) & 1 == 1
    }

    /// Fails unless this is a log of the database `file_id`. Upholds I12.
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
    use crate::{
        graph::Epoch,
        io::sim::{Crash, FaultOn, FaultPlan, Loss, SimDisk},
        log::Fence,
    };

    /// As a replica sees its source's log on a disk that it may not write to.
    #[test]
    fn who_may_only_read_sees_what_changes() {
        let (disk, dir) = (SimDisk::new(1), Path::new("/log"));
        disk.create_dir(dir).unwrap();
        let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
        let writer = Control::create(&disk, dir, log, [3; 16], Epoch(1)).unwrap();
        let reader = Control::open(&disk, dir, OpenMode::Read).unwrap().unwrap();
        writer.set_current_log([4; 16]).unwrap();
        let fence = Fence::new(Epoch(1)).raised([5; 16]).completed(LogIndex(7));
        writer.put_fence(&fence).unwrap().durable().unwrap();
        writer.set_published(LogIndex(7));
        assert_eq!(reader.published(), LogIndex(7));
        assert_eq!(reader.current_log().log_id, [4; 16]);
        assert_eq!(reader.fence().unwrap(), fence);
        assert_eq!(reader.put_fence(&fence).unwrap_err().code(), ErrorCode::PermissionDenied);
    }

    /// The kernel counts a page as written once a sync of it failed: a second try must write it again.
    #[test]
    fn what_a_failed_sync_left_is_durable_once_it_was_tried_again() {
        let dir = Path::new("/log");
        let lower: fn(&Control) -> Result<()> = |control| control.lower_durable(LogIndex(4));
        let follow: fn(&Control) -> Result<()> = |control| control.set_replica(true);
        for (seed, set) in (0..16).flat_map(|seed| [(seed, lower), (seed, follow)]) {
            let disk = SimDisk::new(seed);
            disk.create_dir(dir).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
            let control = Control::create(&disk, dir, log, [3; 16], Epoch(1)).unwrap();
            disk.sync_dir(dir).unwrap();
            control.set_durable(LogIndex(9));
            control.sync().unwrap();
            disk.fail(FaultPlan::new(FaultOn::Sync, 1, ErrorKind::Other).forever());
            set(&control).unwrap_err();
            disk.clear_faults();
            // Another process, which was not told.
            let other = Control::open(&disk, dir, OpenMode::ReadWrite).unwrap().unwrap();
            set(&other).unwrap();
            let shown = (other.durable(), other.is_replica());
            let found = disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
            let found = Control::open(&found, dir, OpenMode::ReadWrite).unwrap().unwrap();
            assert_eq!((found.durable(), found.is_replica()), shown, "seed {seed}");
        }
    }

    /// The process is killed while the kernel writes: what came of that nobody is told.
    #[test]
    fn what_a_killed_sync_left_is_durable_once_it_was_tried_again() {
        let dir = Path::new("/log");
        let lower: fn(&Control) -> Result<()> = |control| control.lower_durable(LogIndex(4));
        let follow: fn(&Control) -> Result<()> = |control| control.set_replica(true);
        let mut cut = 0;
        for (op, set) in (0..12).flat_map(|op| [(op, lower), (op, follow)]) {
            let disk = SimDisk::new(op);
            disk.create_dir(dir).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
            let control = Control::create(&disk, dir, log, [3; 16], Epoch(1)).unwrap();
            disk.sync_dir(dir).unwrap();
            control.set_durable(LogIndex(9));
            control.sync().unwrap();
            disk.crash_at(disk.ops() + op);
            cut += u32::from(set(&control).is_err());
            let disk = disk.restart(Crash::Kill);
            let other = Control::open(&disk, dir, OpenMode::ReadWrite).unwrap().unwrap();
            set(&other).unwrap();
            let shown = (other.durable(), other.is_replica());
            let found = disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
            let found = Control::open(&found, dir, OpenMode::ReadWrite).unwrap().unwrap();
            assert_eq!((found.durable(), found.is_replica()), shown, "cut at operation {op}");
        }
        assert!(cut >= 3, "{cut}");
    }
}
