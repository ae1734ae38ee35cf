//! New epochs: a primary that promotes itself in place, and a replica that takes over.

use super::{
    commit::no_log,
    engine::{Commit, Engine, Work},
    history::writer_of,
    lease::Lease,
    options::ReplicationRole,
    published_log::PublishedLog,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex, Token},
    io::{FileLock, begin_draft},
    log::{Appender, Control, EpochEnd, Moved, Stored, WriterId, remove_oldest},
    shell::command,
    store::{HistoryEntry, Store},
};
use std::{io::ErrorKind, path::Path, sync::Arc};

/// What a promotion writes to see that there is room for it, in the sidecar.
pub(super) const PROBE: &str = "promotion.probe";
/// As much as a new segment takes at first, and the frames that a replica may lag behind when it fences its source.
const PROBE_BYTES: u64 = 1 << 20;

impl Engine {
    /// Begins the next epoch on behalf of the handle that leads epoch `lease`; every other handle is fenced. The
    /// commit lock keeps commits in flight out: those appended before are part of the history, those after are
    /// refused. The epoch is later than `known`, too, which other nodes know of. Returns the new epoch. Upholds I27 and I42.
    pub(crate) fn promote_in_place(&self, lease: &Lease, known: Epoch) -> Result<Epoch> {
        self.check_usable()?;
        self.require_writable()?;
        let Some(control) = self.sidecar.clone() else { return Err(no_log()) };
        let mut commit = self.commit.lock();
        self.check_usable()?;
        self.require_no_panic()?;
        let held = lease.epoch();
        if held != commit.epoch {
            return Err(Error::new(
                ErrorCode::StalePrimary,
                format_args!(
                    "stale primary: this handle leads epoch {held}, another one promoted itself to epoch {} already; \
                     open the database again",
                    commit.epoch
                ),
            )
            .with_epoch(commit.epoch));
        }
        let _fence = lock_fence(&control)?;
        let (before, assumed) = (control.settle_fence()?, control.fence_is_assumed());
        if !self.is_fenced() && before.moved_by.is_some() && !before.is_ending() {
            return Err(self.fenced_error());
        }
        // Everything that this node holds is part of the new epoch's past, so it must not be lost.
        self.sync_appended(&commit)?;
        let last = commit.last;
        let ended = if before.is_ending() {
            // A promotion died before it had said where the epoch ends. This node takes the lead back, with all it has.
            Some(EpochEnd { epoch: Epoch(before.epoch.0.saturating_sub(1)), last })
        } else if before.epoch == commit.epoch {
            Some(EpochEnd { epoch: commit.epoch, last })
        } else {
            before.ended
        };
        // As a replica it may have seen a later one at its source, of which it has no frame.
        let known = before.epoch.max(commit.epoch).max(control.seen_epoch().epoch).max(known);
        let (next, writer_id) = (Epoch(known.0 + 1), self.env.host.random());
        // Durable before the segment is: a node that has an epoch, and does not know that it leads, would be fenced.
        let begun = control.put_fence(&before.begun(next, ended)).and_then(Stored::durable).and_then(|()| {
            match &mut commit.appender {
                Some(appender) => appender.begin_epoch(next, writer_id),
                None => self.start_log(&mut commit, next, writer_id),
            }
        });
        if let Err(e) = begun {
            // Nothing was committed since: what was so goes on, if it is so again, also after a loss of power.
            let restored = match assumed {
                true => control.put_assumed_fence(&before),
                false => control.put_fence(&before).and_then(Stored::durable),
            };
            let restored = restored.and_then(|()| self.restore_header());
            if restored.is_err() || control.fence().ok() != Some(before) {
                self.refuse_writes(Error::new(
                    ErrorCode::Poisoned,
                    format_args!(
                        "epoch {next} could not begin ({e}), and what was stored for it could not be taken back: \
                         what is committed in epoch {} from now on might not count. Nothing more is written: open the \
                         database again",
                        commit.epoch
                    ),
                ));
            }
            return Err(e);
        }
        // The segment is durable, and leads from now on: the fence lets its writer, and no other, commit.
        self.lead(&mut commit, next, writer_id);
        lease.lead(next);
        drop(commit);
        self.note_in_header();
        Ok(next)
    }

