//! Definitions of indexes: what is indexed, under which name, and how far that has come. What an index holds is no part of
//! the graph, and none of this.

use super::{
    codec::{Reader, put_varint},
    id::{EdgeKey, EdgeTypeId, LabelId, NodeId, PropKeyId},
};
use crate::error::{Error, Result};
use std::{fmt, sync::Arc};

/// What names an index in the log: given out once, from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexId(pub u32);

impl fmt::Display for IndexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which elements an index is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexTarget {
    /// Nodes with a label.
    Label(LabelId),
    /// Edges of a type.
    EdgeType(EdgeTypeId),
}

/// How far an index has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexState {
    /// What was there before it is being gathered.
    Building,
    /// It holds all that it is about; if it is unique, no two elements are equal.
    Ready,
    /// It was to be unique, and these two nodes have the same value.
    EqualNodes([NodeId; 2]),
    /// It was to be unique, and these two edges have the same value.
    EqualEdges([EdgeKey; 2]),
}

/// The definition of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDef {
    /// What names it in the log.
    pub id: IndexId,
    /// What names it for people: no other index has that name.
    pub name: Arc<str>,
    /// Which elements it is about.
    pub on: IndexTarget,
    /// The property whose values it holds.
    pub property: PropKeyId,
    /// Whether no two elements may have the same value.
    pub unique: bool,
    /// How far it has come.
    pub state: IndexState,
}

// Stored numbers: never change one, only add.
const ON_LABEL: u8 = 1;
const ON_EDGE_TYPE: u8 = 2;
const UNIQUE: u8 = 1;
const BUILDING: u8 = 0;
const READY: u8 = 1;
const EQUAL_NODES: u8 = 2;
const EQUAL_EDGES: u8 = 3;

impl IndexTarget {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        let (kind, id) = match self {
            Self::Label(label) => (ON_LABEL, label.0),
            Self::EdgeType(ty) => (ON_EDGE_TYPE, ty.0),
        };
        out.push(kind);
        put_varint(out, id.into());
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self> {
        match (r.u8()?, r.varint32()?) {
            (_, 0) => Err(Error::corrupt("an index is on name id 0")),
            (ON_LABEL, id) => Ok(Self::Label(LabelId(id))),
            (ON_EDGE_TYPE, id) => Ok(Self::EdgeType(EdgeTypeId(id))),
            (kind, _) => Err(Error::corrupt(format_args!("an index is on elements of the unknown kind {kind}"))),
        }
    }
}

impl IndexState {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Building => out.push(BUILDING),
            Self::Ready => out.push(READY),
            Self::EqualNodes(nodes) => {
                out.push(EQUAL_NODES);
                nodes.iter().for_each(|node| put_varint(out, node.0));
            }
            Self::EqualEdges(edges) => {
                out.push(EQUAL_EDGES);
                for EdgeKey { src, ty, dst, rank } in edges {
                    [src.0, ty.0.into(), dst.0, *rank].into_iter().for_each(|number| put_varint(out, number));
                }
            }
        }
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let edge = |r: &mut Reader<'_>| {
            let (src, ty, dst) = (NodeId(r.varint()?), EdgeTypeId(r.varint32()?), NodeId(r.varint()?));
            Ok::<_, Error>(EdgeKey { src, ty, dst, rank: r.varint()? })
        };
        Ok(match r.u8()? {
            BUILDING => Self::Building,
            READY => Self::Ready,
            EQUAL_NODES => Self::EqualNodes([NodeId(r.varint()?), NodeId(r.varint()?)]),
            EQUAL_EDGES => Self::EqualEdges([edge(r)?, edge(r)?]),
            state => return Err(Error::corrupt(format_args!("an index is in the unknown state {state}"))),
        })
    }
}

pub(super) fn flags_of(unique: bool) -> u8 {
    if unique { UNIQUE } else { 0 }
}

pub(super) fn is_unique(flags: u8) -> Result<bool> {
    match flags {
        0 => Ok(false),
        UNIQUE => Ok(true),
        flags => Err(Error::corrupt(format_args!("an index has the unknown flags {flags}"))),
    }
}

pub(super) fn index_id(r: &mut Reader<'_>) -> Result<IndexId> {
    match r.varint32()? {
        0 => Err(Error::corrupt("index id 0")),
        id => Ok(IndexId(id)),
    }
}

impl IndexDef {
    /// Appends the binary form, which is the same wherever the same definition is: id, elements, property, flags, name,
    /// state.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.id.0.into());
        self.on.encode(out);
        put_varint(out, self.property.0.into());
        out.push(flags_of(self.unique));
        put_varint(out, self.name.len() as u64);
        out.extend_from_slice(self.name.as_bytes());
        self.state.encode(out);
    }

    /// Reads the binary form.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            id: index_id(r)?,
            on: IndexTarget::decode(r)?,
            property: PropKeyId(r.varint32()?),
            unique: is_unique(r.u8()?)?,
            name: r.text()?.into(),
            state: IndexState::decode(r)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_definition_reads_back_and_any_bytes_give_one_or_an_error(
            id in 1u32.., on in 1u32.., key in 1u32.., unique: bool, state in 0u8..4, bytes: Vec<u8>,
        ) {
            let edge = |rank| EdgeKey::new(NodeId(on.into()), EdgeTypeId(key), NodeId(7)).with_rank(rank);
            let def = IndexDef {
                id: IndexId(id),
                name: format!("index {id}").into(),
                on: if unique { IndexTarget::Label(LabelId(on)) } else { IndexTarget::EdgeType(EdgeTypeId(on)) },
                property: PropKeyId(key),
                unique,
                state: match state {
                    0 => IndexState::Building,
                    1 => IndexState::Ready,
                    2 => IndexState::EqualNodes([NodeId(1), NodeId(id.into())]),
                    _ => IndexState::EqualEdges([edge(0), edge(u64::MAX)]),
                },
            };
            let mut out = Vec::new();
            def.encode(&mut out);
            let mut r = Reader::new(&out);
            prop_assert_eq!(IndexDef::decode(&mut r).unwrap(), def);
            prop_assert!(r.is_empty());
            let _ = IndexDef::decode(&mut Reader::new(&bytes));
        }
    }
}
