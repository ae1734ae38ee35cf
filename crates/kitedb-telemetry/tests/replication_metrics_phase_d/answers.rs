//! What a collector's answers come to, over HTTP.

use crate::{
    pushing::{attempts, guarded, patient, payload, push},
    servers::http_collector::{HttpCollector, Step},
};
use kitedb_telemetry::{
    OtlpHttpExportResult, OtlpHttpPushOptions, OtlpTransport, TelemetryError,
    push_replication_metrics_otel_json_payload_with_options,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use prost::Message as _;
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

const MIB: usize = 1 << 20;

fn push_json(collector: &HttpCollector, options: &OtlpHttpPushOptions) -> Result<OtlpHttpExportResult, TelemetryError> {
    push(OtlpTransport::HttpJson, &collector.endpoint(), options)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzEncoder::new(body, flate2::Compression::best()).read_to_end(&mut out).unwrap();
    out
}

#[test]
fn only_the_statuses_of_otlp_are_tried_again() {
    for status in
        (300..600).filter(|status| status % 7 == 0 || [308, 408, 429, 500, 501, 502, 503, 504].contains(status))
    {
        let collector = HttpCollector::start(vec![Step::answer(status, "", "no\r\nway"); 3]);
        let error = push_json(&collector, &attempts(3)).unwrap_err();
        let again = [429, 502, 503, 504].contains(&status);
        assert_eq!(collector.seen().len(), if again { 3 } else { 1 }, "{status}");
        assert_eq!((error.status_code(), error.is_retryable()), (Some(status), again), "{status}");
        assert!(error.to_string().contains(&format!("status {status}, body: no  way")), "{error}");
        assert_eq!(error.code(), "REJECTED");
    }
}

#[test]
fn every_2xx_is_a_success() {
    for (status, body) in [(200, "{}"), (200, ""), (202, "taken"), (204, "")] {
        let collector = HttpCollector::start(vec![Step::answer(status, "", body)]);
        let result = push_json(&collector, &patient()).unwrap();
        let (code, said): (i64, &str) = (status.into(), body);
        assert_eq!((result.status_code, result.response_body.as_str(), result.attempts), (code, said, 1));
        assert_eq!((result.rejected_data_points, result.partial_error), (0, None));
    }
}

#[test]
fn redirects_are_not_followed_and_are_failures() {
    let elsewhere = HttpCollector::start(vec![]);
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}\r\n", elsewhere.endpoint());
        let collector = HttpCollector::start(vec![Step::answer(status, &location, "")]);
        let options = attempts(3).bearer_token(Some("canary".into()));
        let error = push_json(&collector, &options).unwrap_err();
        assert_eq!((error.status_code(), error.is_retryable()), (Some(status), false));
        collector.only();
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_named_wait_is_kept_and_one_past_the_deadline_ends_the_push() {
    let soon = HttpCollector::start(vec![Step::answer(503, "retry-after: 1\r\n", "")]);
    let asked = tokio::time::Instant::now();
    assert_eq!(push_json(&soon, &attempts(2)).unwrap().attempts, 2);
    // A lower bound only: machines are slow, but no clock runs ahead.
    assert!(asked.elapsed().as_millis() >= 1000);

    for value in ["3600", "Tue, 31 Dec 2199 23:59:59 GMT"] {
        let late = HttpCollector::start(vec![Step::answer(429, &format!("retry-after: {value}\r\n"), "busy")]);
        let error = push_json(&late, &attempts(5)).unwrap_err();
        late.only();
        // The refusal, not the deadline: nothing was waited for.
        assert_eq!((error.status_code(), error.is_retryable()), (Some(429), true), "{value}");
    }
}

#[test]
fn partial_success_is_told_and_never_sent_again() {
    let json = r#"{"partialSuccess":{"rejectedDataPoints":"2","errorMessage":"too old"}}"#;
    let collector = HttpCollector::start(vec![Step::json(json)]);
    let result = push_json(&collector, &attempts(3)).unwrap();
    collector.only();
    assert_eq!((result.rejected_data_points, result.partial_error.as_deref()), (2, Some("too old")));
    assert_eq!((result.response_body.as_str(), result.attempts), (json, 1));

    let partial = ExportMetricsPartialSuccess { rejected_data_points: 1, error_message: "late".into() };
    let body = ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    for (headers, body) in [
        ("content-type: application/x-protobuf\r\n", body.clone()),
        ("content-type: application/x-protobuf\r\ncontent-encoding: gzip\r\n", gzip(&body)),
        // What has no type is taken for what was sent.
        ("", body),
    ] {
        let collector = HttpCollector::start(vec![Step::answer(200, headers, body)]);
        let result = push(OtlpTransport::HttpProtobuf, &collector.endpoint(), &attempts(3)).unwrap();
        collector.only();
        assert_eq!((result.rejected_data_points, result.partial_error.as_deref()), (1, Some("late")));
        assert_eq!(result.response_body, "partial_success rejected_data_points=1 error_message=late");
    }
}

#[test]
fn a_refusal_in_protobuf_is_told_in_words() {
    let status = tonic_types::Status { code: 3, message: "no such tenant".into(), details: Vec::new() };
    let answer = Step::answer(400, "content-type: application/x-protobuf\r\n", status.encode_to_vec());
    let collector = HttpCollector::start(vec![answer]);
    let error = push(OtlpTransport::HttpProtobuf, &collector.endpoint(), &patient()).unwrap_err();
    assert!(error.to_string().contains("status 400, body: no such tenant"), "{error}");
}

#[test]
fn answers_over_4_mib_are_refused_and_errors_quote_1_kib() {
    let gzipped = "content-encoding: gzip\r\n";
    for (answer, what) in [
        (Step::answer(200, "", vec![b'x'; 4 * MIB + 1]), "plain"),
        (Step::answer(200, gzipped, gzip(&vec![b'x'; 4 * MIB + 1])), "bomb"),
        (Step::answer(200, gzipped, "no gzip"), "no gzip"),
        (Step::answer(200, "content-encoding: br\r\n", "?"), "another encoding"),
    ] {
        let collector = HttpCollector::start(vec![answer]);
        let error = push_json(&collector, &attempts(3)).unwrap_err();
        assert!(error.to_string().starts_with("OTLP collector transport error"), "{what}: {error}");
        assert!(!error.is_retryable(), "{what}: {error}");
        collector.only();
    }
    let collector = HttpCollector::start(vec![Step::answer(200, "", vec![b'x'; 4 * MIB])]);
    assert_eq!(push_json(&collector, &patient()).unwrap().response_body.len(), 4 * MIB);

    // Of a refusal the status counts, whatever its body is.
    for body in [vec![b'x'; 5 * MIB], vec![b'x'; 2000]] {
        let collector = HttpCollector::start(vec![Step::answer(400, "", body)]);
        let error = push_json(&collector, &patient()).unwrap_err();
        assert_eq!(error.status_code(), Some(400));
        assert!(error.to_string().contains(&"x".repeat(1024)) && error.to_string().len() < 1200, "{error}");
    }
}

#[test]
fn a_connection_that_breaks_is_a_transport_error_and_tried_again() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n";
    for cut in ["", "HTTP/1.1 2", head, &format!("{head}half of it")] {
        let collector = HttpCollector::start(vec![Step::SendAndClose(cut.into()), Step::SendAndClose(cut.into())]);
        let error = push_json(&collector, &attempts(2)).unwrap_err();
        assert_eq!(collector.seen().len(), 2, "{cut:?}");
        assert!(error.to_string().starts_with("OTLP collector transport error at http://127.0.0.1"), "{error}");
        assert_eq!((error.code(), error.is_retryable()), ("TRANSPORT", true), "{cut:?}");
        // And the third time it holds.
        let collector = HttpCollector::start(vec![Step::SendAndClose(cut.into()), Step::SendAndClose(cut.into())]);
        assert_eq!(push_json(&collector, &attempts(3)).unwrap().attempts, 3, "{cut:?}");
    }
}

