//! Disks that refuse: a write, a sync, a name or the room for more. A commit that failed has not happened, one whose
//! outcome is unknown happened whole or not at all, and whatever was acknowledged stays.

use crate::support::{
    Rng, asked_seed,
    compare::{Cursors, compare_view},
    for_seeds,
    model::{Draft, Model},
    ops,
    world::stepped,
};
use kitedb_core::{
    Database, Error, ErrorCode, GraphRead, OpenOptions, ReplicationRole, SyncMode,
    io::{
        Env,
        sim::{Crash, FaultOn, FaultPlan, Loss, SimDisk, SimHost},
    },
};
use std::io::ErrorKind;

const MODES: [SyncMode; 3] = [SyncMode::Full, SyncMode::Normal, SyncMode::Off];

/// A database on a disk with faults, and what must be in it.
struct Faulty {
    disk: SimDisk,
    host: SimHost,
    env: Env,
    options: OpenOptions,
    mode: SyncMode,
    db: Option<Database>,
    /// The state after each commit that was acknowledged; the first is the empty one. Its place is its log index.
    states: Vec<Model>,
    /// The state after a commit whose outcome is unknown.
    unknown: Option<Model>,
    /// How many of `states` a power loss must leave.
    durable: usize,
    /// Set once a sync of the log failed: from then on only a reopen helps.
    poisoned: bool,
    log: Vec<String>,
}

impl Faulty {
    fn new(seed: u64, mode: SyncMode) -> Self {
        let (disk, host) = (SimDisk::new(seed), SimHost::new(seed));
        let env = disk.env(&host);
        let options = stepped(mode);
        let db = Some(Database::open_in(env.clone(), "/graph.kitedb", options.clone()).unwrap());
        let (states, log) = (vec![Model::default()], Vec::new());
        Self { disk, host, env, options, mode, db, states, unknown: None, durable: 1, poisoned: false, log }
    }

    fn db(&self) -> &Database {
        self.db.as_ref().unwrap()
    }

    fn last(&self) -> &Model {
        self.states.last().unwrap()
    }

    /// Orders a failure of some kind.
    fn sabotage(&mut self, rng: &mut Rng) {
        let on = [FaultOn::Write, FaultOn::Sync, FaultOn::Name, FaultOn::Any][rng.below(4) as usize];
        let kind = [ErrorKind::Other, ErrorKind::StorageFull, ErrorKind::PermissionDenied][rng.below(3) as usize];
        let nth = 1 + if rng.one_in(3) { rng.below(20) } else { rng.below(4) };
        let mut plan = FaultPlan::new(on, nth, kind);
        if rng.one_in(4) {
            plan = plan.forever();
        }
        if rng.one_in(4) {
            plan = plan.on_path(["-wal", "graph.kitedb", "segment", "control"][rng.below(4) as usize]);
        }
        if rng.one_in(6) {
            let op = 1 + rng.below(12);
            self.log.push(format!("a crash {op} operations from now"));
            self.disk.crash_at(self.disk.ops() + op);
        } else if rng.one_in(5) {
            let room = rng.below(100_000);
            self.log.push(format!("room for {room} bytes"));
            self.disk.set_capacity(Some(self.disk.used() + room));
        } else {
            self.log.push(format!("{plan:?}"));
            self.disk.fail(plan);
        }
    }

    fn repair(&mut self) {
        self.log.push("repaired".to_owned());
        self.disk.clear_faults();
        // A number that is past: it never comes.
        self.disk.crash_at(0);
        self.disk.set_capacity(None);
    }

    /// Takes note of a failure, which must be of a kind that a disk can cause.
    fn failed(&mut self, what: &str, e: &Error) {
        self.log.push(format!("{what} failed: {e:?}"));
        match e.code() {
            ErrorCode::SyncFailed | ErrorCode::Poisoned | ErrorCode::OutcomeUnknown => self.poisoned = true,
            ErrorCode::Io | ErrorCode::PermissionDenied | ErrorCode::DiskFull => {}
            _ => panic!("{what} failed with {e:?}"),
        }
    }

