//! Which commit has an index, and whose an epoch is: what a wait for a token asks.

use super::{engine::Engine, history::writer_of, options::ReplicationRole};
use crate::graph::{Epoch, LogIndex, Token, WriterTag};

/// What is published under a log index.
#[derive(Debug, Clone, Copy)]
pub enum Found {
    /// This commit, with the tag of its writer where that is known.
    Commit(Token),
    /// One of before this node's own history: nothing tells whose.
    Unknown,
    /// Nothing, yet: this is the last commit.
    Nothing(Token),
}

impl Engine {
    /// Which commit is published under an index above 0. Takes the commit lock for one that is no longer in memory.
    pub(crate) fn commit_at(&self, index: LogIndex) -> Found {
        let (levels, published) = self.current();
        if index > published {
            return Found::Nothing(levels.info(published).token(published));
        }
        if index > levels.base() {
            return Found::Commit(levels.info(index).token(index));
        }
        let commit = self.commit.lock();
        match commit.history.iter().rev().find(|led| led.first <= index) {
            Some(led) => {
                let writer = writer_of(&commit.history, led.epoch, index);
                Found::Commit(Token::new(led.epoch, index).with_tag(writer))
            }
            None => Found::Unknown,
        }
    }

    /// Whether the writer with that tag may be the one of epoch `epoch`, in which nothing is published here: nothing has told
    /// whose it is, or it is that one's, or no tag is given. A replica learns that from a frame: it may have begun an epoch of
    /// that number itself, which it never led, or led in vain. Takes the commit lock.
    pub(crate) fn may_be_led_by(&self, epoch: Epoch, tag: Option<WriterTag>) -> bool {
        let Some(tag) = tag.filter(|_| self.role() != ReplicationRole::Replica) else { return true };
        let commit = self.commit.lock();
        let led = commit.history.iter().rev().find(|led| led.epoch == epoch);
        led.and_then(|led| WriterTag::of(&led.writer_id)).is_none_or(|own| own == tag)
    }
}
