//! What an operator may do wrong with the files of a node at rest, tried on a copy of its machine of which nobody else
//! knows: other options, other names, copies, damaged words. Nothing of that takes a fence away, or lets commits pass
//! beside the log.

use super::{
    fired::{Fault, fired},
    ledger::GENESIS,
    network::{Network, path_of, sidecar_of},
    world::{End, Fenced, Part, World},
};
use kitedb_core::{
    Database, Error, ErrorCode, OpenOptions, ReplicationRole, SyncMode, Token,
    io::{
        Env,
        sim::{Crash, SimDisk, SimHost},
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A copy of a machine at rest, and what its database is.
struct Probe {
    disk: SimDisk,
    host: SimHost,
    network: Network,
    path: PathBuf,
    sidecar: PathBuf,
    part: Part,
    fenced: Fenced,
    /// The last commit that it holds.
    tip: Token,
}

impl World {
    /// Whether what node `n` is, is certain.
    pub(super) fn is_at_rest(&self, n: usize) -> bool {
        let node = &self.nodes[n];
        let unsure =
            node.is_sick() || node.damaged || node.lost || node.poisoned || node.replacing || node.machine.crashed();
        let unknown = node.source().is_some() && node.remembers != node.source();
        let between =
            unknown || node.foreign || node.on_trial || node.promoting || node.shaky || node.fenced == Fenced::Perhaps;
        !node.is_open()
            && node.ended == End::Closed
            && node.pending.is_none()
            && node.tip != GENESIS
            && !unsure
            && !between
    }

    pub(super) fn probe(&mut self, n: usize) {
        if self.nodes[n].is_open() {
            self.close(n);
        }
        if !self.is_at_rest(n) {
            return;
        }
        let disk = self.nodes[n].machine.restart(Crash::Kill);
        self.crash(n, Crash::Kill);
        // Its source is away: what is tried here changes nothing there.
        let away: Vec<SimDisk> = self.nodes.iter().map(|_| SimDisk::new(0)).collect();
        let node = &self.nodes[n];
        let probe = Probe {
            disk,
            host: node.host.restart(Crash::Kill),
            network: Network::new(&away),
            path: path_of(n),
            sidecar: sidecar_of(n),
            part: node.part,
            fenced: node.fenced,
            tip: self.ledger.get(node.tip).token.unwrap(),
        };
        let other = path_of((n + 1) % self.nodes.len());
        let what = self.rng.below(10);
        self.note(format!("probe {what} of n{n}, {:?} {:?} at {}", probe.part, probe.fenced, probe.tip));
        match what {
            0 => probe.as_disabled(),
            1 => probe.as_another(&other),
            2 => probe.with_another_sidecar(),
            3 => probe.through_a_symlink(),
            4 => probe.through_a_hard_link(),
            5 => probe.under_a_new_name(),
            6 | 7 => probe.as_a_copy(),
            8 => {
                let word = self.rng.pick(&[16, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47]);
                let bit = self.rng.below(64);
                probe.with_a_flipped_fence(word, bit);
            }
            _ => {
                let word = self.rng.below(128);
                let bit = self.rng.below(64);
                probe.with_a_flipped_bit(word, bit);
            }
        }
        assert_eq!(probe.disk.violations(), Vec::<String>::new());
    }
}

impl Probe {
    fn env(&self) -> Env {
        Env { disk: Arc::new(self.disk.process()), host: Arc::new(self.host.clone()) }
    }

    fn options(&self) -> OpenOptions {
        OpenOptions::new().sync_mode(SyncMode::Normal).background(false).fence_wait_ms(1)
    }

    fn open(&self, path: &Path, options: OpenOptions) -> Result<Database, Error> {
        let there = Env { disk: Arc::new(self.network.clone()), host: Arc::new(self.host.clone()) };
        Database::open_with_source_in(self.env(), there, path, options)
    }

    /// As what it is.
    fn own_part(&self, path: &Path) -> Result<Database, Error> {
        let options = match self.part {
            Part::Primary => self.options().replication_role(ReplicationRole::Primary),
            Part::Replica(source) => {
                let options = self.options().replication_role(ReplicationRole::Replica);
                options.replication_source_db_path(path_of(source))
            }
        };
        self.open(path, options)
    }

    /// It shows what it holds, and writes exactly if it leads. Returns the last commit.
    fn expect_its_part(&self, db: &Database) -> Token {
        assert_eq!(db.last_commit_token(), Some(self.tip));
        match (self.part, self.fenced, commit(db)) {
            (Part::Primary, Fenced::No, token) => {
                let token = token.unwrap();
                assert_eq!(token.log_index.0, self.tip.log_index.0 + 1);
                token
            }
            (Part::Primary, _, refused) => {
                assert_eq!(refused.unwrap_err().code(), ErrorCode::StalePrimary);
                self.tip
            }
            (Part::Replica(_), _, refused) => {
                assert_eq!(refused.unwrap_err().code(), ErrorCode::ReplicaReadOnly);
                self.tip
            }
        }
    }

    fn refused(&self, path: &Path, options: OpenOptions, code: ErrorCode) {
        let error = self.open(path, options).map(|db| db.replication_role()).unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
        // And nothing came of it.
        let db = self.own_part(&self.path).unwrap();
        self.expect_its_part(&db);
    }

    fn as_disabled(&self) {
        fired(Fault::Disabled);
        self.refused(&self.path, self.options().replication_role(ReplicationRole::Disabled), ErrorCode::RoleMismatch);
    }

    fn as_another(&self, other: &Path) {
        match (self.part, self.fenced) {
            (Part::Primary, Fenced::No) => {
                fired(Fault::LeadingAsReplica);
                let options = self.options().replication_role(ReplicationRole::Replica);
                let code = ErrorCode::RoleMismatch;
                self.refused(&self.path, options.replication_source_db_path(other), code);
            }
            (Part::Primary, _) => {}
            (Part::Replica(_), _) => {
                fired(Fault::ReplicaAsPrimary);
                let options = self.options().replication_role(ReplicationRole::Primary);
                let db = self.open(&self.path, options).unwrap();
                assert_eq!(db.last_commit_token(), Some(self.tip));
                assert_eq!(commit(&db).unwrap_err().code(), ErrorCode::StalePrimary);
                db.close().unwrap();
                self.expect_its_part(&self.own_part(&self.path).unwrap());
            }
        }
    }

    fn with_another_sidecar(&self) {
        fired(Fault::OtherSidecar);
        let elsewhere = self.path.with_file_name("elsewhere");
        self.refused(&self.path, self.options().replication_sidecar_path(&elsewhere), ErrorCode::LogMismatch);
        assert!(!self.disk.paths().iter().any(|path| path.starts_with(&elsewhere)), "a sidecar was begun");
    }

    fn through_a_symlink(&self) {
        fired(Fault::Symlink);
        let link = self.path.with_file_name("link.kitedb");
        self.disk.symlink(&self.path, &link).unwrap();
        let db = self.own_part(&link).unwrap();
        let last = self.expect_its_part(&db);
        db.close().unwrap();
        let db = self.own_part(&self.path).unwrap();
        assert_eq!(db.last_commit_token(), Some(last));
    }

    fn through_a_hard_link(&self) {
        fired(Fault::HardLink);
        let link = self.path.with_file_name("link.kitedb");
        self.disk.hard_link(&self.path, &link).unwrap();
        for path in [&link, &self.path] {
            let error = self.own_part(path).map(|db| db.replication_role()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::HardLinked, "{error:?}");
        }
    }

    fn under_a_new_name(&self) {
        fired(Fault::Renamed);
        let (moved, env) = (self.path.with_file_name("moved.kitedb"), self.env());
        env.disk.rename(&self.path, &moved).unwrap();
        self.disk.rename_folder(&self.sidecar, sidecar_beside(&moved)).unwrap();
        self.expect_its_part(&self.own_part(&moved).unwrap());
    }

    fn as_a_copy(&self) {
        fired(Fault::Copied);
        let copied = self.path.with_file_name("copied.kitedb");
        self.disk.copy(&self.path, &copied).unwrap();
        self.disk.copy(&self.sidecar, sidecar_beside(&copied)).unwrap();
        let db = self.own_part(&copied).unwrap();
        assert_eq!(db.last_commit_token(), Some(self.tip));
        if let Part::Replica(_) = self.part {
            self.expect_its_part(&db);
            return;
        }
        assert_eq!(commit(&db).unwrap_err().code(), ErrorCode::FilesMoved);
        db.close().unwrap();
        // What a closed handle has mapped nobody reads; the disk takes it for read.
        drop(db);
        if self.fenced == Fenced::No {
            self.tell_apart(&copied);
        }
    }

    /// The copy is told to lead in place of the original, which goes on all the same.
    fn tell_apart(&self, copied: &Path) {
        let epoch =
            Database::confirm_moved_in(self.env(), copied, self.options().replication_overwrite(true)).unwrap().epoch;
        let copy = self.own_part(copied).unwrap();
        assert_eq!(copy.last_commit_token(), Some(self.tip));
        let token = commit(&copy).unwrap();
        assert_eq!((token.epoch.0, token.log_index.0), (epoch, self.tip.log_index.0 + 1));
        assert!(token.epoch > self.tip.epoch);
        let original = self.own_part(&self.path).unwrap();
        self.expect_its_part(&original);
        // A replica of the one is none of the other, though they hold the same under other numbers.
        for (one, other) in [(copied, &*self.path), (&*self.path, copied)] {
            let twin = self.path.with_file_name(format!("twin of {}", one.file_name().unwrap().display()));
            let options = self.options().replication_role(ReplicationRole::Replica);
            let twin = Database::open_in(self.env(), &twin, options.replication_source_db_path(one)).unwrap();
            twin.replica_bootstrap_from_snapshot().unwrap();
            while twin.replica_catch_up_once(100).unwrap() > 0 {}
            twin.replica_repoint(other, None).unwrap();
            let error = twin.replica_catch_up_once(100).unwrap_err();
            assert_eq!(error.code(), ErrorCode::NeedsReseed, "{error:?}");
        }
        fired(Fault::CopyConfirmed);
    }

    fn flip(&self, word: u64, bit: u64) {
        self.disk.corrupt(self.sidecar.join("control"), word * 8 + bit / 8, 1 << (bit % 8)).unwrap();
    }

    /// It is mended from its second copy.
    fn with_a_flipped_fence(&self, word: u64, bit: u64) {
        fired(Fault::FenceFlipped);
        self.flip(word, bit);
        let db = self.own_part(&self.path).unwrap();
        let last = self.expect_its_part(&db);
        db.close().unwrap();
        assert_eq!(self.own_part(&self.path).unwrap().last_commit_token(), Some(last));
    }

    /// What it holds is shown, or it is said why not; and nobody leads who should not.
    fn with_a_flipped_bit(&self, word: u64, bit: u64) {
        fired(Fault::ControlFlipped);
        self.flip(word, bit);
        let what = format!("word {word}, bit {bit}");
        // Of what changes, only the published and the durable index are known from elsewhere.
        let raised = self.tip.log_index.0 & 1 << bit == 0;
        let misses = match word {
            0..=8 => Some(ErrorCode::Corrupt),
            17 | 18 if raised => Some(ErrorCode::LogMismatch),
            _ => None,
        };
        let db = match self.own_part(&self.path) {
            Ok(db) => db,
            Err(e) => return assert_eq!(Some(e.code()), misses, "{what}: {e:?}"),
        };
        // A replica opens whatever its log is like.
        assert!(misses.is_none() || self.part != Part::Primary, "{what} is not missed");
        assert_eq!(db.last_commit_token(), Some(self.tip), "{what}");
        let refused = match (self.part, self.fenced) {
            (Part::Primary, Fenced::No) if word == 17 => return self.lead_anew(db),
            (Part::Primary, Fenced::No) => {
                let token = commit(&db).unwrap_or_else(|e| panic!("{what}: {e:?}"));
                return assert_eq!(token.log_index.0, self.tip.log_index.0 + 1, "{what}");
            }
            (Part::Primary, _) => ErrorCode::StalePrimary,
            (Part::Replica(_), _) => ErrorCode::ReplicaReadOnly,
        };
        match commit(&db) {
            Ok(token) => panic!("{what} takes a fence away: {token}"),
            Err(e) => assert_eq!(e.code(), refused, "{what}: {e:?}"),
        }
    }

    /// With a lower published index the control file looks like one that is older than the file beside it. Who says that nobody took
    /// over leads on, with all that was there.
    fn lead_anew(&self, db: Database) {
        let e = commit(&db).unwrap_err();
        let older = e.to_string().contains("an older one was put back");
        assert!(e.code() == ErrorCode::StalePrimary && older, "{e:?}");
        let epoch = db.primary_promote_to_next_epoch().unwrap();
        let token = commit(&db).unwrap();
        assert!(epoch > self.tip.epoch.0 && token.epoch.0 == epoch, "{token} after {}", self.tip);
        assert_eq!(token.log_index.0, self.tip.log_index.0 + 1);
        db.close().unwrap();
        assert_eq!(self.own_part(&self.path).unwrap().last_commit_token(), Some(token));
    }
}

fn commit(db: &Database) -> Result<Token, Error> {
    let mut tx = db.begin()?;
    tx.create_node(None)?;
    tx.commit()
}

fn sidecar_beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap().to_owned();
    name.push(".replication");
    path.with_file_name(name)
}
