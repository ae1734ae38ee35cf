//! Arguments of the commands that bring metrics out. The flags have the names of the push options.

use clap::{Args, Subcommand, ValueEnum};
use kitedb_core::OpenOptions;
use kitedb_telemetry::{
    DatabaseLabel, OtlpAdaptiveRetryMode, OtlpHttpPushOptions, OtlpResource, OtlpTransport, PrometheusNames,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

const METRICS_HELP: &str = "\
The database is opened read-only, beside a process that writes to it: its place in the log, its replicas and their lag,
its fence, its log and digest are those of that moment, whoever made them. What counts the work of a process is known
in that process alone and is left out here: appends and their failures, commit and sync latencies, checkpoints,
compactions, and what became of its own pushes. Let the process itself serve or push them (docs/telemetry.md).";

const PUSH_HELP: &str = "\
What is pushed is what `kitedb metrics` shows: what counts the work of a process is left out, because it is known in
that process alone.

Variables of the OpenTelemetry specification count where no flag says otherwise: OTEL_EXPORTER_OTLP_ENDPOINT,
_PROTOCOL, _HEADERS (the place for secrets), _TIMEOUT, _COMPRESSION, _CERTIFICATE, _CLIENT_CERTIFICATE, _CLIENT_KEY,
_INSECURE and those of OTEL_EXPORTER_OTLP_METRICS_, OTEL_METRIC_EXPORT_TIMEOUT, OTEL_SERVICE_NAME,
OTEL_RESOURCE_ATTRIBUTES, OTEL_SDK_DISABLED. Without --every, one push is made.

Exit codes:
  0  the collector took the metrics (with --every: the last time, and then it was stopped)
  1  it did not, or the operation failed otherwise
  2  the command line is wrong";

const BREAKER_STORE: &str = "\
The URL that it prints is what pushes take as circuit_breaker_state_url; every path is the same store. It speaks plain
HTTP and asks nobody who they are: keep it on a network that you trust, or behind a proxy with TLS.
What it answers is in docs/telemetry.md.";

#[derive(Subcommand)]
pub enum TelemetryCommand {
    /// Print a database's metrics, for Prometheus or as OTLP; works beside the process that writes
    #[command(after_help = METRICS_HELP)]
    Metrics(MetricsArgs),
    /// Push a database's metrics to an OTLP collector; works beside the process that writes
    #[command(after_help = PUSH_HELP)]
    Push(Box<PushArgs>),
    /// Keep breaker states for pushes from several machines: a small HTTP server, until SIGINT or SIGTERM
    #[command(after_help = BREAKER_STORE)]
    BreakerStore(BreakerStoreArgs),
}

impl TelemetryCommand {
    /// The database that it is about, if it is about one.
    pub fn database(&self) -> Option<&Path> {
        match self {
            Self::Metrics(args) => Some(&args.look.database),
            Self::Push(args) => Some(&args.look.database),
            Self::BreakerStore(_) => None,
        }
    }
}

#[derive(Args)]
pub struct BreakerStoreArgs {
    /// Where to listen; port 0 takes one that is free
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4319")]
    pub listen: String,
    /// Keep the states in this file, too, so that they outlive this process [default: in memory only]
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A database, whose metrics are read from its files.
#[derive(Args)]
pub struct LookArgs {
    /// The database file
    #[arg(value_name = "DB", value_parser = super::in_a_file())]
    pub database: PathBuf,
    /// The folder of its replication log [default: DB.replication]
    #[arg(long, value_name = "DIR")]
    pub sidecar: Option<PathBuf>,
    /// Of a replica, the database file that it follows: with it, the lag is known
    #[arg(long, value_name = "DB")]
    pub source_db: Option<PathBuf>,
    /// The folder of the source's log [default: <SOURCE_DB>.replication]
    #[arg(long, value_name = "DIR", requires = "source_db")]
    pub source_sidecar: Option<PathBuf>,
    /// What the database is called: file-name, path, none, or a text of your own
    #[arg(long, value_name = "LABEL", default_value = "file-name", value_parser = label)]
    pub database_label: DatabaseLabel,
}

#[derive(Args)]
pub struct MetricsArgs {
    #[command(flatten)]
    pub look: LookArgs,
    /// The form
    #[arg(long, value_enum, default_value_t = MetricsFormat::Prometheus)]
    pub format: MetricsFormat,
    /// prometheus, openmetrics: the names as they always were, or those that `promtool check metrics` asks for
    /// [default: contract]
    #[arg(long, value_enum)]
    pub names: Option<Names>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MetricsFormat {
    /// Prometheus text, version 0.0.4
    Prometheus,
    /// OpenMetrics 1.0
    Openmetrics,
    /// OTLP in JSON
    OtlpJson,
    /// OTLP in protobuf, binary
    OtlpProtobuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Names {
    Contract,
    Linted,
}

#[derive(Args)]
pub struct PushArgs {
    #[command(flatten)]
    pub look: LookArgs,
    /// The collector, for HTTP with its path [default: OTEL_EXPORTER_OTLP_ENDPOINT, else this machine on OTLP's port]
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// How metrics are sent [default: OTEL_EXPORTER_OTLP_PROTOCOL, else http/protobuf]
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,
    /// Push again and again, with this time between the starts, until SIGINT or SIGTERM: 10s, 500ms, 1m
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub every: Option<Duration>,
    /// Print one JSON document a line
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub options: PushOptionArgs,
}

/// See [`OtlpTransport`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    #[value(name = "http/protobuf")]
    HttpProtobuf,
    #[value(name = "http/json")]
    HttpJson,
    #[value(name = "grpc")]
    Grpc,
}

/// What a push can be told. Each overrides its variable, if there is one; else the default is that of the library.
#[derive(Args)]
#[command(next_help_heading = "Push")]
pub struct PushOptionArgs {
    /// The whole push, with every attempt and wait [default: 5000]
    #[arg(long, value_name = "MS")]
    pub timeout_ms: Option<u64>,
    /// One attempt [default: a share of what is left]
    #[arg(long, value_name = "MS")]
    pub attempt_timeout_ms: Option<u64>,
    /// A file with a token, sent as `authorization: Bearer …`
    #[arg(long, value_name = "FILE")]
    pub bearer_token_file: Option<PathBuf>,
    /// Compress bodies
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub compression_gzip: Option<bool>,
    /// Refuse what is not https
    #[arg(long)]
    pub https_only: bool,
    /// Certificates to trust beside the bundled ones
    #[arg(long, value_name = "FILE")]
    pub ca_cert_pem_path: Option<PathBuf>,
    /// This client's certificate chain
    #[arg(long, value_name = "FILE")]
    pub client_cert_pem_path: Option<PathBuf>,
    /// The key of that certificate
    #[arg(long, value_name = "FILE")]
    pub client_key_pem_path: Option<PathBuf>,
    /// Attempts in all [default: 1]
    #[arg(long, value_name = "N")]
    pub retry_max_attempts: Option<u32>,
    /// The wait after the first attempt; it doubles with each one [default: 100]
    #[arg(long, value_name = "MS")]
    pub retry_backoff_ms: Option<u64>,
    /// No wait is longer; 0: no bound [default: 2000]
    #[arg(long, value_name = "MS")]
    pub retry_backoff_max_ms: Option<u64>,
    /// So much of a wait, 0 to 1, is added at most by chance [default: 0.2]
    #[arg(long, value_name = "RATIO")]
    pub retry_jitter_ratio: Option<f64>,
    /// Let waits grow with failures of earlier pushes, by this rule
    #[arg(long, value_name = "MODE", value_enum)]
    pub adaptive_retry_mode: Option<AdaptiveMode>,
    /// ewma: the weight of the newest push, 0 to 1 [default: 0.3]
    #[arg(long, value_name = "ALPHA", requires = "adaptive_retry_mode")]
    pub adaptive_retry_ewma_alpha: Option<f64>,
    #[command(flatten)]
    pub breaker: BreakerArgs,
}

#[derive(Args)]
#[command(next_help_heading = "Circuit breaker")]
pub struct BreakerArgs {
    /// After so many failed pushes in a row the breaker opens [default: 0, there is none]
    #[arg(long, value_name = "N")]
    pub circuit_breaker_failure_threshold: Option<u32>,
    /// For how long it stays open
    #[arg(long, value_name = "MS")]
    pub circuit_breaker_open_ms: Option<u64>,
    /// So many pushes, one at a time, must succeed then before it closes [default: 1]
    #[arg(long, value_name = "N")]
    pub circuit_breaker_half_open_probes: Option<u32>,
    /// Under which name its state is kept [default: the endpoint]
    #[arg(long, value_name = "KEY")]
    pub circuit_breaker_scope_key: Option<String>,
    /// A file that shares the state with other processes, also with those that are run later
    #[arg(long, value_name = "FILE")]
    pub circuit_breaker_state_path: Option<String>,
    /// An HTTP store that shares the state with other machines, such as `kitedb breaker-store`
    #[arg(long, value_name = "URL")]
    pub circuit_breaker_state_url: Option<String>,
    /// The store is asked for one key at a time
    #[arg(long)]
    pub circuit_breaker_state_patch: bool,
    /// Several keys in one PATCH
    #[arg(long)]
    pub circuit_breaker_state_patch_batch: bool,
    /// So many of them at most [default: 8]
    #[arg(long, value_name = "N")]
    pub circuit_breaker_state_patch_batch_max_keys: Option<u32>,
    /// As a batch, with totals
    #[arg(long)]
    pub circuit_breaker_state_patch_merge: bool,
    /// So many keys at most then [default: 32]
    #[arg(long, value_name = "N")]
    pub circuit_breaker_state_patch_merge_max_keys: Option<u32>,
    /// How often a write is tried that meets another one [default: 1]
    #[arg(long, value_name = "N")]
    pub circuit_breaker_state_patch_retry_max_attempts: Option<u32>,
    /// Conditional writes
    #[arg(long)]
    pub circuit_breaker_state_cas: bool,
    /// Sent with every call of the store
    #[arg(long, value_name = "ID")]
    pub circuit_breaker_state_lease_id: Option<String>,
}

/// See [`OtlpAdaptiveRetryMode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AdaptiveMode {
    /// By how many failed in a row
    Linear,
    /// By a weighted share of those that failed
    Ewma,
}

impl From<Protocol> for OtlpTransport {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::HttpProtobuf => Self::HttpProtobuf,
            Protocol::HttpJson => Self::HttpJson,
            Protocol::Grpc => Self::Grpc,
        }
    }
}

