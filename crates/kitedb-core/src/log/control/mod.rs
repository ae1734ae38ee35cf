//! The control file of a log: created once, from then on never renamed, replaced or truncated, and mapped by every process
//! concerned. Only where it is lost another one is made in its place, and who maps the old one is told: see [`Replaced`]. It
//! holds what must be seen at once across handles and processes, each in words of its own (`layout`):
//!
//! - who may commit: `fence`;
//! - how far the log goes, and who writes it: `announcements`, `session`, `current_log`;
//! - what its writer is asked for: `requests`; how threads of any process sleep until there is something: `event_counts`;
//! - of a replica, how it follows: `replica_state`, `source_epoch`;
//! - what else lies beside the log, so that a loss or a copy of it shows: `registered_replicas`, `file_stamps`, `file_generation`.
//!
//! It is made by `creation` and goes by `replacement`.

mod announcements;
mod creation;
mod current_log;
mod event_counts;
mod fence;
mod file_generation;
mod file_stamps;
mod layout;
mod locks;
mod registered_replicas;
mod replacement;
mod replica_state;
mod requests;
mod session;
mod source_epoch;

pub use creation::NewControl;
pub use fence::{EpochEnd, Fence, Moved, Stored};
pub use file_stamps::Displaced;
pub use registered_replicas::Roll;
pub use replacement::Replaced;
pub use requests::RetentionAnswer;
pub use source_epoch::SeenEpoch;

use crate::{
    error::{Error, ErrorCode, Result},
    io::{Disk, DiskFile, FileWords, OpenMode, is_known, no_folder},
    log::{LogIdentity, Salt, names_in_damage},
    shell::command_by_log,
};
use announcements::Owed;
use layout::{FLAGS, MAGIC, NUMBER, UNSYNCED, WORDS};
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

/// How long who cannot be woken sleeps before it looks again.
const LOOK: Duration = Duration::from_millis(10);

/// The mapped control file.
#[derive(Debug)]
pub struct Control {
    words: FileWords,
    /// Whether the words are shared, and not, for a reader without permission to write, as they were when it looked.
    shared: bool,
    /// What is to be announced, and could not be stored yet.
    owed: Owed,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    identity: LogIdentity,
    salt: Salt,
}

fn other_number(file: &Path, number: u64) -> Error {
    let path = file.display();
    let error = match number > NUMBER {
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
    };
    error.with_path(file).with_expected(NUMBER).with_found(number)
}

