//! The log of an engine: begun with the first commit, gone on in where one is there, and ended by a clean close.

use super::{
    engine::{Commit, Engine},
    options::ReplicationRole,
    place::anchored,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    io::{OpenMode, no_folder},
    log::{
        Appender, Control, Keep, LogIdentity, LogOptions, Recovered, RecoveryStart, WriterId, does_not_go_on,
        ends_early, has_segments, out_of_place, recover,
    },
    shell::command,
    store::{LogKind, LogLink, Part},
    watch::Watch,
};
use std::sync::Arc;

impl Engine {
    /// Makes the log, or goes on in the one that the sidecar has, with the first commit since the file was clean.
    /// Upholds I26.
    pub(super) fn start_log(&self, commit: &mut Commit, epoch: Epoch, writer_id: WriterId) -> Result<()> {
        // Before anything is made beside a file that is not there.
        self.store.require_in_place()?;
        let disk = &*self.env.disk;
        let mut env = self.env.clone();
        let options = self.log_options();
        let link = self.store.log_link();
        let appender = match self.continued_log(commit, &link)? {
            Some(mut appender) => {
                if (appender.epoch(), appender.writer_id()) != (epoch, writer_id) {
                    appender.begin_epoch(epoch, writer_id)?;
                }
                appender
            }
            None => {
                self.clear_stale_log(commit.last)?;
                let io = |e| Error::io("create log folder", &self.log_dir, e);
                // A sidecar's control file outlives its logs, but no log has the id of one before it.
                let log = LogIdentity { log_id: self.env.host.random(), file_id: self.store.file_id() };
                let control = match &self.sidecar {
                    Some(control) => control.clone(),
                    None => {
                        disk.create_dir(&self.log_dir).map_err(|e| io(no_folder(&self.log_dir, e)))?;
                        // The log goes on in this very folder, whatever takes its name.
                        env = anchored(&env, &self.log_dir, self.access()?).map_err(io)?;
                        let control = Control::create(&*env.disk, &self.log_dir, log, self.env.host.random(), epoch)?;
                        control.set_stamps(&**self.store.file())?;
                        Arc::new(control)
                    }
                };
                // What it says of a log before this one must not pass for this one's.
                control.lower_durable(commit.last)?;
                let start = (epoch, writer_id, commit.last, commit.digest);
                let made = Appender::begin_segment(&env, &self.log_dir, options, log, control, Vec::new(), start)?;
                made.control().set_current_log(log.log_id)?;
                if self.sidecar.is_some() {
                    // Who takes over from this node after a loss of power must find what was acknowledged.
                    made.control().sync()?;
                }
                if let Some(parent) = self.log_dir.parent() {
                    disk.sync_dir(parent).map_err(io)?;
                }
                made
            }
        };
        // From here on a segment that is not there is missed.
        appender.control().set_begun(appender.identity().log_id)?;
        self.store.mark_log(self.open_link(epoch, appender.identity().log_id))?;
        commit.note_epoch(epoch, writer_id);
        commit.frozen_at_bytes = 0;
        self.witnessed_by(appender.control().clone());
        commit.appender = Some(appender);
        self.opened.note_something();
        Ok(())
    }

    /// Makes the log of a database of its own that is opened as a primary: it is one from then on, and its replicas find all
    /// that it holds.
    pub(super) fn become_primary(&self) -> Result<()> {
        let new = self.role() == ReplicationRole::Primary && self.store.log_link().kind != LogKind::Sidecar;
        if !new || self.published() == LogIndex(0) || self.is_fenced() {
            return Ok(());
        }
        let mut commit = self.commit.lock();
        let (epoch, writer_id) = (commit.epoch, commit.writer_id);
        self.start_log(&mut commit, epoch, writer_id)
    }

