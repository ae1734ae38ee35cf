//! Which segments of a folder are the log, one after the other, and what was put among them.

use super::{
    files::{is_none, segment_files},
    header::{SegmentHeader, is_of, read_header},
};
use crate::{
    error::{Error, ErrorCode, Result},
    io::{Env, OpenMode},
    log::LogIdentity,
    shell::command_by_log,
};
use std::path::{Path, PathBuf};

/// The error of a segment of another database among those of a log.
pub fn stranger(path: &Path) -> Error {
    let what = format_args!(
        "the log segment {} belongs to another database: move it away; if it took the place of a segment of this log, put that \
         one back",
        path.display()
    );
    Error::new(ErrorCode::LogMismatch, what).with_path(path)
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

/// What bears the name of a segment behind the last one of `log` in `dir` and is none of its database, newest first: where the
/// log goes on, it would meet that. What has the header of another database is told by [`out_of_place`].
pub fn in_its_way(env: &Env, dir: &Path, log: LogIdentity) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for (_, path) in segment_files(&*env.disk, dir)?.into_iter().rev() {
        let io = |e| Error::io("read log segment", &path, e);
        let header = match env.disk.open(&path, OpenMode::Read) {
            // Let go of meanwhile.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            // A folder, a pipe or a link.
            Err(e) if is_none(&e) => None,
            file => read_header(&*file.map_err(io)?).map_err(io)?,
        };
        match header {
            Some(header) if header.log == log => return Ok(found),
            None if !is_of(&*env.disk, &path, log.file_id, true).map_err(io)? => found.push(path),
            _ => {}
        }
    }
    // One without a segment begins behind all that is there.
    Ok(Vec::new())
}

/// What is told of what is [in the way](in_its_way) of a log.
pub fn is_in_its_way(path: &Path) -> String {
    format!(
        "{} has the name of a segment and is not known to be of this database: the log cannot go on past it; move it away, or let \
         a repair put it aside ({}, Database::repair)",
        path.display(),
        command_by_log("repair", path.parent().unwrap_or(path), "")
    )
}
