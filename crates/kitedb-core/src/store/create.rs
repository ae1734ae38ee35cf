//! Creating a database file. It appears under its name complete and durable, or not at all.

use super::{
    file::Store,
    header::{ManifestPlace, fresh_slots, write_slot},
    manifest::Manifest,
    space::FIRST,
};
use crate::{
    error::{Error, ErrorCode, Result},
    io::{DiskFile, Env, LockKind, OpenMode},
};
use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The byte of the unfinished file whose lock its one creator holds.
const CREATOR_LOCK: Range<u64> = (1 << 62) - 2..(1 << 62) - 1;

pub(super) fn create(env: &Env, path: &Path, file_id: [u8; 16], manifest: Manifest) -> Result<Store> {
    let draft = draft_path(path)?;
    let file = open_draft(env, &draft)?;
    let done = write_draft(env, &file, path, &draft, file_id, &Manifest { runs: Vec::new(), ..manifest });
    if done.is_err() {
        // The lock is ours, and so is what lies under the draft's name. A failure here leaves a draft that
        // the next creator takes over.
        let _ = env.disk.remove(&draft);
    }
    done?;
    file.unlock(CREATOR_LOCK).map_err(|error| Error::io("unlock", path, error))?;
    Store::from_file(file, path, true)
}

fn draft_path(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| Error::invalid(format_args!("{} names no file", path.display())))?;
    let mut name = name.to_owned();
    name.push(".creating");
    Ok(path.with_file_name(name))
}

/// Opens the draft, new or left behind by a creator that died, and locks it.
fn open_draft(env: &Env, draft: &Path) -> Result<Arc<dyn DiskFile>> {
    let failed = |error| Error::io("create", draft, error);
    for _ in 0..16 {
        let opened = match env.disk.open(draft, OpenMode::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => env.disk.open(draft, OpenMode::ReadWrite),
            other => other,
        };
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound && env.disk.identity(draft).is_ok() => continue,
            other => other.map_err(failed)?,
        };
        if !file.try_lock(CREATOR_LOCK, LockKind::Exclusive).map_err(failed)? {
            break;
        }
        // Whoever held the lock before may have finished: then this is the database itself.
        if env.disk.identity(draft).ok() == Some(file.identity().map_err(failed)?) {
            return Ok(file);
        }
    }
    Err(Error::new(ErrorCode::Locked, format_args!("{} is being created by someone else", draft.display())))
}

fn write_draft(
    env: &Env,
    file: &Arc<dyn DiskFile>,
    path: &Path,
    draft: &Path,
    file_id: [u8; 16],
    manifest: &Manifest,
) -> Result<()> {
    // Under the lock: whoever created it before has renamed it by now.
    match env.disk.identity(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io("create", path, error)),
        Ok(_) => return Err(Error::io("create", path, io::ErrorKind::AlreadyExists.into())),
    }
    let bytes = manifest.encode();
    let place = ManifestPlace { offset: FIRST, len: bytes.len() as u64, crc: crc32fast::hash(&bytes) };
    let device = super::device::Device::new(file.clone(), path);
    let mark = device.mark();
    file.set_len(0).map_err(|error| device.error("empty", error))?;
    device.write(&bytes, FIRST)?;
    for (number, slot) in fresh_slots(file_id, place).iter().enumerate() {
        write_slot(&device, number, slot)?;
    }
    device.sync(mark)?;
    env.disk.rename(draft, path).map_err(|error| Error::io("create", path, error))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    env.disk.sync_dir(folder).map_err(|error| Error::io("sync the folder of", path, error))
}
