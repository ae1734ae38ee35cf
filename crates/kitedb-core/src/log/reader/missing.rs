//! What is missing in a log, and why: let go of, cut, in a segment whose header is damaged, or gone with its segment.

use super::{LogReader, frame_cursor::FrameCursor, unless_gone};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    log::segment::{
        DamagedHeader, SEGMENT_HEADER_LEN, frame::FrameRef, in_its_way, is_in_its_way, out_of_order, stranger,
    },
    shell::command_by_log,
};
use std::path::Path;

impl LogReader {
    /// Why a frame that is in no segment whose header verifies is damaged, and not let go of: the header of its segment does
    /// not verify.
    pub fn damage_at(&self, index: LogIndex) -> Option<Error> {
        let holds = |found: &&DamagedHeader| {
            let next = self.segments.iter().find(|s| s.seq > found.seq);
            let is_there =
                |seq| self.damaged_headers.iter().any(|h| h.seq == seq) || next.is_some_and(|s| s.seq == seq);
            // Where what came after it was let go of, so was this one.
            let kept = next.is_none() || is_there(found.seq + 1);
            kept && next.is_none_or(|s| index < s.header.first) && found.first.is_none_or(|first| first <= index)
        };
        self.damaged_headers.iter().rev().find(holds).map(|found| found.error(index))
    }

    /// That the header of a segment which was not let go of does not verify.
    pub fn damaged_header(&self) -> Option<Error> {
        let index = |found: &DamagedHeader| {
            let next = self.segments.iter().find(|s| s.seq > found.seq);
            let before = next.map(|s| LogIndex(s.header.first.0.saturating_sub(1)));
            // Of the newest one nothing else tells which frames it has.
            found.first.or(before).unwrap_or_else(|| self.control().published().max(LogIndex(1)))
        };
        self.damaged_headers.iter().find_map(|found| self.damage_at(index(found)))
    }

    /// The numbers of segments whose header does not verify and that come before segment `seq`, oldest first.
    pub fn damaged_headers_before(&self, seq: u64) -> impl Iterator<Item = u64> + '_ {
        self.damaged_headers.iter().map(|found| found.seq).take_while(move |found| *found < seq)
    }

    /// Why frame `index`, which should be there, is not.
    pub fn why_missing(&self, index: LogIndex) -> Error {
        self.missing(index, self.segments.iter().rposition(|s| s.header.first <= index))
    }

    /// If the segment that held `index` is gone, though later ones are there: the first frame after the gap.
    pub fn after_gap(&self, index: LogIndex) -> Option<LogIndex> {
        let at = self.segments.iter().rposition(|s| s.header.first <= index)?;
        self.gap_after(at).then(|| self.segments[at + 1].header.first)
    }

    /// Whether the segment after the one at this place is gone, though later ones are there.
    pub(super) fn gap_after(&self, at: usize) -> bool {
        self.segments.get(at + 1).is_some_and(|next| next.seq != self.segments[at].seq + 1)
    }

    /// Whether the frames of the newest segment end before `index`, with nothing but zeros after them, and nothing at all is
    /// there that could be a later segment.
    fn ends_before(&self, at: usize, index: LogIndex) -> Result<bool> {
        let segment = &self.segments[at];
        if segment.seq != self.greatest {
            return Ok(false);
        }
        let mut walk = FrameCursor::new(segment, SEGMENT_HEADER_LEN as u64);
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

    pub(super) fn missing(&self, index: LogIndex, segment: Option<usize>) -> Error {
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

    /// As [`out_of_place`](crate::log::out_of_place), of what was found when it last looked.
    pub fn out_of_place(&self) -> Option<Error> {
        if let Some(path) = self.strangers.first() {
            return Some(stranger(path));
        }
        let mut pairs = self.segments.windows(2);
        let found = pairs.find(|pair| pair[1].header.first < pair[0].header.first)?;
        Some(out_of_order(&found[0].path, &found[1].path))
    }

    /// What the log would meet where it goes on, as [`in_its_way`](crate::log::in_its_way).
    pub fn in_its_way(&self) -> Result<Option<Error>> {
        // Most often nothing is behind the last segment, and nothing is looked at.
        if self.segments.last().is_none_or(|last| last.seq == self.greatest) {
            return Ok(None);
        }
        let found = in_its_way(&self.env, &self.dir, self.log)?;
        Ok(found.first().map(|path| Error::new(ErrorCode::LogMismatch, is_in_its_way(path))))
    }

    /// That commits up to `head`, the last one, are in no segment, though what is before them was not let go of: as far as
    /// that is seen without reading each segment.
    pub fn hole(&self, head: LogIndex) -> Result<Option<Error>> {
        let first = self.missing_between(LogIndex(0), head, false)?;
        let at_end = |at| at + 1 == self.segments.len();
        Ok(first.map(|(at, last)| match self.without(last, &self.segments[at].path) {
            missing if at_end(at) => missing.and(format_args!(
                "nor is anything written here, by who opens it, before what is missing is given up by name ({} says how)",
                command_by_log("repair", &self.dir, "--dry-run")
            )),
            missing => missing,
        }))
    }

    /// The last commit up to `head` that is in no segment, though what is before it is there: as far as [`LogReader::hole`] sees.
    pub fn last_missing(&self, head: LogIndex) -> Result<Option<LogIndex>> {
        Ok(self.missing_between(LogIndex(0), head, true)?.map(|(_, last)| last))
    }

    /// A commit after `after` and up to `head` that is in no segment, as far as [`LogReader::hole`] sees, and why that is so to
    /// who reads it.
    pub fn missing_after(&self, after: LogIndex, head: LogIndex) -> Result<Option<(LogIndex, Error)>> {
        let first = self.missing_between(after, head, false)?;
        Ok(first.map(|(_, last)| (last, self.why_missing(last))))
    }

    /// Where commits after `after` and up to `head` are missing: the place of the segment before them, and the last of them. Of
    /// several such places the first, or the `latest` one.
    fn missing_between(&self, after: LogIndex, head: LogIndex, latest: bool) -> Result<Option<(usize, LogIndex)>> {
        let mut found = None;
        for (at, segment) in self.segments.iter().enumerate() {
            let next = self.segments.get(at + 1);
            if next.is_some_and(|next| next.seq == segment.seq + 1) {
                continue;
            }
            let last = next.map_or(head, |next| LogIndex(next.header.first.0.saturating_sub(1)));
            let counts = last <= self.control.published() && last <= self.last_valid(segment.header.epoch)?;
            if last < segment.header.first || last <= after || !counts {
                continue;
            }
            // What is let go of meanwhile is not missing.
            if let Some(None) = unless_gone(self.seek(segment, last))? {
                found = Some((at, last));
                if !latest {
                    break;
                }
            }
        }
        Ok(found)
    }

    fn without(&self, index: LogIndex, path: &Path) -> Error {
        Error::corrupt(format_args!(
            "the frame with log index {index} is neither in the log segment {} nor in one after it: segments are gone from {}, \
             or cut. Put them back; without them a replica that needs them must be reseeded",
            path.display(),
            self.dir.display()
        ))
    }
}
