//! A page of a log.

use crate::{VERSION, from_json};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kitedb_core::{Error, ExportedPage, LogGap, Result};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A page of a log, as its JSON says it. Read it from text by [`str::parse`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogPageJson {
    /// [`VERSION`].
    pub version: u32,
    /// The epoch that the primary leads.
    pub epoch: u64,
    /// The last frame that was published; 0 before the first.
    pub head_log_index: u64,
    /// The first frame that is still there; 0 if none was ever let go.
    pub retained_floor: u64,
    /// The cursor that was asked for.
    pub cursor: Option<String>,
    /// The cursor to go on with; `None` where the page is empty: then go on with the one that was asked for.
    pub next_cursor: Option<String>,
    /// Whether nothing that was published is left after the page.
    pub eof: bool,
    /// Why frames that should come next are in neither this page nor a later one.
    pub gap: Option<GapJson>,
    /// How many frames there are.
    pub frame_count: usize,
    /// How many bytes these have together.
    pub total_bytes: usize,
    /// The frames, in the order of the log.
    pub frames: Vec<FrameJson>,
}

/// Frames that the consumer of a log expects next and will not get: it must be reseeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GapJson {
    /// Why: `below_floor`, `missing_segment` or `off_history`; others may come.
    pub reason: String,
    /// The first one; `None` where the consumer has some that the log does not.
    pub first_missing: Option<u64>,
    /// The last one.
    pub last_missing: Option<u64>,
}

/// A frame of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FrameJson {
    /// The epoch that it is of.
    pub epoch: u64,
    /// Its number in the log.
    pub log_index: u64,
    /// The number of the segment that it lies in.
    pub segment_id: u64,
    /// Where it begins there, in bytes.
    pub segment_offset: u64,
    /// How many bytes it has.
    pub bytes: usize,
    /// The frame as the log holds it, in base64; `None` where it was not asked for.
    pub payload_base64: Option<String>,
}

impl LogPageJson {
    /// What the JSON of a page says, with the frames themselves if `include_payload`.
    pub fn of(page: &ExportedPage, include_payload: bool) -> Self {
        let frames: Vec<FrameJson> = page
            .frames()
            .map(|frame| FrameJson {
                epoch: frame.epoch.0,
                log_index: frame.log_index.0,
                segment_id: frame.segment_id,
                segment_offset: frame.segment_offset,
                bytes: frame.bytes.len(),
                payload_base64: include_payload.then(|| BASE64_STANDARD.encode(frame.bytes)),
            })
            .collect();
        Self {
            version: VERSION,
            epoch: page.epoch().0,
            head_log_index: page.head().0,
            retained_floor: page.retained_floor().0,
            cursor: page.cursor().map(|cursor| cursor.to_string()),
            next_cursor: page.next_cursor().map(|next| next.to_string()),
            eof: page.is_end(),
            gap: page.gap().map(GapJson::from),
            frame_count: frames.len(),
            total_bytes: frames.iter().map(|frame| frame.bytes).sum(),
            frames,
        }
    }
}

impl FrameJson {
    /// The frame's bytes; `None` where they were not asked for.
    ///
    /// # Errors
    /// [`InvalidArgument`](kitedb_core::ErrorCode::InvalidArgument) if they are not those of `bytes` bytes in base64.
    pub fn payload(&self) -> Result<Option<Vec<u8>>> {
        let Some(text) = &self.payload_base64 else { return Ok(None) };
        let (index, said) = (self.log_index, self.bytes);
        let bytes = BASE64_STANDARD.decode(text).map_err(|e| {
            Error::invalid(format_args!("the payload of the frame with log index {index} is no base64: {e}"))
        })?;
        match bytes.len() {
            len if len == said => Ok(Some(bytes)),
            len => Err(Error::invalid(format_args!(
                "the payload of the frame with log index {index} has {len} bytes, where {said} are said: ask for the page again"
            ))),
        }
    }
}

impl FromStr for LogPageJson {
    type Err = Error;

    /// Reads a page. Fails ([`InvalidArgument`](kitedb_core::ErrorCode::InvalidArgument)) on what is none, on another version,
    /// and where a page was cut short.
    fn from_str(text: &str) -> Result<Self> {
        let page: Self = from_json(text, "log")?;
        let bytes = page.frames.iter().try_fold(0usize, |sum, frame| sum.checked_add(frame.bytes));
        if page.frames.len() != page.frame_count || bytes != Some(page.total_bytes) {
            return Err(Error::invalid(format_args!(
                "a page of a log has {} frames, where {} with {} bytes are said: ask for it again",
                page.frames.len(),
                page.frame_count,
                page.total_bytes
            )));
        }
        Ok(page)
    }
}

impl From<LogGap> for GapJson {
    fn from(gap: LogGap) -> Self {
        Self {
            reason: gap.reason.as_str().to_owned(),
            first_missing: gap.first_missing,
            last_missing: gap.last_missing,
        }
    }
}
