//! Options that have been checked: what a push works with. One that cannot be carried out cannot be built.

use crate::{
    breaker::{HttpStoreMode, HttpStoreSettings, Policy, StoreSettings, header_text},
    endpoint::Endpoint,
    error::{Result, TelemetryError},
    options::{OtlpHttpPushOptions, OtlpTransport},
    push::secrets::Secrets,
    render::OtlpResource,
    retry::Backoff,
};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use std::{path::PathBuf, time::Duration};
use url::Url;

/// What a push does, whatever it is called with from there on.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Whether a connection stays for the next attempt and the next push.
    pub keep_connections: bool,
    pub transport: OtlpTransport,
    pub endpoint: Endpoint,
    /// Bounded so that adding it to a clock cannot overflow.
    pub timeout: Duration,
    /// `None`: each attempt that is left gets its share of what time is left.
    pub attempt_timeout: Option<Duration>,
    /// With `authorization`. All values are marked as secrets.
    pub headers: HeaderMap,
    pub secrets: Secrets,
    pub tls: TlsFiles,
    pub max_attempts: u32,
    pub backoff: Backoff,
    pub gzip: bool,
    pub resource: OtlpResource,
    pub policy: Policy,
    pub key: String,
    pub store: StoreChoice,
}

/// The PEM files that were named.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsFiles {
    pub ca: Option<PathBuf>,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
}

/// Where the breaker's state is kept.
#[derive(Debug, Clone)]
pub(crate) enum StoreChoice {
    Process,
    File(PathBuf),
    Http(StoreUrl),
}

/// An HTTP store, before TLS is loaded. Made only by [`Settings::check`], printed without its secrets.
#[derive(Clone)]
pub(crate) struct StoreUrl {
    pub url: Url,
    mode: HttpStoreMode,
    cas: bool,
    lease_id: Option<String>,
    write_attempts: u32,
}

impl std::fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StoreUrl").field(&crate::endpoint::show(self.url.as_str())).finish()
    }
}

impl StoreUrl {
    /// What the breaker's edge asks for, once there is a client that trusts what the push trusts.
    pub fn with_client(&self, client: reqwest::Client) -> StoreSettings {
        StoreSettings::Http(HttpStoreSettings {
            url: self.url.clone(),
            mode: self.mode,
            cas: self.cas,
            lease_id: self.lease_id.clone(),
            write_attempts: self.write_attempts,
            client: Some(client),
        })
    }
}

/// Longer than anybody waits, short enough to be added to any clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

impl Settings {
    /// Checks everything that can be checked without a file and without the network.
    ///
    /// # Errors
    /// `InvalidOption`, in this order: the endpoint is blank, an option, the endpoint itself.
    pub fn check(transport: OtlpTransport, endpoint: &str, options: &OtlpHttpPushOptions) -> Result<Self> {
        require(!endpoint.trim().is_empty(), "endpoint must not be empty")?;
        check_numbers(options)?;
        let store = check_store(options)?;
        let key = not_blank(&options.circuit_breaker_scope_key, "circuit_breaker_scope_key")?;
        let bearer = bearer(options)?;
        let headers = custom_headers(transport, options)?;
        let endpoint = Endpoint::parse(endpoint)?;
        let https = endpoint.is_https();
        require(https || !options.tls.https_only, "endpoint must use https when https_only is enabled")?;

        let key = key.unwrap_or_else(|| endpoint.shown().to_owned());
        if matches!(store, StoreChoice::Http(_)) {
            // Keys and leases travel in headers.
            require(
                header_text(&key),
                "circuit_breaker_scope_key must be visible ASCII with circuit_breaker_state_url",
            )?;
        }
        let mut secrets = endpoint.secrets();
        secrets.extend(options.bearer_token.as_deref().map(|token| token.trim().to_owned()));
        secrets.extend(options.headers.iter().map(|(_, value)| value.trim().to_owned()));
        secrets.extend(options.circuit_breaker_state_lease_id.clone());
        secrets.extend(endpoint.basic_authorization().map(|basic| basic.replace("Basic ", "")));
        Ok(Self {
            keep_connections: true,
            transport,
            timeout: Duration::from_millis(options.timeout_ms).min(LONGEST),
            attempt_timeout: (options.attempt_timeout_ms > 0)
                .then(|| Duration::from_millis(options.attempt_timeout_ms).min(LONGEST)),
            headers: authorized(headers, bearer, &endpoint)?,
            secrets: Secrets::new(secrets),
            endpoint,
            tls: tls_files(options),
            max_attempts: options.retry_max_attempts,
            backoff: Backoff {
                initial_ms: options.retry_backoff_ms,
                max_ms: options.retry_backoff_max_ms,
                jitter_ratio: options.retry_jitter_ratio,
            },
            gzip: options.compression_gzip,
            resource: options.resource.clone(),
            policy: policy(options),
            key,
            store,
        })
    }
}

