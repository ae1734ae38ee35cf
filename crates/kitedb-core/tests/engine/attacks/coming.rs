//! What an operator says of a file, and options that are asked for by name.

use kitedb_core::{Database, ErrorCode, OpenOptions, Result, io::Env};
use std::path::Path;

/// Makes an independent database of any: a new file id and history.
pub fn detach(path: &Path) -> Result<()> {
    Database::detach(path).map(drop)
}

/// The operator's word that a copied or restored primary goes on in place of its original.
pub fn confirm_moved(path: &Path) -> Result<()> {
    Database::confirm_moved(path).map(drop)
}

/// The same of a copy whose original goes on: that takes force.
pub fn confirm_moved_beside_its_original(path: &Path) {
    assert_eq!(Database::confirm_moved(path).unwrap_err().code(), ErrorCode::StalePrimary);
    Database::confirm_moved_in(Env::real(), path, OpenOptions::new().replication_overwrite(true)).unwrap();
}

/// Bootstrap and reseed may replace what is no replica.
pub fn overwriting(options: OpenOptions) -> Result<OpenOptions> {
    Ok(options.replication_overwrite(true))
}

/// A file with more than one hard link may be written to.
pub fn accepting_hard_links(options: OpenOptions) -> Result<OpenOptions> {
    Ok(options.accept_hard_links(true))
}
