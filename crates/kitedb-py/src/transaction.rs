//! Transactions, snapshots, bulk loads, and commits in flight.

use crate::{
    blocking,
    buffers::room,
    calls,
    errors::{Outcome, finished},
    reader::GraphReader,
    source::{Owned, Shared, Source, let_go, take, with},
    writer::GraphWriter,
};
use kitedb::{BulkLoader, ErrorCode, Pending, ReplicationRole, Token, TransactionHandle, ViewHandle};
use kitedb_bindings::submit_at_once;
use pyo3::{prelude::*, types::PyTuple};
use std::sync::atomic::{AtomicBool, Ordering};

/// Changes that become visible and durable together, at `commit()`. It sees its own writes, and the state as of its beginning.
///
/// As a context manager it commits at the end of the block, and is rolled back by any exception. Given up without a commit it is
/// rolled back. A write that fails changes nothing, and the transaction can go on.
#[pyclass(frozen, extends = GraphWriter, module = "kitedb")]
pub struct Transaction {
    tx: TransactionHandle,
    db: Owned,
    /// Whether its user committed or rolled it back.
    ended: AtomicBool,
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // Rows of it may be held still.
        self.tx.rollback();
    }
}

impl Transaction {
    pub fn begun(py: Python<'_>, db: &Owned, tx: kitedb::Transaction, origin: &str) -> PyResult<Py<Self>> {
        let mut tx = tx;
        tx.set_origin(origin);
        let tx = tx.into_handle();
        let reader = GraphReader { source: Source::Transaction(tx.clone()) };
        let this = Self { tx, db: db.clone(), ended: AtomicBool::new(false) };
        Py::new(py, PyClassInitializer::from(reader).add_subclass(GraphWriter).add_subclass(this))
    }

    pub fn committed(&self, py: Python<'_>) -> kitedb::Result<Token> {
        self.ended.store(true, Ordering::Release);
        py.detach(|| self.tx.commit()).map_err(|e| e.context("Failed to commit"))
    }
}

#[pymethods]
impl Transaction {
    /// Whether it was held for longer than `max_pin_ms` allows: it does not commit.
    #[getter]
    fn is_expired(&self) -> Outcome<bool> {
        match self.tx.with(|tx| Ok(tx.is_expired())) {
            Err(e) if e.code() == ErrorCode::SnapshotExpired => Ok(true),
            expired => Ok(expired?),
        }
    }

    /// How many bytes of the log its commit takes so far: 64 MiB is all that a transaction may.
    #[getter]
    fn log_bytes(&self) -> Outcome<usize> {
        Ok(self.tx.with(|tx| Ok(tx.log_bytes()))?)
    }

    /// Makes the changes visible and, by the sync mode, durable. Returns the token that names them. Raises `ConflictError` if another
    /// transaction that committed first wrote what this one writes; `OUTCOME_UNKNOWN`, `STALE_PRIMARY`, `FINISHED`.
    fn commit(&self, py: Python<'_>) -> Outcome<String> {
        Ok(self.committed(py)?.full())
    }

    /// The same, with the token as `epoch:log_index`; None unless the database is a primary.
    fn commit_with_token(&self, py: Python<'_>) -> Outcome<Option<String>> {
        let token = self.committed(py)?;
        Ok((self.db.replication_role() == ReplicationRole::Primary).then(|| token.to_string()))
    }

    /// Puts the changes into the log, and returns what ends when they are durable and visible.
    fn submit(&self, py: Python<'_>) -> Outcome<PyPending> {
        self.ended.store(true, Ordering::Release);
        Ok(PyPending(py.detach(|| self.tx.submit())?))
    }

    /// As `submit`, where that takes next to no time: it need not wait, and has at most 64 KiB for the log. Raises `WOULD_BLOCK` where it
    /// takes longer: the transaction is as before then.
    fn try_submit(&self, py: Python<'_>) -> Outcome<PyPending> {
        let pending = py.detach(|| submit_at_once(&self.tx));
        if !pending.as_ref().is_err_and(|e| e.code() == ErrorCode::WouldBlock) {
            self.ended.store(true, Ordering::Release);
        }
        Ok(PyPending(pending?))
    }

    /// Gives the changes up. Nothing happens the second time, nor after a commit.
    pub fn rollback(&self, py: Python<'_>) {
        self.ended.store(true, Ordering::Release);
        py.detach(|| self.tx.rollback());
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (exc_type, _exc, _traceback))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        _exc: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> Outcome {
        if !exc_type.is_none() {
            self.rollback(py);
        } else if !self.ended.load(Ordering::Acquire) {
            self.committed(py)?;
        }
        Ok(())
    }

