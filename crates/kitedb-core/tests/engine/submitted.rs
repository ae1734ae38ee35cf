//! Commits that are submitted and not waited for at once: they come in the order of the log, end when they are durable and
//! shown, whoever waits or does not, and nobody waits for ever.

mod wakers;

use crate::support::{
    gate::{At, Gate},
    observed::{Observer, Operation, observed},
};
use kitedb_core::{
    Database, Error, ErrorCode, GraphRead, NodeId, OpenOptions, Pending, ReplicationRole, Result, SyncMode,
    io::{
        Env,
        sim::{Crash, FaultOn, FaultPlan, Loss, SimDisk, SimHost},
    },
};
use std::{
    future::Future,
    io::{self, ErrorKind},
    path::Path,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

const PATH: &str = "/one.kitedb";
/// The first segment of a log.
const LOG: &str = "1.klog";

/// A database on a simulated disk. Nothing happens by itself unless `background`.
struct Sim {
    disk: SimDisk,
    host: SimHost,
    db: Database,
}

fn options(background: bool) -> OpenOptions {
    OpenOptions::new().background(background).auto_checkpoint(false)
}

fn sim(options: OpenOptions) -> Sim {
    let (disk, host) = (SimDisk::new(1), SimHost::new(1));
    let db = Database::open_in(disk.env(&host), PATH, options).unwrap();
    add(&db, "first").unwrap();
    Sim { disk, host, db }
}

fn add(db: &Database, key: &str) -> Result<NodeId> {
    db.transaction(|tx| tx.create_node(Some(key)))
}

fn submit(db: &Database, key: &str) -> Result<Pending> {
    let mut tx = db.begin()?;
    tx.create_node(Some(key))?;
    tx.submit()
}

fn has(db: &Database, key: &str) -> bool {
    db.snapshot().unwrap().node_by_key(key).unwrap().is_some()
}

/// What is left after a crash of the machine of `disk`.
fn after(disk: &SimDisk, crash: Crash) -> Database {
    Database::open_in(disk.restart(crash).env(&SimHost::new(2)), PATH, options(false)).unwrap()
}

/// What `work` returns; fails where that takes for ever.
#[track_caller]
fn within_reason<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, heard) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    heard.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("it hangs: {what}"))
}

/// Wakes the thread that made it.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// As an executor does.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn poll(pending: &mut Pending, waker: &Waker) -> Poll<Result<kitedb_core::Token>> {
    Pin::new(pending).poll(&mut Context::from_waker(waker))
}

#[test]
fn a_thousand_in_flight_come_in_the_order_of_the_log_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("one.kitedb"), OpenOptions::new()).unwrap();
    let pending: Vec<Pending> = (0..1000).map(|n| submit(&db, &format!("{n}")).unwrap()).collect();
    let first = pending[0].token().log_index.0;
    assert!((first..).zip(&pending).all(|(index, pending)| pending.token().log_index.0 == index));
    for pending in pending {
        let token = pending.token();
        assert_eq!(block_on(pending).unwrap(), token);
    }
    assert_eq!(db.snapshot().unwrap().count_nodes(), 1000);
    db.close().unwrap();
}

#[test]
fn it_survives_the_process_when_it_is_submitted_and_the_machine_when_it_has_ended() {
    for (crash, survives) in [(Crash::Kill, true), (Crash::PowerLoss(Loss::LoseAllUnsynced), false)] {
        let Sim { disk, db, .. } = sim(options(false));
        let pending = submit(&db, "a").unwrap();
        assert!(pending.result().is_none() && !has(&db, "a"), "nothing is shown that a loss of power takes away");
        assert_eq!(has(&after(&disk, crash), "a"), survives);
        assert_eq!(pending.wait().unwrap_err().code(), ErrorCode::OutcomeUnknown, "of a machine that is gone");
    }
    let Sim { disk, db, .. } = sim(options(false));
    let pending = submit(&db, "a").unwrap();
    assert_eq!(pending.wait().unwrap(), pending.token());
    assert!(has(&db, "a"));
    assert!(has(&after(&disk, Crash::PowerLoss(Loss::LoseAllUnsynced)), "a"));
}

