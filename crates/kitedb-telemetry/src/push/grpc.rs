//! One attempt over gRPC.

use crate::{
    error::{Result, TelemetryError, causes},
    push::{
        failure::{Failure, is_permanent},
        reply::{Accepted, REPLY_LIMIT, REQUEST_LIMIT, quote},
        secrets::Secrets,
        tls::TlsMaterial,
    },
    retry::{Outcome, Verdict, classify_grpc},
    settings::Settings,
};
use http::HeaderMap;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse, metrics_service_client::MetricsServiceClient,
};
use parking_lot::Mutex;
use prost::Message as _;
use std::{
    error::Error as _,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::time::{Instant, timeout_at};
use tonic::{
    Code, Request, Status,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

/// Calls one collector. The channel is kept for the next attempt and the next push, until it breaks.
pub(crate) struct GrpcSender {
    endpoint: Endpoint,
    headers: HeaderMap,
    secrets: Secrets,
    channel: Mutex<Option<Channel>>,
    /// Goes off once the collector says that it does not understand it.
    gzip: AtomicBool,
}

impl GrpcSender {
    pub fn new(settings: &Settings, tls: &TlsMaterial) -> Result<Self> {
        let invalid =
            |cause| TelemetryError::InvalidOption(format!("Invalid OTLP gRPC TLS configuration: {}", causes(&cause)));
        let mut endpoint = Endpoint::from_shared(settings.endpoint.origin())
            .and_then(|endpoint| endpoint.user_agent(concat!("kitedb-telemetry/", env!("CARGO_PKG_VERSION"))))
            .map_err(|cause| TelemetryError::InvalidOption(format!("endpoint is not valid: {}", causes(&cause))))?;
        if settings.endpoint.is_https() {
            endpoint = endpoint.tls_config(tls.tonic()).map_err(invalid)?;
        }
        Ok(Self {
            endpoint,
            headers: settings.headers.clone(),
            secrets: settings.secrets.clone(),
            channel: Mutex::new(None),
            gzip: AtomicBool::new(settings.gzip),
        })
    }

    /// Connects where that is to be done, calls, and reads the answer to its end, all before `until`.
    pub async fn attempt(&self, request: &ExportMetricsServiceRequest, until: Instant) -> Result<Accepted, Failure> {
        let connected = AtomicBool::new(false);
        let result = timeout_at(until, self.export(request, &connected)).await.unwrap_or_else(|_| {
            let cause = if connected.into_inner() { "no answer came" } else { "no connection was made" };
            Err(Failure::Late { grpc: true, cause: cause.to_owned() })
        });
        if matches!(result, Err(Failure::Transport { .. } | Failure::Late { .. })) {
            // Whatever hangs on this connection would hang the next attempt, too.
            *self.channel.lock() = None;
        }
        result
    }

    async fn export(&self, request: &ExportMetricsServiceRequest, connected: &AtomicBool) -> Result<Accepted, Failure> {
        let channel = self.connect().await?;
        connected.store(true, Ordering::Relaxed);
        let gzip = self.gzip.load(Ordering::Relaxed);
        let mut answer = self.call(channel.clone(), request, gzip).await;
        if gzip && answer.as_ref().is_err_and(refuses_gzip) {
            self.gzip.store(false, Ordering::Relaxed);
            answer = self.call(channel, request, false).await;
        }
        answer
            .map(|response| Accepted::grpc(response).without(&self.secrets))
            .map_err(|status| self.failure(&status, request))
    }

    async fn connect(&self) -> Result<Channel, Failure> {
        let kept = self.channel.lock().clone();
        if let Some(channel) = kept {
            return Ok(channel);
        }
        let channel = self.endpoint.connect().await.map_err(|error| self.transport(&error))?;
        *self.channel.lock() = Some(channel.clone());
        Ok(channel)
    }

    async fn call(
        &self,
        channel: Channel,
        request: &ExportMetricsServiceRequest,
        gzip: bool,
    ) -> Result<ExportMetricsServiceResponse, Status> {
        let mut client = MetricsServiceClient::new(channel)
            .max_decoding_message_size(REPLY_LIMIT)
            // The bound is ours, and was checked; this one only must not be a smaller one.
            .max_encoding_message_size(REQUEST_LIMIT * 2)
            .accept_compressed(CompressionEncoding::Gzip);
        if gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        let mut call = Request::new(request.clone());
        *call.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
        Ok(client.export(call).await?.into_inner())
    }

    fn failure(&self, status: &Status, request: &ExportMetricsServiceRequest) -> Failure {
        // Statuses that came over the wire have no cause: this one was made on this side, of an error.
        if let Some(cause) = status.source() {
            return self.transport(cause);
        }
        let message = quote(&self.secrets.hide(status.message()));
        if is_long_answer(status) && request.encoded_len() <= REPLY_LIMIT {
            return Failure::Transport { grpc: true, cause: message, retryable: false };
        }
        let retry_info = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let (mut verdict, mut outcome) = classify_grpc(status.code(), retry_info);
        if is_long_answer(status) {
            (verdict, outcome) = (Verdict::Permanent, Outcome::Refused);
        }
        Failure::Grpc { code: name(status.code()), message, verdict, outcome }
    }

    fn transport(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        let cause = quote(&self.secrets.hide(&causes(error)));
        Failure::Transport { grpc: true, cause, retryable: !is_permanent(error) }
    }
}

/// The message of either side that refuses one for its length. Sending it again does not make it shorter.
fn is_long_answer(status: &Status) -> bool {
    let limit = ["Error, decoded message length too large", "Error decompressing: size limit"];
    matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted)
        && limit.iter().any(|text| status.message().starts_with(text))
}

/// Whether a collector does not know gzip: it says so with `UNIMPLEMENTED`, and tells what it knows.
fn refuses_gzip(status: &Status) -> bool {
    let message = status.message().to_ascii_lowercase();
    let accepted = status.metadata().get("grpc-accept-encoding").map(|value| value.as_bytes().to_ascii_lowercase());
    status.code() == Code::Unimplemented
        && (message.contains("gzip")
            || message.contains("compress")
            || accepted.is_some_and(|list| !list.split(|byte| *byte == b',').any(|name| name.trim_ascii() == b"gzip")))
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
