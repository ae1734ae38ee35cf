//! The five modes.

use crate::ConfigError;
use std::{fmt, str::FromStr};

/// What a request must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AuthMode {
    /// Nothing.
    #[default]
    None,
    /// `Authorization: Bearer <token>`.
    Token,
    /// A client certificate.
    Mtls,
    /// One of them.
    TokenOrMtls,
    /// Both.
    TokenAndMtls,
}

impl AuthMode {
    /// Every mode.
    pub const ALL: [Self; 5] = [Self::None, Self::Token, Self::Mtls, Self::TokenOrMtls, Self::TokenAndMtls];

    /// Its name: `token_or_mtls`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Token => "token",
            Self::Mtls => "mtls",
            Self::TokenOrMtls => "token_or_mtls",
            Self::TokenAndMtls => "token_and_mtls",
        }
    }

    /// Whether a token counts in it.
    pub(super) fn asks_for_token(self) -> bool {
        matches!(self, Self::Token | Self::TokenOrMtls | Self::TokenAndMtls)
    }

    /// Whether a certificate counts in it.
    pub(crate) fn asks_for_certificate(self) -> bool {
        matches!(self, Self::Mtls | Self::TokenOrMtls | Self::TokenAndMtls)
    }
}

impl fmt::Display for AuthMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AuthMode {
    type Err = ConfigError;

    /// Reads its name, in any case, with blanks around it.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wanted = text.trim();
        Self::ALL.into_iter().find(|mode| mode.as_str().eq_ignore_ascii_case(wanted)).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            ConfigError::new(format!("Invalid replication admin auth mode '{wanted}': give one of {known}"))
        })
    }
}
