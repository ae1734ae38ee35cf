//! Reading a log that someone else may be writing, in this process or another: pages of whole frames after a
//! position, for replicas and for export. Nothing is written, and no lock is held.
//!
//! Where a frame is, `seek` finds out. A read that goes on where the last one ended seeks nothing.

use super::{
    Control, FrameHeader, FrameRef, LogIdentity, WriterId,
    append::{FRAMES_PREFIX, segment_path},
    files::OpenFiles,
    headless::Headless,
    seek::{FoundFrame, OpenSegment, PIECE, Walk},
    segment::{self, SEGMENT_HEADER_LEN, SegmentHeader},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex},
    io::{Env, OpenMode},
    lock::Mutex,
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// What a page may hold.
#[derive(Debug, Clone, Copy)]
pub struct PageLimits {
    /// The most frames.
    pub max_frames: usize,
    /// The most bytes of frames; one frame is given all the same, however long.
    pub max_bytes: usize,
    /// No frame beyond this index.
    pub through: LogIndex,
}

/// Where a frame lies in a [`Chunk`].
#[derive(Debug, Clone, Copy)]
pub struct FramePlace {
    /// What it says of itself.
    pub header: FrameHeader,
    /// Where it begins in the chunk's bytes.
    pub at: usize,
    /// Its bytes, padding included.
    pub len: usize,
    /// Where it begins in its segment.
    pub segment_offset: u64,
}

/// Frames of one segment that follow each other.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The number of the segment.
    pub segment: u64,
    /// The epoch of its frames.
    pub epoch: Epoch,
    /// Who wrote them.
    pub writer_id: WriterId,
    /// Where each frame lies in `bytes`.
    pub frames: Vec<FramePlace>,
    /// [`FRAMES_PREFIX`] bytes of room, then the frames, end to end, as they were written. Not verified.
    pub bytes: Vec<u8>,
}

/// Frames after a position.
#[derive(Debug, Default)]
pub struct LogPage {
    /// In order; one for each stretch of a segment.
    pub chunks: Vec<Chunk>,
    /// Why the next frame, which should be there, could not be read.
    pub fault: Option<Error>,
}

impl LogPage {
    /// How many frames it holds.
    pub fn frame_count(&self) -> usize {
        self.chunks.iter().map(|c| c.frames.len()).sum()
    }

    /// The last frame.
    pub fn last(&self) -> Option<&FramePlace> {
        self.chunks.last().and_then(|c| c.frames.last())
    }
}

/// What a log knows of one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// It has that frame.
    At {
        /// The frame's epoch.
        epoch: Epoch,
        /// Who wrote it.
        writer_id: WriterId,
        /// The state digest after it.
        digest: Digest,
    },
    /// It begins right after that frame.
    Before {
        /// The state digest there.
        digest: Digest,
    },
    /// It begins later: what follows the frame is gone.
    BelowFloor,
    /// It ends before. Whose frame that would be, if it were there: the epoch that it ends in, and who wrote that.
    Beyond(Option<(Epoch, WriterId)>),
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct LogReader {
    env: Env,
    pub(super) dir: PathBuf,
    pub(super) control: Arc<Control>,
    log: LogIdentity,
    files: Arc<OpenFiles>,
    pub(super) segments: Vec<Arc<OpenSegment>>,
    /// Segments of other databases, by number.
    pub(super) strangers: Vec<PathBuf>,
    /// Segments whose header does not verify, oldest first.
    headless: Vec<Headless>,
    /// The greatest number that the name of a segment has, whatever it is.
    greatest: u64,
    hint: Option<Hint>,
    refreshes: u64,
}

/// What bears the name of a segment.
enum Found {
    Segment(Arc<OpenSegment>),
    Headless(Headless),
    /// Of another database.
    Stranger(PathBuf),
}

/// Where the frame after the last one that was read begins.
#[derive(Debug, Clone, Copy)]
struct Hint {
    segment: u64,
    index: LogIndex,
    offset: u64,
    /// As [`FoundFrame::reached`].
    reached: bool,
}

impl LogReader {
    /// Opens the log in `dir`.
    pub fn open(env: &Env, dir: &Path) -> Result<Self> {
        let control = match Control::open(&*env.disk, dir, OpenMode::ReadWrite) {
            Err(_) => Control::open(&*env.disk, dir, OpenMode::Read)?,
            found => found?,
        };
        let control = control.ok_or_else(|| {
            let what =
                format_args!("there is no replication log in {}: is its database open as a primary?", dir.display());
            Error::new(ErrorCode::SourceUnavailable, what)
        })?;
        Self::with_control(env, dir, Arc::new(control))
    }

