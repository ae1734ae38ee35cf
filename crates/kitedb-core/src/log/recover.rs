//! Recovery: reads a log from a checkpoint to its tail, gives each frame to the fold, and decides what the
//! first place that does not verify is: an unsynced tail, which is cut, or damage to durable frames, which is
//! an error and never a silent cut.

mod cut;

pub use cut::{ends_early, put_segments_aside};

use super::{
    Appender, Control, EpochEnd, FrameRef, LogIdentity, LogOptions, SegmentInfo, WriterId, mark,
    order::{out_of_order, stranger},
    segment::{self, SEGMENT_HEADER_LEN, Segment, SegmentHeader, read_all, read_file, segment_files},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex},
    io::{DiskFile, Env, OpenMode},
};
use std::{
    collections::VecDeque,
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
    segments: Vec<Found>,
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

#[derive(Debug)]
struct Found {
    seq: u64,
    path: PathBuf,
    /// Open from the moment it was found: a writer in another process may let go of it before it is read.
    file: Option<Arc<dyn DiskFile>>,
    header: SegmentHeader,
    bytes: u64,
    last: LogIndex,
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

/// Reads the log in `dir` from `start` on and calls `fold` with each frame in order. Writes nothing. `control` is its
/// control file, if that is open already.
pub fn recover(
    env: &Env,
    dir: &Path,
    control: Option<Arc<Control>>,
    start: RecoveryStart,
    mode: OpenMode,
    fold: &mut dyn FnMut(&FrameRef<'_>) -> Result<()>,
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
    let (mut segments, headless) = find_segments(env, dir, start.log, LogIndex(start.index.0 + 1))?;
    let first =
        segments.iter().rposition(|s| s.header.first.0 <= start.index.0 + 1).ok_or_else(|| match headless.first() {
            Some(path) => Error::corrupt(format_args!(
                "the header of log segment {} does not verify, so that the commits after log index {} cannot be read; \
                 restore the log from a copy, or open read-only to read the state at that index",
                path.display(),
                start.index
            )),
            None => missing("but its first segments are gone"),
        })?;
    for at in 0..first {
        segments[at].last = LogIndex(segments[at + 1].header.first.0 - 1);
    }
    let mut walk = Walk {
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
        let readable = found.header.require_known(walk.known, &found.path).map_err(|e| (0, e));
        let stop = readable.and_then(|()| walk.segment(&found.header, &bytes, bound));
        let (end, fault) = match stop {
            Ok(end) => (end, None),
            Err((end, fault)) => (end, Some(fault)),
        };
        let expected = LogIndex(walk.last.0 + 1);
        if fault.is_none() && bound == Some(expected) {
            walk.unmarked = None;
            recovered.segments[at].last = walk.last;
            continue;
        }
        // Beyond the limit nothing is looked at: a writer may have begun other segments since that was read.
        let within = walk.last < walk.limit;
        let later = within && recovered.segments[at + 1..].iter().any(|s| s.header.first > expected);
        let mut claim = claimed(env, &bytes, end, &recovered.segments[at + 1..], &walk.salt)?;
        // A segment without a header is one whose making was cut short, unless a mark in it says otherwise.
        for path in &headless {
            claim = claim.max(mark::greatest(&read_file(&*env.disk, path)?, &walk.salt));
        }
        // What comes after a fenced epoch's end is void, durable or not.
        let void = walk.is_void(found.header.epoch, expected);
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
                walk.last
            )));
        } else if start.limit.is_some_and(|limit| walk.last < limit) {
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
        recovered.segments[at].last = walk.last;
        recovered.tail = Some(Tail { at, end, dirty, unmarked: walk.unmarked });
        break;
    }
    recovered.gap = walk.gap;
    recovered.last = walk.last;
    recovered.epoch = walk.epoch;
    recovered.digest = walk.digest;
    if let (Some(tail), false) = (&mut recovered.tail, headless.is_empty()) {
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

    /// Makes the cut real and hands over an appender. With `new_epoch`, or after a failed sync, it begins a new
    /// segment; else it goes on where the last frame ends. Everything recovered is durable afterwards. That a sync had failed
    /// stays noted: until its caller has made the epoch known that begins for it, the next open begins one, too.
    /// Upholds I8 and I38.
    pub fn resume(self, env: &Env, options: LogOptions, new_epoch: Option<(Epoch, WriterId)>) -> Result<Appender> {
        if let Some(damage) = self.damage {
            return Err(damage);
        }
        let tail = self.tail.ok_or_else(|| Error::new(ErrorCode::Internal, "recovery ended without a tail"))?;
        let io = |path: &Path| {
            let path = path.to_owned();
            move |e| Error::own_file("repair log segment", &path, e)
        };
        // What it says to be durable holds after a loss of power, too.
        self.control.lower_durable(self.last)?;
        for (seq, path) in segment_files(&*env.disk, &self.dir)? {
            let last = &self.segments[tail.at];
            // What was never a segment stays: it is not in the way before the log gets there.
            if seq > last.seq && segment::is_of(&*env.disk, &path, last.header.log.file_id, true).map_err(io(&path))? {
                env.disk.remove(&path).map_err(io(&path))?;
            }
        }
        let last = &self.segments[tail.at];
        let file = env.disk.open(&last.path, OpenMode::ReadWrite).map_err(io(&last.path))?;
        let mut older: Vec<SegmentInfo> = self.segments[..tail.at].iter().map(Found::info).collect();
        let end = if self.control.sync_unknown()
            && let Some((from, before, digest)) = tail.unmarked
        {
            // A sync that failed, or that its process was killed in, may have dropped these frames from the disk while the
            // cache still shows them: write them again, to another file, and sync that.
            let mut frames = vec![0; (tail.end - from) as usize];
            file.read_exact_at(&mut frames, from).map_err(io(&last.path))?;
            let header = SegmentHeader { first: LogIndex(before.0 + 1), digest_before: digest, ..last.header };
            let copy = Segment::create(&*env.disk, &self.dir, last.seq + 1, header, &frames, 0)?;
            // They are void here from now on, as is what may follow them; it must not look like commits some day.
            file.set_len(from).and_then(|()| file.sync_data()).map_err(io(&last.path))?;
            older.push(SegmentInfo { last: before, ..last.info() });
            older.push(SegmentInfo { seq: copy.seq, header: copy.header, last: self.last, bytes: copy.end });
            None
        } else {
            if tail.dirty {
                file.set_len(tail.end).map_err(io(&last.path))?;
            }
            if last.last < last.header.first {
                // Perhaps its making failed at the sync: then the header is in the cache and never on the disk.
                file.write_at(&last.header.encode(), 0).map_err(io(&last.path))?;
            }
            self.control.set_syncing()?;
            if let Err(e) = file.sync_data() {
                // The next recovery must not take a sync that succeeds for one of these frames.
                if let Err(unnoted) = self.control.set_sync_failed(true) {
                    tracing::warn!("that a sync failed was not noted: {unnoted}; that it began, was");
                }
                return Err(io(&last.path)(e));
            }
            Some(tail.end)
        };
        env.disk.sync_dir(&self.dir).map_err(io(&self.dir))?;
        self.control.end_syncing()?;
        let digest = self.digest;
        let (epoch, writer_id) = new_epoch.unwrap_or((last.header.epoch, last.header.writer_id));
        match end {
            Some(end) if new_epoch.is_none() => {
                let filled = file.len().map_err(io(&last.path))?;
                let segment =
                    Segment { seq: last.seq, header: last.header, file, path: last.path.clone(), end, filled };
                Appender::resume(env, &self.dir, options, self.control, older, segment, self.last, digest)
            }
            end => {
                if end.is_some() {
                    older.push(last.info());
                }
                let start = (epoch, writer_id, self.last, digest);
                Appender::begin_segment(env, &self.dir, options, last.header.log, self.control, older, start)
            }
        }
    }
}

impl Found {
    fn read(&self, env: &Env) -> Result<Vec<u8>> {
        match &self.file {
            Some(file) => read_all(&**file, &self.path),
            None => read_file(&*env.disk, &self.path),
        }
    }

    fn info(&self) -> SegmentInfo {
        SegmentInfo { seq: self.seq, header: self.header, last: self.last, bytes: self.bytes }
    }
}

/// Walks frames and folds them.
struct Walk<'a> {
    salt: super::Salt,
    last: LogIndex,
    epoch: Epoch,
    digest: Digest,
    limit: LogIndex,
    /// Where a fence ended an epoch.
    end: Option<EpochEnd>,
    last_marked: LogIndex,
    unmarked: Option<(u64, LogIndex, Digest)>,
    /// Whether frames that the database file holds are missing here, up to the end.
    gap: bool,
    /// The greatest feature level that this process reads.
    known: u16,
    fold: &'a mut dyn FnMut(&FrameRef<'_>) -> Result<()>,
}

