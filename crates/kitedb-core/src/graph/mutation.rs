//! Mutations: what a frame's payload is made of. A payload is mutations end to end, each an operation byte
//! and its operands (varints; names, keys and property lists length-prefixed). Applying them in order to the
//! state before the frame gives the state after it, on every machine.

use super::{
    codec::{Reader, put_varint},
    id::{EdgeKey, EdgeTypeId, LabelId, MAX_RANK, NodeId, PropKeyId},
    index::{self, IndexId, IndexState, IndexTarget},
    names::NameKind,
    props::PropList,
    value::{ValueRef, VectorRef},
};
use crate::error::{Error, Result};

/// One change of the graph, borrowed from a payload.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "each variant's text says what its fields are")]
pub enum Mutation<'a> {
    /// Gives `name` to `id`; doing so again with the same name changes nothing.
    DefineName { kind: NameKind, id: u32, name: &'a str },
    /// Fixes the length of the vectors stored under a property key.
    DefineVector { key: PropKeyId, dimension: u32 },
    /// Creates a node with what it carries from the start. `labels` are varints, ascending.
    CreateNode { id: NodeId, key: Option<&'a str>, labels: &'a [u8], props: PropList<'a> },
    /// Deletes a node and, with it, its edges, properties, labels and vectors.
    DeleteNode { id: NodeId },
    /// Sets a node's property to a value in its encoded form.
    SetNodeProp { id: NodeId, key: PropKeyId, value: &'a [u8] },
    /// Removes a node's property.
    RemoveNodeProp { id: NodeId, key: PropKeyId },
    /// Adds a label to a node.
    AddLabel { id: NodeId, label: LabelId },
    /// Takes a label off a node.
    RemoveLabel { id: NodeId, label: LabelId },
    /// Adds an edge with its properties. This and the next three name exactly one edge, its rank included.
    AddEdge { edge: EdgeKey, props: PropList<'a> },
    /// Removes an edge and its properties.
    RemoveEdge { edge: EdgeKey },
    /// Sets an edge's property to a value in its encoded form.
    SetEdgeProp { edge: EdgeKey, key: PropKeyId, value: &'a [u8] },
    /// Removes an edge's property.
    RemoveEdgeProp { edge: EdgeKey, key: PropKeyId },
    /// Stores a vector.
    SetVector { node: NodeId, key: PropKeyId, vector: VectorRef<'a> },
    /// Removes a vector.
    RemoveVector { node: NodeId, key: PropKeyId },
    /// Defines an index, which is being built from then on; doing so again changes nothing.
    DefineIndex { id: IndexId, on: IndexTarget, property: PropKeyId, unique: bool, name: &'a str },
    /// Says how far an index has come.
    SetIndexState { id: IndexId, state: IndexState },
    /// Drops an index.
    DropIndex { id: IndexId },
}

// Stored numbers: never change one, only add.
const DEFINE_NAME: u8 = 1;
const DEFINE_VECTOR: u8 = 2;
const CREATE_NODE: u8 = 3;
const DELETE_NODE: u8 = 4;
const SET_NODE_PROP: u8 = 5;
const REMOVE_NODE_PROP: u8 = 6;
const ADD_LABEL: u8 = 7;
const REMOVE_LABEL: u8 = 8;
const ADD_EDGE: u8 = 9;
const REMOVE_EDGE: u8 = 10;
const SET_EDGE_PROP: u8 = 11;
const REMOVE_EDGE_PROP: u8 = 12;
const SET_VECTOR: u8 = 13;
const REMOVE_VECTOR: u8 = 14;
/// As `CREATE_NODE`, without a key.
const CREATE_NODE_UNKEYED: u8 = 15;
// As those without, of an edge whose rank is not 0: it follows the destination.
const ADD_RANKED_EDGE: u8 = 16;
const REMOVE_RANKED_EDGE: u8 = 17;
const SET_RANKED_EDGE_PROP: u8 = 18;
const REMOVE_RANKED_EDGE_PROP: u8 = 19;
const DEFINE_INDEX: u8 = 20;
const SET_INDEX_STATE: u8 = 21;
const DROP_INDEX: u8 = 22;

impl<'a> Mutation<'a> {
    /// Appends the binary form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::DefineName { kind, id, name } => {
                out.extend_from_slice(&[DEFINE_NAME, kind as u8]);
                put_varint(out, id.into());
                put_bytes(out, name.as_bytes());
            }
            Self::DefineVector { key, dimension } => put(out, DEFINE_VECTOR, &[key.0.into(), dimension.into()]),
            Self::CreateNode { id, key, labels, props } => {
                put(out, if key.is_some() { CREATE_NODE } else { CREATE_NODE_UNKEYED }, &[id.0]);
                if let Some(key) = key {
                    put_bytes(out, key.as_bytes());
                }
                put_bytes(out, labels);
                put_bytes(out, props.as_bytes());
            }
            Self::DeleteNode { id } => put(out, DELETE_NODE, &[id.0]),
            Self::SetNodeProp { id, key, value } => {
                put(out, SET_NODE_PROP, &[id.0, key.0.into()]);
                out.extend_from_slice(value);
            }
            Self::RemoveNodeProp { id, key } => put(out, REMOVE_NODE_PROP, &[id.0, key.0.into()]),
            Self::AddLabel { id, label } => put(out, ADD_LABEL, &[id.0, label.0.into()]),
            Self::RemoveLabel { id, label } => put(out, REMOVE_LABEL, &[id.0, label.0.into()]),
            Self::AddEdge { edge, props } => {
                put_edge(out, ADD_EDGE, edge);
                put_bytes(out, props.as_bytes());
            }
            Self::RemoveEdge { edge } => put_edge(out, REMOVE_EDGE, edge),
            Self::SetEdgeProp { edge, key, value } => {
                put_edge(out, SET_EDGE_PROP, edge);
                put_varint(out, key.0.into());
                out.extend_from_slice(value);
            }
            Self::RemoveEdgeProp { edge, key } => {
                put_edge(out, REMOVE_EDGE_PROP, edge);
                put_varint(out, key.0.into());
            }
            Self::SetVector { node, key, vector } => {
                put(out, SET_VECTOR, &[node.0, key.0.into()]);
                put_bytes(out, vector.as_bytes());
            }
            Self::RemoveVector { node, key } => put(out, REMOVE_VECTOR, &[node.0, key.0.into()]),
            Self::DefineIndex { id, on, property, unique, name } => {
                put(out, DEFINE_INDEX, &[id.0.into()]);
                on.encode(out);
                put_varint(out, property.0.into());
                out.push(index::flags_of(unique));
                put_bytes(out, name.as_bytes());
            }
            Self::SetIndexState { id, state } => {
                put(out, SET_INDEX_STATE, &[id.0.into()]);
                state.encode(out);
            }
            Self::DropIndex { id } => put(out, DROP_INDEX, &[id.0.into()]),
        }
    }

    /// Reads one mutation.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self> {
        Ok(match r.u8()? {
            DEFINE_NAME => Self::DefineName { kind: NameKind::from_byte(r.u8()?)?, id: name_id(r)?, name: r.text()? },
            DEFINE_VECTOR => Self::DefineVector { key: PropKeyId(name_id(r)?), dimension: r.varint32()? },
            op @ (CREATE_NODE | CREATE_NODE_UNKEYED) => {
                let id = node_id(r)?;
                let key = if op == CREATE_NODE { Some(r.text()?) } else { None };
                let labels = r.bytes()?;
                let mut ids = Reader::new(labels);
                let mut last = 0;
                while !ids.is_empty() {
                    let label = ids.varint32()?;
                    if label <= last {
                        return Err(Error::corrupt("labels of a created node are not ascending"));
                    }
                    last = label;
                }
                Self::CreateNode { id, key, labels, props: prop_list(r)? }
            }
            DELETE_NODE => Self::DeleteNode { id: node_id(r)? },
            SET_NODE_PROP => Self::SetNodeProp { id: node_id(r)?, key: PropKeyId(name_id(r)?), value: value_bytes(r)? },
            REMOVE_NODE_PROP => Self::RemoveNodeProp { id: node_id(r)?, key: PropKeyId(name_id(r)?) },
            ADD_LABEL => Self::AddLabel { id: node_id(r)?, label: LabelId(name_id(r)?) },
            REMOVE_LABEL => Self::RemoveLabel { id: node_id(r)?, label: LabelId(name_id(r)?) },
            op @ (ADD_EDGE | ADD_RANKED_EDGE) => Self::AddEdge { edge: edge_key(r, op)?, props: prop_list(r)? },
            op @ (REMOVE_EDGE | REMOVE_RANKED_EDGE) => Self::RemoveEdge { edge: edge_key(r, op)? },
            op @ (SET_EDGE_PROP | SET_RANKED_EDGE_PROP) => {
                Self::SetEdgeProp { edge: edge_key(r, op)?, key: PropKeyId(name_id(r)?), value: value_bytes(r)? }
            }
            op @ (REMOVE_EDGE_PROP | REMOVE_RANKED_EDGE_PROP) => {
                Self::RemoveEdgeProp { edge: edge_key(r, op)?, key: PropKeyId(name_id(r)?) }
            }
            SET_VECTOR => {
                let (node, key) = (node_id(r)?, PropKeyId(name_id(r)?));
                let bytes = r.bytes()?;
                if bytes.is_empty() || bytes.len() % 4 != 0 {
                    return Err(Error::corrupt("a vector is empty or does not hold whole floats"));
                }
                Self::SetVector { node, key, vector: VectorRef::from_bytes(bytes) }
            }
            REMOVE_VECTOR => Self::RemoveVector { node: node_id(r)?, key: PropKeyId(name_id(r)?) },
            DEFINE_INDEX => Self::DefineIndex {
                id: index::index_id(r)?,
                on: IndexTarget::decode(r)?,
                property: PropKeyId(name_id(r)?),
                unique: index::is_unique(r.u8()?)?,
                name: r.text()?,
            },
            SET_INDEX_STATE => Self::SetIndexState { id: index::index_id(r)?, state: IndexState::decode(r)? },
            DROP_INDEX => Self::DropIndex { id: index::index_id(r)? },
            op => return Err(Error::corrupt(format_args!("unknown mutation {op}"))),
        })
    }
}

/// The mutations of a payload, in order.
#[derive(Debug, Clone)]
pub struct Mutations<'a>(Reader<'a>);

impl<'a> Mutations<'a> {
    /// Reads `payload` mutation by mutation; nothing follows an error.
    pub fn new(payload: &'a [u8]) -> Self {
        Self(Reader::new(payload))
    }
}

impl<'a> Iterator for Mutations<'a> {
    type Item = Result<Mutation<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let item = Mutation::decode(&mut self.0);
        if item.is_err() {
            self.0 = Reader::new(&[]);
        }
        Some(item)
    }
}

