//! The runbook's variables.

use crate::{AuthMode, AuthOptions, ConfigError, routes::App};
use std::{env, fmt::Display, net::ToSocketAddrs, path::PathBuf, str::FromStr};

/// The variables whose names begin as those of nobody else do.
const VARIABLES: [&str; 15] = [
    "KITEDB_READY_MAX_LAG",
    "KITEDB_TOKENS_FILE",
    "PLAYGROUND_TLS_CA_FILE",
    "PLAYGROUND_TLS_CERT_FILE",
    "PLAYGROUND_TLS_KEY_FILE",
    "PLAYGROUND_TLS_REJECT_UNAUTHORIZED",
    "PLAYGROUND_TLS_REQUEST_CERT",
    "REPLICATION_ADMIN_AUTH_MODE",
    "REPLICATION_ADMIN_TOKEN",
    "REPLICATION_ADMIN_TOKEN_FILE",
    "REPLICATION_MTLS_HEADER",
    "REPLICATION_MTLS_NATIVE_SUBJECT_REGEX",
    "REPLICATION_MTLS_NATIVE_TLS",
    "REPLICATION_MTLS_SUBJECT_REGEX",
    "REPLICATION_TRUSTED_PROXIES",
];
const PREFIXES: [&str; 6] = [
    "KITEDB_READY",
    "KITEDB_TOKEN",
    "PLAYGROUND_TLS_",
    "REPLICATION_ADMIN_",
    "REPLICATION_MTLS_",
    "REPLICATION_TRUSTED_",
];

/// How a server is run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// The address at which it listens. Default: this machine, for itself alone.
    pub host: String,
    /// The port; 0: one that is free, which [`Server::url`](super::Server::url) tells. Default 3000.
    pub port: u16,
    /// A socket in the file system in place of host and port, that only this account reaches.
    pub socket: Option<PathBuf>,
    /// Whether the socket that systemd hands over (`LISTEN_FDS`) goes before both, if there is one. Default no.
    pub inherited: bool,
    /// A replica that is more frames behind its source is not ready. Default 10,000.
    pub ready_lag: u64,
    /// Whom it admits.
    pub auth: AuthOptions,
    /// TLS of its own.
    pub tls: Option<TlsFiles>,
    /// Whether it serves everybody who reaches it beyond this machine, where the mode is `none`. Default no.
    pub allow_anybody: bool,
}

/// What TLS is made of, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The server's certificate, and those between it and a root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The roots of clients' certificates; `None`: clients are not asked for any.
    pub client_roots: Option<PathBuf>,
    /// Whether a client without a certificate is not let in.
    pub reject_unauthorized: bool,
}

impl Default for ServeOptions {
    fn default() -> Self {
        let (host, port) = ("127.0.0.1".to_owned(), 3000);
        let (socket, inherited, ready_lag) = (None, false, App::READY_LAG);
        Self { host, port, socket, inherited, ready_lag, auth: AuthOptions::new(), tls: None, allow_anybody: false }
    }
}

