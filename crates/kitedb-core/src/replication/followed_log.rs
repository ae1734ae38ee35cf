//! A log that others follow: what they reported, how far behind they are, and what may go. A primary has one, and so
//! has a replica, for the replicas that follow it.

use crate::{
    db::{Engine, RetentionOptions, fence_by_header},
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    io::OpenMode,
    lock::Mutex,
    log::{Control, LogReader, no_segment},
    replication::{
        begun_elsewhere::who_has_begun,
        led_elsewhere::led_elsewhere,
        registry::{
            LIMIT, Progress, Registration, Registry,
            choose_replica::{choose, short_id},
        },
        replica::copied::{Before, LeftBehind, LeftBehindBy},
        retention::{self, Holds, Kept, Part, RetentionOutcome},
        status::{FenceStatus, Hold, HoldState, PrimaryReplicationStatus, ReplicaLag},
    },
    shell::{command, command_by_log},
};
use std::{path::Path, sync::Arc};

/// See the [module documentation](self).
#[derive(Debug)]
pub struct FollowedLog {
    pub(crate) engine: Arc<Engine>,
    control: Arc<Control>,
    /// `None`: the database is open for reading only, and its sidecar has none.
    registry: Option<Registry>,
    reader: Mutex<LogReader>,
    /// For exported pages: it remembers where the last one ended.
    pub(in crate::replication) pages: Mutex<LogReader>,
    /// Held while retention runs.
    pruning: Mutex<()>,
}

/// What a log is, whoever it belongs to.
#[derive(Debug, Clone, Default)]
pub(in crate::replication) struct LogStatus {
    pub retained_floor: u64,
    pub log_bytes: u64,
    pub segments: u64,
    pub holds: Vec<Hold>,
    pub replica_lags: Vec<ReplicaLag>,
    pub registration_limit: u64,
    pub fault: Option<String>,
}

/// A replica's report, and what the log says of it.
struct Standing {
    registration: Registration,
    /// When the first frame that it misses was committed.
    missing_since: Option<u64>,
    lag_bytes: u64,
    /// After which frames it asks for all of them, lowest first, and since when it has been missing the next one: where it is,
    /// and where the snapshot ends that it copies. Empty: what it needs next is gone, so it asks for none.
    held: Vec<(LogIndex, Option<u64>)>,
}

impl FollowedLog {
    /// Of an engine with a sidecar. One that is open for reading only says what it saw when it was opened.
    pub fn new(engine: &Arc<Engine>, control: Arc<Control>) -> Result<Self> {
        let registry = match engine.options.read_only {
            true => Registry::look(&engine.env, &engine.log_dir, control.clone())?,
            false => {
                let registry = Registry::create(&engine.env, &engine.log_dir, control.clone())?;
                let part = if control.is_replica() { Part::Follows } else { Part::Leads };
                if let Err(e) = registry.take_part(part) {
                    // Then more is kept than need be. The next open notes it.
                    tracing::warn!("what part this node plays was not noted in its registry of replicas: {e}");
                }
                Some(registry)
            }
        };
        let reader = || LogReader::with_control(&engine.env, &engine.log_dir, control.clone()).map(Mutex::new);
        let (reader, pages) = (reader()?, reader()?);
        Ok(Self { engine: engine.clone(), control, registry, reader, pages, pruning: Mutex::new(()) })
    }

    /// Tells who looks at the log what this node's windows are.
    pub fn tell_windows(&self) {
        let Some(registry) = &self.registry else { return };
        if let Err(e) = registry.set_windows(&self.engine.options.retention) {
            tracing::warn!("what windows this node keeps was not noted in its registry of replicas: {e}");
        }
    }

