//! What a user of the data model and of transactions can rely on, rule by rule.

use crate::support_process::{assert_clean, code, copy_as_after_a_crash, dump, quiet};
use kitedb_core::{
    AllTypes, Database, EdgeKey, EdgeTypeId, Error, ErrorCode, ErrorKind, GraphRead, LabelId, Neighbors, NewNode,
    NodeId, OpenOptions, PropKeyId, Result, SyncMode, Transaction, Value,
};
use std::{collections::BTreeSet, path::PathBuf, sync::Barrier, thread};

const MAX_ID: NodeId = NodeId(i64::MAX as u64);

struct Bench {
    db: Database,
    path: PathBuf,
    dir: tempfile::TempDir,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.kitedb");
    Bench { db: Database::open(&path, quiet()).unwrap(), path, dir }
}

impl Bench {
    fn write<T>(&self, f: impl FnOnce(&mut Transaction) -> Result<T>) -> T {
        self.db.transaction(f).unwrap()
    }

    fn reopen(&mut self) {
        self.db.clone().close().unwrap();
        self.db = Database::open(&self.path, quiet()).unwrap();
    }

    /// Goes on with what a crash of the process would leave now.
    fn crash(&mut self) {
        let copy = self.dir.path().join(format!("{}.kitedb", self.db.last_commit_token().map_or(0, |t| t.log_index.0)));
        copy_as_after_a_crash(&self.path, &copy);
        self.db = Database::open(&copy, quiet()).unwrap();
        self.path = copy;
    }

    /// `look` at the state in memory, after a crash, in a run, in a merged run, and after a clean close.
    fn everywhere(&mut self, look: impl Fn(&Database)) {
        let steps: [fn(&mut Self); 5] =
            [|_| {}, |b| b.crash(), |b| b.db.checkpoint().unwrap(), |b| b.db.compact().unwrap(), |b| b.reopen()];
        for step in steps {
            step(self);
            look(&self.db);
            assert_clean(&self.db);
        }
    }
}

// ---- nodes, keys, ids -----------------------------------------------------------------------------------------

#[test]
fn a_key_belongs_to_one_node_and_is_free_again_after_it() {
    let mut b = bench();
    let first = b.write(|tx| tx.create_node(Some("k")));
    let taken = |db: &Database| {
        assert_eq!(code(db.transaction(|tx| tx.create_node(Some("k")))), ErrorCode::DuplicateKey);
        assert_eq!(db.snapshot().unwrap().node_by_key("k").unwrap(), Some(first));
    };
    b.everywhere(taken);
    b.write(|tx| {
        assert_eq!(code(tx.create_node(Some("k"))), ErrorCode::DuplicateKey);
        tx.delete_node(first)?;
        assert_eq!(tx.node_by_key("k")?, None);
        let second = tx.create_node(Some("k"))?;
        assert_ne!(second, first);
        assert_eq!(code(tx.create_node(Some("k"))), ErrorCode::DuplicateKey);
        tx.delete_node(second)
    });
    b.everywhere(|db| assert_eq!(db.snapshot().unwrap().node_by_key("k").unwrap(), None));
    let third = b.write(|tx| tx.create_node(Some("k")));
    assert!(third > first);
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        assert_eq!(view.node_by_key("k").unwrap(), Some(third));
        assert_eq!(view.node_key(third).unwrap().as_deref(), Some("k"));
        assert_eq!(view.node_key(first).unwrap(), None);
        assert!(!view.node_exists(first).unwrap());
    });
}

#[test]
fn keys_are_any_text_but_empty() {
    let mut b = bench();
    assert_eq!(code(b.db.transaction(|tx| tx.create_node(Some("")))), ErrorCode::InvalidArgument);
    let long = "long ".repeat(50_000);
    let keys = ["a", "A", " ", "\0", "k\nk", "żółw 🐢", long.as_str()];
    let ids = b.write(|tx| keys.iter().map(|key| tx.create_node(Some(key))).collect::<Result<Vec<_>>>());
    let unkeyed = b.write(|tx| tx.create_node(None));
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        for (key, id) in keys.iter().zip(&ids) {
            assert_eq!(view.node_by_key(key).unwrap(), Some(*id));
            assert_eq!(view.node_key(*id).unwrap().as_deref(), Some(*key));
        }
        assert_eq!(view.node_by_key("").unwrap(), None);
        assert_eq!(view.node_key(unkeyed).unwrap(), None);
    });
}

#[test]
fn ids_count_from_one_and_are_never_given_out_twice() {
    let mut b = bench();
    let mut seen = BTreeSet::new();
    for round in 0..5 {
        let ids = b.write(|tx| {
            let ids = (0..3).map(|_| tx.create_node(None)).collect::<Result<Vec<_>>>()?;
            // The last one goes within its own transaction, the one before in the next.
            tx.delete_node(ids[2])?;
            Ok(ids)
        });
        assert!(ids.iter().all(|id| seen.insert(*id)), "{ids:?} in {seen:?}");
        b.write(|tx| tx.delete_node(ids[1]));
        match round {
            0 => b.crash(),
            1 => b.reopen(),
            2 => b.db.compact().unwrap(),
            3 => {
                b.db.checkpoint().unwrap();
                b.crash();
            }
            _ => {}
        }
    }
    assert_eq!(seen.first(), Some(&NodeId(1)));
    assert!(seen.last().unwrap().0 < 30, "{seen:?}");
    assert_clean(&b.db);
}

#[test]
fn a_chosen_id_moves_the_next_one_past_it() {
    let mut b = bench();
    b.write(|tx| {
        tx.create_node_with(NewNode::new().id(NodeId(100)))?;
        assert_eq!(tx.create_node(None)?, NodeId(101));
        // The next one itself, too.
        tx.create_node_with(NewNode::new().id(NodeId(102)))?;
        assert_eq!(tx.create_node(None)?, NodeId(103));
        tx.create_node_with(NewNode::new().id(NodeId(50)))?;
        for (taken, expected) in
            [(50, ErrorCode::NodeExists), (101, ErrorCode::NodeExists), (0, ErrorCode::InvalidArgument)]
        {
            let new = NewNode::new().id(NodeId(taken));
            assert_eq!(code(tx.create_node_with(new)), expected);
        }
        Ok(())
    });
    b.crash();
    assert_eq!(b.write(|tx| tx.create_node(None)), NodeId(104));
    b.reopen();
    let id = b.write(|tx| tx.create_node(None));
    assert!(id > NodeId(104));
    // A node that was deleted can be made again under its id by who asks for just that.
    b.write(|tx| tx.set_node_prop(NodeId(50), "old", 1));
    b.write(|tx| tx.delete_node(NodeId(50)));
    b.write(|tx| tx.create_node_with(NewNode::new().id(NodeId(50)).key("again")));
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        assert_eq!(view.node_by_key("again").unwrap(), Some(NodeId(50)));
        assert_eq!(view.node_props(NodeId(50)).unwrap(), Some(vec![]));
    });
}

