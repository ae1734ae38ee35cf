//! Random operations, done to a transaction and to the model at once. Both must agree on what happened.

use super::{
    Rng,
    model::{Bytes, Draft, Edge, INDEXES, LABELS, Node, Outcome, PROPS, Props, TYPES, VECTORS},
};
use kitedb_core::{
    Date, DateTime, Duration, EdgeKey, EdgeTypeId, Error, GraphRead, IndexId, IndexOn, IndexSpec, IndexState, LabelId,
    LocalDateTime, LocalTime, NewNode, NodeId, PropKeyId, Time, Transaction, Value, testing::DefineIndexes,
};
use proptest::prelude::*;
use std::cell::Cell;

/// Ids that callers choose themselves: small, beyond 32 bits, near the greatest.
pub const CHOSEN: [u64; 10] =
    [1, 2, 3, 70, 1_000, 1_001, (1 << 32) - 1, (1 << 32) + 5, 1 << 62, i64::MAX as u64 - 1_000_000_000];
/// How many keys there are: few, so that they are released and taken again.
pub const KEYS: u8 = 10;

/// An operation as five small numbers, which [`apply`] makes sense of in the state that it finds. Every combination
/// is an operation, and smaller numbers are simpler ones.
#[derive(Debug, Clone, Copy)]
pub struct Op {
    pub kind: u8,
    pub a: u8,
    pub b: u8,
    pub c: u8,
    pub d: u8,
}

pub fn any_op() -> impl Strategy<Value = Op> {
    any::<(u8, u8, u8, u8, u8)>().prop_map(|(kind, a, b, c, d)| Op { kind, a, b, c, d })
}

impl Rng {
    pub fn op(&mut self) -> Op {
        let [kind, a, b, c, d, ..] = self.next().to_le_bytes();
        Op { kind, a, b, c, d }
    }
}

pub fn key_name(n: u8) -> String {
    match n % KEYS {
        0 => "k".to_owned(),
        1 => "schlüssel/1".to_owned(),
        n => format!("key-{n}-{}", "x".repeat(usize::from(n) * 3)),
    }
}

/// A value of any kind, mostly small.
pub fn value(n: u8) -> Value {
    match n % 16 {
        0 => Value::Null,
        1 => Value::Bool(n > 100),
        2 => Value::I64(i64::from(n)),
        3 => Value::I64(if n > 100 { i64::MIN } else { i64::MAX }),
        4 => Value::F64(f64::from_bits(0x7FF8_0000_0000_0000 | u64::from(n))),
        5 => Value::F64(-0.0),
        6 => Value::String(String::new()),
        7 => Value::String("grüße ".repeat(usize::from(n) / 16)),
        8 => Value::Bytes(vec![n; usize::from(n)]),
        9 => Value::Vector(vec![f32::NAN, f32::from(n), -0.0]),
        10 if n > 200 => Value::Bytes(vec![n; 20_000]),
        10 => Value::Vector(Vec::new()),
        11 => Value::List((0..n / 32).map(|part| value(n.wrapping_mul(7).wrapping_add(part))).collect()),
        12 => Value::Map((0..n / 64).map(|part| (format!("k{part}"), value(n.wrapping_mul(5) ^ part))).collect()),
        13 => moment(n),
        14 if n > 100 => Duration::new(i64::from(n), -1, i64::MIN, 999_999_999).unwrap().into(),
        14 => Value::List((0..20).fold(Vec::new(), |inner, _| vec![Value::List(inner)])),
        _ => Value::String(format!("v{n}")),
    }
}

/// A date or time of each kind.
fn moment(n: u8) -> Value {
    let (days, nanos, offset) =
        (i64::from(n) * 1_400_000_000, u64::from(n) * 333_000_000_001, i32::from(n) * 250 - 30_000);
    match n / 16 % 6 {
        0 => Date::new(-days).unwrap().into(),
        1 => LocalTime::new(nanos).unwrap().into(),
        2 => Time::new(nanos, offset).unwrap().into(),
        3 => LocalDateTime::new(-days, 999_999_999).unwrap().into(),
        4 => DateTime::new(days, 1, offset, None).unwrap().into(),
        _ => DateTime::new(-days, 0, offset, Some("Europe/Stockholm")).unwrap().into(),
    }
}

