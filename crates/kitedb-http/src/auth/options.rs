//! What whoever serves says of who is admitted.

use super::{AuthMode, TrustedProxies};
use crate::ConfigError;
use std::{fmt, path::PathBuf};

/// Whom to admit. It is looked over when a router is made of it: what cannot be meant is refused then, and never becomes an open
/// door.
#[derive(Clone, Default)]
pub struct AuthOptions {
    pub(super) mode: Option<AuthMode>,
    pub(super) token: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) tokens_file: Option<PathBuf>,
    pub(super) mtls_header: Option<String>,
    pub(super) mtls_subject_regex: Option<String>,
    pub(super) trusted_proxies: Option<TrustedProxies>,
    pub(super) native_tls: bool,
    pub(super) native_subject_regex: Option<String>,
    pub(super) allow_writes: bool,
}

/// Secrets stay out.
impl fmt::Debug for AuthOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthOptions")
            .field("mode", &self.mode)
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("token_file", &self.token_file)
            .field("tokens_file", &self.tokens_file)
            .field("mtls_header", &self.mtls_header)
            .field("mtls_subject_regex", &self.mtls_subject_regex)
            .field("trusted_proxies", &self.trusted_proxies)
            .field("native_tls", &self.native_tls)
            .field("native_subject_regex", &self.native_subject_regex)
            .field("allow_writes", &self.allow_writes)
            .finish()
    }
}

impl AuthOptions {
    /// Admits everybody.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a request must show. Default: the token where one is given, nothing where nothing is.
    #[must_use]
    pub fn mode(mut self, mode: AuthMode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// The administrator's token, that comes after `Authorization: Bearer `: visible ASCII; blanks around it do not count, and a blank one is none.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into()).map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        self
    }

    /// A file that holds the administrator's token, as [`AuthOptions::token`] takes it. It may change while it is in force.
    #[must_use]
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token_file = Some(path.into());
        self
    }

    /// A file of more tokens and of subjects of certificates, with scopes and names: see `docs/http.md`. It may change while it is in
    /// force.
    #[must_use]
    pub fn tokens_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.tokens_file = Some(path.into());
        self
    }

    /// The header that tells the client's certificate. Default `x-forwarded-client-cert`.
    #[must_use]
    pub fn mtls_header(mut self, name: impl Into<String>) -> Self {
        self.mtls_header = Some(name.into()).filter(|name| !name.trim().is_empty());
        self
    }

    /// Whose certificate is admitted: a pattern that must match whole attributes of the subject in the header. `CN=admin` admits
    /// `CN=admin,O=KiteDB`, and not `CN=administrator`. Default: every certificate that the proxy passes on, unless there is a
    /// [tokens file](AuthOptions::tokens_file).
    #[must_use]
    pub fn mtls_subject_regex(mut self, pattern: impl Into<String>) -> Self {
        self.mtls_subject_regex = Some(pattern.into()).filter(|pattern| !pattern.trim().is_empty());
        self
    }

    /// The proxies that check certificates and set that header: from nobody else is it believed. Default: connections from this
    /// machine.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.trusted_proxies = Some(proxies);
        self
    }

    /// Whether a certificate counts that the client showed to the server itself, in the handshake of the connection. Then a header is
    /// believed only of [`AuthOptions::trusted_proxies`] that are named. Only [`Server`](crate::Server) tells of handshakes.
    #[must_use]
    pub fn native_tls(mut self, counts: bool) -> Self {
        self.native_tls = counts;
        self
    }

    /// Whose certificate is an administrator's of those that count by [`AuthOptions::native_tls`]: a pattern as that for the header, for
    /// the subject as RFC 4514 writes it (`CN=admin,O=KiteDB,C=DE`). Default: every one that verifies, unless there is a
    /// [tokens file](AuthOptions::tokens_file).
    #[must_use]
    pub fn native_subject_regex(mut self, pattern: impl Into<String>) -> Self {
        self.native_subject_regex = Some(pattern.into()).filter(|pattern| !pattern.trim().is_empty());
        self
    }

    /// Whether the graph may be changed (`/api/graph/batch`) where the mode is `none`. Default no. In every other mode whoever is admitted
    /// may.
    #[must_use]
    pub fn allow_writes(mut self, allowed: bool) -> Self {
        self.allow_writes = allowed;
        self
    }

    /// Whether it is said whose word about certificates counts, so that no default is needed.
    pub(crate) fn names_who_is_believed(&self) -> bool {
        self.native_tls || self.trusted_proxies.is_some()
    }

    /// Whether a certificate counts by its header alone, whatever that says.
    pub(crate) fn admits_any_certificate_header(&self) -> bool {
        !self.native_tls && self.mtls_subject_regex.is_none() && self.tokens_file.is_none()
    }

    pub(crate) fn effective_mode(&self) -> Result<AuthMode, ConfigError> {
        let has_token = self.token.is_some() || self.token_file.is_some() || self.tokens_file.is_some();
        let has_certificate = self.mtls_subject_regex.is_some() || self.mtls_header.is_some() || self.native_tls;
        match self.mode {
            Some(mode) => Ok(mode),
            None if has_token => Ok(AuthMode::Token),
            None if has_certificate => Err(ConfigError::new(format!(
                "Invalid replication admin auth mode: none is given, though what tells of certificates is: say which of {} is meant",
                AuthMode::ALL.map(AuthMode::as_str).join(", ")
            ))),
            None => Ok(AuthMode::None),
        }
    }
}
