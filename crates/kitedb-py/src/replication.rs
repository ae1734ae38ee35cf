//! Replication: what primaries and replicas are asked and told, and what an operator says of files.

use crate::{
    blocking::long,
    calls::{self, Path},
    database::{Database, Db},
    errors::Outcome,
    options::{self, PyOpenOptions},
    report::Report,
    transaction::ExportedSnapshot,
};
use kitedb::{Token, TokenWait, Watch, io::Env, transport::TransportJson};
use pyo3::{prelude::*, types::PyDict};
use std::sync::Arc;

fn answered<'py, T: Report + Send>(
    py: Python<'py>,
    f: impl FnOnce(&Watch) -> kitedb::Result<T> + Send,
) -> Outcome<Bound<'py, PyAny>> {
    long(py, move |watch| {
        watch.require_uncancelled()?;
        Ok(f(watch)?)
    })?
    .report(py)
}

/// What failed, as the bindings say it.
trait Failed {
    fn failed(self, what: &str) -> Self;
}

impl<T> Failed for kitedb::Result<T> {
    fn failed(self, what: &str) -> Self {
        self.map_err(|e| e.context(what))
    }
}

const SNAPSHOT: &str = "Failed to export replication snapshot";
const LOG: &str = "Failed to export replication log";
const WAITING: &str = "Failed waiting for token";
const PROMOTE: &str = "Failed to promote primary";
const BOOTSTRAP: &str = "Failed to bootstrap replica";

fn token(text: &str) -> Outcome<Token> {
    Ok(text.parse().map_err(|e: kitedb::Error| e.context("Invalid token").context(WAITING))?)
}

/// Primaries.
#[pymethods]
impl Database {
    /// What the primary knows of itself and its replicas; None if this is none.
    fn primary_replication_status<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        self.ask(py, |db, _| db.primary_replication_status())
    }

    /// Takes in how far a replica is that cannot report itself. Raises `EPOCH_MISMATCH`, `STALE_PRIMARY`, `NOT_PRIMARY`.
    fn primary_report_replica_progress(
        &self,
        py: Python<'_>,
        replica_id: &str,
        #[pyo3(from_py_with = calls::whole)] epoch: u64,
        #[pyo3(from_py_with = calls::whole)] applied_log_index: u64,
    ) -> Outcome {
        let report = || self.db.primary_report_replica_progress(replica_id, epoch, applied_log_index);
        Ok(py.detach(report).failed("Failed to report replica progress")?)
    }

    /// Forgets a replica, by its id, name or path. Returns whether it was known.
    fn primary_remove_replica(&self, py: Python<'_>, replica: &str) -> Outcome<bool> {
        Ok(self.ask(py, |db, _| db.primary_remove_replica(replica))?.extract()?)
    }

    /// Lets go of the segments of the log that nobody asks for.
    fn primary_run_retention<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        self.ask(py, |db, _| db.primary_run_retention().failed("Failed to run retention"))
    }

    /// Begins the next epoch: every other handle to this log is fenced. Returns it.
    fn primary_promote_to_next_epoch(&self, py: Python<'_>) -> Outcome<u64> {
        Ok(self.ask(py, |db, _| db.primary_promote_to_next_epoch().failed(PROMOTE))?.extract()?)
    }

    /// The same by an operator's word, without what others have and this node lacks.
    fn primary_promote_by_force(&self, py: Python<'_>) -> Outcome<u64> {
        Ok(self.ask(py, |db, _| db.primary_promote_by_force().failed(PROMOTE))?.extract()?)
    }

    /// The nodes that lead in place of this primary, or hold what it lacks. Best first.
    fn primary_rivals<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        self.ask(py, |db, _| db.primary_rivals())
    }

    /// The source that this primary followed before it took over.
    fn took_over_from<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        py.detach(|| self.db.took_over_from())?.report(py)
    }

    /// An image of this database at a new checkpoint, which stays readable until it is released.
    fn primary_export_snapshot(&self, py: Python<'_>) -> Outcome<ExportedSnapshot> {
        let export = long(py, |watch| {
            watch.require_uncancelled()?;
            Ok(self.db.primary_export_snapshot().failed(SNAPSHOT)?)
        })?;
        Ok(ExportedSnapshot(parking_lot::Mutex::new(Some(Arc::new(export)))))
    }

    /// What a copy of this primary at a new checkpoint needs to be known of, as JSON; with `include_data` the copy itself too, in
    /// base64, up to 32 MiB. Raises `NOT_PRIMARY`, `INVALID_ARGUMENT`.
    #[pyo3(signature = (include_data=false))]
    pub fn export_replication_snapshot_transport_json(&self, py: Python<'_>, include_data: bool) -> Outcome<String> {
        long(py, |watch| {
            watch.require_uncancelled()?;
            Ok(self.db.primary_export_snapshot_transport_json(include_data).failed(SNAPSHOT)?)
        })
    }

    /// A page of the log as JSON: the frames after `cursor` (None or blank: from the oldest one on), at most `max_frames` of them with
    /// at most `max_bytes`; without `include_payload` only what each is. Raises `INVALID_CURSOR`, `NOT_PRIMARY`, `INVALID_ARGUMENT`.
    #[pyo3(signature = (cursor=None, max_frames=128, max_bytes=1_048_576, include_payload=true))]
    pub fn export_replication_log_transport_json(
        &self,
        py: Python<'_>,
        cursor: Option<&str>,
        #[pyo3(from_py_with = calls::whole)] max_frames: usize,
        #[pyo3(from_py_with = calls::whole)] max_bytes: usize,
        include_payload: bool,
    ) -> Outcome<String> {
        long(py, |watch| {
            watch.require_uncancelled()?;
            Ok(self.db.primary_export_log_transport_json(cursor, max_frames, max_bytes, include_payload).failed(LOG)?)
        })
    }
}

