//! Views and transactions that nobody gives back: who took them is told, and they end when they may be held no longer.

use super::stage::{Stage, add, disabled};
use kitedb_core::{
    AllTypes, Database, Direction, Error, ErrorCode, ErrorKind, GraphRead, NodeId, OpenOptions, PinKind, SyncMode,
    Token, Transaction, TransactionHandle, Value, View, ViewHandle,
    io::sim::{SimDisk, SimHost},
};
use proptest::prelude::*;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

const LIMIT: u64 = 1000;

/// A database on a clock that the test moves. Without threads: a sweep is made when somebody asks for statistics.
fn limited(limit: u64) -> (SimHost, Database) {
    let (host, disk) = (SimHost::new(1), SimDisk::new(1));
    let options = OpenOptions::new().background(false).sync_mode(SyncMode::Off).max_pin_ms(limit);
    let db = Database::open_in(disk.env(&host), "/graph.kitedb", options).unwrap();
    db.transaction(|tx| tx.create_node(Some("a")).and_then(|a| tx.set_node_prop(a, "n", 0))).unwrap();
    (host, db)
}

#[track_caller]
fn expired<T>(result: Result<T, Error>) {
    let e = result.err().expect("it was held for too long");
    assert_eq!((e.code(), e.kind()), (ErrorCode::SnapshotExpired, ErrorKind::RetryTransaction), "{e}");
    assert!(e.to_string().contains("max_pin_ms"), "{e}");
}

fn write(db: &Database, n: i64) -> Token {
    let mut tx = db.begin().unwrap();
    let a = tx.node_by_key("a").unwrap().unwrap();
    tx.set_node_prop(a, "n", n).unwrap();
    tx.set_node_prop(a, "text", n.to_string().repeat(50_000)).unwrap();
    tx.commit().unwrap()
}

