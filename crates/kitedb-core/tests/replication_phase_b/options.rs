//! What opening in a role refuses, and what it says.

use crate::{
    support_process::code,
    support_replication::{Graph, Machine, expect_error},
};
use kitedb_core::{ErrorCode, OpenOptions, ReplicationRole, SingleFileOpenOptions, SyncMode, io::Disk};

fn machine() -> (Machine, Graph) {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(1));
    graph.grow(&db, 2);
    db.close().unwrap();
    (machine, graph)
}

#[test]
fn a_replica_needs_a_source_that_is_another_database() {
    let (machine, _) = machine();
    machine.disk.write("/file", b"no folder").unwrap();
    machine.disk.create_dir("/folder".as_ref()).unwrap();
    let options = || machine.options(ReplicationRole::Replica);
    let of = |path: &str| options().replication_source_db_path(path);
    let source = || of("/primary.kitedb");
    for (options, phrase) in [
        (options(), "source db path of a replica is not configured"),
        (of("/nowhere.kitedb"), "source db path does not exist"),
        (of("/folder"), "source db path must be a file"),
        (of("/replica.kitedb"), "source db path must differ"),
        (of("/./folder/../replica.kitedb"), "source db path must differ"),
        (source().replication_source_sidecar_path("/file"), "source sidecar path must be a directory"),
        (source().replication_sidecar_path("/primary.kitedb.replication"), "source sidecar path must differ"),
        (source().replication_source_sidecar_path("/replica.kitedb.replication"), "source sidecar path must differ"),
    ] {
        // The replica's own file is there in one round, and not yet in the other.
        for there in [true, false] {
            let probe = Machine { name: "replica", ..machine.clone() };
            if there {
                probe.open(probe.options(ReplicationRole::Disabled)).unwrap().close().unwrap();
            }
            if !there && phrase.contains("db path must differ") {
                continue;
            }
            expect_error(probe.open(options.clone()), ErrorCode::InvalidOption, phrase);
            assert_eq!(
                machine.disk.paths().contains(&probe.db()),
                there,
                "nothing is made for options that are refused"
            );
            if there {
                machine.disk.remove(&probe.db()).unwrap();
            }
        }
    }
}

#[test]
fn paths_are_compared_as_files_on_a_real_disk_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let primary =
        kitedb_core::Database::open(path("a.kitedb"), OpenOptions::new().replication_role(ReplicationRole::Primary))
            .unwrap();
    primary.transaction(|tx| tx.create_node(None)).unwrap();
    std::os::unix::fs::symlink(path("a.kitedb"), path("link.kitedb")).unwrap();
    std::os::unix::fs::symlink(path("a.kitedb.replication"), path("link.replication")).unwrap();
    let replica = OpenOptions::new().replication_role(ReplicationRole::Replica);
    let of_itself = replica.clone().replication_source_db_path(path("link.kitedb"));
    expect_error(
        kitedb_core::Database::open(path("a.kitedb"), of_itself),
        ErrorCode::InvalidOption,
        "source db path must differ",
    );
    let options =
        replica.replication_source_db_path(path("a.kitedb")).replication_sidecar_path(path("link.replication"));
    expect_error(
        kitedb_core::Database::open(path("b.kitedb"), options.clone()),
        ErrorCode::InvalidOption,
        "source sidecar path must differ",
    );
    let options = options.replication_sidecar_path(path("b.replication"));
    let replica = kitedb_core::Database::open(path("b.kitedb"), options).unwrap();
    assert_eq!(replica.replica_catch_up_once(10).unwrap(), 1);
}

/// Its absence shows at the first pull: it may be made later.
#[test]
fn a_source_without_a_sidecar_can_be_named() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let (db, mut graph) = (a.open(a.options(ReplicationRole::Disabled)).unwrap(), Graph::new(1));
    graph.grow(&db, 3);
    let replica = b.replica_of(&a);
    expect_error(
        replica.replica_catch_up_once(1),
        ErrorCode::SourceUnavailable,
        "primary.kitedb is a database of its own",
    );
    db.close().unwrap();
    let db = a.primary();
    graph.grow(&db, 1);
    assert_eq!(code(replica.replica_catch_up_once(1)), ErrorCode::NeedsReseed);
    replica.replica_bootstrap_from_snapshot().unwrap();
    graph.expect_all(&replica);
}

#[test]
fn options_of_another_role_are_taken_without_complaint() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let options = |role| {
        machine
            .options(role)
            .replication_source_db_path("/nowhere.kitedb")
            .replication_source_sidecar_path("/nowhere")
            .replication_retention_min_entries(0)
            .replication_retention_min_ms(0)
            .replication_segment_max_bytes(0)
            .replication_fail_after_append_for_testing(100)
    };
    let mut graph = Graph::new(1);
    for role in [ReplicationRole::Disabled, ReplicationRole::Primary] {
        let db = machine.open(options(role)).unwrap();
        graph.grow(&db, 3);
        graph.expect_all(&db);
        db.close().unwrap();
    }
}

#[test]
fn a_segment_that_no_memory_would_hold_is_refused() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    for role in [ReplicationRole::Disabled, ReplicationRole::Primary] {
        let error = machine.open(machine.options(role).replication_segment_max_bytes((1 << 30) + 1)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidOption, "{error}");
        assert!(error.to_string().contains("1 GiB"), "{error}");
        machine.open(machine.options(role).replication_segment_max_bytes(1 << 30)).unwrap().close().unwrap();
    }
}

