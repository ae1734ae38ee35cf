//! Errors as Python raises them.

use kitedb::{Error, ErrorCode, ErrorKind, telemetry::TelemetryError};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::PyDict,
};

/// What a call fails with.
#[derive(Debug)]
pub enum Fault {
    Engine(Error),
    Telemetry(Box<TelemetryError>),
    /// Python's own: a wrong argument, or what was raised by what a call called.
    Python(PyErr),
}

/// The result of a call.
pub type Outcome<T = ()> = Result<T, Fault>;

impl From<Error> for Fault {
    fn from(e: Error) -> Self {
        Self::Engine(e)
    }
}

impl From<TelemetryError> for Fault {
    fn from(e: TelemetryError) -> Self {
        match e {
            TelemetryError::Database(e) => Self::Engine(e),
            e => Self::Telemetry(Box::new(e)),
        }
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
            fault => Python::attach(|py| fault.raised(py).unwrap_or_else(|e| e)),
        }
    }
}

impl Fault {
    /// The exception: its class is chosen, and made, by the Python side.
    fn raised(&self, py: Python<'_>) -> PyResult<PyErr> {
        let fields = PyDict::new(py);
        let (code, kind, again, message) = match self {
            Self::Engine(e) => {
                for (name, text) in e.fields() {
                    match (name, text.parse::<u64>()) {
                        ("epoch" | "pid", Ok(number)) => fields.set_item(name, number)?,
                        _ => fields.set_item(name, text)?,
                    }
                }
                let again = matches!(e.kind(), ErrorKind::RetryTransaction | ErrorKind::RetryLater);
                let message = match e.code() {
                    ErrorCode::InvalidOption | ErrorCode::InvalidArgument => respelled(&e.to_string()),
                    _ => e.to_string(),
                };
                (e.code().as_str(), e.kind(), again, message)
            }
            Self::Telemetry(e) => {
                if let Some(status) = e.status_code() {
                    fields.set_item("status_code", status)?;
                }
                let message = match **e {
                    TelemetryError::InvalidOption(ref what) => respelled(what),
                    ref e => e.to_string(),
                };
                (e.code(), e.kind(), e.is_retryable(), message)
            }
            Self::Python(e) => return Ok(e.clone_ref(py)),
        };
        let make = py.import("kitedb._errors")?.getattr("_made")?;
        let made = make.call1((code, kind.as_str(), again, message, fields))?;
        Ok(PyErr::from_value(made))
    }
}

/// A text about an option as the bindings say it.
fn respelled(text: &str) -> String {
    text.replace("must be > 0", "must be positive")
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
