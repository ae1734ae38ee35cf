//! What was acknowledged can be replayed. Transactions that are open together, with operations that fail and operations that
//! are taken back, are committed in any order; then the machine dies. What a replica that follows has, what a recovery finds
//! and what the model says are the same (I21).
//!
//! `KITEDB_CASES=N` runs N times as many cases, `KITEDB_SEED=S` one alone.

use crate::support::{
    Rng, asked_seed,
    compare::{Cursors, compare, compare_view},
    for_seeds,
    model::{Draft, Edge, History, LABELS, Model, Node, PROPS, Props, Since, TYPES, VECTORS},
    ops::{self, encoded, key_name},
};
use crate::support_replication::{CRASHES, Machine, catch_up, digest, expect_following};
use kitedb_core::{
    AllTypes, Database, Direction, EdgeKey, Error, ErrorCode, ErrorKind, GraphRead, NewNode, NodeId, PropKeyId,
    SyncMode, Transaction, Value, io::sim::Crash,
};
use std::collections::BTreeSet;

/// A node that nobody creates, and a property key that has no name.
const NOWHERE: NodeId = NodeId(888_888);
const NAMELESS: PropKeyId = PropKeyId(999_999);

struct Open {
    tx: Transaction,
    draft: Draft,
    /// When it began.
    since: Since,
}

/// A primary, a replica that follows it, and transactions that are open together.
struct Story {
    rng: Rng,
    primary: Machine,
    replica: Machine,
    /// The primary's database and the replica's; absent while a machine is down.
    nodes: Option<(Database, Database)>,
    model: Model,
    history: History,
    last: u64,
    open: Vec<Open>,
    counts: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    commits: u64,
    conflicts: u64,
    crashes: u64,
}

impl Story {
    fn new(seed: u64) -> Self {
        let (primary, replica) =
            (Machine::new("primary", seed, SyncMode::Full), Machine::new("replica", seed + 1, SyncMode::Full));
        let mut story = Self {
            rng: Rng::new(seed ^ 0x4E91),
            primary,
            replica,
            nodes: None,
            model: Model::default(),
            history: History::default(),
            last: 0,
            open: Vec::new(),
            counts: Counts::default(),
        };
        story.open_nodes();
        story
    }

    fn db(&self) -> &Database {
        &self.nodes.as_ref().unwrap().0
    }

    fn open_nodes(&mut self) {
        let db = self.primary.primary();
        self.nodes = Some((db, self.replica.replica_of(&self.primary)));
    }

    fn step(&mut self) {
        match self.rng.below(40) {
            0 => self.crash(),
            1 => self.follow(),
            2 => {
                self.db().checkpoint().unwrap();
                self.history.checkpoint();
            }
            3 => drop(self.nodes.as_ref().unwrap().1.checkpoint()),
            4..=9 if self.open.len() < 4 => {
                let tx = self.db().begin().unwrap();
                self.open.push(Open { tx, draft: Draft::new(&self.model), since: self.history.now() });
            }
            10..=15 if !self.open.is_empty() => {
                let nth = self.rng.below(self.open.len() as u64) as usize;
                let open = self.open.swap_remove(nth);
                if self.rng.one_in(10) { open.tx.rollback() } else { self.commit(open) }
            }
            _ if !self.open.is_empty() => {
                let nth = self.rng.below(self.open.len() as u64) as usize;
                let Open { tx, draft, .. } = &mut self.open[nth];
                match self.rng.below(4) {
                    0 => fail(&mut self.rng, tx, draft),
                    1 | 2 => cancel(&mut self.rng, tx, draft),
                    _ => ops::apply(self.rng.op(), tx, draft),
                }
            }
            _ => {}
        }
    }