impl Walk<'_> {
    /// Whether a fence made a frame void. Upholds I28.
    fn is_void(&self, epoch: Epoch, index: LogIndex) -> bool {
        self.end.is_some_and(|end| end.epoch == epoch && index > end.last)
    }

    /// Walks one segment to the place where no further frame verifies, and returns it. An error is a frame that
    /// verifies and yet cannot be folded. Upholds I1 and I44.
    fn segment(&mut self, header: &SegmentHeader, bytes: &[u8], bound: Option<LogIndex>) -> Result<u64, (u64, Error)> {
        let mut at = SEGMENT_HEADER_LEN;
        if header.first <= self.last {
            at = self.skip_folded(header, bytes);
        }
        while let Some(rest) = bytes.get(at..) {
            if let Some(durable) = mark::parse(rest, &self.salt) {
                self.marked(bytes, at, durable);
                at += mark::MARK_LEN;
                continue;
            }
            let expected = LogIndex(self.last.0 + 1);
            let void = self.is_void(header.epoch, expected);
            if bound.is_some_and(|bound| expected >= bound) || expected > self.limit || void {
                break;
            }
            let Some(frame) = FrameRef::parse(rest) else { break };
            if frame.header.log_index != expected || frame.header.epoch != header.epoch {
                break;
            }
            // It verifies and comes next: no torn tail, and no damage, be it that nobody knows yet whether it is durable.
            let read = frame.header.require_known(self.known).and_then(|()| (self.fold)(&frame));
            read.map_err(|e| (at as u64, e))?;
            if expected > self.last_marked && self.unmarked.is_none() {
                self.unmarked = Some((at as u64, self.last, self.digest));
            }
            self.last = expected;
            self.epoch = frame.header.epoch;
            self.digest = frame.header.digest;
            at += frame.bytes.len();
        }
        Ok(at as u64)
    }

    /// Takes note of the mark at `here`. Frames may have been written before it that it does not claim.
    fn marked(&mut self, bytes: &[u8], here: usize, durable: LogIndex) {
        self.last_marked = self.last_marked.max(durable);
        while let Some((at, before, _)) = self.unmarked
            && before < durable
        {
            self.unmarked = None;
            let Some(frame) = bytes.get(at as usize..).and_then(FrameRef::parse_unverified) else { return };
            let mut next = at as usize + frame.bytes.len();
            while bytes.get(next..here).is_some_and(|rest| mark::parse(rest, &self.salt).is_some()) {
                next += mark::MARK_LEN;
            }
            if next < here {
                self.unmarked = Some((next as u64, frame.header.log_index, frame.header.digest));
            }
        }
    }

    /// Where the first frame that is not folded yet may begin. What lies before it is in the database file
    /// already, so damage there does not matter: the place is then sought.
    fn skip_folded(&mut self, header: &SegmentHeader, bytes: &[u8]) -> usize {
        let (mut at, mut next) = (SEGMENT_HEADER_LEN, header.first);
        while next <= self.last {
            let Some(rest) = bytes.get(at..) else {
                self.gap = true;
                break;
            };
            if let Some(durable) = mark::parse(rest, &self.salt) {
                self.last_marked = self.last_marked.max(durable);
                at += mark::MARK_LEN;
                continue;
            }
            match FrameRef::parse_unverified(rest) {
                Some(frame) if frame.header.log_index == next => {
                    at += frame.bytes.len();
                    next = LogIndex(next.0 + 1);
                }
                _ => {
                    let found = self.seek(bytes, at);
                    self.gap = found.is_none();
                    return found.unwrap_or(at);
                }
            }
        }
        at
    }

    fn seek(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let wanted = LogIndex(self.last.0 + 1);
        (from..bytes.len()).step_by(8).find(|&at| {
            FrameRef::parse_unverified(&bytes[at..]).is_some_and(|f| f.header.log_index == wanted)
                && FrameRef::parse(&bytes[at..]).is_some()
        })
    }
}

