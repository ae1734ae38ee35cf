//! Fencing a source on this machine: the fence is raised, the end of its log read, and the fence held until that end is said.

use super::{LocalSource, OpenLog, exchanged};
use crate::{
    db::{LockedFence, fence_by_header},
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    io::OpenMode,
    lock::Mutex,
    log::{Control, Fence, FrameRef, Moved, PageLimits, WriterId},
    replication::{
        node_file::peek_of,
        source::{Fenced, Fencing, find_log::recovered_end},
    },
    shell::command,
};
use std::{path::Path, sync::Arc};

impl LocalSource {
    /// See [`Source::fence`](crate::replication::source::Source::fence).
    pub(super) fn raise_fence(&self, owner: WriterId, held: LogIndex) -> Result<Box<dyn Fencing>> {
        *self.open.lock() = None;
        self.require_own_files()?;
        let control = self.control()?;
        let refuse_replica = |fence: &Fence| {
            if !fence.follows {
                return Ok(());
            }
            let what = "the source is itself a replica: fencing it would not stop its primary; follow the primary \
                        (--source-db, replica_repoint) and promote then";
            Err(Error::new(ErrorCode::SourceUnavailable, what))
        };
        refuse_replica(&control.fence()?)?;
        control.require_mapped()?;
        // What a living writer has published: after that it goes on, and may never pause.
        let end = if control.writer_lives()? {
            control.published()
        } else {
            recovered_end(&self.env, &self.paths.db, &control)?
        };
        self.with(|open| open.require_readable(held, end, self.env.host.known_level()))?;
        let lock = LockedFence::take(control)?;
        let now = lock.control().fence()?;
        refuse_replica(&now)?;
        self.require_compared(lock.control(), &now, owner)?;
        let said = peek_of(&self.env, &self.paths.db, lock.control().identity().file_id).ok().map(|file| file.log);
        let is_older = said.is_some_and(|said| fence_by_header(lock.control(), &now, &said, owner).is_some());
        let raised = match now.moved() {
            Some(Moved { by, .. }) if by == owner => now,
            // The control file was put back, and the source was not opened since.
            _ if is_older => return Err(was_repaired(&self.paths.db)),
            Some(_) if lock.control().fence_is_assumed() => return Err(was_repaired(&self.paths.db)),
            Some(Moved { ended: Some(_), epoch, .. }) => {
                return Err(Error::new(
                    ErrorCode::StalePrimary,
                    format_args!(
                        "stale primary: the source was fenced by another promotion, to epoch {epoch}; follow that \
                         primary (--source-db, replica_repoint)"
                    ),
                )
                .with_epoch(epoch)
                .with_path(&self.paths.db));
            }
            // Of a promotion that died before it had fixed the end: complete it as one's own.
            Some(_) => now.taken_over(owner),
            None => now.raised(owner),
        };
        let synced = lock.control().put_fence(&raised)?.is_durable();
        // A committer that appended before the fence moved is found by this reading; one that appends later sees the fence
        // before it publishes. Upholds I27.
        let last = match raised.end_before() {
            Some(last) => last,
            None => self.log_end()?,
        };
        *self.draining.lock() = Some(last);
        Ok(Box::new(LocalFencing { lock, raised, last, synced, draining: self.draining.clone() }))
    }

    /// Fails unless `control` is that of the log which the replica `owner` was compared with, or has fenced already, and is in its
    /// place still: the source's files may have been exchanged for others since. Between this and the store to that very file
    /// nothing leads to another one.
    fn require_compared(&self, control: &Control, now: &Fence, owner: WriterId) -> Result<()> {
        let is_own = now.moved_by == Some(owner);
        let is_it = is_own || *self.compared.lock() == Some(control.identity());
        if !is_it || !control.is_current(&*self.env.disk) {
            return Err(exchanged(&self.paths.db));
        }
        // Another file in the place of its own does not lead to it, unless it was known before that.
        let there = Control::open(&*self.env.disk, self.locate()?.dir(), OpenMode::Read)?;
        if there.map(|there| there.identity()) != Some(control.identity()) {
            return Err(exchanged(&self.paths.db));
        }
        self.require_own_files().map(drop)
    }

    /// The last frame of the source's log, whether or not a process writes it. Call it once the fence is moved: of a writer
    /// that may go on there is no last frame, and the search for it has no end.
    fn log_end(&self) -> Result<LogIndex> {
        let control = self.control()?;
        if control.writer_lives()? { self.with(last_frame) } else { recovered_end(&self.env, &self.paths.db, &control) }
    }
}

