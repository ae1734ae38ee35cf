//! The commit pipeline.

use super::{
    engine::{Commit, Engine},
    options::{ReplicationRole, SyncMode},
    published_log::{PublishedLog, keep},
    transaction::Transaction,
    verdict::{is_unfenced, require_unfenced},
};
use crate::{
    error::{Error, ErrorCode, ErrorKind, Result},
    graph::{Digest, LogIndex, NameKind, NodeId, Token, WriterTag},
    lock::MutexGuard,
    log::{Appender, FRAME_PREFIX},
    state::{Called, CommitInfo, Levels, Names, Overlay, Reading},
    watch::is_reporting,
};
use std::time::Duration;

/// While a checkpoint runs, committers may go on until the log since the last freeze is this many times as long
/// as what begins a checkpoint; then they wait for it.
const BACKLOG: u64 = 3;

/// A checkpoint begins, too, when the delta takes this many times as much memory as the log that begins one.
const MEMORY: u64 = 4;

/// So often, in ms, who waits for the sync of others looks whether it failed.
const LOOK_MS: u64 = 50;

/// What a committer may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitsFor {
    /// Locks, room, rotations; and syncs, also those of commits that it conflicts with.
    Syncs,
    /// As that, but for no commit of its own handle.
    Others,
    /// Nothing.
    Nothing,
}

impl Engine {
    /// Commits a transaction, and measures how long that takes.
    #[inline]
    pub(super) fn measured_commit(&self, tx: Transaction) -> Result<Token> {
        let measured = self.is_measured(tx.snapshot) && !tx.is_empty();
        let started = if measured { self.env.host.monotonic_ns() } else { 0 };
        let token = self.commit(tx).map_err(|error| self.uncommitted(error))?;
        if measured {
            self.measures.commit_latency.record(self.env.host.monotonic_ns().saturating_sub(started));
        }
        Ok(token)
    }

    /// Takes note of why a transaction was not committed. What the database is in the way of is about its file.
    #[cold]
    pub(super) fn uncommitted(&self, error: Error) -> Error {
        self.poison.note_log_failure(&error);
        match error.kind() {
            ErrorKind::RetryTransaction | ErrorKind::Input => error,
            _ => error.or_path(&self.path),
        }
    }

    /// Commits a transaction: validate, append, apply, publish; in [`SyncMode::Full`], sync before publishing. Upholds
    /// I2: the kernel has the frame before a token is returned; and I4: frames are appended and applied under one lock.
    #[inline]
    pub(super) fn commit(&self, mut tx: Transaction) -> Result<Token> {
        if let Some(token) = self.prepare(&mut tx)? {
            let after = self.confirm_unchanged(&tx, WaitsFor::Syncs)?;
            return after.map_or(Ok(token), |after| self.wait_for(&after));
        }
        let change = tx.overlay.digest_change();
        let mut commit = self.commit.lock();
        self.wait_for_room(&mut commit);
        if let Err(e) = self.admit(&commit, &tx) {
            return Err(self.refused(commit, &tx, e, WaitsFor::Syncs));
        }
        // Changes are large to move: they stay where they are until they are in the delta.
        let Transaction { levels, ref mut overlay, ref mut buffer, .. } = tx;
        // Dropped before the changes are applied, so that a superseded state goes as soon as it can.
        drop(levels);
        let token = self
            .guarded_append("a commit", &mut commit, |commit| self.append_and_apply(commit, overlay, buffer, change))?;
        self.finish(commit, token)
    }

    /// Makes a transaction what is to be logged. `Some`: there is nothing to log, its state is the one that this names.
    #[inline]
    pub(super) fn prepare(&self, tx: &mut Transaction) -> Result<Option<Token>> {
        self.check_usable()?;
        tx.require_unexpired()?;
        tx.require_whole()?;
        let Transaction { levels, snapshot, overlay, buffer, lease, .. } = tx;
        lease.require_open()?;
        if overlay.has_cancelled() {
            overlay.settle();
            buffer.truncate(FRAME_PREFIX);
            overlay.encode(&Reading::new(levels, *snapshot, None), buffer)?;
        }
        let empty = overlay.is_empty() && overlay.names.is_empty();
        Ok(empty.then(|| levels.info(*snapshot).token(*snapshot)))
    }

