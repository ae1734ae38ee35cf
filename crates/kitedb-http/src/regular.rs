//! Files that are read at the start, and again when they change: whatever takes their place, no read of them waits or has no end.

use rustix::fs::{Mode, OFlags, open};
use std::{
    fs::{File, Metadata},
    io::{self, Read},
    path::Path,
};

/// Bytes of such a file at most.
const MAX_LENGTH: u64 = 1 << 20;

/// Opens a regular file. Without a wait, as an open of a pipe that nobody writes to would have.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    let file = File::from(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?);
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata)),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}

/// All that is in it.
pub(crate) fn read_bounded(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_LENGTH + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 <= MAX_LENGTH {
        true => Ok(bytes),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than 1 MiB")),
    }
}