#[test]
fn node_ids_reach_up_to_the_greatest_signed_integer() {
    let mut b = bench();
    for too_large in [1 << 63, u64::MAX] {
        let new = NewNode::new().id(NodeId(too_large));
        assert_eq!(code(b.db.transaction(|tx| tx.create_node_with(new))), ErrorCode::InvalidArgument);
    }
    let small = b.write(|tx| tx.create_node(Some("small")));
    let ids = [MAX_ID, NodeId(MAX_ID.0 - 1), NodeId(1 << 40), NodeId(u64::from(u32::MAX) + 1)];
    b.write(|tx| {
        for id in ids {
            tx.create_node_with(NewNode::new().id(id).key(&format!("key {id}")))?;
            tx.add_node_label(id, "Huge")?;
            tx.set_node_vector(id, "v", &[1.0])?;
            tx.add_edge(id, "E", small)?;
            tx.add_edge(small, "E", id)?;
            tx.set_edge_prop(id, "E", small, "p", 1)?;
        }
        tx.add_edge(MAX_ID, "E", MAX_ID)
    });
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        let mut sorted = ids;
        sorted.sort_unstable();
        let found: Vec<_> = view.nodes_with_label("Huge").unwrap().map(|node| node.unwrap().id()).collect();
        assert_eq!(found, sorted);
        for id in ids {
            assert_eq!(view.node_by_key(&format!("key {id}")).unwrap(), Some(id));
            assert_eq!(view.edge_prop(id, "E", small, "p").unwrap(), Some(Value::I64(1)));
            assert_eq!(view.node_vector(id, "v").unwrap(), Some(vec![1.0]));
        }
        assert_eq!(view.in_degree(small, AllTypes).unwrap(), 4);
        assert_eq!(view.out_degree(MAX_ID, AllTypes).unwrap(), 2);
        assert_eq!(view.nodes_page(Some(MAX_ID), 5).unwrap().items, []);
        // Nothing is left above: an id from between, and nobody's.
        let next = db.transaction(|tx| tx.create_node(None)).unwrap();
        assert!(next != small && !ids.contains(&next), "{next}");
    });
    b.write(|tx| tx.create_node_with(NewNode::new().id(NodeId(77))));
    b.write(|tx| tx.delete_node(MAX_ID));
    assert_clean(&b.db);
    assert!(b.db.stats().unwrap().file_bytes < 1 << 20);
}

#[test]
fn a_batch_of_vectors_is_stored_as_a_whole() {
    let mut b = bench();
    let (x, y) = b.write(|tx| Ok((tx.create_node(None)?, tx.create_node(None)?)));
    let mut tx = b.db.begin().unwrap();
    type Batch<'a> = &'a [(NodeId, &'a [f32])];
    let refused: [(Batch<'_>, ErrorCode); 5] = [
        (&[(x, &[1.0]), (NodeId(999), &[1.0])], ErrorCode::NodeNotFound),
        (&[(x, &[1.0]), (y, &[1.0, 2.0])], ErrorCode::VectorDimension),
        (&[(x, &[1.0]), (y, &[0.0])], ErrorCode::InvalidArgument),
        (&[(x, &[1.0]), (y, &[f32::NAN])], ErrorCode::InvalidArgument),
        (&[(x, &[])], ErrorCode::InvalidArgument),
    ];
    for (vectors, expected) in refused {
        assert_eq!(code(tx.set_node_vectors_batch("v", vectors)), expected);
    }
    assert_eq!((tx.count_vectors(), tx.vector_dimension("v")), (0, None), "one that is wrong leaves none");
    tx.set_node_vectors_batch("v", &[]).unwrap();
    tx.set_node_vectors_batch("v", &[(x, &[1.0, 2.0]), (y, &[3.0, 4.0]), (x, &[5.0, 6.0])]).unwrap();
    assert_eq!(code(tx.set_node_vectors_batch("v", &[(x, &[1.0])])), ErrorCode::VectorDimension);
    tx.commit().unwrap();
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        assert_eq!(view.node_vector(x, "v").unwrap(), Some(vec![5.0, 6.0]), "the last one counts");
        assert_eq!(view.node_vector(y, "v").unwrap(), Some(vec![3.0, 4.0]));
        assert_eq!((view.count_vectors(), view.vector_dimension("v")), (2, Some(2)));
    });
}

#[test]
fn deleting_a_node_deletes_all_that_is_attached_to_it() {
    let mut b = bench();
    let (a, hub, c) = b.write(|tx| {
        let [a, hub, c] = [tx.create_node(Some("a"))?, tx.create_node(Some("hub"))?, tx.create_node(Some("c"))?];
        tx.add_edge(a, "IN", hub)?;
        tx.add_edge(hub, "OUT", c)?;
        tx.add_edge(hub, "SELF", hub)?;
        tx.add_edge(a, "STAYS", c)?;
        tx.set_edge_prop(a, "IN", hub, "p", 1)?;
        tx.set_node_prop(hub, "p", 1)?;
        tx.add_node_label(hub, "L")?;
        tx.set_node_vector(hub, "v", &[1.0, 2.0])?;
        Ok((a, hub, c))
    });
    // Some of it in a run, some of it newer.
    b.db.checkpoint().unwrap();
    b.write(|tx| {
        tx.add_edge(c, "LATE", hub)?;
        tx.add_node_label(hub, "M")?;
        tx.set_node_vector(hub, "w", &[3.0])
    });
    let gone = |view: &dyn Fn() -> kitedb_core::View| {
        let view = view();
        assert!(!view.node_exists(hub).unwrap());
        assert_eq!(view.node_by_key("hub").unwrap(), None);
        assert_eq!(view.node_props(hub).unwrap(), None);
        assert_eq!(view.node_labels(hub).unwrap(), []);
        assert_eq!((view.node_vector(hub, "v").unwrap(), view.node_vector(hub, "w").unwrap()), (None, None));
        assert!(view.nodes_with_label("L").unwrap().next().is_none());
        assert_eq!(view.edge_props(a, "IN", hub).unwrap(), None);
        assert_eq!([view.out_degree(hub, AllTypes).unwrap(), view.in_degree(hub, AllTypes).unwrap()], [0, 0]);
        assert!(view.out_neighbors(a, AllTypes).unwrap().map(|node| node.id()).eq([c]));
        assert_eq!(view.in_degree(c, AllTypes).unwrap(), 1);
        assert_eq!(view.out_degree(c, AllTypes).unwrap(), 0);
        assert_eq!((view.count_nodes(), view.count_edges(), view.count_vectors()), (2, 1, 0));
        assert_eq!([view.count_nodes_by_label("L"), view.count_nodes_by_label("M")], [0, 0]);
        assert_eq!(view.count_edges_by_type("IN"), 0);
    };
    b.write(|tx| tx.delete_node(hub));
    b.everywhere(|db| gone(&|| db.snapshot().unwrap()));
    assert_eq!(code(b.db.transaction(|tx| tx.delete_node(hub))), ErrorCode::NodeNotFound);
    // Made again under its id, it begins empty.
    b.write(|tx| tx.create_node_with(NewNode::new().id(hub)));
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        assert_eq!(view.node_props(hub).unwrap(), Some(vec![]));
        assert_eq!(view.node_labels(hub).unwrap(), []);
        assert_eq!(view.in_degree(hub, AllTypes).unwrap(), 0);
        assert_eq!(view.node_vector(hub, "v").unwrap(), None);
    });
}

