//! What is left where the detachment of a file was cut short.

use super::place::folder_of;
use crate::{
    error::{Error, ErrorCode, Result},
    io::{Env, OpenMode},
    log::Control,
    shell::command,
    store::{LogKind, LogLink, Part, Store},
};
use std::path::{Path, PathBuf};

/// The log of what the file at the resolved `path` was, whose [`detach`](super::detach) was cut short before that log was gone: its header
/// says so until then, by the place of that log and the id that the file had.
pub(crate) struct CutShort {
    /// Where that log is.
    pub dir: PathBuf,
    /// The id that the file had.
    pub file_id: [u8; 16],
}

impl CutShort {
    /// `None`: nothing was cut short.
    pub(super) fn of(path: &Path, link: &LogLink) -> Option<Self> {
        let said = link.kind == LogKind::None && link.part == Part::StandAlone && link.id != [0; 16];
        let dir = link.hint.from(folder_of(path)).filter(|_| said)?;
        Some(Self { dir, file_id: link.id })
    }

    /// As [`CutShort::of`], of a file that nobody has open.
    pub fn look(env: &Env, path: &Path) -> Result<Option<Self>> {
        Ok(Self::of(path, &Store::open(env, path, false)?.log_link()))
    }

    /// As [`CutShort::look`], of a file that is about to be opened: of one that cannot be read the open says so.
    pub fn peek(env: &Env, path: &Path) -> Option<Self> {
        Store::peek(env, path).ok().and_then(|peek| Self::of(path, &peek.log))
    }

    /// The log, if what is there tells whose registration as a replica it was: what that says of it is said of this file.
    pub fn of_replica(&self, env: &Env, path: &Path) -> Result<Option<(PathBuf, [u8; 16])>> {
        let Some(control) = Control::open(&*env.disk, &self.dir, OpenMode::Read)? else { return Ok(None) };
        let ours = control.identity().file_id == self.file_id && control.is_replica();
        let store = Store::open(env, path, false)?;
        Ok((ours && !control.displaced(&**store.file())?.any()).then(|| (self.dir.clone(), self.file_id)))
    }

    /// What is so, and what to do.
    pub(crate) fn fault(&self, path: &Path) -> Error {
        Error::new(
            ErrorCode::LogMismatch,
            format_args!(
                "{} was being made a database of its own, and that was cut short: the log of what it was may still be in {}, \
                 and a source that it followed may keep its log for it. The same command once more ends it ({})",
                path.display(),
                self.dir.display(),
                command("role", path, "detach")
            ),
        )
    }
}
