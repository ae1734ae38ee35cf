//! Replication, phase A: tokens, cursors, the segments of a log, and the pages and snapshots that are made of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../support_process/mod.rs"]
mod support_process;
#[path = "../support_replication/mod.rs"]
mod support_replication;

mod damage;
mod lookalikes;
mod naive;
mod names;
mod pages;
mod segments;
mod snapshots;
