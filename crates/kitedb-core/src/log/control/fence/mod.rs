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

mod encoding;
mod stored;
#[cfg(test)]
mod tests;

pub(super) use encoding::{epoch_in, hot, words_of};
pub use stored::Stored;

use crate::{
    graph::{Epoch, LogIndex},
    log::WriterId,
};

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

/// Which epoch may be committed to a log, if any may, and who moved it there.
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
