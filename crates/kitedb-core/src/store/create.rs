//! Creating a database file. It appears under its name complete and durable, or not at all. What bears its name already,
//! or that of its draft, and is no draft, stays.

use super::{
    file::Store,
    header::{ManifestExtent, SLOT, Slot, fresh_slots, write_slot},
    link::Part,
    manifest::Manifest,
    space::{ALIGN, FIRST},
};
use crate::{
    error::{Error, ErrorCode, Result},
    io::{DiskFile, Env, LockKind, OpenMode, in_the_way, is_other_kind},
    level::Levels,
};
use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The byte of the unfinished file whose lock its one creator holds.
const CREATOR_LOCK: Range<u64> = (1 << 62) - 2..(1 << 62) - 1;
/// No draft is longer: its manifest names no run.
const MAX_DRAFT: u64 = FIRST + (64 << 10);

impl Store {
    /// Creates a database file without runs, which says what part it was made for. `manifest.runs` is ignored.
    pub fn create(env: &Env, path: &Path, file_id: [u8; 16], manifest: Manifest, part: Part) -> Result<Self> {
        create(env, path, file_id, manifest, part)
    }
}

fn create(env: &Env, path: &Path, file_id: [u8; 16], manifest: Manifest, part: Part) -> Result<Store> {
    let draft = draft_path(path)?;
    let file = open_draft(env, &draft)?;
    let levels = Levels::of(&*env.host);
    let manifest = Manifest { runs: Vec::new(), level: manifest.level.max(levels.written), ..manifest };
    let done = write_draft(env, &file, path, &draft, (file_id, part), &manifest);
    if done.is_err() {
        // The lock is ours, and so is what lies under the draft's name. A failure here leaves a draft that
        // the next creator takes over.
        let _ = env.disk.remove(&draft);
    }
    done?;
    file.unlock(CREATOR_LOCK).map_err(|error| Error::io("unlock", path, error))?;
    Store::from_file(file, path, true, levels)
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
            Err(error) if is_other_kind(&error) => return Err(failed(in_the_way(draft))),
            other => other.map_err(failed)?,
        };
        if !file.try_lock(CREATOR_LOCK, LockKind::Exclusive).map_err(failed)? {
            break;
        }
        // Whoever held the lock before may have finished: then this is the database itself.
        if env.disk.identity(draft).ok() == Some(file.identity().map_err(failed)?) {
            return if is_draft(&*file, env.host.known_level()).map_err(failed)? {
                Ok(file)
            } else {
                Err(failed(in_the_way(draft)))
            };
        }
    }
    Err(Error::new(ErrorCode::Locked, format_args!("{} is being created by someone else", draft.display())))
}

/// Whether a file under the name of a draft is what a creator may have left: blank where no slot is, and in a slot
/// nothing, or one that was never changed. Anything else has been used, or is of somebody else. Upholds I34.
fn is_draft(file: &dyn DiskFile, known: u16) -> io::Result<bool> {
    let len = file.len()?;
    if len > MAX_DRAFT {
        return Ok(false);
    }
    let mut head = vec![0; len.min(FIRST) as usize];
    file.read_exact_at(&mut head, 0)?;
    Ok(head.chunks(ALIGN as usize).all(|page| {
        let (slot, rest) = page.split_at(page.len().min(SLOT));
        let fresh =
            slot.first_chunk().and_then(|slot| Slot::decode(slot, known).ok()).is_some_and(|slot| slot.is_fresh());
        (fresh || slot.iter().all(|byte| *byte == 0)) && rest.iter().all(|byte| *byte == 0)
    }))
}

fn write_draft(
    env: &Env,
    file: &Arc<dyn DiskFile>,
    path: &Path,
    draft: &Path,
    (file_id, part): ([u8; 16], Part),
    manifest: &Manifest,
) -> Result<()> {
    // Under the lock: whoever created it before has renamed it by now.
    match env.disk.identity(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io("create", path, error)),
        Ok(_) => return Err(Error::io("create", path, in_the_way(path))),
    }
    let bytes = manifest.encode();
    let place = ManifestExtent { offset: FIRST, len: bytes.len() as u64, crc: crc32fast::hash(&bytes) };
    let device = super::device::Device::new(file.clone(), path, Levels::of(&*env.host));
    let mark = device.mark();
    file.set_len(0).map_err(|error| device.error("empty", error))?;
    device.write(&bytes, FIRST)?;
    for (number, slot) in fresh_slots(manifest.level, file_id, place, part).iter().enumerate() {
        write_slot(&device, number, slot)?;
    }
    device.sync(mark)?;
    env.disk.rename_new(draft, path).map_err(|error| Error::io("create", path, error))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    env.disk.sync_dir(folder).map_err(|error| Error::io("sync the folder of", path, error))
}
