//! Whether the log of a source is the one that this source uses, so that who fences it fences the primary itself.

use super::LocalSource;
use crate::{
    db::LogPlace,
    error::{Error, ErrorCode, Result},
    io::OpenMode,
    log::Control,
    replication::{
        node_file::NodeFile,
        source::find_log::{InUse, in_use},
    },
    shell::command,
};
use std::{path::Path, sync::atomic::Ordering};

impl LocalSource {
    /// Fails if the source's files are copies: what is fenced must be the primary itself. Returns whether that is known: see
    /// [`Source::require_fenceable`].
    pub(super) fn require_own_files(&self) -> Result<bool> {
        let place = self.locate()?;
        let LogPlace::Moved(dir, _) = place else {
            return match in_use(&self.env, &self.paths.db, place.dir())? {
                InUse::No => Err(self.of_no_file(place.dir(), true)),
                InUse::Unknown if !self.told.load(Ordering::Relaxed) => Err(self.of_no_file(place.dir(), false)),
                used => Ok(used == InUse::Yes),
            };
        };
        let what = format_args!(
            "the source {db} was copied or restored, with its log in {dir}: nobody takes over from it before its operator \
             says what it is ({moved})",
            db = self.paths.db.display(),
            moved = command("role", &self.paths.db, "primary --moved"),
            dir = dir.display()
        );
        Err(Error::new(ErrorCode::FilesMoved, what))
    }

    /// Why nobody takes over by the log in `dir` alone.
    fn of_no_file(&self, dir: &Path, copied: bool) -> Error {
        let is = if copied { ", which is a copy," } else { "" };
        // What stands in its place is told by what it is.
        let why = match NodeFile::of(&self.env, &self.paths, self.known_as) {
            Ok((_, NodeFile::Unreadable(e))) => format!(" ({e})"),
            _ => String::new(),
        };
        let control = Control::open(&*self.env.disk, dir, OpenMode::Read).ok().flatten();
        let force = match control.is_some_and(|control| control.is_replica()) {
            // The primary leads still.
            true => "",
            false => "; only if it is gone for good, force the promotion",
        };
        let what = format_args!(
            "the file of the source, {db}, is not there{why}, and nothing tells that its log in {dir}{is} is the one that it uses \
             now: where the file was moved, copied or renamed, it may lead with another log, and go on. Put the file back, or name \
             it where it is (--source-db, replica_repoint){force}",
            db = self.paths.db.display(),
            dir = dir.display(),
        );
        Error::new(ErrorCode::SourceUnavailable, what)
    }
}
