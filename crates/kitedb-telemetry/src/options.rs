//! What a push can be told. `settings` checks it.

use crate::endpoint;
use crate::setters::setters;
use std::{fmt, path::PathBuf};

/// How metrics are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OtlpTransport {
    /// `POST` with OTLP in JSON.
    HttpJson,
    /// `POST` with OTLP in protobuf.
    HttpProtobuf,
    /// gRPC.
    Grpc,
}

/// By what the wait between two attempts grows with failures of earlier pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OtlpAdaptiveRetryMode {
    /// With the number of pushes that failed in a row: 1 + that, 9 at most.
    #[default]
    Linear,
    /// With an exponentially weighted share of pushes that failed: 1 + 8 x that.
    Ewma,
}

/// TLS of a push.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtlpHttpTlsOptions {
    /// Refuses an endpoint (and a state store) that is not https.
    pub https_only: bool,
    /// A PEM file with certificates to trust beside the bundled ones. Blank: none.
    pub ca_cert_pem_path: Option<PathBuf>,
    /// A PEM file with this client's certificate chain. Only with the key.
    pub client_cert_pem_path: Option<PathBuf>,
    /// A PEM file with the key of that certificate.
    pub client_key_pem_path: Option<PathBuf>,
}

setters!(OtlpHttpTlsOptions {
    https_only: bool,
    ca_cert_pem_path: Option<PathBuf>,
    client_cert_pem_path: Option<PathBuf>,
    client_key_pem_path: Option<PathBuf>,
});

impl OtlpHttpTlsOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Options of a push, whatever the transport. Times are in ms.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct OtlpHttpPushOptions {
    /// The whole push: every attempt, every wait between them, every call of the state store. Default 5000.
    pub timeout_ms: u64,
    /// One attempt. 0, the default: an equal share of what is left of `timeout_ms` for each attempt that is left.
    pub attempt_timeout_ms: u64,
    /// Sent as `authorization: Bearer <token>`, trimmed. Blank: none.
    pub bearer_token: Option<String>,
    /// More headers (metadata over gRPC): names and values. Values may be secrets and are never printed. An
    /// `authorization` among them stands back behind `bearer_token` and before credentials in the endpoint.
    pub headers: Vec<(String, String)>,
    /// TLS.
    pub tls: OtlpHttpTlsOptions,
    /// Attempts in all; 1, the default, tries once.
    pub retry_max_attempts: u32,
    /// The wait after the first attempt; it doubles with each one. Default 100.
    pub retry_backoff_ms: u64,
    /// No wait is longer. 0: no bound. Default 2000.
    pub retry_backoff_max_ms: u64,
    /// So much of a wait, 0 to 1, is added at most by chance, within the bound. Default 0.2.
    pub retry_jitter_ratio: f64,
    /// Whether waits grow with failures of earlier pushes.
    pub adaptive_retry: bool,
    /// How they grow.
    pub adaptive_retry_mode: OtlpAdaptiveRetryMode,
    /// The weight of the newest push, 0 to 1. Default 0.3.
    pub adaptive_retry_ewma_alpha: f64,
    /// After so many failed pushes in a row the breaker opens. 0, the default: there is no breaker.
    pub circuit_breaker_failure_threshold: u32,
    /// For how long it stays open.
    pub circuit_breaker_open_ms: u64,
    /// So many pushes, one at a time, must succeed then before it closes. Default 1.
    pub circuit_breaker_half_open_probes: u32,
    /// Under which name the breaker's state is kept; `None`: the endpoint without credentials and query.
    pub circuit_breaker_scope_key: Option<String>,
    /// A file that shares the state with other processes.
    pub circuit_breaker_state_path: Option<String>,
    /// An HTTP store that shares the state with other machines.
    pub circuit_breaker_state_url: Option<String>,
    /// One key at a time (`GET` with a key, `PATCH`) instead of the whole document (`GET`, `PUT`).
    pub circuit_breaker_state_patch: bool,
    /// Several keys in one `PATCH`.
    pub circuit_breaker_state_patch_batch: bool,
    /// So many of them at most. Default 8.
    pub circuit_breaker_state_patch_batch_max_keys: u32,
    /// As a batch, with totals.
    pub circuit_breaker_state_patch_merge: bool,
    /// So many keys at most then. Default 32.
    pub circuit_breaker_state_patch_merge_max_keys: u32,
    /// How often a write is tried that meets another one. Default 1.
    pub circuit_breaker_state_patch_retry_max_attempts: u32,
    /// Conditional writes (`If-Match`, `If-None-Match`).
    pub circuit_breaker_state_cas: bool,
    /// Sent with every call of the store.
    pub circuit_breaker_state_lease_id: Option<String>,
    /// Whether bodies are compressed.
    pub compression_gzip: bool,
    /// What the metrics are said to come from (not for payloads rendered beforehand).
    pub resource: crate::render::OtlpResource,
}

setters!(OtlpHttpPushOptions {
    timeout_ms: u64,
    attempt_timeout_ms: u64,
    bearer_token: Option<String>,
    headers: Vec<(String, String)>,
    tls: OtlpHttpTlsOptions,
    retry_max_attempts: u32,
    retry_backoff_ms: u64,
    retry_backoff_max_ms: u64,
    retry_jitter_ratio: f64,
    adaptive_retry: bool,
    adaptive_retry_mode: OtlpAdaptiveRetryMode,
    adaptive_retry_ewma_alpha: f64,
    circuit_breaker_failure_threshold: u32,
    circuit_breaker_open_ms: u64,
    circuit_breaker_half_open_probes: u32,
    circuit_breaker_scope_key: Option<String>,
    circuit_breaker_state_path: Option<String>,
    circuit_breaker_state_url: Option<String>,
    circuit_breaker_state_patch: bool,
    circuit_breaker_state_patch_batch: bool,
    circuit_breaker_state_patch_batch_max_keys: u32,
    circuit_breaker_state_patch_merge: bool,
    circuit_breaker_state_patch_merge_max_keys: u32,
    circuit_breaker_state_patch_retry_max_attempts: u32,
    circuit_breaker_state_cas: bool,
    circuit_breaker_state_lease_id: Option<String>,
    compression_gzip: bool,
    resource: crate::render::OtlpResource,
});

