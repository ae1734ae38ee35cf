//! The commit pipeline.

use super::{
    engine::{Commit, Engine},
    options::SyncMode,
    transaction::Transaction,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex, Token},
    log::{Appender, Control, GroupSync, LogIdentity, LogOptions, remove},
    state::{CommitInfo, Levels, Overlay},
    store::{HistoryEntry, LogKind},
};
use parking_lot::MutexGuard;
use std::sync::{Arc, atomic::Ordering};

/// While a checkpoint runs, committers may go on until the log since the last freeze is this many times as long
/// as what begins a checkpoint; then they wait for it.
const BACKLOG: u64 = 3;

/// A checkpoint begins, too, when the delta takes this many times as much memory as the log that begins one.
const MEMORY: u64 = 4;

impl Engine {
    /// Commits a transaction: validate, append, apply, publish; in [`SyncMode::Full`], sync before publishing.
    pub(super) fn commit(&self, tx: Transaction) -> Result<Token> {
        let Transaction { levels, snapshot, overlay, mut buffer, .. } = tx;
        self.check_usable()?;
        if overlay.is_empty() && overlay.names.is_empty() {
            let info = levels.info(snapshot);
            return Ok(Token { epoch: info.epoch, log_index: snapshot });
        }
        let change = overlay.digest_change();
        let mut commit = self.commit.lock();
        self.wait_for_room(&mut commit);
        // Under the lock, which is not given up from here on: the log ends only after this.
        self.check_usable()?;
        if let Some(appender) = &commit.appender {
            // First: a conflict with a commit whose outcome is unknown would tell the caller to try again.
            appender.require_sound()?;
        }
        self.validate(&commit, &overlay, &levels, snapshot)?;
        // Dropped before the changes are applied, so that a superseded state goes as soon as it can.
        drop(levels);
        if commit.appender.is_none() {
            self.start_log(&mut commit)?;
        }
        let digest = commit.digest + change + self.new_names(&overlay, commit.last);
        let header = {
            let Commit { appender: Some(appender), .. } = &mut *commit else { return Err(no_log()) };
            check_fence(appender.control(), appender.epoch())?;
            let appended = appender.append(&mut buffer, self.env.host.now_ms(), digest);
            appended.inspect_err(|_| {
                self.counters.append_failures.fetch_add(1, Ordering::Relaxed);
            })?
        };
        let token = header.token();
        let current = self.levels.load();
        let info = CommitInfo {
            epoch: header.epoch,
            commit_ms: header.commit_ms,
            digest,
            totals: overlay.totals_after(current.active.info(commit.last).totals),
        };
        self.apply(&current, overlay, header.log_index, info)?;
        drop(current);
        commit.last = header.log_index;
        commit.digest = digest;
        self.finish(commit, token)
    }

    /// Publishes an applied commit, and waits for its sync where the mode asks for that.
    fn finish(&self, commit: MutexGuard<'_, Commit>, token: Token) -> Result<Token> {
        let Some(appender) = &commit.appender else { return Err(no_log()) };
        let due = self.checkpoint_is_due(appender, &commit);
        if self.options.sync_mode == SyncMode::Full {
            let sync = appender.group_sync().clone();
            let control = appender.control().clone();
            drop(commit);
            self.sync_and_publish(&sync, &control, token.log_index)?;
            check_fence(&control, token.epoch)?;
        } else {
            self.publish(token.log_index);
            appender.control().set_published(token.log_index);
            check_fence(appender.control(), appender.epoch())?;
            drop(commit);
        }
        if due && self.options.auto_checkpoint {
            self.jobs.ask_for_checkpoint();
        }
        Ok(token)
    }

    /// Whether the log since the last freeze, or what is held of it in memory, is long enough for a checkpoint.
    fn checkpoint_is_due(&self, appender: &Appender, commit: &Commit) -> bool {
        let limit = self.options.checkpoint_log_bytes;
        appender.written_bytes() - commit.frozen_at_bytes > limit
            || self.levels.load().active.memory_bytes() > limit.saturating_mul(MEMORY)
    }