    fn __repr__(&self) -> String {
        let state = if self.ended.load(Ordering::Acquire) { "ended" } else { "open" };
        format!("<kitedb.Transaction of '{}', {state}>", self.db.path().display())
    }
}

/// A commit that is in the log and has perhaps not ended.
#[pyclass(frozen, name = "Pending", module = "kitedb")]
pub struct PyPending(pub Pending);

#[pymethods]
impl PyPending {
    /// What names it.
    #[getter]
    fn token(&self) -> String {
        self.0.token().full()
    }

    /// The same as `epoch:log_index`, which says nothing of whose epoch that is.
    #[getter]
    fn short_token(&self) -> String {
        self.0.token().to_string()
    }

    /// Waits until it has ended. Returns the token, or raises what became of it.
    fn wait(&self, py: Python<'_>) -> Outcome<String> {
        Ok(py.detach(|| self.0.wait())?.full())
    }

    /// The token, if it has ended; None if it has not. Raises what became of it. Waits for nothing.
    fn result(&self, py: Python<'_>) -> Outcome<Option<String>> {
        Ok(py.detach(|| self.0.result()).transpose()?.map(Token::full))
    }

    fn __repr__(&self) -> String {
        format!("<kitedb.Pending {}>", self.0.token())
    }
}

/// One state, which never changes, blocks no writer and is blocked by none. It holds what it shows until it is released: at the end of
/// a `with`, by `release()`, or once nobody has it any more. Until then its database is open, unless that was closed.
#[pyclass(frozen, extends = GraphReader, module = "kitedb")]
pub struct Snapshot(ViewHandle);

impl Snapshot {
    pub fn of(py: Python<'_>, db: &Owned, origin: &str) -> Outcome<Py<Self>> {
        let view = db.snapshot()?.with_origin(origin).into_handle();
        let reader = GraphReader { source: Source::View(view.clone(), db.clone()) };
        Ok(Py::new(py, PyClassInitializer::from(reader).add_subclass(Self(view)))?)
    }
}

#[pymethods]
impl Snapshot {
    /// The last commit that it shows.
    #[getter]
    fn token(&self) -> Outcome<String> {
        Ok(self.0.view()?.token().full())
    }

    /// The state digest: equal for two databases exactly if they hold the same graph.
    #[getter]
    fn digest(&self) -> Outcome<String> {
        Ok(self.0.view()?.digest().to_string())
    }

    /// When the last commit that it shows was made, ms since 1970; 0 before the first.
    #[getter]
    fn commit_ms(&self) -> Outcome<u64> {
        Ok(self.0.view()?.commit_ms())
    }

    /// Whether it was held for longer than `max_pin_ms` allows.
    #[getter]
    fn is_expired(&self) -> Outcome<bool> {
        match self.0.view() {
            Err(e) if e.code() == ErrorCode::SnapshotExpired => Ok(true),
            view => Ok(view?.is_expired()),
        }
    }

    /// Lets go of what it holds. Nothing happens the second time.
    fn release(&self, py: Python<'_>) {
        py.detach(|| self.0.release());
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exc))]
    fn __exit__(&self, py: Python<'_>, _exc: &Bound<'_, PyTuple>) {
        self.release(py);
    }

    fn __repr__(&self) -> String {
        match self.0.view() {
            Ok(view) => format!("<kitedb.Snapshot {}>", view.token()),
            Err(_) => "<kitedb.Snapshot, released>".to_owned(),
        }
    }
}

/// A transaction that commits itself in batches: write to it, and call `step` after each element. Each batch is atomic, the load as a
/// whole is not. As a context manager it finishes at the end of the block; by an exception the batch that is not full is given up.
#[pyclass(frozen, extends = GraphWriter, name = "BulkLoader", module = "kitedb")]
pub struct PyBulkLoader {
    bulk: Shared<BulkLoader>,
    ended: AtomicBool,
    /// It stays open for it.
    _db: Owned,
}

const BULK: &str = "bulk load";

impl PyBulkLoader {
    pub fn begun(py: Python<'_>, db: &Owned, bulk: BulkLoader) -> PyResult<Py<Self>> {
        let bulk = Shared::new(parking_lot::Mutex::new(Some(bulk)));
        let reader = GraphReader { source: Source::Bulk(bulk.clone()) };
        let this = Self { bulk, ended: AtomicBool::new(false), _db: db.clone() };
        Py::new(py, PyClassInitializer::from(reader).add_subclass(GraphWriter).add_subclass(this))
    }

