//! SQLite in WAL mode: a table of nodes with a unique key.

use std::path::Path;

use rusqlite::Connection;

use super::{Commit, Sync};
use crate::Res;
use crate::harness::graph::key;

/// An open database.
pub struct Sqlite {
    db: Connection,
    sync: Sync,
}

impl Sqlite {
    /// A new one in `dir`; `Off` and `Normal` are both `synchronous = NORMAL`.
    pub fn create(dir: &Path, sync: Sync) -> Res<Self> {
        let db = Connection::open(dir.join(format!("sqlite-{sync}.db")))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", if sync == Sync::Full { "FULL" } else { "NORMAL" })?;
        db.execute("CREATE TABLE nodes (id INTEGER PRIMARY KEY, key TEXT UNIQUE)", ())?;
        Ok(Self { db, sync })
    }
}

impl Commit for Sqlite {
    fn name(&self) -> String {
        format!("SQLite WAL, {}", self.sync)
    }

    fn commit(&mut self, i: u64) -> Res<()> {
        self.db.prepare_cached("INSERT INTO nodes (key) VALUES (?1)")?.execute([key(i as u32)])?;
        Ok(())
    }
}
