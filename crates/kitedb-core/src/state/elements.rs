//! The slots of a delta's nodes and edges: records of words that fill one cache line each.

use super::versions::Head;
use crate::graph::{Direction, EdgeKey, EdgeTypeId, NodeId};
use std::sync::atomic::{AtomicU64, Ordering};

/// Words of a slot: one cache line.
pub const WORDS: usize = 8;

/// A node that a delta touched.
///
/// Words: id; live since (see [`NodeSlot::live_since`]); guard (the last commit that relied on the node being
/// there); head of its record's versions; first touched outgoing edge plus one; first incoming one; first vector
/// plus one; bits: 0 and 1 = outgoing and incoming edges below this delta may be hidden, 2 = there below this delta, 3 and
/// 4 = an order of its outgoing and incoming edges is kept, and in the high half the number of its first record plus one.
#[derive(Debug, Clone, Copy)]
pub struct NodeSlot<'a>(pub &'a [AtomicU64; WORDS]);

impl<'a> NodeSlot<'a> {
    /// No record was written in this delta.
    pub const UNWRITTEN: u64 = u64::MAX;

    /// The words of a slot for a node that was not touched yet.
    pub fn fresh(id: NodeId) -> [u64; WORDS] {
        [id.0, Self::UNWRITTEN, 0, 0, 0, 0, 0, 0]
    }

    /// The node.
    #[inline]
    pub fn id(self) -> u64 {
        self.0[0].load(Ordering::Relaxed)
    }

    /// The commit that wrote the node's first record in this delta, or [`NodeSlot::UNWRITTEN`]; 0 once the node
    /// was deleted in this delta. Answers most questions after its existence.
    #[inline]
    pub fn live_since(self) -> &'a AtomicU64 {
        &self.0[1]
    }

    /// The last commit that relied on the node being there.
    pub fn guard(self) -> &'a AtomicU64 {
        &self.0[2]
    }

    /// The versions of its record.
    #[inline]
    pub fn record(self) -> Head<'a> {
        Head(&self.0[3])
    }

    /// The number, plus one, of the first of its touched edges.
    #[inline]
    pub fn first_edge(self, direction: Direction) -> &'a AtomicU64 {
        match direction {
            Direction::Out => &self.0[4],
            Direction::In => &self.0[5],
        }
    }

    /// The number, plus one, of the first of its vectors.
    pub fn first_vector(self) -> &'a AtomicU64 {
        &self.0[6]
    }

    /// Whether edges of it below this delta may be hidden.
    #[inline]
    pub fn hides(self, direction: Direction) -> bool {
        self.0[7].load(Ordering::Acquire) >> (direction as u64) & 1 != 0
    }

    /// Notes that an edge of it below this delta is hidden.
    pub fn set_hides(self, direction: Direction) {
        self.0[7].fetch_or(1 << (direction as u64), Ordering::AcqRel);
    }

    /// Whether it is there below this delta; known once its record was written.
    pub fn below(self) -> bool {
        self.0[7].load(Ordering::Relaxed) & 4 != 0
    }

    /// Whether an order of its touched edges is kept.
    pub fn is_ordered(self, direction: Direction) -> bool {
        self.0[7].load(Ordering::Relaxed) >> (3 + direction as u64) & 1 != 0
    }

    /// Notes that an order of its touched edges is kept: what a reader does.
    pub fn set_ordered(self, direction: Direction) {
        self.0[7].fetch_or(8 << (direction as u64), Ordering::AcqRel);
    }

    /// The number of the first version of its record, plus one; 0 = none.
    pub fn first_record(self) -> u32 {
        (self.0[7].load(Ordering::Relaxed) >> 32) as u32
    }

    /// Notes the number of the first version of its record, plus one. Once, and only the writer, so that this need not
    /// wait for the line: if a reader notes at that moment that an order is kept, another one does so again.
    pub fn set_first_record(self, number: u32) {
        let word = self.0[7].load(Ordering::Relaxed);
        self.0[7].store(word | u64::from(number) << 32, Ordering::Release);
    }

    /// Notes that it is there below this delta.
    pub fn set_below(self) {
        self.0[7].fetch_or(4, Ordering::AcqRel);
    }
}

/// An edge that a delta touched, with its first version.
///
/// Words: source; destination; type, and in the high half the parallel edge of another rank than 0 that was touched
/// before, plus one; the commit of the first version; next touched outgoing edge of the source plus one, and in the high
/// half next incoming one of the destination; head of later versions; bits 0 and 1 = there in the first version, there
/// below this delta, and in the high half the number of its properties plus one; rank.
#[derive(Debug, Clone, Copy)]
pub struct EdgeSlot<'a>(pub &'a [AtomicU64; WORDS]);

/// What the first version of an edge's slot says beside its key: see [`EdgeSlot::fresh`].
#[derive(Debug, Clone, Copy)]
pub struct Touched {
    pub next: [u32; 2],
    pub parallel: u32,
    pub exists: bool,
    pub below: bool,
    pub props: u32,
}

impl<'a> EdgeSlot<'a> {
    /// The words of a slot. `next` are the edges touched before at either end, and `parallel` the one touched before
    /// among its parallels, plus one; `props` is the number of its properties plus one.
    pub fn fresh(edge: EdgeKey, version: u64, touched: Touched) -> [u64; WORDS] {
        let Touched { next, parallel, exists, below, props } = touched;
        let next = u64::from(next[0]) | u64::from(next[1]) << 32;
        let ty = u64::from(edge.ty.0) | u64::from(parallel) << 32;
        let bits = u64::from(exists) | u64::from(below) << 1 | u64::from(props) << 32;
        [edge.src.0, edge.dst.0, ty, version, next, 0, bits, edge.rank]
    }

    #[inline]
    fn word(self, at: usize) -> u64 {
        self.0[at].load(Ordering::Relaxed)
    }

    /// Which edge.
    #[inline]
    pub fn edge(self) -> EdgeKey {
        EdgeKey {
            src: NodeId(self.word(0)),
            ty: EdgeTypeId(self.word(2) as u32),
            dst: NodeId(self.word(1)),
            rank: self.word(7),
        }
    }

    /// The edge touched before this one among those of other ranks than 0 with the same ends and type, plus one.
    #[inline]
    pub fn next_parallel(self) -> u32 {
        (self.word(2) >> 32) as u32
    }

    /// The commit of the first version.
    #[inline]
    pub fn version(self) -> u64 {
        self.word(3)
    }

    /// The edge touched before this one at the same node, plus one.
    #[inline]
    pub fn next(self, direction: Direction) -> u32 {
        (self.word(4) >> (32 * direction as u64)) as u32
    }

    /// The later versions.
    #[inline]
    pub fn later(self) -> Head<'a> {
        Head(&self.0[5])
    }

    /// Whether the edge is there in its first version.
    #[inline]
    pub fn exists(self) -> bool {
        self.word(6) & 1 != 0
    }

    /// Whether it is there below this delta.
    #[inline]
    pub fn below(self) -> bool {
        self.word(6) & 2 != 0
    }

    /// The number, plus one, of the properties of its first version; 0 = none.
    #[inline]
    pub fn props(self) -> u32 {
        (self.word(6) >> 32) as u32
    }
}
