//! A replica: pulls frames from its source, bootstraps from its snapshots, and takes over.

mod alike;
mod beginning_to_follow;
mod bootstrap;
mod catch_up_before_fence;
pub(super) mod copied;
pub(super) mod follower;
mod given_up_commits;
pub(super) mod leaving_source;
pub(super) mod read_only_status;
mod source_epoch;
pub(super) mod takeover;
mod trial_of_source;
mod wait_for_news;

use crate::{
    db::{Engine, ReplicationRole, half_made, holds_nothing},
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    io::Env,
    lock::{Mutex, RwLock},
    log::{Control, LogReader, PageLimits},
    replication::{
        followed_log::{FollowedLog, LogStatus},
        registry::{Labels, Progress},
        source::{
            At, Source, SourcePaths,
            remembered::{registered_as, remember, remembered},
            source_fault::SourceFault,
            upstream::{Asking, REMOVED, Upstream, leads_in_a_circle, not_registered},
        },
        status::{FenceStatus, ReplicaReplicationStatus, ReplicaState},
    },
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};
use trial_of_source::BeforeTrial;

/// Bytes of frames that are pulled at once, roughly.
const PAGE_BYTES: usize = 4 << 20;

/// See the [module documentation](self).
#[derive(Debug)]
pub struct Replica {
    engine: Arc<Engine>,
    control: Arc<Control>,
    /// For the replicas that follow this one.
    followed_log: Arc<FollowedLog>,
    id: String,
    labels: Labels,
    /// What its own log was when it was looked at last.
    log: Mutex<LogStatus>,
    /// Where the source's paths are.
    source_env: Env,
    /// Where it is, if that is known.
    source: RwLock<(Option<SourcePaths>, Arc<dyn Source>)>,
    /// Held by whoever pulls, copies or promotes.
    working: Mutex<Work>,
    state: AtomicU8,
    since_ms: AtomicU64,
    source_head: AtomicU64,
    /// Its own log, as long as it is ahead of its source and compares itself with that at each pull.
    own_log: Mutex<Option<LogReader>>,
    /// How often a try to pull ended, or the state changed.
    news: AtomicU64,
    /// What it reported last to be durable here.
    reported: AtomicU64,
    pub(in crate::replication) following: AtomicBool,
}

#[derive(Debug, Default)]
struct Work {
    /// Checkpoints there were when retention last ran.
    checkpoints: u64,
    /// Whether the source that it follows is noted as followed.
    noted: bool,
    /// How the replica was before it tried a source that it did not follow yet.
    before_trial: Option<BeforeTrial>,
    /// Whether that source was told that it is not to be registered there.
    unregistered: bool,
    /// Sources that this replica followed before and is registered with still.
    left: Vec<(Option<SourcePaths>, Arc<dyn Source>)>,
}

