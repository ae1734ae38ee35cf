//! Commits whose caller does not wait: they are appended and applied as any other, and end in the order of the log, by the
//! thread that ends them, by whoever waits for one of them, or by the close. See [`Submitted`].

use super::{
    commit::{WaitsFor, no_log, outcome_unknown},
    engine::{Commit, Engine, Submitted},
    options::{ReplicationRole, SyncMode},
    published_log::{PublishedLog, keep},
    transaction::{Transaction, submit::TrySubmitError},
    verdict::is_unfenced,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, LogIndex, Token},
    lock::MutexGuard,
    pool::wake_all,
    state::Reading,
};
use std::{sync::Arc, task::Waker, time::Duration};

impl Engine {
    /// Submits a transaction: validate, append, apply; it ends later. Upholds I2 and I4.
    pub(super) fn submit(&self, tx: Transaction) -> Result<Arc<Submitted>> {
        self.submit_unnoted(tx).map_err(|e| self.uncommitted(e))
    }

    /// As [`Engine::submit`], and waits for nothing.
    pub(super) fn try_submit(&self, tx: Transaction) -> Result<Arc<Submitted>, TrySubmitError> {
        self.try_submit_unnoted(tx).map_err(|refused| refused.map_error(|e| self.uncommitted(e)))
    }

    fn submit_unnoted(&self, mut tx: Transaction) -> Result<Arc<Submitted>> {
        let began_ns = self.began_ns(&tx);
        if let Some(token) = self.prepare(&mut tx)? {
            return self.submit_unchanged(&tx, token, WaitsFor::Others);
        }
        let change = tx.overlay.digest_change();
        let mut commit = self.commit.lock();
        self.wait_for_room(&mut commit);
        if let Err(e) = self.admit(&commit, &tx) {
            return Err(self.refused(commit, &tx, e, WaitsFor::Others));
        }
        self.append_submitted(commit, tx, (change, began_ns))
    }

    fn try_submit_unnoted(&self, mut tx: Transaction) -> Result<Arc<Submitted>, TrySubmitError> {
        let began_ns = self.began_ns(&tx);
        if let Some(token) = self.prepare(&mut tx)? {
            return match self.submit_unchanged(&tx, token, WaitsFor::Nothing) {
                Err(e) if e.code() == ErrorCode::WouldBlock => Err(TrySubmitError::would_block(e, tx)),
                submitted => Ok(submitted?),
            };
        }
        let change = tx.overlay.digest_change();
        let Some(commit) = self.commit.try_lock() else {
            let what = "another commit, or a checkpoint, holds the lock of commits";
            return Err(TrySubmitError::would_block(would_block(what), tx));
        };
        if let Some(what) = self.waits_for(&commit, &tx) {
            drop(commit);
            return Err(TrySubmitError::would_block(would_block(what), tx));
        }
        if let Err(e) = self.admit(&commit, &tx) {
            return Err(self.refused(commit, &tx, e, WaitsFor::Nothing).into());
        }
        Ok(self.append_submitted(commit, tx, (change, began_ns))?)
    }

    /// When the commit of a transaction begins, if it is measured.
    fn began_ns(&self, tx: &Transaction) -> Option<u64> {
        (self.is_measured(tx.snapshot) && !tx.is_empty()).then(|| self.env.host.monotonic_ns())
    }

