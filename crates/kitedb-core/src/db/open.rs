//! Opening: one engine per file, recovery of what the log holds beyond the file.

use super::{
    commit::new_names,
    engine::{Commit, Counters, Engine},
    jobs::Jobs,
    latency::Latencies,
    options::{OpenOptions, ReplicationRole},
    place::folder_of,
    places::Places,
    promote::lock_fence,
    role::{foreign, mismatch, opening},
    signal::Signal,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex, Mutations, NameKind, PropKeyId},
    io::{Access, DiskFile, Env, FileIdentity, LockKind, OpenMode},
    lock::{Condvar, Mutex},
    log::{Control, FrameRef, Keep, LogIdentity, LogReader, Recovered, RecoveryStart, WriterId, ends_early, recover},
    shell::command,
    state::{CommitInfo, Delta, IndexSet, Levels, Names, Overlay, Pins, Reading, Totals},
    store::{CheckpointMark, HistoryEntry, LogKind, LogLink, Manifest, Part, Run, Store, WRITER_LOCK},
};
use arc_swap::ArcSwap;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64},
    },
};

/// An open beside a writer starts over if that one publishes another header meanwhile; so often at most.
pub(super) const ATTEMPTS: usize = 200;

impl Engine {
    /// The engine of the file `identity` at the resolved `path`, for writing. With `accept_moved`, also of a primary whose
    /// files are copies: its caller begins a new epoch at once.
    pub(crate) fn open_for_writing(
        env: Env,
        path: PathBuf,
        options: OpenOptions,
        identity: FileIdentity,
        accept_moved: bool,
    ) -> Result<Arc<Self>> {
        let store = open_for_writing(&env, &path, &options)?;
        let file = store.file().clone();
        let opened = Self::open_locked(env, path, options, identity, store, accept_moved);
        // Not left to the end of the open file: a process that is being started holds a copy of it for a while.
        opened.inspect_err(|_| drop(file.unlock(WRITER_LOCK..WRITER_LOCK + 1)))
    }

    fn open_locked(
        env: Env,
        path: PathBuf,
        options: OpenOptions,
        identity: FileIdentity,
        store: Store,
        accept_moved: bool,
    ) -> Result<Arc<Self>> {
        let io = |e| Error::io("look at", &path, e);
        require_one_name(&path, &options, &**store.file())?;
        let like = store.file().access().map_err(io)?;
        let env = anchored(&env, folder_of(&path), like).map_err(io)?;
        let found = env.disk.identity(&path).map_err(io)?;
        if store.file().identity().map_err(io)? != identity || found != identity {
            let what = format_args!("{} was replaced while it was being opened: open it again", path.display());
            return Err(Error::new(ErrorCode::Locked, what));
        }
        let places = Places::of(&env, &path, &options, &store)?;
        let standing = places.standing(&env, &store)?;
        let (last, asked) = (places.last(&env, &store)?, options.role.unwrap_or_default());
        let opening =
            opening(options.role, standing, options.overwrite).ok_or_else(|| mismatch(&path, asked, standing, last))?;
        if opening.role == ReplicationRole::Primary && !accept_moved {
            places.require_own(&path, standing, &store.log_link())?;
        }
        let log_dir = places.dir_for(opening.role).to_owned();
        let mut engine = Self::assemble(env, path, options, store, opening.role, log_dir)?;
        if opening.foreign {
            *engine.foreign.get_mut() = Some(foreign(&engine.path, standing, last));
        }
        let recovered = engine
            .open_sidecar(&places, standing, accept_moved)
            .and_then(|()| engine.recover_for_writing(&places))
            .and_then(|()| engine.become_primary())
            .and_then(|()| engine.say_in_header());
        if let Err(e) = recovered {
            if engine.store.log_link().kind != LogKind::Sidecar {
                engine.unmake_sidecar();
            }
            engine.unlock();
            return Err(e);
        }
        let engine = Arc::new(engine);
        engine.jobs.attach(&engine);
        Ok(engine)
    }

