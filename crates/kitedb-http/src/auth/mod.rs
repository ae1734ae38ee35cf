//! Who is admitted, and to what: the five modes of the runbook, and a file of tokens and certificates with scopes.

mod attempts;
mod caller;
mod certificate;
mod distinguished_name;
mod header;
mod mode;
mod options;
mod proxies;
mod scope;
mod standing;
mod subject;
mod token;
mod tokens_file;

pub use mode::AuthMode;
pub use options::AuthOptions;
pub use proxies::TrustedProxies;

pub(crate) use caller::{Admitted, Caller, Denied};
pub(crate) use scope::{Scope, Scopes};
pub(crate) use standing::Standing;

use crate::{ConfigError, watched::Watched};
use attempts::Attempts;
use axum::{
    extract::ConnectInfo,
    http::{HeaderMap, request::Parts},
};
use certificate::CertificateRule;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use token::{Bearer, Token};
use tokens_file::TokensFile;

/// What the bearer of the administrator's token is called in the access log.
const ADMIN: &str = "admin";
/// What everybody is called where nobody is asked who he is.
const ANYBODY: &str = "anybody";

/// What admits requests, or does not.
#[derive(Debug)]
pub(crate) struct Authorizer {
    mode: AuthMode,
    token: Option<AdminToken>,
    file: Option<Watched<TokensFile>>,
    certificate: CertificateRule,
    attempts: Attempts,
    allows_writes: bool,
}

#[derive(Debug)]
enum AdminToken {
    Told(Token),
    File(Watched<Token>),
}

/// What a request shows, and where it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub headers: &'a HeaderMap,
    /// The other end of its connection; `None`: not known, so that it is no proxy's.
    pub peer: Option<IpAddr>,
    /// What its client showed in the handshake.
    pub certificate: Option<&'a ClientCertificate>,
}

/// What the server tells of the handshake of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Handshake(pub Option<Arc<ClientCertificate>>);

/// A certificate that a client showed and that verified.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    /// `None`: it cannot be read, and so matches no pattern.
    subject: Option<String>,
}

/// What a credential comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Admitted(Admitted),
    /// It was shown, and is not admitted.
    Refused,
    Absent,
}

impl Authorizer {
    /// Looks all options over, whatever the mode: what is wrong in them now is wrong when the mode is changed.
    pub fn new(options: &AuthOptions) -> Result<Self, ConfigError> {
        let mode = options.effective_mode()?;
        let token = match (&options.token, &options.token_file) {
            (Some(_), Some(_)) => {
                return Err(ConfigError::new(
                    "the replication admin token is told twice, by itself (REPLICATION_ADMIN_TOKEN) and by a file \
                     (REPLICATION_ADMIN_TOKEN_FILE): leave one out",
                ));
            }
            (Some(token), None) => Some(AdminToken::Told(Token::new(token)?)),
            (None, Some(path)) => {
                let read = path.clone();
                Some(AdminToken::File(Watched::new(vec![path.clone()], move || Token::of_file(&read))?))
            }
            (None, None) => None,
        };
        let file = options.tokens_file.clone().map(|path| {
            let read = path.clone();
            Watched::new(vec![path], move || TokensFile::read(&read))
        });
        let file = file.transpose()?;
        let certificate = CertificateRule::new(options)?;
        let entries = file.as_ref().map(Watched::current);
        if mode.asks_for_token() && token.is_none() && !entries.as_ref().is_some_and(|file| file.has_tokens()) {
            let what = format!(
                "replication admin auth mode '{mode}' requires a non-empty token, or a tokens file that has some"
            );
            return Err(ConfigError::new(what));
        }
        if mode.asks_for_certificate() && !certificate.has_pattern() && entries.is_some_and(|file| !file.has_subjects())
        {
            let what = format!(
                "replication admin auth mode '{mode}' asks for certificates, and neither a subject pattern nor the tokens file says whose"
            );
            return Err(ConfigError::new(what));
        }
        let allows_writes = mode != AuthMode::None || options.allow_writes;
        Ok(Self { mode, token, file, certificate, attempts: Attempts::new(), allows_writes })
    }

