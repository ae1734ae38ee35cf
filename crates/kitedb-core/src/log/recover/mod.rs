//! Recovery: reads a log from a checkpoint to its tail, gives each frame to the fold, and decides what the
//! first place that does not verify is: an unsynced tail, which is cut, or damage to durable frames, which is
//! an error and never a silent cut.

mod evidence;
mod inspection;
mod replay;
mod resume;
mod salt_from_marks;
mod segments;
mod set_aside;

pub use evidence::{Accounted, Proven, proven, proven_beyond, whose_segments};
pub use inspection::{begins_after, end_of_log, has_segments, holds_segments_of, reaches_beyond, writers};
pub use salt_from_marks::salt_of;
pub use set_aside::{does_not_go_on, ends_early, put_segments_aside};

use super::{
    Control, LogIdentity, Salt, WriterId,
    segment::{
        SegmentHeader,
        frame::{FrameRef, HEADER_LEN, claimed_len},
        read_file, sync_mark,
    },
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex},
    io::{Env, OpenMode},
};
use replay::Replay;
use segments::{LogSegment, find_segments};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where recovery begins: the state that the database file holds.
#[derive(Debug, Clone, Copy)]
pub struct RecoveryStart {
    /// The log that the file names.
    pub log: LogIdentity,
    /// The last frame folded into the file.
    pub index: LogIndex,
    /// Its epoch.
    pub epoch: Epoch,
    /// The digest after it.
    pub digest: Digest,
    /// Read nothing beyond this index: set for a reader beside a living writer.
    pub limit: Option<LogIndex>,
}

/// A log read back.
#[derive(Debug)]
pub struct Recovered {
    control: Arc<Control>,
    dir: PathBuf,
    segments: Vec<LogSegment>,
    /// The index of the last frame that counts.
    pub last: LogIndex,
    /// Its epoch.
    pub epoch: Epoch,
    /// The digest after it.
    pub digest: Digest,
    /// (epoch, writer id, first index) of every segment that was read, in order.
    pub history: Vec<(Epoch, WriterId, LogIndex)>,
    /// Durable frames that cannot be read, if any: everything from there on is missing.
    pub damage: Option<Error>,
    /// The log ends before this frame, which was durable by the word of the control file alone: damage, unless the log is a
    /// copy that was taken while its original was written to.
    pub short_of: Option<LogIndex>,
    /// Whether nothing is left of the frame that is missing: what holds it was cut short.
    pub truncated: bool,
    tail: Option<Tail>,
    gap: bool,
}

/// The end of the last segment that counts.
#[derive(Debug)]
struct Tail {
    /// Position in `segments`.
    at: usize,
    /// Where its last frame ends.
    end: u64,
    /// Whether anything but zeros follows there, or in later segments.
    dirty: bool,
    /// Frames above the last mark: where the first of them begins, if they are in this segment.
    unmarked: Option<(u64, LogIndex, Digest)>,
}

/// What is done with a frame and the writer of its segment.
pub(crate) type Fold<'a> = dyn FnMut(&FrameRef<'_>, &WriterId) -> Result<()> + 'a;

