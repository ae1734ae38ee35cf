//! A primary's log and its snapshots, for hosts that carry them over a network of their own. The crate `kitedb-transport`
//! writes them as JSON.
//!
//! A page holds the frames after a [`Cursor`], verified and verbatim: the bytes that the log holds are those that
//! travel and those that a replica stores. Where frames between the cursor and the page are gone, the page says so in
//! `gap`; nobody who looks there misses a frame unknowingly. A snapshot is the image of the database at a checkpoint,
//! pinned while it lives; it and the pages from its `start_cursor` on make up the whole graph.

pub(super) mod cursor;

use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex},
    log::{FrameRef, LogPage, LogReader, PageLimits},
    replication::followed_log::{FollowedLog, floor_of},
    store::{Store, StoreImage},
};
use cursor::Cursor;
use std::{fmt, path::PathBuf};

/// Retention may let go of what was just found; so often a page is begun anew.
const ATTEMPTS: usize = 10;

/// Frames of a primary's log after a cursor, each verified. Made by
/// [`Database::primary_export_log`](crate::Database::primary_export_log).
pub struct ExportedPage {
    cursor: Option<Cursor>,
    next: Option<Cursor>,
    epoch: Epoch,
    head: LogIndex,
    retained_floor: u64,
    eof: bool,
    gap: Option<LogGap>,
    page: LogPage,
    /// How many of the page's frames are in it.
    frames: usize,
}

impl ExportedPage {
    /// The cursor after which it begins; `None`: it begins with the oldest frame.
    pub fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// The cursor after its last frame; `None` where it has none.
    pub fn next_cursor(&self) -> Option<Cursor> {
        self.next
    }

    /// The epoch that the primary leads.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last frame that was published when the page was made; 0 before the first.
    pub fn head(&self) -> LogIndex {
        self.head
    }

    /// The first frame that is still there; 0 if none was ever let go.
    pub fn retained_floor(&self) -> LogIndex {
        LogIndex(self.retained_floor)
    }

    /// Whether nothing that was published is left after it.
    pub fn is_end(&self) -> bool {
        self.eof
    }

    /// Why frames that should come next are in neither this page nor a later one.
    pub fn gap(&self) -> Option<LogGap> {
        self.gap
    }

    /// How many frames it has.
    pub fn len(&self) -> usize {
        self.frames
    }

    /// Whether it has no frame.
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Its frames, in the order of the log.
    pub fn frames(&self) -> impl Iterator<Item = ExportedFrame<'_>> {
        let all = self.page.chunks.iter().flat_map(|chunk| {
            chunk.frames.iter().map(|place| ExportedFrame {
                epoch: chunk.epoch,
                log_index: place.header.log_index,
                segment_id: chunk.segment,
                segment_offset: place.segment_offset,
                bytes: chunk.bytes.get(place.at..place.at + place.len).unwrap_or_default(),
            })
        });
        all.take(self.frames)
    }
}

/// A frame of an [`ExportedPage`].
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportedFrame<'a> {
    /// The epoch that it is of.
    pub epoch: Epoch,
    /// Its number in the log.
    pub log_index: LogIndex,
    /// The number of the segment that it lies in.
    pub segment_id: u64,
    /// Where it begins there, in bytes.
    pub segment_offset: u64,
    /// The frame as the log holds it, padding included.
    pub bytes: &'a [u8],
}

/// Frames that a consumer of a log expects next and will not get: it must be reseeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogGap {
    /// Why they are missing.
    pub reason: LogGapReason,
    /// The first frame that is missing; `None` where the consumer has some that this log does not.
    pub first_missing: Option<u64>,
    /// The last frame that is missing.
    pub last_missing: Option<u64>,
}

/// Why frames are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogGapReason {
    /// Retention let go of them.
    BelowFloor,
    /// Their segment is not there.
    MissingSegment,
    /// The cursor is not on this log's history: it names a frame of an epoch that ended before it or began after it, or
    /// one that this log has not reached.
    OffHistory,
}

impl LogGapReason {
    /// The text form: `below_floor`, `missing_segment` or `off_history`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BelowFloor => "below_floor",
            Self::MissingSegment => "missing_segment",
            Self::OffHistory => "off_history",
        }
    }
}

