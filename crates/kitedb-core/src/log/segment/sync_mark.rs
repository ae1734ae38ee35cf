//! The sync mark: after a sync, the next write to the log begins with one. It says how far the log was durable
//! then, so that recovery can tell an unsynced tail, which is cut, from damage to durable frames, which is an
//! error. It is no frame: it has no index and never travels, because durability is local to a node.
//!
//! Layout (32 bytes, at a multiple of 8): CRC-32 over the rest, the word 0xFFFF_FFFF where a frame has its
//! length, the durable log index (8), and the log's salt (16), which no other log's bytes contain.

use crate::{
    graph::{LogIndex, codec::Reader},
    log::Salt,
};

/// The bytes of a mark.
pub const MARK_LEN: usize = 32;
const TAG: u32 = u32::MAX;

/// The mark that claims everything up to `durable`.
pub fn encode(durable: LogIndex, salt: &Salt) -> [u8; MARK_LEN] {
    let mut out = [0u8; MARK_LEN];
    out[4..8].copy_from_slice(&TAG.to_le_bytes());
    out[8..16].copy_from_slice(&durable.0.to_le_bytes());
    out[16..].copy_from_slice(salt);
    let crc = crc32fast::hash(&out[4..]);
    out[..4].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Whether `bytes`, of which there are enough, may be a mark: a look that costs little.
#[inline]
pub fn looks_like_one(bytes: &[u8]) -> bool {
    bytes[4..8] == TAG.to_le_bytes()
}

/// Reads the mark at the start of `bytes`, if a valid one of this log is there.
pub fn parse(bytes: &[u8], salt: &Salt) -> Option<LogIndex> {
    parse_any(bytes).filter(|(_, of)| of == salt).map(|(durable, _)| durable)
}

/// Reads the mark at the start of `bytes`, whatever log it is of: for a place where a frame or a mark is known to begin.
pub fn parse_any(bytes: &[u8]) -> Option<(LogIndex, Salt)> {
    let bytes: &[u8; MARK_LEN] = bytes.first_chunk()?;
    let mut r = Reader::new(bytes);
    let crc = r.u32().ok()?;
    if r.u32().ok()? != TAG {
        return None;
    }
    let durable = LogIndex(r.u64().ok()?);
    let salt = r.array().ok()?;
    (crc == crc32fast::hash(&bytes[4..])).then_some((durable, salt))
}

/// The greatest index that any mark in `bytes` (which start at a multiple of 8 in their segment) claims durable.
pub fn greatest(bytes: &[u8], salt: &Salt) -> Option<LogIndex> {
    (0..bytes.len()).step_by(8).filter_map(|at| parse(&bytes[at..], salt)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_among_other_bytes_and_only_by_its_own_log() {
        let mut bytes = vec![0xAB; 64];
        bytes.extend(encode(LogIndex(7), &[1; 16]));
        bytes.extend(encode(LogIndex(9), &[2; 16]));
        assert_eq!(greatest(&bytes, &[1; 16]), Some(LogIndex(7)));
        assert_eq!(greatest(&bytes, &[3; 16]), None);
        bytes[64 + 8] ^= 1;
        assert_eq!(greatest(&bytes, &[1; 16]), None);
    }
}
