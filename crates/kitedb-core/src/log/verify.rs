//! Verifies what a log holds: each segment that is there, also those that recovery does not need.

use super::{
    Control, FrameRef, LogIdentity, Salt, mark,
    recover::{read_file, segment_files},
    segment::{SEGMENT_HEADER_LEN, SegmentHeader},
};
use crate::{
    error::Result,
    graph::{Digest, LogIndex},
    io::{Env, OpenMode},
};
use std::path::{Path, PathBuf};

/// So often a folder is listed again that shows no segment.
const LOOKS: u32 = 3;

/// What a segment says of itself; `None`: its header does not verify.
type Headed = (PathBuf, Option<SegmentHeader>);

/// What is wrong with the frames of `log` in `dir` up to `through`, one line for each segment with damage. Segments that
/// are let go of meanwhile are passed over. One segment is read at a time, whole.
pub fn verify(env: &Env, dir: &Path, log: LogIdentity, control: &Control, through: LogIndex) -> Result<Vec<String>> {
    let mut segments = headed(env, dir)?;
    let is_there = |segments: &[Headed]| segments.iter().any(|(_, header)| header.is_some_and(|h| h.log == log));
    for _ in 0..LOOKS {
        if is_there(&segments) {
            break;
        }
        // All that were listed may have been let go of, and a newer one begun.
        segments = headed(env, dir)?;
    }
    if control.has_begun(log.log_id) && !is_there(&segments) {
        return Ok(vec![no_segment(dir)]);
    }
    let salt = &control.salt();
    segments.retain(|(_, header)| header.is_none_or(|header| header.log == log));
    let mut damage = Vec::new();
    let mut before: Option<(LogIndex, Digest)> = None;
    for (at, (path, header)) in segments.iter().enumerate() {
        let Some(header) = header else {
            // One whose making was cut short holds no frame, and what is left of an earlier log is not missed.
            let next = segments[at + 1..].iter().find_map(|(_, header)| *header);
            if read_file(env, path).is_ok_and(|bytes| belongs_between(&bytes, salt, before, next)) {
                damage.push(format!("the header of log segment {} does not verify", path.display()));
                before = None;
            }
            continue;
        };
        if before.is_some_and(|(last, digest)| last.0 + 1 == header.first.0 && digest != header.digest_before) {
            damage.push(format!("log segment {} does not go on where the one before it ended", path.display()));
        }
        // From the first frame of the next one on, what is here is void.
        let next = segments[at + 1..].iter().find_map(|(_, header)| *header).map(|next| next.first.0);
        let end = next.unwrap_or(u64::MAX).min(through.0.saturating_add(1));
        let Ok(bytes) = read_file(env, path) else {
            // Let go of meanwhile; or it is still there, and cannot be read.
            if header_of(env, path).is_some() {
                damage.push(format!("log segment {} cannot be read", path.display()));
            }
            before = None;
            continue;
        };
        before = match frames(&bytes, header, salt, end) {
            Ok(last) => Some(last),
            Err((byte, index)) => {
                damage.push(format!(
                    "the frame with log index {index} does not verify in log segment {} at byte {byte}",
                    path.display()
                ));
                None
            }
        };
    }
    Ok(damage)
}

/// Whether `dir` holds a segment whose header does not verify and that has frames: what a reader does not find there is
/// damaged, and not let go of.
pub fn has_damaged_header(env: &Env, dir: &Path, salt: &Salt) -> bool {
    let damaged = |path: &Path| {
        header_of(env, path) == Some(None) && read_file(env, path).is_ok_and(|bytes| begins_with_a_frame(&bytes, salt))
    };
    segment_files(env, dir).unwrap_or_default().iter().any(|(_, path)| damaged(path))
}

/// Whether the frames in a segment without a header go on after `before`, or are gone on with by `next`.
fn belongs_between(bytes: &[u8], salt: &Salt, before: Option<(LogIndex, Digest)>, next: Option<SegmentHeader>) -> bool {
    let (mut at, mut first, mut last) = (SEGMENT_HEADER_LEN, None, None);
    while let Some(rest) = bytes.get(at..) {
        if mark::parse(rest, salt).is_some() {
            at += mark::MARK_LEN;
            continue;
        }
        let Some(frame) = FrameRef::parse(rest) else { break };
        first = first.or(Some(frame.header.log_index.0));
        last = Some((frame.header.log_index.0, frame.header.digest));
        at += frame.bytes.len();
    }
    let goes_on = first.zip(before).is_some_and(|(first, (before, _))| first == before.0 + 1);
    let is_gone_on_with =
        last.zip(next).is_some_and(|((last, digest), next)| last + 1 == next.first.0 && digest == next.digest_before);
    goes_on || is_gone_on_with
}

fn begins_with_a_frame(bytes: &[u8], salt: &Salt) -> bool {
    let rest = bytes.get(SEGMENT_HEADER_LEN..).unwrap_or_default();
    let rest = if mark::parse(rest, salt).is_some() { &rest[mark::MARK_LEN..] } else { rest };
    FrameRef::parse(rest).is_some()
}

fn headed(env: &Env, dir: &Path) -> Result<Vec<Headed>> {
    let files = segment_files(env, dir)?;
    Ok(files.into_iter().filter_map(|(_, path)| header_of(env, &path).map(|header| (path, header))).collect())
}

/// What is told of the log in `dir` that has begun and has no segment.
pub fn no_segment(dir: &Path) -> String {
    format!(
        "the segments of the log are gone from {}: its newest one is never let go of. Put them back; without them a replica \
         that needs them must be reseeded, and the next commit begins another log",
        dir.display()
    )
}

/// Walks the frames before `end`. Returns the last one and its digest, or where which frame does not verify.
fn frames(bytes: &[u8], header: &SegmentHeader, salt: &Salt, end: u64) -> Result<(LogIndex, Digest), (usize, u64)> {
    let (mut at, mut digest) = (SEGMENT_HEADER_LEN, header.digest_before);
    let mut expected = header.first.0;
    while expected < end {
        let rest = bytes.get(at..).unwrap_or_default();
        if mark::parse(rest, salt).is_some() {
            at += mark::MARK_LEN;
            continue;
        }
        let frame = FrameRef::parse(rest).ok_or((at, expected))?;
        if (frame.header.log_index.0, frame.header.epoch) != (expected, header.epoch) {
            return Err((at, expected));
        }
        (at, digest) = (at + frame.bytes.len(), frame.header.digest);
        expected += 1;
    }
    Ok((LogIndex(expected - 1), digest))
}

/// `None`: the segment is not there.
fn header_of(env: &Env, path: &Path) -> Option<Option<SegmentHeader>> {
    let file = env.disk.open(path, OpenMode::Read).ok()?;
    let mut head = [0; SEGMENT_HEADER_LEN];
    Some(file.read_exact_at(&mut head, 0).ok().and_then(|()| SegmentHeader::parse(&head)))
}
