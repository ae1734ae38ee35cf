//! The cluster: machines with a disk each, the database on each of them, and what is expected of it.

use super::{
    fired::{Fault, fired, fired_times},
    ledger::{GENESIS, Id, Ledger},
    network::{Network, path_of},
    transactions::Open,
};
use crate::support::{Rng, model::History};
use kitedb_core::{
    Database, Error, ErrorCode, ErrorKind, OpenOptions, ReplicationRole, SyncMode,
    io::{
        Disk, Env,
        sim::{Crash, Loss, Refusals, SimDisk, SimHost},
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a node is opened as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Primary,
    /// A replica of that node.
    Replica(usize),
}

/// Whether another node took over from a primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fenced {
    No,
    /// A promotion that failed may have come that far.
    Perhaps,
    Yes,
}

#[derive(Debug)]
pub struct Node {
    pub at: usize,
    /// The machine's disk: it outlives processes.
    pub machine: SimDisk,
    /// The process that has the database open, or will.
    pub disk: SimDisk,
    pub host: SimHost,
    pub network: Network,
    pub part: Part,
    pub mode: SyncMode,
    options: OpenOptions,
    /// Whether its retention lets go of what replicas need.
    pub caps: bool,
    pub db: Option<Database>,
    /// It leads, and was opened as a replica to be overwritten, which has not happened yet.
    pub foreign: bool,
    /// The epoch of what it had when a copy of another graph took its place.
    pub gave_up: Option<u64>,
    /// It was fenced, and as a replica it has not been found to be on its source's history yet.
    pub on_trial: bool,
    /// Its operator says that its graph may be overwritten.
    pub overwrite: bool,
    /// ... and that it was opened so.
    pub overwrites: bool,
    /// Whether it is opened without the source that it follows, as one is whose source is gone for good.
    pub names_no_source: bool,
    /// The source that it was told durably.
    pub remembers: Option<usize>,
    /// How often that had been replaced by an empty one.
    pub remembers_file: u32,
    /// How often this one was.
    pub renewals: u32,
    /// The latest epoch in which it met a source that led.
    pub met: u64,
    /// It is opened next without a word of what it is.
    pub unsaid: bool,
    /// It took over while its disk failed: a loss of power may take away that it leads.
    pub shaky: bool,
    /// Its fence may not be durable: a loss of power may take it away.
    pub forgetful: bool,
    /// It lost its power then: the fence may be torn.
    pub torn: bool,
    /// A promotion tried to fence it while its disk failed.
    pub half_fenced: bool,
    /// Another handle, which a promotion by the first one fences.
    pub second: Option<Database>,
    pub second_fenced: bool,
    /// Transactions that were begun some steps ago.
    pub open: Vec<Open>,
    /// What was committed here since it was opened, for those.
    pub history: History,
    /// How often it was promoted in place.
    pub promotions: u64,
    /// What it showed last.
    pub tip: Id,
    /// What a loss of power must leave of that.
    pub durable: Id,
    /// A commit on top of `tip` whose outcome is unknown.
    pub pending: Option<Id>,
    /// The lines that its log may go on in without showing it: those of sources whose frames it pulled when it was
    /// cut short.
    pub reach: Vec<Id>,
    /// What it had before a restart with a damaged log.
    pub behind_damage: Option<Id>,
    /// Why it needs a reseed, as its status told last, if it does; there may have been no room for the words.
    pub reseed_note: Option<Option<String>>,
    /// A copy of another graph in place of its own was cut short.
    pub replacing: bool,
    pub fenced: Fenced,
    /// A promotion of this replica failed, perhaps in its last step.
    pub promoting: bool,
    /// A promotion of it failed, and none has succeeded since: it may have begun an epoch that it never led.
    pub interrupted: bool,
    /// Failures were ordered from its disk and not taken back.
    pub sick: bool,
    /// How many syncs had failed before this step because of what was not written back earlier.
    pub late: u64,
    /// What its disk had refused before this step.
    refused: Refusals,
    /// Such failures were ordered since it was opened.
    pub troubled: bool,
    /// Bytes of its log were damaged.
    pub damaged: bool,
    /// Where: a segment for each bit.
    pub hits: Vec<PathBuf>,
    /// It needs what was damaged and cannot be opened.
    pub lost: bool,
    /// Its log failed: nothing more is committed until it is opened again.
    pub poisoned: bool,
    pub paused: bool,
    /// Routes that are cut.
    pub cut: Vec<usize>,
    /// How its last process ended, at worst.
    pub ended: End,
    /// Operations of its disk that are in the trace of the world.
    traced: usize,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Closed,
    Killed,
    PowerLost,
}

