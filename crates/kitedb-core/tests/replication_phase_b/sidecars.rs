//! Sidecars that are gone, of another database, or of another time: nothing is lost in silence.

use crate::support_replication::{Graph, MODES, Machine, catch_up, expect_error, primary_status};
use kitedb_core::{
    Database, ErrorCode, RepairOptions, ReplicationRole, SyncMode,
    io::{Disk, sim::Crash},
};
use std::path::Path;

fn remove(machine: &Machine, dir: &Path) {
    for name in machine.disk.list(dir).unwrap() {
        machine.disk.remove(&dir.join(name)).unwrap();
    }
    machine.disk.remove_dir(dir).unwrap();
}

fn files(machine: &Machine, dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = machine.disk.list(dir).unwrap().into_iter().map(|name| dir.join(name)).collect();
    all.sort();
    all.into_iter().map(|path| (path.clone(), machine.disk.read(&path).unwrap())).collect()
}

fn put_back(machine: &Machine, dir: &Path, files: &[(std::path::PathBuf, Vec<u8>)]) {
    remove(machine, dir);
    for (path, bytes) in files {
        machine.disk.write(dir.join(path.file_name().unwrap()), bytes).unwrap();
    }
}

fn read_only(machine: &Machine) -> Database {
    machine.open(machine.options(ReplicationRole::Disabled).read_only(true)).unwrap()
}

#[test]
fn a_sidecar_removed_from_a_closed_database_takes_no_commit_with_it() {
    for mode in MODES {
        let (a, b) = (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode));
        let (db, mut graph) = (a.primary(), Graph::new(1));
        graph.grow(&db, 6);
        let replica = b.replica_of(&a);
        catch_up(&replica);
        db.close().unwrap();
        remove(&a, &a.sidecar());
        // With the sidecar went its fence: who may have taken over cannot be told.
        let error = expect_error(a.try_primary(), ErrorCode::LogMismatch, "primary.kitedb.replication");
        assert!(error.to_string().contains("--moved"), "what to do: {error}");
        assert!(!a.disk.is_dir(&a.sidecar()), "no empty log is made for a file that had one");
        // It reads, and a check misses the log.
        assert_eq!(graph.expect(&read_only(&a)), graph.head());
        assert!(read_only(&a).check().unwrap().damage[0].contains("--moved"));
        // If it is lost for good, and nobody else leads for certain, another epoch begins.
        let led = Database::confirm_moved_in(a.env(), a.db(), a.options(ReplicationRole::Primary));
        expect_error(led, ErrorCode::LogMismatch, "only its log tells");
        let forced = a.options(ReplicationRole::Primary).replication_overwrite(true);
        assert_eq!(Database::confirm_moved_in(a.env(), a.db(), forced).unwrap().epoch, 2);
        let db = a.primary();
        graph.expect_all(&db);
        let status = primary_status(&db);
        assert_eq!((status.head_log_index, status.retained_floor, status.epoch), (6, 7, 2));
        let last = graph.commit(&db);
        assert_eq!((last.epoch.0, last.log_index.0), (2, 7));
        // A replica that has all that went is right where the new log begins.
        catch_up(&replica);
        graph.expect_all(&replica);
        db.close().unwrap();
        graph.expect_all(&a.primary());
    }
}

#[test]
fn a_sidecar_removed_from_a_database_that_was_killed_is_missed() {
    for mode in MODES {
        let machine = Machine::new("primary", 1, mode);
        let (db, mut graph) = (machine.primary(), Graph::new(1));
        graph.grow(&db, 3);
        db.checkpoint().unwrap();
        graph.grow(&db, 3);
        let machine = machine.restart(Crash::Kill);
        drop(db);
        let log = files(&machine, &machine.sidecar());
        remove(&machine, &machine.sidecar());
        for role in [ReplicationRole::Primary, ReplicationRole::Disabled] {
            let refused = machine.open(machine.options(role));
            if role == ReplicationRole::Disabled {
                expect_error(refused, ErrorCode::RoleMismatch, "a primary that leads");
                continue;
            }
            let error = expect_error(refused, ErrorCode::LogMismatch, "commits after log index 3");
            assert!(error.to_string().contains("primary.kitedb.replication"), "where they should be: {error}");
        }
        // Older data can be read.
        assert_eq!(graph.expect(&read_only(&machine)), 3);
        // Put back, everything is there.
        if machine.disk.is_dir(&machine.sidecar()) {
            remove(&machine, &machine.sidecar());
        }
        machine.disk.create_dir(&machine.sidecar()).unwrap();
        for (path, bytes) in &log {
            machine.disk.write(path, bytes).unwrap();
        }
        // What was put back is a copy.
        graph.expect_all(&machine.primary());
        Database::confirm_moved_in(machine.env(), machine.db(), machine.options(ReplicationRole::Primary)).unwrap();
        let db = machine.primary();
        graph.expect_all(&db);
        graph.commit(&db);
    }
}

#[test]
fn a_sidecar_of_another_database_is_refused() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("primary", 2, SyncMode::Full));
    let (mut graph, mut other) = (Graph::new(1), Graph::new(2));
    for (machine, graph) in [(&a, &mut graph), (&b, &mut other)] {
        let db = machine.primary();
        graph.grow(&db, 5);
        db.close().unwrap();
    }
    put_back(&a, &a.sidecar(), &files(&b, &b.sidecar()));
    expect_error(a.try_primary(), ErrorCode::LogMismatch, "another database");
    assert_eq!(graph.expect(&read_only(&a)), 5);
    // It is not touched either.
    put_back(&b, &b.sidecar(), &files(&a, &a.sidecar()));
    other.expect_all(&b.primary());
    assert!(b.primary().is_copied(), "what was put back is a copy");
}

