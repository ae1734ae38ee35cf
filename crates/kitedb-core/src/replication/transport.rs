//! A primary's log and its snapshots as JSON text, for hosts that carry them over a network of their own.
//!
//! A page holds the frames after a [`Cursor`], verified and verbatim: the bytes that the log holds are those that
//! travel and those that a replica stores. Where frames between the cursor and the page are gone, the page says so in
//! `gap`; nobody who looks there misses a frame unknowingly. A snapshot is the image of the database at a checkpoint,
//! pinned while it is read; it and the pages from its `start_cursor` on make up the whole graph. Every checksum that
//! is called CRC-32C is one (Castagnoli).

use super::{
    cursor::Cursor,
    primary::{Leader, floor_of},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    log::{FrameRef, LogPage, LogReader, PageLimits},
    store::Store,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;

/// The version of both formats: it rises when a field changes its meaning or goes.
const VERSION: u32 = 1;
/// The most bytes of a snapshot that are put into JSON.
const MAX_INLINE_BYTES: u64 = 32 << 20;
/// Bytes of a snapshot that are read at once.
const PIECE: usize = 1 << 20;
/// Retention may let go of what was just found; so often a page is begun anew.
const ATTEMPTS: usize = 10;

#[derive(Debug, Serialize)]
struct SnapshotJson {
    version: u32,
    format: &'static str,
    db_path: String,
    byte_length: u64,
    checksum_crc32c: String,
    generated_at_ms: u64,
    epoch: u64,
    head_log_index: u64,
    retained_floor: u64,
    /// The last frame that the image holds.
    checkpoint_log_index: u64,
    /// The state digest at that frame.
    digest: String,
    start_cursor: String,
    data_base64: Option<String>,
}

#[derive(Debug, Serialize)]
struct PageJson {
    version: u32,
    epoch: u64,
    head_log_index: u64,
    retained_floor: u64,
    cursor: Option<String>,
    next_cursor: Option<String>,
    eof: bool,
    gap: Option<Gap>,
    frame_count: usize,
    total_bytes: usize,
    frames: Vec<FrameJson>,
}

#[derive(Debug, Serialize)]
struct FrameJson {
    epoch: u64,
    log_index: u64,
    segment_id: u64,
    segment_offset: u64,
    bytes: usize,
    payload_base64: Option<String>,
}

/// Why frames that a consumer expects next are not in the page, nor in any later one: it must be reseeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Gap {
    reason: GapReason,
    /// The first frame that is missing; `None` where the consumer has some that this log does not.
    first_missing: Option<u64>,
    /// The last frame that is missing.
    last_missing: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum GapReason {
    /// Retention let go of them.
    BelowFloor,
    /// Their segment is not there.
    MissingSegment,
    /// The cursor is not on this log's history: it names a frame of an epoch that ended before it or began after it, or
    /// one that this log has not reached.
    OffHistory,
}

/// What of a log decides where a page begins.
struct Outline<'a> {
    /// The first frame of each segment, and its epoch.
    segments: &'a [(LogIndex, Epoch)],
    head: LogIndex,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Start {
    after: LogIndex,
    gap: Option<Gap>,
}

impl Outline<'_> {
    fn floor(&self) -> u64 {
        self.segments.first().map_or(self.head.0 + 1, |(first, _)| first.0)
    }

    /// The first frame of `epoch` or a later one.
    fn begin_of(&self, epoch: Epoch) -> u64 {
        let found = self.segments.iter().find(|(_, e)| *e >= epoch);
        found.map_or(self.head.0 + 1, |(first, _)| first.0)
    }

    /// The last frame of `epoch` or an earlier one.
    fn end_of(&self, epoch: Epoch) -> u64 {
        let later = self.segments.iter().find(|(_, e)| *e > epoch);
        later.map_or(self.head.0, |(first, _)| first.0 - 1)
    }

    fn start(&self, cursor: Option<Cursor>) -> Start {
        let floor = self.floor();
        let Some(cursor) = cursor else { return Start { after: LogIndex(floor - 1), gap: None } };
        let index = cursor.log_index.0;
        let held = if cursor.includes_its_frame() { index.saturating_sub(1) } else { index };
        let (begin, end) = (self.begin_of(cursor.epoch), self.end_of(cursor.epoch));
        // What it names, by a number that is another epoch's here. Before its frame it names none.
        let too_early = !cursor.includes_its_frame() && index > 0 && index < begin && begin > floor;
        if too_early || held > end {
            let after = LogIndex(if too_early { begin - 1 } else { end.max(floor - 1) });
            let gap = Gap { reason: GapReason::OffHistory, first_missing: None, last_missing: None };
            return Start { after, gap: Some(gap) };
        }
        let below = held + 1 < floor;
        let gap = Gap { reason: GapReason::BelowFloor, first_missing: Some(held + 1), last_missing: Some(floor - 1) };
        Start { after: LogIndex(held.max(floor - 1)), gap: below.then_some(gap) }
    }
}

