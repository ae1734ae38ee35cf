//! The log that a repair finds: what is left of it, what that proves, and what is made of it.

use super::{
    left::Left,
    plan::{NewFence, Plan},
    proof::Proof,
    reports::{Reported, Reports, some_commit},
};
use crate::{
    db::{
        engine::{Engine, OpenReport},
        history::{merge_history, writer_of},
        options::{OpenOptions, ReplicationRole},
        place::{LogPlace, anchored, another_control_file, files_moved, folder_of, is_of_another, no_control_file},
        places::LogPlaces,
        promote::lock_fence,
    },
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    io::{Env, FileLock, OpenMode, copy_aside, put_aside, sim::SimDisk},
    log::{
        Control, EpochEnd, Fence, LogIdentity, NewControl, Recovered, Replaced, Roll, Salt, does_not_go_on,
        has_segments, in_its_way, no_segment, put_segments_aside, salt_of, verify, writers,
    },
    store::{CheckpointMark, Hint, HistoryEntry, LogKind, LogLink, Part, Store},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The log that a file names.
pub(super) struct DamagedLog<'a> {
    env: Env,
    store: &'a Store,
    path: PathBuf,
    dir: PathBuf,
    /// As the header has it; of a file that is older than its log, as it would be if that one had not been closed.
    link: LogLink,
    identity: LogIdentity,
    /// Its folder is not there, though commits were in it.
    gone: Option<Error>,
    /// It, or the file, is a copy, which its operator must say.
    copied: Option<Error>,
    /// The file is an older one than the log.
    newer: Option<Error>,
}

impl<'a> DamagedLog<'a> {
    /// `None`: the file names none.
    pub fn of(env: &Env, path: &Path, open: &OpenOptions, store: &'a Store) -> Result<Option<Self>> {
        let mut link = store.log_link();
        let places = LogPlaces::to_repair(env, path, open, store)?;
        if let Some(left) = &places.left {
            link.kind = left.kind;
        }
        let place = match (link.kind, &places.left) {
            (_, Some(left)) => &left.place,
            (LogKind::None, None) => return Ok(None),
            (LogKind::Private, None) => &places.private,
            (LogKind::Sidecar, None) => &places.sidecar,
        };
        let follows = matches!(link.part, Part::Follows(_));
        let in_file = store.manifest().checkpoint.log_index;
        let (mut gone, mut copied) = (None, None);
        match place {
            LogPlace::Here(_) | LogPlace::Damaged(..) => {}
            // What is done to it is done to the original's.
            LogPlace::Moved(dir, _) if is_of_another(env, &**store.file(), store.file_id(), dir) => {
                return Err(files_moved(path, place));
            }
            LogPlace::Moved(..) if link.kind == LogKind::Private => {}
            // By its log, as for everybody who opens it: an older copy of the file may be of before it took over.
            LogPlace::Moved(..) if places.standing(env, store)?.is_replica() => {}
            LogPlace::Moved(..) => copied = Some(files_moved(path, place)),
            // What was closed needs no log, and a replica's source has what was in it.
            LogPlace::Missing(dir) if link.open && !follows => {
                gone = Some(Error::new(
                    ErrorCode::LogMismatch,
                    format_args!(
                        "commits after log index {in_file} are only in the log, which should be in {}, and is not there{}",
                        dir.display(),
                        places.but_apart()
                    ),
                ));
            }
            _ => return Err(places.log_is_gone(path, place, &link)),
        }
        let dir = place.dir().to_owned();
        let mut env = env.clone();
        if gone.is_none() {
            let like = store.file().access().map_err(|e| Error::io("look at", path, e))?;
            env = anchored(&env, &dir, like).map_err(|e| Error::io("look at", &dir, e))?;
        }
        let identity = LogIdentity { log_id: link.id, file_id: store.file_id() };
        let newer = places.newer_log(&env, path, &link)?;
        let held = newer.as_ref().and_then(|newer| newer.held.as_ref()).map(|held| held.last);
        if let Some(newer) = newer.as_ref().filter(|newer| newer.is_of_file && held <= Some(places.holds(&link))) {
            // What came since is in neither, or under numbers that the file has otherwise.
            return Err(Error::new(ErrorCode::LogMismatch, &newer.damage).with_path(&dir));
        }
        if let Some(newer) = &newer {
            // Which log that is, its segments say; where they are gone, the control file does.
            let held = newer.held.as_ref().map(|held| held.log.log_id);
            let said = || places.control(&env).map(|control| control.map(|control| control.current_log().log_id));
            let id = held.map_or_else(said, |id| Ok(Some(id)))?.unwrap_or(link.id);
            link = LogLink { id, open: true, boot_id: [0; 16], clean_tail: None, ..link };
        }
        let identity = LogIdentity { log_id: link.id, ..identity };
        let newer = newer.map(|newer| newer.damage);
        Ok(Some(Self { env, store, path: path.to_owned(), dir, link, identity, gone, copied, newer }))
    }

