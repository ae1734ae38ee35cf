//! What all opens of one file in this process share: its engine, and its part in replication.

use super::{
    cut_short::end_what_was_cut_short,
    given_source::{Given, GivenSource, checked_source, given_source, no_such_source},
    keeper::{Keeper, run_retention},
    place_of_replica::{LeftLog, make_place, put_back, require_no_place_of_a_replica},
};
use crate::{
    db::{
        Damage, Engine, OpenOptions, ReplicationRole, identity_of, is_absent, make_file, mend_replica,
        require_no_log_left, require_outside_of_logs, require_place_for_sidecar, resolved, revive, unmake_file,
    },
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    io::{Env, FileIdentity},
    lock::Mutex,
    replication::{
        Checkpointer, FollowedLog, Follower, Guarded, LocalSource, Registry, Remembered, Replica,
        ReplicaReplicationStatus, RetentionOutcome, RetentionWindows, Rival, Source, SourcePaths, SourcePlace, Unnamed,
        look_at_replica, not_configured, recall, remember, remembered, rivals_of_replica,
    },
    shell::command,
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Weak},
};

/// Where a file is noted that this process has open. Its lock is held while the file is opened and closed, so that an open
/// waits for a close in progress and two opens share one [`OpenFile`].
type Slot = Arc<Mutex<Weak<OpenFile>>>;

/// The slot of every file that is open for writing in this process. Upholds I25.
static SLOTS: LazyLock<Mutex<HashMap<FileIdentity, Slot>>> = LazyLock::new(Mutex::default);

fn slot_of(identity: FileIdentity) -> Slot {
    let mut slots = SLOTS.lock();
    slots.retain(|_, slot| Arc::strong_count(slot) > 1);
    slots.entry(identity).or_default().clone()
}

/// Whether this process has that file open for writing.
pub(super) fn open_here(identity: FileIdentity) -> bool {
    let slot = SLOTS.lock().get(&identity).cloned();
    slot.is_some_and(|slot| slot.lock().upgrade().is_some_and(|file| !file.engine.is_closed()))
}

/// See the [module documentation](self). Locks are taken in this order: `slot`, `opens`, then the engine's.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub engine: Arc<Engine>,
    /// The log that others follow: of a file with a sidecar.
    pub followed_log: Option<Arc<FollowedLog>>,
    /// Of a file that was opened as a replica.
    pub replica: Option<Arc<Replica>>,
    pub follower: Mutex<Option<Follower>>,
    /// Where the source's paths are.
    pub source_env: Env,
    opens: Mutex<usize>,
    slot: Slot,
    keeper: Mutex<Option<Keeper>>,
}

impl OpenFile {
    /// What this process shares of the file at `path`. An open that is refused leaves nothing.
    pub fn open(env: Env, source_env: Env, path: &Path, options: OpenOptions) -> Result<Arc<Self>> {
        Self::open_as(env, source_env, path, options, None)
    }

    /// As [`OpenFile::open`], of a replica that follows a source of the caller's own.
    pub fn open_following(
        env: Env,
        source_env: Env,
        path: &Path,
        options: OpenOptions,
        source: Arc<dyn Source>,
    ) -> Result<Arc<Self>> {
        let invalid = |what| Err(Error::new(ErrorCode::InvalidOption, what));
        if options.role.is_some_and(|role| role != ReplicationRole::Replica) {
            return invalid("a source is given to a database that is no replica: open it in replica role");
        }
        if options.source_db_path.is_some() {
            return invalid("a source is given, and replication_source_db_path names another one: leave that out");
        }
        if options.read_only {
            return invalid("a source is given to an open for reading, which follows none: open it without read_only");
        }
        let options = options.replication_role(ReplicationRole::Replica);
        Self::open_as(env, source_env, path, options, Some(source))
    }

