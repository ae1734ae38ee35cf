//! Options as keyword arguments. What they default to, and which of them go together, the engine says.

use crate::errors::{Outcome, type_name, wrong_type, wrong_value};
use kitedb::{
    Error, ErrorCode, FollowerOptions, OpenOptions, RepairOptions, ReplicationRole, Result, RetentionWindows, SyncMode,
    telemetry::{
        DatabaseLabel, ExporterOptions, OtlpAdaptiveRetryMode, OtlpHttpPushOptions, OtlpHttpTlsOptions, OtlpResource,
        OtlpTransport, PrometheusFormat, PrometheusNames, PrometheusOptions,
    },
};
use pyo3::{
    prelude::*,
    types::{PyBool, PyDict, PyFloat, PyInt, PyString},
};
use std::path::PathBuf;

/// How a option is set.
enum Set<O> {
    Bool(fn(O, bool) -> O),
    /// Not negative, and whole.
    Number(fn(O, u64) -> O),
    Ratio(fn(O, f64) -> O),
    Text(fn(O, String) -> O),
    Path(fn(O, PathBuf) -> O),
    Word(fn(O, &str) -> Result<O>),
    /// A dict of texts.
    Texts(fn(O, Vec<(String, String)>) -> O),
}

/// The options of a call, by their names.
type Members<O> = &'static [(&'static str, Set<O>)];

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::InvalidOption, what)
}

/// Reads options by their names; one that is None is not said.
fn read<O: Clone>(given: Option<&Bound<'_, PyDict>>, mut options: O, members: Members<O>) -> Outcome<O> {
    let Some(given) = given else { return Ok(options) };
    for (name, value) in given.iter() {
        let name = name.extract::<String>()?;
        let Some((_, set)) = members.iter().find(|(known, _)| *known == name) else {
            let known: Vec<_> = members.iter().map(|(known, _)| *known).collect();
            return Err(wrong_type(format_args!("there is no option '{name}': there are {}", known.join(", "))));
        };
        if !value.is_none() {
            options = set.set(options, &name, &value)?;
        }
    }
    Ok(options)
}

impl<O> Set<O> {
    fn set(&self, options: O, name: &str, value: &Bound<'_, PyAny>) -> Outcome<O> {
        let expected = |what: &str| wrong_type(format_args!("{name} is a {}: give {what}", type_name(value)));
        let text = || value.cast::<PyString>().map_err(|_| expected("a str")).and_then(|v| Ok(v.to_str()?.to_owned()));
        Ok(match self {
            Self::Bool(set) => {
                let v = value.cast::<PyBool>().map_err(|_| expected("True or False"))?;
                set(options, v.is_true())
            }
            Self::Number(set) => {
                if value.is_instance_of::<PyBool>() || !value.is_instance_of::<PyInt>() {
                    return Err(expected("an int"));
                }
                if value.lt(0)? {
                    return Err(wrong_value(format_args!("{name} must be non-negative, and is {value}")));
                }
                set(options, value.extract()?)
            }
            Self::Ratio(set) => {
                let number = value.is_instance_of::<PyFloat>() || value.is_instance_of::<PyInt>();
                if !number || value.is_instance_of::<PyBool>() {
                    return Err(expected("a number"));
                }
                set(options, value.extract()?)
            }
            Self::Text(set) => set(options, text()?),
            Self::Path(set) => set(options, value.extract().map_err(|_| expected("a str or a path"))?),
            Self::Word(set) => set(options, &text()?)?,
            Self::Texts(set) => {
                let dict = value.cast::<PyDict>().map_err(|_| expected("a dict of str"))?;
                let mut texts = Vec::new();
                for (name, text) in dict.iter() {
                    let text = || Ok::<_, PyErr>((name.extract()?, text.extract()?));
                    texts.push(text().map_err(|_| expected("a dict of str"))?);
                }
                set(options, texts)
            }
        })
    }
}

