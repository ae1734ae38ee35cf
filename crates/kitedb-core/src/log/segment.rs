//! A segment: one file of the log. Its header says which log it belongs to, who wrote it and with which frame
//! it begins; frames and marks follow. There is no manifest of segments: the headers are the truth.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex, codec::Reader},
    io::{Disk, DiskFile, OpenMode, in_the_way, is_other_kind},
    level::require_known,
    log::{LogIdentity, WriterId, names_in_damage},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the first frame or mark of a segment begins.
pub const SEGMENT_HEADER_LEN: usize = 512;
const MAGIC: &[u8; 8] = b"KITELOG\x02";
const USED: usize = 128;
/// Where the id of the database file is.
const FILE_ID_AT: usize = 24;
/// No log has so many segments: a name with a greater number is none of a segment.
const MAX_SEQ: u64 = 1 << 62;
/// Zeros are written ahead in pieces of this size: larger ones make every later append cost more
/// (large folios in the page cache), smaller ones make the filling itself slow.
const FILL_PIECE: usize = 64 << 10;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Which log and database it belongs to.
    pub log: LogIdentity,
    /// The epoch of its frames.
    pub epoch: Epoch,
    /// Who wrote it, within the epoch.
    pub writer_id: WriterId,
    /// The index of its first frame.
    pub first: LogIndex,
    /// The state digest before its first frame.
    pub digest_before: Digest,
    /// When it was begun, ms since 1970: no frame of an earlier segment was committed later (on this clock).
    pub begun_ms: u64,
    /// The feature level that is needed to read what follows the header, whatever that of its frames: this header itself
    /// is the same in all levels.
    pub level: u16,
}

impl SegmentHeader {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.log.log_id);
        out.extend_from_slice(&self.log.file_id);
        out.extend_from_slice(&self.epoch.0.to_le_bytes());
        out.extend_from_slice(&self.writer_id);
        out.extend_from_slice(&self.first.0.to_le_bytes());
        out.extend_from_slice(&self.digest_before.to_le_bytes());
        out.extend_from_slice(&self.begun_ms.to_le_bytes());
        out.extend_from_slice(&self.level.to_le_bytes());
        out.resize(USED - 4, 0);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out.resize(SEGMENT_HEADER_LEN, 0);
        out
    }

    /// Reads a header: `None` if none verifies.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let used = bytes.get(..USED)?;
        let (body, crc) = used.split_last_chunk::<4>()?;
        let mut r = Reader::new(body);
        if r.take(8).ok()? != MAGIC || u32::from_le_bytes(*crc) != crc32fast::hash(body) {
            return None;
        }
        Some(Self {
            log: LogIdentity { log_id: r.array().ok()?, file_id: r.array().ok()? },
            epoch: Epoch(r.u64().ok()?),
            writer_id: r.array().ok()?,
            first: LogIndex(r.u64().ok()?),
            digest_before: Digest::from_le_bytes(r.array().ok()?),
            begun_ms: r.u64().ok()?,
            level: r.u16().ok()?,
        })
    }

    /// Fails if a process that reads up to level `known` cannot read the segment at `path`.
    pub fn require_known(&self, known: u16, path: &Path) -> Result<()> {
        require_known(known, self.level, format_args!("log segment {}", path.display()))
    }
}

/// Whether a file under the name of a segment is one of the database `file_id`: by its header; where that does not verify, by
/// what is left of it. One whose making was cut short has nothing but zeros there, or ends before it names a file: such a one
/// counts as `unfinished` says. Upholds I34.
pub fn is_of(disk: &dyn Disk, path: &Path, file_id: [u8; 16], unfinished: bool) -> std::io::Result<bool> {
    let file = match disk.open(path, OpenMode::Read) {
        Err(e) if is_none(&e) => return Ok(false),
        file => file?,
    };
    let mut head = vec![0; file.len()?.min(SEGMENT_HEADER_LEN as u64) as usize];
    file.read_exact_at(&mut head, 0)?;
    if let Some(header) = SegmentHeader::parse(&head) {
        return Ok(header.log.file_id == file_id);
    }
    Ok(is_headless_of(&head, file_id) || (unfinished && is_unfinished(&head)))
}

