//! What a file in memory holds: pieces of whole pages, each of which a mapping can share.

use super::super::{Mapping, SharedWords};
use std::{
    collections::BTreeMap,
    fmt, io,
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

const PAGE: u64 = 4096;
const WORD: u64 = size_of::<u64>() as u64;
/// The largest piece that is made for bytes to come.
const MOST_AHEAD: u64 = 1 << 20;

/// The bytes of a file. What no piece covers is zeros.
#[derive(Default)]
pub(super) struct Contents {
    len: u64,
    /// By where each begins. They begin and end at multiples of a page, and do not overlap. One that a mapping shares is copied
    /// before it changes; the pages of a mapping are a piece of their own, so that nothing else is copied with them.
    pieces: BTreeMap<u64, Arc<Vec<u64>>>,
    /// The first words, once they were mapped: they count, and not what a piece says there.
    words: Option<SharedWords>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").field("len", &self.len).finish_non_exhaustive()
    }
}

fn bytes_of(piece: &[u64]) -> u64 {
    piece.len() as u64 * WORD
}

/// So many bytes, all zero, for which the system may have no memory.
fn zeros(bytes: u64) -> io::Result<Vec<u64>> {
    let words = usize::try_from(bytes / WORD).map_err(|_| io::ErrorKind::StorageFull)?;
    let mut piece = Vec::new();
    piece.try_reserve_exact(words).map_err(|_| io::ErrorKind::StorageFull)?;
    piece.resize(words, 0);
    Ok(piece)
}

impl Contents {
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The piece that covers `at`, and where it begins.
    fn piece_at(&self, at: u64) -> Option<(u64, &Arc<Vec<u64>>)> {
        let (start, piece) = self.pieces.range(..=at).next_back()?;
        (start + bytes_of(piece) > at).then_some((*start, piece))
    }

    /// Where the next piece begins after `at`, which none covers.
    fn next_piece(&self, at: u64) -> u64 {
        self.pieces.range(at..).next().map_or(u64::MAX, |(start, _)| *start)
    }

