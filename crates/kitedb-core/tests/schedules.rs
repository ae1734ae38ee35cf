//! Threads of one process on the commit pipeline, under a scheduler that decides at each lock who goes on
//! ([shuttle](https://docs.rs/shuttle)): committers that share syncs, rotations, checkpoints and readers, on a disk that
//! may fail in the midst of it.
//!
//! `cargo test -p kitedb-core --features shuttle --test schedules` runs them; `KITEDB_SCHEDULES` says how many schedules are tried of
//! each kind (300). A failure prints its schedule, which `shuttle::replay` takes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use kitedb_core::{
    Database, ErrorCode, GraphRead, NewNode, OpenOptions, Pending, ReplicationRole, SyncMode, Token,
    io::{
        Env,
        sim::{Crash, FaultOn, FaultPlan, Loss, SimDisk, SimHost},
    },
};
use shuttle::{Config, Runner, rand::Rng, scheduler::RandomScheduler, thread};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

const COMMITTERS: u64 = 3;
const COMMITS: u64 = 3;
const PATH: &str = "/graph.kitedb";

fn schedules() -> usize {
    std::env::var("KITEDB_SCHEDULES").map_or(300, |n| n.parse().expect("KITEDB_SCHEDULES is a number"))
}

/// With segments of one frame or of many. Nothing happens by itself.
fn options(mode: SyncMode, role: ReplicationRole, segment_max_bytes: u64) -> OpenOptions {
    OpenOptions::new()
        .sync_mode(mode)
        .background(false)
        .auto_checkpoint(false)
        .auto_compaction(false)
        .replication_role(role)
        .replication_segment_max_bytes(segment_max_bytes)
}

/// Adds the node with that key; one that is not committed may be tried again.
fn add(db: &Database, key: &str) -> kitedb_core::Result<Token> {
    let mut tx = db.begin()?;
    tx.create_node_with(NewNode::new().key(key))?;
    tx.commit_with_token().map(|token| token.expect("a commit that adds a node has a token"))
}

/// A view shows a prefix of the commits, each of which added one node, and never less than before.
fn look(db: &Database, seen: &mut u64) {
    let view = db.snapshot().unwrap();
    let index = view.token().log_index.0;
    assert_eq!(view.count_nodes(), index, "a view shows other commits than those up to its token");
    assert!(*seen <= index, "a view shows {index}, an earlier one {seen}");
    *seen = index;
}

/// What every thread found.
#[derive(Debug, Default)]
struct Found {
    acknowledged: BTreeMap<Token, String>,
    /// The last commit that a reader saw.
    seen: u64,
}

/// One schedule: the threads run to their end, the machine loses its power, and what was said holds.
fn run(mode: SyncMode, role: ReplicationRole, fault: Option<FaultOn>) {
    let mut rng = shuttle::rand::thread_rng();
    let segment = if rng.gen_bool(0.5) { 1 } else { 1 << 20 };
    let (disk, host) = (SimDisk::new(rng.gen_range(0..1 << 40)), SimHost::new(1));
    let env: Env = disk.env(&host);
    let db = Arc::new(Database::open_in(env, PATH, options(mode, role, segment)).unwrap());
    add(&db, "first").unwrap();
    if let Some(on) = fault {
        disk.fail(FaultPlan::new(on, rng.gen_range(1..12), ErrorKind::Other));
    }
    let found = Arc::new(Mutex::new(Found::default()));
    let mut threads = Vec::new();
    for n in 0..COMMITTERS {
        let (db, found) = (db.clone(), found.clone());
        threads.push(thread::spawn(move || {
            let mut seen = 0;
            for m in 0..COMMITS {
                let key = format!("{n} {m}");
                match add(&db, &key) {
                    Ok(token) => {
                        let double = found.lock().unwrap().acknowledged.insert(token, key);
                        assert_eq!(double, None, "{token} was given out twice");
                        look(&db, &mut seen);
                        assert!(seen >= token.log_index.0, "{token} was acknowledged, and is not shown");
                    }
                    Err(e) => assert!(fault.is_some(), "{e:?}"),
                }
            }
        }));
    }
    let (reader, said) = (db.clone(), found.clone());
    threads.push(thread::spawn(move || {
        let mut seen = 0;
        for _ in 0..6 {
            look(&reader, &mut seen);
            thread::yield_now();
        }
        said.lock().unwrap().seen = seen;
    }));
    let upkeep = db.clone();
    threads.push(thread::spawn(move || {
        for _ in 0..2 {
            if let Err(e) = upkeep.checkpoint() {
                assert!(fault.is_some(), "{e:?}");
            }
            thread::yield_now();
        }
    }));
    for thread in threads {
        thread.join().unwrap();
    }
    let found = std::mem::take(&mut *found.lock().unwrap());
    host.set_forked(true);
    drop(db);
    expect_kept(&disk, mode, role, &found, Crash::Kill);
    if mode == SyncMode::Full {
        expect_kept(&disk, mode, role, &found, Crash::PowerLoss(Loss::LoseAllUnsynced));
        expect_kept(&disk, mode, role, &found, Crash::PowerLoss(Loss::Random));
    }
}

