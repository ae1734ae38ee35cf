//! Errors as the JavaScript side makes a `KiteDbError` of them.

use crate::{ops::ACCENT, report::put_fields, wire::Writer};
use kitedb::{Error, ErrorCode};
use kitedb_bindings::Failure;

/// What an operation fails with.
pub type Fault = Failure;

/// The result of an operation.
pub type Outcome<T = ()> = Result<T, Fault>;

/// What a call ends with that panicked.
pub fn panicked() -> Error {
    Error::new(ErrorCode::Internal, "the addon of @kitedb/core panicked, which is a defect: please report it")
}

/// Code, kind, whether to try again, message, and the fields that are known.
pub fn put(fault: &Fault, w: &mut Writer<'_>) {
    w.text(fault.code());
    w.text(fault.kind());
    w.bool(fault.is_retryable());
    w.text(&fault.message(&ACCENT));
    put_fields(&fault.fields(), w);
}
