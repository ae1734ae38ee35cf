//! A read-only snapshot.

use super::dyn_graph::{Graph, sealed};
use crate::{
    graph::{Digest, LogIndex, NameKind, Token},
    state::{Levels, ReaderSlot, Reading, Site},
};
use std::{fmt, sync::Arc};

/// One published state. It never changes, blocks no writer and is blocked by none. While it lives, so does what it can
/// see: space in the file, and in memory the commits since the last checkpoint before it, and those up to the next one;
/// nothing that comes later. Statistics show where it was taken and for how long it is held
/// ([`Stats::pins`](crate::Stats::pins)); who cannot say when he is done with it takes a [`ViewHandle`](crate::ViewHandle).
/// Read it through [`GraphRead`](super::GraphRead).
#[derive(Clone)]
pub struct View {
    pub(super) levels: Arc<Levels>,
    pub(super) index: LogIndex,
    pub(super) hold: ReaderSlot,
}

/// Never what is in the graph.
impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("token", &format_args!("{}", self.token())).finish_non_exhaustive()
    }
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

impl View {
    /// The same view, which statistics show under that name in place of where in the program it was taken. For who takes
    /// views for others: a binding, a server.
    #[must_use]
    pub fn with_origin(mut self, origin: impl Into<Arc<str>>) -> Self {
        self.hold.set_label(origin.into());
        self
    }

    /// The same view, for a cursor that is made at `site`.
    pub(super) fn for_cursor(&self, site: Site) -> Self {
        Self { levels: self.levels.clone(), index: self.index, hold: self.hold.for_cursor(site) }
    }

    /// Whether it was held for longer than [`OpenOptions::max_pin_ms`](crate::OpenOptions::max_pin_ms) allows: nothing can be
    /// read from it any more.
    pub fn is_expired(&self) -> bool {
        self.hold.is_past_its_limit()
    }
}

impl sealed::ReadState for View {
    #[inline(always)]
    fn is_expired(&self) -> bool {
        self.hold.is_expired()
    }

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
