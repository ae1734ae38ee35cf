//! What tells of a client's certificate: a header from a proxy that checked it, or the handshake of the connection.

use super::{
    Admitted, AuthOptions, ClientCertificate, Scope, Scopes, Shown, TrustedProxies, Verdict,
    header::{Reading, header_name, read},
    subject::{SubjectRule, subject_of_header},
    tokens_file::TokensFile,
};
use crate::ConfigError;
use axum::http::HeaderName;

/// What Envoy sets.
const CERT_HEADER: &str = "x-forwarded-client-cert";
/// What an administrator by certificate is called in the access log.
const NAME: &str = "certificate";

#[derive(Debug)]
pub(super) struct CertificateRule {
    header: HeaderName,
    subject: Option<SubjectRule>,
    /// `None`: no header is believed.
    proxies: Option<TrustedProxies>,
    native: bool,
    native_subject: Option<SubjectRule>,
}

impl CertificateRule {
    pub fn new(options: &AuthOptions) -> Result<Self, ConfigError> {
        let header = header_name(options.mtls_header.as_deref().unwrap_or(CERT_HEADER), "the certificate header")?;
        let rule = |pattern: &Option<String>| pattern.as_deref().map(SubjectRule::new).transpose();
        let (subject, native_subject) = (rule(&options.mtls_subject_regex)?, rule(&options.native_subject_regex)?);
        let native = options.native_tls;
        if native_subject.is_some() && !native {
            return Err(ConfigError::new(
                "a pattern for the subject of certificates that clients show to this server itself \
                 (REPLICATION_MTLS_NATIVE_SUBJECT_REGEX) means nothing unless those count (REPLICATION_MTLS_NATIVE_TLS)",
            ));
        }
        let proxies = options.trusted_proxies.clone().or_else(|| (!native).then(TrustedProxies::loopback));
        Ok(Self { header, subject, proxies, native, native_subject })
    }

    /// Whether a pattern says whose certificate is an administrator's.
    pub fn has_pattern(&self) -> bool {
        self.subject.is_some() || self.native_subject.is_some()
    }

    /// A header from a proxy decides where it is there; else the handshake.
    pub fn verdict(&self, shown: Shown<'_>, file: Option<&TokensFile>) -> Verdict {
        let is_proxy = self.proxies.as_ref().is_some_and(|proxies| proxies.trusts(shown.peer));
        match read(shown.headers, &self.header) {
            Reading::One(value) if is_proxy => verdict_on(subject_of_header(value), self.subject.as_ref(), file),
            // A proxy that shows its own certificate says nothing of the client's.
            Reading::Ambiguous if is_proxy => Verdict::Absent,
            _ => shown
                .certificate
                .filter(|_| self.native)
                .map_or(Verdict::Absent, |shown| self.verdict_on_own(shown, file)),
        }
    }

    fn verdict_on_own(&self, certificate: &ClientCertificate, file: Option<&TokensFile>) -> Verdict {
        match (&self.native_subject, &self.subject, file) {
            // The only pattern is about a header, and there is none.
            (None, Some(_), None) => Verdict::Absent,
            (rule, ..) => verdict_on(certificate.subject.as_deref(), rule.as_ref(), file),
        }
    }
}

/// Without a pattern every certificate is an administrator's, unless there is a file that says whose are whose.
fn verdict_on(subject: Option<&str>, rule: Option<&SubjectRule>, file: Option<&TokensFile>) -> Verdict {
    let is_admin = match rule {
        Some(rule) => subject.is_some_and(|subject| rule.admits(subject)),
        None => file.is_none(),
    };
    if is_admin {
        return Verdict::Admitted(Admitted::new(NAME, Scopes::of(Scope::Admin)));
    }
    let holder = file.zip(subject).and_then(|(file, subject)| file.holder_of(subject));
    holder.map_or(Verdict::Refused, |holder| Verdict::Admitted(holder.clone()))
}
