//! Where the two logs are that a file may have, and what follows from that for an open.

use super::{
    beyond::{Word, beyond_file, older_than_its_log, older_than_what_its_log_had},
    options::{OpenOptions, ReplicationRole},
    place::{LeftLog, LogPlace, Search, default_sidecar, files_moved, log_is_gone, older_file, wal_dir},
    role::Standing,
    stale_fence::fence_by_header,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex, Token},
    io::{Env, OpenMode},
    log::{Control, Proven, proven},
    store::{LogKind, LogLink, Part, Store},
};
use std::path::{Path, PathBuf};

/// See the [module documentation](self).
pub(super) struct LogPlaces {
    pub sidecar: LogPlace,
    /// The file's id.
    file_id: [u8; 16],
    /// The last commit that the file's runs hold, and the digest after it.
    checkpoint: (LogIndex, Digest),
    /// Of a file that has no part in replication; looked for only where the header names it.
    pub private: LogPlace,
    /// Where the log that the header names lies, which is not where it is looked for.
    apart: Option<PathBuf>,
    /// A log that the header does not name. Upholds I46.
    pub left: Option<LeftLog>,
    /// That of the header.
    generation: u64,
}

/// A log that goes on after its file.
pub(super) struct NewerLog {
    /// What is told of it.
    pub damage: Error,
    /// What its segments hold beyond the file; `None`: they are gone, or hold less than the control file says.
    pub held: Option<Proven>,
    /// Whether it is told by the file's headers, whatever the log holds.
    pub is_of_file: bool,
}

impl LogPlaces {
    /// Looks for the logs of the open file `store` at `path`.
    pub fn of(env: &Env, path: &Path, options: &OpenOptions, store: &Store) -> Result<Self> {
        Self::looked_for(env, path, options, store, false)
    }

    /// As [`LogPlaces::of`], for a repair: a control file of another database without a log is damage.
    pub fn to_repair(env: &Env, path: &Path, options: &OpenOptions, store: &Store) -> Result<Self> {
        Self::looked_for(env, path, options, store, true)
    }

    fn looked_for(env: &Env, path: &Path, options: &OpenOptions, store: &Store, repairs: bool) -> Result<Self> {
        let link = store.log_link();
        let search = Search {
            env,
            path,
            file: &**store.file(),
            file_id: store.file_id(),
            link: &link,
            given: options.sidecar_path.as_deref(),
            given_is_hint: false,
            repairs,
        };
        let stand_alone = link.kind != LogKind::Sidecar;
        let no_part = stand_alone && options.role.is_none_or(|role| role == ReplicationRole::Disabled);
        let sidecar = match search.sidecar() {
            Ok(found @ (LogPlace::Here(_) | LogPlace::Moved(..))) => found,
            // A place that is said means something, or is a mistake.
            _ if no_part && let Some(given) = &options.sidecar_path => return Err(has_no_sidecar(path, given)),
            // It is none of this file's business unless it is to have a part in replication.
            Err(_) if no_part => LogPlace::Missing(default_sidecar(path)),
            // What a reader does not find, he misses only where the header says that commits are there.
            Err(e) if options.read_only && options.sidecar_path.is_none() => {
                LogPlace::Damaged(default_sidecar(path), e)
            }
            found => found?,
        };
        let named = link.kind == LogKind::Private && link.open;
        let private = if named { search.private()? } else { LogPlace::Missing(wal_dir(path)) };
        let missing = match (&sidecar, &private) {
            (LogPlace::Missing(dir), _) if link.kind == LogKind::Sidecar => Some(dir),
            (_, LogPlace::Missing(dir)) if named => Some(dir),
            _ => None,
        };
        let apart = missing.and_then(|dir| search.lying_apart(dir));
        let mark = store.manifest().checkpoint;
        let (file_id, checkpoint) = (store.file_id(), (mark.log_index, mark.digest));
        let (holds, _) = Word { file_id, link: &link, checkpoint }.holds();
        let in_log = match (&private, named) {
            (LogPlace::Here(dir), true) => Control::open(&*env.disk, dir, OpenMode::Read)?.map(|log| log.published()),
            _ => None,
        };
        let left = match search.left(in_log.map_or(holds, |in_log| in_log.max(holds)), store.generation()) {
            // What nobody may read here tells nothing.
            Err(e) if e.code() == ErrorCode::PermissionDenied && options.read_only => None,
            left => left?,
        };
        Ok(Self { sidecar, private, apart, file_id, checkpoint, left, generation: store.generation() })
    }

    /// The error of the log that the header names, which is not in `place`.
    pub fn log_is_gone(&self, path: &Path, place: &LogPlace, link: &LogLink) -> Error {
        log_is_gone(path, place, link, self.checkpoint.0, self.apart.as_deref())
    }