    pub fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let wanted = (buf.len() as u64).min(self.len.saturating_sub(offset)) as usize;
        self.copy(&mut buf[..wanted], offset);
        if let Some(words) = &self.words {
            each_word(words.len(), offset, wanted, |at, in_word, in_buf| {
                buf[in_buf].copy_from_slice(&words[at].load(Ordering::SeqCst).to_ne_bytes()[in_word]);
            });
        }
        wanted
    }

    /// Copies what pieces say.
    fn copy(&self, buf: &mut [u8], offset: u64) {
        let mut done = 0;
        while done < buf.len() {
            let (at, left) = (offset + done as u64, (buf.len() - done) as u64);
            let here = match self.piece_at(at) {
                Some((start, piece)) => {
                    let from = (at - start) as usize;
                    let here = left.min(start + bytes_of(piece) - at) as usize;
                    buf[done..done + here]
                        .copy_from_slice(&bytemuck::cast_slice::<u64, u8>(piece.as_slice())[from..from + here]);
                    here
                }
                None => {
                    let here = left.min(self.next_piece(at) - at) as usize;
                    buf[done..done + here].fill(0);
                    here
                }
            };
            done += here;
        }
    }

    /// Writes all of it, or as much as there is memory for.
    pub fn write(&mut self, buf: &[u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end < 1 << 62);
        let end = end.ok_or(io::ErrorKind::FileTooLarge)?;
        let mut at = offset;
        while at < end {
            let Some((start, _)) = self.piece_at(at) else {
                self.add_piece(at, end)?;
                continue;
            };
            let Some(piece) = self.pieces.get_mut(&start) else { break };
            let to = end.min(start + bytes_of(piece));
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(Arc::make_mut(piece).as_mut_slice());
            let source = &buf[(at - offset) as usize..(to - offset) as usize];
            bytes[(at - start) as usize..(to - start) as usize].copy_from_slice(source);
            at = to;
            self.len = self.len.max(at);
        }
        if let Some(words) = &self.words {
            each_word(words.len(), offset, buf.len(), |at, in_word, in_buf| {
                let mut word = words[at].load(Ordering::SeqCst).to_ne_bytes();
                word[in_word].copy_from_slice(&buf[in_buf]);
                words[at].store(u64::from_ne_bytes(word), Ordering::SeqCst);
            });
        }
        Ok(())
    }

    /// Adds a piece of zeros that covers `at`, which none does, and as much up to `end` as none does; and, the longer the
    /// file, the more beyond it.
    fn add_piece(&mut self, at: u64, end: u64) -> io::Result<()> {
        let start = at / PAGE * PAGE;
        let ahead = (self.len / 8).min(MOST_AHEAD);
        let stop = end.max(start + ahead).next_multiple_of(PAGE).min(self.next_piece(at));
        self.pieces.insert(start, Arc::new(zeros(stop - start)?));
        Ok(())
    }

    /// Cuts the file, or extends it with zeros.
    pub fn set_len(&mut self, len: u64) -> io::Result<()> {
        if len >= 1 << 62 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if len < self.len {
            let kept = len.next_multiple_of(PAGE);
            self.pieces.split_off(&kept);
            if let Some((start, _)) = self.piece_at(kept.saturating_sub(1)).filter(|(start, _)| *start < kept)
                && let Some(piece) = self.pieces.get_mut(&start)
                && (start + bytes_of(piece) > len)
            {
                let piece = Arc::make_mut(piece);
                piece.truncate(((kept - start) / WORD) as usize);
                piece.shrink_to_fit();
                // What comes there again is zeros.
                let bytes: &mut [u8] = bytemuck::cast_slice_mut(piece.as_mut_slice());
                bytes[(len - start) as usize..].fill(0);
            }
        }
        self.len = len;
        Ok(())
    }

    /// The bytes of a range, which begins at a multiple of a page; `None`: it reaches past the end.
    pub fn map(&mut self, range: Range<u64>) -> io::Result<Option<Mapping>> {
        if range.end > self.len {
            return Ok(None);
        }
        if range.is_empty() {
            return Ok(Some(Mapping::of_bytes(&[])));
        }
        let pages = range.start..range.end.next_multiple_of(PAGE);
        let whole = self.pieces.get(&range.start).filter(|piece| bytes_of(piece) == pages.end - pages.start).cloned();
        let whole = match whole {
            Some(whole) => whole,
            None => self.join(pages)?,
        };
        Ok(Some(Mapping::of_words(whole, (range.end - range.start) as usize)))
    }

    /// Makes these pages a piece of their own.
    fn join(&mut self, pages: Range<u64>) -> io::Result<Arc<Vec<u64>>> {
        let mut joined = zeros(pages.end - pages.start)?;
        self.copy(bytemuck::cast_slice_mut(joined.as_mut_slice()), pages.start);
        let before = self.piece_at(pages.start).map_or(pages.start, |(start, _)| start);
        let touched: Vec<u64> = self.pieces.range(before..pages.end).map(|(start, _)| *start).collect();
        for start in touched {
            let Some(piece) = self.pieces.remove(&start) else { continue };
            let end = start + bytes_of(&piece);
            let part =
                |from: u64, to: u64| piece[((from - start) / WORD) as usize..((to - start) / WORD) as usize].to_vec();
            if start < pages.start {
                self.pieces.insert(start, Arc::new(part(start, pages.start)));
            }
            if end > pages.end {
                self.pieces.insert(pages.end, Arc::new(part(pages.end, end)));
            }
        }
        let joined = Arc::new(joined);
        self.pieces.insert(pages.start, joined.clone());
        Ok(joined)
    }

    /// The first words, shared with whoever maps them; `None`: the file does not hold that many, or fewer were mapped before.
    pub fn map_words(&mut self, words: usize) -> Option<SharedWords> {
        if words as u64 > self.len / WORD {
            return None;
        }
        if self.words.is_none() {
            let mut bytes = vec![0; words * WORD as usize];
            self.copy(&mut bytes, 0);
            let shared = SharedWords::in_memory(words);
            for (word, bytes) in shared.iter().zip(bytes.as_chunks().0) {
                word.store(u64::from_ne_bytes(*bytes), Ordering::SeqCst);
            }
            self.words = Some(shared);
        }
        self.words.as_ref().filter(|shared| words <= shared.len()).map(|shared| shared.prefix(words))
    }
}

