//! What a reader gives: pages of whole frames, and what its log knows of one index.

use crate::{
    error::Error,
    graph::{Digest, Epoch, LogIndex},
    log::{FrameHeader, WriterId},
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
pub struct Chunk {
    /// The number of the segment.
    pub segment: u64,
    /// The epoch of its frames.
    pub epoch: Epoch,
    /// Who wrote them.
    pub writer_id: WriterId,
    /// Where each frame lies in `bytes`.
    pub frames: Vec<FrameSpan>,
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