    fn open_as(
        env: Env,
        source_env: Env,
        path: &Path,
        options: OpenOptions,
        own: Option<Arc<dyn Source>>,
    ) -> Result<Arc<Self>> {
        options.validate()?;
        let path = resolved(&env, path)?;
        if !options.read_only {
            require_outside_of_logs(&env, &path)?;
        }
        match LeftLog::at(&env, &path) {
            Some(left) => left.require_given_up(&env, &source_env, &path, &options)?,
            None => require_no_place_of_a_replica(&env, &source_env, &path, &options)?,
        }
        if options.read_only {
            let engine = Engine::open_read_only(env, path, options, None)?;
            engine.require_complete()?;
            return Self::assemble(engine, source_env, Slot::default());
        }
        if options.role != Some(ReplicationRole::Replica) {
            return Self::open_for_writing(&env, &source_env, &path, &options, None);
        }
        // A replica whose file does not open is reseeded in place.
        if own.is_none() {
            given_source(&env, &source_env, &path, &options)?;
        }
        revive(&env, &path, &options, Damage::ToHeader)?;
        match Self::open_for_writing(&env, &source_env, &path, &options, own.as_ref()) {
            Err(e) if e.code() == ErrorCode::Corrupt && revive(&env, &path, &options, Damage::Anywhere)? => {
                Self::open_for_writing(&env, &source_env, &path, &options, own.as_ref())
            }
            opened => opened,
        }
    }

    fn open_for_writing(
        env: &Env,
        source_env: &Env,
        path: &Path,
        options: &OpenOptions,
        own: Option<&Arc<dyn Source>>,
    ) -> Result<Arc<Self>> {
        let given = match own {
            Some(own) => Given::Own(own.clone()),
            None => Given::Place(given_source(env, source_env, path, options)?),
        };
        let source = match &given {
            Given::Own(_) => None,
            Given::Place(given) => given.as_ref().map(|given| match given.missing {
                true => Err(no_such_source(&given.paths.db)),
                false => Ok(given.paths.db.as_path()),
            }),
        };
        let aside = make_place((env, source_env), path, options, source)?;
        let mut made = false;
        if options.create_if_missing && is_absent(env, path) {
            let make = || {
                require_no_log_left(env, path)?;
                require_place_for_sidecar(env, path, options)?;
                make_file(env, path, options.role)
            };
            made = make().inspect_err(|_| put_back(env, path, aside.as_ref()))?;
        }
        let identity = identity_of(env, path)?;
        let slot = slot_of(identity);
        let mut current = slot.lock();
        if let Some(file) = current.upgrade()
            && !file.engine.env.host.forked()
            && !file.engine.is_closed()
        {
            return file.share(options, &given);
        }
        end_what_was_cut_short(env, source_env, path, options)?;
        mend_replica(env, path, options, &Registry::reported_in)?;
        let file = Self::open_at(env, source_env, path, options, (identity, &slot), given);
        let file = file.inspect_err(|_| {
            if made {
                unmake_file(env, path, identity, options.sidecar_path.as_deref());
                put_back(env, path, aside.as_ref());
            }
        })?;
        file.engine.opened.note_aside(aside.and_then(|aside| aside.settle(env)));
        if file.engine.options.read_only {
            return Ok(file);
        }
        // Until it holds something: a bootstrap or an import that is refused leaves nothing.
        file.engine.opened.note_file(made);
        file.followed_log.iter().for_each(|followed_log| followed_log.tell_windows());
        *file.keeper.lock() = Keeper::start(&file.engine, file.followed_log.as_ref());
        *current = Arc::downgrade(&file);
        Ok(file)
    }

    fn open_at(
        env: &Env,
        source_env: &Env,
        path: &Path,
        options: &OpenOptions,
        (identity, slot): (FileIdentity, &Slot),
        given: Given,
    ) -> Result<Arc<Self>> {
        let (env, source_env, path, options) = (env.clone(), source_env.clone(), path.to_owned(), options.clone());
        let engine = match Engine::open_for_writing(env.clone(), path.clone(), options.clone(), identity, false) {
            // A primary that was copied reads, until its operator says what it is.
            Err(e) if e.code() == ErrorCode::FilesMoved => {
                let engine = Engine::open_read_only(env, path, options.read_only(true), Some(e))?;
                engine.require_complete()?;
                return Self::assemble(engine, source_env, Slot::default());
            }
            engine => engine?,
        };
        let file = engine.require_complete().and_then(|()| Self::assemble(engine.clone(), source_env, slot.clone()));
        let file = file.and_then(|file| file.as_opened(given));
        file.inspect_err(|_| engine.give_up())
    }

    fn assemble(engine: Arc<Engine>, source_env: Env, slot: Slot) -> Result<Arc<Self>> {
        let followed_log = match &engine.sidecar {
            Some(control) => Some(Arc::new(FollowedLog::new(&engine, control.clone())?)),
            None => None,
        };
        Ok(Arc::new(Self {
            engine,
            followed_log,
            replica: None,
            follower: Mutex::new(None),
            source_env,
            opens: Mutex::new(1),
            slot,
            keeper: Mutex::new(None),
        }))
    }

