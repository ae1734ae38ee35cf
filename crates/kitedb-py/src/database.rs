//! Databases: opened, closed, looked after.

use crate::{
    blocking::long,
    calls::{self, Path},
    errors::{Outcome, left, type_name, wrong_type},
    options::{self, PyOpenOptions},
    reader::GraphReader,
    report::Report,
    source::{Owned, Source},
    transaction::{PyBulkLoader, PyPending, Snapshot, Transaction},
    writer::GraphWriter,
};
use kitedb::{Token, Watch};
use pyo3::{
    prelude::*,
    types::{PyDict, PyTuple},
};
use std::{
    ffi::OsString,
    ops::Deref,
    sync::atomic::{AtomicBool, Ordering},
};

/// An open database: reads of its newest state, writes that are a transaction each, and transactions. It never has a hidden current
/// transaction. `Database(path, options, **options)` opens it, making it if it is missing and the options allow that. Raises
/// `LockedError` (with `pid`) while another process has it open for writing.
///
/// As a context manager it is closed at the end of the block.
#[pyclass(frozen, extends = GraphWriter, module = "kitedb")]
pub struct Database {
    pub db: Owned,
    closed: AtomicBool,
}

impl Database {
    fn of(db: kitedb::Database) -> PyClassInitializer<Self> {
        let db = Owned::new(db);
        let reader = GraphReader { source: Source::Database(db.clone()) };
        let this = Self { db, closed: AtomicBool::new(false) };
        PyClassInitializer::from(reader).add_subclass(GraphWriter).add_subclass(this)
    }

    /// Asks the engine what takes long, and tells its answer.
    pub fn ask<'py, T: Report + Send>(
        &self,
        py: Python<'py>,
        f: impl FnOnce(&kitedb::Database, &Watch) -> kitedb::Result<T> + Send,
    ) -> Outcome<Bound<'py, PyAny>> {
        let db: &kitedb::Database = &self.db;
        long(py, move |watch| {
            watch.require_uncancelled()?;
            Ok(f(db, watch)?)
        })?
        .report(py)
    }

    fn end(&self, py: Python<'_>, f: fn(&kitedb::Database) -> kitedb::Result<()>) -> Outcome {
        let ended = py.detach(|| f(&self.db));
        // Only a call from within a long operation is refused, and leaves it open.
        if !ended.as_ref().is_err_and(|e| e.code() == kitedb::ErrorCode::InvalidArgument) {
            self.closed.store(true, Ordering::Release);
        }
        Ok(ended?)
    }
}

/// A database, as an argument of a function.
pub struct Db<'py>(Bound<'py, Database>);

impl<'py> Deref for Db<'py> {
    type Target = Bound<'py, Database>;

    fn deref(&self) -> &Bound<'py, Database> {
        &self.0
    }
}

impl<'py> FromPyObject<'_, 'py> for Db<'py> {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        calls::enter();
        if let Ok(db) = value.cast::<Database>() {
            return Ok(Self(db.to_owned()));
        }
        let found = type_name(&value.to_owned());
        Err(if value.hasattr("blocking")? {
            wrong_type("it is a Database of kitedb.aio: give its .blocking")
        } else {
            wrong_type(format_args!("it is a {found}: give a kitedb.Database"))
        }
        .into())
    }
}

/// How often a transaction is tried.
fn require_attempts(attempts: u32) -> kitedb::Result<u32> {
    match attempts {
        0 => Err(kitedb::Error::invalid("attempts is 0: give a whole number from 1 on")),
        attempts => Ok(attempts),
    }
}

#[pymethods]
impl Database {
    #[new]
    #[pyo3(signature = (path, options=None, **kwargs))]
    fn new(
        py: Python<'_>,
        path: Path,
        options: Option<&Bound<'_, PyOpenOptions>>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> Outcome<PyClassInitializer<Self>> {
        let options = options::open(options, kwargs)?;
        Ok(Self::of(long(py, move |_| Ok(kitedb::Database::open(path.0, options)?))?))
    }

    /// A new database in memory: the same engine and no file.
    #[staticmethod]
    #[pyo3(signature = (options=None, **kwargs))]
    fn in_memory(
        py: Python<'_>,
        options: Option<&Bound<'_, PyOpenOptions>>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> Outcome<Py<Self>> {
        let options = options::open(options, kwargs)?;
        let db = py.detach(|| kitedb::Database::in_memory_with(options))?;
        Ok(Py::new(py, Self::of(db))?)
    }

