//! A replica's graph is copied, anew or for the first time, while something else goes on or goes wrong.

use super::{
    stage::{Stage, add_many, primary, replica_of},
    support::{
        gate::{At, Gate},
        observed::{Observer, Operation, observed},
    },
    support_replication::{
        Graph, Machine, catch_up, expect_following,
        folder::{eventually, sidecar_of},
        primary_status, replica_status, write,
    },
};
use kitedb_core::{
    Database, ErrorCode, ReplicaState, ReplicationRole, Result, SyncMode, Watch,
    io::{
        Disk, Env,
        sim::{Crash, FaultOn, FaultPlan, Loss, SimDisk},
    },
};
use parking_lot::Mutex;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

/// A sync of the log that goes is under way when its replica is copied anew from a source that has less: what it made durable
/// is not said of the log that comes.
#[test]
fn a_sync_that_is_under_way_says_nothing_of_the_log_after_a_reseed() {
    let stage = Stage::new();
    let (long, short, path) = (stage.path("long.kitedb"), stage.path("short.kitedb"), stage.path("r.kitedb"));
    let primaries: Vec<_> = [(&long, 40), (&short, 5)]
        .map(|(path, commits)| {
            let db = Database::open(path, primary()).unwrap();
            add_many(&db, "n", commits);
            db.checkpoint().unwrap();
            db
        })
        .into();
    let gate = Arc::new(Gate::default());
    let options = replica_of(&long).sync_mode(SyncMode::Normal).sync_interval_ms(1).replication_overwrite(true);
    let replica = Database::open_with_source_in(gate.env(), Env::real(), &path, options).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    add_many(&primaries[0], "more", 5);
    catch_up(&replica);
    eventually("all is durable", || replica_status(&replica).durable_log_index == 45);
    // Nothing is left of what a follower of it needs but its log.
    gate.shut(At::Sync, ".klog");
    add_many(&primaries[0], "again", 5);
    catch_up(&replica);
    gate.wait_for_someone();

    replica.replica_repoint(&short, None::<PathBuf>).unwrap();
    let (done, reseeded) = mpsc::channel();
    thread::scope(|scope| {
        let replica = &replica;
        scope.spawn(move || done.send(replica.replica_reseed_from_snapshot()));
        // It waits for the sync, or would be past it by then.
        let early = reseeded.recv_timeout(Duration::from_millis(500));
        gate.open();
        early.or_else(|_| reseeded.recv()).unwrap().unwrap();
    });
    replica.close().unwrap();
    let word = fs::read(sidecar_of(&path).join("control")).unwrap()[18 * 8..19 * 8].try_into().unwrap();
    assert!(u64::from_le_bytes(word) <= 5, "{} commits are said to be durable", u64::from_le_bytes(word));
    let replica = Database::open(&path, replica_of(&short)).unwrap();
    add_many(&primaries[1], "more", 3);
    catch_up(&replica);
    expect_following(&replica, &primaries[1]);
}

/// A bootstrap is refused, for what its source's log is: the source keeps nothing for a replica that never was one.
#[test]
fn a_bootstrap_that_is_refused_leaves_no_registration() {
    let (p, r) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let (primary, mut graph) = (p.primary(), Graph::new(1));
    graph.grow(&primary, 30);
    primary.checkpoint().unwrap();
    graph.grow(&primary, 10);
    // Nobody is there to make a checkpoint that passes over the damage.
    let p = p.restart(Crash::Kill);
    drop(primary);
    p.damage(p.segments().last().unwrap(), 4096);
    let replica = r.replica_of(&p);
    let error = replica.replica_bootstrap_from_snapshot().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corrupt, "{error:?}");
    replica.close().unwrap();
    assert!(!r.disk.paths().contains(&r.db()), "{:?}", r.disk.paths());
    // As who only reads finds it.
    let options = p.options(ReplicationRole::Primary).read_only(true);
    let known = primary_status(&p.open(options).unwrap()).replica_lags;
    assert!(known.is_empty(), "{known:?}");
}

