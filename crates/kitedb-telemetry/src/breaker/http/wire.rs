//! What goes to an HTTP store and what its answers mean, without the network.

use super::super::{
    BreakerState, HttpStoreMode,
    document::{Document, Entry},
};
use reqwest::header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// Tells what a request is about.
pub const MODE: HeaderName = HeaderName::from_static("x-kitedb-breaker-mode");
/// Tells which key it is about.
pub const KEY: HeaderName = HeaderName::from_static("x-kitedb-breaker-key");
/// Opaque; on every request if there is one.
pub const LEASE: HeaderName = HeaderName::from_static("x-kitedb-breaker-lease");

/// The mode of a `GET` of one key, and of a `PATCH` of one key.
pub const PATCH: &str = "patch-v1";
/// The mode of a `PATCH` of several keys.
pub const PATCH_BATCH: &str = "patch-batch-v1";
/// The mode of a `PATCH` of several keys with totals.
pub const PATCH_MERGE: &str = "patch-merge-v1";

/// Whether a key or a lease can be the value of a header, and arrives as it was sent: visible ASCII, with spaces at
/// most inside.
pub(crate) fn header_text(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// An answer to a `GET`: of a 404 only the status counts.
#[derive(Debug, Default)]
pub struct Reply {
    /// Whether the store said that what was asked for does not exist.
    pub missing: bool,
    /// Its `ETag`, byte for byte.
    pub tag: Option<HeaderValue>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    fn text(&self) -> Result<&str, String> {
        match self.missing {
            true => Ok(""),
            false => std::str::from_utf8(&self.body).map_err(|_| "the answer is not UTF-8".to_owned()),
        }
    }

    /// The entry of one key: its state, or `{"key": .., "state": ..}`; `None` for `null`, nothing, and a 404.
    ///
    /// # Errors
    /// What is wrong with the answer. An answer that cannot be read does not say that there is no entry.
    pub fn entry(&self, key: &str) -> Result<Option<Entry>, String> {
        #[derive(Deserialize)]
        struct Wrapper<'a> {
            key: Option<String>,
            #[serde(borrow)]
            state: Option<&'a RawValue>,
        }
        let text = self.text()?.trim();
        if text.is_empty() || text == "null" {
            return Ok(None);
        }
        let plain = Entry::parse(text);
        // A state with a member `state` that is not ours is a state; only what is no state can be a wrapper. The
        // derived form would take a list for a wrapper, too.
        if plain.is_ok() || !text.starts_with('{') {
            return plain.map(Some);
        }
        match serde_json::from_str(text) {
            Ok(Wrapper { key: Some(other), .. }) if other != key => Err("the answer is about another key".to_owned()),
            Ok(Wrapper { state: Some(state), .. }) => Entry::parse(state.get()).map(Some),
            Ok(Wrapper { key: Some(_), state: None }) => Ok(None),
            // No member of a wrapper, or none of the right type.
            _ => plain.map(Some),
        }
    }

    /// All keys. `None`: there is no document yet.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub fn document(&self) -> Result<Option<Document>, String> {
        Document::parse(self.text()?)
    }

    /// On what a write that follows this answer depends. `exists`: whether there was what is to be written.
    pub fn condition(&self, exists: bool) -> (HeaderName, HeaderValue) {
        match (&self.tag, exists) {
            (Some(tag), _) if !self.missing => (IF_MATCH, tag.clone()),
            (_, true) => (IF_MATCH, HeaderValue::from_static("*")),
            (_, false) => (IF_NONE_MATCH, HeaderValue::from_static("*")),
        }
    }
}

/// What a `PATCH` says: of which mode it is, and its body.
///
/// `pending` are other keys whose last write failed. As many go along as the mode has room for, in their order.
///
/// # Errors
/// A state that JSON has no form for.
pub fn patch(
    mode: HttpStoreMode,
    key: &str,
    state: Option<Box<RawValue>>,
    pending: &[(String, Option<BreakerState>)],
) -> Result<(&'static str, Vec<u8>), String> {
    #[derive(Serialize)]
    struct Update<'a> {
        key: &'a str,
        state: Option<Box<RawValue>>,
    }
    #[derive(Serialize)]
    struct Batch<'a> {
        updates: Vec<Update<'a>>,
    }
    #[derive(Serialize)]
    struct Merge<'a> {
        scope_key: &'a str,
        total_keys: usize,
        truncated: bool,
        updates: Vec<Update<'a>>,
    }
    let current = Update { key, state };
    let mut updates = vec![current];
    for (key, state) in pending.iter().take(companions(mode)) {
        let state = state.as_ref().filter(|state| **state != BreakerState::default());
        let state = state.map(to_raw_value).transpose().map_err(|e| e.to_string())?;
        updates.push(Update { key, state });
    }
    let (mode, body) = match mode {
        HttpStoreMode::Batch { .. } => (PATCH_BATCH, serde_json::to_vec(&Batch { updates })),
        HttpStoreMode::Merge { .. } => {
            let total_keys = 1 + pending.len();
            let merge = Merge { scope_key: key, total_keys, truncated: total_keys > updates.len(), updates };
            (PATCH_MERGE, serde_json::to_vec(&merge))
        }
        HttpStoreMode::Patch | HttpStoreMode::Document => (PATCH, serde_json::to_vec(&updates[0])),
    };
    Ok((mode, body.map_err(|e| e.to_string())?))
}

