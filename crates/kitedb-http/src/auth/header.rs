//! What a request says under the name of a header.

use axum::http::{HeaderMap, HeaderName};

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
