//! Floor 6: the handle that callers hold, and what all handles to one file in a process share.

mod acts;
mod bulk;
mod cut_short;
mod given_source;
#[cfg(test)]
mod golden;
mod in_memory;
mod keeper;
mod not_opened;
mod open_file;
mod place_of_replica;
mod replication;
mod upkeep;
mod weak;

pub use acts::ConfirmedMove;
pub use bulk::BulkLoader;
pub use replication::{compare, compare_deep, compare_deep_with, compare_with};
pub use weak::WeakDatabase;

use crate::{
    db::{CheckReport, Engine, GraphRead, Index, Lease, OpenOptions, Pending, Stats, SyncMode, Transaction, View},
    error::{Error, ErrorCode, Result},
    graph::{LogIndex, Token},
    io::Env,
    replication::{Source, SourcePlace},
    state::Site,
    watch::{Watch, require_no_report},
};
use not_opened::with_its_reseed;
use open_file::{OpenFile, local_source};
use std::{
    fmt,
    path::Path,
    sync::{Arc, OnceLock},
};

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
/// assert_eq!(view.out_neighbors(alice, "KNOWS")?.count(), 1);
/// db.close()
/// # }
/// ```
#[derive(Clone)]
pub struct Database {
    handle: Arc<Handle>,
}

/// Never what is in the graph: who logs a handle logs no data.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Handle { file, lease, .. } = &*self.handle;
        let engine = &file.engine;
        f.debug_struct("Database")
            .field("path", &engine.path)
            .field("role", &engine.role())
            .field("published", &engine.published().0)
            .field("closed", &lease.is_closed())
            .finish_non_exhaustive()
    }
}

/// One open; the open file under it may be shared with others.
struct Handle {
    file: Arc<OpenFile>,
    lease: Arc<Lease>,
    /// Why its close failed, if it did: whoever closes it again is told, too.
    failed: OnceLock<Error>,
}

impl Handle {
    fn new(file: Arc<OpenFile>) -> Arc<Self> {
        let lease = Arc::new(Lease::new(file.engine.epoch(), &file.engine.path));
        Arc::new(Self { file, lease, failed: OnceLock::new() })
    }

    fn close(&self) -> Result<()> {
        if self.lease.close() {
            return self.failed.get().map_or(Ok(()), |e| Err(e.clone()));
        }
        let released = release(&self.file);
        released.inspect_err(|e| drop(self.failed.set(e.clone())))
    }
}

/// Gives an open of the file back.
fn release(file: &Arc<OpenFile>) -> Result<()> {
    if !file.engine.env.host.forked() {
        // Others may have the file open still. And before the file's lock is taken: who is woken may open it again.
        file.engine.end_admitted();
    }
    OpenFile::release(file)
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.lease.is_closed() {
            return;
        }
        if self.file.require_not_asked("close").is_err() {
            // By the source that this replica follows, while that is asked: it would wait for itself. Another thread closes it.
            self.lease.close();
            let file = self.file.clone();
            let close = move || {
                if let Err(e) = release(&file) {
                    tracing::warn!(path = %file.engine.path.display(), "closing a dropped database failed: {e}");
                }
            };
            if let Err(e) = std::thread::Builder::new().name("kitedb-close".to_owned()).spawn(close) {
                tracing::warn!(path = %self.file.engine.path.display(), "a dropped database cannot be closed: {e}");
            }
            return;
        }
        if let Err(e) = self.close() {
            tracing::warn!(path = %self.file.engine.path.display(), "closing a dropped database failed: {e}");
        }
    }
}

impl Database {
    /// Opens the database at `path`, making it if it is missing and the options allow that.
    ///
    /// In one process all opens of a file share one engine; asking for another sync mode or replication role then is
    /// an error, and so is an option that says otherwise than the first open (one that is as by default says nothing). Only one
    /// process can open a file for writing; any number can open it read-only beside it.
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
    #[doc(hidden)]
    pub fn open_in(env: Env, path: impl AsRef<Path>, options: OpenOptions) -> Result<Self> {
        Self::open_with_source_in(env.clone(), env, path, options)
    }