/// A word as it is, or with the capital that 0.2 gave it.
fn lower(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

fn sync_mode(word: &str) -> Result<SyncMode> {
    match lower(word).as_str() {
        "full" => Ok(SyncMode::Full),
        "normal" => Ok(SyncMode::Normal),
        "off" => Ok(SyncMode::Off),
        _ => Err(invalid(format_args!("there is no sync_mode '{word}': give full, normal or off"))),
    }
}

const OPEN: Members<OpenOptions> = &[
    ("read_only", Set::Bool(OpenOptions::read_only)),
    ("create_if_missing", Set::Bool(OpenOptions::create_if_missing)),
    ("sync_mode", Set::Word(|o, word| Ok(o.sync_mode(sync_mode(word)?)))),
    ("sync_interval_ms", Set::Number(OpenOptions::sync_interval_ms)),
    ("checkpoint_log_bytes", Set::Number(OpenOptions::checkpoint_log_bytes)),
    ("auto_checkpoint", Set::Bool(OpenOptions::auto_checkpoint)),
    ("auto_compaction", Set::Bool(OpenOptions::auto_compaction)),
    ("max_runs", Set::Number(|o, v| o.max_runs(usize::try_from(v).unwrap_or(usize::MAX)))),
    ("background", Set::Bool(OpenOptions::background)),
    ("max_pin_ms", Set::Number(OpenOptions::max_pin_ms)),
    ("segment_max_bytes", Set::Number(OpenOptions::segment_max_bytes)),
    ("accept_hard_links", Set::Bool(OpenOptions::accept_hard_links)),
    ("accept_copy", Set::Bool(OpenOptions::accept_copy)),
    ("require_complete", Set::Bool(OpenOptions::require_complete)),
    ("fence_wait_ms", Set::Number(OpenOptions::fence_wait_ms)),
    ("replication_role", Set::Word(|o, word| Ok(o.replication_role(lower(word).parse::<ReplicationRole>()?)))),
    ("replication_sidecar_path", Set::Path(|o, v| o.replication_sidecar_path(v))),
    ("replication_source_db_path", Set::Path(|o, v| o.replication_source_db_path(v))),
    ("replication_source_sidecar_path", Set::Path(|o, v| o.replication_source_sidecar_path(v))),
    ("replication_overwrite", Set::Bool(OpenOptions::replication_overwrite)),
    ("replication_segment_max_bytes", Set::Number(OpenOptions::replication_segment_max_bytes)),
    ("replication_retention_min_entries", Set::Number(OpenOptions::replication_retention_min_entries)),
    ("replication_retention_min_ms", Set::Number(OpenOptions::replication_retention_min_ms)),
    ("replication_retention_max_bytes", Set::Number(OpenOptions::replication_retention_max_bytes)),
    ("replication_retention_max_lag_ms", Set::Number(OpenOptions::replication_retention_max_lag_ms)),
    ("replication_retention_interval_ms", Set::Number(OpenOptions::replication_retention_interval_ms)),
    ("replication_name", Set::Text(|o, v| o.replication_name(v))),
    ("replication_unregistered", Set::Bool(OpenOptions::replication_unregistered)),
];

const FOLLOWER: Members<FollowerOptions> = &[
    ("max_frames", Set::Number(|o, v| o.max_frames(usize::try_from(v).unwrap_or(usize::MAX)))),
    ("poll_ms", Set::Number(FollowerOptions::poll_ms)),
    ("backoff_ms", Set::Number(FollowerOptions::backoff_ms)),
    ("backoff_max_ms", Set::Number(FollowerOptions::backoff_max_ms)),
];

pub fn follower(given: Option<&Bound<'_, PyDict>>) -> Outcome<FollowerOptions> {
    read(given, FollowerOptions::new(), FOLLOWER)
}

const WINDOWS: Members<RetentionWindows> = &[
    ("min_entries", Set::Number(RetentionWindows::min_entries)),
    ("min_ms", Set::Number(RetentionWindows::min_ms)),
    ("max_bytes", Set::Number(RetentionWindows::max_bytes)),
    ("max_lag_ms", Set::Number(RetentionWindows::max_lag_ms)),
];

pub fn windows(given: Option<&Bound<'_, PyDict>>) -> Outcome<RetentionWindows> {
    read(given, RetentionWindows::new(), WINDOWS)
}

const REPAIR: Members<RepairOptions> = &[
    ("dry_run", Set::Bool(RepairOptions::dry_run)),
    ("cut_at", Set::Word(|o, token| Ok(o.cut_at(token.parse()?)))),
    ("replication_sidecar_path", Set::Path(|o, v| o.replication_sidecar_path(v))),
];

pub fn repair(given: Option<&Bound<'_, PyDict>>) -> Outcome<RepairOptions> {
    read(given, RepairOptions::new(), REPAIR)
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn with_tls(o: OtlpHttpPushOptions, set: impl FnOnce(OtlpHttpTlsOptions) -> OtlpHttpTlsOptions) -> OtlpHttpPushOptions {
    let tls = set(o.tls.clone());
    o.tls(tls)
}

fn with_resource(o: OtlpHttpPushOptions, set: impl FnOnce(OtlpResource) -> OtlpResource) -> OtlpHttpPushOptions {
    let resource = set(o.resource.clone());
    o.resource(resource)
}

fn adaptive_mode(word: &str) -> Result<OtlpAdaptiveRetryMode> {
    match word.trim().to_ascii_lowercase().as_str() {
        "" | "linear" => Ok(OtlpAdaptiveRetryMode::Linear),
        "ewma" => Ok(OtlpAdaptiveRetryMode::Ewma),
        _ => Err(invalid(format_args!("adaptive_retry_mode must be one of: linear, ewma; it is '{word}'"))),
    }
}

const PUSH: Members<OtlpHttpPushOptions> = &[
    ("timeout_ms", Set::Number(OtlpHttpPushOptions::timeout_ms)),
    ("attempt_timeout_ms", Set::Number(OtlpHttpPushOptions::attempt_timeout_ms)),
    ("bearer_token", Set::Text(|o, v| o.bearer_token(Some(v)))),
    ("headers", Set::Texts(OtlpHttpPushOptions::headers)),
    ("https_only", Set::Bool(|o, v| with_tls(o, |tls| tls.https_only(v)))),
    ("ca_cert_pem_path", Set::Path(|o, v| with_tls(o, |tls| tls.ca_cert_pem_path(Some(v))))),
    ("client_cert_pem_path", Set::Path(|o, v| with_tls(o, |tls| tls.client_cert_pem_path(Some(v))))),
    ("client_key_pem_path", Set::Path(|o, v| with_tls(o, |tls| tls.client_key_pem_path(Some(v))))),
    ("retry_max_attempts", Set::Number(|o, v| o.retry_max_attempts(narrow(v)))),
    ("retry_backoff_ms", Set::Number(OtlpHttpPushOptions::retry_backoff_ms)),
    ("retry_backoff_max_ms", Set::Number(OtlpHttpPushOptions::retry_backoff_max_ms)),
    ("retry_jitter_ratio", Set::Ratio(OtlpHttpPushOptions::retry_jitter_ratio)),
    ("adaptive_retry", Set::Bool(OtlpHttpPushOptions::adaptive_retry)),
    ("adaptive_retry_mode", Set::Word(|o, word| Ok(o.adaptive_retry_mode(adaptive_mode(word)?)))),
    ("adaptive_retry_ewma_alpha", Set::Ratio(OtlpHttpPushOptions::adaptive_retry_ewma_alpha)),
    ("circuit_breaker_failure_threshold", Set::Number(|o, v| o.circuit_breaker_failure_threshold(narrow(v)))),
    ("circuit_breaker_open_ms", Set::Number(OtlpHttpPushOptions::circuit_breaker_open_ms)),
    ("circuit_breaker_half_open_probes", Set::Number(|o, v| o.circuit_breaker_half_open_probes(narrow(v)))),
    ("circuit_breaker_scope_key", Set::Text(|o, v| o.circuit_breaker_scope_key(Some(v)))),
    ("circuit_breaker_state_path", Set::Text(|o, v| o.circuit_breaker_state_path(Some(v)))),
    ("circuit_breaker_state_url", Set::Text(|o, v| o.circuit_breaker_state_url(Some(v)))),
    ("circuit_breaker_state_patch", Set::Bool(OtlpHttpPushOptions::circuit_breaker_state_patch)),
    ("circuit_breaker_state_patch_batch", Set::Bool(OtlpHttpPushOptions::circuit_breaker_state_patch_batch)),
    (
        "circuit_breaker_state_patch_batch_max_keys",
        Set::Number(|o, v| o.circuit_breaker_state_patch_batch_max_keys(narrow(v))),
    ),
    ("circuit_breaker_state_patch_merge", Set::Bool(OtlpHttpPushOptions::circuit_breaker_state_patch_merge)),
    (
        "circuit_breaker_state_patch_merge_max_keys",
        Set::Number(|o, v| o.circuit_breaker_state_patch_merge_max_keys(narrow(v))),
    ),
    (
        "circuit_breaker_state_patch_retry_max_attempts",
        Set::Number(|o, v| o.circuit_breaker_state_patch_retry_max_attempts(narrow(v))),
    ),
    ("circuit_breaker_state_cas", Set::Bool(OtlpHttpPushOptions::circuit_breaker_state_cas)),
    ("circuit_breaker_state_lease_id", Set::Text(|o, v| o.circuit_breaker_state_lease_id(Some(v)))),
    ("compression_gzip", Set::Bool(OtlpHttpPushOptions::compression_gzip)),
    ("service_name", Set::Text(|o, v| with_resource(o, |r| r.service_name(Some(v))))),
    ("service_instance_id", Set::Text(|o, v| with_resource(o, |r| r.service_instance_id(Some(v))))),
    ("resource_attributes", Set::Texts(|o, v| with_resource(o, |r| r.attributes(v)))),
    ("include_database_path", Set::Bool(|o, v| with_resource(o, |r| r.include_database_path(v)))),
    ("include_database_name", Set::Bool(|o, v| with_resource(o, |r| r.include_database_name(v)))),
];

pub fn push(given: Option<&Bound<'_, PyDict>>) -> Outcome<OtlpHttpPushOptions> {
    read(given, OtlpHttpPushOptions::new(), PUSH)
}

const EXPORTER: Members<ExporterOptions> = &[
    ("interval_ms", Set::Number(ExporterOptions::interval_ms)),
    ("close_timeout_ms", Set::Number(ExporterOptions::close_timeout_ms)),
];

/// How a push goes: `json`, `protobuf` or `grpc`.
pub fn transport(word: &str) -> Outcome<OtlpTransport> {
    match word {
        "json" => Ok(OtlpTransport::HttpJson),
        "protobuf" => Ok(OtlpTransport::HttpProtobuf),
        "grpc" => Ok(OtlpTransport::Grpc),
        word => Err(invalid(format_args!("there is no transport '{word}': give json, protobuf or grpc")).into()),
    }
}

/// Its own options, and those of each push.
pub fn exporter(
    transport: OtlpTransport,
    endpoint: &str,
    given: Option<&Bound<'_, PyDict>>,
) -> Outcome<ExporterOptions> {
    let options = ExporterOptions::new(transport, endpoint);
    let Some(given) = given else { return Ok(options) };
    let (own, of_push) = (PyDict::new(given.py()), PyDict::new(given.py()));
    for (name, value) in given.iter() {
        let is_own = EXPORTER.iter().any(|(known, _)| name.eq(known).unwrap_or(false));
        let to = if is_own { &own } else { &of_push };
        to.set_item(name, value)?;
    }
    Ok(read(Some(&own), options, EXPORTER)?.push(push(Some(&of_push))?))
}

const PROMETHEUS: Members<PrometheusOptions> = &[
    ("auth_enabled", Set::Bool(PrometheusOptions::auth_enabled)),
    (
        "format",
        Set::Word(|o, word| match word {
            "text" => Ok(o.format(PrometheusFormat::Text)),
            "openmetrics" => Ok(o.format(PrometheusFormat::OpenMetrics)),
            _ => Err(invalid(format_args!("there is no format '{word}': give text or openmetrics"))),
        }),
    ),
    (
        "names",
        Set::Word(|o, word| match word {
            "contract" => Ok(o.names(PrometheusNames::Contract)),
            "linted" => Ok(o.names(PrometheusNames::Linted)),
            _ => Err(invalid(format_args!("there are no names '{word}': give contract or linted"))),
        }),
    ),
    (
        "database_label",
        Set::Word(|o, word| match word {
            "file_name" => Ok(o.database(DatabaseLabel::FileName)),
            "path" => Ok(o.database(DatabaseLabel::Path)),
            "none" => Ok(o.database(DatabaseLabel::None)),
            _ => Err(invalid(format_args!("there is no database_label '{word}': give file_name, path or none"))),
        }),
    ),
    ("database_name", Set::Text(|o, v| o.database(DatabaseLabel::Custom(v)))),
];

pub fn prometheus(given: Option<&Bound<'_, PyDict>>) -> Outcome<PrometheusOptions> {
    read(given, PrometheusOptions::new(), PROMETHEUS)
}

/// Options of an open, to be given to more than one.
#[pyclass(frozen, name = "OpenOptions", module = "kitedb")]
#[derive(Clone)]
pub struct PyOpenOptions {
    options: OpenOptions,
    /// As they were given.
    given: String,
}

#[pymethods]
impl PyOpenOptions {
    #[new]
    #[pyo3(signature = (**options))]
    fn new(options: Option<&Bound<'_, PyDict>>) -> Outcome<Self> {
        let mut given = Vec::new();
        for (name, value) in options.iter().flat_map(|options| options.iter()) {
            given.push(format!("{name}={}", value.repr()?));
        }
        Ok(Self { options: read(options, OpenOptions::new(), OPEN)?, given: given.join(", ") })
    }

    fn __repr__(&self) -> String {
        format!("OpenOptions({})", self.given)
    }
}

/// The options of an open: those that are given as one, and over them those that are given by name.
pub fn open(base: Option<&Bound<'_, PyOpenOptions>>, given: Option<&Bound<'_, PyDict>>) -> Outcome<OpenOptions> {
    let base = base.map(|base| base.get().options.clone()).unwrap_or_default();
    read(given, base, OPEN)
}
