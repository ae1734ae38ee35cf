//! Permissions and owners of the files that are made beside a database.

use std::{fs::File, io, os::unix::fs::MetadataExt};

use rustix::{
    fs::{Gid, Mode, Uid},
    process::geteuid,
};

use super::stamp::{file_system, may_lack_permissions};
use crate::io::Access;

/// Who may use an open file.
pub(super) fn of(file: &File) -> io::Result<Access> {
    let found = file.metadata()?;
    Ok(Access { mode: found.mode() & 0o7777, uid: found.uid(), gid: found.gid() })
}

/// Gives a file or folder that this process has just made these permission bits and, if this is root, the owner and
/// group of `like`.
pub(super) fn give(file: &File, like: Access, mode: u32) -> io::Result<()> {
    let given = give_owner(file, like).and_then(|()| give_mode(file, mode));
    match given {
        // Where the file system has nothing of the kind, one rule holds for all its files, and the mount says which.
        Err(_) if file_system(file).is_some_and(may_lack_permissions) => Ok(()),
        Err(e) => {
            let text = format!("cannot give it the owner and the permissions of the database file: {e}");
            Err(io::Error::new(e.kind(), text))
        }
        done => done,
    }
}

// The owner comes first: until the permissions are given, nobody but the maker has any.
fn give_owner(file: &File, like: Access) -> io::Result<()> {
    let found = of(file)?;
    if !geteuid().is_root() || (found.uid, found.gid) == (like.uid, like.gid) {
        return Ok(());
    }
    Ok(rustix::fs::fchown(file, Some(Uid::from_raw(like.uid)), Some(Gid::from_raw(like.gid)))?)
}

fn give_mode(file: &File, mode: u32) -> io::Result<()> {
    let found = of(file)?.mode;
    // A folder keeps the bit by which it hands its group down.
    let wanted = (found & 0o7000) | (mode & 0o777);
    if found == wanted {
        return Ok(());
    }
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(wanted as _))?)
}
