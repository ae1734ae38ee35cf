//! Replication, phase C: replicas are bootstrapped from snapshots and catch up by frames.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../support_process/mod.rs"]
mod support_process;
#[path = "../support_replication/mod.rs"]
mod support_replication;

mod bootstrap;
mod bootstrap_crashes;
mod catch_up;
mod chain;
mod follower;
mod online;
mod processes;
mod roles;
mod waiting;
