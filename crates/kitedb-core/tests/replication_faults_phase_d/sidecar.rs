//! The primary's sidecar beside its segments: the control file and the registry of replicas.

use crate::support_replication::{
    Graph, Machine, catch_up, expect_error, expect_fenced, expect_following, primary_status, replica_status, write,
};
use kitedb_core::{
    Database, ErrorCode, ErrorKind, HoldState, OpenOptions, ReplicaState, ReplicationRole, SyncMode,
    io::{Disk, sim::Crash},
};

struct Scene {
    a: Machine,
    b: Machine,
    primary: Database,
    replica: Database,
    graph: Graph,
}

fn scene() -> Scene {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let (primary, mut graph) = (a.primary(), Graph::new(1));
    graph.grow(&primary, 6);
    let replica = b.replica_of(&a);
    assert_eq!(replica.replica_catch_up_once(4).unwrap(), 4);
    Scene { a, b, primary, replica, graph }
}

#[test]
fn a_registry_that_does_not_verify_is_made_anew_and_replicas_report_again() {
    for damage in ["magic", "slot", "short", "gone"] {
        let Scene { a, primary, replica, mut graph, .. } = scene();
        primary.close().unwrap();
        let registry = a.sidecar().join("replicas");
        match damage {
            "magic" => a.disk.corrupt(&registry, 3, 0x01).unwrap(),
            "slot" => (0..400).for_each(|at| a.disk.corrupt(&registry, 512 + at, 0x55).unwrap()),
            "short" => a.disk.write(&registry, b"short").unwrap(),
            _ => a.disk.remove(&registry).unwrap(),
        }
        let primary = a.primary();
        graph.grow(&primary, 2);
        catch_up(&replica);
        graph.expect_all(&replica);
        let lags = primary_status(&primary).replica_lags;
        // The replica has the old one open; it reports to the new one once it looks at its source anew.
        if lags.is_empty() {
            replica.replica_repoint("/nowhere", None).unwrap_err();
            replica.replica_reseed_from_snapshot().unwrap();
            catch_up(&replica);
        }
        let lags = primary_status(&primary).replica_lags;
        assert_eq!(lags.len(), 1, "{damage}");
        assert_eq!((lags[0].applied_log_index, lags[0].hold), (8, HoldState::Held), "{damage}");
        expect_following(&replica, &primary);
    }
}

/// A slot that a loss of power tore is free again, and nobody else's.
#[test]
fn one_torn_slot_does_not_take_the_others_along() {
    let Scene { a, primary, replica, .. } = scene();
    let id = replica_status(&replica).replica_id;
    for name in ["x", "y", "z"] {
        primary.primary_report_replica_progress(name, 1, 3).unwrap();
    }
    primary.close().unwrap();
    // The second slot's id.
    a.disk.corrupt(a.sidecar().join("replicas"), 2 * 512 + 16, 0x01).unwrap();
    let primary = a.primary();
    let ids: Vec<String> = primary_status(&primary).replica_lags.into_iter().map(|lag| lag.replica_id).collect();
    assert_eq!(ids, [id, "y".into(), "z".into()]);
    primary.primary_report_replica_progress("x", 1, 3).unwrap();
    assert_eq!(primary_status(&primary).replica_lags.len(), 4);
}

#[test]
fn more_replicas_than_there_is_room_for_are_refused_and_make_room_when_they_go() {
    let Scene { a, primary, .. } = scene();
    let mut told = None;
    for n in 0..5000 {
        if let Err(e) = primary.primary_report_replica_progress(&format!("replica {n}"), 1, 1) {
            told = Some((n, e));
            break;
        }
    }
    let (room, error) = told.expect("there is an end to it");
    // The replica of the scene has one of 4,095 places.
    assert_eq!(room, 4094);
    assert_eq!(primary_status(&primary).registration_limit, 4095);
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("remove"), "{error}");
    // A replica that comes too late follows, and says that nothing is kept for it.
    let late = Machine::new("late", 77, SyncMode::Full).replica_of(&a);
    catch_up(&late);
    let status = replica_status(&late);
    assert_eq!((status.state, status.registered), (ReplicaState::Unregistered, false));
    assert!(status.last_error.unwrap().contains("4095 replicas are registered already"));
    // Known ones still report.
    primary.primary_report_replica_progress("replica 0", 1, 2).unwrap();
    assert!(primary.primary_remove_replica("replica 7").unwrap());
    primary.primary_report_replica_progress("one more", 1, 1).unwrap();
    assert_eq!(primary_status(&primary).replica_lags.len(), room + 1);
}