    fn commit(&mut self, Open { tx, draft, since }: Open) {
        let conflict = draft.conflicts(&self.history, since, &self.model);
        match tx.commit() {
            Ok(token) => {
                assert!(!conflict.must, "committed although another transaction was first: {:?}", draft.writes);
                let before = self.last;
                self.last = self.last.max(token.log_index.0);
                assert!(self.last <= before + 1 && (!draft.wrote() || self.last > before), "a commit is one frame");
                self.history.commits.push(draft.commit_to(&mut self.model));
                self.counts.commits += 1;
            }
            Err(e) => {
                assert_eq!(e.code(), ErrorCode::Conflict, "{e:?}");
                assert!(conflict.may, "a conflict with nobody ({e}): {:?}", draft.writes);
                self.counts.conflicts += 1;
            }
        }
    }

    /// The replica pulls all there is, and has the same.
    fn follow(&mut self) {
        let (db, replica) = self.nodes.as_ref().unwrap();
        catch_up(replica);
        expect_following(replica, db);
        compare_view(&replica.snapshot().unwrap(), &self.model, &Cursors::default());
    }

    /// Both machines die; what is found is what was acknowledged.
    fn crash(&mut self) {
        self.open.clear();
        let before = digest(self.db());
        let [one, other] = [0; 2].map(|_| CRASHES[self.rng.below(CRASHES.len() as u64) as usize]);
        (self.primary, self.replica) = (self.primary.restart(one), self.replica.restart(other));
        self.nodes = None;
        self.open_nodes();
        let (db, replica) = self.nodes.as_ref().unwrap();
        assert_eq!(digest(db), before, "the digest after a crash");
        compare_view(&db.snapshot().unwrap(), &self.model, &Cursors::default());
        for db in [db, replica] {
            let report = db.check().unwrap();
            assert!(report.is_clean(), "{report:#?}");
        }
        self.counts.crashes += 1;
    }
}

/// Everything that a transaction shows of names and numbers: cheap enough to look at before and after each failure.
fn names_and_numbers(tx: &Transaction) -> impl PartialEq + std::fmt::Debug + use<> {
    (tx.labels(), tx.etypes(), tx.propkeys(), [tx.count_nodes(), tx.count_edges(), tx.count_vectors()])
}

