//! A build that meets what a newer one wrote says so, `TOO_NEW`: it changes nothing, cuts nothing off, and takes none of it for
//! damage. The newer build goes on afterwards with all that it had.
//!
//! A simulated process is told which feature level its build knows: 2 is the newer one here.

use crate::support::world::stepped;
use crate::support_replication::{
    CRASHES, Graph, MODES, Machine, catch_up, digest, expect_error, expect_following, primary_status, replica_status,
    write,
};
use kitedb_core::{
    Database, ErrorCode, GraphRead, IndexOn, IndexSpec, IndexState, NodeId, RepairOptions, ReplicaState,
    ReplicationRole, Result, SyncMode, compare_deep,
    io::sim::{Crash, Loss},
    testing::DefineIndexes,
};
use kitedb_transport::TransportJson;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The machine of a process that was started anew, of a build that knows `level`.
fn started(machine: &Machine, level: u16, crash: Crash) -> Machine {
    let machine = machine.restart(crash);
    machine.host.set_feature_level(level);
    machine
}

/// Everything on its disk.
fn files(machine: &Machine) -> BTreeMap<PathBuf, Vec<u8>> {
    machine.disk.paths().into_iter().filter_map(|path| Some((path.clone(), machine.disk.read(path).ok()?))).collect()
}

#[track_caller]
fn expect_too_new<T>(result: Result<T>) {
    let error = expect_error(result, ErrorCode::TooNew, "feature level 2");
    let what = error.to_string();
    assert!(what.contains("up to level 1") && what.contains("use a newer KiteDB"), "{what}");
}

/// Whatever the older build is asked to do with the database of `machine`, it says `TOO_NEW`, and every byte stays.
#[track_caller]
fn expect_refused(machine: &Machine) {
    let before = files(machine);
    let (env, path) = (machine.env(), machine.db());
    expect_too_new(machine.as_it_is());
    expect_too_new(machine.try_primary());
    expect_too_new(machine.open(stepped(machine.mode).read_only(true)));
    // What it is, a file of the older build tells all the same.
    let as_replica = machine.try_replica_of(&Machine::new("elsewhere", 9, machine.mode)).unwrap_err();
    assert!(matches!(as_replica.code(), ErrorCode::TooNew | ErrorCode::RoleMismatch), "{as_replica:?}");
    expect_too_new(Database::repair_in(env.clone(), &path, RepairOptions::new().dry_run(true)));
    expect_too_new(Database::repair_in(env.clone(), &path, RepairOptions::new()));
    expect_too_new(Database::repair_in(env.clone(), &path, RepairOptions::new().cut_at("1:1".parse().unwrap())));
    expect_too_new(Database::detach_in(env, &path, stepped(machine.mode)));
    let after = files(machine);
    let changed: Vec<_> =
        before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path)).collect();
    assert!(changed.is_empty(), "changed: {changed:?}");
}

#[test]
fn a_file_that_a_newer_build_wrote_is_refused_and_left_alone() {
    for role in [ReplicationRole::Disabled, ReplicationRole::Primary] {
        let machine = Machine::new("node", 1, SyncMode::Full);
        let mut graph = Graph::new(1);
        let db = machine.open(machine.options(role)).unwrap();
        graph.grow(&db, 3);
        db.close().unwrap();
        // As long as nothing needs more, any build reads it.
        let newer = started(&machine, 1, Crash::Kill);
        let db = newer.as_it_is().unwrap();
        graph.expect_all(&db);
        db.close().unwrap();
        let newer = started(&newer, 2, Crash::Kill);
        let db = newer.as_it_is().unwrap();
        graph.grow(&db, 3);
        db.close().unwrap();
        let older = started(&newer, 1, Crash::Kill);
        expect_refused(&older);
        let newer = started(&older, 2, Crash::Kill);
        graph.expect_all(&newer.as_it_is().unwrap());
    }
}