pub fn encoded(value: &Value) -> Bytes {
    let mut bytes = Vec::new();
    value.encode(&mut bytes).unwrap();
    bytes
}

fn floats(n: u8, len: usize) -> Vec<f32> {
    (0..len).map(|i| f32::from(n) * 0.25 + i as f32 - 2.0 + f32::EPSILON).collect()
}

/// A node: one that is there if possible; every fourth time the first one, which becomes a hub; now and then none.
fn pick(draft: &Draft, n: u8) -> u64 {
    let nodes = &draft.now.nodes;
    match n % 8 {
        7 if n > 180 => CHOSEN[usize::from(n) % CHOSEN.len()],
        0 | 1 => nodes.keys().next().copied().unwrap_or(1),
        _ => nodes.keys().nth(usize::from(n / 8) % nodes.len().max(1)).copied().unwrap_or(1),
    }
}

/// An edge: two times in three one that is there.
fn pick_edge(draft: &Draft, op: Op) -> Edge {
    let edges = &draft.now.edges;
    match edges.keys().nth(usize::from(op.b) % edges.len().max(1)) {
        Some(edge) if !op.d.is_multiple_of(3) => *edge,
        _ => (pick(draft, op.a), usize::from(op.b) % TYPES.len(), pick(draft, op.c), 0),
    }
}

/// The edge that calls by the source, type and destination of this one mean.
fn meant(draft: &Draft, edge: Edge) -> Edge {
    draft.now.lowest(edge).unwrap_or((edge.0, edge.1, edge.2, 0))
}

/// What names exactly that edge.
fn key_of(tx: &Transaction, edge: Edge) -> EdgeKey {
    let ty = tx.etype_id(TYPES[edge.1]).unwrap_or(EdgeTypeId(1 << 29));
    EdgeKey::new(NodeId(edge.0), ty, NodeId(edge.2)).with_rank(edge.3)
}

fn model_props(pairs: &[(usize, Option<Value>)]) -> Props {
    pairs.iter().filter_map(|(p, v)| Some((*p, encoded(v.as_ref()?)))).collect()
}

/// Some properties (each at most once), some of them to be removed if `removals`.
fn some_props(op: Op, removals: bool) -> Vec<(usize, Option<Value>)> {
    let chosen = (0..PROPS.len()).filter(|p| op.d >> p & 1 == 1);
    chosen.map(|p| (p, (!removals || op.c >> p & 3 != 3).then(|| value(op.b.wrapping_add(p as u8 * 37))))).collect()
}

fn ids(tx: &mut Transaction, props: &[(usize, Option<Value>)]) -> Vec<(PropKeyId, Option<Value>)> {
    props.iter().map(|(p, v)| (tx.propkey_id_or_create(PROPS[*p]).unwrap(), v.clone())).collect()
}

fn present(props: Vec<(PropKeyId, Option<Value>)>) -> Vec<(PropKeyId, Value)> {
    props.into_iter().filter_map(|(p, v)| Some((p, v?))).collect()
}

thread_local! {
    static REFUSED: Cell<u64> = const { Cell::new(0) };
}

/// How many operations of this thread have failed.
pub fn refused() -> u64 {
    REFUSED.get()
}

fn outcome<T>(result: Result<T, Error>) -> Outcome<T> {
    result.map_err(|e| {
        REFUSED.set(REFUSED.get() + 1);
        e.code()
    })
}