/// An operation that fails, perhaps half-way: nothing must have changed.
fn fail(rng: &mut Rng, tx: &mut Transaction, draft: &Draft) {
    let node = NodeId(*pick(rng, draft.now.nodes.keys()).unwrap_or(&NOWHERE.0));
    let edge = pick(rng, draft.now.edges.keys()).copied();
    let key = pick(rng, draft.now.keys.keys()).cloned();
    let new = format!("new {}", rng.below(6));
    // These ids are defined whether or not what follows fails.
    let (prop, ty) = (tx.propkey_id_or_create(PROPS[0]).unwrap(), tx.etype_id_or_create(TYPES[0]).unwrap());
    let bad = [(prop, Some(Value::I64(7))), (prop, None), (NAMELESS, Some(Value::I64(7)))];
    let before = names_and_numbers(tx);
    let failed: Result<(), Error> = match rng.below(16) {
        0 => tx.add_edge(node, &new, NOWHERE),
        1 => tx.add_node_label(NOWHERE, &new).map(drop),
        2 => tx.set_node_prop(NOWHERE, &new, 1),
        3 => tx.set_node_vector(NOWHERE, &new, &[1.0]),
        4 => tx.set_edge_prop(node, &new, NOWHERE, &new, 1),
        5 => tx.upsert_node(key.as_deref().unwrap_or("unheard of"), &bad).map(drop),
        6 => tx.upsert_node_by_id(node, &bad).map(drop),
        7 => match edge {
            Some((src, ty, dst, _)) => tx.upsert_edge_with_props(NodeId(src), TYPES[ty], NodeId(dst), &bad).map(drop),
            None => tx.upsert_edge_with_props(node, &new, NOWHERE, &[]).map(drop),
        },
        8 => tx.create_node_with(NewNode::new().key(&new).props(&[(NAMELESS, Value::Null)])).map(drop),
        9 => {
            // Some of these ids were perhaps deleted in this transaction, or will be taken by another one.
            let ids = ops::CHOSEN.iter().filter(|id| !draft.now.nodes.contains_key(id)).map(|id| Some(NodeId(*id)));
            let keys: Vec<String> =
                (0..ops::KEYS).map(key_name).filter(|key| !draft.now.keys.contains_key(key)).collect();
            let keys = keys.iter().map(|key| Some(key.as_str())).chain([None; 12]);
            let props = [(prop, Value::I64(1))];
            let mut nodes: Vec<NewNode<'_>> =
                ids.zip(keys).map(|(id, key)| NewNode::new().maybe_id(id).maybe_key(key).props(&props)).collect();
            nodes.push(NewNode::new());
            nodes.push(nodes[0]);
            if nodes.len() == 3 && nodes[0].id.is_none() && nodes[0].key.is_none() {
                nodes.push(NewNode::new().key(""));
            }
            tx.create_nodes_batch(&nodes).map(drop)
        }
        10 => {
            let absent = draft.now.nodes.keys().filter(|id| draft.now.lowest((node.0, 0, **id, 0)).is_none());
            let mut edges: Vec<EdgeKey> = absent.map(|id| EdgeKey::new(node, ty, NodeId(*id))).collect();
            edges.push(if rng.one_in(2) { EdgeKey::new(node, ty, NOWHERE) } else { EdgeKey::new(NOWHERE, ty, node) });
            tx.add_edges_batch(&edges)
        }
        11 => {
            // A property key that no vector has yet: its length must not be fixed by what fails.
            tx.set_node_vector(node, &new, &[f32::NAN, 1.0])
        }
        12 => tx.add_parallel_edge(node, &new, NOWHERE, &[(prop, Value::I64(1))]).map(drop),
        13 => {
            // Of ranks that nobody gave out, beside those that are there.
            let ranked = draft.now.nodes.keys().map(|id| EdgeKey::new(node, ty, NodeId(*id)).with_rank(1 << 20));
            let mut edges: Vec<EdgeKey> = ranked.collect();
            edges.push(edges.last().copied().unwrap_or(EdgeKey::new(node, ty, NOWHERE)));
            tx.add_edges_batch(&edges)
        }
        14 => tx.delete_edge_by_key(EdgeKey::new(node, ty, node).with_rank(1 << 20)),
        _ => tx.add_node_label(node, "").map(drop),
    };
    let error = failed.expect_err("it must fail");
    assert_eq!(error.kind(), ErrorKind::Input, "{error:?}");
    assert_eq!(names_and_numbers(tx), before, "after {error:?}");
    if rng.one_in(6) {
        compare(tx, &draft.now, &Cursors::default());
    }
}

fn pick<'a, T>(rng: &mut Rng, mut items: impl ExactSizeIterator<Item = &'a T>) -> Option<&'a T> {
    let nth = rng.below(items.len() as u64) as usize;
    items.nth(nth)
}