    /// Fails unless a transaction may be appended. Under the commit lock, which is not given up from here on: the log ends
    /// only after this.
    #[inline]
    pub(super) fn admit(&self, commit: &Commit, tx: &Transaction) -> Result<()> {
        let Transaction { levels, snapshot, overlay, lease, .. } = tx;
        self.check_usable()?;
        self.require_no_panic()?;
        lease.require_open()?;
        if let Some(Err(e)) = tx.after.as_ref().and_then(|after| after.outcome()) {
            // What it saw does not count, or may not.
            return Err(e.clone());
        }
        if let Some(appender) = &commit.appender {
            // First: a conflict with a commit whose outcome is unknown would tell the caller to try again.
            appender.require_sound()?;
        }
        self.require_lead(commit, lease.epoch())?;
        if let Some(control) = commit.appender.as_ref().map(Appender::control).or(self.sidecar.as_ref()) {
            // So would one with a commit that a fence made void, for ever.
            if !control.allows(commit.epoch) {
                require_unfenced(control, commit.epoch)?;
            }
        }
        self.validate(commit, overlay, levels, *snapshot)
    }

    /// Waits for the sync of commits that one conflicts with: whoever tries again before it ends begins on a state without
    /// them, and conflicts again. Not for ever: what keeps them from being published is told to the next try.
    pub(super) fn await_published(&self, index: LogIndex) {
        let failed = || self.commit.lock().appender.as_ref().is_some_and(|appender| appender.group_sync().has_failed());
        for _ in 0..=self.options.fence_wait_ms / LOOK_MS {
            let reached = || self.published() >= index;
            if self.signal().wait_until(Some(index.0), Duration::from_millis(LOOK_MS), reached) || failed() {
                return;
            }
        }
    }

    /// Puts a commit into the log, and into the active delta. Whoever reads does not see it before it is published.
    pub(super) fn append_and_apply(
        &self,
        commit: &mut Commit,
        overlay: &mut Overlay,
        buffer: &mut Vec<u8>,
        change: Digest,
    ) -> Result<Token> {
        self.measures.count_append();
        let count_failure = |_: &Error| self.measures.count_failed_append();
        if commit.appender.is_none() {
            let (epoch, writer_id) = (commit.epoch, commit.writer_id);
            self.start_log(commit, epoch, writer_id).inspect_err(count_failure)?;
        }
        let current = self.publication.levels();
        let digest = commit.digest + change + new_names(&current.names, overlay, commit.last);
        let (header, writer) = {
            let Commit { appender: Some(appender), .. } = commit else { return Err(no_log()) };
            let appended = self
                .fail_for_testing()
                .and_then(|()| appender.control().pay())
                .and_then(|()| appender.append(buffer, self.env.host.now_ms(), digest));
            let (next, writer) = (LogIndex(commit.last.0 + 1), WriterTag::of(&appender.writer_id()));
            let of_this_one = |e: Error| match e.code() {
                ErrorCode::OutcomeUnknown => e.with_token(Token::new(appender.epoch(), next).with_tag(writer)),
                _ => e,
            };
            (appended.inspect_err(count_failure).map_err(of_this_one)?, writer)
        };
        let token = header.token().with_tag(writer);
        let info = CommitInfo {
            epoch: header.epoch,
            writer,
            commit_ms: header.commit_ms,
            digest,
            totals: overlay.totals_after(current.active.info(commit.last).totals),
        };
        if let Err(e) = self.apply(&current, overlay, header.log_index, info) {
            return Err(unapplied(commit, token, &e));
        }
        commit.last = header.log_index;
        commit.digest = digest;
        Ok(token)
    }