    fn give_up(&self) {
        self.ended.store(true, Ordering::Release);
        // Where another call works with it, that one ends it.
        let given_up = self.bulk.try_lock().and_then(|mut bulk| bulk.take());
        let_go(given_up);
    }
}

impl Drop for PyBulkLoader {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[pymethods]
impl PyBulkLoader {
    /// The last batch that was committed.
    #[getter]
    fn last_token(&self) -> Outcome<Option<String>> {
        Ok(with(&self.bulk, BULK, |bulk| Ok(bulk.last_token()))?.map(Token::full))
    }

    /// Counts an element. Returns the token of the batch if that is full, and committed now.
    fn step(&self, py: Python<'_>) -> Outcome<Option<String>> {
        py.check_signals()?;
        Ok(py.detach(|| with(&self.bulk, BULK, BulkLoader::step))?.map(Token::full))
    }

    /// Commits what is in the batch, and begins the next one.
    fn flush(&self, py: Python<'_>) -> Outcome<String> {
        Ok(py.detach(|| with(&self.bulk, BULK, BulkLoader::flush))?.full())
    }

    /// Commits the last batch.
    fn finish(&self, py: Python<'_>) -> Outcome<String> {
        self.ended.store(true, Ordering::Release);
        Ok(py.detach(|| take(&self.bulk, BULK)?.finish())?.full())
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (exc_type, _exc, _traceback))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        _exc: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> Outcome {
        if !exc_type.is_none() {
            self.give_up();
        } else if !self.ended.load(Ordering::Acquire) {
            self.finish(py)?;
        }
        Ok(())
    }
}

/// An image of a primary's database at a checkpoint: the bytes of a database file that opens like any other.
#[pyclass(frozen, module = "kitedb")]
pub struct ExportedSnapshot(pub parking_lot::Mutex<Option<std::sync::Arc<kitedb::ExportedSnapshot>>>);

impl ExportedSnapshot {
    fn get(&self) -> Outcome<std::sync::Arc<kitedb::ExportedSnapshot>> {
        Ok(self.0.lock().clone().ok_or_else(|| finished("exported snapshot"))?)
    }
}

#[pymethods]
impl ExportedSnapshot {
    /// When it was made, ms since 1970.
    #[getter]
    fn generated_at_ms(&self) -> Outcome<u64> {
        Ok(self.get()?.generated_at_ms())
    }

    /// The epoch of the primary.
    #[getter]
    fn epoch(&self) -> Outcome<u64> {
        Ok(self.get()?.epoch().0)
    }

    /// The last commit of the primary when it was made.
    #[getter]
    fn head_log_index(&self) -> Outcome<u64> {
        Ok(self.get()?.head().0)
    }

    /// The first frame that was in the primary's log still.
    #[getter]
    fn retained_floor(&self) -> Outcome<u64> {
        Ok(self.get()?.retained_floor().0)
    }

    /// The last frame that the image holds.
    #[getter]
    fn checkpoint_log_index(&self) -> Outcome<u64> {
        Ok(self.get()?.checkpoint().0)
    }

    /// How many bytes it has.
    #[getter]
    fn byte_length(&self) -> Outcome<u64> {
        Ok(self.get()?.byte_length())
    }

    /// The state digest.
    #[getter]
    fn digest(&self) -> Outcome<String> {
        Ok(self.get()?.digest().to_string())
    }

    /// The cursor from which pages of the log go on.
    #[getter]
    fn start_cursor(&self) -> Outcome<String> {
        Ok(self.get()?.start_cursor().to_string())
    }

    /// Exactly `length` bytes at `offset`.
    fn read<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = calls::whole)] offset: u64,
        #[pyo3(from_py_with = calls::whole)] length: u32,
    ) -> Outcome<Bound<'py, pyo3::types::PyBytes>> {
        let export = self.get()?;
        let bytes = blocking::long(py, |_| {
            let mut bytes = room(length as usize)?;
            bytes.resize(length as usize, 0);
            export.read_at(&mut bytes, offset)?;
            Ok(bytes)
        })?;
        Ok(pyo3::types::PyBytes::new(py, &bytes))
    }

    /// Lets go of it. Nothing happens the second time.
    fn release(&self) {
        drop(self.0.lock().take());
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exc))]
    fn __exit__(&self, _exc: &Bound<'_, PyTuple>) {
        self.release();
    }
}