/// Replicas, and tokens.
#[pymethods]
impl Database {
    /// What the replica knows of itself; None if this is none.
    fn replica_replication_status<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        self.ask(py, |db, _| db.replica_replication_status())
    }

    /// Replaces this replica's graph by a snapshot of its source's, and catches up. An interrupted copy resumes.
    fn replica_bootstrap_from_snapshot(&self, py: Python<'_>) -> Outcome {
        self.ask(py, |db, watch| db.replica_bootstrap_with(watch).failed(BOOTSTRAP)).map(drop)
    }

    /// The same, for a replica that needs a reseed.
    fn replica_reseed_from_snapshot(&self, py: Python<'_>) -> Outcome {
        self.ask(py, |db, watch| db.replica_reseed_with(watch).failed("Failed to reseed replica")).map(drop)
    }

    /// The same, and says what that did to others.
    fn replica_copy_source<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        self.ask(py, |db, watch| db.replica_copy_source_with(watch).failed(BOOTSTRAP))
    }

    /// Pulls and applies up to so many frames (0 counts as 1). Returns how many; 0: there is nothing new.
    fn replica_catch_up_once(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = calls::whole)] max_frames: usize,
    ) -> Outcome<u64> {
        let applied = self.ask(py, |db, _| {
            db.replica_catch_up_once(max_frames).failed("Failed replica catch-up").map(|applied| applied as u64)
        })?;
        Ok(applied.extract()?)
    }

    /// Makes this replica the primary of the next epoch. `force`: also where its source cannot be fenced or read to its end.
    #[pyo3(signature = (force=false))]
    fn replica_promote<'py>(&self, py: Python<'py>, force: bool) -> Outcome<Bound<'py, PyAny>> {
        self.ask(py, |db, _| db.replica_promote(force))
    }

    /// The nodes that lead, or hold commits that this replica lacks.
    fn replica_rivals<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        self.ask(py, |db, _| db.replica_rivals())
    }

    /// Follows another source from now on.
    #[pyo3(signature = (source_db_path, source_sidecar_path=None))]
    fn replica_repoint(&self, py: Python<'_>, source_db_path: Path, source_sidecar_path: Option<Path>) -> Outcome {
        self.ask(py, |db, _| db.replica_repoint(source_db_path.0, source_sidecar_path.map(|path| path.0))).map(drop)
    }

    /// Waits until more than `seen` tries to pull have ended, or its state has changed, for at most `timeout_ms`. Returns how often
    /// that was by then.
    fn replica_wait_for_news(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = calls::whole)] seen: u64,
        #[pyo3(from_py_with = calls::whole)] timeout_ms: u64,
    ) -> Outcome<u64> {
        let db = &self.db;
        long(py, |watch| Ok(db.replica_wait_for_news_with(seen, timeout_ms, watch)?))
    }

    /// Follows the source in the background, until `stop_follower`, a promotion, or close. At most `max_frames` frames are pulled at
    /// once; `poll_ms` is the longest time between two looks at a source that does not wake it; after a failure it waits `backoff_ms`
    /// and, doubling, at most `backoff_max_ms`.
    #[pyo3(signature = (**options))]
    fn start_follower(&self, py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> Outcome {
        let options = options::follower(options)?;
        self.ask(py, |db, _| db.start_follower(options)).map(drop)
    }

    /// Ends the background follower, if there is one, after what it is doing.
    fn stop_follower(&self, py: Python<'_>) -> Outcome {
        self.ask(py, |db, _| db.stop_follower()).map(drop)
    }

    /// Waits until this node shows the commit that a token names, for at most `timeout_ms`. False: it does not.
    #[pyo3(name = "wait_for_token")]
    fn is_token_reached(
        &self,
        py: Python<'_>,
        token: &str,
        #[pyo3(from_py_with = calls::whole)] timeout_ms: u64,
    ) -> Outcome<bool> {
        Ok(self.outcome(py, token, timeout_ms)? == TokenWait::Reached)
    }

    /// The same, saying what came of it: `reached`, `timed_out`, `epoch_changed` (the commit is off this node's history: the write is
    /// gone) or `needs_reseed`.
    #[pyo3(name = "wait_for_token_outcome")]
    fn token_outcome(
        &self,
        py: Python<'_>,
        token: &str,
        #[pyo3(from_py_with = calls::whole)] timeout_ms: u64,
    ) -> Outcome<&'static str> {
        Ok(self.outcome(py, token, timeout_ms)?.as_str())
    }
}

