//! A place in a log, in text: what a consumer of exported pages keeps between two of them.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex, parse_number},
};
use std::{cmp::Ordering, fmt, str::FromStr};

/// The place right after a frame of a log: `epoch:segment_id:segment_offset:log_index` in text, ordered by epoch, then
/// log index, then segment, then offset.
///
/// The frame is sought by epoch and log index. Segment and offset are those of the log that the cursor came from, where
/// the frame's bytes begin or end; another log of the same history, say that of a replica that was promoted, keeps the
/// frame elsewhere.
///
/// A cursor that names no place in a segment, because its `segment_id` or its `segment_offset` is 0, stands *before* the
/// frame: `1:0:0:7` includes frame 7. It is on a log's history where that frame, or the one before it, is of the cursor's
/// epoch there; else the page says [`OffHistory`](crate::LogGapReason::OffHistory).
///
/// It does not say who wrote the epoch: where two nodes were each promoted by force into an epoch of the same number, a cursor
/// of one cannot be told from one of the other. Keep the database's file id and the writer beside it where that can happen, and
/// compare the digest that an [`ExportedSnapshot`](crate::ExportedSnapshot) carries.
///
/// ```
/// use kitedb_core::Cursor;
///
/// let cursor: Cursor = "1:3:512:0042".parse()?;
/// assert_eq!(cursor.to_string(), "1:3:512:42");
/// assert!(cursor > "1:0:0:42".parse()? && cursor < "2:0:0:1".parse()?);
/// # Ok::<(), kitedb_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Cursor {
    /// The frame's epoch.
    pub epoch: Epoch,
    /// The number of the segment that holds the frame; 0: no matter which.
    pub segment_id: u64,
    /// A place in that segment, in bytes.
    pub segment_offset: u64,
    /// The frame's log index.
    pub log_index: LogIndex,
}

impl Cursor {
    /// Right before the frame `log_index`, wherever it is.
    pub fn before(epoch: Epoch, log_index: LogIndex) -> Self {
        Self { epoch, log_index, ..Self::default() }
    }

    /// Whether it stands before its frame, and not after it.
    pub fn includes_its_frame(&self) -> bool {
        self.segment_id == 0 || self.segment_offset == 0
    }
}

impl Ord for Cursor {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |c: &Self| (c.epoch, c.log_index, c.segment_id, c.segment_offset);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Cursor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.epoch, self.segment_id, self.segment_offset, self.log_index)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    /// Reads `epoch:segment_id:segment_offset:log_index`; each part one or more ASCII digits that fit 64 bits.
    fn from_str(text: &str) -> Result<Self> {
        let invalid = |what: fmt::Arguments<'_>| Error::new(ErrorCode::InvalidCursor, what);
        let mut parts = text.split(':');
        let mut part = |name: &str| {
            let part = parts.next().ok_or_else(|| invalid(format_args!("invalid cursor '{text}' ({name} missing)")))?;
            parse_number(part, name).map_err(|e| invalid(format_args!("invalid cursor '{text}': {e}")))
        };
        let cursor = Self {
            epoch: Epoch(part("epoch")?),
            segment_id: part("segment_id")?,
            segment_offset: part("segment_offset")?,
            log_index: LogIndex(part("log_index")?),
        };
        match parts.next() {
            None => Ok(cursor),
            Some(_) => Err(invalid(format_args!(
                "invalid cursor format '{text}': give epoch:segment_id:segment_offset:log_index"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_what_they_print_and_refuse_the_rest() {
        let cursor: Cursor = "1:02:512:0042".parse().unwrap();
        assert_eq!(cursor.to_string(), "1:2:512:42");
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for (bad, phrase) in [
            ("", "invalid epoch"),
            ("1", "(segment_id missing)"),
            ("1:2", "(segment_offset missing)"),
            ("1:2:3", "(log_index missing)"),
            ("1::3:4", "invalid segment_id"),
            ("1:2:0x3:4", "invalid segment_offset"),
            ("1:2:3: 4", "invalid log_index"),
            ("1:2:3:18446744073709551616", "log_index overflow"),
            ("1:2:3:4:5", "invalid cursor format"),
        ] {
            let error = bad.parse::<Cursor>().unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidCursor);
            let text = error.to_string();
            assert!(text.contains(phrase) && text.contains("invalid cursor"), "{bad}: {text}");
        }
    }
}
