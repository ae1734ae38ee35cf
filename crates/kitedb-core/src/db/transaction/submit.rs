//! Commits whose end is not waited for.

use super::{super::pending::Pending, Transaction};
use crate::error::{Error, ErrorCode, Result};
use std::fmt;

impl Transaction {
    /// Puts the changes into the log, and returns a [`Pending`] that ends when they are as durable as the sync mode asks, and
    /// visible. ([`Transaction::commit`] is this and [`Pending::wait`].) What it returns for survives this process, comes in the
    /// log after all that was submitted or committed before, and is synced also if nobody waits for it. A transaction
    /// without changes ends at once, or with the commit that it began after.
    ///
    /// It does not wait for syncs of its own, but for locks, for room where a checkpoint is far behind, and, with the first commit
    /// after an open and at the end of a segment of the log, for files to be made. [`Transaction::try_submit`] waits for nothing.
    ///
    /// A transaction that begins before this commit has ended does not see it, unless it begins after it by
    /// [`Database::begin_after`](crate::Database::begin_after).
    ///
    /// # Errors
    /// [`ErrorCode::ConflictUnpublished`] if something it writes was changed by a commit that the same handle submitted and that
    /// has not ended: begin it again after that one. Otherwise those of [`Transaction::commit`] that are known before a sync.
    pub fn submit(self) -> Result<Pending> {
        let engine = self.engine.clone();
        engine.submit(self).map(|commit| Pending::new(&engine, commit))
    }

    /// As [`Transaction::submit`], and never waits: for no lock, sync, room or file. Where it would, the transaction comes back
    /// ([`ErrorCode::WouldBlock`]). (A write to the log that fails is undone before that is said, which may take a sync.)
    ///
    /// ```
    /// use kitedb_core::{Database, OpenOptions};
    /// # fn main() -> kitedb_core::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
    /// let mut tx = db.begin()?;
    /// tx.create_node(Some("alice"))?;
    /// let pending = match tx.try_submit() {
    ///     Ok(pending) => pending,
    ///     // From a thread that may wait: the first commit after an open makes the log.
    ///     Err(refused) => refused.into_transaction()?.submit()?,
    /// };
    /// pending.wait()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::WouldBlock`], with the transaction; otherwise those of [`Transaction::submit`].
    pub fn try_submit(self) -> Result<Pending, TrySubmitError> {
        let engine = self.engine.clone();
        engine.try_submit(self).map(|commit| Pending::new(&engine, commit))
    }
}

/// Why [`Transaction::try_submit`] submitted nothing. Where that would have had to wait ([`ErrorCode::WouldBlock`]), the
/// transaction is in it, as it was: go on with it, [`submit`](Transaction::submit) it from a thread that may wait, or try again.
pub struct TrySubmitError {
    error: Error,
    transaction: Option<Box<Transaction>>,
}

impl TrySubmitError {
    pub(in super::super) fn would_block(error: Error, transaction: Transaction) -> Self {
        Self { error, transaction: Some(Box::new(transaction)) }
    }

    /// The same, with what `f` makes of the error.
    #[must_use]
    pub(in super::super) fn map_error(self, f: impl FnOnce(Error) -> Error) -> Self {
        Self { error: f(self.error), ..self }
    }

    /// Why.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// The stable machine-readable reason.
    pub fn code(&self) -> ErrorCode {
        self.error.code()
    }

    /// Whether it would have had to wait, so that the transaction comes back.
    pub fn is_would_block(&self) -> bool {
        self.transaction.is_some()
    }

    /// Why, without the transaction.
    pub fn into_error(self) -> Error {
        self.error
    }

    pub(in super::super) fn into_parts(self) -> (Error, Option<Transaction>) {
        (self.error, self.transaction.map(|transaction| *transaction))
    }

    /// The transaction, where it would have had to wait; otherwise why it cannot be committed.
    ///
    /// # Errors
    /// Those of [`Transaction::submit`].
    pub fn into_transaction(self) -> Result<Transaction> {
        match self.transaction {
            Some(transaction) => Ok(*transaction),
            None => Err(self.error),
        }
    }
}

impl From<Error> for TrySubmitError {
    fn from(error: Error) -> Self {
        Self { error, transaction: None }
    }
}

impl fmt::Display for TrySubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl fmt::Debug for TrySubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl std::error::Error for TrySubmitError {}
