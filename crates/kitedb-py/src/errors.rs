//! Errors as Python raises them.

use crate::{calls, options::ACCENT, report::dict};
use kitedb::{Error, ErrorCode, telemetry::TelemetryError};
use kitedb_bindings::Failure;
use pyo3::{
    exceptions::{PyException, PyTypeError, PyValueError},
    prelude::*,
    types::PyTuple,
};

/// What a call fails with.
#[derive(Debug)]
pub enum Fault {
    Database(Failure),
    /// Python's own: a wrong argument, or what was raised by what a call called.
    Python(PyErr),
}

/// The result of a call.
pub type Outcome<T = ()> = Result<T, Fault>;

impl From<Error> for Fault {
    fn from(e: Error) -> Self {
        Self::Database(e.into())
    }
}

impl From<TelemetryError> for Fault {
    fn from(e: TelemetryError) -> Self {
        Self::Database(e.into())
    }
}

impl From<PyErr> for Fault {
    fn from(e: PyErr) -> Self {
        Self::Python(e)
    }
}

impl From<pyo3::CastError<'_, '_>> for Fault {
    fn from(e: pyo3::CastError<'_, '_>) -> Self {
        Self::Python(e.into())
    }
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Python(e) => e,
            Fault::Database(failure) => Python::attach(|py| raised(py, &failure).unwrap_or_else(|e| e)),
        }
    }
}

/// The exception: its class is chosen, and made, by the Python side.
fn raised(py: Python<'_>, failure: &Failure) -> PyResult<PyErr> {
    let make = py.import("kitedb._errors")?.getattr("_made")?;
    let (again, message) = (failure.is_retryable(), failure.message(&ACCENT));
    let fields = dict(py, &failure.fields())?;
    Ok(PyErr::from_value(calls::call(&make, (failure.code(), failure.kind(), again, message, fields), None)?))
}

/// What the end of a `with` raises. `exc` is what its block raised: that goes on, and what failed at the end is a note of it. (What is no
/// `Exception`, as Ctrl-C is none, ends the program, whatever failed before.)
pub fn left(exc: &Bound<'_, PyTuple>, ended: Outcome) -> Outcome {
    let py = exc.py();
    let Some(raised) = exc.get_item(1).ok().filter(|raised| !raised.is_none()) else { return ended };
    let Err(failed) = ended else { return Ok(()) };
    let failed = PyErr::from(failed);
    if !failed.is_instance_of::<PyException>(py) {
        return Err(failed.into());
    }
    let note = format!("At the end of the block {}: {}", failed.get_type(py).name()?, failed.value(py));
    calls::call(&raised.getattr("add_note")?, (note,), None)?;
    Ok(())
}

/// A panic of the engine, or of this package.
pub fn panicked() -> Fault {
    Error::new(ErrorCode::Internal, "the engine panicked, which is a defect: please report it").into()
}

/// A `TypeError`.
pub fn wrong_type(what: impl std::fmt::Display) -> Fault {
    Fault::Python(PyTypeError::new_err(what.to_string()))
}

/// A `ValueError`.
pub fn wrong_value(what: impl std::fmt::Display) -> Fault {
    Fault::Python(PyValueError::new_err(what.to_string()))
}

/// The name of a value's type, for an error.
pub fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map(|name| name.to_string()).unwrap_or_else(|_| "object".to_owned())
}

/// Something is used that was finished.
pub fn finished(what: &str) -> Error {
    Error::new(ErrorCode::Finished, format_args!("this {what} is done with already: begin another one"))
}

/// Something is used by two calls at once.
pub fn in_use(what: &str) -> Error {
    let what = format_args!("another call works with this {what}: wait until it is done, or begin another one");
    Error::new(ErrorCode::Locked, what)
}