    /// Whether this handle was not closed.
    #[getter]
    fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    /// Where the file is; what is no UTF-8 of it is as `os.fsdecode` has it.
    #[getter]
    fn path(&self) -> OsString {
        self.db.path().into()
    }

    /// Whether it was opened for reading only.
    #[getter]
    fn read_only(&self) -> bool {
        self.db.is_read_only()
    }

    /// Its part in replication now: a promoted replica is a primary.
    #[getter]
    fn replication_role(&self) -> &'static str {
        self.db.replication_role().as_str()
    }

    /// When a commit is on the disk.
    #[getter]
    fn sync_mode(&self) -> &'static str {
        kitedb_bindings::sync_mode(self.db.sync_mode())
    }

    /// Why less than was committed is shown; None: all is there, as far as an open can tell.
    #[getter]
    fn damage(&self) -> Option<String> {
        self.db.damage().map(|damage| damage.to_string())
    }

    /// Whether what was published since is nothing: a database opened with ``read_only`` shows the state of that moment, or of its last
    /// `refresh`. ``True`` for one that writes. It costs some reads of the header, and holds nobody up.
    fn is_current(&self) -> Outcome<bool> {
        Ok(self.db.is_current()?)
    }

    /// Brings a database opened with ``read_only`` up to what is published now: reads that begin later show it, snapshots and
    /// transactions go on as they began. Returns whether it shows everything then. ``False``: what comes next is not in the log that it
    /// has read, as after each checkpoint of the process that writes; open another one. It costs what the commits in between do, and
    /// holds nobody up. ``True`` for one that writes, of which nothing changes. What it says of its part in replication stays as it was.
    fn refresh(&self, py: Python<'_>) -> Outcome<bool> {
        Ok(self.ask(py, |db, _| db.refresh())?.extract()?)
    }

    /// Whether this is a primary whose files were copied or restored: it does not write before its operator says what it is.
    #[getter]
    fn is_copied(&self) -> bool {
        self.db.is_copied()
    }

    /// Why a look at its replication log tells less than it should.
    #[getter]
    fn replication_log_fault(&self) -> Option<String> {
        self.db.replication_log_fault()
    }

    /// Whether that is that this process lacks a permission: nothing is known to be wrong then.
    #[getter]
    fn replication_log_is_denied(&self) -> bool {
        self.db.replication_log_is_denied()
    }

    /// Raises where a commit of this handle would be refused now, whatever it changes.
    fn require_commits(&self, py: Python<'_>) -> Outcome {
        Ok(py.detach(|| self.db.require_commits())?)
    }

    /// What names the last published commit; None before the first.
    fn last_commit_token(&self) -> Option<String> {
        self.db.last_commit_token().map(Token::full)
    }

    /// The state digest of the newest state: equal for two databases exactly if they hold the same graph.
    fn digest(&self) -> Outcome<String> {
        Ok(self.db.snapshot()?.digest().to_string())
    }

    /// Closes this handle; its transactions do not commit any more. The last one of a file makes a checkpoint. Nothing happens the
    /// second time.
    fn close(&self, py: Python<'_>) -> Outcome {
        self.end(py, kitedb::Database::close)
    }

    /// As `close`; if this open made the database and nothing was committed since, nothing of it is left.
    fn abandon(&self, py: Python<'_>) -> Outcome {
        self.end(py, kitedb::Database::abandon)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*exc))]
    fn __exit__(&self, py: Python<'_>, exc: &Bound<'_, PyTuple>) -> Outcome {
        left(exc, self.close(py))
    }

    /// Begins a transaction, which is an object of its own. `origin` is what statistics call it.
    #[pyo3(signature = (*, origin="python"))]
    fn begin(&self, py: Python<'_>, origin: &str) -> Outcome<Py<Transaction>> {
        let tx = py.detach(|| self.db.begin())?;
        Ok(Transaction::begun(py, &self.db, tx, origin)?)
    }

    /// Begins one that sees a commit which has perhaps not ended.
    #[pyo3(signature = (pending, *, origin="python"))]
    fn begin_after(&self, py: Python<'_>, pending: &Bound<'_, PyPending>, origin: &str) -> Outcome<Py<Transaction>> {
        let after = &pending.get().0;
        let tx = py.detach(|| self.db.begin_after(after))?;
        Ok(Transaction::begun(py, &self.db, tx, origin)?)
    }

    /// As `begin`, for `with db.transaction() as tx`: it commits at the end of the block, and is rolled back by any exception.
    #[pyo3(signature = (*, origin="python"))]
    fn transaction(&self, py: Python<'_>, origin: &str) -> Outcome<Py<Transaction>> {
        self.begin(py, origin)
    }

    /// Calls `f` with a transaction and commits that; where another transaction committed first what this one writes, `f` is called
    /// again on a new snapshot, at most `attempts` times in all. What `f` raises rolls it back, and is raised. Returns what `f`
    /// returned.
    #[pyo3(signature = (attempts, f, *, origin="python"))]
    fn transaction_with_retry<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = calls::whole)] attempts: u32,
        f: &Bound<'py, PyAny>,
        origin: &str,
    ) -> Outcome<Bound<'py, PyAny>> {
        let mut left = require_attempts(attempts)?;
        loop {
            left -= 1;
            let tx = self.begin(py, origin)?;
            let result = calls::call(f, (tx.clone_ref(py),), None);
            let value = match result {
                Ok(value) => value,
                Err(e) => {
                    tx.get().rollback(py);
                    return Err(e.into());
                }
            };
            if value.hasattr("__await__")? {
                tx.get().rollback(py);
                // A coroutine that is never awaited would warn of itself, beside the error.
                if let Some(close) = value.getattr_opt("close")? {
                    close.call0()?;
                }
                return Err(wrong_type(
                    "the function of a transaction returned an awaitable, whose work would end after the commit: use \
                     kitedb.aio; nothing was committed",
                ));
            }
            match tx.get().committed(py) {
                Err(e) if e.is_conflict() && left > 0 => py.check_signals()?,
                committed => return Ok(committed.map(|_| value)?),
            }
        }
    }

    /// A decorator: the function is called with a transaction before its own arguments, as `transaction_with_retry` does.
    fn retry<'py>(
        slf: Bound<'py, Self>,
        #[pyo3(from_py_with = calls::whole)] attempts: u32,
    ) -> Outcome<Bound<'py, PyAny>> {
        require_attempts(attempts)?;
        Ok(slf.py().import("kitedb._retry")?.getattr("decorator")?.call1((slf, attempts))?)
    }

    /// One state, to read from for as long as it is held.
    #[pyo3(signature = (*, origin="python"))]
    fn snapshot(&self, py: Python<'_>, origin: &str) -> Outcome<Py<Snapshot>> {
        Snapshot::of(py, &self.db, origin)
    }

    /// Begins a bulk load: transactions of so many elements each.
    fn begin_bulk(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = calls::whole)] elements_per_commit: usize,
    ) -> Outcome<Py<PyBulkLoader>> {
        let bulk = py.detach(|| self.db.begin_bulk(elements_per_commit))?;
        Ok(PyBulkLoader::begun(py, &self.db, bulk)?)
    }

    /// Writes what is only in the log to the file.
    fn checkpoint(&self, py: Python<'_>) -> Outcome {
        self.ask(py, kitedb::Database::checkpoint_with).map(drop)
    }

    /// Merges all runs of the file into one, after a checkpoint.
    fn compact(&self, py: Python<'_>) -> Outcome {
        self.ask(py, kitedb::Database::compact_with).map(drop)
    }

    /// One merge at most. Returns whether there was one to do.
    fn compact_step(&self, py: Python<'_>) -> Outcome<bool> {
        Ok(self.ask(py, |db, _| db.compact_step())?.extract()?)
    }

    /// Makes every commit so far durable, whatever the sync mode.
    fn sync(&self, py: Python<'_>) -> Outcome {
        Ok(py.detach(|| self.db.sync())?)
    }

    /// Reads everything and verifies every checksum and every invariant.
    fn check<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        self.ask(py, kitedb::Database::check_with)
    }

    /// Counts and sizes.
    fn stats<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        py.detach(|| self.db.stats())?.report(py)
    }

    fn __repr__(&self) -> String {
        let (path, role) = (self.db.path().display(), self.db.replication_role().as_str());
        let state = if !self.is_open() {
            "closed"
        } else if self.db.is_read_only() {
            "open read-only"
        } else {
            "open"
        };
        match role {
            "disabled" => format!("<kitedb.Database '{path}', {state}>"),
            role => format!("<kitedb.Database '{path}', {role}, {state}>"),
        }
    }
}