    /// An engine that shows the file's checkpoint and nothing beyond.
    pub(super) fn assemble(
        env: Env,
        path: PathBuf,
        options: OpenOptions,
        store: Store,
        role: ReplicationRole,
        log_dir: PathBuf,
    ) -> Result<Self> {
        let (manifest, runs) = store.snapshot();
        let CheckpointMark { log_index, digest, .. } = manifest.checkpoint;
        let levels = Self::levels_of(&manifest, runs)?;
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
            log_dir,
            role: AtomicU8::new(role as u8),
            sidecar: None,
            made_sidecar: None,
            registers_anew: AtomicBool::new(false),
            foreign: Mutex::new(None),
            on_trial: AtomicBool::new(false),
            made_file: AtomicBool::new(false),
            unwanted: AtomicBool::new(false),
            beyond: Mutex::new(None),
            refused: None,
            log_fault: None,
            epoch: AtomicU64::new(commit.epoch.0),
            fenced: AtomicBool::new(false),
            next_node: AtomicU64::new(manifest.next_node_id.max(1)),
            next_index: AtomicU32::new(manifest.next_index_id.max(1)),
            next_rank: AtomicU64::new(manifest.next_rank.max(1)),
            spare_node: OnceLock::new(),
            commit: Mutex::new(commit),
            levels: ArcSwap::from_pointee(levels),
            pins: Pins::default(),
            published: AtomicU64::new(log_index.0),
            signal: Signal::default(),
            checkpointing: Mutex::new(()),
            compacting: Mutex::new(()),
            publishing: Mutex::new(()),
            checkpointed: Condvar::new(),
            jobs,
            closed: AtomicBool::new(false),
            damage: Mutex::new(None),
            opened_at_ms: env.host.now_ms(),
            counters: Counters::default(),
            latencies: Latencies::default(),
            held: Arc::default(),
            log_failed: AtomicBool::new(false),
            panicked: OnceLock::new(),
            env,
            path,
            options,
            store,
        })
    }

    /// The state that a manifest and its runs hold.
    pub(super) fn levels_of(manifest: &Manifest, runs: Arc<Vec<Arc<Run>>>) -> Result<Levels> {
        let CheckpointMark { log_index, epoch, digest, commit_ms } = manifest.checkpoint;
        let names = Names::default();
        for run in runs.iter() {
            define_run_names(&names, run.names()?)?;
        }
        let totals = Totals { nodes: manifest.node_count, edges: manifest.edge_count, vectors: manifest.vector_count };
        let info = CommitInfo { epoch, commit_ms, digest, totals };
        let types = dense(&manifest.type_counts, names.greatest_id(NameKind::EdgeType))?;
        let labels = dense(&manifest.label_counts, names.greatest_id(NameKind::Label))?;
        let indexes = Arc::new(IndexSet::new(manifest.indexes.iter().cloned()));
        let active = Delta::new(log_index, info, &types, &labels, indexes);
        Ok(Levels::new(Arc::new(active), runs, Arc::new(names)))
    }

    /// Reads the log that the file names, if it names one, and goes on in it.
    fn recover_for_writing(&self, places: &Places) -> Result<()> {
        // Recovery looks at the fence and sets it: meanwhile nobody else may move it.
        let _fence = self.sidecar.as_deref().map(lock_fence).transpose()?;
        let (link, damage) = (self.store.log_link(), self.damage.lock().take());
        match (link.kind, &self.sidecar) {
            // The log of a stand-alone file that becomes a primary: take what it holds into the file, and begin anew.
            (LogKind::Private, Some(_)) if link.open => {
                let dir = places.private_log(&self.path, &link)?;
                let control = Control::open(&*self.env.disk, dir, OpenMode::ReadWrite)?.map(Arc::new);
                let moved_fence = control.clone();
                let _fence = moved_fence.as_deref().map(lock_fence).transpose()?;
                self.recover_from(&link, dir, control)?;
                self.checkpoint()?;
                let mut commit = self.commit.lock();
                commit.appender = None;
                let clean_tail = Some((commit.last, commit.digest));
                self.store.mark_log(LogLink { clean_tail, part: Part::StandAlone, ..LogLink::default() })?;
                crate::log::remove(&self.env, dir, self.store.file_id(), Keep::Nothing)?;
            }
            (LogKind::Private, None) if link.open => {
                let dir = places.private_log(&self.path, &link)?;
                self.recover_from(&link, dir, None)?;
            }
            _ if damage.is_some() => damage.into_iter().for_each(|damage| self.go_on_damaged(damage, &[])),
            (LogKind::Sidecar, Some(control)) => match places.newer_log(&self.env, &self.path, &link)? {
                // Its source has what an older copy of its file lacks; if not, its own log may.
                Some(newer) if self.role() == ReplicationRole::Replica => {
                    *self.beyond.lock() = newer.held;
                    self.go_on_damaged(newer.damage, &[]);
                }
                Some(newer) => return Err(Error::new(ErrorCode::LogMismatch, newer.damage)),
                None if link.open => self.recover_from(&link, &self.log_dir, Some(control.clone()))?,
                None => {}
            },
            _ => {}
        }
        self.take_up_sidecar()
    }

    /// Folds the log in `dir` and goes on in it.
    fn recover_from(&self, link: &LogLink, dir: &Path, control: Option<Arc<Control>>) -> Result<()> {
        let recovered = match self.replay(link, dir, control, None, OpenMode::ReadWrite) {
            Ok(recovered) if recovered.damage.is_none() => recovered,
            // A replica always opens, as far as its log goes, so that it can be reseeded. What a newer build wrote is not lost.
            Ok(Recovered { damage: Some(damage), history, .. })
                if self.role() == ReplicationRole::Replica && damage.code() != ErrorCode::TooNew =>
            {
                self.go_on_damaged(self.with_mend(damage), &history);
                return Ok(());
            }
            Err(damage)
                if self.role() == ReplicationRole::Replica
                    && matches!(damage.code(), ErrorCode::Corrupt | ErrorCode::LogMismatch) =>
            {
                self.go_on_damaged(self.with_mend(damage), &[]);
                return Ok(());
            }
            Ok(recovered) => return Err(recovered.damage.map_or_else(super::commit::no_log, |e| self.with_mend(e))),
            Err(e) => return Err(self.with_mend(e)),
        };
        let boot = self.env.host.boot_id();
        let same_boot = boot.is_some_and(|boot| boot == link.boot_id);
        let control = recovered.control().clone();
        // After the end of a machine frames may be gone that someone has seen: their numbers must not come again
        // under the same epoch and writer. A replica has its frames from their one writer.
        let fence = control.fence()?;
        // What leads, and is opened as a replica all the same, is that writer.
        let replica = fence.follows || (self.role() == ReplicationRole::Replica && !self.is_foreign());
        let seen = control.published() > recovered.last;
        let certain = same_boot && !control.sync_failed() && !seen && recovered.is_whole();
        let lost = !certain && !replica && fence.moved_by.is_none();
        let epoch = recovered.epoch.max(fence.epoch);
        let new_epoch = if lost {
            Some((Epoch(epoch.0.max(1) + 1), self.env.host.random()))
        } else if fence.epoch > recovered.epoch && fence.moved_by.is_none() && !replica {
            // A promotion ended before it had begun its epoch: complete it.
            Some((fence.epoch, self.env.host.random()))
        } else {
            None
        };
        let mut commit = self.commit.lock();
        merge_history(&mut commit.history, &recovered.history, recovered.last, new_epoch);
        let (last, digest) = (recovered.last, recovered.digest);
        let appender = recovered.resume(&self.env, self.log_options(), new_epoch)?;
        if self.sidecar.is_none() && control.displaced(&**self.store.file())?.any() {
            // What it says of its log is about these files from now on.
            control.set_stamps(&**self.store.file())?;
        }
        if fence.moved_by.is_none() {
            // No other node has taken over. A replica may have led a later epoch once, which must not come again.
            let begun = if replica { self.epoch_led(&appender, &control)? } else { appender.epoch() };
            control.set_fence(begun.max(fence.epoch))?;
        }
        control.set_current_log(link.id)?;
        control.set_begun(link.id)?;
        // Also where nothing changes in it: a crash may have torn the header slot that did not count.
        self.store.mark_log(LogLink { kind: link.kind, ..self.open_link(appender.epoch(), link.id) })?;
        // Not before: an open that was cut short would go on in the epoch whose numbers are to come again.
        control.forget_failed_sync()?;
        commit.last = last;
        commit.digest = digest;
        commit.epoch = appender.epoch();
        commit.writer_id = commit.history.last().map_or(commit.writer_id, |h| h.writer_id);
        commit.appender = Some(appender);
        drop(commit);
        self.publish(None, last);
        Ok(())
    }

    /// The error of a log that cannot be read to its end, with the command that mends it for what this file is.
    pub(super) fn with_mend(&self, e: Error) -> Error {
        if !matches!(e.code(), ErrorCode::Corrupt | ErrorCode::LogMismatch) || e.names_a_command() {
            return e;
        }
        match self.store.log_link().part {
            Part::Follows(_) => {
                e.and(format_args!("copy its source anew with {}", command("replica reseed", &self.path, "")))
            }
            _ => e.and(format_args!("{} says what can be kept", command("repair", &self.path, "--dry-run"))),
        }
    }

    /// A reader of the log that the file names; `None` if it names none, or that is not there.
    pub(crate) fn read_log(&self) -> Result<Option<LogReader>> {
        if self.store.log_link().kind == LogKind::None {
            return Ok(None);
        }
        let dir = &self.log_dir;
        let control = match Control::open(&*self.env.disk, dir, OpenMode::Read)? {
            Some(control) if control.expect(self.store.file_id()).is_ok() => Arc::new(control),
            _ => return Ok(None),
        };
        LogReader::with_control(&self.env, dir, control).map(Some)
    }

    /// Folds every frame of the log beyond the file into the delta.
    pub(super) fn replay(
        &self,
        link: &LogLink,
        dir: &Path,
        control: Option<Arc<Control>>,
        limit: Option<LogIndex>,
        mode: OpenMode,
    ) -> Result<Recovered> {
        let mark = self.store.manifest().checkpoint;
        let start = RecoveryStart {
            log: LogIdentity { log_id: link.id, file_id: self.store.file_id() },
            index: mark.log_index,
            epoch: mark.epoch,
            digest: mark.digest,
            limit,
        };
        let mut recovered = recover(&self.env, dir, control, start, mode, &mut |frame| self.fold(frame))?;
        if let Some(claim) = recovered.short_of {
            let copied = recovered.control().displaced(&**self.store.file())?.log;
            recovered.damage = match copied {
                false if recovered.truncated => Some(ends_early(dir, recovered.last, claim)),
                false => Some(ends_early(dir, recovered.last, claim).context("CRC mismatch")),
                true if self.options.accept_copy => None,
                true => Some(copied_in_use(&self.path, recovered.last, claim)),
            };
        }
        if link.kind == LogKind::Sidecar && recovered.truncated {
            let damage = recovered.damage.take();
            recovered.damage = damage.map(|e| match e.code() {
                ErrorCode::Corrupt => e.context("truncated replication segment"),
                _ => e,
            });
        }
        Ok(recovered)
    }

    /// Applies one frame: the same steps as a commit, without validation and without an append. Upholds I20 and I29:
    /// the digest is that which the frame says.
    pub(super) fn fold(&self, frame: &FrameRef<'_>) -> Result<()> {
        let levels = self.levels.load();
        let before = LogIndex(frame.header.log_index.0 - 1);
        let base = Reading::new(&levels, before, None);
        let mut overlay = Overlay::default();
        let context = |e: Error| {
            Error::corrupt(format_args!("the frame with log index {} cannot be applied: {e}", frame.header.log_index))
        };
        frame.header.require_known(self.env.host.known_level())?;
        for mutation in Mutations::new(frame.payload) {
            overlay.apply(&base, &mutation.map_err(context)?).map_err(context)?;
        }
        let mut digest = levels.active.info(before).digest + overlay.digest_change();
        digest += new_names(&levels.names, &overlay, before);
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
        self.apply(&levels, &mut overlay, frame.header.log_index, info)
    }
}

