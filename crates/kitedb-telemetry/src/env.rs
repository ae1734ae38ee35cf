//! What the environment says: the variables of the OpenTelemetry specification that are about pushing metrics.
//!
//! An empty variable is one that is not set. Those of metrics (`OTEL_EXPORTER_OTLP_METRICS_…`) go before those of all
//! signals (`OTEL_EXPORTER_OTLP_…`). A value that cannot be used is an error that names its variable; no error shows a
//! value that may be a secret.

use crate::{
    error::{Result, TelemetryError},
    exporter::ExporterOptions,
    options::{OtlpHttpPushOptions, OtlpTransport},
};
use std::{env::VarError, fmt, path::PathBuf};

/// What the variables say. Where they say nothing, options are the defaults of [`OtlpHttpPushOptions`].
///
/// | variable (`…` stands for `OTEL_EXPORTER_OTLP_METRICS_` or `OTEL_EXPORTER_OTLP_`) | sets |
/// |---|---|
/// | `…ENDPOINT` | the endpoint: that of metrics as it is, the other one with `/v1/metrics` after it (not for gRPC) |
/// | `…INSECURE` | for gRPC, whether an endpoint without a scheme means `http` |
/// | `…PROTOCOL` | `grpc`, `http/protobuf` or `http/json` |
/// | `…HEADERS` | `name=value,…`, values percent-encoded |
/// | `…TIMEOUT`, `OTEL_METRIC_EXPORT_TIMEOUT` | `timeout_ms`: the lesser one |
/// | `…COMPRESSION` | `gzip` or `none` |
/// | `…CERTIFICATE`, `…CLIENT_CERTIFICATE`, `…CLIENT_KEY` | paths of PEM files |
/// | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | what the metrics are said to come from |
/// | `OTEL_METRIC_EXPORT_INTERVAL` | how often an exporter pushes, ms |
/// | `OTEL_SDK_DISABLED` | `true`: nothing is to be pushed |
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct OtlpEnvironment {
    /// Whether the variables forbid to push. Whoever reads them heeds it.
    pub sdk_disabled: bool,
    /// How metrics are sent, if a variable says so.
    pub transport: Option<OtlpTransport>,
    /// How often an exporter pushes, ms, if a variable says so.
    pub interval_ms: Option<u64>,
    /// What they say of a push.
    pub options: OtlpHttpPushOptions,
    metrics_endpoint: Option<String>,
    base_endpoint: Option<String>,
    insecure: bool,
}

impl fmt::Debug for OtlpEnvironment {
    /// Endpoints may hold credentials: whether there is one must do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpEnvironment")
            .field("sdk_disabled", &self.sdk_disabled)
            .field("transport", &self.transport)
            .field("interval_ms", &self.interval_ms)
            .field("options", &self.options)
            .field("names_endpoint", &self.names_endpoint())
            .finish_non_exhaustive()
    }
}

