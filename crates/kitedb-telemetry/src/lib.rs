//! KiteDB's replication metrics, out of any process: as Prometheus or OpenMetrics text, as OTLP in JSON or protobuf,
//! pulled by whoever asks or pushed to a collector over HTTP or gRPC.
//!
//! | module | owns |
//! |---|---|
//! | `render` | which metrics there are, and their text and binary forms |
//! | `retry` | what an answer means, and how long to wait: pure functions |
//! | `breaker` | the circuit breaker: a pure state machine, and where its state is kept and shared |
//! | `push` | one push: gate, collect, send, wait, send again, record |
//! | `exporter` | pushes on a cadence, from a thread of its own |
//!
//! Nothing here needs an async runtime of the caller's, and everything works inside of one.

mod breaker;
mod clock;
mod endpoint;
mod env;
mod error;
mod exporter;
mod health;
mod options;
mod push;
mod render;
mod retry;
mod setters;
mod settings;

#[cfg(feature = "breaker-store")]
pub mod breaker_store;

pub use env::OtlpEnvironment;
pub use error::{Result, TelemetryError};
pub use exporter::{Exporter, ExporterOptions, ExporterState, start_exporter};
pub use health::{BreakerPhase, DropReason, ExporterHealth, ExporterMetrics};
pub use options::{OtlpAdaptiveRetryMode, OtlpHttpPushOptions, OtlpHttpTlsOptions, OtlpTransport};
pub use push::{OtlpHttpExportResult, OtlpPusher, functions::*};
pub use render::{
    DatabaseLabel, OtlpResource, PrometheusFormat, PrometheusNames, PrometheusOptions,
    collect_replication_metrics_otel_json_single_file, collect_replication_metrics_otel_protobuf_single_file,
    collect_replication_metrics_prometheus_single_file, render_replication_metrics_otel_json,
    render_replication_metrics_otel_json_with_resource, render_replication_metrics_otel_protobuf,
    render_replication_metrics_otel_protobuf_with_resource, render_replication_metrics_prometheus,
    render_replication_metrics_prometheus_of_all, render_replication_metrics_prometheus_with_options,
};

/// The code in the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