pub struct World {
    pub rng: Rng,
    pub clock: SimHost,
    pub nodes: Vec<Node>,
    pub ledger: Ledger,
    pub trace: Vec<String>,
    /// Makes each commit unlike every other.
    pub marks: i64,
}

/// The bytes of a segment's header.
const SEGMENT_HEADER: usize = 512;

const MODES: [SyncMode; 3] = [SyncMode::Full, SyncMode::Normal, SyncMode::Off];

impl Rng {
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// One in four copies on write.
fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    if seed.is_multiple_of(4) {
        disk.copy_on_write();
    }
    disk
}

impl World {
    /// A primary, node 0, and one to five replicas. Nothing is open yet.
    pub fn new(seed: u64) -> Self {
        let (mut rng, clock) = (Rng::new(seed), SimHost::new(seed));
        let count = 2 + rng.below(5) as usize;
        let machines: Vec<SimDisk> = (0..count).map(|_| disk(rng.next())).collect();
        let alike = (!rng.one_in(3)).then(|| rng.pick(&MODES));
        let nodes = (0..count).map(|at| {
            let mode = alike.unwrap_or_else(|| rng.pick(&MODES));
            let mut options = OpenOptions::new()
                // Nobody ends a fence while this one thread waits for it.
                .fence_wait_ms(1)
                .sync_mode(mode)
                .background(false)
                .auto_checkpoint(false)
                .auto_compaction(false)
                .replication_segment_max_bytes(rng.pick(&[1, 700, 4096, 4096, 20_000]))
                .replication_retention_min_entries(rng.pick(&[0, 0, 2, 10, 1024]));
            if rng.one_in(4) {
                options = options.replication_retention_min_ms(rng.pick(&[50, 1000, 10_000]));
            }
            let (few_bytes, little_lag) = (rng.one_in(6), rng.one_in(6));
            if few_bytes {
                options = options.replication_retention_max_bytes(rng.pick(&[0, 5_000, 40_000]));
            }
            if little_lag {
                options = options.replication_retention_max_lag_ms(rng.pick(&[100, 5_000]));
            }
            let part = match at {
                0 => Part::Primary,
                _ if rng.one_in(4) => Part::Replica(rng.below(at as u64) as usize),
                _ => Part::Replica(0),
            };
            Node {
                at,
                machine: machines[at].clone(),
                disk: machines[at].process(),
                host: clock.machine(),
                network: Network::new(&machines),
                part,
                mode,
                options,
                caps: few_bytes || little_lag,
                db: None,
                foreign: false,
                gave_up: None,
                on_trial: false,
                overwrite: false,
                overwrites: false,
                names_no_source: false,
                shaky: false,
                forgetful: false,
                torn: false,
                half_fenced: false,
                unsaid: false,
                remembers: None,
                remembers_file: 0,
                renewals: 0,
                met: 0,
                second: None,
                second_fenced: false,
                open: Vec::new(),
                history: History::default(),
                promotions: 0,
                tip: GENESIS,
                durable: GENESIS,
                pending: None,
                reach: Vec::new(),
                reseed_note: None,
                replacing: false,
                fenced: Fenced::No,
                promoting: false,
                interrupted: false,
                sick: false,
                late: 0,
                refused: Refusals::default(),
                troubled: false,
                damaged: false,
                behind_damage: None,
                hits: Vec::new(),
                lost: false,
                poisoned: false,
                paused: false,
                cut: Vec::new(),
                ended: End::Closed,
                traced: 0,
            }
        });
        let nodes: Vec<Node> = nodes.collect();
        nodes.iter().for_each(Node::make_folder);
        let (ledger, trace) = (Ledger::new(), Vec::new());
        Self { rng, clock, nodes, ledger, trace, marks: 0 }
    }