    /// Publishes an applied commit, and waits for its sync where the mode asks for that. Only what no fence made void
    /// is published: the fence is looked at again once the frame is where a promoter would find it.
    fn finish(&self, commit: MutexGuard<'_, Commit>, token: Token) -> Result<Token> {
        let Some(appender) = &commit.appender else { return Err(no_log()) };
        let due = self.checkpoint_is_due(appender, &commit);
        if self.options.sync_mode == SyncMode::Full {
            let kept = keep(appender);
            let log = PublishedLog::kept(&kept);
            drop(commit);
            self.sync_and_publish(log, token.log_index, token.epoch).map_err(|e| outcome_unknown(e, token))?;
            self.conclude(log, token, self.fence_patience())?;
        } else if is_unfenced(appender.control(), token.epoch) {
            self.maintenance.jobs.ask_for_sync();
            self.publish(Some(PublishedLog::of(appender)), token.log_index);
            drop(commit);
        } else {
            let kept = keep(appender);
            self.maintenance.jobs.ask_for_sync();
            // Given up while the promotion is waited for, which takes as long as that needs.
            drop(commit);
            self.publish_if_kept(PublishedLog::kept(&kept), token, self.fence_patience())?;
        }
        self.ask_for_checkpoint_if(due);
        Ok(token)
    }

    pub(super) fn ask_for_checkpoint_if(&self, due: bool) {
        if due && self.options.auto_checkpoint {
            self.maintenance.jobs.ask_for_checkpoint();
        }
    }

    fn fail_for_testing(&self) -> Result<()> {
        match self.options.fail_after_append {
            Some(limit) if self.role() == ReplicationRole::Primary => {
                if self.measures.count_append_for_testing() < limit {
                    return Ok(());
                }
                let what = "replication append failed: replication_fail_after_append_for_testing asked for it";
                Err(Error::new(ErrorCode::Io, what))
            }
            _ => Ok(()),
        }
    }

    /// Whether the log since the last freeze, or what is held of it in memory, is long enough for a checkpoint.
    pub(super) fn checkpoint_is_due(&self, appender: &Appender, commit: &Commit) -> bool {
        let limit = self.options.checkpoint_log_bytes;
        appender.written_bytes() - commit.frozen_at_bytes > limit
            || self.publication.levels().active.memory_bytes() > limit.saturating_mul(MEMORY)
    }

    /// First committer wins: fails if something the transaction touches was committed after its snapshot.
    fn validate(&self, commit: &Commit, overlay: &Overlay, levels: &Levels, snapshot: LogIndex) -> Result<()> {
        if commit.last == snapshot {
            return Ok(());
        }
        let names = &levels.names;
        for (key, dimension) in &overlay.dimensions {
            if names.dimension(*key).is_some_and(|d| d != *dimension) {
                let key = Called::by(names, NameKind::PropKey, key.0);
                let what = format_args!("the length of vectors under {key} was fixed by another transaction");
                return Err(Error::new(ErrorCode::Conflict, what).with_key(key.text()));
            }
        }
        let current = self.publication.levels();
        overlay.validate_indexes(&Reading::new(levels, snapshot, None), &Reading::new(&current, commit.last, None))?;
        levels.validate(overlay, snapshot, &current, commit.last)
    }

    /// Writes a logged commit into the active delta. Used by commits and by recovery alike. Upholds I21, I24 and
    /// I43.
    pub(super) fn apply(
        &self,
        levels: &Levels,
        overlay: &mut Overlay,
        index: LogIndex,
        info: CommitInfo,
    ) -> Result<()> {
        for (kind, id, name) in &overlay.names {
            levels.names.define(*kind, *id, name, index)?;
        }
        for (key, dimension) in &overlay.dimensions {
            levels.names.define_dimension(*key, *dimension, index)?;
        }
        self.ids.skip_nodes(NodeId(overlay.greatest_id));
        if let Some((id, _)) = overlay.indexes.last_key_value() {
            self.ids.skip_indexes(*id);
        }
        self.ids.skip_ranks(overlay.greatest_rank);
        overlay.install(&levels.active, index.0, info);
        Ok(())
    }

    /// Waits, with the commit lock given up meanwhile, while a checkpoint is too far behind.
    pub(super) fn wait_for_room(&self, commit: &mut MutexGuard<'_, Commit>) {
        while !self.has_room(commit) {
            self.maintenance.wait_for_checkpoint(commit, Duration::from_millis(100));
        }
    }

