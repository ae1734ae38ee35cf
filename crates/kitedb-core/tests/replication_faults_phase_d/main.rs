//! Replication, phase D, faults: damaged, cut and missing files, full and failing disks, copies and restored backups.
//! What cannot be right is said, and shown in the status, and ended by a reseed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../support_process/mod.rs"]
mod support_process;
#[path = "../support_replication/mod.rs"]
mod support_replication;

mod copies;
mod disks;
mod own_log;
mod sidecar;
mod source_log;
