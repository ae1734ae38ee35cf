//! A source on paths of this machine: its file, and the sidecar with its log.

mod own_files;
mod waiting;

use super::{
    given_up::Lineage,
    local_fencing::{LocalFencing, was_repaired},
    located::{locate, recovered_end, require_its_log, require_log_of, told_by_file},
    passed::as_a_status_tells,
    registry::{Progress, Registry, none_in},
    remembered::{Remembered, where_is_it},
    replica::SourcePaths,
    source::{At, Fencing, Pulled, Seen, Snapshot, Source},
    upstream::{Asking, Upstream, look_upstream},
};
use crate::{
    db::{HeldFence, LogPlace, Signal, fence_by_header, half_made, merge_history},
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    io::{Env, OpenMode},
    lock::Mutex,
    log::{Control, Fence, FrameRef, LogReader, Moved, PageLimits, Position, WriterId, writers},
    store::{CheckpointMark, Image, Store, StoreImage},
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Makes a checkpoint of the database at a path, if this process has it open for writing.
pub type Checkpointer = Arc<dyn Fn(&Path) -> Option<Result<()>> + Send + Sync>;

/// See the [module documentation](self).
pub struct LocalSource {
    env: Env,
    paths: SourcePaths,
    checkpointer: Checkpointer,
    open: Mutex<Option<Open>>,
    /// Where the source was, if it is not found because its replica was moved.
    astray: Option<PathBuf>,
    /// The id of its file when its replica followed it last, if that is known.
    known_as: Option<[u8; 16]>,
    /// The log that a follower waits for now.
    awaited: Mutex<Option<Arc<Control>>>,
    /// Ends the waits for a log whose writer cannot wake who reads it.
    woken: Signal,
    /// Whether a promotion is to fence the source's log also where nothing tells that it is the one in use.
    told: AtomicBool,
    /// The end of the epoch that a promotion of this process is taking in, before it is said at the source.
    draining: Arc<Mutex<Option<LogIndex>>>,
}

struct Open {
    /// Where the log is.
    dir: PathBuf,
    reader: LogReader,
    registry: Option<Registry>,
    /// The position that is known to be on this log's history, and in which session of its writer.
    verified: Option<(LogIndex, u64)>,
}

impl Open {
    /// The registry that is there now, with a control file that can be written to; `None` if there is none.
    fn registry_to_change(&mut self, env: &Env) -> Result<Option<&Registry>> {
        let fits = |registry: &Registry| registry.is_current(env) && registry.can_note();
        if !self.registry.as_ref().is_some_and(fits) {
            let control = self.reader.control().clone();
            // It may have been opened while nobody could write to it.
            let control = match control.require_mapped() {
                Ok(()) => control,
                Err(e) => Arc::new(Control::open(&*env.disk, &self.dir, OpenMode::ReadWrite)?.ok_or(e)?),
            };
            self.registry = Registry::open(env, &self.dir, control)?;
        }
        Ok(self.registry.as_ref())
    }
}

/// The store pins its generation.
struct LocalSnapshot {
    image: StoreImage,
    _store: Store,
}

impl Snapshot for LocalSnapshot {
    fn checkpoint(&self) -> CheckpointMark {
        self.image.manifest().checkpoint
    }

    fn image(&self) -> &dyn Image {
        &self.image
    }
}

impl std::fmt::Debug for LocalSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalSource").field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl LocalSource {
    /// The source at these paths. They are looked at with the first request.
    pub fn new(env: Env, paths: SourcePaths, checkpointer: Checkpointer) -> Self {
        Self {
            env,
            paths,
            checkpointer,
            open: Mutex::default(),
            astray: None,
            known_as: None,
            awaited: Mutex::default(),
            woken: Signal::default(),
            told: AtomicBool::new(false),
            draining: Arc::default(),
        }
    }

    /// As it was remembered by a replica that was moved since: the source was at `astray`, and is not found.
    /// `known_as`: the id of its file when it was followed last.
    #[must_use]
    pub fn remembered_as(self, astray: Option<PathBuf>, known_as: Option<[u8; 16]>) -> Self {
        Self { astray, known_as, ..self }
    }

    /// Where its log is now.
    fn locate(&self) -> Result<LogPlace> {
        let place = locate(&self.env, &self.paths).map_err(|e| match &self.astray {
            Some(astray) => e.context(where_is_it(astray)),
            None => e,
        })?;
        if let Some(id) = self.known_as {
            require_log_of(&self.env, &self.paths.db, place.dir(), id)?;
        }
        Ok(place)
    }

    fn with<T>(&self, f: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
        let mut open = self.open.lock();
        if open.as_ref().is_some_and(|open| !open.reader.control().is_current(&*self.env.disk)) {
            // The sidecar was removed, or another one was put in its place.
            *open = None;
        }
        let open = match &mut *open {
            Some(open) => open,
            none => {
                let located = self.locate().and_then(|place| {
                    let dir = place.dir().to_owned();
                    LogReader::open(&self.env, &dir).map(|reader| (dir, reader))
                });
                let (dir, reader) =
                    located.map_err(|e| as_a_status_tells(&self.env, &self.paths, self.astray.as_deref(), e))?;
                let registry = Registry::open(&self.env, &dir, reader.control().clone()).unwrap_or_default();
                none.insert(Open { dir, reader, registry, verified: None })
            }
        };
        f(open).map_err(|e| gone_meanwhile(&self.env, open, e))
    }

    fn control(&self) -> Result<Arc<Control>> {
        self.with(|open| Ok(open.reader.control().clone()))
    }

    /// Asks whoever has the source open for a checkpoint, and waits for it.
    fn ask_for_checkpoint(&self) -> Result<()> {
        if let Some(made) = (self.checkpointer)(&self.paths.db) {
            let failed = |e| format!("the source could not make the checkpoint that was asked for: {e}");
            return made.map_err(|e| Error::new(ErrorCode::SourceUnavailable, failed(e)));
        }
        let control = self.control()?;
        if !control.writer_lives()? {
            return Ok(());
        }
        let asked = control.ask_for_checkpoint()?;
        for _ in 0..1000 {
            if control.checkpoints_done() >= asked {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let what = "the source's process did not make the checkpoint that was asked for: is it stopped?";
        Err(Error::new(ErrorCode::SourceUnavailable, what))
    }
}

impl Open {
    /// Fails if `at` is not on this log's history. Whether it is there: what lies beyond its end, it cannot tell.
    /// Upholds I30.
    fn verify(&mut self, at: &At) -> Result<bool> {
        let control = self.reader.control().clone();
        let head = control.published();
        let off = |what: &dyn std::fmt::Display| {
            Error::new(
                ErrorCode::NeedsReseed,
                format_args!("needs reseed: this replica is at {}:{}, {what}", at.epoch, at.index),
            )
        };
        match self.reader.position(at.index)? {
            Position::At { epoch, writer_id, digest } => {
                if epoch != at.epoch || (writer_id != at.writer_id && at.writer_id != [0; 16]) {
                    let what = format_args!("but its source has another history: epoch {epoch} there");
                    return Err(off(&what));
                }
                if digest != at.digest {
                    return Err(off(&"where its source holds another graph (the state digests differ)"));
                }
            }
            Position::Before { digest } if digest != at.digest => {
                return Err(off(&"where its source holds another graph (the state digests differ)"));
            }
            Position::Before { .. } => {}
            Position::BelowFloor => {
                let next = LogIndex(at.index.0 + 1);
                if let Some(damage) = self.reader.damage_at(next).filter(|_| at.index < head) {
                    return Err(damage);
                }
                let floor = self.reader.floor().unwrap_or_default();
                let what =
                    format_args!("below retained floor {floor} of its source: log index {} is gone", at.index.0 + 1);
                return Err(off(&what));
            }
            Position::Beyond(Some((epoch, writer_id)))
                if epoch > at.epoch || (epoch == at.epoch && writer_id != at.writer_id && at.writer_id != [0; 16]) =>
            {
                let what = format_args!("but its source has another history: epoch {epoch} began before that there");
                return Err(off(&what));
            }
            Position::Beyond(_) if at.index <= head && at.index.0 > 0 && self.reader.floor().is_some() => {
                return Err(match self.reader.why_missing(at.index) {
                    e if e.code() == ErrorCode::SourceUnavailable => e,
                    _ => match self.reader.damage_at(at.index) {
                        Some(damage) => damage,
                        None => off(&"where its source's log has a gap"),
                    },
                });
            }
            Position::Beyond(_) if at.index > head && !control.is_replica() && control.writer_lives()? => {
                let what = format_args!("ahead of its source, which has only {head} and lost what came after");
                return Err(off(&what));
            }
            Position::Beyond(_) if self.reader.floor().is_none() && at.index < head => {
                let missing = self.reader.why_missing(LogIndex(at.index.0 + 1));
                if missing.code() != ErrorCode::NeedsReseed {
                    return Err(missing);
                }
                return Err(off(&"and its source kept no log of what came after"));
            }
            Position::Beyond(_) => return Ok(false),
        }
        Ok(true)
    }
}

impl Open {
    /// Fails unless the log has every frame after `held` up to `end`, and none that needs a feature level above `known`. Upholds I44.
    fn require_readable(&mut self, held: LogIndex, end: LogIndex, known: u16) -> Result<()> {
        let mut at = held;
        while at < end {
            let limits = PageLimits { max_frames: usize::MAX, max_bytes: 4 << 20, through: end };
            let page = self.reader.read(at, limits)?;
            let frames = page.chunks.iter().flat_map(|chunk| &chunk.frames);
            for place in frames {
                // Who cannot read what comes after it must not end the epoch before that.
                place.header.require_known(known).map_err(|e| e.context("nothing was fenced"))?;
            }
            if let Some(last) = page.last() {
                at = last.header.log_index;
            } else if let Some(fault) = page.fault.filter(|_| at < self.reader.control().published()) {
                return Err(fault.context("nothing was fenced"));
            } else if self.reader.control().fence()?.moved_by.is_some() {
                // Another promotion came first and made what comes next void: the fence says whose turn it is.
                return Ok(());
            } else {
                let what = format_args!(
                    "the source holds commits up to log index {end}, but its log has only those up to {at}: was it opened \
                     without a part in replication? Nothing was fenced; bootstrap this replica, or force the promotion \
                     and lose them"
                );
                return Err(Error::new(ErrorCode::SourceUnavailable, what));
            }
        }
        Ok(())
    }
}

impl Source for LocalSource {
    fn head(&self) -> Result<LogIndex> {
        Ok(self.control()?.published())
    }

    fn page(&self, at: &At, limits: PageLimits) -> Result<Pulled> {
        let pulled = self.with(|open| {
            let control = open.reader.control().clone();
            if open.verified.is_none() {
                // Before anything of it is given.
                require_its_log(&self.env, &self.paths.db, &control)?;
            }
            let head = control.published();
            let seen = Seen::of(&control)?;
            // Of a log that follows, that is past: it may have lost the end, and goes on in a history without it.
            let ended = seen.fence.end_before().filter(|_| !seen.fence.follows);
            let fenced_end = (*self.draining.lock()).or(ended);
            // What a fence ended is complete, whatever its writer had published.
            let through = limits.through.min(head.max(fenced_end.unwrap_or_default()));
            let session = control.session();
            let verify = |open: &mut Open| match open.verify(at) {
                Err(_) if self.holds(at) => Ok(true),
                // What is gone from the log of another database was never to be had there.
                Err(e) => self.require_same_writer(at).and(Err(e)),
                Ok(true) if open.reader.floor() == Some(LogIndex(at.index.0 + 1)) => {
                    self.require_same_writer(at).map(|()| true)
                }
                result => result,
            };
            let mut verified = open.verified == Some((at.index, session)) && head >= at.index;
            if !verified {
                verified = verify(open)?;
            }
            let looks = open.reader.refreshes();
            let mut page = open.reader.read(at.index, PageLimits { through, ..limits })?;
            if let Some(end) = fenced_end.filter(|end| *end > head) {
                // A loss of power took what the fence had counted.
                let what = format_args!("the source was fenced at log index {end}: follow the node that took over");
                page.fault = page.fault.map(|fault| fault.context(what));
            }
            if open.reader.refreshes() != looks {
                // Another segment may have taken the place of what this replica holds.
                verified = verify(open)?;
            }
            if page.chunks.is_empty() && page.fault.is_none() {
                // Before a replica says that it follows.
                told_by_file(&self.env, &self.paths.db, &control)?;
                if at.index > head {
                    self.require_not_ahead(at, &control)?;
                }
            }
            let known = page.last().map(|last| last.header.log_index).or(verified.then_some(at.index));
            open.verified = known.map(|index| (index, session));
            page.fault = page.fault.map(|fault| gone_meanwhile(&self.env, open, fault));
            Ok(Pulled { page, head: head.max(fenced_end.unwrap_or_default()), seen })
        });
        if pulled.as_ref().map_or(true, |pulled| pulled.page.fault.is_some()) {
            // Its files may have been replaced: look at them anew.
            *self.open.lock() = None;
        }
        pulled
    }

    fn page_unattributed(&self, at: &At, limits: PageLimits) -> Result<Pulled> {
        self.with(|open| {
            let head = open.reader.control().published();
            let seen = Seen::of(open.reader.control())?;
            let through = limits.through.min(head);
            open.reader.refresh()?;
            if let Position::BelowFloor = open.reader.position(at.index)? {
                if let Some(damage) = open.reader.damage_at(LogIndex(at.index.0 + 1)) {
                    return Err(damage);
                }
                let what = format_args!("needs reseed: log index {} is below retained floor", at.index.0 + 1);
                return Err(Error::new(ErrorCode::NeedsReseed, what));
            }
            let page = open.reader.read(at.index, PageLimits { through, ..limits })?;
            Ok(Pulled { page, head, seen })
        })
    }

    fn writer_at(&self, index: LogIndex) -> Result<Option<(Epoch, WriterId)>> {
        self.with(|open| {
            Ok(match open.reader.position(index)? {
                Position::At { epoch, writer_id, .. } => Some((epoch, writer_id)),
                _ => None,
            })
        })
    }

    fn lineage(&self) -> Result<Lineage> {
        let control = self.control()?;
        let fence = control.fence()?;
        let store = Store::open(&self.env, &self.paths.db, false)?;
        let manifest = store.manifest();
        // A log that is damaged goes as far as was published, and so does that of a writer who goes on.
        let published = || Ok(control.published());
        let end =
            if control.writer_lives()? { published() } else { recovered_end(&self.env, &self.paths.db, &control) };
        let end = end.or_else(|_: Error| published())?.max(manifest.checkpoint.log_index);
        let mut history = manifest.history.clone();
        let found = writers(&self.env, control.dir(), control.current_log()).unwrap_or_default();
        merge_history(&mut history, &found, end, None);
        let leads = (!fence.follows && fence.moved_by.is_none()).then_some(fence.epoch);
        Ok(Lineage { history, end, leads })
    }

    fn snapshot(&self, fresh: bool) -> Result<Box<dyn Snapshot>> {
        if self.control()?.is_half_made() {
            return Err(Error::new(ErrorCode::SourceUnavailable, half_made(&self.paths.db)));
        }
        if fresh {
            self.ask_for_checkpoint()?;
        }
        let store = Store::open(&self.env, &self.paths.db, false)?;
        Ok(Box::new(LocalSnapshot { image: store.image(), _store: store }))
    }

    fn report(&self, progress: &Progress) -> Result<()> {
        self.tell(progress, Registry::report)
    }

    fn reserve(&self, progress: &Progress) -> Result<()> {
        self.tell(progress, Registry::reserve)
    }

    fn require_fenceable(&self, told: bool) -> Result<bool> {
        self.told.store(told, Ordering::Relaxed);
        self.require_own_files()
    }

    fn forget(&self, replica_id: &str) -> Result<bool> {
        self.with(|open| match open.registry_to_change(&self.env)? {
            Some(registry) => registry.remove(replica_id),
            None => Ok(false),
        })
    }

    fn supersede(&self, replica_id: &str, path: &str) -> Result<()> {
        self.with(|open| match open.registry_to_change(&self.env)? {
            Some(registry) => registry.supersede(replica_id, path),
            None => Ok(()),
        })
    }

    fn fence(&self, owner: WriterId, held: LogIndex) -> Result<Box<dyn Fencing>> {
        *self.open.lock() = None;
        self.require_own_files()?;
        let control = self.control()?;
        let refuse_replica = |fence: &Fence| {
            if !fence.follows {
                return Ok(());
            }
            let what = "the source is itself a replica: fencing it would not stop its primary; follow the primary and \
                        promote then, or force the promotion";
            Err(Error::new(ErrorCode::SourceUnavailable, what))
        };
        refuse_replica(&control.fence()?)?;
        control.require_mapped()?;
        // What a living writer has published: after that it goes on, and may never pause.
        let end = if control.writer_lives()? {
            control.published()
        } else {
            recovered_end(&self.env, &self.paths.db, &control)?
        };
        self.with(|open| open.require_readable(held, end, self.env.host.known_level()))?;
        let lock = HeldFence::take(control)?;
        let now = lock.control().fence()?;
        refuse_replica(&now)?;
        let said = Store::peek(&self.env, &self.paths.db).ok().map(|file| file.log);
        let is_older = said.is_some_and(|said| fence_by_header(lock.control(), &now, &said, owner).is_some());
        let raised = match now.moved() {
            Some(Moved { by, .. }) if by == owner => now,
            // The control file was put back, and the source was not opened since.
            _ if is_older => return Err(was_repaired(&self.paths.db)),
            Some(_) if lock.control().fence_is_assumed() => return Err(was_repaired(&self.paths.db)),
            Some(Moved { ended: Some(_), epoch, .. }) => {
                return Err(Error::new(
                    ErrorCode::StalePrimary,
                    format_args!(
                        "stale primary: the source was fenced by another promotion, to epoch {epoch}; follow that \
                         primary, or force this promotion if it never came up"
                    ),
                ));
            }
            // Of a promotion that died before it had fixed the end: complete it as one's own.
            Some(_) => now.taken_over(owner),
            None => now.raised(owner),
        };
        let synced = lock.control().put_fence(&raised)?.is_durable();
        // A committer that appended before the fence moved is found by this reading; one that appends later sees the fence
        // before it publishes. Upholds I27.
        let last = match raised.end_before() {
            Some(last) => last,
            None => self.log_end()?,
        };
        *self.draining.lock() = Some(last);
        Ok(Box::new(LocalFencing { lock, raised, last, synced, draining: self.draining.clone() }))
    }

    fn seen(&self) -> Result<Seen> {
        Seen::of(&*self.control()?)
    }

    fn wait(&self, seen: LogIndex, timeout: Duration, still: &dyn Fn() -> bool) {
        self.wait_for_more(seen, timeout, still);
    }

    fn upstream(&self, asking: &Asking<'_>) -> Upstream {
        let known = Remembered { paths: self.paths.clone(), astray: self.astray.clone(), file_id: self.known_as };
        look_upstream(&self.env, &known, asking)
    }

    fn wake(&self) {
        self.wake_waiters();
    }
}

impl LocalSource {
    /// Whether the source's file is at that very position: then its log need not have it.
    fn holds(&self, at: &At) -> bool {
        let Ok(store) = Store::open(&self.env, &self.paths.db, false) else { return false };
        let manifest = store.manifest();
        let CheckpointMark { log_index, digest, .. } = manifest.checkpoint;
        let led = manifest.history.iter().rev().find(|h| h.first <= at.index);
        (log_index, digest) == (at.index, at.digest)
            && led.is_some_and(|led| (led.epoch, led.writer_id) == (at.epoch, at.writer_id))
    }

    /// Fails if, by what the source's file says, another writer than the replica's wrote the frame at that position. Of the
    /// one before a log's first frame the log tells only the digest: it may be the log of a copy that was detached.
    fn require_same_writer(&self, at: &At) -> Result<()> {
        let Ok(store) = Store::open(&self.env, &self.paths.db, false) else { return Ok(()) };
        let manifest = store.manifest();
        match manifest.history.iter().rev().find(|h| h.first <= at.index) {
            Some(led)
                if at.index.0 > 0
                    && at.index <= manifest.checkpoint.log_index
                    && at.writer_id != [0; 16]
                    && led.writer_id != at.writer_id =>
            {
                Err(Error::new(
                    ErrorCode::NeedsReseed,
                    format_args!(
                        "needs reseed: this replica is at {}:{}, but its source has another history: another writer's frame \
                     there",
                        at.epoch, at.index
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Hands progress to the registry beside the log, if there is one.
    fn tell(&self, progress: &Progress, how: fn(&Registry, &Progress) -> Result<()>) -> Result<()> {
        self.with(|open| {
            let dir = open.dir.clone();
            let stamped = Progress { reported_at_ms: self.env.host.now_ms(), ..progress.clone() };
            let missing = || none_in(&dir);
            open.registry_to_change(&self.env)?.ok_or_else(missing).and_then(|registry| how(registry, &stamped))
        })
    }

    /// Fails if this replica is ahead of a source that no process has open: of what it has, the source lost a part.
    fn require_not_ahead(&self, at: &At, control: &Arc<Control>) -> Result<()> {
        let fence = control.fence()?;
        if fence.follows || fence.moved_by.is_some() || control.writer_lives()? {
            return Ok(());
        }
        let end = recovered_end(&self.env, &self.paths.db, control)?;
        if at.index <= end {
            return Ok(());
        }
        let what = format_args!(
            "needs reseed: this replica is at {}:{}, ahead of its source, which has only {end} and lost what came after (was \
             it restored from an older copy?); reseed this replica, or force its promotion to keep what it has",
            at.epoch, at.index
        );
        Err(Error::new(ErrorCode::NeedsReseed, what))
    }

    /// The last frame of the source's log, whether or not a process writes it. Call it once the fence is moved: of a writer
    /// that may go on there is no last frame, and the search for it has no end.
    fn log_end(&self) -> Result<LogIndex> {
        let control = self.control()?;
        if control.writer_lives()? { self.with(last_frame) } else { recovered_end(&self.env, &self.paths.db, &control) }
    }
}

/// An error of a log as one of its source, if that one's folder is not where it was when the log was opened.
fn gone_meanwhile(env: &Env, open: &Open, e: Error) -> Error {
    let about_a_log = matches!(e.code(), ErrorCode::Corrupt | ErrorCode::NeedsReseed);
    if !about_a_log || open.reader.control().is_current(&*env.disk) {
        return e;
    }
    let what =
        format_args!("the log of the source is not in {} any more ({e}): it is looked for again", open.dir.display());
    Error::new(ErrorCode::SourceUnavailable, what)
}

/// The last frame in a log that its writer has open, published or not.
fn last_frame(open: &mut Open) -> Result<LogIndex> {
    let mut last = open.reader.control().published();
    open.reader.refresh()?;
    loop {
        let limits = PageLimits { max_frames: 4096, max_bytes: 4 << 20, through: LogIndex(u64::MAX) };
        let page = open.reader.read(last, limits)?;
        let mut valid = 0;
        for chunk in &page.chunks {
            let whole = |place: &&crate::log::FramePlace| {
                FrameRef::parse(&chunk.bytes[place.at..place.at + place.len]).is_some()
            };
            let here = chunk.frames.iter().take_while(whole).count();
            valid += here;
            if here < chunk.frames.len() {
                break;
            }
        }
        last.0 += valid as u64;
        if valid == 0 || valid < page.frame_count() {
            return Ok(last);
        }
    }
}