    /// Whether no checkpoint is too far behind for another commit, or waiting for it would be in vain.
    pub(super) fn has_room(&self, commit: &Commit) -> bool {
        if !self.maintenance.jobs.running() || !self.options.auto_checkpoint {
            return true;
        }
        let Some(appender) = &commit.appender else { return true };
        let limit = self.options.checkpoint_log_bytes;
        let levels = self.publication.levels();
        let room = appender.written_bytes() - commit.frozen_at_bytes < limit.saturating_mul(BACKLOG)
            && levels.active.memory_bytes() < limit.saturating_mul(MEMORY * BACKLOG);
        let in_vain = levels.frozen.is_none() || self.maintenance.jobs.failing() || self.panicked().is_some();
        // While a report runs, it may be this thread that makes the checkpoint.
        room || in_vain || is_reporting()
    }
}

/// What the names that a transaction is the first to define add to the digest.
pub(super) fn new_names(names: &Names, overlay: &Overlay, before: LogIndex) -> Digest {
    let mut sum = Digest::default();
    for (kind, id, name) in &overlay.names {
        if names.id(*kind, name, before).is_none() {
            sum += Digest::of_name(*kind, *id, name);
        }
    }
    sum
}

/// The error of a commit that is in the log and could not be applied. Nothing can be appended after it: what this process
/// shows is not what the log says any more.
#[cold]
fn unapplied(commit: &Commit, token: Token, cause: &Error) -> Error {
    if let Some(appender) = &commit.appender {
        appender.poison();
    }
    let what = format_args!(
        "commit {token} is in the log and could not be applied: {cause}; open the database again and look"
    );
    Error::new(ErrorCode::OutcomeUnknown, what).about_what(cause).with_token(token)
}

/// The error of a commit whose sync failed.
#[cold]
pub(super) fn outcome_unknown(e: Error, token: Token) -> Error {
    let e = if e.code() == ErrorCode::SyncFailed { e.recoded(ErrorCode::OutcomeUnknown) } else { e };
    e.with_token(token)
}

pub(super) fn no_log() -> Error {
    Error::new(ErrorCode::Internal, "the log is missing in the middle of a commit")
}

#[cfg(test)]
mod tests {
    use crate::{
        Database, GraphRead, OpenOptions,
        error::ErrorCode,
        graph::LogIndex,
        io::sim::{Crash, SimDisk, SimHost},
    };

    /// What a process shows is not what its log says once a frame of it could not be applied: it must not go on.
    #[test]
    fn nothing_is_committed_after_a_frame_that_could_not_be_applied() {
        let (disk, host) = (SimDisk::new(1), SimHost::new(1));
        let open = |disk: &SimDisk| {
            Database::open_in(disk.env(&host), "/one.kitedb", OpenOptions::new().background(false)).unwrap()
        };
        let db = open(&disk);
        let a = db.transaction(|tx| tx.create_node(Some("a"))).unwrap();
        let mut tx = db.begin().unwrap();
        tx.set_node_vector(a, "v", &[1.0; 3]).unwrap();
        // A fault of this process, which validation does not look for.
        let names = db.engine().unwrap().names();
        names.define_dimension(tx.propkey_id("v").unwrap(), 4, LogIndex(0)).unwrap();
        assert_eq!(tx.commit().unwrap_err().code(), ErrorCode::OutcomeUnknown);
        let later = db.transaction(|tx| tx.create_node(Some("later")));
        assert_eq!(later.unwrap_err().code(), ErrorCode::Poisoned);
        assert_eq!(db.snapshot().unwrap().node_vector(a, "v").unwrap(), None);
        assert_eq!(db.close().unwrap_err().code(), ErrorCode::Poisoned);

        let db = open(&disk.restart(Crash::Kill));
        assert_eq!(db.snapshot().unwrap().node_vector(a, "v").unwrap(), Some(vec![1.0; 3]));
        assert_eq!(db.snapshot().unwrap().node_by_key("later").unwrap(), None);
        assert!(db.check().unwrap().is_clean());
    }
}