impl ServeOptions {
    /// What the runbook's variables say; `variable` reads one. A blank one is as good as none.
    ///
    /// # Errors
    /// One that cannot be read, and those that contradict each other. No error repeats a secret.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let defaults = Self::default();
        let mut auth = AuthOptions::new();
        if let Some(mode) = text("REPLICATION_ADMIN_AUTH_MODE") {
            auth = auth.mode(read("REPLICATION_ADMIN_AUTH_MODE", &mode)?);
        }
        if let Some(token) = text("REPLICATION_ADMIN_TOKEN") {
            auth = auth.token(token);
        }
        if let Some(path) = text("REPLICATION_ADMIN_TOKEN_FILE") {
            auth = auth.token_file(path);
        }
        if let Some(path) = text("KITEDB_TOKENS_FILE") {
            auth = auth.tokens_file(path);
        }
        if let Some(header) = text("REPLICATION_MTLS_HEADER") {
            auth = auth.mtls_header(header);
        }
        if let Some(pattern) = text("REPLICATION_MTLS_SUBJECT_REGEX") {
            auth = auth.mtls_subject_regex(pattern);
        }
        if let Some(proxies) = text("REPLICATION_TRUSTED_PROXIES") {
            auth = auth.trusted_proxies(read("REPLICATION_TRUSTED_PROXIES", &proxies)?);
        }
        if let Some(pattern) = text("REPLICATION_MTLS_NATIVE_SUBJECT_REGEX") {
            auth = auth.native_subject_regex(pattern);
        }
        let tls = tls_of(&text)?;
        if flag("REPLICATION_MTLS_NATIVE_TLS", text("REPLICATION_MTLS_NATIVE_TLS"), false)? {
            if !tls.as_ref().is_some_and(|tls| tls.client_roots.is_some() && tls.reject_unauthorized) {
                return Err(ConfigError::new(
                    "REPLICATION_MTLS_NATIVE_TLS requires PLAYGROUND_TLS_CERT_FILE, PLAYGROUND_TLS_KEY_FILE, PLAYGROUND_TLS_CA_FILE, \
                     PLAYGROUND_TLS_REQUEST_CERT=true and PLAYGROUND_TLS_REJECT_UNAUTHORIZED=true",
                ));
            }
            auth = auth.native_tls(true);
        }
        Ok(Self {
            host: text("HOST").unwrap_or(defaults.host),
            port: text("PORT").map_or(Ok(defaults.port), |port| read("PORT", &port))?,
            ready_lag: text("KITEDB_READY_MAX_LAG")
                .map_or(Ok(defaults.ready_lag), |lag| read("KITEDB_READY_MAX_LAG", &lag))?,
            auth,
            tls,
            ..defaults
        })
    }

    /// What the runbook's variables say in the environment of this process. One that is none of them and looks like one is warned of.
    ///
    /// # Errors
    /// Those of [`ServeOptions::from_variables`].
    pub fn from_environment() -> Result<Self, ConfigError> {
        for name in Self::unknown_variables(env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
            tracing::warn!("{name} is no variable of the server, and says nothing");
        }
        Self::from_variables(|name| env::var(name).ok())
    }

    /// Which of these names are no variables of a server, though they look like ones: a word misspelt leaves open what was to be closed.
    fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<String> {
        let looks_like_one = |name: &String| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let mut unknown: Vec<_> =
            names.into_iter().filter(|name| looks_like_one(name) && !VARIABLES.contains(&name.as_str())).collect();
        unknown.sort_unstable();
        unknown
    }

    /// Fails where it would serve whom nobody meant.
    pub(super) fn require_safe(&self, inherited: bool, only_here: bool) -> Result<(), ConfigError> {
        let mode = self.auth.effective_mode()?;
        if mode == AuthMode::None && !only_here && !self.allow_anybody {
            return Err(ConfigError::new(format!(
                "{} can be reached from elsewhere, and the replication admin auth mode is none: set REPLICATION_ADMIN_TOKEN_FILE or \
                 KITEDB_TOKENS_FILE, or say that anybody may administer it (--allow-anybody)",
                if inherited { "a socket that is handed over".to_owned() } else { format!("HOST {}", self.host) }
            )));
        }
        if mode.asks_for_certificate() && self.auth.admits_any_certificate_header() {
            tracing::warn!(
                "whatever the certificate header says, it admits as an administrator: name whose certificate in \
                 REPLICATION_MTLS_SUBJECT_REGEX"
            );
        }
        if mode.asks_for_certificate() && !self.auth.names_who_is_believed() && (!only_here || self.tls.is_some()) {
            return Err(ConfigError::new(format!(
                "replication admin auth mode '{mode}' believes a certificate header, which every client can send: name the proxies that \
                 set it in REPLICATION_TRUSTED_PROXIES, or have certificates checked here (REPLICATION_MTLS_NATIVE_TLS)"
            )));
        }
        Ok(())
    }
}

