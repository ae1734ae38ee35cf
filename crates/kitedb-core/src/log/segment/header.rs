//! The header of a segment: which log it belongs to, who wrote it, and with which frame it begins.

use super::files::is_none;
use crate::{
    error::Result,
    graph::{Digest, Epoch, LogIndex, codec::Reader},
    io::{Disk, DiskFile, OpenMode},
    level::require_known,
    log::{LogIdentity, WriterId, names_in_damage},
};
use std::path::Path;

/// Where the first frame or mark of a segment begins.
pub const SEGMENT_HEADER_LEN: usize = 512;
const MAGIC: &[u8; 8] = b"KITELOG\x02";
const USED: usize = 128;
/// Where the id of the database file is.
const FILE_ID_AT: usize = 24;

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
    Ok(is_damaged_header_of(&head, file_id) || (unfinished && is_unfinished(&head)))
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
pub fn is_damaged_header_of(bytes: &[u8], file_id: [u8; 16]) -> bool {
    names_in_damage(&bytes[..bytes.len().min(SEGMENT_HEADER_LEN)], MAGIC, FILE_ID_AT, file_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{io::sim::SimDisk, log::segment::path};

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
}