#[test]
fn frames_that_a_newer_build_wrote_are_no_torn_tail_and_no_damage() {
    for (mode, crash) in MODES.into_iter().flat_map(|mode| CRASHES.map(|crash| (mode, crash))) {
        for role in [ReplicationRole::Disabled, ReplicationRole::Primary] {
            let machine = Machine::new("node", 2, mode);
            let mut graph = Graph::new(2);
            let db = machine.open(machine.options(role)).unwrap();
            graph.grow(&db, 2);
            db.checkpoint().unwrap();
            graph.commit(&db);
            // The file and the segment are of level 1; so are the frames up to here.
            let newer = started(&machine, 2, Crash::Kill);
            drop(db);
            let db = newer.as_it_is().unwrap();
            graph.commit(&db);
            let older = started(&newer, 1, crash);
            drop(db);
            let held = started(&older, 2, Crash::Kill);
            let last = {
                let db = held.open(stepped(mode).read_only(true)).unwrap();
                graph.expect(&db)
            };
            if last < graph.head() {
                // The power took it: it was not durable.
                assert!(mode != SyncMode::Full && crash != Crash::Kill, "{mode:?} {crash:?}");
                graph.cut(last);
                graph.expect_all(&started(&held, 1, Crash::Kill).as_it_is().unwrap());
                continue;
            }
            let older = started(&held, 1, Crash::Kill);
            expect_refused(&older);
            graph.expect_all(&started(&older, 2, Crash::Kill).as_it_is().unwrap());
        }
    }
}

/// Has the header of a segment say that what follows it needs `level`.
fn set_level(machine: &Machine, segment: &Path, level: u16) {
    let mut bytes = machine.disk.read(segment).unwrap();
    bytes[96..98].copy_from_slice(&level.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..124]);
    bytes[124..128].copy_from_slice(&crc.to_le_bytes());
    machine.disk.write(segment, &bytes).unwrap();
}

#[test]
fn a_segment_of_a_newer_build_is_told_from_one_whose_header_is_damaged() {
    let (machine, replica) = (Machine::new("node", 3, SyncMode::Full), Machine::new("replica", 4, SyncMode::Full));
    let mut graph = Graph::new(3);
    let db = machine.primary();
    graph.grow(&db, 30);
    let machine = started(&machine, 1, Crash::Kill);
    drop(db);
    let segments = machine.segments();
    for segment in [&segments[0], &segments[segments.len() / 2], &segments[segments.len() - 1]] {
        set_level(&machine, segment, 2);
        expect_refused(&machine);
        set_level(&machine, segment, 1);
    }
    let db = machine.primary();
    graph.expect_all(&db);
    // One that the file does not need any more, and a replica does.
    db.checkpoint().unwrap();
    set_level(&machine, &segments[0], 2);
    expect_too_new(db.check().map(drop));
    let follower = follow(&replica, &machine).unwrap();
    expect_too_new(follower.replica_catch_up_once(100));
    assert_eq!(replica_status(&follower).state, ReplicaState::TooNew);
    follower.replica_bootstrap_from_snapshot().unwrap();
    expect_following(&follower, &db);
}

/// A primary of the older build that a newer one opened after the replica had followed; the graph has what it committed.
fn upgraded_primary(seed: u64) -> (Machine, Machine, Database, Database, Graph) {
    let (primary, replica) =
        (Machine::new("primary", seed, SyncMode::Full), Machine::new("replica", seed + 1, SyncMode::Full));
    let mut graph = Graph::new(seed);
    let db = primary.primary();
    graph.grow(&db, 3);
    let follower = follow(&replica, &primary).unwrap();
    follower.replica_bootstrap_from_snapshot().unwrap();
    graph.grow(&db, 2);
    catch_up(&follower);
    let newer = started(&primary, 2, Crash::Kill);
    drop((db, follower));
    let db = newer.primary();
    graph.grow(&db, 2);
    let follower = follow(&replica, &newer).unwrap();
    (newer, replica, db, follower, graph)
}

/// As its process opens it: the source's files are read by the replica's own build.
fn follow(replica: &Machine, primary: &Machine) -> Result<Database> {
    Database::open_with_source_in(
        replica.env(),
        primary.disk.env(&replica.host),
        replica.db(),
        replica.following(primary),
    )
}

