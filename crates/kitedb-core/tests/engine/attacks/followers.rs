//! Who follows, and what is kept for them: known by what they are, not by where they lie, and only while it matters.

use super::{
    stage::{
        Stage, add_many, copy_database, nothing_said, open_and_add, primary, rename_database, replica, replica_of,
        segments, short_log,
    },
    support_replication::{
        Graph, Machine, catch_up, expect_error, expect_following, folder::sidecar_of, primary_status, replica_status,
    },
};
use kitedb_core::{
    Database, ErrorCode, HoldState, OpenOptions, ReplicaState, ReplicationRole, SyncMode,
    io::sim::{FaultOn, FaultPlan},
};
use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{FileExt, symlink},
    path::Path,
};

fn known(source: &Path) -> Vec<String> {
    let db = Database::open(source, primary().read_only(true)).unwrap();
    primary_status(&db).replica_lags.into_iter().map(|lag| lag.replica_id).collect()
}

/// What a replica knew of its registration was made anew, or is damaged: it is not forgotten that it may be registered.
#[test]
fn a_detached_replica_that_lost_what_it_knew_does_not_stay_registered_in_silence() {
    for (made_anew, lost) in [(true, "control"), (false, "source"), (false, "control")] {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let path = stage.replica("r.kitedb", &source);
        let id = known(&source).remove(0);
        fs::write(sidecar_of(&path).join(lost), "damaged").unwrap();
        if made_anew {
            Database::open(&path, replica()).unwrap().close().unwrap();
        }
        let detached = Database::detach(&path).unwrap();
        if made_anew {
            assert_eq!(detached.left_source.as_ref(), Some(&source), "{detached:?}");
            assert!(known(&source).is_empty());
            continue;
        }
        let still = detached.still_registered.expect("it is said");
        assert_eq!((still.replica_id, known(&source).len()), (id, 1), "{lost}");
        assert_eq!(still.source_db_path.is_some(), lost == "control");
    }
}

/// A copied replica has an id of its own. It keeps it when its control file is lost: under the id of its file reports the
/// replica that it was copied from, and what that one needs is kept.
#[test]
fn a_copied_replica_that_loses_its_control_file_keeps_its_id() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let (path, copied) = (stage.replica("r.kitedb", &source), stage.path("c.kitedb"));
    copy_database(&path, &copied);
    let follow = |path: &Path| {
        let db = Database::open(path, replica_of(&source)).unwrap();
        if replica_status(&db).needs_reseed {
            db.replica_reseed_from_snapshot().unwrap();
        }
        catch_up(&db);
        replica_status(&db).replica_id
    };
    let (first, own) = (follow(&path), follow(&copied));
    assert!(first != own);
    let both = known(&source);
    assert_eq!(both.len(), 2);
    for (key, damaged) in [("c", None), ("d", Some("damaged"))] {
        let control = sidecar_of(&copied).join("control");
        match damaged {
            None => fs::remove_file(&control).unwrap(),
            Some(text) => fs::write(&control, text).unwrap(),
        }
        open_and_add(&source, primary(), key).unwrap();
        assert_eq!(follow(&copied), own);
        assert_eq!(known(&source), both);
    }
}

/// A replica that is moved keeps its place, and the place that it left holds nothing.
#[test]
fn a_replica_that_is_moved_keeps_its_place() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let before = known(&source);
    let moved = stage.folder("elsewhere").join("moved.kitedb");
    rename_database(&path, &moved);
    open_and_add(&source, primary(), "c").unwrap();
    let db = Database::open(&moved, replica_of(&source)).unwrap();
    assert_eq!(catch_up(&db), 1);
    assert_eq!(known(&source), before);
    assert_eq!(before.len(), 1);
}

#[test]
fn a_replica_that_is_opened_through_a_link_keeps_its_place() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let before = known(&source);
    let link = stage.folder("links").join("r.kitedb");
    symlink(&path, &link).unwrap();
    open_and_add(&source, primary(), "c").unwrap();
    let db = Database::open(&link, replica_of(&source)).unwrap();
    assert_eq!(catch_up(&db), 1);
    assert_eq!(known(&source), before);
}