/// Frames as they are to be served, and what they follow.
struct Served {
    page: LogPage,
    start: Start,
    head: LogIndex,
}

impl Leader {
    /// Frames after `cursor` as JSON: at most `max_frames` of them with at most `max_bytes`. Without a cursor, or
    /// with an empty one, from the oldest frame on.
    pub fn export_log(
        &self,
        cursor: Option<&str>,
        max_frames: usize,
        max_bytes: usize,
        include_payload: bool,
    ) -> Result<String> {
        for (limit, name) in [(max_frames, "max_frames"), (max_bytes, "max_bytes")] {
            if limit == 0 {
                return Err(Error::invalid(format_args!("{name} must be > 0")));
            }
        }
        let cursor: Option<Cursor> = cursor.filter(|text| !text.trim().is_empty()).map(str::parse).transpose()?;
        let mut reader = self.pages.lock();
        let Served { page, start, head } = self.read_page(&mut reader, cursor, max_frames, max_bytes)?;
        // After the head: an epoch that began since has none of these frames.
        let epoch = self.engine.epoch();
        let retained_floor = floor_of(reader.floor(), head);
        drop(reader);
        let known = self.engine.env.host.known_level();
        let (frames, next) = verified(page, max_bytes, include_payload, known)?;
        let last = next.map_or(start.after, |next| next.log_index);
        to_json(&PageJson {
            version: VERSION,
            epoch: epoch.0,
            head_log_index: head.0,
            retained_floor,
            cursor: cursor.map(|cursor| cursor.to_string()),
            next_cursor: next.map(|next| next.to_string()),
            eof: last >= head,
            gap: start.gap,
            frame_count: frames.len(),
            total_bytes: frames.iter().map(|frame| frame.bytes).sum(),
            frames,
        })
    }

