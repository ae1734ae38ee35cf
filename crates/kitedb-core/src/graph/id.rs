//! Numbers that name things, one type each so that none is taken for another.

use crate::error::{Error, Result};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

id! {
    /// A node: from 1, never given out twice.
    NodeId(u64)
}
id! {
    /// A label's number, from 1.
    LabelId(u32)
}
id! {
    /// An edge type's number, from 1.
    EdgeTypeId(u32)
}
id! {
    /// A property key's number, from 1.
    PropKeyId(u32)
}
id! {
    /// The place of a frame in the log: dense, from 1. 0 stands for "before the first frame". Reports (statuses, metrics,
    /// promotions) give the bare number, which they are there to show.
    LogIndex(u64)
}
id! {
    /// A leadership epoch, from 1. Reports give the bare number, as they do of a [`LogIndex`].
    Epoch(u64)
}

/// The largest id that a caller may choose for a node: what fits a signed 64-bit integer.
pub const MAX_NODE_ID: u64 = i64::MAX as u64;

/// The largest rank that an edge can have: what fits a signed 64-bit integer.
pub const MAX_RANK: u64 = i64::MAX as u64;

/// What names a directed edge: at most one has these four. Between two nodes there may be several of one type, parallel
/// edges, each of a rank of its own. These four are all, for good: no field will be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeKey {
    /// Where it starts.
    pub src: NodeId,
    /// Its type.
    pub ty: EdgeTypeId,
    /// Where it ends.
    pub dst: NodeId,
    /// Which of the parallel edges: 0 is the one that adding an edge by its ends and its type makes, each other rank was
    /// given out once.
    pub rank: u64,
}

/// Which end of its edges a node is. There will be no third one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The node is the source.
    Out,
    /// The node is the destination.
    In,
}

impl EdgeKey {
    /// The edge of rank 0 from `src` to `dst`.
    #[inline]
    pub fn new(src: NodeId, ty: EdgeTypeId, dst: NodeId) -> Self {
        Self { src, ty, dst, rank: 0 }
    }

    /// The parallel edge of `rank`.
    #[inline]
    pub fn with_rank(self, rank: u64) -> Self {
        Self { rank, ..self }
    }

    /// The edge at `node`, seen from `direction`: its type, its other end, its rank.
    #[inline]
    pub fn seen_from(node: NodeId, direction: Direction, ty: EdgeTypeId, other: NodeId, rank: u64) -> Self {
        match direction {
            Direction::Out => Self { src: node, ty, dst: other, rank },
            Direction::In => Self { src: other, ty, dst: node, rank },
        }
    }

    /// The end at which `direction` looks from, and the other one.
    #[inline]
    pub fn ends(self, direction: Direction) -> (NodeId, NodeId) {
        match direction {
            Direction::Out => (self.src, self.dst),
            Direction::In => (self.dst, self.src),
        }
    }
}

/// Reads a part of a token or a cursor: one or more ASCII digits that fit 64 bits.
pub(crate) fn number(text: &str, what: &str) -> Result<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::invalid(format_args!("invalid {what} '{text}': give decimal digits")));
    }
    text.parse().map_err(|_| Error::invalid(format_args!("{what} overflow: '{text}' does not fit 64 bits")))
}
