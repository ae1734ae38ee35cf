//! redb: one table from key to id.

use std::path::Path;

use redb::{Database, Durability, TableDefinition};

use super::{Commit, Sync};
use crate::Res;
use crate::harness::graph::key;

const NODES: TableDefinition<'_, &str, u64> = TableDefinition::new("nodes");

/// An open database.
pub struct Redb {
    db: Database,
    sync: Sync,
}

impl Redb {
    /// A new one in `dir`.
    pub fn create(dir: &Path, sync: Sync) -> Res<Self> {
        Ok(Self { db: Database::create(dir.join(format!("redb-{sync}.redb")))?, sync })
    }
}

impl Commit for Redb {
    fn name(&self) -> String {
        format!("redb, {}", if self.sync == Sync::Full { "Immediate" } else { "None" })
    }

    fn commit(&mut self, i: u64) -> Res<()> {
        let mut tx = self.db.begin_write()?;
        tx.set_durability(if self.sync == Sync::Full { Durability::Immediate } else { Durability::None })?;
        tx.open_table(NODES)?.insert(key(i as u32).as_str(), i)?;
        tx.commit()?;
        Ok(())
    }
}
