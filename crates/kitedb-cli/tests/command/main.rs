//! What the command `kitedb` promises, by subject, in one binary: each test runs the built command as a shell does.
#![allow(clippy::disallowed_methods, reason = "a test of processes waits on the real clock")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

#[cfg(feature = "telemetry")]
mod attacks;
#[cfg(feature = "telemetry")]
mod breaker_store;
mod commands;
mod demo;
mod edits;
mod export;
#[cfg(feature = "telemetry")]
mod faults;
mod import;
mod lists;
mod questions;
mod replication;
#[cfg(all(feature = "telemetry", feature = "http"))]
mod runbook;
#[cfg(feature = "http")]
mod serve;
#[cfg(feature = "http")]
mod serve_polls;
mod support;
#[cfg(feature = "telemetry")]
mod telemetry;
