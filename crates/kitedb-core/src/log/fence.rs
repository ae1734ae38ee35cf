//! The fence of a log: which epoch may be committed to it, who moved it there, and where the epoch before ended. What it
//! can be, how it goes from one to another, and the words of the control file that hold it.
//!
//! # The words
//!
//! - Word 16 is what a committer compares: the epoch in its low 40 bits, and above them a check of it, so that no
//!   flipped bit makes another epoch of it.
//! - Words 36 to 41 and 42 to 47 hold the same record twice: the epoch with the role, who moved the fence (2 words), the
//!   epoch that ended and its last frame, and a check over these.
//! - A control file of before this format has zeros in both records, and says in words 16, 19, 21 to 24, 33 and 35 what
//!   it knows. Those are read only as long as the second record is zeros, and never written.
//!
//! # How it is written
//!
//! The first record, a sync, word 16, the second record, a sync. So at any moment, and whatever part of the words of one
//! transition reached the disk:
//!
//! - if the first record verifies, it says what is so;
//! - else the second one does, provided that word 16 verifies and names the same epoch: the transition had not moved it;
//! - else the fence is damaged, which is an error: nobody leads by it.
//!
//! A transition that is cut short leaves the state before it, or the one after it. Whoever opens the log for writing, or
//! moves the fence, first writes all three as the records say ([`Control::settle_fence`]).

use super::{Control, WriterId};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    shell::command_by_log,
};
use std::{
    sync::atomic::{Ordering, fence as memory_fence},
    time::Duration,
};
use xxhash_rust::xxh3::xxh3_64;

/// What a committer compares.
pub(super) const FENCE: usize = 16;
const FIRST: usize = 36;
const SECOND: usize = FIRST + RECORD;
/// Words of a record.
const RECORD: usize = 6;
/// The word that changes with every transition, on which waiters sleep: the first record's check.
pub(super) const CHANGED: usize = FIRST + RECORD - 1;

// Of a control file of before the records.
const OLD_FLAGS: usize = 19;
const OLD_REPLICA: u64 = 2;
const OLD_OWNER: usize = 21;
const OLD_END: usize = 23;
const OLD_END_CHECK: usize = 33;
const OLD_OWNED: usize = 35;

const EPOCH_BITS: u32 = 40;
const EPOCH_MASK: u64 = (1 << EPOCH_BITS) - 1;
const FOLLOWS: u64 = 1 << EPOCH_BITS;
/// What a record begins with, so that none is zeros.
const FORMAT: u64 = 1 << 56;

/// The last frame of an epoch that a fence ended: what comes after it in that epoch is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: Epoch,
    /// Its last frame.
    pub last: LogIndex,
}

/// A fence that another node's promotion moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The epoch that may follow.
    pub epoch: Epoch,
    /// The id of the promotion.
    pub by: WriterId,
    /// The last frame of the epoch before; `None`: the promotion has not said it yet.
    pub ended: Option<LogIndex>,
}

/// See the [module documentation](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The epoch that may be committed to this log, if anybody may.
    pub epoch: Epoch,
    /// Whether this is the log of a node that follows another one: then nobody commits to it.
    pub follows: bool,
    /// The promotion that moved the fence to `epoch`, which it begins in another log: then nobody commits to this one.
    /// `None`: the log's own writer moved it.
    pub moved_by: Option<WriterId>,
    /// The last epoch that a fence ended here.
    pub ended: Option<EpochEnd>,
}

