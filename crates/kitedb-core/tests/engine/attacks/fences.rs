//! Fences: one flipped bit gives no lead back, and no error denies a commit that counts.

use super::{
    stage::{Stage, add, has, primary, replica_of},
    support::observed::{Observer, Operation, observed},
    support_replication::{CRASHES, Graph, Machine, catch_up, folder::sidecar_of, write},
};
use kitedb_core::{
    Database, ErrorCode, ErrorKind, SyncMode,
    io::{
        Env,
        sim::{FaultOn, FaultPlan},
    },
};
use parking_lot::{Condvar, Mutex};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

fn machines(mode: SyncMode) -> (Machine, Machine) {
    (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode))
}

/// What its sidecar knew is lost, and what its file knows of who took over is not: an epoch is one node's.
#[test]
fn a_fenced_primary_that_is_forced_to_lead_without_its_log_begins_an_epoch_of_its_own() {
    for following in [false, true] {
        let stage = Stage::new();
        let (old, new) = stage.fenced("p.kitedb", "r.kitedb");
        match following {
            true => drop(Database::open(&old, replica_of(&new)).and_then(|db| db.replica_catch_up_once(9)).unwrap()),
            false => Database::open(&old, primary()).unwrap().close().unwrap(),
        }
        fs::remove_dir_all(sidecar_of(&old)).unwrap();
        let theirs = Database::open(&new, primary()).unwrap().last_commit_token().unwrap();
        let forced = kitedb_core::OpenOptions::new().replication_overwrite(true);
        match Database::confirm_moved_in(Env::real(), &old, forced) {
            Ok(led) => assert!(led.epoch > theirs.epoch.0, "{led:?} after {theirs}"),
            // A replica is promoted.
            Err(e) => assert!(following, "{e:?}"),
        }
        if !following {
            let token = add(&Database::open(&old, primary()).unwrap(), "its own").unwrap();
            assert!(token.epoch > theirs.epoch, "{token} after {theirs}");
        }
    }
}

/// The machine of a primary that was fenced and closed, and its files.
#[derive(Debug)]
struct FencedFiles(Machine, Vec<(PathBuf, Vec<u8>)>);

impl FencedFiles {
    fn new() -> Self {
        let (a, b) = machines(SyncMode::Full);
        let (old, mut graph) = (a.primary(), Graph::new(1));
        graph.grow(&old, 3);
        let new = b.replica_of(&a);
        catch_up(&new);
        old.close().unwrap();
        new.replica_promote(false).unwrap();
        new.close().unwrap();
        let files = a.disk.paths().into_iter().map(|path| (path.clone(), a.disk.read(&path).unwrap())).collect();
        Self(a, files)
    }

    /// The machine with these files as they were, one bit of the control file flipped.
    fn with_flipped_bit(&self, word: u64, bit: u64) -> &Machine {
        let Self(machine, files) = self;
        for (path, bytes) in files {
            // In place: files that are put back by another way are known for copies, whatever their fence says.
            machine.disk.overwrite(path, bytes).unwrap();
        }
        machine.disk.corrupt(machine.sidecar().join("control"), word * 8 + bit / 8, 1 << (bit % 8)).unwrap();
        machine
    }
}

/// The words of the control file, those that say who may write bit for bit, and one bit of each byte of the others.
#[test]
fn a_flipped_bit_does_not_take_a_fence_away() {
    let files = FencedFiles::new();
    let fence = [16].into_iter().chain(21..25).chain(36..48);
    let all = fence.flat_map(|word| (0..64).map(move |bit| (word, bit)));
    let some = (0..64).flat_map(|word| (0..8).map(move |byte| (word, byte * 8 + (word + byte) % 8)));
    let (mut leading, mut fenced) = (Vec::new(), 0);
    for (word, bit) in all.chain(some) {
        let Ok(old) = files.with_flipped_bit(word, bit).try_primary() else { continue };
        match write(&old) {
            Ok(token) => leading.push((word, bit, token.to_string())),
            Err(e) => fenced += u32::from(e.code() == ErrorCode::StalePrimary),
        }
    }
    assert!(leading.is_empty(), "{} flipped bits un-fence: {leading:?}", leading.len());
    // It is the fence that refuses them, mostly.
    assert!(fenced > 1000, "{fenced}");
}

