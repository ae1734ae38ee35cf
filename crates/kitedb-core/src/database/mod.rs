//! Floor 6: the handle that callers hold, and what all handles to one file in a process share.

mod acts;
mod bulk;
mod cut_short;
#[cfg(test)]
mod golden;
mod in_memory;
mod open_file;
mod replication;
mod upkeep;
mod weak;

pub use acts::ConfirmedMove;
pub use bulk::BulkLoader;
pub use replication::{compare, compare_deep};
pub use weak::WeakDatabase;

use crate::{
    db::{CheckReport, Engine, GraphRead, Index, Lease, OpenOptions, Pending, Stats, SyncMode, Transaction, View},
    error::{Error, ErrorCode, Result},
    graph::{LogIndex, Token},
    io::Env,
};
use open_file::OpenFile;
use std::{path::Path, sync::Arc};

/// An open database. Cheap to clone; send it to any thread.
///
/// ```
/// use kitedb_core::{Database, GraphRead, OpenOptions};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("social.kitedb");
/// let db = Database::open(&path, OpenOptions::new())?;
/// db.transaction(|tx| {
///     let alice = tx.create_node(Some("alice"))?;
///     let bob = tx.create_node(Some("bob"))?;
///     tx.set_node_prop(alice, "age", 42)?;
///     tx.add_edge(alice, "KNOWS", bob)
/// })?;
/// let view = db.snapshot()?;
/// let alice = view.node_by_key("alice")?.expect("just created");
/// assert_eq!(view.out_neighbors(alice, None)?.count(), 1);
/// db.close()
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Database {
    handle: Arc<Handle>,
}

/// One open; the open file under it may be shared with others.
#[derive(Debug)]
struct Handle {
    file: Arc<OpenFile>,
    lease: Arc<Lease>,
}

impl Handle {
    fn close(&self) -> Result<()> {
        if self.lease.close() {
            return Ok(());
        }
        if !self.file.engine.env.host.forked() {
            // Others may have the file open still.
            self.file.engine.end_submitted_before();
        }
        OpenFile::release(&self.file)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(e) = self.close() {
            tracing::warn!(path = %self.file.engine.path.display(), "closing a dropped database failed: {e}");
        }
    }
}

impl Database {
    /// Opens the database at `path`, making it if it is missing and the options allow that.
    ///
    /// In one process all opens of a file share one engine; asking for another sync mode or replication role then is
    /// an error. Only one process can open a file for writing; any number can open it read-only beside it.
    ///
    /// The path `:memory:` names no file: each open of it is a new database in memory, as [`Database::in_memory`] makes them.
    /// (A file of that name is opened as `./:memory:`.)
    pub fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self> {
        if path.as_ref() == Path::new(in_memory::NAME) {
            return Self::in_memory_with(options);
        }
        Self::open_in(Env::real(), path, options)
    }

    /// As [`Database::open`], on a disk and host of the caller's: for simulations.
    pub fn open_in(env: Env, path: impl AsRef<Path>, options: OpenOptions) -> Result<Self> {
        Self::open_with_source_in(env.clone(), env, path, options)
    }

    /// As [`Database::open_in`], with the paths of a replica's source on another disk.
    pub fn open_with_source_in(
        env: Env,
        source_env: Env,
        path: impl AsRef<Path>,
        options: OpenOptions,
    ) -> Result<Self> {
        let file = OpenFile::open(env, source_env, path.as_ref(), options)?;
        let lease = Arc::new(Lease::new(file.engine.epoch()));
        Ok(Self { handle: Arc::new(Handle { file, lease }) })
    }

    fn file(&self) -> Result<&Arc<OpenFile>> {
        self.handle.lease.require_open()?;
        self.handle.file.engine.check_usable()?;
        Ok(&self.handle.file)
    }

    pub(crate) fn engine(&self) -> Result<&Arc<Engine>> {
        Ok(&self.file()?.engine)
    }

    /// Closes this handle and its clones; their transactions do not commit any more. It waits for every commit that was submitted
    /// ([`Transaction::submit`]), whether or not anybody else does. The last open of a file makes a checkpoint, so that the database at
    /// rest is one file. Without a commit since it was opened, closing writes nothing.
    pub fn close(self) -> Result<()> {
        self.handle.close()
    }

    /// As [`Database::close`]. If this open made the database, and nothing was committed to it since, nothing of it is left:
    /// for whoever opens one to fill it, and then is refused what it was to be filled with.
    pub fn abandon(self) -> Result<()> {
        self.handle.file.engine.opened.set_unwanted(true);
        self.handle.close()
    }

    /// Begins a write transaction.
    pub fn begin(&self) -> Result<Transaction> {
        let engine = self.engine()?;
        engine.require_writer()?;
        Ok(Transaction::new(engine.clone(), self.handle.lease.clone()))
    }

