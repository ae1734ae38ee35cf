//! Who follows, and what is kept for them: known by what they are, not by where they lie, and only while it matters.

use crate::{
    stage::{
        Stage, add_many, nothing_said, open_and_add, primary, rename_database, replica, replica_of, segments, short_log,
    },
    support_replication::{Graph, Machine, catch_up, expect_following, folder::sidecar_of, primary_status},
};
use kitedb_core::{Database, HoldState, OpenOptions, ReplicationRole, SyncMode};
use std::{os::unix::fs::symlink, path::Path};

fn known(source: &Path) -> Vec<String> {
    let db = Database::open(source, primary().read_only(true)).unwrap();
    primary_status(&db).replica_lags.into_iter().map(|lag| lag.replica_id).collect()
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
    let id = crate::support_replication::replica_status(&db).replica_id;
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
    std::fs::remove_file(&registry).unwrap();
    // Nothing can be made or written there.
    std::fs::create_dir(&registry).unwrap();
    let db = Database::open(&path, replica_of(&source)).unwrap();
    let caught_up = db.replica_catch_up_once(10);
    let status = crate::support_replication::replica_status(&db);
    assert!(
        caught_up.is_err() || status.last_error.is_some(),
        "nobody knows of it, and it says {:?}",
        status.state.as_str()
    );
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
        crate::support_replication::replica_status(&db)
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
