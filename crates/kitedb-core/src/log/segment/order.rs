//! Which segments of a folder are the log, one after the other, and what was put among them.

use super::{
    files::{is_none, segment_files},
    header::{SegmentHeader, read_header},
};
use crate::{
    error::{Error, ErrorCode, Result},
    io::{Env, OpenMode},
    log::LogIdentity,
};
use std::path::{Path, PathBuf};

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
    let mut before: Option<(SegmentHeader, PathBuf)> = None;
    for (_, path) in segment_files(&*env.disk, dir)? {
        let io = |e| Error::io("read log segment", &path, e);
        let file = match env.disk.open(&path, OpenMode::Read) {
            Err(e) if is_none(&e) => continue,
            file => file.map_err(io)?,
        };
        match read_header(&*file).map_err(io)? {
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