fn words_in(bytes: &[u8; WORDS * 8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
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

/// Whether the control file in `dir`, which does not verify, names another database than `file_id` as far as it can be read.
pub fn names_another(disk: &dyn Disk, dir: &Path, file_id: [u8; 16]) -> bool {
    let is_one = is_known(disk, &dir.join(CONTROL_NAME), |bytes| bytes.len() >= 72 && is_control(bytes));
    is_one.is_ok_and(|is_one| is_one) && names(disk, dir, file_id).is_ok_and(|names_it| !names_it)
}

/// Whether a control file lies in `dir`, whether or not it verifies. What cannot be looked at counts as none.
pub fn holds_one(disk: &dyn Disk, dir: &Path) -> bool {
    let mut magic = [0; 8];
    let file = disk.open(&dir.join(CONTROL_NAME), OpenMode::Read);
    file.and_then(|file| file.read_exact_at(&mut magic, 0)).is_ok() && magic == MAGIC.to_le_bytes()
}

impl Control {
    /// The control file that was just made.
    fn made(words: FileWords, file: Arc<dyn DiskFile>, path: PathBuf, identity: LogIdentity, salt: Salt) -> Self {
        Self { words, shared: true, owed: Owed::default(), file, path, identity, salt }
    }

    /// Maps the control file of an existing log (for [`OpenMode::Read`], reads it once); `None` if it is not there.
    pub fn open(disk: &dyn Disk, dir: &Path, mode: OpenMode) -> Result<Option<Self>> {
        let path = dir.join(CONTROL_NAME);
        let io = |e| Error::io("open log control file", &path, e);
        let file = match disk.open(&path, mode) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io(no_folder(dir, e))),
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

    /// What this log's sync marks carry.
    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// The file itself.
    fn file(&self) -> &dyn DiskFile {
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
    fn load(&self, at: usize) -> u64 {
        self.words.load(at)
    }

    /// Stores to a word. Fails, where that takes a block, on a full disk; then nothing has changed.
    fn store(&self, at: usize, value: u64) -> Result<()> {
        self.words.store(at, value).map_err(|e| self.not_stored(e))
    }

    /// As [`Control::store`], to words from `at` on.
    fn store_all(&self, at: usize, values: &[u64]) -> Result<()> {
        self.words.store_all(at, values).map_err(|e| self.not_stored(e))
    }

    fn not_stored(&self, e: std::io::Error) -> Error {
        Error::io("write log control file", &self.path, e)
    }

    fn path(&self) -> &Path {
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
    fn write_words(&self, at: usize, bytes: &[u8]) -> Result<()> {
        self.file.write_at(bytes, at as u64 * 8).map_err(|e| self.not_stored(e))
    }

    /// Wakes who sleeps on a word, in every process.
    fn wake_word(&self, at: usize) {
        if self.shared {
            self.words.wake(at);
        }
    }

    /// Sleeps until a word is woken or `timeout` has passed; not at all if it does not hold `seen`. May return early.
    fn wait_word(&self, at: usize, seen: u64, timeout: Option<Duration>) {
        match self.shared {
            true => self.words.wait(at, seen, timeout),
            false => std::thread::sleep(timeout.unwrap_or(LOOK).min(LOOK)),
        }
    }

    /// Whether the control file at its path is still this one, and holds its words still: those of a file that was cut are not
    /// to be looked at, where they are mapped (`SIGBUS`).
    pub fn is_current(&self, disk: &dyn Disk) -> bool {
        let is_whole = || self.file.len().is_ok_and(|len| len >= (WORDS * 8) as u64);
        match (disk.identity(&self.path), self.file.identity()) {
            (Ok(there), Ok(here)) => there == here && is_whole(),
            _ => false,
        }
    }

    fn store_id(&self, at: usize, id: [u8; 16]) -> Result<()> {
        let id = u128::from_le_bytes(id);
        self.store_all(at, &[id as u64, (id >> 64) as u64])
    }

    fn load_id(&self, at: usize) -> [u8; 16] {
        let (low, high) = (self.load(at), self.load(at + 1));
        (u128::from(low) | u128::from(high) << 64).to_le_bytes()
    }

    /// Reads the words anew where they are not mapped. Whether this is the control file at its path still, so that they count.
    pub fn is_seen_anew(&self, disk: &dyn Disk) -> bool {
        let current = self.is_current(disk);
        if current {
            self.look_again();
        }
        current
    }

    /// Where the words are not mapped, because this may not write to them: reads them anew, as far as that goes.
    fn look_again(&self) {
        if self.shared {
            return;
        }
        let mut bytes = [0; WORDS * 8];
        if self.file.read_exact_at(&mut bytes, 0).is_ok() {
            // A copy takes every store.
            let _ = self.words.store_all(0, &words_in(&bytes));
        }
    }

    fn flag(&self, flag: u64) -> bool {
        self.load(FLAGS) & flag != 0
    }

    fn set_flag(&self, flag: u64, on: bool) -> Result<()> {
        let changed = self.words.update(FLAGS, |flags| if on { flags | flag } else { flags & !flag });
        changed.map(drop).map_err(|e| self.not_stored(e))
    }

    /// Sets a flag that only tells others what this process knows by itself, and finds again if it must.
    fn note_flag(&self, flag: u64, on: bool) {
        if self.flag(flag) != on {
            self.noted(self.set_flag(flag, on));
        }
    }

    fn noted(&self, stored: Result<()>) {
        if let Err(e) = stored {
            tracing::warn!(path = %self.path.display(), "what others are to know of this node was not noted: {e}");
        }
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
    fn is_unsynced(&self) -> bool {
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
        )
        .with_path(self.path.parent().unwrap_or(&self.path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::{Epoch, LogIndex},
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
