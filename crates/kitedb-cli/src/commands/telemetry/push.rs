//! `kitedb push`: the metrics of a database to an OTLP collector, once or on a cadence.

use super::metrics::{all_is_told, identify, look};
use crate::{
    cli::PushArgs,
    commands::{signals, write_json},
    failure::{Failure, Outcome},
    render::{number::counted, style::clean},
};
use kitedb_telemetry::{
    ExporterHealth, OtlpEnvironment, OtlpHttpExportResult, OtlpHttpPushOptions, OtlpPusher, OtlpTransport,
    TelemetryError,
};
use serde_json::json;
use std::{
    fs,
    io::Write,
    sync::mpsc::RecvTimeoutError,
    time::{Duration, Instant},
};

pub fn run(args: &PushArgs, out: &mut dyn Write) -> Outcome {
    let environment = OtlpEnvironment::read()?;
    if environment.sdk_disabled {
        return disabled(args, out);
    }
    let transport = args.protocol.map(OtlpTransport::from).or(environment.transport);
    let transport = transport.unwrap_or(OtlpTransport::HttpProtobuf);
    let endpoint = args.endpoint.clone().unwrap_or_else(|| environment.endpoint(transport));
    let pusher = OtlpPusher::new(transport, &endpoint, &options(args, &environment)?)?;
    match args.every {
        None => {
            let (delivery, outcome) = push(args, &pusher, out);
            tell(args, delivery.as_ref(), out)?;
            outcome
        }
        Some(every) => again_and_again(args, &pusher, every, out),
    }
}

/// What the variables and then the flags say.
fn options(args: &PushArgs, environment: &OtlpEnvironment) -> Outcome<OtlpHttpPushOptions> {
    let token = args.options.bearer_token_file.as_ref().map(|path| {
        let token = fs::read_to_string(path).map_err(|e| Failure::reading(path, &e))?;
        match token.trim() {
            "" => Err(Failure::new(format_args!("{} holds no token", path.display()))),
            token => Ok(token.to_owned()),
        }
    });
    let mut options = environment.options.clone();
    args.options.apply(&mut options, token.transpose()?);
    identify(&args.look, &mut options.resource);
    if let Some(option) = args.options.breaker.given().filter(|_| options.circuit_breaker_failure_threshold == 0) {
        let what = format_args!("{option} is of the circuit breaker, and there is none");
        return Err(Failure::usage(what).hint("--circuit-breaker-failure-threshold N makes one"));
    }
    Ok(options)
}

fn disabled(args: &PushArgs, out: &mut dyn Write) -> Outcome {
    if args.json {
        return write_json(out, &json!({ "delivered": false, "disabled": true }));
    }
    Ok(writeln!(out, "nothing is pushed: OTEL_SDK_DISABLED is set")?)
}

/// What the collector took.
struct Delivery {
    points: u64,
    shown: String,
    result: OtlpHttpExportResult,
}

/// Looks at the database anew, because a read-only open shows one moment, and pushes what it sees. Returns what the collector
/// took, if it took it, and what is to be said all the same.
fn push(args: &PushArgs, pusher: &OtlpPusher, out: &mut dyn Write) -> (Option<Delivery>, Outcome) {
    let database = match look(&args.look) {
        Ok(database) => database,
        Err(failure) => return (None, Err(failure)),
    };
    let health = ExporterHealth::of(&database.path().to_string_lossy());
    let before = health.read().exported_points;
    let (delivery, pushed) = match pusher.push(&database) {
        Ok(result) => {
            let points = health.read().exported_points.saturating_sub(before);
            (Some(Delivery { points, shown: pusher.shown().to_owned(), result }), Ok(()))
        }
        Err(error) => (None, Err(error.into())),
    };
    (delivery, all_is_told(&database, pushed, out))
}

