//! A source on paths of this machine: its file, and the sidecar with its log.

use super::{
    registry::{Progress, Registry},
    source::{At, Fenced, Pulled, Snapshot, Source},
};
use crate::{
    db::FenceLock,
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex},
    io::{Env, OpenMode},
    log::{Control, FrameRef, LogIdentity, LogReader, PageLimits, Position, RecoveryStart, WriterId, recover},
    store::{CheckpointMark, Image, LogKind, Store, StoreImage},
};
use parking_lot::Mutex;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Makes a checkpoint of the database at a path, if this process has it open for writing.
pub type Checkpointer = Arc<dyn Fn(&Path) -> Option<Result<()>> + Send + Sync>;

/// See the [module documentation](self).
pub struct LocalSource {
    env: Env,
    db_path: PathBuf,
    sidecar: PathBuf,
    checkpointer: Checkpointer,
    open: Mutex<Option<Open>>,
}

struct Open {
    reader: LogReader,
    registry: Option<Registry>,
    /// The position that is known to be on this log's history, and in which session of its writer.
    verified: Option<(LogIndex, u64)>,
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
        f.debug_struct("LocalSource").field("db_path", &self.db_path).field("sidecar", &self.sidecar).finish()
    }
}

impl LocalSource {
    /// The source at these paths. They are looked at with the first request.
    pub fn new(env: Env, db_path: PathBuf, sidecar: PathBuf, checkpointer: Checkpointer) -> Self {
        Self { env, db_path, sidecar, checkpointer, open: Mutex::new(None) }
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
                let reader = LogReader::open(&self.env, &self.sidecar)?;
                let registry = Registry::open(&self.env, &self.sidecar).unwrap_or_default();
                none.insert(Open { reader, registry, verified: None })
            }
        };
        f(open)
    }

    fn control(&self) -> Result<Arc<Control>> {
        self.with(|open| Ok(open.reader.control().clone()))
    }

    /// Asks whoever has the source open for a checkpoint, and waits for it.
    fn ask_for_checkpoint(&self) -> Result<()> {
        if let Some(made) = (self.checkpointer)(&self.db_path) {
            let failed = |e| format!("the source could not make the checkpoint that was asked for: {e}");
            return made.map_err(|e| Error::new(ErrorCode::SourceUnavailable, failed(e)));
        }
        let control = self.control()?;
        if !control.writer_lives()? {
            return Ok(());
        }
        let asked = control.ask_for_checkpoint();
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
                return Err(off(&"where its source's log has a gap"));
            }
            Position::Beyond(_) if at.index > head && !control.is_replica() && control.writer_lives()? => {
                let what = format_args!("ahead of its source, which has only {head} and lost what came after");
                return Err(off(&what));
            }
            Position::Beyond(_) if self.reader.floor().is_none() && at.index < head => {
                return Err(off(&"and its source kept no log of what came after"));
            }
            Position::Beyond(_) => return Ok(false),
        }
        Ok(true)
    }
}

impl Source for LocalSource {
    fn head(&self) -> Result<LogIndex> {
        Ok(self.control()?.published())
    }

