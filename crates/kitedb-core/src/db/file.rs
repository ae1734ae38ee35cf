//! The file of a database: made, and taken back where the open for which it was made is refused.

use super::{
    options::{OpenOptions, ReplicationRole},
    place::{default_sidecar, file_is_gone, folder_of, is_absent, wal_dir},
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    io::{DiskFile, Env, FileIdentity, FileLock, LockKind, OpenMode},
    log::{Control, reaches_beyond},
    store::{CheckpointMark, Manifest, Part, Store, WRITER_LOCK},
};
use std::path::Path;

/// Which file `path` leads to.
pub(crate) fn identity_of(env: &Env, path: &Path) -> Result<FileIdentity> {
    env.disk.identity(path).map_err(|e| no_file(env, path, Error::io("open", path, e)))
}

/// Fails if a log lies where that of a file at `path` would, which is not there: its commits are those of a database that
/// was, and a new one beside them would pass for it.
pub(crate) fn require_no_log_left(env: &Env, path: &Path) -> Result<()> {
    for dir in [wal_dir(path), default_sidecar(path)] {
        if env.disk.is_dir(&dir) && reaches_beyond(env, &dir, env.host.random(), None, LogIndex(0))? {
            return Err(Error::new(ErrorCode::LogMismatch, file_is_gone(env, path, &dir)).with_path(path));
        }
    }
    Ok(())
}

/// The error of a look at a file at `path`, which is not there. Where its log is, that is said.
pub(crate) fn no_file(env: &Env, path: &Path, e: Error) -> Error {
    let is_gone = e.code() == ErrorCode::NotFound && is_absent(env, path);
    let left = || require_no_log_left(env, path).err().filter(|left| left.code() == ErrorCode::LogMismatch);
    match is_gone.then(left).flatten() {
        Some(left) => left.recoded(ErrorCode::NotFound),
        None => e,
    }
}

/// Makes the database file at the resolved `path`, where none is, which says from its first moment on whether it was made for
/// a replica. `false`: somebody else made it at the same moment.
pub(crate) fn make_file(env: &Env, path: &Path, role: Option<ReplicationRole>) -> Result<bool> {
    // Held by a handle, so that no link that bears the name of its draft is followed.
    let disk = env.disk.anchor(folder_of(path), None).map_err(|e| Error::io("open", path, e))?;
    let held = Env { disk, host: env.host.clone() };
    let part = match role {
        Some(ReplicationRole::Replica) => Part::Follows(Epoch(1)),
        _ => Part::Unsaid,
    };
    match Store::create(&held, path, env.host.random(), empty_manifest(), part) {
        Err(e) if is_absent(env, path) => Err(e),
        made => Ok(made.is_ok()),
    }
}

/// Leaves nothing of the file at `path` that [`make_file`] made for an open that was refused, unless somebody uses it, or
/// its sidecar could not be taken back: that would be in the way of every file to come. `sidecar`: where that is, if it was
/// said.
pub(crate) fn unmake_file(env: &Env, path: &Path, identity: FileIdentity, sidecar: Option<&Path>) {
    let range = WRITER_LOCK..WRITER_LOCK + 1;
    let unmake = || -> Result<()> {
        let store = Store::open(env, path, true)?;
        let (disk, file) = (&*env.disk, store.file());
        let io = |e| Error::io("remove", path, e);
        let Some(_no_writer) = FileLock::try_take(file, range, LockKind::Exclusive).map_err(io)? else {
            return Ok(());
        };
        let dir = sidecar.map_or_else(|| default_sidecar(path), Path::to_owned);
        let left = Control::open(&*env.disk, &dir, OpenMode::Read)
            .map_or(true, |found| found.is_some_and(|control| control.expect(store.file_id()).is_ok()));
        let unused = !left && store.log_link().names_no_log() && is_empty(&store.manifest());
        if unused && disk.identity(path).ok() == Some(identity) && file.identity().ok() == Some(identity) {
            disk.remove(path).and_then(|()| disk.sync_dir(folder_of(path))).map_err(io)?;
        }
        Ok(())
    };
    if let Err(e) = unmake() {
        tracing::warn!(path = %path.display(), "a file that nobody needs was not removed: {e}");
    }
}

/// Whether a manifest is that of a file without a commit, whatever build made that.
pub(super) fn is_empty(manifest: &Manifest) -> bool {
    *manifest == Manifest { level: manifest.level, ..empty_manifest() }
}

/// Of a file without a commit.
pub(super) fn empty_manifest() -> Manifest {
    Manifest {
        checkpoint: CheckpointMark { epoch: Epoch(1), ..CheckpointMark::default() },
        next_node_id: 1,
        next_rank: 1,
        ..Manifest::default()
    }
}

/// Fails where the file has more names than one: under another name another log would be looked for.
pub(super) fn require_one_name(path: &Path, options: &OpenOptions, file: &dyn DiskFile) -> Result<()> {
    let links = file.links().map_err(|e| Error::io("look at", path, e))?;
    if links <= 1 || options.hard_links {
        return Ok(());
    }
    let what = format_args!(
        "{} has {links} hard links, and the log of a database is found by its name: remove the others (`cp` them to \
         keep copies), or open it with accept_hard_links",
        path.display()
    );
    Err(Error::new(ErrorCode::HardLinked, what).with_path(path).with_expected(1).with_found(links))
}
