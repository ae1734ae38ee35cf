//! What others say of how far a log goes.

use crate::{
    graph::{Epoch, LogIndex, Token},
    io::Env,
};
use std::path::Path;

/// What a replica told the node whose log it follows.
#[derive(Debug, Clone)]
pub(crate) struct Reported {
    /// How it is called.
    pub who: String,
    /// The epoch of its last commit.
    pub epoch: Epoch,
    /// Its last commit that is durable there.
    pub durable: LogIndex,
}

/// Looks at what the replicas of the log in a folder reported, which the floor above keeps; `None`: it is not there.
pub(crate) type Reports<'a> = &'a dyn Fn(&Env, &Path) -> Option<Vec<Reported>>;

/// `None`: there is no commit.
pub(super) fn some_commit(last: Token) -> Option<Token> {
    Some(last).filter(|last| last.log_index > LogIndex(0))
}

/// That, and the node that leads in place of the one that is repaired, as who looks at others found it.
pub(crate) type Others<'a> = (Reports<'a>, Option<&'a str>);