/// Why a copy of a stand-alone database, or of a primary, is not written to that has less than its original had.
fn copied_in_use(path: &Path, last: LogIndex, claim: LogIndex) -> Error {
    Error::new(
        ErrorCode::FilesMoved,
        format_args!(
            "{} is a copy that was taken while its original was written to: it ends at log index {last}, its original had \
             {claim}; copy it again while nobody writes, or, if what it holds is enough, open it with accept_copy \
             (--accept-copy)",
            path.display()
        ),
    )
}

/// Opens the file as it is once the writer's lock is held.
pub(super) fn open_for_writing(env: &Env, path: &Path, options: &OpenOptions) -> Result<Store> {
    for _ in 0..ATTEMPTS {
        let store = Store::open(env, path, true)?;
        lock_for_writing(env, &store, path, options)?;
        // Another process may have published to it until then.
        if Store::open(env, path, true)?.generation() == store.generation() {
            return Ok(store);
        }
        // Not left to the end of the open file: a process that is being started holds a copy of it for a while.
        store.file().unlock(WRITER_LOCK..WRITER_LOCK + 1).map_err(|e| Error::io("unlock", path, e))?;
    }
    Err(Error::new(ErrorCode::Locked, format_args!("{} changes too fast to be opened", path.display())))
}

/// Takes the writer's lock of a database file; `false` if a writer holds it. A reader that looks for a writer holds a part of
/// it for a moment: that is waited for.
pub(super) fn try_writer_lock(file: &dyn DiskFile) -> std::io::Result<bool> {
    let byte = || WRITER_LOCK..WRITER_LOCK + 1;
    for _ in 0..10_000 {
        if file.try_lock(byte(), LockKind::Exclusive)? {
            return Ok(true);
        }
        // Shared with whoever holds it now? Then no writer does.
        if !file.try_lock(byte(), LockKind::Shared)? {
            break;
        }
        file.unlock(byte())?;
        crate::lock::yield_now();
    }
    Ok(false)
}

