//! A source on paths of this machine: its file, and the sidecar with its log.

mod fencing;
mod history;
mod own_files;
mod pages;
mod waiting;

use crate::{
    db::{LogPlace, Signal, merge_history, unfilled},
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex},
    io::{Env, OpenMode},
    lock::Mutex,
    log::{Control, LogIdentity, LogReader, PageLimits, Position, WriterId, writers},
    replication::{
        node_file::NodeFile,
        registry::{Progress, Registration, Registry, none_in},
        source::{
            At, Fencing, Lineage, News, Pulled, Seen, Snapshot, Source, SourcePaths,
            find_log::{is_no_source, locate, lost_its_end, recovered_end},
            remembered::{Remembered, where_is_it},
            source_fault::SourceFault,
            upstream::{Asking, Upstream, look_upstream},
            upstream_node::as_a_status_tells,
        },
    },
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
    open: Mutex<Option<OpenLog>>,
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
    /// The log that held, when it was asked last, what the replica has: no other one is fenced.
    compared: Mutex<Option<LogIdentity>>,
    /// The end of the epoch that a promotion of this process is taking in, before it is said at the source.
    draining: Arc<Mutex<Option<LogIndex>>>,
}

struct OpenLog {
    /// Where the log is.
    dir: PathBuf,
    reader: LogReader,
    registry: Option<Registry>,
    /// The position that is known to be on this log's history, and in which session of its writer.
    verified: Option<(LogIndex, u64)>,
}

impl OpenLog {
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
    store: Store,
}

