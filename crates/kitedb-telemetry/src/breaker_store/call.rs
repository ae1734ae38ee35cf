//! What a request asks for, and what is answered.

use crate::breaker::{
    document::{Document, Entry},
    http::wire,
};
use http::{HeaderMap, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fmt::Display;

pub use wire::LEASE;

/// A request that makes sense by itself.
#[derive(Debug)]
pub struct Call {
    pub about: About,
    pub conditions: Conditions,
}

/// What it is about.
#[derive(Debug)]
pub enum About {
    ReadDocument,
    ReadKey(String),
    WriteDocument(Document),
    /// `key` is the one that the conditions are about. All states are valid; `None` deletes.
    WriteKeys {
        key: String,
        updates: Vec<(String, Option<Box<RawValue>>)>,
    },
}

/// On what a write depends: the values of `If-Match` and `If-None-Match`.
#[derive(Debug, Default)]
pub struct Conditions {
    pub matches: Option<String>,
    pub none_matches: Option<String>,
}

impl Conditions {
    /// Whether they hold where `tag` is the tag of what is there.
    pub fn hold(&self, tag: Option<&str>) -> bool {
        // Tags here have no comma, and none is weak.
        let named = |list: &str, tag: &str| list.split(',').map(str::trim).any(|one| one == "*" || one == tag);
        let listed = |list: &str| tag.is_some_and(|tag| named(list, tag));
        self.matches.as_deref().is_none_or(listed) && !self.none_matches.as_deref().is_some_and(listed)
    }
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// The `ETag` of what is there now.
    pub tag: Option<String>,
    pub body: String,
}

impl Answer {
    /// A refusal with its reason.
    pub fn refused(status: StatusCode, reason: impl Display) -> Self {
        Self { status, tag: None, body: serde_json::json!({ "error": reason.to_string() }).to_string() }
    }

    fn bad(reason: impl Display) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, reason)
    }
}

impl Call {
    /// Reads a request.
    ///
    /// # Errors
    /// The refusal of one that makes no sense.
    pub fn of(method: &Method, headers: &HeaderMap, body: &[u8]) -> Result<Self, Answer> {
        let text = |name| match headers.get(name).map(|value| value.to_str()) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value.to_owned())),
            Some(Err(_)) => Err(Answer::bad(format_args!("the header {name} is not visible ASCII"))),
        };
        let list = |name| {
            let values: Vec<_> =
                headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            (!values.is_empty()).then(|| values.join(","))
        };
        let (mode, key) = (text(&wire::MODE)?, text(&wire::KEY)?);
        let about = match (method, mode.as_deref(), key) {
            (&Method::GET, None, None) => About::ReadDocument,
            (&Method::GET, Some(wire::PATCH), Some(key)) => About::ReadKey(key),
            (&Method::PUT, None, None) => About::WriteDocument(document(body)?),
            (&Method::PATCH, Some(wire::PATCH), Some(key)) => {
                let update: Update = parse(body)?;
                keys(key, vec![update])?
            }
            (&Method::PATCH, Some(wire::PATCH_BATCH), Some(key)) => {
                let batch: Batch = parse(body)?;
                keys(key, batch.updates)?
            }
            (&Method::PATCH, Some(wire::PATCH_MERGE), Some(key)) => {
                let merge: Merge = parse(body)?;
                merge.check(&key)?;
                keys(key, merge.updates)?
            }
            (&Method::GET | &Method::PUT | &Method::PATCH, ..) => return Err(Answer::bad(HEADERS)),
            _ => return Err(Answer::refused(StatusCode::METHOD_NOT_ALLOWED, "the methods are GET, PUT and PATCH")),
        };
        let conditions = Conditions { matches: list(header::IF_MATCH), none_matches: list(header::IF_NONE_MATCH) };
        Ok(Self { about, conditions })
    }
}

const HEADERS: &str = "GET and PUT of the document have neither x-kitedb-breaker-mode nor x-kitedb-breaker-key; GET of \
    a key has both, the mode patch-v1; PATCH has both, the mode patch-v1, patch-batch-v1 or patch-merge-v1";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    key: String,
    // Absent is not `null`: forgetting it must not delete.
    #[serde(deserialize_with = "Option::deserialize")]
    state: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Batch {
    updates: Vec<Update>,
}

#[derive(Deserialize)]
struct Merge {
    scope_key: String,
    total_keys: u64,
    truncated: bool,
    updates: Vec<Update>,
}

impl Merge {
    fn check(&self, key: &str) -> Result<(), Answer> {
        if self.scope_key != key {
            return Err(Answer::bad("scope_key is not the key of the header"));
        }
        if self.truncated != (self.total_keys > self.updates.len() as u64) {
            return Err(Answer::bad("truncated does not fit total_keys and the number of updates"));
        }
        Ok(())
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|e| Answer::bad(format_args!("the body is not what the mode asks for: {e}")))
}

fn document(body: &[u8]) -> Result<Document, Answer> {
    let text = std::str::from_utf8(body).map_err(|e| Answer::bad(format_args!("the body is not UTF-8: {e}")))?;
    let document = Document::parse(text).map_err(Answer::bad)?.ok_or_else(|| Answer::bad("the body is empty"))?;
    check(&document).map_err(Answer::bad)?;
    Ok(document)
}

/// Checks every entry: one that is not in order would stand in the way of its key's clients.
pub fn check(document: &Document) -> Result<(), String> {
    for key in document.keys() {
        let entry = document.entry(key).map_err(|e| format!("`{key}`: {e}"))?;
        entry.ok_or_else(|| format!("`{key}`: no breaker state: null"))?;
    }
    Ok(())
}

fn keys(key: String, updates: Vec<Update>) -> Result<About, Answer> {
    let updates: Vec<_> = updates.into_iter().map(|update| (update.key, update.state)).collect();
    if !updates.iter().any(|(other, _)| *other == key) {
        return Err(Answer::bad("the key of the header is not among the updates"));
    }
    for (at, (key, state)) in updates.iter().enumerate() {
        if updates[..at].iter().any(|(other, _)| other == key) {
            return Err(Answer::bad(format_args!("`{key}` is there twice")));
        }
        if let Some(state) = state {
            Entry::parse(state.get()).map_err(|e| Answer::bad(format_args!("`{key}`: {e}")))?;
        }
    }
    Ok(About::WriteKeys { key, updates })
}
