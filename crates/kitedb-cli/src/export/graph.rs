//! What an export holds: names, so that they keep their ids, then nodes with their vectors, then edges. Only what is written
//! at the moment is in memory.

use super::lines::Lines;
use crate::{failure::Outcome, import::jsonl::KINDS};
use kitedb_core::{EdgeKey, GraphRead, NodeId, PropKeyId, View, graph::NameKind, json};
use serde_json::{Value as Json, json};
use std::{collections::HashMap, hash::Hash, io::Write};

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub names: u64,
    pub nodes: u64,
    pub edges: u64,
    pub vectors: u64,
    pub lines: u64,
    pub bytes: u64,
}

/// The names of a kind, by id.
type Names<I> = HashMap<I, String>;

/// Writes everything that `view` shows.
pub fn write_graph(view: &View, out: &mut dyn Write) -> Outcome<Counts> {
    let mut export = Export {
        view,
        labels: by_id(view.labels()),
        types: by_id(view.etypes()),
        keys: by_id(view.propkeys()),
        vector_keys: Vec::new(),
        lines: Lines::new(out),
        counts: Counts::default(),
    };
    export.vector_keys =
        view.propkeys().into_iter().map(|(key, _)| key).filter(|key| view.vector_dimension(*key).is_some()).collect();
    export.names()?;
    for node in view.nodes() {
        export.node(node?)?;
    }
    for edge in view.edges() {
        export.edge(edge?)?;
    }
    let (lines, bytes) = (export.lines.count, export.lines.bytes);
    Ok(Counts { lines, bytes, ..export.counts })
}

fn by_id<I: Eq + Hash>(names: Vec<(I, String)>) -> Names<I> {
    names.into_iter().collect()
}

struct Export<'v, 'o> {
    view: &'v View,
    labels: Names<kitedb_core::LabelId>,
    types: Names<kitedb_core::EdgeTypeId>,
    keys: Names<PropKeyId>,
    /// Under which there may be vectors.
    vector_keys: Vec<PropKeyId>,
    lines: Lines<'o>,
    counts: Counts,
}

impl Export<'_, '_> {
    fn names(&mut self) -> Outcome {
        let labels = self.view.labels().into_iter().map(|(id, name)| (NameKind::Label, id.0, name));
        let types = self.view.etypes().into_iter().map(|(id, name)| (NameKind::EdgeType, id.0, name));
        let keys = self.view.propkeys().into_iter().map(|(id, name)| (NameKind::PropKey, id.0, name));
        for (kind, id, name) in labels.chain(types).chain(keys) {
            let called = KINDS.iter().find(|(_, other)| *other == kind).map_or("", |(called, _)| *called);
            self.counts.names += 1;
            self.lines.whole(&[
                ("type", json!("name")),
                ("kind", json!(called)),
                ("id", json!(id)),
                ("name", json!(name)),
            ])?;
        }
        Ok(())
    }

    fn node(&mut self, node: NodeId) -> Outcome {
        self.counts.nodes += 1;
        let labels: Vec<_> = self.view.node_labels(node)?.iter().filter_map(|label| self.labels.get(label)).collect();
        let mut first = Vec::new();
        if let Some(key) = self.view.node_key(node)? {
            first.push(("key", json!(key)));
        }
        if !labels.is_empty() {
            first.push(("labels", json!(labels)));
        }
        self.lines.begin(&[("type", json!("node")), ("node_id", json!(node.0))], &first)?;
        for (key, value) in self.view.node_props(node)?.unwrap_or_default() {
            self.lines.put("props", self.keys.get(&key).map_or("", String::as_str), &json::to_json(&value))?;
        }
        for key in &self.vector_keys {
            if let Some(vector) = self.view.node_vector(node, *key)? {
                self.counts.vectors += 1;
                let name = self.keys.get(key).map_or("", String::as_str);
                self.lines.put("vectors", name, &json::components(&vector))?;
            }
        }
        Ok(self.lines.end()?)
    }

    fn edge(&mut self, edge: EdgeKey) -> Outcome {
        self.counts.edges += 1;
        self.lines.begin(&self.head_of(edge), &[])?;
        for (key, value) in self.view.edge_props_by_key(edge)?.unwrap_or_default() {
            self.lines.put("props", self.keys.get(&key).map_or("", String::as_str), &json::to_json(&value))?;
        }
        Ok(self.lines.end()?)
    }

    /// What says which edge it is: every field of its identity.
    fn head_of(&self, edge: EdgeKey) -> Vec<(&'static str, Json)> {
        let EdgeKey { src, ty, dst, rank } = edge;
        let mut head = vec![
            ("type", json!("edge")),
            ("src_id", json!(src.0)),
            ("dst_id", json!(dst.0)),
            ("label", json!(self.types.get(&ty))),
        ];
        if rank > 0 {
            head.push(("rank", json!(rank)));
        }
        head
    }
}