    /// Opens the log in `dir` whose control file is open already.
    pub fn with_control(env: &Env, dir: &Path, control: Arc<Control>) -> Result<Self> {
        let log = control.current_log();
        let mut reader = Self {
            env: env.clone(),
            dir: dir.to_owned(),
            control,
            log,
            files: OpenFiles::new(env.disk.clone()),
            segments: Vec::new(),
            strangers: Vec::new(),
            headless: Vec::new(),
            greatest: 0,
            hint: None,
            refreshes: 0,
        };
        reader.refresh()?;
        Ok(reader)
    }

    /// The control file.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// The first frame of the first segment; `None` if there is no segment.
    pub fn floor(&self) -> Option<LogIndex> {
        self.segments.first().map(|s| s.header.first)
    }

    /// How often it has looked which segments there are.
    pub fn refreshes(&self) -> u64 {
        self.refreshes
    }

    /// The number, header and bytes of each segment, oldest first.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = (u64, SegmentHeader, u64)> + '_ {
        let last = self.segments.len().saturating_sub(1);
        self.segments.iter().enumerate().map(move |(at, s)| {
            let bytes = || s.file.len().unwrap_or(0);
            (s.seq, s.header, if at < last { *s.sealed.get_or_init(bytes) } else { bytes() })
        })
    }

    /// The header of each segment, oldest first.
    pub fn headers(&self) -> impl Iterator<Item = &SegmentHeader> {
        self.segments.iter().map(|s| &s.header)
    }

    /// If the segment that held `index` is gone, though later ones are there: the first frame after the gap.
    pub fn after_gap(&self, index: LogIndex) -> Option<LogIndex> {
        let at = self.segments.iter().rposition(|s| s.header.first <= index)?;
        self.gap_after(at).then(|| self.segments[at + 1].header.first)
    }

    /// When frame `index` was committed, ms since 1970; `None` if it is not there.
    pub fn commit_ms(&mut self, index: LogIndex) -> Result<Option<u64>> {
        let Some(segment) = self.segments.iter().rfind(|s| s.header.first <= index).cloned() else { return Ok(None) };
        Ok(unless_gone(self.seek(&segment, index))?.flatten().map(|found| found.header.commit_ms))
    }

    /// Looks which segments there are.
    pub fn refresh(&mut self) -> Result<()> {
        self.refreshes += 1;
        let log = self.control.current_log();
        if log != self.log {
            (self.log, self.hint) = (log, None);
            self.segments.clear();
            self.headless.clear();
        }
        let names =
            self.env.disk.list(&self.dir).map_err(|e| Error::own_file("list the folder of the log", &self.dir, e))?;
        let mut seqs: Vec<u64> = names.iter().filter_map(|name| segment::parse_name(name)).collect();
        seqs.sort_unstable();
        self.greatest = seqs.last().copied().unwrap_or(0);
        let (mut segments, mut headless) = (Vec::with_capacity(seqs.len()), Vec::new());
        self.strangers.clear();
        for seq in seqs {
            let known = self.segments.binary_search_by_key(&seq, |s| s.seq).ok().map(|at| self.segments[at].clone());
            // The newest one may be that of a rotation that failed, and another one be in its place by now.
            let newest = self.segments.last().is_some_and(|s| s.seq == seq);
            let known =
                known.filter(|s| !newest || self.env.disk.identity(&s.path).is_ok_and(|now| now == s.file.identity()));
            if let Some(known) = known {
                segments.push(known);
                continue;
            }
            match self.open_segment(seq)? {
                Some(Found::Segment(segment)) => segments.push(segment),
                Some(Found::Headless(found)) => headless.push(found),
                Some(Found::Stranger(path)) => self.strangers.push(path),
                None => {}
            }
        }
        if segments.is_empty() && self.control.has_not_begun(self.log.log_id) {
            // What a log before this one left.
            headless.clear();
        }
        (self.segments, self.headless) = (segments, headless);
        Ok(())
    }

    fn open_segment(&self, seq: u64) -> Result<Option<Found>> {
        let path = segment_path(&self.dir, seq);
        let io = |e| Error::io("read log segment", &path, e);
        let file = match self.files.open(&path) {
            // Let go of since the list was made.
            Err(e) if segment::is_none(&e) => return Ok(None),
            file => file.map_err(io)?,
        };
        let open = match file.get() {
            Err(e) if segment::is_none(&e) => return Ok(None),
            open => open.map_err(io)?,
        };
        Ok(match segment::read_header(&*open).map_err(io)? {
            Some(header) if header.log == self.log => {
                let (sealed, places) = (OnceLock::new(), Mutex::default());
                Some(Found::Segment(Arc::new(OpenSegment { seq, path, header, file, sealed, places })))
            }
            Some(header) if header.log.file_id != self.log.file_id => Some(Found::Stranger(path)),
            // Of another log of this database.
            Some(_) => None,
            None => match self.headless.iter().find(|known| known.seq == seq) {
                Some(known) => Some(Found::Headless(known.clone())),
                None => {
                    Headless::look(&*open, &path, seq, self.log.file_id, &self.control.salt())?.map(Found::Headless)
                }
            },
        })
    }

    /// Why a frame that is in no segment whose header verifies is damaged, and not let go of: the header of its segment does
    /// not verify.
    pub fn damage_at(&self, index: LogIndex) -> Option<Error> {
        let holds = |found: &&Headless| {
            let next = self.segments.iter().find(|s| s.seq > found.seq);
            let is_there = |seq| self.headless.iter().any(|h| h.seq == seq) || next.is_some_and(|s| s.seq == seq);
            // Where what came after it was let go of, so was this one.
            let kept = next.is_none() || is_there(found.seq + 1);
            kept && next.is_none_or(|s| index < s.header.first) && found.first.is_none_or(|first| first <= index)
        };
        self.headless.iter().rev().find(holds).map(|found| found.error(index))
    }

    /// That the header of a segment which was not let go of does not verify.
    pub fn damaged_header(&self) -> Option<Error> {
        let index = |found: &Headless| {
            let next = self.segments.iter().find(|s| s.seq > found.seq);
            found.first.or(next.map(|s| LogIndex(s.header.first.0.saturating_sub(1)))).unwrap_or(LogIndex(u64::MAX))
        };
        self.headless.iter().find_map(|found| self.damage_at(index(found)))
    }

    /// The numbers of segments whose header does not verify and that come before segment `seq`, oldest first.
    pub fn headless_before(&self, seq: u64) -> impl Iterator<Item = u64> + '_ {
        self.headless.iter().map(|found| found.seq).take_while(move |found| *found < seq)
    }

    /// Why frame `index`, which should be there, is not.
    pub fn why_missing(&self, index: LogIndex) -> Error {
        self.missing(index, self.segments.iter().rposition(|s| s.header.first <= index))
    }

    /// The last frame of `epoch` that no fence made void. Upholds I28.
    pub(super) fn last_valid(&self, epoch: Epoch) -> Result<LogIndex> {
        Ok(match self.control.fence()?.ended {
            Some(end) if end.epoch == epoch => end.last,
            _ => LogIndex(u64::MAX),
        })
    }

    /// What this log knows of `index`.
    pub fn position(&mut self, index: LogIndex) -> Result<Position> {
        self.refresh()?;
        let Some(at) = self.segments.iter().rposition(|s| s.header.first <= index) else {
            let before = self.segments.first().filter(|s| s.header.first.0 == index.0 + 1);
            return Ok(match before {
                Some(first) => Position::Before { digest: first.header.digest_before },
                None if self.segments.is_empty() => Position::Beyond(None),
                None => Position::BelowFloor,
            });
        };
        let segment = self.segments[at].clone();
        let SegmentHeader { epoch, writer_id, .. } = segment.header;
        let beyond = Position::Beyond(Some((epoch, writer_id)));
        if index > self.last_valid(epoch)? {
            return Ok(beyond);
        }
        let Some(found) = unless_gone(self.seek(&segment, index))? else {
            // It was let go of since: each time that happens, fewer are there.
            return self.position(index);
        };
        let Some(found) = found else { return Ok(beyond) };
        Ok(Position::At { epoch, writer_id, digest: found.header.digest })
    }

    /// Reads frames after `after`. An error that ends a page early is in it, beside the frames before.
    pub fn read(&mut self, after: LogIndex, limits: PageLimits) -> Result<LogPage> {
        let mut page = LogPage::default();
        let (mut next, mut frames, mut bytes) = (LogIndex(after.0 + 1), limits.max_frames.max(1), limits.max_bytes);
        let mut refreshed = false;
        // Before any look which segments there are: what is published by then is in one of them.
        let published = self.control.published();
        while next <= limits.through && frames > 0 && (bytes > 0 || page.chunks.is_empty()) {
            let found = self.segments.iter().rposition(|s| s.header.first <= next);
            let chunk = match found {
                Some(at) => {
                    let bound = self.segments.get(at + 1).map_or(LogIndex(u64::MAX), |s| s.header.first);
                    let segment = self.segments[at].clone();
                    let valid = self.last_valid(segment.header.epoch)?;
                    if next > valid && bound == LogIndex(u64::MAX) {
                        if refreshed {
                            if next <= published {
                                // It is in no segment that can be told from one that was never made.
                                page.fault = Some(self.missing(next, Some(at)));
                            }
                            break;
                        }
                        // The epoch after this one may have begun since the last look.
                        self.refresh()?;
                        refreshed = true;
                        continue;
                    }
                    let through = limits.through.min(LogIndex(bound.0 - 1)).min(valid);
                    let first = page.chunks.is_empty();
                    if let Err(e) = segment.header.require_known(self.env.host.known_level(), &segment.path) {
                        Err(e)
                    } else if self.is_gone(&segment) {
                        // It can still be read, but what it holds is not kept any more.
                        self.segments.remove(at);
                        Ok(None)
                    } else {
                        unless_gone(self.read_segment(&segment, next, through, (frames, bytes, first)))
                            .map(Option::flatten)
                    }
                }
                None => Ok(None),
            };
            match chunk {
                Ok(Some((chunk, full))) => {
                    frames -= chunk.frames.len();
                    bytes = bytes.saturating_sub(chunk.bytes.len() - FRAMES_PREFIX);
                    next = LogIndex(chunk.frames.last().map_or(next.0, |f| f.header.log_index.0 + 1));
                    if !chunk.frames.is_empty() {
                        page.chunks.push(chunk);
                    }
                    refreshed = false;
                    if full {
                        break;
                    }
                }
                // The writer may have begun another segment, or let go of this one.
                _ if !refreshed => {
                    self.refresh()?;
                    self.hint = None;
                    refreshed = true;
                }
                Err(e) => {
                    page.fault = Some(e);
                    break;
                }
                Ok(None) => {
                    let found = self.segments.iter().rposition(|s| s.header.first <= next);
                    page.fault = Some(self.missing(next, found));
                    break;
                }
            }
        }
        Ok(page)
    }

    /// Whether the file of a segment was removed or replaced since it was opened.
    fn is_gone(&self, segment: &OpenSegment) -> bool {
        self.env.disk.identity(&segment.path).ok() != Some(segment.file.identity())
    }

    /// Whether the segment after the one at this place is gone, though later ones are there.
    fn gap_after(&self, at: usize) -> bool {
        self.segments.get(at + 1).is_some_and(|next| next.seq != self.segments[at].seq + 1)
    }

    /// Whether the frames of the newest segment end before `index`, with nothing but zeros after them, and nothing at all is
    /// there that could be a later segment.
    fn ends_before(&self, at: usize, index: LogIndex) -> Result<bool> {
        let segment = &self.segments[at];
        if segment.seq != self.greatest {
            return Ok(false);
        }
        let mut walk = Walk::new(segment, SEGMENT_HEADER_LEN as u64);
        let mut next = segment.header.first;
        while let Some((_, frame)) = walk.next(&self.control.salt(), false)? {
            if frame.header.log_index != next || FrameRef::parse(frame.bytes).is_none() {
                return Ok(false);
            }
            next.0 += 1;
        }
        Ok(next <= index && walk.rest_is_zero()?)
    }

    /// What is not there, nor anything after it, is no retention: that begins with the oldest segment.
    fn absent(&self, index: LogIndex) -> Error {
        Error::new(
            ErrorCode::SourceUnavailable,
            format_args!(
                "the segment with log index {index} is not in {}, nor any later one: is that folder being moved, restored or \
                 mounted? It is tried again. If it stays so, the segment is lost: put it back, or reseed who needs it",
                self.dir.display()
            ),
        )
    }

    fn missing(&self, index: LogIndex, segment: Option<usize>) -> Error {
        let dir = self.dir.display();
        if let Some(damage) = self.damage_at(index) {
            return damage;
        }
        // What a fence counted and a loss of power took does not come back.
        let published = index <= self.control.published();
        match (segment, self.floor()) {
            (Some(at), _) if self.gap_after(at) => Error::new(
                ErrorCode::NeedsReseed,
                format_args!(
                    "needs reseed: missing log range, the frame with log index {index} is not in {} and the next segment \
                     is gone",
                    self.segments[at].path.display()
                ),
            ),
            (Some(at), _) if at + 1 < self.segments.len() => Error::new(
                ErrorCode::NeedsReseed,
                format_args!(
                    "needs reseed: the frame with log index {index} does not verify in {} (CRC mismatch, or replication \
                     frame truncated), and later ones are there",
                    self.segments[at].path.display()
                ),
            ),
            (Some(at), _) if published && self.ends_before(at, index).unwrap_or(false) => self.absent(index),
            (Some(at), _) => Error::corrupt(format_args!(
                "the frame with log index {index} does not verify, or is not there, in log segment {} (CRC mismatch, \
                 replication frame truncated or removed)",
                self.segments[at].path.display()
            )),
            (None, Some(floor)) => Error::new(
                ErrorCode::NeedsReseed,
                format_args!("needs reseed: log index {index} is below retained floor {floor} of {dir}"),
            ),
            (None, None) if published && self.control.has_begun(self.log.log_id) => self.absent(index),
            (None, None) => Error::new(
                ErrorCode::NeedsReseed,
                format_args!("needs reseed: the frame with log index {index} is gone, {dir} holds no segment"),
            ),
        }
    }

    /// Frames of one segment from `next` on, within the limits: frames, bytes, and whether a first frame is given
    /// however long it is. The flag: a limit ended them. `None` if the first one is not there.
    fn read_segment(
        &mut self,
        segment: &OpenSegment,
        next: LogIndex,
        through: LogIndex,
        (max_frames, max_bytes, first_page): (usize, usize, bool),
    ) -> Result<Option<(Chunk, bool)>> {
        let (offset, reached) = match self.hint {
            Some(hint) if hint.segment == segment.seq && hint.index == next => (hint.offset, hint.reached),
            _ if next == segment.header.first => (SEGMENT_HEADER_LEN as u64, true),
            _ => match self.seek(segment, next)? {
                Some(found) => (found.offset, found.reached),
                None => return Ok(None),
            },
        };
        // What is not published yet may still be written anew, elsewhere.
        let settled = if reached { self.control.published() } else { LogIndex(0) };
        let SegmentHeader { epoch, writer_id, .. } = segment.header;
        let mut chunk =
            Chunk { segment: segment.seq, epoch, writer_id, frames: Vec::new(), bytes: vec![0; FRAMES_PREFIX] };
        let mut walk = Walk::new(segment, offset);
        let (mut expected, mut full) = (next, false);
        let mut places = segment.places.lock();
        let mut due = offset;
        while expected <= through {
            if chunk.frames.len() == max_frames {
                full = true;
                break;
            }
            let Some((at, frame)) = walk.next(&self.control.salt(), false)? else { break };
            if frame.header.log_index != expected || frame.header.epoch != epoch {
                break;
            }
            let len = frame.bytes.len();
            let alone = first_page && chunk.frames.is_empty();
            if chunk.bytes.len() - FRAMES_PREFIX + len > max_bytes && !alone {
                full = true;
                break;
            }
            let place = FramePlace { header: frame.header, at: chunk.bytes.len(), len, segment_offset: at };
            chunk.bytes.extend_from_slice(frame.bytes);
            chunk.frames.push(place);
            if at >= due && expected <= settled {
                places.note(expected, at);
                due = at + PIECE as u64;
            }
            expected = LogIndex(expected.0 + 1);
            self.hint = Some(Hint { segment: segment.seq, index: expected, offset: at + len as u64, reached });
        }
        Ok((full || !chunk.frames.is_empty()).then_some((chunk, full)))
    }

    pub(super) fn seek(&self, segment: &OpenSegment, index: LogIndex) -> Result<Option<FoundFrame>> {
        segment.header.require_known(self.env.host.known_level(), &segment.path)?;
        segment.seek(index, &self.control.salt(), self.control.published())
    }
}

/// What was read of a segment; `None` if its file was removed or replaced since it was opened.
pub(super) fn unless_gone<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
        read => read.map(Some),
    }
}
