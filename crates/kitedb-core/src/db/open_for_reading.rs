//! Opening for reading only, beside a writer or alone.
//!
//! Nothing holds a writer up while its file is opened here: what is read of the header, of the folder of the log and of the
//! segments is of moments that follow each other. A writer that goes on meanwhile lets go of segments, cuts what a crash
//! left, ends the log and begins another one under the same names. So nothing that does not fit counts as damage at once: it
//! is looked at again, for as long as something moves, and what is found twice under the same header is damage.

use super::{
    engine::{Engine, OpenReport},
    file::no_file,
    options::{OpenOptions, ReplicationRole},
    place::{anchored, folder_of},
    places::LogPlaces,
    role::opening,
    writer_lock::ATTEMPTS,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    io::{Env, LockKind, OpenMode},
    log::{Control, Recovered, segment_files},
    store::{LogKind, LogLink, Store, WRITER_LOCK},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// What an attempt found that does not fit, under which header.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    generation: u64,
    what: String,
}

impl Engine {
    /// An engine of its own that shows the file at the resolved `path` as it is now. With `refused`, why it does not
    /// write although its caller asked for that.
    pub(crate) fn open_read_only(
        env: Env,
        path: PathBuf,
        options: OpenOptions,
        refused: Option<Error>,
    ) -> Result<Arc<Self>> {
        let mut before = None;
        for attempt in 1.. {
            let store = Store::open(&env, &path, false).map_err(|e| no_file(&env, &path, e))?;
            let generation = store.generation();
            let opened = Self::open_once(&env, &path, &options, refused.as_ref(), store);
            let Some(what) = what_does_not_fit(&opened) else { return opened.map(Arc::new) };
            let found = Some(Finding { generation, what });
            let moving = matches!(&opened, Err(e) if e.code() == ErrorCode::Locked);
            let again = found == before && !moving && !is_superseded(&env, &path, generation)?;
            if again || attempt == ATTEMPTS {
                return opened.map(Arc::new);
            }
            if moving {
                // The writer that recovers needs a moment, or many where its disk is slow.
                std::thread::sleep(Duration::from_millis(if attempt < ATTEMPTS / 2 { 1 } else { 50 }));
            }
            before = found;
        }
        Err(Error::new(ErrorCode::Internal, "unreachable: the loop returns"))
    }

    /// One attempt, with the file as `store` shows it. What could not be read of the log is the engine's damage.
    fn open_once(env: &Env, path: &Path, options: &OpenOptions, refused: Option<&Error>, store: Store) -> Result<Self> {
        let io = |e| Error::io("look at", path, e);
        let env = anchored(env, folder_of(path), store.file().access().map_err(io)?).map_err(io)?;
        let places = LogPlaces::of(&env, path, options, &store)?;
        let standing = places.standing(&env, &store)?;
        let role = opening(None, standing, false).map_or(ReplicationRole::Disabled, |opening| opening.role);
        let log_dir = places.dir_named(&store.log_link()).to_owned();
        let report = OpenReport::refused_for(refused.cloned());
        let mut engine = Self::at_checkpoint(env, path.to_owned(), options.clone(), store, role, log_dir, report)?;
        let damage = engine.recover_for_reading(&places)?;
        engine.opened.set_damage(damage);
        engine.look_at_sidecar(&places)?;
        Ok(engine)
    }

