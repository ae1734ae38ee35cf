//! What is read through references to nodes and edges, and through cursors, against the model.

use super::{
    model::{Edge, LABELS, Model, Node, PROPS, Props, TYPES, VECTORS, edge_key},
    ops::encoded,
};
use kitedb_core::{AllTypes, Direction, EdgeKey, EdgeRef, Graph, GraphRead, NodeId, NodeRef, Result, ValueRef, View};
use std::{collections::BTreeMap, sync::Arc};

fn expected(props: &Props) -> BTreeMap<&str, Vec<u8>> {
    props.iter().map(|(at, value)| (PROPS[*at], value.clone())).collect()
}

fn bytes(value: ValueRef<'_>) -> Vec<u8> {
    encoded(&value.to_value())
}

fn named<'a>(props: impl Iterator<Item = Result<(Arc<str>, ValueRef<'a>)>>) -> BTreeMap<String, Vec<u8>> {
    props.map(Result::unwrap).map(|(name, value)| (name.to_string(), bytes(value))).collect()
}

fn same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<&str, Vec<u8>>) -> bool {
    found.len() == expected.len() && found.iter().all(|(name, value)| expected.get(name.as_str()) == Some(value))
}

/// All that a reference to a node says.
fn compare_node(node: &NodeRef<'_>, model: &Model, nth: usize) {
    let id = node.id();
    let expected_node: &Node = &model.nodes[&id.0];
    // Whatever is asked first, the rest is the same.
    let node = node.clone();
    match nth % 3 {
        0 => assert!(!node.has_label("never used").unwrap()),
        1 => drop(node.labels().unwrap()),
        _ => drop(node.prop("never used").unwrap()),
    }
    assert_eq!(node.key().unwrap(), expected_node.key.as_deref(), "key of {node:?}");
    let mut names: Vec<String> = node.label_names().unwrap().iter().map(ToString::to_string).collect();
    names.sort();
    let mut labels: Vec<&str> = expected_node.labels.iter().map(|at| LABELS[*at]).collect();
    labels.sort_unstable();
    assert_eq!(names, labels, "labels of {node:?}");
    assert!(node.labels().unwrap().is_sorted());
    for name in LABELS {
        assert_eq!(node.has_label(name).unwrap(), labels.contains(&name), "label {name} of {node:?}");
    }
    let props = expected(&expected_node.props);
    assert!(same(&named(node.named_props().unwrap()), &props), "properties of {node:?}");
    assert_eq!(node.props().unwrap().count(), props.len());
    for name in PROPS {
        assert_eq!(node.prop(name).unwrap().map(bytes).as_ref(), props.get(name), "property {name} of {node:?}");
    }
    for (at, (name, _)) in VECTORS.iter().enumerate() {
        let bits = node.vector(*name).unwrap().map(|v| v.iter().map(f32::to_bits).collect::<Vec<_>>());
        assert_eq!(bits.as_ref(), model.vectors.get(&(id.0, at)), "vector {name} of {node:?}");
    }
}

/// The edges of a graph by their keys there.
fn edges(read: &dyn Graph, model: &Model) -> BTreeMap<EdgeKey, Edge> {
    model.edges.keys().map(|edge| (edge_key(read, *edge), *edge)).collect()
}

/// All that a reference to an edge says.
fn compare_edge(edge: &EdgeRef<'_>, known: &BTreeMap<EdgeKey, Edge>, model: &Model, seen_from: Direction) {
    let key = edge.key();
    let in_model = known.get(&key).unwrap_or_else(|| panic!("there is no {edge:?}"));
    assert_eq!((edge.src(), edge.dst(), edge.ty(), edge.rank()), (key.src, key.dst, key.ty, key.rank));
    assert_eq!(edge.other(), key.ends(seen_from).1, "the other end of {edge:?}");
    assert_eq!(&*edge.type_name().unwrap(), TYPES[in_model.1]);
    let props = expected(&model.edges[in_model]);
    assert!(same(&named(edge.named_props().unwrap()), &props), "properties of {edge:?}");
    assert_eq!(edge.props().unwrap().count(), props.len());
    for name in PROPS {
        assert_eq!(edge.prop(name).unwrap().map(bytes).as_ref(), props.get(name), "property {name} of {edge:?}");
    }
    for (node, id) in [(edge.src_node(), key.src), (edge.dst_node(), key.dst), (edge.other_node(), edge.other())] {
        assert_eq!((node.id(), node.key().unwrap()), (id, model.nodes[&id.0].key.as_deref()));
    }
}