fn check_numbers(options: &OtlpHttpPushOptions) -> Result<()> {
    let o = options;
    require(o.timeout_ms > 0, "timeout_ms must be > 0")?;
    require(o.retry_max_attempts > 0, "retry_max_attempts must be > 0")?;
    require(
        o.retry_backoff_max_ms == 0 || o.retry_backoff_max_ms >= o.retry_backoff_ms,
        "retry_backoff_max_ms must be >= retry_backoff_ms when non-zero",
    )?;
    // Ranges hold no NaN.
    require((0.0..=1.0).contains(&o.retry_jitter_ratio), "retry_jitter_ratio must be within [0.0, 1.0]")?;
    require((0.0..=1.0).contains(&o.adaptive_retry_ewma_alpha), "adaptive_retry_ewma_alpha must be within [0.0, 1.0]")?;
    if o.circuit_breaker_failure_threshold > 0 {
        require(
            o.circuit_breaker_open_ms > 0,
            "circuit_breaker_open_ms must be > 0 when circuit_breaker_failure_threshold is enabled",
        )?;
        require(
            o.circuit_breaker_half_open_probes > 0,
            "circuit_breaker_half_open_probes must be > 0 when circuit_breaker_failure_threshold is enabled",
        )?;
    }
    Ok(())
}

fn check_store(options: &OtlpHttpPushOptions) -> Result<StoreChoice> {
    let o = options;
    let path = not_blank(&o.circuit_breaker_state_path, "circuit_breaker_state_path")?;
    let url = not_blank(&o.circuit_breaker_state_url, "circuit_breaker_state_url")?;
    let lease_id = not_blank(&o.circuit_breaker_state_lease_id, "circuit_breaker_state_lease_id")?;
    require(
        path.is_none() || url.is_none(),
        "circuit_breaker_state_path and circuit_breaker_state_url are mutually exclusive",
    )?;
    let url = url.map(|text| store_url(&text, o.tls.https_only)).transpose()?;

    let with_url = |given: bool, option: &str| {
        require(!given || url.is_some(), &format!("{option} requires circuit_breaker_state_url"))
    };
    let with_patch = |given: bool, option: &str| {
        require(!given || o.circuit_breaker_state_patch, &format!("{option} requires circuit_breaker_state_patch"))
    };
    with_url(o.circuit_breaker_state_patch, "circuit_breaker_state_patch")?;
    with_patch(o.circuit_breaker_state_patch_batch, "circuit_breaker_state_patch_batch")?;
    with_patch(o.circuit_breaker_state_patch_merge, "circuit_breaker_state_patch_merge")?;
    let usual = OtlpHttpPushOptions::default();
    for (number, default, option) in [
        (
            o.circuit_breaker_state_patch_batch_max_keys,
            usual.circuit_breaker_state_patch_batch_max_keys,
            "circuit_breaker_state_patch_batch_max_keys",
        ),
        (
            o.circuit_breaker_state_patch_merge_max_keys,
            usual.circuit_breaker_state_patch_merge_max_keys,
            "circuit_breaker_state_patch_merge_max_keys",
        ),
        (
            o.circuit_breaker_state_patch_retry_max_attempts,
            usual.circuit_breaker_state_patch_retry_max_attempts,
            "circuit_breaker_state_patch_retry_max_attempts",
        ),
    ] {
        require(number > 0, &format!("{option} must be > 0"))?;
        with_url(number != default, option)?;
    }
    with_url(o.circuit_breaker_state_cas, "circuit_breaker_state_cas")?;
    with_url(lease_id.is_some(), "circuit_breaker_state_lease_id")?;
    require(
        lease_id.as_deref().is_none_or(header_text),
        "circuit_breaker_state_lease_id must be visible ASCII: it is sent in a header",
    )?;
    Ok(match (path, url) {
        (Some(path), _) => StoreChoice::File(path.into()),
        (None, Some(url)) => StoreChoice::Http(StoreUrl {
            url,
            mode: store_mode(o),
            cas: o.circuit_breaker_state_cas,
            lease_id,
            write_attempts: o.circuit_breaker_state_patch_retry_max_attempts,
        }),
        (None, None) => StoreChoice::Process,
    })
}