    fn commit(&mut self, rng: &mut Rng) {
        let (mut tx, mut draft) = (self.db().begin().unwrap(), Draft::new(self.last()));
        for _ in 0..1 + rng.below(10) {
            ops::apply(rng.op(), &mut tx, &mut draft);
        }
        match tx.commit() {
            Ok(token) if token.log_index.0 < self.states.len() as u64 => assert!(!draft.wrote()),
            Ok(token) => {
                assert!(!self.poisoned, "committed after a failure that leaves the log unusable");
                assert_eq!(token.log_index.0, self.states.len() as u64);
                self.log.push(format!("commit {token}"));
                self.states.push(draft.after());
                if self.mode == SyncMode::Full {
                    self.durable = self.states.len();
                }
            }
            Err(e) => {
                let certain = self.poisoned;
                self.failed("commit", &e);
                if !certain && (self.poisoned || self.disk.crashed()) && self.unknown.is_none() {
                    self.unknown = Some(draft.after());
                }
            }
        }
        self.expect_last();
    }

    /// The current view shows what was acknowledged, and nothing else.
    fn expect_last(&self) {
        let view = self.db().snapshot().unwrap();
        // Without a sync at each commit, a commit may be visible whose acknowledgement a failed rotation took back.
        let shown = view.token().log_index.0 as usize;
        assert_eq!(shown, self.states.len() - 1, "log index");
        compare_view(&view, self.last(), &Cursors::default());
    }

    fn maintain(&mut self, rng: &mut Rng) {
        let (what, result) = match rng.below(6) {
            0..=2 => ("checkpoint", self.db().checkpoint()),
            3 => ("compact_step", self.db().compact_step().map(drop)),
            4 => ("compact", self.db().compact()),
            _ => ("sync", self.db().sync()),
        };
        match result {
            Ok(()) => {
                self.log.push(what.to_owned());
                if what != "compact_step" {
                    self.durable = self.states.len();
                }
            }
            Err(e) => self.failed(what, &e),
        }
        self.expect_last();
    }

    fn open(&self) -> Result<Database, Error> {
        Database::open_in(self.env.clone(), "/graph.kitedb", self.options.clone())
    }

    /// Ends the process or the machine. Returns how many states must be left.
    fn crash(&mut self, rng: &mut Rng) -> usize {
        let crash = [
            Crash::Kill,
            Crash::PowerLoss(Loss::Random),
            Crash::PowerLoss(Loss::LoseAllUnsynced),
            Crash::PowerLoss(Loss::KeepAll),
        ][rng.below(4) as usize];
        self.log.push(format!("{crash:?}"));
        self.disk = self.disk.restart(crash);
        self.host = self.host.restart(crash);
        self.env = self.disk.env(&self.host);
        if crash == Crash::Kill { self.states.len() } else { self.durable }
    }

    /// Ends the process in some way and opens the database again.
    fn reopen(&mut self, rng: &mut Rng) {
        let db = self.db.take().unwrap();
        let mut least = self.states.len();
        let mut ended = Some(db);
        if !self.disk.crashed() && !rng.one_in(3) {
            match ended.take().unwrap().close() {
                Ok(()) => {
                    assert!(!self.poisoned, "closed without a word after a failure that leaves the log unusable");
                    self.durable = self.states.len();
                    self.log.push("close".to_owned());
                }
                Err(e) => self.failed("close", &e),
            }
        }
        if self.disk.crashed() || ended.is_some() {
            least = least.min(self.crash(rng));
        }
        drop(ended);
        let opened = match self.open() {
            Ok(db) => db,
            Err(e) => {
                self.failed("open", &e);
                self.repair();
                if self.disk.crashed() {
                    least = least.min(self.crash(rng));
                }
                self.open().unwrap()
            }
        };
        self.log.push("open".to_owned());
        self.states.extend(self.unknown.take());
        let view = opened.snapshot().unwrap();
        let shown = view.token().log_index.0 as usize + 1;
        assert!(shown >= least, "log index {} although {} was acknowledged", shown - 1, least - 1);
        assert!(shown <= self.states.len(), "log index {} was never committed", shown - 1);
        self.states.truncate(shown);
        // What a recovery shows, it has made durable.
        self.durable = shown;
        self.poisoned = false;
        self.db = Some(opened);
        self.expect_last();
    }

