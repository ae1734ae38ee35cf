//! A segment open for reading, and the places in it that are known.

use super::open_files::SegmentFile;
use crate::{
    error::Error,
    graph::LogIndex,
    lock::Mutex,
    log::segment::{SEGMENT_HEADER_LEN, SegmentHeader, frame::FrameRef},
};
use std::{collections::BTreeMap, path::PathBuf, sync::OnceLock};

/// Bytes that are read at once where nothing tells how many are needed.
pub(super) const PIECE: usize = 64 << 10;

/// A segment open for reading.
#[derive(Debug)]
pub(in crate::log) struct OpenSegment {
    pub seq: u64,
    pub path: PathBuf,
    pub header: SegmentHeader,
    pub file: SegmentFile,
    /// Its bytes, once it is no longer written.
    pub sealed: OnceLock<u64>,
    pub starts: Mutex<FrameStarts>,
}

/// Where some frames of a segment begin, at least [`PIECE`] from each other.
#[derive(Debug, Default)]
pub(in crate::log) struct FrameStarts(BTreeMap<LogIndex, u64>);

/// A frame, and where it begins.
pub(super) type FrameStart = (LogIndex, u64);

impl OpenSegment {
    pub(super) fn start(&self) -> FrameStart {
        (self.header.first, SEGMENT_HEADER_LEN as u64)
    }

    pub(super) fn error(&self, error: std::io::Error) -> Error {
        Error::io("read log segment", &self.path, error)
    }

    pub(super) fn is_ours(&self, frame: &FrameRef<'_>) -> bool {
        frame.header.epoch == self.header.epoch && frame.header.log_index >= self.header.first
    }
}

impl FrameStarts {
    /// Takes note of a published frame that was reached.
    pub fn note(&mut self, index: LogIndex, offset: u64) {
        if self.before(index).is_none_or(|place| place.1 + PIECE as u64 <= offset) {
            self.0.insert(index, offset);
        }
    }

    /// The last place that is not after `index`.
    pub fn before(&self, index: LogIndex) -> Option<FrameStart> {
        self.0.range(..=index).next_back().map(|(index, offset)| (*index, *offset))
    }

    /// The first place after `index`.
    pub fn after(&self, index: LogIndex) -> Option<FrameStart> {
        self.0.range(LogIndex(index.0.saturating_add(1))..).next().map(|(index, offset)| (*index, *offset))
    }
}
