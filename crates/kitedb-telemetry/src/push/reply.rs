//! What collectors answer: how much of it is read, and what it says about points that they did not take.

use crate::push::secrets::Secrets;
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use prost::Message as _;
use std::io::Read as _;

/// No answer is longer, compressed or not.
pub(crate) const REPLY_LIMIT: usize = 4 << 20;

/// No request is longer, before compression.
pub(crate) const REQUEST_LIMIT: usize = 64 << 20;

/// So much of an answer is quoted in an error.
const QUOTED: usize = 1024;

/// An attempt that the collector took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub status: i64,
    pub body: String,
    pub rejected: u64,
    pub partial_error: Option<String>,
}

impl Accepted {
    /// Reads the body of an HTTP answer that is a success. One that is no OTLP, an empty one, say, is one without
    /// partial success.
    pub fn http(status: u16, protobuf: bool, body: &[u8]) -> Self {
        let (rejected, partial_error) =
            if protobuf { protobuf_partial_success(body) } else { json_partial_success(body) };
        let body = match protobuf {
            // Binary content is told in words, as over gRPC.
            true => partial_line(rejected, partial_error.as_deref()),
            false => String::from_utf8_lossy(body).into_owned(),
        };
        Self { status: status.into(), body, rejected, partial_error }
    }

    /// Reads the answer to a gRPC call.
    pub fn grpc(response: ExportMetricsServiceResponse) -> Self {
        let (rejected, partial_error) = partial_success(response.partial_success);
        Self { status: 200, body: partial_line(rejected, partial_error.as_deref()), rejected, partial_error }
    }

    /// The same without secrets: a collector may repeat what it was sent.
    pub fn without(self, secrets: &Secrets) -> Self {
        Self {
            body: secrets.hide(&self.body),
            partial_error: self.partial_error.map(|message| secrets.hide(&message)),
            ..self
        }
    }
}

fn partial_success(partial: Option<ExportMetricsPartialSuccess>) -> (u64, Option<String>) {
    let partial = partial.unwrap_or_default();
    let message = Some(partial.error_message).filter(|message| !message.is_empty());
    (u64::try_from(partial.rejected_data_points).unwrap_or(0), message)
}

fn protobuf_partial_success(body: &[u8]) -> (u64, Option<String>) {
    partial_success(ExportMetricsServiceResponse::decode(body).unwrap_or_default().partial_success)
}

/// Whether a body without a content type tells in protobuf of points that were not taken.
pub(crate) fn is_partial_success(body: &[u8]) -> bool {
    ExportMetricsServiceResponse::decode(body).is_ok_and(|reply| reply.partial_success.is_some())
}

/// Read leniently: collectors write 64-bit integers both as strings and as numbers.
fn json_partial_success(body: &[u8]) -> (u64, Option<String>) {
    let reply: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let partial = &reply["partialSuccess"];
    let rejected = &partial["rejectedDataPoints"];
    let rejected = rejected.as_u64().or_else(|| rejected.as_str()?.trim().parse().ok()).unwrap_or(0);
    let message = partial["errorMessage"].as_str().filter(|message| !message.is_empty()).map(str::to_owned);
    (rejected, message)
}

/// The contract's line. Empty when everything was taken without a word.
fn partial_line(rejected: u64, message: Option<&str>) -> String {
    match (rejected, message) {
        (0, None) => String::new(),
        _ => format!(
            "partial_success rejected_data_points={rejected} error_message={}",
            message.unwrap_or_default().replace(['\r', '\n'], " "),
        ),
    }
}

/// What a refusal says, for an error's text: the message of a `google.rpc.Status` in protobuf, else the body as it is.
pub(crate) fn refusal(protobuf: bool, body: &[u8]) -> String {
    let status = protobuf.then(|| tonic_types::Status::decode(body).ok()).flatten();
    match status {
        Some(status) => status.message,
        None => String::from_utf8_lossy(&body[..body.len().min(2 * QUOTED)]).into_owned(),
    }
}