/// Does `op` to both and checks that both say the same.
pub fn apply(op: Op, tx: &mut Transaction, draft: &mut Draft) {
    let Op { kind, a, b, c, d } = op;
    let (node, prop, label, ty) =
        (pick(draft, a), usize::from(b) % PROPS.len(), usize::from(b) % LABELS.len(), usize::from(b) % TYPES.len());
    if kind >= 248 {
        return change_index(op, tx, draft);
    }
    match kind % 40 {
        0..=3 => create(op, tx, draft),
        4 => create_batch(op, tx, draft),
        5 | 6 if d % 2 == 0 || draft.now.nodes.len() > 12 => {
            assert_eq!(outcome(tx.delete_node(NodeId(node))), draft.delete_node(node), "delete node {node}");
        }
        5..=7 => {
            let (key, pairs) = (key_name(b), some_props(op, true));
            let props = ids(tx, &pairs);
            let (id, created) = tx.upsert_node(&key, &props).unwrap();
            assert_eq!(created, !draft.now.keys.contains_key(&key), "upsert of key {key}");
            upserted(draft, id.0, created, Some(key), &pairs);
        }
        8 => {
            let pairs = some_props(op, true);
            let props = ids(tx, &pairs);
            let created = tx.upsert_node_by_id(NodeId(node), &props).unwrap();
            assert_eq!(created, !draft.now.nodes.contains_key(&node), "upsert of node {node}");
            upserted(draft, node, created, None, &pairs);
        }
        9 | 10 => {
            let value = value(c);
            let expected = draft.change_prop(node, prop, Some(encoded(&value))).map(drop);
            assert_eq!(outcome(tx.set_node_prop(NodeId(node), PROPS[prop], value)), expected);
        }
        11 => {
            let found = outcome(tx.delete_node_prop(NodeId(node), PROPS[prop]));
            assert_eq!(found, draft.change_prop(node, prop, None), "delete property of node {node}");
        }
        12 | 13 => {
            let found = outcome(tx.add_node_label(NodeId(node), LABELS[label]));
            assert_eq!(found, draft.change_label(node, label, true), "add label to node {node}");
        }
        14 => {
            let found = outcome(tx.remove_node_label(NodeId(node), LABELS[label]));
            assert_eq!(found, draft.change_label(node, label, false), "remove label of node {node}");
        }
        15..=18 => {
            let edge = (node, ty, pick(draft, c), 0);
            let pairs = if d > 128 { some_props(op, false) } else { Vec::new() };
            let props = present(ids(tx, &pairs));
            let found = outcome(tx.add_edge_with_props(NodeId(edge.0), TYPES[ty], NodeId(edge.2), &props));
            assert_eq!(found, draft.add_edge(edge, model_props(&pairs)), "add edge {edge:?}");
        }
        19 => add_edges_batch(op, tx, draft),
        20 | 21 => {
            let edge = meant(draft, pick_edge(draft, op));
            let found = outcome(tx.delete_edge(NodeId(edge.0), TYPES[edge.1], NodeId(edge.2)));
            assert_eq!(found, draft.delete_edge(edge), "delete edge {edge:?}");
        }
        22 => {
            // Deleted and added again: it must start empty.
            let edge = meant(draft, pick_edge(draft, op));
            let (src, ty, dst) = (NodeId(edge.0), TYPES[edge.1], NodeId(edge.2));
            if draft.delete_edge(edge).is_ok() {
                tx.delete_edge(src, ty, dst).unwrap();
                let found = outcome(tx.add_edge(src, ty, dst));
                assert_eq!(found, draft.add_edge((edge.0, edge.1, edge.2, 0), Props::new()), "add {edge:?} again");
            }
        }
        23 | 24 => {
            let (edge, pairs) = (meant(draft, pick_edge(draft, op)), some_props(op, true));
            let props = ids(tx, &pairs);
            let found = outcome(tx.upsert_edge_with_props(NodeId(edge.0), TYPES[edge.1], NodeId(edge.2), &props));
            let added = !draft.now.edges.contains_key(&edge);
            let expected = if added { draft.add_edge(edge, model_props(&pairs)) } else { Ok(()) };
            assert_eq!(found, expected.map(|()| added), "upsert edge {edge:?}");
            if found == Ok(false) {
                for (p, v) in &pairs {
                    draft.change_edge_prop(edge, *p, v.as_ref().map(encoded)).unwrap();
                }
            }
        }
        25 | 26 => {
            let (edge, prop, value) = (meant(draft, pick_edge(draft, op)), usize::from(c) % PROPS.len(), value(a));
            let expected = draft.change_edge_prop(edge, prop, Some(encoded(&value))).map(drop);
            let found = tx.set_edge_prop(NodeId(edge.0), TYPES[edge.1], NodeId(edge.2), PROPS[prop], value);
            assert_eq!(outcome(found), expected, "set property of {edge:?}");
        }
        27 => {
            let (edge, prop) = (meant(draft, pick_edge(draft, op)), usize::from(c) % PROPS.len());
            let found = tx.delete_edge_prop(NodeId(edge.0), TYPES[edge.1], NodeId(edge.2), PROPS[prop]);
            assert_eq!(outcome(found), draft.change_edge_prop(edge, prop, None), "delete property of {edge:?}");
        }
        28 | 29 => set_vector(op, node, tx, draft),
        30 => {
            let vector = usize::from(b) % VECTORS.len();
            let found = outcome(tx.delete_node_vector(NodeId(node), VECTORS[vector].0));
            assert_eq!(found, draft.change_vector(node, vector, None), "delete vector of node {node}");
        }
        31 => recreate(node, b, tx, draft),
        32..=34 => add_parallel(op, tx, draft),
        35 => {
            let edge = pick_edge(draft, op);
            let found = outcome(tx.delete_edge_by_key(key_of(tx, edge)));
            assert_eq!(found, draft.delete_edge(edge), "delete exactly {edge:?}");
        }
        36 => {
            let edge = pick_edge(draft, op);
            let all: Vec<Edge> = draft.now.between(edge).collect();
            all.iter().for_each(|edge| draft.delete_edge(*edge).unwrap());
            let found = tx.delete_edges_between(NodeId(edge.0), TYPES[edge.1], NodeId(edge.2));
            assert_eq!(outcome(found), Ok(all.len() as u64), "delete all between the ends of {edge:?}");
        }
        37 => {
            let (edge, prop, value) = (pick_edge(draft, op), usize::from(c) % PROPS.len(), value(a));
            let expected = draft.change_edge_prop(edge, prop, Some(encoded(&value))).map(drop);
            let found = tx.set_edge_prop_by_key(key_of(tx, edge), PROPS[prop], value);
            assert_eq!(outcome(found), expected, "set property of exactly {edge:?}");
        }
        38 => {
            let (edge, prop) = (pick_edge(draft, op), usize::from(c) % PROPS.len());
            let found = tx.delete_edge_prop_by_key(key_of(tx, edge), PROPS[prop]);
            assert_eq!(outcome(found), draft.change_edge_prop(edge, prop, None), "delete property of exactly {edge:?}");
        }
        _ => {
            // As an import reads it: a rank that somebody chose, or one that is taken.
            let (src, ty, dst, rank) = pick_edge(draft, op);
            let edge = (src, ty, dst, if d % 2 == 0 { rank } else { u64::from(c % 64) });
            let key = EdgeKey { ty: tx.etype_id_or_create(TYPES[ty]).unwrap(), ..key_of(tx, edge) };
            let found = outcome(tx.add_edge_by_key(key, &[]));
            assert_eq!(found, draft.add_edge_exactly(edge, Props::new()), "add exactly {edge:?}");
        }
    }
}

