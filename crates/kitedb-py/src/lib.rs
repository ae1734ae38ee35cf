//! KiteDB for Python: the native extension of the package `kitedb`, in `bindings-python/`.
//!
//! It converts and decides nothing: every rule, default and error text that is about a database is the engine's.
//!
//! | module | owns |
//! |---|---|
//! | `values`, `temporal` | property values |
//! | `buffers`, `arrays` | numbers as NumPy has them: ids and vectors of many nodes at once |
//! | `elements`, `rows`, `arrow` | nodes and edges, and scans of them |
//! | `reader`, `writer` | what databases, transactions, snapshots and bulk loads have in common |
//! | `database`, `replication`, `transaction` | those |
//! | `telemetry` | metrics |
//! | `options`, `report`, `errors` | keyword arguments, results, exceptions |
//! | `calls` | calls of what is written in Python |
//! | `blocking`, `wake` | calls without the GIL, and what ends them; commits that asyncio awaits |

mod arrays;
mod arrow;
mod blocking;
mod buffers;
mod calls;
mod database;
mod elements;
mod errors;
mod options;
mod reader;
mod replication;
mod report;
mod rows;
mod source;
mod telemetry;
mod temporal;
mod transaction;
mod values;
mod wake;
mod writer;

use pyo3::prelude::*;

#[pymodule]
fn _kitedb(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add_class::<reader::GraphReader>()?;
    m.add_class::<writer::GraphWriter>()?;
    m.add_class::<database::Database>()?;
    m.add_class::<transaction::Transaction>()?;
    m.add_class::<transaction::Snapshot>()?;
    m.add_class::<transaction::PyPending>()?;
    m.add_class::<transaction::PyBulkLoader>()?;
    m.add_class::<transaction::ExportedSnapshot>()?;
    m.add_class::<rows::Rows>()?;
    m.add_class::<elements::Node>()?;
    m.add_class::<elements::Edge>()?;
    m.add_class::<elements::EdgeKey>()?;
    m.add_class::<elements::PyAllTypes>()?;
    m.add("AllTypes", elements::PyAllTypes)?;
    m.add_class::<options::PyOpenOptions>()?;
    m.add_class::<temporal::PyLocalDate>()?;
    m.add_class::<temporal::PyLocalTime>()?;
    m.add_class::<temporal::PyOffsetTime>()?;
    m.add_class::<temporal::PyLocalDateTime>()?;
    m.add_class::<temporal::PyZonedDateTime>()?;
    m.add_class::<temporal::PyDuration>()?;
    m.add_class::<telemetry::Exporter>()?;
    m.add_class::<blocking::PyWatch>()?;
    m.add_class::<wake::Waiters>()?;
    m.add_function(wrap_pyfunction!(replication::compare, m)?)?;
    m.add_function(wrap_pyfunction!(replication::compare_deep, m)?)?;
    m.add_function(wrap_pyfunction!(replication::collect_replication_snapshot_transport_json, m)?)?;
    m.add_function(wrap_pyfunction!(replication::collect_replication_log_transport_json, m)?)?;
    m.add_function(wrap_pyfunction!(telemetry::collect_metrics, m)?)?;
    m.add_function(wrap_pyfunction!(telemetry::health_check, m)?)?;
    m.add_function(wrap_pyfunction!(telemetry::collect_replication_metrics_prometheus, m)?)?;
    m.add_function(wrap_pyfunction!(telemetry::collect_replication_metrics_otel_json, m)?)?;
    m.add_function(wrap_pyfunction!(telemetry::collect_replication_metrics_otel_protobuf, m)?)?;
    m.add_function(wrap_pyfunction!(telemetry::push_replication_metrics_otel_json, m)?)?;
    m.add_function(wrap_pyfunction!(telemetry::push_replication_metrics_otel_protobuf, m)?)?;
    m.add_function(wrap_pyfunction!(telemetry::push_replication_metrics_otel_grpc, m)?)?;
    m.add_function(wrap_pyfunction!(telemetry::start_exporter, m)?)
}