#[test]
fn a_write_to_something_absent_is_an_error_and_changes_nothing() {
    let b = bench();
    let (a, c) = b.write(|tx| {
        let (a, c) = (tx.create_node(Some("a"))?, tx.create_node(Some("c"))?);
        tx.add_edge(a, "E", c)?;
        tx.set_node_prop(a, "p", 1)?;
        tx.add_node_label(a, "L")?;
        Ok((a, c))
    });
    let before = dump(&b.db.snapshot().unwrap());
    let none = NodeId(999);
    type Write = fn(&mut Transaction, NodeId, NodeId, NodeId) -> Result<()>;
    let nodes: &[Write] = &[
        |tx, _, _, none| tx.delete_node(none),
        |tx, _, _, none| tx.set_node_prop(none, "p", 1),
        |tx, _, _, none| tx.delete_node_prop(none, "p").map(drop),
        |tx, _, _, none| tx.delete_node_prop(none, "no such name").map(drop),
        |tx, _, _, none| tx.add_node_label(none, "L").map(drop),
        |tx, _, _, none| tx.remove_node_label(none, "L").map(drop),
        |tx, _, _, none| tx.remove_node_label(none, "no such name").map(drop),
        |tx, _, _, none| tx.set_node_vector(none, "v", &[1.0]),
        |tx, _, _, none| tx.delete_node_vector(none, "v").map(drop),
        |tx, a, _, none| tx.add_edge(a, "E", none),
        |tx, a, _, none| tx.add_edge(none, "E", a),
        |tx, _, _, none| tx.add_edge(none, "E", none),
        |tx, a, _, none| tx.upsert_edge_with_props(a, "E", none, &[]).map(drop),
        |tx, a, _, none| {
            let ty = tx.etype_id_or_create("E")?;
            tx.add_edges_batch(&[EdgeKey::new(none, ty, a)])
        },
    ];
    let edges: &[Write] = &[
        |tx, a, c, _| tx.delete_edge(c, "E", a),
        |tx, a, c, _| tx.delete_edge(a, "no such name", c),
        |tx, a, c, _| tx.set_edge_prop(c, "E", a, "p", 1),
        |tx, a, c, _| tx.set_edge_prop(a, "no such name", c, "p", 1),
        |tx, a, c, _| tx.delete_edge_prop(c, "E", a, "p").map(drop),
        |tx, a, _, none| tx.delete_edge(a, "E", none),
    ];
    let cases = nodes.iter().map(|w| (w, ErrorCode::NodeNotFound));
    for (n, (write, expected)) in cases.chain(edges.iter().map(|w| (w, ErrorCode::EdgeNotFound))).enumerate() {
        // Alone, and in the middle of a transaction that goes on.
        let mut tx = b.db.begin().unwrap();
        assert_eq!(code(write(&mut tx, a, c, none)), expected, "write {n}");
        assert_eq!(tx.count_edges(), 1);
        assert_eq!(tx.count_nodes(), 2);
    }
    let exists = b.db.transaction(|tx| tx.add_edge(a, "E", c));
    assert_eq!(code(exists), ErrorCode::EdgeExists);
    for unknown in [
        b.db.transaction(|tx| tx.add_edge(a, EdgeTypeId(77), c)),
        b.db.transaction(|tx| tx.add_node_label(a, LabelId(77)).map(drop)),
        b.db.transaction(|tx| tx.set_node_prop(a, PropKeyId(77), 1)),
        b.db.transaction(|tx| tx.set_node_prop(a, PropKeyId(u32::MAX), 1)),
        b.db.transaction(|tx| tx.set_node_vector(a, PropKeyId(0), &[1.0])),
    ] {
        assert_eq!(code(unknown), ErrorCode::UnknownName);
    }
    assert_eq!(dump(&b.db.snapshot().unwrap()), before);
    // Taking away what a node or edge does not have is no error: there is something to say it of.
    b.write(|tx| {
        assert!(!tx.delete_node_prop(a, "no such name")?);
        assert!(!tx.remove_node_label(c, "L")?);
        assert!(!tx.delete_node_vector(a, "v")?);
        assert!(!tx.delete_edge_prop(a, "E", c, "p")?);
        assert!(!tx.add_node_label(a, "L")?);
        Ok(())
    });
    assert_eq!(dump(&b.db.snapshot().unwrap()), before);
    assert_clean(&b.db);
}

#[test]
fn an_edge_that_is_added_again_starts_empty() {
    let mut b = bench();
    let (a, c) = b.write(|tx| {
        let (a, c) = (tx.create_node(None)?, tx.create_node(None)?);
        tx.add_edge(a, "E", c)?;
        tx.set_edge_prop(a, "E", c, "p", "old")?;
        tx.add_edge(a, "F", c)?;
        tx.add_edge(c, "E", a)?;
        Ok((a, c))
    });
    let empty = |db: &Database| {
        let view = db.snapshot().unwrap();
        assert_eq!(view.edge_props(a, "E", c).unwrap(), Some(vec![]));
        assert_eq!(view.count_edges(), 3);
        assert_eq!(view.out_degree(a, AllTypes).unwrap(), 2);
    };
    // Within one transaction, across two, and over a run.
    b.write(|tx| {
        tx.delete_edge(a, "E", c)?;
        assert!(!tx.edge_exists(a, "E", c)?);
        tx.add_edge(a, "E", c)
    });
    b.everywhere(empty);
    b.write(|tx| tx.set_edge_prop(a, "E", c, "p", "old"));
    b.db.compact().unwrap();
    b.write(|tx| tx.delete_edge(a, "E", c));
    b.db.checkpoint().unwrap();
    b.write(|tx| tx.add_edge(a, "E", c));
    b.everywhere(empty);
}

// ---- values -----------------------------------------------------------------------------------------------------

fn bits(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes).unwrap();
    bytes
}

#[test]
fn every_value_reads_back_bit_for_bit() {
    let mut b = bench();
    let values = [
        Value::Null,
        Value::Bool(false),
        Value::Bool(true),
        Value::I64(0),
        Value::I64(i64::MIN),
        Value::I64(i64::MAX),
        Value::I64(-1),
        Value::F64(0.0),
        Value::F64(-0.0),
        Value::F64(f64::NAN),
        Value::F64(f64::from_bits(0x7FF8_0000_DEAD_BEEF)),
        Value::F64(f64::from_bits(0xFFF0_0000_0000_0001)),
        Value::F64(f64::INFINITY),
        Value::F64(f64::NEG_INFINITY),
        Value::F64(f64::MIN_POSITIVE / 4.0),
        Value::String(String::new()),
        Value::String("\0 żółw 🐢".to_owned()),
        Value::String("x".repeat(100_000)),
        Value::Bytes(vec![]),
        Value::Bytes(vec![0, 255, 10]),
        Value::Bytes((0..=255).cycle().take(70_000).collect()),
        Value::Vector(vec![]),
        Value::Vector(vec![f32::NAN, -0.0, f32::from_bits(0x7FC0_1234), f32::INFINITY, 0.0]),
    ];
    let (node, other) = b.write(|tx| {
        let (node, other) = (tx.create_node(None)?, tx.create_node(None)?);
        tx.add_edge(node, "E", other)?;
        for (n, value) in values.iter().enumerate() {
            let name = format!("p{n}");
            tx.set_node_prop(node, &name, value.clone())?;
            tx.set_edge_prop(node, "E", other, &name, value.clone())?;
            assert_eq!(bits(&tx.node_prop(node, &name)?.unwrap()), bits(value));
        }
        Ok((node, other))
    });
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        for (n, value) in values.iter().enumerate() {
            let name = format!("p{n}");
            let key = view.propkey_id(&name).unwrap();
            assert_eq!(bits(&view.node_prop(node, &name).unwrap().expect("present")), bits(value));
            assert_eq!(bits(&view.edge_prop(node, "E", other, key).unwrap().expect("present")), bits(value));
        }
        assert_eq!(view.node_props(node).unwrap().unwrap().len(), values.len());
    });
    // A null is there, until it is removed.
    b.write(|tx| {
        assert!(tx.delete_node_prop(node, "p0")?);
        assert!(!tx.delete_node_prop(node, "p0")?);
        tx.set_node_prop(node, "p1", Value::Null)
    });
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        assert_eq!(view.node_prop(node, "p0").unwrap(), None);
        assert_eq!(view.node_prop(node, "p1").unwrap(), Some(Value::Null));
    });
}

