//! Questions of several hops, against answers that are worked out as plainly as can be, on random graphs with parallel edges and loops.

use crate::support_process::Random;
use kitedb_core::{
    AllTypes, Database, EdgeKey, ErrorCode, GraphRead, NewNode, NodeId, OpenOptions, ValueRef, View, Watch,
    query::{
        LightestPaths, Limits, Path, Projection, Reach, ShortestPaths, Steps, Unique, Walks, Way, Weight,
        lightest_path, lightest_path_by_estimate, shortest_path,
    },
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const TYPES: [&str; 3] = ["A", "B", "C"];

/// An edge: where it begins, its type, where it ends, its rank, its weight.
type Edge = (u64, usize, u64, u64, i64);

/// A path: its edges without their weights, its nodes.
type Told = (Vec<(u64, usize, u64, u64)>, Vec<u64>);

/// A database, and the same graph as lists.
struct Plain {
    db: Database,
    nodes: Vec<u64>,
    edges: Vec<Edge>,
    /// What a test of nodes looks at.
    odd: BTreeSet<u64>,
}

impl Plain {
    fn random(random: &mut Random) -> Self {
        let db = Database::in_memory().unwrap();
        let count = 1 + random.below(12);
        let ids: Vec<u64> = match random.below(4) {
            // Far apart, on pages of their own.
            0 => (0..count).map(|n| 1 + n * 700 + random.below(600)).collect(),
            1 => (0..count).map(|n| i64::MAX as u64 - n * 3).collect(),
            _ => (1..=count).collect(),
        };
        let mut plain = Self { db, nodes: ids.clone(), edges: Vec::new(), odd: BTreeSet::new() };
        plain.nodes.sort_unstable();
        let mut tx = plain.db.begin().unwrap();
        for id in &ids {
            tx.create_node_with(NewNode::new().id(NodeId(*id))).unwrap();
            if random.below(4) == 0 {
                plain.odd.insert(*id);
                tx.set_node_prop(NodeId(*id), "odd", true).unwrap();
            }
        }
        for _ in 0..random.below(3 * count) {
            let pick = |random: &mut Random| ids[random.below(count) as usize];
            let (src, ty, dst) = (pick(random), random.below(3) as usize, pick(random));
            let weight = random.below(6) as i64;
            let key = tx.add_parallel_edge(NodeId(src), TYPES[ty], NodeId(dst), &[]).unwrap();
            tx.set_edge_prop_by_key(key, "w", weight).unwrap();
            plain.edges.push((src, ty, dst, key.rank, weight));
        }
        tx.commit().unwrap();
        plain
    }

    /// The steps from a node: the edge, and where it leads.
    fn steps(&self, from: u64, along: &Along) -> Vec<(Edge, u64)> {
        let mut found = Vec::new();
        for edge in &self.edges {
            let (src, ty, dst, _, weight) = *edge;
            if along.types.as_ref().is_some_and(|types| !types.contains(&ty)) || along.heavy && weight < 2 {
                continue;
            }
            if along.way != Way::In && src == from {
                found.push((*edge, dst));
            }
            if along.way != Way::Out && dst == from && !(along.way == Way::Both && src == dst) {
                found.push((*edge, src));
            }
        }
        found.retain(|(_, other)| !along.even || !self.odd.contains(other));
        found
    }

    /// How far each node is from one.
    fn depths(&self, from: u64, along: &Along) -> BTreeMap<u64, u32> {
        let (mut depths, mut due) = (BTreeMap::from([(from, 0)]), VecDeque::from([from]));
        while let Some(node) = due.pop_front() {
            let depth = depths[&node] + 1;
            for (_, other) in self.steps(node, along) {
                depths.entry(other).or_insert_with(|| {
                    due.push_back(other);
                    depth
                });
            }
        }
        depths
    }

    /// Every path from a node of at most so many steps, as its edges and nodes.
    fn paths(&self, from: u64, most: usize, unique: Unique, along: &Along) -> Vec<(Vec<Edge>, Vec<u64>)> {
        let mut all = vec![(Vec::new(), vec![from])];
        let mut last = all.clone();
        for _ in 0..most {
            let mut next = Vec::new();
            for (edges, nodes) in &last {
                for (edge, other) in self.steps(nodes[nodes.len() - 1], along) {
                    let again = match unique {
                        Unique::Nodes => nodes.contains(&other),
                        Unique::Edges => edges.contains(&edge),
                        Unique::Nothing => false,
                    };
                    if !again {
                        let mut longer: (Vec<Edge>, Vec<u64>) = (edges.clone(), nodes.clone());
                        longer.0.push(edge);
                        longer.1.push(other);
                        next.push(longer);
                    }
                }
            }
            all.extend(next.clone());
            last = next;
        }
        all
    }
}

/// What is followed, for both.
#[derive(Debug, Clone)]
struct Along {
    way: Way,
    types: Option<BTreeSet<usize>>,
    /// Only edges that weigh 2 at least.
    heavy: bool,
    /// Only nodes that are not odd.
    even: bool,
}

impl Along {
    fn random(random: &mut Random) -> Self {
        let way = [Way::Out, Way::In, Way::Both][random.below(3) as usize];
        let types = (random.below(2) == 0).then(|| (0..3).filter(|_| random.below(2) == 0).collect());
        Self { way, types, heavy: random.below(3) == 0, even: random.below(3) == 0 }
    }

    fn steps(&self) -> Steps<'static> {
        let mut steps = Steps::new(self.way);
        if let Some(types) = &self.types {
            // None of them: a type that nobody uses.
            steps = steps.of_type("nobody's");
            for ty in types {
                steps = steps.of_type(TYPES[*ty]);
            }
        }
        if self.heavy {
            steps = steps.edges(|edge| Ok(matches!(edge.prop("w")?, Some(ValueRef::I64(2..)))));
        }
        if self.even {
            steps = steps.nodes(|node| Ok(node.prop("odd")?.is_none()));
        }
        steps
    }
}

