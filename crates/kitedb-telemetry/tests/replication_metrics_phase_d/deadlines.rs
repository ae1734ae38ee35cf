//! Every push ends, whatever the collector does: what is asserted is that it ends, and with what, never when.

use crate::{
    pushing::{TRANSPORTS, guarded, payload, push},
    servers::{
        http_collector::{HttpCollector, Step},
        metrics_service::{Answer, MetricsServer, WithoutTrailers},
    },
};
use kitedb_telemetry::{OtlpHttpPushOptions, OtlpPusher, OtlpTransport, TelemetryError};
use std::net::TcpListener;

fn hurried(retry_max_attempts: u32) -> OtlpHttpPushOptions {
    OtlpHttpPushOptions::new().timeout_ms(400).retry_max_attempts(retry_max_attempts).retry_backoff_ms(1)
}

fn assert_late(error: &TelemetryError, case: &str) {
    let TelemetryError::DeadlineExceeded { timeout_ms, attempts, .. } = error else { panic!("{case}: {error:?}") };
    assert_eq!((*timeout_ms, *attempts, error.is_retryable()), (400, 1, true), "{case}");
    assert!(error.to_string().contains("transport error: "), "{case}: the phrase of the contract: {error}");
}

#[test]
fn a_collector_that_never_answers_ends_the_push() {
    let start = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n";
    for step in [Step::Hang, Step::Drip("HTTP/1.1 20".into()), Step::Send(start.into()), Step::Drip(start.into())] {
        guarded(|| {
            let collector = HttpCollector::start(vec![step]);
            let error = push(OtlpTransport::HttpJson, &collector.endpoint(), &hurried(1)).unwrap_err();
            assert_late(&error, "http");
        });
    }
    guarded(|| {
        let server = MetricsServer::start(vec![Answer::Hang]);
        assert_late(&push(OtlpTransport::Grpc, &server.endpoint(), &hurried(1)).unwrap_err(), "before headers");
    });
    guarded(|| {
        let server = WithoutTrailers::start();
        assert_late(&push(OtlpTransport::Grpc, &server.endpoint(), &hurried(1)).unwrap_err(), "before trailers");
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn a_handshake_that_never_ends_ends_the_push() {
    // The system accepts connections for it; nobody says anything.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for transport in TRANSPORTS {
        for scheme in ["http", "https"] {
            let endpoint = format!("{scheme}://{address}");
            let error = guarded(move || push(transport, &endpoint, &hurried(1)).unwrap_err());
            assert_late(&error, &format!("{transport:?} {scheme}"));
        }
    }
}

#[test]
fn an_attempt_that_hangs_leaves_time_for_the_next_one() {
    guarded(|| {
        // Half of the time each.
        let options = OtlpHttpPushOptions::new().timeout_ms(8_000).retry_max_attempts(2);
        let collector = HttpCollector::start(vec![Step::Hang]);
        assert_eq!(push(OtlpTransport::HttpJson, &collector.endpoint(), &options).unwrap().attempts, 2);
        let server = MetricsServer::start(vec![Answer::Hang]);
        assert_eq!(push(OtlpTransport::Grpc, &server.endpoint(), &options).unwrap().attempts, 2);
    });
}

#[test]
fn attempts_have_a_bound_of_their_own() {
    let options = |attempts| {
        OtlpHttpPushOptions::new()
            .timeout_ms(60_000)
            .attempt_timeout_ms(50)
            .retry_max_attempts(attempts)
            .retry_backoff_ms(0)
    };
    guarded(move || {
        let collector = HttpCollector::start(vec![Step::Hang, Step::Hang, Step::Hang]);
        let error = push(OtlpTransport::HttpJson, &collector.endpoint(), &options(3)).unwrap_err();
        // The push had time left, so this is no deadline.
        let TelemetryError::Transport { attempts, retryable, .. } = &error else { panic!("{error:?}") };
        assert_eq!((*attempts, *retryable), (3, true));
        assert!(error.to_string().contains("no answer came"), "{error}");
    });
    guarded(move || {
        let server = MetricsServer::start(vec![Answer::Hang; 2]);
        let error = push(OtlpTransport::Grpc, &server.endpoint(), &options(2)).unwrap_err();
        assert!(error.to_string().starts_with("gRPC transport error"), "{error}");
    });
}

#[test]
fn a_refusal_whose_body_never_ends_is_the_refusal_still() {
    guarded(|| {
        let head = "HTTP/1.1 400 No\r\ncontent-length: 100\r\n\r\nhalf";
        let collector = HttpCollector::start(vec![Step::Send(head.into())]);
        let options = hurried(1).timeout_ms(4_000);
        let error = push(OtlpTransport::HttpJson, &collector.endpoint(), &options).unwrap_err();
        assert!(error.to_string().contains("status 400, body: half"), "{error}");
    });
}

#[test]
fn a_wait_that_would_outlast_the_time_is_not_begun() {
    guarded(|| {
        let collector = HttpCollector::start(vec![Step::status(503)]);
        let options = hurried(3).retry_backoff_ms(100_000).retry_backoff_max_ms(0);
        let error = push(OtlpTransport::HttpJson, &collector.endpoint(), &options).unwrap_err();
        assert_eq!(error.status_code(), Some(503));
        collector.only();
    });
}

#[test]
fn what_a_silent_collector_does_is_recorded_where_others_see_it() {
    guarded(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("states.json");
        let collector = HttpCollector::start(vec![Step::Hang]);
        let options = hurried(1)
            .circuit_breaker_failure_threshold(1)
            .circuit_breaker_open_ms(600_000)
            .circuit_breaker_state_path(Some(path.display().to_string()))
            .timeout_ms(4_000);
        let pusher = OtlpPusher::new(OtlpTransport::HttpJson, &collector.endpoint(), &options).unwrap();
        let bytes = payload(OtlpTransport::HttpJson);
        assert_eq!(pusher.push_payload(&bytes).unwrap_err().code(), "DEADLINE_EXCEEDED");
        let states: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert!(states[&collector.endpoint()]["open_until_ms"].as_u64().unwrap() > 0, "{states}");
        let error = pusher.push_payload(&bytes).unwrap_err();
        assert_eq!(error.code(), "CIRCUIT_OPEN");
        assert!(error.to_string().contains(&format!("circuit breaker open for endpoint {}", collector.endpoint())));
        collector.only();
    });
}