/// Something that is done and taken back, in part or as a whole.
fn cancel(rng: &mut Rng, tx: &mut Transaction, draft: &mut Draft) {
    let some_node = |rng: &mut Rng, draft: &Draft| pick(rng, draft.now.nodes.keys()).copied();
    let (Some(a), Some(b)) = (some_node(rng, draft), some_node(rng, draft)) else {
        return create(tx, draft, None, None);
    };
    let ty = rng.below(TYPES.len() as u64) as usize;
    let free_key = (0..ops::KEYS).map(key_name).find(|key| !draft.now.keys.contains_key(key));
    match rng.below(10) {
        0 => {
            let edge = (a, ty, b, 0);
            if let Some(there) = draft.now.lowest(edge) {
                delete_edge(tx, draft, there);
            }
            add_edge(tx, draft, edge);
            if let Some(there) = draft.now.lowest(edge) {
                delete_edge(tx, draft, there);
            }
        }
        8 => {
            // Parallel ones come, and some of them go: each by itself, all together, or with their node.
            let added = [0; 3].map(|_| add_parallel(tx, draft, (a, ty, b, 0)));
            match rng.below(4) {
                0 => delete_node(tx, draft, if rng.one_in(2) { a } else { b }),
                1 => {
                    draft
                        .now
                        .between(added[0])
                        .collect::<Vec<_>>()
                        .into_iter()
                        .for_each(|e| draft.delete_edge(e).unwrap());
                    assert!(tx.delete_edges_between(NodeId(a), TYPES[ty], NodeId(b)).unwrap() >= 3);
                }
                most => added.into_iter().take(most as usize).for_each(|edge| {
                    let key = EdgeKey::new(NodeId(a), tx.etype_id(TYPES[ty]).unwrap(), NodeId(b)).with_rank(edge.3);
                    tx.delete_edge_by_key(key).unwrap();
                    draft.delete_edge(edge).unwrap();
                }),
            }
        }
        1 => {
            let id = rng.one_in(2).then(|| ops::CHOSEN[rng.below(4) as usize]);
            if id.is_none_or(|id| !draft.now.nodes.contains_key(&id)) {
                let new = created(tx, draft, id, free_key);
                delete_node(tx, draft, new);
            }
        }
        2 => {
            let new = created(tx, draft, None, free_key);
            add_edge(tx, draft, (new, ty, a, 0));
            add_edge(tx, draft, (b, ty, new, 0));
            set_vector(tx, draft, new, rng);
            delete_node(tx, draft, new);
        }
        3 => {
            let vector = rng.below(VECTORS.len() as u64) as usize;
            let floats = vec![1.5; VECTORS[vector].1];
            tx.set_node_vector(NodeId(a), VECTORS[vector].0, &floats).unwrap();
            draft.change_vector(a, vector, Some(&floats)).unwrap();
            assert!(tx.delete_node_vector(NodeId(a), VECTORS[vector].0).unwrap());
            draft.change_vector(a, vector, None).unwrap();
        }
        4 => {
            // Deleted, created anew with another key, and deleted again, or left there with what is attached anew.
            delete_node(tx, draft, a);
            let key = free_key.filter(|key| !draft.now.keys.contains_key(key));
            created(tx, draft, Some(a), key);
            match rng.below(3) {
                0 => delete_node(tx, draft, a),
                1 => {
                    add_edge(tx, draft, (a, ty, b, 0));
                    set_vector(tx, draft, a, rng);
                }
                _ => {}
            }
        }
        5 => {
            if draft.now.lowest((a, ty, b, 0)).is_none() {
                add_edge(tx, draft, (a, ty, b, 0));
                delete_node(tx, draft, if rng.one_in(2) { a } else { b });
            }
        }
        6 => {
            // A key changes hands, and is given back.
            if let Some(key) = draft.now.nodes[&a].key.clone() {
                delete_node(tx, draft, a);
                let heir = created(tx, draft, None, Some(key));
                if rng.one_in(2) {
                    delete_node(tx, draft, heir);
                }
            }
        }
        7 => {
            let (label, new) = (LABELS[0], Value::I64(rng.below(3) as i64));
            for add in [true, false] {
                let done =
                    if add { tx.add_node_label(NodeId(a), label) } else { tx.remove_node_label(NodeId(a), label) };
                assert_eq!(done.unwrap(), draft.change_label(a, 0, add).unwrap());
            }
            tx.set_node_prop(NodeId(a), PROPS[1], new.clone()).unwrap();
            draft.change_prop(a, 1, Some(encoded(&new))).unwrap();
            if rng.one_in(2) {
                assert!(tx.delete_node_prop(NodeId(a), PROPS[1]).unwrap());
                draft.change_prop(a, 1, None).unwrap();
            }
        }
        _ => {
            // Among others, what a net change needs of properties: each set, changed and removed.
            if let Some(edge) = pick(rng, draft.now.edges.keys()).and_then(|edge| draft.now.lowest(*edge)) {
                let (src, dst) = (NodeId(edge.0), NodeId(edge.2));
                for (prop, name) in PROPS.iter().enumerate() {
                    let value = (!rng.one_in(3)).then(|| Value::I64(rng.below(3) as i64));
                    let key = tx.propkey_id_or_create(name).unwrap();
                    tx.upsert_edge_with_props(src, TYPES[edge.1], dst, &[(key, value.clone())]).unwrap();
                    draft.change_edge_prop(edge, prop, value.as_ref().map(encoded)).unwrap();
                }
            }
        }
    }
}

