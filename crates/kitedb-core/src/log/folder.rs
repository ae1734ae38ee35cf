//! The folder of a log: whether it is free for one, and the removal of the log in it.

use super::{
    CONTROL_NAME, Control,
    control::{CONTROL_DRAFT, is_draft, names},
    segment,
};
use crate::{
    error::{Error, ErrorCode, Result},
    io::{Disk, Env, OpenMode, no_folder},
};
use std::{path::Path, sync::Arc};

/// Fails if `dir` cannot become the folder of a log of the database `file_id`, because something that is not of that
/// database bears a name there that a log needs. Says nothing of `dir` itself. Upholds I34.
pub fn require_free(env: &Env, dir: &Path, file_id: [u8; 16]) -> Result<()> {
    let io = |e| Error::io("look into", dir, e);
    let names = match env.disk.list(dir) {
        Ok(names) => names,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io(e)),
    };
    for name in names {
        let path = dir.join(&name);
        let free = if name == CONTROL_NAME {
            false
        } else if name == CONTROL_DRAFT {
            is_draft(&*env.disk, &path).map_err(io)?
        } else if segment::parse_name(&name).is_some() || name == segment::SEGMENT_DRAFT {
            segment::is_of(&*env.disk, &path, file_id, true).map_err(io)?
        } else {
            true
        };
        if !free {
            let what = format_args!(
                "{} cannot hold the log of this database: {} is not of it. Give another place, or move that away; if it is \
                 the log of another database, put its control file back",
                dir.display(),
                path.display()
            );
            return Err(Error::new(ErrorCode::LogMismatch, what).with_path(dir));
        }
    }
    Ok(())
}

/// Whether a file of that name in the folder of a log belongs to one.
pub fn is_of_a_log(name: &str) -> bool {
    name == CONTROL_NAME
        || name == CONTROL_DRAFT
        || segment::parse_name(name).is_some()
        || name == segment::SEGMENT_DRAFT
}

/// What stays where a log is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The control file, and with it the folder.
    Control,
    /// The folder.
    Folder,
    /// Nothing of the log.
    Nothing,
}

/// Removes the log of the database `file_id` in `dir`: its segments and, unless they are to be kept, its control file and
/// its folder. What is not of that database stays, and the folder with it. Upholds I34.
pub fn remove(env: &Env, dir: &Path, file_id: [u8; 16], keep: Keep) -> Result<()> {
    let io = |e| Error::io("remove log", dir, e);
    // By one handle from the first look on: what takes the folder's name meanwhile is not reached.
    let held = match held(env, dir) {
        Ok(disk) => disk,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io(e)),
    };
    let disk = &*held;
    let mut entries = disk.list(dir).map_err(io)?;
    // Where the control file is ours, so is what has no content: a segment whose making was cut short.
    let folder_is_ours = match Control::open(disk, dir, OpenMode::Read) {
        Ok(control) => control.is_some_and(|control| control.identity().file_id == file_id),
        Err(e) if e.code() == ErrorCode::Corrupt => names(disk, dir, file_id).map_err(io)?,
        Err(e) => return Err(e),
    };
    // The control file, then segments from the oldest on: who reads meanwhile finds the beginning missing, and
    // never takes a part of the log for all of it.
    entries.sort_unstable();
    let mut others = false;
    for name in entries {
        let path = dir.join(&name);
        let ours = if name == CONTROL_DRAFT {
            keep != Keep::Control && is_draft(disk, &path).map_err(io)?
        } else if name == CONTROL_NAME {
            keep != Keep::Control && folder_is_ours
        } else if segment::parse_name(&name).is_some() || name == segment::SEGMENT_DRAFT {
            segment::is_of(disk, &path, file_id, folder_is_ours).map_err(io)?
        } else {
            false
        };
        if ours {
            segment::unlink(disk, &path).map_err(io)?;
        } else {
            others = true;
        }
    }
    if !others && keep == Keep::Nothing {
        match disk.remove_dir(dir) {
            // Another folder took its name: the one that was ours is empty, wherever it is.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            // A removed file that somebody has open lingers there under another name (FUSE, NFS).
            Err(e) if is_not_empty(&e) => tracing::debug!(dir = %dir.display(), "an empty log's folder stays: {e}"),
            removed => removed.map_err(io)?,
        }
        if let Some(parent) = dir.parent() {
            disk.sync_dir(parent).map_err(io)?;
        }
    }
    Ok(())
}

/// The disk of `env` with the folder `dir`, if it is there, held by a handle.
pub fn held(env: &Env, dir: &Path) -> std::io::Result<Arc<dyn Disk>> {
    match env.disk.is_dir(dir) {
        true => env.disk.anchor(dir, None).map_err(|e| no_folder(dir, e)),
        false => Err(std::io::ErrorKind::NotFound.into()),
    }
}

/// Whether a folder was not removed because something is in it: systems have two words for that.
fn is_not_empty(e: &std::io::Error) -> bool {
    matches!(e.kind(), std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists)
}
