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

/// Fails where the folder of the log of a file at `path`, which is not there, says what that file followed, and holds no log any more:
/// it is the place of a replica, or of what was one, and what is made there is to be a replica, too.
pub(super) fn require_no_place_of_a_replica(
    env: &Env,
    source_env: &Env,
    path: &Path,
    options: &OpenOptions,
) -> Result<()> {
    if makes_a_replica(options) || !is_absent(env, path) || is_reviving(env, path) {
        return Ok(());
    }
    let dir = default_sidecar(path);
    let Some(known) = remembered_in(&*env.disk, &dir, path, source_env) else { return Ok(()) };
    if require_no_log_left(env, path).is_err() {
        // Who makes a file there, or misses it, is told of that log.
        return Ok(());
    }
    let is_made = options.create_if_missing && !options.read_only;
    let what = format_args!(
        "{} is not there, and {} holds what is left of a replica of {}: put the file back, with its log; or, where it is gone for \
         good, make a replica in its place ({}); to begin another database, move that folder away",
        path.display(),
        dir.display(),
        known.paths.db.display(),
        bootstrap_by_name(path, Some(&known.paths.db))
    );
    Err(Error::new(if is_made { ErrorCode::LogMismatch } else { ErrorCode::NotFound }, what))
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
    pub fn at(env: &Env, path: &Path) -> Option<Self> {
        if !is_absent(env, path) || is_reviving(env, path) {
            return None;
        }
        // Not one that is given: that may be another file's, which is where it was.
        let control = Control::open(&*env.disk, &default_sidecar(path), OpenMode::Read).ok()??;
        control.is_replica().then_some(Self { control })
    }

    /// Its file, and not a copy of that, if it lies beside the place where it was, under another name: it has its log here still.
    fn renamed_to(&self, env: &Env, path: &Path) -> Option<PathBuf> {
        let id = self.control.identity().file_id;
        let is_it = |there: &PathBuf| {
            let Ok(peek) = Store::peek(env, there) else { return false };
            let displaced = || self.control.displaced(&*peek.file);
            peek.file_id == id && self.control.has_stamps() && displaced().is_ok_and(|displaced| !displaced.any())
        };
        let names = env.disk.list(folder_of(path)).unwrap_or_default();
        names.iter().map(|name| folder_of(path).join(name)).filter(|there| !env.disk.is_dir(there)).find(is_it)
    }

    /// Fails unless an open with `options` makes a replica in its place by name.
    pub fn require_given_up(&self, env: &Env, source_env: &Env, path: &Path, options: &OpenOptions) -> Result<()> {
        let is_made = options.create_if_missing && !options.read_only;
        let code = if is_made { ErrorCode::LogMismatch } else { ErrorCode::NotFound };
        if let Some(renamed) = self.renamed_to(env, path) {
            return Err(Error::new(code, self.of_a_renamed(path, &renamed)));
        }
        if makes_a_replica(options) && options.overwrite && options.source_db_path.is_some() {
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
        Err(Error::new(code, what))
    }

    /// What is so of a log whose file has another name now, and what to do.
    fn of_a_renamed(&self, path: &Path, renamed: &Path) -> String {
        format!(
            "{} is not there: it is called {} now, and its log is in {} still; open it by that name, or give another place for a \
             new database",
            path.display(),
            renamed.display(),
            self.control.dir().display()
        )
    }

    /// Removes it, and has its source forget the replica.
    fn give_up(self, env: &Env, source_env: &Env, path: &Path) -> Result<()> {
        let (dir, file_id) = (self.control.dir().to_owned(), self.control.identity().file_id);
        if self.control.writer_lives()? {
            let what = format_args!(
                "{} is not there, and a process ({}) has it open still: stop that first",
                path.display(),
                env.holder(self.control.writer_pid())
            );
            return Err(Error::new(ErrorCode::Locked, what).with_path(path).with_pid(self.control.writer_pid()));
        }
        // Read before what it knows of its registration goes. Under the id in a copy its original may be registered.
        let is_own = !self.control.is_copied()?;
        let leaving = if is_own { Leaving::of((env, source_env), path, &dir, file_id) } else { None };
        if let Some(Err(e)) = leaving.map(|leaving| leaving.leave()) {
            // The one that is made now is told of it, if it follows the same source.
            tracing::warn!("the source of a replica that is given up keeps its log for that: {e}");
        }
        remove_sidecar(env, &dir, file_id, Keep::Nothing)
    }
}

/// Makes the place at `path` free for the file of a replica of `source`, if an open with `options` makes one. Returns what was
/// there and is no database.
pub(super) fn make_place(
    (env, source_env): (&Env, &Env),
    path: &Path,
    options: &OpenOptions,
    source: Option<Result<&Path>>,
) -> Result<Option<Aside>> {
    if !makes_a_replica(options) {
        return Ok(None);
    }
    if let Some(left) = LeftLog::at(env, path) {
        return left.give_up(env, source_env, path).map(|()| None);
    }
    if !Store::peek(env, path).is_err_and(|e| e.code() == ErrorCode::NotADatabase) {
        return Ok(None);
    }
    let source = source.ok_or_else(not_configured)??;
    let io = |e| Error::io("replace", path, e);
    let len = |path: &Path| env.disk.open(path, OpenMode::Read).and_then(|file| file.len()).map_err(io);
    let found = len(path)?;
    // Of another part than a replica's: one of those is reseeded in place.
    require_no_log_left(env, path).map_err(|e| {
        let what = format_args!(
            "{} is no KiteDB database, and the log of one lies beside it: the file was overwritten. Restore it from a copy; or, where \
             another node has its commits, move the file and the folder of its log away, and make the replica then",
            path.display()
        );
        if found > 0 && e.code() == ErrorCode::LogMismatch { Error::new(e.code(), what).with_path(path) } else { e }
    })?;
    if found > 0 && !options.overwrite {
        let what = format_args!(
            "{} is no KiteDB database, but a file of {found} bytes: give the replica another path; or let it take this one ({}), \
             and what is there is put aside, as {}.damaged",
            path.display(),
            bootstrap_by_name(path, Some(source)),
            path.display(),
        );
        return Err(Error::new(ErrorCode::WouldOverwrite, what));
    }
    let place = put_aside(&*env.disk, path).map_err(io)?;
    // Somebody may have written to it meanwhile.
    let is_empty = len(&place)? == 0;
    let aside = Aside { place, is_empty };
    if found == 0 && !is_empty {
        put_back(env, path, Some(&aside));
        let what =
            format_args!("{} was empty, and is written to by another process: nothing was changed", path.display());
        return Err(Error::new(ErrorCode::Locked, what));
    }
    Ok(Some(aside))
}

/// What was in the place of a replica's file and is no database.
#[derive(Debug)]
pub(super) struct Aside {
    place: PathBuf,
    is_empty: bool,
}

impl Aside {
    /// The replica's file is in its place. Returns where it stays, if it holds anything.
    pub fn settle(self, env: &Env) -> Option<PathBuf> {
        if !self.is_empty {
            return Some(self.place);
        }
        if let Err(e) = env.disk.remove(&self.place) {
            tracing::warn!(aside = %self.place.display(), "an empty file is left: {e}");
        }
        None
    }
}

/// Puts back what [`make_place`] put aside, where the open that asked for the place is refused.
pub(super) fn put_back(env: &Env, path: &Path, aside: Option<&Aside>) {
    let Some(Aside { place, .. }) = aside else { return };
    if let Err(e) = env.disk.rename_new(place, path) {
        tracing::warn!(aside = %place.display(), "what was put aside for a replica stays there: {e}");
    }
}