    fn sync_and_publish(&self, sync: &GroupSync, control: &Control, index: LogIndex) -> Result<()> {
        sync.sync_through(index, &|durable| {
            control.set_durable(durable);
            control.set_published(durable);
            self.publish(durable);
        })
        .inspect_err(|_| control.set_sync_failed(true))
    }

    /// Syncs the log through `index`; what is durable is published too.
    pub(super) fn sync_through(&self, sync: &GroupSync, index: LogIndex) -> Result<()> {
        let control = self.commit.lock().appender.as_ref().map(|a| a.control().clone());
        match control {
            Some(control) => self.sync_and_publish(sync, &control, index),
            None => Ok(()),
        }
    }

    /// First committer wins: fails if something the transaction touches was committed after its snapshot.
    fn validate(&self, commit: &Commit, overlay: &Overlay, levels: &Levels, snapshot: LogIndex) -> Result<()> {
        if commit.last == snapshot {
            return Ok(());
        }
        for (key, dimension) in &overlay.dimensions {
            if self.names.dimension(*key).is_some_and(|d| d != *dimension) {
                let what =
                    format_args!("the length of vectors under property key {key} was fixed by another transaction");
                return Err(Error::new(ErrorCode::Conflict, what));
            }
        }
        // From the delta that was active at the snapshot on: each knows its successor.
        if let Some(frozen) = &levels.frozen {
            overlay.validate(frozen, snapshot.0)?;
        }
        let mut delta = &levels.active;
        loop {
            if delta.last() > snapshot {
                overlay.validate(delta, snapshot.0)?;
            }
            match delta.next() {
                Some(next) => delta = next,
                None => return Ok(()),
            }
        }
    }

    /// What the names that the transaction is the first to define add to the digest.
    fn new_names(&self, overlay: &Overlay, before: LogIndex) -> Digest {
        let mut sum = Digest::default();
        for (kind, id, name) in &overlay.names {
            if self.names.id(*kind, name, before).is_none() {
                sum += Digest::of_name(*kind, *id, name);
            }
        }
        sum
    }

    /// Writes a logged commit into the active delta. Used by commits and by recovery alike.
    pub(super) fn apply(&self, levels: &Levels, overlay: Overlay, index: LogIndex, info: CommitInfo) -> Result<()> {
        for (kind, id, name) in &overlay.names {
            self.names.define(*kind, *id, name, index)?;
        }
        for (key, dimension) in &overlay.dimensions {
            self.names.define_dimension(*key, *dimension, index)?;
        }
        self.next_node.fetch_max(overlay.greatest_id + 1, Ordering::Relaxed);
        overlay.install(&levels.active, index.0, info);
        Ok(())
    }

    /// Waits, with the commit lock given up meanwhile, while a checkpoint is too far behind.
    fn wait_for_room(&self, commit: &mut MutexGuard<'_, Commit>) {
        if !self.jobs.running() || !self.options.auto_checkpoint {
            return;
        }
        loop {
            let Some(appender) = &commit.appender else { return };
            let limit = self.options.checkpoint_log_bytes;
            let levels = self.levels.load();
            let room = appender.written_bytes() - commit.frozen_at_bytes < limit.saturating_mul(BACKLOG)
                && levels.active.memory_bytes() < limit.saturating_mul(MEMORY * BACKLOG);
            if room || levels.frozen.is_none() || self.jobs.failing() {
                return;
            }
            drop(levels);
            self.checkpointed.wait_for(commit, std::time::Duration::from_millis(100));
        }
    }

