//! A replica: pulls frames from its source, bootstraps from its snapshots, and takes over.

use super::{
    approach::Approach,
    primary::Leader,
    registry::Progress,
    remembered::remember,
    source::{At, Fenced, Source},
    status::{FenceStatus, Promotion, ReplicaReplicationStatus, ReplicaState},
};
use crate::{
    db::{Engine, ReplicationRole, default_sidecar},
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    log::{Control, PageLimits, WriterId},
};
use parking_lot::{Mutex, RwLock};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
};

/// Bytes of frames that are pulled at once, roughly.
const PAGE_BYTES: usize = 4 << 20;
/// Where an interrupted copy is remembered, in the replica's sidecar.
const RECORD: &str = "bootstrap.progress";

/// Where a source is, as the options say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePaths {
    /// Its file.
    pub db: PathBuf,
    /// Where to look for its log first. Where it is, its file says.
    pub sidecar: Option<PathBuf>,
}

impl SourcePaths {
    /// Where its log is if its file says nothing else.
    pub fn sidecar_shown(&self) -> PathBuf {
        self.sidecar.clone().unwrap_or_else(|| default_sidecar(&self.db))
    }
}

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Replica {
    engine: Arc<Engine>,
    control: Arc<Control>,
    /// For the replicas that follow this one.
    leader: Arc<Leader>,
    id: String,
    /// Where it is, if that is known.
    source: RwLock<(Option<SourcePaths>, Arc<dyn Source>)>,
    /// Held by whoever pulls, copies or promotes.
    working: Mutex<Work>,
    state: AtomicU8,
    since_ms: AtomicU64,
    source_head: AtomicU64,
    pub(super) following: AtomicBool,
}

#[derive(Debug, Default)]
struct Work {
    /// Checkpoints there were when retention last ran.
    checkpoints: u64,
}

const STATES: [ReplicaState; 7] = [
    ReplicaState::Bootstrapping,
    ReplicaState::Following,
    ReplicaState::Behind,
    ReplicaState::Stalled,
    ReplicaState::NeedsReseed,
    ReplicaState::Promoted,
    ReplicaState::Closed,
];

