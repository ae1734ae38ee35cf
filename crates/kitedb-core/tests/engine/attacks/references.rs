//! Who reads through references, filters and cursors: with a wrong name, at the wrong time, in another thread, after the
//! close, and never to the end.

use super::stage::{Stage, disabled, short_log};
use kitedb_core::{
    AllTypes, Database, Direction, EdgeKey, EdgeTypeId, Error, ErrorCode, Graph, GraphRead, NodeCursor, NodeId,
    NodeRef, Result, Transaction, TypeFilter, Value, ValueRef, View,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

/// A database whose runs stay as they are until it is told otherwise.
fn quiet(stage: &Stage) -> Database {
    Database::open(stage.path("graph.kitedb"), disabled().background(false)).unwrap()
}

/// A hub with ten leaves, each at both ends of an edge of its own type.
fn star(db: &Database) -> (NodeId, Vec<NodeId>) {
    let star = db.transaction(|tx| -> Result<_> {
        let hub = tx.create_node(Some("hub"))?;
        let leaves = (0..10).map(|n| tx.create_node(Some(&format!("leaf {n}")))).collect::<Result<Vec<_>>>()?;
        for leaf in &leaves {
            tx.add_node_label(*leaf, "Leaf")?;
            tx.add_edge(hub, "TO", *leaf)?;
            tx.add_edge(*leaf, "FRO", hub)?;
        }
        Ok((hub, leaves))
    });
    star.unwrap()
}

/// How many edges each call that takes a filter finds at a node.
fn found(graph: &dyn Graph, node: NodeId, direction: Direction, types: TypeFilter<'_>) -> Vec<usize> {
    let (edges, neighbors, degree) = match direction {
        Direction::Out => {
            (graph.out_edges(node, types), graph.out_neighbors(node, types), graph.out_degree(node, types))
        }
        Direction::In => (graph.in_edges(node, types), graph.in_neighbors(node, types), graph.in_degree(node, types)),
    };
    let mut visited = 0;
    graph.for_each_neighbor(node, direction, types, |_| visited += 1).unwrap();
    vec![
        edges.unwrap().count(),
        neighbors.unwrap().count(),
        degree.unwrap() as usize,
        graph.degree(node, direction, types).unwrap() as usize,
        visited,
        graph.sorted_edges(node, direction, types).unwrap().count(),
        graph.neighbors_page(node, direction, types, None, 100).unwrap().items.len(),
    ]
}

#[test]
fn a_misspelt_type_never_means_every_type() {
    let stage = Stage::new();
    let db = quiet(&stage);
    let (hub, _) = star(&db);
    let check = |graph: &dyn Graph| {
        let wrong = ["TOO", "to", "", " TO", "hub", "Leaf"].map(TypeFilter::from);
        let never_given = [0, 3, 77, u32::MAX].map(|id| TypeFilter::from(EdgeTypeId(id)));
        for direction in [Direction::Out, Direction::In] {
            for filter in wrong.into_iter().chain(never_given) {
                assert_eq!(found(graph, hub, direction, filter), [0; 7], "{filter:?} {direction:?}");
            }
            assert_eq!(found(graph, hub, direction, AllTypes.into()), [10; 7], "{direction:?}");
            let (there, not_there) = if direction == Direction::Out { ("TO", "FRO") } else { ("FRO", "TO") };
            assert_eq!(found(graph, hub, direction, there.into()), [10; 7], "{direction:?}");
            assert_eq!(found(graph, hub, direction, not_there.into()), [0; 7], "{direction:?}");
            assert_eq!(found(graph, NodeId(u64::MAX), direction, AllTypes.into()), [0; 7]);
        }
        for label in ["leaf", "", "Leaf ", "TO"] {
            assert_eq!(graph.nodes_with_label(label).unwrap().count(), 0, "{label:?}");
        }
    };
    for step in 0..3 {
        check(&db.snapshot().unwrap());
        check(&db.begin().unwrap());
        let mut tx = db.begin().unwrap();
        tx.set_node_prop(hub, "touched", true).unwrap();
        tx.add_edge(hub, "OTHER", hub).unwrap();
        tx.delete_edge(hub, "OTHER", hub).unwrap();
        check(&tx);
        let view = db.snapshot().unwrap();
        for name in ["TOO", ""] {
            assert!(view.neighbor_cursor(hub, Direction::Out, name).next_batch(5).unwrap().is_empty());
            assert!(view.label_cursor(name).next_batch(5).unwrap().is_empty());
        }
        assert_eq!(view.neighbor_cursor(hub, Direction::Out, AllTypes).next_batch(50).unwrap().len(), 10);
        if step == 0 { db.checkpoint().unwrap() } else { db.compact().unwrap() }
    }
}

/// The properties that each way to come upon the edge tells.
fn told(graph: &dyn Graph, edge: EdgeKey) -> Vec<Option<i64>> {
    let value = |value: Option<ValueRef<'_>>| match value {
        Some(ValueRef::I64(value)) => Some(value),
        None => None,
        other => panic!("{other:?}"),
    };
    let mut told = Vec::new();
    for found in graph.out_edges(edge.src, AllTypes).unwrap().chain(graph.in_edges(edge.dst, AllTypes).unwrap()) {
        told.extend((found.key() == edge).then(|| value(found.prop("n").unwrap())));
    }
    for direction in [Direction::Out, Direction::In] {
        let mut at = graph.sorted_edges(edge.ends(direction).0, direction, AllTypes).unwrap();
        told.extend(at.find(|found| found.key() == edge).map(|found| value(found.prop("n").unwrap())));
    }
    let mut all = graph.edges().map(Result::unwrap);
    told.extend(all.find(|found| found.key() == edge).map(|found| value(found.prop("n").unwrap())));
    told.extend(graph.edge(edge).unwrap().map(|found| value(found.prop("n").unwrap())));
    told
}

