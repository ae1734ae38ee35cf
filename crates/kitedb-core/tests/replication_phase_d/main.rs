//! Replication, phase D: promotion, fencing, repointing, retention, reseed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../support_process/mod.rs"]
mod support_process;
#[path = "../support_replication/mod.rs"]
mod support_replication;

mod cut_short;
mod fences;
mod holds;
mod in_place;
mod old_primary;
mod outcomes;
mod processes;
mod promotion_order;
mod races;
mod registrations;
mod reseed;
mod retention;
mod takeover;
