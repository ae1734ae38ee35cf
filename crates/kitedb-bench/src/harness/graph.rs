//! The two graphs of the targets. Node `i` has id `i` (from 1 on), key [`key`]`(i)` and the property `score` = `i`.

use super::rng::Rng;

/// Edge types of every graph, numbered from 0 here.
pub const TYPES: [&str; 3] = ["KNOWS", "LIKES", "FOLLOWS"];
/// The one property of every node.
pub const PROPERTY: &str = "score";

/// An edge, its ends as node ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Edge {
    /// The node it leaves.
    pub src: u32,
    /// Index into [`TYPES`].
    pub ty: u8,
    /// The node it enters.
    pub dst: u32,
}

/// A graph before any engine has it.
pub struct Graph {
    /// What it is called in tables: `a`, `b`.
    pub name: &'static str,
    /// Ids are 1 to this.
    pub nodes: u32,
    /// Distinct, in random order.
    pub edges: Vec<Edge>,
}

/// The key of a node.
pub fn key(id: u32) -> String {
    format!("node:{id:07}")
}

impl Graph {
    /// (a): 10,000 nodes, 50,000 edges, 3 types, uniform.
    pub fn a() -> Self {
        Self::uniform("a", 10_000, 50_000)
    }

    /// (b): 1,000,000 nodes, 5,000,000 edges, Zipf 1.0 on targets; with `quick` a tenth of it.
    pub fn b(quick: bool) -> Self {
        let nodes = if quick { 100_000 } else { 1_000_000 };
        Self::zipf("b", nodes, nodes as usize * 5)
    }

    /// The same with every edge the other way round.
    pub fn reversed(&self) -> Self {
        let turned = |edge: &Edge| Edge { src: edge.dst, dst: edge.src, ..*edge };
        Self { name: self.name, nodes: self.nodes, edges: self.edges.iter().map(turned).collect() }
    }

    /// Both ends uniform.
    pub fn uniform(name: &'static str, nodes: u32, edges: usize) -> Self {
        Self::generate(name, nodes, edges, |rng| rng.below(u64::from(nodes)) as u32 + 1)
    }

    /// Sources uniform, targets Zipf with exponent 1, the popular ones spread over all ids.
    pub fn zipf(name: &'static str, nodes: u32, edges: usize) -> Self {
        let mut cumulative = Vec::with_capacity(nodes as usize);
        let mut sum = 0.0;
        for rank in 1..=nodes {
            sum += 1.0 / f64::from(rank);
            cumulative.push(sum);
        }
        let mut by_rank: Vec<u32> = (1..=nodes).collect();
        Rng::new(11).shuffle(&mut by_rank);
        Self::generate(name, nodes, edges, |rng| {
            let draw = rng.unit() * sum;
            by_rank[cumulative.partition_point(|&c| c <= draw).min(by_rank.len() - 1)]
        })
    }

    fn generate(name: &'static str, nodes: u32, wanted: usize, target: impl Fn(&mut Rng) -> u32) -> Self {
        let mut rng = Rng::new(7);
        let mut edges: Vec<Edge> = Vec::with_capacity(wanted + wanted / 8);
        while edges.len() < wanted {
            let missing = wanted - edges.len();
            for _ in 0..missing + missing / 16 {
                let src = rng.below(u64::from(nodes)) as u32 + 1;
                let ty = rng.below(TYPES.len() as u64) as u8;
                edges.push(Edge { src, ty, dst: target(&mut rng) });
            }
            edges.sort_unstable();
            edges.dedup();
        }
        rng.shuffle(&mut edges);
        edges.truncate(wanted);
        Self { name, nodes, edges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_edges_are_distinct_and_as_many_as_wanted() {
        for graph in [Graph::uniform("u", 50, 2_000), Graph::zipf("z", 1_000, 5_000)] {
            let wanted = graph.edges.len();
            let mut edges = graph.edges;
            edges.sort_unstable();
            edges.dedup();
            assert_eq!(edges.len(), wanted);
            assert!(edges.iter().all(|e| (1..=graph.nodes).contains(&e.src) && (1..=graph.nodes).contains(&e.dst)));
        }
    }

    #[test]
    fn zipf_has_hubs() {
        let graph = Graph::zipf("z", 1_000, 5_000);
        let mut degree = vec![0u32; 1_001];
        graph.edges.iter().for_each(|e| degree[e.dst as usize] += 1);
        assert!(degree.iter().max() > Some(&200), "the first rank takes about an eighth");
    }
}