    /// Makes the header say again what this node takes it to say. A slot whose sync failed may say that the next epoch is led
    /// already: beside the fence of before that, it would pass for a header that knows better.
    fn restore_header(&self) -> Result<()> {
        let known = self.store.log_link();
        if Store::peek(&self.env, &self.path)?.log == known { Ok(()) } else { self.store.change_log(|link| link) }
    }

    /// As [`require_not_taken_over`], by its own log, of one that was copied or restored.
    pub(crate) fn require_not_taken_over(&self, told: bool) -> Result<()> {
        match &self.sidecar {
            Some(control) if !told && control.fence_is_assumed() && control.fence()?.moved().is_some() => {
                // What promotes in place refuses a copy.
                let lead = command("role", &self.path, "primary --moved --force");
                Err(self.fence_is_assumed(&lead, "replication_overwrite"))
            }
            Some(control) => require_not_taken_over(control, &self.path, told),
            None => Ok(()),
        }
    }

    /// Makes this replica the primary of epoch `epoch` on its own files, from its next frame on, as `writer_id`.
    /// Returns its last frame. All that it holds, and the epoch's segment, are durable here before `confirm` is called,
    /// which says at the source where the epoch before ended; nothing is committed in the new epoch before that. If it
    /// fails, this node is a replica still, with an epoch begun in its log that nobody committed to: another promotion
    /// of the same id goes on in it, and frames of another epoch begin a segment after it. Upholds I37.
    pub(crate) fn promote_replica(
        &self,
        epoch: Epoch,
        writer_id: WriterId,
        confirm: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Token> {
        self.check_usable()?;
        self.require_writable()?;
        let Some(control) = self.sidecar.clone() else { return Err(no_log()) };
        let mut commit = self.commit.lock();
        self.check_usable()?;
        self.require_no_panic()?;
        if self.opened.is_damaged() {
            let what = "needs reseed: this replica's own log or state is damaged, so it cannot take over";
            return Err(Error::new(ErrorCode::NeedsReseed, what));
        }
        let _fence = lock_fence(&control)?;
        let before = control.settle_fence()?;
        self.sync_appended(&commit)?;
        let kept = self.epoch_of(&commit, commit.last);
        let kept = Token::new(kept, commit.last).with_tag(writer_of(&commit.history, kept, commit.last));
        let (was, known) = ((commit.epoch, commit.writer_id), commit.history.len());
        let begun = match &mut commit.appender {
            Some(appender) if appender.epoch() == epoch && appender.is_unused_by(writer_id) => Ok(()),
            Some(appender) => appender.begin_epoch(epoch, writer_id),
            None => self.start_log(&mut commit, epoch, writer_id),
        };
        if let Err(e) = begun.and_then(|()| confirm()) {
            (commit.epoch, commit.writer_id) = was;
            commit.history.truncate(known);
            return Err(e);
        }
        // From here on nobody else leads. Should a crash take this away, the promotion can be called again.
        let durable = control.put_fence(&before.begun(epoch, before.ended))?.is_durable();
        if durable {
            // Done: as a replica of whoever takes over from it, this node has no promotion to go on with.
            let past = control.set_promotion([0; 16]);
            if let Err(e) = past {
                tracing::warn!(
                    "a promotion that is done was not noted as past: {e}; nothing goes on with it but by name"
                );
            }
        } else {
            tracing::warn!("after a loss of power this node may be a replica again: promote it again then");
        }
        self.lead(&mut commit, epoch, writer_id);
        drop(commit);
        if durable {
            self.note_in_header();
        }
        Ok(kept)
    }

    /// Says in the header who leads now. If it fails the next open does: only who loses the control file before that misses
    /// it.
    fn note_in_header(&self) {
        if let Err(e) = self.say_in_header() {
            tracing::warn!(path = %self.path.display(), "that this node leads was not noted in its file yet: {e}");
        }
    }

    fn lead(&self, commit: &mut Commit, epoch: Epoch, writer_id: WriterId) {
        commit.note_epoch(epoch, writer_id);
        self.replication.lead(epoch);
        self.signal().notify_all();
    }

    /// The epoch that this node knows to lead: of a replica, not one that a promotion began here and never led.
    pub(super) fn known_epoch(&self, commit: &Commit, control: &Control) -> Result<Epoch> {
        let begun = commit.history.last().filter(|h| self.role() == ReplicationRole::Replica && h.first > commit.last);
        Ok(match begun {
            Some(begun) if begun.writer_id == control.promotion() && begun.epoch > control.fence()?.epoch => {
                self.epoch_of(commit, commit.last)
            }
            _ => commit.epoch,
        })
    }

    /// The latest epoch that was led, as a replica's log tells: not one that a promotion began here and never led. The
    /// fence of a replica that did lead it says so.
    pub(super) fn epoch_led(&self, appender: &Appender, control: &Control) -> Result<Epoch> {
        let known = control.fence()?.epoch;
        let begun = appender.is_unused_by(control.promotion()) && appender.epoch() > known;
        Ok(if begun { known } else { appender.epoch() })
    }

    /// Whether this replica began an epoch under that id without ever leading it, and followed nobody since.
    pub(crate) fn has_begun_as(&self, writer_id: WriterId) -> Result<bool> {
        let Some(control) = &self.sidecar else { return Ok(false) };
        let known = control.fence()?.epoch;
        let commit = self.commit.lock();
        Ok(match &commit.appender {
            Some(appender) => appender.is_unused_by(writer_id) && appender.epoch() > known,
            None => commit
                .history
                .last()
                .is_some_and(|h| h.writer_id == writer_id && h.first > commit.last && h.epoch > known),
        })
    }

    /// Fails unless the disk has room for the segment of another epoch, and what a promotion takes besides: before
    /// anything is fenced for it.
    pub(crate) fn require_room_for_epoch(&self) -> Result<()> {
        let disk = &*self.env.disk;
        let path = self.log_dir.join(PROBE);
        let bytes = self.options.segment_limit(self.role()).min(PROBE_BYTES);
        let write = || {
            let file = begin_draft(disk, &path, |_| false)?;
            let piece = vec![0; bytes.min(64 << 10) as usize];
            for at in (0..bytes).step_by(piece.len().max(1)) {
                file.write_at(&piece, at)?;
            }
            file.sync_data()
        };
        let written = write();
        let removed = match &written {
            // Not the one that was made here.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            _ => disk.remove(&path).or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) }),
        };
        written.and(removed).map_err(|e| {
            Error::own_file("make room for another epoch in", &self.log_dir, e).context("nothing was fenced")
        })
    }

    fn sync_appended(&self, commit: &Commit) -> Result<()> {
        let Some(appender) = &commit.appender else { return Ok(()) };
        appender.require_sound()?;
        let log = PublishedLog::of(appender);
        self.sync_unseen(log, commit.last)?;
        self.publish(Some(log), commit.last);
        Ok(())
    }

    fn epoch_of(&self, commit: &Commit, index: LogIndex) -> Epoch {
        commit.history.iter().rev().find(|h| h.first <= index).map_or(Epoch(0), |h| h.epoch)
    }
}

/// Takes the lock under which the fence is moved; waits a while for whoever moves it now.
pub(super) fn lock_fence(control: &Control) -> Result<FileLock> {
    for _ in 0..1000 {
        if let Some(lock) = control.lock_fence()? {
            return Ok(lock);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // Of who holds this lock nothing tells the process; and the one that is named may have ended long since.
    let what = "another promotion is under way on this log, or its process is stopped amid it: try again once that has come to its end, \
                or end that process";
    if !control.writer_lives()? {
        return Err(Error::new(ErrorCode::Locked, what).with_path(control.dir()));
    }
    let pid = control.writer_pid();
    let what =
        format_args!("{what}; or the process that opens the database (process id {pid}) is stopped while it does so");
    Err(Error::new(ErrorCode::Locked, what).with_path(control.dir()).with_pid(pid))
}

/// The lock under which a fence is moved, with the control file that it is in.
#[derive(Debug)]
pub(crate) struct LockedFence {
    control: Arc<Control>,
    _lock: FileLock,
}

impl LockedFence {
    /// Waits a while for whoever moves the fence now.
    pub fn take(control: Arc<Control>) -> Result<Self> {
        Ok(Self { _lock: lock_fence(&control)?, control })
    }

    /// The control file.
    pub fn control(&self) -> &Control {
        &self.control
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
        let fence = self.sidecar.as_ref().map(|control| control.fence());
        let fenced = fence.is_some_and(|fence| fence.map_or(true, |fence| fence.moved_by.is_some()));
        led.is_none_or(|at| at + 1 == commit.history.len() && !fenced)
    }

    /// The history that it holds: who led, and wrote, from which frame on. Takes the commit lock.
    pub(crate) fn history(&self) -> Vec<HistoryEntry> {
        self.commit.lock().history.clone()
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
        let Work { append_attempts, append_failures, .. } = self.measures.work();
        (append_attempts.max(append_failures), append_failures)
    }

    /// Whether the fence of its log says that another node took over from this one, or began to.
    pub(crate) fn was_taken_over(&self) -> Result<bool> {
        let Some(control) = &self.sidecar else { return Ok(false) };
        Ok(control.fence()?.moved_by.is_some())
    }

    /// Whether commits wait for a promotion.
    pub(crate) fn is_fenced(&self) -> bool {
        self.replication.is_fenced()
    }

    /// The last frame that is in the file.
    pub(crate) fn checkpoint_index(&self) -> LogIndex {
        self.store.manifest().checkpoint.log_index
    }

    /// Checkpoints made since the open.
    pub(crate) fn checkpoints(&self) -> u64 {
        self.measures.work().checkpoints
    }

    /// The number of the segment that is written, if one is.
    pub(crate) fn written_segment(&self) -> Option<u64> {
        self.commit.lock().appender.as_ref().map(Appender::seq)
    }

    /// Removes segments whose frames are all in the file, oldest first, without the commit lock. The one that is written
    /// stays. Returns how many went; one that does not go is asked to go again with the next checkpoint, or by retention.
    /// Upholds I11 and I31.
    pub(crate) fn remove_segments(&self, seqs: &[u64]) -> Result<usize> {
        let folded = self.checkpoint_index();
        let env = match &self.commit.lock().appender {
            Some(appender) => appender.require_folded(seqs, folded).map(|()| appender.env().clone())?,
            None => self.env.clone(),
        };
        let (done, removed) = remove_oldest(&*env.disk, &self.log_dir, seqs);
        self.forget_segments(&seqs[..done]);
        removed.map(|()| done)
    }

    fn forget_segments(&self, gone: &[u64]) {
        if let Some(appender) = &mut self.commit.lock().appender {
            appender.forget(gone);
        }
    }
}

/// Fails if another node has taken over from the primary at `path`, for good as far as the log of `control` tells: where both
/// lead, there are two histories. `told`: that is what is wanted.
pub(super) fn require_not_taken_over(control: &Control, path: &Path, told: bool) -> Result<()> {
    match control.fence()?.moved() {
        Some(Moved { epoch, ended: Some(last), .. }) if !told => Err(Error::new(
            ErrorCode::StalePrimary,
            format_args!(
                "stale primary: another node took over from {} with epoch {epoch}, after log index {last}: if this one \
                 leads again, there are two histories. Follow the new primary; only if that one is gone for good, force it \
                 ({}, replication_overwrite), and what was committed there is lost",
                path.display(),
                command("role", path, "primary --moved --force")
            ),
        )
        .with_epoch(epoch)
        .with_path(path)),
        _ => Ok(()),
    }
}
