//! What a collector's answers come to, over gRPC.

use crate::{
    pushing::{attempts, patient, push},
    servers::metrics_service::{Answer, MetricsServer, Offer},
};
use kitedb_telemetry::{OtlpHttpExportResult, OtlpHttpPushOptions, OtlpTransport, TelemetryError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

fn push_to(server: &MetricsServer, options: &OtlpHttpPushOptions) -> Result<OtlpHttpExportResult, TelemetryError> {
    push(OtlpTransport::Grpc, &server.endpoint(), options)
}

fn with_retry_info(code: Code, delay: Duration) -> Answer {
    Answer::Fail(Status::with_error_details(code, "later", ErrorDetails::with_retry_info(Some(delay))))
}

#[test]
fn only_the_codes_of_otlp_are_tried_again() {
    for code in (1..=16).map(Code::from_i32) {
        let again = matches!(
            code,
            Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unavailable
                | Code::DataLoss
        );
        let server = MetricsServer::start(vec![Answer::Fail(Status::new(code, "not\nnow")); 3]);
        let error = push_to(&server, &attempts(3)).unwrap_err();
        assert_eq!(server.calls().len(), if again { 3 } else { 1 }, "{code:?}");
        assert_eq!(error.is_retryable(), again, "{code:?}");
        let TelemetryError::RejectedGrpc { code: name, message, .. } = &error else { panic!("{error:?}") };
        assert_eq!(name.replace('_', "").to_lowercase(), format!("{code:?}").to_lowercase());
        assert_eq!(message, "not now");
        assert!(error.to_string().contains("rejected replication metrics over gRPC"), "{error}");
    }
}

#[test]
fn an_exhausted_collector_is_tried_again_only_if_it_names_a_time() {
    let delay = Duration::from_millis(300);
    let server = MetricsServer::start(vec![with_retry_info(Code::ResourceExhausted, delay)]);
    let asked = Instant::now();
    assert_eq!(push_to(&server, &attempts(2)).unwrap().attempts, 2);
    assert!(asked.elapsed() >= delay);

    for code in [Code::ResourceExhausted, Code::Unavailable] {
        let server = MetricsServer::start(vec![with_retry_info(code, Duration::from_secs(3600))]);
        let error = push_to(&server, &attempts(5)).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("REJECTED", true), "{error}");
        server.only();
    }
}

#[test]
fn partial_success_is_told_and_never_sent_again() {
    let server = MetricsServer::start(vec![Answer::Partial(2, "too old".into()), Answer::Partial(0, "slow".into())]);
    let result = push_to(&server, &attempts(3)).unwrap();
    server.only();
    assert_eq!((result.status_code, result.attempts, result.rejected_data_points), (200, 1, 2));
    assert_eq!(result.partial_error.as_deref(), Some("too old"));
    assert_eq!(result.response_body, "partial_success rejected_data_points=2 error_message=too old");
    let warned = push_to(&server, &attempts(3)).unwrap();
    assert_eq!((warned.rejected_data_points, warned.partial_error.as_deref()), (0, Some("slow")));
}

#[test]
fn answers_over_4_mib_are_refused() {
    for gzip in [false, true] {
        let long = Answer::Partial(1, "x".repeat((4 << 20) + 1));
        let server = MetricsServer::offer(vec![long], Offer { gzip, ..Offer::default() });
        let error = push_to(&server, &attempts(3)).unwrap_err();
        assert!(error.to_string().starts_with("gRPC transport error"), "{error}");
        assert!(!error.is_retryable());
        server.only();
    }
}

#[test]
fn what_is_no_otlp_is_refused_before_the_network_and_before_tls_files() {
    let server = MetricsServer::start(vec![]);
    let mut options = patient();
    options.tls.ca_cert_pem_path = Some("/no/such/file".into());
    let error = kitedb_telemetry::push_replication_metrics_otel_grpc_payload_with_options(
        b"\xff\xff\xff",
        &server.endpoint(),
        &options,
    )
    .unwrap_err();
    assert!(error.to_string().contains("Invalid OTLP protobuf payload"), "{error}");
    assert_eq!(error.code(), "INVALID_PAYLOAD");
    assert!(server.calls().is_empty());
}

#[test]
fn a_collector_that_went_away_and_came_back_is_reached_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let pusher = kitedb_telemetry::OtlpPusher::new(OtlpTransport::Grpc, &endpoint, &attempts(1)).unwrap();
    let bytes = crate::pushing::payload(OtlpTransport::Grpc);
    // Connections are accepted and closed at once.
    let gone = std::thread::spawn(move || drop(listener.accept()));
    let error = pusher.push_payload(&bytes).unwrap_err();
    assert!(error.to_string().contains("gRPC transport error") && error.is_retryable(), "{error}");
    gone.join().unwrap();
    let error = pusher.push_payload(&bytes).unwrap_err();
    assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
    assert!(!error.to_string().contains("source:"), "it tells what happened, not how the library prints it: {error}");
}
