//! KiteDB as it is in this workspace.

use std::path::Path;

use kitedb_core::{
    AllTypes, Database, Direction, EdgeKey, EdgeTypeId, GraphRead, NewNode, NodeId, OpenOptions, PropKeyId,
    ReplicationRole, SyncMode, Transaction, Value, ValueRef, View,
};

use super::{Batch, Commit, CommitAndBatch, GraphStore, Opened, Pair, Primary, Reads, Role, Sync, touch};
use crate::Res;
use crate::harness::graph::{Edge, Graph, PROPERTY, TYPES, key};
use crate::harness::stats::seconds;

/// Options as a user sets them for this sync mode.
pub fn options(sync: Sync) -> OpenOptions {
    OpenOptions::new().sync_mode(match sync {
        Sync::Off => SyncMode::Off,
        Sync::Normal => SyncMode::Normal,
        Sync::Full => SyncMode::Full,
    })
}

/// One keyed node per transaction.
pub struct Ours {
    /// The open database.
    pub db: Database,
    sync: Sync,
}

impl Ours {
    /// A new database in `dir`.
    pub fn create(dir: &Path, sync: Sync) -> Res<Self> {
        Ok(Self { db: Database::open(dir.join(format!("ours-{sync}.kitedb")), options(sync))?, sync })
    }
}

impl Primary for Ours {
    const NAME: &'static str = "ours";

    fn create_as(dir: &Path, sync: Sync, role: Role) -> Res<Self> {
        let (name, role) = match role {
            Role::Disabled => ("alone", ReplicationRole::Disabled),
            Role::Primary => ("primary", ReplicationRole::Primary),
        };
        let options = options(sync).auto_checkpoint(false).replication_role(role);
        Ok(Self { db: Database::open(dir.join(format!("{name}-{sync}.kitedb")), options)?, sync })
    }
}

/// A primary and a replica, checkpointed only when told to.
pub struct OursPair {
    primary: Ours,
    replica: Database,
}

impl OursPair {
    /// Both empty, in `dir`.
    pub fn create(dir: &Path, sync: Sync) -> Res<Self> {
        let primary = Ours::create_as(dir, sync, Role::Primary)?;
        let replica =
            open_replica(&dir.join("replica.kitedb"), primary.db.path(), options(sync).auto_checkpoint(false))?;
        Ok(Self { primary, replica })
    }
}

impl Pair for OursPair {
    fn primary(&mut self) -> &mut dyn CommitAndBatch {
        &mut self.primary
    }

    fn bootstrap(&mut self) -> Res<()> {
        Ok(self.replica.replica_bootstrap_from_snapshot()?)
    }

    fn pull(&mut self, max_frames: usize) -> Res<usize> {
        Ok(self.replica.replica_catch_up_once(max_frames)?)
    }

    fn compare(&self) -> Res<()> {
        equal(&self.primary.db, &self.replica)
    }
}

/// Opens `path` as a replica of the primary at `source`.
pub fn open_replica(path: &Path, source: &Path, options: OpenOptions) -> Res<Database> {
    let options = options.replication_role(ReplicationRole::Replica).replication_source_db_path(source);
    Ok(Database::open(path, options)?)
}

/// Fails unless both show the same commit and the same graph.
pub fn equal(a: &Database, b: &Database) -> Res<()> {
    let (a, b) = (a.snapshot()?, b.snapshot()?);
    if (a.token(), a.digest()) == (b.token(), b.digest()) {
        return Ok(());
    }
    let state = |view: &View| format!("{} with digest {}", view.token(), view.digest());
    Err(format!("two nodes differ: one is at {}, the other at {}", state(&a), state(&b)).into())
}

impl Commit for Ours {
    fn name(&self) -> String {
        format!("ours, {}", self.sync)
    }

    fn commit(&mut self, i: u64) -> Res<()> {
        commit_node(&self.db, i)
    }
}

/// The transaction that the commit benchmarks time.
pub fn commit_node(db: &Database, i: u64) -> Res<()> {
    let mut tx = db.begin()?;
    create_node(&mut tx, i)?;
    tx.commit()?;
    Ok(())
}

/// What it does.
pub fn create_node(tx: &mut Transaction, i: u64) -> Res<()> {
    tx.create_node(Some(&key(i as u32)))?;
    Ok(())
}

impl Batch for Ours {
    fn nodes(&mut self, keys: &[String]) -> Res<()> {
        let nodes: Vec<NewNode<'_>> = keys.iter().map(|k| NewNode::new().key(k)).collect();
        let mut tx = self.db.begin()?;
        tx.create_nodes_batch(&nodes)?;
        tx.commit()?;
        Ok(())
    }

    fn edges(&mut self, edges: &[Edge], properties: &[String]) -> Res<()> {
        let mut tx = self.db.begin()?;
        let types = types(&mut tx)?;
        let mut props = Vec::with_capacity(properties.len());
        for (n, name) in properties.iter().enumerate() {
            props.push((tx.propkey_id_or_create(name)?, Value::I64(n as i64)));
        }
        let edges: Vec<_> = edges.iter().map(|e| (edge_key(e, &types), props.as_slice())).collect();
        tx.add_edges_with_props_batch(&edges)?;
        tx.commit()?;
        Ok(())
    }
}

fn types(tx: &mut Transaction) -> Res<[EdgeTypeId; TYPES.len()]> {
    let mut ids = [EdgeTypeId(0); TYPES.len()];
    for (id, name) in ids.iter_mut().zip(TYPES) {
        *id = tx.etype_id_or_create(name)?;
    }
    Ok(ids)
}