impl OtlpEnvironment {
    /// Reads the variables of this process.
    ///
    /// # Errors
    /// [`TelemetryError::InvalidOption`], which names the variable.
    pub fn read() -> Result<Self> {
        parse(&|name| match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(bad(name, "is not valid UTF-8")),
        })
    }

    /// As [`OtlpEnvironment::read`], with variables of the caller's.
    ///
    /// ```
    /// use kitedb_telemetry::{OtlpEnvironment, OtlpTransport};
    /// # fn main() -> kitedb_telemetry::Result<()> {
    /// let env = OtlpEnvironment::from(|name| match name {
    ///     "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("https://collector:4318".to_owned()),
    ///     "OTEL_EXPORTER_OTLP_COMPRESSION" => Some("gzip".to_owned()),
    ///     _ => None,
    /// })?;
    /// assert_eq!(env.endpoint(OtlpTransport::HttpProtobuf), "https://collector:4318/v1/metrics");
    /// assert!(env.options.compression_gzip);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TelemetryError::InvalidOption`], which names the variable.
    pub fn from(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        parse(&|name| Ok(lookup(name)))
    }

    /// Whether a variable names an endpoint.
    pub fn names_endpoint(&self) -> bool {
        self.metrics_endpoint.is_some() || self.base_endpoint.is_some()
    }

    /// Where metrics go over `transport`: as the variables say, else to a collector on this machine, on the port that
    /// OTLP has for it. May hold credentials.
    pub fn endpoint(&self, transport: OtlpTransport) -> String {
        let grpc = transport == OtlpTransport::Grpc;
        match (&self.metrics_endpoint, &self.base_endpoint) {
            (Some(own), _) | (None, Some(own)) if grpc => self.with_scheme(own),
            (Some(own), _) => own.clone(),
            (None, Some(base)) => with_metrics_path(base),
            (None, None) if grpc => "http://localhost:4317".to_owned(),
            (None, None) => "http://localhost:4318/v1/metrics".to_owned(),
        }
    }

    /// All that they say of an exporter: over HTTP with protobuf where no variable names a protocol.
    pub fn exporter_options(&self) -> ExporterOptions {
        let transport = self.transport.unwrap_or(OtlpTransport::HttpProtobuf);
        let mut options = ExporterOptions::new(transport, self.endpoint(transport));
        options.interval_ms = self.interval_ms.unwrap_or(options.interval_ms);
        options.push = self.options.clone();
        options
    }

    /// `host:port` is enough for gRPC.
    fn with_scheme(&self, endpoint: &str) -> String {
        match (endpoint.contains("://"), self.insecure) {
            (true, _) => endpoint.to_owned(),
            (false, true) => format!("http://{endpoint}"),
            (false, false) => format!("https://{endpoint}"),
        }
    }
}

/// The place of metrics below the endpoint of all signals.
fn with_metrics_path(base: &str) -> String {
    let (path, rest) = base.split_at(base.find(['?', '#']).unwrap_or(base.len()));
    format!("{}/v1/metrics{rest}", path.trim_end_matches('/'))
}

type Lookup<'a> = &'a dyn Fn(&str) -> Result<Option<String>>;

fn parse(lookup: Lookup<'_>) -> Result<OtlpEnvironment> {
    let vars = Variables(lookup);
    let mut options = OtlpHttpPushOptions::default();
    if let Some((name, value)) = vars.otlp("HEADERS")? {
        options.headers = pairs(&name, &value)?;
    }
    let timeouts = [vars.otlp("TIMEOUT")?, vars.get("OTEL_METRIC_EXPORT_TIMEOUT")?].into_iter().flatten();
    let timeouts: Vec<u64> = timeouts.map(|(name, value)| milliseconds(&name, &value)).collect::<Result<_>>()?;
    options.timeout_ms = timeouts.into_iter().min().unwrap_or(options.timeout_ms);
    if let Some((name, value)) = vars.otlp("COMPRESSION")? {
        options.compression_gzip = one_of(&name, &value, &[("gzip", true), ("none", false)])?;
    }
    options.tls.ca_cert_pem_path = vars.path("CERTIFICATE")?;
    options.tls.client_cert_pem_path = vars.path("CLIENT_CERTIFICATE")?;
    options.tls.client_key_pem_path = vars.path("CLIENT_KEY")?;
    resource(&vars, &mut options)?;
    let transport = vars.otlp("PROTOCOL")?.map(|(name, value)| one_of(&name, &value, PROTOCOLS)).transpose()?;
    let interval = vars.get("OTEL_METRIC_EXPORT_INTERVAL")?;
    let value = |found: Option<(String, String)>| found.map(|(_, value)| value);
    Ok(OtlpEnvironment {
        sdk_disabled: is_true(vars.get("OTEL_SDK_DISABLED")?),
        transport,
        interval_ms: interval.map(|(name, value)| milliseconds(&name, &value)).transpose()?,
        options,
        metrics_endpoint: value(vars.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")?),
        base_endpoint: value(vars.get("OTEL_EXPORTER_OTLP_ENDPOINT")?),
        insecure: is_true(vars.otlp("INSECURE")?),
    })
}

const PROTOCOLS: &[(&str, OtlpTransport)] = &[
    ("grpc", OtlpTransport::Grpc),
    ("http/protobuf", OtlpTransport::HttpProtobuf),
    ("http/json", OtlpTransport::HttpJson),
];

/// `OTEL_SERVICE_NAME` goes before the attribute of that meaning.
fn resource(vars: &Variables<'_>, options: &mut OtlpHttpPushOptions) -> Result<()> {
    let resource = &mut options.resource;
    if let Some((name, value)) = vars.get("OTEL_RESOURCE_ATTRIBUTES")? {
        for (key, value) in pairs(&name, &value)? {
            match key.as_str() {
                "service.name" => resource.service_name = Some(value),
                "service.instance.id" => resource.service_instance_id = Some(value),
                _ => resource.attributes.push((key, value)),
            }
        }
    }
    if let Some((_, value)) = vars.get("OTEL_SERVICE_NAME")? {
        resource.service_name = Some(value);
    }
    Ok(())
}

/// Looks variables up. What is found comes with its name, for errors.
struct Variables<'a>(Lookup<'a>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Result<Option<(String, String)>> {
        let value = (self.0)(name)?.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        Ok(value.map(|value| (name.to_owned(), value)))
    }

    /// The one of metrics, else the one of all signals.
    fn otlp(&self, name: &str) -> Result<Option<(String, String)>> {
        match self.get(&format!("OTEL_EXPORTER_OTLP_METRICS_{name}"))? {
            Some(own) => Ok(Some(own)),
            None => self.get(&format!("OTEL_EXPORTER_OTLP_{name}")),
        }
    }

    fn path(&self, name: &str) -> Result<Option<PathBuf>> {
        Ok(self.otlp(name)?.map(|(_, value)| value.into()))
    }
}

