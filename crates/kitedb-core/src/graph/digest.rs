//! The state digest: 128 bits that two databases share exactly when they hold the same graph.
//!
//! Each record (a name, a node with key, labels and properties, an edge with properties, a vector, an index's
//! definition) is hashed
//! with XXH3-128 under a seed of its kind; the digest is the sum of these hashes modulo 2^128, so that a change
//! costs one subtraction and one addition, in any order. It guards against faults, not against an adversary.

use super::{
    codec::put_varint,
    id::{EdgeKey, NodeId, PropKeyId},
    index::IndexDef,
    names::NameKind,
};
use std::{fmt, ops};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// A sum of record hashes. The empty graph's is zero.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Digest(pub u128);

impl Digest {
    /// The hash of a definition of a name.
    pub fn of_name(kind: NameKind, id: u32, name: &str) -> Self {
        let mut bytes = vec![kind as u8];
        put_varint(&mut bytes, id.into());
        bytes.extend_from_slice(name.as_bytes());
        Self(xxh3_128_with_seed(&bytes, 1))
    }

    /// The hash of a live node, from its record's canonical bytes.
    pub fn of_node(record: &[u8]) -> Self {
        Self(xxh3_128_with_seed(record, 2))
    }

    /// The hash of an edge with its properties' canonical bytes.
    #[inline]
    pub fn of_edge(edge: EdgeKey, props: &[u8]) -> Self {
        let mut head = [0u8; 28];
        head[..8].copy_from_slice(&edge.src.0.to_le_bytes());
        head[8..16].copy_from_slice(&edge.dst.0.to_le_bytes());
        head[16..20].copy_from_slice(&edge.ty.0.to_le_bytes());
        head[20..].copy_from_slice(&edge.rank.to_le_bytes());
        // Rank 0 is not part of it: most edges have no other one, and are hashed as if there were none.
        let len = if edge.rank == 0 { 20 } else { 28 };
        let ends = xxh3_128_with_seed(&head[..len], 3);
        if props.is_empty() {
            return Self(ends);
        }
        Self(xxh3_128_with_seed(props, ends as u64 ^ (ends >> 64) as u64))
    }

    /// The hash of a vector, from its floats' little-endian bytes.
    pub fn of_vector(node: NodeId, key: PropKeyId, floats: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(floats.len() + 12);
        bytes.extend_from_slice(&node.0.to_le_bytes());
        bytes.extend_from_slice(&key.0.to_le_bytes());
        bytes.extend_from_slice(floats);
        Self(xxh3_128_with_seed(&bytes, 4))
    }

    /// The hash of the definition of an index, from its canonical bytes.
    pub fn of_index(index: &IndexDef) -> Self {
        let mut bytes = Vec::new();
        index.encode(&mut bytes);
        Self(xxh3_128_with_seed(&bytes, 5))
    }

    /// The bytes as stored.
    pub fn to_le_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// Reads what [`Digest::to_le_bytes`] wrote.
    pub fn from_le_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }
}

impl ops::AddAssign for Digest {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl ops::SubAssign for Digest {
    fn sub_assign(&mut self, other: Self) {
        self.0 = self.0.wrapping_sub(other.0);
    }
}

impl ops::Add for Digest {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
