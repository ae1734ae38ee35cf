//! A cluster on simulated machines, driven by a seed. `world` is what there is, `steps` what happens, `transactions` who
//! writes, `faults` what goes wrong, `probes` what an operator does wrong, `fired` how often that came, `checks` what must
//! hold; `ledger` knows every commit that ever was, `network` leads from a node to the disks of the others.

mod checks;
mod faults;
mod fired;
mod ledger;
mod network;
mod probes;
mod steps;
mod transactions;
mod world;

pub use fired::{report, too_rare};
pub use world::World;
