//! Answers that are bytes: with a validator and a digest of the whole, and by parts for whoever goes on where he was cut off (RFC 9110,
//! sections 8.8, 13 and 14; RFC 9530).

use crate::error::Failure;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::{fmt::Write, ops::Range};

/// What is known of the bytes of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Octets {
    pub len: u64,
    pub sha256: [u8; 32],
}

/// What of them is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Some(Range<u64>),
    /// Whoever asks has them.
    Unchanged,
    /// They do not have that.
    None,
}

/// Whether bytes are asked for, and not JSON.
pub(crate) fn are_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    accepted.flat_map(|accept| accept.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_octets = parts.next().is_some_and(|range| range.eq_ignore_ascii_case("application/octet-stream"));
        // With the weight 0 they are what is not wanted.
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        is_octets && weight.and_then(|weight| weight.parse().ok()) != Some(0.0)
    })
}

impl Octets {
    /// The validator: it changes with the bytes.
    pub fn etag(&self) -> String {
        let mut etag = String::with_capacity(34);
        etag.push('"');
        for byte in &self.sha256[..16] {
            // Writing to a text does not fail.
            let _ = write!(etag, "{byte:02x}");
        }
        etag.push('"');
        etag
    }

    pub fn part(&self, asked: &HeaderMap) -> Part {
        let text = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let etag = self.etag();
        let known =
            |list: &str| list.split(',').any(|one| one.trim().trim_start_matches("W/") == etag || one.trim() == "*");
        if text(header::IF_NONE_MATCH).is_some_and(known) {
            return Part::Unchanged;
        }
        let Some(range) = text(header::RANGE) else { return Part::Whole };
        // Of other bytes than those that he has the beginning of, all are given.
        if text(header::IF_RANGE).is_some_and(|validator| validator.trim() != etag) {
            return Part::Whole;
        }
        range_of(range, self.len)
    }

    /// The answer with that part of them; `body` makes it.
    pub fn answer(&self, part: Part, body: impl FnOnce(Range<u64>) -> Body) -> Response {
        let (status, range) = match part {
            Part::Whole => (StatusCode::OK, 0..self.len),
            Part::Some(range) => (StatusCode::PARTIAL_CONTENT, range),
            Part::Unchanged => (StatusCode::NOT_MODIFIED, 0..0),
            Part::None => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
        };
        let content = match status {
            StatusCode::OK => None,
            StatusCode::PARTIAL_CONTENT => Some(format!("bytes {}-{}/{}", range.start, range.end - 1, self.len)),
            _ => Some(format!("bytes */{}", self.len)),
        };
        let has_body = status.is_success();
        let len = range.end - range.start;
        let mut response = match status {
            StatusCode::RANGE_NOT_SATISFIABLE => Failure::beyond_the_end(self.len).into_response(),
            _ => Response::new(if has_body { body(range) } else { Body::empty() }),
        };
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let mut set = |name, text: String| {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        };
        set(header::ETAG, self.etag());
        set(header::ACCEPT_RANGES, "bytes".to_owned());
        if status != StatusCode::NOT_MODIFIED
            && let Some(content) = content
        {
            set(header::CONTENT_RANGE, content);
        }
        if has_body {
            set(header::CONTENT_LENGTH, len.to_string());
            set(header::CONTENT_TYPE, "application/octet-stream".to_owned());
            let digest = BASE64_STANDARD.encode(self.sha256);
            set(header::HeaderName::from_static("repr-digest"), format!("sha-256=:{digest}:"));
        }
        response
    }
}

/// The part that a `Range` header names. What cannot be read, and more than one part, is as good as none.
fn range_of(text: &str, len: u64) -> Part {
    let Some((unit, range)) = text.split_once('=') else { return Part::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Part::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Part::Whole;
    }
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    match (first, last, number(first), number(last)) {
        // The last ones.
        ("", _, _, Some(count)) if count > 0 && len > 0 => Part::Some(len.saturating_sub(count)..len),
        ("", _, _, Some(_)) => Part::None,
        (_, "", Some(first), _) if first < len => Part::Some(first..len),
        (_, _, Some(first), Some(last)) if first <= last && first < len => {
            Part::Some(first..last.saturating_add(1).min(len))
        }
        (_, "", Some(_), _) => Part::None,
        (_, _, Some(first), Some(last)) if first <= last => Part::None,
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_wanted_where_they_are_asked_for_and_not_declined() {
        for (accept, wanted) in [
            ("application/octet-stream", true),
            ("application/json;q=0.5, Application/Octet-Stream ; q=1.0", true),
            ("application/octet-stream;q=0.001", true),
            ("application/octet-stream;q=0", false),
            ("application/json, application/octet-stream; q=0.000", false),
            ("*/*", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(are_wanted(&headers), wanted, "{accept}");
        }
    }

    #[test]
    fn a_range_is_read_as_rfc_9110_has_it() {
        for (text, part) in [
            ("bytes=0-0", Part::Some(0..1)),
            ("bytes=2-", Part::Some(2..10)),
            ("bytes=2-99", Part::Some(2..10)),
            ("bytes=9-18446744073709551615", Part::Some(9..10)),
            ("bytes=-3", Part::Some(7..10)),
            ("bytes=-99", Part::Some(0..10)),
            ("Bytes = 1-2", Part::Some(1..3)),
            ("bytes=10-", Part::None),
            ("bytes=10-11", Part::None),
            ("bytes=-0", Part::None),
            ("bytes=3-2", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("bytes=99999999999999999999-", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(range_of(text, 10), part, "{text}");
        }
        assert_eq!(range_of("bytes=0-", 0), Part::None);
    }
}
