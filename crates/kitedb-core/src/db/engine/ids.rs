//! Ids that are given out: of nodes and of indexes, and ranks of parallel edges. Each is above every one that was committed
//! or given out before, until a caller chose the greatest one that there is.

use crate::{
    graph::{IndexId, MAX_NODE_ID, MAX_RANK, NodeId},
    io::Host,
    store::Manifest,
};
use std::sync::{
    OnceLock,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

/// The next ids to give out: what a manifest keeps of an [`IdAllocator`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextIds {
    /// The next id of a node.
    pub node: u64,
    /// The next id of an index.
    pub index: u32,
    /// The next rank of a parallel edge.
    pub rank: u64,
}

impl NextIds {
    /// Those that a manifest keeps; the least id of each kind is 1.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            node: manifest.next_node_id.max(1),
            index: manifest.next_index_id.max(1),
            rank: manifest.next_rank.max(1),
        }
    }
}

/// See the [module documentation](self). Upholds I24 and I43.
#[derive(Debug)]
pub struct IdAllocator {
    next_node: AtomicU64,
    next_index: AtomicU32,
    next_rank: AtomicU64,
    /// See [`IdAllocator::spare_node`].
    spare_node: OnceLock<AtomicU64>,
}

impl IdAllocator {
    /// Goes on with `next`.
    pub fn new(next: NextIds) -> Self {
        Self {
            next_node: AtomicU64::new(next.node),
            next_index: AtomicU32::new(next.index),
            next_rank: AtomicU64::new(next.rank),
            spare_node: OnceLock::new(),
        }
    }

    /// Goes on with `next`, whatever was given out before: another graph takes the place of the one that had it.
    pub fn restart(&self, next: NextIds) {
        self.next_node.store(next.node, Ordering::Release);
        self.next_index.store(next.index, Ordering::Release);
        self.next_rank.store(next.rank, Ordering::Release);
    }

    /// The next ids to give out.
    pub fn next(&self) -> NextIds {
        NextIds {
            node: self.next_node.load(Ordering::Relaxed),
            index: self.next_index.load(Ordering::Relaxed),
            rank: self.next_rank.load(Ordering::Relaxed),
        }
    }

    /// A node id above every one that was given out; `None` once the greatest there is was.
    #[inline]
    pub fn next_node(&self) -> Option<NodeId> {
        let id = self.next_node.fetch_add(1, Ordering::Relaxed);
        if id > MAX_NODE_ID {
            self.next_node.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(NodeId(id))
    }

    /// An index id above every one that was given out.
    pub fn next_index(&self) -> IndexId {
        IndexId(self.next_index.fetch_add(1, Ordering::Relaxed))
    }

    /// A rank above every one that was given out; `None` once the greatest there is was.
    #[inline]
    pub fn next_rank(&self) -> Option<u64> {
        let rank = self.next_rank.fetch_add(1, Ordering::Relaxed);
        if rank > MAX_RANK {
            self.next_rank.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(rank)
    }

    /// A node id that may be in use, though hardly is: where automatic ids go on once a caller chose the greatest one. They
    /// begin anywhere in the lower half, anew with each open.
    #[cold]
    pub fn spare_node(&self, host: &dyn Host) -> NodeId {
        let begin = || AtomicU64::new(random_up_to(host, MAX_NODE_ID / 2));
        NodeId(self.spare_node.get_or_init(begin).fetch_add(1, Ordering::Relaxed))
    }

    /// A rank that may be in use, though hardly is: where automatic ones go on once a caller chose the greatest one.
    #[cold]
    pub fn spare_rank(&self, host: &dyn Host) -> u64 {
        random_up_to(host, MAX_RANK / 2)
    }

    /// No node id up to `used` is given out from now on.
    #[inline]
    pub fn skip_nodes(&self, used: NodeId) {
        self.next_node.fetch_max(used.0.saturating_add(1), Ordering::Relaxed);
    }

    /// No index id up to `used` is given out from now on.
    #[inline]
    pub fn skip_indexes(&self, used: IndexId) {
        self.next_index.fetch_max(used.0.saturating_add(1), Ordering::Relaxed);
    }

    /// No rank up to `used` is given out from now on. Rank 0 never is.
    #[inline]
    pub fn skip_ranks(&self, used: u64) {
        if used > 0 {
            self.next_rank.fetch_max(used.saturating_add(1), Ordering::Relaxed);
        }
    }
}

/// Any number from 1 to `most`.
fn random_up_to(host: &dyn Host, most: u64) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = host.random();
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) % most + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::SimHost;

    fn first() -> IdAllocator {
        IdAllocator::new(NextIds { node: 1, index: 1, rank: 1 })
    }

    #[test]
    fn what_was_used_is_not_given_out() {
        let ids = first();
        assert_eq!((ids.next_node(), ids.next_index(), ids.next_rank()), (Some(NodeId(1)), IndexId(1), Some(1)));
        ids.skip_nodes(NodeId(7));
        ids.skip_indexes(IndexId(8));
        ids.skip_ranks(9);
        // What is lower, and the rank that every first edge has, take nothing back.
        ids.skip_nodes(NodeId(2));
        ids.skip_indexes(IndexId(0));
        ids.skip_ranks(0);
        assert_eq!(ids.next(), NextIds { node: 8, index: 9, rank: 10 });
        assert_eq!((ids.next_node(), ids.next_index(), ids.next_rank()), (Some(NodeId(8)), IndexId(9), Some(10)));
        ids.restart(NextIds { node: 3, index: 3, rank: 3 });
        assert_eq!(ids.next(), NextIds { node: 3, index: 3, rank: 3 });
    }

    #[test]
    fn after_the_greatest_there_is_ids_come_from_the_lower_half() {
        let (ids, host) = (first(), SimHost::new(1));
        ids.skip_nodes(NodeId(MAX_NODE_ID - 1));
        ids.skip_ranks(MAX_RANK - 1);
        assert_eq!((ids.next_node(), ids.next_rank()), (Some(NodeId(MAX_NODE_ID)), Some(MAX_RANK)));
        for _ in 0..3 {
            assert_eq!((ids.next_node(), ids.next_rank()), (None, None));
        }
        let node = ids.spare_node(&host);
        assert!((1..=MAX_NODE_ID / 2).contains(&node.0), "{node}");
        assert_eq!(ids.spare_node(&host), NodeId(node.0 + 1));
        assert!((1..=MAX_RANK / 2).contains(&ids.spare_rank(&host)));
    }
}
