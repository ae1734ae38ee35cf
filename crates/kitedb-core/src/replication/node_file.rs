//! What is where the file of a node should be. Where that is no database which can be read, the node's log and the control
//! file in it speak for the node: whether the file is damaged, empty or gone, or something else lies in its place.

use crate::{
    db::resolved,
    error::{Error, ErrorCode, Result},
    io::Env,
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
    /// What cannot be read as a database, whatever is tried: why.
    Unreadable(Error),
}

impl NodeFile {
    /// What is at `db`, and that path, resolved. An error where that cannot be looked at now: for want of a permission, by a disk
    /// that fails, or because a newer build wrote it.
    pub fn at(env: &Env, db: &Path) -> Result<(PathBuf, Self)> {
        let path = match resolved(env, db) {
            Ok(path) => path,
            // A folder, perhaps.
            Err(e) => match env.disk.resolve(db) {
                Ok(path) => return Self::in_place_of(e).map(|file| (path, file)),
                Err(_) => return Err(e),
            },
        };
        let file = match Store::peek(env, &path) {
            Ok(file) => Self::Database(Box::new(file)),
            Err(e) => Self::in_place_of(e)?,
        };
        Ok((path, file))
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

/// Whether nothing of that kind is ever read as a file: a pipe, or a path that leads through what is no folder.
pub(in crate::replication) fn is_no_file(e: &Error) -> bool {
    use std::io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory};
    let source = std::error::Error::source(e).and_then(|e| e.downcast_ref::<std::io::Error>());
    source.is_some_and(|e| matches!(e.kind(), InvalidInput | IsADirectory | NotADirectory))
}