/// Whether the bytes where a frame should be are none, or end within it.
fn is_cut_short(rest: &[u8]) -> bool {
    super::frame::claimed_len(rest).map_or(rest.len() < super::frame::HEADER_LEN, |len| rest.len() < len)
        || rest.iter().all(|byte| *byte == 0)
}

/// What the control file says to be durable of its current log. It says so after the sync, and takes it back durably
/// before a cut is made real: so no loss of power makes it say more than is there. Upholds I38.
fn durable_by_control(control: &Control, log: LogIdentity) -> Option<LogIndex> {
    (control.current_log() == log).then(|| control.durable())
}

/// The greatest index that a mark after `end`, or in a later segment, claims durable.
/// What a mark claims is not cut (I7).
fn claimed(env: &Env, bytes: &[u8], end: u64, later: &[Found], salt: &super::Salt) -> Result<Option<LogIndex>> {
    let mut claim = bytes.get(end as usize..).and_then(|rest| mark::greatest(rest, salt));
    for found in later {
        claim = claim.max(mark::greatest(&found.read(env)?, salt));
    }
    Ok(claim)
}

/// So many segments are held open at most: those that are read first, and that a writer in another process lets go of first.
const HELD: usize = 16;

/// The segments of `log` in order, and the files beside them whose header does not verify. Of those that may hold frames
/// from `from` on, the first ones are held open. Upholds I12: those of an earlier log are passed over.
fn find_segments(env: &Env, dir: &Path, log: LogIdentity, from: LogIndex) -> Result<(Vec<Found>, Vec<PathBuf>)> {
    let files = segment_files(&*env.disk, dir)?;
    let (mut segments, mut headless) = (Vec::new(), Vec::new());
    let (mut needed, mut held) = (true, VecDeque::new());
    // From the newest on: a sidecar may have more segments than a process may have files open.
    for (seq, path) in files.into_iter().rev() {
        let io = |e| Error::io("read log segment", &path, e);
        let file = match env.disk.open(&path, OpenMode::Read) {
            // Let go of since the folder was listed. If it is needed, that shows below.
            Err(e) if segment::is_none(&e) => continue,
            file => file.map_err(io)?,
        };
        let bytes = file.len().map_err(io)?;
        match segment::read_header(&*file).map_err(io)? {
            Some(header) if header.log == log => {
                let last = LogIndex(header.first.0 - 1);
                segments.push(Found { seq, path: path.clone(), file: needed.then_some(file), header, bytes, last });
                if needed {
                    held.push_back(segments.len() - 1);
                }
                if held.len() > HELD
                    && let Some(newest) = held.pop_front()
                {
                    segments[newest].file = None;
                }
                needed &= header.first > from;
            }
            // Of a log that this database had before it was reseeded.
            Some(header) if header.log.file_id == log.file_id => {}
            Some(_) => {
                return Err(stranger(&path));
            }
            None => headless.push(path.clone()),
        }
    }
    segments.reverse();
    headless.reverse();
    for pair in segments.windows(2) {
        // Where a repair or a new epoch begins anew at the same index, the earlier segment is void from there on.
        if pair[1].header.first < pair[0].header.first {
            return Err(out_of_order(&pair[0].path, &pair[1].path));
        }
    }
    Ok((segments, headless))
}