impl Replica {
    /// A replica that reports to its source under its [`Engine::registration_id`].
    pub fn new(
        engine: &Arc<Engine>,
        control: Arc<Control>,
        followed_log: Arc<FollowedLog>,
        source_env: Env,
        (paths, source): (Option<SourcePaths>, Arc<dyn Source>),
    ) -> Self {
        if control.registration().is_none()
            && !engine.is_foreign()
            && let Some(id) = registered_as(&*engine.env.disk, &engine.log_dir)
        {
            // The control file that knew of it was lost. Under the id of its file reports the replica that it was copied from.
            control.set_registration(id).unwrap_or_else(|e| {
                tracing::warn!("a replica that was copied reports as the one that it was copied from: {e}");
            });
        }
        let path = std::path::absolute(&engine.path).unwrap_or_else(|_| engine.path.clone());
        let path = path.canonicalize().unwrap_or(path).to_string_lossy().into_owned();
        let replica = Self {
            engine: engine.clone(),
            control,
            followed_log,
            id: engine.registration_id(),
            labels: Labels { name: engine.options.replication_name.clone(), path: Some(path) },
            log: Mutex::default(),
            source_env,
            source: RwLock::new((paths, source)),
            working: Mutex::default(),
            state: AtomicU8::new(u8::MAX),
            since_ms: AtomicU64::new(0),
            source_head: AtomicU64::new(0),
            own_log: Mutex::default(),
            news: AtomicU64::new(0),
            reported: AtomicU64::new(u64::MAX),
            following: AtomicBool::new(false),
        };
        let first = match (replica.control.needs_reseed(), replica.control.last_error()) {
            _ if engine.is_foreign() => ReplicaState::NeedsReseed,
            (true, _) => ReplicaState::NeedsReseed,
            _ if engine.is_half_made() => ReplicaState::Bootstrapping,
            (false, Some(_)) if replica.control.is_unregistered() => ReplicaState::Unregistered,
            (false, Some(_)) if replica.control.is_denied() => ReplicaState::Denied,
            (false, Some(_)) if replica.control.is_too_new() => ReplicaState::TooNew,
            (false, Some(_)) => ReplicaState::Stalled,
            (false, None) => ReplicaState::Behind,
        };
        replica.enter(first);
        if first == ReplicaState::Bootstrapping && replica.control.last_error().is_none() {
            replica.control.set_last_error(Some(&half_made(&engine.env, &engine.path, &engine.log_dir)));
        }
        replica
    }

    pub(in crate::replication) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn source(&self) -> Arc<dyn Source> {
        self.source.read().1.clone()
    }

    /// What the replica is doing.
    pub fn state(&self) -> ReplicaState {
        ReplicaState::ALL.get(usize::from(self.state.load(Ordering::Acquire))).copied().unwrap_or(ReplicaState::Behind)
    }

