//! Options, by the names that they have in JavaScript. What they default to, and which of them go together, the engine says.

use crate::wire::Reader;
use kitedb::{
    Error, ErrorCode, FollowerOptions, OpenOptions, RepairOptions, ReplicationRole, Result, RetentionWindows, SyncMode,
    Value,
    telemetry::{
        DatabaseLabel, ExporterOptions, OtlpAdaptiveRetryMode, OtlpHttpPushOptions, OtlpHttpTlsOptions, OtlpResource,
        OtlpTransport, PrometheusFormat, PrometheusNames, PrometheusOptions,
    },
};
use std::path::PathBuf;

/// How a member of an options object is set.
enum Set<O> {
    Bool(fn(O, bool) -> O),
    /// Not negative, and whole.
    Number(fn(O, u64) -> O),
    Ratio(fn(O, f64) -> O),
    Text(fn(O, String) -> O),
    Word(fn(O, &str) -> Result<O>),
    /// An object of texts.
    Texts(fn(O, Vec<(String, String)>) -> O),
}

/// The members of an options object, by their names in Rust.
type Members<O> = &'static [(&'static str, Set<O>)];

/// A name of Rust as JavaScript writes it.
pub fn camel(snake: &str) -> String {
    let mut name = String::with_capacity(snake.len());
    for (nth, word) in snake.split('_').enumerate() {
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if nth > 0 => name.push(first.to_ascii_uppercase()),
            Some(first) => name.push(first),
            None => {}
        }
        name.push_str(letters.as_str());
    }
    name
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::InvalidOption, what)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::I64(_) => "a number",
        Value::F64(_) => "a number that is not whole",
        Value::String(_) => "a string",
        _ => "an object",
    }
}