    /// What a primary says of itself. `epoch` is the one that the asking handle leads.
    pub fn status(&self, epoch: Epoch) -> Result<PrimaryReplicationStatus> {
        // Others are told no later than who looks here. If it fails, the next commit says so.
        let _ = self.control.pay();
        let view = self.engine.view();
        let token = view.token();
        let head = token.log_index;
        let log = self.log_status(head)?;
        let (appends, fence) = (self.engine.appends(), self.control.fence()?);
        let assumed = || -> Option<FenceStatus> {
            // As the next open for writing stores it.
            let link = self.engine.store.log_link();
            let by_header = || fence_by_header(&self.control, &fence, &link, [u8::MAX; 16]);
            let (fence, _) = self.engine.options.read_only.then(by_header)??;
            Some(FenceStatus { assumed: true, ..FenceStatus::of(fence.moved()?) })
        };
        Ok(PrimaryReplicationStatus {
            role: self.engine.role(),
            epoch: epoch.0,
            head_log_index: head.0,
            retained_floor: log.retained_floor,
            replica_lags: log.replica_lags,
            sidecar_path: self.engine.log_dir.clone(),
            last_token: (head.0 > 0).then_some(token),
            append_attempts: appends.0,
            append_failures: appends.1,
            append_successes: appends.0 - appends.1,
            digest: view.digest(),
            durable_log_index: self.control.durable().0,
            log_bytes: log.log_bytes,
            segments: log.segments,
            holds: log.holds,
            log_fault: log.fault,
            registration_limit: log.registration_limit,
            fenced: self.engine.is_fenced() || fence.epoch > epoch,
            copied: self.engine.copied().map(ToString::to_string),
            begun_by: fence.moved().filter(|moved| moved.ended.is_some()).and_then(|moved| {
                let env = &self.engine.env;
                who_has_begun(env, &self.control, moved)
            }),
            led_by: led_elsewhere(
                &self.engine.env,
                (&self.engine.path, &self.engine.log_dir),
                self.registry.as_ref(),
                epoch,
            ),
            fence: assumed().or_else(|| fence.moved().map(|moved| FenceStatus::seen(moved, &self.control))),
            process_id: writer_of(&self.engine, &self.control)?,
            panicked: self.engine.panicked().map(ToString::to_string),
        })
    }

    /// What the log is, and who follows it.
    pub(in crate::replication) fn log_status(&self, head: LogIndex) -> Result<LogStatus> {
        let windows = self.windows();
        let (standings, segments) = self.standings(head)?;
        // Whoever has less than that will not get beyond it.
        let broken = if standings.is_empty() { None } else { self.reader.lock().last_missing(head)? };
        // What the byte cap lets go of with the next run of retention.
        let over = retention::beyond_cap(&segments, &windows);
        let capped = segments.get(over).map_or(LogIndex(0), |s| s.first);
        let replicas: Vec<_> = standings.iter().flat_map(|s| s.held.iter().copied()).collect();
        let ids = standings.iter().flat_map(|s| s.held.iter().map(|_| s.registration.replica_id.as_str()));
        let ids: Vec<_> = ids.collect();
        let holds = Holds { head, now_ms: self.engine.env.host.now_ms(), replicas: &replicas };
        Ok(LogStatus {
            retained_floor: floor_of(segments.first().map(|s| s.first), head),
            log_bytes: segments.iter().map(|s| s.bytes).sum(),
            segments: segments.len() as u64,
            holds: retention::what_holds(&segments, &holds, &ids, self.engine.checkpoint_index(), &windows),
            replica_lags: standings.iter().map(|s| self.lag_of(s, head, (capped, broken), &windows)).collect(),
            registration_limit: LIMIT as u64,
            fault: self
                .log_fault(head, segments.is_empty())?
                .or(self.loss()?)
                .or_else(|| self.lost_commits(&standings, head)),
        })
    }

    /// What is wrong with the segments that are there, as far as their headers and the ends of some tell; or that there is
    /// none, though the newest one is never let go of.
    fn log_fault(&self, head: LogIndex, is_empty: bool) -> Result<Option<String>> {
        let reader = self.reader.lock();
        let wrong = match reader.damaged_header().or_else(|| reader.out_of_place()) {
            None => match reader.hole(head)? {
                None => reader.in_its_way()?,
                hole => hole,
            },
            wrong => wrong,
        };
        drop(reader);
        Ok(wrong.map(|e| e.to_string()).or_else(|| self.missing_segments().filter(|_| is_empty)))
    }