#[test]
fn vectors_are_kept_exactly_and_their_length_is_fixed_by_the_first() {
    let mut b = bench();
    let stored = [3.0f32, -0.0, f32::MIN_POSITIVE / 2.0, 1e30];
    let (a, c) = b.write(|tx| {
        let (a, c) = (tx.create_node(None)?, tx.create_node(None)?);
        for bad in [&[f32::NAN, 1.0][..], &[f32::INFINITY], &[1.0, f32::NEG_INFINITY], &[0.0, -0.0], &[]] {
            assert_eq!(code(tx.set_node_vector(a, "v", bad)), ErrorCode::InvalidArgument, "{bad:?}");
        }
        tx.set_node_vector(a, "v", &stored)?;
        assert_eq!(code(tx.set_node_vector(c, "v", &[1.0])), ErrorCode::VectorDimension);
        tx.set_node_vector(c, "w", &[1.0])?;
        // A property under the same key is another thing.
        tx.set_node_prop(a, "v", vec![9.0f32])?;
        Ok((a, c))
    });
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        let found = view.node_vector(a, "v").unwrap().unwrap();
        assert!(found.iter().zip(&stored).all(|(a, b)| a.to_bits() == b.to_bits()), "{found:?}");
        assert_eq!(view.node_prop(a, "v").unwrap(), Some(Value::Vector(vec![9.0])));
        assert_eq!(view.node_vector(c, "v").unwrap(), None);
        assert_eq!(view.count_vectors(), 2);
        let other = db.transaction(|tx| tx.set_node_vector(c, "v", &[1.0, 2.0, 3.0]));
        assert_eq!(code(other), ErrorCode::VectorDimension);
    });
    b.write(|tx| {
        assert!(tx.delete_node_vector(a, "v")?);
        assert!(!tx.delete_node_vector(a, "v")?);
        Ok(())
    });
    // The length stays fixed, with no vector left.
    b.everywhere(|db| {
        assert_eq!(db.snapshot().unwrap().node_vector(a, "v").unwrap(), None);
        assert_eq!(db.snapshot().unwrap().count_vectors(), 1);
        assert_eq!(code(db.transaction(|tx| tx.set_node_vector(a, "v", &[1.0]))), ErrorCode::VectorDimension);
    });
    // Two who fix different lengths at the same time: the first wins.
    let (mut first, mut second) = (b.db.begin().unwrap(), b.db.begin().unwrap());
    first.set_node_vector(a, "x", &[1.0]).unwrap();
    second.set_node_vector(c, "x", &[1.0, 2.0]).unwrap();
    first.commit().unwrap();
    assert_eq!(code(second.commit()), ErrorCode::Conflict);
    assert_clean(&b.db);
}

// ---- names --------------------------------------------------------------------------------------------------------

fn names(db: &Database) -> [Vec<(u32, String)>; 3] {
    let view = db.snapshot().unwrap();
    [
        view.labels().into_iter().map(|(id, name)| (id.0, name)).collect(),
        view.etypes().into_iter().map(|(id, name)| (id.0, name)).collect(),
        view.propkeys().into_iter().map(|(id, name)| (id.0, name)).collect(),
    ]
}

#[test]
fn names_survive_in_whatever_order_they_were_defined_or_given_up() {
    let mut b = bench();
    // Given up: its ids were handed out, but nothing defined them.
    let given_up = b.db.begin().map(|mut tx| tx.label_id_or_create("Never").unwrap()).unwrap();
    let label = b.write(|tx| tx.label_id_or_create("First"));
    assert_ne!(label, given_up);
    assert_eq!(names(&b.db)[0], [(label.0, "First".to_owned())]);
    assert_eq!(b.db.snapshot().unwrap().label_id("Never"), None);
    let node = b.write(|tx| {
        let id = tx.create_node(None)?;
        tx.add_node_label(id, "Second")?;
        tx.add_edge(id, "T", id)?;
        tx.set_node_prop(id, "p", 1)?;
        tx.set_node_vector(id, "q", &[1.0])?;
        Ok(id)
    });
    let expected = names(&b.db);
    b.everywhere(|db| assert_eq!(names(db), expected));
    // What a caller kept from the transaction that was given up is nobody's, until a commit defines that name.
    let kept = b.db.begin().map(|mut tx| tx.label_id_or_create("Kept").unwrap()).unwrap();
    assert_eq!(code(b.db.transaction(|tx| tx.add_node_label(node, kept))), ErrorCode::UnknownName);
    b.write(|tx| tx.add_node_label(node, "Kept"));
    b.write(|tx| tx.add_node_label(node, kept));
    let id = b.write(|tx| tx.label_id_or_create("Third"));
    let expected = names(&b.db);
    assert_eq!(expected[0].len(), 4);
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        assert_eq!(names(db), expected);
        assert_eq!(view.label_name(id).as_deref(), Some("Third"));
        assert!(view.node_has_label(node, "Kept").unwrap());
        assert_eq!(view.label_id("Second"), view.node_labels(node).unwrap().first().copied());
    });
}

#[test]
fn names_are_text_of_one_to_4096_bytes() {
    let mut b = bench();
    let longest = "n".repeat(4096);
    let id = b.write(|tx| tx.create_node(None));
    for bad in ["", &"n".repeat(4097)] {
        assert_eq!(code(b.db.transaction(|tx| tx.label_id_or_create(bad))), ErrorCode::InvalidArgument);
        assert_eq!(code(b.db.transaction(|tx| tx.add_edge(id, bad, id))), ErrorCode::InvalidArgument);
        assert_eq!(code(b.db.transaction(|tx| tx.set_node_prop(id, bad, 1))), ErrorCode::InvalidArgument);
    }
    for good in ["x", "żółw 🐢\n\0", &longest] {
        b.write(|tx| {
            tx.add_node_label(id, good)?;
            tx.add_edge(id, good, id)?;
            tx.set_node_prop(id, good, 1)
        });
    }
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        for good in ["x", "żółw 🐢\n\0", &longest] {
            assert!(view.node_has_label(id, good).unwrap());
            assert!(view.edge_exists(id, good, id).unwrap());
            assert_eq!(view.node_prop(id, good).unwrap(), Some(Value::I64(1)));
        }
        assert!(!view.node_has_label(id, "").unwrap());
    });
}

#[test]
fn threads_that_define_the_same_names_agree_on_them() {
    let mut b = bench();
    const NAMES: usize = 40;
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (db, start) = (&b.db, &start);
            scope.spawn(move || {
                start.wait();
                for n in 0..NAMES {
                    // Some give up now and then, after they were the first to ask for a name.
                    if (n + thread) % 3 == 0 {
                        let mut tx = db.begin().unwrap();
                        tx.label_id_or_create(&format!("L{n}")).unwrap();
                        tx.propkey_id_or_create(&format!("aborted {thread} {n}")).unwrap();
                    }
                    let write = |tx: &mut Transaction| {
                        let id = tx.create_node(Some(&format!("{thread} {n}")))?;
                        tx.add_node_label(id, &format!("L{n}"))?;
                        tx.set_node_prop(id, &format!("P{n}"), n as i64)?;
                        tx.add_edge(id, &format!("T{n}"), id)
                    };
                    db.transaction(write).expect("names are no reason for a conflict");
                }
            });
        }
    });
    let expected = names(&b.db);
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        assert_eq!(names(db), expected);
        for (names, initial) in names(db).iter().zip(["L", "T", "P"]) {
            let texts: BTreeSet<_> = names.iter().map(|(_, name)| name.clone()).collect();
            let ids: BTreeSet<_> = names.iter().map(|(id, _)| *id).collect();
            assert_eq!(texts, (0..NAMES).map(|n| format!("{initial}{n}")).collect());
            assert_eq!((texts.len(), ids.len()), (names.len(), names.len()));
        }
        for n in 0..NAMES {
            assert_eq!(view.count_nodes_by_label(&format!("L{n}")), 4);
            assert_eq!(view.count_edges_by_type(&format!("T{n}")), 4);
            let id = view.node_by_key(&format!("2 {n}")).unwrap().unwrap();
            assert_eq!(view.node_prop(id, &format!("P{n}")).unwrap(), Some(Value::I64(n as i64)));
        }
    });
}