    /// The log in the sidecar, if it ends where this file does.
    fn continued_log(&self, commit: &Commit, link: &LogLink) -> Result<Option<Appender>> {
        if self.sidecar.is_none() || link.kind != LogKind::Sidecar {
            return Ok(None);
        }
        let start = RecoveryStart {
            log: LogIdentity { log_id: link.id, file_id: self.store.file_id() },
            index: commit.last,
            epoch: commit.epoch,
            digest: commit.digest,
            limit: None,
        };
        let mut beyond = false;
        let recovered =
            recover(&self.env, &self.log_dir, self.sidecar.clone(), start, OpenMode::ReadWrite, &mut |_, _| {
                beyond = true;
                Ok(())
            });
        match recovered {
            Ok(Recovered { last, short_of: Some(claim), .. }) if claim > commit.last => {
                Err(ends_early(&self.log_dir, last, claim))
            }
            // What a newer build wrote is not garbage.
            Ok(Recovered { damage: Some(e), .. }) if e.code() == ErrorCode::TooNew => Err(e),
            Ok(recovered) if !beyond && recovered.ends_at(commit.last) => {
                let appender = recovered.resume(&self.env, self.log_options(), None)?;
                // Whatever the sync was of that failed, the file holds it.
                appender.control().forget_failed_sync()?;
                Ok(Some(appender))
            }
            Ok(recovered) if beyond => Err(Error::new(
                ErrorCode::LogMismatch,
                format_args!(
                    "{} holds commits after log index {} that {} does not have: open the database again",
                    self.log_dir.display(),
                    commit.last,
                    self.path.display()
                ),
            )
            .context(format_args!("the log ends at {}", recovered.last))),
            // It ends before the file does, is damaged there, or is gone. What it held is in the file; but it is what replicas
            // may need, and what took its segments may give them back.
            Ok(_) => self.without_segments(start.log, commit.last),
            Err(e) if matches!(e.code(), ErrorCode::LogMismatch | ErrorCode::Corrupt) => {
                self.without_segments(start.log, commit.last)
            }
            Err(e) => Err(e),
        }
    }

    /// `None`: the log that the file names never had a segment, so that the next one begins as if it were that. Else it is
    /// missed, and goes only if somebody says so (a repair, a reseed).
    fn without_segments(&self, log: LogIdentity, last: LogIndex) -> Result<Option<Appender>> {
        let Some(control) = &self.sidecar else { return Ok(None) };
        // Where nothing was ever committed, nobody needs anything of it.
        if last == LogIndex(0) || !has_segments(&self.env, &self.log_dir, Some(control), log)? {
            return Ok(None);
        }
        let missed = does_not_go_on(&self.log_dir, last);
        let give_up = command("repair", &self.path, "--dry-run");
        if self.role() != ReplicationRole::Replica {
            return Err(missed.and(format_args!("{give_up} says how")));
        }
        let reseed = command("replica reseed", &self.path, "");
        let missed = missed.and(format_args!("{give_up} says how, or copy its source anew with {reseed}"));
        Err(Error::new(ErrorCode::NeedsReseed, format_args!("needs reseed: {missed}")))
    }

    pub(super) fn log_options(&self) -> LogOptions {
        LogOptions { segment_max_bytes: self.options.segment_limit(self.role()) }
    }

    /// Removes what an earlier log left behind, unless it holds commits that this file does not. Upholds I13.
    fn clear_stale_log(&self, last: LogIndex) -> Result<()> {
        if !self.env.disk.is_dir(&self.log_dir) {
            return Ok(());
        }
        let log_id = (self.sidecar.is_some()).then(|| self.store.log_link().id);
        let log = LogIdentity { log_id: log_id.unwrap_or_default(), file_id: self.store.file_id() };
        if let Some(what) = out_of_place(&self.env, &self.log_dir, log)? {
            return Err(what);
        }
        if crate::log::reaches_beyond(&self.env, &self.log_dir, self.store.file_id(), log_id, last)? {
            return Err(Error::new(
                ErrorCode::LogMismatch,
                format_args!(
                    "{} holds commits after log index {last} that {} does not have and does not name: an older copy of the \
                     file may be in its place. {}",
                    self.log_dir.display(),
                    self.path.display(),
                    match self.sidecar.is_some() {
                        true =>
                            format!("Let it take from its log what it lacks ({})", command("repair", &self.path, "")),
                        false =>
                            "Put the newer file back; to go on without those commits, move that log away".to_owned(),
                    }
                ),
            ));
        }
        // A close or a first commit that failed may have left a header on the disk that names this log: what is
        // not named must be durable before it goes.
        self.store.change_log(|link| link)?;
        if let Some(control) = &self.sidecar {
            // Should nothing be made in its place, its segments are not missed.
            control.set_not_begun(control.current_log().log_id)?;
        }
        self.remove_log()
    }

