//! How segments go. Whatever takes the file of a segment from its name, by unlinking it or by putting it aside, does it here:
//!
//! - what a log does not need any more goes from the oldest on ([`remove_oldest`]), and so does the whole of a log
//!   ([`folder::remove`](crate::log::remove)): who reads meanwhile finds the beginning missing;
//! - what follows the end of a log is put aside from the newest on ([`put_aside_after`]): no log has a gap meanwhile.
//!
//! Nothing is unlinked but what is of this log's database, or was made by this log (I34).

use super::{
    files::{path, segment_files},
    header::is_of,
};
use crate::{
    error::{Error, Result},
    io::{Disk, put_aside},
};
use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// Unlinks a file of a log. One that is gone already is removed.
pub fn unlink(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Makes sure that a segment whose making failed does not come back, not even after a loss of power: with its
/// header it would make later frames of the segment before it void. Upholds I5.
pub fn discard(disk: &dyn Disk, dir: &Path, seq: u64) -> Result<()> {
    let path = path(dir, seq);
    let gone = unlink(disk, &path).and_then(|()| disk.sync_dir(dir));
    gone.map_err(|e| Error::own_file("remove log segment", &path, e))
}

/// Removes these segments of the beginning of a log, in the order given. Returns how many went, and why the next one did not.
/// The caller knows that nobody needs them (I11).
pub fn remove_oldest(disk: &dyn Disk, dir: &Path, seqs: &[u64]) -> (usize, Result<()>) {
    for (done, seq) in seqs.iter().enumerate() {
        let path = path(dir, *seq);
        if let Err(e) = unlink(disk, &path) {
            return (done, Err(Error::io("remove log segment", &path, e).context(format_args!("{done} were removed"))));
        }
    }
    (seqs.len(), Ok(()))
}

/// Removes what bears the name of a segment after `seq` and is of the database `file_id`, with `doing` in the error. What was
/// never a segment stays: it is not in the way before the log gets there.
pub fn remove_after(disk: &dyn Disk, dir: &Path, seq: u64, file_id: [u8; 16], doing: &'static str) -> Result<()> {
    for (_, path) in segment_files(disk, dir)?.into_iter().filter(|(found, _)| *found > seq) {
        let removed =
            is_of(disk, &path, file_id, true).and_then(|ours| if ours { unlink(disk, &path) } else { Ok(()) });
        removed.map_err(|e| Error::own_file(doing, &path, e))?;
    }
    Ok(())
}

/// Puts what bears the name of a segment after `seq` (`None`: of any segment) aside, newest first, with `doing` in the error:
/// also what no longer tells whose it is, because the log cannot go on past that. Returns where they are.
pub fn put_aside_after(disk: &dyn Disk, dir: &Path, seq: Option<u64>, doing: &'static str) -> Result<Vec<PathBuf>> {
    let mut aside = Vec::new();
    for (_, path) in segment_files(disk, dir)?.into_iter().rev().filter(|(found, _)| Some(*found) > seq) {
        aside.push(put_aside(disk, &path).map_err(|e| Error::io(doing, &path, e))?);
    }
    Ok(aside)
}
