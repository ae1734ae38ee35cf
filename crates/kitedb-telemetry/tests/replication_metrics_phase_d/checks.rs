//! Options and endpoints that are refused, each with the phrase of the contract, and before anything is sent.

use crate::{
    pushing::{TRANSPORTS, patient},
    servers::http_collector::HttpCollector,
};
use kitedb_telemetry::{OtlpHttpPushOptions, OtlpPusher, OtlpTransport};

type Change = fn(&mut OtlpHttpPushOptions);

#[test]
fn options_that_are_not_valid_are_refused_with_their_phrase() {
    let cases: &[(Change, &str)] = &[
        (|o| o.timeout_ms = 0, "timeout_ms must be > 0"),
        (|o| o.bearer_token = Some("a\u{1}b".into()), "Invalid OTLP bearer token"),
        (|o| o.bearer_token = Some("ü".into()), "Invalid OTLP bearer token"),
        (|o| o.retry_max_attempts = 0, "retry_max_attempts must be > 0"),
        (|o| o.retry_backoff_max_ms = 99, "retry_backoff_max_ms must be >= retry_backoff_ms when non-zero"),
        (|o| o.retry_jitter_ratio = -0.1, "retry_jitter_ratio must be within [0.0, 1.0]"),
        (|o| o.retry_jitter_ratio = f64::NAN, "retry_jitter_ratio must be within [0.0, 1.0]"),
        (|o| o.adaptive_retry_ewma_alpha = 1.1, "adaptive_retry_ewma_alpha must be within [0.0, 1.0]"),
        (|o| o.adaptive_retry_ewma_alpha = f64::NAN, "adaptive_retry_ewma_alpha must be within [0.0, 1.0]"),
        (|o| o.circuit_breaker_failure_threshold = 1, "circuit_breaker_open_ms must be > 0 when"),
        (
            |o| {
                (o.circuit_breaker_failure_threshold, o.circuit_breaker_open_ms, o.circuit_breaker_half_open_probes) =
                    (1, 1, 0)
            },
            "circuit_breaker_half_open_probes must be > 0 when",
        ),
        (
            |o| o.circuit_breaker_scope_key = Some(" ".into()),
            "circuit_breaker_scope_key must not be empty when provided",
        ),
        (
            |o| o.circuit_breaker_state_path = Some(" ".into()),
            "circuit_breaker_state_path must not be empty when provided",
        ),
        (
            |o| o.circuit_breaker_state_url = Some("".into()),
            "circuit_breaker_state_url must not be empty when provided",
        ),
        (
            |o| {
                o.circuit_breaker_state_path = Some("/tmp/x".into());
                o.circuit_breaker_state_url = Some("http://store/".into());
            },
            "circuit_breaker_state_path and circuit_breaker_state_url are mutually exclusive",
        ),
        (|o| o.circuit_breaker_state_url = Some("ftp://store/".into()), "must use http:// or https://"),
        (
            |o| {
                o.tls.https_only = true;
                o.circuit_breaker_state_url = Some("http://store/".into());
            },
            "circuit_breaker_state_url must use https when https_only is enabled",
        ),
        (|o| o.circuit_breaker_state_patch = true, "circuit_breaker_state_patch requires circuit_breaker_state_url"),
        (
            |o| o.circuit_breaker_state_patch_batch = true,
            "circuit_breaker_state_patch_batch requires circuit_breaker_state_patch",
        ),
        (
            |o| o.circuit_breaker_state_patch_merge = true,
            "circuit_breaker_state_patch_merge requires circuit_breaker_state_patch",
        ),
        (
            |o| o.circuit_breaker_state_patch_batch_max_keys = 0,
            "circuit_breaker_state_patch_batch_max_keys must be > 0",
        ),
        (
            |o| o.circuit_breaker_state_patch_merge_max_keys = 0,
            "circuit_breaker_state_patch_merge_max_keys must be > 0",
        ),
        (
            |o| o.circuit_breaker_state_patch_retry_max_attempts = 0,
            "circuit_breaker_state_patch_retry_max_attempts must be > 0",
        ),
        (
            |o| o.circuit_breaker_state_patch_batch_max_keys = 9,
            "circuit_breaker_state_patch_batch_max_keys requires circuit_breaker_state_url",
        ),
        (
            |o| o.circuit_breaker_state_patch_merge_max_keys = 9,
            "circuit_breaker_state_patch_merge_max_keys requires circuit_breaker_state_url",
        ),
        (
            |o| o.circuit_breaker_state_patch_retry_max_attempts = 9,
            "circuit_breaker_state_patch_retry_max_attempts requires circuit_breaker_state_url",
        ),
        (|o| o.circuit_breaker_state_cas = true, "circuit_breaker_state_cas requires circuit_breaker_state_url"),
        (
            |o| o.circuit_breaker_state_lease_id = Some("x".into()),
            "circuit_breaker_state_lease_id requires circuit_breaker_state_url",
        ),
        (
            |o| o.circuit_breaker_state_lease_id = Some(" ".into()),
            "circuit_breaker_state_lease_id must not be empty when provided",
        ),
        (
            |o| {
                o.circuit_breaker_state_url = Some("http://store/".into());
                o.circuit_breaker_state_lease_id = Some("a\nb".into());
            },
            "circuit_breaker_state_lease_id must be visible ASCII",
        ),
        (
            |o| {
                o.circuit_breaker_state_url = Some("http://store/".into());
                o.circuit_breaker_scope_key = Some("ü".into());
            },
            "circuit_breaker_scope_key must be visible ASCII",
        ),
        (|o| o.headers = vec![("a b".into(), "x".into())], "headers[0]: the name is not valid"),
        (|o| o.headers = vec![("a".into(), "x".into()), ("b".into(), "x\ny".into())], "headers[1]: the value is not"),
        (|o| o.headers = vec![("Content-Length".into(), "1".into())], "headers[0]: the name is reserved"),
    ];
    let collector = HttpCollector::start(vec![]);
    for transport in TRANSPORTS {
        for (change, phrase) in cases {
            let mut options = patient();
            change(&mut options);
            let error = OtlpPusher::new(transport, &collector.endpoint(), &options).unwrap_err();
            assert_eq!(error.code(), "INVALID_OPTION");
            assert!(error.to_string().contains(phrase), "{phrase:?} is not in {error}");
        }
    }
    assert_eq!(collector.connections(), 0);
}