#[test]
fn where_nothing_waits_for_the_disk_it_has_ended_at_once() {
    for mode in [SyncMode::Normal, SyncMode::Off] {
        let Sim { db, .. } = sim(options(false).sync_mode(mode));
        let pending = submit(&db, "a").unwrap();
        assert_eq!(pending.result().unwrap().unwrap(), pending.token());
        assert!(has(&db, "a"));
    }
}

#[test]
fn what_nobody_waits_for_is_synced_and_shown() {
    let Sim { disk, db, .. } = sim(options(true));
    let token = submit(&db, "a").unwrap().token();
    std::mem::forget(submit(&db, "leaked").unwrap());
    let waiting = db.clone();
    within_reason("a commit that was dropped", move || {
        while !has(&waiting, "leaked") {
            thread::yield_now();
        }
    });
    assert!(db.last_commit_token().unwrap() > token);
    let left = after(&disk, Crash::PowerLoss(Loss::LoseAllUnsynced));
    assert!(has(&left, "a") && has(&left, "leaked"));
}

#[test]
fn a_close_waits_for_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let (path, gate) = (dir.path().join("one.kitedb"), Arc::new(Gate::default()));
    let open = || Database::open_in(gate.env(), &path, options(true)).unwrap();
    let (db, other) = (open(), open());
    add(&db, "first").unwrap();
    // Of a handle beside another one, and of the last one.
    for (db, key) in [(db, "a"), (other, "b")] {
        gate.shut(At::Sync, LOG);
        let pending = submit(&db, key).unwrap();
        let closing = thread::spawn(move || db.close());
        gate.wait_for_someone();
        assert!(pending.result().is_none());
        gate.open();
        closing.join().unwrap().unwrap();
        assert_eq!(pending.result().unwrap().unwrap(), pending.token());
        assert_eq!(pending.wait().unwrap(), pending.token(), "also after the close");
    }
    let db = open();
    assert!(has(&db, "a") && has(&db, "b"));
}

#[test]
fn dropping_the_last_handle_is_a_close() {
    let Sim { disk, db, .. } = sim(options(false));
    let pending = submit(&db, "a").unwrap();
    drop(db);
    assert_eq!(pending.wait().unwrap(), pending.token());
    assert!(has(&after(&disk, Crash::PowerLoss(Loss::LoseAllUnsynced)), "a"));
}

#[test]
fn nothing_is_submitted_to_a_handle_that_was_closed() {
    let Sim { disk, host, db } = sim(options(false));
    let other = Database::open_in(disk.env(&host), PATH, options(false)).unwrap();
    let mut tx = db.begin().unwrap();
    tx.create_node(Some("a")).unwrap();
    let mut again = db.begin().unwrap();
    again.create_node(Some("b")).unwrap();
    db.close().unwrap();
    assert_eq!(tx.submit().unwrap_err().code(), ErrorCode::Closed);
    assert_eq!(again.try_submit().unwrap_err().code(), ErrorCode::Closed);
    assert!(!has(&other, "a") && !has(&other, "b"));
}