    fn run(&mut self, rng: &mut Rng) {
        for _ in 0..50 {
            match rng.below(16) {
                0..=7 => self.commit(rng),
                8..=10 => self.maintain(rng),
                11 | 12 => self.sabotage(rng),
                13 | 14 => self.repair(),
                _ => self.reopen(rng),
            }
            if (self.poisoned || self.disk.crashed()) && rng.one_in(3) {
                self.reopen(rng);
            }
        }
        self.repair();
        if self.poisoned || self.disk.crashed() {
            self.reopen(rng);
        }
        // Once the disk is well again, all goes on.
        self.commit(rng);
        self.db().checkpoint().unwrap();
        self.db().compact().unwrap();
        self.expect_last();
        let report = self.db().check().unwrap();
        assert!(report.is_clean(), "{report:#?}");
        self.db.take().unwrap().close().unwrap();
        self.db = Some(Database::open_in(self.env.clone(), "/graph.kitedb", self.options.clone()).unwrap());
        self.expect_last();
        assert_eq!(self.disk.violations(), Vec::<String>::new());
    }
}

#[test]
fn what_was_acknowledged_survives_any_failure_of_the_disk() {
    for_seeds("engine", "io_errors::what_was_acknowledged_survives_any_failure_of_the_disk", 1500, |seed| {
        let mut faulty = Faulty::new(seed, MODES[seed as usize % 3]);
        if asked_seed().is_some() {
            faulty.disk.start_trace();
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| faulty.run(&mut Rng::new(seed))));
        if let Err(panic) = result {
            faulty.log.iter().chain(&faulty.disk.trace()).for_each(|line| eprintln!("{line}"));
            std::panic::resume_unwind(panic);
        }
    });
}

/// A database of `count` commits, one node each, on a disk that still works.
fn small(seed: u64, mode: SyncMode, count: u64) -> (SimDisk, SimHost, Database) {
    let (disk, host) = (SimDisk::new(seed), SimHost::new(seed));
    let db = Database::open_in(disk.env(&host), "/graph.kitedb", stepped(mode)).unwrap();
    (0..count).for_each(|_| assert!(db.transaction(|tx| tx.create_node(None)).is_ok()));
    (disk, host, db)
}

/// The copy that recovery makes after a failed sync used to make the original frames void before it held them:
/// a process killed in between had lost what was acknowledged.
#[test]
fn a_recovery_from_a_failed_sync_can_be_killed_at_any_operation() {
    for within in 1.. {
        let (disk, host, db) = small(within, SyncMode::Normal, 5);
        disk.fail(FaultPlan::new(FaultOn::Sync, 1, ErrorKind::Other));
        assert_eq!(db.sync().unwrap_err().code(), ErrorCode::SyncFailed);
        assert_eq!(db.transaction(|tx| tx.create_node(None)).unwrap_err().code(), ErrorCode::Poisoned);
        assert_eq!(db.close().unwrap_err().code(), ErrorCode::Poisoned);
        disk.crash_at(disk.ops() + within);
        let first = Database::open_in(disk.env(&host), "/graph.kitedb", stepped(SyncMode::Normal));
        let whole = !disk.crashed();
        assert_eq!(first.is_ok(), whole);
        let crash = if whole { Crash::PowerLoss(Loss::LoseAllUnsynced) } else { Crash::Kill };
        let (disk, host) = (disk.restart(crash), host.restart(crash));
        drop(first);
        let db = Database::open_in(disk.env(&host), "/graph.kitedb", stepped(SyncMode::Normal)).unwrap();
        assert_eq!(db.snapshot().unwrap().count_nodes(), 5, "{crash:?} at operation {within} of the recovery");
        assert!(db.check().unwrap().is_clean());
        if whole {
            return;
        }
    }
}

