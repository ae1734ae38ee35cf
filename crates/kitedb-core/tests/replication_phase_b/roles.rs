//! The same database in one role after another: every commit stays, and indexes go on.

use crate::{
    support::world::stepped,
    support_process::code,
    support_replication::{CRASHES, Graph, MODES, Machine, catch_up, primary_status, replica_status},
};
use kitedb_core::{
    Database, ErrorCode, ReplicationRole, SyncMode,
    io::sim::{Crash, Loss},
};

const ROLES: [ReplicationRole; 3] = [ReplicationRole::Disabled, ReplicationRole::Primary, ReplicationRole::Replica];

/// How a database is left.
#[derive(Debug, Clone, Copy)]
enum End {
    Close,
    Crash(Crash),
}

fn open(machine: &Machine, source: &Machine, role: ReplicationRole) -> Database {
    let opened = match role {
        ReplicationRole::Replica => machine.try_replica_of(source),
        role => machine.open(machine.options(role)),
    };
    opened.unwrap_or_else(|e| panic!("as {}: {e:?}", role.as_str()))
}

fn keeps_all(mode: SyncMode, end: End) -> bool {
    match end {
        End::Close | End::Crash(Crash::Kill | Crash::PowerLoss(Loss::KeepAll)) => true,
        End::Crash(_) => mode == SyncMode::Full,
    }
}

/// What is there after an end, of what `graph` says was committed; the rest is gone from `graph` too.
#[track_caller]
fn settle(db: &Database, graph: &mut Graph, all: bool) {
    let shown = graph.expect(db);
    assert!(shown == graph.head() || !all, "{shown} of {} commits are there", graph.head());
    graph.cut(shown);
    let report = db.check().unwrap();
    assert!(report.is_clean(), "{report:#?}");
}

fn through_roles(mode: SyncMode) {
    let ends = CRASHES.into_iter().map(End::Crash).chain([End::Close]);
    for (seed, end) in (1..).zip(ends) {
        for first in [ReplicationRole::Disabled, ReplicationRole::Primary] {
            for second in ROLES {
                for third in ROLES {
                    through(
                        &format!("{mode:?}, {end:?}: {first:?}, {second:?}, {third:?}"),
                        seed,
                        mode,
                        end,
                        [first, second, third],
                    );
                }
            }
        }
    }
}

fn through(what: &str, seed: u64, mode: SyncMode, end: End, roles: [ReplicationRole; 3]) {
    let source = Machine::new("source", 50, SyncMode::Full);
    let (of_source, mut at_source) = (source.primary(), Graph::new(50));
    at_source.grow(&of_source, 30);
    let mut machine = Machine::new("node", seed, mode);
    let mut graph = Graph::new(seed);
    // What the file is by now: a primary once a commit was made as one.
    let mut leads = false;
    for (nth, role) in roles.into_iter().enumerate() {
        if leads && role != ReplicationRole::Primary {
            let refused = match role {
                ReplicationRole::Replica => machine.try_replica_of(&source),
                role => machine.open(machine.options(role)),
            };
            assert_eq!(code(refused), ErrorCode::RoleMismatch, "{what}");
            continue;
        }
        let db = open(&machine, &source, role);
        if nth > 0 {
            settle(&db, &mut graph, keeps_all(mode, end));
        }
        if nth > 0 && graph.head() == 0 {
            // It lost all that it had, so it may be anything.
            return;
        }
        if role == ReplicationRole::Replica {
            // What it holds is no part of its source's history, and stays.
            assert_eq!(code(db.replica_catch_up_once(5)), ErrorCode::NeedsReseed, "{what}");
            assert!(replica_status(&db).needs_reseed);
            assert_eq!(code(db.begin()), ErrorCode::ReplicaReadOnly);
            assert_eq!(code(db.replica_reseed_from_snapshot()), ErrorCode::WouldOverwrite, "{what}");
        } else {
            assert!(role == ReplicationRole::Disabled || !primary_status(&db).fenced, "{what}");
            graph.grow(&db, 4);
            leads |= role == ReplicationRole::Primary;
            if nth == 1 {
                db.checkpoint().unwrap();
                graph.grow(&db, 2);
            }
        }
        graph.expect(&db);
        match end {
            End::Close => db.close().unwrap(),
            End::Crash(crash) => {
                machine.expect_no_violations();
                machine = machine.restart(crash);
                drop(db);
            }
        }
    }
    // Nothing said, it is what it was; whatever it holds, it can be made a copy of another one, if that is asked for.
    let db = machine.open(stepped(mode)).unwrap();
    settle(&db, &mut graph, keeps_all(mode, end));
    assert!(graph.head() == 0 || (db.replication_role() == ReplicationRole::Primary) == leads, "{what}");
    db.close().unwrap();
    let db = machine.open_replica_of(&source, machine.following(&source).replication_overwrite(true)).unwrap();
    db.replica_reseed_from_snapshot().unwrap();
    catch_up(&db);
    at_source.expect_all(&db);
    db.close().unwrap();
    machine.expect_no_violations();
}

#[test]
fn in_full_mode() {
    through_roles(MODES[0]);
}

#[test]
fn in_normal_mode() {
    through_roles(MODES[1]);
}

#[test]
fn in_off_mode() {
    through_roles(MODES[2]);
}

/// Without a role a closed database is one file; what a role keeps beside it lies in its sidecar only.
#[test]
fn a_role_leaves_its_log_where_it_belongs() {
    let machine = Machine::new("node", 1, SyncMode::Full);
    let mut graph = Graph::new(1);
    let paths = || machine.disk.paths().iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
    let db = machine.primary();
    graph.grow(&db, 3);
    db.close().unwrap();
    let with_sidecar = paths();
    assert!(with_sidecar.iter().all(|p| p == "/node.kitedb" || p.starts_with("/node.kitedb.replication/")));
    Database::detach_in(machine.env(), machine.db(), machine.options(ReplicationRole::Disabled)).unwrap();
    assert_eq!(paths(), ["/node.kitedb"]);
    let db = machine.open(machine.options(ReplicationRole::Disabled)).unwrap();
    graph.grow(&db, 3);
    assert!(paths().iter().any(|p| p.starts_with("/node.kitedb-wal/")));
    db.close().unwrap();
    assert_eq!(paths(), ["/node.kitedb"]);
    let db = machine.primary();
    graph.expect_all(&db);
    graph.grow(&db, 3);
    graph.expect_all(&db);
}