fn edge_key(e: &Edge, types: &[EdgeTypeId; TYPES.len()]) -> EdgeKey {
    EdgeKey::new(NodeId(e.src.into()), types[e.ty as usize], NodeId(e.dst.into()))
}

/// Creates the nodes `ids` of a graph, `batch` to a transaction, each with the property that `score` gives.
pub fn load_nodes(db: &Database, ids: &[u32], batch: usize, score: impl Fn(u32) -> i64) -> Res<()> {
    for chunk in ids.chunks(batch) {
        let mut tx = db.begin()?;
        let property = tx.propkey_id_or_create(PROPERTY)?;
        let keys: Vec<String> = chunk.iter().map(|&id| key(id)).collect();
        let props: Vec<_> = chunk.iter().map(|&id| [(property, Value::I64(score(id)))]).collect();
        let nodes: Vec<NewNode<'_>> =
            keys.iter().zip(&props).map(|(key, props)| NewNode::new().key(key).props(props)).collect();
        let created = tx.create_nodes_batch(&nodes)?;
        tx.commit()?;
        if created.first().map(|n| n.0) != chunk.first().map(|&id| u64::from(id)) {
            return Err("nodes are not numbered from 1".into());
        }
    }
    Ok(())
}

/// Adds edges, `batch` to a transaction; calls `after` with the number added so far after each.
pub fn load_edges<'a>(
    db: &Database,
    edges: impl IntoIterator<Item = &'a Edge>,
    batch: usize,
    mut after: impl FnMut(usize) -> Res<()>,
) -> Res<()> {
    let mut edges = edges.into_iter().peekable();
    let mut done = 0;
    while edges.peek().is_some() {
        let mut tx = db.begin()?;
        let types = types(&mut tx)?;
        let keys: Vec<EdgeKey> = edges.by_ref().take(batch).map(|e| edge_key(e, &types)).collect();
        tx.add_edges_batch(&keys)?;
        tx.commit()?;
        done += keys.len();
        after(done)?;
    }
    Ok(())
}

/// A view with the ids of the names, resolved once.
pub struct Reader {
    view: View,
    property: PropKeyId,
    types: [EdgeTypeId; TYPES.len()],
}

impl Reader {
    /// A reader of what the database holds now.
    pub fn new(db: &Database) -> Res<Self> {
        let view = db.snapshot()?;
        let mut types = [EdgeTypeId(0); TYPES.len()];
        for (id, name) in types.iter_mut().zip(TYPES) {
            *id = view.etype_id(name).ok_or("edge type is missing")?;
        }
        let property = view.propkey_id(PROPERTY).ok_or("property key is missing")?;
        Ok(Self { view, property, types })
    }
}

impl Reads for Reader {
    fn by_key(&self, key: &str) -> Res<u64> {
        Ok(self.view.node_by_key(key)?.ok_or("no such key")?.0)
    }

    fn property(&self, id: u64) -> Res<i64> {
        match self.view.node_prop_ref(NodeId(id), self.property)? {
            Some(ValueRef::I64(value)) => Ok(value),
            other => Err(format!("property of {id}: {other:?}").into()),
        }
    }

    fn hop(&self, id: u64, mut f: impl FnMut(u64)) -> Res<()> {
        Ok(self.view.for_each_neighbor(NodeId(id), Direction::Out, AllTypes, |n| f(n.0))?)
    }

    fn hop_type(&self, id: u64, ty: u8, mut f: impl FnMut(u64)) -> Res<()> {
        let ty = self.types[ty as usize];
        Ok(self.view.for_each_neighbor(NodeId(id), Direction::Out, ty, |n| f(n.0))?)
    }

    fn exists(&self, src: u64, ty: u8, dst: u64) -> Res<bool> {
        Ok(self.view.edge_exists(NodeId(src), self.types[ty as usize], NodeId(dst))?)
    }
}

/// Loads and opens it.
pub struct Store;

impl GraphStore for Store {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn load(&self, path: &Path, graph: &Graph, batch: usize) -> Res<f64> {
        let db = Database::open(path, options(Sync::Normal))?;
        let ids: Vec<u32> = (1..=graph.nodes).collect();
        let (nodes, loaded) = seconds(|| load_nodes(&db, &ids, batch, i64::from));
        loaded?;
        load_edges(&db, &graph.edges, batch, |_| Ok(()))?;
        db.checkpoint()?;
        db.close()?;
        Ok(nodes)
    }

    fn open(&self, path: &Path) -> Res<Box<dyn Opened>> {
        Ok(Box::new(Open { db: Database::open(path, options(Sync::Normal))?, reader: None }))
    }

    fn commit_and_die(&self, path: &Path, n: u64) -> Res<()> {
        let db = Database::open(path, options(Sync::Normal).auto_checkpoint(false))?;
        for i in 0..n {
            commit_node(&db, i)?;
        }
        std::process::abort()
    }
}

struct Open {
    db: Database,
    /// Made at the first touch.
    reader: Option<Reader>,
}

impl Opened for Open {
    fn holds(&mut self, key: &str) -> Res<bool> {
        Ok(self.db.snapshot()?.node_by_key(key)?.is_some())
    }

    fn touch(&mut self, id: u64) -> Res<u64> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => Reader::new(&self.db)?,
        };
        touch(self.reader.insert(reader), id)
    }

    fn close(self: Box<Self>) -> Res<()> {
        drop(self.reader);
        Ok(self.db.close()?)
    }
}