fn all<T>(found: impl Iterator<Item = kitedb_core::Result<T>>) -> Vec<T> {
    found.collect::<Result<_, _>>().unwrap()
}

fn told(view: &View, path: &Path) -> Told {
    let ty = |edge: &EdgeKey| TYPES.iter().position(|ty| view.etype_id(ty) == Some(edge.ty)).unwrap();
    let edges = path.edges().iter().map(|edge| (edge.src.0, ty(edge), edge.dst.0, edge.rank));
    (edges.collect(), path.nodes().iter().map(|node| node.0).collect())
}

fn plainly((edges, nodes): &(Vec<Edge>, Vec<u64>)) -> Told {
    (edges.iter().map(|(src, ty, dst, rank, _)| (*src, *ty, *dst, *rank)).collect(), nodes.clone())
}

/// For each of many random graphs and ways to go.
fn for_each_graph(mut check: impl FnMut(&Plain, &Along, &mut Random)) {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let (plain, along) = (Plain::random(&mut random), Along::random(&mut random));
        println!("seed {seed}: {along:?}, {:?}, {:?}", plain.nodes, plain.edges);
        check(&plain, &along, &mut random);
    }
}

#[test]
fn what_is_reached_is_what_a_plain_search_reaches_nearest_first() {
    for_each_graph(|plain, along, random| {
        let view = plain.db.snapshot().unwrap();
        let starts: Vec<u64> = plain.nodes.iter().copied().filter(|_| random.below(3) == 0).collect();
        let most = random.below(5) as u32;
        let mut expected: BTreeMap<u64, u32> = BTreeMap::new();
        for start in &starts {
            for (node, depth) in plain.depths(*start, along) {
                let known = expected.entry(node).or_insert(depth);
                *known = depth.min(*known);
            }
        }
        expected.retain(|_, depth| *depth <= most);
        let ids = starts.iter().map(|id| NodeId(*id));
        let found = all(Reach::from(&view, ids, &along.steps(), &Limits::new()).unwrap().depth(most));
        assert!(found.is_sorted_by_key(|found| found.depth));
        let count = found.len();
        let found: BTreeMap<u64, u32> = found.into_iter().map(|found| (found.node.0, found.depth)).collect();
        assert_eq!(found.len(), count, "each once");
        assert_eq!(found, expected);
    });
}

