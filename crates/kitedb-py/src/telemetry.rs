//! Metrics: as objects, as text for others, and pushed to a collector.

use crate::{
    blocking::long,
    calls,
    database::Db,
    errors::{Outcome, finished, left},
    options,
    report::Report,
};
use kitedb::telemetry::{
    ExporterState, OtlpPusher, OtlpTransport, collect_replication_metrics_otel_json_single_file,
    collect_replication_metrics_otel_protobuf_single_file, render_replication_metrics_prometheus_with_options,
};
use parking_lot::Mutex;
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyTuple},
};
use std::sync::Arc;

/// Figures of everything. Takes no lock that a commit takes.
#[pyfunction]
pub fn collect_metrics<'py>(py: Python<'py>, db: Db<'py>) -> Outcome<Bound<'py, PyAny>> {
    db.get().db.collect_metrics()?.report(py)
}

/// Whether the database is well, and what is wrong if it is not.
#[pyfunction]
pub fn health_check<'py>(py: Python<'py>, db: Db<'py>) -> Outcome<Bound<'py, PyAny>> {
    db.get().db.health_check()?.report(py)
}

/// The replication metrics as Prometheus text. Options: `auth_enabled`, `format` (`text` or `openmetrics`), `names` (`contract` or
/// `linted`), `database_label` (`file_name`, `path` or `none`), `database_name`.
#[pyfunction]
#[pyo3(signature = (db, **options))]
pub fn collect_replication_metrics_prometheus(db: Db<'_>, options: Option<&Bound<'_, PyDict>>) -> Outcome<String> {
    let options = options::prometheus(options)?;
    Ok(render_replication_metrics_prometheus_with_options(&db.get().db.collect_metrics()?, &options))
}

/// The replication metrics as OTLP in JSON.
#[pyfunction]
pub fn collect_replication_metrics_otel_json(db: Db<'_>) -> Outcome<String> {
    Ok(collect_replication_metrics_otel_json_single_file(&db.get().db)?)
}

/// The replication metrics as OTLP in protobuf.
#[pyfunction]
pub fn collect_replication_metrics_otel_protobuf<'py>(py: Python<'py>, db: Db<'py>) -> Outcome<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &collect_replication_metrics_otel_protobuf_single_file(&db.get().db)?))
}

/// What a push is given: the options are looked at before the database is.
fn push<'py>(
    db: &Db<'py>,
    transport: OtlpTransport,
    endpoint: &str,
    timeout_ms: i64,
    bearer_token: Option<&str>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> Outcome<Bound<'py, PyAny>> {
    let py = db.py();
    let given = kwargs.map_or_else(|| Ok(PyDict::new(py)), |kwargs| kwargs.copy())?;
    given.set_item("timeout_ms", timeout_ms)?;
    given.set_item("bearer_token", bearer_token)?;
    let pusher = OtlpPusher::new(transport, endpoint, &options::push(Some(&given))?)?;
    let db = &db.get().db;
    long(py, move |watch| Ok(pusher.push_until(db, watch)?))?.report(py)
}

macro_rules! pushes {
    ($($(#[$doc:meta])* $name:ident: $transport:ident;)*) => {$(
        $(#[$doc])*
        #[pyfunction]
        #[pyo3(signature = (db, endpoint, timeout_ms=5000, bearer_token=None, **options))]
        pub fn $name<'py>(
            db: Db<'py>,
            endpoint: &str,
            #[pyo3(from_py_with = calls::whole)] timeout_ms: i64,
            bearer_token: Option<&str>,
            options: Option<&Bound<'py, PyDict>>,
        ) -> Outcome<Bound<'py, PyAny>> {
            push(&db, OtlpTransport::$transport, endpoint, timeout_ms, bearer_token, options)
        }
    )*};
}

pushes! {
    /// Pushes the replication metrics to a collector over HTTP as JSON, and waits for it, for at most `timeout_ms` (5000) in all.
    push_replication_metrics_otel_json: HttpJson;
    /// The same as protobuf.
    push_replication_metrics_otel_protobuf: HttpProtobuf;
    /// The same over gRPC.
    push_replication_metrics_otel_grpc: Grpc;
}

/// Pushes the metrics of one database on a cadence, from a thread of its own. It keeps neither the database open nor the process.
#[pyclass(frozen, module = "kitedb")]
pub struct Exporter(Mutex<Option<Arc<kitedb::telemetry::Exporter>>>);

impl Exporter {
    /// The exporter, if it is not closed. Its calls may take long: the lock is not held meanwhile.
    fn get(&self) -> Option<Arc<kitedb::telemetry::Exporter>> {
        self.0.lock().clone()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let exporter = self.0.lock().take();
        // It ends its thread, which takes time that the garbage collector has not.
        let released = std::thread::Builder::new().name("kitedb-release".to_owned()).spawn(move || drop(exporter));
        // Without a thread it was dropped here.
        drop(released);
    }
}

#[pymethods]
impl Exporter {
    /// `running`, `database_closed` or `closed`.
    #[getter]
    fn state(&self, py: Python<'_>) -> &'static str {
        py.detach(|| {
            kitedb_bindings::exporter_state(self.get().map_or(ExporterState::Closed, |exporter| exporter.state()))
        })
    }

    /// Why the last push failed; None if it succeeded, or there was none.
    #[getter]
    fn last_error(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| self.get()?.last_error())
    }

    /// What it has done; None once it is closed.
    fn metrics<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        py.detach(|| self.get().map(|exporter| exporter.metrics())).report(py)
    }

    /// Pushes now, and waits for it. Where another thread closes it meanwhile it raises `CLOSED`; ended by a signal it leaves the push
    /// to go on.
    fn flush<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        let exporter = self.get().ok_or_else(|| finished("exporter"))?;
        long(py, move |watch| Ok(exporter.flush_until(watch)?))?.report(py)
    }

    /// Pushes once more, and ends, within `close_timeout_ms`. Nothing happens the second time. A signal ends it at once.
    fn close(&self, py: Python<'_>) -> Outcome {
        let Some(exporter) = self.0.lock().take() else { return Ok(()) };
        long(py, move |watch| Ok(exporter.close_until(watch)?))
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*exc))]
    fn __exit__(&self, py: Python<'_>, exc: &Bound<'_, PyTuple>) -> Outcome {
        left(exc, self.close(py))
    }
}

/// Begins to push the metrics of a database on a cadence: every `interval_ms` (60,000), by `transport` (`json`, `protobuf` or `grpc`);
/// closing takes at most `close_timeout_ms` (5000). The other options are those of a push.
#[pyfunction]
#[pyo3(signature = (db, transport, endpoint, **options))]
pub fn start_exporter(
    db: Db<'_>,
    transport: &str,
    endpoint: &str,
    options: Option<&Bound<'_, PyDict>>,
) -> Outcome<Exporter> {
    let options = options::exporter(options::transport(transport)?, endpoint, options)?;
    let exporter = kitedb::telemetry::start_exporter(&db.get().db, options)?;
    Ok(Exporter(Mutex::new(Some(Arc::new(exporter)))))
}