    pub(super) fn remove_log(&self) -> Result<()> {
        let keep = if self.sidecar.is_some() { Keep::Control } else { Keep::Nothing };
        if keep == Keep::Nothing {
            // A removed file that is open lingers in its folder (FUSE, NFS).
            self.store.set_no_witness();
        }
        crate::log::remove(&self.env, &self.log_dir, self.store.file_id(), keep)
    }

    /// Fails if the file is not what this process has open any more. What its log holds is all that is left of what was committed
    /// since the last checkpoint then, and stays. Upholds I45.
    pub(crate) fn require_in_place(&self) -> Result<()> {
        self.store.require_in_place().map_err(|gone| {
            let go_on = "to go on without what is in it, move it away";
            gone.and(format_args!("its log, {}, is left as it is: {go_on}", self.log_dir.display()))
        })
    }

    /// Ends the log with everything in the file: after that the database is one file.
    pub(super) fn close_log(&self) -> Result<()> {
        let commit = self.commit.lock();
        if self.opened.is_damaged() {
            // A replica that needs a reseed: its log is kept as evidence until then.
            return Ok(());
        }
        let Some(appender) = &commit.appender else {
            if self.sidecar.is_none() {
                // A close that was cut short may have left its log behind. If it does not go, no harm is done.
                let _ = self.clear_stale_log(commit.last);
            }
            // A handle that wrote nothing more does not end as if all were well.
            return self.require_no_panic();
        };
        let poisoned = appender.group_sync().has_failed();
        drop(commit);
        if let Some(panicked) = self.panicked() {
            // What was acknowledged outlives the machine, too, if that can be had: recovery needs nothing else.
            let synced = if poisoned { Ok(()) } else { self.sync() };
            let kept = panicked.clone().context("the log is kept for recovery");
            return Err(synced.map_or_else(|e| kept.clone().context(e), |()| kept.clone()));
        }
        if poisoned {
            let what = "the log failed earlier: it is kept for recovery, open the database again";
            return Err(Error::new(ErrorCode::Poisoned, what));
        }
        if let Err(gone) = self.require_in_place() {
            // What is left of it outlives the machine, too, if that can be had.
            return Err(self.sync().map_or_else(|e| gone.clone().context(e), |()| gone.clone()));
        }
        match self.checkpoint() {
            // What a fence made void stays in the log: the next open cuts it off.
            Err(e) if matches!(e.code(), ErrorCode::StalePrimary | ErrorCode::OutcomeUnknown) => return Ok(()),
            result => result?,
        }
        // The threads that merge have ended. Who opens, commits a little and closes, again and again, must not
        // pile up runs; the data are safe whether or not it succeeds.
        if self.options.auto_compaction
            && self.store.runs().len() > self.options.max_runs
            && let Err(e) = self.compact_once(&Watch::nobody())
        {
            tracing::warn!(path = %self.path.display(), "merging runs before a close failed: {e}");
        }
        let mut commit = self.commit.lock();
        let Some(appender) = commit.appender.take() else { return Ok(()) };
        let clean_tail = Some((commit.last, commit.digest));
        if self.sidecar.is_some() {
            if let Err(e) = appender.end_here() {
                // The file stays one that was not closed: its next open reads the log to the end, whatever that is.
                tracing::warn!(path = %self.path.display(), "the end of the log is left to recovery: {e}");
                return Ok(());
            }
            appender.control().end_session()?;
            appender.control().sync()?;
            let open = self.open_link(commit.epoch, appender.identity().log_id);
            return self.store.mark_log(LogLink { open: false, boot_id: [0; 16], clean_tail, ..open });
        }
        let ours = appender.control().is_current(&*self.env.disk);
        drop(appender);
        let link = LogLink { clean_tail, part: Part::StandAlone, ..LogLink::default() };
        // An epoch that began because numbers come again, and in which nothing was committed: nothing else names it then.
        let begun = commit.history.last().filter(|led| led.first > commit.last);
        match begun.is_some_and(|begun| !self.store.manifest().history.contains(begun)) {
            true => self.store.renew(self.store.file_id(), commit.history.clone(), link)?,
            false => self.store.mark_log(link)?,
        }
        // What took the place of the log since is not ours.
        if ours { self.remove_log() } else { Ok(()) }
    }
}
