//! Bulk loading: transactions of a fixed number of elements, one after the other.

use super::Database;
use crate::{
    db::Transaction,
    error::{Error, ErrorCode, Result},
    graph::Token,
    watch::{Phase, Progress, Watch},
};
use std::{
    fmt,
    ops::{Deref, DerefMut},
};

/// A transaction that commits itself in batches. Use it as a [`Transaction`], call [`BulkLoader::step`] after
/// each element and [`BulkLoader::finish`] at the end. Each batch is atomic and one frame; the load as a whole
/// is not. Dropped, it gives up the batch that is not full yet.
///
/// Where a commit fails, the loader is spent: it commits nothing more, so that nobody takes what was lost for loaded.
pub struct BulkLoader {
    db: Database,
    tx: Transaction,
    elements_per_commit: usize,
    elements: usize,
    /// Why nothing more is committed.
    spent: Option<Error>,
    watch: Watch,
    loaded: u64,
    last_token: Option<Token>,
    /// The number of its own transaction.
    own: u64,
}

impl fmt::Debug for BulkLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { db, loaded, last_token, spent, .. } = self;
        f.debug_struct("BulkLoader")
            .field("db", db)
            .field("loaded", loaded)
            .field("last_token", last_token)
            .field("spent", &spent.as_ref().map(Error::code))
            .finish_non_exhaustive()
    }
}

impl BulkLoader {
    #[track_caller]
    pub(super) fn new(db: Database, elements_per_commit: usize, watch: Watch) -> Result<Self> {
        if elements_per_commit == 0 {
            return Err(Error::invalid("a bulk load of 0 elements per commit never commits: give at least 1"));
        }
        watch.report(Progress::new(Phase::Load, 0, None))?;
        let mut tx = db.begin()?;
        let own = tx.mark();
        Ok(Self { own, tx, db, elements_per_commit, elements: 0, spent: None, watch, loaded: 0, last_token: None })
    }

    /// The last batch that was committed.
    pub fn last_token(&self) -> Option<Token> {
        self.last_token
    }

    /// Counts an element; commits if the batch is full, and then returns its token.
    ///
    /// # Errors
    /// As [`BulkLoader::flush`]; [`ErrorCode::Cancelled`]: its [`Watch`] ended it, and the current batch is given up.
    #[track_caller]
    pub fn step(&mut self) -> Result<Option<Token>> {
        self.require_unspent()?;
        self.watch.require_uncancelled()?;
        self.elements += 1;
        // A batch of large elements must not outgrow a frame.
        if self.elements < self.elements_per_commit && self.tx.log_bytes() < 16 << 20 {
            return Ok(None);
        }
        self.flush().map(Some)
    }

    /// Commits what is in the current batch and begins the next one.
    ///
    /// # Errors
    /// Those of a commit. Every later call is an [`ErrorCode::Finished`], which says what became of the batch.
    #[track_caller]
    pub fn flush(&mut self) -> Result<Token> {
        self.require_unspent()?;
        self.require_own()?;
        self.watch.report(Progress::new(Phase::Load, self.loaded + self.elements as u64, None))?;
        let next = self.db.begin().inspect_err(|e| self.spent = Some(spent_by(e)))?;
        let token = std::mem::replace(&mut self.tx, next).commit().inspect_err(|e| self.spent = Some(spent_by(e)))?;
        (self.loaded, self.last_token) = (self.loaded + self.elements as u64, Some(token));
        self.elements = 0;
        // Its snapshot must show what was just committed. That is acknowledged, whatever comes after it.
        match self.db.begin() {
            Ok(mut next) => (self.own, self.tx) = (next.mark(), next),
            Err(e) => self.spent = Some(spent_after(token, &e)),
        }
        Ok(token)
    }

    /// Commits the last batch.
    ///
    /// # Errors
    /// As [`BulkLoader::flush`].
    pub fn finish(self) -> Result<Token> {
        self.require_unspent()?;
        self.require_own()?;
        self.watch.require_uncancelled()?;
        self.tx.commit()
    }

    /// Fails where the caller put another transaction, which it has by `&mut`, in the place of the loader's own.
    fn require_own(&self) -> Result<()> {
        if self.tx.is_marked(self.own) {
            return Ok(());
        }
        Err(Error::invalid(
            "the transaction of this bulk load was exchanged for another one: nothing was committed; load by the loader's own, \
             and begin another load with what comes after its last token",
        ))
    }

    fn require_unspent(&self) -> Result<()> {
        self.spent.clone().map_or(Ok(()), Err)
    }
}

/// What a loader says whose batch could not be committed because of `error`.
fn spent_by(error: &Error) -> Error {
    let what = match error.code() {
        ErrorCode::OutcomeUnknown => format!(
            "this bulk load ended with a batch of which nobody knows whether it counts ({error}): look whether it is there, \
             and begin another load with what comes after it"
        ),
        _ => format!(
            "this bulk load ended with a batch that could not be committed, which is lost ({error}): begin another one with \
             the elements of that batch and those that come after it"
        ),
    };
    Error::new(ErrorCode::Finished, what).about_what(error)
}

/// What it says where the batch was committed as `token`, and no other one could begin because of `error`.
fn spent_after(token: Token, error: &Error) -> Error {
    let what = format_args!(
        "this bulk load ended after commit {token}, which counts, because no other batch could begin ({error}): begin \
         another one with the elements that come after it"
    );
    Error::new(ErrorCode::Finished, what).about_what(error).with_token(token)
}

impl Deref for BulkLoader {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.tx
    }
}

impl DerefMut for BulkLoader {
    fn deref_mut(&mut self) -> &mut Transaction {
        &mut self.tx
    }
}