    /// With what a replica follows: the source that was given, or the one that it followed last.
    fn as_opened(self: Arc<Self>, given: Given) -> Result<Arc<Self>> {
        let (Some(control), Some(followed_log)) = (self.engine.sidecar.clone(), self.followed_log.clone()) else {
            self.engine.options.require_nothing_of_a_replica(&self.engine.path)?;
            return Ok(self);
        };
        if self.engine.role() != ReplicationRole::Replica {
            return Ok(self);
        }
        let given = match given {
            Given::Place(given) => given,
            Given::Own(source) => {
                let env = self.source_env.clone();
                let replica = Replica::new(&self.engine, control, followed_log, env, (None, Guarded::around(source)));
                return Ok(self.with_replica(replica));
            }
        };
        let known = match recall(&self.engine, &self.source_env) {
            // Who names a source does without; for who does not, it is not one that was never named.
            Err(e) if given.is_none() => return Err(e),
            known => known.unwrap_or_default(),
        };
        let left = known.as_ref().map(|known| known.paths.clone());
        let known_before = left.is_some();
        let source = match given {
            // A source that is away is a state; one that never was there is a mistake.
            Some(GivenSource { paths, missing: true, .. }) if left.as_ref().is_none_or(|left| left.db != paths.db) => {
                return Err(no_such_source(&paths.db));
            }
            Some(GivenSource { paths, named, .. }) => Some(self.as_known(paths, &named, known.as_ref())),
            None => known,
        };
        let (paths, astray, known_as) =
            source.map_or((None, None, None), |source| (Some(source.paths), source.astray, source.file_id));
        if paths.is_none() && self.engine.options.role == Some(ReplicationRole::Replica) {
            return Err(self.source_is_not_known());
        }
        let left = left.filter(|left| paths.as_ref().is_some_and(|paths| paths.db != left.db));
        // Another source takes the place of the one that is known once the replica has followed it, and of none where it
        // holds something that may not be of that one's history.
        let new = !known_before && self.engine.published() > LogIndex(0);
        let settled = !self.engine.is_foreign() && left.is_none() && astray.is_none() && !new;
        if let Some(paths) = paths.as_ref().filter(|_| settled) {
            remember(&self.engine, &self.source_env, paths, false)?;
        }
        let source: Arc<dyn Source> = match &paths {
            Some(paths) => Arc::new(self.source(paths).remembered_as(astray, known_as)),
            None => Arc::new(Unnamed::default()),
        };
        let replica = Replica::new(&self.engine, control, followed_log, self.source_env.clone(), (paths, source));
        if left.is_some() || new {
            replica.tries_source();
        }
        if let Some(left) = left {
            let source = Arc::new(self.source(&left));
            replica.leaves(left, source);
        }
        Ok(self.with_replica(replica))
    }

    /// Why a replica that remembers no source does not follow: its log, which did, is not there, or it was never told one.
    fn source_is_not_known(&self) -> Error {
        let engine = &self.engine;
        let is_missed =
            engine.opened.made_for_nothing().is_some() && engine.store.manifest().checkpoint.log_index.0 > 0;
        match is_missed {
            true => not_configured().and(format_args!(
                "the log of this replica, which remembered that, is not in {}: put it back, or say where it is \
                 (replication_sidecar_path, --sidecar), or begin a new one with the source that is named ({})",
                engine.log_dir.display(),
                command("replica follow", &engine.path, "--source-db SOURCE")
            )),
            false => not_configured(),
        }
    }

    fn with_replica(mut self: Arc<Self>, replica: Replica) -> Arc<Self> {
        if let Some(file) = Arc::get_mut(&mut self) {
            file.replica = Some(Arc::new(replica));
        }
        self
    }

    /// The source at `paths`, which a caller called `named`: the one that is `known`, if that is meant.
    fn as_known(&self, paths: SourcePaths, named: &Path, known: Option<&Remembered>) -> Remembered {
        let known = known.filter(|known| known.is_named(&self.source_env, named, &paths.db));
        let db = known.map_or(paths.db, |known| known.paths.db.clone());
        let file_id = known.and_then(|known| known.file_id);
        Remembered { paths: SourcePaths { db, ..paths }, astray: None, file_id }
    }