/// Killed at any step of it, a first bootstrap leaves nothing, or a replica that says that it holds nothing: never a database of
/// its own that takes writes, nor one that seeds or leads.
#[test]
fn a_first_bootstrap_that_is_killed_at_any_step_leaves_nothing_that_passes_for_a_replica() {
    let p = Machine::new("primary", 1, SyncMode::Full);
    let (primary, mut graph) = (p.primary(), Graph::new(1));
    graph.grow(&primary, 10);
    primary.checkpoint().unwrap();
    let (mut empty, mut filled) = (0, 0);
    for op in 1.. {
        let what = format!("operation {op}");
        let r = Machine::new("replica", 1 + op, SyncMode::Full);
        r.disk.crash_at(r.disk.ops() + op);
        let copied = r.try_replica_of(&p).and_then(|replica| replica.replica_bootstrap_from_snapshot());
        if !r.disk.crashed() {
            copied.unwrap();
            break;
        }
        let r = r.restart(Crash::Kill);
        if !r.disk.paths().contains(&r.db()) {
            continue;
        }
        let found = r.as_it_is().unwrap();
        write(&found).expect_err(&what);
        let holds_something = found.last_commit_token().is_some();
        found.close().unwrap();
        if holds_something {
            filled += 1;
        } else {
            empty += 1;
            let s = Machine::new("second", 1, SyncMode::Full);
            let seeded = s.try_replica_of(&r).and_then(|replica| replica.replica_bootstrap_from_snapshot());
            assert!(seeded.unwrap_err().to_string().contains("holds nothing yet"), "{what}");
            let replica = r.replica_of(&p);
            assert_eq!(replica_status(&replica).state, ReplicaState::Bootstrapping, "{what}");
            let error = replica.replica_promote(true).unwrap_err();
            assert_eq!(error.code(), ErrorCode::NotReplica, "{what}: {error:?}");
            replica.close().unwrap();
        }
        let replica = r.replica_of(&p);
        replica.replica_bootstrap_from_snapshot().unwrap();
        expect_following(&replica, &primary);
    }
    assert!(empty > 10 && filled > 0, "{empty}, {filled}");
}

/// … or for what its own disk or a block of the source is: a copy that was cut short can go on, and what it needs is kept. Nobody
/// takes it for a replica that has something.
#[test]
fn a_bootstrap_that_is_cut_short_is_registered_with_nothing() {
    for full in [true, false] {
        let (p, r) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
        let (primary, mut graph) = (p.primary(), Graph::new(1));
        graph.grow(&primary, 30);
        primary.checkpoint().unwrap();
        let replica = r.replica_of(&p);
        match full {
            true => r.disk.set_capacity(Some(r.disk.used())),
            false => damage_run(&p.disk, &p.db()),
        }
        replica.replica_bootstrap_from_snapshot().unwrap_err();
        replica.close().unwrap();
        assert!(r.disk.paths().contains(&r.db()));
        let lags = primary_status(&primary).replica_lags;
        let lags: Vec<_> = lags.iter().map(|lag| (lag.applied_log_index, lag.lag_frames)).collect();
        assert_eq!(lags, [(0, 30)], "full: {full}");
        if full {
            r.disk.set_capacity(None);
            let replica = r.replica_of(&p);
            replica.replica_bootstrap_from_snapshot().unwrap();
            graph.grow(&primary, 5);
            catch_up(&replica);
            // One that follows stays registered, whatever becomes of its reseed.
            r.disk.set_capacity(Some(r.disk.used()));
            let _ = replica.replica_reseed_from_snapshot();
            assert_eq!(primary_status(&primary).replica_lags[0].applied_log_index, 35);
        }
    }
}

/// Flips a bit in each block of the file but the first ones, in which its header is.
fn damage_run(disk: &SimDisk, path: &Path) {
    let len = disk.read(path).unwrap().len() as u64;
    (2..len / 4096).for_each(|block| disk.corrupt(path, block * 4096 + 100, 4).unwrap());
}

/// While a snapshot is copied, the source keeps its log for a replica that has nothing yet, and says so.
#[test]
fn a_replica_that_is_being_copied_has_nothing_yet() {
    let (p, r) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let (primary, mut graph) = (p.primary(), Graph::new(1));
    graph.grow(&primary, 30);
    primary.checkpoint().unwrap();
    let looks = Arc::new(Looks { primary: primary.clone(), path: r.db(), seen: Mutex::default() });
    let env = observed(&r.env(), looks.clone());
    let replica = Database::open_with_source_in(env, p.env(), r.db(), r.following(&p)).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    let seen = std::mem::take(&mut *looks.seen.lock());
    let copying: Vec<_> = seen.iter().take_while(|(applied, _)| *applied == 0).collect();
    assert!(!copying.is_empty() && copying.iter().all(|(_, lag)| *lag == 30), "{seen:?}");
    assert_eq!(primary_status(&primary).replica_lags[0].applied_log_index, 30);
}

/// Looks at the primary whenever the replica's file is written to.
#[derive(Debug)]
struct Looks {
    primary: Database,
    path: PathBuf,
    seen: Mutex<Vec<(u64, u64)>>,
}