/// Takes the writer's lock, or says who has it. Upholds I25.
fn lock_for_writing(env: &Env, store: &Store, path: &Path, options: &OpenOptions) -> Result<()> {
    if try_writer_lock(&**store.file()).map_err(|e| Error::io("lock", path, e))? {
        return Ok(());
    }
    let link = store.log_link();
    let lock = match link.kind {
        LogKind::Sidecar => "primary sidecar lock is held by another process: ",
        _ if options.role == Some(ReplicationRole::Primary) => "primary sidecar lock is held by another process: ",
        _ => "",
    };
    let whose = writer_of(env, path, options, store).map(|id| format!(" (process id {id})")).unwrap_or_default();
    let what = format_args!("{lock}{} is open for writing in another process{whose}", path.display());
    Err(Error::new(ErrorCode::Locked, what))
}

/// The process that has the database at `path` open for writing, as far as a log says it. One that has not written
/// yet has no private log.
fn writer_of(env: &Env, path: &Path, options: &OpenOptions, store: &Store) -> Option<u64> {
    let places = Places::of(env, path, options, store).ok()?;
    let control = |dir: &Path| Control::open(&*env.disk, dir, OpenMode::Read).ok().flatten();
    let sidecar = control(places.sidecar.dir()).filter(|control| control.writer_lives().unwrap_or(false));
    let id = sidecar.or_else(|| control(places.private.dir()))?.writer_pid();
    (id != 0).then_some(id)
}