impl Fence {
    /// That of a new log, whose writer leads `epoch`.
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, follows: false, moved_by: None, ended: None }
    }

    /// What another node's promotion made of it, if one moved it last.
    pub fn moved(&self) -> Option<Moved> {
        self.moved_by.map(|by| Moved { epoch: self.epoch, by, ended: self.end_before() })
    }

    /// The end of the epoch right before this one, if that is known.
    pub fn end_before(&self) -> Option<LogIndex> {
        self.ended.filter(|end| end.epoch.0 + 1 == self.epoch.0).map(|end| end.last)
    }

    /// Whether a promotion moved the fence and has not said where the epoch before ended: it is under way, or died.
    pub fn is_ending(&self) -> bool {
        self.moved().is_some_and(|moved| moved.ended.is_none())
    }

    /// *Raise*: the promotion `by` ends this epoch and begins the next one in another log. No commit of this epoch is
    /// acknowledged from here on before the end is known. Cut short: the log's own writer leads on, or the fence is
    /// raised and its end unknown.
    #[must_use]
    pub fn raised(self, by: WriterId) -> Self {
        Self { epoch: Epoch(self.epoch.0 + 1), moved_by: Some(by), ..self }
    }

    /// *Take over*: the promotion `by` goes on in place of one that died. Cut short: it is the one's or the other's.
    #[must_use]
    pub fn taken_over(self, by: WriterId) -> Self {
        Self { moved_by: Some(by), ..self }
    }

    /// *Complete*: the epoch before this one ends with frame `last`. Cut short: its end is unknown still.
    #[must_use]
    pub fn completed(self, last: LogIndex) -> Self {
        Self { ended: Some(EpochEnd { epoch: Epoch(self.epoch.0.saturating_sub(1)), last }), ..self }
    }

    /// *Begin an own epoch*, later than this one, whatever role the log had and whoever had moved the fence; `ended` says
    /// where the epoch that this log led ended. This is how a node promotes itself, takes the lead back, and leads as a
    /// replica that took over. Cut short: nothing has happened, or the epoch may be committed to though it has no
    /// segment yet, and the next open makes that.
    #[must_use]
    pub fn begun(self, epoch: Epoch, ended: Option<EpochEnd>) -> Self {
        Self { epoch, follows: false, moved_by: None, ended }
    }
}

/// What word 16 holds for an epoch.
#[inline]
pub(super) fn hot(epoch: Epoch) -> u64 {
    // An odd factor: every bit of the epoch changes the high bits of the product (see the tests).
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    (epoch.0 & EPOCH_MASK) | (epoch.0.wrapping_add(1).wrapping_mul(FACTOR) & !EPOCH_MASK)
}

/// The epoch for which a word holds what word 16 would; `None`: it verifies for none.
pub(super) fn epoch_in(word: u64) -> Option<Epoch> {
    Some(Epoch(word & EPOCH_MASK)).filter(|epoch| hot(*epoch) == word)
}

/// All words that a fence is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FenceWords {
    hot: u64,
    first: [u64; RECORD],
    second: [u64; RECORD],
    /// Flags, owner, end, its check, and the epoch that the owner moved the fence to, of before the records.
    old: [u64; 7],
}

impl FenceWords {
    /// The fence that the words say; `None`: they are damaged. Upholds I36.
    fn decode(&self) -> Option<Fence> {
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
    fn say(&self, fence: &Fence) -> bool {
        let record = encode(fence);
        self.hot == hot(fence.epoch) && self.first == record && self.second == record
    }
}

fn encode(fence: &Fence) -> [u64; RECORD] {
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

fn old_end_check((epoch, last): (Epoch, LogIndex)) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&epoch.0.to_le_bytes());
    hasher.update(&last.0.to_le_bytes());
    u64::from(hasher.finalize()) | 1 << 32
}

/// The words of a new control file whose fence is `fence`: each with its number.
pub(super) fn words_of(fence: &Fence) -> impl Iterator<Item = (usize, u64)> {
    let record = encode(fence);
    let numbered = move |from: usize| (from..).zip(record);
    std::iter::once((FENCE, hot(fence.epoch))).chain(numbered(FIRST)).chain(numbered(SECOND))
}

/// A fence that all processes see now, and what came of making it durable.
#[derive(Debug)]
#[must_use]
pub struct Stored(Result<()>);

impl Stored {
    /// Fails unless it is durable.
    pub fn durable(self) -> Result<()> {
        self.0
    }

    /// Whether it is durable; if not, says so in the log.
    pub fn is_durable(&self) -> bool {
        if let Err(e) = &self.0 {
            tracing::warn!("a fence is in force, and may not survive a loss of power: {e}");
        }
        self.0.is_ok()
    }
}

impl Control {
    /// Whether this log's own writer may commit in `epoch`: one load and one comparison.
    #[inline]
    pub fn allows(&self, epoch: Epoch) -> bool {
        self.load(FENCE) == hot(epoch)
    }

    /// The fence, verified.
    ///
    /// # Errors
    /// [`ErrorCode::Corrupt`] if its words are damaged beyond what their second copy can mend.
    pub fn fence(&self) -> Result<Fence> {
        self.look_again();
        let mut words = self.fence_words();
        loop {
            if let Some(fence) = words.decode() {
                return Ok(fence);
            }
            // It may have been changed between two loads. What two looks find alike was so at one moment.
            let now = self.fence_words();
            if now == words {
                return Err(self.damaged_fence());
            }
            words = now;
        }
    }