/// Who wrote the log from which frame on, by the headers of its segments.
pub fn writers(env: &Env, dir: &Path, log: LogIdentity) -> Result<Vec<(Epoch, WriterId, LogIndex)>> {
    let (segments, _) = find_segments(env, dir, log, LogIndex(u64::MAX))?;
    Ok(segments.iter().map(|s| (s.header.epoch, s.header.writer_id, s.header.first)).collect())
}

/// Whether the folder holds a segment of a log of the database `file_id`, as far as it can be read.
pub fn holds_segments_of(env: &Env, dir: &Path, file_id: [u8; 16]) -> bool {
    let of_it = |path: &Path| segment::is_of(&*env.disk, path, file_id, false).unwrap_or(false);
    segment_files(&*env.disk, dir).unwrap_or_default().iter().any(|(_, path)| of_it(path))
}

/// The last frame of a log whose writer is gone, as the recovery of its database will find it. Its segments alone tell:
/// all before the last one is durable (I10), so that only in that one frames may be that do not count. `None` if it
/// has no segment.
pub fn end_of_log(env: &Env, dir: &Path, control: &Arc<Control>, log: LogIdentity) -> Result<Option<LogIndex>> {
    let (segments, _) = find_segments(env, dir, log, LogIndex(u64::MAX))?;
    let Some(last) = segments.last().map(|s| s.header) else { return Ok(None) };
    let index = LogIndex(last.first.0.saturating_sub(1));
    let start = RecoveryStart { log, index, epoch: last.epoch, digest: last.digest_before, limit: None };
    let recovered = recover(env, dir, Some(control.clone()), start, OpenMode::Read, &mut |_| Ok(()))?;
    match (recovered.damage, recovered.short_of) {
        (Some(damage), _) => Err(damage),
        (None, Some(claim)) => Err(ends_early(dir, recovered.last, claim)),
        (None, None) => Ok(Some(recovered.last)),
    }
}