    /// The replica that this node is by its file, if it was opened as a primary: until it takes over it only reads.
    pub fn opened_as_a_primary(&self) -> Result<Option<Replica>> {
        let (Some(control), Some(followed_log), None) = (&self.engine.sidecar, &self.followed_log, &self.replica)
        else {
            return Ok(None);
        };
        let follows = self.engine.role() == ReplicationRole::Primary && self.engine.is_fenced() && control.is_replica();
        if !follows || self.engine.options.read_only {
            return Ok(None);
        }
        // A fence that cannot be read is told by what moves it.
        control.fence()?;
        let Remembered { paths, astray, file_id } =
            recall(&self.engine, &self.source_env)?.ok_or_else(not_configured)?;
        let source = Arc::new(self.source(&paths).remembered_as(astray, file_id));
        let of_it = (Some(paths), source as Arc<dyn Source>);
        Ok(Some(Replica::new(&self.engine, control.clone(), followed_log.clone(), self.source_env.clone(), of_it)))
    }

    /// A source on paths.
    pub fn source(&self, paths: &SourcePaths) -> LocalSource {
        source_on(&self.source_env, paths.clone())
    }

    /// The source that this node followed last.
    pub fn remembered(&self) -> Option<Remembered> {
        remembered(&self.engine, &self.source_env)
    }

    /// The status of a replica that is open for reading only.
    pub fn look_at_replica(&self) -> Result<Option<ReplicaReplicationStatus>> {
        let Engine { options, sidecar: Some(control), .. } = &*self.engine else { return Ok(None) };
        let Some(followed_log) = &self.followed_log else { return Ok(None) };
        if !options.read_only || self.engine.role() != ReplicationRole::Replica {
            return Ok(None);
        }
        let given = options.source_db_path.clone();
        let resolved = |path: PathBuf| self.source_env.disk.resolve(&path).unwrap_or(path);
        let known = self.remembered();
        let given = given.map(|named| {
            let db = resolved(named.clone());
            let paths = SourcePaths { db, sidecar: options.source_sidecar_path.clone().map(resolved) };
            self.as_known(paths, &named, known.as_ref())
        });
        let source = (given.or(known.clone()), known);
        look_at_replica(&self.engine, control, followed_log, source, &self.source_env).map(Some)
    }