    /// As [`Database::open_in`], with the paths of a replica's source on another disk.
    #[doc(hidden)]
    pub fn open_with_source_in(
        env: Env,
        source_env: Env,
        path: impl AsRef<Path>,
        options: OpenOptions,
    ) -> Result<Self> {
        let path = path.as_ref();
        let file = OpenFile::open(env.clone(), source_env.clone(), path, options.clone());
        let told = |e: Error| with_its_reseed(e, (&env, &source_env), path, &options);
        Ok(Self { handle: Handle::new(file.map_err(|e| told(e).or_path(path))?) })
    }

    /// As [`Database::open`], in replica role, following a source of the caller's own. Nothing of it is remembered: it is given
    /// at each open. Where this process has the file open already, it must follow that same source.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidOption`] where the options name a source, or another role.
    pub fn open_with_source(path: impl AsRef<Path>, options: OpenOptions, source: Arc<dyn Source>) -> Result<Self> {
        let (env, path) = (Env::real(), path.as_ref());
        in_memory::require_file(path, "a replica")?;
        let file = OpenFile::open_following(env.clone(), env, path, options, source).map_err(|e| e.or_path(path))?;
        Ok(Self { handle: Handle::new(file) })
    }

    /// The source at a place of this machine: what a replica follows whose options name it. It is looked at when it is asked
    /// for something, not before.
    pub fn source_at(place: &SourcePlace) -> Arc<dyn Source> {
        Arc::new(local_source(&Env::real(), place))
    }

    fn file(&self) -> Result<&Arc<OpenFile>> {
        self.handle.lease.require_open()?;
        self.handle.file.engine.check_usable()?;
        Ok(&self.handle.file)
    }

    pub(crate) fn engine(&self) -> Result<&Arc<Engine>> {
        Ok(&self.file()?.engine)
    }

    /// What reads a state, unless this handle was closed meanwhile, by another thread: then nothing keeps that state for it.
    #[inline]
    fn if_still_open<T>(&self, reads: T) -> Result<T> {
        self.handle.lease.require_open().map(|()| reads)
    }

    /// Closes this handle and its clones; their transactions do not commit any more. It waits for every commit that was submitted
    /// ([`Transaction::submit`]), whether or not anybody else does. The last open of a file makes a checkpoint, so that the database at
    /// rest is one file. Without a commit since it was opened, closing writes nothing.
    ///
    /// Closing again does nothing. Where it is refused, the handle goes on as before, and can be closed later. A handle that is
    /// closed keeps some memory until it is dropped, and nothing of the file.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`]: it is called by what is told of the progress of a long operation, or by the source that
    /// this replica follows; nothing is closed. Any other error: the database is closed, and what is said of its last commits
    /// is so; calling it again says the same.
    pub fn close(&self) -> Result<()> {
        self.require_may_close()?;
        self.handle.close()
    }

    fn require_may_close(&self) -> Result<()> {
        require_no_report("close")?;
        self.handle.file.require_not_asked("close")
    }

    /// As [`Database::close`]. If this open made the database, and nothing was committed to it since, nothing of it is left:
    /// for whoever opens one to fill it, and then is refused what it was to be filled with.
    pub fn abandon(&self) -> Result<()> {
        self.require_may_close()?;
        self.handle.file.engine.opened.set_unwanted(true);
        self.handle.close()
    }

    /// Begins a write transaction.
    #[track_caller]
    pub fn begin(&self) -> Result<Transaction> {
        let engine = self.engine()?;
        engine.require_writer()?;
        self.if_still_open(engine.begin(self.handle.lease.clone(), Site::caller()))
    }

