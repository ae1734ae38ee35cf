//! Reading a log that someone else may be writing, in this process or another: pages of whole frames after a
//! position, for replicas and for export. Nothing is written, and no lock is held.
//!
//! Where a frame is, `seek` finds out. A read that goes on where the last one ended seeks nothing.

mod frame_cursor;
mod missing;
mod open_files;
mod open_segment;
mod page;
mod seek;

pub(super) use open_files::OpenFiles;
pub(super) use open_segment::OpenSegment;
pub use page::{Chunk, FrameSpan, LogPage, PageLimits, Position};

use super::{
    Control, LogIdentity,
    append::FRAMES_PREFIX,
    segment::{self, DamagedHeader, SEGMENT_HEADER_LEN, SegmentHeader},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex},
    io::{Env, OpenMode},
    lock::Mutex,
};
use frame_cursor::FrameCursor;
use open_segment::PIECE;
use seek::FoundFrame;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// See the [module documentation](self).
#[derive(Debug)]
pub struct LogReader {
    env: Env,
    dir: PathBuf,
    control: Arc<Control>,
    log: LogIdentity,
    files: Arc<OpenFiles>,
    segments: Vec<Arc<OpenSegment>>,
    /// Segments of other databases, by number.
    strangers: Vec<PathBuf>,
    /// Segments whose header does not verify, oldest first.
    damaged_headers: Vec<DamagedHeader>,
    /// The greatest number that the name of a segment has, whatever it is.
    greatest: u64,
    hint: Option<Hint>,
    refreshes: u64,
}

/// A file that bears the name of a segment.
enum NamedFile {
    Segment(Arc<OpenSegment>),
    Damaged(DamagedHeader),
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
            damaged_headers: Vec::new(),
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
            self.damaged_headers.clear();
        }
        let names =
            self.env.disk.list(&self.dir).map_err(|e| Error::own_file("list the folder of the log", &self.dir, e))?;
        let mut seqs: Vec<u64> = names.iter().filter_map(|name| segment::parse_name(name)).collect();
        seqs.sort_unstable();
        self.greatest = seqs.last().copied().unwrap_or(0);
        let (mut segments, mut damaged_headers) = (Vec::with_capacity(seqs.len()), Vec::new());
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
                Some(NamedFile::Segment(segment)) => segments.push(segment),
                Some(NamedFile::Damaged(found)) => damaged_headers.push(found),
                Some(NamedFile::Stranger(path)) => self.strangers.push(path),
                None => {}
            }
        }
        if segments.is_empty() && self.control.has_not_begun(self.log.log_id) {
            // What a log before this one left.
            damaged_headers.clear();
        }
        (self.segments, self.damaged_headers) = (segments, damaged_headers);
        Ok(())
    }

    fn open_segment(&self, seq: u64) -> Result<Option<NamedFile>> {
        let path = segment::path(&self.dir, seq);
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
                let (sealed, starts) = (OnceLock::new(), Mutex::default());
                Some(NamedFile::Segment(Arc::new(OpenSegment { seq, path, header, file, sealed, starts })))
            }
            Some(header) if header.log.file_id != self.log.file_id => Some(NamedFile::Stranger(path)),
            // Of another log of this database.
            Some(_) => None,
            None => match self.damaged_headers.iter().find(|known| known.seq == seq) {
                Some(known) => Some(NamedFile::Damaged(known.clone())),
                None => DamagedHeader::look(&*open, &path, seq, self.log.file_id, &self.control.salt())?
                    .map(NamedFile::Damaged),
            },
        })
    }

    /// The last frame of `epoch` that no fence made void. Upholds I28.
    fn last_valid(&self, epoch: Epoch) -> Result<LogIndex> {
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

    /// The state digest after the frame with that index; `None` where this log does not tell.
    pub fn digest_at(&mut self, index: LogIndex) -> Result<Option<Digest>> {
        self.refresh()?;
        // Also where the segment before is damaged.
        if let Some(next) = self.segments.iter().rfind(|s| s.header.first.0 == index.0 + 1).map(|s| s.header)
            && index <= self.last_valid(next.epoch)?
        {
            return Ok(Some(next.digest_before));
        }
        Ok(match self.position(index)? {
            Position::At { digest, .. } | Position::Before { digest } => Some(digest),
            Position::BelowFloor | Position::Beyond(_) => None,
        })
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

    /// The last frame after `after` up to which each one can be read, published or not; `after` if the next one cannot.
    pub fn readable_after(&mut self, after: LogIndex) -> LogIndex {
        let limits = PageLimits { max_frames: 1 << 12, max_bytes: 1 << 20, through: LogIndex(u64::MAX) };
        let mut last = after;
        loop {
            let page = self.read(last, limits).unwrap_or_default();
            match page.chunks.last().and_then(|chunk| chunk.frames.last()) {
                Some(frame) if page.fault.is_none() => last = frame.header.log_index,
                Some(frame) => return frame.header.log_index,
                None => return last,
            }
        }
    }

    /// Whether the file of a segment was removed or replaced since it was opened.
    fn is_gone(&self, segment: &OpenSegment) -> bool {
        self.env.disk.identity(&segment.path).ok() != Some(segment.file.identity())
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
        let mut walk = FrameCursor::new(segment, offset);
        let (mut expected, mut full) = (next, false);
        let mut starts = segment.starts.lock();
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
            let place = FrameSpan { header: frame.header, at: chunk.bytes.len(), len, segment_offset: at };
            chunk.bytes.extend_from_slice(frame.bytes);
            chunk.frames.push(place);
            if at >= due && expected <= settled {
                starts.note(expected, at);
                due = at + PIECE as u64;
            }
            expected = LogIndex(expected.0 + 1);
            self.hint = Some(Hint { segment: segment.seq, index: expected, offset: at + len as u64, reached });
        }
        Ok((full || !chunk.frames.is_empty()).then_some((chunk, full)))
    }

    fn seek(&self, segment: &OpenSegment, index: LogIndex) -> Result<Option<FoundFrame>> {
        segment.header.require_known(self.env.host.known_level(), &segment.path)?;
        segment.seek(index, &self.control.salt(), self.control.published())
    }
}

/// What was read of a segment; `None` if its file was removed or replaced since it was opened.
fn unless_gone<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
        read => read.map(Some),
    }
}