    /// What is wrong with the log, for who is to lead with it: as far as [`LogStatus::fault`] tells without reading all of it.
    pub(in crate::replication) fn unfit_to_lead(&self, head: LogIndex) -> Result<Option<String>> {
        let mut reader = self.reader.lock();
        reader.refresh()?;
        let is_empty = reader.floor().is_none();
        drop(reader);
        self.log_fault(head, is_empty)
    }

    /// That this primary, whose last commit is `head`, lost commits of its epoch that a replica reported to have: an older backup was
    /// put into its files, or its log was cut.
    fn lost_commits(&self, standings: &[Standing], head: LogIndex) -> Option<String> {
        // Not from what commits hold: who asks waits for none.
        let epoch = self.engine.view().token().epoch;
        let reported = standings.iter().map(|standing| &standing.registration);
        let furthest = reported.filter(|found| found.epoch == epoch).max_by_key(|found| found.applied)?;
        let is_ahead = furthest.applied > head && !self.control.is_replica();
        // Who looks may know of a commit later than its replica.
        let now = || Control::open(&*self.engine.env.disk, &self.engine.log_dir, OpenMode::Read).ok()?;
        if !is_ahead || now().is_none_or(|control| control.published() >= furthest.applied) {
            return None;
        }
        let replica = Path::new(furthest.labels.path.as_deref().unwrap_or("REPLICA"));
        Some(format!(
            "the last commit here is {epoch}:{head}, and the replica {replica} ({id}) has reported {epoch}:{applied}: an older backup was \
             put back here, or the log was cut, and this node lacks what that one has. Do not write here: let that one lead \
             ({lead}), and reseed this node from it; only if what it has is to be given up, reseed it from here ({give_up}), or forget \
             it ({forget})",
            replica = replica.display(),
            id = short_id(&furthest.replica_id),
            applied = furthest.applied,
            lead = command("replica promote", replica, "--force"),
            give_up = command("replica reseed", replica, "--overwrite"),
            forget = command_by_log("primary remove", &self.engine.log_dir, short_id(&furthest.replica_id)),
        ))
    }

    fn missing_segments(&self) -> Option<String> {
        let log = self.control.current_log().log_id;
        self.control.has_begun(log).then(|| no_segment(&self.engine.log_dir))
    }

    /// Why replicas that were registered are not known any more, and what to do.
    pub fn loss(&self) -> Result<Option<String>> {
        Ok(self.lost_replicas()?.map(|e| e.to_string()))
    }

    /// Why replicas that were registered are not known any more.
    fn lost_replicas(&self) -> Result<Option<Error>> {
        match &self.registry {
            Some(registry) => registry.loss(&self.engine.env),
            None => Registry::loss_of_none(&self.engine.env, &self.engine.log_dir, &self.control),
        }
    }

    /// Takes the operator's word that the replicas that are registered are all that there are, on a log that this process
    /// has open for reading only. `control` is its control file, mapped.
    pub fn confirm_replicas_beside_writer(&self, control: &Arc<Control>) -> Result<()> {
        let (env, dir) = (&self.engine.env, &self.engine.log_dir);
        if let Some(registry) = Registry::open(env, dir, control.clone())? {
            return registry.confirm();
        }
        let Some(_no_writer) = control.lock_out_writers()? else {
            let what = format_args!(
                "the registry of replicas in {} is damaged or gone, and a process ({}) has its database open: \
                 let that one open it anew first",
                dir.display(),
                env.holder(control.writer_pid())
            );
            return Err(Error::new(ErrorCode::Locked, what).with_path(dir).with_pid(control.writer_pid()));
        };
        Registry::create(env, dir, control.clone()).and_then(|registry| registry.confirm())
    }

    /// This node's windows; where it is open for reading only, those of its last writer.
    fn windows(&self) -> RetentionOptions {
        let read_only = self.engine.options.read_only;
        let writers = self.registry.as_ref().filter(|_| read_only).and_then(Registry::windows);
        writers.unwrap_or(self.engine.options.retention)
    }

    /// Notes that this node is a primary from now on. Who followed the replica that it was follows it still.
    pub fn lead(&self) {
        self.take_part(Part::Leads);
    }