// ---- transactions ---------------------------------------------------------------------------------------------------

#[test]
fn what_two_transactions_write_decides_whether_they_conflict() {
    type Write = fn(&mut Transaction, [NodeId; 3]) -> Result<()>;
    let set_a: Write = |tx, [a, ..]| tx.set_node_prop(a, "p", 1);
    let set_a_other: Write = |tx, [a, ..]| tx.set_node_prop(a, "q", 1);
    let set_c: Write = |tx, [_, _, c]| tx.set_node_prop(c, "p", 1);
    let label_a: Write = |tx, [a, ..]| tx.add_node_label(a, "New").map(drop);
    let delete_a: Write = |tx, [a, ..]| tx.delete_node(a);
    let delete_b: Write = |tx, [_, b, _]| tx.delete_node(b);
    let delete_c: Write = |tx, [_, _, c]| tx.delete_node(c);
    let add_ac: Write = |tx, [a, _, c]| tx.add_edge(a, "NEW", c);
    let add_ca: Write = |tx, [a, _, c]| tx.add_edge(c, "NEW", a);
    let set_ab: Write = |tx, [a, b, _]| tx.set_edge_prop(a, "E", b, "p", 1);
    let delete_ab: Write = |tx, [a, b, _]| tx.delete_edge(a, "E", b);
    let readd_ab: Write = |tx, [a, b, _]| tx.delete_edge(a, "E", b).and_then(|()| tx.add_edge(a, "E", b));
    let new_key: Write = |tx, _| tx.create_node(Some("new")).map(drop);
    let other_key: Write = |tx, _| tx.create_node(Some("other")).map(drop);
    let take_key_of_a: Write = |tx, [a, ..]| {
        tx.delete_node(a)?;
        tx.create_node(Some("a")).map(drop)
    };
    let vector_a: Write = |tx, [a, ..]| tx.set_node_vector(a, "v", &[5.0, 5.0]);
    let vector_a_other: Write = |tx, [a, ..]| tx.set_node_vector(a, "w", &[1.0]);
    let unvector_a: Write = |tx, [a, ..]| tx.delete_node_vector(a, "v").map(drop);
    let chosen: Write = |tx, _| tx.create_node_with(NewNode::new().id(NodeId(500))).map(drop);
    let (yes, no) = (true, false);
    let cases: &[(&str, Write, Write, bool)] = &[
        ("one node's property", set_a, set_a, yes),
        ("two properties of a node", set_a, set_a_other, yes),
        ("a property and a label of a node", set_a, label_a, yes),
        ("two nodes", set_a, set_c, no),
        ("a property and an edge at its node", set_a, add_ac, no),
        ("a property and a vector of a node", set_a, vector_a, no),
        ("deleting a node and setting its property", delete_a, set_a, yes),
        ("deleting a node twice", delete_a, delete_a, yes),
        ("deleting a node and adding an edge from it", delete_a, add_ac, yes),
        ("deleting a node and adding an edge to it", delete_a, add_ca, yes),
        ("deleting a node and setting its edge's property", delete_a, set_ab, yes),
        ("deleting a node and removing its edge", delete_b, delete_ab, yes),
        ("deleting both ends of an edge", delete_a, delete_b, yes),
        ("deleting two nodes without an edge", delete_a, delete_c, no),
        ("deleting a node and setting its vector", delete_a, vector_a, yes),
        ("deleting a node and setting a new vector of it", delete_a, vector_a_other, yes),
        ("one edge twice", add_ac, add_ac, yes),
        ("two edges at the same nodes", add_ac, add_ca, no),
        ("one edge's property", set_ab, set_ab, yes),
        ("an edge's property and its end", set_ab, delete_ab, yes),
        ("an edge's property and its new beginning", set_ab, readd_ab, yes),
        ("an edge's end and another edge", delete_ab, add_ac, no),
        ("one key", new_key, new_key, yes),
        ("two keys", new_key, other_key, no),
        ("a key that changes hands twice", take_key_of_a, take_key_of_a, yes),
        ("a key that changes hands, and its node", take_key_of_a, set_a, yes),
        ("one vector", vector_a, vector_a, yes),
        ("two vectors of a node", vector_a, vector_a_other, no),
        ("a vector and its end", vector_a, unvector_a, yes),
        ("one chosen id", chosen, chosen, yes),
        ("a chosen id and another node", chosen, other_key, no),
    ];
    for (what, first, second, conflict) in cases {
        // What is committed after the next checkpoint no longer lies in memory when the late transaction commits.
        for (ahead, between) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)] {
            for (one, two) in [(first, second), (second, first)] {
                let b = bench();
                let nodes = b.write(|tx| {
                    let [a, c, d] =
                        [tx.create_node(Some("a"))?, tx.create_node(Some("b"))?, tx.create_node(Some("c"))?];
                    tx.add_edge(a, "E", c)?;
                    tx.set_node_vector(a, "v", &[1.0, 2.0])?;
                    tx.set_node_vector(d, "w", &[1.0])?;
                    Ok([a, c, d])
                });
                if between % 2 == 1 {
                    b.db.checkpoint().unwrap();
                }
                let mut late = b.db.begin().unwrap();
                two(&mut late, nodes).unwrap();
                for n in 0..ahead {
                    b.write(|tx| tx.create_node(Some(&format!("ahead {n}"))));
                    b.db.checkpoint().unwrap();
                }
                let untouched = b.db.snapshot().unwrap().digest();
                b.write(|tx| one(tx, nodes));
                // What left everything as it was can only be told from what lies in memory.
                let is_told = ahead == 0 || between == 0 || b.db.snapshot().unwrap().digest() != untouched;
                let conflict = *conflict && is_told;
                // What was committed after the snapshot counts, however far the checkpoints have come since.
                for n in 0..between {
                    b.db.checkpoint().unwrap();
                    b.write(|tx| tx.create_node(Some(&format!("unrelated {n}"))));
                }
                let before = dump(&b.db.snapshot().unwrap());
                match late.commit() {
                    Ok(_) => assert!(!conflict, "{what}, {ahead} and {between} checkpoints between: no conflict"),
                    Err(e) => {
                        assert!(conflict, "{what}, {ahead} and {between} checkpoints between: {e}");
                        assert_eq!((e.code(), e.kind()), (ErrorCode::Conflict, ErrorKind::RetryTransaction));
                        assert_eq!(dump(&b.db.snapshot().unwrap()), before);
                    }
                }
                assert_clean(&b.db);
            }
        }
    }
}

#[test]
fn transactions_move_between_threads_and_many_are_open_at_once() {
    fn assert_send<T: Send>() {}
    assert_send::<Transaction>();
    assert_send::<Database>();
    assert_send::<kitedb_core::View>();
    let b = bench();
    let mut transactions: Vec<Transaction> = (0..8).map(|_| b.db.begin().unwrap()).collect();
    for (n, tx) in transactions.iter_mut().enumerate() {
        tx.create_node(Some(&format!("begun here {n}"))).unwrap();
    }
    let tokens: Vec<_> = transactions
        .into_iter()
        .enumerate()
        .map(|(n, mut tx)| {
            let there = thread::spawn(move || {
                tx.create_node(Some(&format!("gone on there {n}"))).unwrap();
                tx
            });
            let tx = there.join().unwrap();
            thread::spawn(move || tx.commit().unwrap()).join().unwrap()
        })
        .collect();
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
    assert_eq!(b.db.snapshot().unwrap().count_nodes(), 16);
}

