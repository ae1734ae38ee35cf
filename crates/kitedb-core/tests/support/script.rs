//! A fixed, mixed workload that a crash ends at any operation, and what must be found afterwards.

use super::{
    Rng,
    compare::{Cursors, compare_view},
    model::{Draft, Model},
    ops,
    world::stepped,
};
use kitedb_core::{
    Database, Error, OpenOptions, SyncMode,
    io::sim::{Crash, SimDisk, SimHost},
};

pub const PATH: &str = "/graph.kitedb";

#[derive(Debug, Clone, Copy)]
enum Action {
    /// A commit of so many operations.
    Commit(u64),
    Checkpoint,
    CompactStep,
    Compact,
    Sync,
    Reopen,
}

use Action::{Checkpoint, Commit, Compact, CompactStep, Reopen, Sync};

const SCRIPT: [Action; 36] = [
    Commit(4),
    Commit(1),
    Commit(12),
    Sync,
    Commit(3),
    Commit(25),
    Checkpoint,
    Commit(5),
    Commit(2),
    Checkpoint,
    Commit(20),
    Commit(20),
    Commit(1),
    CompactStep,
    Commit(6),
    Reopen,
    Commit(3),
    Checkpoint,
    Commit(1),
    Sync,
    Commit(9),
    Commit(30),
    Commit(2),
    Reopen,
    Reopen,
    Commit(8),
    Checkpoint,
    Commit(4),
    Compact,
    Commit(15),
    Sync,
    Commit(2),
    Commit(1),
    Checkpoint,
    Commit(3),
    Reopen,
];

/// How far the workload came, and what it had been told by then.
#[derive(Debug)]
pub struct Run {
    pub mode: SyncMode,
    pub disk: SimDisk,
    pub host: SimHost,
    /// The state at each log index, up to the last commit that was begun.
    pub states: Vec<Model>,
    /// The last commit that was acknowledged.
    pub acknowledged: usize,
    /// The last commit that a sync, a checkpoint or the mode has made durable.
    pub durable: usize,
}

pub fn options(mode: SyncMode) -> OpenOptions {
    stepped(mode).segment_max_bytes(4096)
}

pub fn open(disk: &SimDisk, host: &SimHost, mode: SyncMode) -> Result<Database, Error> {
    Database::open_in(disk.env(host), PATH, options(mode))
}

/// Runs the workload until it ends, or until the operation `crash_at`.
pub fn run(seed: u64, mode: SyncMode, crash_at: Option<u64>) -> Run {
    let (disk, host) = (SimDisk::new(seed), SimHost::new(seed));
    if let Some(op) = crash_at {
        disk.crash_at(op);
    }
    let mut run = Run {
        mode,
        disk: disk.clone(),
        host: host.clone(),
        states: vec![Model::default()],
        acknowledged: 0,
        durable: 0,
    };
    if let Err(e) = run.play(&mut Rng::new(seed)) {
        assert!(disk.crashed(), "failed without a crash: {e:?}");
    }
    run
}

impl Run {
    fn play(&mut self, rng: &mut Rng) -> Result<(), Error> {
        let mut db = open(&self.disk, &self.host, self.mode)?;
        for action in SCRIPT {
            match action {
                Commit(count) => self.commit(&db, count, rng)?,
                Checkpoint => db.checkpoint()?,
                CompactStep => drop(db.compact_step()?),
                Compact => db.compact()?,
                Sync => db.sync()?,
                Reopen => {
                    db.close()?;
                    self.durable = self.acknowledged;
                    db = open(&self.disk, &self.host, self.mode)?;
                }
            }
            if self.mode == SyncMode::Full || matches!(action, Checkpoint | Compact | Sync) {
                self.durable = self.acknowledged;
            }
        }
        Ok(())
    }

    fn commit(&mut self, db: &Database, count: u64, rng: &mut Rng) -> Result<(), Error> {
        let (mut tx, mut draft) = (db.begin()?, Draft::new(&self.states[self.acknowledged]));
        for _ in 0..count {
            ops::apply(rng.op(), &mut tx, &mut draft);
        }
        // Never empty.
        let label = tx.create_node(None)?;
        draft.create(label.0, super::model::Node::default());
        self.states.push(draft.after());
        let token = tx.commit()?;
        self.acknowledged += 1;
        assert_eq!(token.log_index.0 as usize, self.acknowledged);
        Ok(())
    }

    /// The last commit that `crash` must leave.
    pub fn least(&self, crash: Crash) -> usize {
        if crash == Crash::Kill { self.acknowledged } else { self.durable }
    }

    /// Checks that `db` shows one of the states that may be there, and returns its log index.
    pub fn expect_prefix(&self, db: &Database, least: usize) -> usize {
        let view = db.snapshot().unwrap();
        let shown = view.token().log_index.0 as usize;
        assert!(shown >= least, "log index {shown} is left although {least} must be");
        assert!(shown < self.states.len(), "log index {shown} was never committed");
        compare_view(&view, &self.states[shown], &Cursors::default());
        let report = db.check().unwrap();
        assert!(report.is_clean(), "{report:#?}");
        shown
    }
}
