//! Verifies what a log holds: each segment that is there, also those that recovery does not need.

use super::{
    Control, LogIdentity, Salt,
    segment::{
        self, SEGMENT_HEADER_LEN, SegmentHeader, frame::FrameRef, out_of_order, read_all, segment_files, stranger,
        sync_mark,
    },
};
use crate::{
    error::{Error, Result},
    graph::{Digest, LogIndex},
    io::{Env, OpenMode},
    shell::command_by_log,
};
use std::path::{Path, PathBuf};

/// So often at most a folder is looked at again in which something moved.
const LOOKS: u32 = 4;

/// What a segment says of itself; `None`: its header does not verify.
type Headed = (PathBuf, Option<SegmentHeader>);

/// What is wrong with the frames of `log` in `dir` up to `through`, one line for each segment with damage. Segments that
/// are let go of meanwhile are passed over. One segment is read at a time, whole. What does not fit is looked at again, as
/// long as other segments are there than before.
pub fn verify(env: &Env, dir: &Path, log: LogIdentity, control: &Control, through: LogIndex) -> Result<Vec<String>> {
    let look = || Ok((headed(env, dir)?, control.session()));
    let mut seen = look()?;
    for left in (0..LOOKS).rev() {
        let damage = verify_segments(env, dir, log, control, through, &seen.0)?;
        if damage.is_empty() {
            return Ok(damage);
        }
        let now = look()?;
        if now == seen || left == 0 {
            return Ok(damage);
        }
        seen = now;
    }
    Ok(Vec::new())
}

fn verify_segments(
    env: &Env,
    dir: &Path,
    log: LogIdentity,
    control: &Control,
    through: LogIndex,
    there: &[Headed],
) -> Result<Vec<String>> {
    let strange = |header: &Option<SegmentHeader>| header.is_some_and(|header| header.log.file_id != log.file_id);
    let strangers = there.iter().filter(|(_, header)| strange(header));
    let mut damage: Vec<String> = strangers.map(|(path, _)| stranger(path).to_string()).collect();
    let ours = |header: &Option<SegmentHeader>| header.is_none_or(|header| header.log == log);
    let segments: Vec<&Headed> = there.iter().filter(|(_, header)| ours(header)).collect();
    if control.has_begun(log.log_id) && !segments.iter().any(|(_, header)| header.is_some()) {
        damage.push(no_segment(dir));
        return Ok(damage);
    }
    let salt = &control.salt();
    let headed: Vec<_> = segments.iter().filter_map(|(path, header)| Some((path, header.as_ref()?))).collect();
    let disorder = headed.windows(2).filter(|pair| pair[1].1.first < pair[0].1.first);
    damage.extend(disorder.map(|pair| out_of_order(pair[0].0, pair[1].0).to_string()));
    let mut before: Option<(LogIndex, Digest)> = None;
    for (at, (path, header)) in segments.iter().enumerate() {
        let next = segments[at + 1..].iter().find_map(|(_, header)| *header);
        let last = before.take();
        let bytes = match env.disk.open(path, OpenMode::Read) {
            // Let go of meanwhile.
            Err(e) if segment::is_none(&e) => continue,
            file => file.map_err(|e| Error::io("read log segment", path, e)).and_then(|file| read_all(&*file, path)),
        };
        let bytes = match bytes {
            Ok(bytes) if SegmentHeader::parse(&bytes) == *header => bytes,
            // It was made only now, or another log's segment took its name.
            Ok(_) => continue,
            Err(e) => {
                damage.push(format!("log segment {} cannot be read: {e}", path.display()));
                continue;
            }
        };
        let Some(header) = header else {
            // One whose making was cut short holds no frame, and what is left of an earlier log is not missed.
            if belongs_between(&bytes, salt, last, next) {
                damage.push(format!("the header of log segment {} does not verify", path.display()));
            } else {
                before = last;
            }
            continue;
        };
        // What it holds, a newer build can verify.
        header.require_known(env.host.known_level(), path)?;
        if last.is_some_and(|(last, digest)| last.0 + 1 == header.first.0 && digest != header.digest_before) {
            damage.push(format!("log segment {} does not go on where the one before it ended", path.display()));
        }
        // From the first frame of the next one on, what is here is void.
        let end = next.map_or(u64::MAX, |next| next.first.0).min(through.0.saturating_add(1));
        match frames(&bytes, header, salt, end) {
            Ok(last) => before = Some(last),
            Err((byte, index)) => damage.push(format!(
                "the frame with log index {index} does not verify in log segment {} at byte {byte}",
                path.display()
            )),
        }
    }
    Ok(damage)
}

/// Whether the frames in a segment without a header go on after `before`, or are gone on with by `next`.
fn belongs_between(bytes: &[u8], salt: &Salt, before: Option<(LogIndex, Digest)>, next: Option<SegmentHeader>) -> bool {
    let (mut at, mut first, mut last) = (SEGMENT_HEADER_LEN, None, None);
    while let Some(rest) = bytes.get(at..) {
        if sync_mark::parse(rest, salt).is_some() {
            at += sync_mark::MARK_LEN;
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

fn headed(env: &Env, dir: &Path) -> Result<Vec<Headed>> {
    let files = segment_files(&*env.disk, dir)?;
    Ok(files.into_iter().filter_map(|(_, path)| header_of(env, &path).map(|header| (path, header))).collect())
}

/// What is told of the log in `dir` that has begun and has no segment.
pub fn no_segment(dir: &Path) -> String {
    format!(
        "the segments of the log are gone from {}: its newest one is never let go of. Put them back; without them a replica \
         that needs them must be reseeded, and nothing is written here before that log is given up by name ({} says how)",
        dir.display(),
        command_by_log("repair", dir, "--dry-run")
    )
}

/// Walks the frames before `end`. Returns the last one and its digest, or where which frame does not verify.
fn frames(bytes: &[u8], header: &SegmentHeader, salt: &Salt, end: u64) -> Result<(LogIndex, Digest), (usize, u64)> {
    let (mut at, mut digest) = (SEGMENT_HEADER_LEN, header.digest_before);
    let mut expected = header.first.0;
    while expected < end {
        let rest = bytes.get(at..).unwrap_or_default();
        if sync_mark::parse(rest, salt).is_some() {
            at += sync_mark::MARK_LEN;
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
    Some(segment::read_header(&*file).ok().flatten())
}