fn store_url(text: &str, https_only: bool) -> Result<Url> {
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    let https = scheme.eq_ignore_ascii_case("https");
    require(https || scheme.eq_ignore_ascii_case("http"), "circuit_breaker_state_url must use http:// or https://")?;
    require(https || !https_only, "circuit_breaker_state_url must use https when https_only is enabled")?;
    Url::parse(text).map_err(|cause| {
        TelemetryError::InvalidOption(format!("circuit_breaker_state_url is not a valid URL: {cause}"))
    })
}

fn store_mode(o: &OtlpHttpPushOptions) -> HttpStoreMode {
    if o.circuit_breaker_state_patch_merge {
        HttpStoreMode::Merge { max_keys: o.circuit_breaker_state_patch_merge_max_keys }
    } else if o.circuit_breaker_state_patch_batch {
        HttpStoreMode::Batch { max_keys: o.circuit_breaker_state_patch_batch_max_keys }
    } else if o.circuit_breaker_state_patch {
        HttpStoreMode::Patch
    } else {
        HttpStoreMode::Document
    }
}

fn policy(o: &OtlpHttpPushOptions) -> Policy {
    Policy {
        threshold: o.circuit_breaker_failure_threshold,
        open_ms: o.circuit_breaker_open_ms,
        probes: o.circuit_breaker_half_open_probes,
        // Whoever took the probe has given up by then.
        probe_ms: o.timeout_ms.saturating_mul(2),
        adaptive: o.adaptive_retry.then_some(o.adaptive_retry_mode),
        alpha: o.adaptive_retry_ewma_alpha,
    }
}

fn tls_files(o: &OtlpHttpPushOptions) -> TlsFiles {
    let named =
        |path: &Option<PathBuf>| path.clone().filter(|path| !path.to_str().is_some_and(|text| text.trim().is_empty()));
    TlsFiles {
        ca: named(&o.tls.ca_cert_pem_path),
        client_cert: named(&o.tls.client_cert_pem_path),
        client_key: named(&o.tls.client_key_pem_path),
    }
}

fn bearer(options: &OtlpHttpPushOptions) -> Result<Option<HeaderValue>> {
    let Some(token) = options.bearer_token.as_deref().map(str::trim).filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let value = header_text(token).then(|| HeaderValue::from_str(&format!("Bearer {token}")).ok()).flatten();
    value
        .map(Some)
        .ok_or_else(|| TelemetryError::InvalidOption("Invalid OTLP bearer token: it is not visible ASCII".to_owned()))
}

/// These say how a message is framed, and are the transport's to set.
const RESERVED: [&str; 14] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// Names are not repeated either: who swaps name and value would find the value in the error.
fn custom_headers(transport: OtlpTransport, options: &OtlpHttpPushOptions) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (i, (name, value)) in options.headers.iter().enumerate() {
        let refused = |what: &str| TelemetryError::InvalidOption(format!("headers[{i}]: {what}"));
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| refused("the name is not valid"))?;
        let value = value.trim();
        let mut value = (value.is_empty() || header_text(value))
            .then(|| HeaderValue::from_str(value).ok())
            .flatten()
            .ok_or_else(|| refused("the value is not visible ASCII"))?;
        if RESERVED.contains(&name.as_str()) {
            return Err(refused("the name is reserved for the transport"));
        }
        if transport == OtlpTransport::Grpc && (name.as_str().starts_with("grpc-") || name.as_str().ends_with("-bin")) {
            return Err(refused("names with `grpc-` or `-bin` are reserved in gRPC"));
        }
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// The token, else a header that was given, else credentials in the endpoint.
fn authorized(mut headers: HeaderMap, bearer: Option<HeaderValue>, endpoint: &Endpoint) -> Result<HeaderMap> {
    let value = match (bearer, endpoint.basic_authorization()) {
        (Some(bearer), _) => bearer,
        (None, Some(basic)) if !headers.contains_key(AUTHORIZATION) => HeaderValue::from_str(&basic)
            .map_err(|_| TelemetryError::InvalidOption("endpoint has credentials that no header can carry".into()))?,
        _ => return Ok(headers),
    };
    let mut value = value;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(headers)
}

fn not_blank(value: &Option<String>, option: &str) -> Result<Option<String>> {
    let value = value.as_deref().map(str::trim);
    require(value != Some(""), &format!("{option} must not be empty when provided"))?;
    Ok(value.map(str::to_owned))
}

fn require(holds: bool, phrase: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(TelemetryError::InvalidOption(phrase.to_owned())) }
}