/// Wherever an id is shown short, the short one is taken.
#[test]
fn a_short_id_is_taken() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    stage.replica("r.kitedb", &source);
    let id = known(&source).remove(0);
    assert!(id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id} is no file id");
    let db = Database::open(&source, primary()).unwrap();
    assert!(!db.primary_remove_replica("ffffffffffffffff").unwrap());
    assert!(db.primary_remove_replica(&id[..8]).unwrap());
    assert_eq!(primary_status(&db).replica_lags.len(), 0);
}

/// After a failover the old primary follows. What its replicas had reported to it holds nothing any more.
#[test]
fn reports_of_an_epoch_that_ended_hold_nothing_on_a_node_that_follows() {
    let [a, b, c] = [("a", 1), ("b", 2), ("c", 3)].map(|(name, seed)| Machine::new(name, seed, SyncMode::Full));
    let (old, mut graph) = (a.primary(), Graph::new(1));
    graph.grow(&old, 5);
    let (new, other) = (b.replica_of(&a), c.replica_of(&a));
    catch_up(&new);
    catch_up(&other);
    new.replica_promote(false).unwrap();
    old.close().unwrap();
    other.close().unwrap();
    let lean = |machine: &Machine, source: &Machine| machine.following(source).replication_retention_min_entries(2);
    let demoted = a.open_replica_of(&b, lean(&a, &b)).unwrap();
    let other = c.open_replica_of(&b, lean(&c, &b)).unwrap();
    for _ in 0..6 {
        graph.grow(&new, 20);
        for db in [&demoted, &other] {
            catch_up(db);
            db.checkpoint().unwrap();
        }
    }
    assert!(c.segments().len() <= 4, "{} segments", c.segments().len());
    assert!(a.segments().len() <= 4, "{} segments", a.segments().len());
    expect_following(&demoted, &new);
}

/// A replica that is brought up to date now and then, by a process that ends, lets go of its own log, too.
#[test]
fn a_replica_that_follows_once_at_a_time_cuts_its_log() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    for round in 0..5 {
        let db = Database::open(&source, primary().sync_mode(SyncMode::Off)).unwrap();
        add_many(&db, &round.to_string(), 10);
        db.close().unwrap();
        let db = Database::open(&path, short_log(replica_of(&source))).unwrap();
        assert_eq!(catch_up(&db), 10);
        db.close().unwrap();
    }
    let left = segments(&sidecar_of(&path));
    assert!(left <= 12, "{left} segments after 52 commits");
}

#[test]
fn retention_runs_on_a_replica() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let db = Database::open(stage.path("r.kitedb"), short_log(replica_of(&source))).unwrap();
    catch_up(&db);
    for n in 0..10 {
        open_and_add(&source, primary(), &format!("{n}")).unwrap();
        catch_up(&db);
    }
    let before = segments(&sidecar_of(db.path()));
    let outcome = db.primary_run_retention().unwrap();
    assert!(outcome.pruned_segments > 0);
    assert_eq!(segments(&sidecar_of(db.path())) as u64, before as u64 - outcome.pruned_segments);
}

/// What a replica keeps, and for whom, is forgotten on a replica as on a primary.
#[test]
fn a_replica_forgets_who_followed_it() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let between = stage.replica("between.kitedb", &source);
    let last = stage.replica("last.kitedb", &between);
    let db = Database::open(&last, replica_of(&between)).unwrap();
    let id = replica_status(&db).replica_id;
    db.close().unwrap();
    let db = Database::open(&between, replica_of(&source)).unwrap();
    assert!(db.primary_remove_replica(&id).unwrap());
    assert!(!db.primary_remove_replica(&id).unwrap());
}

/// More replicas than the registry once had places for.
#[test]
fn two_hundred_replicas_are_known_and_held() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let db = Database::open(&source, short_log(primary())).unwrap();
    for n in 0..200 {
        db.primary_report_replica_progress(&format!("by hand {n}"), 1, 2).unwrap();
    }
    let path = stage.replica("r.kitedb", &source);
    assert_eq!(primary_status(&db).replica_lags.len(), 201);
    let follower = Database::open(&path, replica_of(&source)).unwrap();
    add_many(&db, "more", 5);
    db.primary_run_retention().unwrap();
    assert!(primary_status(&db).replica_lags.iter().all(|lag| lag.hold == HoldState::Held));
    assert_eq!(catch_up(&follower), 5);
}

