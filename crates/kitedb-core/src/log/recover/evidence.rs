//! What the segments in a folder prove, whatever the file and the control file beside them say: each of the two may be gone,
//! or be an older copy that was put back under segments which went on.
//!
//! Headers say which log of which database a segment is of, and who wrote it; frames verify themselves. Which log came last,
//! the numbers of segments say: a log begins after every number that is taken.

use super::salt_from_marks::salt_of;
use crate::{
    error::{Error, Result},
    graph::{Digest, Epoch, LogIndex},
    io::{Env, OpenMode},
    lock::Mutex,
    log::{
        Control, EpochEnd, LogIdentity, WriterId,
        reader::{OpenFiles, OpenSegment},
        segment::{
            self, SEGMENT_HEADER_LEN, SegmentHeader,
            frame::FrameRef,
            read_file, segment_files,
            sync_mark::{self, MARK_LEN},
        },
    },
};
use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// What a file accounts for: the log that it names, and the last commit of it that the file holds.
#[derive(Debug, Clone, Copy)]
pub struct Accounted {
    /// The log, and whose it is.
    pub log: LogIdentity,
    /// The last commit.
    pub last: LogIndex,
    /// The digest after it.
    pub digest: Digest,
    /// Whether the named log is read to its end by whoever opens the file: then only what is of another log is beyond.
    pub open: bool,
}

/// What segments hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The log that the last frame is in.
    pub log: LogIdentity,
    /// The last frame, as far as each one before it in its segment verifies.
    pub last: LogIndex,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its writer.
    pub writer_id: WriterId,
    /// Who wrote from which frame on, oldest first.
    pub wrote: Vec<(Epoch, WriterId, LogIndex)>,
}

/// A segment of the database.
struct Part {
    seq: u64,
    path: PathBuf,
    header: SegmentHeader,
}

/// The commits in `dir` after those that its file accounts for; `None`: there are none. `control` is the control file that is
/// there; `copied`: it is known for a copy, which says nothing of what came after it was made.
///
/// What a log before the named one left is none of it: a reseed gives that up before it is removed.
pub fn proven_beyond(
    env: &Env,
    dir: &Path,
    file: &Accounted,
    control: Option<&Control>,
    copied: bool,
) -> Result<Option<Proven>> {
    let follows_on =
        |header: &SegmentHeader| header.log == file.log && (file.open || header.first.0 <= file.last.0 + 1);
    let mut newer = Vec::new();
    let mut base = None;
    for part in newest_first(env, dir, file.log.file_id)? {
        let part = part?;
        if follows_on(&part.header) {
            base = Some(part);
            break;
        }
        newer.push(part);
    }
    let named = base.is_some() || newer.iter().any(|part| part.header.log == file.log);
    if let Some(control) = control.filter(|_| !named && !copied) {
        // What is there is of a log before this one, which has no segment yet; unless it goes on where the file ends, and the
        // control file knows of more. A reseed lowers that word before it gives a log up, and removes it after.
        let goes_on = |part: &Part| {
            part.header.first.0 == file.last.0 + 1 && part.header.digest_before == file.digest && file.last.0 > 0
        };
        if control.durable() <= file.last || !newer.iter().any(goes_on) {
            return Ok(None);
        }
    }
    if let Some(base) = base.filter(|_| !file.open)
        && (!newer.is_empty() || goes_on_in(env, dir, &base, file, control)?)
    {
        newer.push(base);
    }
    last_of(env, newer, control, file.last)
}

/// What the segments of the database `file_id` in `dir` hold, where no file accounts for any of it.
pub fn proven(env: &Env, dir: &Path, file_id: [u8; 16], control: Option<&Control>) -> Result<Option<Proven>> {
    let all = newest_first(env, dir, file_id)?.collect::<Result<Vec<_>>>()?;
    last_of(env, all, control, LogIndex(0))
}

