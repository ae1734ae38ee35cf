//! A log whose control file is damaged or gone, or that ends in damage, is mended by what its frames prove.
//!
//! Recovery itself says what that is: it reads the log against the control file that is to be, in memory, before anything
//! is written. What frames cannot prove is not made up. Whether another node took over, only the control file knew: a
//! primary comes back as one that was fenced, reads, and leads when its operator says so. Commits behind damage are given
//! up only by name, and even then they are put aside.

use super::{
    engine::Engine,
    open::{anchored, open_for_writing, require_one_name},
    options::{OpenOptions, ReplicationRole},
    place::{LogPlace, log_is_gone, no_control_file},
    places::Places,
    promote::lock_fence,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex, Token},
    io::{Env, OpenMode, copy_aside, sim::SimDisk},
    log::{Control, EpochEnd, Fence, LogIdentity, Recovered, Replaced, Roll, Salt, salt_of, verify},
    shell::shell_word,
    store::{LogKind, LogLink, Part, Store, WRITER_LOCK},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// How a database is repaired: see [`Database::repair`](crate::Database::repair).
#[derive(Debug, Clone, Default)]
pub struct RepairOptions {
    pub(crate) open: OpenOptions,
    dry_run: bool,
    cut_at: Option<Token>,
}

impl RepairOptions {
    /// What a repair does that gives nothing up.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes nothing, and says what would be done.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Gives up what the log held after this commit, where damage stands in the way of it. It must be the last one that
    /// the frames prove: [`Repair::asks_for`].
    #[must_use]
    pub fn cut_at(mut self, last: Token) -> Self {
        self.cut_at = Some(last);
        self
    }

    /// Where its log is, if that is not where its file says.
    #[must_use]
    pub fn replication_sidecar_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.open = self.open.replication_sidecar_path(path);
        self
    }

    /// Repairs a file that has more than one hard link.
    #[must_use]
    pub fn accept_hard_links(mut self, accept: bool) -> Self {
        self.open = self.open.accept_hard_links(accept);
        self
    }
}

/// What [`Database::repair`](crate::Database::repair) found and did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Repair {
    /// What is wrong, and can be mended.
    pub found: Vec<String>,
    /// What was done about it; of a dry run, what would be.
    pub steps: Vec<String>,
    /// What is wrong and no repair mends, each with what does.
    pub remains: Vec<String>,
    /// The files in which what was there is kept. Nobody needs them any more: remove them when you do not.
    pub put_aside: Vec<PathBuf>,
    /// The last commit that the database shows afterwards.
    pub last_token: Option<Token>,
    /// What [`RepairOptions::cut_at`] must name, because commits after it lie behind damage.
    pub asks_for: Option<Token>,
    /// Whether it is a primary that does not lead before it is told to, because nothing that is left tells whether another
    /// node took over from it.
    pub fenced: bool,
    /// Whether anything was changed.
    pub done: bool,
    /// Where its log is.
    pub(crate) log_dir: Option<PathBuf>,
}

impl Repair {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.found.is_empty() && self.remains.is_empty()
    }
}

/// Repairs the log of the file at the resolved `path`. `registry_is_whole` looks at what the floor above keeps in a folder.
pub(crate) fn repair(
    env: &Env,
    path: &Path,
    options: &RepairOptions,
    registry_is_whole: &dyn Fn(&Env, &Path) -> bool,
) -> Result<Repair> {
    let open = OpenOptions { role: None, read_only: false, create_if_missing: false, ..options.open.clone() };
    let store = open_for_writing(env, path, &open)?;
    let repaired = require_one_name(path, &open, &**store.file())
        .and_then(|()| repair_locked(env, path, options, &open, &store, registry_is_whole));
    let _ = store.file().unlock(WRITER_LOCK..WRITER_LOCK + 1);
    let repair = repaired?;
    drop(store);
    if repair.done {
        require_mended(env, path, open)?;
    }
    Ok(repair)
}