fn created(tx: &mut Transaction, draft: &mut Draft, id: Option<u64>, key: Option<String>) -> u64 {
    let new = NewNode::new().maybe_id(id.map(NodeId)).maybe_key(key.as_deref());
    let node = tx.create_node_with(new).unwrap().0;
    draft.create(node, Node { key, ..Node::default() });
    node
}

fn create(tx: &mut Transaction, draft: &mut Draft, id: Option<u64>, key: Option<String>) {
    created(tx, draft, id, key);
}

fn delete_node(tx: &mut Transaction, draft: &mut Draft, node: u64) {
    tx.delete_node(NodeId(node)).unwrap();
    draft.delete_node(node).unwrap();
}

fn add_edge(tx: &mut Transaction, draft: &mut Draft, edge: Edge) {
    if draft.now.lowest(edge).is_some() {
        return;
    }
    tx.add_edge(NodeId(edge.0), TYPES[edge.1], NodeId(edge.2)).unwrap();
    draft.add_edge(edge, Props::new()).unwrap();
}

fn add_parallel(tx: &mut Transaction, draft: &mut Draft, (src, ty, dst, _): Edge) -> Edge {
    let rank = tx.add_parallel_edge(NodeId(src), TYPES[ty], NodeId(dst), &[]).unwrap().rank;
    draft.add_edge((src, ty, dst, rank), Props::new()).unwrap();
    (src, ty, dst, rank)
}

/// The one of the lowest rank, which is what is asked for here.
fn delete_edge(tx: &mut Transaction, draft: &mut Draft, edge: Edge) {
    tx.delete_edge(NodeId(edge.0), TYPES[edge.1], NodeId(edge.2)).unwrap();
    draft.delete_edge(edge).unwrap();
}

fn set_vector(tx: &mut Transaction, draft: &mut Draft, node: u64, rng: &mut Rng) {
    let vector = rng.below(VECTORS.len() as u64) as usize;
    let floats = vec![rng.below(3) as f32 + 1.0; VECTORS[vector].1];
    tx.set_node_vector(NodeId(node), VECTORS[vector].0, &floats).unwrap();
    draft.change_vector(node, vector, Some(&floats)).unwrap();
}

#[test]
fn what_was_committed_beside_others_is_what_a_crash_and_a_replica_leave() {
    let total = std::cell::Cell::new(Counts::default());
    for_seeds("engine", "replay::what_was_committed_beside_others_is_what_a_crash_and_a_replica_leave", 200, |seed| {
        let mut story = Story::new(seed * 2 + 1);
        for _ in 0..400 {
            story.step();
        }
        while let Some(open) = story.open.pop() {
            story.commit(open);
        }
        story.follow();
        story.crash();
        story.follow();
        let Counts { commits, conflicts, crashes } = total.get();
        total.set(Counts {
            commits: commits + story.counts.commits,
            conflicts: conflicts + story.counts.conflicts,
            crashes: crashes + story.counts.crashes,
        });
    });
    let Counts { commits, conflicts, crashes } = total.get();
    assert!(asked_seed().is_some() || (commits > 1000 && conflicts > 100 && crashes > 100), "{:?}", total.get());
}

