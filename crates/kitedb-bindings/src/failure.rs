//! Errors as a language without Rust's types is told them.

use crate::{Accent, Told};
use kitedb_core::{Error, ErrorCode, ErrorKind};
use kitedb_telemetry::TelemetryError;

/// What an operation failed with.
#[derive(Debug)]
pub enum Failure {
    /// Of the engine.
    Engine(Error),
    /// Of what pushes metrics.
    Telemetry(Box<TelemetryError>),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Engine(e)
    }
}

impl From<TelemetryError> for Failure {
    fn from(e: TelemetryError) -> Self {
        match e {
            TelemetryError::Database(e) => Self::Engine(e),
            e => Self::Telemetry(Box::new(e)),
        }
    }
}

impl Failure {
    /// The stable word for what happened: `KEY_TAKEN`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Engine(e) => e.code().as_str(),
            Self::Telemetry(e) => e.code(),
        }
    }

    /// What to do: `retry_transaction`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Engine(e) => e.kind().as_str(),
            Self::Telemetry(e) => e.kind().as_str(),
        }
    }

    /// Whether the same may succeed if it is tried again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Engine(e) => matches!(e.kind(), ErrorKind::RetryTransaction | ErrorKind::RetryLater),
            Self::Telemetry(e) => e.is_retryable(),
        }
    }

    /// What happened, in a sentence. Options and arguments have the names of the caller's language.
    pub fn message(&self, accent: &Accent) -> String {
        match self {
            Self::Engine(e) if matches!(e.code(), ErrorCode::InvalidOption | ErrorCode::InvalidArgument) => {
                accent.respelled(&e.to_string())
            }
            // An option in it is respelled, what follows is a path.
            Self::Engine(e) if e.code() == ErrorCode::ReadOnly => {
                let said = e.to_string();
                let (what, rest) = said.split_at(said.find("read_only").map_or(0, |at| at + "read_only".len()));
                accent.respelled(what) + rest
            }
            Self::Engine(e) => e.to_string().replace(", Database::", ", Database."),
            Self::Telemetry(e) => match **e {
                TelemetryError::InvalidOption(ref what) => accent.respelled(what),
                ref e => e.to_string(),
            },
        }
    }

    /// The fields that are known: texts, and numbers where they are ones.
    pub fn fields(&self) -> Vec<(&'static str, Told)> {
        match self {
            Self::Engine(e) => {
                let told = |(name, text): (&'static str, String)| match (name, text.parse()) {
                    ("epoch" | "pid", Ok(number)) => (name, Told::Unsigned(number)),
                    _ => (name, Told::Text(text)),
                };
                e.fields().into_iter().map(told).collect()
            }
            Self::Telemetry(e) => {
                e.status_code().map(|status| ("status_code", Told::Unsigned(status.into()))).into_iter().collect()
            }
        }
    }
}