fn is_unfinished(head: &[u8]) -> bool {
    head.iter().all(|byte| *byte == 0) || (head.len() < FILE_ID_AT + 16 && head.starts_with(MAGIC.as_slice()))
}

/// What the header of an open segment says; `None` if none verifies.
pub fn read_header(file: &dyn DiskFile) -> std::io::Result<Option<SegmentHeader>> {
    let mut head = [0; SEGMENT_HEADER_LEN];
    match file.read_exact_at(&mut head, 0) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map(|()| SegmentHeader::parse(&head)),
    }
}

/// Whether bytes that begin without a header that verifies name the database `file_id` in what is left of one.
pub fn is_headless_of(bytes: &[u8], file_id: [u8; 16]) -> bool {
    names_in_damage(&bytes[..bytes.len().min(SEGMENT_HEADER_LEN)], MAGIC, FILE_ID_AT, file_id)
}

/// The path of segment number `seq`.
pub fn path(dir: &Path, seq: u64) -> PathBuf {
    dir.join(format!("segment-{seq:020}.klog"))
}

/// The number in a segment's file name. `None` for a name that [`path`] gives to none.
pub fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".klog")?;
    digits.parse().ok().filter(|seq: &u64| *seq <= MAX_SEQ && format!("{seq:020}") == digits)
}

/// The files in `dir` that bear the name of a segment, oldest first.
pub fn segment_files(disk: &dyn Disk, dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let names = disk.list(dir).map_err(|e| Error::own_file("list the folder of the log", dir, e))?;
    let mut files: Vec<(u64, PathBuf)> =
        names.iter().filter_map(|name| parse_name(name)).map(|seq| (seq, path(dir, seq))).collect();
    files.sort_unstable();
    Ok(files)
}

/// How many bytes the files in `dir` have that bear the name of a segment, as far as that can be told.
pub fn bytes_in(disk: &dyn Disk, dir: &Path) -> u64 {
    let files = segment_files(disk, dir).unwrap_or_default();
    let len = |(_, path): &(u64, PathBuf)| disk.open(path, OpenMode::Read).and_then(|file| file.len()).unwrap_or(0);
    files.iter().map(len).sum()
}

/// The bytes of a segment.
pub fn read_file(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read).map_err(|e| Error::own_file("read log segment", path, e))?;
    read_all(&*file, path)
}

