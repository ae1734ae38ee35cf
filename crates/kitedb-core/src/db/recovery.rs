//! Recovery: what the log holds beyond the file is folded, frame by frame, and the log goes on where it ends.

use super::{
    commit::new_names, engine::Engine, history::merge_history, options::ReplicationRole, places::LogPlaces,
    promote::lock_fence,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex, Mutations, WriterTag},
    io::OpenMode,
    log::{Control, FrameRef, Keep, LogIdentity, LogReader, Recovered, RecoveryStart, WriterId, ends_early, recover},
    shell::command,
    state::{CommitInfo, Overlay, Reading},
    store::{LogKind, LogLink, Part},
};
use std::{path::Path, sync::Arc};

impl Engine {
    /// Reads the log that the file names, if it names one, and goes on in it.
    pub(super) fn recover_for_writing(&self, places: &LogPlaces) -> Result<()> {
        // Recovery looks at the fence and sets it: meanwhile nobody else may move it.
        let _fence = self.sidecar.as_deref().map(lock_fence).transpose()?;
        let (link, damage) = (self.store.log_link(), self.opened.take_damage());
        match (link.kind, &self.sidecar) {
            // The log of a stand-alone file that becomes a primary: take what it holds into the file, and begin anew.
            (LogKind::Private, Some(_)) if link.open => {
                let dir = places.private_log(&self.path, &link)?;
                let control = Control::open(&*self.env.disk, dir, OpenMode::ReadWrite)?.map(Arc::new);
                let moved_fence = control.clone();
                let _fence = moved_fence.as_deref().map(lock_fence).transpose()?;
                self.recover_from(&link, dir, control)?;
                self.checkpoint()?;
                let mut commit = self.commit.lock();
                commit.appender = None;
                let clean_tail = Some((commit.last, commit.digest));
                self.store.mark_log(LogLink { clean_tail, part: Part::StandAlone, ..LogLink::default() })?;
                crate::log::remove(&self.env, dir, self.store.file_id(), Keep::Nothing)?;
            }
            (LogKind::Private, None) if link.open => {
                let dir = places.private_log(&self.path, &link)?;
                self.recover_from(&link, dir, None)?;
            }
            _ if damage.is_some() => damage.into_iter().for_each(|damage| self.go_on_damaged(damage, &[])),
            (LogKind::Sidecar, Some(control)) => match places.newer_log(&self.env, &self.path, &link)? {
                // Its source has what an older copy of its file lacks; if not, its own log may.
                Some(newer) if self.role() == ReplicationRole::Replica => {
                    self.opened.set_beyond(newer.held);
                    self.go_on_damaged(newer.damage, &[]);
                }
                Some(newer) => return Err(Error::new(ErrorCode::LogMismatch, newer.damage)),
                None if link.open => self.recover_from(&link, &self.log_dir, Some(control.clone()))?,
                None => {}
            },
            _ => {}
        }
        self.take_up_sidecar()
    }

    /// Folds the log in `dir` and goes on in it.
    fn recover_from(&self, link: &LogLink, dir: &Path, control: Option<Arc<Control>>) -> Result<()> {
        let recovered = match self.replay(link, dir, control, None, OpenMode::ReadWrite) {
            Ok(recovered) if recovered.damage.is_none() => recovered,
            // A replica always opens, as far as its log goes, so that it can be reseeded. What a newer build wrote is not lost.
            Ok(Recovered { damage: Some(damage), history, .. })
                if self.role() == ReplicationRole::Replica && damage.code() != ErrorCode::TooNew =>
            {
                self.go_on_damaged(self.with_mend(damage), &history);
                return Ok(());
            }
            Err(damage)
                if self.role() == ReplicationRole::Replica
                    && matches!(damage.code(), ErrorCode::Corrupt | ErrorCode::LogMismatch) =>
            {
                self.go_on_damaged(self.with_mend(damage), &[]);
                return Ok(());
            }
            Ok(recovered) => return Err(recovered.damage.map_or_else(super::commit::no_log, |e| self.with_mend(e))),
            Err(e) => return Err(self.with_mend(e)),
        };
        let boot = self.env.host.boot_id();
        let same_boot = boot.is_some_and(|boot| boot == link.boot_id);
        let control = recovered.control().clone();
        // After the end of a machine frames may be gone that someone has seen: their numbers must not come again
        // under the same epoch and writer. A replica has its frames from their one writer.
        let fence = control.fence()?;
        // What leads, and is opened as a replica all the same, is that writer.
        let replica = fence.follows || (self.role() == ReplicationRole::Replica && !self.is_foreign());
        let seen = control.published() > recovered.last;
        let certain = same_boot && !control.sync_failed() && !seen && recovered.is_whole();
        let lost = !certain && !replica && fence.moved_by.is_none();
        let epoch = recovered.epoch.max(fence.epoch);
        let new_epoch = if lost {
            Some((Epoch(epoch.0.max(1) + 1), self.env.host.random()))
        } else if fence.epoch > recovered.epoch && fence.moved_by.is_none() && !replica {
            // A promotion ended before it had begun its epoch: complete it.
            Some((fence.epoch, self.env.host.random()))
        } else {
            None
        };
        let mut commit = self.commit.lock();
        merge_history(&mut commit.history, &recovered.history, recovered.last, new_epoch);
        let (last, digest) = (recovered.last, recovered.digest);
        let appender = recovered.resume(&self.env, self.log_options(), new_epoch)?;
        if self.sidecar.is_none() && control.displaced(&**self.store.file())?.any() {
            // What it says of its log is about these files from now on.
            control.set_stamps(&**self.store.file())?;
        }
        if fence.moved_by.is_none() {
            // No other node has taken over. A replica may have led a later epoch once, which must not come again.
            let begun = if replica { self.epoch_led(&appender, &control)? } else { appender.epoch() };
            control.set_fence(begun.max(fence.epoch))?;
        }
        control.set_current_log(link.id)?;
        control.set_begun(link.id)?;
        // Also where nothing changes in it: a crash may have torn the header slot that did not count.
        self.store.mark_log(LogLink { kind: link.kind, ..self.open_link(appender.epoch(), link.id) })?;
        // Not before: an open that was cut short would go on in the epoch whose numbers are to come again.
        control.forget_failed_sync()?;
        commit.last = last;
        commit.digest = digest;
        commit.epoch = appender.epoch();
        commit.writer_id = commit.history.last().map_or(commit.writer_id, |h| h.writer_id);
        commit.appender = Some(appender);
        drop(commit);
        self.publish(None, last);
        Ok(())
    }

