//! What a reader gives: pages of whole frames, and what its log knows of one index.

use crate::{
    error::{Error, Result},
    graph::{Digest, Epoch, LogIndex},
    log::{FRAMES_PREFIX, FrameHeader, FrameRef, WriterId},
};

/// What a page may hold.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
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
#[non_exhaustive]
pub struct FrameSpan {
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
#[non_exhaustive]
pub struct Chunk {
    /// The number of the segment.
    pub segment: u64,
    /// The epoch of its frames.
    pub epoch: Epoch,
    /// Who wrote them.
    pub writer_id: WriterId,
    /// Where each frame lies in `bytes`.
    pub frames: Vec<FrameSpan>,
    /// Some bytes of room, then the frames, end to end, as they were written. Not verified.
    pub bytes: Vec<u8>,
}

/// Frames after a position.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct LogPage {
    /// In order; one for each stretch of a segment.
    pub chunks: Vec<Chunk>,
    /// Why the next frame, which should be there, could not be read.
    pub fault: Option<Error>,
}

impl LogPage {
    /// A page of frames, each as the log of its source holds it ([`ExportedFrame::bytes`](crate::ExportedFrame::bytes)), of
    /// one segment and one writer, end to end: the first one begins at `segment_offset`.
    ///
    /// # Errors
    /// [`ErrorCode::Corrupt`](crate::ErrorCode::Corrupt) where one of them does not verify.
    pub fn of_frames<'a>(
        (segment, segment_offset): (u64, u64),
        writer_id: WriterId,
        frames: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self> {
        let mut chunk =
            Chunk { segment, epoch: Epoch(0), writer_id, frames: Vec::new(), bytes: vec![0; FRAMES_PREFIX] };
        for bytes in frames {
            let at = chunk.bytes.len();
            let segment_offset = segment_offset + (at - FRAMES_PREFIX) as u64;
            let header = FrameRef::parse(bytes).map(|frame| frame.header).ok_or_else(|| {
                Error::corrupt(format_args!("the frame at byte {segment_offset} of segment {segment} does not verify"))
            })?;
            if !chunk.frames.is_empty() && header.epoch != chunk.epoch {
                let (epoch, one) = (header.epoch, chunk.epoch);
                return Err(Error::corrupt(format_args!("a frame of epoch {epoch} is in a segment of epoch {one}")));
            }
            chunk.epoch = header.epoch;
            chunk.frames.push(FrameSpan { header, at, len: bytes.len(), segment_offset });
            chunk.bytes.extend_from_slice(bytes);
        }
        let chunks = if chunk.frames.is_empty() { Vec::new() } else { vec![chunk] };
        Ok(Self { chunks, fault: None })
    }

    /// How many frames it holds.
    pub fn frame_count(&self) -> usize {
        self.chunks.iter().map(|c| c.frames.len()).sum()
    }

    /// The last frame.
    pub fn last(&self) -> Option<&FrameSpan> {
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
