//! The salt of a log, as its marks say it: for a control file that is made anew.

use crate::{
    error::Result,
    io::Env,
    log::{
        LogIdentity, Salt,
        segment::{SEGMENT_HEADER_LEN, SegmentHeader, frame::FrameRef, read_file, segment_files, sync_mark},
    },
};
use std::path::Path;

/// What the marks in the newest segment of `log` that has any carry; `None`: it has none. Only a place counts that is
/// reached from the beginning of its segment: a value may hold bytes that look like a mark.
pub fn salt_of(env: &Env, dir: &Path, log: LogIdentity) -> Result<Option<Salt>> {
    for (_, path) in segment_files(&*env.disk, dir)?.into_iter().rev() {
        let bytes = read_file(&*env.disk, &path)?;
        if SegmentHeader::parse(&bytes).is_some_and(|header| header.log == log)
            && let Some(salt) = first_mark(&bytes)
        {
            return Ok(Some(salt));
        }
    }
    Ok(None)
}

fn first_mark(bytes: &[u8]) -> Option<Salt> {
    let mut at = SEGMENT_HEADER_LEN;
    loop {
        let rest = bytes.get(at..)?;
        if let Some((_, salt)) = sync_mark::parse_any(rest) {
            return Some(salt);
        }
        at += FrameRef::parse(rest)?.bytes.len();
    }
}
