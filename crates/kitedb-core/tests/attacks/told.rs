//! What a replica says while nobody pulls for it, while it cannot get on, and while others do what concerns it.

use crate::{
    stage::{Stage, add, add_many, primary, replica_of, short_log},
    support_replication::{catch_up, folder::eventually as until, replica_status},
};
use kitedb_core::{Database, FollowerOptions, OpenOptions, ReplicaReplicationStatus, ReplicaState};
use std::path::Path;

/// What `db` says of itself; its health, its metrics and its status agree, where no follower moved on between the looks.
#[track_caller]
fn told(db: &Database) -> ReplicaReplicationStatus {
    // With what it has: it may be behind, and have caught up, between two looks that are alike else.
    let seen =
        |status: &ReplicaReplicationStatus| (status.state, status.lag_frames, status.applied_log_index, status.fault());
    loop {
        let status = replica_status(db);
        let health = db.health_check().unwrap();
        let metrics = db.collect_metrics().unwrap().replication;
        if seen(&replica_status(db)) != seen(&status) {
            continue;
        }
        assert_eq!(health.healthy, status.fault().is_none(), "{health:?}, {status:?}");
        assert_eq!(metrics.fault, status.fault());
        let replica = metrics.replica.unwrap();
        assert_eq!((replica.state, replica.lag_frames), (status.state, status.lag_frames));
        return status;
    }
}

#[track_caller]
fn looked(path: &Path) -> ReplicaReplicationStatus {
    told(&Database::open(path, OpenOptions::new().read_only(true)).unwrap())
}

fn follow(path: &Path, source: &Path) -> Database {
    let db = Database::open(path, replica_of(source)).unwrap();
    catch_up(&db);
    db.start_follower(FollowerOptions::default()).unwrap();
    until("it follows", || replica_status(&db).state == ReplicaState::Following);
    db
}

/// Nobody pulls for it, in the process that has it open: its source goes on all the same, and it says so.
#[test]
fn a_replica_without_a_follower_says_how_far_behind_it_is() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let leader = Database::open(&source, primary()).unwrap();
    let stopped = follow(&path, &source);
    stopped.stop_follower().unwrap();
    assert_eq!(told(&stopped).state, ReplicaState::Following);
    add_many(&leader, "more", 3);
    let status = told(&stopped);
    assert_eq!((status.state, status.lag_frames, status.source_head_log_index), (ReplicaState::Behind, 3, 5));
    assert!(!status.follower_running);
    let since = status.state_since_ms;
    add(&leader, "and more").unwrap();
    let status = told(&stopped);
    assert_eq!((status.lag_frames, status.state_since_ms), (4, since), "it is behind since it was first");
    catch_up(&stopped);
    assert_eq!((told(&stopped).state, told(&stopped).lag_frames), (ReplicaState::Following, 0));
    stopped.close().unwrap();

    add(&leader, "while it was closed").unwrap();
    let never_started = Database::open(&path, replica_of(&source)).unwrap();
    let status = told(&never_started);
    assert_eq!((status.state, status.lag_frames), (ReplicaState::Behind, 1));
}

/// It holds nothing, and nobody is at it.
#[test]
fn a_replica_that_was_never_bootstrapped_says_so() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.path("r.kitedb");
    let db = Database::open(&path, replica_of(&source)).unwrap();
    let status = told(&db);
    assert_eq!((status.state, status.lag_frames, status.needs_reseed), (ReplicaState::Bootstrapping, 2, false));
    assert!(status.fault().unwrap().contains("kitedb replica bootstrap"), "{status:?}");
    db.replica_bootstrap_from_snapshot().unwrap();
    let status = told(&db);
    assert_eq!((status.state, status.fault()), (ReplicaState::Following, None));
}

/// The replica in the midst was left behind by its source. Its follower runs and so does that of who follows it; both say so,
/// from the moment on at which it can be seen.
#[test]
fn a_replica_of_a_replica_that_cannot_go_on_says_so_while_both_follow() {
    let stage = Stage::new();
    let source = stage.closed("p.kitedb", short_log(primary()), &["a", "b"]);
    let (b, c) = (stage.replica("b.kitedb", &source), stage.path("c.kitedb"));
    stage.replica("c.kitedb", &b);
    let leader = Database::open(&source, short_log(primary()).replication_retention_max_bytes(1)).unwrap();
    add_many(&leader, "more", 20);
    leader.primary_run_retention().unwrap();
    for seen in [looked(&c), looked(&b)] {
        let kind = seen.source_fault.as_ref().map(|fault| fault.kind());
        assert!(matches!(kind, Some("halted" | "lost")), "before a pull is tried: {seen:?}");
    }
    let between = Database::open(&b, replica_of(&source)).unwrap();
    between.start_follower(FollowerOptions::default()).unwrap();
    until("it needs a reseed", || replica_status(&between).needs_reseed);
    let last = Database::open(&c, replica_of(&b)).unwrap();
    catch_up(&last);
    last.start_follower(FollowerOptions::default()).unwrap();
    let status = told(&last);
    assert_eq!(status.state, ReplicaState::Orphaned, "{status:?}");
    let fault = status.fault().unwrap();
    assert!(fault.contains("b.kitedb") && fault.contains("does not go on"), "{fault}");
    assert_eq!(looked(&c).state, ReplicaState::Orphaned);
    // Mended, it leads on, and has no log of before.
    between.replica_reseed_from_snapshot().unwrap();
    last.replica_reseed_from_snapshot().unwrap();
    let status = told(&last);
    assert_eq!((status.fault(), status.applied_log_index), (None, 22));
}

/// It was removed at its source, by mistake, while it follows. Nothing is kept for it until it looks again.
#[test]
fn a_replica_that_is_removed_while_it_follows_says_so() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let db = follow(&path, &source);
    let leader = Database::open(&source, primary()).unwrap();
    // The session of the primary that begins wakes the follower.
    until("it has reported to that session", || replica_status(&db).registered);
    // A report that was under way may come after the removal, and registers it again.
    until("it and who looks at it say that it was removed", || {
        leader.primary_remove_replica(&replica_status(&db).replica_id).unwrap();
        let (status, seen) = (replica_status(&db), looked(&path));
        let both = status.state == ReplicaState::Unregistered && seen.state == status.state;
        let told = status.fault().is_some_and(|fault| fault.contains("was removed there"));
        both && told && !status.registered && seen.fault() == status.fault()
    });
    add(&leader, "more").unwrap();
    until("it is registered again", || {
        let status = replica_status(&db);
        status.registered && status.state == ReplicaState::Following
    });
    assert_eq!(told(&db).fault(), None);
}

/// What is not to be registered leaves its source, which keeps nothing for it then.
#[test]
fn a_replica_that_goes_on_unregistered_is_registered_no_more() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let path = stage.replica("r.kitedb", &source);
    let known = || {
        let db = Database::open(&source, primary().read_only(true)).unwrap();
        db.primary_replication_status().unwrap().unwrap().replica_lags.len()
    };
    assert_eq!(known(), 1);
    let db = Database::open(&path, replica_of(&source).replication_unregistered(true)).unwrap();
    catch_up(&db);
    let status = told(&db);
    assert_eq!((known(), status.registered, status.fault()), (0, false, None), "{status:?}");
    db.close().unwrap();
    assert!(!looked(&path).registered);
    let db = Database::open(&path, replica_of(&source)).unwrap();
    catch_up(&db);
    assert_eq!((known(), told(&db).registered), (1, true));
}
