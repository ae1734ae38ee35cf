//! A file that is there as a whole, or not at all, and never in place of another one.

use super::Failed;
use crate::failure::{Failure, Outcome};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The draft of this process that a signal takes away. Whoever makes one or takes it away holds the lock.
static DRAFT: Mutex<Option<PathBuf>> = Mutex::new(None);

fn draft() -> MutexGuard<'static, Option<PathBuf>> {
    // It holds a path or none, whatever panicked.
    DRAFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves no draft: the process is about to end.
pub fn remove_draft() {
    // Held until the process is gone, so that no draft comes after this.
    let draft = std::mem::ManuallyDrop::new(draft());
    if let Some(path) = draft.as_ref() {
        let _ = fs::remove_file(path);
    }
}

/// A file under another name, which goes unless it is kept.
struct Draft {
    path: PathBuf,
    kept: bool,
}

impl Draft {
    /// Makes the file, which must not be there.
    fn create(path: PathBuf) -> io::Result<(Self, File)> {
        let mut known = draft();
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        *known = Some(path.clone());
        Ok((Self { path, kept: false }, file))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let mut known = draft();
        if !self.kept {
            // Nothing more can be done for it; whoever looks finds a file that says whose it is.
            let _ = fs::remove_file(&self.path);
        }
        *known = None;
    }
}

/// Lets `write` fill the file at `path`, which must not be there yet. It has that name once it is durable.
pub fn write_file<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<T, Failed>) -> Outcome<T> {
    // Looked at before the work, and again after it by the link.
    if fs::symlink_metadata(path).is_ok() {
        return Err(taken(path));
    }
    kitedb_core::require_outside_logs(path)?;
    let name =
        path.file_name().ok_or_else(|| Failure::usage(format_args!("{} is no name of a file", path.display())))?;
    let mut draft_name = std::ffi::OsString::from(".");
    draft_name.push(name);
    draft_name.push(format!(".export-{}", process::id()));
    let draft_path = path.with_file_name(draft_name);
    let (mut draft, file) = Draft::create(draft_path.clone()).map_err(|e| failed("create", &draft_path, &e))?;
    let mut out = BufWriter::with_capacity(256 << 10, file);
    let written = write(&mut out).map_err(|failed| failed.into_failure(&draft.path.display().to_string()))?;
    let file = out.into_inner().map_err(|e| failed("write to", &draft.path, e.error()))?;
    file.sync_all().map_err(|e| failed("sync", &draft.path, &e))?;
    name_it(&mut draft, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| failed("sync the folder of", path, &e))?;
    Ok(written)
}

/// Gives the draft its name. A second link to it fails where there is something already, which a renaming would replace.
fn name_it(draft: &mut Draft, path: &Path) -> Outcome {
    match fs::hard_link(&draft.path, path) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(taken(path)),
        // A file system without links.
        Err(_) => {}
    }
    if fs::symlink_metadata(path).is_ok() {
        return Err(taken(path));
    }
    fs::rename(&draft.path, path).map_err(|e| failed("rename to", path, &e))?;
    draft.kept = true;
    Ok(())
}

fn taken(path: &Path) -> Failure {
    Failure::new(format_args!("{} is there already, and an export replaces nothing", path.display()))
        .hint("give another name, or move it away")
}

fn failed(action: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(format_args!("cannot {action} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_there_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.jsonl");
        let broken = write_file(&path, |out| {
            out.write_all(b"half")?;
            Err::<(), _>(Failure::new("broken").into())
        });
        assert!(broken.is_err());
        assert_eq!(names(folder.path()), Vec::<String>::new());
        write_file(&path, |out| Ok(out.write_all(b"whole")?)).unwrap();
        assert_eq!(names(folder.path()), ["graph.jsonl"]);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_file_that_is_there_stays_also_one_that_came_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.jsonl");
        let came = write_file(&path, |out| {
            fs::write(&path, "somebody's")?;
            Ok(out.write_all(b"ours")?)
        });
        assert!(came.is_err());
        assert!(write_file(&path, |out| Ok(out.write_all(b"ours")?)).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"somebody's");
        assert_eq!(names(folder.path()), ["graph.jsonl"]);
    }
}
