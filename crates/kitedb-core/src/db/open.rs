//! Opening: one engine per file, recovery of what the log holds beyond the file.

use super::{
    engine::{Commit, Counters, Engine},
    jobs::Jobs,
    options::OpenOptions,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex, Mutations, NameKind, PropKeyId},
    io::{Env, FileIdentity, LockKind, OpenMode},
    log::{FrameRef, LogIdentity, LogOptions, Recovered, RecoveryStart, recover},
    state::{CommitInfo, Delta, Levels, Names, Overlay, Pins, Reading, Totals},
    store::{CheckpointMark, HistoryEntry, LogLink, Manifest, Store, WRITER_LOCK},
};
use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// The place of a file's engine in this process. Its lock is held while the file is opened and closed, so that an
/// open waits for a close in progress and two opens make one engine.
pub(super) type Place = Arc<Mutex<Weak<Engine>>>;

/// The place of every file that is open for writing in this process.
static PLACES: LazyLock<Mutex<HashMap<FileIdentity, Place>>> = LazyLock::new(Mutex::default);

fn place_of(identity: FileIdentity) -> Place {
    let mut places = PLACES.lock();
    places.retain(|_, place| Arc::strong_count(place) > 1);
    places.entry(identity).or_default().clone()
}

/// A read-only open beside a writer starts over if the writer makes a checkpoint meanwhile; so often at most.
const ATTEMPTS: usize = 200;

impl Engine {
    /// The engine of the file at `path`.
    pub(super) fn open(env: Env, path: &Path, options: OpenOptions) -> Result<Arc<Self>> {
        options.validate()?;
        let path = checked_path(&env, path)?;
        if options.read_only {
            return Self::open_read_only(env, path, options);
        }
        let identity = identity_of(&env, &path, options.create_if_missing)?;
        let place = place_of(identity);
        let mut current = place.lock();
        if let Some(engine) = current.upgrade()
            && !engine.env.host.forked()
            && !engine.closed.load(Ordering::Acquire)
        {
            return engine.share(&options);
        }
        let store = open_for_writing(&env, &path)?;
        if store.file().identity().map_err(|e| Error::io("look at", &path, e))? != identity {
            let what = format_args!("{} was replaced while it was being opened: open it again", path.display());
            return Err(Error::new(ErrorCode::Locked, what));
        }
        let mut engine = Self::assemble(env, path, options, store)?;
        engine.place = place.clone();
        let engine = Arc::new(engine);
        engine.recover_for_writing().inspect_err(|_| drop(engine.store.file().unlock(WRITER_LOCK..WRITER_LOCK + 1)))?;
        engine.jobs.attach(&engine);
        *current = Arc::downgrade(&engine);
        Ok(engine)
    }

    /// Another open of a file that this process has open already.
    fn share(self: Arc<Self>, options: &OpenOptions) -> Result<Arc<Self>> {
        if self.options.sync_mode != options.sync_mode {
            let what = format_args!(
                "{} is open in this process with sync mode {:?}: open it with the same one, or close it first",
                self.path.display(),
                self.options.sync_mode
            );
            return Err(Error::new(ErrorCode::InvalidOption, what));
        }
        *self.opens.lock() += 1;
        Ok(self)
    }

    fn open_read_only(env: Env, path: PathBuf, options: OpenOptions) -> Result<Arc<Self>> {
        for attempt in 1.. {
            let store = Store::open(&env, &path, false)?;
            let mut engine = Self::assemble(env.clone(), path.clone(), options.clone(), store)?;
            match engine.recover_for_reading() {
                // The writer may have let go of the segment that was to be read next.
                Ok(Some(_)) if attempt < ATTEMPTS && engine.superseded()? => {}
                Ok(damage) => {
                    engine.damage = damage;
                    return Ok(Arc::new(engine));
                }
                Err(_) if attempt < ATTEMPTS && engine.superseded()? => {}
                Err(e) => return Err(e),
            }
        }
        Err(Error::new(ErrorCode::Internal, "unreachable: the loop returns"))
    }

    /// Whether the file's header has moved on since this engine read it.
    fn superseded(&self) -> Result<bool> {
        Ok(Store::open(&self.env, &self.path, false)?.generation() != self.store.generation())
    }