#[test]
fn a_replica_of_an_older_build_waits_for_its_upgrade_and_loses_nothing() {
    let (primary, replica, db, follower, mut graph) = upgraded_primary(4);
    for _ in 0..2 {
        expect_too_new(loop {
            // What it can read, it takes.
            match follower.replica_catch_up_once(1) {
                Ok(0) => panic!("it says that there is nothing more"),
                Ok(_) => {}
                Err(e) => break Err::<(), _>(e),
            }
        });
        let status = replica_status(&follower);
        assert_eq!((status.state, status.applied_log_index), (ReplicaState::TooNew, 5), "{status:?}");
        assert!(!status.needs_reseed && status.last_error.unwrap().contains("feature level 2"));
        assert_eq!(digest(&follower), graph.digests[5]);
    }
    // It takes nothing over: what it cannot read would be lost.
    expect_too_new(follower.replica_promote(false));
    assert!(primary_status(&db).epoch == 1 && write(&db).is_ok());
    graph.states.pop();
    drop((db, follower));
    // Its process is told of it after a restart, too.
    let replica = started(&replica, 1, Crash::Kill);
    let primary = started(&primary, 2, Crash::Kill);
    let db = primary.primary();
    let follower = follow(&replica, &primary).unwrap();
    assert_eq!(replica_status(&follower).state, ReplicaState::TooNew);
    expect_too_new(follower.replica_catch_up_once(100));
    drop(follower);
    let replica = started(&replica, 2, Crash::Kill);
    let follower = follow(&replica, &primary).unwrap();
    catch_up(&follower);
    expect_following(&follower, &db);
    assert!(compare_deep(&db, &follower).unwrap().equal.unwrap());
}

#[test]
fn an_offline_source_with_frames_of_a_newer_build_is_not_fenced_by_an_older_one() {
    let (primary, replica, db, follower, _) = upgraded_primary(5);
    let primary = started(&primary, 2, Crash::PowerLoss(Loss::KeepAll));
    drop((db, follower));
    let replica = started(&replica, 1, Crash::Kill);
    let follower = follow(&replica, &primary).unwrap();
    expect_too_new(follower.replica_promote(false));
    write(&primary.primary()).unwrap();
}

#[test]
fn a_bootstrap_from_a_newer_build_is_refused_and_leaves_what_was_there() {
    let (primary, replica, db, follower, _) = upgraded_primary(6);
    let before = digest(&follower);
    // Frames that it cannot read follow on a snapshot that it could.
    expect_too_new(follower.replica_reseed_from_snapshot());
    assert_eq!(digest(&follower), before);
    // Then the snapshot needs the level as well.
    db.checkpoint().unwrap();
    expect_too_new(follower.replica_reseed_from_snapshot());
    assert_eq!(digest(&follower), before);
    expect_too_new(follower.replica_catch_up_once(100));
    assert_eq!(replica_status(&follower).state, ReplicaState::TooNew);
    let other = Machine::new("other", 60, SyncMode::Full);
    let made = follow(&other, &primary).and_then(|db| db.replica_bootstrap_from_snapshot());
    expect_too_new(made);
    drop(follower);
    let replica = started(&replica, 2, Crash::Kill);
    let follower = follow(&replica, &primary).unwrap();
    catch_up(&follower);
    expect_following(&follower, &db);
}

#[test]
fn a_reader_beside_a_newer_writer_is_told_so() {
    let machine = Machine::new("node", 7, SyncMode::Full);
    let mut graph = Graph::new(7);
    let db = machine.primary();
    graph.grow(&db, 2);
    let newer = started(&machine, 2, Crash::Kill);
    drop(db);
    let db = newer.primary();
    graph.commit(&db);
    let reader = Machine { host: newer.host.process(), disk: newer.disk.process(), ..newer.clone() };
    expect_too_new(reader.open(stepped(SyncMode::Full).read_only(true)));
    graph.expect_all(&db);
}

#[test]
fn a_page_of_the_log_ends_before_what_its_build_cannot_read() {
    let machine = Machine::new("node", 8, SyncMode::Full);
    let db = machine.primary();
    write(&db).unwrap();
    machine.host.set_feature_level(2);
    drop(db);
    let newer = started(&machine, 2, Crash::Kill);
    let db = newer.primary();
    write(&db).unwrap();
    let page = |cursor: Option<&str>| db.primary_export_log_transport_json(cursor, 10, 1 << 20, true);
    assert!(page(None).unwrap().contains("\"log_index\":2"));
    newer.host.set_feature_level(1);
    let first = page(None).unwrap();
    assert!(first.contains("\"log_index\":1") && !first.contains("\"log_index\":2"), "{first}");
    expect_too_new(page(Some("1:0:0:2")));
}