    /// Notes that this node, which led, follows another one from now on. Who followed it holds nothing here any more.
    pub fn follow(&self) {
        self.take_part(Part::Follows);
    }

    /// What this node is to those who follow it, for [`FollowedLog::adopted`].
    pub fn before_a_copy(&self) -> Before {
        let last = self.engine.published();
        let served = self.standings(last).map(|(standings, _)| standings).unwrap_or_else(|e| {
            tracing::warn!("who follows this node could not be looked at before a copy: {e}");
            Vec::new()
        });
        let served = served.into_iter().filter(|standing| !standing.held.is_empty());
        let served = served.map(|standing| standing.registration).collect();
        Before { led: !self.control.is_replica(), last, served }
    }

    /// A copy took the place of the graph that was here, of whose history what comes up to `common` is on that of now. Forgets
    /// who has more of what was: nothing here is of use to it. Returns who cannot go on here as before.
    pub fn adopted(&self, before: Before, common: LogIndex) -> Vec<LeftBehind> {
        if before.led {
            self.follow();
        }
        let served = self.standings(self.engine.published()).map(|(standings, _)| standings).unwrap_or_default();
        let serves = |found: &Registration| {
            let is_it = |standing: &&Standing| standing.registration.replica_id == found.replica_id;
            served.iter().find(is_it).is_none_or(|standing| !standing.held.is_empty())
        };
        let left = before.left_behind(common, serves);
        for left in left.iter().filter(|left| left.why == LeftBehindBy::OtherHistory) {
            if let Err(e) = self.registry().and_then(|registry| registry.remove(&left.replica_id)) {
                tracing::warn!("a replica whose history is gone here is registered still: {e}");
            }
        }
        left
    }

    fn take_part(&self, part: Part) {
        if let Err(e) = self.registry().and_then(|registry| registry.take_part(part)) {
            // Then more is kept than need be. The next open notes it.
            tracing::warn!("what part this node plays was not noted in its registry of replicas: {e}");
        }
    }

    fn registry(&self) -> Result<&Registry> {
        self.engine.require_writable()?;
        let missing = || Error::new(ErrorCode::Internal, "the registry of replicas is missing");
        self.registry.as_ref().ok_or_else(missing)
    }

    /// `capped`: what comes before it, the byte cap lets go of. `broken`: that commit is missing amid the log; it may be put
    /// back, so that retention keeps what it kept.
    fn lag_of(
        &self,
        standing: &Standing,
        head: LogIndex,
        (capped, broken): (LogIndex, Option<LogIndex>),
        windows: &RetentionOptions,
    ) -> ReplicaLag {
        let Standing { registration, missing_since, lag_bytes, held } = standing;
        let now = self.engine.env.host.now_ms();
        let at_risk = |(held, since): &(LogIndex, Option<u64>)| {
            retention::let_go(windows, now, *since) || (*held < head && held.0 + 1 < capped.0)
        };
        let hold = match held.as_slice() {
            [] => HoldState::Lost,
            held if broken.is_some_and(|missing| held.iter().all(|(held, _)| *held < missing)) => HoldState::Lost,
            held if held.iter().all(at_risk) => HoldState::AtRisk,
            _ => HoldState::Held,
        };
        ReplicaLag {
            replica_id: registration.replica_id.clone(),
            name: registration.labels.name.clone(),
            path: registration.labels.path.clone(),
            epoch: registration.epoch.0,
            applied_log_index: registration.applied.0,
            durable_log_index: registration.durable.0,
            lag_frames: head.0.saturating_sub(registration.applied.0),
            lag_bytes: *lag_bytes,
            lag_ms: missing_since.map_or(0, |since| now.saturating_sub(since)),
            hold,
            reserved_log_index: registration.reserved.map(|after| after.0),
            reported_at_ms: registration.reported_at_ms,
        }
    }

