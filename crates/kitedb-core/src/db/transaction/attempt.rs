//! An operation succeeds, or it changes nothing.

use super::Transaction;
use crate::error::{Error, ErrorKind, Result};

/// How far a transaction was before an operation, its overlay apart.
#[derive(Debug, Clone, Copy)]
struct Mark {
    buffer: usize,
    used: usize,
    claims: usize,
    names: usize,
    dimensions: usize,
}

impl Transaction {
    /// Does an operation. If it fails, the names that it asked for and what it was to log are taken back; its last step is
    /// the one mutation of the overlay, which changes nothing if it fails. (Batches take theirs back themselves.)
    #[inline]
    pub(in super::super) fn attempt<T>(&mut self, operation: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let mark = Mark {
            buffer: self.buffer.len(),
            used: self.used.items().len(),
            claims: self.claims.len(),
            names: self.overlay.names.len(),
            dimensions: self.overlay.dimensions.len(),
        };
        operation(self).map_err(|e| self.undo(mark, e))
    }

    #[cold]
    fn undo(&mut self, mark: Mark, e: Error) -> Error {
        self.buffer.truncate(mark.buffer);
        self.used.truncate(mark.used);
        self.claims.truncate(mark.claims);
        self.overlay.names.truncate(mark.names);
        self.overlay.dimensions.truncate(mark.dimensions);
        if e.kind() != ErrorKind::Input {
            // What could not be read may have been half done.
            self.failed.get_or_insert_with(|| e.clone());
        }
        e
    }

    /// Fails if an operation failed for another reason than its input.
    pub(in super::super) fn require_whole(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(e) => Err(e.clone().context(
                "an operation of this transaction failed half-way, so it cannot be committed: give it up and begin another",
            )),
        }
    }
}