    #[cold]
    fn damaged_fence(&self) -> Error {
        Error::corrupt(format_args!(
            "the fence in the log control file {} does not verify, so nobody can tell who may write to this log: repair it \
             ({}, Database::repair); then it follows the node that leads, or, if none does, leads once it is promoted by \
             force",
            self.path().display(),
            command_by_log("repair", self.dir(), "")
        ))
    }

    fn fence_words(&self) -> FenceWords {
        let load = |at: usize| self.load(at);
        let record = |from: usize| std::array::from_fn(|i| load(from + i));
        FenceWords {
            hot: load(FENCE),
            first: record(FIRST),
            second: record(SECOND),
            old: [OLD_FLAGS, OLD_OWNER, OLD_OWNER + 1, OLD_END, OLD_END + 1, OLD_END_CHECK, OLD_OWNED].map(load),
        }
    }

    /// Stores `fence` in place of what is there, in the order that the module's documentation gives. The caller holds the
    /// fence's lock, unless nobody else can know this log or it is a replica's. On error no committer was told, and the
    /// transition has not happened, or was cut short. Upholds I36.
    pub fn put_fence(&self, fence: &Fence) -> Result<Stored> {
        let moves = self.require_mapped().is_ok() && !self.fence_words().say(fence);
        let stored = self.put(fence)?;
        if moves {
            // Whoever moves it knows it. Once it is moved: an assumed fence that is not said to be one is taken back without
            // force, and one that is said to be assumed and leads costs nobody anything.
            self.note_fence_assumed(false);
        }
        Ok(stored)
    }

    fn put(&self, fence: &Fence) -> Result<Stored> {
        self.require_mapped()?;
        if fence.epoch.0 > EPOCH_MASK {
            let what = format_args!("epoch {} is beyond the last one that there can be ({EPOCH_MASK})", fence.epoch);
            return Err(Error::new(ErrorCode::Internal, what));
        }
        if self.fence_words().say(fence) {
            return Ok(Stored(self.confirm_fence()));
        }
        let (before, record) = (self.fence_words().first, encode(fence));
        self.store_all(FIRST, &record)?;
        // If this fails, the next sync writes the page again, because it is stored to until then.
        let _ = self.sync();
        if let Err(e) = self.store(FENCE, hot(fence.epoch)) {
            // No committer was told. What is not taken back is as if the transition had been cut short.
            let _ = self.store_all(FIRST, &before);
            return Err(e);
        }
        // Before the log is read for its end: a committer looks at the fence after it has appended. Upholds I27.
        memory_fence(Ordering::SeqCst);
        let stored = self.store_all(SECOND, &record);
        let synced = self.sync();
        self.wake_word(CHANGED);
        self.wake_followers();
        Ok(Stored(stored.and(synced)))
    }

    /// Stores a fence that stands in place of one that was lost: nobody leads by it before he is told to.
    pub fn put_assumed_fence(&self, fence: &Fence) -> Result<()> {
        // First, and durable: of a fence that is moved and not said to be assumed, the lead is taken back without force.
        self.set_fence_assumed(true)?;
        self.sync()?;
        self.put(fence)?.durable()
    }

    /// Writes the fence's words once more, as they are. A sync of them may have failed, and the next one succeed without
    /// having written them.
    fn confirm_fence(&self) -> Result<()> {
        // By writing to the file: that counts as a change even where the bytes are the same.
        for range in [FENCE..FENCE + 1, FIRST..SECOND + RECORD] {
            let bytes: Vec<u8> = range.clone().flat_map(|at| self.load(at).to_le_bytes()).collect();
            self.write_words(range.start, &bytes)?;
        }
        self.sync()
    }

    /// Writes all words of the fence as it is read: mends what a flipped bit or a transition that was cut short left of
    /// them, and brings a control file of before the records to this format. The caller holds the fence's lock.
    pub fn settle_fence(&self) -> Result<Fence> {
        let (fence, words) = (self.fence()?, self.fence_words());
        if !words.say(&fence) {
            if words.second != [0; RECORD] {
                tracing::warn!(path = %self.path().display(), "the words of a fence differed: they are mended");
            }
            self.put(&fence)?.durable()?;
        }
        Ok(fence)
    }

    /// Lets this log's own writer lead `epoch`, or a replica's log remember it as the last one that it knows. Durable
    /// also where nothing changes.
    pub fn set_fence(&self, epoch: Epoch) -> Result<()> {
        let fence = self.fence()?;
        let next = Fence { epoch, moved_by: None, ..fence };
        if fence == next { self.sync() } else { self.put_fence(&next)?.durable() }
    }