    pub fn note(&mut self, what: impl Into<String>) {
        if std::env::var_os("KITEDB_OPS").is_some() {
            // What the disks did until now.
            for node in &mut self.nodes {
                let done = node.machine.trace();
                let new = done.iter().skip(if node.traced > done.len() { 0 } else { node.traced });
                self.trace.extend(new.map(|op| format!("    disk {}: {op}", node.at)));
                node.traced = done.len();
                node.machine.start_trace();
            }
        }
        self.trace.push(what.into());
    }

    /// The end of what node `n` may hold: its tip, or a commit on top of it whose outcome is unknown.
    pub fn line(&self, n: usize) -> Id {
        self.nodes[n].pending.unwrap_or(self.nodes[n].tip)
    }

    /// Whether the log of node `n` may hold a frame.
    pub fn may_hold(&self, n: usize, id: Id) -> bool {
        let node = &self.nodes[n];
        let mut lines = node.reach.iter().chain(node.behind_damage.as_ref().filter(|_| node.damaged));
        self.ledger.holds(self.line(n), id) || lines.any(|line| self.ledger.holds(*line, id))
    }

    /// Node `n` begins to take frames from node `source`.
    pub fn reach_for(&mut self, n: usize, source: usize) {
        let mut lines = self.nodes[source].reach.clone();
        lines.push(self.line(source));
        lines.extend(self.nodes[source].behind_damage.filter(|_| self.nodes[source].damaged));
        self.nodes[n].reach.extend(lines);
    }

    /// Counts what disks refused since this was asked last.
    pub fn count_refusals(&mut self) {
        for node in &mut self.nodes {
            let now = node.machine.refusals();
            let was = std::mem::replace(&mut node.refused, now);
            let full = if node.machine.copies_on_write() { Fault::CopyingDiskFull } else { Fault::DiskFull };
            let came = [
                (Fault::WriteRefused, now.writes - was.writes),
                (Fault::SyncRefused, now.syncs - was.syncs),
                (Fault::NameRefused, now.names - was.names),
                (Fault::ReadRefused, now.reads - was.reads),
                (Fault::WriteBackFailed, now.write_backs - was.write_backs),
                (Fault::WriteBackTold, now.late - was.late),
                (full, now.full - was.full),
            ];
            came.into_iter().for_each(|(fault, count)| fired_times(fault, count));
        }
    }

    /// Everything from the first open on.
    pub fn run(&mut self) {
        for n in 0..self.nodes.len() {
            assert!(self.open(n));
        }
        for _ in 0..60 + self.rng.below(140) {
            self.step();
        }
        self.settle();
        self.count_refusals();
    }

    /// Whoever opens a log finishes what half of a fence says.
    pub fn settle_half_a_fence(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        if std::mem::take(&mut node.half_fenced) {
            node.fenced = node.fenced.max(Fenced::Perhaps);
        }
    }

