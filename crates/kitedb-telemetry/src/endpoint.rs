//! Where metrics are pushed to: checked once, and free of credentials wherever it is shown.

use crate::error::{Result, TelemetryError};
use base64::Engine as _;
use percent_encoding::percent_decode_str;
use std::fmt;
use url::Url;

/// A collector's address. HTTP posts to it as it stands; gRPC uses its scheme, host and port.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    url: Url,
    shown: String,
    user: Option<(String, String)>,
}

impl Endpoint {
    /// Takes an endpoint apart. No error repeats it: what is wrong with it may be where its password stands.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let invalid = |what: &str| TelemetryError::InvalidOption(what.to_owned());
        if text.is_empty() {
            return Err(invalid("endpoint must not be empty"));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(invalid("endpoint must use http:// or https://"));
        }
        // URLs read by the rules of browsers skip some of these and take others for slashes: then what follows would
        // cut credentials away in another place than the parser does.
        if text.chars().any(|c| c == '\\' || c.is_control() || c.is_whitespace()) {
            return Err(invalid(
                "endpoint is not a valid URL: it contains a space, a backslash or a control character",
            ));
        }
        let mut url = Url::parse(text)
            .map_err(|cause| TelemetryError::InvalidOption(format!("endpoint is not a valid URL: {cause}")))?;
        let user = (!url.username().is_empty() || url.password().is_some())
            .then(|| (decode(url.username()), decode(url.password().unwrap_or_default())));
        // Neither fails for a URL with a host, and one of these schemes has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        let shown = shown(scheme, rest, &url);
        Ok(Self { url, shown, user })
    }

    /// The address without credentials and query: for errors, logs, and as the breaker's key.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The address to post to: without credentials, with its query.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Scheme, host and port: all that gRPC needs.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether it is https.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether `other` has the same scheme, host and port.
    pub fn same_origin(&self, other: &Url) -> bool {
        self.url.origin() == other.origin()
    }

    /// The value of `authorization` for its credentials, if it has any.
    pub fn basic_authorization(&self) -> Option<String> {
        let (name, password) = self.user.as_ref()?;
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"))))
    }

    /// What of it must never be repeated: the password, and the values of its query.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = Vec::new();
        if let Some((name, password)) = &self.user {
            // A name alone is how some services pass a token.
            secrets.push(if password.is_empty() { name.clone() } else { password.clone() });
            secrets.extend(self.url.password().map(str::to_owned));
        }
        for pair in self.url.query().unwrap_or_default().split('&') {
            let value = pair.split_once('=').map_or(pair, |(_, value)| value);
            secrets.extend([value.to_owned(), decode(value)]);
        }
        secrets
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.shown).finish()
    }
}

/// An address of any kind without credentials and query, for texts. What is no address shows nothing of itself.
pub(crate) fn show(address: &str) -> String {
    Endpoint::parse(address).map_or_else(|_| "(not a valid address)".to_owned(), |endpoint| endpoint.shown)
}

/// As it was written, so that it stays the key that it always was; as the parser reads it where that is not ASCII,
/// for keys travel in headers.
fn shown(scheme: &str, rest: &str, url: &Url) -> String {
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let written = format!("{scheme}://{host}{path}");
    if written.is_ascii() {
        return written;
    }
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_shown_as_written_without_credentials_and_query() {
        for (text, shown) in [
            ("http://host:4318/v1/metrics", "http://host:4318/v1/metrics"),
            (" http://host:4317 ", "http://host:4317"),
            ("http://host:4317/", "http://host:4317/"),
            ("HTTPS://Host:443/x", "HTTPS://Host:443/x"),
            ("https://user:canary@host/x?token=canary#canary", "https://host/x"),
            ("https://us@er:can@ary@host/x", "https://host/x"),
            ("https://canary@host?canary", "https://host"),
            ("https://host?a=u:canary@evil/", "https://host"),
            ("https://user:canary@[::1]:4318/v1", "https://[::1]:4318/v1"),
            ("https://u:canary@häuser.example/ü?canary", "https://xn--huser-gra.example/%C3%BC"),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint.shown(), shown, "{text}");
            assert!(!format!("{endpoint:?}").contains("canary"));
            assert!(!endpoint.origin().contains("canary"));
            assert_eq!(endpoint.url().username(), "");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_without_being_repeated() {
        for (text, phrase) in [
            ("", "endpoint must not be empty"),
            (" \t", "endpoint must not be empty"),
            ("canary", "endpoint must use http:// or https://"),
            ("canary:4317", "endpoint must use http:// or https://"),
            ("ftp://canary/", "endpoint must use http:// or https://"),
            ("http:u:canary@host", "endpoint must use http:// or https://"),
            ("http:/u:canary@host", "endpoint must use http:// or https://"),
            ("ht\ntp://u:canary@host", "endpoint must use http:// or https://"),
            ("http://u:canary@", "endpoint is not a valid URL"),
            ("http://u:ca\\nary@host", "endpoint is not a valid URL"),
            ("http://u:ca\tnary@host", "endpoint is not a valid URL"),
            ("http://host:canary/", "endpoint is not a valid URL"),
            ("http://", "endpoint is not a valid URL"),
        ] {
            let error = Endpoint::parse(text).unwrap_err().to_string();
            assert!(error.contains(phrase), "{text:?}: {error}");
            assert!(!error.contains("nary"), "{error}");
        }
    }

    #[test]
    fn credentials_become_a_basic_authorization() {
        let of = |text: &str| Endpoint::parse(text).unwrap().basic_authorization();
        assert_eq!(of("http://host/"), None);
        // "user:p@ss" in base64
        assert_eq!(of("http://user:p%40ss@host/").unwrap(), "Basic dXNlcjpwQHNz");
        assert_eq!(of("http://user@host/").unwrap(), "Basic dXNlcjo=");
    }

    #[test]
    fn grpc_gets_scheme_host_and_port() {
        let of = |text: &str| Endpoint::parse(text).unwrap().origin();
        assert_eq!(of("http://host:4317/some/path?x"), "http://host:4317");
        assert_eq!(of("https://u:p@[::1]:4317"), "https://[::1]:4317");
        assert_eq!(of("https://host"), "https://host");
    }
}
