//! Nothing grows for ever, nothing costs more than it returns, and nobody runs out of handles or of stack.

use super::{
    stage::{Stage, add, add_many, disabled, has, nothing_said, primary, replica_of, segments, short_log},
    support_process::{Child, child_args, tell},
    support_replication::{catch_up, digest, folder::sidecar_of},
};
use kitedb_core::{
    AllTypes, Database, Direction, ErrorCode, GraphRead, NewNode, NodeId, OpenOptions, SyncMode, Transaction,
    TypeFilter, Value, View,
    io::sim::{SimDisk, SimHost},
};
use std::{collections::BTreeSet, fs, path::Path, thread};

fn off() -> OpenOptions {
    disabled().sync_mode(SyncMode::Off)
}

/// Runs the child test `role` in a process of its own on the folder of `stage`.
fn child(role: &str, stage: &Stage, more: &[&str]) -> Child {
    let folder = stage.path("");
    Child::spawn(&format!("attacks::bounds::{role}"), &[&[folder.to_str().unwrap()], more].concat())
}

/// In a process of its own, because a stack that overflows ends it.
#[test]
fn drops_a_view_that_was_held_over_many_checkpoints() {
    let Some(args) = child_args() else { return };
    let db = Database::open(Path::new(&args[0]).join("one.kitedb"), off().background(false)).unwrap();
    let node = db.transaction(|tx| tx.create_node(Some("a"))).unwrap();
    let view = db.snapshot().unwrap();
    for n in 0..3000 {
        db.transaction(|tx| tx.set_node_prop(node, "p", n)).unwrap();
        db.checkpoint().unwrap();
    }
    thread::Builder::new().stack_size(64 << 10).spawn(move || drop(view)).unwrap().join().unwrap();
    assert!(db.check().unwrap().is_clean());
    db.close().unwrap();
    tell("dropped");
}

#[test]
fn a_view_that_was_held_over_many_checkpoints_can_be_dropped() {
    let stage = Stage::new();
    let mut child = child("drops_a_view_that_was_held_over_many_checkpoints", &stage, &[]);
    child.expect("dropped");
    child.finish();
}

/// Resident memory of this process, in MiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// In a process of its own, because its memory is looked at.
#[test]
fn writes_on_while_something_is_held() {
    let Some(args) = child_args() else { return };
    let db = Database::open(Path::new(&args[0]).join("one.kitedb"), off().checkpoint_log_bytes(2 << 20)).unwrap();
    let ids: Vec<NodeId> = db.transaction(|tx| (0..2000).map(|_| tx.create_node(None)).collect()).unwrap();
    let rounds = |from: u64, to: u64| {
        for round in from..to {
            db.transaction(|tx| {
                ids.iter().try_for_each(|id| tx.set_node_prop(*id, "p", format!("{round}{}", "y".repeat(200))))
            })
            .unwrap();
        }
    };
    rounds(0, 30);
    db.checkpoint().unwrap();
    let view = (args[1] == "view").then(|| db.snapshot().unwrap());
    let idle = (args[1] == "transaction").then(|| db.begin().unwrap());
    rounds(30, 50);
    let before = resident();
    rounds(50, 170);
    tell(resident().saturating_sub(before));
    drop((view, idle));
}

#[test]
fn a_held_view_or_an_idle_transaction_does_not_keep_every_later_delta() {
    for held in ["nothing", "view", "transaction"] {
        let stage = Stage::new();
        let mut child = child("writes_on_while_something_is_held", &stage, &[held]);
        let grown: u64 = child.line().unwrap().parse().unwrap();
        // 120 rounds wrote 50 MiB of values.
        assert!(grown < 25, "{held}: {grown} MiB more");
        child.finish();
    }
}