    /// Every report with what the log says of it, and the segments.
    fn standings(&self, head: LogIndex) -> Result<(Vec<Standing>, Vec<Kept>)> {
        let mut reader = self.reader.lock();
        reader.refresh()?;
        let segments = kept(&reader, head);
        let floor = segments.first().map_or(LogIndex(head.0 + 1), |s| s.first);
        let mut standings = Vec::new();
        for registration in self.registry.iter().flat_map(Registry::registrations) {
            let served = |at: &LogIndex| retention::serves(floor, head, *at);
            let mut missing_since = |at: LogIndex| match LogIndex(at.0 + 1) {
                next if next <= head => reader.commit_ms(next.max(floor)),
                _ => Ok(None),
            };
            let Registration { durable, applied, reserved, .. } = registration;
            let since = missing_since(applied)?;
            // What it may still lose is held for it, too, as long as that is there. A replica that holds nothing yet needs
            // nothing from before the snapshot that it copies.
            let here = [durable, applied].into_iter().find(served).filter(|_| applied.0 > 0 || reserved.is_none());
            let mut held: Vec<_> = here.map(|here| (here, since)).into_iter().collect();
            if let Some(after) = reserved.filter(served) {
                held.push((after, missing_since(after)?));
                held.sort_unstable();
            }
            let missing_since = since;
            let lag_bytes = segments.iter().map(|s| s.bytes_beyond(registration.applied)).sum();
            standings.push(Standing { held, registration, missing_since, lag_bytes });
        }
        Ok((standings, segments))
    }

    /// Takes in what an operator says of a replica.
    pub fn report(&self, epoch: Epoch, replica_id: &str, reported: Epoch, applied: LogIndex) -> Result<()> {
        if reported != epoch {
            let what =
                format_args!("epoch mismatch: the report says epoch {reported}, this primary leads epoch {epoch}");
            let error = Error::new(ErrorCode::EpochMismatch, what).with_key(replica_id).with_epoch(epoch);
            return Err(error.with_expected(epoch).with_found(reported));
        }
        let head = self.engine.published();
        if applied > head {
            return Err(Error::invalid(format_args!(
                "a replica cannot have applied log index {applied}: this primary's last commit is {head}"
            ))
            .with_key(replica_id)
            .with_found(applied));
        }
        let now = self.engine.env.host.now_ms();
        let replica_id = replica_id.to_owned();
        self.registry()?.report(&Progress {
            replica_id,
            labels: None,
            epoch: reported,
            applied,
            durable: applied,
            reserved: None,
            reported_at_ms: now,
        })
    }

    /// Forgets the replica that `which` names. Returns its id.
    pub fn remove(&self, which: &str) -> Result<Option<String>> {
        forget(self.registry()?, which)
    }

    /// As [`FollowedLog::remove`], on a log that this process has open for reading only. `control` is its control file, mapped.
    pub fn remove_beside_writer(&self, control: Arc<Control>, which: &str) -> Result<Option<String>> {
        match Registry::open(&self.engine.env, &self.engine.log_dir, control)? {
            Some(registry) => forget(&registry, which),
            None => Ok(None),
        }
    }

    /// Lets go of what nobody asks for; where replicas are lost, only of what the byte cap lets go of. Makes a checkpoint first if recovery is what holds it.
    /// Upholds I45.
    pub fn run_retention(&self, windows: &RetentionOptions) -> Result<RetentionOutcome> {
        self.engine.require_in_place()?;
        let _one_at_a_time = self.pruning.lock();
        let head = self.engine.published();
        let lost = self.lost_replicas()?;
        let windows = &if lost.is_some() { capped_only(windows) } else { *windows };
        let mut pruned = 0;
        if let Some(last) = self.unwanted(head, windows)?.last() {
            if last.last > self.engine.checkpoint_index() {
                self.engine.checkpoint()?;
            }
            // Looked at again: a replica may have begun a bootstrap meanwhile, or begins one now and waits.
            let registry = self.registry()?;
            let known = || if lost.is_some() { Ok(()) } else { registry.require_whole(&self.engine.env) };
            pruned = registry.locked(|| known().and_then(|()| self.let_go(head, windows)))??;
        }
        if let Some(lost) = lost {
            return Err(lost);
        }
        let mut reader = self.reader.lock();
        reader.refresh()?;
        let retained_floor = floor_of(reader.floor(), head);
        Ok(RetentionOutcome { pruned_segments: pruned as u64, retained_floor })
    }

