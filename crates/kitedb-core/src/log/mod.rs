//! Floor 2: the log. Frames in segments, group sync, recovery of the tail, and the control file.
//!
//! [`Appender`] is owned by whoever holds the commit lock; [`GroupSync`] is shared by all who wait for
//! durability; [`recover()`] reads a log back after the end of a process or a machine.

mod append;
mod control;
mod files;
mod frame;
mod mailbox;
mod mark;
mod reader;
mod recover;
mod seek;
mod segment;
mod sync;

pub use append::{Appender, FRAME_PREFIX, FRAMES_PREFIX, LogOptions, SegmentInfo, segment_path};
pub use control::Control;
pub use frame::{FrameHeader, FrameRef, MAX_PAYLOAD};
pub use mailbox::RetentionAnswer;
pub use reader::{Chunk, FramePlace, LogPage, LogReader, PageLimits, Position};
pub use recover::{Recovered, RecoveryStart, reaches_beyond, recover, writers};
pub use segment::SegmentHeader;
pub use sync::GroupSync;

use crate::{
    error::{Error, Result},
    io::Disk,
};
use std::path::Path;

/// What names the writer of an epoch: random, because an epoch's number alone identifies nothing.
pub type WriterId = [u8; 16];
/// What the sync marks of one log carry, so that no other bytes pass for one.
pub type Salt = [u8; 16];

/// Which log, and of which database file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogIdentity {
    /// The log's own random id.
    pub log_id: [u8; 16],
    /// The id of the database file that it belongs to.
    pub file_id: [u8; 16],
}

/// Removes a log: its segments and, unless they are to be kept, its control file and its folder. What is not ours
/// stays, and the folder with it.
pub fn remove(disk: &dyn Disk, dir: &Path, keep_control: bool) -> Result<()> {
    let io = |e| Error::io("remove log", dir, e);
    let mut names = match disk.list(dir) {
        Ok(names) => names,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io(e)),
    };
    // The control file, then segments from the oldest on: who reads meanwhile finds the beginning missing, and
    // never takes a part of the log for all of it.
    names.sort_unstable();
    let mut others = false;
    for name in names {
        let control = name == control::CONTROL_NAME || name == control::CONTROL_DRAFT;
        if (control && !keep_control) || segment::parse_name(&name).is_some() {
            disk.remove(&dir.join(name)).map_err(io)?;
        } else {
            others = true;
        }
    }
    if !others {
        disk.remove_dir(dir).map_err(io)?;
        if let Some(parent) = dir.parent() {
            disk.sync_dir(parent).map_err(io)?;
        }
    }
    Ok(())
}
