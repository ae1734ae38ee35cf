//! Files that are exchanged for those of another database in the midst of a command, between any two of its operations.

use super::{
    stage::{
        Stage, add, add_many, contents, copy_database, has, nothing_said, open_and_add, primary, rename_database,
        replica_of,
    },
    support::observed::{Observer, Operation, observed},
    support_replication::folder::sidecar_of,
};
use kitedb_core::{Database, ErrorCode, OpenOptions, ReplicationRole, io::Env};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

const OFF: usize = usize::MAX;

/// Before the operation of that number, counted from when it is armed, another database takes the place of `p`.
#[derive(Debug)]
struct Exchange {
    path: PathBuf,
    other: PathBuf,
    aside: PathBuf,
    left: AtomicUsize,
}

impl Observer for Exchange {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let counts = matches!(operation, Operation::Open | Operation::List | Operation::Remove);
        let counts = counts && path.to_string_lossy().contains("p.kitedb");
        let left = self.left.load(Ordering::SeqCst);
        if !counts || left == OFF {
            return Ok(());
        }
        // What the exchange itself does is not seen.
        self.left.store(if left == 0 { OFF } else { left - 1 }, Ordering::SeqCst);
        if left == 0 {
            fs::rename(&self.path, &self.aside).unwrap();
            // It may be gone already.
            let _ = fs::rename(sidecar_of(&self.path), sidecar_of(&self.aside));
            rename_database(&self.other, &self.path);
        }
        Ok(())
    }
}

impl Exchange {
    /// A primary `p`, another one that waits to take its place, and a copy of what that one holds.
    fn on(stage: &Stage) -> Arc<Self> {
        let path = stage.leading("p.kitedb");
        let other = stage.folder("other").join("p.kitedb");
        open_and_add(&other, primary(), "stranger").unwrap();
        open_and_add(&other, primary(), "and more").unwrap();
        open_and_add(&other, primary(), "and most").unwrap();
        let aside = stage.folder("aside").join("p.kitedb");
        Arc::new(Self { path, other, aside, left: AtomicUsize::new(OFF) })
    }

    fn env(self: &Arc<Self>) -> Env {
        observed(&Env::real(), self.clone())
    }

    fn arm(&self, at: usize) {
        self.left.store(at, Ordering::SeqCst);
    }

    /// Whether it has happened; it does not any more.
    fn happened(&self) -> bool {
        self.left.store(OFF, Ordering::SeqCst);
        self.aside.exists()
    }
}

/// Does it with the exchange before each operation in turn, until one is done without.
fn at_each_operation(mut attack: impl FnMut(&Stage, &Arc<Exchange>, usize)) {
    for at in 0.. {
        let stage = Stage::new();
        let exchange = Exchange::on(&stage);
        attack(&stage, &exchange, at);
        if !exchange.happened() {
            assert!(at > 3, "the command was not met");
            return;
        }
    }
}

/// Of another database nothing is fenced, whenever it comes.
#[test]
fn a_promotion_fences_no_database_that_took_the_place_of_its_source() {
    at_each_operation(|stage, exchange, at| {
        let replica = stage.replica("r.kitedb", &exchange.path);
        let db = Database::open_in(exchange.env(), &replica, replica_of(&exchange.path)).unwrap();
        exchange.arm(at);
        let promoted = db.replica_promote(false);
        if exchange.happened() {
            let token = open_and_add(&exchange.path, primary(), "goes on").map(|token| token.to_string());
            assert_eq!(token.as_deref().ok(), Some("1:4"), "before operation {at}: {token:?}, {promoted:?}");
        } else {
            promoted.unwrap();
        }
    });
}

/// What was looked at, and has all that the replica has, is copied, or nothing.
#[test]
fn a_reseed_copies_no_database_that_took_the_place_of_its_source() {
    at_each_operation(|stage, exchange, at| {
        let replica = stage.replica("r.kitedb", &exchange.path);
        let db = Database::open_in(exchange.env(), &replica, replica_of(&exchange.path)).unwrap();
        exchange.arm(at);
        let reseeded = db.replica_bootstrap_from_snapshot();
        exchange.happened();
        assert!(has(&db, "a") && !has(&db, "stranger"), "before operation {at}: {reseeded:?}");
    });
}

