//! Segments whose header does not verify. What is in them is damaged, and was not let go of.

use super::{
    FrameRef, Salt, mark,
    segment::{self, SEGMENT_HEADER_LEN},
};
use crate::{
    error::{Error, Result},
    graph::LogIndex,
    io::DiskFile,
};
use std::path::{Path, PathBuf};

/// A segment of this database without a header that verifies.
#[derive(Debug, Clone)]
pub(super) struct Headless {
    pub seq: u64,
    pub path: PathBuf,
    /// Its first frame, if that can be read.
    pub first: Option<LogIndex>,
}

impl Headless {
    /// What the file is that bears the name of segment `seq` and has no header: `None` if it is still being made, or is none
    /// of the database `file_id`.
    pub fn look(file: &dyn DiskFile, path: &Path, seq: u64, file_id: [u8; 16], salt: &Salt) -> Result<Option<Self>> {
        let bytes = segment::read_all(file, path)?;
        let first = first_frame(&bytes, salt);
        let ours = first.is_some() || segment::is_headless_of(&bytes, file_id);
        Ok(ours.then(|| Self { seq, path: path.to_owned(), first }))
    }

    /// That frame `index` cannot be read.
    pub fn error(&self, index: LogIndex) -> Error {
        Error::corrupt(format_args!(
            "the header of log segment {} does not verify, so that the frame with log index {index} cannot be read: put a \
             sound copy of it back, or reseed who needs it; it was not let go of",
            self.path.display()
        ))
    }
}

/// The index of the frame that a segment begins with, if it verifies.
pub(super) fn first_frame(bytes: &[u8], salt: &Salt) -> Option<LogIndex> {
    let rest = bytes.get(SEGMENT_HEADER_LEN..)?;
    let rest = if mark::parse(rest, salt).is_some() { rest.get(mark::MARK_LEN..)? } else { rest };
    FrameRef::parse(rest).map(|frame| frame.header.log_index)
}