/// Defines an index, says how far one has come, or drops one.
fn change_index(op: Op, tx: &mut Transaction, draft: &mut Draft) {
    let Op { a, b, c, d, .. } = op;
    let index = usize::from(a) % INDEXES.len();
    let name = INDEXES[index];
    match d % 5 {
        0 | 1 => {
            let on = match b % 2 {
                0 => IndexOn::Label(LABELS[usize::from(b / 2) % LABELS.len()].to_owned()),
                _ => IndexOn::EdgeType(TYPES[usize::from(b / 2) % TYPES.len()].to_owned()),
            };
            let spec = IndexSpec::new(on, PROPS[usize::from(c) % 2]).unique(c > 128);
            let found = outcome(tx.define_index(name, &spec));
            let id = tx.indexes().into_iter().find(|there| there.name == name).map_or(IndexId(0), |there| there.id);
            assert_eq!(found, draft.define_index(index, &spec, id).map(drop), "define index {name} as {spec:?}");
        }
        2 | 3 => {
            let edge = |rank| EdgeKey::new(NodeId(1), EdgeTypeId(1), NodeId(b.into())).with_rank(rank);
            let state = match c % 4 {
                0 => IndexState::Building,
                1 => IndexState::Ready,
                2 => IndexState::EqualNodes([NodeId(a.into()), NodeId(u64::MAX)]),
                _ => IndexState::EqualEdges([edge(0), edge(d.into())]),
            };
            let found = outcome(tx.set_index_state(name, state));
            assert_eq!(found, draft.set_index_state(index, state), "index {name} is {state:?}");
        }
        _ => assert_eq!(outcome(tx.drop_index(name)), draft.drop_index(index), "drop index {name}"),
    }
}