impl From<Names> for PrometheusNames {
    fn from(names: Names) -> Self {
        match names {
            Names::Contract => Self::Contract,
            Names::Linted => Self::Linted,
        }
    }
}

impl LookArgs {
    /// Read-only, in whatever role it has.
    pub fn options(&self) -> OpenOptions {
        let options = self.options_without_source();
        super::replication::following(options, self.source_db.as_ref(), self.source_sidecar.as_ref())
    }

    /// As [`LookArgs::options`]; a replica's source is the one that it remembers.
    pub fn options_without_source(&self) -> OpenOptions {
        let options = OpenOptions::new().create_if_missing(false).read_only(true);
        match &self.sidecar {
            Some(dir) => options.replication_sidecar_path(dir),
            None => options,
        }
    }

    /// Calls the database in `resource` what the label says.
    pub fn name_in(&self, resource: &mut OtlpResource) {
        resource.include_database_name = self.database_label == DatabaseLabel::FileName;
        resource.include_database_path = self.database_label == DatabaseLabel::Path;
        if let DatabaseLabel::Custom(name) = &self.database_label {
            resource.attributes.push(("kitedb.database.name".to_owned(), name.clone()));
        }
    }
}

impl BreakerArgs {
    /// The first option of a breaker that is given, but for the one that makes it.
    pub fn given(&self) -> Option<&'static str> {
        [
            ("--circuit-breaker-open-ms", self.circuit_breaker_open_ms.is_some()),
            ("--circuit-breaker-half-open-probes", self.circuit_breaker_half_open_probes.is_some()),
            ("--circuit-breaker-scope-key", self.circuit_breaker_scope_key.is_some()),
            ("--circuit-breaker-state-path", self.circuit_breaker_state_path.is_some()),
            ("--circuit-breaker-state-url", self.circuit_breaker_state_url.is_some()),
            ("--circuit-breaker-state-patch", self.circuit_breaker_state_patch),
            ("--circuit-breaker-state-patch-batch", self.circuit_breaker_state_patch_batch),
            ("--circuit-breaker-state-patch-batch-max-keys", self.circuit_breaker_state_patch_batch_max_keys.is_some()),
            ("--circuit-breaker-state-patch-merge", self.circuit_breaker_state_patch_merge),
            ("--circuit-breaker-state-patch-merge-max-keys", self.circuit_breaker_state_patch_merge_max_keys.is_some()),
            (
                "--circuit-breaker-state-patch-retry-max-attempts",
                self.circuit_breaker_state_patch_retry_max_attempts.is_some(),
            ),
            ("--circuit-breaker-state-cas", self.circuit_breaker_state_cas),
            ("--circuit-breaker-state-lease-id", self.circuit_breaker_state_lease_id.is_some()),
        ]
        .into_iter()
        .find_map(|(name, given)| given.then_some(name))
    }
}

