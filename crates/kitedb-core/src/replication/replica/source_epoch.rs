//! Which epoch a replica has seen at its source, and whether that one follows itself.

use super::Replica;
use crate::{error::Result, replication::source::Seen};

impl Replica {
    /// Remembers, durably, the latest epoch that is known at its source, though no frame of it has come: a promotion that
    /// is forced once the source is gone begins a later one. Upholds I42.
    pub(super) fn note_seen(&self, seen: &Seen) -> Result<()> {
        if !self.engine.is_foreign() {
            self.control.set_source_follows(seen.fence.follows);
        }
        let beside = seen.beside(self.control.promotion());
        // The log of what is no replica yet is that of another history.
        match self.engine.is_foreign() || beside.epoch <= self.control.fence()?.epoch {
            true => Ok(()),
            false => self.control.note_seen_epoch(beside),
        }
    }

    /// Looks at who leads by the source's fence, if that can be read, and remembers the epoch.
    pub(super) fn look_at_epoch(&self) -> Option<Seen> {
        let seen = self.source().seen().ok()?;
        if let Err(e) = self.note_seen(&seen) {
            // The next pull tries again.
            tracing::warn!("a replica could not note which epoch its source is in: {e}");
        }
        Some(seen)
    }
}
