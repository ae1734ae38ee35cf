//! Reading the frames of a segment one after the other, piece by piece.

use super::{
    open_files::SegmentFile,
    open_segment::{OpenSegment, PIECE},
};
use crate::{
    error::Result,
    log::{
        Salt,
        segment::{
            frame::{FrameRef, HEADER_LEN, claimed_len},
            sync_mark::{self, MARK_LEN},
        },
    },
};

/// Reads as many bytes as there are, up to the length of `buffer`.
pub(super) fn read_up_to(file: &SegmentFile, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
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
pub(super) struct FrameCursor<'a> {
    segment: &'a OpenSegment,
    /// Where `buffer` begins in the segment.
    base: u64,
    buffer: Vec<u8>,
    at: usize,
    piece: usize,
    /// Whether the buffer reaches the end of the file.
    ended: bool,
}

impl<'a> FrameCursor<'a> {
    pub fn new(segment: &'a OpenSegment, base: u64) -> Self {
        Self { segment, base, buffer: Vec::new(), at: 0, piece: PIECE, ended: false }
    }

    /// Reads `piece` bytes at once, to begin with.
    #[must_use]
    pub fn in_pieces_of(self, piece: usize) -> Self {
        Self { piece, ..self }
    }

    /// The next frame and its offset; `None` where none is. The content is not verified unless asked for.
    pub fn next(&mut self, salt: &Salt, verify: bool) -> Result<Option<(u64, FrameRef<'_>)>> {
        loop {
            let rest = &self.buffer[self.at.min(self.buffer.len())..];
            if sync_mark::parse(rest, salt).is_some() {
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