fn put(out: &mut Vec<u8>, op: u8, numbers: &[u64]) {
    out.push(op);
    for &number in numbers {
        put_varint(out, number);
    }
}

/// Appends an operation and the edge that it is about: `op` is the one for rank 0, which is not written.
fn put_edge(out: &mut Vec<u8>, op: u8, edge: EdgeKey) {
    match edge.rank {
        0 => put(out, op, &[edge.src.0, edge.ty.0.into(), edge.dst.0]),
        rank => put(out, op + (ADD_RANKED_EDGE - ADD_EDGE), &[edge.src.0, edge.ty.0.into(), edge.dst.0, rank]),
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn node_id(r: &mut Reader<'_>) -> Result<NodeId> {
    match r.varint()? {
        0 => Err(Error::corrupt("node id 0")),
        id => Ok(NodeId(id)),
    }
}

fn name_id(r: &mut Reader<'_>) -> Result<u32> {
    match r.varint32()? {
        0 => Err(Error::corrupt("name id 0")),
        id => Ok(id),
    }
}

/// The edge that operation `op` is about.
fn edge_key(r: &mut Reader<'_>, op: u8) -> Result<EdgeKey> {
    let edge = EdgeKey::new(node_id(r)?, EdgeTypeId(name_id(r)?), node_id(r)?);
    if op < ADD_RANKED_EDGE {
        return Ok(edge);
    }
    match r.varint()? {
        0 => Err(Error::corrupt("rank 0 of an edge that is said to have another one")),
        rank if rank > MAX_RANK => Err(Error::corrupt(format_args!("the rank {rank} of an edge exceeds {MAX_RANK}"))),
        rank => Ok(edge.with_rank(rank)),
    }
}

fn prop_list<'a>(r: &mut Reader<'a>) -> Result<PropList<'a>> {
    let list = PropList::from_bytes(r.bytes()?);
    list.validate()?;
    Ok(list)
}

