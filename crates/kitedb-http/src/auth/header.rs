//! What a request says under the name of a header.

use crate::ConfigError;
use axum::http::{HeaderMap, HeaderName};

/// What clients send, and proxies set, of every request, whoever it is from: it tells of no certificate.
const OF_EVERYBODY: [&str; 35] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "from",
    "host",
    "keep-alive",
    "origin",
    "pragma",
    "priority",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

/// The name of a header by which a proxy can tell of a certificate.
pub(super) fn header_name(text: &str, option: &str) -> Result<HeaderName, ConfigError> {
    let is_of_everybody = |name: &HeaderName| {
        let name = name.as_str();
        OF_EVERYBODY.contains(&name) || ["sec-", "if-"].iter().any(|prefix| name.starts_with(prefix))
    };
    match HeaderName::try_from(text.trim()) {
        Ok(name) if !is_of_everybody(&name) => Ok(name),
        Ok(name) => Err(ConfigError::new(format!(
            "{option} is no name of a header that a proxy can set: '{name}' comes with every request, whoever it is from"
        ))),
        Err(_) => Err(ConfigError::new(format!("{option} is no name of a header that a proxy can set: '{text}'"))),
    }
}

/// What came more than once says nothing that can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading<'a> {
    Absent,
    One(&'a str),
    Ambiguous,
}

/// Reads a header. A blank value is as good as none.
pub(super) fn read<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Reading<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Reading::Absent,
        (Some(_), Some(_)) => Reading::Ambiguous,
        (Some(value), None) => match value.to_str().map(|text| text.trim_matches([' ', '\t'])) {
            Ok("") => Reading::Absent,
            Ok(text) => Reading::One(text),
            Err(_) => Reading::Ambiguous,
        },
    }
}