#[test]
fn what_comes_first_is_said_first() {
    let mut options = patient().timeout_ms(0);
    options.tls.https_only = true;
    options.tls.ca_cert_pem_path = Some("/no/such/file".into());
    let said = |endpoint: &str, options: &OtlpHttpPushOptions| {
        OtlpPusher::new(OtlpTransport::HttpJson, endpoint, options).unwrap_err().to_string()
    };
    assert_eq!(said(" ", &options), "endpoint must not be empty");
    assert_eq!(said("http://x/", &options), "timeout_ms must be > 0");
    options.timeout_ms = 1;
    assert_eq!(said("nowhere", &options), "endpoint must use http:// or https://");
    assert_eq!(said("http://x/", &options), "endpoint must use https when https_only is enabled");
    assert!(said("HTTPS://x/", &options).contains("ca_cert_pem_path"));
}

#[test]
fn the_largest_numbers_are_no_trouble() {
    let collector = HttpCollector::start(vec![]);
    let options = OtlpHttpPushOptions::new()
        .timeout_ms(u64::MAX)
        .attempt_timeout_ms(u64::MAX)
        .retry_max_attempts(u32::MAX)
        .retry_backoff_ms(u64::MAX)
        .retry_backoff_max_ms(u64::MAX)
        .circuit_breaker_failure_threshold(u32::MAX)
        .circuit_breaker_open_ms(u64::MAX)
        .circuit_breaker_half_open_probes(u32::MAX);
    crate::pushing::push(OtlpTransport::HttpJson, &collector.endpoint(), &options).unwrap();
}