impl Database {
    fn outcome(&self, py: Python<'_>, text: &str, timeout_ms: u64) -> Outcome<TokenWait> {
        let token = token(text)?;
        let db = &self.db;
        long(py, |watch| Ok(db.wait_for_token_outcome_with(token, timeout_ms, watch).failed(WAITING)?))
    }
}

/// What an operator says of files that nobody has open.
#[pymethods]
impl Database {
    /// Makes the file at a path a database of its own, stand-alone.
    #[staticmethod]
    #[pyo3(signature = (path, options=None, **kwargs))]
    fn detach<'py>(
        py: Python<'py>,
        path: Path,
        options: Option<&Bound<'py, PyOpenOptions>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> Outcome<Bound<'py, PyAny>> {
        let options = options::open(options, kwargs)?;
        answered(py, move |_| kitedb::Database::detach_in(Env::real(), path.0, options))
    }

    /// Lets a primary lead whose files were copied, moved or restored, in place of the one that it was copied from.
    #[staticmethod]
    #[pyo3(signature = (path, options=None, **kwargs))]
    fn confirm_moved<'py>(
        py: Python<'py>,
        path: Path,
        options: Option<&Bound<'py, PyOpenOptions>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> Outcome<Bound<'py, PyAny>> {
        let options = options::open(options, kwargs)?;
        answered(py, move |_| kitedb::Database::confirm_moved_in(Env::real(), path.0, options))
    }

    /// Mends the log of a database. `dry_run` changes nothing, and says what would be done; `cut_at` gives up what the log held after
    /// that commit; `replication_sidecar_path` says where the log is; `accept_hard_links` repairs a file with several.
    #[staticmethod]
    #[pyo3(signature = (path, **options))]
    fn repair<'py>(py: Python<'py>, path: Path, options: Option<&Bound<'py, PyDict>>) -> Outcome<Bound<'py, PyAny>> {
        let options = options::repair(options)?;
        answered(py, move |watch| kitedb::Database::repair(path.0, options.watched_by(watch)))
    }