/// The registry is full of those that are gone: a replica that has no place in it says so and does not look healthy.
#[test]
fn a_follower_that_is_not_registered_does_not_look_healthy() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let registry = sidecar_of(&source).join("replicas");
    fs::remove_file(&registry).unwrap();
    // Nothing can be made or written there.
    fs::create_dir(&registry).unwrap();
    let db = Database::open(&path, replica_of(&source)).unwrap();
    db.replica_catch_up_once(10).unwrap();
    let status = replica_status(&db);
    assert_eq!(
        (status.state, status.registered),
        (ReplicaState::Unregistered, false),
        "nobody knows of it: {status:?}"
    );
    assert!(status.last_error.as_ref().unwrap().contains("does not keep its log for this replica"), "{status:?}");
    let health = db.health_check().unwrap();
    assert!(!health.healthy && !health.check("replication").unwrap().passed, "{health:?}");
    let metrics = db.collect_metrics().unwrap().replication;
    assert_eq!(metrics.fault, status.fault());
    let replica = metrics.replica.unwrap();
    assert_eq!((replica.state, replica.registered), (ReplicaState::Unregistered, false));
    assert_eq!(replica.last_error, status.last_error);
}

/// A replica is told its source once.
#[test]
fn a_replica_is_told_its_source_once() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    open_and_add(&source, primary(), "c").unwrap();
    let look = |options: OpenOptions| {
        let db = Database::open(&path, options.read_only(true)).unwrap();
        replica_status(&db)
    };
    for options in [nothing_said(), replica()] {
        let status = look(options);
        assert_eq!((status.source_head_log_index, status.lag_frames), (3, 1));
        assert_eq!(status.role, ReplicationRole::Replica);
        assert_eq!(status.source_db_path.unwrap().file_name(), source.file_name());
    }
}

/// What never replicated, and a primary that leads and is to be overwritten, are opened as replicas, and do not follow.
#[test]
fn what_is_opened_as_a_replica_and_is_none_is_not_registered() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let (own, leading) = (stage.stand_alone("own.kitedb"), stage.leading("leading.kitedb"));
    for (path, options) in [(own, replica_of(&source)), (leading, replica_of(&source).replication_overwrite(true))] {
        let db = Database::open(&path, options).unwrap();
        assert_eq!(db.replica_catch_up_once(10).unwrap_err().code().as_str(), "NEEDS_RESEED");
        db.close().unwrap();
        assert_eq!(known(&source), [""; 0], "{}", path.display());
    }
}