#[test]
fn after_a_failed_sync_all_that_had_not_ended_are_unknown() {
    for background in [false, true] {
        let Sim { disk, db, .. } = sim(options(background));
        let ended = submit(&db, "ended").unwrap();
        ended.wait().unwrap();
        disk.fail(FaultPlan::new(FaultOn::Sync, 1, ErrorKind::Other));
        let pending: Vec<Pending> = ["a", "b", "c"].iter().map_while(|key| submit(&db, key).ok()).collect();
        assert!(!pending.is_empty());
        drop(pending.last().unwrap().clone());
        for pending in &pending {
            let waiting = pending.clone();
            let result = within_reason("a sync that failed", move || block_on(waiting));
            assert_eq!(result.unwrap_err().code(), ErrorCode::OutcomeUnknown);
            assert_eq!(pending.wait().unwrap_err().code(), ErrorCode::OutcomeUnknown, "it does not change");
            assert_eq!(db.begin_after(pending).unwrap_err().code(), ErrorCode::OutcomeUnknown);
        }
        assert_eq!(ended.wait().unwrap(), ended.token());
        assert!(!has(&db, "a"));
        assert_eq!(submit(&db, "later").unwrap_err().code(), ErrorCode::Poisoned);
        assert_eq!(db.close().unwrap_err().code(), ErrorCode::Poisoned);
    }
}

#[test]
fn a_transaction_that_begins_after_it_sees_it() {
    let Sim { disk, db, .. } = sim(options(false));
    let mut tx = db.begin().unwrap();
    let a = tx.create_node(Some("a")).unwrap();
    let first = tx.submit().unwrap();
    assert_eq!(db.begin().unwrap().node_by_key("a").unwrap(), None);
    let mut tx = db.begin_after(&first).unwrap();
    assert_eq!(tx.node_by_key("a").unwrap(), Some(a));
    tx.set_node_prop(a, "age", 1).unwrap();
    let second = tx.submit().unwrap();
    // It sees all before it, and a checkpoint in between changes nothing of that.
    let held = db.begin_after(&first).unwrap();
    db.checkpoint().unwrap();
    assert_eq!(held.node_by_key("a").unwrap(), Some(a));
    assert_eq!(held.node_prop(a, "age").unwrap(), None);
    let mut tx = db.begin_after(&second).unwrap();
    tx.set_node_prop(a, "age", 2).unwrap();
    let third = tx.submit().unwrap();
    // One that changes nothing is as durable as what it saw.
    let empty = db.begin_after(&third).unwrap().submit().unwrap();
    assert_eq!((empty.token(), empty.result().is_none()), (third.token(), true));
    assert_eq!(db.begin_after(&third).unwrap().commit().unwrap(), third.token());
    assert!(empty.result().is_some());
    let left = after(&disk, Crash::PowerLoss(Loss::LoseAllUnsynced));
    assert_eq!(left.snapshot().unwrap().node_prop(a, "age").unwrap(), Some(2.into()));
    // Once it has ended, every transaction sees it.
    assert_eq!(db.begin_after(&first).unwrap().node_prop(a, "age").unwrap(), Some(2.into()));
}

#[test]
fn it_is_of_one_open_database() {
    let (one, two) = (sim(options(false)), sim(options(false)));
    let pending = submit(&one.db, "a").unwrap();
    assert_eq!(two.db.begin_after(&pending).unwrap_err().code(), ErrorCode::InvalidArgument);
    // Another open of the same file in this process is the same one.
    let again = Database::open_in(one.disk.env(&one.host), PATH, options(false)).unwrap();
    assert!(again.begin_after(&pending).unwrap().node_by_key("a").unwrap().is_some());
    one.db.close().unwrap();
    again.close().unwrap();
    let later = Database::open_in(one.disk.env(&one.host), PATH, options(false)).unwrap();
    assert_eq!(later.begin_after(&pending).unwrap_err().code(), ErrorCode::InvalidArgument);
    assert!(has(&later, "a"));
}

