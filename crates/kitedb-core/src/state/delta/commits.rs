//! What the commits of a delta left behind beside their changes.

use crate::graph::{Digest, Epoch, LogIndex, Token, WriterTag};

/// Totals after a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Nodes.
    pub nodes: u64,
    /// Edges.
    pub edges: u64,
    /// Vectors.
    pub vectors: u64,
}

/// What a commit left behind beside its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its epoch.
    pub epoch: Epoch,
    /// The tag of that epoch's writer, if it is known.
    pub writer: Option<WriterTag>,
    /// When it was committed, ms since 1970.
    pub commit_ms: u64,
    /// The digest after it.
    pub digest: Digest,
    /// The totals after it.
    pub totals: Totals,
}

impl CommitInfo {
    /// What names the commit, whose log index is `log_index`. Before the first one there is nobody who wrote it.
    #[inline]
    pub fn token(&self, log_index: LogIndex) -> Token {
        Token::new(self.epoch, log_index).with_tag(self.writer.filter(|_| log_index > LogIndex(0)))
    }
}

/// The commits of a delta, in log order.
#[derive(Debug)]
pub struct Commits {
    base: LogIndex,
    start: CommitInfo,
    commits: boxcar::Vec<CommitInfo>,
}

impl Commits {
    /// None, over a state with log index `base`, which `start` tells of.
    pub fn new(base: LogIndex, start: CommitInfo) -> Self {
        Self { base, start, commits: boxcar::Vec::new() }
    }

    /// The log index below them.
    #[inline]
    pub fn base(&self) -> LogIndex {
        self.base
    }

    /// The log index of the last one.
    #[inline]
    pub fn last(&self) -> LogIndex {
        LogIndex(self.base.0 + self.commits.count() as u64)
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    /// What the commit with log index `at` left behind; for the base, what was there before.
    #[inline]
    pub fn info(&self, at: LogIndex) -> &CommitInfo {
        let Some(nth) = at.0.checked_sub(self.base.0 + 1) else { return &self.start };
        self.commits.get(nth as usize).unwrap_or(&self.start)
    }

    /// Ends a commit. Only under the commit lock.
    pub fn push(&self, info: CommitInfo) {
        self.commits.push(info);
    }
}
