//! New epochs: a primary that promotes itself in place, and a replica that takes over.

use super::{
    commit::no_log,
    engine::{Commit, Engine},
    options::ReplicationRole,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex, Token},
    log::{Control, WriterId, segment_path},
};
use std::sync::atomic::{AtomicU64, Ordering};

impl Engine {
    /// Begins the next epoch on behalf of the handle that leads epoch `lease`; every other handle is fenced. The
    /// commit lock keeps commits in flight out: those appended before are part of the history, those after are
    /// refused. Returns the new epoch.
    pub(crate) fn promote_in_place(&self, lease: &AtomicU64) -> Result<Epoch> {
        self.check_usable()?;
        self.require_writable()?;
        let Some(control) = self.sidecar.clone() else { return Err(no_log()) };
        let mut commit = self.commit.lock();
        self.check_usable()?;
        let held = Epoch(lease.load(Ordering::Acquire));
        if held != commit.epoch {
            return Err(Error::new(
                ErrorCode::StalePrimary,
                format_args!(
                    "stale primary: this handle leads epoch {held}, another one promoted itself to epoch {} already; \
                     open the database again",
                    commit.epoch
                ),
            ));
        }
        let _fence = FenceLock::take(&control)?;
        let (current, epoch, last) = (control.fence(), commit.epoch, commit.last);
        let fenced_at_open = self.is_fenced();
        if !fenced_at_open && current != epoch && control.fence_owner() != [0; 16] {
            return Err(self.fenced_error());
        }
        // Everything that this node holds is part of the new epoch's past, so it must not be lost.
        self.sync_appended(&commit)?;
        let next = Epoch(current.max(epoch).0 + 1);
        if current == epoch {
            control.raise_fence(epoch, next, [0; 16])?;
            control.set_end(epoch, last)?;
        }
        if let Err(e) = self.begin_epoch(&mut commit, &control, next, self.env.host.random()) {
            if current == epoch {
                // Nothing was committed since: the old epoch goes on.
                control.clear_end();
                control.set_fence(epoch)?;
            }
            return Err(e);
        }
        lease.store(next.0, Ordering::Release);
        Ok(next)
    }

    /// Makes this replica the primary of epoch `epoch` on its own files, from its next frame on, as `writer_id`.
    /// Returns its last frame.
    pub(crate) fn promote_replica(&self, epoch: Epoch, writer_id: WriterId) -> Result<Token> {
        self.check_usable()?;
        self.require_writable()?;
        let Some(control) = self.sidecar.clone() else { return Err(no_log()) };
        let mut commit = self.commit.lock();
        self.check_usable()?;
        if self.damage.lock().is_some() {
            let what = "needs reseed: this replica's own log or state is damaged, so it cannot take over";
            return Err(Error::new(ErrorCode::NeedsReseed, what));
        }
        let _fence = FenceLock::take(&control)?;
        self.sync_appended(&commit)?;
        let kept = Token { epoch: self.epoch_of(&commit, commit.last), log_index: commit.last };
        self.begin_epoch(&mut commit, &control, epoch, writer_id)?;
        Ok(kept)
    }

    fn begin_epoch(&self, commit: &mut Commit, control: &Control, epoch: Epoch, writer_id: WriterId) -> Result<()> {
        let (replica, fence, owner) = (control.is_replica(), control.fence(), control.fence_owner());
        // Durable before the segment is: a node that has an epoch, and does not know that it leads, would be fenced. The
        // fence first: one that was no replica any more would lead the epoch that it followed.
        let leads = control.set_fence(epoch).and_then(|()| {
            control.set_replica(false);
            control.sync()
        });
        let begun = leads.and_then(|()| match &mut commit.appender {
            Some(appender) => appender.begin_epoch(epoch, writer_id),
            None => self.start_log(commit, epoch, writer_id),
        });
        if let Err(e) = begun {
            control.set_replica(replica);
            if let Err(e) = control.restore_fence(fence, owner) {
                tracing::warn!("the fence of an epoch that could not begin may be on the disk: {e}");
            }
            return Err(e);
        }
        // The segment is durable, and leads from now on: the fence lets its writer, and no other, commit.
        commit.note_epoch(epoch, writer_id);
        if let Err(e) = control.set_fence(epoch) {
            tracing::warn!("the fence of a new epoch may not be on the disk yet; the epoch's segment is: {e}");
        }
        self.set_role(ReplicationRole::Primary);
        self.epoch.store(epoch.0, Ordering::Release);
        self.fenced.store(false, Ordering::Release);
        self.signal.notify_all();
        Ok(())
    }