#[test]
fn a_conflict_with_ones_own_commit_in_flight_says_so_and_is_none_after_it() {
    let Sim { disk, host, db } = sim(options(false));
    let a = add(&db, "a").unwrap();
    let set = |db: &Database, value: i64| {
        let mut tx = db.begin().unwrap();
        tx.set_node_prop(a, "age", value).unwrap();
        tx
    };
    add(&db, "more").unwrap();
    let pending = set(&db, 1).submit().unwrap();
    submit(&db, "unrelated").unwrap();
    for error in [set(&db, 2).submit().unwrap_err(), set(&db, 2).try_submit().unwrap_err().into_error()] {
        assert_eq!(error.code(), ErrorCode::ConflictUnpublished, "{error:?}");
        assert!(error.is_conflict() && error.to_string().contains(&pending.token().to_string()), "{error}");
    }
    assert!(pending.result().is_none(), "neither of them waits for it");
    let mut tx = db.begin_after(&pending).unwrap();
    tx.set_node_prop(a, "age", 3).unwrap();
    let own = tx.submit().unwrap();
    // For another handle it is a conflict as any other; it is over when that handle hears of it.
    let other = Database::open_in(disk.env(&host), PATH, options(false)).unwrap();
    assert_eq!(set(&other, 4).commit().unwrap_err().code(), ErrorCode::Conflict);
    assert!(own.result().is_some());
    set(&other, 4).commit().unwrap();
    // So it is for who commits, and so who tries again does not conflict again.
    let _pending = set(&db, 5).submit().unwrap();
    assert_eq!(set(&db, 6).commit().unwrap_err().code(), ErrorCode::ConflictUnpublished);
    set(&db, 6).commit().unwrap();
    let _pending = set(&db, 7).submit().unwrap();
    db.transaction_with_retry(2, |tx| tx.set_node_prop(a, "age", 8)).unwrap();
    // By the length of vectors, too.
    let (mut tx, mut late) = (db.begin().unwrap(), db.begin().unwrap());
    let node = late.create_node(None).unwrap();
    late.set_node_vector(node, "v", &[1.0; 4]).unwrap();
    tx.set_node_vector(a, "v", &[1.0; 3]).unwrap();
    let _pending = tx.submit().unwrap();
    assert_eq!(late.submit().unwrap_err().code(), ErrorCode::ConflictUnpublished);
}

#[test]
fn a_conflict_with_what_is_published_is_one_as_ever() {
    let Sim { db, .. } = sim(options(false));
    let a = add(&db, "a").unwrap();
    let mut tx = db.begin().unwrap();
    tx.set_node_prop(a, "age", 1).unwrap();
    db.transaction(|tx| tx.set_node_prop(a, "age", 2)).unwrap();
    let pending = submit(&db, "b").unwrap();
    let mut same = db.begin().unwrap();
    assert_eq!(tx.submit().unwrap_err().code(), ErrorCode::Conflict);
    same.set_node_prop(a, "age", 3).unwrap();
    same.submit().unwrap().wait().unwrap();
    assert!(pending.result().is_some());
}

#[test]
fn trying_to_submit_waits_for_nothing_and_gives_the_transaction_back() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let options = options(true).segment_max_bytes(16384);
    let db = Database::open_in(gate.env(), dir.path().join("one.kitedb"), options).unwrap();
    let begin = |key: &str| {
        let mut tx = db.begin().unwrap();
        tx.create_node(Some(key)).unwrap();
        tx
    };
    // The log is not there yet. What comes back goes on.
    let refused = begin("a").try_submit().unwrap_err();
    assert!(refused.is_would_block() && refused.code() == ErrorCode::WouldBlock, "{refused:?}");
    let mut tx = refused.into_transaction().unwrap();
    tx.create_node(Some("b")).unwrap();
    tx.submit().unwrap().wait().unwrap();
    // Somebody commits.
    gate.shut(At::Write, LOG);
    let committing = db.clone();
    let commit = thread::spawn(move || add(&committing, "slow"));
    gate.wait_for_someone();
    let refused = begin("c").try_submit().unwrap_err();
    assert_eq!(refused.code(), ErrorCode::WouldBlock);
    gate.open();
    commit.join().unwrap().unwrap();
    // What waits for a sync does not hold it up.
    gate.shut(At::Sync, LOG);
    let committing = db.clone();
    let commit = thread::spawn(move || add(&committing, "synced"));
    gate.wait_for_someone();
    let pending = refused.into_transaction().unwrap().try_submit().unwrap();
    assert!(pending.result().is_none());
    // Until the segment is full.
    let mut submitted = vec![pending];
    let refused = loop {
        match begin(&format!("{}", submitted.len())).try_submit() {
            Ok(pending) => submitted.push(pending),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.code(), ErrorCode::WouldBlock);
    assert!(submitted.len() > 10 && submitted.iter().all(|pending| pending.result().is_none()));
    gate.open();
    commit.join().unwrap().unwrap();
    refused.into_transaction().unwrap().submit().unwrap().wait().unwrap();
    assert!(submitted.iter().all(|pending| pending.wait().is_ok()));
    assert_eq!(db.snapshot().unwrap().count_nodes(), 4 + submitted.len() as u64 + 1);
    // An error of its own gives nothing back.
    let a = db.snapshot().unwrap().node_by_key("a").unwrap().unwrap();
    let mut late = db.begin().unwrap();
    late.set_node_prop(a, "age", 1).unwrap();
    db.transaction(|tx| tx.set_node_prop(a, "age", 2)).unwrap();
    let refused = late.try_submit().unwrap_err();
    assert_eq!((refused.code(), refused.is_would_block()), (ErrorCode::Conflict, false));
    assert_eq!(refused.into_transaction().unwrap_err().code(), ErrorCode::Conflict);
    db.close().unwrap();
}