fn bad(name: &str, what: impl fmt::Display) -> TelemetryError {
    TelemetryError::InvalidOption(format!("{name} {what}"))
}

/// By the specification everything but `true` is false.
fn is_true(found: Option<(String, String)>) -> bool {
    found.is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"))
}

fn milliseconds(name: &str, value: &str) -> Result<u64> {
    match value.parse() {
        Ok(ms) if ms > 0 => Ok(ms),
        _ => Err(bad(name, "must be a whole number of milliseconds above 0")),
    }
}

fn one_of<T: Copy>(name: &str, value: &str, choices: &[(&str, T)]) -> Result<T> {
    let found = choices.iter().find(|(choice, _)| choice.eq_ignore_ascii_case(value));
    let choices = || choices.iter().map(|(choice, _)| *choice).collect::<Vec<_>>().join(", ");
    found.map(|(_, meaning)| *meaning).ok_or_else(|| bad(name, format_args!("must be one of: {}", choices())))
}

/// `key=value,key=value`, values percent-encoded. A key that comes twice counts the last time.
fn pairs(name: &str, text: &str) -> Result<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (at, member) in text.split(',').enumerate().filter(|(_, member)| !member.trim().is_empty()) {
        let at = at + 1;
        let Some((key, value)) = member.split_once('=') else {
            return Err(bad(
                name,
                format_args!("must be key=value pairs with commas between them: number {at} has no ="),
            ));
        };
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(is_token) {
            return Err(bad(name, format_args!("has a key that is not one: that of pair number {at}")));
        }
        let Some(value) = percent_decoded(value.trim()) else {
            return Err(bad(name, format_args!("has a value that is not percent-encoded UTF-8: that of {key}")));
        };
        pairs.retain(|(other, _)| other != key);
        pairs.push((key.to_owned(), value));
    }
    Ok(pairs)
}

