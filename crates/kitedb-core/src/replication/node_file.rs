//! What is where the file of a node should be. Where that is no database which can be read, or another one, the node's log and
//! the control file in it speak for the node: whether the file is damaged, empty or gone, or something else lies in its place.

use crate::{
    db::{default_sidecar, folder_of, resolved},
    error::{Error, ErrorCode, Result},
    io::{Env, OpenMode},
    log::Control,
    replication::source::SourcePaths,
    store::{Peek, Store},
};
use std::path::{Path, PathBuf};

/// See the [module documentation](self).
#[derive(Debug)]
pub(in crate::replication) enum NodeFile {
    /// A database: its header says whose it is, and where its log is.
    Database(Box<Peek>),
    /// Nothing.
    Absent(Error),
    /// What cannot be read as the node's database, whatever is tried: why.
    Unreadable(Error),
}

impl NodeFile {
    /// What is at `db`, and where that is: see [`place_named`]. An error where it cannot be looked at now: for want of a permission,
    /// by a disk that fails, or because a newer build wrote it.
    pub fn at(env: &Env, db: &Path) -> Result<(PathBuf, Self)> {
        let path = place_named(env, db);
        let file = match resolved(env, db).and_then(|path| Store::peek(env, &path)) {
            Ok(file) => Self::Database(Box::new(file)),
            // A folder, perhaps, or a link that leads to itself.
            Err(e) => Self::in_place_of(e)?,
        };
        Ok((path, file))
    }

    /// As [`NodeFile::at`], for who knows the node at `paths` as the database `known_as`: another one in its place is not its file
    /// where its log is there still.
    pub fn of(env: &Env, paths: &SourcePaths, known_as: Option<[u8; 16]>) -> Result<(PathBuf, Self)> {
        let (path, file) = Self::at(env, &paths.db)?;
        let left = known_as.filter(|id| file.file_id().is_some_and(|there| there != *id));
        match left.and_then(|id| log_of(env, paths, &path, id)) {
            Some(dir) => Ok((path, Self::Unreadable(another_in_place(&paths.db, &dir)))),
            None => Ok((path, file)),
        }
    }

    /// The file that cannot be looked at for `e`, if that is no passing failure.
    fn in_place_of(e: Error) -> Result<Self> {
        match e.code() {
            ErrorCode::NotFound => Ok(Self::Absent(e)),
            ErrorCode::Corrupt | ErrorCode::NotADatabase | ErrorCode::InvalidArgument => Ok(Self::Unreadable(e)),
            ErrorCode::Io if is_no_file(&e) => Ok(Self::Unreadable(e)),
            _ => Err(e),
        }
    }

    /// Why the file at `path` cannot be read as a database, also where its header can, as of one that was cut. `None`: it can, or
    /// is not there, or nothing tells now.
    pub fn damage(&self, env: &Env, path: &Path) -> Option<Error> {
        match self {
            Self::Absent(_) => None,
            Self::Unreadable(e) => Some(e.clone()),
            Self::Database(_) => {
                let damaged = |e: &Error| matches!(e.code(), ErrorCode::Corrupt | ErrorCode::NotADatabase);
                Store::open(env, path, false).err().filter(damaged)
            }
        }
    }

    /// The id of the database, if it is one.
    pub fn file_id(&self) -> Option<[u8; 16]> {
        match self {
            Self::Database(peek) => Some(peek.file_id),
            Self::Absent(_) | Self::Unreadable(_) => None,
        }
    }
}

/// Where `db` leads to; where it leads nowhere, that place itself.
pub(in crate::replication) fn place_named(env: &Env, db: &Path) -> PathBuf {
    let beside = || Some(env.disk.resolve(folder_of(db)).ok()?.join(db.file_name()?));
    env.disk.resolve(db).ok().or_else(beside).unwrap_or_else(|| db.to_owned())
}

/// The folders in which the log of the node at `paths` lies if no file says where: as it was said, beside the name of its file, and
/// beside `path`, where that leads.
pub(in crate::replication) fn log_dirs(paths: &SourcePaths, path: &Path) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = paths.sidecar.iter().cloned().collect();
    for dir in [default_sidecar(&paths.db), default_sidecar(path)] {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    dirs
}

/// Which of [`log_dirs`] has the control file of the database `id`.
pub(in crate::replication) fn log_of(env: &Env, paths: &SourcePaths, path: &Path, id: [u8; 16]) -> Option<PathBuf> {
    let is_its = |dir: &PathBuf| match Control::open(&*env.disk, dir, OpenMode::Read) {
        Ok(Some(control)) => control.identity().file_id == id,
        _ => false,
    };
    log_dirs(paths, path).into_iter().find(is_its)
}

/// The header of the file at `db`, which must be that of the database `id`: another one in its place says nothing of that one.
pub(in crate::replication) fn peek_of(env: &Env, db: &Path, id: [u8; 16]) -> Result<Peek> {
    let peek = Store::peek(env, db)?;
    if peek.file_id == id { Ok(peek) } else { Err(another(db)) }
}

/// As [`peek_of`], the whole file.
pub(in crate::replication) fn store_of(env: &Env, db: &Path, id: [u8; 16]) -> Result<Store> {
    let store = Store::open(env, db, false)?;
    if store.file_id() == id { Ok(store) } else { Err(another(db)) }
}

fn another(db: &Path) -> Error {
    Error::new(ErrorCode::LogMismatch, format_args!("{} is another database", db.display()))
}

/// That another database is at `db`, and the log of the one that was is in `dir` still.
fn another_in_place(db: &Path, dir: &Path) -> Error {
    let what = format_args!(
        "{} is the file of another database, and {} holds the log of the one that was there: put its file back; or, where that one \
         was given up, move that folder away",
        db.display(),
        dir.display()
    );
    Error::new(ErrorCode::LogMismatch, what)
}

/// Whether nothing of that kind is ever read as a file: a pipe, or a path that leads through what is no folder.
pub(in crate::replication) fn is_no_file(e: &Error) -> bool {
    use std::io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory};
    let source = std::error::Error::source(e).and_then(|e| e.downcast_ref::<std::io::Error>());
    source.is_some_and(|e| matches!(e.kind(), InvalidInput | IsADirectory | NotADirectory))
}
