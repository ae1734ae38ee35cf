//! fjall: one keyspace from key to id.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Commit, Sync};
use crate::Res;
use crate::harness::graph::key;

/// An open database.
pub struct Fjall {
    db: Database,
    nodes: Keyspace,
    sync: Sync,
}

impl Fjall {
    /// A new one in `dir`.
    pub fn create(dir: &Path, sync: Sync) -> Res<Self> {
        let db = Database::builder(dir.join(format!("fjall-{sync}"))).open()?;
        let nodes = db.keyspace("nodes", KeyspaceCreateOptions::default)?;
        Ok(Self { db, nodes, sync })
    }
}

impl Commit for Fjall {
    fn name(&self) -> String {
        format!("fjall, {}", if self.sync == Sync::Full { "SyncData" } else { "default" })
    }

    fn commit(&mut self, i: u64) -> Res<()> {
        self.nodes.insert(key(i as u32), i.to_be_bytes())?;
        if self.sync == Sync::Full {
            self.db.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }
}
