//! Which segments of a folder are the log, one after the other: what was put among them, and what is missing between them.

use super::{
    LogIdentity,
    reader::{LogReader, unless_gone},
    segment::{self, SegmentHeader, segment_files},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    io::{Env, OpenMode},
};
use std::path::Path;

/// The error of a segment of another database among those of a log.
pub fn stranger(path: &Path) -> Error {
    let what = format_args!(
        "the log segment {} belongs to another database: move it away; if it took the place of a segment of this log, put that \
         one back",
        path.display()
    );
    Error::new(ErrorCode::LogMismatch, what)
}

/// The error of two segments of one log of which the later one begins with an earlier frame.
pub fn out_of_order(before: &Path, path: &Path) -> Error {
    Error::corrupt(format_args!(
        "the log segments {} and {} are out of order: one of them is a copy of another segment, or bears the name of one: move \
         it away, or put the right one back",
        before.display(),
        path.display()
    ))
}

/// What is among the segments in `dir` that cannot belong to `log` there, if anything is.
pub fn out_of_place(env: &Env, dir: &Path, log: LogIdentity) -> Result<Option<Error>> {
    let mut before: Option<(SegmentHeader, std::path::PathBuf)> = None;
    for (_, path) in segment_files(&*env.disk, dir)? {
        let io = |e| Error::io("read log segment", &path, e);
        let file = match env.disk.open(&path, OpenMode::Read) {
            Err(e) if segment::is_none(&e) => continue,
            file => file.map_err(io)?,
        };
        match segment::read_header(&*file).map_err(io)? {
            Some(header) if header.log.file_id != log.file_id => return Ok(Some(stranger(&path))),
            Some(header) if header.log == log => {
                if let Some((_, before)) = before.filter(|(before, _)| header.first < before.first) {
                    return Ok(Some(out_of_order(&before, &path)));
                }
                before = Some((header, path));
            }
            // Of a log that this database had before it was reseeded, or without a header.
            _ => {}
        }
    }
    Ok(None)
}

impl LogReader {
    /// As [`out_of_place`], of what was found when it last looked.
    pub fn out_of_place(&self) -> Option<Error> {
        if let Some(path) = self.strangers.first() {
            return Some(stranger(path));
        }
        let mut pairs = self.segments.windows(2);
        let found = pairs.find(|pair| pair[1].header.first < pair[0].header.first)?;
        Some(out_of_order(&found[0].path, &found[1].path))
    }

    /// That commits up to `head`, the last one, are in no segment, though what is before them was not let go of: as far as
    /// that is seen without reading each segment.
    pub fn hole(&self, head: LogIndex) -> Result<Option<Error>> {
        let first = self.missing_between(LogIndex(0), head, false)?;
        Ok(first.map(|(at, last)| self.without(last, &self.segments[at].path)))
    }

    /// The last commit up to `head` that is in no segment, though what is before it is there: as far as [`LogReader::hole`] sees.
    pub fn last_missing(&self, head: LogIndex) -> Result<Option<LogIndex>> {
        Ok(self.missing_between(LogIndex(0), head, true)?.map(|(_, last)| last))
    }

    /// A commit after `after` and up to `head` that is in no segment, as far as [`LogReader::hole`] sees, and why that is so to
    /// who reads it.
    pub fn missing_after(&self, after: LogIndex, head: LogIndex) -> Result<Option<(LogIndex, Error)>> {
        let first = self.missing_between(after, head, false)?;
        Ok(first.map(|(_, last)| (last, self.why_missing(last))))
    }

    /// Where commits after `after` and up to `head` are missing: the place of the segment before them, and the last of them. Of
    /// several such places the first, or the `latest` one.
    fn missing_between(&self, after: LogIndex, head: LogIndex, latest: bool) -> Result<Option<(usize, LogIndex)>> {
        let mut found = None;
        for (at, segment) in self.segments.iter().enumerate() {
            let next = self.segments.get(at + 1);
            if next.is_some_and(|next| next.seq == segment.seq + 1) {
                continue;
            }
            let last = next.map_or(head, |next| LogIndex(next.header.first.0.saturating_sub(1)));
            let counts = last <= self.control.published() && last <= self.last_valid(segment.header.epoch)?;
            if last < segment.header.first || last <= after || !counts {
                continue;
            }
            // What is let go of meanwhile is not missing.
            if let Some(None) = unless_gone(self.seek(segment, last))? {
                found = Some((at, last));
                if !latest {
                    break;
                }
            }
        }
        Ok(found)
    }

    fn without(&self, index: LogIndex, path: &Path) -> Error {
        Error::corrupt(format_args!(
            "the frame with log index {index} is neither in the log segment {} nor in one after it: segments are gone from {}, \
             or cut. Put them back; without them a replica that needs them must be reseeded",
            path.display(),
            self.dir.display()
        ))
    }
}