#[test]
fn walks_trails_and_simple_paths_are_those_of_a_plain_enumeration() {
    for_each_graph(|plain, along, random| {
        let view = plain.db.snapshot().unwrap();
        let start = plain.nodes[random.below(plain.nodes.len() as u64) as usize];
        let (least, more) = (random.below(3) as usize, random.below(3) as usize);
        for unique in [Unique::Nodes, Unique::Edges, Unique::Nothing] {
            let walks = Walks::from(&view, [NodeId(start)], least..=least + more, &along.steps(), &Limits::new());
            let mut found: Vec<_> = all(walks.unwrap().unique(unique)).iter().map(|path| told(&view, path)).collect();
            let paths = plain.paths(start, least + more, unique, along);
            let mut expected: Vec<_> = paths.iter().map(plainly).filter(|(edges, _)| edges.len() >= least).collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{unique:?}");
        }
    });
}

#[test]
fn shortest_paths_are_the_shortest_of_all_paths_and_all_of_them_are_found() {
    for_each_graph(|plain, along, random| {
        let view = plain.db.snapshot().unwrap();
        let pick = |random: &mut Random| plain.nodes[random.below(plain.nodes.len() as u64) as usize];
        let (from, to) = (pick(random), pick(random));
        let depth = plain.depths(from, along).get(&to).copied();
        let steps = along.steps();
        let one = shortest_path(&view, NodeId(from), NodeId(to), &steps, &Limits::new()).unwrap();
        assert_eq!(one.as_ref().map(|path| path.hops() as u32), depth);
        let paths = ShortestPaths::between(&view, NodeId(from), NodeId(to), &steps, &Limits::new()).unwrap();
        let mut found: Vec<_> = all(paths).iter().map(|path| told(&view, path)).collect();
        let mut expected: Vec<_> = match depth {
            // Without a repeated node, as a shortest path is.
            Some(depth) => plain.paths(from, depth as usize, Unique::Nodes, along),
            None => Vec::new(),
        };
        expected.retain(|(edges, nodes)| Some(edges.len() as u32) == depth && nodes.last() == Some(&to));
        let mut expected: Vec<_> = expected.iter().map(plainly).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert!(one.is_none_or(|one| expected.contains(&told(&view, &one))));
    });
}

#[test]
fn lightest_paths_are_the_lightest_of_all_simple_paths_in_order() {
    for_each_graph(|plain, along, random| {
        let view = plain.db.snapshot().unwrap();
        let pick = |random: &mut Random| plain.nodes[random.below(plain.nodes.len() as u64) as usize];
        let (from, to, steps) = (pick(random), pick(random), along.steps());
        let sum = |edges: &[Edge]| edges.iter().map(|edge| edge.4).sum::<i64>() as f64;
        let mut expected: Vec<(f64, _)> = plain
            .paths(from, plain.nodes.len(), Unique::Nodes, along)
            .iter()
            .filter(|(_, nodes)| nodes.last() == Some(&to))
            .map(|path| (sum(&path.0), plainly(path)))
            .collect();
        let weights = |all: &[(f64, _)]| {
            let mut weights: Vec<f64> = all.iter().map(|(weight, _)| *weight).collect();
            weights.sort_by(f64::total_cmp);
            weights
        };
        let weight = Weight::property("w");
        let lightest = lightest_path(&view, NodeId(from), [NodeId(to)], &steps, &weight, &Limits::new()).unwrap();
        assert_eq!(lightest.as_ref().map(Path::weight), weights(&expected).first().copied());
        // What is left of each node at least: half of what it is.
        let left = |node: NodeId| {
            let path =
                lightest_path(&view, node, [NodeId(to)], &along.steps(), &Weight::property("w"), &Limits::new())?;
            Ok(path.map_or(f64::INFINITY, |path| path.weight() / 2.0))
        };
        let by_estimate =
            lightest_path_by_estimate(&view, NodeId(from), [NodeId(to)], &steps, &weight, left, &Limits::new());
        assert_eq!(by_estimate.unwrap().map(|path| path.weight()), lightest.map(|path| path.weight()));
        let most = 40;
        let paths = LightestPaths::between(&view, NodeId(from), NodeId(to), &steps, &weight, &Limits::new()).unwrap();
        let found: Vec<_> = all(paths.take(most)).iter().map(|path| (path.weight(), told(&view, path))).collect();
        assert!(found.is_sorted_by(|a, b| a.0 <= b.0));
        assert_eq!(weights(&found), weights(&expected)[..expected.len().min(most)]);
        assert_eq!(found.iter().map(|(_, path)| path).collect::<BTreeSet<_>>().len(), found.len(), "each once");
        expected.retain(|path| found.contains(path));
        assert_eq!(expected.len(), found.len(), "each is one");
        // The nearest of several.
        let ends: Vec<u64> = (0..3).map(|_| pick(random)).collect();
        let any =
            lightest_path(&view, NodeId(from), ends.iter().map(|id| NodeId(*id)), &steps, &weight, &Limits::new());
        let each = ends.iter().filter_map(|end| {
            lightest_path(&view, NodeId(from), [NodeId(*end)], &steps, &weight, &Limits::new()).unwrap()
        });
        assert_eq!(any.unwrap().map(|path| path.weight()), each.map(|path| path.weight()).min_by(f64::total_cmp));
    });
}

