//! The bearer token.

use super::header::{Reading, read};
use crate::ConfigError;
use axum::http::{HeaderMap, header::AUTHORIZATION};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// `Bearer <token>`, as its digest: how long a comparison takes tells nothing of it.
pub(super) struct Bearer([u8; 32]);

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(...)")
    }
}

impl Bearer {
    pub fn new(token: &str) -> Result<Self, ConfigError> {
        // Another character arrives as other bytes, or not at all, depending on who sends it.
        if token.is_empty() || !token.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
            return Err(ConfigError::new(
                "the replication admin token has a character that no header carries unchanged: use visible ASCII characters",
            ));
        }
        Ok(Self(digest(format!("Bearer {token}").as_bytes())))
    }

    /// Whether it is there, exactly so, once.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let presented = match read(headers, &AUTHORIZATION) {
            Reading::One(value) => value,
            Reading::Absent | Reading::Ambiguous => "",
        };
        digest(presented.as_bytes()).ct_eq(&self.0).into()
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