    /// Forgets a replica of the database at a path, whether or not a process has it open. Returns its id.
    #[staticmethod]
    #[pyo3(signature = (path, replica, options=None, **kwargs))]
    fn remove_replica_at<'py>(
        py: Python<'py>,
        path: Path,
        replica: &str,
        options: Option<&Bound<'py, PyOpenOptions>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> Outcome<Bound<'py, PyAny>> {
        let options = options::open(options, kwargs)?;
        answered(py, move |_| kitedb::Database::remove_replica_at(path.0, &options, replica))
    }

    /// Takes the operator's word that the replicas which are registered there are all that there are.
    #[staticmethod]
    #[pyo3(signature = (path, options=None, **kwargs))]
    fn confirm_replicas_at(
        py: Python<'_>,
        path: Path,
        options: Option<&Bound<'_, PyOpenOptions>>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> Outcome {
        let options = options::open(options, kwargs)?;
        answered(py, move |_| kitedb::Database::confirm_replicas_at(path.0, &options)).map(drop)
    }

    /// Lets go of the segments of the log of the database at a path that nobody asks for. `windows` is what is kept in place of what
    /// the process that has it open keeps: a dict with `min_entries`, `min_ms`, `max_bytes`, `max_lag_ms`, each where it is said.
    #[staticmethod]
    #[pyo3(signature = (path, windows=None, options=None, **kwargs))]
    fn run_retention_at<'py>(
        py: Python<'py>,
        path: Path,
        windows: Option<&Bound<'py, PyDict>>,
        options: Option<&Bound<'py, PyOpenOptions>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> Outcome<Bound<'py, PyAny>> {
        let (options, windows) = (options::open(options, kwargs)?, options::windows(windows)?);
        answered(py, move |_| kitedb::Database::run_retention_at(path.0, &options, &windows))
    }
}

/// Compares two databases, each as it is now.
#[pyfunction]
pub fn compare<'py>(py: Python<'py>, a: Db<'py>, b: Db<'py>) -> Outcome<Bound<'py, PyAny>> {
    let (a, b) = (&a.get().db, &b.get().db);
    answered(py, |watch| kitedb::compare_with(a, b, watch))
}

/// Compares two databases, each as it is now, reading and comparing every element.
#[pyfunction]
pub fn compare_deep<'py>(py: Python<'py>, a: Db<'py>, b: Db<'py>) -> Outcome<Bound<'py, PyAny>> {
    let (a, b) = (&a.get().db, &b.get().db);
    answered(py, |watch| kitedb::compare_deep_with(a, b, watch))
}

/// What a copy of this primary at a new checkpoint needs to be known of, as JSON; with `include_data` the copy itself too, in
/// base64, up to 32 MiB. Raises `NOT_PRIMARY`, `INVALID_ARGUMENT`.
#[pyfunction]
#[pyo3(signature = (db, include_data=false))]
pub fn collect_replication_snapshot_transport_json(py: Python<'_>, db: Db<'_>, include_data: bool) -> Outcome<String> {
    db.get().export_replication_snapshot_transport_json(py, include_data)
}

/// A page of the log as JSON: the frames after `cursor` (None or blank: from the oldest one on), at most `max_frames` of them with at
/// most `max_bytes`; without `include_payload` only what each is. Raises `INVALID_CURSOR`, `NOT_PRIMARY`, `INVALID_ARGUMENT`.
#[pyfunction]
#[pyo3(signature = (db, cursor=None, max_frames=128, max_bytes=1_048_576, include_payload=true))]
pub fn collect_replication_log_transport_json(
    py: Python<'_>,
    db: Db<'_>,
    cursor: Option<&str>,
    #[pyo3(from_py_with = calls::whole)] max_frames: usize,
    #[pyo3(from_py_with = calls::whole)] max_bytes: usize,
    include_payload: bool,
) -> Outcome<String> {
    db.get().export_replication_log_transport_json(py, cursor, max_frames, max_bytes, include_payload)
}