    /// What a commit of the transaction would wait for.
    fn waits_for(&self, commit: &Commit, tx: &Transaction) -> Option<&'static str> {
        if self.is_closed() || self.panicked().is_some() {
            // It is refused.
            return None;
        }
        let Some(appender) = &commit.appender else {
            return Some("the first commit after an open begins the log");
        };
        if appender.group_sync().has_failed() {
            return None;
        }
        if !self.has_room(commit) {
            return Some("a checkpoint is far behind, and is waited for");
        }
        if !appender.has_place_for(&tx.buffer) {
            return Some("the log goes on in another segment");
        }
        (!appender.control().allows(commit.epoch)).then_some("the fence of the log has to be looked at")
    }

    /// Appends what was admitted, and lets it end later.
    fn append_submitted(
        &self,
        mut commit: MutexGuard<'_, Commit>,
        mut tx: Transaction,
        (change, began_ns): (Digest, Option<u64>),
    ) -> Result<Arc<Submitted>> {
        let Transaction { levels, ref mut overlay, ref mut buffer, ref lease, .. } = tx;
        drop(levels);
        let appended = self
            .guarded_append("a commit", &mut commit, |commit| self.append_and_apply(commit, overlay, buffer, change));
        let token = appended?;
        let Some(appender) = &commit.appender else { return Err(no_log()) };
        let due = self.checkpoint_is_due(appender, &commit);
        let synced = self.options.sync_mode == SyncMode::Full;
        if !synced {
            self.maintenance.jobs.ask_for_sync();
        }
        let submitted = if !synced && is_unfenced(appender.control(), token.epoch) {
            self.publish(Some(PublishedLog::of(appender)), token.log_index);
            drop(commit);
            self.note_end(began_ns);
            Arc::new(Submitted::ended(token, lease.clone()))
        } else {
            let submitted = Arc::new(Submitted::new(token, keep(appender), lease.clone(), began_ns));
            // Under the lock: in the order of the log, and before a close looks.
            self.in_flight.add(submitted.clone());
            drop(commit);
            if !self.maintenance.jobs.ask_to_end_submitted() {
                self.leave_to_who_asks();
            }
            submitted
        };
        self.ask_for_checkpoint_if(due);
        Ok(submitted)
    }

    /// No thread ends what is in flight: whoever asks for it does.
    #[cold]
    fn leave_to_who_asks(&self) {
        let mut wakers = Vec::new();
        for submitted in self.in_flight.not_on_demand() {
            wakers.extend(submitted.set_on_demand());
        }
        // Nobody may ever ask for those that other commits published.
        for published in self.in_flight.through(self.published()) {
            wakers.extend(self.say_end(&published, Ok(())));
        }
        self.in_flight.forget_ended();
        wake_all(wakers);
    }

    fn note_end(&self, began_ns: Option<u64>) {
        if let Some(began) = began_ns {
            self.measures.commit_latency.record(self.env.host.monotonic_ns().saturating_sub(began));
        }
    }

    /// A transaction that changes nothing ends with what it began after.
    fn submit_unchanged(&self, tx: &Transaction, token: Token, waits: WaitsFor) -> Result<Arc<Submitted>> {
        let after = self.confirm_unchanged(tx, waits)?;
        Ok(after.unwrap_or_else(|| Arc::new(Submitted::ended(token, tx.lease.clone()))))
    }

    /// Fails unless who asked for nothing may be told that it is so. `Some`: once that commit has ended.
    pub(super) fn confirm_unchanged(&self, tx: &Transaction, waits: WaitsFor) -> Result<Option<Arc<Submitted>>> {
        if let Some(control) = self.sidecar.as_ref().filter(|_| self.role() == ReplicationRole::Primary)
            && !control.allows(tx.lease.epoch())
        {
            if waits == WaitsFor::Nothing {
                return Err(would_block("the fence of the log has to be looked at"));
            }
            // Who does not lead cannot say that what was asked for is so.
            self.require_leading(tx.lease.epoch())?;
        }
        Ok(tx.after.clone())
    }

    /// Why a transaction is refused that was not admitted. Where it conflicts with commits that are not published, they are waited
    /// for, as far as `waits` says: whoever tries again before that begins on a state without them, and conflicts again.
    #[cold]
    pub(super) fn refused(&self, commit: MutexGuard<'_, Commit>, tx: &Transaction, e: Error, waits: WaitsFor) -> Error {
        if !e.is_conflict() {
            return e;
        }
        let last = commit.last;
        let own = self.own_in_the_way(&commit, tx);
        drop(commit);
        let Some(own) = own else {
            if waits != WaitsFor::Nothing {
                self.end_in_flight(last);
                self.await_published(last);
            }
            return e;
        };
        if waits == WaitsFor::Syncs {
            self.end_through(&own);
        }
        Error::new(
            ErrorCode::ConflictUnpublished,
            format_args!(
                "{e}: by commit {}, which this handle submitted and which had not ended: begin the transaction again after it \
                 (Database::begin_after), or wait for its end first",
                own.token
            ),
        )
        .about_what(&e)
        .with_token(own.token)
    }

    /// The commit that the transaction conflicts with, of several the last one, if the same handle submitted it, and it is not
    /// published. Under the commit lock: what comes later is no conflict.
    fn own_in_the_way(&self, commit: &Commit, tx: &Transaction) -> Option<Arc<Submitted>> {
        let from = tx.snapshot.max(self.published());
        if self.in_flight.has_none_of(&tx.lease, from) {
            return None;
        }
        // It conflicts with what came after `low`, and not with what came after `high`.
        let (mut low, mut high) = (from, commit.last);
        if !self.conflicts_after(commit, tx, low) {
            return None;
        }
        while high.0 > low.0 + 1 {
            let middle = LogIndex(low.0 + (high.0 - low.0) / 2);
            if self.conflicts_after(commit, tx, middle) { low = middle } else { high = middle }
        }
        self.in_flight.at(high).filter(|submitted| submitted.is_of(&tx.lease))
    }

    /// Whether the transaction conflicts with a commit after `index`, which is one that its state or a later one ends with.
    fn conflicts_after(&self, commit: &Commit, tx: &Transaction, index: LogIndex) -> bool {
        let Transaction { levels, overlay, .. } = tx;
        let differs = |(key, dimension): &(_, u32)| {
            levels.names.dimension_since(*key).is_some_and(|(fixed, at)| fixed != *dimension && at > index)
        };
        if overlay.dimensions.iter().any(differs) {
            return true;
        }
        let current = self.publication.levels();
        let (before, now) = (Reading::new(&current, index, None), Reading::new(&current, commit.last, None));
        overlay.validate_indexes(&before, &now).is_err()
            || levels.validate(overlay, index, &current, commit.last).is_err()
    }

    /// Waits for the end of a commit, and says what it is.
    pub(super) fn wait_for(&self, submitted: &Submitted) -> Result<Token> {
        if submitted.outcome().is_none() {
            self.end_through(submitted);
        }
        submitted.outcome().cloned().unwrap_or_else(|| Err(no_log())).map(|()| submitted.token)
    }

    /// Ends a commit that is published by now, whoever did that.
    pub(super) fn end_if_published(&self, submitted: &Submitted) {
        // A commit in another history has ended before another graph takes the place of its own.
        if self.published() >= submitted.token.log_index {
            wake_all(self.say_end(submitted, Ok(())));
        }
    }

    /// Returns who is to be woken.
    #[must_use]
    fn say_end(&self, submitted: &Submitted, outcome: Result<()>) -> Vec<Waker> {
        let (fine, failed) = (outcome.is_ok(), outcome.as_ref().err().cloned());
        let (first, wakers) = submitted.end(outcome);
        if !first {
            return wakers;
        }
        if fine {
            self.note_end(submitted.began_ns);
        }
        if let Some(e) = failed {
            // Perhaps nobody waits for it.
            tracing::warn!(path = %self.path.display(), "commit {}, which was submitted, ended so: {e}", submitted.token);
        }
        wakers
    }

    /// Ends all that was submitted before, and what is submitted meanwhile.
    pub(super) fn end_submitted(&self) {
        while let Some(last) = self.in_flight.last() {
            self.end_through(&last);
        }
    }

    /// Ends all that was submitted, and is admitted by now: all that a handle submitted, or everybody, once no more is taken from
    /// them.
    pub(crate) fn end_admitted(&self) {
        // Who was admitted is in flight once the lock is given up.
        drop(self.commit.lock());
        self.end_submitted_before();
    }

    /// Ends what was submitted before, for the task that does so. Returns who is to be woken.
    pub(super) fn end_submitted_for_task(&self) -> Vec<Waker> {
        let mut held = Held::default();
        if let Some(last) = self.in_flight.last() {
            self.end_up_to(&last, Some(&mut held));
        }
        if self.in_flight.last().is_some() {
            self.maintenance.jobs.ask_to_end_submitted();
        }
        std::mem::take(&mut held.0)
    }

    /// Ends what was submitted up to `index`.
    fn end_in_flight(&self, index: LogIndex) {
        if let Some(last) = self.in_flight.through(index).last() {
            self.end_through(last);
        }
    }

    /// Ends all that was submitted before, and nothing that is submitted meanwhile.
    pub(crate) fn end_submitted_before(&self) {
        if let Some(last) = self.in_flight.last() {
            self.end_through(&last);
        }
    }

    /// Ends, in the order of the log, what was submitted up to `last`: syncs it where the mode asks for that, and publishes what
    /// no fence made void. Called by several threads at once it does no harm. Takes no lock that it holds while a waker runs.
    pub(super) fn end_through(&self, last: &Submitted) {
        self.end_up_to(last, None);
    }

    /// As [`Engine::end_through`]. Who is to be woken is put into `held`, if that is given, and kept waiting for nothing: where a
    /// commit has to wait for what a fence says, it, and what comes after it, is left as it is.
    fn end_up_to(&self, last: &Submitted, mut held: Option<&mut Held>) {
        let whole = EndsAll(self);
        self.guarded("the end of submitted commits", || {
            let synced = self.sync_submitted(last);
            let mut patience = self.fence_patience();
            for submitted in self.in_flight.through(last.token.log_index) {
                if submitted.outcome().is_some() {
                    continue;
                }
                if held.as_ref().is_some_and(|held| !held.0.is_empty()) && self.may_wait_for_fence(&submitted) {
                    break;
                }
                let outcome = self.outcome_of(&submitted, &synced, patience).map_err(|e| self.uncommitted(e));
                if outcome.as_ref().is_err_and(|e| e.code() == ErrorCode::OutcomeUnknown) {
                    // What a fence does not say in that time of one, it says of none.
                    patience = Duration::ZERO;
                }
                let wakers = self.say_end(&submitted, outcome);
                match &mut held {
                    Some(held) => held.0.extend(wakers),
                    None => wake_all(wakers),
                }
            }
            self.in_flight.forget_ended();
        });
        std::mem::forget(whole);
    }

    fn may_wait_for_fence(&self, submitted: &Submitted) -> bool {
        let fenced = |log| !is_unfenced(PublishedLog::kept(log).control, submitted.token.epoch);
        self.published() < submitted.token.log_index && submitted.log.as_ref().is_some_and(fenced)
    }

    fn sync_submitted(&self, last: &Submitted) -> Result<()> {
        match &last.log {
            Some(log) if self.options.sync_mode == SyncMode::Full => {
                self.sync_and_publish(PublishedLog::kept(log), last.token.log_index, last.token.epoch)
            }
            _ => Ok(()),
        }
    }

    /// How a commit ends, once the sync that was to make it durable has ended as `synced` says.
    fn outcome_of(&self, submitted: &Submitted, synced: &Result<()>, patience: Duration) -> Result<()> {
        let token = submitted.token;
        if self.published() >= token.log_index {
            return Ok(());
        }
        synced.clone().map_err(|e| outcome_unknown(e, token))?;
        match &submitted.log {
            Some(log) => self.conclude(PublishedLog::kept(log), token, patience),
            None => Ok(()),
        }
    }
}

/// Who is to be woken later. Dropped, as by a panic, it wakes them.
#[derive(Default)]
struct Held(Vec<Waker>);

impl Drop for Held {
    fn drop(&mut self) {
        wake_all(std::mem::take(&mut self.0));
    }
}

/// Dropped by a panic, it ends all that was submitted, so that nobody waits for what that thread was to do. Upholds I39.
struct EndsAll<'a>(&'a Engine);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        for submitted in self.0.in_flight.through(LogIndex(u64::MAX)) {
            let what = format_args!(
                "a thread that was to make commit {} durable panicked; whether it survives is unknown: open the database again and \
                 look",
                submitted.token
            );
            let unknown = Error::new(ErrorCode::OutcomeUnknown, what);
            let unknown = unknown.with_token(submitted.token).with_path(&self.0.path);
            wake_all(self.0.say_end(&submitted, Err(unknown)));
        }
        self.0.in_flight.forget_ended();
    }
}

fn would_block(what: &str) -> Error {
    Error::new(
        ErrorCode::WouldBlock,
        format_args!(
            "submitting would wait: {what}. Nothing was done: submit the transaction from a thread that may wait, or try again"
        ),
    )
}