/// Fails where the file has more names than one: under another name another log would be looked for.
pub(super) fn require_one_name(path: &Path, options: &OpenOptions, file: &dyn DiskFile) -> Result<()> {
    let links = file.links().map_err(|e| Error::io("look at", path, e))?;
    if links <= 1 || options.hard_links {
        return Ok(());
    }
    let what = format_args!(
        "{} has {links} hard links, and the log of a database is found by its name: remove the others (`cp` them to \
         keep copies), or open it with accept_hard_links",
        path.display()
    );
    Err(Error::new(ErrorCode::HardLinked, what))
}

/// `env` with `folder` held by a handle. Upholds I34.
pub(super) fn anchored(env: &Env, folder: &Path, like: Access) -> std::io::Result<Env> {
    Ok(Env { disk: env.disk.anchor(folder, Some(like))?, host: env.host.clone() })
}

/// Counts by id, from pairs. The greatest id that has a name is `greatest`.
fn dense(pairs: &[(u32, u64)], greatest: u32) -> Result<Vec<u64>> {
    let mut counts = Vec::new();
    for &(id, count) in pairs {
        if id > greatest {
            return Err(Error::corrupt(format_args!("there is a count under the id {id}, which has no name")));
        }
        if counts.len() <= id as usize {
            counts.resize(id as usize + 1, 0);
        }
        counts[id as usize] = count;
    }
    Ok(counts)
}

