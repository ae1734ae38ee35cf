//! Floor 2: the log. Frames in segments, group sync, recovery of the tail, and the control file.
//!
//! | module | owns |
//! |---|---|
//! | `segment` | one file of the log: header, frames, sync marks; how it is made, told from other files, and removed |
//! | `control` | the control file: what all processes see at once, the fence first |
//! | `append`, `group_sync` | writing: [`Appender`] is owned by whoever holds the commit lock, [`GroupSync`] is shared by all who wait for durability |
//! | `recover` | reading a log back after the end of a process or a machine ([`recover()`]), and what its segments prove without it |
//! | `reader` | pages of frames of a log that someone else may be writing |
//! | `verify` | each segment that is there, for a check |
//! | `folder` | whether a folder is free for a log, and the removal of a whole log |

mod append;
mod control;
mod folder;
mod group_sync;
mod reader;
mod recover;
mod segment;
mod verify;

pub use append::{Appender, FRAME_PREFIX, FRAMES_PREFIX, LogOptions, SegmentInfo};
pub use control::{
    CONTROL_NAME, Control, Displaced, EpochEnd, Fence, Moved, NewControl, Replaced, RetentionAnswer, Roll, SeenEpoch,
    Stored, holds_one as holds_control, names_another,
};
pub use folder::{Keep, held, is_of_a_log, remove, require_free};
pub use group_sync::{GroupSync, Quiet};
pub use reader::{Chunk, FrameSpan, LogPage, LogReader, PageLimits, Position};
pub use recover::{
    Accounted, Proven, Recovered, RecoveryStart, begins_after, does_not_go_on, end_of_log, ends_early, has_segments,
    holds_segments_of, proven, proven_beyond, put_segments_aside, reaches_beyond, recover, salt_of, whose_segments,
    writers,
};
pub use segment::{
    SegmentHeader, bytes_in,
    frame::{FrameHeader, FrameRef, MAX_PAYLOAD},
    in_its_way, is_in_its_way, out_of_place, remove_oldest, segment_files,
};
pub use verify::{no_segment, verify};

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