impl Snapshot for LocalSnapshot {
    fn file_id(&self) -> [u8; 16] {
        self.store.file_id()
    }

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
            compared: Mutex::default(),
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
        locate(&self.env, &self.paths, self.known_as).map_err(|e| match &self.astray {
            Some(astray) => e.context(where_is_it(astray)),
            None => e,
        })
    }

    /// The last frame that it gives now. What a fence ended is complete, whatever its writer had published: a process that was killed
    /// may not have come to that.
    fn end_of(&self, control: &Control) -> Result<LogIndex> {
        let published = control.published();
        let fence = control.fence().ok().filter(|fence| !fence.follows);
        match fence.and_then(|fence| fence.end_before()).filter(|end| *end > published) {
            // A loss of power may have taken what the fence had counted.
            Some(end) => self.with(|open| Ok(open.reader.readable_after(published).min(end))),
            None => Ok(published),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut OpenLog) -> Result<T>) -> Result<T> {
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
                let known = (&self.paths, self.known_as);
                let (dir, reader) =
                    located.map_err(|e| as_a_status_tells(&self.env, known, self.astray.as_deref(), e))?;
                let registry = Registry::open(&self.env, &dir, reader.control().clone()).unwrap_or_default();
                none.insert(OpenLog { dir, reader, registry, verified: None })
            }
        };
        f(open).map_err(|e| self.why(open, e))
    }

    /// What a failure of a read of the source's log comes from, as a status tells it.
    fn why(&self, open: &OpenLog, e: Error) -> Error {
        let e = gone_meanwhile(&self.env, open, e);
        if !matches!(e.code(), ErrorCode::SourceUnavailable | ErrorCode::Corrupt) {
            return e;
        }
        match lost_its_end(&self.env, &self.paths.db, open.reader.control()) {
            Some(lost) => Error::new(e.code(), SourceFault::broken(&self.paths.db, &lost)),
            None => e,
        }
    }

    /// Its file. That it is not there, though its log may be, is told as a status tells it.
    fn file(&self) -> Result<Store> {
        let missing = || SourceFault::Missing { db: self.paths.db.clone() };
        Store::open(&self.env, &self.paths.db, false).map_err(|e| match is_no_source(&self.env, &self.paths.db) {
            true => Error::new(ErrorCode::SourceUnavailable, missing()),
            false => e,
        })
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

impl LocalSource {
    /// Fails if it is a replica that has had nothing itself: nobody learns from it how far its source is.
    fn require_filled(&self) -> Result<()> {
        match unfilled(&self.env, &self.paths.db, &*self.control()?) {
            Some(what) => Err(Error::new(ErrorCode::SourceUnavailable, what)),
            None => Ok(()),
        }
    }
}

impl Source for LocalSource {
    fn head(&self) -> Result<LogIndex> {
        self.end_of(&*self.control()?)
    }

    fn page(&self, at: &At, limits: PageLimits) -> Result<Pulled> {
        self.require_filled()?;
        self.pull(at, limits)
    }

    fn page_unattributed(&self, at: &At, limits: PageLimits) -> Result<Pulled> {
        self.pull_unattributed(at, limits)
    }

    fn writer_at(&self, index: LogIndex) -> Result<Option<(Epoch, WriterId)>> {
        self.with(|open| {
            Ok(match open.reader.position(index)? {
                Position::At { epoch, writer_id, .. } => Some((epoch, writer_id)),
                _ => None,
            })
        })
    }

    fn digest_at(&self, index: LogIndex) -> Result<Option<Digest>> {
        let control = self.control()?;
        let in_log = self.with(|open| open.reader.digest_at(index));
        if let Ok(Some(digest)) = in_log {
            return Ok(Some(digest));
        }
        // Nor does a file tell that cannot be read.
        let in_file = self.store_of(&control).ok().and_then(|store| store.manifest().checkpoint.digest_at(index));
        match in_log {
            // What is damaged tells nothing.
            Err(e) if in_file.is_none() && e.code() != ErrorCode::Corrupt => Err(e),
            _ => Ok(in_file),
        }
    }

    fn digest_marks(&self) -> Result<Vec<LogIndex>> {
        let control = self.control()?;
        let before = |first: LogIndex| LogIndex(first.0.saturating_sub(1));
        let mut marks: Vec<_> = self.with(|open| Ok(open.reader.headers().map(|h| before(h.first)).collect()))?;
        marks.extend(self.store_of(&control).ok().map(|store| store.manifest().checkpoint.log_index));
        Ok(marks)
    }

    fn lineage(&self) -> Result<Lineage> {
        let control = self.control()?;
        let store = self.store_of(&control)?;
        let manifest = store.manifest();
        let checkpoint = manifest.checkpoint.log_index;
        let end = match control.writer_lives()? {
            true => self.end_of(&control)?,
            // Of a log that is damaged, what was published tells nothing: it goes as far as it can be read.
            false => match recovered_end(&self.env, &self.paths.db, &control) {
                Ok(end) => end,
                Err(_) => self.with(|open| Ok(open.reader.readable_after(checkpoint)))?,
            },
        };
        // What a loss of power left unpublished is given to nobody before its writer is back.
        let end = end.min(self.end_of(&control)?).max(checkpoint);
        let mut history = manifest.history.clone();
        let found = writers(&self.env, control.dir(), control.current_log()).unwrap_or_default();
        merge_history(&mut history, &found, end, None);
        Ok(Lineage { file_id: store.file_id(), history, end })
    }

    fn snapshot(&self, fresh: bool) -> Result<Box<dyn Snapshot>> {
        self.require_filled()?;
        if fresh {
            self.ask_for_checkpoint()?;
        }
        let store = self.store_of(&*self.control()?)?;
        Ok(Box::new(LocalSnapshot { image: store.image(), store }))
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

    fn others_at(&self, replica_id: &str, path: &str) -> Result<Vec<Registration>> {
        self.with(|open| {
            let others = |registry: &Registry| registry.others_at(replica_id, path);
            Ok(open.registry_to_change(&self.env)?.map(others).unwrap_or_default())
        })
    }

    fn fence(&self, owner: WriterId, held: LogIndex) -> Result<Box<dyn Fencing>> {
        self.raise_fence(owner, held)
    }

    fn seen(&self) -> Result<Seen> {
        Seen::of(&*self.control()?)
    }

    fn wait(&self, seen: LogIndex, timeout: Duration, still: &dyn Fn() -> bool) {
        self.wait_for_more(seen, timeout, still);
    }

    fn news(&self, seen: LogIndex, still: &dyn Fn() -> bool) -> Option<News> {
        self.news_of_more(seen, still)
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
    /// The source's file, which is that of the log whose control file is `control`: it was found through the file, and that may
    /// have been exchanged since.
    fn store_of(&self, control: &Control) -> Result<Store> {
        let store = self.file()?;
        if store.file_id() == control.identity().file_id && control.is_current(&*self.env.disk) {
            return Ok(store);
        }
        match NodeFile::of(&self.env, &self.paths, Some(control.identity().file_id))? {
            (_, NodeFile::Unreadable(e)) => {
                let what = format_args!("the source {} cannot be copied: {e}", self.paths.db.display());
                Err(Error::new(ErrorCode::SourceUnavailable, what))
            }
            _ => Err(exchanged(&self.paths.db)),
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
}

/// The error of a source whose files were exchanged for others since they were looked at.
pub(in crate::replication) fn exchanged(db: &Path) -> Error {
    let what = format_args!(
        "the files of the source {} were exchanged for others while they were looked at, and nothing was done to those: see \
         what is there now, and try it again",
        db.display()
    );
    Error::new(ErrorCode::SourceUnavailable, what)
}

/// An error of a log as one of its source, if that one's folder is not where it was when the log was opened.
fn gone_meanwhile(env: &Env, open: &OpenLog, e: Error) -> Error {
    let about_a_log = matches!(e.code(), ErrorCode::Corrupt | ErrorCode::NeedsReseed);
    if !about_a_log || open.reader.control().is_current(&*env.disk) {
        return e;
    }
    let what =
        format_args!("the log of the source is not in {} any more ({e}): it is looked for again", open.dir.display());
    Error::new(ErrorCode::SourceUnavailable, what).about_what(&e).with_path(&open.dir)
}
