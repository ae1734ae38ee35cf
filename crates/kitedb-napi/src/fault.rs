//! Errors as the JavaScript side makes a `KiteDbError` of them.

use crate::{ops::respelled, wire::Writer};
use kitedb::{Error, ErrorCode, ErrorKind, telemetry::TelemetryError};

/// What an operation fails with.
#[derive(Debug)]
pub enum Fault {
    Engine(Error),
    Telemetry(Box<TelemetryError>),
}

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

/// The result of an operation.
pub type Outcome<T = ()> = Result<T, Fault>;

impl Fault {
    /// Code, kind, whether to try again, message, and the fields that are known.
    pub fn put(&self, w: &mut Writer<'_>) {
        match self {
            Self::Engine(e) => {
                let again = matches!(e.kind(), ErrorKind::RetryTransaction | ErrorKind::RetryLater);
                let respell = matches!(e.code(), ErrorCode::InvalidOption | ErrorCode::InvalidArgument);
                let message = if respell { respelled(&e.to_string()) } else { e.to_string() };
                head(w, e.code().as_str(), e.kind(), again, &message);
                let fields = e.fields();
                w.object(fields.len());
                for (name, text) in fields {
                    w.field(name);
                    match (name, text.parse()) {
                        ("epoch" | "pid", Ok(number)) => w.number(number),
                        _ => w.value(kitedb::ValueRef::String(&text)),
                    }
                }
            }
            Self::Telemetry(e) => {
                let message = match **e {
                    TelemetryError::InvalidOption(ref what) => respelled(what),
                    ref e => e.to_string(),
                };
                head(w, e.code(), e.kind(), e.is_retryable(), &message);
                let status = e.status_code();
                w.object(status.iter().len());
                if let Some(status) = status {
                    w.field("status_code");
                    w.number(status.into());
                }
            }
        }
    }
}

fn head(w: &mut Writer<'_>, code: &str, kind: ErrorKind, again: bool, message: &str) {
    w.text(code);
    w.text(kind.as_str());
    w.bool(again);
    w.text(message);
}
