//! The bearer token.

use super::header::{Reading, read};
use crate::{ConfigError, owned::read_owned};
use axum::http::{HeaderMap, header::AUTHORIZATION};
use sha2::{Digest, Sha256};
use std::{fmt, path::Path};
use subtle::ConstantTimeEq;

/// A token, as its SHA-256 hash: how long a comparison takes tells nothing of it.
#[derive(Clone, Copy)]
pub(super) struct Token([u8; 32]);

/// What `Authorization` says.
pub(super) enum Bearer {
    Absent,
    /// Something that is no token.
    Unreadable,
    Token(Token),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

impl Token {
    pub fn new(token: &str) -> Result<Self, ConfigError> {
        // Another character arrives as other bytes, or not at all, depending on who sends it.
        if token.is_empty() || !token.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
            return Err(ConfigError::new(
                "the replication admin token has a character that no header carries unchanged: use visible ASCII characters",
            ));
        }
        Ok(Self::digest(token))
    }

    /// The one that a file holds, with blanks and line ends around it.
    pub fn of_file(path: &Path) -> Result<Self, ConfigError> {
        let bytes = read_owned(path, "the file of the replication admin token")?;
        let wrong = |what: &dyn fmt::Display| {
            ConfigError::new(format!("the replication admin token in {}: {what}", path.display()))
        };
        match str::from_utf8(&bytes).map(str::trim) {
            Ok("") => Err(wrong(&"the file is empty")),
            Ok(token) => Self::new(token).map_err(|e| wrong(&e)),
            Err(_) => Err(wrong(&"it is no text: use visible ASCII characters")),
        }
    }

    /// Of its hash, in 64 hexadecimal digits.
    pub fn of_hash(hash: &str) -> Option<Self> {
        let digits: Vec<u8> =
            hash.chars().map(|digit| digit.to_digit(16).map(|value| value as u8)).collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect();
        if digits.len() == 64 { bytes.try_into().ok().map(Self) } else { None }
    }

    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    fn digest(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

impl Bearer {
    /// `Bearer <token>`, exactly so, once.
    pub fn of(headers: &HeaderMap) -> Self {
        match read(headers, &AUTHORIZATION) {
            Reading::Absent => Self::Absent,
            Reading::Ambiguous => Self::Unreadable,
            Reading::One(value) => {
                value.strip_prefix("Bearer ").map_or(Self::Unreadable, |token| Self::Token(Token::digest(token)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_its_token_in_either_case() {
        // printf %s correct-horse | sha256sum
        let sum = "9dca666eb54730714630d1519264a7bf1eeaad00b8f2edc90d3ecbfad928d163";
        for known in [sum.to_owned(), sum.to_uppercase()] {
            assert!(Token::of_hash(&known).unwrap().is(&Token::new("correct-horse").unwrap()));
        }
        for wrong in
            ["", "0", &sum[1..], &format!("{sum}0"), &sum.replace(char::is_numeric, "g"), &format!("+{}", &sum[1..])]
        {
            assert!(Token::of_hash(wrong).is_none(), "{wrong}");
        }
    }
}
