//! Primaries and replicas as processes of their own, killed with SIGKILL and stopped with SIGSTOP at random moments,
//! again and again on the same files. What was acknowledged is on the primary after a reopen and on the replica after
//! a catch-up, in every sync mode; whatever happens to a promotion, exactly one node leads after it.
//!
//! `KITEDB_ROUNDS` asks for more rounds, `KITEDB_SEED` for a certain choice of moments; a failure prints the command.

use crate::{support_process, support_replication::folder};

mod actor;
mod bootstraps;
mod cast;
mod kills;
mod ledger;
mod promotions;
mod stage;
mod stalls;
