//! The words of a fence: how a state is told from them, whatever part of a transition reached them.

use super::{EpochEnd, Fence};
use crate::{
    graph::{Epoch, LogIndex},
    log::{
        WriterId,
        control::layout::{FENCE, FENCE_COPY, FENCE_RECORD, flags::OLD_REPLICA},
    },
};
use xxhash_rust::xxh3::xxh3_64;

/// Words of a record.
pub(super) const RECORD: usize = FENCE_COPY - FENCE_RECORD;

pub(super) const EPOCH_BITS: u32 = 40;
pub(super) const EPOCH_MASK: u64 = (1 << EPOCH_BITS) - 1;
const FOLLOWS: u64 = 1 << EPOCH_BITS;
/// What a record begins with, so that none is zeros.
const FORMAT: u64 = 1 << 56;

/// What word 16 holds for an epoch.
#[inline]
pub(in crate::log::control) fn hot(epoch: Epoch) -> u64 {
    // An odd factor: every bit of the epoch changes the high bits of the product (see the tests).
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    (epoch.0 & EPOCH_MASK) | (epoch.0.wrapping_add(1).wrapping_mul(FACTOR) & !EPOCH_MASK)
}

/// The epoch for which a word holds what word 16 would; `None`: it verifies for none.
pub(in crate::log::control) fn epoch_in(word: u64) -> Option<Epoch> {
    Some(Epoch(word & EPOCH_MASK)).filter(|epoch| hot(*epoch) == word)
}

/// All words that a fence is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FenceWords {
    pub hot: u64,
    pub first: [u64; RECORD],
    pub second: [u64; RECORD],
    /// Flags, owner, end, its check, and the epoch that the owner moved the fence to, of before the records.
    pub old: [u64; 7],
}

impl FenceWords {
    /// The fence that the words say; `None`: they are damaged. Upholds I36.
    pub fn decode(&self) -> Option<Fence> {
        if let Some(fence) = parse(&self.first) {
            return Some(fence);
        }
        if self.second == [0; RECORD] {
            return self.decode_old();
        }
        parse(&self.second).filter(|fence| hot(fence.epoch) == self.hot)
    }

    fn decode_old(&self) -> Option<Fence> {
        let [flags, low, high, end_epoch, end_index, end_check, owned] = self.old;
        let owner = id_of(low, high).filter(|_| owned == self.hot);
        let end = (Epoch(end_epoch), LogIndex(end_index));
        let ended = (end_epoch != 0 && old_end_check(end) == end_check).then_some(end);
        // Zeros are no epoch: what was wiped out allows nobody to lead.
        (1..=EPOCH_MASK).contains(&self.hot).then_some(Fence {
            epoch: Epoch(self.hot),
            follows: flags & OLD_REPLICA != 0,
            moved_by: owner,
            ended: ended.map(|(epoch, last)| EpochEnd { epoch, last }),
        })
    }

    /// Whether all three places say `fence`.
    pub fn say(&self, fence: &Fence) -> bool {
        let record = encode(fence);
        self.hot == hot(fence.epoch) && self.first == record && self.second == record
    }
}

pub(super) fn encode(fence: &Fence) -> [u64; RECORD] {
    let head = FORMAT | (fence.epoch.0 & EPOCH_MASK) | if fence.follows { FOLLOWS } else { 0 };
    let by = u128::from_le_bytes(fence.moved_by.unwrap_or_default());
    let (end_epoch, end_index) = fence.ended.map_or((0, 0), |end| (end.epoch.0, end.last.0));
    let mut record = [head, by as u64, (by >> 64) as u64, end_epoch, end_index, 0];
    record[RECORD - 1] = check(&record);
    record
}

fn parse(record: &[u64; RECORD]) -> Option<Fence> {
    let [head, low, high, end_epoch, end_index, _] = *record;
    let whole = check(record) == record[RECORD - 1] && head & !(EPOCH_MASK | FOLLOWS) == FORMAT;
    whole.then(|| Fence {
        epoch: Epoch(head & EPOCH_MASK),
        follows: head & FOLLOWS != 0,
        moved_by: id_of(low, high),
        ended: (end_epoch != 0).then_some(EpochEnd { epoch: Epoch(end_epoch), last: LogIndex(end_index) }),
    })
}

fn check(record: &[u64; RECORD]) -> u64 {
    let mut bytes = [0; (RECORD - 1) * 8];
    for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(record) {
        *bytes = word.to_le_bytes();
    }
    xxh3_64(&bytes)
}

/// An id that two words hold; zeros: none.
fn id_of(low: u64, high: u64) -> Option<WriterId> {
    let id = u128::from(low) | u128::from(high) << 64;
    (id != 0).then(|| id.to_le_bytes())
}

pub(super) fn old_end_check((epoch, last): (Epoch, LogIndex)) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&epoch.0.to_le_bytes());
    hasher.update(&last.0.to_le_bytes());
    u64::from(hasher.finalize()) | 1 << 32
}

/// The words of a new control file whose fence is `fence`: each with its number.
pub(in crate::log::control) fn words_of(fence: &Fence) -> impl Iterator<Item = (usize, u64)> {
    let record = encode(fence);
    let numbered = move |from: usize| (from..).zip(record);
    std::iter::once((FENCE, hot(fence.epoch))).chain(numbered(FENCE_RECORD)).chain(numbered(FENCE_COPY))
}