fn expect_kept(disk: &SimDisk, mode: SyncMode, role: ReplicationRole, found: &Found, crash: Crash) {
    let (disk, host) = (disk.restart(crash), SimHost::new(2));
    let db = Database::open_in(disk.env(&host), PATH, options(mode, role, 1 << 20)).unwrap();
    let view = db.snapshot().unwrap();
    let last = view.token().log_index.0;
    assert_eq!(view.count_nodes(), last, "a commit was kept in part");
    assert!(found.seen <= last, "a reader saw {}, {crash:?} left {last}", found.seen);
    for (token, key) in &found.acknowledged {
        assert!(view.node_by_key(key).unwrap().is_some(), "{token} was acknowledged, and is gone after {crash:?}");
    }
    drop(view);
    assert!(db.check().unwrap().is_clean());
    db.close().unwrap();
}

fn random(test: impl Fn() + Send + Sync + 'static) {
    // Which databases this process has open it keeps under one lock, which must be that of one scheduler.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock();
    let mut config = Config::new();
    // Each thread is a stack of its own.
    config.stack_size = 1 << 20;
    Runner::new(RandomScheduler::new(schedules()), config).run(test);
}

#[test]
fn what_is_acknowledged_is_shown_and_kept() {
    random(|| run(SyncMode::Full, ReplicationRole::Primary, None));
}

#[test]
fn what_is_acknowledged_is_kept_where_a_sync_fails() {
    random(|| run(SyncMode::Full, ReplicationRole::Primary, Some(FaultOn::Sync)));
}

#[test]
fn what_is_acknowledged_is_kept_where_a_write_back_fails() {
    random(|| run(SyncMode::Full, ReplicationRole::Primary, Some(FaultOn::WriteBack)));
}

#[test]
fn what_is_acknowledged_outlives_the_process_in_every_mode() {
    random(|| run(SyncMode::Normal, ReplicationRole::Primary, Some(FaultOn::Write)));
}

/// What the threads of a schedule submitted.
#[derive(Debug, Default)]
struct Submitted {
    all: Vec<(Pending, String)>,
    /// How each ended, as the first who waited for it was told.
    ended: BTreeMap<Token, bool>,
}

/// Submits a node with that key, after `before` if there is one.
fn submit(db: &Database, key: &str, before: Option<&Pending>) -> kitedb_core::Result<Pending> {
    let mut tx = match before {
        Some(before) => db.begin_after(before)?,
        None => db.begin()?,
    };
    tx.create_node_with(NewNode::new().key(key))?;
    if shuttle::rand::thread_rng().gen_bool(0.5) {
        return tx.submit();
    }
    tx.try_submit().or_else(|refused| refused.into_transaction()?.submit())
}