#[test]
fn components_triangles_and_ranks_are_those_of_plain_definitions() {
    for_each_graph(|plain, along, _| {
        let view = plain.db.snapshot().unwrap();
        let limits = Limits::new();
        let graph = Projection::of(&view, &along.steps(), &limits).unwrap();
        let nodes: Vec<u64> = plain.nodes.iter().copied().filter(|id| !along.even || !plain.odd.contains(id)).collect();
        assert_eq!(graph.nodes().iter().map(|id| id.0).collect::<Vec<_>>(), nodes);
        let steps: Vec<(u64, u64)> =
            nodes.iter().flat_map(|from| plain.steps(*from, along).into_iter().map(|(_, to)| (*from, to))).collect();
        assert_eq!(graph.step_count(), steps.len());
        let reach = |from: u64, steps: &dyn Fn(u64) -> Vec<u64>| {
            let (mut met, mut due) = (BTreeSet::from([from]), vec![from]);
            while let Some(node) = due.pop() {
                due.extend(steps(node).into_iter().filter(|other| met.insert(*other)));
            }
            met
        };
        let forth = |node: u64| steps.iter().filter(|(from, _)| *from == node).map(|(_, to)| *to).collect::<Vec<_>>();
        let both = |node: u64| {
            let back = steps.iter().filter(|(_, to)| *to == node).map(|(from, _)| *from);
            forth(node).into_iter().chain(back).collect::<Vec<_>>()
        };
        let (weak, strong) = (graph.weak_components(&limits).unwrap(), graph.strong_components(&limits).unwrap());
        for one in &nodes {
            let (around, onward) = (reach(*one, &both), reach(*one, &forth));
            for other in &nodes {
                let same = |parts: &kitedb_core::query::Components| {
                    parts.component_of(NodeId(*one)) == parts.component_of(NodeId(*other))
                };
                assert_eq!(same(&weak), around.contains(other));
                assert_eq!(same(&strong), onward.contains(other) && reach(*other, &forth).contains(one));
            }
        }
        for parts in [&weak, &strong] {
            assert_eq!(parts.sizes().iter().sum::<usize>(), nodes.len());
            let first = parts.iter().map(|(_, number)| number);
            let mut known = 0;
            for number in first {
                assert!(number <= known, "numbered by their least node");
                known = known.max(number + 1);
            }
        }
        let joined: BTreeSet<(u64, u64)> =
            steps.iter().filter(|(a, b)| a != b).flat_map(|(a, b)| [(*a, *b), (*b, *a)]).collect();
        let mut triangles = 0;
        for (at, a) in nodes.iter().enumerate() {
            for (next, b) in nodes.iter().enumerate().skip(at + 1) {
                for c in &nodes[next + 1..] {
                    triangles += u64::from([(*a, *b), (*b, *c), (*a, *c)].iter().all(|pair| joined.contains(pair)));
                }
            }
        }
        assert_eq!(graph.triangles(&limits).unwrap(), triangles);
        let mut degrees = BTreeMap::new();
        for node in &nodes {
            *degrees.entry(forth(*node).len()).or_insert(0) += 1;
        }
        assert_eq!(graph.degree_distribution(), degrees);
        // By its definition, a hundred times.
        let count = nodes.len() as f64;
        let mut ranks: BTreeMap<u64, f64> = nodes.iter().map(|id| (*id, 1.0 / count)).collect();
        for _ in 0..100 {
            let loose: f64 = nodes.iter().filter(|id| forth(**id).is_empty()).map(|id| ranks[id]).sum();
            let mut next: BTreeMap<u64, f64> =
                nodes.iter().map(|id| (*id, (1.0 - 0.85 + 0.85 * loose) / count)).collect();
            for (from, to) in &steps {
                *next.get_mut(to).unwrap() += 0.85 * ranks[from] / forth(*from).len() as f64;
            }
            ranks = next;
        }
        let found = graph.page_rank(0.85, 100, 0.0, &limits).unwrap();
        for (node, rank) in found.iter() {
            assert!((rank - ranks[&node.0]).abs() < 1e-12, "{node}: {rank}, {}", ranks[&node.0]);
        }
    });
}

