//! What goes wrong at a shell: another name, a forgotten option, swapped arguments, a restored copy, a folder exchanged
//! under a process, an account without permission. `docs/attacks.md` is the list of them.

use crate::support;

mod advice;
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
mod inside_logs;
mod interrupted;
mod leads;
mod leads_given_up;
mod names;
mod overwritten;
mod permissions;
mod places;
mod registrations;
mod repairs;
mod reseeds;
mod roles;
mod silent_pipes;
mod stage;
mod told;
mod two_leaders;
mod unused_options;
