//! What the store holds, and what each request makes of it, without network and file.

use super::call::{About, Answer, Call};
use crate::breaker::document::Document;
use http::StatusCode;
use std::collections::BTreeMap;

/// The document, with a number for each key and for the whole that grows with every change: the tags.
#[derive(Debug, Clone)]
pub struct Table {
    /// Drawn at the start: what another process numbered has other tags.
    start: u64,
    /// The last number that was given.
    last: u64,
    /// The number of the document; `None`: there is none yet.
    document: Option<u64>,
    keys: BTreeMap<String, u64>,
    states: Document,
}

impl Table {
    /// Holds a document, or none yet.
    pub fn new(document: Option<Document>) -> Self {
        let start = getrandom::u64().unwrap_or_else(|_| crate::clock::now_ms());
        let number = document.is_some().then_some(1);
        let states = document.unwrap_or_default();
        let keys = states.keys().map(|key| (key.to_owned(), 1)).collect();
        Self { start, last: 1, document: number, keys, states }
    }

    /// The answer to a call, and what the table is after it if it changes it.
    ///
    /// # Errors
    /// The refusal of a call that cannot be followed.
    pub fn after(&self, call: &Call) -> Result<(Option<Self>, Answer), Answer> {
        match &call.about {
            About::ReadDocument => {
                let tag = self.document_tag().ok_or_else(|| missing("nothing was written yet"))?;
                let body = self.states.render().map_err(broken)?;
                Ok((None, Answer { status: StatusCode::OK, tag: Some(tag), body }))
            }
            About::ReadKey(key) => {
                let absent = || missing(format_args!("there is no state for `{key}`"));
                let tag = self.key_tag(key).ok_or_else(absent)?;
                let body = self.states.raw(key).ok_or_else(absent)?.to_owned();
                Ok((None, Answer { status: StatusCode::OK, tag: Some(tag), body }))
            }
            About::WriteDocument(document) => {
                self.require(call, self.document_tag())?;
                let mut next = self.clone();
                let number = next.count();
                let same = |key: &str| self.states.raw(key) == document.raw(key);
                next.keys = document
                    .keys()
                    .map(|key| (key.to_owned(), self.keys.get(key).copied().filter(|_| same(key)).unwrap_or(number)))
                    .collect();
                next.states = document.clone();
                let tag = next.document_tag();
                Ok((Some(next), taken(tag)))
            }
            About::WriteKeys { key, updates } => {
                self.require(call, self.key_tag(key))?;
                let mut next = self.clone();
                let number = next.count();
                for (key, state) in updates {
                    match state {
                        Some(_) => next.keys.insert(key.clone(), number),
                        None => next.keys.remove(key),
                    };
                    next.states.set(key, state.clone());
                }
                let tag = next.key_tag(key);
                Ok((Some(next), taken(tag)))
            }
        }
    }

    /// The text of the document.
    ///
    /// # Errors
    /// None that is known.
    pub fn render(&self) -> Result<String, String> {
        self.states.render()
    }

    /// Refuses a write whose conditions do not hold for what has `tag`.
    fn require(&self, call: &Call, tag: Option<String>) -> Result<(), Answer> {
        if call.conditions.hold(tag.as_deref()) {
            return Ok(());
        }
        let reason = match tag {
            Some(_) => "somebody else wrote since it was read: read it again",
            None => "it does not exist",
        };
        Err(Answer { tag, ..Answer::refused(StatusCode::PRECONDITION_FAILED, reason) })
    }

    /// Numbers a change of the document.
    fn count(&mut self) -> u64 {
        self.last += 1;
        self.document = Some(self.last);
        self.last
    }

    fn document_tag(&self) -> Option<String> {
        self.document.map(|number| self.tag(number))
    }

    fn key_tag(&self, key: &str) -> Option<String> {
        self.keys.get(key).map(|number| self.tag(*number))
    }

    fn tag(&self, number: u64) -> String {
        format!("\"{:016x}-{number}\"", self.start)
    }
}

fn taken(tag: Option<String>) -> Answer {
    Answer { status: StatusCode::NO_CONTENT, tag, body: String::new() }
}

fn missing(reason: impl std::fmt::Display) -> Answer {
    Answer::refused(StatusCode::NOT_FOUND, reason)
}

fn broken(reason: String) -> Answer {
    Answer::refused(StatusCode::INTERNAL_SERVER_ERROR, reason)
}
