//! The store against a naive model, on the simulated disk.

mod contradictions;
mod crashes;
mod damage;
mod image;
mod import;
mod model;
mod reading;
mod space;

use super::{
    keys::{KeyOwner, KeySlots},
    merge::Nodes,
    merge_runs::merge_with,
    meta::{BLOCK, Part, SectionMeta},
    row::RowEntry,
    run_bounds::RunBounds,
    table_kind::TableKind,
    *,
};
use crate::{
    error::{ErrorCode, Result},
    io::{
        Env,
        sim::{SimDisk, SimHost},
    },
};
use std::{path::Path, sync::Arc};

const PATH: &str = "/db.kitedb";

fn env(disk: &SimDisk) -> Env {
    disk.env(&SimHost::new(1))
}

pub(super) fn create(disk: &SimDisk) -> Store {
    Store::create(&env(disk), Path::new(PATH), [7; 16], Manifest::default(), link::Part::Unsaid).unwrap()
}

fn open(disk: &SimDisk, writable: bool) -> Result<Store> {
    Store::open(&env(disk), Path::new(PATH), writable)
}

fn publish(store: &Store, runs: Vec<Arc<Run>>) -> Result<()> {
    let manifest = store.manifest();
    store.publish(Manifest { next_node_id: manifest.next_node_id + 1, ..(*manifest).clone() }, runs)
}
