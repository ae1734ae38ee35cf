//! Finding a frame in a segment that someone else may be writing.
//!
//! There is no index on the disk. Marks are the ways in: a frame follows each, nothing else in a log passes for one, and
//! the appender leaves one in each stretch of some length. A mark is found by bisection, and from there the frame by
//! walking. A value in a frame may hold bytes that look like frames, so no place counts that was not reached in that way;
//! only where damage cuts the way is a frame sought by its looks, up to the next mark. What was found is remembered.

use super::{
    frame_cursor::{FrameCursor, read_up_to},
    open_segment::{FrameStart, FrameStarts, OpenSegment, PIECE},
};
use crate::{
    error::Result,
    graph::LogIndex,
    log::{
        Salt,
        segment::{
            frame::{FrameHeader, FrameRef, HEADER_LEN},
            sync_mark::{self, MARK_LEN},
        },
    },
};

/// Bytes that are read at once on the search for a mark, and to look at one frame.
const SMALL_PIECE: usize = 16 << 10;

/// A frame that was sought.
#[derive(Debug, Clone, Copy)]
pub(in crate::log) struct FoundFrame {
    /// Where it begins in its segment.
    pub offset: u64,
    pub header: FrameHeader,
    /// Whether it was reached from a mark or from the segment's first frame.
    pub reached: bool,
}

/// Where a walk ended.
enum Walked {
    /// At the frame sought, if it verifies.
    To(Option<FoundFrame>),
    /// Where this frame should begin.
    Off(LogIndex),
}

impl OpenSegment {
    /// Where frame `index` begins, and its header. `salt` is that of the log's marks; frames up to `settled` are
    /// published, so that they stay where they are.
    pub fn seek(&self, index: LogIndex, salt: &Salt, settled: LogIndex) -> Result<Option<FoundFrame>> {
        let mut starts = self.starts.lock();
        let (low, limit) = self.approach(index, &mut starts, salt, settled)?;
        match self.walk(low, index, &mut starts, salt, settled)? {
            Walked::To(found) => return Ok(found),
            Walked::Off(expected) if expected > settled => return Ok(None),
            Walked::Off(_) => {}
        }
        if low != self.start() {
            // What was there was cut off and written anew since the place was noted. Or it is no place at all: a value
            // may hold a copy of a log, marks and all. The way from the first frame is the right one.
            let mut anew = FrameStarts::default();
            if let Walked::To(found) = self.walk(self.start(), index, &mut anew, salt, settled)? {
                *starts = anew;
                return Ok(found);
            }
        }
        self.seek_by_looks(index, low.1, limit)
    }

    /// Walks from a place to frame `index`, which is there only if it verifies.
    fn walk(
        &self,
        from: FrameStart,
        index: LogIndex,
        starts: &mut FrameStarts,
        salt: &Salt,
        settled: LogIndex,
    ) -> Result<Walked> {
        let (mut expected, mut due) = from;
        let mut walk = FrameCursor::new(self, due);
        while let Some((offset, frame)) = walk.next(salt, false)? {
            if frame.header.log_index != expected || frame.header.epoch != self.header.epoch {
                break;
            }
            if offset >= due && expected <= settled {
                starts.note(expected, offset);
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
    fn approach(
        &self,
        index: LogIndex,
        starts: &mut FrameStarts,
        salt: &Salt,
        settled: LogIndex,
    ) -> Result<(FrameStart, u64)> {
        let mut low = starts.before(index).unwrap_or(self.start());
        let mut limit = match starts.after(index) {
            Some(after) => after.1,
            None => self.file.len().map_err(|e| self.error(e))?,
        };
        let mut high = limit;
        while high.saturating_sub(low.1) > 2 * PIECE as u64 {
            let middle = (low.1 + (high - low.1) / 2) & !7;
            match self.after_a_mark(middle, high, salt)? {
                Some(found) => {
                    if found.0 <= settled {
                        starts.note(found.0, found.1);
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
    fn after_a_mark(&self, from: u64, to: u64, salt: &Salt) -> Result<Option<FrameStart>> {
        let mut buffer = vec![0; SMALL_PIECE + MARK_LEN];
        let mut base = from;
        while base < to {
            let read = read_up_to(&self.file, &mut buffer, base).map_err(|e| self.error(e))?;
            let here = SMALL_PIECE.min((to - base) as usize);
            for at in (0..here).step_by(8) {
                let Some(bytes) = buffer[..read].get(at..at + MARK_LEN) else { return Ok(None) };
                if !sync_mark::looks_like_one(bytes) || sync_mark::parse(bytes, salt).is_none() {
                    continue;
                }
                let mut walk = FrameCursor::new(self, base + (at + MARK_LEN) as u64).in_pieces_of(SMALL_PIECE);
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
