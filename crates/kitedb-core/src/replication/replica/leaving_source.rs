//! A replica that becomes something else: its source keeps its log for it no longer, or is named to who can tell it.

use crate::{
    error::{Error, ErrorCode, Result},
    io::{Env, OpenMode},
    log::Control,
    replication::source::{
        Source, SourcePaths,
        local::LocalSource,
        remembered::{registered_as, remembered_in},
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a replica knows of its registration, read before its sidecar goes.
#[derive(Debug)]
pub struct Leaving {
    /// `None`: nothing tells which one it followed.
    source: Option<(LocalSource, SourcePaths)>,
    /// The id under which it is registered.
    pub replica_id: String,
    /// Why that id may be another replica's.
    doubt: Option<Error>,
}

impl Leaving {
    /// That of the replica whose file is `path`, of the id `file_id`, and whose sidecar is `dir`, on the first of the disks; its
    /// source is on the second. `None`: it is registered nowhere, as far as it knows.
    pub fn of((env, source_env): (&Env, &Env), path: &Path, dir: &Path, file_id: [u8; 16]) -> Option<Self> {
        let known = remembered_in(&*env.disk, dir, path, source_env);
        let (registered, doubt) = match Control::open(&*env.disk, dir, OpenMode::Read) {
            Ok(Some(control)) if !control.is_registered() => return None,
            Ok(control) => (control.and_then(|control| control.registration()), None),
            // Nor does it tell whether this is a copy, whose original reports under the same id.
            Err(e) => (None, Some(e)),
        };
        let id = registered.or_else(|| registered_as(&*env.disk, dir)).unwrap_or(file_id);
        let source = known.map(|known| {
            let source = LocalSource::new(source_env.clone(), known.paths.clone(), Arc::new(|_| None));
            (source.remembered_as(known.astray, known.file_id), known.paths)
        });
        let replica_id = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self { source, replica_id, doubt })
    }

    /// The source's file, if it is known.
    pub fn source_db_path(&self) -> Option<PathBuf> {
        self.source.as_ref().map(|(_, paths)| paths.db.clone())
    }

    /// Has the source forget the replica. Returns whether it knew it.
    pub fn leave(&self) -> Result<bool> {
        if let Some(doubt) = &self.doubt {
            return Err(doubt.clone());
        }
        let unknown = || {
            let what =
                "which source it followed is not known any more: what remembered it in its sidecar is damaged or gone";
            Error::new(ErrorCode::SourceUnavailable, what)
        };
        let (source, _) = self.source.as_ref().ok_or_else(unknown)?;
        source.forget(&self.replica_id)
    }
}
