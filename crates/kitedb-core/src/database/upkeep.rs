//! What an operator does to a log from outside, whether or not a process has the database open.

use super::{
    Database,
    in_memory::require_file,
    keeper::run_retention,
    open_file::{not_primary, with_open_file, with_slot},
};
use crate::{
    db::{Engine, OpenOptions, ReplicationRole, resolved},
    error::{Error, ErrorCode, Result},
    io::{Env, OpenMode},
    log::{Control, RetentionAnswer, bytes_in},
    replication::{FollowedLog, RetentionOutcome, RetentionWindows},
    shell::command,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How often it is looked whether a request is answered, and how many times.
const LOOK: Duration = Duration::from_millis(5);
const LOOKS: u32 = 4000;
/// How often it is tried anew when processes open and close the database meanwhile.
const ATTEMPTS: u32 = 20;

impl Database {
    /// Forgets a replica of the primary or replica at `path`, so that its log is no longer kept for it, whether or not
    /// a process has it open. `replica` is as for [`Database::primary_remove_replica`]. Returns the id of the one that
    /// was forgotten; `None` if there is none of that name. Of the options, only the sidecar's path counts.
    ///
    /// # Errors
    /// [`ErrorCode::NotPrimary`] if no replica can follow that database; [`ErrorCode::InvalidArgument`] if several
    /// replicas have that name: the message lists them.
    pub fn remove_replica_at(path: impl AsRef<Path>, options: &OpenOptions, replica: &str) -> Result<Option<String>> {
        let env = Env::real();
        let looked = look(&env, path.as_ref(), options)?;
        let control = looked.shared_control(&env)?.ok_or_else(|| not_primary(&looked.path))?;
        FollowedLog::new(&looked.engine, looked.control)?.remove_beside_writer(Arc::new(control), replica)
    }

    /// Takes the operator's word that the replicas which are registered with the primary or replica at `path` are all that
    /// there are, whether or not a process has it open: after its registry of replicas was lost, it lets go of its log
    /// again. Of the options, only the sidecar's path counts.
    ///
    /// # Errors
    /// [`ErrorCode::NotPrimary`] if no replica can follow that database; [`ErrorCode::Locked`] if the registry is gone, and
    /// the process that has the database open must open it anew first.
    pub fn confirm_replicas_at(path: impl AsRef<Path>, options: &OpenOptions) -> Result<()> {
        let env = Env::real();
        let looked = look(&env, path.as_ref(), options)?;
        let control = looked.shared_control(&env)?.ok_or_else(|| not_primary(&looked.path))?;
        FollowedLog::new(&looked.engine, looked.control)?.confirm_replicas_beside_writer(&Arc::new(control))
    }

    /// Lets go of the segments of the log of the primary or replica at `path` that nobody asks for. The process that
    /// has it open for writing is asked to do so; if none has, it is opened for that.
    ///
    /// # Errors
    /// [`ErrorCode::NotPrimary`] if that database has no log that is kept; [`ErrorCode::StalePrimary`] if it is a
    /// primary that was fenced; [`ErrorCode::RegistryLost`] if replicas that were registered are not known any more (see
    /// [`Database::confirm_replicas_at`]); [`ErrorCode::Locked`] if the process that has it open does not answer.
    pub fn run_retention_at(
        path: impl AsRef<Path>,
        options: &OpenOptions,
        windows: &RetentionWindows,
    ) -> Result<RetentionOutcome> {
        let (env, path) = (Env::real(), path.as_ref());
        let mut last = None;
        for _ in 0..ATTEMPTS {
            if let Some(outcome) = with_open_file(&env, path, |file| file.run_retention(windows)) {
                return outcome;
            }
            let looked = look(&env, path, options)?;
            match looked.shared_control(&env)? {
                Some(control) if control.writer_lives()? => {
                    if let Some(outcome) = ask(&looked.path, &control, windows)? {
                        return Ok(outcome);
                    }
                }
                _ => match open_and_run(&env, &looked, options, windows) {
                    // Another process opened it in between: then that one is asked, unless it was a promotion, which was waited for.
                    Err(e) if e.code() == ErrorCode::Locked && last.is_none() => last = Some(e),
                    result => return result,
                },
            }
            std::thread::sleep(LOOK);
        }
        Err(last.unwrap_or_else(|| {
            Error::new(
                ErrorCode::Locked,
                format_args!("{} is opened and closed all the time: try again", path.display()),
            )
        }))
    }
}

/// A database that was looked at, and what it is.
struct Looked {
    path: PathBuf,
    engine: Arc<Engine>,
    control: Arc<Control>,
}

fn look(env: &Env, path: &Path, options: &OpenOptions) -> Result<Looked> {
    require_file(path, "upkeep")?;
    let path = resolved(env, path)?;
    let options = OpenOptions { role: None, ..options.clone().read_only(true) };
    let engine = Engine::open_read_only(env.clone(), path.clone(), options, None)?;
    let Some(control) = engine.sidecar.clone() else {
        return Err(not_primary(&path).context("no replica can follow this database"));
    };
    Ok(Looked { path, engine, control })
}

impl Looked {
    /// The error of a cut that a full disk refuses: what the file does not hold must go there first, which takes room.
    fn for_want_of_room(&self, e: Error) -> Error {
        let (head, in_file) = (self.engine.published(), self.engine.checkpoint_index());
        if e.code() != ErrorCode::DiskFull || head <= in_file {
            return e;
        }
        // What is moved to another disk is a copy, as far as can be told.
        let moved = match self.engine.role() {
            ReplicationRole::Primary => {
                format!(", where it is told that it leads ({})", command("role", &self.path, "primary --moved"))
            }
            _ => String::new(),
        };
        let kib = bytes_in(&*self.engine.env.disk, &self.engine.log_dir).div_ceil(1024).max(1);
        e.and(format_args!(
            "nothing more of the log can be let go of: the commits after log index {in_file} (up to {head}) are only there, and \
             must go into the file first, which takes about as much room as they take in the log, {kib} KiB at most. Make that \
             room on the disk of {}, or move the file and the log's folder {} together to a larger disk{moved}; then run it again ({})",
            self.path.display(),
            self.engine.log_dir.display(),
            command("primary retention", &self.path, "")
        ))
    }

    /// The log's control file, open so that its writer can be asked.
    fn shared_control(&self, env: &Env) -> Result<Option<Control>> {
        let found = Control::open(&*env.disk, &self.engine.log_dir, OpenMode::ReadWrite)?;
        found.map(|control| control.expect(self.engine.store.file_id()).map(|()| control)).transpose()
    }
}

/// Opens the database as what it is, for as long as that takes.
fn open_and_run(
    env: &Env,
    looked: &Looked,
    options: &OpenOptions,
    windows: &RetentionWindows,
) -> Result<RetentionOutcome> {
    let identity = env.disk.identity(&looked.path).map_err(|e| Error::io("open", &looked.path, e))?;
    let options = OpenOptions { role: None, ..options.clone().read_only(false).create_if_missing(false) };
    with_slot(identity, || {
        let engine = Engine::open_for_writing(env.clone(), looked.path.clone(), options, identity, false)
            .map_err(|e| looked.for_want_of_room(e))?;
        let ran = match engine.sidecar.clone() {
            Some(control) => FollowedLog::new(&engine, control)
                .and_then(|followed_log| run_retention(&followed_log, &engine, windows)),
            None => Err(not_primary(&looked.path)),
        };
        match (ran, engine.close()) {
            // The log was cut, and the file goes on with what is left of it.
            (Ok(outcome), Err(e)) if e.code() == ErrorCode::DiskFull && outcome.pruned_segments > 0 => Ok(outcome),
            (ran, closed) => ran.and_then(|outcome| closed.map(|()| outcome)).map_err(|e| looked.for_want_of_room(e)),
        }
    })
}

/// Asks the process that has the log open for writing. `None`: it ended, or began anew, before it had done so.
fn ask(path: &Path, control: &Control, windows: &RetentionWindows) -> Result<Option<RetentionOutcome>> {
    let silent = || {
        let what = format_args!(
            "the process that has the database open (process id {}) does not answer: is it stopped, or was it opened \
             without background work?",
            control.writer_pid()
        );
        Error::new(ErrorCode::Locked, what).with_path(path).with_pid(control.writer_pid())
    };
    let mut looks = 0;
    let mut wait = || {
        looks += 1;
        std::thread::sleep(LOOK);
        if looks < LOOKS { Ok(()) } else { Err(silent()) }
    };
    let asking = loop {
        match control.lock_asking()? {
            Some(asking) => break asking,
            None => wait()?,
        }
    };
    // One that asked before may have given up.
    while control.retention_is_asked() {
        if !control.writer_lives()? {
            return Ok(None);
        }
        wait()?;
    }
    control.ask_for_retention([windows.min_entries, windows.min_ms, windows.max_bytes, windows.max_lag_ms])?;
    let answer = loop {
        if let Some(answer) = control.retention_answer() {
            break answer;
        }
        if !control.writer_lives()? {
            return Ok(None);
        }
        wait()?;
    };
    drop(asking);
    match answer {
        RetentionAnswer::Ran(pruned_segments, retained_floor) => {
            Ok(Some(RetentionOutcome { pruned_segments, retained_floor }))
        }
        RetentionAnswer::Dropped => Ok(None),
        RetentionAnswer::Failed(code) => {
            let code = code.unwrap_or(ErrorCode::Internal);
            let what = match code {
                ErrorCode::StalePrimary => {
                    format!(
                        "stale primary: it does not lead, so that this log is as it will stay: {} says why",
                        command("primary status", path, "")
                    )
                }
                ErrorCode::RegistryLost => format!(
                    "replicas that were registered are not known any more, so that the process that has the database open \
                     lets nothing of the log go: {} says what to do, and {} that those which it lists are all",
                    command("primary status", path, ""),
                    command("primary retention", path, "--replicas-complete")
                ),
                _ => "the process that has the database open could not run retention; its log says why".to_owned(),
            };
            Err(Error::new(code, format_args!("{what} ({})", code.as_str())))
        }
    }
}