/// A graph that is large enough for several threads: the answers are those of one.
#[test]
fn several_threads_answer_what_one_does() {
    let db = Database::in_memory().unwrap();
    let mut random = Random::new(7);
    let count = 40_000;
    let mut tx = db.begin().unwrap();
    for _ in 0..count {
        tx.create_node(None).unwrap();
    }
    for _ in 0..count {
        let pick = |random: &mut Random| NodeId(1 + random.below(count as u64));
        tx.add_parallel_edge(pick(&mut random), "E", pick(&mut random), &[]).unwrap();
    }
    tx.commit().unwrap();
    let view = db.snapshot().unwrap();
    let [one, three] = [1, 3].map(|threads| Limits::new().threads(threads));
    let [alone, together] = [&one, &three].map(|limits| Projection::of(&view, &Steps::out(), limits).unwrap());
    assert_eq!((alone.nodes(), alone.step_count()), (together.nodes(), together.step_count()));
    assert_eq!(alone.weak_components(&one).unwrap(), together.weak_components(&three).unwrap());
    assert_eq!(alone.triangles(&one).unwrap(), together.triangles(&three).unwrap());
    let [a, b] =
        [(&alone, &one), (&together, &three)].map(|(graph, limits)| graph.page_rank(0.85, 20, 0.0, limits).unwrap());
    assert!(a.iter().zip(b.iter()).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-12));
}

/// A ring with a chord from each node to every other one.
fn crowd(nodes: u64) -> Database {
    let db = Database::in_memory().unwrap();
    let mut tx = db.begin().unwrap();
    for _ in 0..nodes {
        tx.create_node(None).unwrap();
    }
    for from in 1..=nodes {
        for to in (1..=nodes).filter(|to| *to != from) {
            tx.add_edge(NodeId(from), "E", NodeId(to)).unwrap();
        }
    }
    tx.commit().unwrap();
    db
}

/// What an iterator fails with, and ends.
fn failure_of<T>(mut found: impl Iterator<Item = kitedb_core::Result<T>>) -> ErrorCode {
    let failed = found.find_map(Result::err).unwrap();
    assert!(found.next().is_none(), "an iterator ends with its error");
    failed.code()
}