    /// Reads the log as far as it can be read. Returns what could not be.
    fn recover_for_reading(&self, places: &LogPlaces) -> Result<Option<Error>> {
        let link = self.store.log_link();
        let newer = || match places.newer_log(&self.env, &self.path, &link) {
            // What nobody may read here tells nothing.
            Err(e) if e.code() == ErrorCode::PermissionDenied => Ok(None),
            Err(e) => Ok(Some(e)),
            Ok(newer) => Ok(newer.map(|newer| newer.damage)),
        };
        if !link.open {
            return newer();
        }
        let reached = || self.publish(None, self.publication.levels().active.last());
        if let Some(gone) = places.gone(&self.path, &link) {
            reached();
            return Ok(Some(gone));
        }
        let limit = self.reading_limit(&link)?;
        self.opened.note_read_to_end(limit.is_none());
        // Where the folder cannot be read, neither can the log.
        let listed = segment_files(&*self.env.disk, &self.log_dir).unwrap_or_default();
        match self.replay(&link, &self.log_dir, None, limit, OpenMode::Read) {
            Ok(recovered) => {
                if self.is_moving(limit, &recovered, &listed)? {
                    return Err(changes_too_fast(&self.path));
                }
                if let Some(too_new) = recovered.damage.as_ref().filter(|damage| damage.code() == ErrorCode::TooNew) {
                    // Not a state of before it, as beside damage: what came since is there, and a newer build shows it.
                    return Err(too_new.clone());
                }
                self.publish(None, recovered.last);
                recovered.damage.map_or_else(newer, |damage| Ok(Some(self.with_mend(damage))))
            }
            Err(e) if matches!(e.code(), ErrorCode::LogMismatch | ErrorCode::Corrupt) => {
                reached();
                Ok(Some(self.with_mend(e)))
            }
            Err(e) => Err(e),
        }
    }

    /// Whether what was read need not be all that there was: a writer that recovers puts frames whose sync it cannot trust
    /// into another segment, and appends later. It says in the header that it has opened its log in between.
    fn is_moving(&self, limit: Option<LogIndex>, recovered: &Recovered, listed: &[(u64, PathBuf)]) -> Result<bool> {
        Ok(match limit {
            Some(published) => recovered.damage.is_none() && recovered.last < published,
            None => {
                is_superseded(&self.env, &self.path, self.store.generation())?
                    || segment_files(&*self.env.disk, &self.log_dir)? != listed
            }
        })
    }

    /// How far the log may be read: as far as its writer has published it, if there is one.
    fn reading_limit(&self, link: &LogLink) -> Result<Option<LogIndex>> {
        let io = |e| Error::io("lock", &self.path, e);
        let range = WRITER_LOCK..WRITER_LOCK + 1;
        if self.store.file().try_lock(range.clone(), LockKind::Shared).map_err(io)? {
            self.store.file().unlock(range).map_err(io)?;
            return Ok(None);
        }
        // A writer says in the header that it has opened its log, before it appends. Until then, after the end of a machine,
        // what was published is not known to the control file either.
        if self.env.host.boot_id().is_some_and(|boot| boot != link.boot_id) {
            return Ok(None);
        }
        Ok(match Control::open(&*self.env.disk, &self.log_dir, OpenMode::Read) {
            Ok(control) => control.map(|control| control.published()),
            Err(_) => None,
        })
    }

    /// Whether the log that was looked at by what `link` says need not be this view's any more: by the header of now the
    /// file has another one, or none, and what the view's log held is in the file. Beside a file that had none a writer may
    /// have begun one, and ended it again, so that only the header's generation tells.
    pub(super) fn log_is_another_one(&self, link: &LogLink) -> Result<bool> {
        if !self.options.read_only {
            let now = self.store.log_link();
            return Ok((link.kind, link.id) != (now.kind, now.id));
        }
        let now = Store::peek(&self.env, &self.path)?;
        let began = link.kind == LogKind::None && now.generation != self.store.generation();
        Ok(began || (link.kind, link.id) != (now.log.kind, now.log.id))
    }
}

/// Not how much more was published when it was found, which moves with each commit of a writer.
fn what_does_not_fit(opened: &Result<Engine>) -> Option<String> {
    match opened {
        Err(e) => Some(e.to_string()),
        Ok(engine) => engine.damage().map(|e| format!("{} after {}", e.code().as_str(), engine.published())),
    }
}

/// Whether the header of the file at `path` has moved on since it was that of `generation`.
fn is_superseded(env: &Env, path: &Path, generation: u64) -> Result<bool> {
    Ok(Store::peek(env, path)?.generation != generation)
}

fn changes_too_fast(path: &Path) -> Error {
    Error::new(ErrorCode::Locked, format_args!("{} changes too fast to be opened: try it again", path.display()))
}