#[test]
fn a_control_file_of_another_form_is_refused_by_number() {
    for (number, code) in [(1u64, ErrorCode::OldFormat), (3, ErrorCode::TooNew)] {
        let machine = Machine::new("node", 9, SyncMode::Full);
        let db = machine.primary();
        write(&db).unwrap();
        db.close().unwrap();
        let control = machine.sidecar().join("control");
        let mut bytes = machine.disk.read(&control).unwrap();
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..64]);
        bytes[64..68].copy_from_slice(&crc.to_le_bytes());
        machine.disk.write(&control, &bytes).unwrap();
        let before = files(&machine);
        for opened in [machine.as_it_is(), machine.try_primary()] {
            expect_error(opened, code, &format!("form {number}"));
        }
        expect_error(Database::repair_in(machine.env(), machine.db(), RepairOptions::new()), code, "form");
        assert!(files(&machine) == before);
    }
}

#[test]
fn definitions_of_indexes_outlive_what_a_database_goes_through() {
    let (primary, replica) = (Machine::new("primary", 10, SyncMode::Full), Machine::new("replica", 11, SyncMode::Full));
    let db = primary.primary();
    let email = IndexSpec::new(IndexOn::Label("Person".into()), "email").unique(true);
    let since = IndexSpec::new(IndexOn::EdgeType("KNOWS".into()), "since");
    db.transaction(|tx| tx.define_index("by email", &email)).unwrap();
    let before = db.snapshot().unwrap();
    let empty = digest(&db);
    db.transaction(|tx| tx.define_index("since", &since)).unwrap();
    let state = IndexState::EqualNodes([NodeId(7), NodeId(9)]);
    db.transaction(|tx| tx.set_index_state("by email", state)).unwrap();
    let shown = |db: &Database| {
        let indexes = db.indexes().unwrap();
        indexes.into_iter().map(|index| (index.id.0, index.name, index.spec, index.state)).collect::<Vec<_>>()
    };
    let expected = vec![
        (1, "by email".to_owned(), email.clone(), state),
        (2, "since".to_owned(), since.clone(), IndexState::Building),
    ];
    assert_eq!(shown(&db), expected);
    // A view has those of its time.
    assert!(before.indexes().len() == 1 && before.indexes()[0].state == IndexState::Building);
    // Doing it again changes nothing; doing otherwise is refused.
    let token = db.snapshot().unwrap().token();
    db.transaction(|tx| tx.define_index("since", &since)).unwrap();
    assert_eq!(db.snapshot().unwrap().token(), token);
    expect_error(db.transaction(|tx| tx.define_index("since", &email)), ErrorCode::InvalidArgument, "another name");
    // Two transactions that define, change or drop the same one.
    let (mut one, mut other) = (db.begin().unwrap(), db.begin().unwrap());
    one.define_index("third", &since).unwrap();
    other.define_index("third", &since).unwrap();
    one.commit().unwrap();
    expect_error(other.commit(), ErrorCode::Conflict, "index");
    let (mut one, mut other) = (db.begin().unwrap(), db.begin().unwrap());
    one.drop_index("third").unwrap();
    other.set_index_state("third", IndexState::Ready).unwrap();
    one.commit().unwrap();
    expect_error(other.commit(), ErrorCode::Conflict, "index");
    // Recovered, checkpointed, merged, followed, copied.
    drop((before, db));
    let primary = started(&primary, 1, Crash::PowerLoss(Loss::LoseAllUnsynced));
    let db = primary.primary();
    assert_eq!(shown(&db), expected);
    for _ in 0..3 {
        write(&db).unwrap();
        db.checkpoint().unwrap();
    }
    db.compact().unwrap();
    let follower = replica.replica_of(&primary);
    follower.replica_bootstrap_from_snapshot().unwrap();
    db.transaction(|tx| tx.set_index_state("since", IndexState::Ready)).unwrap();
    catch_up(&follower);
    expect_following(&follower, &db);
    assert_eq!(shown(&follower), shown(&db));
    for db in [&db, &follower] {
        let report = db.check().unwrap();
        assert!(report.is_clean(), "{report:#?}");
    }
    // An id is not given out again, and what is dropped leaves no trace in the digest.
    db.close().unwrap();
    let db = primary.primary();
    let with_both = digest(&db);
    db.transaction(|tx| tx.define_index("fourth", &email)).unwrap();
    assert!(shown(&db).last().unwrap().0 > 3 && digest(&db) != with_both);
    db.transaction(|tx| tx.drop_index("fourth")).unwrap();
    assert_eq!(digest(&db), with_both);
    assert_ne!(empty, with_both);
    db.close().unwrap();
    let alone = Database::detach_in(primary.env(), primary.db(), stepped(SyncMode::Full));
    drop(alone);
    let db = primary.as_it_is().unwrap();
    assert_eq!(shown(&db), shown(&follower));
}