fn seen(view: &impl GraphRead) -> Result<i64, Error> {
    let value = view.node_prop(NodeId(1), "n")?.expect("it has one");
    match value {
        Value::I64(n) => Ok(n),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_view_that_is_held_for_too_long_shows_nothing_and_never_something_else() {
    let (host, db) = limited(LIMIT);
    let view = db.snapshot().unwrap();
    let mut begun = view.nodes();
    let (unread, read) = (view.node_with_key("a").unwrap().unwrap(), view.nodes().next().unwrap().unwrap());
    host.advance_ms(LIMIT - 1);
    db.stats().unwrap();
    assert_eq!(seen(&view).unwrap(), 0);
    let copy = view.clone();
    host.advance_ms(1);
    db.stats().unwrap();
    // A copy is held for as long as what it is a copy of.
    for view in [&view, &copy, &copy.clone(), &copy.clone().with_origin("another")] {
        assert!(view.is_expired());
        expired(seen(view));
        expired(view.node_by_key("a"));
        expired(view.nodes().try_for_each(|node| node.map(drop)));
        expired(view.edges().try_for_each(|edge| edge.map(drop)));
        expired(view.node_props(NodeId(1)));
        expired(view.node(NodeId(1)));
        expired(view.nodes_with_label("none"));
        expired(view.out_edges(NodeId(1), "none"));
        expired(view.degree(NodeId(1), Direction::In, "none"));
        expired(view.neighbors_page(NodeId(1), Direction::Out, AllTypes, None, 1));
        expired(view.as_graph().node_by_key("a"));
        assert_eq!(view.count_nodes(), 1, "what takes no look at the state is told");
    }
    // A reference that was not read through yet is told like the view; what is at hand is there.
    expired(unread.key());
    assert_eq!(read.key().unwrap(), Some("a"));
    // What has begun goes on: what it shows is there for as long as the view is.
    write(&db, 1);
    db.compact().unwrap();
    assert_eq!(begun.next().unwrap().unwrap().id(), NodeId(1));
    assert!(begun.next().is_none());
    // Others are not told, nor is the database itself, whatever it looks at.
    assert_eq!(seen(&db.snapshot().unwrap()).unwrap(), 1);
    assert!(db.check().unwrap().is_clean());
    drop((copy, begun, unread, read));
    drop(view);
    assert!(db.stats().unwrap().pins.is_empty());
}

#[test]
fn a_transaction_that_is_held_for_too_long_does_not_commit() {
    let (host, db) = limited(LIMIT);
    let token = db.last_commit_token();
    let (mut wrote, mut tried, empty) = (db.begin().unwrap(), db.begin().unwrap(), db.begin().unwrap());
    wrote.create_node(Some("late")).unwrap();
    host.advance_ms(LIMIT);
    // By the clock: nobody had looked yet.
    expired(wrote.commit());
    expired(empty.commit());
    db.stats().unwrap();
    expired(tried.set_node_prop(NodeId(1), "n", 9));
    expired(tried.node_by_key("a"));
    expired(tried.commit());
    assert_eq!(db.last_commit_token(), token, "nothing happened");
    // One that begins now does, also the last ms of what it may take.
    let mut tx = db.begin().unwrap();
    tx.create_node(Some("in time")).unwrap();
    host.advance_ms(LIMIT - 1);
    tx.commit().unwrap();
    // A closure that takes too long is told, and not run again unasked.
    let mut runs = 0;
    expired(db.transaction_with_retry(5, |tx| {
        runs += 1;
        tx.create_node(Some("slow"))?;
        host.advance_ms(LIMIT);
        Ok(())
    }));
    assert_eq!(runs, 1);
    assert!(db.snapshot().unwrap().node_by_key("slow").unwrap().is_none());
}

#[test]
fn without_a_limit_nobody_is_told() {
    let (host, db) = limited(0);
    let (view, mut tx) = (db.snapshot().unwrap(), db.begin().unwrap());
    let handle = db.snapshot().unwrap().into_handle();
    for n in 1..4 {
        write(&db, n);
        db.checkpoint().unwrap();
        host.advance_ms(1 << 40);
        db.stats().unwrap();
    }
    assert_eq!(seen(&view).unwrap(), 0);
    assert_eq!(seen(&*handle.view().unwrap()).unwrap(), 0);
    tx.create_node(Some("late")).unwrap();
    tx.commit().unwrap();
    assert_eq!(db.stats().unwrap().pins[0].age_ms, 3 << 40);
}

/// Who looks finds out who holds what, for how long, and where it was taken.
#[test]
fn what_is_held_is_told_with_its_origin_and_its_age() {
    let (host, db) = limited(LIMIT);
    assert!(db.stats().unwrap().pins.is_empty());
    let line = line!() + 1;
    let view = db.snapshot().unwrap();
    host.advance_ms(300);
    let mut tx = db.begin().unwrap();
    tx.set_origin("GET /people");
    host.advance_ms(200);
    let named = db.snapshot().unwrap().with_origin("nightly export");
    let stats = db.stats().unwrap();
    let told: Vec<_> = stats.pins.iter().map(|pin| (pin.kind, pin.age_ms, pin.expired)).collect();
    assert_eq!(
        told,
        [(PinKind::View, 500, false), (PinKind::Transaction, 200, false), (PinKind::View, 0, false)],
        "the oldest first"
    );
    assert!(stats.pins[0].origin.contains(&format!("pins.rs:{line}:")), "{stats:?}");
    assert_eq!((&*stats.pins[1].origin, &*stats.pins[2].origin), ("GET /people", "nightly export"));
    assert!(stats.pins.iter().all(|pin| pin.log_index == stats.token.log_index));
    let mvcc = db.collect_metrics().unwrap().mvcc.unwrap();
    assert_eq!(mvcc.oldest_pin.as_ref(), stats.pins.first());
    host.advance_ms(600);
    let pins = db.stats().unwrap().pins;
    assert_eq!(pins.iter().map(|pin| pin.expired).collect::<Vec<_>>(), [true, false, false]);
    // A closure is told by where it was called.
    let line = line!() + 1;
    db.transaction(|_| -> Result<_, Error> {
        let pins = db.stats()?.pins;
        assert!(pins.iter().any(|pin| pin.origin.contains(&format!("pins.rs:{line}:"))), "{pins:?}");
        Ok(())
    })
    .unwrap();
    drop((view, tx, named));
    // Of very many the oldest are told.
    let many: Vec<View> = (0..100).map(|_| db.snapshot().unwrap()).collect();
    assert_eq!(db.stats().unwrap().pins.len(), kitedb_core::Stats::MAX_PINS);
    drop(many);
    assert_eq!(db.collect_metrics().unwrap().mvcc.unwrap().oldest_pin, None);
}

/// A cursor is held since its view was taken, and told as what it is; once that is too long it holds nothing.
#[test]
fn a_cursor_that_is_held_for_too_long_ends_and_frees_what_it_holds() {
    let (host, db) = limited(LIMIT);
    for key in ["b", "c"] {
        add(&db, key).unwrap();
    }
    let view = db.snapshot().unwrap();
    host.advance_ms(300);
    let line = line!() + 1;
    let mut nodes = view.node_cursor();
    let mut edges = view.with_origin("nightly export").edge_cursor();
    let told: Vec<_> = db.stats().unwrap().pins.into_iter().map(|pin| (pin.kind, pin.age_ms, pin.origin)).collect();
    assert_eq!(told.iter().map(|(kind, age, _)| (*kind, *age)).collect::<Vec<_>>(), [(PinKind::Cursor, 300); 2]);
    assert!(told.iter().any(|(.., origin)| origin.contains(&format!("pins.rs:{line}:"))), "{told:?}");
    assert!(told.iter().any(|(.., origin)| origin == "nightly export"), "{told:?}");
    assert_eq!(nodes.next_batch(2).unwrap().len(), 2);
    write(&db, 1);
    db.compact().unwrap();
    host.advance_ms(LIMIT - 300);
    // By the clock: nobody had looked yet.
    expired(nodes.next_batch(2));
    assert_eq!(db.stats().unwrap().pins.len(), 1);
    // As often as it is asked, also where it had nothing to read.
    expired(nodes.next_batch(2));
    expired(nodes.view());
    expired(edges.next_batch(2));
    let stats = db.stats().unwrap();
    assert_eq!((stats.pins.len(), stats.pinned_run_bytes, stats.pinned_delta_bytes), (0, 0, 0));
    // It says where to go on.
    assert_eq!(db.snapshot().unwrap().nodes_page(nodes.position(), 5).unwrap().items.len(), 1);
    // Made of a view that is too old it is so from the start.
    let view = db.snapshot().unwrap();
    host.advance_ms(LIMIT);
    expired(view.label_cursor("none").next_batch(1));
    expired(view.neighbor_cursor(NodeId(1), Direction::Out, AllTypes).next_batch(1));
}

/// A handle that nobody releases, leaked or forgotten in a map: what it holds goes all the same.
#[test]
fn what_a_forgotten_handle_holds_is_freed() {
    let (host, db) = limited(LIMIT);
    let handle = db.snapshot().unwrap().into_handle();
    let reading = handle.view().unwrap();
    let weak = Arc::downgrade(&reading);
    write(&db, 1);
    db.compact().unwrap();
    assert!(db.stats().unwrap().pinned_run_bytes + db.stats().unwrap().pinned_delta_bytes > 0);
    host.advance_ms(LIMIT);
    assert!(db.stats().unwrap().pins[0].expired);
    expired(handle.view().map(drop));
    // Who reads at that moment is not cut off: it goes when he is done, and he is told from the next read on.
    expired(seen(&*reading));
    assert!(weak.upgrade().is_some());
    drop(reading);
    assert!(weak.upgrade().is_none());
    let stats = db.stats().unwrap();
    assert_eq!((stats.pins.len(), stats.pinned_run_bytes, stats.pinned_delta_bytes), (0, 0, 0));
    // Leaked altogether.
    let leaked = db.snapshot().unwrap().into_handle();
    let weak = Arc::downgrade(&leaked.view().unwrap());
    std::mem::forget(leaked);
    host.advance_ms(LIMIT);
    // Whoever takes the next one looks, too.
    drop(db.snapshot().unwrap());
    assert!(weak.upgrade().is_none());
    // And it can be released at once, twice.
    let handle = db.snapshot().unwrap().into_handle();
    let clone = handle.clone();
    clone.release();
    handle.release();
    assert_eq!(handle.view().unwrap_err().code(), ErrorCode::Finished);
    assert!(db.stats().unwrap().pins.is_empty());
}

/// The same by a thread, with nobody asking for anything.
#[test]
fn what_a_forgotten_handle_holds_is_freed_in_the_background() {
    let stage = Stage::new();
    let db = Database::open(stage.path("one.kitedb"), disabled().max_pin_ms(20)).unwrap();
    add(&db, "a").unwrap();
    let view = db.snapshot().unwrap().into_handle();
    let weak = Arc::downgrade(&view.view().unwrap());
    let mut tx = db.begin().unwrap();
    tx.create_node(Some("never")).unwrap();
    let tx = tx.into_handle();
    // A gate: it opens when the thread has done its work, or never.
    while weak.upgrade().is_some() {
        thread::yield_now();
    }
    expired(view.view().map(drop));
    while tx.with(|_| Ok(())).is_ok() {
        thread::yield_now();
    }
    expired(tx.commit());
    // It looks again for who comes after it has ended for want of work.
    for _ in 0..3 {
        let weak = Arc::downgrade(&db.snapshot().unwrap().into_handle().view().unwrap());
        while weak.upgrade().is_some() {
            thread::yield_now();
        }
    }
    assert!(!has_key(&db, "never"));
    db.close().unwrap();
}

fn has_key(db: &Database, key: &str) -> bool {
    // With a limit of some ms a machine that is busy may be too slow for the first try.
    loop {
        match db.snapshot().unwrap().node_by_key(key) {
            Err(e) if e.code() == ErrorCode::SnapshotExpired => {}
            found => return found.unwrap().is_some(),
        }
    }
}

#[test]
fn a_transaction_in_a_handle_is_used_by_one_at_a_time_and_committed_once() {
    let (host, db) = limited(LIMIT);
    let begin = || db.begin().unwrap().into_handle();
    let handle = begin();
    handle.with(|tx| tx.create_node(Some("one"))).unwrap();
    handle
        .with(|tx| {
            // From within, and by a clone: told, and not waited for. Waiting would end it only for another thread.
            assert_eq!(handle.with(|_| Ok(())).unwrap_err().code(), ErrorCode::InvalidArgument);
            assert_eq!(handle.clone().commit().unwrap_err().code(), ErrorCode::InvalidArgument);
            let elsewhere = thread::scope(|scope| scope.spawn(|| handle.with(|_| Ok(()))).join().unwrap());
            assert_eq!(elsewhere.unwrap_err().code(), ErrorCode::Locked);
            tx.create_node(Some("two"))
        })
        .unwrap();
    // An operation that fails changes nothing, and the transaction goes on.
    assert_eq!(handle.with(|tx| tx.create_node(Some("two"))).unwrap_err().code(), ErrorCode::DuplicateKey);
    handle.commit().unwrap();
    for gone in [handle.commit().map(drop), handle.with(|_| Ok(()))] {
        assert_eq!(gone.unwrap_err().code(), ErrorCode::Finished);
    }
    handle.rollback();
    assert!(has_key(&db, "one") && has_key(&db, "two"));

    let rolled_back = begin();
    rolled_back.with(|tx| tx.create_node(Some("three"))).unwrap();
    rolled_back.rollback();
    assert_eq!(rolled_back.commit().unwrap_err().code(), ErrorCode::Finished);

    // Rolled back, or taken back, while somebody works with it: when he is done.
    let handle = begin();
    let in_use = handle.with(|tx| {
        tx.create_node(Some("three"))?;
        handle.rollback();
        tx.create_node(Some("four")).map(drop)
    });
    in_use.unwrap();
    assert_eq!(handle.commit().unwrap_err().code(), ErrorCode::Finished);
    let handle = begin();
    handle
        .with(|tx| {
            tx.create_node(Some("three"))?;
            host.advance_ms(LIMIT);
            db.stats().map(drop)
        })
        .unwrap();
    expired(handle.commit());

    // Who panics commits nothing, and the database goes on.
    let handle = begin();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        handle.with(|tx| -> Result<(), Error> {
            tx.create_node(Some("three")).unwrap();
            panic!("broken")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(handle.commit().unwrap_err().code(), ErrorCode::Finished);
    assert!(!has_key(&db, "three") && !has_key(&db, "four"));
    assert!(db.stats().unwrap().pins.is_empty());
    write(&db, 5);
}

/// The database is closed while somebody has handles: nothing of it is held any more, and another open has all the room.
#[test]
fn handles_end_with_their_database_and_with_no_other_one() {
    let stage = Stage::new();
    let options = || disabled().sync_mode(SyncMode::Off);
    let (path, other) = (stage.path("one.kitedb"), stage.path("two.kitedb"));
    let (one, two) = (Database::open(&path, options()).unwrap(), Database::open(&other, options()).unwrap());
    add(&one, "a").unwrap();
    add(&two, "b").unwrap();
    let (view, tx) = (one.snapshot().unwrap().into_handle(), one.begin().unwrap().into_handle());
    let mine = two.snapshot().unwrap().into_handle();
    let plain = one.snapshot().unwrap();
    // Another handle of the same file goes on.
    let again = Database::open(&path, options()).unwrap();
    one.close().unwrap();
    assert!(view.view().unwrap().node_by_key("a").unwrap().is_some());
    again.close().unwrap();
    assert_eq!(view.view().unwrap_err().code(), ErrorCode::Closed);
    assert_eq!(tx.with(|_| Ok(())).unwrap_err().code(), ErrorCode::Closed);
    assert_eq!(tx.commit().unwrap_err().code(), ErrorCode::Closed);
    assert!(mine.view().unwrap().node_by_key("b").unwrap().is_some());
    // A view itself outlives its database; made a handle after that, it is gone at once.
    let copy = plain.clone();
    assert!(plain.node_by_key("a").unwrap().is_some() && !copy.is_expired());
    assert_eq!(copy.into_handle().view().unwrap_err().code(), ErrorCode::Closed);
    // The closed handles are there still.
    drop(plain);
    let third = Database::open(&path, options()).unwrap();
    assert!(!third.stats().unwrap().pinned_elsewhere);
}

/// Something that is held, and what a naive model says of it.
enum Pin {
    View(View),
    Lent(ViewHandle),
    Tx(Box<Transaction>),
    LentTx(TransactionHandle),
}

#[derive(Debug, Clone)]
enum Step {
    Take(u8),
    Copy(usize),
    Drop(usize),
    Pass(u64),
    Write,
    Checkpoint,
    Compact,
    Look,
    Commit(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..4).prop_map(Step::Take),
        1 => any::<usize>().prop_map(Step::Copy),
        2 => any::<usize>().prop_map(Step::Drop),
        3 => (0u64..LIMIT).prop_map(Step::Pass),
        3 => Just(Step::Write),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Compact),
        3 => Just(Step::Look),
        1 => any::<usize>().prop_map(Step::Commit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever holds a state sees that state, or is told that he has held it for too long, and that only when he has.
    #[test]
    fn a_state_is_shown_as_it_was_or_not_at_all(steps in prop::collection::vec(step(), 1..60)) {
        let (host, db) = limited(LIMIT);
        let (mut now, mut current) = (0, 0);
        let mut pins: Vec<(Pin, u64, i64)> = Vec::new();
        for step in steps {
            match step {
                Step::Take(kind) => {
                    let pin = match kind {
                        0 => Pin::View(db.snapshot().unwrap()),
                        1 => Pin::Lent(db.snapshot().unwrap().into_handle()),
                        2 => Pin::Tx(Box::new(db.begin().unwrap())),
                        _ => Pin::LentTx(db.begin().unwrap().into_handle()),
                    };
                    pins.push((pin, now, current));
                }
                Step::Copy(nth) if !pins.is_empty() => {
                    let (pin, since, shows) = &pins[nth % pins.len()];
                    let copy = match pin {
                        Pin::View(view) => Some(Pin::View(view.clone())),
                        Pin::Lent(handle) => Some(Pin::Lent(handle.clone())),
                        Pin::LentTx(handle) => Some(Pin::LentTx(handle.clone())),
                        Pin::Tx(_) => None,
                    };
                    if let Some(copy) = copy {
                        let (since, shows) = (*since, *shows);
                        pins.push((copy, since, shows));
                    }
                }
                Step::Drop(nth) if !pins.is_empty() => drop(pins.swap_remove(nth % pins.len())),
                Step::Commit(nth) if !pins.is_empty() => {
                    if let (Pin::Tx(tx), since, _) = pins.swap_remove(nth % pins.len()) {
                        // It changed nothing, so that only its age counts.
                        match tx.commit() {
                            Ok(_) => prop_assert!(now - since < LIMIT),
                            Err(e) => {
                                prop_assert_eq!(e.code(), ErrorCode::SnapshotExpired);
                                prop_assert!(now - since >= LIMIT);
                            }
                        }
                    }
                }
                Step::Pass(ms) => {
                    host.advance_ms(ms);
                    now += ms;
                }
                Step::Write => {
                    current += 1;
                    write(&db, current);
                }
                Step::Checkpoint => db.checkpoint().unwrap(),
                Step::Compact => db.compact().unwrap(),
                _ => {
                    db.stats().unwrap();
                    for (pin, since, shows) in &pins {
                        let found = match pin {
                            Pin::View(view) => seen(view),
                            Pin::Lent(handle) => handle.view().and_then(|view| seen(&*view)),
                            Pin::Tx(tx) => seen(&**tx),
                            Pin::LentTx(handle) => handle.with(|tx| seen(tx)),
                        };
                        match found {
                            Ok(n) => prop_assert!(n == *shows && now - since < LIMIT),
                            Err(e) => {
                                prop_assert_eq!(e.code(), ErrorCode::SnapshotExpired);
                                prop_assert!(now - since >= LIMIT);
                            }
                        }
                    }
                }
            }
        }
        drop(pins);
        let stats = db.stats().unwrap();
        prop_assert!(stats.pins.is_empty());
        prop_assert_eq!((stats.pinned_run_bytes, stats.pinned_delta_bytes), (0, 0));
        prop_assert!(db.check().unwrap().is_clean());
    }
}
