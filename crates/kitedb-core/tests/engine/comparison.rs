//! `compare`: equal or not at an index that both have reached, where histories part, and which elements differ.

use crate::support::{Rng, for_seeds};
use crate::support_replication::{Graph, Machine, catch_up};
use kitedb_core::{Comparison, Database, Element, GraphRead, NodeId, Parting, ReplicationRole, SyncMode, compare};

fn alone(name: &'static str, seed: u64) -> (Machine, Database) {
    let machine = Machine::new(name, seed, SyncMode::Normal);
    let options = machine.options(ReplicationRole::Primary).replication_retention_min_entries(0);
    let db = machine.open(options).unwrap();
    (machine, db)
}

#[test]
fn a_replica_is_equal_at_every_index_and_the_lead_is_told() {
    let (a, primary) = alone("a", 1);
    let b = Machine::new("b", 2, SyncMode::Normal);
    let mut graph = Graph::new(7);
    graph.grow(&primary, 10);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    let found = compare(&primary, &replica).unwrap();
    assert_eq!((found.equal, found.lead(), found.log_index.0), (Some(true), 0, 10));
    assert_eq!((found.parted, found.difference_count), (None, 0));
    assert_eq!(found.a, found.b);

    graph.grow(&primary, 5);
    primary.checkpoint().unwrap();
    let found = compare(&primary, &replica).unwrap();
    assert_eq!((found.equal, found.lead(), found.log_index.0), (Some(true), 5, 10));
    assert_eq!(found.a.digest_at_index, Some(graph.digests[10]));
    assert_eq!(found.a.digest, graph.digests[15]);
    let found = compare(&replica, &primary).unwrap();
    assert_eq!((found.equal, found.lead()), (Some(true), -5));
}

#[test]
fn a_log_that_no_longer_reaches_back_is_said_to_be_so() {
    let (_, a) = alone("a", 1);
    let plain = Machine::new("b", 2, SyncMode::Normal);
    let b = plain.open(plain.options(ReplicationRole::Disabled)).unwrap();
    let (mut one, mut other) = (Graph::new(7), Graph::new(7));
    one.grow(&a, 4);
    other.grow(&b, 6);
    b.close().unwrap();
    // At rest, a database without replication has no log.
    let b = plain.open(plain.options(ReplicationRole::Disabled)).unwrap();
    let found = compare(&a, &b).unwrap();
    assert_eq!((found.equal, found.parted, found.log_index.0, found.lead()), (None, None, 4, -2));
    assert!(found.difference_count > 0);
    one.grow(&a, 2);
    assert_eq!(compare(&a, &b).unwrap().equal, Some(true));
}

#[test]
fn with_no_commit_on_one_side_nothing_is_proved() {
    let ((_, a), (_, b)) = (alone("a", 1), alone("b", 2));
    assert_eq!(compare(&a, &b).unwrap().equal, Some(true));
    Graph::new(1).commit(&a);
    assert_eq!(compare(&a, &b).unwrap().equal, None);
}

#[test]
fn histories_part_at_the_first_commit_that_is_another() {
    for_seeds("engine", "comparison::histories_part_at_the_first_commit_that_is_another", 40, |seed| {
        let mut rng = Rng::new(seed);
        let ((_, a), (_, b)) = (alone("a", seed), alone("b", seed + 1000));
        let common = rng.below(30);
        for (db, other) in [(&a, 0), (&b, 1)] {
            let mut graph = Graph::new(seed);
            for _ in 0..common {
                graph.commit(db);
            }
            db.transaction(|tx| tx.create_node(Some(["this", "that"][other])).map(drop)).unwrap();
            for n in 0..rng.below(20) {
                db.transaction(|tx| tx.create_node(Some(&format!("{n}"))).map(drop)).unwrap();
                if rng.one_in(5) {
                    db.checkpoint().unwrap();
                }
            }
        }
        let found = compare(&a, &b).unwrap();
        let (in_a, in_b) = (a.last_commit_token().unwrap().log_index, b.last_commit_token().unwrap().log_index);
        assert_eq!((found.equal, found.log_index), (Some(false), in_a.min(in_b)));
        assert_eq!(found.parted.map(index), Some((true, common + 1)));
        assert!(found.difference_count > 0);

        // Once a log has let go of where they parted, it can only be said to have been before that.
        let floor = a.primary_run_retention().unwrap().retained_floor;
        let found = compare(&a, &b).unwrap();
        let Some((exact, at)) = found.parted.map(index) else {
            // It does not even reach back to where the other one is.
            assert_eq!(found.equal, None);
            assert!(floor > found.log_index.0 + 1 && in_a > in_b, "{found:?}, floor {floor}");
            return;
        };
        assert_eq!(exact, floor <= common + 1, "{found:?}, floor {floor}");
        assert_eq!(at, if exact { common + 1 } else { floor - 1 });
    });
}

