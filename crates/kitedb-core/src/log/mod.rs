//! Floor 2: the log. Frames in segments, group sync, recovery of the tail, and the control file.
//!
//! [`Appender`] is owned by whoever holds the commit lock; [`GroupSync`] is shared by all who wait for
//! durability; [`recover()`] reads a log back after the end of a process or a machine.

mod announced;
mod append;
mod bootstrapping;
mod control;
mod events;
mod fence;
mod files;
mod frame;
mod headless;
mod mailbox;
mod mark;
mod new_control;
mod order;
mod proven;
mod reader;
mod recover;
mod replaced;
mod roll;
mod salt;
mod seek;
mod seen;
mod segment;
mod stamps;
mod sync;
mod verify;

pub use append::{Appender, FRAME_PREFIX, FRAMES_PREFIX, LogOptions, SegmentInfo, segment_path};
pub use control::{CONTROL_NAME, Control, names_another};
pub use fence::{EpochEnd, Fence, Moved, Stored};
pub use frame::{FrameHeader, FrameRef, MAX_PAYLOAD};
pub use mailbox::RetentionAnswer;
pub use new_control::NewControl;
pub use order::out_of_place;
pub use proven::{Accounted, Proven, proven, proven_beyond, whose_segments};
pub use reader::{Chunk, FramePlace, LogPage, LogReader, PageLimits, Position};
pub use recover::{
    Recovered, RecoveryStart, end_of_log, ends_early, holds_segments_of, put_segments_aside, reaches_beyond, recover,
    writers,
};
pub use replaced::Replaced;
pub use roll::Roll;
pub use salt::salt_of;
pub use seen::SeenEpoch;
pub use segment::{SegmentHeader, bytes_in, segment_files};
pub use stamps::Displaced;
pub use sync::{GroupSync, Quiet};
pub use verify::{no_segment, verify};

use crate::{
    error::{Error, ErrorCode, Result},
    io::{Env, OpenMode},
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

/// Two random ids differ in more bits than this, whatever happens to one of them.
const DAMAGED_BITS: u32 = 8;

/// Whether a head that does not verify names the database `file_id` at `id_at` all the same: its id is whole there, or the
/// magic number is, and the id nearly.
fn names_in_damage(head: &[u8], magic: &[u8; 8], id_at: usize, file_id: [u8; 16]) -> bool {
    let Some(id) = head.get(id_at..id_at + file_id.len()) else { return false };
    let wrong: u32 = id.iter().zip(file_id).map(|(a, b)| (a ^ b).count_ones()).sum();
    wrong == 0 || (wrong <= DAMAGED_BITS && head.starts_with(magic))
}

/// Fails if `dir` cannot become the folder of a log of the database `file_id`, because something that is not of that
/// database bears a name there that a log needs. Says nothing of `dir` itself. Upholds I34.
pub fn require_free(env: &Env, dir: &Path, file_id: [u8; 16]) -> Result<()> {
    let io = |e| Error::io("look into", dir, e);
    let names = match env.disk.list(dir) {
        Ok(names) => names,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io(e)),
    };
    for name in names {
        let path = dir.join(&name);
        let free = if name == CONTROL_NAME {
            false
        } else if name == control::CONTROL_DRAFT {
            control::is_draft(&*env.disk, &path).map_err(io)?
        } else if segment::parse_name(&name).is_some() {
            segment::is_of(&*env.disk, &path, file_id, true).map_err(io)?
        } else {
            true
        };
        if !free {
            let what = format_args!(
                "{} cannot hold the log of this database: {} is not of it. Give another place, or move that away; if it is \
                 the log of another database, put its control file back",
                dir.display(),
                path.display()
            );
            return Err(Error::new(ErrorCode::LogMismatch, what));
        }
    }
    Ok(())
}

/// What stays where a log is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The control file, and with it the folder.
    Control,
    /// The folder.
    Folder,
    /// Nothing of the log.
    Nothing,
}

/// Removes the log of the database `file_id` in `dir`: its segments and, unless they are to be kept, its control file and
/// its folder. What is not of that database stays, and the folder with it. Upholds I34.
pub fn remove(env: &Env, dir: &Path, file_id: [u8; 16], keep: Keep) -> Result<()> {
    let disk = &*env.disk;
    let io = |e| Error::io("remove log", dir, e);
    let mut names = match disk.list(dir) {
        Ok(names) => names,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io(e)),
    };
    // Where the control file is ours, so is what has no content: a segment whose making was cut short.
    let folder_is_ours = match Control::open(disk, dir, OpenMode::Read) {
        Ok(control) => control.is_some_and(|control| control.identity().file_id == file_id),
        Err(e) if e.code() == ErrorCode::Corrupt => control::names(disk, dir, file_id).map_err(io)?,
        Err(e) => return Err(e),
    };
    // The control file, then segments from the oldest on: who reads meanwhile finds the beginning missing, and
    // never takes a part of the log for all of it.
    names.sort_unstable();
    let mut others = false;
    for name in names {
        let path = dir.join(&name);
        let ours = if name == control::CONTROL_DRAFT {
            keep != Keep::Control && control::is_draft(disk, &path).map_err(io)?
        } else if name == CONTROL_NAME {
            keep != Keep::Control && folder_is_ours
        } else if segment::parse_name(&name).is_some() {
            segment::is_of(disk, &path, file_id, folder_is_ours).map_err(io)?
        } else {
            false
        };
        if ours {
            match disk.remove(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                removed => removed.map_err(io)?,
            }
        } else {
            others = true;
        }
    }
    if !others && keep == Keep::Nothing {
        match disk.remove_dir(dir) {
            // Another folder took its name: the one that was ours is empty, wherever it is.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            // A removed file that somebody has open lingers there under another name (FUSE, NFS).
            Err(e) if is_not_empty(&e) => tracing::debug!(dir = %dir.display(), "an empty log's folder stays: {e}"),
            removed => removed.map_err(io)?,
        }
        if let Some(parent) = dir.parent() {
            disk.sync_dir(parent).map_err(io)?;
        }
    }
    Ok(())
}

/// Whether a folder was not removed because something is in it: systems have two words for that.
fn is_not_empty(e: &std::io::Error) -> bool {
    matches!(e.kind(), std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists)
}