#[test]
fn roles_have_exact_names() {
    for (role, name) in [
        (ReplicationRole::Disabled, "disabled"),
        (ReplicationRole::Primary, "primary"),
        (ReplicationRole::Replica, "replica"),
    ] {
        assert_eq!(role.as_str(), name);
        assert_eq!(name.parse::<ReplicationRole>().unwrap(), role);
    }
    assert_eq!(ReplicationRole::default(), ReplicationRole::Disabled);
    for bad in ["", "Primary", "primary ", "master", "0"] {
        expect_error(bad.parse::<ReplicationRole>(), ErrorCode::InvalidOption, "Invalid replication_role");
    }
    // The options have their name of before, too.
    let _: SingleFileOpenOptions = OpenOptions::new();
}

#[test]
fn an_open_database_is_shared_only_in_the_same_role() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let db = machine.primary();
    let disabled = machine.open(machine.options(ReplicationRole::Disabled));
    expect_error(disabled, ErrorCode::InvalidOption, "in primary role");
    let source = Machine::new("source", 2, SyncMode::Full);
    drop(source.primary());
    expect_error(machine.try_replica_of(&source), ErrorCode::InvalidOption, "in primary role");
    // Readers come beside it, whatever they say.
    drop(machine.open(machine.options(ReplicationRole::Primary).read_only(true)).unwrap());
    db.close().unwrap();
    drop(machine.open(machine.options(ReplicationRole::Disabled)).unwrap());
}

/// What is not said is as the first open said it.
#[test]
fn an_open_database_is_shared_only_with_options_that_do_not_contradict() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let options = || machine.options(ReplicationRole::Primary);
    let db =
        machine.open(options().replication_retention_min_entries(5).replication_retention_max_bytes(1 << 20)).unwrap();
    for (other, named) in [
        (options().replication_retention_min_entries(6), "replication_retention_min_entries"),
        (options().replication_retention_min_ms(1), "replication_retention_min_ms"),
        (options().replication_retention_max_bytes(1), "replication_retention_max_bytes"),
        (options().replication_retention_max_lag_ms(1), "replication_retention_max_lag_ms"),
        (options().replication_retention_interval_ms(1), "replication_retention_interval_ms"),
        (options().replication_segment_max_bytes(1 << 20), "replication_segment_max_bytes"),
        (options().replication_name("west"), "replication_name"),
        (options().replication_unregistered(true), "replication_unregistered"),
        (options().fence_wait_ms(2), "fence_wait_ms"),
        (options().max_pin_ms(1), "max_pin_ms"),
    ] {
        let opened = machine.open(other);
        assert!(opened.is_err(), "{named}");
        expect_error(opened, ErrorCode::InvalidOption, named);
    }
    for same in [options(), options().replication_retention_min_entries(5)] {
        machine.open(same).unwrap().close().unwrap();
    }
    db.close().unwrap();
    let next = machine.open(options().replication_retention_min_entries(6)).unwrap();
    next.close().unwrap();
}

#[test]
fn a_name_means_nothing_where_nobody_is_registered() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let options = machine.options(ReplicationRole::Replica).replication_name("west").replication_unregistered(true);
    expect_error(machine.open(options), ErrorCode::InvalidOption, "replication_name");
}

/// What only a replica has is not said in vain; a node that was promoted may keep its options where they do not say its role.
#[test]
fn what_is_said_of_a_replica_is_said_of_a_replica() {
    type Say = fn(OpenOptions) -> OpenOptions;
    let said: [(Say, &str); 2] = [
        (|o| o.replication_name("west"), "replication_name"),
        (|o| o.replication_unregistered(true), "replication_unregistered"),
    ];
    for (say, option) in said {
        for role in [ReplicationRole::Primary, ReplicationRole::Disabled] {
            let machine = Machine::new("contradicting", 1, SyncMode::Full);
            let refused = machine.open(say(machine.options(role)));
            expect_error(refused, ErrorCode::InvalidOption, &format!("{option} says something of a replica"));
            // Nothing is left of it.
            drop(machine.open(machine.options(role)).unwrap());
        }
    }
    let forgotten: [(OpenOptions, &str); 3] = [
        (OpenOptions::new().replication_source_db_path("/source.kitedb"), "replication_source_db_path"),
        (OpenOptions::new().replication_name("west"), "replication_name"),
        (OpenOptions::new().replication_unregistered(true), "replication_unregistered"),
    ];
    for (options, option) in forgotten {
        let machine = Machine::new("stand-alone", 1, SyncMode::Full);
        drop(Machine { name: "source", ..machine.clone() }.primary());
        let refuse = || {
            let refused = machine.open(options.clone());
            expect_error(refused, ErrorCode::InvalidOption, &format!("{option} says something of a replica"));
        };
        refuse();
        assert!(machine.open(OpenOptions::new().create_if_missing(false)).is_err(), "it made a file");
        machine.open(OpenOptions::new()).unwrap().close().unwrap();
        refuse();
    }
    let machine = Machine::new("primary", 1, SyncMode::Full);
    machine.open(machine.options(ReplicationRole::Primary)).unwrap().close().unwrap();
    machine.open(OpenOptions::new().replication_name("west")).unwrap().close().unwrap();
}

#[test]
fn a_read_only_primary_reads() {
    let (machine, graph) = machine();
    let db = machine.open(machine.options(ReplicationRole::Primary).read_only(true)).unwrap();
    graph.expect_all(&db);
    assert_eq!(code(db.begin()), ErrorCode::ReadOnly);
    for refused in [
        db.primary_promote_to_next_epoch().map(drop),
        db.primary_run_retention().map(drop),
        db.primary_report_replica_progress("r", 1, 1),
    ] {
        assert!(refused.is_err());
    }
    assert!(machine.disk.is_dir(&machine.sidecar()));
}
