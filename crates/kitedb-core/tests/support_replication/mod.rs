//! What the tests of replication share: nodes on simulated machines or in a folder, and a graph that is written with
//! the model beside it.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod folder;

use crate::support::{
    Rng,
    compare::{Cursors, compare_view},
    model::{Draft, Model, Node},
    ops,
    world::stepped,
};
use kitedb_core::{
    Database, Digest, Error, ErrorCode, ErrorKind, OpenOptions, PrimaryReplicationStatus, ReplicaReplicationStatus,
    ReplicaState, ReplicationRole, Result, SyncMode, Token,
    io::{
        Disk, Env,
        sim::{Crash, Loss, SimDisk, SimHost},
    },
};
use std::path::{Path, PathBuf};

pub const MODES: [SyncMode; 3] = [SyncMode::Full, SyncMode::Normal, SyncMode::Off];

/// What a crash may leave.
pub const CRASHES: [Crash; 4] = [
    Crash::Kill,
    Crash::PowerLoss(Loss::LoseAllUnsynced),
    Crash::PowerLoss(Loss::KeepAll),
    Crash::PowerLoss(Loss::Random),
];

/// A simulated machine with a disk of its own, and one database on it.
#[derive(Debug, Clone)]
pub struct Machine {
    pub name: &'static str,
    pub disk: SimDisk,
    pub host: SimHost,
    pub mode: SyncMode,
}

impl Machine {
    pub fn new(name: &'static str, seed: u64, mode: SyncMode) -> Self {
        Self { name, disk: SimDisk::new(seed), host: SimHost::new(seed), mode }
    }

    /// As [`Machine::new`], with a disk that copies on write.
    pub fn copying(name: &'static str, seed: u64, mode: SyncMode) -> Self {
        let machine = Self::new(name, seed, mode);
        machine.disk.copy_on_write();
        machine
    }

    pub fn env(&self) -> Env {
        self.disk.env(&self.host)
    }

    /// Where its database lies.
    pub fn db(&self) -> PathBuf {
        format!("/{}.kitedb", self.name).into()
    }

    /// Where the log of its database lies.
    pub fn sidecar(&self) -> PathBuf {
        format!("/{}.kitedb.replication", self.name).into()
    }

    /// Options under which nothing happens by itself, with segments of a few frames.
    pub fn options(&self, role: ReplicationRole) -> OpenOptions {
        stepped(self.mode).replication_role(role).replication_segment_max_bytes(4096)
    }

    /// Opens its database as the primary of its log.
    pub fn primary(&self) -> Database {
        self.try_primary().unwrap()
    }

    pub fn try_primary(&self) -> Result<Database> {
        self.open(self.options(ReplicationRole::Primary))
    }

    /// Opens its database as what it is.
    pub fn as_it_is(&self) -> Result<Database> {
        self.open(stepped(self.mode).replication_segment_max_bytes(4096))
    }

    pub fn open(&self, options: OpenOptions) -> Result<Database> {
        Database::open_in(self.env(), self.db(), options)
    }

    /// Options for a replica of `source`'s database.
    pub fn following(&self, source: &Self) -> OpenOptions {
        self.options(ReplicationRole::Replica).replication_source_db_path(source.db())
    }

    /// Opens its database as a replica of `source`'s.
    pub fn replica_of(&self, source: &Self) -> Database {
        self.try_replica_of(source).unwrap()
    }

    pub fn try_replica_of(&self, source: &Self) -> Result<Database> {
        self.open_replica_of(source, self.following(source))
    }

    pub fn open_replica_of(&self, source: &Self, options: OpenOptions) -> Result<Database> {
        Database::open_with_source_in(self.env(), source.env(), self.db(), options)
    }

    /// Opens its database as a replica of `source`'s, whatever it was before, in order to replace its graph.
    pub fn overwritten_by(&self, source: &Self) -> Database {
        self.open_replica_of(source, self.following(source).replication_overwrite(true)).unwrap()
    }

    /// Opens the replica of `source` whose promotion a crash cut short. `None`: it was done, and this node leads.
    pub fn try_replica_still(&self, source: &Self) -> Result<Option<Database>> {
        match self.try_replica_of(source) {
            Err(e) if e.code() == ErrorCode::RoleMismatch => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// What an operator says of a primary that was copied or restored. Returns the epoch that it leads from then on.
    pub fn confirm_moved(&self) -> u64 {
        Database::confirm_moved_in(self.env(), self.db(), stepped(self.mode)).unwrap().epoch
    }

    /// The same of a copy, while the one that it was copied from goes on.
    pub fn confirm_moved_by_force(&self) -> u64 {
        let options = stepped(self.mode).replication_overwrite(true);
        Database::confirm_moved_in(self.env(), self.db(), options).unwrap().epoch
    }

    /// Its database was copied or restored: it reads, and leads only after its operator has said so.
    #[track_caller]
    pub fn expect_moved(&self) {
        let db = self.primary();
        let error = write(&db).unwrap_err();
        assert_eq!(error.code(), ErrorCode::FilesMoved, "{error:?}");
        db.close().unwrap();
    }

    /// The machine after a crash, which happens now if it did not yet.
    pub fn restart(&self, crash: Crash) -> Self {
        Self { disk: self.disk.restart(crash), host: self.host.restart(crash), ..self.clone() }
    }

    pub fn expect_no_violations(&self) {
        assert_eq!(self.disk.violations(), Vec::<String>::new());
    }

    /// The segments of its log, oldest first.
    pub fn segments(&self) -> Vec<PathBuf> {
        let mut names = self.disk.list(&self.sidecar()).unwrap_or_default();
        names.retain(|name| name.starts_with("segment-"));
        names.sort();
        names.into_iter().map(|name| self.sidecar().join(name)).collect()
    }

    /// Flips a bit of the last byte of a file that is not zero, at or before `end`.
    pub fn damage(&self, path: &Path, end: usize) {
        let bytes = self.disk.read(path).unwrap();
        let at = bytes[..end.min(bytes.len())].iter().rposition(|b| *b != 0).unwrap();
        self.disk.corrupt(path, at as u64, 0x10).unwrap();
    }
}

/// A graph that is written by random commits, and what it is after each of them.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The state at each log index.
    pub states: Vec<Model>,
    /// The digest at each log index, as the primary says.
    pub digests: Vec<Digest>,
    rng: Rng,
}

impl Graph {
    pub fn new(seed: u64) -> Self {
        Self { states: vec![Model::default()], digests: vec![Digest::default()], rng: Rng::new(seed) }
    }