/// What took something back is made smaller before it is found that the commit would wait: it is the same all the same.
#[test]
fn a_transaction_that_took_something_back_comes_back_whole() {
    let (disk, host) = (SimDisk::new(1), SimHost::new(1));
    let db = Database::open_in(disk.env(&host), PATH, options(false)).unwrap();
    let mut tx = db.begin().unwrap();
    let (a, b) = (tx.create_node(Some("a")).unwrap(), tx.create_node(Some("b")).unwrap());
    tx.add_edge(a, "KNOWS", b).unwrap();
    tx.delete_edge(a, "KNOWS", b).unwrap();
    tx.set_node_prop(a, "age", 1).unwrap();
    tx.delete_node(b).unwrap();
    let mut tx = tx.try_submit().unwrap_err().into_transaction().unwrap();
    assert_eq!((tx.count_nodes(), tx.count_edges()), (1, 0));
    let b = tx.create_node(Some("b")).unwrap();
    tx.add_edge(a, "KNOWS", b).unwrap();
    tx.set_node_prop(a, "age", 2).unwrap();
    tx.submit().unwrap().wait().unwrap();
    let expect = |db: &Database| {
        let view = db.snapshot().unwrap();
        assert_eq!((view.count_nodes(), view.count_edges()), (2, 1));
        assert_eq!(view.node_prop(a, "age").unwrap(), Some(2.into()));
        assert!(db.check().unwrap().is_clean());
    };
    expect(&db);
    expect(&after(&disk, Crash::PowerLoss(Loss::LoseAllUnsynced)));
}

/// Panics where the thread that ends submitted commits syncs next.
#[derive(Debug, Default)]
struct Defect(AtomicBool);

impl Observer for Defect {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let ends = thread::current().name() == Some("kitedb-sync") && operation == Operation::Sync;
        if ends && path.to_string_lossy().ends_with(LOG) && self.0.swap(false, Ordering::SeqCst) {
            panic!("a defect was planted here");
        }
        Ok(())
    }
}

