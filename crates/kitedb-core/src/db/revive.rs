//! A replica whose own file is damaged beyond opening. Its log knows whose it is, or its own header does, so it can be
//! reseeded in place.

use super::{
    file::{empty_manifest, is_empty},
    options::OpenOptions,
    place::{anchored, default_sidecar, folder_of, is_absent, with_suffix},
    stored::levels_of,
    writer_lock::try_writer_lock,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::Epoch,
    io::{Env, FileLock, OpenMode, clear_name, in_the_way},
    log::{Control, LogIdentity},
    store::{Hint, LogKind, LogLink, Part, Peek, Store, WRITER_LOCK},
};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// What the empty file is called until it takes the place of the damaged one.
const REVIVING: &str = ".reviving";

/// Where the damage is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// In the header, and what it leads to at once.
    ToHeader,
    /// In all that is read when the file is opened.
    Anywhere,
}

/// Puts an empty file of the same identity in the place of the file at the resolved `path`, if that is a replica's and
/// does not open. What is left of the damaged one stays beside it, as `<file>.damaged`, or with a number after that where
/// the name is taken. Returns whether another file is there now.
pub(crate) fn revive(env: &Env, path: &Path, options: &OpenOptions, damage: Damage) -> Result<bool> {
    let fresh = with_suffix(path, REVIVING);
    let io = |e| Error::io("replace", path, e);
    if is_absent(env, path) {
        // This may have been cut short between its two renames.
        let whose = whose(env, path, Store::peek(env, &fresh).ok(), options)?
            .filter(|whose| is_revived(env, &fresh, whose.log.file_id));
        return match whose {
            Some(whose) => put_in_place(env, &fresh, path, whose.log.file_id).map(|()| true),
            None => Ok(false),
        };
    }
    let is_damaged = || match opens(env, path, damage) {
        Err(e) => matches!(e.code(), ErrorCode::Corrupt | ErrorCode::NotADatabase),
        Ok(()) => false,
    };
    if !is_damaged() {
        // It opens, is not there, or cannot be looked at: the open says which.
        return Ok(false);
    }
    let Some(whose) = whose(env, path, Store::peek(env, path).ok(), options)? else { return Ok(false) };
    tracing::warn!(path = %path.display(), "a replica's file is damaged beyond opening: the replica needs a reseed");
    let like = env.disk.open(path, OpenMode::Read).and_then(|file| file.access()).map_err(io)?;
    let env = &anchored(env, folder_of(path), like).map_err(io)?;
    // Until it has its name: another process that opens the replica now must not take away what this one puts there.
    let Some(_lock) = lock_damaged(env, path)? else { return Ok(true) };
    if !is_damaged() {
        return Ok(true);
    }
    if is_revived(env, &fresh, whose.log.file_id) {
        env.disk.remove(&fresh).map_err(io)?;
    }
    // Its header says that commits are in its log: whatever of them is there is found, and the rest is missed.
    let store = Store::create(env, &fresh, whose.log.file_id, empty_manifest(), Part::Unsaid)?;
    let (id, part) = (whose.log.log_id, Part::Follows(Epoch(1)));
    let hint = Hint::to(&whose.dir, folder_of(path)).unwrap_or_default();
    store.mark_log(LogLink { id, kind: LogKind::Sidecar, open: true, part, hint, ..LogLink::default() })?;
    drop(store);
    clear_name(&*env.disk, path, |_| false).map_err(io)?;
    put_in_place(env, &fresh, path, whose.log.file_id).map(|()| true)
}

/// Whether a [`revive`] of the file at `path`, which is not there, was cut short between its two renames.
pub(crate) fn is_reviving(env: &Env, path: &Path) -> bool {
    !is_absent(env, &with_suffix(path, REVIVING))
}

/// The writer's lock of the damaged file at `path`. `None`: another file has taken its place.
fn lock_damaged(env: &Env, path: &Path) -> Result<Option<FileLock>> {
    let locked = || {
        let what = format_args!(
            "{} is damaged, and another process puts an empty replica in its place: open it again",
            path.display()
        );
        Error::new(ErrorCode::Locked, what).with_path(path)
    };
    let io = |e: std::io::Error| match e.kind() {
        ErrorKind::NotFound => locked(),
        _ => Error::io("replace", path, e),
    };
    let file = env.disk.open(path, OpenMode::ReadWrite).map_err(io)?;
    if !try_writer_lock(&*file).map_err(io)? {
        return Err(locked());
    }
    let lock = FileLock::held(file.clone(), WRITER_LOCK..WRITER_LOCK + 1);
    let is_this = env.disk.identity(path).map_err(io)? == file.identity().map_err(io)?;
    Ok(is_this.then_some(lock))
}