fn repair_locked(
    env: &Env,
    path: &Path,
    options: &RepairOptions,
    open: &OpenOptions,
    store: &Store,
    registry_is_whole: &dyn Fn(&Env, &Path) -> bool,
) -> Result<Repair> {
    let mut repair = Repair::default();
    for damage in store.verify() {
        repair.remains.push(format!(
            "{} bytes at {} of the database file: {}; reseed it from another node, or restore it from a copy",
            damage.len, damage.offset, damage.what
        ));
    }
    let Some(log) = Log::of(env, path, open, store)? else {
        let mark = store.manifest().checkpoint;
        repair.last_token = token(mark.epoch, mark.log_index);
        return Ok(repair);
    };
    repair.log_dir = Some(log.dir.clone());
    let left = log.what_is_left()?;
    repair.found.extend(left.fault());
    let proof = log.proof(path, open, &left)?;
    repair.remains.extend(proof.unneeded.iter().cloned());
    repair.last_token = token(proof.epoch, proof.last);
    if let Some(damage) = proof.damage() {
        repair.found.push(damage.to_string());
        let end = Token { epoch: proof.epoch, log_index: proof.last };
        match options.cut_at {
            Some(told) if told == end => {
                repair.steps.push(format!("end the log with {end}, and put aside what follows"))
            }
            None if options.dry_run => repair.asks_for = Some(end),
            told => return Err(asks_for_cut(path, damage, end, told)),
        }
    }
    let plan = log.plan(&left, &proof, registry_is_whole);
    repair.steps.splice(0..0, plan.steps());
    repair.fenced = plan.fence.is_some_and(|fence| fence.assumed);
    if options.dry_run || repair.found.is_empty() {
        return Ok(repair);
    }
    repair.put_aside = log.carry_out(left, &plan, &proof)?;
    if let Some(NewFence { fence: Fence { epoch: by, moved_by: Some(promotion), .. }, assumed: true }) = plan.fence {
        // The control file that was lost may turn up again, and does not know of this one.
        let part = Part::Fenced { led: proof.led, by, promotion };
        store.mark_log(LogLink { part, ..log.link.clone() })?;
    }
    repair.done = true;
    Ok(repair)
}

/// `None`: there is no commit.
fn token(epoch: Epoch, log_index: LogIndex) -> Option<Token> {
    (log_index > LogIndex(0)).then_some(Token { epoch, log_index })
}

fn asks_for_cut(path: &Path, damage: &Error, end: Token, told: Option<Token>) -> Error {
    let told = told.map_or_else(String::new, |told| format!(", and not {told}"));
    Error::new(
        ErrorCode::Corrupt,
        format_args!(
            "{damage}. The last commit that the log proves is {end}{told}: what came after it cannot be read. Where another \
             node has it, promote that one, and reseed this one from it; where a copy of the log has it, put that back; else \
             give it up by name (`kitedb repair {} --cut-at {end}`, RepairOptions::cut_at)",
            shell_word(path)
        ),
    )
}

/// Opens what was repaired as a reader does.
fn require_mended(env: &Env, path: &Path, open: OpenOptions) -> Result<()> {
    let engine = Engine::open_read_only(env.clone(), path.to_owned(), OpenOptions { read_only: true, ..open }, None)?;
    let damage = engine.damage.lock().clone();
    damage.map_or(Ok(()), |damage| Err(damage.context("after the repair")))
}

/// The log that a file names.
struct Log<'a> {
    env: Env,
    store: &'a Store,
    dir: PathBuf,
    link: LogLink,
    identity: LogIdentity,
}

/// What is left of a control file.
enum Left {
    /// All of it.
    Whole(Control),
    /// All but its fence.
    ButFence(Control, Error),
    /// Nothing; a file of its name may be there.
    Nothing(Error),
}

