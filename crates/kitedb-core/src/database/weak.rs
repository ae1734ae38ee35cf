//! A handle that does not keep its database open.

use super::{Database, Handle};
use std::{
    fmt,
    sync::{Arc, Weak},
};

/// A [`Database`] that does not keep itself open: for threads that look at it now and then and must not outlive its
/// owner's use of it. Made by [`Database::downgrade`].
///
/// ```
/// # use kitedb_core::{Database, OpenOptions};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
/// let weak = db.downgrade();
/// assert!(weak.upgrade().is_some());
/// drop(db); // the last handle: the database is closed
/// assert!(weak.upgrade().is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WeakDatabase {
    handle: Weak<Handle>,
}

impl fmt::Debug for WeakDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakDatabase").field("open", &self.upgrade()).finish()
    }
}

impl Database {
    /// A handle that does not keep the database open.
    pub fn downgrade(&self) -> WeakDatabase {
        WeakDatabase { handle: Arc::downgrade(&self.handle) }
    }
}

impl WeakDatabase {
    /// The database, if it is open still. `None` for good once it was closed, or every handle to it was dropped.
    ///
    /// What is returned is a handle like any other: if the owner drops his meanwhile, the database is closed when this
    /// one is dropped. Hold it for as short as can be.
    pub fn upgrade(&self) -> Option<Database> {
        let handle = self.handle.upgrade()?;
        let open = !handle.lease.is_closed();
        open.then_some(Database { handle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorCode, OpenOptions};

    fn open(dir: &tempfile::TempDir) -> Database {
        Database::open(dir.path().join("a.kitedb"), OpenOptions::new()).unwrap()
    }

    #[test]
    fn the_last_handle_closes_the_database_whatever_weak_ones_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(&dir);
        db.transaction(|tx| tx.create_node(Some("a"))).unwrap();
        let (weak, clone) = (db.downgrade(), db.clone());
        drop(db);
        assert_eq!(weak.upgrade().unwrap().stats().unwrap().nodes, 1);
        drop(clone);
        assert!(weak.upgrade().is_none());
        let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(files, ["a.kitedb"], "at rest, the database is one file");
    }

    #[test]
    fn a_closed_database_is_not_found_and_another_open_of_the_file_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let (db, other) = (open(&dir), open(&dir));
        let (weak, clone) = (db.downgrade(), db.clone());
        let held = weak.upgrade().unwrap();
        db.close().unwrap();
        assert!(weak.upgrade().is_none());
        assert_eq!(held.stats().unwrap_err().code(), ErrorCode::Closed);
        assert_eq!(clone.stats().unwrap_err().code(), ErrorCode::Closed);
        other.stats().unwrap();
    }

    #[test]
    fn a_handle_that_was_found_keeps_the_database_open_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(&dir);
        let weak = db.downgrade();
        let held = weak.upgrade().unwrap();
        drop(db);
        held.transaction(|tx| tx.create_node(Some("a"))).unwrap();
        drop(held);
        assert!(weak.upgrade().is_none());
    }
}
