//! What of its log a primary keeps: all of it until it is told otherwise.

use crate::support_replication::{
    Graph, Machine,
    folder::{Folder, commit_item, eventually, primary_options},
    primary_status,
};
use kitedb_core::{Database, ReplicationRole, SyncMode};

#[test]
fn nothing_goes_by_itself() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let options = machine.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
    let options = options.replication_retention_min_entries(0);
    let mut graph = Graph::new(1);
    for round in 1..=4 {
        let db = machine.open(options.clone()).unwrap();
        graph.grow(&db, 5);
        db.checkpoint().unwrap();
        assert_eq!((primary_status(&db).segments, primary_status(&db).retained_floor), (5 * round, 0));
        db.close().unwrap();
    }
    assert_eq!(machine.segments().len(), 20);
}

#[test]
fn it_goes_when_asked_for_and_the_floor_says_what_is_there() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let options = machine.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
    let options = options.replication_retention_min_entries(2);
    let (db, mut graph) = (machine.open(options.clone()).unwrap(), Graph::new(1));
    graph.grow(&db, 6);
    db.primary_report_replica_progress("r", 1, 2).unwrap();
    let outcome = db.primary_run_retention().unwrap();
    assert_eq!((outcome.pruned_segments, outcome.retained_floor), (2, 3));
    assert_eq!((primary_status(&db).retained_floor, machine.segments().len()), (3, 4));
    let outcome = db.primary_run_retention().unwrap();
    assert_eq!((outcome.pruned_segments, outcome.retained_floor), (0, 3));
    db.primary_report_replica_progress("r", 1, 6).unwrap();
    let outcome = db.primary_run_retention().unwrap();
    assert_eq!((outcome.pruned_segments, outcome.retained_floor), (1, 4));
    graph.expect_all(&db);
    // Nothing that recovery needs went.
    let killed = machine.restart(kitedb_core::io::sim::Crash::Kill);
    graph.expect_all(&killed.primary());
}

#[test]
fn by_default_a_thousand_frames_are_kept() {
    let machine = Machine::new("primary", 1, SyncMode::Off);
    let options = machine.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
    let db = machine.open(options).unwrap();
    for _ in 0..1030 {
        crate::commit(&db).unwrap();
    }
    let outcome = db.primary_run_retention().unwrap();
    assert_eq!((outcome.pruned_segments, outcome.retained_floor), (5, 6));
}

#[test]
fn on_a_cadence_it_goes_by_itself() {
    let folder = Folder::new();
    let options = primary_options(SyncMode::Off)
        .replication_segment_max_bytes(1)
        .replication_retention_min_entries(3)
        .replication_retention_interval_ms(5);
    let db = Database::open(folder.path("primary"), options).unwrap();
    for n in 1..=20 {
        commit_item(&db, "w", n).unwrap();
    }
    eventually("the log is cut", || primary_status(&db).retained_floor >= 17);
    assert_eq!(primary_status(&db).segments, 4);
    db.close().unwrap();
}