    /// An engine that shows the file's checkpoint and nothing beyond.
    fn assemble(env: Env, path: PathBuf, options: OpenOptions, store: Store) -> Result<Self> {
        let (manifest, runs) = store.snapshot();
        let CheckpointMark { log_index, epoch, digest, commit_ms } = manifest.checkpoint;
        let names = Names::default();
        for run in runs.iter() {
            define_run_names(&names, run.names()?)?;
        }
        let totals = Totals { nodes: manifest.node_count, edges: manifest.edge_count, vectors: manifest.vector_count };
        let info = CommitInfo { epoch, commit_ms, digest, totals };
        let active = Delta::new(log_index, info, &dense(&manifest.type_counts)?, &dense(&manifest.label_counts)?);
        let levels = Levels { active: Arc::new(active), frozen: None, runs };
        let last = manifest.history.last();
        let commit = Commit {
            appender: None,
            last: log_index,
            digest,
            epoch: last.map_or(Epoch(1), |h| h.epoch),
            writer_id: last.map_or_else(|| env.host.random(), |h| h.writer_id),
            history: manifest.history.clone(),
            frozen_at_bytes: 0,
        };
        let jobs = Jobs::new(options.background && !options.read_only);
        Ok(Self {
            wal_dir: wal_dir(&path),
            names: Arc::new(names),
            next_node: AtomicU64::new(manifest.next_node_id.max(1)),
            commit: Mutex::new(commit),
            levels: ArcSwap::from_pointee(levels),
            pins: Pins::default(),
            published: AtomicU64::new(log_index.0),
            checkpointing: Mutex::new(()),
            compacting: Mutex::new(()),
            publishing: Mutex::new(()),
            checkpointed: Condvar::new(),
            jobs,
            closed: AtomicBool::new(false),
            opens: Mutex::new(1),
            place: Place::default(),
            damage: None,
            counters: Counters::default(),
            env,
            path,
            options,
            store,
        })
    }

    /// Reads the log that the file names, if it names one, and goes on in it.
    fn recover_for_writing(&self) -> Result<()> {
        let link = self.store.log_link();
        if !link.open {
            return Ok(());
        }
        let recovered = self.replay(&link, None, OpenMode::ReadWrite)?;
        let boot = self.env.host.boot_id();
        let same_boot = boot.is_some_and(|boot| boot == link.boot_id);
        // After the end of a machine frames may be gone that someone has seen: their numbers must not come again
        // under the same epoch and writer.
        let new_epoch = (!same_boot || recovered.control().sync_failed())
            .then(|| (Epoch(recovered.epoch.0.max(1) + 1), self.env.host.random()));
        let mut commit = self.commit.lock();
        merge_history(&mut commit.history, &recovered, new_epoch);
        let (last, digest) = (recovered.last, recovered.digest);
        let options = LogOptions { segment_max_bytes: self.options.segment_max_bytes };
        let appender = recovered.resume(&self.env, options, new_epoch)?;
        // Also where nothing changes in it: a crash may have torn the header slot that did not count.
        self.store.mark_log(self.open_link(link.id))?;
        commit.last = last;
        commit.digest = digest;
        commit.epoch = appender.epoch();
        commit.writer_id = commit.history.last().map_or(commit.writer_id, |h| h.writer_id);
        commit.appender = Some(appender);
        drop(commit);
        self.publish(last);
        Ok(())
    }

    /// Reads the log as far as it can be read. Returns what could not be.
    fn recover_for_reading(&mut self) -> Result<Option<Error>> {
        let link = self.store.log_link();
        if !link.open {
            return Ok(None);
        }
        let io = |e| Error::io("lock", &self.path, e);
        let range = WRITER_LOCK..WRITER_LOCK + 1;
        let idle = self.store.file().try_lock(range.clone(), LockKind::Shared).map_err(io)?;
        let limit = if idle {
            self.store.file().unlock(range).map_err(io)?;
            None
        } else {
            match crate::log::Control::open(&*self.env.disk, &self.wal_dir, OpenMode::Read) {
                Ok(control) => control.map(|c| c.published()),
                Err(_) => None,
            }
        };
        match self.replay(&link, limit, OpenMode::Read) {
            Ok(recovered) => {
                self.publish(recovered.last);
                Ok(recovered.damage)
            }
            Err(e) if matches!(e.code(), ErrorCode::LogMismatch | ErrorCode::Corrupt | ErrorCode::NotFound) => {
                let reached = self.levels.load().active.last();
                self.publish(reached);
                Ok(Some(e))
            }
            Err(e) => Err(e),
        }
    }

    /// Folds every frame of the log beyond the file into the delta.
    fn replay(&self, link: &LogLink, limit: Option<LogIndex>, mode: OpenMode) -> Result<Recovered> {
        let mark = self.store.manifest().checkpoint;
        let start = RecoveryStart {
            identity: LogIdentity { log_id: link.id, file_id: self.store.file_id() },
            index: mark.log_index,
            epoch: mark.epoch,
            digest: mark.digest,
            limit,
        };
        recover(&self.env, &self.wal_dir, start, mode, &mut |frame| self.fold(frame))
    }

    /// Applies one frame: the same steps as a commit, without validation and without an append.
    fn fold(&self, frame: &FrameRef<'_>) -> Result<()> {
        let levels = self.levels.load();
        let before = LogIndex(frame.header.log_index.0 - 1);
        let base = Reading::new(&levels, before, None);
        let mut overlay = Overlay::default();
        let context = |e: Error| {
            Error::corrupt(format_args!("the frame with log index {} cannot be applied: {e}", frame.header.log_index))
        };
        for mutation in Mutations::new(frame.payload) {
            overlay.apply(&base, &mutation.map_err(context)?).map_err(context)?;
        }
        let mut digest = levels.active.info(before).digest + overlay.digest_change();
        for (kind, id, name) in &overlay.names {
            if self.names.id(*kind, name, before).is_none() {
                digest += Digest::of_name(*kind, *id, name);
            }
        }
        if digest != frame.header.digest {
            let what = format_args!(
                "the state after log index {} has the digest {digest}; its frame says {}",
                frame.header.log_index, frame.header.digest
            );
            return Err(Error::corrupt(what));
        }
        let info = CommitInfo {
            epoch: frame.header.epoch,
            commit_ms: frame.header.commit_ms,
            digest,
            totals: overlay.totals_after(levels.active.info(before).totals),
        };
        self.apply(&levels, overlay, frame.header.log_index, info)
    }
}

