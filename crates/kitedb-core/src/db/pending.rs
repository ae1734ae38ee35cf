//! A commit that can be awaited.

use super::engine::{Engine, Submitted};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::Token,
};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

/// A commit that was submitted ([`Transaction::submit`](crate::Transaction::submit)): it is in the log, after all that were submitted or committed before
/// it, and survives this process. It *ends* when it is durable as the [`SyncMode`](crate::SyncMode) asks (in `Normal` and `Off`
/// at once) and is published, so that readers see it; or when it is known that it does not count, or that this cannot be known.
///
/// Await it, in any executor (it needs no runtime); or [`wait`](Self::wait) for it. A clone is another handle to the same
/// commit. Dropping it cancels nothing: the database syncs and publishes also what nobody waits for, and its close waits
/// for all of it.
///
/// ```
/// use kitedb_core::{Database, OpenOptions};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
/// let mut pending = Vec::new();
/// for n in 0..100 {
///     let mut tx = db.begin()?;
///     tx.create_node(Some(&format!("person {n}")))?;
///     pending.push(tx.submit()?);
/// }
/// // A hundred commits share a few syncs.
/// for pending in &pending {
///     assert_eq!(pending.wait()?, pending.token());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Pending {
    engine: Weak<Engine>,
    commit: Arc<Submitted>,
    /// Where its waker stands, once there is one.
    place: Option<u64>,
}

impl Pending {
    pub(super) fn new(engine: &Arc<Engine>, commit: Arc<Submitted>) -> Self {
        Self { engine: Arc::downgrade(engine), commit, place: None }
    }

    /// What names the commit.
    pub fn token(&self) -> Token {
        self.commit.token
    }

    /// How it ended; `None` if it has not. Waits for nothing.
    ///
    /// # Errors
    /// Those of [`Pending::wait`].
    pub fn result(&self) -> Option<Result<Token>> {
        if self.commit.outcome().is_none()
            && let Some(engine) = self.engine.upgrade()
            && !engine.env.host.forked()
        {
            engine.end_if_published(&self.commit);
        }
        self.outcome()
    }

    /// Waits until it has ended, and says how. May sync the log itself.
    ///
    /// # Errors
    /// [`ErrorCode::OutcomeUnknown`]: a sync failed, or the promotion of another node has not said in time which commits it
    /// keeps; whether this one counts is unknown, so look before you run it again. [`ErrorCode::StalePrimary`]: it does not
    /// count, another node leads. [`ErrorCode::Forked`] in a child process after a fork: it ends in the parent.
    pub fn wait(&self) -> Result<Token> {
        if let Some(outcome) = self.outcome() {
            return outcome;
        }
        let Some(engine) = self.engine.upgrade() else { return Err(self.lost()) };
        engine.require_not_forked()?;
        engine.end_through(&self.commit);
        self.outcome().unwrap_or_else(|| Err(self.lost()))
    }

    fn outcome(&self) -> Option<Result<Token>> {
        self.commit.outcome().map(|outcome| outcome.clone().map(|()| self.commit.token))
    }

    /// The commit, if a transaction of `engine` can begin after it; `None` if every transaction does.
    pub(crate) fn in_flight(&self, engine: &Arc<Engine>) -> Result<Option<Arc<Submitted>>> {
        if !std::ptr::eq(self.engine.as_ptr(), Arc::as_ptr(engine)) {
            return Err(Error::invalid(format_args!(
                "commit {} was not submitted to this open database: begin after it there, or wait until it has ended",
                self.commit.token
            )));
        }
        match self.result() {
            None => Ok(Some(self.commit.clone())),
            Some(outcome) => outcome.map(|_| None),
        }
    }

    /// The database is gone, and did not say how the commit ended: no close does that.
    #[cold]
    fn lost(&self) -> Error {
        Error::new(
            ErrorCode::OutcomeUnknown,
            format_args!(
                "whether commit {} is durable is unknown: its database was given up without a close; open it again and look",
                self.commit.token
            ),
        )
        .with_token(self.commit.token)
    }
}

impl Future for Pending {
    type Output = Result<Token>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(outcome) = this.result() {
            return Poll::Ready(outcome);
        }
        let Some(engine) = this.engine.upgrade() else { return Poll::Ready(Err(this.lost())) };
        // Nobody else ends it: no thread does, or it is not known whether that one lives.
        if this.commit.is_on_demand() || engine.panicked().is_some() || engine.env.host.forked() {
            return Poll::Ready(this.wait());
        }
        this.commit.wake_at_end(&mut this.place, context.waker());
        // Whoever ended it meanwhile, or found no thread that does, may not have seen the waker.
        if this.commit.is_on_demand() {
            return Poll::Ready(this.wait());
        }
        this.result().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Clone for Pending {
    fn clone(&self) -> Self {
        Self { engine: self.engine.clone(), commit: self.commit.clone(), place: None }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.commit.forget(place);
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = self.outcome().map(|outcome| outcome.map(drop));
        f.debug_struct("Pending").field("token", &self.commit.token).field("outcome", &outcome).finish_non_exhaustive()
    }
}
