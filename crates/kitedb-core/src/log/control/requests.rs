//! How a process asks the writer of a log for something: for a checkpoint, and to run retention.
//!
//! Checkpoints are counted: how many were asked for, and how many of them are made. Requests for retention have six words.
//! Word 58 holds how many requests there were (high half) and how many of them are answered (low half). A request is
//! word 59, whose bits say which windows are given, and one word for each of them; its answer takes their place:
//! word 59 is 0 if nothing was done, 1 if retention ran, with the segments that went and the floor behind it, or 2
//! with the CRC-32 of an error code in its high half. One asks at a time, under a lock ([`Control::lock_asking`]).

use super::{
    Control,
    layout::{CHECKPOINT_ASKED, CHECKPOINT_DONE, RETENTION_COUNTS, RETENTION_HEAD, RETENTION_VALUES},
    locks::COUNT_LOCK,
};
use crate::error::{ErrorCode, Result};

/// How often, a ms apart, who asks for something looks for the lock of the word that says so.
const ASK: u32 = 10_000;

/// Windows that replace those of the writer: entries, ms, bytes and lag, where they are given.
pub type AskedWindows = [Option<u64>; 4];

/// What the writer answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionAnswer {
    /// It ran: how many segments went, and the floor.
    Ran(u64, u64),
    /// It failed.
    Failed(Option<ErrorCode>),
    /// The writer began anew and knew nothing of the request.
    Dropped,
}

impl Control {
    /// Asks the writer of this log, in whatever process, for a checkpoint. Returns what [`Control::checkpoints_done`]
    /// will have reached once it is made.
    pub fn ask_for_checkpoint(&self) -> Result<u64> {
        let before = self.words.update_locked(CHECKPOINT_ASKED, COUNT_LOCK, ASK, |asked| asked + 1);
        let before = before.map_err(|e| self.not_stored(e))?;
        self.wake_writer();
        Ok(before + 1)
    }

    /// How many checkpoints have been asked for.
    pub fn checkpoints_asked(&self) -> u64 {
        self.load(CHECKPOINT_ASKED)
    }

    /// How many of the checkpoints asked for have been made.
    pub fn checkpoints_done(&self) -> u64 {
        self.load(CHECKPOINT_DONE)
    }

    /// Says that the first `asked` checkpoints asked for have been made.
    pub fn set_checkpoints_done(&self, asked: u64) -> Result<()> {
        self.words.raise(CHECKPOINT_DONE, asked).map_err(|e| self.not_stored(e))
    }

    fn retention_counts(&self) -> (u32, u32) {
        let counts = self.load(RETENTION_COUNTS);
        ((counts >> 32) as u32, counts as u32)
    }

    /// Whether a request is not answered yet.
    pub fn retention_is_asked(&self) -> bool {
        let (asked, answered) = self.retention_counts();
        asked != answered
    }

    /// Asks the log's writer to run retention. Call it under [`Control::lock_asking`], where no request is pending.
    pub fn ask_for_retention(&self, windows: AskedWindows) -> Result<()> {
        let bits = windows.iter().enumerate().map(|(at, given)| u64::from(given.is_some()) << at).sum();
        self.store(RETENTION_HEAD, bits)?;
        for (at, given) in (RETENTION_VALUES..).zip(windows) {
            self.store(at, given.unwrap_or_default())?;
        }
        let (asked, answered) = self.retention_counts();
        self.set_counts(asked.wrapping_add(1), answered)?;
        self.wake_writer();
        Ok(())
    }

    /// The request that is not answered yet. For the log's writer.
    pub fn asked_retention(&self) -> Option<AskedWindows> {
        let bits = self.load(RETENTION_HEAD);
        let given = |at: usize| (bits >> at & 1 == 1).then(|| self.load(RETENTION_VALUES + at));
        self.retention_is_asked().then(|| std::array::from_fn(given))
    }

    /// Answers the request. For the log's writer.
    pub fn answer_retention(&self, answer: RetentionAnswer) -> Result<()> {
        let (head, pruned, floor) = match answer {
            RetentionAnswer::Dropped => (0, 0, 0),
            RetentionAnswer::Ran(pruned, floor) => (1, pruned, floor),
            RetentionAnswer::Failed(code) => (2 | u64::from(code.map_or(0, code_crc)) << 32, 0, 0),
        };
        self.store(RETENTION_HEAD, head)?;
        self.store(RETENTION_VALUES, pruned)?;
        self.store(RETENTION_VALUES + 1, floor)?;
        let (asked, _) = self.retention_counts();
        self.set_counts(asked, asked)
    }

    /// The answer to the last request, once it is there.
    pub fn retention_answer(&self) -> Option<RetentionAnswer> {
        if self.retention_is_asked() {
            return None;
        }
        let value = |at: usize| self.load(at);
        Some(match value(RETENTION_HEAD) {
            1 => RetentionAnswer::Ran(value(RETENTION_VALUES), value(RETENTION_VALUES + 1)),
            head if head & 0xFFFF_FFFF == 2 => {
                let crc = (head >> 32) as u32;
                RetentionAnswer::Failed(ErrorCode::ALL.iter().copied().find(|code| code_crc(*code) == crc))
            }
            _ => RetentionAnswer::Dropped,
        })
    }

    fn set_counts(&self, asked: u32, answered: u32) -> Result<()> {
        self.store(RETENTION_COUNTS, u64::from(asked) << 32 | u64::from(answered))
    }
}

fn code_crc(code: ErrorCode) -> u32 {
    crc32fast::hash(code.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::Epoch,
        io::{Disk, OpenMode, sim::SimDisk},
        log::LogIdentity,
    };
    use std::path::Path;

    #[test]
    fn a_request_is_answered_once() {
        let (disk, dir) = (SimDisk::new(1), Path::new("/log"));
        disk.create_dir(dir).unwrap();
        let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
        let writer = Control::create(&disk, dir, log, [3; 16], Epoch(1)).unwrap();
        let asker = Control::open(&disk, dir, OpenMode::ReadWrite).unwrap().unwrap();
        assert_eq!(writer.asked_retention(), None);
        let windows = [Some(0), None, Some(9), None];
        for answer in [
            RetentionAnswer::Ran(3, 17),
            RetentionAnswer::Failed(Some(ErrorCode::StalePrimary)),
            RetentionAnswer::Failed(None),
            RetentionAnswer::Dropped,
        ] {
            asker.ask_for_retention(windows).unwrap();
            assert_eq!(asker.retention_answer(), None);
            assert_eq!(writer.asked_retention(), Some(windows));
            writer.answer_retention(answer).unwrap();
            assert_eq!(writer.asked_retention(), None);
            assert_eq!(asker.retention_answer(), Some(answer));
        }
    }
}