    /// The last log index.
    pub fn head(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    /// One commit of a few operations.
    pub fn try_commit(&mut self, db: &Database) -> Result<Token> {
        let (mut tx, mut draft) = (db.begin()?, Draft::new(&self.states[self.states.len() - 1]));
        for _ in 0..1 + self.rng.below(5) {
            ops::apply(self.rng.op(), &mut tx, &mut draft);
        }
        // Never empty.
        let node = tx.create_node(None)?;
        draft.create(node.0, Node::default());
        let token = tx.commit()?;
        self.states.push(draft.after());
        self.digests.push(digest(db));
        assert_eq!(token.log_index.0, self.head());
        Ok(token)
    }

    pub fn commit(&mut self, db: &Database) -> Token {
        self.try_commit(db).unwrap()
    }

    /// A commit, and from now on other ones than a copy of this graph makes.
    pub fn commit_apart(&mut self, db: &Database) -> Token {
        self.rng = Rng::new(self.rng.next());
        self.commit(db)
    }

    /// So many commits; returns the last one's token.
    pub fn grow(&mut self, db: &Database, commits: u64) -> Token {
        (0..commits).fold(Token::default(), |_, _| self.commit(db))
    }

    /// The commits after `index` are gone.
    pub fn cut(&mut self, index: u64) {
        self.states.truncate(index as usize + 1);
        self.digests.truncate(index as usize + 1);
    }

    /// `db` shows one of the states, element by element; returns its log index.
    #[track_caller]
    pub fn expect(&self, db: &Database) -> u64 {
        let view = db.snapshot().unwrap();
        let shown = view.token().log_index.0;
        assert!(shown <= self.head(), "log index {shown} is shown, {} was the last one", self.head());
        compare_view(&view, &self.states[shown as usize], &Cursors::default());
        shown
    }

    /// `db` shows the last state, and every invariant holds.
    #[track_caller]
    pub fn expect_all(&self, db: &Database) {
        assert_eq!(self.expect(db), self.head());
        let report = db.check().unwrap();
        assert!(report.is_clean(), "{report:#?}");
    }
}

/// Its check names that segment, and nothing else.
#[track_caller]
pub fn expect_one_damaged(db: &Database, segment: &Path) {
    let report = db.check().unwrap();
    assert!(report.damage.len() == 1 && report.error_count == 0, "{report:#?}");
    assert!(report.damage[0].contains(&*segment.to_string_lossy()), "{} in {report:#?}", segment.display());
}

/// Pulls until there is nothing more; returns how many frames came.
#[track_caller]
pub fn catch_up(replica: &Database) -> usize {
    let mut all = 0;
    loop {
        match replica.replica_catch_up_once(100).unwrap() {
            0 => return all,
            n => all += n,
        }
    }
}

#[track_caller]
pub fn replica_status(db: &Database) -> ReplicaReplicationStatus {
    db.replica_replication_status().unwrap().expect("a replica")
}

#[track_caller]
pub fn primary_status(db: &Database) -> PrimaryReplicationStatus {
    db.primary_replication_status().unwrap().expect("a primary")
}

pub fn digest(db: &Database) -> Digest {
    db.snapshot().unwrap().digest()
}

/// The replica has everything, and nothing is wrong with it.
#[track_caller]
pub fn expect_following(replica: &Database, primary: &Database) {
    let (status, head) = (replica_status(replica), primary_status(primary));
    assert_eq!(status.applied_log_index, head.head_log_index);
    assert_eq!(status.digest, head.digest);
    assert_eq!(status.last_error, None);
    assert!(!status.needs_reseed);
    assert_eq!(status.state, ReplicaState::Following, "{status:?}");
    assert_eq!(status.lag_frames, 0);
}

/// The replica says that it must be reseeded, and why.
#[track_caller]
pub fn expect_needs_reseed(replica: &Database) {
    let status = replica_status(replica);
    assert!(status.needs_reseed, "{status:?}");
    assert_eq!(status.state, ReplicaState::NeedsReseed);
    let error = status.last_error.expect("it says why");
    assert!(error.contains("needs reseed"), "{error}");
}

/// The error that `result` must be: of this code, with this phrase.
#[track_caller]
pub fn expect_error<T>(result: Result<T>, code: ErrorCode, phrase: &str) -> Error {
    let error = result.map(drop).expect_err("must fail");
    assert_eq!(error.code(), code, "{error:?}");
    assert!(error.to_string().contains(phrase), "{error:?} does not say '{phrase}'");
    error
}

/// A commit of one node, whatever else is there.
pub fn write(db: &Database) -> Result<Token> {
    let mut tx = db.begin()?;
    tx.create_node(None)?;
    tx.commit()
}

/// Another node leads: commits fail, and say so.
#[track_caller]
pub fn expect_fenced(db: &Database) {
    let error = expect_error(write(db), ErrorCode::StalePrimary, "stale primary");
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(error.to_string().contains("fenced for writes") || error.to_string().contains("epoch"), "{error}");
}
