//! Telemetry as a whole: what is rendered, pushed, retried and kept back, against real databases and real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod answers;
mod breaker_file;
mod breaker_http;
mod breaker_store;
mod checks;
mod deadlines;
mod delivery;
mod exporter;
mod grpc_answers;
mod pushing;
mod render;
mod secrets;
mod servers;
#[path = "../../../kitedb-core/tests/support_process/mod.rs"]
mod support_process;
mod threads;
mod trust;