    fn read_page(
        &self,
        reader: &mut LogReader,
        cursor: Option<Cursor>,
        max_frames: usize,
        max_bytes: usize,
    ) -> Result<Served> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            // The head first: what is published is in a segment that is found then.
            let head = self.engine.published();
            reader.refresh()?;
            let segments: Vec<_> = reader.headers().map(|header| (header.first, header.epoch)).collect();
            let mut start = Outline { segments: &segments, head }.start(cursor);
            // A page from the oldest frame on, too, begins in a segment that was not let go of.
            let first = start.gap.map_or(start.after.0, |gap| gap.first_missing.unwrap_or(u64::MAX));
            if first > 0
                && (start.gap.is_some() || cursor.is_none())
                && let Some(damage) = reader.damage_at(LogIndex(first))
            {
                return Err(damage);
            }
            let limits = PageLimits { max_frames, max_bytes, through: head };
            let mut page = reader.read(start.after, limits)?;
            while page.chunks.is_empty()
                && page.fault.is_some()
                && reader.damage_at(LogIndex(start.after.0 + 1)).is_none()
                && let Some(next) = reader.after_gap(LogIndex(start.after.0 + 1))
            {
                start = start.with_missing_segment(next);
                page = reader.read(start.after, limits)?;
            }
            let floor = reader.floor();
            // Retention let go of what was to come next, or of all that there was up to the head.
            let overtaken = match &page.fault {
                Some(_) => page.chunks.is_empty() && floor.is_none_or(|floor| floor.0 > start.after.0 + 1),
                None => floor.is_some_and(|floor| floor.0 > head.0 + 1),
            };
            if !overtaken || attempt == ATTEMPTS {
                // Segments that are absent from this node's own log are damage.
                let index = page.last().map_or(start.after, |last| last.header.log_index).0 + 1;
                page.fault = page.fault.map(|e| match e.code() {
                    ErrorCode::SourceUnavailable => Error::corrupt(format_args!(
                        "the segment with log index {index} is not in {}, nor any later one: it was removed, put it back",
                        self.engine.log_dir.display()
                    )),
                    _ => e,
                });
                return Ok(Served { page, start, head });
            }
        }
    }

    /// What a copy of the database at a new checkpoint needs to be known of, as JSON; with `include_data`, the copy
    /// too. Commits go on meanwhile.
    pub fn export_snapshot(&self, include_data: bool) -> Result<String> {
        self.engine.checkpoint()?;
        // Open, it pins the generation that it shows.
        let store = Store::open(&self.engine.env, &self.engine.path, false)?;
        let mark = store.manifest().checkpoint;
        let head = self.engine.published();
        let epoch = self.engine.epoch();
        let retained_floor = {
            let mut reader = self.pages.lock();
            reader.refresh()?;
            floor_of(reader.floor(), head)
        };
        let image = store.image();
        let byte_length = image.image_len();
        if include_data && byte_length > MAX_INLINE_BYTES {
            return Err(Error::invalid(format_args!(
                "snapshot size {byte_length} exceeds max inline payload of {MAX_INLINE_BYTES} bytes: export it without \
                 its data"
            )));
        }
        let mut data = Vec::with_capacity(if include_data { byte_length as usize } else { 0 });
        let mut crc = 0;
        let (mut piece, mut at) = (vec![0; PIECE], 0);
        while at < byte_length {
            let here = PIECE.min((byte_length - at) as usize);
            let piece = &mut piece[..here];
            image.read_image(piece, at)?;
            crc = crc32c::crc32c_append(crc, piece);
            if include_data {
                data.extend_from_slice(piece);
            }
            at += here as u64;
        }
        to_json(&SnapshotJson {
            version: VERSION,
            format: "single-file-db-copy",
            db_path: self.engine.path.to_string_lossy().into_owned(),
            byte_length,
            checksum_crc32c: format!("{crc:08x}"),
            generated_at_ms: self.engine.env.host.now_ms(),
            epoch: epoch.0,
            head_log_index: head.0,
            retained_floor,
            checkpoint_log_index: mark.log_index.0,
            digest: mark.digest.to_string(),
            start_cursor: Cursor::before(mark.epoch, LogIndex(mark.log_index.0 + 1)).to_string(),
            data_base64: include_data.then(|| BASE64_STANDARD.encode(&data)),
        })
    }
}

impl Start {
    /// As this, where the frames up to `next` are missing too.
    fn with_missing_segment(self, next: LogIndex) -> Self {
        let missing = Gap {
            reason: GapReason::MissingSegment,
            first_missing: Some(self.after.0 + 1),
            last_missing: Some(next.0 - 1),
        };
        let gap = match self.gap {
            // What came first is what the consumer has to know.
            Some(gap) => Gap { last_missing: gap.first_missing.and(missing.last_missing), ..gap },
            None => missing,
        };
        Self { after: LogIndex(next.0 - 1), gap: Some(gap) }
    }
}

