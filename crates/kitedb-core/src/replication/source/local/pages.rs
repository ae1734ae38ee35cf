//! Pages of frames from the log of a source on this machine.

use super::{LocalSource, OpenLog};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    log::{PageLimits, Position},
    replication::source::{
        At, Pulled, Seen,
        find_log::{require_its_log, told_by_file},
    },
};

impl LocalSource {
    /// See [`Source::page`](crate::replication::source::Source::page).
    pub(super) fn pull(&self, at: &At, limits: PageLimits) -> Result<Pulled> {
        let pulled = self.with(|open| {
            let control = open.reader.control().clone();
            if open.verified.is_none() {
                // Before anything of it is given.
                require_its_log(&self.env, &self.paths.db, &control)?;
            }
            let head = control.published();
            let seen = Seen::of(&control)?;
            // Of a log that follows, that is past: it may have lost the end, and goes on in a history without it.
            let ended = seen.fence.end_before().filter(|_| !seen.fence.follows);
            let fenced_end = (*self.draining.lock()).or(ended);
            // What a fence ended is complete, whatever its writer had published.
            let through = limits.through.min(head.max(fenced_end.unwrap_or_default()));
            let session = control.session();
            let id = control.identity().file_id;
            let verify = |open: &mut OpenLog| match open.verify(at) {
                Err(_) if self.holds(at, id) => Ok(true),
                // What is gone from the log of another database was never to be had there.
                Err(e) => self.require_same_writer(at, id).and(Err(e)),
                Ok(true) if open.reader.floor() == Some(LogIndex(at.index.0 + 1)) => {
                    self.require_same_writer(at, id).map(|()| true)
                }
                result => result,
            };
            let mut verified = open.verified == Some((at.index, session)) && head >= at.index;
            if !verified {
                verified = verify(open)?;
            }
            let looks = open.reader.refreshes();
            let mut page = open.reader.read(at.index, PageLimits { through, ..limits })?;
            if let Some(end) = fenced_end.filter(|end| *end > head) {
                // A loss of power took what the fence had counted.
                let what = format_args!("the source was fenced at log index {end}: follow the node that took over");
                page.fault = page.fault.map(|fault| fault.context(what));
            }
            if open.reader.refreshes() != looks {
                // Another segment may have taken the place of what this replica holds.
                verified = verify(open)?;
            }
            if page.chunks.is_empty() && page.fault.is_none() {
                // Before a replica says that it follows. What the log cannot tell, its file can.
                if !verified && !self.holds(at, id) {
                    self.require_same_writer(at, id)?;
                }
                told_by_file(&self.env, &self.paths.db, &control)?;
                if at.index > head {
                    self.require_not_ahead(at, &control)?;
                }
            }
            let known = page.last().map(|last| last.header.log_index).or(verified.then_some(at.index));
            *self.compared.lock() = Some(control.identity());
            open.verified = known.map(|index| (index, session));
            page.fault = page.fault.map(|fault| self.why(open, fault));
            Ok(Pulled { page, head: head.max(fenced_end.unwrap_or_default()), seen })
        });
        if pulled.as_ref().map_or(true, |pulled| pulled.page.fault.is_some()) {
            // Its files may have been replaced: look at them anew.
            *self.open.lock() = None;
        }
        pulled
    }

    /// See [`Source::page_unattributed`](crate::replication::source::Source::page_unattributed).
    pub(super) fn pull_unattributed(&self, at: &At, limits: PageLimits) -> Result<Pulled> {
        self.with(|open| {
            let head = open.reader.control().published();
            let seen = Seen::of(open.reader.control())?;
            let through = limits.through.min(head);
            open.reader.refresh()?;
            if let Position::BelowFloor = open.reader.position(at.index)? {
                if let Some(damage) = open.reader.damage_at(LogIndex(at.index.0 + 1)) {
                    return Err(damage);
                }
                let what = format_args!("needs reseed: log index {} is below retained floor", at.index.0 + 1);
                return Err(Error::new(ErrorCode::NeedsReseed, what));
            }
            let mut page = open.reader.read(at.index, PageLimits { through, ..limits })?;
            page.fault = page.fault.map(|fault| self.why(open, fault));
            Ok(Pulled { page, head, seen })
        })
    }
}
