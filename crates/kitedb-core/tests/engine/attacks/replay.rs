//! What was acknowledged can be replayed, a failed operation changes nothing, and a failed sync acknowledges nobody.

use super::{
    stage::{Stage, add, disabled, has, nothing_said},
    support::{
        observed::{Observer, Operation, observed},
        world::stepped,
    },
    support_process::copy_as_after_a_crash,
    support_replication::{Machine, digest},
};
use kitedb_core::{
    AllTypes, Database, Direction, EdgeKey, ErrorCode, GraphRead, NewNode, NodeId, OpenOptions, PropKeyId, Result,
    SyncMode, Transaction, Value,
    io::{
        Env, OpenMode,
        sim::{Crash, FaultOn, FaultPlan, Loss, SimDisk, SimHost},
    },
};
use std::{
    fs, io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

/// A transaction on the nodes a and b (with keys; c and d are there, too), and one that commits while it is open.
type Act = fn(&mut Transaction, NodeId, NodeId) -> Result<()>;

fn deletes_a(tx: &mut Transaction, a: NodeId, _: NodeId) -> Result<()> {
    tx.delete_node(a)
}

const PAIRS: &[(&str, Act, Act)] = &[
    (
        "an edge from a to b, and b deleted",
        |tx, a, b| {
            tx.add_edge(a, "T", b)?;
            tx.delete_node(b)
        },
        deletes_a,
    ),
    (
        "an edge from b to a, and b deleted",
        |tx, a, b| {
            tx.add_edge(b, "T", a)?;
            tx.delete_node(b)
        },
        deletes_a,
    ),
    (
        "an edge added and deleted",
        |tx, a, b| {
            tx.add_edge(a, "T", b)?;
            tx.delete_edge(a, "T", b)?;
            tx.set_node_prop(b, "p", 1)
        },
        deletes_a,
    ),
    (
        "an edge from a new node, which is deleted again",
        |tx, a, _| {
            let new = tx.create_node(None)?;
            tx.add_edge(new, "T", a)?;
            tx.delete_node(new)
        },
        deletes_a,
    ),
    (
        "a vector set and deleted",
        |tx, a, _| {
            tx.set_node_vector(a, "w", &[1.0])?;
            tx.delete_node_vector(a, "w").map(drop)
        },
        deletes_a,
    ),
    (
        "a batch of edges that fails at its second one",
        |tx, a, b| {
            let ty = tx.etype_id_or_create("T")?;
            tx.add_edges_batch(&[EdgeKey::new(a, ty, b), EdgeKey::new(a, ty, b)]).unwrap_err();
            tx.set_node_prop(b, "p", 1)
        },
        deletes_a,
    ),
    (
        "an edge between c and d, and d deleted",
        |tx, _, _| {
            let (c, d) = (tx.node_by_key("c")?.unwrap(), tx.node_by_key("d")?.unwrap());
            tx.add_edge(c, "T", d)?;
            tx.delete_node(d)
        },
        |tx, _, _| {
            let c = tx.node_by_key("c")?.unwrap();
            tx.delete_node(c)
        },
    ),
    (
        "a vector of three set and deleted, while another fixes four",
        |tx, a, _| {
            tx.set_node_vector(a, "z", &[1.0; 3])?;
            tx.delete_node_vector(a, "z").map(drop)
        },
        |tx, _, b| tx.set_node_vector(b, "z", &[1.0; 4]),
    ),
    (
        "a vector deleted and set again",
        |tx, a, _| {
            tx.delete_node_vector(a, "v")?;
            tx.set_node_vector(a, "v", &[2.0])
        },
        |tx, _, b| tx.set_node_prop(b, "x", 1),
    ),
    (
        "a key created and deleted, while another creates it",
        |tx, _, _| {
            let new = tx.create_node(Some("n"))?;
            tx.delete_node(new)
        },
        |tx, _, _| tx.create_node(Some("n")).map(drop),
    ),
    (
        "an id created and deleted, while another creates it",
        |tx, _, _| {
            let new = tx.create_node_with(NewNode::new().id(NodeId(50)))?;
            tx.delete_node(new)
        },
        |tx, _, _| tx.create_node_with(NewNode::new().id(NodeId(50))).map(drop),
    ),
    (
        "an edge added and deleted, while another adds it",
        |tx, a, b| {
            tx.add_edge(a, "T", b)?;
            tx.delete_edge(a, "T", b)
        },
        |tx, a, b| tx.add_edge(a, "T", b),
    ),
    (
        "an edge to a node that is deleted and made anew",
        |tx, a, b| tx.add_edge(b, "T", a),
        |tx, a, _| {
            tx.delete_node(a)?;
            tx.create_node_with(NewNode::new().id(a)).map(drop)
        },
    ),
];

/// What is wrong after the pair: nothing, or how the replica and the crash see it.
fn outcome((what, first, second): &(&str, Act, Act)) -> Option<String> {
    let (p, r) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let db = p.primary();
    let (mut a, mut b) = (NodeId(0), NodeId(0));
    db.transaction(|tx| {
        (a, b) = (tx.create_node(Some("a"))?, tx.create_node(Some("b"))?);
        tx.create_node(Some("c"))?;
        tx.create_node(Some("d"))?;
        tx.add_edge(a, "E", b)?;
        tx.set_node_vector(a, "v", &[1.0])
    })
    .unwrap();
    let replica = r.replica_of(&p);
    let mut open = db.begin().unwrap();
    first(&mut open, a, b).unwrap();
    db.transaction(|tx| second(tx, a, b)).unwrap();
    let committed = open.commit().map(|token| token.to_string()).map_err(|e| e.code().as_str());
    add(&db, "later").unwrap();
    let wrong = |how: String| Some(format!("{what} (commit: {committed:?}): {how}"));
    if !db.check().unwrap().is_clean() {
        return wrong("check finds a fault".into());
    }
    let expected = digest(&db);
    match replica.replica_catch_up_once(100) {
        Ok(_) if digest(&replica) == expected => {}
        Ok(_) => return wrong("the replica differs".into()),
        Err(e) => return wrong(format!("the replica cannot apply it: {e:?}")),
    }
    let p = p.restart(Crash::Kill);
    drop(db);
    match p.try_primary() {
        Ok(db) if digest(&db) == expected => None,
        Ok(_) => wrong("it differs after a crash".into()),
        Err(e) => wrong(format!("it does not open after a crash: {e:?}")),
    }
}

#[test]
fn every_acknowledged_commit_can_be_replayed() {
    let wrong: Vec<String> = PAIRS.iter().filter_map(outcome).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), PAIRS.len(), wrong.join("\n"));
}

