//! What the engine promises, by subject, in one binary: one is linked instead of twenty. The targets that the runbook names
//! (`replication_phase_a` to `replication_phase_d`, `replication_faults_phase_d`) stand beside it, and `schedules`, which is
//! built with the locks of a scheduler.
//!
//! `cargo test -p kitedb-core --test engine attacks::` runs the tests of one subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../support_process/mod.rs"]
mod support_process;
#[path = "../support_replication/mod.rs"]
mod support_replication;

mod acid;
mod attacks;
mod comparison;
mod crash_sweep;
mod damage;
mod design;
mod feature_levels;
mod files;
mod full_disk;
mod golden;
mod in_memory;
mod io_errors;
mod kill_nine;
mod metrics;
mod properties;
mod query;
mod replay;
mod replication_kill_nine;
mod replication_look;
mod replication_simulator;
mod simulator;
mod snapshots;
mod submitted;
mod transactions;
