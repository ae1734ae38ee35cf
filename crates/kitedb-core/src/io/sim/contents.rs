//! What one simulated file holds: the bytes a reader sees, and every change that is not durable yet.

use std::{
    collections::BTreeSet,
    io,
    ops::Range,
    sync::{Arc, Weak, atomic::Ordering},
};

use super::{Loss, rng::Rng, state::PAGE};
use crate::io::{Mapping, SharedWords};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
/// Words are stored one by one, and reach the disk so.
const WORD: usize = size_of::<u64>();
/// Room for the words of a mapped file of several pages, which may grow.
const MOST_WORDS: usize = (2 << 20) / WORD;

/// The bytes of a file, with a journal of changes since the last sync that can be undone. The durable image is
/// never stored: it is what remains of the bytes when the journal is undone and a part of it done again.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    // Shared between a disk and what it is restarted as, until one of them writes.
    bytes: Arc<Vec<u8>>,
    journal: Vec<Change>,
    words: Option<SharedWords>,
    /// Pages that were stored to through the mapping since somebody asked.
    stored: BTreeSet<usize>,
    /// On a disk that copies on write: pages that have a new block beside the old one until the next sync.
    fresh: BTreeSet<usize>,
    mapped: Vec<(Range<usize>, Weak<Vec<u64>>)>,
    write_back: WriteBack,
}

/// The failures to write a file back, as Linux keeps them (`errseq_t`): each open file is told once, by its next sync; one
/// that is opened later, only if nobody was told before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WriteBack {
    failures: u64,
    last: Option<io::ErrorKind>,
    told: bool,
}

impl WriteBack {
    /// Of how many failures a file that is opened now counts as told.
    pub(super) fn known_at_open(self) -> u64 {
        if self.told { self.failures } else { self.failures.saturating_sub(1) }
    }
}

#[derive(Debug, Clone)]
struct Change {
    at: usize,
    old_len: usize,
    /// What was at `at`, as far as the file reached.
    old: Vec<u8>,
    new: New,
    fate: Fate,
}

