//! A cluster on simulated machines, driven by a seed. `world` is what there is, `steps` what happens, `faults` what
//! goes wrong, `checks` what must hold; `ledger` knows every commit that ever was, `network` leads from a node to the
//! disks of the others.

mod checks;
mod faults;
mod ledger;
mod network;
mod steps;
mod world;

pub use world::World;