/// Whether the folder holds a log of the database `file_id` with frames beyond `last`, or one of another
/// database: then it must not be removed. Given a log id, logs of that database with another one do not matter.
/// Upholds I13.
pub fn reaches_beyond(
    env: &Env,
    dir: &Path,
    file_id: [u8; 16],
    log_id: Option<[u8; 16]>,
    last: LogIndex,
) -> Result<bool> {
    for (_, path) in segment_files(&*env.disk, dir)? {
        let bytes = match env.disk.open(&path, OpenMode::Read) {
            Err(e) if segment::is_none(&e) => continue,
            file => read_all(&*file.map_err(|e| Error::io("read log segment", &path, e))?, &path)?,
        };
        let Some(header) = SegmentHeader::parse(&bytes) else { continue };
        let beyond = || {
            (SEGMENT_HEADER_LEN..bytes.len()).step_by(8).any(|at| {
                FrameRef::parse_unverified(&bytes[at..]).is_some_and(|f| f.header.log_index > last)
                    && FrameRef::parse(&bytes[at..]).is_some()
            })
        };
        if header.log.file_id == file_id && log_id.is_some_and(|id| id != header.log.log_id) {
            continue;
        }
        let unreadable = header.require_known(env.host.known_level(), &path).is_err();
        if header.log.file_id != file_id || unreadable || beyond() {
            return Ok(true);
        }
    }
    Ok(false)
}
