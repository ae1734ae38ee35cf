//! A snapshot.

use crate::{MAX_INLINE_BYTES, VERSION, from_json};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kitedb_core::{Error, ExportedSnapshot, Result};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Bytes of a snapshot that are read at once.
const PIECE: usize = 1 << 20;
/// What the bytes are.
const FORMAT: &str = "single-file-db-copy";

/// A snapshot, as its JSON says it. Read it from text by [`str::parse`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SnapshotJson {
    /// [`VERSION`].
    pub version: u32,
    /// What the bytes are: `single-file-db-copy`, those of a database file.
    pub format: String,
    /// Where the primary's file is, on its machine.
    pub db_path: String,
    /// How many bytes the copy has.
    pub byte_length: u64,
    /// Their CRC-32C, as 8 hexadecimal digits.
    pub checksum_crc32c: String,
    /// When it was made, in ms since 1970.
    pub generated_at_ms: u64,
    /// The epoch that the primary leads.
    pub epoch: u64,
    /// The last frame that was published when it was made.
    pub head_log_index: u64,
    /// The first frame that is still there; 0 if none was ever let go.
    pub retained_floor: u64,
    /// The last frame that the copy holds.
    pub checkpoint_log_index: u64,
    /// The state digest at that frame.
    pub digest: String,
    /// The cursor from which pages of the log go on.
    pub start_cursor: String,
    /// The copy, in base64; `None` where it was not asked for.
    pub data_base64: Option<String>,
}

impl SnapshotJson {
    /// What the JSON of a snapshot says, with its bytes if `include_data`. Reads all of it, for the checksum.
    ///
    /// # Errors
    /// [`InvalidArgument`](kitedb_core::ErrorCode::InvalidArgument) if its bytes are to be included and are more than
    /// [`MAX_INLINE_BYTES`]; those of reading a file.
    pub fn of(snapshot: &ExportedSnapshot, include_data: bool) -> Result<Self> {
        let byte_length = snapshot.byte_length();
        if include_data && byte_length > MAX_INLINE_BYTES {
            return Err(Error::invalid(format_args!(
                "snapshot size {byte_length} exceeds max inline payload of {MAX_INLINE_BYTES} bytes: export it without \
                 its data"
            )));
        }
        let mut data = Vec::with_capacity(if include_data { byte_length as usize } else { 0 });
        let (mut crc, mut piece, mut at) = (0, vec![0; PIECE], 0);
        while at < byte_length {
            let here = PIECE.min((byte_length - at) as usize);
            let piece = &mut piece[..here];
            snapshot.read_at(piece, at)?;
            crc = crc32c::crc32c_append(crc, piece);
            if include_data {
                data.extend_from_slice(piece);
            }
            at += here as u64;
        }
        Ok(Self {
            version: VERSION,
            format: FORMAT.to_owned(),
            db_path: snapshot.db_path().to_string_lossy().into_owned(),
            byte_length,
            checksum_crc32c: format!("{crc:08x}"),
            generated_at_ms: snapshot.generated_at_ms(),
            epoch: snapshot.epoch().0,
            head_log_index: snapshot.head().0,
            retained_floor: snapshot.retained_floor().0,
            checkpoint_log_index: snapshot.checkpoint().0,
            digest: snapshot.digest().to_string(),
            start_cursor: snapshot.start_cursor().to_string(),
            data_base64: include_data.then(|| BASE64_STANDARD.encode(&data)),
        })
    }

    /// The bytes of the copy, of which length and checksum are those that are said; `None` where they were not asked for.
    ///
    /// # Errors
    /// [`InvalidArgument`](kitedb_core::ErrorCode::InvalidArgument) where the data are no base64;
    /// [`Corrupt`](kitedb_core::ErrorCode::Corrupt) where they are others than was said.
    pub fn data(&self) -> Result<Option<Vec<u8>>> {
        let Some(text) = &self.data_base64 else { return Ok(None) };
        let data = BASE64_STANDARD
            .decode(text)
            .map_err(|e| Error::invalid(format_args!("the data of a snapshot are no base64: {e}")))?;
        let crc = format!("{:08x}", crc32c::crc32c(&data));
        if data.len() as u64 != self.byte_length || !crc.eq_ignore_ascii_case(&self.checksum_crc32c) {
            return Err(Error::corrupt(format_args!(
                "the data of a snapshot have {} bytes and the CRC-32C {crc}, where {} and {} are said: ask for it again",
                data.len(),
                self.byte_length,
                self.checksum_crc32c
            )));
        }
        Ok(Some(data))
    }
}

impl FromStr for SnapshotJson {
    type Err = Error;

    /// Reads a snapshot. Fails ([`InvalidArgument`](kitedb_core::ErrorCode::InvalidArgument)) on what is none, on another
    /// version, and where its bytes are something else than a database file.
    fn from_str(text: &str) -> Result<Self> {
        let snapshot: Self = from_json(text, "snapshot")?;
        match snapshot.format.as_str() {
            FORMAT => Ok(snapshot),
            other => Err(Error::invalid(format_args!("a snapshot in the format {other:?} is not known: {FORMAT} is"))),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_crc_32c() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
    }
}