/// What names of headers are made of.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                (digit()? << 4 | digit()?) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(set: &[(&str, &str)]) -> Result<OtlpEnvironment> {
        OtlpEnvironment::from(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn without_variables_metrics_go_to_this_machine_as_the_options_have_it() {
        let env = read(&[]).unwrap();
        assert_eq!(env.options, OtlpHttpPushOptions::default());
        assert_eq!((env.sdk_disabled, env.transport, env.interval_ms), (false, None, None));
        assert!(!env.names_endpoint());
        assert_eq!(env.endpoint(OtlpTransport::HttpJson), "http://localhost:4318/v1/metrics");
        assert_eq!(env.endpoint(OtlpTransport::Grpc), "http://localhost:4317");
        let exporter = env.exporter_options();
        assert_eq!((exporter.transport, exporter.interval_ms), (OtlpTransport::HttpProtobuf, 60_000));
    }

    #[test]
    fn endpoints_get_the_path_of_metrics_unless_they_are_those_of_metrics() {
        use OtlpTransport::{Grpc, HttpProtobuf};
        const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        const OWN: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
        const INSECURE: (&str, &str) = ("OTEL_EXPORTER_OTLP_INSECURE", "True");
        type Variables<'a> = &'a [(&'a str, &'a str)];
        let cases: &[(Variables<'_>, OtlpTransport, &str)] = &[
            (&[(ALL, "http://c:4318")], HttpProtobuf, "http://c:4318/v1/metrics"),
            (&[(ALL, "http://c:4318/")], HttpProtobuf, "http://c:4318/v1/metrics"),
            (&[(ALL, "https://c/otlp/")], HttpProtobuf, "https://c/otlp/v1/metrics"),
            (&[(ALL, "https://c/otlp?tenant=a/")], HttpProtobuf, "https://c/otlp/v1/metrics?tenant=a/"),
            (&[(ALL, "https://c"), (OWN, "http://m:1/x")], HttpProtobuf, "http://m:1/x"),
            (&[(OWN, "http://m:1")], HttpProtobuf, "http://m:1"),
            (&[(ALL, "http://c:4317")], Grpc, "http://c:4317"),
            (&[(ALL, "c:4317")], Grpc, "https://c:4317"),
            (&[(ALL, "c:4317"), INSECURE], Grpc, "http://c:4317"),
            (&[(ALL, "https://c:4317"), INSECURE], Grpc, "https://c:4317"),
            (&[(OWN, "m:1"), INSECURE], Grpc, "http://m:1"),
            (&[(ALL, "http://c:4318"), (OWN, "  ")], HttpProtobuf, "http://c:4318/v1/metrics"),
        ];
        for (set, transport, want) in cases {
            assert_eq!(read(set).unwrap().endpoint(*transport), *want, "{set:?}");
        }
    }

    #[test]
    fn every_variable_sets_its_option_and_those_of_metrics_go_first() {
        let both = |name: &str, all: &str, own: &str| {
            let of = |signal: &str| format!("OTEL_EXPORTER_OTLP_{signal}{name}");
            let lookup = |key: &str| (key == of("")).then(|| all.to_owned());
            let general = OtlpEnvironment::from(lookup).unwrap();
            let lookup = |key: &str| (key == of("METRICS_")).then(|| own.to_owned()).or_else(|| lookup(key));
            (general, OtlpEnvironment::from(lookup).unwrap())
        };
        let (all, own) = both("PROTOCOL", "grpc", "HTTP/JSON");
        assert_eq!((all.transport, own.transport), (Some(OtlpTransport::Grpc), Some(OtlpTransport::HttpJson)));
        let (all, own) = both("TIMEOUT", "10000", "300");
        assert_eq!((all.options.timeout_ms, own.options.timeout_ms), (10_000, 300));
        let (all, own) = both("COMPRESSION", "gzip", "none");
        assert_eq!((all.options.compression_gzip, own.options.compression_gzip), (true, false));
        let (all, own) = both("HEADERS", "a=1,b=2", "c=3");
        assert_eq!(all.options.headers, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        assert_eq!(own.options.headers, [("c".to_owned(), "3".to_owned())]);
        let (all, own) = both("CERTIFICATE", "/ca.pem", "/own.pem");
        assert_eq!(all.options.tls.ca_cert_pem_path.as_deref(), Some(Path::new("/ca.pem")));
        assert_eq!(own.options.tls.ca_cert_pem_path.as_deref(), Some(Path::new("/own.pem")));
        let (all, _) = both("CLIENT_CERTIFICATE", "/c.pem", "");
        assert_eq!(all.options.tls.client_cert_pem_path.as_deref(), Some(Path::new("/c.pem")));
        let (all, _) = both("CLIENT_KEY", "/k.pem", "");
        assert_eq!(all.options.tls.client_key_pem_path.as_deref(), Some(Path::new("/k.pem")));
    }

    #[test]
    fn the_lesser_of_two_timeouts_counts() {
        let (otlp, reader) = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_METRIC_EXPORT_TIMEOUT");
        for (set, want) in [
            (&[(otlp, "9000")][..], 9000),
            (&[(reader, "30000")], 30_000),
            (&[(otlp, "9000"), (reader, "7000")], 7000),
            (&[(otlp, "8000"), (reader, "30000")], 8000),
        ] {
            let options = read(set).unwrap().options;
            assert_eq!((options.timeout_ms, options.attempt_timeout_ms), (want, 0), "{set:?}");
        }
        let env = read(&[("OTEL_METRIC_EXPORT_INTERVAL", "1500")]).unwrap();
        assert_eq!((env.interval_ms, env.exporter_options().interval_ms), (Some(1500), 1500));
    }

    #[test]
    fn header_values_are_percent_decoded() {
        for (text, want) in [
            ("authorization=Basic%20dTpw", vec![("authorization", "Basic dTpw")]),
            (" a = 1 , b = x=y ", vec![("a", "1"), ("b", "x=y")]),
            ("a=%C3%A9,", vec![("a", "é")]),
            ("a=,b=2", vec![("a", ""), ("b", "2")]),
            ("a=1,a=2", vec![("a", "2")]),
        ] {
            let env = read(&[("OTEL_EXPORTER_OTLP_HEADERS", text)]).unwrap();
            let headers: Vec<_> = env.options.headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(headers, want, "{text}");
        }
    }

    #[test]
    fn the_name_of_the_service_goes_before_its_attribute() {
        let attributes =
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=b,service.instance.id=i-7,deployment.environment=a%2Cb");
        let resource = read(&[attributes]).unwrap().options.resource;
        assert_eq!(resource.service_name.as_deref(), Some("b"));
        assert_eq!(resource.service_instance_id.as_deref(), Some("i-7"));
        assert_eq!(resource.attributes, [("deployment.environment".to_owned(), "a,b".to_owned())]);
        let resource = read(&[attributes, ("OTEL_SERVICE_NAME", "a")]).unwrap().options.resource;
        assert_eq!(resource.service_name.as_deref(), Some("a"));
    }

    #[test]
    fn only_true_disables() {
        for (text, want) in
            [("true", true), ("TRUE", true), ("false", false), ("1", false), ("yes", false), ("", false)]
        {
            assert_eq!(read(&[("OTEL_SDK_DISABLED", text)]).unwrap().sdk_disabled, want, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_an_error_that_names_the_variable_and_shows_no_secret() {
        for (name, value, phrase) in [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "above 0"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1", "whole number"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "10s", "whole number"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "canary", "whole number"),
            ("OTEL_METRIC_EXPORT_TIMEOUT", "canary", "whole number"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "canary", "one of: grpc, http/protobuf, http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "canary", "one of: gzip, none"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "canary", "number 1 has no ="),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,can ary=2", "pair number 2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "=canary", "pair number 1"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=canary%2", "that of a"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=canary%zz", "that of a"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=canary%ff", "that of a"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=canary%0d%0ab:1", "that of a"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=canary%", "that of a"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert_eq!(error.code(), "INVALID_OPTION");
            let text = error.to_string();
            assert!(text.starts_with(&format!("{name} ")) && text.contains(phrase), "{text}");
            assert!(!text.contains("canary"), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let env = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:canary@c?key=canary"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=canary"),
        ]);
        let env = env.unwrap();
        assert_eq!(env.options.headers.len(), 1);
        let shown = format!("{env:?} {:?}", env.exporter_options());
        assert!(shown.contains("names_endpoint: true") && !shown.contains("canary"), "{shown}");
    }
}