/// Adds what the headers of segments say: (epoch, writer, first index), in the order in which these were written. That
/// order counts: a node that lost an epoch it led may have followed an older one then.
pub(crate) fn merge_history(
    history: &mut Vec<HistoryEntry>,
    found: &[(Epoch, WriterId, LogIndex)],
    last: LogIndex,
    new_epoch: Option<(Epoch, WriterId)>,
) {
    let mut begun: Vec<HistoryEntry> = Vec::new();
    for &(epoch, writer_id, first) in found {
        let entry = HistoryEntry { epoch, writer_id, first };
        if begun.last().is_none_or(|last| !last.goes_on_as(&entry)) {
            begun.push(entry);
        }
    }
    let mut next = 0;
    for (nth, entry) in begun.into_iter().enumerate() {
        // Segments may be gone: the oldest one that is left, and one after such a gap, begin in the middle of an epoch.
        let known = match nth {
            0 => history.iter().rposition(|h| h.goes_on_as(&entry)),
            _ => history[next..].iter().position(|h| h.goes_on_as(&entry)).map(|at| next + at),
        };
        if let Some(at) = known {
            next = at + 1;
            continue;
        }
        while history.get(next).is_some_and(|h| h.first < entry.first) {
            next += 1;
        }
        history.insert(next, entry);
        next += 1;
    }
    if let Some((epoch, writer_id)) = new_epoch {
        history.push(HistoryEntry { epoch, writer_id, first: LogIndex(last.0 + 1) });
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
    fn what_segments_say_again_is_not_added_to_a_history_again() {
        let segments: Vec<_> = [(1, 1), (2, 5), (3, 5), (4, 9)]
            .map(|(epoch, first)| (Epoch(epoch), [epoch as u8; 16], LogIndex(first)))
            .into();
        let mut history = Vec::new();
        merge_history(&mut history, &segments[..3], LogIndex(8), None);
        let epochs = |history: &[HistoryEntry]| history.iter().map(|h| h.epoch.0).collect::<Vec<_>>();
        assert_eq!(epochs(&history), [1, 2, 3]);
        merge_history(&mut history, &segments, LogIndex(8), None);
        assert_eq!(epochs(&history), [1, 2, 3, 4]);
        merge_history(&mut history, &segments, LogIndex(8), Some((Epoch(5), [5; 16])));
        assert_eq!((epochs(&history), history[4].first), (vec![1, 2, 3, 4, 5], LogIndex(9)));
        // Of a log that was cut in the middle of an epoch.
        merge_history(
            &mut history,
            &[(Epoch(4), [4; 16], LogIndex(10)), (Epoch(5), [5; 16], LogIndex(9))],
            LogIndex(9),
            None,
        );
        assert_eq!(epochs(&history), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_the_file_knows_of_a_segment_that_is_gone_stays() {
        let entry = |epoch: u64, first| HistoryEntry {
            epoch: Epoch(epoch),
            writer_id: [epoch as u8; 16],
            first: LogIndex(first),
        };
        let segment = |epoch: u64, first| (Epoch(epoch), [epoch as u8; 16], LogIndex(first));
        let mut history = vec![entry(1, 1), entry(2, 16)];
        merge_history(&mut history, &[segment(1, 10), segment(2, 18)], LogIndex(27), None);
        assert_eq!(history, [entry(1, 1), entry(2, 16)]);
        merge_history(&mut history, &[segment(1, 10), segment(3, 20)], LogIndex(27), None);
        assert_eq!(history, [entry(1, 1), entry(2, 16), entry(3, 20)]);
    }

    #[test]
    fn a_history_can_go_back_to_an_older_epoch() {
        // It led an epoch in which nothing came, and followed an older one then: another's, and its own source's.
        for followed in [2, 1] {
            let entry = |epoch: u64, first| HistoryEntry {
                epoch: Epoch(epoch),
                writer_id: [epoch as u8; 16],
                first: LogIndex(first),
            };
            let whole = [entry(1, 1), entry(3, 5), entry(followed, 5)];
            let segments = [(1, 1), (1, 3), (3, 5), (followed, 5), (followed, 8)]
                .map(|(epoch, first)| (Epoch(epoch), [epoch as u8; 16], LogIndex(first)));
            for known in [vec![], vec![whole[0]], vec![whole[0], whole[2]], whole.to_vec()] {
                let mut history = known;
                for _ in 0..2 {
                    merge_history(&mut history, &segments, LogIndex(9), None);
                    assert_eq!(history, whole);
                }
                merge_history(&mut history, &segments[4..], LogIndex(9), None);
                assert_eq!(history, whole);
                let later = (Epoch(7), [7; 16], LogIndex(9));
                merge_history(&mut history, &[segments[4], later], LogIndex(9), None);
                assert_eq!((&history[..3], history[3].epoch), (&whole[..], Epoch(7)));
            }
        }
    }
}
