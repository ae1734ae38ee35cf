//! How the queries of the graph are read: a parameter that cannot be read, or that is none, is an error.

use crate::error::Failure;
use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use kitedb_core::Error;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

/// Items of a page at most.
const MOST: usize = 10_000;
/// Items of a page where nothing is said.
const DEFAULT: usize = 100;

/// The parameters of a query.
#[derive(Debug)]
pub(crate) struct Params<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        // What stands for no text would be read as another one.
        let query = parts.uri.query().unwrap_or_default();
        if percent_decode_str(query).decode_utf8().is_err() {
            return Err(invalid("the query is no UTF-8"));
        }
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(read)) => Ok(Self(read)),
            Err(e) => Err(invalid(format_args!("{:.300}", e.body_text()))),
        }
    }
}

/// What was asked cannot be meant.
pub fn invalid(what: impl std::fmt::Display) -> Failure {
    Error::invalid(what).into()
}

/// How many items a page has that was asked to have so many.
pub fn bounded(limit: Option<usize>) -> usize {
    limit.unwrap_or(DEFAULT).clamp(1, MOST)
}