    /// Where else the log that the header names was found, in words to be put into a sentence.
    pub fn but_apart(&self) -> String {
        self.apart.as_ref().map_or_else(String::new, |apart| format!(", but in {}", apart.display()))
    }

    /// The control file of the sidecar, to be looked at.
    pub fn control(&self, env: &Env) -> Result<Option<Control>> {
        match &self.sidecar {
            LogPlace::Here(dir) | LogPlace::Moved(dir, _) => Control::open(&*env.disk, dir, OpenMode::Read),
            _ => Ok(None),
        }
    }

    /// What the file's log has and the file does not account for, and the damage that this is: an older copy of the file was put
    /// in its place. The control file says so, unless it is an older one, too; the segments say so in any case.
    pub fn newer_log(&self, env: &Env, path: &Path, link: &LogLink) -> Result<Option<NewerLog>> {
        if let Some(LeftLog { place, damage, .. }) = &self.left {
            let control = Control::open(&*env.disk, place.dir(), OpenMode::Read).ok().flatten();
            let held = proven(env, place.dir(), self.file_id, control.as_ref())?;
            return Ok(Some(NewerLog { damage: damage.clone(), held, is_of_file: true }));
        }
        let (dir, copied) = match &self.sidecar {
            LogPlace::Here(dir) | LogPlace::Damaged(dir, _) => (dir, false),
            LogPlace::Moved(dir, moved) => (dir, moved.log),
            _ => return Ok(None),
        };
        if link.kind != LogKind::Sidecar {
            return Ok(None);
        }
        let word = Word { file_id: self.file_id, link, checkpoint: self.checkpoint };
        let (last, _) = word.holds();
        let control = self.control(env).unwrap_or_default();
        let held = beyond_file(env, word, dir, control.as_ref(), copied)?;
        // Also if it names a log of before that one: what begins another one lowers this word first.
        let durable = control.as_ref().map(Control::durable).filter(|durable| !link.open && *durable > last);
        let more = durable.max(held.as_ref().map(|held| held.last));
        if more.is_none() && !copied && control.as_ref().is_some_and(|control| self.is_older(control, link)) {
            let held = proven(env, dir, self.file_id, control.as_ref())?;
            return Ok(Some(NewerLog { damage: older_file(path, dir), held, is_of_file: true }));
        }
        let reach = held.as_ref().map(|held| held.last);
        let damage = |more| match reach {
            Some(reach) if reach >= more => older_than_its_log(path, dir, last, more, link.part),
            reach => older_than_what_its_log_had(path, dir, last, (more, reach), link.part),
        };
        Ok(more.map(|more| NewerLog { damage: damage(more), held, is_of_file: false }))
    }

    /// The last commit that the file holds, as far as its header tells.
    pub fn holds(&self, link: &LogLink) -> LogIndex {
        Word { file_id: self.file_id, link, checkpoint: self.checkpoint }.holds().0
    }

    /// Whether the log that `control` is of has seen a newer header than the file's. One that goes on from what the file holds tells
    /// itself what the file lacks.
    fn is_older(&self, control: &Control, link: &LogLink) -> bool {
        let goes_on = link.open && control.current_log().log_id == link.id;
        control.file_generation() > self.generation && !goes_on
    }

    /// What the file is. Upholds I33.
    pub fn standing(&self, env: &Env, store: &Store) -> Result<Standing> {
        let (link, manifest) = (store.log_link(), store.manifest());
        let unused = manifest.checkpoint.log_index == LogIndex(0) && !link.open;
        let control = self.control(env)?;
        let fence = match control.as_ref().map(Control::fence).transpose() {
            // Damage there locks nobody out of reading; who opens for writing is told of it by the sidecar itself.
            Err(e) if e.code() == ErrorCode::Corrupt => None,
            fence => fence?,
        };
        // As the open that settles it has it.
        let settled = control.as_ref().zip(fence.as_ref());
        let settled = settled.and_then(|(control, fence)| fence_by_header(control, fence, &link, [u8::MAX; 16]));
        let fence = settled.map(|(fence, _)| fence).or(fence);
        let fenced = fence.is_some_and(|fence| fence.moved_by.is_some());
        if link.kind != LogKind::Sidecar {
            // A sidecar beside a file that does not name it is of before the file's first commit.
            let said =
                fence.map(|fence| if fence.follows { ReplicationRole::Replica } else { ReplicationRole::Primary });
            return Ok(match unused {
                true if fenced => Standing::Fenced,
                true if control.as_ref().is_some_and(Control::is_half_made) => Standing::Replica,
                // Its file was made for a replica, and nothing else of that.
                true if matches!(link.part, Part::Follows(_)) => {
                    Standing::Unused(said.or(Some(ReplicationRole::Replica)))
                }
                true => Standing::Unused(said),
                // An older copy of its file, of before it led.
                false if fenced => Standing::Fenced,
                false => Standing::StandAlone,
            });
        }
        let led = manifest.history.last().map_or(Epoch(1), |led| led.epoch);
        let standing = match (&fence, link.part) {
            (Some(fence), _) if fence.follows => Standing::Replica,
            (Some(_), _) if fenced => Standing::Fenced,
            (Some(fence), _) => Standing::Leads(fence.epoch.max(led)),
            (None, Part::Follows(_)) => Standing::Replica,
            (None, Part::Fenced { .. }) => Standing::Fenced,
            (None, Part::Leads(epoch)) => Standing::Leads(epoch.max(led)),
            (None, Part::Unsaid | Part::StandAlone) => Standing::Leads(led),
        };
        Ok(match standing {
            Standing::Replica if unused => Standing::Unused(Some(ReplicationRole::Replica)),
            // A promotion made it lead, which fenced another node: that goes by name only, also where nothing was committed.
            Standing::Leads(epoch) if unused && epoch <= Epoch(1) => Standing::Unused(Some(ReplicationRole::Primary)),
            standing => standing,
        })
    }