    /// Keeps everybody from writing to the log, who may have come to it by another file.
    pub fn lock_out_writers(&self, left: &Left) -> Result<Option<FileLock>> {
        let Some(control) = left.control() else { return Ok(None) };
        match control.lock_out_writers()? {
            None => Err(Error::new(
                ErrorCode::Locked,
                format_args!(
                    "the log in {} is written to by another process ({}): end that one first",
                    self.dir.display(),
                    self.env.holder(control.writer_pid())
                ),
            )
            .with_path(&self.dir)
            .with_pid(control.writer_pid())),
            lock => Ok(lock),
        }
    }

    /// What is wrong with the file beside its log.
    pub fn fault(&self) -> Option<String> {
        self.newer.as_ref().map(ToString::to_string)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn what_is_left(&self) -> Result<Left> {
        if let Some(gone) = &self.gone {
            return Ok(Left::Nothing(gone.clone()));
        }
        let control = match Control::open(&*self.env.disk, &self.dir, OpenMode::ReadWrite) {
            Ok(Some(control)) if control.expect(self.identity.file_id).is_err() => {
                return Ok(Left::Nothing(another_control_file(&self.dir)));
            }
            Ok(Some(control)) => control,
            Ok(None) => return Ok(Left::Nothing(no_control_file(&self.dir))),
            Err(e) if e.code() == ErrorCode::Corrupt => return Ok(Left::Nothing(e)),
            Err(e) => return Err(e),
        };
        if control.current_log() != self.identity
            && salt_of(&self.env, &self.dir, self.identity)?.is_some_and(|salt| salt != control.salt())
        {
            // A replica whose control file was lost, and that was opened since.
            let what = format_args!("the control file in {} was made anew, without the log there", self.dir.display());
            return Ok(Left::Nothing(Error::corrupt(what)));
        }
        Ok(match control.fence() {
            Err(e) if e.code() == ErrorCode::Corrupt => Left::ButFence(control, e),
            fence => fence.map(|_| Left::Whole(control))?,
        })
    }

    /// Reads the log as an open would, against a control file in memory that says what is left of the real one. Upholds
    /// I44.
    pub fn proof(&self, open: &OpenOptions, left: &Left, reports: Reports<'_>) -> Result<Proof> {
        let (mark, history) = (self.store.manifest().checkpoint, self.store.manifest().history.clone());
        let durable = left.control().map(|control| self.durable(control)).transpose()?.flatten();
        let salt = match left.control() {
            Some(control) => Some(control.salt()),
            None if self.gone.is_some() => None,
            None => salt_of(&self.env, &self.dir, self.identity)?,
        };
        let mut remains: Vec<String> = self.copied.iter().map(ToString::to_string).collect();
        let model = self.model(left, salt, durable)?;
        let (mut recovered, mut gap) = (None, self.gone.clone());
        let needed = mark.log_index > LogIndex(0);
        if gap.is_none() {
            match self.replay(open, &model) {
                // Upholds that a repair cuts off no frame which a newer build reads.
                Ok(Recovered { damage: Some(e), .. }) if e.code() == ErrorCode::TooNew => return Err(e),
                // It ends before the file does, and more came after: nothing of it can be gone on with.
                Ok(short) if short.damage.is_some() && !short.is_whole() => gap = short.damage,
                // The file holds every commit, and the log does not go on from there.
                Ok(short) if !self.link.open && short.damage.is_none() && !short.ends_at(mark.log_index) && needed => {
                    gap = Some(does_not_go_on(&self.dir, mark.log_index));
                }
                Ok(whole) => recovered = Some(whole),
                Err(e) if !matches!(e.code(), ErrorCode::Corrupt | ErrorCode::LogMismatch) => return Err(e),
                Err(e) if !self.link.open => {
                    let missed = needed && has_segments(&self.env, &self.dir, left.control(), self.identity)?;
                    match self.not_needed(left, e)? {
                        Some(what) if missed => gap = Some(Error::corrupt(what)),
                        what => remains.extend(what),
                    }
                }
                Err(e) if self.goes_on_after(mark.log_index)? => return Err(e),
                Err(e) => gap = Some(e),
            }
        }
        let in_file = match gap {
            Some(_) => mark.log_index,
            None => self.link.clean_tail.map_or(mark.log_index, |(index, _)| index.max(mark.log_index)),
        };
        let last = recovered.as_ref().map_or(in_file, |recovered| recovered.last.max(in_file));
        let found = recovered.iter().flat_map(|recovered| &recovered.history).map(|(epoch, ..)| *epoch);
        let said = match self.link.part {
            Part::Leads(epoch) | Part::Fenced { led: epoch, .. } | Part::Follows(epoch) => epoch,
            Part::Unsaid | Part::StandAlone => mark.epoch,
        };
        let epoch = recovered.as_ref().map_or(mark.epoch, |recovered| recovered.epoch);
        let led = history.iter().map(|led| led.epoch).chain(found).chain([mark.epoch, said, epoch]).max();
        let led = led.unwrap_or(epoch);
        if recovered.as_ref().is_some_and(|recovered| recovered.damage.is_none()) {
            let damaged = verify(&self.env, &self.dir, self.identity, &model, last)?;
            remains.extend(damaged.into_iter().map(|what| {
                format!("{what}; the file holds what was there, replicas that need it must be reseeded, and retention lets go of it")
            }));
        }
        let damaged = gap.is_some() || recovered.as_ref().is_some_and(|recovered| recovered.damage.is_some());
        let in_its_way = match damaged {
            // All that follows is put aside.
            true => Vec::new(),
            false => in_its_way(&self.env, &self.dir, self.identity)?,
        };
        let reports = match self.link.kind {
            LogKind::Sidecar if self.gone.is_none() => reports(&self.env, &self.dir),
            _ => None,
        };
        let registry = reports.is_some();
        let closed = gap.is_some() && !self.link.open;
        let begun = left.control().map(|control| self.begun(control)).transpose()?.flatten();
        let more = match begun {
            Some(begun) if begun > led => None,
            begun => more_than(reports, last, epoch.max(begun.unwrap_or_default())..=led),
        };
        let mut reported = more.map(|more| Error::corrupt(self.missing(&more, last)));
        if left.control().is_some() && !damaged {
            // By the control file the log is whole: that replica has what this node lost with the machine, or gave up.
            remains.extend(reported.take().map(|e| e.to_string()));
        }
        let mut history = self.store.manifest().history.clone();
        if let Some(recovered) = &recovered {
            merge_history(&mut history, &recovered.history, last, None);
        }
        let writer = writer_of(&history, epoch, last);
        let all_in_file = closed && reported.is_none();
        Ok(Proof {
            last,
            epoch,
            writer,
            led,
            salt,
            recovered,
            gap,
            all_in_file,
            reported,
            registry,
            in_its_way,
            remains,
        })
    }

    /// The epoch from which on replicas have what counts here; `None`: any. That of a node which follows, or is to begin an
    /// epoch of its own because it lost or gave up what came after, is after all that replicas have.
    fn begun(&self, control: &Control) -> Result<Option<Epoch>> {
        let never = Some(Epoch(u64::MAX));
        Ok(match control.fence() {
            Err(e) if e.code() == ErrorCode::Corrupt => None,
            Err(e) => return Err(e),
            Ok(fence) if fence.follows || control.sync_failed() => never,
            Ok(fence) => Some(fence.epoch),
        })
    }

    /// A control file in memory, with what is left of the real one.
    fn model(&self, left: &Left, salt: Option<Salt>, durable: Option<LogIndex>) -> Result<Arc<Control>> {
        let fence = match left {
            Left::Whole(control) => control.fence()?,
            _ => Fence::new(Epoch(1)),
        };
        let salt = salt.unwrap_or_else(|| self.env.host.random());
        let model =
            Control::create_with(&SimDisk::new(0), Path::new("/"), self.identity, salt, &NewControl::of(fence))?;
        model.set_durable(durable.unwrap_or_default());
        Ok(Arc::new(model))
    }

    fn replay(&self, open: &OpenOptions, model: &Arc<Control>) -> Result<Recovered> {
        let reading = OpenOptions { read_only: true, ..open.clone() };
        let store = Store::open(&self.env, &self.path, false)?;
        let (env, path, dir) = (self.env.clone(), self.path.clone(), self.dir.clone());
        let role = ReplicationRole::Disabled;
        let engine = Engine::at_checkpoint(env, path, reading, store, role, dir, OpenReport::default())?;
        engine.replay(&self.link, &self.dir, Some(model.clone()), None, OpenMode::Read)
    }

    /// Whether a segment holds, or held, the frame after `index`.
    fn goes_on_after(&self, index: LogIndex) -> Result<bool> {
        let segments = writers(&self.env, &self.dir, self.identity)?;
        Ok(segments.iter().any(|(_, _, first)| first.0 <= index.0 + 1))
    }

    /// What of a log is wrong that cannot be read, where the file was closed and holds every commit.
    fn not_needed(&self, left: &Left, e: Error) -> Result<Option<String>> {
        let none = e.code() == ErrorCode::LogMismatch && writers(&self.env, &self.dir, self.identity)?.is_empty();
        let follows = matches!(self.link.part, Part::Follows(_));
        Ok(match left.control().map(|control| control.has_begun(self.link.id)) {
            // As a bootstrap leaves it: the log begins with the first commit that comes after it.
            Some(false) if none => None,
            None if none && follows => None,
            _ if none => Some(no_segment(&self.dir)),
            _ => Some(format!("{e} (the file holds every commit that it was closed with)")),
        })
    }

    fn missing(&self, more: &Reported, last: LogIndex) -> String {
        format!(
            "the log in {} ends with log index {last}, and the replica {} had reported {} as durable: commits are missing \
             here, and that replica has them",
            self.dir.display(),
            more.who,
            more.durable
        )
    }

    /// What the control file says to be durable of this log, unless it is a copy's.
    fn durable(&self, control: &Control) -> Result<Option<LogIndex>> {
        let own = control.current_log() == self.identity && !control.displaced(&**self.store.file())?.log;
        Ok(own.then(|| control.durable()))
    }

    /// `leader`: the node that was seen to lead in place of this one.
    pub fn plan(&self, left: &Left, proof: &Proof, leader: Option<&str>) -> Plan {
        let anew = matches!(left, Left::Nothing(_)) && (proof.gap.is_none() || self.link.kind == LogKind::Sidecar);
        let fence = match left {
            Left::Whole(control) if self.is_older(control, proof) => Some(self.fence(proof)),
            Left::Whole(control) => proof.gap.as_ref().and_then(|_| self.fence_after_gap(control, proof)),
            Left::ButFence(..) | Left::Nothing(_) => Some(self.fence(proof)),
        };
        let leads = |fence: &Fence| !fence.follows && fence.moved_by.is_none();
        let found = || left.control().and_then(|control| control.fence().ok());
        let leader = leader.filter(|_| self.link.kind == LogKind::Sidecar && self.copied.is_none());
        let fence = match fence.map(|new| new.fence).or_else(found) {
            // In one epoch there is one history.
            Some(led) if leader.is_some() && leads(&led) => Some(self.fenced_anew(proof, led.epoch)),
            _ => fence,
        };
        let registry_lost = anew && self.link.kind == LogKind::Sidecar && !proof.registry;
        let forward = self.newer.is_some() && proof.gap.is_none();
        let epoch = match self.link.kind {
            // Its history tells: see `end_in_file`.
            LogKind::Private => proof.gap.as_ref().map(|_| Epoch(proof.led.0 + 1)),
            _ => fence.filter(|_| proof.gap.is_some()).map(|new| new.fence.epoch),
        };
        let (gone, copied, last) = (self.gone.is_some(), self.copied.is_some(), some_commit(proof.end()));
        let leader = leader.map(ToOwned::to_owned);
        Plan { anew, forward, gone, copied, fence, begins: epoch, leader, registry_lost, last }
    }

    /// Whether an older control file took the place of the one of this log, in its very inode: what it says of who leads is what
    /// was so then. That of a copy is its operator's to say.
    fn is_older(&self, control: &Control, proof: &Proof) -> bool {
        let leads = || control.fence().is_ok_and(|fence| !fence.follows && fence.moved_by.is_none());
        self.newer.is_some() && self.copied.is_none() && control.durable() < proof.last && leads()
    }

    /// The numbers after what the file holds were given out: they come again in another epoch.
    fn fence_after_gap(&self, control: &Control, proof: &Proof) -> Option<NewFence> {
        let fence = control.fence().ok()?;
        if proof.all_in_file || self.link.kind == LogKind::Private || fence.follows || fence.moved_by.is_some() {
            return None;
        }
        let led = fence.epoch.max(proof.led);
        let fence = fence.begun(Epoch(led.0 + 1), Some(EpochEnd { epoch: led, last: proof.last }));
        Some(NewFence { fence, assumed: false })
    }

    /// The fence that takes the place of a lost one: nobody leads by it who may not.
    fn fence(&self, proof: &Proof) -> NewFence {
        match (self.link.kind, self.link.part) {
            // Nobody else moves the fence of a database without a part in replication.
            (LogKind::None | LogKind::Private, _) => NewFence { fence: Fence::new(proof.led), assumed: false },
            (LogKind::Sidecar, Part::Follows(epoch)) => {
                let fence = Fence { follows: true, ..Fence::new(epoch.max(proof.epoch)) };
                NewFence { fence, assumed: false }
            }
            // One that led again since is older than its log.
            (LogKind::Sidecar, Part::Fenced { by, promotion, .. }) if proof.epoch < by || self.newer.is_none() => {
                NewFence { fence: proof.fenced(by, promotion), assumed: false }
            }
            (LogKind::Sidecar, Part::Leads(_) | Part::Fenced { .. } | Part::Unsaid | Part::StandAlone) => {
                self.fenced_anew(proof, proof.led)
            }
        }
    }

    /// The fence of a node that led `led`, and does not lead before it is told to.
    fn fenced_anew(&self, proof: &Proof, led: Epoch) -> NewFence {
        let by = Epoch(led.max(proof.led).0 + 1);
        NewFence { fence: proof.fenced(by, self.env.host.random()), assumed: true }
    }

    /// Returns the files in which what was there is kept.
    pub fn carry_out(&self, left: Left, plan: &Plan, proof: &Proof) -> Result<Vec<PathBuf>> {
        if self.gone.is_some() && self.link.kind == LogKind::Private {
            self.end_in_file(plan, proof)?;
            return Ok(Vec::new());
        }
        let disk = &*self.env.disk;
        let io = |e| Error::io("repair log control file", &self.dir.join(crate::log::CONTROL_NAME), e);
        let (mut aside, mut told) = (Vec::new(), None);
        let control = match (left, plan.fence) {
            (Left::Nothing(_), _) if !plan.anew => {
                // The next commit makes another one, where this would be in the way.
                let replaced = Replaced::look(disk, &self.dir);
                aside.extend(replaced.put_aside(disk, &self.dir).map_err(io)?);
                told = Some(replaced);
                None
            }
            (Left::Nothing(_), Some(fence)) => Some(self.make_control(fence, plan, proof, &mut aside, &mut told)?),
            (Left::ButFence(control, _), Some(new)) => {
                aside.push(copy_aside(disk, &self.dir.join(crate::log::CONTROL_NAME)).map_err(io)?);
                disk.sync_dir(&self.dir).map_err(io)?;
                put_fence(&control, &new)?;
                Some(control)
            }
            (Left::Whole(control), Some(new)) => {
                put_fence(&control, &new)?;
                Some(control)
            }
            (Left::Whole(control) | Left::ButFence(control, _), None) => Some(control),
            (Left::Nothing(e), None) => return Err(e),
        };
        let cut = proof.recovered.as_ref().filter(|recovered| recovered.damage.is_some());
        let _moving = control.as_ref().filter(|_| cut.is_some() || proof.gap.is_some()).map(lock_fence).transpose()?;
        if let (Some(recovered), Some(control)) = (cut, &control) {
            aside.extend(recovered.cut_aside(&self.env, control)?);
        }
        if proof.gap.is_some() {
            if let Some(control) = &control {
                control.begin_session(&*self.env.host, proof.last)?;
                // The next commit begins another log.
                control.set_begun([0; 16])?;
                control.sync()?;
            }
            aside.extend(put_segments_aside(&self.env, &self.dir)?);
        }
        if let Some(control) = &control {
            if self.newer.is_some() && proof.gap.is_none() {
                // Who reads the log meanwhile finds the one that goes on.
                control.set_current_log(self.identity.log_id)?;
            }
            if cut.is_some() || proof.gap.is_some() || self.newer.is_some() {
                // What it needed a reseed for is past: what is missing, its source has.
                control.set_needs_reseed(false);
                control.set_last_error(None);
            }
            control.sync()?;
        }
        for path in &proof.in_its_way {
            aside.push(put_aside(disk, path).map_err(io)?);
        }
        disk.sync_dir(&self.dir).map_err(io)?;
        self.end_in_file(plan, proof)?;
        if let Some(control) = &control {
            // This is the file that counts from now on, whatever the log has seen.
            control.set_file_generation(self.store.generation())?;
        }
        drop(told);
        Ok(aside)
    }

    fn make_control(
        &self,
        NewFence { fence, assumed }: NewFence,
        plan: &Plan,
        proof: &Proof,
        aside: &mut Vec<PathBuf>,
        told: &mut Option<Replaced>,
    ) -> Result<Control> {
        let disk = &*self.env.disk;
        let path = self.dir.join(crate::log::CONTROL_NAME);
        let io = |e| Error::io("repair log control file", &path, e);
        if self.gone.is_some() {
            disk.create_dir(&self.dir).and_then(|()| disk.sync_dir(folder_of(&self.dir))).map_err(io)?;
        }
        if let Some(recovered) = &proof.recovered {
            recovered.sync_tail(&self.env)?;
        }
        // Who sleeps on its words is told once the new one is as it is to be, or was not made.
        let replaced = Replaced::look(disk, &self.dir);
        aside.extend(replaced.put_aside(disk, &self.dir).map_err(io)?);
        *told = Some(replaced);
        let salt = proof.salt.unwrap_or_else(|| self.env.host.random());
        let new = NewControl {
            fence,
            assumed,
            // Frames may be in the cache only, and numbers were given out that are not there: the next open writes the ones
            // again, and begins an epoch of its own for the others.
            tail: Some(proof.last),
            begun: proof.recovered.is_some(),
            roll: plan.registry_lost.then(Roll::lost),
            registered: fence.follows,
            unfilled: fence.follows && proof.last == LogIndex(0),
        };
        let control = Control::create_with(disk, &self.dir, self.identity, salt, &new)?;
        control.begin_session(&*self.env.host, proof.last)?;
        control.set_stamps(&**self.store.file())?;
        Ok(control)
    }

    /// Says in the file what became of its log: that it ended with what the file holds, and that this node was fenced. Last:
    /// who is cut short before it is repaired once more.
    fn end_in_file(&self, plan: &Plan, proof: &Proof) -> Result<()> {
        let mut link = self.link.clone();
        if proof.gap.is_some() {
            let CheckpointMark { log_index, digest, .. } = self.store.manifest().checkpoint;
            let clean_tail = Some((log_index, digest));
            if link.kind == LogKind::Private {
                // The numbers that come again are those of another writer.
                let mut history = self.store.manifest().history.clone();
                let (epoch, writer_id) = (plan.begins.unwrap_or(Epoch(proof.led.0 + 1)), self.env.host.random());
                history.push(HistoryEntry { epoch, writer_id, first: LogIndex(log_index.0 + 1) });
                let link = LogLink { clean_tail, part: Part::StandAlone, ..LogLink::default() };
                return self.store.renew(self.identity.file_id, history, link);
            }
            link = LogLink { open: false, boot_id: [0; 16], clean_tail, ..link };
            link.hint = Hint::to(&self.dir, folder_of(&self.path)).unwrap_or(link.hint);
        } else if proof.recovered.as_ref().is_some_and(|recovered| recovered.damage.is_some()) {
            // Numbers that were given out come again: no boot is known in which all is as it was.
            link.boot_id = [0; 16];
        }
        if let Some(NewFence { fence: Fence { epoch: by, moved_by: Some(promotion), .. }, assumed: true }) = plan.fence
        {
            // The control file that was lost may turn up again, and does not know of this one.
            link.part = Part::Fenced { led: proof.led, by, promotion };
        }
        if link == self.store.log_link() { Ok(()) } else { self.store.mark_log(link) }
    }
}

fn put_fence(control: &Control, new: &NewFence) -> Result<()> {
    lock_fence(control).and_then(|_moving| match new.assumed {
        true => control.put_assumed_fence(&new.fence),
        false => control.put_fence(&new.fence)?.durable(),
    })
}

/// The replica that reported more than `last`, of what it has of one of these epochs.
fn more_than(
    reports: Option<Vec<Reported>>,
    last: LogIndex,
    epochs: std::ops::RangeInclusive<Epoch>,
) -> Option<Reported> {
    let more = |report: &Reported| report.durable > last && epochs.contains(&report.epoch);
    reports?.into_iter().filter(more).max_by_key(|report| report.durable)
}
