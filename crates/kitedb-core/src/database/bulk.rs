//! Bulk loading: transactions of a fixed number of elements, one after the other.

use super::Database;
use crate::{
    db::Transaction,
    error::{Error, Result},
    graph::Token,
};
use std::ops::{Deref, DerefMut};

/// A transaction that commits itself in batches. Use it as a [`Transaction`], call [`BulkLoader::step`] after
/// each element and [`BulkLoader::finish`] at the end. Each batch is atomic and one frame; the load as a whole
/// is not. Dropped, it gives up the batch that is not full yet.
#[derive(Debug)]
pub struct BulkLoader {
    db: Database,
    tx: Transaction,
    elements_per_commit: usize,
    elements: usize,
}

impl BulkLoader {
    pub(super) fn new(db: Database, elements_per_commit: usize) -> Result<Self> {
        if elements_per_commit == 0 {
            return Err(Error::invalid("a bulk load of 0 elements per commit never commits: give at least 1"));
        }
        Ok(Self { tx: db.begin()?, db, elements_per_commit, elements: 0 })
    }

    /// Counts an element; commits if the batch is full, and then returns its token.
    pub fn step(&mut self) -> Result<Option<Token>> {
        self.elements += 1;
        // A batch of large elements must not outgrow a frame.
        if self.elements < self.elements_per_commit && self.tx.log_bytes() < 16 << 20 {
            return Ok(None);
        }
        self.flush().map(Some)
    }

    /// Commits what is in the current batch and begins the next one.
    pub fn flush(&mut self) -> Result<Token> {
        let next = self.db.begin()?;
        let token = std::mem::replace(&mut self.tx, next).commit()?;
        // Its snapshot must show what was just committed.
        self.tx = self.db.begin()?;
        self.elements = 0;
        Ok(token)
    }

    /// Commits the last batch.
    pub fn finish(self) -> Result<Token> {
        self.tx.commit()
    }
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
