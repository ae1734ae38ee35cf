//! What all opens of one file in this process share: its engine, and its part in replication.

use super::{
    cut_short::end_what_was_cut_short,
    place_of_replica::{LeftLog, make_place, put_back},
};
use crate::{
    db::{
        Damage, Engine, OpenOptions, ReplicationRole, default_sidecar, identity_of, is_absent, make_file, mend_replica,
        require_no_log_left, require_place_for_sidecar, resolved, revive, unmake_file,
    },
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    io::{Env, FileIdentity, OpenMode},
    lock::Mutex,
    log::{Control, RetentionAnswer},
    replication::{
        Checkpointer, FollowedLog, Follower, LocalSource, Registry, Remembered, Replica, ReplicaReplicationStatus,
        RetentionOutcome, RetentionWindows, Rival, Source, SourcePaths, Unnamed, look_at_replica, not_configured,
        remember, remembered, remembered_in, rivals_of_replica,
    },
};
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// How often a full disk is tried again where other processes are to be told something.
const FULL: Duration = Duration::from_secs(1);
/// How often it is looked whether a disk got full, where it matters and nobody came to say it.
const ROOM: Duration = Duration::from_secs(30);

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
    source_env: Env,
    opens: Mutex<usize>,
    slot: Slot,
    keeper: Mutex<Option<JoinHandle<()>>>,
    stopping: Arc<AtomicBool>,
}

impl OpenFile {
    /// What this process shares of the file at `path`. An open that is refused leaves nothing.
    pub fn open(env: Env, source_env: Env, path: &Path, options: OpenOptions) -> Result<Arc<Self>> {
        options.validate()?;
        let path = resolved(&env, path)?;
        if let Some(left) = LeftLog::at(&env, &path) {
            left.require_given_up(&env, &source_env, &path, &options)?;
        }
        if options.read_only {
            let engine = Engine::open_read_only(env, path, options, None)?;
            engine.require_complete()?;
            return Self::assemble(engine, source_env, Slot::default());
        }
        if options.role != Some(ReplicationRole::Replica) {
            return Self::open_for_writing(&env, &source_env, &path, &options);
        }
        // A replica whose file does not open is reseeded in place.
        given_source(&env, &source_env, &path, &options)?;
        revive(&env, &path, &options, Damage::ToHeader)?;
        match Self::open_for_writing(&env, &source_env, &path, &options) {
            Err(e) if e.code() == ErrorCode::Corrupt && revive(&env, &path, &options, Damage::Anywhere)? => {
                Self::open_for_writing(&env, &source_env, &path, &options)
            }
            opened => opened,
        }
    }

    fn open_for_writing(env: &Env, source_env: &Env, path: &Path, options: &OpenOptions) -> Result<Arc<Self>> {
        let given = given_source(env, source_env, path, options)?;
        let source = given.as_ref().map(|given| match given.missing {
            true => Err(no_such_source(&given.paths.db)),
            false => Ok(given.paths.db.as_path()),
        });
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
            return file.share(options, given.as_ref().map(|given| &given.paths));
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
        file.start_keeper();
        *current = Arc::downgrade(&file);
        Ok(file)
    }