/// What was pinned by a snapshot is given back once it is gone; and opens with a commit each leave no heap of runs.
#[test]
fn a_file_does_not_grow_for_ever() {
    let stage = Stage::new();
    let path = stage.path("one.kitedb");
    let db = Database::open(&path, off().checkpoint_log_bytes(1 << 20)).unwrap();
    let ids: Vec<NodeId> = db.transaction(|tx| (0..500).map(|_| tx.create_node(None)).collect()).unwrap();
    let round = |n: usize| {
        db.transaction(|tx| ids.iter().try_for_each(|id| tx.set_node_prop(*id, "p", format!("{n:0>200}")))).unwrap();
    };
    (0..10).for_each(round);
    db.compact().unwrap();
    let size = || fs::metadata(&path).unwrap().len();
    let view = db.snapshot().unwrap();
    (0..40).for_each(round);
    db.compact().unwrap();
    drop(view);
    for n in 0..3 {
        round(n);
        db.compact().unwrap();
    }
    // A round is some 100 KiB, of which a checkpoint in the background may have taken several at a time.
    assert!(size() < 1 << 20, "{} bytes", size());
    db.close().unwrap();
    for n in 0..60 {
        let db = Database::open(&path, off()).unwrap();
        db.transaction(|tx| tx.set_node_prop(ids[0], "n", n)).unwrap();
        db.close().unwrap();
    }
    assert!(size() < 1 << 20, "{} bytes", size());
}

/// Nanoseconds that this thread has been at work: no other load of the machine is counted.
fn work() -> u64 {
    let figures = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    figures.split_whitespace().next().unwrap().parse().unwrap()
}

/// What `act` works; what is less than the scheduler counts is a tick.
fn worked<T>(act: impl FnOnce() -> T) -> u64 {
    let before = work();
    act();
    (work() - before).max(4_000_000)
}

/// Twice the edges cost about twice the work, not four times.
#[test]
fn a_scan_of_a_hub_costs_what_it_returns() {
    let cost = |leaves: u64| {
        let stage = Stage::new();
        let db = Database::open(stage.path("one.kitedb"), off().auto_checkpoint(false)).unwrap();
        let hub = db.transaction(|tx| tx.create_node(None)).unwrap();
        for _ in 0..leaves / 1000 {
            db.transaction(|tx| {
                let ty = tx.etype_id_or_create("T")?;
                (0..1000).try_for_each(|_| {
                    let leaf = tx.create_node(None)?;
                    tx.add_edge(hub, ty, leaf)
                })
            })
            .unwrap();
        }
        let view = db.snapshot().unwrap();
        worked(|| assert_eq!(view.edges().count() as u64, leaves))
    };
    let (small, large) = (cost(25_000), cost(200_000));
    assert!(large < 24 * small, "eight times the edges cost {} times the work", large / small);
}

/// Many updates of two nodes with a label do not make it a label of many.
#[test]
fn a_scan_of_a_label_costs_what_it_returns() {
    let stage = Stage::new();
    let db = Database::open(stage.path("one.kitedb"), off().auto_checkpoint(false)).unwrap();
    let (mut nodes, mut label) = (Vec::new(), kitedb_core::LabelId(0));
    db.transaction(|tx| -> kitedb_core::Result<_> {
        label = tx.label_id_or_create("L")?;
        let labels = [label];
        let new = NewNode::new().labels(&labels);
        nodes = vec![tx.create_node_with(new)?, tx.create_node_with(new)?];
        Ok(())
    })
    .unwrap();
    let scan = || {
        let view = db.snapshot().unwrap();
        worked(|| (0..1000).for_each(|_| assert_eq!(view.nodes_with_label(label).unwrap().count(), 2)))
    };
    let before = scan();
    for n in 0..100_000 {
        db.transaction(|tx| tx.set_node_prop(nodes[n % 2], "p", n as i64)).unwrap();
    }
    let after = scan();
    assert!(after < 50 * before, "100,000 updates later a scan of two nodes costs {} times the work", after / before);
}

