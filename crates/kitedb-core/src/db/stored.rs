//! The state that a file holds, as its manifest and its runs tell: what the log is folded into.

use super::history::writer_of;
use crate::{
    error::{Error, Result},
    graph::{LogIndex, NameKind, PropKeyId},
    state::{CommitInfo, Delta, IndexSet, Levels, Names, Totals},
    store::{CheckpointMark, Manifest, Runs},
};
use std::sync::Arc;

/// The state that a manifest and its runs hold.
pub(super) fn levels_of(manifest: &Manifest, runs: Arc<Runs>) -> Result<Levels> {
    let CheckpointMark { log_index, epoch, digest, commit_ms } = manifest.checkpoint;
    let names = Names::default();
    for run in runs.iter() {
        define_run_names(&names, run.names()?)?;
    }
    let totals = Totals { nodes: manifest.node_count, edges: manifest.edge_count, vectors: manifest.vector_count };
    let writer = writer_of(&manifest.history, epoch, log_index);
    let info = CommitInfo { epoch, writer, commit_ms, digest, totals };
    let types = dense(&manifest.type_counts, names.greatest_id(NameKind::EdgeType))?;
    let labels = dense(&manifest.label_counts, names.greatest_id(NameKind::Label))?;
    let indexes = Arc::new(IndexSet::new(manifest.indexes.iter().cloned()));
    let active = Delta::new(log_index, info, &types, &labels, indexes);
    Ok(Levels::new(Arc::new(active), runs, Arc::new(names)))
}

/// Takes note of the names that a run defines; they count as defined from the beginning.
fn define_run_names(names_in_use: &Names, names: Vec<(NameKind, u32, u32, String)>) -> Result<()> {
    for (kind, id, dimension, name) in names {
        names_in_use.define(kind, id, &name, LogIndex(0))?;
        if dimension != 0 {
            names_in_use.define_dimension(PropKeyId(id), dimension, LogIndex(0))?;
        }
    }
    Ok(())
}

/// Counts by id, from pairs. The greatest id that has a name is `greatest`.
fn dense(pairs: &[(u32, u64)], greatest: u32) -> Result<Vec<u64>> {
    let mut counts = Vec::new();
    for &(id, count) in pairs {
        if id > greatest {
            return Err(Error::corrupt(format_args!("there is a count under the id {id}, which has no name")));
        }
        if counts.len() <= id as usize {
            counts.resize(id as usize + 1, 0);
        }
        counts[id as usize] = count;
    }
    Ok(counts)
}
