//! Finding a frame in a segment that someone else may be writing.
//!
//! There is no index on the disk. Marks are the ways in: a frame follows each, nothing else in a log passes for one, and
//! the appender leaves one in each stretch of some length. A mark is found by bisection, and from there the frame by
//! walking. A value in a frame may hold bytes that look like frames, so no place counts that was not reached in that way;
//! only where damage cuts the way is a frame sought by its looks, up to the next mark. What was found is remembered.

use super::{
    FrameHeader, FrameRef, Salt,
    files::SegmentFile,
    frame::{HEADER_LEN, claimed_len},
    mark::{self, MARK_LEN},
    segment::{SEGMENT_HEADER_LEN, SegmentHeader},
};
use crate::{
    error::{Error, Result},
    graph::LogIndex,
    lock::Mutex,
};
use std::{collections::BTreeMap, path::PathBuf, sync::OnceLock};

/// Bytes that are read at once where nothing tells how many are needed.
pub(super) const PIECE: usize = 64 << 10;
/// Bytes that are read at once on the search for a mark, and to look at one frame.
const SMALL_PIECE: usize = 16 << 10;

/// A segment open for reading.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub seq: u64,
    pub path: PathBuf,
    pub header: SegmentHeader,
    pub file: SegmentFile,
    /// Its bytes, once it is no longer written.
    pub sealed: OnceLock<u64>,
    pub places: Mutex<Places>,
}

/// Where some frames of a segment begin, at least [`PIECE`] from each other.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<LogIndex, u64>);

/// A frame that was sought.
#[derive(Debug, Clone, Copy)]
pub(super) struct FoundFrame {
    /// Where it begins in its segment.
    pub offset: u64,
    pub header: FrameHeader,
    /// Whether it was reached from a mark or from the segment's first frame.
    pub reached: bool,
}

/// A frame, and where it begins.
type Place = (LogIndex, u64);

/// Where a walk ended.
enum Walked {
    /// At the frame sought, if it verifies.
    To(Option<FoundFrame>),
    /// Where this frame should begin.
    Off(LogIndex),
}

impl Places {
    /// Takes note of a published frame that was reached.
    pub fn note(&mut self, index: LogIndex, offset: u64) {
        if self.before(index).is_none_or(|place| place.1 + PIECE as u64 <= offset) {
            self.0.insert(index, offset);
        }
    }

    /// The last place that is not after `index`.
    fn before(&self, index: LogIndex) -> Option<Place> {
        self.0.range(..=index).next_back().map(|(index, offset)| (*index, *offset))
    }

    /// The first place after `index`.
    fn after(&self, index: LogIndex) -> Option<Place> {
        self.0.range(LogIndex(index.0.saturating_add(1))..).next().map(|(index, offset)| (*index, *offset))
    }
}

impl OpenSegment {
    fn start(&self) -> Place {
        (self.header.first, SEGMENT_HEADER_LEN as u64)
    }

    fn error(&self, error: std::io::Error) -> Error {
        Error::io("read log segment", &self.path, error)
    }

    fn is_ours(&self, frame: &FrameRef<'_>) -> bool {
        frame.header.epoch == self.header.epoch && frame.header.log_index >= self.header.first
    }

    /// Where frame `index` begins, and its header. `salt` is that of the log's marks; frames up to `settled` are
    /// published, so that they stay where they are.
    pub fn seek(&self, index: LogIndex, salt: &Salt, settled: LogIndex) -> Result<Option<FoundFrame>> {
        let mut places = self.places.lock();
        let (low, limit) = self.approach(index, &mut places, salt, settled)?;
        match self.walk(low, index, &mut places, salt, settled)? {
            Walked::To(found) => return Ok(found),
            Walked::Off(expected) if expected > settled => return Ok(None),
            Walked::Off(_) => {}
        }
        if low != self.start() {
            // What was there was cut off and written anew since the place was noted. Or it is no place at all: a value
            // may hold a copy of a log, marks and all. The way from the first frame is the right one.
            let mut anew = Places::default();
            if let Walked::To(found) = self.walk(self.start(), index, &mut anew, salt, settled)? {
                *places = anew;
                return Ok(found);
            }
        }
        self.seek_by_looks(index, low.1, limit)
    }

    /// Walks from a place to frame `index`, which is there only if it verifies.
    fn walk(
        &self,
        from: Place,
        index: LogIndex,
        places: &mut Places,
        salt: &Salt,
        settled: LogIndex,
    ) -> Result<Walked> {
        let (mut expected, mut due) = from;
        let mut walk = Walk::new(self, due);
        while let Some((offset, frame)) = walk.next(salt, false)? {
            if frame.header.log_index != expected || frame.header.epoch != self.header.epoch {
                break;
            }
            if offset >= due && expected <= settled {
                places.note(expected, offset);
                due = offset + PIECE as u64;
            }
            if expected == index {
                let found = FoundFrame { offset, header: frame.header, reached: true };
                return Ok(Walked::To(FrameRef::parse(frame.bytes).map(|_| found)));
            }
            expected.0 += 1;
        }
        Ok(Walked::Off(expected))
    }

