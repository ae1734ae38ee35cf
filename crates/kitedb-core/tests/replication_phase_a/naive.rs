//! A naive reader of segments, written from the description of their bytes, and pages as a consumer sees them.

use kitedb_core::{Cursor, Database};
use kitedb_transport::TransportJson;
use serde::Deserialize;
use std::path::Path;

/// A frame as it lies in its segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFrame {
    pub segment: u64,
    pub offset: u64,
    pub epoch: u64,
    pub index: u64,
    pub commit_ms: u64,
    pub digest: u128,
    pub bytes: Vec<u8>,
}

/// A segment.
#[derive(Debug, Clone)]
pub struct RawSegment {
    pub number: u64,
    pub log_id: [u8; 16],
    pub file_id: [u8; 16],
    pub epoch: u64,
    pub writer_id: [u8; 16],
    pub first: u64,
    pub digest_before: u128,
    pub begun_ms: u64,
    pub frames: Vec<RawFrame>,
    /// Where its marks begin, and the index that each claims durable.
    pub marks: Vec<(usize, u64)>,
    /// Where its last frame or mark ends.
    pub end: usize,
    pub len: usize,
}

pub const SEGMENT_HEADER: usize = 512;
pub const FRAME_HEADER: usize = 56;
const MARK: usize = 32;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn u128_at(bytes: &[u8], at: usize) -> u128 {
    u128::from_le_bytes(bytes[at..at + 16].try_into().unwrap())
}

fn id_at(bytes: &[u8], at: usize) -> [u8; 16] {
    bytes[at..at + 16].try_into().unwrap()
}

/// The bytes of the mark or frame at `at`, if one verifies there.
fn whole(bytes: &[u8], at: usize) -> Option<(bool, &[u8])> {
    let rest = bytes.get(at..).filter(|rest| rest.len() >= MARK)?;
    if u32_at(rest, 4) == u32::MAX {
        return (crc32fast::hash(&rest[4..MARK]) == u32_at(rest, 0)).then_some((true, &rest[..MARK]));
    }
    let end = FRAME_HEADER + u32_at(rest, 4) as usize;
    let verifies = rest.len() >= end.next_multiple_of(8) && crc32fast::hash(&rest[4..end]) == u32_at(rest, 0);
    (verifies && u64_at(rest, 16) != 0).then(|| (false, &rest[..end.next_multiple_of(8)]))
}

impl RawFrame {
    /// The frame that `bytes` are.
    pub fn parse(bytes: &[u8]) -> Self {
        let (mark, whole) = whole(bytes, 0).expect("a frame that verifies");
        assert!(!mark && whole.len() == bytes.len(), "a frame, and nothing else");
        assert_eq!(u64_at(bytes, 32), 1, "the feature level, and no flags");
        Self {
            segment: 0,
            offset: 0,
            epoch: u64_at(bytes, 8),
            index: u64_at(bytes, 16),
            commit_ms: u64_at(bytes, 24),
            digest: u128_at(bytes, 40),
            bytes: bytes.to_vec(),
        }
    }

    /// The cursor at this frame's first byte.
    pub fn start(&self) -> Cursor {
        self.cursor(self.offset)
    }

    /// The cursor at this frame's end.
    pub fn end(&self) -> Cursor {
        self.cursor(self.offset + self.bytes.len() as u64)
    }

    fn cursor(&self, segment_offset: u64) -> Cursor {
        let (epoch, log_index) = (self.epoch.into(), self.index.into());
        Cursor { epoch, segment_id: self.segment, segment_offset, log_index }
    }
}

