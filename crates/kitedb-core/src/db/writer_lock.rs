//! The lock of a file's one writer.

use super::{
    options::{OpenOptions, ReplicationRole},
    places::LogPlaces,
};
use crate::{
    error::{Error, ErrorCode, Result},
    io::{DiskFile, Env, LockKind, OpenMode},
    log::Control,
    store::{LogKind, Store, WRITER_LOCK},
};
use std::path::Path;

/// An open beside a writer starts over if that one publishes another header meanwhile; so often at most.
pub(super) const ATTEMPTS: usize = 200;

/// Opens the file as it is once the writer's lock is held.
pub(super) fn open_for_writing(env: &Env, path: &Path, options: &OpenOptions) -> Result<Store> {
    for _ in 0..ATTEMPTS {
        let store = Store::open(env, path, true)?;
        lock_for_writing(env, &store, path, options)?;
        // Another process may have published to it until then.
        if Store::open(env, path, true)?.generation() == store.generation() {
            return Ok(store);
        }
        // Not left to the end of the open file: a process that is being started holds a copy of it for a while.
        store.file().unlock(WRITER_LOCK..WRITER_LOCK + 1).map_err(|e| Error::io("unlock", path, e))?;
    }
    Err(Error::new(ErrorCode::Locked, format_args!("{} changes too fast to be opened", path.display())))
}

/// Takes the writer's lock of a database file; `false` if a writer holds it. A reader that looks for a writer holds a part of
/// it for a moment: that is waited for.
pub(super) fn try_writer_lock(file: &dyn DiskFile) -> std::io::Result<bool> {
    let byte = || WRITER_LOCK..WRITER_LOCK + 1;
    for _ in 0..10_000 {
        if file.try_lock(byte(), LockKind::Exclusive)? {
            return Ok(true);
        }
        // Shared with whoever holds it now? Then no writer does.
        if !file.try_lock(byte(), LockKind::Shared)? {
            break;
        }
        file.unlock(byte())?;
        crate::lock::yield_now();
    }
    Ok(false)
}

/// Takes the writer's lock, or says who has it. Upholds I25.
fn lock_for_writing(env: &Env, store: &Store, path: &Path, options: &OpenOptions) -> Result<()> {
    if try_writer_lock(&**store.file()).map_err(|e| Error::io("lock", path, e))? {
        return Ok(());
    }
    let link = store.log_link();
    let lock = match link.kind {
        LogKind::Sidecar => "primary sidecar lock is held by another process: ",
        _ if options.role == Some(ReplicationRole::Primary) => "primary sidecar lock is held by another process: ",
        _ => "",
    };
    let pid = writer_of(env, path, options, store);
    let whose = pid.map(|id| format!(" ({})", env.holder(id))).unwrap_or_default();
    let what = format_args!("{lock}{} is open for writing in another process{whose}", path.display());
    Err(Error::new(ErrorCode::Locked, what).with_path(path).with_pid(pid.unwrap_or_default()))
}

/// The process that has the database at `path` open for writing, as far as a log says it. One that has not written
/// yet has no private log.
fn writer_of(env: &Env, path: &Path, options: &OpenOptions, store: &Store) -> Option<u64> {
    let places = LogPlaces::of(env, path, options, store).ok()?;
    let control = |dir: &Path| Control::open(&*env.disk, dir, OpenMode::Read).ok().flatten();
    let sidecar = control(places.sidecar.dir()).filter(|control| control.writer_lives().unwrap_or(false));
    let id = sidecar.or_else(|| control(places.private.dir()))?.writer_pid();
    (id != 0).then_some(id)
}
