//! Who may administer replication: the five modes of the runbook.

mod certificate;
mod header;
mod mode;
mod options;
mod proxies;
mod subject;
mod token;

pub use mode::AuthMode;
pub use options::AuthOptions;
pub use proxies::TrustedProxies;

use crate::ConfigError;
use axum::http::{HeaderMap, HeaderName, request::Parts};
use certificate::CertificateRule;
use std::net::IpAddr;
use token::Bearer;

/// What admits requests, or does not.
#[derive(Debug)]
pub(crate) struct Authorizer {
    mode: AuthMode,
    token: Option<Bearer>,
    certificate: CertificateRule,
    allows_writes: bool,
}

/// What a request shows, and where it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub headers: &'a HeaderMap,
    /// The other end of its connection; `None`: not known, so that it is no proxy's.
    pub peer: Option<IpAddr>,
    /// Whether its client showed a certificate in the handshake, and that verified.
    pub verified: bool,
}

/// What the server tells of the handshake of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verified(pub bool);

/// Why a request is not admitted. It repeats nothing of what the request or the options held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Denied {
    pub mode: AuthMode,
    /// A certificate was shown and believed, and its subject is not one that is admitted.
    pub forbidden: bool,
}

/// What a certificate comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Admitted,
    /// It was shown and believed, and is not admitted.
    Refused,
    Absent,
}

impl Authorizer {
    /// Looks all options over, whatever the mode: what is wrong in them now is wrong when the mode is changed.
    pub fn new(options: &AuthOptions) -> Result<Self, ConfigError> {
        let mode = options.effective_mode()?;
        let token = options.token.as_deref().map(Bearer::new).transpose()?;
        if token.is_none() && mode.asks_for_token() {
            let what = format!("replication admin auth mode '{mode}' requires a non-empty token");
            return Err(ConfigError::new(what));
        }
        let allows_writes = mode != AuthMode::None || options.allow_writes;
        Ok(Self { mode, token, certificate: CertificateRule::new(options)?, allows_writes })
    }

    /// Whether it asks for anything: what `kitedb_replication_auth_enabled` says.
    pub fn is_enabled(&self) -> bool {
        self.mode != AuthMode::None
    }

    /// Whether whoever is admitted may change the graph: where nobody is asked who he is, only if that was said.
    pub fn admits_writes(&self) -> bool {
        self.allows_writes
    }

    /// Admits a request, or says why not.
    pub fn admit(&self, shown: Shown<'_>) -> Result<(), Denied> {
        let has_token = || self.token.as_ref().is_some_and(|token| token.is_in(shown.headers));
        let certificate = || self.certificate.verdict(shown);
        let denied = |forbidden| Err(Denied { mode: self.mode, forbidden });
        let admitted = |is: bool| if is { Ok(()) } else { denied(false) };
        match self.mode {
            AuthMode::None => Ok(()),
            AuthMode::Token => admitted(has_token()),
            AuthMode::Mtls => match certificate() {
                Verdict::Admitted => Ok(()),
                Verdict::Refused => denied(true),
                Verdict::Absent => denied(false),
            },
            AuthMode::TokenOrMtls => admitted(has_token() || certificate() == Verdict::Admitted),
            // Both are looked at, and the answer is the same: nobody learns which of the two was right.
            AuthMode::TokenAndMtls => admitted(has_token() & (certificate() == Verdict::Admitted)),
        }
    }
}

impl<'a> Shown<'a> {
    /// Of a request that came over a connection which the server told of.
    pub fn of(parts: &'a Parts) -> Self {
        let peer = parts.extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        // IPv4 within IPv6, as a socket for both shows it, is IPv4.
        let verified = parts.extensions.get::<Verified>().is_some_and(|verified| verified.0);
        Self { headers: &parts.headers, peer: peer.map(|peer| peer.0.ip().to_canonical()), verified }
    }
}

/// The name of a header that a proxy can set.
fn header_name(text: &str, option: &str) -> Result<HeaderName, ConfigError> {
    match HeaderName::try_from(text.trim()) {
        Ok(name) if name != axum::http::header::AUTHORIZATION => Ok(name),
        _ => Err(ConfigError::new(format!("{option} is no name of a header that a proxy can set: '{text}'"))),
    }
}