#[derive(Debug, Clone)]
enum New {
    /// Bytes that reach the disk in units of `unit`.
    Bytes {
        bytes: Vec<u8>,
        unit: usize,
    },
    Length(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// May or may not survive a power loss.
    Open,
    /// Durable; kept only because an earlier change in the journal is not.
    Durable,
    /// Counted as clean by the system after a failed sync, though it never reached the disk.
    Lost,
}

impl Contents {
    /// The file's bytes as every reader sees them, stores to mapped words included.
    pub(super) fn bytes(&mut self) -> &[u8] {
        self.pull_words();
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Writes all of `data`. The caller has checked that `at + data.len()` does not overflow.
    pub(super) fn write(&mut self, at: usize, data: &[u8]) {
        self.pull_words();
        self.record_write(at, data, SECTOR);
        self.push_words(at..at + data.len());
        if self.words.is_some() {
            self.write_back_whole(at..at + data.len());
        }
    }

    /// What a failed sync lost of the pages of a range is in the cache still, and comes back with them: as with a store.
    fn write_back_whole(&mut self, range: Range<usize>) {
        let lost = |journal: &[Change], page: usize| {
            let touches = |c: &&Change| c.at / PAGE <= page && page <= (c.at + c.old.len()) / PAGE;
            journal.iter().filter(|change| change.fate == Fate::Lost).any(|change| touches(&change))
        };
        for page in range.start / PAGE..range.end.div_ceil(PAGE) {
            if lost(&self.journal, page) {
                let whole = page * PAGE..((page + 1) * PAGE).min(self.bytes.len());
                let bytes = self.bytes[whole.clone()].to_vec();
                self.record_write(whole.start, &bytes, WORD);
            }
        }
    }

    /// Writes a random part of `data`: some prefix or subset of its sectors.
    pub(super) fn write_torn(&mut self, at: usize, data: &[u8], rng: &mut Rng) {
        for kept in torn(at, data.len(), SECTOR, rng) {
            self.write(kept.start, &data[kept.start - at..kept.end - at]);
        }
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.pull_words();
        let old_len = self.bytes.len();
        if len == old_len {
            return;
        }
        let old = self.bytes.get(len..).map(<[u8]>::to_vec).unwrap_or_default();
        Arc::make_mut(&mut self.bytes).resize(len, 0);
        self.journal.push(Change { at: len.min(old_len), old_len, old, new: New::Length(len), fate: Fate::Open });
        self.push_words(len.min(old_len)..len);
    }

    /// How many pages that `range` touches must be copied to another block before they are changed.
    pub(super) fn to_be_copied(&self, range: Range<usize>) -> usize {
        pages(range).filter(|page| page * PAGE < self.bytes.len() && !self.fresh.contains(page)).count()
    }

    /// Takes note that the pages that `range` touches have another block.
    pub(super) fn copied(&mut self, range: Range<usize>) {
        let len = self.bytes.len();
        self.fresh.extend(pages(range).filter(|page| page * PAGE < len));
    }

    /// The bytes of blocks that the next sync gives back.
    pub(super) fn copies(&self) -> usize {
        self.fresh.len() * PAGE
    }

    /// The pages that were stored to through the mapping, since this was asked last, and had to be copied for that.
    pub(super) fn copied_by_stores(&mut self) -> usize {
        self.pull_words();
        let pages = std::mem::take(&mut self.stored);
        let before = self.fresh.len();
        self.fresh.extend(pages);
        self.fresh.len() - before
    }

    /// A sync that succeeds.
    pub(super) fn sync(&mut self) {
        self.pull_words();
        self.fresh.clear();
        if self.journal.iter().any(|change| change.fate == Fate::Lost) {
            self.settle(|| Fate::Durable);
        } else {
            self.journal.clear();
        }
    }

    /// A sync that fails: each change reached the disk or did not, and all of them count as clean from now on.
    fn sync_failed(&mut self, rng: &mut Rng) {
        self.pull_words();
        self.fresh.clear();
        self.settle(|| if rng.coin() { Fate::Durable } else { Fate::Lost });
    }

    /// The system wrote the file back by itself, or for the sync of an open file that is told so, and failed.
    pub(super) fn write_back_failed(&mut self, kind: io::ErrorKind, told: bool, rng: &mut Rng) -> u64 {
        self.sync_failed(rng);
        self.write_back = WriteBack { failures: self.write_back.failures + 1, last: Some(kind), told };
        self.write_back.failures
    }

    pub(super) fn write_back(&self) -> WriteBack {
        self.write_back
    }

    /// Who was not told yet never will be.
    pub(super) fn forget_failures(&mut self) {
        self.write_back.last = None;
    }

    /// What a sync says to an open file that knows of so many failures, and of how many it knows then.
    pub(super) fn tell(&mut self, known: u64) -> (u64, io::Result<()>) {
        let WriteBack { failures, last, .. } = self.write_back;
        match last {
            Some(kind) if failures > known => {
                self.write_back.told = true;
                (failures, Err(kind.into()))
            }
            _ => (known, Ok(())),
        }
    }

    /// A sync that the end of the world interrupts: some changes reached the disk.
    pub(super) fn sync_interrupted(&mut self, rng: &mut Rng) {
        self.pull_words();
        self.settle(|| if rng.coin() { Fate::Durable } else { Fate::Open });
    }

    /// The file after a crash of the process: as readers saw it last.
    pub(super) fn killed(mut self) -> Self {
        self.freeze();
        self
    }

    /// Ends the view that mapped words are: what is stored to them from now on, no one will see.
    pub(super) fn freeze(&mut self) {
        self.pull_words();
        self.words = None;
        self.mapped.clear();
    }

    /// The file after a power loss.
    pub(super) fn powered_off(self, loss: Loss, rng: &mut Rng) -> Self {
        let Self { mut bytes, journal, .. } = self.killed();
        if !journal.is_empty() {
            let image = Arc::make_mut(&mut bytes);
            for change in journal.iter().rev() {
                change.undo(image);
            }
            // All kinds of luck must be likely: all kept, all lost, and everything between.
            let odds = rng.below(5);
            for change in &journal {
                let keep = match (change.fate, loss) {
                    (Fate::Durable, _) | (Fate::Open, Loss::KeepAll) => Keep::Whole,
                    (Fate::Lost, _) | (Fate::Open, Loss::LoseAllUnsynced) => Keep::Nothing,
                    (Fate::Open, Loss::Random) if rng.below(4) < odds => Keep::Whole,
                    (Fate::Open, Loss::Random) if rng.coin() => Keep::Torn,
                    (Fate::Open, Loss::Random) => Keep::Nothing,
                };
                change.redo(image, keep, rng);
            }
        }
        Self { bytes, ..Self::default() }
    }

    /// A copy of a range that the caller has checked; `None` if it reaches past the end.
    pub(super) fn map(&mut self, range: Range<usize>) -> Option<Mapping> {
        let mapping = Mapping::of_bytes(self.bytes().get(range.clone())?);
        self.mapped.retain(|(_, lifetime)| lifetime.strong_count() > 0);
        if !range.is_empty() {
            self.mapped.push((range, mapping.lifetime()));
        }
        Some(mapping)
    }

    /// The first words of the file, which start as its bytes; `None` if the file is shorter, or if more are asked
    /// for than there is room for.
    pub(super) fn map_words(&mut self, words: usize) -> Option<SharedWords> {
        if words > self.len() / WORD {
            return None;
        }
        if self.words.is_none() {
            // A file that grows is mapped again, and those who mapped it before see the same words.
            self.words = Some(match words.max(1).next_multiple_of(PAGE / WORD) {
                page if page == PAGE / WORD => SharedWords::in_memory(page),
                more => {
                    let room = more.max(MOST_WORDS);
                    SharedWords::anonymous(room).unwrap_or_else(|_| SharedWords::in_memory(room))
                }
            });
            self.push_words(0..self.len());
        }
        let all = self.words.as_ref()?;
        (words <= all.len()).then(|| all.prefix(words))
    }

    /// A range that lives in a mapping, and that a change of `range` touches.
    pub(super) fn mapped_in(&self, range: Range<usize>) -> Option<Range<usize>> {
        let live = self.mapped.iter().find(|(mapped, lifetime)| {
            let overlap = mapped.start.max(range.start)..mapped.end.min(range.end);
            !overlap.is_empty() && lifetime.strong_count() > 0
        });
        live.map(|(mapped, _)| mapped.clone())
    }

    /// Whether somebody still uses mapped words that a file of `len` bytes does not hold.
    pub(super) fn words_cut_by(&self, len: usize) -> bool {
        self.words.as_ref().is_some_and(|words| words.is_shared() && len < words.len().min(self.len() / WORD) * WORD)
    }

    /// Flips bits of one byte in every image that a reader may ever see.
    pub(super) fn corrupt(&mut self, at: usize, xor: u8) -> bool {
        self.pull_words();
        let Some(byte) = Arc::make_mut(&mut self.bytes).get_mut(at) else { return false };
        *byte ^= xor;
        for change in &mut self.journal {
            let new = match &mut change.new {
                New::Bytes { bytes, .. } => bytes.as_mut_slice(),
                New::Length(_) => &mut [],
            };
            for image in [&mut change.old, new] {
                if let Some(byte) = at.checked_sub(change.at).and_then(|i| image.get_mut(i)) {
                    *byte ^= xor;
                }
            }
        }
        self.push_words(at..at + 1);
        true
    }

    /// Takes stores to mapped words over into the bytes, as a change like any other.
    fn pull_words(&mut self) {
        let Some(words) = self.words.clone() else { return };
        let count = words.len().min(self.bytes.len() / WORD);
        // Every look at a file comes by here, and few find a store.
        let (chunks, _) = self.bytes.as_chunks::<WORD>();
        if words.iter().zip(chunks).all(|(word, bytes)| word.load(Ordering::Acquire) == u64::from_ne_bytes(*bytes)) {
            return;
        }
        let whole = self.pages_written_back(&words, count);
        let mut changed: Option<(usize, Vec<u8>)> = None;
        for (i, word) in words.iter().enumerate().take(count) {
            let at = i * WORD;
            let now = word.load(Ordering::Acquire).to_ne_bytes();
            let stored = self.bytes[at..at + WORD] != now;
            if stored {
                self.stored.insert(at / PAGE);
            }
            if stored || whole.contains(&(at / PAGE)) {
                changed.get_or_insert((at, Vec::new())).1.extend(now);
            } else if let Some((at, data)) = changed.take() {
                self.record_write(at, &data, WORD);
            }
        }
        if let Some((at, data)) = changed {
            self.record_write(at, &data, WORD);
        }
    }

    /// The mapped pages that a failed sync lost something of and that were stored to since: a page is written back whole,
    /// so that it comes back.
    fn pages_written_back(&self, words: &SharedWords, count: usize) -> Vec<usize> {
        let lost = self.journal.iter().filter(|change| change.fate == Fate::Lost);
        let mut pages: Vec<usize> = lost.flat_map(|c| c.at / PAGE..=(c.at + c.old.len()) / PAGE).collect();
        pages.dedup();
        let differs = |i: usize| self.bytes[i * WORD..][..WORD] != words[i].load(Ordering::Acquire).to_ne_bytes();
        pages.retain(|page| (page * PAGE / WORD..((page + 1) * PAGE / WORD).min(count)).any(differs));
        pages
    }

    /// Shows a change of the bytes to whoever has the words mapped.
    fn push_words(&self, range: Range<usize>) {
        let Some(words) = &self.words else { return };
        for (i, word) in words.iter().enumerate().take(range.end.div_ceil(WORD)).skip(range.start / WORD) {
            if let Some(bytes) = self.bytes.get(i * WORD..).and_then(<[u8]>::first_chunk) {
                word.store(u64::from_ne_bytes(*bytes), Ordering::Release);
            }
        }
    }

    fn record_write(&mut self, at: usize, data: &[u8], unit: usize) {
        if data.is_empty() {
            return;
        }
        let (old_len, end) = (self.bytes.len(), at + data.len());
        let old = self.bytes[at.min(old_len)..end.min(old_len)].to_vec();
        put(Arc::make_mut(&mut self.bytes), at, data);
        let new = New::Bytes { bytes: data.to_vec(), unit };
        self.journal.push(Change { at, old_len, old, new, fate: Fate::Open });
    }

    fn settle(&mut self, mut fate: impl FnMut() -> Fate) {
        for change in &mut self.journal {
            if change.fate == Fate::Open {
                change.fate = fate();
            }
        }
    }
}

enum Keep {
    Whole,
    Torn,
    Nothing,
}

impl Change {
    fn undo(&self, image: &mut Vec<u8>) {
        image.resize(self.old_len, 0);
        if !self.old.is_empty() {
            put(image, self.at, &self.old);
        }
    }