    /// The nearest place from which frame `index` can be reached, and an offset beyond which it does not begin.
    fn approach(&self, index: LogIndex, places: &mut Places, salt: &Salt, settled: LogIndex) -> Result<(Place, u64)> {
        let mut low = places.before(index).unwrap_or(self.start());
        let mut limit = match places.after(index) {
            Some(after) => after.1,
            None => self.file.len().map_err(|e| self.error(e))?,
        };
        let mut high = limit;
        while high.saturating_sub(low.1) > 2 * PIECE as u64 {
            let middle = (low.1 + (high - low.1) / 2) & !7;
            match self.after_a_mark(middle, high, salt)? {
                Some(found) => {
                    if found.0 <= settled {
                        places.note(found.0, found.1);
                    }
                    if found.0 <= index {
                        low = found;
                    } else {
                        (high, limit) = (middle, found.1);
                    }
                }
                None => high = middle,
            }
        }
        Ok((low, limit))
    }

    /// The first frame that follows a mark which begins between two offsets.
    fn after_a_mark(&self, from: u64, to: u64, salt: &Salt) -> Result<Option<Place>> {
        let mut buffer = vec![0; SMALL_PIECE + MARK_LEN];
        let mut base = from;
        while base < to {
            let read = read_up_to(&self.file, &mut buffer, base).map_err(|e| self.error(e))?;
            let here = SMALL_PIECE.min((to - base) as usize);
            for at in (0..here).step_by(8) {
                let Some(bytes) = buffer[..read].get(at..at + MARK_LEN) else { return Ok(None) };
                if !mark::looks_like_one(bytes) || mark::parse(bytes, salt).is_none() {
                    continue;
                }
                let mut walk = Walk { piece: SMALL_PIECE, ..Walk::new(self, base + (at + MARK_LEN) as u64) };
                if let Some((offset, frame)) = walk.next(salt, true)?.filter(|(_, frame)| self.is_ours(frame)) {
                    return Ok(Some((frame.header.log_index, offset)));
                }
            }
            base += SMALL_PIECE as u64;
        }
        Ok(None)
    }

    /// As [`OpenSegment::seek`], looking at each place between two offsets where a frame may begin: frames verify
    /// themselves.
    fn seek_by_looks(&self, index: LogIndex, from: u64, to: u64) -> Result<Option<FoundFrame>> {
        let mut bytes = vec![0; to.saturating_sub(from) as usize];
        let read = read_up_to(&self.file, &mut bytes, from).map_err(|e| self.error(e))?;
        bytes.truncate(read);
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= HEADER_LEN) {
            let looks = FrameRef::parse_unverified(rest).filter(|frame| self.is_ours(frame));
            match looks.and_then(|_| FrameRef::parse(rest)) {
                Some(frame) if frame.header.log_index == index => {
                    return Ok(Some(FoundFrame { offset: from + at as u64, header: frame.header, reached: false }));
                }
                Some(frame) => at += frame.bytes.len(),
                None => at += 8,
            }
        }
        Ok(None)
    }
}

/// Reads as many bytes as there are, up to the length of `buffer`.
fn read_up_to(file: &SegmentFile, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let file = file.get()?;
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64)? {
            0 => break,
            n => done += n,
        }
    }
    Ok(done)
}

/// Walks the frames of a segment, piece by piece.
pub(super) struct Walk<'a> {
    segment: &'a OpenSegment,
    /// Where `buffer` begins in the segment.
    base: u64,
    buffer: Vec<u8>,
    at: usize,
    piece: usize,
    /// Whether the buffer reaches the end of the file.
    ended: bool,
}

impl<'a> Walk<'a> {
    pub fn new(segment: &'a OpenSegment, base: u64) -> Self {
        Self { segment, base, buffer: Vec::new(), at: 0, piece: PIECE, ended: false }
    }

    /// The next frame and its offset; `None` where none is. The content is not verified unless asked for.
    pub fn next(&mut self, salt: &Salt, verify: bool) -> Result<Option<(u64, FrameRef<'_>)>> {
        loop {
            let rest = &self.buffer[self.at.min(self.buffer.len())..];
            if mark::parse(rest, salt).is_some() {
                self.at += MARK_LEN;
                continue;
            }
            let len = if rest.len() < HEADER_LEN { None } else { claimed_len(rest) };
            match len {
                Some(len) if len <= rest.len() => break,
                None if rest.len() >= HEADER_LEN => return Ok(None),
                _ if self.ended => return Ok(None),
                needed => self.fill(needed.unwrap_or(0))?,
            }
        }
        let (start, at) = (self.at, self.base + self.at as u64);
        let rest = &self.buffer[start..];
        let frame = if verify { FrameRef::parse(rest) } else { FrameRef::parse_unverified(rest) };
        if let Some(frame) = &frame {
            self.at += frame.bytes.len();
        }
        Ok(frame.map(|frame| (at, frame)))
    }

    /// Whether nothing but zeros follows where no frame is any more.
    pub fn rest_is_zero(&mut self) -> Result<bool> {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            if rest.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if self.ended {
                return Ok(true);
            }
            self.at = self.buffer.len();
            self.fill(0)?;
        }
    }

    /// Reads on from the current place: a piece, or `needed` bytes if that is more.
    fn fill(&mut self, needed: usize) -> Result<()> {
        let segment = self.segment;
        self.base += self.at as u64;
        self.at = 0;
        let left = segment.file.len().map_err(|e| segment.error(e))?.saturating_sub(self.base);
        let wanted = self.piece.max(needed).min(usize::try_from(left).unwrap_or(usize::MAX));
        self.ended = wanted as u64 == left;
        // A poll of the tail reads little, a replica that is far behind reads much at once.
        self.piece = (2 * self.piece).min(1 << 20);
        self.buffer.resize(wanted, 0);
        let read = read_up_to(&segment.file, &mut self.buffer, self.base).map_err(|e| segment.error(e))?;
        self.buffer.truncate(read);
        self.ended |= read < wanted;
        Ok(())
    }
}