/// Either the one or the other is detached as a whole.
#[test]
fn a_detach_removes_nothing_of_a_database_that_took_the_place_of_its_own() {
    at_each_operation(|stage, exchange, at| {
        let kept = stage.folder("kept").join("p.kitedb");
        copy_database(&exchange.other, &kept);
        exchange.arm(at);
        let detached = Database::detach_in(exchange.env(), &exchange.path, OpenOptions::new());
        if !exchange.happened() {
            detached.unwrap();
            return;
        }
        let is_whole = contents_by_name(&exchange.path) == contents_by_name(&kept);
        // It was there before the command looked at anything.
        let is_detached = detached.is_ok() && !sidecar_of(&exchange.path).exists();
        assert!(is_whole || is_detached, "before operation {at}: {detached:?}");
        let db = Database::open(&exchange.path, nothing_said().read_only(true)).unwrap();
        assert!(has(&db, "and most"));
    });
}

/// The segments of a log, by their names.
fn contents_by_name(db: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = sidecar_of(db);
    if !dir.exists() {
        return Vec::new();
    }
    let named = |(path, bytes): (PathBuf, Vec<u8>)| (path.strip_prefix(&dir).unwrap().to_owned(), bytes);
    contents(&dir).into_iter().map(named).filter(|(name, _)| name.to_string_lossy().starts_with("segment-")).collect()
}

/// The file of a database that is open is removed, or another one is put in its place. A close does not end as if all were well, and
/// leaves the log, which is all that there is.
#[test]
fn a_close_tells_that_its_file_is_gone() {
    for replaced in [false, true] {
        let stage = Stage::new();
        let path = stage.path("s.kitedb");
        open_and_add(&path, OpenOptions::new(), "before").unwrap();
        let backup = stage.path("backup.kitedb");
        fs::copy(&path, &backup).unwrap();
        let db = Database::open(&path, OpenOptions::new()).unwrap();
        add(&db, "after").unwrap();
        match replaced {
            true => fs::rename(&backup, &path).unwrap(),
            false => fs::remove_file(&path).unwrap(),
        }
        let error = db.close().unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound, "{error}");
        assert!(error.to_string().contains("s.kitedb-wal"), "{error}");
        assert!(stage.path("s.kitedb-wal").exists());
        // Nobody writes to what is there as if that were all.
        if !replaced {
            Database::open(&path, OpenOptions::new()).unwrap_err();
            continue;
        }
        let error = open_and_add(&path, OpenOptions::new(), "more").unwrap_err();
        assert_eq!(error.code(), ErrorCode::LogMismatch, "{error}");
        fs::rename(stage.path("s.kitedb-wal"), stage.path("away")).unwrap();
        open_and_add(&path, OpenOptions::new(), "more").unwrap();
    }
}

/// What befalls the file of a database that is open.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Befalls {
    Removed,
    ReplacedByItsBackup,
    OverwrittenByItsBackup,
    OverwrittenByAnother,
    CutToHalf,
    CutToItsHeader,
    CutToNothing,
}

impl Befalls {
    const ALL: [Self; 7] = [
        Self::Removed,
        Self::ReplacedByItsBackup,
        Self::OverwrittenByItsBackup,
        Self::OverwrittenByAnother,
        Self::CutToHalf,
        Self::CutToItsHeader,
        Self::CutToNothing,
    ];

    fn befall(self, path: &Path, backup: &Path, another: &Path) {
        let cut = |len| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
        match self {
            Self::Removed => fs::remove_file(path).unwrap(),
            Self::ReplacedByItsBackup => fs::rename(backup, path).unwrap(),
            // As `cp` does it: the same file, with other bytes.
            Self::OverwrittenByItsBackup => fs::write(path, fs::read(backup).unwrap()).unwrap(),
            Self::OverwrittenByAnother => fs::write(path, fs::read(another).unwrap()).unwrap(),
            Self::CutToHalf => cut(fs::metadata(path).unwrap().len() / 2),
            Self::CutToItsHeader => cut(8192),
            Self::CutToNothing => cut(0),
        }
    }