#[test]
fn a_refusal_that_is_cut_off_is_the_refusal_still() {
    let cut = "HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\nhalf of it";
    let collector = HttpCollector::start(vec![Step::SendAndClose(cut.into())]);
    let error = push_json(&collector, &patient()).unwrap_err();
    assert!(error.to_string().contains("status 503, body: half of it"), "{error}");
    assert_eq!(push_json(&collector, &patient()).unwrap().attempts, 1);
}

#[test]
fn nobody_there_and_unknown_names_are_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for transport in crate::pushing::TRANSPORTS {
        let phrase =
            if transport == OtlpTransport::Grpc { "gRPC transport error" } else { "OTLP collector transport error" };
        let error = push(transport, &format!("http://{closed}/"), &attempts(2)).unwrap_err();
        let TelemetryError::Transport { attempts: tried, retryable, .. } = &error else { panic!("{error:?}") };
        assert_eq!((*tried, *retryable), (2, true));
        assert!(error.to_string().contains(phrase), "{error}");
        assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
        let error = push(transport, "http://no-such-host.invalid:4318/", &attempts(1)).unwrap_err();
        assert!(error.to_string().contains(phrase) && error.to_string().contains("dns"), "{error}");
    }
}

#[test]
fn what_is_no_http_is_a_transport_error() {
    let error = guarded(|| {
        let collector = HttpCollector::start(vec![Step::SendAndClose(b"SSH-2.0-whatever\r\n".to_vec())]);
        push_json(&collector, &patient()).unwrap_err()
    });
    assert_eq!(error.code(), "TRANSPORT", "{error}");
}

#[test]
fn a_request_over_64_mib_never_reaches_the_network() {
    let collector = HttpCollector::start(vec![]);
    let long = vec![b' '; 64 * MIB + 1];
    let pusher = kitedb_telemetry::OtlpPusher::new(OtlpTransport::HttpJson, &collector.endpoint(), &patient()).unwrap();
    let error = pusher.push_payload(&long).unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("INVALID_PAYLOAD", false), "{error}");
    assert_eq!(collector.connections(), 0);
    pusher.push_payload(&payload(OtlpTransport::HttpJson)).unwrap();
}

/// A server that reads one request of each connection, and leaves the connection open: as long as connections were kept
/// for the next attempt, that waited there until its time was over.
#[test]
fn each_attempt_of_a_single_push_has_a_connection_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/metrics", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let answers =
            ["HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"];
        answers.map(|answer| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"{\"resourceMetrics\":[]}") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            stream
        })
    });
    let options = OtlpHttpPushOptions::new().retry_max_attempts(2);
    let payload = r#"{"resourceMetrics":[]}"#;
    let result = push_replication_metrics_otel_json_payload_with_options(payload, &endpoint, &options).unwrap();
    assert_eq!((result.status_code, result.attempts), (200, 2));
    server.join().unwrap();
}