impl OtlpHttpPushOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Default for OtlpHttpPushOptions {
    fn default() -> Self {
        Self {
            timeout_ms: 5000,
            attempt_timeout_ms: 0,
            bearer_token: None,
            headers: Vec::new(),
            tls: OtlpHttpTlsOptions::default(),
            retry_max_attempts: 1,
            retry_backoff_ms: 100,
            retry_backoff_max_ms: 2000,
            retry_jitter_ratio: 0.2,
            adaptive_retry: false,
            adaptive_retry_mode: OtlpAdaptiveRetryMode::Linear,
            adaptive_retry_ewma_alpha: 0.3,
            circuit_breaker_failure_threshold: 0,
            circuit_breaker_open_ms: 0,
            circuit_breaker_half_open_probes: 1,
            circuit_breaker_scope_key: None,
            circuit_breaker_state_path: None,
            circuit_breaker_state_url: None,
            circuit_breaker_state_patch: false,
            circuit_breaker_state_patch_batch: false,
            circuit_breaker_state_patch_batch_max_keys: 8,
            circuit_breaker_state_patch_merge: false,
            circuit_breaker_state_patch_merge_max_keys: 32,
            circuit_breaker_state_patch_retry_max_attempts: 1,
            circuit_breaker_state_cas: false,
            circuit_breaker_state_lease_id: None,
            compression_gzip: false,
            resource: crate::render::OtlpResource::default(),
        }
    }
}

/// Prints no secret: of the token, of header values and of the lease only that there are some, of URLs only the part
/// without credentials and query.
impl fmt::Debug for OtlpHttpPushOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |value: &Option<String>| value.as_ref().map(|_| Hidden);
        f.debug_struct("OtlpHttpPushOptions")
            .field("timeout_ms", &self.timeout_ms)
            .field("attempt_timeout_ms", &self.attempt_timeout_ms)
            .field("bearer_token", &secret(&self.bearer_token))
            .field("headers", &self.headers.iter().map(|(name, _)| (name, Hidden)).collect::<Vec<_>>())
            .field("tls", &self.tls)
            .field("retry_max_attempts", &self.retry_max_attempts)
            .field("retry_backoff_ms", &self.retry_backoff_ms)
            .field("retry_backoff_max_ms", &self.retry_backoff_max_ms)
            .field("retry_jitter_ratio", &self.retry_jitter_ratio)
            .field("adaptive_retry", &self.adaptive_retry)
            .field("adaptive_retry_mode", &self.adaptive_retry_mode)
            .field("adaptive_retry_ewma_alpha", &self.adaptive_retry_ewma_alpha)
            .field("circuit_breaker_failure_threshold", &self.circuit_breaker_failure_threshold)
            .field("circuit_breaker_open_ms", &self.circuit_breaker_open_ms)
            .field("circuit_breaker_half_open_probes", &self.circuit_breaker_half_open_probes)
            .field("circuit_breaker_scope_key", &self.circuit_breaker_scope_key)
            .field("circuit_breaker_state_path", &self.circuit_breaker_state_path)
            .field("circuit_breaker_state_url", &self.circuit_breaker_state_url.as_deref().map(endpoint::show))
            .field("circuit_breaker_state_patch", &self.circuit_breaker_state_patch)
            .field("circuit_breaker_state_patch_batch", &self.circuit_breaker_state_patch_batch)
            .field("circuit_breaker_state_patch_batch_max_keys", &self.circuit_breaker_state_patch_batch_max_keys)
            .field("circuit_breaker_state_patch_merge", &self.circuit_breaker_state_patch_merge)
            .field("circuit_breaker_state_patch_merge_max_keys", &self.circuit_breaker_state_patch_merge_max_keys)
            .field(
                "circuit_breaker_state_patch_retry_max_attempts",
                &self.circuit_breaker_state_patch_retry_max_attempts,
            )
            .field("circuit_breaker_state_cas", &self.circuit_breaker_state_cas)
            .field("circuit_breaker_state_lease_id", &secret(&self.circuit_breaker_state_lease_id))
            .field("compression_gzip", &self.compression_gzip)
            .field("resource", &self.resource)
            .finish()
    }
}

/// Stands for a secret.
struct Hidden;

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_print_every_field_and_no_secret() {
        let secret = || Some("canary".to_owned());
        let options = OtlpHttpPushOptions {
            bearer_token: secret(),
            headers: vec![("x-tenant".into(), "canary".into())],
            circuit_breaker_state_lease_id: secret(),
            circuit_breaker_state_url: Some("https://canary:canary@store/states?token=canary#canary".into()),
            circuit_breaker_scope_key: Some("fleet".into()),
            ..OtlpHttpPushOptions::default()
        };
        for text in [format!("{options:?}"), format!("{options:#?}")] {
            assert!(!text.contains("canary"), "{text}");
            for shown in ["x-tenant", "https://store/states", "fleet", "retry_jitter_ratio", "compression_gzip"] {
                assert!(text.contains(shown), "{shown} is not in {text}");
            }
        }
        let odd = OtlpHttpPushOptions {
            circuit_breaker_state_url: Some("canary at a place that is no URL".into()),
            ..OtlpHttpPushOptions::default()
        };
        assert!(!format!("{odd:?}").contains("canary"));
    }
}
