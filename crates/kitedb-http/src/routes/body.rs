//! Bodies of requests: nothing, or a JSON object.

use crate::error::Failure;
use axum::{body::Bytes, extract::rejection::BytesRejection};
use serde_json::{Map, Value};

/// The members of a body.
#[derive(Debug)]
pub(super) struct Members(Map<String, Value>);

/// Reads a body that is empty, or an object.
pub(super) fn members_of(body: Result<Bytes, BytesRejection>) -> Result<Members, Failure> {
    let body = body.map_err(|rejection| Failure::unread(&rejection))?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Members(Map::new()));
    }
    let said = serde_json::from_slice(&body).map_err(|e| Failure::malformed(format!("the body is no JSON: {e}")))?;
    match said {
        Value::Object(members) => Ok(Members(members)),
        _ => Err(Failure::malformed("the body is no JSON object")),
    }
}

impl Members {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Fails where it has others: one that is misspelt must not be as good as none.
    pub fn require_known(&self, known: &[&str]) -> Result<(), Failure> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(_) => Err(Failure::malformed(format!("the body has a member that is none of {}", known.join(", ")))),
            None => Ok(()),
        }
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, Failure> {
        let flag = |value: &Value| {
            value.as_bool().ok_or_else(|| Failure::malformed(format!("{name} is neither true nor false")))
        };
        self.get(name).map(flag).transpose()
    }

    pub fn whole(&self, name: &str) -> Result<Option<u64>, Failure> {
        let whole =
            |value: &Value| value.as_u64().ok_or_else(|| Failure::malformed(format!("{name} is no whole number")));
        self.get(name).map(whole).transpose()
    }
}