impl PushOptionArgs {
    /// Puts what was given over `options`. The bearer token is `token`, the content of the file that was named.
    pub fn apply(&self, options: &mut OtlpHttpPushOptions, token: Option<String>) {
        fn set<T: Clone>(option: &mut T, given: &Option<T>) {
            if let Some(given) = given {
                option.clone_from(given);
            }
        }
        fn set_some<T: Clone>(option: &mut Option<T>, given: &Option<T>) {
            if given.is_some() {
                option.clone_from(given);
            }
        }
        set_some(&mut options.bearer_token, &token);
        set(&mut options.timeout_ms, &self.timeout_ms);
        set(&mut options.attempt_timeout_ms, &self.attempt_timeout_ms);
        set(&mut options.compression_gzip, &self.compression_gzip);
        options.tls.https_only |= self.https_only;
        set_some(&mut options.tls.ca_cert_pem_path, &self.ca_cert_pem_path);
        set_some(&mut options.tls.client_cert_pem_path, &self.client_cert_pem_path);
        set_some(&mut options.tls.client_key_pem_path, &self.client_key_pem_path);
        set(&mut options.retry_max_attempts, &self.retry_max_attempts);
        set(&mut options.retry_backoff_ms, &self.retry_backoff_ms);
        set(&mut options.retry_backoff_max_ms, &self.retry_backoff_max_ms);
        set(&mut options.retry_jitter_ratio, &self.retry_jitter_ratio);
        if let Some(mode) = self.adaptive_retry_mode {
            options.adaptive_retry = true;
            options.adaptive_retry_mode = match mode {
                AdaptiveMode::Linear => OtlpAdaptiveRetryMode::Linear,
                AdaptiveMode::Ewma => OtlpAdaptiveRetryMode::Ewma,
            };
        }
        set(&mut options.adaptive_retry_ewma_alpha, &self.adaptive_retry_ewma_alpha);
        let given = &self.breaker;
        set(&mut options.circuit_breaker_failure_threshold, &given.circuit_breaker_failure_threshold);
        set(&mut options.circuit_breaker_open_ms, &given.circuit_breaker_open_ms);
        set(&mut options.circuit_breaker_half_open_probes, &given.circuit_breaker_half_open_probes);
        set_some(&mut options.circuit_breaker_scope_key, &given.circuit_breaker_scope_key);
        set_some(&mut options.circuit_breaker_state_path, &given.circuit_breaker_state_path);
        set_some(&mut options.circuit_breaker_state_url, &given.circuit_breaker_state_url);
        options.circuit_breaker_state_patch |= given.circuit_breaker_state_patch;
        options.circuit_breaker_state_patch_batch |= given.circuit_breaker_state_patch_batch;
        let (option, given_keys) = (&mut options.circuit_breaker_state_patch_batch_max_keys, given);
        set(option, &given_keys.circuit_breaker_state_patch_batch_max_keys);
        options.circuit_breaker_state_patch_merge |= given.circuit_breaker_state_patch_merge;
        let option = &mut options.circuit_breaker_state_patch_merge_max_keys;
        set(option, &given.circuit_breaker_state_patch_merge_max_keys);
        let option = &mut options.circuit_breaker_state_patch_retry_max_attempts;
        set(option, &given.circuit_breaker_state_patch_retry_max_attempts);
        options.circuit_breaker_state_cas |= given.circuit_breaker_state_cas;
        set_some(&mut options.circuit_breaker_state_lease_id, &given.circuit_breaker_state_lease_id);
    }
}