impl Observer for Looks {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        if operation == Operation::Write && path == self.path {
            let known = primary_status(&self.primary).replica_lags;
            self.seen.lock().extend(known.iter().map(|lag| (lag.applied_log_index, lag.lag_frames)));
        }
        Ok(())
    }
}

/// A replica whose file does not open, on a machine of its own.
fn damaged_replica(p: &Machine) -> Machine {
    let r = Machine::new("replica", 2, SyncMode::Full);
    let replica = r.replica_of(p);
    replica.replica_bootstrap_from_snapshot().unwrap();
    replica.close().unwrap();
    (0..64).for_each(|at| r.disk.corrupt(r.db(), at * 128 + 8, 0xA5).unwrap());
    r
}

/// Opens the replica once more in the midst of its open.
#[derive(Debug)]
struct Second {
    source: Machine,
    replica: Machine,
    at: (&'static str, bool),
    opened: Mutex<Option<Result<Database>>>,
}

impl Observer for Second {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let (part, read) = self.at;
        let here = path.to_string_lossy().ends_with(part)
            && if read { matches!(operation, Operation::Read(_)) } else { operation == Operation::Open };
        let mut opened = self.opened.lock();
        if here && opened.is_none() {
            *opened = Some(self.replica.try_replica_of(&self.source));
        }
        Ok(())
    }
}

/// Two processes open a replica whose file is damaged beyond opening: the file that the one works with is not taken from it by
/// the other.
#[test]
fn a_damaged_replica_that_is_opened_twice_is_replaced_once() {
    let p = Machine::new("primary", 1, SyncMode::Full);
    let (primary, mut graph) = (p.primary(), Graph::new(1));
    graph.grow(&primary, 20);
    for at in [(".reviving", false), (".kitedb", true)] {
        let r = damaged_replica(&p);
        let second = Arc::new(Second { source: p.clone(), replica: r.clone(), at, opened: Mutex::default() });
        let env = observed(&r.env(), second.clone());
        let first = Database::open_with_source_in(env, p.env(), r.db(), r.following(&p));
        let second = second.opened.lock().take().expect("it was opened twice");
        for refused in [&first, &second].into_iter().filter_map(|opened| opened.as_ref().err()) {
            assert_eq!(refused.code(), ErrorCode::Locked, "{at:?}: {refused:?}");
        }
        let aside: Vec<_> =
            r.disk.paths().into_iter().filter(|path| path.to_string_lossy().contains(".kitedb.damaged")).collect();
        assert_eq!(aside, [PathBuf::from("/replica.kitedb.damaged")], "{at:?}");
        let db = second.or(first).unwrap();
        db.replica_reseed_from_snapshot().unwrap();
        expect_following(&db, &primary);
        db.close().unwrap();
        let db = r.replica_of(&p);
        assert_eq!(catch_up(&db), 0);
        expect_following(&db, &primary);
    }
}

/// The open of a replica whose file is damaged beyond opening is cut short, with and without its control file.
#[test]
fn a_damaged_replica_whose_open_is_cut_short_is_a_replica_still() {
    let p = Machine::new("primary", 1, SyncMode::Full);
    let (primary, mut graph) = (p.primary(), Graph::new(1));
    graph.grow(&primary, 20);
    for lost in [false, true] {
        let mut cut = 0;
        for op in 1..60 {
            let r = Machine::new("replica", 2, SyncMode::Full);
            let replica = r.replica_of(&p);
            replica.replica_bootstrap_from_snapshot().unwrap();
            replica.close().unwrap();
            // What the header says is left; what it leads to is not.
            damage_run(&r.disk, &r.db());
            if lost {
                r.disk.remove(&r.sidecar().join("control")).unwrap();
            }
            r.disk.crash_at(r.disk.ops() + op);
            cut += u32::from(r.try_replica_of(&p).is_err());
            let r = r.restart(Crash::Kill);
            let db = r.try_replica_of(&p).unwrap_or_else(|e| panic!("lost: {lost}, operation {op}: {e:?}"));
            db.replica_reseed_from_snapshot().unwrap();
            expect_following(&db, &primary);
            db.close().unwrap();
            assert_eq!(primary_status(&primary).replica_lags.len(), 1, "lost: {lost}, operation {op}");
        }
        assert!(cut > 5, "{cut}");
    }
}