    /// Enters a state, noting since when it is in it.
    pub fn enter(&self, state: ReplicaState) {
        let number = ReplicaState::ALL.iter().position(|s| *s == state).unwrap_or(0) as u8;
        if self.state.swap(number, Ordering::AcqRel) != number {
            self.since_ms.store(self.engine.env.host.now_ms(), Ordering::Release);
            self.news.fetch_add(1, Ordering::AcqRel);
            self.engine.signal().notify_all();
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

    /// Applies up to `max_frames` frames (at least one is asked for) that the source has beyond this node now. Returns how
    /// many were applied.
    pub fn catch_up_once(&self, max_frames: usize) -> Result<usize> {
        let mut work = self.working.lock();
        self.require_replica()?;
        let result = self.pull(max_frames.max(1), LogIndex(u64::MAX)).map_err(|e| self.with_both_ways(e));
        self.settle(&mut work, result)
    }

    /// Notes how an attempt ended.
    fn settle(&self, work: &mut Work, result: Result<usize>) -> Result<usize> {
        if result.is_ok() {
            work.before_trial = None;
            self.engine.came_to_something();
        }
        let remembers = if result.is_ok() { self.leave_old_sources(work) } else { Ok(()) };
        let registered = match self.engine.options.replication_unregistered && self.engine.is_replica() {
            true => Ok(self.end_registration(work)),
            // Tried, and not followed: one that was named by mistake must not keep its log for this replica.
            false if result.is_err() && !work.noted && !work.left.is_empty() => Ok(self.control.is_registered()),
            false => self.report(),
        };
        match (&result, registered, remembers) {
            (Ok(_), registered, Err(e)) => {
                self.control.set_registered(registered.unwrap_or_default(), false);
                self.control.set_needs_reseed(false);
                self.note_failure(&e);
            }
            (Ok(_), Ok(registered), Ok(())) => {
                self.control.set_registered(registered, false);
                self.control.set_last_error(None);
                self.control.set_needs_reseed(false);
                // It holds all up to where it is, however that came.
                self.control.set_filled();
                // Who looks finds that its source leads nowhere; once that is known, each pull finds whether it still is so.
                let orphaned = self.state() == ReplicaState::Orphaned && self.upstream().fault.is_some();
                self.enter(if orphaned { ReplicaState::Orphaned } else { self.pace() });
            }
            (Ok(_), Err(e), Ok(())) => self.note_unregistered(&e),
            (Err(e), registered, _) => {
                self.look_at_epoch();
                self.control.set_registered(registered.unwrap_or_else(|_| self.control.is_registered()), false);
                self.note_failure(e);
            }
        }
        // Its own log would grow for ever: it is cut after each checkpoint.
        let checkpoints = self.engine.checkpoints();
        if work.checkpoints != checkpoints {
            work.checkpoints = checkpoints;
            if let Err(e) = self.followed_log.run_retention(&self.engine.options.retention) {
                tracing::warn!("a replica's log could not be cut: {e}");
            }
        }
        self.note_news();
        result
    }

    /// Whether its source has more.
    fn pace(&self) -> ReplicaState {
        let behind = self.engine.published().0 < self.source_head.load(Ordering::Acquire);
        if behind { ReplicaState::Behind } else { ReplicaState::Following }
    }

    /// What can be seen of where it follows.
    fn upstream(&self) -> Upstream {
        if self.engine.is_foreign() || self.engine.role() != ReplicationRole::Replica {
            return Upstream::default();
        }
        let asking = Asking::of(&self.engine, &self.control);
        // A follower goes on while its source is looked at, which lets go of what is not needed any more.
        self.source().upstream(&asking).still(asking.at, self.engine.published())
    }

    /// The state, in view of that.
    fn state_with(&self, fault: Option<&SourceFault>) -> ReplicaState {
        let state = match self.state() {
            ReplicaState::Orphaned => self.pace(),
            state => state,
        };
        let shown = SourceFault::shown_in(fault, state);
        // That it has to be reseeded the next pull notes, if that is so still.
        let noted = if shown == ReplicaState::Orphaned { shown } else { state };
        if noted != self.state() {
            self.enter(noted);
        }
        shown
    }

    /// A source that this replica does not follow any more need not keep its log for it, now that it can follow another
    /// one. Tried once: one that cannot be reached lists the replica until an operator removes it. Fails where the source that
    /// it follows cannot be remembered.
    fn leave_old_sources(&self, work: &mut Work) -> Result<()> {
        let followed = self.source.read().0.clone();
        if !work.noted
            && let Some(followed) = followed.as_ref().filter(|_| !self.engine.is_foreign())
        {
            // The next pull tries again.
            remember(&self.engine, &self.source_env, followed, true).map_err(|e| {
                let db = followed.db.display();
                e.context(format_args!(
                    "it pulled from {db}, and will not know that as its source when it is opened again"
                ))
            })?;
            work.noted = true;
        }
        for (paths, source) in work.left.drain(..).filter(|(paths, _)| *paths != followed) {
            if let Err(e) = source.forget(&self.id) {
                let left = paths.map(|paths| paths.db.display().to_string()).unwrap_or_default();
                tracing::warn!("{left} may keep its log for a replica that left it: {e}");
            }
        }
        Ok(())
    }

    /// Has every source forget this replica, which leads now: those that it followed before, and the last one if that was `fenced`.
    /// One that was not may lead on: by the registration it knows who leads beside it. One that cannot be reached lists this node
    /// until an operator removes it.
    fn leave_sources_taken_over(&self, work: &mut Work, fenced: bool) {
        let followed = self.source.read().clone();
        let last = std::iter::once(followed).filter(|(paths, _)| fenced && paths.is_some());
        for (paths, source) in work.left.drain(..).chain(last) {
            if let Err(e) = source.forget(&self.id) {
                let left = paths.map(|paths| paths.db.display().to_string()).unwrap_or_default();
                tracing::warn!("{left} may keep its log for a replica that leads now: {e}");
            }
        }
        if fenced {
            self.control.set_registered(false, false);
        }
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
        self.control.set_last_error(Some(&self.told_with_its_source(e)));
        if e.code() == ErrorCode::NeedsReseed {
            self.control.set_needs_reseed(true);
        }
        let denied = e.code() == ErrorCode::PermissionDenied;
        self.control.set_denied(denied);
        let too_new = e.code() == ErrorCode::TooNew;
        self.control.set_too_new(too_new);
        let state = match self.control.needs_reseed() {
            true => ReplicaState::NeedsReseed,
            false if denied => ReplicaState::Denied,
            false if too_new => ReplicaState::TooNew,
            false => ReplicaState::Stalled,
        };
        self.enter(state);
        tracing::warn!(code = e.code().as_str(), "a replica could not catch up: {e}");
    }

    /// It could pull, but its source does not keep its log for it.
    fn note_unregistered(&self, e: &Error) {
        let what = not_registered(e);
        if self.state() != ReplicaState::Unregistered {
            tracing::warn!(code = e.code().as_str(), "{what}");
        }
        self.control.set_last_error(Some(&what));
        self.control.set_needs_reseed(false);
        self.control.set_registered(false, true);
        self.enter(ReplicaState::Unregistered);
    }

    /// Pulls and applies frames, up to so many and up to an index, of those that the source has when this begins: one that
    /// commits faster than it is read never has no more.
    fn pull(&self, max_frames: usize, mut through: LogIndex) -> Result<usize> {
        // Also where there is nothing to pull: it must not look as if it followed.
        self.engine.require_undamaged()?;
        self.engine.end_adoption()?;
        self.require_a_leader()?;
        let source = self.source();
        let mut applied = 0;
        while applied < max_frames {
            let (epoch, writer_id, index, digest) = self.engine.position();
            let at = At { epoch, writer_id, index, digest };
            let limits = PageLimits { max_frames: max_frames - applied, max_bytes: PAGE_BYTES, through };
            let pulled = source.page(&at, limits)?;
            if self.engine.is_on_trial() {
                // Known before it is a replica: one that is opened as a primary next takes over from there.
                self.remember_source(true)?;
            }
            if self.engine.pass_trial()? {
                self.followed_log.follow();
            }
            self.note_seen(&pulled.seen)?;
            self.source_head.store(pulled.head.0, Ordering::Release);
            through = through.min(pulled.head);
            let before = applied;
            for chunk in pulled.page.chunks {
                applied += self.engine.follow(chunk)?;
            }
            // What could be applied is; then the rest is reported.
            if let Some(fault) = pulled.page.fault {
                return Err(fault);
            }
            if applied == before {
                match index > pulled.head {
                    true => self.require_common(&*source, pulled.head)?,
                    // Which must not keep what retention lets go of.
                    false => *self.own_log.lock() = None,
                }
                break;
            }
        }
        Ok(applied)
    }

    /// Has the source of a replica that is not to be registered forget it. Returns whether it is registered there still: a
    /// source that cannot be told keeps its log for it.
    fn end_registration(&self, work: &mut Work) -> bool {
        let noted = self.control.is_registered() && !self.engine.is_foreign();
        if work.unregistered && !noted {
            return false;
        }
        match self.source().forget(&self.id) {
            Err(e) if noted => {
                tracing::warn!("the source keeps its log for a replica that is not to be registered: {e}");
                true
            }
            _ => {
                work.unregistered = true;
                false
            }
        }
    }

    /// Tells the source how far this node is, unless it is not to. Returns whether it is registered there now.
    fn report(&self) -> Result<bool> {
        // What is no replica, or not known to be one, does not follow, whatever it was opened as.
        if self.engine.options.replication_unregistered || !self.engine.is_replica() {
            return Ok(false);
        }
        let progress = self.progress();
        self.source().report(&progress)?;
        self.reported.store(progress.durable.0, Ordering::Release);
        if let (true, Some(path)) = (self.engine.opened.take_new_id(), &self.labels.path) {
            let superseded = self.source().supersede(&self.id, path);
            if let Err(e) = superseded {
                // It holds the log until an operator removes it.
                tracing::warn!("who was registered in the place of this replica before it was not forgotten: {e}");
            }
        }
        Ok(true)
    }

    /// How far this node is. What is no replica has nothing of its source's history.
    fn progress(&self) -> Progress {
        let (mut epoch, mut applied, mut durable) = (Epoch(0), LogIndex(0), LogIndex(0));
        if self.engine.is_replica() {
            let view = self.engine.view();
            let token = view.token();
            (epoch, applied) = (token.epoch, token.log_index);
            durable = match self.engine.options.sync_mode {
                crate::db::SyncMode::Full => applied,
                _ => self.engine.durable().min(applied),
            };
        }
        let labels = Some(self.labels.clone());
        let replica_id = self.id.clone();
        Progress { replica_id, labels, epoch, applied, durable, reserved: None, reported_at_ms: 0 }
    }

    /// Follows another source from now on; what this node holds must be on its history.
    pub fn repoint(&self, paths: SourcePaths, source: Arc<dyn Source>) -> Result<()> {
        self.require_replica()?;
        self.require_no_circle(paths.clone())?;
        let mut idle = self.working.lock();
        // Another source takes the place of the one that is known once this replica has followed it.
        let known = remembered(&self.engine, &self.source_env);
        if !self.engine.is_foreign() && known.is_none_or(|known| known.paths.db == paths.db) {
            remember(&self.engine, &self.source_env, &paths, false)?;
        }
        self.begin_trial(&mut idle);
        let old = std::mem::replace(&mut *self.source.write(), (Some(paths), source));
        old.1.wake();
        idle.left.push(old);
        (idle.noted, idle.unregistered) = (false, false);
        self.reported.store(u64::MAX, Ordering::Release);
        // The next pull will tell whether the new source can go on from here.
        let needs_reseed = self.control.needs_reseed() || self.engine.is_foreign();
        self.enter(if needs_reseed { ReplicaState::NeedsReseed } else { ReplicaState::Behind });
        Ok(())
    }

    /// Fails if replicas would follow each other once this one follows `paths`, before anything is given up for that.
    pub(in crate::replication) fn require_no_circle(&self, paths: SourcePaths) -> Result<()> {
        let asking = Asking::of(&self.engine, &self.control);
        match leads_in_a_circle(&self.source_env, paths, &asking) {
            Some(circle) => Err(Error::new(ErrorCode::InvalidOption, format_args!("nothing is replaced: {circle}"))),
            None => Ok(()),
        }
    }

    /// Notes that it followed `source` before it was opened: that one forgets it once this replica follows another one.
    pub fn leaves(&self, paths: SourcePaths, source: Arc<dyn Source>) {
        let mut idle = self.working.lock();
        idle.left.push((Some(paths), source));
        idle.noted = false;
    }

    /// Where the source is, if that is known.
    pub fn paths(&self) -> Option<SourcePaths> {
        self.source.read().0.clone()
    }

    /// The promotion of this replica that fenced its source, and did not end.
    fn promotion_under_way(&self) -> Option<FenceStatus> {
        let moved = self.look_at_epoch()?.moved()?;
        (moved.by == self.control.promotion()).then(|| FenceStatus::of(moved))
    }

    /// The last commit of its source: as the last pull found it where a follower keeps that up to date, else as it was `seen`
    /// now, if it was.
    fn head_as_told(&self, seen: Option<LogIndex>) -> u64 {
        let keeps_up = matches!(
            self.state(),
            ReplicaState::Following | ReplicaState::Behind | ReplicaState::Orphaned | ReplicaState::Unregistered
        );
        let pulled = self.source_head.load(Ordering::Acquire);
        match seen {
            Some(seen) if !keeps_up || !self.following.load(Ordering::Acquire) => seen.0,
            _ => pulled,
        }
    }

    /// What the replica says of itself.
    pub fn status(&self) -> ReplicaReplicationStatus {
        // As a primary's: who follows this one is told no later than who looks here.
        let _ = self.control.pay();
        let view = self.engine.view();
        let token = view.token();
        let at_start = token.log_index.0 == 0;
        let (promotion, log) = (self.promotion_under_way(), self.log_status(token.log_index));
        let upstream = self.upstream();
        let reported = self.reported.load(Ordering::Acquire) != u64::MAX;
        let removed = reported && upstream.removed(self.control.is_registered());
        let (registered, registration_fault) = upstream.registration(self.control.is_registered());
        let Upstream { head: seen, fault: source_fault, unseen: source_unseen, .. } = upstream;
        let lost = SourceFault::reseed_reason(source_fault.as_ref());
        let panicked = self.engine.panicked();
        let state = match self.engine.check_usable() {
            Ok(()) if panicked.is_some() => ReplicaState::Stalled,
            Ok(()) => self.state_with(source_fault.as_ref()),
            Err(_) => ReplicaState::Closed,
        };
        let last_error = panicked.map(ToString::to_string).or_else(|| self.engine.foreign_reason());
        let (paths, _) = &*self.source.read();
        let head = self.head_as_told(seen).max(token.log_index.0);
        let follows = self.following.load(Ordering::Acquire);
        // Nothing was ever copied or pulled: who holds nothing of an empty source is registered there.
        let never_filled = at_start
            && !(follows || reported || self.control.is_registered())
            && self.engine.published() == LogIndex(0);
        let (state, last_error) = match state {
            ReplicaState::Behind | ReplicaState::Following if never_filled && head > 0 => (
                ReplicaState::Bootstrapping,
                last_error.or_else(|| Some(holds_nothing(&self.engine.env, &self.engine.path, &self.engine.log_dir))),
            ),
            ReplicaState::Behind | ReplicaState::Following if removed => (ReplicaState::Unregistered, last_error),
            ReplicaState::Following if token.log_index.0 < head => {
                if !follows {
                    self.enter(ReplicaState::Behind);
                }
                // Else it may have caught up since the position was looked at that is shown: that one is behind.
                (ReplicaState::Behind, last_error)
            }
            state => (state, last_error),
        };
        let registration_fault = registration_fault.or_else(|| removed.then(|| REMOVED.to_owned()));
        ReplicaReplicationStatus {
            role: ReplicationRole::Replica,
            source_db_path: paths.as_ref().map(|paths| paths.db.clone()),
            source_sidecar_path: paths.as_ref().map(SourcePaths::sidecar_shown),
            source_follows: self.control.source_follows(),
            applied_epoch: if at_start { 0 } else { token.epoch.0 },
            applied_log_index: token.log_index.0,
            needs_reseed: self.control.needs_reseed() || self.engine.is_foreign() || lost.is_some(),
            last_error: last_error.or_else(|| self.control.last_error()).or(lost),
            source_fault,
            source_unseen,
            state,
            state_since_ms: self.since_ms.load(Ordering::Acquire),
            promotion,
            sidecar_path: self.engine.log_dir.clone(),
            replica_id: self.id.clone(),
            source_head_log_index: head,
            lag_frames: head - token.log_index.0,
            durable_log_index: self.engine.durable().0.min(token.log_index.0),
            digest: view.digest(),
            follower_running: follows,
            process_id: Some(self.engine.env.host.process_id().into()),
            name: self.labels.name.clone(),
            registered,
            registration_fault,
            retained_floor: log.retained_floor,
            log_bytes: log.log_bytes,
            segments: log.segments,
            holds: log.holds,
            replica_lags: log.replica_lags,
            log_fault: log.fault,
            registration_limit: log.registration_limit,
            panicked: panicked.map(ToString::to_string),
        }
    }

    /// What its own log is; where it cannot be looked at now, what it was.
    fn log_status(&self, head: LogIndex) -> LogStatus {
        let mut known = self.log.lock();
        match self.followed_log.log_status(head) {
            Ok(found) => *known = found,
            Err(e) => tracing::warn!("a replica's log could not be looked at: {e}"),
        }
        known.clone()
    }
}
