//! What the log of a node holds beyond its file: the one place that says so, for whoever reads, opens, repairs, detaches,
//! replaces or takes over from it, whichever of file and control file is an older copy.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, LogIndex},
    io::Env,
    log::{Accounted, Control, LogIdentity, Proven, proven_beyond},
    shell::command,
    store::{LogKind, LogLink, Part},
};
use std::path::Path;

/// What a file says of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<'a> {
    pub file_id: [u8; 16],
    pub link: &'a LogLink,
    /// The last commit in its runs, and the digest after it.
    pub checkpoint: (LogIndex, Digest),
}

impl Word<'_> {
    /// The last commit that the file holds, as far as its header tells.
    pub fn holds(&self) -> (LogIndex, Digest) {
        match self.link.clean_tail {
            Some(tail) if !self.link.open => tail,
            _ => self.checkpoint,
        }
    }
}

/// The commits that the log in `dir` has and that the file does not account for, as the segments there prove them; `None`: there
/// are none, or the file has no log in a sidecar. `control`: the control file there; `copied`: it is known for a copy.
pub(crate) fn beyond_file(
    env: &Env,
    word: Word<'_>,
    dir: &Path,
    control: Option<&Control>,
    copied: bool,
) -> Result<Option<Proven>> {
    if word.link.kind != LogKind::Sidecar {
        return Ok(None);
    }
    let (last, digest) = word.holds();
    let log = LogIdentity { log_id: word.link.id, file_id: word.file_id };
    proven_beyond(env, dir, &Accounted { log, last, digest, open: word.link.open }, control, copied)
}

/// What is so, and what to do, where a file has commits up to `last`, and its log in `dir` has more: up to `more`.
pub(crate) fn older_than_its_log(path: &Path, dir: &Path, last: LogIndex, more: LogIndex, part: Part) -> Error {
    let is = format!(
        "{} holds the commits up to log index {last}, and its log in {} has those up to {more}: an older copy of the file is in \
         its place. Put the newer file back, or let it take from its log what it lacks ({})",
        path.display(),
        dir.display(),
        command("repair", path, "")
    );
    let what = match part {
        Part::Follows(_) => {
            format!("{is}, or copy its source anew ({})", command("replica reseed", path, "--source-db SOURCE"))
        }
        _ => format!("{is}, or take it from a replica (promote that one, and reseed this one from it)"),
    };
    Error::new(ErrorCode::Corrupt, what)
}