/// The tombstone of a node named the key that it had last, for a moment that nobody else saw: whoever took that key
/// meanwhile was not found by it after a checkpoint.
#[test]
fn a_key_belongs_to_who_took_it_while_a_deleted_node_had_it_for_a_moment() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let db = machine.primary();
    let id = NodeId(7);
    let node = |key| NewNode::new().id(id).key(key);
    db.transaction(|tx| tx.create_node_with(node("first"))).unwrap();
    db.checkpoint().unwrap();
    let mut tx = db.begin().unwrap();
    tx.delete_node(id).unwrap();
    tx.create_node_with(node("second")).unwrap();
    tx.delete_node(id).unwrap();
    let other = db.transaction(|tx| tx.create_node(Some("second"))).unwrap();
    db.checkpoint().unwrap();
    tx.commit().unwrap();
    for _ in 0..2 {
        let view = db.snapshot().unwrap();
        assert_eq!(view.node_by_key("second").unwrap(), Some(other));
        assert_eq!(view.node_by_key("first").unwrap(), None);
        assert!(db.check().unwrap().is_clean());
        db.checkpoint().unwrap();
    }
}

/// A chosen id, and that of a node which came and went, are given out once, also after a crash.
#[test]
fn an_id_whose_node_came_and_went_is_not_given_out_again_after_a_crash() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let db = machine.primary();
    let gone = db
        .transaction(|tx| -> kitedb_core::Result<_> {
            let ids = [tx.create_node(None)?, tx.create_node(Some("gone"))?];
            tx.add_edge(ids[0], "T", ids[1])?;
            tx.delete_node(ids[1])?;
            Ok(ids[1])
        })
        .unwrap();
    let machine = machine.restart(Crash::Kill);
    drop(db);
    let db = machine.primary();
    assert!(db.transaction(|tx| tx.create_node(None)).unwrap() > gone);
}

/// What a batch that fails chose and claimed is free again: for the rest of the transaction, and for others.
#[test]
fn a_batch_that_fails_leaves_its_ids_and_keys_to_others() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let db = machine.primary();
    let greatest = NodeId(i64::MAX as u64);
    let [a, b] = ["a", "b"].map(|key| db.transaction(|tx| tx.create_node(Some(key))).unwrap());
    let mut tx = db.begin().unwrap();
    let label = tx.label_id_or_create("L").unwrap();
    tx.delete_node(b).unwrap();
    let labels = [label];
    let new = |id, key| NewNode::new().id(id).key(key).labels(&labels);
    let batch = [new(b, "b"), new(greatest, "new"), new(NodeId(50), "a")];
    assert_eq!(tx.create_nodes_batch(&batch).unwrap_err().code(), ErrorCode::DuplicateKey);
    let edges = [EdgeKey::new(a, tx.etype_id_or_create("T").unwrap(), a); 2];
    assert_eq!(tx.add_edges_batch(&edges).unwrap_err().code(), ErrorCode::EdgeExists);
    assert_eq!((tx.count_nodes(), tx.count_edges(), tx.count_nodes_by_label(label)), (1, 0, 0));
    assert_eq!(tx.out_degree(a, AllTypes).unwrap() + tx.in_degree(a, AllTypes).unwrap(), 0);
    for key in ["b", "new"] {
        assert_eq!(tx.node_by_key(key).unwrap(), None);
    }
    // An automatic id is the next one, not one from after the greatest, and the keys are anybody's.
    assert_eq!(tx.create_node(Some("b")).unwrap(), NodeId(b.0 + 1));
    // The label's id is its transaction's until that has committed.
    let bare = |id, key| NewNode::new().id(id).key(key);
    db.transaction(|other| other.create_nodes_batch(&[bare(greatest, "new"), bare(NodeId(50), "fifty")])).unwrap();
    tx.commit().unwrap();
    let machine = machine.restart(Crash::Kill);
    drop(db);
    let db = machine.primary();
    assert_eq!(db.snapshot().unwrap().count_nodes(), 4);
    assert!(db.check().unwrap().is_clean());
}

