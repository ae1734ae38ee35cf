//! Several edges of one type between two nodes: what each call means among them, whoever adds them at once, and whatever
//! became of the database meanwhile.

use super::{
    stage::{Stage, disabled, nothing_said, primary, replica_of},
    support_process::{assert_clean, copy_as_after_a_crash},
    support_replication::catch_up,
};
use kitedb_core::{
    AllTypes, Database, Direction, EdgeKey, Element, ErrorCode, GraphRead, MAX_RANK, NodeId, Result, Transaction,
    Value, compare,
};

fn ends(db: &Database) -> (NodeId, NodeId) {
    let view = db.snapshot().unwrap();
    (view.node_by_key("a").unwrap().unwrap(), view.node_by_key("b").unwrap().unwrap())
}

fn code<T>(result: Result<T>) -> ErrorCode {
    result.map(drop).unwrap_err().code()
}

/// Adds an edge of type `PAID` beside those that are there.
fn pay(tx: &mut Transaction, from: NodeId, to: NodeId) -> Result<EdgeKey> {
    tx.add_parallel_edge(from, "PAID", to, &[])
}

/// `look` at the state in memory, after a crash, in a run, in a merged run, and after a clean close.
fn everywhere(stage: &Stage, mut db: Database, look: impl Fn(&Database)) -> Database {
    look(&db);
    let crashed = stage.path("crashed.kitedb");
    copy_as_after_a_crash(db.path(), &crashed);
    db.close().unwrap();
    db = Database::open(&crashed, nothing_said()).unwrap();
    look(&db);
    db.checkpoint().unwrap();
    look(&db);
    db.transaction(|tx| tx.create_node(None)).unwrap();
    db.compact().unwrap();
    look(&db);
    db.close().unwrap();
    let db = Database::open(&crashed, nothing_said()).unwrap();
    look(&db);
    assert_clean(&db);
    db
}

#[test]
fn calls_by_ends_mean_the_lowest_and_calls_by_key_exactly_one() {
    let stage = Stage::new();
    let db =
        Database::open(stage.stand_alone("one.kitedb"), nothing_said().sync_mode(kitedb_core::SyncMode::Full)).unwrap();
    let (a, b) = ends(&db);
    let [first, second, third] = db
        .transaction(|tx| -> Result<_> {
            tx.add_edge(a, "PAID", b)?;
            let (second, third) = (pay(tx, a, b)?, pay(tx, a, b)?);
            let first = tx.edge_between(a, "PAID", b)?.unwrap();
            for (edge, amount) in [(first, 1), (second, 2), (third, 3)] {
                tx.set_edge_prop_by_key(edge, "amount", amount)?;
            }
            Ok([first, second, third])
        })
        .unwrap();
    assert!(first.rank == 0 && 0 < second.rank && second.rank < third.rank);
    let amount = |db: &Database| db.snapshot().unwrap().edge_prop(a, "PAID", b, "amount").unwrap();
    let db = everywhere(&stage, db, |db| {
        let view = db.snapshot().unwrap();
        assert_eq!(view.edges_between(a, "PAID", b).unwrap(), [first, second, third]);
        assert_eq!((view.out_degree(a, AllTypes).unwrap(), view.in_degree(b, AllTypes).unwrap()), (3, 3));
        assert_eq!((view.count_edges(), view.count_edges_by_type("PAID")), (3, 3));
        assert_eq!(view.out_neighbors(a, AllTypes).unwrap().map(|node| node.id()).collect::<Vec<_>>(), [b; 3]);
        assert_eq!(amount(db), Some(Value::I64(1)));
        assert_eq!(view.edge_prop_by_key(third, "amount").unwrap(), Some(Value::I64(3)));
        // Any of them is in the way of another one that is added by its ends; a batch adds all of it or nothing.
        let mut tx = db.begin().unwrap();
        assert_eq!(code(tx.add_edge(a, "PAID", b)), ErrorCode::EdgeExists);
        let back = EdgeKey::new(b, first.ty, a);
        assert_eq!(code(tx.add_edges_batch(&[back, back.with_rank(9), second])), ErrorCode::EdgeExists);
        assert!(!tx.edge_exists(b, "PAID", a).unwrap() && !tx.edge_exists_by_key(back.with_rank(9)).unwrap());
    });
    db.transaction(|tx| tx.delete_edge(a, "PAID", b)).unwrap();
    assert_eq!(amount(&db), Some(Value::I64(2)));
    let added = db.transaction(|tx| tx.add_edge(a, "PAID", b));
    assert_eq!(code(added), ErrorCode::EdgeExists, "the two that are left are in its way");
    db.transaction(|tx| tx.set_edge_prop(a, "PAID", b, "amount", 20)).unwrap();
    db.transaction(|tx| tx.delete_edge_by_key(third)).unwrap();
    let gone = db.transaction(|tx| tx.set_edge_prop_by_key(third, "amount", 30));
    assert_eq!(code(gone), ErrorCode::EdgeNotFound);
    let props = |key| db.snapshot().unwrap().edge_props_by_key(key).unwrap().map(|props| props[0].1.clone());
    assert_eq!((props(first), props(second), props(third)), (None, Some(Value::I64(20)), None));
    let (upserted, deleted) = db
        .transaction(|tx| -> Result<_> {
            pay(tx, a, b)?;
            let amount = tx.propkey_id_or_create("amount")?;
            let upserted = tx.upsert_edge_with_props(a, "PAID", b, &[(amount, Some(Value::I64(21)))])?;
            assert_eq!(tx.edge_prop_by_key(second, "amount")?, Some(Value::I64(21)));
            Ok((upserted, tx.delete_edges_between(a, "PAID", b)?))
        })
        .unwrap();
    assert_eq!((upserted, deleted), (false, 2));
    assert_eq!(db.snapshot().unwrap().count_edges(), 0);
    assert_eq!(db.transaction(|tx| tx.delete_edges_between(a, "PAID", b)).unwrap(), 0);
    // A rank that is free again is the one of an edge that has none.
    db.transaction(|tx| tx.add_edge(a, "PAID", b)).unwrap();
    assert_eq!(db.snapshot().unwrap().edges_between(a, "PAID", b).unwrap(), [first]);
    assert_clean(&db);
}