    /// Fails while the source of this replica is asked by this thread: `what` would wait for that.
    pub fn require_not_asked(&self, what: &str) -> Result<()> {
        if !self.replica.as_ref().is_some_and(|replica| replica.source().is_asked_here()) {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::InvalidArgument,
            format_args!(
                "{what} is called from within the source that this replica follows, while the replica asks it and waits: do it \
                 from another thread, or after that call has returned"
            ),
        )
        .with_path(&self.engine.path))
    }

    /// The rivals of a replica that is open for reading only; `None` of any other open.
    pub fn rivals_of_look(&self) -> Option<Vec<Rival>> {
        let engine = &self.engine;
        let looks = engine.options.read_only && engine.role() == ReplicationRole::Replica;
        looks.then(|| rivals_of_replica(&self.source_env, &engine.path, &engine.log_dir))
    }

    /// Checks paths to follow another source.
    pub fn checked_paths(&self, db: PathBuf, sidecar: Option<PathBuf>) -> Result<SourcePaths> {
        let paths = SourcePaths { db, sidecar };
        let given = checked_source(&self.engine.env, &self.source_env, &self.engine.path, &self.engine.log_dir, paths)?;
        if given.missing { Err(no_such_source(&given.paths.db)) } else { Ok(given.paths) }
    }

    /// Another open of a file that this process has open already.
    fn share(self: Arc<Self>, options: &OpenOptions, given: &Given) -> Result<Arc<Self>> {
        let source = match given {
            Given::Place(given) => given.as_ref().map(|given| &given.paths),
            Given::Own(_) => None,
        };
        let another = match (given, &self.replica) {
            (Given::Own(own), Some(replica)) => !replica.source().stands_for(own),
            (Given::Own(_), None) => true,
            (Given::Place(_), _) => false,
        };
        let (engine, path) = (&self.engine, self.engine.path.display());
        let other_sidecar = || match &options.sidecar_path {
            Some(dir) if engine.sidecar.is_some() => {
                engine.env.disk.resolve(dir).ok().as_ref() != Some(&engine.log_dir)
            }
            _ => false,
        };
        let follows = self.replica.as_ref().and_then(|replica| replica.paths());
        let what = if engine.options.sync_mode != options.sync_mode {
            format!("with sync mode {:?}", engine.options.sync_mode)
        } else if options.role.is_some_and(|role| role != engine.role() && engine.options.role != Some(role)) {
            format!("in {} role", engine.role().as_str())
        } else if other_sidecar() {
            format!("with the sidecar {}", engine.log_dir.display())
        } else if let (Some(source), Some(follows)) = (source, &follows)
            && source.db != follows.db
        {
            format!("following {}, which replica_repoint changes,", follows.db.display())
        } else if another {
            "following another source".to_owned()
        } else if let Some(name) = options.contradicts(&engine.options) {
            format!("with another {name}, which all opens of it share")
        } else {
            *self.opens.lock() += 1;
            return Ok(self);
        };
        let what = format_args!("{path} is open in this process {what}: open it the same way, or close it first");
        Err(Error::new(ErrorCode::InvalidOption, what).with_path(&engine.path))
    }

    /// Ends one open; the last one closes the engine.
    pub fn release(file: &Arc<Self>) -> Result<()> {
        if file.engine.env.host.forked() {
            // The parent goes on with the log and the locks: touch nothing.
            return Ok(());
        }
        let mut slot = file.slot.lock();
        let mut opens = file.opens.lock();
        *opens = opens.saturating_sub(1);
        if *opens > 0 {
            return Ok(());
        }
        drop(opens);
        *slot = Weak::new();
        drop(file.follower.lock().take());
        if let Some(keeper) = file.keeper.lock().take() {
            keeper.stop();
        }
        file.cut_log();
        file.replica.iter().for_each(|replica| replica.end_trial_of_source());
        file.engine.close()
    }

    /// Lets go of what nobody asks for, with some windows in place of this node's. For whoever asks from outside: a
    /// primary that was fenced refuses, as it does its own handles.
    pub fn run_retention(&self, windows: &RetentionWindows) -> Result<RetentionOutcome> {
        let Some(followed_log) = &self.followed_log else { return Err(not_primary(&self.engine.path)) };
        run_retention(followed_log, &self.engine, windows)
    }

    /// A replica's log is cut after its checkpoints; the last one of them is that of its close.
    fn cut_log(&self) {
        let replica = self.engine.role() == ReplicationRole::Replica;
        let Some(followed_log) = self.followed_log.as_ref().filter(|_| replica && !self.engine.options.read_only)
        else {
            return;
        };
        if self.engine.require_undamaged().is_ok()
            && let Err(e) = followed_log.run_retention(&self.engine.options.retention)
        {
            tracing::warn!("a replica's log could not be cut before its close: {e}");
        }
    }
}

pub(super) fn not_primary(path: &Path) -> Error {
    Error::new(ErrorCode::NotPrimary, format_args!("{} is not opened in primary role", path.display())).with_path(path)
}

/// Makes a checkpoint of the database at `path` if this process has it open for writing.
fn checkpoint_here(env: &Env, path: &Path) -> Option<Result<()>> {
    with_open_file(env, path, |file| file.engine.checkpoint_to_be_copied())
}

/// Lets `work` go on at the file at `path` if this process has that open for writing.
pub(super) fn with_open_file<T>(env: &Env, path: &Path, work: impl FnOnce(&OpenFile) -> T) -> Option<T> {
    let identity = env.disk.identity(path).ok()?;
    let slot = SLOTS.lock().get(&identity)?.clone();
    let file = slot.lock().upgrade()?;
    (!file.engine.is_closed()).then(|| work(&file))
}

/// Runs `work` while this process does not open the file at `path` otherwise.
pub(super) fn with_slot<T>(identity: FileIdentity, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let slot = slot_of(identity);
    let _nobody_opens = slot.lock();
    work()
}

/// The source at a place of this machine.
pub(super) fn local_source(env: &Env, place: &SourcePlace) -> LocalSource {
    let SourcePlace::Files { db, sidecar } = place;
    // It leads there wherever the process works later.
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    source_on(env, SourcePaths { db: absolute(db), sidecar: sidecar.as_ref().map(absolute) })
}

fn source_on(env: &Env, paths: SourcePaths) -> LocalSource {
    let checks = env.clone();
    let checkpointer: Checkpointer = Arc::new(move |path| checkpoint_here(&checks, path));
    LocalSource::new(env.clone(), paths, checkpointer)
}
