//! The floor of a read: the graph as compressed sparse rows in memory, a hash map from key to id, an array of properties.

use hashbrown::HashMap;

use crate::Res;
use crate::engines::Reads;
use crate::harness::graph::{Graph, key};

/// The arrays. Index 0 stands for no node.
pub struct Csr {
    offsets: Vec<u32>,
    targets: Vec<u32>,
    types: Vec<u8>,
    ids: HashMap<String, u32>,
    scores: Vec<i64>,
}

impl Csr {
    /// Rows sorted by (type, target), as ours are.
    pub fn build(graph: &Graph) -> Self {
        let nodes = graph.nodes as usize;
        let mut edges = graph.edges.clone();
        edges.sort_unstable();
        let mut offsets = vec![0u32; nodes + 2];
        edges.iter().for_each(|e| offsets[e.src as usize + 1] += 1);
        for i in 1..offsets.len() {
            offsets[i] += offsets[i - 1];
        }
        Self {
            offsets,
            targets: edges.iter().map(|e| e.dst).collect(),
            types: edges.iter().map(|e| e.ty).collect(),
            ids: (1..=graph.nodes).map(|id| (key(id), id)).collect(),
            scores: (0..=i64::from(graph.nodes)).collect(),
        }
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> u32 {
        self.offsets.len() as u32 - 2
    }

    /// Where the edges of a node lead.
    pub fn targets(&self, id: u32) -> &[u32] {
        self.row(u64::from(id)).0
    }

    fn row(&self, id: u64) -> (&[u32], &[u8]) {
        let range = self.offsets[id as usize] as usize..self.offsets[id as usize + 1] as usize;
        (&self.targets[range.clone()], &self.types[range])
    }
}

impl Reads for Csr {
    fn by_key(&self, key: &str) -> Res<u64> {
        Ok(u64::from(*self.ids.get(key).ok_or("no such key")?))
    }

    fn property(&self, id: u64) -> Res<i64> {
        Ok(self.scores[id as usize])
    }

    fn hop(&self, id: u64, mut f: impl FnMut(u64)) -> Res<()> {
        self.row(id).0.iter().for_each(|&t| f(u64::from(t)));
        Ok(())
    }

    fn hop_type(&self, id: u64, ty: u8, mut f: impl FnMut(u64)) -> Res<()> {
        let (targets, types) = self.row(id);
        targets.iter().zip(types).filter(|(_, t)| **t == ty).for_each(|(&t, _)| f(u64::from(t)));
        Ok(())
    }

    fn exists(&self, src: u64, ty: u8, dst: u64) -> Res<bool> {
        let (targets, types) = self.row(src);
        Ok(targets.iter().zip(types).any(|(&t, &y)| u64::from(t) == dst && y == ty))
    }
}
