//! What goes wrong, and how it is answered.

use crate::auth::{Denied, Scope};
use axum::{
    Json,
    extract::rejection::BytesRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use kitedb_core::{ErrorCode, ErrorKind, Token};
use serde_json::{Map, Value, json};
use std::{borrow::Cow, error::Error, io};

/// Whether somebody was waited for too long, or something that failed for that.
fn is_late(error: &(dyn Error + 'static)) -> bool {
    let itself = error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
    itself || error.source().is_some_and(is_late)
}

/// Options that cannot be meant as they stand. Nothing was made of them, so nothing is served by them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(Cow<'static, str>);

impl ConfigError {
    pub(crate) fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self(what.into())
    }
}

/// An answer that is no success. Its body is `{"success": false, "error", "code", "kind"}`, and the fields of the engine's error where
/// that has any.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    code: &'static str,
    kind: &'static str,
    message: Cow<'static, str>,
    fields: Vec<(&'static str, String)>,
    /// In seconds.
    retry_after: Option<u32>,
    challenge: bool,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, kind: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { status, code, kind, message, fields: Vec::new(), retry_after: None, challenge: false }
    }

    /// The same for whom nothing is told but what can be done: texts and fields may have paths.
    pub fn untold(self) -> Self {
        let message = format!("{}: whoever may administer this database is told more", self.code).into();
        Self { message, fields: Vec::new(), ..self }
    }

    /// Its name for programs: `LOCKED`.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What was asked cannot be read.
    pub fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "INVALID_ARGUMENT", "input", message)
    }

    /// More than may be sent.
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", "input", message)
    }

    /// A body that could not be read.
    pub fn unread(rejection: &BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::too_large("the body is larger than 2 MiB");
        }
        if is_late(rejection) {
            let what = "the body took too long to arrive";
            return Self::new(StatusCode::REQUEST_TIMEOUT, "TIMEOUT", "retry_later", what);
        }
        Self::malformed("the body cannot be read")
    }

    pub fn no_such_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NO_SUCH_ROUTE", "input", "no such route")
    }

    pub fn no_such_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "NO_SUCH_METHOD", "input", "no such method")
    }

    /// A page of a site had a browser send it.
    pub fn from_page() -> Self {
        let what = "this is not for pages in a browser";
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", "input", what)
    }

    /// The request is for a name that is not this server's.
    pub fn other_host() -> Self {
        let what = "this server is asked by its address or as localhost, and by no other name, where its authentication mode is none";
        Self::new(StatusCode::MISDIRECTED_REQUEST, "FORBIDDEN", "input", what)
    }

    /// As many calls as may run at once are running.
    pub fn busy() -> Self {
        let what = "as many calls as may run at once are running: ask again";
        let busy = Self::new(StatusCode::SERVICE_UNAVAILABLE, "BUSY", "retry_later", what);
        Self { retry_after: Some(1), ..busy }
    }

    /// The server is to end, and waits for nothing any more.
    pub fn stopping() -> Self {
        let what = "this server is ending: ask again, or ask another node";
        let stopping = Self::new(StatusCode::SERVICE_UNAVAILABLE, "STOPPING", "retry_later", what);
        Self { retry_after: Some(1), ..stopping }
    }

    /// What is asked for lies beyond the bytes that there are.
    pub fn beyond_the_end(len: u64) -> Self {
        let what = format!("the answer has {len} bytes, and the range begins behind them");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_NOT_SATISFIABLE", "input", what)
    }

    /// Somebody is admitted, but not to this.
    pub fn lacks(scope: Scope) -> Self {
        let message =
            format!("Forbidden: this needs the scope '{}', which this credential does not have", scope.as_str());
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", "input", message)
    }

    /// Too many credentials from there did not do.
    pub fn too_many_attempts(seconds: u32) -> Self {
        let what =
            "this credential is not admitted, and too many from this address were not: wait before another is tried";
        let limited = Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_ATTEMPTS", "retry_later", what);
        Self { retry_after: Some(seconds), ..limited }
    }

    /// Nobody looked who asks, where that must be known.
    pub fn unasked() -> Self {
        let what = "this route stands where nobody looks who asks";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "bug", what)
    }

    /// A replica is further behind than whoever asks accepts.
    pub fn too_far_behind(lag: u64, most: u64) -> Self {
        let what = format!(
            "this replica is {lag} frames behind its source as it was seen last, and maxLag is {most}: have it pull first"
        );
        Self::new(StatusCode::CONFLICT, "TOO_FAR_BEHIND", "retry_later", what)
    }

    /// Nobody is asked who he is, and it was not said that everybody may write.
    pub fn writes_not_allowed() -> Self {
        let what = "writes are not allowed where the authentication mode is none: set a token, or allow them by name (--allow-writes)";
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", "input", what)
    }

    /// An idempotency key came with another body than before.
    pub fn key_reused() -> Self {
        let what = "this Idempotency-Key came with another body before: a key is for one request and its repetitions";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED", "input", what)
    }

    /// What is waited for did not come in time.
    pub fn token_timeout(token: Token) -> Self {
        let what = format!("commit {token} is not here yet: ask again, or ask the primary");
        let late = Self::new(StatusCode::SERVICE_UNAVAILABLE, "TOKEN_TIMEOUT", "retry_later", what);
        Self { retry_after: Some(1), ..late }
    }

    /// What is waited for will never come.
    pub fn token_off_history(token: Token) -> Self {
        let what = format!(
            "commit {token} is not on this node's history: another writer took over before it got here, or it is of another database; go on without it"
        );
        Self::new(StatusCode::CONFLICT, "TOKEN_OFF_HISTORY", "input", what)
    }

    /// What is waited for will not come before a reseed.
    pub fn token_needs_reseed(token: Token) -> Self {
        let what =
            format!("commit {token} is not here, and this replica needs a reseed to get there: ask another node");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "NEEDS_RESEED", "reseed", what)
    }

    /// A call panicked.
    pub fn panicked() -> Self {
        let what = "the call ended by a panic: see the log of the server";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "bug", what)
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        let why = if denied.forbidden { ": this certificate is not admitted" } else { "" };
        let message = format!("Unauthorized: replication admin auth mode '{}' not satisfied{why}", denied.mode);
        match denied.forbidden {
            true => Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", "input", message),
            false => {
                let refused = Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "input", message);
                Self { challenge: denied.mode != crate::AuthMode::Mtls, ..refused }
            }
        }
    }
}

