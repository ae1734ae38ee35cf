//! Where a source is, as its replica's options say.

use crate::db::default_sidecar;
use std::{fmt, path::PathBuf};

/// Where a source is. [`Database::source_at`](crate::Database::source_at) leads there.
///
/// ```
/// use kitedb_core::source::SourcePlace;
///
/// let place = SourcePlace::files("/srv/graph.kitedb");
/// assert_eq!(place.to_string(), "/srv/graph.kitedb");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourcePlace {
    /// On paths of this machine.
    #[non_exhaustive]
    Files {
        /// Its file.
        db: PathBuf,
        /// Where to look for its log first; `None`: beside the file. Where it is, its file says.
        sidecar: Option<PathBuf>,
    },
}

impl SourcePlace {
    /// The database at that path of this machine, with its log where its file says.
    pub fn files(db: impl Into<PathBuf>) -> Self {
        Self::Files { db: db.into(), sidecar: None }
    }

    /// As [`SourcePlace::files`], with the log's folder, where that is not beside the file.
    pub fn files_with_sidecar(db: impl Into<PathBuf>, sidecar: impl Into<PathBuf>) -> Self {
        Self::Files { db: db.into(), sidecar: Some(sidecar.into()) }
    }
}

impl fmt::Display for SourcePlace {
    /// What a person calls it by.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { db, .. } => db.display().fmt(f),
        }
    }
}

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