#[test]
fn a_transaction_that_is_dropped_or_rolled_back_never_was() {
    let b = bench();
    b.write(|tx| tx.create_node(Some("there")));
    let (before, token) = (dump(&b.db.snapshot().unwrap()), b.db.last_commit_token());
    for end in [drop::<Transaction>, Transaction::rollback] {
        let mut tx = b.db.begin().unwrap();
        let there = tx.node_by_key("there").unwrap().unwrap();
        let id = tx.create_node(Some("gone")).unwrap();
        tx.add_edge(there, "E", id).unwrap();
        tx.set_node_prop(there, "p", 1).unwrap();
        end(tx);
    }
    let failed = b.db.transaction(|tx| {
        tx.create_node(Some("gone"))?;
        tx.create_node(Some("there"))
    });
    assert_eq!(code(failed), ErrorCode::DuplicateKey);
    assert_eq!(dump(&b.db.snapshot().unwrap()), before);
    assert_eq!(b.db.last_commit_token(), token);
    let unwound = thread::scope(|scope| {
        scope
            .spawn(|| {
                b.db.transaction(|tx| -> Result<()> {
                    tx.create_node(Some("gone"))?;
                    std::panic::resume_unwind(Box::new("the caller's own"));
                })
            })
            .join()
    });
    assert!(unwound.is_err());
    b.write(|tx| tx.create_node(Some("after")));
    assert_eq!(b.db.snapshot().unwrap().count_nodes(), 2);
    assert_clean(&b.db);
}

#[test]
fn a_transaction_without_changes_commits_nothing() {
    let b = bench();
    assert_eq!(b.db.last_commit_token(), None);
    assert_eq!(b.db.begin().unwrap().commit().unwrap().log_index.0, 0);
    assert!(!crate::support_process::log_folder(&b.path).exists());
    let token = { b.db.begin().map(|mut tx| (tx.create_node(None), tx.commit().unwrap())).unwrap().1 };
    assert_eq!(token.to_string(), "1:1");
    let mut tx = b.db.begin().unwrap();
    assert!(!tx.delete_node_prop(NodeId(1), "p").unwrap());
    assert_eq!(tx.commit().unwrap(), token);
    assert_eq!(b.db.begin().unwrap().commit_with_token().unwrap(), None);
    assert_eq!(b.db.last_commit_token(), Some(token));
    // Made and unmade within one transaction: nothing is left.
    b.write(|tx| tx.create_node(Some("k")).and_then(|id| tx.delete_node(id)));
    assert_eq!(b.db.snapshot().unwrap().count_nodes(), 1);
    assert_clean(&b.db);
}

#[test]
fn who_tries_again_after_a_conflict_sees_what_he_conflicted_with() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions::new().sync_mode(SyncMode::Full);
    let db = Database::open(dir.path().join("a.kitedb"), options).unwrap();
    let id = db.transaction(|tx| tx.create_node(None)).unwrap();
    db.transaction(|tx| tx.set_node_prop(id, "n", 0)).unwrap();
    let read = |graph: &dyn Fn() -> Result<Option<Value>>| match graph() {
        Ok(Some(Value::I64(n))) => n,
        other => panic!("{other:?}"),
    };
    let increments = || {
        let mut conflicts = 0;
        for _ in 0..25 {
            loop {
                let mut tx = db.begin().unwrap();
                let n = read(&|| tx.node_prop(id, "n"));
                tx.set_node_prop(id, "n", n + 1).unwrap();
                match tx.commit() {
                    Ok(_) => break,
                    Err(e) => assert!(e.is_conflict(), "{e}"),
                }
                conflicts += 1;
                // Also where its sync was under way.
                let view = db.snapshot().unwrap();
                assert!(read(&|| view.node_prop(id, "n")) > n);
            }
        }
        conflicts
    };
    let conflicts: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(increments)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(conflicts > 0, "nothing was tried");
    assert_eq!(read(&|| db.snapshot()?.node_prop(id, "n")), 100);
}

#[test]
fn the_retry_helper_runs_again_after_conflicts_only() {
    let b = bench();
    let id = b.write(|tx| tx.create_node(None));
    let disturb = |n: i64| b.write(|tx| tx.set_node_prop(id, "n", n));
    let mut runs = 0;
    let mut increment = |disturbances: i64, attempts| {
        runs = 0;
        let result = b.db.transaction_with_retry(attempts, |tx| -> Result<_> {
            runs += 1;
            let Some(Value::I64(n)) = tx.node_prop(id, "n")? else { panic!("no number") };
            tx.set_node_prop(id, "n", n + 1)?;
            if runs <= disturbances {
                disturb(10 * runs);
            }
            Ok(n + 1)
        });
        (result, runs)
    };
    disturb(0);
    let (result, runs) = increment(0, 3);
    assert_eq!((result.unwrap(), runs), (1, 1));
    let (result, runs) = increment(2, 3);
    assert_eq!((result.unwrap(), runs), (21, 3));
    let (result, runs) = increment(5, 3);
    assert_eq!((code(result), runs), (ErrorCode::Conflict, 3));
    let (result, runs) = increment(1, 1);
    assert_eq!((code(result), runs), (ErrorCode::Conflict, 1));
    let (result, runs) = increment(0, 0);
    assert_eq!((code(result), runs), (ErrorCode::InvalidArgument, 0));
    let mut other_errors = 0;
    let result: Result<()> = b.db.transaction_with_retry(5, |_| {
        other_errors += 1;
        Err(Error::invalid("the caller's own"))
    });
    assert_eq!((code(result), other_errors), (ErrorCode::InvalidArgument, 1));
}

#[test]
fn upserts_say_whether_they_created() {
    let mut b = bench();
    b.write(|tx| {
        let [p, q] = [tx.propkey_id_or_create("p")?, tx.propkey_id_or_create("q")?];
        let ty = tx.etype_id_or_create("E")?;
        let (a, new) = tx.upsert_node("a", &[(p, Some(Value::I64(1))), (q, None)])?;
        assert!(new);
        assert_eq!(tx.upsert_node("a", &[(p, None), (q, Some(Value::Null))])?, (a, false));
        assert_eq!(tx.node_props(a)?, Some(vec![(q, Value::Null)]));
        assert!(tx.upsert_node_by_id(NodeId(10), &[(p, Some("x".into()))])?);
        assert!(!tx.upsert_node_by_id(NodeId(10), &[(q, Some(2.into()))])?);
        assert_eq!(tx.node_key(NodeId(10))?, None);
        assert!(tx.upsert_edge_with_props(a, ty, NodeId(10), &[(p, Some(1.into())), (q, None)])?);
        assert!(!tx.upsert_edge_with_props(a, ty, NodeId(10), &[(p, None), (q, Some(2.into()))])?);
        assert_eq!(tx.edge_props(a, ty, NodeId(10))?, Some(vec![(q, Value::I64(2))]));
        assert_eq!(code(tx.upsert_node("", &[])), ErrorCode::InvalidArgument);
        Ok(())
    });
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        let a = view.node_by_key("a").unwrap().unwrap();
        assert_eq!(view.node_prop(a, "q").unwrap(), Some(Value::Null));
        assert_eq!(view.node_prop(NodeId(10), "p").unwrap(), Some("x".into()));
        assert_eq!(view.edge_prop(a, "E", NodeId(10), "q").unwrap(), Some(Value::I64(2)));
        assert_eq!(view.edge_prop(a, "E", NodeId(10), "p").unwrap(), None);
    });
}