/// The pages of a transaction show what is there, whatever was listed before a batch failed, and after the batches that
/// came next.
#[test]
fn the_pages_of_a_transaction_show_nothing_of_a_batch_that_failed() {
    let machine = Machine::new("primary", 1, SyncMode::Off);
    let db = machine.primary();
    let hub = db.transaction(|tx| tx.create_node(Some("hub"))).unwrap();
    let mut tx = db.begin().unwrap();
    let (label, ty) = (tx.label_id_or_create("L").unwrap(), tx.etype_id_or_create("T").unwrap());
    let (labels, mut expected) = ([label], BTreeSet::new());
    let new = |id| NewNode::new().id(NodeId(id)).labels(&labels);
    let expect = |tx: &Transaction, expected: &BTreeSet<NodeId>| {
        let leaves: Vec<NodeId> = expected.iter().copied().collect();
        let nodes: Vec<NodeId> = [hub].into_iter().chain(leaves.iter().copied()).collect();
        let edges: Vec<EdgeKey> = leaves.iter().map(|leaf| EdgeKey::new(hub, ty, *leaf)).collect();
        assert_eq!(tx.nodes_page(None, usize::MAX).unwrap().items, nodes);
        assert_eq!(tx.label_page(label, None, usize::MAX).unwrap().items, leaves);
        assert_eq!(tx.edges_page(None, usize::MAX).unwrap().items, edges);
        let around = tx.neighbors_page(hub, Direction::Out, AllTypes, None, usize::MAX).unwrap();
        assert_eq!(around.items, edges);
        assert_eq!(tx.out_degree(hub, AllTypes).unwrap(), leaves.len() as u64);
    };
    // Enough for the transaction to keep what it touched in order.
    for round in 0..4u64 {
        let nodes = |from: u64| (0..400).map(move |n| 10 + 4 * n + from % 4);
        let mut batch: Vec<NewNode<'_>> = nodes(round + 1).map(new).collect();
        batch.push(new(hub.0));
        if round < 3 {
            assert_eq!(tx.create_nodes_batch(&batch).unwrap_err().code(), ErrorCode::NodeExists);
            expect(&tx, &expected);
        }
        let made: Vec<NewNode<'_>> = nodes(round).map(new).collect();
        let made = tx.create_nodes_batch(&made).unwrap();
        let mut edges: Vec<EdgeKey> = made.iter().rev().map(|leaf| EdgeKey::new(hub, ty, *leaf)).collect();
        tx.add_edges_batch(&edges[..200]).unwrap();
        assert_eq!(tx.out_edges(hub, AllTypes).unwrap().count(), expected.len() + 200);
        assert_eq!(tx.edges_page(None, 7).unwrap().items.len(), 7);
        // In another order than they are added in afterwards.
        edges[200..].reverse();
        edges.push(EdgeKey::new(hub, ty, NOWHERE));
        assert_eq!(tx.add_edges_batch(&edges[200..]).unwrap_err().code(), ErrorCode::NodeNotFound);
        assert_eq!(tx.in_degree(made[0], AllTypes).unwrap(), 0);
        edges.pop();
        edges[200..].reverse();
        tx.add_edges_batch(&edges[200..]).unwrap();
        expected.extend(made);
        expect(&tx, &expected);
    }
    // What is taken back leaves its place to what comes then.
    for leaf in expected.iter().copied().filter(|leaf| leaf.0 % 3 == 0).collect::<Vec<_>>() {
        tx.delete_node(leaf).unwrap();
        expected.remove(&leaf);
    }
    expect(&tx, &expected);
    tx.commit().unwrap();
    let view = db.snapshot().unwrap();
    assert_eq!(view.count_edges(), expected.len() as u64);
    assert_eq!(view.edges().count(), expected.len());
    assert!(db.check().unwrap().is_clean());
}