impl OpenLog {
    /// Fails unless the log has every frame after `held` up to `end`, and none that needs a feature level above `known`. Upholds I44.
    fn require_readable(&mut self, held: LogIndex, end: LogIndex, known: u16) -> Result<()> {
        let mut at = held;
        while at < end {
            let limits = PageLimits { max_frames: usize::MAX, max_bytes: 4 << 20, through: end };
            let page = self.reader.read(at, limits)?;
            let frames = page.chunks.iter().flat_map(|chunk| &chunk.frames);
            for place in frames {
                // Who cannot read what comes after it must not end the epoch before that.
                place.header.require_known(known).map_err(|e| e.context("nothing was fenced"))?;
            }
            if let Some(last) = page.last() {
                at = last.header.log_index;
            } else if let Some(fault) = page.fault.filter(|_| at < self.reader.control().published()) {
                return Err(fault.context("nothing was fenced"));
            } else if self.reader.control().fence()?.moved_by.is_some() {
                // Another promotion came first and made what comes next void: the fence says whose turn it is.
                return Ok(());
            } else {
                let what = format_args!(
                    "the source holds commits up to log index {end}, but its log has only those up to {at}: was it opened \
                     without a part in replication? Nothing was fenced; bootstrap this replica"
                );
                return Err(Error::new(ErrorCode::SourceUnavailable, what));
            }
        }
        Ok(())
    }
}

/// The last frame in a log that its writer has open, published or not.
fn last_frame(open: &mut OpenLog) -> Result<LogIndex> {
    let mut last = open.reader.control().published();
    open.reader.refresh()?;
    loop {
        let limits = PageLimits { max_frames: 4096, max_bytes: 4 << 20, through: LogIndex(u64::MAX) };
        let page = open.reader.read(last, limits)?;
        let mut valid = 0;
        for chunk in &page.chunks {
            let whole = |place: &&crate::log::FrameSpan| {
                FrameRef::parse(&chunk.bytes[place.at..place.at + place.len]).is_some()
            };
            let here = chunk.frames.iter().take_while(whole).count();
            valid += here;
            if here < chunk.frames.len() {
                break;
            }
        }
        last.0 += valid as u64;
        if valid == 0 || valid < page.frame_count() {
            return Ok(last);
        }
    }
}

/// See [`Fencing`].
#[derive(Debug)]
struct LocalFencing {
    lock: LockedFence,
    /// The fence as this promotion left it.
    raised: Fence,
    last: LogIndex,
    /// Whether it was durable then.
    synced: bool,
    draining: Arc<Mutex<Option<LogIndex>>>,
}

impl Fencing for LocalFencing {
    fn fenced(&self) -> Fenced {
        Fenced { ended: Epoch(self.raised.epoch.0.saturating_sub(1)), last: self.last, next: self.raised.epoch }
    }

    fn complete(&self) -> Result<bool> {
        let control = self.lock.control();
        let now = control.fence()?;
        if now != self.raised {
            let what = format_args!(
                "stale primary: the fence of the source was moved by somebody else, to epoch {}: this replica does not take \
                 over",
                now.epoch
            );
            return Err(Error::new(ErrorCode::StalePrimary, what).with_epoch(now.epoch));
        }
        let completed = self.raised.completed(self.last);
        let mut durable = control.put_fence(&completed)?.is_durable();
        if durable && !self.synced {
            // What was lost then comes back only if it is written once more.
            durable = control.put_fence(&completed)?.is_durable();
        }
        Ok(durable)
    }
}

impl Drop for LocalFencing {
    fn drop(&mut self) {
        *self.draining.lock() = None;
    }
}

/// Why nobody takes over from the source at `db`: its fence is assumed.
fn was_repaired(db: &Path) -> Error {
    Error::new(
        ErrorCode::SourceUnavailable,
        format_args!(
            "the control file of the source {shown} was repaired, or an older one was put back, and what it knew of other \
             nodes is lost, so that it does not lead, and nothing there tells whether another node took over from it. If one \
             did, follow that one (--source-db, replica_repoint); if none did, let the source lead again ({lead}) and promote \
             this replica then",
            shown = db.display(),
            lead = command("primary promote", db, "--force")
        ),
    )
}