/// Cuts a text to what an error quotes, on one line.
pub(crate) fn quote(text: &str) -> String {
    let text = text.trim();
    let mut end = text.len().min(QUOTED);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = if end < text.len() { "..." } else { "" };
    text[..end].replace(|c: char| c.is_control(), " ") + cut
}

/// Decompresses an answer, which may pretend to be small. `None`: it is no gzip, or comes to more than `REPLY_LIMIT`.
pub(crate) fn inflate(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(body).take(REPLY_LIMIT as u64 + 1).read_to_end(&mut out).ok()?;
    (out.len() <= REPLY_LIMIT).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(rejected: i64, message: &str) -> ExportMetricsServiceResponse {
        let partial = ExportMetricsPartialSuccess { rejected_data_points: rejected, error_message: message.into() };
        ExportMetricsServiceResponse { partial_success: Some(partial) }
    }

    #[test]
    fn partial_success_is_read_in_json_as_string_and_number() {
        for (body, rejected, message) in [
            (r#"{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"old"}}"#, 3, Some("old")),
            (r#"{"partialSuccess":{"rejectedDataPoints":3}}"#, 3, None),
            (r#"{"partialSuccess":{"errorMessage":"slow down"}}"#, 0, Some("slow down")),
            (r#"{"partialSuccess":{"rejectedDataPoints":"-3"}}"#, 0, None),
            (r#"{"partialSuccess":{}}"#, 0, None),
            ("{}", 0, None),
            ("", 0, None),
            ("OK", 0, None),
            ("[1]", 0, None),
        ] {
            let accepted = Accepted::http(200, false, body.as_bytes());
            assert_eq!((accepted.rejected, accepted.partial_error.as_deref()), (rejected, message), "{body}");
            assert_eq!(accepted.body, body);
        }
    }

    #[test]
    fn partial_success_is_read_in_protobuf() {
        let accepted = Accepted::http(200, true, &reply(2, "too\nold").encode_to_vec());
        assert_eq!((accepted.rejected, accepted.partial_error.as_deref()), (2, Some("too\nold")));
        assert_eq!(accepted.body, "partial_success rejected_data_points=2 error_message=too old");
        assert_eq!(Accepted::http(202, true, b"").body, "");
        assert_eq!(Accepted::http(202, true, b"\xff\xff no protobuf").rejected, 0);
    }

    #[test]
    fn grpc_answers_with_the_line_of_the_contract() {
        let accepted = Accepted::grpc(reply(-1, ""));
        assert_eq!((accepted.status, accepted.body.as_str(), accepted.rejected), (200, "", 0));
        let accepted = Accepted::grpc(reply(7, "full"));
        assert_eq!(accepted.body, "partial_success rejected_data_points=7 error_message=full");
    }

    #[test]
    fn quotes_are_short_and_on_one_line() {
        assert_eq!(quote(" a\r\nb\u{0}c "), "a  b c");
        let long = quote(&"ü".repeat(5000));
        assert!(long.len() <= QUOTED + 3 && long.ends_with("..."));
    }

    #[test]
    fn a_gzip_bomb_is_given_up() {
        let gzip = |bytes: &[u8]| {
            let mut encoder = flate2::read::GzEncoder::new(bytes, flate2::Compression::best());
            let mut out = Vec::new();
            encoder.read_to_end(&mut out).unwrap();
            out
        };
        let bomb = gzip(&vec![b' '; REPLY_LIMIT + 1]);
        assert!(bomb.len() < REPLY_LIMIT / 100);
        assert_eq!(inflate(&bomb), None);
        assert_eq!(inflate(&gzip(&vec![b' '; REPLY_LIMIT])).map(|body| body.len()), Some(REPLY_LIMIT));
        assert_eq!(inflate(b"no gzip"), None);
        assert_eq!(inflate(&bomb[..bomb.len() / 2]), None);
    }
}
