//! kitedb 0.2.18, the published crate, by its public calls.

use std::fs;
use std::path::Path;

use kitedb_peer::core::single_file::{
    SingleFileDB, SingleFileOpenOptions, SyncMode, close_single_file, open_single_file,
};
use kitedb_peer::replication::types::ReplicationRole;
use kitedb_peer::types::PropValue;

use super::{Batch, Commit, CommitAndBatch, GraphStore, Opened, Pair, Primary, Reads, Role, Sync, touch};
use crate::Res;
use crate::harness::graph::{Edge, Graph, PROPERTY, TYPES, key};
use crate::harness::stats::seconds;

/// Its log has a fixed size, which every open must repeat. This is that of its profile for frequent reopening,
const LOG: usize = 16 << 20;
/// and this lets it load a large graph without a checkpoint in between, each of which would rewrite everything.
const LARGE_LOG: usize = 1 << 30;
/// Graphs from this many edges on get the large one.
const LARGE: usize = 500_000;

fn options(sync: Sync, log: usize) -> SingleFileOpenOptions {
    default_options(sync).wal_size(log)
}

fn default_options(sync: Sync) -> SingleFileOpenOptions {
    SingleFileOpenOptions::new().sync_mode(match sync {
        Sync::Off => SyncMode::Off,
        Sync::Normal => SyncMode::Normal,
        Sync::Full => SyncMode::Full,
    })
}

/// Opens an existing file with the size of log that it was created with.
fn reopen(path: &Path) -> Res<SingleFileDB> {
    let log = if fs::metadata(path)?.len() >= LARGE_LOG as u64 { LARGE_LOG } else { LOG };
    Ok(open_single_file(path, options(Sync::Normal, log))?)
}

/// An open database.
pub struct Kitedb {
    db: SingleFileDB,
    sync: Sync,
}

impl Kitedb {
    /// A new one in `dir`.
    pub fn create(dir: &Path, sync: Sync) -> Res<Self> {
        Ok(Self { db: open_single_file(dir.join(format!("old-{sync}.kitedb")), options(sync, 4 * LOG))?, sync })
    }
}

impl Kitedb {
    /// A page of a primary's log as JSON.
    pub fn export(&self, cursor: &str, max_frames: usize, max_bytes: usize) -> Res<()> {
        let page = self.db.primary_export_log_transport_json(Some(cursor), max_frames, max_bytes, true)?;
        std::hint::black_box(page);
        Ok(())
    }
}

/// As many as a benchmark makes: none is let go meanwhile.
const FRAMES_KEPT: u64 = 10_000_000;

impl Primary for Kitedb {
    const NAME: &'static str = "kitedb 0.2.18";

    fn create_as(dir: &Path, sync: Sync, role: Role) -> Res<Self> {
        let options = options(sync, 4 * LOG).auto_checkpoint(false).replication_retention_min_entries(FRAMES_KEPT);
        let (name, role) = match role {
            Role::Disabled => ("old-alone", ReplicationRole::Disabled),
            Role::Primary => ("old-primary", ReplicationRole::Primary),
        };
        Ok(Self { db: open_single_file(dir.join(format!("{name}.kitedb")), options.replication_role(role))?, sync })
    }
}

/// A primary and a replica. Its bootstrap works only where both logs have the default size.
pub struct KitedbPair {
    primary: Kitedb,
    replica: SingleFileDB,
}

impl KitedbPair {
    /// Both empty, in `dir`.
    pub fn create(dir: &Path, sync: Sync) -> Res<Self> {
        let source = dir.join("old-source.kitedb");
        let options = default_options(sync)
            .replication_role(ReplicationRole::Primary)
            .replication_retention_min_entries(FRAMES_KEPT);
        let primary = Kitedb { db: open_single_file(&source, options)?, sync };
        let options =
            default_options(sync).replication_role(ReplicationRole::Replica).replication_source_db_path(&source);
        Ok(Self { primary, replica: open_single_file(dir.join("old-replica.kitedb"), options)? })
    }
}

impl Pair for KitedbPair {
    fn primary(&mut self) -> &mut dyn CommitAndBatch {
        &mut self.primary
    }

    fn bootstrap(&mut self) -> Res<()> {
        Ok(self.replica.replica_bootstrap_from_snapshot()?)
    }

    fn pull(&mut self, max_frames: usize) -> Res<usize> {
        Ok(self.replica.replica_catch_up_once(max_frames)?)
    }

    /// It has no digest, and in its faster modes its replica is not told of the last frames: nothing is compared.
    fn compare(&self) -> Res<()> {
        Ok(())
    }
}

impl Commit for Kitedb {
    fn name(&self) -> String {
        format!("kitedb 0.2.18, {}", self.sync)
    }

    fn commit(&mut self, i: u64) -> Res<()> {
        self.db.begin(false)?;
        self.db.create_node(Some(&key(i as u32)))?;
        Ok(self.db.commit()?)
    }
}

impl Batch for Kitedb {
    fn nodes(&mut self, keys: &[String]) -> Res<()> {
        let keys: Vec<Option<&str>> = keys.iter().map(|k| Some(k.as_str())).collect();
        self.db.begin(false)?;
        self.db.create_nodes_batch(&keys)?;
        Ok(self.db.commit()?)
    }