    fn open_at(
        env: &Env,
        source_env: &Env,
        path: &Path,
        options: &OpenOptions,
        (identity, slot): (FileIdentity, &Slot),
        given: Option<GivenSource>,
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
            stopping: Arc::default(),
        }))
    }

    /// With what a replica follows: the source that was given, or the one that it followed last.
    fn as_opened(self: Arc<Self>, given: Option<GivenSource>) -> Result<Arc<Self>> {
        let (Some(control), Some(followed_log)) = (self.engine.sidecar.clone(), self.followed_log.clone()) else {
            return Ok(self);
        };
        if self.engine.role() != ReplicationRole::Replica {
            return Ok(self);
        }
        let known = self.remembered();
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
            return Err(not_configured());
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
        let replica = Arc::new(replica);
        if left.is_some() || new {
            replica.tries_source();
        }
        if let Some(left) = left {
            let source = Arc::new(self.source(&left));
            replica.leaves(left, source);
        }
        let mut file = self;
        if let Some(file) = Arc::get_mut(&mut file) {
            file.replica = Some(replica);
        }
        Ok(file)
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
        let Remembered { paths, astray, file_id } = self.remembered().ok_or_else(not_configured)?;
        let source = Arc::new(self.source(&paths).remembered_as(astray, file_id));
        let of_it = (Some(paths), source as Arc<dyn Source>);
        Ok(Some(Replica::new(&self.engine, control.clone(), followed_log.clone(), self.source_env.clone(), of_it)))
    }

    /// A source on paths.
    pub fn source(&self, paths: &SourcePaths) -> LocalSource {
        let env = self.source_env.clone();
        let checkpointer: Checkpointer = Arc::new(move |path| checkpoint_here(&env, path));
        LocalSource::new(self.source_env.clone(), paths.clone(), checkpointer)
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
    fn share(self: Arc<Self>, options: &OpenOptions, source: Option<&SourcePaths>) -> Result<Arc<Self>> {
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
        } else if let Some(name) = options.contradicts(&engine.options) {
            format!("with another {name}, which all opens of it share")
        } else {
            *self.opens.lock() += 1;
            return Ok(self);
        };
        let what = format_args!("{path} is open in this process {what}: open it the same way, or close it first");
        Err(Error::new(ErrorCode::InvalidOption, what))
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
        file.stopping.store(true, Ordering::Release);
        drop(file.follower.lock().take());
        if let Some(keeper) = file.keeper.lock().take()
            && keeper.thread().id() != std::thread::current().id()
        {
            file.engine.sidecar.iter().for_each(|control| control.wake_writer());
            let _ = keeper.join();
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

    /// One thread that makes the checkpoints that other processes ask for, and runs retention if that is asked for.
    fn start_keeper(self: &Arc<Self>) {
        let (Some(control), true) = (self.engine.sidecar.clone(), self.engine.options.background) else { return };
        let (file, stopping) = (Arc::downgrade(self), self.stopping.clone());
        let interval = self.engine.options.retention.interval_ms.map(Duration::from_millis);
        let spawned = std::thread::Builder::new().name("kitedb-keeper".to_owned()).spawn(move || {
            let mut done = control.checkpoints_done();
            // Whether there was no room to say something: nobody tells when there is.
            let mut full = false;
            if control.retention_is_asked() {
                // Asked of the process before this one: who asked does so again if it still wants it.
                full = !said(control.answer_retention(RetentionAnswer::Dropped));
            }
            while !stopping.load(Ordering::Acquire) {
                let still = || !stopping.load(Ordering::Acquire);
                full |= control.pay().is_err();
                let look = if full { Some(FULL) } else { control.may_owe().then_some(ROOM) };
                let timeout = [interval, look].into_iter().flatten().min();
                // Who waits for room does not do again at once what it has no room for.
                control.wait_for_request((!full).then_some(done), timeout, &still);
                let Some(file) = file.upgrade().filter(|_| still()) else { return };
                let retain = interval.is_some() && !full;
                let keep = || file.keep(&control, &mut done, retain);
                full = match catch_unwind(AssertUnwindSafe(keep)) {
                    Ok(was_said) => !was_said,
                    Err(panic) => {
                        file.engine.note_panic("retention, or the answer to a request,", &*panic);
                        // Who asked learns of it. It goes on: who asks next is told, too.
                        done = control.checkpoints_asked();
                        let failed = RetentionAnswer::Failed(Some(ErrorCode::Poisoned));
                        control.retention_is_asked() && !said(control.answer_retention(failed))
                    }
                };
            }
        });
        match spawned {
            Ok(thread) => *self.keeper.lock() = Some(thread),
            Err(e) => tracing::warn!("cannot start a thread for retention and requests of replicas: {e}"),
        }
    }

    /// Does what was asked for. Returns whether that could be said.
    fn keep(&self, control: &Control, done: &mut u64, retain: bool) -> bool {
        if let Some([min_entries, min_ms, max_bytes, max_lag_ms]) = control.asked_retention() {
            let windows = RetentionWindows { min_entries, min_ms, max_bytes, max_lag_ms };
            let answer = match self.run_retention(&windows) {
                Ok(done) => RetentionAnswer::Ran(done.pruned_segments, done.retained_floor),
                Err(e) => {
                    tracing::warn!("retention that another process asked for failed: {e}");
                    RetentionAnswer::Failed(Some(e.code()))
                }
            };
            return said(control.answer_retention(answer));
        }
        let asked = control.checkpoints_asked();
        if asked != *done {
            match self.engine.checkpoint_to_be_copied() {
                Ok(()) if !said(control.set_checkpoints_done(asked)) => return false,
                Ok(()) => {}
                Err(e) => tracing::warn!("a checkpoint that a replica asked for failed: {e}"),
            }
            *done = asked;
        } else if let Some(followed_log) = self.followed_log.as_ref().filter(|_| retain)
            && let Err(e) = followed_log.run_retention(&self.engine.options.retention)
        {
            tracing::warn!("retention failed: {e}");
        }
        true
    }
}

/// Whether who asked is told. If not, for want of room, he is told later.
fn said(stored: Result<()>) -> bool {
    if let Err(e) = &stored {
        tracing::warn!("what another process asked for was not answered: {e}");
    }
    stored.is_ok()
}

/// Runs retention on behalf of who is no handle to the file.
pub(super) fn run_retention(
    followed_log: &FollowedLog,
    engine: &Engine,
    windows: &RetentionWindows,
) -> Result<RetentionOutcome> {
    if engine.role() == ReplicationRole::Primary {
        engine.require_leading(engine.epoch())?;
    }
    let mut retention = engine.options.retention;
    retention.min_entries = windows.min_entries.unwrap_or(retention.min_entries);
    retention.min_ms = windows.min_ms.or(retention.min_ms);
    retention.max_bytes = windows.max_bytes.or(retention.max_bytes);
    retention.max_lag_ms = windows.max_lag_ms.or(retention.max_lag_ms);
    followed_log.run_retention(&retention)
}

pub(super) fn not_primary(path: &Path) -> Error {
    Error::new(ErrorCode::NotPrimary, format_args!("{} is not opened in primary role", path.display()))
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

/// A source that a caller named.
struct GivenSource {
    paths: SourcePaths,
    /// As it was said.
    named: PathBuf,
    /// Whether there is no such file now.
    missing: bool,
}

fn no_such_source(db: &Path) -> Error {
    Error::new(ErrorCode::InvalidOption, format_args!("source db path does not exist: {}", db.display()))
}

/// The source that the options of an open name, if they name one and ask for a replica. A file that is to be made for one
/// must be able to follow it.
fn given_source(env: &Env, source_env: &Env, path: &Path, options: &OpenOptions) -> Result<Option<GivenSource>> {
    let asked = options.role == Some(ReplicationRole::Replica);
    if options.role.is_some() && !asked {
        return Ok(None);
    }
    let is_new = is_absent(env, path);
    let own = options.sidecar_path.clone().unwrap_or_else(|| default_sidecar(path));
    let own = env.disk.resolve(&own).unwrap_or(own);
    let Some(db) = options.source_db_path.clone() else {
        if asked && is_new {
            // Where its log is left, that is what is so.
            return require_no_log_left(env, path).and_then(|()| Err(not_configured()));
        }
        let unknown = || is_log_of_replica(env, &own) && remembered_in(&*env.disk, &own, path, source_env).is_none();
        return if asked && unknown() { Err(not_configured()) } else { Ok(None) };
    };
    let paths = SourcePaths { db, sidecar: options.source_sidecar_path.clone() };
    let given = checked_source(env, source_env, path, &own, paths)?;
    // Before anything is mended for it. Of a replica whose log lies elsewhere that is seen once it is open.
    let never_was = || {
        let known = || remembered_in(&*env.disk, &own, path, source_env);
        is_log_of_replica(env, &own) && known().is_none_or(|known| known.paths.db != given.paths.db)
    };
    if given.missing && (is_new || never_was()) { Err(no_such_source(&given.paths.db)) } else { Ok(Some(given)) }
}

/// Whether the log of a replica is in `dir`, as far as its control file can be read.
fn is_log_of_replica(env: &Env, dir: &Path) -> bool {
    Control::open(&*env.disk, dir, OpenMode::Read).is_ok_and(|found| found.is_some_and(|control| control.is_replica()))
}

/// The source at `paths`, resolved, if the database at `path` with the sidecar `own` can follow it.
fn checked_source(env: &Env, source_env: &Env, path: &Path, own: &Path, paths: SourcePaths) -> Result<GivenSource> {
    let invalid = |what: std::fmt::Arguments<'_>| Error::new(ErrorCode::InvalidOption, what);
    let SourcePaths { db, sidecar } = paths;
    let shown = db.display();
    if source_env.disk.is_dir(&db) {
        return Err(invalid(format_args!("source db path must be a file: {shown} is a folder")));
    }
    let not_found = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
    let resolve = |path: &Path| match source_env.disk.resolve(path) {
        // Its folder is away: then nothing leads there that could be followed now.
        Err(e) if not_found(&e) => std::path::absolute(path),
        resolved => resolved,
    };
    let resolved = resolve(&db).map_err(|e| Error::io("look at", &db, e))?;
    let missing = match source_env.disk.identity(&resolved) {
        Err(e) if not_found(&e) => true,
        found => {
            let found = found.map_err(|e| Error::io("look at", &db, e))?;
            if env.disk.identity(path).is_ok_and(|own| own == found) {
                return Err(invalid(format_args!("source db path must differ from the replica's own: {shown}")));
            }
            false
        }
    };
    let sidecar = sidecar.map(|dir| resolve(&dir).map_err(|e| Error::io("look at", &dir, e))).transpose()?;
    let named = db.clone();
    let paths = SourcePaths { db: resolved, sidecar };
    let dir = paths.sidecar_shown();
    let shown = dir.display();
    if let Ok(found) = source_env.disk.identity(&dir) {
        if !source_env.disk.is_dir(&dir) {
            return Err(invalid(format_args!("source sidecar path must be a directory: {shown} is a file")));
        }
        if env.disk.identity(own).is_ok_and(|own| own == found) {
            return Err(invalid(format_args!("source sidecar path must differ from the replica's own: {shown}")));
        }
    }
    if dir == own && Arc::ptr_eq(&env.disk, &source_env.disk) {
        return Err(invalid(format_args!("source sidecar path must differ from the replica's own: {shown}")));
    }
    Ok(GivenSource { paths, named, missing })
}