/// A copy of the machine's database, as `cp -r` takes it, on a machine of its own.
fn copied(from: &Machine, seed: u64) -> Machine {
    let copy = Machine::new("copied", seed, SyncMode::Full);
    for path in from.disk.paths() {
        if path == from.db() || path.starts_with(from.sidecar()) {
            let there = path.to_str().unwrap().replacen(from.name, copy.name, 1);
            copy.disk.write(there, &from.disk.read(&path).unwrap()).unwrap();
        }
    }
    copy
}

/// A copied primary is given up by name for the graph of its original, and killed at any step of that. Until its operator says what it
/// is, or it is a replica, it takes no write: whatever the reseed had done by then, it does not lead.
#[test]
fn a_copied_primary_whose_reseed_is_killed_at_any_step_takes_no_write() {
    let p = Machine::new("primary", 1, SyncMode::Full);
    let (primary, mut graph) = (p.primary(), Graph::new(1));
    graph.grow(&primary, 10);
    primary.close().unwrap();
    let saved = copied(&p, 7);
    let primary = p.primary();
    graph.grow(&primary, 3);
    for crash in [Crash::Kill, Crash::PowerLoss(Loss::LoseAllUnsynced)] {
        let (mut before, mut after) = (0, 0);
        for op in 1.. {
            let what = format!("{crash:?} at operation {op}");
            let copy = copied(&saved, 1 + op);
            copy.disk.crash_at(copy.disk.ops() + op);
            let options = copy.following(&p).replication_overwrite(true);
            let copying = copy.open_replica_of(&p, options);
            let reseeded = copying.and_then(|db| db.replica_reseed_from_snapshot());
            if !copy.disk.crashed() {
                reseeded.unwrap();
                break;
            }
            let copy = copy.restart(crash);
            for primary in [false, true] {
                let opened = if primary { copy.try_primary() } else { copy.as_it_is() };
                let Ok(found) = opened else { continue };
                let error = write(&found).expect_err(&what);
                let known = matches!(
                    error.code(),
                    ErrorCode::FilesMoved | ErrorCode::ReplicaReadOnly | ErrorCode::StalePrimary
                );
                assert!(known, "{what}: {error:?}");
                match found.replication_role() {
                    ReplicationRole::Replica => after += 1,
                    _ => before += 1,
                }
                found.close().unwrap();
            }
            let replica = copy.overwritten_by(&p);
            replica.replica_reseed_from_snapshot().unwrap_or_else(|e| panic!("{what}: {e:?}"));
            expect_following(&replica, &primary);
            replica.close().unwrap();
        }
        assert!(before > 5 && after > 5, "{crash:?}: {before} {after}");
    }
}

/// A replica that holds nothing begins its log, and its file's header cannot sync that log's name. Whatever its next pull does, and
/// wherever that is killed, the log is not taken for the one of a graph that was given up: it opens, and follows.
#[test]
fn a_log_that_was_begun_and_could_not_be_named_is_not_taken_for_that_of_a_graph_that_is_gone() {
    let (mut failed, mut killed) = (0, 0);
    for nth in 1..12 {
        for op in 1.. {
            let what = format!("sync {nth} failed, and operation {op} after it is the last one");
            let (p, r) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
            let (primary, replica) = (p.primary(), r.replica_of(&p));
            replica.replica_bootstrap_from_snapshot().unwrap();
            let mut graph = Graph::new(1);
            graph.grow(&primary, 3);
            r.disk.fail(FaultPlan::new(FaultOn::Sync, nth, io::ErrorKind::Other).on_path(".kitedb"));
            if replica.replica_catch_up_once(100).is_ok() {
                break;
            }
            failed += 1;
            r.disk.crash_at(r.disk.ops() + op);
            let pulled = replica.replica_catch_up_once(100);
            let done = !r.disk.crashed();
            let r = r.restart(Crash::Kill);
            drop(replica);
            let replica = r.try_replica_of(&p).unwrap_or_else(|e| panic!("{what}: {e:?}"));
            let status = replica_status(&replica);
            assert!(replica.damage().is_none() && !status.needs_reseed, "{what}: {status:?}");
            catch_up(&replica);
            graph.expect_all(&replica);
            expect_following(&replica, &primary);
            if done {
                drop(pulled);
                break;
            }
            killed += 1;
        }
    }
    assert!(failed > 5 && killed > 5, "{failed} {killed}");
}