#[test]
fn limits_end_a_question_with_an_error_that_says_which() {
    let db = crowd(40);
    let view = db.snapshot().unwrap();
    let code = |limits: &Limits| -> Vec<ErrorCode> {
        let steps = Steps::out();
        let (one, two) = (NodeId(1), NodeId(2));
        let walks =
            Walks::from(&view, [one], 0..=39, &steps, limits).map(|walks| failure_of(walks.unique(Unique::Nodes)));
        let paths = LightestPaths::between(&view, one, two, &steps, &Weight::Hops, limits).map(failure_of);
        [walks, paths].map(|found| found.unwrap_or_else(|e| e.code())).into()
    };
    assert_eq!(code(&Limits::new().time_ms(20)), [ErrorCode::TimeLimit; 2]);
    assert_eq!(code(&Limits::new().memory_bytes(20_000)), [ErrorCode::MemoryLimit; 2]);
    let watch = Watch::silent();
    watch.cancel();
    assert_eq!(code(&Limits::new().watched_by(&watch)), [ErrorCode::Cancelled; 2]);
    let small = Limits::new().memory_bytes(400);
    let steps = Steps::both();
    let codes = [
        Reach::from(&view, [NodeId(1)], &steps, &small)
            .and_then(|reach| reach.collect::<Result<Vec<_>, _>>())
            .map(drop),
        shortest_path(&view, NodeId(1), NodeId(2), &steps, &small).map(drop),
        lightest_path(&view, NodeId(1), [NodeId(2)], &steps, &Weight::Hops, &small).map(drop),
        Projection::of(&view, &steps, &small).map(drop),
    ];
    assert_eq!(codes.map(|found| found.unwrap_err().code()), [ErrorCode::MemoryLimit; 4]);
}

#[test]
fn what_cannot_be_asked_is_an_error_that_says_why() {
    let db = crowd(3);
    let mut tx = db.begin().unwrap();
    tx.set_edge_prop(NodeId(1), "E", NodeId(2), "w", -1).unwrap();
    tx.set_edge_prop(NodeId(1), "E", NodeId(3), "w", "far").unwrap();
    // A transaction is asked, too, and sees what it wrote.
    let none = NodeId(9);
    let (steps, limits) = (Steps::out(), Limits::new());
    for found in [
        Reach::from(&tx, [none], &steps, &limits).map(drop),
        Walks::from(&tx, [none], 1..=2, &steps, &limits).map(drop),
        shortest_path(&tx, NodeId(1), none, &steps, &limits).map(drop),
        ShortestPaths::between(&tx, none, NodeId(1), &steps, &limits).map(drop),
        lightest_path(&tx, NodeId(1), [none], &steps, &Weight::Hops, &limits).map(drop),
        LightestPaths::between(&tx, NodeId(1), none, &steps, &Weight::Hops, &limits).map(drop),
    ] {
        let error = found.unwrap_err();
        assert_eq!((error.code(), error.key()), (ErrorCode::NodeNotFound, Some("9")));
    }
    #[allow(clippy::reversed_empty_ranges)]
    let nothing = Walks::from(&tx, [NodeId(1)], 3..=2, &steps, &limits).unwrap_err();
    assert_eq!(nothing.code(), ErrorCode::InvalidArgument);
    let weighed = |steps: &Steps<'_>, weight: &Weight<'_>| {
        let found = lightest_path(&tx, NodeId(1), [NodeId(3)], steps, weight, &limits);
        found.unwrap_err().to_string()
    };
    let property = Weight::property("w");
    let negative = weighed(&steps.clone().edges(|edge| Ok(edge.dst() != NodeId(3))), &property);
    assert!(negative.contains("from node 1 to node 2 is -1"), "{negative}");
    let text = weighed(&steps.clone().edges(|edge| Ok(edge.dst() != NodeId(2))), &property);
    assert!(text.contains("'w'") && text.contains("is no number"), "{text}");
    let absent = weighed(&steps, &Weight::property("km"));
    assert!(absent.contains("'km'") && absent.contains("is not there"), "{absent}");
    let nan = weighed(&steps, &Weight::function(|_| Ok(f64::NAN)));
    assert!(nan.contains("NaN"), "{nan}");
    // What is missing may be said.
    let said = Weight::Property { name: "km".to_owned(), missing: Some(2.5) };
    assert_eq!(lightest_path(&tx, NodeId(1), [NodeId(3)], &steps, &said, &limits).unwrap().unwrap().weight(), 2.5);
    let graph = Projection::of(&tx, &steps, &limits).unwrap();
    for (damping, tolerance) in [(1.5, 0.0), (f64::NAN, 0.0), (0.85, -1.0), (0.85, f64::NAN)] {
        assert_eq!(graph.page_rank(damping, 1, tolerance, &limits).unwrap_err().code(), ErrorCode::InvalidArgument);
    }
    // What a test fails with comes out.
    let failing = Steps::out().nodes(|_| Err(kitedb_core::Error::new(ErrorCode::Closed, "so")));
    let failed = shortest_path(&tx, NodeId(1), NodeId(3), &failing, &limits).unwrap_err();
    assert_eq!(failed.code(), ErrorCode::Closed);
}

