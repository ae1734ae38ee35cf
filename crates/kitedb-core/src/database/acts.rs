//! What an operator says of a file that no process has open: each changes what the file is, and is asked for by name.

use super::{Database, node::open_here};
use crate::{
    db::{Detached, OpenOptions, confirm_moved, detach, env_of, identity_of, resolved},
    error::{Error, ErrorCode, Result},
    io::{Env, FileIdentity},
};
use std::path::{Path, PathBuf};

impl Database {
    /// Makes the file at `path` a database of its own: stand-alone, with a new file id and a new history, holding every
    /// commit that the file or its log holds. What it was (a copy for analysis, a replica, a primary) it is no more; the
    /// log of that stays where it is, untouched.
    ///
    /// ```
    /// use kitedb_core::{Database, GraphRead, OpenOptions, ReplicationRole};
    /// # fn main() -> kitedb_core::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (path, copy) = (dir.path().join("social.kitedb"), dir.path().join("analysis.kitedb"));
    /// let db = Database::open(&path, OpenOptions::new().replication_role(ReplicationRole::Primary))?;
    /// db.transaction(|tx| tx.create_node(Some("ada")))?;
    /// db.close()?;
    /// std::fs::copy(&path, &copy).unwrap();
    /// Database::detach(&copy)?;
    /// let alone = Database::open(&copy, OpenOptions::new())?;
    /// assert_eq!(alone.replication_role(), ReplicationRole::Disabled);
    /// assert_eq!(alone.snapshot()?.count_nodes(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::Locked`] while anybody has it open for writing; [`ErrorCode::LogMismatch`] or
    /// [`ErrorCode::Corrupt`] where commits are only in a log that is not there or cannot be read; those of its recovery.
    pub fn detach(path: impl AsRef<Path>) -> Result<Detached> {
        Self::detach_in(Env::real(), path, OpenOptions::new())
    }

    /// As [`Database::detach`], on a disk of the caller's; the options say where its sidecar is, and how it is recovered.
    /// With `replication_overwrite` it goes on without the commits of a log that is gone: [`Detached::missing`] tells.
    pub fn detach_in(env: Env, path: impl AsRef<Path>, options: OpenOptions) -> Result<Detached> {
        let (env, path, identity) = alone(&env, path.as_ref())?;
        detach(&env, &path, options, identity)
    }

    /// Lets a primary lead whose files were copied, moved to another file system or restored: in place of the one that it
    /// was copied from, which must not write again. It begins a new epoch, with a writer of its own. Returns that epoch.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] if nothing tells that the files are others than before; [`ErrorCode::Locked`] while
    /// anybody has it open for writing; [`ErrorCode::StalePrimary`] if another node took over from it, and
    /// [`ErrorCode::LogMismatch`] if its log, which would tell that, is not there (`replication_overwrite`: it leads all the
    /// same).
    pub fn confirm_moved(path: impl AsRef<Path>) -> Result<u64> {
        Self::confirm_moved_in(Env::real(), path, OpenOptions::new())
    }

    /// As [`Database::confirm_moved`], on a disk of the caller's; the options say where its sidecar is.
    pub fn confirm_moved_in(env: Env, path: impl AsRef<Path>, options: OpenOptions) -> Result<u64> {
        let (env, path, identity) = alone(&env, path.as_ref())?;
        confirm_moved(&env, &path, options, identity).map(|epoch| epoch.0)
    }
}

/// The file at `path`, which must exist and not be open in this process.
fn alone(env: &Env, path: &Path) -> Result<(Env, PathBuf, FileIdentity)> {
    let path = resolved(env, path)?;
    let identity = identity_of(env, &path)?;
    if open_here(identity) {
        let what = format_args!("{} is open for writing in this process: close it first", path.display());
        return Err(Error::new(ErrorCode::Locked, what));
    }
    Ok((env_of(env, &path)?, path, identity))
}
