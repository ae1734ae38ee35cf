//! What others ask of a log without opening its database: who wrote it, where it ends, and whether it goes beyond a commit.

use super::{RecoveryStart, ends_early, recover, segments::find_segments};
use crate::{
    error::{Error, Result},
    graph::{Digest, Epoch, LogIndex},
    io::{Env, OpenMode},
    log::{
        Control, LogIdentity, WriterId,
        segment::{self, SEGMENT_HEADER_LEN, SegmentHeader, frame::FrameRef, read_all, segment_files},
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Who wrote the log from which frame on, by the headers of its segments.
pub fn writers(env: &Env, dir: &Path, log: LogIdentity) -> Result<Vec<(Epoch, WriterId, LogIndex)>> {
    let (segments, _) = find_segments(env, dir, log, LogIndex(u64::MAX))?;
    Ok(segments.iter().map(|s| (s.header.epoch, s.header.writer_id, s.header.first)).collect())
}

/// Whether the folder holds a segment of a log of the database `file_id`, as far as it can be read.
pub fn holds_segments_of(env: &Env, dir: &Path, file_id: [u8; 16]) -> bool {
    let of_it = |path: &Path| segment::is_of(&*env.disk, path, file_id, false).unwrap_or(false);
    segment_files(&*env.disk, dir).unwrap_or_default().iter().any(|(_, path)| of_it(path))
}

/// Whether `log` has a segment in `dir`, or had one, as `control` says: then that is missed where it does not end as its file
/// says, for the newest one never goes. What does not say any more of which log it is, counts unless that one is known not to
/// have begun.
pub fn has_segments(env: &Env, dir: &Path, control: Option<&Control>, log: LogIdentity) -> Result<bool> {
    let (segments, damaged_headers) = find_segments(env, dir, log, LogIndex(u64::MAX))?;
    let begun = control.is_some_and(|control| control.has_begun(log.log_id));
    let unknown = control.is_none_or(|control| !control.has_not_begun(log.log_id));
    let may_be = |path: &PathBuf| segment::is_of(&*env.disk, path, log.file_id, false).unwrap_or(true);
    Ok(begun || !segments.is_empty() || (unknown && damaged_headers.iter().any(may_be)))
}

/// The last frame of a log whose writer is gone, as the recovery of its database will find it. Its segments alone tell:
/// all before the last one is durable (I10), so that only in that one frames may be that do not count. `None` if it
/// has no segment.
pub fn end_of_log(env: &Env, dir: &Path, control: &Arc<Control>, log: LogIdentity) -> Result<Option<LogIndex>> {
    let (segments, _) = find_segments(env, dir, log, LogIndex(u64::MAX))?;
    let Some(last) = segments.last().map(|s| s.header) else { return Ok(None) };
    let index = LogIndex(last.first.0.saturating_sub(1));
    let start = RecoveryStart { log, index, epoch: last.epoch, digest: last.digest_before, limit: None };
    let recovered = recover(env, dir, Some(control.clone()), start, OpenMode::Read, &mut |_, _| Ok(()))?;
    match (recovered.damage, recovered.short_of) {
        (Some(damage), _) => Err(damage),
        (None, Some(claim)) => Err(ends_early(dir, recovered.last, claim)),
        (None, None) => Ok(Some(recovered.last)),
    }
}

/// Whether `log` begins after the commit `last`, at which the state has that digest, and holds nothing yet: it goes on from there,
/// and its making was cut short before its database named it, or the first frame was written.
pub fn begins_after(env: &Env, dir: &Path, log: LogIdentity, (last, digest): (LogIndex, Digest)) -> Result<bool> {
    let Some(control) = Control::open(&*env.disk, dir, OpenMode::Read)?.map(Arc::new) else { return Ok(false) };
    let (segments, _) = find_segments(env, dir, log, LogIndex(u64::MAX))?;
    let [only] = &segments[..] else { return Ok(false) };
    let begins = (only.header.first.0, only.header.digest_before) == (last.0 + 1, digest);
    Ok(begins && end_of_log(env, dir, &control, log)? == Some(last))
}

/// Whether the folder holds a log of the database `file_id` with frames beyond `last`, or one of another
/// database: then it must not be removed. Given a log id, logs of that database with another one do not matter.
/// Upholds I13.
pub fn reaches_beyond(
    env: &Env,
    dir: &Path,
    file_id: [u8; 16],
    log_id: Option<[u8; 16]>,
    last: LogIndex,
) -> Result<bool> {
    for (_, path) in segment_files(&*env.disk, dir)? {
        let bytes = match env.disk.open(&path, OpenMode::Read) {
            Err(e) if segment::is_none(&e) => continue,
            file => read_all(&*file.map_err(|e| Error::io("read log segment", &path, e))?, &path)?,
        };
        let Some(header) = SegmentHeader::parse(&bytes) else { continue };
        let beyond = || {
            (SEGMENT_HEADER_LEN..bytes.len()).step_by(8).any(|at| {
                FrameRef::parse_unverified(&bytes[at..]).is_some_and(|f| f.header.log_index > last)
                    && FrameRef::parse(&bytes[at..]).is_some()
            })
        };
        if header.log.file_id == file_id && log_id.is_some_and(|id| id != header.log.log_id) {
            continue;
        }
        let unreadable = header.require_known(env.host.known_level(), &path).is_err();
        if header.log.file_id != file_id || unreadable || beyond() {
            return Ok(true);
        }
    }
    Ok(false)
}
