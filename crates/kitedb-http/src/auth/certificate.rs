//! What tells of a client's certificate: a header from a proxy that checked it, or the handshake of the connection.

use super::{
    AuthOptions, Shown, TrustedProxies, Verdict,
    header::{Reading, read},
    header_name,
    subject::{SubjectRule, subject_of_header},
};
use crate::ConfigError;
use axum::http::HeaderName;

/// What Envoy sets.
const CERT_HEADER: &str = "x-forwarded-client-cert";

#[derive(Debug)]
pub(super) struct CertificateRule {
    header: HeaderName,
    subject: Option<SubjectRule>,
    /// `None`: no header is believed.
    proxies: Option<TrustedProxies>,
    native: bool,
}

impl CertificateRule {
    pub fn new(options: &AuthOptions) -> Result<Self, ConfigError> {
        let header = header_name(options.mtls_header.as_deref().unwrap_or(CERT_HEADER), "the certificate header")?;
        let subject = options.mtls_subject_regex.as_deref().map(SubjectRule::new).transpose()?;
        let native = options.native_tls;
        let proxies = options.trusted_proxies.clone().or_else(|| (!native).then(TrustedProxies::loopback));
        Ok(Self { header, subject, proxies, native })
    }

    /// A header from a proxy decides where it is there; else the handshake, in which the subject is not looked at.
    pub fn verdict(&self, shown: Shown<'_>) -> Verdict {
        let is_proxy = self.proxies.as_ref().is_some_and(|proxies| proxies.trusts(shown.peer));
        match read(shown.headers, &self.header) {
            Reading::One(value) if is_proxy => self.verdict_on(value),
            // A proxy that shows its own certificate says nothing of the client's.
            Reading::Ambiguous if is_proxy => Verdict::Absent,
            _ if self.native && shown.verified && self.subject.is_none() => Verdict::Admitted,
            _ => Verdict::Absent,
        }
    }

    fn verdict_on(&self, value: &str) -> Verdict {
        let Some(rule) = &self.subject else { return Verdict::Admitted };
        match subject_of_header(value) {
            Some(subject) if rule.admits(subject) => Verdict::Admitted,
            _ => Verdict::Refused,
        }
    }
}
