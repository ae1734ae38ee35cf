//! Whom pushes trust: what a handshake fails with is told, is not tried again, and is the same for all transports.

use crate::{
    pushing::{TRANSPORTS, attempts, push},
    servers::{
        certificates::{Authority, Files, Pair},
        http_collector::{HttpCollector, Step},
        metrics_service::{MetricsServer, Offer},
    },
};
use kitedb_telemetry::{OtlpHttpPushOptions, OtlpHttpTlsOptions, OtlpTransport, TelemetryError};
use std::path::PathBuf;

enum Collector {
    Http(HttpCollector),
    Grpc(MetricsServer),
}

impl Collector {
    fn start(transport: OtlpTransport, pair: &Pair, clients: Option<&str>) -> Self {
        match transport {
            OtlpTransport::Grpc => {
                let (tls, clients) = (Some(pair.clone()), clients.map(str::to_owned));
                Self::Grpc(MetricsServer::offer(vec![], Offer { tls, clients, gzip: false }))
            }
            _ => Self::Http(HttpCollector::start_tls(vec![], pair, clients)),
        }
    }

    fn endpoint(&self) -> String {
        match self {
            Self::Http(collector) => collector.endpoint(),
            Self::Grpc(server) => server.endpoint(),
        }
    }

    fn requests(&self) -> usize {
        match self {
            Self::Http(collector) => collector.seen().len(),
            Self::Grpc(server) => server.calls().len(),
        }
    }
}

fn options(ca: Option<PathBuf>, identity: Option<(PathBuf, PathBuf)>) -> OtlpHttpPushOptions {
    let (client_cert_pem_path, client_key_pem_path) = identity.unzip();
    let tls = OtlpHttpTlsOptions::new()
        .ca_cert_pem_path(ca)
        .client_cert_pem_path(client_cert_pem_path)
        .client_key_pem_path(client_key_pem_path)
        .https_only(true);
    attempts(3).tls(tls)
}

#[test]
fn a_server_that_cannot_be_trusted_gets_nothing_and_is_not_tried_again() {
    let (ours, other) = (Authority::new("ours"), Authority::new("another"));
    let files = Files::new();
    let ca = files.write("ca.pem", &ours.pem);
    for transport in TRANSPORTS {
        for (pair, ca, phrase) in [
            // Bundled roots only: that there are any shows in how it fails.
            (ours.server(), None, "UnknownIssuer"),
            (other.server(), Some(ca.clone()), "UnknownIssuer"),
            (ours.server_of_another_name(), Some(ca.clone()), "not valid for"),
            (ours.expired_server(), Some(ca.clone()), "expired"),
        ] {
            let collector = Collector::start(transport, &pair, None);
            let error = push(transport, &collector.endpoint(), &options(ca, None)).unwrap_err();
            let TelemetryError::Transport { attempts, retryable, .. } = &error else { panic!("{error:?}") };
            assert_eq!((*attempts, *retryable), (1, false), "{transport:?}: {error}");
            assert!(error.to_string().contains(phrase), "{transport:?}: {error}");
            assert_eq!(collector.requests(), 0);
        }
    }
}

#[test]
fn a_client_that_is_not_trusted_gets_nothing_through() {
    let (ours, other) = (Authority::new("ours"), Authority::new("another"));
    let files = Files::new();
    let ca = files.write("ca.pem", &ours.pem);
    let stranger = other.client();
    let identity = (files.write("client.pem", &stranger.cert), files.write("client.key", &stranger.key));
    for transport in TRANSPORTS {
        for identity in [None, Some(identity.clone())] {
            let collector = Collector::start(transport, &ours.server(), Some(&ours.pem));
            let error = push(transport, &collector.endpoint(), &options(Some(ca.clone()), identity)).unwrap_err();
            assert_eq!(error.code(), "TRANSPORT", "{transport:?}: {error}");
            assert_eq!(collector.requests(), 0);
        }
    }
}

#[test]
fn the_store_sees_the_clients_certificate_only_where_the_collector_is() {
    let ours = Authority::new("ours");
    let files = Files::new();
    let client = ours.client();
    let identity = (files.write("client.pem", &client.cert), files.write("client.key", &client.key));
    let ca = files.write("ca.pem", &ours.pem);
    let missing = || vec![Step::status(404); 3];
    let elsewhere = HttpCollector::start_tls_optional(missing(), &ours.server(), &ours.pem);
    let here = HttpCollector::start_tls_optional(missing(), &ours.server(), &ours.pem);
    for (store, shown) in [(&here, true), (&elsewhere, false)] {
        let options = options(Some(ca.clone()), Some(identity.clone()))
            .circuit_breaker_failure_threshold(1)
            .circuit_breaker_open_ms(1)
            .circuit_breaker_state_url(Some(store.origin() + "/states"))
            .retry_max_attempts(1);
        let _ = push(OtlpTransport::HttpJson, &here.endpoint(), &options);
        let calls: Vec<_> = store.seen().into_iter().filter(|seen| seen.line.contains("/states")).collect();
        assert!(!calls.is_empty());
        assert!(calls.iter().all(|call| call.client_certificate == shown), "{calls:?}");
    }
    assert!(here.seen().iter().all(|seen| seen.client_certificate));
}