fn read<O>(r: &mut Reader<'_>, mut options: O, members: Members<O>) -> Result<O>
where
    O: Clone,
{
    r.options(|name, value| {
        let Some((snake, set)) = members.iter().find(|(snake, _)| camel(snake) == name) else {
            let known: Vec<_> = members.iter().map(|(snake, _)| camel(snake)).collect();
            return Err(invalid(format_args!("there is no option {name}: give {}", known.join(", "))));
        };
        let expected = |what: &str| invalid(format_args!("{name} is {}: give {what}", kind_of(&value)));
        let given = options.clone();
        options = match (set, &value) {
            (Set::Bool(set), Value::Bool(v)) => set(given, *v),
            (Set::Bool(_), _) => return Err(expected("true or false")),
            (Set::Number(set), Value::I64(v)) => match u64::try_from(*v) {
                Ok(v) => set(given, v),
                Err(_) => return Err(invalid(format_args!("{name} must be non-negative, and is {v}"))),
            },
            (Set::Number(_), _) => return Err(expected("a whole number")),
            (Set::Ratio(set), Value::F64(v)) => set(given, *v),
            (Set::Ratio(set), Value::I64(v)) => set(given, *v as f64),
            (Set::Ratio(_), _) => return Err(expected("a number")),
            (Set::Text(set), Value::String(v)) => set(given, v.clone()),
            (Set::Text(_), _) => return Err(expected("a string")),
            (Set::Word(set), Value::String(v)) => set(given, v)?,
            (Set::Word(_), _) => return Err(expected("one of its words, as a string")),
            (Set::Texts(set), Value::Map(v)) => {
                let text = |(name, value): (&String, &Value)| match value {
                    Value::String(text) => Ok((name.clone(), text.clone())),
                    _ => Err(expected("an object of strings")),
                };
                set(given, v.iter().map(text).collect::<Result<_>>()?)
            }
            (Set::Texts(_), _) => return Err(expected("an object of strings")),
        };
        debug_assert!(!snake.is_empty());
        Ok(())
    })?;
    Ok(options)
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
        _ => Err(invalid(format_args!("there is no syncMode '{word}': give full, normal or off"))),
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
    ("replication_sidecar_path", Set::Text(|o, v| o.replication_sidecar_path(v))),
    ("replication_source_db_path", Set::Text(|o, v| o.replication_source_db_path(v))),
    ("replication_source_sidecar_path", Set::Text(|o, v| o.replication_source_sidecar_path(v))),
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

pub fn open(r: &mut Reader<'_>) -> Result<OpenOptions> {
    read(r, OpenOptions::new(), OPEN)
}

const FOLLOWER: Members<FollowerOptions> = &[
    ("max_frames", Set::Number(|o, v| o.max_frames(usize::try_from(v).unwrap_or(usize::MAX)))),
    ("poll_ms", Set::Number(FollowerOptions::poll_ms)),
    ("backoff_ms", Set::Number(FollowerOptions::backoff_ms)),
    ("backoff_max_ms", Set::Number(FollowerOptions::backoff_max_ms)),
];

pub fn follower(r: &mut Reader<'_>) -> Result<FollowerOptions> {
    read(r, FollowerOptions::new(), FOLLOWER)
}

const WINDOWS: Members<RetentionWindows> = &[
    ("min_entries", Set::Number(RetentionWindows::min_entries)),
    ("min_ms", Set::Number(RetentionWindows::min_ms)),
    ("max_bytes", Set::Number(RetentionWindows::max_bytes)),
    ("max_lag_ms", Set::Number(RetentionWindows::max_lag_ms)),
];

pub fn windows(r: &mut Reader<'_>) -> Result<RetentionWindows> {
    read(r, RetentionWindows::new(), WINDOWS)
}

const REPAIR: Members<RepairOptions> = &[
    ("dry_run", Set::Bool(RepairOptions::dry_run)),
    ("cut_at", Set::Word(|o, token| Ok(o.cut_at(token.parse()?)))),
    ("replication_sidecar_path", Set::Text(|o, v| o.replication_sidecar_path(v))),
];

pub fn repair(r: &mut Reader<'_>) -> Result<RepairOptions> {
    read(r, RepairOptions::new(), REPAIR)
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn path(text: String) -> Option<PathBuf> {
    Some(text.into())
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
        _ => Err(invalid(format_args!("adaptiveRetryMode must be one of: linear, ewma; it is '{word}'"))),
    }
}

const PUSH: Members<OtlpHttpPushOptions> = &[
    ("timeout_ms", Set::Number(OtlpHttpPushOptions::timeout_ms)),
    ("attempt_timeout_ms", Set::Number(OtlpHttpPushOptions::attempt_timeout_ms)),
    ("bearer_token", Set::Text(|o, v| o.bearer_token(Some(v)))),
    ("headers", Set::Texts(OtlpHttpPushOptions::headers)),
    ("https_only", Set::Bool(|o, v| with_tls(o, |tls| tls.https_only(v)))),
    ("ca_cert_pem_path", Set::Text(|o, v| with_tls(o, |tls| tls.ca_cert_pem_path(path(v))))),
    ("client_cert_pem_path", Set::Text(|o, v| with_tls(o, |tls| tls.client_cert_pem_path(path(v))))),
    ("client_key_pem_path", Set::Text(|o, v| with_tls(o, |tls| tls.client_key_pem_path(path(v))))),
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

pub fn push(r: &mut Reader<'_>) -> Result<OtlpHttpPushOptions> {
    read(r, OtlpHttpPushOptions::new(), PUSH)
}

const EXPORTER: Members<ExporterOptions> = &[
    ("interval_ms", Set::Number(ExporterOptions::interval_ms)),
    ("close_timeout_ms", Set::Number(ExporterOptions::close_timeout_ms)),
];

pub fn transport(r: &mut Reader<'_>) -> Result<OtlpTransport> {
    match r.text()? {
        "json" => Ok(OtlpTransport::HttpJson),
        "protobuf" => Ok(OtlpTransport::HttpProtobuf),
        "grpc" => Ok(OtlpTransport::Grpc),
        word => Err(invalid(format_args!("there is no transport '{word}': give json, protobuf or grpc"))),
    }
}

/// Transport, endpoint, its own options, and those of each push.
pub fn exporter(r: &mut Reader<'_>) -> Result<ExporterOptions> {
    let (transport, endpoint) = (transport(r)?, r.text()?);
    let options = read(r, ExporterOptions::new(transport, endpoint), EXPORTER)?;
    Ok(options.push(push(r)?))
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
            _ => Err(invalid(format_args!("there is no databaseLabel '{word}': give file_name, path or none"))),
        }),
    ),
    ("database_name", Set::Text(|o, v| o.database(DatabaseLabel::Custom(v)))),
];

pub fn prometheus(r: &mut Reader<'_>) -> Result<PrometheusOptions> {
    read(r, PrometheusOptions::new(), PROMETHEUS)
}

/// A text of the engine, with the names of options and arguments as JavaScript writes them.
pub fn respelled(text: &str) -> String {
    let arguments = ["max_frames", "max_bytes", "elements_per_commit"];
    let open = OPEN.iter().map(|(name, _)| *name);
    let push = PUSH.iter().map(|(name, _)| *name);
    let known: Vec<&str> = open.chain(push).chain(EXPORTER.iter().map(|(name, _)| *name)).chain(arguments).collect();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, others) = rest.split_at(len);
        if known.contains(&word) {
            out.push_str(&camel(word));
        } else {
            out.push_str(word);
        }
        let next = others.find(is_part).unwrap_or(others.len());
        let (between, others) = others.split_at(next);
        out.push_str(between);
        rest = others;
    }
    out.replace("must be > 0", "must be positive")
}