    /// Whether this log is a replica's. Also where the fence is damaged: then nobody leads by this log.
    pub fn is_replica(&self) -> bool {
        self.fence().map_or(true, |fence| fence.follows)
    }

    /// Says whose log this is. Who took over from a node that follows does not matter any more. Cut short: it is the one's
    /// or the other's.
    pub fn set_replica(&self, follows: bool) -> Result<()> {
        let fence = self.fence()?;
        let next = Fence { follows, moved_by: fence.moved_by.filter(|_| !follows), ..fence };
        match fence == next {
            true if self.is_unsynced() => self.sync(),
            true => Ok(()),
            false => self.put_fence(&next)?.durable(),
        }
    }

    /// Forgets an end that was set: this log follows a history now in which that epoch is another one, or has none. Cut
    /// short: it is still there.
    pub fn clear_end(&self) -> Result<()> {
        let fence = self.fence()?;
        if fence.ended.is_none() && !self.is_unsynced() {
            Ok(())
        } else {
            self.put_fence(&Fence { ended: None, ..fence })?.durable()
        }
    }

    /// What [`Control::wait_fence`] sleeps on. Looked at before the fence.
    pub fn fence_mark(&self) -> u64 {
        self.load(CHANGED)
    }

    /// Sleeps until the fence has changed since `mark` was seen, or `timeout` has passed. May return early.
    pub fn wait_fence(&self, mark: u64, timeout: Duration) {
        self.wait_word(CHANGED, mark, Some(timeout));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        io::{
            Disk, OpenMode,
            sim::{Crash, Loss, SimDisk},
        },
        log::LogIdentity,
    };
    use std::path::Path;

    const A: WriterId = [0xA5; 16];
    const B: WriterId = [1; 16];

    /// What a transition can make of a fence.
    fn next(fence: Fence) -> Vec<Fence> {
        let last = LogIndex(fence.epoch.0 * 7);
        let own = Some(EpochEnd { epoch: fence.epoch, last });
        let mut all = vec![
            Fence { follows: !fence.follows, ..fence },
            Fence { ended: None, ..fence },
            Fence { epoch: Epoch(fence.epoch.0 + 2), moved_by: None, ..fence },
            fence.begun(Epoch(fence.epoch.0 + 1), own),
            fence.begun(Epoch(fence.epoch.0 + 1), fence.ended),
        ];
        if fence.is_ending() {
            let end = Some(EpochEnd { epoch: Epoch(fence.epoch.0 - 1), last });
            all.extend([fence.taken_over(B), fence.completed(last), fence.begun(Epoch(fence.epoch.0 + 1), end)]);
        } else if !fence.follows {
            all.extend([fence.raised(A), fence.raised(B)]);
        }
        all.retain(|next| *next != fence);
        all
    }

    fn reachable() -> Vec<Fence> {
        let mut all = vec![Fence::new(Epoch(1)), Fence::new(Epoch(0xFFFF_FFFF)), Fence::new(Epoch(EPOCH_MASK - 9))];
        for from in [0, 3, 20] {
            let found: Vec<Fence> = all[from..].iter().flat_map(|fence| next(*fence)).collect();
            for fence in found {
                if !all.contains(&fence) {
                    all.push(fence);
                }
            }
        }
        assert!(all.len() > 100, "{}", all.len());
        all
    }

    fn steady(fence: &Fence) -> FenceWords {
        FenceWords { hot: hot(fence.epoch), first: encode(fence), second: encode(fence), old: [0; 7] }
    }

    fn word(words: &mut FenceWords, at: usize) -> &mut u64 {
        match at {
            0..RECORD => &mut words.first[at],
            RECORD => &mut words.hot,
            _ if at <= 2 * RECORD => &mut words.second[at - RECORD - 1],
            _ => &mut words.old[at - 2 * RECORD - 1],
        }
    }

    const ALL: usize = 2 * RECORD + 1 + 7;

    fn flips(words: FenceWords) -> impl Iterator<Item = FenceWords> {
        (0..ALL * 64).map(move |bit| {
            let mut flipped = words;
            *word(&mut flipped, bit / 64) ^= 1 << (bit % 64);
            flipped
        })
    }