/// Page after page of what a hub, a label or the file has, while it lies in the delta, and in a transaction of one's own:
/// each costs what it returns, not what there is.
#[test]
fn a_page_costs_what_it_returns() {
    fn count<C: Copy>(mut page: impl FnMut(Option<C>) -> Option<C>) -> u64 {
        let (mut pages, mut after) = (1, page(None));
        while after.is_some() {
            (pages, after) = (pages + 1, page(after));
        }
        pages
    }
    fn pages<G: GraphRead>(graph: &G, hub: NodeId, expected: u64) {
        let found = [
            count(|after| graph.neighbors_page(hub, Direction::In, AllTypes, after, 100).unwrap().next),
            count(|after| graph.edges_page(after, 100).unwrap().next),
            count(|after| graph.label_page("L", after, 100).unwrap().next),
            count(|after| graph.nodes_page(after, 100).unwrap().next),
        ];
        assert!(found.iter().all(|pages| pages.abs_diff(expected / 100) <= 1), "{found:?}");
    }
    let costs = |leaves: u64| {
        let stage = Stage::new();
        let db = Database::open(stage.path("one.kitedb"), off().auto_checkpoint(false)).unwrap();
        let mut tx = db.begin().unwrap();
        let (ty, label) = (tx.etype_id_or_create("T").unwrap(), tx.label_id_or_create("L").unwrap());
        let hub = tx.create_node(None).unwrap();
        for _ in 0..leaves {
            let leaf = tx.create_node_with(NewNode::new().labels(&[label])).unwrap();
            tx.add_edge(leaf, ty, hub).unwrap();
        }
        let own = worked(|| pages(&tx, hub, leaves));
        tx.commit().unwrap();
        let view = db.snapshot().unwrap();
        [own, worked(|| pages(&view, hub, leaves))]
    };
    let (small, large) = (costs(10_000), costs(80_000));
    for (which, (small, large)) in ["a transaction", "the delta"].iter().zip(small.iter().zip(&large)) {
        assert!(*large < 24 * small, "{which}: eight times as much cost {} times the work", large / small);
    }
}

/// Every page of every listing of `graph`, each of `limit` items, holds what `edges` and `nodes` say, in order.
fn assert_paged<G: GraphRead>(graph: &G, edges: &BTreeSet<(u64, u64, u64)>, labelled: &BTreeSet<u64>, limit: usize) {
    fn all<T, C: Copy>(mut page: impl FnMut(Option<C>) -> kitedb_core::Page<T, C>) -> Vec<T> {
        let mut found = page(None);
        while let Some(next) = found.next {
            let more = page(Some(next));
            found.items.extend(more.items);
            found.next = more.next;
        }
        found.items
    }
    let plain = |e: kitedb_core::EdgeKey| (e.src.0, u64::from(e.ty.0), e.dst.0);
    let expected: Vec<_> = edges.iter().copied().collect();
    let paged = all(|after| graph.edges_page(after, limit).unwrap());
    assert_eq!(paged.into_iter().map(plain).collect::<Vec<_>>(), expected);
    assert_eq!(graph.edges().map(|edge| plain(edge.unwrap().key())).collect::<Vec<_>>(), expected);
    let paged = all(|after| graph.label_page("L", after, limit).unwrap());
    assert_eq!(paged.iter().map(|id| id.0).collect::<Vec<_>>(), labelled.iter().copied().collect::<Vec<_>>());
    let hub = NodeId(1);
    let types: BTreeSet<_> = edges.iter().map(|edge| edge.1).collect();
    for ty in types.into_iter().map(|ty| Some(kitedb_core::EdgeTypeId(ty as u32))).chain([None]) {
        for direction in [Direction::Out, Direction::In] {
            let at_hub = edges.iter().filter_map(|&(src, of, dst)| {
                let (node, other) = if direction == Direction::Out { (src, dst) } else { (dst, src) };
                (node == 1 && ty.is_none_or(|ty| u64::from(ty.0) == of)).then_some((of, other))
            });
            let filter = ty.map_or(AllTypes.into(), TypeFilter::from);
            let paged = all(|after| graph.neighbors_page(hub, direction, filter, after, limit).unwrap());
            let paged: Vec<_> =
                paged.into_iter().map(|edge| (u64::from(edge.ty.0), edge.ends(direction).1.0)).collect();
            assert_eq!(paged, at_hub.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>(), "{ty:?} {direction:?}");
        }
    }
}

