//! What an export holds: names, so that they keep their ids, then nodes with their vectors, then edges, between a first and a
//! last line that tell whether all of it is there. Only what is written at the moment is in memory.

use super::{Failed, lines::Lines};
use crate::{
    failure::{EXIT_FAULT, Failure},
    import::{
        envelope::{self, Trailer},
        jsonl::KINDS,
    },
};
use kitedb_core::{
    EdgeKey, EdgeRef, GraphRead, NodeRef, Phase, Progress, PropKeyId, View, Watch, graph::NameKind, json,
};
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

type Outcome<T = ()> = Result<T, Failed>;

/// A key that is no longer stands in every line about its node, so that these can be read in any order.
const SHORT_KEY: usize = 4096;

/// After so many nodes and edges it is told how far an export is.
const EVERY: u64 = 4096;

/// Writes everything that `view` shows. `digest` is that of what is exported, if it is known; `require_whole` fails if what was
/// read turned out to be less than there was; `watch` is told how far it is, and can end it.
pub fn write_graph(
    view: &View,
    digest: Option<String>,
    require_whole: impl FnOnce() -> Result<(), Failure>,
    watch: &Watch,
    out: &mut dyn Write,
) -> Outcome<Counts> {
    let mut export = Export {
        view,
        labels: by_id(view.labels()),
        types: by_id(view.etypes()),
        keys: by_id(view.propkeys()),
        vector_keys: Vec::new(),
        lines: Lines::new(out),
        counts: Counts::default(),
        watch,
    };
    export.vector_keys =
        view.propkeys().into_iter().map(|(key, _)| key).filter(|key| view.vector_dimension(*key).is_some()).collect();
    export.lines.whole(&envelope::beginning(view.token().full()))?;
    export.names()?;
    for node in view.nodes() {
        export.node(&node?)?;
    }
    export.edges()?;
    export.require_all()?;
    require_whole()?;
    let Counts { names, nodes, edges, vectors, .. } = export.counts;
    let trailer = Trailer { names, nodes, edges, vectors, lines: export.lines.count - 1, digest };
    export.lines.whole(&trailer.fields())?;
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
    watch: &'v Watch,
}

impl Export<'_, '_> {
    /// Tells now and then how far it is. Fails where it is to end.
    fn go_on(&self) -> Outcome {
        let (done, view) = (self.counts.nodes + self.counts.edges, self.view);
        if !done.is_multiple_of(EVERY) {
            return Ok(self.watch.require_uncancelled()?);
        }
        let total = view.count_nodes() + view.count_edges();
        Ok(self.watch.report(Progress::new(Phase::Export, done, Some(total)))?)
    }

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

    fn node(&mut self, node: &NodeRef<'_>) -> Outcome {
        self.go_on()?;
        self.counts.nodes += 1;
        let labels: Vec<_> = node.labels()?.filter_map(|label| self.labels.get(&label)).collect();
        let mut every = vec![("type", json!("node")), ("node_id", json!(node.id().0))];
        let mut first = Vec::new();
        if let Some(key) = node.key()? {
            (if key.len() <= SHORT_KEY { &mut every } else { &mut first }).push(("key", json!(key)));
        }
        if !labels.is_empty() {
            first.push(("labels", json!(labels)));
        }
        self.lines.begin(&every, &first)?;
        for prop in node.props()? {
            let (key, value) = prop?;
            let name = self.keys.get(&key).map_or("", String::as_str);
            self.lines.put("props", name, &json::to_json(&value.to_value()))?;
        }
        for key in &self.vector_keys {
            if let Some(vector) = node.vector(*key)? {
                self.counts.vectors += 1;
                let name = self.keys.get(key).map_or("", String::as_str);
                self.lines.put("vectors", name, &json::components(&vector.to_vec()))?;
            }
        }
        self.lines.end()
    }

    /// Writes the edges. They come in an order in which parallel ones are next to each other.
    fn edges(&mut self) -> Outcome {
        let view = self.view;
        let mut edges = view.edges().peekable();
        let mut before = None;
        while let Some(edge) = edges.next() {
            let edge = edge?;
            let next = edges.peek().and_then(|next| next.as_ref().ok()).map(EdgeRef::key);
            let is_parallel = [before, next].into_iter().flatten().any(|other| are_parallel(&edge.key(), &other));
            self.edge(&edge, is_parallel)?;
            before = Some(edge.key());
        }
        Ok(())
    }

    /// Fails if less was there than the database says that it holds.
    fn require_all(&self) -> Outcome {
        let (counts, view) = (self.counts, self.view);
        let written = (counts.nodes, counts.edges, counts.vectors);
        let wanted = (view.count_nodes(), view.count_edges(), view.count_vectors());
        if written == wanted {
            return Ok(());
        }
        let what = format_args!(
            "the database is damaged: it says that it holds {} nodes, {} edges and {} vectors, and {}, {} and {} were found",
            wanted.0, wanted.1, wanted.2, written.0, written.1, written.2
        );
        Err(Failure::new(what).exit(EXIT_FAULT).hint("`kitedb check DB` lists what is damaged").into())
    }

    fn edge(&mut self, edge: &EdgeRef<'_>, is_parallel: bool) -> Outcome {
        self.go_on()?;
        self.counts.edges += 1;
        self.lines.begin(&self.head_of(edge.key(), is_parallel), &[])?;
        for prop in edge.props()? {
            let (key, value) = prop?;
            let name = self.keys.get(&key).map_or("", String::as_str);
            self.lines.put("props", name, &json::to_json(&value.to_value()))?;
        }
        self.lines.end()
    }

    /// What says which edge it is: every field of its identity. Without a rank a line means the edge of the lowest one that is
    /// there, so that each of several parallel edges has it: in whatever order they are read, they are the same.
    fn head_of(&self, edge: EdgeKey, is_parallel: bool) -> Vec<(&'static str, Json)> {
        let EdgeKey { src, ty, dst, rank } = edge;
        let mut head = vec![
            ("type", json!("edge")),
            ("src_id", json!(src.0)),
            ("dst_id", json!(dst.0)),
            ("label", json!(self.types.get(&ty))),
        ];
        if rank > 0 || is_parallel {
            head.push(("rank", json!(rank)));
        }
        head
    }
}

/// Whether two edges are told apart by their rank alone.
fn are_parallel(edge: &EdgeKey, other: &EdgeKey) -> bool {
    (edge.src, edge.ty, edge.dst) == (other.src, other.ty, other.dst)
}
