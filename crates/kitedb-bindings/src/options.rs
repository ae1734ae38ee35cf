//! Options by their names in Rust. What they default to, and which of them go together, the engine says.

use crate::Accent;
use kitedb_core::{
    Error, ErrorCode, FollowerOptions, OpenOptions, RepairOptions, ReplicationRole, Result, RetentionWindows, SyncMode,
};
use kitedb_telemetry::{
    DatabaseLabel, ExporterOptions, OtlpAdaptiveRetryMode, OtlpHttpPushOptions, OtlpHttpTlsOptions, OtlpResource,
    OtlpTransport, PrometheusFormat, PrometheusNames, PrometheusOptions,
};
use std::{fmt, path::PathBuf};

/// A value that was given for an option.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Whole(i128),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// What the language has for places in the file system, if that is not a text.
    Path(PathBuf),
    /// Texts by names.
    Texts(Vec<(String, String)>),
    /// What no option takes.
    Other,
}

/// Why an option was not taken. Names stand in Rust's spelling.
#[derive(Debug)]
pub enum Refused {
    /// There is none of that name, or its value is of another type.
    Type(String),
    /// Its value is out of range.
    Value(String),
    /// The engine, or its telemetry, does not take it.
    Engine(Error),
}

impl From<Error> for Refused {
    fn from(e: Error) -> Self {
        Self::Engine(e)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Type(what) | Refused::Value(what) => invalid(what),
            Refused::Engine(e) => e,
        }
    }
}

/// How an option is set.
enum Set<O> {
    Bool(fn(O, bool) -> O),
    /// Not negative, and whole.
    Whole(fn(O, u64) -> O),
    Number(fn(O, f64) -> O),
    Text(fn(O, String) -> O),
    Path(fn(O, PathBuf) -> O),
    Word(fn(O, &str) -> Result<O>),
    Texts(fn(O, Vec<(String, String)>) -> O),
}

