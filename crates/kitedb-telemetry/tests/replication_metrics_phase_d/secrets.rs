//! No secret is ever told: not in an error, not in what prints itself, not in a log line, whatever goes wrong. Every
//! secret here has the same word in it.

use crate::{
    pushing::{TRANSPORTS, attempts, payload, push},
    servers::{
        certificates::Authority,
        http_collector::{HttpCollector, Step},
        metrics_service::{Answer, MetricsServer},
    },
};
use kitedb_telemetry::{OtlpHttpPushOptions, OtlpPusher, OtlpTransport, TelemetryError};
use std::{
    fmt,
    net::TcpListener,
    sync::{Mutex, Once},
};
use tonic::Status;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

const WORD: &str = "canary";

/// All log lines of this process, of all libraries, at every level.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Recorder;

impl Subscriber for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut line = Line(span.metadata().name().to_owned());
        span.record(&mut line);
        line.keep();
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        line.keep();
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        line.keep();
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Line {
    /// Only what matters: tests beside this one log, too.
    fn keep(self) {
        if self.0.contains(WORD) || self.0.contains("kitedb") {
            LINES.lock().unwrap().push(self.0);
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

fn record() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Recorder).unwrap());
}

fn secretive(store: Option<&str>) -> OtlpHttpPushOptions {
    attempts(2)
        .bearer_token(Some("canary-token".into()))
        .headers(vec![("x-api-key".into(), "canary-key".into())])
        .circuit_breaker_failure_threshold(1)
        .circuit_breaker_open_ms(600_000)
        .circuit_breaker_state_url(store.map(str::to_owned))
        .circuit_breaker_state_lease_id(store.map(|_| "canary-lease".into()))
}

/// The endpoint with a password and a token in its query.
fn with_secrets(endpoint: &str) -> String {
    endpoint.replace("://", "://user:canary-password@") + "?token=canary-query"
}

fn assert_silent(case: &str, error: &TelemetryError) {
    for text in [error.to_string(), format!("{error:?}"), format!("{error:#?}")] {
        assert!(!text.contains(WORD), "{case}: {text}");
        assert!(!text.contains("dXNlcjpjYW5hcnk"), "{case} tells the password in base64: {text}");
    }
}

#[test]
fn no_way_to_fail_tells_a_secret() {
    record();
    let echo = "you sent Bearer canary-token, canary-key, canary-password, canary-query";
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let tls = HttpCollector::start_tls(vec![], &Authority::new("unknown").server(), None);
    for transport in TRANSPORTS {
        let check = |case: &str, endpoint: &str, options: &OtlpHttpPushOptions| {
            let pusher = OtlpPusher::new(transport, &with_secrets(endpoint), options).unwrap();
            assert!(!format!("{pusher:?} {options:?}").contains(WORD));
            let error = pusher.push_payload(&payload(transport)).unwrap_err();
            assert_silent(case, &error);
            let error = pusher.push_payload(&payload(transport)).unwrap_err();
            assert_eq!(error.code(), "CIRCUIT_OPEN", "{case}");
            assert_silent(case, &error);
        };
        check("nobody there", &format!("http://{nobody}/x"), &secretive(None));
        let hurried = secretive(None).timeout_ms(200);
        check("no answer", &format!("http://{}/x", silent.local_addr().unwrap()), &hurried);
        check("no such name", "http://no-such-host.invalid/x", &secretive(None));
        check("not trusted", &tls.endpoint(), &secretive(None));
        // The store does not work, and that is logged.
        let store = format!("http://user:canary-store@{nobody}/states?sig=canary-sig");
        check("no store", &format!("http://{nobody}/no-store"), &secretive(Some(&store)));
        if transport == OtlpTransport::Grpc {
            let server = MetricsServer::start(vec![Answer::Fail(Status::unavailable(echo)); 2]);
            check("echo", &server.endpoint(), &secretive(None));
        } else {
            for (case, step) in [
                ("echo", Step::answer(503, "", echo)),
                ("redirect", Step::answer(502, "location: http://canary/\r\n", "")),
                ("cut", Step::SendAndClose("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".into())),
                ("no http", Step::SendAndClose("canary canary\r\n\r\n".into())),
            ] {
                let collector = HttpCollector::start(vec![step; 2]);
                check(case, &collector.endpoint(), &secretive(None));
            }
        }
    }
    let lines = LINES.lock().unwrap();
    assert!(lines.iter().any(|line| line.contains("could not be shared")), "the store's failure is not logged");
    let telling: Vec<_> = lines.iter().filter(|line| line.contains(WORD)).collect();
    assert!(telling.is_empty(), "{telling:#?}");
}

#[test]
fn no_refused_option_repeats_its_secret() {
    type Change = fn(&mut OtlpHttpPushOptions);
    let cases: [(&str, Change); 6] = [
        ("http://x/", |o| o.bearer_token = Some("canary\u{0}".into())),
        ("http://x/", |o| o.headers = vec![("x".into(), "canary\n".to_owned() + "canary")]),
        ("http://x/", |o| o.headers = vec![("canary canary".into(), "x".into())]),
        ("http://x/", |o| o.circuit_breaker_state_url = Some("http://user:canary@:canary/".into())),
        ("http://user:canary@host:canary/", |_| ()),
        ("user:canary@host", |_| ()),
    ];
    for (endpoint, change) in cases {
        let mut options = attempts(1);
        change(&mut options);
        for transport in TRANSPORTS {
            let error = push(transport, endpoint, &options).unwrap_err();
            assert_eq!(error.code(), "INVALID_OPTION");
            assert_silent(endpoint, &error);
        }
    }
}

#[test]
fn the_store_gets_neither_token_nor_headers_nor_credentials() {
    let (store, collector) = (HttpCollector::start(vec![Step::status(404)]), HttpCollector::start(vec![]));
    let options = secretive(Some(&store.endpoint()));
    push(OtlpTransport::HttpJson, &with_secrets(&collector.endpoint()), &options).unwrap();
    assert_eq!(collector.only().header("x-api-key"), Some("canary-key"));
    assert!(!store.seen().is_empty());
    for seen in store.seen() {
        let said: Vec<_> = seen.headers.iter().filter(|(name, _)| name != "x-kitedb-breaker-lease").collect();
        assert!(!format!("{said:?}").contains(WORD), "{said:?}");
        assert!(seen.header("authorization").is_none());
        assert!(!String::from_utf8_lossy(&seen.body).contains(WORD));
    }
}

#[test]
fn a_collector_that_repeats_a_secret_in_a_success_is_not_quoted_with_it() {
    let json = r#"{"partialSuccess":{"rejectedDataPoints":"1","errorMessage":"not with canary-key"}}"#;
    let collector = HttpCollector::start(vec![Step::json(json)]);
    let result = push(OtlpTransport::HttpJson, &collector.endpoint(), &secretive(None)).unwrap();
    assert_eq!(result.partial_error.as_deref(), Some("not with (hidden)"));
    assert!(!result.response_body.contains(WORD));
}