/// A hub whose edges lie in two runs, a delta that waits for its checkpoint, the one above it and a transaction; in each
/// of them some come, and some of those below go.
#[test]
fn a_hub_in_every_level_is_paged_in_order() {
    let (host, disk) = (SimHost::new(1), SimDisk::new(1));
    let options = OpenOptions::new().background(false).sync_mode(SyncMode::Off);
    let db = Database::open_in(disk.env(&host), "/graph.kitedb", options).unwrap();
    db.transaction(|tx| (0..3000).try_for_each(|_| tx.create_node(None).map(drop))).unwrap();
    let (mut edges, mut labelled) = (BTreeSet::new(), BTreeSet::new());
    let mut turn = |tx: &mut Transaction, level: u64| {
        let types = [tx.etype_id_or_create("T").unwrap(), tx.etype_id_or_create("U").unwrap()];
        for n in 0..700u64 {
            // All over the place, and over the other levels.
            let (other, ty) = (NodeId(2 + (n * 911 + level * 17) % 2900), types[(n % 2) as usize]);
            let (src, dst) = if n % 3 == 0 { (other, NodeId(1)) } else { (NodeId(1), other) };
            let key = (src.0, u64::from(ty.0), dst.0);
            if edges.remove(&key) {
                tx.delete_edge(src, ty, dst).unwrap();
            } else {
                edges.insert(key);
                tx.add_edge(src, ty, dst).unwrap();
            }
            if labelled.remove(&other.0) {
                tx.remove_node_label(other, "L").unwrap();
            } else {
                labelled.insert(other.0);
                tx.add_node_label(other, "L").unwrap();
            }
        }
        let gone: Vec<_> = edges.iter().copied().filter(|edge| (edge.0 * 7 + edge.2) % 11 == level).collect();
        for key @ (src, ty, dst) in gone {
            tx.delete_edge(NodeId(src), kitedb_core::EdgeTypeId(ty as u32), NodeId(dst)).unwrap();
            edges.remove(&key);
        }
        (edges.clone(), labelled.clone())
    };
    let mut states = Vec::new();
    for level in 0..4 {
        let mut tx = db.begin().unwrap();
        let (edges, labelled) = turn(&mut tx, level);
        assert_paged(&tx, &edges, &labelled, 97);
        tx.commit().unwrap();
        let view = db.snapshot().unwrap();
        assert_paged(&view, &edges, &labelled, 97);
        states.push((view, edges, labelled));
        match level {
            0 | 1 => db.checkpoint().unwrap(),
            2 => {
                // It has no room, so that its delta waits.
                disk.set_capacity(Some(disk.used()));
                db.checkpoint().unwrap_err();
                disk.set_capacity(None);
            }
            _ => {}
        }
        assert_paged(&db.snapshot().unwrap(), &states[level as usize].1, &states[level as usize].2, 300);
    }
    let mut tx = db.begin().unwrap();
    let (edges, labelled) = turn(&mut tx, 4);
    for limit in [1, 100, usize::MAX] {
        assert_paged(&tx, &edges, &labelled, limit);
    }
    // Orders that are kept grow with what others commit, and old views do not see that.
    tx.commit().unwrap();
    assert_paged(&db.snapshot().unwrap(), &edges, &labelled, 50);
    for (view, edges, labelled) in &states {
        assert_paged(view, edges, labelled, 1000);
    }
    db.compact().unwrap();
    assert_paged(&db.snapshot().unwrap(), &edges, &labelled, 50);
    assert!(db.check().unwrap().is_clean());
}

/// A check of a node with very many labels, in the delta and in the file.
#[test]
fn a_check_of_many_labels_on_one_node_costs_what_they_are() {
    let costs = |count: u64| {
        let stage = Stage::new();
        let db = Database::open(stage.path("one.kitedb"), off().auto_checkpoint(false)).unwrap();
        db.transaction(|tx| {
            let labels: Result<Vec<_>, _> = (0..count).map(|n| tx.label_id_or_create(&format!("L{n}"))).collect();
            let labels = labels?;
            tx.create_node_with(NewNode::new().labels(&labels))?;
            tx.create_node_with(NewNode::new().labels(&labels[labels.len() / 2..]))
        })
        .unwrap();
        let check = || worked(|| assert!(db.check().unwrap().is_clean()));
        let in_delta = check();
        let checkpoint = worked(|| db.checkpoint().unwrap());
        [in_delta, checkpoint, check()]
    };
    let (small, large) = (costs(4000), costs(32_000));
    for (which, (small, large)) in
        ["in the delta", "the checkpoint", "in the file"].iter().zip(small.iter().zip(&large))
    {
        assert!(*large < 24 * small, "{which}: eight times the labels cost {} times the work", large / small);
    }
}