/// What changes nothing is not validated, so that it must not be in the frame: there it would find the index gone.
#[test]
fn a_state_that_an_index_has_already_is_not_logged() {
    let (primary, replica) = (Machine::new("primary", 15, SyncMode::Full), Machine::new("replica", 16, SyncMode::Full));
    let db = primary.primary();
    let follower = replica.replica_of(&primary);
    let spec = IndexSpec::new(IndexOn::Label("Person".into()), "email");
    db.transaction(|tx| tx.define_index("one", &spec)).unwrap();
    let (mut one, mut other) = (db.begin().unwrap(), db.begin().unwrap());
    one.drop_index("one").unwrap();
    other.set_index_state("one", IndexState::Building).unwrap();
    other.create_node(Some("beside")).unwrap();
    one.commit().unwrap();
    other.commit().unwrap();
    catch_up(&follower);
    expect_following(&follower, &db);
    drop(db);
    let db = started(&primary, 1, Crash::Kill).primary();
    assert!(db.indexes().unwrap().is_empty());
    assert!(db.snapshot().unwrap().node_by_key("beside").unwrap().is_some());
}

#[test]
fn what_a_transaction_took_back_of_definitions_is_not_logged() {
    let (primary, replica) = (Machine::new("primary", 13, SyncMode::Full), Machine::new("replica", 14, SyncMode::Full));
    let db = primary.primary();
    let follower = replica.replica_of(&primary);
    let one = IndexSpec::new(IndexOn::Label("Person".into()), "email");
    let other = IndexSpec::new(IndexOn::EdgeType("KNOWS".into()), "since");
    db.transaction(|tx| tx.define_index("kept", &one)).unwrap();
    let before = db.indexes().unwrap();
    db.transaction(|tx| {
        tx.create_node(Some("node"))?;
        tx.define_index("gone", &other)?;
        tx.set_index_state("gone", IndexState::Ready)?;
        tx.drop_index("gone")
    })
    .unwrap();
    assert_eq!(db.indexes().unwrap(), before);
    // Another one under the same name, in one commit in which something else came and went.
    db.transaction(|tx| {
        tx.drop_index("kept")?;
        tx.define_index("kept", &other)?;
        tx.set_index_state("kept", IndexState::Ready)?;
        tx.define_index("gone", &one)?;
        tx.drop_index("gone")
    })
    .unwrap();
    let [now] = db.indexes().unwrap().try_into().unwrap();
    assert!(now.id > before[0].id && now.spec == other && now.state == IndexState::Ready, "{now:?}");
    for name in ["gone", "never there"] {
        expect_error(db.transaction(|tx| tx.drop_index(name)), ErrorCode::InvalidArgument, name);
        let set = db.transaction(|tx| tx.set_index_state(name, IndexState::Ready));
        expect_error(set, ErrorCode::InvalidArgument, name);
    }
    catch_up(&follower);
    expect_following(&follower, &db);
    assert_eq!(follower.indexes().unwrap(), std::slice::from_ref(&now));
    drop(db);
    let db = started(&primary, 1, Crash::Kill).primary();
    assert_eq!(db.indexes().unwrap(), [now]);
    assert!(db.check().unwrap().is_clean());
}

#[test]
fn a_comparison_names_the_definition_that_differs() {
    let (one, other) = (Machine::new("one", 12, SyncMode::Full), Machine::new("other", 12, SyncMode::Full));
    let dbs = [&one, &other].map(Machine::primary);
    let spec = IndexSpec::new(IndexOn::Label("Person".into()), "email");
    for (db, unique) in dbs.iter().zip([false, true]) {
        db.transaction(|tx| tx.define_index("by email", &spec.clone().unique(unique))).unwrap();
    }
    let [a, b] = &dbs;
    let found = kitedb_core::compare(a, b).unwrap();
    assert_eq!(found.equal, Some(false));
    let told: Vec<_> = found.differences.iter().map(|d| (d.element.to_string(), d.parts.clone())).collect();
    assert_eq!(told, [("index 1 (by email)".to_owned(), vec!["definition".to_owned()])]);
}