fn tls_of(text: &impl Fn(&str) -> Option<String>) -> Result<Option<TlsFiles>, ConfigError> {
    let file = |name: &str| text(name).map(PathBuf::from);
    let roots = file("PLAYGROUND_TLS_CA_FILE");
    let request = flag("PLAYGROUND_TLS_REQUEST_CERT", text("PLAYGROUND_TLS_REQUEST_CERT"), false)?;
    let reject_unauthorized =
        flag("PLAYGROUND_TLS_REJECT_UNAUTHORIZED", text("PLAYGROUND_TLS_REJECT_UNAUTHORIZED"), true)?;
    match (file("PLAYGROUND_TLS_CERT_FILE"), file("PLAYGROUND_TLS_KEY_FILE")) {
        (Some(certificate), Some(key)) => {
            if request && roots.is_none() {
                return Err(ConfigError::new(
                    "PLAYGROUND_TLS_REQUEST_CERT asks for certificates of clients: name who signs them in PLAYGROUND_TLS_CA_FILE",
                ));
            }
            if roots.is_some() && !request {
                tracing::warn!(
                    "PLAYGROUND_TLS_CA_FILE says who signs certificates of clients, and clients are not asked for any: that takes \
                     PLAYGROUND_TLS_REQUEST_CERT=true"
                );
            }
            Ok(Some(TlsFiles { certificate, key, client_roots: roots.filter(|_| request), reject_unauthorized }))
        }
        (None, None) if request || roots.is_some() => Err(ConfigError::new(
            "PLAYGROUND_TLS_REQUEST_CERT and PLAYGROUND_TLS_CA_FILE mean nothing without PLAYGROUND_TLS_CERT_FILE and \
             PLAYGROUND_TLS_KEY_FILE",
        )),
        (None, None) => Ok(None),
        _ => Err(ConfigError::new("PLAYGROUND_TLS_CERT_FILE and PLAYGROUND_TLS_KEY_FILE must both be set")),
    }
}

/// Reads what a variable says; the error names the variable.
fn read<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, ConfigError> {
    text.parse().map_err(|e| ConfigError::new(format!("Invalid {name}: {e}")))
}

/// `1`, `true`, `yes`, `on`; `0`, `false`, `no`, `off`; in any case.
fn flag(name: &str, text: Option<String>, default: bool) -> Result<bool, ConfigError> {
    match text.map(|text| text.to_ascii_lowercase()).as_deref() {
        None => Ok(default),
        Some("1" | "true" | "yes" | "on") => Ok(true),
        Some("0" | "false" | "no" | "off") => Ok(false),
        Some(other) => Err(ConfigError::new(format!("Invalid {name}: '{other}' is neither true nor false"))),
    }
}