/// What is held is told, in bytes and in time.
#[test]
fn what_a_held_view_pins_is_told() {
    let host = SimHost::new(1);
    let disk = SimDisk::new(1);
    let options = OpenOptions::new().background(false).sync_mode(SyncMode::Off);
    let db = Database::open_in(disk.env(&host), "/graph.kitedb", options).unwrap();
    let write = |text: &str| {
        db.transaction(|tx| tx.upsert_node("a", &[]).and_then(|(id, _)| tx.set_node_prop(id, "p", text.repeat(5000))))
            .unwrap();
    };
    let pins = || {
        let (stats, metrics) = (db.stats().unwrap(), db.collect_metrics().unwrap());
        let mvcc = metrics.mvcc.unwrap();
        assert_eq!(stats.oldest_pin_ms, mvcc.oldest_pin_ms);
        let told = (metrics.memory.pinned_delta_bytes, metrics.memory.pinned_run_bytes);
        assert_eq!((stats.pinned_delta_bytes, stats.pinned_run_bytes), told);
        let parts = metrics.memory.delta_estimate_bytes + metrics.memory.snapshot_bytes + told.0 + told.1;
        assert_eq!(metrics.memory.total_estimate_bytes, parts);
        (stats.oldest_pin_ms, told.0, told.1)
    };
    write("x");
    db.checkpoint().unwrap();
    write("y");
    let view = db.snapshot().unwrap();
    let mut late = db.begin().unwrap();
    late.create_node(Some("late")).unwrap();
    assert_eq!(pins(), (None, 0, 0), "what is current is pinned by nobody");
    let mut bytes = Vec::new();
    for n in 0..20 {
        write("z");
        db.checkpoint().unwrap();
        db.compact().unwrap();
        host.advance_ms(1000);
        let (age, delta, runs) = pins();
        assert_eq!(age, Some(1000 * (n + 1)));
        bytes.push((delta, runs));
    }
    // The delta that it was taken in ended with the first checkpoint, and none is held since.
    assert!(bytes[0].0 > 5000 && bytes[0].1 > 5000, "{bytes:?}");
    assert!(bytes.iter().all(|pinned| *pinned == bytes[0]), "{bytes:?}");
    // Who writes beside it goes on, and so does a transaction that wrote all along.
    write("v");
    late.commit().unwrap();
    assert!(db.snapshot().unwrap().node_by_key("late").unwrap().is_some());
    drop(view);
    assert_eq!(pins(), (None, 0, 0));
}

/// A view outlives the handle that it came from, while another handle goes on, and after the last one is closed.
#[test]
fn a_view_that_outlives_its_handle_counts_as_a_pin() {
    let stage = Stage::new();
    let path = stage.path("one.kitedb");
    let (first, second) = (Database::open(&path, off()).unwrap(), Database::open(&path, off()).unwrap());
    let write = |db: &Database, n: usize| {
        db.transaction(|tx| {
            let (id, _) = tx.upsert_node("a", &[])?;
            tx.set_node_prop(id, "p", n.to_string().repeat(100_000))
        })
        .unwrap();
        db.compact().unwrap();
    };
    let seen = |view: &View| view.node_prop(NodeId(1), "p").unwrap();
    write(&first, 0);
    let view = first.snapshot().unwrap();
    let before = seen(&view);
    first.close().unwrap();
    write(&second, 1);
    let stats = second.stats().unwrap();
    assert!(stats.oldest_pin_ms.is_some() && stats.pinned_run_bytes > 100_000, "{stats:?}");
    second.close().unwrap();
    let third = Database::open(&path, off()).unwrap();
    (2..20).for_each(|n| write(&third, n));
    assert!(third.stats().unwrap().pinned_elsewhere);
    assert_eq!(seen(&view), before, "nothing was written over what it sees");
    let held = third.stats().unwrap().file_bytes;
    // The handles that it outlived are there still; closed, they hold nothing.
    drop(view);
    assert!(!third.stats().unwrap().pinned_elsewhere);
    (20..25).for_each(|n| write(&third, n));
    assert!(third.stats().unwrap().file_bytes < held, "its space is used again");
}