    fn page(&self, at: &At, limits: PageLimits) -> Result<Pulled> {
        let pulled = self.with(|open| {
            let control = open.reader.control().clone();
            let head = control.published();
            let fenced_end = control.end().filter(|(epoch, _)| epoch.0 + 1 == control.fence().0).map(|(_, last)| last);
            // What a fence ended is complete, whatever its writer had published.
            let through = limits.through.min(head.max(fenced_end.unwrap_or_default()));
            let session = control.session();
            let verify = |open: &mut Open| match open.verify(at) {
                Err(_) if self.holds(at) => Ok(true),
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
            let known = page.last().map(|last| last.header.log_index).or(verified.then_some(at.index));
            open.verified = known.map(|index| (index, session));
            Ok(Pulled { page, head: head.max(fenced_end.unwrap_or_default()) })
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
            let through = limits.through.min(head);
            open.reader.refresh()?;
            if let Position::BelowFloor = open.reader.position(at.index)? {
                let what = format_args!("needs reseed: log index {} is below retained floor", at.index.0 + 1);
                return Err(Error::new(ErrorCode::NeedsReseed, what));
            }
            let page = open.reader.read(at.index, PageLimits { through, ..limits })?;
            Ok(Pulled { page, head })
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

    fn snapshot(&self, fresh: bool) -> Result<Box<dyn Snapshot>> {
        if fresh {
            self.ask_for_checkpoint()?;
        }
        let store = Store::open(&self.env, &self.db_path, false)?;
        Ok(Box::new(LocalSnapshot { image: store.image(), _store: store }))
    }

    fn report(&self, progress: &Progress) -> Result<()> {
        self.tell(progress, Registry::report)
    }

    fn reserve(&self, progress: &Progress) -> Result<()> {
        self.tell(progress, Registry::reserve)
    }

    fn forget(&self, replica_id: &str) -> Result<()> {
        match Registry::open(&self.env, &self.sidecar)? {
            Some(registry) => registry.remove(replica_id).map(drop),
            None => Ok(()),
        }
    }

    fn fence(&self, owner: WriterId) -> Result<Fenced> {
        *self.open.lock() = None;
        self.with(|open| {
            let control = open.reader.control().clone();
            if control.is_replica() {
                let what = "the source is itself a replica: fencing it would not stop its primary; follow the primary \
                            and promote then, or force the promotion";
                return Err(Error::new(ErrorCode::SourceUnavailable, what));
            }
            let _fence = FenceLock::take(&control)?;
            let (leads, by) = (control.fence(), control.fence_owner());
            // The end of an epoch before that may be on record still.
            let (ended, next) = match control.end().filter(|(ended, _)| by != [0; 16] && ended.0 + 1 == leads.0) {
                // Fenced already, by this promotion when it was cut short.
                Some((ended, last)) if by == owner => {
                    // What it wrote may not be on the disk yet.
                    control.confirm_fence()?;
                    return Ok(Fenced { ended, last, next: leads });
                }
                Some(_) => {
                    return Err(Error::new(
                        ErrorCode::StalePrimary,
                        format_args!(
                            "stale primary: the source was fenced by another promotion, to epoch {leads}; follow that \
                             primary, or force this promotion if it never came up"
                        ),
                    ));
                }
                // Fenced by a promotion that died before it had fixed the end: complete it as one's own.
                None if by != [0; 16] => {
                    control.set_fence_owner(owner)?;
                    (Epoch(leads.0 - 1), leads)
                }
                None => {
                    let next = Epoch(leads.0 + 1);
                    control.raise_fence(leads, next, owner)?;
                    (leads, next)
                }
            };
            let last = if control.writer_lives()? { last_frame(open)? } else { self.recovered_end(&control)? };
            // What a failed sync drops, a later one of the log's writer would not write: its next open copies it first.
            self.sync_segments(open).inspect_err(|_| control.set_sync_failed(true))?;
            control.set_end(ended, last)?;
            Ok(Fenced { ended, last, next })
        })
    }

    fn is_fenced_by(&self, owner: WriterId) -> Result<bool> {
        Ok(self.control()?.fence_owner() == owner)
    }

    fn wait(&self, seen: LogIndex, timeout: Duration) {
        // Not under the lock: others may ask meanwhile.
        match self.control() {
            Ok(control) => control.wait_published(seen, timeout),
            Err(_) => std::thread::sleep(timeout),
        }
    }

    fn wake(&self) {
        if let Some(open) = &*self.open.lock() {
            open.reader.control().wake_all();
        }
    }
}

impl LocalSource {
    /// Whether the source's file is at that very position: then its log need not have it.
    fn holds(&self, at: &At) -> bool {
        let Ok(store) = Store::open(&self.env, &self.db_path, false) else { return false };
        let manifest = store.manifest();
        let CheckpointMark { log_index, digest, .. } = manifest.checkpoint;
        let led = manifest.history.iter().rev().find(|h| h.first <= at.index);
        (log_index, digest) == (at.index, at.digest)
            && led.is_some_and(|led| (led.epoch, led.writer_id) == (at.epoch, at.writer_id))
    }

    /// Hands progress to the registry beside the log, if there is one.
    fn tell(&self, progress: &Progress, how: fn(&Registry, &Progress) -> Result<()>) -> Result<()> {
        self.with(|open| {
            if !open.registry.as_ref().is_some_and(|registry| registry.is_current(&self.env)) {
                open.registry = Registry::open(&self.env, &self.sidecar)?;
            }
            let stamped = Progress { reported_at_ms: self.env.host.now_ms(), ..progress.clone() };
            let missing = || {
                let what = format_args!(
                    "the source has no registry of replicas in {}, or a damaged one: opening the source makes it anew",
                    self.sidecar.display()
                );
                Error::new(ErrorCode::SourceUnavailable, what)
            };
            open.registry.as_ref().ok_or_else(missing).and_then(|registry| how(registry, &stamped))
        })
    }

    /// The last frame of a log whose writer is gone, as its own recovery will find it: after a loss of power what the
    /// writer had published tells nothing.
    fn recovered_end(&self, control: &Arc<Control>) -> Result<LogIndex> {
        let store = Store::open(&self.env, &self.db_path, false)?;
        let (link, mark) = (store.log_link(), store.manifest().checkpoint);
        if link.kind == LogKind::Private && link.open {
            let what =
                "the source was opened without a part in replication since: its log is not that of its last commits";
            return Err(Error::new(ErrorCode::SourceUnavailable, what));
        }
        if !link.open {
            return Ok(mark.log_index);
        }
        let log = LogIdentity { log_id: link.id, file_id: store.file_id() };
        let CheckpointMark { log_index: index, epoch, digest, .. } = mark;
        let start = RecoveryStart { log, index, epoch, digest, limit: None };
        let control = Some(control.clone());
        let recovered = recover(&self.env, &self.sidecar, control, start, OpenMode::Read, &mut |_| Ok(()))?;
        recovered.damage.map_or(Ok(recovered.last), Err)
    }

    fn sync_segments(&self, open: &Open) -> Result<()> {
        for path in open.reader.paths() {
            let io = |e| Error::io("sync", path, e);
            match self.env.disk.open(path, OpenMode::ReadWrite) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                file => file.and_then(|file| file.sync_data()).map_err(io)?,
            }
        }
        Ok(())
    }
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

impl At {
    /// Before the first frame.
    pub fn start() -> Self {
        Self { epoch: Epoch(0), writer_id: [0; 16], index: LogIndex(0), digest: Digest::default() }
    }
}