/// Opens the file as it is once the writer's lock is held.
fn open_for_writing(env: &Env, path: &Path) -> Result<Store> {
    for _ in 0..ATTEMPTS {
        let store = Store::open(env, path, true)?;
        lock_for_writing(&store, path)?;
        // Another process may have published to it until then.
        if Store::open(env, path, true)?.generation() == store.generation() {
            return Ok(store);
        }
        // Not left to the end of the open file: a process that is being started holds a copy of it for a while.
        store.file().unlock(WRITER_LOCK..WRITER_LOCK + 1).map_err(|e| Error::io("unlock", path, e))?;
    }
    Err(Error::new(ErrorCode::Locked, format_args!("{} changes too fast to be opened", path.display())))
}

/// Takes the writer's lock. A reader that looks for a writer holds a part of it for a moment: that is waited for.
fn lock_for_writing(store: &Store, path: &Path) -> Result<()> {
    let io = |e| Error::io("lock", path, e);
    let byte = || WRITER_LOCK..WRITER_LOCK + 1;
    for _ in 0..10_000 {
        if store.file().try_lock(byte(), LockKind::Exclusive).map_err(io)? {
            return Ok(());
        }
        // Shared with whoever holds it now? Then no writer does.
        if !store.file().try_lock(byte(), LockKind::Shared).map_err(io)? {
            break;
        }
        store.file().unlock(byte()).map_err(io)?;
        std::thread::yield_now();
    }
    let what = format_args!("{} is open for writing in another process", path.display());
    Err(Error::new(ErrorCode::Locked, what))
}

/// Which file `path` leads to, made if need be.
fn identity_of(env: &Env, path: &Path, create: bool) -> Result<FileIdentity> {
    let io = |e| Error::io("open", path, e);
    match env.disk.identity(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && create => {}
        found => return found.map_err(io),
    }
    if let Err(e) = Store::create(env, path, env.host.random(), empty_manifest()) {
        // Somebody else may have made it at the same moment.
        return env.disk.identity(path).map_err(|_| e);
    }
    env.disk.identity(path).map_err(io)
}

/// `path`, if a database file may be there.
fn checked_path(env: &Env, path: &Path) -> Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(Error::invalid("the database path is empty"));
    }
    if env.disk.is_dir(path) {
        let what = format_args!("{} is a folder: give the path of a file", path.display());
        return Err(Error::invalid(what));
    }
    Ok(path.to_owned())
}

/// The folder of the private log of the database at `path`.
fn wal_dir(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push("-wal");
    path.with_file_name(name)
}

fn empty_manifest() -> Manifest {
    Manifest {
        checkpoint: CheckpointMark { epoch: Epoch(1), ..CheckpointMark::default() },
        next_node_id: 1,
        ..Manifest::default()
    }
}

/// Counts by id, from pairs.
fn dense(pairs: &[(u32, u64)]) -> Result<Vec<u64>> {
    let mut counts = Vec::new();
    for &(id, count) in pairs {
        // Ids are given out one by one, so a sparse list means damage.
        if id as usize > pairs.len() + 1_000_000 {
            return Err(Error::corrupt(format_args!("a count has the impossible id {id}")));
        }
        if counts.len() <= id as usize {
            counts.resize(id as usize + 1, 0);
        }
        counts[id as usize] = count;
    }
    Ok(counts)
}

fn merge_history(history: &mut Vec<HistoryEntry>, recovered: &Recovered, new_epoch: Option<(Epoch, [u8; 16])>) {
    let found = recovered.history.iter().map(|&(epoch, writer_id, first)| HistoryEntry { epoch, writer_id, first });
    let new =
        new_epoch.map(|(epoch, writer_id)| HistoryEntry { epoch, writer_id, first: LogIndex(recovered.last.0 + 1) });
    for entry in found.chain(new) {
        if history.last().is_none_or(|last| (last.epoch, last.writer_id) != (entry.epoch, entry.writer_id)) {
            history.push(entry);
        }
    }
}

/// Takes note of the names that a run defines; they count as defined from the beginning.
fn define_run_names(names_in_use: &Names, names: Vec<(NameKind, u32, u32, String)>) -> Result<()> {
    for (kind, id, dimension, name) in names {
        names_in_use.define(kind, id, &name, LogIndex(0))?;
        if dimension != 0 {
            names_in_use.define_dimension(PropKeyId(id), dimension, LogIndex(0))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_lies_beside_the_file() {
        assert_eq!(wal_dir(Path::new("/a/b.kitedb")), Path::new("/a/b.kitedb-wal"));
    }
}