/// Depth costs no stack.
#[test]
fn a_path_of_a_hundred_thousand_steps_is_found() {
    let db = Database::in_memory().unwrap();
    let count = 100_000;
    let mut tx = db.begin().unwrap();
    for _ in 0..count {
        tx.create_node(None).unwrap();
    }
    for id in 1..count as u64 {
        tx.add_edge(NodeId(id), "E", NodeId(id + 1)).unwrap();
    }
    tx.commit().unwrap();
    let view = db.snapshot().unwrap();
    let (steps, limits, ends) = (Steps::out(), Limits::new(), (NodeId(1), NodeId(count as u64)));
    assert_eq!(shortest_path(&view, ends.0, ends.1, &steps, &limits).unwrap().unwrap().hops(), count - 1);
    let light = lightest_path(&view, ends.0, [ends.1], &steps, &Weight::Hops, &limits).unwrap().unwrap();
    assert_eq!((light.hops(), light.start(), light.end()), (count - 1, ends.0, ends.1));
    assert_eq!(all(ShortestPaths::between(&view, ends.0, ends.1, &steps, &limits).unwrap()).len(), 1);
    assert_eq!(all(Reach::from(&view, [ends.0], &steps, &limits).unwrap()).len(), count);
    let longest = all(Walks::from(&view, [ends.0], count - 1..=count - 1, &steps, &limits).unwrap());
    assert_eq!(longest.len(), 1);
    let graph = Projection::of(&view, &steps, &limits).unwrap();
    assert_eq!(graph.strong_components(&limits).unwrap().count(), count);
    assert_eq!(graph.weak_components(&limits).unwrap().count(), 1);
    assert_eq!(view.out_degree(ends.0, AllTypes).unwrap(), 1);
}

/// The files of a database on disk, compacted, answer as the memory does.
#[test]
fn a_file_answers_as_memory_does() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path().join("d.kitedb"), OpenOptions::new()).unwrap();
    let mut random = Random::new(3);
    let mut tx = db.begin().unwrap();
    for _ in 0..500 {
        tx.create_node(None).unwrap();
    }
    for _ in 0..2_000 {
        let pick = |random: &mut Random| NodeId(1 + random.below(500));
        let (from, ty, to) = (pick(&mut random), TYPES[random.below(3) as usize], pick(&mut random));
        tx.add_parallel_edge(from, ty, to, &[]).unwrap();
    }
    tx.commit().unwrap();
    let ask = || {
        let view = db.snapshot().unwrap();
        let steps = Steps::both().of_type("A").of_type("B");
        let reached = all(Reach::from(&view, [NodeId(1)], &steps, &Limits::new()).unwrap().depth(3));
        let mut reached: Vec<_> = reached.into_iter().map(|found| (found.depth, found.node)).collect();
        reached.sort();
        let hops = (2..100).map(|to| {
            let path = shortest_path(&view, NodeId(1), NodeId(to), &steps, &Limits::new()).unwrap();
            path.map(|path| path.hops())
        });
        (reached, hops.collect::<Vec<_>>())
    };
    let before = ask();
    db.compact().unwrap();
    assert_eq!(ask(), before);
}