/// For each of `words` words that `len` bytes from `offset` on touch: the word, which bytes of it, and which of those.
fn each_word(words: usize, offset: u64, len: usize, mut touch: impl FnMut(usize, Range<usize>, Range<usize>)) {
    let end = (offset + len as u64).min(words as u64 * WORD);
    let mut at = offset;
    while at < end {
        let (word, from) = (at / WORD, at % WORD);
        let to = WORD.min(end - word * WORD);
        let in_buf = (at - offset) as usize;
        touch(word as usize, from as usize..to as usize, in_buf..in_buf + (to - from) as usize);
        at += to - from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Op {
        Write(u64, Vec<u8>),
        Len(u64),
        Map(u64, u64),
        Word(usize, u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let at = 0u64..40_000;
        prop_oneof![
            4 => (at.clone(), prop::collection::vec(any::<u8>(), 0..9000)).prop_map(|(at, bytes)| Op::Write(at, bytes)),
            1 => at.clone().prop_map(Op::Len),
            2 => (0u64..10, 0u64..20_000).prop_map(|(page, len)| Op::Map(page * PAGE, len)),
            1 => (0usize..16, any::<u64>()).prop_map(|(at, value)| Op::Word(at, value)),
        ]
    }

    proptest! {
        #[test]
        fn a_file_is_its_bytes_and_a_mapping_keeps_those_that_it_had(ops in prop::collection::vec(op(), 1..40)) {
            let (mut file, mut model, mut mapped) = (Contents::default(), Vec::<u8>::new(), Vec::new());
            let mut words: Option<SharedWords> = None;
            for op in ops {
                match op {
                    Op::Write(at, bytes) => {
                        file.write(&bytes, at).unwrap();
                        let end = at as usize + bytes.len();
                        if !bytes.is_empty() {
                            model.resize(model.len().max(end), 0);
                            model[at as usize..end].copy_from_slice(&bytes);
                        }
                    }
                    // Nobody cuts words that are mapped.
                    Op::Len(len) if words.is_none() || len >= 128 => {
                        file.set_len(len).unwrap();
                        model.resize(len as usize, 0);
                    }
                    Op::Len(_) => {}
                    Op::Map(at, len) => {
                        let found = file.map(at..at + len).unwrap();
                        let expected = model.get(at as usize..(at + len) as usize).filter(|_| words.is_none() || at > 0);
                        match (&found, expected) {
                            (Some(found), Some(expected)) => {
                                prop_assert_eq!(&found[..], expected);
                                mapped.push((found.clone(), expected.to_vec()));
                            }
                            (found, expected) => prop_assert!(words.is_some() || found.is_none() && expected.is_none()),
                        }
                    }
                    Op::Word(at, value) => {
                        words = words.or_else(|| file.map_words(16));
                        if let Some(words) = &words {
                            words[at].store(value, Ordering::SeqCst);
                            model[at * 8..at * 8 + 8].copy_from_slice(&value.to_ne_bytes());
                        }
                    }
                }
                let mut all = vec![7; model.len() + 3];
                prop_assert_eq!(file.len(), model.len() as u64);
                prop_assert_eq!(file.read(&mut all, 0), model.len());
                prop_assert_eq!(&all[..model.len()], &model[..]);
                for (mapping, expected) in &mapped {
                    prop_assert_eq!(&mapping[..], &expected[..]);
                }
            }
        }
    }

    #[test]
    fn a_mapping_and_its_file_share_their_memory() {
        let mut file = Contents::default();
        file.write(&[5; 10_000], 0).unwrap();
        let (first, again) = (file.map(4096..9000).unwrap().unwrap(), file.map(4096..9000).unwrap().unwrap());
        assert_eq!(first.as_ptr(), again.as_ptr());
        file.write(&[6; 10], 0).unwrap();
        file.write(&[7; 10], 30_000).unwrap();
        assert_eq!(
            file.map(4096..9000).unwrap().unwrap().as_ptr(),
            first.as_ptr(),
            "what is written beside it is no change of it"
        );
        assert!(file.map(0..30_011).unwrap().is_none());
    }
}
