//! The frame: one committed transaction. The same bytes are the write-ahead log, a segment, what travels and
//! what a replica stores; nothing re-encodes a frame on its way.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | CRC-32 over everything after it, padding excluded |
//! | 4 | 4 | payload length in bytes, at most [`MAX_PAYLOAD`] |
//! | 8 | 8 | epoch |
//! | 16 | 8 | log index |
//! | 24 | 8 | commit time, ms since 1970 |
//! | 32 | 2 | the feature level that it needs, from 1 |
//! | 34 | 6 | flags (none defined: zero) |
//! | 40 | 16 | state digest after the frame |
//! | 56 | n | payload: mutations ([`crate::graph::Mutations`]) |
//!
//! A frame starts at a multiple of 8 in its segment; zeros pad it. All numbers are little-endian.
//!
//! All but the payload is the same in every feature level, the CRC with what it covers included. So what needs a greater
//! level than this build's is a frame like any other to all that does not look into payloads: it is found, passed over,
//! counted and copied. One whose CRC does not fit is none, whatever level it names; so is one with any flag, in every level.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex, Token, codec::Reader},
    level::{BASE_LEVEL, require_known},
};

/// Bytes before the payload.
pub const HEADER_LEN: usize = 56;
/// The largest payload: 64 MiB.
pub const MAX_PAYLOAD: usize = 64 << 20;

/// What a frame says beside its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The epoch in which it was committed.
    pub epoch: Epoch,
    /// Its place in the log.
    pub log_index: LogIndex,
    /// When it was committed, ms since 1970.
    pub commit_ms: u64,
    /// The state digest after it.
    pub digest: Digest,
    /// The feature level that is needed to read its payload.
    pub level: u16,
}

impl FrameHeader {
    /// Fails if a process that reads up to level `known` cannot read its payload.
    #[inline]
    pub fn require_known(&self, known: u16) -> Result<()> {
        require_known(known, self.level, format_args!("the frame with log index {}", self.log_index))
    }

    /// What names this frame's transaction, without the tag of its writer, which its segment tells.
    pub fn token(&self) -> Token {
        Token::new(self.epoch, self.log_index)
    }

    /// Completes `frame`, whose first `HEADER_LEN` bytes are reserved and whose payload follows, to a frame
    /// padded to a multiple of 8.
    pub fn seal(&self, frame: &mut Vec<u8>, start: usize) -> Result<()> {
        let payload = frame.len().saturating_sub(start + HEADER_LEN);
        if payload > MAX_PAYLOAD {
            return Err(Error::new(
                ErrorCode::TransactionTooLarge,
                format_args!(
                    "frame payload too large: this transaction takes {payload} bytes of log and one frame holds \
                     {MAX_PAYLOAD}; split it, or use a bulk loader"
                ),
            ));
        }
        let mut head = [0u8; HEADER_LEN];
        head[4..8].copy_from_slice(&(payload as u32).to_le_bytes());
        head[8..16].copy_from_slice(&self.epoch.0.to_le_bytes());
        head[16..24].copy_from_slice(&self.log_index.0.to_le_bytes());
        head[24..32].copy_from_slice(&self.commit_ms.to_le_bytes());
        head[32..34].copy_from_slice(&self.level.to_le_bytes());
        head[40..56].copy_from_slice(&self.digest.to_le_bytes());
        frame[start..start + HEADER_LEN].copy_from_slice(&head);
        let crc = crc32fast::hash(&frame[start + 4..]);
        frame[start..start + 4].copy_from_slice(&crc.to_le_bytes());
        frame.resize(start + padded_len(payload), 0);
        Ok(())
    }
}

/// The bytes that a frame with a payload of `payload` bytes takes in a segment.
pub fn padded_len(payload: usize) -> usize {
    (HEADER_LEN + payload).next_multiple_of(8)
}

/// The length of the frame that `bytes` begin with, if they look like one.
pub fn claimed_len(bytes: &[u8]) -> Option<usize> {
    let payload = u32::from_le_bytes(*bytes.get(4..8)?.first_chunk()?) as usize;
    let flags = u64::from_le_bytes(*bytes.get(32..40)?.first_chunk()?);
    (payload <= MAX_PAYLOAD && level_of(flags).is_some()).then(|| padded_len(payload))
}

/// The level that the word of flags says; `None`: no frame has such a word.
#[inline]
fn level_of(flags: u64) -> Option<u16> {
    u16::try_from(flags).ok().filter(|level| *level >= BASE_LEVEL)
}

/// A frame as it lies in bytes.
#[derive(Debug, Clone, Copy)]
pub struct FrameRef<'a> {
    /// The fixed part.
    pub header: FrameHeader,
    /// The mutations.
    pub payload: &'a [u8],
    /// The whole frame with its padding.
    pub bytes: &'a [u8],
}

impl<'a> FrameRef<'a> {
    /// Reads the frame at the start of `bytes`: `None` if none verifies there.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let frame = Self::parse_unverified(bytes)?;
        let crc = u32::from_le_bytes(*bytes.first_chunk()?);
        (crc == crc32fast::hash(bytes.get(4..HEADER_LEN + frame.payload.len())?)).then_some(frame)
    }

    /// As [`FrameRef::parse`], without looking at the CRC: for passing over frames whose content is not needed.
    pub fn parse_unverified(bytes: &'a [u8]) -> Option<Self> {
        let mut r = Reader::new(bytes.get(4..HEADER_LEN)?);
        let payload = r.u32().ok()? as usize;
        let (epoch, log_index, commit_ms) = (Epoch(r.u64().ok()?), LogIndex(r.u64().ok()?), r.u64().ok()?);
        let level = level_of(r.u64().ok()?)?;
        let digest = Digest::from_le_bytes(r.array().ok()?);
        if payload > MAX_PAYLOAD || log_index.0 == 0 || epoch.0 == 0 {
            return None;
        }
        Some(Self {
            header: FrameHeader { epoch, log_index, commit_ms, digest, level },
            payload: bytes.get(HEADER_LEN..HEADER_LEN + payload)?,
            bytes: bytes.get(..padded_len(payload))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealed(header: FrameHeader, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; HEADER_LEN];
        frame.extend_from_slice(payload);
        header.seal(&mut frame, 0).unwrap();
        frame
    }

    proptest! {
        #[test]
        fn a_frame_reads_back_and_any_flipped_bit_is_found(
            payload in prop::collection::vec(any::<u8>(), 0..80), index in 1u64.., level in 1u16.., at: usize, bit in 0u8..8,
        ) {
            let header =
                FrameHeader { epoch: Epoch(3), log_index: LogIndex(index), commit_ms: 7, digest: Digest(9), level };
            let mut bytes = sealed(header, &payload);
            let frame = FrameRef::parse(&bytes).unwrap();
            prop_assert_eq!(frame.header, header);
            prop_assert_eq!(frame.payload, &payload[..]);
            prop_assert_eq!(frame.bytes.len() % 8, 0);
            let at = at % (HEADER_LEN + payload.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(FrameRef::parse(&bytes).is_none());
        }

        #[test]
        fn any_bytes_give_a_frame_or_none(bytes: Vec<u8>) {
            let _ = FrameRef::parse(&bytes);
        }
    }
}