/// An edge is come upon where it was added; what was said of it since lies in newer levels.
#[test]
fn an_edge_that_was_come_upon_tells_its_newest_properties() {
    let stage = Stage::new();
    let db = quiet(&stage);
    let (hub, leaves) = star(&db);
    let edge = db.transaction(|tx| tx.add_parallel_edge(hub, "TO", leaves[4], &[])).unwrap();
    let expect = |graph: &dyn Graph, n: Option<i64>| assert_eq!(told(graph, edge), [n; 6], "{n:?}");
    let set = |n: i64| db.transaction(|tx| tx.set_edge_prop_by_key(edge, "n", n)).unwrap();
    expect(&db.snapshot().unwrap(), None);
    for n in 0..4 {
        // In the active delta, then in a run over those before, each of which says something else.
        set(n);
        expect(&db.snapshot().unwrap(), Some(n));
        db.checkpoint().unwrap();
        expect(&db.snapshot().unwrap(), Some(n));
    }
    assert!(db.collect_metrics().unwrap().engine.runs > 2, "the levels are to lie over each other");
    let before = db.snapshot().unwrap();
    let mut tx = db.begin().unwrap();
    tx.set_edge_prop_by_key(edge, "n", 100).unwrap();
    expect(&tx, Some(100));
    // Gone and there again, without a property.
    tx.delete_edge_by_key(edge).unwrap();
    assert_eq!(told(&tx, edge), []);
    tx.add_edge_by_key(edge, &[]).unwrap();
    expect(&tx, None);
    tx.commit().unwrap();
    expect(&db.snapshot().unwrap(), None);
    db.checkpoint().unwrap();
    expect(&db.snapshot().unwrap(), None);
    set(7);
    db.compact().unwrap();
    expect(&db.snapshot().unwrap(), Some(7));
    expect(&before, Some(3));
    assert!(db.check().unwrap().is_clean());
}

fn is_send<T: Send + 'static>(value: T) -> T {
    value
}

/// The keys of the nodes that are left, some at a time.
fn drain(cursor: &mut NodeCursor, limit: usize) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    loop {
        let batch = cursor.next_batch(limit)?;
        if batch.is_empty() {
            return Ok(keys);
        }
        for node in batch {
            keys.extend(node.key()?.map(str::to_owned));
        }
    }
}

