//! A read-only snapshot.

use super::dyn_graph::{Graph, sealed};
use crate::{
    graph::{Digest, LogIndex, NameKind, Token},
    state::{Levels, ReaderSlot, Reading},
};
use std::sync::Arc;

/// One published state. It never changes, blocks no writer and is blocked by none. While it lives, so does what it can
/// see: space in the file, and in memory the commits since the last checkpoint before it, and those up to the next one;
/// nothing that comes later. Read it through [`GraphRead`](super::GraphRead).
#[derive(Debug, Clone)]
pub struct View {
    pub(super) levels: Arc<Levels>,
    pub(super) index: LogIndex,
    pub(super) _hold: ReaderSlot,
}

impl View {
    /// The last commit that this view shows.
    pub fn token(&self) -> Token {
        self.levels.info(self.index).token(self.index)
    }

    /// The state digest: equal for two databases exactly if they hold the same graph.
    pub fn digest(&self) -> Digest {
        self.levels.info(self.index).digest
    }

    /// When the last commit that this view shows was made, ms since 1970; 0 before the first.
    pub fn commit_ms(&self) -> u64 {
        self.levels.info(self.index).commit_ms
    }
}

impl sealed::ReadState for View {
    #[inline]
    fn reading(&self) -> Reading<'_> {
        Reading::new(&self.levels, self.index, None)
    }

    fn find_name(&self, kind: NameKind, name: &str) -> Option<u32> {
        self.levels.names.id(kind, name, self.index)
    }

    fn name_of(&self, kind: NameKind, id: u32) -> Option<Arc<str>> {
        self.levels.names.name(kind, id, self.index)
    }

    fn list_names(&self, kind: NameKind) -> Vec<(u32, Arc<str>)> {
        self.levels.names.list(kind, self.index)
    }

    #[inline]
    fn as_dyn(&self) -> &dyn Graph {
        self
    }
}

impl Graph for View {}