fn label(text: &str) -> Result<DatabaseLabel, String> {
    Ok(match text {
        "file-name" => DatabaseLabel::FileName,
        "path" => DatabaseLabel::Path,
        "none" => DatabaseLabel::None,
        "" => return Err("is empty; none leaves the label out".to_owned()),
        own => DatabaseLabel::Custom(own.to_owned()),
    })
}

/// A number with a unit: without one, ten may be meant as seconds, and a collector be pressed on a thousand times as often.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(ms)) {
        Some(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err("give a number above 0 with a unit: 500ms, 10s, 1m, 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        push: PushArgs,
    }

    fn options(args: &[&str], mut options: OtlpHttpPushOptions) -> OtlpHttpPushOptions {
        let line = Line::try_parse_from([&["push", "db"], args].concat()).unwrap();
        line.push.options.apply(&mut options, None);
        options
    }

    #[test]
    fn times_have_a_unit() {
        for (text, want) in [
            ("10", None),
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            ("1m", Some(60_000)),
            ("2h", Some(7_200_000)),
            ("0s", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("1d", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(time(text).ok(), want.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn without_flags_nothing_changes() {
        let base = OtlpHttpPushOptions::new().timeout_ms(77).compression_gzip(true);
        assert_eq!(options(&[], base.clone()), base);
        assert!(!options(&["--compression-gzip=false"], base.clone()).compression_gzip);
        assert_eq!(options(&["--timeout-ms", "5"], base).timeout_ms, 5);
    }

    #[test]
    fn every_flag_reaches_its_option() {
        let got = options(
            &[
                "--timeout-ms=1",
                "--attempt-timeout-ms=2",
                "--compression-gzip",
                "--https-only",
                "--ca-cert-pem-path=ca",
                "--client-cert-pem-path=cert",
                "--client-key-pem-path=key",
                "--retry-max-attempts=3",
                "--retry-backoff-ms=4",
                "--retry-backoff-max-ms=5",
                "--retry-jitter-ratio=0.5",
                "--adaptive-retry-mode=ewma",
                "--adaptive-retry-ewma-alpha=0.6",
                "--circuit-breaker-failure-threshold=7",
                "--circuit-breaker-open-ms=8",
                "--circuit-breaker-half-open-probes=9",
                "--circuit-breaker-scope-key=scope",
                "--circuit-breaker-state-path=path",
                "--circuit-breaker-state-url=url",
                "--circuit-breaker-state-patch",
                "--circuit-breaker-state-patch-batch",
                "--circuit-breaker-state-patch-batch-max-keys=10",
                "--circuit-breaker-state-patch-merge",
                "--circuit-breaker-state-patch-merge-max-keys=11",
                "--circuit-breaker-state-patch-retry-max-attempts=12",
                "--circuit-breaker-state-cas",
                "--circuit-breaker-state-lease-id=lease",
            ],
            OtlpHttpPushOptions::default(),
        );
        let text = |text: &str| Some(text.to_owned());
        let mut want = OtlpHttpPushOptions::new()
            .timeout_ms(1)
            .attempt_timeout_ms(2)
            .compression_gzip(true)
            .retry_max_attempts(3)
            .retry_backoff_ms(4)
            .retry_backoff_max_ms(5)
            .retry_jitter_ratio(0.5)
            .adaptive_retry(true)
            .adaptive_retry_mode(OtlpAdaptiveRetryMode::Ewma)
            .adaptive_retry_ewma_alpha(0.6)
            .circuit_breaker_failure_threshold(7)
            .circuit_breaker_open_ms(8)
            .circuit_breaker_half_open_probes(9)
            .circuit_breaker_scope_key(text("scope"))
            .circuit_breaker_state_path(text("path"))
            .circuit_breaker_state_url(text("url"))
            .circuit_breaker_state_patch(true)
            .circuit_breaker_state_patch_batch(true)
            .circuit_breaker_state_patch_batch_max_keys(10)
            .circuit_breaker_state_patch_merge(true)
            .circuit_breaker_state_patch_merge_max_keys(11)
            .circuit_breaker_state_patch_retry_max_attempts(12)
            .circuit_breaker_state_cas(true)
            .circuit_breaker_state_lease_id(text("lease"));
        want.tls.https_only = true;
        want.tls.ca_cert_pem_path = Some("ca".into());
        want.tls.client_cert_pem_path = Some("cert".into());
        want.tls.client_key_pem_path = Some("key".into());
        assert_eq!(got, want);
    }

    #[test]
    fn the_label_names_the_database_in_otlp_as_in_prometheus() {
        for (text, name, path, own) in [
            ("file-name", true, false, None),
            ("path", false, true, None),
            ("none", false, false, None),
            ("orders", false, false, Some("orders")),
        ] {
            let line = Line::try_parse_from(["push", "db", "--database-label", text]).unwrap();
            let mut resource = OtlpResource::default();
            line.push.look.name_in(&mut resource);
            assert_eq!((resource.include_database_name, resource.include_database_path), (name, path), "{text}");
            assert_eq!(resource.attributes.first().map(|(_, value)| value.as_str()), own, "{text}");
        }
    }
}