#[test]
fn a_batch_is_one_frame() {
    let mut b = bench();
    let index = |b: &Bench| b.db.last_commit_token().map_or(0, |t| t.log_index.0);
    let ids = b.write(|tx| {
        let (labels, p) = ([tx.label_id_or_create("L")?], tx.propkey_id_or_create("p")?);
        let props = [(p, Value::I64(7))];
        let keys: Vec<String> = (0..1000).map(|n| format!("n{n}")).collect();
        let new: Vec<_> = keys.iter().map(|key| NewNode::new().key(key).labels(&labels).props(&props)).collect();
        tx.create_nodes_batch(&new)
    });
    assert_eq!(index(&b), 1);
    b.write(|tx| {
        let (ty, p) = (tx.etype_id_or_create("E")?, tx.propkey_id_or_create("p")?);
        let plain: Vec<_> = ids.windows(2).map(|w| EdgeKey::new(w[0], ty, w[1])).collect();
        tx.add_edges_batch(&plain)?;
        let props = [(p, Value::I64(8))];
        let rich: Vec<_> = ids.windows(2).map(|w| (EdgeKey::new(w[1], ty, w[0]), &props[..])).collect();
        tx.add_edges_with_props_batch(&rich)
    });
    assert_eq!(index(&b), 2);
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        assert_eq!((view.count_nodes(), view.count_edges()), (1000, 1998));
        assert_eq!(view.count_nodes_by_label("L"), 1000);
        assert_eq!(view.node_by_key("n999").unwrap(), Some(ids[999]));
        assert_eq!(view.edge_prop(ids[1], "E", ids[0], "p").unwrap(), Some(Value::I64(8)));
        assert_eq!(view.edge_props(ids[0], "E", ids[1]).unwrap(), Some(vec![]));
    });
    // A batch that fails as a whole transaction leaves nothing.
    let failed = b.db.transaction(|tx| {
        let new = |key| NewNode::new().key(key);
        tx.create_nodes_batch(&[new("fresh"), new("n5"), new("fresh too")])
    });
    assert_eq!(code(failed), ErrorCode::DuplicateKey);
    assert_eq!(b.db.snapshot().unwrap().node_by_key("fresh").unwrap(), None);
    // Within a transaction that goes on, none of a batch of nodes is there either.
    let mut tx = b.db.begin().unwrap();
    let new = |key| NewNode::new().key(key);
    assert_eq!(code(tx.create_nodes_batch(&[new("fresh"), new("n5")])), ErrorCode::DuplicateKey);
    assert_eq!(tx.count_nodes(), 1000);
    tx.commit().unwrap();
    assert_clean(&b.db);
}

#[test]
fn the_bulk_loader_commits_every_so_many_elements() {
    let mut b = bench();
    assert_eq!(code(b.db.begin_bulk(0)), ErrorCode::InvalidArgument);
    let mut bulk = b.db.begin_bulk(100).unwrap();
    let hub = bulk.create_node(Some("hub")).unwrap();
    let mut tokens = Vec::new();
    for n in 0..250 {
        let id = bulk.create_node(Some(&format!("n{n}"))).unwrap();
        bulk.add_edge(hub, "E", id).unwrap();
        tokens.extend(bulk.step().unwrap());
    }
    assert_eq!(tokens.len(), 2);
    assert_eq!(b.db.snapshot().unwrap().count_nodes(), 201);
    let last = bulk.finish().unwrap();
    assert_eq!(last.log_index.0, 3);
    b.everywhere(|db| assert_eq!(db.snapshot().unwrap().out_degree(hub, AllTypes).unwrap(), 250));
    let mut given_up = b.db.begin_bulk(100).unwrap();
    given_up.create_node(None).unwrap();
    drop(given_up);
    assert_eq!(b.db.snapshot().unwrap().count_nodes(), 251);
}

/// Whoever goes on after an error loses a batch in the midst of a load, and is told that all is well.
#[test]
fn a_bulk_loader_whose_commit_failed_commits_nothing_more() {
    let b = bench();
    let mut bulk = b.db.begin_bulk(2).unwrap();
    bulk.create_node(Some("lost")).unwrap();
    bulk.step().unwrap();
    b.db.transaction(|tx| tx.create_node(Some("lost"))).unwrap();
    bulk.create_node(Some("lost, too")).unwrap();
    assert_eq!(code(bulk.step()), ErrorCode::Conflict);
    for answer in [bulk.flush().map(Some), bulk.step(), bulk.finish().map(Some)] {
        let error = answer.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Finished);
        assert!(error.to_string().contains("is lost") && error.to_string().contains("begin another one"), "{error}");
    }
    assert_eq!(b.db.snapshot().unwrap().count_nodes(), 1);
}

#[test]
fn counts_are_right_after_every_change() {
    let mut b = bench();
    let expect = |db: &Database, nodes: u64, edges: u64, vectors: u64, labelled: u64, typed: u64| {
        let view = db.snapshot().unwrap();
        assert_eq!([view.count_nodes(), view.count_edges(), view.count_vectors()], [nodes, edges, vectors]);
        assert_eq!([view.count_nodes_by_label("L"), view.count_edges_by_type("T")], [labelled, typed]);
        let stats = db.stats().unwrap();
        assert_eq!([stats.nodes, stats.edges, stats.vectors], [nodes, edges, vectors]);
    };
    expect(&b.db, 0, 0, 0, 0, 0);
    let (a, c) = b.write(|tx| Ok((tx.create_node(None)?, tx.create_node(None)?)));
    expect(&b.db, 2, 0, 0, 0, 0);
    b.write(|tx| {
        tx.add_edge(a, "T", c)?;
        tx.add_edge(a, "U", c)?;
        assert_eq!((tx.count_edges(), tx.count_edges_by_type("T")), (2, 1));
        tx.add_node_label(a, "L")?;
        tx.add_node_label(a, "L")?;
        tx.set_node_vector(a, "v", &[1.0])?;
        tx.set_node_vector(a, "v", &[2.0])
    });
    expect(&b.db, 2, 2, 1, 1, 1);
    b.db.checkpoint().unwrap();
    b.write(|tx| {
        tx.delete_edge(a, "T", c)?;
        tx.add_edge(a, "T", c)?;
        tx.remove_node_label(a, "L")?;
        tx.add_node_label(c, "L")?;
        tx.delete_node_vector(a, "v")?;
        tx.set_node_vector(c, "v", &[1.0])
    });
    expect(&b.db, 2, 2, 1, 1, 1);
    b.write(|tx| tx.delete_node(c));
    b.everywhere(|db| expect(db, 1, 0, 0, 0, 0));
}

#[test]
fn the_label_index_follows_the_labels() {
    let mut b = bench();
    let ids = b.write(|tx| (0..50).map(|_| tx.create_node(None)).collect::<Result<Vec<_>>>());
    let mut labelled = BTreeSet::new();
    for round in 0..6u64 {
        b.write(|tx| {
            for id in &ids {
                match (id.0 * 7 + round * 13) % 4 {
                    0 => labelled.insert(*id) && tx.add_node_label(*id, "L")?,
                    1 => labelled.remove(id) && tx.remove_node_label(*id, "L")?,
                    _ => false,
                };
            }
            Ok(())
        });
        let expected: Vec<NodeId> = labelled.iter().copied().collect();
        b.everywhere(|db| {
            let view = db.snapshot().unwrap();
            let found: Vec<_> = view.nodes_with_label("L").unwrap().map(|node| node.unwrap().id()).collect();
            assert_eq!(found, expected);
            assert_eq!(view.label_page("L", None, 1000).unwrap().items, expected);
            assert_eq!(view.count_nodes_by_label("L"), expected.len() as u64);
        });
    }
}

