//! What goes wrong at a shell: another name, a forgotten option, swapped arguments, a restored copy, a folder exchanged
//! under a process, an account without permission. `docs/attacks.md` is the list of them.
#![allow(clippy::disallowed_methods, reason = "a test of processes waits on the real clock")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use crate::support;

mod at_rest;
mod bootstraps;
mod chains;
mod damage;
mod destruction;
mod failing;
mod fences;
mod folders;
mod followers;
mod impostors;
mod interrupted;
mod leads;
mod names;
mod permissions;
mod places;
mod registrations;
mod repairs;
mod reseeds;
mod stage;
mod told;
mod unused_options;
