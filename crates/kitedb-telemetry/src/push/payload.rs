//! What is sent: checked and encoded once, whatever the number of attempts.

use crate::{
    error::{Result, TelemetryError},
    options::OtlpTransport,
    push::reply::REQUEST_LIMIT,
    render::{data_points, encode_json},
    settings::Settings,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;
use std::io::Write as _;

/// A payload that can be sent.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub form: Form,
    /// How many data points it holds.
    pub points: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// The body of an HTTP request, compressed if it is to be.
    Body(Bytes),
    /// gRPC encodes and compresses by itself.
    Message(Box<ExportMetricsServiceRequest>),
}

impl Payload {
    /// # Errors
    /// `InvalidPayload` for more than 64 MiB, and over gRPC for what is no OTLP.
    pub fn new(settings: &Settings, payload: &[u8]) -> Result<Self> {
        if payload.len() > REQUEST_LIMIT {
            let text = format!("OTLP payload of {} bytes: no more than {REQUEST_LIMIT} are sent", payload.len());
            return Err(TelemetryError::InvalidPayload(text));
        }
        Ok(match settings.transport {
            OtlpTransport::Grpc => {
                let message = decode(payload)?;
                Self { points: data_points(&message), form: Form::Message(Box::new(message)) }
            }
            OtlpTransport::HttpProtobuf => Self {
                points: decode(payload).map_or(0, |message| data_points(&message)),
                form: Form::Body(body(settings, payload)),
            },
            OtlpTransport::HttpJson => Self {
                points: serde_json::from_slice(payload).map_or(0, |json| count_json(&json)),
                form: Form::Body(body(settings, payload)),
            },
        })
    }

    /// What was collected from a database.
    pub fn collected(settings: &Settings, message: ExportMetricsServiceRequest) -> Self {
        let points = data_points(&message);
        let form = match settings.transport {
            OtlpTransport::Grpc => Form::Message(Box::new(message)),
            OtlpTransport::HttpProtobuf => Form::Body(body(settings, &message.encode_to_vec())),
            OtlpTransport::HttpJson => Form::Body(body(settings, encode_json(&message).as_bytes())),
        };
        Self { form, points }
    }
}

fn decode(payload: &[u8]) -> Result<ExportMetricsServiceRequest> {
    ExportMetricsServiceRequest::decode(payload)
        .map_err(|cause| TelemetryError::InvalidPayload(format!("Invalid OTLP protobuf payload: {cause}")))
}

fn body(settings: &Settings, payload: &[u8]) -> Bytes {
    if !settings.gzip {
        return Bytes::copy_from_slice(payload);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = encoder.write_all(payload);
    encoder.finish().unwrap_or_default().into()
}

/// All elements of lists that are called `dataPoints`, wherever they stand. Nothing else has that name in OTLP.
fn count_json(json: &serde_json::Value) -> u64 {
    match json {
        serde_json::Value::Array(items) => items.iter().map(count_json).sum(),
        serde_json::Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value.as_array() {
                Some(points) if name == "dataPoints" => points.len() as u64,
                _ => count_json(value),
            })
            .sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::OtlpHttpPushOptions;

    fn settings(transport: OtlpTransport) -> Settings {
        Settings::check(transport, "http://localhost:1", &OtlpHttpPushOptions::default()).unwrap()
    }

    #[test]
    fn points_are_counted_in_json() {
        let json = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
            {"name":"a","gauge":{"dataPoints":[{"asInt":"1"},{"asInt":"2"}]}},
            {"name":"b","sum":{"dataPoints":[{"asInt":"1"}],"isMonotonic":true}}]}]}]}"#;
        assert_eq!(Payload::new(&settings(OtlpTransport::HttpJson), json).unwrap().points, 3);
        assert_eq!(Payload::new(&settings(OtlpTransport::HttpJson), b"no json").unwrap().points, 0);
    }

    #[test]
    fn grpc_refuses_what_is_no_otlp() {
        let error = Payload::new(&settings(OtlpTransport::Grpc), b"\xff\xff\xff").unwrap_err();
        assert!(error.to_string().contains("Invalid OTLP protobuf payload"), "{error}");
        assert_eq!(error.code(), "INVALID_PAYLOAD");
    }

    #[test]
    fn a_payload_over_64_mib_is_refused() {
        for transport in [OtlpTransport::HttpJson, OtlpTransport::HttpProtobuf, OtlpTransport::Grpc] {
            let error = Payload::new(&settings(transport), &vec![0; REQUEST_LIMIT + 1]).unwrap_err();
            assert_eq!(error.code(), "INVALID_PAYLOAD");
            assert!(error.to_string().contains("67108864"), "{error}");
        }
    }
}