    /// Whether it asks for anything: what `kitedb_replication_auth_enabled` says.
    pub fn is_enabled(&self) -> bool {
        self.mode != AuthMode::None
    }

    /// Whether whoever is admitted may change the graph: where nobody is asked who he is, only if that was said.
    pub fn admits_writes(&self) -> bool {
        self.allows_writes
    }

    /// Says who a request is from, by what the files say now.
    pub async fn caller(&self, shown: Shown<'_>) -> Caller {
        if let Some(AdminToken::File(token)) = &self.token {
            token.look().await;
        }
        if let Some(file) = &self.file {
            file.look().await;
        }
        Caller(self.admit(shown))
    }

    /// Counts a request whose credential did not do. Where there were too many from there: in how many seconds another is looked at.
    pub fn must_wait(&self, peer: Option<IpAddr>) -> Option<u32> {
        self.attempts.failed(peer)
    }

    fn admit(&self, shown: Shown<'_>) -> Result<Admitted, Denied> {
        let file = self.file.as_ref().map(Watched::current);
        let token = || self.verdict_on_token(shown.headers, file.as_deref());
        let certificate = || self.certificate.verdict(shown, file.as_deref());
        let denied = |forbidden, tried| Err(Denied { mode: self.mode, forbidden, tried });
        match self.mode {
            AuthMode::None => Ok(Admitted::new(ANYBODY, Scopes::ALL)),
            AuthMode::Token => match token() {
                Verdict::Admitted(admitted) => Ok(admitted),
                verdict => denied(false, verdict == Verdict::Refused),
            },
            AuthMode::Mtls => match certificate() {
                Verdict::Admitted(admitted) => Ok(admitted),
                verdict => denied(verdict == Verdict::Refused, verdict == Verdict::Refused),
            },
            AuthMode::TokenOrMtls => match (token(), certificate()) {
                (Verdict::Admitted(one), Verdict::Admitted(other)) => Ok(one.or(&other)),
                (Verdict::Admitted(admitted), _) | (_, Verdict::Admitted(admitted)) => Ok(admitted),
                (token, certificate) => denied(false, [token, certificate].contains(&Verdict::Refused)),
            },
            // Both are looked at, and the answer is the same: nobody learns which of the two was right.
            AuthMode::TokenAndMtls => match (token(), certificate()) {
                (Verdict::Admitted(one), Verdict::Admitted(other)) => Ok(one.and(&other)),
                (token, certificate) => denied(false, token != Verdict::Absent || certificate == Verdict::Refused),
            },
        }
    }

    fn verdict_on_token(&self, headers: &HeaderMap, file: Option<&TokensFile>) -> Verdict {
        let shown = match Bearer::of(headers) {
            Bearer::Absent => return Verdict::Absent,
            Bearer::Unreadable => return Verdict::Refused,
            Bearer::Token(shown) => shown,
        };
        let is_admin = match &self.token {
            Some(AdminToken::Told(token)) => token.is(&shown),
            Some(AdminToken::File(token)) => token.current().is(&shown),
            None => false,
        };
        match file.and_then(|file| file.bearer_of(&shown)) {
            _ if is_admin => Verdict::Admitted(Admitted::new(ADMIN, Scopes::of(Scope::Admin))),
            Some(admitted) => Verdict::Admitted(admitted.clone()),
            None => Verdict::Refused,
        }
    }
}

impl ClientCertificate {
    /// Of one in DER that verified in the handshake.
    pub fn of(certificate: &[u8]) -> Self {
        Self { subject: distinguished_name::subject_of(certificate) }
    }
}

impl<'a> Shown<'a> {
    /// Of a request that came over a connection which the server told of.
    pub fn of(parts: &'a Parts) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let handshake = parts.extensions.get::<Handshake>();
        Self {
            headers: &parts.headers,
            // IPv4 within IPv6, as a socket for both shows it, is IPv4.
            peer: peer.map(|peer| peer.0.ip().to_canonical()),
            certificate: handshake.and_then(|handshake| handshake.0.as_deref()),
        }
    }
}