/// A rotation that failed used to leave a segment behind that, back after a loss of power, made void what had been
/// acknowledged since in the segment before it.
#[test]
fn a_failed_rotation_leaves_nothing_that_comes_back() {
    let mut hit = 0;
    for seed in 0..300 {
        let (disk, host, db) = small(seed, SyncMode::Full, 10);
        // The next segment cannot be made; a smaller commit still fits into this one.
        let plan = match seed % 2 {
            0 => FaultPlan::new(FaultOn::Sync, 1, ErrorKind::Other).on_path("segment-00000000000000000002"),
            // The old segment, the new one, and then their folder.
            _ => FaultPlan::new(FaultOn::Sync, 3, ErrorKind::Other).on_path("-wal"),
        };
        disk.fail(plan);
        let name = "x".repeat(7000);
        let refused = db.transaction(|tx| tx.create_node(Some(&name)));
        hit += u64::from(refused.is_err());
        disk.clear_faults();
        db.transaction(|tx| tx.create_node(None)).unwrap();
        let nodes = db.snapshot().unwrap().count_nodes();
        let crash = Crash::PowerLoss(Loss::Random);
        let (disk, host) = (disk.restart(crash), host.restart(crash));
        drop(db);
        let db = Database::open_in(disk.env(&host), "/graph.kitedb", stepped(SyncMode::Full)).unwrap();
        assert_eq!(db.snapshot().unwrap().count_nodes(), nodes, "seed {seed}");
    }
    assert!(hit > 100, "{hit}");
}

/// A commit whose write failed was there after a loss of power that kept that write and took what had been written
/// over it.
#[test]
fn a_commit_whose_write_failed_does_not_come_back() {
    for seed in 0..500 {
        let (disk, host, db) = small(seed, SyncMode::Full, 1);
        disk.fail(FaultPlan::new(FaultOn::Write, 1, ErrorKind::Other).on_path("segment"));
        let refused = db.transaction(|tx| tx.create_node(Some(&"x".repeat(600))));
        assert_eq!(refused.unwrap_err().code(), ErrorCode::Io);
        let crash = Crash::PowerLoss(Loss::Random);
        let (disk, host) = (disk.restart(crash), host.restart(crash));
        drop(db);
        let db = Database::open_in(disk.env(&host), "/graph.kitedb", stepped(SyncMode::Full)).unwrap();
        assert_eq!(db.snapshot().unwrap().count_nodes(), 1, "seed {seed}");
    }
}

/// A first commit, or a close, that failed at the header left one that named a log; the next attempt removed that log,
/// and if it failed as well, the file could not be opened any more.
#[test]
fn failures_one_after_the_other_never_leave_a_file_that_names_a_log_that_is_gone() {
    for closes in [false, true] {
        for first in 1..24 {
            for second in 1..12 {
                let crashes = [None, Some(Crash::Kill), Some(Crash::PowerLoss(Loss::LoseAllUnsynced))];
                for crash in crashes {
                    let (disk, host, mut db) = small(first * 100 + second, SyncMode::Full, u64::from(closes));
                    let mut nodes = u64::from(closes);
                    disk.fail(FaultPlan::new(FaultOn::Any, first, ErrorKind::Other));
                    if closes {
                        let _may_fail = db.close();
                        disk.clear_faults();
                        db = Database::open_in(disk.env(&host), "/graph.kitedb", stepped(SyncMode::Full)).unwrap();
                    } else {
                        nodes += u64::from(db.transaction(|tx| tx.create_node(None)).is_ok());
                        disk.clear_faults();
                    }
                    disk.fail(FaultPlan::new(FaultOn::Any, second, ErrorKind::Other).forever());
                    let last = db.transaction(|tx| tx.create_node(None));
                    nodes += u64::from(last.is_ok());
                    let _may_fail = crash.is_none().then(|| db.clone().close());
                    disk.clear_faults();
                    let (disk, host) = match crash {
                        Some(crash) => (disk.restart(crash), host.restart(crash)),
                        None => (disk, host),
                    };
                    drop(db);
                    let what = format!("closes {closes}, {first}, {second}, {crash:?}");
                    let db = Database::open_in(disk.env(&host), "/graph.kitedb", stepped(SyncMode::Full));
                    let db = db.unwrap_or_else(|e| panic!("{what}: {e:?}"));
                    let found = db.snapshot().unwrap().count_nodes();
                    assert!((nodes..=nodes + 2).contains(&found), "{what}: {found} nodes, not {nodes}");
                    db.transaction(|tx| tx.create_node(None)).unwrap_or_else(|e| panic!("{what}: {e:?}"));
                }
            }
        }
    }
}