impl From<kitedb_core::Error> for Failure {
    fn from(error: kitedb_core::Error) -> Self {
        let (code, kind) = (error.code(), error.kind());
        let status = status_of(code, kind);
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE && kind == ErrorKind::RetryLater).then_some(1);
        let failure = Self::new(status, code.as_str(), kind.as_str(), error.to_string());
        Self { fields: error.fields(), retry_after, ..failure }
    }
}

/// What an error of the engine is answered with.
fn status_of(code: ErrorCode, kind: ErrorKind) -> StatusCode {
    match (code, kind) {
        (ErrorCode::DiskFull, _) => StatusCode::INSUFFICIENT_STORAGE,
        (ErrorCode::Corrupt | ErrorCode::Io, _) => StatusCode::INTERNAL_SERVER_ERROR,
        (ErrorCode::TransactionTooLarge, _) => StatusCode::PAYLOAD_TOO_LARGE,
        // Asked again it costs as much.
        (ErrorCode::MemoryLimit | ErrorCode::TimeLimit, _) => StatusCode::UNPROCESSABLE_ENTITY,
        (ErrorCode::InvalidArgument | ErrorCode::InvalidOption | ErrorCode::InvalidCursor, _) => {
            StatusCode::BAD_REQUEST
        }
        (ErrorCode::NodeNotFound | ErrorCode::EdgeNotFound | ErrorCode::NotFound, _) => StatusCode::NOT_FOUND,
        // In another state it would be done: it is no primary, somebody has it open, another node took over.
        (ErrorCode::Locked, _)
        | (_, ErrorKind::Input | ErrorKind::RetryTransaction | ErrorKind::Reseed | ErrorKind::Fenced) => {
            StatusCode::CONFLICT
        }
        (_, ErrorKind::RetryLater | ErrorKind::Reopen | ErrorKind::Cancelled) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut body = Map::from_iter([
            ("success".to_owned(), json!(false)),
            ("error".to_owned(), json!(self.message)),
            ("code".to_owned(), json!(self.code)),
            ("kind".to_owned(), json!(self.kind)),
        ]);
        for (name, text) in self.fields {
            let value = text
                .parse::<u64>()
                .ok()
                .filter(|_| matches!(name, "pid" | "epoch"))
                .map_or(Value::String(text), Value::from);
            body.entry(kitedb_bindings::camel_case(name)).or_insert(value);
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"kitedb replication\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