/// The options of a call, by their names.
pub struct Members<O: 'static>(&'static [(&'static str, Set<O>)]);

fn invalid(what: impl fmt::Display) -> Error {
    Error::new(ErrorCode::InvalidOption, what)
}

impl<O> Members<O> {
    /// The names of the options.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }

    /// Sets the option that a language calls `name` to what was given, which it calls `kind` (`a boolean`).
    ///
    /// # Errors
    /// [`Refused`]: there is no such option, or it does not take that.
    pub fn set(&self, options: O, name: &str, given: Given, kind: &str, accent: &Accent) -> Result<O, Refused> {
        let Some((name, set)) = self.0.iter().find(|(rust, _)| (accent.name)(rust) == name) else {
            let known: Vec<_> = self.names().collect();
            return Err(Refused::Type(format!("there is no option '{name}': give {}", known.join(", "))));
        };
        let expected = |what: &str| Err(Refused::Type(format!("{name} is {kind}: give {what}")));
        Ok(match (set, given) {
            (Set::Bool(set), Given::Bool(v)) => set(options, v),
            (Set::Bool(_), _) => return expected(accent.boolean),
            (Set::Whole(set), Given::Whole(v)) => match u64::try_from(v) {
                Ok(v) => set(options, v),
                Err(_) if v < 0 => return Err(Refused::Value(format!("{name} must be non-negative, and is {v}"))),
                Err(_) => return Err(Refused::Value(format!("{name} must be less than 2^64, and is {v}"))),
            },
            (Set::Whole(_), _) => return expected(accent.whole),
            (Set::Number(set), Given::Float(v)) => set(options, v),
            (Set::Number(set), Given::Whole(v)) => set(options, v as f64),
            (Set::Number(_), _) => return expected(accent.number),
            (Set::Text(set), Given::Text(v)) => set(options, v),
            (Set::Text(_), _) => return expected(accent.text),
            (Set::Path(set), Given::Text(v)) => set(options, v.into()),
            (Set::Path(set), Given::Path(v)) => set(options, v),
            (Set::Path(_), _) => return expected(accent.path),
            (Set::Word(set), Given::Text(v)) => set(options, &v)?,
            (Set::Word(_), _) => return expected(accent.text),
            (Set::Texts(set), Given::Texts(v)) => set(options, v),
            (Set::Texts(_), _) => return expected(accent.texts),
        })
    }
}

/// Whether an option, or an argument that an error names, has that name.
pub(crate) fn is_name(word: &str) -> bool {
    const ARGUMENTS: &[&str] = &["max_frames", "max_bytes", "elements_per_commit"];
    let own = OPEN.names().chain(PUSH.names()).chain(EXPORTER.names()).chain(PROMETHEUS.names());
    let others = FOLLOWER.names().chain(WINDOWS.names()).chain(REPAIR.names());
    own.chain(others).chain(ARGUMENTS.iter().copied()).any(|name| name == word)
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

/// An error repeats the word as it was given.
fn role(word: &str) -> Result<ReplicationRole> {
    lower(word).parse().or_else(|_| word.parse())
}

/// Those of an open.
pub const OPEN: Members<OpenOptions> = Members(&[
    ("read_only", Set::Bool(OpenOptions::read_only)),
    ("create_if_missing", Set::Bool(OpenOptions::create_if_missing)),
    ("sync_mode", Set::Word(|o, word| Ok(o.sync_mode(sync_mode(word)?)))),
    ("sync_interval_ms", Set::Whole(OpenOptions::sync_interval_ms)),
    ("checkpoint_log_bytes", Set::Whole(OpenOptions::checkpoint_log_bytes)),
    ("auto_checkpoint", Set::Bool(OpenOptions::auto_checkpoint)),
    ("auto_compaction", Set::Bool(OpenOptions::auto_compaction)),
    ("max_runs", Set::Whole(|o, v| o.max_runs(usize::try_from(v).unwrap_or(usize::MAX)))),
    ("background", Set::Bool(OpenOptions::background)),
    ("max_pin_ms", Set::Whole(OpenOptions::max_pin_ms)),
    ("segment_max_bytes", Set::Whole(OpenOptions::segment_max_bytes)),
    ("accept_hard_links", Set::Bool(OpenOptions::accept_hard_links)),
    ("accept_copy", Set::Bool(OpenOptions::accept_copy)),
    ("require_complete", Set::Bool(OpenOptions::require_complete)),
    ("fence_wait_ms", Set::Whole(OpenOptions::fence_wait_ms)),
    ("replication_role", Set::Word(|o, word| Ok(o.replication_role(role(word)?)))),
    ("replication_sidecar_path", Set::Path(|o, v| o.replication_sidecar_path(v))),
    ("replication_source_db_path", Set::Path(|o, v| o.replication_source_db_path(v))),
    ("replication_source_sidecar_path", Set::Path(|o, v| o.replication_source_sidecar_path(v))),
    ("replication_overwrite", Set::Bool(OpenOptions::replication_overwrite)),
    ("replication_segment_max_bytes", Set::Whole(OpenOptions::replication_segment_max_bytes)),
    ("replication_retention_min_entries", Set::Whole(OpenOptions::replication_retention_min_entries)),
    ("replication_retention_min_ms", Set::Whole(OpenOptions::replication_retention_min_ms)),
    ("replication_retention_max_bytes", Set::Whole(OpenOptions::replication_retention_max_bytes)),
    ("replication_retention_max_lag_ms", Set::Whole(OpenOptions::replication_retention_max_lag_ms)),
    ("replication_retention_interval_ms", Set::Whole(OpenOptions::replication_retention_interval_ms)),
    ("replication_name", Set::Text(|o, v| o.replication_name(v))),
    ("replication_unregistered", Set::Bool(OpenOptions::replication_unregistered)),
]);

/// Those of a follower.
pub const FOLLOWER: Members<FollowerOptions> = Members(&[
    ("max_frames", Set::Whole(|o, v| o.max_frames(usize::try_from(v).unwrap_or(usize::MAX)))),
    ("poll_ms", Set::Whole(FollowerOptions::poll_ms)),
    ("backoff_ms", Set::Whole(FollowerOptions::backoff_ms)),
    ("backoff_max_ms", Set::Whole(FollowerOptions::backoff_max_ms)),
]);

/// How much of a log is kept.
pub const WINDOWS: Members<RetentionWindows> = Members(&[
    ("min_entries", Set::Whole(RetentionWindows::min_entries)),
    ("min_ms", Set::Whole(RetentionWindows::min_ms)),
    ("max_bytes", Set::Whole(RetentionWindows::max_bytes)),
    ("max_lag_ms", Set::Whole(RetentionWindows::max_lag_ms)),
]);

/// Those of a repair.
pub const REPAIR: Members<RepairOptions> = Members(&[
    ("dry_run", Set::Bool(RepairOptions::dry_run)),
    ("cut_at", Set::Word(|o, token| Ok(o.cut_at(token.parse()?)))),
    ("replication_sidecar_path", Set::Path(|o, v| o.replication_sidecar_path(v))),
    ("accept_hard_links", Set::Bool(RepairOptions::accept_hard_links)),
]);

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

/// Those of a push of metrics.
pub const PUSH: Members<OtlpHttpPushOptions> = Members(&[
    ("timeout_ms", Set::Whole(OtlpHttpPushOptions::timeout_ms)),
    ("attempt_timeout_ms", Set::Whole(OtlpHttpPushOptions::attempt_timeout_ms)),
    ("bearer_token", Set::Text(|o, v| o.bearer_token(Some(v)))),
    ("headers", Set::Texts(OtlpHttpPushOptions::headers)),
    ("https_only", Set::Bool(|o, v| with_tls(o, |tls| tls.https_only(v)))),
    ("ca_cert_pem_path", Set::Path(|o, v| with_tls(o, |tls| tls.ca_cert_pem_path(Some(v))))),
    ("client_cert_pem_path", Set::Path(|o, v| with_tls(o, |tls| tls.client_cert_pem_path(Some(v))))),
    ("client_key_pem_path", Set::Path(|o, v| with_tls(o, |tls| tls.client_key_pem_path(Some(v))))),
    ("retry_max_attempts", Set::Whole(|o, v| o.retry_max_attempts(narrow(v)))),
    ("retry_backoff_ms", Set::Whole(OtlpHttpPushOptions::retry_backoff_ms)),
    ("retry_backoff_max_ms", Set::Whole(OtlpHttpPushOptions::retry_backoff_max_ms)),
    ("retry_jitter_ratio", Set::Number(OtlpHttpPushOptions::retry_jitter_ratio)),
    ("adaptive_retry", Set::Bool(OtlpHttpPushOptions::adaptive_retry)),
    ("adaptive_retry_mode", Set::Word(|o, word| Ok(o.adaptive_retry_mode(adaptive_mode(word)?)))),
    ("adaptive_retry_ewma_alpha", Set::Number(OtlpHttpPushOptions::adaptive_retry_ewma_alpha)),
    ("circuit_breaker_failure_threshold", Set::Whole(|o, v| o.circuit_breaker_failure_threshold(narrow(v)))),
    ("circuit_breaker_open_ms", Set::Whole(OtlpHttpPushOptions::circuit_breaker_open_ms)),
    ("circuit_breaker_half_open_probes", Set::Whole(|o, v| o.circuit_breaker_half_open_probes(narrow(v)))),
    ("circuit_breaker_scope_key", Set::Text(|o, v| o.circuit_breaker_scope_key(Some(v)))),
    ("circuit_breaker_state_path", Set::Text(|o, v| o.circuit_breaker_state_path(Some(v)))),
    ("circuit_breaker_state_url", Set::Text(|o, v| o.circuit_breaker_state_url(Some(v)))),
    ("circuit_breaker_state_patch", Set::Bool(OtlpHttpPushOptions::circuit_breaker_state_patch)),
    ("circuit_breaker_state_patch_batch", Set::Bool(OtlpHttpPushOptions::circuit_breaker_state_patch_batch)),
    (
        "circuit_breaker_state_patch_batch_max_keys",
        Set::Whole(|o, v| o.circuit_breaker_state_patch_batch_max_keys(narrow(v))),
    ),
    ("circuit_breaker_state_patch_merge", Set::Bool(OtlpHttpPushOptions::circuit_breaker_state_patch_merge)),
    (
        "circuit_breaker_state_patch_merge_max_keys",
        Set::Whole(|o, v| o.circuit_breaker_state_patch_merge_max_keys(narrow(v))),
    ),
    (
        "circuit_breaker_state_patch_retry_max_attempts",
        Set::Whole(|o, v| o.circuit_breaker_state_patch_retry_max_attempts(narrow(v))),
    ),
    ("circuit_breaker_state_cas", Set::Bool(OtlpHttpPushOptions::circuit_breaker_state_cas)),
    ("circuit_breaker_state_lease_id", Set::Text(|o, v| o.circuit_breaker_state_lease_id(Some(v)))),
    ("compression_gzip", Set::Bool(OtlpHttpPushOptions::compression_gzip)),
    ("service_name", Set::Text(|o, v| with_resource(o, |r| r.service_name(Some(v))))),
    ("service_instance_id", Set::Text(|o, v| with_resource(o, |r| r.service_instance_id(Some(v))))),
    ("resource_attributes", Set::Texts(|o, v| with_resource(o, |r| r.attributes(v)))),
    ("include_database_path", Set::Bool(|o, v| with_resource(o, |r| r.include_database_path(v)))),
    ("include_database_name", Set::Bool(|o, v| with_resource(o, |r| r.include_database_name(v)))),
]);

/// Those of an exporter, beside those of its pushes.
pub const EXPORTER: Members<ExporterOptions> = Members(&[
    ("interval_ms", Set::Whole(ExporterOptions::interval_ms)),
    ("close_timeout_ms", Set::Whole(ExporterOptions::close_timeout_ms)),
]);

/// How a push goes: `json`, `protobuf` or `grpc`.
///
/// # Errors
/// [`ErrorCode::InvalidOption`]: there is no such transport.
pub fn transport(word: &str) -> Result<OtlpTransport> {
    match word {
        "json" => Ok(OtlpTransport::HttpJson),
        "protobuf" => Ok(OtlpTransport::HttpProtobuf),
        "grpc" => Ok(OtlpTransport::Grpc),
        word => Err(invalid(format_args!("there is no transport '{word}': give json, protobuf or grpc"))),
    }
}

/// Those of metrics in the text format of Prometheus.
pub const PROMETHEUS: Members<PrometheusOptions> = Members(&[
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
]);

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Accent = Accent {
        name: str::to_owned,
        boolean: "True or False",
        whole: "an int",
        number: "a number",
        text: "a str",
        path: "a str or a path",
        texts: "a dict of str",
    };

    fn set(name: &str, given: Given) -> Result<OpenOptions, Refused> {
        OPEN.set(OpenOptions::new(), name, given, "a thing", &PLAIN)
    }

    fn refused(name: &str, given: Given) -> String {
        match set(name, given).unwrap_err() {
            Refused::Type(what) => format!("type: {what}"),
            Refused::Value(what) => format!("value: {what}"),
            Refused::Engine(e) => format!("{}: {e}", e.code().as_str()),
        }
    }

    #[test]
    fn what_an_option_does_not_take_is_refused_in_the_words_of_the_language() {
        let text = |text: &str| Given::Text(text.to_owned());
        for (name, given, what) in [
            ("read_only", Given::Whole(1), "type: read_only is a thing: give True or False"),
            ("max_runs", Given::Float(1.0), "type: max_runs is a thing: give an int"),
            ("max_runs", Given::Whole(-1), "value: max_runs must be non-negative, and is -1"),
            ("max_runs", Given::Whole(1 << 64), "value: max_runs must be less than 2^64, and is 18446744073709551616"),
            ("replication_name", Given::Path("r".into()), "type: replication_name is a thing: give a str"),
            (
                "replication_sidecar_path",
                Given::Other,
                "type: replication_sidecar_path is a thing: give a str or a path",
            ),
            ("sync_mode", Given::Bool(true), "type: sync_mode is a thing: give a str"),
        ] {
            assert_eq!(refused(name, given), what);
        }
        assert!(
            refused("readOnly", Given::Bool(true)).starts_with("type: there is no option 'readOnly': give read_only, ")
        );
        assert!(refused("sync_mode", text("fast")).contains("there is no sync_mode 'fast': give full, normal or off"));
        assert!(refused("replication_role", text("leader")).contains("leader"));
        assert!(refused("replication_role", text("PRIMARY")).contains("'PRIMARY': give disabled, primary or replica"));
        for (name, given) in
            [("sync_mode", text("Full")), ("replication_role", text("Primary")), ("max_runs", Given::Whole(4))]
        {
            assert!(set(name, given).is_ok(), "{name}");
        }
    }

    #[test]
    fn no_two_options_of_a_call_have_one_name() {
        fn check<O>(members: &Members<O>) {
            let mut names: Vec<_> = members.names().collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
            assert!(names.iter().all(|name| is_name(name)));
        }
        check(&OPEN);
        check(&FOLLOWER);
        check(&WINDOWS);
        check(&REPAIR);
        check(&PUSH);
        check(&PROMETHEUS);
        // An exporter's are given beside those of its pushes.
        check(&EXPORTER);
        assert!(EXPORTER.names().all(|name| PUSH.names().all(|other| other != name)));
    }
}
