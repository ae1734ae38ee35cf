//! Calls that the tests need and the engine does not have yet. Each is one line to fill in.

use kitedb_core::{Error, ErrorCode, OpenOptions, Result};
use std::path::Path;

fn absent(what: &str) -> Error {
    Error::new(ErrorCode::Internal, format_args!("{what} does not exist yet"))
}

/// Makes an independent database of any: a new file id and history.
pub fn detach(_path: &Path) -> Result<()> {
    Err(absent("Database::detach"))
}

/// The operator's word that a copied or restored primary goes on in place of its original.
pub fn confirm_moved(_path: &Path) -> Result<()> {
    Err(absent("Database::confirm_moved"))
}

/// Bootstrap and reseed may replace what is no replica.
pub fn overwriting(_options: OpenOptions) -> Result<OpenOptions> {
    Err(absent("OpenOptions::replication_overwrite"))
}

/// A file with more than one hard link may be written to.
pub fn accepting_hard_links(_options: OpenOptions) -> Result<OpenOptions> {
    Err(absent("OpenOptions::accept_hard_links"))
}