    /// The last commit, as far as it can be told without reading the log.
    pub fn last(&self, env: &Env, store: &Store) -> Result<Token> {
        let (link, manifest) = (store.log_link(), store.manifest());
        let led = manifest.history.last().map_or(manifest.checkpoint.epoch, |led| led.epoch);
        let in_file = link.clean_tail.map_or(manifest.checkpoint.log_index, |(index, _)| index);
        let named = link.kind == LogKind::Sidecar && link.open;
        let in_log = self.control(env)?.filter(|_| named).map(|control| control.published());
        Ok(Token::new(led, in_log.unwrap_or(in_file).max(in_file)))
    }

    /// Fails unless the log of a primary is there, and is its own. Upholds I33.
    pub fn require_own(&self, path: &Path, standing: Standing, link: &LogLink) -> Result<()> {
        if matches!(standing, Standing::Unused(_) | Standing::StandAlone) {
            return Ok(());
        }
        match &self.sidecar {
            LogPlace::Here(_) | LogPlace::Damaged(..) => Ok(()),
            place @ (LogPlace::Moved(..) | LogPlace::Copied(_)) => Err(files_moved(path, place)),
            place => Err(self.log_is_gone(path, place, link)),
        }
    }

    /// The folder in which an engine of that role keeps its log.
    pub fn dir_for(&self, role: ReplicationRole) -> &Path {
        match role {
            ReplicationRole::Disabled => self.private.dir(),
            _ => self.sidecar.dir(),
        }
    }

    /// The folder of the log that the header names.
    pub fn dir_named(&self, link: &LogLink) -> &Path {
        match link.kind {
            LogKind::Private => self.private.dir(),
            LogKind::None | LogKind::Sidecar => self.sidecar.dir(),
        }
    }

    /// The folder of the private log that the header names, which must be there.
    pub fn private_log(&self, path: &Path, link: &LogLink) -> Result<&Path> {
        match &self.private {
            LogPlace::Here(dir) | LogPlace::Moved(dir, _) | LogPlace::Damaged(dir, _) => Ok(dir),
            place => Err(self.log_is_gone(path, place, link)),
        }
    }

    /// Why the log that the header names cannot be read, if it is not there, or is that of another file.
    pub fn gone(&self, path: &Path, link: &LogLink) -> Option<Error> {
        let place = if link.kind == LogKind::Private { &self.private } else { &self.sidecar };
        match place {
            LogPlace::Damaged(_, e) => Some(e.clone()),
            LogPlace::Here(_) | LogPlace::Moved(..) => None,
            place => Some(self.log_is_gone(path, place, link)),
        }
    }
}

/// That the file at `path` was closed, as `link`, its header, says, with fewer commits than are `durable` in its log in `dir`.
/// Also if it names a log of before that one: what begins another one lowers that word first.
pub(crate) fn newer_than(path: &Path, dir: &Path, link: &LogLink, durable: LogIndex) -> Option<String> {
    let (tail, _) = link.clean_tail.filter(|_| link.kind == LogKind::Sidecar && !link.open)?;
    (durable > tail).then(|| older_than_its_log(path, dir, tail, durable, link.part).to_string())
}

/// The error of a sidecar that is given to a file which has none.
pub(super) fn has_no_sidecar(path: &Path, given: &Path) -> Error {
    let what = format_args!(
        "{} has no part in replication, and so no replication sidecar, which was said to be {}: leave that option out \
         (replication_sidecar_path, --sidecar), or say what part it is to have",
        path.display(),
        given.display()
    );
    Error::new(ErrorCode::InvalidOption, what).with_path(given)
}
