//! The replay of a log: its frames, one segment after the other, given to the fold up to the place where none verifies.

use super::Fold;
use crate::{
    error::{Error, Result},
    graph::{Digest, Epoch, LogIndex},
    log::{
        EpochEnd, Salt,
        segment::{SEGMENT_HEADER_LEN, SegmentHeader, frame::FrameRef, sync_mark},
    },
};

/// Walks frames and folds them.
pub(super) struct Replay<'a> {
    pub salt: Salt,
    pub last: LogIndex,
    pub epoch: Epoch,
    pub digest: Digest,
    pub limit: LogIndex,
    /// Where a fence ended an epoch.
    pub end: Option<EpochEnd>,
    pub last_marked: LogIndex,
    pub unmarked: Option<(u64, LogIndex, Digest)>,
    /// Whether frames that the database file holds are missing here, up to the end.
    pub gap: bool,
    /// The greatest feature level that this process reads.
    pub known: u16,
    pub fold: &'a mut Fold<'a>,
}

impl Replay<'_> {
    /// Whether a fence made a frame void. Upholds I28.
    pub fn is_void(&self, epoch: Epoch, index: LogIndex) -> bool {
        self.end.is_some_and(|end| end.epoch == epoch && index > end.last)
    }

    /// Walks one segment to the place where no further frame verifies, and returns it. An error is a frame that
    /// verifies and yet cannot be folded. Upholds I1 and I44.
    pub fn segment(
        &mut self,
        header: &SegmentHeader,
        bytes: &[u8],
        bound: Option<LogIndex>,
    ) -> Result<u64, (u64, Error)> {
        let mut at = SEGMENT_HEADER_LEN;
        if header.first <= self.last {
            at = self.skip_folded(header, bytes);
        }
        while let Some(rest) = bytes.get(at..) {
            if let Some(durable) = sync_mark::parse(rest, &self.salt) {
                self.marked(bytes, at, durable);
                at += sync_mark::MARK_LEN;
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
            let read = frame.header.require_known(self.known).and_then(|()| (self.fold)(&frame, &header.writer_id));
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
            while bytes.get(next..here).is_some_and(|rest| sync_mark::parse(rest, &self.salt).is_some()) {
                next += sync_mark::MARK_LEN;
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
            if let Some(durable) = sync_mark::parse(rest, &self.salt) {
                self.last_marked = self.last_marked.max(durable);
                at += sync_mark::MARK_LEN;
                continue;
            }
            match FrameRef::parse_unverified(rest) {
                Some(frame) if frame.header.log_index == next => {
                    at += frame.bytes.len();
                    next = LogIndex(next.0 + 1);
                }
                _ => {
                    let found = self.seek(bytes, at).or_else(|| self.seek_end(bytes, at));
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

    /// Where the last frame ends that the database file holds: no other one has its digest.
    fn seek_end(&self, bytes: &[u8], from: usize) -> Option<usize> {
        (from..bytes.len()).step_by(8).find_map(|at| {
            let looks = FrameRef::parse_unverified(&bytes[at..])?.header;
            let is_it = (looks.log_index, looks.epoch, looks.digest) == (self.last, self.epoch, self.digest);
            is_it.then(|| FrameRef::parse(&bytes[at..]).map(|frame| at + frame.bytes.len())).flatten()
        })
    }
}