fn index(parting: Parting) -> (bool, u64) {
    match parting {
        Parting::At(index) => (true, index.0),
        Parting::AtOrBefore(index) => (false, index.0),
        other => panic!("{other:?}"),
    }
}

/// How each difference is told: the element, which of them have it, and the parts.
fn told(found: &Comparison) -> Vec<String> {
    let side = |difference: &kitedb_core::Difference| match (difference.in_a, difference.in_b) {
        (true, true) => difference.parts.join(", "),
        (true, false) => "only in a".to_owned(),
        _ => "only in b".to_owned(),
    };
    found.differences.iter().map(|difference| format!("{}: {}", difference.element, side(difference))).collect()
}

#[test]
fn every_kind_of_difference_is_told() {
    let ((_, a), (_, b)) = (alone("a", 1), alone("b", 2));
    for db in [&a, &b] {
        db.transaction(|tx| {
            for n in 1..=6 {
                tx.create_node(Some(&format!("n{n}")))?;
            }
            tx.add_node_label(NodeId(1), "Person")?;
            tx.set_node_prop(NodeId(1), "age", 40)?;
            tx.add_edge(NodeId(1), "KNOWS", NodeId(2))?;
            tx.add_edge(NodeId(1), "KNOWS", NodeId(3))?;
            tx.set_node_vector(NodeId(4), "place", &[1.0, 2.0])
        })
        .unwrap();
    }
    assert_eq!(compare(&a, &b).unwrap().equal, Some(true));
    a.transaction(|tx| {
        tx.set_node_prop(NodeId(1), "age", 41)?;
        tx.delete_node(NodeId(6))?;
        tx.set_edge_prop(NodeId(1), "KNOWS", NodeId(2), "since", 1999)?;
        tx.set_node_vector(NodeId(4), "place", &[1.0, 3.0])
    })
    .unwrap();
    b.transaction(|tx| {
        tx.remove_node_label(NodeId(1), "Person")?;
        tx.delete_edge(NodeId(1), "KNOWS", NodeId(3))?;
        tx.set_node_vector(NodeId(5), "place", &[0.0, 1.0])
    })
    .unwrap();
    let found = compare(&a, &b).unwrap();
    let expected = [
        "property key 3 (since): only in a",
        "node 1 (n1): labels, property age",
        "vector place of node 4: numbers",
        "vector place of node 5: only in b",
        "node 6 (n6): only in b",
        "edge 1 -[KNOWS]-> 2: property since",
        "edge 1 -[KNOWS]-> 3: only in a",
    ];
    assert_eq!(told(&found), expected);
    assert_eq!(found.difference_count, expected.len() as u64);
    assert!(matches!(&found.differences[1].element, Element::Node { id: NodeId(1), key: Some(key) } if key == "n1"));
    let view = a.snapshot().unwrap();
    assert_eq!((found.a.nodes, found.a.edges, found.a.vectors), (view.count_nodes(), view.count_edges(), 1));
}

#[test]
fn of_many_differences_only_the_first_are_listed() {
    let ((_, a), (_, b)) = (alone("a", 1), alone("b", 2));
    b.transaction(|tx| tx.create_node(None).map(drop)).unwrap();
    a.transaction(|tx| (0..=500).try_for_each(|_| tx.create_node(None).map(drop))).unwrap();
    let found = compare(&a, &b).unwrap();
    assert_eq!((found.differences.len(), found.difference_count), (Comparison::MAX_LISTED, 500));
}