/// An operation fails half-way over a damaged block: its transaction is of no more use.
#[test]
fn a_transaction_whose_operation_failed_half_way_does_not_commit() {
    let stage = Stage::new();
    let path = stage.path("one.kitedb");
    let db = Database::open(&path, disabled()).unwrap();
    let hub = db
        .transaction(|tx| -> Result<_> {
            let hub = tx.create_node(Some("hub"))?;
            let p = tx.propkey_id_or_create("p")?;
            for n in 0..2000 {
                let leaf = tx.create_node(None)?;
                tx.add_edge_with_props(hub, "T", leaf, &[(p, format!("mark {n:06} {}", "x".repeat(100)).into())])?;
            }
            Ok(hub)
        })
        .unwrap();
    db.close().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(11).position(|window| window == b"mark 001500").unwrap();
    bytes[at] ^= 0x20;
    fs::write(&path, bytes).unwrap();

    let db = Database::open(&path, disabled()).unwrap();
    let mut tx = db.begin().unwrap();
    tx.create_node(Some("other")).unwrap();
    assert_eq!(tx.delete_node(hub).unwrap_err().code(), ErrorCode::Corrupt);
    tx.commit().expect_err("a commit of half an operation");
    assert!(!has(&db, "other"));
    assert_eq!(db.snapshot().unwrap().out_degree(hub, AllTypes).unwrap(), 2000);
    add(&db, "later").unwrap();
    let crashed = stage.folder("crashed").join("one.kitedb");
    copy_as_after_a_crash(&path, &crashed);
    let db = Database::open(&crashed, disabled()).unwrap();
    assert!(has(&db, "later") && !has(&db, "other"));
}

/// A graph of one node `a` with an edge to itself, and names `p` and `q`.
fn one_node(stage: &Stage) -> (Database, NodeId, PropKeyId) {
    let db = Database::open(stage.path("one.kitedb"), disabled().sync_mode(SyncMode::Off)).unwrap();
    let (mut a, mut p) = (NodeId(0), PropKeyId(0));
    db.transaction(|tx| {
        (a, p) = (tx.create_node(Some("a"))?, tx.propkey_id_or_create("p")?);
        tx.add_edge(a, "T", a)
    })
    .unwrap();
    (db, a, p)
}

