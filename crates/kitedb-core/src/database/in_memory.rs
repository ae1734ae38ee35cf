//! Databases in memory.

use super::Database;
use crate::{
    db::OpenOptions,
    error::{Error, ErrorCode, Result},
    io::Env,
};
use std::path::Path;

/// The path that names no file.
pub(super) const NAME: &str = ":memory:";

/// Fails for the name of a database in memory, of which `what` can be no file's: a file of that name is called `./:memory:`.
pub(super) fn require_file(path: &Path, what: &str) -> Result<()> {
    if path != Path::new(NAME) {
        return Ok(());
    }
    let what = format_args!(
        "{NAME} is a database in memory, which plays no part in replication and has no file for {what}: give the path of a \
         file (one of that name is ./{NAME})"
    );
    Err(Error::new(ErrorCode::InvalidOption, what).with_path(path))
}

impl Database {
    /// A new database in memory: the same engine on a disk in this process's memory, with no file, and gone with its last
    /// handle. Each call makes another one. It plays no part in replication.
    ///
    /// It does what one in a file does, so that a test or a cache needs no other code: it keeps a log, which
    /// checkpoints cut ([`OpenOptions::checkpoint_log_bytes`]), and takes memory for it. A sync costs nothing. A child process
    /// after a fork does not have it.
    ///
    /// ```
    /// use kitedb_core::{Database, GraphRead};
    /// # fn main() -> kitedb_core::Result<()> {
    /// let db = Database::in_memory()?;
    /// db.transaction(|tx| tx.create_node(Some("alice")))?;
    /// assert_eq!(db.snapshot()?.count_nodes(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Database::in_memory_with`].
    pub fn in_memory() -> Result<Self> {
        Self::in_memory_with(OpenOptions::new())
    }

    /// As [`Database::in_memory`], with options.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidOption`] for an option that means nothing there: one of replication, `read_only`, or
    /// `create_if_missing(false)`; [`ErrorCode::DiskFull`] where the system has no memory.
    pub fn in_memory_with(options: OpenOptions) -> Result<Self> {
        if let Some(what) = options.not_in_memory() {
            return Err(Error::new(
                ErrorCode::InvalidOption,
                format_args!(
                    "{what} means nothing for a database in memory ({NAME}): leave it out, or give the path of a file"
                ),
            ));
        }
        Self::open_in(Env::in_memory(), NAME, options)
    }
}