/// What it is, and what does it to a registry.
type Loss = (&'static str, fn(&Path));

/// How a registry of replicas is lost, the one replica with it.
const LOSSES: [Loss; 6] = [
    ("zeros", |registry| fs::write(registry, vec![0; 65536]).unwrap()),
    ("noise", |registry| fs::write(registry, (0..65536u32).map(|n| ((n * n) >> 7) as u8).collect::<Vec<_>>()).unwrap()),
    ("short", |registry| fs::write(registry, "short").unwrap()),
    ("gone", |registry| fs::remove_file(registry).unwrap()),
    ("slot of zeros", |registry| overwrite(registry, 512, &[0; 512])),
    ("damaged id", |registry| overwrite(registry, 512 + 16, b"?")),
];

/// Without cutting the file: somebody may have it mapped.
fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

fn keeps_nothing(options: OpenOptions) -> OpenOptions {
    short_log(options).replication_retention_min_entries(0)
}

#[track_caller]
fn expect_lost(db: &Database) {
    let fault = primary_status(db).log_fault.expect("a fault in the status");
    let report = db.check().unwrap();
    assert!(report.damage.contains(&fault) && fault.contains("registry of replicas"), "{fault}, {report:?}");
}

#[track_caller]
fn expect_lets_nothing_go(db: &Database) {
    let before = segments(&sidecar_of(db.path()));
    let error = db.primary_run_retention().expect_err("retention without a registry");
    assert_eq!(error.code(), ErrorCode::RegistryLost, "{error:?}");
    assert!(error.to_string().contains("--replicas-complete"), "{error}");
    assert_eq!(segments(&sidecar_of(db.path())), before);
}

/// Retention would take a replica that nobody remembers for one that is not there.
#[test]
fn a_lost_registry_is_told_and_nothing_is_let_go_until_its_replicas_reported() {
    for (what, lose) in LOSSES {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let path = stage.replica("r.kitedb", &source);
        lose(&sidecar_of(&source).join("replicas"));
        expect_lost(&Database::open(&source, nothing_said().read_only(true)).unwrap());
        let db = Database::open(&source, keeps_nothing(primary())).unwrap();
        add_many(&db, what, 20);
        expect_lost(&db);
        expect_lets_nothing_go(&db);
        db.close().unwrap();
        expect_lost(&Database::open(&source, nothing_said().read_only(true)).unwrap());

        let db = Database::open(&source, keeps_nothing(primary())).unwrap();
        let replica = Database::open(&path, replica_of(&source)).unwrap();
        assert_eq!(catch_up(&replica), 20, "{what}");
        assert_eq!(primary_status(&db).log_fault, None, "{what}");
        assert!(db.check().unwrap().is_clean(), "{what}");
        assert!(db.primary_run_retention().unwrap().pruned_segments > 10, "{what}");
        expect_following(&replica, &db);
    }
}

/// A replica that others follow has a registry of its own: what is lost there is said in its status, its health and its
/// metrics.
#[test]
fn a_replica_whose_own_registry_is_lost_says_so() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    stage.replica("chained.kitedb", &path);
    fs::remove_file(sidecar_of(&path).join("replicas")).unwrap();
    for read_only in [true, false] {
        let db = Database::open(&path, replica_of(&source).read_only(read_only)).unwrap();
        let fault = replica_status(&db).log_fault.expect("it is told");
        assert!(fault.contains("kitedb replica status") && fault.contains("registry of replicas"), "{fault}");
        assert!(replica_status(&db).fault().unwrap().contains(&fault), "read-only {read_only}");
        assert!(!db.health_check().unwrap().healthy, "read-only {read_only}");
        assert!(db.collect_metrics().unwrap().replication.fault.unwrap().contains(&fault), "read-only {read_only}");
    }
    let db = Database::open(&source, nothing_said()).unwrap();
    assert!(db.health_check().unwrap().healthy);
    fs::remove_file(sidecar_of(&source).join("replicas")).unwrap();
    assert!(!db.health_check().unwrap().healthy);
}

/// The one that was lost does not come back, and another one comes: that those are all, its operator says.
#[test]
fn who_is_registered_after_a_loss_is_confirmed_by_the_operator() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    stage.replica("r.kitedb", &source);
    for (what, lose) in LOSSES {
        lose(&sidecar_of(&source).join("replicas"));
        let db = Database::open(&source, keeps_nothing(primary())).unwrap();
        let other = stage.replica(&format!("{what}.kitedb"), &source);
        add_many(&db, what, 9);
        expect_lost(&db);
        expect_lets_nothing_go(&db);
        Database::confirm_replicas_at(&source, &nothing_said()).unwrap();
        assert_eq!(primary_status(&db).log_fault, None, "{what}");
        db.primary_run_retention().unwrap();
        assert_eq!(catch_up(&Database::open(&other, replica_of(&source)).unwrap()), 9, "{what}");
        assert!(db.primary_run_retention().unwrap().pruned_segments > 0, "{what}");
        // The next loop loses one replica as well.
        for id in known(&source) {
            db.primary_remove_replica(&id).unwrap();
        }
        assert!(db.check().unwrap().is_clean(), "{what}");
        db.close().unwrap();
        stage.replica(&format!("{what} again.kitedb"), &source);
    }
    // Where no process has the database open, that also makes the file.
    fs::remove_file(sidecar_of(&source).join("replicas")).unwrap();
    Database::confirm_replicas_at(&source, &nothing_said()).unwrap();
    assert!(Database::open(&source, nothing_said().read_only(true)).unwrap().check().unwrap().is_clean());
}