/// The file of a replica does not open any more. A reseed gives up no commit that only its log has, and takes no other database,
/// unless that is asked for by name: as of one whose file is whole.
#[test]
fn a_damaged_replica_gives_up_nothing_that_its_log_has_unasked() {
    let cut = |path: &Path| fs::File::options().write(true).open(path).unwrap().set_len(5000).unwrap();
    let no_header = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[..8192].fill(0);
        fs::write(path, bytes).unwrap();
    };
    for damage in [&cut as &dyn Fn(&Path), &no_header] {
        for (log_is_lost, other) in [(false, false), (false, true), (true, true), (true, false)] {
            let stage = Stage::new();
            let source = stage.leading("p.kitedb");
            let path = stage.replica("r.kitedb", &source);
            let older = [(source.clone(), stage.path("old")), (sidecar_of(&source), stage.path("old.log"))];
            for (from, to) in &older {
                assert!(std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
            }
            let db = Database::open(&source, primary()).unwrap();
            add_many(&db, "more", 5);
            db.close().unwrap();
            let db = Database::open(&path, replica_of(&source)).unwrap();
            catch_up(&db);
            db.close().unwrap();
            let another = stage.leading("another.kitedb");
            if !other && !log_is_lost {
                // What the replica has is lost at its primary.
                fs::remove_file(&source).unwrap();
                fs::remove_dir_all(sidecar_of(&source)).unwrap();
                for (from, to) in &older {
                    fs::rename(to, from).unwrap();
                }
            }
            damage(&path);
            let segments = || {
                fs::read_dir(sidecar_of(&path))
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .filter(|path| is_segment(path))
            };
            if log_is_lost {
                segments().for_each(|segment| fs::remove_file(segment).unwrap());
            }
            let (source, kept) = (if other { &another } else { &source }, segments().count());
            let what = format!("another database: {other}, its log is lost: {log_is_lost}");
            let db = Database::open(&path, replica_of(source)).unwrap();
            let reseeded = db.replica_reseed_from_snapshot();
            db.close().unwrap();
            if log_is_lost && !other {
                reseeded.unwrap_or_else(|e| panic!("{what}: {e}"));
                continue;
            }
            let refused = reseeded.expect_err(&what);
            assert_eq!(refused.code(), ErrorCode::WouldOverwrite, "{what}: {refused}");
            assert!(refused.to_string().contains("--overwrite"), "{what}: {refused}");
            assert_eq!(segments().count(), kept, "{what}");
            let db = Database::open(&path, replica_of(source).replication_overwrite(true)).unwrap();
            db.replica_reseed_from_snapshot().unwrap_or_else(|e| panic!("{what}: {e}"));
        }
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "klog")
}

/// Somebody ends the reseed of a replica that is whole: it follows on, and nothing failed.
#[test]
fn a_reseed_that_is_cancelled_is_no_fault_of_the_replica() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let replica = Database::open(&path, replica_of(&source)).unwrap();
    let watch = Watch::new(|watch, _| watch.cancel());
    let ended = replica.replica_bootstrap_with(&watch).unwrap_err();
    assert_eq!(ended.code(), ErrorCode::Cancelled, "{ended}");
    let status = replica_status(&replica);
    assert_eq!((status.fault(), status.last_error), (None, None));
    replica.close().unwrap();
    let status = replica_status(&Database::open(&path, replica_of(&source).read_only(true)).unwrap());
    assert_eq!((status.fault(), status.last_error), (None, None));
}

/// Its source was reseeded to another history, and is at the same log index since. The log of that holds nothing yet that would
/// tell; its file does.
#[test]
fn a_replica_finds_that_its_source_was_reseeded_to_another_history_of_the_same_length() {
    // Also one that has more than its source has by then.
    for (opened_anew, ahead) in [(false, 0), (true, 0), (false, 2), (true, 2)] {
        let mut seed = 0;
        let [other, first, middle, last] = ["other", "first", "middle", "last"].map(|name| {
            seed += 1;
            Machine::new(name, seed, SyncMode::Full)
        });
        let (led, elsewhere) = (first.primary(), other.primary());
        let (mut graph, mut another) = (Graph::new(1), Graph::new(2));
        graph.grow(&led, 3);
        another.grow(&elsewhere, 3 - ahead);
        let copy = middle.replica_of(&first);
        copy.replica_bootstrap_from_snapshot().unwrap();
        let mut below = last.replica_of(&middle);
        below.replica_bootstrap_from_snapshot().unwrap();
        catch_up(&below);
        copy.close().unwrap();
        let copy = middle.overwritten_by(&other);
        copy.replica_bootstrap_from_snapshot().unwrap();
        if opened_anew {
            below.close().unwrap();
            below = last.replica_of(&middle);
        }
        assert_eq!(below.replica_catch_up_once(9).unwrap_err().code(), ErrorCode::NeedsReseed);
        assert!(replica_status(&below).needs_reseed);
        graph.expect_all(&below);
    }
}