impl Left {
    fn fault(&self) -> Option<String> {
        match self {
            Self::Whole(_) => None,
            Self::ButFence(_, e) | Self::Nothing(e) => Some(e.to_string()),
        }
    }
}

/// What the frames prove.
struct Proof {
    /// The last commit that verifies with all before it.
    last: LogIndex,
    /// Its epoch.
    epoch: Epoch,
    /// The greatest epoch that anything names which is left.
    led: Epoch,
    salt: Option<Salt>,
    /// The log, read from what the file holds to its end; `None`: it does not go on where the file ends, and need not.
    recovered: Option<Recovered>,
    /// What of the log is damaged that the file does not need.
    unneeded: Vec<String>,
}

impl Proof {
    fn damage(&self) -> Option<&Error> {
        self.recovered.as_ref()?.damage.as_ref()
    }
}

/// A fence that takes the place of one that was lost.
#[derive(Clone, Copy)]
struct NewFence {
    fence: Fence,
    /// Nothing that is left tells whether another node moved it.
    assumed: bool,
}

/// What is to be done.
struct Plan {
    /// The control file is made anew.
    anew: bool,
    fence: Option<NewFence>,
    /// Whoever was registered as a replica is not known any more.
    registry_lost: bool,
    last: Option<Token>,
}

impl<'a> Log<'a> {
    /// `None`: the file names none.
    fn of(env: &Env, path: &Path, open: &OpenOptions, store: &'a Store) -> Result<Option<Self>> {
        let link = store.log_link();
        let places = Places::of(env, path, open, store)?;
        let place = match link.kind {
            LogKind::None => return Ok(None),
            LogKind::Private => &places.private,
            LogKind::Sidecar => &places.sidecar,
        };
        let (LogPlace::Here(dir) | LogPlace::Moved(dir, _) | LogPlace::Damaged(dir, _)) = place else {
            return Err(log_is_gone(path, place, &link, store.manifest().checkpoint.log_index));
        };
        let like = store.file().access().map_err(|e| Error::io("look at", path, e))?;
        let env = anchored(env, dir, like).map_err(|e| Error::io("look at", dir, e))?;
        let identity = LogIdentity { log_id: link.id, file_id: store.file_id() };
        Ok(Some(Self { env, store, dir: dir.clone(), link, identity }))
    }

