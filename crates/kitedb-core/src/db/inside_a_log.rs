//! The folder of a log is that log's alone: who moves it, removes it or puts a backup in its place moves what else lies there.

use super::place::{REPLICAS, folder_of};
use crate::{
    error::{Error, ErrorCode, Result},
    io::Env,
    log::{holds_control, segment_files},
    shell::{SIDECAR, WAL},
};
use std::path::Path;

/// Fails if the file or folder at the resolved `path` would lie in the folder of a log, or in a folder within it. Makes nothing.
pub(crate) fn require_outside_of_logs(env: &Env, path: &Path) -> Result<()> {
    let Some(dir) = folder_of(path).ancestors().find(|dir| is_a_log(env, dir)) else { return Ok(()) };
    let what = format_args!(
        "{} lies in {}, which is the folder of a log, and is to hold nothing else: give a path outside of it; a database that lies \
         there already is moved out of it first, with its log; files of a log that somebody copied there (control, segment-...) are \
         moved away",
        path.display(),
        dir.display()
    );
    Err(Error::new(ErrorCode::InvalidOption, what).with_path(path))
}

/// Fails if what is to be made at `path`, whatever it is, would lie in the folder of a log, or in a folder within it: for whoever writes
/// files of its own where a user says.
///
/// ```
/// use kitedb_core::{Database, OpenOptions, ReplicationRole, require_outside_logs};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("p.kitedb");
/// let _db = Database::open(&path, OpenOptions::new().replication_role(ReplicationRole::Primary))?;
/// assert!(require_outside_logs(dir.path().join("graph.jsonl")).is_ok());
/// assert!(require_outside_logs(dir.path().join("p.kitedb.replication/graph.jsonl")).is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ErrorCode::InvalidOption`].
pub fn require_outside_logs(path: impl AsRef<Path>) -> Result<()> {
    let env = Env::real();
    match env.disk.resolve(path.as_ref()) {
        Ok(path) => require_outside_of_logs(&env, &path),
        // Nothing can be made there, which whoever tries is told.
        Err(_) => Ok(()),
    }
}

/// Whether a log is in `dir`. A control file alone may be one that somebody saved beside a database: with it are segments, or the list
/// of replicas, or the folder is named as one of a log. Where the control file is lost, both of the others tell.
fn is_a_log(env: &Env, dir: &Path) -> bool {
    let is_named = || dir.to_str().is_some_and(|name| name.ends_with(SIDECAR) || name.ends_with(WAL));
    let has_segments = || segment_files(&*env.disk, dir).is_ok_and(|files| !files.is_empty());
    let has_replicas = || env.disk.identity(&dir.join(REPLICAS)).is_ok();
    match holds_control(&*env.disk, dir) {
        true => is_named() || has_segments() || has_replicas(),
        false => is_named() && has_segments(),
    }
}
