//! overgraph 0.18, the nearest other embedded graph engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use overgraph::{
    DatabaseEngine, DbOptions, EdgeInput, EngineError, NeighborOptions, NodeInput, PropValue, UpsertNodeOptions,
    WalSyncMode,
};

use super::{Commit, GraphStore, Opened, Reads, Sync, touch};
use crate::Res;
use crate::harness::graph::{Edge, Graph, PROPERTY, TYPES, key};
use crate::harness::stats::seconds;

const LABEL: &str = "Node";
/// Tries, a millisecond apart.
const PATIENCE: u32 = 60_000;

/// An open database.
pub struct Overgraph {
    db: DatabaseEngine,
    sync: Sync,
    /// One for all types, then one per type, so that no list is built per call.
    hops: Vec<NeighborOptions>,
}

impl Overgraph {
    /// Opens or creates the folder; `Off` and `Normal` are both its group commit (a timer).
    pub fn open(path: &Path, sync: Sync) -> Res<Self> {
        let wal_sync_mode = if sync == Sync::Full { WalSyncMode::Immediate } else { WalSyncMode::default() };
        let options = DbOptions { edge_uniqueness: true, wal_sync_mode, ..DbOptions::default() };
        let one = |ty: &str| NeighborOptions { edge_label_filter: Some(vec![ty.into()]), ..NeighborOptions::default() };
        let hops = std::iter::once(NeighborOptions::default()).chain(TYPES.map(one)).collect();
        Ok(Self { db: patiently(|| DatabaseEngine::open(path, &options))?, sync, hops })
    }
}

/// Again while it is only busy: a folder stays taken for a moment after its close has returned, and writes that
/// outrun its flushes are refused.
fn patiently<T>(mut call: impl FnMut() -> Result<T, EngineError>) -> Res<T> {
    let mut tries = 0;
    loop {
        match call() {
            Err(EngineError::ResourceLimit { retryable: true, .. }) if tries < PATIENCE => tries += 1,
            Err(EngineError::InvalidOperation(why)) if tries < PATIENCE && why.contains("directory admission") => {
                tries += 1;
            }
            out => return Ok(out?),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Commit for Overgraph {
    fn name(&self) -> String {
        format!("overgraph 0.18, {}", if self.sync == Sync::Full { "Immediate" } else { "GroupCommit" })
    }

    fn commit(&mut self, i: u64) -> Res<()> {
        self.db.upsert_node(LABEL, &key(i as u32), UpsertNodeOptions::default())?;
        Ok(())
    }
}

impl Reads for Overgraph {
    fn by_key(&self, key: &str) -> Res<u64> {
        Ok(self.db.get_node_by_key(LABEL, key)?.ok_or("no such key")?.id)
    }

    fn property(&self, id: u64) -> Res<i64> {
        let node = self.db.get_node(id)?.ok_or("no such node")?;
        match node.props.get(PROPERTY) {
            Some(PropValue::Int(value)) => Ok(*value),
            // It returns a non-negative integer as unsigned.
            Some(PropValue::UInt(value)) => Ok(*value as i64),
            other => Err(format!("property of {id}: {other:?}").into()),
        }
    }

    fn hop(&self, id: u64, mut f: impl FnMut(u64)) -> Res<()> {
        self.db.neighbors(id, &self.hops[0])?.iter().for_each(|n| f(n.node_id));
        Ok(())
    }

    fn hop_type(&self, id: u64, ty: u8, mut f: impl FnMut(u64)) -> Res<()> {
        self.db.neighbors(id, &self.hops[1 + ty as usize])?.iter().for_each(|n| f(n.node_id));
        Ok(())
    }

    fn exists(&self, src: u64, ty: u8, dst: u64) -> Res<bool> {
        Ok(self.db.get_edge_by_triple(src, dst, TYPES[ty as usize])?.is_some())
    }
}

impl Opened for Overgraph {
    fn holds(&mut self, key: &str) -> Res<bool> {
        Ok(self.db.get_node_by_key(LABEL, key)?.is_some())
    }

    fn touch(&mut self, id: u64) -> Res<u64> {
        touch(self, id)
    }

    fn close(self: Box<Self>) -> Res<()> {
        Ok(self.db.close()?)
    }
}

/// Loads and opens it.
pub struct Store;

impl GraphStore for Store {
    fn name(&self) -> &'static str {
        "overgraph 0.18"
    }

    fn load(&self, path: &Path, graph: &Graph, batch: usize) -> Res<f64> {
        let store = Overgraph::open(path, Sync::Normal)?;
        let ids: Vec<u32> = (1..=graph.nodes).collect();
        let (nodes, loaded) = seconds(|| -> Res<()> {
            for chunk in ids.chunks(batch) {
                let created = patiently(|| store.db.batch_upsert_nodes(chunk.iter().map(|&id| node(id)).collect()))?;
                if created.first() != chunk.first().map(|&id| u64::from(id)).as_ref() {
                    return Err("overgraph does not number nodes from 1".into());
                }
            }
            Ok(())
        });
        loaded?;
        for chunk in graph.edges.chunks(batch) {
            patiently(|| store.db.batch_upsert_edges(chunk.iter().map(edge).collect()))?;
        }
        patiently(|| store.db.flush())?;
        patiently(|| store.db.compact())?;
        patiently(|| store.db.close())?;
        Ok(nodes)
    }

    fn open(&self, path: &Path) -> Res<Box<dyn Opened>> {
        Ok(Box::new(Overgraph::open(path, Sync::Normal)?))
    }

    fn commit_and_die(&self, path: &Path, n: u64) -> Res<()> {
        let mut store = Overgraph::open(path, Sync::Normal)?;
        for i in 0..n {
            store.commit(i)?;
        }
        store.db.sync()?;
        std::process::abort()
    }
}

fn node(id: u32) -> NodeInput {
    NodeInput {
        labels: vec![LABEL.into()],
        key: key(id),
        props: BTreeMap::from([(PROPERTY.into(), PropValue::Int(i64::from(id)))]),
        weight: 1.0,
        dense_vector: None,
        sparse_vector: None,
    }
}

fn edge(edge: &Edge) -> EdgeInput {
    EdgeInput {
        from: u64::from(edge.src),
        to: u64::from(edge.dst),
        label: TYPES[edge.ty as usize].into(),
        props: BTreeMap::new(),
        weight: 1.0,
        valid_from: None,
        valid_to: None,
    }
}