    /// Opens node `n` and checks that it holds what it must. Returns whether it could be opened.
    pub fn open(&mut self, n: usize) -> bool {
        self.settle_half_a_fence(n);
        let mut source = self.nodes[n].source();
        let source_is_there = source.is_none_or(|s| self.reaches(n, s) && !self.nodes[s].is_sick());
        let mut result = self.nodes[n].database();
        match &result {
            // The way in which an operator has a primary replaced by a replica.
            Err(e) if e.code() == ErrorCode::RoleMismatch && self.nodes[n].foreign => {
                fired(Fault::LeadingAsReplica);
                self.nodes[n].overwrite = true;
                result = self.nodes[n].database();
            }
            // A promotion that nobody was told of was done: it leads.
            Err(e) if e.code() == ErrorCode::RoleMismatch && self.nodes[n].promoting => {
                fired(Fault::DoneUntold);
                self.note(format!("  n{n} leads already"));
                let node = &mut self.nodes[n];
                (node.part, node.fenced, node.interrupted) = (Part::Primary, Fenced::No, false);
                source = None;
                result = self.nodes[n].database();
            }
            // It took over without a commit, or its first one failed after its file had named a log: it leads all the same.
            Err(e) if e.code() == ErrorCode::RoleMismatch && self.nodes[n].tip == GENESIS && source.is_some() => {
                fired(Fault::LeadingAsReplica);
                let node = &mut self.nodes[n];
                (node.foreign, node.overwrite) = (true, true);
                result = self.nodes[n].database();
            }
            // What was to be overwritten is a replica by now, or was fenced.
            Ok(_) if self.nodes[n].foreign && source.is_some() && !self.nodes[n].overwrite => {
                (self.nodes[n].foreign, self.nodes[n].on_trial) = (false, true);
            }
            _ => {}
        }
        if let Err(e) = &result
            && let Some(path) = self.nodes[n].half_made_in_the_way(e)
        {
            self.note(format!("  n{n} is told to move {} away: {e:?}", path.display()));
            self.nodes[n].move_away(&path);
            result = self.nodes[n].database();
        }
        let node = &mut self.nodes[n];
        node.overwrites = std::mem::take(&mut node.overwrite);
        match result {
            Ok(db) => {
                node.db = Some(db);
                node.history = History::default();
                // Another source than it knew it remembers once it has followed that.
                node.remembers = node.remembers.filter(|_| source.is_some() && !node.foreign);
                (node.shaky, node.torn) = (false, false);
                (node.poisoned, node.troubled) = (false, node.sick);
                node.promoting &= source.is_none();
                let end = std::mem::replace(&mut node.ended, End::Closed);
                self.expect_survival(n, end);
                true
            }
            Err(e) => {
                node.remembers = None;
                let damage = matches!(e.code(), ErrorCode::Corrupt | ErrorCode::LogMismatch);
                // A replica opens whatever its log is like, so that it can be reseeded.
                node.lost = damage && (node.damaged || node.torn) && source.is_none();
                // Its first commit failed after its file had named a log: it counts as one that leads.
                node.lost |= e.code() == ErrorCode::RoleMismatch && node.tip == GENESIS;
                // A source that is away is no damage, and ends no lead.
                let away = !source_is_there
                    && !matches!(e.kind(), ErrorKind::Bug | ErrorKind::Reseed | ErrorKind::Fenced | ErrorKind::Reopen);
                let excused = node.lost || node.is_sick() || node.machine.crashed() || away;
                assert_ne!(e.kind(), ErrorKind::Bug, "node {n} cannot be opened: {e:?}");
                assert!(excused, "node {n} cannot be opened after {:?}: {e:?}", node.ended);
                self.note(format!("  n{n} cannot be opened: {e:?}"));
                false
            }
        }
    }

    /// Whether node `n` can look at the disk of node `s`, on which there is a database.
    pub fn reaches(&self, n: usize, s: usize) -> bool {
        let (node, source) = (&self.nodes[n], &self.nodes[s]);
        !node.cut.contains(&s) && source.machine.identity(&path_of(s)).is_ok()
    }

    /// Ends the process of node `n` without a word.
    pub fn kill(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        node.abandon();
        node.disk.kill();
        node.disk = node.machine.process();
        node.host = node.host.restart(Crash::Kill);
        node.ended = node.ended.max(End::Killed);
        fired(Fault::Killed);
    }