    fn code(self) -> ErrorCode {
        match self {
            Self::Removed | Self::ReplacedByItsBackup => ErrorCode::NotFound,
            _ => ErrorCode::Corrupt,
        }
    }
}

/// Nobody who asks is told that all is well, nothing is written to what is there now, and the log stays: with the file put back as it
/// was, every commit is there.
#[test]
fn a_file_that_is_taken_from_under_its_process_is_told_of_and_not_written_to() {
    for (befalls, options) in Befalls::ALL.into_iter().flat_map(|act| [(act, nothing_said()), (act, primary())]) {
        let stage = Stage::new();
        let path = stage.closed("s.kitedb", options.clone(), &["a", "b"]);
        let another = stage.closed("another.kitedb", options.clone(), &["x"]);
        let (backup, aside) = (stage.path("backup.kitedb"), stage.path("aside.kitedb"));
        fs::copy(&path, &backup).unwrap();
        let db = Database::open(&path, options.background(false)).unwrap();
        add_many(&db, "checkpointed", 500);
        db.checkpoint().unwrap();
        add_many(&db, "logged", 50);
        assert!(db.health_check().unwrap().healthy);
        let reader = Database::open(&path, nothing_said().read_only(true)).unwrap();
        fs::copy(&path, &aside).unwrap();

        befalls.befall(&path, &backup, &another);
        let there = fs::read(&path).ok();
        for (db, who) in [(&db, "its writer"), (&reader, "a reader")] {
            let health = db.health_check().unwrap();
            let check = health.check("database_open").unwrap();
            assert!(!health.healthy && !check.passed, "{befalls:?}: {who}");
            assert!(check.message.contains("while it was open"), "{befalls:?}: {who}: {}", check.message);
            assert_eq!(db.stats().unwrap().damage.as_ref(), Some(&check.message), "{befalls:?}: {who}");
        }
        let is_told = |result: kitedb_core::Result<()>, what: &str| {
            let error = result.expect_err(what);
            assert_eq!(error.code(), befalls.code(), "{befalls:?}: {what}: {error}");
            assert!(error.to_string().contains("s.kitedb"), "{befalls:?}: {what}: {error}");
        };
        is_told(db.require_commits(), "require_commits");
        is_told(db.sync(), "sync");
        is_told(db.checkpoint(), "checkpoint");
        is_told(db.compact(), "compact");
        if db.replication_role() == ReplicationRole::Primary {
            is_told(db.primary_run_retention().map(drop), "retention");
        }
        drop(reader);
        is_told(db.close(), "close");
        assert_eq!(fs::read(&path).ok(), there, "{befalls:?}: what is there now was written to");

        fs::rename(&aside, &path).unwrap();
        let db = Database::open(&path, nothing_said().read_only(true)).unwrap();
        assert!(has(&db, "checkpointed 499") && has(&db, "logged 49"), "{befalls:?}");
        assert!(db.check().unwrap().is_clean() && db.stats().unwrap().damage.is_none(), "{befalls:?}");
    }
}

/// The same before anything was committed: the first commit would begin a log, and write so to the file.
#[test]
fn a_first_commit_is_refused_where_the_file_was_taken_away() {
    for befalls in Befalls::ALL {
        let stage = Stage::new();
        let path = stage.stand_alone("s.kitedb");
        open_and_add(&path, nothing_said(), "c").unwrap();
        let another = stage.stand_alone("another.kitedb");
        let backup = stage.path("backup.kitedb");
        fs::copy(&another, &backup).unwrap();
        let db = Database::open(&path, nothing_said()).unwrap();
        befalls.befall(&path, &backup, &another);
        let there = fs::read(&path).ok();
        let mut tx = db.begin().unwrap();
        tx.create_node(None).unwrap();
        let error = tx.commit().unwrap_err();
        assert_eq!(error.code(), befalls.code(), "{befalls:?}: {error}");
        // Nothing was committed, and there is nothing to be lost.
        db.close().unwrap();
        assert_eq!((fs::read(&path).ok(), stage.path("s.kitedb-wal").exists()), (there, false), "{befalls:?}");
    }
}