/// Damage to who may write is an error that says so, or is mended from the fence's second copy: never a guess.
#[test]
fn damage_to_the_fence_is_told() {
    let files = FencedFiles::new();
    for word in [16, 36, 41, 42, 47] {
        for bit in [0, 1, 7, 32, 63] {
            let a = files.with_flipped_bit(word, bit);
            let error = a.try_primary().and_then(|old| write(&old)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::StalePrimary, "word {word}, bit {bit}: {error:?}");
        }
    }
    // Both copies.
    let a = files.with_flipped_bit(36, 0);
    a.disk.corrupt(a.sidecar().join("control"), 42 * 8, 1).unwrap();
    let error = a.try_primary().and_then(|old| write(&old)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corrupt, "{error:?}");
    assert!(error.to_string().contains("control"), "{error:?}");
}

/// What the two sides of a slow fence have come to.
#[derive(Debug, Default)]
struct Progress {
    state: Mutex<(bool, bool, bool)>,
    moved: Condvar,
}

impl Progress {
    /// Changes what has happened, and tells who waits.
    fn now(&self, change: impl FnOnce(&mut (bool, bool, bool))) {
        change(&mut self.state.lock());
        self.moved.notify_all();
    }

    /// Waits until it has happened; gives up after a minute.
    fn wait(&self, happened: impl Fn(&(bool, bool, bool)) -> bool) {
        let mut state = self.state.lock();
        for _ in 0..600 {
            if happened(&state) {
                return;
            }
            self.moved.wait_for(&mut state, Duration::from_millis(100));
        }
        panic!("the fence and the commit did not come as far as they should: {state:?}");
    }
}

/// (the commit is appended, the fence is moved, the committer has its answer)
#[derive(Debug)]
struct Committer(Arc<Progress>);
#[derive(Debug)]
struct Promoter(Arc<Progress>);

fn is_sync_of_a_segment(operation: Operation, path: &Path) -> bool {
    operation == Operation::Sync && path.extension().is_some_and(|kind| kind == "klog")
}

impl Observer for Committer {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        if is_sync_of_a_segment(operation, path) && thread::current().name() == Some("committer") {
            self.0.now(|state| state.0 = true);
            self.0.wait(|state| state.1);
        }
        Ok(())
    }
}

impl Observer for Promoter {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        if is_sync_of_a_segment(operation, path) && self.0.state.lock().0 {
            self.0.now(|state| state.1 = true);
            self.0.wait(|state| state.2);
        }
        Ok(())
    }
}

/// A commit is appended before a fence moves, and the promoter's sync of the source's log takes longer than the
/// committer waits. The commit counts: it must not be told that it does not.
#[test]
fn a_commit_beside_a_slow_fence_is_not_said_to_be_void_if_it_counts() {
    let stage = Stage::new();
    let progress = Arc::new(Progress::default());
    let (p, r) = (stage.path("p.kitedb"), stage.path("r.kitedb"));
    let committing = observed(&Env::real(), Arc::new(Committer(progress.clone())));
    let old = Database::open_in(committing, &p, primary()).unwrap();
    add(&old, "first").unwrap();
    let promoting = observed(&Env::real(), Arc::new(Promoter(progress.clone())));
    let new = Database::open_with_source_in(Env::real(), promoting, &r, replica_of(&p)).unwrap();
    new.replica_bootstrap_from_snapshot().unwrap();
    let answer = thread::scope(|scope| {
        let committer = thread::Builder::new().name("committer".into()).spawn_scoped(scope, || {
            let answer = add(&old, "beside");
            progress.now(|state| state.2 = true);
            answer
        });
        progress.wait(|state| state.0);
        let promoted = new.replica_promote(false);
        // A promoter that syncs nothing has let nobody wait.
        progress.now(|state| state.1 = true);
        promoted.unwrap();
        committer.unwrap().join().unwrap()
    });
    let counts = has(&new, "beside");
    match answer {
        Ok(token) => assert!(counts, "{token} is acknowledged and gone"),
        Err(e) if counts => assert_eq!(e.code().as_str(), "OUTCOME_UNKNOWN", "it counts, and is refused: {e:?}"),
        Err(e) => assert!(["OUTCOME_UNKNOWN", "STALE_PRIMARY"].contains(&e.code().as_str()), "{e:?}"),
    }
    assert_eq!(add(&old, "after").unwrap_err().code(), ErrorCode::StalePrimary);
}

/// A sync that fails leaves it open whether the commit counts.
#[test]
fn the_outcome_of_a_commit_whose_sync_failed_is_unknown() {
    let (a, _) = machines(SyncMode::Full);
    let (db, mut graph) = (a.primary(), Graph::new(2));
    graph.grow(&db, 2);
    a.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).on_path(".klog"));
    let error = write(&db).unwrap_err();
    assert_eq!(error.code().as_str(), "OUTCOME_UNKNOWN", "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Reopen);
}