/// An image of a primary's database at a new checkpoint, which stays readable while this lives. Made by
/// [`Database::primary_export_snapshot`](crate::Database::primary_export_snapshot).
pub struct ExportedSnapshot {
    image: StoreImage,
    /// Open, it pins the generation that it shows.
    store: Store,
    db_path: PathBuf,
    generated_at_ms: u64,
    epoch: Epoch,
    head: LogIndex,
    retained_floor: u64,
}

impl ExportedSnapshot {
    /// Where the primary's file is.
    pub fn db_path(&self) -> &std::path::Path {
        &self.db_path
    }

    /// When it was made, in ms since 1970.
    pub fn generated_at_ms(&self) -> u64 {
        self.generated_at_ms
    }

    /// The epoch that the primary leads.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last frame that was published when it was made.
    pub fn head(&self) -> LogIndex {
        self.head
    }

    /// The first frame that is still there; 0 if none was ever let go.
    pub fn retained_floor(&self) -> LogIndex {
        LogIndex(self.retained_floor)
    }

    /// The last frame that the image holds.
    pub fn checkpoint(&self) -> LogIndex {
        self.store.manifest().checkpoint.log_index
    }

    /// The state digest at that frame.
    pub fn digest(&self) -> Digest {
        self.store.manifest().checkpoint.digest
    }

    /// The cursor from which pages go on: before the frame that follows.
    pub fn start_cursor(&self) -> Cursor {
        let mark = self.store.manifest().checkpoint;
        Cursor::before(mark.epoch, LogIndex(mark.log_index.0 + 1))
    }

    /// How many bytes the image has.
    pub fn byte_length(&self) -> u64 {
        self.image.image_len()
    }

    /// Reads exactly `buf.len()` bytes at `offset` of the image: those of a database file that opens like any other.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] where the image does not have so many bytes there; those of reading a file.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.byte_length()) {
            let (wanted, len) = (buf.len(), self.byte_length());
            return Err(Error::invalid(format_args!(
                "{wanted} bytes at {offset} of a snapshot are asked for, which has {len}: read within its byte_length"
            )));
        }
        self.image.read_image(buf, offset)
    }
}

// None of them shows a frame's bytes or what an image holds.
impl fmt::Debug for ExportedPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cursor, next, epoch, head, retained_floor, eof, gap, frames, .. } = self;
        f.debug_struct("ExportedPage")
            .field("cursor", cursor)
            .field("next", next)
            .field("epoch", epoch)
            .field("head", head)
            .field("retained_floor", retained_floor)
            .field("eof", eof)
            .field("gap", gap)
            .field("frames", frames)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ExportedFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, log_index, segment_id, segment_offset, bytes } = self;
        f.debug_struct("ExportedFrame")
            .field("epoch", epoch)
            .field("log_index", log_index)
            .field("segment_id", segment_id)
            .field("segment_offset", segment_offset)
            .field("len", &bytes.len())
            .finish()
    }
}

impl fmt::Debug for ExportedSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportedSnapshot")
            .field("db_path", &self.db_path)
            .field("epoch", &self.epoch)
            .field("checkpoint", &self.checkpoint())
            .field("byte_length", &self.byte_length())
            .finish_non_exhaustive()
    }
}

