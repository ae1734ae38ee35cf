//! What attackers and tired operators do: other names, forgotten options, copied folders, swapped arguments, planted
//! links, flipped bits. `docs/attacks.md` is the list of them. A test that is ignored shows a fault that is not mended
//! yet; its reason says which.

use crate::{support, support_process, support_replication};

mod coming;
mod sources;
mod stage;

mod begun_logs;
mod bounds;
mod copies;
mod current;
mod damage;
mod destruction;
mod disks;
mod errors;
mod exchanges;
mod fences;
mod followers;
mod full_disks;
mod identity;
mod idle;
mod interface;
mod lost_logs;
mod many;
mod modes;
mod names;
mod own_sources;
mod panics;
mod parallel_edges;
mod pins;
mod promotions;
mod readers;
mod recoveries;
mod references;
mod repair;
mod replay;
mod reseeds;
mod roles;
mod stale_ids;
mod steady_writers;
mod submitted;
mod tokens;
mod told;
mod unnamed_logs;
mod values;
mod watched;