#[test]
fn parallel_adds_never_conflict_and_the_same_edge_is_deleted_once() {
    let stage = Stage::new();
    let db = Database::open(stage.stand_alone("one.kitedb"), nothing_said()).unwrap();
    let (a, b) = ends(&db);
    let together = |one: &dyn Fn(&mut Transaction) -> Result<()>, other: &dyn Fn(&mut Transaction) -> Result<()>| {
        let [mut first, mut second] = [db.begin().unwrap(), db.begin().unwrap()];
        one(&mut first).unwrap();
        other(&mut second).unwrap();
        first.commit().unwrap();
        second.commit().map(drop).map_err(|e| e.code())
    };
    assert_eq!(together(&|tx| pay(tx, a, b).map(drop), &|tx| pay(tx, a, b).map(drop)), Ok(()));
    assert_eq!(together(&|tx| pay(tx, a, b).map(drop), &|tx| tx.delete_edge(a, "PAID", b)), Ok(()));
    let there = db.snapshot().unwrap().edges_between(a, "PAID", b).unwrap();
    let (low, high) = (there[0], there[1]);
    assert_eq!(together(&|tx| tx.delete_edge(a, "PAID", b), &|tx| tx.delete_edge_by_key(high)), Ok(()));
    db.transaction(|tx| pay(tx, a, b).and(pay(tx, a, b))).unwrap();
    let low_again = db.snapshot().unwrap().edge_between(a, "PAID", b).unwrap().unwrap();
    assert!(low_again.rank > low.rank.max(high.rank));
    let twice = together(&|tx| tx.delete_edge(a, "PAID", b), &|tx| tx.delete_edge_by_key(low_again));
    assert_eq!(twice, Err(ErrorCode::Conflict));
    let twice = together(&|tx| tx.delete_edge(a, "PAID", b), &|tx| tx.delete_edges_between(a, "PAID", b).map(drop));
    assert_eq!(twice, Err(ErrorCode::Conflict));
    // Rank 0 is one edge, whoever adds it.
    assert_eq!(db.snapshot().unwrap().edges_between(a, "PAID", b).unwrap(), []);
    let adds = |tx: &mut Transaction| tx.add_edge(a, "PAID", b);
    assert_eq!(together(&adds, &adds), Err(ErrorCode::Conflict));
    // A node that is deleted meanwhile is one that a parallel edge relied on.
    let mut tx = db.begin().unwrap();
    pay(&mut tx, a, b).unwrap();
    db.transaction(|tx| tx.delete_node(b)).unwrap();
    assert_eq!(code(tx.commit()), ErrorCode::Conflict);
}

/// A key that somebody keeps names no other edge later, whatever was deleted, crashed, copied and promoted meanwhile.
#[test]
fn a_rank_is_given_out_once_over_crashes_bootstraps_and_promotions() {
    let stage = Stage::new();
    let path = stage.leading("one.kitedb");
    let db = Database::open(&path, primary()).unwrap();
    let (a, b) = ends(&db);
    let mut last = 0;
    let mut pay_and_take_back = |db: &Database| {
        let paid = db.transaction(|tx| pay(tx, a, b)).unwrap();
        assert!(paid.rank > last, "{} after {last}", paid.rank);
        last = paid.rank;
        db.transaction(|tx| tx.delete_edge_by_key(paid)).unwrap();
    };
    pay_and_take_back(&db);
    // Nothing of it is in a run.
    db.checkpoint().unwrap();
    db.compact().unwrap();
    db.close().unwrap();
    let db = Database::open(&path, primary()).unwrap();
    pay_and_take_back(&db);
    // A replica that copies it, one that follows it, and then leads.
    let replica = Database::open(stage.path("two.kitedb"), replica_of(&path)).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    pay_and_take_back(&db);
    catch_up(&replica);
    replica.replica_promote(false).unwrap();
    pay_and_take_back(&replica);
    replica.checkpoint().unwrap();
    let copy = Database::open(stage.path("three.kitedb"), replica_of(&stage.path("two.kitedb"))).unwrap();
    copy.replica_bootstrap_from_snapshot().unwrap();
    copy.replica_promote(false).unwrap();
    pay_and_take_back(&copy);
    // A crash, with all of it in the log.
    let db = Database::open(stage.stand_alone("alone.kitedb"), disabled()).unwrap();
    let paid = db.transaction(|tx| pay(tx, a, b)).unwrap();
    db.transaction(|tx| tx.delete_edge_by_key(paid)).unwrap();
    copy_as_after_a_crash(&stage.path("alone.kitedb"), &stage.path("crashed.kitedb"));
    let crashed = Database::open(stage.path("crashed.kitedb"), disabled()).unwrap();
    assert!(crashed.transaction(|tx| pay(tx, a, b)).unwrap().rank > paid.rank);
}