#[test]
fn https_to_a_server_that_does_not_speak_it_fails_at_once() {
    let http = HttpCollector::start(vec![]);
    for transport in TRANSPORTS {
        let endpoint = http.endpoint().replace("http:", "https:");
        let error = push(transport, &endpoint, &attempts(1)).unwrap_err();
        assert_eq!(error.code(), "TRANSPORT", "{error}");
    }
}

#[test]
fn tls_files_are_checked_before_anything_is_sent() {
    let ours = Authority::new("ours");
    let (client, other) = (ours.client(), ours.client());
    let files = Files::new();
    let ca = files.write("ca.pem", &ours.pem);
    let (cert, key) = (files.write("client.pem", &client.cert), files.write("client.key", &client.key));
    let missing = PathBuf::from("/no/such/file.pem");
    let empty = files.write("empty.pem", "\n");
    let text = files.write("text.pem", "no certificate");
    let broken = files.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    let no_ca = files.write("no-ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let other_key = files.write("other.key", &other.key);
    let grpc = "Invalid OTLP gRPC TLS configuration";
    let both = |cert: &PathBuf, key: &PathBuf| Some((cert.clone(), key.clone()));

    for transport in TRANSPORTS {
        let is_grpc = transport == OtlpTransport::Grpc;
        let or = |http: &'static str, in_grpc: &'static str| if is_grpc { in_grpc } else { http };
        for (ca, identity, phrases) in [
            (Some(missing.clone()), None, vec![or("Failed opening", "Failed reading"), "ca_cert_pem_path", "/no/such"]),
            (Some(empty.clone()), None, vec![or("No certificates found", "is empty"), "ca_cert_pem_path", "empty.pem"]),
            (Some(text.clone()), None, vec!["No certificates found", or("", grpc)]),
            (Some(broken.clone()), None, vec!["Failed parsing certificates", or("", grpc), "broken.pem"]),
            (Some(no_ca.clone()), None, vec!["No valid CA certificates found", or("", grpc)]),
            (None, both(&missing, &key), vec!["client_cert_pem_path", or("Failed opening", "Failed reading")]),
            (None, both(&cert, &missing), vec!["client_key_pem_path", or("Failed opening", "Failed reading")]),
            (None, both(&text, &key), vec!["client_cert_pem_path", "No certificates found"]),
            (None, both(&cert, &cert), vec!["client_key_pem_path", "No private key found"]),
            (None, both(&cert, &other_key), vec!["Invalid OTLP client certificate/key for mTLS"]),
        ] {
            let error = push(transport, "https://127.0.0.1:1/", &options(ca, identity)).unwrap_err();
            assert_eq!(error.code(), "INVALID_OPTION", "{error}");
            for phrase in phrases {
                assert!(error.to_string().contains(phrase), "{transport:?}: {phrase:?} is not in {error}");
            }
        }
        for (ca, cert, key, phrase) in [
            (Some(&ca), None, None, "custom TLS/mTLS configuration requires an https endpoint"),
            (None, Some(&cert), Some(&key), "custom TLS/mTLS configuration requires an https endpoint"),
            (None, Some(&cert), None, "mTLS requires both client_cert_pem_path and client_key_pem_path"),
            (None, None, Some(&key), "mTLS requires both client_cert_pem_path and client_key_pem_path"),
        ] {
            let tls = OtlpHttpTlsOptions::new()
                .https_only(false)
                .ca_cert_pem_path(ca.cloned())
                .client_cert_pem_path(cert.cloned())
                .client_key_pem_path(key.cloned());
            let error = push(transport, "http://127.0.0.1:1/", &attempts(1).tls(tls)).unwrap_err();
            assert!(error.to_string().contains(phrase), "{error}");
        }
        // Blank paths are none.
        let tls = OtlpHttpTlsOptions::new().ca_cert_pem_path(Some(" ".into()));
        let error = push(transport, "http://127.0.0.1:1/", &attempts(1).tls(tls)).unwrap_err();
        assert_eq!(error.code(), "TRANSPORT", "{error}");
    }
}