const NO_SUCH_NAME: PropKeyId = PropKeyId(999);

#[test]
fn an_upsert_that_fails_changes_nothing() {
    let stage = Stage::new();
    let (db, a, p) = one_node(&stage);
    let mut tx = db.begin().unwrap();
    let bad = [(p, Some(Value::I64(1))), (NO_SUCH_NAME, Some(Value::I64(2)))];
    let ty = tx.etype_id("T").unwrap();
    assert!(tx.upsert_node("a", &bad).is_err());
    assert!(tx.upsert_node("new", &bad).is_err());
    assert!(tx.upsert_node_by_id(NodeId(77), &bad).is_err());
    assert!(tx.upsert_edge_with_props(a, ty, a, &bad).is_err());
    assert_eq!(tx.node_prop(a, p).unwrap(), None);
    assert_eq!(tx.edge_prop(a, ty, a, p).unwrap(), None);
    assert_eq!(tx.node_by_key("new").unwrap(), None);
    assert_eq!(tx.count_nodes(), 1);
    tx.commit().unwrap();
    assert!(db.check().unwrap().is_clean());
}

#[test]
fn a_failed_operation_defines_no_name() {
    let stage = Stage::new();
    let (db, ..) = one_node(&stage);
    let names = |db: &Database| {
        let view = db.snapshot().unwrap();
        (view.labels().len(), view.etypes().len(), view.propkeys().len())
    };
    let before = names(&db);
    let (mut tx, nowhere) = (db.begin().unwrap(), NodeId(5000));
    tx.add_node_label(nowhere, "L").unwrap_err();
    tx.add_edge(nowhere, "E", nowhere).unwrap_err();
    tx.set_node_prop(nowhere, "P", 1).unwrap_err();
    tx.set_node_vector(nowhere, "V", &[1.0]).unwrap_err();
    tx.commit().unwrap();
    assert_eq!(names(&db), before);
}

#[test]
fn a_batch_that_is_too_large_leaves_no_node() {
    let stage = Stage::new();
    let (db, _, p) = one_node(&stage);
    let mut tx = db.begin().unwrap();
    let props = [(p, Value::from("x".repeat(1 << 20)))];
    let nodes = vec![NewNode::new().props(&props); 70];
    assert_eq!(tx.create_nodes_batch(&nodes).unwrap_err().code(), ErrorCode::TransactionTooLarge);
    assert_eq!(tx.count_nodes(), 1);
    tx.create_node(Some("small")).unwrap();
    tx.commit().unwrap();
    assert_eq!(db.snapshot().unwrap().count_nodes(), 2);
}

#[test]
fn a_failed_batch_claims_no_key() {
    let stage = Stage::new();
    let (db, ..) = one_node(&stage);
    let mut tx = db.begin().unwrap();
    tx.create_node(Some("own")).unwrap();
    let twice = vec![NewNode::new().key("k"); 2];
    assert_eq!(tx.create_nodes_batch(&twice).unwrap_err().code(), ErrorCode::DuplicateKey);
    add(&db, "k").unwrap();
    tx.commit().unwrap();
    assert!(has(&db, "own") && has(&db, "k"));
}

/// A list of properties means the same whether the node is there or not: the last word about each counts.
#[test]
fn an_upsert_means_the_same_for_a_node_that_is_there_and_one_that_is_not() {
    let stage = Stage::new();
    let (db, _, p) = one_node(&stage);
    let mut tx = db.begin().unwrap();
    let list = [(p, Some(Value::I64(1))), (p, None)];
    let (created, _) = tx.upsert_node("created", &list).unwrap();
    let updated = tx.create_node(Some("updated")).unwrap();
    tx.upsert_node("updated", &list).unwrap();
    assert_eq!(tx.node_prop(created, p).unwrap(), tx.node_prop(updated, p).unwrap());
}

#[test]
fn a_transaction_of_a_closed_handle_does_not_commit() {
    let stage = Stage::new();
    let db = Database::open(stage.path("one.kitedb"), disabled()).unwrap();
    let other = Database::open(stage.path("one.kitedb"), disabled()).unwrap();
    let mut tx = db.begin().unwrap();
    tx.create_node(Some("late")).unwrap();
    db.close().unwrap();
    assert_eq!(tx.commit().unwrap_err().code(), ErrorCode::Closed);
    assert!(!has(&other, "late"));
}

