//! Databases in memory: the same engine, no file, no replication.

use crate::support::{
    Rng, for_seeds,
    world::{World, stepped},
};
use kitedb_core::{Database, ErrorCode, GraphRead, OpenOptions, ReplicationRole, SyncMode, io::Env};
use std::{fs, path::Path};

#[test]
fn each_open_is_another_database() {
    let [one, two, three] = [
        Database::in_memory().unwrap(),
        Database::open(":memory:", OpenOptions::new()).unwrap(),
        Database::open(Path::new(":memory:"), OpenOptions::new()).unwrap(),
    ];
    one.transaction(|tx| tx.create_node(Some("a"))).unwrap();
    let clone = one.clone();
    assert_eq!(clone.snapshot().unwrap().count_nodes(), 1);
    for other in [&two, &three] {
        assert_eq!(other.snapshot().unwrap().count_nodes(), 0);
        other.transaction(|tx| tx.create_node(Some("a"))).unwrap();
    }
    assert_eq!(one.path(), Path::new(":memory:"));
    assert_eq!(one.replication_role(), ReplicationRole::Disabled);
    for db in [one, two, three] {
        db.close().unwrap();
    }
    assert_eq!(clone.snapshot().unwrap_err().code(), ErrorCode::Closed);
}

#[test]
fn it_leaves_no_file() {
    let before: Vec<_> = fs::read_dir(".").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    for mode in [SyncMode::Full, SyncMode::Normal, SyncMode::Off] {
        let db = Database::in_memory_with(OpenOptions::new().sync_mode(mode)).unwrap();
        db.transaction(|tx| tx.create_node(Some("a"))).unwrap();
        db.checkpoint().unwrap();
        assert!(!Path::new(":memory:").exists());
        db.close().unwrap();
    }
    let after: Vec<_> = fs::read_dir(".").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(before, after);
}

/// A file of that name has a path that says so.
#[test]
fn a_file_of_that_name_is_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(":memory:");
    let db = Database::open(&path, OpenOptions::new()).unwrap();
    db.transaction(|tx| tx.create_node(Some("a"))).unwrap();
    db.close().unwrap();
    assert!(path.is_file());
    assert_eq!(Database::open(&path, OpenOptions::new()).unwrap().snapshot().unwrap().count_nodes(), 1);
}

#[test]
fn an_option_that_means_nothing_there_is_refused_by_its_name() {
    let new = OpenOptions::new;
    for (options, name) in [
        (new().replication_role(ReplicationRole::Primary), "replication_role"),
        (new().replication_role(ReplicationRole::Replica).replication_source_db_path("/a.kitedb"), "replication_role"),
        (new().replication_source_db_path("/a.kitedb"), "replication_source_db_path"),
        (new().replication_source_sidecar_path("/a"), "replication_source_sidecar_path"),
        (new().replication_sidecar_path("/a"), "replication_sidecar_path"),
        (new().replication_overwrite(true), "replication_overwrite"),
        (new().replication_segment_max_bytes(1), "replication_segment_max_bytes"),
        (new().replication_retention_min_entries(5), "replication_retention"),
        (new().replication_retention_interval_ms(5), "replication_retention"),
        (new().replication_name("a"), "replication_name"),
        (new().replication_unregistered(true), "replication_unregistered"),
        (new().read_only(true), "read_only"),
        (new().create_if_missing(false), "create_if_missing"),
    ] {
        for error in
            [Database::in_memory_with(options.clone()).unwrap_err(), Database::open(":memory:", options).unwrap_err()]
        {
            assert_eq!(error.code(), ErrorCode::InvalidOption, "{error:?}");
            assert!(error.to_string().contains(name) && error.to_string().contains(":memory:"), "{name}: {error}");
        }
    }
    Database::in_memory_with(new().replication_role(ReplicationRole::Disabled)).unwrap();
    // As for a file.
    assert_eq!(Database::in_memory_with(new().max_runs(1)).unwrap_err().code(), ErrorCode::InvalidOption);
}

#[test]
fn calls_of_replication_are_refused_as_in_a_file_without_a_role() {
    let db = Database::in_memory().unwrap();
    db.transaction(|tx| tx.create_node(Some("a"))).unwrap();
    assert_eq!(db.primary_promote_to_next_epoch().unwrap_err().code(), ErrorCode::NotPrimary);
    assert_eq!(db.replica_catch_up_once(10).unwrap_err().code(), ErrorCode::NotReplica);
    assert!(db.replica_replication_status().unwrap().is_none());
    // No other call finds it by its name.
    let error = Database::repair(":memory:", Default::default()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidOption, "{error:?}");
    assert_eq!(Database::detach(":memory:").unwrap_err().code(), ErrorCode::InvalidOption);
}

/// All that the engine does, beside the naive model; the disk is kept, so that it can be opened again.
#[test]
fn it_is_the_graph_of_the_model() {
    for_seeds("engine", "in_memory::it_is_the_graph_of_the_model", 12, |seed| {
        let mode = [SyncMode::Full, SyncMode::Normal, SyncMode::Off][seed as usize % 3];
        let mut rng = Rng::new(seed);
        let mut world = World::new(Env::in_memory(), Path::new(":memory:"), stepped(mode));
        world.define_names();
        for _ in 0..60 {
            world.step(&rng.step(40));
        }
        world.finish();
    });
}

#[test]
fn a_view_outlives_its_database() {
    let db = Database::in_memory_with(OpenOptions::new().background(false)).unwrap();
    let nodes =
        db.transaction(|tx| (0..500).map(|n| tx.create_node(Some(&format!("{n}")))).collect::<Result<Vec<_>, _>>());
    let nodes = nodes.unwrap();
    db.compact().unwrap();
    db.transaction(|tx| tx.delete_node(nodes[0])).unwrap();
    let view = db.snapshot().unwrap();
    db.close().unwrap();
    assert_eq!(view.count_nodes(), 499);
    assert_eq!(view.node_by_key("7").unwrap(), Some(nodes[7]));
    assert!(nodes[1..].iter().all(|node| view.node_exists(*node).unwrap()));
}

/// Threads that work in the background do so, and a thousand of them are no burden.
#[test]
fn a_thousand_are_open_together() {
    let all: Vec<Database> = (0..1000).map(|_| Database::in_memory().unwrap()).collect();
    for (n, db) in all.iter().enumerate().step_by(100) {
        db.transaction(|tx| tx.create_node(Some(&format!("{n}")))).unwrap();
        db.checkpoint().unwrap();
        assert!(db.check().unwrap().is_clean());
    }
    for (n, db) in all.iter().enumerate() {
        assert_eq!(db.snapshot().unwrap().count_nodes(), u64::from(n % 100 == 0));
    }
}
