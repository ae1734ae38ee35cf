//! The full comparison: everything that can be read, against the model.

use super::{
    model::{Edge, INDEXES, LABELS, Model, PROPS, Props, TYPES, VECTORS, edge_key},
    ops::{CHOSEN, KEYS, encoded, key_name},
    refs,
};
use kitedb_core::{
    AllTypes, Direction, EdgeKey, EdgeRef, Graph, GraphRead, NodeId, NodeRef, PropKeyId, TypeFilter, Value, View,
};
use std::collections::BTreeSet;

/// Places where pages ended some time ago; a page after them must be right now as well.
#[derive(Debug, Clone, Default)]
pub struct Cursors {
    pub nodes: Vec<NodeId>,
    pub edges: Vec<EdgeKey>,
}

/// Compares a view with the model, digest and count of commits included.
pub fn compare_view(view: &View, model: &Model, cursors: &Cursors) {
    compare(view, model, cursors);
    refs::compare_cursors(view, model);
    assert_eq!(view.digest(), model.digest(view), "digest");
}

/// Compares all that `read` shows with the model.
pub fn compare<R: GraphRead>(read: &R, model: &Model, cursors: &Cursors) {
    let read = read.as_graph();
    refs::compare_refs(read, model);
    compare_nodes(read, model);
    compare_edges(read, model);
    compare_scans(read, model, cursors);
    compare_indexes(read, model);
    for id in model.nodes.keys() {
        compare_neighbors(read, model, *id);
    }
    compare_neighbors(read, model, 999_999);
    assert_eq!(read.count_nodes(), model.nodes.len() as u64, "number of nodes");
    assert_eq!(read.count_edges(), model.edges.len() as u64, "number of edges");
    assert_eq!(read.count_vectors(), model.vectors.len() as u64, "number of vectors");
}

fn named(read: &dyn Graph, props: Vec<(PropKeyId, Value)>) -> Vec<(String, Vec<u8>)> {
    assert!(props.is_sorted_by(|a, b| a.0 < b.0), "properties are not in order");
    let mut named: Vec<_> = props.iter().map(|(k, v)| (read.propkey_name(*k).unwrap(), encoded(v))).collect();
    named.sort();
    named
}

fn expected_props(props: &Props) -> Vec<(String, Vec<u8>)> {
    let mut named: Vec<_> = props.iter().map(|(p, v)| (PROPS[*p].to_owned(), v.clone())).collect();
    named.sort();
    named
}

fn compare_indexes(read: &dyn Graph, model: &Model) {
    let mut expected: Vec<_> = model
        .indexes
        .iter()
        .map(|(index, def)| (def.id, INDEXES[*index].to_owned(), def.spec.clone(), def.state))
        .collect();
    expected.sort_by_key(|(id, ..)| *id);
    let found: Vec<_> =
        read.indexes().into_iter().map(|index| (index.id, index.name, index.spec, index.state)).collect();
    assert_eq!(found, expected, "definitions of indexes");
}

fn compare_nodes(read: &dyn Graph, model: &Model) {
    for n in 0..KEYS {
        let key = key_name(n);
        let found = read.node_by_key(&key).unwrap().map(|id| id.0);
        assert_eq!(found, model.keys.get(&key).copied(), "node with key {key}");
    }
    let ids: BTreeSet<u64> =
        model.nodes.keys().chain(&CHOSEN).chain(&model.ever).chain(&[0, u64::MAX]).copied().collect();
    for id in ids {
        let (expected, node) = (model.nodes.get(&id), NodeId(id));
        assert_eq!(read.node_exists(node).unwrap(), expected.is_some(), "node {id} exists");
        assert_eq!(read.node_key(node).unwrap(), expected.and_then(|n| n.key.clone()), "key of node {id}");
        let props = read.node_props(node).unwrap().map(|p| named(read, p));
        assert_eq!(props, expected.map(|n| expected_props(&n.props)), "properties of node {id}");
        for (p, name) in PROPS.iter().enumerate() {
            let found = read.node_prop(node, *name).unwrap().map(|v| encoded(&v));
            assert_eq!(found, expected.and_then(|n| n.props.get(&p).cloned()), "property {name} of node {id}");
        }
        let labels: BTreeSet<String> =
            read.node_labels(node).unwrap().into_iter().map(|l| read.label_name(l).unwrap()).collect();
        for (l, name) in LABELS.iter().enumerate() {
            let carries = expected.is_some_and(|n| n.labels.contains(&l));
            assert_eq!(labels.contains(*name), carries, "label {name} of node {id}");
            assert_eq!(read.node_has_label(node, *name).unwrap(), carries, "node {id} has label {name}");
        }
        for (v, (name, _)) in VECTORS.iter().enumerate() {
            let found = read.node_vector(node, *name).unwrap();
            let bits: Option<Vec<u32>> = found.map(|f| f.iter().map(|x| x.to_bits()).collect());
            assert_eq!(bits.as_ref(), model.vectors.get(&(id, v)), "vector {name} of node {id}");
        }
    }
}