    fn redo(&self, image: &mut Vec<u8>, keep: Keep, rng: &mut Rng) {
        match (&self.new, keep) {
            (New::Bytes { bytes, .. }, Keep::Whole) => put(image, self.at, bytes),
            (New::Bytes { bytes, unit }, Keep::Torn) => {
                for kept in torn(self.at, bytes.len(), *unit, rng) {
                    put(image, kept.start, &bytes[kept.start - self.at..kept.end - self.at]);
                }
                // The new length is another block of the disk than the bytes: it may survive without them.
                if rng.coin() && image.len() < self.at + bytes.len() {
                    image.resize(self.at + bytes.len(), 0);
                }
            }
            (New::Length(len), Keep::Whole) => image.resize(*len, 0),
            (New::Length(len), Keep::Torn) if rng.coin() => image.resize(*len, 0),
            (New::Length(_), Keep::Torn) | (_, Keep::Nothing) => {}
        }
    }
}

/// The pages that a range of bytes touches.
fn pages(range: Range<usize>) -> Range<usize> {
    range.start / PAGE..range.end.div_ceil(PAGE)
}

/// Writes `data` into `image`, growing it where needed.
fn put(image: &mut Vec<u8>, at: usize, data: &[u8]) {
    let end = at + data.len();
    if at == image.len() {
        image.extend_from_slice(data);
        return;
    }
    if end > image.len() {
        image.resize(end, 0);
    }
    image[at..end].copy_from_slice(data);
}

/// The ranges that survive of a write of `len` bytes at `at`: a prefix or any subset of its units.
fn torn(at: usize, len: usize, unit: usize, rng: &mut Rng) -> Vec<Range<usize>> {
    let end = at + len;
    let units = (at / unit..end.div_ceil(unit)).map(|i| (i * unit).max(at)..((i + 1) * unit).min(end));
    if rng.coin() {
        let kept = rng.below(units.len() + 1);
        units.take(kept).next_back().map(|last| at..last.end).into_iter().collect()
    } else {
        units.filter(|_| rng.coin()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(contents: &Contents, loss: Loss) -> Vec<Vec<u8>> {
        (0..300).map(|seed| contents.clone().powered_off(loss, &mut Rng::new(seed)).bytes().to_vec()).collect()
    }

    fn synced(bytes: &[u8]) -> Contents {
        let mut contents = Contents::default();
        contents.write(0, bytes);
        contents.sync();
        contents
    }

    #[test]
    fn synced_bytes_survive_and_unsynced_ones_may_not() {
        let mut contents = synced(b"durable");
        contents.write(0, b"DURABLE and longer");
        assert_eq!(outcomes(&contents, Loss::LoseAllUnsynced)[0], b"durable");
        assert_eq!(outcomes(&contents, Loss::KeepAll)[0], b"DURABLE and longer");
        let random = outcomes(&contents, Loss::Random);
        assert!(random.iter().any(|b| b == b"durable") && random.iter().any(|b| b == b"DURABLE and longer"));
        assert_eq!(contents.killed().bytes(), b"DURABLE and longer");
    }

    #[test]
    fn a_torn_write_keeps_whole_sectors() {
        let mut contents = synced(&[1; 2048]);
        contents.write(256, &[2; 1536]);
        let mut seen_torn = false;
        for image in outcomes(&contents, Loss::Random) {
            assert_eq!(image.len(), 2048);
            assert!(image[..256].iter().all(|b| *b == 1) && image[1792..].iter().all(|b| *b == 1));
            for part in [256..512, 512..1024, 1024..1536, 1536..1792] {
                assert!(image[part.clone()].iter().all(|b| *b == image[part.start]), "a sector is torn");
            }
            seen_torn |= image[256] != image[1791] || image[512] != image[1024];
        }
        assert!(seen_torn);
    }

    #[test]
    fn a_later_write_can_survive_an_earlier_one() {
        let mut contents = synced(&[0; 1024]);
        contents.write(0, &[1; 512]);
        contents.write(512, &[2; 512]);
        assert!(outcomes(&contents, Loss::Random).iter().any(|image| image[0] == 0 && image[512] == 2));
    }

    #[test]
    fn length_changes_are_undone_and_redone_like_writes() {
        let mut contents = synced(b"0123456789");
        contents.set_len(4);
        contents.set_len(6);
        contents.write(8, b"x");
        assert_eq!(contents.bytes(), b"0123\0\0\0\0x");
        assert_eq!(outcomes(&contents, Loss::LoseAllUnsynced)[0], b"0123456789");
        assert_eq!(outcomes(&contents, Loss::KeepAll)[0], b"0123\0\0\0\0x");
        contents.sync();
        assert_eq!(outcomes(&contents, Loss::LoseAllUnsynced)[0], b"0123\0\0\0\0x");
    }

    #[test]
    fn what_a_failed_sync_lost_no_later_sync_brings_back() {
        let mut lost = false;
        for seed in 0..20 {
            let mut contents = synced(b"aaaa");
            contents.write(0, b"b");
            contents.sync_failed(&mut Rng::new(seed));
            contents.write(2, b"c");
            contents.sync();
            assert_eq!(contents.bytes(), b"baca");
            assert_eq!(contents.clone().killed().bytes(), b"baca");
            let mut image = contents.powered_off(Loss::KeepAll, &mut Rng::new(seed));
            assert_eq!(&image.bytes()[1..], b"aca");
            lost |= image.bytes()[0] == b'a';
        }
        assert!(lost);
    }

    #[test]
    fn a_page_of_words_that_a_failed_sync_lost_comes_back_with_the_next_store() {
        for seed in 0..20 {
            let mut contents = synced(&[0; 64]);
            let words = contents.map_words(8).unwrap();
            words[1].store(7, Ordering::Relaxed);
            contents.sync_failed(&mut Rng::new(seed));
            words[2].store(9, Ordering::Relaxed);
            contents.sync();
            let image = contents.powered_off(Loss::LoseAllUnsynced, &mut Rng::new(seed)).bytes().to_vec();
            assert_eq!((image[8], image[16]), (7, 9));
        }
    }

    #[test]
    fn words_are_a_view_of_the_first_bytes() {
        let mut contents = synced(&[0; 64]);
        let words = contents.map_words(8).unwrap();
        contents.write(8, &7u64.to_ne_bytes());
        assert_eq!(words[1].load(Ordering::Relaxed), 7);
        words[2].store(9, Ordering::Relaxed);
        assert_eq!(contents.bytes()[16..24], 9u64.to_ne_bytes());
        assert!(contents.map_words(9).is_none());
        assert!(contents.words_cut_by(56) && !contents.words_cut_by(64));
    }

    #[test]
    fn a_power_loss_reverts_words_one_by_one() {
        let mut contents = synced(&[0; 64]);
        let words = contents.map_words(8).unwrap();
        words.iter().for_each(|word| word.store(u64::MAX, Ordering::Relaxed));
        let images = outcomes(&contents, Loss::Random);
        assert!(images.iter().all(|image| image.chunks(8).all(|w| w == [0; 8] || w == [255; 8])));
        assert!(images.iter().any(|image| image[..8] != image[8..16]));
        assert_eq!(outcomes(&contents, Loss::LoseAllUnsynced)[0], [0; 64]);
        contents.sync();
        assert_eq!(outcomes(&contents, Loss::LoseAllUnsynced)[0], [255; 64]);
    }

    #[test]
    fn damage_shows_in_every_image() {
        let mut contents = synced(b"abcd");
        contents.write(1, b"BC");
        assert!(contents.corrupt(1, 0x80));
        assert!(!contents.corrupt(4, 1));
        assert_eq!(contents.bytes()[1], b'B' ^ 0x80);
        assert_eq!(outcomes(&contents, Loss::LoseAllUnsynced)[0][1], b'b' ^ 0x80);
        assert_eq!(outcomes(&contents, Loss::KeepAll)[0][1], b'B' ^ 0x80);
    }
}
