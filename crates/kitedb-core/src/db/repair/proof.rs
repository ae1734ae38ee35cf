//! What the frames of a damaged log prove.

use crate::{
    error::Error,
    graph::{Epoch, LogIndex, Token, WriterTag},
    log::{EpochEnd, Fence, Recovered, Salt, WriterId},
};
use std::path::PathBuf;

/// What the frames prove.
pub(super) struct Proof {
    /// The last commit that verifies with all before it.
    pub last: LogIndex,
    /// Its epoch.
    pub epoch: Epoch,
    /// The tag of that epoch's writer, if anything tells.
    pub writer: Option<WriterTag>,
    /// The greatest epoch that anything names which is left.
    pub led: Epoch,
    pub salt: Option<Salt>,
    /// The log, read from what the file holds to its end; `None`: it does not go on where the file ends, and need not.
    pub recovered: Option<Recovered>,
    /// Nothing goes on where the file ends, though commits came after, or the log had a segment that did.
    pub gap: Option<Error>,
    /// The file holds every commit that is known all the same: what is missing is the log alone.
    pub all_in_file: bool,
    /// A replica has more than the log, and nothing else tells where it ended.
    pub reported: Option<Error>,
    /// Whether the registry of replicas is there.
    pub registry: bool,
    /// What the log would meet where it goes on.
    pub in_its_way: Vec<PathBuf>,
    /// What is wrong and is not mended here.
    pub remains: Vec<String>,
}

impl Proof {
    /// What names the last commit.
    pub fn end(&self) -> Token {
        Token::new(self.epoch, self.last).with_tag(self.writer)
    }

    /// Why commits after the last one are missing.
    pub fn damage(&self) -> Option<&Error> {
        let recovered = || self.recovered.as_ref()?.damage.as_ref();
        self.gap.as_ref().or_else(recovered).or(self.reported.as_ref())
    }

    /// A fence of a promotion to the epoch `by`. The end counts nothing void that is here: it is not known where another node's promotion
    /// set it.
    pub fn fenced(&self, by: Epoch, promotion: WriterId) -> Fence {
        let by = by.max(Epoch(2));
        let ended = EpochEnd { epoch: Epoch(by.0 - 1), last: self.last };
        Fence { epoch: by, follows: false, moved_by: Some(promotion), ended: Some(ended) }
    }

    /// Who has commits that are missing here.
    pub fn holder(&self) -> Option<&Error> {
        self.reported.as_ref()
    }
}