fn compare_edges(read: &dyn Graph, model: &Model) {
    for &src in model.nodes.keys() {
        for &dst in model.nodes.keys() {
            for (ty, name) in TYPES.into_iter().enumerate() {
                let edge: Edge = (src, ty, dst, 0);
                let all: Vec<EdgeKey> = model.between(edge).map(|edge| edge_key(read, edge)).collect();
                let (src, dst) = (NodeId(src), NodeId(dst));
                assert_eq!(read.edge_exists(src, name, dst).unwrap(), !all.is_empty(), "edge {edge:?} exists");
                assert_eq!(
                    read.edge_between(src, name, dst).unwrap(),
                    all.first().copied(),
                    "the edge meant by {edge:?}"
                );
                assert_eq!(read.edges_between(src, name, dst).unwrap(), all, "edges parallel to {edge:?}");
                if let Some(ty) = read.etype_id(name) {
                    for rank in [0, 1, 2, u64::MAX] {
                        let key = EdgeKey::new(src, ty, dst).with_rank(rank);
                        let there = read.edge_exists_by_key(key).unwrap();
                        assert_eq!(there, all.contains(&key), "exactly {key:?} exists");
                    }
                }
            }
        }
    }
    for (edge, props) in &model.edges {
        let (src, ty, dst) = (NodeId(edge.0), TYPES[edge.1], NodeId(edge.2));
        let key = edge_key(read, *edge);
        let found = read.edge_props_by_key(key).unwrap().map(|p| named(read, p));
        assert_eq!(found, Some(expected_props(props)), "properties of exactly {edge:?}");
        assert!(read.edge_exists_by_key(key).unwrap());
        // The others are meant by their keys only.
        let is_meant = model.lowest(*edge) == Some(*edge);
        let found = read.edge_props(src, ty, dst).unwrap().map(|p| named(read, p));
        assert!(!is_meant || found == Some(expected_props(props)), "properties of {edge:?}");
        for (p, name) in PROPS.iter().enumerate() {
            let found = read.edge_prop_by_key(key, *name).unwrap().map(|v| encoded(&v));
            assert_eq!(found, props.get(&p).cloned(), "property {name} of exactly {edge:?}");
            let found = read.edge_prop(src, ty, dst, *name).unwrap().map(|v| encoded(&v));
            assert!(!is_meant || found == props.get(&p).cloned(), "property {name} of {edge:?}");
        }
    }
    let (id, never) = (NodeId(CHOSEN[0]), "never used");
    assert!(!read.edge_exists(id, never, id).unwrap());
    assert_eq!(read.edge_props(id, never, id).unwrap(), None);
    assert_eq!(read.count_edges_by_type(never), 0);
    for (ty, name) in TYPES.iter().enumerate() {
        let expected = model.edges.keys().filter(|e| e.1 == ty).count() as u64;
        assert_eq!(read.count_edges_by_type(*name), expected, "edges of type {name}");
    }
}

