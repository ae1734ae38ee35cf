//! The tables of the OTLP specification: which answers may be tried again.

use super::after::parse_retry_after;
use std::time::Duration;
use tonic::Code;

/// What an answer means for the push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The collector took it.
    Success,
    /// It may be tried again, after `after` if the collector named a time.
    Retry {
        /// What `Retry-After` or `RetryInfo` said.
        after: Option<Duration>,
    },
    /// Trying the same again does not help.
    Permanent,
}

/// What an answer tells of the collector's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It took the push.
    Success,
    /// It did not answer, or answered that it cannot take anything now.
    Unhealthy,
    /// It answered that it does not take this: it is up.
    Refused,
}

/// Sorts an HTTP status. `retry_after` is the header's value; it counts only where OTLP allows to try again: at 429,
/// 502, 503 and 504.
pub fn classify_http(status: u16, retry_after: Option<&str>, now_ms: u64) -> (Verdict, Outcome) {
    match status {
        200..=299 => (Verdict::Success, Outcome::Success),
        429 | 502..=504 => {
            let after = retry_after.and_then(|text| parse_retry_after(text, now_ms));
            (Verdict::Retry { after }, Outcome::Unhealthy)
        }
        408 | 500..=599 => (Verdict::Permanent, Outcome::Unhealthy),
        _ => (Verdict::Permanent, Outcome::Refused),
    }
}

/// Sorts a gRPC code. `retry_info` is the delay of a `google.rpc.RetryInfo` among the status's details; without one,
/// an exhausted resource is not coming back.
pub fn classify_grpc(code: Code, retry_info: Option<Duration>) -> (Verdict, Outcome) {
    let again = (Verdict::Retry { after: retry_info }, Outcome::Unhealthy);
    match code {
        Code::Ok => (Verdict::Success, Outcome::Success),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => again,
        Code::ResourceExhausted if retry_info.is_some() => again,
        Code::ResourceExhausted | Code::Internal | Code::Unknown => (Verdict::Permanent, Outcome::Unhealthy),
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::Unauthenticated => (Verdict::Permanent, Outcome::Refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn retry(after: Option<u64>) -> (Verdict, Outcome) {
        (Verdict::Retry { after: after.map(Duration::from_secs) }, Outcome::Unhealthy)
    }

    #[test]
    fn every_http_status_has_its_place() {
        for status in 100..=999 {
            let expected = match status {
                200..300 => (Verdict::Success, Outcome::Success),
                429 | 502 | 503 | 504 => retry(None),
                408 | 500 | 501 | 505..600 => (Verdict::Permanent, Outcome::Unhealthy),
                _ => (Verdict::Permanent, Outcome::Refused),
            };
            assert_eq!(classify_http(status, None, NOW_MS), expected, "{status}");
            // The header makes nothing retryable that is not.
            let expected = if matches!(expected.0, Verdict::Retry { .. }) { retry(Some(7)) } else { expected };
            assert_eq!(classify_http(status, Some("7"), NOW_MS), expected, "{status} with Retry-After");
        }
    }

    #[test]
    fn garbage_in_retry_after_leaves_the_answer_retryable() {
        assert_eq!(classify_http(503, Some("soon"), NOW_MS), retry(None));
    }

    #[test]
    fn every_grpc_code_has_its_place() {
        use Outcome::{Refused, Success, Unhealthy};
        // Code, whether it is tried again without RetryInfo and with it, and what it tells.
        let table = [
            (Code::Ok, false, false, Success),
            (Code::Cancelled, true, true, Unhealthy),
            (Code::Unknown, false, false, Unhealthy),
            (Code::InvalidArgument, false, false, Refused),
            (Code::DeadlineExceeded, true, true, Unhealthy),
            (Code::NotFound, false, false, Refused),
            (Code::AlreadyExists, false, false, Refused),
            (Code::PermissionDenied, false, false, Refused),
            (Code::ResourceExhausted, false, true, Unhealthy),
            (Code::FailedPrecondition, false, false, Refused),
            (Code::Aborted, true, true, Unhealthy),
            (Code::OutOfRange, true, true, Unhealthy),
            (Code::Unimplemented, false, false, Refused),
            (Code::Internal, false, false, Unhealthy),
            (Code::Unavailable, true, true, Unhealthy),
            (Code::DataLoss, true, true, Unhealthy),
            (Code::Unauthenticated, false, false, Refused),
        ];
        for (number, (code, without, with, outcome)) in table.into_iter().enumerate() {
            assert_eq!(code as usize, number, "the table is complete and in order");
            for (info, again) in [(None, without), (Some(Duration::from_secs(3)), with)] {
                let verdict = match outcome {
                    Success => Verdict::Success,
                    _ if again => Verdict::Retry { after: info },
                    _ => Verdict::Permanent,
                };
                assert_eq!(classify_grpc(code, info), (verdict, outcome), "{code:?} with {info:?}");
            }
        }
    }
}