    /// Ends the machine of node `n`, or finds out what is left of it where it ended already.
    pub fn crash(&mut self, n: usize, crash: Crash) {
        self.nodes[n].abandon();
        let machine = self.nodes[n].machine.restart(crash);
        machine.set_capacity(None);
        if crash != Crash::Kill {
            fired(Fault::PowerLost);
        }
        self.replace_machine(n, machine);
        let node = &mut self.nodes[n];
        node.host = node.host.restart(crash);
        node.sick = false;
        if node.shaky && crash != Crash::Kill {
            node.fenced = node.fenced.max(Fenced::Perhaps);
            // What it wrote of its own lead was never synced.
            node.torn = true;
        }
        if crash != Crash::Kill && std::mem::take(&mut node.forgetful) && node.fenced == Fenced::Yes {
            node.fenced = Fenced::Perhaps;
            node.torn = true;
        }
    }

    fn replace_machine(&mut self, n: usize, machine: SimDisk) {
        for node in &mut self.nodes {
            if !node.cut.contains(&n) {
                node.network.connect(n, &machine);
            }
        }
        let node = &mut self.nodes[n];
        node.disk = machine.process();
        node.machine = machine;
    }

    /// Puts an empty machine in the place of node `n`'s.
    pub fn renew(&mut self, n: usize, source: usize) {
        self.note(format!("renew n{n}"));
        self.nodes[n].abandon();
        if let Some(epoch) = self.nodes[n].gave_up.take() {
            // Nobody is left who knows of the epoch that it led and was told to give up.
            self.ledger.forced_from = self.ledger.forced_from.min(epoch);
        }
        self.count_refusals();
        let machine = disk(self.rng.next());
        self.replace_machine(n, machine);
        let node = &mut self.nodes[n];
        node.refused = Refusals::default();
        node.host = node.host.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
        node.part = Part::Replica(source);
        (node.tip, node.durable, node.pending) = (GENESIS, GENESIS, None);
        node.reach.clear();
        node.hits.clear();
        node.reseed_note = None;
        (node.replacing, node.sick, node.damaged, node.lost, node.poisoned) = (false, false, false, false, false);
        (node.fenced, node.promoting, node.ended) = (Fenced::No, false, End::Closed);
        (node.foreign, node.on_trial, node.overwrite, node.remembers) = (false, false, false, None);
        node.met = 0;
        node.renewals += 1;
        node.make_folder();
    }

    /// A crash of some kind.
    pub fn any_crash(&mut self) -> (Crash, End) {
        let crash = self.rng.pick(&[
            Crash::Kill,
            Crash::PowerLoss(Loss::Random),
            Crash::PowerLoss(Loss::Random),
            Crash::PowerLoss(Loss::LoseAllUnsynced),
            Crash::PowerLoss(Loss::KeepAll),
        ]);
        (crash, if crash == Crash::Kill { End::Killed } else { End::PowerLost })
    }
}

impl Node {
    pub fn source(&self) -> Option<usize> {
        match self.part {
            Part::Primary => None,
            Part::Replica(source) => Some(source),
        }
    }

    /// A handle of its process.
    pub fn database(&self) -> Result<Database, Error> {
        if self.unsaid {
            let here = Env { disk: Arc::new(self.disk.clone()), host: Arc::new(self.host.clone()) };
            let there = Env { disk: Arc::new(self.network.clone()), host: Arc::new(self.host.clone()) };
            return Database::open_with_source_in(here, there, path_of(self.at), self.options.clone());
        }
        let role = if self.source().is_some() { ReplicationRole::Replica } else { ReplicationRole::Primary };
        let mut options = self.options.clone().replication_role(role).replication_overwrite(self.overwrite);
        if let Some(source) = self.source().filter(|_| !self.names_no_source) {
            options = options.replication_source_db_path(path_of(source));
        }
        let here = Env { disk: Arc::new(self.disk.clone()), host: Arc::new(self.host.clone()) };
        let there = Env { disk: Arc::new(self.network.clone()), host: Arc::new(self.host.clone()) };
        Database::open_with_source_in(here, there, path_of(self.at), options)
    }