    fn sync_appended(&self, commit: &Commit) -> Result<()> {
        let Some(appender) = &commit.appender else { return Ok(()) };
        appender.require_sound()?;
        let control = appender.control();
        appender
            .group_sync()
            .sync_through(commit.last, &|durable| control.set_durable(durable))
            .inspect_err(|_| control.set_sync_failed(true))?;
        control.set_published(commit.last);
        self.publish(commit.last);
        Ok(())
    }

    fn epoch_of(&self, commit: &Commit, index: LogIndex) -> Epoch {
        commit.history.iter().rev().find(|h| h.first <= index).map_or(Epoch(0), |h| h.epoch)
    }
}

/// The lock under which a fence is moved, for as long as this lives.
pub(crate) struct FenceLock<'a>(&'a Control);

impl<'a> FenceLock<'a> {
    /// Waits a while for whoever moves the fence now.
    pub fn take(control: &'a Control) -> Result<Self> {
        for _ in 0..1000 {
            if control.lock_fence()? {
                return Ok(Self(control));
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let what = format_args!(
            "another promotion is under way on this log, or the process that opened the database last (process id {}) \
             is stopped while it opens it: try again, or end that process",
            control.writer_pid()
        );
        Err(Error::new(ErrorCode::Locked, what))
    }
}

impl Drop for FenceLock<'_> {
    fn drop(&mut self) {
        self.0.unlock_fence();
    }
}

impl Engine {
    /// Who wrote the frame with that index, as far as this node's history goes back. Takes the commit lock.
    pub(crate) fn writer_at(&self, index: LogIndex) -> Option<(Epoch, WriterId)> {
        let commit = self.commit.lock();
        commit.history.iter().rev().find(|h| h.first <= index).map(|h| (h.epoch, h.writer_id))
    }

    /// Whether a promotion that this node began under that id is not past: either no epoch of its came to this node's
    /// history yet, or nobody else's came after, and nobody took over from this node.
    pub(crate) fn may_go_on_as(&self, writer_id: WriterId) -> bool {
        let commit = self.commit.lock();
        let led = commit.history.iter().rposition(|h| h.writer_id == writer_id);
        let fenced = self.sidecar.as_ref().is_some_and(|control| control.fence_owner() != [0; 16]);
        led.is_none_or(|at| at + 1 == commit.history.len() && !fenced)
    }

    /// Where this node is in its history: epoch and writer of its last frame, its index, and the digest after it.
    pub(crate) fn position(&self) -> (Epoch, WriterId, LogIndex, Digest) {
        let commit = self.commit.lock();
        let led = commit.history.iter().rev().find(|h| h.first <= commit.last && commit.last.0 > 0);
        let (epoch, writer_id) = led.map_or((Epoch(0), [0; 16]), |h| (h.epoch, h.writer_id));
        (epoch, writer_id, commit.last, commit.digest)
    }

    /// Appends tried and failed since the open.
    pub(crate) fn appends(&self) -> (u64, u64) {
        let failures = self.counters.append_failures.load(Ordering::Relaxed);
        (self.counters.append_attempts.load(Ordering::Relaxed).max(failures), failures)
    }

    /// Whether commits wait for a promotion.
    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Acquire)
    }

    /// The last frame that is in the file.
    pub(crate) fn checkpoint_index(&self) -> LogIndex {
        self.store.manifest().checkpoint.log_index
    }

    /// Checkpoints made since the open.
    pub(crate) fn checkpoints(&self) -> u64 {
        self.counters.checkpoints.load(Ordering::Relaxed)
    }

    /// Removes segments whose frames are all in the file. The one that is written stays. Returns how many went.
    pub(crate) fn remove_segments(&self, seqs: &[u64]) -> Result<usize> {
        let folded = self.checkpoint_index();
        if let Some(appender) = &mut self.commit.lock().appender {
            appender.forget(seqs, folded)?;
        }
        for (done, seq) in seqs.iter().enumerate() {
            let path = segment_path(&self.log_dir, *seq);
            match self.env.disk.remove(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("remove log segment", &path, e).context(format_args!("{done} were removed")));
                }
                _ => {}
            }
        }
        Ok(seqs.len())
    }
}