#[test]
fn a_page_of_any_limit_holds_what_there_is() {
    let stage = Stage::new();
    let (db, a, _) = one_node(&stage);
    let view = db.snapshot().unwrap();
    for limit in [1, 1000, usize::MAX - 1, usize::MAX] {
        let page = view.neighbors_page(a, Direction::Out, AllTypes, None, limit).unwrap();
        assert_eq!(page.items.len(), 1, "limit {limit}");
    }
}

#[test]
fn the_greatest_id_does_not_end_automatic_ids() {
    let stage = Stage::new();
    let (db, ..) = one_node(&stage);
    let greatest = NodeId(i64::MAX as u64);
    db.transaction(|tx| tx.create_node_with(NewNode::new().id(greatest))).unwrap();
    let next = db.transaction(|tx| tx.create_node(None)).unwrap();
    assert_ne!(next, greatest);
    let path = db.path().to_owned();
    db.close().unwrap();
    let db = Database::open(path, nothing_said()).unwrap();
    db.transaction(|tx| tx.create_node(None)).unwrap();
    assert!(db.check().unwrap().is_clean());
}

/// Names that were asked for by transactions which were given up, and one that is in use.
#[test]
fn any_number_of_names_leaves_a_file_that_opens() {
    let stage = Stage::new();
    let path = stage.path("one.kitedb");
    let options = || disabled().sync_mode(SyncMode::Off);
    let db = Database::open(&path, options()).unwrap();
    for part in 0..101 {
        let mut tx = db.begin().unwrap();
        for n in 0..10_000 {
            tx.label_id_or_create(&format!("given up {part} {n}")).unwrap();
        }
        tx.rollback();
    }
    db.transaction(|tx| {
        let used = tx.label_id_or_create("used")?;
        tx.create_node_with(NewNode::new().labels(&[used]))
    })
    .unwrap();
    assert!(db.check().unwrap().is_clean());
    db.close().unwrap();
    for read_only in [true, false] {
        let db = Database::open(&path, options().read_only(read_only)).unwrap();
        assert_eq!(db.snapshot().unwrap().count_nodes(), 1);
    }
}

/// All nodes are deleted after a checkpoint, and the process dies: they do not come back.
#[test]
fn what_was_deleted_does_not_come_back_after_a_crash() {
    for primary in [false, true] {
        let machine = Machine::new("node", 1, SyncMode::Full);
        let options =
            || if primary { machine.options(kitedb_core::ReplicationRole::Primary) } else { stepped(machine.mode) };
        let db = machine.open(options()).unwrap();
        let ids: Vec<NodeId> =
            db.transaction(|tx| (0..500).map(|n| tx.create_node(Some(&format!("{n}")))).collect()).unwrap();
        db.checkpoint().unwrap();
        db.transaction(|tx| ids.iter().try_for_each(|id| tx.delete_node(*id))).unwrap();
        let after = machine.restart(Crash::Kill);
        drop(db);
        let db = after.open(options()).unwrap();
        assert_eq!(db.snapshot().unwrap().count_nodes(), 0);
        assert!(db.check().unwrap().is_clean());
    }
}

/// Who leads a sync of the log is told of its failure, by the kernel once: and stops before it has told anybody.
#[derive(Debug)]
struct Told {
    disk: SimDisk,
    host: SimHost,
    /// 0: not yet; 1: the next sync of the first segment fails; 2: it waits for company; 3: go on; 4: it holds its
    /// error; 5: it may return.
    step: AtomicU32,
}