#[test]
fn neighbours_can_be_asked_for_by_type_and_direction() {
    let mut b = bench();
    let ids = b.write(|tx| {
        let ids = (0..10).map(|_| tx.create_node(None)).collect::<Result<Vec<_>>>()?;
        for (n, id) in ids.iter().enumerate() {
            tx.add_edge(ids[0], if n % 3 == 0 { "A" } else { "B" }, *id)?;
            tx.add_edge(*id, "C", ids[0])?;
        }
        Ok(ids)
    });
    b.everywhere(|db| {
        let view = db.snapshot().unwrap();
        let [a, bb, c] = ["A", "B", "C"].map(|name| view.etype_id(name).unwrap());
        let sorted = |nodes: Neighbors<'_>| nodes.map(|node| node.id()).collect::<BTreeSet<_>>();
        let some = |keep: fn(usize) -> bool| {
            ids.iter().enumerate().filter(|(n, _)| keep(*n)).map(|(_, id)| *id).collect::<BTreeSet<_>>()
        };
        assert_eq!(sorted(view.out_neighbors(ids[0], a).unwrap()), some(|n| n % 3 == 0));
        assert_eq!(sorted(view.out_neighbors(ids[0], "B").unwrap()), some(|n| n % 3 != 0));
        assert_eq!(sorted(view.in_neighbors(ids[0], c).unwrap()), some(|_| true));
        assert_eq!(view.out_degree(ids[0], AllTypes).unwrap(), 11);
        assert_eq!(view.out_degree(ids[0], bb).unwrap(), 6);
        assert_eq!(view.in_degree(ids[0], AllTypes).unwrap(), 11);
        assert_eq!(view.in_degree(ids[3], a).unwrap(), 1);
        assert_eq!(view.out_degree(ids[0], EdgeTypeId(99)).unwrap(), 0);
        assert!(view.in_edges(ids[3], AllTypes).unwrap().all(|edge| edge.ty() == a && edge.src() == ids[0]));
        assert_eq!(view.out_neighbors(NodeId(999), AllTypes).unwrap().count(), 0);
    });
}

#[test]
fn a_transaction_larger_than_a_frame_is_refused_and_the_next_one_is_not() {
    let b = bench();
    let id = b.write(|tx| tx.create_node(Some("k")));
    let (before, token) = (dump(&b.db.snapshot().unwrap()), b.db.last_commit_token());
    let one_value = b.db.transaction(|tx| tx.set_node_prop(id, "large", vec![1u8; (64 << 20) + 1]));
    assert_eq!(code(one_value), ErrorCode::TransactionTooLarge);
    let many_values =
        b.db.transaction(|tx| (0..200).try_for_each(|n| tx.set_node_prop(id, "large", vec![n as u8; 1 << 20])));
    assert_eq!(code(many_values), ErrorCode::TransactionTooLarge);
    assert_eq!(dump(&b.db.snapshot().unwrap()), before);
    assert_eq!(b.db.last_commit_token(), token);
    b.write(|tx| tx.set_node_prop(id, "large", vec![2u8; 20 << 20]));
    b.db.checkpoint().unwrap();
    let large = b.db.snapshot().unwrap().node_prop(id, "large").unwrap();
    assert_eq!(large, Some(Value::Bytes(vec![2; 20 << 20])));
    // The bulk loader splits by itself.
    let mut bulk = b.db.begin_bulk(usize::MAX).unwrap();
    for n in 0..8 {
        let id = bulk.create_node(None).unwrap();
        bulk.set_node_prop(id, "large", vec![n as u8; 10 << 20]).unwrap();
        bulk.step().unwrap();
    }
    bulk.finish().unwrap();
    assert_eq!(b.db.snapshot().unwrap().count_nodes(), 9);
    assert_clean(&b.db);
}

#[test]
fn a_commit_that_waits_while_the_database_is_closed_is_refused_or_kept() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..30 {
        let path = dir.path().join(format!("{round}.kitedb"));
        let options = OpenOptions::new().sync_mode(SyncMode::Off).checkpoint_log_bytes(4096);
        let db = Database::open(&path, options.clone()).unwrap();
        let committed: u64 = thread::scope(|scope| {
            let writers: Vec<_> = (0..3)
                .map(|_| {
                    let db = db.clone();
                    scope.spawn(move || {
                        for n in 0.. {
                            let done = db.transaction(|tx| {
                                let id = tx.create_node(None)?;
                                tx.set_node_prop(id, "p", vec![7u8; 3000])
                            });
                            match done {
                                Ok(()) => {}
                                Err(e) if e.code() == ErrorCode::Closed => return n,
                                Err(e) => panic!("{e}"),
                            }
                        }
                        unreachable!()
                    })
                })
                .collect();
            while db.snapshot().is_ok_and(|view| view.count_nodes() < 20 + 7 * round) {
                thread::yield_now();
            }
            db.clone().close().unwrap();
            writers.into_iter().map(|w| w.join().unwrap()).sum()
        });
        let db = Database::open(&path, options).unwrap();
        assert_eq!(db.snapshot().unwrap().count_nodes(), committed);
        assert_clean(&db);
    }
}

#[test]
fn the_codes_and_kinds_of_errors_are_stable() {
    use ErrorCode::*;
    let table = [
        (Conflict, "CONFLICT", "retry_transaction"),
        (NodeNotFound, "NODE_NOT_FOUND", "input"),
        (EdgeNotFound, "EDGE_NOT_FOUND", "input"),
        (EdgeExists, "EDGE_EXISTS", "input"),
        (NodeExists, "NODE_EXISTS", "input"),
        (DuplicateKey, "DUPLICATE_KEY", "input"),
        (SnapshotExpired, "SNAPSHOT_EXPIRED", "retry_transaction"),
        (Cancelled, "CANCELLED", "cancelled"),
        (UnknownName, "UNKNOWN_NAME", "input"),
        (VectorDimension, "VECTOR_DIMENSION", "input"),
        (InvalidArgument, "INVALID_ARGUMENT", "input"),
        (InvalidOption, "INVALID_OPTION", "input"),
        (TransactionTooLarge, "TRANSACTION_TOO_LARGE", "input"),
        (ReadOnly, "READ_ONLY", "input"),
        (NotFound, "NOT_FOUND", "input"),
        (NotADatabase, "NOT_A_DATABASE", "input"),
        (TooNew, "TOO_NEW", "input"),
        (OldFormat, "OLD_FORMAT", "input"),
        (Format02, "FORMAT_0_2", "input"),
        (Forked, "FORKED", "reopen"),
        (Closed, "CLOSED", "reopen"),
        (SyncFailed, "SYNC_FAILED", "reopen"),
        (Poisoned, "POISONED", "reopen"),
        (Finished, "FINISHED", "input"),
        (Locked, "LOCKED", "retry_later"),
        (DiskFull, "DISK_FULL", "retry_later"),
        (Io, "IO", "retry_later"),
        (Corrupt, "CORRUPT", "reseed"),
        (LogMismatch, "LOG_MISMATCH", "reseed"),
        (StalePrimary, "STALE_PRIMARY", "fenced"),
        (OutcomeUnknown, "OUTCOME_UNKNOWN", "reopen"),
        (Internal, "INTERNAL", "bug"),
    ];
    for (code, text, kind) in table {
        assert_eq!((code.as_str(), code.kind().as_str()), (text, kind));
        let error = Error::new(code, "what").context("where");
        assert_eq!((error.code(), error.kind(), error.is_conflict()), (code, code.kind(), code == Conflict));
        assert_eq!(error.to_string(), "where: what");
    }
}