    #[test]
    fn no_flipped_bit_makes_another_epoch_of_the_word_that_committers_compare() {
        let powers = (0..EPOCH_BITS).flat_map(|bit| [1 << bit, (1 << bit) - 1, (1u64 << bit) ^ 0x5A5A_5A5A]);
        for epoch in (0..3000).chain(powers).chain([EPOCH_MASK]) {
            let epoch = Epoch(epoch & EPOCH_MASK);
            for bit in 0..64 {
                let flipped = hot(epoch) ^ (1 << bit);
                assert_ne!(flipped, hot(Epoch(flipped & EPOCH_MASK)), "bit {bit} of epoch {epoch}");
            }
        }
    }

    #[test]
    fn a_flipped_bit_changes_nothing_that_a_fence_says() {
        for fence in reachable() {
            assert_eq!(steady(&fence).decode(), Some(fence));
            for flipped in flips(steady(&fence)) {
                assert_eq!(flipped.decode(), Some(fence));
            }
        }
    }

    /// The words after so many stores of a transition, in the order in which they are made.
    fn after_stores(from: &Fence, to: &Fence, stores: usize) -> FenceWords {
        let (mut words, mut new) = (steady(from), steady(to));
        for at in 0..stores {
            *word(&mut words, at) = *word(&mut new, at);
        }
        words
    }

    #[test]
    fn a_transition_that_is_cut_short_leaves_the_state_before_or_after_it() {
        for from in reachable() {
            for to in next(from).into_iter().filter(|to| to.epoch.0 <= EPOCH_MASK) {
                for stores in 0..=2 * RECORD + 1 {
                    let words = after_stores(&from, &to, stores);
                    let found = words.decode();
                    let want = if stores < RECORD { from } else { to };
                    // Words that do not differ make no difference.
                    assert!(found == Some(want) || found == Some(to), "after {stores} stores of {from:?} to {to:?}");
                    for flipped in flips(words) {
                        let found = flipped.decode();
                        assert!(found.is_none_or(|found| found == from || found == to), "{from:?} to {to:?}");
                        if stores > RECORD && from.epoch != to.epoch {
                            // Committers have seen it: nothing takes it back.
                            assert!(found.is_none_or(|found| found == to), "{from:?} to {to:?}");
                        }
                    }
                }
            }
        }
    }

    /// Between two syncs any words may reach the disk.
    #[test]
    fn a_loss_of_power_in_a_transition_leaves_the_state_before_or_after_it() {
        for from in reachable() {
            for to in next(from).into_iter().filter(|to| to.epoch.0 <= EPOCH_MASK) {
                for (synced, unsynced) in [(0, 0..RECORD), (RECORD, RECORD..2 * RECORD + 1)] {
                    for kept in 0..1usize << unsynced.len() {
                        let (mut words, mut new) = (after_stores(&from, &to, synced), steady(&to));
                        for at in unsynced.clone().filter(|at| kept >> (at - unsynced.start) & 1 != 0) {
                            *word(&mut words, at) = *word(&mut new, at);
                        }
                        let found = words.decode();
                        assert!(found == Some(from) || found == Some(to), "{found:?} of {from:?} to {to:?}");
                    }
                }
            }
        }
    }

    fn old_words(fence: &Fence) -> FenceWords {
        let by = u128::from_le_bytes(fence.moved_by.unwrap_or_default());
        let end = fence.ended.map_or((Epoch(0), LogIndex(0)), |end| (end.epoch, end.last));
        let flags = if fence.follows { 7 } else { 5 };
        let owned = if fence.moved_by.is_some() { fence.epoch.0 } else { 0 };
        let old = [flags, by as u64, (by >> 64) as u64, end.0.0, end.1.0, old_end_check(end), owned];
        FenceWords { hot: fence.epoch.0, first: [0; RECORD], second: [0; RECORD], old }
    }

    #[test]
    fn what_an_older_control_file_says_is_read_and_kept_by_the_upgrade() {
        for fence in reachable() {
            let old = old_words(&fence);
            assert_eq!(old.decode(), Some(fence));
            for stores in 0..=2 * RECORD + 1 {
                let (mut words, mut new) = (old, steady(&fence));
                for at in 0..stores {
                    *word(&mut words, at) = *word(&mut new, at);
                }
                assert_eq!(words.decode(), Some(fence), "after {stores} stores");
            }
        }
        // An owner of another epoch than the one that leads says nothing, nor does an end whose check does not fit.
        let mut words = old_words(&Fence::new(Epoch(3)).raised(A).completed(LogIndex(9)));
        (words.old[6], words.old[4]) = (3, 8);
        assert_eq!(words.decode(), Some(Fence::new(Epoch(4))));
    }

    const DIR: &str = "/log";

