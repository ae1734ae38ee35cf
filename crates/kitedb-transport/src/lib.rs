//! KiteDB's replication log and its snapshots as JSON text, for hosts that carry them over a network of their own.
//!
//! [`TransportJson`] adds to a [`Database`] what writes them; [`LogPageJson`] and [`SnapshotJson`] are what the text says, for
//! who writes it and who reads it. What is read is looked at before it is believed: a text of another version, frames that are not
//! as many as the page says, and data whose checksum is another one are errors. Members that are not known are passed over.
//! Every checksum that is called CRC-32C is one (Castagnoli).

mod page;
mod snapshot;

pub use page::{FrameJson, GapJson, LogPageJson};
pub use snapshot::SnapshotJson;

use kitedb_core::{Database, Error, ErrorCode, Result};
use serde::{Serialize, de::DeserializeOwned};

/// The version of both texts: it rises when a member changes its meaning or goes.
pub const VERSION: u32 = 1;

/// The most bytes of a snapshot that are put into JSON.
pub const MAX_INLINE_BYTES: u64 = 32 << 20;

/// What a primary tells hosts that carry its log and its snapshots themselves.
pub trait TransportJson {
    /// What a copy of this database at a new checkpoint needs to be known of, as JSON ([`SnapshotJson`]): its length and
    /// CRC-32C, the place in the log where it stands, and the cursor from which pages of
    /// [`TransportJson::primary_export_log_transport_json`] go on. With `include_data` the copy itself too, in base64: the
    /// bytes of a database file that opens like any other. Commits go on meanwhile.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] if the copy is to be included and has more than [`MAX_INLINE_BYTES`];
    /// [`ErrorCode::NotPrimary`].
    fn primary_export_snapshot_transport_json(&self, include_data: bool) -> Result<String>;

    /// A page of the log as JSON ([`LogPageJson`]): the frames after `cursor` (`None` or blank: from the oldest one on), at most
    /// `max_frames` of them with at most `max_bytes`, each verified and as the log holds it; without `include_payload` only
    /// what each is. Where the frames that should come next are gone, or the cursor is not on this log's history, the page's
    /// `gap` says so.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidCursor`]; [`ErrorCode::InvalidArgument`] if a limit is 0 or the first frame alone is larger
    /// than `max_bytes`; [`ErrorCode::Corrupt`] if the first frame does not verify (a later one ends the page);
    /// [`ErrorCode::NotPrimary`].
    fn primary_export_log_transport_json(
        &self,
        cursor: Option<&str>,
        max_frames: usize,
        max_bytes: usize,
        include_payload: bool,
    ) -> Result<String>;
}

impl TransportJson for Database {
    fn primary_export_snapshot_transport_json(&self, include_data: bool) -> Result<String> {
        to_json(&SnapshotJson::of(&self.primary_export_snapshot()?, include_data)?)
    }

    fn primary_export_log_transport_json(
        &self,
        cursor: Option<&str>,
        max_frames: usize,
        max_bytes: usize,
        include_payload: bool,
    ) -> Result<String> {
        let cursor = cursor.filter(|text| !text.trim().is_empty()).map(str::parse).transpose()?;
        to_json(&LogPageJson::of(&self.primary_export_log(cursor, max_frames, max_bytes)?, include_payload))
    }
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(ErrorCode::Internal, format_args!("cannot write JSON: {e}")))
}

/// Reads a text of which `what` is said in errors.
fn from_json<T: DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    /// Read first: another version may have other members.
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let bad = |e: serde_json::Error| Error::invalid(format_args!("this is no replication {what} transport JSON: {e}"));
    match serde_json::from_str::<Version>(text).map_err(bad)?.version {
        VERSION => serde_json::from_str(text).map_err(bad),
        other => Err(Error::invalid(format_args!(
            "this replication {what} transport JSON has version {other}, and this build reads {VERSION}: use the build that \
             wrote it, or a newer one"
        ))),
    }
}

/// The code in the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