/// The frames of a page up to the first one that does not verify, or needs a feature level above `known`, and the place after
/// them. An error if that is the very first.
fn verified(
    page: LogPage,
    max_bytes: usize,
    include_payload: bool,
    known: u16,
) -> Result<(Vec<FrameJson>, Option<Cursor>)> {
    let mut frames = Vec::with_capacity(page.frame_count());
    let (mut next, mut fault) = (None, page.fault);
    'page: for chunk in &page.chunks {
        for place in &chunk.frames {
            let (index, len) = (place.header.log_index, place.len);
            let bytes = chunk.bytes.get(place.at..place.at + len).unwrap_or_default();
            if FrameRef::parse(bytes).is_none() {
                fault = Some(Error::corrupt(format_args!(
                    "the frame with log index {index} does not verify (CRC mismatch) in log segment {} at byte {}",
                    chunk.segment, place.segment_offset
                )));
                break 'page;
            }
            if let Err(e) = place.header.require_known(known) {
                fault = Some(e);
                break 'page;
            }
            if len > max_bytes {
                return Err(Error::invalid(format_args!(
                    "max_bytes budget of {max_bytes} is smaller than frame size {len}, that of the frame with log index \
                     {index}"
                )));
            }
            let segment_offset = place.segment_offset;
            next = Some(Cursor {
                epoch: chunk.epoch,
                segment_id: chunk.segment,
                segment_offset: segment_offset + len as u64,
                log_index: index,
            });
            frames.push(FrameJson {
                epoch: chunk.epoch.0,
                log_index: index.0,
                segment_id: chunk.segment,
                segment_offset,
                bytes: len,
                payload_base64: include_payload.then(|| BASE64_STANDARD.encode(bytes)),
            });
        }
    }
    match fault {
        Some(fault) if frames.is_empty() => Err(fault),
        _ => Ok((frames, next)),
    }
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(ErrorCode::Internal, format_args!("cannot write JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frame after which a page begins; why frames are missing before it, the first of them, and the last.
    type Found = (u64, Option<(GapReason, Option<u64>, Option<u64>)>);

    fn start(segments: &[(u64, u64)], head: u64, cursor: &str) -> Found {
        let segments: Vec<_> = segments.iter().map(|(first, epoch)| (LogIndex(*first), Epoch(*epoch))).collect();
        let cursor = (!cursor.is_empty()).then(|| cursor.parse().unwrap());
        let start = Outline { segments: &segments, head: LogIndex(head) }.start(cursor);
        (start.after.0, start.gap.map(|gap| (gap.reason, gap.first_missing, gap.last_missing)))
    }

    #[test]
    fn a_page_begins_after_its_cursor_and_says_what_is_missing_before_it() {
        use GapReason::{BelowFloor, OffHistory};
        let off = Some((OffHistory, None, None));
        let below = |first, last| Some((BelowFloor, Some(first), Some(last)));
        // Epoch 1 up to frame 10, epoch 2 from 11 on, epoch 4 from 15 on; frames 1 to 4 are gone.
        let log = [(5, 1), (8, 1), (11, 2), (15, 4)];
        for (cursor, expected) in [
            ("", (4, None)),
            ("1:1:900:6", (6, None)),
            ("1:0:0:6", (5, None)),
            ("1:7:0:6", (5, None)),
            ("1:1:900:4", (4, None)),
            ("1:0:0:5", (4, None)),
            ("1:1:900:3", (4, below(4, 4))),
            ("1:0:0:4", (4, below(4, 4))),
            ("1:0:0:0", (4, below(1, 4))),
            ("1:1:900:10", (10, None)),
            // Right before the first frame of a later epoch, whichever of both it was thought to be of.
            ("1:0:0:11", (10, None)),
            ("2:0:0:11", (10, None)),
            ("2:3:900:11", (11, None)),
            ("3:0:0:15", (14, None)),
            ("4:4:900:20", (20, None)),
            ("4:0:0:21", (20, None)),
            // Epoch 1 ended at 10: who has more of it has what was made void.
            ("1:2:900:12", (10, off)),
            ("1:0:0:12", (10, off)),
            // Frame 8 is of epoch 1 here.
            ("2:3:900:8", (10, off)),
            ("2:0:0:8", (7, None)),
            ("3:3:900:14", (14, off)),
            ("4:4:900:21", (20, off)),
            ("9:1:900:20", (20, off)),
            ("9:0:0:21", (20, None)),
            ("1:1:900:18446744073709551615", (10, off)),
        ] {
            assert_eq!(start(&log, 20, cursor), expected, "cursor {cursor:?}");
        }
        // Nothing is kept of 7 frames; and a database without a commit.
        assert_eq!(start(&[], 7, ""), (7, None));
        assert_eq!(start(&[], 7, "1:1:900:7"), (7, None));
        assert_eq!(start(&[], 7, "1:0:0:3"), (7, below(3, 7)));
        assert_eq!(start(&[], 0, "1:0:0:1"), (0, None));
    }

    #[test]
    fn the_checksum_is_crc_32c() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
    }
}