/// Adds an edge beside those that are there, mostly where one is.
fn add_parallel(op: Op, tx: &mut Transaction, draft: &mut Draft) {
    let edge = pick_edge(draft, op);
    let pairs = if op.d > 128 { some_props(op, false) } else { Vec::new() };
    let props = present(ids(tx, &pairs));
    let found = tx.add_parallel_edge(NodeId(edge.0), TYPES[edge.1], NodeId(edge.2), &props);
    let rank = found.as_ref().map_or(u64::MAX, |key| key.rank);
    assert!(rank > 0 && !draft.now.ranks.contains(&rank), "rank {rank} was given out twice");
    let expected = draft.add_edge((edge.0, edge.1, edge.2, rank), model_props(&pairs));
    assert_eq!(outcome(found.map(drop)), expected, "add an edge beside {edge:?}");
}

fn upserted(draft: &mut Draft, id: u64, created: bool, key: Option<String>, pairs: &[(usize, Option<Value>)]) {
    if created {
        return draft.create(id, Node { key, props: model_props(pairs), ..Node::default() });
    }
    for (p, v) in pairs {
        draft.change_prop(id, *p, v.as_ref().map(encoded)).unwrap();
    }
}

fn create(op: Op, tx: &mut Transaction, draft: &mut Draft) {
    let Op { a, b, c, d, .. } = op;
    let id = match a % 16 {
        0..=3 => Some(CHOSEN[usize::from(c) % (CHOSEN.len() - 3)]),
        4 if a > 200 => Some(CHOSEN[usize::from(c) % CHOSEN.len()]),
        5 if a > 230 => Some([0, u64::MAX, 1 << 63][usize::from(c) % 3]),
        _ => None,
    };
    let key = match b % 4 {
        0 => None,
        _ if b == 255 => Some(String::new()),
        _ => Some(key_name(b)),
    };
    let labels: Vec<usize> = (0..LABELS.len()).filter(|l| d >> l & 1 == 1).collect();
    let pairs = some_props(Op { d: d >> 4, ..op }, false);
    let label_ids: Vec<LabelId> = labels.iter().rev().map(|l| tx.label_id_or_create(LABELS[*l]).unwrap()).collect();
    let props = present(ids(tx, &pairs));
    let node = NewNode::new().maybe_id(id.map(NodeId)).maybe_key(key.as_deref()).labels(&label_ids).props(&props);
    let found = outcome(tx.create_node_with(node));
    let expected = draft.may_create(id, key.as_deref());
    assert_eq!(found.map(drop), expected, "create {id:?} {key:?}");
    if let Ok(NodeId(new)) = found {
        match id {
            Some(id) => assert_eq!(new, id),
            None => assert!(!draft.now.ever.contains(&new), "node id {new} was given out twice"),
        }
        draft.create(new, Node { key, labels: labels.into_iter().collect(), props: model_props(&pairs) });
    }
}

