//! A segment that is written: how it is made, and how zeros are written ahead of its frames.

use super::{
    SEGMENT_HEADER_LEN, SegmentHeader,
    files::{SEGMENT_DRAFT, path},
    header::is_of,
    order::is_in_its_way,
    removal::unlink,
};
use crate::{
    error::{Error, Result},
    io::{Disk, DiskFile, OpenMode, clear_name},
};
use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Zeros are written ahead in pieces of this size: larger ones make every later append cost more
/// (large folios in the page cache), smaller ones make the filling itself slow.
const FILL_PIECE: usize = 64 << 10;

/// A segment open for appending.
#[derive(Debug)]
pub struct Segment {
    /// Its number: segments are ordered by it.
    pub seq: u64,
    /// Its header.
    pub header: SegmentHeader,
    /// Its file.
    pub file: Arc<dyn DiskFile>,
    /// Where its file is.
    pub path: PathBuf,
    /// Where the next write goes.
    pub end: u64,
    /// Up to where zeros have been written ahead.
    pub filled: u64,
}

impl Segment {
    /// Creates segment `seq` with its header and a first stretch of zeros, durable with its folder entry. Upholds I10.
    pub fn create(disk: &dyn Disk, dir: &Path, seq: u64, header: SegmentHeader, ahead: u64) -> Result<Self> {
        Self::begin(disk, Self::make(disk, dir, seq)?, seq, header, ahead)
    }

    /// Creates segment `seq` with `frames`, durable with its folder entry. It gets its name only once it is whole and durable: who
    /// reads meanwhile, or after a crash, finds the frames where they were, or here. Upholds I10.
    pub fn create_whole(disk: &dyn Disk, dir: &Path, seq: u64, header: SegmentHeader, frames: &[u8]) -> Result<Self> {
        let (path, draft) = (path(dir, seq), dir.join(SEGMENT_DRAFT));
        let io = |e| Error::own_file("create log segment", &path, e);
        match is_of(disk, &draft, header.log.file_id, true).map_err(io)? {
            true => unlink(disk, &draft).map_err(io)?,
            // Whatever it is, it is not ours to remove.
            false => drop(clear_name(disk, &draft, |_| false).map_err(io)?),
        }
        let file = disk.open(&draft, OpenMode::CreateNew).map_err(io)?;
        let start = SEGMENT_HEADER_LEN as u64;
        let made = file
            .write_at(&header.encode(), 0)
            .and_then(|()| file.write_at(frames, start))
            .and_then(|()| file.sync_data())
            .and_then(|()| {
                disk.rename_new(&draft, &path).map_err(|e| match e.kind() {
                    ErrorKind::AlreadyExists => io::Error::new(e.kind(), is_in_its_way(&path)),
                    _ => e,
                })
            });
        if let Err(e) = made {
            // Best effort: the next one that is made goes past it.
            let _ = unlink(disk, &draft);
            return Err(io(e));
        }
        disk.sync_dir(dir).map_err(io)?;
        let end = start + frames.len() as u64;
        Ok(Self { seq, header, file, path, end, filled: end })
    }

    /// Makes the file of segment `seq`. What is there under its name already is not ours, and stays. Upholds I34.
    pub fn make(disk: &dyn Disk, dir: &Path, seq: u64) -> Result<(PathBuf, Arc<dyn DiskFile>)> {
        let path = path(dir, seq);
        match disk.open(&path, OpenMode::CreateNew) {
            Ok(file) => Ok((path, file)),
            Err(e) => {
                let taken = e.kind() == ErrorKind::AlreadyExists;
                let e = if taken { io::Error::new(e.kind(), is_in_its_way(&path)) } else { e };
                Err(Error::own_file("create log segment", &path, e))
            }
        }
    }

    /// Fills the file that [`Segment::make`] made; removes it where that fails.
    pub fn begin(
        disk: &dyn Disk,
        (path, file): (PathBuf, Arc<dyn DiskFile>),
        seq: u64,
        header: SegmentHeader,
        ahead: u64,
    ) -> Result<Self> {
        let attempt = || {
            file.write_at(&header.encode(), 0)?;
            let end = SEGMENT_HEADER_LEN as u64;
            let mut segment = Self { seq, header, file, path: path.clone(), end, filled: end };
            segment.fill_ahead(ahead)?;
            segment.file.sync_data()?;
            disk.sync_dir(path.parent().unwrap_or(Path::new("/")))?;
            Ok(segment)
        };
        attempt().map_err(|e| {
            // Recovery would remove one without a header as well; with a header, see [`discard`](super::discard).
            let _ = unlink(disk, &path);
            Error::own_file("create log segment", &path, e)
        })
    }

    /// Writes zeros from `filled` to `filled + bytes`, so that appends move no metadata.
    pub fn fill_ahead(&mut self, bytes: u64) -> io::Result<()> {
        let zeros = [0u8; FILL_PIECE];
        let goal = self.filled.max(self.end) + bytes;
        while self.filled < goal {
            // The first piece goes up to a multiple of the piece, the others are whole.
            let piece = (FILL_PIECE as u64 - self.filled % FILL_PIECE as u64).min(goal - self.filled);
            self.file.write_at(&zeros[..piece as usize], self.filled)?;
            self.filled += piece;
        }
        Ok(())
    }
}