impl Told {
    fn wait(&self, step: u32) {
        while self.step.load(Ordering::SeqCst) < step {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Observer for Told {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let first = path.to_string_lossy().ends_with("segment-00000000000000000001.klog");
        let next = |from, to| self.step.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if operation != Operation::Sync || !first || !next(1, 2) {
            return Ok(());
        }
        self.wait(3);
        // What the kernel does once: the pages are dropped, and this open file is told.
        let failed = self.disk.env(&self.host).disk.open(path, OpenMode::ReadWrite)?.sync_data();
        assert!(failed.is_err(), "the fault was for this sync");
        self.step.store(4, Ordering::SeqCst);
        self.wait(5);
        failed
    }
}

/// A leader of a sync holds its error while another commit rotates the log and syncs the same segment: who waited for
/// the leader's sync is not acknowledged by the other one.
#[test]
fn a_failed_sync_acknowledges_nobody() {
    for seed in 1..=4 {
        let (disk, host) = (SimDisk::new(seed), SimHost::new(seed));
        let told = Arc::new(Told { disk: disk.clone(), host: host.clone(), step: AtomicU32::new(0) });
        let options = || OpenOptions::new().background(false).segment_max_bytes(8192);
        let env: Env = observed(&disk.env(&host), told.clone());
        let db = Database::open_in(env, "/one.kitedb", options()).unwrap();
        add(&db, "first").unwrap();
        disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).on_path("segment-00000000000000000001"));
        told.step.store(1, Ordering::SeqCst);
        let commit = |key: &'static str| {
            let db = db.clone();
            thread::spawn(move || {
                let mut tx = db.begin()?;
                let node = tx.create_node(Some(key))?;
                tx.set_node_prop(node, "p", "x".repeat(3000))?;
                tx.commit()
            })
        };
        let leader = commit("leader");
        told.wait(2);
        let waiter = commit("waiter");
        thread::sleep(Duration::from_millis(60));
        told.step.store(3, Ordering::SeqCst);
        told.wait(4);
        // It does not fit the segment.
        let rotator = commit("rotator");
        thread::sleep(Duration::from_millis(60));
        told.step.store(5, Ordering::SeqCst);
        let answers =
            [("leader", leader), ("waiter", waiter), ("rotator", rotator)].map(|(key, t)| (key, t.join().unwrap()));
        let after = disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
        drop(db);
        let db = Database::open_in(after.env(&host.restart(Crash::Kill)), "/one.kitedb", options());
        for (key, answer) in answers {
            if answer.is_ok() {
                let db = db.as_ref().unwrap_or_else(|e| panic!("seed {seed}: {key} was acknowledged: {e:?}"));
                assert!(has(db, key), "seed {seed}: {key} was acknowledged and is gone");
            }
        }
    }
}

/// A disk whose next sync of a segment fails, and of which an image is taken before its process hears of that.
#[derive(Debug)]
struct Untold {
    disk: SimDisk,
    host: SimHost,
    armed: AtomicU32,
    image: Mutex<Option<SimDisk>>,
}

impl Observer for Untold {
    fn see(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let segment = path.extension().is_some_and(|e| e == "klog");
        if operation != Operation::Sync || !segment || self.armed.swap(0, Ordering::SeqCst) == 0 {
            return Ok(());
        }
        let failed = self.disk.env(&self.host).disk.open(path, OpenMode::ReadWrite)?.sync_data();
        assert!(failed.is_err(), "the fault was for this sync");
        *self.image.lock().unwrap() = Some(self.disk.restart(Crash::Kill));
        failed
    }
}

/// A process is killed in a sync that fails: nobody is left who was told. What is acknowledged afterwards stands on frames
/// that the disk never took.
#[test]
fn a_sync_that_fails_and_tells_nobody_loses_nothing() {
    for seed in 1..=8 {
        let (disk, host) = (SimDisk::new(seed), SimHost::new(seed));
        let untold = Arc::new(Untold {
            disk: disk.clone(),
            host: host.clone(),
            armed: AtomicU32::new(0),
            image: Mutex::default(),
        });
        let options = || OpenOptions::new().background(false);
        let db = Database::open_in(observed(&disk.env(&host), untold.clone()), "/one.kitedb", options()).unwrap();
        add(&db, "first").unwrap();
        disk.fail(FaultPlan::new(FaultOn::Sync, 1, io::ErrorKind::Other).on_path(".klog"));
        untold.armed.store(1, Ordering::SeqCst);
        add(&db, "killed").unwrap_err();
        let disk = untold.image.lock().unwrap().take().unwrap();
        let host = host.restart(Crash::Kill);
        let db = Database::open_in(disk.env(&host), "/one.kitedb", options()).unwrap();
        add(&db, "acknowledged").unwrap();
        let after = disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
        let db = Database::open_in(after.env(&host.restart(Crash::Kill)), "/one.kitedb", options()).unwrap();
        assert!(has(&db, "first") && has(&db, "acknowledged"), "seed {seed}");
    }
}
