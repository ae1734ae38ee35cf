//! A replica whose own file is damaged beyond opening. Its log knows whose it is, so it can be reseeded in place.

use super::{
    open::empty_manifest,
    options::OpenOptions,
    place::{default_sidecar, folder_of, is_absent},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::Epoch,
    io::{Env, OpenMode},
    log::Control,
    store::{Hint, LogKind, LogLink, Part, Store},
};
use std::path::{Path, PathBuf};

/// Puts an empty file of the same identity in the place of the file at the resolved `path`, if that is a replica's and
/// does not open. What is left of the damaged one stays beside it, as `<file>.damaged`.
pub(crate) fn revive(env: &Env, path: &Path, options: &OpenOptions) -> Result<()> {
    let fresh = beside(path, ".reviving");
    let io = |e| Error::io("replace", path, e);
    if is_absent(env, path) && Store::open(env, &fresh, false).is_ok() {
        // This was cut short between its two renames.
        env.disk.rename(&fresh, path).map_err(io)?;
        return env.disk.sync_dir(folder_of(path)).map_err(io);
    }
    match Store::open(env, path, false) {
        Err(e) if matches!(e.code(), ErrorCode::Corrupt | ErrorCode::NotADatabase) => {}
        // It opens, is not there, or cannot be looked at: the open says which.
        _ => return Ok(()),
    }
    let dir = match &options.sidecar_path {
        Some(dir) => env.disk.resolve(dir).map_err(|e| Error::io("look for replication sidecar", dir, e))?,
        None => default_sidecar(path),
    };
    let Ok(Some(control)) = Control::open(&*env.disk, &dir, OpenMode::Read) else { return Ok(()) };
    if !control.is_replica() {
        return Ok(());
    }
    if control.writer_lives()? {
        let what = format_args!("{} is damaged, and open in process {}", path.display(), control.writer_pid());
        return Err(Error::new(ErrorCode::Locked, what));
    }
    let aside = beside(path, ".damaged");
    tracing::warn!(
        path = %path.display(), aside = %aside.display(),
        "a replica's file is damaged beyond opening: it is put aside, and the replica needs a reseed"
    );
    let (log, hint) = (control.current_log(), Hint::to(&dir, folder_of(path)).unwrap_or_default());
    match env.disk.remove(&fresh) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io(e)),
        _ => {}
    }
    // Its header says that commits are in its log: whatever of them is there is found, and the rest is missed.
    let store = Store::create(env, &fresh, log.file_id, empty_manifest())?;
    let part = Part::Follows(Epoch(1));
    store.mark_log(LogLink { id: log.log_id, kind: LogKind::Sidecar, open: true, part, hint, ..LogLink::default() })?;
    drop(store);
    env.disk.rename(path, &aside).map_err(io)?;
    env.disk.rename(&fresh, path).map_err(io)?;
    env.disk.sync_dir(folder_of(path)).map_err(io)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}
