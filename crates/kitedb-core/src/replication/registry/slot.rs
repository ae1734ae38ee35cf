//! One slot of the registry: 64 words that hold what one replica reported.
//!
//! | word | holds |
//! |---|---|
//! | 0 | 0 free, 1 in use |
//! | 1 | the id's length in bytes, and in the high half its CRC-32 |
//! | 2 to 47 | the id, then in the words after it the name and the path, end to end |
//! | 48 | a sequence: odd while a report is written |
//! | 49 to 52 | epoch, applied index, durable index, time of the report |
//! | 53 | bytes of the name, bytes of the path (16 bits each), and in the high half the CRC-32 over both; 0: neither |
//! | 54 | while it copies a snapshot: 1 more than the last frame of that; else 0 |

use super::registration::{Labels, Progress, Registration};
use crate::{
    db::MAX_NAME,
    graph::{Epoch, LogIndex},
    io::{FileWords, words_of_text},
};
use std::io::Result;

/// Words of a slot.
pub const WORDS: usize = 64;
const STATE: usize = 0;
const ID_HEAD: usize = 1;
const ID: usize = 2;
const SEQUENCE: usize = 48;
const EPOCH: usize = 49;
const APPLIED: usize = 50;
const DURABLE: usize = 51;
const REPORTED: usize = 52;
const LABELS_HEAD: usize = 53;
const RESERVED: usize = 54;

/// The longest id, in bytes.
pub const MAX_ID: usize = (SEQUENCE - ID) * 8;

/// See the [module documentation](self). Whoever changes one holds its lock. A change fails where there is no room for it,
/// and then leaves the slot as a crash in its midst would.
pub struct Slot<'a> {
    words: &'a FileWords,
    first: usize,
}

impl<'a> Slot<'a> {
    /// Slot `at` of a file, if it has that many.
    pub fn of(words: &'a FileWords, at: usize) -> Option<Self> {
        let first = at.checked_mul(WORDS)?;
        (first + WORDS <= words.count()).then_some(Self { words, first })
    }

    fn load(&self, at: usize) -> u64 {
        self.words.load(self.first + at)
    }

    fn store(&self, at: usize, value: u64) -> Result<()> {
        self.words.store(self.first + at, value)
    }

    fn store_all(&self, at: usize, values: &[u64]) -> Result<()> {
        self.words.store_all(self.first + at, values)
    }

    /// Makes it the slot of the replica `id`.
    pub fn claim(&self, id: &str) -> Result<()> {
        // The sequence goes on: who reads the slot meanwhile sees that it changed, whoever it was of.
        let mut words = [0; WORDS];
        words[SEQUENCE] = (self.load(SEQUENCE) | 1).wrapping_add(1);
        self.store_all(0, &words)?;
        self.store_all(ID, &words_of_text(id.as_bytes()))?;
        self.store(ID_HEAD, head_of(id))?;
        self.store(STATE, 1)
    }

    /// Makes it nobody's.
    pub fn free(&self) -> Result<()> {
        self.store(STATE, 0)
    }

    /// What says whose it is, where that was ever said: at which word of the file, and the words. Call it under the first lock.
    pub fn said(&self) -> (usize, Vec<u64>) {
        let (state, len) = (self.load(STATE), (self.load(ID_HEAD) & 0xFFFF_FFFF) as usize);
        let words = match state == 1 && len <= MAX_ID {
            true => ID + len.div_ceil(8),
            false => usize::from(self.load(SEQUENCE) != 0),
        };
        (self.first, (0..words).map(|at| self.load(at)).collect())
    }

    /// Whether it is the slot of the replica `id`.
    pub fn is_of(&self, id: &str) -> bool {
        self.load(STATE) == 1
            && self.load(ID_HEAD) == head_of(id)
            && self.bytes(ID, id.len()).is_some_and(|bytes| bytes == id.as_bytes())
    }

    /// Whose it is. A slot whose id does not verify was torn by a loss of power: it is free.
    pub fn id(&self) -> Option<String> {
        if self.load(STATE) != 1 {
            return None;
        }
        let head = self.load(ID_HEAD);
        let len = (head & 0xFFFF_FFFF) as usize;
        let id = String::from_utf8(self.bytes(ID, len).filter(|_| len <= MAX_ID)?).ok()?;
        (head_of(&id) == head).then_some(id)
    }