/// Compares what is come upon in every way with the model.
pub fn compare_refs(read: &dyn Graph, model: &Model) {
    let known = edges(read, model);
    for (nth, node) in read.nodes().enumerate() {
        compare_node(&node.unwrap(), model, nth);
    }
    for name in LABELS {
        read.nodes_with_label(name).unwrap().enumerate().for_each(|(nth, n)| compare_node(&n.unwrap(), model, nth));
    }
    for edge in read.edges() {
        compare_edge(&edge.unwrap(), &known, model, Direction::Out);
    }
    for (&id, node) in &model.nodes {
        let found = read.node(NodeId(id)).unwrap().unwrap();
        assert_eq!(found.key().unwrap(), node.key.as_deref());
        for direction in [Direction::Out, Direction::In] {
            let (at, neighbors) = match direction {
                Direction::Out => (read.out_edges(found.id(), AllTypes), read.out_neighbors(found.id(), AllTypes)),
                Direction::In => (read.in_edges(found.id(), AllTypes), read.in_neighbors(found.id(), AllTypes)),
            };
            at.unwrap().for_each(|edge| compare_edge(&edge, &known, model, direction));
            neighbors.unwrap().enumerate().for_each(|(nth, node)| compare_node(&node, model, nth));
            let in_order = read.sorted_edges(found.id(), direction, AllTypes).unwrap();
            in_order.for_each(|edge| compare_edge(&edge, &known, model, direction));
        }
    }
    for key in known.keys() {
        compare_edge(&read.edge(*key).unwrap().unwrap(), &known, model, Direction::Out);
        assert!(read.edge(key.with_rank(u64::MAX)).unwrap().is_none());
    }
    assert!(read.node(NodeId(u64::MAX)).unwrap().is_none() && read.node(NodeId(0)).unwrap().is_none());
    for (key, id) in &model.keys {
        assert_eq!(read.node_with_key(key).unwrap().map(|node| node.id().0), Some(*id));
    }
    assert!(read.node_with_key("never used").unwrap().is_none());
}

/// Compares what cursors over `view` give, in batches of several sizes, with its scans.
pub fn compare_cursors(view: &View, model: &Model) {
    let known = edges(view, model);
    let all_nodes: Vec<NodeId> = model.nodes.keys().map(|id| NodeId(*id)).collect();
    for limit in [1, 3, usize::MAX] {
        for label in std::iter::once(None).chain(LABELS.into_iter().map(Some)) {
            let expected = match label {
                None => all_nodes.clone(),
                Some(name) => view.nodes_with_label(name).unwrap().map(|node| node.unwrap().id()).collect(),
            };
            let mut cursor = label.map_or_else(|| view.node_cursor(), |name| view.label_cursor(name));
            let mut found = Vec::new();
            loop {
                let batch = cursor.next_batch(limit).unwrap();
                if batch.is_empty() {
                    break;
                }
                assert!(batch.len() <= limit);
                batch.iter().for_each(|node| compare_node(node, model, limit));
                found.extend(batch.iter().map(NodeRef::id));
            }
            assert_eq!(found, expected, "{limit} at a time, label {label:?}");
            assert_eq!(cursor.position(), expected.last().copied());
        }
        let mut cursors = vec![(Direction::Out, view.edge_cursor(), known.keys().copied().collect::<Vec<_>>())];
        for node in all_nodes.iter().take(4) {
            for direction in [Direction::Out, Direction::In] {
                let in_order = view.sorted_edges(*node, direction, AllTypes).unwrap().map(|edge| edge.key());
                let expected = in_order.collect();
                cursors.push((direction, view.neighbor_cursor(*node, direction, AllTypes), expected));
            }
        }
        for (direction, mut cursor, expected) in cursors {
            let mut found = Vec::new();
            loop {
                let batch = cursor.next_batch(limit).unwrap();
                if batch.is_empty() {
                    break;
                }
                assert!(batch.len() <= limit);
                batch.iter().for_each(|edge| compare_edge(edge, &known, model, direction));
                found.extend(batch.iter().map(EdgeRef::key));
            }
            assert_eq!(found, expected, "{limit} edges at a time, seen from {direction:?}");
            assert_eq!(cursor.position(), expected.last().copied());
        }
    }
}