/// An import may name any rank there is, also the greatest.
#[test]
fn a_rank_that_somebody_chose_is_not_given_out_and_the_greatest_one_ends_nothing() {
    let stage = Stage::new();
    let db = Database::open(stage.stand_alone("one.kitedb"), nothing_said()).unwrap();
    let (a, b) = ends(&db);
    let ty = db.transaction(|tx| tx.etype_id_or_create("PAID")).unwrap();
    let edge = EdgeKey::new(a, ty, b);
    db.transaction(|tx| tx.add_edge_by_key(edge.with_rank(7), &[])).unwrap();
    assert_eq!(db.transaction(|tx| pay(tx, a, b)).unwrap().rank, 8);
    let again = db.transaction(|tx| tx.add_edge_by_key(edge.with_rank(7), &[]));
    assert_eq!(code(again), ErrorCode::EdgeExists);
    let too_great = db.transaction(|tx| tx.add_edge_by_key(edge.with_rank(MAX_RANK + 1), &[]));
    assert_eq!(code(too_great), ErrorCode::InvalidArgument);
    assert_eq!(db.transaction(|tx| pay(tx, a, b)).unwrap().rank, 9, "what was refused counts for nothing");
    db.transaction(|tx| tx.add_edge_by_key(edge.with_rank(MAX_RANK), &[])).unwrap();
    for _ in 0..3 {
        let paid = db.transaction(|tx| pay(tx, a, b)).unwrap();
        assert!((1..MAX_RANK).contains(&paid.rank));
    }
    let db = everywhere(&stage, db, |db| assert_eq!(db.snapshot().unwrap().count_edges(), 7));
    db.transaction(|tx| pay(tx, a, b)).unwrap();
    assert_eq!(db.snapshot().unwrap().edges_between(a, "PAID", b).unwrap().len(), 8);
    assert_clean(&db);
}

#[test]
fn a_page_may_end_between_two_parallel_edges() {
    let stage = Stage::new();
    let db = Database::open(stage.stand_alone("one.kitedb"), nothing_said()).unwrap();
    let (a, b) = ends(&db);
    db.transaction(|tx| (0..5).try_for_each(|_| pay(tx, a, b).and(pay(tx, a, a)).map(drop))).unwrap();
    everywhere(&stage, db, |db| {
        let view = db.snapshot().unwrap();
        for direction in [Direction::Out, Direction::In] {
            let all = view.neighbors_page(a, direction, AllTypes, None, 100).unwrap().items;
            assert!(all.is_sorted_by_key(|edge| (edge.ty, edge.ends(direction).1, edge.rank)));
            let (mut paged, mut after) = (Vec::new(), None);
            loop {
                let page = view.neighbors_page(a, direction, AllTypes, after, 1).unwrap();
                paged.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!((paged, all.len()), (all, if direction == Direction::Out { 10 } else { 5 }));
        }
        let of_another = view.edges_between(a, "PAID", a).unwrap()[0];
        let page = view.neighbors_page(b, Direction::In, AllTypes, Some(of_another), 1);
        assert_eq!(code(page), ErrorCode::InvalidArgument);
    });
}

#[test]
fn a_comparison_names_the_parallel_edge_that_one_side_lacks() {
    let stage = Stage::new();
    let path = stage.stand_alone("one.kitedb");
    let db = Database::open(&path, nothing_said()).unwrap();
    let (a, b) = ends(&db);
    db.transaction(|tx| tx.add_edge(a, "PAID", b)).unwrap();
    let other = stage.path("other.kitedb");
    copy_as_after_a_crash(&path, &other);
    let other = Database::open(&other, nothing_said()).unwrap();
    let paid = db.transaction(|tx| pay(tx, a, b)).unwrap();
    other.transaction(|tx| tx.add_edge_by_key(paid.with_rank(paid.rank + 1), &[])).unwrap();
    let found = compare(&db, &other).unwrap();
    let told: Vec<String> = found.differences.iter().map(|difference| difference.element.to_string()).collect();
    let (one, two) = (paid.rank, paid.rank + 1);
    assert_eq!(told, [format!("edge {a} -[PAID]-> {b} (rank {one})"), format!("edge {a} -[PAID]-> {b} (rank {two})")]);
    assert!(matches!(&found.differences[0].element, Element::Edge { edge, .. } if *edge == paid));
}
