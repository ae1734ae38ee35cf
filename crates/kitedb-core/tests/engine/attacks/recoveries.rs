//! A recovery is cut short, and somebody looks before the next one.

use super::support_replication::{CRASHES, Graph, Machine, catch_up, write};
use kitedb_core::{
    ReplicationRole, SyncMode,
    io::sim::{Crash, FaultOn, FaultPlan},
};
use std::io;

/// A recovery that writes frames again whose sync had failed is cut short wherever it is: who reads, or checks, before the next
/// open for writing finds all that there was, and no damage.
#[test]
fn a_recovery_that_is_cut_short_looks_damaged_to_nobody() {
    for (role, nth) in [ReplicationRole::Primary, ReplicationRole::Replica]
        .into_iter()
        .flat_map(|role| (1..60).map(move |nth| (role, nth)))
    {
        let (source, node) = (Machine::new("source", 1, SyncMode::Full), Machine::new("node", 2, SyncMode::Full));
        let (db, mut graph) = (source.primary(), Graph::new(nth));
        let failing = if role == ReplicationRole::Primary { &source } else { &node };
        let replica = node.replica_of(&source);
        graph.grow(&db, 3);
        catch_up(&replica);
        failing.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).on_path(".klog"));
        if role == ReplicationRole::Primary {
            graph.try_commit(&db).unwrap_err();
        } else {
            graph.grow(&db, 1);
            replica.replica_catch_up_once(10).unwrap_err();
        }
        let killed = failing.restart(Crash::Kill);
        killed.disk.fail(FaultPlan::new(FaultOn::Any, nth, io::ErrorKind::Other).forever());
        let open = |machine: &Machine| match role {
            ReplicationRole::Replica => machine.open_replica_of(&source, machine.following(&source)),
            _ => machine.try_primary(),
        };
        let opened = open(&killed).map(drop);
        let cut_short = killed.restart(Crash::Kill);
        let reader = cut_short.open(cut_short.options(role).read_only(true)).unwrap();
        assert!(reader.damage().is_none(), "{role:?} {nth}: {:?} after {opened:?}", reader.damage());
        let report = reader.check().unwrap();
        assert!(report.is_clean(), "{role:?} {nth}: {report:?} after {opened:?}");
        let told = match role {
            ReplicationRole::Replica => reader.replica_replication_status().unwrap().unwrap().log_fault,
            _ => reader.primary_replication_status().unwrap().unwrap().log_fault,
        };
        assert_eq!(told, None, "{role:?} {nth} after {opened:?}");
        drop(reader);
        let db = open(&cut_short).unwrap();
        assert!(db.check().unwrap().is_clean());
        drop(db);
        cut_short.expect_no_violations();
    }
}

/// Who opens a file as a primary for the first time, a new one or one that has commits, is killed before its log is whole: nobody was
/// registered, and nobody is missed.
#[test]
fn a_log_that_is_half_made_misses_no_replica() {
    for (has_commits, crash) in [false, true].into_iter().flat_map(|has| CRASHES.map(|crash| (has, crash))) {
        for op in 1.. {
            let machine = Machine::new("node", op, SyncMode::Full);
            if has_commits {
                let db = machine.open(machine.options(ReplicationRole::Disabled)).unwrap();
                write(&db).unwrap();
                db.close().unwrap();
            }
            machine.disk.crash_at(machine.disk.ops() + op);
            let led = machine.try_primary().and_then(|db| write(&db));
            if !machine.disk.crashed() {
                led.unwrap();
                break;
            }
            let machine = machine.restart(crash);
            let Ok(db) = machine.open(kitedb_core::OpenOptions::new().read_only(true)) else { continue };
            let report = db.check().unwrap();
            assert!(report.damage.is_empty(), "{has_commits}, {crash:?}, operation {op}: {:?}", report.damage);
            let status = db.primary_replication_status().unwrap();
            let fault = status.and_then(|status| status.log_fault);
            assert_eq!(fault, None, "{has_commits}, {crash:?}, operation {op}");
        }
    }
}

/// A recovery writes many frames again whose sync had failed, and is killed wherever it is: what it had begun is not left over, so the
/// close of a stand-alone database leaves one file.
#[test]
fn a_recovery_that_is_killed_leaves_no_half_segment() {
    for op in 1.. {
        let machine = Machine::new("node", op, SyncMode::Off);
        let alone = machine.options(ReplicationRole::Disabled);
        let db = machine.open(alone.clone()).unwrap();
        let mut tx = db.begin().unwrap();
        let node = tx.create_node(None).unwrap();
        // More than anything is read of at once to know whose it is.
        tx.set_node_prop(node, "payload", vec![7; 200 << 10]).unwrap();
        let token = tx.commit().unwrap();
        machine.disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).on_path(".klog"));
        db.sync().unwrap_err();
        let machine = machine.restart(Crash::Kill);
        machine.disk.crash_at(machine.disk.ops() + op);
        let done = machine.open(alone.clone()).is_ok();
        let cut_short = machine.disk.crashed();
        let machine = machine.restart(Crash::Kill);
        let db = machine.open(alone).unwrap();
        assert_eq!(db.last_commit_token(), Some(token));
        db.close().unwrap();
        assert_eq!(machine.disk.paths().len(), 1, "operation {op}: {:?}", machine.disk.paths());
        if done && !cut_short {
            break;
        }
    }
}