/// What of a log decides where a page begins.
struct Outline<'a> {
    /// The first frame of each segment, and its epoch.
    segments: &'a [(LogIndex, Epoch)],
    head: LogIndex,
    /// The epoch that it is in now: one without a frame has no segment.
    epoch: Epoch,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Start {
    after: LogIndex,
    gap: Option<LogGap>,
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

    /// The epoch of a frame, or of the one that comes next; `None` where no segment tells.
    fn epoch_at(&self, index: u64) -> Option<Epoch> {
        let found = self.segments.iter().rev().find(|(first, _)| first.0 <= index);
        found.filter(|_| index <= self.head.0 + 1).map(|(_, epoch)| *epoch)
    }

    /// Whether the place before a frame can be one of that epoch here: it is that of the frame, or of the one before it,
    /// which a snapshot ends with; or no frame of it came there. Nobody stands on another history before the first frame.
    fn leads_to(&self, epoch: Epoch, index: u64) -> bool {
        let here = self.epoch_at(index);
        let began_here = || self.segments.iter().any(|(first, e)| first.0 == index && *e == epoch);
        let is_next = || index == self.head.0 + 1 && epoch == self.epoch;
        match self.epoch_at(index - 1) {
            _ if index <= 1 || here == Some(epoch) || is_next() || began_here() => true,
            Some(before) => before == epoch,
            // Those before it are gone: they were of no later epoch than those that are left.
            None => epoch <= here.or(self.segments.first().map(|(_, epoch)| *epoch)).unwrap_or(self.epoch),
        }
    }

    fn start(&self, cursor: Option<Cursor>) -> Start {
        let floor = self.floor();
        let Some(cursor) = cursor else { return Start { after: LogIndex(floor - 1), gap: None } };
        let index = cursor.log_index.0;
        let held = if cursor.includes_its_frame() { index.saturating_sub(1) } else { index };
        let (begin, end) = (self.begin_of(cursor.epoch), self.end_of(cursor.epoch));
        // What it names, by a number that is another epoch's here. Before its frame it names none.
        let too_early = !cursor.includes_its_frame() && index > 0 && index < begin && begin > floor;
        let before_another = cursor.includes_its_frame() && index > 1 && !self.leads_to(cursor.epoch, index);
        if too_early || before_another || held > end {
            let too_early = too_early || before_another && held <= end;
            let after = LogIndex(if too_early { begin.max(floor) - 1 } else { end.max(floor - 1) });
            let gap = LogGap { reason: LogGapReason::OffHistory, first_missing: None, last_missing: None };
            return Start { after, gap: Some(gap) };
        }
        let below = held + 1 < floor;
        let gap =
            LogGap { reason: LogGapReason::BelowFloor, first_missing: Some(held + 1), last_missing: Some(floor - 1) };
        Start { after: LogIndex(held.max(floor - 1)), gap: below.then_some(gap) }
    }
}

/// Frames as they are to be served, and what they follow.
struct Served {
    page: LogPage,
    start: Start,
    head: LogIndex,
}