/// A replica, and where its log is.
struct Whose {
    log: LogIdentity,
    dir: PathBuf,
}

/// A replica whose file does not open, and which [`revive`] would set up for a reseed in place.
pub(crate) struct Revivable {
    /// The folder of its log.
    pub dir: PathBuf,
    /// The process that has it open.
    pub process: Option<u64>,
}

impl Revivable {
    /// The one whose file is at the resolved `path`. `None`: it opens, or is no replica's, as far as that can be told.
    pub fn at(env: &Env, path: &Path, options: &OpenOptions) -> Option<Self> {
        let damaged = opens(env, path, Damage::Anywhere).err()?;
        if !matches!(damaged.code(), ErrorCode::Corrupt | ErrorCode::NotADatabase) {
            return None;
        }
        let (whose, control) = found(env, path, Store::peek(env, path).ok(), options).ok()??;
        let lives = control.as_ref().is_some_and(|control| control.writer_lives().unwrap_or(false));
        let process = control.filter(|_| lives).map(|control| control.writer_pid());
        Some(Self { dir: whose.dir, process })
    }
}

/// Of which replica the file at `path` is: as its log says, or, where that has no control file, its header. `None`: of
/// none, or that cannot be told. Fails if a process has it open.
fn whose(env: &Env, path: &Path, header: Option<Peek>, options: &OpenOptions) -> Result<Option<Whose>> {
    let Some((whose, control)) = found(env, path, header, options)? else { return Ok(None) };
    if let Some(control) = control
        && control.writer_lives()?
    {
        let what = format_args!("{} is damaged, and open in process {}", path.display(), control.writer_pid());
        return Err(Error::new(ErrorCode::Locked, what).with_path(path).with_pid(control.writer_pid()));
    }
    Ok(Some(whose))
}

/// As [`whose`], with the control file that told it, whoever has it open.
fn found(
    env: &Env,
    path: &Path,
    header: Option<Peek>,
    options: &OpenOptions,
) -> Result<Option<(Whose, Option<Control>)>> {
    let link = header.as_ref().map(|header| &header.log).filter(|link| link.kind == LogKind::Sidecar);
    let given = options.sidecar_path.as_deref().map(|dir| env.disk.resolve(dir)).transpose();
    let given = given.map_err(|e| Error::io("look for replication sidecar of", path, e))?;
    let hint = link.and_then(|link| link.hint.from(folder_of(path)));
    let places = [given.clone(), hint, Some(default_sidecar(path))];
    for dir in places.into_iter().flatten() {
        let Ok(Some(control)) = Control::open(&*env.disk, &dir, OpenMode::Read) else { continue };
        let log = control.current_log();
        if header.as_ref().is_some_and(|header| header.file_id != log.file_id || link.is_none())
            || !control.is_replica()
        {
            continue;
        }
        return Ok(Some((Whose { log, dir }, Some(control))));
    }
    let follows = link.filter(|link| matches!(link.part, Part::Follows(_)));
    Ok(header.as_ref().zip(follows).map(|(header, link)| {
        let log = LogIdentity { log_id: link.id, file_id: header.file_id };
        (Whose { log, dir: given.unwrap_or_else(|| default_sidecar(path)) }, None)
    }))
}

/// Reads what is read when a file is opened.
fn opens(env: &Env, path: &Path, damage: Damage) -> Result<()> {
    let store = Store::open(env, path, false)?;
    if damage == Damage::Anywhere {
        let (manifest, runs) = store.snapshot();
        levels_of(&manifest, runs)?;
    }
    Ok(())
}

/// Whether the file at `path` is an empty one that was made for the replica `file_id`.
fn is_revived(env: &Env, path: &Path, file_id: [u8; 16]) -> bool {
    Store::open(env, path, false).is_ok_and(|store| store.file_id() == file_id && is_empty(&store.manifest()))
}

/// Gives the empty file its name, unless another process did.
fn put_in_place(env: &Env, fresh: &Path, path: &Path, file_id: [u8; 16]) -> Result<()> {
    let renamed = env.disk.rename_new(fresh, path).and_then(|()| env.disk.sync_dir(folder_of(path)));
    renamed
        .or_else(|e| match e.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotFound
                if Store::peek(env, path).is_ok_and(|there| there.file_id == file_id) =>
            {
                Ok(())
            }
            _ => Err(e),
        })
        .map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => Error::io("replace", path, in_the_way(path)),
            _ => Error::io("replace", path, e),
        })
}
