//! What lies where a replica is to be made: nothing; an empty file, which holds nothing; or what goes only if that is asked for
//! by name, the log of a replica whose file is gone, or somebody's file that is no database.

use crate::{
    db::{
        OpenOptions, ReplicationRole, default_sidecar, folder_of, is_absent, is_reviving, remove_sidecar,
        require_no_log_left,
    },
    error::{Error, ErrorCode, Result},
    io::{Env, OpenMode, put_aside},
    log::{Control, Keep},
    replication::{Leaving, not_configured, remembered_in},
    shell::{Command, command, shell_word},
    store::Store,
};
use std::path::{Path, PathBuf};

/// The command that makes a replica of `source` at `path`, whatever is there.
fn bootstrap_by_name(path: &Path, source: Option<&Path>) -> Command {
    let source = shell_word(source.unwrap_or(Path::new("SOURCE"))).to_string();
    command("replica bootstrap", path, format_args!("--source-db {source} --overwrite"))
}

/// Whether an open may make the file of a replica.
fn makes_a_replica(options: &OpenOptions) -> bool {
    options.create_if_missing && !options.read_only && options.role == Some(ReplicationRole::Replica)
}

/// The log of a replica whose file is gone.
pub(super) struct LeftLog {
    control: Control,
}

impl LeftLog {
    /// The one that lies where the log of a file at `path` would, which is not there.
    pub fn at(env: &Env, path: &Path, options: &OpenOptions) -> Option<Self> {
        if !is_absent(env, path) || is_reviving(env, path) {
            return None;
        }
        let given = options.sidecar_path.as_ref().and_then(|dir| env.disk.resolve(dir).ok());
        let dir = given.unwrap_or_else(|| default_sidecar(path));
        let control = Control::open(&*env.disk, &dir, OpenMode::Read).ok()??;
        control.is_replica().then_some(Self { control })
    }

    /// Fails unless an open with `options` makes a replica in its place by name.
    pub fn require_given_up(&self, env: &Env, source_env: &Env, path: &Path, options: &OpenOptions) -> Result<()> {
        if makes_a_replica(options) && options.overwrite {
            return Ok(());
        }
        let known = remembered_in(&*env.disk, self.control.dir(), path, source_env).map(|known| known.paths.db);
        let what = format_args!(
            "{} is not there, and {} holds the log of the replica that was: put the file back; or, where it is gone for good, make a \
             replica in its place ({}), which removes that log and ends its registration with its source; to begin another \
             database, move that folder away",
            path.display(),
            self.control.dir().display(),
            bootstrap_by_name(path, options.source_db_path.as_deref().or(known.as_deref()))
        );
        let is_made = options.create_if_missing && !options.read_only;
        Err(Error::new(if is_made { ErrorCode::LogMismatch } else { ErrorCode::NotFound }, what))
    }

    /// Removes it, and has its source forget the replica.
    fn give_up(self, env: &Env, source_env: &Env, path: &Path) -> Result<()> {
        let (dir, file_id) = (self.control.dir().to_owned(), self.control.identity().file_id);
        if self.control.writer_lives()? {
            let what = format_args!(
                "{} is not there, and a process (process id {}) has it open still: stop that first",
                path.display(),
                self.control.writer_pid()
            );
            return Err(Error::new(ErrorCode::Locked, what));
        }
        // Read before what it knows of its registration goes.
        let leaving = Leaving::of((env, source_env), path, &dir, file_id);
        if let Some(Err(e)) = leaving.map(|leaving| leaving.leave()) {
            // The one that is made now is told of it, if it follows the same source.
            tracing::warn!("the source of a replica that is given up keeps its log for that: {e}");
        }
        remove_sidecar(env, &dir, file_id, Keep::Nothing)
    }
}

/// Makes the place at `path` free for the file of a replica of `source`, if an open with `options` makes one. Returns where that
/// lies now which was there and is no database.
pub(super) fn make_place(
    (env, source_env): (&Env, &Env),
    path: &Path,
    options: &OpenOptions,
    source: Option<&Path>,
) -> Result<Option<PathBuf>> {
    if !makes_a_replica(options) {
        return Ok(None);
    }
    if let Some(left) = LeftLog::at(env, path, options) {
        return left.give_up(env, source_env, path).map(|()| None);
    }
    if !Store::peek(env, path).is_err_and(|e| e.code() == ErrorCode::NotADatabase) {
        return Ok(None);
    }
    let source = source.ok_or_else(not_configured)?;
    // Of another part than a replica's: one of those is reseeded in place.
    require_no_log_left(env, path)?;
    let io = |e| Error::io("replace", path, e);
    let len = env.disk.open(path, OpenMode::Read).and_then(|file| file.len()).map_err(io)?;
    let aside = match len {
        0 => env.disk.remove(path).map(|()| None),
        _ if options.overwrite => put_aside(&*env.disk, path).map(Some),
        _ => {
            let what = format_args!(
                "{} is no KiteDB database, but a file of {len} bytes: give the replica another path; or let it take this one ({}), \
                 and what is there is put aside, as {}.damaged",
                path.display(),
                bootstrap_by_name(path, Some(source)),
                path.display(),
            );
            return Err(Error::new(ErrorCode::WouldOverwrite, what));
        }
    };
    let aside = aside.map_err(io)?;
    env.disk.sync_dir(folder_of(path)).map_err(io)?;
    Ok(aside)
}

/// Puts back what [`make_place`] put aside, where the open that asked for the place is refused.
pub(super) fn put_back(env: &Env, path: &Path, aside: Option<&Path>) {
    let Some(aside) = aside else { return };
    if let Err(e) = env.disk.rename_new(aside, path) {
        tracing::warn!(aside = %aside.display(), "what was put aside for a replica stays there: {e}");
    }
}