/// A length that a vector fixes which is too large for a frame is not fixed.
#[test]
fn a_vector_that_is_too_large_fixes_no_length() {
    let machine = Machine::new("primary", 1, SyncMode::Off);
    let db = machine.primary();
    let mut tx = db.begin().unwrap();
    let node = tx.create_node(None).unwrap();
    let error = tx.set_node_vector(node, "v", &vec![1.0; 17 << 20]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TransactionTooLarge);
    tx.set_node_vector(node, "v", &[1.0, 2.0]).unwrap();
    assert_eq!(tx.propkeys().len(), 1);
    tx.commit().unwrap();
    assert_eq!(db.snapshot().unwrap().node_vector(node, "v").unwrap(), Some(vec![1.0, 2.0]));
    assert!(db.check().unwrap().is_clean());
}

/// A transaction whose changes cancel out has nothing to commit, and nothing to conflict about; one that wrote what was there
/// already has: others must not rely on what it wrote.
#[test]
fn what_cancels_out_is_no_write_and_what_is_written_again_is_one() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let db = machine.primary();
    let (a, b) = db
        .transaction(|tx| -> kitedb_core::Result<_> {
            let (a, b) = (tx.create_node(Some("a"))?, tx.create_node(Some("b"))?);
            tx.set_node_prop(a, "p", 1)?;
            tx.add_edge(a, "T", a)?;
            Ok((a, b))
        })
        .unwrap();
    let before = db.last_commit_token();
    let mut tx = db.begin().unwrap();
    let ty = tx.etype_id("T").unwrap();
    let key = tx.propkey_id("p").unwrap();
    tx.set_node_vector(a, key, &[1.0]).unwrap();
    tx.delete_node_vector(a, key).unwrap();
    assert_eq!(Some(tx.commit().unwrap()), before);
    // The length was not fixed.
    db.transaction(|tx| tx.set_node_vector(a, key, &[1.0, 2.0])).unwrap();

    let replica = Machine::new("replica", 2, SyncMode::Full);
    let following = replica.replica_of(&machine);
    let (mut one, mut other) = (db.begin().unwrap(), db.begin().unwrap());
    for tx in [&mut one, &mut other] {
        // A frame without a mutation: all that is left is that it was written.
        tx.set_node_prop(a, key, 1).unwrap();
        tx.add_edge(a, ty, b).unwrap();
        tx.delete_edge(a, ty, b).unwrap();
    }
    assert!(Some(one.commit().unwrap()) > before);
    assert!(other.commit().unwrap_err().is_conflict());
    db.transaction(|tx| tx.create_node(Some("later"))).unwrap();
    catch_up(&following);
    expect_following(&following, &db);
    let (before, machine) = (digest(&db), machine.restart(Crash::Kill));
    drop(db);
    let db = machine.primary();
    assert_eq!(digest(&db), before);
    assert!(db.check().unwrap().is_clean());
}

/// Whatever ids callers chose, automatic ones go on, and none is given out twice.
#[test]
fn automatic_ids_go_on_after_the_greatest_one_was_chosen() {
    let mut machine = Machine::new("primary", 1, SyncMode::Full);
    let mut db = machine.primary();
    let (small, greatest) = (NodeId(3), NodeId(i64::MAX as u64));
    let chosen = |id| NewNode::new().id(id);
    let mut given: Vec<NodeId> =
        db.transaction(|tx| tx.create_nodes_batch(&[chosen(small), chosen(greatest)])).unwrap();
    for _ in 0..4 {
        let (mut one, mut other) = (db.begin().unwrap(), db.begin().unwrap());
        for _ in 0..3 {
            given.extend([one.create_node(None).unwrap(), other.create_node(None).unwrap()]);
        }
        one.commit().unwrap();
        other.commit().unwrap();
        assert!(db.check().unwrap().is_clean());
        let after = machine.restart(Crash::Kill);
        drop(db);
        machine = after;
        db = machine.primary();
    }
    let nodes: Vec<NodeId> = db.snapshot().unwrap().nodes().map(|node| node.unwrap().id()).collect();
    given.sort_unstable();
    assert_eq!(nodes, given);
}