/// How many other keys one write of this mode takes along.
pub fn companions(mode: HttpStoreMode) -> usize {
    match mode {
        HttpStoreMode::Document | HttpStoreMode::Patch => 0,
        HttpStoreMode::Batch { max_keys } | HttpStoreMode::Merge { max_keys } => max_keys.saturating_sub(1) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn reply(body: &str) -> Reply {
        Reply { body: body.into(), ..Reply::default() }
    }

    fn failures(count: u32) -> BreakerState {
        BreakerState { consecutive_failures: count, ..BreakerState::default() }
    }

    #[test]
    fn a_key_is_answered_with_its_state_or_with_a_wrapper() {
        for (body, want) in [
            (r#"{"consecutive_failures":3}"#, Some(3)),
            (r#"{"consecutive_failures":3,"state":"closed"}"#, Some(3)),
            ("{}", Some(0)),
            (r#"{"key":"k","state":{"consecutive_failures":3}}"#, Some(3)),
            (r#"{"state":{"consecutive_failures":3},"etag":"7"}"#, Some(3)),
            (r#"{"key":"k","state":{}}"#, Some(0)),
            (r#"{"key":"k","state":null}"#, None),
            (r#"{"key":"k"}"#, None),
            ("null", None),
            (" \n", None),
            ("", None),
        ] {
            let entry = reply(body).entry("k").unwrap();
            assert_eq!(entry.map(|entry| entry.state.consecutive_failures), want, "{body}");
        }
        let missing = Reply { missing: true, ..reply("<h1>Not found</h1>") };
        assert!(missing.entry("k").unwrap().is_none() && missing.document().unwrap().is_none());
    }

    #[test]
    fn an_answer_that_cannot_be_read_does_not_say_that_there_is_no_entry() {
        for body in [
            "<html>",
            "[]",
            r#"["k",{}]"#,
            "true",
            r#"{"consecutive_failures":"3"}"#,
            r#"{"key":"k","state":"open"}"#,
            r#"{"key":"k","state":[]}"#,
            r#"{"key":"other","state":{}}"#,
            r#"{"error":"try later"}"#,
            r#"{"consecutive_failures":1"#,
        ] {
            assert!(reply(body).entry("k").is_err(), "{body}");
        }
        assert!(Reply { body: vec![0xFF], ..Reply::default() }.entry("k").is_err());
    }

    #[test]
    fn a_write_depends_on_the_tag_or_on_whether_there_is_something() {
        let tag = |tag: &'static str| Some(HeaderValue::from_static(tag));
        for (missing, etag, exists, want) in [
            (false, tag("v1"), true, ("if-match", "v1")),
            (false, tag("W/\"a b\""), true, ("if-match", "W/\"a b\"")),
            (false, tag("\"null\""), false, ("if-match", "\"null\"")),
            (false, None, true, ("if-match", "*")),
            (false, None, false, ("if-none-match", "*")),
            (true, None, false, ("if-none-match", "*")),
            (true, tag("\"stray\""), false, ("if-none-match", "*")),
        ] {
            let (name, value) = Reply { missing, tag: etag, ..Reply::default() }.condition(exists);
            assert_eq!((name.as_str(), value.to_str().unwrap()), want);
        }
    }

    #[test]
    fn a_patch_says_what_its_mode_asks_for() {
        let state = || Some(to_raw_value(&failures(2)).unwrap());
        let pending =
            [("b".to_owned(), Some(failures(1))), ("c".to_owned(), None), ("d".to_owned(), Some(failures(0)))];
        let written = |mode, state| {
            let (mode, body) = patch(mode, "a", state, &pending).unwrap();
            (mode, serde_json::from_slice::<Json>(&body).unwrap())
        };
        let two = json!({"consecutive_failures": 2, "open_until_ms": 0, "half_open_remaining_probes": 0,
            "half_open_in_flight": false, "ewma_error_score": 0.0});
        let mut one = two.clone();
        one["consecutive_failures"] = json!(1);
        let (a, b) = (json!({"key": "a", "state": two}), json!({"key": "b", "state": one}));
        let (c, d) = (json!({"key": "c", "state": null}), json!({"key": "d", "state": null}));

        assert_eq!(written(HttpStoreMode::Patch, state()), ("patch-v1", a.clone()));
        assert_eq!(written(HttpStoreMode::Patch, None), ("patch-v1", json!({"key": "a", "state": null})));
        let batch = |max_keys| written(HttpStoreMode::Batch { max_keys }, state());
        assert_eq!(batch(8), ("patch-batch-v1", json!({"updates": [a, b, c, d]})));
        assert_eq!(batch(2), ("patch-batch-v1", json!({"updates": [a, b]})));
        assert_eq!(batch(1), ("patch-batch-v1", json!({"updates": [a]})));
        let merge = |max_keys| written(HttpStoreMode::Merge { max_keys }, state());
        for (max_keys, truncated, updates) in [(4, false, json!([a, b, c, d])), (3, true, json!([a, b, c]))] {
            let want = json!({"scope_key": "a", "total_keys": 4, "truncated": truncated, "updates": updates});
            assert_eq!(merge(max_keys), ("patch-merge-v1", want));
        }
    }

    #[test]
    fn keys_and_leases_must_arrive_as_they_were_sent() {
        for text in ["a", "http://collector:4318/v1/metrics", "tenant 7", "~!\"{}"] {
            assert!(header_text(text), "{text}");
        }
        for text in ["", " ", " a", "a ", "a\tb", "a\n", "a\r\nx: y", "schlüssel", "\u{7f}", "a\0"] {
            assert!(!header_text(text), "{text:?}");
        }
    }
}
