//! A log whose end is damaged, given up behind the last frame that counts: nothing of it is thrown away, it lies aside.

use super::Recovered;
use crate::{
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    io::{Env, OpenMode, copy_aside},
    log::{Control, segment::put_aside_after},
};
use std::path::{Path, PathBuf};

impl Recovered {
    /// Makes the frames that count durable, as far as a sync can: for a control file that is to say so.
    pub fn sync_tail(&self, env: &Env) -> Result<()> {
        let Some(tail) = &self.tail else { return Ok(()) };
        let path = &self.segments[tail.at].path;
        let synced = env.disk.open(path, OpenMode::ReadWrite).and_then(|file| file.sync_data());
        synced.and_then(|()| env.disk.sync_dir(&self.dir)).map_err(|e| Error::io("sync log segment", path, e))
    }

    /// Ends the log with the last frame that counts, whatever follows there. What follows is kept in files beside the log,
    /// which are returned. Cut short, it is damaged as before, or ends there and the next open begins an epoch.
    pub fn cut_aside(&self, env: &Env, control: &Control) -> Result<Vec<PathBuf>> {
        let tail =
            self.tail.as_ref().ok_or_else(|| Error::new(ErrorCode::Internal, "recovery ended without a tail"))?;
        let (last, disk) = (&self.segments[tail.at], &*env.disk);
        let io = |path: &Path| {
            let path = path.to_owned();
            move |e| Error::io("cut log segment", &path, e)
        };
        let mut aside = Vec::new();
        if tail.dirty {
            aside.push(copy_aside(disk, &last.path).map_err(io(&last.path))?);
            disk.sync_dir(&self.dir).map_err(io(&self.dir))?;
        }
        // Numbers were given out that come again: of another epoch, also if this is all that is done.
        control.set_sync_failed(true)?;
        control.sync()?;
        control.begin_session(&*env.host, self.last)?;
        control.sync()?;
        aside.extend(put_aside_after(disk, &self.dir, Some(last.seq), "cut log segment")?);
        let file = disk.open(&last.path, OpenMode::ReadWrite).map_err(io(&last.path))?;
        if tail.dirty {
            file.set_len(tail.end).map_err(io(&last.path))?;
        }
        file.sync_data().map_err(io(&last.path))?;
        disk.sync_dir(&self.dir).map_err(io(&self.dir))?;
        Ok(aside)
    }
}

/// Puts every segment of a log aside, newest first. Returns where they are.
pub fn put_segments_aside(env: &Env, dir: &Path) -> Result<Vec<PathBuf>> {
    put_aside_after(&*env.disk, dir, None, "put log segment aside")
}

/// The damage of a log that ends before `claim`, which was durable.
pub fn ends_early(dir: &Path, last: LogIndex, claim: LogIndex) -> Error {
    Error::corrupt(format_args!(
        "the log in {} is damaged: it ends at log index {last}, although frames up to {claim} were durable; restore the log \
         from a copy, or open read-only to read the state at index {last}",
        dir.display()
    ))
}

/// The damage of a log whose database was closed with the commits up to `last`, all of which the file holds, and that does not
/// end there any more.
pub fn does_not_go_on(dir: &Path, last: LogIndex) -> Error {
    Error::corrupt(format_args!(
        "the log in {} does not end with log index {last} any more, which its database was closed with: segments are gone from \
         it, cut or damaged. The database holds every commit, and its replicas may need that log: it is neither gone on with nor \
         removed before what is missing is put back, or that log is given up by name",
        dir.display()
    ))
}