/// Reads the log in `dir` from `start` on and calls `fold` with each frame in order. Writes nothing. `control` is its
/// control file, if that is open already.
pub fn recover(
    env: &Env,
    dir: &Path,
    control: Option<Arc<Control>>,
    start: RecoveryStart,
    mode: OpenMode,
    fold: &mut Fold<'_>,
) -> Result<Recovered> {
    let missing = |what: &str| {
        Error::new(
            ErrorCode::LogMismatch,
            format_args!(
                "commits after log index {} are not in the database file: they should be in {}, {what}; put that log \
                 back, or open read-only to read the state at index {}",
                start.index,
                dir.display(),
                start.index
            ),
        )
    };
    let control = match control {
        Some(control) => control,
        None => {
            let found = Control::open(&*env.disk, dir, mode)?;
            let found = found.ok_or_else(|| missing("which does not exist"))?;
            if mode != OpenMode::Read {
                // The log of a database without a part in replication: nobody else moves its fence.
                found.settle_fence()?;
            }
            Arc::new(found)
        }
    };
    control.expect(start.log.file_id).map_err(|_| missing("but the log there is another one"))?;
    let (mut segments, damaged_headers) = find_segments(env, dir, start.log, LogIndex(start.index.0 + 1))?;
    let first = segments.iter().rposition(|s| s.header.first.0 <= start.index.0 + 1).ok_or_else(|| {
        match damaged_headers.first() {
            Some(path) => Error::corrupt(format_args!(
                "the header of log segment {} does not verify, so that the commits after log index {} cannot be read; \
                 restore the log from a copy, or open read-only to read the state at that index",
                path.display(),
                start.index
            )),
            None => missing("but its first segments are gone"),
        }
    })?;
    for at in 0..first {
        segments[at].last = LogIndex(segments[at + 1].header.first.0 - 1);
    }
    let mut replay = Replay {
        salt: control.salt(),
        end: control.fence()?.ended,
        last: start.index,
        epoch: start.epoch,
        digest: start.digest,
        limit: start.limit.unwrap_or(LogIndex(u64::MAX)),
        last_marked: LogIndex(0),
        unmarked: None,
        gap: false,
        known: env.host.known_level(),
        fold,
    };
    let mut recovered = Recovered {
        control,
        dir: dir.to_owned(),
        history: Vec::new(),
        last: start.index,
        epoch: start.epoch,
        digest: start.digest,
        damage: None,
        short_of: None,
        truncated: false,
        tail: None,
        gap: false,
        segments,
    };
    for at in first..recovered.segments.len() {
        let found = &recovered.segments[at];
        let bytes = found.read(env)?;
        if SegmentHeader::parse(&bytes) != Some(found.header) {
            // A writer closed this log and began another one under the same names.
            return Err(missing("but another log took the place of the one there"));
        }
        // Frames at or beyond the first of the next segment are void: a new epoch or a repair began there.
        let bound = recovered.segments.get(at + 1).map(|s| s.header.first);
        recovered.history.push((found.header.epoch, found.header.writer_id, found.header.first));
        let readable = found.header.require_known(replay.known, &found.path).map_err(|e| (0, e));
        let stop = readable.and_then(|()| replay.segment(&found.header, &bytes, bound));
        let (end, fault) = match stop {
            Ok(end) => (end, None),
            Err((end, fault)) => (end, Some(fault)),
        };
        let expected = LogIndex(replay.last.0 + 1);
        if fault.is_none() && bound == Some(expected) {
            replay.unmarked = None;
            recovered.segments[at].last = replay.last;
            continue;
        }
        // Beyond the limit nothing is looked at: a writer may have begun other segments since that was read.
        let within = replay.last < replay.limit;
        let later = within && recovered.segments[at + 1..].iter().any(|s| s.header.first > expected);
        let mut claim = claimed(env, &bytes, end, &recovered.segments[at + 1..], &replay.salt)?;
        // A segment without a header is one whose making was cut short, unless a mark in it says otherwise.
        for path in &damaged_headers {
            claim = claim.max(sync_mark::greatest(&read_file(&*env.disk, path)?, &replay.salt));
        }
        // What comes after a fenced epoch's end is void, durable or not.
        let void = replay.is_void(found.header.epoch, expected);
        let claimed = claim.is_some_and(|claim| claim >= expected) && within && !void;
        if let Some(fault) = fault {
            recovered.damage = Some(fault.context(format_args!("{} at byte {end}", found.path.display())));
        } else if claimed || later {
            recovered.damage = Some(Error::corrupt(format_args!(
                "the log is damaged in {} at byte {end}: the frame with log index {expected} does not verify (CRC mismatch, or \
                 it is not there), although frames up to {} were durable; restore the log from a copy, or open read-only to read the state at \
                 index {}",
                found.path.display(),
                claim.unwrap_or(expected).max(expected),
                replay.last
            )));
        } else if start.limit.is_some_and(|limit| replay.last < limit) {
            recovered.damage = Some(Error::corrupt(format_args!(
                "the log ends in {} at byte {end}, before the frame with log index {expected} that its writer has published",
                found.path.display()
            )));
        } else if let Some(claim) = durable_by_control(&recovered.control, start.log) {
            recovered.short_of = Some(claim).filter(|claim| *claim >= expected && within && !void);
        }
        let dirty = bytes.get(end as usize..).is_some_and(|rest| rest.iter().any(|&b| b != 0))
            || at + 1 < recovered.segments.len();
        recovered.truncated = is_cut_short(bytes.get(end as usize..).unwrap_or_default());
        recovered.segments[at].last = replay.last;
        recovered.tail = Some(Tail { at, end, dirty, unmarked: replay.unmarked });
        break;
    }
    recovered.gap = replay.gap;
    recovered.last = replay.last;
    recovered.epoch = replay.epoch;
    recovered.digest = replay.digest;
    if let (Some(tail), false) = (&mut recovered.tail, damaged_headers.is_empty()) {
        tail.dirty = true;
    }
    Ok(recovered)
}

impl Recovered {
    /// Whether the log goes on right after `index`.
    pub fn ends_at(&self, index: LogIndex) -> bool {
        self.damage.is_none() && self.tail.is_some() && self.last == index && !self.gap
    }

    /// Whether the log has everything up to its end, and in the epoch that it ends in: a segment may be damaged that
    /// held nothing but what is in the file already.
    pub fn is_whole(&self) -> bool {
        let ends_in = self.tail.as_ref().map(|tail| self.segments[tail.at].header.epoch);
        !self.gap && ends_in.is_none_or(|epoch| epoch >= self.epoch)
    }

    /// The control file.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }
}

/// Whether the bytes where a frame should be are none, or end within it.
fn is_cut_short(rest: &[u8]) -> bool {
    claimed_len(rest).map_or(rest.len() < HEADER_LEN, |len| rest.len() < len) || rest.iter().all(|byte| *byte == 0)
}

/// What the control file says to be durable of its current log. It says so after the sync, and takes it back durably
/// before a cut is made real: so no loss of power makes it say more than is there. Upholds I38.
fn durable_by_control(control: &Control, log: LogIdentity) -> Option<LogIndex> {
    (control.current_log() == log).then(|| control.durable())
}

/// The greatest index that a mark after `end`, or in a later segment, claims durable.
/// What a mark claims is not cut (I7).
fn claimed(env: &Env, bytes: &[u8], end: u64, later: &[LogSegment], salt: &Salt) -> Result<Option<LogIndex>> {
    let mut claim = bytes.get(end as usize..).and_then(|rest| sync_mark::greatest(rest, salt));
    for found in later {
        claim = claim.max(sync_mark::greatest(&found.read(env)?, salt));
    }
    Ok(claim)
}