/// Whether only this machine reaches it there. What cannot be resolved is not served anyway.
pub(super) fn is_loopback(host: &str) -> bool {
    (host, 0).to_socket_addrs().is_ok_and(|found| {
        let all: Vec<_> = found.collect();
        !all.is_empty() && all.iter().all(|address| address.ip().to_canonical().is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn options(variables: &[(&str, &str)]) -> Result<ServeOptions, ConfigError> {
        let all: BTreeMap<&str, &str> = variables.iter().copied().collect();
        ServeOptions::from_variables(|name| all.get(name).map(ToString::to_string))
    }

    impl ServeOptions {
        fn require_safe_there(&self) -> Result<(), ConfigError> {
            self.require_safe(false, is_loopback(&self.host))
        }
    }

    #[test]
    fn defaults_are_this_machine_and_its_port() {
        let options = options(&[("HOST", " "), ("REPLICATION_ADMIN_TOKEN", "")]).unwrap();
        assert_eq!((options.host.as_str(), options.port, options.tls.is_none()), ("127.0.0.1", 3000, true));
        assert_eq!(options.require_safe_there(), Ok(()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_the_name_of_its_variable() {
        for (variables, says) in [
            (vec![("PORT", "x")], "Invalid PORT"),
            (vec![("PORT", "65536")], "Invalid PORT"),
            (vec![("REPLICATION_ADMIN_AUTH_MODE", "tokens")], "Invalid REPLICATION_ADMIN_AUTH_MODE"),
            (vec![("REPLICATION_TRUSTED_PROXIES", "10.0.0")], "Invalid REPLICATION_TRUSTED_PROXIES"),
            (vec![("REPLICATION_MTLS_NATIVE_TLS", "maybe")], "Invalid REPLICATION_MTLS_NATIVE_TLS"),
            (vec![("REPLICATION_MTLS_NATIVE_TLS", "true")], "REPLICATION_MTLS_NATIVE_TLS requires"),
            (vec![("PLAYGROUND_TLS_CERT_FILE", "c.pem")], "must both be set"),
            (vec![("PLAYGROUND_TLS_CA_FILE", "c.pem")], "mean nothing without"),
            (
                vec![
                    ("PLAYGROUND_TLS_CERT_FILE", "c.pem"),
                    ("PLAYGROUND_TLS_KEY_FILE", "k.pem"),
                    ("PLAYGROUND_TLS_REQUEST_CERT", "1"),
                ],
                "PLAYGROUND_TLS_CA_FILE",
            ),
        ] {
            let error = options(&variables).unwrap_err().to_string();
            assert!(error.contains(says), "{variables:?}: {error}");
        }
    }

    #[test]
    fn a_file_of_tokens_asks_for_tokens() {
        for variable in ["KITEDB_TOKENS_FILE", "REPLICATION_ADMIN_TOKEN_FILE"] {
            let options = options(&[(variable, "tokens"), ("HOST", "0.0.0.0")]).unwrap();
            assert_eq!(
                (options.auth.effective_mode(), options.require_safe_there()),
                (Ok(AuthMode::Token), Ok(())),
                "{variable}"
            );
        }
    }

    #[test]
    fn a_variable_that_is_misspelt_is_known_as_none() {
        let names =
            ["HOME", "KITEDB_TOKEN_FILE", "KITEDB_PATH", "REPLICATION_ADMIN_TOKENS_FILE", "REPLICATION_ADMIN_TOKEN"];
        let unknown = ServeOptions::unknown_variables(names.map(str::to_owned));
        assert_eq!(unknown, ["KITEDB_TOKEN_FILE", "REPLICATION_ADMIN_TOKENS_FILE"]);
        assert_eq!(ServeOptions::unknown_variables(VARIABLES.map(str::to_owned)), [""; 0]);
    }

    #[test]
    fn nobody_is_served_whom_nobody_meant() {
        let refused =
            |variables: &[(&str, &str)]| options(variables).unwrap().require_safe_there().unwrap_err().to_string();
        let said = refused(&[("HOST", "0.0.0.0")]);
        assert!(
            said.contains("HOST 0.0.0.0 can be reached from elsewhere") && said.contains("--allow-anybody"),
            "{said}"
        );
        let header = [("REPLICATION_ADMIN_AUTH_MODE", "mtls")];
        assert_eq!(options(&header).unwrap().require_safe_there(), Ok(()));
        assert!(refused(&[header[0], ("HOST", "0.0.0.0")]).contains("REPLICATION_TRUSTED_PROXIES"));
        let proxied = [header[0], ("HOST", "0.0.0.0"), ("REPLICATION_TRUSTED_PROXIES", "10.0.0.7")];
        assert_eq!(options(&proxied).unwrap().require_safe_there(), Ok(()));
        let told = ServeOptions { allow_anybody: true, ..options(&[("HOST", "0.0.0.0")]).unwrap() };
        assert_eq!(told.require_safe_there(), Ok(()));
    }
}