/// The operator of an old primary has its file alone: its log, which would tell that another node took over, is lost, or
/// stayed with the file that this one was copied from.
#[test]
fn a_file_without_the_log_that_tells_who_leads_is_led_only_by_force() {
    let stage = Stage::new();
    let (old, _new) = stage.fenced("p.kitedb", "r.kitedb");
    let copied = stage.path("copy.kitedb");
    fs::copy(&old, &copied).unwrap();
    let told = |path: &Path| Database::confirm_moved(path).map_err(|e| e.code());
    // The header of the copy names the log of the original, which is there, and tells.
    assert_eq!(told(&copied), Err(ErrorCode::StalePrimary));
    fs::rename(sidecar_of(&old), stage.path("gone")).unwrap();
    assert_eq!(told(&old), Err(ErrorCode::LogMismatch));
    let forced = primary().replication_overwrite(true);
    // And in no epoch that the other one has, which lies beside it.
    assert_eq!(Database::confirm_moved_in(Env::real(), &old, forced).unwrap().epoch, 3);
    let led = Database::open(&old, primary()).unwrap();
    add(&led, "by force").unwrap();
}

/// A transaction that changes nothing says that what it was to do is so: not where another node leads, and may have undone it.
#[test]
fn a_fenced_primary_acknowledges_no_transaction_that_changes_nothing() {
    let stage = Stage::new();
    let (old, _) = stage.fenced("p.kitedb", "r.kitedb");
    for _ in 0..2 {
        let db = Database::open(&old, primary()).unwrap();
        let error = db.begin().and_then(|tx| tx.commit()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::StalePrimary, "{error:?}");
        db.close().unwrap();
    }
}

/// A fenced primary follows who took over. What it follows is known before its fence is forgotten: else nobody could let it lead
/// once that one is gone.
#[test]
fn a_fenced_primary_that_cannot_note_its_source_stays_one() {
    let (old, new) = machines(SyncMode::Full);
    let (db, mut graph) = (old.primary(), Graph::new(3));
    graph.grow(&db, 3);
    let replica = new.replica_of(&old);
    replica.replica_bootstrap_from_snapshot().unwrap();
    replica.replica_promote(false).unwrap();
    db.close().unwrap();
    let db = old.replica_of(&new);
    old.disk.fail(FaultPlan::new(FaultOn::Name, 1, io::ErrorKind::Other).on_path("source"));
    assert_eq!(db.replica_catch_up_once(9).unwrap_err().code(), ErrorCode::Io);
    db.close().unwrap();
    let db = old.primary();
    let status = db.primary_replication_status().unwrap().unwrap();
    assert!(status.fenced && status.fence.is_some(), "{status:?}");
    db.close().unwrap();
    // Once it can be noted, it is a replica, and knows of whom.
    let db = old.replica_of(&new);
    catch_up(&db);
    db.close().unwrap();
    assert_eq!(old.primary().took_over_from().unwrap(), Some(new.db()));
}

/// A primary that does not sync is fenced, loses its power, and all that it committed with it: it is fenced still, also where it was
/// opened as a replica of a node that is not there first.
#[test]
fn a_fence_outlasts_the_commits_that_a_loss_of_power_takes() {
    for mode in [SyncMode::Normal, SyncMode::Off] {
        for (crash, first) in CRASHES.into_iter().flat_map(|crash| [(crash, false), (crash, true)]) {
            let (old, new) = machines(mode);
            let nowhere = Machine::new("nowhere", 3, mode);
            let (db, mut graph) = (old.primary(), Graph::new(3));
            let replica = new.replica_of(&old);
            assert_eq!(replica.replica_catch_up_once(9).unwrap(), 0);
            graph.grow(&db, 7);
            let promotion = replica.replica_promote(false).unwrap();
            assert!(promotion.source_fenced && promotion.fence_synced);
            old.disk.kill();
            drop(db);
            let old = old.restart(crash);
            if first {
                old.try_replica_of(&nowhere).unwrap_err();
            }
            let db = old.primary();
            let status = db.primary_replication_status().unwrap().unwrap();
            assert!(status.fenced, "{mode:?}, {crash:?}, {first}: {status:?}");
            assert_eq!(write(&db).unwrap_err().code(), ErrorCode::StalePrimary, "{mode:?}, {crash:?}, {first}");
        }
    }
}
