//! Why a mutation is not applied, or a transaction not committed. Each says what its caller knows: a name where there is
//! one, and an id where there is none.

use crate::{
    error::{Error, ErrorCode, Result, bounded},
    graph::{EdgeKey, NameKind, NodeId, NodeRecord, PropKeyId},
    state::names::Names,
};
use std::fmt;

/// How a message calls something: a name in quotes, or the id of what has none.
#[derive(Debug)]
pub struct Called {
    /// The name, or the id as text.
    text: String,
    is_name: bool,
}

impl Called {
    /// A label, edge type or property key.
    #[cold]
    pub fn by(names: &Names, kind: NameKind, id: u32) -> Self {
        match names.any_name(kind, id) {
            Some(name) => Self { text: name.to_string(), is_name: true },
            None => Self { text: id.to_string(), is_name: false },
        }
    }

    /// What its caller called so.
    #[cold]
    pub fn named(name: &str) -> Self {
        Self { text: bounded(name).into(), is_name: true }
    }

    /// As an error's key has it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_name { write!(f, "'{}'", self.text) } else { f.write_str(&self.text) }
    }
}

/// The error of a key that another node has.
#[cold]
pub(super) fn duplicate_key(key: &str, holder: NodeId) -> Error {
    let key = bounded(key);
    let what = format_args!("key '{key}' belongs to node {holder} already: keys are unique");
    Error::new(ErrorCode::DuplicateKey, what).with_key(key).with_found(holder)
}

#[cold]
pub(super) fn no_node(id: NodeId) -> Error {
    Error::new(ErrorCode::NodeNotFound, format_args!("node {id} does not exist")).with_key(id)
}

/// The error of an edge that is not there.
#[cold]
pub fn no_edge(names: &Names, edge: EdgeKey) -> Error {
    let (EdgeKey { src, dst, .. }, ty) = (edge, type_of(names, edge));
    let what = format_args!("no edge of type {ty}{} leads from node {src} to node {dst}", and_rank(edge));
    Error::new(ErrorCode::EdgeNotFound, what).with_key(ty.text())
}

/// The error of an edge that is there already.
#[cold]
pub fn edge_exists(names: &Names, edge: EdgeKey) -> Error {
    let (EdgeKey { src, dst, .. }, ty) = (edge, type_of(names, edge));
    let what = format_args!("an edge of type {ty}{} leads from node {src} to node {dst} already", and_rank(edge));
    Error::new(ErrorCode::EdgeExists, what).with_key(ty.text())
}

#[cold]
pub(super) fn no_vector(names: &Names, node: NodeId, key: PropKeyId) -> Error {
    let key = Called::by(names, NameKind::PropKey, key.0);
    let what = format_args!("node {node} has no vector under property key {key}");
    Error::new(ErrorCode::InvalidArgument, what).with_key(key.text())
}

fn type_of(names: &Names, edge: EdgeKey) -> Called {
    Called::by(names, NameKind::EdgeType, edge.ty.0)
}

fn and_rank(edge: EdgeKey) -> String {
    if edge.rank == 0 { String::new() } else { format!(" and rank {}", edge.rank) }
}

/// The conflict about `what`, which its caller calls `key`.
#[cold]
pub(super) fn conflict(what: fmt::Arguments<'_>, key: impl fmt::Display) -> Result<()> {
    let what = format_args!("{what} was changed by a transaction that committed first");
    Err(Error::new(ErrorCode::Conflict, what).with_key(key))
}

/// That about a node whose record is `record`; `more` says what of it.
#[cold]
pub fn node_conflict(id: NodeId, record: &[u8], more: &str) -> Result<()> {
    match key_in(record) {
        Some(key) => conflict(format_args!("node {id} with key '{key}'{more}"), &key),
        None => conflict(format_args!("node {id}{more}"), id),
    }
}

/// That about the key in a node's record.
#[cold]
pub fn key_conflict(record: &[u8]) -> Result<()> {
    match key_in(record) {
        Some(key) => conflict(format_args!("key '{key}'"), &key),
        None => conflict(format_args!("a key"), ""),
    }
}

/// That about an edge, or about one of its ends.
#[cold]
pub fn edge_conflict(names: &Names, edge: EdgeKey, end: bool) -> Result<()> {
    let (EdgeKey { src, dst, .. }, ty) = (edge, type_of(names, edge));
    let of = if end { "an end of " } else { "" };
    let what = format_args!("{of}an edge of type {ty}{} from node {src} to node {dst}", and_rank(edge));
    conflict(what, ty.text())
}

/// That about a vector.
#[cold]
pub fn vector_conflict(names: &Names, node: NodeId, key: PropKeyId) -> Result<()> {
    let key = Called::by(names, NameKind::PropKey, key.0);
    conflict(format_args!("the vector under {key} of node {node}"), key.text())
}

/// Of a node that is to be deleted, besides itself.
pub const OR_ATTACHED: &str = ", or what is attached to it,";

fn key_in(record: &[u8]) -> Option<Box<str>> {
    NodeRecord::parse(record).ok()?.key().map(bounded)
}