impl Replica {
    /// A replica that reports to its source as `id`.
    pub fn new(
        engine: &Arc<Engine>,
        control: Arc<Control>,
        leader: Arc<Leader>,
        id: String,
        paths: Option<SourcePaths>,
        source: Arc<dyn Source>,
    ) -> Self {
        let replica = Self {
            engine: engine.clone(),
            control,
            leader,
            id,
            source: RwLock::new((paths, source)),
            working: Mutex::default(),
            state: AtomicU8::new(u8::MAX),
            since_ms: AtomicU64::new(0),
            source_head: AtomicU64::new(0),
            following: AtomicBool::new(false),
        };
        let first = match (replica.control.needs_reseed(), replica.control.last_error()) {
            _ if engine.is_foreign() => ReplicaState::NeedsReseed,
            (true, _) => ReplicaState::NeedsReseed,
            (false, Some(_)) => ReplicaState::Stalled,
            (false, None) => ReplicaState::Behind,
        };
        replica.enter(first);
        replica
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(super) fn source(&self) -> Arc<dyn Source> {
        self.source.read().1.clone()
    }

    /// What the replica is doing.
    pub fn state(&self) -> ReplicaState {
        STATES.get(usize::from(self.state.load(Ordering::Acquire))).copied().unwrap_or(ReplicaState::Behind)
    }

    /// Enters a state, noting since when it is in it.
    pub fn enter(&self, state: ReplicaState) {
        let number = STATES.iter().position(|s| *s == state).unwrap_or(0) as u8;
        if self.state.swap(number, Ordering::AcqRel) != number {
            self.since_ms.store(self.engine.env.host.now_ms(), Ordering::Release);
            self.engine.signal.notify_all();
        }
    }

    /// Fails once this replica has taken over.
    fn require_replica(&self) -> Result<()> {
        self.engine.check_usable()?;
        self.engine.require_writable()?;
        match self.engine.role() {
            ReplicationRole::Replica => Ok(()),
            _ => Err(Error::new(ErrorCode::NotReplica, "this database was promoted: it is not opened in replica role")),
        }
    }

    /// Applies up to `max_frames` frames (at least one is asked for) that the source has beyond this node. Returns how
    /// many were applied.
    pub fn catch_up_once(&self, max_frames: usize) -> Result<usize> {
        let mut work = self.working.lock();
        self.require_replica()?;
        let result = self.pull(max_frames.max(1), LogIndex(u64::MAX));
        self.settle(&mut work, result)
    }

    /// Notes how an attempt ended.
    fn settle(&self, work: &mut Work, result: Result<usize>) -> Result<usize> {
        self.report();
        match &result {
            Ok(_) => {
                self.control.set_last_error(None);
                self.control.set_needs_reseed(false);
                let behind = self.engine.published().0 < self.source_head.load(Ordering::Acquire);
                self.enter(if behind { ReplicaState::Behind } else { ReplicaState::Following });
            }
            Err(e) => self.note_failure(e),
        }
        // Its own log would grow for ever: it is cut after each checkpoint.
        let checkpoints = self.engine.checkpoints();
        if work.checkpoints != checkpoints {
            work.checkpoints = checkpoints;
            if let Err(e) = self.leader.run_retention() {
                tracing::warn!("a replica's log could not be cut: {e}");
            }
        }
        result
    }

    fn note_failure(&self, e: &Error) {
        if e.code() == ErrorCode::Closed {
            return;
        }
        if self.engine.is_foreign() {
            // Its log is not a replica's: nothing is noted there.
            self.enter(ReplicaState::NeedsReseed);
            return;
        }
        self.control.set_last_error(Some(&e.to_string()));
        if e.code() == ErrorCode::NeedsReseed {
            self.control.set_needs_reseed(true);
        }
        let state = if self.control.needs_reseed() { ReplicaState::NeedsReseed } else { ReplicaState::Stalled };
        self.enter(state);
        tracing::warn!(code = e.code().as_str(), "a replica could not catch up: {e}");
    }

    /// Pulls and applies frames, up to so many and up to an index.
    fn pull(&self, max_frames: usize, through: LogIndex) -> Result<usize> {
        // Also where there is nothing to pull: it must not look as if it followed.
        self.engine.require_undamaged()?;
        let source = self.source();
        let mut applied = 0;
        while applied < max_frames {
            let (epoch, writer_id, index, digest) = self.engine.position();
            let at = At { epoch, writer_id, index, digest };
            let limits = PageLimits { max_frames: max_frames - applied, max_bytes: PAGE_BYTES, through };
            let pulled = source.page(&at, limits)?;
            self.engine.pass_trial()?;
            self.source_head.store(pulled.head.0, Ordering::Release);
            let before = applied;
            for chunk in pulled.page.chunks {
                applied += self.engine.follow(chunk)?;
            }
            // What could be applied is; then the rest is reported.
            if let Some(fault) = pulled.page.fault {
                return Err(fault);
            }
            if applied == before {
                if index > pulled.head {
                    self.require_common(&*source, pulled.head)?;
                }
                break;
            }
        }
        Ok(applied)
    }

    /// Fails if the frame with that index, which both have, is one of another history at the source than here.
    fn require_common(&self, source: &dyn Source, index: LogIndex) -> Result<()> {
        let (Some((here, writer)), true) = (self.engine.writer_at(index), index.0 > 0) else { return Ok(()) };
        match source.writer_at(index)? {
            Some((there, other)) if there != here || (other != writer && writer != [0; 16]) => {
                Err(self.off_history(index, there, here))
            }
            _ => Ok(()),
        }
    }

    fn off_history(&self, index: LogIndex, there: Epoch, here: Epoch) -> Error {
        let what = format_args!(
            "needs reseed: the source has another history: log index {index} is of its epoch {there} there, and of epoch \
             {here} of another writer here; reseed this replica, or force the promotion and lose what only the source has"
        );
        Error::new(ErrorCode::NeedsReseed, what)
    }

    /// Tells the source how far this node is. A failure only keeps more of the source's log.
    fn report(&self) {
        let view = self.engine.view();
        let token = view.token();
        let durable = match self.engine.options.sync_mode {
            crate::db::SyncMode::Full => token.log_index,
            _ => self.engine.durable().min(token.log_index),
        };
        let progress = Progress {
            replica_id: self.id.clone(),
            epoch: token.epoch,
            applied: token.log_index,
            durable,
            reported_at_ms: 0,
        };
        if let Err(e) = self.source().report(&progress) {
            tracing::debug!("a replica could not report its progress: {e}");
        }
    }

    /// Replaces this replica's graph by a snapshot of its source's, and catches up to what the source had published
    /// when this began. The source is not stopped or slowed. A crash leaves the old graph or the new one; a copy
    /// that was interrupted resumes.
    pub fn bootstrap(&self) -> Result<()> {
        let mut work = self.working.lock();
        self.require_replica()?;
        self.engine.require_replaceable()?;
        self.enter(ReplicaState::Bootstrapping);
        let was_foreign = self.engine.is_foreign();
        let copied = self.copy_and_catch_up();
        let result = match self.paths() {
            // It is a replica from now on, also if it did not catch up.
            Some(paths) if was_foreign && !self.engine.is_foreign() => copied.and(remember(&self.engine, &paths)),
            _ => copied,
        };
        if let Err(e) = &result {
            // What is there of a copy that can go on stays.
            let record = self.engine.log_dir.join(RECORD);
            self.engine.unwanted.store(self.engine.env.disk.identity(&record).is_err(), Ordering::Release);
            self.note_failure(e);
            return result;
        }
        self.engine.unwanted.store(false, Ordering::Release);
        self.settle(&mut work, Ok(0)).map(drop)
    }

    fn copy_and_catch_up(&self) -> Result<()> {
        let source = self.source();
        let head = source.head()?;
        self.source_head.store(head.0, Ordering::Release);
        let mut snapshot = source.snapshot(false)?;
        if snapshot.checkpoint().log_index < self.engine.published().min(head) {
            // So that readers here do not see the graph go back, if that can be helped.
            match source.snapshot(true) {
                Ok(newer) => snapshot = newer,
                Err(e) => tracing::info!("a bootstrap takes the source's last checkpoint, not a new one: {e}"),
            }
        }
        // First the log is kept from the snapshot on, then the snapshot is looked at again: what follows it cannot be
        // let go any more. Where it was already, or is damaged, a newer snapshot passes over that.
        for fresh in [false, true] {
            if fresh {
                snapshot = source.snapshot(true)?;
            }
            let mark = snapshot.checkpoint();
            source.reserve(&Progress {
                replica_id: self.id.clone(),
                epoch: mark.epoch,
                applied: mark.log_index,
                durable: mark.log_index,
                reported_at_ms: 0,
            })?;
            match self.log_is_whole(&*source, mark.log_index, mark.digest, head) {
                Ok(()) => break,
                Err(e) if fresh => return Err(e),
                Err(e) => {
                    tracing::info!("the source's log after its checkpoint cannot be read, asking for a new one: {e}")
                }
            }
        }
        let record = self.engine.log_dir.join(RECORD);
        self.engine.adopt(snapshot.image(), &record, &mut |_| self.engine.check_usable())?;
        drop(snapshot);
        while self.engine.published() < head {
            if self.pull(usize::MAX, head)? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Whether the log goes on after a snapshot, and every frame up to `head` can be read.
    fn log_is_whole(
        &self,
        source: &dyn Source,
        index: LogIndex,
        digest: crate::graph::Digest,
        head: LogIndex,
    ) -> Result<()> {
        let mut at = At { index, digest, ..At::start() };
        loop {
            let limits = PageLimits { max_frames: usize::MAX, max_bytes: PAGE_BYTES, through: head };
            let page = source.page_unattributed(&at, limits)?.page;
            for chunk in &page.chunks {
                for place in &chunk.frames {
                    let bytes = &chunk.bytes[place.at..place.at + place.len];
                    if crate::log::FrameRef::parse(bytes).is_none() {
                        let index = place.header.log_index;
                        return Err(Error::corrupt(format_args!("the frame with log index {index} does not verify")));
                    }
                }
            }
            let Some(last) = page.last().map(|last| last.header) else {
                return page.fault.map_or_else(|| Ok(()), Err);
            };
            (at.index, at.digest) = (last.log_index, last.digest);
            if at.index >= head {
                return Ok(());
            }
        }
    }

    /// Takes over: fences the source, takes everything that it acknowledged, and begins the next epoch on this
    /// node's own files. With `force`, also where the source cannot be fenced or read to its end.
    pub fn promote(&self, force: bool) -> Result<Promotion> {
        let mut work = self.working.lock();
        self.require_replica()?;
        // Also by force: what is no replica leads as what it is, or not at all.
        self.engine.require_not_foreign()?;
        if self.control.needs_reseed() && !force {
            let what = "needs reseed: this replica is not on its source's history, so it cannot take over from it; \
                        reseed it, or force the promotion and lose what only the source has";
            return Err(Error::new(ErrorCode::NeedsReseed, what));
        }
        let promotion = match self.take_over() {
            Ok(promotion) => promotion,
            Err(e) if force => {
                tracing::warn!("a promotion is forced although its source could not be fenced: {e}");
                self.take_what_is_left();
                let epoch = self.epoch_after(Epoch(0))?;
                let last_kept = self.engine.promote_replica(epoch, self.engine.env.host.random(), &mut || Ok(()))?;
                Promotion { epoch: epoch.0, last_kept, source_fenced: false, fence_synced: false }
            }
            Err(e) => return Err(e),
        };
        self.control.set_needs_reseed(false);
        self.control.set_last_error(None);
        self.enter(ReplicaState::Promoted);
        work.checkpoints = self.engine.checkpoints();
        Ok(promotion)
    }

    /// Takes what the source has published by now, as far as that can be read.
    fn take_what_is_left(&self) {
        let Ok(head) = self.source().head() else { return };
        while self.engine.published() < head && matches!(self.pull(usize::MAX, head), Ok(1..)) {}
    }

    /// The steps of a promotion, in their order. A crash, or a failure, before the fence leaves everything as it was; one
    /// after it leaves a source that is fenced, and a replica: the promotion can be called again, by this replica or
    /// another one, or the source takes the lead back.
    fn take_over(&self) -> Result<Promotion> {
        let source = self.source();
        // Before this replica reports: to a copy of its primary nothing is told.
        source.require_fenceable()?;
        let owner = self.control.promotion();
        let owner = if self.may_go_on(&*source, owner)? { owner } else { self.engine.env.host.random() };
        self.come_close(&*source)?;
        self.engine.require_room_for_epoch()?;
        // Durable before the fence is moved, so that this replica knows it for its own after a crash.
        self.control.set_promotion(owner);
        self.control.sync()?;
        let fencing = source.fence(owner)?;
        let fenced = fencing.fenced();
        self.drain(&*source, &fenced)?;
        let epoch = self.epoch_after(fenced.next)?;
        let mut fence_synced = false;
        let last_kept = self.engine.promote_replica(epoch, owner, &mut || {
            fence_synced = fencing.complete()?;
            Ok(())
        })?;
        Ok(Promotion { epoch: epoch.0, last_kept, source_fenced: true, fence_synced })
    }

    /// Whether a promotion of this replica, which was cut short, goes on: also one that was done before anybody learned of
    /// it. If not, this is another one.
    fn may_go_on(&self, source: &dyn Source, owner: WriterId) -> Result<bool> {
        if owner == [0; 16] {
            return Ok(false);
        }
        if source.moved()?.is_some_and(|moved| moved.by == owner) {
            return Ok(self.engine.may_go_on_as(owner));
        }
        if !self.engine.has_begun_as(owner) {
            return Ok(false);
        }
        // It had begun its epoch here, and never came to say so there.
        self.control.set_promotion([0; 16]);
        self.control.sync()?;
        let what = "stale primary: this replica's promotion was cut short, and meanwhile its source took the lead back, or \
                    another replica took over from it: this one follows on; promote it again if it is to lead all the same";
        Err(Error::new(ErrorCode::StalePrimary, what))
    }

    /// Pulls until little is missing, so that commits at the source do not wait long between the fence and the epoch's
    /// end; all that it has published can be read then. Fails where this replica is not on the source's history.
    fn come_close(&self, source: &dyn Source) -> Result<()> {
        let mut approach = Approach::default();
        loop {
            let head = source.head()?;
            let pulled = self.pull(usize::MAX, head)?;
            let here = self.engine.published();
            if here < head && pulled == 0 {
                return Err(self.cut_off("has published commits up to", head));
            }
            if !approach.goes_on(source.head()?.0.saturating_sub(here.0)) {
                // The source keeps what comes next until it is here.
                self.report();
                return Ok(());
            }
        }
    }

    /// Pulls everything up to where the source's epoch ends.
    fn drain(&self, source: &dyn Source, fenced: &Fenced) -> Result<()> {
        while self.engine.published() < fenced.last {
            if self.pull(usize::MAX, fenced.last)? == 0 {
                return Err(self.cut_off("was fenced at", fenced.last));
            }
        }
        // Ahead of its source, a replica cannot be compared with it before the epoch has ended.
        self.require_common(source, fenced.last)?;
        let epoch = self.engine.writer_at(fenced.last).map(|(epoch, _)| epoch);
        match epoch.filter(|epoch| *epoch > fenced.ended && fenced.last.0 > 0) {
            Some(epoch) => Err(self.off_history(fenced.last, fenced.ended, epoch)),
            None => Ok(()),
        }
    }

    fn cut_off(&self, what: &str, index: LogIndex) -> Error {
        Error::new(
            ErrorCode::SourceUnavailable,
            format_args!(
                "the source {what} log index {index}, but its log can be read up to {} only; try again, or force the \
                 promotion",
                self.engine.published()
            ),
        )
    }

    /// The epoch that a promotion begins, `next` or later: not one that this node led or followed before, also if it was
    /// reseeded from where that had not begun.
    fn epoch_after(&self, next: Epoch) -> Result<Epoch> {
        let known = self.engine.epoch().max(self.control.fence()?.epoch);
        Ok(next.max(Epoch(known.0 + 1)))
    }

    /// Follows another source from now on; what this node holds must be on its history.
    pub fn repoint(&self, paths: SourcePaths, source: Arc<dyn Source>) -> Result<()> {
        self.require_replica()?;
        let _idle = self.working.lock();
        if !self.engine.is_foreign() {
            remember(&self.engine, &paths)?;
        }
        let old = std::mem::replace(&mut *self.source.write(), (Some(paths), source));
        old.1.wake();
        // The next pull will tell whether the new source can go on from here.
        let needs_reseed = self.control.needs_reseed() || self.engine.is_foreign();
        self.enter(if needs_reseed { ReplicaState::NeedsReseed } else { ReplicaState::Behind });
        Ok(())
    }

    /// Where the source is, if that is known.
    pub fn paths(&self) -> Option<SourcePaths> {
        self.source.read().0.clone()
    }

    /// The promotion of this replica that fenced its source, and did not end.
    fn promotion_under_way(&self) -> Option<FenceStatus> {
        let moved = self.source().moved().ok().flatten()?;
        (moved.by == self.control.promotion()).then(|| FenceStatus::of(moved))
    }

    /// What the replica says of itself.
    pub fn status(&self) -> ReplicaReplicationStatus {
        let view = self.engine.view();
        let token = view.token();
        let at_start = token.log_index.0 == 0;
        let promotion = self.promotion_under_way();
        let (paths, _) = &*self.source.read();
        let head = self.source_head.load(Ordering::Acquire).max(token.log_index.0);
        ReplicaReplicationStatus {
            role: ReplicationRole::Replica,
            source_db_path: paths.as_ref().map(|paths| paths.db.clone()),
            source_sidecar_path: paths.as_ref().map(SourcePaths::sidecar_shown),
            applied_epoch: if at_start { 0 } else { token.epoch.0 },
            applied_log_index: token.log_index.0,
            last_error: self.engine.foreign_reason().or_else(|| self.control.last_error()),
            needs_reseed: self.control.needs_reseed() || self.engine.is_foreign(),
            state: if self.engine.check_usable().is_err() { ReplicaState::Closed } else { self.state() },
            state_since_ms: self.since_ms.load(Ordering::Acquire),
            promotion,
            sidecar_path: self.engine.log_dir.clone(),
            replica_id: self.id.clone(),
            source_head_log_index: head,
            lag_frames: head - token.log_index.0,
            durable_log_index: self.engine.durable().0.min(token.log_index.0),
            digest: view.digest(),
            follower_running: self.following.load(Ordering::Acquire),
            process_id: Some(self.engine.env.host.process_id().into()),
        }
    }
}
