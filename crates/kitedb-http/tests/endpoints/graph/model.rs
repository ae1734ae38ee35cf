//! Batches against a naive graph in memory.

use super::OK;
use crate::server::{Server, by_token};
use kitedb_core::Database;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const KEYS: [&str; 4] = ["ada", "mary", "charles", "william"];
const LABELS: [&str; 2] = ["Person", "Poet"];
const TYPES: [&str; 2] = ["KNOWS", "MADE"];

#[derive(Debug, Clone, Default, PartialEq)]
struct Node {
    labels: BTreeSet<&'static str>,
    props: BTreeMap<String, i64>,
}

/// Nodes by key, and at most one edge of a type between two of them.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    nodes: BTreeMap<&'static str, Node>,
    edges: BTreeMap<(&'static str, &'static str, &'static str), BTreeMap<String, i64>>,
}

type Props = BTreeMap<String, i64>;

#[derive(Debug, Clone)]
enum Op {
    Create(&'static str, Option<&'static str>, Props),
    Upsert(&'static str, Option<&'static str>, Props),
    Update(&'static str, Props, String, Option<&'static str>),
    Delete(&'static str),
    Link(&'static str, &'static str, &'static str, Props),
    Relink(&'static str, &'static str, &'static str, Props),
    Change(&'static str, &'static str, &'static str, Props, String),
    Unlink(&'static str, &'static str, &'static str),
}

impl Op {
    /// Does it, if that can be done.
    fn apply(&self, model: &mut Model) -> Option<()> {
        let both = |model: &Model, a: &str, b: &str| {
            model.nodes.contains_key(a).then_some(()).filter(|()| model.nodes.contains_key(b))
        };
        match self {
            Self::Create(key, ..) if model.nodes.contains_key(key) => return None,
            Self::Create(key, label, props) | Self::Upsert(key, label, props) => {
                let node = model.nodes.entry(key).or_default();
                node.labels.extend(label);
                node.props.extend(props.clone());
            }
            Self::Update(key, set, unset, label) => {
                let node = model.nodes.get_mut(key)?;
                node.props.extend(set.clone());
                node.props.remove(unset);
                node.labels.retain(|carried| Some(*carried) != *label);
            }
            Self::Delete(key) => {
                model.nodes.remove(key)?;
                model.edges.retain(|(src, _, dst), _| src != key && dst != key);
            }
            Self::Link(src, ty, dst, props) => {
                both(model, src, dst)?;
                if model.edges.contains_key(&(*src, *ty, *dst)) {
                    return None;
                }
                model.edges.insert((src, ty, dst), props.clone());
            }
            Self::Relink(src, ty, dst, props) => {
                both(model, src, dst)?;
                model.edges.entry((src, ty, dst)).or_default().extend(props.clone());
            }
            Self::Change(src, ty, dst, set, unset) => {
                let props = model.edges.get_mut(&(*src, *ty, *dst))?;
                props.extend(set.clone());
                props.remove(unset);
            }
            Self::Unlink(src, ty, dst) => drop(model.edges.remove(&(*src, *ty, *dst))?),
        }
        Some(())
    }

    fn json(&self) -> Value {
        let node = |key: &str| json!({ "key": key });
        match self {
            Self::Create(key, label, props) => {
                json!({ "op": "createNode", "key": key, "labels": label.as_slice(), "props": props })
            }
            Self::Upsert(key, label, props) => {
                json!({ "op": "upsertNode", "key": key, "labels": label.as_slice(), "props": props })
            }
            Self::Update(key, set, unset, label) => {
                json!({ "op": "updateNode", "node": node(key), "set": set, "unset": [unset], "removeLabels": label.as_slice() })
            }
            Self::Delete(key) => json!({ "op": "deleteNode", "node": node(key) }),
            Self::Link(src, ty, dst, props) => {
                json!({ "op": "createEdge", "src": node(src), "type": ty, "dst": node(dst), "props": props })
            }
            Self::Relink(src, ty, dst, props) => {
                json!({ "op": "upsertEdge", "src": node(src), "type": ty, "dst": node(dst), "props": props })
            }
            Self::Change(src, ty, dst, set, unset) => {
                json!({ "op": "updateEdge", "src": node(src), "type": ty, "dst": node(dst), "set": set, "unset": [unset] })
            }
            Self::Unlink(src, ty, dst) => json!({ "op": "deleteEdge", "src": node(src), "type": ty, "dst": node(dst) }),
        }
    }
}

fn any_op() -> impl Strategy<Value = Op> {
    let key = || prop::sample::select(&KEYS[..]);
    let ty = || prop::sample::select(&TYPES[..]);
    let label = || prop::option::of(prop::sample::select(&LABELS[..]));
    let name = || "[pqr]";
    let props = || prop::collection::btree_map(name(), any::<i64>().prop_map(|n| n >> 12), 0..3);
    prop_oneof![
        2 => (key(), label(), props()).prop_map(|(key, label, props)| Op::Create(key, label, props)),
        4 => (key(), label(), props()).prop_map(|(key, label, props)| Op::Upsert(key, label, props)),
        2 => (key(), props(), name(), label()).prop_map(|(key, set, unset, label)| Op::Update(key, set, unset, label)),
        1 => key().prop_map(Op::Delete),
        3 => (key(), ty(), key(), props()).prop_map(|(src, ty, dst, props)| Op::Link(src, ty, dst, props)),
        3 => (key(), ty(), key(), props()).prop_map(|(src, ty, dst, props)| Op::Relink(src, ty, dst, props)),
        1 => (key(), ty(), key(), props(), name()).prop_map(|(src, ty, dst, set, unset)| Op::Change(src, ty, dst, set, unset)),
        1 => (key(), ty(), key()).prop_map(|(src, ty, dst)| Op::Unlink(src, ty, dst)),
    ]
}

fn known(name: &Value, of: &[&'static str]) -> &'static str {
    of.iter().find(|known| *name == **known).unwrap()
}

fn props(json: &Value) -> Props {
    json.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.as_i64().unwrap())).collect()
}

/// All that the server shows, by pages.
async fn shown(server: &Server) -> Model {
    let mut model = Model::default();
    for node in server.pages("/api/graph/nodes?limit=3", "nodes").await {
        let key = known(&node["key"], &KEYS);
        let labels = node["labels"].as_array().unwrap().iter().map(|label| known(label, &LABELS)).collect();
        assert_eq!(model.nodes.insert(key, Node { labels, props: props(&node["props"]) }), None);
        for found in server.pages(&format!("/api/graph/neighbors?key={key}&edgeProps=true&limit=2"), "neighbors").await
        {
            let edge = (key, known(&found["edge"]["type"], &TYPES), known(&found["node"]["key"], &KEYS));
            assert_eq!(model.edges.insert(edge, props(&found["edge"]["props"])), None);
        }
    }
    let mut into = BTreeSet::new();
    for key in model.nodes.keys() {
        for found in server.pages(&format!("/api/graph/neighbors?key={key}&direction=in&limit=2"), "neighbors").await {
            into.insert((known(&found["node"]["key"], &KEYS), known(&found["edge"]["type"], &TYPES), *key));
        }
    }
    assert_eq!(into, model.edges.keys().copied().collect());
    for label in LABELS {
        let carried = model.nodes.values().filter(|node| node.labels.contains(label)).count();
        assert_eq!(server.pages(&format!("/api/graph/nodes?label={label}&limit=1"), "nodes").await.len(), carried);
    }
    model
}

#[test]
fn batches_do_what_they_do_to_a_naive_graph() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    proptest!(ProptestConfig::with_cases(24), |(batches in prop::collection::vec(prop::collection::vec(any_op(), 1..5), 1..12))| {
        let db = Database::in_memory().unwrap();
        let server = runtime.block_on(Server::of(&db, by_token()));
        let mut model = Model::default();
        for batch in batches {
            let mut after = model.clone();
            let done = batch.iter().all(|op| op.apply(&mut after).is_some());
            let mutations: Vec<_> = batch.iter().map(Op::json).collect();
            let (status, answer) = runtime.block_on(server.batch(json!(mutations)));
            prop_assert_eq!(status == OK, done, "{:?}: {}", batch, answer);
            if done {
                model = after;
            }
            let found = runtime.block_on(shown(&server));
            prop_assert_eq!(&found, &model, "{:?}", batch);
        }
    });
}
