//! The control file of a log that is begun, or whose own was lost. It has its name only once it is whole, and says from that
//! moment on all that it is to say: whoever finds it takes it at its word.

use super::{
    CONTROL_DRAFT, CONTROL_NAME, Control, Fence, Replaced, Roll, fence, is_control,
    layout::{
        BEGUN, CURRENT_LOG, DURABLE, FLAGS, MAGIC, NUMBER, PUBLISHED, ROLL, WORDS,
        flags::{FENCE_ASSUMED, REGISTERED, SYNC_FAILED, UNFILLED},
    },
    names,
};
use crate::{
    error::{Error, Result},
    graph::{Epoch, LogIndex},
    io::{Disk, begin_draft, clear_name, in_the_way},
    log::{LogIdentity, Salt},
};
use std::{io::ErrorKind, path::Path};

/// What a new control file says.
#[derive(Debug, Clone, Copy)]
pub struct NewControl {
    /// Its fence.
    pub fence: Fence,
    /// Whether nobody knows that it is so: see [`Control::fence_is_assumed`].
    pub assumed: bool,
    /// The last frame that counts of a log that is there already, of which nobody knows how far a sync has proved it.
    pub tail: Option<LogIndex>,
    /// Whether its log has a segment.
    pub begun: bool,
    /// Who is registered.
    pub roll: Option<Roll>,
    /// Whether the replica whose log this is may be registered at its source: the control file that knew was lost.
    pub registered: bool,
    /// Whether it is that of a replica which has had nothing from its source: see [`Control::is_unfilled`].
    pub unfilled: bool,
}

impl NewControl {
    /// That of a new log.
    pub fn of(fence: Fence) -> Self {
        Self { fence, assumed: false, tail: None, begun: false, roll: None, registered: false, unfilled: false }
    }

    fn words(&self) -> [(usize, u64); 4] {
        let flags = [
            (self.assumed, FENCE_ASSUMED),
            (self.tail.is_some(), SYNC_FAILED),
            (self.registered, REGISTERED),
            (self.unfilled, UNFILLED),
        ];
        let flags = flags.into_iter().filter(|(on, _)| *on).fold(0, |flags, (_, flag)| flags | flag);
        let tail = self.tail.unwrap_or_default().0;
        [(FLAGS, flags), (PUBLISHED, tail), (DURABLE, tail), (ROLL, Roll::word(self.roll))]
    }
}

impl Control {
    /// Creates the control file of a new log, where none is. Durable only once the folder is synced.
    pub fn create(disk: &dyn Disk, dir: &Path, identity: LogIdentity, salt: Salt, epoch: Epoch) -> Result<Self> {
        Self::create_with(disk, dir, identity, salt, &NewControl::of(Fence::new(epoch)))
    }

    /// As [`Control::create`]; it says all that `new` has from the moment on in which it has its name.
    pub fn create_with(
        disk: &dyn Disk,
        dir: &Path,
        identity: LogIdentity,
        salt: Salt,
        new: &NewControl,
    ) -> Result<Self> {
        let path = dir.join(CONTROL_NAME);
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend_from_slice(&NUMBER.to_le_bytes());
        bytes.extend_from_slice(&identity.log_id);
        bytes.extend_from_slice(&identity.file_id);
        bytes.extend_from_slice(&salt);
        let crc = u64::from(crc32fast::hash(&bytes));
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.resize(WORDS * 8, 0);
        for (at, word) in fence::words_of(&new.fence).chain(new.words()) {
            bytes[at * 8..][..8].copy_from_slice(&word.to_le_bytes());
        }
        bytes[CURRENT_LOG * 8..][..16].copy_from_slice(&identity.log_id);
        if new.begun {
            bytes[BEGUN * 8..][..16].copy_from_slice(&identity.log_id);
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
        let words = file.clone().map_words(WORDS).map_err(io)?;
        Ok(Self::made(words, file, path, identity, salt))
    }

    /// Makes the name of the control file in `dir` free. What does not name the database `file_id`, as far as it can be read,
    /// is put aside.
    pub fn clear(disk: &dyn Disk, dir: &Path, file_id: [u8; 16]) -> Result<()> {
        let path = dir.join(CONTROL_NAME);
        let io = |e| Error::io("remove log control file", &path, e);
        let replaced = Replaced::look(disk, dir);
        let cleared = match names(disk, dir, file_id) {
            Ok(true) => clear_name(disk, &path, is_control),
            // As it is: what tells who sleeps on its words changes it.
            Ok(false) => replaced.put_aside(disk, dir),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        };
        cleared.map(drop).map_err(io)
    }
}