    /// Fails where a commit of this handle would be refused now, whatever it changes: for who is about to do work for one.
    ///
    /// # Errors
    /// [`ErrorCode::StalePrimary`]: another node took over, or this is a replica's file that was opened as a primary.
    /// [`ErrorCode::ReplicaReadOnly`], [`ErrorCode::ReadOnly`].
    /// [`ErrorCode::NotFound`], [`ErrorCode::Corrupt`]: the file was removed or replaced, cut or written over while it was open.
    pub fn require_commits(&self) -> Result<()> {
        drop(self.begin()?);
        self.engine()?.require_in_place()?;
        self.engine()?.require_leading(self.lease())
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
    #[track_caller]
    pub fn begin_after(&self, pending: &Pending) -> Result<Transaction> {
        let engine = self.engine()?;
        engine.require_writer()?;
        let (lease, after) = (self.handle.lease.clone(), pending.in_flight(engine)?);
        self.if_still_open(engine.begin_after(lease, Site::caller(), after))
    }

    /// A read-only snapshot of the last published state.
    #[track_caller]
    pub fn snapshot(&self) -> Result<View> {
        self.if_still_open(self.engine()?.lend_view(Site::caller()))
    }

    /// The indexes that are defined, in the order in which they came.
    pub fn indexes(&self) -> Result<Vec<Index>> {
        Ok(self.engine()?.view().indexes())
    }

    /// Runs `f` in a transaction and commits it if `f` succeeds; if it fails, or panics, nothing has happened. `f` fails with
    /// any error that an [`Error`] converts into, the caller's own. Where nothing else says which, the closure does:
    /// `|tx| -> Result<_> { … }`.
    ///
    /// ```
    /// use kitedb_core::{Database, GraphRead, OpenOptions};
    ///
    /// #[derive(Debug)]
    /// enum Refused {
    ///     Taken(String),
    ///     Engine(kitedb_core::Error),
    /// }
    ///
    /// impl From<kitedb_core::Error> for Refused {
    ///     fn from(e: kitedb_core::Error) -> Self {
    ///         Self::Engine(e)
    ///     }
    /// }
    ///
    /// fn register(db: &Database, name: String) -> Result<(), Refused> {
    ///     db.transaction(|tx| {
    ///         if tx.node_by_key(&name)?.is_some() {
    ///             return Err(Refused::Taken(name));
    ///         }
    ///         tx.create_node(Some(&name))?;
    ///         Ok(())
    ///     })
    /// }
    ///
    /// # fn main() -> Result<(), Refused> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// let db = Database::open(dir.path().join("members.kitedb"), OpenOptions::new())?;
    /// register(&db, "ada".to_owned())?;
    /// assert!(matches!(register(&db, "ada".to_owned()), Err(Refused::Taken(_))));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// That of `f`; those of [`Database::begin`] and [`Transaction::commit`].
    #[track_caller]
    pub fn transaction<T, E: From<Error>>(&self, f: impl FnOnce(&mut Transaction) -> Result<T, E>) -> Result<T, E> {
        Ok(self.attempt(f)??)
    }

    /// As [`Database::transaction`], running `f` again, on a new snapshot, when another transaction committed first what
    /// this one writes ([`Error::is_conflict`]); at most `attempts` times in all. What `f` itself fails with ends
    /// it at once, and so does a commit that comes too late ([`ErrorCode::SnapshotExpired`]).
    ///
    /// # Errors
    /// As [`Database::transaction`]; [`ErrorCode::InvalidArgument`]: `attempts` is 0.
    #[track_caller]
    pub fn transaction_with_retry<T, E: From<Error>>(
        &self,
        attempts: u32,
        mut f: impl FnMut(&mut Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        if attempts == 0 {
            return Err(Error::invalid("attempts is 0: give a whole number from 1 on").into());
        }
        let mut left = attempts;
        loop {
            left -= 1;
            match self.attempt(&mut f)? {
                Err(e) if e.is_conflict() && left > 0 => {}
                result => return Ok(result?),
            }
        }
    }

    /// Runs `f` in a transaction and commits it. The outer error is that of `f`, or of the beginning; the inner one that of
    /// the commit.
    #[track_caller]
    fn attempt<T, E: From<Error>>(&self, f: impl FnOnce(&mut Transaction) -> Result<T, E>) -> Result<Result<T>, E> {
        let mut tx = self.begin()?;
        let value = f(&mut tx)?;
        Ok(tx.commit().map(|_| value))
    }

    /// Begins a bulk load: transactions of `elements_per_commit` elements each, committed one after the other.
    #[track_caller]
    pub fn begin_bulk(&self, elements_per_commit: usize) -> Result<BulkLoader> {
        BulkLoader::new(self.clone(), elements_per_commit, Watch::nobody())
    }

    /// As [`Database::begin_bulk`], under the eyes of `watch`. Where that one ends it, the batches that were committed stay, and
    /// the one that is not full is given up ([`BulkLoader::last_token`] names the last one that counts).
    #[track_caller]
    pub fn begin_bulk_with(&self, elements_per_commit: usize, watch: &Watch) -> Result<BulkLoader> {
        BulkLoader::new(self.clone(), elements_per_commit, watch.clone())
    }

    /// Writes what is only in the log to the file. Commits and reads go on meanwhile.
    pub fn checkpoint(&self) -> Result<()> {
        self.checkpoint_with(&Watch::nobody())
    }

    /// As [`Database::checkpoint`], under the eyes of `watch`. Where that one ends it, everything is where it was, and the next
    /// checkpoint writes it. One that is under way already, which `watch` does not end, is waited for first.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`]; those of [`Database::checkpoint`].
    pub fn checkpoint_with(&self, watch: &Watch) -> Result<()> {
        let engine = self.engine()?;
        engine.require_writable()?;
        engine.checkpoint_watched(watch)
    }

    /// Merges all runs of the file into one, after a checkpoint. Commits and reads go on meanwhile.
    pub fn compact(&self) -> Result<()> {
        self.compact_with(&Watch::nobody())
    }

    /// As [`Database::compact`], under the eyes of `watch`. Where that one ends it, the checkpoint is made or not, and the runs
    /// are as they were before the merge; what was written of a new one is free space again.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`]; those of [`Database::compact`].
    pub fn compact_with(&self, watch: &Watch) -> Result<()> {
        self.checkpoint_with(watch)?;
        self.engine()?.compact_fully(watch)
    }

    /// Merges runs where the size tiers ask for it, one merge at most. Returns whether there was one to do.
    pub fn compact_step(&self) -> Result<bool> {
        let engine = self.engine()?;
        engine.require_writable()?;
        engine.compact_once(&Watch::nobody())
    }

    /// Makes every commit so far durable, whatever the sync mode.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`], [`ErrorCode::Corrupt`]: the commits are durable in the log, and the file that they belong to was
    /// removed, replaced, cut or written over.
    pub fn sync(&self) -> Result<()> {
        let engine = self.engine()?;
        engine.sync()?;
        engine.require_in_place()
    }

    /// Reads everything and verifies every checksum and every invariant.
    pub fn check(&self) -> Result<CheckReport> {
        self.check_with(&Watch::nobody())
    }

    /// As [`Database::check`], under the eyes of `watch`, which can end it: then there is no report.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`]; those of [`Database::check`].
    pub fn check_with(&self, watch: &Watch) -> Result<CheckReport> {
        let file = self.file()?;
        let mut report = file.engine.check(watch)?;
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

    /// Whether what was published since is nothing: a handle that was opened for reading only shows the state of that moment, or of its
    /// last [`Database::refresh`]. `true` for one that writes. It costs some reads of the header, and holds nobody up.
    ///
    /// ```
    /// use kitedb_core::{Database, GraphRead, OpenOptions};
    /// # fn main() -> kitedb_core::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("social.kitedb");
    /// let db = Database::open(&path, OpenOptions::new())?;
    /// db.transaction(|tx| tx.create_node(Some("ada")))?;
    /// let reader = Database::open(&path, OpenOptions::new().read_only(true))?;
    /// assert!(reader.is_current()?);
    /// db.transaction(|tx| tx.create_node(Some("charles")))?;
    /// assert!(!reader.is_current()?);
    /// assert!(reader.refresh()?);
    /// assert_eq!(reader.snapshot()?.count_nodes(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::Closed`]; those of reading the header of the file, as where it is gone.
    pub fn is_current(&self) -> Result<bool> {
        self.engine()?.shows_newest()
    }

    /// Brings a handle that was opened for reading only up to what is published now: reads that begin later show it, views and
    /// transactions go on as they began. Returns whether it shows everything then. `false`: what comes next is not in the log that it
    /// has read, as after each checkpoint of the process that writes; open another one. It costs what the commits in between do, and
    /// holds nobody up. `true` for one that writes, of which nothing changes.
    ///
    /// What a handle says of its part in replication stays as it was at its open.
    ///
    /// # Errors
    /// [`ErrorCode::Closed`]; those of reading the header of the file and its log, as where one of them is gone.
    pub fn refresh(&self) -> Result<bool> {
        self.engine()?.catch_up()
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
