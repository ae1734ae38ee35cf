//! What the log of a node holds beyond its file: the one place that says so, for whoever reads, opens, repairs, detaches,
//! replaces or takes over from it, whichever of file and control file is an older copy.

use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, LogIndex},
    io::Env,
    log::{Accounted, Control, LogIdentity, Proven, proven_beyond},
    shell::{Command, command},
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
    older_than(path, dir, last, format_args!("has those up to {more}"), ("it lacks", command("repair", path, "")), part)
}

/// As [`older_than_its_log`], where the log had commits up to `had`, and those up to `held` can be read; `None`: none of them.
pub(crate) fn older_than_what_its_log_had(
    path: &Path,
    dir: &Path,
    last: LogIndex,
    (had, held): (LogIndex, Option<LogIndex>),
    part: Part,
) -> Error {
    let read = held.map_or_else(|| "none".to_owned(), |held| format!("only those up to {held}"));
    let more = format_args!("had those up to {had}, of which {read} can be read");
    older_than(path, dir, last, more, ("is left of it", command("repair", path, "--dry-run")), part)
}

fn older_than(
    path: &Path,
    dir: &Path,
    last: LogIndex,
    more: std::fmt::Arguments<'_>,
    (takes, repair): (&str, Command),
    part: Part,
) -> Error {
    let is = format!(
        "{} holds the commits up to log index {last}, and its log in {} {more}: an older copy of the file is in \
         its place. Put the newer file back, or let it take from its log what {takes} ({repair})",
        path.display(),
        dir.display(),
    );
    let what = match part {
        Part::Follows(_) => {
            format!("{is}, or copy its source anew ({})", command("replica reseed", path, "--source-db SOURCE"))
        }
        _ => format!("{is}; or, where neither can be done, {}", take_from_a_replica(path)),
    };
    Error::new(ErrorCode::Corrupt, what)
}

/// What to do with the primary at `path` where only a replica still has its commits: a promotion that is not forced wants the
/// primary's log to its end.
pub(crate) fn take_from_a_replica(path: &Path) -> String {
    format!(
        "let a replica that has them lead with what it has ({}), and copy this one from it ({})",
        command("replica promote", Path::new("REPLICA"), "--force"),
        command("replica reseed", path, "--source-db REPLICA --overwrite")
    )
}