#[test]
fn a_cursor_goes_on_in_its_state_whatever_becomes_of_the_database() {
    let stage = Stage::new();
    let path = stage.path("graph.kitedb");
    let db = Database::open(&path, short_log(disabled().background(false))).unwrap();
    let (hub, leaves) = star(&db);
    db.checkpoint().unwrap();
    let views = || db.collect_metrics().unwrap().mvcc.unwrap().active_views;
    let view = db.snapshot().unwrap();
    let mut nodes = is_send(view.node_cursor());
    let mut edges = is_send(view.neighbor_cursor(hub, Direction::Out, AllTypes));
    drop(view);
    assert_eq!(views(), 2, "each holds its state by itself");
    assert_eq!(nodes.next_batch(3).unwrap().len(), 3);
    assert_eq!(edges.next_batch(3).unwrap().len(), 3);
    // What they have not come to yet changes, and the runs that they read are merged away.
    db.transaction(|tx| leaves.iter().try_for_each(|leaf| tx.delete_node(*leaf))).unwrap();
    db.compact().unwrap();
    let (nodes, edges) =
        thread::spawn(move || (drain(&mut nodes, 2).unwrap(), edges.next_batch(100).unwrap().len())).join().unwrap();
    assert_eq!((nodes.len(), edges), (8, 7));
    assert_eq!(nodes.last().map(String::as_str), Some("leaf 9"));
    assert_eq!(views(), 0, "what was dropped in another thread gave its state back");
    // One is left half-way, one is leaked, one outlives the close.
    let mut half = db.snapshot().unwrap().node_cursor();
    half.next_batch(1).unwrap();
    drop(half);
    assert_eq!(views(), 0);
    std::mem::forget(db.snapshot().unwrap().edge_cursor());
    let mut late = db.snapshot().unwrap().node_cursor();
    db.close().unwrap();
    assert_eq!(drain(&mut late, 10).unwrap(), ["hub"]);
    // The leaked one keeps memory, and no lock.
    let db = Database::open(&path, disabled()).unwrap();
    assert_eq!(db.snapshot().unwrap().count_nodes(), 1);
    assert_eq!(drain(&mut late, 10).unwrap(), Vec::<String>::new(), "an end stays the end");
    db.close().unwrap();
}

#[test]
fn a_cursor_refuses_a_batch_of_nothing_and_stays_where_it_is() {
    let stage = Stage::new();
    let db = quiet(&stage);
    let (hub, leaves) = star(&db);
    let view = db.snapshot().unwrap();
    let mut nodes = view.label_cursor("Leaf");
    let mut edges = view.neighbor_cursor(hub, Direction::In, "FRO");
    let refused = |e: Error| assert_eq!(e.code(), ErrorCode::InvalidArgument, "{e}");
    refused(nodes.next_batch(0).unwrap_err());
    refused(edges.next_batch(0).unwrap_err());
    assert_eq!((nodes.position(), edges.position()), (None, None));
    assert_eq!(nodes.next_batch(4).unwrap().len(), 4);
    assert_eq!(edges.next_batch(4).unwrap().len(), 4);
    // A page of the same state goes on where the cursor is, and the other way round.
    let rest = view.label_page("Leaf", nodes.position(), 100).unwrap().items;
    assert_eq!(rest, leaves[4..]);
    let rest = view.neighbors_page(hub, Direction::In, "FRO", edges.position(), 100).unwrap().items;
    assert_eq!(rest.iter().map(|edge| edge.src).collect::<Vec<_>>(), leaves[4..]);
    refused(nodes.next_batch(0).unwrap_err());
    let batch = nodes.next_batch(usize::MAX).unwrap();
    assert_eq!(batch.iter().map(NodeRef::id).collect::<Vec<_>>(), leaves[4..]);
    for _ in 0..3 {
        assert!(nodes.next_batch(1).unwrap().is_empty());
    }
    refused(nodes.next_batch(0).unwrap_err());
    assert_eq!(nodes.position(), leaves.last().copied());
    assert_eq!(nodes.view().unwrap().token(), view.token());
}

/// Threads read one transaction, and one view, at a time: both can be shared.
#[test]
fn a_transaction_is_read_from_several_threads_at_once() {
    let stage = Stage::new();
    let db = quiet(&stage);
    let (hub, leaves) = star(&db);
    let mut tx = db.begin().unwrap();
    for leaf in &leaves {
        tx.add_edge(hub, "ALSO", *leaf).unwrap();
        tx.set_node_prop(*leaf, "n", 1).unwrap();
    }
    let view = db.snapshot().unwrap();
    let sum = |graph: &dyn Graph| -> i64 {
        let nodes = graph.out_neighbors(hub, AllTypes).unwrap();
        nodes.map(|node| node.prop("n").unwrap().map_or(0, |n| if n == ValueRef::I64(1) { 1 } else { 100 })).sum()
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!((sum(&tx), sum(&view)), (20, 0))));
        }
    });
    // A reference may go to the thread that needs it.
    let node = view.node(hub).unwrap().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || assert_eq!(node.key().unwrap(), Some("hub")));
    });
}

