//! What can go wrong with a push, sorted by what the caller should do.

use kitedb_core::ErrorKind;
use std::{error::Error, io};

/// The result of everything here that can fail.
pub type Result<T, E = TelemetryError> = std::result::Result<T, E>;

/// No text of these holds a secret: endpoints come without credentials and query, bodies are cut short.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// An option, the endpoint or a TLS file is not valid: fix it. Nothing was sent.
    #[error("{0}")]
    InvalidOption(String),
    /// The bytes to push are no OTLP metrics. Nothing was sent.
    #[error("{0}")]
    InvalidPayload(String),
    /// The collector answered over HTTP that it does not take the metrics.
    #[error("OTLP collector at {endpoint} refused replication metrics: status {status}, body: {body}")]
    Rejected {
        /// Where, without credentials.
        endpoint: String,
        /// The HTTP status.
        status: u16,
        /// What it said, cut to 1 KiB.
        body: String,
        /// Whether OTLP allows to try it again later.
        retryable: bool,
        /// How often it was tried.
        attempts: u32,
    },
    /// The collector answered over gRPC that it does not take the metrics.
    #[error("OTLP collector at {endpoint} rejected replication metrics over gRPC: {code}: {message}")]
    RejectedGrpc {
        /// Where, without credentials.
        endpoint: String,
        /// The name of the gRPC code, such as `UNAVAILABLE`.
        code: &'static str,
        /// What it said, cut to 1 KiB.
        message: String,
        /// Whether OTLP allows to try it again later.
        retryable: bool,
        /// How often it was tried.
        attempts: u32,
    },
    /// No usable answer came: the name is not known, nobody listens, the certificate is not trusted, the answer broke
    /// off or is too long. The text tells which, with the phrase `OTLP collector transport error` (HTTP) or
    /// `gRPC transport error`.
    #[error("{phrase} at {endpoint}: {cause}")]
    Transport {
        /// The phrase that tells the transport.
        phrase: &'static str,
        /// Where, without credentials.
        endpoint: String,
        /// The whole chain of causes.
        cause: String,
        /// Whether it may help to try again later.
        retryable: bool,
        /// How often it was tried.
        attempts: u32,
    },
    /// The push was not done within `timeout_ms`. What the last attempt before said, if there was one, is the cause.
    #[error("push to {endpoint} was not done within {timeout_ms} ms ({attempts} attempts): {cause}")]
    DeadlineExceeded {
        /// Where, without credentials.
        endpoint: String,
        /// The bound.
        timeout_ms: u64,
        /// How often it was tried.
        attempts: u32,
        /// What was under way, or what the last attempt said.
        cause: String,
    },
    /// The circuit breaker keeps pushes back. Nothing was sent.
    #[error("circuit breaker open for endpoint {endpoint} until {until_ms}")]
    CircuitOpen {
        /// Where, without credentials.
        endpoint: String,
        /// ms since 1970.
        until_ms: u64,
    },
    /// The circuit breaker lets one push through at a time to see how the collector is, and one is under way.
    #[error("circuit breaker for endpoint {endpoint}: half-open probe already in flight")]
    ProbeInFlight {
        /// Where, without credentials.
        endpoint: String,
    },
    /// The database could not be asked for its metrics.
    #[error(transparent)]
    Database(#[from] kitedb_core::Error),
    /// The exporter was closed, or its process forked.
    #[error("{0}")]
    Closed(String),
    /// The machine has no thread or file descriptor left.
    #[error("{0}")]
    Resources(String),
}

impl TelemetryError {
    /// A stable, machine-readable reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidOption(_) => "INVALID_OPTION",
            Self::InvalidPayload(_) => "INVALID_PAYLOAD",
            Self::Rejected { .. } | Self::RejectedGrpc { .. } => "REJECTED",
            Self::Transport { .. } => "TRANSPORT",
            Self::DeadlineExceeded { .. } => "DEADLINE_EXCEEDED",
            Self::CircuitOpen { .. } => "CIRCUIT_OPEN",
            Self::ProbeInFlight { .. } => "PROBE_IN_FLIGHT",
            Self::Database(e) => e.code().as_str(),
            Self::Closed(_) => "CLOSED",
            Self::Resources(_) => "RESOURCES",
        }
    }

    /// What the caller should do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidOption(_) | Self::InvalidPayload(_) => ErrorKind::Input,
            Self::Database(e) => e.kind(),
            Self::Closed(_) => ErrorKind::Reopen,
            other if other.is_retryable() => ErrorKind::RetryLater,
            _ => ErrorKind::Input,
        }
    }

    /// Whether the same push may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Rejected { retryable, .. }
            | Self::RejectedGrpc { retryable, .. }
            | Self::Transport { retryable, .. } => *retryable,
            Self::DeadlineExceeded { .. }
            | Self::CircuitOpen { .. }
            | Self::ProbeInFlight { .. }
            | Self::Resources(_) => true,
            Self::Database(e) => e.kind() == ErrorKind::RetryLater,
            Self::InvalidOption(_) | Self::InvalidPayload(_) | Self::Closed(_) => false,
        }
    }

    /// The HTTP status with which the collector refused.
    pub fn status_code(&self) -> Option<u16> {
        match self {
            Self::Rejected { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// The chain of causes below an error in words, without saying anything twice. The first one only names a library.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    each_cause(error, &mut |cause| {
        let text = cause.to_string();
        if !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
    });
    said.join(": ")
}

/// Shows an error and what caused it, from the outside inwards.
pub(crate) fn each_cause(error: &(dyn Error + 'static), look: &mut dyn FnMut(&(dyn Error + 'static))) {
    let mut next = Some(error);
    while let Some(cause) = next {
        look(cause);
        // An I/O error that wraps another one skips it in its own chain.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => cause.source(),
        };
    }
}