fn value_bytes<'a>(r: &mut Reader<'a>) -> Result<&'a [u8]> {
    let before = r.rest();
    ValueRef::check(r)?;
    Ok(&before[..before.len() - r.rest().len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_edge_has_one_form_whatever_its_rank() {
        let edge = EdgeKey::new(NodeId(1), EdgeTypeId(2), NodeId(3));
        for (rank, bytes) in [(0, &[10, 1, 2, 3][..]), (1, &[17, 1, 2, 3, 1]), (300, &[17, 1, 2, 3, 0xAC, 2])] {
            let mutation = Mutation::RemoveEdge { edge: edge.with_rank(rank) };
            let mut encoded = Vec::new();
            mutation.encode(&mut encoded);
            assert_eq!(encoded, bytes);
            assert_eq!(Mutation::decode(&mut Reader::new(bytes)).unwrap(), mutation);
        }
        let too_great = [17, 1, 2, 3, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1];
        for bytes in [&[17, 1, 2, 3, 0][..], &[17, 1, 2, 3], &too_great] {
            assert!(Mutation::decode(&mut Reader::new(bytes)).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_payload_gives_mutations_or_an_error(bytes: Vec<u8>) {
            for mutation in Mutations::new(&bytes).flatten() {
                let mut again = Vec::new();
                mutation.encode(&mut again);
                prop_assert_eq!(Mutation::decode(&mut Reader::new(&again)).unwrap(), mutation);
            }
        }

        #[test]
        fn flipped_bits_give_mutations_or_an_error(id in 1u64.., ty in 1u32.., at in 0usize..64, bit in 0u8..8) {
            let edge = EdgeKey::new(NodeId(id), EdgeTypeId(ty), NodeId(id / 2 + 1));
            let mut bytes = Vec::new();
            Mutation::AddEdge { edge, props: PropList::default() }.encode(&mut bytes);
            Mutation::RemoveEdge { edge: edge.with_rank(id % MAX_RANK + 1) }.encode(&mut bytes);
            Mutation::CreateNode { id: NodeId(id), key: Some("k"), labels: &[1, 2], props: PropList::default() }
                .encode(&mut bytes);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = Mutations::new(&bytes).count();
        }
    }
}
