//! The states in which the `read` benchmark reads ours: the same graph, laid out differently.

use std::path::Path;

use kitedb_core::{Database, NodeId, Value};

use super::Sync;
use super::ours::{load_edges, load_nodes, options};
use crate::Res;
use crate::harness::graph::{Edge, Graph, PROPERTY};
use crate::harness::rng::mix;

/// The states in which a graph is read; each holds the same graph in the end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// One run, no delta.
    Compacted,
    /// A tenth of the edges and of the properties in the delta.
    Delta,
    /// Four runs, a quarter of the edges in each; three quarters of the properties in a later run than their node's first.
    FourRuns,
}

impl State {
    /// All of them, and how tables call them.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Compacted, "ours, compacted"), (Self::Delta, "ours, 10 % delta"), (Self::FourRuns, "ours, 4 runs")];

    /// Parts of the graph in the order in which they are loaded; every item is in one of them by its hash alone.
    fn part(self, item: u64) -> u64 {
        match self {
            Self::Compacted => 0,
            Self::Delta => u64::from(mix(item).is_multiple_of(10)),
            Self::FourRuns => mix(item) % 4,
        }
    }
}

/// Loads a graph into `path` in the given state and returns the database, open.
pub fn prepare(path: &Path, graph: &Graph, state: State) -> Res<Database> {
    let db = Database::open(path, options(Sync::Off).auto_checkpoint(false).auto_compaction(false))?;
    let part_of_node = |id: u32| state.part(u64::from(id));
    let part_of_edge = |e: &Edge| state.part((u64::from(e.src) << 32) ^ (u64::from(e.ty) << 60) ^ u64::from(e.dst));
    let ids: Vec<u32> = (1..=graph.nodes).collect();
    let parts = match state {
        State::Compacted => 1,
        State::Delta => 2,
        State::FourRuns => 4,
    };
    load_nodes(&db, &ids, 10_000, |id| if part_of_node(id) == 0 { id.into() } else { -1 })?;
    for part in 0..parts {
        if part > 0 {
            rewrite(&db, ids.iter().copied().filter(|&id| part_of_node(id) == part))?;
        }
        load_edges(&db, graph.edges.iter().filter(|e| part_of_edge(e) == part), 10_000, |_| Ok(()))?;
        if !(state == State::Delta && part == 1) {
            db.checkpoint()?;
        }
    }
    if state == State::Compacted {
        db.compact()?;
    }
    let runs = db.stats()?.runs.len();
    let expected = if state == State::FourRuns { 4 } else { 1 };
    if runs != expected {
        return Err(format!("{runs} runs where {expected} were wanted").into());
    }
    Ok(db)
}

/// Gives each of these nodes its final property.
fn rewrite(db: &Database, ids: impl Iterator<Item = u32>) -> Res<()> {
    let ids: Vec<u32> = ids.collect();
    for chunk in ids.chunks(10_000) {
        let mut tx = db.begin()?;
        let property = tx.propkey_id_or_create(PROPERTY)?;
        for &id in chunk {
            tx.set_node_prop(NodeId(id.into()), property, Value::I64(id.into()))?;
        }
        tx.commit()?;
    }
    Ok(())
}
