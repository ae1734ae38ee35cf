//! What arrives at a collector, over every transport, plain and compressed, in the clear, with TLS and with mTLS.

use crate::{
    pushing::{JSON, TRANSPORTS, attempts, patient, payload, push, request},
    servers::{
        certificates::{Authority, Files},
        http_collector::{HttpCollector, Step},
        metrics_service::{Answer, MetricsServer, Offer},
    },
};
use kitedb_core::{Database, OpenOptions};
use kitedb_telemetry::{
    OtlpHttpTlsOptions, OtlpPusher, OtlpResource, OtlpTransport, push_replication_metrics_otel_grpc_payload,
    push_replication_metrics_otel_grpc_payload_with_options, push_replication_metrics_otel_grpc_single_file,
    push_replication_metrics_otel_grpc_single_file_with_options, push_replication_metrics_otel_json_payload,
    push_replication_metrics_otel_json_payload_with_options, push_replication_metrics_otel_json_single_file,
    push_replication_metrics_otel_json_single_file_with_options, push_replication_metrics_otel_protobuf_payload,
    push_replication_metrics_otel_protobuf_payload_with_options, push_replication_metrics_otel_protobuf_single_file,
    push_replication_metrics_otel_protobuf_single_file_with_options,
};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;
use std::io::Read as _;

const USER_AGENT: &str = concat!("kitedb-telemetry/", env!("CARGO_PKG_VERSION"));

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out
}

/// Certificates for both sides, and the options of a client that has them.
struct Tls {
    authority: Authority,
    files: Files,
}

impl Tls {
    fn new() -> Self {
        Self { authority: Authority::new("the authority of this test"), files: Files::new() }
    }

    fn options(&self, with_identity: bool) -> OtlpHttpTlsOptions {
        let pair = self.authority.client();
        OtlpHttpTlsOptions::new()
            .https_only(true)
            .ca_cert_pem_path(Some(self.files.write("ca.pem", &self.authority.pem)))
            .client_cert_pem_path(with_identity.then(|| self.files.write("client.pem", &pair.cert)))
            .client_key_pem_path(with_identity.then(|| self.files.write("client.key", &pair.key)))
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Security {
    Clear,
    Tls,
    Mutual,
}

#[test]
fn every_transport_delivers_plain_and_compressed_in_the_clear_with_tls_and_with_mtls() {
    let tls = Tls::new();
    let server = tls.authority.server();
    for transport in TRANSPORTS {
        for gzip in [false, true] {
            for security in [Security::Clear, Security::Tls, Security::Mutual] {
                let case = format!("{transport:?}, gzip {gzip}, {security:?}");
                let options = patient()
                    .compression_gzip(gzip)
                    .tls(match security {
                        Security::Clear => OtlpHttpTlsOptions::default(),
                        secured => tls.options(secured == Security::Mutual),
                    })
                    .bearer_token(Some(" a-token\n".into()))
                    .headers(vec![("x-tenant".into(), "7".into())]);
                let clients = (security == Security::Mutual).then_some(tls.authority.pem.as_str());
                if transport == OtlpTransport::Grpc {
                    let collector = MetricsServer::offer(
                        vec![],
                        Offer {
                            tls: (security != Security::Clear).then(|| server.clone()),
                            clients: clients.map(str::to_owned),
                            gzip: true,
                        },
                    );
                    let result = push(transport, &collector.endpoint(), &options).expect(&case);
                    assert_eq!((result.status_code, result.response_body.as_str()), (200, ""), "{case}");
                    let call = collector.only();
                    assert_eq!(call.request, request(), "{case}");
                    assert_eq!(call.header("grpc-encoding"), gzip.then_some("gzip"), "{case}");
                    assert_eq!(call.header("authorization"), Some("Bearer a-token"), "{case}");
                    assert_eq!(call.header("x-tenant"), Some("7"), "{case}");
                    assert!(call.header("user-agent").unwrap().starts_with(USER_AGENT), "{case}");
                } else {
                    let collector = match security {
                        Security::Clear => HttpCollector::start(vec![]),
                        _ => HttpCollector::start_tls(vec![], &server, clients),
                    };
                    let result = push(transport, &collector.endpoint(), &options).expect(&case);
                    assert_eq!((result.status_code, result.attempts), (200, 1), "{case}");
                    let seen = collector.only();
                    assert_eq!(seen.line, "POST /v1/metrics HTTP/1.1", "{case}");
                    let content_type = if transport == OtlpTransport::HttpJson {
                        "application/json"
                    } else {
                        "application/x-protobuf"
                    };
                    assert_eq!(seen.header("content-type"), Some(content_type), "{case}");
                    assert_eq!(seen.header("content-encoding"), gzip.then_some("gzip"), "{case}");
                    assert_eq!(seen.header("accept-encoding"), Some("gzip"), "{case}");
                    assert_eq!(seen.header("authorization"), Some("Bearer a-token"), "{case}");
                    assert_eq!(seen.header("x-tenant"), Some("7"), "{case}");
                    assert_eq!(seen.header("user-agent"), Some(USER_AGENT), "{case}");
                    assert_eq!(seen.client_certificate, security == Security::Mutual, "{case}");
                    let body = if gzip { gunzip(&seen.body) } else { seen.body };
                    assert_eq!(body, payload(transport), "{case}");
                }
            }
        }
    }
}

#[test]
fn the_endpoint_is_used_as_it_stands_and_its_credentials_become_a_header() {
    let collector = HttpCollector::start(vec![]);
    let endpoint = collector.origin().replace("://", "://user:p%40ss@") + "/any/path?with=query";
    push(OtlpTransport::HttpJson, &format!(" {endpoint} "), &patient()).unwrap();
    let seen = collector.only();
    assert_eq!(seen.line, "POST /any/path?with=query HTTP/1.1");
    assert_eq!(seen.header("authorization"), Some("Basic dXNlcjpwQHNz"));

    // A token, and a header of that name, go before them.
    let token = patient().bearer_token(Some("t".into()));
    push(OtlpTransport::HttpJson, &endpoint, &token).unwrap();
    let header = patient().headers(vec![("Authorization".into(), "Own x".into())]);
    push(OtlpTransport::HttpJson, &endpoint, &header).unwrap();
    let blank = patient().bearer_token(Some("  ".into()));
    push(OtlpTransport::HttpJson, &endpoint, &blank).unwrap();
    let said: Vec<_> = collector.seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(said[1..], ["Bearer t", "Own x", "Basic dXNlcjpwQHNz"]);
}

#[test]
fn every_attempt_sends_the_same_and_connections_are_kept() {
    let collector = HttpCollector::start(vec![Step::status(503), Step::status(503)]);
    let options = attempts(3).compression_gzip(true);
    let pusher = OtlpPusher::new(OtlpTransport::HttpProtobuf, &collector.endpoint(), &options).unwrap();
    assert_eq!(pusher.push_payload(&payload(OtlpTransport::HttpProtobuf)).unwrap().attempts, 3);
    assert_eq!(pusher.push_payload(&payload(OtlpTransport::HttpProtobuf)).unwrap().attempts, 1);
    let seen = collector.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|one| one.body == seen[0].body && one.connection == 0), "{seen:?}");
}