#[test]
fn a_thread_that_panics_leaves_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let defect = Arc::new(Defect::default());
    let env = observed(&Env::real(), defect.clone());
    let db = Database::open_in(env, dir.path().join("one.kitedb"), options(true)).unwrap();
    add(&db, "first").unwrap();
    defect.0.store(true, Ordering::SeqCst);
    let mut pending = vec![submit(&db, "a").unwrap()];
    pending.extend((0..20).map_while(|n| submit(&db, &format!("{n}")).ok()));
    let results = within_reason("a commit whose thread panicked", move || pending.into_iter().map(block_on).collect());
    let results: Vec<Result<_, Error>> = results;
    assert_eq!(results[0].as_ref().unwrap_err().code(), ErrorCode::OutcomeUnknown, "{results:?}");
    assert!(results.iter().all(|r| r.as_ref().is_err_and(|e| e.code() == ErrorCode::OutcomeUnknown)), "{results:?}");
    assert_eq!(db.begin().unwrap_err().code(), ErrorCode::Poisoned);
    assert_eq!(within_reason("a close", move || db.close()).unwrap_err().code(), ErrorCode::Poisoned);
}

#[test]
fn a_child_process_after_a_fork_ends_nothing() {
    let Sim { disk, host, db } = sim(options(false));
    let mut pending = submit(&db, "a").unwrap();
    let before = disk.ops();
    host.set_forked(true);
    assert_eq!(pending.wait().unwrap_err().code(), ErrorCode::Forked);
    assert!(pending.result().is_none());
    let Poll::Ready(Err(e)) = poll(&mut pending, Waker::noop()) else { panic!("it would wait for ever") };
    assert_eq!(e.code(), ErrorCode::Forked);
    drop((pending, db));
    assert_eq!(disk.ops(), before);
}

fn primary() -> OpenOptions {
    options(true).replication_role(ReplicationRole::Primary).fence_wait_ms(60_000)
}

/// The promoter finds the frame of a commit that is in flight: it counts.
#[test]
fn what_is_in_flight_when_another_node_takes_over_counts_as_far_as_that_one_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old.kitedb"), dir.path().join("new.kitedb"));
    let gate = Arc::new(Gate::default());
    let db = Database::open_in(gate.env(), &old, primary()).unwrap();
    add(&db, "first").unwrap();
    let following = options(true).replication_role(ReplicationRole::Replica).replication_source_db_path(&old);
    let replica = Database::open(&new, following).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    gate.shut(At::Sync, ".klog");
    let pending = submit(&db, "in flight").unwrap();
    gate.wait_for_someone();
    replica.replica_promote(false).unwrap();
    assert!(has(&replica, "in flight"), "the one that takes over has what was submitted");
    gate.open();
    assert_eq!(pending.wait().unwrap(), pending.token());
    assert_eq!(submit(&db, "late").unwrap_err().code(), ErrorCode::StalePrimary);
    let mut tx = db.begin().unwrap();
    tx.create_node(Some("late")).unwrap();
    let refused = match tx.try_submit() {
        Ok(pending) => panic!("a fenced primary took {pending:?}"),
        Err(refused) => refused.into_transaction().and_then(|tx| tx.submit().map(drop)).unwrap_err(),
    };
    assert_eq!(refused.code(), ErrorCode::StalePrimary);
}

/// The frame of a commit that was admitted before the fence, and written after the promoter looked.
#[test]
fn what_comes_too_late_for_a_promotion_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old.kitedb"), dir.path().join("new.kitedb"));
    let gate = Arc::new(Gate::default());
    let db = Database::open_in(gate.env(), &old, primary()).unwrap();
    add(&db, "first").unwrap();
    let following = options(true).replication_role(ReplicationRole::Replica).replication_source_db_path(&old);
    let replica = Database::open(&new, following).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    gate.shut(At::Write, ".klog");
    let submitting = db.clone();
    let late = thread::spawn(move || submit(&submitting, "late"));
    gate.wait_for_someone();
    replica.replica_promote(false).unwrap();
    gate.open();
    let pending = late.join().unwrap().unwrap();
    let waiting = pending.clone();
    let result = within_reason("a commit that does not count", move || block_on(waiting));
    assert_eq!(result.unwrap_err().code(), ErrorCode::StalePrimary);
    assert_eq!(db.begin_after(&pending).unwrap_err().code(), ErrorCode::StalePrimary);
    assert!(!has(&db, "late") && !has(&replica, "late"));
    db.close().unwrap();
}