/// Threads submit, wait for the commits of each other (two for one) or drop what they got, while others commit, sync, look, take
/// the lead with another handle, and close the handle.
fn run_submitted(fault: Option<FaultOn>, promotes: bool, closes: bool) {
    let mut rng = shuttle::rand::thread_rng();
    let segment = if rng.gen_bool(0.5) { 1 } else { 1 << 20 };
    let (disk, host) = (SimDisk::new(rng.gen_range(0..1 << 40)), SimHost::new(1));
    let (mode, role) = (SyncMode::Full, ReplicationRole::Primary);
    let open = || Arc::new(Database::open_in(disk.env(&host), PATH, options(mode, role, segment)).unwrap());
    let (db, other) = (open(), open());
    add(&db, "first").unwrap();
    if let Some(on) = fault {
        disk.fail(FaultPlan::new(on, rng.gen_range(1..12), ErrorKind::Other));
    }
    let excused = move |e: &kitedb_core::Error| match e.code() {
        ErrorCode::StalePrimary => promotes,
        ErrorCode::Closed => closes,
        // A fault, or what is in flight ends so that a transaction cannot begin after it.
        _ => fault.is_some(),
    };
    let submitted = Arc::new(Mutex::new(Submitted::default()));
    let mut threads = Vec::new();
    for n in 0..2 {
        let (db, submitted) = (db.clone(), submitted.clone());
        threads.push(thread::spawn(move || {
            let mut before = None;
            for m in 0..COMMITS {
                let key = format!("{n} {m}");
                let after = before.as_ref().filter(|_| shuttle::rand::thread_rng().gen_bool(0.5));
                match submit(&db, &key, after) {
                    // Of some nobody keeps anything.
                    Ok(pending) if m == 1 => before = Some(pending),
                    Ok(pending) => submitted.lock().unwrap().all.push((pending, key)),
                    Err(e) => assert!(excused(&e), "{e:?}"),
                }
            }
        }));
    }
    for n in 0..2 {
        let (submitted, reader) = (submitted.clone(), other.clone());
        threads.push(thread::spawn(move || {
            let mut seen = 0;
            for _ in 0..2 {
                let all: Vec<Pending> =
                    submitted.lock().unwrap().all.iter().map(|(pending, _)| pending.clone()).collect();
                for pending in all {
                    let result = if n == 0 { pending.wait() } else { shuttle::future::block_on(pending.clone()) };
                    if let Err(e) = &result {
                        assert!(fault.is_some(), "{e:?}");
                    } else {
                        look(&reader, &mut seen);
                        assert!(seen >= pending.token().log_index.0, "{pending:?} ended well, and is not shown");
                    }
                    let first = *submitted.lock().unwrap().ended.entry(pending.token()).or_insert(result.is_ok());
                    assert_eq!(first, result.is_ok(), "two were told otherwise of {pending:?}");
                }
                thread::yield_now();
            }
        }));
    }
    let upkeep = other.clone();
    threads.push(thread::spawn(move || {
        for result in [upkeep.sync(), upkeep.checkpoint(), add(&upkeep, "beside").map(drop)] {
            if let Err(e) = result {
                assert!(fault.is_some() || e.code() == ErrorCode::StalePrimary && promotes, "{e:?}");
            }
        }
    }));
    if promotes {
        let other = other.clone();
        threads.push(thread::spawn(move || {
            if let Err(e) = other.primary_promote_to_next_epoch() {
                assert!(fault.is_some(), "{e:?}");
            }
        }));
    }
    if closes {
        let (closing, submitted) = ((*db).clone(), submitted.clone());
        threads.push(thread::spawn(move || {
            thread::yield_now();
            let before: Vec<Pending> =
                submitted.lock().unwrap().all.iter().map(|(pending, _)| pending.clone()).collect();
            if let Err(e) = closing.close() {
                assert!(fault.is_some(), "{e:?}");
            }
            assert!(before.iter().all(|pending| pending.result().is_some()), "a close waits for all of them");
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    let Submitted { all, .. } = std::mem::take(&mut *submitted.lock().unwrap());
    drop(db);
    if fault.is_none() {
        // Also for those that were dropped.
        assert!(all.iter().all(|(pending, _)| pending.wait().is_ok()));
    }
    let mut found = Found::default();
    for (pending, key) in all {
        if pending.wait().is_ok() {
            found.acknowledged.insert(pending.token(), key);
        }
    }
    found.seen = other.snapshot().unwrap().token().log_index.0;
    host.set_forked(true);
    drop(other);
    expect_kept(&disk, mode, role, &found, Crash::Kill);
    expect_kept(&disk, mode, role, &found, Crash::PowerLoss(Loss::LoseAllUnsynced));
    expect_kept(&disk, mode, role, &found, Crash::PowerLoss(Loss::Random));
}

#[test]
fn what_is_submitted_ends_once_whoever_waits_or_does_not() {
    random(|| run_submitted(None, false, false));
}

#[test]
fn what_is_submitted_is_unknown_to_all_where_a_sync_fails() {
    random(|| run_submitted(Some(FaultOn::Sync), false, false));
}

#[test]
fn what_is_in_flight_while_another_handle_takes_the_lead_counts() {
    random(|| run_submitted(None, true, false));
}

#[test]
fn a_close_waits_for_what_is_in_flight() {
    random(|| run_submitted(None, false, true));
    random(|| run_submitted(Some(FaultOn::Sync), true, true));
}

/// A replica takes another snapshot of its source, which went on, while it is read.
#[test]
fn a_view_during_a_bootstrap_is_one_of_the_graphs() {
    random(|| {
        let mut rng = shuttle::rand::thread_rng();
        let (disk, host) = (SimDisk::new(rng.gen_range(0..1 << 40)), SimHost::new(1));
        let source =
            Database::open_in(disk.env(&host), PATH, options(SyncMode::Off, ReplicationRole::Primary, 1 << 20));
        let source = source.unwrap();
        for key in ["a", "b"] {
            add(&source, key).unwrap();
        }
        let following = options(SyncMode::Off, ReplicationRole::Replica, 1 << 20).replication_source_db_path(PATH);
        let replica = Arc::new(Database::open_in(disk.env(&host), "/replica.kitedb", following).unwrap());
        replica.replica_bootstrap_from_snapshot().unwrap();
        for key in ["c", "d", "e"] {
            add(&source, key).unwrap();
        }
        let reseeded = Arc::new(AtomicBool::new(false));
        let (read, done) = (replica.clone(), reseeded.clone());
        let reader = thread::spawn(move || {
            let mut seen = 2;
            while !done.load(Ordering::Relaxed) {
                look(&read, &mut seen);
                thread::yield_now();
            }
        });
        replica.replica_reseed_from_snapshot().unwrap();
        reseeded.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        assert_eq!(replica.snapshot().unwrap().count_nodes(), 5);
        host.set_forked(true);
    });
}

/// The first commit since an open begins a log, and the header names it, while a merge names another stack of runs there: neither
/// takes back what the other one said.
fn run_first_commit_beside_a_merge(role: ReplicationRole) {
    let mut rng = shuttle::rand::thread_rng();
    let (disk, host) = (SimDisk::new(rng.gen_range(0..1 << 40)), SimHost::new(1));
    let open = |disk: &SimDisk, host: &SimHost| {
        Database::open_in(disk.env(host), PATH, options(SyncMode::Full, role, 1 << 20)).unwrap()
    };
    let db = open(&disk, &host);
    for key in ["a", "b"] {
        db.transaction(|tx| tx.create_node(Some(key))).unwrap();
        db.checkpoint().unwrap();
    }
    db.close().unwrap();
    let db = Arc::new(open(&disk, &host));
    let upkeep = db.clone();
    let merges = thread::spawn(move || upkeep.compact().unwrap());
    // A commit is short beside a merge: it begins somewhere amid it.
    for _ in 0..rng.gen_range(0..400) {
        thread::yield_now();
    }
    db.transaction(|tx| tx.create_node(Some("c"))).unwrap();
    merges.join().unwrap();
    host.set_forked(true);
    let (disk, host) = (disk.restart(Crash::Kill), host.restart(Crash::Kill));
    let db = open(&disk, &host);
    assert_eq!(db.snapshot().unwrap().count_nodes(), 3, "what was acknowledged is not shown after a kill");
    db.close().unwrap();
}

#[test]
fn the_first_commit_beside_a_merge_is_kept() {
    random(|| run_first_commit_beside_a_merge(ReplicationRole::Disabled));
}

#[test]
fn the_first_commit_of_a_primary_beside_a_merge_is_kept() {
    random(|| run_first_commit_beside_a_merge(ReplicationRole::Primary));
}
