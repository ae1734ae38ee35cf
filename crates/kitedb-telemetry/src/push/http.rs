//! One attempt over HTTP/1.1.

use crate::{
    clock,
    error::{Result, TelemetryError, causes},
    options::OtlpTransport,
    push::{
        failure::{Failure, is_permanent},
        reply::{Accepted, REPLY_LIMIT, inflate, is_partial_success, quote, refusal},
        secrets::Secrets,
        tls::TlsMaterial,
    },
    retry::{Verdict, classify_http},
    settings::Settings,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
};
use reqwest::{Client, Response, redirect::Policy as Redirects};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use url::Url;

/// So much of a refusal is read.
const REFUSAL_LIMIT: usize = 64 << 10;

/// So long a connection is kept that nobody uses. Collectors and balancers often close theirs after 60 s, which is also
/// the usual interval of an exporter: a request that meets such an end is lost.
const LONGEST_IDLE: Duration = Duration::from_secs(30);

const PROTOBUF: &str = "application/x-protobuf";

/// Posts to one collector. Unless it is for one push only, connections are kept for the next attempt and the next push.
pub(crate) struct HttpSender {
    client: Client,
    url: Url,
    headers: HeaderMap,
    /// Whether that is what it posts.
    protobuf: bool,
    secrets: Secrets,
}

impl HttpSender {
    pub fn new(settings: &Settings, tls: &TlsMaterial) -> Result<Self> {
        let mut headers = settings.headers.clone();
        let content_type = if settings.transport == OtlpTransport::HttpJson { "application/json" } else { PROTOBUF };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if settings.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if !settings.keep_connections {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(Self {
            client: client(tls, true)?,
            url: settings.endpoint.url().clone(),
            headers,
            protobuf: settings.transport == OtlpTransport::HttpProtobuf,
            secrets: settings.secrets.clone(),
        })
    }

    /// Sends `body`, which is compressed already if it is to be, and reads the answer, all before `until`.
    pub async fn attempt(&self, body: &Bytes, until: Instant) -> Result<Accepted, Failure> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body.clone());
        let mut response = match timeout_at(until, request.send()).await {
            Ok(sent) => sent.map_err(|error| self.transport(&error))?,
            Err(_) => return Err(late("no answer came")),
        };
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let (verdict, outcome) = classify_http(status, retry_after, clock::now_ms());
        let labelled = response.headers().contains_key(CONTENT_TYPE);
        let mut protobuf = has(&response, CONTENT_TYPE, PROTOBUF);
        let mut body = Vec::new();
        if verdict == Verdict::Success {
            match timeout_at(until, read(&mut response, REPLY_LIMIT, &mut body)).await {
                Ok(Ok(())) => {}
                Ok(Err(Unread::Broken(error))) => return Err(self.transport(&error)),
                Ok(Err(Unread::TooLong)) => return Err(unreadable("the answer is longer than 4 MiB")),
                Err(_) => return Err(late("the answer did not end")),
            }
            let body = decoded(&response, body).map_err(unreadable)?;
            // Some collectors answer in the form in which they were asked, and do not say so.
            protobuf |= !labelled && self.protobuf && is_partial_success(&body);
            return Ok(Accepted::http(status, protobuf, &body).without(&self.secrets));
        }
        // The status has decided. What the body says is for people: some of it will do, and it is not worth all the
        // time that is left.
        let patience = Instant::now() + until.saturating_duration_since(Instant::now()) / 2;
        let _ = timeout_at(patience, read(&mut response, REFUSAL_LIMIT, &mut body)).await;
        let body = decoded(&response, body).unwrap_or_default();
        let body = quote(&self.secrets.hide(&refusal(protobuf, &body)));
        Err(Failure::Http { status, body, verdict, outcome })
    }

    fn transport(&self, error: &reqwest::Error) -> Failure {
        // The library's own text holds the URL; what is below it tells what happened.
        let below: &(dyn std::error::Error + 'static) = std::error::Error::source(error).unwrap_or(&Unexplained);
        Failure::Transport {
            grpc: false,
            cause: quote(&self.secrets.hide(&causes(below))),
            retryable: !error.is_builder() && !is_permanent(below),
        }
    }
}

/// A client that does what it is told: HTTP/1.1, no redirects, no proxies of the environment, no repetitions.
pub(crate) fn client(tls: &TlsMaterial, with_identity: bool) -> Result<Client> {
    Client::builder()
        .tls_backend_preconfigured(tls.rustls(with_identity)?)
        .http1_only()
        .no_proxy()
        .referer(false)
        .redirect(Redirects::none())
        .retry(reqwest::retry::never())
        .pool_idle_timeout(LONGEST_IDLE)
        .user_agent(concat!("kitedb-telemetry/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| TelemetryError::Resources(format!("no HTTP client can be made: {}", error.without_url())))
}

/// Why a body was not read to its end.
enum Unread {
    Broken(reqwest::Error),
    TooLong,
}

/// Appends to `body` what comes, also if it is not all of it.
async fn read(response: &mut Response, limit: usize, body: &mut Vec<u8>) -> Result<(), Unread> {
    while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
        body.extend_from_slice(&chunk);
        if body.len() > limit {
            return Err(Unread::TooLong);
        }
    }
    Ok(())
}

/// The body without its compression; what is wrong with it, if it cannot be had.
fn decoded(response: &Response, body: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    if body.is_empty()
        || !response.headers().contains_key(CONTENT_ENCODING)
        || has(response, CONTENT_ENCODING, "identity")
    {
        Ok(body)
    } else if has(response, CONTENT_ENCODING, "gzip") || has(response, CONTENT_ENCODING, "x-gzip") {
        inflate(&body).ok_or("the answer is no gzip, or longer than 4 MiB")
    } else {
        Err("the answer is compressed in a way that was not asked for")
    }
}

fn has(response: &Response, name: http::HeaderName, prefix: &str) -> bool {
    let value = response.headers().get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    value.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

fn unreadable(cause: &str) -> Failure {
    Failure::Transport { grpc: false, cause: cause.to_owned(), retryable: false }
}

fn late(cause: &str) -> Failure {
    Failure::Late { grpc: false, cause: cause.to_owned() }
}

#[derive(Debug, thiserror::Error)]
#[error("the request could not be sent")]
struct Unexplained;