/// It is removed, or overwritten, under a process that goes on.
#[test]
fn a_registry_that_is_lost_under_a_process_is_told_by_it() {
    let in_place: [fn(&Path); 3] = [
        |registry| fs::remove_file(registry).unwrap(),
        |registry| overwrite(registry, 0, &[0; 65536]),
        |registry| overwrite(registry, 512, &[0; 512]),
    ];
    for lose in in_place {
        let stage = Stage::new();
        let source = stage.leading("p.kitedb");
        let path = stage.replica("r.kitedb", &source);
        let db = Database::open(&source, keeps_nothing(primary())).unwrap();
        add_many(&db, "k", 20);
        lose(&sidecar_of(&source).join("replicas"));
        expect_lost(&db);
        expect_lets_nothing_go(&db);
        db.close().unwrap();
        let db = Database::open(&source, keeps_nothing(primary())).unwrap();
        expect_lets_nothing_go(&db);
        assert_eq!(catch_up(&Database::open(&path, replica_of(&source)).unwrap()), 20);
        assert!(db.primary_run_retention().unwrap().pruned_segments > 10);
    }
}

/// The byte cap lets go of a log whoever needs it, so that it does not fill the disk: also then.
#[test]
fn the_byte_cap_holds_without_a_registry() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    stage.replica("r.kitedb", &source);
    fs::remove_file(sidecar_of(&source).join("replicas")).unwrap();
    let db = Database::open(&source, keeps_nothing(primary()).replication_retention_max_bytes(1)).unwrap();
    add_many(&db, "k", 20);
    db.primary_run_retention().unwrap_err();
    assert!(segments(&sidecar_of(&source)) < 3);
}

/// Opened again it would look for the source that it has left.
#[test]
fn a_replica_that_cannot_remember_its_new_source_says_so() {
    let [a, b, c] = [("a", 1), ("b", 2), ("c", 3)].map(|(name, seed)| Machine::new(name, seed, SyncMode::Full));
    let (source, mut graph) = (a.primary(), Graph::new(1));
    graph.grow(&source, 5);
    let (middle, replica) = (b.replica_of(&a), c.replica_of(&a));
    catch_up(&middle);
    catch_up(&replica);
    replica.close().unwrap();
    let replica = c.replica_of(&b);
    c.disk.fail(FaultPlan::new(FaultOn::Name, 1, ErrorKind::Other).forever().on_path("source.creating"));
    catch_up(&replica);
    let told = replica_status(&replica);
    assert_eq!(told.state, ReplicaState::Stalled);
    assert!(told.fault().is_some_and(|fault| fault.contains("will not know")), "{told:?}");
    expect_error(replica.replica_reseed_from_snapshot(), ErrorCode::Io, "will not know");
    c.disk.clear_faults();
    catch_up(&replica);
    assert_eq!(replica_status(&replica).fault(), None);
    replica.close().unwrap();
    let replica = c.open(OpenOptions::new()).unwrap();
    assert_eq!(replica_status(&replica).source_db_path, Some(b.db()));
}

/// An older backup is put into the files of a primary, and a replica that is registered there has reported more: the primary says that
/// it lacks what that one has, before it takes other commits under those indexes.
#[test]
fn a_primary_that_lost_commits_which_a_replica_reported_says_so() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let registered = sidecar_of(&source).join("replicas");
    let backup = [(source.clone(), stage.path("old")), (sidecar_of(&source), stage.path("old.log"))];
    for (from, to) in &backup {
        assert!(std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    }
    open_and_add(&source, primary(), "lost").unwrap();
    assert_eq!(catch_up(&Database::open(&path, replica_of(&source)).unwrap()), 1);
    let fault = || primary_status(&Database::open(&source, primary().read_only(true)).unwrap()).log_fault;
    assert_eq!(fault(), None);
    let now = fs::read(&registered).unwrap();
    for (from, to) in &backup {
        let bytes = |path: &Path| fs::read(path).unwrap();
        match from.is_dir() {
            // In place, as a restore that knows no inodes does it.
            true => fs::read_dir(to).unwrap().map(|entry| entry.unwrap()).for_each(|entry| {
                fs::write(from.join(entry.file_name()), bytes(&entry.path())).unwrap();
            }),
            false => fs::write(from, bytes(to)).unwrap(),
        }
    }
    fs::write(&registered, now).unwrap();
    let said = fault().expect("it lost a commit");
    assert!(said.contains("r.kitedb") && said.contains("has reported 1:3"), "{said}");
    let db = Database::open(&source, primary()).unwrap();
    assert_eq!(primary_status(&db).log_fault, Some(said));
    // What the replica has is given up by name.
    assert!(db.primary_remove_replica(path.to_str().unwrap()).unwrap());
    assert_eq!(primary_status(&db).log_fault, None);
}