    /// Takes a report in.
    pub fn write(&self, progress: &Progress) -> Result<()> {
        let writing = self.load(SEQUENCE) | 1;
        self.store(SEQUENCE, writing)?;
        let report = [progress.epoch.0, progress.applied.0, progress.durable.0, progress.reported_at_ms];
        self.store_all(EPOCH, &report)?;
        self.store(RESERVED, progress.reserved.map_or(0, |after| after.0 + 1))?;
        if let Some(labels) = &progress.labels {
            self.write_labels(progress.replica_id.len(), labels)?;
        }
        self.store(SEQUENCE, writing.wrapping_add(1))
    }

    fn write_labels(&self, id_len: usize, labels: &Labels) -> Result<()> {
        let at = ID + id_len.div_ceil(8);
        let room = SEQUENCE.saturating_sub(at) * 8;
        let name = labels.name.as_deref().filter(|name| name.len() <= room.min(MAX_NAME)).unwrap_or_default();
        let path = shortened(labels.path.as_deref().unwrap_or_default(), room - name.len());
        let text = format!("{name}{path}");
        let head = match text.len() {
            0 => 0,
            _ => {
                let lengths = name.len() as u64 | (path.len() as u64) << 16;
                lengths | u64::from(crc32fast::hash(text.as_bytes())) << 32
            }
        };
        if self.load(LABELS_HEAD) == head {
            return Ok(());
        }
        self.store(LABELS_HEAD, 0)?;
        self.store_all(at, &words_of_text(text.as_bytes()))?;
        self.store(LABELS_HEAD, head)
    }

    /// What the replica reported last, if this is a replica's.
    pub fn read(&self) -> Option<Registration> {
        let replica_id = self.id()?;
        let read = || {
            let labels = self.read_labels(replica_id.len());
            let reserved = self.load(RESERVED).checked_sub(1).map(LogIndex);
            (self.load(EPOCH), self.load(APPLIED), self.load(DURABLE), self.load(REPORTED), reserved, labels)
        };
        let mut found = read();
        // A reporter that died in the midst leaves an odd sequence for ever: then any values it left will do.
        for _ in 0..1000 {
            let before = self.load(SEQUENCE);
            found = read();
            if before.is_multiple_of(2) && self.load(SEQUENCE) == before {
                break;
            }
            std::hint::spin_loop();
        }
        let (epoch, applied, durable, reported_at_ms, reserved, labels) = found;
        let (applied, durable) = (LogIndex(applied), LogIndex(durable.min(applied)));
        Some(Registration { replica_id, labels, epoch: Epoch(epoch), applied, durable, reserved, reported_at_ms })
    }

    fn read_labels(&self, id_len: usize) -> Labels {
        let head = self.load(LABELS_HEAD);
        let (name, path) = ((head & 0xFFFF) as usize, (head >> 16 & 0xFFFF) as usize);
        let text = self.bytes(ID + id_len.div_ceil(8), name + path).and_then(|text| String::from_utf8(text).ok());
        let sound = text.filter(|text| u64::from(crc32fast::hash(text.as_bytes())) == head >> 32);
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        match sound.as_deref().and_then(|text| text.split_at_checked(name)) {
            Some((name, path)) => Labels { name: part(name), path: part(path) },
            None => Labels::default(),
        }
    }

    /// `None` if they would reach into the words after the texts.
    fn bytes(&self, at: usize, len: usize) -> Option<Vec<u8>> {
        let end = at + len.div_ceil(8);
        let mut bytes: Vec<u8> = (at..end.min(SEQUENCE)).flat_map(|at| self.load(at).to_le_bytes()).collect();
        bytes.truncate(len);
        (end <= SEQUENCE).then_some(bytes)
    }
}

fn head_of(id: &str) -> u64 {
    id.len() as u64 | u64::from(crc32fast::hash(id.as_bytes())) << 32
}