impl FollowedLog {
    /// Frames after `cursor`: at most `max_frames` of them with at most `max_bytes`. Without a cursor, from the oldest frame on.
    pub fn export_log(&self, cursor: Option<Cursor>, max_frames: usize, max_bytes: usize) -> Result<ExportedPage> {
        for (limit, name) in [(max_frames, "max_frames"), (max_bytes, "max_bytes")] {
            if limit == 0 {
                return Err(Error::invalid(format_args!("{name} must be > 0")));
            }
        }
        let mut reader = self.pages.lock();
        let Served { page, start, head } = self.read_page(&mut reader, cursor, max_frames, max_bytes)?;
        // After the head: an epoch that began since has none of these frames.
        let epoch = self.engine.epoch();
        let retained_floor = floor_of(reader.floor(), head);
        drop(reader);
        let known = self.engine.env.host.known_level();
        let (page, frames, next) = verified(page, max_bytes, known)?;
        let last = next.map_or(start.after, |next| next.log_index);
        Ok(ExportedPage { cursor, next, epoch, head, retained_floor, eof: last >= head, gap: start.gap, page, frames })
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
            let mut start = Outline { segments: &segments, head, epoch: self.engine.epoch() }.start(cursor);
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

    /// An image of the database at a new checkpoint, or at the last one where it is open for reading only. Commits go on meanwhile.
    pub fn export_snapshot(&self) -> Result<ExportedSnapshot> {
        if !self.engine.options.read_only {
            self.engine.checkpoint()?;
        }
        let store = Store::open(&self.engine.env, &self.engine.path, false)?;
        // Whoever writes may have made a checkpoint since this was opened for reading.
        let head = self.engine.published().max(store.manifest().checkpoint.log_index);
        let epoch = self.engine.epoch();
        let retained_floor = {
            let mut reader = self.pages.lock();
            reader.refresh()?;
            floor_of(reader.floor(), head)
        };
        Ok(ExportedSnapshot {
            image: store.image(),
            store,
            db_path: self.engine.path.clone(),
            generated_at_ms: self.engine.env.host.now_ms(),
            epoch,
            head,
            retained_floor,
        })
    }
}

impl Start {
    /// As this, where the frames up to `next` are missing too.
    fn with_missing_segment(self, next: LogIndex) -> Self {
        let missing = LogGap {
            reason: LogGapReason::MissingSegment,
            first_missing: Some(self.after.0 + 1),
            last_missing: Some(next.0 - 1),
        };
        let gap = match self.gap {
            // What came first is what the consumer has to know.
            Some(gap) => LogGap { last_missing: gap.first_missing.and(missing.last_missing), ..gap },
            None => missing,
        };
        Self { after: LogIndex(next.0 - 1), gap: Some(gap) }
    }
}

/// A page, how many of its frames come before the first one that does not verify, or needs a feature level above `known`, and
/// the place after them. An error if that is the very first.
fn verified(page: LogPage, max_bytes: usize, known: u16) -> Result<(LogPage, usize, Option<Cursor>)> {
    let (mut frames, mut next, mut fault) = (0, None, page.fault.clone());
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
            next = Some(Cursor {
                epoch: chunk.epoch,
                segment_id: chunk.segment,
                segment_offset: place.segment_offset + len as u64,
                log_index: index,
            });
            frames += 1;
        }
    }
    match fault {
        Some(fault) if frames == 0 => Err(fault),
        _ => Ok((page, frames, next)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frame after which a page begins; why frames are missing before it, the first of them, and the last.
    type PageStart = (u64, Option<(LogGapReason, Option<u64>, Option<u64>)>);

    fn start(segments: &[(u64, u64)], head: u64, cursor: &str) -> PageStart {
        let segments: Vec<_> = segments.iter().map(|(first, epoch)| (LogIndex(*first), Epoch(*epoch))).collect();
        let cursor = (!cursor.is_empty()).then(|| cursor.parse().unwrap());
        let epoch = segments.last().map_or(Epoch(1), |(_, epoch)| *epoch);
        let start = Outline { segments: &segments, head: LogIndex(head), epoch }.start(cursor);
        (start.after.0, start.gap.map(|gap| (gap.reason, gap.first_missing, gap.last_missing)))
    }

    #[test]
    fn a_page_begins_after_its_cursor_and_says_what_is_missing_before_it() {
        use LogGapReason::{BelowFloor, OffHistory};
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
            // No frame of epoch 3 came here; a snapshot of it ends with one elsewhere.
            ("3:0:0:15", (14, off)),
            ("4:4:900:20", (20, None)),
            ("4:0:0:21", (20, None)),
            // Epoch 1 ended at 10: who has more of it has what was made void.
            ("1:2:900:12", (10, off)),
            ("1:0:0:12", (10, off)),
            // Frame 8 is of epoch 1 here.
            ("2:3:900:8", (10, off)),
            ("2:0:0:8", (10, off)),
            ("1:0:0:15", (10, off)),
            ("2:0:0:15", (14, None)),
            ("9:0:0:9", (20, off)),
            ("9:0:0:3", (20, off)),
            ("9:0:0:1", (4, below(1, 4))),
            ("3:3:900:14", (14, off)),
            ("4:4:900:21", (20, off)),
            ("9:1:900:20", (20, off)),
            ("9:0:0:21", (20, off)),
            ("1:1:900:18446744073709551615", (10, off)),
        ] {
            assert_eq!(start(&log, 20, cursor), expected, "cursor {cursor:?}");
        }
        // Nothing is kept of 7 frames; and a database without a commit.
        assert_eq!(start(&[], 7, ""), (7, None));
        assert_eq!(start(&[], 7, "1:1:900:7"), (7, None));
        assert_eq!(start(&[], 7, "1:0:0:3"), (7, below(3, 7)));
        assert_eq!(start(&[], 0, "1:0:0:1"), (0, None));
        assert_eq!(start(&[], 7, "1:0:0:8"), (7, None));
        assert_eq!(start(&[], 7, "2:0:0:8"), (7, off));
    }
}
