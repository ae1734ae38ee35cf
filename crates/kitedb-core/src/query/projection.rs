//! A part of the graph in memory, as compressed sparse rows, for questions that read all of it many times.

use super::{
    budget::{Budget, Limits},
    steps::Steps,
};
use crate::{
    db::{Graph, GraphRead},
    error::{Error, Result},
    graph::NodeId,
};
use std::{ops::Range, thread};

/// Nodes that a thread reads at least: for less it is not worth a thread.
const PIECE: usize = 1 << 14;

/// The nodes of a graph, or those that pass a test, and the steps between them: 4 bytes for each step, 16 for each node. What is asked of
/// it reads the graph no more, and does not see what is committed later.
///
/// ```
/// use kitedb_core::{Database, OpenOptions, query::{Limits, Projection, Steps}};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
/// # db.transaction(|tx| {
/// #     let all = [tx.create_node(Some("a"))?, tx.create_node(Some("b"))?, tx.create_node(Some("c"))?];
/// #     tx.add_edge(all[0], "KNOWS", all[1])
/// # })?;
/// let view = db.snapshot()?;
/// let graph = Projection::of(&view, &Steps::out(), &Limits::new())?;
/// let parts = graph.weak_components(&Limits::new())?;
/// assert_eq!(parts.count(), 2);
/// let ranks = graph.page_rank(0.85, 100, 1e-6, &Limits::new())?;
/// assert!((ranks.iter().map(|(_, rank)| rank).sum::<f64>() - 1.0).abs() < 1e-9);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Projection {
    /// Ascending.
    ids: Vec<NodeId>,
    /// Where the steps of each node begin, and where the last one's end.
    offsets: Vec<usize>,
    /// Where they lead: places in `ids`, ascending for each node.
    targets: Vec<u32>,
}

/// What a thread has read.
#[derive(Default)]
struct Piece {
    degrees: Vec<usize>,
    targets: Vec<u32>,
}

impl Projection {
    /// All nodes that pass the test of `steps`, and every step between two of them: parallel edges are as many steps.
    ///
    /// # Errors
    /// Those of [`Limits`]; [`ErrorCode::InvalidArgument`](crate::ErrorCode::InvalidArgument): there are more than 4 billion nodes.
    pub fn of(graph: &(impl Graph + ?Sized), steps: &Steps<'_>, limits: &Limits) -> Result<Self> {
        let (graph, mut budget) = (graph.as_graph(), Budget::of(limits)?);
        let walker = steps.within(graph);
        let mut ids = Vec::new();
        for node in graph.nodes() {
            let id = node?.id();
            budget.step(1)?;
            if walker.passes(id)? {
                budget.hold(size_of::<NodeId>() + size_of::<usize>())?;
                ids.push(id);
            }
        }
        if u32::try_from(ids.len()).is_err() {
            return Err(Error::invalid("a projection has at most 4,294,967,295 nodes: test them, to take fewer"));
        }
        let place = Places::among(&ids);
        let read = |nodes: Range<usize>| -> Result<Piece> {
            let (walker, mut budget, mut piece, mut around) =
                (steps.within(graph), budget.share(), Piece::default(), Vec::new());
            for &id in &ids[nodes] {
                around.clear();
                walker.neighbors(id, &mut around, &mut budget)?;
                let begin = piece.targets.len();
                piece.targets.extend(around.iter().filter_map(|other| place.of(*other, &ids)));
                piece.targets[begin..].sort_unstable();
                let degree = piece.targets.len() - begin;
                budget.hold(degree * size_of::<u32>())?;
                piece.degrees.push(degree);
            }
            Ok(piece)
        };
        let pieces = in_threads(ids.len(), limits.thread_count(), PIECE, read)?;
        let steps = pieces.iter().map(|piece| piece.targets.len()).sum::<usize>();
        budget.hold(steps * size_of::<u32>())?;
        let (mut offsets, mut targets, mut end) = (Vec::with_capacity(ids.len() + 1), Vec::with_capacity(steps), 0);
        offsets.push(0);
        for piece in pieces {
            for degree in piece.degrees {
                end += degree;
                offsets.push(end);
            }
            targets.extend(piece.targets);
        }
        Ok(Self { ids, offsets, targets })
    }

    /// Its nodes, ascending.
    pub fn nodes(&self) -> &[NodeId] {
        &self.ids
    }

    /// How many nodes it has.
    pub fn node_count(&self) -> usize {
        self.ids.len()
    }

    /// How many steps there are.
    pub fn step_count(&self) -> usize {
        self.targets.len()
    }

    /// How many nodes have how many steps from them, by that number.
    pub fn degree_distribution(&self) -> std::collections::BTreeMap<usize, usize> {
        let mut found = std::collections::BTreeMap::new();
        for pair in self.offsets.windows(2) {
            *found.entry(pair[1] - pair[0]).or_default() += 1;
        }
        found
    }

    /// The places where the steps of the node at that place lead.
    #[inline]
    pub(super) fn row(&self, at: usize) -> &[u32] {
        &self.targets[self.offsets[at]..self.offsets[at + 1]]
    }

    /// Where the step of each node ends to which steps lead, as rows.
    pub(super) fn reversed(&self, budget: &mut Budget) -> Result<Self> {
        budget.hold(self.offsets.len() * size_of::<usize>() + self.targets.len() * size_of::<u32>())?;
        let mut offsets = vec![0; self.offsets.len()];
        for &target in &self.targets {
            offsets[target as usize + 1] += 1;
        }
        for at in 1..offsets.len() {
            offsets[at] += offsets[at - 1];
        }
        let (mut next, mut targets) = (offsets.clone(), vec![0; self.targets.len()]);
        for at in 0..self.ids.len() {
            budget.step(self.row(at).len() + 1)?;
            for &target in self.row(at) {
                let place = &mut next[target as usize];
                targets[*place] = at as u32;
                *place += 1;
            }
        }
        Ok(Self { ids: Vec::new(), offsets, targets })
    }
}

/// Where an id is among ascending ones.
enum Places {
    /// They follow each other, from this one on.
    Dense(u64),
    Sparse,
}

impl Places {
    fn among(ids: &[NodeId]) -> Self {
        match (ids.first(), ids.last()) {
            (Some(first), Some(last)) if last.0 - first.0 == ids.len() as u64 - 1 => Self::Dense(first.0),
            _ => Self::Sparse,
        }
    }

    #[inline]
    fn of(&self, id: NodeId, ids: &[NodeId]) -> Option<u32> {
        match self {
            Self::Dense(first) => id.0.checked_sub(*first).filter(|at| *at < ids.len() as u64).map(|at| at as u32),
            Self::Sparse => ids.binary_search(&id).ok().map(|at| at as u32),
        }
    }
}

/// Does `work` for each stretch of `count` elements, in as many threads as are worth it and may be; what each gives, in order.
pub(super) fn in_threads<T: Send>(
    count: usize,
    threads: usize,
    least: usize,
    work: impl Fn(Range<usize>) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let threads = threads.min(count / least).max(1);
    let stretch = |n: usize| count * n / threads..count * (n + 1) / threads;
    let work = &work;
    if threads == 1 {
        return Ok(vec![work(0..count)?]);
    }
    thread::scope(|scope| {
        let others: Vec<_> =
            (1..threads).map(|n| (n, thread::Builder::new().spawn_scoped(scope, move || work(stretch(n))))).collect();
        let first = work(stretch(0));
        let mut all = vec![first];
        for (n, other) in others {
            all.push(match other {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // There is no thread for it: it is done here.
                Err(_) => work(stretch(n)),
            });
        }
        all.into_iter().collect()
    })
}
