//! The file in which a store keeps its document.

use super::call::check;
use crate::breaker::document::Document;
use std::{
    fs::{File, TryLockError},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

/// A file that one store writes, and only as a whole.
#[derive(Debug)]
pub struct Keep {
    path: PathBuf,
    /// Held for as long as the store runs; the file itself is replaced with each write, so it cannot carry the lock.
    _lock: File,
}

impl Keep {
    /// Takes the file, and reads it if there is one.
    ///
    /// # Errors
    /// Another store has it, it cannot be read, or what is in it is not in order.
    pub fn open(path: PathBuf) -> Result<(Self, Option<Document>), String> {
        // A link stays one: the file that it leads to is replaced.
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        let lock = lock(&path)?;
        let document = match std::fs::read_to_string(&path) {
            Ok(text) => Some(read(&text).map_err(|e| format!("{} is not in order: {e}", path.display()))?),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(format!("cannot read {}: {e}", path.display())),
        };
        Ok((Self { path, _lock: lock }, document))
    }

    /// Puts `text` in the place of what is in the file: after a crash it is the one or the other.
    ///
    /// # Errors
    /// It could not be written. What is in the file is what was there before, or `text`.
    pub fn write(&self, text: &str) -> io::Result<()> {
        let folder = folder(&self.path);
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        // The name of a file is in its folder, and that is on the disk only now.
        File::open(folder)?.sync_all()
    }
}

fn read(text: &str) -> Result<Document, String> {
    let document = Document::parse(text)?.ok_or("it is empty; remove it to begin anew")?;
    check(&document)?;
    Ok(document)
}

fn lock(path: &Path) -> Result<File, String> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let failed = |e: io::Error| format!("cannot lock {}: {e}", name.display());
    let lock = File::options().write(true).create(true).truncate(false).open(&name).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(format!("another process uses {}", path.display())),
        Err(TryLockError::Error(e)) => Err(failed(e)),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