/// Without a control file nobody can tell who leads: it does not open as if nothing were wrong, and damage is named.
#[test]
fn a_control_file_that_does_not_verify_is_named() {
    for at in [0, 8, 20, 40, 60, 64] {
        let Scene { a, primary, replica, graph, b } = scene();
        let a2 = a.restart(Crash::Kill);
        drop(primary);
        a2.disk.corrupt(a2.sidecar().join("control"), at, 0x40).unwrap();
        let error = expect_error(a2.try_primary(), ErrorCode::Corrupt, "control");
        assert_eq!(error.kind(), ErrorKind::Reseed);
        // It can be read, and its replica says what is wrong.
        let reader = a2.open(a2.options(ReplicationRole::Primary).read_only(true)).unwrap();
        graph.expect(&reader);
        replica.close().unwrap();
        let replica = b.replica_of(&a2);
        let error = replica.replica_catch_up_once(10).unwrap_err();
        assert!(error.to_string().contains("control"), "{error:?}");
        assert!(replica_status(&replica).last_error.is_some());
        // It takes over with what it has.
        assert!(replica.replica_promote(false).is_err());
        let promotion = replica.replica_promote(true).unwrap();
        assert_eq!((promotion.last_kept.log_index.0, promotion.source_fenced), (4, false));
        let mut graph = graph;
        graph.cut(4);
        graph.grow(&replica, 2);
        graph.expect_all(&replica);
    }
}

#[test]
fn a_control_file_that_is_gone_is_an_error_where_recovery_needs_it() {
    let Scene { a, primary, graph, .. } = scene();
    let a = a.restart(Crash::Kill);
    drop(primary);
    a.disk.remove(&a.sidecar().join("control")).unwrap();
    let error = a.try_primary().map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Reseed, "{error:?}");
    // What it holds is still there, and nothing was overwritten by the attempt.
    assert!(!a.segments().is_empty());
    let reader = a.open(a.options(ReplicationRole::Primary).read_only(true)).unwrap();
    graph.expect(&reader);
}

/// The whole sidecar is lost after a clean close: the file has everything. Who may have led since cannot be told, so
/// that its operator must say that it leads, and it begins another epoch; its replica goes on, or is told.
#[test]
fn a_sidecar_that_is_gone_after_a_clean_close_costs_an_epoch_and_no_commit() {
    for caught_up in [false, true] {
        let Scene { a, primary, replica, mut graph, b } = scene();
        if caught_up {
            catch_up(&replica);
        }
        replica.close().unwrap();
        primary.close().unwrap();
        for path in a.disk.paths().iter().filter(|path| path.starts_with(a.sidecar())) {
            a.disk.remove(path).unwrap();
        }
        a.disk.remove_dir(&a.sidecar()).unwrap();
        let error = a.try_primary().map(drop).unwrap_err();
        assert_eq!(error.code(), ErrorCode::LogMismatch, "{error:?}");
        // It reads, and a check misses the log.
        let reader = a.open(OpenOptions::new().read_only(true)).unwrap();
        assert_eq!(graph.expect(&reader), graph.head());
        assert!(reader.check().unwrap().damage[0].contains("--moved"));
        drop(reader);
        let forced = a.options(ReplicationRole::Primary).replication_overwrite(true);
        assert_eq!(Database::confirm_moved_in(a.env(), a.db(), forced).unwrap().epoch, 2);
        let primary = a.primary();
        graph.expect_all(&primary);
        graph.grow(&primary, 3);
        assert_eq!(primary_status(&primary).epoch, 2);
        let replica = b.replica_of(&a);
        match replica.replica_catch_up_once(100) {
            Ok(3) if caught_up => {}
            other => {
                expect_error(other, ErrorCode::NeedsReseed, "needs reseed");
                replica.replica_reseed_from_snapshot().unwrap();
            }
        }
        graph.expect_all(&replica);
        expect_following(&replica, &primary);
    }
}

/// Somebody else's folder in its place is refused, and named.
#[test]
fn a_sidecar_of_another_database_is_refused() {
    let Scene { a, primary, .. } = scene();
    primary.close().unwrap();
    let other = Machine { name: "other", ..a.clone() };
    let (stranger, mut strange) = (other.primary(), Graph::new(2));
    strange.grow(&stranger, 2);
    stranger.close().unwrap();
    let options = a.options(ReplicationRole::Primary).replication_sidecar_path(other.sidecar());
    let error = a.open(options).map(drop).unwrap_err();
    assert_eq!(error.code(), ErrorCode::LogMismatch, "{error:?}");
    // Nothing of it was touched.
    let stranger = other.primary();
    strange.expect_all(&stranger);
    write(&stranger).unwrap();
}

/// What fences a primary is not forgotten with the registry, a reopen, or a checkpoint.
#[test]
fn the_fence_outlives_everything_but_a_promotion() {
    let Scene { a, primary, replica, .. } = scene();
    replica.replica_promote(false).unwrap();
    expect_fenced(&primary);
    primary.close().unwrap();
    a.disk.remove(&a.sidecar().join("replicas")).unwrap();
    for _ in 0..3 {
        let primary = a.primary();
        expect_fenced(&primary);
        assert!(primary_status(&primary).fenced);
        primary.close().unwrap();
    }
    let a = a.restart(Crash::PowerLoss(kitedb_core::io::sim::Loss::LoseAllUnsynced));
    expect_fenced(&a.primary());
}
