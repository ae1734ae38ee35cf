//! Segments whose header does not verify. What is in them is damaged, and was not let go of.

use super::{SEGMENT_HEADER_LEN, files::read_all, frame::FrameRef, header::is_damaged_header_of, sync_mark};
use crate::{
    error::{Error, Result},
    graph::LogIndex,
    io::DiskFile,
    log::Salt,
};
use std::path::{Path, PathBuf};

/// A segment of this database without a header that verifies.
#[derive(Debug, Clone)]
pub struct DamagedHeader {
    pub seq: u64,
    pub path: PathBuf,
    /// Its first frame, if that can be read.
    pub first: Option<LogIndex>,
}

impl DamagedHeader {
    /// What the file is that bears the name of segment `seq` and has no header: `None` if it is still being made, or is none
    /// of the database `file_id`.
    pub fn look(file: &dyn DiskFile, path: &Path, seq: u64, file_id: [u8; 16], salt: &Salt) -> Result<Option<Self>> {
        let bytes = read_all(file, path)?;
        let first = first_frame(&bytes, salt);
        let ours = first.is_some() || is_damaged_header_of(&bytes, file_id);
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
pub fn first_frame(bytes: &[u8], salt: &Salt) -> Option<LogIndex> {
    let rest = bytes.get(SEGMENT_HEADER_LEN..)?;
    let rest = if sync_mark::parse(rest, salt).is_some() { rest.get(sync_mark::MARK_LEN..)? } else { rest };
    FrameRef::parse(rest).map(|frame| frame.header.log_index)
}
