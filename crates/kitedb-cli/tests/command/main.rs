//! What the command `kitedb` promises, by subject, in one binary: each test runs the built command as a shell does.

#[cfg(feature = "telemetry")]
mod attacks;
#[cfg(feature = "telemetry")]
mod breaker_store;
mod commands;
mod demo;
mod export;
#[cfg(feature = "telemetry")]
mod faults;
mod import;
mod replication;
#[cfg(feature = "telemetry")]
mod runbook;
mod support;
#[cfg(feature = "telemetry")]
mod telemetry;