/// A hub is deleted: given up, in conflict, and done; and a replica does the same.
#[test]
fn a_hub_is_deleted_as_a_whole() {
    let stage = Stage::new();
    let source = stage.path("p.kitedb");
    let db = Database::open(&source, primary().sync_mode(SyncMode::Off)).unwrap();
    let hub = db
        .transaction(|tx| -> kitedb_core::Result<_> {
            let (hub, ty) = (tx.create_node(Some("hub"))?, tx.etype_id_or_create("T")?);
            for n in 0..20_000 {
                let leaf = tx.create_node(None)?;
                if n % 2 == 0 { tx.add_edge(leaf, ty, hub)? } else { tx.add_edge(hub, ty, leaf)? }
            }
            Ok(hub)
        })
        .unwrap();
    db.checkpoint().unwrap();
    let replica = stage.replica("r.kitedb", &source);
    let mut given_up = db.begin().unwrap();
    given_up.delete_node(hub).unwrap();
    given_up.rollback();
    let mut beside = db.begin().unwrap();
    beside.delete_node(hub).unwrap();
    db.transaction(|tx| {
        let leaf = tx.create_node(None)?;
        tx.add_edge(leaf, "T", hub)
    })
    .unwrap();
    assert_eq!(beside.commit().unwrap_err().code(), ErrorCode::Conflict);
    let before = db.snapshot().unwrap();
    db.transaction(|tx| tx.delete_node(hub)).unwrap();
    assert_eq!((before.count_edges(), db.snapshot().unwrap().count_edges()), (20_001, 0));
    assert_eq!(before.in_degree(hub, AllTypes).unwrap() + before.out_degree(hub, AllTypes).unwrap(), 20_001);
    drop(before);
    let follower = Database::open(&replica, replica_of(&source)).unwrap();
    catch_up(&follower);
    assert_eq!(digest(&follower), digest(&db));
    db.compact().unwrap();
    assert!(db.check().unwrap().is_clean() && follower.check().unwrap().is_clean());
}

/// One commit larger than every segment and page: it is replicated whole, or refused as too large.
#[test]
fn a_commit_larger_than_every_limit_is_replicated_or_refused() {
    let stage = Stage::new();
    let source = stage.path("p.kitedb");
    let db = Database::open(&source, short_log(primary().sync_mode(SyncMode::Off))).unwrap();
    add(&db, "first").unwrap();
    let replica = stage.replica("r.kitedb", &source);
    let large = |mib: usize| {
        db.transaction(|tx| {
            let node = tx.create_node(None)?;
            (0..mib).try_for_each(|n| tx.set_node_prop(node, &*format!("p{n}"), Value::Bytes(vec![7; 1 << 20])))
        })
    };
    for mib in [1, 15, 40] {
        large(mib).unwrap();
    }
    assert_eq!(large(64).unwrap_err().code(), ErrorCode::TransactionTooLarge);
    add(&db, "last").unwrap();
    let follower = Database::open(&replica, short_log(replica_of(&source))).unwrap();
    let mut frames = 0;
    while follower.replica_catch_up_once(1).unwrap() > 0 {
        frames += 1;
    }
    assert_eq!(frames, 4);
    assert!(has(&follower, "last") && digest(&follower) == digest(&db));
}

/// In a process of its own, because it has few handles.
#[test]
fn opens_with_few_handles() {
    let Some(args) = child_args() else { return };
    let limit = rustix::process::Rlimit { current: Some(64), maximum: Some(64) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let path = Path::new(&args[0]).join("crashed/p.kitedb");
    for read_only in [true, false] {
        let opened = Database::open(&path, nothing_said().read_only(read_only));
        tell(opened.map_or_else(|e| format!("{e:?}"), |db| db.snapshot().unwrap().count_nodes().to_string()));
    }
}

/// More segments since the checkpoint than a process may open files.
#[test]
fn a_log_of_many_segments_needs_few_handles() {
    let stage = Stage::new();
    let options = short_log(primary()).sync_mode(SyncMode::Off).replication_retention_min_entries(1000);
    let live = Database::open(stage.path("p.kitedb"), options).unwrap();
    add_many(&live, "n", 300);
    let crashed = stage.folder("crashed").join("p.kitedb");
    crate::attacks::stage::copy_database(live.path(), &crashed);
    assert!(segments(&sidecar_of(&crashed)) > 250);
    let mut child = child("opens_with_few_handles", &stage, &[]);
    child.expect("300");
    child.expect("300");
    child.finish();
}