    /// The error of a log that cannot be read to its end, with the command that mends it for what this file is.
    pub(super) fn with_mend(&self, e: Error) -> Error {
        if !matches!(e.code(), ErrorCode::Corrupt | ErrorCode::LogMismatch) || e.names_a_command() {
            return e;
        }
        match self.store.log_link().part {
            Part::Follows(_) => {
                e.and(format_args!("copy its source anew with {}", command("replica reseed", &self.path, "")))
            }
            _ => e.and(format_args!("{} says what can be kept", command("repair", &self.path, "--dry-run"))),
        }
    }

    /// A reader of the log that the file names; `None` if it names none, or that is not there.
    pub(crate) fn read_log(&self) -> Result<Option<LogReader>> {
        if self.store.log_link().kind == LogKind::None {
            return Ok(None);
        }
        let dir = &self.log_dir;
        let control = match Control::open(&*self.env.disk, dir, OpenMode::Read)? {
            Some(control) if control.expect(self.store.file_id()).is_ok() => Arc::new(control),
            _ => return Ok(None),
        };
        LogReader::with_control(&self.env, dir, control).map(Some)
    }

    /// Folds every frame of the log beyond the file into the delta.
    pub(super) fn replay(
        &self,
        link: &LogLink,
        dir: &Path,
        control: Option<Arc<Control>>,
        limit: Option<LogIndex>,
        mode: OpenMode,
    ) -> Result<Recovered> {
        let mark = self.store.manifest().checkpoint;
        let start = RecoveryStart {
            log: LogIdentity { log_id: link.id, file_id: self.store.file_id() },
            index: mark.log_index,
            epoch: mark.epoch,
            digest: mark.digest,
            limit,
        };
        let mut recovered =
            recover(&self.env, dir, control, start, mode, &mut |frame, writer_id| self.fold(frame, writer_id))?;
        if let Some(claim) = recovered.short_of {
            let copied = recovered.control().displaced(&**self.store.file())?.log;
            recovered.damage = match copied {
                false if recovered.truncated => Some(ends_early(dir, recovered.last, claim)),
                false => Some(ends_early(dir, recovered.last, claim).context("CRC mismatch")),
                true if self.options.accept_copy => None,
                true => Some(copied_in_use(&self.path, recovered.last, claim)),
            };
        }
        if link.kind == LogKind::Sidecar && recovered.truncated {
            let damage = recovered.damage.take();
            recovered.damage = damage.map(|e| match e.code() {
                ErrorCode::Corrupt => e.context("truncated replication segment"),
                _ => e,
            });
        }
        Ok(recovered)
    }

    /// Applies one frame of a writer: the same steps as a commit, without validation and without an append. Upholds I20
    /// and I29: the digest is that which the frame says.
    pub(super) fn fold(&self, frame: &FrameRef<'_>, writer_id: &WriterId) -> Result<()> {
        let levels = self.publication.levels();
        let before = LogIndex(frame.header.log_index.0 - 1);
        let base = Reading::new(&levels, before, None);
        let mut overlay = Overlay::default();
        let context = |e: Error| {
            let what = format_args!("the frame with log index {} cannot be applied: {e}", frame.header.log_index);
            Error::corrupt(what).about_what(&e)
        };
        frame.header.require_known(self.env.host.known_level())?;
        for mutation in Mutations::new(frame.payload) {
            overlay.apply(&base, &mutation.map_err(context)?).map_err(context)?;
        }
        let mut digest = levels.active.info(before).digest + overlay.digest_change();
        digest += new_names(&levels.names, &overlay, before);
        if digest != frame.header.digest {
            let what = format_args!(
                "the state after log index {} has the digest {digest}; its frame says {}",
                frame.header.log_index, frame.header.digest
            );
            let error = Error::corrupt(what).with_token(frame.header.token().with_tag(WriterTag::of(writer_id)));
            return Err(error.with_expected(frame.header.digest).with_found(digest));
        }
        let info = CommitInfo {
            epoch: frame.header.epoch,
            writer: WriterTag::of(writer_id),
            commit_ms: frame.header.commit_ms,
            digest,
            totals: overlay.totals_after(levels.active.info(before).totals),
        };
        self.apply(&levels, &mut overlay, frame.header.log_index, info)
    }
}

/// Why a copy of a stand-alone database, or of a primary, is not written to that has less than its original had.
fn copied_in_use(path: &Path, last: LogIndex, claim: LogIndex) -> Error {
    Error::new(
        ErrorCode::FilesMoved,
        format_args!(
            "{} is a copy that was taken while its original was written to: it ends at log index {last}, its original had \
             {claim}; copy it again while nobody writes, or, if what it holds is enough, open it with accept_copy \
             (--accept-copy)",
            path.display()
        ),
    )
}