fn compare_neighbors(read: &dyn Graph, model: &Model, id: u64) {
    let node = NodeId(id);
    let filters = std::iter::once(None).chain((0..TYPES.len()).map(Some));
    for direction in [Direction::Out, Direction::In] {
        for filter in filters.clone() {
            // Every second one by its name, which need not be in use.
            let ty = filter.map_or(AllTypes.into(), |ty| match read.etype_id(TYPES[ty]) {
                Some(known) if ty.is_multiple_of(2) => known.into(),
                _ => TypeFilter::from(TYPES[ty]),
            });
            let here = |e: &&Edge| {
                (if direction == Direction::Out { e.0 } else { e.2 }) == id && filter.is_none_or(|ty| ty == e.1)
            };
            let order = |e: &EdgeKey| (e.ty, e.ends(direction).1, e.rank);
            let mut expected: Vec<EdgeKey> = model.edges.keys().filter(here).map(|e| edge_key(read, *e)).collect();
            expected.sort_unstable_by_key(order);
            let (nodes, edges, degree): (Vec<NodeId>, Vec<_>, u64) = match direction {
                Direction::Out => (
                    read.out_neighbors(node, ty).unwrap().map(|node| node.id()).collect(),
                    read.out_edges(node, ty).unwrap().map(|edge| edge.key()).collect(),
                    read.out_degree(node, ty).unwrap(),
                ),
                Direction::In => (
                    read.in_neighbors(node, ty).unwrap().map(|node| node.id()).collect(),
                    read.in_edges(node, ty).unwrap().map(|edge| edge.key()).collect(),
                    read.in_degree(node, ty).unwrap(),
                ),
            };
            let what = format!("{direction:?} of node {id}, type {ty:?}");
            let sorted = |mut items: Vec<NodeId>| {
                items.sort_unstable();
                items
            };
            assert_eq!(
                sorted(nodes),
                sorted(expected.iter().map(|e| e.ends(direction).1).collect()),
                "neighbours {what}"
            );
            assert_eq!(degree, expected.len() as u64, "degree {what}");
            let mut edges = edges;
            edges.sort_unstable_by_key(order);
            assert_eq!(edges, expected, "edges {what}");
            let in_order: Vec<EdgeKey> =
                read.sorted_edges(node, direction, ty).unwrap().map(|edge| edge.key()).collect();
            assert_eq!(in_order, expected, "edges in order {what}");
            for limit in [1, 2, 100] {
                let (mut paged, mut after) = (Vec::new(), None);
                loop {
                    let page = read.neighbors_page(node, direction, ty, after, limit).unwrap();
                    assert!(page.items.len() <= limit, "page {what}");
                    paged.extend(page.items);
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                assert_eq!(paged, expected, "pages of {limit}: {what}");
            }
        }
    }
}

/// All pages of `limit`, from the start.
fn all_pages<T: Copy>(limit: usize, mut page: impl FnMut(Option<T>, usize) -> kitedb_core::Page<T>) -> Vec<T> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let next = page(after, limit);
        assert!(next.items.len() <= limit);
        all.extend(next.items);
        after = next.next;
        if after.is_none() {
            return all;
        }
    }
}

fn ids(nodes: kitedb_core::Nodes<'_>) -> Vec<NodeId> {
    nodes.map(|node| NodeRef::id(&node.unwrap())).collect()
}

fn compare_scans(read: &dyn Graph, model: &Model, cursors: &Cursors) {
    let nodes: Vec<NodeId> = model.nodes.keys().map(|id| NodeId(*id)).collect();
    assert_eq!(ids(read.nodes()), nodes, "nodes");
    let mut edges: Vec<EdgeKey> = model.edges.keys().map(|e| edge_key(read, *e)).collect();
    edges.sort_unstable();
    let found: Vec<EdgeKey> = read.edges().map(|edge| EdgeRef::key(&edge.unwrap())).collect();
    assert_eq!(found, edges, "edges");
    for limit in [1, 3, 7] {
        assert_eq!(all_pages(limit, |after, n| read.nodes_page(after, n).unwrap()), nodes, "pages of {limit} nodes");
        assert_eq!(all_pages(limit, |after, n| read.edges_page(after, n).unwrap()), edges, "pages of {limit} edges");
    }
    for (l, name) in LABELS.iter().enumerate() {
        let expected: Vec<NodeId> =
            model.nodes.iter().filter(|(_, n)| n.labels.contains(&l)).map(|(id, _)| NodeId(*id)).collect();
        let found = ids(read.nodes_with_label(*name).unwrap());
        assert_eq!(found, expected, "nodes with label {name}");
        assert_eq!(read.count_nodes_by_label(*name), expected.len() as u64, "count of label {name}");
        let paged = all_pages(2, |after, n| read.label_page(*name, after, n).unwrap());
        assert_eq!(paged, expected, "pages of label {name}");
        for after in &cursors.nodes {
            let rest: Vec<NodeId> = expected.iter().copied().filter(|id| id > after).take(3).collect();
            assert_eq!(read.label_page(*name, Some(*after), 3).unwrap().items, rest, "label {name} after {after}");
        }
    }
    for after in &cursors.nodes {
        let rest: Vec<NodeId> = nodes.iter().copied().filter(|id| id > after).take(4).collect();
        assert_eq!(read.nodes_page(Some(*after), 4).unwrap().items, rest, "nodes after {after}");
    }
    for after in &cursors.edges {
        let rest: Vec<EdgeKey> = edges.iter().copied().filter(|edge| edge > after).take(4).collect();
        assert_eq!(read.edges_page(Some(*after), 4).unwrap().items, rest, "edges after {after:?}");
    }
    assert!(read.nodes_page(None, 0).is_err() && read.edges_page(None, 0).is_err());
}