impl RawSegment {
    pub fn parse(path: &Path, bytes: &[u8]) -> Self {
        let name = path.file_name().unwrap().to_str().unwrap();
        let digits = name.strip_prefix("segment-").unwrap().strip_suffix(".klog").unwrap();
        assert_eq!(digits.len(), 20, "{name}");
        assert_eq!(&bytes[..8], b"KITELOG\x02");
        assert_eq!(u32_at(bytes, 124), crc32fast::hash(&bytes[..124]), "the header's CRC");
        let number = digits.parse().unwrap();
        let (mut at, mut frames, mut marks) = (SEGMENT_HEADER, Vec::new(), Vec::new());
        while let Some((mark, whole)) = whole(bytes, at) {
            if mark {
                marks.push((at, u64_at(whole, 8)));
            } else {
                frames.push(RawFrame { segment: number, offset: at as u64, ..RawFrame::parse(whole) });
            }
            at += whole.len();
        }
        Self {
            number,
            log_id: id_at(bytes, 8),
            file_id: id_at(bytes, 24),
            epoch: u64_at(bytes, 40),
            writer_id: id_at(bytes, 48),
            first: u64_at(bytes, 64),
            digest_before: u128_at(bytes, 72),
            begun_ms: u64_at(bytes, 88),
            frames,
            marks,
            end: at,
            len: bytes.len(),
        }
    }
}

/// A page of the log, as its consumer reads it.
#[derive(Debug, Clone, Deserialize)]
pub struct Page {
    pub version: u32,
    pub epoch: u64,
    pub head_log_index: u64,
    pub retained_floor: u64,
    pub cursor: Option<String>,
    pub next_cursor: Option<String>,
    pub eof: bool,
    pub gap: Option<Gap>,
    pub frame_count: usize,
    pub total_bytes: usize,
    pub frames: Vec<PageFrame>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Gap {
    pub reason: String,
    pub first_missing: Option<u64>,
    pub last_missing: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct PageFrame {
    pub epoch: u64,
    pub log_index: u64,
    pub segment_id: u64,
    pub segment_offset: u64,
    pub bytes: usize,
    pub payload_base64: Option<String>,
}

impl PageFrame {
    /// The frame itself.
    pub fn raw(&self) -> RawFrame {
        let bytes = decoded(self.payload_base64.as_deref().expect("a payload"));
        assert_eq!(bytes.len(), self.bytes);
        let frame = RawFrame { segment: self.segment_id, offset: self.segment_offset, ..RawFrame::parse(&bytes) };
        assert_eq!((frame.epoch, frame.index), (self.epoch, self.log_index));
        frame
    }
}

impl Page {
    pub fn raw(&self) -> Vec<RawFrame> {
        self.frames.iter().map(PageFrame::raw).collect()
    }

    pub fn indexes(&self) -> Vec<u64> {
        self.frames.iter().map(|frame| frame.log_index).collect()
    }

    pub fn gap(&self) -> Option<(&str, Option<u64>, Option<u64>)> {
        self.gap.as_ref().map(|gap| (gap.reason.as_str(), gap.first_missing, gap.last_missing))
    }
}

pub fn decoded(base64: &str) -> Vec<u8> {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    BASE64_STANDARD.decode(base64).unwrap()
}

/// The frames after a cursor, as many as there are.
#[track_caller]
pub fn page(db: &Database, cursor: &str) -> Page {
    page_of(db, cursor, usize::MAX, usize::MAX)
}

#[track_caller]
pub fn page_of(db: &Database, cursor: &str, max_frames: usize, max_bytes: usize) -> Page {
    let json = db.primary_export_log_transport_json(Some(cursor), max_frames, max_bytes, true).unwrap();
    let page: Page = serde_json::from_str(&json).unwrap();
    assert_eq!(page.version, 1);
    assert_eq!(page.frame_count, page.frames.len());
    assert_eq!(page.total_bytes, page.frames.iter().map(|frame| frame.bytes).sum::<usize>());
    assert_eq!(page.next_cursor.is_none(), page.frames.is_empty());
    assert!(page.frames.len() <= max_frames && page.total_bytes <= max_bytes);
    page
}

/// All pages after a cursor, until the end of the log.
#[track_caller]
pub fn follow(db: &Database, cursor: &str, max_frames: usize, max_bytes: usize) -> Vec<RawFrame> {
    let (mut all, mut cursor) = (Vec::new(), cursor.to_owned());
    loop {
        let page = page_of(db, &cursor, max_frames, max_bytes);
        all.extend(page.raw());
        if page.eof {
            return all;
        }
        cursor = page.next_cursor.expect("a page that is not the last one holds a frame");
    }
}