    /// Begins a write transaction that sees `pending`, and all that came before it in the log, though it may not have ended. What
    /// the transaction reads of it counts once `pending`, or the transaction's own commit, has ended well; if `pending` does not
    /// count, that does not commit.
    ///
    /// ```
    /// use kitedb_core::{Database, GraphRead, OpenOptions};
    /// # fn main() -> kitedb_core::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
    /// let mut tx = db.begin()?;
    /// let alice = tx.create_node(Some("alice"))?;
    /// let pending = tx.submit()?;
    /// // Without waiting for the disk.
    /// let mut tx = db.begin_after(&pending)?;
    /// tx.set_node_prop(alice, "age", 42)?;
    /// tx.commit()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] if it was submitted to another open database; if it has ended and does not count, or may
    /// not, that error; otherwise those of [`Database::begin`].
    pub fn begin_after(&self, pending: &Pending) -> Result<Transaction> {
        let engine = self.engine()?;
        engine.require_writer()?;
        let (lease, after) = (self.handle.lease.clone(), pending.in_flight(engine)?);
        Ok(match after {
            Some(after) => Transaction::begin_after(engine.clone(), lease, after),
            None => Transaction::new(engine.clone(), lease),
        })
    }

    /// A read-only snapshot of the last published state.
    pub fn snapshot(&self) -> Result<View> {
        Ok(self.engine()?.view())
    }

    /// The indexes that are defined, in the order in which they came.
    pub fn indexes(&self) -> Result<Vec<Index>> {
        Ok(self.snapshot()?.indexes())
    }

    /// Runs `f` in a transaction and commits it if `f` succeeds.
    pub fn transaction<T>(&self, mut f: impl FnMut(&mut Transaction) -> Result<T>) -> Result<T> {
        self.attempt(&mut f)
    }

    /// As [`Database::transaction`], running `f` again, on a new snapshot, when another transaction committed
    /// first; at most `attempts` times in all.
    pub fn transaction_with_retry<T>(
        &self,
        attempts: u32,
        mut f: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<T> {
        let mut left = attempts.max(1);
        loop {
            left -= 1;
            match self.attempt(&mut f) {
                Err(e) if e.is_conflict() && left > 0 => {}
                result => return result,
            }
        }
    }

    fn attempt<T>(&self, f: &mut impl FnMut(&mut Transaction) -> Result<T>) -> Result<T> {
        let mut tx = self.begin()?;
        let value = f(&mut tx)?;
        tx.commit()?;
        Ok(value)
    }

    /// Begins a bulk load: transactions of `elements_per_commit` elements each, committed one after the other.
    pub fn begin_bulk(&self, elements_per_commit: usize) -> Result<BulkLoader> {
        BulkLoader::new(self.clone(), elements_per_commit)
    }

    /// Writes what is only in the log to the file. Commits and reads go on meanwhile.
    pub fn checkpoint(&self) -> Result<()> {
        let engine = self.engine()?;
        engine.require_writable()?;
        engine.checkpoint()
    }

    /// Merges all runs of the file into one, after a checkpoint. Commits and reads go on meanwhile.
    pub fn compact(&self) -> Result<()> {
        self.checkpoint()?;
        self.engine()?.compact_fully()
    }

    /// Merges runs where the size tiers ask for it, one merge at most. Returns whether there was one to do.
    pub fn compact_step(&self) -> Result<bool> {
        let engine = self.engine()?;
        engine.require_writable()?;
        engine.compact_once()
    }

    /// Makes every commit so far durable, whatever the sync mode.
    pub fn sync(&self) -> Result<()> {
        self.engine()?.sync()
    }

    /// Reads everything and verifies every checksum and every invariant.
    pub fn check(&self) -> Result<CheckReport> {
        let file = self.file()?;
        let mut report = file.engine.check()?;
        if let Some(followed_log) = &file.followed_log {
            report.damage.extend(followed_log.loss()?);
        }
        Ok(report)
    }

    /// Counts and sizes.
    pub fn stats(&self) -> Result<Stats> {
        self.engine()?.stats()
    }

    /// Why less than was committed is shown, as found at the open: damage to the log, a log that is not there, a copy that
    /// was taken in use. `None`: all is there, as far as an open can tell; [`Database::check`] reads everything.
    pub fn damage(&self) -> Option<Error> {
        self.handle.file.engine.damage()
    }

    /// What names the last published commit; `None` before the first.
    pub fn last_commit_token(&self) -> Option<Token> {
        let token = self.handle.file.engine.view().token();
        (token.log_index > LogIndex(0)).then_some(token)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.handle.file.engine.path
    }

    /// Whether the database was opened for reading only.
    pub fn is_read_only(&self) -> bool {
        self.handle.file.engine.options.read_only
    }

    /// Whether this is a primary whose files were copied or restored since its log was written: it reads, and its operator
    /// has to say what it is before it writes ([`Database::confirm_moved`], [`Database::detach`]).
    pub fn is_copied(&self) -> bool {
        self.handle.file.engine.copied().is_some()
    }

    /// Why a look at this node's replication log tells less than it should, and what to do: the log is not where it was, or
    /// this is a primary whose files are copies ([`Database::is_copied`]). `None` where it is there, or where there is none.
    pub fn replication_log_fault(&self) -> Option<String> {
        let engine = &self.handle.file.engine;
        engine.copied().or(engine.opened.log_fault()).map(ToString::to_string)
    }

    /// Whether [`Database::replication_log_fault`] is that this process lacks a permission: nothing is known to be wrong then.
    pub fn replication_log_is_denied(&self) -> bool {
        let denied = |fault: &Error| fault.code() == ErrorCode::PermissionDenied;
        self.handle.file.engine.opened.log_fault().is_some_and(denied)
    }

    /// When commits are on the disk.
    pub fn sync_mode(&self) -> SyncMode {
        self.handle.file.engine.options.sync_mode
    }
}
