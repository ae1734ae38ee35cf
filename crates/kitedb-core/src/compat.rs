//! Names of kitedb 0.2, so that code which was written for it goes on. Each is another name of something in this crate, which
//! new code uses. They can be imported from the root of the crate, too, as there.

use crate::{Database, HealthCheck, Metrics, OpenOptions, Result};
use std::path::Path;

/// [`OpenOptions`], as 0.2 called it.
pub type SingleFileOpenOptions = OpenOptions;

/// [`Database`], as 0.2 called it.
pub type SingleFileDB = Database;

/// [`Database::open`], as 0.2 called it.
///
/// # Errors
/// As [`Database::open`].
pub fn open_single_file(path: impl AsRef<Path>, options: SingleFileOpenOptions) -> Result<SingleFileDB> {
    Database::open(path, options)
}

/// [`Database::close`], as 0.2 called it.
///
/// # Errors
/// As [`Database::close`].
pub fn close_single_file(db: SingleFileDB) -> Result<()> {
    db.close()
}

/// [`Database::collect_metrics`], as 0.2 called it.
///
/// # Errors
/// As [`Database::collect_metrics`].
pub fn collect_metrics_single_file(db: &SingleFileDB) -> Result<Metrics> {
    db.collect_metrics()
}

/// [`Database::health_check`], as 0.2 called it.
///
/// # Errors
/// As [`Database::health_check`].
pub fn health_check_single_file(db: &SingleFileDB) -> Result<HealthCheck> {
    db.health_check()
}