/// The database of which the newest segment in `dir` is that has a header.
pub fn whose_segments(env: &Env, dir: &Path) -> Option<[u8; 16]> {
    let files = segment_files(&*env.disk, dir).ok()?;
    let header = |path: &Path| segment::read_header(&*env.disk.open(path, OpenMode::Read).ok()?).ok()?;
    files.iter().rev().find_map(|(_, path)| header(path)).map(|header| header.log.file_id)
}

fn newest_first(env: &Env, dir: &Path, file_id: [u8; 16]) -> Result<impl Iterator<Item = Result<Part>>> {
    let files = match env.disk.is_dir(dir) {
        true => segment_files(&*env.disk, dir)?,
        false => Vec::new(),
    };
    let look = move |(seq, path): (u64, PathBuf)| {
        let io = |e| Error::io("read log segment", &path, e);
        let file = match env.disk.open(&path, OpenMode::Read) {
            // Let go of since the folder was listed.
            Err(e) if segment::is_none(&e) => return Ok(None),
            file => file.map_err(io)?,
        };
        let header = segment::read_header(&*file).map_err(io)?;
        let ours = header.filter(|header| header.log.file_id == file_id);
        Ok(ours.map(|header| Part { seq, path, header }))
    };
    Ok(files.into_iter().rev().filter_map(move |file| look(file).transpose()))
}

/// The end of `parts`, newest first, if that is after `last`.
fn last_of(env: &Env, parts: Vec<Part>, control: Option<&Control>, last: LogIndex) -> Result<Option<Proven>> {
    // What a fence made void is none of it.
    let ended = control.and_then(|control| control.fence().ok()?.ended);
    for (at, part) in parts.iter().enumerate() {
        let bytes = match read_file(&*env.disk, &part.path) {
            Err(_) if env.disk.identity(&part.path).is_err() => continue,
            bytes => bytes?,
        };
        let Some(end) = end_of(&bytes, &part.header, ended).filter(|end| *end > last) else { continue };
        let wrote = parts[at..].iter().rev();
        return Ok(Some(Proven {
            log: part.header.log,
            last: end,
            epoch: part.header.epoch,
            writer_id: part.header.writer_id,
            wrote: wrote.map(|part| (part.header.epoch, part.header.writer_id, part.header.first)).collect(),
        }));
    }
    Ok(None)
}

/// The last frame of a segment that verifies with all before it; `None`: it has none.
fn end_of(bytes: &[u8], header: &SegmentHeader, ended: Option<EpochEnd>) -> Option<LogIndex> {
    let void = |index| ended.is_some_and(|end| end.epoch == header.epoch && index > end.last);
    let (mut at, mut expected) = (SEGMENT_HEADER_LEN, header.first);
    while let Some(rest) = bytes.get(at..) {
        if sync_mark::parse_any(rest).is_some() {
            at += MARK_LEN;
            continue;
        }
        let frame = FrameRef::parse(rest).filter(|frame| {
            (frame.header.log_index, frame.header.epoch) == (expected, header.epoch) && !void(expected)
        });
        let Some(frame) = frame else { break };
        at += frame.bytes.len();
        expected.0 += 1;
    }
    (expected > header.first).then(|| LogIndex(expected.0 - 1))
}

/// Whether the frame after those that the file holds is in the segment `base`: by its marks, so that not all of it is read.
fn goes_on_in(env: &Env, dir: &Path, base: &Part, file: &Accounted, control: Option<&Control>) -> Result<bool> {
    let salt = match control {
        Some(control) => Some(control.salt()),
        None => salt_of(env, dir, file.log)?,
    };
    let Some(salt) = salt else { return Ok(true) };
    let open = OpenFiles::new(env.disk.clone()).open(&base.path);
    let segment = match open {
        Err(e) if segment::is_none(&e) => return Ok(false),
        open => OpenSegment {
            seq: base.seq,
            path: base.path.clone(),
            header: base.header,
            file: open.map_err(|e| Error::io("read log segment", &base.path, e))?,
            sealed: OnceLock::new(),
            starts: Mutex::default(),
        },
    };
    Ok(segment.seek(LogIndex(file.last.0 + 1), &salt, file.last)?.is_some())
}