#[derive(Debug, PartialEq)]
enum Mine {
    No,
    Engine(ErrorCode),
}

impl From<Error> for Mine {
    fn from(e: Error) -> Self {
        Self::Engine(e.code())
    }
}

#[test]
fn a_closure_that_fails_in_its_own_way_or_panics_leaves_nothing() {
    let stage = Stage::new();
    let db = quiet(&stage);
    let create = |tx: &mut Transaction, key: &str| tx.create_node(Some(key)).map(drop);
    let token = db.last_commit_token();
    assert_eq!(db.transaction(|tx| create(tx, "a").map_err(Mine::from).and(Err::<(), _>(Mine::No))), Err(Mine::No));
    let boxed: Result<(), Box<dyn std::error::Error>> = db.transaction(|tx| {
        create(tx, "a")?;
        Err("not now".into())
    });
    assert_eq!(boxed.unwrap_err().to_string(), "not now");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        db.transaction(|tx| -> Result<()> {
            create(tx, "a")?;
            panic!("as asked for")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(db.last_commit_token(), token);
    assert!(db.snapshot().unwrap().node_by_key("a").unwrap().is_none());
    // What can be used once is given to it, and comes back out of it.
    let key = "a".to_owned();
    let key = db.transaction(move |tx| create(tx, &key).map(|()| key)).unwrap();
    assert_eq!(db.transaction(|tx| create(tx, &key).map_err(Mine::from)), Err(Mine::Engine(ErrorCode::DuplicateKey)));
    db.clone().close().unwrap();
    assert_eq!(db.transaction(|_| Ok::<(), Mine>(())), Err(Mine::Engine(ErrorCode::Closed)));
}

/// Only what the commit meets is tried again, as often as was said; each time with a new snapshot.
#[test]
fn conflicts_are_tried_again_and_nothing_else_is() {
    let stage = Stage::new();
    let db = quiet(&stage);
    let node = db.transaction(|tx| tx.create_node(Some("counter"))).unwrap();
    let elsewhere = |n: i64| db.transaction(|tx| tx.set_node_prop(node, "n", n)).unwrap();
    let run = |attempts: u32, conflicts: i64| {
        let mut calls = 0;
        let result = db.transaction_with_retry(attempts, |tx| -> Result<_, Mine> {
            calls += 1;
            if calls <= conflicts {
                elsewhere(calls);
            }
            let before = tx.node_prop(node, "n")?;
            tx.set_node_prop(node, "n", 1000)?;
            Ok(before)
        });
        (result, calls)
    };
    assert_eq!(run(3, 2), (Ok(Some(Value::I64(2))), 3), "the last one sees what the others met");
    assert_eq!(run(3, 3), (Err(Mine::Engine(ErrorCode::Conflict)), 3));
    assert_eq!(run(1, 1), (Err(Mine::Engine(ErrorCode::Conflict)), 1));
    assert_eq!(run(0, 0), (Err(Mine::Engine(ErrorCode::InvalidArgument)), 0), "no attempt is none");
    let mut calls = 0;
    let failed = db.transaction_with_retry(10, |_| -> Result<(), Mine> {
        calls += 1;
        Err(Mine::No)
    });
    assert_eq!((failed, calls), (Err(Mine::No), 1));
}

/// What a reader of the documents meets is one name for each thing; the names of 0.2 are the same things.
#[test]
fn names_of_0_2_are_other_names_of_the_same() {
    use kitedb_core::{SingleFileDB, SingleFileOpenOptions, compat};
    let stage = Stage::new();
    let options: SingleFileOpenOptions = disabled();
    let db: SingleFileDB = compat::open_single_file(stage.path("old.kitedb"), options).unwrap();
    db.transaction(|tx| tx.create_node(Some("a"))).unwrap();
    assert_eq!(compat::collect_metrics_single_file(&db).unwrap().data.node_count, 1);
    assert!(compat::health_check_single_file(&db).unwrap().healthy);
    let view: View = db.snapshot().unwrap();
    kitedb_core::close_single_file(db).unwrap();
    assert_eq!(view.count_nodes(), 1);
}
