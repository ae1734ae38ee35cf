//! The files of a sidecar: whether a folder is free to become one, and how all that lies in it goes again.

use super::{
    inside_a_log::require_outside_of_logs,
    options::{OpenOptions, ReplicationRole},
    place::{REPLICAS, SOURCE, default_sidecar, folder_of, foreign_sidecar, is_absent},
    places::has_no_sidecar,
    promote::PROBE,
};
use crate::{
    error::{Error, ErrorCode, Result},
    io::{Disk, Env, OpenMode, in_the_way},
    log::{CONTROL_NAME, Control, Keep, Replaced, Roll, is_of_a_log},
};
use std::path::Path;

/// What the floors above keep in a sidecar beside the log.
const BESIDE: [&str; 5] = [REPLICAS, SOURCE, "source.creating", "bootstrap.progress", PROBE];

/// Fails if `dir` cannot become the sidecar of the database `file_id` at `path`, because a name that is needed there is
/// taken by what is not of that database. Makes nothing.
pub(super) fn require_free(env: &Env, path: &Path, dir: &Path, file_id: [u8; 16]) -> Result<()> {
    require_outside_of_logs(env, dir)?;
    let named_after_it = dir == default_sidecar(path);
    let taken = |path: &Path| Err(Error::io("create replication sidecar", dir, in_the_way(path)));
    if !env.disk.is_dir(dir) {
        // Resolved, a link that leads nowhere is another path than its own.
        let free = is_absent(env, dir) && env.disk.resolve(dir).is_ok_and(|there| there == *dir);
        return if free { Ok(()) } else { taken(dir) };
    }
    crate::log::require_free(env, dir, file_id)?;
    if named_after_it {
        // They may be what is left of an earlier sidecar of this file.
        return Ok(());
    }
    let there = env.disk.list(dir).map_err(|e| Error::io("look into", dir, e))?;
    BESIDE
        .iter()
        .find(|name| there.iter().any(|there| there == *name))
        .map_or(Ok(()), |name| taken(&dir.join(name)))?;
    let strange = |name: &&String| !is_of_a_log(name) && *name != "lost+found";
    let others = folder_of(path) == dir || there.iter().any(|name| strange(&name));
    if others { Err(not_its_own(dir, there.iter().find(strange))) } else { Ok(()) }
}

/// The error of a folder that is given for a log and holds other things, the database itself perhaps: whoever moves or removes the
/// log as a whole would take them along.
fn not_its_own(dir: &Path, other: Option<&String>) -> Error {
    let other =
        other.map_or_else(|| "the database itself is to lie there".to_owned(), |name| format!("{name} is there"));
    let what = format_args!(
        "{} cannot be the folder of a replication log, which is to hold nothing else ({other}): give one of its own, which is empty \
         or not there yet (replication_sidecar_path, --sidecar)",
        dir.display()
    );
    Error::new(ErrorCode::InvalidOption, what).with_path(dir)
}

/// Fails if an open of a file that is to be made at the resolved `path` would be refused for its sidecar. Makes nothing.
pub(crate) fn require_place_for_sidecar(env: &Env, path: &Path, options: &OpenOptions) -> Result<()> {
    if options.role.is_none_or(|role| role == ReplicationRole::Disabled) {
        return options.sidecar_path.as_ref().map_or(Ok(()), |given| Err(has_no_sidecar(path, given)));
    }
    let dir = match &options.sidecar_path {
        Some(dir) => env.disk.resolve(dir).map_err(|e| Error::io("look for replication sidecar", dir, e))?,
        None => default_sidecar(path),
    };
    if let Some(control) = Control::open(&*env.disk, &dir, OpenMode::Read)? {
        // No log is that of a file that is not there.
        return Err(foreign_sidecar(path, control.dir(), None));
    }
    require_free(env, path, &dir, env.host.random())
}

/// Removes what an open made in `dir`, a sidecar of the database `file_id` in the place of one that is missing. What the folder
/// `held` before stays.
pub(super) fn take_back(env: &Env, dir: &Path, file_id: [u8; 16], keep: Keep, held: &[String]) -> Result<()> {
    let io = |e| Error::io("remove log", dir, e);
    // By one handle from the first look on: what takes the folder's name meanwhile is not reached.
    let folder = match crate::log::held(env, dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        folder => folder.map_err(io)?,
    };
    match Control::open(&*folder, dir, OpenMode::Read)? {
        Some(control) => control.expect(file_id)?,
        None => return Ok(()),
    }
    // Who follows that log learns that it is gone.
    let _told = Replaced::look(&*folder, dir);
    registers_nobody(&*folder, dir);
    for name in BESIDE.into_iter().chain([CONTROL_NAME]).filter(|name| !held.iter().any(|held| held == name)) {
        match folder.remove(&dir.join(name)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io(e)),
            _ => {}
        }
    }
    if keep == Keep::Nothing {
        // Where somebody put something into it meanwhile, it stays.
        let _ = folder.remove_dir(dir);
        folder.sync_dir(folder_of(dir)).map_err(io)?;
    }
    Ok(())
}

/// Notes in the control file in `dir` that nobody is registered, before the registry goes: where a crash leaves the one without
/// the other, that is no registry that was lost. Where that cannot be noted, such a crash is told as a loss.
fn registers_nobody(disk: &dyn Disk, dir: &Path) {
    let noted = Control::open(disk, dir, OpenMode::ReadWrite).and_then(|control| match control {
        Some(control) if control.had_a_roll() => control.set_roll(Some(Roll::of([]))),
        _ => Ok(()),
    });
    if let Err(e) = noted {
        tracing::warn!("that nobody is registered any more was not noted in a log that is removed: {e}");
    }
}

/// Removes the sidecar `dir` of the database `file_id`, with all that lies in it. What is not of that database stays.
pub(crate) fn remove_sidecar(env: &Env, dir: &Path, file_id: [u8; 16], keep: Keep) -> Result<()> {
    // By one handle from the first look on: what takes the folder's name meanwhile is not reached.
    let env = &match crate::log::held(env, dir) {
        Ok(disk) => Env { disk, host: env.host.clone() },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("remove log", dir, e)),
    };
    match Control::open(&*env.disk, dir, OpenMode::Read)? {
        Some(control) => control.expect(file_id)?,
        None if keep == Keep::Nothing => return crate::log::remove(env, dir, file_id, keep),
        None => return Ok(()),
    }
    // Who follows that log learns that it is gone.
    let _told = Replaced::look(&*env.disk, dir);
    registers_nobody(&*env.disk, dir);
    for name in BESIDE {
        let path = dir.join(name);
        match env.disk.remove(&path) {
            // What is no file is not of the log.
            Err(_) if env.disk.is_dir(&path) => {}
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &path, e)),
            _ => {}
        }
    }
    crate::log::remove(env, dir, file_id, keep)
}