    fn what_is_left(&self) -> Result<Left> {
        let control = match Control::open(&*self.env.disk, &self.dir, OpenMode::ReadWrite) {
            Ok(Some(control)) => control,
            Ok(None) => return Ok(Left::Nothing(no_control_file(&self.dir))),
            Err(e) if e.code() == ErrorCode::Corrupt => return Ok(Left::Nothing(e)),
            Err(e) => return Err(e),
        };
        control.expect(self.identity.file_id)?;
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

    /// Reads the log as an open would, against a control file in memory that says what is left of the real one.
    fn proof(&self, path: &Path, open: &OpenOptions, left: &Left) -> Result<Proof> {
        let (mark, history) = (self.store.manifest().checkpoint, self.store.manifest().history.clone());
        let (salt, fence, durable) = match left {
            Left::Nothing(_) => (salt_of(&self.env, &self.dir, self.identity)?, None, None),
            Left::ButFence(control, _) => (Some(control.salt()), None, self.durable(control)?),
            Left::Whole(control) => (Some(control.salt()), Some(control.fence()?), self.durable(control)?),
        };
        let fence = fence.unwrap_or_else(|| Fence::new(Epoch(1)));
        let model = Control::create_with(
            &SimDisk::new(0),
            Path::new("/"),
            self.identity,
            salt.unwrap_or_else(|| self.env.host.random()),
            &fence,
        )?;
        model.set_durable(durable.unwrap_or_default());
        let model = Arc::new(model);
        let reading = OpenOptions { read_only: true, ..open.clone() };
        let store = Store::open(&self.env, path, false)?;
        let role = ReplicationRole::Disabled;
        let engine = Engine::assemble(self.env.clone(), path.to_owned(), reading, store, role, self.dir.clone())?;
        let mut unneeded = Vec::new();
        let recovered = match engine.replay(&self.link, &self.dir, Some(model.clone()), None, OpenMode::Read) {
            Err(e) if !self.link.open && matches!(e.code(), ErrorCode::Corrupt | ErrorCode::LogMismatch) => {
                unneeded.push(format!("{e} (the file holds every commit that it was closed with)"));
                None
            }
            recovered => Some(recovered?),
        };
        let in_file = self.link.clean_tail.map_or(mark.log_index, |(index, _)| index.max(mark.log_index));
        let last = recovered.as_ref().map_or(in_file, |recovered| recovered.last.max(in_file));
        let found = recovered.iter().flat_map(|recovered| &recovered.history).map(|(epoch, ..)| *epoch);
        let said = match self.link.part {
            Part::Leads(epoch) | Part::Fenced { led: epoch, .. } | Part::Follows(epoch) => epoch,
            Part::Unsaid | Part::StandAlone => mark.epoch,
        };
        let epoch = recovered.as_ref().map_or(mark.epoch, |recovered| recovered.epoch);
        let led = history.iter().map(|led| led.epoch).chain(found).chain([mark.epoch, said, epoch]).max();
        if recovered.as_ref().is_some_and(|recovered| recovered.damage.is_none()) {
            let damaged = verify(&self.env, &self.dir, self.identity, &model, last)?;
            unneeded.extend(damaged.into_iter().map(|what| {
                format!("{what}; the file holds what was there, replicas that need it must be reseeded, and retention lets go of it")
            }));
        }
        Ok(Proof { last, epoch, led: led.unwrap_or(epoch), salt, recovered, unneeded })
    }

    /// What the control file says to be durable of this log, unless it is a copy's.
    fn durable(&self, control: &Control) -> Result<Option<LogIndex>> {
        let own = control.current_log() == self.identity && !control.displaced(&**self.store.file())?.log;
        Ok(own.then(|| control.durable()))
    }

    fn plan(&self, left: &Left, proof: &Proof, registry_is_whole: &dyn Fn(&Env, &Path) -> bool) -> Plan {
        let anew = matches!(left, Left::Nothing(_));
        let fence = (!matches!(left, Left::Whole(_))).then(|| self.fence(proof));
        let registry_lost = anew && self.link.kind == LogKind::Sidecar && !registry_is_whole(&self.env, &self.dir);
        Plan { anew, fence, registry_lost, last: token(proof.epoch, proof.last) }
    }

    /// The fence that takes the place of a lost one: nobody leads by it who may not.
    fn fence(&self, proof: &Proof) -> NewFence {
        // The end counts nothing void that is here: it is not known where another node's promotion set it.
        let fenced = |by: Epoch, promotion| {
            let by = by.max(Epoch(2));
            let ended = EpochEnd { epoch: Epoch(by.0 - 1), last: proof.last };
            Fence { epoch: by, follows: false, moved_by: Some(promotion), ended: Some(ended) }
        };
        match (self.link.kind, self.link.part) {
            // Nobody else moves the fence of a database without a part in replication.
            (LogKind::None | LogKind::Private, _) => NewFence { fence: Fence::new(proof.led), assumed: false },
            (LogKind::Sidecar, Part::Follows(epoch)) => {
                let fence = Fence { follows: true, ..Fence::new(epoch.max(proof.epoch)) };
                NewFence { fence, assumed: false }
            }
            (LogKind::Sidecar, Part::Fenced { by, promotion, .. }) => {
                NewFence { fence: fenced(by, promotion), assumed: false }
            }
            (LogKind::Sidecar, Part::Leads(_) | Part::Unsaid | Part::StandAlone) => {
                NewFence { fence: fenced(Epoch(proof.led.0 + 1), self.env.host.random()), assumed: true }
            }
        }
    }

    /// Returns the files in which what was there is kept.
    fn carry_out(&self, left: Left, plan: &Plan, proof: &Proof) -> Result<Vec<PathBuf>> {
        let disk = &*self.env.disk;
        let path = self.dir.join(crate::log::CONTROL_NAME);
        let io = |e| Error::io("repair log control file", &path, e);
        let sync = || disk.sync_dir(&self.dir).map_err(io);
        let (mut aside, mut told) = (Vec::new(), None);
        let control = match (left, plan.fence) {
            (Left::Nothing(_), Some(NewFence { fence, assumed })) => {
                if let Some(recovered) = &proof.recovered {
                    recovered.sync_tail(&self.env)?;
                }
                // Who sleeps on its words is told once the new one is as it is to be, or was not made.
                let replaced = Replaced::look(disk, &self.dir);
                aside.extend(replaced.put_aside(disk, &self.dir).map_err(io)?);
                told = Some(replaced);
                let salt = proof.salt.unwrap_or_else(|| self.env.host.random());
                let control = Control::create_with(disk, &self.dir, self.identity, salt, &fence)?;
                control.begin_session(&*self.env.host, proof.last)?;
                if proof.recovered.is_some() {
                    control.set_begun(self.identity.log_id)?;
                }
                if plan.registry_lost {
                    control.set_roll(Some(Roll::lost()))?;
                }
                control.set_stamps(&**self.store.file())?;
                if assumed {
                    control.put_assumed_fence(&fence)?;
                }
                control
            }
            (Left::ButFence(control, _), Some(NewFence { fence, assumed })) => {
                aside.push(copy_aside(disk, &path).map_err(io)?);
                sync()?;
                lock_fence(&control).and_then(|_moving| match assumed {
                    true => control.put_assumed_fence(&fence),
                    false => control.put_fence(&fence)?.durable(),
                })?;
                control
            }
            (Left::Whole(control) | Left::ButFence(control, _), _) => control,
            (Left::Nothing(e), None) => return Err(e),
        };
        let cut = proof.recovered.as_ref().filter(|recovered| recovered.damage.is_some());
        if let Some(recovered) = cut {
            let _moving = lock_fence(&control)?;
            aside.extend(recovered.cut_aside(&self.env, &control)?);
            // What it needed a reseed for is past: what is missing, its source has.
            control.set_needs_reseed(false);
            control.set_last_error(None);
        }
        if plan.anew || cut.is_some() {
            // Frames may be in the cache only, and numbers were given out that are not there: the next open writes the ones
            // again, and begins an epoch of its own for the others.
            control.set_sync_failed(true)?;
        }
        control.sync()?;
        sync()?;
        drop(told);
        Ok(aside)
    }
}

impl Plan {
    fn steps(&self) -> Vec<String> {
        let mut steps = Vec::new();
        let last = self.last.map_or_else(|| "no commit".to_owned(), |last| last.to_string());
        if self.anew {
            steps.push(format!(
                "make the control file anew from the log, which ends with {last}; put the old one aside"
            ));
        }
        match self.fence {
            Some(NewFence { assumed: true, .. }) => steps.push(
                "leave it fenced: whether another node took over, only the control file knew. If one did, let this one \
                 follow it (`kitedb replica follow`); if none did, let this one lead (`kitedb primary promote --force`)"
                    .to_owned(),
            ),
            Some(NewFence { fence, .. }) if fence.moved_by.is_some() => {
                steps.push(format!("leave it fenced by epoch {}, as its file says", fence.epoch));
            }
            Some(NewFence { fence, .. }) if fence.follows => steps.push("let it follow, as its file says".to_owned()),
            _ => {}
        }
        if self.registry_lost {
            steps.push(
                "keep the whole log: who was registered as a replica is not known any more (REGISTRY_LOST). Once all have \
                 reported, say so (`kitedb primary retention --replicas-complete`)"
                    .to_owned(),
            );
        }
        steps
    }
}