/// Creates three nodes in one call; if one of them cannot be, there must be none.
fn create_batch(op: Op, tx: &mut Transaction, draft: &mut Draft) {
    let keys = [Some(key_name(op.b)), None, Some(key_name(op.c))];
    let nodes = keys.each_ref().map(|key| NewNode::new().maybe_key(key.as_deref()));
    let mut expected = keys.iter().try_for_each(|key| draft.may_create(None, key.as_deref()));
    if keys[0] == keys[2] {
        expected = Err(kitedb_core::ErrorCode::DuplicateKey);
    }
    let found = outcome(tx.create_nodes_batch(&nodes));
    assert_eq!(found.as_ref().map(drop), expected.as_ref().map(drop), "create {keys:?}");
    for (id, key) in found.unwrap_or_default().into_iter().zip(keys) {
        draft.create(id.0, Node { key, ..Node::default() });
    }
}

/// Adds three edges in one call; if one of them cannot be, there must be none.
fn add_edges_batch(op: Op, tx: &mut Transaction, draft: &mut Draft) {
    let from = pick(draft, op.a);
    let edges = [op.b, op.c, op.d].map(|n| (from, usize::from(n) % TYPES.len(), pick(draft, n), 0));
    let pairs = some_props(op, false);
    let props = present(ids(tx, &pairs));
    let mut after = draft.clone();
    let expected = edges.iter().try_for_each(|edge| after.add_edge(*edge, model_props(&pairs)));
    let keys = edges.map(|(src, ty, dst, _)| {
        let ty = tx.etype_id_or_create(TYPES[ty]).unwrap();
        EdgeKey::new(NodeId(src), ty, NodeId(dst))
    });
    let found = match pairs.is_empty() {
        true => tx.add_edges_batch(&keys),
        false => tx.add_edges_with_props_batch(&keys.map(|key| (key, &*props))),
    };
    assert_eq!(outcome(found), expected, "add edges {edges:?}");
    if expected.is_ok() {
        *draft = after;
    }
}

fn set_vector(op: Op, node: u64, tx: &mut Transaction, draft: &mut Draft) {
    let vector = usize::from(op.b) % VECTORS.len();
    let (name, len) = VECTORS[vector];
    let floats = match op.c {
        0 => vec![0.0; len],
        1 => vec![f32::NAN; len],
        2 => vec![1.0, f32::INFINITY, 0.0],
        3 => Vec::new(),
        4..8 if draft.now.fixed.contains(&vector) => floats(op.c, len + 1),
        n => floats(n, len),
    };
    let found = outcome(tx.set_node_vector(NodeId(node), name, &floats));
    assert_eq!(found, draft.change_vector(node, vector, Some(&floats)).map(drop), "set vector of node {node}");
}

/// Deletes a node and creates it again under the same id, perhaps with another key.
fn recreate(id: u64, n: u8, tx: &mut Transaction, draft: &mut Draft) {
    let deleted = outcome(tx.delete_node(NodeId(id)));
    assert_eq!(deleted, draft.delete_node(id), "delete node {id}");
    let key = (!n.is_multiple_of(3)).then(|| key_name(n));
    if deleted.is_ok() && draft.may_create(Some(id), key.as_deref()).is_ok() {
        tx.create_node_with(NewNode::new().id(NodeId(id)).maybe_key(key.as_deref())).unwrap();
        assert!(tx.node_labels(NodeId(id)).unwrap().is_empty());
        draft.create(id, Node { key, ..Node::default() });
    }
}