    /// The segments that neither windows nor replicas ask for, oldest first.
    fn unwanted(&self, head: LogIndex, windows: &RetentionOptions) -> Result<Vec<Kept>> {
        let (standings, mut segments) = self.standings(head)?;
        let replicas: Vec<_> = standings.iter().flat_map(|s| s.held.iter().copied()).collect();
        let holds = Holds { head, now_ms: self.engine.env.host.now_ms(), replicas: &replicas };
        segments.truncate(retention::plan(&segments, &holds, windows));
        Ok(segments)
    }

    /// Removes unwanted segments that recovery does not need. Returns how many went.
    fn let_go(&self, head: LogIndex, windows: &RetentionOptions) -> Result<usize> {
        let (unwanted, folded) = (self.unwanted(head, windows)?, self.engine.checkpoint_index());
        let goes = unwanted.iter().take_while(|s| s.last <= folded).count();
        // A later one may be there, half made, that could not be removed: the one that is written stays all the same.
        let written = self.engine.written_segment().unwrap_or(u64::MAX);
        let reader = self.reader.lock();
        let older = reader.segments().take(goes).map(|(seq, _, _)| seq);
        let mut seqs: Vec<u64> = older.take_while(|seq| *seq < written).collect();
        // One whose header does not verify goes with those after it.
        let damaged: Vec<u64> =
            seqs.last().map(|last| reader.damaged_headers_before(*last).collect()).unwrap_or_default();
        drop(reader);
        let pruned = seqs.len();
        seqs.extend(damaged);
        seqs.sort_unstable();
        self.engine.remove_segments(&seqs).map(|_| pruned)
    }
}

/// The windows of which nothing but the byte cap lets go of anything.
fn capped_only(windows: &RetentionOptions) -> RetentionOptions {
    RetentionOptions { min_entries: u64::MAX, ..*windows }
}

fn forget(registry: &Registry, which: &str) -> Result<Option<String>> {
    let all = registry.registrations();
    let removal = |id: &str| command_by_log("primary remove", registry.dir(), id).to_string();
    let Some(found) = choose(which, &all, removal)? else { return Ok(None) };
    Ok(registry.remove(&found.replica_id)?.then(|| found.replica_id.clone()))
}

/// The process that has a log open for writing: this one, unless it only reads; else the one that lives, if one does.
pub(in crate::replication) fn writer_of(engine: &Engine, control: &Control) -> Result<Option<u64>> {
    if !engine.options.read_only {
        return Ok(Some(engine.env.host.process_id().into()));
    }
    Ok(control.writer_lives()?.then(|| control.writer_pid()))
}

impl Kept {
    /// The bytes of its frames after `index`, taking all for equally long.
    fn bytes_beyond(&self, index: LogIndex) -> u64 {
        let frames = (self.last.0 + 1).saturating_sub(self.first.0);
        let beyond = (self.last.0.saturating_sub(index.0)).min(frames);
        if frames == 0 { 0 } else { (u128::from(self.bytes) * u128::from(beyond) / u128::from(frames)) as u64 }
    }
}

fn kept(reader: &LogReader, head: LogIndex) -> Vec<Kept> {
    let segments: Vec<_> = reader.segments().collect();
    let next = |at: usize| segments.get(at + 1).map(|(_, header, _)| header);
    let kept = |(at, (_, header, bytes)): (usize, &(u64, crate::log::SegmentHeader, u64))| Kept {
        first: header.first,
        last: next(at).map_or(head, |next| LogIndex(next.first.0 - 1)),
        bytes: *bytes,
        left_ms: next(at).map_or(u64::MAX, |next| next.begun_ms),
    };
    segments.iter().enumerate().map(kept).collect()
}

/// The first frame that is still there; 0 if the log has all from the first one on.
pub(in crate::replication) fn floor_of(first: Option<LogIndex>, head: LogIndex) -> u64 {
    match first {
        Some(first) if first.0 > 1 => first.0,
        Some(_) => 0,
        None if head.0 == 0 => 0,
        None => head.0 + 1,
    }
}