/// What a replica remembers of its source cannot be read: that is an error of the disk, and not a source that was never named.
#[test]
fn a_source_that_cannot_be_recalled_is_not_one_that_was_never_named() {
    let (disk, host) = (SimDisk::new(1), SimHost::new(1));
    let options = |role| stepped(SyncMode::Full).replication_role(role);
    let source = Database::open_in(disk.env(&host), "/source.kitedb", options(ReplicationRole::Primary)).unwrap();
    source.transaction(|tx| tx.create_node(Some("a"))).unwrap();
    let open = |options| Database::open_in(disk.env(&host), "/replica.kitedb", options);
    let replica = open(options(ReplicationRole::Replica).replication_source_db_path("/source.kitedb")).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    replica.close().unwrap();
    let fail = || disk.fail(FaultPlan::new(FaultOn::Read, 1, ErrorKind::Other).on_path("replication/source"));
    let failed = |e: Error| assert_eq!((e.code(), e.to_string().contains("never")), (ErrorCode::Io, false), "{e:?}");

    fail();
    failed(open(stepped(SyncMode::Full)).unwrap_err());
    let as_a_primary = open(options(ReplicationRole::Primary)).unwrap();
    fail();
    failed(as_a_primary.primary_promote_to_next_epoch().unwrap_err());
    as_a_primary.primary_promote_to_next_epoch().unwrap();
}

/// The next segment is made by half and cannot be removed again: the one that is written stays, whatever retention lets go of.
#[test]
fn retention_beside_a_segment_that_is_made_by_half_lets_go_of_older_ones_only() {
    for nth in 1..12 {
        let (disk, host) = (SimDisk::new(1), SimHost::new(1));
        let options = stepped(SyncMode::Full)
            .replication_role(ReplicationRole::Primary)
            .replication_segment_max_bytes(1)
            .replication_retention_min_entries(0)
            .replication_retention_min_ms(0);
        let db = Database::open_in(disk.env(&host), "/graph.kitedb", options).unwrap();
        let commit = || db.transaction(|tx| tx.create_node(None));
        for _ in 0..4 {
            commit().unwrap();
        }
        db.checkpoint().unwrap();
        disk.fail(FaultPlan::new(FaultOn::Any, nth, ErrorKind::PermissionDenied).forever().on_path(".klog"));
        let commits: Vec<_> = (0..2).map(|_| commit().map_err(|e| e.code())).collect();
        let retained = db.primary_run_retention().map_err(|e| e.code());
        assert_ne!(retained.err(), Some(ErrorCode::Internal), "{nth}: {commits:?}");
        disk.clear_faults();
        let kept = db.snapshot().unwrap().count_nodes();
        let outcome = db.primary_run_retention();
        assert!(outcome.is_ok() || commits.contains(&Err(ErrorCode::SyncFailed)), "{nth}: {outcome:?}");
        drop(db);
        let (disk, host) = (disk.restart(Crash::Kill), host.restart(Crash::Kill));
        let db = Database::open_in(disk.env(&host), "/graph.kitedb", stepped(SyncMode::Full)).unwrap();
        assert!(db.snapshot().unwrap().count_nodes() >= kept.max(4), "{nth}");
    }
}