/// A backup of the file alone, put back: the log knows better.
#[test]
fn a_file_older_than_its_log_is_refused_as_a_primary() {
    for mode in MODES {
        let (a, b) = (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode));
        let (db, mut graph) = (a.primary(), Graph::new(1));
        graph.grow(&db, 4);
        db.close().unwrap();
        let backup = a.disk.read(a.db()).unwrap();
        let db = a.primary();
        graph.grow(&db, 4);
        let replica = b.replica_of(&a);
        catch_up(&replica);
        db.close().unwrap();
        let newest = a.disk.read(a.db()).unwrap();
        a.disk.overwrite(a.db(), &backup).unwrap();
        let error = expect_error(a.try_primary(), ErrorCode::LogMismatch, "log index 4");
        assert!(error.to_string().contains("primary.kitedb.replication"), "{error}");
        assert_eq!(graph.expect(&read_only(&a)), 4);
        // The replica is not led astray meanwhile.
        graph.expect_all(&replica);
        a.disk.overwrite(a.db(), &newest).unwrap();
        let db = a.primary();
        graph.expect_all(&db);
        graph.grow(&db, 2);
        catch_up(&replica);
        graph.expect_all(&replica);
    }
}

/// The sidecar comes from a backup: it ends before the file does, and a new log begins once the old one is given up by name.
#[test]
fn a_sidecar_older_than_its_file_takes_no_commit_with_it() {
    for mode in MODES {
        let (a, b) = (Machine::new("primary", 1, mode), Machine::new("replica", 2, mode));
        let (db, mut graph) = (a.primary(), Graph::new(1));
        graph.grow(&db, 4);
        db.close().unwrap();
        let old = files(&a, &a.sidecar());
        let db = a.primary();
        graph.grow(&db, 4);
        let replica = b.replica_of(&a);
        catch_up(&replica);
        db.close().unwrap();
        put_back(&a, &a.sidecar(), &old);
        // What that one does not know, another node's promotion may be part of.
        let options = a.options(ReplicationRole::Primary);
        let moved = Database::confirm_moved_in(a.env(), a.db(), options.clone());
        expect_error(moved, ErrorCode::StalePrimary, "an older one was put back");
        let lead = || Database::confirm_moved_in(a.env(), a.db(), options.clone().replication_overwrite(true));
        expect_error(lead(), ErrorCode::Corrupt, "given up by name");
        let found = Database::repair_in(a.env(), a.db(), RepairOptions::new().dry_run(true)).unwrap();
        assert!(found.only_log_is_lost, "{found:?}");
        let given_up = RepairOptions::new().cut_at(found.asks_for.unwrap());
        Database::repair_in(a.env(), a.db(), given_up).unwrap();
        lead().unwrap();
        let db = a.primary();
        graph.grow(&db, 3);
        graph.expect_all(&db);
        catch_up(&replica);
        graph.expect_all(&replica);
        db.close().unwrap();
        graph.expect_all(&a.primary());
    }
}

/// A copy of the file reads, and becomes another database once its operator says so; the log stays with the original.
#[test]
fn a_copied_file_does_not_take_the_originals_log() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(1));
    graph.grow(&db, 5);
    db.close().unwrap();
    machine.disk.copy(machine.db(), "/copy.kitedb").unwrap();
    let copy = Database::open_in(machine.env(), "/copy.kitedb", machine.options(ReplicationRole::Primary)).unwrap();
    let mut of_copy = graph.clone();
    of_copy.expect_all(&copy);
    expect_error(copy.begin(), ErrorCode::FilesMoved, "detach");
    drop(copy);
    Database::detach_in(machine.env(), "/copy.kitedb", machine.options(ReplicationRole::Primary)).unwrap();
    let copy = Database::open_in(machine.env(), "/copy.kitedb", machine.options(ReplicationRole::Primary)).unwrap();
    of_copy.grow(&copy, 3);
    let db = machine.primary();
    graph.grow(&db, 2);
    graph.expect_all(&db);
    of_copy.expect_all(&copy);
}

#[test]
fn a_sidecar_may_lie_elsewhere() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let options = a.options(ReplicationRole::Primary).replication_sidecar_path("/logs");
    let (db, mut graph) = (a.open(options.clone()).unwrap(), Graph::new(1));
    graph.grow(&db, 5);
    assert_eq!(primary_status(&db).sidecar_path, Path::new("/logs"));
    assert!(a.disk.list(Path::new("/logs")).unwrap().iter().any(|name| name.starts_with("segment-")));
    assert!(!a.disk.is_dir(&a.sidecar()));
    let options_of_b = b.following(&a).replication_source_sidecar_path("/logs").replication_sidecar_path("/elsewhere");
    let replica = b.open_replica_of(&a, options_of_b).unwrap();
    catch_up(&replica);
    graph.expect_all(&replica);
    assert!(!b.disk.is_dir(&b.sidecar()));
    // Another sidecar for the same open database is refused.
    let other = a.options(ReplicationRole::Primary).replication_sidecar_path("/others");
    expect_error(a.open(other), ErrorCode::InvalidOption, "/logs");
    db.close().unwrap();
    graph.expect_all(&a.open(options).unwrap());
}