fn tell(args: &PushArgs, delivery: Option<&Delivery>, out: &mut dyn Write) -> Outcome {
    let Some(Delivery { points, shown, result }) = delivery else { return Ok(()) };
    let OtlpHttpExportResult { status_code, rejected_data_points, partial_error, attempts, .. } = result;
    if args.json {
        return write_json(
            out,
            &json!({
                "delivered": true,
                "endpoint": shown,
                "data_points": points,
                "rejected_data_points": rejected_data_points,
                "partial_error": partial_error,
                "status_code": status_code,
                "attempts": attempts,
            }),
        );
    }
    let tried = if *attempts > 1 { format!(", at attempt {attempts}") } else { String::new() };
    let points = counted(*points, "data point", "data points");
    writeln!(out, "{} took {points}{tried}", clean(shown))?;
    if *rejected_data_points > 0 {
        let refused = counted(*rejected_data_points, "data point", "data points");
        writeln!(out, "  it refused {refused}: {}", clean(partial_error.as_deref().unwrap_or("it does not say why")))?;
    } else if let Some(warning) = partial_error {
        writeln!(out, "  it says: {}", clean(warning))?;
    }
    Ok(())
}

/// Pushes at each moment of the cadence until a signal comes, and says so whenever the outcome is another one.
fn again_and_again(args: &PushArgs, pusher: &OtlpPusher, every: Duration, out: &mut dyn Write) -> Outcome {
    let stopped = signals()?;
    // A path that is wrong is not to be found out again and again.
    drop(look(&args.look)?);
    let mut due = Instant::now();
    let (mut delivered, mut failed) = (0u64, 0u64);
    // What was said last: that all is well, or what is not.
    let mut told: Option<Option<String>> = None;
    // How it ends, by the last outcome.
    let mut exit = 0;
    loop {
        let (delivery, outcome) = push(args, pusher, out);
        match &delivery {
            Some(_) => delivered += 1,
            None => failed += 1,
        }
        let now = outcome.as_ref().err().map(|failure| failure.message().to_owned());
        if told.as_ref() != Some(&now) {
            tell(args, delivery.as_ref(), out)?;
            out.flush()?;
            exit = outcome.err().map_or(0, |failure| failure.report());
            told = Some(now);
        }
        due = next(due, every, Instant::now());
        match stopped.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if args.json {
        write_json(out, &json!({ "pushes_delivered": delivered, "pushes_failed": failed }))?;
    } else {
        writeln!(out, "{} delivered, {failed} failed", counted(delivered, "push", "pushes"))?;
    }
    out.flush()?;
    if exit == 0 { Ok(()) } else { Err(Failure::shown(exit)) }
}

/// The first moment of the cadence after `now`. What was missed is not made up for.
fn next(due: Instant, every: Duration, now: Instant) -> Instant {
    let passed = now.saturating_duration_since(due).as_nanos() / every.as_nanos().max(1);
    let ahead = u64::try_from(every.as_nanos().saturating_mul(passed + 1)).unwrap_or(u64::MAX);
    due.checked_add(Duration::from_nanos(ahead)).unwrap_or(now)
}

impl From<TelemetryError> for Failure {
    fn from(error: TelemetryError) -> Self {
        let hint = match error {
            TelemetryError::Database(error) => return error.into(),
            TelemetryError::InvalidOption(_) => return Self::usage(error),
            TelemetryError::Rejected { status: 401 | 403, .. } => {
                "it asks for authorization: --bearer-token-file, or OTEL_EXPORTER_OTLP_HEADERS"
            }
            TelemetryError::Rejected { status: 404 | 405, .. } => {
                "over HTTP the endpoint is used as it is: most collectors want http://HOST:4318/v1/metrics"
            }
            TelemetryError::CircuitOpen { .. } | TelemetryError::ProbeInFlight { .. } => {
                "the collector failed before; the breaker lets pushes pass again by itself"
            }
            TelemetryError::Transport { retryable: false, .. } => {
                "if a private authority signed the collector's certificate: name its own with --ca-cert-pem-path"
            }
            TelemetryError::Transport { .. } | TelemetryError::DeadlineExceeded { .. } => {
                "check --endpoint and --protocol: collectors listen on 4318 for HTTP, on 4317 for gRPC"
            }
            _ => return Self::new(error),
        };
        Self::new(error).hint(hint)
    }
}