    pub fn db(&self) -> &Database {
        self.db.as_ref().unwrap()
    }

    pub fn is_open(&self) -> bool {
        self.db.is_some()
    }

    /// Whether it takes writes, as far as it knows.
    pub fn leads(&self) -> bool {
        self.is_open() && self.part == Part::Primary
    }

    /// The segment that does not let it open: its making was cut short, it could not be removed, and bits of the zeros where its
    /// header was to be were flipped, so that it is known as nobody's.
    fn half_made_in_the_way(&self, e: &Error) -> Option<PathBuf> {
        if self.is_sick() || self.machine.crashed() {
            return None;
        }
        let told = e.to_string();
        let forms = ["is there already and", "has the name of a segment and"];
        let named = |path: &&PathBuf| {
            let path = path.display();
            forms.iter().any(|form| told.contains(&format!("{path} {form} is not known to be of this database")))
        };
        let path = self.hits.iter().find(named)?;
        let flipped = self.hits.iter().filter(|hit| *hit == path).count();
        let bytes = self.machine.read(path).ok()?;
        let set: u32 = bytes.iter().take(SEGMENT_HEADER).map(|byte| byte.count_ones()).sum();
        (set as usize <= flipped).then(|| path.clone())
    }

    /// Moves a segment away, as an operator does who is told so. Where nothing else was damaged, nothing is damaged any more.
    pub fn move_away(&mut self, path: &Path) {
        let moved = self.machine.rename(path, &path.with_extension("away"));
        let synced = moved.and_then(|()| self.machine.sync_dir(path.parent().unwrap_or(Path::new("/"))));
        if synced.is_ok() && self.hits.len() == 1 {
            self.damaged = false;
            self.hits.clear();
        }
    }

    /// Whether its disk refused something in this step.
    pub fn was_refused(&self) -> bool {
        self.machine.crashed() || self.machine.refusals() != self.refused
    }

    /// Whether a copy of its source may give up what it has without a word: none is needed, or nobody knows all that it has.
    pub fn is_replaced_unasked(&self) -> bool {
        self.overwrites || self.foreign || self.on_trial || self.damaged || self.poisoned
    }

    /// Whether its disk fails, or has told in this step that it failed earlier.
    pub fn is_sick(&self) -> bool {
        self.sick || self.machine.late_failures() > self.late
    }

    /// Whether nothing is known that would excuse a failure of its own.
    pub fn is_sound(&self) -> bool {
        self.is_open() && !self.is_sick() && !self.damaged && !self.poisoned && !self.machine.crashed()
    }

    fn make_folder(&self) {
        let folder = path_of(self.at);
        let folder = folder.parent().unwrap();
        self.machine.create_dir(folder).unwrap();
        self.machine.sync_dir(Path::new("/")).unwrap();
    }

    /// Lets go of the handles of a process that is no more: they touch nothing, like those of a forked child.
    fn abandon(&mut self) {
        self.host.set_forked(true);
        if self.open.iter().any(|open| !open.closed) {
            fired(Fault::EndedWhileOpen);
        }
        self.open.clear();
        (self.second, self.db) = (None, None);
        self.paused = false;
    }

    /// Takes note of a failure, which something must excuse.
    pub fn failed(&mut self, what: &str, e: &Error) {
        let stuck = matches!(e.code(), ErrorCode::SyncFailed | ErrorCode::Poisoned | ErrorCode::OutcomeUnknown);
        let excused = self.is_sick() || self.machine.crashed() || self.damaged || (stuck && self.troubled);
        assert!(excused, "{what} on node {} failed: {e:?}", self.at);
        // A disk denies, but makes no call wrong, and shows no defect.
        let wrong = matches!(e.kind(), ErrorKind::Bug | ErrorKind::Input) && e.code() != ErrorCode::PermissionDenied;
        assert!(!wrong, "{what} on node {} failed: {e:?}", self.at);
        self.poisoned |= stuck;
    }
}