    fn control_of(disk: &SimDisk) -> Control {
        disk.create_dir(Path::new(DIR)).unwrap();
        let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
        let control = Control::create(disk, Path::new(DIR), log, [3; 16], Epoch(1)).unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        control
    }

    #[test]
    fn a_flipped_bit_in_the_file_is_mended_and_two_that_cannot_be_are_an_error() {
        let fence = Fence::new(Epoch(1)).raised(A).completed(LogIndex(7));
        let path = Path::new("/log/control");
        for at in [16..17, 19..20, 21..25, 33..34, 35..48].into_iter().flatten() {
            for byte in 0..8 {
                let disk = SimDisk::new(1);
                let control = control_of(&disk);
                control.put_fence(&fence).unwrap().durable().unwrap();
                disk.corrupt(path, at as u64 * 8 + byte, 1 << byte).unwrap();
                for mode in [OpenMode::Read, OpenMode::ReadWrite] {
                    let seen = Control::open(&disk, Path::new(DIR), mode).unwrap().unwrap();
                    assert_eq!(seen.fence().unwrap(), fence, "word {at}");
                    assert!(!seen.allows(Epoch(1)));
                }
                let seen = Control::open(&disk, Path::new(DIR), OpenMode::ReadWrite).unwrap().unwrap();
                assert_eq!(seen.settle_fence().unwrap(), fence);
                assert!(seen.fence_words().say(&fence) && seen.allows(Epoch(2)));
            }
        }
        let disk = SimDisk::new(1);
        let control = control_of(&disk);
        for at in [37, 43] {
            disk.corrupt(path, at * 8, 1).unwrap();
        }
        let error = control.fence().unwrap_err();
        assert_eq!(error.code(), ErrorCode::Corrupt);
        assert!(error.to_string().contains("/log/control does not verify"), "{error}");
        assert!(control.is_replica(), "nobody leads by it");
        assert!(control.settle_fence().is_err() && control.set_fence(Epoch(9)).is_err());
    }

    #[test]
    fn a_fence_whose_sync_fails_is_in_force_and_said_not_to_be_durable() {
        use crate::io::sim::{FaultOn, FaultPlan};
        let disk = SimDisk::new(1);
        let control = control_of(&disk);
        disk.fail(FaultPlan::new(FaultOn::Sync, 1, std::io::ErrorKind::Other).forever());
        let raised = Fence::new(Epoch(1)).raised(B);
        assert!(!control.put_fence(&raised).unwrap().is_durable());
        assert_eq!(control.fence().unwrap(), raised);
        assert!(!control.allows(Epoch(1)) && control.allows(Epoch(2)));
        assert!(raised.is_ending() && raised.end_before().is_none());
        disk.clear_faults();
        // Once more, with the same words.
        assert!(control.put_fence(&raised).unwrap().is_durable());
        drop(control);
        let after = disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
        let control = Control::open(&after, Path::new(DIR), OpenMode::Read).unwrap().unwrap();
        assert_eq!(control.fence().unwrap(), raised);
    }

    #[test]
    fn an_epoch_beyond_what_the_word_can_hold_is_refused() {
        let control = control_of(&SimDisk::new(1));
        let before = control.fence().unwrap();
        assert_eq!(control.set_fence(Epoch(EPOCH_MASK + 1)).unwrap_err().code(), ErrorCode::Internal);
        assert_eq!(control.fence().unwrap(), before);
    }

    #[test]
    fn an_assumed_fence_that_is_cut_short_is_assumed_or_not_there() {
        for op in 1..20 {
            for crash in [Crash::Kill, Crash::PowerLoss(Loss::LoseAllUnsynced), Crash::PowerLoss(Loss::KeepAll)] {
                let (disk, dir) = (SimDisk::new(op), Path::new("/log"));
                disk.create_dir(dir).unwrap();
                disk.sync_dir(Path::new("/")).unwrap();
                let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
                let control = Control::create(&disk, dir, log, [3; 16], Epoch(1)).unwrap();
                disk.sync_dir(dir).unwrap();
                disk.crash_at(disk.ops() + op);
                let _ = control.put_assumed_fence(&Fence::new(Epoch(1)).raised(A));
                let found = Control::open(&disk.restart(crash), dir, OpenMode::ReadWrite).unwrap().unwrap();
                let fence = found.settle_fence().unwrap();
                assert!(fence.moved().is_none() || found.fence_is_assumed(), "operation {op}, {crash:?}: {fence:?}");
            }
        }
    }
}