    fn edges(&mut self, edges: &[Edge], properties: &[String]) -> Res<()> {
        self.db.begin(false)?;
        let types = TYPES.map(|name| self.db.etype_id_or_create(name));
        let props: Vec<_> = properties
            .iter()
            .enumerate()
            .map(|(n, name)| (self.db.propkey_id_or_create(name), PropValue::I64(n as i64)))
            .collect();
        let edges = edges.iter().map(|e| (e.src.into(), types[e.ty as usize], e.dst.into(), props.clone())).collect();
        self.db.add_edges_with_props_batch(edges)?;
        Ok(self.db.commit()?)
    }
}

/// An open graph with the ids of its names.
pub struct Reader {
    db: SingleFileDB,
    property: u32,
    types: [u32; TYPES.len()],
}

impl Reader {
    /// Opens what [`Store`] loaded.
    pub fn open(path: &Path) -> Res<Self> {
        let db = reopen(path)?;
        let mut types = [0; TYPES.len()];
        for (id, name) in types.iter_mut().zip(TYPES) {
            *id = db.etype_id(name).unwrap_or_default();
        }
        let property = db.propkey_id(PROPERTY).unwrap_or_default();
        Ok(Self { db, property, types })
    }
}

impl Reads for Reader {
    fn by_key(&self, key: &str) -> Res<u64> {
        Ok(self.db.node_by_key(key).ok_or("no such key")?)
    }

    fn property(&self, id: u64) -> Res<i64> {
        match self.db.node_prop(id, self.property) {
            Some(PropValue::I64(value)) => Ok(value),
            other => Err(format!("property of {id}: {other:?}").into()),
        }
    }

    fn hop(&self, id: u64, mut f: impl FnMut(u64)) -> Res<()> {
        self.db.out_edges(id).iter().for_each(|&(_, other)| f(other));
        Ok(())
    }

    fn hop_type(&self, id: u64, ty: u8, mut f: impl FnMut(u64)) -> Res<()> {
        self.db.out_neighbors(id, self.types[ty as usize]).iter().for_each(|&other| f(other));
        Ok(())
    }

    fn exists(&self, src: u64, ty: u8, dst: u64) -> Res<bool> {
        Ok(self.db.edge_exists(src, self.types[ty as usize], dst))
    }
}

impl Opened for Reader {
    fn holds(&mut self, key: &str) -> Res<bool> {
        Ok(self.db.node_by_key(key).is_some())
    }

    fn touch(&mut self, id: u64) -> Res<u64> {
        touch(self, id)
    }

    fn close(self: Box<Self>) -> Res<()> {
        Ok(close_single_file(self.db)?)
    }
}

/// Loads and opens it.
pub struct Store;

impl GraphStore for Store {
    fn name(&self) -> &'static str {
        "kitedb 0.2.18"
    }

    fn load(&self, path: &Path, graph: &Graph, batch: usize) -> Res<f64> {
        let log = if graph.edges.len() >= LARGE { LARGE_LOG } else { LOG };
        let db = open_single_file(path, options(Sync::Normal, log))?;
        let types = TYPES.map(|name| db.etype_id_or_create(name));
        let property = db.propkey_id_or_create(PROPERTY);
        let ids: Vec<u32> = (1..=graph.nodes).collect();
        let (nodes, loaded) = seconds(|| ids.chunks(batch).try_for_each(|chunk| load_nodes(&db, chunk, property)));
        loaded?;
        for chunk in graph.edges.chunks(batch) {
            let edges: Vec<_> = chunk.iter().map(|e| (e.src.into(), types[e.ty as usize], e.dst.into())).collect();
            db.begin_bulk()?;
            db.add_edges_batch(&edges)?;
            db.commit()?;
        }
        db.checkpoint()?;
        close_single_file(db)?;
        Ok(nodes)
    }

    fn open(&self, path: &Path) -> Res<Box<dyn Opened>> {
        Ok(Box::new(Reader::open(path)?))
    }

    fn commit_and_die(&self, path: &Path, n: u64) -> Res<()> {
        let db = open_single_file(path, options(Sync::Normal, LOG).auto_checkpoint(false))?;
        let mut store = Kitedb { db, sync: Sync::Normal };
        for i in 0..n {
            store.commit(i)?;
        }
        std::process::abort()
    }
}

fn load_nodes(db: &SingleFileDB, ids: &[u32], property: u32) -> Res<()> {
    let keys: Vec<String> = ids.iter().map(|&id| key(id)).collect();
    let keys: Vec<Option<&str>> = keys.iter().map(|k| Some(k.as_str())).collect();
    db.begin_bulk()?;
    let created = db.create_nodes_batch(&keys)?;
    for (&node, &id) in created.iter().zip(ids) {
        if node != u64::from(id) {
            return Err("kitedb 0.2.18 does not number nodes from 1".into());
        }
        db.set_node_prop(node, property, PropValue::I64(id.into()))?;
    }
    Ok(db.commit()?)
}
