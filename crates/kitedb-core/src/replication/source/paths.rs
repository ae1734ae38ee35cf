//! Where a source is, as its replica's options say.

use crate::db::default_sidecar;
use std::path::PathBuf;

/// Where a source is, as the options say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePaths {
    /// Its file.
    pub db: PathBuf,
    /// Where to look for its log first. Where it is, its file says.
    pub sidecar: Option<PathBuf>,
}

impl SourcePaths {
    /// Where its log is if its file says nothing else.
    pub fn sidecar_shown(&self) -> PathBuf {
        self.sidecar.clone().unwrap_or_else(|| default_sidecar(&self.db))
    }
}
