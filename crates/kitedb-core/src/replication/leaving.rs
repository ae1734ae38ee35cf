//! A replica that becomes something else: its source keeps its log for it no longer, or is named to who can tell it.

use super::{local::LocalSource, remembered::remembered_in, replica::SourcePaths, source::Source};
use crate::{
    error::Result,
    io::{Env, OpenMode},
    log::Control,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a replica knows of its registration, read before its sidecar goes.
#[derive(Debug)]
pub struct Leaving {
    source: LocalSource,
    paths: SourcePaths,
    /// The id under which it is registered.
    pub replica_id: String,
}

impl Leaving {
    /// That of the replica whose file is `path` and whose sidecar is `dir`. `None`: it is registered nowhere, as far as it
    /// knows.
    pub fn of(env: &Env, path: &Path, dir: &Path) -> Result<Option<Self>> {
        let Some(control) = Control::open(&*env.disk, dir, OpenMode::Read)?.filter(Control::is_registered) else {
            return Ok(None);
        };
        let id = control.registration().unwrap_or(control.identity().file_id);
        Ok(remembered_in(&*env.disk, dir, path, env).map(|known| Self {
            source: LocalSource::new(env.clone(), known.paths.clone(), Arc::new(|_| None))
                .remembered_as(known.astray, known.file_id),
            paths: known.paths,
            replica_id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
        }))
    }

    /// The source's file.
    pub fn source_db_path(&self) -> PathBuf {
        self.paths.db.clone()
    }

    /// Has the source forget the replica. Returns whether it knew it.
    pub fn leave(&self) -> Result<bool> {
        self.source.forget(&self.replica_id)
    }
}
