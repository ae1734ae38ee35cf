//! What tells of a client's certificate: a header from a proxy that checked it.

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
    proxies: TrustedProxies,
}

impl CertificateRule {
    pub fn new(options: &AuthOptions) -> Result<Self, ConfigError> {
        let header = header_name(options.mtls_header.as_deref().unwrap_or(CERT_HEADER), "the certificate header")?;
        let subject = options.mtls_subject_regex.as_deref().map(SubjectRule::new).transpose()?;
        let proxies = options.trusted_proxies.clone().unwrap_or_else(TrustedProxies::loopback);
        Ok(Self { header, subject, proxies })
    }

    pub fn verdict(&self, shown: Shown<'_>) -> Verdict {
        let Reading::One(value) = read(shown.headers, &self.header) else { return Verdict::Absent };
        if !self.proxies.trusts(shown.peer) {
            return Verdict::Absent;
        }
        let Some(rule) = &self.subject else { return Verdict::Admitted };
        match subject_of_header(value) {
            Some(subject) if rule.admits(subject) => Verdict::Admitted,
            _ => Verdict::Refused,
        }
    }
}