    /// Makes the log, with the first commit since the file was clean.
    fn start_log(&self, commit: &mut Commit) -> Result<()> {
        let disk = &*self.env.disk;
        self.clear_stale_log(commit.last)?;
        let io = |e| Error::io("create log folder", &self.wal_dir, e);
        disk.create_dir(&self.wal_dir).map_err(io)?;
        let identity = LogIdentity { log_id: self.env.host.random(), file_id: self.store.file_id() };
        let (dir, epoch) = (&self.wal_dir, commit.epoch);
        let control = Control::create(disk, dir, identity, self.env.host.random(), epoch)?;
        let options = LogOptions { segment_max_bytes: self.options.segment_max_bytes };
        let start = (epoch, commit.writer_id, commit.last, commit.digest);
        let appender = Appender::begin_segment(&self.env, dir, options, Arc::new(control), Vec::new(), start)?;
        if let Some(parent) = dir.parent() {
            disk.sync_dir(parent).map_err(io)?;
        }
        self.store.mark_log(self.open_link(identity.log_id))?;
        let entry = HistoryEntry { epoch, writer_id: commit.writer_id, first: LogIndex(commit.last.0 + 1) };
        if commit.history.last().is_none_or(|last| last.epoch != epoch) {
            commit.history.push(entry);
        }
        commit.frozen_at_bytes = 0;
        commit.appender = Some(appender);
        Ok(())
    }

    /// Removes what an earlier log left behind, unless it holds commits that this file does not.
    fn clear_stale_log(&self, last: LogIndex) -> Result<()> {
        if !self.env.disk.is_dir(&self.wal_dir) {
            return Ok(());
        }
        if crate::log::reaches_beyond(&self.env, &self.wal_dir, self.store.file_id(), last)? {
            return Err(Error::new(
                ErrorCode::LogMismatch,
                format_args!(
                    "{} holds commits after log index {last} that {} does not have and does not name; if the file was \
                     restored from a copy, move that folder away",
                    self.wal_dir.display(),
                    self.path.display()
                ),
            ));
        }
        // A close or a first commit that failed may have left a header on the disk that names this log: what is
        // not named must be durable before it goes.
        self.store.mark_log(self.store.log_link())?;
        remove(&*self.env.disk, &self.wal_dir)
    }

    /// Ends the log with everything in the file: after that the database is one file.
    pub(super) fn close_log(&self) -> Result<()> {
        let commit = self.commit.lock();
        let Some(appender) = &commit.appender else {
            // A close that was cut short may have left its log behind. If it does not go, no harm is done.
            let _ = self.clear_stale_log(commit.last);
            return Ok(());
        };
        let poisoned = appender.group_sync().has_failed();
        drop(commit);
        if poisoned {
            let what = "the log failed earlier: it is kept for recovery, open the database again";
            return Err(Error::new(ErrorCode::Poisoned, what));
        }
        self.checkpoint()?;
        // The threads that merge have ended. Who opens, commits a little and closes, again and again, must not
        // pile up runs; the data are safe whether or not it succeeds.
        if self.options.auto_compaction
            && self.store.runs().len() > self.options.max_runs
            && let Err(e) = self.compact_once()
        {
            tracing::warn!(path = %self.path.display(), "merging runs before a close failed: {e}");
        }
        let mut commit = self.commit.lock();
        let link = crate::store::LogLink {
            kind: LogKind::None,
            clean_tail: Some((commit.last, commit.digest)),
            ..Default::default()
        };
        self.store.mark_log(link)?;
        commit.appender = None;
        remove(&*self.env.disk, &self.wal_dir)
    }
}

/// Fails if another writer has taken the log over from the one of epoch `mine`.
fn check_fence(control: &Control, mine: Epoch) -> Result<()> {
    let allowed = control.fence();
    if allowed == mine {
        return Ok(());
    }
    let what = format_args!("stale primary: epoch {mine} is fenced for writes, epoch {allowed} leads");
    Err(Error::new(ErrorCode::StalePrimary, what))
}

fn no_log() -> Error {
    Error::new(ErrorCode::Internal, "the log is missing in the middle of a commit")
}
