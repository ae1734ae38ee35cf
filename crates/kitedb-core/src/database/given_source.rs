//! The source that a caller names to an open, or to a replica that follows another one: whether it can be followed from here.

use crate::{
    db::{OpenOptions, ReplicationRole, default_sidecar, is_absent, require_no_log_left},
    error::{Error, ErrorCode, Result},
    io::{Env, OpenMode},
    log::Control,
    replication::{Source, SourcePaths, not_configured, remembered_in},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a replica is told to follow.
pub(super) enum Given {
    /// A source at a place; `None`: the one that it followed last.
    Place(Option<GivenSource>),
    /// A source of the caller's own.
    Own(Arc<dyn Source>),
}

/// A source that a caller named.
pub(super) struct GivenSource {
    pub paths: SourcePaths,
    /// As it was said.
    pub named: PathBuf,
    /// Whether there is no such file now.
    pub missing: bool,
}

pub(super) fn no_such_source(db: &Path) -> Error {
    Error::new(ErrorCode::InvalidOption, format_args!("source db path does not exist: {}", db.display())).with_path(db)
}

/// The source that the options of an open name, if they name one and ask for a replica. A file that is to be made for one
/// must be able to follow it.
pub(super) fn given_source(
    env: &Env,
    source_env: &Env,
    path: &Path,
    options: &OpenOptions,
) -> Result<Option<GivenSource>> {
    let asked = options.role == Some(ReplicationRole::Replica);
    if options.role.is_some() && !asked {
        return Ok(None);
    }
    let is_new = is_absent(env, path);
    let own = options.sidecar_path.clone().unwrap_or_else(|| default_sidecar(path));
    let own = env.disk.resolve(&own).unwrap_or(own);
    let Some(db) = options.source_db_path.clone() else {
        if asked && is_new {
            // Where its log is left, that is what is so.
            return require_no_log_left(env, path).and_then(|()| Err(not_configured()));
        }
        let unknown = || is_log_of_replica(env, &own) && remembered_in(&*env.disk, &own, path, source_env).is_none();
        return if asked && unknown() { Err(not_configured()) } else { Ok(None) };
    };
    let paths = SourcePaths { db, sidecar: options.source_sidecar_path.clone() };
    let given = checked_source(env, source_env, path, &own, paths)?;
    // Before anything is mended for it. Of a replica whose log lies elsewhere that is seen once it is open.
    let never_was = || {
        let known = || remembered_in(&*env.disk, &own, path, source_env);
        is_log_of_replica(env, &own) && known().is_none_or(|known| known.paths.db != given.paths.db)
    };
    if given.missing && (is_new || never_was()) { Err(no_such_source(&given.paths.db)) } else { Ok(Some(given)) }
}

/// Whether the log of a replica is in `dir`, as far as its control file can be read.
fn is_log_of_replica(env: &Env, dir: &Path) -> bool {
    Control::open(&*env.disk, dir, OpenMode::Read).is_ok_and(|found| found.is_some_and(|control| control.is_replica()))
}

/// The source at `paths`, resolved, if the database at `path` with the sidecar `own` can follow it.
pub(super) fn checked_source(
    env: &Env,
    source_env: &Env,
    path: &Path,
    own: &Path,
    paths: SourcePaths,
) -> Result<GivenSource> {
    let invalid = |what: std::fmt::Arguments<'_>| Error::new(ErrorCode::InvalidOption, what);
    let SourcePaths { db, sidecar } = paths;
    let shown = db.display();
    if source_env.disk.is_dir(&db) {
        return Err(invalid(format_args!("source db path must be a file: {shown} is a folder")));
    }
    let not_found = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
    let resolve = |path: &Path| match source_env.disk.resolve(path) {
        // Its folder is away: then nothing leads there that could be followed now.
        Err(e) if not_found(&e) => std::path::absolute(path),
        resolved => resolved,
    };
    let resolved = resolve(&db).map_err(|e| Error::io("look at", &db, e))?;
    let missing = match source_env.disk.identity(&resolved) {
        Err(e) if not_found(&e) => true,
        found => {
            let found = found.map_err(|e| Error::io("look at", &db, e))?;
            if env.disk.identity(path).is_ok_and(|own| own == found) {
                return Err(invalid(format_args!("source db path must differ from the replica's own: {shown}")));
            }
            false
        }
    };
    let sidecar = sidecar.map(|dir| resolve(&dir).map_err(|e| Error::io("look at", &dir, e))).transpose()?;
    let named = db.clone();
    let paths = SourcePaths { db: resolved, sidecar };
    let dir = paths.sidecar_shown();
    let shown = dir.display();
    if let Ok(found) = source_env.disk.identity(&dir) {
        if !source_env.disk.is_dir(&dir) {
            return Err(invalid(format_args!("source sidecar path must be a directory: {shown} is a file")));
        }
        if env.disk.identity(own).is_ok_and(|own| own == found) {
            return Err(invalid(format_args!("source sidecar path must differ from the replica's own: {shown}")));
        }
    }
    if dir == own && Arc::ptr_eq(&env.disk, &source_env.disk) {
        return Err(invalid(format_args!("source sidecar path must differ from the replica's own: {shown}")));
    }
    Ok(GivenSource { paths, named, missing })
}