/// The end of a path that is too long: it tells more than its beginning.
fn shortened(path: &str, room: usize) -> String {
    const CUT: &str = "…";
    if path.len() <= room {
        return path.to_owned();
    }
    let Some(room) = room.checked_sub(CUT.len()) else { return String::new() };
    let from = (path.len() - room..=path.len()).find(|from| path.is_char_boundary(*from)).unwrap_or(path.len());
    format!("{CUT}{}", &path[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> FileWords {
        FileWords::seen(&[0; WORDS])
    }

    fn slot(words: &FileWords) -> Slot<'_> {
        Slot::of(words, 0).unwrap()
    }

    fn report(id: &str, name: Option<&str>, path: Option<&str>) -> Registration {
        let words = words();
        let slot = slot(&words);
        slot.claim(id).unwrap();
        let text = |text: Option<&str>| text.map(str::to_owned);
        let progress = Progress {
            replica_id: id.to_owned(),
            labels: Some(Labels { name: text(name), path: text(path) }),
            epoch: Epoch(2),
            applied: LogIndex(7),
            durable: LogIndex(5),
            reserved: None,
            reported_at_ms: 11,
        };
        slot.write(&progress).unwrap();
        assert!(slot.is_of(id) && !slot.is_of("another"));
        slot.read().unwrap()
    }

    #[test]
    fn what_was_reported_is_read() {
        let found = report("0123456789abcdef0123456789abcdef", Some("eu-west"), Some("/data/b.kitedb"));
        assert_eq!((found.epoch, found.applied, found.durable), (Epoch(2), LogIndex(7), LogIndex(5)));
        assert_eq!(
            (found.labels.name.as_deref(), found.labels.path.as_deref()),
            (Some("eu-west"), Some("/data/b.kitedb"))
        );
        assert_eq!(report("x", None, None).labels, Labels::default());
    }

    #[test]
    fn what_is_reserved_is_read_until_the_next_report() {
        let words = words();
        let slot = slot(&words);
        slot.claim("replica").unwrap();
        for reserved in [None, Some(0), Some(7), None] {
            let reserved = reserved.map(LogIndex);
            let (applied, durable) = (LogIndex(3), LogIndex(2));
            let (replica_id, labels, epoch) = ("replica".to_owned(), None, Epoch(1));
            slot.write(&Progress { replica_id, labels, epoch, applied, durable, reserved, reported_at_ms: 1 }).unwrap();
            let found = slot.read().unwrap();
            assert_eq!((found.applied, found.durable, found.reserved), (applied, durable, reserved));
        }
    }

    #[test]
    fn of_a_long_path_the_end_is_kept() {
        let long = format!("/{}/b.kitedb", "ü".repeat(400));
        for (id, least) in [("0123456789abcdef0123456789abcdef", 300), (&"i".repeat(300), 40), (&"i".repeat(MAX_ID), 0)]
        {
            let found = report(id, Some("n"), Some(&long));
            assert_eq!(found.replica_id, *id);
            let path = found.labels.path.unwrap_or_default();
            assert!(path.len() >= least && (path.is_empty() || path.ends_with("/b.kitedb")), "{path}");
        }
    }

    #[test]
    fn a_torn_slot_is_nobodys_and_torn_labels_are_none() {
        let words = words();
        let slot = slot(&words);
        slot.claim("replica").unwrap();
        let labels = Some(Labels { name: Some("n".to_owned()), path: None });
        let (applied, durable) = (LogIndex(1), LogIndex(1));
        let progress = Progress {
            replica_id: "replica".to_owned(),
            labels,
            epoch: Epoch(1),
            applied,
            durable,
            reserved: None,
            reported_at_ms: 1,
        };
        slot.write(&progress).unwrap();
        words.update(LABELS_HEAD, |head| head ^ 1 << 40).unwrap();
        assert_eq!(slot.read().unwrap().labels, Labels::default());
        words.update(ID, |id| id ^ 1).unwrap();
        assert_eq!((slot.id(), slot.is_of("replica"), slot.read().is_none()), (None, false, true));
    }

    #[test]
    fn arbitrary_words_do_not_panic() {
        for seed in 0..2000u64 {
            let mut words: Vec<u64> =
                (0..WORDS as u64).map(|at| (seed * 64 + at).wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
            words[STATE] = 1;
            let _ = slot(&FileWords::seen(&words)).read();
        }
    }
}
