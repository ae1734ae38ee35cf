//! The engines behind the few traits that the benchmarks speak: one commit, one batch, one graph loaded and read.

pub mod ours;
pub mod states;

#[cfg(feature = "peers")]
pub mod fjall;
#[cfg(feature = "peers")]
pub mod kitedb_0_2;
#[cfg(feature = "peers")]
pub mod overgraph;
#[cfg(feature = "peers")]
pub mod redb;
#[cfg(feature = "peers")]
pub mod sqlite;

use std::path::Path;

use crate::Res;
use crate::harness::graph::{Edge, Graph};

/// When a commit is on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sync {
    /// Some time.
    Off,
    /// Written at once, synced in the background.
    Normal,
    /// Before the commit returns.
    Full,
}

impl std::fmt::Display for Sync {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Normal => "normal",
            Self::Full => "full",
        })
    }
}

/// Something that can commit one keyed node in a transaction of its own.
pub trait Commit {
    /// Its name in tables and figures.
    fn name(&self) -> String;
    /// Commits a node with the key number `i` (each is used once).
    fn commit(&mut self, i: u64) -> Res<()>;
}

/// Something that commits a hundred at a time.
pub trait Batch {
    /// Commits one keyed node per key.
    fn nodes(&mut self, keys: &[String]) -> Res<()>;
    /// Commits these edges, each with as many integer properties as `properties` has names. Ends are node numbers from 1.
    fn edges(&mut self, edges: &[Edge], properties: &[String]) -> Res<()>;
}

/// An engine whose database can be a primary, or play no part in replication.
pub trait Primary: Commit + Batch + Sized {
    /// Its name in tables and figures.
    const NAME: &'static str;
    /// A new database in `dir`. Nothing happens to it in the background that `commit` does not cause.
    fn create_as(dir: &Path, sync: Sync, role: Role) -> Res<Self>;
}

/// The part that a database plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// None: replication is off.
    Disabled,
    /// Others may follow its log.
    Primary,
}

/// A primary and a replica of it, both open in this process.
pub trait Pair {
    /// The primary.
    fn primary(&mut self) -> &mut dyn CommitAndBatch;
    /// Replaces what the replica holds by a snapshot of the primary.
    fn bootstrap(&mut self) -> Res<()>;
    /// Lets the replica pull once, at most `max_frames`. Returns how many it applied.
    fn pull(&mut self, max_frames: usize) -> Res<usize>;
    /// Fails unless the replica shows what the primary shows, as far as the engine can tell.
    fn compare(&self) -> Res<()>;
}

/// What a primary can do.
pub trait CommitAndBatch: Commit + Batch {}

impl<T: Commit + Batch> CommitAndBatch for T {}

/// Makes a [`Pair`] in a folder.
pub type NewPair = fn(&Path, Sync) -> Res<Box<dyn Pair>>;

/// The engines that have replicas, by name: ours first.
pub fn pairs() -> Vec<(&'static str, NewPair)> {
    let ours: NewPair = |dir, sync| Ok(Box::new(ours::OursPair::create(dir, sync)?));
    std::iter::once((ours::Ours::NAME, ours)).chain(peer_pairs()).collect()
}

#[cfg(feature = "peers")]
fn peer_pairs() -> Vec<(&'static str, NewPair)> {
    vec![(kitedb_0_2::Kitedb::NAME, |dir, sync| Ok(Box::new(kitedb_0_2::KitedbPair::create(dir, sync)?)))]
}

#[cfg(not(feature = "peers"))]
fn peer_pairs() -> Vec<(&'static str, NewPair)> {
    Vec::new()
}

/// A graph that can be read. Ids are those of the [`Graph`]; an engine that numbers otherwise cannot take part.
pub trait Reads {
    /// The id of the node with this key.
    fn by_key(&self, key: &str) -> Res<u64>;
    /// The node's one property.
    fn property(&self, id: u64) -> Res<i64>;
    /// Calls `f` with the other end of each edge that leaves the node.
    fn hop(&self, id: u64, f: impl FnMut(u64)) -> Res<()>;
    /// The same for edges of one type (an index into `graph::TYPES`).
    fn hop_type(&self, id: u64, ty: u8, f: impl FnMut(u64)) -> Res<()>;
    /// Whether there is such an edge.
    fn exists(&self, src: u64, ty: u8, dst: u64) -> Res<bool>;
}

/// An engine that loads a whole graph and closes cleanly.
pub trait GraphStore {
    /// Its name in tables and figures.
    fn name(&self) -> &'static str;
    /// Creates `path` and loads the graph in batches of `batch`, the final checkpoint and close included. Returns the seconds that the nodes took,
    /// so that the edges' rate can be shown beside the whole's.
    fn load(&self, path: &Path, graph: &Graph, batch: usize) -> Res<f64>;
    /// Opens what [`GraphStore::load`] left.
    fn open(&self, path: &Path) -> Res<Box<dyn Opened>>;
    /// Creates `path` and commits `n` keyed nodes one by one, written but not checkpointed; never closes it.
    fn commit_and_die(&self, path: &Path, n: u64) -> Res<()>;
}

/// An opened store, as the `open` and `memory` benchmarks use it.
pub trait Opened {
    /// Whether there is a node with this key.
    fn holds(&mut self, key: &str) -> Res<bool>;
    /// Reads a node's property and its out-neighbours; returns a checksum.
    fn touch(&mut self, id: u64) -> Res<u64>;
    /// Closes it cleanly.
    fn close(self: Box<Self>) -> Res<()>;
}

/// What [`Opened::touch`] reads.
fn touch(reader: &impl Reads, id: u64) -> Res<u64> {
    let mut sum = reader.property(id)? as u64;
    reader.hop(id, |other| sum += other)?;
    Ok(sum)
}

/// The stores that are built in: ours first.
pub fn stores() -> Vec<Box<dyn GraphStore>> {
    let ours: Box<dyn GraphStore> = Box::new(ours::Store);
    std::iter::once(ours).chain(peers()).collect()
}

#[cfg(feature = "peers")]
fn peers() -> Vec<Box<dyn GraphStore>> {
    vec![Box::new(kitedb_0_2::Store), Box::new(overgraph::Store)]
}

#[cfg(not(feature = "peers"))]
fn peers() -> Vec<Box<dyn GraphStore>> {
    Vec::new()
}

/// The store of this name.
pub fn store(name: &str) -> Res<Box<dyn GraphStore>> {
    stores().into_iter().find(|s| s.name() == name).ok_or_else(|| format!("no engine {name}").into())
}
