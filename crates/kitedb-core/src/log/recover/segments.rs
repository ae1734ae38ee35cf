//! The segments of one log in a folder, in order.

use crate::{
    error::{Error, Result},
    graph::LogIndex,
    io::{DiskFile, Env, OpenMode},
    log::{
        LogIdentity, SegmentInfo,
        segment::{self, SegmentHeader, out_of_order, read_all, read_file, segment_files, stranger},
    },
};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A segment that was found, and may be read.
#[derive(Debug)]
pub(super) struct LogSegment {
    pub seq: u64,
    pub path: PathBuf,
    /// Open from the moment it was found: a writer in another process may let go of it before it is read.
    pub file: Option<Arc<dyn DiskFile>>,
    pub header: SegmentHeader,
    pub bytes: u64,
    pub last: LogIndex,
}

impl LogSegment {
    pub fn read(&self, env: &Env) -> Result<Vec<u8>> {
        match &self.file {
            Some(file) => read_all(&**file, &self.path),
            None => read_file(&*env.disk, &self.path),
        }
    }

    pub fn info(&self) -> SegmentInfo {
        SegmentInfo { seq: self.seq, header: self.header, last: self.last, bytes: self.bytes }
    }
}

/// So many segments are held open at most: those that are read first, and that a writer in another process lets go of first.
const HELD: usize = 16;

/// The segments of `log` in order, and the files beside them whose header does not verify. Of those that may hold frames
/// from `from` on, the first ones are held open. Upholds I12: those of an earlier log are passed over.
pub(super) fn find_segments(
    env: &Env,
    dir: &Path,
    log: LogIdentity,
    from: LogIndex,
) -> Result<(Vec<LogSegment>, Vec<PathBuf>)> {
    let files = segment_files(&*env.disk, dir)?;
    let (mut segments, mut damaged_headers) = (Vec::new(), Vec::new());
    let (mut needed, mut held) = (true, VecDeque::new());
    // From the newest on: a sidecar may have more segments than a process may have files open.
    for (seq, path) in files.into_iter().rev() {
        let io = |e| Error::io("read log segment", &path, e);
        let file = match env.disk.open(&path, OpenMode::Read) {
            // Let go of since the folder was listed. If it is needed, that shows below.
            Err(e) if segment::is_none(&e) => continue,
            file => file.map_err(io)?,
        };
        let bytes = file.len().map_err(io)?;
        match segment::read_header(&*file).map_err(io)? {
            Some(header) if header.log == log => {
                let last = LogIndex(header.first.0 - 1);
                segments.push(LogSegment {
                    seq,
                    path: path.clone(),
                    file: needed.then_some(file),
                    header,
                    bytes,
                    last,
                });
                if needed {
                    held.push_back(segments.len() - 1);
                }
                if held.len() > HELD
                    && let Some(newest) = held.pop_front()
                {
                    segments[newest].file = None;
                }
                needed &= header.first > from;
            }
            // Of a log that this database had before it was reseeded.
            Some(header) if header.log.file_id == log.file_id => {}
            Some(_) => {
                return Err(stranger(&path));
            }
            None => damaged_headers.push(path.clone()),
        }
    }
    segments.reverse();
    damaged_headers.reverse();
    for pair in segments.windows(2) {
        // Where a repair or a new epoch begins anew at the same index, the earlier segment is void from there on.
        if pair[1].header.first < pair[0].header.first {
            return Err(out_of_order(&pair[0].path, &pair[1].path));
        }
    }
    Ok((segments, damaged_headers))
}
