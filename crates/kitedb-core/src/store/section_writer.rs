//! Writes sections in pieces, so that a run of any size streams through bounded memory and never leaves more
//! than a few MiB for one sync to write.

use super::{
    device::{Device, SyncMark},
    meta::{BLOCK, SectionId, SectionMeta},
    pace::Pace,
    section::Section,
    space::{Lease, Space},
};
use crate::error::{Error, ErrorCode, Result};
use std::sync::Arc;

/// What is written at once. A multiple of [`BLOCK`].
const PIECE: usize = 1 << 20;
/// What may wait for a sync.
const SYNC_EVERY: u64 = 4 << 20;

/// Where all sections of one run are written to.
pub(super) struct Sink<'a> {
    pub space: Arc<Space>,
    mark: SyncMark,
    unsynced: u64,
    pace: &'a mut Pace<'a>,
}

impl<'a> Sink<'a> {
    pub fn new(space: Arc<Space>, pace: &'a mut Pace<'a>) -> Self {
        let mark = space.device.mark();
        Self { space, mark, unsynced: 0, pace }
    }

    pub fn device(&self) -> &Device {
        &self.space.device
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        self.device().write(bytes, offset)?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_EVERY {
            self.sync()?;
        }
        (self.pace)(bytes.len() as u64)
    }

    pub fn sync(&mut self) -> Result<()> {
        self.unsynced = 0;
        self.device().sync(self.mark)
    }
}

/// A section being written.
pub(super) struct SectionWriter {
    id: SectionId,
    width: u8,
    lease: Lease,
    buffer: Vec<u8>,
    /// Bytes of data written to the file: whole pieces.
    written: u64,
    crcs: Vec<u8>,
}

impl SectionWriter {
    /// Begins a section of at most `bound` bytes, whose elements are `width` bytes wide.
    pub fn new(sink: &Sink<'_>, id: SectionId, width: u8, bound: u64) -> Result<Self> {
        let meta = SectionMeta { id, width, offset: 0, len: bound, crc: 0 };
        let lease = sink.space.allocate(meta.stored_len())?;
        Ok(Self { id, width, lease, buffer: Vec::new(), written: 0, crcs: Vec::new() })
    }

    /// Bytes of data so far.
    #[inline]
    pub fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends bytes.
    #[inline]
    pub fn push(&mut self, sink: &mut Sink<'_>, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() < PIECE {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.push_slow(sink, bytes)
    }

    #[cold]
    fn push_slow(&mut self, sink: &mut Sink<'_>, mut bytes: &[u8]) -> Result<()> {
        while self.buffer.len() + bytes.len() >= PIECE {
            let (head, rest) = bytes.split_at(PIECE - self.buffer.len());
            self.buffer.extend_from_slice(head);
            bytes = rest;
            self.flush(sink)?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes the buffer: a whole piece, or the last, padded one.
    fn flush(&mut self, sink: &mut Sink<'_>) -> Result<()> {
        for block in self.buffer.chunks(BLOCK) {
            self.crcs.extend_from_slice(&crc32fast::hash(block).to_le_bytes());
        }
        let extent = self.lease.extent();
        if self.written + (self.buffer.len() + self.crcs.len()) as u64 > extent.len {
            return Err(Error::new(
                ErrorCode::Internal,
                format_args!("{} grew beyond the {} bytes it was announced with", self.id, extent.len),
            ));
        }
        sink.write(&self.buffer, extent.offset + self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the rest and the checksums, and opens the section. `None` if it is empty. Not synced yet.
    pub fn finish(mut self, sink: &mut Sink<'_>) -> Result<Option<Section>> {
        let len = self.len();
        if len == 0 {
            return Ok(None);
        }
        self.buffer.resize(self.buffer.len().next_multiple_of(8), 0);
        if !self.buffer.is_empty() {
            self.flush(sink)?;
        }
        let offset = self.lease.extent().offset;
        let mut at = offset + self.written;
        for piece in self.crcs.chunks(PIECE) {
            sink.write(piece, at)?;
            at += piece.len() as u64;
        }
        self.lease.trim(at - offset);
        let meta = SectionMeta { id: self.id, width: self.width, offset, len, crc: crc32fast::hash(&self.crcs) };
        Section::open(sink.device(), meta, self.lease).map(Some)
    }
}
