//! Scans as Arrow has them: columns, in batches, that pandas, Polars, DuckDB and pyarrow take as they are.
//!
//! | module | owns |
//! |---|---|
//! | `kinds` | what the values of a property are, as far as one column can hold them |
//! | `columns` | the columns of a batch |
//! | `look` | what the columns of a scan are, and its batches where they are few |
//! | `scan` | the rows of a state, batch by batch |

mod columns;
mod kinds;
mod look;
mod scan;

pub use look::look;
pub use scan::{Layout, Scan};

use crate::errors::Outcome;
use arrow_array::{RecordBatchReader, ffi_stream::FFI_ArrowArrayStream};
use arrow_schema::{ArrowError, Schema, ffi::FFI_ArrowSchema};
use kitedb::{Error, ErrorCode};
use pyo3::{prelude::*, types::PyCapsule};

/// The capsule of a stream. Its batches are made as they are asked for, by whoever asks and without the GIL; what is not asked for is
/// given back with the capsule.
pub fn stream_capsule(
    py: Python<'_>,
    reader: impl RecordBatchReader + Send + 'static,
) -> Outcome<Bound<'_, PyCapsule>> {
    let stream = FFI_ArrowArrayStream::new(Box::new(reader));
    Ok(PyCapsule::new_with_value(py, stream, c"arrow_array_stream")?)
}

/// The capsule of what the columns are.
pub fn schema_capsule<'py>(py: Python<'py>, schema: &Schema) -> Outcome<Bound<'py, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(schema).map_err(|e| broken(&e))?;
    Ok(PyCapsule::new_with_value(py, schema, c"arrow_schema")?)
}

/// What was put together wrongly.
fn broken(e: &ArrowError) -> Error {
    Error::new(ErrorCode::Internal, format_args!("a batch of a scan was put together wrongly, which is a defect: {e}"))
}