/// The bytes that a segment has. A writer that recovers its log may cut it meanwhile.
pub fn read_all(file: &dyn DiskFile, path: &Path) -> Result<Vec<u8>> {
    let io = |e| Error::own_file("read log segment", path, e);
    let len = file.len().map_err(io)? as usize;
    let mut bytes = Vec::new();
    // Somebody may have made it as long as memory is not.
    if bytes.try_reserve_exact(len).is_err() {
        let what = format_args!("the {len} bytes of log segment {} do not fit into memory", path.display());
        return Err(Error::new(ErrorCode::Io, what));
    }
    bytes.resize(len, 0);
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], done as u64).map_err(io)? {
            0 => break,
            read => done += read,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// The greatest number that the name of a segment in `dir` has, whatever it is; 0 if there is none.
pub fn greatest(disk: &dyn Disk, dir: &Path) -> Result<u64> {
    let names = disk.list(dir).map_err(|e| Error::own_file("list the folder of the log", dir, e))?;
    Ok(names.iter().filter_map(|name| parse_name(name)).max().unwrap_or(0))
}

/// Whether opening what bears the name of a segment failed because it is gone, or is no file and so never was one.
pub fn is_none(e: &std::io::Error) -> bool {
    is_other_kind(e) || e.kind() == std::io::ErrorKind::NotFound
}

/// Makes sure that a segment whose making failed does not come back, not even after a loss of power: with its
/// header it would make later frames of the segment before it void. Upholds I5.
pub fn discard(disk: &dyn Disk, dir: &Path, seq: u64) -> Result<()> {
    let path = path(dir, seq);
    match disk.remove(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => disk.sync_dir(dir),
    }
    .map_err(|e| Error::own_file("remove log segment", &path, e))
}

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
    /// Creates segment `seq` with `frames`, its header and a first stretch of zeros, all durable with its folder
    /// entry. The header, which makes earlier segments void from its first frame on, is written only once the
    /// frames are durable. Upholds I10.
    pub fn create(
        disk: &dyn Disk,
        dir: &Path,
        seq: u64,
        header: SegmentHeader,
        frames: &[u8],
        ahead: u64,
    ) -> Result<Self> {
        Self::begin(disk, Self::make(disk, dir, seq)?, seq, header, frames, ahead)
    }

    /// Makes the file of segment `seq`. What is there under its name already is not ours, and stays. Upholds I34.
    pub fn make(disk: &dyn Disk, dir: &Path, seq: u64) -> Result<(PathBuf, Arc<dyn DiskFile>)> {
        let path = path(dir, seq);
        match disk.open(&path, OpenMode::CreateNew) {
            Ok(file) => Ok((path, file)),
            Err(e) => {
                let e = if e.kind() == std::io::ErrorKind::AlreadyExists { in_the_way(&path) } else { e };
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
        frames: &[u8],
        ahead: u64,
    ) -> Result<Self> {
        let attempt = || {
            let start = SEGMENT_HEADER_LEN as u64;
            if !frames.is_empty() {
                file.write_at(frames, start)?;
                file.sync_data()?;
            }
            file.write_at(&header.encode(), 0)?;
            let end = start + frames.len() as u64;
            let mut segment = Self { seq, header, file, path: path.clone(), end, filled: end };
            segment.fill_ahead(ahead)?;
            segment.file.sync_data()?;
            disk.sync_dir(path.parent().unwrap_or(Path::new("/")))?;
            Ok(segment)
        };
        attempt().map_err(|e| {
            // Recovery would remove a headless one as well; with a header, see [`discard`].
            let _ = disk.remove(&path);
            Error::own_file("create log segment", &path, e)
        })
    }

    /// Writes zeros from `filled` to `filled + bytes`, so that appends move no metadata.
    pub fn fill_ahead(&mut self, bytes: u64) -> std::io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::SimDisk;

    #[test]
    fn a_segment_is_known_by_what_is_left_of_its_header() {
        let (ours, other) = ([0x5A; 16], [0xA5; 16]);
        let log = LogIdentity { log_id: [1; 16], file_id: ours };
        let header = SegmentHeader {
            log,
            epoch: Epoch(1),
            writer_id: [2; 16],
            first: LogIndex(1),
            digest_before: Digest::default(),
            begun_ms: 3,
            level: 1,
        };
        let path = path(Path::new("/"), 7);
        let known = |bytes: &[u8], file_id, unfinished| {
            let disk = SimDisk::new(1);
            disk.write(&path, bytes).unwrap();
            is_of(&disk, &path, file_id, unfinished).unwrap()
        };
        let whole = header.encode();
        for at in 0..USED * 8 {
            let mut bytes = whole.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(known(&bytes, ours, false) && !known(&bytes, other, true), "bit {at}");
        }
        for unfinished in [&[][..], &[0; 100], &[0; 9000]] {
            assert!(known(unfinished, ours, true) && !known(unfinished, ours, false));
        }
        for others in [&b"ten years of work"[..], &[1; 9000]] {
            assert!(!known(others, ours, true));
        }
    }

    #[test]
    fn only_a_name_that_a_segment_is_given_is_one() {
        let path = |seq| path(Path::new(""), seq).to_str().unwrap().to_owned();
        for seq in [0, 1, 77, MAX_SEQ] {
            assert_eq!(parse_name(&path(seq)), Some(seq));
        }
        for name in ["segment-1.klog", "segment-+0000000000000000001.klog", "segment-.klog", &path(u64::MAX)] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