#[test]
fn the_functions_of_the_contract_push_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("pushed.kitedb"), OpenOptions::new()).unwrap();
    let http = HttpCollector::start(vec![]);
    let grpc = MetricsServer::start(vec![]);
    let (at, called) = (http.endpoint(), grpc.endpoint());
    let resource = OtlpResource::new().service_name(Some("mine".into()));
    let options = patient().resource(resource).bearer_token(Some("t".into()));

    push_replication_metrics_otel_json_single_file(&db, &at, 60_000, Some("t")).unwrap();
    push_replication_metrics_otel_json_single_file_with_options(&db, &at, &options).unwrap();
    push_replication_metrics_otel_protobuf_single_file(&db, &at, 60_000, Some("t")).unwrap();
    push_replication_metrics_otel_protobuf_single_file_with_options(&db, &at, &options).unwrap();
    push_replication_metrics_otel_grpc_single_file(&db, &called, 60_000, Some("t")).unwrap();
    push_replication_metrics_otel_grpc_single_file_with_options(&db, &called, &options).unwrap();

    let seen = http.seen();
    let name = |request: &ExportMetricsServiceRequest| {
        let attributes = &request.resource_metrics[0].resource.as_ref().unwrap().attributes;
        let value = attributes.iter().find(|one| one.key == "service.name").unwrap().value.clone();
        format!("{:?}", value.unwrap().value.unwrap())
    };
    for (i, of) in ["kitedb", "mine"].into_iter().enumerate() {
        let json: serde_json::Value = serde_json::from_slice(&seen[i].body).unwrap();
        assert!(json.to_string().contains("kitedb.replication.enabled"), "{json}");
        assert!(json["resourceMetrics"][0]["resource"].to_string().contains(of), "{json}");
        let protobuf = ExportMetricsServiceRequest::decode(&seen[2 + i].body[..]).unwrap();
        assert!(name(&protobuf).contains(of));
        assert!(name(&grpc.calls()[i].request).contains(of));
    }
    assert!(seen.iter().all(|seen| seen.header("authorization") == Some("Bearer t")));
    assert!(grpc.calls().iter().all(|call| call.header("authorization") == Some("Bearer t")));
}

#[test]
fn the_functions_of_the_contract_push_payloads() {
    let http = HttpCollector::start(vec![]);
    let grpc = MetricsServer::start(vec![]);
    let (at, called) = (http.endpoint(), grpc.endpoint());
    let bytes = request().encode_to_vec();
    push_replication_metrics_otel_json_payload(JSON, &at, 60_000, None).unwrap();
    push_replication_metrics_otel_json_payload_with_options(JSON, &at, &patient()).unwrap();
    push_replication_metrics_otel_protobuf_payload(&bytes, &at, 60_000, None).unwrap();
    push_replication_metrics_otel_protobuf_payload_with_options(&bytes, &at, &patient()).unwrap();
    push_replication_metrics_otel_grpc_payload(&bytes, &called, 60_000, None).unwrap();
    push_replication_metrics_otel_grpc_payload_with_options(&bytes, &called, &patient()).unwrap();
    let bodies: Vec<_> = http.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, [JSON.as_bytes(), JSON.as_bytes(), &bytes, &bytes]);
    assert_eq!(grpc.calls().iter().map(|call| call.request.clone()).collect::<Vec<_>>(), [request(), request()]);
}

#[test]
fn a_collector_that_does_not_know_gzip_is_sent_plain_calls() {
    let collector = MetricsServer::offer(vec![Answer::Ok], Offer::default());
    let options = patient().compression_gzip(true);
    let pusher = OtlpPusher::new(OtlpTransport::Grpc, &collector.endpoint(), &options).unwrap();
    let result = pusher.push_payload(&payload(OtlpTransport::Grpc)).unwrap();
    assert_eq!(result.attempts, 1);
    pusher.push_payload(&payload(OtlpTransport::Grpc)).unwrap();
    let calls = collector.calls();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.request == request() && call.header("grpc-encoding").is_none()));
}
