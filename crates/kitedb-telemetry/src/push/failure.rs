//! What an attempt failed with, and which error a push fails with when it was the last one.

use crate::{
    error::{TelemetryError, each_cause},
    health::DropReason,
    retry::{Outcome, Verdict},
};
use std::{error::Error, time::Duration};

/// An attempt that did not succeed. Texts are cut and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    Http {
        status: u16,
        body: String,
        verdict: Verdict,
        outcome: Outcome,
    },
    Grpc {
        code: &'static str,
        message: String,
        verdict: Verdict,
        outcome: Outcome,
    },
    Transport {
        grpc: bool,
        cause: String,
        retryable: bool,
    },
    /// The time of the attempt was over; what was under way.
    Late {
        grpc: bool,
        cause: String,
    },
}

impl Failure {
    /// What it tells of the collector.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Http { outcome, .. } | Self::Grpc { outcome, .. } => *outcome,
            Self::Transport { .. } | Self::Late { .. } => Outcome::Unhealthy,
        }
    }

    /// Whether it may be tried again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Http { verdict, .. } | Self::Grpc { verdict, .. } => matches!(verdict, Verdict::Retry { .. }),
            Self::Transport { retryable, .. } => *retryable,
            Self::Late { .. } => true,
        }
    }

    /// How long the collector asked to be left alone.
    pub fn asked_to_wait(&self) -> Option<Duration> {
        match self {
            Self::Http { verdict: Verdict::Retry { after }, .. }
            | Self::Grpc { verdict: Verdict::Retry { after }, .. } => *after,
            _ => None,
        }
    }

    /// The error of a push that ends with it. `deadline` tells how long that was, if its time was what ended it.
    pub fn into_error(self, endpoint: &str, attempts: u32, deadline: Option<Duration>) -> TelemetryError {
        let retryable = self.is_retryable();
        let endpoint = endpoint.to_owned();
        let phrase = |grpc| if grpc { "gRPC transport error" } else { "OTLP collector transport error" };
        match (self, deadline) {
            (Self::Late { grpc, cause }, Some(within)) => {
                let timeout_ms = millis(within);
                // No answer is a transport error, whatever else it is: who looks for its phrase finds it.
                let cause = format!("{}: {cause}", phrase(grpc));
                TelemetryError::DeadlineExceeded { endpoint, timeout_ms, attempts, cause }
            }
            (Self::Http { status, body, .. }, _) => {
                TelemetryError::Rejected { endpoint, status, body, retryable, attempts }
            }
            (Self::Grpc { code, message, .. }, _) => {
                TelemetryError::RejectedGrpc { endpoint, code, message, retryable, attempts }
            }
            (Self::Transport { grpc, cause, .. } | Self::Late { grpc, cause }, _) => {
                TelemetryError::Transport { phrase: phrase(grpc), endpoint, cause, retryable, attempts }
            }
        }
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Why points are lost with an error; `None`: they never came to be.
pub(crate) fn drop_reason(error: &TelemetryError) -> Option<DropReason> {
    Some(match error {
        TelemetryError::Rejected { .. } | TelemetryError::RejectedGrpc { .. } => DropReason::Rejected,
        TelemetryError::Transport { .. } => DropReason::Transport,
        TelemetryError::DeadlineExceeded { .. } => DropReason::Deadline,
        TelemetryError::CircuitOpen { .. } | TelemetryError::ProbeInFlight { .. } => DropReason::CircuitOpen,
        TelemetryError::InvalidPayload(_) => DropReason::TooLarge,
        _ => return None,
    })
}

/// Whether it cannot help to try again: this side and the collector do not trust each other, or speak another
/// language. Nothing but a change of configuration mends that.
pub(crate) fn is_permanent(error: &(dyn Error + 'static)) -> bool {
    use rustls::{AlertDescription as Alert, Error as Tls};
    let mut permanent = false;
    each_cause(error, &mut |cause| {
        permanent |= match cause.downcast_ref::<Tls>() {
            Some(Tls::AlertReceived(alert)) => !matches!(
                alert,
                Alert::CloseNotify
                    | Alert::UserCanceled
                    | Alert::InternalError
                    | Alert::DecryptError
                    | Alert::BadRecordMac
            ),
            Some(tls) => matches!(
                tls,
                Tls::InvalidCertificate(_)
                    | Tls::InvalidCertRevocationList(_)
                    | Tls::NoCertificatesPresented
                    | Tls::UnsupportedNameType
                    | Tls::PeerIncompatible(_)
                    | Tls::NoApplicationProtocol
                    | Tls::InvalidMessage(_)
            ),
            None => false,
        };
    });
    permanent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::causes;
    use std::io;

    #[test]
    fn a_certificate_that_is_not_trusted_is_found_under_io_errors_and_is_permanent() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let nested = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert!(is_permanent(&nested));
        assert!(causes(&nested).contains("UnknownIssuer"), "{}", causes(&nested));
        assert!(!is_permanent(&io::Error::from(io::ErrorKind::ConnectionReset)));
        assert!(!is_permanent(&rustls::Error::AlertReceived(rustls::AlertDescription::InternalError)));
        assert!(is_permanent(&rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired)));
    }
}
